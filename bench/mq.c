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

/* The namespace and its queues go with the case. */
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

	snprintf(name, sizeof(name), "/bench%d", number);
	return check(mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, &attr), "mq_open");
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

const struct mechanism mq = {
	.name = "POSIX mq",
	.enter = enter,
	.open_rpc = open_rpc,
	.call = call,
	.serve = serve,
	.open_oneway = open_oneway,
	.send = send_one,
	.receive = receive_one,
};
