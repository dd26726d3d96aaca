// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * System V message queues: one for all requests, one for all replies. A
 * request's type is its client, and that of the reply.
 */
#include <limits.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/ipc.h>
#include <sys/msg.h>

#include "bench.h"

#define QUEUES_MAX	32000	/* the kernel's own limit is a little higher */
#define MSGMAX		8192	/* /proc/sys/kernel/msgmax, unless somebody changed it */

static int requests = -1, replies = -1, *many;
static long self;
static struct shape shape;

/* The type is the long in front of the bytes. */
static inline void put(int queue, char *bytes, long type, size_t size)
{
	long *message = (long *)(void *)(bytes - sizeof(long));

	*message = type;
	check(msgsnd(queue, message, size, 0), "msgsnd");
}

static inline long get(int queue, char *bytes, long type, size_t size)
{
	long *message = (long *)(void *)(bytes - sizeof(long));

	if (msgrcv(queue, message, size, type, 0) != (ssize_t)size)
		die("msgrcv");
	return *message;
}

/* A namespace of its own, because queues outlive their processes. */
static void start(const struct shape *wanted)
{
	shape = *wanted;
	check(unshare(CLONE_NEWIPC), "unshare");
	/* No larger than need be: kipc's queues of the drop-in library are made by it */
	if (shape.size > MSGMAX)
		set_limit("/proc/sys/kernel/msgmax", shape.size);
	set_limit("/proc/sys/kernel/msgmni", QUEUES_MAX);
}

/* @bytes may be queued, and never more than that many messages. */
static int make(size_t bytes)
{
	int queue = check(msgget(IPC_PRIVATE, 0600), "msgget");
	struct msqid_ds state;

	check(msgctl(queue, IPC_STAT, &state), "IPC_STAT");
	state.msg_qbytes = bytes;
	check(msgctl(queue, IPC_SET, &state), "IPC_SET");
	return queue;
}

static void open_rpc(const struct shape *wanted)
{
	size_t bytes = (wanted->size + BENCH_SMALL) * wanted->clients;

	start(wanted);
	requests = make(bytes);
	replies = make(bytes);
}

static void enter(int client)
{
	self = client + 1;
}

static void call(void)
{
	put(requests, out, self, shape.size);
	get(replies, in, self, shape.size);
}

static void serve(void)
{
	for (;;) {
		long client = get(requests, in, 0, shape.size);

		put(replies, in, client, shape.size);
	}
}

static void open_oneway(const struct shape *wanted)
{
	start(wanted);
	requests = make(shape.size * shape.depth);
}

static void send_one(void)
{
	put(requests, out, 1, shape.size);
}

static void receive_one(void)
{
	get(requests, in, 0, shape.size);
}

static void send_type(unsigned int type)
{
	put(requests, out, type, BENCH_SMALL);
}

static void receive_type(unsigned int type)
{
	get(requests, in, type, BENCH_SMALL);
}

static void open_typed(unsigned int depth)
{
	start(&(struct shape){ .size = BENCH_SMALL });
	requests = make((depth + BENCH_BATCH) * BENCH_SMALL);
}

/* kipc's queues stay in the network namespace */
static void clean(void)
{
	if (requests >= 0)
		check(msgctl(requests, IPC_RMID, NULL), "IPC_RMID");
	if (replies >= 0)
		check(msgctl(replies, IPC_RMID, NULL), "IPC_RMID");
}

static void open_many(unsigned int count)
{
	start(&(struct shape){ .size = BENCH_SMALL });
	if (count > QUEUES_MAX)
		exit(0);
	many = calloc(count, sizeof(*many));
	for (unsigned int i = 0; i < count; i++)
		many[i] = make(BENCH_BATCH * BENCH_SMALL);
}

static void send_to(unsigned int number)
{
	put(many[number], out, 1, BENCH_SMALL);
}

static void receive_from(unsigned int number)
{
	get(many[number], in, 0, BENCH_SMALL);
}

static void open_waiters(unsigned int count)
{
	(void)count;
	open_rpc(&(struct shape){ .size = BENCH_SMALL, .clients = 1 });
}

static void serve_type(unsigned int type)
{
	for (;;) {
		get(requests, in, type, BENCH_SMALL);
		put(replies, in, type, BENCH_SMALL);
	}
}

static void call_type(unsigned int type)
{
	put(requests, out, type, BENCH_SMALL);
	get(replies, in, type, BENCH_SMALL);
}

const struct mechanism sysv = {
	.name = "System V",
	.enter = enter,
	.open_rpc = open_rpc,
	.call = call,
	.serve = serve,
	.open_oneway = open_oneway,
	.send = send_one,
	.receive = receive_one,
	.open_typed = open_typed,
	.send_type = send_type,
	.receive_type = receive_type,
	.open_many = open_many,
	.send_to = send_to,
	.receive_from = receive_from,
	.open_waiters = open_waiters,
	.serve_type = serve_type,
	.call_type = call_type,
	.clean = clean,
};
