/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * DOC: pools
 *
 * Messages, calls and replies begin with a *body*, which has memory for their
 * payload. When one has ended, its body goes back to the pool it came from, that
 * of the file that made it, and is that file's next: who goes on sending neither
 * allocates nor has fresh memory zeroed. So memory stays with the memory group
 * that it was charged to.
 *
 * A body belongs to one pool, which it holds, all its life. A pool keeps a few
 * bodies of each kind (parameter spares_max), and, up to KIPC_SPARE_BYTES in all,
 * payload buffers that are larger than what a body has inside. It closes with the
 * struct file; what comes back later is freed. What was in a body or a buffer is not
 * erased: nothing of it is read before it has been written anew.
 *
 * Spare bodies of a kind are a stack without a lock. Who wants one takes the whole stack,
 * keeps the first and puts the others back, so that nobody looks into a body that
 * somebody else may have taken. Who comes in between finds nothing and allocates one.
 *
 * The lock of a pool, which is for the buffers, is the innermost.
 */
#ifndef _KIPC_POOL_H
#define _KIPC_POOL_H

#include <linux/list.h>
#include <linux/log2.h>
#include <linux/refcount.h>
#include <linux/spinlock.h>
#include <linux/types.h>

/* Payloads up to this size need no memory of their own */
#define KIPC_INLINE_SIZE	128

/* The least and the largest buffer that a pool keeps, powers of two; bytes in all */
#define KIPC_SPARE_BUFFER_MIN	256
#define KIPC_SPARE_BUFFER_MAX	65536
#define KIPC_SPARE_BYTES	(256 << 10)
#define KIPC_SPARE_SIZES	(ilog2(KIPC_SPARE_BUFFER_MAX / KIPC_SPARE_BUFFER_MIN) + 1)

/* What has a body */
enum kipc_kind {
	KIPC_KIND_MSG,
	KIPC_KIND_CALL,
	KIPC_KIND_REPLY,
	KIPC_KINDS
};

/**
 * struct kipc_buffer - memory for a payload
 * @data: the memory, or NULL
 * @size: how much
 */
struct kipc_buffer {
	void *data;
	size_t size;
};

/**
 * struct kipc_body - what messages, calls and replies have in common; their first member
 * @pool: where it goes back to, held; constant
 * @next: the next one in pool->spares while nobody uses it
 * @buffer: memory for the payload: inside, or of its own, or NULL once it is spent
 */
struct kipc_body {
	struct kipc_pool *pool;
	struct kipc_body *next;
	struct kipc_buffer buffer;
};

/**
 * struct kipc_pool - a file's spare bodies
 * @ref: one of the file's state, one of each body
 * @spares: the bodies, by kind: the first, or NULL; KIPC_POOL_CLOSED in the end
 * @nr_spares: how many, by kind
 * @lock: protects what follows
 * @closed: nothing is kept any more
 * @spare_bytes: in @buffers
 * @buffers: spare buffers, by size; each begins with its link
 */
struct kipc_pool {
	refcount_t ref;
	struct kipc_body *spares[KIPC_KINDS];
	atomic_t nr_spares[KIPC_KINDS];
	spinlock_t lock;		/* protects what follows; innermost */
	bool closed;
	unsigned int spare_bytes;
	struct hlist_head buffers[KIPC_SPARE_SIZES];
};

struct kipc_pool *kipc_pool_new(void);
/* What is in it is freed; nothing may be taken from it, or put into it, any more */
void kipc_pool_close(struct kipc_pool *pool);
void kipc_pool_put(struct kipc_pool *pool);

#define KIPC_POOL_CLOSED ((struct kipc_body *)1)

/* A body with room for @size bytes, or NULL. May sleep. */
struct kipc_body *kipc_body_new(struct kipc_pool *pool, enum kipc_kind kind, size_t size);
/* Back to its pool. May sleep. */
void kipc_body_free(struct kipc_body *body, enum kipc_kind kind);

/*
 * The payload is not needed any more. What the pool does not keep is added to @rest,
 * to be freed by kipc_buffers_free() where that is allowed. Does not sleep.
 */
void kipc_body_spend(struct kipc_body *body, struct hlist_head *rest);
/* May sleep */
void kipc_buffers_free(struct hlist_head *buffers);

int kipc_pool_init(void);
void kipc_pool_exit(void);

#endif /* _KIPC_POOL_H */
