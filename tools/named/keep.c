// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What is kept for who comes after: the endpoint, the state, and the handles.
 *
 * The service manager keeps them in its store (sd_notify(3), FDSTORE): then not even a
 * crash loses a name. It lets go of a handle by itself when that polls HUP. A process
 * that is started in our place by exec inherits them, and reads their numbers in the
 * state.
 *
 * The manager is told what it is told as it takes it, without ever waiting for it: what
 * of a slot it does not know yet is a mark of that slot, so that what is owed to it is
 * bounded, and a name that comes and goes meanwhile is not its affair.
 *
 * The names of all that is in the store come back in one environment variable, which
 * cannot be longer than 128 KiB: handles of slots from KEPT_MAX on are not stored, and
 * the names are short, a slot's number to the base of 36.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <systemd/sd-daemon.h>

#include "named.h"

#define KEPT_MAX	30000	/* of at most three digits, and a colon each */
#define DIGITS		36
#define NAME_ROOM	16
#define STOP_MS		5000	/* for what the manager is owed */
#define ENDPOINT_NAME	"endpoint"
#define STATE_NAME	"state-1"	/* a new layout is another name */

/* What the manager is owed about a slot: in this order, if both */
#define OWED_REMOVE	1U
#define OWED_STORE	2U
#define OWED_QUEUED	4U		/* the slot is in the queue */

static int manager = -1;		/* its socket, connected; -1: there is none */
static uint8_t owed[KEPT_MAX];
static uint32_t queue[KEPT_MAX];	/* a ring of the slots with marks, each once */
static uint32_t queue_first, queue_count;
static bool text_owed[KEEP_TEXTS];
static uint32_t names_told = NONE;	/* how many, by the last status */
static int kept_endpoint = -1;

/* The same as sd_notify(3), which would wait for a manager that does not read. */
int keep_start(void)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	socklen_t size;

	if (!path)
		return -1;
	if ((*path != '/' && *path != '@') || strlen(path) >= sizeof(address.sun_path))
		fail("NOTIFY_SOCKET=%s: cannot be understood", path);
	memcpy(address.sun_path, path, strlen(path));
	size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
	if (*path == '@')
		address.sun_path[0] = '\0';
	else
		size++;
	manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (manager < 0 || connect(manager, (struct sockaddr *)&address, size))
		fail("NOTIFY_SOCKET=%s: %s", path, strerror(errno));
	return manager;
}

/* False: not now */
static bool tell(const char *text, int fd)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct iovec bytes = { .iov_base = (void *)(uintptr_t)text, .iov_len = strlen(text) };
	const struct msghdr message = {
		.msg_iov = &bytes,
		.msg_iovlen = 1,
		.msg_control = fd < 0 ? NULL : control.bytes,
		.msg_controllen = fd < 0 ? 0 : sizeof(control.bytes),
	};
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	static bool complained;

	if (header) {
		header->cmsg_level = SOL_SOCKET;
		header->cmsg_type = SCM_RIGHTS;
		header->cmsg_len = CMSG_LEN(sizeof(fd));
		memcpy(CMSG_DATA(header), &fd, sizeof(fd));
	}
	if (sendmsg(manager, &message, MSG_NOSIGNAL) >= 0)
		return true;
	if (errno == EAGAIN || errno == ETOOMANYREFS)
		return false;
	if (!complained)
		complain("the service manager cannot be told: %s", strerror(errno));
	complained = true;
	return true;
}

static bool store(int fd, const char *name)
{
	char text[64];

	snprintf(text, sizeof(text), "FDSTORE=1\nFDNAME=%s", name);
	return tell(text, fd);
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

static bool tell_slot(uint32_t slot)
{
	char name[NAME_ROOM], text[64];

	slot_name(slot, name);
	if (owed[slot] & OWED_REMOVE) {
		snprintf(text, sizeof(text), "FDSTOREREMOVE=1\nFDNAME=%s", name);
		if (!tell(text, -1))
			return false;
		owed[slot] &= (uint8_t)~OWED_REMOVE;
	}
	if (owed[slot] & OWED_STORE) {
		if (!store(state->names[slot].fd, name))
			return false;
		owed[slot] &= (uint8_t)~OWED_STORE;
	}
	return true;
}

static bool tell_text(enum keep_text which)
{
	static const char *const text[] = {
		[KEEP_STATE] = NULL,
		[KEEP_RELOADING] = "RELOADING=1",
		[KEEP_READY] = "READY=1",
		[KEEP_STATUS] = NULL,
		[KEEP_STOPPING] = "STOPPING=1",
	};
	char status[64];

	if (which == KEEP_STATE)
		return store(kept_endpoint, ENDPOINT_NAME) && store(state_fd, STATE_NAME);
	if (which != KEEP_STATUS)
		return tell(text[which], -1);
	if (names_told == names_count())
		return true;
	snprintf(status, sizeof(status), "STATUS=%u names are registered", names_count());
	if (!tell(status, -1))
		return false;
	names_told = names_count();
	return true;
}

/* Tells what is owed, handles first; true: nothing is any more */
bool keep_go_on(void)
{
	while (queue_count) {
		if (!tell_slot(queue[queue_first]))
			return false;
		owed[queue[queue_first]] = 0;
		queue_first = (queue_first + 1) % KEPT_MAX;
		queue_count--;
	}
	for (enum keep_text which = 0; which < KEEP_TEXTS; which++) {
		if (text_owed[which] && !tell_text(which))
			return false;
		text_owed[which] = false;
	}
	return true;
}

void keep_tell(enum keep_text which)
{
	if (manager < 0)
		return;
	text_owed[which] = true;
	keep_go_on();
}

/* The last that is done: what is owed is told, if the manager takes it in time */
void keep_stop(void)
{
	const uint64_t end = now_ns() + STOP_MS * 1000000ULL;
	struct pollfd socket = { .fd = manager, .events = POLLOUT };

	keep_tell(KEEP_STOPPING);
	while (manager >= 0 && !keep_go_on()) {
		if (now_ns() >= end) {
			complain("the service manager does not listen: names may be lost");
			return;
		}
		poll(&socket, 1, STOP_MS / 10);
	}
}

static void owe(uint32_t slot, unsigned int what)
{
	if (!(owed[slot] & OWED_QUEUED))
		queue[(queue_first + queue_count++) % KEPT_MAX] = slot;
	owed[slot] |= (uint8_t)(what | OWED_QUEUED);
	keep_go_on();
}

void keep_handle(uint32_t slot)
{
	static bool complained;

	if (manager < 0)
		return;
	if (slot < KEPT_MAX) {
		owe(slot, OWED_STORE);
	} else if (!complained) {
		complain("there are more than %d names: of the others a crash will lose some",
			 KEPT_MAX);
		complained = true;
	}
}

void keep_drop(uint32_t slot)
{
	if (manager < 0 || slot >= KEPT_MAX)
		return;
	/* What the manager has never had, it need not let go of. */
	if (owed[slot] & OWED_STORE)
		owed[slot] &= (uint8_t)~OWED_STORE;
	else
		owe(slot, OWED_REMOVE);
}

void keep_state(int endpoint)
{
	kept_endpoint = endpoint;
	keep_tell(KEEP_STATE);
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
	with[count++] = arguments[0];
	for (char **argument = arguments + 1; *argument && count < 30; argument++)
		if (strncmp(*argument, "--take-over=", strlen("--take-over=")))
			with[count++] = *argument;
	with[count++] = what;
	with[count] = NULL;
	inherit_all(endpoint, true);
	execv(with[0], with);
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
