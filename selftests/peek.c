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

TEST_HARNESS_MAIN
