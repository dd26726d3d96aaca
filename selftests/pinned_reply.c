// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Large replies into the pinned buffer of a caller that waits: they arrive whole, nobody
 * writes into that buffer once its caller has left its wait, and whatever goes wrong, the
 * reply is made through the kernel, as without pins. Each test runs both ways.
 */
#include <limits.h>
#include <sys/mount.h>

#include "harness.h"
#include "pinned.h"

#define SIZE	70001		/* of a reply */
#define BEFORE	30000		/* what of it is copied before the replier is held */
#define SEED	5
#define ROOM	(96UL << 10)
#define MAX_SIZE (256UL << 10)
#define OTHER	77		/* that nobody wrote there, but the caller */

/*
 * One who answers, in a process of its own: by REPLY, or by REPLY_RECV, which then
 * finds nothing to receive.
 */
struct replier {
	int fd;
	uint64_t token;
	int status;
	bool receives;
	bool takes;		/* the call, too */
	bool stalls;		/* in the middle of its payload */
	bool one_segment;
	char *payload;
	size_t size;
	size_t before;

	volatile int done;
	volatile long ret;
	struct kipc_result result;

	struct kt_job *kt;
	struct kt_stall held;
};

FIXTURE(pinned_reply) {
	int dev;
	int srv;
	int cli;
	long base;
	struct sender *s;	/* the caller */
	struct replier *r;
	struct replier *second;
	char *room;		/* of the caller; shared */
	char *payload;		/* with SEED */
	struct kipc_result result;
};

FIXTURE_VARIANT(pinned_reply) {
	bool receives;
	bool pinned;
};

FIXTURE_VARIANT_ADD(pinned_reply, reply_pinned) { .receives = false, .pinned = true };
FIXTURE_VARIANT_ADD(pinned_reply, reply_copied) { .receives = false, .pinned = false };
FIXTURE_VARIANT_ADD(pinned_reply, reply_recv_pinned) { .receives = true, .pinned = true };
FIXTURE_VARIANT_ADD(pinned_reply, reply_recv_copied) { .receives = true, .pinned = false };

static long answer(struct replier *r, struct kipc_payload payload)
{
	struct kipc_op_reply_recv both = {
		.token = r->token, .status = r->status, .reply = payload,
		.recv = kt_recv_op(NULL, 0, NULL),
	};
	struct kipc_op_reply op = { .token = r->token, .status = r->status, .payload = payload };
	long ret;

	if (!r->receives)
		return kt_op_reply(r->fd, &op);
	both.recv.flags = KIPC_NONBLOCK | KIPC_ANYSIZE;
	ret = kt_op_reply_recv(r->fd, &both);
	if (!both.replied)
		return ret;
	/* what the reply half came to */
	return ret == -EAGAIN || ret == -EIDRM ? both.reply_error : ret;
}

static long replier_main(void *arg)
{
	struct replier *r = arg;
	size_t rest = r->before + PAGE;
	struct kipc_payload payload = { .base = kt_ptr(r->payload), .len = r->size };
	struct kipc_iovec iov[3];
	char *memory;

	if (r->takes) {
		if (kt_recv(r->fd, 0, 0, 0, NULL, 0, &r->result) != -EMSGSIZE)
			kt_need(r->result.token);
		else
			kt_need(kt_recv(r->fd, 0, KIPC_TRUNCATE, 0, NULL, 0, &r->result) == 0);
		r->token = r->result.token;
	}
	if (r->stalls && r->one_segment) {
		memory = private_memory(r->size + PAGE);
		madvise(memory, r->size + PAGE, MADV_NOHUGEPAGE);
		/* in the page that is kept away there is 's' afterwards */
		memcpy(memory, r->payload, r->before / PAGE * PAGE);
		memcpy(memory + r->before / PAGE * PAGE + PAGE,
		       r->payload + r->before / PAGE * PAGE + PAGE,
		       r->size - r->before / PAGE * PAGE - PAGE);
		kt_stall_at(&r->held, memory + r->before / PAGE * PAGE, 's');
		payload.base = kt_ptr(memory);
	} else if (r->stalls) {
		kt_stall_init(&r->held, 's');
		iov[0] = (struct kipc_iovec){ kt_ptr(r->payload), r->before };
		iov[1] = (struct kipc_iovec){ kt_ptr(r->held.page), PAGE };
		iov[2] = (struct kipc_iovec){ kt_ptr(r->payload) + rest, r->size - rest };
		payload = (struct kipc_payload){ .base = kt_ptr(iov), .iovcnt = 3 };
	}
	r->ret = answer(r, payload);
	__atomic_store_n(&r->done, 1, __ATOMIC_RELEASE);
	return r->ret;
}

static void replier_start(struct replier *r)
{
	r->done = 0;
	r->held.stalled = 0;
	r->held.release = 0;
	r->kt = kt_start(KT_FORK, replier_main, r);
}

FIXTURE_SETUP(pinned_reply)
{
	struct kipc_attr attr = { .max_size = MAX_SIZE, .max_msgs = 8, .max_bytes = 4 * MAX_SIZE };

	kt_set_param("pin_min", variant->pinned ? PIN_MIN : 0);
	self->base = kt_pins_held();
	self->dev = kt_device();
	self->srv = kt_private(self->dev, 0, &attr);
	self->cli = kt_again(self->dev, kt_id(self->srv), KIPC_RIGHT_SEND);
	ASSERT_LE(0, self->cli);
	self->payload = kt_shared(MAX_SIZE + PAGE);
	kt_fill(self->payload, MAX_SIZE + PAGE, SEED);
	self->room = kt_shared(MAX_SIZE + 2 * PAGE) + 123;
	self->s = kt_new(struct sender);
	*self->s = (struct sender){
		.fd = self->cli, .call = true, .buf = kt_shared(4), .size = 4,
		.room = self->room, .room_size = ROOM,
	};
	self->r = kt_new(struct replier);
	*self->r = (struct replier){
		.fd = self->srv, .payload = self->payload, .size = SIZE, .before = BEFORE,
		.receives = variant->receives,
	};
	self->second = kt_new(struct replier);
	*self->second = *self->r;
}

FIXTURE_TEARDOWN(pinned_reply)
{
	kt_restore_params();
	close(self->cli);
	close(self->srv);
	close(self->dev);
	EXPECT_TRUE(kt_until(kt_pins_held() == self->base));
}

#define pinned() (kt_pins_held() - self->base)
#define PAGES (variant->pinned ? pages_of(self->s->room, self->s->room_size) : 0)

static long answer_with(const struct replier *like, uint64_t token, const char *payload,
			size_t size)
{
	struct replier r = *like;

	r.token = token;
	r.stalls = false;
	return answer(&r, (struct kipc_payload){ .base = kt_ptr(payload), .len = size });
}

/* The caller makes its call, and the test takes it */
#define call_it() do {							\
	sender_start(self->s);						\
	take_it();							\
} while (0)

#define take_it() do {							\
	await_stat(self->srv, msgs, 1);					\
	ASSERT_EQ(4, kt_recv(self->srv, 0, 0, 0, (char [8]){}, 8, &self->result)); \
	await_asleep(self->s);						\
	self->r->token = self->result.token;				\
	self->second->token = self->result.token;			\
} while (0)

/*
 * Who gets small replies need not have its buffer pinned: so first there are two
 * large ones. Then the caller waits in a call that the test has taken.
 */
#define warm_up() do {							\
	for (int _i = 0; _i < 2; _i++) {				\
		call_it();						\
		ASSERT_EQ(0, answer_with(self->r, self->result.token, self->payload, SIZE)); \
		ASSERT_EQ(SIZE, kt_join(self->s->kt));			\
	}								\
	kt_poison(self->room - 123, MAX_SIZE + 2 * PAGE);		\
} while (0)

#define wait_for_it() do {						\
	warm_up();							\
	call_it();							\
	EXPECT_EQ(PAGES, pinned());					\
} while (0)

/* ... and a replier is held in the middle of its answer */
#define hold_it() do {							\
	wait_for_it();							\
	self->r->stalls = true;						\
	replier_start(self->r);						\
	await_stalled(self->r);						\
} while (0)

/* All of the reply, and nothing before and behind it */
static bool whole(const char *room, size_t size)
{
	return kt_filled(room, size, SEED) && kt_poisoned(room - 123, 123) &&
	       kt_poisoned(room + size, ROOM - size + PAGE);
}

/* What a replier that was held has sent: from @from on there is what was kept away */
static bool whole_but(const char *room, size_t size, size_t from)
{
	char *expected = malloc(size);
	bool good;

	kt_fill(expected, size, SEED);
	memset(expected + from, 's', PAGE);
	good = !memcmp(room, expected, size);
	free(expected);
	return good && kt_poisoned(room + size, ROOM - size + PAGE);
}

#define expect_nothing() do {						\
	EXPECT_TRUE(kt_quiet(self->srv));				\
	EXPECT_TRUE(kt_until(!pinned()));				\
} while (0)

/* ---- contents ---- */

TEST_F(pinned_reply, p02_sizes_and_borders_of_pages)
{
	static const size_t rooms[] = { PIN_MIN, PIN_MIN + 1, 5 * PAGE - 1, SIZE, ROOM };
	static const size_t sizes[] = { 0, 1, PIN_MIN - 1, PIN_MIN, PIN_MIN + 1, 5 * PAGE - 1,
					SIZE, ROOM };
	static const unsigned int offsets[] = { 0, 1, PAGE - 123, PAGE - 124 };
	unsigned int n = 0;

	for (unsigned int i = 0; i < sizeof(rooms) / sizeof(rooms[0]); i++) {
		for (unsigned int j = 0; j < sizeof(sizes) / sizeof(sizes[0]); j++) {
			size_t size = sizes[j];

			if (size > rooms[i])
				continue;
			warm_up();
			self->s->room = self->room + offsets[n++ % 4];
			self->s->room_size = rooms[i];
			call_it();
			EXPECT_EQ(PAGES, pinned());
			ASSERT_EQ(0, answer_with(self->r, self->result.token, self->payload + n,
						 size));
			ASSERT_EQ(size, kt_join(self->s->kt));
			EXPECT_EQ(KIPC_RESULT_DELIVERED, self->s->result.flags);
			EXPECT_EQ(size, self->s->result.size);
			EXPECT_EQ(0, memcmp(self->s->room, self->payload + n, size));
			EXPECT_TRUE(kt_poisoned(self->room - 123,
						123 + (size_t)(self->s->room - self->room)));
			EXPECT_TRUE(kt_poisoned(self->s->room + size, ROOM - size + PAGE));
			expect_nothing();
			self->s->room = self->room;
			self->s->room_size = ROOM;
		}
	}
}

TEST_F(pinned_reply, p02_in_segments)
{
	struct kipc_iovec iov[] = {
		{ kt_ptr(self->payload), 1 },
		{ kt_ptr(self->payload) + 1, 2 * PAGE },
		{ 0, 0 },
		{ kt_ptr(self->payload) + 1 + 2 * PAGE, PAGE - 2 },
		{ kt_ptr(self->payload) + 3 * PAGE - 1, SIZE - 3 * PAGE + 1 },
	};

	wait_for_it();
	self->r->token = self->result.token;
	ASSERT_EQ(0, answer(self->r, (struct kipc_payload){ .base = kt_ptr(iov), .iovcnt = 5 }));
	ASSERT_EQ(SIZE, kt_join(self->s->kt));
	EXPECT_TRUE(whole(self->room, SIZE));
	expect_nothing();
}

TEST_F(pinned_reply, p04_with_the_servers_error)
{
	wait_for_it();
	self->r->status = ENOTEMPTY;
	ASSERT_EQ(0, answer_with(self->r, self->result.token, self->payload, SIZE));
	ASSERT_EQ(-ENOTEMPTY, kt_join(self->s->kt));
	EXPECT_EQ(KIPC_RESULT_DELIVERED | KIPC_RESULT_REMOTE, self->s->result.flags);
	EXPECT_EQ(SIZE, self->s->result.size);
	EXPECT_TRUE(whole(self->room, SIZE));
	expect_nothing();
}

TEST_F(pinned_reply, p04_larger_than_the_room)
{
	wait_for_it();
	ASSERT_EQ(0, answer_with(self->r, self->result.token, self->payload, ROOM + 1));
	ASSERT_EQ(-EMSGSIZE, kt_join(self->s->kt));
	EXPECT_EQ(ROOM + 1, self->s->result.size);
	EXPECT_TRUE(whole(self->room, 0));
	expect_nothing();

	self->s->flags = KIPC_TRUNCATE;
	wait_for_it();
	ASSERT_EQ(0, answer_with(self->r, self->result.token, self->payload, ROOM + 1));
	ASSERT_EQ(ROOM, kt_join(self->s->kt));
	EXPECT_EQ(KIPC_RESULT_DELIVERED | KIPC_RESULT_TRUNCATED, self->s->result.flags);
	EXPECT_EQ(ROOM + 1, self->s->result.size);
	EXPECT_TRUE(whole(self->room, ROOM));
	expect_nothing();
}

/* The replier's memory comes late: it goes on where it was */
TEST_F(pinned_reply, p02_replier_held_and_released)
{
	for (int one = 0; one < 2; one++) {
		self->r->one_segment = one;
		hold_it();
		EXPECT_FALSE(self->s->done);
		kt_release(&self->r->held);
		ASSERT_EQ(0, kt_join(self->r->kt));
		ASSERT_EQ(SIZE, kt_join(self->s->kt));
		EXPECT_TRUE(whole_but(self->room, SIZE, one ? BEFORE / PAGE * PAGE : BEFORE));
		expect_nothing();
	}
}

/* The buffer that the request came from, as one has it who has but one */
TEST_F(pinned_reply, p02_into_the_buffer_of_the_request)
{
	char *got = kt_shared(ROOM);

	warm_up();
	self->s->buf = self->room;
	self->s->size = SIZE;
	kt_fill(self->room, SIZE, OTHER);
	sender_start_as(self->s, KT_FORK, sender_main);
	await_asleep(self->s);
	ASSERT_EQ(SIZE, kt_recv(self->srv, 0, 0, 0, got, ROOM, &self->result));
	EXPECT_TRUE(kt_filled(got, SIZE, OTHER));
	ASSERT_EQ(0, answer_with(self->r, self->result.token, self->payload, SIZE - 1));
	ASSERT_EQ(SIZE - 1, kt_join(self->s->kt));
	EXPECT_TRUE(kt_filled(self->room, SIZE - 1, SEED));
	expect_nothing();
}

/* ---- the caller leaves while a replier is held ---- */

/* It has its buffer for itself from then on, whatever the replier does */
#define expect_untouched(error) do {					\
	kt_fill(self->room, ROOM, OTHER);				\
	kt_release(&self->r->held);					\
	ASSERT_EQ(error, kt_join(self->r->kt));				\
	EXPECT_TRUE(kt_filled(self->room, ROOM, OTHER));		\
	expect_nothing();						\
} while (0)

TEST_F(pinned_reply, p14_deadline_while_the_replier_is_held)
{
	for (int one = 0; one < 2; one++) {
		uint64_t begin;

		self->r->one_segment = one;
		warm_up();
		self->s->ms = 600;
		begin = kt_now();
		call_it();
		self->r->stalls = true;
		replier_start(self->r);
		await_stalled(self->r);
		ASSERT_EQ(-ETIMEDOUT, kt_join(self->s->kt));
		EXPECT_LE(600 * KT_MS, kt_now() - begin);
		EXPECT_EQ(KIPC_RESULT_DELIVERED, self->s->result.flags);
		EXPECT_FALSE(self->r->done);
		EXPECT_TRUE(kt_until(!pinned()));
		self->s->ms = 0;
		expect_untouched(-ECANCELED);
	}
}

TEST_F(pinned_reply, p07_caller_killed_while_the_replier_is_held)
{
	hold_it();
	ASSERT_TRUE(sender_kill(self->s));
	expect_untouched(-ECANCELED);
}

TEST_F(pinned_reply, p08_removal_while_the_replier_is_held)
{
	hold_it();
	ASSERT_EQ(0, kt_remove(self->srv, 0));
	ASSERT_EQ(-EIDRM, kt_join(self->s->kt));
	EXPECT_EQ(KIPC_RESULT_DELIVERED, self->s->result.flags);
	kt_fill(self->room, ROOM, OTHER);
	kt_release(&self->r->held);
	kt_join(self->r->kt);
	EXPECT_TRUE(self->r->ret == -ECANCELED || self->r->ret == -EIDRM);
	EXPECT_TRUE(kt_filled(self->room, ROOM, OTHER));
	EXPECT_TRUE(kt_until(!pinned()));
}

/* It goes on under its token: the reply, made through the kernel, is collected */
TEST_F(pinned_reply, p05_signal_while_the_replier_is_held)
{
	char *other = kt_shared(ROOM);

	self->s->catches = true;
	for (int norestart = 0; norestart < 2; norestart++) {
		struct kipc_op_rpc op = kt_rpc_op(NULL, 0, other, ROOM, &self->result);

		self->s->sa_flags = norestart ? SA_RESTART : 0;
		self->s->flags = norestart ? KIPC_NORESTART : 0;
		hold_it();
		ASSERT_TRUE(sender_signal(self->s));
		ASSERT_EQ(-EINTR, kt_join(self->s->kt));
		op.token = self->s->op.rpc.token;
		EXPECT_NE(0, op.token);
		EXPECT_TRUE(kt_until(!pinned()));
		kt_fill(self->room, ROOM, OTHER);
		kt_release(&self->r->held);
		ASSERT_EQ(0, kt_join(self->r->kt));
		ASSERT_EQ(SIZE, kt_op_rpc(self->cli, &op));
		EXPECT_TRUE(kt_filled(self->room, ROOM, OTHER));
		EXPECT_TRUE(kt_filled(other, BEFORE, SEED));
		EXPECT_EQ('s', other[BEFORE]);
		EXPECT_EQ('s', other[BEFORE + PAGE - 1]);
		EXPECT_EQ(0, memcmp(other + BEFORE + PAGE, self->payload + BEFORE + PAGE,
				    SIZE - BEFORE - PAGE));
		expect_nothing();
	}
}

TEST_F(pinned_reply, p05_restarted_while_the_replier_is_held)
{
	self->s->catches = true;
	self->s->sa_flags = SA_RESTART;
	hold_it();
	for (int i = 0; i < 3; i++) {
		ASSERT_TRUE(sender_signal(self->s));
		await_asleep(self->s);
		EXPECT_NE(0, self->s->op.rpc.token);
	}
	kt_release(&self->r->held);
	ASSERT_EQ(0, kt_join(self->r->kt));
	ASSERT_EQ(SIZE, kt_join(self->s->kt));
	EXPECT_TRUE(whole_but(self->room, SIZE, BEFORE));
	EXPECT_EQ(0, self->s->result.token);
	expect_nothing();
}

/* ... and when it is given up then, nothing of the reply is seen */
TEST_F(pinned_reply, p07_cancelled_while_the_replier_is_held)
{
	self->s->catches = true;
	self->s->flags = KIPC_NORESTART;
	hold_it();
	ASSERT_TRUE(sender_signal(self->s));
	ASSERT_EQ(-EINTR, kt_join(self->s->kt));
	ASSERT_LE(0, kipc_cancel(self->cli, self->s->op.rpc.token));
	expect_untouched(-ECANCELED);
}

/* ---- several repliers, and those that fail ---- */

/* Another one is faster: its reply counts, and the caller does not wait for the first */
TEST_F(pinned_reply, p04_two_replies_to_one_call)
{
	for (int large = 0; large < 2; large++) {
		size_t size = large ? SIZE - 1 : 5;

		hold_it();
		kt_fill(self->payload, SIZE, SEED + 1);
		ASSERT_EQ(0, answer_with(self->second, self->result.token, self->payload, size));
		ASSERT_EQ(size, kt_join(self->s->kt));
		EXPECT_TRUE(kt_filled(self->room, size, SEED + 1));
		expect_untouched(-ENOENT);
		kt_fill(self->payload, SIZE, SEED);
	}
}

TEST_F(pinned_reply, p04_two_replies_that_are_held)
{
	hold_it();
	/* another's bytes, that must not be seen among the first one's */
	self->second->payload = kt_shared(SIZE);
	kt_fill(self->second->payload, SIZE, SEED + 1);
	self->second->stalls = true;
	self->second->before = 2 * PAGE;
	replier_start(self->second);
	await_stalled(self->second);
	kt_release(&self->r->held);
	ASSERT_EQ(0, kt_join(self->r->kt));
	ASSERT_EQ(SIZE, kt_join(self->s->kt));
	EXPECT_TRUE(whole_but(self->room, SIZE, BEFORE));
	kt_fill(self->room, ROOM, OTHER);
	kt_release(&self->second->held);
	ASSERT_EQ(-ENOENT, kt_join(self->second->kt));
	EXPECT_TRUE(kt_filled(self->room, ROOM, OTHER));
	expect_nothing();
}

/* It faults in the middle: the token is still good, and so is the caller's wait */
TEST_F(pinned_reply, p04_replier_without_memory)
{
	char *bad = kt_hole() - BEFORE;

	kt_fill(bad, BEFORE, SEED + 1);
	for (int large = 0; large < 2; large++) {
		size_t size = large ? SIZE : 6;

		wait_for_it();
		for (int i = 0; i < 3; i++)
			EXPECT_EQ(-EFAULT, answer_with(self->r, self->result.token, bad, SIZE));
		await_asleep(self->s);
		EXPECT_EQ(PAGES, pinned());
		ASSERT_EQ(0, answer_with(self->r, self->result.token, self->payload, size));
		ASSERT_EQ(size, kt_join(self->s->kt));
		EXPECT_TRUE(kt_filled(self->room, size, SEED));
		expect_nothing();
	}
}

TEST_F(pinned_reply, p04_replier_killed_in_the_middle)
{
	hold_it();
	ASSERT_EQ(KT_DIED - SIGKILL, kt_kill(self->r->kt));
	/* it had not taken the call: it was the test's */
	await_asleep(self->s);
	EXPECT_EQ(PAGES, pinned());
	ASSERT_EQ(0, answer_with(self->second, self->result.token, self->payload, SIZE));
	ASSERT_EQ(SIZE, kt_join(self->s->kt));
	EXPECT_TRUE(whole(self->room, SIZE));
	expect_nothing();
}

TEST_F(pinned_reply, p06_server_killed_in_the_middle)
{
	for (int again = 0; again < 2; again++) {
		warm_up();
		self->s->flags = again ? KIPC_IDEMPOTENT : 0;
		sender_start(self->s);
		await_asleep(self->s);
		self->r->takes = true;
		self->r->stalls = true;
		replier_start(self->r);
		await_stalled(self->r);
		ASSERT_EQ(KT_DIED - SIGKILL, kt_kill(self->r->kt));
		if (again) {
			/* it is delivered again, and answered by another */
			take_it();
			EXPECT_EQ(2, self->result.deliveries);
			ASSERT_EQ(0, answer_with(self->second, self->result.token, self->payload,
						 SIZE));
			ASSERT_EQ(SIZE, kt_join(self->s->kt));
			EXPECT_TRUE(whole(self->room, SIZE));
		} else {
			ASSERT_EQ(-ECONNRESET, kt_join(self->s->kt));
			EXPECT_EQ(KIPC_RESULT_DELIVERED, self->s->result.flags);
		}
		self->r->takes = false;
		expect_nothing();
	}
}

/* A wrong token writes nowhere */
TEST_F(pinned_reply, p12_another_token)
{
	wait_for_it();
	EXPECT_EQ(-ENOENT, answer_with(self->r, self->result.token + 1, self->payload, SIZE));
	EXPECT_EQ(-EMSGSIZE, answer_with(self->r, self->result.token, self->payload,
					 MAX_SIZE + 1));
	EXPECT_TRUE(whole(self->room, 0));
	ASSERT_EQ(0, answer_with(self->r, self->result.token, self->payload, 5));
	ASSERT_EQ(5, kt_join(self->s->kt));
	EXPECT_TRUE(whole(self->room, 5));
	expect_nothing();
}

/* ---- the caller's end without a reply ---- */

TEST_F(pinned_reply, p07_caller_killed_while_it_waits)
{
	wait_for_it();
	ASSERT_TRUE(sender_kill(self->s));
	EXPECT_TRUE(kt_until(!pinned()));
	EXPECT_EQ(-ECANCELED, answer_with(self->r, self->result.token, self->payload, SIZE));
	EXPECT_TRUE(whole(self->room, 0));
	expect_nothing();
}

TEST_F(pinned_reply, p08_removal_while_it_waits)
{
	wait_for_it();
	ASSERT_EQ(0, kt_remove(self->srv, 0));
	ASSERT_EQ(-EIDRM, kt_join(self->s->kt));
	EXPECT_EQ(0, pinned());
	kt_fill(self->room, ROOM, OTHER);
	EXPECT_GT(0, answer_with(self->r, self->result.token, self->payload, SIZE));
	EXPECT_TRUE(kt_filled(self->room, ROOM, OTHER));
}

TEST_F(pinned_reply, p14_deadline_while_it_waits)
{
	warm_up();
	self->s->ms = 300;
	call_it();
	ASSERT_EQ(-ETIMEDOUT, kt_join(self->s->kt));
	EXPECT_EQ(0, pinned());
	kt_fill(self->room, ROOM, OTHER);
	EXPECT_EQ(-ECANCELED, answer_with(self->r, self->result.token, self->payload, SIZE));
	EXPECT_TRUE(kt_filled(self->room, ROOM, OTHER));
	expect_nothing();
}

/* Not even taken */
TEST_F(pinned_reply, p05_withdrawn_while_queued)
{
	warm_up();
	self->s->catches = true;
	self->s->flags = KIPC_NORESTART;
	sender_start(self->s);
	await_asleep(self->s);
	EXPECT_EQ(PAGES, pinned());
	ASSERT_TRUE(sender_signal(self->s));
	ASSERT_EQ(-EINTR, kt_join(self->s->kt));
	EXPECT_EQ(0, self->s->op.rpc.token);
	EXPECT_TRUE(whole(self->room, 0));
	expect_nothing();
}

/* ---- it cannot be told ---- */

/* The reply has arrived, but not its result: it is collected later, anywhere */
TEST_F(pinned_reply, p04_result_cannot_be_stored)
{
	struct kipc_op_rpc op = kt_rpc_op(self->s->buf, 4, self->room, ROOM, (void *)kt_hole());
	char *other = kt_shared(ROOM);
	struct kipc_result result;
	struct kt_job *job;
	uint64_t taken;

	warm_up();
	job = kt_start_ioctl(KT_THREAD, self->cli, KIPC_IOC_RPC, &op);
	ASSERT_TRUE(kt_asleep(job));
	ASSERT_EQ(4, kt_recv(self->srv, 0, 0, 0, (char [8]){}, 8, &self->result));
	taken = self->result.token;
	ASSERT_EQ(0, answer_with(self->r, taken, self->payload, SIZE));
	ASSERT_EQ(-EFAULT, kt_join(job));
	ASSERT_NE(0, op.token);
	/* the call has returned: its buffer may be used for anything */
	EXPECT_EQ(0, pinned());
	kt_fill(self->room, ROOM, OTHER);

	op.result = kt_ptr(&result);
	op.request = (struct kipc_payload){ 0 };
	op.reply = (struct kipc_payload){ .base = kt_ptr(other), .len = SIZE - 1 };
	EXPECT_EQ(-EMSGSIZE, kt_op_rpc(self->cli, &op));
	EXPECT_NE(0, op.token);
	op.reply = (struct kipc_payload){ .base = kt_ptr(kt_hole()) - BEFORE, .len = SIZE };
	EXPECT_EQ(-EFAULT, kt_op_rpc(self->cli, &op));
	op.reply = (struct kipc_payload){ .base = kt_ptr(other), .len = ROOM };
	ASSERT_EQ(SIZE, kt_op_rpc(self->cli, &op));
	EXPECT_TRUE(kt_filled(other, SIZE, SEED));
	EXPECT_EQ(SIZE, result.size);
	EXPECT_EQ(-ENOENT, kt_op_rpc(self->cli, &op));
	expect_nothing();
}

/* ... or never: it goes with its file */
TEST_F(pinned_reply, p04_result_cannot_be_stored_and_is_never_collected)
{
	struct kipc_op_rpc op = kt_rpc_op(self->s->buf, 4, self->room, ROOM, (void *)kt_hole());
	struct kt_job *job;

	for (int cancel = 0; cancel < 2; cancel++) {
		op.token = 0;
		warm_up();
		job = kt_start_ioctl(KT_THREAD, self->cli, KIPC_IOC_RPC, &op);
		ASSERT_TRUE(kt_asleep(job));
		ASSERT_EQ(4, kt_recv(self->srv, 0, 0, 0, (char [8]){}, 8, &self->result));
		ASSERT_EQ(0, answer_with(self->r, self->result.token, self->payload, SIZE));
		ASSERT_EQ(-EFAULT, kt_join(job));
		if (!cancel) {
			close(self->cli);
			self->cli = kt_again(self->dev, kt_id(self->srv), KIPC_RIGHT_SEND);
			self->s->fd = self->cli;
		} else {
			ASSERT_LE(0, kipc_cancel(self->cli, op.token));
		}
		expect_nothing();
	}
}

/* ---- the caller's memory ---- */

/* Starts the call in a thread, with the room there, and takes it */
#define call_from_thread(memory) do {					\
	self->s->room = (memory);					\
	self->s->room_size = SIZE;					\
	sender_start_thread(self->s);					\
	take_it();							\
} while (0)

/* A child's copy of the buffer is its own, and the parent's is where the reply goes */
TEST_F(pinned_reply, p02_caller_forks_while_it_waits)
{
	char *room = private_memory(SIZE), *theirs = kt_shared(SIZE);
	struct kt_flag *go = kt_new(struct kt_flag);
	pid_t pid;
	int status;

	kt_fill(room, SIZE, OTHER);
	warm_up();
	call_from_thread(room);
	EXPECT_EQ(PAGES, pinned());
	fflush(stdout);
	pid = fork();
	kt_need(pid >= 0);
	if (!pid) {
		room[0]++;
		kt_await(go);
		memcpy(theirs, room, SIZE);
		_exit(0);
	}
	/* and a page that the caller writes after the fork */
	room[SIZE - 1]++;
	ASSERT_EQ(0, answer_with(self->r, self->result.token, self->payload, SIZE));
	ASSERT_EQ(SIZE, kt_join(self->s->kt));
	EXPECT_TRUE(kt_filled(room, SIZE, SEED));
	kt_raise(go);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	theirs[0]--;
	EXPECT_TRUE(kt_filled(theirs, SIZE, OTHER));
	expect_nothing();
}

static char *room_in_file(int flags, int *fd)
{
	char *p;

	*fd = (int)syscall(SYS_memfd_create, "room", 1U);
	kt_need(*fd >= 0 && ftruncate(*fd, SIZE) == 0);
	p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, *fd, 0);
	kt_need(p != MAP_FAILED);
	kt_fill(p, SIZE, OTHER);
	munmap(p, SIZE);
	p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, flags, *fd, 0);
	kt_need(p != MAP_FAILED);
	return p;
}

TEST_F(pinned_reply, p02_into_a_file)
{
	char *in_file = malloc(SIZE);

	for (int shared = 0; shared < 2; shared++) {
		int fd;
		char *room = room_in_file(shared ? MAP_SHARED : MAP_PRIVATE, &fd);

		warm_up();
		call_from_thread(room);
		EXPECT_EQ(PAGES, pinned());
		ASSERT_EQ(0, answer_with(self->r, self->result.token, self->payload, SIZE));
		ASSERT_EQ(SIZE, kt_join(self->s->kt));
		EXPECT_TRUE(kt_filled(room, SIZE, SEED));
		/* who maps it privately has not changed the file */
		ASSERT_EQ(SIZE, pread(fd, in_file, SIZE, 0));
		EXPECT_TRUE(kt_filled(in_file, SIZE, shared ? SEED : OTHER));
		munmap(room, SIZE);
		close(fd);
		self->s->room = self->room;
		self->s->room_size = ROOM;
	}
	free(in_file);
}

/*
 * A file system that is not memory has to hear of each write to its pages beforehand, so
 * they must not be written by pins. One like that which every kernel has is ramfs.
 */
TEST_F(pinned_reply, p02_into_a_file_of_a_file_system)
{
	char dir[] = "/kipc.XXXXXX", path[64];
	char *in_file = malloc(SIZE), *room;
	int fd;

	kt_need(mkdtemp(dir) && mount("none", dir, "ramfs", 0, NULL) == 0);
	snprintf(path, sizeof(path), "%s/room", dir);
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	kt_need(fd >= 0 && ftruncate(fd, SIZE) == 0);
	for (int shared = 0; shared < 2; shared++) {
		room = mmap(NULL, SIZE, PROT_READ | PROT_WRITE,
			    shared ? MAP_SHARED : MAP_PRIVATE, fd, 0);
		kt_need(room != MAP_FAILED);
		kt_fill(room, SIZE, OTHER);
		warm_up();
		call_from_thread(room);
		/* what is mapped privately becomes the process's own memory */
		EXPECT_EQ(shared ? 0 : PAGES, pinned());
		ASSERT_EQ(0, answer_with(self->r, self->result.token, self->payload, SIZE));
		ASSERT_EQ(SIZE, kt_join(self->s->kt));
		EXPECT_TRUE(kt_filled(room, SIZE, SEED));
		ASSERT_EQ(SIZE, pread(fd, in_file, SIZE, 0));
		EXPECT_EQ(shared, kt_filled(in_file, SIZE, SEED));
		munmap(room, SIZE);
		self->s->room = self->room;
		self->s->room_size = ROOM;
	}
	free(in_file);
	close(fd);
	kt_need(umount2(dir, MNT_DETACH) == 0 && rmdir(dir) == 0);
}

/* Memory that must not be written: as ever, the call can be collected elsewhere */
TEST_F(pinned_reply, p04_into_memory_that_is_read_only)
{
	struct kipc_op_rpc op;
	char *room = private_memory(SIZE), *other = kt_shared(SIZE);

	kt_fill(room, SIZE, OTHER);
	kt_need(mprotect(room, SIZE, PROT_READ) == 0);
	warm_up();
	call_from_thread(room);
	EXPECT_EQ(0, pinned());
	ASSERT_EQ(0, answer_with(self->r, self->result.token, self->payload, SIZE));
	ASSERT_EQ(-EFAULT, kt_join(self->s->kt));
	EXPECT_TRUE(kt_filled(room, SIZE, OTHER));
	op = kt_rpc_op(NULL, 0, other, SIZE, &self->result);
	op.token = self->s->op.rpc.token;
	ASSERT_EQ(SIZE, kt_op_rpc(self->cli, &op));
	EXPECT_TRUE(kt_filled(other, SIZE, SEED));
	expect_nothing();
}

static void unmap_room(char *room)
{
	kt_need(munmap(room, SIZE) == 0);
}

static void protect_room(char *room)
{
	kt_need(mprotect(room, SIZE, PROT_NONE) == 0);
}

static void replace_room(char *room)
{
	kt_need(mmap(room, SIZE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) ==
		room);
}

/*
 * It is no longer the caller's: the reply goes where that memory went, or cannot be
 * stored. Nobody is harmed, and what is there instead is not written.
 */
TEST_F(pinned_reply, p04_memory_changes_while_it_waits)
{
	static void (*const games[])(char *room) = { unmap_room, protect_room, replace_room };
	static const char zeros[SIZE];

	for (unsigned int i = 0; i < 2 * sizeof(games) / sizeof(games[0]); i++) {
		char *room = private_memory(SIZE);

		memset(room, 1, SIZE);
		warm_up();
		call_from_thread(room);
		EXPECT_EQ(PAGES, pinned());
		if (i & 1) {
			self->r->stalls = true;
			replier_start(self->r);
			await_stalled(self->r);
			games[i / 2](room);
			kt_release(&self->r->held);
			ASSERT_EQ(0, kt_join(self->r->kt));
		} else {
			games[i / 2](room);
			ASSERT_EQ(0, answer_with(self->r, self->result.token, self->payload, SIZE));
		}
		kt_join(self->s->kt);
		if (self->s->ret == -EFAULT) {
			ASSERT_LE(0, kipc_cancel(self->cli, self->s->op.rpc.token));
		} else {
			EXPECT_TRUE(variant->pinned);
			EXPECT_EQ(SIZE, self->s->ret);
		}
		if (games[i / 2] == replace_room)
			EXPECT_EQ(0, memcmp(room, zeros, SIZE));
		expect_nothing();
		self->s->room = self->room;
		self->s->room_size = ROOM;
	}
}

TEST_F(pinned_reply, p04_file_shrinks_while_it_waits)
{
	for (int held = 0; held < 2; held++) {
		int fd;
		char *room = room_in_file(MAP_SHARED, &fd);

		warm_up();
		call_from_thread(room);
		if (held) {
			self->r->stalls = true;
			replier_start(self->r);
			await_stalled(self->r);
		}
		kt_need(ftruncate(fd, PAGE) == 0);
		if (held) {
			kt_release(&self->r->held);
			ASSERT_EQ(0, kt_join(self->r->kt));
		} else {
			ASSERT_EQ(0, answer_with(self->r, self->result.token, self->payload, SIZE));
		}
		kt_join(self->s->kt);
		if (self->s->ret == -EFAULT) {
			ASSERT_LE(0, kipc_cancel(self->cli, self->s->op.rpc.token));
		} else {
			EXPECT_EQ(SIZE, self->s->ret);
			EXPECT_TRUE(kt_filled(room, PAGE, SEED));
		}
		expect_nothing();
		munmap(room, SIZE);
		close(fd);
		self->s->room = self->room;
		self->s->room_size = ROOM;
	}
}

/* Over RLIMIT_MEMLOCK it is copied; what was charged is given back */
static void prepare_no_memlock(struct sender *s)
{
	struct rlimit limit = { .rlim_cur = 2 * PAGE, .rlim_max = 2 * PAGE };

	(void)s;
	kt_need(setrlimit(RLIMIT_MEMLOCK, &limit) == 0);
}

static void prepare_memlock(struct sender *s)
{
	struct rlimit limit = {
		.rlim_cur = (unsigned long)pages_of(s->room, s->room_size) * PAGE,
	};

	limit.rlim_max = limit.rlim_cur;
	kt_need(setrlimit(RLIMIT_MEMLOCK, &limit) == 0);
}

TEST_F(pinned_reply, p10_the_caller_pays)
{
	warm_up();
	for (int i = 0; i < 8; i++) {
		bool allowed = i & 1;

		self->s->prepare = allowed ? prepare_memlock : prepare_no_memlock;
		sender_start_as(self->s, KT_AS(KT_UID_A), sender_main_scribble);
		take_it();
		EXPECT_EQ(allowed ? PAGES : 0, pinned());
		ASSERT_EQ(0, answer_with(self->r, self->result.token, self->payload, SIZE));
		ASSERT_EQ(SIZE, kt_join(self->s->kt));
		EXPECT_TRUE(whole(self->room, SIZE));
		expect_nothing();
	}
}

/* ---- who has no buffer pinned ---- */

TEST_F(pinned_reply, who_does_not_wait_has_no_buffer_pinned)
{
	struct kipc_iovec iov[] = {
		{ kt_ptr(self->room), SIZE / 2 }, { kt_ptr(self->room) + SIZE / 2, SIZE / 2 + 1 },
	};
	struct kipc_op_rpc op = kt_rpc_op(self->s->buf, 4, NULL, 0, NULL);
	struct kt_job *job;

	warm_up();
	op.flags = KIPC_ASYNC;
	op.reply_room = ROOM;
	ASSERT_EQ(0, kt_op_rpc(self->cli, &op));
	EXPECT_EQ(0, pinned());
	ASSERT_EQ(4, kt_recv(self->srv, 0, 0, 0, (char [8]){}, 8, &self->result));
	ASSERT_EQ(0, answer_with(self->r, self->result.token, self->payload, SIZE));
	op.flags = 0;
	op.reply_room = 0;
	op.request = (struct kipc_payload){ 0 };
	op.reply = (struct kipc_payload){ .base = kt_ptr(self->room), .len = ROOM };
	ASSERT_EQ(SIZE, kt_op_rpc(self->cli, &op));
	EXPECT_TRUE(whole(self->room, SIZE));

	/* two segments */
	op = kt_rpc_op(self->s->buf, 4, NULL, 0, NULL);
	op.reply = (struct kipc_payload){ .base = kt_ptr(iov), .iovcnt = 2 };
	warm_up();
	job = kt_start_ioctl(KT_THREAD, self->cli, KIPC_IOC_RPC, &op);
	ASSERT_TRUE(kt_asleep(job));
	EXPECT_EQ(0, pinned());
	ASSERT_EQ(4, kt_recv(self->srv, 0, 0, 0, (char [8]){}, 8, &self->result));
	ASSERT_EQ(0, answer_with(self->r, self->result.token, self->payload, SIZE));
	ASSERT_EQ(SIZE, kt_join(job));
	EXPECT_TRUE(whole(self->room, SIZE));
	expect_nothing();
}

TEST_HARNESS_MAIN
