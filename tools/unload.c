// SPDX-License-Identifier: GPL-2.0-or-later
/* kipc unload: unloads the module, or says who keeps it. */
#include <errno.h>
#include <string.h>

#include <libkmod.h>

#include "module.h"
#include "tool.h"

#define RETRY_MS	100

struct arguments {
	struct deadline deadline;
};

static const struct argp_option options[] = {
	{ "deadline", 'd', "TIME", 0, "How long to wait until nobody uses it; 0 if not given", 0 },
	{ 0 }
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct arguments *arguments = state->input;

	switch (key) {
	case 'd':
		parse_deadline(arg, &arguments->deadline);
		return 0;
	case ARGP_KEY_ARG:
		die_usage("there is one module, and no argument '%s'", arg);
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

int command_unload(int argc, char **argv)
{
	static const struct argp argp = {
		.options = options, .parser = parse,
		.doc = "Unloads the module. If it is in use, tells by whom.",
	};
	struct arguments arguments = { .deadline = { .set = true, .never_wait = true } };
	struct kmod_module *module;
	struct kmod_ctx *ctx;
	int err;

	parse_arguments(&argp, argc, argv, 0, &arguments);
	if (!module_state())
		return EXIT_GOOD;
	ctx = kmod_context();
	err = kmod_module_new_from_name(ctx, MODULE, &module);
	if (err < 0)
		die(EXIT_FAILED, "%s", strerror(-err));
	for (;;) {
		err = kmod_module_remove_module(module, KMOD_REMOVE_NOWAIT);
		if ((err != -EAGAIN && err != -EBUSY) ||
		    (arguments.deadline.set && milliseconds_left(&arguments.deadline) <= 1))
			break;
		pause_ms(RETRY_MS);
	}
	kmod_module_unref(module);
	kmod_unref(ctx);
	switch (-err) {
	case 0:
	case ENOENT:
		return EXIT_GOOD;
	case EPERM:
		die(EXIT_DENIED, "only root may unload a module");
	case EAGAIN:
	case EBUSY:
		warn("the module is in use; end or remove what keeps it:");
		print_holders(stderr, "  ");
		return EXIT_MODULE;
	default:
		die(EXIT_MODULE, "the module cannot be unloaded: %s", strerror(-err));
	}
}
