/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the tests of batches share, on top of common.h.
 *
 * A message's type says what its bytes are, so that whoever receives it can tell
 * whether they are all there, and those of no other.
 */
#ifndef KIPC_SELFTESTS_BATCH_COMMON_H
#define KIPC_SELFTESTS_BATCH_COMMON_H

#include "common.h"

#define BATCH_ROOM	65536U
#define BATCH_ROUND	16	/* so many messages at a time are the kernel's own affair */

/* A batch to send, or one that is received; in shared memory, as jobs need it */
struct batch {
	int fd;
	uint32_t endpoint;
	uint32_t flags;
	uint64_t type;			/* to receive */
	int timeout;
	unsigned int count;		/* messages to send, or most to receive */
	size_t len;			/* bytes of @buf that the kernel is told of */
	struct kipc_batch_msg msgs[KIPC_BATCH_MAX];
	struct kipc_result results[KIPC_BATCH_MAX + 1];
	char buf[BATCH_ROOM];
};

static inline struct batch *batch_new(int fd)
{
	struct batch *b = kt_new(struct batch);

	b->fd = fd;
	b->timeout = -1;
	return b;
}

static inline void batch_clear(struct batch *b)
{
	b->count = 0;
	b->len = 0;
}

/* One more to send */
static inline void batch_add(struct batch *b, uint64_t type, uint32_t prio, size_t size)
{
	kt_need(b->count < KIPC_BATCH_MAX && b->len + size <= BATCH_ROOM);
	b->msgs[b->count++] = (struct kipc_batch_msg){ .type = type, .size = size, .prio = prio };
	kt_fill(b->buf + b->len, size, (unsigned int)type);
	b->len = kipc_batch_next(b->len, size);
}

/* @n messages, of the types from @type on and with as many bytes as it says */
static inline void batch_fill(struct batch *b, uint64_t type, unsigned int n)
{
	batch_clear(b);
	for (unsigned int i = 0; i < n; i++)
		batch_add(b, type + i, 0, (type + i) % 100);
}

/* These are functions of jobs, too. */
static inline long batch_send(void *arg)
{
	struct batch *b = arg;
	struct iovec bytes = { b->buf, b->len };
	struct kipc_msg batch = {
		.flags = b->flags, .endpoint = b->endpoint, .iov = &bytes, .iovcnt = 1,
	};

	return kipc_send_batch(b->fd, &batch, b->msgs, b->count, b->timeout);
}

static inline long batch_recv(void *arg)
{
	struct batch *b = arg;
	struct iovec bytes = { b->buf, b->len };
	struct kipc_msg batch = {
		.type = b->type, .flags = b->flags, .endpoint = b->endpoint, .iov = &bytes,
		.iovcnt = 1,
	};

	kt_poison(b->buf, sizeof(b->buf));
	kt_poison(b->results, sizeof(b->results));
	return kipc_recv_batch(b->fd, &batch, b->results, b->count, b->timeout);
}

/* Up to @count of those that are there, with all room there is */
static inline long batch_take(struct batch *b, unsigned int count)
{
	b->timeout = 0;
	b->count = count;
	b->len = BATCH_ROOM;
	return batch_recv(b);
}

/* Are all bytes of the @n that were received where they should be, and none elsewhere? */
static inline bool batch_intact(const struct batch *b, long n)
{
	size_t at = 0;

	for (long i = 0; i < n; i++) {
		const struct kipc_result *result = &b->results[i];
		size_t end = at + result->size;

		if (result->deliveries != 1 || (result->flags & ~KIPC_RESULT_CALL) ||
		    !!(result->flags & KIPC_RESULT_CALL) != !!result->token || end > b->len ||
		    !kt_filled(b->buf + at, result->size, (unsigned int)result->type)) {
			kt_complain("message %ld of %ld, type %llu, size %llu, is not whole", i, n,
				    (unsigned long long)result->type,
				    (unsigned long long)result->size);
			return false;
		}
		at = kipc_batch_next(at, result->size);
		if (at <= BATCH_ROOM && !kt_poisoned(b->buf + end, at - end))
			return false;
	}
	return at >= BATCH_ROOM || kt_poisoned(b->buf + at, BATCH_ROOM - at);
}

/* Does the library tell nothing of those behind the @n? */
static inline bool batch_untold(const struct batch *b, long n)
{
	static const struct kipc_result none;

	for (unsigned int i = n > 0 ? (unsigned int)n : 0; i < b->count; i++) {
		if (memcmp(&b->results[i], &none, sizeof(none))) {
			kt_complain("result %u of a batch of %ld tells something", i, n);
			return false;
		}
	}
	return kt_poisoned(&b->results[b->count], sizeof(none));
}

/* Whole messages of the types from @type on, @n of them, and nothing else */
static inline bool batch_got(const struct batch *b, long n, uint64_t type)
{
	for (long i = 0; i < n; i++) {
		if (b->results[i].type != type + (uint64_t)i) {
			kt_complain("message %ld of %ld is %llu instead of %llu", i, n,
				    (unsigned long long)b->results[i].type,
				    (unsigned long long)(type + (uint64_t)i));
			return false;
		}
	}
	return batch_intact(b, n) && batch_untold(b, n);
}

/* The queue has just these, in this order, and gives them up one by one */
static inline bool batch_queued(int fd, uint64_t type, unsigned int n)
{
	struct kipc_result result;
	char buf[8192];
	long ret;

	for (unsigned int i = 0; i < n; i++) {
		ret = kt_recv(fd, 0, 0, 0, buf, sizeof(buf), &result);
		if (ret < 0 || result.type != type + i || result.deliveries != 1 ||
		    !kt_filled(buf, (size_t)ret, (unsigned int)result.type)) {
			kt_complain("instead of message %u there is %ld, type %llu", i, ret,
				    (unsigned long long)result.type);
			return false;
		}
	}
	ret = kt_recv(fd, 0, 0, 0, buf, sizeof(buf), &result);
	if (ret != -EAGAIN)
		kt_complain("there are more than %u messages", n);
	return ret == -EAGAIN && kt_quiet(fd);
}

#endif
