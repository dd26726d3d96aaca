// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * No peer can make anyone wait for its memory. In each place where kipc copies
 * from or to a process, that process is held in the middle of the copy by
 * userfaultfd: everybody else at the endpoint must get on, removal must end,
 * and the one that is held must be killable.
 */
#include "harness.h"
#include "call_common.h"

enum place {
	SEND_IN,	/* a sender's message */
	RECV_OUT,	/* a receiver's room */
	RECV_RESULT,	/* and its result */
	RPC_IN,		/* a caller's request */
	RPC_OUT,	/* its room for the reply */
	RPC_RESULT,	/* and its result */
	REPLY_IN,	/* a server's reply */
	REPLY_RECV_IN,	/* the same in REPLY_RECV */
	REPLY_RECV_OUT,	/* and the receive behind it */
	FINISH_OUT,	/* the collecting of a started call */
};

FIXTURE(stall) {
	int srv;
	int cli;
	struct job *staller;
	struct job *jobs;
	uint64_t token;		/* of a call that the staller is about to answer */
	uint64_t started;
};

FIXTURE_VARIANT(stall) {
	enum place place;
	void (*run)(struct job *job);
	enum job_stall stall;
	bool sends;		/* through the sending handle */
};

FIXTURE_VARIANT_ADD(stall, send_in) { SEND_IN, job_send, STALL_IN, true };
FIXTURE_VARIANT_ADD(stall, recv_out) { RECV_OUT, job_recv, STALL_OUT, false };
FIXTURE_VARIANT_ADD(stall, recv_result) { RECV_RESULT, job_recv_raw, STALL_RESULT, false };
FIXTURE_VARIANT_ADD(stall, rpc_in) { RPC_IN, job_rpc, STALL_IN, true };
FIXTURE_VARIANT_ADD(stall, rpc_out) { RPC_OUT, job_rpc, STALL_OUT, true };
FIXTURE_VARIANT_ADD(stall, rpc_result) { RPC_RESULT, job_rpc_raw, STALL_RESULT, true };
FIXTURE_VARIANT_ADD(stall, reply_in) { REPLY_IN, job_reply, STALL_IN, false };

FIXTURE_VARIANT_ADD(stall, reply_recv_in) {
	REPLY_RECV_IN, job_reply_recv_raw, STALL_IN, false
};

FIXTURE_VARIANT_ADD(stall, reply_recv_out) {
	REPLY_RECV_OUT, job_reply_recv_raw, STALL_OUT, false
};

FIXTURE_VARIANT_ADD(stall, finish_out) { FINISH_OUT, job_finish, STALL_OUT, true };

FIXTURE_SETUP(stall)
{
	struct kipc_attr attr = { .max_size = JOB_BUF };

	self->srv = private_endpoint(0, &attr);
	ASSERT_LE(0, self->srv);
	self->cli = open_same(self->srv, KIPC_RIGHT_SEND);
	ASSERT_LE(0, self->cli);
	self->jobs = jobs_new(4);
	self->staller = &self->jobs[3];
}

FIXTURE_TEARDOWN(stall)
{
	close(self->cli);
	close(self->srv);
}

/* Brings the staller to where it is held. */
static bool hold(FIXTURE_DATA(stall) *self, const FIXTURE_VARIANT(stall) *variant)
{
	struct job *staller = self->staller;
	struct kipc_result result;

	staller->fd = variant->sends ? self->cli : self->srv;
	staller->stall = variant->stall;
	staller->size = 4;
	staller->head.type = variant->sends ? 1 : 0;
	if (variant->place >= REPLY_IN) {
		self->started = start(self->cli, 0, 1, -1);
		if (take(self->srv, &result))
			return false;
		self->token = result.token;
		staller->token = self->token;
	}
	if (variant->place == FINISH_OUT) {
		if (kipc_reply(self->srv, self->token, "reply", 5))
			return false;
		staller->token = self->started;
	}
	if (variant->place == RECV_OUT || variant->place == RECV_RESULT ||
	    variant->place == REPLY_RECV_OUT)
		if (kt_send(self->cli, 0, 9, 0, "held", 4))
			return false;
	job_start(staller, variant->run);
	if (variant->place == RPC_OUT || variant->place == RPC_RESULT) {
		if (take(self->srv, &result) != 4 ||
		    kipc_reply(self->srv, result.token, "reply", 5))
			return false;
	}
	return kt_stalled(&staller->held);
}

/* Messages and calls of others, without waiting and with. */
static void others_get_on(struct __test_metadata *_metadata, FIXTURE_DATA(stall) *self)
{
	struct kipc_result taken, result;
	struct job *client = &self->jobs[0], *receiver = &self->jobs[1], *sync = &self->jobs[2];
	uint64_t token;

	ASSERT_EQ(0, kt_send(self->cli, 0, 5, 0, "other", 5));
	ASSERT_EQ(5, take(self->srv, &result));
	EXPECT_EQ(5, result.type);

	token = start(self->cli, 0, 6, -1);
	ASSERT_NE(0, token);
	ASSERT_EQ(0, take(self->srv, &taken));
	EXPECT_EQ(6, taken.type);
	ASSERT_EQ(0, kipc_reply(self->srv, taken.token, "fine", 4));
	EXPECT_EQ(4, finish(self->cli, token, &result));

	client->fd = self->cli;
	job_start(client, job_rpc);
	ASSERT_EQ(0, take(self->srv, &taken));
	ASSERT_EQ(0, kipc_reply(self->srv, taken.token, "fine", 4));
	ASSERT_EQ(0, job_join(client));
	EXPECT_EQ(4, client->ret);

	receiver->fd = self->srv;
	job_start(receiver, job_recv);
	await_asleep(receiver);
	sync->fd = self->cli;
	sync->head.flags = KIPC_SYNC;
	job_start(sync, job_send);
	ASSERT_EQ(0, job_join(sync));
	ASSERT_EQ(0, job_join(receiver));
	EXPECT_EQ(0, sync->ret);
	EXPECT_EQ(0, receiver->ret);
	EXPECT_FALSE(self->staller->done);
}

TEST_F(stall, p03_nobody_waits_for_the_one_that_is_held)
{
	struct kipc_result result;
	struct job *staller = self->staller;

	ASSERT_TRUE(hold(self, variant));
	others_get_on(_metadata, self);
	job_release(staller);

	/* and it gets its own when it goes on */
	switch (variant->place) {
	case SEND_IN:
		ASSERT_EQ(4, take(self->srv, &result));
		EXPECT_EQ(1, result.type);
		break;
	case RPC_IN:
		ASSERT_EQ(4, take(self->srv, &result));
		ASSERT_EQ(0, kipc_reply(self->srv, result.token, "reply", 5));
		break;
	case REPLY_RECV_IN:
		await_asleep(staller);
		ASSERT_EQ(0, kt_send(self->cli, 0, 9, 0, "held", 4));
		break;
	default:
		break;
	}
	ASSERT_EQ(0, job_join(staller));
	switch (variant->place) {
	case SEND_IN:
	case REPLY_IN:
		EXPECT_EQ(0, staller->ret);
		break;
	case RPC_IN:
	case RPC_OUT:
	case RPC_RESULT:
	case FINISH_OUT:
		EXPECT_EQ(5, staller->ret);
		EXPECT_EQ(KIPC_RESULT_DELIVERED, staller->result.flags);
		EXPECT_EQ(0, memcmp("reply", staller->out, 5));
		break;
	default:
		EXPECT_EQ(4, staller->ret);
		EXPECT_EQ(9, staller->result.type);
		EXPECT_EQ(0, memcmp("held", staller->out, 4));
		break;
	}
	if (variant->place >= REPLY_IN && variant->place <= REPLY_RECV_OUT)
		EXPECT_EQ(4, finish(self->cli, self->started, &result));
	EXPECT_TRUE(kt_quiet(self->srv));
}

TEST_F(stall, p08_removal_does_not_wait_for_it)
{
	struct kipc_result result;
	struct job *staller = self->staller;

	ASSERT_TRUE(hold(self, variant));
	ASSERT_EQ(0, kipc_remove(self->srv, 0));
	EXPECT_EQ(POLLHUP, polled(self->cli) & POLLHUP);
	EXPECT_FALSE(staller->done);
	/* the caller of the reply that is being made is told meanwhile */
	if (variant->place == REPLY_IN || variant->place == REPLY_RECV_IN) {
		EXPECT_EQ(-EIDRM, finish(self->cli, self->started, &result));
		EXPECT_EQ(KIPC_RESULT_DELIVERED, result.flags);
	}
	job_release(staller);
	ASSERT_EQ(0, job_join(staller));
	switch (variant->place) {
	case RPC_OUT:
	case RPC_RESULT:
	case FINISH_OUT:
		/* replied to before the end */
		EXPECT_EQ(5, staller->ret);
		break;
	case REPLY_IN:
		EXPECT_EQ(-ECANCELED, staller->ret);
		break;
	default:
		EXPECT_EQ(-EIDRM, staller->ret);
		break;
	}
	if (variant->place == REPLY_RECV_IN)
		EXPECT_EQ(-ECANCELED, staller->op.reply_recv.reply_error);
}

TEST_F(stall, p02_it_can_be_killed_and_nothing_is_lost)
{
	struct kipc_result result;

	ASSERT_TRUE(hold(self, variant));
	ASSERT_TRUE(job_kill(self->staller));
	switch (variant->place) {
	case RECV_OUT:
	case RECV_RESULT:
	case REPLY_RECV_OUT:
		/* not taken: it is there for the next */
		EXPECT_EQ(1, kt_stat(self->srv).msgs);
		EXPECT_EQ(4, kt_stat(self->srv).bytes);
		ASSERT_EQ(4, take(self->srv, &result));
		EXPECT_EQ(9, result.type);
		break;
	case REPLY_IN:
	case REPLY_RECV_IN:
		/* not answered: the test took the call and can do it */
		EXPECT_EQ(0, kipc_wanted(self->srv, self->token));
		EXPECT_EQ(0, kipc_reply(self->srv, self->token, "late", 4));
		EXPECT_EQ(4, finish(self->cli, self->started, &result));
		break;
	case FINISH_OUT:
		/* not collected: the test has the same file */
		EXPECT_EQ(5, finish(self->cli, self->started, &result));
		break;
	default:
		break;
	}
	if (variant->place == REPLY_RECV_OUT)
		EXPECT_EQ(4, finish(self->cli, self->started, &result));
	EXPECT_TRUE(kt_quiet(self->srv));
	others_get_on(_metadata, self);
	EXPECT_TRUE(kt_quiet(self->srv));
}

/* The message that a receiver is held on is overtaken by nobody but those behind. */
TEST_F(stall, p01_what_is_put_back_is_in_its_place)
{
	struct kipc_result result;

	if (variant->place != RECV_OUT && variant->place != RECV_RESULT)
		return;
	ASSERT_TRUE(hold(self, variant));
	ASSERT_EQ(0, kt_send(self->cli, 0, 10, 0, "after", 5));
	ASSERT_EQ(0, kt_send(self->cli, 0, 11, 1, "higher", 6));
	ASSERT_TRUE(job_kill(self->staller));
	ASSERT_EQ(6, take(self->srv, &result));
	ASSERT_EQ(4, take(self->srv, &result));
	EXPECT_EQ(9, result.type);
	EXPECT_EQ(1, result.deliveries);
	ASSERT_EQ(5, take(self->srv, &result));
	EXPECT_TRUE(kt_quiet(self->srv));
}

TEST_HARNESS_MAIN
