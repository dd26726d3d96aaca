// SPDX-License-Identifier: GPL-2.0-or-later
/* kipc set: changes an endpoint. */
#include <string.h>

#include "tool.h"

struct arguments {
	const char *address;
	unsigned int what;
	struct kipc_endpoint new;
	struct capacity capacity;
};

static const struct argp_option options[] = {
	{ "mode", 'm', "MODE", 0, "Permissions, octal: r receives, w sends", 0 },
	{ "owner", 'o', "USER", 0, "The owner", 0 },
	{ "group", 'g', "GROUP", 0, "The owner's group", 0 },
	{ "key", 'k', "NUMBER", 0, "The key", 0 },
	{ "no-key", OPTION_NO_KEY, NULL, 0, "It shall have no key", 0 },
	{ "name", 'N', "NAME", 0, "The name", 0 },
	{ "no-name", OPTION_NO_NAME, NULL, 0, "It shall have no name", 0 },
	{ 0 }
};

static void set_name(struct kipc_endpoint *new, const char *name)
{
	check_address(name);
	if (!strncmp(name, "key:", 4) || !strncmp(name, "id:", 3))
		die_usage("a name cannot begin with \"key:\" or \"id:\"");
	memcpy(new->name, name, strlen(name) + 1);
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct arguments *arguments = state->input;
	struct kipc_endpoint *new = &arguments->new;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &arguments->capacity;
		return 0;
	case 'm':
		arguments->what |= KIPC_SET_MODE;
		new->mode = parse_mode(arg);
		return 0;
	case 'o':
		arguments->what |= KIPC_SET_UID;
		new->uid = parse_user(arg);
		return 0;
	case 'g':
		arguments->what |= KIPC_SET_GID;
		new->gid = parse_group(arg);
		return 0;
	case 'k':
		arguments->what |= KIPC_SET_KEY;
		new->key = parse_number("a key", arg, UINT64_MAX);
		if (!new->key)
			die_usage("a key is not 0; --no-key takes it away");
		return 0;
	case OPTION_NO_KEY:
		arguments->what |= KIPC_SET_KEY;
		new->key = 0;
		return 0;
	case 'N':
		arguments->what |= KIPC_SET_NAME;
		set_name(new, arg);
		return 0;
	case OPTION_NO_NAME:
		arguments->what |= KIPC_SET_NAME;
		new->name[0] = 0;
		return 0;
	case ARGP_KEY_ARG:
		if (arguments->address)
			die_usage("one endpoint at a time, not also '%s'", arg);
		arguments->address = arg;
		return 0;
	case ARGP_KEY_END:
		if (!arguments->address)
			die_usage("which endpoint?");
		if (!arguments->what && !capacity_is_set(&arguments->capacity))
			die_usage("what shall change?");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

int command_set(int argc, char **argv)
{
	static const struct argp_child children[] = { { &capacity_argp, 0, NULL, 0 }, { 0 } };
	static const struct argp argp = {
		.options = options, .parser = parse, .args_doc = "ENDPOINT",
		.doc = "Changes an endpoint: all that is asked for, or nothing.",
		.children = children,
	};
	struct arguments arguments = { 0 };
	struct kipc_endpoint old;
	int dev, err;

	parse_arguments(&argp, argc, argv, 0, &arguments);
	dev = open_device();
	err = find_endpoint(dev, arguments.address, &old);
	if (err)
		die_of(err, FINDING, arguments.address);
	if (capacity_is_set(&arguments.capacity)) {
		/* It changes as a whole, and 0 stands for the default there */
		capacity_complete(&arguments.capacity, &old.attr);
		arguments.new.attr = arguments.capacity.attr;
		arguments.what |= KIPC_SET_CAPACITY;
		if (arguments.new.attr.max_bytes < arguments.new.attr.max_size &&
		    !(old.flags & KIPC_ENDPOINT_FIRST_COME))
			die(EXIT_USAGE, "no message of max_size would fit into max_bytes: "
					"change both, --max-bytes=SIZE");
	}
	/* What it shall not have, and has not, is as it shall be */
	if (!arguments.new.key && !old.key)
		arguments.what &= ~KIPC_SET_KEY;
	if (!arguments.new.name[0] && !old.name[0])
		arguments.what &= ~KIPC_SET_NAME;
	if (!arguments.what)
		return EXIT_GOOD;
	err = kipc_set(dev, old.id, arguments.what, &arguments.new);
	if (err)
		die_of(err, CHANGING, arguments.address);
	return EXIT_GOOD;
}
