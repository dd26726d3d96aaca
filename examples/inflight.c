// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * inflight: one thread with 100 calls under way at the same time. The server, which
 * is here too, has four threads and takes its time; the replies come as they are
 * made, and each says by its cookie whose it is.
 */
#include <errno.h>
#include <kipc.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CALLS 100

static void die(const char *what, int error)
{
	fprintf(stderr, "inflight: %s: %s\n", what, strerror(error));
	exit(1);
}

/* ---- the server ---- */

/* One number is asked, its square answered; every third takes longer. */
static ssize_t square(void *context, const void *request, size_t size,
		      const struct kipc_result *result, void *reply, size_t room)
{
	const struct timespec pause = { .tv_nsec = 5000000 };
	int number, answer;

	(void)context;
	(void)result;
	if (size != sizeof(number) || room < sizeof(answer))
		return -EINVAL;
	memcpy(&number, request, sizeof(number));
	if (number % 3 == 0)
		nanosleep(&pause, NULL);
	answer = number * number;
	memcpy(reply, &answer, sizeof(answer));
	return sizeof(answer);
}

/* ---- the client ---- */

static void start(int fd, int number)
{
	struct iovec out = { &number, sizeof(number) };
	const struct kipc_msg request = {
		.cookie = (uint64_t)number, .iov = &out, .iovcnt = 1,
	};
	/* Never waits. The request is copied; the call may take 10 seconds. */
	int ret = kipc_rpc_start(fd, &request, sizeof(int), NULL, 10000);

	if (ret)
		die("kipc_rpc_start", -ret);
}

/* Collects one that has ended: its square, with its number in *number; or -EAGAIN */
static int collect(int fd, int *number)
{
	int answer;
	struct iovec in = { &answer, sizeof(answer) };
	const struct kipc_msg reply = { .iov = &in, .iovcnt = 1 };
	struct kipc_result result;
	ssize_t ret = kipc_rpc_finish(fd, 0, &reply, &result, 0);

	if (ret == -EAGAIN && !(result.flags & KIPC_RESULT_REMOTE))
		return -EAGAIN;
	if (ret != sizeof(answer))
		die("a call", ret < 0 ? (int)-ret : EPROTO);
	*number = (int)result.cookie;
	return answer;
}

static void run(int fd)
{
	struct pollfd wait = { .fd = fd, .events = POLLPRI };
	long sum = 0;
	int left = CALLS;

	for (int number = 1; number <= CALLS; number++)
		start(fd, number);
	printf("%d calls in flight\n", CALLS);
	while (left) {
		int number, answer;

		/* POLLPRI: one can be collected. A real program waits for more than this. */
		if (poll(&wait, 1, -1) < 0)
			die("poll", errno);
		while (left && (answer = collect(fd, &number)) >= 0) {
			if (answer != number * number)
				die("a wrong answer", EPROTO);
			sum += answer;
			left--;
		}
	}
	printf("all answered, the sum of the squares is %ld\n", sum);
}

int main(void)
{
	int status, client, server = kipc_create(NULL, 0, 0600, NULL);
	struct kipc_endpoint endpoint;
	char address[16];
	pid_t pid;
	int ret;

	if (server < 0)
		die("kipc_create", -server);
	/* It has no name, but an id. */
	ret = kipc_stat(server, 0, &endpoint);
	if (ret)
		die("kipc_stat", -ret);
	snprintf(address, sizeof(address), "id:%u", endpoint.id);
	client = kipc_open(address, KIPC_RIGHT_SEND, 0);
	if (client < 0)
		die("kipc_open", -client);

	pid = fork();
	if (pid < 0)
		die("fork", errno);
	if (pid == 0)
		_exit(kipc_serve(server, 4, square, NULL) ? 1 : 0);
	run(client);
	/* The child received through this very file: that ends its loop. */
	kipc_shutdown(server);
	if (waitpid(pid, &status, 0) != pid || status)
		die("the server", EPROTO);
	printf("the server has ended\n");
	return 0;
}
