// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * named_echo NAME: answers each call with what it was asked, and says who asks. Its
 * endpoint has no address and lets nobody in: clients come by the name only.
 *
 *	./named_echo org.example.echo & ./named_ask org.example.echo hello
 */
#include <kipc.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
	char buf[8192];
	struct kipc_result call = { 0 };
	struct kipc_client client;
	ssize_t size = 0;
	int fd, ret;

	if (argc != 2) {
		fprintf(stderr, "Usage: named_echo NAME\n");
		return 2;
	}
	fd = kipc_create(NULL, 0, 0600, NULL);
	ret = fd < 0 ? fd : kipc_register(argv[1], fd, 5000);
	if (ret) {
		fprintf(stderr, "named_echo: %s: %s\n", argv[1], strerror(-ret));
		return 1;
	}
	while ((size = kipc_reply_recv(fd, buf, (size_t)size, buf, sizeof(buf), &call, -1)) >= 0) {
		if (!kipc_who(call.badge, &client, 1000))
			printf("user %u asks\n", client.uid);
		fflush(stdout);
	}
	fprintf(stderr, "named_echo: %s\n", strerror((int)-size));
	return 1;
}
