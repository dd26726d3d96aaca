// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Promise 5: a signal neither loses nor repeats a call, nor a message, nor a
 * reply. Signals meet callers in each state of their call, servers on both
 * sides of their reply, and then everybody at once.
 */
#include <sys/time.h>

#include "harness.h"
#include "call_common.h"

#define STORM_CALLS	2000
#define STORM_PERIOD_US	700

FIXTURE(signal) {
	int srv;
	int cli;
	struct job *client;
	struct job *server;
};

FIXTURE_SETUP(signal)
{
	struct kipc_attr attr = { .max_msgs = 2 };

	self->srv = private_endpoint(0, &attr);
	ASSERT_LE(0, self->srv);
	self->cli = open_same(self->srv, KIPC_RIGHT_SEND);
	ASSERT_LE(0, self->cli);
	self->client = jobs_new(2);
	self->server = self->client + 1;
	self->client->fd = self->cli;
	self->client->catches = true;
	self->client->size = 3;
	self->server->fd = self->srv;
}

FIXTURE_TEARDOWN(signal)
{
	kt_restore_params();
	close(self->cli);
	close(self->srv);
}

/* The one call that there must be: taken and answered. Nothing is left then. */
#define expect_one_call() do {						\
	struct kipc_result _result;					\
									\
	ASSERT_EQ(3, take(self->srv, &_result));			\
	EXPECT_EQ(1, _result.deliveries);				\
	EXPECT_EQ(KIPC_RESULT_CALL, _result.flags);			\
	EXPECT_EQ(0, kt_stat(self->srv).msgs);				\
	EXPECT_EQ(1, kt_stat(self->srv).calls);				\
	ASSERT_EQ(0, kipc_reply(self->srv, _result.token, "reply", 5));	\
	ASSERT_EQ(0, job_join(self->client));				\
	EXPECT_EQ(5, self->client->ret);				\
	EXPECT_EQ(KIPC_RESULT_DELIVERED, self->client->result.flags);	\
	EXPECT_EQ(0, self->client->result.token);			\
	EXPECT_TRUE(kt_quiet(self->srv));				\
} while (0)

TEST_F(signal, p05_blocked_call_is_withdrawn_and_made_again)
{
	struct kipc_result result;

	self->client->sa_flags = SA_RESTART;
	ASSERT_EQ(0, kt_send(self->srv, 0, 1, 0, "a", 1));
	ASSERT_EQ(0, kt_send(self->srv, 0, 1, 0, "b", 1));
	job_start(self->client, job_rpc_raw);
	await_asleep(self->client);
	for (unsigned int i = 0; i < 3; i++) {
		ASSERT_TRUE(job_signal(self->client));
		await_asleep(self->client);
		EXPECT_EQ(1, kt_stat(self->srv).waiters);
		EXPECT_EQ(0, self->client->op.rpc.token);
	}
	ASSERT_EQ(1, take(self->srv, &result));
	ASSERT_EQ(1, take(self->srv, &result));
	expect_one_call();
}

TEST_F(signal, p05_queued_call_is_withdrawn_and_made_again)
{
	self->client->sa_flags = SA_RESTART;
	job_start(self->client, job_rpc_raw);
	await_asleep(self->client);
	for (unsigned int i = 0; i < 3; i++) {
		ASSERT_EQ(1, kt_stat(self->srv).msgs);
		ASSERT_TRUE(job_signal(self->client));
		await_asleep(self->client);
		EXPECT_EQ(1, kt_stat(self->srv).waiters);
		EXPECT_EQ(0, self->client->op.rpc.token);
	}
	expect_one_call();
}

/* If the kernel has its payload: see pinned_fate.c for one that is pinned */
TEST_F(signal, p05_claimed_call_goes_on_by_its_token)
{
	uint64_t token;

	kt_set_param("pin_min", 0);
	self->client->sa_flags = SA_RESTART;
	self->server->stall = STALL_OUT;
	job_start(self->client, job_rpc_raw);
	await_asleep(self->client);
	job_start(self->server, job_take);
	await_stalled(self->server);
	ASSERT_TRUE(job_signal(self->client));
	await_asleep(self->client);
	token = self->client->op.rpc.token;
	EXPECT_NE(0, token);
	ASSERT_TRUE(job_signal(self->client));
	await_asleep(self->client);
	EXPECT_EQ(token, self->client->op.rpc.token);

	job_release(self->server);
	await(self->server->done);
	EXPECT_EQ(3, self->server->ret);
	EXPECT_EQ(1, self->server->result.deliveries);
	EXPECT_EQ(0, kt_stat(self->srv).msgs);
	ASSERT_EQ(0, kipc_reply(self->srv, self->server->result.token, "reply", 5));
	ASSERT_EQ(0, job_join(self->client));
	EXPECT_EQ(5, self->client->ret);
	EXPECT_EQ(0, self->client->result.token);
	EXPECT_TRUE(kt_quiet(self->srv));
}

TEST_F(signal, p05_delivered_call_goes_on_by_its_token)
{
	struct kipc_result result;
	uint64_t token;

	self->client->sa_flags = SA_RESTART;
	job_start(self->client, job_rpc_raw);
	ASSERT_EQ(3, take(self->srv, &result));
	await_asleep(self->client);
	ASSERT_TRUE(job_signal(self->client));
	await_asleep(self->client);
	token = self->client->op.rpc.token;
	EXPECT_NE(0, token);
	ASSERT_TRUE(job_signal(self->client));
	await_asleep(self->client);
	EXPECT_EQ(token, self->client->op.rpc.token);
	EXPECT_EQ(0, kt_stat(self->srv).msgs);
	EXPECT_EQ(1, kt_stat(self->srv).calls);
	EXPECT_EQ(0, kipc_wanted(self->srv, result.token));

	ASSERT_EQ(0, kipc_reply(self->srv, result.token, "reply", 5));
	ASSERT_EQ(0, job_join(self->client));
	EXPECT_EQ(5, self->client->ret);
	EXPECT_EQ(0, self->client->result.token);
	EXPECT_EQ(KIPC_RESULT_DELIVERED, self->client->result.flags);
	EXPECT_TRUE(kt_quiet(self->srv));
}

/* A call that is interrupted, and then waited for again until it is done. */
static void rpc_and_resume(struct job *job)
{
	job_rpc(job);
	job->done = 1;
	if (job->ret != -EINTR || !job->result.token)
		return;
	job->token = job->result.token;
	do {
		job_finish(job);
	} while (job->ret == -EINTR && job->result.token == job->token);
}

/* Without SA_RESTART, and with NORESTART against it, EINTR and the token. */
static void interrupt_claimed(struct __test_metadata *_metadata,
			      FIXTURE_DATA(signal) *self)
{
	kt_set_param("pin_min", 0);
	self->server->stall = STALL_OUT;
	job_start(self->client, rpc_and_resume);
	await_asleep(self->client);
	job_start(self->server, job_take);
	await_stalled(self->server);
	ASSERT_TRUE(job_signal(self->client));
	await(self->client->done);
	await_asleep(self->client);
	EXPECT_NE(0, self->client->token);
	/* interrupted again while it is waited for by its token */
	ASSERT_TRUE(job_signal(self->client));
	await_asleep(self->client);

	job_release(self->server);
	await(self->server->kt && self->server->done);
	ASSERT_EQ(0, kipc_reply(self->srv, self->server->result.token, "reply", 5));
	ASSERT_EQ(0, job_join(self->client));
	EXPECT_EQ(5, self->client->ret);
	EXPECT_EQ(0, memcmp("reply", self->client->out, 5));
	EXPECT_TRUE(kt_quiet(self->srv));
}

TEST_F(signal, p05_without_sa_restart_the_token_is_told)
{
	interrupt_claimed(_metadata, self);
}

TEST_F(signal, p05_norestart_is_eintr_always)
{
	self->client->sa_flags = SA_RESTART;
	self->client->head.flags = KIPC_NORESTART;
	interrupt_claimed(_metadata, self);
}

/* Where no handler ran, there is nothing to be told by EINTR */
TEST_F(signal, p05_a_stop_ends_no_wait)
{
	siginfo_t info;

	for (unsigned int i = 0; i < 2; i++) {
		struct job *job = &self->server[0];

		job->head.flags = i ? KIPC_NORESTART : 0;
		job->fd = self->srv;
		job_start(job, job_recv);
		await_asleep(job);
		ASSERT_EQ(0, kill(job->kt->pid, SIGSTOP));
		ASSERT_EQ(0, waitid(P_PID, (id_t)job->kt->pid, &info, WSTOPPED));
		ASSERT_EQ(0, kill(job->kt->pid, SIGCONT));
		await_asleep(job);
		ASSERT_EQ(0, kipc_send(self->cli, "x", 1, 0));
		ASSERT_EQ(0, job_join(job));
		EXPECT_EQ(1, job->ret);
	}
	EXPECT_TRUE(kt_quiet(self->srv));
}

TEST_F(signal, p05_reply_that_came_before_the_resumption)
{
	struct kipc_result result;
	uint64_t token;

	self->client->close_fds[0] = self->srv;
	job_start(self->client, job_rpc_raw);
	ASSERT_EQ(3, take(self->srv, &result));
	await_asleep(self->client);
	ASSERT_TRUE(job_signal(self->client));
	ASSERT_EQ(0, job_join(self->client));
	ASSERT_EQ(-EINTR, self->client->ret);
	token = self->client->op.rpc.token;
	EXPECT_EQ(token, self->client->result.token);
	EXPECT_EQ(KIPC_RESULT_DELIVERED, self->client->result.flags);
	EXPECT_EQ(0, polled(self->cli) & POLLPRI);

	/*
	 * The test holds the same file, so it can collect the call, by its
	 * token only: it is its maker's, not for whoever asks for the next.
	 */
	ASSERT_EQ(0, kipc_reply(self->srv, result.token, "reply", 5));
	EXPECT_EQ(0, polled(self->cli) & POLLPRI);
	EXPECT_EQ(-ENOENT, finish(self->cli, 0, &result));
	ASSERT_EQ(5, finish(self->cli, token, &result));
	EXPECT_EQ(KIPC_RESULT_DELIVERED, result.flags);
	EXPECT_EQ(-ENOENT, finish(self->cli, token, &result));
	EXPECT_TRUE(kt_quiet(self->srv));
}

TEST_F(signal, p05_the_deadline_of_a_resumed_wait_ends_the_call)
{
	struct kipc_result taken, result;
	uint64_t token;

	job_start(self->client, job_rpc_raw);
	ASSERT_EQ(3, take(self->srv, &taken));
	await_asleep(self->client);
	ASSERT_TRUE(job_signal(self->client));
	ASSERT_EQ(0, job_join(self->client));
	token = self->client->op.rpc.token;
	/* only asking whether it is done ends nothing */
	EXPECT_EQ(-EAGAIN, finish(self->cli, token, &result));
	EXPECT_EQ(token, result.token);
	EXPECT_EQ(0, kipc_wanted(self->srv, taken.token));
	EXPECT_EQ(-ETIMEDOUT, kipc_rpc_finish(self->cli, token, NULL, &result, 1));
	EXPECT_EQ(KIPC_RESULT_DELIVERED, result.flags);
	EXPECT_EQ(0, result.token);
	EXPECT_EQ(-ENOENT, finish(self->cli, token, &result));
	EXPECT_EQ(-ECANCELED, kipc_reply(self->srv, taken.token, "reply", 5));
	EXPECT_TRUE(kt_quiet(self->srv));
}

/* kipc_rpc() has nobody to tell a token to: it gives the call up. */
static void plain_rpc(struct job *job)
{
	job->ret = kipc_rpc(job->fd, job->in, job->size, job->out, job->room, -1);
	job->done = 1;
	job_hold(job);
}

TEST_F(signal, p05_kipc_rpc_cancels_a_delivered_call)
{
	struct kipc_result result;

	job_start(self->client, plain_rpc);
	ASSERT_EQ(3, take(self->srv, &result));
	await_asleep(self->client);
	ASSERT_TRUE(job_signal(self->client));
	await(self->client->done);
	EXPECT_EQ(-EINTR, self->client->ret);
	EXPECT_EQ(-ECANCELED, kipc_wanted(self->srv, result.token));
	EXPECT_EQ(-ECANCELED, kipc_reply(self->srv, result.token, "reply", 5));
	EXPECT_EQ((char)JOB_POISON, self->client->out[0]);
	EXPECT_EQ(-ENOENT, finish(self->cli, 0, &result));
	EXPECT_TRUE(kt_quiet(self->srv));
	EXPECT_TRUE(job_kill(self->client));
}

TEST_F(signal, p05_kipc_rpc_cancels_a_claimed_call)
{
	self->server->stall = STALL_OUT;
	job_start(self->client, plain_rpc);
	await_asleep(self->client);
	job_start(self->server, job_take);
	await_stalled(self->server);
	ASSERT_TRUE(job_signal(self->client));
	await(self->client->done);
	EXPECT_EQ(-EINTR, self->client->ret);
	job_release(self->server);
	/* discarded at the commit: the receive goes on */
	await_asleep(self->server);
	EXPECT_FALSE(self->server->done);
	EXPECT_EQ(1, kt_stat(self->srv).waiters);
	EXPECT_EQ(0, kt_stat(self->srv).calls);
	EXPECT_TRUE(job_kill(self->server));
	EXPECT_TRUE(job_kill(self->client));
	EXPECT_TRUE(kt_quiet(self->srv));
}

TEST_F(signal, p05_a_restart_does_not_extend_the_deadline)
{
	uint64_t begin = kt_now();

	self->client->sa_flags = SA_RESTART;
	self->client->timeout = 300;
	job_start(self->client, job_rpc);
	while (!self->client->done) {
		int before = self->client->handled;

		/* one each time that it sleeps again */
		await(self->client->done || job_sleeps_in(self->client, SYS_ioctl));
		kt_signal(self->client->kt, SIGUSR1);
		await(self->client->done || self->client->handled != before);
	}
	ASSERT_EQ(0, job_join(self->client));
	EXPECT_EQ(-ETIMEDOUT, self->client->ret);
	EXPECT_LE(begin + 300 * KT_MS, kt_now());
	EXPECT_TRUE(kt_quiet(self->srv));
}

TEST_F(signal, p05_sync_send_in_each_state)
{
	struct kipc_result result;

	self->client->sa_flags = SA_RESTART;
	self->client->head.flags = KIPC_SYNC;
	self->server->stall = STALL_OUT;
	job_start(self->client, job_send);
	await_asleep(self->client);
	ASSERT_TRUE(job_signal(self->client));
	await_asleep(self->client);
	EXPECT_EQ(1, kt_stat(self->srv).msgs);

	job_start(self->server, job_take);
	await_stalled(self->server);
	/* aborted under the receiver's hands, and sent once more */
	ASSERT_TRUE(job_signal(self->client));
	await_asleep(self->client);
	job_release(self->server);
	await(self->server->done);
	EXPECT_EQ(3, self->server->ret);
	ASSERT_EQ(0, job_join(self->client));
	EXPECT_EQ(0, self->client->ret);
	EXPECT_EQ(-EAGAIN, kt_recv(self->srv, 0, 0, 0, NULL, 0, &result));
	EXPECT_TRUE(kt_quiet(self->srv));
}

TEST_F(signal, p05_sync_send_without_sa_restart_was_not_sent)
{
	struct kipc_result result;

	self->client->head.flags = KIPC_SYNC;
	job_start(self->client, job_send);
	await_asleep(self->client);
	ASSERT_TRUE(job_signal(self->client));
	ASSERT_EQ(0, job_join(self->client));
	EXPECT_EQ(-EINTR, self->client->ret);
	EXPECT_EQ(-EAGAIN, kt_recv(self->srv, 0, 0, 0, NULL, 0, &result));
	EXPECT_TRUE(kt_quiet(self->srv));
}

TEST_F(signal, p05_a_waiting_receiver)
{
	self->server->catches = true;
	self->server->sa_flags = SA_RESTART;
	job_start(self->server, job_recv);
	await_asleep(self->server);
	ASSERT_TRUE(job_signal(self->server));
	await_asleep(self->server);
	EXPECT_EQ(1, kt_stat(self->srv).waiters);
	ASSERT_EQ(0, kt_send(self->cli, 0, 1, 0, "m", 1));
	ASSERT_EQ(0, job_join(self->server));
	EXPECT_EQ(1, self->server->ret);

	self->server->sa_flags = 0;
	job_start(self->server, job_recv);
	await_asleep(self->server);
	ASSERT_TRUE(job_signal(self->server));
	ASSERT_EQ(0, job_join(self->server));
	EXPECT_EQ(-EINTR, self->server->ret);
	EXPECT_EQ((char)JOB_POISON, self->server->out[0]);
	EXPECT_TRUE(kt_quiet(self->srv));
}

/* ---- REPLY_RECV: a reply is never sent twice ---- */

TEST_F(signal, p05_reply_recv_restarts_only_its_receive)
{
	struct kipc_result result;
	uint64_t token;

	job_start(self->client, job_rpc);
	ASSERT_EQ(3, take(self->srv, &result));
	self->server->token = result.token;
	self->server->size = 5;
	memcpy(self->server->in, "reply", 5);
	self->server->catches = true;
	self->server->sa_flags = SA_RESTART;
	job_start(self->server, job_reply_recv_raw);
	ASSERT_EQ(0, job_join(self->client));
	EXPECT_EQ(5, self->client->ret);

	await_asleep(self->server);
	for (unsigned int i = 0; i < 3; i++) {
		ASSERT_TRUE(job_signal(self->server));
		await_asleep(self->server);
		EXPECT_EQ(0, self->server->op.reply_recv.token);
		EXPECT_EQ(1, self->server->op.reply_recv.replied);
		EXPECT_EQ(0, self->server->op.reply_recv.reply_error);
	}
	token = start(self->cli, 0, 2, -1);
	ASSERT_NE(0, token);
	ASSERT_EQ(0, job_join(self->server));
	EXPECT_EQ(0, self->server->ret);
	EXPECT_EQ(2, self->server->result.type);
	EXPECT_EQ(KIPC_RESULT_CALL | KIPC_RESULT_REPLIED, self->server->result.flags);
	EXPECT_EQ(0, self->server->result.reply_error);
	/* the process that took it has gone */
	EXPECT_EQ(-ECONNRESET, finish(self->cli, token, &result));
	EXPECT_TRUE(kt_quiet(self->srv));
}

TEST_F(signal, p05_reply_recv_remembers_that_the_caller_had_gone)
{
	struct kipc_result result;
	uint64_t token = start(self->cli, 0, 1, -1);

	ASSERT_EQ(0, take(self->srv, &result));
	ASSERT_EQ(KIPC_RESULT_DELIVERED, kipc_cancel(self->cli, token));
	self->server->token = result.token;
	self->server->catches = true;
	self->server->sa_flags = SA_RESTART;
	job_start(self->server, job_reply_recv_raw);
	await_asleep(self->server);
	ASSERT_TRUE(job_signal(self->server));
	await_asleep(self->server);
	EXPECT_EQ(0, self->server->op.reply_recv.token);
	EXPECT_EQ(1, self->server->op.reply_recv.replied);
	EXPECT_EQ(-ECANCELED, self->server->op.reply_recv.reply_error);
	ASSERT_EQ(0, kt_send(self->cli, 0, 1, 0, "m", 1));
	ASSERT_EQ(0, job_join(self->server));
	EXPECT_EQ(1, self->server->ret);
	EXPECT_EQ(KIPC_RESULT_REPLIED, self->server->result.flags);
	EXPECT_EQ(-ECANCELED, self->server->result.reply_error);
	EXPECT_EQ(0, self->server->result.token);
	EXPECT_TRUE(kt_quiet(self->srv));
}

TEST_F(signal, p05_reply_recv_without_sa_restart_has_replied)
{
	struct kipc_result result;

	job_start(self->client, job_rpc);
	ASSERT_EQ(3, take(self->srv, &result));
	self->server->token = result.token;
	self->server->catches = true;
	job_start(self->server, job_reply_recv_raw);
	await_asleep(self->server);
	ASSERT_TRUE(job_signal(self->server));
	ASSERT_EQ(0, job_join(self->server));
	EXPECT_EQ(-EINTR, self->server->ret);
	EXPECT_EQ(0, self->server->op.reply_recv.token);
	EXPECT_EQ(1, self->server->op.reply_recv.replied);
	EXPECT_EQ(KIPC_RESULT_REPLIED, self->server->result.flags);
	EXPECT_EQ(0, self->server->result.reply_error);
	EXPECT_EQ(0, self->server->result.token);
	ASSERT_EQ(0, job_join(self->client));
	EXPECT_EQ(0, self->client->ret);
	EXPECT_EQ(KIPC_RESULT_DELIVERED, self->client->result.flags);
	EXPECT_TRUE(kt_quiet(self->srv));
}

static void library_reply_recv(struct job *job)
{
	job->result.token = job->token;
	job->ret = kipc_reply_recv(job->fd, job->in, job->size, job->out, job->room,
				   &job->result, -1);
}

TEST_F(signal, p05_kipc_reply_recv_called_again_replies_to_nobody)
{
	struct kipc_attr attr = { .max_size = JOB_BUF };
	struct kipc_result result;

	/* kipc_reply_recv() wants room for the largest message */
	ASSERT_EQ(0, kipc_set(self->srv, 0, KIPC_SET_CAPACITY,
			      &(struct kipc_endpoint){ .attr = attr }));
	job_start(self->client, job_rpc);
	ASSERT_EQ(3, take(self->srv, &result));
	self->server->token = result.token;
	self->server->catches = true;
	job_start(self->server, library_reply_recv);
	await_asleep(self->server);
	ASSERT_TRUE(job_signal(self->server));
	ASSERT_EQ(0, job_join(self->server));
	EXPECT_EQ(-EINTR, self->server->ret);
	EXPECT_EQ(0, self->server->result.token);
	ASSERT_EQ(0, job_join(self->client));
	EXPECT_EQ(0, self->client->ret);
}

TEST_F(signal, p05_a_signal_while_the_reply_is_being_copied)
{
	struct kipc_result result;

	job_start(self->client, job_rpc);
	ASSERT_EQ(3, take(self->srv, &result));
	self->server->token = result.token;
	self->server->size = 5;
	self->server->stall = STALL_IN;
	self->server->catches = true;
	job_start(self->server, job_reply_recv_raw);
	await_stalled(self->server);
	ASSERT_TRUE(kt_signal(self->server->kt, SIGUSR1));
	job_release(self->server);
	ASSERT_EQ(0, job_join(self->server));
	/* whichever way it ends, the struct says what was done */
	EXPECT_EQ(-EINTR, self->server->ret);
	if (self->server->op.reply_recv.replied) {
		EXPECT_EQ(0, self->server->op.reply_recv.token);
	} else {
		EXPECT_EQ(result.token, self->server->op.reply_recv.token);
		EXPECT_FALSE(self->client->done);
		ASSERT_EQ(0, kipc_reply(self->srv, result.token, "again", 5));
	}
	ASSERT_EQ(0, job_join(self->client));
	EXPECT_EQ(5, self->client->ret);
	EXPECT_EQ(-ENOENT, kipc_reply(self->srv, result.token, "twice", 5));
	EXPECT_TRUE(kt_quiet(self->srv));
}

/* ---- everybody at once ---- */

struct ledger {
	volatile unsigned int taken[STORM_CALLS];	/* how often the server had it */
	volatile unsigned int answered[STORM_CALLS];	/* and the client its answer */
	volatile unsigned int wrong;
	volatile unsigned int interrupted;
};

static struct ledger *ledger;

static void be_pestered(struct job *job)
{
	struct itimerval period = {
		.it_interval.tv_usec = STORM_PERIOD_US,
		.it_value.tv_usec = STORM_PERIOD_US,
	};
	struct sigaction action = {
		.sa_handler = job_count_signal,
		.sa_flags = job->sa_flags,
	};

	job_self = job;
	kt_need(sigaction(SIGALRM, &action, NULL) == 0);
	kt_need(setitimer(ITIMER_REAL, &period, NULL) == 0);
}

static void pestered_server(struct job *job)
{
	struct kipc_op_reply_recv op = { 0 };
	struct kipc_result result;
	uint64_t number, answer = 0;
	int ret;

	be_pestered(job);
	for (;;) {
		op.reply = (struct kipc_payload){ .base = kt_ptr(&answer), .len = sizeof(answer) };
		op.recv = kt_recv_op(&number, sizeof(number), &result);
		op.recv.flags = KIPC_ANYSIZE;
		op.replied = 0;
		op.reply_error = 0;
		ret = (int)kt_op_reply_recv(job->fd, &op);
		if (ret == -EINTR) {
			/* it has replied or it has not: the token tells */
			ledger->interrupted++;
			continue;
		}
		if (ret < 0)
			break;
		if (ret != sizeof(number) || number >= STORM_CALLS)
			ledger->wrong++;
		else
			ledger->taken[number]++;
		op.token = result.token;
		answer = ~number;
	}
	setitimer(ITIMER_REAL, &(struct itimerval){ 0 }, NULL);
	job->ret = ret;
}

static void pestered_client(struct job *job)
{
	struct kipc_op_rpc op;
	uint64_t number, answer;
	int ret;

	be_pestered(job);
	for (number = 0; number < STORM_CALLS; number++) {
		answer = 0;
		op = kt_rpc_op(&number, sizeof(number), &answer, sizeof(answer), NULL);
		/* the same struct again: a new call, or the one under way */
		do {
			ret = (int)kt_op_rpc(job->fd, &op);
			if (ret == -EINTR)
				ledger->interrupted++;
		} while (ret == -EINTR);
		if (ret != sizeof(answer) || answer != ~number)
			ledger->wrong++;
		else
			ledger->answered[number]++;
	}
	setitimer(ITIMER_REAL, &(struct itimerval){ 0 }, NULL);
	job->ret = ret;
}

static void storm(struct __test_metadata *_metadata, FIXTURE_DATA(signal) *self, int sa_flags)
{
	ledger = kt_shared(sizeof(*ledger));
	self->client->sa_flags = sa_flags;
	self->server->sa_flags = sa_flags;
	self->client->catches = false;
	job_start(self->server, pestered_server);
	job_start(self->client, pestered_client);
	/* With signals all the time they may take long, but each one ends */
	for (unsigned int i = 0; i < STORM_CALLS; i++)
		ASSERT_TRUE(kt_until(ledger->answered[i] || ledger->wrong));
	ASSERT_EQ(0, job_join(self->client));
	await_stat(self->srv, waiters, 1);
	EXPECT_EQ(0, kt_stat(self->srv).msgs);
	EXPECT_EQ(0, kt_stat(self->srv).calls);
	ASSERT_EQ(0, kipc_shutdown(self->srv));
	ASSERT_EQ(0, job_join(self->server));
	EXPECT_EQ(-ESHUTDOWN, self->server->ret);

	EXPECT_EQ(0, ledger->wrong);
	for (unsigned int i = 0; i < STORM_CALLS; i++) {
		ASSERT_EQ(1, ledger->taken[i]);
		ASSERT_EQ(1, ledger->answered[i]);
	}
	/* else nothing was tried */
	EXPECT_LT(10, self->client->handled);
	EXPECT_LT(10, self->server->handled);
	EXPECT_EQ(!sa_flags, !!ledger->interrupted);
	EXPECT_TRUE(kt_quiet(self->srv));
}

TEST_F(signal, p05_storm_with_sa_restart)
{
	storm(_metadata, self, SA_RESTART);
}

TEST_F(signal, p05_storm_without_sa_restart)
{
	storm(_metadata, self, 0);
}

static long call_until_interrupted(void *arg)
{
	struct kipc_op_rpc op = kt_rpc_op(NULL, 0, NULL, 0, NULL);
	long ret;

	kt_catch(SIGUSR1, 0);
	op.flags = KIPC_NORESTART;
	ret = kt_op_rpc(*(int *)arg, &op);
	return ret == -EINTR && !op.token ? -EPROTO : ret;
}

/* Interrupted calls are never refused, but who has too many makes no new ones */
TEST_F(signal, p10_interrupted_calls_count)
{
	int *fd = kt_new(int);
	struct kipc_result result;
	struct kt_job *caller;

	*fd = self->cli;
	kt_set_param("user_calls_max", 1);
	for (unsigned int i = 0; i < 2; i++) {
		caller = kt_start(KT_AS(KT_UID_A), call_until_interrupted, fd);
		ASSERT_EQ(0, take(self->srv, &result));
		ASSERT_TRUE(kt_asleep(caller));
		ASSERT_TRUE(kt_signal(caller, SIGUSR1));
		EXPECT_EQ(-EINTR, kt_join(caller));
	}
	EXPECT_EQ(-EDQUOT, kt_run(KT_AS(KT_UID_A), call_until_interrupted, fd));
}

TEST_HARNESS_MAIN
