// SPDX-License-Identifier: GPL-2.0-or-later
/* The options that shape a new endpoint. */
#include "tool.h"

/* How much it holds */

static const struct argp_option capacity_options[] = {
	{ "max-size", OPTION_MAX_SIZE, "SIZE", 0, "Largest message, in bytes", 5 },
	{ "max-msgs", OPTION_MAX_MSGS, "NUMBER", 0, "Most messages queued", 5 },
	{ "max-bytes", OPTION_MAX_BYTES, "SIZE", 0, "Most bytes queued", 5 },
	{ 0 }
};

static error_t parse_capacity(int key, char *arg, struct argp_state *state)
{
	struct capacity *capacity = state->input;

	switch (key) {
	case OPTION_MAX_SIZE:
		capacity->has_max_size = true;
		capacity->attr.max_size = (uint32_t)parse_size("--max-size", arg, UINT32_MAX);
		return 0;
	case OPTION_MAX_MSGS:
		capacity->has_max_msgs = true;
		capacity->attr.max_msgs = (uint32_t)parse_number("--max-msgs", arg, UINT32_MAX);
		return 0;
	case OPTION_MAX_BYTES:
		capacity->has_max_bytes = true;
		capacity->attr.max_bytes = parse_size("--max-bytes", arg, UINT64_MAX);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

const struct argp capacity_argp = { .options = capacity_options, .parser = parse_capacity };

bool capacity_is_set(const struct capacity *capacity)
{
	return capacity->has_max_size || capacity->has_max_msgs || capacity->has_max_bytes;
}

void capacity_complete(struct capacity *capacity, const struct kipc_attr *old)
{
	if (!capacity->has_max_size)
		capacity->attr.max_size = old->max_size;
	if (!capacity->has_max_msgs)
		capacity->attr.max_msgs = old->max_msgs;
	if (!capacity->has_max_bytes)
		capacity->attr.max_bytes = old->max_bytes;
}

/* ... and who may use it */

static const struct argp_option creation_options[] = {
	{ "mode", 'm', "MODE", 0,
	  "Permissions of a new endpoint, octal: r receives, w sends; 600 if not given", 4 },
	{ 0 }
};

static error_t parse_creation(int key, char *arg, struct argp_state *state)
{
	struct creation *creation = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		creation->mode = 0600;
		state->child_inputs[0] = &creation->capacity;
		return 0;
	case 'm':
		creation->mode = parse_mode(arg);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_child creation_children[] = { { &capacity_argp, 0, NULL, 0 }, { 0 } };

const struct argp creation_argp = {
	.options = creation_options, .parser = parse_creation, .children = creation_children,
};

/* ... of who receives there, without which none takes files */

static const struct argp_option receiver_options[] = {
	{ "files", OPTION_FILES, NULL, 0, "A new endpoint takes files", 4 },
	{ 0 }
};

static error_t parse_receiver(int key, char *arg, struct argp_state *state)
{
	struct creation *creation = state->input;

	(void)arg;
	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = creation;
		return 0;
	case OPTION_FILES:
		creation->flags |= KIPC_OPEN_FILES;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_child receiver_children[] = { { &creation_argp, 0, NULL, 0 }, { 0 } };

const struct argp receiver_argp = {
	.options = receiver_options, .parser = parse_receiver, .children = receiver_children,
};
