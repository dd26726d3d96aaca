// SPDX-License-Identifier: GPL-2.0-or-later
/* kipc recv: takes one-way messages, or looks at what is there. */
#include <errno.h>

#include "tool.h"

struct arguments {
	const char *address;
	uint64_t count;
	bool follow;
	bool peek;
	bool create;
	struct creation creation;
	struct kipc_msg selector;
	struct access access;
	struct shown shown;
};

static const struct argp_option options[] = {
	{ "count", 'n', "NUMBER", 0, "Take so many messages; one if not given", 0 },
	{ "follow", 'f', NULL, 0, "Take messages until stopped, or until none came in time", 0 },
	{ "peek", 'k', NULL, 0, "Show what is there now, calls too, and leave it there", 0 },
	{ "create", 'c', NULL, 0, "Make the endpoint if it does not exist; it ends with this "
				  "program", 0 },
	{ "type", 't', "NUMBER", 0, "Only of this type", 1 },
	{ "max-type", OPTION_MAX_TYPE, "NUMBER", 0, "Only up to this type, the lowest first", 1 },
	{ "not-type", OPTION_NOT_TYPE, "NUMBER", 0, "Only of other types", 1 },
	{ 0 }
};

static void set_selector(struct kipc_msg *selector, unsigned int flag, const char *type)
{
	if (selector->flags & (KIPC_TYPE_EQ | KIPC_TYPE_LE | KIPC_TYPE_NE))
		die_usage("there can be one selector");
	selector->flags |= flag;
	selector->type = parse_number("a type", type, UINT64_MAX);
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct arguments *arguments = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &arguments->shown;
		state->child_inputs[1] = &arguments->creation;
		state->child_inputs[2] = &arguments->access;
		return 0;
	case 'n':
		arguments->count = parse_number("a count", arg, UINT64_MAX);
		if (!arguments->count)
			die_usage("a count is not 0");
		return 0;
	case 'f':
		arguments->follow = true;
		return 0;
	case 'k':
		arguments->peek = true;
		return 0;
	case 'c':
		arguments->create = true;
		return 0;
	case 't':
		set_selector(&arguments->selector, KIPC_TYPE_EQ, arg);
		return 0;
	case OPTION_MAX_TYPE:
		set_selector(&arguments->selector, KIPC_TYPE_LE, arg);
		return 0;
	case OPTION_NOT_TYPE:
		set_selector(&arguments->selector, KIPC_TYPE_NE, arg);
		return 0;
	case ARGP_KEY_ARG:
		if (arguments->address)
			die_usage("one endpoint at a time, not also '%s'", arg);
		arguments->address = arg;
		return 0;
	case ARGP_KEY_END:
		if (!arguments->address)
			die_usage("from which endpoint?");
		if (arguments->create && arguments->access.wait)
			die_usage("either --create makes it, or --wait waits for who does");
		if (arguments->follow && (arguments->count || arguments->peek))
			die_usage("--follow goes on; it takes neither --count nor --peek");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static int peek(int fd, struct arguments *arguments, struct room *room)
{
	struct kipc_msg *selector = &arguments->selector;
	uint64_t count = 0;

	selector->flags |= KIPC_PEEK;
	while (!arguments->count || count < arguments->count) {
		struct kipc_result result;
		ssize_t n = receive(fd, room, selector, &result, 0);

		if (n == -EAGAIN)
			break;
		if (n < 0)
			die_of((int)n, RECEIVING, arguments->address);
		/* A peek brings no files along */
		result.nfds = 0;
		show_message(&arguments->shown, &result, room->bytes, (size_t)n, room->fds);
		selector->after = result.token;
		if (selector->flags & KIPC_TYPE_LE)
			selector->after_type = result.type;
		count++;
	}
	return EXIT_GOOD;
}

static int take(int fd, struct arguments *arguments, struct room *room)
{
	struct deadline *deadline = &arguments->access.deadline;
	uint64_t wanted = arguments->count ? arguments->count : 1, count = 0;
	int each = milliseconds_left(deadline);

	/* A call wants a reply, and to end with one unanswered would be an error to its caller */
	arguments->selector.flags |= KIPC_NOCALLS | KIPC_NORESTART;
	/* A signal must not come between a message and its output */
	stop_on_signals();
	while (arguments->follow || count < wanted) {
		struct kipc_result result;
		ssize_t n;

		if (stopped)
			return arguments->follow ? EXIT_GOOD : EXIT_FAILED;
		n = receive(fd, room, &arguments->selector, &result,
			    arguments->follow ? each : milliseconds_left(deadline));
		if (n == -EINTR)
			continue;
		if (arguments->create && arguments->access.wait)
			die_usage("either --create makes it, or --wait waits for who does");
		if (arguments->follow && count && (n == -EAGAIN || n == -ETIMEDOUT))
			return EXIT_GOOD;
		if (n < 0)
			die_of((int)n, RECEIVING, arguments->address);
		show_message(&arguments->shown, &result, room->bytes, (size_t)n, room->fds);
		count++;
	}
	return EXIT_GOOD;
}

int command_recv(int argc, char **argv)
{
	static const struct argp_child children[] = {
		{ &shown_argp, 0, NULL, 0 }, { &receiver_argp, 0, NULL, 0 },
		{ &access_argp, 0, NULL, 0 }, { 0 }
	};
	static const struct argp argp = {
		.options = options, .parser = parse, .args_doc = "ENDPOINT",
		.doc = "Takes messages, and prints them. Calls stay for who can answer them.",
		.children = children,
	};
	struct arguments arguments = { 0 };
	struct kipc_endpoint info;
	struct room room;
	int fd;

	parse_arguments(&argp, argc, argv, 0, &arguments);
	if (arguments.create)
		fd = open_or_create(arguments.address, &arguments.creation, &arguments.access,
				    &info);
	else
		fd = open_endpoint(arguments.address, KIPC_RIGHT_RECV, &arguments.access, &info);
	room_init(&room, &info);
	return (arguments.peek ? peek : take)(fd, &arguments, &room);
}
