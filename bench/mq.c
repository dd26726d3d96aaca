// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * POSIX message queues: one for all requests, of which the first bytes say whose
 * they are, and one for each client's replies.
 */
#include <fcntl.h>
#include <mqueue.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "bench.h"

static mqd_t requests, *replies;
static int self;
static struct shape shape;

/* A namespace of its own, with the limits of a new one */
static void start(const struct shape *wanted)
{
	const struct rlimit all = { RLIM_INFINITY, RLIM_INFINITY };

	shape = *wanted;
	check(unshare(CLONE_NEWIPC), "unshare");
	check(setrlimit(RLIMIT_MSGQUEUE, &all), "RLIMIT_MSGQUEUE");
}

static mqd_t make(int number, unsigned int depth)
{
	struct mq_attr attr = {
		.mq_maxmsg = depth,
		.mq_msgsize = shape.size ? (long)shape.size : 1,
	};
	char name[32];
	mqd_t queue;

	snprintf(name, sizeof(name), "/bench%d", number);
	queue = check(mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, &attr), "mq_open");
	/* It goes with the processes, kipc's by the drop-in library too. */
	check(mq_unlink(name), "mq_unlink");
	return queue;
}

static inline void put(mqd_t queue, const char *bytes)
{
	check(mq_send(queue, bytes, shape.size, 0), "mq_send");
}

static inline void get(mqd_t queue, char *bytes)
{
	size_t room = shape.size ? shape.size : 1;

	if (mq_receive(queue, bytes, room, NULL) != (ssize_t)shape.size)
		die("mq_receive");
}

static void open_rpc(const struct shape *wanted)
{
	start(wanted);
	requests = make(-1, shape.clients);
	replies = calloc(shape.clients, sizeof(*replies));
	for (unsigned int i = 0; i < shape.clients; i++)
		replies[i] = make((int)i, 1);
}

static void enter(int client)
{
	self = client;
	if (shape.crowd && client != SERVER)
		memcpy(out, &self, sizeof(self));
}

static void call(void)
{
	put(requests, out);
	get(replies[self], in);
}

static void serve(void)
{
	int client = 0;

	for (;;) {
		get(requests, in);
		if (shape.crowd)
			memcpy(&client, in, sizeof(client));
		put(replies[client], in);
	}
}

static void open_oneway(const struct shape *wanted)
{
	start(wanted);
	requests = make(-1, shape.depth);
}

static void send_one(void)
{
	put(requests, out);
}

static void receive_one(void)
{
	get(requests, in);
}

static void open_prio(unsigned int depth)
{
	start(&(struct shape){ .size = BENCH_SMALL });
	requests = make(-1, depth + BENCH_BATCH);
}

static void send_prio(unsigned int prio)
{
	check(mq_send(requests, out, shape.size, prio), "mq_send");
}

static void receive_prio(unsigned int prio)
{
	unsigned int got;

	if (mq_receive(requests, in, shape.size, &got) != (ssize_t)shape.size || got != prio)
		die("mq_receive");
}

const struct mechanism mq = {
	.name = "POSIX mq",
	.enter = enter,
	.open_rpc = open_rpc,
	.call = call,
	.serve = serve,
	.open_oneway = open_oneway,
	.send = send_one,
	.receive = receive_one,
	.open_prio = open_prio,
	.send_prio = send_prio,
	.receive_prio = receive_prio,
};
