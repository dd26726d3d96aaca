// SPDX-License-Identifier: GPL-2.0-or-later
/* kipc call: makes a call and prints its reply. */
#include <stdlib.h>
#include <string.h>

#include "tool.h"

struct arguments {
	bool idempotent;
	struct outgoing outgoing;
	struct shown shown;
	struct access access;
};

static const struct argp_option options[] = {
	{ "idempotent", 'i', NULL, 0,
	  "It may be delivered again if the server dies with it", 0 },
	{ 0 }
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct arguments *arguments = state->input;

	(void)arg;
	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &arguments->outgoing;
		state->child_inputs[1] = &arguments->shown;
		state->child_inputs[2] = &arguments->access;
		return 0;
	case 'i':
		arguments->idempotent = true;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* Whose error it is, and whether something may have happened */
static int fate(int err, const struct kipc_result *result, const char *address)
{
	char *shown;

	if (!(result->flags & (KIPC_RESULT_REMOTE | KIPC_RESULT_DELIVERED)))
		return warn_of(err, CALLING, address);
	shown = printable(address, strlen(address));
	if (result->flags & KIPC_RESULT_REMOTE)
		warn("%s: the server answered with an error: %s (%s)", shown, strerror(-err),
		     error_name(err));
	else
		warn("%s: a server took the call and did not answer, it may have acted: %s (%s)",
		     shown, strerror(-err), error_name(err));
	free(shown);
	return (result->flags & KIPC_RESULT_REMOTE) ? EXIT_REMOTE : EXIT_UNANSWERED;
}

int command_call(int argc, char **argv)
{
	static const struct argp_child children[] = {
		{ &outgoing_argp, 0, NULL, 0 }, { &shown_argp, 0, NULL, 0 },
		{ &access_argp, 0, NULL, 0 }, { 0 }
	};
	static const struct argp argp = {
		.options = options, .parser = parse, .args_doc = "ENDPOINT [TEXT]",
		.doc = "Calls with TEXT, or what a file or standard input holds, and prints the "
		       "reply.",
		.children = children,
	};
	struct arguments arguments = { 0 };
	struct kipc_result result;
	struct kipc_msg call, reply = { .iovcnt = 1 };
	struct kipc_endpoint info;
	struct kipc_limits limits;
	struct iovec iov, reply_iov;
	struct room room;
	size_t size, stored = 0;
	ssize_t n;
	int fd;

	parse_arguments(&argp, argc, argv, 0, &arguments);
	fd = open_endpoint(arguments.outgoing.address, KIPC_RIGHT_SEND, &arguments.access, &info);
	iov.iov_base = read_payload(&arguments.outgoing, info.attr.max_size, &size);
	iov.iov_len = size;
	call = (struct kipc_msg) {
		.type = arguments.outgoing.type,
		.prio = arguments.outgoing.prio,
		.flags = arguments.idempotent ? KIPC_IDEMPOTENT : 0,
		.iov = &iov,
		.iovcnt = 1,
		.fds = arguments.outgoing.nfds ? arguments.outgoing.fds : NULL,
		.nfds = arguments.outgoing.nfds,
	};
	room_init(&room, &info);
	reply_iov = (struct iovec) { .iov_base = room.bytes, .iov_len = room.size };
	reply.iov = &reply_iov;
	/* Of a reply they may come from any endpoint */
	if (!kipc_info(fd, &limits) && limits.features & KIPC_FEATURE_FILES) {
		reply.fds = room.fds;
		reply.nfds = KIPC_FILES_MAX;
	}

	n = kipc_rpcmsg(fd, &call, &reply, &result, milliseconds_left(&arguments.access.deadline));
	free(iov.iov_base);
	/* A server can say more than the error */
	if (n >= 0)
		stored = (size_t)n;
	else if (result.flags & KIPC_RESULT_REMOTE)
		stored = result.size < room.size ? result.size : room.size;
	if (n >= 0 || stored)
		show_message(&arguments.shown, &result, room.bytes, stored, room.fds);
	return n < 0 ? fate((int)n, &result, arguments.outgoing.address) : EXIT_GOOD;
}
