// SPDX-License-Identifier: GPL-2.0-or-later
/* kipc mk: makes a persistent endpoint. */
#include <string.h>
#include <unistd.h>

#include "tool.h"

struct arguments {
	const char *address;
	const char *key;
	struct creation creation;
};

static const struct argp_option options[] = {
	{ "key", 'k', "NUMBER", 0, "The key it shall have", 0 },
	{ "rendezvous", OPTION_RENDEZVOUS, NULL, 0, "A send waits for a receiver", 6 },
	{ "oneway", OPTION_ONEWAY, NULL, 0, "It takes no calls", 6 },
	{ "first-come", OPTION_FIRST_COME, NULL, 0,
	  "Any user who may send can fill it: no part of it is kept free for others", 6 },
	{ 0 }
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct arguments *arguments = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &arguments->creation;
		return 0;
	case 'k':
		if (!parse_number("a key", arg, UINT64_MAX))
			die_usage("a key is not 0");
		arguments->key = arg;
		return 0;
	case OPTION_RENDEZVOUS:
		arguments->creation.flags |= KIPC_OPEN_RENDEZVOUS;
		return 0;
	case OPTION_ONEWAY:
		arguments->creation.flags |= KIPC_OPEN_ONEWAY;
		return 0;
	case OPTION_FIRST_COME:
		arguments->creation.flags |= KIPC_OPEN_FIRST_COME;
		return 0;
	case ARGP_KEY_ARG:
		if (arguments->address)
			die_usage("one endpoint at a time, not also '%s'", arg);
		check_address(arg);
		if (!strncmp(arg, "id:", 3))
			die_usage("the module chooses the id; give a name or a key");
		arguments->address = arg;
		return 0;
	case ARGP_KEY_END:
		if (!arguments->address && !arguments->key)
			die_usage("give a name or a key");
		if (arguments->address && arguments->key && !strncmp(arguments->address, "key:", 4))
			die_usage("it can have one key");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* A name or a key is given when it is made, the other one after that */
static void add_key(int fd, struct arguments *arguments)
{
	struct kipc_endpoint new = { .key = parse_number("a key", arguments->key, UINT64_MAX) };
	int err = kipc_set(fd, 0, KIPC_SET_KEY, &new);

	if (!err)
		return;
	kipc_remove(fd, 0);
	die_of(err, CREATING, arguments->address);
}

int command_mk(int argc, char **argv)
{
	static const struct argp_child children[] = { { &creation_argp, 0, NULL, 0 }, { 0 } };
	static const struct argp argp = {
		.options = options, .parser = parse, .args_doc = "[ENDPOINT]",
		.doc = "Makes an endpoint that lives until it is removed, and prints its address.",
		.children = children,
	};
	struct arguments arguments = { 0 };
	struct kipc_endpoint info;
	char key[64];
	int fd, err;

	parse_arguments(&argp, argc, argv, 0, &arguments);
	if (!arguments.address) {
		snprintf(key, sizeof(key), "key:%s", arguments.key);
		arguments.address = key;
		arguments.key = NULL;
	}
	close(open_device());
	fd = kipc_create(arguments.address,
			 KIPC_OPEN_EXCL | KIPC_OPEN_PERSIST | arguments.creation.flags,
			 arguments.creation.mode, &arguments.creation.capacity.attr);
	if (fd < 0)
		die_of(fd, CREATING, arguments.address);
	if (arguments.key)
		add_key(fd, &arguments);
	err = kipc_stat(fd, 0, &info);
	if (err)
		die_of(err, CREATING, arguments.address);
	close(fd);
	printf("id:%u\n", info.id);
	return EXIT_GOOD;
}
