// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What becomes of a pinned payload: deaths, signals, deadlines, removal and failing
 * receives meet it in each state, while it is blocked, queued, being copied by a
 * receiver that its own memory holds in the middle, and delivered. Each test runs with
 * payloads that are pinned and with such that are copied.
 */
#include "harness.h"
#include "pinned.h"

#define SIZE	70001		/* of the payload; it begins unaligned */
#define BEFORE	30000		/* what a receiver gets before it is held */
#define SEED	7
#define ROOM	(96UL << 10)	/* of a receiver */
#define MSGS	2		/* that the endpoint has room for */

FIXTURE(pinned_fate) {
	int dev;
	int srv;
	int cli;
	long base;		/* pins before */
	long made;		/* ... that were made before */
	bool idle;		/* the test has nothing to do in this variant */
	struct sender *s;
	struct sender *second;
	struct taker *t;
	char *got;
	struct kipc_result result;
};

FIXTURE_VARIANT(pinned_fate) {
	bool call;
	bool pinned;
};

FIXTURE_VARIANT_ADD(pinned_fate, send_pinned) { .call = false, .pinned = true };
FIXTURE_VARIANT_ADD(pinned_fate, send_copied) { .call = false, .pinned = false };
FIXTURE_VARIANT_ADD(pinned_fate, call_pinned) { .call = true, .pinned = true };
FIXTURE_VARIANT_ADD(pinned_fate, call_copied) { .call = true, .pinned = false };

static void sender_init(struct sender *s, int fd, bool call, size_t size, unsigned int seed)
{
	char *memory = private_memory(size + PAGE);

	*s = (struct sender){
		.fd = fd, .call = call, .type = seed, .buf = memory + 123, .size = size,
		.room = kt_shared(64), .room_size = 64,
	};
	kt_fill(s->buf, size, seed);
}

FIXTURE_SETUP(pinned_fate)
{
	struct kipc_attr attr = { .max_size = ROOM, .max_msgs = MSGS, .max_bytes = 4 * ROOM };

	kt_set_param("pin_min", variant->pinned ? PIN_MIN : 0);
	self->base = kt_pins_held();
	self->made = kt_pins_made();
	self->dev = kt_device();
	self->srv = kt_private_mode(self->dev, 0, 0666, &attr);
	self->cli = kt_again(self->dev, kt_id(self->srv), KIPC_RIGHT_SEND);
	ASSERT_LE(0, self->cli);
	self->s = kt_new(struct sender);
	sender_init(self->s, self->cli, variant->call, SIZE, SEED);
	self->second = kt_new(struct sender);
	sender_init(self->second, self->cli, variant->call, SIZE, SEED + 1);
	self->t = kt_new(struct taker);
	self->t->fd = self->srv;
	self->t->stalls = true;
	self->t->before = BEFORE;
	self->t->room = ROOM;
	self->t->out = kt_shared(ROOM);
	self->got = kt_shared(ROOM);
}

FIXTURE_TEARDOWN(pinned_fate)
{
	kt_restore_params();
	close(self->cli);
	close(self->srv);
	close(self->dev);
	/* What was pinned by whom is unpinned, however it ended */
	EXPECT_TRUE(kt_until(kt_pins_held() == self->base));
	/* ... and that it was pinned, or was not, is no matter of luck */
	uint64_t made = kt_pins_made() - self->made;
	uint64_t least = variant->pinned && !self->idle ? pages_of(self->s->buf, SIZE) : 0;

	EXPECT_LE(least, made);
	EXPECT_TRUE(variant->pinned || !made);
}

/* Pages that one sender has pinned while it waits */
#define PAGES (variant->pinned ? pages_of(self->s->buf, SIZE) : 0)
#define pinned() (kt_pins_held() - self->base)

/* Brings the sender to where its message is in the queue */
#define queue_it() do {							\
	sender_start(self->s);						\
	await_asleep(self->s);						\
	ASSERT_EQ(1, kt_stat(self->srv).msgs);				\
	EXPECT_EQ(SIZE, kt_stat(self->srv).bytes);			\
	EXPECT_EQ(PAGES, pinned());					\
} while (0)

/* ... where it waits for room */
#define block_it() do {							\
	for (int _i = 0; _i < MSGS; _i++)				\
		ASSERT_EQ(0, kt_send(self->cli, 0, 100 + _i, 0, "full", 4));	\
	sender_start(self->s);						\
	await_asleep(self->s);						\
	ASSERT_EQ(MSGS, kt_stat(self->srv).msgs);			\
	EXPECT_EQ(1, kt_stat(self->srv).waiters);			\
	EXPECT_EQ(PAGES, pinned());					\
} while (0)

/* ... and where a receiver is held in the middle of its copy */
#define claim_it() do {							\
	queue_it();							\
	taker_start(self->t);						\
	await_stalled(self->t);						\
	ASSERT_EQ(0, polled(self->srv) & POLLIN);			\
	EXPECT_EQ(PAGES, pinned());					\
} while (0)

#define take_those_before() do {					\
	for (int _i = 0; _i < MSGS; _i++)				\
		ASSERT_EQ(4, kt_recv(self->srv, 0, 0, 0, self->got, ROOM, &self->result)); \
} while (0)

/* Whether the receiver saw all of the message with @seed */
static bool seen_whole(const struct taker *t, unsigned int seed)
{
	return t->ret == SIZE && t->result.size == SIZE && t->result.type == seed &&
	       !(t->result.flags & KIPC_RESULT_TRUNCATED) &&
	       kt_filled(t->out, SIZE, seed) && kt_poisoned(t->out + SIZE, t->room - SIZE);
}

/* ... and has received it, for the first time */
static bool taken_whole(const struct taker *t, unsigned int seed)
{
	return seen_whole(t, seed) && t->result.deliveries == 1;
}

/* The test itself takes the message with @seed, and answers it; its sender is told */
#define expect_whole(s, seed) do {					\
	kt_poison(self->got, ROOM);					\
	ASSERT_EQ(SIZE, kt_recv(self->srv, 0, 0, 0, self->got, ROOM, &self->result)); \
	EXPECT_TRUE(kt_filled(self->got, SIZE, seed));			\
	EXPECT_TRUE(kt_poisoned(self->got + SIZE, ROOM - SIZE));	\
	EXPECT_EQ(1, self->result.deliveries);				\
	EXPECT_EQ(SIZE, self->result.size);				\
	EXPECT_EQ(seed, self->result.type);				\
	expect_told(s, self->result.token);				\
} while (0)

#define expect_told(s, taken) do {					\
	if ((s)->call)							\
		ASSERT_EQ(0, kt_reply(self->srv, taken, 0, "reply", 5));	\
	ASSERT_EQ((s)->call ? 5 : 0, kt_join((s)->kt));			\
	if ((s)->call)							\
		EXPECT_EQ(KIPC_RESULT_DELIVERED, (s)->result.flags);	\
} while (0)

#define expect_nothing() do {						\
	EXPECT_EQ(-EAGAIN, kt_recv(self->srv, 0, 0, 0, self->got, ROOM, &self->result)); \
	EXPECT_TRUE(kt_quiet(self->srv));				\
	EXPECT_TRUE(kt_until(!pinned()));				\
} while (0)

/*
 * The sender has left while somebody is held in the middle of its payload: it has its
 * memory for itself, and none of it is pinned any more
 */
#define expect_let_go() do {						\
	EXPECT_TRUE(kt_until(!pinned()));				\
	EXPECT_FALSE(self->t->done);					\
} while (0)

/* ... and what it has written there since is never seen */
#define expect_unseen() EXPECT_FALSE(scribbled(self->t->out, self->t->room))

/* ---- the sender dies ---- */

TEST_F(pinned_fate, p03_sender_killed_while_queued)
{
	queue_it();
	ASSERT_TRUE(sender_kill(self->s));
	expect_nothing();
	sender_start(self->second);
	await_asleep(self->second);
	expect_whole(self->second, SEED + 1);
	expect_nothing();
}

TEST_F(pinned_fate, p03_sender_killed_while_blocked)
{
	block_it();
	ASSERT_TRUE(sender_kill(self->s));
	EXPECT_EQ(MSGS, kt_stat(self->srv).msgs);
	EXPECT_EQ(0, kt_stat(self->srv).waiters);
	EXPECT_TRUE(kt_until(!pinned()));
	take_those_before();
	expect_nothing();
}

/* It dies at once, and the receiver never sees what it had begun to copy as received */
TEST_F(pinned_fate, p03_sender_killed_while_its_payload_is_copied)
{
	claim_it();
	ASSERT_TRUE(sender_kill(self->s));
	expect_let_go();
	sender_start(self->second);
	await_asleep(self->second);
	kt_release(&self->t->held);
	ASSERT_EQ(SIZE, kt_join(self->t->kt));
	EXPECT_TRUE(taken_whole(self->t, SEED + 1));
	/* a call's taker has died with it */
	EXPECT_EQ(variant->call ? -ECONNRESET : 0, kt_join(self->second->kt));
	expect_nothing();
}

TEST_F(pinned_fate, p03_sender_and_receiver_killed_during_the_copy)
{
	claim_it();
	ASSERT_TRUE(sender_kill(self->s));
	ASSERT_EQ(KT_DIED - SIGKILL, kt_kill(self->t->kt));
	expect_nothing();
}

/* The receiver first: then it is back in the queue, and goes with its sender */
TEST_F(pinned_fate, p02_receiver_killed_and_then_the_sender)
{
	claim_it();
	ASSERT_EQ(KT_DIED - SIGKILL, kt_kill(self->t->kt));
	ASSERT_EQ(1, kt_stat(self->srv).msgs);
	EXPECT_EQ(PAGES, pinned());
	ASSERT_TRUE(sender_kill(self->s));
	expect_nothing();
}

TEST_F(pinned_fate, p07_caller_killed_after_the_delivery)
{
	self->idle = !variant->call;
	if (self->idle)
		return;
	queue_it();
	ASSERT_EQ(SIZE, kt_recv(self->srv, 0, 0, 0, self->got, ROOM, &self->result));
	/* it still waits, but for the reply */
	EXPECT_EQ(0, pinned());
	await_asleep(self->s);
	ASSERT_TRUE(sender_kill(self->s));
	EXPECT_TRUE(kt_filled(self->got, SIZE, SEED));
	EXPECT_EQ(-ECANCELED, kt_reply(self->srv, self->result.token, 0, "late", 4));
	expect_nothing();
}

/* ---- the receiver fails: the message is in its place ---- */

TEST_F(pinned_fate, p02_receiver_killed_during_the_copy)
{
	claim_it();
	ASSERT_EQ(0, kt_send(self->cli, 0, 9, 0, "behind", 6));
	ASSERT_EQ(KT_DIED - SIGKILL, kt_kill(self->t->kt));
	EXPECT_EQ(2, kt_stat(self->srv).msgs);
	EXPECT_EQ(SIZE + 6, kt_stat(self->srv).bytes);
	EXPECT_EQ(PAGES, pinned());
	expect_whole(self->s, SEED);
	EXPECT_EQ(6, kt_recv(self->srv, 0, 0, 0, self->got, ROOM, &self->result));
	expect_nothing();
}

TEST_F(pinned_fate, p02_receiver_without_room_or_memory)
{
	struct kipc_op_recv op;

	queue_it();
	ASSERT_EQ(0, kt_send(self->cli, 0, 9, 0, "behind", 6));
	for (unsigned int i = 0; i < 3; i++) {
		/* it faults after some pages */
		op = kt_recv_op(kt_hole() - BEFORE, ROOM, &self->result);
		op.flags = KIPC_NONBLOCK;
		EXPECT_EQ(-EFAULT, kt_op_recv(self->srv, &op));
		op = kt_recv_op(self->got, SIZE - 1, &self->result);
		op.flags = KIPC_NONBLOCK | KIPC_ANYSIZE;
		EXPECT_EQ(-EMSGSIZE, kt_op_recv(self->srv, &op));
		EXPECT_EQ(SIZE, self->result.size);
		/* all of it can be stored, but not what it was */
		op = kt_recv_op(self->got, ROOM, (void *)kt_hole());
		op.flags = KIPC_NONBLOCK;
		EXPECT_EQ(-EFAULT, kt_op_recv(self->srv, &op));
	}
	EXPECT_EQ(2, kt_stat(self->srv).msgs);
	EXPECT_EQ(PAGES, pinned());
	EXPECT_FALSE(self->s->done);
	expect_whole(self->s, SEED);
	EXPECT_EQ(6, kt_recv(self->srv, 0, 0, 0, self->got, ROOM, &self->result));
	expect_nothing();
}

TEST_F(pinned_fate, p02_truncated_to_the_room)
{
	static const size_t rooms[] = { 0, 1, PAGE - 1, BEFORE, SIZE - 1 };

	for (unsigned int i = 0; i < sizeof(rooms) / sizeof(rooms[0]); i++) {
		queue_it();
		kt_poison(self->got, ROOM);
		ASSERT_EQ(rooms[i], kt_recv(self->srv, 0, KIPC_TRUNCATE, 0, self->got, rooms[i],
					    &self->result));
		EXPECT_EQ(KIPC_RESULT_TRUNCATED,
			  self->result.flags & KIPC_RESULT_TRUNCATED);
		EXPECT_EQ(SIZE, self->result.size);
		EXPECT_TRUE(kt_filled(self->got, rooms[i], SEED));
		EXPECT_TRUE(kt_poisoned(self->got + rooms[i], ROOM - rooms[i]));
		expect_told(self->s, self->result.token);
		expect_nothing();
	}
}

TEST_F(pinned_fate, p02_shutdown_during_the_copy)
{
	int other = kt_again(self->dev, kt_id(self->srv), KIPC_RIGHT_RECV);

	ASSERT_LE(0, other);
	self->t->fd = other;
	claim_it();
	ASSERT_EQ(0, kipc_shutdown(other));
	kt_release(&self->t->held);
	ASSERT_EQ(-ESHUTDOWN, kt_join(self->t->kt));
	EXPECT_EQ(PAGES, pinned());
	expect_whole(self->s, SEED);
	expect_nothing();
	close(other);
}

/* ---- signals ---- */

enum way { RESTART, INTERRUPT, NORESTART, WAYS };

/* How the sender's process meets signals */
static void set_way(struct sender *s, enum way way)
{
	s->catches = true;
	s->sa_flags = way == INTERRUPT ? 0 : SA_RESTART;
	s->flags = way == NORESTART ? KIPC_NORESTART : 0;
}

/* EINTR, and nothing is left to go on with */
#define expect_withdrawn() do {						\
	ASSERT_EQ(-EINTR, kt_join(self->s->kt));			\
	EXPECT_EQ(1, self->s->handled);					\
	if (variant->call) {						\
		EXPECT_EQ(0, self->s->op.rpc.token);			\
		EXPECT_EQ(0, self->s->result.token);			\
		EXPECT_EQ(0, self->s->result.flags);			\
	}								\
} while (0)

TEST_F(pinned_fate, p05_signal_while_queued)
{
	for (enum way way = 0; way < WAYS; way++) {
		set_way(self->s, way);
		queue_it();
		for (int i = 0; i < 3; i++) {
			ASSERT_TRUE(sender_signal(self->s));
			if (way != RESTART)
				break;
			await_asleep(self->s);
			EXPECT_EQ(1, kt_stat(self->srv).msgs);
			EXPECT_EQ(PAGES, pinned());
		}
		if (way == RESTART)
			expect_whole(self->s, SEED);
		else
			expect_withdrawn();
		expect_nothing();
	}
}

TEST_F(pinned_fate, p05_signal_while_blocked)
{
	for (enum way way = 0; way < WAYS; way++) {
		set_way(self->s, way);
		block_it();
		ASSERT_TRUE(sender_signal(self->s));
		if (way == RESTART) {
			await_asleep(self->s);
			EXPECT_EQ(1, kt_stat(self->srv).waiters);
			EXPECT_EQ(PAGES, pinned());
			take_those_before();
			expect_whole(self->s, SEED);
		} else {
			expect_withdrawn();
			EXPECT_TRUE(kt_until(!pinned()));
			take_those_before();
		}
		expect_nothing();
	}
}

/*
 * A pinned payload cannot outlive the system call: it is withdrawn as if it were still
 * queued, and what the receiver has copied is discarded. A call whose payload the kernel
 * has goes on by its token.
 */
TEST_F(pinned_fate, p05_signal_during_the_copy)
{
	bool goes_on = variant->call && !variant->pinned;

	self->t->stays = true;
	for (enum way way = 0; way < WAYS; way++) {
		uint64_t token;

		set_way(self->s, way);
		claim_it();
		ASSERT_TRUE(sender_signal(self->s));
		if (way != RESTART && goes_on) {
			ASSERT_EQ(-EINTR, kt_join(self->s->kt));
			EXPECT_NE(0, self->s->op.rpc.token);
			kt_release(&self->t->held);
			await(self->t->done);
			EXPECT_TRUE(taken_whole(self->t, SEED));
			ASSERT_LE(0, kipc_cancel(self->cli, self->s->op.rpc.token));
			EXPECT_EQ(-ECANCELED, kt_reply(self->srv, self->t->result.token, 0, "", 0));
		} else if (way != RESTART) {
			expect_withdrawn();
			expect_let_go();
			/* its receiver takes the next message */
			ASSERT_EQ(0, kt_send(self->cli, 0, 9, 0, "next", 4));
			kt_release(&self->t->held);
			await(self->t->done);
			EXPECT_EQ(4, self->t->ret);
			EXPECT_EQ(9, self->t->result.type);
			expect_unseen();
		} else {
			await_asleep(self->s);
			token = variant->call ? self->s->op.rpc.token : 0;
			EXPECT_EQ(goes_on, token != 0);
			/* withdrawn and sent again, or there as before: once, in any case */
			kt_release(&self->t->held);
			await(self->t->done);
			EXPECT_TRUE(taken_whole(self->t, SEED));
			expect_told(self->s, self->t->result.token);
		}
		ASSERT_EQ(KT_DIED - SIGKILL, kt_kill(self->t->kt));
		expect_nothing();
	}
}

/* From the commit on a call goes on under its token, whatever its payload was */
TEST_F(pinned_fate, p05_signal_after_the_delivery)
{
	char reply[8];

	self->idle = !variant->call;
	if (self->idle)
		return;
	for (enum way way = 0; way < WAYS; way++) {
		uint64_t taken, token;

		set_way(self->s, way);
		queue_it();
		ASSERT_EQ(SIZE, kt_recv(self->srv, 0, 0, 0, self->got, ROOM, &self->result));
		taken = self->result.token;
		EXPECT_EQ(0, pinned());
		await_asleep(self->s);
		ASSERT_TRUE(sender_signal(self->s));
		if (way == RESTART) {
			await_asleep(self->s);
			EXPECT_NE(0, self->s->op.rpc.token);
			expect_told(self->s, taken);
		} else {
			struct kipc_op_rpc op = kt_rpc_op(NULL, 0, reply, sizeof(reply),
							  &self->result);

			ASSERT_EQ(-EINTR, kt_join(self->s->kt));
			token = self->s->op.rpc.token;
			EXPECT_NE(0, token);
			ASSERT_EQ(0, kt_reply(self->srv, taken, 0, "reply", 5));
			op.token = token;
			EXPECT_EQ(5, kt_op_rpc(self->cli, &op));
		}
		EXPECT_TRUE(kt_filled(self->got, SIZE, SEED));
		expect_nothing();
	}
}

/* ---- deadlines ---- */

TEST_F(pinned_fate, p14_deadline_while_queued)
{
	self->s->ms = 150;
	sender_start(self->s);
	ASSERT_EQ(-ETIMEDOUT, kt_join(self->s->kt));
	expect_nothing();
}

TEST_F(pinned_fate, p14_deadline_while_blocked)
{
	for (int i = 0; i < MSGS; i++)
		ASSERT_EQ(0, kt_send(self->cli, 0, 1, 0, "full", 4));
	self->s->ms = 150;
	sender_start(self->s);
	ASSERT_EQ(-ETIMEDOUT, kt_join(self->s->kt));
	EXPECT_TRUE(kt_until(!pinned()));
	take_those_before();
	expect_nothing();
}

TEST_F(pinned_fate, p14_deadline_during_the_copy)
{
	self->s->ms = 400;
	sender_start(self->s);
	taker_start(self->t);
	await_stalled(self->t);
	/* at once, though a receiver is at it; what it does to its memory is its own affair */
	ASSERT_EQ(-ETIMEDOUT, kt_join(self->s->kt));
	expect_let_go();
	ASSERT_EQ(0, kt_send(self->cli, 0, 9, 0, "next", 4));
	kt_release(&self->t->held);
	ASSERT_EQ(4, kt_join(self->t->kt));
	expect_unseen();
	EXPECT_EQ(9, self->t->result.type);
	EXPECT_EQ(4, self->t->result.size);
	EXPECT_EQ(0, self->t->result.token);
	expect_nothing();
}

TEST_F(pinned_fate, p14_deadline_after_the_delivery)
{
	self->idle = !variant->call;
	if (self->idle)
		return;
	self->s->ms = 400;
	sender_start(self->s);
	await_stat(self->srv, msgs, 1);
	ASSERT_EQ(SIZE, kt_recv(self->srv, 0, 0, 0, self->got, ROOM, &self->result));
	ASSERT_EQ(-ETIMEDOUT, kt_join(self->s->kt));
	EXPECT_EQ(KIPC_RESULT_DELIVERED, self->s->result.flags);
	EXPECT_TRUE(kt_filled(self->got, SIZE, SEED));
	EXPECT_EQ(-ECANCELED, kt_reply(self->srv, self->result.token, 0, "", 0));
	expect_nothing();
}

/* ---- the endpoint ends ---- */

TEST_F(pinned_fate, p08_removal_while_queued)
{
	queue_it();
	ASSERT_EQ(0, kt_remove(self->srv, 0));
	ASSERT_EQ(-EIDRM, kt_join(self->s->kt));
	EXPECT_TRUE(kt_until(!pinned()));
}

TEST_F(pinned_fate, p08_removal_while_blocked)
{
	block_it();
	ASSERT_EQ(0, kt_remove(self->srv, 0));
	ASSERT_EQ(-EIDRM, kt_join(self->s->kt));
	EXPECT_TRUE(kt_until(!pinned()));
}

TEST_F(pinned_fate, p08_removal_during_the_copy)
{
	claim_it();
	ASSERT_EQ(0, kt_remove(self->srv, 0));
	ASSERT_EQ(-EIDRM, kt_join(self->s->kt));
	expect_let_go();
	kt_release(&self->t->held);
	ASSERT_EQ(-EIDRM, kt_join(self->t->kt));
	expect_unseen();
	EXPECT_TRUE(kt_until(!pinned()));
}

TEST_F(pinned_fate, p08_last_receiver_closes_while_queued)
{
	queue_it();
	close(self->srv);
	/* the sender's process has a copy of the descriptor */
	EXPECT_FALSE(self->s->done);
	ASSERT_TRUE(sender_kill(self->s));
	EXPECT_TRUE(kt_until(polled(self->cli) & POLLHUP));
	EXPECT_TRUE(kt_until(!pinned()));
	self->srv = dup(self->cli);
}

TEST_F(pinned_fate, p08_last_receiver_closes_under_a_thread)
{
	/* overwritten only after its end: a thread of ours, with our descriptors */
	sender_start_thread(self->s);
	await_asleep(self->s);
	EXPECT_EQ(PAGES, pinned());
	close(self->srv);
	ASSERT_EQ(-EIDRM, kt_join(self->s->kt));
	EXPECT_TRUE(kt_until(!pinned()));
	self->srv = dup(self->cli);
}

/* Its descriptor is closed under it: the operation keeps the file */
TEST_F(pinned_fate, p03_sender_closes_its_handle_meanwhile)
{
	int fd = kt_again(self->dev, kt_id(self->srv), KIPC_RIGHT_SEND);

	self->s->fd = fd;
	sender_start_thread(self->s);
	await_asleep(self->s);
	close(fd);
	EXPECT_EQ(PAGES, pinned());
	expect_whole(self->s, SEED);
	expect_nothing();
}

/* ---- the right to send is lost ---- */

TEST_F(pinned_fate, p11_sender_loses_its_right)
{
	self->s->fd = self->dev;
	self->s->endpoint = kt_id(self->srv);
	sender_start_as(self->s, KT_AS(KT_UID_B), sender_main_scribble);
	await_asleep(self->s);
	EXPECT_EQ(PAGES, pinned());
	ASSERT_EQ(0, kt_chmod(self->srv, 0, 0600));
	/* admitted: it stays, and is received */
	EXPECT_EQ(1, kt_stat(self->srv).msgs);
	expect_whole(self->s, SEED);
	expect_nothing();

	ASSERT_EQ(0, kt_chmod(self->srv, 0, 0666));
	for (int i = 0; i < MSGS; i++)
		ASSERT_EQ(0, kt_send(self->cli, 0, 1, 0, "full", 4));
	sender_start_as(self->s, KT_AS(KT_UID_B), sender_main_scribble);
	await_asleep(self->s);
	EXPECT_EQ(PAGES, pinned());
	ASSERT_EQ(0, kt_chmod(self->srv, 0, 0600));
	ASSERT_EQ(-EACCES, kt_join(self->s->kt));
	take_those_before();
	expect_nothing();
}

/* ---- room ---- */

TEST_F(pinned_fate, p10_bytes_count_in_the_queue)
{
	struct kipc_endpoint info = kt_stat(self->srv);

	info.attr.max_bytes = 2 * SIZE - 1;
	info.attr.max_size = SIZE;
	ASSERT_EQ(0, kipc_set(self->srv, 0, KIPC_SET_CAPACITY, &info));
	queue_it();
	sender_start(self->second);
	await_asleep(self->second);
	EXPECT_EQ(1, kt_stat(self->srv).msgs);
	EXPECT_EQ(2, kt_stat(self->srv).waiters);
	EXPECT_EQ(2 * PAGES, pinned());
	EXPECT_EQ(-EAGAIN, kt_send(self->cli, 0, 1, 0, self->got, SIZE));
	expect_whole(self->s, SEED);
	EXPECT_EQ(1, kt_stat(self->srv).msgs);
	expect_whole(self->second, SEED + 1);
	expect_nothing();
}

TEST_F(pinned_fate, p13_rendezvous)
{
	struct kipc_attr attr = { .max_size = ROOM };
	int srv = kt_private(self->dev, KIPC_OPEN_RENDEZVOUS, &attr);

	self->s->fd = kt_again(self->dev, kt_id(srv), KIPC_RIGHT_SEND);
	close(self->srv);
	self->srv = srv;
	sender_start(self->s);
	await_asleep(self->s);
	EXPECT_EQ(0, kt_stat(self->srv).msgs);
	EXPECT_EQ(PAGES, pinned());
	expect_whole(self->s, SEED);
	expect_nothing();
	close(self->s->fd);
}

/* ---- PEEK ---- */

TEST_F(pinned_fate, p02_peek_leaves_it_there)
{
	struct kipc_iovec iov[] = {
		{ kt_ptr(self->got), 1 },
		{ kt_ptr(self->got) + 1, PAGE },
		{ kt_ptr(self->got) + 1 + PAGE, ROOM - 1 - PAGE },
	};
	struct kipc_op_recv op = {
		.flags = KIPC_PEEK | KIPC_NONBLOCK,
		.payload = { .base = kt_ptr(iov), .iovcnt = 3 },
		.result = kt_ptr(&self->result),
	};

	queue_it();
	for (int i = 0; i < 3; i++) {
		kt_poison(self->got, ROOM);
		ASSERT_EQ(SIZE, kt_op_recv(self->srv, &op));
		EXPECT_TRUE(kt_filled(self->got, SIZE, SEED));
		EXPECT_TRUE(kt_poisoned(self->got + SIZE, ROOM - SIZE));
		kt_poison(self->got, ROOM);
		ASSERT_EQ(BEFORE, kt_recv(self->srv, 0, KIPC_PEEK | KIPC_TRUNCATE, 0, self->got,
					  BEFORE, &self->result));
		EXPECT_TRUE(kt_filled(self->got, BEFORE, SEED));
		EXPECT_EQ(-EMSGSIZE, kt_recv(self->srv, 0, KIPC_PEEK, 0, self->got, BEFORE,
					     &self->result));
		op.payload = (struct kipc_payload){ .base = kt_ptr(kt_hole() - BEFORE),
						    .len = ROOM };
		EXPECT_EQ(-EFAULT, kt_op_recv(self->srv, &op));
		op.payload = (struct kipc_payload){ .base = kt_ptr(iov), .iovcnt = 3 };
		EXPECT_EQ(1, kt_stat(self->srv).msgs);
		EXPECT_EQ(PAGES, pinned());
	}
	expect_whole(self->s, SEED);
	expect_nothing();
}

/* The peeker is held in the middle of the payload; there is a message behind */
#define peek_at_it() do {						\
	queue_it();							\
	self->t->flags = KIPC_PEEK | KIPC_NONBLOCK;			\
	taker_start(self->t);						\
	await_stalled(self->t);						\
	ASSERT_EQ(0, kt_send(self->cli, 0, 9, 0, "behind", 6));		\
} while (0)

/*
 * The sender is no longer there, and its memory is another's or has been overwritten. What
 * the peeker has is what was sent; if that could not be had it looks again, and sees
 * what is there now.
 */
#define expect_peeked() do {						\
	expect_let_go();						\
	kt_release(&self->t->held);					\
	kt_join(self->t->kt);						\
	expect_unseen();						\
	if (self->t->ret == SIZE) {					\
		EXPECT_TRUE(seen_whole(self->t, SEED));			\
	} else {							\
		EXPECT_TRUE(variant->pinned);				\
		EXPECT_EQ(6, self->t->ret);				\
		EXPECT_EQ(9, self->t->result.type);			\
		EXPECT_EQ(6, self->t->result.size);			\
		EXPECT_EQ(0, memcmp("behind", self->t->out, 6));	\
	}								\
	EXPECT_EQ(6, kt_recv(self->srv, 0, 0, 0, self->got, ROOM, &self->result)); \
	expect_nothing();						\
} while (0)

TEST_F(pinned_fate, p02_sender_killed_while_somebody_peeks)
{
	peek_at_it();
	ASSERT_TRUE(sender_kill(self->s));
	EXPECT_EQ(1, kt_stat(self->srv).msgs);
	expect_peeked();
}

TEST_F(pinned_fate, p14_deadline_while_somebody_peeks)
{
	self->s->ms = 500;
	sender_start(self->s);
	await_stat(self->srv, msgs, 1);
	self->t->flags = KIPC_PEEK | KIPC_NONBLOCK;
	taker_start(self->t);
	await_stalled(self->t);
	ASSERT_EQ(0, kt_send(self->cli, 0, 9, 0, "behind", 6));
	ASSERT_EQ(-ETIMEDOUT, kt_join(self->s->kt));
	expect_peeked();
}

TEST_F(pinned_fate, p05_signal_while_somebody_peeks)
{
	set_way(self->s, INTERRUPT);
	peek_at_it();
	ASSERT_TRUE(sender_signal(self->s));
	expect_withdrawn();
	expect_peeked();
}

/* By the end of the peek the sender has returned, and overwritten its payload */
TEST_F(pinned_fate, p02_received_while_somebody_peeks)
{
	peek_at_it();
	expect_whole(self->s, SEED);
	expect_peeked();
}

TEST_F(pinned_fate, p02_received_in_vain_while_somebody_peeks)
{
	struct taker *other = kt_new(struct taker);

	peek_at_it();
	*other = *self->t;
	other->flags = 0;
	other->out = kt_shared(ROOM);
	taker_start(other);
	await_stalled(other);
	ASSERT_TRUE(sender_kill(self->s));
	ASSERT_EQ(KT_DIED - SIGKILL, kt_kill(other->kt));
	EXPECT_EQ(1, kt_stat(self->srv).msgs);
	expect_peeked();
}

TEST_F(pinned_fate, p08_removal_while_somebody_peeks)
{
	peek_at_it();
	ASSERT_EQ(0, kt_remove(self->srv, 0));
	ASSERT_EQ(-EIDRM, kt_join(self->s->kt));
	kt_release(&self->t->held);
	kt_join(self->t->kt);
	expect_unseen();
	/* it was there when the peek began */
	if (self->t->ret != -EIDRM)
		EXPECT_TRUE(seen_whole(self->t, SEED));
	EXPECT_TRUE(kt_until(!pinned()));
}

TEST_F(pinned_fate, p02_peeker_and_sender_killed)
{
	queue_it();
	self->t->flags = KIPC_PEEK;
	taker_start(self->t);
	await_stalled(self->t);
	ASSERT_EQ(KT_DIED - SIGKILL, kt_kill(self->t->kt));
	EXPECT_EQ(1, kt_stat(self->srv).msgs);
	EXPECT_EQ(PAGES, pinned());
	ASSERT_TRUE(sender_kill(self->s));
	expect_nothing();
}

/* ---- batches ---- */

#define BATCH_ROOM (4 * ROOM)

static struct kipc_op_recv_batch batch_op(void *base, struct kipc_result *results,
					  unsigned int count)
{
	return (struct kipc_op_recv_batch){
		.flags = KIPC_NONBLOCK | KIPC_ANYSIZE,
		.deadline = KIPC_FOREVER,
		.base = kt_ptr(base),
		.len = BATCH_ROOM,
		.results = kt_ptr(results),
		.count = count,
	};
}

/* Where the payload of the next message of a batch begins */
static size_t batch_next(size_t at, size_t size)
{
	return (at + size + KIPC_BATCH_ALIGN - 1) & ~(size_t)(KIPC_BATCH_ALIGN - 1);
}

TEST_F(pinned_fate, p01_in_a_batch_among_others)
{
	struct kipc_attr attr = { .max_size = ROOM, .max_msgs = 8, .max_bytes = 8 * ROOM };
	struct kipc_endpoint info = { .attr = attr };
	struct kipc_result results[8];
	char *got = kt_shared(BATCH_ROOM);
	struct kipc_op_recv_batch op = batch_op(got, results, 8);
	size_t at = 0;

	ASSERT_EQ(0, kipc_set(self->srv, 0, KIPC_SET_CAPACITY, &info));
	ASSERT_EQ(0, kt_send(self->cli, 0, 100, 0, "first", 5));
	sender_start(self->s);
	await_asleep(self->s);
	ASSERT_EQ(0, kt_send(self->cli, 0, 101, 0, "between", 7));
	sender_start(self->second);
	await_asleep(self->second);
	ASSERT_EQ(0, kt_send(self->cli, 0, 102, 0, "last", 4));
	EXPECT_EQ(5, kt_stat(self->srv).msgs);
	EXPECT_EQ(2 * PAGES, pinned());
	kt_poison(got, BATCH_ROOM);
	ASSERT_EQ(5, kt_ioctl(self->srv, KIPC_IOC_RECV_BATCH, &op));
	EXPECT_TRUE(kt_until(!pinned()));
	EXPECT_EQ(0, memcmp("first", got, 5));
	at = batch_next(at, 5);
	EXPECT_EQ(SIZE, results[1].size);
	EXPECT_EQ(SEED, results[1].type);
	EXPECT_TRUE(kt_filled(got + at, SIZE, SEED));
	at = batch_next(at, SIZE);
	EXPECT_EQ(0, memcmp("between", got + at, 7));
	at = batch_next(at, 7);
	EXPECT_EQ(SIZE, results[3].size);
	EXPECT_EQ(SEED + 1, results[3].type);
	EXPECT_TRUE(kt_filled(got + at, SIZE, SEED + 1));
	at = batch_next(at, SIZE);
	EXPECT_EQ(0, memcmp("last", got + at, 4));
	EXPECT_TRUE(kt_poisoned(got + at + 4, BATCH_ROOM - at - 4));
	expect_told(self->s, results[1].token);
	expect_told(self->second, results[3].token);
	expect_nothing();
}

struct batcher {
	int fd;
	struct kt_stall held;
	struct kipc_result results[8];
	char *got;		/* shared: a copy of what it received */
	volatile long ret;
	volatile int done;
	struct kt_job *kt;
};

/* Receives all there is, and is held in the middle of the first payload */
static long batcher_main(void *arg)
{
	struct batcher *b = arg;
	struct kipc_op_recv_batch op;
	char *room = private_memory(BATCH_ROOM);

	madvise(room, BATCH_ROOM, MADV_NOHUGEPAGE);
	kt_stall_at(&b->held, room + BEFORE / PAGE * PAGE, 's');
	op = batch_op(room, b->results, 8);
	b->ret = kt_ioctl(b->fd, KIPC_IOC_RECV_BATCH, &op);
	memcpy(b->got, room, BATCH_ROOM);
	__atomic_store_n(&b->done, 1, __ATOMIC_RELEASE);
	for (;;)
		pause();
	return 0;
}

/*
 * Of three messages of a batch one loses its sender while the first is copied. None is
 * lost, none is seen by half, and those that were received are those that are told.
 */
TEST_F(pinned_fate, p03_senders_killed_under_a_batch)
{
	struct batcher *b = kt_new(struct batcher);
	struct kipc_attr attr = { .max_size = ROOM, .max_msgs = 8, .max_bytes = 8 * ROOM };
	struct kipc_endpoint info = { .attr = attr };
	unsigned int taken;

	b->fd = self->srv;
	b->got = kt_shared(BATCH_ROOM);
	ASSERT_EQ(0, kipc_set(self->srv, 0, KIPC_SET_CAPACITY, &info));
	for (int both = 0; both < 2; both++) {
		size_t at = 0;

		sender_start(self->s);
		await_asleep(self->s);
		sender_start(self->second);
		await_asleep(self->second);
		ASSERT_EQ(0, kt_send(self->cli, 0, 9, 0, "last", 4));
		b->held.stalled = 0;
		b->held.release = 0;
		b->done = 0;
		b->kt = kt_start(KT_FORK, batcher_main, b);
		ASSERT_TRUE(kt_stalled(&b->held));
		ASSERT_TRUE(sender_kill(self->s));
		if (both)
			ASSERT_TRUE(sender_kill(self->second));
		kt_release(&b->held);
		await(b->done);
		taken = b->ret > 0 ? (unsigned int)b->ret : 0;
		for (unsigned int i = 0; i < taken; i++) {
			size_t size = b->results[i].size;

			EXPECT_NE(SEED, b->results[i].type);
			if (b->results[i].type == 9) {
				EXPECT_EQ(4, size);
				EXPECT_EQ(0, memcmp("last", b->got + at, 4));
			} else {
				EXPECT_EQ(SEED + 1, b->results[i].type);
				EXPECT_FALSE(both);
				EXPECT_TRUE(kt_filled(b->got + at, size, SEED + 1));
				expect_told(self->second, b->results[i].token);
			}
			at = batch_next(at, size);
		}
		/* what it did not take is there */
		if (taken < 1 && !both)
			expect_whole(self->second, SEED + 1);
		if (!taken || (taken == 1 && b->results[0].type != 9))
			EXPECT_EQ(4, kt_recv(self->srv, 0, 0, 0, self->got, ROOM, &self->result));
		ASSERT_EQ(KT_DIED - SIGKILL, kt_kill(b->kt));
		expect_nothing();
	}
}

/* ... or it has left by its deadline, and what it keeps there next is its own affair */
TEST_F(pinned_fate, p14_deadline_under_a_batch)
{
	struct batcher *b = kt_new(struct batcher);

	b->fd = self->srv;
	b->got = kt_shared(BATCH_ROOM);
	self->s->ms = 1500;
	sender_start(self->s);
	await_stat(self->srv, msgs, 1);
	sender_start(self->second);
	await_stat(self->srv, msgs, 2);
	b->kt = kt_start(KT_FORK, batcher_main, b);
	ASSERT_TRUE(kt_stalled(&b->held));
	EXPECT_EQ(2 * PAGES, pinned());
	ASSERT_EQ(-ETIMEDOUT, kt_join(self->s->kt));
	EXPECT_TRUE(kt_until(pinned() == PAGES));
	EXPECT_FALSE(b->done);
	kt_release(&b->held);
	await(b->done);
	EXPECT_FALSE(scribbled(b->got, BATCH_ROOM));
	/* the other one is received in its stead */
	ASSERT_EQ(1, b->ret);
	EXPECT_EQ(SEED + 1, b->results[0].type);
	EXPECT_TRUE(kt_filled(b->got, SIZE, SEED + 1));
	expect_told(self->second, b->results[0].token);
	ASSERT_EQ(KT_DIED - SIGKILL, kt_kill(b->kt));
	expect_nothing();
}

TEST_HARNESS_MAIN
