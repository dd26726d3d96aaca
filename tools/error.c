// SPDX-License-Identifier: GPL-2.0-or-later
/* What went wrong, what to do about it, and the exit status. */
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tool.h"

static const char *command;

volatile int stopped;

void set_command(const char *name)
{
	command = name;
	argp_err_exit_status = EXIT_USAGE;
}

static void vwarn(const char *format, va_list arguments)
{
	bool colour = colours(stderr);

	/* What was printed comes first */
	fflush(stdout);
	fprintf(stderr, "%skipc%s%s:%s ", colour ? "\033[1;31m" : "", command ? " " : "",
		command ? command : "", colour ? "\033[0m" : "");
	vfprintf(stderr, format, arguments);
	fputc('\n', stderr);
}

void warn(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vwarn(format, arguments);
	va_end(arguments);
}

void die(int status, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vwarn(format, arguments);
	va_end(arguments);
	exit(status);
}

void die_usage(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vwarn(format, arguments);
	va_end(arguments);
	fprintf(stderr, "Try 'kipc%s%s --help'.\n", command ? " " : "", command ? command : "");
	exit(EXIT_USAGE);
}

int status_of(int err)
{
	switch (abs(err)) {
	case ENOENT:
	case EIDRM:
	case ECONNREFUSED:
		return EXIT_MISSING;
	case EACCES:
	case EPERM:
		return EXIT_DENIED;
	case EAGAIN:
	case ETIMEDOUT:
		return EXIT_TIME;
	case EEXIST:
		return EXIT_EXISTS;
	case EDQUOT:
	case ENOSPC:
	case EMSGSIZE:
	case EMFILE:
	case ENFILE:
	case ENOMEM:
	case ENAMETOOLONG:
		return EXIT_LIMIT;
	default:
		return EXIT_FAILED;
	}
}

static const char *advice_denied(int err, enum doing doing)
{
	if (err == EPERM && doing == OPENING)
		return "it was created by neither you nor root; say whom you trust with "
		       "--owner=USER, or trust anybody with --any-owner";
	if (err == EPERM && doing == CREATING)
		return "keys with bit 63 and names that begin with \"sys.\" need CAP_IPC_OWNER";
	if (err == EPERM)
		return "only its owner, its creator and root may do that";
	return "its mode forbids it; its owner can change that by 'kipc set --mode=MODE'";
}

static const char *advice_naming(int err)
{
	switch (err) {
	case ENOENT:
		return "no such name is registered; 'kipc names' lists those you may look up, "
		       "--deadline=TIME waits for one";
	case EACCES:
		return "the naming service's policy forbids it: kipc-named.conf(5)";
	case ECONNREFUSED:
		return "there is no naming service; kipc-named(8) tells how to start it";
	case ETIMEDOUT:
		return "nothing has changed in time";
	case EINVAL:
		return "a name is words of letters, digits, - and _ with dots between them";
	case EDQUOT:
	case ENOSPC:
		return "too many wait there, or there are too many handles on its endpoint";
	case ENAMETOOLONG:
		return "a registered name has at most 223 bytes";
	default:
		return NULL;
	}
}

static const char *advice(int err, enum doing doing)
{
	if (doing == NAMING)
		return advice_naming(err);
	switch (err) {
	case ENOENT:
		return doing == FINDING ?
		       "there is no such endpoint; 'kipc ls' lists those you may see" :
		       "there is no such endpoint; 'kipc ls' lists those you may see, --wait "
		       "waits for one";
	case EIDRM:
		return doing == OPENING || doing == FINDING ?
		       "there is no endpoint with this id; 'kipc ls' lists those you may see" :
		       "it was removed, or its last receiver has gone";
	case EACCES:
	case EPERM:
		return advice_denied(err, doing);
	case EAGAIN:
		return doing == RECEIVING ? "nothing is there for you now; --deadline=TIME waits" :
			"that would have to wait; --deadline=TIME allows it";
	case ETIMEDOUT:
		return doing == RECEIVING ? "nothing came in time" :
			"not done in time; 'kipc stat' shows how full it is and who receives";
	case EEXIST:
		return "key or name is taken; 'kipc stat' shows by what";
	case EDQUOT:
		return "a quota of yours is used up; 'kipc status' shows the limits";
	case ENOSPC:
		return "there are too many endpoints, or too many handles or waiting tasks at "
		       "this one; 'kipc status' shows the limits";
	case EMSGSIZE:
		return doing == CREATING || doing == CHANGING ?
			"the capacity is beyond the module's limits; 'kipc status' shows them" :
			"larger than the endpoint's max_size, which 'kipc set --max-size=SIZE' "
			"changes; a System V queue also has sysctl(8)'s kernel.msgmax";
	case ENAMETOOLONG:
		return "a name has at most 255 bytes";
	case EOPNOTSUPP:
		return doing == CALLING ?
		       "it takes no calls ('kipc send' sends a message without reply), or no "
		       "files, or none of this kind" :
		       "it takes no files, or none of this kind; kipc(4) tells what travels";
	case EDEADLK:
		return "nobody could answer";
	case ECONNRESET:
		return "the server died";
	default:
		return NULL;
	}
}

int warn_of(int err, enum doing doing, const char *address)
{
	const char *what;
	char *shown;

	err = abs(err);
	what = advice(err, doing);
	shown = printable(address, strlen(address));
	warn("%s: %s%s%s", shown, strerror(err), what ? ": " : "", what ? what : "");
	free(shown);
	return status_of(err);
}

void die_of(int err, enum doing doing, const char *address)
{
	exit(warn_of(err, doing, address));
}

int first_error(int status, int next)
{
	return status ? status : next;
}

const char *error_name(int err)
{
	const char *name = strerrorname_np(abs(err));

	return name ? name : "?";
}

void parse_arguments(const struct argp *argp, int argc, char **argv, unsigned int flags,
		     void *input)
{
	if (argp_parse(argp, argc, argv, flags, NULL, input))
		die_usage("the arguments cannot be read");
}

int finish_output(int status)
{
	if (fflush(stdout) || ferror(stdout)) {
		warn("standard output: %s", strerror(errno));
		return status ? status : EXIT_FAILED;
	}
	return status;
}

void *need(void *memory)
{
	if (!memory)
		die(EXIT_LIMIT, "out of memory");
	return memory;
}

static void on_signal(int number)
{
	stopped = number;
}

void stop_on_signals(void)
{
	static const int numbers[] = { SIGINT, SIGTERM, SIGHUP };
	/* Without SA_RESTART: what waits, ends. A second signal ends the program */
	const struct sigaction action = { .sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND };

	for (size_t i = 0; i < COUNT(numbers); i++) {
		struct sigaction old;

		/* What nohup(1) or a shell made this program ignore stays ignored */
		if (!sigaction(numbers[i], NULL, &old) && old.sa_handler != SIG_IGN)
			sigaction(numbers[i], &action, NULL);
	}
}
