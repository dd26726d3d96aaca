// SPDX-License-Identifier: GPL-2.0-or-later
/* kipc rm: removes endpoints. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "tool.h"

struct arguments {
	char **addresses;
	int count;
	bool all;
	bool force;
};

static const struct argp_option options[] = {
	{ "all", 'a', NULL, 0,
	  "Remove all that are yours: those you own or created, or as root all you see", 0 },
	{ "force", 'f', NULL, 0, "Ask no question; what does not exist is no error", 0 },
	{ 0 }
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct arguments *arguments = state->input;

	(void)arg;
	switch (key) {
	case 'a':
		arguments->all = true;
		return 0;
	case 'f':
		arguments->force = true;
		return 0;
	case ARGP_KEY_ARGS:
		arguments->addresses = state->argv + state->next;
		arguments->count = state->argc - state->next;
		return 0;
	case ARGP_KEY_END:
		if (!arguments->count == !arguments->all)
			die_usage("name endpoints, or say --all");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static int remove_one(int dev, const char *address, bool force)
{
	struct kipc_endpoint info;
	int err = find_endpoint(dev, address, &info);

	if (err)
		return force && (err == -ENOENT || err == -EIDRM) ? EXIT_GOOD :
			warn_of(err, FINDING, address);
	err = kipc_remove(dev, info.id);
	/* One that has ended meanwhile is gone, as was wanted */
	return err && err != -EIDRM ? warn_of(err, CHANGING, address) : EXIT_GOOD;
}

static bool may_go(size_t count, uint64_t msgs, uint64_t calls)
{
	char answer[16];

	fprintf(stderr,
		"Remove %zu endpoint%s, with %llu message%s and %llu unanswered call%s? [y/N] ",
		count, count == 1 ? "" : "s", (unsigned long long)msgs, msgs == 1 ? "" : "s",
		(unsigned long long)calls, calls == 1 ? "" : "s");
	return fgets(answer, sizeof(answer), stdin) && (answer[0] == 'y' || answer[0] == 'Y');
}

/* Who has made a file is nobody special */
static bool is_own(const struct kipc_endpoint *info)
{
	return info->uid == geteuid() ||
	       (!(info->flags & KIPC_ENDPOINT_MQUEUE) && info->cuid == geteuid());
}

static int remove_all(int dev, bool force)
{
	uint64_t msgs = 0, calls = 0;
	struct kipc_endpoint info;
	uint32_t *ids = NULL, id = 0;
	int status = EXIT_GOOD;
	size_t count = 0;

	while (!kipc_next(dev, id, &id)) {
		if (kipc_stat(dev, id, &info))
			continue;
		if (geteuid() && !is_own(&info))
			continue;
		ids = need(reallocarray(ids, count + 1, sizeof(*ids)));
		ids[count++] = id;
		msgs += info.msgs;
		calls += info.calls;
	}
	if (count && !force && !may_go(count, msgs, calls)) {
		warn("nothing was removed");
		free(ids);
		return EXIT_FAILED;
	}
	for (size_t i = 0; i < count; i++) {
		int err = kipc_remove(dev, ids[i]);
		char address[24];

		if (!err || err == -EIDRM)
			continue;
		snprintf(address, sizeof(address), "id:%u", ids[i]);
		status = first_error(status, warn_of(err, CHANGING, address));
	}
	free(ids);
	return status;
}

int command_rm(int argc, char **argv)
{
	static const struct argp argp = {
		.options = options, .parser = parse, .args_doc = "[ENDPOINT...]",
		.doc = "Removes endpoints. Who waits there is told so, messages are dropped.",
	};
	struct arguments arguments = { 0 };
	int dev, status = EXIT_GOOD;

	parse_arguments(&argp, argc, argv, 0, &arguments);
	dev = open_device();
	if (arguments.all)
		return remove_all(dev, arguments.force);
	for (int i = 0; i < arguments.count; i++)
		status = first_error(status,
				     remove_one(dev, arguments.addresses[i], arguments.force));
	return status;
}
