// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Measures what it is asked for and prints a line for each case:
 *
 *	work	parameter	mechanism	median	least	most	unit	repetitions
 *
 * All times are of one operation, in nanoseconds. On a machine that counts
 * instructions (scripts/vm-run --icount) those are instructions.
 *
 * With --dropin it does the works that compare the drop-in libraries with the kernel's
 * own queues. The program is linked with the C library's functions, and does not choose: it
 * is run with the libraries before the C library, or without. It is told which of them
 * it is, and sees to it that it is so.
 */
#include <errno.h>
#include <getopt.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "works.h"

#define REPETITIONS_MAX	100

static const struct mechanism *const mechanisms[] = {
	&kipc, &futex_shm, &eventfd_shm, &pipes, &stream, &seqpacket, &sysv, &mq, &binder,
};

static struct {
	unsigned int repetitions;
	uint64_t length;	/* of a repetition, in ns */
	bool wall;
	bool steady;		/* a process to be watched: no measuring, only rounds */
	bool dropin;		/* its works, and: */
	bool preloaded;		/* with the libraries */
	char **wanted;		/* cases, NULL ends them */
} options = { .repetitions = 9, .length = 10000000, .wanted = (char *[]){ NULL } };

static int compare(const void *a, const void *b)
{
	double left = *(const double *)a, right = *(const double *)b;

	return (left > right) - (left < right);
}

/* Rounds of a fixed length: which count of operations takes that is found out first. */
static uint64_t find_count(round_fn *round)
{
	uint64_t count = 2UL * BENCH_BATCH, time;

	round(count);	/* warms up */
	while ((time = round(count)) < options.length / 8)
		count *= 4;
	count = count * options.length / time / BENCH_BATCH * BENCH_BATCH;
	return count < BENCH_BATCH ? BENCH_BATCH : count;
}

/* Where the code of this process lies, for who looks up the names of its functions */
static void print_maps(void)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	char line[512];

	if (!maps)
		die("/proc/self/maps");
	while (fgets(line, sizeof(line), maps)) {
		if (strstr(line, " r-xp "))
			printf("map %s", line);
	}
	fclose(maps);
}

static void measure(const char *title, const struct plan *plan)
{
	round_fn *round = plan->round;
	double costs[REPETITIONS_MAX];
	uint64_t count;

	/* What a thousand processes of the case before have left to the kernel to clear away */
	nanosleep(&(struct timespec){ .tv_nsec = 100000000 }, NULL);
	count = find_count(round);
	if (options.steady) {
		print_maps();
		printf("steady %p %p\n", (void *)plan->begin, (void *)plan->other);
		fflush(stdout);
		/* The watcher needs time to begin, and ends it. */
		for (int i = 0; i < 1000; i++)
			round(count);
		return;
	}
	for (unsigned int i = 0; i < options.repetitions; i++)
		costs[i] = (double)round(count) / (double)count;
	qsort(costs, options.repetitions, sizeof(costs[0]), compare);
	printf("%s\t%.1f\t%.1f\t%.1f\t%s\t%u\n", title, costs[options.repetitions / 2], costs[0],
	       costs[options.repetitions - 1], options.wall ? "ns" : "instructions",
	       options.repetitions);
	fflush(stdout);
}

/* "rpc" wants all of it, "rpc/64" that size of it, "rpc/64/kipc" that case. */
static bool is_wanted(const char *work, unsigned int parameter, const char *mechanism)
{
	char name[128];
	int length;

	length = snprintf(name, sizeof(name), "%s/%u/%s", work, parameter, mechanism);
	if (!*options.wanted)
		return true;
	for (char **wanted = options.wanted; *wanted; wanted++) {
		size_t part = strlen(*wanted);

		if (part <= (size_t)length && !strncmp(name, *wanted, part) &&
		    (!name[part] || name[part] == '/'))
			return true;
	}
	return false;
}

/* A library that was not loaded, or did not find the device, would leave all as it was. */
static void check_whose_queues(void)
{
	FILE *endpoints = fopen("/proc/net/kipc", "r");
	unsigned int lines = 0;
	char line[1024];

	if (!endpoints)
		die("/proc/net/kipc");
	while (fgets(line, sizeof(line), endpoints))
		lines++;
	fclose(endpoints);
	/* The first one has the titles. */
	if (options.preloaded ? lines < 2 : lines > 1) {
		errno = EBADMSG;
		die(options.preloaded ? "queues that are not kipc's" : "queues of kipc's");
	}
}

/* In a process of its own; says whether that went well. */
static bool run_case(const struct work *work, unsigned int parameter, const char *mechanism,
		     const struct mechanism *with, round_fn *round)
{
	struct plan plan = { .round = round };
	char title[128];
	int status;
	pid_t pid;

	if (!is_wanted(work ? work->name : "reference", parameter, mechanism))
		return true;
	pid = check(fork(), "fork");
	if (!pid) {
		team_init(options.wall);
		if (work)
			plan = work->prepare(with, parameter);
		if (options.dropin)
			check_whose_queues();
		snprintf(title, sizeof(title), "%s\t%u\t%s", work ? work->name : "reference",
			 parameter, mechanism);
		if (plan.round) {
			measure(title, &plan);
			team_end();
			if (with && with->clean)
				with->clean();
		}
		_exit(0);
	}
	check(waitpid(pid, &status, 0), "waitpid");
	if (status)
		fprintf(stderr, "kipc-bench: %s/%u/%s failed\n", work ? work->name : "reference",
			parameter, mechanism);
	return !status;
}

static bool run_work(const struct work *work)
{
	const unsigned int *parameter = work->parameters;
	bool good = true;

	do {
		if (work->only) {
			const struct mechanism *whose = options.preloaded ? &kipc : work->only;

			good &= run_case(work, *parameter, whose->name, work->only, NULL);
			continue;
		}
		for (size_t i = 0; i < sizeof(mechanisms) / sizeof(mechanisms[0]); i++)
			good &= run_case(work, *parameter, mechanisms[i]->name, mechanisms[i],
					 NULL);
	} while (*++parameter);
	return good;
}

static void usage(void)
{
	fputs("Usage: kipc-bench [OPTION]... [WORK[/PARAMETER[/MECHANISM]]]...\n"
	      "  -r, --repetitions=N  of each case (9)\n"
	      "  -l, --length=MS      of each repetition (10)\n"
	      "  -w, --wall           by the clock, server and clients on two CPUs\n"
	      "  -s, --steady         say when it has warmed up, and go on for some time\n"
	      "  -d, --dropin=native  only what is done with the C library's queues\n"
	      "  -d, --dropin=kipc    the same, the drop-in libraries being preloaded\n",
	      stderr);
	exit(2);
}

static unsigned int number(const char *text, unsigned int most)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);

	if (!value || *end || value > most)
		usage();
	return (unsigned int)value;
}

static void parse(int argc, char **argv)
{
	static const struct option names[] = {
		{ "repetitions", required_argument, NULL, 'r' },
		{ "length", required_argument, NULL, 'l' },
		{ "wall", no_argument, NULL, 'w' },
		{ "steady", no_argument, NULL, 's' },
		{ "dropin", required_argument, NULL, 'd' },
		{ 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "r:l:wsd:", names, NULL)) >= 0) {
		switch (option) {
		case 'r':
			options.repetitions = number(optarg, REPETITIONS_MAX);
			break;
		case 'l':
			options.length = number(optarg, 10000) * 1000000UL;
			break;
		case 'w':
			options.wall = true;
			break;
		case 's':
			options.steady = true;
			break;
		case 'd':
			options.dropin = true;
			options.preloaded = !strcmp(optarg, kipc.name);
			if (!options.preloaded && strcmp(optarg, "native") != 0)
				usage();
			break;
		default:
			usage();
		}
	}
	options.wanted = argv + optind;
}

int main(int argc, char **argv)
{
	const struct sched_param param = { 0 };
	bool good = true;

	parse(argc, argv);
	/* Nobody is preempted by whom he wakes: the cost does not depend on the past. */
	check(sched_setscheduler(0, SCHED_BATCH, &param), "SCHED_BATCH");
	for (unsigned int i = 0; i < dropin_work_count && options.dropin; i++)
		good &= run_work(&dropin_works[i]);
	if (options.dropin)
		return good ? 0 : 1;
	for (unsigned int i = 0; i < reference_count && !options.wall; i++)
		good &= run_case(NULL, 0, references[i].name, NULL, references[i].round);
	for (unsigned int i = 0; i < work_count; i++) {
		if (!options.wall || !works[i].alone)
			good &= run_work(&works[i]);
	}
	return good ? 0 : 1;
}
