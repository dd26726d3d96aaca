// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A program of queues for tool_run.sh: makes one and leaves it. Whose it is, can be seen where
 * it shows up then.
 *
 *	helper-queue sysv		prints its id
 *	helper-queue posix NAME
 *	helper-queue hold NAME		has it open until a signal ends it
 *	helper-queue remove ID		of System V
 *	helper-queue unlink NAME	of POSIX
 */
#include <fcntl.h>
#include <mqueue.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct mq_attr attr = { .mq_maxmsg = 2, .mq_msgsize = 16 };

	if (argc == 2 && !strcmp(argv[1], "sysv")) {
		int id = msgget(IPC_PRIVATE, 0600);

		if (id < 0) {
			perror("msgget");
			return 1;
		}
		return printf("%d\n", id) < 0;
	}
	if (argc == 3 && (!strcmp(argv[1], "posix") || !strcmp(argv[1], "hold"))) {
		mqd_t queue = mq_open(argv[2], O_CREAT | O_EXCL | O_RDWR, 0600, &attr);

		if (queue == (mqd_t)-1) {
			perror("mq_open");
			return 1;
		}
		if (!strcmp(argv[1], "hold"))
			pause();
		return mq_close(queue);
	}
	if (argc == 3 && !strcmp(argv[1], "remove"))
		return msgctl(atoi(argv[2]), IPC_RMID, NULL) != 0;
	if (argc == 3 && !strcmp(argv[1], "unlink"))
		return mq_unlink(argv[2]) != 0;
	return 2;
}
