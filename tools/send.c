// SPDX-License-Identifier: GPL-2.0-or-later
/* kipc send: sends one message, or one for each line. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tool.h"

struct arguments {
	bool lines;
	bool sync;
	struct outgoing outgoing;
	struct access access;
};

static const struct argp_option options[] = {
	{ "lines", 'l', NULL, 0, "Send each line as a message of its own, without its newline", 0 },
	{ "sync", 's', NULL, 0, "Wait until a receiver has taken it", 0 },
	{ 0 }
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct arguments *arguments = state->input;

	(void)arg;
	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &arguments->outgoing;
		state->child_inputs[1] = &arguments->access;
		return 0;
	case 'l':
		arguments->lines = true;
		return 0;
	case 's':
		arguments->sync = true;
		return 0;
	case ARGP_KEY_END:
		if (arguments->outgoing.text && arguments->lines)
			die_usage("lines come from a file or standard input, not from an argument");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static void send_one(int fd, struct arguments *arguments, char *bytes, size_t size)
{
	struct iovec iov = { .iov_base = bytes, .iov_len = size };
	const struct kipc_msg msg = {
		.type = arguments->outgoing.type,
		.prio = arguments->outgoing.prio,
		.flags = arguments->sync ? KIPC_SYNC : 0,
		.iov = &iov,
		.iovcnt = 1,
		.fds = arguments->outgoing.nfds ? arguments->outgoing.fds : NULL,
		.nfds = arguments->outgoing.nfds,
	};
	int err = kipc_sendmsg(fd, &msg, milliseconds_left(&arguments->access.deadline));

	if (err)
		die_of(err, SENDING, arguments->outgoing.address);
}

static void send_lines(int fd, struct arguments *arguments)
{
	const char *name = arguments->outgoing.file;
	FILE *file = stdin;
	char *line = NULL;
	size_t room = 0;
	ssize_t n;

	if (name && strcmp(name, "-")) {
		file = fopen(name, "re");
		if (!file)
			die(EXIT_FAILED, "%s: %s", name, strerror(errno));
	}
	while ((n = getline(&line, &room, file)) >= 0) {
		if (n && line[n - 1] == '\n')
			n--;
		send_one(fd, arguments, line, (size_t)n);
	}
	if (ferror(file))
		die(EXIT_FAILED, "%s: %s", file == stdin ? "standard input" : name,
		    strerror(errno));
	free(line);
	if (file != stdin && fclose(file))
		die(EXIT_FAILED, "%s: %s", name, strerror(errno));
}

int command_send(int argc, char **argv)
{
	static const struct argp_child children[] = {
		{ &outgoing_argp, 0, NULL, 0 }, { &access_argp, 0, NULL, 0 }, { 0 }
	};
	static const struct argp argp = {
		.options = options, .parser = parse, .args_doc = "ENDPOINT [TEXT]",
		.doc = "Sends TEXT, or what a file or standard input holds, as a message.",
		.children = children,
	};
	struct arguments arguments = { 0 };
	struct kipc_endpoint info;
	size_t size;
	char *bytes;
	int fd;

	parse_arguments(&argp, argc, argv, 0, &arguments);
	fd = open_endpoint(arguments.outgoing.address, KIPC_RIGHT_SEND, &arguments.access, &info);
	if (arguments.lines) {
		send_lines(fd, &arguments);
		return EXIT_GOOD;
	}
	bytes = read_payload(&arguments.outgoing, info.attr.max_size, &size);
	send_one(fd, &arguments, bytes, size);
	free(bytes);
	return EXIT_GOOD;
}
