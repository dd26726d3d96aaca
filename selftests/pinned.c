// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The payload of a sender that waits, in pages that it has pinned: which payloads are,
 * that they arrive whole from every kind of memory, who pays, and what the sender's
 * process can do to its memory meanwhile.
 */
#include <sys/stat.h>

#include "harness.h"
#include "pinned.h"

#ifndef MFD_CLOEXEC
#include <linux/memfd.h>
#endif
#ifndef SYS_memfd_secret
#define SYS_memfd_secret 447
#endif

#define MAX_SIZE	(1UL << 20)
#define HUGE_SIZE	(2UL << 20)
#define SIZE		70001	/* of a payload, where it does not matter */
#define BEFORE		30000	/* what a receiver gets before it is held */
#define SEED		3

FIXTURE(pinned) {
	int dev;
	int srv;
	int cli;
	long base;
	struct sender *s;
	struct taker *t;
	char *got;
	struct kipc_result result;
};

FIXTURE_VARIANT(pinned) {
	bool call;
	bool pinned;
};

FIXTURE_VARIANT_ADD(pinned, send_pinned) { .call = false, .pinned = true };
FIXTURE_VARIANT_ADD(pinned, send_copied) { .call = false, .pinned = false };
FIXTURE_VARIANT_ADD(pinned, call_pinned) { .call = true, .pinned = true };
FIXTURE_VARIANT_ADD(pinned, call_copied) { .call = true, .pinned = false };

static int endpoint_of(int dev)
{
	struct kipc_attr attr = { .max_size = MAX_SIZE, .max_msgs = 8, .max_bytes = 4 * MAX_SIZE };

	return kt_private_mode(dev, 0, 0666, &attr);
}

FIXTURE_SETUP(pinned)
{
	kt_set_param("pin_min", variant->pinned ? PIN_MIN : 0);
	self->base = kt_pins_held();
	self->dev = kt_device();
	self->srv = endpoint_of(self->dev);
	self->cli = kt_again(self->dev, kt_id(self->srv), KIPC_RIGHT_SEND);
	ASSERT_LE(0, self->cli);
	self->s = kt_new(struct sender);
	self->s->fd = self->cli;
	self->s->call = variant->call;
	self->s->type = SEED;
	self->s->size = SIZE;
	self->s->room = kt_shared(64);
	self->s->room_size = 64;
	self->t = kt_new(struct taker);
	self->t->fd = self->srv;
	self->t->stalls = true;
	self->t->before = BEFORE;
	self->t->room = MAX_SIZE;
	self->t->out = kt_shared(MAX_SIZE);
	self->got = kt_shared(MAX_SIZE + 2 * PAGE);
}

FIXTURE_TEARDOWN(pinned)
{
	kt_restore_params();
	close(self->cli);
	close(self->srv);
	close(self->dev);
	EXPECT_TRUE(kt_until(kt_pins_held() == self->base));
}

#define pinned() (kt_pins_held() - self->base)
#define PAGES(s) (variant->pinned && (s)->size >= PIN_MIN ? pages_of((s)->buf, (s)->size) : 0)

/* Starts the sender, until its message is queued; in a thread of the test, or not */
#define queue_it(how, main) do {					\
	sender_start_as(self->s, how, main);				\
	await_asleep(self->s);						\
	ASSERT_EQ(1, kt_stat(self->srv).msgs);				\
} while (0)

#define expect_told(taken) do {						\
	if (variant->call)						\
		ASSERT_EQ(0, kt_reply(self->srv, taken, 0, "reply", 5));	\
	ASSERT_EQ(variant->call ? 5 : 0, kt_join(self->s->kt));		\
	EXPECT_TRUE(kt_until(!pinned()));				\
	EXPECT_TRUE(kt_quiet(self->srv));				\
} while (0)

/* ---- contents ---- */

static const size_t sizes[] = {
	PIN_MIN - 1, PIN_MIN, PIN_MIN + 1, 5 * PAGE - 1, 5 * PAGE, 5 * PAGE + 1, 65536, 100000,
	MAX_SIZE - PAGE + 1, MAX_SIZE,
};

static const size_t offsets[] = { 0, 1, PAGE / 2, PAGE - 1 };

#define NR(a) (sizeof(a) / sizeof((a)[0]))

/* Four ways to say where @size bytes shall go, and where they then are */
static char *room_for(struct kipc_op_recv *op, unsigned int way, char *got, size_t size,
		      struct kipc_iovec *iov)
{
	char *at = got + (way & 1 ? PAGE + 7 : PAGE);
	const size_t parts[] = { 1, PAGE - 1, 0, PAGE + 1, 3 * PAGE, way & 1 ? 77 : PAGE };
	size_t sum = 0;
	unsigned int i;

	if (way < 2) {
		op->payload = (struct kipc_payload){ .base = kt_ptr(at), .len = size };
		return at;
	}
	for (i = 0; i < NR(parts) && sum + parts[i] < size; sum += parts[i++])
		iov[i] = (struct kipc_iovec){ kt_ptr(at) + sum, parts[i] };
	iov[i++] = (struct kipc_iovec){ kt_ptr(at) + sum, size - sum };
	op->payload = (struct kipc_payload){ .base = kt_ptr(iov), .iovcnt = i };
	return at;
}

TEST_F(pinned, p02_sizes_and_borders_of_pages)
{
	char *memory = private_memory(MAX_SIZE + 2 * PAGE);
	unsigned int seed = 0;

	for (unsigned int i = 0; i < NR(sizes); i++) {
		for (unsigned int j = 0; j < NR(offsets); j++) {
			struct kipc_op_recv op = kt_recv_op(NULL, 0, &self->result);
			struct kipc_iovec iov[8];
			size_t size = sizes[i];
			char *at;

			/* the largest take their time */
			if (i > 7 && j & 1)
				continue;
			self->s->buf = memory + offsets[j];
			self->s->size = size;
			kt_fill(self->s->buf, size, ++seed);
			queue_it(KT_THREAD, sender_main_scribble);
			EXPECT_EQ(PAGES(self->s), pinned());
			EXPECT_EQ(size, kt_stat(self->srv).bytes);
			op.flags = KIPC_ANYSIZE;
			at = room_for(&op, (i + j) % 4, self->got, size, iov);
			kt_poison(self->got, MAX_SIZE + 2 * PAGE);
			ASSERT_EQ(size, kt_op_recv(self->srv, &op));
			EXPECT_TRUE(kt_filled(at, size, seed));
			EXPECT_TRUE(kt_poisoned(self->got, (size_t)(at - self->got)));
			EXPECT_TRUE(kt_poisoned(at + size, PAGE / 2));
			expect_told(self->result.token);
		}
	}
}

/* A receiver that waits is given it without the queue */
TEST_F(pinned, p02_handed_to_a_receiver_that_waits)
{
	char *memory = private_memory(MAX_SIZE + 2 * PAGE);

	self->t->stalls = false;
	self->t->stays = true;
	for (unsigned int j = 0; j < NR(offsets); j++) {
		long made = kt_pins_made();

		self->s->buf = memory + offsets[j];
		kt_fill(self->s->buf, SIZE, j);
		taker_start(self->t);
		await_asleep(self->t);
		sender_start_thread(self->s);
		await(self->t->done);
		ASSERT_EQ(SIZE, self->t->ret);
		EXPECT_TRUE(kt_filled(self->t->out, SIZE, j));
		EXPECT_TRUE(kt_poisoned(self->t->out + SIZE, MAX_SIZE - SIZE));
		expect_told(self->t->result.token);
		EXPECT_LE(PAGES(self->s), kt_pins_made() - made);
		EXPECT_TRUE(variant->pinned || kt_pins_made() == made);
		ASSERT_EQ(KT_DIED - SIGKILL, kt_kill(self->t->kt));
	}
}

/* ---- which payloads are pinned ---- */

FIXTURE(choice) {
	int dev;
	int srv;
	int cli;
	long base;
	char *buf;
	char *got;
};

FIXTURE_SETUP(choice)
{
	kt_set_param("pin_min", PIN_MIN);
	self->base = kt_pins_held();
	self->dev = kt_device();
	self->srv = endpoint_of(self->dev);
	self->cli = kt_again(self->dev, kt_id(self->srv), KIPC_RIGHT_SEND);
	ASSERT_LE(0, self->cli);
	self->buf = private_memory(SIZE);
	kt_fill(self->buf, SIZE, SEED);
	self->got = kt_shared(SIZE);
}

FIXTURE_TEARDOWN(choice)
{
	kt_restore_params();
	close(self->cli);
	close(self->srv);
	close(self->dev);
	EXPECT_TRUE(kt_until(kt_pins_held() == self->base));
}

/* The pages that are pinned while the operation waits; it is then received, and answered */
static long pins_of(FIXTURE_DATA(choice) *self, unsigned long cmd, void *op)
{
	struct kt_job *job = kt_start_ioctl(KT_THREAD, self->cli, cmd, op);
	struct kipc_result result;
	long held;

	if (!kt_asleep(job))
		return -1;
	held = kt_pins_held() - self->base;
	if (kt_recv(self->srv, 0, 0, 0, self->got, SIZE, &result) != SIZE ||
	    !kt_filled(self->got, SIZE, SEED))
		return -2;
	if (result.token && kt_reply(self->srv, result.token, 0, "", 0))
		return -3;
	return kt_join(job) || !kt_quiet(self->srv) ? -4 : held;
}

TEST_F(choice, who_waits_and_sends_one_segment)
{
	struct kipc_iovec iov[] = {
		{ kt_ptr(self->buf), SIZE / 2 }, { kt_ptr(self->buf) + SIZE / 2, SIZE - SIZE / 2 },
	};
	struct kipc_op_send send = kt_send_op(self->buf, SIZE);
	struct kipc_op_rpc rpc = kt_rpc_op(self->buf, SIZE, NULL, 0, NULL);
	long pages = pages_of(self->buf, SIZE);

	send.flags = KIPC_SYNC;
	EXPECT_EQ(pages, pins_of(self, KIPC_IOC_SEND, &send));
	EXPECT_EQ(pages, pins_of(self, KIPC_IOC_RPC, &rpc));

	/* one segment in an array is as good */
	iov[0].len = SIZE;
	send.payload = (struct kipc_payload){ .base = kt_ptr(iov), .iovcnt = 1 };
	rpc.request = send.payload;
	EXPECT_EQ(pages, pins_of(self, KIPC_IOC_SEND, &send));
	EXPECT_EQ(pages, pins_of(self, KIPC_IOC_RPC, &rpc));

	iov[0].len = SIZE / 2;
	send.payload.iovcnt = 2;
	rpc.request = send.payload;
	EXPECT_EQ(0, pins_of(self, KIPC_IOC_SEND, &send));
	EXPECT_EQ(0, pins_of(self, KIPC_IOC_RPC, &rpc));
}

TEST_F(choice, what_may_be_delivered_twice_is_copied)
{
	struct kipc_op_rpc rpc = kt_rpc_op(self->buf, SIZE, NULL, 0, NULL);

	rpc.flags = KIPC_IDEMPOTENT;
	EXPECT_EQ(0, pins_of(self, KIPC_IOC_RPC, &rpc));
}

TEST_F(choice, who_does_not_wait_has_its_payload_copied)
{
	struct kipc_batch_msg msg = { .size = SIZE };
	struct kipc_op_send_batch batch = {
		.deadline = KIPC_FOREVER, .base = kt_ptr(self->buf), .len = SIZE,
		.msgs = kt_ptr(&msg), .count = 1,
	};
	struct kipc_op_rpc rpc = kt_rpc_op(self->buf, SIZE, NULL, 0, NULL);
	struct kipc_op_send send = kt_send_op(self->buf, SIZE);
	long made = kt_pins_made();
	struct kipc_result result;

	ASSERT_EQ(0, kt_op_send(self->cli, &send));
	memset(self->buf, 0xee, SIZE);
	EXPECT_EQ(SIZE, kt_recv(self->srv, 0, 0, 0, self->got, SIZE, &result));
	EXPECT_TRUE(kt_filled(self->got, SIZE, SEED));

	kt_fill(self->buf, SIZE, SEED);
	ASSERT_EQ(1, kt_ioctl(self->cli, KIPC_IOC_SEND_BATCH, &batch));
	memset(self->buf, 0xee, SIZE);
	EXPECT_EQ(SIZE, kt_recv(self->srv, 0, 0, 0, self->got, SIZE, &result));
	EXPECT_TRUE(kt_filled(self->got, SIZE, SEED));

	kt_fill(self->buf, SIZE, SEED);
	rpc.flags = KIPC_ASYNC;
	ASSERT_EQ(0, kt_op_rpc(self->cli, &rpc));
	memset(self->buf, 0xee, SIZE);
	EXPECT_EQ(SIZE, kt_recv(self->srv, 0, 0, 0, self->got, SIZE, &result));
	EXPECT_TRUE(kt_filled(self->got, SIZE, SEED));
	ASSERT_LE(0, kipc_cancel(self->cli, rpc.token));
	EXPECT_EQ(made, kt_pins_made());
}

/* It waits for room, but not until it is received */
TEST_F(choice, a_plain_send_that_is_blocked_is_copied)
{
	struct kipc_op_send send = kt_send_op(self->buf, SIZE);
	struct kipc_endpoint info = kt_stat(self->srv);
	long made = kt_pins_made();
	struct kipc_result result;
	struct kt_job *job;

	info.attr.max_msgs = 1;
	ASSERT_EQ(0, kipc_set(self->srv, 0, KIPC_SET_CAPACITY, &info));
	ASSERT_EQ(0, kt_send(self->cli, 0, 1, 0, "full", 4));
	job = kt_start_ioctl(KT_THREAD, self->cli, KIPC_IOC_SEND, &send);
	ASSERT_TRUE(kt_asleep(job));
	EXPECT_EQ(made, kt_pins_made());
	ASSERT_EQ(4, kt_recv(self->srv, 0, 0, 0, self->got, SIZE, &result));
	ASSERT_EQ(0, kt_join(job));
	memset(self->buf, 0xee, SIZE);
	ASSERT_EQ(SIZE, kt_recv(self->srv, 0, 0, 0, self->got, SIZE, &result));
	EXPECT_TRUE(kt_filled(self->got, SIZE, SEED));
}

TEST_F(choice, the_parameter_says_from_which_size_on)
{
	struct kipc_op_send send = kt_send_op(self->buf, SIZE);
	long pages = pages_of(self->buf, SIZE);

	send.flags = KIPC_SYNC;
	kt_set_param("pin_min", SIZE + 1);
	EXPECT_EQ(0, pins_of(self, KIPC_IOC_SEND, &send));
	kt_set_param("pin_min", SIZE);
	EXPECT_EQ(pages, pins_of(self, KIPC_IOC_SEND, &send));
	kt_set_param("pin_min", 1);
	EXPECT_EQ(pages, pins_of(self, KIPC_IOC_SEND, &send));
	kt_set_param("pin_min", 0);
	EXPECT_EQ(0, pins_of(self, KIPC_IOC_SEND, &send));
}

/* Who cannot wait has nothing pinned, and so nothing to unpin */
TEST_F(choice, what_is_refused_is_not_pinned_for_long)
{
	struct kipc_op_rpc rpc = kt_rpc_op(self->buf, SIZE, NULL, 0, NULL);
	struct kipc_op_send send = kt_send_op(self->buf, SIZE);
	struct kipc_endpoint info = kt_stat(self->srv);

	rpc.flags = KIPC_NONBLOCK;
	EXPECT_EQ(-EAGAIN, kt_op_rpc(self->cli, &rpc));
	info.attr.max_size = SIZE - 1;
	ASSERT_EQ(0, kipc_set(self->srv, 0, KIPC_SET_CAPACITY, &info));
	rpc.flags = 0;
	EXPECT_EQ(-EMSGSIZE, kt_op_rpc(self->cli, &rpc));
	send.flags = KIPC_SYNC;
	EXPECT_EQ(-EMSGSIZE, kt_op_send(self->cli, &send));
	info.attr.max_size = SIZE;
	ASSERT_EQ(0, kipc_set(self->srv, 0, KIPC_SET_CAPACITY, &info));
	ASSERT_EQ(0, kt_remove(self->srv, 0));
	EXPECT_EQ(-EIDRM, kt_op_rpc(self->cli, &rpc));
	EXPECT_EQ(-EIDRM, kt_op_send(self->cli, &send));
	EXPECT_EQ(0, kt_pins_held() - self->base);
}

/* ---- who pays: RLIMIT_MEMLOCK of the sender's user ---- */

FIXTURE(memlock) {
	int dev;
	int srv;
	long base;
	struct sender *s;
	struct sender *second;
	char *got;
	struct kipc_result result;
	long pages;
};

FIXTURE_VARIANT(memlock) {
	bool call;
};

FIXTURE_VARIANT_ADD(memlock, send) { .call = false };
FIXTURE_VARIANT_ADD(memlock, call) { .call = true };

FIXTURE_SETUP(memlock)
{
	kt_set_param("pin_min", PIN_MIN);
	self->base = kt_pins_held();
	self->dev = kt_device();
	self->srv = endpoint_of(self->dev);
	self->s = kt_new(struct sender);
	self->second = kt_new(struct sender);
	for (unsigned int i = 0; i < 2; i++) {
		struct sender *s = i ? self->second : self->s;

		s->fd = self->srv;
		s->call = variant->call;
		s->size = SIZE;
		s->buf = private_memory(SIZE);
		s->room = kt_shared(8);
		s->room_size = 8;
		kt_fill(s->buf, SIZE, SEED);
	}
	self->pages = pages_of(self->s->buf, SIZE);
	self->got = kt_shared(MAX_SIZE);
}

FIXTURE_TEARDOWN(memlock)
{
	kt_restore_params();
	close(self->srv);
	close(self->dev);
	EXPECT_TRUE(kt_until(kt_pins_held() == self->base));
}

static volatile unsigned long *memlock_limit;	/* bytes, in shared memory */

static void prepare_limit(struct sender *s)
{
	struct rlimit limit;

	(void)s;
	kt_need(getrlimit(RLIMIT_MEMLOCK, &limit) == 0);
	limit.rlim_cur = *memlock_limit;
	kt_need(limit.rlim_cur <= limit.rlim_max);
	kt_need(setrlimit(RLIMIT_MEMLOCK, &limit) == 0);
}

#define start_limited(who, how, bytes) do {				\
	if (!memlock_limit)						\
		memlock_limit = kt_shared(sizeof(*memlock_limit));	\
	*memlock_limit = (bytes);					\
	(who)->prepare = prepare_limit;					\
	sender_start_as(who, how, sender_main_scribble);		\
	await_asleep(who);						\
} while (0)

#define receive_from(who) do {						\
	kt_poison(self->got, SIZE);					\
	ASSERT_EQ(SIZE, kt_recv(self->srv, 0, 0, 0, self->got, MAX_SIZE, &self->result)); \
	EXPECT_TRUE(kt_filled(self->got, SIZE, SEED));			\
	if (variant->call)						\
		ASSERT_EQ(0, kt_reply(self->srv, self->result.token, 0, "", 0)); \
	ASSERT_EQ(0, kt_join((who)->kt));				\
} while (0)

#define held() (kt_pins_held() - self->base)

TEST_F(memlock, p10_so_much_and_no_more)
{
	unsigned long enough = (unsigned long)self->pages * PAGE;

	start_limited(self->s, KT_AS(KT_UID_A), enough);
	EXPECT_EQ(self->pages, held());
	receive_from(self->s);
	EXPECT_EQ(0, held());
	start_limited(self->s, KT_AS(KT_UID_A), enough - 1);
	EXPECT_EQ(0, held());
	receive_from(self->s);
	start_limited(self->s, KT_AS(KT_UID_A), 0UL);
	EXPECT_EQ(0, held());
	receive_from(self->s);
	EXPECT_TRUE(kt_quiet(self->srv));
}

TEST_F(memlock, p10_of_one_user_in_all_its_processes)
{
	unsigned long limit = (unsigned long)self->pages * PAGE * 3 / 2;

	for (unsigned int i = 0; i < 8; i++) {
		start_limited(self->s, KT_AS(KT_UID_A), limit);
		EXPECT_EQ(self->pages, held());
		start_limited(self->second, KT_AS(KT_UID_A), limit);
		EXPECT_EQ(self->pages, held());
		receive_from(self->s);
		/* what was copied stays so */
		EXPECT_EQ(0, held());
		/* and there is room again, while it waits */
		start_limited(self->s, KT_AS(KT_UID_A), limit);
		EXPECT_EQ(self->pages, held());
		receive_from(self->second);
		receive_from(self->s);
		EXPECT_EQ(0, held());
	}
	EXPECT_TRUE(kt_quiet(self->srv));
}

TEST_F(memlock, p10_another_user_has_its_own)
{
	unsigned long limit = (unsigned long)self->pages * PAGE;

	start_limited(self->s, KT_AS(KT_UID_A), limit);
	start_limited(self->second, KT_AS(KT_UID_B), limit);
	EXPECT_EQ(2 * self->pages, held());
	receive_from(self->s);
	EXPECT_EQ(self->pages, held());
	receive_from(self->second);
	EXPECT_EQ(0, held());
}

TEST_F(memlock, p10_cap_ipc_lock_overrides_it)
{
	start_limited(self->s, KT_FORK, 0UL);
	EXPECT_EQ(self->pages, held());
	receive_from(self->s);
	/* root without the capability is a user like others */
	start_limited(self->s, (&(struct kt_how){ .drop_caps = true }), 0UL);
	EXPECT_EQ(0, held());
	receive_from(self->s);
}

/* What one charged who left is given back, whatever made it leave */
TEST_F(memlock, p10_given_back_by_who_leaves)
{
	unsigned long limit = (unsigned long)self->pages * PAGE;

	for (unsigned int i = 0; i < 6; i++) {
		start_limited(self->s, KT_AS(KT_UID_A), limit);
		EXPECT_EQ(self->pages, held());
		ASSERT_TRUE(sender_kill(self->s));
		EXPECT_TRUE(kt_until(!held()));

		self->s->ms = 60;
		sender_start_as(self->s, KT_AS(KT_UID_A), sender_main_scribble);
		ASSERT_EQ(-ETIMEDOUT, kt_join(self->s->kt));
		self->s->ms = 0;

		self->s->catches = true;
		self->s->flags = KIPC_NORESTART;
		start_limited(self->s, KT_AS(KT_UID_A), limit);
		EXPECT_EQ(self->pages, held());
		ASSERT_TRUE(sender_signal(self->s));
		ASSERT_EQ(-EINTR, kt_join(self->s->kt));
		self->s->catches = false;
		self->s->flags = 0;
	}
	start_limited(self->s, KT_AS(KT_UID_A), limit);
	EXPECT_EQ(self->pages, held());
	receive_from(self->s);
	EXPECT_TRUE(kt_quiet(self->srv));
}

/* A receiver that is held in the middle of the copy cannot keep it charged */
TEST_F(memlock, p10_given_back_though_somebody_copies)
{
	unsigned long limit = (unsigned long)self->pages * PAGE;
	struct taker *t = kt_new(struct taker);

	t->fd = self->srv;
	t->stalls = true;
	t->before = BEFORE;
	t->room = MAX_SIZE;
	t->out = kt_shared(MAX_SIZE);
	t->flags = KIPC_NONBLOCK;
	start_limited(self->s, KT_AS(KT_UID_A), limit);
	taker_start(t);
	await_stalled(t);
	ASSERT_TRUE(sender_kill(self->s));
	EXPECT_TRUE(kt_until(!held()));
	EXPECT_FALSE(t->done);
	start_limited(self->second, KT_AS(KT_UID_A), limit);
	EXPECT_EQ(self->pages, held());
	ASSERT_EQ(KT_DIED - SIGKILL, kt_kill(t->kt));
	receive_from(self->second);
	EXPECT_EQ(0, held());
}

/* ---- kinds of memory ---- */

enum outcome { PINNED, COPIED, EITHER };

static int file_of(size_t size, unsigned int seed)
{
	int fd = (int)syscall(SYS_memfd_create, "pinned", MFD_CLOEXEC);
	char *p;

	kt_need(fd >= 0 && ftruncate(fd, (off_t)size) == 0);
	p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	kt_need(p != MAP_FAILED);
	kt_fill(p, size, seed);
	munmap(p, size);
	return fd;
}

static char *map_file(int fd, size_t size, int prot, int flags)
{
	char *p = mmap(NULL, size, prot, flags, fd, 0);

	kt_need(p != MAP_FAILED);
	return p;
}

static char *make_private(void)
{
	char *p = private_memory(2 * SIZE);

	kt_fill(p, 2 * SIZE, 1);
	return p + 77;
}

static char *make_shared(void)
{
	char *p = kt_shared(2 * SIZE);

	kt_fill(p, 2 * SIZE, 1);
	return p + 77;
}

static char *make_heap(void)
{
	char *p = sbrk(2 * SIZE);

	kt_need(p != (void *)-1);
	kt_fill(p, 2 * SIZE, 1);
	return p + 77;
}

static char *make_never_touched(void)
{
	char *p = private_memory(2 * SIZE);

	madvise(p, 2 * SIZE, MADV_NOHUGEPAGE);
	return p;
}

/* The page of zeros that all share, and pages of its own by turns */
static char *make_zeros(void)
{
	char *p = make_never_touched();
	volatile char c;

	for (size_t i = 0; i < 2 * SIZE; i += PAGE) {
		c = p[i];
		if (i / PAGE % 3 == 2)
			p[i] = (char)(c + 1);
	}
	return p + 77;
}

static char *make_shared_file(void)
{
	return map_file(file_of(2 * SIZE, 1), 2 * SIZE, PROT_READ | PROT_WRITE, MAP_SHARED);
}

static char *make_readonly_file(void)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", file_of(2 * SIZE, 1));
	fd = open(path, O_RDONLY | O_CLOEXEC);
	kt_need(fd >= 0);
	return map_file(fd, 2 * SIZE, PROT_READ, MAP_SHARED) + 77;
}

static char *make_private_file(void)
{
	return map_file(file_of(2 * SIZE, 1), 2 * SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE) + 77;
}

static char *make_private_file_written(void)
{
	char *p = make_private_file();

	for (size_t i = 0; i < SIZE; i += 2 * PAGE)
		p[i]++;
	return p;
}

static char *make_hole_in_file(void)
{
	int fd = (int)syscall(SYS_memfd_create, "hole", MFD_CLOEXEC);

	kt_need(fd >= 0 && ftruncate(fd, 2 * SIZE) == 0);
	return map_file(fd, 2 * SIZE, PROT_READ | PROT_WRITE, MAP_SHARED);
}

static char *make_program(void)
{
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	struct stat st;

	kt_need(fd >= 0 && fstat(fd, &st) == 0 && st.st_size > SIZE);
	return map_file(fd, SIZE, PROT_READ | PROT_EXEC, MAP_PRIVATE);
}

static char *make_dev_zero(void)
{
	int fd = open("/dev/zero", O_RDWR | O_CLOEXEC);

	kt_need(fd >= 0);
	return map_file(fd, 2 * SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE) + 77;
}

static char *aligned_huge(void)
{
	char *p = private_memory(3 * HUGE_SIZE);

	p = (char *)((kt_ptr(p) + HUGE_SIZE - 1) / HUGE_SIZE * HUGE_SIZE);
	madvise(p, 2 * HUGE_SIZE, MADV_HUGEPAGE);
	return p;
}

/* Across the border of two huge pages */
static char *make_huge(void)
{
	char *p = aligned_huge();

	kt_fill(p, 2 * HUGE_SIZE, 1);
	return p + HUGE_SIZE - SIZE / 2;
}

static char *make_huge_zeros(void)
{
	char *p = aligned_huge();
	volatile char c = p[0];

	c = p[HUGE_SIZE];
	(void)c;
	return p + HUGE_SIZE - SIZE / 2;
}

/* One of which a part was given back */
static char *make_huge_split(void)
{
	char *p = make_huge();

	madvise(p - SIZE, PAGE, MADV_DONTNEED);
	mprotect((char *)(kt_ptr(p) / PAGE * PAGE), PAGE, PROT_READ);
	return p;
}

static char *make_hugetlb(void)
{
	char *p;

	kt_write_file("/proc/sys/vm/nr_hugepages", "2");
	p = mmap(NULL, 2 * HUGE_SIZE, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
	kt_need(p != MAP_FAILED);
	kt_fill(p, 2 * HUGE_SIZE, 1);
	return p + HUGE_SIZE - SIZE / 2;
}

/* Nobody may pin this: not even the kernel shall reach it but by its owner's mapping */
static char *make_secret(void)
{
	int fd = (int)syscall(SYS_memfd_secret, 0);
	char *p;

	if (fd < 0)
		return NULL;
	kt_need(ftruncate(fd, 2 * SIZE) == 0);
	p = map_file(fd, 2 * SIZE, PROT_READ | PROT_WRITE, MAP_SHARED);
	kt_fill(p, 2 * SIZE, 1);
	return p + 77;
}

static char *make_locked(void)
{
	char *p = make_private();

	kt_need(mlock(p, SIZE) == 0);
	return p;
}

/* Whether the kernel has huge pages: those of the debug tier have none */
static bool has_hugetlb(void)
{
	return access("/proc/sys/vm/nr_hugepages", W_OK) == 0;
}

static const struct kind {
	const char *name;
	char *(*make)(void);
	enum outcome outcome;
} kinds[] = {
	{ "private", make_private, PINNED },
	{ "shared", make_shared, PINNED },
	{ "heap", make_heap, PINNED },
	/* Newer kernels pin the page of zeros without counting it */
	{ "never touched", make_never_touched, EITHER },
	{ "zeros and others", make_zeros, EITHER },
	{ "file", make_shared_file, PINNED },
	{ "file, read only", make_readonly_file, PINNED },
	{ "private file", make_private_file, PINNED },
	{ "private file, written", make_private_file_written, PINNED },
	{ "hole in a file", make_hole_in_file, PINNED },
	{ "program text", make_program, PINNED },
	{ "/dev/zero", make_dev_zero, EITHER },
	{ "huge pages", make_huge, PINNED },
	{ "huge page of zeros", make_huge_zeros, EITHER },
	{ "huge page, split", make_huge_split, PINNED },
	{ "hugetlb", make_hugetlb, PINNED },
	{ "secret", make_secret, COPIED },
	{ "locked", make_locked, PINNED },
};

#define expect_from(from, wanted) do {					\
	char *_expected = malloc(SIZE);					\
									\
	self->s->buf = (from);						\
	/* sent first: looking at it would change what it is */		\
	queue_it(KT_THREAD, sender_main);				\
	if ((wanted) != EITHER || !variant->pinned)			\
		EXPECT_EQ((wanted) == PINNED ? PAGES(self->s) : 0, pinned());	\
	memcpy(_expected, self->s->buf, SIZE);				\
	kt_poison(self->got, SIZE + PAGE);				\
	ASSERT_EQ(SIZE, kt_recv(self->srv, 0, 0, 0, self->got, MAX_SIZE, &self->result)); \
	EXPECT_EQ(0, memcmp(self->got, _expected, SIZE));		\
	EXPECT_TRUE(kt_poisoned(self->got + SIZE, PAGE));		\
	free(_expected);						\
	expect_told(self->result.token);				\
} while (0)

TEST_F(pinned, p02_from_every_kind_of_memory)
{
	char stack[SIZE];

	kt_fill(stack, SIZE, 2);
	expect_from(stack, PINNED);
	for (unsigned int i = 0; i < NR(kinds); i++) {
		char *buf;

		if (kinds[i].make == make_hugetlb && !has_hugetlb())
			continue;
		buf = kinds[i].make();
		if (!buf)
			continue;
		TH_LOG("%s", kinds[i].name);
		expect_from(buf, kinds[i].outcome);
		/* again: now all of it is mapped */
		expect_from(buf, kinds[i].outcome);
	}
	if (has_hugetlb())
		kt_write_file("/proc/sys/vm/nr_hugepages", "0");
}

/* A mapping that the kernel made, which has no pages to pin */
TEST_F(pinned, p02_from_memory_that_has_no_pages)
{
	char line[256], *start = NULL;
	unsigned long from, to;
	FILE *maps = fopen("/proc/self/maps", "re");

	ASSERT_NE(NULL, maps);
	if (variant->pinned)
		kt_set_param("pin_min", 1);
	while (fgets(line, sizeof(line), maps))
		if (strstr(line, "[vvar]") && sscanf(line, "%lx-%lx", &from, &to) == 2)
			start = (char *)from;
	fclose(maps);
	ASSERT_NE(NULL, start);
	self->s->buf = start;
	self->s->size = 1024;
	queue_it(KT_THREAD, sender_main);
	EXPECT_EQ(0, pinned());
	EXPECT_EQ(1024, kt_recv(self->srv, 0, 0, 0, self->got, MAX_SIZE, &self->result));
	expect_told(self->result.token);
}

/* What cannot be read is EFAULT, and nothing is queued, nor pinned */
TEST_F(pinned, p03_what_cannot_be_read)
{
	char *hole = kt_hole(), *gone = private_memory(SIZE), *middle = make_private(), *truncated;
	int fd = file_of(SIZE, 1), key;
	struct {
		const char *name;
		uint64_t base;
	} bad[] = {
		{ "null", 0 },
		{ "no access", kt_ptr(hole) },
		{ "no access behind", kt_ptr(hole) - SIZE + 1 },
		{ "unmapped", kt_ptr(gone) },
		{ "unmapped in the middle", kt_ptr(middle) },
		{ "kernel memory", 0xffff888000000000ULL },
		{ "not canonical", 0x8000000000000000ULL },
		{ "behind the end of user memory", 0x7ffffffff000ULL - BEFORE },
		{ "around the end of all", ~0ULL - BEFORE },
		{ "truncated file", 0 },
		{ "protection key", 0 },
	};

	munmap(gone, SIZE);
	munmap((char *)(kt_ptr(middle + BEFORE) / PAGE * PAGE), PAGE);
	truncated = map_file(fd, SIZE, PROT_READ, MAP_SHARED);
	kt_need(ftruncate(fd, BEFORE) == 0);
	bad[9].base = kt_ptr(truncated);
	key = pkey_alloc(0, PKEY_DISABLE_ACCESS);
	if (key >= 0) {
		char *p = make_private() - 77;

		kt_need(pkey_mprotect(p, SIZE, PROT_READ | PROT_WRITE, key) == 0);
		bad[10].base = kt_ptr(p);
	}
	for (unsigned int i = 0; i < NR(bad); i++) {
		struct kipc_op_send send = kt_send_op(NULL, SIZE);
		struct kipc_op_rpc rpc = kt_rpc_op(NULL, SIZE, NULL, 0, NULL);

		TH_LOG("%s", bad[i].name);
		send.flags = KIPC_SYNC;
		send.payload.base = bad[i].base;
		rpc.request.base = bad[i].base;
		EXPECT_EQ(-EFAULT, variant->call ? kt_op_rpc(self->cli, &rpc) :
			  kt_op_send(self->cli, &send));
		EXPECT_TRUE(kt_quiet(self->srv));
		EXPECT_EQ(0, pinned());
	}
	if (key >= 0)
		pkey_free(key);
}

/* ---- what another thread does to the memory meanwhile ---- */

static char *first_page(struct sender *s)
{
	return (char *)(kt_ptr(s->buf) / PAGE * PAGE);
}

static void do_protect(struct sender *s)
{
	kt_need(mprotect(first_page(s), SIZE, PROT_NONE) == 0);
}

static void do_unmap(struct sender *s)
{
	kt_need(munmap(first_page(s), SIZE) == 0);
}

static void do_unmap_some(struct sender *s)
{
	kt_need(munmap(first_page(s) + 2 * PAGE, PAGE) == 0);
	kt_need(munmap(first_page(s) + 12 * PAGE, PAGE) == 0);
}

/* Others' bytes are then where they were */
static void do_replace(struct sender *s)
{
	char *p = mmap(first_page(s), SIZE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);

	kt_need(p == first_page(s));
	memset(p, 0xee, SIZE);
}

static void do_move(struct sender *s)
{
	char *to = private_memory(SIZE + PAGE);

	kt_need(mremap(first_page(s), SIZE, SIZE, MREMAP_MAYMOVE | MREMAP_FIXED, to) == to);
	do_replace(s);
}

static void do_forget(struct sender *s)
{
	kt_need(madvise(first_page(s), SIZE, MADV_DONTNEED) == 0);
}

static void do_forget_and_write(struct sender *s)
{
	do_forget(s);
	memset(s->buf, 0xee, SIZE);
}

static long scribble(void *arg)
{
	struct sender *s = arg;

	memset(s->buf, 0xee, s->size);
	return 0;
}

static void do_fork_and_write_there(struct sender *s)
{
	kt_need(kt_run(KT_FORK, scribble, s) == 0);
}

static void (*const games[])(struct sender *s) = {
	do_protect, do_unmap, do_unmap_some, do_replace, do_move, do_forget, do_forget_and_write,
	do_fork_and_write_there,
};

/* The receiver gets what was sent. That the memory is another's now changes nothing. */
TEST_F(pinned, p02_memory_changes_while_queued)
{
	for (unsigned int i = 0; i < NR(games); i++) {
		self->s->buf = make_private();
		kt_fill(self->s->buf, SIZE, SEED);
		queue_it(KT_THREAD, sender_main);
		EXPECT_EQ(PAGES(self->s), pinned());
		games[i](self->s);
		EXPECT_EQ(PAGES(self->s), pinned());
		kt_poison(self->got, SIZE + PAGE);
		ASSERT_EQ(SIZE, kt_recv(self->srv, 0, 0, 0, self->got, MAX_SIZE, &self->result));
		if (!kt_filled(self->got, SIZE, SEED))
			TH_LOG("game %u", i);
		EXPECT_TRUE(kt_filled(self->got, SIZE, SEED));
		expect_told(self->result.token);
	}
}

TEST_F(pinned, p02_memory_changes_during_the_copy)
{
	self->t->stays = true;
	for (unsigned int i = 0; i < NR(games); i++) {
		self->s->buf = make_private();
		kt_fill(self->s->buf, SIZE, SEED);
		queue_it(KT_THREAD, sender_main);
		taker_start(self->t);
		await_stalled(self->t);
		games[i](self->s);
		EXPECT_EQ(PAGES(self->s), pinned());
		kt_release(&self->t->held);
		await(self->t->done);
		ASSERT_EQ(SIZE, self->t->ret);
		if (!kt_filled(self->t->out, SIZE, SEED))
			TH_LOG("game %u", i);
		EXPECT_TRUE(kt_filled(self->t->out, SIZE, SEED));
		expect_told(self->t->result.token);
		ASSERT_EQ(KT_DIED - SIGKILL, kt_kill(self->t->kt));
	}
}

static long await_flag(void *arg)
{
	return kt_await(arg);
}

/* Each byte is what it was or what it is; @other is what it may be instead */
static bool old_or(const char *got, const char *old, size_t size, unsigned char other)
{
	for (size_t i = 0; i < size; i++) {
		if (got[i] != old[i] && (unsigned char)got[i] != other) {
			kt_complain("byte %zu is %02x", i, (unsigned char)got[i]);
			return false;
		}
	}
	return true;
}

/* Who writes to its payload itself gets what it deserves, and nothing from elsewhere */
TEST_F(pinned, p02_sender_writes_while_queued)
{
	char *old = malloc(SIZE);

	for (int child = 0; child < 2; child++) {
		struct kt_flag *go = kt_new(struct kt_flag);

		self->s->buf = make_private();
		kt_fill(self->s->buf, SIZE, SEED);
		memcpy(old, self->s->buf, SIZE);
		queue_it(KT_THREAD, sender_main);
		/* a child that shares the pages, or has them copied already */
		if (child)
			kt_start(KT_FORK, await_flag, go);
		memset(self->s->buf, 0xee, SIZE);
		ASSERT_EQ(SIZE, kt_recv(self->srv, 0, 0, 0, self->got, MAX_SIZE, &self->result));
		EXPECT_TRUE(old_or(self->got, old, SIZE, 0xee));
		expect_told(self->result.token);
		kt_raise(go);
	}
	free(old);
}

/* A child's pages are still the parent's when the child pins them, and the parent writes */
TEST_F(pinned, p02_sender_shares_its_pages_with_its_parent)
{
	self->s->buf = make_private();
	kt_fill(self->s->buf, SIZE, SEED);
	queue_it(KT_FORK, sender_main);
	EXPECT_EQ(PAGES(self->s), pinned());
	memset(self->s->buf, 0xee, SIZE);
	ASSERT_EQ(SIZE, kt_recv(self->srv, 0, 0, 0, self->got, MAX_SIZE, &self->result));
	EXPECT_TRUE(kt_filled(self->got, SIZE, SEED));
	expect_told(self->result.token);
}

/* ---- files that shrink ---- */

static void do_truncate(int fd)
{
	kt_need(ftruncate(fd, 0) == 0);
}

static void do_truncate_some(int fd)
{
	kt_need(ftruncate(fd, BEFORE) == 0);
}

static void do_punch(int fd)
{
	kt_need(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 5000, 40000) == 0);
}

static void (*const shrinkings[])(int fd) = { do_truncate, do_truncate_some, do_punch };

/* What was there then, or zeros: no signal, no hang, and nothing of anybody else's */
TEST_F(pinned, p02_file_shrinks_while_queued)
{
	char *old = malloc(SIZE);

	kt_fill(old, SIZE, SEED);
	for (unsigned int i = 0; i < 2 * NR(shrinkings); i++) {
		int fd = file_of(SIZE, SEED);

		self->s->buf = map_file(fd, SIZE, PROT_READ, i & 1 ? MAP_SHARED : MAP_PRIVATE);
		queue_it(KT_THREAD, sender_main);
		EXPECT_EQ(PAGES(self->s), pinned());
		shrinkings[i / 2](fd);
		ASSERT_EQ(SIZE, kt_recv(self->srv, 0, 0, 0, self->got, MAX_SIZE, &self->result));
		EXPECT_TRUE(old_or(self->got, old, SIZE, 0));
		expect_told(self->result.token);
		close(fd);
	}
	free(old);
}

TEST_F(pinned, p02_file_shrinks_during_the_copy)
{
	char *old = malloc(SIZE);

	kt_fill(old, SIZE, SEED);
	self->t->stays = true;
	for (unsigned int i = 0; i < 2 * NR(shrinkings); i++) {
		int fd = file_of(SIZE, SEED);

		self->s->buf = map_file(fd, SIZE, PROT_READ, i & 1 ? MAP_SHARED : MAP_PRIVATE);
		queue_it(KT_THREAD, sender_main);
		taker_start(self->t);
		await_stalled(self->t);
		shrinkings[i / 2](fd);
		kt_release(&self->t->held);
		await(self->t->done);
		ASSERT_EQ(SIZE, self->t->ret);
		EXPECT_TRUE(old_or(self->t->out, old, SIZE, 0));
		expect_told(self->t->result.token);
		ASSERT_EQ(KT_DIED - SIGKILL, kt_kill(self->t->kt));
		close(fd);
	}
	free(old);
}

/* Shrunk just before: the part that is left cannot be sent */
TEST_F(pinned, p03_file_has_shrunk)
{
	struct kipc_op_send send = kt_send_op(NULL, SIZE);
	struct kipc_op_rpc rpc = kt_rpc_op(NULL, SIZE, NULL, 0, NULL);

	for (unsigned int i = 0; i < 2; i++) {
		int fd = file_of(SIZE, SEED);
		char *p = map_file(fd, SIZE, PROT_READ, i & 1 ? MAP_SHARED : MAP_PRIVATE);

		send.flags = KIPC_SYNC;
		send.payload.base = kt_ptr(p);
		rpc.request.base = kt_ptr(p);
		for (size_t j = 0; j < SIZE; j += PAGE)
			kt_need(p[j] || p[j + 1]);
		do_truncate_some(fd);
		EXPECT_EQ(-EFAULT, variant->call ? kt_op_rpc(self->cli, &rpc) :
			  kt_op_send(self->cli, &send));
		EXPECT_EQ(0, pinned());
		close(fd);
	}
	EXPECT_TRUE(kt_quiet(self->srv));
}

TEST_HARNESS_MAIN
