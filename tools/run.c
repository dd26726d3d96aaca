// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * kipc run: a program written for System V or POSIX queues gets those of kipc, by libraries that
 * the dynamic linker loads before the C library. With --check, whether it could.
 *
 * The libraries are given by their names alone, and the dynamic linker finds them where it
 * finds others: that of 32-bit programs the 32-bit ones, though both have the same name. With
 * --libdir that is left to the token $LIB, if need be.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "program.h"
#include "tool.h"

/* As env(1) and shells say */
#define EXIT_NOT_EXECUTABLE	126
#define EXIT_NOT_FOUND		127

#define SCRIPTS_MAX		5	/* that run one another; the kernel's own limit */
#define FIRST_LINE		256	/* what the kernel reads of one */
#define LIBRARIES_MAX		1024	/* of one program */

enum { SYSV, POSIX, QUEUES };

static const struct {
	const char *library;
	const char *what;
} queues[QUEUES] = {
	[SYSV] = { "libkipc-sysv.so", "System V" },
	[POSIX] = { "libkipc-posixmq.so", "POSIX" },
};

struct run {
	bool wanted[QUEUES];
	bool check;
	char *libdir;		/* NULL: where the dynamic linker looks */
	char **command;
	bool hindered;		/* a reason was found why it cannot be served */
	bool uses;
	struct object *drop_in[QUEUES];
};

static const struct argp_option options[] = {
	{ "sysv", 's', NULL, 0, "Only System V queues", 0 },
	{ "posix", 'p', NULL, 0, "Only POSIX queues", 0 },
	{ "libdir", 'L', "DIRECTORY", 0,
	  "Where the libraries are, if not where the dynamic linker looks", 0 },
	{ "check", 'c', NULL, 0, "Do not run it, but tell whether it can be served", 0 },
	{ 0 }
};

/* Separators of LD_PRELOAD cannot be escaped there */
static char *parse_directory(const char *text)
{
	char *path;

	if (text[strcspn(text, ": \t\n")])
		die_usage("the name of a directory of libraries has no colons or blanks: '%s'",
			  text);
	if (strchr(text, '$')) {
		if (text[0] != '/')
			die_usage("a directory with a token begins with '/': '%s'", text);
		return need(strdup(text));
	}
	/* The program may go elsewhere */
	path = realpath(text, NULL);
	if (!path)
		die_usage("%s: %s", text, strerror(errno));
	return path;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct run *run = state->input;

	switch (key) {
	case 's':
		run->wanted[SYSV] = true;
		return 0;
	case 'p':
		run->wanted[POSIX] = true;
		return 0;
	case 'L':
		free(run->libdir);
		run->libdir = parse_directory(arg);
		return 0;
	case 'c':
		run->check = true;
		return 0;
	case ARGP_KEY_ARG:
		/* All that follows is the program's */
		run->command = state->argv + state->next - 1;
		state->next = state->argc;
		return 0;
	case ARGP_KEY_END:
		if (!run->command)
			die_usage("which program?");
		if (!run->wanted[SYSV] && !run->wanted[POSIX])
			memset(run->wanted, true, sizeof(run->wanted));
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static void find(const struct run *run, const char *what, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
static void hinder(struct run *run, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Text with what may stand in a file name or a symbol */
static void print_finding(const char *what, const char *format, va_list arguments)
{
	char *text, *shown;

	if (vasprintf(&text, format, arguments) < 0)
		die(EXIT_LIMIT, "out of memory");
	shown = printable(text, strlen(text));
	printf("%-11s %s\n", what, shown);
	free(shown);
	free(text);
}

/* One finding of --check: a line */
static void find(const struct run *run, const char *what, const char *format, ...)
{
	va_list arguments;

	if (!run->check)
		return;
	va_start(arguments, format);
	print_finding(what, format, arguments);
	va_end(arguments);
}

/* A reason why it cannot be served. It is run all the same: what it runs perhaps can */
static void hinder(struct run *run, const char *format, ...)
{
	va_list arguments;
	char *text, *shown;

	va_start(arguments, format);
	if (run->check) {
		print_finding("obstacle", format, arguments);
	} else if (!run->hindered) {
		if (vasprintf(&text, format, arguments) < 0)
			die(EXIT_LIMIT, "out of memory");
		shown = printable(text, strlen(text));
		warn("%s: not kipc's queues, but those of the kernel: %s", run->command[0], shown);
		free(shown);
		free(text);
	}
	va_end(arguments);
	run->hindered = true;
}

/* What env(1) runs, by the words behind it in the first line of a script */
static char *command_of_env(char *words)
{
	char *at = NULL;

	for (char *word = strtok_r(words, " \t", &at); word; word = strtok_r(NULL, " \t", &at)) {
		if (word[0] != '-' && !strchr(word, '='))
			return command_find(word);
	}
	return NULL;
}

/* The program that a script names in its first line; NULL, with errno 0: it is none */
static char *interpreter(const char *path)
{
	char line[FIRST_LINE] = "", *name, *end, *command;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	ssize_t n;

	if (fd < 0)
		return NULL;
	n = read(fd, line, sizeof(line) - 1);
	close(fd);
	errno = 0;
	if (n < 2 || line[0] != '#' || line[1] != '!')
		return NULL;
	line[strcspn(line, "\n")] = '\0';
	name = line + 2 + strspn(line + 2, " \t");
	end = name + strcspn(name, " \t");
	if (end == name)
		return NULL;
	if (*end)
		*end++ = '\0';
	command = strrchr(name, '/');
	command = !strcmp(command ? command + 1 : name, "env") ? command_of_env(end) : NULL;
	return command ? command : need(strdup(name));
}

/* The file that the kernel will load for @path; NULL: it was told why there is none */
static struct object *open_program(struct run *run, char *path)
{
	struct object *program;
	char *next = NULL;

	for (int i = 0; i < SCRIPTS_MAX; i++) {
		program = object_open(path);
		if (program)
			return program;
		next = errno == ENOEXEC ? interpreter(path) : NULL;
		if (!next)
			break;
		find(run, "script", "%s, which %s runs", path, next);
		path = next;
	}
	if (next)
		hinder(run, "%s: scripts that run scripts without end", path);
	else if (!errno)
		hinder(run, "%s is neither an ELF file nor a script with an interpreter", path);
	else if (run->check)
		/* It can be executed, but not read; or the interpreter is not there */
		die(errno == ENOENT ? EXIT_NOT_FOUND : status_of(errno), "%s: %s", path,
		    strerror(errno));
	return NULL;
}

/* Whether it gets more rights than the caller: then ld.so ignores LD_PRELOAD (secure execution) */
static const char *privilege(const char *path)
{
	struct statvfs fs;
	struct stat st;

	if (stat(path, &st) || prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ||
	    (!statvfs(path, &fs) && (fs.f_flag & ST_NOSUID)))
		return NULL;
	if (st.st_mode & S_ISUID && st.st_uid != getuid())
		return "setuid";
	/* Without x for the group it meant a lock */
	if ((st.st_mode & 02010) == 02010 && st.st_gid != getgid())
		return "setgid";
	if (getuid() && getxattr(path, "security.capability", NULL, 0) > 0)
		return "a program with capabilities";
	return NULL;
}

/* Whether the dynamic linker is that of the GNU C library, and there */
static bool check_linker(struct run *run, const struct object *program)
{
	static const char *const names[] = { "ld-linux", "ld64.so.", "ld.so." };
	char *linker = object_linker(program), *base;
	bool known = false;

	if (!linker) {
		hinder(run, "%s is statically linked: no library can be put before its own",
		       object_path(program));
		return false;
	}
	base = strrchr(linker, '/');
	base = base ? base + 1 : linker;
	for (size_t i = 0; i < COUNT(names); i++)
		known = known || !strncmp(base, names[i], strlen(names[i]));
	if (!known)
		hinder(run, "its dynamic linker, %s, is not that of the GNU C library", linker);
	else if (access(linker, X_OK))
		hinder(run, "its dynamic linker, %s: %s", linker, strerror(errno));
	else
		find(run, "linker", "%s", linker);
	free(linker);
	return known;
}

static char *library_path(const struct run *run, int which)
{
	char *path;

	if (asprintf(&path, "%s%s%s", run->libdir ? run->libdir : "", run->libdir ? "/" : "",
		     queues[which].library) < 0)
		die(EXIT_LIMIT, "out of memory");
	return path;
}

static void find_drop_in(struct run *run, const struct object *program)
{
	for (int i = 0; i < QUEUES; i++) {
		char *path, *file;

		if (!run->wanted[i])
			continue;
		path = library_path(run, i);
		file = library_find(program, program, path);
		run->drop_in[i] = file ? object_open(file) : NULL;
		if (run->drop_in[i])
			find(run, "library", "%s", file);
		else
			hinder(run, "there is no %s for %s programs", path, object_kind(program));
		free(file);
		free(path);
	}
}

static bool calls(const struct object *object, const char *name)
{
	struct symbol symbol;

	for (size_t i = 0; object_symbol(object, i, &symbol); i++) {
		if (!symbol.defined && !strcmp(symbol.name, name))
			return true;
	}
	return false;
}

/* Of the functions that @drop_in stands in for, those that @object calls: "msgget, msgsnd" */
static char *functions_called(const struct object *drop_in, const struct object *object)
{
	struct symbol function, other;
	size_t size = 0;
	char *text = NULL;
	FILE *out = need(open_memstream(&text, &size));

	for (size_t i = 0; object_symbol(drop_in, i, &function); i++) {
		size_t first = 0;

		/* One that is there in several versions counts once */
		while (first < i && object_symbol(drop_in, first, &other) &&
		       (!other.defined || strcmp(other.name, function.name) != 0))
			first++;
		if (function.defined && *function.name && first == i &&
		    calls(object, function.name))
			fprintf(out, "%s%s", ftell(out) ? ", " : "", function.name);
	}
	if (fclose(out))
		die(EXIT_LIMIT, "out of memory");
	return text;
}

static void find_calls(struct run *run, const struct object *object)
{
	if (!object_has_tables(object)) {
		find(run, "unseen", "%s does not tell what it calls", object_path(object));
		return;
	}
	for (int i = 0; i < QUEUES; i++) {
		char *text;

		if (!run->drop_in[i])
			continue;
		text = functions_called(run->drop_in[i], object);
		if (*text) {
			find(run, "calls", "%s (%s), by %s", text, queues[i].what,
			     object_path(object));
			run->uses = true;
		}
		free(text);
	}
}

/* Through the program and all that it needs, each once */
static void find_all_calls(struct run *run, struct object *program)
{
	struct object *objects[LIBRARIES_MAX] = { program };
	const char *names[LIBRARIES_MAX] = { "" };
	size_t count = 1;
	const char *name;

	for (size_t i = 0; i < count; i++) {
		if (!objects[i])
			continue;
		find_calls(run, objects[i]);
		for (size_t j = 0; (name = object_needs(objects[i], j)); j++) {
			bool known = false;
			char *file;

			for (size_t k = 1; k < count && !known; k++)
				known = !strcmp(names[k], name);
			if (known || count == LIBRARIES_MAX)
				continue;
			file = library_find(program, objects[i], name);
			objects[count] = file ? object_open(file) : NULL;
			if (!objects[count])
				find(run, "unseen", "%s, which %s needs, is not found", name,
				     object_path(objects[i]));
			names[count++] = name;
			free(file);
		}
	}
	while (count-- > 1)
		object_close(objects[count]);
}

/* Tells what it finds, each thing on a line with --check, or else of what hinders the first */
static void examine(struct run *run, char *path)
{
	struct object *program = open_program(run, path);
	const char *why;
	bool dynamic;

	if (!program)
		return;
	find(run, "program", "%s, %s", object_path(program), object_kind(program));
	dynamic = check_linker(run, program);
	if (dynamic)
		find_drop_in(run, program);
	why = privilege(object_path(program));
	if (why)
		hinder(run, "%s is %s: its dynamic linker ignores LD_PRELOAD",
		       object_path(program), why);
	if (run->check && dynamic)
		find_all_calls(run, program);
	for (int i = 0; i < QUEUES; i++)
		object_close(run->drop_in[i]);
	object_close(program);
}

static int conclude(const struct run *run)
{
	find(run, "unseen", "system calls that it makes itself, and what it loads or runs later");
	if (run->hindered) {
		find(run, "result", "it cannot be served");
		return EXIT_UNSERVED;
	}
	if (!run->uses) {
		find(run, "result", "it can be served, but no use of queues is seen");
		return EXIT_UNUSED;
	}
	find(run, "result", "it can be served");
	return EXIT_GOOD;
}

/* It goes on without the device: the libraries then call the C library */
static void check_device(const struct run *run)
{
	int dev = kipc_open_device();

	if (dev >= 0)
		close(dev);
	else if (dev == -ENOENT || dev == -ENXIO || dev == -ENODEV)
		warn("%s: not kipc's queues, but those of the kernel: there is no %s; 'kipc load' "
		     "loads the module", run->command[0], DEVICE);
	else if (dev == -EACCES)
		warn("%s: not kipc's queues, but those of the kernel: you may not open %s; "
		     "'kipc status' says who may", run->command[0], DEVICE);
	else
		warn("%s: not kipc's queues, but those of the kernel: %s: %s; 'kipc status' says "
		     "more", run->command[0], DEVICE, strerror(-dev));
}

static void set_preload(const struct run *run)
{
	const char *before = getenv("LD_PRELOAD");
	size_t size = 0;
	char *text = NULL;
	FILE *out = need(open_memstream(&text, &size));

	for (int i = 0; i < QUEUES; i++) {
		char *path;

		if (!run->wanted[i])
			continue;
		path = library_path(run, i);
		fprintf(out, "%s%s", ftell(out) ? ":" : "", path);
		free(path);
	}
	if (before && *before)
		fprintf(out, ":%s", before);
	if (fclose(out) || setenv("LD_PRELOAD", text, 1))
		die(EXIT_LIMIT, "out of memory");
	free(text);
}

static int failure(const char *command, int err)
{
	warn("%s: %s", command, strerror(err));
	return err == ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE;
}

int command_run(int argc, char **argv)
{
	static const struct argp argp = {
		.options = options, .parser = parse,
		.args_doc = "PROGRAM [ARGUMENT...]",
		.doc = "Runs a program that was written for System V or POSIX queues with kipc's "
		       "in their place.",
	};
	struct run run = { 0 };
	char *path;

	parse_arguments(&argp, argc, argv, ARGP_IN_ORDER, &run);
	path = command_find(run.command[0]);
	if (!path)
		return failure(run.command[0], errno);
	examine(&run, path);
	if (run.check)
		return conclude(&run);
	if (!run.hindered)
		check_device(&run);
	set_preload(&run);
	signal(SIGPIPE, sigpipe_before);
	execvp(run.command[0], run.command);
	return failure(run.command[0], errno);
}
