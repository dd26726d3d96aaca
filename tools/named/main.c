// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * kipc-named: the naming service. See kipc-named(8).
 */
#include <argp.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "named.h"

#define POLICY		"/etc/kipc/named.d"
#define EVENTS		64
#define CALLS		4096	/* that may be queued */

/* What an event is about, in its upper half; a slot is in the lower */
enum about {
	ABOUT_NAME,
	ABOUT_REQUESTS,
	ABOUT_SIGNAL,
	ABOUT_POLICY,		/* it was read */
	ABOUT_MANAGER,		/* takes more */
};

static struct {
	const char *policy;
	const char *user;
	const char *take_over;
} option = { .policy = POLICY };

static int poll_set = -1;
static int endpoint = -1;

static const struct argp_option options[] = {
	{ "policy", 'p', "DIRECTORY", 0,
	  "Read who may own and look up what from here, not from " POLICY, 0 },
	{ "take-over", 't', "STATE,ENDPOINT", 0,
	  "Go on in the place of the process that this one was: SIGUSR2 makes it so", 0 },
	{ "user", 'u', "USER", 0, "Become this user, once there is the endpoint", 0 },
	{ 0 }
};

static error_t parse(int key, char *argument, struct argp_state *to)
{
	switch (key) {
	case 'p':
		option.policy = argument;
		return 0;
	case 't':
		option.take_over = argument;
		return 0;
	case 'u':
		option.user = argument;
		return 0;
	case ARGP_KEY_ARG:
		argp_usage(to);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = {
	.options = options,
	.parser = parse,
	.doc = "Gives names to endpoints of kipc: servers register, clients look up.",
};

const char *argp_program_version = "kipc-named " KIPC_VERSION;

static bool add_to_set(int fd, uint32_t events, enum about about, uint32_t slot)
{
	struct epoll_event event = { .events = events, .data.u64 = (uint64_t)about << 32 | slot };

	return !epoll_ctl(poll_set, EPOLL_CTL_ADD, fd, &event);
}

/* Nothing but HUP, which is always told, once: the handle's end is what it is about. */
bool watch_handle(uint32_t slot)
{
	return add_to_set(state->names[slot].fd, 0, ABOUT_NAME, slot);
}

void unwatch_handle(uint32_t slot)
{
	epoll_ctl(poll_set, EPOLL_CTL_DEL, state->names[slot].fd, NULL);
}

/* As many descriptors as there can be names; returns how many names that are */
static uint32_t raise_limit(void)
{
	const rlim_t wanted = FILES_MAX;
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		fail("limit of descriptors: %s", strerror(errno));
	if (limit.rlim_max < wanted) {
		struct rlimit more = { .rlim_cur = wanted, .rlim_max = wanted };

		if (!setrlimit(RLIMIT_NOFILE, &more))
			return NAMES_MAX;
	}
	limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
	if (setrlimit(RLIMIT_NOFILE, &limit))
		fail("limit of descriptors: %s", strerror(errno));
	if (limit.rlim_cur <= OTHER_FILES)
		return 1;
	/* Each bundle of them has two more. */
	return (uint32_t)((limit.rlim_cur - OTHER_FILES) * BUNDLE_SLOTS / (BUNDLE_SLOTS + 2));
}

static int make_endpoint(void)
{
	const struct kipc_attr attr = { .max_size = NAMED_MAX_SIZE, .max_msgs = CALLS };
	int fd = kipc_create(NAMED_ADDRESS, KIPC_OPEN_EXCL | KIPC_OPEN_FILES, 0622, &attr);

	if (fd == -EEXIST)
		fail(NAMED_ADDRESS ": there is a naming service already");
	if (fd < 0)
		fail(NAMED_ADDRESS ": %s", strerror(-fd));
	return fd;
}

static void drop_privileges(void)
{
	const struct passwd *user;

	if (!option.user || geteuid())
		return;
	user = getpwnam(option.user);
	if (!user)
		fail("%s: no such user", option.user);
	if (setgroups(0, NULL) || setresgid(user->pw_gid, user->pw_gid, user->pw_gid) ||
	    setresuid(user->pw_uid, user->pw_uid, user->pw_uid))
		fail("%s: %s", option.user, strerror(errno));
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		fail("no new privileges: %s", strerror(errno));
}

static int take_signals(void)
{
	sigset_t signals;
	int fd;

	sigemptyset(&signals);
	sigaddset(&signals, SIGHUP);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGUSR2);
	if (sigprocmask(SIG_BLOCK, &signals, NULL))
		fail("signals: %s", strerror(errno));
	fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		fail("signals: %s", strerror(errno));
	return fd;
}

/* What is to be done when the policy was read */
static struct {
	bool under_way;
	bool again;
	bool then_exec;
} reload;

/* Before the next program is started too: it could not go on with a policy that is wrong. */
static void reload_begin(bool then_exec)
{
	static int done = -1;
	int fd;

	reload.then_exec |= then_exec;
	if (reload.under_way) {
		reload.again = true;
		return;
	}
	fd = policy_begin(option.policy);
	if (fd < 0) {
		reload.then_exec = false;
		return;
	}
	if (done < 0 && !add_to_set(fd, EPOLLIN, ABOUT_POLICY, 0))
		fail("epoll: %s", strerror(errno));
	done = fd;
	reload.under_way = true;
	keep_tell(KEEP_RELOADING);
}

static void on_policy(char **arguments)
{
	bool good = policy_end();
	bool then_exec = reload.then_exec;

	reload.under_way = false;
	if (reload.again) {
		reload.again = false;
		reload_begin(false);
		return;
	}
	reload.then_exec = false;
	if (good)
		note("the policy was read again");
	keep_tell(KEEP_READY);
	if (!then_exec)
		return;
	if (!good) {
		complain("the old program goes on");
		return;
	}
	/* Their tokens are this program's: the next one would not know them. */
	waiters_ask_again(endpoint);
	keep_exec(endpoint, arguments);
}

static void on_signal(int signals)
{
	struct signalfd_siginfo told;

	while (read(signals, &told, sizeof(told)) == sizeof(told)) {
		switch (told.ssi_signo) {
		case SIGHUP:
			reload_begin(false);
			break;
		case SIGUSR2:
			reload_begin(true);
			break;
		default:
			keep_stop();
			exit(EXIT_SUCCESS);
		}
	}
}

static void on_end(uint32_t slot)
{
	char name[NAMED_NAME_ROOM];

	/* It may have been dropped since the event was fetched, and another one taken its place. */
	if (!state->names[slot].registration || !names_ended(slot))
		return;
	memcpy(name, state->names[slot].name, sizeof(name));
	names_drop(slot);
	waiters_name_changed(endpoint, name);
}

static void on_requests(void)
{
	int error = requests_serve(endpoint);

	if (error == -EIDRM)
		fail(NAMED_ADDRESS ": the endpoint was removed");
	if (error == -ENOMEM) {
		complain("out of memory");
		poll(NULL, 0, 10);
	} else if (error && error != -EINTR) {
		fail(NAMED_ADDRESS ": %s", strerror(-error));
	}
}

static void serve(int signals, char **arguments)
{
	struct epoll_event event[EVENTS];

	for (;;) {
		int count = epoll_wait(poll_set, event, EVENTS, waiters_timeout_ms());

		if (count < 0 && errno != EINTR)
			fail("epoll_wait: %s", strerror(errno));
		for (int i = 0; i < count; i++) {
			switch ((enum about)(event[i].data.u64 >> 32)) {
			case ABOUT_NAME:
				on_end((uint32_t)event[i].data.u64);
				break;
			case ABOUT_REQUESTS:
				on_requests();
				break;
			case ABOUT_SIGNAL:
				on_signal(signals);
				break;
			case ABOUT_POLICY:
				on_policy(arguments);
				break;
			case ABOUT_MANAGER:
				keep_go_on();
				break;
			}
		}
		waiters_expire(endpoint);
		if (count < EVENTS)
			keep_tell(KEEP_STATUS);
	}
}

/* What exec needs after the working directory and PATH do not matter any more */
static char *own_path(char *name)
{
	char *path = strchr(name, '/') ? realpath(name, NULL) : NULL;

	if (!path)
		path = realpath("/proc/self/exe", NULL);
	return path ? path : name;
}

int main(int argc, char **argv)
{
	int signals, manager;
	uint32_t most;
	bool kept;

	/* Of a standard error that nobody reads */
	signal(SIGPIPE, SIG_IGN);
	argp_parse(&argp, argc, argv, 0, NULL, NULL);
	argv[0] = own_path(argv[0]);
	signals = take_signals();
	most = raise_limit();
	manager = keep_start();
	if (option.take_over)
		keep_take_over(option.take_over, &endpoint);
	else
		keep_collect(&endpoint);
	if (endpoint < 0)
		endpoint = make_endpoint();
	if (!suspect_is_handle(endpoint))
		fail("/proc is needed, and does not show what descriptors are");
	kept = state;
	if (!state)
		state_create();
	/* Before the privileges go: the files of the policy may be root's alone. */
	if (!policy_load(option.policy)) {
		if (!kept)
			fail("there is no policy to go on with");
		/* To end here would be the end of the names. */
		complain("until the policy is right, nobody but root may own or look up names");
	}
	drop_privileges();

	poll_set = epoll_create1(EPOLL_CLOEXEC);
	if (poll_set < 0)
		fail("epoll: %s", strerror(errno));
	names_init(most);
	keep_collect(&endpoint);
	keep_state(endpoint);
	if (!add_to_set(endpoint, EPOLLIN, ABOUT_REQUESTS, 0) ||
	    !add_to_set(signals, EPOLLIN, ABOUT_SIGNAL, 0) ||
	    (manager >= 0 && !add_to_set(manager, EPOLLOUT | EPOLLET, ABOUT_MANAGER, 0)))
		fail("epoll: %s", strerror(errno));
	keep_tell(KEEP_READY);
	serve(signals, argv);
}
