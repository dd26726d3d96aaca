// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * ask NAME TEXT: calls the server NAME and prints its answer, or what became of
 * the call.
 */
#include <kipc.h>
#include <stdio.h>
#include <string.h>

/* Where the error comes from: if the server never had the call, it can be made again. */
static const char *fate(const struct kipc_result *result)
{
	if (result->flags & KIPC_RESULT_REMOTE)
		return "the server says so";
	if (result->flags & KIPC_RESULT_DELIVERED)
		return "the server had the call and may have acted";
	return "the server never had the call";
}

static int call(int fd, const char *name, char *text)
{
	char buf[8192];
	struct iovec out = { text, strlen(text) }, in = { buf, sizeof(buf) };
	const struct kipc_msg request = { .iov = &out, .iovcnt = 1 };
	const struct kipc_msg reply = { .iov = &in, .iovcnt = 1 };
	struct kipc_result result;
	ssize_t size = kipc_rpcmsg(fd, &request, &reply, &result, 5000);

	if (size < 0) {
		fprintf(stderr, "ask: %s: %s (%s)\n", name, strerror((int)-size), fate(&result));
		return 1;
	}
	printf("%.*s\n", (int)size, buf);
	return 0;
}

int main(int argc, char **argv)
{
	int fd;

	if (argc != 3) {
		fprintf(stderr, "Usage: ask NAME TEXT\n");
		return 2;
	}
	/* Waits up to 5 seconds for the server to appear. */
	fd = kipc_open(argv[1], KIPC_RIGHT_SEND, 5000);
	if (fd < 0) {
		fprintf(stderr, "ask: %s: %s\n", argv[1], strerror(-fd));
		return 1;
	}
	return call(fd, argv[1], argv[2]);
}
