// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * echo: answers each call with what it was asked. The whole of a server.
 *
 *	./echo & ./ask echo hello
 */
#include <kipc.h>
#include <stdio.h>
#include <string.h>

int main(void)
{
	char buf[8192];			/* the endpoint's max_size, by default */
	struct kipc_result call = { 0 };	/* nothing is owed yet */
	ssize_t size = 0;
	int fd = kipc_create("echo", KIPC_OPEN_EXCL, 0622, NULL);

	if (fd < 0) {
		fprintf(stderr, "echo: %s\n", strerror(-fd));
		return 1;
	}
	/* Replies to the last call, if there was one, and waits for the next. */
	while ((size = kipc_reply_recv(fd, buf, (size_t)size, buf, sizeof(buf), &call, -1)) >= 0)
		;
	fprintf(stderr, "echo: %s\n", strerror((int)-size));
	return 1;
}
