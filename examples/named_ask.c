// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * named_ask NAME TEXT: looks up a server by its registered name, for which it waits up
 * to 5 seconds, calls it and prints the answer.
 */
#include <kipc.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
	char reply[8192];
	ssize_t size;
	int fd;

	if (argc != 3) {
		fprintf(stderr, "Usage: named_ask NAME TEXT\n");
		return 2;
	}
	fd = kipc_lookup(argv[1], 5000);
	size = fd < 0 ? fd : kipc_rpc(fd, argv[2], strlen(argv[2]), reply, sizeof(reply), 5000);
	if (size < 0) {
		fprintf(stderr, "named_ask: %s: %s\n", argv[1], strerror((int)-size));
		return 1;
	}
	printf("%.*s\n", (int)size, reply);
	return 0;
}
