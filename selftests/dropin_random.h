/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sequences of calls by chance, to be run on the kernel's own queues and on kipc's (dropin.sh).
 *
 * What is called is fixed by the number of the sequence alone. What the calls give goes into a
 * digest, which is part of the case's name: dropin.sh compares names, and so finds
 * whether the two are told apart by any of them. With DROPIN_TRACE in the environment each
 * result is printed, to see which: PROGRAM [FIRST [COUNT]] runs the sequences from FIRST on.
 *
 * A call that may wait is made by a job, and there is nothing else until all jobs have ended or
 * sleep: what the scheduler does changes nothing. A signal comes to one of them now and then, for
 * which the program says SIGNAL_FLAGS, of sigaction(2).
 */
#ifndef KIPC_SELFTESTS_DROPIN_RANDOM_H
#define KIPC_SELFTESTS_DROPIN_RANDOM_H

#include <errno.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common.h"

#define SEQUENCES	2
#define CALLS		500
#define JOBS		6

static uint64_t chance, digest;
static uid_t user;		/* who calls; who looks whether jobs sleep is root */
static gid_t group;

static uint32_t below(uint32_t n)
{
	chance = chance * 6364136223846793005U + 1442695040888963407U;
	return (uint32_t)(chance >> 33) % n;
}

#define ONE_OF(first, ...)						\
	({								\
		const __typeof__(first) of_[] = { (first), __VA_ARGS__ };	\
		of_[below(sizeof(of_) / sizeof(of_[0]))];		\
	})

static uint64_t digest_of(uint64_t before, const void *bytes, size_t size)
{
	const unsigned char *byte = bytes;

	for (size_t i = 0; i < size; i++)
		before = (before ^ byte[i]) * 1099511628211U;
	return before;
}

/* A result */
static __attribute__((format(printf, 1, 2))) void told(const char *format, ...)
{
	char line[512];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(line, sizeof(line), format, arguments);
	va_end(arguments);
	digest = digest_of(digest, line, strlen(line));
	if (getenv("DROPIN_TRACE"))
		printf("# %s\n", line);
}

/* Of a negative errno, or no error */
static const char *error_name(long ret)
{
	return ret < 0 ? strerrorname_np((int)-ret) : "ok";
}

static const char *process_name(pid_t pid)
{
	return !pid ? "none" : pid == getpid() ? "this" : "another";
}

/* A call that a job makes; begins what the test knows of it */
struct pending {
	struct kt_job *job;
	size_t size;		/* of all that is known */
};

static struct pending *pending[JOBS];

/* What all results of jobs are told by: the result or a negative errno */
static void told_pending(const struct pending *call, long ret);

/* Does a job sleep in a queue's call? */
static bool waits_for_queue(struct kt_job *job);

/* How many have ended, when each has been seen to, or to sleep */
static int look_at_all(void)
{
	int ended = 0;

	for (int i = 0; i < JOBS; i++) {
		if (!pending[i])
			continue;
		kt_need(kt_until(pending[i]->job->done || waits_for_queue(pending[i]->job)));
		ended += pending[i]->job->done;
	}
	return ended;
}

static void settle(void)
{
	int before, ended = look_at_all();

	/* Who has ended last may have woken one that was seen to sleep before */
	do {
		before = ended;
		ended = look_at_all();
	} while (ended != before);
	/* What signals they have sent us come with the next system call */
	getppid();
	for (int i = 0; i < JOBS; i++) {
		if (!pending[i] || !pending[i]->job->done)
			continue;
		told_pending(pending[i], kt_join(pending[i]->job));
		kt_need(!munmap(pending[i], pending[i]->size));
		pending[i] = NULL;
	}
}

static void interrupt_one(void)
{
	int i = (int)below(JOBS);

	if (!pending[i])
		return;
	told("a signal to job %d", i);
	kt_need(kt_signal(pending[i]->job, SIGUSR1));
	kt_need(kt_until(pending[i]->job->done));
}

static void change_user(void)
{
	user = ONE_OF(0U, 0U, KT_UID_A, KT_UID_B);
	group = ONE_OF(0U, 0U, KT_UID_A, KT_UID_B);
	told("as %u %u", user, group);
}

static void become(uid_t uid, gid_t gid)
{
	kt_need(!seteuid(0) && !setegid(gid) && !seteuid(uid));
}

static void on_signal(int number)
{
	(void)number;
}

/* One of the calls, and the end, by which no job waits any more */
static void call_something(void);
static void clean(void);

static void run_sequence(unsigned int number)
{
	const struct sigaction action = { .sa_handler = on_signal, .sa_flags = SIGNAL_FLAGS };

	kt_need(!unshare(CLONE_NEWIPC | CLONE_NEWNET) && !setgroups(0, NULL));
	kt_need(!sigaction(SIGUSR1, &action, NULL));
	chance = number;
	digest = 14695981039346656037U;
	for (int i = 0; i < CALLS; i++) {
		become(user, group);
		call_something();
		become(0, 0);
		settle();
	}
	clean();
	settle();
	printf("ok %u sequence %u gives %016llx\n", number, number, (unsigned long long)digest);
}

int main(int argc, char **argv)
{
	unsigned int first = argc > 1 ? (unsigned int)strtoul(argv[1], NULL, 10) : 1;
	unsigned int count = argc > 2 ? (unsigned int)strtoul(argv[2], NULL, 10) : SEQUENCES;

	printf("TAP version 13\n1..%u\n", count);
	for (unsigned int number = first; number < first + count; number++) {
		int status;
		pid_t pid;

		/* In a process of its own: where its queues are is settled by its first call */
		fflush(stdout);
		pid = fork();
		kt_need(pid >= 0);
		if (!pid) {
			run_sequence(number);
			exit(0);
		}
		kt_need(waitpid(pid, &status, 0) == pid && !status);
	}
	return 0;
}

#endif /* KIPC_SELFTESTS_DROPIN_RANDOM_H */
