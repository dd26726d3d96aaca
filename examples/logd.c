// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * logd: collects lines from everybody, up to 64 of them in one system call, and
 * writes them to its standard output with the user they come from. The kernel
 * says who that is, not the line. SIGTERM ends it when all that was sent is written.
 *
 *	./logd & ./log hello; ./log -u 'the house is on fire'; kill %1
 */
#include <errno.h>
#include <kipc.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#define LINE_MAX_SIZE 1024

static volatile sig_atomic_t ending;

static void end(int signal)
{
	(void)signal;
	ending = 1;
}

static void write_lines(const char *buf, const struct kipc_result *results, int count)
{
	size_t at = 0;

	for (int i = 0; i < count; i++) {
		printf("uid %u%s: %.*s\n", results[i].uid, results[i].prio ? ", urgent" : "",
		       (int)results[i].size, buf + at);
		at = kipc_batch_next(at, results[i].size);
	}
	fflush(stdout);
}

int main(void)
{
	static char buf[KIPC_BATCH_MAX * LINE_MAX_SIZE];
	struct iovec room = { buf, sizeof(buf) };
	/* A signal must end the wait, whatever its handler says. */
	const struct kipc_msg batch = { .flags = KIPC_NORESTART, .iov = &room, .iovcnt = 1 };
	const struct kipc_attr attr = { .max_size = LINE_MAX_SIZE, .max_msgs = 10000 };
	struct kipc_result results[KIPC_BATCH_MAX];
	const struct sigaction action = { .sa_handler = end };
	int fd, n;

	sigaction(SIGTERM, &action, NULL);
	/* One-way: nobody waits for an answer that never comes. All may send, none else read. */
	fd = kipc_create("log", KIPC_OPEN_EXCL | KIPC_OPEN_ONEWAY, 0622, &attr);
	if (fd < 0) {
		fprintf(stderr, "logd: %s\n", strerror(-fd));
		return 1;
	}
	do {
		/* 1 s: a signal just before the wait is seen then */
		n = kipc_recv_batch(fd, &batch, results, KIPC_BATCH_MAX, ending ? 0 : 1000);
		write_lines(buf, results, n);
	} while (n > 0 || n == -EINTR || n == -ETIMEDOUT);
	if (n == -EAGAIN && ending)
		return 0;
	fprintf(stderr, "logd: %s\n", strerror(-n));
	return 1;
}
