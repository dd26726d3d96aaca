// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * log [-u] TEXT...: sends each text to logd as a line of its own; with -u before
 * what others have sent.
 */
#include <kipc.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
	int urgent = argc > 1 && !strcmp(argv[1], "-u");
	int fd, ret;

	fd = kipc_open("log", KIPC_RIGHT_SEND, 5000);
	if (fd < 0) {
		fprintf(stderr, "log: %s\n", strerror(-fd));
		return 1;
	}
	for (int i = 1 + urgent; i < argc; i++) {
		struct iovec text = { argv[i], strlen(argv[i]) };
		const struct kipc_msg line = {
			.prio = urgent ? 1 : 0, .iov = &text, .iovcnt = 1,
		};

		/* Waits for up to a second if the queue is full. */
		ret = kipc_sendmsg(fd, &line, 1000);
		if (ret) {
			fprintf(stderr, "log: %s: %s\n", argv[i], strerror(-ret));
			return 1;
		}
	}
	return 0;
}
