// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Promise 1, order, and promise 13, fair waiting: who gets which message when.
 */
#include "common.h"
#include "harness.h"

#define ANY 0U

/* A queue as naive as possible, to hold the real one against */
struct model_msg {
	uint64_t type;
	uint32_t prio;
	uint32_t tag;	/* the payload, and the order of arrival */
	uint32_t len;
	uint64_t call;	/* its caller token, if it is a call */
};

struct model {
	struct model_msg msgs[600];
	unsigned int n;
	unsigned int bytes;
};

static bool model_matches(const struct model_msg *msg, uint32_t flags, uint64_t type)
{
	if (flags & KIPC_NOCALLS && msg->call)
		return false;
	switch (flags & ~KIPC_NOCALLS) {
	case KIPC_TYPE_EQ:
		return msg->type == type;
	case KIPC_TYPE_LE:
		return msg->type <= type;
	case KIPC_TYPE_NE:
		return msg->type != type;
	default:
		return true;
	}
}

static bool model_before(const struct model_msg *a, const struct model_msg *b, uint32_t flags)
{
	if (flags & KIPC_TYPE_LE && a->type != b->type)
		return a->type < b->type;
	if (a->prio != b->prio)
		return a->prio > b->prio;
	return a->tag < b->tag;
}

/* Index of the first that matches behind @after (NULL: at all), or -1 */
static int model_next(const struct model *m, uint32_t flags, uint64_t type,
		      const struct model_msg *after)
{
	int best = -1;

	for (unsigned int i = 0; i < m->n; i++) {
		const struct model_msg *msg = &m->msgs[i];

		if (!model_matches(msg, flags, type))
			continue;
		if (after && !model_before(after, msg, flags))
			continue;
		if (best < 0 || model_before(msg, &m->msgs[best], flags))
			best = (int)i;
	}
	return best;
}

static void model_drop(struct model *m, unsigned int i)
{
	m->bytes -= m->msgs[i].len;
	m->msgs[i] = m->msgs[--m->n];
}

/* Few distinct values, so that they meet; the extremes among them */
static const uint64_t types[] = { 0, 1, 2, 3, 1ULL << 32, 1ULL << 63, ~0ULL - 1, ~0ULL };
static const uint32_t prios[] = { 0, 1, 2, KIPC_PRIO_MAX };
static const uint32_t selectors[] = { ANY, KIPC_TYPE_EQ, KIPC_TYPE_LE, KIPC_TYPE_NE };

static uint32_t random_state = 20261120;

/* For a time nearly all are alike, and of some hundreds the queue has hardly any in its trees */
static enum { MIXED, MOSTLY_ALIKE, ALIKE } mix;

static uint32_t random_below(uint32_t n)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 17;
	random_state ^= random_state << 5;
	return random_state % n;
}

static bool alike(void)
{
	return mix == ALIKE || (mix == MOSTLY_ALIKE && random_below(16));
}

/* Mostly those that meet, and some of many */
static uint64_t random_type(void)
{
	if (alike())
		return 1;
	if (random_below(3))
		return types[random_below(ARRAY_SIZE(types))];
	return random_below(50);
}

/* Voluntary switches of a sleeping task: unchanged if nobody woke it */
static unsigned long switches(struct kt_job *job)
{
	char path[64], text[4096], *p;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/status", job->pid, job->tid);
	kt_need(kt_read_file(path, text, sizeof(text)) > 0);
	p = strstr(text, "\nvoluntary_ctxt_switches:");
	kt_need(p);
	return strtoul(p + strlen("\nvoluntary_ctxt_switches:"), NULL, 10);
}

/* A send of a tag in a thread that is asleep when this returns */
static struct kt_job *blocked_send(int fd, uint64_t type, uint32_t prio, uint32_t tag)
{
	struct kipc_op_send *op = kt_new(struct kipc_op_send);
	uint32_t *buf = kt_new(uint32_t);
	struct kt_job *job;

	*buf = tag;
	*op = kt_send_op(buf, sizeof(*buf));
	op->type = type;
	op->prio = prio;
	job = kt_start_ioctl(KT_THREAD, fd, KIPC_IOC_SEND, op);
	kt_need(kt_asleep(job));
	return job;
}

struct receive {
	struct kipc_op_recv op;
	struct kipc_result result;
	uint32_t tag;
	struct kt_job *job;
};

/* A receive in a thread that is asleep when this returns */
static struct receive *blocked_recv(int fd, uint32_t flags, uint64_t type)
{
	struct receive *r = kt_new(struct receive);

	r->op = kt_recv_op(&r->tag, sizeof(r->tag), &r->result);
	r->op.flags = KIPC_ANYSIZE | flags;
	r->op.type = type;
	r->job = kt_start_ioctl(KT_THREAD, fd, KIPC_IOC_RECV, &r->op);
	kt_need(kt_asleep(r->job));
	return r;
}

static long send_tag(int fd, uint64_t type, uint32_t prio, uint32_t tag)
{
	return kt_send(fd, 0, type, prio, &tag, sizeof(tag));
}

/* Takes one; its tag, or -errno */
static long recv_tag(int fd, uint32_t selector, uint64_t type)
{
	uint32_t tag;
	struct kipc_result result;
	long ret = kt_recv(fd, 0, selector, type, &tag, sizeof(tag), &result);

	return ret == sizeof(tag) ? (long)tag : ret;
}

FIXTURE(order) {
	int dev;
	int fd;
};

FIXTURE_SETUP(order)
{
	self->dev = kt_device();
	self->fd = kt_private(self->dev, 0, NULL);
}

FIXTURE_TEARDOWN(order)
{
	close(self->fd);
	close(self->dev);
}

TEST_F(order, p01_priority_then_first_come)
{
	static const uint32_t sent[] = { 0, 5, 5, 1, KIPC_PRIO_MAX, 0, 5, KIPC_PRIO_MAX };
	static const long expected[] = { 4, 7, 1, 2, 6, 3, 0, 5 };

	for (uint32_t i = 0; i < ARRAY_SIZE(sent); i++)
		ASSERT_EQ(0, send_tag(self->fd, 100 - i, sent[i], i));
	EXPECT_EQ(ARRAY_SIZE(sent), kt_stat(self->fd).msgs);
	for (unsigned int i = 0; i < ARRAY_SIZE(expected); i++)
		EXPECT_EQ(expected[i], recv_tag(self->fd, ANY, 0));
	EXPECT_EQ(-EAGAIN, recv_tag(self->fd, ANY, 0));
	EXPECT_TRUE(kt_quiet(self->fd));
}

TEST_F(order, p01_each_selector_takes_its_own)
{
	ASSERT_EQ(0, send_tag(self->fd, 7, 0, 70));
	ASSERT_EQ(0, send_tag(self->fd, 3, 0, 30));
	ASSERT_EQ(0, send_tag(self->fd, 3, 9, 31));
	ASSERT_EQ(0, send_tag(self->fd, 5, 20, 50));
	ASSERT_EQ(0, send_tag(self->fd, 7, 1, 71));

	EXPECT_EQ(-EAGAIN, recv_tag(self->fd, KIPC_TYPE_EQ, 4));
	EXPECT_EQ(-EAGAIN, recv_tag(self->fd, KIPC_TYPE_LE, 2));
	EXPECT_EQ(5, kt_stat(self->fd).msgs);
	/* the lowest type, although 5 has the higher priority */
	EXPECT_EQ(31, recv_tag(self->fd, KIPC_TYPE_LE, 6));
	EXPECT_EQ(71, recv_tag(self->fd, KIPC_TYPE_NE, 5));
	EXPECT_EQ(70, recv_tag(self->fd, KIPC_TYPE_EQ, 7));
	EXPECT_EQ(50, recv_tag(self->fd, ANY, 0));
	EXPECT_EQ(-EAGAIN, recv_tag(self->fd, KIPC_TYPE_NE, 3));
	EXPECT_EQ(30, recv_tag(self->fd, KIPC_TYPE_LE, ~0ULL));
	EXPECT_TRUE(kt_quiet(self->fd));
}

static void check_walk(struct __test_metadata *_metadata, int fd, const struct model *m,
		       uint32_t flags, uint64_t type)
{
	struct kipc_result result;
	struct kipc_op_recv op;
	struct model_msg last;
	uint32_t buf[17];
	int i;

	op = kt_recv_op(buf, sizeof(buf), &result);
	op.flags = KIPC_PEEK | KIPC_NONBLOCK | flags;
	op.type = type;
	for (i = model_next(m, flags, type, NULL); i >= 0; i = model_next(m, flags, type, &last)) {
		last = m->msgs[i];
		ASSERT_EQ((long)last.len, kt_op_recv(fd, &op));
		ASSERT_EQ(last.tag, buf[0]);
		ASSERT_EQ(last.type, result.type);
		ASSERT_EQ(last.prio, result.prio);
		ASSERT_EQ(last.call ? KIPC_RESULT_CALL : 0, result.flags);
		ASSERT_NE(0, result.token);
		op.after = result.token;
		op.after_type = flags & KIPC_TYPE_LE ? result.type : 0;
	}
	ASSERT_EQ(-EAGAIN, kt_op_recv(fd, &op));
}

/* A message or a call, which stand in one order */
static void send_random(struct __test_metadata *_metadata, int fd, struct model *m, uint32_t tag)
{
	struct model_msg *msg = &m->msgs[m->n++];
	struct kipc_op_rpc op;
	uint32_t buf[17];

	msg->type = random_type();
	msg->prio = prios[alike() ? 1 : random_below(ARRAY_SIZE(prios))];
	msg->len = 4 + 4 * random_below(16);
	msg->tag = tag;
	msg->call = 0;
	buf[0] = tag;
	m->bytes += msg->len;
	if (mix != ALIKE && random_below(3)) {
		ASSERT_EQ(0, kt_send(fd, 0, msg->type, msg->prio, buf, msg->len));
		return;
	}
	op = kt_rpc_op(buf, msg->len, NULL, 0, NULL);
	op.flags = KIPC_ASYNC;
	op.type = msg->type;
	op.prio = msg->prio;
	ASSERT_EQ(0, kt_op_rpc(fd, &op));
	ASSERT_NE(0, op.token);
	msg->call = op.token;
}

static void receive_random(struct __test_metadata *_metadata, int fd, struct model *m,
			   uint32_t flags, uint64_t type)
{
	int i = model_next(m, flags, type, NULL);
	struct kipc_result result;
	struct model_msg *msg;
	uint32_t buf[17];

	if (i < 0) {
		ASSERT_EQ(-EAGAIN, kt_recv(fd, 0, flags, type, buf, sizeof(buf), &result));
		return;
	}
	msg = &m->msgs[i];
	ASSERT_EQ((long)msg->len, kt_recv(fd, 0, flags, type, buf, sizeof(buf), &result));
	ASSERT_EQ(msg->tag, buf[0]);
	ASSERT_EQ(msg->type, result.type);
	ASSERT_EQ(msg->prio, result.prio);
	ASSERT_EQ(msg->len, result.size);
	ASSERT_EQ(msg->call ? KIPC_RESULT_CALL : 0, result.flags);
	ASSERT_EQ(msg->call != 0, result.token != 0);
	if (msg->call) {
		ASSERT_EQ(0, kt_reply(fd, result.token, 0, NULL, 0));
		ASSERT_EQ(0, kt_cancel(fd, msg->call, NULL));
	}
	model_drop(m, (unsigned int)i);
}

/* One that leaves from the middle of the queue */
static void cancel_random(struct __test_metadata *_metadata, int fd, struct model *m)
{
	unsigned int i = random_below(m->n);

	if (!m->msgs[i].call)
		return;
	ASSERT_EQ(0, kt_cancel(fd, m->msgs[i].call, NULL));
	model_drop(m, i);
}

TEST_F(order, p01_random_sequences_against_a_naive_model)
{
	struct model m = { .n = 0 };
	struct kipc_endpoint info;

	for (unsigned int step = 0; step < 6000; step++) {
		uint32_t flags = selectors[random_below(ARRAY_SIZE(selectors))];
		uint64_t type = flags == ANY ? 0 : random_type();
		/* it fills and runs dry by turns */
		bool filling = (step / 300) % 2;

		mix = (step / 600) % 2 ? MOSTLY_ALIKE : MIXED;
		if (!random_below(4))
			flags |= KIPC_NOCALLS;
		if (step % 40 == 0)
			check_walk(_metadata, self->fd, &m, flags, type);
		if (m.n < 160 && random_below(10) < (filling ? 7 : 3))
			send_random(_metadata, self->fd, &m, step);
		else if (m.n && !random_below(8))
			cancel_random(_metadata, self->fd, &m);
		else
			receive_random(_metadata, self->fd, &m, flags, type);
		if (step % 16)
			continue;
		info = kt_stat(self->fd);
		ASSERT_EQ(m.n, info.msgs);
		ASSERT_EQ(m.bytes, info.bytes);
	}
	while (m.n)
		receive_random(_metadata, self->fd, &m, ANY, 0);
	EXPECT_TRUE(kt_quiet(self->fd));
}

/* Each of its messages is found by what stood before it, whichever of the others have left */
TEST_F(order, p01_a_long_queue_of_equals_gets_holes)
{
	const struct kipc_attr attr = { .max_size = 68, .max_msgs = 600, .max_bytes = 600 * 68 };
	int fd = kt_private(self->dev, 0, &attr);
	struct model m = { .n = 0 };

	mix = ALIKE;
	for (unsigned int step = 0; step < 3000; step++) {
		/* Up to 400, back to few, and up again; few leave from the front */
		bool filling = step < 400 || (step > 1600 && step < 2200);

		if (step % 100 == 0)
			check_walk(_metadata, fd, &m, step % 200 ? KIPC_TYPE_LE : ANY, step % 200);
		if (m.n < 400 && random_below(16) < (filling ? 15 : 5))
			send_random(_metadata, fd, &m, step);
		else if (m.n && random_below(8))
			cancel_random(_metadata, fd, &m);
		else
			receive_random(_metadata, fd, &m, ANY, 0);
	}
	while (m.n)
		cancel_random(_metadata, fd, &m);
	EXPECT_TRUE(kt_quiet(fd));
	close(fd);
}

TEST_F(order, p01_peek_leaves_it_there)
{
	struct kipc_result result;
	uint32_t tag;

	ASSERT_EQ(0, send_tag(self->fd, 1, 3, 11));
	for (int i = 0; i < 3; i++) {
		tag = 0;
		EXPECT_EQ(4, kt_recv(self->fd, 0, KIPC_PEEK, 0, &tag, sizeof(tag), &result));
		EXPECT_EQ(11, tag);
		EXPECT_EQ(1, kt_stat(self->fd).msgs);
		EXPECT_EQ(4, kt_stat(self->fd).bytes);
	}
	EXPECT_EQ(11, recv_tag(self->fd, ANY, 0));
	EXPECT_TRUE(kt_quiet(self->fd));
}

/* What it has shown it neither shows again nor takes for something new */
TEST_F(order, p01_peek_waits_for_what_comes_after_its_cursor)
{
	struct kipc_result result;
	struct receive *r = kt_new(struct receive);
	uint32_t tag;

	ASSERT_EQ(0, send_tag(self->fd, 1, 5, 1));
	ASSERT_EQ(4, kt_recv(self->fd, 0, KIPC_PEEK, 0, &tag, sizeof(tag), &result));

	r->op = kt_recv_op(&r->tag, sizeof(r->tag), &r->result);
	r->op.flags = KIPC_PEEK;
	r->op.after = result.token;
	r->job = kt_start_ioctl(KT_THREAD, self->fd, KIPC_IOC_RECV, &r->op);
	ASSERT_TRUE(kt_asleep(r->job));

	/* before the cursor */
	ASSERT_EQ(0, send_tag(self->fd, 1, 6, 2));
	ASSERT_TRUE(kt_asleep(r->job));
	/* behind it */
	ASSERT_EQ(0, send_tag(self->fd, 1, 5, 3));
	EXPECT_EQ(4, kt_join(r->job));
	EXPECT_EQ(3, r->tag);
	EXPECT_EQ(3, kt_stat(self->fd).msgs);
}

FIXTURE(full) {
	int dev;
	int fd;
};

/* An endpoint with room for two messages, which are in it: tags 1 and 2, priority 5 */
FIXTURE_SETUP(full)
{
	const struct kipc_attr attr = { .max_size = 64, .max_msgs = 2, .max_bytes = 128 };

	self->dev = kt_device();
	self->fd = kt_private(self->dev, 0, &attr);
	ASSERT_EQ(0, send_tag(self->fd, 5, 5, 1));
	ASSERT_EQ(0, send_tag(self->fd, 5, 5, 2));
	ASSERT_EQ(-EAGAIN, send_tag(self->fd, 5, 5, 3));
	ASSERT_EQ(1, kt_stat(self->fd).refused);
}

FIXTURE_TEARDOWN(full)
{
	close(self->fd);
	close(self->dev);
}

TEST_F(full, p01_blocked_senders_stand_in_the_same_order)
{
	static const struct {
		uint32_t prio, tag;
	} blocked[] = { { 5, 3 }, { 9, 4 }, { 0, 5 }, { 5, 6 }, { 9, 7 } };
	static const long expected[] = { 4, 7, 1, 2, 3, 6, 5 };
	struct kt_job *jobs[ARRAY_SIZE(blocked)];

	for (unsigned int i = 0; i < ARRAY_SIZE(blocked); i++)
		jobs[i] = blocked_send(self->fd, 5, blocked[i].prio, blocked[i].tag);
	EXPECT_EQ(ARRAY_SIZE(blocked), kt_stat(self->fd).waiters);
	EXPECT_EQ(2, kt_stat(self->fd).msgs);

	for (unsigned int i = 0; i < ARRAY_SIZE(expected); i++) {
		EXPECT_EQ(expected[i], recv_tag(self->fd, ANY, 0));
		EXPECT_LE(kt_stat(self->fd).msgs, 2);
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(blocked); i++)
		EXPECT_EQ(0, kt_join(jobs[i]));
	EXPECT_EQ(-EAGAIN, recv_tag(self->fd, ANY, 0));
	EXPECT_TRUE(kt_quiet(self->fd));
}

TEST_F(full, p01_receiver_takes_from_a_blocked_sender_directly)
{
	struct kt_job *other = blocked_send(self->fd, 6, 0, 60);
	struct kt_job *wanted = blocked_send(self->fd, 7, 0, 70);

	EXPECT_EQ(70, recv_tag(self->fd, KIPC_TYPE_EQ, 7));
	EXPECT_EQ(0, kt_join(wanted));
	/* nothing else moved */
	EXPECT_EQ(2, kt_stat(self->fd).msgs);
	EXPECT_EQ(8, kt_stat(self->fd).bytes);
	EXPECT_TRUE(kt_asleep(other));

	EXPECT_EQ(60, recv_tag(self->fd, KIPC_TYPE_NE, 5));
	EXPECT_EQ(0, kt_join(other));
	EXPECT_EQ(1, recv_tag(self->fd, ANY, 0));
	EXPECT_EQ(2, recv_tag(self->fd, ANY, 0));
	EXPECT_TRUE(kt_quiet(self->fd));
}

TEST_F(full, p01_peek_shows_blocked_senders_in_their_place)
{
	struct kt_job *first = blocked_send(self->fd, 5, 9, 90);
	struct kt_job *last = blocked_send(self->fd, 5, 5, 3);
	static const uint32_t expected[] = { 90, 1, 2, 3 };
	struct kipc_result result = { 0 };
	uint32_t tag;
	struct kipc_op_recv op = kt_recv_op(&tag, sizeof(tag), &result);

	op.flags = KIPC_PEEK | KIPC_NONBLOCK;
	for (unsigned int i = 0; i < ARRAY_SIZE(expected); i++) {
		ASSERT_EQ(4, kt_op_recv(self->fd, &op));
		EXPECT_EQ(expected[i], tag);
		op.after = result.token;
	}
	EXPECT_EQ(-EAGAIN, kt_op_recv(self->fd, &op));
	EXPECT_TRUE(kt_asleep(first));
	EXPECT_TRUE(kt_asleep(last));
	EXPECT_EQ(2, kt_stat(self->fd).waiters);

	for (unsigned int i = 0; i < ARRAY_SIZE(expected); i++)
		EXPECT_EQ((long)expected[i], recv_tag(self->fd, ANY, 0));
	EXPECT_EQ(0, kt_join(first));
	EXPECT_EQ(0, kt_join(last));
}

TEST_F(full, p13_room_goes_to_the_first_in_line)
{
	struct kt_job *first = blocked_send(self->fd, 5, 5, 3);
	struct kt_job *second = blocked_send(self->fd, 5, 5, 4);

	EXPECT_EQ(1, recv_tag(self->fd, ANY, 0));
	EXPECT_EQ(0, kt_join(first));
	EXPECT_TRUE(kt_asleep(second));
	/* its room is taken again: a newcomer finds none */
	EXPECT_EQ(-EAGAIN, send_tag(self->fd, 5, 5, 99));
	EXPECT_EQ(2, kt_stat(self->fd).refused);

	EXPECT_EQ(2, recv_tag(self->fd, ANY, 0));
	EXPECT_EQ(0, kt_join(second));
	EXPECT_EQ(3, recv_tag(self->fd, ANY, 0));
	EXPECT_EQ(4, recv_tag(self->fd, ANY, 0));
	EXPECT_TRUE(kt_quiet(self->fd));
}

/* A small message would fit, but the large one before it waits for that room */
TEST_F(order, p13_a_small_newcomer_does_not_overtake_a_large_blocked_sender)
{
	const struct kipc_attr attr = { .max_size = 100, .max_msgs = 10, .max_bytes = 100 };
	int fd = kt_private(self->dev, 0, &attr);
	char buf[100] = { 0 };
	struct kipc_op_send large = kt_send_op(buf, 90), small = kt_send_op(buf, 10);
	struct kt_job *large_job, *small_job;
	struct kipc_result result;

	ASSERT_EQ(0, kt_send(fd, 0, 1, 0, buf, 80));
	large_job = kt_start_ioctl(KT_THREAD, fd, KIPC_IOC_SEND, &large);
	ASSERT_TRUE(kt_asleep(large_job));
	EXPECT_EQ(-EAGAIN, kt_send(fd, 0, 1, 0, buf, 10));
	small_job = kt_start_ioctl(KT_THREAD, fd, KIPC_IOC_SEND, &small);
	ASSERT_TRUE(kt_asleep(small_job));
	EXPECT_EQ(80, kt_stat(fd).bytes);

	EXPECT_EQ(80, kt_recv(fd, 0, ANY, 0, buf, sizeof(buf), &result));
	EXPECT_EQ(0, kt_join(large_job));
	EXPECT_EQ(0, kt_join(small_job));
	EXPECT_EQ(100, kt_stat(fd).bytes);
	EXPECT_EQ(90, kt_recv(fd, 0, ANY, 0, buf, sizeof(buf), &result));
	EXPECT_EQ(10, kt_recv(fd, 0, ANY, 0, buf, sizeof(buf), &result));
	EXPECT_TRUE(kt_quiet(fd));
}

/* When the large one gives up, those it held up go on */
TEST_F(order, p13_a_leaving_sender_lets_the_next_one_pass)
{
	const struct kipc_attr attr = { .max_size = 100, .max_msgs = 10, .max_bytes = 100 };
	int fd = kt_private(self->dev, 0, &attr);
	char buf[100] = { 0 };
	struct kipc_op_send large = kt_send_op(buf, 90), small = kt_send_op(buf, 10);
	struct kt_job *large_job, *small_job;

	kt_catch(SIGUSR1, 0);
	ASSERT_EQ(0, kt_send(fd, 0, 1, 0, buf, 80));
	large_job = kt_start_ioctl(KT_THREAD, fd, KIPC_IOC_SEND, &large);
	ASSERT_TRUE(kt_asleep(large_job));
	small_job = kt_start_ioctl(KT_THREAD, fd, KIPC_IOC_SEND, &small);
	ASSERT_TRUE(kt_asleep(small_job));

	ASSERT_TRUE(kt_signal(large_job, SIGUSR1));
	EXPECT_EQ(-EINTR, kt_join(large_job));
	EXPECT_EQ(0, kt_join(small_job));
	EXPECT_EQ(2, kt_stat(fd).msgs);
	EXPECT_EQ(90, kt_stat(fd).bytes);
}

TEST_F(order, p13_receivers_are_served_in_the_order_they_came)
{
	struct receive *r[4];

	for (unsigned int i = 0; i < ARRAY_SIZE(r); i++)
		r[i] = blocked_recv(self->fd, ANY, 0);
	EXPECT_EQ(ARRAY_SIZE(r), kt_stat(self->fd).waiters);

	for (unsigned int i = 0; i < ARRAY_SIZE(r); i++) {
		ASSERT_EQ(0, send_tag(self->fd, 1, 0, 100 + i));
		ASSERT_EQ(4, kt_join(r[i]->job));
		EXPECT_EQ(100 + i, r[i]->tag);
		EXPECT_EQ(0, kt_stat(self->fd).msgs);
		EXPECT_EQ(ARRAY_SIZE(r) - 1 - i, kt_stat(self->fd).waiters);
	}
	EXPECT_TRUE(kt_quiet(self->fd));
}

TEST_F(order, p13_the_first_receiver_that_wants_it_gets_it)
{
	struct receive *seven = blocked_recv(self->fd, KIPC_TYPE_EQ, 7);
	struct receive *low = blocked_recv(self->fd, KIPC_TYPE_LE, 3);
	struct receive *any = blocked_recv(self->fd, ANY, 0);
	struct receive *not_five = blocked_recv(self->fd, KIPC_TYPE_NE, 5);

	ASSERT_EQ(0, send_tag(self->fd, 5, 0, 50));
	EXPECT_EQ(4, kt_join(any->job));
	EXPECT_EQ(50, any->tag);
	ASSERT_EQ(0, send_tag(self->fd, 3, 0, 30));
	EXPECT_EQ(4, kt_join(low->job));
	EXPECT_EQ(30, low->tag);
	ASSERT_EQ(0, send_tag(self->fd, 3, 0, 31));
	EXPECT_EQ(4, kt_join(not_five->job));
	EXPECT_EQ(31, not_five->tag);
	ASSERT_EQ(0, send_tag(self->fd, 5, 0, 51));
	EXPECT_TRUE(kt_asleep(seven->job));
	EXPECT_EQ(1, kt_stat(self->fd).msgs);
	ASSERT_EQ(0, send_tag(self->fd, 7, 0, 70));
	EXPECT_EQ(4, kt_join(seven->job));
	EXPECT_EQ(70, seven->tag);
	EXPECT_EQ(51, recv_tag(self->fd, ANY, 0));
	EXPECT_TRUE(kt_quiet(self->fd));
}

/* Calls pass those over who could not answer, messages do not */
TEST_F(order, p13_receivers_of_calls_and_of_messages_stand_in_one_line)
{
	struct receive *one = blocked_recv(self->fd, KIPC_NOCALLS, 0);
	struct receive *two = blocked_recv(self->fd, 0, 0);
	struct receive *three = blocked_recv(self->fd, KIPC_NOCALLS | KIPC_TYPE_EQ, 1);
	struct receive *four = blocked_recv(self->fd, KIPC_TYPE_LE, 1);
	struct kipc_op_rpc call = kt_rpc_op("call", 4, NULL, 0, NULL);

	call.flags = KIPC_ASYNC;
	ASSERT_EQ(0, kt_op_rpc(self->fd, &call));
	EXPECT_EQ(4, kt_join(two->job));
	EXPECT_EQ(KIPC_RESULT_CALL, two->result.flags);
	ASSERT_EQ(0, send_tag(self->fd, 1, 0, 10));
	EXPECT_EQ(4, kt_join(one->job));
	EXPECT_EQ(10, one->tag);
	ASSERT_EQ(0, send_tag(self->fd, 1, 0, 11));
	EXPECT_EQ(4, kt_join(three->job));
	EXPECT_EQ(11, three->tag);
	ASSERT_EQ(0, send_tag(self->fd, 1, 0, 12));
	EXPECT_EQ(4, kt_join(four->job));
	EXPECT_EQ(12, four->tag);
}

TEST_F(order, p01_at_a_rendezvous_too)
{
	static const uint32_t blocked[] = { 5, 9, 5, 0 };
	static const long expected[] = { 1, 0, 2, 3 };
	int fd = kt_private(self->dev, KIPC_OPEN_RENDEZVOUS, NULL);
	struct kt_job *jobs[ARRAY_SIZE(blocked)];
	struct receive *r;

	for (uint32_t i = 0; i < ARRAY_SIZE(blocked); i++)
		jobs[i] = blocked_send(fd, 1, blocked[i], i);
	EXPECT_EQ(0, kt_stat(fd).msgs);
	EXPECT_EQ(ARRAY_SIZE(blocked), kt_stat(fd).waiters);
	for (unsigned int i = 0; i < ARRAY_SIZE(expected); i++) {
		EXPECT_EQ(expected[i], recv_tag(fd, ANY, 0));
		EXPECT_EQ(0, kt_join(jobs[expected[i]]));
		EXPECT_EQ(ARRAY_SIZE(blocked) - 1 - i, kt_stat(fd).waiters);
	}
	/* and when the receiver is the first to come */
	r = blocked_recv(fd, ANY, 0);
	EXPECT_EQ(0, send_tag(fd, 1, 0, 77));
	EXPECT_EQ(4, kt_join(r->job));
	EXPECT_EQ(77, r->tag);
	EXPECT_EQ(-EAGAIN, send_tag(fd, 1, 0, 78));
	EXPECT_TRUE(kt_quiet(fd));
	close(fd);
}

TEST_F(order, p13_one_message_wakes_one_receiver)
{
	struct receive *r[4];
	unsigned long before[ARRAY_SIZE(r)];

	for (unsigned int i = 0; i < ARRAY_SIZE(r); i++)
		r[i] = blocked_recv(self->fd, ANY, 0);
	for (unsigned int i = 0; i < ARRAY_SIZE(r); i++)
		before[i] = switches(r[i]->job);

	ASSERT_EQ(0, send_tag(self->fd, 1, 0, 1));
	ASSERT_EQ(4, kt_join(r[0]->job));
	for (unsigned int i = 1; i < ARRAY_SIZE(r); i++) {
		EXPECT_TRUE(kt_asleep(r[i]->job));
		EXPECT_EQ(before[i], switches(r[i]->job));
	}
	EXPECT_EQ(ARRAY_SIZE(r) - 1, kt_stat(self->fd).waiters);
}

/* A handed-over message belongs to its receiver: nobody who comes now gets it */
TEST_F(order, p13_a_newcomer_does_not_overtake_a_waiting_receiver)
{
	struct kt_stall *stall = kt_stall_new(0);
	struct kipc_result result;
	struct kipc_op_recv op = kt_recv_op(stall->page, 64, &result);
	struct kt_job *job;

	op.flags = KIPC_ANYSIZE;
	job = kt_start_ioctl(KT_THREAD, self->fd, KIPC_IOC_RECV, &op);
	ASSERT_TRUE(kt_asleep(job));
	ASSERT_EQ(0, send_tag(self->fd, 1, 0, 42));
	ASSERT_TRUE(kt_stalled(stall));
	EXPECT_EQ(-EAGAIN, recv_tag(self->fd, ANY, 0));
	kt_release(stall);
	EXPECT_EQ(4, kt_join(job));
	EXPECT_EQ(42, *(uint32_t *)stall->page);
	EXPECT_TRUE(kt_quiet(self->fd));
}

/* More than are let in at a time */
TEST_F(order, p13_room_for_many_at_once)
{
	struct kipc_attr attr = { .max_size = 8, .max_msgs = 1 };
	struct kipc_op_stat set = {
		.what = KIPC_SET_CAPACITY,
		.info.attr = { .max_size = 8, .max_msgs = 100 },
	};
	enum { MANY = 40 };
	struct kipc_op_send *send = kt_new(struct kipc_op_send);
	struct kt_job *jobs[MANY];
	int dev = kt_device(), fd = kt_private(dev, 0, &attr);

	*send = kt_send_op(NULL, 0);
	ASSERT_EQ(0, kt_send(fd, 0, 0, 0, NULL, 0));
	for (unsigned int i = 0; i < MANY; i++) {
		jobs[i] = kt_start_ioctl(KT_FORK, fd, KIPC_IOC_SEND, send);
		ASSERT_TRUE(kt_asleep(jobs[i]));
	}
	EXPECT_EQ(0, kt_op_set(fd, &set));
	for (unsigned int i = 0; i < MANY; i++)
		EXPECT_EQ(0, kt_join(jobs[i]));
	EXPECT_EQ(MANY + 1, kt_stat(fd).msgs);
	EXPECT_EQ(0, kt_stat(fd).waiters);
	close(fd);
	close(dev);
}

TEST_HARNESS_MAIN
