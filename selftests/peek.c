// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A PEEK that waits: what comes behind its cursor ends the wait, wherever in the
 * queue it is put.
 */
#include "kselftest_harness.h"
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
