// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * kipc, by libkipc.
 */
#include <errno.h>
#include <kipc.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

#define PARAMETERS	"/sys/module/kipc/parameters/"

static const char name[] = "bench";

static struct shape shape;
static int server = -1, client = -1, device = -1, *many;
static uint32_t *ids;

/* libkipc's errors are negative errnos. */
static int good(ssize_t ret, const char *what)
{
	if (ret < 0) {
		errno = (int)-ret;
		die(what);
	}
	return (int)ret;
}

static void received(ssize_t size, const char *what)
{
	if (size != (ssize_t)shape.size)
		good(size < 0 ? size : -EBADMSG, what);
}

static void make(const struct shape *wanted, unsigned int depth)
{
	struct kipc_attr attr = {
		.max_size = wanted->size ? (uint32_t)wanted->size : 1,
		.max_msgs = depth,
	};

	shape = *wanted;
	attr.max_bytes = (uint64_t)attr.max_size * depth;
	set_limit(PARAMETERS "capacity_max", 1UL << 30);
	set_limit(PARAMETERS "user_capacity_max", 1UL << 40);
	server = good(kipc_create(name, KIPC_OPEN_EXCL, 0600, &attr), "kipc_create");
}

static void open_rpc(const struct shape *wanted)
{
	make(wanted, wanted->clients);
}

static void enter(int number)
{
	if (number != SERVER)
		client = good(kipc_open(name, KIPC_RIGHT_SEND, 0), "kipc_open");
}

static void call(void)
{
	received(kipc_rpc(client, out, shape.size, in, shape.size, -1), "kipc_rpc");
}

static void serve(void)
{
	struct kipc_result result = { 0 };
	size_t room = shape.size ? shape.size : 1;

	for (;;)
		received(kipc_reply_recv(server, in, shape.size, in, room, &result, -1),
			 "kipc_reply_recv");
}

static void open_oneway(const struct shape *wanted)
{
	make(wanted, wanted->depth);
}

/* What is so large that the kernel should rather not copy it twice: wait for its receipt */
static void send_synced(void)
{
	struct iovec bytes = { out, shape.size };
	struct kipc_msg message = { .flags = KIPC_SYNC, .iov = &bytes, .iovcnt = 1 };

	good(kipc_sendmsg(client, &message, -1), "kipc_sendmsg");
}

static void send_one(void)
{
	if (shape.size >= BENCH_LARGE) {
		send_synced();
		return;
	}
	good(kipc_send(client, out, shape.size, -1), "kipc_send");
}

static void receive_one(void)
{
	received(kipc_recv(server, in, shape.size, NULL, -1), "kipc_recv");
}

/* Several messages in one buffer, made when it is used first, which is no measuring */
static char *batch_memory(struct iovec *bytes)
{
	bytes->iov_len = BENCH_BATCH * kipc_batch_next(0, shape.size);
	bytes->iov_base = calloc(1, bytes->iov_len);
	if (!bytes->iov_base)
		die("calloc");
	return bytes->iov_base;
}

static unsigned int send_batch(unsigned int most)
{
	static struct kipc_batch_msg messages[BENCH_BATCH];
	static struct iovec bytes;
	const struct kipc_msg batch = { .iov = &bytes, .iovcnt = 1 };

	if (!bytes.iov_base) {
		char *memory = batch_memory(&bytes);

		for (unsigned int i = 0; i < BENCH_BATCH; i++) {
			memcpy(memory, out, shape.size);
			memory += kipc_batch_next(0, shape.size);
			messages[i].size = shape.size;
		}
	}
	return (unsigned int)good(kipc_send_batch(client, &batch, messages, most, -1),
				  "kipc_send_batch");
}

static unsigned int receive_batch(unsigned int most)
{
	static struct iovec bytes;
	const struct kipc_msg batch = { .iov = &bytes, .iovcnt = 1 };
	struct kipc_result results[BENCH_BATCH];
	size_t at = 0;
	int count;

	if (!bytes.iov_base)
		batch_memory(&bytes);
	count = good(kipc_recv_batch(server, &batch, results, most, -1), "kipc_recv_batch");
	for (int i = 0; i < count; i++) {
		in = (char *)bytes.iov_base + at;
		received((ssize_t)results[i].size, "kipc_recv_batch");
		at = kipc_batch_next(at, results[i].size);
	}
	return (unsigned int)count;
}

static void open_typed(unsigned int depth)
{
	make(&(struct shape){ .size = BENCH_SMALL }, depth + BENCH_BATCH);
	enter(0);
}

static void send_type(unsigned int type)
{
	struct iovec bytes = { out, BENCH_SMALL };
	struct kipc_msg message = { .type = type, .iov = &bytes, .iovcnt = 1 };

	good(kipc_sendmsg(client, &message, -1), "kipc_sendmsg");
}

static void receive_type(unsigned int type)
{
	struct iovec bytes = { in, BENCH_SMALL };
	struct kipc_msg message = {
		.flags = KIPC_TYPE_EQ,
		.type = type,
		.iov = &bytes,
		.iovcnt = 1,
	};

	received(kipc_recvmsg(server, &message, NULL, -1), "kipc_recvmsg");
}

static void open_many(unsigned int count)
{
	const struct kipc_attr attr = {
		.max_size = BENCH_SMALL,
		.max_msgs = BENCH_BATCH,
		.max_bytes = BENCH_BATCH * BENCH_SMALL,
	};

	shape.size = BENCH_SMALL;
	set_limit(PARAMETERS "endpoints_max", (1UL << 20) - 1);
	set_limit(PARAMETERS "user_endpoints_max", 1UL << 20);
	set_limit(PARAMETERS "user_capacity_max", 1UL << 40);
	device = good(kipc_open_device(), "kipc_open_device");
	many = calloc(count, sizeof(*many));
	ids = calloc(count, sizeof(*ids));
	for (unsigned int i = 0; i < count; i++) {
		struct kipc_endpoint state;

		many[i] = good(kipc_create(NULL, 0, 0600, &attr), "kipc_create");
		good(kipc_stat(many[i], 0, &state), "kipc_stat");
		ids[i] = state.id;
	}
}

/* By its id, which has to be looked up among all. */
static void send_to(unsigned int number)
{
	struct iovec bytes = { out, BENCH_SMALL };
	struct kipc_msg message = { .endpoint = ids[number], .iov = &bytes, .iovcnt = 1 };

	good(kipc_sendmsg(device, &message, -1), "kipc_sendmsg");
}

static void receive_from(unsigned int number)
{
	received(kipc_recv(many[number], in, BENCH_SMALL, NULL, -1), "kipc_recv");
}

static int fd_of(unsigned int number)
{
	return many[number];
}

static void open_waiters(unsigned int count)
{
	(void)count;
	make(&(struct shape){ .size = BENCH_SMALL }, 1);
}

static void serve_type(unsigned int type)
{
	struct iovec bytes = { in, BENCH_SMALL };
	struct kipc_msg reply = { .iov = &bytes, .iovcnt = 1 };
	struct kipc_msg message = {
		.flags = KIPC_TYPE_EQ,
		.type = type,
		.iov = &bytes,
		.iovcnt = 1,
	};
	struct kipc_result result = { 0 };

	for (;;)
		received(kipc_reply_recvmsg(server, &reply, &message, &result, -1),
			 "kipc_reply_recvmsg");
}

static void call_type(unsigned int type)
{
	struct iovec request_bytes = { out, BENCH_SMALL }, reply_bytes = { in, BENCH_SMALL };
	struct kipc_msg request = { .type = type, .iov = &request_bytes, .iovcnt = 1 };
	struct kipc_msg reply = { .iov = &reply_bytes, .iovcnt = 1 };

	received(kipc_rpcmsg(client, &request, &reply, NULL, -1), "kipc_rpcmsg");
}

const struct mechanism kipc = {
	.name = "kipc",
	.enter = enter,
	.open_rpc = open_rpc,
	.call = call,
	.serve = serve,
	.open_oneway = open_oneway,
	.send = send_one,
	.receive = receive_one,
	.send_batch = send_batch,
	.receive_batch = receive_batch,
	.open_typed = open_typed,
	.send_type = send_type,
	.receive_type = receive_type,
	.open_many = open_many,
	.send_to = send_to,
	.receive_from = receive_from,
	.fd_of = fd_of,
	.open_waiters = open_waiters,
	.serve_type = serve_type,
	.call_type = call_type,
};
