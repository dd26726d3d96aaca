// SPDX-License-Identifier: GPL-2.0-or-later
/* kipc(1): finds the subcommand. */
#include <locale.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "tool.h"

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *summary;
} commands[] = {
	{ "ls", command_ls, "list endpoints" },
	{ "stat", command_stat, "show all that is known of endpoints" },
	{ "mk", command_mk, "make an endpoint that lives until it is removed" },
	{ "set", command_set, "change an endpoint" },
	{ "rm", command_rm, "remove endpoints" },
	{ "send", command_send, "send messages" },
	{ "recv", command_recv, "receive messages" },
	{ "call", command_call, "make a call and print the reply" },
	{ "serve", command_serve, "answer calls by running a command" },
	{ "run", command_run, "run a program of System V or POSIX queues on kipc's" },
	{ "names", command_names, "list, look up and watch names at the naming service" },
	{ "monitor", command_monitor, "show what happens to messages, live" },
	{ "top", command_top, "show endpoints and their traffic, live" },
	{ "load", command_load, "load the module" },
	{ "unload", command_unload, "unload the module" },
	{ "status", command_status, "tell whether kipc works here, and what is wrong" },
};

void (*sigpipe_before)(int number);

const char *argp_program_version = "kipc " KIPC_VERSION;

struct chosen {
	size_t command;
	int index;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct chosen *chosen = state->input;

	switch (key) {
	case ARGP_KEY_ARG:
		while (chosen->command < COUNT(commands) &&
		       strcmp(commands[chosen->command].name, arg))
			chosen->command++;
		if (chosen->command == COUNT(commands))
			die_usage("there is no command '%s'", arg);
		/* The rest is the subcommand's */
		chosen->index = state->next - 1;
		state->next = state->argc;
		return 0;
	case ARGP_KEY_NO_ARGS:
		die_usage("which command?");
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static char *help(int key, const char *text, void *input)
{
	size_t size = 0;
	char *list = NULL;
	FILE *out;

	(void)input;
	if (key != ARGP_KEY_HELP_PRE_DOC)
		return (char *)(uintptr_t)text;
	out = need(open_memstream(&list, &size));
	fprintf(out, "%s\n\nCommands:\n", text);
	for (size_t i = 0; i < COUNT(commands); i++)
		fprintf(out, "  %-9s%s\n", commands[i].name, commands[i].summary);
	fputs("\nOptions:", out);
	if (fclose(out))
		die(EXIT_LIMIT, "out of memory");
	return list;
}

int main(int argc, char **argv)
{
	static const struct argp argp = {
		.parser = parse,
		.args_doc = "COMMAND [ARGUMENT...]",
		.doc = "Looks at kipc's endpoints, and sends and receives through them.\v"
		       "'kipc COMMAND --help' tells about a command, kipc(1) about all of it.",
		.help_filter = help,
	};
	struct chosen chosen = { 0 };
	static char name[32];

	setlocale(LC_CTYPE, "");
	/* Output that nobody reads any more is told by finish_output() */
	sigpipe_before = signal(SIGPIPE, SIG_IGN);
	set_command(NULL);
	if (argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &chosen))
		return EXIT_USAGE;
	argp_program_version = NULL;
	set_command(commands[chosen.command].name);
	snprintf(name, sizeof(name), "kipc %s", commands[chosen.command].name);
	argv[chosen.index] = name;
	return finish_output(commands[chosen.command].run(argc - chosen.index,
							  argv + chosen.index));
}
