// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * tickets PORT: one epoll loop, one counter, two kinds of clients. Whoever calls the
 * endpoint "tickets", or connects to the TCP port PORT of this machine, gets the
 * next number. SIGTERM or SIGINT ends it.
 *
 *	./tickets 7070 & ./ask tickets '' ; nc 127.0.0.1 7070
 */
#include <arpa/inet.h>
#include <errno.h>
#include <kipc.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

static unsigned int last;

static size_t next_ticket(char *text, size_t room, const char *client)
{
	return (size_t)snprintf(text, room, "%u for a %s client", ++last, client);
}

/*
 * Takes what is there and no more: with O_NONBLOCK the end is EAGAIN. Each reply
 * goes out with the receive after it. Returns 0, or what a receive said.
 */
static int serve_calls(int endpoint)
{
	char request[64], reply[64];
	struct kipc_result call = { 0 };
	size_t size = 0;
	ssize_t ret;

	while ((ret = kipc_reply_recv(endpoint, reply, size, request, sizeof(request), &call,
				      0)) >= 0)
		size = next_ticket(reply, sizeof(reply), "kipc");
	return ret == -EAGAIN || ret == -EINTR ? 0 : (int)ret;
}

static void serve_connection(int listener)
{
	char text[64];
	size_t size;
	int fd = accept(listener, NULL, NULL);

	if (fd < 0)
		return;	/* it has gone again */
	size = next_ticket(text, sizeof(text) - 1, "socket");
	text[size] = '\n';
	/* A new connection has room for a line. Who has gone meanwhile needs none. */
	(void)!send(fd, text, size + 1, MSG_NOSIGNAL | MSG_DONTWAIT);
	close(fd);
}

static int listen_on(in_port_t port)
{
	const struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	const int on = 1;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) ||
	    bind(fd, (const struct sockaddr *)&address, sizeof(address)) || listen(fd, 16)) {
		perror("tickets: socket");
		exit(1);
	}
	return fd;
}

/* SIGTERM and SIGINT as a descriptor */
static int ending_signals(void)
{
	sigset_t signals;
	int fd;

	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	fd = signalfd(-1, &signals, SFD_CLOEXEC);
	if (fd < 0) {
		perror("tickets: signalfd");
		exit(1);
	}
	return fd;
}

int main(int argc, char **argv)
{
	const struct kipc_attr small = { .max_size = 64 };
	int endpoint, listener, signals, loop;
	struct epoll_event event;

	if (argc != 2) {
		fprintf(stderr, "Usage: tickets PORT\n");
		return 2;
	}
	signals = ending_signals();
	listener = listen_on((in_port_t)atoi(argv[1]));
	endpoint = kipc_create("tickets", KIPC_OPEN_EXCL | KIPC_OPEN_NONBLOCK, 0622, &small);
	if (endpoint < 0) {
		fprintf(stderr, "tickets: %s\n", strerror(-endpoint));
		return 1;
	}
	loop = epoll_create1(EPOLL_CLOEXEC);
	for (int i = 0; i < 3; i++) {
		event.events = EPOLLIN;
		event.data.fd = i == 0 ? signals : i == 1 ? listener : endpoint;
		if (epoll_ctl(loop, EPOLL_CTL_ADD, event.data.fd, &event)) {
			perror("tickets: epoll");
			return 1;
		}
	}

	for (;;) {
		int ret = epoll_wait(loop, &event, 1, -1);

		if (ret < 0 && errno != EINTR) {
			perror("tickets: epoll");
			return 1;
		}
		if (ret <= 0)
			continue;
		if (event.data.fd == signals)
			break;
		if (event.data.fd == listener) {
			serve_connection(listener);
		} else {
			ret = serve_calls(endpoint);
			if (ret) {
				fprintf(stderr, "tickets: %s\n", strerror(-ret));
				return 1;
			}
		}
	}
	printf("%u tickets\n", last);
	return 0;
}
