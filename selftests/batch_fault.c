// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Batches that go wrong: what the first messages did is done, and of the others
 * nothing. By ioctl, as the library would not let some of it through. The number of
 * the message where it happens goes from 0 to 20, past the kernel's rounds of 16.
 */
#include <sys/mman.h>

#include "batch_common.h"
#include "harness.h"

#define LAST	20	/* the last message that something is wrong with */
#define MANY	24	/* messages in a batch */
#define SIZE	24	/* bytes of each */
#define MAX	64	/* max_size */

FIXTURE(fault) {
	int dev;
	int fd;
	char *hole;
	struct batch *out, *in;
	struct kipc_op_send_batch send;
	struct kipc_op_recv_batch recv;
};

FIXTURE_SETUP(fault)
{
	const struct kipc_attr attr = { .max_size = MAX, .max_msgs = 100, .max_bytes = 100 * MAX };

	self->dev = kt_device();
	self->fd = kt_private(self->dev, 0, &attr);
	self->hole = kt_hole();
	self->out = batch_new(self->fd);
	self->out->timeout = 0;
	self->in = batch_new(self->fd);
	for (unsigned int i = 0; i < MANY; i++)
		batch_add(self->out, i, 0, SIZE);
	self->send = (struct kipc_op_send_batch){
		.base = kt_ptr(self->out->buf), .len = self->out->len,
		.msgs = kt_ptr(self->out->msgs), .count = MANY,
	};
	self->recv = (struct kipc_op_recv_batch){
		.base = kt_ptr(self->in->buf), .len = BATCH_ROOM,
		.results = kt_ptr(self->in->results), .count = MANY,
	};
}

FIXTURE_TEARDOWN(fault)
{
	EXPECT_TRUE(kt_quiet(self->fd));
	close(self->fd);
	close(self->dev);
}

/* What is wrong with message @k: the first @k were sent, and are told; else the @error */
static void expect_sent(struct __test_metadata *_metadata, FIXTURE_DATA(fault) *self,
			unsigned int k, int error)
{
	ASSERT_EQ(k ? (long)k : error, kt_op_send_batch(self->fd, &self->send))
		TH_LOG("message %u", k);
	ASSERT_EQ(k, kt_stat(self->fd).msgs);
	ASSERT_EQ(k * SIZE, kt_stat(self->fd).bytes);
	ASSERT_TRUE(batch_queued(self->fd, 0, k));
}

/* ---- sending ---- */

TEST_F(fault, p03_a_payload_that_cannot_be_read)
{
	for (unsigned int k = 0; k <= LAST; k++) {
		/* from its first byte on, or from the middle */
		for (unsigned int before = 0; before <= SIZE / 2; before += SIZE / 2) {
			self->send.base = kt_ptr(self->hole) - k * SIZE - before;
			memcpy(self->hole - k * SIZE - before, self->out->buf, k * SIZE + before);
			expect_sent(_metadata, self, k, -EFAULT);
		}
	}
}

TEST_F(fault, p03_a_head_that_cannot_be_read)
{
	const size_t size = sizeof(struct kipc_batch_msg);

	for (unsigned int k = 0; k <= LAST; k++) {
		for (size_t before = 0; before < size; before += size - 1) {
			self->send.msgs = kt_ptr(self->hole) - k * size - before;
			memcpy(self->hole - k * size - before, self->out->msgs,
			       k * size + before);
			expect_sent(_metadata, self, k, -EFAULT);
		}
	}
}

TEST_F(fault, p03_a_head_that_is_not_valid)
{
	static const struct kipc_batch_msg bad[] = {
		{ .size = SIZE, .prio = KIPC_PRIO_MAX + 1 },
		{ .size = SIZE, .prio = ~0U },
		{ .size = SIZE, .pad = 1 },
		{ .size = SIZE, .pad = 1U << 31 },
		{ .size = 1ULL << 63 },
		{ .size = (1ULL << 63) - 1 },
		{ .size = ~0ULL },
		{ .size = ~0ULL - 7 },
		{ .size = BATCH_ROOM },
	};

	for (unsigned int k = 0; k <= LAST; k++) {
		const struct kipc_batch_msg good = self->out->msgs[k];

		for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
			self->out->msgs[k] = bad[i];
			expect_sent(_metadata, self, k, -EINVAL);
		}
		self->out->msgs[k] = good;
	}
}

/* The buffer ends before message k does: by one byte, or long before */
TEST_F(fault, p03_a_buffer_that_is_too_short)
{
	for (unsigned int k = 0; k <= LAST; k++) {
		for (size_t less = 1; less <= SIZE; less++) {
			self->send.len = (k + 1) * SIZE - less;
			expect_sent(_metadata, self, k, -EINVAL);
		}
	}
	/* to the byte it is enough */
	self->send.len = MANY * SIZE;
	self->out->msgs[MANY - 1].size = SIZE - 5;
	self->send.len -= 5;
	kt_fill(self->out->buf + (MANY - 1) * SIZE, SIZE, MANY - 1);
	EXPECT_EQ(MANY, kt_op_send_batch(self->fd, &self->send));
	EXPECT_TRUE(batch_queued(self->fd, 0, MANY));
	/* and for messages without bytes always */
	for (unsigned int i = 0; i < MANY; i++)
		self->out->msgs[i].size = 0;
	self->send.len = 0;
	self->send.base = kt_ptr(self->hole);
	EXPECT_EQ(MANY, kt_op_send_batch(self->fd, &self->send));
	EXPECT_TRUE(batch_queued(self->fd, 0, MANY));
}

/* Too large for the endpoint: said of the first even if it could not be read */
TEST_F(fault, p03_a_message_that_is_too_large)
{
	self->send.len = BATCH_ROOM;
	for (unsigned int k = 0; k <= LAST; k++) {
		const struct kipc_batch_msg good = self->out->msgs[k];

		self->out->msgs[k].size = MAX + 1;
		expect_sent(_metadata, self, k, -EMSGSIZE);
		self->out->msgs[k] = good;
	}
	self->out->msgs[0].size = MAX + 1;
	self->send.base = kt_ptr(self->hole);
	EXPECT_EQ(-EMSGSIZE, kt_op_send_batch(self->fd, &self->send));
	self->send.base = 0;
	self->send.flags = KIPC_NONBLOCK;
	EXPECT_EQ(-EMSGSIZE, kt_op_send_batch(self->fd, &self->send));
}

TEST_F(fault, p03_nothing_of_a_malformed_batch_is_sent)
{
	struct kipc_op_send_batch good = self->send, *op = &self->send;
	static const uint32_t counts[] = { 0, KIPC_BATCH_MAX + 1, 1U << 31, ~0U };
	const uint32_t known = KIPC_NONBLOCK | KIPC_REALTIME | KIPC_NORESTART;

	for (unsigned int i = 0; i < ARRAY_SIZE(counts); i++) {
		*op = good;
		op->count = counts[i];
		EXPECT_EQ(-EINVAL, kt_op_send_batch(self->fd, op));
	}
	for (unsigned int bit = 0; bit < 32; bit++) {
		if (known & (1U << bit))
			continue;
		*op = good;
		op->flags = 1U << bit;
		EXPECT_EQ(-EINVAL, kt_op_send_batch(self->fd, op)) TH_LOG("flag %u", bit);
	}
	*op = good;
	op->pad = 1;
	EXPECT_EQ(-EINVAL, kt_op_send_batch(self->fd, op));
	for (unsigned int i = 0; i < 2; i++) {
		*op = good;
		op->reserved[i] = 1ULL << 63;
		EXPECT_EQ(-EINVAL, kt_op_send_batch(self->fd, op));
	}
	*op = good;
	op->len = 1ULL << 63;
	EXPECT_EQ(-EINVAL, kt_op_send_batch(self->fd, op));
	op->len = ~0ULL;
	EXPECT_EQ(-EINVAL, kt_op_send_batch(self->fd, op));
	*op = good;
	op->msgs = 0;
	EXPECT_EQ(-EINVAL, kt_op_send_batch(self->fd, op));
	op->msgs = 0xffff888000000000ULL;
	EXPECT_EQ(-EFAULT, kt_op_send_batch(self->fd, op));
	op->msgs = ~7ULL;
	EXPECT_EQ(-EFAULT, kt_op_send_batch(self->fd, op));
	/* addresses and lengths that meet behind the end of all memory */
	*op = good;
	op->len = (1ULL << 63) - 1;
	op->base = ~0ULL - SIZE;
	EXPECT_EQ(-EFAULT, kt_op_send_batch(self->fd, op));
	op->base = 0xffff888000000000ULL;
	EXPECT_EQ(-EFAULT, kt_op_send_batch(self->fd, op));
	op->base = 0;
	EXPECT_EQ(-EFAULT, kt_op_send_batch(self->fd, op));
	EXPECT_EQ(0, kt_stat(self->fd).refused);
	*op = good;
	op->flags = known;
	EXPECT_EQ(MANY, kt_op_send_batch(self->fd, op));
	EXPECT_TRUE(batch_queued(self->fd, 0, MANY));
}

/* What is wrong with a message is met when it is its turn, not while an earlier one waits */
TEST_F(fault, p03_full_before_the_one_that_is_wrong)
{
	const struct kipc_attr attr = { .max_size = MAX, .max_msgs = 3, .max_bytes = 3 * MAX };
	int fd = kt_private(self->dev, 0, &attr);

	for (unsigned int k = 0; k < 6; k++) {
		self->out->msgs[k].pad = 1;
		ASSERT_EQ(k == 0 ? -EINVAL : k < 3 ? (long)k : 3,
			  kt_op_send_batch(fd, &self->send));
		ASSERT_TRUE(batch_queued(fd, 0, k < 3 ? k : 3));
		self->out->msgs[k].pad = 0;
	}
	close(fd);
}

/* ---- receiving ---- */

/* All of @n messages, from type 0 on, are put into the queue */
static void fill_queue(struct __test_metadata *_metadata, FIXTURE_DATA(fault) *self)
{
	struct kipc_op_send_batch op = self->send;

	ASSERT_EQ(MANY, kt_op_send_batch(self->fd, &op));
}

/* What is wrong with message @k: the first @k are received, the rest is in its place */
static void expect_received(struct __test_metadata *_metadata, FIXTURE_DATA(fault) *self,
			    const char *bytes, const struct kipc_result *results, unsigned int k)
{
	self->recv.base = kt_ptr(bytes);
	self->recv.results = kt_ptr(results);
	fill_queue(_metadata, self);
	ASSERT_EQ(k ? (long)k : -EFAULT, kt_op_recv_batch(self->fd, &self->recv))
		TH_LOG("message %u", k);
	for (unsigned int i = 0; i < k; i++) {
		ASSERT_EQ(i, results[i].type);
		ASSERT_EQ(SIZE, results[i].size);
		ASSERT_EQ(1, results[i].deliveries);
		ASSERT_TRUE(kt_filled(bytes + i * SIZE, SIZE, i));
	}
	ASSERT_EQ(MANY - k, kt_stat(self->fd).msgs);
	ASSERT_EQ((MANY - k) * SIZE, kt_stat(self->fd).bytes);
	ASSERT_TRUE(batch_queued(self->fd, k, MANY - k));
}

TEST_F(fault, p02_a_payload_that_cannot_be_written)
{
	for (unsigned int k = 0; k <= LAST; k++) {
		for (unsigned int before = 0; before <= SIZE / 2; before += SIZE / 2) {
			kt_poison(self->hole - 4096, 4096);
			expect_received(_metadata, self, self->hole - k * SIZE - before,
					self->in->results, k);
		}
	}
}

TEST_F(fault, p02_a_result_that_cannot_be_written)
{
	const size_t size = sizeof(struct kipc_result);

	for (unsigned int k = 0; k <= LAST; k++) {
		for (size_t before = 0; before < size; before += size - 8) {
			kt_poison(self->hole - 4096, 4096);
			expect_received(_metadata, self, self->in->buf,
					(void *)(self->hole - k * size - before), k);
		}
	}
}

/* Not even the size needed can be told: EMSGSIZE all the same */
TEST_F(fault, p02_no_room_and_nowhere_to_tell_it)
{
	fill_queue(_metadata, self);
	self->recv.len = SIZE - 1;
	self->recv.results = kt_ptr(self->hole);
	EXPECT_EQ(-EMSGSIZE, kt_op_recv_batch(self->fd, &self->recv));
	self->recv.flags = KIPC_ANYSIZE;
	EXPECT_EQ(-EMSGSIZE, kt_op_recv_batch(self->fd, &self->recv));
	EXPECT_TRUE(batch_queued(self->fd, 0, MANY));
}

/* Memory that can be read only, from message k on */
TEST_F(fault, p02_read_only_memory)
{
	char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT_NE(MAP_FAILED, (void *)page);
	kt_poison(page, 8192);
	ASSERT_EQ(0, mprotect(page + 4096, 4096, PROT_READ));
	for (unsigned int k = 0; k <= LAST; k += 5)
		expect_received(_metadata, self, page + 4096 - k * SIZE, self->in->results, k);
	EXPECT_TRUE(kt_poisoned(page + 4096, 4096));
}

/* Calls that were claimed and could not be stored: their callers are told nothing yet */
TEST_F(fault, p02_calls_stay_too)
{
	uint64_t calls[MANY];
	struct kipc_result result;

	for (unsigned int k = 1; k <= LAST; k += 6) {
		for (unsigned int i = 0; i < MANY; i++) {
			struct kipc_msg req = { .type = i };

			ASSERT_EQ(0, kipc_rpc_start(self->fd, &req, 0, &calls[i], -1));
		}
		self->recv.results = kt_ptr(self->hole - k * sizeof(struct kipc_result));
		ASSERT_EQ(k, kt_op_recv_batch(self->fd, &self->recv));
		EXPECT_EQ(k, kt_stat(self->fd).calls);
		EXPECT_EQ(MANY - k, kt_stat(self->fd).msgs);
		memcpy(self->in->results, (char *)self->hole - k * sizeof(result),
		       k * sizeof(result));
		for (unsigned int i = 0; i < MANY; i++) {
			if (i == k) {
				self->recv.results = kt_ptr(&self->in->results[k]);
				ASSERT_EQ(MANY - k, kt_op_recv_batch(self->fd, &self->recv));
			}
			ASSERT_EQ(i, self->in->results[i].type);
			ASSERT_EQ(1, self->in->results[i].deliveries);
			ASSERT_EQ(KIPC_RESULT_CALL, self->in->results[i].flags);
			ASSERT_EQ(0, kipc_reply(self->fd, self->in->results[i].token, "x", 0));
			ASSERT_EQ(0, kipc_rpc_finish(self->fd, calls[i], NULL, &result, 0));
		}
	}
}

TEST_F(fault, p02_a_malformed_receive_takes_nothing)
{
	struct kipc_op_recv_batch good = self->recv, *op = &self->recv;
	static const uint32_t counts[] = { 0, KIPC_BATCH_MAX + 1, 1U << 31, ~0U };
	const uint32_t known = KIPC_NONBLOCK | KIPC_REALTIME | KIPC_NORESTART | KIPC_TRUNCATE |
			       KIPC_ANYSIZE | KIPC_NOCALLS | KIPC_TYPE_EQ | KIPC_TYPE_LE |
			       KIPC_TYPE_NE | KIPC_NOFILES | KIPC_NOENT;
	const uint32_t reserved = KIPC_LEASE | KIPC_EVENTS;

	fill_queue(_metadata, self);
	for (unsigned int i = 0; i < ARRAY_SIZE(counts); i++) {
		*op = good;
		op->count = counts[i];
		EXPECT_EQ(-EINVAL, kt_op_recv_batch(self->fd, op));
	}
	for (unsigned int bit = 0; bit < 32; bit++) {
		if (known & (1U << bit))
			continue;
		*op = good;
		op->flags = 1U << bit;
		EXPECT_EQ(reserved & (1U << bit) ? -EOPNOTSUPP : -EINVAL,
			  kt_op_recv_batch(self->fd, op)) TH_LOG("flag %u", bit);
	}
	*op = good;
	op->flags = KIPC_TYPE_EQ | KIPC_TYPE_NE;
	EXPECT_EQ(-EINVAL, kt_op_recv_batch(self->fd, op));
	op->flags = KIPC_TYPE_LE | KIPC_TYPE_NE;
	EXPECT_EQ(-EINVAL, kt_op_recv_batch(self->fd, op));
	op->flags = 0;
	op->type = 1;
	EXPECT_EQ(-EINVAL, kt_op_recv_batch(self->fd, op));
	*op = good;
	op->pad = 1;
	EXPECT_EQ(-EINVAL, kt_op_recv_batch(self->fd, op));
	for (unsigned int i = 0; i < 2; i++) {
		*op = good;
		op->reserved[i] = 1ULL << 63;
		EXPECT_EQ(-EINVAL, kt_op_recv_batch(self->fd, op));
	}
	/* who takes calls must be told of them: a batch has no way without results */
	*op = good;
	op->results = 0;
	EXPECT_EQ(-EINVAL, kt_op_recv_batch(self->fd, op));
	op->flags = KIPC_NOCALLS;
	EXPECT_EQ(-EINVAL, kt_op_recv_batch(self->fd, op));
	op->flags = 0;
	op->results = 0xffff888000000000ULL;
	EXPECT_EQ(-EFAULT, kt_op_recv_batch(self->fd, op));
	op->results = ~7ULL;
	EXPECT_EQ(-EFAULT, kt_op_recv_batch(self->fd, op));
	*op = good;
	op->len = 1ULL << 63;
	EXPECT_EQ(-EINVAL, kt_op_recv_batch(self->fd, op));
	op->len = ~0ULL;
	EXPECT_EQ(-EINVAL, kt_op_recv_batch(self->fd, op));
	op->len = (1ULL << 63) - 1;
	op->base = ~0ULL - SIZE;
	EXPECT_EQ(-EFAULT, kt_op_recv_batch(self->fd, op));
	op->base = 0xffff888000000000ULL;
	EXPECT_EQ(-EFAULT, kt_op_recv_batch(self->fd, op));
	op->base = 0;
	EXPECT_EQ(-EFAULT, kt_op_recv_batch(self->fd, op));
	/* a length that nobody can have, and memory that is there */
	op->base = kt_ptr(self->in->buf);
	EXPECT_EQ(MANY, kt_op_recv_batch(self->fd, op));
	for (unsigned int i = 0; i < MANY; i++)
		EXPECT_TRUE(kt_filled(self->in->buf + i * SIZE, SIZE, i));
}

/* Nothing behind the results and the bytes that are told of is touched */
TEST_F(fault, what_is_written)
{
	for (unsigned int n = 1; n <= MANY; n++) {
		fill_queue(_metadata, self);
		kt_poison(self->in->results, sizeof(self->in->results));
		kt_poison(self->in->buf, BATCH_ROOM);
		self->recv.count = n;
		ASSERT_EQ(n, kt_op_recv_batch(self->fd, &self->recv));
		ASSERT_TRUE(kt_poisoned(&self->in->results[n],
					(KIPC_BATCH_MAX + 1 - n) * sizeof(struct kipc_result)));
		self->in->len = BATCH_ROOM;
		ASSERT_TRUE(batch_intact(self->in, n));
		ASSERT_TRUE(batch_queued(self->fd, n, MANY - n));
	}
}

TEST_HARNESS_MAIN
