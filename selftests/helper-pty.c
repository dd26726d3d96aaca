// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * helper-pty COMMAND [ARGUMENT...]: runs a command on a terminal of 24 lines and 100 columns,
 * to which it types what it reads from standard input, and prints what appears there. Its
 * status is the command's.
 */
#include <errno.h>
#include <poll.h>
#include <pty.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	const struct winsize size = { .ws_row = 24, .ws_col = 100 };
	int terminal, status, input = STDIN_FILENO;
	pid_t pid;

	if (argc < 2)
		return 2;
	pid = forkpty(&terminal, NULL, NULL, &size);
	if (pid < 0)
		return 1;
	if (!pid) {
		execvp(argv[1], argv + 1);
		_exit(127);
	}
	for (;;) {
		struct pollfd polled[2] = {
			{ .fd = terminal, .events = POLLIN }, { .fd = input, .events = POLLIN },
		};
		char text[4096];
		ssize_t n;

		if (poll(polled, 2, -1) < 0)
			break;
		if (polled[1].revents) {
			n = read(input, text, sizeof(text));
			if (n <= 0)
				input = -1;
			else if (write(terminal, text, (size_t)n) < 0)
				break;
		}
		if (polled[0].revents) {
			/* EIO: the command has closed it */
			n = read(terminal, text, sizeof(text));
			if (n <= 0)
				break;
			fwrite(text, 1, (size_t)n, stdout);
			fflush(stdout);
		}
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
