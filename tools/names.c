// SPDX-License-Identifier: GPL-2.0-or-later
/* kipc names: what kipc-named(8) knows. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <json-c/json.h>

#include "tool.h"

static const struct column columns[] = {
	{ "NAME", "name", false, true },
	{ "OWNER", "owner", false, true },
	{ "GROUP", "group", false, false },
	{ "ENDPOINT", "endpoint", true, true },
	{ "REGISTRATION", "registration", true, false },
};

struct arguments {
	struct listing listing;
	const char *name;
	enum { LIST, LOOK_UP, WATCH } what;
	struct deadline deadline;
	uint64_t count;
};

static const struct argp_option options[] = {
	{ "look-up", 'l', NULL, 0, "Print the address of the endpoint that has this name", 0 },
	{ "watch", 'w', NULL, 0, "Tell when this name is registered and when no longer", 0 },
	{ "deadline", 'd', "TIME", 0,
	  "Wait so long, or until @SECONDS, for the name or a change", 0 },
	{ "count", 'c', "NUMBER", 0, "End after so many changes", 0 },
	{ 0 }
};

static void choose(struct arguments *arguments, int what)
{
	if (arguments->what != LIST && (int)arguments->what != what)
		die_usage("--look-up and --watch are two things");
	arguments->what = what;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct arguments *arguments = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &arguments->listing;
		return 0;
	case 'l':
		choose(arguments, LOOK_UP);
		return 0;
	case 'w':
		choose(arguments, WATCH);
		return 0;
	case 'd':
		parse_deadline(arg, &arguments->deadline);
		return 0;
	case 'c':
		arguments->count = parse_number("a number of changes", arg, UINT64_MAX);
		return 0;
	case ARGP_KEY_ARG:
		if (arguments->name)
			die_usage("one name only");
		arguments->name = arg;
		return 0;
	case ARGP_KEY_END:
		if (arguments->what != LIST && !arguments->name)
			die_usage("which name?");
		if (arguments->what == LIST && arguments->deadline.set)
			die_usage("a list does not wait");
		if (arguments->what != WATCH && arguments->count)
			die_usage("--count is for --watch");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static struct json_object *row(const struct kipc_name *name)
{
	struct json_object *object = need(json_object_new_object());

	json_object_object_add(object, "name", json_object_new_string(name->name));
	json_object_object_add(object, "owner", json_object_new_string(user_name(name->uid)));
	json_object_object_add(object, "group", json_object_new_string(group_name(name->gid)));
	json_object_object_add(object, "endpoint", json_object_new_int64(name->endpoint));
	json_object_object_add(object, "registration",
			       json_object_new_int64((int64_t)name->registration));
	return object;
}

static int list(const struct arguments *arguments)
{
	struct kipc_name names[KIPC_NAMES_ROOM];
	uint64_t cursor = 0;

	do {
		int count = kipc_names(arguments->name, &cursor, names, 0);

		if (count < 0)
			die_of(count, NAMING, arguments->name ? arguments->name : "*");
		for (int i = 0; i < count; i++)
			table_add(arguments->listing.table, row(&names[i]));
	} while (cursor);
	print_listing(&arguments->listing);
	return EXIT_GOOD;
}

static int look_up(const struct arguments *arguments)
{
	struct kipc_endpoint info;
	int fd, err;

	fd = kipc_lookup(arguments->name,
			 arguments->deadline.set ? milliseconds_left(&arguments->deadline) : 0);
	if (fd < 0)
		die_of(fd, NAMING, arguments->name);
	err = kipc_stat(fd, 0, &info);
	close(fd);
	if (err)
		die_of(err, NAMING, arguments->name);
	printf("id:%u\n", info.id);
	return EXIT_GOOD;
}

static void print_change(const struct arguments *arguments, uint64_t registration)
{
	struct json_object *object;

	if (!arguments->listing.json) {
		puts(registration ? "registered" : "not registered");
		fflush(stdout);
		return;
	}
	object = need(json_object_new_object());
	json_object_object_add(object, "name", json_object_new_string(arguments->name));
	json_object_object_add(object, "registration",
			       json_object_new_int64((int64_t)registration));
	print_json_line(object);
}

/* What it is now is told first, whatever it is. */
static int watch(const struct arguments *arguments)
{
	uint64_t registration = 0;
	uint64_t told = 0;
	int ret = kipc_watch(arguments->name, &registration, 0);

	stop_on_signals();
	while (ret >= 0 || (ret == -ETIMEDOUT && !told)) {
		print_change(arguments, registration);
		if (++told == arguments->count || stopped)
			return EXIT_GOOD;
		ret = kipc_watch(arguments->name, &registration,
				 milliseconds_left(&arguments->deadline));
	}
	if (ret == -EINTR && stopped)
		return EXIT_GOOD;
	return warn_of(ret, NAMING, arguments->name);
}

int command_names(int argc, char **argv)
{
	static const struct argp_child children[] = { { &listing_argp, 0, NULL, 0 }, { 0 } };
	static const struct argp argp = {
		.options = options, .parser = parse, .args_doc = "[NAME]",
		.doc = "Lists the names at the naming service that you may look up, those that "
		       "begin with NAME; looks one up; or watches one.",
		.children = children,
	};
	struct arguments arguments = { .listing.table = table_new(columns, COUNT(columns)) };

	table_sort(arguments.listing.table, "NAME");
	parse_arguments(&argp, argc, argv, 0, &arguments);
	/* It says what is wrong if there is none. */
	close(open_device());
	switch (arguments.what) {
	case LOOK_UP:
		return look_up(&arguments);
	case WATCH:
		return watch(&arguments);
	case LIST:
		break;
	}
	return list(&arguments);
}
