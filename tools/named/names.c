// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The registered names: slots in the state, found by a hash table with chains.
 *
 * The hash is keyed with a random number (SipHash), as clients choose the names.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "named.h"

#define BUCKETS		(2 * NAMES_MAX)	/* a power of 2 */

static uint32_t bucket[BUCKETS];
static uint32_t unused[NAMES_MAX];	/* slots, a stack */
static uint32_t unused_count;
static uint32_t count, limit;
static uint32_t top;			/* no slot from here on was ever used */
static uint64_t key[2];

/* How many names a user has: open addressing; a user who has had one keeps the place */
#define USERS		(2 * NAMES_MAX)	/* a power of 2 */
static struct user {
	uint32_t uid;
	uint32_t names;		/* and 1: the place is taken */
} *user;

static uint64_t rotate(uint64_t value, int bits)
{
	return value << bits | value >> (64 - bits);
}

static void sip_round(uint64_t *v)
{
	v[0] += v[1];
	v[1] = rotate(v[1], 13) ^ v[0];
	v[0] = rotate(v[0], 32);
	v[2] += v[3];
	v[3] = rotate(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = rotate(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = rotate(v[1], 17) ^ v[2];
	v[2] = rotate(v[2], 32);
}

/* SipHash-1-3 */
uint32_t name_hash(const char *name)
{
	uint64_t v[4] = { key[0] ^ 0x736f6d6570736575ULL, key[1] ^ 0x646f72616e646f6dULL,
			  key[0] ^ 0x6c7967656e657261ULL, key[1] ^ 0x7465646279746573ULL };
	size_t size = strlen(name);

	for (size_t at = 0; at <= size; at += sizeof(uint64_t)) {
		uint64_t word = 0;

		memcpy(&word, name + at, size - at < sizeof(word) ? size - at : sizeof(word));
		if (size - at < sizeof(word))
			word |= (uint64_t)size << 56;
		v[3] ^= word;
		sip_round(v);
		v[0] ^= word;
	}
	v[2] ^= 0xff;
	for (int i = 0; i < 3; i++)
		sip_round(v);
	return (uint32_t)(v[0] ^ v[1] ^ v[2] ^ v[3]);
}

/* Words of letters, digits, - and _, with dots between them */
bool name_valid(const char *name)
{
	static const char allowed[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";

	for (;;) {
		size_t word = strspn(name, allowed);

		if (!word)
			return false;
		name += word;
		if (!*name)
			return true;
		if (*name++ != '.')
			return false;
	}
}

void names_init(uint32_t most)
{
	if (getrandom(key, sizeof(key), 0) != sizeof(key))
		fail("random numbers: %s", strerror(errno));
	limit = most < NAMES_MAX ? most : NAMES_MAX;
	user = calloc((size_t)USERS, sizeof(*user));
	if (!user)
		fail("memory: %s", strerror(errno));
	memset(bucket, 0xff, sizeof(bucket));
	for (uint32_t slot = NAMES_MAX; slot-- > 0;)
		if (!state->names[slot].registration)
			unused[unused_count++] = slot;
}

/*
 * The place of a user. Places of users without names are taken by the next one, as a
 * chain of probes is never cut: there are more places than names.
 */
static struct user *user_of(uint32_t uid)
{
	uint32_t at = (uint32_t)((uid ^ key[0]) * 0x9e3779b97f4a7c15ULL >> 32) % USERS;
	struct user *vacant = NULL;

	for (uint32_t i = 0; i < USERS; i++, at = (at + 1) % USERS) {
		if (!user[at].names)
			return vacant ? vacant : &user[at];
		if (user[at].uid == uid)
			return &user[at];
		if (user[at].names == 1 && !vacant)
			vacant = &user[at];
	}
	if (!vacant)
		fail("more users than names");
	return vacant;
}

static struct user *user_take(uint32_t uid)
{
	struct user *taken = user_of(uid);

	if (!taken->names || taken->uid != uid) {
		taken->uid = uid;
		taken->names = 1;
	}
	return taken;
}

static void chain_in(uint32_t slot)
{
	struct registration *name = &state->names[slot];

	name->hash = name_hash(name->name);
	name->next = bucket[name->hash % BUCKETS];
	bucket[name->hash % BUCKETS] = slot;
	user_take(name->uid)->names++;
	count++;
	if (top <= slot)
		top = slot + 1;
}

static void chain_out(uint32_t slot)
{
	struct registration *name = &state->names[slot];
	uint32_t *at = &bucket[name->hash % BUCKETS];

	while (*at != slot)
		at = &state->names[*at].next;
	*at = name->next;
	user_of(name->uid)->names--;
	count--;
}

uint32_t names_find(const char *name)
{
	uint32_t hash = name_hash(name);
	uint32_t slot = bucket[hash % BUCKETS];

	while (slot != NONE) {
		const struct registration *found = &state->names[slot];

		if (found->hash == hash && !strcmp(found->name, name))
			break;
		slot = found->next;
	}
	return slot;
}

uint32_t names_count(void)
{
	return count;
}

uint32_t names_top(void)
{
	return top;
}

bool names_ended(uint32_t slot)
{
	struct pollfd poll_it = { .fd = state->names[slot].fd };

	return poll(&poll_it, 1, 0) > 0 && poll_it.revents & (POLLHUP | POLLERR | POLLNVAL);
}

/*
 * A user who is not root may have half of what is free: nobody alone can use up
 * all names.
 */
static bool user_may(uint32_t uid)
{
	uint32_t own = user_take(uid)->names - 1;
	uint32_t left = limit - count + own;

	return !uid || own < (left / 2 ? left / 2 : 1);
}

int names_add(const char *name, int fd, uint32_t endpoint, uint32_t uid, uint32_t gid)
{
	struct registration *added;
	uint32_t slot;

	if (count >= limit)
		return -ENOSPC;
	if (!user_may(uid))
		return -EDQUOT;
	slot = unused[unused_count - 1];
	added = &state->names[slot];
	*added = (struct registration){ .uid = uid, .gid = gid, .endpoint = endpoint, .fd = fd };
	memcpy(added->name, name, strlen(name));
	if (!watch_handle(slot))
		return -ENOMEM;
	unused_count--;
	chain_in(slot);
	/* From here on it is there, for who comes after too. */
	__atomic_store_n(&added->registration, ++state->registrations, __ATOMIC_RELEASE);
	keep_handle(slot);
	return (int)slot;
}

void names_drop(uint32_t slot)
{
	struct registration *name = &state->names[slot];

	__atomic_store_n(&name->registration, 0, __ATOMIC_RELEASE);
	keep_drop(slot);
	chain_out(slot);
	/* Not by the close alone: its bundle may have the file too. */
	unwatch_handle(slot);
	close(name->fd);
	name->fd = -1;
	unused[unused_count++] = slot;
}

/* Is what the state says of @slot possible, and about the endpoint of @fd? */
static bool plausible(uint32_t slot, int fd)
{
	struct registration *name = &state->names[slot];
	struct kipc_endpoint endpoint;

	return !name->name[sizeof(name->name) - 1] && name_valid(name->name) &&
	       name->registration <= state->registrations && count < limit &&
	       suspect_is_handle(fd) && !kipc_stat(fd, 0, &endpoint) &&
	       endpoint.id == name->endpoint && names_find(name->name) == NONE;
}

/* False: it has ended meanwhile, or is none; its slot is free and @fd is the caller's */
bool names_restore(uint32_t slot, int fd)
{
	struct registration *name = &state->names[slot];

	if (!name->registration)
		return false;
	if (fd >= 0 && plausible(slot, fd)) {
		name->fd = fd;
		if (!names_ended(slot) && watch_handle(slot)) {
			chain_in(slot);
			return true;
		}
	}
	name->registration = 0;
	name->fd = -1;
	unused[unused_count++] = slot;
	return false;
}
