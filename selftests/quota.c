// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Promise 10: one user's exhaustion is that user's own.
 *
 * The tests run as root and speak for ordinary users (kt_do_as), because root
 * is exempt from the limits per user.
 */
#include <poll.h>
#include <sys/syscall.h>

#include "common.h"
#include "harness.h"

#define A KT_UID_A	/* owns the endpoints */
#define B KT_UID_B
#define C KT_UID_C

FIXTURE(quota) {
	int dev;
};

FIXTURE_SETUP(quota)
{
	self->dev = kt_device();
}

FIXTURE_TEARDOWN(quota)
{
	kt_restore_params();
	close(self->dev);
}

static long create_as(int dev, uid_t uid, const struct kipc_attr *attr)
{
	struct kipc_op_open op = {
		.flags = KIPC_OPEN_CREATE,
		.rights = KT_ALL_RIGHTS,
		.mode = 0666,
	};

	if (attr)
		op.attr = *attr;
	return kt_do_as(uid, kt_open(dev, &op));
}

static long send_as(int fd, uid_t uid, size_t len)
{
	static const char buf[4096];

	return kt_do_as(uid, kt_send(fd, 0, uid, 0, buf, len));
}

/* Sends until it is refused; how many went in, or the unexpected -errno */
static long fill_as(int fd, uid_t uid, size_t len)
{
	long n, ret = 0;

	for (n = 0; n < 1000 && !(ret = send_as(fd, uid, len)); n++)
		;
	return ret == -EAGAIN ? n : ret;
}

static long take_from(int fd, uid_t uid)
{
	char buf[4096];
	struct kipc_result result;

	return kt_recv(fd, 0, KIPC_TYPE_EQ, uid, buf, sizeof(buf), &result);
}

TEST_F(quota, p10_an_endpoint_holds_what_its_capacity_says)
{
	const struct kipc_attr few = { .max_size = 10, .max_msgs = 3, .max_bytes = 100 };
	const struct kipc_attr small = { .max_size = 60, .max_msgs = 100, .max_bytes = 100 };
	long fd = create_as(self->dev, A, &few);

	ASSERT_GE(fd, 0);
	EXPECT_EQ(3, fill_as((int)fd, A, 1));
	EXPECT_EQ(-EMSGSIZE, send_as((int)fd, A, 11));
	close((int)fd);

	fd = create_as(self->dev, A, &small);
	ASSERT_GE(fd, 0);
	EXPECT_EQ(0, send_as((int)fd, A, 60));
	EXPECT_EQ(-EAGAIN, send_as((int)fd, A, 41));
	EXPECT_EQ(0, send_as((int)fd, A, 40));
	EXPECT_EQ(100, kt_stat((int)fd).bytes);
	EXPECT_EQ(-EAGAIN, send_as((int)fd, A, 1));
	/* that is a limit of bytes */
	EXPECT_EQ(0, send_as((int)fd, A, 0));
	close((int)fd);
}

TEST_F(quota, p10_capacity_has_a_limit)
{
	struct kipc_attr attr = { .max_size = 4096, .max_msgs = 10, .max_bytes = 1 << 20 };
	long fd;

	kt_set_param("capacity_max", (1 << 20) + 10 * 256);
	fd = create_as(self->dev, A, &attr);
	EXPECT_GE(fd, 0);
	close((int)fd);
	attr.max_msgs++;
	EXPECT_EQ(-EMSGSIZE, create_as(self->dev, A, &attr));
	attr.max_msgs--;
	attr.max_bytes++;
	EXPECT_EQ(-EMSGSIZE, create_as(self->dev, A, &attr));
	attr.max_bytes = ~0ULL;
	EXPECT_EQ(-EMSGSIZE, create_as(self->dev, A, &attr));
	attr.max_bytes = 1ULL << 63;
	EXPECT_EQ(-EMSGSIZE, create_as(self->dev, A, &attr));
	attr.max_bytes = 0;
	attr.max_msgs = ~0U;
	EXPECT_EQ(-EMSGSIZE, create_as(self->dev, A, &attr));
	attr.max_msgs = 0;
	attr.max_size = (uint32_t)kt_param("msg_max") + 1;
	EXPECT_EQ(-EMSGSIZE, create_as(self->dev, A, &attr));
	/* not even root may have larger messages */
	EXPECT_EQ(-EMSGSIZE, create_as(self->dev, 0, &attr));
	attr.max_size = ~0U;
	EXPECT_EQ(-EMSGSIZE, create_as(self->dev, A, &attr));
	/* room for one message there must be */
	attr.max_size = 1000;
	attr.max_bytes = 999;
	EXPECT_EQ(-EINVAL, create_as(self->dev, A, &attr));
}

TEST_F(quota, p10_a_sender_holds_at_most_half_of_what_is_free)
{
	const struct kipc_attr attr = { .max_size = 64, .max_msgs = 8, .max_bytes = 512 };
	int fd = (int)create_as(self->dev, A, &attr);

	ASSERT_GE(fd, 0);
	EXPECT_EQ(4, fill_as(fd, B, 1));
	EXPECT_EQ(2, fill_as(fd, C, 1));
	/* the owner may take what there is */
	EXPECT_EQ(2, fill_as(fd, A, 1));
	EXPECT_EQ(8, kt_stat(fd).msgs);
	EXPECT_EQ(3, kt_stat(fd).refused);

	/* B holds 4 of the 5 that C and A leave it: no more until it is below half */
	EXPECT_EQ(1, take_from(fd, A));
	EXPECT_EQ(-EAGAIN, send_as(fd, B, 1));
	EXPECT_EQ(0, send_as(fd, A, 1));
	for (int i = 0; i < 4; i++)
		EXPECT_EQ(1, take_from(fd, B));
	EXPECT_EQ(2, fill_as(fd, B, 1));
}

/* Unless the owner does not want that */
TEST_F(quota, first_come_first_served)
{
	struct kipc_op_open op = {
		.flags = KIPC_OPEN_CREATE | KIPC_OPEN_FIRST_COME,
		.rights = KT_ALL_RIGHTS,
		.mode = 0666,
		.attr = { .max_size = 64, .max_msgs = 8, .max_bytes = 400 },
	};
	int fd = (int)kt_do_as(A, kt_open(self->dev, &op));

	ASSERT_GE(fd, 0);
	EXPECT_EQ(8, fill_as(fd, B, 1));
	EXPECT_EQ(-EAGAIN, send_as(fd, A, 1));
	for (int i = 0; i < 8; i++)
		EXPECT_EQ(1, take_from(fd, B));
	EXPECT_EQ(6, fill_as(fd, C, 64));
	EXPECT_EQ(-EAGAIN, send_as(fd, B, 64));
	close(fd);
}

/* As msgctl(2) may lower msg_qbytes below what is sent: who sends that waits for more */
TEST_F(quota, less_room_than_one_message)
{
	struct kipc_op_open op = {
		.flags = KIPC_OPEN_CREATE | KIPC_OPEN_FIRST_COME,
		.rights = KT_ALL_RIGHTS,
		.attr = { .max_size = 64, .max_msgs = 8, .max_bytes = 8 },
	};
	struct kipc_endpoint more = { .attr = { .max_size = 64, .max_msgs = 8, .max_bytes = 64 } };
	struct kipc_op_send send;
	struct kt_job *job;
	char buf[64] = "";
	int fd;

	op.flags &= ~KIPC_OPEN_FIRST_COME;
	EXPECT_EQ(-EINVAL, kt_open(self->dev, &op));
	op.flags |= KIPC_OPEN_FIRST_COME;
	fd = (int)kt_open(self->dev, &op);
	ASSERT_GE(fd, 0);
	EXPECT_EQ(0, kipc_send(fd, buf, 8, 0));
	EXPECT_EQ(8, kt_recv(fd, 0, 0, 0, buf, sizeof(buf), NULL));
	EXPECT_EQ(-EAGAIN, kipc_send(fd, buf, 9, 0));
	EXPECT_EQ(-EMSGSIZE, kipc_send(fd, buf, 65, 0));
	send = kt_send_op(buf, 64);
	job = kt_start_ioctl(KT_THREAD, fd, KIPC_IOC_SEND, &send);
	ASSERT_TRUE(kt_asleep(job));
	EXPECT_EQ(0, kipc_set(fd, 0, KIPC_SET_CAPACITY, &more));
	EXPECT_EQ(0, kt_join(job));
	EXPECT_EQ(64, kt_stat(fd).bytes);
	more.attr.max_bytes = 1;
	EXPECT_EQ(0, kipc_set(fd, 0, KIPC_SET_CAPACITY, &more));
	EXPECT_EQ(64, kt_recv(fd, 0, 0, 0, buf, sizeof(buf), NULL));
	close(fd);
}

TEST_F(quota, p10_a_sender_may_always_have_one_message)
{
	const struct kipc_attr attr = { .max_size = 600, .max_msgs = 8, .max_bytes = 1000 };
	int fd = (int)create_as(self->dev, A, &attr);

	ASSERT_GE(fd, 0);
	/* more than half of the bytes, but the only one */
	EXPECT_EQ(0, send_as(fd, B, 600));
	EXPECT_EQ(-EAGAIN, send_as(fd, B, 1));
	EXPECT_EQ(600, take_from(fd, B));
	for (int i = 0; i < 7; i++)
		EXPECT_EQ(0, send_as(fd, A, 1));
	/* half of the one that is left is none */
	EXPECT_EQ(0, send_as(fd, B, 1));
	EXPECT_EQ(-EAGAIN, send_as(fd, B, 1));
	EXPECT_EQ(8, kt_stat(fd).msgs);
}

TEST_F(quota, p10_the_share_counts_bytes_too)
{
	const struct kipc_attr attr = { .max_size = 100, .max_msgs = 100, .max_bytes = 1000 };
	int fd = (int)create_as(self->dev, A, &attr);

	ASSERT_GE(fd, 0);
	EXPECT_EQ(5, fill_as(fd, B, 100));
	EXPECT_EQ(2, fill_as(fd, C, 100));
	EXPECT_EQ(3, fill_as(fd, A, 100));
	EXPECT_EQ(1000, kt_stat(fd).bytes);
}

/* Over its share a sender waits, and holds up nobody else */
TEST_F(quota, p10_over_its_share_a_sender_waits)
{
	const struct kipc_attr attr = { .max_size = 64, .max_msgs = 8, .max_bytes = 512 };
	int fd = (int)create_as(self->dev, A, &attr);
	struct kipc_op_send op = kt_send_op("", 1);
	struct kt_job *job;

	ASSERT_GE(fd, 0);
	EXPECT_EQ(4, fill_as(fd, B, 1));
	op.type = B;
	op.prio = 9;
	job = kt_start_ioctl(KT_AS(B), fd, KIPC_IOC_SEND, &op);
	ASSERT_TRUE(kt_asleep(job));

	/* lower priority, later, and yet they pass: the share is B's own matter */
	EXPECT_EQ(0, send_as(fd, C, 1));
	EXPECT_EQ(0, send_as(fd, A, 1));
	EXPECT_TRUE(kt_asleep(job));
	EXPECT_EQ(1, kt_stat(fd).waiters);

	/* others leaving make room for it only when half of the rest is more than it has */
	EXPECT_EQ(1, take_from(fd, C));
	EXPECT_TRUE(kt_asleep(job));
	/* prio 9 is first of B's and is taken directly, which ends the wait */
	EXPECT_EQ(1, take_from(fd, B));
	EXPECT_EQ(0, kt_join(job));
	EXPECT_EQ(5, kt_stat(fd).msgs);
	EXPECT_EQ(0, kt_stat(fd).waiters);
}

/* A sender over its share does not get past itself either */
TEST_F(quota, p13_nobody_overtakes_their_own_message)
{
	const struct kipc_attr attr = { .max_size = 300, .max_msgs = 100, .max_bytes = 1000 };
	int fd = (int)create_as(self->dev, A, &attr);
	char buf[300] = { 0 };
	struct kipc_op_send op = kt_send_op(buf, 300);
	struct kt_job *job;

	ASSERT_GE(fd, 0);
	EXPECT_EQ(0, send_as(fd, B, 300));
	job = kt_start_ioctl(KT_AS(B), fd, KIPC_IOC_SEND, &op);
	ASSERT_TRUE(kt_asleep(job));
	/* this would be within the share */
	EXPECT_EQ(-EAGAIN, send_as(fd, B, 100));
	EXPECT_EQ(300, take_from(fd, B));
	EXPECT_EQ(0, kt_join(job));
	EXPECT_EQ(0, send_as(fd, B, 100));
}

/* What waits for room that anybody could use is overtaken by no other user */
TEST_F(quota, p13_no_other_user_overtakes)
{
	const struct kipc_attr attr = { .max_size = 100, .max_msgs = 10, .max_bytes = 100 };
	int fd = (int)create_as(self->dev, A, &attr);
	char buf[100] = { 0 };
	struct kipc_op_send op = kt_send_op(buf, 90);
	struct kt_job *job;

	ASSERT_GE(fd, 0);
	EXPECT_EQ(0, send_as(fd, A, 80));
	job = kt_start_ioctl(KT_AS(A), fd, KIPC_IOC_SEND, &op);
	ASSERT_TRUE(kt_asleep(job));
	EXPECT_EQ(-EAGAIN, send_as(fd, B, 10));
	EXPECT_EQ(-EAGAIN, send_as(fd, C, 10));
	EXPECT_EQ(80, take_from(fd, A));
	EXPECT_EQ(0, kt_join(job));
	EXPECT_EQ(0, send_as(fd, B, 10));
}

TEST_F(quota, p10_a_share_that_grows_admits_who_waits)
{
	const struct kipc_attr attr = { .max_size = 64, .max_msgs = 8, .max_bytes = 512 };
	int fd = (int)create_as(self->dev, A, &attr);
	struct kipc_op_send op = kt_send_op("", 1);
	struct kt_job *job;

	ASSERT_GE(fd, 0);
	for (int i = 0; i < 4; i++)
		EXPECT_EQ(0, send_as(fd, A, 1));
	EXPECT_EQ(2, fill_as(fd, B, 1));
	op.type = B;
	job = kt_start_ioctl(KT_AS(B), fd, KIPC_IOC_SEND, &op);
	ASSERT_TRUE(kt_asleep(job));
	EXPECT_EQ(1, take_from(fd, A));
	EXPECT_TRUE(kt_asleep(job));	/* half of 5 is still 2 */
	EXPECT_EQ(1, take_from(fd, A));
	EXPECT_EQ(0, kt_join(job));
	EXPECT_EQ(5, kt_stat(fd).msgs);
}

TEST_F(quota, p10_a_larger_capacity_admits_who_waits)
{
	const struct kipc_attr attr = { .max_size = 64, .max_msgs = 2, .max_bytes = 128 };
	int fd = (int)create_as(self->dev, A, &attr);
	struct kipc_endpoint info = { .attr = { .max_size = 64, .max_msgs = 3, .max_bytes = 192 } };
	struct kipc_op_send op = kt_send_op("", 1);
	struct kt_job *first, *second;

	ASSERT_GE(fd, 0);
	EXPECT_EQ(2, fill_as(fd, A, 1));
	first = kt_start_ioctl(KT_AS(A), fd, KIPC_IOC_SEND, &op);
	ASSERT_TRUE(kt_asleep(first));
	second = kt_start_ioctl(KT_AS(A), fd, KIPC_IOC_SEND, &op);
	ASSERT_TRUE(kt_asleep(second));
	EXPECT_EQ(0, kipc_set(fd, 0, KIPC_SET_CAPACITY, &info));
	EXPECT_EQ(0, kt_join(first));
	EXPECT_TRUE(kt_asleep(second));
	EXPECT_EQ(3, kt_stat(fd).msgs);
	kt_kill(second);
}

TEST_F(quota, p10_a_smaller_capacity_drops_nothing)
{
	int fd = (int)create_as(self->dev, A, NULL);
	struct kipc_endpoint info = { .attr = { .max_size = 64, .max_msgs = 2, .max_bytes = 64 } };

	ASSERT_GE(fd, 0);
	for (int i = 0; i < 5; i++)
		ASSERT_EQ(0, send_as(fd, A, 100));
	EXPECT_EQ(0, kipc_set(fd, 0, KIPC_SET_CAPACITY, &info));
	EXPECT_EQ(5, kt_stat(fd).msgs);
	EXPECT_EQ(500, kt_stat(fd).bytes);
	EXPECT_EQ(-EMSGSIZE, send_as(fd, A, 65));
	/* until there is less than the new one allows */
	for (int i = 0; i < 5; i++) {
		EXPECT_EQ(-EAGAIN, send_as(fd, A, 1));
		EXPECT_EQ(100, take_from(fd, A));
	}
	EXPECT_EQ(2, fill_as(fd, A, 1));
}

TEST_F(quota, p10_endpoints_per_user)
{
	int fds[4], other;

	kt_set_param("user_endpoints_max", 3);
	/* twice: everything that was charged is given back */
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < 3; i++) {
			fds[i] = (int)create_as(self->dev, A, NULL);
			ASSERT_GE(fds[i], 0);
		}
		EXPECT_EQ(-EDQUOT, create_as(self->dev, A, NULL));
		/* another user does not feel it, root is exempt */
		other = (int)create_as(self->dev, B, NULL);
		EXPECT_GE(other, 0);
		close(other);
		other = (int)create_as(self->dev, 0, NULL);
		EXPECT_GE(other, 0);
		close(other);
		/* what A has goes on working */
		EXPECT_EQ(0, send_as(fds[0], A, 1));

		close(fds[1]);
		fds[1] = (int)create_as(self->dev, A, NULL);
		EXPECT_GE(fds[1], 0);
		EXPECT_EQ(-EDQUOT, create_as(self->dev, A, NULL));
		for (int i = 0; i < 3; i++)
			close(fds[i]);
	}
}

TEST_F(quota, p10_a_refused_open_charges_nothing)
{
	const struct kipc_op_open op = {
		.flags = KIPC_OPEN_CREATE | KIPC_OPEN_EXCL,
		.rights = KT_ALL_RIGHTS,
		.mode = 0666,
		KT_NAME("quota-taken"),
	};
	struct kipc_op_open use = op;
	struct kipc_attr bad = { .max_size = ~0U };
	long fd, ret;

	kt_set_param("user_endpoints_max", 2);
	fd = kt_do_as(A, kt_open(self->dev, &use));
	ASSERT_GE(fd, 0);
	for (int i = 0; i < 5; i++) {
		use = op;
		EXPECT_EQ(-EEXIST, kt_do_as(A, kt_open(self->dev, &use)));
		EXPECT_EQ(-EMSGSIZE, create_as(self->dev, A, &bad));
	}
	ret = create_as(self->dev, A, NULL);
	EXPECT_GE(ret, 0);
	close((int)ret);
	close((int)fd);
}

TEST_F(quota, p10_capacity_per_user)
{
	const struct kipc_attr attr = { .max_size = 8192, .max_msgs = 16, .max_bytes = 16384 };
	const unsigned long long charge = 16384 + 16 * 256;
	struct kipc_op_stat set = { .what = KIPC_SET_CAPACITY, .info.attr = attr };
	int fds[3];
	long fd;

	kt_set_param("user_capacity_max", 3 * charge);
	for (int i = 0; i < 3; i++) {
		fds[i] = (int)create_as(self->dev, A, &attr);
		ASSERT_GE(fds[i], 0);
	}
	EXPECT_EQ(-EDQUOT, create_as(self->dev, A, &attr));
	fd = create_as(self->dev, B, &attr);
	EXPECT_GE(fd, 0);
	close((int)fd);

	/* a larger one is refused, and then it is as before */
	set.info.attr.max_bytes++;
	EXPECT_EQ(-EDQUOT, kt_do_as(A, kt_op_set(fds[0], &set)));
	EXPECT_EQ(16384, kt_stat(fds[0]).attr.max_bytes);
	/* a smaller one gives back the difference */
	set.info.attr.max_bytes = 8192;
	EXPECT_EQ(0, kt_do_as(A, kt_op_set(fds[0], &set)));
	EXPECT_EQ(8192, kt_stat(fds[0]).attr.max_bytes);
	set.info.attr.max_bytes = 16384 + 8192;
	EXPECT_EQ(0, kt_do_as(A, kt_op_set(fds[1], &set)));
	set.info.attr.max_bytes++;
	EXPECT_EQ(-EDQUOT, kt_do_as(A, kt_op_set(fds[1], &set)));

	for (int i = 0; i < 3; i++)
		close(fds[i]);
	for (int i = 0; i < 3; i++) {
		fds[i] = (int)create_as(self->dev, A, &attr);
		ASSERT_GE(fds[i], 0);
	}
	EXPECT_EQ(-EDQUOT, create_as(self->dev, A, &attr));
}

static uint64_t left_of(int dev)
{
	struct kipc_limits limits;

	return kt_info(dev, &limits) ? 0 : limits.user_capacity_left;
}

TEST_F(quota, the_user_is_told_what_is_left)
{
	const struct kipc_attr attr = { .max_size = 1024, .max_msgs = 16, .max_bytes = 16384 };
	const uint64_t charge = 16384 + 16 * 256;
	long one, two;

	kt_set_param("user_capacity_max", 2 * charge + 100);
	EXPECT_EQ(UINT64_MAX, left_of(self->dev));
	EXPECT_EQ(2 * charge + 100, kt_do_as(A, left_of(self->dev)));
	one = create_as(self->dev, A, &attr);
	ASSERT_GE(one, 0);
	EXPECT_EQ(charge + 100, kt_do_as(A, left_of(self->dev)));
	EXPECT_EQ(2 * charge + 100, kt_do_as(B, left_of(self->dev)));
	two = create_as(self->dev, A, &attr);
	ASSERT_GE(two, 0);
	EXPECT_EQ(100, kt_do_as(A, left_of((int)two)));
	/* The limit is lowered below what there is */
	kt_set_param("user_capacity_max", charge);
	EXPECT_EQ(0, kt_do_as(A, left_of(self->dev)));
	close((int)one);
	EXPECT_EQ(0, kt_do_as(A, left_of(self->dev)));
	close((int)two);
	EXPECT_EQ(charge, kt_do_as(A, left_of(self->dev)));
}

/* One who fills a queue and makes it smaller has the memory still */
TEST_F(quota, p10_what_is_in_a_queue_is_paid_for_though_that_becomes_smaller)
{
	const struct kipc_attr large = { .max_size = 1024, .max_msgs = 16, .max_bytes = 16384 };
	const struct kipc_attr small = { .max_size = 1024, .max_msgs = 1, .max_bytes = 1024 };
	const uint64_t charge = 16384 + 16 * 256, least = 1024 + 256;
	struct kipc_op_stat set = { .what = KIPC_SET_CAPACITY, .info.attr = small };
	struct kipc_op_stat grow = { .what = KIPC_SET_CAPACITY, .info.attr = large };
	static char buf[1024];
	long fd;

	kt_set_param("user_capacity_max", 2 * charge);
	fd = create_as(self->dev, A, &large);
	ASSERT_GE(fd, 0);
	for (int i = 0; i < 8; i++)
		ASSERT_EQ(0, send_as((int)fd, A, 1024));
	EXPECT_EQ(0, kt_do_as(A, kt_op_set((int)fd, &set)));
	EXPECT_EQ(2 * charge - 8 * (1024 + 256), kt_do_as(A, left_of(self->dev)));
	EXPECT_EQ(-EAGAIN, send_as((int)fd, A, 0));
	/* Somebody else who chooses a capacity takes over the rest, too; and gives it back */
	EXPECT_EQ(0, kt_op_set((int)fd, &set));
	EXPECT_EQ(2 * charge, kt_do_as(A, left_of(self->dev)));
	EXPECT_EQ(0, kt_do_as(A, kt_op_set((int)fd, &set)));
	EXPECT_EQ(2 * charge - 8 * (1024 + 256), kt_do_as(A, left_of(self->dev)));
	/* What is paid for need not be paid twice */
	kt_set_param("user_capacity_max", charge);
	EXPECT_EQ(0, kt_do_as(A, kt_op_set((int)fd, &grow)));
	EXPECT_EQ(0, kt_do_as(A, left_of(self->dev)));
	EXPECT_EQ(0, kt_do_as(A, kt_op_set((int)fd, &set)));
	EXPECT_EQ(charge - 8 * (1024 + 256), kt_do_as(A, left_of(self->dev)));
	/* When the queue is empty, nothing but the capacity is left to pay */
	for (int i = 0; i < 8; i++)
		ASSERT_EQ(1024, kt_recv((int)fd, 0, KIPC_NONBLOCK, 0, buf, sizeof(buf), NULL));
	EXPECT_EQ(charge - least, kt_do_as(A, left_of(self->dev)));
	close((int)fd);
	EXPECT_EQ(charge, kt_do_as(A, left_of(self->dev)));
	/* So is it when it ends with what is in it */
	fd = create_as(self->dev, A, &large);
	ASSERT_GE(fd, 0);
	for (int i = 0; i < 8; i++)
		ASSERT_EQ(0, send_as((int)fd, A, 1024));
	EXPECT_EQ(0, kt_do_as(A, kt_op_set((int)fd, &set)));
	close((int)fd);
	EXPECT_EQ(charge, kt_do_as(A, left_of(self->dev)));
}

/*
 * SYSV: as many messages as may be in the queue are never in most, so that those beyond the first
 * few are paid for when they come, by who pays for the queue
 */
TEST_F(quota, p10_messages_of_a_sysv_queue_are_paid_for_while_they_are_there)
{
	const struct kipc_attr attr = { .max_size = 1024, .max_msgs = 1000, .max_bytes = 16384 };
	const uint64_t promised = 16384 + 16 * 256, more = 10 * 256, step = 4096;
	/* A quarter is left to the owner, whoever sends */
	const uint64_t limit = (promised + more) / 3 * 4, wide = 4000 * 256;
	struct kipc_op_open op = {
		.flags = KIPC_OPEN_CREATE | KIPC_OPEN_SYSV | KIPC_OPEN_FIRST_COME |
			 KIPC_OPEN_ONEWAY,
		.rights = KT_ALL_RIGHTS, .mode = 0666, .attr = attr,
	};
	struct pollfd out = { .events = POLLOUT };
	struct kipc_op_send *send = kt_new(struct kipc_op_send);
	static char buf[1024];
	struct kt_job *job;
	uint64_t left;
	long fd;

	kt_set_param("user_capacity_max", limit);
	fd = kt_do_as(A, kt_open(self->dev, &op));
	ASSERT_GE(fd, 0);
	out.fd = (int)fd;
	EXPECT_EQ(limit - promised, kt_do_as(A, left_of(self->dev)));
	/* The bytes are promised: a message of some takes more than 256 of it */
	EXPECT_EQ(0, send_as((int)fd, A, 1024));
	EXPECT_EQ(limit - promised, kt_do_as(A, left_of(self->dev)));
	EXPECT_EQ(1024, kt_recv((int)fd, 0, KIPC_NONBLOCK, 0, buf, sizeof(buf), NULL));
	/* Whoever sends them, the owner pays */
	EXPECT_EQ((promised + more) / 256, fill_as((int)fd, B, 0));
	EXPECT_EQ(limit - promised - more, kt_do_as(A, left_of(self->dev)));
	EXPECT_EQ(-EAGAIN, send_as((int)fd, A, 0));
	EXPECT_EQ(-EAGAIN, kt_send((int)fd, 0, 1, 0, "", 0));
	EXPECT_EQ(0, poll(&out, 1, 0));
	/* Who waits then has room as soon as something is taken out */
	*send = (struct kipc_op_send){ .type = 1, .deadline = KIPC_FOREVER };
	job = kt_start_ioctl(KT_AS(B), (int)fd, KIPC_IOC_SEND, send);
	ASSERT_TRUE(kt_asleep(job));
	EXPECT_EQ(0, kt_recv((int)fd, 0, KIPC_NONBLOCK, 0, buf, sizeof(buf), NULL));
	EXPECT_EQ(0, kt_join(job));
	EXPECT_EQ(0, poll(&out, 1, 0));
	EXPECT_EQ(0, kt_recv((int)fd, 0, KIPC_NONBLOCK, 0, buf, sizeof(buf), NULL));
	/* When there is none left it has all been given back */
	while (kt_recv((int)fd, 0, KIPC_NONBLOCK, 0, buf, sizeof(buf), NULL) >= 0)
		;
	EXPECT_EQ(limit - promised, kt_do_as(A, left_of(self->dev)));

	/* Where there is more it is taken, and given back, in steps */
	kt_set_param("user_capacity_max", promised + wide);
	for (unsigned int i = 0; i < promised / 256; i++)
		ASSERT_EQ(0, send_as((int)fd, B, 0));
	EXPECT_EQ(wide, kt_do_as(A, left_of(self->dev)));
	ASSERT_EQ(0, send_as((int)fd, B, 0));
	EXPECT_EQ(wide - step - 256, kt_do_as(A, left_of(self->dev)));
	EXPECT_EQ(1000 - 81, fill_as((int)fd, B, 0));
	left = wide + promised - 1000 * 256;
	EXPECT_GE(left, kt_do_as(A, left_of(self->dev)));
	EXPECT_LE(left - 2 * step, kt_do_as(A, left_of(self->dev)));
	for (int i = 0; i < 500; i++)
		ASSERT_EQ(0, kt_recv((int)fd, 0, KIPC_NONBLOCK, 0, buf, sizeof(buf), NULL));
	left = wide + promised - 500 * 256;
	EXPECT_GE(left, kt_do_as(A, left_of(self->dev)));
	EXPECT_LE(left - 2 * step, kt_do_as(A, left_of(self->dev)));
	/* Also when the queue ends with what is in it */
	close((int)fd);
	EXPECT_EQ(promised + wide, kt_do_as(A, left_of(self->dev)));
}

/*
 * What was handed to receivers that stall is in the queue again when they die: it is paid for all
 * the time, so that nobody collects memory that way, nor by making the queue smaller meanwhile
 */
TEST_F(quota, p10_what_was_handed_over_is_paid_for)
{
	enum { NR = 40, SIZE = 1000 };
	const struct kipc_attr attr = { .max_size = SIZE, .max_msgs = 1000, .max_bytes = 1000 };
	const struct kipc_attr small = { .max_size = SIZE, .max_msgs = 1, .max_bytes = 1 };
	const uint64_t cost = NR * (SIZE + 256), limit = (cost + 2) / 3 * 4;
	struct kipc_op_open op = {
		.flags = KIPC_OPEN_CREATE | KIPC_OPEN_SYSV | KIPC_OPEN_FIRST_COME |
			 KIPC_OPEN_ONEWAY,
		.rights = KT_ALL_RIGHTS, .mode = 0666, .attr = attr,
	};
	struct kipc_op_stat set = { .what = KIPC_SET_CAPACITY, .info.attr = small };
	struct kipc_op_recv *recv = kt_shared(NR * sizeof(*recv));
	struct kipc_op_send *send = kt_new(struct kipc_op_send);
	struct kt_stall *stall = kt_stall_new(0);
	struct kt_job *jobs[NR], *sender;
	static char buf[SIZE];
	long fd;

	kt_set_param("user_capacity_max", limit);
	fd = kt_do_as(A, kt_open(self->dev, &op));
	ASSERT_GE(fd, 0);
	for (int i = 0; i < NR; i++) {
		recv[i] = kt_recv_op(stall->page, SIZE, NULL);
		jobs[i] = kt_start_ioctl(KT_THREAD, (int)fd, KIPC_IOC_RECV, &recv[i]);
		ASSERT_TRUE(kt_asleep(jobs[i]));
	}
	for (int i = 0; i < NR; i++)
		ASSERT_EQ(0, send_as((int)fd, A, SIZE));
	EXPECT_EQ(0, kt_stat((int)fd).msgs);
	EXPECT_GE(limit - cost, kt_do_as(A, left_of(self->dev)));
	EXPECT_EQ(0, kt_do_as(A, kt_op_set((int)fd, &set)));
	EXPECT_EQ(limit - cost, kt_do_as(A, left_of(self->dev)));
	/* So there is no room for more, until some of it is gone: then who waits has it */
	EXPECT_EQ(-EAGAIN, send_as((int)fd, B, 0));
	*send = (struct kipc_op_send){ .type = 1, .deadline = KIPC_FOREVER };
	sender = kt_start_ioctl(KT_AS(B), (int)fd, KIPC_IOC_SEND, send);
	ASSERT_TRUE(kt_asleep(sender));
	kt_release(stall);
	EXPECT_EQ(0, kt_join(sender));
	for (int i = 0; i < NR; i++)
		EXPECT_EQ(SIZE, kt_join(jobs[i]));
	EXPECT_EQ(0, kt_recv((int)fd, 0, KIPC_NONBLOCK, 0, buf, sizeof(buf), NULL));
	EXPECT_EQ(limit - 1 - 256, kt_do_as(A, left_of(self->dev)));
	close((int)fd);
}

TEST_F(quota, p10_capacity_is_paid_by_who_chose_it)
{
	const struct kipc_attr attr = { .max_size = 8192, .max_msgs = 16, .max_bytes = 16384 };
	struct kipc_endpoint info = { .attr = attr };
	long fd, other;

	kt_set_param("user_capacity_max", 16384 + 16 * 256);
	fd = create_as(self->dev, A, &attr);
	ASSERT_GE(fd, 0);
	EXPECT_EQ(-EDQUOT, create_as(self->dev, A, &attr));
	/* root chooses, be it the same: A has its quota back */
	EXPECT_EQ(0, kipc_set((int)fd, 0, KIPC_SET_CAPACITY, &info));
	other = create_as(self->dev, A, &attr);
	ASSERT_GE(other, 0);
	/* and now it cannot take this one over */
	EXPECT_EQ(-EDQUOT, kt_do_as(A, kipc_set((int)fd, 0, KIPC_SET_CAPACITY, &info)));
	close((int)other);
	EXPECT_EQ(0, kt_do_as(A, kipc_set((int)fd, 0, KIPC_SET_CAPACITY, &info)));
	EXPECT_EQ(-EDQUOT, create_as(self->dev, A, &attr));
	close((int)fd);
	fd = create_as(self->dev, A, &attr);
	EXPECT_GE(fd, 0);
	close((int)fd);
}

static long fill_namespace(void *arg)
{
	int dev = kt_device();
	long fd, n;

	(void)arg;
	for (n = 0; (fd = kt_openl(dev, .flags = KIPC_OPEN_CREATE, .rights = KT_ALL_RIGHTS)) >= 0;)
		n++;
	return fd == -ENOSPC ? n : fd;
}

TEST_F(quota, p10_endpoints_per_namespace)
{
	const struct kt_how how = { .ns = CLONE_NEWNET };

	kt_set_param("endpoints_max", 4);
	EXPECT_EQ(4, kt_run(&how, fill_namespace, NULL));
}

static long call_async(int fd, uid_t uid, uint64_t room, uint64_t *token)
{
	struct kipc_op_rpc op = kt_rpc_op("?", 1, NULL, 0, NULL);
	long ret;

	op.flags = KIPC_ASYNC;
	op.reply_room = room;
	ret = kt_do_as(uid, kt_op_rpc(fd, &op));
	if (token)
		*token = op.token;
	return ret;
}

TEST_F(quota, p10_async_calls_per_user)
{
	int fd = (int)create_as(self->dev, A, NULL), client;
	uint64_t tokens[3], other;

	ASSERT_GE(fd, 0);
	client = kt_again(self->dev, kt_id(fd), KIPC_RIGHT_SEND);
	ASSERT_GE(client, 0);
	kt_set_param("user_calls_max", 3);
	for (int i = 0; i < 3; i++)
		ASSERT_EQ(0, call_async(client, B, 10, &tokens[i]));
	EXPECT_EQ(-EDQUOT, call_async(client, B, 10, NULL));
	EXPECT_EQ(3, kt_stat(fd).msgs);
	EXPECT_EQ(0, call_async(client, C, 10, &other));
	/* messages are not calls */
	EXPECT_EQ(0, send_as(client, B, 1));

	EXPECT_EQ(0, kt_cancel(client, tokens[1], NULL));
	EXPECT_EQ(0, call_async(client, B, 10, &tokens[1]));
	EXPECT_EQ(-EDQUOT, call_async(client, B, 10, NULL));
	close(client);

	client = kt_again(self->dev, kt_id(fd), KIPC_RIGHT_SEND);
	ASSERT_GE(client, 0);
	for (int i = 0; i < 3; i++)
		EXPECT_EQ(0, call_async(client, B, 10, &tokens[i]));
	EXPECT_EQ(-EDQUOT, call_async(client, B, 10, NULL));
	close(client);
}

/* An answered call counts until it is collected */
TEST_F(quota, p10_a_call_counts_until_collected)
{
	int fd = (int)create_as(self->dev, A, NULL);
	struct kipc_result result;
	struct kipc_op_rpc collect;
	char buf[16];
	uint64_t token;

	ASSERT_GE(fd, 0);
	kt_set_param("user_calls_max", 1);
	ASSERT_EQ(0, call_async(fd, B, 10, &token));
	ASSERT_EQ(1, kt_recv(fd, 0, 0, 0, buf, sizeof(buf), &result));
	EXPECT_EQ(-EDQUOT, call_async(fd, B, 10, NULL));
	ASSERT_EQ(0, kt_reply(fd, result.token, 0, "ok", 2));
	EXPECT_EQ(-EDQUOT, call_async(fd, B, 10, NULL));
	collect = kt_rpc_op(NULL, 0, buf, sizeof(buf), &result);
	collect.token = token;
	EXPECT_EQ(2, kt_op_rpc(fd, &collect));
	EXPECT_EQ(0, call_async(fd, B, 10, NULL));
}

TEST_F(quota, p10_reply_room_per_user)
{
	int fd = (int)create_as(self->dev, A, NULL);
	uint64_t tokens[2];

	ASSERT_GE(fd, 0);
	kt_set_param("user_reply_room_max", 2500);
	ASSERT_EQ(0, call_async(fd, B, 1000, &tokens[0]));
	ASSERT_EQ(0, call_async(fd, B, 1500, &tokens[1]));
	EXPECT_EQ(-EDQUOT, call_async(fd, B, 1, NULL));
	EXPECT_EQ(2, kt_stat(fd).msgs);
	EXPECT_EQ(0, call_async(fd, C, 2500, NULL));
	EXPECT_EQ(-EDQUOT, call_async(fd, C, 2501, NULL));
	EXPECT_EQ(0, kt_cancel(fd, tokens[0], NULL));
	EXPECT_EQ(-EDQUOT, call_async(fd, B, 1001, NULL));
	EXPECT_EQ(0, call_async(fd, B, 1000, NULL));
}

static long open_as(int dev, uid_t uid, uint32_t id)
{
	return kt_do_as(uid, kt_again(dev, id, KIPC_RIGHT_SEND));
}

/* Opens until it is refused with @error; how many, or the unexpected -errno */
static long open_many(int dev, uid_t uid, uint32_t id, int error)
{
	long n, fd;

	for (n = 0; (fd = open_as(dev, uid, id)) >= 0; n++)
		;
	return fd == -error ? n : fd;
}

TEST_F(quota, p10_handles_per_endpoint)
{
	int fd = (int)create_as(self->dev, A, NULL);
	uint32_t id;

	ASSERT_GE(fd, 0);
	id = kt_id(fd);
	kt_set_param("handles_max", 8);
	/* A has one: half of 7, half of the 4 that A and B leave */
	EXPECT_EQ(3, open_many(self->dev, B, id, EDQUOT));
	EXPECT_EQ(2, open_many(self->dev, C, id, EDQUOT));
	EXPECT_EQ(2, open_many(self->dev, A, id, ENOSPC));
	EXPECT_EQ(8, kt_stat(fd).handles);
	/* they all work */
	EXPECT_EQ(0, send_as(fd, A, 1));
}

TEST_F(quota, p10_waiters_per_endpoint)
{
	int fd = (int)create_as(self->dev, A, NULL);
	char *buf = kt_shared(8192);
	struct kipc_op_recv op = kt_recv_op(buf, 8192, NULL);
	struct kt_job *jobs[8];
	int n = 0;

	ASSERT_GE(fd, 0);
	kt_set_param("waiters_max", 8);
	for (; n < 4; n++) {
		jobs[n] = kt_start_ioctl(KT_AS(B), fd, KIPC_IOC_RECV, &op);
		ASSERT_TRUE(kt_asleep(jobs[n]));
	}
	EXPECT_EQ(-EDQUOT, kt_do_as(B, kt_op_recv(fd, &op)));
	for (; n < 6; n++) {
		jobs[n] = kt_start_ioctl(KT_AS(C), fd, KIPC_IOC_RECV, &op);
		ASSERT_TRUE(kt_asleep(jobs[n]));
	}
	EXPECT_EQ(-EDQUOT, kt_do_as(C, kt_op_recv(fd, &op)));
	for (; n < 8; n++) {
		jobs[n] = kt_start_ioctl(KT_AS(A), fd, KIPC_IOC_RECV, &op);
		ASSERT_TRUE(kt_asleep(jobs[n]));
	}
	EXPECT_EQ(-ENOSPC, kt_do_as(A, kt_op_recv(fd, &op)));
	EXPECT_EQ(8, kt_stat(fd).waiters);
	/* who need not wait is not refused */
	EXPECT_EQ(0, send_as(fd, C, 1));
	EXPECT_EQ(1, kt_join(jobs[0]));
	for (n = 1; n < 8; n++)
		EXPECT_EQ(KT_DIED - SIGKILL, kt_kill(jobs[n]));
	EXPECT_EQ(0, kt_stat(fd).waiters);
	jobs[0] = kt_start_ioctl(KT_AS(B), fd, KIPC_IOC_RECV, &op);
	EXPECT_TRUE(kt_asleep(jobs[0]));
}

struct inside {
	int dev;
	long created[3];
	long refused;
	struct kt_flag ready, go;
};

/* Inside a user namespace that A made: users that A invented */
static long create_inside(void *arg)
{
	struct inside *in = arg;

	for (unsigned int i = 0; i < 3; i++) {
		kt_need(syscall(SYS_setresuid, -1, i + 1, -1) == 0);
		in->created[i] = kt_openl(in->dev, .flags = KIPC_OPEN_CREATE,
					  .rights = KT_ALL_RIGHTS);
		kt_need(syscall(SYS_setresuid, -1, 0, -1) == 0);
	}
	kt_need(syscall(SYS_setresuid, -1, 4, -1) == 0);
	in->refused = kt_openl(in->dev, .flags = KIPC_OPEN_CREATE, .rights = KT_ALL_RIGHTS);
	kt_raise(&in->ready);
	return kt_await(&in->go) ? 0 : -1;
}

TEST_F(quota, p10_a_user_namespace_is_charged_to_who_made_it)
{
	const struct kt_how how = {
		.ns = CLONE_NEWUSER,
		.outer_uid = A,
		.outer_gid = A,
		.uid_map = "0 100000 10",
		.gid_map = "0 100000 10",
	};
	struct inside *in = kt_new(struct inside);
	struct kt_job *job;
	long fd;

	kt_set_param("user_endpoints_max", 3);
	in->dev = self->dev;
	job = kt_start(&how, create_inside, in);
	ASSERT_TRUE(kt_await(&in->ready));
	for (int i = 0; i < 3; i++)
		EXPECT_GE(in->created[i], 0);
	EXPECT_EQ(-EDQUOT, in->refused);
	EXPECT_EQ(-EDQUOT, create_as(self->dev, A, NULL));
	fd = create_as(self->dev, B, NULL);
	EXPECT_GE(fd, 0);
	close((int)fd);

	kt_raise(&in->go);
	EXPECT_EQ(0, kt_join(job));
	for (int i = 0; i < 3; i++) {
		fd = create_as(self->dev, A, NULL);
		EXPECT_GE(fd, 0);
	}
	EXPECT_EQ(-EDQUOT, create_as(self->dev, A, NULL));
}

/* Who has used up a share waits for that, and keeps no room from others by it */
TEST_F(quota, p13_who_is_over_its_share_holds_up_nobody)
{
	struct kipc_attr attr = { .max_size = 1000, .max_bytes = 2000, .max_msgs = 16 };
	int fd = (int)create_as(self->dev, 0, &attr);
	struct kipc_op_send *over = kt_new(struct kipc_op_send);
	char *large = kt_shared(1000);
	struct kt_job *job;

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, send_as(fd, A, 1));
	ASSERT_EQ(0, send_as(fd, B, 1000));
	/* 1 byte and 1000 are more than half of what B leaves, and there is no room */
	*over = kt_send_op(large, 1000);
	over->prio = KIPC_PRIO_MAX;
	job = kt_start_ioctl(KT_AS(A), fd, KIPC_IOC_SEND, over);
	ASSERT_TRUE(kt_asleep(job));
	EXPECT_EQ(0, send_as(fd, C, 10));
	EXPECT_EQ(2, kt_stat(fd).handles + kt_stat(fd).waiters);
	EXPECT_EQ(KT_DIED - SIGKILL, kt_kill(job));
	close(fd);
}

/* Who is beyond a limit that was lowered may still take less */
/* SET can make an endpoint smaller than a message that waits: others do not wait with it */
TEST_F(quota, p13_who_waits_for_more_than_there_may_be_holds_up_nobody)
{
	static const char bytes[64] = "too large";
	struct kipc_endpoint room = { .attr = { .max_size = 64, .max_msgs = 8, .max_bytes = 64 } };
	int fd = kt_private_mode(self->dev, 0, 0622, &room.attr);
	struct kipc_op_send *send = kt_new(struct kipc_op_send);
	struct pollfd poller = { .fd = fd, .events = POLLOUT };
	struct kt_job *job;
	char buf[64];

	EXPECT_EQ(0, kt_send(fd, 0, 1, 0, bytes, 64));
	*send = kt_send_op(bytes, 64);
	send->endpoint = kt_id(fd);
	send->type = 2;
	job = kt_start_ioctl(KT_AS(KT_UID_A), self->dev, KIPC_IOC_SEND, send);
	ASSERT_TRUE(kt_asleep(job));
	room.attr.max_size = 8;
	room.attr.max_bytes = 8;
	EXPECT_EQ(0, kipc_set(fd, 0, KIPC_SET_CAPACITY, &room));
	EXPECT_EQ(64, kt_recv(fd, 0, KIPC_TYPE_EQ | KIPC_ANYSIZE, 1, buf, sizeof(buf), NULL));
	EXPECT_EQ(0, kt_stat(fd).msgs);
	EXPECT_EQ(1, poll(&poller, 1, 0));
	EXPECT_EQ(0, kt_send(fd, 0, 1, 0, bytes, 1));
	EXPECT_EQ(1, kt_recv(fd, 0, KIPC_TYPE_EQ, 1, buf, sizeof(buf), NULL));
	EXPECT_EQ(64, kt_recv(fd, 0, KIPC_ANYSIZE, 0, buf, sizeof(buf), NULL));
	EXPECT_EQ(0, kt_join(job));
	close(fd);
}

TEST_F(quota, p10_less_capacity_is_never_refused)
{
	struct kipc_attr attr = { .max_size = 4096, .max_bytes = 65536, .max_msgs = 1 };
	int fd = (int)create_as(self->dev, A, &attr);
	struct kipc_op_stat set = { .what = KIPC_SET_CAPACITY, .info.attr = attr };

	ASSERT_LE(0, fd);
	kt_set_param("user_capacity_max", 4096);
	set.info.attr.max_bytes = 131072;
	EXPECT_EQ(-EDQUOT, kt_do_as(A, kt_op_set(fd, &set)));
	set.info.attr.max_bytes = 32768;
	EXPECT_EQ(0, kt_do_as(A, kt_op_set(fd, &set)));
	EXPECT_EQ(32768, kt_stat(fd).attr.max_bytes);
	close(fd);
}

static long recv_waiting(void *arg)
{
	struct kipc_result result;
	char buf[8192];

	return kipc_recv(*(int *)arg, buf, sizeof(buf), &result, 1000);
}

/* Of the waiters some are left for the owner, however many others come */
TEST_F(quota, p10_other_users_leave_waiters_for_the_owner)
{
	int fd = (int)create_as(self->dev, A, NULL);
	struct kipc_result *result = kt_new(struct kipc_result);
	struct kipc_op_recv *op = kt_new(struct kipc_op_recv);
	char *buf = kt_shared(8192);
	struct kt_job *jobs[8];

	ASSERT_LE(0, fd);
	kt_set_param("waiters_max", 8);
	*op = kt_recv_op(buf, 8192, result);
	op->flags = KIPC_TYPE_EQ;
	for (unsigned int i = 0; i < 7; i++) {
		jobs[i] = kt_start_ioctl(KT_AS(C + 1 + i), fd, KIPC_IOC_RECV, op);
		ASSERT_TRUE(kt_asleep(jobs[i]));
	}
	EXPECT_EQ(-ENOSPC, kt_run(KT_AS(C), recv_waiting, &fd));
	jobs[7] = kt_start_ioctl(KT_AS(A), fd, KIPC_IOC_RECV, op);
	EXPECT_TRUE(kt_asleep(jobs[7]));
	for (unsigned int i = 0; i < 8; i++)
		kt_kill(jobs[i]);
	close(fd);
}

/* The uids of a user's own user namespace are all that user */
static long send_until_full(void *arg)
{
	static const char byte;
	int fd = *(int *)arg;
	long sent = 0;

	for (uid_t uid = 0; uid < 8; uid++) {
		kt_need(syscall(SYS_setresuid, -1, uid, -1) == 0);
		while (kt_send(fd, 0, 1, 0, &byte, 1) == 0)
			sent++;
		kt_need(syscall(SYS_setresuid, -1, 0, -1) == 0);
	}
	return sent;
}

TEST_F(quota, p10_uids_of_a_user_namespace_are_one_user)
{
	struct kt_how inside = {
		.ns = CLONE_NEWUSER,
		.outer_uid = B,
		.outer_gid = B,
		.uid_map = "0 100000 8",
	};
	struct kipc_attr attr = { .max_msgs = 64 };
	int *fd = kt_new(int);

	*fd = (int)create_as(self->dev, A, &attr);
	ASSERT_LE(0, *fd);
	/* one user's part is half of it, once */
	EXPECT_EQ(32, kt_run(&inside, send_until_full, fd));
	close(*fd);
}

/* What SET has charged for a change that fails is given back */
TEST_F(quota, p10_a_failed_change_costs_nothing)
{
	struct kipc_attr attr = { .max_size = 4096, .max_bytes = 65536, .max_msgs = 1 };
	int other = (int)kt_openl(self->dev, KT_NAME("taken"), .flags = KIPC_OPEN_CREATE,
				  .rights = KT_ALL_RIGHTS);
	int fd = (int)create_as(self->dev, A, &attr);
	struct kipc_op_stat set = {
		.what = KIPC_SET_CAPACITY | KIPC_SET_KEY | KIPC_SET_NAME,
		.info = { .attr = attr, .key = 0x4712, .name = "taken" },
	};

	ASSERT_LE(0, other);
	ASSERT_LE(0, fd);
	set.info.attr.max_bytes = 131072;
	kt_set_param("user_capacity_max", 131072 + 256);
	for (unsigned int i = 0; i < 4; i++)
		EXPECT_EQ(-EEXIST, kt_do_as(A, kt_op_set(fd, &set)));
	EXPECT_EQ(65536, kt_stat(fd).attr.max_bytes);
	EXPECT_EQ(-ENOENT, kt_openl(self->dev, .key = 0x4712, .rights = KIPC_RIGHT_SEND));
	/* the very last there is */
	strcpy(set.info.name, "free");
	EXPECT_EQ(0, kt_do_as(A, kt_op_set(fd, &set)));
	EXPECT_EQ(131072, kt_stat(fd).attr.max_bytes);
	/* what it is called already is no change, and no other's */
	EXPECT_EQ(0, kt_do_as(A, kt_op_set(fd, &set)));
	close(fd);
	close(other);
}

TEST_HARNESS_MAIN
