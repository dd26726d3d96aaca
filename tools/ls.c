// SPDX-License-Identifier: GPL-2.0-or-later
/* kipc ls: a table of the endpoints that the caller may see. */
#include <json-c/json.h>

#include "tool.h"

static const struct column columns[] = {
	{ "ID", "id", true, true },
	{ "KEY", "key", true, true },
	{ "NAME", "name", false, true },
	{ "OWNER", "owner", false, true },
	{ "GROUP", "group", false, false },
	{ "CREATOR", "creator", false, false },
	{ "CREATOR-GROUP", "creator_group", false, false },
	{ "MODE", "mode", false, true },
	{ "MSGS", "msgs", true, true },
	{ "BYTES", "bytes", true, true },
	{ "CALLS", "calls", true, true },
	{ "RECEIVERS", "receivers", true, true },
	{ "HANDLES", "handles", true, false },
	{ "WAITERS", "waiters", true, true },
	{ "REFUSED", "refused", true, false },
	{ "MAX-SIZE", "max_size", true, false },
	{ "MAX-MSGS", "max_msgs", true, false },
	{ "MAX-BYTES", "max_bytes", true, false },
	{ "FLAGS", "flags", false, true },
	{ "CHANGED", "changed", false, false },
	{ "SENT", "sent", false, false },
	{ "RECEIVED", "received", false, false },
	{ "SENDER", "sender", true, false },
	{ "RECEIVER", "receiver", true, false },
};

struct arguments {
	struct listing listing;
	char **addresses;
	int count;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct arguments *arguments = state->input;

	(void)arg;
	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &arguments->listing;
		return 0;
	case ARGP_KEY_ARGS:
		arguments->addresses = state->argv + state->next;
		arguments->count = state->argc - state->next;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

int command_ls(int argc, char **argv)
{
	static const struct argp_child children[] = { { &listing_argp, 0, NULL, 0 }, { 0 } };
	static const struct argp argp = {
		.parser = parse, .args_doc = "[ENDPOINT...]",
		.doc = "Lists the endpoints you may see, or those named.",
		.children = children,
	};
	struct arguments arguments = { .listing.table = table_new(columns, COUNT(columns)) };
	struct kipc_endpoint info;
	int dev, status = EXIT_GOOD;
	uint32_t id = 0;

	parse_arguments(&argp, argc, argv, 0, &arguments);
	dev = open_device();
	for (int i = 0; i < arguments.count; i++) {
		int err = find_endpoint(dev, arguments.addresses[i], &info);

		if (err)
			status = first_error(status,
					     warn_of(err, FINDING, arguments.addresses[i]));
		else
			table_add(arguments.listing.table, endpoint_json(&info));
	}
	while (!arguments.count && !kipc_next(dev, id, &id)) {
		/* It may have ended by now */
		if (!kipc_stat(dev, id, &info))
			table_add(arguments.listing.table, endpoint_json(&info));
	}
	print_listing(&arguments.listing);
	return status;
}
