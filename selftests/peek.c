// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A PEEK that waits: what comes behind its cursor ends the wait, wherever in the
 * queue it is put.
 */
#include "harness.h"
#include "call_common.h"

#define SKIPPED	2	/* the type that TYPE_NE passes over */

FIXTURE(peek) {
	int srv;
	int cli;
	struct job *job;
};

FIXTURE_SETUP(peek)
{
	self->srv = private_endpoint(0, NULL);
	ASSERT_LE(0, self->srv);
	self->cli = open_same(self->srv, KIPC_RIGHT_SEND);
	ASSERT_LE(0, self->cli);
	self->job = jobs_new(1);
	self->job->fd = self->srv;
	self->job->head.flags = KIPC_PEEK | KIPC_TYPE_NE;
	self->job->head.type = SKIPPED;
}

FIXTURE_TEARDOWN(peek)
{
	kt_restore_params();
	close(self->cli);
	close(self->srv);
}

static void job_peek(struct job *job)
{
	struct kipc_op_recv op = kt_recv_op(job->out, JOB_BUF, &job->result);

	op.flags = job->head.flags;
	op.type = job->head.type;
	op.after = job->token;
	job->ret = kt_op_recv(job->fd, &op);
}

TEST_F(peek, p01_a_message_between_the_cursor_and_what_was_passed_over)
{
	/* the first, seen; and one far behind it that the selector skips */
	ASSERT_EQ(0, kt_send(self->cli, 0, 1, 10, "a", 1));
	ASSERT_EQ(0, kt_send(self->cli, 0, SKIPPED, 1, "bb", 2));
	job_start(self->job, job_peek);
	ASSERT_EQ(0, job_join(self->job));
	ASSERT_EQ(1, self->job->ret);
	self->job->token = self->job->result.token;
	job_start(self->job, job_peek);
	await_asleep(self->job);

	ASSERT_EQ(0, kt_send(self->cli, 0, 1, 5, "ccc", 3));
	ASSERT_EQ(0, job_join(self->job));
	EXPECT_EQ(3, self->job->ret);
	EXPECT_EQ(5, self->job->result.prio);
	/* looked at, not taken */
	EXPECT_EQ(3, kt_stat(self->srv).msgs);
	EXPECT_EQ(0, kt_stat(self->srv).waiters);
}

TEST_F(peek, p01_a_message_before_the_cursor_is_no_news)
{
	ASSERT_EQ(0, kt_send(self->cli, 0, 1, 5, "a", 1));
	job_start(self->job, job_peek);
	ASSERT_EQ(0, job_join(self->job));
	ASSERT_EQ(1, self->job->ret);
	self->job->token = self->job->result.token;
	job_start(self->job, job_peek);
	await_asleep(self->job);

	ASSERT_EQ(0, kt_send(self->cli, 0, 1, 6, "before", 6));
	ASSERT_EQ(0, kt_send(self->cli, 0, SKIPPED, 5, "skipped", 7));
	await_asleep(self->job);
	EXPECT_FALSE(self->job->done);
	EXPECT_EQ(1, kt_stat(self->srv).waiters);
	ASSERT_EQ(0, kt_send(self->cli, 0, 1, 5, "cc", 2));
	ASSERT_EQ(0, job_join(self->job));
	EXPECT_EQ(2, self->job->ret);
	EXPECT_EQ(4, kt_stat(self->srv).msgs);
}

static long at(int fd, uint64_t index, uint32_t flags, struct kipc_result *result)
{
	char buf[JOB_BUF];
	struct kipc_op_recv op = kt_recv_op(buf, sizeof(buf), result);

	op.flags = KIPC_PEEK | KIPC_INDEX | flags;
	op.after = index;
	return kt_op_recv(fd, &op);
}

TEST_F(peek, the_message_at_an_index)
{
	struct kipc_result result;

	EXPECT_EQ(-EAGAIN, at(self->srv, 0, 0, &result));
	/* more than one step counts, in both kinds of queue there are */
	for (unsigned int i = 0; i < 100; i++)
		ASSERT_EQ(0, kt_send(self->cli, 0, i % 7 ? 1 : i, i < 50 ? 3 : 2, "x", 1));
	for (unsigned int i = 0; i < 100; i++) {
		ASSERT_EQ(1, at(self->srv, i, 0, &result));
		ASSERT_EQ(i % 7 ? 1 : i, result.type);
		ASSERT_EQ(i < 50 ? 3 : 2, result.prio);
	}
	EXPECT_EQ(-EAGAIN, at(self->srv, 100, 0, &result));
	EXPECT_EQ(-EAGAIN, at(self->srv, UINT64_MAX, 0, &result));
	EXPECT_EQ(100, kt_stat(self->srv).msgs);
	/* it does not wait, whatever the deadline */
	EXPECT_EQ(0, kt_stat(self->srv).waiters);

	EXPECT_EQ(-EINVAL, at(self->srv, 0, KIPC_TYPE_EQ, &result));
	EXPECT_EQ(-EINVAL, kt_recv(self->srv, 0, KIPC_INDEX, 0, NULL, 0, NULL));
	EXPECT_EQ(-EBADF, at(self->cli, 0, 0, &result));
}

TEST_F(peek, calls_and_blocked_messages_count_where_they_are_seen)
{
	const struct kipc_attr attr = { .max_msgs = 2 };
	struct job *jobs = jobs_new(2);
	struct kipc_result result;
	int fd = private_endpoint(0, &attr);

	for (unsigned int i = 0; i < 2; i++) {
		jobs[i].fd = fd;
		jobs[i].head.type = 10 + i;
	}
	job_start(&jobs[0], job_rpc);
	await_stat(fd, msgs, 1);
	ASSERT_EQ(0, kt_send(fd, 0, 1, 0, "x", 1));
	job_start(&jobs[1], job_send);
	await_asleep(&jobs[1]);
	EXPECT_EQ(0, at(fd, 0, 0, &result));
	EXPECT_EQ(10, result.type);
	EXPECT_EQ(1, at(fd, 0, KIPC_NOCALLS, &result));
	EXPECT_EQ(0, at(fd, 2, 0, &result));
	EXPECT_EQ(11, result.type);
	EXPECT_EQ(0, at(fd, 1, KIPC_NOCALLS, &result));
	EXPECT_EQ(11, result.type);
	EXPECT_EQ(-EAGAIN, at(fd, 2, KIPC_NOCALLS, &result));
	EXPECT_TRUE(job_kill(&jobs[1]));
	EXPECT_TRUE(job_kill(&jobs[0]));
	close(fd);
}

/* A queue that moves on while somebody counts */
struct moving {
	int fd;
	volatile bool stop;
	volatile uint64_t first;	/* number of the first message that may be there */
	volatile uint64_t last;		/* of the last that is certainly there */
	uint32_t prio;
	volatile bool failed;
};

#define LENGTH	300

static long keep_moving(void *arg)
{
	struct moving *moving = arg;
	char buf[8];

	while (!moving->stop) {
		if (kt_send(moving->fd, 0, moving->last + 1, 0, "x", 1)) {
			moving->failed = true;
			break;
		}
		moving->last++;
		moving->first++;
		if (kt_recv(moving->fd, 0, KIPC_ANYSIZE, 0, buf, sizeof(buf), NULL) != 1) {
			moving->failed = true;
			break;
		}
	}
	return 0;
}

TEST_F(peek, an_index_in_a_queue_that_moves)
{
	const struct kipc_attr attr = { .max_size = 8, .max_msgs = LENGTH + 1,
					.max_bytes = LENGTH + 1 };
	struct moving moving = { .fd = private_endpoint(0, &attr), .last = LENGTH - 1 };
	uint64_t end = kt_now() + KT_PATIENCE_MS * KT_MS;
	struct kt_job *job;
	unsigned int looks;

	for (uint64_t i = 0; i < LENGTH; i++)
		ASSERT_EQ(0, kt_send(moving.fd, 0, i, 0, "x", 1));
	job = kt_start(KT_THREAD, keep_moving, &moving);
	/* Both must have run for a while, whom the machine prefers does not matter */
	for (looks = 0; (looks < 2000 || moving.first <= 100) && kt_now() < end; looks++) {
		uint64_t first = moving.first, index = looks % LENGTH;
		struct kipc_result result = { 0 };
		long ret = at(moving.fd, index, 0, &result);

		/*
		 * At some moment between these two just so many stood before it. The one
		 * who moves on may be half way with a receive on either side.
		 */
		if (ret != 1 || result.type < index + (first ? first - 1 : 0) ||
		    result.type > index + moving.first + 1)
			TH_LOG("%ld: %llu at %llu, from %llu to %llu", ret,
			       (unsigned long long)result.type, (unsigned long long)index,
			       (unsigned long long)first, (unsigned long long)moving.first);
		ASSERT_EQ(1, ret);
		ASSERT_LE(index + (first ? first - 1 : 0), result.type);
		ASSERT_GE(index + moving.first + 1, result.type);
	}
	moving.stop = true;
	EXPECT_EQ(0, kt_join(job));
	EXPECT_FALSE(moving.failed);
	TH_LOG("%u looks, %llu messages went by", looks, (unsigned long long)moving.first);
	EXPECT_LT(100, moving.first);
	close(moving.fd);
}

static long several_count(void *arg)
{
	struct kipc_result result;
	int fd = *(int *)arg;

	for (unsigned int i = 0; i < 300; i++)
		if (at(fd, 60 + i % 30, 0, &result) != 1 || result.type != 60 + i % 30)
			return 1;
	return 0;
}

TEST_F(peek, several_count_at_a_time)
{
	struct kt_job *jobs[4];

	for (unsigned int i = 0; i < 100; i++)
		ASSERT_EQ(0, kt_send(self->cli, 0, i, 0, "x", 1));
	for (unsigned int i = 0; i < 4; i++)
		jobs[i] = kt_start(KT_FORK, several_count, &self->srv);
	for (unsigned int i = 0; i < 4; i++)
		EXPECT_EQ(0, kt_join(jobs[i]));
	EXPECT_EQ(100, kt_stat(self->srv).msgs);
}

TEST_F(peek, p08_removal_ends_it)
{
	job_start(self->job, job_peek);
	await_asleep(self->job);
	ASSERT_EQ(0, kipc_remove(self->srv, 0));
	ASSERT_EQ(0, job_join(self->job));
	EXPECT_EQ(-EIDRM, self->job->ret);
}

TEST_F(peek, p01_many_that_the_selector_passes_over)
{
	for (unsigned int i = 0; i < 100; i++)
		ASSERT_EQ(0, kt_send(self->cli, 0, SKIPPED, 1, "bb", 2));
	ASSERT_EQ(0, kt_send(self->cli, 0, 1, 0, "a", 1));
	/* behind a cursor they are passed over one by one */
	self->job->token = 1;
	job_start(self->job, job_peek);
	ASSERT_EQ(0, job_join(self->job));
	EXPECT_EQ(1, self->job->ret);
	EXPECT_EQ(1, self->job->result.type);
}

/*
 * The payload of a call that is taken meanwhile stays until the last look at it ends; that
 * of a pinned one is its sender's again, see pinned_fate.c.
 */
TEST_F(peek, p02_a_call_is_taken_while_somebody_peeks_at_it)
{
	struct job *jobs = jobs_new(2), *caller = &jobs[0], *peeker = &jobs[1];
	struct kipc_result result;

	kt_set_param("pin_min", 0);
	caller->fd = self->cli;
	caller->size = JOB_BUF;
	memset(caller->in, 'c', JOB_BUF);
	job_start(caller, job_rpc);
	await_stat(self->srv, msgs, 1);
	peeker->fd = self->srv;
	peeker->head.flags = KIPC_PEEK;
	peeker->stall = STALL_OUT;
	job_start(peeker, job_recv);
	await_stalled(peeker);
	ASSERT_EQ(JOB_BUF, take(self->srv, &result));
	ASSERT_EQ(0, kipc_reply(self->srv, result.token, NULL, 0));
	ASSERT_EQ(0, job_join(caller));
	job_release(peeker);
	ASSERT_EQ(0, job_join(peeker));
	EXPECT_EQ(JOB_BUF, peeker->ret);
	EXPECT_EQ(0, memcmp(peeker->out, caller->in, JOB_BUF));
	EXPECT_TRUE(kt_quiet(self->srv));
}

TEST_F(peek, p10_who_waits_to_peek_is_a_waiter)
{
	struct kipc_result result;
	char buf[8192];
	struct kipc_op_recv op = kt_recv_op(buf, sizeof(buf), &result);
	struct job *receiver = &jobs_new(1)[0];

	op.flags = KIPC_PEEK;
	kt_set_param("waiters_max", 1);
	receiver->fd = self->srv;
	receiver->head.flags = KIPC_TYPE_EQ;
	receiver->head.type = 4711;
	job_start(receiver, job_recv);
	await_asleep(receiver);
	EXPECT_EQ(-ENOSPC, kt_op_recv(self->srv, &op));
	EXPECT_TRUE(job_kill(receiver));
	op.deadline = kt_in_ms(10);
	EXPECT_EQ(-ETIMEDOUT, kt_op_recv(self->srv, &op));
	EXPECT_TRUE(kt_quiet(self->srv));
}

TEST_HARNESS_MAIN
