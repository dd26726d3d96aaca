// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What is kept for who comes after: the endpoint, the state, and the handles.
 *
 * The service manager keeps them in its store (sd_notify(3), FDSTORE): then not even a
 * crash loses a name. The handles are in bundles; the two ends of one are in the store
 * under its number. A process that is started in our place by exec inherits them and the
 * handles, and reads their numbers in the state.
 *
 * The manager is told what it is told as it takes it, without ever waiting for it: what
 * of a bundle it does not know yet is a mark of that bundle, so that what is owed to it is
 * bounded. It hears of a bundle when that is made, and no more of what is in it. Without a
 * manager there are no bundles.
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

#define NAME_ROOM	16
#define STOP_MS		5000	/* for what the manager is owed */
#define ENDPOINT_NAME	"endpoint"
#define STATE_NAME	"state-1"	/* a new layout is another name */

/* What is owed: to a bundle its content, and to the manager in this order, if both */
#define OWED_CONTENT	1U
#define OWED_REMOVE	2U
#define OWED_STORE	4U

static int manager = -1;		/* its socket, connected; -1: there is none */
static bool owing = true;		/* perhaps there are bundles to which something is owed */
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
static bool tell(const char *text, const int *fds, size_t count)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(2 * sizeof(int))];
	} control = { 0 };
	struct iovec bytes = { .iov_base = (void *)(uintptr_t)text, .iov_len = strlen(text) };
	const struct msghdr message = {
		.msg_iov = &bytes,
		.msg_iovlen = 1,
		.msg_control = count ? control.bytes : NULL,
		.msg_controllen = count ? CMSG_SPACE(count * sizeof(int)) : 0,
	};
	static bool complained;

	if (count) {
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(count * sizeof(int));
		memcpy(CMSG_DATA(&control.align), fds, count * sizeof(int));
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

static bool store(const char *name, const int *fds, size_t count)
{
	char text[64];

	snprintf(text, sizeof(text), "FDSTORE=1\nFDNAME=%s", name);
	return tell(text, fds, count);
}

static void owe(uint32_t number, unsigned int what)
{
	state->bundles[number].owed |= what;
	owing = true;
}

/* It is of no use: the next change of one of its slots makes another one. */
static void give_up(uint32_t number)
{
	struct bundle *bundle = &state->bundles[number];

	bundle_close(number);
	/* What the manager has never had, it need not let go of. */
	if (bundle->owed & OWED_STORE)
		bundle->owed &= ~OWED_STORE;
	else
		owe(number, OWED_REMOVE);
}

static bool write_content(uint32_t number)
{
	struct bundle *bundle = &state->bundles[number];
	bool exists = bundle_exists(number);
	bool written = bundle_write(number);
	static bool complained;

	if (!written && errno == ENOTCONN) {
		give_up(number);
		exists = false;
		written = bundle_write(number);
	}
	if (written) {
		bundle->owed &= ~OWED_CONTENT;
		if (!exists)
			owe(number, OWED_STORE);
		return true;
	}
	if (!complained)
		complain("a crash would lose names, as their handles cannot be stored: %s; "
			 "LimitNOFILE=%u is enough for all",
			 strerror(errno), FILES_MAX);
	complained = true;
	owe(number, OWED_CONTENT);
	return false;
}

static bool tell_bundle(uint32_t number)
{
	struct bundle *bundle = &state->bundles[number];
	char name[NAME_ROOM], text[64];

	snprintf(name, sizeof(name), "%u", number);
	if (bundle->owed & OWED_REMOVE) {
		snprintf(text, sizeof(text), "FDSTOREREMOVE=1\nFDNAME=%s", name);
		if (!tell(text, NULL, 0))
			return false;
		bundle->owed &= ~OWED_REMOVE;
	}
	if (bundle->owed & OWED_STORE) {
		if (!store(name, (const int[]){ bundle->in, bundle->out }, 2))
			return false;
		bundle->owed &= ~OWED_STORE;
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
		return store(ENDPOINT_NAME, &kept_endpoint, 1) && store(STATE_NAME, &state_fd, 1);
	if (which != KEEP_STATUS)
		return tell(text[which], NULL, 0);
	if (names_told == names_count())
		return true;
	snprintf(status, sizeof(status), "STATUS=%u names are registered", names_count());
	if (!tell(status, NULL, 0))
		return false;
	names_told = names_count();
	return true;
}

/* What the bundles are owed; false: the manager does not take all of it */
static bool bundles_go_on(void)
{
	bool writable = true, told = true;

	if (!owing || manager < 0)
		return true;
	owing = false;
	for (uint32_t number = 0; number < BUNDLES; number++) {
		if (state->bundles[number].owed & OWED_CONTENT && writable)
			writable = write_content(number);
		if (state->bundles[number].owed && told)
			told = tell_bundle(number);
		if (state->bundles[number].owed)
			owing = true;
	}
	return told;
}

/* Tells what is owed, bundles first; true: nothing is any more */
bool keep_go_on(void)
{
	if (!bundles_go_on())
		return false;
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

void keep_handle(uint32_t slot)
{
	if (manager < 0)
		return;
	write_content(slot / BUNDLE_SLOTS);
	keep_go_on();
}

/*
 * Not at once, as many may go together: the state knows that the name has gone, and
 * whoever comes next closes its handle.
 */
void keep_drop(uint32_t slot)
{
	if (manager >= 0)
		owe(slot / BUNDLE_SLOTS, OWED_CONTENT);
}

void keep_state(int endpoint)
{
	kept_endpoint = endpoint;
	keep_tell(KEEP_STATE);
}

/* What a process finds when it starts */
static struct collected {
	bool inherited;			/* the state says what there is */
	int handle[NAMES_MAX];		/* of each slot; -1: none */
	int end[BUNDLES][2];
	unsigned int ends[BUNDLES];	/* how many came: of a bundle 2 */
} *collected;

static void collected_nothing(void)
{
	collected = calloc(1, sizeof(*collected));
	if (!collected)
		fail("memory: %s", strerror(errno));
	for (uint32_t slot = 0; slot < NAMES_MAX; slot++)
		collected->handle[slot] = -1;
}

static void collect_end(uint32_t number, int fd)
{
	unsigned int count = collected->ends[number]++;

	if (count < 2)
		collected->end[number][count] = fd;
	else
		close(fd);
}

/* A bundle's number, NONE: it is none */
static uint32_t bundle_of(const char *name)
{
	unsigned long number;

	if (!*name || strlen(name) > 4 || strspn(name, "0123456789") != strlen(name))
		return NONE;
	number = strtoul(name, NULL, 10);
	return number < BUNDLES ? (uint32_t)number : NONE;
}

/* The handles of the bundles that came from the store */
static void open_bundles(void)
{
	bundles_none();
	for (uint32_t number = 0; number < BUNDLES; number++) {
		const int *end = collected->end[number];
		unsigned int count = collected->ends[number];
		bool adopted = count == 2 && bundle_adopt(number, end[0], end[1]);

		if (!count || (adopted && bundle_read(number, collected->handle)))
			continue;
		complain("bundle %u of the store cannot be read: its names have ended", number);
		for (unsigned int i = 0; !adopted && i < 2 && i < count; i++)
			close(end[i]);
		give_up(number);
	}
}

static void restore(void)
{
	unsigned int live = 0, dead = 0;

	if (!collected->inherited)
		open_bundles();
	for (uint32_t slot = 0; slot < NAMES_MAX; slot++) {
		bool registered = state->names[slot].registration;
		int fd = collected->handle[slot];

		if (names_restore(slot, fd)) {
			live++;
			continue;
		}
		dead += registered;
		if (fd >= 0)
			close(fd);
		if ((registered || fd >= 0) && bundle_exists(slot / BUNDLE_SLOTS))
			owe(slot / BUNDLE_SLOTS, OWED_CONTENT);
	}
	/* Nobody would keep them, nor give them to the next one. */
	for (uint32_t number = 0; manager < 0 && number < BUNDLES; number++)
		bundle_close(number);
	note("took over %u names; %u have ended", live, dead);
}

/* Is it a handle with every right that we would have made? */
static bool is_endpoint(int fd)
{
	struct kipc_endpoint about;

	return suspect_is_handle(fd) && !kipc_stat(fd, 0, &about) &&
	       !strcmp(about.name, NAMED_ADDRESS) && about.cuid == 0;
}

/* The first call before names_init(), as it makes the state, the second after it */
void keep_collect(int *endpoint)
{
	char **name = NULL;
	int count;

	if (collected) {
		restore();
		free(collected);
		collected = NULL;
		return;
	}
	collected_nothing();
	count = sd_listen_fds_with_names(1, &name);
	for (int i = 0; i < count; i++) {
		int fd = SD_LISTEN_FDS_START + i;
		uint32_t number = bundle_of(name[i]);

		fcntl(fd, F_SETFD, FD_CLOEXEC);
		if (!strcmp(name[i], ENDPOINT_NAME) && *endpoint < 0 && is_endpoint(fd))
			*endpoint = fd;
		else if (!strcmp(name[i], STATE_NAME) && !state && state_adopt(fd))
			;
		else if (number != NONE)
			collect_end(number, fd);
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
	for (uint32_t number = 0; number < BUNDLES; number++) {
		if (!bundle_exists(number))
			continue;
		inherit(state->bundles[number].in, yes);
		inherit(state->bundles[number].out, yes);
	}
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
	collected_nothing();
	collected->inherited = true;
	for (uint32_t number = 0; number < BUNDLES; number++) {
		struct bundle *bundle = &state->bundles[number];

		if (!bundle_inherited(number)) {
			*bundle = (struct bundle){ .in = -1, .out = -1, .owed = bundle->owed };
			continue;
		}
		inherit(bundle->in, false);
		inherit(bundle->out, false);
	}
	for (uint32_t slot = 0; slot < NAMES_MAX; slot++) {
		if (!state->names[slot].registration)
			continue;
		collected->handle[slot] = state->names[slot].fd;
		inherit(collected->handle[slot], false);
	}
}
