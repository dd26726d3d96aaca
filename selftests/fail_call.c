// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Failures in calls: each allocation and each copy fails once. Whatever fails, the
 * caller is told whether the server had the call, a call that goes on can be
 * collected by its token, a reply is made once or not at all, and a delivery that was
 * not answered can be answered.
 */
#include <poll.h>

#include "fail.h"
#include "harness.h"

#define SEGS 10		/* more than the kernel has room for on its stack */
#define SMALL 100	/* fits into the call itself */
#define MIDDLE 3000	/* memory of its own */
#define REQUEST 1	/* patterns */
#define REPLY 2

static char *request, *reply;	/* the caller's */
static char *taken, *answer;	/* the server's */
static size_t room_max;		/* of each of these */
static struct kipc_iovec request_iov[SEGS], reply_iov[SEGS];
static struct kipc_result result;

/* The server: takes a call when the caller sleeps, and does more as a test wants */
static struct peer peer;
static size_t answer_size;
static int answer_status;

static struct {
	int dev;
	int own;	/* a handle with all rights */
	int fd;		/* what calls are made on, */
	uint32_t id;	/* with this id */
	int other;	/* the other endpoint of hold_interrupted() */
	bool pinned;	/* all payloads of who waits, */
	long pins;	/* and that was made so often before */
	long slabs;
	unsigned int fds;
} at;

static void set_up(void)
{
	fail_setup();
	at.slabs = kt_slab_objects();
	/* Each operation shall have to allocate what it needs */
	kt_set_param("spares_max", 0);
	at.dev = kt_device();
	kt_catch(SIGUSR1, 0);
}

static void tear_down(struct __test_metadata *_metadata)
{
	EXPECT_TRUE(kt_quiet(at.own));
	EXPECT_EQ(at.fds, kt_open_fds());
	kt_euid(0);
	fail_pages(false);
	close(at.own);
	if (at.other)
		close(at.other);
	close(at.dev);
	kt_restore_params();
	EXPECT_TRUE(!at.pinned || kt_pins_made() > at.pins);
	EXPECT_TRUE(kt_until(!kt_pins_held()));
	EXPECT_TRUE(kt_until(kt_slab_objects() == at.slabs));
}

/*
 * The caller is an ordinary user with one waiting task and two started calls at
 * most. It comes through the handle that the server uses, too; or through a device
 * file that root opened, to an endpoint of root, where nothing is its own yet.
 */
FIXTURE(call) {
};

FIXTURE_VARIANT(call) {
	bool device;
};

FIXTURE_VARIANT_ADD(call, handle) {
	.device = false,
};

FIXTURE_VARIANT_ADD(call, device) {
	.device = true,
};

FIXTURE_SETUP(call)
{
	set_up();
}

FIXTURE_TEARDOWN(call)
{
	tear_down(_metadata);
}

/* The same for what does not depend on how the caller comes: by handle */
FIXTURE(server) {
};

FIXTURE_SETUP(server)
{
	set_up();
}

FIXTURE_TEARDOWN(server)
{
	tear_down(_metadata);
}

/* From here on every payload of who waits, and its room for a reply, is pinned */
static void pin_all(void)
{
	at.pinned = true;
	at.pins = kt_pins_made();
	kt_set_param("pin_min", 1);
}

static uint64_t interrupted_call(void);

/*
 * While any call that was interrupted is kept, who makes a new one is asked whether it
 * has too many of them. Root has one, at another endpoint.
 */
static void hold_interrupted(size_t size)
{
	struct kipc_attr attr = { .max_size = (uint32_t)size, .max_bytes = 2 * size };

	at.other = kt_private_mode(at.dev, 0, 0600, &attr);
	at.own = at.other;
	at.fd = at.other;
	at.id = 0;
	kt_need(interrupted_call());
}

/* An endpoint for messages of @size bytes, and room to start calls for that; no longer root */
static void make(bool device, size_t size, unsigned int waiters)
{
	struct kipc_attr attr = { .max_size = (uint32_t)size, .max_bytes = 2 * size };

	if (size > kt_param("msg_max"))
		kt_set_param("msg_max", size);
	kt_set_param("waiters_max", waiters);
	kt_set_param("user_calls_max", 2);
	kt_set_param("user_reply_room_max", 2 * size);
	kt_set_param("user_capacity_max", 8 * size + 65536);
	room_max = size;
	request = fail_buffer(size);
	reply = fail_buffer(size);
	taken = fail_buffer(size);
	answer = fail_buffer(size);
	kt_fill(request, size, REQUEST);
	kt_fill(answer, size, REPLY);
	if (device) {
		hold_interrupted(size);
		at.own = kt_private_mode(at.dev, 0, 0666, &attr);
	}
	fail_become(KT_UID_A);
	if (!device)
		at.own = kt_private_mode(at.dev, 0, 0666, &attr);
	at.fd = device ? at.dev : at.own;
	at.id = device ? kt_id(at.own) : 0;
	at.fds = kt_open_fds();
}

static struct kipc_op_rpc call_op(size_t size, unsigned int segs, size_t room,
				  unsigned int room_segs)
{
	return (struct kipc_op_rpc){
		.endpoint = at.id,
		.cookie = 7,
		.deadline = KIPC_FOREVER,
		.request = fail_payload(request, size, request_iov, segs),
		.reply = fail_payload(reply, room, reply_iov, room_segs),
		.result = kt_ptr(&result),
	};
}

static struct kipc_op_rpc async_op(size_t size)
{
	struct kipc_op_rpc op = call_op(size, 0, 0, 0);

	op.flags = KIPC_ASYNC;
	op.reply = (struct kipc_payload){ 0 };
	op.reply_room = size;
	op.deadline = 0;
	return op;
}

static struct kipc_op_rpc collect_op(uint64_t token)
{
	return (struct kipc_op_rpc){
		.flags = KIPC_NONBLOCK | (token ? 0 : KIPC_NEXT),
		.token = token,
		.reply = { .base = kt_ptr(reply), .len = room_max },
		.result = kt_ptr(&result),
	};
}

static long collect(uint64_t token)
{
	struct kipc_op_rpc op = collect_op(token);

	kt_poison(&result, sizeof(result));
	return kt_op_rpc(at.fd, &op);
}

static bool no_calls(void)
{
	long taking = kt_recv(at.own, 0, 0, 0, taken, room_max, &peer.result);
	long next = collect(0);

	if (taking == -EAGAIN && next == -ENOENT)
		return kt_quiet(at.own);
	kt_complain("a call is there: RECV %ld, NEXT %ld", taking, next);
	return false;
}

/*
 * The result says DELIVERED exactly if the server had the call, and has the token. It
 * may be untouched only if nothing was delivered.
 */
static bool fate_told(const struct kipc_op_rpc *op, bool delivered)
{
	if (result.flags == 0xa5a5a5a5)
		return !delivered && !op->token;
	if (!(result.flags & KIPC_RESULT_DELIVERED) == !delivered && result.token == op->token)
		return true;
	kt_complain("%s, token %#llx; told: flags %#x, token %#llx",
		    delivered ? "delivered" : "not delivered", (unsigned long long)op->token,
		    result.flags, (unsigned long long)result.token);
	return false;
}

/* ---- the server's acts ---- */

static long take_call(struct peer *p)
{
	return kt_recv(p->fd, 0, 0, 0, taken, room_max, &p->result);
}

static long give_answer(struct peer *p)
{
	return kt_reply(p->fd, p->result.token, answer_status, answer, answer_size);
}

static long serve(struct peer *p)
{
	long size = take_call(p), ret = size < 0 ? size : give_answer(p);

	return ret < 0 ? ret : size;
}

static long interrupt(struct peer *p)
{
	return syscall(SYS_tgkill, getpid(), p->tid, SIGUSR1) ? -errno : 0;
}

static long take_and_interrupt(struct peer *p)
{
	long size = take_call(p), ret = interrupt(p);

	return ret < 0 ? ret : size;
}

/* ---- calls that wait ---- */

/* @want: what the call returns */
static void sweep_call(struct __test_metadata *_metadata, const struct kipc_op_rpc *op,
		       size_t size, long want, unsigned int memory, unsigned int copies)
{
	size_t shown = want < 0 ? answer_size : (size_t)want;
	struct kipc_op_rpc told;
	unsigned int kept = 0;
	struct sweep s = SWEEP;
	long ret, acted;

	while (sweep_round_at(&s, at.dev, at.id)) {
		told = *op;
		kt_poison(&result, sizeof(result));
		kt_poison(reply, shown);
		peer_start(&peer, at.own, serve);
		ret = FAILING(&s, kt_op_rpc(at.fd, &told));
		acted = peer_end(&peer);
		if (ret == want) {
			ASSERT_EQ(size, acted);
			ASSERT_EQ(0, told.token);
			ASSERT_EQ(7, result.cookie);
			ASSERT_TRUE(kt_filled(reply, shown, REPLY));
		} else {
			ASSERT_TRUE(sweep_failed(&s, ret));
		}
		ASSERT_TRUE(fate_told(&told, acted != PEER_IDLE));
		if (acted != PEER_IDLE)
			ASSERT_TRUE(kt_filled(taken, size, REQUEST));
		if (ret != want && acted != PEER_IDLE) {
			/* The reply is kept, and given once */
			ASSERT_NE(0, told.token);
			ASSERT_EQ(want < 0 ? want : (long)answer_size, collect(told.token));
			ASSERT_TRUE(kt_filled(reply, answer_size, REPLY));
			ASSERT_EQ(-ENOENT, collect(told.token));
			kept++;
		}
		ASSERT_TRUE(no_calls());
	}
	EXPECT_TRUE(sweep_covered(&s, memory, copies));
	/*
	 * Neither the reply nor the result could be stored; where pages fail one may be missed,
	 * and a reply in the caller's pinned buffer need not be stored
	 */
	EXPECT_GE(kept, size == FAIL_HUGE || at.pinned ? 1 : 2);
}

/*
 * The call; for a device file the account and user to look at the quota, and a share.
 * Struct, request, reply and result are copied.
 */
TEST_F(call, rpc_small)
{
	struct kipc_op_rpc op;

	make(variant->device, MIDDLE, 1);
	op = call_op(SMALL, 0, MIDDLE, 0);
	answer_size = SMALL;
	sweep_call(_metadata, &op, SMALL, SMALL, variant->device ? 4 : 1, 4);
}

/*
 * What pins need is memory, too, but without it the payload is copied: fewer failures, and
 * as few copies as there are: the struct and the result.
 */
TEST_F(call, rpc_pinned)
{
	struct kipc_op_rpc op;

	pin_all();
	make(variant->device, MIDDLE, 1);
	op = call_op(MIDDLE, 0, MIDDLE, 0);
	answer_size = MIDDLE;
	sweep_call(_metadata, &op, MIDDLE, MIDDLE, variant->device ? 4 : 1, 2);
}

TEST_F(call, rpc_many_segments)
{
	struct kipc_op_rpc op;

	make(variant->device, MIDDLE, 1);
	op = call_op(MIDDLE, SEGS, MIDDLE, SEGS);
	answer_size = MIDDLE;
	sweep_call(_metadata, &op, MIDDLE, MIDDLE, variant->device ? 7 : 4, 4 + 2 * SEGS);
}

TEST_F(server, rpc_huge)
{
	struct kipc_op_rpc op;

	fail_pages(true);
	make(false, FAIL_HUGE, 1);
	op = call_op(FAIL_HUGE, 0, FAIL_HUGE, 0);
	answer_size = FAIL_HUGE;
	sweep_call(_metadata, &op, FAIL_HUGE, FAIL_HUGE, 1, 2);
}

TEST_F(call, rpc_truncated)
{
	struct kipc_op_rpc op;

	make(variant->device, MIDDLE, 1);
	op = call_op(SMALL, 0, SMALL, 0);
	op.flags = KIPC_TRUNCATE;
	answer_size = SMALL;
	sweep_call(_metadata, &op, SMALL, SMALL, variant->device ? 4 : 1, 4);
}

TEST_F(call, rpc_with_a_status)
{
	struct kipc_op_rpc op;

	make(variant->device, MIDDLE, 1);
	op = call_op(SMALL, 0, MIDDLE, 0);
	answer_size = SMALL;
	answer_status = EOWNERDEAD;
	sweep_call(_metadata, &op, SMALL, -EOWNERDEAD, variant->device ? 4 : 1, 4);
}

/* The wait ends when the server has the call; the reply is collected later */
TEST_F(call, rpc_that_is_interrupted)
{
	struct kipc_op_rpc op, told;
	struct sweep s = SWEEP;
	long ret, acted;

	make(variant->device, MIDDLE, 1);
	op = call_op(SMALL, 0, MIDDLE, 0);
	op.flags = KIPC_NORESTART;
	answer_size = MIDDLE;
	while (sweep_round_at(&s, at.dev, at.id)) {
		told = op;
		kt_poison(&result, sizeof(result));
		peer_start(&peer, at.own, take_and_interrupt);
		ret = FAILING(&s, kt_op_rpc(at.fd, &told));
		acted = peer_end(&peer);
		if (ret != -EINTR) {
			ASSERT_TRUE(sweep_failed(&s, ret));
			ASSERT_EQ(PEER_IDLE, acted);
			ASSERT_TRUE(fate_told(&told, false));
			ASSERT_EQ(0, told.token);
		} else {
			ASSERT_EQ(SMALL, acted);
			ASSERT_NE(0, told.token);
			/* If the result could not be stored, the token says it */
			if (s.kind != FAIL_COPY)
				ASSERT_TRUE(fate_told(&told, true));
			ASSERT_EQ(-EAGAIN, collect(told.token));
			ASSERT_EQ(0, give_answer(&peer));
			ASSERT_EQ(MIDDLE, collect(told.token));
			ASSERT_TRUE(kt_filled(reply, MIDDLE, REPLY));
			/* Behind the result's copy come the kernel's own, of the signal frame */
			if (s.kind == FAIL_COPY)
				sweep_last(&s);
		}
		ASSERT_TRUE(no_calls());
	}
	EXPECT_TRUE(sweep_covered(&s, variant->device ? 4 : 1, 2));
}

/* Makes a call that the server has taken, and that was interrupted; its token */
static uint64_t interrupted_call(void)
{
	struct kipc_op_rpc op = call_op(SMALL, 0, MIDDLE, 0);

	op.flags = KIPC_NORESTART;
	peer_start(&peer, at.own, take_and_interrupt);
	kt_need(kt_op_rpc(at.fd, &op) == -EINTR);
	kt_need(peer_end(&peer) == SMALL);
	return op.token;
}

TEST_F(call, resumed_wait)
{
	struct kipc_op_rpc op, told;
	struct sweep s = SWEEP;
	uint64_t token = 0;
	long ret, acted;

	make(variant->device, MIDDLE, 1);
	op = call_op(0, 0, MIDDLE, SEGS);
	op.request = (struct kipc_payload){ 0 };
	answer_size = MIDDLE;
	while (sweep_round_at(&s, at.dev, at.id)) {
		if (!token)
			token = interrupted_call();
		told = op;
		told.token = token;
		kt_poison(&result, sizeof(result));
		kt_poison(reply, MIDDLE);
		peer_start(&peer, at.own, give_answer);
		ret = FAILING(&s, kt_op_rpc(at.fd, &told));
		acted = peer_end(&peer);
		ASSERT_TRUE(acted == 0 || acted == PEER_IDLE);
		if (ret != MIDDLE) {
			ASSERT_TRUE(sweep_failed(&s, ret));
			ASSERT_EQ(token, told.token);
			if (acted == PEER_IDLE) {
				ASSERT_EQ(-EAGAIN, collect(token));
				continue;
			}
			ASSERT_TRUE(fate_told(&told, true));
			ASSERT_EQ(MIDDLE, collect(token));
		}
		ASSERT_TRUE(kt_filled(reply, MIDDLE, REPLY));
		ASSERT_EQ(-ENOENT, collect(token));
		ASSERT_TRUE(no_calls());
		token = 0;
	}
	EXPECT_TRUE(sweep_covered(&s, 1, 3 + SEGS));
}

TEST_F(call, resumed_wait_that_is_interrupted)
{
	struct kipc_op_rpc op, told;
	struct sweep s = SWEEP;
	uint64_t token;
	long ret;

	make(variant->device, MIDDLE, 1);
	token = interrupted_call();
	op = call_op(0, 0, MIDDLE, SEGS);
	op.flags = KIPC_NORESTART;
	op.token = token;
	while (sweep_round_at(&s, at.dev, at.id)) {
		told = op;
		kt_poison(&result, sizeof(result));
		peer_start(&peer, at.own, interrupt);
		ret = FAILING(&s, kt_op_rpc(at.fd, &told));
		if (peer_end(&peer) == PEER_IDLE) {
			ASSERT_TRUE(sweep_failed(&s, ret));
		} else {
			ASSERT_EQ(-EINTR, ret);
			if (s.kind != FAIL_COPY)
				ASSERT_TRUE(fate_told(&told, true));
			/* As in rpc_that_is_interrupted */
			if (s.kind == FAIL_COPY)
				sweep_last(&s);
		}
		ASSERT_EQ(token, told.token);
		ASSERT_EQ(-EAGAIN, collect(token));
	}
	answer_size = SMALL;
	ASSERT_EQ(0, give_answer(&peer));
	ASSERT_EQ(SMALL, collect(token));
	EXPECT_TRUE(no_calls());
	EXPECT_TRUE(sweep_covered(&s, 1, 2));
}

/* ---- started calls ---- */

static void sweep_start(struct __test_metadata *_metadata, const struct kipc_op_rpc *op,
			size_t size, unsigned int memory, unsigned int copies)
{
	struct kipc_op_rpc told;
	struct sweep s = SWEEP;
	long ret;

	answer_size = SMALL;
	peer.fd = at.own;
	while (sweep_round_at(&s, at.dev, at.id)) {
		told = *op;
		kt_poison(&result, sizeof(result));
		ret = FAILING(&s, kt_op_rpc(at.fd, &told));
		if (ret) {
			ASSERT_TRUE(sweep_failed(&s, ret));
			ASSERT_EQ(0, told.token);
			ASSERT_TRUE(fate_told(&told, false));
		} else {
			ASSERT_NE(0, told.token);
			ASSERT_TRUE(fate_told(&told, false));
			ASSERT_EQ(-EAGAIN, collect(0));
			ASSERT_EQ(size, serve(&peer));
			ASSERT_TRUE(kt_filled(taken, size, REQUEST));
			ASSERT_EQ(SMALL, collect(told.token));
			ASSERT_TRUE(kt_filled(reply, SMALL, REPLY));
			ASSERT_EQ(7, result.cookie);
		}
		ASSERT_TRUE(no_calls());
	}
	EXPECT_TRUE(sweep_covered(&s, memory, copies));
}

/* The limits have room for this one only */
TEST_F(call, async)
{
	struct kipc_op_rpc op;

	kt_set_param("user_calls_max", 1);
	make(variant->device, MIDDLE, 1);
	op = async_op(MIDDLE);
	sweep_start(_metadata, &op, MIDDLE, variant->device ? 5 : 2, 3);
	kt_euid(0);
	kt_set_param("user_calls_max", 1);
	kt_set_param("user_reply_room_max", MIDDLE);
	fail_become(KT_UID_A);
	sweep_start(_metadata, &op, MIDDLE, variant->device ? 5 : 2, 3);
}

TEST_F(call, async_with_a_deadline)
{
	struct kipc_op_rpc op;

	make(variant->device, MIDDLE, 1);
	op = async_op(SMALL);
	op.deadline = kt_in_ms(1000000);
	op.request = fail_payload(request, SMALL, request_iov, SEGS);
	sweep_start(_metadata, &op, SMALL, variant->device ? 5 : 2, 3 + SEGS);
}

TEST_F(call, async_to_a_waiting_receiver)
{
	struct kt_job *job = NULL;
	struct kipc_op_rpc op, told;
	struct kipc_op_recv recv;
	struct sweep s = SWEEP;
	long ret;

	make(variant->device, MIDDLE, 1);
	op = async_op(SMALL);
	recv = kt_recv_op(taken, MIDDLE, &peer.result);
	answer_size = SMALL;
	peer.fd = at.own;
	while (sweep_round_at(&s, at.dev, at.id)) {
		if (!job) {
			job = kt_start_ioctl(KT_THREAD, at.own, KIPC_IOC_RECV, &recv);
			ASSERT_TRUE(kt_asleep(job));
		}
		told = op;
		kt_poison(&result, sizeof(result));
		ret = FAILING(&s, kt_op_rpc(at.fd, &told));
		if (ret) {
			ASSERT_TRUE(sweep_failed(&s, ret));
			ASSERT_EQ(0, told.token);
			ASSERT_EQ(-ENOENT, collect(0));
			ASSERT_TRUE(kt_until(job->done || kt_task_asleep(job->pid, job->tid)));
			if (!job->done)
				continue;
			/* The receiver was faster than the news that the start could not be told */
			ASSERT_EQ(FAIL_COPY, s.kind);
			ASSERT_EQ(SMALL, kt_join(job));
			job = NULL;
			ASSERT_EQ(-ECANCELED, give_answer(&peer));
			ASSERT_TRUE(no_calls());
			continue;
		}
		ASSERT_EQ(SMALL, kt_join(job));
		job = NULL;
		ASSERT_EQ(0, give_answer(&peer));
		ASSERT_EQ(SMALL, collect(told.token));
		ASSERT_TRUE(no_calls());
	}
	EXPECT_TRUE(sweep_covered(&s, variant->device ? 3 : 1, 3));
}

static short polled(int fd)
{
	struct pollfd pfd = { .fd = fd, .events = POLLPRI };

	return poll(&pfd, 1, 0) < 0 ? -1 : pfd.revents & POLLPRI;
}

/* Starts a call and answers it; its token */
static uint64_t answered_call(void)
{
	struct kipc_op_rpc op = async_op(MIDDLE);

	peer.fd = at.own;
	kt_need(kt_op_rpc(at.fd, &op) == 0);
	kt_need(serve(&peer) == MIDDLE);
	return op.token;
}

/* Two calls have been answered: the first is collected, by its token or as the next */
static void sweep_collect(struct __test_metadata *_metadata, bool next)
{
	struct kipc_op_rpc op, told;
	uint64_t first = 0, second = 0;
	struct sweep s = SWEEP;
	long ret;

	answer_size = MIDDLE;
	while (sweep_round_at(&s, at.dev, at.id)) {
		if (!first) {
			first = answered_call();
			second = answered_call();
		}
		op = call_op(0, 0, MIDDLE, SEGS);
		op.request = (struct kipc_payload){ 0 };
		op.endpoint = 0;
		op.token = next ? 0 : first;
		op.flags = next ? KIPC_NEXT : 0;
		told = op;
		kt_poison(&result, sizeof(result));
		kt_poison(reply, MIDDLE);
		ret = FAILING(&s, kt_op_rpc(at.fd, &told));
		if (ret != MIDDLE) {
			ASSERT_TRUE(sweep_failed(&s, ret));
			ASSERT_EQ(op.token, told.token);
			if (result.flags != 0xa5a5a5a5) {
				ASSERT_EQ(first, result.token);
				ASSERT_TRUE(result.flags & KIPC_RESULT_DELIVERED);
			}
			ASSERT_EQ(POLLPRI, polled(at.fd));
			continue;
		}
		ASSERT_TRUE(kt_filled(reply, MIDDLE, REPLY));
		ASSERT_EQ(0, result.token);
		ASSERT_EQ(-ENOENT, collect(first));
		ASSERT_EQ(POLLPRI, polled(at.fd));
		ASSERT_EQ(MIDDLE, collect(second));
		ASSERT_EQ(0, polled(at.fd));
		first = 0;
		ASSERT_TRUE(no_calls());
	}
	EXPECT_TRUE(sweep_covered(&s, 1, 3 + SEGS));
}

TEST_F(call, collect_by_token)
{
	make(variant->device, MIDDLE, 1);
	sweep_collect(_metadata, false);
}

/* What could not be stored is the next once more, and its place is the first */
TEST_F(call, collect_next)
{
	make(variant->device, MIDDLE, 1);
	sweep_collect(_metadata, true);
}

/* The struct is copied in; that what is told can be stored is tried before, see readonly.c */
TEST_F(server, cancel)
{
	struct kipc_op_token op;
	struct sweep s = SWEEP;
	uint64_t token = 0;
	long ret;

	make(false, MIDDLE, 1);
	kt_euid(0);
	kt_set_param("user_calls_max", 1);
	fail_become(KT_UID_A);
	peer.fd = at.own;
	answer_size = SMALL;
	while (sweep_round_at(&s, at.dev, at.id)) {
		if (!token) {
			struct kipc_op_rpc rpc = async_op(SMALL);

			ASSERT_EQ(0, kt_op_rpc(at.fd, &rpc));
			ASSERT_EQ(SMALL, take_call(&peer));
			token = rpc.token;
		}
		op = (struct kipc_op_token){ .token = token };
		ret = FAILING(&s, kt_ioctl(at.fd, KIPC_IOC_CANCEL, &op));
		if (ret) {
			ASSERT_TRUE(sweep_failed(&s, ret));
			op = (struct kipc_op_token){ .token = peer.result.token };
			ASSERT_EQ(0, kt_ioctl(at.own, KIPC_IOC_WANTED, &op));
			ASSERT_EQ(-EAGAIN, collect(token));
			continue;
		}
		ASSERT_EQ(KIPC_RESULT_DELIVERED, op.result_flags);
		ASSERT_EQ(-ENOENT, collect(token));
		ASSERT_EQ(-ECANCELED, give_answer(&peer));
		ASSERT_TRUE(no_calls());
		token = 0;
	}
	EXPECT_TRUE(sweep_covered(&s, 0, 1));
}

/* ---- RECV of a call ---- */

TEST_F(server, recv)
{
	struct kipc_op_rpc op;
	struct kipc_op_recv recv;
	struct kt_job *job = NULL;
	struct sweep s = SWEEP;
	long ret;

	make(false, MIDDLE, 1);
	op = call_op(MIDDLE, 0, MIDDLE, 0);
	recv = kt_recv_op(NULL, 0, &peer.result);
	recv.payload = fail_payload(taken, MIDDLE, reply_iov, SEGS);
	answer_size = SMALL;
	peer.fd = at.own;
	while (sweep_round_at(&s, at.dev, at.id)) {
		if (!job) {
			job = kt_start_ioctl(KT_THREAD, at.fd, KIPC_IOC_RPC, &op);
			ASSERT_TRUE(kt_asleep(job));
		}
		kt_poison(&peer.result, sizeof(peer.result));
		ret = FAILING(&s, kt_op_recv(at.own, &recv));
		if (ret != MIDDLE) {
			ASSERT_TRUE(sweep_failed(&s, ret));
			ASSERT_TRUE(fail_untold(&peer.result));
			ASSERT_TRUE(kt_asleep(job));
			ASSERT_EQ(1, kt_stat(at.own).msgs);
			ASSERT_EQ(0, kt_stat(at.own).calls);
			continue;
		}
		ASSERT_EQ(1, peer.result.deliveries);
		ASSERT_EQ(KIPC_RESULT_CALL, peer.result.flags);
		ASSERT_TRUE(kt_filled(taken, MIDDLE, REQUEST));
		ASSERT_EQ(0, give_answer(&peer));
		ASSERT_EQ(SMALL, kt_join(job));
		ASSERT_EQ(1, result.deliveries);
		job = NULL;
		ASSERT_TRUE(no_calls());
	}
	EXPECT_TRUE(sweep_covered(&s, 1, 2 + SEGS));
}

/* ---- REPLY and REPLY_RECV ---- */

/* A caller that waits, whose call was taken: its token is in peer.result */
static struct kt_job *taken_call(struct kipc_op_rpc *op)
{
	struct kt_job *job = kt_start_ioctl(KT_THREAD, at.fd, KIPC_IOC_RPC, op);

	peer.fd = at.own;
	kt_need(kt_asleep(job));
	kt_need(take_call(&peer) >= 0);
	return job;
}

/* The delivery is as it was: its caller waits, and it can be answered */
static bool still_owed(struct kt_job *job)
{
	struct kipc_op_token op = { .token = peer.result.token };
	long wanted = kt_ioctl(at.own, KIPC_IOC_WANTED, &op);
	struct kipc_endpoint info = kt_stat(at.own);

	if (!wanted && info.calls == 1 && info.waiters == 1 && kt_asleep(job))
		return true;
	kt_complain("wanted: %ld, %llu calls, %u waiters", wanted, (unsigned long long)info.calls,
		    info.waiters);
	return false;
}

/* The caller has @room; @want is what it gets */
static void sweep_reply(struct __test_metadata *_metadata, size_t size, unsigned int segs,
			int status, size_t room, long want, unsigned int memory,
			unsigned int copies)
{
	struct kipc_op_rpc op = call_op(SMALL, 0, room, 0);
	struct kipc_op_reply rep = {
		.status = status,
		.type = 9,
		.payload = fail_payload(answer, size, reply_iov, segs),
	};
	struct kt_job *job = NULL;
	struct sweep s = SWEEP;
	long ret;

	op.flags = KIPC_TRUNCATE;
	while (sweep_round_at(&s, at.dev, at.id)) {
		if (!job) {
			job = taken_call(&op);
			rep.token = peer.result.token;
		}
		ret = FAILING(&s, kt_op_reply(at.own, &rep));
		if (ret) {
			ASSERT_TRUE(sweep_failed(&s, ret));
			ASSERT_TRUE(still_owed(job));
			continue;
		}
		ASSERT_EQ(want, kt_join(job));
		job = NULL;
		ASSERT_TRUE(kt_filled(reply, size < room ? size : room, REPLY));
		ASSERT_EQ(9, result.type);
		ASSERT_EQ(size, result.size);
		ASSERT_EQ(-ENOENT, kt_op_reply(at.own, &rep));
		ASSERT_TRUE(no_calls());
	}
	EXPECT_TRUE(sweep_covered(&s, memory, copies));
}

TEST_F(server, reply_small)
{
	make(false, MIDDLE, 1);
	sweep_reply(_metadata, SMALL, 0, 0, MIDDLE, SMALL, 1, 2);
}

/* A file whose last reply was large expects the next to be so: its caller's buffer is pinned */
static void expect_large(void)
{
	struct kipc_op_rpc op = call_op(SMALL, 0, MIDDLE, 0);
	struct kt_job *job = taken_call(&op);

	answer_size = MIDDLE;
	kt_need(!give_answer(&peer));
	kt_need(kt_join(job) == MIDDLE);
}

/* Into the caller's buffer. A copy that fails there is tried again. */
TEST_F(server, reply_pinned)
{
	pin_all();
	make(false, MIDDLE, 1);
	expect_large();
	sweep_reply(_metadata, MIDDLE, 0, 0, MIDDLE, MIDDLE, 1, 1);
}

TEST_F(server, reply_pinned_many_segments)
{
	pin_all();
	make(false, MIDDLE, 1);
	expect_large();
	sweep_reply(_metadata, MIDDLE, SEGS, 0, MIDDLE, MIDDLE, 2, 2);
}

/*
 * The reply stands in the caller's buffer, and its result cannot be stored: it is kept for
 * who collects it; or without memory for that it is lost, and that is told.
 */
TEST_F(server, rpc_pinned_whose_result_cannot_be_stored)
{
	unsigned int kept = 0, lost = 0;
	struct kipc_op_rpc op, told;
	struct sweep s = SWEEP;
	long ret, acted;

	pin_all();
	make(false, MIDDLE, 1);
	expect_large();
	op = call_op(MIDDLE, 0, MIDDLE, 0);
	op.result = kt_ptr(kt_hole());
	while (sweep_round_at(&s, at.dev, at.id)) {
		told = op;
		peer_start(&peer, at.own, serve);
		ret = FAILING(&s, kt_op_rpc(at.fd, &told));
		acted = peer_end(&peer);
		if (acted == PEER_IDLE) {
			ASSERT_TRUE(sweep_failed(&s, ret));
			continue;
		}
		ASSERT_EQ(MIDDLE, acted);
		ASSERT_EQ(-EFAULT, ret);
		/* Its buffer is the caller's again */
		kt_poison(reply, MIDDLE);
		ret = collect(told.token);
		if (ret == MIDDLE) {
			ASSERT_TRUE(kt_filled(reply, MIDDLE, REPLY));
			kept++;
		} else {
			ASSERT_EQ(-ENOMEM, ret);
			ASSERT_EQ(FAIL_MEMORY, s.kind);
			ASSERT_EQ(KIPC_RESULT_DELIVERED, result.flags);
			lost++;
		}
		ASSERT_EQ(-ENOENT, collect(told.token));
		ASSERT_TRUE(no_calls());
	}
	/* What is kept has a header and a payload */
	EXPECT_EQ(2, lost);
	EXPECT_LE(2, kept);
}

TEST_F(server, reply_with_a_status)
{
	make(false, MIDDLE, 1);
	sweep_reply(_metadata, SMALL, 0, EOWNERDEAD, MIDDLE, -EOWNERDEAD, 1, 2);
}

TEST_F(server, reply_many_segments)
{
	make(false, MIDDLE, 1);
	sweep_reply(_metadata, MIDDLE, SEGS, 0, MIDDLE, MIDDLE, 2, 2 + SEGS);
}

/* Not pinned: each of a thousand pages would be a copy that can fail */
TEST_F(server, reply_huge)
{
	fail_pages(true);
	kt_set_param("pin_min", 0);
	make(false, FAIL_HUGE, 1);
	sweep_reply(_metadata, FAIL_HUGE, 0, 0, FAIL_HUGE, FAIL_HUGE, 0, 1);
}

/* It is cut into memory of its own */
TEST_F(server, reply_truncated)
{
	make(false, MIDDLE, 1);
	sweep_reply(_metadata, MIDDLE, 0, 0, SMALL, SMALL, 2, 2);
}

static long send_one(struct peer *p)
{
	return kt_send(p->fd, 0, 5, 0, request, SMALL);
}

/*
 * Either both halves fail, and the token is still good; or the reply is made, told
 * and not made again, and only the receive fails. @waits: the message comes later.
 */
static void sweep_reply_recv(struct __test_metadata *_metadata, bool waits, unsigned int memory,
			     unsigned int copies)
{
	struct kipc_op_rpc op = call_op(SMALL, 0, MIDDLE, 0);
	struct kipc_result told;
	struct kipc_op_reply_recv both;
	struct kt_job *job = NULL;
	unsigned int halves = 0;
	struct sweep s = SWEEP;
	struct peer sender;
	long ret, acted = 0;

	while (sweep_round_at(&s, at.dev, at.id)) {
		if (!job) {
			job = taken_call(&op);
			if (!waits)
				ASSERT_EQ(0, kt_send(at.own, 0, 5, 0, request, SMALL));
		}
		both = (struct kipc_op_reply_recv){
			.token = peer.result.token,
			.type = 9,
			.reply = { .base = kt_ptr(answer), .len = MIDDLE },
			.recv = kt_recv_op(taken, MIDDLE, &told),
		};
		kt_poison(&told, sizeof(told));
		if (waits)
			peer_start(&sender, at.own, send_one);
		ret = FAILING(&s, kt_op_reply_recv(at.own, &both));
		if (waits)
			acted = peer_end(&sender);
		if (ret != SMALL)
			ASSERT_TRUE(sweep_failed(&s, ret));
		if (!both.replied) {
			ASSERT_NE(SMALL, ret);
			ASSERT_EQ(peer.result.token, both.token);
			ASSERT_TRUE(fail_untold(&told));
			ASSERT_TRUE(still_owed(job));
			ASSERT_EQ(waits ? PEER_IDLE : 0, acted);
			continue;
		}
		ASSERT_EQ(0, both.token);
		ASSERT_EQ(MIDDLE, kt_join(job));
		job = NULL;
		ASSERT_TRUE(kt_filled(reply, MIDDLE, REPLY));
		ASSERT_EQ(-ENOENT, give_answer(&peer));
		ASSERT_EQ(KIPC_RESULT_REPLIED, told.flags);
		ASSERT_EQ(0, told.reply_error);
		if (ret < 0) {
			ASSERT_EQ(0, told.size);
			ASSERT_EQ(0, told.deliveries);
			halves++;
			if (acted != PEER_IDLE)
				ASSERT_EQ(SMALL, kt_recv(at.own, 0, 0, 0, taken, MIDDLE, &told));
		}
		if (acted != PEER_IDLE) {
			ASSERT_EQ(5, told.type);
			ASSERT_EQ(1, told.deliveries);
			ASSERT_TRUE(kt_filled(taken, SMALL, REQUEST));
		}
		ASSERT_TRUE(no_calls());
	}
	EXPECT_TRUE(sweep_covered(&s, memory, copies));
	EXPECT_GE(halves, 1);	/* the message could not be stored */
}

TEST_F(server, reply_recv)
{
	make(false, MIDDLE, 1);
	sweep_reply_recv(_metadata, false, 1, 3);
}

TEST_F(server, reply_recv_pinned)
{
	pin_all();
	make(false, MIDDLE, 1);
	expect_large();
	sweep_reply_recv(_metadata, false, 1, 2);
}

TEST_F(server, reply_recv_that_waits)
{
	make(false, MIDDLE, 2);
	sweep_reply_recv(_metadata, true, 1, 3);
}

/* ---- WANTED and ADOPT ---- */

TEST_F(server, wanted)
{
	struct kipc_op_rpc op;
	struct kipc_op_token token;
	struct sweep s = SWEEP;
	struct kt_job *job;
	long ret;

	make(false, MIDDLE, 1);
	op = call_op(SMALL, 0, MIDDLE, 0);
	job = taken_call(&op);
	while (sweep_round_at(&s, at.dev, at.id)) {
		token = (struct kipc_op_token){ .token = peer.result.token };
		ret = FAILING(&s, kt_ioctl(at.own, KIPC_IOC_WANTED, &token));
		if (ret)
			ASSERT_TRUE(sweep_failed(&s, ret));
		ASSERT_TRUE(still_owed(job));
	}
	EXPECT_TRUE(sweep_covered(&s, 0, 1));
	answer_size = SMALL;
	EXPECT_EQ(0, give_answer(&peer));
	EXPECT_EQ(SMALL, kt_join(job));
}

/* Deliveries that @fd is responsible for */
static int taken_by(int fd)
{
	char path[64], text[1024], *p;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	kt_need(kt_read_file(path, text, sizeof(text)) > 0);
	p = strstr(text, "kipc-taken:");
	kt_need(p);
	return atoi(p + strlen("kipc-taken:"));
}

TEST_F(server, adopt)
{
	struct kipc_op_rpc op;
	struct kipc_op_token token;
	struct sweep s = SWEEP;
	struct kt_job *job;
	long ret;
	int heir;

	make(false, MIDDLE, 1);
	heir = kt_again(at.dev, kt_id(at.own), KIPC_RIGHT_RECV);
	ASSERT_GE(heir, 0);
	op = call_op(SMALL, 0, MIDDLE, 0);
	job = taken_call(&op);
	while (sweep_round_at(&s, at.dev, at.id)) {
		token = (struct kipc_op_token){ .token = peer.result.token };
		ret = FAILING(&s, kt_ioctl(heir, KIPC_IOC_ADOPT, &token));
		if (ret)
			ASSERT_TRUE(sweep_failed(&s, ret));
		ASSERT_EQ(ret ? 1 : 0, taken_by(at.own));
		ASSERT_EQ(ret ? 0 : 1, taken_by(heir));
		ASSERT_TRUE(still_owed(job));
		if (!ret)
			ASSERT_EQ(0, kt_ioctl(at.own, KIPC_IOC_ADOPT, &token));
	}
	EXPECT_TRUE(sweep_covered(&s, 0, 1));
	answer_size = SMALL;
	EXPECT_EQ(0, give_answer(&peer));
	EXPECT_EQ(SMALL, kt_join(job));
	close(heir);
}

TEST_HARNESS_MAIN
