// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Calls that are started and collected later: starting never sleeps, and each
 * started call ends exactly once.
 */
#include "harness.h"
#include "call_common.h"

#define MANY	64

FIXTURE(async) {
	int srv;
	int cli;
	struct job *jobs;
};

FIXTURE_SETUP(async)
{
	self->srv = private_endpoint(0, NULL);
	ASSERT_LE(0, self->srv);
	self->cli = open_same(self->srv, KIPC_RIGHT_SEND);
	ASSERT_LE(0, self->cli);
	self->jobs = jobs_new(8);
	self->jobs[0].fd = self->srv;
}

FIXTURE_TEARDOWN(async)
{
	kt_restore_params();
	close(self->cli);
	close(self->srv);
}

TEST_F(async, nothing_is_collected_before_it_is_finished)
{
	struct kipc_result result;
	uint64_t token = start(self->cli, 0, 77, -1);

	ASSERT_NE(0, token);
	EXPECT_EQ(1, kt_stat(self->srv).msgs);
	EXPECT_EQ(0, kt_stat(self->srv).waiters);
	EXPECT_EQ(0, polled(self->cli) & POLLPRI);
	EXPECT_EQ(-EAGAIN, finish(self->cli, token, &result));
	EXPECT_EQ(token, result.token);

	ASSERT_EQ(0, take(self->srv, &result));
	EXPECT_NE(token, result.token);
	EXPECT_EQ(0, result.cookie);
	EXPECT_EQ(-EAGAIN, finish(self->cli, token, &result));
	EXPECT_EQ(0, polled(self->cli) & POLLPRI);
	EXPECT_EQ(0, kt_stat(self->srv).msgs);
	EXPECT_EQ(1, kt_stat(self->srv).calls);
}

TEST_F(async, p04_each_is_collected_once)
{
	struct kipc_result taken, result;
	uint64_t token = start(self->cli, 0, 77, -1);

	ASSERT_EQ(0, take(self->srv, &taken));
	ASSERT_EQ(0, kipc_reply(self->srv, taken.token, "reply", 5));
	EXPECT_EQ(POLLPRI, polled(self->cli) & POLLPRI);
	ASSERT_EQ(5, finish(self->cli, token, &result));
	EXPECT_EQ(KIPC_RESULT_DELIVERED, result.flags);
	EXPECT_EQ(77, result.cookie);
	EXPECT_EQ(0, result.token);
	EXPECT_EQ(5, result.size);
	EXPECT_EQ(getpid(), result.pid);
	EXPECT_EQ(0, polled(self->cli) & POLLPRI);
	EXPECT_EQ(-ENOENT, finish(self->cli, token, &result));
	EXPECT_EQ(-ENOENT, finish(self->cli, 0, &result));
	EXPECT_EQ(-ENOENT, kipc_cancel(self->cli, token));
	EXPECT_TRUE(kt_quiet(self->srv));
}

TEST_F(async, start_never_sleeps)
{
	struct kipc_attr attr = { .max_msgs = 2 };
	int srv = private_endpoint(0, &attr), cli = open_same(srv, KIPC_RIGHT_SEND);

	ASSERT_NE(0, start(cli, 0, 1, -1));
	ASSERT_NE(0, start(cli, 0, 2, -1));
	EXPECT_EQ(-EAGAIN, kipc_rpc_start(cli, &(struct kipc_msg){ 0 }, 0, NULL, -1));
	EXPECT_EQ(2, kt_stat(srv).msgs);
	EXPECT_EQ(1, kt_stat(srv).refused);
	close(cli);
	EXPECT_TRUE(kt_quiet(srv));
	close(srv);
}

TEST_F(async, forms_that_do_not_go_together)
{
	struct kipc_op_rpc op = kt_rpc_op(NULL, 0, self->jobs, 8, NULL);

	op.flags = KIPC_ASYNC;
	EXPECT_EQ(-EINVAL, kt_op_rpc(self->cli, &op));	/* room at the start */
	op.reply.len = 0;
	op.reply.base = 0;
	op.flags = KIPC_ASYNC | KIPC_NEXT;
	EXPECT_EQ(-EINVAL, kt_op_rpc(self->cli, &op));
	op.flags = 0;
	op.reply_room = 1;
	EXPECT_EQ(-EINVAL, kt_op_rpc(self->cli, &op));
	op.reply_room = 0;
	op.flags = KIPC_NEXT;
	op.token = 5;
	EXPECT_EQ(-EINVAL, kt_op_rpc(self->cli, &op));
	op.flags = KIPC_ASYNC;
	EXPECT_EQ(-EINVAL, kt_op_rpc(self->cli, &op));
	EXPECT_TRUE(kt_quiet(self->srv));
}

TEST_F(async, next_collects_what_finished_first)
{
	struct kipc_result result;
	uint64_t tokens[MANY];

	EXPECT_EQ(-ENOENT, finish(self->cli, 0, &result));
	for (unsigned int i = 0; i < MANY; i++) {
		struct kipc_result taken;

		ASSERT_NE(0, start(self->cli, 0, i, -1));
		ASSERT_EQ(0, take(self->srv, &taken));
		ASSERT_EQ(i, taken.type);
		tokens[i] = taken.token;
	}
	EXPECT_EQ(-EAGAIN, finish(self->cli, 0, &result));
	EXPECT_EQ(MANY, kt_stat(self->srv).calls);
	for (unsigned int i = MANY; i-- > 0; )
		ASSERT_EQ(0, kipc_reply(self->srv, tokens[i], &i, sizeof(i)));
	for (unsigned int i = MANY; i-- > 0; ) {
		ASSERT_EQ((ssize_t)sizeof(i), finish(self->cli, 0, &result));
		ASSERT_EQ(i, result.cookie);
	}
	EXPECT_EQ(-ENOENT, finish(self->cli, 0, &result));
	EXPECT_TRUE(kt_quiet(self->srv));
}

TEST_F(async, a_status_is_no_eagain_of_next)
{
	struct kipc_result taken, result;

	ASSERT_NE(0, start(self->cli, 0, 3, -1));
	ASSERT_EQ(0, take(self->srv, &taken));
	ASSERT_EQ(0, kipc_reply_error(self->srv, taken.token, EAGAIN));
	ASSERT_EQ(-EAGAIN, finish(self->cli, 0, &result));
	EXPECT_EQ(KIPC_RESULT_DELIVERED | KIPC_RESULT_REMOTE, result.flags);
	EXPECT_EQ(3, result.cookie);
	EXPECT_EQ(-ENOENT, finish(self->cli, 0, &result));
}

TEST_F(async, waiting_for_a_started_call)
{
	struct job *waiter = &self->jobs[1];
	struct kipc_result taken, result;
	uint64_t token = start(self->cli, 0, 3, -1);

	ASSERT_EQ(0, take(self->srv, &taken));
	waiter->fd = self->cli;
	waiter->token = token;
	job_start_thread(waiter, job_finish);
	await_asleep(waiter);
	/* one waiter for a token */
	EXPECT_EQ(-EBUSY, finish(self->cli, token, &result));
	EXPECT_EQ(token, result.token);
	ASSERT_EQ(0, kipc_reply(self->srv, taken.token, "reply", 5));
	ASSERT_EQ(0, job_join(waiter));
	EXPECT_EQ(5, waiter->ret);
	EXPECT_EQ(3, waiter->result.cookie);
	EXPECT_EQ(0, memcmp("reply", waiter->out, 5));
	EXPECT_TRUE(kt_quiet(self->srv));
}

TEST_F(async, waiting_for_next)
{
	struct job *waiter = &self->jobs[1];
	struct kipc_result taken;

	ASSERT_NE(0, start(self->cli, 0, 4, -1));
	ASSERT_EQ(0, take(self->srv, &taken));
	waiter->fd = self->cli;
	job_start_thread(waiter, job_finish);
	await_asleep(waiter);
	ASSERT_EQ(0, kipc_reply(self->srv, taken.token, "reply", 5));
	ASSERT_EQ(0, job_join(waiter));
	EXPECT_EQ(5, waiter->ret);
	EXPECT_EQ(4, waiter->result.cookie);
}

TEST_F(async, p14_the_end_of_a_wait_is_not_the_end_of_the_call)
{
	struct kipc_msg room = { 0 };
	/* ETIMEDOUT would be the call's fate */
	struct kipc_result result, taken;
	uint64_t token = start(self->cli, 0, 3, -1);

	EXPECT_EQ(-EAGAIN, kipc_rpc_finish(self->cli, token, &room, &result, 1));
	EXPECT_EQ(token, result.token);
	EXPECT_EQ(-EAGAIN, kipc_rpc_finish(self->cli, 0, &room, &result, 1));
	EXPECT_EQ(1, kt_stat(self->srv).msgs);
	ASSERT_EQ(0, take(self->srv, &taken));
	EXPECT_EQ(-EAGAIN, kipc_rpc_finish(self->cli, token, &room, &result, 1));
	EXPECT_EQ(0, kipc_wanted(self->srv, taken.token));
	ASSERT_EQ(0, kipc_reply(self->srv, taken.token, NULL, 0));
	EXPECT_EQ(0, finish(self->cli, token, &result));
}

TEST_F(async, p04_deadline_of_a_call_that_nobody_took)
{
	struct pollfd pfd = { .fd = self->cli, .events = POLLPRI };
	uint64_t begin = kt_now(), token;
	struct kipc_result result;

	token = start(self->cli, 0, 3, 50);
	ASSERT_NE(0, token);
	ASSERT_EQ(1, poll(&pfd, 1, -1));
	EXPECT_LE(begin + 50 * KT_MS, kt_now());
	EXPECT_EQ(POLLPRI, pfd.revents);
	EXPECT_EQ(0, kt_stat(self->srv).msgs);
	EXPECT_EQ(-ETIMEDOUT, finish(self->cli, token, &result));
	EXPECT_EQ(0, result.flags);
	EXPECT_EQ(3, result.cookie);
	EXPECT_EQ(0, result.token);
	EXPECT_EQ(-ENOENT, finish(self->cli, token, &result));
	EXPECT_TRUE(kt_quiet(self->srv));
}

TEST_F(async, p04_deadline_of_a_call_that_was_taken)
{
	struct pollfd pfd = { .fd = self->cli, .events = POLLPRI };
	struct kipc_result taken, result;
	uint64_t token;

	token = start(self->cli, 0, 3, 500);
	ASSERT_NE(0, token);
	ASSERT_EQ(0, take(self->srv, &taken));
	ASSERT_EQ(1, poll(&pfd, 1, -1));
	EXPECT_EQ(-ECANCELED, kipc_wanted(self->srv, taken.token));
	EXPECT_EQ(-ECANCELED, kipc_reply(self->srv, taken.token, NULL, 0));
	EXPECT_EQ(-ETIMEDOUT, finish(self->cli, 0, &result));
	EXPECT_EQ(KIPC_RESULT_DELIVERED, result.flags);
	EXPECT_EQ(3, result.cookie);
	EXPECT_EQ(0, result.token);
	EXPECT_TRUE(kt_quiet(self->srv));
}

/* O_NONBLOCK is about the caller's sleep, not about the time of its calls. */
TEST_F(async, p14_deadline_of_a_call_started_on_a_nonblocking_handle)
{
	int cli = open_same(self->srv, KIPC_RIGHT_SEND | KIPC_OPEN_NONBLOCK);
	struct pollfd pfd = { .fd = cli, .events = POLLPRI };
	struct kipc_result taken, result;
	uint64_t begin = kt_now(), token;

	ASSERT_LE(0, cli);
	token = start(cli, 0, 3, 20000);
	ASSERT_NE(0, token);
	EXPECT_EQ(-EAGAIN, finish(cli, token, &result));
	ASSERT_EQ(0, take(self->srv, &taken));
	EXPECT_EQ(0, kipc_wanted(self->srv, taken.token));
	ASSERT_EQ(0, kipc_reply(self->srv, taken.token, "reply", 5));
	EXPECT_EQ(5, finish(cli, token, &result));

	token = start(cli, KIPC_NONBLOCK, 4, 100);
	ASSERT_NE(0, token);
	ASSERT_EQ(1, poll(&pfd, 1, -1));
	EXPECT_LE(begin + 100 * KT_MS, kt_now());
	EXPECT_EQ(-ETIMEDOUT, finish(cli, token, &result));
	EXPECT_EQ(4, result.cookie);
	EXPECT_TRUE(kt_quiet(self->srv));
	close(cli);
}

TEST_F(async, cancel_what_is_queued)
{
	struct kipc_result result;
	uint64_t token = start(self->cli, 0, 3, -1);

	EXPECT_EQ(-ENOENT, kipc_cancel(self->srv, token));
	EXPECT_EQ(0, kipc_cancel(self->cli, token));
	EXPECT_TRUE(kt_quiet(self->srv));
	EXPECT_EQ(-ENOENT, kipc_cancel(self->cli, token));
	EXPECT_EQ(-ENOENT, finish(self->cli, token, &result));
	EXPECT_EQ(-ENOENT, finish(self->cli, 0, &result));
}

TEST_F(async, cancel_what_is_claimed)
{
	struct job *server = &self->jobs[0];
	uint64_t token = start(self->cli, 0, 3, -1);

	server->stall = STALL_RESULT;
	job_start(server, job_take);
	await_stalled(server);
	EXPECT_EQ(0, kipc_cancel(self->cli, token));
	EXPECT_EQ(-ENOENT, kipc_cancel(self->cli, token));
	job_release(server);
	await_asleep(server);
	EXPECT_FALSE(server->done);
	EXPECT_EQ(0, kt_stat(self->srv).msgs);
	EXPECT_EQ(0, kt_stat(self->srv).calls);
	EXPECT_TRUE(job_kill(server));
	EXPECT_TRUE(kt_quiet(self->srv));
}

TEST_F(async, cancel_what_is_delivered)
{
	struct kipc_result result;
	uint64_t token = start(self->cli, 0, 3, -1);

	ASSERT_EQ(0, take(self->srv, &result));
	EXPECT_EQ(KIPC_RESULT_DELIVERED, kipc_cancel(self->cli, token));
	EXPECT_EQ(-ENOENT, kipc_cancel(self->cli, token));
	EXPECT_EQ(0, kt_stat(self->srv).calls);
	EXPECT_EQ(-ECANCELED, kipc_reply(self->srv, result.token, NULL, 0));
	EXPECT_EQ(-ENOENT, kipc_reply(self->srv, result.token, NULL, 0));
	EXPECT_TRUE(kt_quiet(self->srv));
}

TEST_F(async, cancel_what_is_finished)
{
	struct kipc_result result;
	uint64_t token = start(self->cli, 0, 3, -1);

	ASSERT_EQ(0, take(self->srv, &result));
	ASSERT_EQ(0, kipc_reply(self->srv, result.token, "reply", 5));
	EXPECT_EQ(KIPC_RESULT_DELIVERED, kipc_cancel(self->cli, token));
	EXPECT_EQ(-ENOENT, finish(self->cli, token, &result));
	EXPECT_EQ(-ENOENT, finish(self->cli, 0, &result));
	EXPECT_EQ(0, polled(self->cli) & POLLPRI);
	EXPECT_TRUE(kt_quiet(self->srv));
}

TEST_F(async, p04_cancel_wakes_the_thread_that_waits_for_it)
{
	struct job *waiter = &self->jobs[1];
	uint64_t token = start(self->cli, 0, 3, -1);

	waiter->fd = self->cli;
	waiter->token = token;
	job_start_thread(waiter, job_finish);
	await_asleep(waiter);
	EXPECT_EQ(0, kipc_cancel(self->cli, token));
	ASSERT_EQ(0, job_join(waiter));
	EXPECT_EQ(-ECANCELED, waiter->ret);
	EXPECT_EQ(0, waiter->result.token);
	EXPECT_TRUE(kt_quiet(self->srv));
}

TEST_F(async, p04_removal_finishes_every_call)
{
	struct kipc_result result;
	int dev = kipc_open_device();
	struct kipc_msg req = { .endpoint = kt_id(self->srv), .cookie = 9 };
	uint64_t queued, taken, by_id = 0;

	ASSERT_LE(0, dev);
	taken = start(self->cli, 0, 1, -1);
	ASSERT_EQ(0, take(self->srv, &result));
	queued = start(self->cli, 0, 2, -1);
	ASSERT_EQ(0, kipc_rpc_start(dev, &req, 0, &by_id, -1));
	EXPECT_EQ(0, polled(dev));
	ASSERT_EQ(0, kipc_remove(self->srv, 0));

	EXPECT_EQ(POLLPRI, polled(self->cli) & POLLPRI);
	EXPECT_EQ(POLLPRI, polled(dev));
	EXPECT_EQ(-EIDRM, finish(self->cli, taken, &result));
	EXPECT_EQ(KIPC_RESULT_DELIVERED, result.flags);
	EXPECT_EQ(1, result.cookie);
	EXPECT_EQ(-EIDRM, finish(self->cli, queued, &result));
	EXPECT_EQ(0, result.flags);
	EXPECT_EQ(2, result.cookie);
	EXPECT_EQ(-EIDRM, finish(dev, 0, &result));
	EXPECT_EQ(9, result.cookie);
	EXPECT_EQ(0, result.flags);
	EXPECT_EQ(-ENOENT, finish(dev, 0, &result));
	EXPECT_EQ(0, polled(dev));
	close(dev);
}

TEST_F(async, calls_by_id_are_the_device_files_own)
{
	struct kipc_msg req = { .endpoint = kt_id(self->srv), .cookie = 9 };
	int dev = kipc_open_device(), other = kipc_open_device();
	struct kipc_result taken, result;
	uint64_t token = 0;

	ASSERT_EQ(0, kipc_rpc_start(dev, &req, 16, &token, -1));
	ASSERT_EQ(0, take(self->srv, &taken));
	ASSERT_EQ(0, kipc_reply(self->srv, taken.token, "reply", 5));
	EXPECT_EQ(POLLPRI, polled(dev));
	EXPECT_EQ(0, polled(other));
	EXPECT_EQ(-ENOENT, finish(other, token, &result));
	EXPECT_EQ(-ENOENT, kipc_cancel(other, token));
	EXPECT_EQ(5, finish(dev, token, &result));
	EXPECT_EQ(9, result.cookie);
	close(other);
	close(dev);
}

TEST_F(async, p04_a_reply_beyond_the_declared_room)
{
	struct kipc_result taken, result;
	uint64_t token = 0;

	ASSERT_EQ(0, kipc_rpc_start(self->cli, &(struct kipc_msg){ .cookie = 8 }, 4, &token, -1));
	ASSERT_EQ(0, take(self->srv, &taken));
	ASSERT_EQ(0, kipc_reply(self->srv, taken.token, "0123456789", 10));
	EXPECT_EQ(-EMSGSIZE, finish(self->cli, token, &result));
	EXPECT_EQ(KIPC_RESULT_DELIVERED, result.flags & KIPC_RESULT_DELIVERED);
	EXPECT_EQ(10, result.size);
	EXPECT_EQ(8, result.cookie);
	EXPECT_EQ(-ENOENT, finish(self->cli, token, &result));
	EXPECT_TRUE(kt_quiet(self->srv));
}

TEST_F(async, p04_a_collect_with_too_little_room_can_be_repeated)
{
	struct kipc_result taken, result;
	char buf[8];
	struct iovec iov = { buf, 4 };
	struct kipc_msg room = { .iov = &iov, .iovcnt = 1 };
	uint64_t token = start(self->cli, 0, 3, -1);

	ASSERT_EQ(0, take(self->srv, &taken));
	ASSERT_EQ(0, kipc_reply(self->srv, taken.token, "reply", 5));
	EXPECT_EQ(-EMSGSIZE, kipc_rpc_finish(self->cli, 0, &room, &result, 0));
	EXPECT_EQ(token, result.token);
	EXPECT_EQ(5, result.size);
	EXPECT_EQ(3, result.cookie);
	EXPECT_EQ(POLLPRI, polled(self->cli) & POLLPRI);
	room.flags = KIPC_TRUNCATE;
	EXPECT_EQ(4, kipc_rpc_finish(self->cli, token, &room, &result, 0));
	EXPECT_EQ(KIPC_RESULT_DELIVERED | KIPC_RESULT_TRUNCATED, result.flags);
	EXPECT_EQ(0, memcmp("repl", buf, 4));
	EXPECT_EQ(-ENOENT, finish(self->cli, token, &result));
	EXPECT_TRUE(kt_quiet(self->srv));
}

TEST_F(async, p04_a_collect_that_faults_can_be_repeated)
{
	struct kipc_result taken, result;
	char *hole = kt_hole();
	struct kipc_op_rpc op = kt_rpc_op(NULL, 0, hole - 2, 16, &result);

	op.token = start(self->cli, 0, 3, -1);
	ASSERT_EQ(0, take(self->srv, &taken));
	ASSERT_EQ(0, kipc_reply(self->srv, taken.token, "reply", 5));
	EXPECT_EQ(-EFAULT, kt_op_rpc(self->cli, &op));
	EXPECT_EQ(POLLPRI, polled(self->cli) & POLLPRI);
	op.result = kt_ptr(hole - 8);
	op.reply.base = kt_ptr(self->jobs[0].out);
	EXPECT_EQ(-EFAULT, kt_op_rpc(self->cli, &op));
	EXPECT_EQ(POLLPRI, polled(self->cli) & POLLPRI);
	op.result = kt_ptr(&result);
	EXPECT_EQ(5, kt_op_rpc(self->cli, &op));
	EXPECT_EQ(3, result.cookie);
	EXPECT_EQ(-ENOENT, kt_op_rpc(self->cli, &op));
	EXPECT_TRUE(kt_quiet(self->srv));
}

TEST_F(async, next_that_faults_can_be_repeated)
{
	struct kipc_result taken, result;
	char *hole = kt_hole();
	struct kipc_op_rpc op = kt_rpc_op(NULL, 0, hole - 2, 16, &result);

	ASSERT_NE(0, start(self->cli, 0, 3, -1));
	ASSERT_EQ(0, take(self->srv, &taken));
	ASSERT_EQ(0, kipc_reply(self->srv, taken.token, "reply", 5));
	op.flags = KIPC_NEXT;
	EXPECT_EQ(-EFAULT, kt_op_rpc(self->cli, &op));
	EXPECT_EQ(5, finish(self->cli, 0, &result));
	EXPECT_EQ(3, result.cookie);
	EXPECT_EQ(-ENOENT, finish(self->cli, 0, &result));
}

/* Several threads collect whatever comes; nothing is collected twice. */
static volatile unsigned int collected[8 * MANY];

static void collect_next(struct job *job)
{
	struct kipc_result result;
	ssize_t ret;

	while ((ret = kipc_rpc_finish(job->fd, 0, NULL, &result, -1)) == 0)
		__atomic_add_fetch(&collected[result.cookie], 1, __ATOMIC_RELAXED);
	job->ret = ret;
}

TEST_F(async, p04_threads_that_collect_next)
{
	struct kipc_result taken;

	for (unsigned int i = 0; i < 4; i++)
		self->jobs[i].fd = self->cli;
	for (unsigned int i = 0; i < 8; i++) {
		for (unsigned int j = 0; j < MANY; j++)
			ASSERT_NE(0, start(self->cli, 0, i * MANY + j, -1));
		for (unsigned int j = 0; j < 4; j++)
			job_start_thread(&self->jobs[j], collect_next);
		for (unsigned int j = 0; j < MANY; j++) {
			ASSERT_EQ(0, take(self->srv, &taken));
			ASSERT_EQ(0, kipc_reply(self->srv, taken.token, NULL, 0));
		}
		/* they end when the file has no call any more */
		for (unsigned int j = 0; j < 4; j++) {
			ASSERT_EQ(0, job_join(&self->jobs[j]));
			ASSERT_EQ(-ENOENT, self->jobs[j].ret);
		}
	}
	for (unsigned int i = 0; i < 8 * MANY; i++)
		ASSERT_EQ(1, collected[i]);
	EXPECT_TRUE(kt_quiet(self->srv));
}

/* ---- what a user may have outstanding (promise 10) ---- */

/* Starts calls until it cannot; tells how many and why, and gives them back. */
static void start_all(struct job *job)
{
	struct kipc_msg req = { 0 };
	uint64_t token = 0, last = 0;
	int ret, n;

	for (n = 0; !(ret = kipc_rpc_start(job->fd, &req, job->room, &token, job->timeout)); n++)
		last = token;
	job->result.size = (uint64_t)n;
	job->ret = ret;
	/* one ended makes room for one */
	job->result.type = 0;
	if (kipc_cancel(job->fd, last))
		return;
	if (kipc_rpc_start(job->fd, &req, job->room, &token, job->timeout))
		return;
	if (kipc_rpc_start(job->fd, &req, job->room, &last, job->timeout) != ret)
		return;
	job->result.type = 1;
}

TEST_F(async, p10_calls_a_user_may_have_outstanding)
{
	struct job *user = &self->jobs[1];

	kt_set_param("user_calls_max", 5);
	user->fd = self->cli;
	/* twice: the file's end gives back what the first had */
	for (unsigned int i = 0; i < 2; i++) {
		int cli = open_same(self->srv, KIPC_RIGHT_SEND);

		user->fd = cli;
		job_start_as(user, KT_AS(KT_UID_A), start_all);
		ASSERT_EQ(0, job_join(user));
		EXPECT_EQ(5, user->result.size);
		EXPECT_EQ(-EDQUOT, user->ret);
		EXPECT_EQ(1, user->result.type);
		EXPECT_EQ(5, kt_stat(self->srv).msgs);
		/* another user is not concerned */
		user->fd = self->cli;
		job_start_as(user, KT_AS(KT_UID_B), start_all);
		ASSERT_EQ(0, job_join(user));
		EXPECT_EQ(5, user->result.size);
		close(cli);
		close(self->cli);
		EXPECT_TRUE(kt_quiet(self->srv));
		self->cli = open_same(self->srv, KIPC_RIGHT_SEND);
	}
}

TEST_F(async, p10_reply_room_a_user_may_declare)
{
	struct job *user = &self->jobs[1];

	kt_set_param("user_reply_room_max", 1000);
	user->fd = self->cli;
	user->room = 300;
	job_start_as(user, KT_AS(KT_UID_A), start_all);
	ASSERT_EQ(0, job_join(user));
	EXPECT_EQ(3, user->result.size);
	EXPECT_EQ(-EDQUOT, user->ret);
	EXPECT_EQ(1, user->result.type);
}

TEST_F(async, p10_a_call_is_charged_until_it_is_collected)
{
	struct job *user = &self->jobs[1];
	struct kipc_result result;

	kt_set_param("user_calls_max", 1);
	user->fd = self->cli;
	user->timeout = 1;
	job_start_as(user, KT_AS(KT_UID_A), start_all);
	ASSERT_EQ(0, job_join(user));
	EXPECT_EQ(-EDQUOT, user->ret);
	/* its deadline ends the call, not the charge */
	await(polled(self->cli) & POLLPRI);
	job_start_as(user, KT_AS(KT_UID_A), start_all);
	ASSERT_EQ(0, job_join(user));
	EXPECT_EQ(0, user->result.size);
	EXPECT_EQ(-EDQUOT, user->ret);
	EXPECT_EQ(-ETIMEDOUT, finish(self->cli, 0, &result));
	job_start_as(user, KT_AS(KT_UID_A), start_all);
	ASSERT_EQ(0, job_join(user));
	EXPECT_EQ(1, user->result.size);
}

TEST_F(async, p04_what_was_cancelled_in_time_is_not_collected)
{
	struct job *collector = &self->jobs[1];
	uint64_t token = start(self->cli, 0, 3, -1);
	struct kipc_result taken;

	ASSERT_EQ(0, take(self->srv, &taken));
	ASSERT_EQ(0, kipc_reply(self->srv, taken.token, "reply", 5));
	collector->fd = self->cli;
	collector->token = token;
	collector->stall = STALL_OUT;
	job_start(collector, job_rpc_raw);
	await_stalled(collector);
	EXPECT_EQ(KIPC_RESULT_DELIVERED, kipc_cancel(self->cli, token));
	EXPECT_EQ(-ENOENT, kipc_cancel(self->cli, token));
	job_release(collector);
	ASSERT_EQ(0, job_join(collector));
	EXPECT_EQ(-ECANCELED, collector->ret);
	EXPECT_EQ(KIPC_RESULT_DELIVERED, collector->result.flags);
	EXPECT_EQ(3, collector->result.cookie);
	EXPECT_EQ(0, collector->result.size);
	EXPECT_EQ(-ENOENT, finish(self->cli, token, &taken));
	EXPECT_TRUE(kt_quiet(self->srv));
}

TEST_F(async, p04_a_start_that_cannot_be_told_is_none)
{
	struct kipc_op_rpc op = kt_rpc_op(NULL, 0, NULL, 0, (void *)(kt_hole() - 8));
	struct kipc_result result;

	op.flags = KIPC_ASYNC;
	EXPECT_EQ(-EFAULT, kt_op_rpc(self->cli, &op));
	EXPECT_TRUE(kt_quiet(self->srv));
	EXPECT_EQ(-ENOENT, finish(self->cli, 0, &result));
	EXPECT_EQ(0, op.token);
	op.result = 0;
	EXPECT_EQ(0, kt_op_rpc(self->cli, &op));
	EXPECT_EQ(1, kt_stat(self->srv).msgs);
}

/* CANCEL comes while the collector is about to fail */
TEST_F(async, p04_cancel_of_a_call_whose_collect_fails)
{
	struct kt_stall *stall = kt_stall_new(0);
	struct kipc_iovec room[2] = {
		{ .base = kt_ptr(stall->page), .len = 1 },
		{ .base = kt_ptr(kt_hole()), .len = 16 },
	};
	struct kipc_result taken, result;
	struct kipc_op_rpc op = kt_rpc_op(NULL, 0, NULL, 0, &result);
	struct kt_job *collector;

	op.token = start(self->cli, 0, 3, -1);
	ASSERT_EQ(0, take(self->srv, &taken));
	ASSERT_EQ(0, kipc_reply(self->srv, taken.token, "reply", 5));
	op.reply.base = kt_ptr(room);
	op.reply.iovcnt = 2;
	collector = kt_start_ioctl(KT_THREAD, self->cli, KIPC_IOC_RPC, &op);
	ASSERT_TRUE(kt_stalled(stall));
	EXPECT_EQ(KIPC_RESULT_DELIVERED, kipc_cancel(self->cli, op.token));
	kt_release(stall);
	EXPECT_EQ(-EFAULT, kt_join(collector));
	EXPECT_EQ(-ENOENT, finish(self->cli, op.token, &result));
	EXPECT_EQ(-ENOENT, finish(self->cli, 0, &result));
	EXPECT_EQ(0, polled(self->cli) & POLLPRI);
}

TEST_F(async, p05_a_signal_to_who_waits_for_the_next)
{
	struct job *collector = &self->jobs[1];

	ASSERT_NE(0, start(self->cli, 0, 3, -1));
	collector->fd = self->cli;
	collector->catches = true;
	collector->head.flags = KIPC_NEXT | KIPC_NORESTART;
	job_start(collector, job_rpc_raw);
	await_asleep(collector);
	ASSERT_TRUE(job_signal(collector));
	ASSERT_EQ(0, job_join(collector));
	EXPECT_EQ(-EINTR, collector->ret);
	/* the call is as it was */
	EXPECT_EQ(1, kt_stat(self->srv).msgs);
}

TEST_HARNESS_MAIN
