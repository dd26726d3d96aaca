// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Pipes. All clients share one for the requests, of which the first bytes say
 * whose they are (a write of up to PIPE_BUF bytes is never mixed with another);
 * each has one for its replies.
 */
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"

#define LARGEST	(1 << 20)	/* what an unprivileged user may have */

enum { READ, WRITE };

static int requests[2], (*replies)[2], (*many)[2];
static int self;
static struct shape shape;

static void make(int ends[2])
{
	check(pipe2(ends, O_CLOEXEC), "pipe");
}

static void room(const int ends[2], size_t bytes)
{
	if (bytes > LARGEST)
		bytes = LARGEST;
	if (bytes > (size_t)check(fcntl(ends[WRITE], F_GETPIPE_SZ), "F_GETPIPE_SZ"))
		check(fcntl(ends[WRITE], F_SETPIPE_SZ, (int)bytes), "F_SETPIPE_SZ");
}

/* There is no message of no bytes. */
static bool can(const struct shape *wanted)
{
	return wanted->size && (!wanted->crowd || wanted->size <= PIPE_BUF);
}

static void open_rpc(const struct shape *wanted)
{
	shape = *wanted;
	make(requests);
	room(requests, shape.size);
	replies = calloc(shape.clients, sizeof(*replies));
	for (unsigned int i = 0; i < shape.clients; i++) {
		make(replies[i]);
		room(replies[i], shape.size);
	}
}

static void enter(int client)
{
	self = client;
	if (shape.crowd && client != SERVER)
		memcpy(out, &self, sizeof(self));
}

static void call(void)
{
	write_all(requests[WRITE], out, shape.size);
	read_all(replies[self][READ], in, shape.size);
}

static void serve(void)
{
	int client = 0;

	for (;;) {
		read_all(requests[READ], in, shape.size);
		if (shape.crowd)
			memcpy(&client, in, sizeof(client));
		write_all(replies[client][WRITE], in, shape.size);
	}
}

static void open_oneway(const struct shape *wanted)
{
	shape = *wanted;
	make(requests);
	room(requests, shape.size * shape.depth);
}

static void send_one(void)
{
	write_all(requests[WRITE], out, shape.size);
}

static void receive_one(void)
{
	read_all(requests[READ], in, shape.size);
}

static void open_many(unsigned int count)
{
	many = calloc(count, sizeof(*many));
	for (unsigned int i = 0; i < count; i++)
		make(many[i]);
}

static void send_to(unsigned int number)
{
	write_all(many[number][WRITE], out, BENCH_SMALL);
}

static void receive_from(unsigned int number)
{
	read_all(many[number][READ], in, BENCH_SMALL);
}

static int fd_of(unsigned int number)
{
	return many[number][READ];
}

const struct mechanism pipes = {
	.name = "pipe",
	.can = can,
	.enter = enter,
	.open_rpc = open_rpc,
	.call = call,
	.serve = serve,
	.open_oneway = open_oneway,
	.send = send_one,
	.receive = receive_one,
	.open_many = open_many,
	.send_to = send_to,
	.receive_from = receive_from,
	.fd_of = fd_of,
};
