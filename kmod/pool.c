// SPDX-License-Identifier: GPL-2.0-only
/* See pool.h. */
#include <linux/mm.h>
#include <linux/slab.h>

#include "call.h"
#include "limits.h"
#include "message.h"
#include "pool.h"

/**
 * struct kipc_kind_info - what bodies of a kind are made of
 * @name: of its cache
 * @size: bytes in all
 * @inside: where the memory for small payloads begins
 * @cache: where they come from
 */
struct kipc_kind_info {
	const char *name;
	unsigned int size;
	unsigned int inside;
	struct kmem_cache *cache;
};

static struct kipc_kind_info kipc_kinds[KIPC_KINDS] = {
	[KIPC_KIND_MSG] = { "kipc_msg", sizeof(struct kipc_msg),
			    offsetof(struct kipc_msg, inline_data) },
	[KIPC_KIND_CALL] = { "kipc_call", sizeof(struct kipc_call),
			     offsetof(struct kipc_call, msg.inline_data) },
	[KIPC_KIND_REPLY] = { "kipc_reply", sizeof(struct kipc_reply),
			      offsetof(struct kipc_reply, inline_data) },
};

static_assert(!offsetof(struct kipc_msg, body));
static_assert(!offsetof(struct kipc_call, msg));
static_assert(!offsetof(struct kipc_reply, body));

static __always_inline void *kipc_body_inside(struct kipc_body *body, enum kipc_kind kind)
{
	switch (kind) {
	case KIPC_KIND_MSG:
		return container_of(body, struct kipc_msg, body)->inline_data;
	case KIPC_KIND_CALL:
		return container_of(body, struct kipc_call, msg.body)->msg.inline_data;
	default:
		return container_of(body, struct kipc_reply, body)->inline_data;
	}
}

struct kipc_pool *kipc_pool_new(void)
{
	struct kipc_pool *pool = kzalloc(sizeof(*pool), GFP_KERNEL_ACCOUNT);

	if (!pool)
		return NULL;
	refcount_set(&pool->ref, 1);
	spin_lock_init(&pool->lock);
	return pool;
}

void kipc_pool_put(struct kipc_pool *pool)
{
	if (refcount_dec_and_test(&pool->ref))
		kfree(pool);
}

/* A body that is counted becomes a spare: false if the pool was closed */
static bool kipc_spares_push(struct kipc_pool *pool, enum kipc_kind kind, struct kipc_body *body)
{
	struct kipc_body *first = READ_ONCE(pool->spares[kind]);

	do {
		if (unlikely(first == KIPC_POOL_CLOSED))
			return false;
		body->next = first;
	} while (unlikely(!try_cmpxchg(&pool->spares[kind], &first, body)));
	return true;
}

static noinline void kipc_body_destroy(struct kipc_body *body, enum kipc_kind kind)
{
	struct kipc_pool *pool = body->pool;

	kmem_cache_free(kipc_kinds[kind].cache, body);
	kipc_pool_put(pool);
}

/* While we had the rest others were put there */
static noinline void kipc_spares_merge(struct kipc_pool *pool, enum kipc_kind kind,
				       struct kipc_body *rest)
{
	struct kipc_body *next;

	for (; rest; rest = next) {
		next = rest->next;
		/* Not closed: it is our file's */
		WARN_ON_ONCE(!kipc_spares_push(pool, kind, rest));
	}
}

static struct kipc_body *kipc_spares_pop(struct kipc_pool *pool, enum kipc_kind kind)
{
	struct kipc_body *body = xchg(&pool->spares[kind], NULL);

	if (unlikely(!body || WARN_ON_ONCE(body == KIPC_POOL_CLOSED)))
		return NULL;
	atomic_dec(&pool->nr_spares[kind]);
	if (body->next && unlikely(cmpxchg(&pool->spares[kind], NULL, body->next)))
		kipc_spares_merge(pool, kind, body->next);
	return body;
}

void kipc_pool_close(struct kipc_pool *pool)
{
	struct kipc_body *body, *next;
	unsigned int kind, i;

	/* From then on nothing is put into it */
	spin_lock(&pool->lock);
	pool->closed = true;
	spin_unlock(&pool->lock);
	for (i = 0; i < KIPC_SPARE_SIZES; i++)
		kipc_buffers_free(&pool->buffers[i]);
	for (kind = 0; kind < KIPC_KINDS; kind++) {
		for (body = xchg(&pool->spares[kind], KIPC_POOL_CLOSED); body; body = next) {
			next = body->next;
			kipc_body_destroy(body, kind);
		}
	}
}

static noinline struct kipc_body *kipc_body_alloc(struct kipc_pool *pool, enum kipc_kind kind)
{
	struct kipc_body *body = kmem_cache_alloc(kipc_kinds[kind].cache, GFP_KERNEL);

	if (!body)
		return NULL;
	refcount_inc(&pool->ref);
	body->pool = pool;
	return body;
}

/* What a payload needs, as the allocator would round it anyhow */
static size_t kipc_buffer_size(size_t size)
{
	return size <= KIPC_SPARE_BUFFER_MAX ? roundup_pow_of_two(size) : size;
}

static struct hlist_head *kipc_pool_buffers(struct kipc_pool *pool, size_t size)
{
	return &pool->buffers[ilog2(size / KIPC_SPARE_BUFFER_MIN)];
}

/* One of this size, or NULL */
static void *kipc_pool_take_buffer(struct kipc_pool *pool, size_t size)
{
	struct hlist_head *buffers = kipc_pool_buffers(pool, size);
	struct hlist_node *buffer;

	lockdep_assert_held(&pool->lock);
	buffer = buffers->first;
	if (buffer) {
		__hlist_del(buffer);
		pool->spare_bytes -= size;
	}
	return buffer;
}

/*
 * Is there room for one of @size? Else some of the largest have to go, so that it is
 * the sizes last used that are kept.
 */
static bool kipc_pool_has_room(struct kipc_pool *pool, size_t size, struct hlist_head *rest)
{
	size_t other = KIPC_SPARE_BUFFER_MAX;
	unsigned int dropped = 0;

	while (pool->spare_bytes + size > KIPC_SPARE_BYTES && dropped < KIPC_BATCH) {
		struct hlist_node *buffer = kipc_pool_take_buffer(pool, other);

		if (buffer) {
			hlist_add_head(buffer, rest);
			dropped++;
		} else {
			other /= 2;
		}
	}
	return pool->spare_bytes + size <= KIPC_SPARE_BYTES;
}

static noinline struct kipc_body *kipc_body_large(struct kipc_body *body, enum kipc_kind kind,
						  size_t size)
{
	struct kipc_pool *pool = body->pool;

	body->buffer.size = kipc_buffer_size(size);
	body->buffer.data = NULL;
	if (body->buffer.size <= KIPC_SPARE_BUFFER_MAX) {
		spin_lock(&pool->lock);
		body->buffer.data = kipc_pool_take_buffer(pool, body->buffer.size);
		spin_unlock(&pool->lock);
	}
	if (!body->buffer.data)
		body->buffer.data = kvmalloc(body->buffer.size, GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (body->buffer.data)
		return body;
	body->buffer.size = 0;
	kipc_body_free(body, kind);
	return NULL;
}

struct kipc_body *kipc_body_new(struct kipc_pool *pool, enum kipc_kind kind, size_t size)
{
	struct kipc_body *body = kipc_spares_pop(pool, kind);

	if (unlikely(!body)) {
		body = kipc_body_alloc(pool, kind);
		if (!body)
			return NULL;
	}
	if (unlikely(size > KIPC_INLINE_SIZE))
		return kipc_body_large(body, kind, size);
	body->buffer.data = kipc_body_inside(body, kind);
	body->buffer.size = KIPC_INLINE_SIZE;
	return body;
}

/* Into the pool, if it fits there */
static void kipc_pool_keep_buffer(struct kipc_pool *pool, const struct kipc_buffer *buffer,
				  struct hlist_head *rest)
{
	struct hlist_head *buffers = rest;

	lockdep_assert_held(&pool->lock);
	if (!pool->closed && READ_ONCE(kipc_spares_max) &&
	    buffer->size <= KIPC_SPARE_BUFFER_MAX &&
	    kipc_pool_has_room(pool, buffer->size, rest)) {
		buffers = kipc_pool_buffers(pool, buffer->size);
		pool->spare_bytes += buffer->size;
	}
	hlist_add_head(buffer->data, buffers);
}

static noinline void kipc_buffer_spend(struct kipc_pool *pool, struct kipc_buffer *buffer,
				       struct hlist_head *rest)
{
	spin_lock(&pool->lock);
	kipc_pool_keep_buffer(pool, buffer, rest);
	spin_unlock(&pool->lock);
	*buffer = (struct kipc_buffer){};
}

void kipc_body_spend(struct kipc_body *body, struct hlist_head *rest)
{
	/* Buffers of their own are larger */
	if (unlikely(body->buffer.size > KIPC_INLINE_SIZE))
		kipc_buffer_spend(body->pool, &body->buffer, rest);
}

noinline void kipc_buffers_free(struct hlist_head *buffers)
{
	struct hlist_node *buffer, *next;

	for (buffer = buffers->first; buffer; buffer = next) {
		next = buffer->next;
		kvfree(buffer);
	}
}

static noinline void kipc_buffer_free(struct kipc_body *body)
{
	HLIST_HEAD(rest);

	kipc_buffer_spend(body->pool, &body->buffer, &rest);
	kipc_buffers_free(&rest);
}

void kipc_body_free(struct kipc_body *body, enum kipc_kind kind)
{
	struct kipc_pool *pool = body->pool;

	if (unlikely(body->buffer.size > KIPC_INLINE_SIZE))
		kipc_buffer_free(body);
	/* Those that come at the same time may be a few too many */
	if (likely(atomic_read(&pool->nr_spares[kind]) < READ_ONCE(kipc_spares_max))) {
		atomic_inc(&pool->nr_spares[kind]);
		if (likely(kipc_spares_push(pool, kind, body)))
			return;
	}
	kipc_body_destroy(body, kind);
}

static void kipc_kinds_exit(int kind)
{
	while (kind--)
		kmem_cache_destroy(kipc_kinds[kind].cache);
}

int kipc_pool_init(void)
{
	int kind;

	for (kind = 0; kind < KIPC_KINDS; kind++) {
		struct kipc_kind_info *info = &kipc_kinds[kind];

		info->cache = kmem_cache_create_usercopy(info->name, info->size, 0,
							 SLAB_ACCOUNT | SLAB_HWCACHE_ALIGN,
							 info->inside, KIPC_INLINE_SIZE, NULL);
		if (!info->cache) {
			kipc_kinds_exit(kind);
			return -ENOMEM;
		}
	}
	return 0;
}

void kipc_pool_exit(void)
{
	kipc_kinds_exit(KIPC_KINDS);
}
