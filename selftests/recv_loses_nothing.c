// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Promise 2: a failed receive loses nothing. Whatever goes wrong before the
 * commit, the message is in its place afterwards.
 */
#include <sys/resource.h>
#include <sys/uio.h>

#include "common.h"
#include "harness.h"

#define SIZE 6000	/* of the messages: more than a page, less than max_size */
#define ROOM 8192	/* max_size */

static long send_pattern(int fd, uint32_t prio, unsigned int seed)
{
	static char buf[SIZE];

	kt_fill(buf, SIZE, seed);
	return kt_send(fd, 0, seed, prio, buf, SIZE);
}

/* The next message is whole, as sent, and delivered for the first time */
static void expect_pattern(struct __test_metadata *_metadata, int fd, uint32_t prio,
			   unsigned int seed)
{
	static char buf[ROOM];
	struct kipc_result result;

	memset(&result, 0, sizeof(result));
	kt_poison(buf, sizeof(buf));
	EXPECT_EQ(SIZE, kipc_recv(fd, buf, sizeof(buf), &result, 0));
	EXPECT_TRUE(kt_filled(buf, SIZE, seed));
	EXPECT_TRUE(kt_poisoned(buf + SIZE, ROOM - SIZE));
	EXPECT_EQ(seed, result.type);
	EXPECT_EQ(prio, result.prio);
	EXPECT_EQ(SIZE, result.size);
	EXPECT_EQ(0, result.token);
	EXPECT_EQ(0, result.flags);
	EXPECT_EQ(1, result.deliveries);
}

FIXTURE(kept) {
	int dev;
	int fd;
	char *buf;
	struct kipc_result result;
	struct kipc_op_recv op;
};

/* Three messages, so that "in its place" means something */
FIXTURE_SETUP(kept)
{
	self->dev = kt_device();
	self->fd = kt_private(self->dev, 0, NULL);
	ASSERT_EQ(0, send_pattern(self->fd, 7, 1));
	ASSERT_EQ(0, send_pattern(self->fd, 7, 2));
	ASSERT_EQ(0, send_pattern(self->fd, 0, 3));
	self->buf = kt_shared(ROOM);
	kt_poison(self->buf, ROOM);
	kt_poison(&self->result, sizeof(self->result));
	self->op = kt_recv_op(self->buf, ROOM, &self->result);
	self->op.flags = KIPC_NONBLOCK;
}

/* Every test of this fixture ends with all three still there */
FIXTURE_TEARDOWN(kept)
{
	struct kipc_endpoint info = kt_stat(self->fd);

	EXPECT_EQ(3, info.msgs);
	EXPECT_EQ(3 * SIZE, info.bytes);
	EXPECT_EQ(0, info.waiters);
	expect_pattern(_metadata, self->fd, 7, 1);
	expect_pattern(_metadata, self->fd, 7, 2);
	expect_pattern(_metadata, self->fd, 0, 3);
	EXPECT_TRUE(kt_quiet(self->fd));
	close(self->fd);
	close(self->dev);
}

TEST_F(kept, p02_room_below_max_size)
{
	self->op.payload.len = ROOM - 1;
	EXPECT_EQ(-EMSGSIZE, kt_op_recv(self->fd, &self->op));
	self->op.payload.len = 0;
	EXPECT_EQ(-EMSGSIZE, kt_op_recv(self->fd, &self->op));
	EXPECT_TRUE(kt_poisoned(self->buf, ROOM));
	EXPECT_EQ(-EMSGSIZE, kipc_recv(self->fd, self->buf, 10, &self->result, -1));
}

TEST_F(kept, p02_anysize_tells_the_size_needed)
{
	self->op.flags |= KIPC_ANYSIZE;
	self->op.payload.len = SIZE - 1;
	EXPECT_EQ(-EMSGSIZE, kt_op_recv(self->fd, &self->op));
	EXPECT_EQ(SIZE, self->result.size);
	EXPECT_EQ(0, self->result.token);
	EXPECT_TRUE(kt_poisoned(self->buf, ROOM));
}

TEST_F(kept, p02_anysize_without_result)
{
	self->op.flags |= KIPC_ANYSIZE;
	self->op.payload.len = 0;
	self->op.result = 0;
	EXPECT_EQ(-EMSGSIZE, kt_op_recv(self->fd, &self->op));
	EXPECT_TRUE(kt_poisoned(self->buf, ROOM));
}

TEST_F(kept, p02_fault_at_the_first_byte)
{
	self->op.payload.base = kt_ptr(kt_hole());
	EXPECT_EQ(-EFAULT, kt_op_recv(self->fd, &self->op));
}

TEST_F(kept, p02_fault_in_the_middle_of_the_copy)
{
	char *hole = kt_hole();

	self->op.payload.base = kt_ptr(hole - SIZE / 2);
	EXPECT_EQ(-EFAULT, kt_op_recv(self->fd, &self->op));
	self->op.payload.base = kt_ptr(hole - SIZE + 1);
	EXPECT_EQ(-EFAULT, kt_op_recv(self->fd, &self->op));
}

TEST_F(kept, p02_fault_at_the_null_page_and_in_kernel_space)
{
	self->op.payload.base = 0;
	EXPECT_EQ(-EFAULT, kt_op_recv(self->fd, &self->op));
	self->op.payload.base = 0xffff888000000000ULL;
	EXPECT_EQ(-EFAULT, kt_op_recv(self->fd, &self->op));
	self->op.payload.base = ~0ULL - 100;
	EXPECT_EQ(-EFAULT, kt_op_recv(self->fd, &self->op));
}

TEST_F(kept, p02_fault_in_a_segment)
{
	struct kipc_iovec iov[] = {
		{ kt_ptr(self->buf), 1000 },
		{ kt_ptr(kt_hole() - 1000), 3000 },
		{ kt_ptr(self->buf + 1000), ROOM - 4000 },
	};

	self->op.payload.base = kt_ptr(iov);
	self->op.payload.len = 0;
	self->op.payload.iovcnt = ARRAY_SIZE(iov);
	EXPECT_EQ(-EFAULT, kt_op_recv(self->fd, &self->op));
}

TEST_F(kept, p02_fault_in_the_array_of_segments)
{
	struct kipc_iovec *iov = (void *)kt_hole();

	iov[-1].base = kt_ptr(self->buf);
	iov[-1].len = ROOM;
	self->op.payload.base = kt_ptr(&iov[-1]);
	self->op.payload.len = 0;
	self->op.payload.iovcnt = 2;
	EXPECT_EQ(-EFAULT, kt_op_recv(self->fd, &self->op));
	self->op.payload.base = kt_ptr(&iov[0]);
	EXPECT_EQ(-EFAULT, kt_op_recv(self->fd, &self->op));
	EXPECT_TRUE(kt_poisoned(self->buf, ROOM));
}

TEST_F(kept, p02_fault_in_the_result)
{
	char *hole = kt_hole();

	self->op.result = kt_ptr(hole);
	EXPECT_EQ(-EFAULT, kt_op_recv(self->fd, &self->op));
	self->op.result = kt_ptr(hole - sizeof(struct kipc_result) / 2);
	EXPECT_EQ(-EFAULT, kt_op_recv(self->fd, &self->op));
}

TEST_F(kept, p02_fault_in_a_peek)
{
	self->op.flags |= KIPC_PEEK;
	self->op.payload.base = kt_ptr(kt_hole() - 100);
	EXPECT_EQ(-EFAULT, kt_op_recv(self->fd, &self->op));
	self->op.payload.base = kt_ptr(self->buf);
	self->op.result = kt_ptr(kt_hole() - 8);
	EXPECT_EQ(-EFAULT, kt_op_recv(self->fd, &self->op));
}

TEST_F(kept, p02_fault_with_each_selector)
{
	static const uint32_t selectors[] = { KIPC_TYPE_EQ, KIPC_TYPE_LE, KIPC_TYPE_NE };

	self->op.payload.base = kt_ptr(kt_hole() - 100);
	for (unsigned int i = 0; i < ARRAY_SIZE(selectors); i++) {
		self->op.flags = KIPC_NONBLOCK | selectors[i];
		self->op.type = 2;
		EXPECT_EQ(-EFAULT, kt_op_recv(self->fd, &self->op));
	}
}

static long stalled_receive(void *arg)
{
	struct {
		int fd;
		struct kt_stall stall;
	} *a = arg;
	struct kipc_op_recv op;

	kt_stall_init(&a->stall, 0);
	op = kt_recv_op(a->stall.page - SIZE / 2, ROOM, NULL);
	return kt_op_recv(a->fd, &op);
}

TEST_F(kept, p02_kill_in_the_middle_of_the_copy)
{
	struct {
		int fd;
		struct kt_stall stall;
	} *a = kt_shared(sizeof(*a));
	struct kt_job *job;

	a->fd = self->fd;
	job = kt_start(KT_FORK, stalled_receive, a);
	ASSERT_TRUE(kt_stalled(&a->stall));
	EXPECT_EQ(KT_DIED - SIGKILL, kt_kill(job));
}

/* Claimed one after the other, killed in the wrong order, back in the right one */
TEST_F(kept, p02_three_claims_killed_at_once)
{
	struct {
		int fd;
		struct kt_stall stall;
	} *a[3];
	struct kt_job *job[ARRAY_SIZE(a)];

	for (unsigned int i = 0; i < ARRAY_SIZE(a); i++) {
		a[i] = kt_shared(sizeof(*a[i]));
		a[i]->fd = self->fd;
		job[i] = kt_start(KT_FORK, stalled_receive, a[i]);
		ASSERT_TRUE(kt_stalled(&a[i]->stall));
	}
	EXPECT_EQ(-EAGAIN, kt_op_recv(self->fd, &self->op));
	EXPECT_TRUE(kt_poisoned(self->buf, ROOM));
	EXPECT_EQ(KT_DIED - SIGKILL, kt_kill(job[1]));
	EXPECT_EQ(KT_DIED - SIGKILL, kt_kill(job[2]));
	EXPECT_EQ(KT_DIED - SIGKILL, kt_kill(job[0]));
}

TEST_F(kept, p02_stalled_receiver_faults_in_the_end)
{
	struct kt_stall *stall = kt_stall_new(0);
	struct kt_job *job;

	/* the payload stalls, and then the result turns out to be nowhere */
	self->op.payload.base = kt_ptr(stall->page - SIZE / 2);
	self->op.result = kt_ptr(kt_hole());
	job = kt_start_ioctl(KT_THREAD, self->fd, KIPC_IOC_RECV, &self->op);
	ASSERT_TRUE(kt_stalled(stall));
	kt_release(stall);
	EXPECT_EQ(-EFAULT, kt_join(job));
}

FIXTURE(empty) {
	int dev;
	int fd;
	struct kipc_attr attr;
};

FIXTURE_SETUP(empty)
{
	self->attr = (struct kipc_attr){ .max_size = ROOM, .max_msgs = 1, .max_bytes = ROOM };
	self->dev = kt_device();
	self->fd = kt_private(self->dev, 0, &self->attr);
	kt_catch(SIGUSR1, 0);
}

FIXTURE_TEARDOWN(empty)
{
	EXPECT_TRUE(kt_quiet(self->fd));
	close(self->fd);
	close(self->dev);
}

TEST_F(empty, p02_truncate_takes_and_says_what_is_missing)
{
	struct kipc_result result;
	char buf[ROOM];

	ASSERT_EQ(0, send_pattern(self->fd, 3, 1));
	kt_poison(buf, ROOM);
	EXPECT_EQ(100, kt_recv(self->fd, 0, KIPC_TRUNCATE, 0, buf, 100, &result));
	EXPECT_EQ(SIZE, result.size);
	EXPECT_EQ(KIPC_RESULT_TRUNCATED, result.flags);
	EXPECT_TRUE(kt_filled(buf, 100, 1));
	EXPECT_TRUE(kt_poisoned(buf + 100, ROOM - 100));
	EXPECT_TRUE(kt_quiet(self->fd));

	ASSERT_EQ(0, send_pattern(self->fd, 3, 2));
	EXPECT_EQ(SIZE, kt_recv(self->fd, 0, KIPC_TRUNCATE, 0, buf, SIZE, &result));
	EXPECT_EQ(0, result.flags);
	ASSERT_EQ(0, send_pattern(self->fd, 3, 2));
	EXPECT_EQ(0, kt_recv(self->fd, 0, KIPC_TRUNCATE, 0, NULL, 0, &result));
	EXPECT_EQ(SIZE, result.size);
	EXPECT_EQ(KIPC_RESULT_TRUNCATED, result.flags);
}

TEST_F(empty, p02_peek_with_truncate_shows_the_beginning)
{
	struct kipc_result result;
	char buf[ROOM];

	ASSERT_EQ(0, send_pattern(self->fd, 3, 1));
	kt_poison(buf, ROOM);
	EXPECT_EQ(100, kt_recv(self->fd, 0, KIPC_PEEK | KIPC_TRUNCATE, 0, buf, 100, &result));
	EXPECT_EQ(SIZE, result.size);
	EXPECT_EQ(KIPC_RESULT_TRUNCATED, result.flags & KIPC_RESULT_TRUNCATED);
	EXPECT_TRUE(kt_poisoned(buf + 100, ROOM - 100));
	/* without TRUNCATE it does not fit, and the size needed is told */
	memset(&result, 0, sizeof(result));
	EXPECT_EQ(-EMSGSIZE, kt_recv(self->fd, 0, KIPC_PEEK, 0, buf, 100, &result));
	EXPECT_EQ(SIZE, result.size);
	expect_pattern(_metadata, self->fd, 3, 1);
}

/* A handed-over message that cannot be stored goes to who waits next */
TEST_F(empty, p02_fault_after_a_handover)
{
	struct kipc_op_recv bad = kt_recv_op(kt_hole() - 100, ROOM, NULL);
	struct kipc_result result;
	char *buf = kt_shared(ROOM);
	struct kipc_op_recv good = kt_recv_op(buf, ROOM, &result);
	struct kt_job *bad_job, *good_job;

	bad_job = kt_start_ioctl(KT_THREAD, self->fd, KIPC_IOC_RECV, &bad);
	ASSERT_TRUE(kt_asleep(bad_job));
	ASSERT_EQ(0, send_pattern(self->fd, 3, 1));
	EXPECT_EQ(-EFAULT, kt_join(bad_job));
	EXPECT_EQ(1, kt_stat(self->fd).msgs);
	expect_pattern(_metadata, self->fd, 3, 1);

	bad_job = kt_start_ioctl(KT_THREAD, self->fd, KIPC_IOC_RECV, &bad);
	ASSERT_TRUE(kt_asleep(bad_job));
	good_job = kt_start_ioctl(KT_THREAD, self->fd, KIPC_IOC_RECV, &good);
	ASSERT_TRUE(kt_asleep(good_job));
	ASSERT_EQ(0, send_pattern(self->fd, 3, 2));
	EXPECT_EQ(-EFAULT, kt_join(bad_job));
	EXPECT_EQ(SIZE, kt_join(good_job));
	EXPECT_TRUE(kt_filled(buf, SIZE, 2));
	EXPECT_EQ(1, result.deliveries);
}

TEST_F(empty, p02_small_room_after_a_handover)
{
	struct kipc_result result, small_result;
	char *buf = kt_shared(ROOM);
	struct kipc_op_recv small = kt_recv_op(buf, 10, &small_result);
	struct kipc_op_recv good = kt_recv_op(buf, ROOM, &result);
	struct kt_job *small_job, *good_job;

	small.flags = KIPC_ANYSIZE;
	small_job = kt_start_ioctl(KT_THREAD, self->fd, KIPC_IOC_RECV, &small);
	ASSERT_TRUE(kt_asleep(small_job));
	good_job = kt_start_ioctl(KT_THREAD, self->fd, KIPC_IOC_RECV, &good);
	ASSERT_TRUE(kt_asleep(good_job));
	ASSERT_EQ(0, send_pattern(self->fd, 3, 2));
	EXPECT_EQ(-EMSGSIZE, kt_join(small_job));
	EXPECT_EQ(SIZE, small_result.size);
	EXPECT_EQ(SIZE, kt_join(good_job));
	EXPECT_TRUE(kt_filled(buf, SIZE, 2));
}

/*
 * Those who have too little room are all told, however many they are, and the message goes to
 * who waits behind them; or into the queue.
 */
#define SMALL_ROOMS 40

TEST_F(empty, p02_many_with_small_rooms)
{
	static struct kipc_result results[SMALL_ROOMS], result;
	static struct kipc_op_recv ops[SMALL_ROOMS];
	static struct kt_job *jobs[SMALL_ROOMS];
	char *buf = kt_shared(ROOM);
	struct kipc_op_recv good = kt_recv_op(buf, ROOM, &result);
	struct kt_job *good_job = NULL;

	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < SMALL_ROOMS; i++) {
			memset(&results[i], 0, sizeof(results[i]));
			ops[i] = kt_recv_op(buf, i % 2 ? SIZE - 1 : 0, &results[i]);
			ops[i].flags = KIPC_ANYSIZE;
			jobs[i] = kt_start_ioctl(KT_THREAD, self->fd, KIPC_IOC_RECV, &ops[i]);
			ASSERT_TRUE(kt_asleep(jobs[i]));
		}
		if (!round) {
			good_job = kt_start_ioctl(KT_THREAD, self->fd, KIPC_IOC_RECV, &good);
			ASSERT_TRUE(kt_asleep(good_job));
		}
		kt_poison(buf, ROOM);
		ASSERT_EQ(0, send_pattern(self->fd, 3, 2));
		for (int i = 0; i < SMALL_ROOMS; i++) {
			EXPECT_EQ(-EMSGSIZE, kt_join(jobs[i]));
			EXPECT_EQ(SIZE, results[i].size);
			EXPECT_EQ(0, results[i].nfds);
		}
		if (!round) {
			EXPECT_EQ(SIZE, kt_join(good_job));
			EXPECT_TRUE(kt_filled(buf, SIZE, 2));
			EXPECT_EQ(1, result.deliveries);
		}
	}
	EXPECT_TRUE(kt_poisoned(buf, ROOM));
	expect_pattern(_metadata, self->fd, 3, 2);
}

/* The message is in the queue at once, though who waits for it has not run yet */
TEST_F(empty, p02_small_rooms_are_passed_by)
{
	char *buf = kt_shared(ROOM);
	struct kipc_result result, cut_result;
	struct kipc_op_recv op = kt_recv_op(buf, 10, &result);
	struct kipc_op_recv cut = kt_recv_op(buf, 5, &cut_result);
	struct kt_job *job, *cut_job;

	kt_one_cpu();
	op.flags = KIPC_ANYSIZE;
	cut.flags = KIPC_TRUNCATE;
	job = kt_start_ioctl(KT_FORK, self->fd, KIPC_IOC_RECV, &op);
	ASSERT_TRUE(kt_asleep(job));
	kt_go_first(true);
	EXPECT_EQ(0, send_pattern(self->fd, 3, 2));
	expect_pattern(_metadata, self->fd, 3, 2);
	EXPECT_FALSE(job->done);
	kt_go_first(false);
	EXPECT_EQ(-EMSGSIZE, kt_join(job));

	/* What fits exactly, and who takes what does not fit */
	job = kt_start_ioctl(KT_FORK, self->fd, KIPC_IOC_RECV, &op);
	ASSERT_TRUE(kt_asleep(job));
	cut_job = kt_start_ioctl(KT_FORK, self->fd, KIPC_IOC_RECV, &cut);
	ASSERT_TRUE(kt_asleep(cut_job));
	EXPECT_EQ(0, kt_send(self->fd, 0, 0, 0, "0123456789", 10));
	EXPECT_EQ(10, kt_join(job));
	EXPECT_EQ(0, send_pattern(self->fd, 3, 2));
	EXPECT_EQ(5, kt_join(cut_job));
	EXPECT_EQ(0, kt_stat(self->fd).msgs);
}

TEST_F(empty, p02_a_claim_keeps_its_room)
{
	struct {
		int fd;
		struct kt_stall stall;
	} *a = kt_shared(sizeof(*a));
	struct kt_job *job;

	ASSERT_EQ(0, send_pattern(self->fd, 3, 1));
	a->fd = self->fd;
	job = kt_start(KT_FORK, stalled_receive, a);
	ASSERT_TRUE(kt_stalled(&a->stall));
	/* if the claim fails, it must have somewhere to go back to */
	EXPECT_EQ(-EAGAIN, send_pattern(self->fd, 9, 2));
	EXPECT_EQ(KT_DIED - SIGKILL, kt_kill(job));
	expect_pattern(_metadata, self->fd, 3, 1);
}

TEST_F(empty, p02_after_a_kill_the_next_receiver_gets_it)
{
	struct {
		int fd;
		struct kt_stall stall;
	} *a = kt_shared(sizeof(*a));
	struct kipc_result result;
	char *buf = kt_shared(ROOM);
	struct kipc_op_recv good = kt_recv_op(buf, ROOM, &result);
	struct kt_job *victim, *job;

	ASSERT_EQ(0, send_pattern(self->fd, 3, 1));
	a->fd = self->fd;
	victim = kt_start(KT_FORK, stalled_receive, a);
	ASSERT_TRUE(kt_stalled(&a->stall));
	job = kt_start_ioctl(KT_THREAD, self->fd, KIPC_IOC_RECV, &good);
	ASSERT_TRUE(kt_asleep(job));
	EXPECT_EQ(KT_DIED - SIGKILL, kt_kill(victim));
	EXPECT_EQ(SIZE, kt_join(job));
	EXPECT_TRUE(kt_filled(buf, SIZE, 1));
}

TEST_F(empty, p02_signal_to_a_waiting_receiver)
{
	char *buf = kt_shared(ROOM);
	struct kipc_op_recv op = kt_recv_op(buf, ROOM, NULL);
	struct kt_job *job = kt_start_ioctl(KT_THREAD, self->fd, KIPC_IOC_RECV, &op);

	ASSERT_TRUE(kt_asleep(job));
	ASSERT_TRUE(kt_signal(job, SIGUSR1));
	EXPECT_EQ(-EINTR, kt_join(job));
	EXPECT_TRUE(kt_quiet(self->fd));
	ASSERT_EQ(0, send_pattern(self->fd, 3, 1));
	expect_pattern(_metadata, self->fd, 3, 1);
}

/* The signal comes while the message is being handed over: one or the other */
TEST_F(empty, p02_signal_racing_a_send)
{
	unsigned int received = 0, interrupted = 0;
	char *buf = kt_shared(ROOM);

	for (unsigned int i = 0; i < 200; i++) {
		struct kipc_op_recv op = kt_recv_op(buf, ROOM, NULL);
		struct kt_job *job = kt_start_ioctl(KT_THREAD, self->fd, KIPC_IOC_RECV, &op);
		long ret;

		ASSERT_TRUE(kt_asleep(job));
		if (i % 2)
			ASSERT_TRUE(kt_signal(job, SIGUSR1));
		ASSERT_EQ(0, send_pattern(self->fd, 3, i));
		if (i % 2 == 0)
			kt_signal(job, SIGUSR1);
		ret = kt_join(job);
		if (ret == SIZE) {
			received++;
			ASSERT_TRUE(kt_filled(buf, SIZE, i));
			ASSERT_EQ(0, kt_stat(self->fd).msgs);
		} else {
			ASSERT_EQ(-EINTR, ret);
			interrupted++;
			ASSERT_EQ(1, kt_stat(self->fd).msgs);
			expect_pattern(_metadata, self->fd, 3, i);
		}
	}
	kt_complain("received %u, interrupted %u", received, interrupted);
}

/* A signal that may be handled comes between claim and commit */
TEST_F(empty, p02_signal_in_the_middle_of_the_copy)
{
	struct kt_stall *stall = kt_stall_new(0);
	char *buf = stall->page - SIZE / 2;
	struct kipc_op_recv op = kt_recv_op(buf, ROOM, NULL);
	struct kt_job *job;
	long ret;

	ASSERT_EQ(0, send_pattern(self->fd, 3, 1));
	job = kt_start_ioctl(KT_THREAD, self->fd, KIPC_IOC_RECV, &op);
	ASSERT_TRUE(kt_stalled(stall));
	ASSERT_TRUE(kt_signal(job, SIGUSR1));
	kt_release(stall);
	ret = kt_join(job);
	if (ret == SIZE) {
		EXPECT_TRUE(kt_filled(buf, SIZE, 1));
	} else {
		EXPECT_EQ(-EINTR, ret);
		expect_pattern(_metadata, self->fd, 3, 1);
	}
}

/* Taken straight from a sender that found no room, and put back */
TEST_F(empty, p02_fault_with_a_blocked_sender)
{
	char *buf = kt_shared(ROOM);
	struct kipc_op_send op = kt_send_op(buf, SIZE);
	struct kipc_op_recv bad = kt_recv_op(kt_hole() - 100, ROOM, NULL);
	struct kt_job *job;

	ASSERT_EQ(0, send_pattern(self->fd, 3, 1));
	kt_fill(buf, SIZE, 2);
	op.type = 2;
	op.prio = 9;
	job = kt_start_ioctl(KT_THREAD, self->fd, KIPC_IOC_SEND, &op);
	ASSERT_TRUE(kt_asleep(job));

	EXPECT_EQ(-EFAULT, kt_op_recv(self->fd, &bad));
	EXPECT_TRUE(kt_asleep(job));
	EXPECT_EQ(1, kt_stat(self->fd).msgs);
	expect_pattern(_metadata, self->fd, 9, 2);
	EXPECT_EQ(0, kt_join(job));
	expect_pattern(_metadata, self->fd, 3, 1);
}

/* Nor does its room go to somebody who waits for it, and would be received earlier */
TEST_F(empty, p02_a_failed_claim_keeps_its_room)
{
	char *buf = kt_shared(ROOM);
	struct kipc_op_send op = kt_send_op(buf, SIZE);
	struct kipc_op_recv bad = kt_recv_op(kt_hole() - 100, ROOM, NULL);
	struct kt_job *job;

	ASSERT_EQ(0, send_pattern(self->fd, 3, 1));
	kt_fill(buf, SIZE, 2);
	op.type = 2;
	op.prio = 9;
	job = kt_start_ioctl(KT_THREAD, self->fd, KIPC_IOC_SEND, &op);
	ASSERT_TRUE(kt_asleep(job));

	bad.flags = KIPC_TYPE_EQ;
	bad.type = 1;
	EXPECT_EQ(-EFAULT, kt_op_recv(self->fd, &bad));
	EXPECT_EQ(1, kt_stat(self->fd).msgs);
	EXPECT_TRUE(kt_asleep(job));
	expect_pattern(_metadata, self->fd, 9, 2);
	EXPECT_EQ(0, kt_join(job));
	expect_pattern(_metadata, self->fd, 3, 1);
}

TEST_F(empty, p02_a_call_stays_too)
{
	struct kipc_result result, told;
	char *request = kt_shared(ROOM), *reply = kt_shared(ROOM), buf[ROOM];
	struct kipc_op_rpc op = kt_rpc_op(request, SIZE, reply, 100, &told);
	struct kipc_op_recv bad = kt_recv_op(kt_hole() - 100, ROOM, &result);
	struct kt_job *job;
	uint64_t token;

	kt_fill(request, SIZE, 1);
	job = kt_start_ioctl(KT_THREAD, self->fd, KIPC_IOC_RPC, &op);
	ASSERT_TRUE(kt_asleep(job));

	EXPECT_EQ(-EFAULT, kt_op_recv(self->fd, &bad));
	bad.payload.base = kt_ptr(buf);
	bad.result = kt_ptr(kt_hole());
	EXPECT_EQ(-EFAULT, kt_op_recv(self->fd, &bad));
	/* nor do those take it who could not answer */
	EXPECT_EQ(-EAGAIN, kt_recv(self->fd, 0, 0, 0, buf, ROOM, NULL));
	EXPECT_EQ(-EAGAIN, kt_recv(self->fd, 0, KIPC_NOCALLS, 0, buf, ROOM, &result));
	EXPECT_EQ(1, kt_stat(self->fd).msgs);
	EXPECT_EQ(0, kt_stat(self->fd).calls);

	EXPECT_EQ(SIZE, kt_recv(self->fd, 0, 0, 0, buf, ROOM, &result));
	EXPECT_EQ(KIPC_RESULT_CALL, result.flags);
	EXPECT_EQ(1, result.deliveries);
	EXPECT_TRUE(kt_filled(buf, SIZE, 1));
	EXPECT_EQ(1, kt_stat(self->fd).calls);
	token = result.token;
	EXPECT_EQ(0, kt_reply(self->fd, token, 0, "yes", 3));
	EXPECT_EQ(3, kt_join(job));
	EXPECT_EQ(0, memcmp(reply, "yes", 3));
}

static long stalled_receive_of_call(void *arg)
{
	struct {
		int fd;
		struct kt_stall stall;
	} *a = arg;
	struct kipc_result result;
	struct kipc_op_recv op;

	kt_stall_init(&a->stall, 0);
	op = kt_recv_op(a->stall.page - SIZE / 2, ROOM, &result);
	return kt_op_recv(a->fd, &op);
}

/* Nobody has had the call yet, so its caller is told nothing and goes on waiting */
TEST_F(empty, p02_a_call_whose_claimant_is_killed)
{
	struct {
		int fd;
		struct kt_stall stall;
	} *a = kt_shared(sizeof(*a));
	char *request = kt_shared(ROOM), reply[16], buf[ROOM];
	struct kipc_result result, told;
	struct kipc_op_rpc op = kt_rpc_op(request, SIZE, reply, sizeof(reply), &told);
	struct kt_job *caller, *server;

	kt_fill(request, SIZE, 1);
	caller = kt_start_ioctl(KT_THREAD, self->fd, KIPC_IOC_RPC, &op);
	ASSERT_TRUE(kt_asleep(caller));
	a->fd = self->fd;
	server = kt_start(KT_FORK, stalled_receive_of_call, a);
	ASSERT_TRUE(kt_stalled(&a->stall));
	EXPECT_EQ(0, kt_stat(self->fd).calls);
	EXPECT_EQ(KT_DIED - SIGKILL, kt_kill(server));
	EXPECT_TRUE(kt_asleep(caller));

	EXPECT_EQ(SIZE, kipc_recv(self->fd, buf, ROOM, &result, 0));
	EXPECT_TRUE(kt_filled(buf, SIZE, 1));
	EXPECT_EQ(KIPC_RESULT_CALL, result.flags);
	EXPECT_EQ(1, result.deliveries);
	EXPECT_EQ(0, kipc_reply(self->fd, result.token, "yes", 3));
	EXPECT_EQ(3, kt_join(caller));
	EXPECT_EQ(KIPC_RESULT_DELIVERED, told.flags);
}

TEST_F(empty, p02_a_full_descriptor_table_is_no_matter)
{
	struct rlimit limit;

	ASSERT_EQ(0, send_pattern(self->fd, 3, 1));
	ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &limit));
	limit.rlim_cur = 0;
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &limit));
	ASSERT_EQ(-1, dup(self->fd));
	expect_pattern(_metadata, self->fd, 3, 1);
	limit.rlim_cur = limit.rlim_max;
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &limit));
}

/* Who waits with room for max_size must not be given more than that later */
TEST_F(empty, p02_max_size_grows_while_a_receiver_waits)
{
	char *buf = kt_shared(2 * ROOM);
	struct kipc_result result;
	struct kipc_op_recv op = kt_recv_op(buf, ROOM, &result);
	struct kipc_op_recv large = kt_recv_op(buf, 2 * ROOM, NULL);
	struct kipc_op_stat set = {
		.what = KIPC_SET_CAPACITY,
		.info.attr = { .max_size = 2 * ROOM, .max_msgs = 1, .max_bytes = 2 * ROOM },
	};
	struct kt_job *job, *large_job;

	kt_poison(buf, 2 * ROOM);
	job = kt_start_ioctl(KT_THREAD, self->fd, KIPC_IOC_RECV, &op);
	ASSERT_TRUE(kt_asleep(job));
	large_job = kt_start_ioctl(KT_THREAD, self->fd, KIPC_IOC_RECV, &large);
	ASSERT_TRUE(kt_asleep(large_job));
	EXPECT_EQ(0, kt_op_set(self->fd, &set));
	EXPECT_EQ(-EMSGSIZE, kt_join(job));
	EXPECT_EQ(2 * ROOM, result.size);
	EXPECT_TRUE(kt_asleep(large_job));
	EXPECT_TRUE(kt_poisoned(buf, 2 * ROOM));
	ASSERT_EQ(0, kt_send(self->fd, 0, 0, 0, buf, 2 * ROOM));
	EXPECT_EQ(2 * ROOM, kt_join(large_job));
}

/*
 * Each of many senders leaves while its message is being copied, each copy is one
 * stalled page longer than the one before: a receive goes on to the next message,
 * but not without end.
 */
#define LEAVERS 16

TEST(p14_senders_that_leave_do_not_hold_a_receive)
{
	struct kt_stall *stalls[LEAVERS];
	struct kipc_iovec *room = kt_shared((LEAVERS + 1) * sizeof(*room));
	char *buf = kt_shared(2 * LEAVERS);
	struct kipc_result *result = kt_new(struct kipc_result);
	struct kipc_op_recv op = kt_recv_op(NULL, 0, result);
	struct kt_job *senders[LEAVERS], *job;
	int dev = kt_device(), fd = kt_private(dev, 0, NULL);

	for (unsigned int i = 0; i < LEAVERS; i++) {
		struct kipc_op_send *send = kt_new(struct kipc_op_send);

		*send = kt_send_op(buf, i + 1);
		send->flags = KIPC_SYNC;
		senders[i] = kt_start_ioctl(KT_FORK, fd, KIPC_IOC_SEND, send);
		ASSERT_TRUE(kt_asleep(senders[i]));
		stalls[i] = kt_stall_new(0);
		room[i].base = kt_ptr(stalls[i]->page);
		room[i].len = 1;
	}
	ASSERT_EQ(0, kt_send(fd, 0, 0, 0, buf, 1));
	room[LEAVERS].base = kt_ptr(buf);
	room[LEAVERS].len = LEAVERS;
	op.payload.base = kt_ptr(room);
	op.payload.iovcnt = LEAVERS + 1;
	op.flags = KIPC_NONBLOCK | KIPC_ANYSIZE;
	job = kt_start_ioctl(KT_THREAD, fd, KIPC_IOC_RECV, &op);
	for (unsigned int i = 0; i < LEAVERS; i++) {
		ASSERT_TRUE(kt_stalled(stalls[i]));
		EXPECT_EQ(KT_DIED - SIGKILL, kt_kill(senders[i]));
		kt_release(stalls[i]);
	}
	EXPECT_EQ(-EAGAIN, kt_join(job));
	EXPECT_EQ(0, result->size);
	/* and the one behind them is still there */
	EXPECT_EQ(1, kt_recv(fd, 0, 0, 0, buf, LEAVERS, result));
	EXPECT_TRUE(kt_quiet(fd));
	close(fd);
	close(dev);
}

TEST_HARNESS_MAIN
