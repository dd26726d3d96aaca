// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Running a program: the boss makes the processes that it needs, hands one
 * operation after another to their actors, and in the end kills them all. Then
 * nothing may be left of it.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fuzz.h"

#define USERS_FIRST	1001U	/* root's process apart, a user for each */
#define HANG_US		20000000U	/* what takes that long never comes to its end */

/* In a mailbox, in place of the number of an operation */
#define NOTHING		(-1)
#define CLEAN_UP	(-2)

struct shared *shared;
int sockets[PROCESSES][2];

static pid_t pids[PROCESSES];
static int device;

static void futex_wait(int32_t *at, int32_t value, uint64_t us)
{
	struct timespec time = { (time_t)(us / 1000000), (long)(us % 1000000) * 1000 };

	syscall(SYS_futex, at, FUTEX_WAIT, value, &time, NULL, 0);
}

static void futex_wake(int32_t *at)
{
	syscall(SYS_futex, at, FUTEX_WAKE, 64, NULL, NULL, 0);
}

static int32_t get(int32_t *at)
{
	return __atomic_load_n(at, __ATOMIC_SEQ_CST);
}

static void set(int32_t *at, int32_t value)
{
	__atomic_store_n(at, value, __ATOMIC_SEQ_CST);
}

static bool change(int32_t *at, int32_t from, int32_t to)
{
	return __atomic_compare_exchange_n(at, &from, to, false, __ATOMIC_SEQ_CST,
					   __ATOMIC_SEQ_CST);
}

/*
 * Whose turn it is. An actor hands on to the next one itself; the boss steps in
 * for what only it does, and when an operation takes too long to be waited for.
 */

static void tell_boss(void)
{
	set(&shared->boss, 1);
	futex_wake(&shared->boss);
}

static void post(int32_t i, int self)
{
	const struct op *op = &shared->program.ops[i];

	if (i == (int32_t)shared->program.n || by_boss(op) || get(&shared->box[op->actor].gone)) {
		tell_boss();
		return;
	}
	set(&shared->box[op->actor].next, i);
	if (op->actor != self)
		futex_wake(&shared->box[op->actor].next);
}

static void advance(int32_t from, int self)
{
	if (change(&shared->turn, from, from + 1))
		post(from + 1, self);
}

/* The actors' side */

static void exit_is_coming(unsigned int actor, const struct op *op)
{
	set(&shared->box[actor].gone, 1);
	if (!op->arg[A_HOW])
		set(&shared->box[actor ^ 1].gone, 1);
}

/* Those together start with the last of them, on different processors */
static void wait_for_others(int32_t i, unsigned int actor)
{
	const struct op *op = &shared->program.ops[i];
	uint64_t end = now_us() + 3000;

	if (op->meet != TOGETHER || i + 1 == (int32_t)shared->program.n || by_boss(op + 1) ||
	    op[1].actor == actor) {
		set(&shared->go, i);
		return;
	}
	while (get(&shared->go) <= i && now_us() < end)
		;
}

static void serve_op(unsigned int actor, int32_t i)
{
	const struct op *op = &shared->program.ops[i];

	if (op->kind == OP_EXIT)
		exit_is_coming(actor, op);
	if (op->kind == OP_EXIT || (op->meet != WAIT && !shared->careful))
		advance(i, (int)actor);
	wait_for_others(i, actor);
	cover_start(actor);
	shared->from[i] = now_us();
	shared->results[i] = do_op(actor, op);
	shared->to[i] = now_us();
	cover_stop(actor, i);
	set(&shared->done[i], 1);
	advance(i, (int)actor);
}

static void serve(unsigned int actor)
{
	struct mailbox *box = &shared->box[actor];
	int32_t i;

	actor_thread(actor);
	box->tid = (pid_t)syscall(SYS_gettid);
	for (;;) {
		/* At no moment does it look idle when it is not */
		set(&box->running, 1);
		i = __atomic_exchange_n(&box->next, NOTHING, __ATOMIC_SEQ_CST);
		if (i >= 0) {
			serve_op(actor, i);
		} else if (i == CLEAN_UP) {
			actor_clean_up(process_of(actor));
		} else {
			set(&box->running, 0);
			if (get(&shared->ending))
				tell_boss();
			futex_wait(&box->next, NOTHING, 10000000);
		}
	}
}

static void *thread(void *actor)
{
	serve((unsigned int)(uintptr_t)actor);
	return NULL;
}

static void caught(int signal)
{
	(void)signal;
}

static void become(unsigned int process)
{
	uid_t uid = process ? USERS_FIRST + process - 1 : 0;

	if (uid && (setgroups(0, NULL) || setresgid(uid, uid, uid) || setresuid(uid, uid, uid)))
		_exit(1);
	/* Its files in /proc are its own again */
	prctl(PR_SET_DUMPABLE, 1);
}

static void run_process(unsigned int process)
{
	struct sigaction restart = { .sa_handler = caught, .sa_flags = SA_RESTART };
	struct sigaction interrupt = { .sa_handler = caught };
	static const int others[] = { SIGHUP, SIGINT, SIGBUS, SIGFPE, 63, 64 };
	unsigned int i;
	pthread_t other;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	setpgid(0, 0);
	sigaction(SIGUSR1, &restart, NULL);
	sigaction(SIGUSR2, &interrupt, NULL);
	/* What a struct that was changed can ask of NOTIFY shall kill nobody */
	for (i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		signal(others[i], SIG_IGN);
	become(process);
	actor_process();
	if (pthread_create(&other, NULL, thread, (void *)(uintptr_t)(2 * process + 1)))
		_exit(1);
	serve(2 * process);
}

/* The boss's side */

static bool busy(unsigned int actor)
{
	struct mailbox *box = &shared->box[actor];

	return !get(&box->gone) && (get(&box->running) || get(&box->next) != NOTHING);
}

static bool all_idle(void)
{
	unsigned int i;

	for (i = 0; i < ACTORS; i++)
		if (busy(i))
			return false;
	return true;
}

static bool wait_all_idle(uint64_t us)
{
	uint64_t now = now_us(), end = now + us;

	set(&shared->ending, 1);
	for (; now < end && !all_idle(); now = now_us()) {
		set(&shared->boss, 0);
		if (!all_idle())
			futex_wait(&shared->boss, 0, end - now);
	}
	set(&shared->ending, 0);
	return all_idle();
}

/* Processes live on from program to program, if none of them did what cannot be undone */
static void start_processes(const struct program *program)
{
	bool needed[PROCESSES] = { false };
	unsigned int i, actor;

	for (i = 0; i < program->n; i++)
		if (!by_boss(&program->ops[i]))
			needed[process_of(program->ops[i].actor)] = true;
	for (i = 0; i < PROCESSES; i++) {
		if (pids[i] || !needed[i])
			continue;
		for (actor = 2 * i; actor < 2 * i + 2; actor++)
			shared->box[actor] = (struct mailbox){ .running = 1, .next = NOTHING };
		pids[i] = fork();
		if (pids[i] < 0)
			die("fork");
		if (!pids[i])
			run_process(i);
	}
	if (!wait_all_idle(HANG_US))
		die("an actor does not start");
}

/* How long an operation may take to be waited for */
static uint64_t patience(void)
{
	return shared->careful ? 10000000 : 3000;
}

/* Does the task of this actor sleep in its operation? */
static bool asleep(unsigned int actor)
{
	char path[64], text[256], *end;
	ssize_t n;
	int fd;

	if (!get(&shared->box[actor].running))
		return false;
	snprintf(path, sizeof(path), "/proc/%d/stat", shared->box[actor].tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[n > 0 ? n : 0] = 0;
	end = strrchr(text, ')');
	return end && end[2] == 'S' && get(&shared->box[actor].running);
}

static void boss_kill(const struct op *op)
{
	unsigned int actor = (unsigned int)(op->arg[A_WHO] % ACTORS);
	struct mailbox *box = &shared->box[process_of(actor) * 2];
	pid_t pid = pids[process_of(actor)];
	siginfo_t info;
	int i;

	if (!pid || get(&shared->box[actor].gone))
		return;
	if (op->arg[A_SIG] == SIGKILL) {
		kill(pid, SIGKILL);
		set(&box[0].gone, 1);
		set(&box[1].gone, 1);
		if (shared->careful)
			waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT);
	} else {
		tgkill(pid, shared->box[actor].tid, (int)op->arg[A_SIG]);
		/* Before anything else wakes it too */
		for (i = 0; i < 100 && shared->careful && get(&shared->box[actor].running); i++)
			usleep(1000);
	}
}

static void boss_op(const struct op *op)
{
	switch (op->kind) {
	case OP_NAP:
		usleep((useconds_t)(op->arg[A_US] % 20000));
		break;
	case OP_KILL:
		boss_kill(op);
		break;
	case OP_PARAM:
		set_param((unsigned int)op->arg[A_HOW], op->arg[A_N]);
		break;
	}
}

/* Is the boss to go on from here, as the actor will not (soon)? */
static bool overdue(const struct op *op, uint64_t since)
{
	if (get(&shared->box[op->actor].gone) || now_us() - since > patience())
		return true;
	/* Seeds are certain of their order: who is not waited for is done or sleeps */
	return shared->careful && op->meet != WAIT && asleep(op->actor);
}

static void run_ops(const struct program *program)
{
	int32_t turn = 0, last = -1;
	uint64_t since = 0;

	post(0, -1);
	while ((turn = get(&shared->turn)) < (int32_t)program->n) {
		const struct op *op = &program->ops[turn];

		if (turn != last)
			since = now_us();
		last = turn;
		if (by_boss(op)) {
			boss_op(op);
			set(&shared->done[turn], 1);
			advance(turn, -1);
		} else if (overdue(op, since)) {
			/* Of one that is still busy with another, it is taken back */
			if (!shared->box[op->actor].gone)
				change(&shared->box[op->actor].next, turn, NOTHING);
			advance(turn, -1);
		} else {
			set(&shared->boss, 0);
			if (get(&shared->turn) == turn)
				futex_wait(&shared->boss, 0, shared->careful ? 300 : 3000);
		}
	}
}

static const char *describe_hang(void)
{
	static char text[4096];
	size_t len = 0;
	unsigned int i;

	len += (size_t)snprintf(text, sizeof(text), "killed, and still there after %u s:",
				HANG_US / 1000000);
	for (i = 0; i < ACTORS && len < sizeof(text) - 200; i++) {
		char path[64];
		FILE *file;

		if (!pids[process_of(i)])
			continue;
		snprintf(path, sizeof(path), "/proc/%d/stack", shared->box[i].tid);
		file = fopen(path, "r");
		if (!file)
			continue;
		len += (size_t)snprintf(text + len, sizeof(text) - len, "\na%u:\n", i);
		len += fread(text + len, 1, sizeof(text) - len - 1, file);
		text[len] = 0;
		fclose(file);
	}
	return text;
}

/* Is anybody left of a process and of what it forked (which comes to us, the subreaper)? */
static bool lives(pid_t pid)
{
	while (waitpid(-pid, NULL, WNOHANG) > 0)
		;
	return !kill(-pid, SIGKILL) || waitpid(pid, NULL, WNOHANG) >= 0;
}

static const char *kill_processes(const bool *which)
{
	uint64_t end = now_us() + HANG_US;
	unsigned int i;

	for (i = 0; i < PROCESSES; i++)
		if (which[i])
			kill(pids[i], SIGKILL);
	for (i = 0; i < PROCESSES; i++) {
		while (which[i] && lives(pids[i])) {
			if (now_us() > end)
				return describe_hang();
			usleep(100);
		}
		if (which[i])
			pids[i] = 0;
	}
	return NULL;
}

bool cannot_be_undone(const struct op *op)
{
	return op->kind == OP_FORK || op->kind == OP_UNSHARE || op->kind == OP_EXIT;
}

/* Some who still sleep in an operation are interrupted, some die in it */
static bool dies_asleep(const struct program *program)
{
	unsigned int i, sum = program->n;

	for (i = 0; i < program->n; i++)
		sum = sum * 31 + program->ops[i].kind + (unsigned int)program->ops[i].arg[A_LEN];
	return sum % 8 == 0;
}

static void interrupt(const struct program *program)
{
	unsigned int i, tries;

	for (i = 0; i < PROCESSES; i++)
		if (pids[i])
			kill(pids[i], SIGCONT);
	if (wait_all_idle(shared->careful ? patience() : 1500) || dies_asleep(program))
		return;
	for (tries = 0; tries < 4; tries++) {
		for (i = 0; i < ACTORS; i++)
			if (busy(i))
				tgkill(pids[process_of(i)], shared->box[i].tid, SIGUSR2);
		if (wait_all_idle(3000))
			return;
	}
}

static const char *end_processes(const struct program *program)
{
	bool doomed[PROCESSES] = { false }, used[PROCESSES] = { false };
	const char *wrong;
	unsigned int i;

	interrupt(program);
	for (i = 0; i < program->n; i++) {
		unsigned int process = process_of(program->ops[i].actor);

		used[process] = true;
		if (cannot_be_undone(&program->ops[i]))
			doomed[process] = true;
	}
	for (i = 0; i < ACTORS; i++)
		if (busy(i) || shared->box[i].gone)
			doomed[process_of(i)] = true;
	for (i = 0; i < PROCESSES; i++)
		doomed[i] &= pids[i] != 0;
	wrong = kill_processes(doomed);
	if (wrong)
		return wrong;
	for (i = 0; i < PROCESSES; i++) {
		struct mailbox *box = &shared->box[2 * i];
		char byte;

		/* Descriptors on their way end with what they are in */
		while (recv(sockets[i][1], &byte, 1, MSG_DONTWAIT) >= 0)
			;
		if (doomed[i]) {
			box[0] = (struct mailbox){ .next = NOTHING };
			box[1] = box[0];
		}
		if (!pids[i] || !used[i])
			continue;
		set(&box->running, 1);
		set(&box->next, CLEAN_UP);
		futex_wake(&box->next);
	}
	return wait_all_idle(HANG_US) ? NULL : "an actor hangs when it closes what it has";
}

static bool may_live_on(const struct kipc_endpoint *info)
{
	if (info->handles || !(info->flags & KIPC_ENDPOINT_PERSIST))
		return false;
	return !(info->flags & KIPC_ENDPOINT_KEEP_BY_ANY) || info->key || *info->name;
}

/* What lives on without anybody: only those that are meant to */
static const char *remove_persistent(void)
{
	static char text[128];
	uint64_t end = now_us() + HANG_US;
	struct kipc_op_stat stat;
	struct kipc_op_remove remove;
	struct kipc_op_next next;

	for (;;) {
		memset(&next, 0, sizeof(next));
		if (ioctl(device, KIPC_IOC_NEXT, &next)) {
			if (errno == ENOENT)
				return NULL;
			die("KIPC_IOC_NEXT");
		}
		memset(&stat, 0, sizeof(stat));
		stat.endpoint = next.id;
		if (ioctl(device, KIPC_IOC_STAT, &stat))
			continue;
		if (may_live_on(&stat.info)) {
			memset(&remove, 0, sizeof(remove));
			remove.endpoint = next.id;
			ioctl(device, KIPC_IOC_REMOVE, &remove);
			continue;
		}
		/* Closed files may go a bit later */
		if (now_us() > end)
			break;
		usleep(1000);
	}
	snprintf(text, sizeof(text), "endpoint %u is left, flags %#x, %u handles, and nobody",
		 next.id, stat.info.flags, stat.info.handles);
	return text;
}

/* An errno that no program may see */
static const char *check_results(const struct program *program)
{
	static char text[96];
	unsigned int i;

	for (i = 0; i < program->n; i++) {
		if (!shared->done[i] || shared->results[i] > -512)
			continue;
		snprintf(text, sizeof(text), "operation %u gave the error %ld, which is internal",
			 i + 1, (long)-shared->results[i]);
		return text;
	}
	return NULL;
}

void run_open(void)
{
	unsigned int i;

	shared = share(sizeof(*shared));
	for (i = 0; i < ACTORS; i++)
		shared->box[i].next = NOTHING;
	for (i = 0; i < PROCESSES; i++)
		if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets[i]))
			die("socketpair");
	/* Programs map much and use little */
	write_file("/proc/sys/vm/overcommit_memory", "1");
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	device = open("/dev/kipc", O_RDWR | O_CLOEXEC);
	if (device < 0)
		die("/dev/kipc");
	chmod("/dev/kipc", 0666);
}

const char *run_program(const struct program *program, enum care care)
{
	const char *wrong;

	memset(&shared->turn, 0, offsetof(struct shared, program) - offsetof(struct shared, turn));
	memset(cover->now, 0, sizeof(cover->now));
	cover->fresh = 0;
	cover->last_fresh = -1;
	shared->careful = care == CAREFULLY;
	shared->go = -1;
	shared->program = *program;
	start_processes(program);
	run_ops(program);
	wrong = end_processes(program);
	reset_params();
	if (!wrong)
		wrong = remove_persistent();
	return wrong ? wrong : check_results(program);
}

const char *look_for_leftovers(void)
{
	static char text[300];
	char names[256];
	int i;
	const bool all[PROCESSES] = { pids[0] != 0, pids[1] != 0, pids[2] != 0 };
	const char *wrong = kill_processes(all);

	if (wrong)
		return wrong;
	/* Our own file is one of them */
	close(device);
	for (i = 0; i < 200 && slab_objects(names, sizeof(names)); i++)
		usleep(100000);
	device = open("/dev/kipc", O_RDWR | O_CLOEXEC);
	if (device < 0)
		die("/dev/kipc");
	if (i < 200)
		return NULL;
	snprintf(text, sizeof(text), "objects are left in the slab cache %s", names);
	return text;
}
