// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * UNIX sockets of the kinds stream and seqpacket: a pair for each client. A
 * server of several clients asks epoll which of them have sent something. By
 * send() and recv(), which are cheaper than write() and read().
 */
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench.h"

#define EVENTS	64

static int (*pairs)[2];		/* the client's end, the server's end */
static int self, epoll;
static struct shape shape;

static void make(int ends[2], int type)
{
	check(socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends), "socketpair");
}

/* Each message costs about as much again; the kernel doubles the value for that. */
static void room(int fd, size_t bytes)
{
	int size = (int)bytes, old;
	socklen_t length = sizeof(old);

	check(getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &old, &length), "SO_SNDBUF");
	if (old / 2 < size)
		check(setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)),
		      "SO_SNDBUFFORCE");
}

static void open_rpc(const struct shape *wanted, int type)
{
	shape = *wanted;
	pairs = calloc(shape.clients, sizeof(*pairs));
	epoll = check(epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
	for (unsigned int i = 0; i < shape.clients; i++) {
		struct epoll_event event = { .events = EPOLLIN };

		make(pairs[i], type);
		room(pairs[i][0], shape.size);
		room(pairs[i][1], shape.size);
		event.data.fd = pairs[i][1];
		check(epoll_ctl(epoll, EPOLL_CTL_ADD, pairs[i][1], &event), "epoll_ctl");
	}
}

static void enter(int client)
{
	self = client;
}

static void serve_crowd(void (*answer)(int fd)) __attribute__((noreturn));

static void serve_crowd(void (*answer)(int fd))
{
	struct epoll_event events[EVENTS];

	for (;;) {
		int ready = check(epoll_wait(epoll, events, EVENTS, -1), "epoll_wait");

		for (int i = 0; i < ready; i++)
			answer(events[i].data.fd);
	}
}

static void open_oneway(const struct shape *wanted, int type)
{
	shape = *wanted;
	pairs = calloc(1, sizeof(*pairs));
	make(pairs[0], type);
	room(pairs[0][0], shape.size * shape.depth);
}

/* There is no message of no bytes in a stream. */
static bool stream_can(const struct shape *wanted)
{
	return wanted->size;
}

static void stream_open_rpc(const struct shape *wanted)
{
	open_rpc(wanted, SOCK_STREAM);
}

static void bytes_send(int fd, const char *bytes)
{
	for (size_t done = 0; done < shape.size;)
		done += (size_t)check((int)send(fd, bytes + done, shape.size - done, 0), "send");
}

static void bytes_receive(int fd, char *bytes)
{
	for (size_t done = 0; done < shape.size;) {
		int got = check((int)recv(fd, bytes + done, shape.size - done, MSG_WAITALL),
				"recv");

		if (!got)
			die("end of a stream");
		done += (size_t)got;
	}
}

static void stream_call(void)
{
	bytes_send(pairs[self][0], out);
	bytes_receive(pairs[self][0], in);
}

static void stream_answer(int fd)
{
	bytes_receive(fd, in);
	bytes_send(fd, in);
}

static void stream_serve(void)
{
	if (shape.crowd)
		serve_crowd(stream_answer);
	for (;;)
		stream_answer(pairs[0][1]);
}

static void stream_open_oneway(const struct shape *wanted)
{
	open_oneway(wanted, SOCK_STREAM);
}

static void stream_send(void)
{
	bytes_send(pairs[0][0], out);
}

static void stream_receive(void)
{
	bytes_receive(pairs[0][1], in);
}

const struct mechanism stream = {
	.name = "unix stream",
	.can = stream_can,
	.enter = enter,
	.open_rpc = stream_open_rpc,
	.call = stream_call,
	.serve = stream_serve,
	.open_oneway = stream_open_oneway,
	.send = stream_send,
	.receive = stream_receive,
};

/* write() of no bytes would send nothing, this sends an empty packet. */
static void packet_write(int fd, const void *data, size_t size)
{
	if (send(fd, data, size, 0) != (ssize_t)size)
		die("send of a packet");
}

static void packet_read(int fd, void *data, size_t size)
{
	if (recv(fd, data, size, 0) != (ssize_t)size)
		die("recv of a packet");
}

static void seqpacket_open_rpc(const struct shape *wanted)
{
	open_rpc(wanted, SOCK_SEQPACKET);
}

static void seqpacket_call(void)
{
	packet_write(pairs[self][0], out, shape.size);
	packet_read(pairs[self][0], in, shape.size);
}

static void seqpacket_answer(int fd)
{
	packet_read(fd, in, shape.size);
	packet_write(fd, in, shape.size);
}

static void seqpacket_serve(void)
{
	if (shape.crowd)
		serve_crowd(seqpacket_answer);
	for (;;)
		seqpacket_answer(pairs[0][1]);
}

static void seqpacket_open_oneway(const struct shape *wanted)
{
	open_oneway(wanted, SOCK_SEQPACKET);
}

static void seqpacket_send(void)
{
	packet_write(pairs[0][0], out, shape.size);
}

static void seqpacket_receive(void)
{
	packet_read(pairs[0][1], in, shape.size);
}

static void seqpacket_open_many(unsigned int count)
{
	pairs = calloc(count, sizeof(*pairs));
	for (unsigned int i = 0; i < count; i++)
		make(pairs[i], SOCK_SEQPACKET);
}

static void seqpacket_send_to(unsigned int number)
{
	packet_write(pairs[number][0], out, BENCH_SMALL);
}

static void seqpacket_receive_from(unsigned int number)
{
	packet_read(pairs[number][1], in, BENCH_SMALL);
}

static int seqpacket_fd_of(unsigned int number)
{
	return pairs[number][1];
}

const struct mechanism seqpacket = {
	.name = "seqpacket",
	.enter = enter,
	.open_rpc = seqpacket_open_rpc,
	.call = seqpacket_call,
	.serve = seqpacket_serve,
	.open_oneway = seqpacket_open_oneway,
	.send = seqpacket_send,
	.receive = seqpacket_receive,
	.open_many = seqpacket_open_many,
	.send_to = seqpacket_send_to,
	.receive_from = seqpacket_receive_from,
	.fd_of = seqpacket_fd_of,
};
