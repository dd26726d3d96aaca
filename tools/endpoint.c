// SPDX-License-Identifier: GPL-2.0-or-later
/* Which endpoint is meant, and whether to trust it. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "tool.h"

/* A hint for who has no device: no endpoint is the matter */
static void die_of_device(int err)
{
	if (err == -ENOENT || err == -ENXIO || err == -ENODEV)
		die(EXIT_MODULE, "there is no %s: the module is not loaded; 'kipc load' loads it, "
				 "'kipc status' says what is wrong",
		    DEVICE);
	if (err == -EACCES)
		die(EXIT_DENIED, "you may not open %s; join its group, or let an administrator "
				 "change its mode, see kipc(4); 'kipc status' shows both",
		    DEVICE);
	die(status_of(err), "%s: %s", DEVICE, strerror(-err));
}

int open_device(void)
{
	int dev = kipc_open_device();

	if (dev < 0)
		die_of_device(dev);
	return dev;
}

int find_endpoint(int dev, const char *address, struct kipc_endpoint *info)
{
	uint64_t key = 0;
	uint32_t id = 0;
	int err;

	check_address(address);
	if (!strncmp(address, "id:", 3))
		return kipc_stat(dev, (uint32_t)parse_number("an id", address + 3, INT32_MAX),
				 info);
	if (!strncmp(address, "key:", 4))
		key = parse_number("a key", address + 4, UINT64_MAX);
	/* An open handle would do it in one step, but count as one while others look */
	while (!kipc_next(dev, id, &id)) {
		if (kipc_stat(dev, id, info))
			continue;
		if (key ? info->key == key : !strcmp(info->name, address))
			return 0;
	}
	/* There may be one which this user may not see */
	err = kipc_open(address, KIPC_RIGHT_SEND | KIPC_OPEN_ANY_OWNER, 0);
	if (err >= 0) {
		int fd = err;

		err = kipc_stat(fd, 0, info);
		close(fd);
	}
	return err;
}

static unsigned int trust(const struct access *access)
{
	return access->any_owner || access->has_owner ? KIPC_OPEN_ANY_OWNER : 0;
}

/* Looks at who made it before anything is said to it */
static int checked(int fd, const char *address, const struct access *access,
		   struct kipc_endpoint *info)
{
	int err = kipc_stat(fd, 0, info);
	char *shown;

	if (err)
		die_of(err, OPENING, address);
	if (!access->has_owner || info->cuid == access->owner)
		return fd;
	shown = printable(address, strlen(address));
	die(EXIT_DENIED, "%s: it was created by %s, not by the user that --owner names", shown,
	    user_name(info->cuid));
}

int open_endpoint(const char *address, unsigned int rights, const struct access *access,
		  struct kipc_endpoint *info)
{
	int fd;

	check_address(address);
	/* Without the device it is not the endpoint that is missing */
	close(open_device());
	fd = kipc_open(address, rights | trust(access),
		       access->wait ? milliseconds_left(&access->deadline) : 0);
	if (fd < 0)
		die_of(fd, OPENING, address);
	return checked(fd, address, access, info);
}

int open_or_create(const char *address, const struct creation *creation,
		   const struct access *access, struct kipc_endpoint *info)
{
	int fd;

	check_address(address);
	close(open_device());
	do {
		/* Not in one step: that would want the right to send and to control, too */
		fd = kipc_open(address, KIPC_RIGHT_RECV | trust(access), 0);
		if (fd != -ENOENT)
			break;
		fd = kipc_create(address, KIPC_OPEN_EXCL | creation->flags, creation->mode,
				 &creation->capacity.attr);
		if (fd < 0 && fd != -EEXIST)
			die_of(fd, CREATING, address);
	} while (fd == -EEXIST);
	if (fd < 0)
		die_of(fd, OPENING, address);
	return checked(fd, address, access, info);
}

/* Whom to trust */

static const struct argp_option trust_options[] = {
	{ "owner", 'o', "USER", 0, "Trust an endpoint that USER created, and no other", 10 },
	{ "any-owner", 'A', NULL, 0, "Trust an endpoint whoever created it", 10 },
	{ 0 }
};

static error_t parse_trust(int key, char *arg, struct argp_state *state)
{
	struct access *access = state->input;

	switch (key) {
	case 'o':
		access->has_owner = true;
		access->owner = parse_user(arg);
		return 0;
	case 'A':
		access->any_owner = true;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

const struct argp trust_argp = { .options = trust_options, .parser = parse_trust };

/* ... and how long to wait */

static const struct argp_option access_options[] = {
	{ "wait", 'w', NULL, 0, "Wait until the endpoint appears", 10 },
	{ "deadline", 'd', "TIME", 0,
	  "How long it may take: 500ms, 2.5s, 10min, 0 for not to wait, @SECONDS for a time of "
	  "day; or never, which is the default", 10 },
	{ 0 }
};

static error_t parse_access(int key, char *arg, struct argp_state *state)
{
	struct access *access = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = access;
		return 0;
	case 'w':
		access->wait = true;
		return 0;
	case 'd':
		parse_deadline(arg, &access->deadline);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_child access_children[] = { { &trust_argp, 0, NULL, 0 }, { 0 } };

const struct argp access_argp = {
	.options = access_options, .parser = parse_access, .children = access_children,
};
