// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * POSIX message queues: mq_overview(7), mq_open(3), mq_close(3), mq_unlink(3), mq_send(3),
 * mq_receive(3), mq_getattr(3). Of mq_notify(3) there is dropin_posixmq_notify.c, of a queue as
 * a file dropin_posixmq_file.c.
 */
#include <grp.h>
#include <linux/capability.h>
#include <sys/fsuid.h>
#include <limits.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "dropin_posixmq.h"

#define LIMITS "/proc/sys/fs/mqueue/"

FIXTURE(mq) {
	struct shared *shared;
	const char *name;
	struct rlimit queues_bytes;
};

FIXTURE_SETUP(mq)
{
	self->shared = kt_new(struct shared);
	self->name = self->shared->name;
	new_name(self->shared->name, sizeof(self->shared->name));
	self->shared->queue = -1;
	ASSERT_EQ(0, getrlimit(RLIMIT_MSGQUEUE, &self->queues_bytes));
	umask(022);
}

FIXTURE_TEARDOWN(mq)
{
	setrlimit(RLIMIT_MSGQUEUE, &self->queues_bytes);
	mq_unlink(self->name);
}

static long read_number(const char *path)
{
	char text[64];

	kt_need(kt_read_file(path, text, sizeof(text)) > 0);
	return atol(text);
}

static void write_number(const char *path, long value)
{
	char text[64];

	snprintf(text, sizeof(text), "%ld\n", value);
	kt_write_file(path, text);
}

/* ---- what is tested ---- */

TEST(nothing_is_opened_before_the_first_call)
{
	char path[64], target[64];

	for (int fd = 3; fd < 1100; fd++) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		ssize_t size = readlink(path, target, sizeof(target) - 1);

		target[size > 0 ? size : 0] = '\0';
		EXPECT_STRNE("/dev/kipc", target);
	}
	EXPECT_EQ(1, threads());
}

TEST_F(mq, the_queues_are_those_that_are_meant)
{
	mqd_t queue = make_queue(self->name, O_RDWR, 1);

	ASSERT_LE(0, queue);
	EXPECT_TRUE(is_meant(queue, self->name));
}

/* ---- names ---- */

TEST(name_without_slash_is_EINVAL)
{
	EXPECT_FAILS(EINVAL, mq_open("x", O_RDWR));
	EXPECT_FAILS(EINVAL, mq_open("x", O_RDWR | O_CREAT, 0600, NULL));
	EXPECT_FAILS(EINVAL, mq_open("", O_RDWR | O_CREAT, 0600, NULL));
	EXPECT_FAILS(EINVAL, mq_open("a/b", O_RDWR | O_CREAT, 0600, NULL));
	EXPECT_FAILS(EINVAL, mq_open("x", O_RDWR | O_CREAT, 0600, kt_hole()));
	EXPECT_FAILS(EINVAL, mq_unlink("x"));
	EXPECT_FAILS(EINVAL, mq_unlink(""));
}

TEST(name_of_a_slash_alone_is_ENOENT)
{
	EXPECT_FAILS(ENOENT, mq_open("/", O_RDWR));
	EXPECT_FAILS(ENOENT, mq_open("/", O_RDWR | O_CREAT | O_EXCL, 0600, NULL));
	EXPECT_FAILS(ENOENT, mq_unlink("/"));
}

TEST(name_with_an_inner_slash_is_EACCES)
{
	static const char *const names[] = { "//", "//a", "/a/", "/a/b", "/a/b/c" };

	for (unsigned int i = 0; i < ARRAY_SIZE(names); i++) {
		EXPECT_FAILS(EACCES, mq_open(names[i], O_RDWR));
		EXPECT_FAILS(EACCES, mq_open(names[i], O_RDWR | O_CREAT, 0600, NULL));
		EXPECT_FAILS(EACCES, mq_unlink(names[i]));
	}
}

TEST(name_of_dots_is_EACCES)
{
	EXPECT_FAILS(EACCES, mq_open("/.", O_RDWR | O_CREAT, 0600, NULL));
	EXPECT_FAILS(EACCES, mq_open("/..", O_RDWR | O_CREAT, 0600, NULL));
	EXPECT_FAILS(EACCES, mq_unlink("/."));
	EXPECT_FAILS(EACCES, mq_unlink("/.."));
}

TEST(name_of_more_dots_is_a_name)
{
	mqd_t queue = make_queue("/...", O_RDWR, 1);

	EXPECT_LE(0, queue);
	EXPECT_WORKS(mq_unlink("/..."));
}

static const char *long_name(size_t len)
{
	static char name[8192];

	memset(name, 'n', sizeof(name));
	name[0] = '/';
	name[len + 1] = '\0';
	return name;
}

TEST(name_of_NAME_MAX_characters_is_good)
{
	mqd_t longest = make_queue(long_name(NAME_MAX), O_RDWR, 1), other, again;

	ASSERT_LE(0, longest);
	/* Neither is one the other, nor what stands behind its slash */
	EXPECT_FAILS(ENOENT, mq_open(long_name(NAME_MAX - 1), O_RDWR));
	other = make_queue(long_name(NAME_MAX - 1), O_RDWR, 1);
	ASSERT_LE(0, other);
	EXPECT_FAILS(ENOENT, mq_open(long_name(NAME_MAX - 2), O_RDWR));
	EXPECT_EQ(0, put(longest, "longest", 0));
	EXPECT_EQ(0, put(other, "other", 0));
	again = mq_open(long_name(NAME_MAX), O_RDONLY);
	EXPECT_TRUE(next_is(again, "longest", 0));
	EXPECT_FAILS(EEXIST, make_queue(long_name(NAME_MAX), O_RDWR, 1));
	EXPECT_WORKS(mq_unlink(long_name(NAME_MAX)));
	EXPECT_FAILS(ENOENT, mq_open(long_name(NAME_MAX), O_RDONLY));
	EXPECT_WORKS(mq_unlink(long_name(NAME_MAX - 1)));
	EXPECT_FAILS(ENOENT, mq_unlink(long_name(NAME_MAX - 1)));
}

TEST(name_of_more_characters_is_ENAMETOOLONG)
{
	static const size_t lengths[] = { NAME_MAX + 1, 1000, PATH_MAX - 1, PATH_MAX, 8000 };

	for (unsigned int i = 0; i < ARRAY_SIZE(lengths); i++) {
		EXPECT_FAILS(ENAMETOOLONG, mq_open(long_name(lengths[i]), O_RDWR));
		EXPECT_FAILS(ENAMETOOLONG,
			     mq_open(long_name(lengths[i]), O_RDWR | O_CREAT, 0600, NULL));
		EXPECT_FAILS(ENAMETOOLONG, mq_unlink(long_name(lengths[i])));
	}
}

TEST(inner_slash_is_seen_before_the_length_but_not_beyond_PATH_MAX)
{
	char *name = (char *)long_name(PATH_MAX - 1);

	name[2] = '/';
	EXPECT_FAILS(EACCES, mq_open(name, O_RDWR));
	name = (char *)long_name(PATH_MAX);
	name[2] = '/';
	EXPECT_FAILS(ENAMETOOLONG, mq_open(name, O_RDWR));
}

TEST(name_may_have_any_other_byte)
{
	static const char *const names[] = { "/a b\n", "/\xff\x80", "/sys.x", "/-", "/\xc3\xa4" };
	mqd_t queue;

	for (unsigned int i = 0; i < ARRAY_SIZE(names); i++) {
		queue = make_queue(names[i], O_RDWR, 1);
		EXPECT_LE(0, queue);
		EXPECT_LE(0, mq_open(names[i], O_RDONLY));
		EXPECT_WORKS(mq_unlink(names[i]));
	}
}

/* ---- opening ---- */

TEST_F(mq, open_of_what_is_not_there_is_ENOENT)
{
	EXPECT_FAILS(ENOENT, mq_open(self->name, O_RDONLY));
	EXPECT_FAILS(ENOENT, mq_open(self->name, O_RDWR));
	EXPECT_FAILS(ENOENT, mq_open(self->name, O_RDWR | O_EXCL));
	EXPECT_FAILS(ENOENT, mq_open(self->name, O_WRONLY | O_NONBLOCK));
}

TEST_F(mq, O_CREAT_makes_what_is_not_there_and_opens_what_is)
{
	struct mq_attr attr = attributes(1, 64);
	mqd_t queue, again;

	errno = 4321;
	queue = mq_open(self->name, O_RDWR | O_CREAT, 0600, &attr);
	ASSERT_LE(0, queue);
	EXPECT_EQ(4321, errno);
	EXPECT_EQ(0, put(queue, "one", 0));
	errno = 4321;
	again = mq_open(self->name, O_RDWR | O_CREAT, 0600, NULL);
	ASSERT_LE(0, again);
	EXPECT_EQ(4321, errno);
	EXPECT_NE(queue, again);
	EXPECT_TRUE(next_is(again, "one", 0));
}

TEST_F(mq, O_EXCL_is_EEXIST_whatever_else_is_wrong)
{
	struct mq_attr bad = attributes(0, 0);
	mqd_t queue = make_queue(self->name, O_RDWR, 1);

	ASSERT_LE(0, queue);
	EXPECT_FAILS(EEXIST, mq_open(self->name, O_RDWR | O_CREAT | O_EXCL, 0600, NULL));
	EXPECT_FAILS(EEXIST, mq_open(self->name, O_RDWR | O_CREAT | O_EXCL, 0600, &bad));
	EXPECT_FAILS(EEXIST, mq_open(self->name, O_ACCMODE | O_CREAT | O_EXCL, 0600, NULL));
	/* Without O_CREAT it means nothing */
	EXPECT_LE(0, mq_open(self->name, O_RDWR | O_EXCL));
}

static long open_excl(void *arg)
{
	struct shared *shared = arg;

	return outcome(mq_open(shared->name, O_RDWR | O_CREAT | O_EXCL, 0600, NULL));
}

TEST_F(mq, O_EXCL_is_EEXIST_for_who_may_not_open_it)
{
	ASSERT_LE(0, make_queue(self->name, O_RDWR, 1));
	EXPECT_EQ(-EEXIST, kt_run(AS_A, open_excl, self->shared));
}

TEST_F(mq, attributes_of_what_exists_already_do_not_matter)
{
	struct mq_attr bad = attributes(-1, -1), is;
	mqd_t queue;

	ASSERT_LE(0, make_queue(self->name, O_RDWR, 3));
	queue = mq_open(self->name, O_RDWR | O_CREAT, 0, &bad);
	ASSERT_LE(0, queue);
	EXPECT_WORKS(mq_getattr(queue, &is));
	EXPECT_EQ(3, is.mq_maxmsg);
	EXPECT_EQ(64, is.mq_msgsize);
}

TEST_F(mq, access_mode_says_what_may_be_done)
{
	mqd_t both = make_queue(self->name, O_RDWR, 4);
	mqd_t receive = mq_open(self->name, O_RDONLY);
	mqd_t send = mq_open(self->name, O_WRONLY);
	struct timespec past = { 0 };
	char buf[65];

	ASSERT_LE(0, both);
	ASSERT_LE(0, receive);
	ASSERT_LE(0, send);
	EXPECT_WORKS(put(both, "1", 0));
	EXPECT_WORKS(put(send, "2", 0));
	EXPECT_TRUE(next_is(both, "1", 0));
	EXPECT_TRUE(next_is(receive, "2", 0));
	EXPECT_FAILS(EBADF, put(receive, "3", 0));
	EXPECT_FAILS(EBADF, mq_timedsend(receive, "3", 1, 0, &past));
	EXPECT_FAILS(EBADF, take(send, buf, NULL));
	EXPECT_FAILS(EBADF, mq_timedreceive(send, buf, 64, NULL, &past));
	/* Before the length, too */
	EXPECT_FAILS(EBADF, mq_send(receive, buf, 65, 0));
	EXPECT_FAILS(EBADF, mq_receive(send, buf, 1, NULL));
	EXPECT_EQ(O_RDWR, fcntl(both, F_GETFL) & O_ACCMODE);
	EXPECT_EQ(O_RDONLY, fcntl(receive, F_GETFL) & O_ACCMODE);
	EXPECT_EQ(O_WRONLY, fcntl(send, F_GETFL) & O_ACCMODE);
	EXPECT_EQ(0, queued(receive));
	EXPECT_EQ(0, queued(send));
}

TEST_F(mq, access_mode_3_is_neither)
{
	mqd_t queue = make_queue(self->name, O_ACCMODE, 1);
	char buf[65];

	ASSERT_LE(0, queue);
	EXPECT_FAILS(EBADF, put(queue, "1", 0));
	EXPECT_FAILS(EBADF, take(queue, buf, NULL));
	EXPECT_EQ(0, queued(queue));
	EXPECT_FAILS(EINVAL, mq_open(self->name, O_ACCMODE));
	EXPECT_FAILS(EINVAL, mq_open(self->name, O_ACCMODE | O_CREAT, 0600, NULL));
}

TEST_F(mq, mode_says_who_may)
{
	static const struct {
		mode_t mode;
		int owner, group, others;
	} cases[] = {
		{ 0000, 0, 0, 0 }, { 0600, 7, 0, 0 }, { 0400, 1, 0, 0 }, { 0200, 2, 0, 0 },
		{ 0060, 0, 7, 0 }, { 0040, 0, 1, 0 }, { 0020, 0, 2, 0 },
		{ 0006, 0, 0, 7 }, { 0004, 0, 0, 1 }, { 0002, 0, 0, 2 },
		{ 0642, 7, 1, 2 }, { 0111, 0, 0, 0 }, { 0777, 7, 7, 7 },
	};
	struct opening *opening = kt_new(struct opening);

	strcpy(opening->name, self->name);
	umask(0);
	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		opening->oflag = O_RDWR | O_CREAT | O_EXCL;
		opening->mode = cases[i].mode;
		/* Who makes it has what it asks for whatever the mode */
		ASSERT_EQ(0, kt_run(AS_A, open_as, opening));
		EXPECT_EQ(cases[i].owner, openings(opening, AS_A));
		EXPECT_EQ(cases[i].group, openings(opening, AS_GROUP));
		EXPECT_EQ(cases[i].others, openings(opening, AS_B));
		/* root */
		EXPECT_EQ(7, openings(opening, KT_FORK));
		EXPECT_WORKS(mq_unlink(self->name));
	}
}

TEST_F(mq, umask_takes_from_the_mode)
{
	static const struct {
		mode_t mask;
		int owner, group, others;
	} cases[] = {
		{ 0000, 7, 7, 7 }, { 0077, 7, 0, 0 }, { 0022, 7, 1, 1 }, { 0700, 0, 7, 7 },
		{ 0246, 1, 2, 0 }, { 0777, 0, 0, 0 },
	};
	struct opening *opening = kt_new(struct opening);

	strcpy(opening->name, self->name);
	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		umask(cases[i].mask);
		opening->oflag = O_RDWR | O_CREAT | O_EXCL;
		opening->mode = 0666;
		ASSERT_EQ(0, kt_run(AS_A, open_as, opening));
		EXPECT_EQ(cases[i].mask, umask(0));
		EXPECT_EQ(cases[i].owner, openings(opening, AS_A));
		EXPECT_EQ(cases[i].group, openings(opening, AS_GROUP));
		EXPECT_EQ(cases[i].others, openings(opening, AS_B));
		EXPECT_WORKS(mq_unlink(self->name));
	}
}

TEST_F(mq, O_NONBLOCK_is_EAGAIN_where_it_would_wait)
{
	mqd_t queue = make_queue(self->name, O_RDWR | O_NONBLOCK, 2);
	struct timespec far = { .tv_sec = 2000000000 };
	char buf[65];

	ASSERT_LE(0, queue);
	EXPECT_FAILS(EAGAIN, take(queue, buf, NULL));
	EXPECT_FAILS(EAGAIN, mq_timedreceive(queue, buf, 64, NULL, &far));
	EXPECT_WORKS(put(queue, "1", 0));
	EXPECT_WORKS(put(queue, "2", 0));
	EXPECT_FAILS(EAGAIN, put(queue, "3", 5));
	EXPECT_FAILS(EAGAIN, mq_timedsend(queue, "3", 1, 0, &far));
	EXPECT_TRUE(next_is(queue, "1", 0));
	EXPECT_TRUE(next_is(queue, "2", 0));
	EXPECT_FAILS(EAGAIN, take(queue, buf, NULL));
}

/* ---- limits ---- */

TEST_F(mq, attributes_are_those_asked_for)
{
	struct mq_attr attr = { .mq_flags = O_NONBLOCK, .mq_maxmsg = 7, .mq_msgsize = 123,
				.mq_curmsgs = 5 }, is;
	mqd_t queue = mq_open(self->name, O_RDWR | O_CREAT, 0600, &attr);

	ASSERT_LE(0, queue);
	kt_poison(&is, sizeof(is));
	EXPECT_WORKS(mq_getattr(queue, &is));
	/* The other members mean nothing there */
	attr.mq_flags = 0;
	attr.mq_curmsgs = 0;
	EXPECT_EQ(0, memcmp(&attr, &is, sizeof(is)));
	for (int i = 0; i < 7; i++)
		EXPECT_WORKS(put(queue, "x", 0));
	EXPECT_EQ(7, queued(queue));
}

TEST_F(mq, default_attributes_are_those_of_proc)
{
	static const char *const files[] = {
		LIMITS "msg_default", LIMITS "msg_max", LIMITS "msgsize_default",
		LIMITS "msgsize_max",
	};
	static const long values[][4] = {
		{ 10, 10, 8192, 8192 }, { 5, 10, 500, 8192 }, { 20, 8, 9000, 1000 },
	};
	long before[4];
	struct mq_attr is;
	mqd_t queue;

	for (int i = 0; i < 4; i++)
		before[i] = read_number(files[i]);
	for (unsigned int i = 0; i < ARRAY_SIZE(values); i++) {
		for (int j = 0; j < 4; j++)
			write_number(files[j], values[i][j]);
		queue = mq_open(self->name, O_RDWR | O_CREAT | O_EXCL, 0600, NULL);
		EXPECT_LE(0, queue);
		EXPECT_EQ(0, mq_getattr(queue, &is));
		EXPECT_EQ(values[i][0] < values[i][1] ? values[i][0] : values[i][1], is.mq_maxmsg);
		EXPECT_EQ(values[i][2] < values[i][3] ? values[i][2] : values[i][3],
			  is.mq_msgsize);
		mq_close(queue);
		mq_unlink(self->name);
	}
	for (int i = 0; i < 4; i++)
		write_number(files[i], before[i]);
}

struct making {
	char name[64];
	struct mq_attr attr;
};

static long make_as(void *arg)
{
	struct making *making = arg;
	mqd_t queue = mq_open(making->name, O_RDWR | O_CREAT | O_EXCL, 0600, &making->attr);

	if (queue < 0)
		return -errno;
	mq_close(queue);
	return mq_unlink(making->name);
}

static long try_make(const struct kt_how *how, const char *name, long msgs, long size)
{
	struct making *making = kt_new(struct making);

	strcpy(making->name, name);
	making->attr = attributes(msgs, size);
	return kt_run(how, make_as, making);
}

TEST_F(mq, attributes_have_limits)
{
	long msgs = read_number(LIMITS "msg_max"), size = read_number(LIMITS "msgsize_max");
	static const struct kt_how as_root = { .uid = 0 };

	EXPECT_EQ(0, try_make(AS_A, self->name, msgs, size));
	EXPECT_EQ(-EINVAL, try_make(AS_A, self->name, msgs + 1, size));
	EXPECT_EQ(-EINVAL, try_make(AS_A, self->name, msgs, size + 1));
	EXPECT_EQ(-EINVAL, try_make(AS_A, self->name, 0, size));
	EXPECT_EQ(-EINVAL, try_make(AS_A, self->name, msgs, 0));
	EXPECT_EQ(-EINVAL, try_make(AS_A, self->name, -1, size));
	EXPECT_EQ(-EINVAL, try_make(AS_A, self->name, msgs, -1));
	EXPECT_EQ(-EINVAL, try_make(AS_A, self->name, LONG_MAX, LONG_MAX));
	/* CAP_SYS_RESOURCE exempts from these limits, but not from all */
	EXPECT_EQ(0, try_make(&as_root, self->name, msgs + 1, size + 1));
	EXPECT_EQ(0, try_make(&as_root, self->name, 1000, 1));
	EXPECT_EQ(0, try_make(&as_root, self->name, 1, 100000));
	EXPECT_EQ(-EINVAL, try_make(&as_root, self->name, 65537, 1));
	EXPECT_EQ(-EINVAL, try_make(&as_root, self->name, 1, 16 * 1024 * 1024 + 1));
	EXPECT_EQ(-EINVAL, try_make(&as_root, self->name, 0, 1));
	EXPECT_EQ(-EINVAL, try_make(&as_root, self->name, 1, 0));
}

TEST_F(mq, capability_in_another_user_namespace_exempts_from_nothing)
{
	static const struct kt_how inside = {
		.ns = CLONE_NEWUSER, .outer_uid = KT_UID_A, .outer_gid = KT_UID_A,
	};
	long msgs = read_number(LIMITS "msg_max"), size = read_number(LIMITS "msgsize_max");

	EXPECT_EQ(0, try_make(&inside, self->name, msgs, size));
	EXPECT_EQ(-EINVAL, try_make(&inside, self->name, msgs + 1, size));
	EXPECT_EQ(-EINVAL, try_make(&inside, self->name, msgs, size + 1));
}

/* What a queue of one message of 64 bytes counts for RLIMIT_MSGQUEUE */
#define ONE_QUEUE (64 + 48 + 48)

static void limit_bytes(rlim_t bytes)
{
	struct rlimit limit;

	kt_need(!getrlimit(RLIMIT_MSGQUEUE, &limit));
	limit.rlim_cur = bytes;
	kt_need(!setrlimit(RLIMIT_MSGQUEUE, &limit));
}

static long queues_within_limit(void *arg)
{
	struct shared *shared = arg;
	char name[80], other[80];
	mqd_t one, two;

	snprintf(name, sizeof(name), "%s.1", shared->name);
	snprintf(other, sizeof(other), "%s.2", shared->name);
	limit_bytes(ONE_QUEUE - 1);
	if (make_queue(name, O_RDWR, 1) >= 0 || errno != EMFILE)
		return 1;
	limit_bytes(2 * ONE_QUEUE - 1);
	one = make_queue(name, O_RDWR, 1);
	if (one < 0)
		return 2;
	if (make_queue(other, O_RDWR, 1) >= 0 || errno != EMFILE)
		return 3;
	/* That one can be opened again */
	mq_close(mq_open(name, O_RDWR));
	limit_bytes(2 * ONE_QUEUE);
	two = make_queue(other, O_RDWR, 1);
	if (two < 0)
		return 4;
	/* What has no name any more still counts, until nobody has it open */
	mq_unlink(name);
	if (make_queue(name, O_RDWR, 1) >= 0 || errno != EMFILE)
		return 5;
	mq_close(one);
	one = make_queue(name, O_RDWR, 1);
	if (one < 0)
		return 6;
	mq_unlink(name);
	mq_unlink(other);
	return 0;
}

TEST_F(mq, RLIMIT_MSGQUEUE_is_EMFILE)
{
	/* For an exempt process too, but each user's queues are its own */
	EXPECT_EQ(0, kt_run(AS_A, queues_within_limit, self->shared));
	EXPECT_EQ(0, kt_run(AS_B, queues_within_limit, self->shared));
	EXPECT_EQ(0, kt_run(&(struct kt_how){ .uid = KT_UID_C }, queues_within_limit,
			    self->shared));
	ASSERT_LE(0, make_queue(self->name, O_RDWR, 1));
	limit_bytes(0);
	EXPECT_FAILS(EMFILE, make_queue("/dropin-more", O_RDWR, 1));
}

TEST_F(mq, queues_max_is_ENOSPC)
{
	long before = read_number(LIMITS "queues_max"), ret;
	static const struct kt_how as_root = { .uid = 0 };
	struct making *making = kt_new(struct making);
	mqd_t queue;

	/* Those count, too, that one may not open */
	making->attr = attributes(1, 1);
	queue = mq_open("/dropin-other", O_RDWR | O_CREAT, 0600, &making->attr);
	write_number(LIMITS "queues_max", 2);
	strcpy(making->name, self->name);
	EXPECT_EQ(0, kt_run(AS_A, make_as, making));
	write_number(LIMITS "queues_max", 1);
	ret = kt_run(AS_A, make_as, making);
	EXPECT_EQ(-ENOSPC, ret);
	/* Before it looks at the attributes */
	making->attr.mq_maxmsg = 0;
	EXPECT_EQ(-ENOSPC, kt_run(AS_A, make_as, making));
	making->attr.mq_maxmsg = 1;
	EXPECT_EQ(0, kt_run(&as_root, make_as, making));
	write_number(LIMITS "queues_max", before);
	EXPECT_LE(0, queue);
	EXPECT_WORKS(mq_unlink("/dropin-other"));
}

/* ---- the library ---- */

/* What a program that uses a queue says on stderr, with KIPC_DEBUG as given */
static ssize_t said_with(const char *debug, char *text, size_t room)
{
	int ends[2], status;
	ssize_t size = 0, more;
	pid_t pid;

	kt_need(!pipe2(ends, O_CLOEXEC));
	pid = fork();
	kt_need(pid >= 0);
	if (!pid) {
		unsetenv("KIPC_DEBUG");
		if (debug)
			setenv("KIPC_DEBUG", debug, 1);
		dup2(ends[1], STDERR_FILENO);
		/* No queue has been touched here yet */
		for (int i = 0; i < 3; i++)
			mq_unlink("/dropin-none");
		_exit(0);
	}
	close(ends[1]);
	while ((more = read(ends[0], text + size, room - 1 - (size_t)size)) > 0)
		size += more;
	close(ends[0]);
	text[size] = '\0';
	kt_need(waitpid(pid, &status, 0) == pid && !status);
	return size;
}

TEST(without_the_device_one_line_is_said_if_wanted)
{
	const char *how = getenv("DROPIN");
	bool no_device = how && !strcmp(how, "no device");
	char text[1024], *end;

	EXPECT_EQ(0, said_with(NULL, text, sizeof(text)));
	EXPECT_EQ(0, said_with("0", text, sizeof(text)));
	EXPECT_EQ(0, said_with("", text, sizeof(text)));
	said_with("1", text, sizeof(text));
	if (!no_device) {
		EXPECT_STREQ("", text);
		return;
	}
	EXPECT_NE(NULL, strstr(text, "libkipc-posixmq.so: cannot open /dev/kipc"));
	end = strchr(text, '\n');
	ASSERT_NE(NULL, end);
	EXPECT_EQ('\0', end[1]);
}

/* ---- descriptors ---- */

TEST_F(mq, descriptor_is_the_lowest_that_is_free)
{
	mqd_t first = make_queue(self->name, O_RDWR, 1);
	int fd = open("/dev/null", O_RDONLY);

	ASSERT_LE(0, first);
	EXPECT_EQ(first + 1, fd);
	EXPECT_WORKS(mq_close(first));
	EXPECT_EQ(first, mq_open(self->name, O_RDWR));
	EXPECT_EQ(fd + 1, mq_open(self->name, O_RDWR));
	close(0);
	EXPECT_EQ(0, mq_open(self->name, O_RDWR));
}

TEST_F(mq, no_descriptor_is_EMFILE)
{
	struct rlimit limit, before;
	mqd_t queue = make_queue(self->name, O_RDWR, 1);

	ASSERT_LE(0, queue);
	ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &before));
	limit = before;
	limit.rlim_cur = (rlim_t)queue + 2;
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &limit));
	EXPECT_EQ(queue + 1, mq_open(self->name, O_RDWR));
	EXPECT_FAILS(EMFILE, mq_open(self->name, O_RDWR));
	EXPECT_FAILS(EMFILE, make_queue("/dropin-more", O_RDWR, 1));
	/* Whatever else is wrong, but for what the C library finds, and addresses */
	EXPECT_FAILS(EMFILE, make_queue(self->name, O_RDWR | O_EXCL, 1));
	EXPECT_FAILS(EMFILE, make_queue("/dropin-more", O_RDWR, -1));
	EXPECT_FAILS(EMFILE, mq_open("/dropin-more", O_RDWR));
	EXPECT_FAILS(EMFILE, mq_open(self->name, O_ACCMODE));
	EXPECT_FAILS(EMFILE, mq_open("/dropin/more", O_RDWR));
	EXPECT_FAILS(EINVAL, mq_open("dropin", O_RDWR));
	EXPECT_FAILS(ENOENT, mq_open("/", O_RDWR));
	EXPECT_WORKS(mq_close(queue + 1));
	EXPECT_EQ(queue + 1, mq_open(self->name, O_RDWR));
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &before));
	EXPECT_FAILS(ENOENT, mq_open("/dropin-more", O_RDWR));
}

TEST_F(mq, descriptor_is_closed_by_exec)
{
	mqd_t queue = make_queue(self->name, O_RDWR, 1), kept;
	char command[128];
	int status;
	pid_t pid;

	ASSERT_LE(0, queue);
	EXPECT_EQ(FD_CLOEXEC, fcntl(queue, F_GETFD));
	kept = mq_open(self->name, O_RDWR | O_CLOEXEC);
	EXPECT_EQ(FD_CLOEXEC, fcntl(kept, F_GETFD));
	EXPECT_EQ(0, fcntl(kept, F_SETFD, 0));
	snprintf(command, sizeof(command), "[ ! -e /proc/self/fd/%d ] && [ -e /proc/self/fd/%d ]",
		 queue, kept);
	pid = fork();
	if (!pid) {
		unsetenv("LD_PRELOAD");
		execl("/bin/sh", "sh", "-c", command, NULL);
		_exit(2);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
}

static long use_inherited(void *arg)
{
	struct shared *shared = arg;

	if (!next_is(shared->queue, "to the child", 1))
		return 1;
	return put(shared->queue, "to the parent", 2);
}

TEST_F(mq, descriptor_is_inherited_by_fork)
{
	mqd_t queue = make_queue(self->name, O_RDWR, 4);

	ASSERT_LE(0, queue);
	self->shared->queue = queue;
	EXPECT_WORKS(put(queue, "to the child", 1));
	EXPECT_EQ(0, kt_run(KT_FORK, use_inherited, self->shared));
	EXPECT_TRUE(next_is(queue, "to the parent", 2));
}

TEST_F(mq, descriptor_goes_through_a_socket)
{
	char control[CMSG_SPACE(sizeof(int))] = { 0 }, byte = 0;
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
			      .msg_controllen = sizeof(control) };
	struct cmsghdr *header = CMSG_FIRSTHDR(&msg);
	mqd_t queue = make_queue(self->name, O_RDWR, 4), other;
	int pair[2];

	ASSERT_LE(0, queue);
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(header), &queue, sizeof(int));
	ASSERT_EQ(1, sendmsg(pair[0], &msg, 0));
	mq_close(queue);
	ASSERT_EQ(1, recvmsg(pair[1], &msg, 0));
	memcpy(&other, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(int));
	EXPECT_NE(pair[0], other);
	EXPECT_WORKS(put(other, "x", 3));
	EXPECT_TRUE(next_is(other, "x", 3));
}

TEST_F(mq, close_and_mq_close_are_the_same)
{
	mqd_t queue = make_queue(self->name, O_RDWR, 1), other = mq_open(self->name, O_RDWR);
	char buf[65];
	int fd;

	ASSERT_LE(0, other);
	EXPECT_EQ(0, close(other));
	EXPECT_FAILS(EBADF, mq_close(other));
	EXPECT_FAILS(EBADF, put(other, "x", 0));
	EXPECT_WORKS(mq_close(queue));
	EXPECT_FAILS(EBADF, close(queue));
	EXPECT_FAILS(EBADF, take(queue, buf, NULL));
	EXPECT_FAILS(EBADF, mq_close(-1));
	/* The C library does not ask what it closes */
	fd = open("/dev/null", O_RDONLY);
	EXPECT_WORKS(mq_close(fd));
	EXPECT_FAILS(EBADF, close(fd));
}

TEST_F(mq, what_is_no_queue_is_EBADF)
{
	struct mq_attr attr = { 0 };
	struct timespec past = { 0 };
	char buf[65];
	int fds[6];

	fds[0] = -1;
	fds[1] = 1000;
	fds[2] = open("/dev/null", O_RDWR);
	fds[3] = open("/proc/self/exe", O_RDONLY);
	fds[4] = socket(AF_UNIX, SOCK_STREAM, 0);
	fds[5] = open("/dev/kipc", O_RDWR);
	if (fds[5] < 0)
		fds[5] = open("/dev/zero", O_RDWR);
	for (unsigned int i = 0; i < ARRAY_SIZE(fds); i++) {
		EXPECT_FAILS(EBADF, mq_send(fds[i], "x", 1, 0));
		EXPECT_FAILS(EBADF, mq_receive(fds[i], buf, 64, NULL));
		EXPECT_FAILS(EBADF, mq_timedsend(fds[i], "x", 1, 0, &past));
		EXPECT_FAILS(EBADF, mq_timedreceive(fds[i], buf, 64, NULL, &past));
		EXPECT_FAILS(EBADF, mq_getattr(fds[i], &attr));
		EXPECT_FAILS(EBADF, mq_setattr(fds[i], &attr, NULL));
		EXPECT_FAILS(EBADF, mq_notify(fds[i], NULL));
	}
}

TEST_F(mq, descriptor_that_another_file_replaced_is_that_file)
{
	mqd_t queue = make_queue(self->name, O_RDWR, 1), again;
	int null = open("/dev/null", O_RDWR);

	ASSERT_LE(0, queue);
	ASSERT_EQ(queue, dup2(null, queue));
	EXPECT_FAILS(EBADF, put(queue, "x", 0));
	again = mq_open(self->name, O_RDWR);
	ASSERT_EQ(queue, dup2(again, queue));
	EXPECT_WORKS(put(queue, "x", 0));
}

/* Of all descriptors that the library may need one is there no more, or another file */
TEST_F(mq, closing_all_descriptors_does_no_harm)
{
	mqd_t queue;

	ASSERT_LE(0, make_queue(self->name, O_RDWR, 1));
	closefrom(3);
	queue = mq_open(self->name, O_RDWR);
	EXPECT_EQ(3, queue);
	EXPECT_WORKS(put(queue, "x", 0));
	for (int fd = 4; fd < 1020; fd++)
		dup2(0, fd);
	for (int fd = 4; fd < 10; fd++)
		close(fd);
	EXPECT_EQ(4, mq_open(self->name, O_RDWR));
	EXPECT_TRUE(next_is(4, "x", 0));
	EXPECT_WORKS(mq_unlink(self->name));
	EXPECT_FAILS(ENOENT, mq_open(self->name, O_RDWR));
}

TEST_F(mq, queue_of_the_kernel_s_own_from_elsewhere_works)
{
	struct mq_attr attr = attributes(2, 64), is;
	struct timespec past = { 0 };
	struct sigevent none = { .sigev_notify = SIGEV_NONE };
	mqd_t queue = (mqd_t)syscall(SYS_mq_open, self->name + 1, O_RDWR | O_CREAT, 0600, &attr);
	char buf[65];

	ASSERT_LE(0, queue);
	EXPECT_WORKS(mq_getattr(queue, &is));
	EXPECT_EQ(2, is.mq_maxmsg);
	EXPECT_WORKS(put(queue, "one", 3));
	EXPECT_WORKS(mq_timedsend(queue, "two", 3, 3, &past));
	EXPECT_FAILS(ETIMEDOUT, mq_timedsend(queue, "three", 5, 3, &past));
	is.mq_flags = O_NONBLOCK;
	EXPECT_WORKS(mq_setattr(queue, &is, NULL));
	EXPECT_FAILS(EAGAIN, put(queue, "three", 3));
	EXPECT_TRUE(next_is(queue, "one", 3));
	EXPECT_EQ(3, mq_timedreceive(queue, buf, 64, NULL, &past));
	EXPECT_WORKS(mq_notify(queue, &none));
	EXPECT_FAILS(EBUSY, mq_notify(queue, &none));
	EXPECT_WORKS(mq_close(queue));
	EXPECT_EQ(0, syscall(SYS_mq_unlink, self->name + 1));
}

/* ---- messages ---- */

TEST_F(mq, highest_priority_first_then_first_come)
{
	static const unsigned int prios[] = { 0, 5, 32767, 5, 0, 1, 32767, 32766 };
	static const int order[] = { 2, 6, 7, 1, 3, 5, 0, 4 };
	mqd_t queue = make_queue(self->name, O_RDWR, 10);
	char text[2] = "";

	ASSERT_LE(0, queue);
	for (unsigned int i = 0; i < ARRAY_SIZE(prios); i++) {
		text[0] = (char)('0' + i);
		EXPECT_WORKS(put(queue, text, prios[i]));
	}
	EXPECT_EQ(8, queued(queue));
	for (unsigned int i = 0; i < ARRAY_SIZE(order); i++) {
		text[0] = (char)('0' + order[i]);
		EXPECT_TRUE(next_is(queue, text, prios[order[i]]));
	}
	EXPECT_EQ(0, queued(queue));
}

TEST_F(mq, priority_of_32768_is_EINVAL)
{
	mqd_t queue = make_queue(self->name, O_RDWR, 10);
	struct timespec past = { 0 };

	ASSERT_LE(0, queue);
	EXPECT_EQ(32768, sysconf(_SC_MQ_PRIO_MAX));
	EXPECT_WORKS(put(queue, "x", 32767));
	EXPECT_FAILS(EINVAL, put(queue, "x", 32768));
	EXPECT_FAILS(EINVAL, put(queue, "x", UINT_MAX));
	EXPECT_FAILS(EINVAL, mq_timedsend(queue, "x", 1, 32768, &past));
	/* Seen first */
	EXPECT_FAILS(EINVAL, put(-1, "x", 32768));
	EXPECT_FAILS(EINVAL, mq_send(queue, "x", 1000, 32768));
	EXPECT_EQ(1, queued(queue));
}

TEST_F(mq, message_may_be_empty)
{
	mqd_t queue = make_queue(self->name, O_RDWR, 2);
	unsigned int prio = 99;
	char buf[64];

	ASSERT_LE(0, queue);
	EXPECT_WORKS(mq_send(queue, "", 0, 9));
	EXPECT_EQ(1, queued(queue));
	kt_poison(buf, sizeof(buf));
	EXPECT_EQ(0, mq_receive(queue, buf, sizeof(buf), &prio));
	EXPECT_EQ(9, prio);
	EXPECT_TRUE(kt_poisoned(buf, sizeof(buf)));
}

TEST_F(mq, message_that_is_too_long_is_EMSGSIZE)
{
	mqd_t queue = make_queue(self->name, O_RDWR, 1);
	static char buf[100];

	ASSERT_LE(0, queue);
	EXPECT_FAILS(EMSGSIZE, mq_send(queue, buf, 65, 0));
	EXPECT_FAILS(EMSGSIZE, mq_send(queue, buf, (size_t)SSIZE_MAX, 0));
	EXPECT_FAILS(EMSGSIZE, mq_send(queue, buf, SIZE_MAX, 0));
	EXPECT_EQ(0, queued(queue));
	EXPECT_WORKS(mq_send(queue, buf, 64, 0));
	/* Full or not */
	EXPECT_FAILS(EMSGSIZE, mq_send(queue, buf, 65, 0));
}

TEST_F(mq, room_that_is_too_small_is_EMSGSIZE_and_loses_nothing)
{
	mqd_t queue = make_queue(self->name, O_RDWR, 1);
	static char buf[100];

	ASSERT_LE(0, queue);
	/* Empty or not, whatever the message's length */
	EXPECT_FAILS(EMSGSIZE, mq_receive(queue, buf, 63, NULL));
	EXPECT_WORKS(put(queue, "x", 0));
	EXPECT_FAILS(EMSGSIZE, mq_receive(queue, buf, 63, NULL));
	EXPECT_FAILS(EMSGSIZE, mq_receive(queue, buf, 0, NULL));
	EXPECT_EQ(1, queued(queue));
	EXPECT_EQ(1, mq_receive(queue, buf, 64, NULL));
	EXPECT_WORKS(put(queue, "y", 0));
	EXPECT_EQ(1, mq_receive(queue, buf, SIZE_MAX, NULL));
}

TEST_F(mq, only_the_message_is_stored)
{
	mqd_t queue = make_queue(self->name, O_RDWR, 1);
	char buf[64];

	ASSERT_LE(0, queue);
	EXPECT_WORKS(put(queue, "abc", 0));
	kt_poison(buf, sizeof(buf));
	EXPECT_EQ(3, mq_receive(queue, buf, sizeof(buf), NULL));
	EXPECT_EQ(0, memcmp(buf, "abc", 3));
	EXPECT_TRUE(kt_poisoned(buf + 3, sizeof(buf) - 3));
}

TEST_F(mq, bad_address_is_EFAULT)
{
	mqd_t queue = make_queue(self->name, O_RDWR, 2);
	unsigned int prio;
	char buf[64];

	ASSERT_LE(0, queue);
	EXPECT_FAILS(EFAULT, mq_send(queue, kt_hole() - 3, 64, 0));
	EXPECT_EQ(0, queued(queue));
	EXPECT_WORKS(put(queue, "lost?", 7));
	EXPECT_FAILS(EFAULT, mq_receive(queue, kt_hole() - 3, 64, &prio));
	/* kipc loses no message to a bad buffer. The kernel's own queues do. */
	EXPECT_EQ(on_kipc(), queued(queue));
	if (on_kipc())
		EXPECT_TRUE(next_is(queue, "lost?", 7));
	/* What the priority is stored in is looked at last */
	EXPECT_FAILS(EMSGSIZE, mq_receive(queue, buf, 63, (void *)kt_hole()));
	for (int i = 0; i < 2; i++) {
		EXPECT_WORKS(put(queue, "lost?", 7));
		EXPECT_FAILS(EFAULT, mq_receive(queue, buf, 64, (void *)(kt_hole() - i)));
		EXPECT_EQ(on_kipc(), queued(queue));
		if (on_kipc())
			EXPECT_TRUE(next_is(queue, "lost?", 7));
	}
#ifdef __LP64__
	/* Elsewhere the C library looks at it itself */
	EXPECT_FAILS(EFAULT, mq_timedsend(queue, "x", 1, 0, (void *)kt_hole()));
	EXPECT_FAILS(EFAULT, mq_timedreceive(-1, buf, 0, NULL, (void *)kt_hole()));
	EXPECT_FAILS(EFAULT, mq_getattr(queue, (void *)kt_hole()));
	EXPECT_FAILS(EFAULT, mq_setattr(queue, (void *)kt_hole(), NULL));
	EXPECT_FAILS(EFAULT, mq_open("/dropin-more", O_RDWR | O_CREAT, 0600, kt_hole()));
#endif
}

/* That memory was there a moment ago says nothing */
TEST_F(mq, memory_that_is_not_there_any_more)
{
	mqd_t queue = make_queue(self->name, O_RDWR, 2);
	struct {
		unsigned int prio;
		struct timespec until;
	} *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char buf[64];

	ASSERT_LE(0, queue);
	ASSERT_NE(MAP_FAILED, (void *)page);
	EXPECT_WORKS(mq_timedsend(queue, "x", 1, 7, &page->until));
	EXPECT_EQ(1, mq_timedreceive(queue, buf, sizeof(buf), &page->prio, &page->until));
	EXPECT_EQ(7, page->prio);
	EXPECT_WORKS(put(queue, "kept", 6));
	ASSERT_EQ(0, munmap(page, 4096));
	EXPECT_FAILS(EFAULT, mq_receive(queue, buf, sizeof(buf), &page->prio));
	EXPECT_EQ(on_kipc(), queued(queue));
#ifdef __LP64__
	EXPECT_FAILS(EFAULT, mq_timedsend(queue, "x", 1, 0, &page->until));
	EXPECT_FAILS(EFAULT, mq_timedreceive(queue, buf, sizeof(buf), NULL, &page->until));
#endif
	EXPECT_EQ(on_kipc(), queued(queue));
}

struct op {
	mqd_t queue;
	const char *text;
	unsigned int prio;
	struct timespec *until;
	char got[65];
};

static long do_receive(void *arg)
{
	struct op *op = arg;

	return outcome(op->until ? mq_timedreceive(op->queue, op->got, 64, &op->prio, op->until) :
				   take(op->queue, op->got, &op->prio));
}

static long do_send(void *arg)
{
	struct op *op = arg;

	return outcome(op->until ? mq_timedsend(op->queue, op->text, strlen(op->text), op->prio,
						op->until) :
				   put(op->queue, op->text, op->prio));
}

static const struct kt_how *const ways[] = { &kt_how_thread, &kt_how_fork };

TEST_F(mq, receive_waits_for_a_message)
{
	mqd_t queue = make_queue(self->name, O_RDWR, 1);
	struct op *op = kt_new(struct op);

	ASSERT_LE(0, queue);
	op->queue = queue;
	for (unsigned int i = 0; i < ARRAY_SIZE(ways); i++) {
		struct kt_job *job = kt_start(ways[i], do_receive, op);

		ASSERT_TRUE(waits(job));
		EXPECT_WORKS(put(queue, "here", 12));
		EXPECT_EQ(4, kt_join(job));
		EXPECT_STREQ("here", op->got);
		EXPECT_EQ(12, op->prio);
		EXPECT_EQ(0, queued(queue));
	}
}

TEST_F(mq, send_waits_for_room)
{
	mqd_t queue = make_queue(self->name, O_RDWR, 1);
	struct op *op = kt_new(struct op);

	ASSERT_LE(0, queue);
	*op = (struct op){ .queue = queue, .text = "second", .prio = 1 };
	for (unsigned int i = 0; i < ARRAY_SIZE(ways); i++) {
		struct kt_job *job;

		EXPECT_WORKS(put(queue, "first", 1));
		job = kt_start(ways[i], do_send, op);
		ASSERT_TRUE(waits(job));
		/* What waits is not in the queue */
		EXPECT_EQ(1, queued(queue));
		EXPECT_TRUE(next_is(queue, "first", 1));
		EXPECT_EQ(0, kt_join(job));
		EXPECT_TRUE(next_is(queue, "second", 1));
	}
}

TEST_F(mq, receivers_get_messages_in_the_order_they_came)
{
	mqd_t queue = make_queue(self->name, O_RDWR, 1);
	struct op *ops = kt_shared(4 * sizeof(*ops));
	struct kt_job *jobs[4];
	char text[2] = "";

	ASSERT_LE(0, queue);
	for (int i = 0; i < 4; i++) {
		ops[i].queue = queue;
		jobs[i] = kt_start(i % 2 ? KT_THREAD : KT_FORK, do_receive, &ops[i]);
		ASSERT_TRUE(waits(jobs[i]));
	}
	for (int i = 0; i < 4; i++) {
		text[0] = (char)('a' + i);
		EXPECT_WORKS(put(queue, text, 0));
		EXPECT_EQ(1, kt_join(jobs[i]));
		EXPECT_STREQ(text, ops[i].got);
	}
}

/* What is sent to who waits is in the queue at no time, though who waited has not run yet */
TEST_F(mq, a_message_that_is_waited_for_goes_to_who_waits)
{
	mqd_t queue = make_queue(self->name, O_RDWR | O_NONBLOCK, 1);
	struct op *op = kt_new(struct op);
	struct kt_job *job;
	long now;

	ASSERT_LE(0, queue);
	op->queue = mq_open(self->name, O_RDWR);
	ASSERT_LE(0, op->queue);
	kt_one_cpu();
	job = kt_start(KT_FORK, do_receive, op);
	ASSERT_TRUE(waits(job));
	kt_go_first(true);
	EXPECT_WORKS(put(queue, "first", 1));
	now = queued(queue);
	EXPECT_WORKS(put(queue, "second", 9));
	EXPECT_FAILS(EAGAIN, put(queue, "third", 9));
	EXPECT_FALSE(job->done);
	kt_go_first(false);
	EXPECT_EQ(0, now);
	EXPECT_EQ(5, kt_join(job));
	EXPECT_STREQ("first", op->got);
	EXPECT_EQ(1, queued(queue));
	EXPECT_TRUE(next_is(queue, "second", 9));
}

struct nice_op {
	struct op op;
	int nice;
	bool real_time;
	long (*what)(void *arg);
};

static long do_nicely(void *arg)
{
	struct nice_op *op = arg;
	const struct sched_param param = { .sched_priority = op->real_time };

	kt_need(!setpriority(PRIO_PROCESS, 0, op->nice));
	if (op->real_time)
		kt_need(!sched_setscheduler(0, SCHED_FIFO, &param));
	return op->what(&op->op);
}

/* In the order in which they came; and in which they have their turn */
static const struct nice_op nice_ops[] = {
	{ .nice = 5 }, { .nice = 0 }, { .nice = 5 }, { .nice = -5 }, { .nice = 0 },
	{ .real_time = true },
};

static const int turns[ARRAY_SIZE(nice_ops)] = { 5, 3, 1, 4, 0, 2 };

TEST_F(mq, receivers_of_higher_priority_go_first)
{
	mqd_t queue = make_queue(self->name, O_RDWR, 1);
	struct nice_op *ops = kt_shared(sizeof(nice_ops));
	struct kt_job *jobs[ARRAY_SIZE(nice_ops)];

	ASSERT_LE(0, queue);
	memcpy(ops, nice_ops, sizeof(nice_ops));
	for (unsigned int i = 0; i < ARRAY_SIZE(nice_ops); i++) {
		ops[i].op.queue = queue;
		ops[i].what = do_receive;
		jobs[i] = kt_start(ways[i % 2], do_nicely, &ops[i]);
		ASSERT_TRUE(waits(jobs[i]));
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(nice_ops); i++) {
		EXPECT_WORKS(put(queue, "x", i));
		EXPECT_EQ(1, kt_join(jobs[turns[i]]));
		EXPECT_EQ(i, ops[turns[i]].op.prio);
	}
}

TEST_F(mq, senders_of_higher_priority_go_first)
{
	mqd_t queue = make_queue(self->name, O_RDWR, 1);
	struct nice_op *ops = kt_shared(sizeof(nice_ops));
	struct kt_job *jobs[ARRAY_SIZE(nice_ops)];
	static const char *const texts[] = { "a", "b", "c", "d", "e", "f" };

	ASSERT_LE(0, queue);
	memcpy(ops, nice_ops, sizeof(nice_ops));
	EXPECT_WORKS(put(queue, "first", 0));
	for (unsigned int i = 0; i < ARRAY_SIZE(nice_ops); i++) {
		ops[i].op.queue = queue;
		ops[i].op.text = texts[i];
		ops[i].op.prio = i;
		ops[i].what = do_send;
		jobs[i] = kt_start(ways[i % 2], do_nicely, &ops[i]);
		ASSERT_TRUE(waits(jobs[i]));
	}
	EXPECT_TRUE(next_is(queue, "first", 0));
	for (unsigned int i = 0; i < ARRAY_SIZE(nice_ops); i++) {
		EXPECT_EQ(0, kt_join(jobs[turns[i]]));
		EXPECT_TRUE(next_is(queue, texts[turns[i]], (unsigned int)turns[i]));
	}
}

TEST_F(mq, senders_get_room_in_the_order_they_came)
{
	mqd_t queue = make_queue(self->name, O_RDWR, 1);
	struct op *ops = kt_shared(4 * sizeof(*ops));
	static const char *const texts[] = { "a", "b", "c", "d" };
	struct kt_job *jobs[4];

	ASSERT_LE(0, queue);
	EXPECT_WORKS(put(queue, "first", 0));
	for (int i = 0; i < 4; i++) {
		ops[i] = (struct op){ .queue = queue, .text = texts[i] };
		jobs[i] = kt_start(i % 2 ? KT_THREAD : KT_FORK, do_send, &ops[i]);
		ASSERT_TRUE(waits(jobs[i]));
	}
	EXPECT_TRUE(next_is(queue, "first", 0));
	for (int i = 0; i < 4; i++) {
		EXPECT_EQ(0, kt_join(jobs[i]));
		EXPECT_TRUE(next_is(queue, texts[i], 0));
	}
}

/* There is no priority for what waits: it comes in by the order in which it came */
TEST_F(mq, priorities_of_messages_that_wait_for_room)
{
	static const char *const texts[] = { "a", "b", "c" };
	static const unsigned int prios[] = { 1, 9, 5 };
	mqd_t queue = make_queue(self->name, O_RDWR, 2);
	struct op *ops = kt_shared(3 * sizeof(*ops));
	struct kt_job *jobs[3];

	ASSERT_LE(0, queue);
	EXPECT_WORKS(put(queue, "first", 3));
	EXPECT_WORKS(put(queue, "second", 3));
	for (int i = 0; i < 3; i++) {
		ops[i] = (struct op){ .queue = queue, .text = texts[i], .prio = prios[i] };
		jobs[i] = kt_start(i % 2 ? KT_THREAD : KT_FORK, do_send, &ops[i]);
		ASSERT_TRUE(waits(jobs[i]));
	}
	EXPECT_TRUE(next_is(queue, "first", 3));
	EXPECT_EQ(0, kt_join(jobs[0]));
	EXPECT_TRUE(next_is(queue, "second", 3));
	EXPECT_EQ(0, kt_join(jobs[1]));
	EXPECT_TRUE(next_is(queue, "b", 9));
	EXPECT_EQ(0, kt_join(jobs[2]));
	EXPECT_TRUE(next_is(queue, "c", 5));
	EXPECT_TRUE(next_is(queue, "a", 1));
}

/* ---- timeouts ---- */

static struct timespec in_ms(long ms)
{
	struct timespec ts;

	kt_need(!clock_gettime(CLOCK_REALTIME, &ts));
	ts.tv_sec += ms / 1000;
	ts.tv_nsec += ms % 1000 * 1000000;
	if (ts.tv_nsec >= 1000000000) {
		ts.tv_sec++;
		ts.tv_nsec -= 1000000000;
	}
	return ts;
}

static bool passed(const struct timespec *ts)
{
	struct timespec now;

	kt_need(!clock_gettime(CLOCK_REALTIME, &now));
	return now.tv_sec > ts->tv_sec || (now.tv_sec == ts->tv_sec && now.tv_nsec >= ts->tv_nsec);
}

TEST_F(mq, wait_ends_with_ETIMEDOUT_and_not_early)
{
	mqd_t queue = make_queue(self->name, O_RDWR, 1);
	struct timespec until;
	char buf[65];

	ASSERT_LE(0, queue);
	for (int i = 0; i < 5; i++) {
		until = in_ms(30 * i);
		EXPECT_FAILS(ETIMEDOUT, mq_timedreceive(queue, buf, 64, NULL, &until));
		EXPECT_TRUE(passed(&until));
	}
	EXPECT_WORKS(put(queue, "full", 0));
	for (int i = 0; i < 5; i++) {
		until = in_ms(30 * i);
		EXPECT_FAILS(ETIMEDOUT, mq_timedsend(queue, "x", 1, 9, &until));
		EXPECT_TRUE(passed(&until));
	}
	EXPECT_EQ(1, queued(queue));
	EXPECT_TRUE(next_is(queue, "full", 0));
	EXPECT_EQ(0, queued(queue));
}

TEST_F(mq, time_that_has_passed_matters_only_to_who_would_wait)
{
	static const struct timespec past[] = { { 0, 0 }, { 0, 1 }, { 1, 0 }, { 9999, 999999999 } };
	mqd_t queue = make_queue(self->name, O_RDWR, 1);
	char buf[65];

	ASSERT_LE(0, queue);
	for (unsigned int i = 0; i < ARRAY_SIZE(past); i++) {
		EXPECT_FAILS(ETIMEDOUT, mq_timedreceive(queue, buf, 64, NULL, &past[i]));
		EXPECT_WORKS(mq_timedsend(queue, "x", 1, 0, &past[i]));
		EXPECT_FAILS(ETIMEDOUT, mq_timedsend(queue, "x", 1, 0, &past[i]));
		EXPECT_EQ(1, mq_timedreceive(queue, buf, 64, NULL, &past[i]));
	}
}

TEST_F(mq, time_that_is_none_is_EINVAL_at_once)
{
	static const struct timespec bad[] = {
		{ 0, -1 }, { 0, 1000000000 }, { -1, 0 }, { -1, 999999999 },
		{ 2000000000, LONG_MAX }, { 2000000000, LONG_MIN }, { 2000000000, 1000000000 },
	};
	mqd_t queue = make_queue(self->name, O_RDWR, 2);
	char buf[65];

	ASSERT_LE(0, queue);
	EXPECT_WORKS(put(queue, "x", 0));
	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		/* Though it would not wait, and before all else */
		EXPECT_FAILS(EINVAL, mq_timedreceive(queue, buf, 64, NULL, &bad[i]));
		EXPECT_FAILS(EINVAL, mq_timedsend(queue, "x", 1, 0, &bad[i]));
		EXPECT_FAILS(EINVAL, mq_timedreceive(-1, buf, 64, NULL, &bad[i]));
		EXPECT_FAILS(EINVAL, mq_timedsend(-1, "x", 1, 0, &bad[i]));
	}
	EXPECT_EQ(1, queued(queue));
}

TEST_F(mq, time_that_never_comes_is_waited_for)
{
	const time_t last = (time_t)(sizeof(time_t) == 8 ? INT64_MAX : INT32_MAX);
	struct timespec *far = kt_shared(3 * sizeof(*far));
	mqd_t queue = make_queue(self->name, O_RDWR, 1);
	struct op *op = kt_new(struct op);
	struct kt_job *job;

	ASSERT_LE(0, queue);
	far[0] = (struct timespec){ last, 999999999 };
	far[1] = (struct timespec){ last, 0 };
	far[2] = (struct timespec){ last / 1000000000 * 2, 0 };
	if (sizeof(time_t) == 4)
		far[2].tv_sec = last - 1;
	op->queue = queue;
	for (int i = 0; i < 3; i++) {
		op->until = &far[i];
		job = kt_start(KT_FORK, do_receive, op);
		ASSERT_TRUE(waits(job));
		EXPECT_WORKS(put(queue, "x", 0));
		EXPECT_EQ(1, kt_join(job));
	}
}

/* The clock of the machine is set: the VM's, that nobody else looks at now */
TEST_F(mq, timeouts_follow_the_clock_when_it_is_set)
{
	struct timespec *until = kt_new(struct timespec), now, mono, later;
	mqd_t queue = make_queue(self->name, O_RDWR, 1);
	struct op *op = kt_new(struct op);
	struct kt_job *job;
	long ret;

	ASSERT_LE(0, queue);
	*until = in_ms(3600 * 1000);
	*op = (struct op){ .queue = queue, .until = until };
	job = kt_start(KT_FORK, do_receive, op);
	ASSERT_TRUE(waits(job));
	clock_gettime(CLOCK_MONOTONIC, &mono);
	now = in_ms(3601 * 1000);
	ASSERT_EQ(0, clock_settime(CLOCK_REALTIME, &now));
	ret = kt_join(job);
	clock_gettime(CLOCK_MONOTONIC, &later);
	now = in_ms(-3601 * 1000);
	EXPECT_EQ(0, clock_settime(CLOCK_REALTIME, &now));
	EXPECT_EQ(-ETIMEDOUT, ret);
	EXPECT_GT(60, later.tv_sec - mono.tv_sec);
}

/* ---- signals and cancellation ---- */

static long (*const blocking[])(void *) = { do_receive, do_send };

/* A queue to wait in with each of these */
static bool empty_and_full(const char *name, mqd_t *empty, mqd_t *full)
{
	*empty = make_queue(name, O_RDWR, 1);
	*full = make_queue("/dropin-full", O_RDWR, 1);
	return *empty >= 0 && *full >= 0 && !mq_unlink("/dropin-full") && !put(*full, "full", 0);
}

TEST_F(mq, signal_ends_a_wait_with_EINTR)
{
	mqd_t empty, full;
	struct timespec *until = kt_new(struct timespec);
	struct op *op = kt_new(struct op);

	ASSERT_TRUE(empty_and_full(self->name, &empty, &full));
	kt_catch(SIGUSR1, 0);
	*until = in_ms(3600 * 1000);
	for (int i = 0; i < 8; i++) {
		struct kt_job *job;

		*op = (struct op){ .queue = i & 1 ? full : empty, .text = "x" };
		op->until = i & 2 ? until : NULL;
		job = kt_start(ways[i >> 2], blocking[i & 1], op);
		ASSERT_TRUE(waits(job));
		ASSERT_TRUE(kt_signal(job, SIGUSR1));
		EXPECT_EQ(-EINTR, kt_join(job));
	}
	EXPECT_EQ(0, queued(empty));
	EXPECT_TRUE(next_is(full, "full", 0));
	EXPECT_EQ(0, queued(full));
}

TEST_F(mq, wait_goes_on_after_a_signal_with_SA_RESTART)
{
	mqd_t empty, full;
	struct timespec *until = kt_new(struct timespec);
	struct op *op = kt_new(struct op);

	ASSERT_TRUE(empty_and_full(self->name, &empty, &full));
	kt_catch(SIGUSR1, SA_RESTART);
	*until = in_ms(3600 * 1000);
	for (int i = 0; i < 4; i++) {
		int before = kt_caught;
		struct kt_job *job;

		*op = (struct op){ .queue = i & 1 ? full : empty, .text = "x" };
		op->until = i & 2 ? until : NULL;
		job = kt_start(KT_THREAD, blocking[i & 1], op);
		ASSERT_TRUE(waits(job));
		ASSERT_TRUE(kt_signal(job, SIGUSR1));
		EXPECT_TRUE(kt_until(kt_caught == before + 1));
		ASSERT_TRUE(waits(job));
		if (i & 1) {
			EXPECT_TRUE(next_is(full, i & 2 ? "x" : "full", 0));
			EXPECT_EQ(0, kt_join(job));
		} else {
			EXPECT_WORKS(put(empty, "y", 0));
			EXPECT_EQ(1, kt_join(job));
		}
	}
}

TEST_F(mq, wait_goes_on_after_a_stop)
{
	mqd_t queue = make_queue(self->name, O_RDWR, 1);
	struct op *op = kt_new(struct op);
	struct kt_job *job;
	int status;

	ASSERT_LE(0, queue);
	op->queue = queue;
	job = kt_start(KT_FORK, do_receive, op);
	ASSERT_TRUE(waits(job));
	ASSERT_TRUE(kt_signal(job, SIGSTOP));
	ASSERT_EQ(job->reap, waitpid(job->reap, &status, WUNTRACED));
	EXPECT_TRUE(WIFSTOPPED(status));
	ASSERT_EQ(0, kill(job->pid, SIGCONT));
	ASSERT_TRUE(waits(job));
	EXPECT_WORKS(put(queue, "x", 0));
	EXPECT_EQ(1, kt_join(job));
}

TEST_F(mq, time_runs_on_while_a_wait_is_restarted)
{
	mqd_t queue = make_queue(self->name, O_RDWR, 1);
	struct timespec *until = kt_new(struct timespec);
	struct op *op = kt_new(struct op);
	struct kt_job *job;

	ASSERT_LE(0, queue);
	kt_catch(SIGUSR1, SA_RESTART);
	*until = in_ms(500);
	*op = (struct op){ .queue = queue, .until = until };
	job = kt_start(KT_THREAD, do_receive, op);
	ASSERT_TRUE(waits(job));
	for (int i = 0; i < 5; i++)
		kt_signal(job, SIGUSR1);
	EXPECT_EQ(-ETIMEDOUT, kt_join(job));
	EXPECT_TRUE(passed(until));
}

struct victim {
	pthread_t thread;
	struct op op;
	long (*run)(void *arg);
	pid_t tid;
	bool before;
	struct kt_flag ready, go;
};

static void *victim_main(void *arg)
{
	struct victim *victim = arg;
	int old;

	victim->tid = gettid();
	if (victim->before)
		pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &old);
	kt_raise(&victim->ready);
	if (victim->before) {
		kt_await(&victim->go);
		pthread_setcancelstate(old, &old);
	}
	victim->run(&victim->op);
	return NULL;
}

TEST_F(mq, waits_are_cancellation_points)
{
	mqd_t empty, full;
	struct timespec until = in_ms(3600 * 1000);

	ASSERT_TRUE(empty_and_full(self->name, &empty, &full));
	for (int i = 0; i < 8; i++) {
		struct victim victim = {
			.op = { .queue = i & 1 ? full : empty, .text = "x",
				.until = i & 2 ? &until : NULL },
			.run = blocking[i & 1],
			/* The request is there before the call, or comes while it waits */
			.before = i & 4,
		};
		struct kt_job job = { .pid = getpid() };
		void *end = NULL;

		ASSERT_EQ(0, pthread_create(&victim.thread, NULL, victim_main, &victim));
		ASSERT_TRUE(kt_await(&victim.ready));
		job.tid = victim.tid;
		if (!victim.before)
			ASSERT_TRUE(waits(&job));
		ASSERT_EQ(0, pthread_cancel(victim.thread));
		kt_raise(&victim.go);
		ASSERT_EQ(0, pthread_join(victim.thread, &end));
		EXPECT_EQ(PTHREAD_CANCELED, end);
	}
	EXPECT_EQ(0, queued(empty));
	EXPECT_TRUE(next_is(full, "full", 0));
	EXPECT_EQ(0, queued(full));
}

struct refusal {
	mqd_t queue;
	int call;	/* which */
};

static void *refused(void *arg)
{
	const struct timespec never = { .tv_nsec = -1 };
	const struct refusal *refusal = arg;
	char buf[64];
	int old;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &old);
	pthread_cancel(pthread_self());
	pthread_setcancelstate(old, &old);
	switch (refusal->call) {
	case 0:
		mq_send(refusal->queue, "x", 1, 40000);
		break;
	case 1:
		mq_timedsend(refusal->queue, "x", 1, 0, &never);
		break;
	case 2:
		mq_timedreceive(refusal->queue, buf, sizeof(buf), NULL, &never);
		break;
	}
	return NULL;
}

TEST_F(mq, calls_with_invalid_arguments_are_cancellation_points_too)
{
	struct refusal refusal = { .queue = make_queue(self->name, O_RDWR, 1) };

	ASSERT_LE(0, refusal.queue);
	for (refusal.call = 0; refusal.call < 3; refusal.call++) {
		pthread_t thread;
		void *end = NULL;

		ASSERT_EQ(0, pthread_create(&thread, NULL, refused, &refusal));
		ASSERT_EQ(0, pthread_join(thread, &end));
		EXPECT_EQ(PTHREAD_CANCELED, end);
	}
}

/* ---- attributes ---- */

TEST_F(mq, setattr_changes_O_NONBLOCK_only)
{
	struct mq_attr attr = { .mq_flags = O_NONBLOCK, .mq_maxmsg = 99, .mq_msgsize = 99,
				.mq_curmsgs = 99 };
	mqd_t queue = make_queue(self->name, O_RDWR, 3);
	struct mq_attr was, is, expected = attributes(3, 64);
	char buf[65];

	ASSERT_LE(0, queue);
	EXPECT_WORKS(put(queue, "x", 0));
	expected.mq_curmsgs = 1;
	kt_poison(&was, sizeof(was));
	EXPECT_WORKS(mq_setattr(queue, &attr, &was));
	EXPECT_EQ(0, memcmp(&expected, &was, sizeof(was)));
	expected.mq_flags = O_NONBLOCK;
	EXPECT_WORKS(mq_getattr(queue, &is));
	EXPECT_EQ(0, memcmp(&expected, &is, sizeof(is)));
	EXPECT_EQ(O_NONBLOCK, fcntl(queue, F_GETFL) & O_NONBLOCK);
	EXPECT_EQ(O_RDWR, fcntl(queue, F_GETFL) & O_ACCMODE);
	EXPECT_TRUE(next_is(queue, "x", 0));
	EXPECT_FAILS(EAGAIN, take(queue, buf, NULL));
	attr.mq_flags = 0;
	EXPECT_WORKS(mq_setattr(queue, &attr, NULL));
	EXPECT_EQ(0, fcntl(queue, F_GETFL) & O_NONBLOCK);
	/* By other means, too */
	EXPECT_EQ(0, fcntl(queue, F_SETFL, O_NONBLOCK));
	EXPECT_WORKS(mq_getattr(queue, &is));
	EXPECT_EQ(O_NONBLOCK, is.mq_flags);
}

TEST_F(mq, setattr_with_other_flags_is_EINVAL)
{
	static const int flags[] = { 1, O_CREAT, O_NONBLOCK | O_APPEND, O_CLOEXEC, -1 };
	mqd_t queue = make_queue(self->name, O_RDWR, 3);
	struct mq_attr attr = { 0 }, was;

	ASSERT_LE(0, queue);
	for (unsigned int i = 0; i < ARRAY_SIZE(flags); i++) {
		attr.mq_flags = flags[i];
		kt_poison(&was, sizeof(was));
		EXPECT_FAILS(EINVAL, mq_setattr(queue, &attr, &was));
		EXPECT_TRUE(kt_poisoned(&was, sizeof(was)));
		/* Seen first */
		EXPECT_FAILS(EINVAL, mq_setattr(-1, &attr, &was));
	}
	EXPECT_WORKS(mq_getattr(queue, &was));
	EXPECT_EQ(0, was.mq_flags);
}

static long set_nonblock(void *arg)
{
	struct shared *shared = arg;
	struct mq_attr attr = { .mq_flags = O_NONBLOCK };

	return outcome(mq_setattr(shared->queue, &attr, NULL));
}

TEST_F(mq, O_NONBLOCK_belongs_to_the_open_queue)
{
	mqd_t queue = make_queue(self->name, O_RDWR, 1), other = mq_open(self->name, O_RDWR);
	int same = dup(queue);
	struct mq_attr is;

	ASSERT_LE(0, other);
	ASSERT_LE(0, same);
	self->shared->queue = queue;
	EXPECT_EQ(0, kt_run(KT_FORK, set_nonblock, self->shared));
	EXPECT_WORKS(mq_getattr(queue, &is));
	EXPECT_EQ(O_NONBLOCK, is.mq_flags);
	EXPECT_WORKS(mq_getattr(same, &is));
	EXPECT_EQ(O_NONBLOCK, is.mq_flags);
	EXPECT_WORKS(mq_getattr(other, &is));
	EXPECT_EQ(0, is.mq_flags);
}

/* ---- poll, select, epoll ---- */

static short polled(int fd)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM };

	kt_need(poll(&pfd, 1, 0) >= 0);
	return pfd.revents;
}

TEST_F(mq, poll_tells_of_messages_and_of_room)
{
	mqd_t queue = make_queue(self->name, O_RDWR, 2);
	const short in = POLLIN | POLLRDNORM, out = POLLOUT | POLLWRNORM;

	ASSERT_LE(0, queue);
	EXPECT_EQ(out, polled(queue));
	EXPECT_WORKS(put(queue, "1", 0));
	EXPECT_EQ(in | out, polled(queue));
	EXPECT_WORKS(put(queue, "2", 0));
	EXPECT_EQ(in, polled(queue));
	EXPECT_TRUE(next_is(queue, "1", 0));
	EXPECT_EQ(in | out, polled(queue));
	EXPECT_TRUE(next_is(queue, "2", 0));
	EXPECT_EQ(out, polled(queue));
	EXPECT_WORKS(mq_unlink(self->name));
	EXPECT_EQ(out, polled(queue));
}

/* It tells of both, whatever a descriptor is open for */
TEST_F(mq, poll_of_one_direction)
{
	mqd_t both = make_queue(self->name, O_RDWR, 2), receive = mq_open(self->name, O_RDONLY),
	      send = mq_open(self->name, O_WRONLY);
	const short in = POLLIN | POLLRDNORM, out = POLLOUT | POLLWRNORM;

	ASSERT_LE(0, both);
	EXPECT_EQ(out, polled(receive));
	EXPECT_EQ(out, polled(send));
	EXPECT_WORKS(put(both, "1", 0));
	EXPECT_WORKS(put(both, "2", 0));
	EXPECT_EQ(in, polled(receive));
	EXPECT_EQ(in, polled(send));
}

TEST_F(mq, nothing_is_told_of_who_has_closed_it)
{
	mqd_t queue = make_queue(self->name, O_RDWR, 2);
	struct pollfd pfd = { .fd = mq_open(self->name, O_WRONLY), .events = POLLOUT | POLLRDHUP };

	ASSERT_LE(0, queue);
	ASSERT_LE(0, pfd.fd);
	EXPECT_WORKS(mq_close(queue));
	EXPECT_EQ(1, poll(&pfd, 1, 0));
	EXPECT_EQ(POLLOUT, pfd.revents);
}

TEST_F(mq, no_signals_of_input_and_output)
{
	mqd_t queue = make_queue(self->name, O_RDWR, 2);

	ASSERT_LE(0, queue);
	kt_catch(SIGIO, 0);
	ASSERT_EQ(0, fcntl(queue, F_SETOWN, getpid()));
	ASSERT_EQ(0, fcntl(queue, F_SETFL, O_ASYNC));
	EXPECT_WORKS(put(queue, "1", 0));
	EXPECT_TRUE(next_is(queue, "1", 0));
	EXPECT_EQ(0, kt_caught);
}

/* As a file of mqueue(7); stress-ng(1) does that */
TEST_F(mq, read_tells_of_the_queue)
{
	mqd_t queue = make_queue(self->name, O_RDWR, 3);
	mqd_t sends = mq_open(self->name, O_WRONLY);
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1 };
	char text[128] = "", first[128] = "", empty[128];

	ASSERT_LE(0, queue);
	ASSERT_LE(0, sends);
	snprintf(empty, sizeof(empty), "QSIZE:%-10d NOTIFY:%-5d SIGNO:%-5d NOTIFY_PID:%-6d\n", 0, 0,
		 0, 0);
	EXPECT_EQ((ssize_t)strlen(empty), read(queue, text, sizeof(text)));
	EXPECT_STREQ(empty, text);
	EXPECT_EQ(0, read(queue, text, sizeof(text)));
	EXPECT_WORKS(mq_notify(queue, &event));
	memset(text, 0, sizeof(text));
	EXPECT_EQ((ssize_t)strlen(empty), pread(queue, text, sizeof(text), 0));
	snprintf(empty, sizeof(empty), "QSIZE:%-10d NOTIFY:%-5d SIGNO:%-5d NOTIFY_PID:%-6d\n", 0,
		 SIGEV_SIGNAL, SIGUSR1, getpid());
	EXPECT_STREQ(empty, text);
	EXPECT_WORKS(mq_notify(queue, NULL));
	EXPECT_WORKS(put(queue, "12345", 1));
	EXPECT_WORKS(put(queue, "678", 1));
	EXPECT_EQ(0, lseek(queue, 0, SEEK_SET));
	EXPECT_EQ(4, read(queue, first, 4));
	EXPECT_STREQ("QSIZ", first);
	EXPECT_EQ(4, lseek(queue, 0, SEEK_CUR));
	EXPECT_LT(4, read(queue, first + 4, sizeof(first) - 4));
	EXPECT_EQ(8, atoi(first + strlen("QSIZE:")));
	/* Nothing was taken */
	EXPECT_EQ(2, queued(queue));
	EXPECT_FAILS(EBADF, read(sends, text, sizeof(text)));
	EXPECT_FAILS(EINVAL, write(sends, "x", 1));
	EXPECT_FAILS(EFAULT, pread(queue, kt_hole(), 64, 0));
	EXPECT_FAILS(EINVAL, pwrite(sends, "x", 1, 0));
	EXPECT_EQ(80, lseek(queue, 0, SEEK_END));
	EXPECT_EQ(0, read(queue, text, sizeof(text)));
	EXPECT_EQ(4000, lseek(queue, 4000, SEEK_SET));
	EXPECT_FAILS(EINVAL, lseek(queue, -1, SEEK_SET));
	EXPECT_EQ(79, lseek(queue, 79, SEEK_DATA));
	EXPECT_FAILS(ENXIO, lseek(queue, 80, SEEK_DATA));
	EXPECT_WORKS(mq_close(sends));
}

TEST_F(mq, select_tells_the_same)
{
	mqd_t queue = make_queue(self->name, O_RDWR, 1);
	struct timeval now = { 0 };
	fd_set in, out;

	ASSERT_LE(0, queue);
	for (int full = 0; full < 2; full++) {
		FD_ZERO(&in);
		FD_ZERO(&out);
		FD_SET(queue, &in);
		FD_SET(queue, &out);
		EXPECT_EQ(1, select(queue + 1, &in, &out, NULL, &now));
		EXPECT_EQ(full, !!FD_ISSET(queue, &in));
		EXPECT_EQ(!full, !!FD_ISSET(queue, &out));
		if (!full)
			EXPECT_WORKS(put(queue, "x", 0));
	}
}

TEST_F(mq, epoll_tells_of_each_message_once_if_edges_are_asked_for)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLET }, got;
	mqd_t queue = make_queue(self->name, O_RDWR, 4);
	int epoll = epoll_create1(0);

	ASSERT_LE(0, queue);
	ASSERT_EQ(0, epoll_ctl(epoll, EPOLL_CTL_ADD, queue, &event));
	EXPECT_EQ(0, epoll_wait(epoll, &got, 1, 0));
	for (int i = 0; i < 3; i++) {
		EXPECT_WORKS(put(queue, "x", 0));
		EXPECT_EQ(1, epoll_wait(epoll, &got, 1, 0));
		EXPECT_EQ(EPOLLIN, got.events);
		EXPECT_EQ(0, epoll_wait(epoll, &got, 1, 0));
	}
}

static long poll_in(void *arg)
{
	struct pollfd pfd = { .fd = *(mqd_t *)arg, .events = POLLIN };

	return poll(&pfd, 1, KT_PATIENCE_MS) == 1 ? pfd.revents : -1;
}

static long poll_out(void *arg)
{
	struct pollfd pfd = { .fd = *(mqd_t *)arg, .events = POLLOUT };

	return poll(&pfd, 1, KT_PATIENCE_MS) == 1 ? pfd.revents : -1;
}

TEST_F(mq, poll_wakes_who_waits)
{
	mqd_t *queue = kt_new(mqd_t);
	struct kt_job *job;

	*queue = make_queue(self->name, O_RDWR, 1);
	ASSERT_LE(0, *queue);
	for (unsigned int i = 0; i < ARRAY_SIZE(ways); i++) {
		job = kt_start(ways[i], poll_in, queue);
		EXPECT_WORKS(put(*queue, "x", 0));
		EXPECT_EQ(POLLIN, kt_join(job));
		job = kt_start(ways[i], poll_out, queue);
		EXPECT_TRUE(next_is(*queue, "x", 0));
		EXPECT_EQ(POLLOUT, kt_join(job));
	}
}

/* ---- unlinking, persistence ---- */

TEST_F(mq, unlink_takes_the_name_and_leaves_the_queue)
{
	mqd_t old = make_queue(self->name, O_RDWR, 2), new;
	mqd_t again = mq_open(self->name, O_RDWR);

	ASSERT_LE(0, old);
	EXPECT_WORKS(put(old, "old", 0));
	EXPECT_WORKS(mq_unlink(self->name));
	EXPECT_FAILS(ENOENT, mq_unlink(self->name));
	EXPECT_FAILS(ENOENT, mq_open(self->name, O_RDWR));
	/* It lives while somebody has it open */
	EXPECT_WORKS(mq_close(old));
	EXPECT_WORKS(put(again, "still", 1));
	new = make_queue(self->name, O_RDWR, 3);
	ASSERT_LE(0, new);
	EXPECT_EQ(0, queued(new));
	EXPECT_WORKS(put(new, "new", 2));
	EXPECT_TRUE(next_is(again, "still", 1));
	EXPECT_TRUE(next_is(again, "old", 0));
	EXPECT_EQ(0, queued(again));
	EXPECT_EQ(1, queued(new));
}

static long make_and_leave(void *arg)
{
	struct shared *shared = arg;
	mqd_t queue = make_queue(shared->name, O_WRONLY, 4);

	return queue < 0 ? -errno : put(queue, "left", 3);
}

TEST_F(mq, queue_outlives_its_processes)
{
	mqd_t queue;

	ASSERT_EQ(0, kt_run(KT_FORK, make_and_leave, self->shared));
	queue = mq_open(self->name, O_RDONLY);
	ASSERT_LE(0, queue);
	EXPECT_TRUE(next_is(queue, "left", 3));
	EXPECT_WORKS(mq_close(queue));
	queue = mq_open(self->name, O_RDWR | O_NONBLOCK);
	EXPECT_EQ(0, queued(queue));
	EXPECT_WORKS(put(queue, "again", 0));
	EXPECT_WORKS(mq_close(queue));
	queue = mq_open(self->name, O_RDONLY);
	EXPECT_TRUE(next_is(queue, "again", 0));
}

TEST_F(mq, only_its_owner_may_unlink_a_queue)
{
	struct opening *opening = kt_new(struct opening);

	umask(0);
	strcpy(opening->name, self->name);
	opening->oflag = O_RDWR | O_CREAT | O_EXCL;
	opening->mode = 0777;
	ASSERT_EQ(0, kt_run(AS_A, open_as, opening));
	EXPECT_EQ(-EACCES, kt_run(AS_B, unlink_it, self->shared));
	EXPECT_EQ(-EACCES, kt_run(AS_GROUP, unlink_it, self->shared));
	EXPECT_EQ(0, kt_run(AS_A, unlink_it, self->shared));
	/* Whatever the mode; and root may */
	opening->mode = 0;
	ASSERT_EQ(0, kt_run(AS_A, open_as, opening));
	EXPECT_EQ(0, kt_run(AS_A, unlink_it, self->shared));
	ASSERT_EQ(0, kt_run(AS_A, open_as, opening));
	EXPECT_EQ(0, kt_run(KT_FORK, unlink_it, self->shared));
	EXPECT_EQ(-ENOENT, kt_run(AS_A, unlink_it, self->shared));
	EXPECT_EQ(-ENOENT, kt_run(AS_B, unlink_it, self->shared));
	/* It is the caller's that root made as well */
	ASSERT_LE(0, make_queue(self->name, O_RDWR, 1));
	EXPECT_EQ(-EACCES, kt_run(AS_A, unlink_it, self->shared));
}

TEST_F(mq, capabilities_that_stand_in_for_permission)
{
	const struct kt_how *override = WITH(1ULL << CAP_DAC_OVERRIDE);
	const struct kt_how *search = WITH(1ULL << CAP_DAC_READ_SEARCH);
	const struct kt_how *fowner = WITH(1ULL << CAP_FOWNER);
	const struct kt_how *ipc = WITH(1ULL << CAP_IPC_OWNER | 1ULL << CAP_SYS_ADMIN);
	static const struct kt_how bare_root = { .drop_caps = true };
	struct opening *opening = kt_new(struct opening);

	strcpy(opening->name, self->name);
	opening->oflag = O_RDWR | O_CREAT | O_EXCL;
	opening->mode = 0600;
	ASSERT_EQ(0, kt_run(AS_A, open_as, opening));
	EXPECT_EQ(7, openings(opening, override));
	EXPECT_EQ(1, openings(opening, search));
	EXPECT_EQ(0, openings(opening, fowner));
	EXPECT_EQ(0, openings(opening, ipc));
	EXPECT_EQ(0, openings(opening, &bare_root));
	EXPECT_EQ(-EACCES, kt_run(override, unlink_it, self->shared));
	EXPECT_EQ(-EACCES, kt_run(search, unlink_it, self->shared));
	EXPECT_EQ(-EACCES, kt_run(ipc, unlink_it, self->shared));
	EXPECT_EQ(0, kt_run(fowner, unlink_it, self->shared));
	/* Root's is the directory */
	opening->oflag = O_RDWR | O_CREAT | O_EXCL;
	ASSERT_EQ(0, kt_run(AS_A, open_as, opening));
	EXPECT_EQ(0, kt_run(&bare_root, unlink_it, self->shared));
}

/* File system ids are those that count */
static long open_with_fs_ids(void *arg)
{
	struct opening *opening = arg;

	kt_need(!setgroups(0, NULL));
	kt_need(!setresgid((gid_t)-1, KT_UID_B, (gid_t)-1));
	setfsgid(KT_UID_A);
	setfsuid(KT_UID_A);
	return open_as(opening);
}

TEST_F(mq, ids_are_those_of_the_file_system)
{
	struct opening *opening = kt_new(struct opening);

	umask(0);
	strcpy(opening->name, self->name);
	opening->oflag = O_RDWR | O_CREAT | O_EXCL;
	opening->mode = 0640;
	ASSERT_EQ(0, kt_run(KT_FORK, open_with_fs_ids, opening));
	EXPECT_EQ(7, openings(opening, AS_A));
	EXPECT_EQ(1, openings(opening, AS_GROUP));
	EXPECT_EQ(0, openings(opening, AS_B));
	EXPECT_EQ(0, kt_run(AS_A, unlink_it, self->shared));
	/* Who is A so far may open what is A's, and not what is root's */
	opening->oflag = O_RDWR | O_CREAT | O_EXCL;
	opening->mode = 0600;
	ASSERT_EQ(0, kt_run(AS_A, open_as, opening));
	opening->oflag = O_RDWR;
	EXPECT_EQ(0, kt_run(KT_FORK, open_with_fs_ids, opening));
	EXPECT_EQ(0, kt_run(AS_A, unlink_it, self->shared));
	ASSERT_LE(0, make_queue(self->name, O_RDWR, 1));
	EXPECT_EQ(-EACCES, kt_run(KT_FORK, open_with_fs_ids, opening));
}

/* ---- many at once ---- */

#define MANY 4
#define EACH 500

static long send_many(void *arg)
{
	struct shared *shared = arg;
	char text[8];

	for (int i = 0; i < EACH; i++) {
		snprintf(text, sizeof(text), "%d", i);
		if (put(shared->queue, text, (unsigned int)i % 3))
			return -errno;
	}
	return 0;
}

static long receive_many(void *arg)
{
	struct shared *shared = arg;
	unsigned int prio;
	char text[65];
	long sum = 0;

	for (int i = 0; i < EACH; i++) {
		if (take(shared->queue, text, &prio) <= 0)
			return -errno;
		if (prio != (unsigned int)atoi(text) % 3)
			return -1;
		sum += atoi(text);
	}
	return sum;
}

TEST_F(mq, many_send_and_receive_and_nothing_is_lost)
{
	struct kt_job *senders[MANY], *receivers[MANY];
	long sum = 0, ret;

	self->shared->queue = make_queue(self->name, O_RDWR, 3);
	ASSERT_LE(0, self->shared->queue);
	for (int i = 0; i < MANY; i++) {
		receivers[i] = kt_start(ways[i % 2], receive_many, self->shared);
		senders[i] = kt_start(ways[(i + 1) % 2], send_many, self->shared);
	}
	for (int i = 0; i < MANY; i++) {
		EXPECT_EQ(0, kt_join(senders[i]));
		ret = kt_join(receivers[i]);
		EXPECT_LE(0, ret);
		sum += ret;
	}
	EXPECT_EQ((long)MANY * EACH * (EACH - 1) / 2, sum);
	EXPECT_EQ(0, queued(self->shared->queue));
}

static long unlink_many(void *arg)
{
	struct shared *shared = arg;
	long gone = 0;

	while (!atomic_load(&shared->over))
		gone += !mq_unlink(shared->name);
	return gone;
}

TEST_F(mq, of_two_who_unlink_one_has_done_it)
{
	struct kt_job *jobs[2];
	long made = 0, gone;
	mqd_t queue;

	for (int i = 0; i < 2; i++)
		jobs[i] = kt_start(KT_THREAD, unlink_many, self->shared);
	for (int i = 0; i < 2000; i++) {
		queue = mq_open(self->name, O_RDWR | O_CREAT | O_EXCL, 0600, NULL);
		made += queue >= 0;
		mq_close(queue);
	}
	atomic_store(&self->shared->over, true);
	gone = !mq_unlink(self->name);
	for (int i = 0; i < 2; i++)
		gone += kt_join(jobs[i]);
	EXPECT_LT(0, made);
	EXPECT_EQ(made, gone);
}

static volatile bool stop;

static void *open_and_close(void *arg)
{
	struct shared *shared = arg;
	mqd_t queue;

	while (!stop) {
		queue = mq_open(shared->name, O_RDWR | O_CREAT, 0600, NULL);
		kt_need(queue >= 0);
		kt_need(!mq_close(queue));
	}
	return NULL;
}

static long open_in_child(void *arg)
{
	struct shared *shared = arg;
	mqd_t queue = mq_open(shared->name, O_RDWR);

	return queue < 0 ? -errno : put(queue, "x", 0) ? -errno : !next_is(queue, "x", 0);
}

TEST_F(mq, fork_in_the_middle_of_anything)
{
	pthread_t thread;

	ASSERT_LE(0, make_queue(self->name, O_RDWR, 1));
	ASSERT_EQ(0, pthread_create(&thread, NULL, open_and_close, self->shared));
	for (int i = 0; i < 50; i++)
		EXPECT_EQ(0, kt_run(KT_FORK, open_in_child, self->shared));
	stop = true;
	ASSERT_EQ(0, pthread_join(thread, NULL));
}

TEST_F(mq, no_thread_is_started)
{
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1 };
	mqd_t queue = make_queue(self->name, O_RDWR, 1);

	ASSERT_LE(0, queue);
	kt_catch(SIGUSR1, 0);
	EXPECT_WORKS(mq_notify(queue, &event));
	EXPECT_WORKS(put(queue, "x", 0));
	EXPECT_TRUE(next_is(queue, "x", 0));
	EXPECT_EQ(1, threads());
}

TEST_HARNESS_MAIN
