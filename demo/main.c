// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * main DIRECTORY TABLE: starts the demo's processes as their users, kills some
 * of them at bad moments, and at the end accounts for every call and every log
 * message. Exit status 0: all of it is as it must be.
 */
#include <errno.h>
#include <grp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <sys/wait.h>
#include <unistd.h>

#include <kipc.h>

#include "audit.h"
#include "ledger.h"
#include "util.h"

#define GROUP_KIPC	1100
#define USER_A		1001
#define USER_B		1002

#define TICK_MS		100
#define PROGRESS_NS	1000000000ULL
#define CATCH_NS	(20 * 1000000000ULL)
#define LIMIT_NS	(120 * 1000000000ULL)

enum { LOGGER = CLIENTS, SERVER, CHILDREN };

struct child {
	const char *name;
	pid_t pid;		/* 0: not running */
	uid_t uid;
	bool may_end;
};

static struct child children[CHILDREN] = {
	[CLIENT_SEQUENTIAL] = { .name = "sequential", .uid = USER_A },
	[CLIENT_PARALLEL] = { .name = "parallel", .uid = USER_B },
	[CLIENT_DEADLINE] = { .name = "deadlines", .uid = USER_A },
	[CLIENT_KILLED] = { .name = "mortal", .uid = USER_B },
	[LOGGER] = { .name = "logger" },
	[SERVER] = { .name = "server" },
};

static const uint32_t planned[CLIENTS] = {
	[CLIENT_SEQUENTIAL] = 4000,
	[CLIENT_PARALLEL] = 12000,
	[CLIENT_DEADLINE] = 400,
	[CLIENT_KILLED] = 4000,
};

static struct ledger *ledger;
static char ledger_fd[12];
static const char *texts, *table;
static int control = -1;	/* the control endpoint */
static int watched = -1;	/* the server's endpoint, to look at */
static uint64_t begun, last_progress;

/* Calls that wait for the other clients, see CONTROL_CLIENT_DONE */
static uint64_t waiting[CLIENTS];
static bool log_quiet;

static void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void say(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	printf("%5.1f s  ", (double)(now_ns() - begun) / 1e9);
	vprintf(format, arguments);
	putchar('\n');
	va_end(arguments);
}

static void show_state(void)
{
	char line[512];
	FILE *file = fopen("/proc/net/kipc", "r");

	for (int i = 0; i < CLIENTS; i++)
		printf("%s: %u of %u questions, %u calls, %u of them ended\n",
		       client_names[i], ledger->clients[i].settled,
		       ledger->clients[i].planned, ledger->clients[i].started,
		       ledger_ended(&ledger->clients[i]));
	while (file && fgets(line, sizeof(line), file))
		fputs(line, stdout);
	if (file)
		fclose(file);
}

static void __attribute__((noreturn)) give_up(void)
{
	show_state();
	printf("The demo FAILED.\n");
	exit(EXIT_FAILURE);
}

/* At every exit: leaves neither processes nor the persistent endpoint behind. */
static void clean_up(void)
{
	int fd;

	for (int i = 0; i < CHILDREN; i++) {
		if (children[i].pid) {
			kill(children[i].pid, SIGKILL);
			waitpid(children[i].pid, NULL, 0);
		}
	}
	fd = kipc_open(INDEX_ADDRESS, KIPC_RIGHT_CONTROL, 0);
	if (fd >= 0)
		kipc_remove(fd, 0);
}

static void start(int number, const char *const *arguments)
{
	struct child *child = &children[number];
	const gid_t kipc = GROUP_KIPC;
	/* Who is not root has a group of his own and is in group kipc. */
	gid_t gid = child->uid ? child->uid : kipc;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid < 0)
		die(-errno, "fork");
	if (pid) {
		child->pid = pid;
		child->may_end = false;
		return;
	}
	if (!setgroups(1, &kipc) && !setgid(gid) && !setuid(child->uid))
		execv(arguments[0], (char *const *)arguments);
	perror(child->name);
	_exit(EXIT_FAILURE);
}

static void start_client(int number)
{
	const char *const arguments[] = {
		"./client", client_names[number], table, ledger_fd, NULL,
	};

	start(number, arguments);
}

static void start_server(const char *run)
{
	const char *const arguments[] = { "./server", texts, ledger_fd, run, NULL };

	start(SERVER, arguments);
}

static void child_ended(struct child *child, int status)
{
	child->pid = 0;
	if (child->may_end && WIFEXITED(status) && !WEXITSTATUS(status))
		return;
	if (WIFSIGNALED(status))
		say("WRONG: %s died of signal %d", child->name, WTERMSIG(status));
	else
		say("WRONG: %s ended with status %d", child->name, WEXITSTATUS(status));
	give_up();
}

static void reap(void)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		for (int i = 0; i < CHILDREN; i++)
			if (children[i].pid == pid)
				child_ended(&children[i], status);
}

static void show_progress(void)
{
	unsigned int settled = 0, calls = 0, logged = 0, all = 0;
	struct kipc_endpoint endpoint = { .msgs = 0 };

	for (int i = 0; i < CLIENTS; i++) {
		all += planned[i];
		settled += ledger->clients[i].settled;
		calls += ledger->clients[i].started;
	}
	for (int i = 0; i < LOG_SOURCES; i++)
		for (int level = LOG_ERROR; level < LOG_LEVELS; level++)
			logged += ledger->sources[i].received[level];
	if (watched >= 0)
		kipc_stat(watched, 0, &endpoint);
	say("%4u of %u questions, %4u calls, %3llu waiting, %llu at the server, %4u log messages",
	    settled, all, calls, (unsigned long long)endpoint.msgs,
	    (unsigned long long)endpoint.calls, logged);
}

/*
 * A call to the control endpoint. A client's is not answered but kept: the
 * answer is what it waits for.
 */
static void take_control(const struct control *message, ssize_t size,
			 const struct kipc_result *call)
{
	bool known = size == sizeof(*message);

	if (known && message->kind == CONTROL_LOG_QUIET && !call->uid) {
		log_quiet = true;
		kipc_reply(control, call->token, NULL, 0);
	} else if (known && message->kind == CONTROL_CLIENT_DONE &&
		   message->client < CLIENTS && !waiting[message->client] &&
		   call->uid == children[message->client].uid) {
		waiting[message->client] = call->token;
		say("client %s has asked all its questions", client_names[message->client]);
	} else {
		kipc_reply_error(control, call->token, EPERM);
	}
}

/* The loop of the main process: one turn */
static void tick(unsigned int ms)
{
	struct kipc_result call;
	struct control message;
	ssize_t size;

	size = kipc_recv(control, &message, sizeof(message), &call, (int)ms);
	if (size >= 0)
		take_control(&message, size, &call);
	else if (size != -ETIMEDOUT)
		die(size, "demo: kipc_recv");

	reap();
	if (now_ns() - last_progress >= PROGRESS_NS) {
		last_progress = now_ns();
		show_progress();
	}
	if (now_ns() - begun >= LIMIT_NS) {
		say("WRONG: this takes too long, something is stuck");
		give_up();
	}
}

/* Stops a process, all its threads, so that it can be looked at. */
static void stop(struct child *child)
{
	int status;

	kill(child->pid, SIGSTOP);
	if (waitpid(child->pid, &status, WUNTRACED) != child->pid)
		die(-errno, "waitpid");
	if (!WIFSTOPPED(status))
		child_ended(child, status);
}

static void kill_stopped(struct child *child)
{
	kill(child->pid, SIGKILL);
	waitpid(child->pid, NULL, 0);
	child->pid = 0;
}

/* Stops a process at a moment of which @caught says that it is the one. */
static void catch(struct child *child, bool (*caught)(void))
{
	uint64_t end = now_ns() + CATCH_NS;

	for (;;) {
		stop(child);
		if (caught())
			return;
		kill(child->pid, SIGCONT);
		if (now_ns() > end) {
			say("WRONG: cannot find %s in the middle of a call", child->name);
			give_up();
		}
		tick(1);
	}
}

static bool client_is_in_call(void)
{
	const struct client_account *account = &ledger->clients[CLIENT_KILLED];

	return account->started > ledger_ended(account);
}

/* Kills the client while it is in a call, and starts it again. */
static void kill_client(void)
{
	struct child *child = &children[CLIENT_KILLED];
	struct client_account *account = &ledger->clients[CLIENT_KILLED];

	catch(child, client_is_in_call);
	kill_stopped(child);
	ledger->client_killed = 1;
	account->outcomes[OUTCOME_LOST] += account->started - ledger_ended(account);
	say("killed client %s in the middle of question %u; starting it again",
	    child->name, account->settled);
	start_client(CLIENT_KILLED);
}

/*
 * The stopped server: which calls does it work on? Says no if it wrote down less
 * than the kernel knows, for then it was stopped in between, and if it does not
 * have calls of both kinds.
 */
static bool look_at_server(void)
{
	struct server_account *account = &ledger->servers[0];
	unsigned int plain = 0, idempotent = 0, fickle = 0, given_up = 0;
	struct kipc_endpoint endpoint;
	int ret;

	ret = kipc_stat(watched, 0, &endpoint);
	if (ret)
		die(ret, "demo: kipc_stat(%s)", INDEX_ADDRESS);

	for (int i = 0; i < WORKERS; i++) {
		const struct held_call *held = &account->held[i];

		if (!held->token)
			continue;
		if (kipc_wanted(watched, held->token) == -ECANCELED)
			given_up++;
		else if (held->fickle || held->client == CLIENT_KILLED)
			fickle++;
		else if (held->client == CLIENT_PARALLEL)
			idempotent++;
		else
			plain++;
	}
	ledger->held_plain = plain;
	ledger->held_idempotent = idempotent;
	ledger->held_fickle = fickle;
	ledger->held_given_up = given_up;

	return plain && idempotent && endpoint.calls == plain + idempotent + fickle &&
	       account->taken - account->replied == endpoint.calls + given_up;
}

/* Kills the server while it has calls of both kinds, and starts it again. */
static void kill_server(void)
{
	struct child *child = &children[SERVER];

	catch(child, look_at_server);
	kill_stopped(child);
	ledger->server_killed = 1;
	say("killed the server in the middle of %u calls, %u of them idempotent; starting it again",
	    ledger->held_plain + ledger->held_idempotent + ledger->held_fickle,
	    ledger->held_idempotent);
	start_server("1");
}

static void wait_for_end(int number)
{
	while (children[number].pid)
		tick(TICK_MS / 10);
}

static void run(void)
{
	const char *const logger[] = { "./logger", ledger_fd, NULL };

	for (int i = 0; i < CLIENTS; i++) {
		ledger->clients[i].planned = planned[i];
		ledger->clients[i].uid = children[i].uid;
	}

	say("starting the logger, four clients, and then the server they wait for");
	start(LOGGER, logger);
	for (int i = 0; i < CLIENTS; i++)
		start_client(i);
	start_server("0");
	watched = kipc_open(INDEX_ADDRESS, KIPC_RIGHT_RECV, 30000);
	if (watched < 0)
		die(watched, "demo: kipc_open(%s)", INDEX_ADDRESS);

	while (!ledger->client_killed || !ledger->server_killed) {
		tick(TICK_MS / 20);
		if (!ledger->server_killed && ledger_half_done(&ledger->clients[CLIENT_PARALLEL]))
			kill_server();
		if (!ledger->client_killed && ledger_half_done(&ledger->clients[CLIENT_KILLED]))
			kill_client();
	}
	for (int i = 0; i < CLIENTS; i++)
		while (!waiting[i])
			tick(TICK_MS);

	say("all questions are asked; the logger stops taking messages, all send some more");
	kill(children[LOGGER].pid, SIGUSR1);
	while (!log_quiet)
		tick(TICK_MS);
	for (int i = 0; i < CLIENTS; i++) {
		children[i].may_end = true;
		kipc_reply(control, waiting[i], NULL, 0);
	}
	for (int i = 0; i < CLIENTS; i++)
		wait_for_end(i);
	children[SERVER].may_end = true;
	kill(children[SERVER].pid, SIGTERM);
	wait_for_end(SERVER);
	children[LOGGER].may_end = true;
	kill(children[LOGGER].pid, SIGTERM);
	wait_for_end(LOGGER);
	show_progress();
}

int main(int argc, char **argv)
{
	const struct kipc_attr attr = { .max_size = sizeof(struct control) };
	unsigned int faults;
	int fd;

	if (argc != 3)
		die(0, "usage: %s DIRECTORY TABLE", argv[0]);
	setvbuf(stdout, NULL, _IOLBF, 0);
	texts = argv[1];
	table = argv[2];
	begun = now_ns();
	last_progress = begun;

	/* What root creates belongs to group kipc. */
	if (setegid(GROUP_KIPC))
		die(-errno, "setegid");
	ledger = ledger_create(&fd);
	snprintf(ledger_fd, sizeof(ledger_fd), "%d", fd);
	/* Left by an earlier run that was killed itself? */
	clean_up();
	control = kipc_create(CONTROL_ADDRESS, KIPC_OPEN_EXCL, DEMO_MODE, &attr);
	if (control < 0)
		die(control, "demo: kipc_create(%s)", CONTROL_ADDRESS);

	atexit(clean_up);
	run();

	faults = audit(ledger);
	if (faults) {
		printf("\nThe demo FAILED: %u of its sums are wrong.\n", faults);
		return EXIT_FAILURE;
	}
	printf("\nEvery answer was right; every call and log message is accounted for (%.1f s).\n",
	       (double)(now_ns() - begun) / 1e9);
	return EXIT_SUCCESS;
}
