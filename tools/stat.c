// SPDX-License-Identifier: GPL-2.0-or-later
/* kipc stat: all that is known of an endpoint. */
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "tool.h"

/* All members of endpoint_json() */
static const struct column columns[] = {
	{ "id", "id", true, true },
	{ "key", "key", false, true },
	{ "name", "name", false, true },
	{ "mode", "mode", false, true },
	{ "owner", "owner", false, true },
	{ "group", "group", false, true },
	{ "creator", "creator", false, true },
	{ "creator group", "creator_group", false, true },
	{ "uid", "uid", true, true },
	{ "gid", "gid", true, true },
	{ "creator uid", "cuid", true, true },
	{ "creator gid", "cgid", true, true },
	{ "flags", "flags", false, true },
	{ "messages", "msgs", true, true },
	{ "bytes", "bytes", true, true },
	{ "calls", "calls", true, true },
	{ "refused", "refused", true, true },
	{ "receivers", "receivers", true, true },
	{ "handles", "handles", true, true },
	{ "waiters", "waiters", true, true },
	{ "max size", "max_size", true, true },
	{ "max messages", "max_msgs", true, true },
	{ "max bytes", "max_bytes", true, true },
	{ "changed", "changed", false, true },
	{ "sent", "sent", false, true },
	{ "received", "received", false, true },
	{ "sender", "sender", true, true },
	{ "receiver", "receiver", true, true },
};

struct arguments {
	char **addresses;
	int count;
	bool json;
};

static const struct argp_option options[] = {
	{ "json", 'J', NULL, 0, "Print JSON", 0 },
	{ 0 }
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct arguments *arguments = state->input;

	(void)arg;
	switch (key) {
	case 'J':
		arguments->json = true;
		return 0;
	case ARGP_KEY_ARGS:
		arguments->addresses = state->argv + state->next;
		arguments->count = state->argc - state->next;
		return 0;
	case ARGP_KEY_NO_ARGS:
		die_usage("which endpoint?");
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static void print(struct json_object *object)
{
	for (size_t i = 0; i < COUNT(columns); i++) {
		struct json_object *value = json_object_object_get(object, columns[i].key);
		const char *bytes = value ? json_object_get_string(value) : "-";
		char *text = printable(bytes, strlen(bytes));

		printf("%-14s %s\n", columns[i].title, text);
		free(text);
	}
	json_object_put(object);
}

int command_stat(int argc, char **argv)
{
	static const struct argp argp = {
		.options = options, .parser = parse, .args_doc = "ENDPOINT...",
		.doc = "Shows all that is known of endpoints.",
	};
	struct table *table = table_new(columns, COUNT(columns));
	struct arguments arguments = { 0 };
	int dev, status = EXIT_GOOD;
	bool first = true;

	parse_arguments(&argp, argc, argv, 0, &arguments);
	dev = open_device();
	for (int i = 0; i < arguments.count; i++) {
		struct kipc_endpoint info;
		int err = find_endpoint(dev, arguments.addresses[i], &info);

		if (err) {
			status = first_error(status,
					     warn_of(err, FINDING, arguments.addresses[i]));
			continue;
		}
		if (arguments.json) {
			table_add(table, endpoint_json(&info));
			continue;
		}
		if (!first)
			putchar('\n');
		first = false;
		print(endpoint_json(&info));
	}
	if (arguments.json)
		table_print_json(table, stdout);
	return status;
}
