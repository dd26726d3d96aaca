// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Calls that are answered later: when a name changes, or when the time is over that
 * their callers gave. A caller may have gone without a word, so that times are short
 * (NAMED_WAIT_MAX_MS) and each user has few.
 */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "named.h"

#define WAITERS_MAX	4096
#define BUCKETS		4096	/* a power of 2 */
#define NS_PER_MS	1000000U
#define SWEEP		64		/* waiters that are looked at for one that comes */

struct entry {
	struct waiter waiter;
	uint32_t next;		/* of its bucket, or of those that are free */
	uint32_t at;		/* in the heap */
	bool used;
};

static struct entry entry[WAITERS_MAX];
static uint32_t bucket[BUCKETS];
static uint32_t heap[WAITERS_MAX];	/* by time, the first one first */
static uint32_t count, unused;
static bool ready;

uint64_t now_ns(void)
{
	struct timespec now = { 0 };

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

static void init(void)
{
	memset(bucket, 0xff, sizeof(bucket));
	for (uint32_t i = 0; i < WAITERS_MAX; i++)
		entry[i].next = i + 1 < WAITERS_MAX ? i + 1 : NONE;
	ready = true;
}

static void heap_put(uint32_t at, uint32_t which)
{
	heap[at] = which;
	entry[which].at = at;
}

static bool sooner(uint32_t a, uint32_t b)
{
	return entry[a].waiter.end < entry[b].waiter.end;
}

static void heap_up(uint32_t at)
{
	uint32_t which = heap[at];

	while (at > 0) {
		uint32_t above = (at - 1) / 2;

		if (!sooner(which, heap[above]))
			break;
		heap_put(at, heap[above]);
		at = above;
	}
	heap_put(at, which);
}

static void heap_down(uint32_t at)
{
	uint32_t which = heap[at];

	for (;;) {
		uint32_t below = 2 * at + 1;

		if (below + 1 < count && sooner(heap[below + 1], heap[below]))
			below++;
		if (below >= count || !sooner(heap[below], which))
			break;
		heap_put(at, heap[below]);
		at = below;
	}
	heap_put(at, which);
}

static void heap_remove(uint32_t which)
{
	uint32_t at = entry[which].at;

	count--;
	if (at == count)
		return;
	heap_put(at, heap[count]);
	heap_up(at);
	heap_down(entry[heap[at]].at);
}

static uint32_t *bucket_of(const char *name)
{
	return &bucket[name_hash(name) % BUCKETS];
}

static void drop(uint32_t which)
{
	uint32_t *at = bucket_of(entry[which].waiter.name);

	while (*at != which)
		at = &entry[*at].next;
	*at = entry[which].next;
	heap_remove(which);
	entry[which].used = false;
	entry[which].next = unused;
	unused = which;
}

/*
 * Drops those of a user who have gone, of a few that are looked at: who is at his limit
 * may ask often.
 */
static void sweep(int endpoint, uint32_t uid)
{
	static uint32_t at;		/* where the last one ended */
	unsigned int looked = 0;

	for (uint32_t i = 0; i < WAITERS_MAX && looked < SWEEP; i++) {
		uint32_t which = at;

		at = (at + 1) % WAITERS_MAX;
		if (!entry[which].used || entry[which].waiter.who.uid != uid)
			continue;
		looked++;
		if (kipc_wanted(endpoint, entry[which].waiter.token)) {
			kipc_reply_error(endpoint, entry[which].waiter.token, ECANCELED);
			drop(which);
		}
	}
}

static uint32_t waiting(uint32_t uid)
{
	uint32_t own = 0;

	for (uint32_t i = 0; i < count; i++)
		own += entry[heap[i]].waiter.who.uid == uid;
	return own;
}

/* As for names: a user may have half of what others leave */
static uint32_t share(uint32_t own)
{
	uint32_t left = WAITERS_MAX - count + own;

	return left / 2 ? left / 2 : 1;
}

int waiters_add(int endpoint, const struct waiter *waiter)
{
	uint32_t which, own, *at;

	if (!ready)
		init();
	own = waiting(waiter->who.uid);
	if (own >= share(own)) {
		sweep(endpoint, waiter->who.uid);
		own = waiting(waiter->who.uid);
		if (own >= share(own))
			return -EDQUOT;
	}
	if (unused == NONE)
		return -ENOSPC;
	which = unused;
	unused = entry[which].next;
	entry[which].waiter = *waiter;
	entry[which].used = true;
	at = bucket_of(waiter->name);
	entry[which].next = *at;
	*at = which;
	heap[count] = which;
	heap_up(count++);
	return 0;
}

void waiters_name_changed(int endpoint, const char *name)
{
	uint32_t which;

	if (!ready)
		return;
	which = *bucket_of(name);
	while (which != NONE) {
		uint32_t next = entry[which].next;

		if (!strcmp(entry[which].waiter.name, name) &&
		    request_answer(endpoint, &entry[which].waiter))
			drop(which);
		which = next;
	}
}

void waiters_expire(int endpoint)
{
	uint64_t now = now_ns();

	while (count && entry[heap[0]].waiter.end <= now) {
		uint32_t which = heap[0];

		kipc_reply_error(endpoint, entry[which].waiter.token, ETIMEDOUT);
		drop(which);
	}
}

void waiters_ask_again(int endpoint)
{
	while (count) {
		uint32_t which = heap[count - 1];

		kipc_reply_error(endpoint, entry[which].waiter.token, ERESTART);
		drop(which);
	}
}

int waiters_timeout_ms(void)
{
	uint64_t now = now_ns(), end;

	if (!count)
		return -1;
	end = entry[heap[0]].waiter.end;
	/* Not before its time */
	return end <= now ? 0 : (int)((end - now + NS_PER_MS - 1) / NS_PER_MS);
}
