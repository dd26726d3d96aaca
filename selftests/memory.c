// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * kipc_memfd(), kipc_seal(), kipc_map(): what was sealed can be read where it is
 * and never changes; nothing else can be mapped, however it comes.
 */
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "harness.h"
#include "common.h"

#define SIZE	(3 * 4096 + 5)
#define ALL	(F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL)

#ifndef MFD_HUGETLB
#define MFD_HUGETLB 0x0004U
#endif

/* A filled memfd that is not sealed yet */
static int filled_memfd(size_t size)
{
	char *buf = kt_shared(size);
	int fd = kipc_memfd("test", size);

	kt_need(fd >= 0);
	kt_fill(buf, size, 1);
	kt_need(pwrite(fd, buf, size, 0) == (ssize_t)size);
	munmap(buf, size);
	return fd;
}

/* What kipc_map() says; it must tell nothing with an error, and leave nothing */
static int refused(int fd)
{
	const void *data = &data;
	size_t size = 1;
	int ret;

	errno = EXDEV;
	ret = kipc_map(fd, &data, &size);
	kt_need(errno == EXDEV);
	kt_need(ret < 0 && !data && !size);
	return ret;
}

static bool maps(int fd, size_t want)
{
	const void *data;
	size_t size;
	bool good;

	if (kipc_map(fd, &data, &size))
		return false;
	good = size == want && kt_filled(data, size, 1);
	return kipc_unmap(data, size) == 0 && good;
}

static int again(int fd, int flags)
{
	char path[40];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, flags | O_CLOEXEC);
}

FIXTURE(memory) {
	unsigned int fds;
	int fd;
};

FIXTURE_SETUP(memory)
{
	self->fds = kt_open_fds();
	self->fd = filled_memfd(SIZE);
}

FIXTURE_TEARDOWN(memory)
{
	close(self->fd);
	EXPECT_EQ(self->fds, kt_open_fds());
}

TEST_F(memory, what_is_sealed_never_changes)
{
	const void *data;
	size_t size;
	int writer;

	writer = again(self->fd, O_RDWR);
	ASSERT_LE(0, writer);
	EXPECT_EQ(-EPERM, refused(self->fd));
	ASSERT_EQ(0, kipc_seal(self->fd));
	EXPECT_EQ(0, kipc_seal(self->fd));
	ASSERT_EQ(0, kipc_map(self->fd, &data, &size));
	EXPECT_EQ(SIZE, size);

	/* through nobody's descriptor */
	for (int i = 0; i < 2; i++) {
		int fd = i ? writer : self->fd;

		EXPECT_EQ(-1, pwrite(fd, "x", 1, 0));
		EXPECT_EQ(EPERM, errno);
		EXPECT_EQ(-1, ftruncate(fd, 1));
		EXPECT_EQ(EPERM, errno);
		EXPECT_EQ(-1, ftruncate(fd, 2 * SIZE));
		EXPECT_EQ(EPERM, errno);
		EXPECT_EQ(-1, fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096));
		EXPECT_EQ(EPERM, errno);
		EXPECT_EQ(MAP_FAILED, mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
		EXPECT_EQ(EPERM, errno);
		EXPECT_EQ(-1, fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
		EXPECT_EQ(EPERM, errno);
	}
	close(writer);
	close(self->fd);
	EXPECT_TRUE(kt_filled(data, size, 1));
	EXPECT_EQ(0, kipc_unmap(data, size));
	EXPECT_EQ(-EINVAL, kipc_unmap((const char *)data + 1, size));
}

struct reader {
	int fd;
	struct kt_flag mapped, go;
};

static long read_all(void *arg)
{
	struct reader *reader = arg;
	const void *data;
	size_t size;

	kt_need(kipc_map(reader->fd, &data, &size) == 0);
	close(reader->fd);
	kt_raise(&reader->mapped);
	kt_need(kt_await(&reader->go));
	return kt_filled(data, size, 1) ? (long)size : -1;
}

TEST_F(memory, readers_keep_it_when_the_writer_has_gone)
{
	struct reader *reader = kt_new(struct reader);
	struct kt_job *jobs[3];

	ASSERT_EQ(0, kipc_seal(self->fd));
	reader->fd = self->fd;
	for (int i = 0; i < 3; i++) {
		jobs[i] = kt_start(i ? KT_AS(KT_UID_A) : KT_FORK, read_all, reader);
		ASSERT_TRUE(kt_await(&reader->mapped));
		reader->mapped.up = 0;
	}
	close(self->fd);
	kt_raise(&reader->go);
	for (int i = 0; i < 3; i++)
		EXPECT_EQ(SIZE, kt_join(jobs[i]));
}

static long write_to_it(void *arg)
{
	const void *data;
	size_t size;

	kt_need(kipc_map(*(int *)arg, &data, &size) == 0);
	signal(SIGSEGV, SIG_DFL);
	*(volatile char *)(uintptr_t)data = 1;
	return 0;
}

TEST_F(memory, the_mapping_is_read_only)
{
	ASSERT_EQ(0, kipc_seal(self->fd));
	EXPECT_EQ(KT_DIED - SIGSEGV, kt_run(KT_FORK, write_to_it, &self->fd));
	EXPECT_TRUE(maps(self->fd, SIZE));
}

TEST_F(memory, a_lacking_seal_is_noticed)
{
	for (int seals = 0; seals < ALL; seals++) {
		int fd = filled_memfd(SIZE);

		ASSERT_EQ(0, fcntl(fd, F_ADD_SEALS, seals));
		EXPECT_EQ(-EPERM, refused(fd));
		/* Whatever is there already, the rest can be added unless that is sealed. */
		if (seals & F_SEAL_SEAL) {
			EXPECT_EQ(-EPERM, kipc_seal(fd));
			EXPECT_EQ(seals, fcntl(fd, F_GET_SEALS) & ALL);
			EXPECT_EQ(-EPERM, refused(fd));
		} else {
			EXPECT_EQ(0, kipc_seal(fd));
			EXPECT_TRUE(maps(fd, SIZE));
		}
		close(fd);
	}
	/* This one lets mappings that are already there write. */
	ASSERT_EQ(0, fcntl(self->fd, F_ADD_SEALS,
			   F_SEAL_FUTURE_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL));
	EXPECT_EQ(-EPERM, refused(self->fd));
}

TEST_F(memory, who_can_write_keeps_it_from_being_sealed)
{
	void *writable = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, self->fd, 0);
	int reader;

	ASSERT_NE(MAP_FAILED, writable);
	EXPECT_EQ(-EBUSY, kipc_seal(self->fd));
	EXPECT_EQ(-EPERM, refused(self->fd));
	EXPECT_EQ(0, munmap(writable, SIZE));
	/* who cannot write cannot seal */
	reader = again(self->fd, O_RDONLY);
	ASSERT_LE(0, reader);
	EXPECT_EQ(-EPERM, kipc_seal(reader));
	EXPECT_EQ(0, kipc_seal(self->fd));
	/* but map, and who cannot read cannot even that */
	EXPECT_TRUE(maps(reader, SIZE));
	close(reader);
	reader = again(self->fd, O_WRONLY);
	ASSERT_LE(0, reader);
	EXPECT_EQ(-EACCES, refused(reader));
	close(reader);
}

TEST_F(memory, a_shrunk_or_empty_one)
{
	ASSERT_EQ(0, ftruncate(self->fd, 100));
	EXPECT_EQ(-EPERM, refused(self->fd));
	ASSERT_EQ(0, kipc_seal(self->fd));
	EXPECT_TRUE(maps(self->fd, 100));
	close(self->fd);

	self->fd = kipc_memfd(NULL, 1);
	ASSERT_EQ(0, ftruncate(self->fd, 0));
	EXPECT_EQ(-EPERM, refused(self->fd));
	ASSERT_EQ(0, kipc_seal(self->fd));
	EXPECT_EQ(-EINVAL, refused(self->fd));
}

TEST_F(memory, holes_are_filled_by_who_seals)
{
	static const char zeros[4096] = "";
	const void *data;
	struct stat info;
	size_t size;

	/* sealed by hand, its reader would have to pay for it */
	close(self->fd);
	self->fd = kipc_memfd("holes", 1 << 20);
	ASSERT_EQ(1, pwrite(self->fd, "x", 1, 500000));
	ASSERT_EQ(0, fcntl(self->fd, F_ADD_SEALS, ALL));
	EXPECT_EQ(-EPERM, refused(self->fd));
	close(self->fd);

	self->fd = kipc_memfd("holes", 1 << 20);
	ASSERT_EQ(1, pwrite(self->fd, "x", 1, 500000));
	ASSERT_EQ(0, kipc_seal(self->fd));
	ASSERT_EQ(0, fstat(self->fd, &info));
	EXPECT_LE(1 << 20, info.st_blocks * 512);
	ASSERT_EQ(0, kipc_map(self->fd, &data, &size));
	EXPECT_EQ(1 << 20, size);
	EXPECT_EQ(0, memcmp(data, zeros, 4096));
	EXPECT_EQ('x', ((const char *)data)[500000]);
	EXPECT_EQ(0, kipc_unmap(data, size));
}

static long value_of(const char *name)
{
	static char status[8192];
	const char *line;

	kt_need(kt_read_file("/proc/self/status", status, sizeof(status)) > 0);
	line = strstr(status, name);
	kt_need(line);
	return strtol(line + strlen(name), NULL, 10);
}

TEST_F(memory, nothing_is_copied)
{
	const size_t large = 32 << 20;
	const volatile char *byte;
	long anonymous, shared;
	const void *data;
	size_t size;

	close(self->fd);
	self->fd = kipc_memfd("large", large);
	ASSERT_EQ(0, kipc_seal(self->fd));
	ASSERT_EQ(0, kipc_map(self->fd, &data, &size));
	anonymous = value_of("RssAnon:");
	shared = value_of("RssShmem:");
	byte = data;
	for (size_t i = 0; i < size; i += 4096)
		(void)byte[i];
	/* all of it is mapped now (in KiB), none of it is memory of this process's own */
	EXPECT_LE(shared + (long)(large >> 10) - 1024, value_of("RssShmem:"));
	EXPECT_GE(anonymous + 1024, value_of("RssAnon:"));
	EXPECT_EQ(0, kipc_unmap(data, size));
}

TEST_F(memory, other_files)
{
	int fds[2], fd;

	ASSERT_EQ(0, kipc_seal(self->fd));
	for (int i = 0; i < 9; i++) {
		int other = -1;

		switch (i) {
		case 0:
			fd = open("/dev/shm/kipc-memory", O_RDWR | O_CREAT | O_TRUNC, 0600);
			unlink("/dev/shm/kipc-memory");
			break;
		case 1:	/* the root file system */
			fd = open("/root/kipc-memory", O_RDWR | O_CREAT | O_TRUNC, 0600);
			unlink("/root/kipc-memory");
			break;
		case 2:
			fd = open("/proc/self/status", O_RDONLY);
			break;
		case 3:
			fd = open("/dev/zero", O_RDWR);
			break;
		case 4:
			fd = open("/", O_RDONLY | O_DIRECTORY);
			break;
		case 5:
			ASSERT_EQ(0, pipe(fds));
			fd = fds[0];
			other = fds[1];
			break;
		case 6:
			other = kt_device();
			fd = kt_private(other, 0, NULL);
			break;
		case 7:
			/* as anybody makes one who does not mean it to be sealed */
			fd = memfd_create("plain", MFD_CLOEXEC);
			break;
		case 8:
			fd = kt_device();
			break;
		}
		ASSERT_LE(0, fd);
		if (i <= 1 || i == 7)
			ASSERT_EQ(0, ftruncate(fd, 4096));
		EXPECT_EQ(-EPERM, refused(fd)) { TH_LOG("file %d", i); }
		EXPECT_GT(0, kipc_seal(fd));
		EXPECT_EQ(-EPERM, refused(fd));
		close(fd);
		if (other >= 0)
			close(other);
	}
	/* a name of a file, not the file */
	fd = again(self->fd, O_PATH);
	ASSERT_LE(0, fd);
	EXPECT_EQ(-EBADF, refused(fd));
	EXPECT_EQ(-EBADF, kipc_seal(fd));
	close(fd);
	EXPECT_EQ(-EBADF, refused(fd));
	EXPECT_EQ(-EBADF, kipc_seal(fd));
	EXPECT_EQ(-EBADF, refused(-1));
}

/* One that came in a message, which left its sender */
static int sent(int fd)
{
	int dev = kt_device(), endpoint = kt_private(dev, KIPC_OPEN_FILES, NULL), got = -1;
	char room[8192];
	struct iovec bytes = { room, sizeof(room) };
	const struct kipc_msg out = { .fds = &fd, .nfds = 1 };
	const struct kipc_msg in = { .iov = &bytes, .iovcnt = 1, .fds = &got, .nfds = 1 };
	struct kipc_result result;

	kt_need(kipc_sendmsg(endpoint, &out, 0) == 0);
	close(fd);
	kt_need(kipc_recvmsg(endpoint, &in, &result, 0) == 0 && result.nfds == 1 && got >= 0);
	close(endpoint);
	close(dev);
	return got;
}

TEST_F(memory, one_that_came_in_a_message)
{
	self->fd = sent(self->fd);
	EXPECT_EQ(-EPERM, refused(self->fd));
	ASSERT_EQ(0, kipc_seal(self->fd));
	EXPECT_TRUE(maps(self->fd, SIZE));
	self->fd = sent(self->fd);
	EXPECT_TRUE(maps(self->fd, SIZE));
}

TEST_F(memory, huge_pages_that_are_not_there)
{
	int fd = memfd_create("huge", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_HUGETLB);

	/* Not every kernel has them. To read one that nobody made would be a SIGBUS. */
	if (fd < 0) {
		ASSERT_TRUE(errno == EINVAL || errno == ENOENT || errno == ENOSYS);
		return;
	}
	ASSERT_EQ(0, ftruncate(fd, 2 << 20));
	EXPECT_GT(0, kipc_seal(fd));
	EXPECT_EQ(-EPERM, refused(fd));
	ASSERT_EQ(0, fcntl(fd, F_ADD_SEALS, ALL));
	EXPECT_EQ(-EPERM, refused(fd));
	close(fd);
}

static long too_large(void *arg)
{
	const struct rlimit small = { 4096, 4096 };
	unsigned int fds = kt_open_fds();
	int ret;

	(void)arg;
	signal(SIGXFSZ, SIG_IGN);
	kt_need(!setrlimit(RLIMIT_FSIZE, &small));
	ret = kipc_memfd("large", 4097);
	kt_need(kt_open_fds() == fds);
	return ret;
}

static long no_descriptor(void *arg)
{
	const struct rlimit none = { 0, 0 };

	(void)arg;
	kt_need(!setrlimit(RLIMIT_NOFILE, &none));
	return kipc_memfd("none", 1);
}

TEST_F(memory, memfds_that_cannot_be)
{
	char name[251];

	memset(name, 'n', sizeof(name));
	name[250] = '\0';
	errno = EXDEV;
	EXPECT_EQ(-EINVAL, kipc_memfd(name, 1));
	EXPECT_EQ(-EINVAL, kipc_memfd("empty", 0));
	EXPECT_EQ(-EFBIG, kipc_memfd("huge", SIZE_MAX));
	EXPECT_EQ(EXDEV, errno);
	EXPECT_EQ(-EFBIG, kt_run(KT_FORK, too_large, NULL));
	EXPECT_EQ(-EMFILE, kt_run(KT_FORK, no_descriptor, NULL));
	name[249] = '\0';
	close(self->fd);
	self->fd = kipc_memfd(name, 1);
	EXPECT_LE(0, self->fd);
	EXPECT_EQ(FD_CLOEXEC, fcntl(self->fd, F_GETFD));
}

TEST_HARNESS_MAIN
