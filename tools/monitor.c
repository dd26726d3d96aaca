// SPDX-License-Identifier: GPL-2.0-or-later
/* kipc monitor: what happens to messages, as the module's tracepoints tell it. */
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "tool.h"

/* Waking says nothing about an endpoint, and there is much of it */
#define UNUSUAL		(1U << 8)
#define NAMES		4096	/* of endpoints, remembered */

struct monitor {
	unsigned int which;
	uint64_t count;		/* 0: any number */
	bool json;
	uint32_t *ids;		/* endpoints asked for; none: all */
	size_t id_count;
	char **addresses;
	int address_count;
	int dev;
	uint64_t shown;
	uint64_t lost;
	struct {
		uint32_t id;
		char *name;
	} names[NAMES];
};

static const struct argp_option options[] = {
	{ "event", 'e', "LIST", 0,
	  "Only these, send,reply: of send, call, block, claim, deliver, reply, drop, remove, "
	  "wake; all but wake if not given", 0 },
	{ "count", 'n', "NUMBER", 0, "End after so many events", 0 },
	{ "json", 'J', NULL, 0, "Print JSON, one line for each", 0 },
	{ 0 }
};

static unsigned int parse_events(const char *list)
{
	unsigned int which = 0;

	while (*list) {
		size_t length = strcspn(list, ","), i;

		for (i = 0; trace_events[i]; i++) {
			if (strlen(trace_events[i]) == length &&
			    !strncmp(trace_events[i], list, length))
				break;
		}
		if (!trace_events[i])
			die_usage("there is no event '%.*s'", (int)length, list);
		which |= 1U << i;
		list += length;
		if (*list)
			list++;
	}
	if (!which)
		die_usage("which events?");
	return which;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct monitor *monitor = state->input;

	switch (key) {
	case 'e':
		monitor->which = parse_events(arg);
		return 0;
	case 'n':
		monitor->count = parse_number("a count", arg, UINT64_MAX);
		if (!monitor->count)
			die_usage("a count is not 0");
		return 0;
	case 'J':
		monitor->json = true;
		return 0;
	case ARGP_KEY_ARGS:
		monitor->addresses = state->argv + state->next;
		monitor->address_count = state->argc - state->next;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* The name of an endpoint, NULL if it has none or has ended before it was asked for */
static const char *name_of(struct monitor *monitor, uint32_t id)
{
	size_t slot = id % NAMES;
	struct kipc_endpoint info;

	if (monitor->names[slot].id == id)
		return monitor->names[slot].name;
	if (kipc_stat(monitor->dev, id, &info))
		return NULL;
	free(monitor->names[slot].name);
	monitor->names[slot].id = id;
	monitor->names[slot].name = info.name[0] ? printable(info.name, strlen(info.name)) : NULL;
	return monitor->names[slot].name;
}

static void add_number(struct json_object *object, const char *key, uint64_t value)
{
	json_object_object_add(object, key, json_object_new_uint64(value));
}

static void add_text(struct json_object *object, const char *key, const char *text)
{
	json_object_object_add(object, key, json_object_new_string(text));
}

static bool has_message(const struct trace_event *event)
{
	return strcmp(event->name, "remove") && strcmp(event->name, "wake");
}

static void show_json(struct monitor *monitor, const struct trace_event *event)
{
	struct json_object *object = need(json_object_new_object());
	char *comm = printable(event->comm, strlen(event->comm));

	json_object_object_add(object, "monotonic_ns", json_object_new_int64(event->time));
	add_text(object, "event", event->name);
	if (event->endpoint) {
		const char *name = name_of(monitor, event->endpoint);

		add_number(object, "endpoint", event->endpoint);
		json_object_object_add(object, "name", name ? json_object_new_string(name) : NULL);
	}
	if (has_message(event)) {
		add_number(object, "type", event->type);
		add_number(object, "prio", event->prio);
		add_number(object, "size", event->size);
		add_number(object, "uid", event->uid);
		json_object_object_add(object, "call", json_object_new_boolean(event->call));
		if (event->error)
			add_text(object, "error", error_name(event->error));
	} else if (event->endpoint) {
		add_number(object, "msgs", event->msgs);
		add_number(object, "calls", event->calls);
		add_number(object, "waiters", event->waiters);
	} else {
		json_object_object_add(object, "woken", json_object_new_int(event->woken));
	}
	json_object_object_add(object, "pid", json_object_new_int(event->pid));
	add_text(object, "comm", comm);
	free(comm);
	print_json_line(object);
}

static void show_text(struct monitor *monitor, const struct trace_event *event)
{
	char *comm = printable(event->comm, strlen(event->comm));
	bool bad = event->error || !strcmp(event->name, "drop");
	bool colour = bad && colours(stdout);

	print_time(stdout, event->time);
	printf(" %s%-7s%s ", colour ? "\033[31m" : "", event->name, colour ? "\033[0m" : "");
	if (event->endpoint) {
		const char *name = name_of(monitor, event->endpoint);

		printf(" id:%u %s", event->endpoint, name ? name : "-");
	}
	if (has_message(event)) {
		printf(" %s of %s type %llu prio %u size %llu", event->call ? "call" : "message",
		       user_name(event->uid), (unsigned long long)event->type, event->prio,
		       (unsigned long long)event->size);
		if (event->error)
			printf(" %s", error_name(event->error));
	} else if (event->endpoint) {
		printf(" with %u messages, %u calls, %u waiting", event->msgs, event->calls,
		       event->waiters);
	} else {
		printf(" process %d", event->woken);
	}
	printf(" (%s %d)\n", comm, event->pid);
	free(comm);
}

static void take(void *context, const struct trace_event *event)
{
	struct monitor *monitor = context;
	bool wanted = !monitor->id_count;

	for (size_t i = 0; i < monitor->id_count && !wanted; i++)
		wanted = monitor->ids[i] == event->endpoint;
	if (!wanted || (monitor->count && monitor->shown == monitor->count))
		return;
	monitor->shown++;
	if (monitor->json)
		show_json(monitor, event);
	else
		show_text(monitor, event);
	/* A new endpoint can have the id one day */
	if (!strcmp(event->name, "remove"))
		monitor->names[event->endpoint % NAMES].id = 0;
}

static int watch(struct monitor *monitor, struct trace *trace)
{
	sigset_t stops, before;

	sigemptyset(&stops);
	sigaddset(&stops, SIGINT);
	sigaddset(&stops, SIGTERM);
	sigaddset(&stops, SIGHUP);
	sigprocmask(SIG_BLOCK, &stops, &before);
	while (!stopped && (!monitor->count || monitor->shown < monitor->count)) {
		/* A pipe of events is ready when it is half full; a time shows them sooner */
		const struct timespec wait = { .tv_nsec = 100000000 };
		struct pollfd polled = { .fd = trace_fd(trace), .events = POLLIN };

		if (ppoll(&polled, 1, &wait, &before) < 0)
			continue;
		trace_read(trace, take, monitor);
		if (finish_output(EXIT_GOOD))
			return EXIT_FAILED;
		if (trace_lost(trace) != monitor->lost)
			warn("%llu events were lost: there are more than can be shown",
			     (unsigned long long)(trace_lost(trace) - monitor->lost));
		monitor->lost = trace_lost(trace);
	}
	return EXIT_GOOD;
}

int command_monitor(int argc, char **argv)
{
	static const struct argp argp = {
		.options = options, .parser = parse, .args_doc = "[ENDPOINT...]",
		.doc = "Shows what happens to messages, live: of these endpoints, or of all.",
	};
	static struct monitor monitor;
	struct trace *trace;
	int status;
	char *why;

	monitor.which = ~UNUSUAL;
	parse_arguments(&argp, argc, argv, 0, &monitor);
	monitor.dev = open_device();
	monitor.ids = need(calloc((size_t)monitor.address_count + 1, sizeof(*monitor.ids)));
	for (int i = 0; i < monitor.address_count; i++) {
		struct kipc_endpoint info;
		int err = find_endpoint(monitor.dev, monitor.addresses[i], &info);

		if (err)
			die_of(err, FINDING, monitor.addresses[i]);
		monitor.ids[monitor.id_count++] = info.id;
	}
	/* From here on there is something to be removed at the end */
	stop_on_signals();
	trace = trace_open(monitor.which, &why, &status);
	if (!trace)
		die(status, "%s", why);
	return watch(&monitor, trace);
}
