// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The processes of a case. The one that makes them opens a gate for each round,
 * and waits until all have passed the finish; they look at the clock themselves.
 */
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

#define MEMBERS_MAX	1100

static struct gate {
	struct counter round, ready, running;
	uint64_t count;

	_Atomic uint64_t first, last;	/* of the clock, in this round */
} *gate;

static pid_t members[MEMBERS_MAX];
static unsigned int member_count, active;
static bool two_cpus;

static void futex_wait(atomic_uint *word, unsigned int value)
{
	if (syscall(SYS_futex, word, FUTEX_WAIT, value, NULL, NULL, 0) < 0 && errno != EAGAIN &&
	    errno != EINTR)
		die("FUTEX_WAIT");
}

static void futex_wake(atomic_uint *word)
{
	syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

/* A round that has lost a member would never end. */
static void member_died(int number)
{
	static const char text[] = "kipc-bench: a process of the case has died\n";

	(void)number;
	if (write(STDERR_FILENO, text, sizeof(text) - 1) < 0)
		_exit(2);
	for (unsigned int i = 0; i < member_count; i++)
		kill(members[i], SIGKILL);
	_exit(1);
}

void team_init(bool on_two_cpus)
{
	struct sigaction action = { .sa_handler = member_died, .sa_flags = SA_NOCLDSTOP };

	two_cpus = on_two_cpus;
	gate = shared(sizeof(*gate));
	sigaction(SIGCHLD, &action, NULL);
}

static void pin(unsigned int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	check(sched_setaffinity(0, sizeof(set), &set), "sched_setaffinity");
}

static bool fork_member(const struct mechanism *with, int client, unsigned int place)
{
	pid_t pid;

	if (member_count == MEMBERS_MAX)
		die("too many processes");
	pid = check(fork(), "fork");
	if (pid) {
		members[member_count++] = pid;
		/* One after the other: a client may need what the server makes. */
		while (atomic_load(&gate->ready.value) < place + 1)
			futex_wait(&gate->ready.value, place);
		return false;
	}
	signal(SIGCHLD, SIG_DFL);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (two_cpus)
		pin(client == SERVER ? 0 : 1);
	own_buffers();
	if (with->enter)
		with->enter(client);
	atomic_fetch_add(&gate->ready.value, 1);
	futex_wake(&gate->ready.value);
	return true;
}

void team_serve(const struct mechanism *with, void (*serve)(unsigned int number),
		unsigned int number)
{
	if (!fork_member(with, SERVER, member_count))
		return;
	serve(number);
	_exit(1);
}

static void atomic_min(_Atomic uint64_t *value, uint64_t with)
{
	uint64_t old = atomic_load(value);

	while (with < old && !atomic_compare_exchange_weak(value, &old, with))
		;
}

static void atomic_max(_Atomic uint64_t *value, uint64_t with)
{
	uint64_t old = atomic_load(value);

	while (with > old && !atomic_compare_exchange_weak(value, &old, with))
		;
}

void team_join(const struct mechanism *with, role_fn *role, int client)
{
	active++;
	if (!fork_member(with, client, member_count))
		return;
	for (unsigned int round = 0;; round++) {
		while (atomic_load(&gate->round.value) == round)
			futex_wait(&gate->round.value, round);
		atomic_min(&gate->first, now());
		role(gate->count);
		atomic_max(&gate->last, now());
		if (atomic_fetch_sub(&gate->running.value, 1) == 1)
			futex_wake(&gate->running.value);
	}
}

uint64_t team_round(uint64_t count)
{
	unsigned int running;

	gate->count = count;
	atomic_store(&gate->first, UINT64_MAX);
	atomic_store(&gate->last, 0);
	atomic_store(&gate->running.value, active);
	atomic_fetch_add(&gate->round.value, 1);
	futex_wake(&gate->round.value);
	while ((running = atomic_load(&gate->running.value)))
		futex_wait(&gate->running.value, running);
	return atomic_load(&gate->last) - atomic_load(&gate->first);
}

/* To be waited for, so that nothing of it disturbs the next case */
void team_end(void)
{
	signal(SIGCHLD, SIG_DFL);
	for (unsigned int i = 0; i < member_count; i++)
		kill(members[i], SIGKILL);
	for (unsigned int i = 0; i < member_count; i++)
		waitpid(members[i], NULL, 0);
}
