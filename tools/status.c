// SPDX-License-Identifier: GPL-2.0-or-later
/* kipc status: whether kipc works here for the caller, and what is wrong if not. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <json-c/json.h>
#include <libkmod.h>

#include "module.h"
#include "tool.h"

/* One line for people, one member of JSON, and how bad it is */
struct report {
	struct json_object *json;
	bool as_json;
	int status;
};

static const struct argp_option options[] = {
	{ "json", 'J', NULL, 0, "Print JSON", 0 },
	{ 0 }
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct report *report = state->input;

	switch (key) {
	case 'J':
		report->as_json = true;
		return 0;
	case ARGP_KEY_ARG:
		die_usage("there is no argument '%s'", arg);
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static void tell(struct report *report, int status, const char *what, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

static void tell(struct report *report, int status, const char *what, const char *format, ...)
{
	const char *colour = status ? "\033[1;31m" : "\033[32m";
	bool colourful = !report->as_json && colours(stdout);
	va_list arguments;
	char *text;
	int n;

	va_start(arguments, format);
	n = vasprintf(&text, format, arguments);
	va_end(arguments);
	if (n < 0)
		die(EXIT_LIMIT, "out of memory");
	report->status = first_error(report->status, status);
	json_object_object_add(report->json, what, json_object_new_string(text));
	if (!report->as_json)
		printf("%s%-11s%s %s\n", colourful ? colour : "", what, colourful ? "\033[0m" : "",
		       text);
	free(text);
}

static void tell_module(struct report *report)
{
	struct kmod_ctx *ctx = kmod_context();
	struct kmod_module *module = find_module(ctx, NULL);
	const char *state = module_state(), *version = module_version();
	char *kernel = NULL;

	json_object_object_add(report->json, "loaded", json_object_new_boolean(!!state));
	if (state)
		tell(report, strcmp(state, "live") ? EXIT_MODULE : 0, "module",
		     "loaded (%s), version %s (this program: %s), %ld reference%s", state,
		     version ? version : "?", KIPC_VERSION, module_references(),
		     module_references() == 1 ? "" : "s");
	else
		tell(report, EXIT_MODULE, "module", "not loaded: 'kipc load' as root loads it");
	/* Not an error: it can be loaded from anywhere */
	if (!module)
		tell(report, 0, "installed", "no, not for kernel %s", running_kernel());
	else if (!is_built_for(module, &kernel))
		tell(report, state ? 0 : EXIT_MODULE, "installed",
		     "%s, but that is for kernel %s, and this is %s: build it anew",
		     kmod_module_get_path(module), kernel ? kernel : "?", running_kernel());
	else
		tell(report, 0, "installed", "%s", kmod_module_get_path(module));
	free(kernel);
	if (module)
		kmod_module_unref(module);
	kmod_unref(ctx);
}

static void tell_device(struct report *report, int dev)
{
	struct stat st;

	if (stat(DEVICE, &st)) {
		tell(report, EXIT_MODULE, "device", "%s: %s", DEVICE, strerror(errno));
		return;
	}
	if (dev < 0)
		tell(report, status_of(dev), "device",
		     "%s, mode %04o, %s:%s: you may not open it: join the group, or see kipc(4) "
		     "on how to let others at it",
		     DEVICE, st.st_mode & 07777, user_name(st.st_uid), group_name(st.st_gid));
	else
		tell(report, 0, "device", "%s, mode %04o, %s:%s", DEVICE, st.st_mode & 07777,
		     user_name(st.st_uid), group_name(st.st_gid));
}

static const char *features_text(uint64_t features)
{
	static const char *const names[] = { "lease", "event", "notify", "files", "restrict" };
	static char text[64];
	char *end = text;

	for (size_t i = 0; i < COUNT(names); i++) {
		if (features & 1ULL << i)
			end += sprintf(end, "%s%s", end == text ? "" : " ", names[i]);
	}
	return end == text ? "-" : text;
}

static void tell_limits(struct report *report, int dev)
{
	struct kipc_limits limits;
	int err = kipc_info(dev, &limits);

	if (err) {
		tell(report, EXIT_MODULE, "interface", "the module does not answer: %s",
		     strerror(-err));
		return;
	}
	if (limits.abi != KIPC_ABI_VERSION)
		tell(report, EXIT_MODULE, "interface",
		     "ABI %u, and this program is for %u: bring module and program to the same "
		     "version",
		     limits.abi, KIPC_ABI_VERSION);
	else
		tell(report, 0, "interface", "ABI %u", limits.abi);
	tell(report, 0, "features", "%s", features_text(limits.features));
	tell(report, 0, "limits",
	     "message %u bytes; endpoint %llu bytes, %u handles, %u waiting; user %u endpoints, "
	     "%llu bytes, %u calls, %u files; namespace %u endpoints",
	     limits.msg_max, (unsigned long long)limits.capacity_max, limits.handles_max,
	     limits.waiters_max, limits.user_endpoints_max,
	     (unsigned long long)limits.user_capacity_max, limits.user_calls_max,
	     limits.user_files_max, limits.endpoints_max);
}

static void tell_endpoints(struct report *report, int dev)
{
	unsigned int count = 0, persistent = 0, without = 0;
	struct kipc_endpoint info;
	uint32_t id = 0;

	while (!kipc_next(dev, id, &id)) {
		if (kipc_stat(dev, id, &info))
			continue;
		count++;
		persistent += !!(info.flags & KIPC_ENDPOINT_PERSIST);
		without += !info.receivers;
	}
	tell(report, 0, "endpoints", "%u that you may see, %u of them persistent, %u without "
				     "receiver",
	     count, persistent, without);
}

static void tell_holders(struct report *report)
{
	size_t size = 0, count;
	struct holder *holders;
	char *text = NULL;
	bool hidden;
	FILE *out;

	count = find_holders(&holders, &hidden);
	out = need(open_memstream(&text, &size));
	for (size_t i = 0; i < count; i++) {
		char *comm = printable(holders[i].comm, strlen(holders[i].comm));

		fprintf(out, "%s%s %d (%s)", i ? ", " : "", comm, holders[i].pid,
			user_name(holders[i].uid));
		free(comm);
	}
	if (hidden)
		fprintf(out, "%sperhaps processes that only root sees", count ? ", " : "");
	if (!count && !hidden)
		fputs("no process", out);
	if (fclose(out))
		die(EXIT_LIMIT, "out of memory");
	tell(report, 0, "in use by", "%s", text);
	free(text);
	free(holders);
}

int command_status(int argc, char **argv)
{
	static const struct argp argp = {
		.options = options, .parser = parse,
		.doc = "Tells whether kipc works here, and what is wrong if it does not.",
	};
	struct report report = { .json = need(json_object_new_object()) };
	int dev;

	parse_arguments(&argp, argc, argv, 0, &report);
	tell_module(&report);
	if (module_state()) {
		dev = kipc_open_device();
		tell_device(&report, dev);
		if (dev >= 0) {
			tell_limits(&report, dev);
			tell_endpoints(&report, dev);
			close(dev);
		}
		tell_holders(&report);
	}
	if (report.as_json)
		print_json(report.json, stdout);
	else
		json_object_put(report.json);
	return report.status;
}
