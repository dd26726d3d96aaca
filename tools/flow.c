// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What went through each endpoint since the last look, from trace events: how many messages,
 * how long they waited, how long calls took, and who sent most.
 */
#include <stdlib.h>
#include <string.h>

#include "flow.h"
#include "tool.h"

#define NS_PER_US	1000

/* Times in microseconds, in steps of an eighth of a power of two */
#define STEP_BITS	3
#define STEPS		(1U << STEP_BITS)
#define BUCKETS		(40 * STEPS)
#define USERS		32
/* Messages on their way. Where two meet in a slot, the earlier is not measured */
#define WAYS		65536

struct histogram {
	uint32_t count;
	uint32_t bucket[BUCKETS];
};

struct flow {
	uint32_t id;
	uint64_t sent;
	struct histogram waits;
	struct histogram calls;
	struct {
		uid_t uid;
		uint64_t sent;
	} users[USERS];
	unsigned int user_count;
	struct flow *next;
};

struct way {
	uint32_t endpoint;
	uint64_t place;
	int64_t sent;
};

struct flows {
	struct flow *table[4096];	/* by id */
	struct way ways[WAYS];
};

struct flows *flows_new(void)
{
	return need(calloc(1, sizeof(struct flows)));
}

void flows_clear(struct flows *flows)
{
	for (size_t i = 0; i < COUNT(flows->table); i++) {
		while (flows->table[i]) {
			struct flow *flow = flows->table[i];

			flows->table[i] = flow->next;
			free(flow);
		}
	}
}

const struct flow *flow_find(const struct flows *flows, uint32_t id)
{
	const struct flow *flow = flows->table[id % COUNT(flows->table)];

	while (flow && flow->id != id)
		flow = flow->next;
	return flow;
}

static struct flow *flow_get(struct flows *flows, uint32_t id)
{
	struct flow **slot = &flows->table[id % COUNT(flows->table)], *flow;

	for (flow = *slot; flow; flow = flow->next) {
		if (flow->id == id)
			return flow;
	}
	flow = need(calloc(1, sizeof(*flow)));
	flow->id = id;
	flow->next = *slot;
	*slot = flow;
	return flow;
}

static void note(struct histogram *histogram, int64_t ns)
{
	uint64_t us = ns < 0 ? 0 : (uint64_t)ns / NS_PER_US;
	unsigned int power, index = (unsigned int)us;

	if (us >= STEPS) {
		power = 63 - (unsigned int)__builtin_clzll(us) - STEP_BITS;
		index = (power + 1) * STEPS + (unsigned int)(us >> power) - STEPS;
	}
	histogram->bucket[index < BUCKETS ? index : BUCKETS - 1]++;
	histogram->count++;
}

/* The largest value of the bucket that holds it, -1: there is none */
static int64_t percentile(const struct histogram *histogram, unsigned int percent)
{
	uint64_t rank = ((uint64_t)histogram->count * percent + 99) / 100, seen = 0;

	for (unsigned int i = 0; histogram->count && i < BUCKETS; i++) {
		seen += histogram->bucket[i];
		if (seen < rank)
			continue;
		if (i < STEPS)
			return i;
		return (((int64_t)(i % STEPS + STEPS) + 1) << (i / STEPS - 1)) - 1;
	}
	return -1;
}

int64_t flow_wait(const struct flow *flow, unsigned int percent)
{
	return percentile(&flow->waits, percent);
}

int64_t flow_call(const struct flow *flow, unsigned int percent)
{
	return percentile(&flow->calls, percent);
}

uint64_t flow_sent(const struct flow *flow)
{
	return flow->sent;
}

uint64_t flow_worst(const struct flow *flow, uid_t *uid)
{
	uint64_t most = 0;

	for (unsigned int i = 0; i < flow->user_count; i++) {
		if (flow->users[i].sent > most) {
			most = flow->users[i].sent;
			*uid = flow->users[i].uid;
		}
	}
	return most;
}

/* Of more users than there is room for, the last to come are not counted */
static void note_user(struct flow *flow, uid_t uid)
{
	unsigned int i;

	for (i = 0; i < flow->user_count && flow->users[i].uid != uid; i++)
		;
	if (i == USERS)
		return;
	if (i == flow->user_count)
		flow->users[flow->user_count++].uid = uid;
	flow->users[i].sent++;
}

static struct way *way_of(struct flows *flows, const struct trace_event *event)
{
	uint64_t hash = (event->place ^ (uint64_t)event->endpoint << 32) * 0x9e3779b97f4a7c15ULL;

	return &flows->ways[hash >> 48 & (WAYS - 1)];
}

void flows_take(void *context, const struct trace_event *event)
{
	struct flows *flows = context;
	struct way *way = way_of(flows, event);
	bool known = way->endpoint == event->endpoint && way->place == event->place;

	if (!strcmp(event->name, "send")) {
		struct flow *flow = flow_get(flows, event->endpoint);

		flow->sent++;
		note_user(flow, event->uid);
		*way = (struct way) { event->endpoint, event->place, event->time };
	} else if (!strcmp(event->name, "deliver") && known) {
		note(&flow_get(flows, event->endpoint)->waits, event->time - way->sent);
		if (!event->call)
			way->endpoint = 0;
	} else if (!strcmp(event->name, "reply") && known) {
		note(&flow_get(flows, event->endpoint)->calls, event->time - way->sent);
		way->endpoint = 0;
	} else if (!strcmp(event->name, "drop") && known) {
		way->endpoint = 0;
	}
}
