// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What befalls a batch in the middle of its copy. A receiver has claimed up to 16
 * messages and is held by userfaultfd at one of them, while senders leave, the file is
 * shut down, the endpoint is removed, the receiver is killed; likewise a sender.
 */
#include "batch_common.h"
#include "harness.h"

#define MANY	20	/* messages: more than are claimed at a time */
#define SIZE	24	/* bytes of each */
#define MOST	32	/* that are asked for */

/* A receiver that is held at message @at; what it tells. In shared memory. */
struct held {
	int fd;
	uint32_t endpoint;
	uint32_t flags;
	unsigned int at;
	unsigned int count;
	uint64_t deadline;
	struct kt_stall stall;
	struct kipc_result results[MOST + 1];
	char bytes[MOST * SIZE];
};

static long held_recv(void *arg)
{
	struct held *h = arg;
	struct kipc_op_recv_batch op = {
		.endpoint = h->endpoint,
		.flags = h->flags,
		.deadline = h->deadline,
		.results = kt_ptr(h->results),
		.count = h->count,
		.len = MOST * SIZE,
	};
	long ret;

	kt_stall_init(&h->stall, 0xa5);
	op.base = kt_ptr(h->stall.page - h->at * SIZE);
	kt_poison(h->results, sizeof(h->results));
	kt_poison(h->stall.page - h->at * SIZE, h->at * SIZE);
	ret = kt_op_recv_batch(h->fd, &op);
	if (ret > 0)
		memcpy(h->bytes, (char *)(uintptr_t)op.base, (size_t)ret * SIZE);
	return ret;
}

static struct held *held_new(int fd, unsigned int at)
{
	struct held *h = kt_new(struct held);

	h->fd = fd;
	h->at = at;
	h->count = MOST;
	return h;
}

static bool held_got(const struct held *h, unsigned int i, uint64_t type)
{
	if (h->results[i].type == type && h->results[i].deliveries == 1 &&
	    h->results[i].size == SIZE)
		return kt_filled(h->bytes + i * SIZE, SIZE, (unsigned int)type);
	kt_complain("result %u is of type %llu instead of %llu, size %llu, delivery %u", i,
		    (unsigned long long)h->results[i].type, (unsigned long long)type,
		    (unsigned long long)h->results[i].size, h->results[i].deliveries);
	return false;
}

FIXTURE(stall) {
	int dev;
	int fd;
	struct batch *out;
};

FIXTURE_SETUP(stall)
{
	const struct kipc_attr attr = { .max_size = SIZE, .max_msgs = 64, .max_bytes = 64 * SIZE };

	self->dev = kt_device();
	self->fd = kt_private(self->dev, 0, &attr);
	self->out = batch_new(self->fd);
	self->out->timeout = 0;
}

FIXTURE_TEARDOWN(stall)
{
	close(self->fd);
	close(self->dev);
}

/* Messages of the types from @from to before @to */
static bool put(struct batch *out, uint64_t from, uint64_t to)
{
	batch_clear(out);
	for (; from < to; from++)
		batch_add(out, from, 0, SIZE);
	return !out->count || batch_send(out) == out->count;
}

/* ---- senders that leave ---- */

enum way { CANCEL, SYNC_KILL, SYNC_TIMEOUT, SYNC_SIGNAL, RPC_KILL, RPC_TIMEOUT };

struct leaver {
	int fd;
	enum way way;
	uint64_t deadline;
	struct kipc_result result;
	char bytes[SIZE];
	unsigned int type;
};

static long leaver_main(void *arg)
{
	struct leaver *l = arg;

	if (l->way >= RPC_KILL) {
		struct kipc_op_rpc op = kt_rpc_op(l->bytes, SIZE, NULL, 0, &l->result);

		op.type = l->type;
		op.deadline = l->deadline;
		return kt_op_rpc(l->fd, &op);
	}

	struct kipc_op_send op = kt_send_op(l->bytes, SIZE);

	op.type = l->type;
	op.deadline = l->deadline;
	op.flags = KIPC_SYNC;
	return kt_op_send(l->fd, &op);
}

static struct kt_job *leaver_start(int fd, enum way way, unsigned int type, uint64_t deadline)
{
	struct leaver *l = kt_new(struct leaver);
	struct kt_job *job;

	*l = (struct leaver){ .fd = fd, .way = way, .type = type, .deadline = deadline };
	kt_fill(l->bytes, SIZE, type);
	kt_catch(SIGUSR1, 0);
	job = kt_start(way == SYNC_KILL || way == RPC_KILL ? KT_FORK : KT_THREAD, leaver_main, l);
	kt_need(kt_asleep(job));
	return job;
}

static bool leaver_leaves(struct kt_job *job, enum way way)
{
	switch (way) {
	case SYNC_KILL:
	case RPC_KILL:
		return kt_kill(job) == KT_DIED - SIGKILL;
	case SYNC_SIGNAL:
		return kt_signal(job, SIGUSR1) && kt_join(job) == -EINTR;
	default:
		return kt_join(job) == -ETIMEDOUT;
	}
}

static uint64_t start_call(int fd, unsigned int type)
{
	struct kipc_op_rpc op;
	char bytes[SIZE];

	kt_fill(bytes, SIZE, type);
	op = kt_rpc_op(bytes, SIZE, NULL, 0, NULL);
	op.flags = KIPC_ASYNC;
	op.type = type;
	kt_need(kt_op_rpc(fd, &op) == 0 && op.token);
	return op.token;
}

/*
 * Of all messages but the one that left, the receiver got the first, and the rest is
 * there, in order. Nothing was told behind the end of the results.
 */
static void expect_all_but(struct __test_metadata *_metadata, int fd, const struct held *h,
			   long ret, unsigned int left)
{
	struct kipc_result result;
	char buf[SIZE];
	long i = 0;

	ASSERT_LT(0, ret);
	ASSERT_TRUE(kt_poisoned(&h->results[h->count],
				(MOST + 1 - h->count) * sizeof(struct kipc_result)));
	for (unsigned int type = 0; type < MANY; type++) {
		if (type == left)
			continue;
		if (i < ret) {
			ASSERT_TRUE(held_got(h, (unsigned int)i, type));
			i++;
			continue;
		}
		ASSERT_EQ(SIZE, kt_recv(fd, 0, 0, 0, buf, SIZE, &result));
		ASSERT_EQ(type, result.type);
		ASSERT_EQ(1, result.deliveries);
		ASSERT_TRUE(kt_filled(buf, SIZE, type));
		if (result.token)
			ASSERT_EQ(0, kipc_reply(fd, result.token, NULL, 0));
	}
	ASSERT_EQ(i, ret);
	ASSERT_EQ(-EAGAIN, kt_recv(fd, 0, 0, 0, buf, SIZE, &result));
}

/* Message @left leaves while the receiver is held at message @at */
static void leaves(struct __test_metadata *_metadata, FIXTURE_DATA(stall) *self, enum way way,
		   unsigned int left, unsigned int at, unsigned int count)
{
	struct held *h = held_new(self->fd, at);
	uint64_t deadline = KIPC_FOREVER;
	struct kt_job *leaver, *receiver;

	h->count = count;
	ASSERT_TRUE(put(self->out, 0, left));
	/* long enough to bring it there meanwhile */
	if (way == SYNC_TIMEOUT || way == RPC_TIMEOUT)
		deadline = kt_in_ms(1000);
	leaver = leaver_start(self->fd, way, left, deadline);
	ASSERT_TRUE(put(self->out, left + 1, MANY));
	receiver = kt_start(KT_THREAD, held_recv, h);
	ASSERT_TRUE(kt_stalled(&h->stall));
	ASSERT_FALSE(leaver->done);
	/* it does not wait for who copies its message */
	ASSERT_TRUE(leaver_leaves(leaver, way));
	EXPECT_FALSE(receiver->done);
	kt_release(&h->stall);
	expect_all_but(_metadata, self->fd, h, kt_join(receiver), left);
	EXPECT_TRUE(kt_quiet(self->fd));
}

/* Where the receiver is held, and who leaves: in the first round, in the second, in neither */
static const struct {
	unsigned int left, at;
} moments[] = {
	{ 0, 0 }, { 0, 15 }, { 7, 3 }, { 7, 7 }, { 7, 15 }, { 15, 0 }, { 15, 15 }, { 17, 5 },
	{ 16, 18 }, { 18, 18 }, { 19, 17 },
};

TEST_F(stall, p03_sync_sender_killed)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(moments); i++)
		leaves(_metadata, self, SYNC_KILL, moments[i].left, moments[i].at, MOST);
}

TEST_F(stall, p03_sync_sender_interrupted)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(moments); i++)
		leaves(_metadata, self, SYNC_SIGNAL, moments[i].left, moments[i].at, MOST);
}

/* (fewer of them: each takes a second) */
TEST_F(stall, p14_sync_sender_has_no_more_time)
{
	for (unsigned int i = 1; i < ARRAY_SIZE(moments); i += 3)
		leaves(_metadata, self, SYNC_TIMEOUT, moments[i].left, moments[i].at, MOST);
}

TEST_F(stall, p07_caller_killed)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(moments); i++)
		leaves(_metadata, self, RPC_KILL, moments[i].left, moments[i].at, MOST);
}

TEST_F(stall, p04_caller_has_no_more_time)
{
	for (unsigned int i = 2; i < ARRAY_SIZE(moments); i += 3)
		leaves(_metadata, self, RPC_TIMEOUT, moments[i].left, moments[i].at, MOST);
}

/* As many results as messages are claimed at a time, and less */
TEST_F(stall, p03_the_results_end_where_they_end)
{
	for (unsigned int left = 0; left < 16; left += 5) {
		leaves(_metadata, self, SYNC_SIGNAL, left, 12, 16);
		leaves(_metadata, self, SYNC_SIGNAL, left, 12, 17);
		leaves(_metadata, self, SYNC_SIGNAL, left, 12, 13);
	}
}

/* Calls throughout: one is cancelled, the others are answered by their tokens */
TEST_F(stall, p07_a_call_cancelled)
{
	static const unsigned int lefts[] = { 0, 1, 7, 14, 15, 16, 17, 19 };
	static const unsigned int ats[] = { 0, 1, 8, 15, 16, 18, 19 };
	uint64_t tokens[MANY];
	struct kipc_result result;

	for (unsigned int i = 0; i < ARRAY_SIZE(lefts) * ARRAY_SIZE(ats); i++) {
		unsigned int left = lefts[i / ARRAY_SIZE(ats)], at = ats[i % ARRAY_SIZE(ats)];
		struct held *h = held_new(self->fd, at);
		struct kt_job *receiver;
		long ret;

		if (left < BATCH_ROUND && at >= BATCH_ROUND)
			continue;	/* it is delivered by then */
		for (unsigned int type = 0; type < MANY; type++)
			tokens[type] = start_call(self->fd, type);
		receiver = kt_start(KT_THREAD, held_recv, h);
		ASSERT_TRUE(kt_stalled(&h->stall));
		ASSERT_EQ(0, kipc_cancel(self->fd, tokens[left]));
		kt_release(&h->stall);
		ret = kt_join(receiver);
		ASSERT_LT(0, ret);
		for (long j = 0; j < ret; j++) {
			ASSERT_EQ(0, kipc_reply(self->fd, h->results[j].token, NULL, 0))
				TH_LOG("%u left, held at %u: result %ld of %ld", left, at, j, ret);
		}
		expect_all_but(_metadata, self->fd, h, ret, left);
		for (unsigned int type = 0; type < MANY; type++) {
			ASSERT_EQ(type == left ? -ENOENT : 0,
				  kipc_rpc_finish(self->fd, tokens[type], NULL, &result, 0));
		}
		ASSERT_TRUE(kt_quiet(self->fd));
	}
}

/* All whose messages are claimed leave: the receiver takes what is behind them */
TEST_F(stall, p07_all_that_were_claimed_leave)
{
	struct held *h = held_new(self->fd, 9);
	uint64_t tokens[BATCH_ROUND];
	struct kt_job *receiver;

	for (unsigned int i = 0; i < BATCH_ROUND; i++)
		tokens[i] = start_call(self->fd, i);
	ASSERT_TRUE(put(self->out, 100, 104));
	receiver = kt_start(KT_THREAD, held_recv, h);
	ASSERT_TRUE(kt_stalled(&h->stall));
	for (unsigned int i = 0; i < BATCH_ROUND; i++)
		ASSERT_EQ(0, kipc_cancel(self->fd, tokens[i]));
	kt_release(&h->stall);
	ASSERT_EQ(4, kt_join(receiver));
	for (unsigned int i = 0; i < 4; i++)
		EXPECT_TRUE(held_got(h, i, 100 + i));
	EXPECT_TRUE(kt_quiet(self->fd));

	/* nothing is behind them: it says so, or waits */
	for (unsigned int i = 0; i < 3; i++)
		tokens[i] = start_call(self->fd, i);
	h = held_new(self->fd, 1);
	receiver = kt_start(KT_THREAD, held_recv, h);
	ASSERT_TRUE(kt_stalled(&h->stall));
	for (unsigned int i = 0; i < 3; i++)
		ASSERT_EQ(0, kipc_cancel(self->fd, tokens[i]));
	kt_release(&h->stall);
	ASSERT_EQ(-EAGAIN, kt_join(receiver));
	EXPECT_EQ(0, h->results[0].token);
	EXPECT_TRUE(kt_quiet(self->fd));
}

/* The same with a message that was handed to a receiver who waited */
TEST_F(stall, p07_the_one_that_was_handed_over_leaves)
{
	struct held *h = held_new(self->fd, 0);
	struct kt_job *receiver;
	uint64_t token;

	h->deadline = KIPC_FOREVER;
	receiver = kt_start(KT_THREAD, held_recv, h);
	ASSERT_TRUE(kt_asleep(receiver));
	token = start_call(self->fd, 50);
	ASSERT_TRUE(kt_stalled(&h->stall));
	ASSERT_TRUE(put(self->out, 0, 3));
	ASSERT_EQ(0, kipc_cancel(self->fd, token));
	kt_release(&h->stall);
	ASSERT_EQ(3, kt_join(receiver));
	for (unsigned int i = 0; i < 3; i++)
		EXPECT_TRUE(held_got(h, i, i));
	EXPECT_TRUE(kt_quiet(self->fd));

	/* with nothing behind it, it waits on, and takes the next */
	h = held_new(self->fd, 0);
	h->deadline = KIPC_FOREVER;
	receiver = kt_start(KT_THREAD, held_recv, h);
	ASSERT_TRUE(kt_asleep(receiver));
	token = start_call(self->fd, 50);
	ASSERT_TRUE(kt_stalled(&h->stall));
	ASSERT_EQ(0, kipc_cancel(self->fd, token));
	kt_release(&h->stall);
	ASSERT_TRUE(kt_asleep(receiver));
	ASSERT_TRUE(put(self->out, 7, 8));
	ASSERT_EQ(1, kt_join(receiver));
	EXPECT_TRUE(held_got(h, 0, 7));
	EXPECT_TRUE(kt_quiet(self->fd));
}

/* A blocked sender's message was claimed from it directly, and it leaves */
TEST_F(stall, p03_a_blocked_sender_interrupted)
{
	const struct kipc_attr attr = { .max_size = SIZE, .max_msgs = 5, .max_bytes = 5 * SIZE };
	int fd = kt_private(self->dev, 0, &attr);
	struct held *h = held_new(fd, 3);
	struct kt_job *job, *receiver;
	struct batch *blocked = batch_new(fd);

	kt_catch(SIGUSR1, 0);
	self->out->fd = fd;
	ASSERT_TRUE(put(self->out, 0, 5));
	/* the sixth waits, of a batch whose seventh is not there yet */
	batch_add(blocked, 5, 0, SIZE);
	batch_add(blocked, 6, 0, SIZE);
	job = kt_start(KT_THREAD, batch_send, blocked);
	ASSERT_TRUE(kt_asleep(job));
	receiver = kt_start(KT_THREAD, held_recv, h);
	ASSERT_TRUE(kt_stalled(&h->stall));
	ASSERT_TRUE(kt_signal(job, SIGUSR1));
	EXPECT_EQ(-EINTR, kt_join(job));
	kt_release(&h->stall);
	ASSERT_EQ(5, kt_join(receiver));
	for (unsigned int i = 0; i < 5; i++)
		EXPECT_TRUE(held_got(h, i, i));
	EXPECT_TRUE(kt_quiet(fd));
	close(fd);
}

/* ---- the receiver's own fate ---- */

static void put_with_sync(struct __test_metadata *_metadata, FIXTURE_DATA(stall) *self,
			  struct kt_job **sync)
{
	ASSERT_TRUE(put(self->out, 0, 6));
	*sync = leaver_start(self->fd, SYNC_SIGNAL, 6, KIPC_FOREVER);
	ASSERT_TRUE(put(self->out, 7, MANY));
}

TEST_F(stall, p02_killed)
{
	static const unsigned int ats[] = { 0, 5, 6, 7, 15 };

	for (unsigned int i = 0; i < ARRAY_SIZE(ats); i++) {
		struct held *h = held_new(self->fd, ats[i]);
		struct kt_job *sync, *receiver;

		put_with_sync(_metadata, self, &sync);
		receiver = kt_start(KT_FORK, held_recv, h);
		ASSERT_TRUE(kt_stalled(&h->stall));
		ASSERT_EQ(KT_DIED - SIGKILL, kt_kill(receiver));
		ASSERT_EQ(MANY, kt_stat(self->fd).msgs);
		ASSERT_EQ(MANY * SIZE, kt_stat(self->fd).bytes);
		ASSERT_TRUE(kt_asleep(sync));
		ASSERT_TRUE(batch_queued(self->fd, 0, MANY));
		ASSERT_EQ(0, kt_join(sync));
	}
}

/* In the second round: what the first took was its own */
TEST_F(stall, p02_killed_later)
{
	struct held *h = held_new(self->fd, 17);
	struct kt_job *receiver;

	ASSERT_TRUE(put(self->out, 0, MANY));
	receiver = kt_start(KT_FORK, held_recv, h);
	ASSERT_TRUE(kt_stalled(&h->stall));
	ASSERT_EQ(KT_DIED - SIGKILL, kt_kill(receiver));
	EXPECT_TRUE(batch_queued(self->fd, BATCH_ROUND, MANY - BATCH_ROUND));
}

TEST_F(stall, p02_shut_down)
{
	int other = kt_again(self->dev, kt_id(self->fd), KIPC_RIGHT_RECV);
	struct held *h = held_new(other, 6);
	struct kt_job *sync, *receiver;

	put_with_sync(_metadata, self, &sync);
	receiver = kt_start(KT_THREAD, held_recv, h);
	ASSERT_TRUE(kt_stalled(&h->stall));
	EXPECT_EQ(0, kipc_shutdown(other));
	kt_release(&h->stall);
	EXPECT_EQ(-ESHUTDOWN, kt_join(receiver));
	/* what was told of the first is taken back */
	EXPECT_EQ(0, h->results[0].deliveries);
	EXPECT_EQ(0, h->results[0].token);
	EXPECT_TRUE(kt_asleep(sync));
	EXPECT_TRUE(batch_queued(self->fd, 0, MANY));
	EXPECT_EQ(0, kt_join(sync));
	close(other);
}

/* In the second round: the first was received, and is told */
TEST_F(stall, p02_shut_down_later)
{
	int other = kt_again(self->dev, kt_id(self->fd), KIPC_RIGHT_RECV);
	struct held *h = held_new(other, 17);
	struct kt_job *receiver;

	ASSERT_TRUE(put(self->out, 0, MANY));
	receiver = kt_start(KT_THREAD, held_recv, h);
	ASSERT_TRUE(kt_stalled(&h->stall));
	EXPECT_EQ(0, kipc_shutdown(other));
	kt_release(&h->stall);
	ASSERT_EQ(BATCH_ROUND, kt_join(receiver));
	for (unsigned int i = 0; i < BATCH_ROUND; i++)
		EXPECT_TRUE(held_got(h, i, i));
	EXPECT_TRUE(batch_queued(self->fd, BATCH_ROUND, MANY - BATCH_ROUND));
	close(other);
}

TEST_F(stall, p08_removed)
{
	struct held *h = held_new(self->fd, 6);
	struct kt_job *sync, *receiver;

	put_with_sync(_metadata, self, &sync);
	receiver = kt_start(KT_THREAD, held_recv, h);
	ASSERT_TRUE(kt_stalled(&h->stall));
	EXPECT_EQ(0, kipc_remove(self->fd, 0));
	EXPECT_EQ(-EIDRM, kt_join(sync));
	EXPECT_FALSE(receiver->done);
	kt_release(&h->stall);
	EXPECT_EQ(-EIDRM, kt_join(receiver));
}

TEST_F(stall, p08_removed_later)
{
	struct held *h = held_new(self->fd, 17);
	struct kt_job *receiver;

	ASSERT_TRUE(put(self->out, 0, MANY));
	receiver = kt_start(KT_THREAD, held_recv, h);
	ASSERT_TRUE(kt_stalled(&h->stall));
	EXPECT_EQ(0, kipc_remove(self->fd, 0));
	kt_release(&h->stall);
	ASSERT_EQ(BATCH_ROUND, kt_join(receiver));
	for (unsigned int i = 0; i < BATCH_ROUND; i++)
		EXPECT_TRUE(held_got(h, i, i));
}

TEST_F(stall, p11_its_right_is_taken_away)
{
	struct held *h = held_new(self->dev, 6);
	struct kt_job *receiver;

	h->endpoint = kt_id(self->fd);
	ASSERT_EQ(0, kt_chmod(self->fd, 0, 0604));
	ASSERT_TRUE(put(self->out, 0, MANY));
	receiver = kt_start(KT_AS(KT_UID_A), held_recv, h);
	ASSERT_TRUE(kt_stalled(&h->stall));
	ASSERT_EQ(0, kt_chmod(self->fd, 0, 0600));
	kt_release(&h->stall);
	EXPECT_EQ(-EACCES, kt_join(receiver));
	EXPECT_TRUE(batch_queued(self->fd, 0, MANY));
}

/* A copy is not broken off by a signal or a deadline: what was copied is received */
TEST_F(stall, p14_signal_and_deadline_in_the_middle)
{
	struct held *h = held_new(self->fd, 6);
	struct kt_job *receiver;

	kt_catch(SIGUSR1, 0);
	ASSERT_TRUE(put(self->out, 0, MANY));
	h->deadline = kt_in_ms(300);
	receiver = kt_start(KT_THREAD, held_recv, h);
	ASSERT_TRUE(kt_stalled(&h->stall));
	ASSERT_TRUE(kt_signal(receiver, SIGUSR1));
	ASSERT_TRUE(kt_until(kt_now() > h->deadline));
	kt_release(&h->stall);
	ASSERT_EQ(MANY, kt_join(receiver));
	for (unsigned int i = 0; i < MANY; i++)
		EXPECT_TRUE(held_got(h, i, i));
	EXPECT_TRUE(kt_quiet(self->fd));
}

/* ---- nobody waits for it ---- */

TEST_F(stall, p03_others_get_on)
{
	struct held *h = held_new(self->fd, 6);
	struct batch *in = batch_new(self->fd);
	struct kt_job *receiver, *other, *sync;

	ASSERT_TRUE(put(self->out, 0, MANY));
	receiver = kt_start(KT_THREAD, held_recv, h);
	ASSERT_TRUE(kt_stalled(&h->stall));
	/* what it has not claimed */
	EXPECT_EQ(MANY - BATCH_ROUND, batch_take(in, KIPC_BATCH_MAX));
	EXPECT_TRUE(batch_got(in, MANY - BATCH_ROUND, BATCH_ROUND));
	/* and what comes */
	ASSERT_TRUE(put(self->out, 200, 203));
	EXPECT_EQ(3, batch_take(in, KIPC_BATCH_MAX));
	EXPECT_TRUE(batch_got(in, 3, 200));
	in->timeout = -1;
	other = kt_start(KT_THREAD, batch_recv, in);
	ASSERT_TRUE(kt_asleep(other));
	sync = kt_start(KT_THREAD, leaver_main, ({
		struct leaver *l = kt_new(struct leaver);

		*l = (struct leaver){ .fd = self->fd, .way = SYNC_SIGNAL, .type = 9,
				      .deadline = KIPC_FOREVER };
		kt_fill(l->bytes, SIZE, 9);
		l;
	}));
	EXPECT_EQ(0, kt_join(sync));
	EXPECT_EQ(1, kt_join(other));
	EXPECT_TRUE(batch_got(in, 1, 9));
	EXPECT_FALSE(receiver->done);
	kt_release(&h->stall);
	ASSERT_EQ(BATCH_ROUND, kt_join(receiver));
	EXPECT_TRUE(kt_quiet(self->fd));
}

/* What is put back goes to who waits for it, the rest into its place */
TEST_F(stall, p01_what_is_put_back_finds_who_waits_for_it)
{
	struct held *h = held_new(self->fd, 6);
	struct batch *in = batch_new(self->fd);
	struct kt_job *receiver, *other;

	ASSERT_TRUE(put(self->out, 0, BATCH_ROUND));
	receiver = kt_start(KT_FORK, held_recv, h);
	ASSERT_TRUE(kt_stalled(&h->stall));
	in->flags = KIPC_TYPE_EQ;
	in->type = 0;
	in->count = 10;
	in->len = BATCH_ROOM;
	other = kt_start(KT_THREAD, batch_recv, in);
	ASSERT_TRUE(kt_asleep(other));
	ASSERT_TRUE(put(self->out, BATCH_ROUND, MANY));
	ASSERT_EQ(KT_DIED - SIGKILL, kt_kill(receiver));
	EXPECT_EQ(1, kt_join(other));
	EXPECT_TRUE(batch_got(in, 1, 0));
	EXPECT_TRUE(batch_queued(self->fd, 1, MANY - 1));
}

/* Those that are claimed keep their room until they are received */
TEST_F(stall, p02_claims_keep_their_room)
{
	const struct kipc_attr attr = { .max_size = SIZE, .max_msgs = MANY,
					.max_bytes = MANY * SIZE };
	int fd = kt_private(self->dev, 0, &attr);
	struct held *h = held_new(fd, 6);
	struct kt_job *receiver;

	self->out->fd = fd;
	ASSERT_TRUE(put(self->out, 0, MANY));
	receiver = kt_start(KT_FORK, held_recv, h);
	ASSERT_TRUE(kt_stalled(&h->stall));
	EXPECT_EQ(MANY, kt_stat(fd).msgs);
	batch_clear(self->out);
	batch_add(self->out, 77, 9, SIZE);
	EXPECT_EQ(-EAGAIN, batch_send(self->out));
	ASSERT_EQ(KT_DIED - SIGKILL, kt_kill(receiver));
	EXPECT_EQ(-EAGAIN, batch_send(self->out));
	EXPECT_TRUE(batch_queued(fd, 0, MANY));
	close(fd);
}

/* ---- a sender ---- */

struct held_sender {
	int fd;
	unsigned int at;
	struct kt_stall stall;
};

static long held_send(void *arg)
{
	struct held_sender *h = arg;
	struct batch *b = batch_new(h->fd);
	struct kipc_op_send_batch op = { .deadline = KIPC_FOREVER, .count = MANY };

	for (unsigned int i = 0; i < MANY; i++)
		batch_add(b, i, 0, SIZE);
	kt_stall_init(&h->stall, 0x77);
	op.base = kt_ptr(h->stall.page - h->at * SIZE);
	op.len = MANY * SIZE;
	op.msgs = kt_ptr(b->msgs);
	memcpy(h->stall.page - h->at * SIZE, b->buf, h->at * SIZE);
	return kt_op_send_batch(h->fd, &op);
}

TEST_F(stall, p03_nobody_waits_for_a_sender_that_is_held)
{
	static const unsigned int ats[] = { 0, 5, 15, 16, 19 };
	struct batch *in = batch_new(self->fd);

	for (unsigned int i = 0; i < ARRAY_SIZE(ats); i++) {
		struct held_sender *h = kt_new(struct held_sender);
		struct kt_job *job;
		unsigned int got = 0;

		h->fd = self->fd;
		h->at = ats[i];
		job = kt_start(KT_THREAD, held_send, h);
		ASSERT_TRUE(kt_stalled(&h->stall));
		/* what it has sent so far, if anything, and others' */
		ASSERT_TRUE(put(self->out, 100, 101));
		do {
			ASSERT_EQ(1, batch_take(in, 1));
			if (in->results[0].type != 100) {
				ASSERT_TRUE(batch_got(in, 1, got));
				got++;
			}
		} while (in->results[0].type != 100);
		ASSERT_LE(got, ats[i]);
		ASSERT_FALSE(job->done);
		kt_release(&h->stall);
		ASSERT_EQ(MANY, kt_join(job));
		for (unsigned int j = got; j < MANY; j++) {
			ASSERT_EQ(1, batch_take(in, 1));
			ASSERT_EQ(j, in->results[0].type);
			/* those behind have what the page held then */
			ASSERT_TRUE(j < ats[i] ? kt_filled(in->buf, SIZE, j) :
						 in->buf[SIZE - 1] == 0x77);
		}
		ASSERT_TRUE(kt_quiet(self->fd));
	}
}

TEST_F(stall, p03_a_sender_that_is_killed_then)
{
	static const unsigned int ats[] = { 0, 5, 15, 16, 19 };
	struct batch *in = batch_new(self->fd);

	for (unsigned int i = 0; i < ARRAY_SIZE(ats); i++) {
		struct held_sender *h = kt_new(struct held_sender);
		struct kt_job *job;
		long n;

		h->fd = self->fd;
		h->at = ats[i];
		job = kt_start(KT_FORK, held_send, h);
		ASSERT_TRUE(kt_stalled(&h->stall));
		ASSERT_EQ(KT_DIED - SIGKILL, kt_kill(job));
		/* the first ones, or none, but whole ones */
		n = batch_take(in, KIPC_BATCH_MAX);
		ASSERT_TRUE(n == -EAGAIN || (n > 0 && n <= ats[i]));
		ASSERT_TRUE(batch_got(in, n > 0 ? n : 0, 0));
		ASSERT_TRUE(kt_quiet(self->fd));
	}
}

TEST_HARNESS_MAIN
