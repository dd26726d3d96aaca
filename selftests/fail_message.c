// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Failures in SEND and RECV: each allocation and each copy fails once. A send that
 * fails leaves nothing, a receive that fails loses nothing, and what
 * either of them counted is given back: the limits have room for one more, exactly.
 */
#include "fail.h"
#include "harness.h"

#define SEGS 10		/* more than the kernel has room for on its stack */
#define SMALL 100	/* fits into the message itself */
#define MIDDLE 3000	/* memory of its own */
#define SEED 1

static char *in, *out;
static size_t room_max;	/* of each */
static struct kipc_iovec iov[SEGS];
static struct kipc_result result;
static struct peer peer;

static struct {
	int dev;
	int own;	/* a handle with all rights */
	int fd;		/* what the operation is done on, */
	uint32_t id;	/* with this id */
	long slabs;
	unsigned int fds;
	bool pinned;	/* all payloads of who waits, */
	long pins;	/* and that was made so often before */
} at;

static void set_up(void)
{
	fail_setup();
	at.slabs = kt_slab_objects();
	/* Each operation shall have to allocate what it needs */
	kt_set_param("spares_max", 0);
	at.dev = kt_device();
}

static void tear_down(struct __test_metadata *_metadata)
{
	EXPECT_EQ(at.fds, kt_open_fds());
	EXPECT_TRUE(kt_quiet(at.own));
	kt_euid(0);
	fail_pages(false);
	close(at.own);
	close(at.dev);
	kt_restore_params();
	EXPECT_TRUE(!at.pinned || kt_pins_made() > at.pins);
	EXPECT_TRUE(kt_until(!kt_pins_held()));
	EXPECT_TRUE(kt_until(kt_slab_objects() == at.slabs));
}

/*
 * The sender and receiver is an ordinary user, with one endpoint and one waiting task
 * at most. It comes through a handle of its own; or through a device file to an
 * endpoint of root, where it has no share yet.
 */
FIXTURE(message) {
};

FIXTURE_VARIANT(message) {
	bool device;
};

FIXTURE_VARIANT_ADD(message, handle) {
	.device = false,
};

FIXTURE_VARIANT_ADD(message, device) {
	.device = true,
};

FIXTURE_SETUP(message)
{
	set_up();
}

FIXTURE_TEARDOWN(message)
{
	tear_down(_metadata);
}

/* By handle: messages of many pages, which may fail, too */
FIXTURE(huge) {
};

FIXTURE_SETUP(huge)
{
	set_up();
	fail_pages(true);
}

FIXTURE_TEARDOWN(huge)
{
	tear_down(_metadata);
}

/* From here on every payload of who waits is pinned */
static void pin_all(void)
{
	at.pinned = true;
	at.pins = kt_pins_made();
	kt_set_param("pin_min", 1);
}

/* An endpoint with room for @msgs messages of @size bytes and no more; then no longer root */
static void make(bool device, uint32_t flags, size_t size,
		 unsigned int msgs)
{
	/* Who is not the owner may hold one message, and more only of much room */
	unsigned int times = device && msgs > 1 ? 2 * msgs : msgs;
	struct kipc_attr attr = {
		.max_size = (uint32_t)size,
		.max_msgs = times,
		.max_bytes = size * times,
	};

	if (size > kt_param("msg_max"))
		kt_set_param("msg_max", size);
	kt_set_param("user_endpoints_max", 1);
	kt_set_param("waiters_max", 1);
	if (device)
		at.own = kt_private_mode(at.dev, flags, 0666, &attr);
	fail_become(KT_UID_A);
	if (!device)
		at.own = kt_private_mode(at.dev, flags, 0666, &attr);
	at.fd = device ? at.dev : at.own;
	at.id = device ? kt_id(at.own) : 0;
	at.fds = kt_open_fds();
	room_max = size;
	in = fail_buffer(size);
	out = fail_buffer(size);
	kt_fill(in, size, SEED);
}

static struct kipc_op_send send_op(size_t size, unsigned int segs)
{
	return (struct kipc_op_send){
		.endpoint = at.id,
		.type = 5,
		.deadline = KIPC_FOREVER,
		.payload = fail_payload(in, size, iov, segs),
	};
}

static struct kipc_op_recv recv_op(size_t room, unsigned int segs)
{
	kt_poison(&result, sizeof(result));
	return (struct kipc_op_recv){
		.endpoint = at.id,
		.deadline = KIPC_FOREVER,
		.payload = fail_payload(out, room, iov, segs),
		.result = kt_ptr(&result),
	};
}

static bool nothing_there(void)
{
	long ret = kt_recv(at.own, 0, 0, 0, out, room_max, NULL);

	if (ret != -EAGAIN)
		kt_complain("a message is there: %ld", ret);
	return ret == -EAGAIN && kt_quiet(at.own);
}

/* Takes the next message: of @type, whole, and received for the first time? */
static bool take(uint64_t type, size_t size)
{
	struct kipc_result told = { 0 };
	long ret = kt_recv(at.own, 0, 0, 0, out, room_max, &told);

	if (ret == (long)size && told.type == type && told.deliveries == 1)
		return kt_filled(out, size, SEED);
	kt_complain("received %ld bytes of type %llu, delivery %u", ret,
		    (unsigned long long)told.type, told.deliveries);
	return false;
}

/* The queue holds messages of the types 1 to @msgs, in this order */
static bool all_there(unsigned int msgs, size_t size)
{
	struct kipc_endpoint info = kt_stat(at.own);
	struct kipc_result told = { 0 };

	for (unsigned int i = 1; i <= msgs; i++) {
		struct kipc_op_recv op = kt_recv_op(NULL, 0, &told);

		op.flags = KIPC_NONBLOCK | KIPC_PEEK | KIPC_TRUNCATE;
		op.after = told.token;
		if (kt_op_recv(at.own, &op) || told.type != i || told.size != size) {
			kt_complain("message %u is not in its place", i);
			return false;
		}
	}
	if (info.msgs == msgs && info.bytes == msgs * size && !info.waiters)
		return true;
	kt_complain("%llu messages, %llu bytes, %u waiters", (unsigned long long)info.msgs,
		    (unsigned long long)info.bytes, info.waiters);
	return false;
}

/* ---- SEND ---- */

static void sweep_send(struct __test_metadata *_metadata, size_t size, unsigned int segs,
		       unsigned int memory, unsigned int copies)
{
	struct kipc_op_send op = send_op(size, segs);
	struct sweep s = SWEEP;
	long ret;

	op.flags = KIPC_NONBLOCK;
	while (sweep_round_at(&s, at.dev, at.id)) {
		ret = FAILING(&s, kt_op_send(at.fd, &op));
		if (ret) {
			ASSERT_TRUE(sweep_failed(&s, ret));
			ASSERT_TRUE(nothing_there());
		} else {
			ASSERT_TRUE(take(5, size));
		}
	}
	EXPECT_TRUE(sweep_covered(&s, memory, copies));
}

/* The message; for a device file also the share. Struct and payload are copied. */
TEST_F(message, send_small)
{
	make(variant->device, 0, SMALL, 1);
	sweep_send(_metadata, SMALL, 0, 1 + variant->device, 2);
}

TEST_F(message, send_middle)
{
	make(variant->device, 0, MIDDLE, 1);
	sweep_send(_metadata, MIDDLE, 0, 2 + variant->device, 2);
}

TEST_F(message, send_few_segments)
{
	make(variant->device, 0, MIDDLE, 1);
	sweep_send(_metadata, MIDDLE, 3, 2 + variant->device, 2 + 3);
}

TEST_F(message, send_many_segments)
{
	make(variant->device, 0, MIDDLE, 1);
	sweep_send(_metadata, MIDDLE, SEGS, 3 + variant->device, 2 + SEGS);
}

/* Here pages fail, too. The kernel has other ways to get most of them. */
TEST_F(huge, send)
{
	make(false, 0, FAIL_HUGE, 1);
	sweep_send(_metadata, FAIL_HUGE, 0, 1, 1);
}

TEST_F(huge, send_when_pages_stay_out)
{
	fail_for_good("fail_page_alloc");
	make(false, 0, FAIL_HUGE, 1);
	sweep_send(_metadata, FAIL_HUGE, 0, 5, 1);
}

static long make_room(struct peer *p)
{
	return kt_recv(p->fd, 0, 0, 0, p->buf, sizeof(p->buf), &p->result);
}

TEST_F(message, send_that_waits_for_room)
{
	struct sweep s = SWEEP;
	struct kipc_op_send op;
	long ret, acted;

	make(variant->device, 0, SMALL, 1);
	op = send_op(SMALL, 0);
	op.type = 2;
	while (sweep_round_at(&s, at.dev, at.id)) {
		if (!kt_stat(at.own).msgs)
			ASSERT_EQ(0, kt_send(at.own, 0, 1, 0, in, SMALL));
		peer_start(&peer, at.own, make_room);
		ret = FAILING(&s, kt_op_send(at.fd, &op));
		acted = peer_end(&peer);
		if (ret) {
			ASSERT_TRUE(sweep_failed(&s, ret));
			ASSERT_EQ(PEER_IDLE, acted);
			ASSERT_TRUE(all_there(1, SMALL));
		} else {
			ASSERT_EQ(SMALL, acted);
			ASSERT_EQ(1, peer.result.type);
			ASSERT_TRUE(take(2, SMALL));
		}
	}
	EXPECT_TRUE(sweep_covered(&s, 1, 2));
}

/* SYNC: the peer receives what is sent */
static void sweep_sync(struct __test_metadata *_metadata, unsigned int memory,
		       unsigned int copies)
{
	struct kipc_op_send op = send_op(SMALL, 0);
	struct sweep s = SWEEP;
	long ret, acted;

	op.flags = KIPC_SYNC;
	while (sweep_round_at(&s, at.dev, at.id)) {
		peer_start(&peer, at.own, make_room);
		ret = FAILING(&s, kt_op_send(at.fd, &op));
		acted = peer_end(&peer);
		if (ret) {
			ASSERT_TRUE(sweep_failed(&s, ret));
			ASSERT_EQ(PEER_IDLE, acted);
		} else {
			ASSERT_EQ(SMALL, acted);
			ASSERT_TRUE(kt_filled(peer.buf, SMALL, SEED));
		}
		ASSERT_TRUE(nothing_there());
	}
	EXPECT_TRUE(sweep_covered(&s, memory, copies));
}

TEST_F(message, send_that_waits_for_its_receipt)
{
	make(variant->device, 0, SMALL, 1);
	sweep_sync(_metadata, 1 + variant->device, 2);
}

/* Without memory for pins it is copied; only the struct always is */
TEST_F(message, send_that_is_pinned)
{
	pin_all();
	make(variant->device, 0, SMALL, 1);
	sweep_sync(_metadata, 1 + variant->device, 1);
}

/* The receiver goes on waiting after a failed send, and gets the next */
static void sweep_handover(struct __test_metadata *_metadata)
{
	struct kipc_op_send op = send_op(SMALL, 0);
	struct kipc_op_recv recv = kt_recv_op(out, SMALL, &result);
	struct kt_job *job = NULL;
	struct sweep s = SWEEP;
	long ret;

	op.flags = KIPC_NONBLOCK;
	while (sweep_round_at(&s, at.dev, at.id)) {
		if (!job) {
			kt_poison(out, SMALL);
			job = kt_start_ioctl(KT_THREAD, at.own, KIPC_IOC_RECV, &recv);
			ASSERT_TRUE(kt_asleep(job));
		}
		ret = FAILING(&s, kt_op_send(at.fd, &op));
		if (ret) {
			ASSERT_TRUE(sweep_failed(&s, ret));
			ASSERT_TRUE(kt_asleep(job));
			ASSERT_TRUE(kt_poisoned(out, SMALL));
			ASSERT_EQ(1, kt_stat(at.own).waiters);
			ASSERT_EQ(0, kt_stat(at.own).msgs);
		} else {
			ASSERT_EQ(SMALL, kt_join(job));
			ASSERT_TRUE(kt_filled(out, SMALL, SEED));
			ASSERT_EQ(5, result.type);
			job = NULL;
			ASSERT_TRUE(nothing_there());
		}
	}
	/* The receiver is the same user: its share is there */
	EXPECT_TRUE(sweep_covered(&s, 1, 2));
}

TEST_F(message, send_to_a_waiting_receiver)
{
	make(variant->device, 0, SMALL, 1);
	sweep_handover(_metadata);
}

TEST_F(message, send_at_a_rendezvous)
{
	make(variant->device, KIPC_OPEN_RENDEZVOUS, SMALL, 1);
	sweep_handover(_metadata);
}

/* ---- RECV ---- */

/*
 * Two messages are there, and @op receives the first. @want is what that returns;
 * if it does not take the message, both must stay in any case.
 */
static void sweep_recv(struct __test_metadata *_metadata, struct kipc_op_recv *op, size_t size,
		       long want, bool takes, unsigned int memory, unsigned int copies)
{
	struct sweep s = SWEEP;
	long ret;

	while (sweep_round_at(&s, at.dev, at.id)) {
		for (unsigned int i = (unsigned int)kt_stat(at.own).msgs; i < 2; i++)
			ASSERT_EQ(0, kt_send(at.own, 0, i + 1, 0, in, size));
		kt_poison(&result, sizeof(result));
		ret = FAILING(&s, kt_op_recv(at.fd, op));
		if (ret != want) {
			ASSERT_TRUE(sweep_failed(&s, ret));
			ASSERT_TRUE(fail_untold(&result));
			ASSERT_TRUE(all_there(2, size));
			continue;
		}
		if (ret >= 0) {
			ASSERT_TRUE(kt_filled(out, (size_t)ret, SEED));
			ASSERT_EQ(1, result.type);
			ASSERT_EQ(size, result.size);
			ASSERT_EQ(1, result.deliveries);
		}
		if (!takes) {
			ASSERT_TRUE(all_there(2, size));
			continue;
		}
		ASSERT_TRUE(take(2, size));
		ASSERT_TRUE(nothing_there());
	}
	EXPECT_TRUE(sweep_covered(&s, memory, copies));
	while (kt_stat(at.own).msgs)
		ASSERT_EQ((long)size, kt_recv(at.own, 0, 0, 0, out, size, NULL));
}

/* For a device file the share. Struct and payload are copied; the result is told otherwise. */
TEST_F(message, recv_small)
{
	struct kipc_op_recv op;

	make(variant->device, 0, SMALL, 2);
	op = recv_op(SMALL, 0);
	sweep_recv(_metadata, &op, SMALL, SMALL, true, 0, 2);
}

/*
 * From the pages of a sender that waits: after each failure it still does. A copy from
 * there that fails is tried again.
 */
TEST_F(message, recv_pinned)
{
	struct kipc_op_send send;
	struct kt_job *job = NULL;
	struct kipc_op_recv op;
	struct sweep s = SWEEP;
	long ret;

	pin_all();
	make(variant->device, 0, MIDDLE, 2);
	op = recv_op(MIDDLE, SEGS);
	send = send_op(MIDDLE, 0);
	send.flags = KIPC_SYNC;
	while (sweep_round_at(&s, at.dev, at.id)) {
		if (!job) {
			job = kt_start_ioctl(KT_THREAD, at.fd, KIPC_IOC_SEND, &send);
			ASSERT_TRUE(kt_asleep(job));
		}
		kt_poison(out, MIDDLE);
		kt_poison(&result, sizeof(result));
		ret = FAILING(&s, kt_op_recv(at.fd, &op));
		if (ret != MIDDLE) {
			ASSERT_TRUE(sweep_failed(&s, ret));
			ASSERT_TRUE(fail_untold(&result));
			ASSERT_EQ(1, kt_stat(at.own).msgs);
			ASSERT_TRUE(kt_asleep(job));
			continue;
		}
		ASSERT_TRUE(kt_filled(out, MIDDLE, SEED));
		ASSERT_EQ(0, kt_join(job));
		job = NULL;
		ASSERT_TRUE(nothing_there());
	}
	EXPECT_TRUE(sweep_covered(&s, 1, 2));
}

TEST_F(message, recv_by_type)
{
	struct kipc_op_recv op;

	make(variant->device, 0, MIDDLE, 2);
	op = recv_op(MIDDLE, 0);
	op.flags = KIPC_NONBLOCK | KIPC_TYPE_LE;
	op.type = 7;
	sweep_recv(_metadata, &op, MIDDLE, MIDDLE, true, 0, 2);
}

TEST_F(message, recv_many_segments)
{
	struct kipc_op_recv op;

	make(variant->device, 0, MIDDLE, 2);
	op = recv_op(MIDDLE, SEGS);
	sweep_recv(_metadata, &op, MIDDLE, MIDDLE, true, 1, 2 + SEGS);
}

TEST_F(huge, recv)
{
	struct kipc_op_recv op;

	make(false, 0, FAIL_HUGE, 2);
	op = recv_op(FAIL_HUGE, 0);
	sweep_recv(_metadata, &op, FAIL_HUGE, FAIL_HUGE, true, 0, 2);
}

TEST_F(message, recv_truncated)
{
	struct kipc_op_recv op;

	make(variant->device, 0, MIDDLE, 2);
	op = recv_op(SMALL, 0);
	op.flags = KIPC_TRUNCATE;
	sweep_recv(_metadata, &op, MIDDLE, SMALL, true, 0, 2);
}

TEST_F(message, recv_with_too_little_room)
{
	struct kipc_op_recv op;

	make(variant->device, 0, MIDDLE, 2);
	op = recv_op(SMALL, 0);
	op.flags = KIPC_ANYSIZE;
	sweep_recv(_metadata, &op, MIDDLE, -EMSGSIZE, false, 0, 1);
	op.flags = 0;
	sweep_recv(_metadata, &op, MIDDLE, -EMSGSIZE, false, 0, 1);
}

TEST_F(message, peek)
{
	struct kipc_op_recv op;

	make(variant->device, 0, MIDDLE, 2);
	op = recv_op(MIDDLE, SEGS);
	op.flags = KIPC_PEEK;
	sweep_recv(_metadata, &op, MIDDLE, MIDDLE, false, 1, 2 + SEGS);
}

static long send_one(struct peer *p)
{
	return kt_send(p->fd, 0, 1, 0, in, SMALL);
}

/* The message comes while the receive waits: a failure from then on puts it back */
static void sweep_waiting_recv(struct __test_metadata *_metadata, uint32_t flags,
			       unsigned int memory, unsigned int copies)
{
	struct kipc_op_recv op = recv_op(SMALL, 0);
	struct sweep s = SWEEP;
	unsigned int put_back = 0;
	long ret, acted;

	op.flags = flags;
	while (sweep_round_at(&s, at.dev, at.id)) {
		kt_poison(&result, sizeof(result));
		peer_start(&peer, at.own, send_one);
		ret = FAILING(&s, kt_op_recv(at.fd, &op));
		acted = peer_end(&peer);
		if (ret != SMALL) {
			ASSERT_TRUE(sweep_failed(&s, ret));
			ASSERT_TRUE(fail_untold(&result));
		} else {
			ASSERT_EQ(0, acted);
			ASSERT_TRUE(kt_filled(out, SMALL, SEED));
			ASSERT_EQ(1, result.type);
			ASSERT_EQ(1, result.deliveries);
		}
		if (acted != PEER_IDLE && (ret < 0 || flags & KIPC_PEEK)) {
			ASSERT_EQ(0, acted);
			ASSERT_TRUE(all_there(1, SMALL));
			ASSERT_TRUE(take(1, SMALL));
			put_back++;
		}
		ASSERT_TRUE(nothing_there());
	}
	EXPECT_TRUE(sweep_covered(&s, memory, copies));
	EXPECT_GE(put_back, 1);
}

TEST_F(message, recv_that_waits)
{
	make(variant->device, 0, SMALL, 1);
	sweep_waiting_recv(_metadata, 0, variant->device, 2);
}

TEST_F(message, recv_that_waits_at_a_rendezvous)
{
	struct kipc_op_recv op;
	struct kipc_op_send send;
	struct kt_job *job = NULL;
	struct sweep s = SWEEP;
	long ret;

	/* The sender waits already, with the message in its hands */
	make(variant->device, KIPC_OPEN_RENDEZVOUS, SMALL, 1);
	op = recv_op(SMALL, 0);
	send = kt_send_op(in, SMALL);
	send.type = 1;
	op.flags = KIPC_NONBLOCK;
	while (sweep_round_at(&s, at.dev, at.id)) {
		if (!job) {
			job = kt_start_ioctl(KT_THREAD, at.own, KIPC_IOC_SEND, &send);
			ASSERT_TRUE(kt_asleep(job));
		}
		kt_poison(&result, sizeof(result));
		ret = FAILING(&s, kt_op_recv(at.fd, &op));
		if (ret != SMALL) {
			ASSERT_TRUE(sweep_failed(&s, ret));
			ASSERT_TRUE(fail_untold(&result));
			ASSERT_TRUE(kt_asleep(job));
			ASSERT_EQ(0, kt_stat(at.own).msgs);
		} else {
			ASSERT_TRUE(kt_filled(out, SMALL, SEED));
			ASSERT_EQ(0, kt_join(job));
			job = NULL;
			ASSERT_TRUE(nothing_there());
		}
	}
	EXPECT_TRUE(sweep_covered(&s, 0, 2));
}

TEST_F(message, peek_that_waits)
{
	make(variant->device, 0, SMALL, 1);
	sweep_waiting_recv(_metadata, KIPC_PEEK, variant->device, 2);
}

/* ---- SEND_BATCH and RECV_BATCH ---- */

#define BATCH 18	/* more than the kernel moves at a time */
#define STEP 104	/* from one payload of SMALL bytes to the next */

static struct {
	char *in, *out;
	struct kipc_batch_msg *heads;
	struct kipc_result *results;
	unsigned int partly[FAIL_KINDS];	/* rounds in which the first ones were moved */
} batch;

/* An endpoint with room for @msgs messages, and a batch of types from 1 on */
static void make_batch(bool device, unsigned int msgs)
{
	make(device, 0, SMALL, msgs);
	batch.in = fail_buffer(BATCH * STEP);
	batch.out = fail_buffer(BATCH * STEP);
	batch.heads = (void *)fail_buffer(BATCH * sizeof(*batch.heads));
	batch.results = (void *)fail_buffer(BATCH * sizeof(*batch.results));
	memset(batch.partly, 0, sizeof(batch.partly));
	for (unsigned int i = 0; i < BATCH; i++) {
		kt_fill(batch.in + i * STEP, SMALL, SEED);
		batch.heads[i] = (struct kipc_batch_msg){ .type = i + 1, .size = SMALL };
	}
}

static struct kipc_op_send_batch send_batch_op(unsigned int count)
{
	return (struct kipc_op_send_batch){
		.endpoint = at.id,
		.deadline = KIPC_FOREVER,
		.base = kt_ptr(batch.in),
		.len = BATCH * STEP,
		.msgs = kt_ptr(batch.heads),
		.count = count,
	};
}

/* How many of @count were moved: all, or as many as before this round's failure; -1: neither */
static long moved(struct sweep *s, long ret, unsigned int count)
{
	if (ret == count)
		return ret;
	if (ret < 0)
		return sweep_failed(s, ret) ? 0 : -1;
	if (ret > 0 && ret < count && s->kind) {
		batch.partly[s->kind]++;
		return ret;
	}
	kt_complain("%s: %ld of %u at point %u", s->name, ret, count, s->nth);
	return -1;
}

/* Each failed in the first message, or before it; and in each message behind it */
static bool batch_covered(const struct sweep *s, unsigned int memory, unsigned int copies,
			  unsigned int memory_behind, unsigned int copies_behind)
{
	if (!sweep_covered(s, memory, copies))
		return false;
	kt_complain("%s: some moved, then an allocation failed %u times, a copy %u times", s->name,
		    batch.partly[FAIL_MEMORY], batch.partly[FAIL_COPY]);
	return batch.partly[FAIL_MEMORY] >= memory_behind &&
	       batch.partly[FAIL_COPY] >= copies_behind;
}

TEST_F(message, send_batch)
{
	struct sweep s = SWEEP;
	struct kipc_op_send_batch op;
	long n;

	make_batch(variant->device, BATCH);
	op = send_batch_op(BATCH);
	op.flags = KIPC_NONBLOCK;
	while (sweep_round_at(&s, at.dev, at.id)) {
		n = moved(&s, FAILING(&s, kt_op_send_batch(at.fd, &op)), BATCH);
		ASSERT_LE(0, n);
		for (long i = 1; i <= n; i++)
			ASSERT_TRUE(take((uint64_t)i, SMALL));
		ASSERT_TRUE(nothing_there());
	}
	/* Struct, heads and payload of the first; payloads behind, heads of the second round */
	EXPECT_TRUE(batch_covered(&s, 1 + variant->device, 3, BATCH - 1, BATCH - 1 + 1));
}

/* The first has room, the second gets it by the peer */
TEST_F(message, send_batch_that_waits_for_room)
{
	struct sweep s = SWEEP;
	struct kipc_op_send_batch op;
	long n, acted;

	make_batch(variant->device, 1);
	op = send_batch_op(2);
	while (sweep_round_at(&s, at.dev, at.id)) {
		peer_start(&peer, at.own, make_room);
		n = moved(&s, FAILING(&s, kt_op_send_batch(at.fd, &op)), 2);
		acted = peer_end(&peer);
		ASSERT_LE(0, n);
		if (n == 2) {
			ASSERT_EQ(SMALL, acted);
			ASSERT_EQ(1, peer.result.type);
			ASSERT_TRUE(take(2, SMALL));
		} else {
			ASSERT_EQ(PEER_IDLE, acted);
			if (n)
				ASSERT_TRUE(take(1, SMALL));
		}
		ASSERT_TRUE(nothing_there());
	}
	EXPECT_TRUE(batch_covered(&s, 1 + variant->device, 3, 1, 1));
}

/* The @n that were received are told; without any, what was told is taken back */
static bool batch_told(long n)
{
	for (long i = 0; i < n; i++) {
		const struct kipc_result *told = &batch.results[i];

		if (told->type != (uint64_t)i + 1 || told->size != SMALL ||
		    told->deliveries != 1 || !kt_filled(batch.out + i * STEP, SMALL, SEED)) {
			kt_complain("message %ld of %ld is not what was sent", i, n);
			return false;
		}
	}
	return n || fail_untold(batch.results);
}

TEST_F(message, recv_batch)
{
	struct kipc_op_recv_batch op;
	struct sweep s = SWEEP;
	long n;

	make_batch(variant->device, BATCH);
	op = (struct kipc_op_recv_batch){
		.endpoint = at.id,
		.deadline = KIPC_FOREVER,
		.base = kt_ptr(batch.out),
		.len = BATCH * STEP,
		.results = kt_ptr(batch.results),
		.count = BATCH,
	};
	while (sweep_round_at(&s, at.dev, at.id)) {
		for (unsigned int i = 1; i <= BATCH; i++)
			ASSERT_EQ(0, kt_send(at.own, 0, i, 0, in, SMALL));
		kt_poison(batch.out, BATCH * STEP);
		kt_poison(batch.results, BATCH * sizeof(*batch.results));
		n = moved(&s, FAILING(&s, kt_op_recv_batch(at.fd, &op)), BATCH);
		ASSERT_LE(0, n);
		ASSERT_TRUE(batch_told(n));
		/* the rest in its place */
		for (long i = n + 1; i <= BATCH; i++)
			ASSERT_TRUE(take((uint64_t)i, SMALL));
		ASSERT_TRUE(nothing_there());
	}
	/* Struct, and the payload of each */
	EXPECT_TRUE(batch_covered(&s, 0, 2, 0, BATCH - 1));
}

/* The first comes while it waits; from then on a failure puts it back */
TEST_F(message, recv_batch_that_waits)
{
	struct kipc_op_recv_batch op;
	unsigned int put_back = 0;
	struct sweep s = SWEEP;
	long n, acted;

	make_batch(variant->device, 1);
	op = (struct kipc_op_recv_batch){
		.endpoint = at.id,
		.deadline = KIPC_FOREVER,
		.base = kt_ptr(batch.out),
		.len = BATCH * STEP,
		.results = kt_ptr(batch.results),
		.count = BATCH,
	};
	while (sweep_round_at(&s, at.dev, at.id)) {
		kt_poison(batch.out, BATCH * STEP);
		kt_poison(batch.results, BATCH * sizeof(*batch.results));
		peer_start(&peer, at.own, send_one);
		n = moved(&s, FAILING(&s, kt_op_recv_batch(at.fd, &op)), 1);
		acted = peer_end(&peer);
		ASSERT_LE(0, n);
		ASSERT_TRUE(batch_told(n));
		if (n)
			ASSERT_EQ(0, acted);
		if (!n && acted != PEER_IDLE) {
			ASSERT_EQ(0, acted);
			ASSERT_TRUE(take(1, SMALL));
			put_back++;
		}
		ASSERT_TRUE(nothing_there());
	}
	EXPECT_TRUE(batch_covered(&s, variant->device, 2, 0, 0));
	EXPECT_GE(put_back, 1);
}

TEST_HARNESS_MAIN
