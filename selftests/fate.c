// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Promise 4: a call's fate is always told. Every event meets a call in every
 * state, as in the table of docs/architecture.md; the result is poisoned
 * before, and must be filled whatever the end.
 */
#include "harness.h"
#include "call_common.h"

#define COOKIE	0xc0ffeeULL

enum state { BLOCKED, QUEUED, CLAIMED, DELIVERED, FINISHED };

FIXTURE(fate) {
	int srv;		/* of the test */
	int taker;		/* of the server */
	struct job *client;
	struct job *server;
	struct job *other;
};

FIXTURE_VARIANT(fate) {
	enum state state;
};

FIXTURE_VARIANT_ADD(fate, blocked) { .state = BLOCKED };
FIXTURE_VARIANT_ADD(fate, queued) { .state = QUEUED };
FIXTURE_VARIANT_ADD(fate, claimed) { .state = CLAIMED };
FIXTURE_VARIANT_ADD(fate, delivered) { .state = DELIVERED };
FIXTURE_VARIANT_ADD(fate, finished) { .state = FINISHED };

FIXTURE_SETUP(fate)
{
	struct kipc_attr attr = { .max_msgs = 1 };

	self->srv = private_endpoint(0, &attr);
	ASSERT_LE(0, self->srv);
	self->taker = open_same(self->srv, KIPC_RIGHT_RECV);
	ASSERT_LE(0, self->taker);
	self->client = jobs_new(3);
	self->server = self->client + 1;
	self->other = self->client + 2;
}

FIXTURE_TEARDOWN(fate)
{
	kt_restore_params();
	close(self->taker);
	close(self->srv);
}

/*
 * Makes a call by @run and brings it into @state. The server is a process of
 * its own with a file that only it and the test hold; a claimed call is one
 * that it stalls on, a finished one a reply that the client stalls on.
 */
static bool reach(FIXTURE_DATA(fate) *self, enum state state, void (*run)(struct job *job))
{
	struct job *client = self->client, *server = self->server;

	client->fd = open_same(self->srv, KIPC_RIGHT_SEND);
	client->close_fds[0] = self->srv;
	client->close_fds[1] = self->taker;
	client->head.cookie = COOKIE;
	client->size = 3;
	if (state == FINISHED)
		client->stall = STALL_OUT;
	if (state == BLOCKED && kt_send(self->srv, 0, 1, 0, "filler", 6))
		return false;
	job_start(client, run);
	close(client->fd);
	if (!kt_until(kt_stat(self->srv).waiters == 1 && kt_stat(self->srv).msgs == 1) ||
	    !kt_asleep(client->kt))
		return false;
	if (state <= QUEUED)
		return true;

	server->fd = self->taker;
	server->close_fds[0] = self->srv;
	server->stall = state == CLAIMED ? STALL_OUT : STALL_NOT;
	job_start(server, job_take);
	if (state == CLAIMED)
		return kt_stalled(&server->held);
	if (!kt_until(server->done) || !server->result.token)
		return false;
	if (state == DELIVERED)
		return kt_stat(self->srv).calls == 1;
	return !kipc_reply(self->srv, server->result.token, "reply", 5) &&
	       kt_stalled(&client->held);
}

/* The client has been told @ret and @flags, and everything else is in order. */
#define expect_told(job, told, told_flags) do {				\
	ASSERT_EQ(0, job_join(job));					\
	EXPECT_EQ(told, (job)->ret);					\
	EXPECT_EQ(told_flags, (job)->result.flags);			\
	EXPECT_EQ(COOKIE, (job)->result.cookie);			\
	EXPECT_EQ(0, (job)->result.events);				\
	EXPECT_EQ(0, (job)->result.badge);				\
	EXPECT_EQ(0, (job)->result.nfds);				\
	EXPECT_EQ(0, (job)->result.reply_error);			\
	EXPECT_EQ(0, (job)->result.reserved[3]);			\
} while (0)

/* A reply made before the event is told whatever came after. */
#define expect_reply(job) do {						\
	job_release(job);						\
	expect_told(job, 5, KIPC_RESULT_DELIVERED);			\
	EXPECT_EQ(0, (job)->result.token);				\
	EXPECT_EQ(5, (job)->result.size);				\
} while (0)

/*
 * The call is not there any more: a receiver that was copying it discards it
 * and waits on, a blocked one has left only the message before it.
 */
#define expect_withdrawn() do {						\
	char _buf[16];							\
									\
	if (variant->state == BLOCKED)					\
		EXPECT_EQ(6, kipc_recvmsg(self->srv, &(struct kipc_msg){	\
			.flags = KIPC_ANYSIZE, .iovcnt = 1,		\
			.iov = &(struct iovec){ _buf, sizeof(_buf) },	\
		}, NULL, 0));						\
	if (variant->state == CLAIMED) {				\
		job_release(self->server);				\
		await_asleep(self->server);				\
		ASSERT_EQ(0, kt_send(self->srv, 0, 2, 0, "next", 4));	\
		await(self->server->done);				\
		EXPECT_EQ(4, self->server->ret);			\
		EXPECT_EQ(0, self->server->result.token);		\
	}								\
	EXPECT_TRUE(kt_quiet(self->srv));				\
} while (0)

TEST_F(fate, p04_reply)
{
	struct kipc_result result;

	ASSERT_TRUE(reach(self, variant->state, job_rpc));
	if (variant->state == BLOCKED)
		ASSERT_EQ(6, take(self->srv, &result));
	if (variant->state <= QUEUED) {
		ASSERT_EQ(3, take(self->srv, &result));
		ASSERT_EQ(0, kipc_reply(self->srv, result.token, "reply", 5));
	} else if (variant->state <= DELIVERED) {
		job_release(self->server);
		await(self->server->done);
		ASSERT_EQ(0, kipc_reply(self->srv, self->server->result.token, "reply", 5));
	}
	expect_reply(self->client);
	EXPECT_EQ(0, memcmp(self->client->out, "reply", 5));
	EXPECT_TRUE(kt_quiet(self->srv));
}

TEST_F(fate, p04_signal)
{
	/* a claimed call whose payload is pinned is withdrawn: see pinned_fate.c */
	kt_set_param("pin_min", 0);
	self->client->catches = true;
	ASSERT_TRUE(reach(self, variant->state, job_rpc));
	if (variant->state == FINISHED) {
		/* told as is: a copy is not broken off by a signal */
		ASSERT_TRUE(kt_signal(self->client->kt, SIGUSR1));
		expect_reply(self->client);
		EXPECT_TRUE(kt_quiet(self->srv));
		return;
	}
	ASSERT_TRUE(job_signal(self->client));
	expect_told(self->client, -EINTR,
		    variant->state == DELIVERED ? KIPC_RESULT_DELIVERED : 0);
	EXPECT_EQ(variant->state >= CLAIMED, self->client->result.token != 0);
	/* what outlived the system call ended with the client's file */
	if (variant->state == DELIVERED) {
		EXPECT_EQ(-ECANCELED,
			  kipc_reply(self->srv, self->server->result.token, NULL, 0));
		EXPECT_TRUE(kt_quiet(self->srv));
		return;
	}
	expect_withdrawn();
}

TEST_F(fate, p04_kill)
{
	ASSERT_TRUE(reach(self, variant->state, job_rpc));
	ASSERT_TRUE(job_kill(self->client));
	if (variant->state >= DELIVERED) {
		EXPECT_EQ(variant->state == DELIVERED ? -ECANCELED : -ENOENT,
			  kipc_reply(self->srv, self->server->result.token, NULL, 0));
		EXPECT_TRUE(kt_quiet(self->srv));
		return;
	}
	expect_withdrawn();
}

TEST_F(fate, p04_deadline)
{
	uint64_t begin = kt_now();

	/* long enough to bring the call there meanwhile */
	self->client->timeout = 1000;
	ASSERT_TRUE(reach(self, variant->state, job_rpc));
	ASSERT_FALSE(self->client->done);
	if (variant->state == FINISHED) {
		await(kt_now() > begin + 1100 * KT_MS);
		expect_reply(self->client);
		EXPECT_TRUE(kt_quiet(self->srv));
		return;
	}
	expect_told(self->client, -ETIMEDOUT,
		    variant->state == DELIVERED ? KIPC_RESULT_DELIVERED : 0);
	EXPECT_EQ(0, self->client->result.token);
	EXPECT_LE(begin + 1000 * KT_MS, kt_now());
	if (variant->state == DELIVERED) {
		EXPECT_EQ(-ECANCELED, kipc_wanted(self->srv, self->server->result.token));
		EXPECT_EQ(-ECANCELED,
			  kipc_reply(self->srv, self->server->result.token, NULL, 0));
		EXPECT_TRUE(kt_quiet(self->srv));
		return;
	}
	expect_withdrawn();
}

TEST_F(fate, p04_remove)
{
	ASSERT_TRUE(reach(self, variant->state, job_rpc));
	ASSERT_EQ(0, kipc_remove(self->srv, 0));
	if (variant->state == FINISHED) {
		expect_reply(self->client);
		return;
	}
	expect_told(self->client, -EIDRM,
		    variant->state == DELIVERED ? KIPC_RESULT_DELIVERED : 0);
	EXPECT_EQ(0, self->client->result.token);
	if (variant->state == CLAIMED) {
		job_release(self->server);
		await(self->server->done);
		EXPECT_EQ(-EIDRM, self->server->ret);
	}
	if (variant->state == DELIVERED) {
		EXPECT_EQ(-ECANCELED,
			  kipc_reply(self->taker, self->server->result.token, NULL, 0));
	}
}

/* The test still holds the file that the server took the call through. */
TEST_F(fate, p04_server_exit)
{
	struct kipc_result result;

	ASSERT_TRUE(reach(self, variant->state, job_rpc));
	if (variant->state >= CLAIMED)
		ASSERT_TRUE(job_kill(self->server));
	if (variant->state == FINISHED) {
		expect_reply(self->client);
	} else if (variant->state == DELIVERED) {
		expect_told(self->client, -ECONNRESET, KIPC_RESULT_DELIVERED);
		EXPECT_EQ(0, self->client->result.token);
		EXPECT_EQ(-ENOENT, kipc_reply(self->srv, self->server->result.token, NULL, 0));
	} else {
		/* nobody had it: it waits on for somebody who will */
		if (variant->state == BLOCKED)
			ASSERT_EQ(6, take(self->srv, &result));
		EXPECT_FALSE(self->client->done);
		ASSERT_EQ(3, take(self->srv, &result));
		EXPECT_EQ(1, result.deliveries);
		EXPECT_EQ(KIPC_RESULT_CALL, result.flags);
		ASSERT_EQ(0, kipc_reply(self->srv, result.token, "reply", 5));
		expect_reply(self->client);
	}
	EXPECT_TRUE(kt_quiet(self->srv));
}

/* The file that took the call goes, its process stays. */
static void take_and_close(struct job *job)
{
	job_recv(job);
	job->done = 1;
	kt_need(kt_until(job->token));
	close(job->fd);
	job_hold(job);
}

TEST_F(fate, p04_server_close)
{
	enum state state = variant->state;
	struct kipc_result result;

	ASSERT_TRUE(reach(self, state > CLAIMED ? QUEUED : state, job_rpc));
	if (state >= DELIVERED) {
		self->server->fd = self->taker;
		self->server->close_fds[0] = self->srv;
		job_start(self->server, take_and_close);
		await(self->server->done);
		ASSERT_NE(0, self->server->result.token);
	}
	if (state == FINISHED)
		ASSERT_EQ(0, kipc_reply(self->srv, self->server->result.token, "reply", 5));
	close(self->taker);
	if (state >= DELIVERED)
		self->server->token = 1;
	if (state == FINISHED) {
		expect_reply(self->client);
	} else if (state == DELIVERED) {
		expect_told(self->client, -ECONNRESET, KIPC_RESULT_DELIVERED);
	} else if (state == CLAIMED) {
		/* the close of the test's copy is nothing to the server's */
		EXPECT_FALSE(self->client->done);
		job_release(self->server);
		await(self->server->done);
		EXPECT_EQ(0, kipc_wanted(self->srv, self->server->result.token));
		ASSERT_TRUE(job_kill(self->server));
		expect_told(self->client, -ECONNRESET, KIPC_RESULT_DELIVERED);
	} else {
		EXPECT_FALSE(self->client->done);
		if (state == BLOCKED)
			ASSERT_EQ(6, take(self->srv, &result));
		ASSERT_EQ(3, take(self->srv, &result));
		ASSERT_EQ(0, kipc_reply(self->srv, result.token, "reply", 5));
		expect_reply(self->client);
	}
	EXPECT_TRUE(kt_quiet(self->srv));
}

/* The last receiving file goes, and the endpoint with it. */
TEST_F(fate, p04_last_receiver_closes)
{
	enum state state = variant->state;

	ASSERT_TRUE(reach(self, state, job_rpc));
	if (state == CLAIMED) {
		/* the endpoint lives as long as the server's receive */
		close(self->srv);
		close(self->taker);
		EXPECT_FALSE(self->client->done);
		job_release(self->server);
		await(self->server->done);
		EXPECT_FALSE(self->client->done);
		ASSERT_TRUE(job_kill(self->server));
		expect_told(self->client, -ECONNRESET, KIPC_RESULT_DELIVERED);
		return;
	}
	close(self->srv);
	close(self->taker);
	if (state >= DELIVERED)
		ASSERT_TRUE(job_kill(self->server));
	if (state == FINISHED)
		expect_reply(self->client);
	else if (state == DELIVERED)
		expect_told(self->client, -ECONNRESET, KIPC_RESULT_DELIVERED);
	else
		expect_told(self->client, -EIDRM, 0);
	EXPECT_EQ(0, self->client->result.token);
}

/* The reply can be stored nowhere: what then? Collects it by the token. */
static void rpc_into_hole(struct job *job)
{
	char *hole = kt_hole();
	struct kipc_op_rpc op = kt_rpc_op("req", 3, hole, JOB_BUF, &job->result);

	op.cookie = COOKIE;
	job->ret = kt_op_rpc(job->fd, &op);
	job->token = op.token;
	if (job->ret == -EFAULT && op.token) {
		/* as often as it takes */
		if (kt_op_rpc(job->fd, &op) != -EFAULT || op.token != job->token)
			return;
		op.reply.base = kt_ptr(job->out);
		job->ret = kt_op_rpc(job->fd, &op);
		job->token = op.token;
	}
}

TEST_F(fate, p04_fault)
{
	char *hole = kt_hole();
	struct kipc_op_rpc op = kt_rpc_op(hole - 4, 8, NULL, 0, NULL);
	struct kipc_result result;

	/* while copying in: there never was a call */
	self->client->fd = open_same(self->srv, KIPC_RIGHT_SEND);
	op.result = kt_ptr(&result);
	op.cookie = COOKIE;
	EXPECT_EQ(-EFAULT, kt_op_rpc(self->client->fd, &op));
	EXPECT_EQ(0, op.token);
	EXPECT_TRUE(kt_quiet(self->srv));
	close(self->client->fd);

	if (variant->state == FINISHED) {
		/* while copying the reply out: it can be collected again */
		ASSERT_TRUE(reach(self, QUEUED, rpc_into_hole));
		ASSERT_EQ(3, take(self->srv, &result));
		ASSERT_EQ(0, kipc_reply(self->srv, result.token, "reply", 5));
		expect_reply(self->client);
		EXPECT_NE(0, self->client->token);
		EXPECT_EQ(0, self->client->result.token);
		EXPECT_EQ(0, memcmp(self->client->out, "reply", 5));
		EXPECT_TRUE(kt_quiet(self->srv));
		return;
	}
	if (variant->state > QUEUED)
		return;
	/* while a receiver copies it: it is still there for the next */
	ASSERT_TRUE(reach(self, variant->state, job_rpc));
	if (variant->state == BLOCKED)
		ASSERT_EQ(6, take(self->srv, &result));
	await_stat(self->srv, msgs, 1);
	EXPECT_EQ(-EFAULT, kt_recv(self->srv, 0, 0, 0, hole - 1, 8, &result));
	EXPECT_EQ(1, kt_stat(self->srv).msgs);
	EXPECT_EQ(3, kt_stat(self->srv).bytes);
	EXPECT_EQ(0, kt_stat(self->srv).calls);
	EXPECT_EQ(-EFAULT, kt_recv(self->srv, 0, 0, 0, self->other->out, 8, (void *)(hole - 8)));
	EXPECT_EQ(1, kt_stat(self->srv).msgs);
	ASSERT_EQ(3, take(self->srv, &result));
	EXPECT_EQ(1, result.deliveries);
	ASSERT_EQ(0, kipc_reply(self->srv, result.token, "reply", 5));
	expect_reply(self->client);
	EXPECT_TRUE(kt_quiet(self->srv));
}

/* A call that outlives its system call: the file ends it. */
TEST_F(fate, p04_client_close)
{
	int cli = open_same(self->srv, KIPC_RIGHT_SEND);
	uint64_t token;

	if (variant->state == BLOCKED) {
		/* a started call is never blocked */
		ASSERT_EQ(0, kt_send(self->srv, 0, 1, 0, "filler", 6));
		EXPECT_EQ(0, start(cli, 0, COOKIE, -1));
		close(cli);
		expect_withdrawn();
		return;
	}
	self->server->fd = self->taker;
	self->server->close_fds[0] = cli;
	self->server->stall = variant->state == CLAIMED ? STALL_RESULT : STALL_NOT;
	token = start(cli, 0, COOKIE, -1);
	ASSERT_NE(0, token);
	if (variant->state > QUEUED)
		job_start(self->server, job_take);
	if (variant->state == CLAIMED)
		await_stalled(self->server);
	if (variant->state >= DELIVERED)
		await(self->server->done);
	if (variant->state == FINISHED)
		ASSERT_EQ(0, kipc_reply(self->srv, self->server->result.token, "reply", 5));
	close(cli);
	if (variant->state >= DELIVERED) {
		EXPECT_EQ(variant->state == DELIVERED ? -ECANCELED : -ENOENT,
			  kipc_reply(self->srv, self->server->result.token, NULL, 0));
		EXPECT_TRUE(kt_quiet(self->srv));
		return;
	}
	expect_withdrawn();
}

/* A call that was answered and could neither be told nor be kept for later */
TEST(p04_a_call_whose_struct_cannot_be_written)
{
	struct kipc_op_rpc *op = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
				      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int srv = private_endpoint(0, NULL), cli = open_same(srv, KIPC_RIGHT_SEND);
	struct kipc_result result;
	struct kt_job *caller;

	ASSERT_NE(MAP_FAILED, (void *)op);
	*op = kt_rpc_op("?", 1, kt_hole(), 16, NULL);
	ASSERT_EQ(0, mprotect(op, 4096, PROT_READ));
	caller = kt_start_ioctl(KT_THREAD, cli, KIPC_IOC_RPC, op);
	ASSERT_EQ(1, take(srv, &result));
	ASSERT_EQ(0, kipc_reply(srv, result.token, "reply", 5));
	EXPECT_EQ(-EFAULT, kt_join(caller));
	EXPECT_EQ(0, op->token);
	EXPECT_EQ(-ENOENT, finish(cli, 0, &result));
	EXPECT_TRUE(kt_quiet(srv));
	close(cli);
	close(srv);
}

TEST_HARNESS_MAIN
