// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * kipc serve: a command answers calls. Each call is a job: a process that has the payload as
 * its standard input and whose standard output becomes the reply, once it has ended.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "program.h"
#include "tool.h"

#define FIRST_FILE	3	/* where a command finds the files of its call */
#define COMMAND_MISSING	127	/* as shells say */

struct job {
	pid_t pid;		/* 0: this slot is free */
	int process;		/* pidfd */
	int output;		/* -1: closed, or of a one-way message, which has no reply */
	uint64_t token;
	char *reply;
	size_t size;
	size_t room;
	int64_t end;		/* 0: it may take as long as it likes */
	bool late;
	bool too_large;
};

struct server {
	const char *address;
	char **command;
	uint64_t count;		/* calls to answer, 0: any number */
	unsigned int jobs;	/* at the same time */
	int limit_ms;		/* for each, 0: none */
	bool exit_is_errno;
	struct creation creation;
	struct access access;
	int fd;
	struct room room;
	struct job *job;
	unsigned int running;
	sigset_t before;	/* signals, as we were called with */
};

static const struct argp_option options[] = {
	{ "jobs", 'j', "NUMBER", 0, "Run so many commands at the same time; one if not given", 0 },
	{ "timeout", 't', "TIME", 0, "End a command that takes longer: its call fails", 0 },
	{ "count", 'n', "NUMBER", 0, "End after so many messages", 0 },
	{ "exit-is-errno", 'e', NULL, 0,
	  "The exit status of a command that fails is the errno of its call, which else is "
	  "EIO", 0 },
	{ 0 }
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct server *server = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &server->creation;
		state->child_inputs[1] = &server->access;
		return 0;
	case 'j':
		server->jobs = (unsigned int)parse_number("the number of jobs", arg, 1024);
		if (!server->jobs)
			die_usage("the number of jobs is not 0");
		return 0;
	case 't':
		server->limit_ms = parse_duration("a timeout", arg);
		if (!server->limit_ms)
			die_usage("a timeout is not 0");
		return 0;
	case 'n':
		server->count = parse_number("a count", arg, UINT64_MAX);
		if (!server->count)
			die_usage("a count is not 0");
		return 0;
	case 'e':
		server->exit_is_errno = true;
		return 0;
	case ARGP_KEY_ARG:
		if (!server->address) {
			server->address = arg;
			return 0;
		}
		/* All that follows is the command's */
		server->command = state->argv + state->next - 1;
		state->next = state->argc;
		return 0;
	case ARGP_KEY_END:
		if (!server->address)
			die_usage("which endpoint?");
		if (!server->command)
			die_usage("which command?");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* What the command has written so far */
static void collect(struct job *job)
{
	char rest[4096];

	for (;;) {
		ssize_t n = job->size < job->room ?
			read(job->output, job->reply + job->size, job->room - job->size) :
			read(job->output, rest, sizeof(rest));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return;
		if (!n) {
			close(job->output);
			job->output = -1;
			return;
		}
		if (job->size < job->room)
			job->size += (size_t)n;
		else
			job->too_large = true;
	}
}

/* The errno of the reply for how the command ended; 0 if it went well */
static int verdict(const struct server *server, const struct job *job, int status)
{
	if (job->late)
		return ETIMEDOUT;
	if (WIFEXITED(status) && !WEXITSTATUS(status))
		return job->too_large ? EMSGSIZE : 0;
	if (WIFSIGNALED(status))
		warn("%s was ended by signal %d", server->command[0], WTERMSIG(status));
	else
		warn("%s ended with status %d", server->command[0], WEXITSTATUS(status));
	return server->exit_is_errno && WIFEXITED(status) ? WEXITSTATUS(status) : EIO;
}

static void answer(const struct server *server, const struct job *job, int error)
{
	struct iovec iov = { .iov_base = job->reply, .iov_len = job->size };
	const struct kipc_msg msg = {
		.status = error,
		.iov = &iov,
		.iovcnt = 1,
	};
	int err = kipc_replymsg(server->fd, job->token, &msg);

	/* The endpoint takes less than when the job began */
	if (err == -EMSGSIZE)
		err = kipc_reply_error(server->fd, job->token, EMSGSIZE);
	/* A caller that did not wait is no error of ours */
	if (err && err != -ECANCELED)
		warn("a reply could not be made: %s", strerror(-err));
}

static void end_job(struct server *server, struct job *job)
{
	int status = 0, error;

	while (waitpid(job->pid, &status, 0) < 0 && errno == EINTR)
		;
	/* What it left in the pipe. Its children may keep that open, but are not waited for */
	if (job->output >= 0)
		collect(job);
	error = verdict(server, job, status);
	if (job->late)
		warn("%s took too long and was ended", server->command[0]);
	else if (error == EMSGSIZE && job->too_large)
		warn("%s wrote more than the %zu bytes that the endpoint takes",
		     server->command[0], job->room);
	if (job->token)
		answer(server, job, error);
	if (job->output >= 0)
		close(job->output);
	close(job->process);
	free(job->reply);
	memset(job, 0, sizeof(*job));
	server->running--;
}

/* The files of a call are descriptors 3, 4 ... of its command */
static void pass_files(const struct room *room, uint32_t nfds)
{
	int above[KIPC_FILES_MAX];

	for (uint32_t i = 0; i < nfds; i++)
		above[i] = fcntl(room->fds[i], F_DUPFD_CLOEXEC, FIRST_FILE + KIPC_FILES_MAX);
	for (uint32_t i = 0; i < nfds; i++) {
		if (above[i] < 0 || dup2(above[i], FIRST_FILE + (int)i) < 0)
			_exit(COMMAND_MISSING);
	}
}

static void set_number(const char *name, long long value)
{
	char text[24];

	snprintf(text, sizeof(text), "%lld", value);
	if (setenv(name, text, 1))
		_exit(COMMAND_MISSING);
}

static void __attribute__((noreturn)) run(const struct server *server,
					  const struct kipc_result *result, int input, int output)
{
	char type[24], badge[24];

	/* With its children it can be ended as a whole */
	setpgid(0, 0);
	signal(SIGPIPE, SIG_DFL);
	sigprocmask(SIG_SETMASK, &server->before, NULL);
	snprintf(type, sizeof(type), "%llu", (unsigned long long)result->type);
	snprintf(badge, sizeof(badge), "%llu", (unsigned long long)result->badge);
	if (setenv("KIPC_TYPE", type, 1) || setenv("KIPC_BADGE", badge, 1) ||
	    setenv("KIPC_ENDPOINT", server->address, 1))
		_exit(COMMAND_MISSING);
	set_number("KIPC_PRIO", result->prio);
	set_number("KIPC_UID", result->uid);
	set_number("KIPC_GID", result->gid);
	set_number("KIPC_PID", result->pid);
	set_number("KIPC_FILES", result->nfds);
	if (dup2(input, STDIN_FILENO) < 0 || (output >= 0 && dup2(output, STDOUT_FILENO) < 0))
		_exit(COMMAND_MISSING);
	pass_files(&server->room, result->nfds);
	execvp(server->command[0], server->command);
	fprintf(stderr, "kipc serve: %s: %s\n", server->command[0], strerror(errno));
	_exit(COMMAND_MISSING);
}

/* The payload as a file: a pipe could fill up, with nobody to empty it */
static int as_file(const char *bytes, size_t size)
{
	int fd = memfd_create("kipc", MFD_CLOEXEC);
	size_t done = 0;

	if (fd < 0)
		return -errno;
	while (done < size) {
		ssize_t n = write(fd, bytes + done, size - done);

		if (n < 0) {
			int err = -errno;

			close(fd);
			return err;
		}
		done += (size_t)n;
	}
	if (lseek(fd, 0, SEEK_SET)) {
		close(fd);
		return -EIO;
	}
	return fd;
}

static int launch(const struct server *server, struct job *job, const struct kipc_result *result,
		  int input)
{
	int pipe[2] = { -1, -1 }, err = 0;

	if (job->token && pipe2(pipe, O_CLOEXEC))
		return -errno;
	job->pid = fork();
	if (!job->pid)
		run(server, result, input, pipe[1]);
	if (job->pid < 0)
		err = -errno;
	if (pipe[1] >= 0)
		close(pipe[1]);
	if (!err) {
		/* In the child too: whoever comes first */
		setpgid(job->pid, job->pid);
		job->process = pidfd_open(job->pid, 0);
		if (job->process < 0) {
			err = -errno;
			kill(-job->pid, SIGKILL);
			while (waitpid(job->pid, NULL, 0) < 0 && errno == EINTR)
				;
		}
	}
	if (err) {
		if (pipe[0] >= 0)
			close(pipe[0]);
		job->pid = 0;
		return err;
	}
	job->output = pipe[0];
	if (pipe[0] >= 0)
		fcntl(pipe[0], F_SETFL, O_NONBLOCK);
	return 0;
}

static void start_job(struct server *server, const struct kipc_result *result, size_t size)
{
	struct job *job = server->job;
	int input, err;

	while (job->pid)
		job++;
	job->token = result->token;
	job->room = server->room.size;
	job->reply = need(malloc(job->room + 1));
	if (server->limit_ms)
		job->end = monotonic_ns() + (int64_t)server->limit_ms * 1000000;
	input = as_file(server->room.bytes, size);
	err = input < 0 ? input : launch(server, job, result, input);
	if (input >= 0)
		close(input);
	for (uint32_t i = 0; i < result->nfds; i++)
		close(server->room.fds[i]);
	if (!err) {
		server->running++;
		return;
	}
	warn("%s cannot be run: %s", server->command[0], strerror(-err));
	if (job->token)
		kipc_reply_error(server->fd, job->token, -err);
	free(job->reply);
	memset(job, 0, sizeof(*job));
}

/* Ends what takes too long; returns the milliseconds until something will, -1: never */
static int check_time(struct server *server)
{
	int64_t now = monotonic_ns(), next = INT64_MAX;

	for (unsigned int i = 0; i < server->jobs; i++) {
		struct job *job = &server->job[i];

		if (!job->pid || !job->end || job->late)
			continue;
		if (job->end <= now) {
			job->late = true;
			kill(-job->pid, SIGKILL);
		} else if (job->end < next) {
			next = job->end;
		}
	}
	return next == INT64_MAX ? -1 : (int)((next - now) / 1000000 + 1);
}

/* Waits until something happens, and sees to the jobs */
static void attend(struct server *server, bool receiving)
{
	struct pollfd *polled = need(calloc(2 * server->jobs + 1, sizeof(*polled)));
	int wait_ms = check_time(server);
	const struct timespec wait = { .tv_sec = wait_ms / 1000,
				       .tv_nsec = wait_ms % 1000 * 1000000L };

	polled[0].fd = receiving && server->running < server->jobs ? server->fd : -1;
	polled[0].events = POLLIN;
	for (unsigned int i = 0; i < server->jobs; i++) {
		const struct job *job = &server->job[i];

		polled[1 + 2 * i] = (struct pollfd) { .fd = job->pid ? job->process : -1,
						      .events = POLLIN };
		polled[2 + 2 * i] = (struct pollfd) { .fd = job->pid ? job->output : -1,
						      .events = POLLIN };
	}
	/* Signals come here only */
	if (ppoll(polled, 2 * server->jobs + 1, wait_ms < 0 ? NULL : &wait, &server->before) >= 0) {
		for (unsigned int i = 0; i < server->jobs; i++) {
			struct job *job = &server->job[i];

			if (polled[2 + 2 * i].revents)
				collect(job);
			if (polled[1 + 2 * i].revents)
				end_job(server, job);
		}
	}
	free(polled);
}

static void serve(struct server *server)
{
	const struct kipc_msg any = { .flags = KIPC_NORESTART };
	uint64_t taken = 0;
	int err = 0;

	while (!stopped && !err && (!server->count || taken < server->count)) {
		struct kipc_result result;
		ssize_t n = -EAGAIN;

		if (server->running < server->jobs)
			n = receive(server->fd, &server->room, &any, &result, 0);
		if (n >= 0) {
			taken++;
			start_job(server, &result, (size_t)n);
		} else if (n == -EAGAIN || n == -EINTR) {
			attend(server, true);
		} else {
			err = (int)n;
		}
	}
	/* What was taken gets its answer; who cannot wait for that sends a second signal */
	while (server->running)
		attend(server, false);
	if (err)
		die_of(err, RECEIVING, server->address);
}

int command_serve(int argc, char **argv)
{
	static const struct argp_child children[] = {
		{ &receiver_argp, 0, NULL, 0 }, { &trust_argp, 0, NULL, 0 }, { 0 }
	};
	static const struct argp argp = {
		.options = options, .parser = parse,
		.args_doc = "ENDPOINT COMMAND [ARGUMENT...]",
		.doc = "Answers calls: the payload is the command's standard input, what it "
		       "prints is the reply.",
		.children = children,
	};
	struct server server = { .jobs = 1 };
	struct kipc_endpoint info;
	sigset_t stops;
	char *file;

	parse_arguments(&argp, argc, argv, ARGP_IN_ORDER, &server);
	/* A command that is not there should not be found out call by call */
	file = command_find(server.command[0]);
	if (!file)
		die(EXIT_FAILED, "%s: there is no such command", server.command[0]);
	free(file);
	sigemptyset(&stops);
	sigaddset(&stops, SIGINT);
	sigaddset(&stops, SIGTERM);
	sigaddset(&stops, SIGHUP);
	stop_on_signals();
	server.fd = open_or_create(server.address, &server.creation, &server.access, &info);
	sigprocmask(SIG_BLOCK, &stops, &server.before);
	room_init(&server.room, &info);
	server.job = need(calloc(server.jobs, sizeof(*server.job)));
	serve(&server);
	return EXIT_GOOD;
}
