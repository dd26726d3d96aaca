// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The file that a queue is: fstat(2), fchmod(2), fchown(2), futimens(3), ftruncate(2),
 * flock(2), fcntl(2), its link in /proc. mqueue(7) makes it a regular file.
 */
#include <linux/capability.h>
#include <linux/mount.h>
#include <sys/fanotify.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/vfs.h>

#include "dropin_posixmq.h"

FIXTURE(file) {
	struct shared *shared;
	const char *name;
};

FIXTURE_SETUP(file)
{
	self->shared = kt_new(struct shared);
	self->name = self->shared->name;
	new_name(self->shared->name, sizeof(self->shared->name));
	umask(022);
}

FIXTURE_TEARDOWN(file)
{
	mq_unlink(self->name);
}

TEST_F(file, the_queues_are_those_that_are_meant)
{
	mqd_t queue = make_queue(self->name, O_RDWR, 1);

	ASSERT_LE(0, queue);
	EXPECT_TRUE(is_meant(queue, self->name));
}

/* ---- owner and rights ---- */

struct changing {
	mqd_t queue;
	mode_t mode;
	uid_t uid;
	gid_t gid;
};

static long change_mode(void *arg)
{
	const struct changing *to = arg;

	return outcome(fchmod(to->queue, to->mode));
}

static long change_owner(void *arg)
{
	const struct changing *to = arg;

	return outcome(fchown(to->queue, to->uid, to->gid));
}

static struct stat status_of(mqd_t queue)
{
	struct stat st;

	kt_need(!fstat(queue, &st));
	return st;
}

/* A queue of KT_UID_A with this mode, and a descriptor of it */
static mqd_t make_as_a(struct opening *opening, const char *name, mode_t mode)
{
	umask(0);
	strcpy(opening->name, name);
	opening->oflag = O_RDWR | O_CREAT | O_EXCL;
	opening->mode = mode;
	kt_need(!kt_run(AS_A, open_as, opening));
	return mq_open(name, O_RDWR | O_NONBLOCK);
}

TEST_F(file, fstat_tells_of_a_file)
{
	struct opening *opening = kt_new(struct opening);
	time_t before = time(NULL);
	mqd_t queue = make_as_a(opening, self->name, 0642), other;
	struct stat st, again;

	ASSERT_LE(0, queue);
	st = status_of(queue);
	EXPECT_EQ((mode_t)(S_IFREG | 0642), st.st_mode);
	EXPECT_EQ(KT_UID_A, st.st_uid);
	EXPECT_EQ(KT_UID_A, st.st_gid);
	EXPECT_EQ(1, (int)st.st_nlink);
	EXPECT_EQ(80, st.st_size);
	EXPECT_EQ(0, st.st_blocks);
	EXPECT_EQ(4096, st.st_blksize);
	EXPECT_EQ(0, (int)st.st_rdev);
	EXPECT_LE(before, st.st_atime);
	EXPECT_LE(before, st.st_mtime);
	EXPECT_LE(before, st.st_ctime);
	EXPECT_GE(time(NULL), st.st_mtime);
	/* However often it is open it is the same file, and another queue is another */
	again = status_of(mq_open(self->name, O_RDONLY));
	EXPECT_EQ(st.st_ino, again.st_ino);
	EXPECT_EQ(st.st_dev, again.st_dev);
	strcat(opening->name, ".other");
	other = mq_open(opening->name, O_RDWR | O_CREAT, 0600, NULL);
	ASSERT_LE(0, other);
	EXPECT_NE(st.st_ino, status_of(other).st_ino);
	EXPECT_EQ(st.st_dev, status_of(other).st_dev);
	EXPECT_WORKS(mq_unlink(opening->name));
	EXPECT_WORKS(mq_unlink(self->name));
	EXPECT_EQ(0, (int)status_of(queue).st_nlink);
	EXPECT_EQ(st.st_ino, status_of(queue).st_ino);
}

TEST_F(file, fstat_tells_when_it_was_used)
{
	mqd_t queue = make_queue(self->name, O_RDWR, 2);
	struct stat made, st;
	char buf[65];
	time_t now;

	ASSERT_LE(0, queue);
	made = status_of(queue);
	usleep(1100000);
	EXPECT_EQ(made.st_mtime, status_of(queue).st_mtime);
	now = time(NULL);
	EXPECT_WORKS(put(queue, "x", 0));
	st = status_of(queue);
	EXPECT_LE(now, st.st_mtime);
	EXPECT_LE(now, st.st_atime);
	EXPECT_LE(now, st.st_ctime);
	usleep(1100000);
	now = time(NULL);
	EXPECT_EQ(1, take(queue, buf, NULL));
	st = status_of(queue);
	EXPECT_LE(now, st.st_mtime);
	EXPECT_LE(now, st.st_atime);
	usleep(1100000);
	now = time(NULL);
	EXPECT_WORKS(fchmod(queue, 0640));
	made = status_of(queue);
	EXPECT_LE(now, made.st_ctime);
	EXPECT_EQ(st.st_mtime, made.st_mtime);
}

TEST_F(file, fchmod_says_who_may)
{
	struct changing *to = kt_new(struct changing);
	struct opening *opening = kt_new(struct opening);

	to->queue = make_as_a(opening, self->name, 0600);
	ASSERT_LE(0, to->queue);
	EXPECT_EQ(0, openings(opening, AS_B));
	to->mode = 0604;
	EXPECT_EQ(-EPERM, kt_run(AS_B, change_mode, to));
	EXPECT_EQ(-EPERM, kt_run(AS_GROUP, change_mode, to));
	EXPECT_EQ(0, openings(opening, AS_B));
	EXPECT_EQ(0, kt_run(AS_A, change_mode, to));
	EXPECT_EQ((mode_t)(S_IFREG | 0604), status_of(to->queue).st_mode);
	EXPECT_EQ(1, openings(opening, AS_B));
	/* Root may, by CAP_FOWNER alone */
	to->mode = 0042;
	EXPECT_EQ(-EPERM, kt_run(&(struct kt_how){ .drop_caps = true }, change_mode, to));
	EXPECT_EQ(-EPERM, kt_run(WITH(1ULL << CAP_CHOWN), change_mode, to));
	EXPECT_EQ(0, kt_run(WITH(1ULL << CAP_FOWNER), change_mode, to));
	EXPECT_EQ(0, openings(opening, AS_A));
	EXPECT_EQ(1, openings(opening, AS_GROUP));
	EXPECT_EQ(2, openings(opening, AS_B));
	/* Who has it open goes on */
	EXPECT_WORKS(put(to->queue, "x", 0));
	EXPECT_EQ(1, queued(to->queue));
}

TEST_F(file, fchown_gives_it_away)
{
	struct changing *to = kt_new(struct changing);
	struct opening *opening = kt_new(struct opening);
	struct stat st;

	to->queue = make_as_a(opening, self->name, 0640);
	ASSERT_LE(0, to->queue);
	*to = (struct changing){ .queue = to->queue, .uid = KT_UID_B, .gid = (gid_t)-1 };
	EXPECT_EQ(-EPERM, kt_run(AS_A, change_owner, to));
	EXPECT_EQ(-EPERM, kt_run(AS_B, change_owner, to));
	EXPECT_EQ(-EPERM, kt_run(WITH(1ULL << CAP_FOWNER), change_owner, to));
	EXPECT_EQ(KT_UID_A, status_of(to->queue).st_uid);
	EXPECT_EQ(0, kt_run(WITH(1ULL << CAP_CHOWN), change_owner, to));
	st = status_of(to->queue);
	EXPECT_EQ(KT_UID_B, st.st_uid);
	EXPECT_EQ(KT_UID_A, st.st_gid);
	/* Who has made it is nobody special any more */
	EXPECT_EQ(7, openings(opening, AS_B));
	EXPECT_EQ(1, openings(opening, AS_A));
	EXPECT_EQ(-EPERM, kt_run(AS_A, change_mode, to));
	EXPECT_EQ(-EACCES, kt_run(AS_A, unlink_it, self->shared));
	to->uid = (uid_t)-1;
	to->gid = KT_UID_B;
	EXPECT_EQ(-EPERM, kt_run(AS_A, change_owner, to));
	EXPECT_EQ(0, fchown(to->queue, (uid_t)-1, KT_UID_B));
	EXPECT_EQ(0, openings(opening, AS_A));
	EXPECT_EQ(0, kt_run(AS_B, unlink_it, self->shared));
}

TEST_F(file, fchown_to_a_group_of_one_s_own)
{
	struct changing *to = kt_new(struct changing);
	struct opening *opening = kt_new(struct opening);

	to->queue = make_as_a(opening, self->name, 0640);
	ASSERT_LE(0, to->queue);
	EXPECT_EQ(0, fchown(to->queue, KT_UID_A, KT_UID_B));
	*to = (struct changing){ .queue = to->queue, .uid = (uid_t)-1, .gid = KT_UID_A };
	EXPECT_EQ(-EPERM, kt_run(AS_B, change_owner, to));
	EXPECT_EQ(KT_UID_B, status_of(to->queue).st_gid);
	EXPECT_EQ(0, kt_run(AS_A, change_owner, to));
	EXPECT_EQ(KT_UID_A, status_of(to->queue).st_gid);
	/* What it is already may be said again; and nothing */
	to->uid = KT_UID_A;
	EXPECT_EQ(0, kt_run(AS_A, change_owner, to));
	to->gid = KT_UID_B;
	EXPECT_EQ(-EPERM, kt_run(AS_A, change_owner, to));
	to->uid = (uid_t)-1;
	to->gid = (gid_t)-1;
	EXPECT_EQ(0, kt_run(AS_A, change_owner, to));
	EXPECT_EQ(KT_UID_A, status_of(to->queue).st_gid);
}

/* ---- its link in /proc ---- */

static bool link_is(mqd_t queue, const char *wanted)
{
	char path[64], target[512] = "";

	snprintf(path, sizeof(path), "/proc/self/fd/%d", queue);
	return readlink(path, target, sizeof(target) - 1) > 0 && !strcmp(target, wanted);
}

TEST_F(file, link_in_proc_has_the_name)
{
	char name[NAME_MAX + 2] = "/", deleted[NAME_MAX + 32];
	mqd_t queue;

	memset(name + 1, 'n', NAME_MAX);
	snprintf(deleted, sizeof(deleted), "%s (deleted)", name);
	queue = make_queue(name, O_RDWR, 1);
	ASSERT_LE(0, queue);
	EXPECT_TRUE(link_is(queue, name));
	EXPECT_WORKS(mq_unlink(name));
	EXPECT_TRUE(link_is(queue, deleted));
}

struct reopening {
	mqd_t queue;
	int oflag;
};

/* A descriptor, which is for who has no child */
static long reopen(void *arg)
{
	const struct reopening *what = arg;
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", what->queue);
	return outcome(open(path, what->oflag));
}

TEST_F(file, link_in_proc_opens_it_again)
{
	mqd_t queue = make_queue(self->name, O_RDWR, 2);
	struct reopening what = { queue, O_RDONLY | O_NONBLOCK };
	struct mq_attr attr;
	char buf[65];
	int again;

	ASSERT_LE(0, queue);
	again = (int)reopen(&what);
	ASSERT_LE(0, again);
	EXPECT_EQ(status_of(queue).st_ino, status_of(again).st_ino);
	EXPECT_TRUE(link_is(again, self->name));
	EXPECT_FAILS(EAGAIN, take(again, buf, NULL));
	EXPECT_FAILS(EBADF, put(again, "x", 0));
	EXPECT_WORKS(mq_getattr(queue, &attr));
	EXPECT_EQ(0, attr.mq_flags);
	EXPECT_WORKS(put(queue, "x", 3));
	EXPECT_TRUE(next_is(again, "x", 3));
	what.oflag = O_RDWR | O_DIRECT;
	EXPECT_EQ(-EINVAL, reopen(&what));
	what.oflag = O_RDWR | O_TRUNC;
	again = (int)reopen(&what);
	ASSERT_LE(0, again);
	EXPECT_WORKS(mq_unlink(self->name));
	EXPECT_WORKS(mq_close(queue));
	/* It keeps the queue as any other does */
	EXPECT_WORKS(put(again, "y", 0));
	EXPECT_TRUE(next_is(again, "y", 0));
}

TEST_F(file, link_in_proc_opens_it_to_who_may)
{
	struct reopening *what = kt_new(struct reopening);
	struct opening *opening = kt_new(struct opening);

	what->queue = make_as_a(opening, self->name, 0642);
	ASSERT_LE(0, what->queue);
	what->oflag = O_RDWR;
	EXPECT_LE(0, kt_run(AS_A, reopen, what));
	EXPECT_EQ(-EACCES, kt_run(AS_GROUP, reopen, what));
	EXPECT_EQ(-EACCES, kt_run(AS_B, reopen, what));
	what->oflag = O_RDONLY;
	EXPECT_LE(0, kt_run(AS_GROUP, reopen, what));
	EXPECT_EQ(-EACCES, kt_run(AS_B, reopen, what));
	what->oflag = O_WRONLY;
	EXPECT_EQ(-EACCES, kt_run(AS_GROUP, reopen, what));
	EXPECT_LE(0, kt_run(AS_B, reopen, what));
	what->oflag = O_ACCMODE;
	EXPECT_EQ(-EACCES, kt_run(AS_GROUP, reopen, what));
	EXPECT_LE(0, kt_run(KT_FORK, reopen, what));
}

TEST_F(file, path_of_it_outlives_its_descriptors)
{
	mqd_t queue = make_queue(self->name, O_RDWR, 1);
	struct reopening what = { queue, O_PATH };
	int path, watch, left;
	char link[64], text[128];
	struct statfs fs;
	ssize_t got;
	struct stat st;

	ASSERT_LE(0, queue);
	EXPECT_WORKS(fstatfs(queue, &fs));
	EXPECT_EQ(0x19800202, (long)fs.f_type);	/* MQUEUE_MAGIC, see statfs(2) */
	EXPECT_WORKS(ioctl(queue, FIONREAD, &left));
	EXPECT_EQ(80, left);
	got = read(queue, text, sizeof(text));
	EXPECT_LT(0, got);
	EXPECT_WORKS(ioctl(queue, FIONREAD, &left));
	EXPECT_EQ(80 - got, left);
	st = status_of(queue);
	/* What is told of what happens there may outlive it, too, where the kernel has that */
	watch = inotify_init();
	ASSERT_TRUE(watch >= 0 || errno == ENOSYS);
	snprintf(link, sizeof(link), "/proc/self/fd/%d", queue);
	if (watch >= 0)
		EXPECT_LE(0, inotify_add_watch(watch, link, IN_ALL_EVENTS));
	path = (int)reopen(&what);
	ASSERT_LE(0, path);
	EXPECT_WORKS(mq_unlink(self->name));
	EXPECT_WORKS(mq_close(queue));
	EXPECT_EQ(st.st_ino, status_of(path).st_ino);
	EXPECT_EQ(0, (int)status_of(path).st_nlink);
	EXPECT_EQ(st.st_uid, status_of(path).st_uid);
	EXPECT_WORKS(close(path));
	if (watch >= 0)
		EXPECT_WORKS(close(watch));
}

TEST_F(file, file_is_the_same_when_it_is_opened_again)
{
	mqd_t queue = make_queue(self->name, O_RDWR, 1);
	struct stat st = status_of(queue), again;

	int other;

	EXPECT_WORKS(mq_close(queue));
	/* Another file system may have come to where it was */
	other = (int)syscall(SYS_fsopen, "tmpfs", 0);
	ASSERT_LE(0, other);
	EXPECT_EQ(0, syscall(SYS_fsconfig, other, FSCONFIG_CMD_CREATE, NULL, NULL, 0));
	queue = mq_open(self->name, O_RDWR);
	again = status_of(queue);
	EXPECT_EQ(st.st_dev, again.st_dev);
	EXPECT_EQ(st.st_ino, again.st_ino);
	EXPECT_EQ(st.st_ctime, again.st_ctime);
}

/* ---- times ---- */

static bool times_are(mqd_t queue, time_t access, time_t modify)
{
	struct stat st = status_of(queue);

	if (st.st_atime == access && st.st_mtime == modify && !st.st_atim.tv_nsec &&
	    !st.st_mtim.tv_nsec && !st.st_ctim.tv_nsec)
		return true;
	kt_complain("atime %lld.%09ld, mtime %lld.%09ld", (long long)st.st_atime,
		    st.st_atim.tv_nsec, (long long)st.st_mtime, st.st_mtim.tv_nsec);
	return false;
}

/* Times of long ago, which nothing but futimens() sets */
static void make_old(mqd_t queue)
{
	const struct timespec old[2] = {
		{ .tv_sec = 1000, .tv_nsec = 500000000 }, { .tv_sec = 2000, .tv_nsec = 1 },
	};

	kt_need(!futimens(queue, old));
	kt_need(times_are(queue, 1000, 2000));
}

/* Was it accessed since then, and, if so said, changed? */
static bool accessed(mqd_t queue, time_t since, bool modified)
{
	struct stat st = status_of(queue);

	return times_are(queue, st.st_atime, modified ? st.st_atime : 2000) &&
	       st.st_atime >= since && st.st_ctime == st.st_atime;
}

TEST_F(file, futimens_counts_until_something_happens)
{
	mqd_t queue = make_queue(self->name, O_RDWR, 2), other;
	const struct timespec one[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_sec = 3000 } };
	const struct timespec ahead[2] = { { .tv_sec = 4000000000 }, { .tv_sec = 4000000000 } };
	struct sigevent event = { .sigev_notify = SIGEV_NONE };
	struct mq_attr attr, wrong = { .mq_flags = O_NONBLOCK | O_APPEND };
	char text[128];
	time_t now;

	ASSERT_LE(0, queue);
	other = mq_open(self->name, O_WRONLY);
	make_old(queue);
	EXPECT_TRUE(times_are(other, 1000, 2000));
	EXPECT_WORKS(futimens(other, one));
	EXPECT_TRUE(times_are(queue, 1000, 3000));
	now = time(NULL);
	make_old(queue);
	EXPECT_LE(now, status_of(queue).st_ctime);
	EXPECT_WORKS(put(other, "x", 0));
	EXPECT_TRUE(accessed(queue, now, true));
	make_old(queue);
	EXPECT_TRUE(next_is(queue, "x", 0));
	EXPECT_TRUE(accessed(queue, now, true));
	make_old(queue);
	EXPECT_WORKS(mq_getattr(other, &attr));
	EXPECT_TRUE(times_are(queue, 1000, 2000));
	EXPECT_FAILS(EINVAL, mq_setattr(other, &wrong, &attr));
	EXPECT_TRUE(times_are(queue, 1000, 2000));
	EXPECT_WORKS(mq_setattr(other, &attr, NULL));
	EXPECT_TRUE(accessed(queue, now, false));
	make_old(queue);
	EXPECT_LT(0, read(queue, text, sizeof(text)));
	EXPECT_TRUE(accessed(queue, now, false));
	make_old(queue);
	EXPECT_EQ(0, read(queue, text, sizeof(text)));
	EXPECT_TRUE(times_are(queue, 1000, 2000));
	EXPECT_WORKS(mq_notify(queue, &event));
	EXPECT_TRUE(accessed(queue, now, false));
	make_old(queue);
	EXPECT_FAILS(EBUSY, mq_notify(queue, &event));
	EXPECT_TRUE(times_are(queue, 1000, 2000));
	EXPECT_WORKS(mq_notify(queue, NULL));
	EXPECT_TRUE(accessed(queue, now, false));
	make_old(queue);
	EXPECT_WORKS(mq_notify(queue, NULL));
	EXPECT_TRUE(times_are(queue, 1000, 2000));
	/* What happens later counts, though it has the earlier time */
	if (sizeof(time_t) > 4) {
		EXPECT_WORKS(futimens(queue, ahead));
		EXPECT_TRUE(times_are(queue, 4000000000, 4000000000));
		EXPECT_WORKS(put(queue, "x", 0));
		EXPECT_TRUE(accessed(queue, now, true));
	}
}

TEST_F(file, reading_after_a_message_is_no_modification)
{
	mqd_t queue = make_queue(self->name, O_RDWR, 1);
	char text[128];
	struct stat st;
	time_t now;

	ASSERT_LE(0, queue);
	EXPECT_WORKS(put(queue, "x", 0));
	usleep(1100000);
	now = time(NULL);
	EXPECT_LT(0, read(queue, text, sizeof(text)));
	st = status_of(queue);
	EXPECT_LE(now, st.st_atime);
	EXPECT_LE(now, st.st_ctime);
	EXPECT_GT(now, st.st_mtime);
}

/* Is the kernel this old? Its own queues are not in all what they were */
static bool older_than(int major, int minor)
{
	int first, second;
	struct utsname system;

	kt_need(!uname(&system) && sscanf(system.release, "%d.%d", &first, &second) == 2);
	return first < major || (first == major && second < minor);
}

TEST_F(file, name_that_goes_changes_no_other_time)
{
	mqd_t queue = make_queue(self->name, O_RDWR, 1);
	struct stat st = status_of(queue);

	usleep(1100000);
	EXPECT_WORKS(mq_unlink(self->name));
	EXPECT_EQ(older_than(6, 19), st.st_ctime == status_of(queue).st_ctime);
	EXPECT_EQ(st.st_atime, status_of(queue).st_atime);
	EXPECT_WORKS(fchmod(queue, 0640));
	EXPECT_LT(st.st_ctime, status_of(queue).st_ctime);
	EXPECT_EQ(st.st_mtime, status_of(queue).st_mtime);
}

struct dating {
	mqd_t queue;
	bool now;
};

static long set_times(void *arg)
{
	const struct dating *to = arg;
	static const struct timespec old[2] = { { .tv_sec = 1000 }, { .tv_sec = 2000 } };

	return outcome(futimens(to->queue, to->now ? NULL : old));
}

TEST_F(file, futimens_says_who_may)
{
	struct dating *to = kt_new(struct dating);
	struct opening *opening = kt_new(struct opening);

	to->queue = make_as_a(opening, self->name, 0642);
	ASSERT_LE(0, to->queue);
	EXPECT_EQ(-EPERM, kt_run(AS_B, set_times, to));
	EXPECT_EQ(-EPERM, kt_run(WITH(1ULL << CAP_CHOWN), set_times, to));
	EXPECT_EQ(0, kt_run(AS_A, set_times, to));
	EXPECT_TRUE(times_are(to->queue, 1000, 2000));
	EXPECT_EQ(0, kt_run(WITH(1ULL << CAP_FOWNER), set_times, to));
	/* To the present who may send may do it, too */
	to->now = true;
	EXPECT_EQ(-EACCES, kt_run(AS_GROUP, set_times, to));
	EXPECT_TRUE(times_are(to->queue, 1000, 2000));
	EXPECT_EQ(0, kt_run(AS_B, set_times, to));
	EXPECT_LT(2000, status_of(to->queue).st_mtime);
}

/* ---- size, and what of a mode is no right ---- */

TEST_F(file, size_is_what_ftruncate_says)
{
	mqd_t queue = make_queue(self->name, O_RDWR, 2), other;
	struct rlimit limit, small = { 100, RLIM_INFINITY };
	struct reopening what = { queue, O_RDWR };
	char text[128];
	int left, large;

	ASSERT_LE(0, queue);
	other = mq_open(self->name, O_RDONLY);
	make_old(queue);
	EXPECT_WORKS(put(queue, "x", 0));
	EXPECT_WORKS(ftruncate(queue, 5));
	EXPECT_EQ(5, status_of(other).st_size);
	EXPECT_WORKS(ioctl(other, FIONREAD, &left));
	EXPECT_EQ(5, left);
	EXPECT_EQ(5, lseek(other, 0, SEEK_END));
	EXPECT_EQ(5, lseek(other, 2, SEEK_HOLE));
	EXPECT_FAILS(ENXIO, lseek(other, 5, SEEK_DATA));
	EXPECT_EQ(0, lseek(other, 0, SEEK_SET));
	/* It says nothing about what is there */
	EXPECT_LT(5, read(other, text, sizeof(text)));
	EXPECT_EQ(1, queued(queue));
	EXPECT_FAILS(EINVAL, ftruncate(other, 6));
	EXPECT_FAILS(EINVAL, ftruncate(queue, -1));
	what.oflag = O_RDWR | O_LARGEFILE;
	large = (int)reopen(&what);
	EXPECT_FAILS(EFBIG, ftruncate64(large, 1LL << 40));
	kt_catch(SIGXFSZ, 0);
	ASSERT_EQ(0, getrlimit(RLIMIT_FSIZE, &limit));
	ASSERT_EQ(0, setrlimit(RLIMIT_FSIZE, &small));
	EXPECT_FAILS(EFBIG, ftruncate(queue, 101));
	EXPECT_WORKS(ftruncate(queue, 100));
	ASSERT_EQ(0, setrlimit(RLIMIT_FSIZE, &limit));
	make_old(queue);
	EXPECT_WORKS(ftruncate(queue, 80));
	EXPECT_LT(2000, status_of(queue).st_mtime);
	EXPECT_EQ(1000, status_of(queue).st_atime);
	make_old(queue);
	what.oflag = O_RDWR | O_TRUNC;
	EXPECT_LE(0, (int)reopen(&what));
	EXPECT_EQ(0, status_of(queue).st_size);
	EXPECT_LT(2000, status_of(queue).st_mtime);
	EXPECT_TRUE(next_is(queue, "x", 0));
}

static mode_t special(mqd_t queue)
{
	return status_of(queue).st_mode & 07000;
}

static long open_and_truncate(void *arg)
{
	struct shared *shared = arg;
	mqd_t queue = mq_open(shared->name, O_WRONLY);

	return queue < 0 ? -errno : outcome(ftruncate(queue, 80));
}

TEST_F(file, mode_has_more_than_rights)
{
	struct changing *to = kt_new(struct changing);
	struct opening *opening = kt_new(struct opening);

	umask(0177);
	to->queue = mq_open(self->name, O_RDWR | O_CREAT | O_EXCL, 07644, NULL);
	ASSERT_LE(0, to->queue);
	EXPECT_EQ((mode_t)(S_IFREG | 07600), status_of(to->queue).st_mode);
	EXPECT_WORKS(fchmod(to->queue, 01642));
	EXPECT_EQ((mode_t)(S_IFREG | 01642), status_of(mq_open(self->name, O_RDWR)).st_mode);
	EXPECT_WORKS(fchmod(to->queue, 0642));
	EXPECT_EQ((mode_t)(S_IFREG | 0642), status_of(to->queue).st_mode);
	EXPECT_WORKS(mq_unlink(self->name));

	to->queue = make_as_a(opening, self->name, 0610);
	to->mode = 07611;
	EXPECT_EQ(0, kt_run(AS_A, change_mode, to));
	EXPECT_EQ(07000, (int)special(to->queue));
	/* What ran as its owner would not once it is another's, or holds something else */
	EXPECT_EQ(0, fchown(to->queue, KT_UID_A, KT_UID_B));
	EXPECT_EQ(S_ISVTX, (int)special(to->queue));
	EXPECT_EQ((mode_t)0611, status_of(to->queue).st_mode & 0777);
	/* Nor of a group that its owner is not in */
	EXPECT_EQ(0, kt_run(AS_A, change_mode, to));
	EXPECT_EQ(S_ISUID | S_ISVTX, (int)special(to->queue));
	EXPECT_EQ(0, fchmod(to->queue, 07610));
	EXPECT_EQ(07000, (int)special(to->queue));
	EXPECT_EQ(0, ftruncate(to->queue, 80));
	EXPECT_EQ(07000, (int)special(to->queue));
	/* ... or another has written it */
	EXPECT_WORKS(fchmod(to->queue, 07630));
	EXPECT_EQ(0, kt_run(AS_B, open_and_truncate, self->shared));
	EXPECT_EQ(S_ISVTX, (int)special(to->queue));
	EXPECT_EQ((mode_t)0630, status_of(to->queue).st_mode & 0777);
}

/* ---- locks and leases ---- */

static long try_flock(void *arg)
{
	const mqd_t *queue = arg;

	return outcome(flock(*queue, LOCK_EX | LOCK_NB));
}

/* The kernels of the debug tier are built without (CONFIG_FILE_LOCKING) */
static bool locks_are_there(void)
{
	int fd = open("/", O_RDONLY | O_CLOEXEC);
	bool there = !flock(fd, LOCK_UN);

	kt_need(there || errno == ENOSYS);
	close(fd);
	return there;
}

static int set_lock(mqd_t queue, int cmd, short type)
{
	struct flock lock = { .l_type = type, .l_whence = SEEK_SET };

	return fcntl(queue, cmd, &lock);
}

static long try_lock(void *arg)
{
	const mqd_t *queue = arg;

	return outcome(set_lock(*queue, F_SETLK, F_WRLCK));
}

TEST_F(file, locks_are_the_queue_s)
{
	mqd_t *other = kt_new(mqd_t), queue = make_queue(self->name, O_RDWR, 1), third;
	char second[80];

	ASSERT_LE(0, queue);
	if (!locks_are_there())
		return;
	*other = mq_open(self->name, O_RDWR);
	snprintf(second, sizeof(second), "%s.second", self->name);
	third = make_queue(second, O_RDWR, 1);
	EXPECT_WORKS(mq_unlink(second));

	EXPECT_WORKS(flock(queue, LOCK_EX | LOCK_NB));
	EXPECT_FAILS(EWOULDBLOCK, flock(*other, LOCK_SH | LOCK_NB));
	EXPECT_EQ(-EWOULDBLOCK, kt_run(KT_FORK, try_flock, other));
	EXPECT_WORKS(flock(third, LOCK_EX | LOCK_NB));
	EXPECT_WORKS(flock(queue, LOCK_UN));
	EXPECT_EQ(0, kt_run(KT_FORK, try_flock, other));
	EXPECT_WORKS(flock(*other, LOCK_UN));

	EXPECT_WORKS(set_lock(queue, F_OFD_SETLK, F_WRLCK));
	EXPECT_FAILS(EAGAIN, set_lock(*other, F_OFD_SETLK, F_RDLCK));
	EXPECT_WORKS(set_lock(third, F_OFD_SETLK, F_WRLCK));
	EXPECT_EQ(-EAGAIN, kt_run(KT_FORK, try_lock, other));
	EXPECT_WORKS(set_lock(queue, F_OFD_SETLK, F_UNLCK));
	EXPECT_EQ(0, kt_run(KT_FORK, try_lock, other));

	/* Of the process: it loses it with any descriptor of the queue */
	EXPECT_WORKS(set_lock(queue, F_SETLK, F_WRLCK));
	EXPECT_WORKS(set_lock(*other, F_SETLK, F_WRLCK));
	EXPECT_EQ(-EAGAIN, kt_run(KT_FORK, try_lock, other));
	EXPECT_WORKS(mq_close(mq_open(self->name, O_RDONLY)));
	EXPECT_EQ(0, kt_run(KT_FORK, try_lock, other));
}

static long open_slowly(void *arg)
{
	struct shared *shared = arg;
	mqd_t queue = mq_open(shared->name, O_RDONLY);

	return queue < 0 ? -errno : 0;
}

/* Has whoever has the lease been asked to give it up? */
static bool asked_for_lease(void)
{
	static const struct timespec now = { 0 };
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGIO);
	return sigtimedwait(&set, NULL, &now) == SIGIO;
}

TEST_F(file, leases_are_the_queue_s)
{
	mqd_t queue = make_queue(self->name, O_RDWR, 1), other;
	struct reopening what = { -1, O_RDONLY | O_NONBLOCK };
	struct kt_job *job;
	sigset_t set;

	ASSERT_LE(0, queue);
	if (!locks_are_there())
		return;
	sigemptyset(&set);
	sigaddset(&set, SIGIO);
	ASSERT_EQ(0, sigprocmask(SIG_BLOCK, &set, NULL));
	if (!older_than(7, 0)) {
		EXPECT_FAILS(EINVAL, fcntl(queue, F_SETLEASE, F_WRLCK));
		return;
	}
	EXPECT_FAILS(EAGAIN, fcntl(queue, F_SETLEASE, F_RDLCK));
	other = mq_open(self->name, O_RDONLY);
	EXPECT_FAILS(EAGAIN, fcntl(other, F_SETLEASE, F_RDLCK));
	EXPECT_FAILS(EAGAIN, fcntl(queue, F_SETLEASE, F_WRLCK));
	EXPECT_WORKS(mq_close(other));
	EXPECT_WORKS(fcntl(queue, F_SETLEASE, F_WRLCK));
	EXPECT_EQ(F_WRLCK, fcntl(queue, F_GETLEASE));
	EXPECT_FALSE(asked_for_lease());
	/* Who does not wait for it is refused */
	EXPECT_FAILS(EAGAIN, mq_open(self->name, O_RDONLY | O_NONBLOCK));
	EXPECT_TRUE(asked_for_lease());
	what.queue = queue;
	EXPECT_EQ(-EAGAIN, reopen(&what));
	/* ... and who waits gets it */
	job = kt_start(KT_FORK, open_slowly, self->shared);
	EXPECT_TRUE(waits(job));
	EXPECT_WORKS(fcntl(queue, F_SETLEASE, F_UNLCK));
	EXPECT_EQ(0, kt_join(job));
	/* Of its waiting nothing is left */
	EXPECT_WORKS(fcntl(queue, F_SETLEASE, F_WRLCK));
	job = kt_start(KT_FORK, open_slowly, self->shared);
	EXPECT_TRUE(waits(job));
	EXPECT_EQ(KT_DIED - SIGKILL, kt_kill(job));
	EXPECT_WORKS(fcntl(queue, F_SETLEASE, F_UNLCK));
	EXPECT_WORKS(fcntl(queue, F_SETLEASE, F_WRLCK));
	EXPECT_WORKS(fcntl(queue, F_SETLEASE, F_UNLCK));
	/* Readers do not mind each other */
	EXPECT_WORKS(mq_close(queue));
	queue = mq_open(self->name, O_RDONLY);
	EXPECT_WORKS(fcntl(queue, F_SETLEASE, F_RDLCK));
	other = mq_open(self->name, O_RDONLY | O_NONBLOCK);
	EXPECT_LE(0, other);
	EXPECT_WORKS(mq_close(other));
	EXPECT_FAILS(EAGAIN, mq_open(self->name, O_WRONLY | O_NONBLOCK));
}

/* ---- who decides whether it may be opened ---- */

/* A listener of fanotify(7) says this when it is asked, and sees the queue by a file of its own */
static bool decides(int listener, uint32_t what)
{
	struct fanotify_event_metadata event;
	struct fanotify_response response;
	bool right;

	if (read(listener, &event, sizeof(event)) != sizeof(event) || event.mask != FAN_OPEN_PERM)
		return false;
	response = (struct fanotify_response){ event.fd, what };
	right = !queued(event.fd) &&
		write(listener, &response, sizeof(response)) == sizeof(response) &&
		!queued(event.fd);
	return !close(event.fd) && right;
}

TEST_F(file, listener_decides_who_opens_it)
{
	mqd_t queue = make_queue(self->name, O_RDWR, 1);
	struct fanotify_event_metadata event;
	struct kt_job *job;
	char path[64];
	int listener;

	ASSERT_LE(0, queue);
	/* Not all kernels have that (CONFIG_FANOTIFY_ACCESS_PERMISSIONS) */
	listener = fanotify_init(FAN_CLASS_CONTENT | FAN_CLOEXEC, O_RDONLY | O_LARGEFILE);
	ASSERT_TRUE(listener >= 0 || errno == ENOSYS || errno == EINVAL);
	if (listener < 0)
		return;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", queue);
	if (fanotify_mark(listener, FAN_MARK_ADD, FAN_OPEN_PERM, AT_FDCWD, path)) {
		ASSERT_EQ(EINVAL, errno);
		return;
	}
	for (unsigned int i = 0; i < 4; i++) {
		job = kt_start(KT_FORK, open_slowly, self->shared);
		EXPECT_TRUE(decides(listener, i & 1 ? FAN_ALLOW : FAN_DENY));
		EXPECT_EQ(i & 1 ? 0 : -EPERM, kt_join(job));
	}
	/* Who is killed while the listener looks */
	job = kt_start(KT_FORK, open_slowly, self->shared);
	ASSERT_EQ((ssize_t)sizeof(event), read(listener, &event, sizeof(event)));
	EXPECT_EQ(KT_DIED - SIGKILL, kt_kill(job));
	EXPECT_EQ(0, queued(event.fd));
	EXPECT_WORKS(close(event.fd));
	EXPECT_WORKS(close(listener));
	EXPECT_WORKS(put(queue, "x", 0));
	EXPECT_TRUE(next_is(queue, "x", 0));
}

/* ---- many at once ---- */

static long come_and_go(void *arg)
{
	struct shared *shared = arg;
	struct reopening what;
	struct stat st;
	int path, again;

	for (int i = 0; i < 300; i++) {
		what = (struct reopening){ mq_open(shared->name, O_RDWR | O_CREAT, 0600, NULL),
					   O_PATH };
		if (what.queue < 0)
			return -errno;
		path = (int)reopen(&what);
		what.oflag = O_RDONLY;
		again = (int)reopen(&what);
		if (path < 0 || again < 0)
			return -1000;
		if (fchmod(what.queue, i & 1 ? 0600 : 0640))
			return -1001;
		if (mq_unlink(shared->name) && errno != ENOENT)
			return -1002;
		if (mq_close(what.queue) || fstat(path, &st) || !S_ISREG(st.st_mode))
			return -1003;
		if (close(again) || fstat(path, &st) || st.st_nlink || close(path))
			return -1004;
	}
	return 0;
}

TEST_F(file, files_of_queues_come_and_go)
{
	struct kt_job *jobs[4];

	for (int i = 0; i < 4; i++)
		jobs[i] = kt_start(i & 1 ? KT_FORK : KT_THREAD, come_and_go, self->shared);
	for (int i = 0; i < 4; i++)
		EXPECT_EQ(0, kt_join(jobs[i]));
}

TEST_HARNESS_MAIN
