// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Several messages in one system call: what kipc_send_batch() and kipc_recv_batch()
 * say they do. The kernel goes in rounds of 16 messages, so many tests are done with
 * counts around that.
 */
#include <poll.h>
#include <sys/uio.h>

#include "batch_common.h"
#include "harness.h"

static const unsigned int counts[] = { 1, 2, 15, 16, 17, 31, 32, 33, 48, 63, 64 };

FIXTURE(batch) {
	int dev;
	int fd;
	struct batch *out, *in;
};

FIXTURE_SETUP(batch)
{
	self->dev = kt_device();
	self->fd = kt_private(self->dev, 0, NULL);
	self->out = batch_new(self->fd);
	self->in = batch_new(self->fd);
	self->out->timeout = 0;
}

FIXTURE_TEARDOWN(batch)
{
	EXPECT_TRUE(kt_quiet(self->fd));
	close(self->fd);
	close(self->dev);
}

TEST_F(batch, p01_sent_as_if_each_in_turn)
{
	uint64_t before = kt_now(), last = before;
	struct kipc_result result;
	char buf[8192];

	batch_fill(self->out, 95, 40);
	EXPECT_EQ(40, batch_send(self->out));
	EXPECT_EQ(40, kt_stat(self->fd).msgs);
	for (unsigned int i = 0; i < 40; i++) {
		size_t size = (95 + i) % 100;

		kt_poison(&result, sizeof(result));
		ASSERT_EQ((long)size, kt_recv(self->fd, 0, 0, 0, buf, sizeof(buf), &result));
		EXPECT_EQ(95 + i, result.type);
		EXPECT_EQ(size, result.size);
		EXPECT_TRUE(kt_filled(buf, size, 95 + i));
		EXPECT_EQ(0, result.prio);
		EXPECT_EQ(0, result.token);
		EXPECT_EQ(0, result.flags);
		EXPECT_EQ(0, result.uid);
		EXPECT_EQ(0, result.gid);
		EXPECT_EQ(getpid(), result.pid);
		EXPECT_EQ(1, result.deliveries);
		EXPECT_LE(last, result.time);
		last = result.time;
	}
	EXPECT_LE(last, kt_now());
}

TEST_F(batch, p01_received_as_if_each_in_turn)
{
	uint64_t before = kt_now();

	for (unsigned int i = 0; i < 20; i++) {
		char buf[100];

		kt_fill(buf, sizeof(buf), i);
		ASSERT_EQ(0, kt_send(self->fd, 0, i, 7, buf, i));
	}
	EXPECT_EQ(20, batch_take(self->in, KIPC_BATCH_MAX));
	EXPECT_TRUE(batch_got(self->in, 20, 0));
	for (unsigned int i = 0; i < 20; i++) {
		const struct kipc_result *result = &self->in->results[i];

		EXPECT_EQ(i, result->size);
		EXPECT_EQ(7, result->prio);
		EXPECT_EQ(0, result->flags);
		EXPECT_EQ(0, result->uid);
		EXPECT_EQ(0, result->gid);
		EXPECT_EQ(getpid(), result->pid);
		EXPECT_LE(before, result->time);
		EXPECT_GE(kt_now(), result->time);
		EXPECT_EQ(0, result->cookie | result->events | result->badge | result->nfds);
		EXPECT_EQ(0, result->reserved[0] | result->reserved[3]);
		EXPECT_EQ(0, result->reply_error);
	}
}

TEST_F(batch, any_number_up_to_the_most)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(counts); i++) {
		batch_fill(self->out, 1000 * i, counts[i]);
		ASSERT_EQ(counts[i], batch_send(self->out));
		ASSERT_EQ(counts[i], kt_stat(self->fd).msgs);
		ASSERT_EQ(counts[i], batch_take(self->in, KIPC_BATCH_MAX));
		ASSERT_TRUE(batch_got(self->in, counts[i], 1000 * i));
	}
}

TEST_F(batch, no_more_than_was_asked_for)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(counts); i++) {
		batch_fill(self->out, 0, KIPC_BATCH_MAX);
		ASSERT_EQ(KIPC_BATCH_MAX, batch_send(self->out));
		ASSERT_EQ(counts[i], batch_take(self->in, counts[i]));
		ASSERT_TRUE(batch_got(self->in, counts[i], 0));
		ASSERT_TRUE(batch_queued(self->fd, counts[i], KIPC_BATCH_MAX - counts[i]));
	}
}

/* Every size up to two alignments, and the largest, and many without bytes */
TEST_F(batch, where_payloads_begin)
{
	batch_clear(self->out);
	for (unsigned int i = 0; i <= 2 * KIPC_BATCH_ALIGN; i++)
		batch_add(self->out, i, 0, i);
	batch_add(self->out, 2 * KIPC_BATCH_ALIGN + 1, 0, 8192);
	for (unsigned int i = 0; i < 20; i++)
		batch_add(self->out, 2 * KIPC_BATCH_ALIGN + 2 + i, 0, 0);
	batch_add(self->out, 2 * KIPC_BATCH_ALIGN + 22, 0, 5);
	ASSERT_EQ(39, batch_send(self->out));
	ASSERT_EQ(39, batch_take(self->in, KIPC_BATCH_MAX));
	EXPECT_TRUE(batch_got(self->in, 39, 0));
	EXPECT_EQ(8192, self->in->results[2 * KIPC_BATCH_ALIGN + 1].size);
	EXPECT_EQ(0, self->in->results[2 * KIPC_BATCH_ALIGN + 21].size);
}

/* At an address that is no multiple of anything: what counts is the distance from it */
TEST_F(batch, a_buffer_anywhere)
{
	struct kipc_result results[3];
	struct kipc_batch_msg msgs[3] = { { .size = 3 }, { .size = 9 }, { .size = 1 } };
	char from[64], to[BATCH_ROOM];
	struct iovec bytes = { from + 5, 3 + 5 + 9 + 7 + 1 };
	struct kipc_msg batch = { .iov = &bytes, .iovcnt = 1 };

	kt_fill(from, sizeof(from), 1);
	ASSERT_EQ(3, kipc_send_batch(self->fd, &batch, msgs, 3, 0));
	bytes = (struct iovec){ to + 3, sizeof(to) - 3 };
	kt_poison(to, sizeof(to));
	ASSERT_EQ(3, kipc_recv_batch(self->fd, &batch, results, 3, 0));
	EXPECT_TRUE(kt_poisoned(to, 3));
	EXPECT_EQ(0, memcmp(to + 3, from + 5, 3));
	EXPECT_TRUE(kt_poisoned(to + 3 + 3, 5));
	EXPECT_EQ(0, memcmp(to + 3 + 8, from + 5 + 8, 9));
	EXPECT_TRUE(kt_poisoned(to + 3 + 17, 7));
	EXPECT_EQ(0, memcmp(to + 3 + 24, from + 5 + 24, 1));
	EXPECT_TRUE(kt_poisoned(to + 3 + 25, sizeof(to) - 28));
}

/* What was received can be sent on as it lies there */
TEST_F(batch, forwarding)
{
	int other = kt_private(self->dev, 0, NULL);

	batch_fill(self->out, 3, 40);
	self->out->msgs[17].prio = 5;
	self->out->msgs[21].prio = KIPC_PRIO_MAX;
	ASSERT_EQ(40, batch_send(self->out));
	ASSERT_EQ(40, batch_take(self->in, KIPC_BATCH_MAX));
	for (unsigned int i = 0; i < 40; i++)
		self->in->msgs[i] = (struct kipc_batch_msg){
			.type = self->in->results[i].type,
			.size = self->in->results[i].size,
			.prio = self->in->results[i].prio,
		};
	self->in->fd = other;
	self->in->count = 40;
	ASSERT_EQ(40, batch_send(self->in));
	self->out->fd = other;
	ASSERT_EQ(40, batch_take(self->out, KIPC_BATCH_MAX));
	EXPECT_TRUE(batch_intact(self->out, 40));
	EXPECT_EQ(24, self->out->results[0].type);
	EXPECT_EQ(KIPC_PRIO_MAX, self->out->results[0].prio);
	EXPECT_EQ(20, self->out->results[1].type);
	EXPECT_EQ(5, self->out->results[1].prio);
	EXPECT_EQ(3, self->out->results[2].type);
	EXPECT_EQ(42, self->out->results[39].type);
	EXPECT_TRUE(kt_quiet(other));
	close(other);
}

/* ---- order and selectors ---- */

TEST_F(batch, p01_by_priority_within_a_batch)
{
	static const uint32_t prios[] = { 5, 9, 0, 5, KIPC_PRIO_MAX, 9 };
	static const uint64_t expected[] = { 4, 1, 5, 0, 3, 2 };

	batch_clear(self->out);
	for (unsigned int i = 0; i < ARRAY_SIZE(prios); i++)
		batch_add(self->out, i, prios[i], 10 + i);
	ASSERT_EQ(ARRAY_SIZE(prios), batch_send(self->out));
	ASSERT_EQ(ARRAY_SIZE(prios), batch_take(self->in, KIPC_BATCH_MAX));
	EXPECT_TRUE(batch_intact(self->in, ARRAY_SIZE(prios)));
	for (unsigned int i = 0; i < ARRAY_SIZE(prios); i++) {
		EXPECT_EQ(expected[i], self->in->results[i].type);
		EXPECT_EQ(prios[expected[i]], self->in->results[i].prio);
	}
}

static void send_mixed(struct __test_metadata *_metadata, FIXTURE_DATA(batch) *self)
{
	static const uint64_t types[] = { 5, 3, 5, 1, 4, 3, 5, 1 };

	batch_clear(self->out);
	for (unsigned int i = 0; i < ARRAY_SIZE(types); i++)
		batch_add(self->out, types[i], i == 2 || i == 5, i);
	ASSERT_EQ(ARRAY_SIZE(types), batch_send(self->out));
}

/* The sizes of what is received say which it is */
static bool sizes_are(const struct batch *b, long n, const char *expected)
{
	char sizes[KIPC_BATCH_MAX + 1] = "";

	for (long i = 0; i < n; i++)
		sizes[i] = (char)('0' + b->results[i].size);
	if (!strcmp(sizes, expected))
		return batch_intact(b, n) && batch_untold(b, n);
	kt_complain("received %s instead of %s", sizes, expected);
	return false;
}

TEST_F(batch, p01_selectors)
{
	static const struct {
		uint32_t flags;
		uint64_t type;
		const char *expected;
	} selectors[] = {
		{ KIPC_TYPE_EQ, 5, "206" },
		{ KIPC_TYPE_EQ, 2, "" },
		{ KIPC_TYPE_NE, 5, "51347" },
		{ KIPC_TYPE_NE, 9, "25013467" },
		{ KIPC_TYPE_LE, 3, "3751" },
		{ KIPC_TYPE_LE, 4, "37514" },
		{ KIPC_TYPE_LE, UINT64_MAX, "37514206" },
		{ KIPC_TYPE_LE, 0, "" },
		{ 0, 0, "25013467" },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(selectors); i++) {
		unsigned int n = (unsigned int)strlen(selectors[i].expected);

		send_mixed(_metadata, self);
		self->in->flags = selectors[i].flags;
		self->in->type = selectors[i].type;
		ASSERT_EQ(n ? (long)n : -EAGAIN, batch_take(self->in, KIPC_BATCH_MAX));
		ASSERT_TRUE(sizes_are(self->in, n, selectors[i].expected))
			TH_LOG("selector %u", i);
		/* those that it does not want are still there */
		self->in->flags = 0;
		self->in->type = 0;
		ASSERT_EQ(n < 8 ? 8 - (long)n : -EAGAIN, batch_take(self->in, KIPC_BATCH_MAX));
		ASSERT_TRUE(kt_quiet(self->fd));
	}
}

/* ---- room ---- */

TEST_F(batch, p02_stops_at_what_does_not_fit)
{
	static const struct {
		size_t room;
		unsigned int n;
	} rooms[] = {
		{ 104 + 100, 2 }, { 104 + 104, 2 }, { 104 + 99, 1 }, { 104, 1 }, { 100, 1 },
		{ 208 + 300, 3 }, { 208 + 299, 2 }, { 208 + 304 + 10, 4 }, { 208 + 304 + 9, 3 },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(rooms); i++) {
		batch_clear(self->out);
		batch_add(self->out, 0, 0, 100);
		batch_add(self->out, 1, 0, 100);
		batch_add(self->out, 2, 0, 300);
		batch_add(self->out, 3, 0, 10);
		ASSERT_EQ(4, batch_send(self->out));
		self->in->flags = KIPC_ANYSIZE;
		self->in->count = 10;
		self->in->len = rooms[i].room;
		self->in->timeout = 0;
		ASSERT_EQ(rooms[i].n, batch_recv(self->in)) TH_LOG("room %zu", rooms[i].room);
		ASSERT_TRUE(batch_got(self->in, rooms[i].n, 0));
		/* though a later one would have fitted */
		ASSERT_TRUE(batch_queued(self->fd, rooms[i].n, 4 - rooms[i].n));
	}
}

/* Behind the end of a buffer that is no multiple of the alignment there is nothing */
TEST_F(batch, p02_the_end_of_an_odd_buffer)
{
	for (size_t len = 40; len <= 48; len++) {
		batch_clear(self->out);
		batch_add(self->out, 0, 0, 33);
		batch_add(self->out, 1, 0, 4);
		ASSERT_EQ(2, batch_send(self->out));
		self->in->flags = KIPC_ANYSIZE;
		self->in->count = 2;
		self->in->len = len;
		self->in->timeout = 0;
		ASSERT_EQ(len >= 44 ? 2 : 1, batch_recv(self->in)) TH_LOG("%zu bytes", len);
		ASSERT_TRUE(batch_got(self->in, len >= 44 ? 2 : 1, 0));
		ASSERT_TRUE(batch_queued(self->fd, len >= 44 ? 2 : 1, len >= 44 ? 0 : 1));
	}
}

TEST_F(batch, p02_a_room_below_max_size_must_be_meant)
{
	batch_fill(self->out, 10, 3);
	ASSERT_EQ(3, batch_send(self->out));
	self->in->count = 10;
	self->in->len = 8191;
	EXPECT_EQ(-EMSGSIZE, batch_recv(self->in));
	EXPECT_EQ(8192, self->in->results[0].size);
	self->in->results[0].size = 0;
	EXPECT_TRUE(batch_untold(self->in, 0));
	EXPECT_TRUE(kt_poisoned(self->in->buf, BATCH_ROOM));
	/* and one of that size takes all that fit */
	self->in->len = 8192;
	EXPECT_EQ(3, batch_recv(self->in));
	EXPECT_TRUE(batch_got(self->in, 3, 10));
}

TEST_F(batch, p02_anysize_tells_what_the_first_needs)
{
	batch_clear(self->out);
	batch_add(self->out, 1, 0, 500);
	batch_add(self->out, 2, 0, 10);
	ASSERT_EQ(2, batch_send(self->out));
	self->in->flags = KIPC_ANYSIZE;
	self->in->count = 10;
	for (self->in->len = 0; self->in->len < 500; self->in->len += 499) {
		EXPECT_EQ(-EMSGSIZE, batch_recv(self->in));
		EXPECT_EQ(500, self->in->results[0].size);
		EXPECT_EQ(0, self->in->results[0].type);
		EXPECT_EQ(0, self->in->results[0].deliveries);
		self->in->results[0].size = 0;
		EXPECT_TRUE(batch_untold(self->in, 0));
		EXPECT_TRUE(kt_poisoned(self->in->buf, BATCH_ROOM));
	}
	EXPECT_EQ(2, kt_stat(self->fd).msgs);
	EXPECT_EQ(510, kt_stat(self->fd).bytes);
	EXPECT_TRUE(batch_queued(self->fd, 1, 2));
}

/* The same when it was handed to a receiver that waited */
TEST_F(batch, p02_anysize_after_a_handover)
{
	struct kt_job *job;

	self->in->flags = KIPC_ANYSIZE;
	self->in->count = 10;
	self->in->len = 100;
	job = kt_start(KT_THREAD, batch_recv, self->in);
	ASSERT_TRUE(kt_asleep(job));
	batch_clear(self->out);
	batch_add(self->out, 1, 0, 500);
	batch_add(self->out, 2, 0, 0);
	ASSERT_EQ(2, batch_send(self->out));
	EXPECT_EQ(-EMSGSIZE, kt_join(job));
	EXPECT_EQ(500, self->in->results[0].size);
	self->in->results[0].size = 0;
	EXPECT_TRUE(batch_untold(self->in, 0));
	EXPECT_TRUE(batch_queued(self->fd, 1, 2));
}

TEST_F(batch, p02_truncate_cuts_the_first_only)
{
	batch_clear(self->out);
	batch_add(self->out, 1, 0, 200);
	batch_add(self->out, 2, 0, 50);
	batch_add(self->out, 3, 0, 100);
	ASSERT_EQ(3, batch_send(self->out));
	self->in->flags = KIPC_TRUNCATE;
	self->in->timeout = 0;
	self->in->count = 10;
	self->in->len = 101;
	ASSERT_EQ(1, batch_recv(self->in));
	EXPECT_EQ(1, self->in->results[0].type);
	EXPECT_EQ(200, self->in->results[0].size);
	EXPECT_EQ(KIPC_RESULT_TRUNCATED, self->in->results[0].flags);
	EXPECT_TRUE(kt_filled(self->in->buf, 101, 1));
	EXPECT_TRUE(kt_poisoned(self->in->buf + 101, BATCH_ROOM - 101));
	EXPECT_TRUE(batch_untold(self->in, 1));
	/* the next has room, the third not enough: it is not cut, it stays */
	ASSERT_EQ(1, batch_recv(self->in));
	EXPECT_TRUE(batch_got(self->in, 1, 2));
	EXPECT_TRUE(batch_queued(self->fd, 3, 1));
}

/* Into no room at all: the first is cut to nothing, and those fit that are nothing */
TEST_F(batch, p02_truncate_to_nothing)
{
	batch_clear(self->out);
	batch_add(self->out, 1, 0, 200);
	batch_add(self->out, 2, 0, 0);
	batch_add(self->out, 3, 0, 0);
	batch_add(self->out, 4, 0, 1);
	ASSERT_EQ(4, batch_send(self->out));
	self->in->flags = KIPC_TRUNCATE;
	self->in->timeout = 0;
	self->in->count = 10;
	self->in->len = 0;
	ASSERT_EQ(3, batch_recv(self->in));
	EXPECT_EQ(200, self->in->results[0].size);
	EXPECT_EQ(KIPC_RESULT_TRUNCATED, self->in->results[0].flags);
	EXPECT_EQ(0, self->in->results[1].flags);
	EXPECT_EQ(3, self->in->results[2].type);
	EXPECT_TRUE(kt_poisoned(self->in->buf, BATCH_ROOM));
	EXPECT_TRUE(batch_queued(self->fd, 4, 1));
}

TEST_F(batch, p03_what_is_larger_than_max_size_ends_it)
{
	for (unsigned int k = 0; k <= 20; k++) {
		batch_clear(self->out);
		for (unsigned int i = 0; i < 22; i++)
			batch_add(self->out, i, 0, i == k ? 8193 : 10);
		ASSERT_EQ(k ? (long)k : -EMSGSIZE, batch_send(self->out));
		ASSERT_TRUE(batch_queued(self->fd, 0, k));
	}
	/* who sends the rest meets it again */
	self->out->count = 1;
	self->out->msgs[0].size = 8193;
	EXPECT_EQ(-EMSGSIZE, batch_send(self->out));
}

/* ---- waiting to receive ---- */

TEST_F(batch, p14_nothing_there)
{
	uint64_t begin = kt_now();

	self->in->count = 10;
	self->in->len = BATCH_ROOM;
	self->in->timeout = 0;
	EXPECT_EQ(-EAGAIN, batch_recv(self->in));
	EXPECT_TRUE(batch_untold(self->in, 0));
	self->in->timeout = -1;
	self->in->flags = KIPC_NONBLOCK;
	EXPECT_EQ(-EAGAIN, batch_recv(self->in));
	self->in->flags = 0;
	ASSERT_EQ(0, fcntl(self->fd, F_SETFL, O_NONBLOCK));
	EXPECT_EQ(-EAGAIN, batch_recv(self->in));
	ASSERT_EQ(0, fcntl(self->fd, F_SETFL, 0));
	self->in->timeout = 30;
	EXPECT_EQ(-ETIMEDOUT, batch_recv(self->in));
	EXPECT_LE(begin + 30 * KT_MS, kt_now());
	self->in->flags = KIPC_REALTIME;
	begin = kt_realtime();
	EXPECT_EQ(-ETIMEDOUT, batch_recv(self->in));
	EXPECT_LE(begin + 30 * KT_MS, kt_realtime());
	EXPECT_TRUE(batch_untold(self->in, 0));
	EXPECT_TRUE(kt_poisoned(self->in->buf, BATCH_ROOM));
}

/* It waits for the first only, though there is room for more and a deadline far away */
TEST_F(batch, p14_waits_for_the_first_only)
{
	struct kt_job *job;

	self->in->count = 10;
	self->in->len = BATCH_ROOM;
	job = kt_start(KT_THREAD, batch_recv, self->in);
	ASSERT_TRUE(kt_asleep(job));
	EXPECT_EQ(1, kt_stat(self->fd).waiters);
	batch_fill(self->out, 5, 1);
	ASSERT_EQ(1, batch_send(self->out));
	EXPECT_EQ(1, kt_join(job));
	EXPECT_TRUE(batch_got(self->in, 1, 5));

	/* nor does it if there is one */
	ASSERT_EQ(1, batch_send(self->out));
	EXPECT_EQ(1, batch_recv(self->in));
	EXPECT_TRUE(batch_got(self->in, 1, 5));
}

TEST_F(batch, p14_whoever_waits_gets_the_batch_that_comes)
{
	struct kt_job *job;
	long n;

	for (unsigned int i = 0; i < ARRAY_SIZE(counts); i++) {
		self->in->count = KIPC_BATCH_MAX;
		self->in->len = BATCH_ROOM;
		self->in->timeout = -1;
		job = kt_start(KT_THREAD, batch_recv, self->in);
		ASSERT_TRUE(kt_asleep(job));
		batch_fill(self->out, 1, counts[i]);
		ASSERT_EQ(counts[i], batch_send(self->out));
		n = kt_join(job);
		ASSERT_LT(0, n);
		ASSERT_TRUE(batch_got(self->in, n, 1));
		/* what came too late for it is there */
		ASSERT_TRUE(batch_queued(self->fd, 1 + (uint64_t)n, counts[i] - (unsigned int)n));
	}
}

/* Each receiver that waits gets one of the batch, in the order in which they came */
TEST_F(batch, p13_handed_to_many_receivers)
{
	enum { MANY = 20 };
	struct batch *in[MANY];
	struct kt_job *jobs[MANY];

	for (unsigned int i = 0; i < MANY; i++) {
		in[i] = batch_new(self->fd);
		in[i]->count = 1;
		in[i]->len = 8192;
		jobs[i] = kt_start(KT_THREAD, batch_recv, in[i]);
		ASSERT_TRUE(kt_asleep(jobs[i]));
	}
	batch_fill(self->out, 40, MANY + 2);
	ASSERT_EQ(MANY + 2, batch_send(self->out));
	for (unsigned int i = 0; i < MANY; i++) {
		EXPECT_EQ(1, kt_join(jobs[i]));
		EXPECT_TRUE(batch_got(in[i], 1, 40 + i));
	}
	EXPECT_TRUE(batch_queued(self->fd, 40 + MANY, 2));
}

TEST_F(batch, p02_signal_to_a_waiting_receiver)
{
	struct kt_job *job;

	kt_catch(SIGUSR1, 0);
	self->in->count = 10;
	self->in->len = BATCH_ROOM;
	job = kt_start(KT_THREAD, batch_recv, self->in);
	ASSERT_TRUE(kt_asleep(job));
	ASSERT_TRUE(kt_signal(job, SIGUSR1));
	EXPECT_EQ(-EINTR, kt_join(job));
	EXPECT_TRUE(batch_untold(self->in, 0));

	kt_catch(SIGUSR1, SA_RESTART);
	self->in->flags = KIPC_NORESTART;
	job = kt_start(KT_THREAD, batch_recv, self->in);
	ASSERT_TRUE(kt_asleep(job));
	ASSERT_TRUE(kt_signal(job, SIGUSR1));
	EXPECT_EQ(-EINTR, kt_join(job));

	self->in->flags = 0;
	kt_caught = 0;
	job = kt_start(KT_THREAD, batch_recv, self->in);
	ASSERT_TRUE(kt_asleep(job));
	ASSERT_TRUE(kt_signal(job, SIGUSR1));
	ASSERT_TRUE(kt_until(kt_caught));
	ASSERT_TRUE(kt_asleep(job));
	batch_fill(self->out, 1, 1);
	ASSERT_EQ(1, batch_send(self->out));
	EXPECT_EQ(1, kt_join(job));
	EXPECT_TRUE(batch_got(self->in, 1, 1));
}

TEST_F(batch, p08_removal_and_shutdown_wake_a_receiver)
{
	int fd = kt_private(self->dev, 0, NULL);
	int other = kt_again(self->dev, kt_id(fd), KIPC_RIGHT_RECV);
	struct kt_job *job;

	ASSERT_LE(0, other);
	self->in->fd = other;
	self->in->count = 10;
	self->in->len = BATCH_ROOM;
	job = kt_start(KT_THREAD, batch_recv, self->in);
	ASSERT_TRUE(kt_asleep(job));
	ASSERT_EQ(0, kipc_shutdown(other));
	EXPECT_EQ(-ESHUTDOWN, kt_join(job));
	EXPECT_EQ(-ESHUTDOWN, batch_recv(self->in));

	self->in->fd = fd;
	job = kt_start(KT_THREAD, batch_recv, self->in);
	ASSERT_TRUE(kt_asleep(job));
	ASSERT_EQ(0, kipc_remove(fd, 0));
	EXPECT_EQ(-EIDRM, kt_join(job));
	EXPECT_EQ(-EIDRM, batch_recv(self->in));
	EXPECT_TRUE(batch_untold(self->in, 0));
	self->out->fd = fd;
	batch_fill(self->out, 1, 2);
	EXPECT_EQ(-EIDRM, batch_send(self->out));
	close(other);
	close(fd);
}

/* When max_size grows, who waits with less room must not be given more than that later */
TEST_F(batch, p02_max_size_grows_while_a_receiver_waits)
{
	struct kipc_op_stat set = {
		.what = KIPC_SET_CAPACITY,
		.info.attr = { .max_size = 10000 },
	};
	struct kt_job *job;

	self->in->count = 10;
	self->in->len = 8192;
	job = kt_start(KT_THREAD, batch_recv, self->in);
	ASSERT_TRUE(kt_asleep(job));
	ASSERT_EQ(0, kt_op_set(self->fd, &set));
	EXPECT_EQ(-EMSGSIZE, kt_join(job));
	EXPECT_EQ(10000, self->in->results[0].size);
}

/* ---- calls, and senders that wait for the receipt ---- */

TEST_F(batch, p04_calls_among_messages)
{
	enum { CALLS = 20 };
	uint64_t calls[CALLS];
	char reply[8];

	for (unsigned int i = 0; i < CALLS; i++) {
		struct kipc_msg req = { .type = 2 * i + 1, .cookie = i };

		calls[i] = 0;
		batch_fill(self->out, 2 * i, 1);
		ASSERT_EQ(1, batch_send(self->out));
		ASSERT_EQ(0, kipc_rpc_start(self->fd, &req, 8, &calls[i], -1));
	}
	/* without calls, then all */
	self->in->flags = KIPC_NOCALLS;
	EXPECT_EQ(3, batch_take(self->in, 3));
	EXPECT_TRUE(batch_intact(self->in, 3));
	EXPECT_EQ(4, self->in->results[2].type);
	self->in->flags = 0;
	EXPECT_EQ(2 * CALLS - 3, batch_take(self->in, KIPC_BATCH_MAX));
	EXPECT_TRUE(batch_intact(self->in, 2 * CALLS - 3));
	EXPECT_EQ(CALLS, kt_stat(self->fd).calls);
	EXPECT_EQ(0, kt_stat(self->fd).msgs);

	/* each is answered by its own token, the last one first */
	for (long i = 2 * CALLS - 4; i >= 0; i--) {
		struct kipc_result *result = &self->in->results[i];
		uint32_t number = (uint32_t)result->type / 2;

		EXPECT_EQ(result->type % 2 ? KIPC_RESULT_CALL : 0, result->flags);
		if (!result->token)
			continue;
		EXPECT_EQ(0, kipc_wanted(self->fd, result->token));
		EXPECT_EQ(0, kipc_reply(self->fd, result->token, &number, sizeof(number)));
	}
	for (uint32_t i = 0; i < CALLS; i++) {
		struct iovec room = { reply, sizeof(reply) };
		struct kipc_msg msg = { .iov = &room, .iovcnt = 1 };
		struct kipc_result result;

		EXPECT_EQ(4, kipc_rpc_finish(self->fd, calls[i], &msg, &result, 0));
		EXPECT_EQ(0, memcmp(reply, &i, sizeof(i)));
		EXPECT_EQ(i, result.cookie);
		EXPECT_EQ(KIPC_RESULT_DELIVERED, result.flags);
	}
}

static long take_three_and_wait(void *arg)
{
	long n = batch_recv(arg);

	if (n != 3)
		return n;
	for (;;)
		pause();
}

/* Calls that one batch took break together when the process dies that took it */
TEST_F(batch, p06_the_death_of_who_took_them)
{
	struct kipc_result result;
	uint64_t calls[3] = { 0 };
	struct kt_job *server;

	for (unsigned int i = 0; i < 3; i++) {
		struct kipc_msg req = { .type = 7, .flags = i == 1 ? KIPC_IDEMPOTENT : 0 };

		ASSERT_EQ(0, kipc_rpc_start(self->fd, &req, 0, &calls[i], -1));
	}
	self->in->count = 3;
	self->in->len = BATCH_ROOM;
	server = kt_start(KT_FORK, take_three_and_wait, self->in);
	ASSERT_TRUE(kt_until(kt_stat(self->fd).calls == 3));
	EXPECT_EQ(KT_DIED - SIGKILL, kt_kill(server));
	EXPECT_EQ(-ECONNRESET, kipc_rpc_finish(self->fd, calls[0], NULL, &result, -1));
	EXPECT_EQ(KIPC_RESULT_DELIVERED, result.flags);
	EXPECT_EQ(-ECONNRESET, kipc_rpc_finish(self->fd, calls[2], NULL, &result, -1));
	/* the idempotent one comes again */
	ASSERT_EQ(1, batch_take(self->in, 10));
	EXPECT_EQ(KIPC_RESULT_CALL | KIPC_RESULT_REDELIVERED, self->in->results[0].flags);
	EXPECT_EQ(2, self->in->results[0].deliveries);
	EXPECT_EQ(0, kipc_reply(self->fd, self->in->results[0].token, NULL, 0));
	EXPECT_EQ(0, kipc_rpc_finish(self->fd, calls[1], NULL, &result, -1));
}

static long send_sync(void *arg)
{
	struct batch *b = arg;
	struct iovec bytes = { b->buf, b->msgs[0].size };
	struct kipc_msg msg = {
		.type = b->msgs[0].type, .prio = b->msgs[0].prio, .flags = b->flags,
		.endpoint = b->endpoint, .iov = &bytes, .iovcnt = 1,
	};

	return kipc_sendmsg(b->fd, &msg, b->timeout);
}

/* A job that sends one message as a SEND, and sleeps in it */
static struct kt_job *sleeping_send(int fd, uint32_t flags, uint64_t type, uint32_t prio)
{
	struct batch *b = batch_new(fd);
	struct kt_job *job;

	batch_add(b, type, prio, type % 100);
	b->flags = flags;
	job = kt_start(KT_THREAD, send_sync, b);
	kt_need(kt_asleep(job));
	return job;
}

TEST_F(batch, p03_sync_senders_are_woken)
{
	enum { MANY = 20 };
	struct kt_job *jobs[MANY];

	for (unsigned int i = 0; i < MANY; i++)
		jobs[i] = sleeping_send(self->fd, KIPC_SYNC, 10 + i, 0);
	EXPECT_EQ(MANY, kt_stat(self->fd).waiters);
	EXPECT_EQ(17, batch_take(self->in, 17));
	EXPECT_TRUE(batch_got(self->in, 17, 10));
	for (unsigned int i = 0; i < 17; i++)
		EXPECT_EQ(0, kt_join(jobs[i]));
	for (unsigned int i = 17; i < MANY; i++)
		EXPECT_TRUE(kt_asleep(jobs[i]));
	EXPECT_EQ(3, batch_take(self->in, KIPC_BATCH_MAX));
	EXPECT_TRUE(batch_got(self->in, 3, 27));
	for (unsigned int i = 17; i < MANY; i++)
		EXPECT_EQ(0, kt_join(jobs[i]));
}

/* ---- a queue that is full ---- */

FIXTURE(full) {
	int dev;
	int fd;
	struct batch *out, *in;
};

/* Room for 3 messages */
FIXTURE_SETUP(full)
{
	const struct kipc_attr attr = { .max_size = 128, .max_msgs = 3, .max_bytes = 3 * 128 };

	self->dev = kt_device();
	self->fd = kt_private(self->dev, 0, &attr);
	self->out = batch_new(self->fd);
	self->in = batch_new(self->fd);
	self->in->flags = KIPC_ANYSIZE;
}

FIXTURE_TEARDOWN(full)
{
	kt_restore_params();
	EXPECT_TRUE(kt_quiet(self->fd));
	close(self->fd);
	close(self->dev);
}

TEST_F(full, p03_sends_what_fits)
{
	batch_fill(self->out, 20, 5);
	self->out->timeout = 0;
	EXPECT_EQ(3, batch_send(self->out));
	EXPECT_EQ(3, kt_stat(self->fd).msgs);
	EXPECT_EQ(0, kt_stat(self->fd).waiters);
	EXPECT_EQ(-EAGAIN, batch_send(self->out));
	self->out->timeout = -1;
	self->out->flags = KIPC_NONBLOCK;
	EXPECT_EQ(-EAGAIN, batch_send(self->out));
	self->out->flags = 0;
	ASSERT_EQ(0, fcntl(self->fd, F_SETFL, O_NONBLOCK));
	EXPECT_EQ(-EAGAIN, batch_send(self->out));
	ASSERT_EQ(0, fcntl(self->fd, F_SETFL, 0));
	EXPECT_EQ(4, kt_stat(self->fd).refused);
	EXPECT_TRUE(batch_queued(self->fd, 20, 3));
}

TEST_F(full, p03_bytes_count_too)
{
	const struct kipc_attr attr = { .max_size = 128, .max_msgs = 10, .max_bytes = 300 };
	int fd = kt_private(self->dev, 0, &attr);

	batch_clear(self->out);
	batch_add(self->out, 1, 0, 128);
	batch_add(self->out, 2, 0, 128);
	batch_add(self->out, 3, 0, 44);
	batch_add(self->out, 4, 0, 1);
	batch_add(self->out, 5, 0, 0);
	self->out->fd = fd;
	self->out->timeout = 0;
	EXPECT_EQ(3, batch_send(self->out));
	EXPECT_EQ(300, kt_stat(fd).bytes);
	EXPECT_TRUE(batch_queued(fd, 1, 3));
	close(fd);
}

TEST_F(full, p13_waits_until_all_are_sent)
{
	struct kt_job *job;

	batch_fill(self->out, 0, 40);
	job = kt_start(KT_THREAD, batch_send, self->out);
	for (unsigned int i = 0; i < 37; i++) {
		/* each time one goes, the next comes */
		ASSERT_TRUE(kt_asleep(job));
		ASSERT_EQ(3, kt_stat(self->fd).msgs);
		ASSERT_EQ(1, kt_stat(self->fd).waiters);
		ASSERT_EQ(1, batch_take(self->in, 1));
		ASSERT_TRUE(batch_got(self->in, 1, i));
	}
	EXPECT_EQ(40, kt_join(job));
	EXPECT_TRUE(batch_queued(self->fd, 37, 3));
}

/* Both in batches, of all sizes: all that is there is received, room is filled */
TEST_F(full, p13_a_batch_drained_in_batches)
{
	unsigned int got = 0;
	struct kt_job *job;
	long n;

	batch_fill(self->out, 0, KIPC_BATCH_MAX);
	job = kt_start(KT_THREAD, batch_send, self->out);
	while (got < KIPC_BATCH_MAX) {
		self->in->timeout = -1;
		self->in->count = 1 + got % 7;
		self->in->len = BATCH_ROOM;
		n = batch_recv(self->in);
		ASSERT_LT(0, n);
		ASSERT_TRUE(batch_got(self->in, n, got));
		got += (unsigned int)n;
	}
	EXPECT_EQ(KIPC_BATCH_MAX, kt_join(job));
}

TEST_F(full, p01_takes_from_blocked_senders_directly)
{
	enum { MANY = 20 };
	struct kt_job *jobs[MANY];

	batch_fill(self->out, 10, 3);
	ASSERT_EQ(3, batch_send(self->out));
	for (unsigned int i = 0; i < MANY; i++)
		jobs[i] = sleeping_send(self->fd, 0, 13 + i, 0);
	/* the last one is not asked for */
	EXPECT_EQ(MANY + 2, batch_take(self->in, MANY + 2));
	EXPECT_TRUE(batch_got(self->in, MANY + 2, 10));
	for (unsigned int i = 0; i < MANY; i++)
		EXPECT_EQ(0, kt_join(jobs[i]));
	/* it found room */
	EXPECT_EQ(1, kt_stat(self->fd).msgs);
	EXPECT_TRUE(batch_queued(self->fd, 10 + MANY + 2, 1));
}

TEST_F(full, p01_and_a_selector_takes_those_only_that_it_wants)
{
	struct kt_job *first, *second, *third;

	batch_fill(self->out, 10, 3);
	ASSERT_EQ(3, batch_send(self->out));
	first = sleeping_send(self->fd, 0, 13, 0);
	second = sleeping_send(self->fd, 0, 14, 9);
	third = sleeping_send(self->fd, 0, 13, 0);
	self->in->flags |= KIPC_TYPE_EQ;
	self->in->type = 13;
	EXPECT_EQ(2, batch_take(self->in, 10));
	EXPECT_TRUE(batch_intact(self->in, 2));
	EXPECT_EQ(0, kt_join(first));
	EXPECT_EQ(0, kt_join(third));
	EXPECT_TRUE(kt_asleep(second));
	EXPECT_EQ(3, kt_stat(self->fd).msgs);
	self->in->flags = KIPC_ANYSIZE;
	self->in->type = 0;
	EXPECT_EQ(4, batch_take(self->in, 10));
	EXPECT_TRUE(batch_intact(self->in, 4));
	EXPECT_EQ(14, self->in->results[0].type);
	EXPECT_EQ(0, kt_join(second));
}

TEST_F(full, p13_blocked_senders_are_admitted_as_there_is_room)
{
	enum { MANY = 24 };
	struct kt_job *jobs[MANY];

	batch_fill(self->out, 10, 3);
	ASSERT_EQ(3, batch_send(self->out));
	for (unsigned int i = 0; i < MANY; i++)
		jobs[i] = sleeping_send(self->fd, 0, 13 + i, 0);
	EXPECT_EQ(2, batch_take(self->in, 2));
	EXPECT_TRUE(batch_got(self->in, 2, 10));
	EXPECT_EQ(0, kt_join(jobs[0]));
	EXPECT_EQ(0, kt_join(jobs[1]));
	EXPECT_TRUE(kt_asleep(jobs[2]));
	EXPECT_EQ(3, kt_stat(self->fd).msgs);
	EXPECT_EQ(MANY - 2, kt_stat(self->fd).waiters);
	/* one that is there, the rest from those who wait, and again three find room */
	EXPECT_EQ(18, batch_take(self->in, 18));
	EXPECT_TRUE(batch_got(self->in, 18, 12));
	for (unsigned int i = 0; i < 20; i++)
		EXPECT_EQ(0, kt_join(jobs[i]));
	EXPECT_EQ(3, kt_stat(self->fd).msgs);
	EXPECT_EQ(4, kt_stat(self->fd).waiters);
	EXPECT_EQ(7, batch_take(self->in, KIPC_BATCH_MAX));
	EXPECT_TRUE(batch_got(self->in, 7, 30));
	for (unsigned int i = 20; i < MANY; i++)
		EXPECT_EQ(0, kt_join(jobs[i]));
}

/* Others' messages stand where they came, also between those of a batch */
TEST_F(full, p01_others_come_between)
{
	struct kt_job *job, *other;
	unsigned int types[9];

	batch_fill(self->out, 0, 8);
	job = kt_start(KT_THREAD, batch_send, self->out);
	ASSERT_TRUE(kt_asleep(job));
	/* the fourth waits, and the fifth is not there yet */
	other = sleeping_send(self->fd, 0, 50, 0);
	for (unsigned int i = 0; i < 9; i++) {
		ASSERT_TRUE(kt_until(batch_take(self->in, 1) == 1));
		types[i] = (unsigned int)self->in->results[0].type;
	}
	for (unsigned int i = 0; i < 4; i++)
		EXPECT_EQ(i, types[i]);
	EXPECT_EQ(50, types[4]);
	for (unsigned int i = 5; i < 9; i++)
		EXPECT_EQ(i - 1, types[i]);
	EXPECT_EQ(8, kt_join(job));
	EXPECT_EQ(0, kt_join(other));
}

TEST_F(full, p14_the_deadline_comes_in_the_middle)
{
	uint64_t begin = kt_now();

	batch_fill(self->out, 10, 5);
	self->out->timeout = 50;
	EXPECT_EQ(3, batch_send(self->out));
	EXPECT_LE(begin + 50 * KT_MS, kt_now());
	EXPECT_EQ(3, kt_stat(self->fd).msgs);
	EXPECT_EQ(0, kt_stat(self->fd).waiters);
	begin = kt_now();
	EXPECT_EQ(-ETIMEDOUT, batch_send(self->out));
	EXPECT_LE(begin + 50 * KT_MS, kt_now());
	EXPECT_EQ(2, kt_stat(self->fd).refused);
	EXPECT_TRUE(batch_queued(self->fd, 10, 3));
}

/* One deadline for all of them: progress does not put it off */
TEST_F(full, p14_one_deadline_for_all)
{
	uint64_t begin = kt_now(), end;
	struct kt_job *job;
	unsigned int got = 0;
	long sent;

	batch_fill(self->out, 0, KIPC_BATCH_MAX);
	self->out->timeout = 300;
	job = kt_start(KT_THREAD, batch_send, self->out);
	/* 64 times 100 ms, if each message had its own time */
	while (!job->done && got < KIPC_BATCH_MAX) {
		end = kt_now() + 100 * KT_MS;
		while (kt_now() < end && !job->done)
			kt_nap();
		if (batch_take(self->in, 1) == 1)
			got++;
	}
	sent = kt_join(job);
	EXPECT_LE(begin + 300 * KT_MS, kt_now());
	EXPECT_GT(KIPC_BATCH_MAX, sent);
	EXPECT_LE(3, sent);
	EXPECT_EQ(sent, got + (long)kt_stat(self->fd).msgs);
	EXPECT_TRUE(batch_queued(self->fd, got, (unsigned int)sent - got));
}

TEST_F(full, p03_a_signal_in_the_middle)
{
	struct kt_job *job;

	/* with and without restart: what was sent is told */
	for (int flags = 0; flags <= SA_RESTART; flags += SA_RESTART) {
		kt_catch(SIGUSR1, flags);
		batch_fill(self->out, 10, 5);
		job = kt_start(KT_THREAD, batch_send, self->out);
		ASSERT_TRUE(kt_asleep(job));
		ASSERT_TRUE(kt_signal(job, SIGUSR1));
		EXPECT_EQ(3, kt_join(job));
		EXPECT_EQ(3, kt_stat(self->fd).msgs);
		EXPECT_TRUE(batch_queued(self->fd, 10, 3));
	}
}

TEST_F(full, p03_a_signal_before_anything_was_sent)
{
	struct kt_job *job;

	batch_fill(self->out, 10, 3);
	ASSERT_EQ(3, batch_send(self->out));
	batch_fill(self->out, 20, 5);
	kt_catch(SIGUSR1, 0);
	job = kt_start(KT_THREAD, batch_send, self->out);
	ASSERT_TRUE(kt_asleep(job));
	ASSERT_TRUE(kt_signal(job, SIGUSR1));
	EXPECT_EQ(-EINTR, kt_join(job));

	kt_catch(SIGUSR1, SA_RESTART);
	self->out->flags = KIPC_NORESTART;
	job = kt_start(KT_THREAD, batch_send, self->out);
	ASSERT_TRUE(kt_asleep(job));
	ASSERT_TRUE(kt_signal(job, SIGUSR1));
	EXPECT_EQ(-EINTR, kt_join(job));

	/* restarted: it goes on waiting, and each is sent once */
	self->out->flags = 0;
	kt_caught = 0;
	job = kt_start(KT_THREAD, batch_send, self->out);
	ASSERT_TRUE(kt_asleep(job));
	ASSERT_TRUE(kt_signal(job, SIGUSR1));
	ASSERT_TRUE(kt_until(kt_caught));
	ASSERT_TRUE(kt_asleep(job));
	EXPECT_EQ(1, kt_stat(self->fd).waiters);
	EXPECT_EQ(3, batch_take(self->in, 3));
	EXPECT_TRUE(batch_got(self->in, 3, 10));
	for (unsigned int i = 0; i < 5; i++) {
		ASSERT_TRUE(kt_until(batch_take(self->in, 1) == 1));
		EXPECT_TRUE(batch_got(self->in, 1, 20 + i));
	}
	EXPECT_EQ(5, kt_join(job));
}

TEST_F(full, p03_killed_in_the_middle)
{
	struct kt_job *job;

	batch_fill(self->out, 10, 40);
	job = kt_start(KT_FORK, batch_send, self->out);
	ASSERT_TRUE(kt_asleep(job));
	ASSERT_EQ(1, batch_take(self->in, 1));
	ASSERT_TRUE(kt_until(kt_stat(self->fd).msgs == 3));
	ASSERT_TRUE(kt_asleep(job));
	EXPECT_EQ(KT_DIED - SIGKILL, kt_kill(job));
	EXPECT_TRUE(batch_queued(self->fd, 11, 3));
}

/* What was sent before the end was sent, though nobody will receive it */
TEST_F(full, p08_removed_in_the_middle)
{
	struct kt_job *job;

	for (unsigned int way = 0; way < 2; way++) {
		const struct kipc_attr attr = { .max_size = 128, .max_msgs = 3 };
		int fd = kt_private(self->dev, 0, &attr);

		self->out->fd = kt_again(self->dev, kt_id(fd), KIPC_RIGHT_SEND);
		ASSERT_LE(0, self->out->fd);
		batch_fill(self->out, 10, 20);
		job = kt_start(KT_THREAD, batch_send, self->out);
		ASSERT_TRUE(kt_asleep(job));
		if (way)
			close(fd);
		else
			ASSERT_EQ(0, kipc_remove(fd, 0));
		EXPECT_EQ(3, kt_join(job));
		EXPECT_EQ(-EIDRM, batch_send(self->out));
		close(self->out->fd);
		if (!way)
			close(fd);
	}
}

/* Too many waiters: those that have room are sent */
TEST_F(full, p10_no_more_waiters)
{
	kt_set_param("waiters_max", 1);
	batch_fill(self->out, 10, 3);
	ASSERT_EQ(3, batch_send(self->out));
	struct kt_job *job = sleeping_send(self->fd, 0, 13, 0);

	batch_fill(self->out, 20, 3);
	EXPECT_EQ(-ENOSPC, batch_send(self->out));
	EXPECT_EQ(4, batch_take(self->in, 10));
	EXPECT_TRUE(batch_got(self->in, 4, 10));
	EXPECT_EQ(0, kt_join(job));
	batch_fill(self->out, 30, 2);
	EXPECT_EQ(2, batch_send(self->out));
	EXPECT_TRUE(batch_queued(self->fd, 30, 2));
}

/* ---- polling ---- */

static short polled(int fd)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN | POLLOUT };

	return poll(&pfd, 1, 0) < 0 ? -1 : pfd.revents;
}

static long poll_for(void *arg)
{
	struct pollfd *pfd = arg;

	return poll(pfd, 1, KT_PATIENCE_MS) == 1 ? pfd->revents : -1;
}

static bool in_poll(struct kt_job *job)
{
	char path[64], text[128];

	snprintf(path, sizeof(path), "/proc/%d/task/%d/wchan", job->pid, job->tid);
	return kt_read_file(path, text, sizeof(text)) > 0 && strstr(text, "poll");
}

TEST_F(full, pollers_are_told)
{
	struct pollfd readable = { .fd = self->fd, .events = POLLIN };
	struct pollfd writable = { .fd = self->fd, .events = POLLOUT };
	struct kt_job *job;

	EXPECT_EQ(POLLOUT, polled(self->fd));
	job = kt_start(KT_THREAD, poll_for, &readable);
	ASSERT_TRUE(kt_until(in_poll(job)));
	batch_fill(self->out, 10, 3);
	ASSERT_EQ(3, batch_send(self->out));
	EXPECT_EQ(POLLIN, kt_join(job));
	EXPECT_EQ(POLLIN, polled(self->fd));
	job = kt_start(KT_THREAD, poll_for, &writable);
	ASSERT_TRUE(kt_until(in_poll(job)));
	EXPECT_EQ(3, batch_take(self->in, 10));
	EXPECT_EQ(POLLOUT, kt_join(job));
	EXPECT_EQ(POLLOUT, polled(self->fd));
}

/* ---- a rendezvous ---- */

FIXTURE(rendezvous) {
	int dev;
	int fd;
	struct batch *out, *in;
};

FIXTURE_SETUP(rendezvous)
{
	self->dev = kt_device();
	self->fd = kt_private(self->dev, KIPC_OPEN_RENDEZVOUS, NULL);
	self->out = batch_new(self->fd);
	self->in = batch_new(self->fd);
	batch_fill(self->out, 10, 4);
}

FIXTURE_TEARDOWN(rendezvous)
{
	EXPECT_TRUE(kt_quiet(self->fd));
	close(self->fd);
	close(self->dev);
}

TEST_F(rendezvous, p03_as_many_as_receivers_wait)
{
	struct batch *in[2];
	struct kt_job *jobs[2];

	self->out->timeout = 0;
	EXPECT_EQ(-EAGAIN, batch_send(self->out));
	for (unsigned int i = 0; i < 2; i++) {
		in[i] = batch_new(self->fd);
		in[i]->count = 10;
		in[i]->len = BATCH_ROOM;
		jobs[i] = kt_start(KT_THREAD, batch_recv, in[i]);
		ASSERT_TRUE(kt_asleep(jobs[i]));
	}
	EXPECT_EQ(2, batch_send(self->out));
	for (unsigned int i = 0; i < 2; i++) {
		EXPECT_EQ(1, kt_join(jobs[i]));
		EXPECT_TRUE(batch_got(in[i], 1, 10 + i));
	}
	self->out->timeout = 30;
	EXPECT_EQ(-ETIMEDOUT, batch_send(self->out));
}

TEST_F(rendezvous, p13_waits_for_each_receiver)
{
	struct kt_job *job = kt_start(KT_THREAD, batch_send, self->out);

	for (unsigned int i = 0; i < 4; i++) {
		ASSERT_TRUE(kt_asleep(job));
		EXPECT_EQ(0, kt_stat(self->fd).msgs);
		EXPECT_EQ(1, kt_stat(self->fd).waiters);
		/* the next is there when this one was received */
		ASSERT_EQ(1, batch_take(self->in, 10));
		ASSERT_TRUE(batch_got(self->in, 1, 10 + i));
	}
	EXPECT_EQ(4, kt_join(job));
}

TEST_F(rendezvous, p01_takes_from_all_senders)
{
	enum { MANY = 18 };
	struct kt_job *jobs[MANY];

	for (unsigned int i = 0; i < MANY; i++)
		jobs[i] = sleeping_send(self->fd, 0, 30 + i, 0);
	EXPECT_EQ(MANY, batch_take(self->in, KIPC_BATCH_MAX));
	EXPECT_TRUE(batch_got(self->in, MANY, 30));
	for (unsigned int i = 0; i < MANY; i++)
		EXPECT_EQ(0, kt_join(jobs[i]));
}

/* ---- users ---- */

FIXTURE(users) {
	int dev;
	struct batch *out, *in;
};

FIXTURE_SETUP(users)
{
	self->dev = kt_device();
	self->out = batch_new(self->dev);
	self->in = batch_new(self->dev);
	self->out->timeout = 0;
	self->in->timeout = 0;
}

FIXTURE_TEARDOWN(users)
{
	close(self->dev);
}

static int open_as(int dev, uid_t uid, const struct kipc_attr *attr)
{
	struct kipc_op_open op = {
		.flags = KIPC_OPEN_CREATE, .rights = KT_ALL_RIGHTS, .mode = 0666, .attr = *attr,
	};

	return (int)kt_do_as(uid, kt_open(dev, &op));
}

/* As with SEND: a user other than the owner gets half of what the others leave */
TEST_F(users, p10_each_has_its_part)
{
	const struct kipc_attr attr = { .max_size = 64, .max_msgs = 8, .max_bytes = 512 };
	int fd = open_as(self->dev, KT_UID_A, &attr);

	ASSERT_LE(0, fd);
	self->out->fd = fd;
	self->in->fd = fd;
	batch_clear(self->out);
	for (unsigned int i = 0; i < 20; i++)
		batch_add(self->out, i, 0, 1);
	EXPECT_EQ(4, kt_do_as(KT_UID_B, batch_send(self->out)));
	EXPECT_EQ(-EAGAIN, kt_do_as(KT_UID_B, batch_send(self->out)));
	EXPECT_EQ(2, kt_do_as(KT_UID_C, batch_send(self->out)));
	EXPECT_EQ(2, kt_do_as(KT_UID_A, batch_send(self->out)));
	EXPECT_EQ(8, kt_stat(fd).msgs);
	EXPECT_EQ(8, batch_take(self->in, 20));
	EXPECT_TRUE(batch_intact(self->in, 8));
	for (unsigned int i = 0; i < 8; i++)
		EXPECT_EQ(i < 4 ? KT_UID_B : i < 6 ? KT_UID_C : KT_UID_A,
			  self->in->results[i].uid);
	EXPECT_TRUE(kt_quiet(fd));
	close(fd);
}

/* Over its share a batch waits, and what it waits for is room of its own user */
TEST_F(users, p10_over_its_share_a_batch_waits)
{
	const struct kipc_attr attr = { .max_size = 64, .max_msgs = 8, .max_bytes = 512 };
	int fd = open_as(self->dev, KT_UID_A, &attr);
	struct kt_job *job;

	ASSERT_LE(0, fd);
	self->out->fd = fd;
	self->in->fd = fd;
	self->out->timeout = -1;
	batch_clear(self->out);
	for (unsigned int i = 0; i < 6; i++)
		batch_add(self->out, i, 0, 1);
	job = kt_start(KT_AS(KT_UID_B), batch_send, self->out);
	ASSERT_TRUE(kt_asleep(job));
	EXPECT_EQ(4, kt_stat(fd).msgs);
	EXPECT_EQ(1, kt_stat(fd).waiters);
	/* the owner passes */
	EXPECT_EQ(0, kt_do_as(KT_UID_A, kt_send(fd, 0, 9, 0, "x", 1)));
	EXPECT_EQ(1, kt_recv(fd, 0, KIPC_TYPE_EQ, 9, self->in->buf, 64, NULL));
	EXPECT_TRUE(kt_asleep(job));
	EXPECT_EQ(5, batch_take(self->in, 20));
	EXPECT_TRUE(batch_got(self->in, 5, 0));
	EXPECT_EQ(6, kt_join(job));
	EXPECT_EQ(1, batch_take(self->in, 20));
	EXPECT_TRUE(batch_got(self->in, 1, 5));
	EXPECT_TRUE(kt_quiet(fd));
	close(fd);
}

TEST_F(users, p11_rights_of_a_handle)
{
	int fd = kt_private(self->dev, 0, NULL);
	int sender = kt_again(self->dev, kt_id(fd), KIPC_RIGHT_SEND);
	int receiver = kt_again(self->dev, kt_id(fd), KIPC_RIGHT_RECV);

	batch_fill(self->out, 1, 2);
	self->out->fd = receiver;
	EXPECT_EQ(-EBADF, batch_send(self->out));
	self->in->fd = sender;
	EXPECT_EQ(-EBADF, batch_take(self->in, 10));
	self->out->fd = sender;
	EXPECT_EQ(2, batch_send(self->out));
	self->in->fd = receiver;
	/* a handle has its endpoint */
	self->in->endpoint = kt_id(fd);
	EXPECT_EQ(-EINVAL, batch_take(self->in, 10));
	self->in->endpoint = 0;
	EXPECT_EQ(2, batch_take(self->in, 10));
	EXPECT_TRUE(batch_got(self->in, 2, 1));
	self->out->endpoint = kt_id(fd);
	EXPECT_EQ(-EINVAL, batch_send(self->out));
	close(receiver);
	close(sender);
	close(fd);
}

TEST_F(users, p11_permissions_on_a_device_file)
{
	const struct kipc_attr attr = { 0 };
	int fd = open_as(self->dev, KT_UID_A, &attr);
	uint32_t id = kt_id(fd);

	batch_fill(self->out, 1, 20);
	EXPECT_EQ(-EINVAL, batch_send(self->out));
	EXPECT_EQ(-EINVAL, batch_take(self->in, 20));
	self->out->endpoint = id ^ 1;
	self->in->endpoint = id ^ 1;
	EXPECT_EQ(-EIDRM, batch_send(self->out));
	EXPECT_EQ(-EIDRM, batch_take(self->in, 20));
	self->out->endpoint = id;
	self->in->endpoint = id;
	ASSERT_EQ(0, kt_chmod(fd, 0, 0604));
	EXPECT_EQ(-EACCES, kt_do_as(KT_UID_B, batch_send(self->out)));
	ASSERT_EQ(0, kt_chmod(fd, 0, 0602));
	EXPECT_EQ(20, kt_do_as(KT_UID_B, batch_send(self->out)));
	EXPECT_EQ(-EACCES, kt_do_as(KT_UID_B, batch_take(self->in, 20)));
	ASSERT_EQ(0, kt_chmod(fd, 0, 0604));
	EXPECT_EQ(20, kt_do_as(KT_UID_B, batch_take(self->in, 20)));
	EXPECT_TRUE(batch_got(self->in, 20, 1));
	EXPECT_EQ(KT_UID_B, self->in->results[19].uid);
	EXPECT_TRUE(kt_quiet(fd));
	close(fd);
}

TEST_F(users, p11_calls_stay_where_they_are)
{
	int fd = kt_private(self->dev, 0, NULL);
	struct kipc_msg req = { .type = 5 };
	uint64_t token = 0;

	self->out->endpoint = kt_id(fd);
	self->in->endpoint = kt_id(fd);
	batch_fill(self->out, 1, 2);
	EXPECT_EQ(2, batch_send(self->out));
	ASSERT_EQ(0, kipc_rpc_start(fd, &req, 0, &token, -1));
	batch_fill(self->out, 3, 2);
	EXPECT_EQ(2, batch_send(self->out));
	EXPECT_EQ(4, batch_take(self->in, 20));
	EXPECT_TRUE(batch_got(self->in, 4, 1));
	EXPECT_EQ(-EAGAIN, batch_take(self->in, 20));
	EXPECT_EQ(1, kt_stat(fd).msgs);
	EXPECT_EQ(0, kipc_cancel(fd, token));
	EXPECT_TRUE(kt_quiet(fd));
	close(fd);
}

/* A batch that waits for room is asked again; what it had sent is sent */
TEST_F(users, p11_rights_taken_away_in_the_middle)
{
	const struct kipc_attr attr = { .max_size = 64, .max_msgs = 8, .max_bytes = 512 };
	int fd = open_as(self->dev, KT_UID_A, &attr);
	struct kt_job *job;

	self->out->endpoint = kt_id(fd);
	self->out->timeout = -1;
	batch_fill(self->out, 0, 20);
	job = kt_start(KT_AS(KT_UID_B), batch_send, self->out);
	ASSERT_TRUE(kt_asleep(job));
	ASSERT_EQ(0, kt_chmod(fd, 0, 0600));
	EXPECT_EQ(4, kt_join(job));
	EXPECT_TRUE(batch_queued(fd, 0, 4));
	EXPECT_EQ(-EACCES, kt_run(KT_AS(KT_UID_B), batch_send, self->out));

	/* likewise who waits to receive */
	ASSERT_EQ(0, kt_chmod(fd, 0, 0666));
	self->in->endpoint = kt_id(fd);
	self->in->timeout = -1;
	self->in->count = 4;
	self->in->len = 8192;
	job = kt_start(KT_AS(KT_UID_B), batch_recv, self->in);
	ASSERT_TRUE(kt_asleep(job));
	ASSERT_EQ(0, kt_chmod(fd, 0, 0600));
	EXPECT_EQ(-EACCES, kt_join(job));
	EXPECT_TRUE(kt_quiet(fd));
	close(fd);
}

/* Who has lost the right to send is in nobody's way */
TEST_F(users, p11_those_behind_a_batch_that_may_not_send_any_more)
{
	const struct kipc_attr attr = { .max_size = 64, .max_msgs = 2, .max_bytes = 128 };
	int fd = open_as(self->dev, KT_UID_A, &attr);
	struct kt_job *blocked, *behind;

	self->out->fd = fd;
	self->in->fd = fd;
	batch_fill(self->out, 10, 2);
	ASSERT_EQ(2, kt_do_as(KT_UID_A, batch_send(self->out)));
	self->out->fd = self->dev;
	self->out->endpoint = kt_id(fd);
	self->out->timeout = -1;
	blocked = kt_start(KT_AS(KT_UID_B), batch_send, self->out);
	ASSERT_TRUE(kt_asleep(blocked));
	behind = sleeping_send(fd, 0, 12, 0);
	ASSERT_EQ(0, kt_chmod(fd, 0, 0600));
	EXPECT_EQ(-EACCES, kt_join(blocked));
	EXPECT_EQ(3, batch_take(self->in, 20));
	EXPECT_TRUE(batch_got(self->in, 3, 10));
	EXPECT_EQ(0, kt_join(behind));
	EXPECT_TRUE(kt_quiet(fd));
	close(fd);
}

TEST_HARNESS_MAIN
