// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Speaks where it is told to, as a program does that trusts its descriptors: by write(2)
 * to the one whose number is its argument, then by the ioctl. Run by rw.c as a setuid
 * program, which is why it takes no other advice.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/ioctl.h>
#include <linux/kipc.h>

int main(int argc, char **argv)
{
	struct kipc_op_send op = { .type = 2, .deadline = KIPC_FOREVER };
	char text[64];
	int fd;

	if (argc != 2)
		return 2;
	fd = atoi(argv[1]);
	snprintf(text, sizeof(text), "%u %u", (unsigned int)getuid(), (unsigned int)geteuid());
	if (write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		return 3;
	op.payload.base = (__u64)(unsigned long)text;
	op.payload.len = strlen(text);
	return ioctl(fd, KIPC_IOC_SEND, &op) ? 4 : 0;
}
