// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What is kept for who comes after: the endpoint, the state, and the handles.
 *
 * The service manager keeps them in its store (sd_notify(3), FDSTORE): then not even a
 * crash loses a name. It lets go of a handle by itself when that polls HUP. A process
 * that is started in our place by exec inherits them, and reads their numbers in the
 * state.
 *
 * The names of all that is in the store come back in one environment variable, which
 * cannot be longer than 128 KiB: handles of slots from KEPT_MAX on are not stored, and
 * the names are short, a slot's number to the base of 36.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <systemd/sd-daemon.h>

#include "named.h"

#define KEPT_MAX	30000	/* of at most three digits, and a colon each */
#define DIGITS		36
#define NAME_ROOM	16
#define ENDPOINT_NAME	"endpoint"
#define STATE_NAME	"state-1"	/* a new layout is another name */

static bool managed;

void keep_start(void)
{
	managed = getenv("NOTIFY_SOCKET");
}

static void store(int fd, const char *name)
{
	char message[64];

	snprintf(message, sizeof(message), "FDSTORE=1\nFDNAME=%s", name);
	if (sd_pid_notify_with_fds(0, 0, message, &fd, 1) < 0)
		complain("the service manager does not take %s", name);
}

static void slot_name(uint32_t slot, char *name)
{
	static const char digit[DIGITS + 1] = "0123456789abcdefghijklmnopqrstuvwxyz";
	char reversed[NAME_ROOM];
	int size = 0;

	do {
		reversed[size++] = digit[slot % DIGITS];
		slot /= DIGITS;
	} while (slot);
	while (size)
		*name++ = reversed[--size];
	*name = '\0';
}

void keep_handle(uint32_t slot)
{
	char name[NAME_ROOM];

	if (!managed)
		return;
	if (slot >= KEPT_MAX) {
		complain("%s: too many names, a restart will lose this one",
			 state->names[slot].name);
		return;
	}
	slot_name(slot, name);
	store(state->names[slot].fd, name);
}

void keep_drop(uint32_t slot)
{
	char name[NAME_ROOM];

	if (!managed || slot >= KEPT_MAX)
		return;
	slot_name(slot, name);
	sd_notifyf(0, "FDSTOREREMOVE=1\nFDNAME=%s", name);
}

void keep_state(int endpoint)
{
	if (!managed)
		return;
	store(endpoint, ENDPOINT_NAME);
	store(state_fd, STATE_NAME);
}

/* A slot's number, NONE: it is none */
static uint32_t slot_of(const char *name)
{
	char *end;
	unsigned long slot;

	if (!*name || strlen(name) > 4 || strspn(name, "0123456789abcdefghijklmnopqrstuvwxyz") !=
	    strlen(name))
		return NONE;
	slot = strtoul(name, &end, DIGITS);
	return slot < NAMES_MAX ? (uint32_t)slot : NONE;
}

/* Of what was kept, @fd for each slot; -1: none */
static void restore(const int *handle)
{
	unsigned int live = 0, dead = 0;

	for (uint32_t slot = 0; slot < NAMES_MAX; slot++) {
		int fd = handle[slot];

		if (!state->names[slot].registration) {
			if (fd >= 0) {
				keep_drop(slot);
				close(fd);
			}
			continue;
		}
		if (names_restore(slot, fd)) {
			live++;
			continue;
		}
		dead++;
		keep_drop(slot);
		if (fd >= 0)
			close(fd);
	}
	note("took over %u names; %u have ended", live, dead);
}

static int *no_handles(void)
{
	int *handle = malloc(NAMES_MAX * sizeof(*handle));

	if (!handle)
		fail("memory: %s", strerror(errno));
	for (uint32_t slot = 0; slot < NAMES_MAX; slot++)
		handle[slot] = -1;
	return handle;
}

/* Is it a handle with every right that we would have made? */
static bool is_endpoint(int fd)
{
	struct kipc_endpoint about;

	return suspect_is_handle(fd) && !kipc_stat(fd, 0, &about) &&
	       !strcmp(about.name, NAMED_ADDRESS) && about.cuid == 0;
}

/* The first call before names_init(), as it makes the state, the second after it */
static int *collected;

void keep_collect(int *endpoint)
{
	char **name = NULL;
	int count;

	if (collected) {
		restore(collected);
		free(collected);
		collected = NULL;
		return;
	}
	collected = no_handles();
	count = sd_listen_fds_with_names(1, &name);
	for (int i = 0; i < count; i++) {
		int fd = SD_LISTEN_FDS_START + i;
		uint32_t slot = slot_of(name[i]);

		fcntl(fd, F_SETFD, FD_CLOEXEC);
		if (!strcmp(name[i], ENDPOINT_NAME) && *endpoint < 0 && is_endpoint(fd))
			*endpoint = fd;
		else if (!strcmp(name[i], STATE_NAME) && !state && state_adopt(fd))
			;
		else if (slot != NONE && collected[slot] < 0)
			collected[slot] = fd;
		else
			close(fd);
		free(name[i]);
	}
	free(name);
}

static void inherit(int fd, bool yes)
{
	fcntl(fd, F_SETFD, yes ? 0 : FD_CLOEXEC);
}

static void inherit_all(int endpoint, bool yes)
{
	inherit(endpoint, yes);
	inherit(state_fd, yes);
	for (uint32_t slot = 0; slot < names_top(); slot++)
		if (state->names[slot].registration)
			inherit(state->names[slot].fd, yes);
}

/* The arguments again, and where the state and the endpoint are */
void keep_exec(int endpoint, char **arguments)
{
	char what[64], *with[32];
	unsigned int count = 0;

	snprintf(what, sizeof(what), "--take-over=%d,%d", state_fd, endpoint);
	for (char **argument = arguments; *argument && count < 30; argument++)
		if (strncmp(*argument, "--take-over=", strlen("--take-over=")))
			with[count++] = *argument;
	with[count++] = what;
	with[count] = NULL;
	inherit_all(endpoint, true);
	execv(arguments[0], with);
	complain("%s: %s; the old program goes on", arguments[0], strerror(errno));
	inherit_all(endpoint, false);
}

void keep_take_over(const char *what, int *endpoint)
{
	int fd, end = 0;

	if (sscanf(what, "%d,%d%n", &fd, endpoint, &end) != 2 || what[end] || fd < 0 ||
	    *endpoint < 0 || !is_endpoint(*endpoint) || !state_adopt(fd))
		fail("--take-over=%s: that is not what a running kipc-named hands over", what);
	inherit(fd, false);
	inherit(*endpoint, false);
	collected = no_handles();
	for (uint32_t slot = 0; slot < NAMES_MAX; slot++) {
		if (!state->names[slot].registration)
			continue;
		collected[slot] = state->names[slot].fd;
		inherit(collected[slot], false);
	}
}
