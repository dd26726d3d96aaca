// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Files in messages: which kinds travel and work afterwards, which do not; how many;
 * and that they are either where they were or with the receiver, whatever happens.
 */
#include <arpa/inet.h>
#include <linux/netlink.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>

#include "harness.h"
#include "files_common.h"

FIXTURE(files) {
	int dev;
	int fd;			/* all rights */
	int cli;		/* SEND alone */
	unsigned int fds;
};

static int new_endpoint(uint32_t flags)
{
	return kipc_create(NULL, flags, 0600, NULL);
}

FIXTURE_SETUP(files)
{
	self->dev = kt_device();
	self->fd = new_endpoint(KIPC_OPEN_FILES);
	ASSERT_LE(0, self->fd);
	self->cli = kt_again(self->dev, kt_id(self->fd), KIPC_RIGHT_SEND);
	ASSERT_LE(0, self->cli);
	self->fds = kt_open_fds();
}

FIXTURE_TEARDOWN(files)
{
	kt_restore_params();
	close(self->cli);
	close(self->fd);
	close(self->dev);
}

/* ---- kinds ---- */

static bool writes_to(int file, int reader)
{
	char byte = 0;

	return write(file, "w", 1) == 1 && read(reader, &byte, 1) == 1 && byte == 'w';
}

static bool same_bytes(int sent, int got)
{
	char text[8] = "";

	return pwrite(sent, "kept", 4, 0) == 4 && pread(got, text, 4, 0) == 4 &&
	       !strcmp(text, "kept");
}

static int make_file(void)
{
	return open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
}

static int make_memfd(void)
{
	return memfd_create("kept", MFD_CLOEXEC);
}

static int make_proc(void)
{
	return open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
}

static bool works_proc(int sent, int got)
{
	char text[64];

	(void)sent;
	return pread(got, text, sizeof(text) - 1, 0) > 0 && atoi(text) == getpid();
}

static int make_dir(void)
{
	return open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static bool works_dir(int sent, int got)
{
	(void)sent;
	return faccessat(got, "self/stat", R_OK, 0) == 0;
}

static int other_end;

static int make_pipe(void)
{
	return pipe_of(&other_end);
}

static bool works_pipe(int sent, int got)
{
	bool ok = writes_to(got, other_end);

	(void)sent;
	close(other_end);
	return ok;
}

static int make_fifo(void)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/tmp/fifo.%d", getpid());
	if (mkfifo(path, 0600))
		return -1;
	fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	unlink(path);
	return fd;
}

static bool works_fifo(int sent, int got)
{
	return writes_to(got, sent);
}

static int make_eventfd(void)
{
	return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
}

static bool works_eventfd(int sent, int got)
{
	uint64_t count = 0;

	return eventfd_write(got, 3) == 0 && eventfd_read(sent, &count) == 0 && count == 3;
}

static int make_timerfd(void)
{
	return timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
}

static bool works_timerfd(int sent, int got)
{
	const struct itimerspec soon = { .it_value = { .tv_nsec = 1 } };
	uint64_t count = 0;

	return timerfd_settime(got, 0, &soon, NULL) == 0 &&
	       kt_until(read(sent, &count, sizeof(count)) == sizeof(count)) && count == 1;
}

static int make_pidfd(void)
{
	return (int)syscall(SYS_pidfd_open, getpid(), 0);
}

static bool works_pidfd(int sent, int got)
{
	(void)sent;
	return syscall(SYS_pidfd_send_signal, got, 0, NULL, 0) == 0;
}

static int make_inet(void)
{
	return socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static int make_udp(void)
{
	return socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
}

static int make_inet6(void)
{
	return socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static bool works_socket(int sent, int got)
{
	const int on = 1;
	int told = 0;
	socklen_t size = sizeof(told);

	return setsockopt(got, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
	       getsockopt(sent, SOL_SOCKET, SO_REUSEADDR, &told, &size) == 0 && told == 1;
}

static const struct {
	const char *name;
	int (*make)(void);
	bool (*works)(int sent, int got);
	bool optional;		/* not every kernel has it */
} allowed[] = {
	{ "regular file", make_file, same_bytes, false },
	{ "memfd", make_memfd, same_bytes, false },
	{ "file of /proc", make_proc, works_proc, false },
	{ "directory", make_dir, works_dir, false },
	{ "pipe", make_pipe, works_pipe, false },
	{ "FIFO", make_fifo, works_fifo, false },
	{ "eventfd", make_eventfd, works_eventfd, false },
	{ "timerfd", make_timerfd, works_timerfd, false },
	{ "pidfd", make_pidfd, works_pidfd, false },
	{ "TCP socket", make_inet, works_socket, false },
	{ "UDP socket", make_udp, works_socket, false },
	{ "IPv6 socket", make_inet6, works_socket, true },
};

TEST_F(files, each_allowed_kind_works_after_receipt)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(allowed); i++) {
		int sent = allowed[i].make(), got;

		if (sent < 0 && allowed[i].optional)
			continue;
		ASSERT_LE(0, sent) TH_LOG("%s: %m", allowed[i].name);
		EXPECT_EQ(0, send_file(self->cli, sent)) TH_LOG("%s", allowed[i].name);
		got = recv_file(self->fd);
		ASSERT_LE(0, got) TH_LOG("%s", allowed[i].name);
		EXPECT_NE(sent, got);
		EXPECT_EQ(FD_CLOEXEC, fcntl(got, F_GETFD));
		EXPECT_TRUE(allowed[i].works(sent, got)) TH_LOG("%s", allowed[i].name);
		close(sent);
		close(got);
	}
	EXPECT_EQ(self->fds, kt_open_fds());
}

/* The only descriptor goes away before its file is received */
TEST_F(files, a_file_lives_in_a_message_alone)
{
	int reader, writer = pipe_of(&reader);

	ASSERT_EQ(0, send_away(self->cli, writer));
	EXPECT_TRUE(pipe_held(reader));
	writer = recv_file(self->fd);
	ASSERT_LE(0, writer);
	EXPECT_TRUE(writes_to(writer, reader));
	close(writer);
	EXPECT_TRUE(pipe_ended(reader));
	close(reader);
}

static int make_unix(void)
{
	return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static int make_unix_dgram(void)
{
	return socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
}

static int make_netlink(void)
{
	return socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
}

static int make_packet(void)
{
	return socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
}

static int make_epoll(void)
{
	return epoll_create1(EPOLL_CLOEXEC);
}

static int make_signalfd(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	return signalfd(-1, &set, SFD_CLOEXEC);
}

static int make_inotify(void)
{
	return inotify_init1(IN_CLOEXEC);
}

static int make_fanotify(void)
{
	return (int)syscall(SYS_fanotify_init, 0, 0);
}

static int make_userfaultfd(void)
{
	return (int)syscall(SYS_userfaultfd, O_CLOEXEC);
}

static int make_io_uring(void)
{
	char params[120] = { 0 };

	return (int)syscall(SYS_io_uring_setup, 4, params);
}

static int make_bpf_map(void)
{
	uint32_t attr[32] = { 2 /* array */, 4, 4, 1 };

	return (int)syscall(SYS_bpf, 0, attr, sizeof(attr));
}

static int make_perf_event(void)
{
	uint32_t attr[32] = { 1 /* software */, sizeof(attr) };

	/*
	 * Of a CPU, not of a task: for that the kernel would rewrite its scheduler's code, which
	 * QEMU's other CPU runs meanwhile; see scripts/vm-run for what may become of that.
	 */
	return (int)syscall(SYS_perf_event_open, attr, -1, 0, -1, 8 /* close-on-exec */);
}

static int make_secret(void)
{
	return (int)syscall(SYS_memfd_secret, O_CLOEXEC);
}

static int make_namespace(void)
{
	return open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
}

static int make_null(void)
{
	return open("/dev/null", O_RDWR | O_CLOEXEC);
}

static int make_terminal(void)
{
	return posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
}

static int make_device(void)
{
	return kt_device();
}

static int make_path(void)
{
	return open("/proc/self/stat", O_PATH | O_CLOEXEC);
}

static int make_handle_of(uint32_t flags, uint32_t rights)
{
	int dev = kt_device(), all = new_endpoint(flags), fd;

	kt_need(all >= 0);
	fd = kt_again(dev, kt_id(all), rights);
	close(all);
	close(dev);
	return fd;
}

static int make_receiver(void)
{
	return make_handle_of(0, KIPC_RIGHT_RECV);
}

static int make_all_rights(void)
{
	return make_handle_of(0, KT_ALL_RIGHTS);
}

static int make_kept(void)
{
	return make_handle_of(KIPC_OPEN_KEEP_BY_ANY, KIPC_RIGHT_SEND);
}

/* A regular file, to all appearances */
static int make_mqueue(void)
{
	return new_endpoint(KIPC_OPEN_MQUEUE);
}

static int make_control(void)
{
	return make_handle_of(KIPC_OPEN_KEEP_BY_ANY, KIPC_RIGHT_SEND | KIPC_RIGHT_CONTROL);
}

static const struct {
	const char *name;
	int (*make)(void);
	bool optional;
} refused[] = {
	{ "UNIX stream socket", make_unix, false },
	{ "UNIX datagram socket", make_unix_dgram, false },
	{ "netlink socket", make_netlink, false },
	{ "packet socket", make_packet, true },
	{ "epoll", make_epoll, false },
	{ "signalfd", make_signalfd, false },
	{ "inotify", make_inotify, true },
	{ "fanotify", make_fanotify, true },
	{ "userfaultfd", make_userfaultfd, true },
	{ "io_uring", make_io_uring, true },
	{ "BPF map", make_bpf_map, true },
	{ "perf event", make_perf_event, true },
	{ "secret memory", make_secret, true },
	{ "namespace", make_namespace, false },
	{ "/dev/null", make_null, false },
	{ "terminal", make_terminal, false },
	{ "/dev/kipc", make_device, false },
	{ "O_PATH", make_path, false },
	{ "RECV handle", make_receiver, false },
	{ "handle with all rights", make_all_rights, false },
	{ "SEND handle of a KEEP_BY_ANY endpoint", make_kept, false },
	{ "CONTROL handle", make_control, false },
	{ "handle with MQUEUE", make_mqueue, false },
};

TEST_F(files, each_refused_kind_is_refused)
{
	unsigned int tried = 0;

	for (unsigned int i = 0; i < ARRAY_SIZE(refused); i++) {
		int file = refused[i].make();

		if (file < 0 && refused[i].optional)
			continue;
		ASSERT_LE(0, file) TH_LOG("%s: %m", refused[i].name);
		tried++;
		EXPECT_EQ(-EOPNOTSUPP, send_file(self->cli, file)) TH_LOG("%s", refused[i].name);
		close(file);
	}
	EXPECT_LE(13, tried);
	EXPECT_EQ(0, kt_stat(self->fd).msgs);
	EXPECT_EQ(self->fds, kt_open_fds());
}

/* ---- how many, and where ---- */

TEST_F(files, sixteen_and_in_order)
{
	int sent[KIPC_FILES_MAX + 1], got[KIPC_FILES_MAX];
	struct kipc_result result;

	for (unsigned int i = 0; i < KIPC_FILES_MAX; i++)
		sent[i] = make_memfd();
	for (unsigned int i = 0; i < KIPC_FILES_MAX; i++)
		ASSERT_EQ(4, pwrite(sent[i], &i, sizeof(i), 0));
	sent[KIPC_FILES_MAX] = sent[0];
	EXPECT_EQ(-EINVAL, send_files(self->cli, 0, sent, KIPC_FILES_MAX + 1));
	ASSERT_EQ(0, send_files(self->cli, 0, sent, KIPC_FILES_MAX));
	ASSERT_EQ(TEXT_SIZE, recv_files(self->fd, 0, got, KIPC_FILES_MAX, &result));
	EXPECT_EQ(KIPC_FILES_MAX, result.nfds);
	EXPECT_EQ(0, result.flags);
	for (unsigned int i = 0; i < KIPC_FILES_MAX; i++) {
		unsigned int number;

		ASSERT_EQ(4, pread(got[i], &number, sizeof(number), 0));
		EXPECT_EQ(i, number);
		EXPECT_EQ(FD_CLOEXEC, fcntl(got[i], F_GETFD));
		close(sent[i]);
		close(got[i]);
	}
	EXPECT_EQ(self->fds, kt_open_fds());
}

TEST_F(files, one_file_twice_is_two_descriptors)
{
	int file = make_memfd(), sent[2] = { file, file }, got[2];
	struct kipc_result result;

	ASSERT_EQ(0, send_files(self->cli, 0, sent, 2));
	ASSERT_EQ(TEXT_SIZE, recv_files(self->fd, 0, got, 2, &result));
	EXPECT_NE(got[0], got[1]);
	EXPECT_TRUE(same_bytes(got[0], got[1]));
	close(file);
	close(got[0]);
	close(got[1]);
}

TEST_F(files, a_bad_descriptor_in_the_middle_sends_nothing)
{
	int reader, writer = pipe_of(&reader), dir = make_dir();
	int bad[] = { -1, 1000, make_epoll() };

	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		int sent[3] = { writer, bad[i], dir };

		EXPECT_EQ(i < 2 ? -EBADF : -EOPNOTSUPP, send_files(self->cli, 0, sent, 3));
	}
	EXPECT_EQ(0, kt_stat(self->fd).msgs);
	close(writer);
	EXPECT_TRUE(pipe_ended(reader));
	close(reader);
	close(dir);
	close(bad[2]);
	EXPECT_EQ(self->fds, kt_open_fds());
}

TEST_F(files, only_an_endpoint_with_FILES_takes_them)
{
	int fd = new_endpoint(0), reader, writer = pipe_of(&reader);

	ASSERT_LE(0, fd);
	EXPECT_EQ(-EOPNOTSUPP, send_away(fd, writer));
	EXPECT_TRUE(pipe_ended(reader));
	EXPECT_EQ(0, kt_stat(fd).msgs);
	EXPECT_EQ(0, kt_stat(fd).flags & KIPC_ENDPOINT_FILES);
	EXPECT_EQ(KIPC_ENDPOINT_FILES, kt_stat(self->fd).flags & KIPC_ENDPOINT_FILES);
	EXPECT_EQ(-EINVAL, new_endpoint(KIPC_OPEN_FILES | KIPC_OPEN_PERSIST));
	close(fd);
	close(reader);
}

TEST_F(files, too_little_room_leaves_the_message_in_its_place)
{
	int sent[3] = { make_memfd(), make_dir(), make_eventfd() }, got[3];
	struct kipc_result result;

	ASSERT_EQ(0, send_files(self->cli, 0, sent, 3));
	ASSERT_EQ(0, send_files(self->cli, 0, NULL, 0));
	for (unsigned int room = 0; room < 3; room++) {
		EXPECT_EQ(-EMSGSIZE, recv_files(self->fd, 0, got, room, &result));
		EXPECT_EQ(3, result.nfds);
		EXPECT_EQ(TEXT_SIZE, result.size);
		EXPECT_EQ(2, kt_stat(self->fd).msgs);
	}
	EXPECT_EQ(self->fds + 3, kt_open_fds());
	ASSERT_EQ(TEXT_SIZE, recv_files(self->fd, 0, got, 3, &result));
	EXPECT_EQ(3, result.nfds);
	EXPECT_TRUE(same_bytes(sent[0], got[0]));
	EXPECT_EQ(1, kt_stat(self->fd).msgs);
	for (unsigned int i = 0; i < 3; i++) {
		close(sent[i]);
		close(got[i]);
	}
}

TEST_F(files, a_receiver_that_waits_with_too_little_room_is_told)
{
	struct job *job = jobs_new(1);
	int file = make_memfd(), got = -1;
	struct kipc_result result;

	kt_one_cpu();
	job->fd = self->fd;
	job_start(job, job_recv);
	await_asleep(job);
	/* It is passed by: the message is in the queue before it runs */
	kt_go_first(true);
	ASSERT_EQ(0, send_file(self->cli, file));
	EXPECT_EQ(TEXT_SIZE, recv_files(self->fd, KIPC_NONBLOCK, &got, 1, &result));
	EXPECT_FALSE(job->done);
	kt_go_first(false);
	EXPECT_EQ(0, job_join(job));
	EXPECT_EQ(-EMSGSIZE, job->ret);
	EXPECT_EQ(1, job->result.nfds);
	EXPECT_LE(0, got);
	close(file);
	close(got);
}

TEST_F(files, NOFILES_drops_them_and_says_so)
{
	int reader, got[2] = { -7, -7 };
	struct kipc_result result;

	ASSERT_EQ(0, send_away(self->cli, pipe_of(&reader)));
	ASSERT_EQ(TEXT_SIZE, recv_files(self->fd, KIPC_NOFILES, got, 2, &result));
	EXPECT_EQ(0, result.nfds);
	EXPECT_EQ(KIPC_RESULT_FILES_DROPPED, result.flags);
	EXPECT_EQ(-7, got[0]);
	EXPECT_TRUE(pipe_ended(reader));
	close(reader);
	/* and says nothing where there were none */
	ASSERT_EQ(0, send_files(self->cli, 0, NULL, 0));
	ASSERT_EQ(TEXT_SIZE, recv_files(self->fd, KIPC_NOFILES, got, 2, &result));
	EXPECT_EQ(0, result.flags);
	EXPECT_EQ(self->fds, kt_open_fds());
}

TEST_F(files, TRUNCATE_takes_what_there_is_room_for)
{
	int readers[2], sent[2] = { pipe_of(&readers[0]), pipe_of(&readers[1]) };
	int got[2] = { -7, -7 };
	struct kipc_result result;

	ASSERT_EQ(0, send_files(self->cli, 0, sent, 2));
	close(sent[0]);
	close(sent[1]);
	ASSERT_EQ(TEXT_SIZE, recv_files(self->fd, KIPC_TRUNCATE, got, 1, &result));
	EXPECT_EQ(1, result.nfds);
	EXPECT_EQ(KIPC_RESULT_FILES_DROPPED, result.flags);
	EXPECT_EQ(-7, got[1]);
	EXPECT_TRUE(writes_to(got[0], readers[0]));
	EXPECT_TRUE(pipe_ended(readers[1]));
	close(got[0]);
	EXPECT_TRUE(pipe_ended(readers[0]));
	close(readers[0]);
	close(readers[1]);
}

TEST_F(files, PEEK_tells_how_many_and_takes_none)
{
	int reader, got[2] = { -7, -7 };
	struct kipc_result result;

	ASSERT_EQ(0, send_away(self->cli, pipe_of(&reader)));
	for (unsigned int room = 0; room < 3; room++) {
		ASSERT_EQ(TEXT_SIZE, recv_files(self->fd, KIPC_PEEK, got, room, &result));
		EXPECT_EQ(1, result.nfds);
		EXPECT_EQ(0, result.flags);
		EXPECT_EQ(-7, got[0]);
	}
	EXPECT_EQ(self->fds + 1, kt_open_fds());
	ASSERT_EQ(TEXT_SIZE, recv_files(self->fd, KIPC_NOFILES, NULL, 0, &result));
	EXPECT_TRUE(pipe_ended(reader));
	close(reader);
}

/* There is nowhere to put them, and nobody to ask for them */
TEST_F(files, read_drops_them)
{
	int fd = new_endpoint(KIPC_OPEN_FILES | KIPC_OPEN_ONEWAY), reader;
	char text[TEXT_SIZE];

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, send_away(fd, pipe_of(&reader)));
	EXPECT_EQ(TEXT_SIZE, read(fd, text, sizeof(text)));
	EXPECT_EQ(0, memcmp(text, TEXT, TEXT_SIZE));
	EXPECT_TRUE(pipe_ended(reader));
	close(reader);
	close(fd);
	EXPECT_EQ(self->fds, kt_open_fds());
}

TEST_F(files, by_id_through_device_files)
{
	struct kipc_op_send send = kt_send_op(TEXT, TEXT_SIZE);
	struct kipc_op_recv recv;
	char text[8192];
	int file = make_memfd(), got = -1;

	send.endpoint = kt_id(self->fd);
	send.payload.fds = kt_ptr(&file);
	send.payload.nfds = 1;
	ASSERT_EQ(0, kt_op_send(self->dev, &send));
	recv = kt_recv_op(text, sizeof(text), NULL);
	recv.endpoint = send.endpoint;
	recv.payload.fds = kt_ptr(&got);
	recv.payload.nfds = 1;
	ASSERT_EQ(TEXT_SIZE, kt_op_recv(self->dev, &recv));
	EXPECT_TRUE(same_bytes(file, got));
	close(file);
	close(got);
}

/* ---- what fails ---- */

TEST_F(files, p02_a_full_descriptor_table_leaves_the_message)
{
	int sent[3] = { make_memfd(), make_memfd(), make_memfd() }, got[3];
	struct kipc_result result;

	ASSERT_EQ(0, send_files(self->cli, 0, sent, 3));
	for (unsigned int room = 0; room < 3; room++) {
		limit_fds(room);
		EXPECT_EQ(-EMFILE, recv_files(self->fd, 0, got, 3, &result));
		unlimit_fds();
		EXPECT_EQ(0, result.nfds);
		EXPECT_EQ(1, kt_stat(self->fd).msgs);
		EXPECT_EQ(self->fds + 3, kt_open_fds());
	}
	limit_fds(3);
	EXPECT_EQ(TEXT_SIZE, recv_files(self->fd, 0, got, 3, &result));
	unlimit_fds();
	EXPECT_EQ(self->fds + 6, kt_open_fds());
	for (unsigned int i = 0; i < 3; i++) {
		close(sent[i]);
		close(got[i]);
	}
}

TEST_F(files, p03_bad_addresses_send_nothing)
{
	struct kipc_op_send send = kt_send_op(TEXT, TEXT_SIZE);
	int reader, writer = pipe_of(&reader);
	char *hole = kt_hole();

	memcpy(hole - sizeof(int), &writer, sizeof(int));
	send.payload.nfds = 2;
	send.payload.fds = kt_ptr(hole - sizeof(int));
	EXPECT_EQ(-EFAULT, kt_op_send(self->cli, &send));
	send.payload.fds = kt_ptr(hole);
	EXPECT_EQ(-EFAULT, kt_op_send(self->cli, &send));
	EXPECT_EQ(0, kt_stat(self->fd).msgs);
	close(writer);
	EXPECT_TRUE(pipe_ended(reader));
	close(reader);
}

TEST_F(files, p02_bad_addresses_leave_the_message)
{
	char *hole = kt_hole(), text[8192];
	struct kipc_op_recv recv;
	int sent[2] = { make_memfd(), make_dir() }, got[2];
	struct kipc_result result;

	ASSERT_EQ(0, send_files(self->cli, 0, sent, 2));
	for (unsigned int i = 0; i < 4; i++) {
		recv = kt_recv_op(text, sizeof(text), &result);
		recv.payload.nfds = 2;
		recv.payload.fds = kt_ptr(got);
		switch (i) {
		case 0:
			recv.payload.fds = kt_ptr(hole);
			break;
		case 1:
			recv.payload.fds = kt_ptr(hole - sizeof(int));
			break;
		case 2:
			recv.result = kt_ptr(hole);
			break;
		case 3:
			recv.payload.base = kt_ptr(hole);
			break;
		}
		EXPECT_EQ(-EFAULT, kt_op_recv(self->fd, &recv)) TH_LOG("%u", i);
		EXPECT_EQ(1, kt_stat(self->fd).msgs);
		EXPECT_EQ(self->fds + 2, kt_open_fds());
	}
	ASSERT_EQ(TEXT_SIZE, recv_files(self->fd, 0, got, 2, &result));
	EXPECT_TRUE(same_bytes(sent[0], got[0]));
	for (unsigned int i = 0; i < 2; i++) {
		close(sent[i]);
		close(got[i]);
	}
}

static void job_recv_file(struct job *job)
{
	struct iovec out = { job_out(job), job->room };
	int file = -1;
	struct kipc_msg msg = {
		.flags = KIPC_ANYSIZE | job->head.flags, .iov = &out, .iovcnt = 1,
		.fds = &file, .nfds = 1,
	};

	job->ret = kipc_recvmsg(job->fd, &msg, job_result(job), job->timeout);
	if (job->ret > 0 && !(job->head.flags & KIPC_NOFILES))
		job->way = write(file, "w", 1) == 1;
	job_fetch(job);
}

/* Half done: its descriptors are reserved already, its result is not stored */
TEST_F(files, p02_a_receiver_killed_in_its_copy_leaves_the_files)
{
	struct job *job = jobs_new(1);
	int reader, writer;

	ASSERT_EQ(0, send_away(self->cli, pipe_of(&reader)));
	job->fd = self->fd;
	job->stall = STALL_RESULT;
	job_start(job, job_recv_file);
	await_stalled(job);
	EXPECT_TRUE(job_kill(job));
	await_stat(self->fd, msgs, 1);
	EXPECT_TRUE(pipe_held(reader));
	writer = recv_file(self->fd);
	ASSERT_LE(0, writer);
	EXPECT_TRUE(writes_to(writer, reader));
	close(writer);
	EXPECT_TRUE(pipe_ended(reader));
	close(reader);
}

TEST_F(files, p08_removal_closes_what_is_queued)
{
	int readers[3];

	for (unsigned int i = 0; i < 3; i++)
		ASSERT_EQ(0, send_away(self->cli, pipe_of(&readers[i])));
	EXPECT_TRUE(pipe_held(readers[0]));
	ASSERT_EQ(0, kipc_remove(self->fd, 0));
	for (unsigned int i = 0; i < 3; i++) {
		EXPECT_TRUE(pipe_ended(readers[i]));
		close(readers[i]);
	}
	EXPECT_EQ(-EIDRM, send_away(self->cli, pipe_of(&readers[0])));
	EXPECT_TRUE(pipe_ended(readers[0]));
	close(readers[0]);
}

TEST_F(files, p08_removal_during_the_copy_closes_them)
{
	struct job *job = jobs_new(1);
	int reader;

	ASSERT_EQ(0, send_away(self->cli, pipe_of(&reader)));
	job->fd = self->fd;
	job->stall = STALL_RESULT;
	job_start(job, job_recv_file);
	await_stalled(job);
	ASSERT_EQ(0, kipc_remove(self->fd, 0));
	job_release(job);
	EXPECT_EQ(0, job_join(job));
	EXPECT_EQ(-EIDRM, job->ret);
	EXPECT_TRUE(pipe_ended(reader));
	close(reader);
}

TEST_F(files, the_last_receiver_closes_what_is_queued)
{
	int reader;

	ASSERT_EQ(0, send_away(self->cli, pipe_of(&reader)));
	close(self->fd);
	EXPECT_TRUE(pipe_ended(reader));
	close(reader);
}

/* A sender that waits and leaves takes its files with it, wherever they are */
TEST_F(files, who_leaves_leaves_no_files)
{
	struct job *job = jobs_new(1), *receiver = jobs_new(1);
	int reader, writer;

	for (unsigned int claimed = 0; claimed < 2; claimed++) {
		writer = pipe_of(&reader);
		job->fd = self->cli;
		job->head.flags = KIPC_SYNC;
		job->head.fds = &writer;
		job->head.nfds = 1;
		job->size = 5;
		job->close_fds[0] = 0;
		job_start(job, job_send);
		await_asleep(job);
		close(writer);
		if (claimed) {
			receiver->fd = self->fd;
			receiver->stall = STALL_RESULT;
			receiver->timeout = 0;
			job_start(receiver, job_recv_file);
			await_stalled(receiver);
		}
		EXPECT_TRUE(job_kill(job));
		if (claimed) {
			job_release(receiver);
			EXPECT_EQ(0, job_join(receiver));
			EXPECT_EQ(-EAGAIN, receiver->ret);
		}
		EXPECT_TRUE(pipe_ended(reader));
		close(reader);
	}
	EXPECT_TRUE(kt_quiet(self->fd));
}

TEST_F(files, a_message_that_cannot_be_admitted_keeps_none)
{
	const struct kipc_attr attr = { .max_msgs = 1 };
	int fd = kipc_create(NULL, KIPC_OPEN_FILES, 0600, &attr), readers[2];

	ASSERT_LE(0, fd);
	EXPECT_EQ(0, send_away(fd, pipe_of(&readers[0])));
	EXPECT_EQ(-EAGAIN, send_away(fd, pipe_of(&readers[1])));
	EXPECT_TRUE(pipe_ended(readers[1]));
	EXPECT_TRUE(pipe_held(readers[0]));
	close(fd);
	EXPECT_TRUE(pipe_ended(readers[0]));
	close(readers[0]);
	close(readers[1]);
}

/* ---- who pays ---- */

static long send_memfds(int fd, unsigned int n)
{
	int sent[KIPC_FILES_MAX];
	long ret;

	for (unsigned int i = 0; i < n; i++)
		sent[i] = make_memfd();
	ret = send_files(fd, 0, sent, n);
	for (unsigned int i = 0; i < n; i++)
		close(sent[i]);
	return ret;
}

TEST_F(files, p10_files_in_flight_are_the_senders)
{
	struct kipc_result result;
	int got[3];

	kt_set_param("user_files_max", 3);
	EXPECT_EQ(-EDQUOT, kt_do_as(KT_UID_A, send_memfds(self->cli, 4)));
	EXPECT_EQ(0, kt_do_as(KT_UID_A, send_memfds(self->cli, 2)));
	EXPECT_EQ(-EDQUOT, kt_do_as(KT_UID_A, send_memfds(self->cli, 2)));
	EXPECT_EQ(0, kt_do_as(KT_UID_A, send_memfds(self->cli, 1)));
	EXPECT_EQ(-EDQUOT, kt_do_as(KT_UID_A, send_memfds(self->cli, 1)));
	/* messages without any, and other users, go on; root is counted only */
	EXPECT_EQ(0, kt_do_as(KT_UID_A, send_memfds(self->cli, 0)));
	EXPECT_EQ(0, kt_do_as(KT_UID_B, send_memfds(self->cli, 3)));
	EXPECT_EQ(0, send_memfds(self->cli, 4));

	/* given back by whoever receives them, */
	ASSERT_EQ(TEXT_SIZE, recv_files(self->fd, 0, got, 3, &result));
	EXPECT_EQ(0, kt_do_as(KT_UID_A, send_memfds(self->cli, 2)));
	EXPECT_EQ(-EDQUOT, kt_do_as(KT_UID_A, send_memfds(self->cli, 1)));
	close(got[0]);
	close(got[1]);
	/* or drops them, */
	ASSERT_EQ(TEXT_SIZE, recv_files(self->fd, KIPC_NOFILES, NULL, 0, &result));
	EXPECT_EQ(0, kt_do_as(KT_UID_A, send_memfds(self->cli, 1)));
	EXPECT_EQ(-EDQUOT, kt_do_as(KT_UID_A, send_memfds(self->cli, 1)));
	/* and by what was not sent after all */
	EXPECT_EQ(0, kipc_remove(self->fd, 0));
	close(self->fd);
	self->fd = new_endpoint(KIPC_OPEN_FILES);
	close(self->cli);
	self->cli = kt_again(self->dev, kt_id(self->fd), KIPC_RIGHT_SEND);
	EXPECT_EQ(0, kt_do_as(KT_UID_A, send_memfds(self->cli, 3)));
	EXPECT_EQ(-EDQUOT, kt_do_as(KT_UID_A, send_memfds(self->cli, 1)));
}

TEST_F(files, p10_what_was_not_sent_is_not_charged)
{
	const struct kipc_attr attr = { .max_msgs = 1 };
	int fd = kipc_create(NULL, KIPC_OPEN_FILES, 0600, &attr), epoll = make_epoll();

	kt_set_param("user_files_max", 1);
	ASSERT_LE(0, fd);
	for (unsigned int i = 0; i < 3; i++)
		EXPECT_EQ(-EOPNOTSUPP, kt_do_as(KT_UID_A, send_file(fd, epoll)));
	EXPECT_EQ(0, send_files(fd, 0, NULL, 0));
	for (unsigned int i = 0; i < 3; i++)
		EXPECT_EQ(-EAGAIN, kt_do_as(KT_UID_A, send_memfds(fd, 1)));
	EXPECT_EQ(0, kt_do_as(KT_UID_A, send_memfds(self->cli, 1)));
	EXPECT_EQ(-EDQUOT, kt_do_as(KT_UID_A, send_memfds(self->cli, 1)));
	close(epoll);
	close(fd);
}

TEST_F(files, p10_the_files_of_a_reply_are_the_repliers)
{
	struct job *job = jobs_new(1);
	struct kipc_result result;
	char text[16];
	int got[2], sent[2] = { make_memfd(), make_memfd() };

	kt_set_param("user_files_max", 1);
	job->fd = self->cli;
	job->head.fds = got;
	job->head.nfds = 2;
	job_start(job, job_rpc_files);
	ASSERT_TRUE(kt_until(kt_recv(self->fd, 0, 0, 0, text, sizeof(text), &result) == 0));
	EXPECT_EQ(-EDQUOT, kt_do_as(KT_UID_A, reply_files(self->fd, result.token, sent, 2)));
	EXPECT_EQ(0, kt_do_as(KT_UID_A, reply_files(self->fd, result.token, sent, 1)));
	EXPECT_EQ(0, job_join(job));
	EXPECT_EQ(TEXT_SIZE, job->ret);
	EXPECT_EQ(1, job->result.nfds);
	EXPECT_EQ(0, kt_do_as(KT_UID_A, send_memfds(self->cli, 1)));
	close(sent[0]);
	close(sent[1]);
}

/* What a server has answered is not held against it by a caller that does not collect it */
TEST_F(files, p10_an_uncollected_reply_is_its_callers)
{
	struct job *job = jobs_new(1);
	struct iovec in = { TEXT, TEXT_SIZE };
	const struct kipc_msg req = { .iov = &in, .iovcnt = 1 };
	struct kipc_result result;
	char text[16];
	struct iovec out = { text, sizeof(text) };
	int got[2], sent[2] = { make_memfd(), make_memfd() };
	struct kipc_msg room = { .iov = &out, .iovcnt = 1, .fds = got, .nfds = 2 };

	kt_set_param("user_files_max", 2);
	job->fd = self->cli;
	job->head.fds = got;
	job->head.nfds = 2;
	job->size = TEXT_SIZE;
	job->catches = true;
	job_start_as(job, KT_AS(KT_UID_B), job_rpc_files);
	ASSERT_TRUE(kt_until(kt_recv(self->fd, 0, 0, 0, text, sizeof(text), &result) ==
			     TEXT_SIZE));
	ASSERT_TRUE(job_signal(job));
	EXPECT_EQ(0, job_join(job));
	ASSERT_EQ(-EINTR, job->ret);
	ASSERT_NE(0, job->result.token);
	EXPECT_EQ(0, kt_do_as(KT_UID_B, send_memfds(self->cli, 1)));
	EXPECT_EQ(0, kt_do_as(KT_UID_A, reply_files(self->fd, result.token, sent, 2)));
	EXPECT_EQ(0, kt_do_as(KT_UID_A, send_memfds(self->cli, 2)));
	EXPECT_EQ(-EDQUOT, kt_do_as(KT_UID_A, send_memfds(self->cli, 1)));

	/* Who has too many neither sends nor asks for more */
	EXPECT_EQ(-EDQUOT, kt_do_as(KT_UID_B, send_memfds(self->cli, 1)));
	EXPECT_EQ(-EDQUOT, kt_do_as(KT_UID_B, kipc_rpcmsg(self->cli, &req, &room, &result, 0)));
	EXPECT_EQ(TEXT_SIZE, kipc_rpc_finish(self->cli, job->result.token, &room, &result, 0));
	EXPECT_EQ(2, result.nfds);
	EXPECT_EQ(0, kt_do_as(KT_UID_B, send_memfds(self->cli, 1)));
	EXPECT_EQ(-EDQUOT, kt_do_as(KT_UID_B, send_memfds(self->cli, 1)));
	close(got[0]);
	close(got[1]);
	close(sent[0]);
	close(sent[1]);
}

TEST_F(files, a_receiver_of_another_user)
{
	struct job *job = jobs_new(1);
	int reader;

	ASSERT_EQ(0, send_away(self->cli, pipe_of(&reader)));
	job->fd = self->fd;
	job_start_as(job, KT_AS(KT_UID_B), job_recv_file);
	EXPECT_EQ(0, job_join(job));
	EXPECT_EQ(TEXT_SIZE, job->ret);
	EXPECT_EQ(1, job->way);
	EXPECT_EQ(1, job->result.nfds);
	EXPECT_TRUE(kt_until(read(reader, &(char){ 0 }, 1) == 1));
	EXPECT_TRUE(pipe_ended(reader));
	close(reader);
}

/* ---- batches ---- */

static long recv_batch(int fd, uint32_t flags, struct kipc_result *results)
{
	char text[64];
	struct iovec out = { text, sizeof(text) };
	const struct kipc_msg msg = {
		.flags = flags | KIPC_ANYSIZE, .iov = &out, .iovcnt = 1,
	};

	return kipc_recv_batch(fd, &msg, results, 4, 0);
}

TEST_F(files, a_batch_ends_before_a_message_with_files)
{
	struct kipc_result results[4];
	int readers[2], writer;

	ASSERT_EQ(0, send_files(self->cli, 0, NULL, 0));
	ASSERT_EQ(0, send_away(self->cli, pipe_of(&readers[0])));
	ASSERT_EQ(0, send_files(self->cli, 0, NULL, 0));
	ASSERT_EQ(0, send_away(self->cli, pipe_of(&readers[1])));
	EXPECT_EQ(1, recv_batch(self->fd, 0, results));
	EXPECT_EQ(-EMSGSIZE, recv_batch(self->fd, 0, results));
	EXPECT_EQ(1, results[0].nfds);
	EXPECT_EQ(3, kt_stat(self->fd).msgs);
	writer = recv_file(self->fd);
	EXPECT_TRUE(writes_to(writer, readers[0]));
	close(writer);
	EXPECT_EQ(2, recv_batch(self->fd, KIPC_NOFILES, results));
	EXPECT_EQ(0, results[0].flags);
	EXPECT_EQ(KIPC_RESULT_FILES_DROPPED, results[1].flags);
	EXPECT_EQ(0, results[1].nfds);
	EXPECT_TRUE(pipe_ended(readers[1]));
	close(readers[0]);
	close(readers[1]);
	EXPECT_EQ(self->fds, kt_open_fds());
}

/* ---- who lets go waits for nobody ---- */

static bool loopback_up(void)
{
	struct ifreq ifr = { .ifr_name = "lo" };
	int fd = make_udp();
	bool up;

	up = ioctl(fd, SIOCGIFFLAGS, &ifr) == 0;
	ifr.ifr_flags |= IFF_UP;
	up = up && ioctl(fd, SIOCSIFFLAGS, &ifr) == 0;
	close(fd);
	return up;
}

/* A connection whose end is waited for until the other one has read, for a minute */
static int lingering_socket(int *peer)
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	const struct linger linger = { .l_onoff = 1, .l_linger = 60 };
	socklen_t size = sizeof(address);
	int listener = make_inet(), fd = make_inet();
	char some[4096] = { 0 };
	int left;

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	kt_need(!bind(listener, (struct sockaddr *)&address, size) && !listen(listener, 1));
	kt_need(!getsockname(listener, (struct sockaddr *)&address, &size));
	kt_need(!connect(fd, (struct sockaddr *)&address, size));
	*peer = accept(listener, NULL, NULL);
	kt_need(*peer >= 0);
	close(listener);
	/* What is full now need not be when the other side has acknowledged what it got */
	for (unsigned int idle = 0; idle < 50; idle++) {
		while (send(fd, some, sizeof(some), MSG_DONTWAIT) > 0)
			idle = 0;
		kt_nap();
	}
	kt_need(!ioctl(fd, SIOCOUTQ, &left) && left > 0);
	kt_need(!setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)));
	return fd;
}

TEST_F(files, who_drops_a_socket_does_not_linger)
{
	struct kipc_result result;
	uint64_t start;
	int peer;

	kt_need(!unshare(CLONE_NEWNET));
	if (!loopback_up())
		SKIP(return, "no loopback interface");
	ASSERT_EQ(0, send_away(self->cli, lingering_socket(&peer)));
	start = kt_now();
	ASSERT_EQ(TEXT_SIZE, recv_files(self->fd, KIPC_NOFILES, NULL, 0, &result));
	EXPECT_GT(10000 * KT_MS, kt_now() - start);
	close(peer);
}

/* Nor who holds it already, and is not given it after all */
TEST_F(files, who_was_about_to_receive_a_socket_does_not_linger)
{
	struct job *job = jobs_new(1);
	int peer;

	kt_need(!unshare(CLONE_NEWNET));
	if (!loopback_up())
		SKIP(return, "no loopback interface");
	ASSERT_EQ(0, send_away(self->cli, lingering_socket(&peer)));
	job->fd = self->fd;
	job->stall = STALL_RESULT;
	job_start(job, job_recv_file);
	await_stalled(job);
	ASSERT_EQ(0, kipc_remove(self->fd, 0));
	job_release(job);
	EXPECT_EQ(0, job_join(job));
	EXPECT_EQ(-EIDRM, job->ret);
	close(peer);
}

TEST_HARNESS_MAIN
