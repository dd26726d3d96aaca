// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The moment between a wake-up and what the woken task does about it. The test
 * and the sleeper share one CPU and the test runs with the higher real-time
 * priority: so it can wake the sleeper and do one more thing before the sleeper
 * runs, every time.
 */
#include <sched.h>

#include "harness.h"
#include "call_common.h"

FIXTURE(moment) {
	int srv;
	int cli;
	struct job *job;
};

FIXTURE_SETUP(moment)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(0, &one);
	ASSERT_EQ(0, sched_setaffinity(0, sizeof(one), &one));
	self->srv = private_endpoint(0, NULL);
	ASSERT_LE(0, self->srv);
	self->cli = open_same(self->srv, KIPC_RIGHT_SEND);
	ASSERT_LE(0, self->cli);
	self->job = jobs_new(1);
}

FIXTURE_TEARDOWN(moment)
{
	close(self->cli);
	close(self->srv);
}

/*
 * From here to let_run() the sleeper does not run. It has a real-time priority
 * too, because newer kernels let the others run once in a while even so.
 */
static void alone(const FIXTURE_DATA(moment) *self)
{
	struct sched_param ours = { .sched_priority = 2 };
	struct sched_param sleepers = { .sched_priority = 1 };

	kt_need(!sched_setscheduler(0, SCHED_FIFO, &ours));
	kt_need(!sched_setscheduler(self->job->kt->tid, SCHED_FIFO, &sleepers));
}

static void let_run(void)
{
	struct sched_param param = { 0 };

	kt_need(!sched_setscheduler(0, SCHED_OTHER, &param));
}

/* A sleeping receiver, about to be given a message or call */
static bool receiver(FIXTURE_DATA(moment) *self, void (*run)(struct job *job), int timeout)
{
	self->job->fd = self->srv;
	self->job->timeout = timeout;
	job_start(self->job, run);
	return kt_asleep(self->job->kt);
}

/* A sleeping caller, whose call the test has taken */
static bool caller(FIXTURE_DATA(moment) *self, int timeout, struct kipc_result *taken)
{
	self->job->fd = self->cli;
	self->job->timeout = timeout;
	job_start(self->job, job_rpc);
	return !take(self->srv, taken) && kt_asleep(self->job->kt);
}

TEST_F(moment, p02_receiver_killed_after_the_handoff)
{
	struct kipc_result result;

	ASSERT_TRUE(receiver(self, job_recv, -1));
	alone(self);
	EXPECT_EQ(0, kt_send(self->cli, 0, 1, 0, "m", 1));
	/* it is on its way to the receiver, no longer in the queue */
	EXPECT_EQ(0, polled(self->srv) & POLLIN);
	kill(self->job->kt->pid, SIGKILL);
	let_run();
	ASSERT_EQ(KT_DIED - SIGKILL, job_join(self->job));
	ASSERT_EQ(1, kt_stat(self->srv).msgs);
	ASSERT_EQ(1, take(self->srv, &result));
	EXPECT_EQ(1, result.deliveries);
	EXPECT_TRUE(kt_quiet(self->srv));
}

TEST_F(moment, p06_server_killed_after_the_handoff)
{
	struct kipc_result result;
	uint64_t token;

	ASSERT_TRUE(receiver(self, job_take, -1));
	alone(self);
	token = start(self->cli, 0, 1, -1);
	EXPECT_EQ(0, polled(self->srv) & POLLIN);
	kill(self->job->kt->pid, SIGKILL);
	let_run();
	ASSERT_EQ(KT_DIED - SIGKILL, job_join(self->job));
	/* it had not been delivered: the next server has it for the first time */
	EXPECT_EQ(-EAGAIN, finish(self->cli, token, &result));
	ASSERT_EQ(0, take(self->srv, &result));
	EXPECT_EQ(1, result.deliveries);
	EXPECT_EQ(KIPC_RESULT_CALL, result.flags);
	ASSERT_EQ(0, kipc_reply(self->srv, result.token, NULL, 0));
	EXPECT_EQ(0, finish(self->cli, token, &result));
	EXPECT_TRUE(kt_quiet(self->srv));
}

TEST_F(moment, p02_signal_after_the_handoff)
{
	self->job->catches = true;
	ASSERT_TRUE(receiver(self, job_recv, -1));
	alone(self);
	EXPECT_EQ(0, kt_send(self->cli, 0, 1, 0, "m", 1));
	EXPECT_TRUE(kt_signal(self->job->kt, SIGUSR1));
	let_run();
	ASSERT_EQ(0, job_join(self->job));
	/* received or left there, but not lost */
	if (self->job->ret == -EINTR) {
		EXPECT_EQ(1, kt_stat(self->srv).msgs);
	} else {
		EXPECT_EQ(1, self->job->ret);
		EXPECT_TRUE(kt_quiet(self->srv));
	}
}

TEST_F(moment, p14_deadline_after_the_handoff)
{
	uint64_t begin = kt_now();

	ASSERT_TRUE(receiver(self, job_recv, 400));
	alone(self);
	EXPECT_EQ(0, kt_send(self->cli, 0, 1, 0, "m", 1));
	while (kt_now() < begin + 500 * KT_MS)
		;
	let_run();
	ASSERT_EQ(0, job_join(self->job));
	EXPECT_EQ(1, self->job->ret);
	EXPECT_TRUE(kt_quiet(self->srv));
}

TEST_F(moment, p08_removal_after_the_handoff)
{
	struct kipc_result result;
	uint64_t token;

	ASSERT_TRUE(receiver(self, job_recv, -1));
	alone(self);
	token = start(self->cli, 0, 1, -1);
	EXPECT_EQ(0, kipc_remove(self->srv, 0));
	let_run();
	ASSERT_EQ(0, job_join(self->job));
	EXPECT_EQ(-EIDRM, self->job->ret);
	EXPECT_EQ(-EIDRM, finish(self->cli, token, &result));
	EXPECT_EQ(0, result.flags);
}

TEST_F(moment, p07_cancel_after_the_handoff)
{
	uint64_t token;

	ASSERT_TRUE(receiver(self, job_recv, -1));
	alone(self);
	token = start(self->cli, 0, 1, -1);
	EXPECT_EQ(0, kipc_cancel(self->cli, token));
	let_run();
	/* its receiver waits on, and takes the next */
	await_asleep(self->job);
	EXPECT_EQ(1, kt_stat(self->srv).waiters);
	ASSERT_EQ(0, kt_send(self->cli, 0, 1, 0, "m", 1));
	ASSERT_EQ(0, job_join(self->job));
	EXPECT_EQ(1, self->job->ret);
	EXPECT_TRUE(kt_quiet(self->srv));
}

TEST_F(moment, p02_shutdown_after_the_handoff)
{
	int other = open_same(self->srv, KIPC_RIGHT_RECV);
	struct kipc_result result;

	ASSERT_TRUE(receiver(self, job_recv, -1));
	alone(self);
	EXPECT_EQ(0, kt_send(self->cli, 0, 1, 0, "m", 1));
	EXPECT_EQ(0, kipc_shutdown(self->srv));
	let_run();
	ASSERT_EQ(0, job_join(self->job));
	/* what was on its way arrives, or is there for others */
	if (self->job->ret != 1) {
		EXPECT_EQ(-ESHUTDOWN, self->job->ret);
		EXPECT_EQ(1, take(other, &result));
	}
	EXPECT_TRUE(kt_quiet(self->srv));
	close(other);
}

TEST_F(moment, p13_handoffs_to_a_sleeper_that_has_not_run)
{
	char buf[8];
	struct kipc_result result;

	/* it gets the first only; the others are for others */
	ASSERT_TRUE(receiver(self, job_recv, -1));
	alone(self);
	EXPECT_EQ(0, kt_send(self->cli, 0, 1, 0, "1", 1));
	EXPECT_EQ(0, kt_send(self->cli, 0, 2, 0, "22", 2));
	EXPECT_EQ(2, kt_recv(self->srv, 0, 0, 0, buf, sizeof(buf), &result));
	EXPECT_EQ(-EAGAIN, kt_recv(self->srv, 0, 0, 0, buf, sizeof(buf), &result));
	let_run();
	ASSERT_EQ(0, job_join(self->job));
	EXPECT_EQ(1, self->job->ret);
	EXPECT_TRUE(kt_quiet(self->srv));
}

/* ---- the caller's side ---- */

TEST_F(moment, p05_signal_after_the_reply)
{
	struct kipc_result taken;

	self->job->catches = true;
	ASSERT_TRUE(caller(self, -1, &taken));
	alone(self);
	EXPECT_EQ(0, kipc_reply(self->srv, taken.token, "reply", 5));
	EXPECT_TRUE(kt_signal(self->job->kt, SIGUSR1));
	let_run();
	ASSERT_EQ(0, job_join(self->job));
	EXPECT_EQ(5, self->job->ret);
	EXPECT_EQ(KIPC_RESULT_DELIVERED, self->job->result.flags);
	EXPECT_TRUE(kt_quiet(self->srv));
}

TEST_F(moment, p05_reply_after_the_signal)
{
	struct kipc_result taken, result;

	self->job->catches = true;
	ASSERT_TRUE(caller(self, -1, &taken));
	alone(self);
	EXPECT_TRUE(kt_signal(self->job->kt, SIGUSR1));
	EXPECT_EQ(0, kipc_reply(self->srv, taken.token, "reply", 5));
	let_run();
	ASSERT_EQ(0, job_join(self->job));
	if (self->job->ret == -EINTR) {
		/* then it is there to be collected */
		EXPECT_EQ(5, finish(self->cli, self->job->result.token, &result));
	} else {
		EXPECT_EQ(5, self->job->ret);
	}
	EXPECT_TRUE(kt_quiet(self->srv));
}

TEST_F(moment, p14_deadline_after_the_reply)
{
	struct kipc_result taken;
	uint64_t begin = kt_now();

	ASSERT_TRUE(caller(self, 400, &taken));
	alone(self);
	EXPECT_EQ(0, kipc_reply(self->srv, taken.token, "reply", 5));
	while (kt_now() < begin + 500 * KT_MS)
		;
	let_run();
	ASSERT_EQ(0, job_join(self->job));
	EXPECT_EQ(5, self->job->ret);
	EXPECT_TRUE(kt_quiet(self->srv));
}

TEST_F(moment, p14_reply_after_the_deadline)
{
	struct kipc_result taken;
	uint64_t begin = kt_now();
	int ret;

	ASSERT_TRUE(caller(self, 400, &taken));
	alone(self);
	while (kt_now() < begin + 500 * KT_MS)
		;
	/* woken by its timer, but it has not given the call up yet */
	ret = kipc_reply(self->srv, taken.token, "reply", 5);
	let_run();
	ASSERT_EQ(0, job_join(self->job));
	if (ret == 0) {
		EXPECT_EQ(5, self->job->ret);
	} else {
		EXPECT_EQ(-ECANCELED, ret);
		EXPECT_EQ(-ETIMEDOUT, self->job->ret);
	}
	EXPECT_EQ(KIPC_RESULT_DELIVERED, self->job->result.flags);
	EXPECT_TRUE(kt_quiet(self->srv));
}

TEST_F(moment, p07_caller_killed_after_the_reply)
{
	struct kipc_result taken;

	ASSERT_TRUE(caller(self, -1, &taken));
	alone(self);
	EXPECT_EQ(0, kipc_reply(self->srv, taken.token, "reply", 5));
	kill(self->job->kt->pid, SIGKILL);
	let_run();
	ASSERT_EQ(KT_DIED - SIGKILL, job_join(self->job));
	EXPECT_EQ(-ENOENT, kipc_reply(self->srv, taken.token, NULL, 0));
	EXPECT_TRUE(kt_quiet(self->srv));
}

TEST_F(moment, p07_reply_after_the_caller_was_killed)
{
	struct kipc_result taken;
	int ret;

	ASSERT_TRUE(caller(self, -1, &taken));
	alone(self);
	kill(self->job->kt->pid, SIGKILL);
	/* still there, but it will never see this */
	ret = kipc_reply(self->srv, taken.token, "reply", 5);
	let_run();
	ASSERT_EQ(KT_DIED - SIGKILL, job_join(self->job));
	EXPECT_TRUE(ret == 0 || ret == -ECANCELED);
	EXPECT_EQ(-ENOENT, kipc_reply(self->srv, taken.token, NULL, 0));
	EXPECT_TRUE(kt_quiet(self->srv));
}

TEST_F(moment, p08_removal_after_the_reply)
{
	struct kipc_result taken;

	ASSERT_TRUE(caller(self, -1, &taken));
	alone(self);
	EXPECT_EQ(0, kipc_reply(self->srv, taken.token, "reply", 5));
	EXPECT_EQ(0, kipc_remove(self->srv, 0));
	let_run();
	ASSERT_EQ(0, job_join(self->job));
	EXPECT_EQ(5, self->job->ret);
	EXPECT_EQ(KIPC_RESULT_DELIVERED, self->job->result.flags);
}

/* ---- blocked senders ---- */

TEST_F(moment, p03_sender_interrupted_after_its_admission)
{
	struct kipc_attr attr = { .max_msgs = 1 };
	int srv = private_endpoint(0, &attr), cli = open_same(srv, KIPC_RIGHT_SEND);
	struct kipc_result result;

	ASSERT_EQ(0, kt_send(cli, 0, 1, 0, "m", 1));
	self->job->fd = cli;
	self->job->size = 3;
	self->job->catches = true;
	job_start(self->job, job_send);
	await_asleep(self->job);
	alone(self);
	EXPECT_EQ(1, take(srv, &result));
	EXPECT_TRUE(kt_signal(self->job->kt, SIGUSR1));
	let_run();
	ASSERT_EQ(0, job_join(self->job));
	/* sent or not, but it says which */
	EXPECT_TRUE(self->job->ret == 0 || self->job->ret == -EINTR);
	EXPECT_EQ(self->job->ret == 0, kt_stat(srv).msgs);
	if (self->job->ret == 0)
		EXPECT_EQ(3, take(srv, &result));
	EXPECT_TRUE(kt_quiet(srv));
	close(cli);
	close(srv);
}

TEST_HARNESS_MAIN
