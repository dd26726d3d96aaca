// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Pinned payloads and everybody at once: senders and callers with deadlines of a moment
 * and timers that interrupt them, threads that take their memory away, receivers that
 * take, peek, take several and answer, and kills of all of them. Each payload says whose it
 * is, and each byte of it follows from that; who has returned from a wait finds its
 * memory as it left it; and in the end nothing is pinned.
 */
#include <sys/prctl.h>
#include <sys/time.h>

#include "harness.h"
#include "pinned.h"

#define SENDERS		8
#define RECEIVERS	4
#define PEEKERS		2
#define WORKERS		(SENDERS + RECEIVERS + PEEKERS)
#define OPERATIONS	2500
#define KILLS		80
#define ROOM		(96UL << 10)
#define WORDS(bytes)	((bytes) / sizeof(uint64_t))
#define MAGIC		0x6b69706370696e73ULL
#define TAKEN_AWAY	0xee	/* what stands where memory was taken away */

enum { UNUSED, UNDER_WAY, TOLD };

struct record {
	volatile unsigned int state;
	volatile unsigned int taken;
	volatile unsigned int replied;
	volatile long ret;
	volatile uint32_t flags;
	bool call;
	bool wild;
};

struct storm {
	struct record record[OPERATIONS];
	volatile unsigned int next;
	volatile int stop;
	volatile unsigned int wrong;
	volatile unsigned int whole;	/* payloads that were received and checked */
	volatile unsigned int replies;	/* large ones, likewise */
	volatile unsigned int peeked;
	volatile int pause;		/* of the receivers, so that something is queued */
	volatile unsigned int left;	/* senders that left without a delivery */
};

struct worker {
	struct storm *storm;
	int srv;
	int cli;
	unsigned int index;
	unsigned int seed;
	struct kt_job *kt;
};

/* The first words of a payload; the others follow from its number */
struct head {
	uint64_t magic;
	uint64_t number;
	uint64_t size;
	uint64_t wild;		/* memory may be taken away from it before it is sent */
};

static void wrong(struct storm *storm, const char *what, long a, long b)
{
	if (__atomic_add_fetch(&storm->wrong, 1, __ATOMIC_RELAXED) < 10)
		kt_complain("storm: %s: %ld %ld", what, a, b);
}

#define count(what)	__atomic_add_fetch(&(what), 1, __ATOMIC_RELAXED)

static unsigned int chance(struct worker *w, unsigned int n)
{
	return (unsigned int)rand_r(&w->seed) % n;
}

static uint64_t word_of(uint64_t number, size_t i)
{
	return (number + 1) * 0x9e3779b97f4a7c15ULL + i;
}

static void make_payload(void *at, uint64_t number, size_t size, bool wild)
{
	struct head head = { MAGIC, number, size, wild };
	char *p = at;

	memcpy(p, &head, sizeof(head));
	for (size_t i = WORDS(sizeof(head)); i < WORDS(size); i++) {
		uint64_t word = word_of(number, i);

		memcpy(p + i * sizeof(word), &word, sizeof(word));
	}
}

static bool taken_away(const void *p, size_t size)
{
	const unsigned char *c = p;

	for (size_t i = 0; i < size; i++)
		if (c[i] && c[i] != TAKEN_AWAY)
			return false;
	return true;
}

/* The number of a whole payload of @size bytes; UINT64_MAX if it is none that one could know */
static uint64_t check_payload(struct storm *storm, const void *at, size_t size)
{
	const char *p = at;
	struct head head;
	size_t bad = 0;

	memcpy(&head, p, sizeof(head));
	if (head.magic != MAGIC && taken_away(p, sizeof(head)))
		return UINT64_MAX;
	if (head.magic != MAGIC || head.size != size || head.number >= OPERATIONS) {
		wrong(storm, "no head", (long)head.magic, (long)size);
		return UINT64_MAX;
	}
	for (size_t i = WORDS(sizeof(head)); i < WORDS(size); i++) {
		uint64_t word;

		memcpy(&word, p + i * sizeof(word), sizeof(word));
		/* a word may lie on both sides of a page's border */
		if (word != word_of(head.number, i) && !head.wild)
			bad++;
	}
	if (bad)
		wrong(storm, "words that are not the sender's", (long)bad, (long)head.number);
	return head.number;
}

/* ---- senders ---- */

static void on_alarm(int sig)
{
	(void)sig;
}

struct thief {
	char *memory;
	volatile int go;
	volatile int gone;
};

/* Takes the payload's memory away, at a moment of its own choice */
static void *thief_main(void *arg)
{
	struct thief *thief = arg;

	while (!thief->go)
		;
	for (volatile int i = 0; i < thief->go * 50; i++)
		;
	kt_need(mmap(thief->memory, ROOM, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == thief->memory);
	memset(thief->memory, TAKEN_AWAY, ROOM);
	thief->gone = 1;
	return NULL;
}

static long wait_by_token(struct worker *w, struct kipc_op_rpc *op)
{
	long ret;

	/* sometimes it is given up instead */
	if (!chance(w, 4)) {
		ret = kt_cancel(w->cli, op->token, NULL);
		return ret < 0 ? ret : -ECANCELED;
	}
	op->flags = 0;
	do
		ret = kt_op_rpc(w->cli, op);
	while (ret == -EINTR && op->token);
	return ret;
}

static long make_call(struct worker *w, struct record *record, char *buf, size_t size, char *room,
		      uint64_t deadline)
{
	struct kipc_result result = { 0 };
	struct kipc_op_rpc op = kt_rpc_op(buf, size, room, ROOM, &result);
	long ret;

	op.deadline = deadline;
	ret = kt_op_rpc(w->cli, &op);
	if (ret == -EINTR && op.token)
		ret = wait_by_token(w, &op);
	record->flags = result.flags;
	if (ret >= (long)sizeof(struct head)) {
		uint64_t number = check_payload(w->storm, room, (size_t)ret);

		if (number != (uint64_t)(record - w->storm->record))
			wrong(w->storm, "another's reply", (long)number,
			      (long)(record - w->storm->record));
		count(w->storm->replies);
	}
	return ret;
}

static bool all_are(const char *p, size_t size, int c)
{
	for (size_t i = 0; i < size; i++)
		if (p[i] != (char)c)
			return false;
	return true;
}

static long sender_life(void *arg)
{
	struct worker *w = arg;
	struct storm *storm = w->storm;
	struct sigaction action = {
		.sa_handler = on_alarm, .sa_flags = w->index & 1 ? SA_RESTART : 0,
	};
	struct itimerval timer = { { 0, 700 + 90 * (long)w->index }, { 0, 1000 } };
	char *room = private_memory(ROOM);
	unsigned int number;

	kt_need(sigaction(SIGALRM, &action, NULL) == 0);
	memset(room, 1, ROOM);
	while ((number = __atomic_fetch_add(&storm->next, 1, __ATOMIC_RELAXED)) < OPERATIONS) {
		struct record *record = &storm->record[number];
		bool wild = !chance(w, 6);
		size_t size = PIN_MIN + chance(w, ROOM - PIN_MIN - PAGE);
		char *memory = private_memory(ROOM), *buf = memory + chance(w, PAGE);
		uint64_t deadline = chance(w, 2) ? kt_now() + chance(w, 4000000) : KIPC_FOREVER;
		struct thief thief = { .memory = memory };
		pthread_t thread;
		long ret;

		make_payload(buf, number, size, wild);
		record->call = chance(w, 2);
		record->wild = wild;	/* who receives it may not know which it was */
		record->state = UNDER_WAY;
		if (wild) {
			kt_need(pthread_create(&thread, NULL, thief_main, &thief) == 0);
			thief.go = 1 + (int)chance(w, 2000);
		}
		/* nobody has written there since the last wait ended */
		if (!all_are(room, ROOM, 1))
			wrong(storm, "the room was written after the wait", number, 0);
		if (chance(w, 2))
			setitimer(ITIMER_REAL, &timer, NULL);
		if (record->call) {
			ret = make_call(w, record, buf, size, room, deadline);
		} else {
			struct kipc_op_send op = kt_send_op(buf, size);

			op.flags = KIPC_SYNC;
			op.deadline = deadline;
			ret = kt_op_send(w->cli, &op);
		}
		setitimer(ITIMER_REAL, &(struct itimerval){ 0 }, NULL);
		/* whoever still reads this now would be seen */
		if (!wild)
			memset(memory, 0x5a, ROOM);
		memset(room, 1, ROOM);
		if (wild)
			pthread_join(thread, NULL);
		munmap(memory, ROOM);
		record->ret = ret;
		__atomic_store_n(&record->state, TOLD, __ATOMIC_RELEASE);
	}
	return 0;
}

/* ---- receivers ---- */

static void take_one(struct worker *w, const char *at, const struct kipc_result *result,
		     char *reply)
{
	struct storm *storm = w->storm;
	uint64_t number = check_payload(storm, at, result->size);
	size_t size = 5;

	if (number != UINT64_MAX) {
		if (count(storm->record[number].taken) > 1)
			wrong(storm, "taken twice", (long)number, 0);
		count(storm->whole);
		if (chance(w, 3)) {
			size = PIN_MIN + chance(w, ROOM - PIN_MIN);
			make_payload(reply, number, size, false);
		}
	}
	if (result->token) {
		long ret = kt_reply(w->srv, result->token, 0, reply, size);

		if (ret && ret != -ECANCELED)
			wrong(storm, "reply", ret, (long)number);
		/* It must be in the kernel, or with the caller, by now */
		memset(reply, 0x33, ROOM);
	}
}

static long receiver_life(void *arg)
{
	struct worker *w = arg;
	char *memory = private_memory(3 * ROOM), *reply = private_memory(ROOM);
	struct kipc_result results[3];
	long ret;

	while (!w->storm->stop) {
		char *at = memory + chance(w, PAGE);

		/* Not for ever: who asked for it may have been killed */
		for (int i = 0; w->storm->pause && i < 50; i++)
			kt_nap();
		if (chance(w, 4)) {
			struct kipc_op_recv op = kt_recv_op(at, ROOM, results);

			op.deadline = kt_in_ms(50);
			ret = kt_op_recv(w->srv, &op);
			if (ret >= 0)
				take_one(w, at, results, reply);
		} else {
			struct kipc_op_recv_batch op = {
				.flags = KIPC_ANYSIZE,
				.deadline = kt_in_ms(50),
				.base = kt_ptr(at),
				.len = 2 * ROOM,
				.results = kt_ptr(results),
				.count = 3,
			};

			ret = kt_ioctl(w->srv, KIPC_IOC_RECV_BATCH, &op);
			for (long i = 0; i < ret; i++) {
				take_one(w, at, &results[i], reply);
				at += (results[i].size + KIPC_BATCH_ALIGN - 1) /
					KIPC_BATCH_ALIGN * KIPC_BATCH_ALIGN;
			}
		}
		if (ret < 0 && ret != -ETIMEDOUT)
			wrong(w->storm, "receive", ret, 0);
	}
	return 0;
}

static long peeker_life(void *arg)
{
	struct worker *w = arg;
	char *memory = private_memory(ROOM + PAGE);
	struct kipc_result result;

	while (!w->storm->stop) {
		char *at = memory + chance(w, PAGE);
		struct kipc_op_recv op = kt_recv_op(at, ROOM, &result);
		long ret;

		op.flags = KIPC_PEEK;
		op.deadline = kt_in_ms(20);
		w->storm->pause = !chance(w, 2);
		ret = kt_op_recv(w->srv, &op);
		w->storm->pause = 0;
		if (ret >= 0 && check_payload(w->storm, at, (size_t)ret) != UINT64_MAX)
			count(w->storm->peeked);
		if (ret < 0 && ret != -ETIMEDOUT && ret != -EAGAIN)
			wrong(w->storm, "peek", ret, 0);
		kt_nap();
	}
	return 0;
}

static void worker_start(struct worker *w)
{
	long (*life)(void *arg) = w->index < SENDERS ? sender_life :
		w->index < SENDERS + RECEIVERS ? receiver_life : peeker_life;

	w->kt = kt_start(KT_FORK, life, w);
}

FIXTURE(pinned_storm) {
	struct storm *storm;
	int dev;
	int srv;
	int cli;
	long base;
};

FIXTURE_SETUP(pinned_storm)
{
	struct kipc_attr attr = { .max_size = ROOM, .max_msgs = 6, .max_bytes = 4 * ROOM };

	kt_set_param("pin_min", PIN_MIN);
	self->base = kt_pins_held();
	self->dev = kt_device();
	self->srv = kt_private(self->dev, 0, &attr);
	self->cli = kt_again(self->dev, kt_id(self->srv), KIPC_RIGHT_SEND);
	ASSERT_LE(0, self->cli);
	self->storm = kt_new(struct storm);
}

FIXTURE_TEARDOWN(pinned_storm)
{
	kt_restore_params();
	close(self->cli);
	close(self->srv);
	close(self->dev);
}

/* What a record says at the end; @lost counts what a killed receiver may have taken along */
static void settle(struct storm *storm, unsigned int *lost)
{
	for (unsigned int i = 0; i < OPERATIONS; i++) {
		struct record *r = &storm->record[i];
		bool delivered = r->call && r->flags & KIPC_RESULT_DELIVERED;

		if (r->state != TOLD)
			continue;
		switch (r->ret) {
		case -ETIMEDOUT:
		case -EINTR:
			count(storm->left);
			if (!delivered && r->taken)
				wrong(storm, "received, and not told so", i, r->ret);
			break;
		case -EFAULT:		/* its memory went before it was sent */
		case -ECONNRESET:
		case -ECANCELED:
			break;
		default:
			if (r->ret < 0)
				wrong(storm, "told", i, r->ret);
			else if (!r->taken && !r->wild)
				++*lost;
		}
	}
}

TEST_F(pinned_storm, p02_p03_p04_p05_p07_p14_everybody_at_once)
{
	struct worker *workers = kt_shared(WORKERS * sizeof(*workers));
	unsigned int seed = (unsigned int)kt_now(), kills = 0, servers_killed = 0, lost = 0;
	struct storm *storm = self->storm;
	uint64_t end = kt_now() + 25000 * KT_MS;
	long made = kt_pins_made(), ret;

	for (unsigned int i = 0; i < WORKERS; i++) {
		workers[i] = (struct worker){
			.storm = storm, .srv = self->srv, .cli = self->cli, .index = i,
			.seed = seed + i,
		};
		worker_start(&workers[i]);
	}
	while (storm->next < OPERATIONS && kt_now() < end && !storm->wrong) {
		unsigned int i = (unsigned int)rand_r(&seed) % WORKERS;

		for (int j = 0; j < 20; j++)
			kt_nap();
		if (kills == KILLS)
			continue;
		ret = kt_kill(workers[i].kt);
		/* A sender may have come to its end just then */
		if (ret || i >= SENDERS) {
			ASSERT_EQ(KT_DIED - SIGKILL, ret);
			kills++;
		}
		servers_killed += i >= SENDERS && i < SENDERS + RECEIVERS;
		worker_start(&workers[i]);
	}
	/* a slow machine does not come to the end of it */
	__atomic_store_n(&storm->next, OPERATIONS, __ATOMIC_RELAXED);
	for (unsigned int i = 0; i < SENDERS; i++)
		ASSERT_EQ(0, kt_join(workers[i].kt));
	await(!kt_stat(self->srv).msgs);
	storm->stop = 1;
	for (unsigned int i = SENDERS; i < WORKERS; i++)
		ASSERT_EQ(0, kt_join(workers[i].kt));
	settle(storm, &lost);
	TH_LOG("%u whole, %u large replies, %u peeked, %u left, %u kills, %u lost by %u",
	       storm->whole, storm->replies, storm->peeked, storm->left, kills, lost,
	       servers_killed);
	EXPECT_EQ(0, storm->wrong);
	/* three at a time, at most */
	EXPECT_LE(lost, 3 * servers_killed);
	/* It was about something */
	EXPECT_LT(50, storm->whole);
	EXPECT_LT(10, storm->left);
	EXPECT_LT(0, storm->replies);
	EXPECT_LT(0, storm->peeked);
	EXPECT_LT(50 * PIN_MIN / PAGE, kt_pins_made() - made);
	EXPECT_TRUE(kt_quiet(self->srv));
	EXPECT_TRUE(kt_until(kt_pins_held() == self->base));
}

/* ---- the moment of the reply ---- */

#define MOMENTS		6000
#define SMALL		64

struct moments {
	int srv;
	int cli;
	volatile int caller;		/* its thread's id */
	volatile unsigned int replying;	/* in this round the reply is about to be made */
	volatile unsigned int done;	/* and this one is over */
	volatile int over;
	volatile unsigned int rounds;	/* until then; fewer on a slow machine */
	int spins;			/* before the signal; negative: before the reply */
	unsigned int outlived;
	unsigned int wrong;
};

static void on_signal(int sig)
{
	(void)sig;
}

static long moments_call(void *arg)
{
	struct moments *m = arg;
	char room[SMALL], request[SMALL] = { 0 };
	struct kipc_result result;

	m->caller = (int)syscall(SYS_gettid);
	for (unsigned int i = 1; i <= m->rounds; i++) {
		struct kipc_op_rpc op = kt_rpc_op(request, sizeof(request), room, sizeof(room),
						  &result);
		long ret;

		memset(room, 0, sizeof(room));
		/* not yet taken: it is made again */
		do
			ret = kt_op_rpc(m->cli, &op);
		while (ret == -EINTR && !op.token);
		m->outlived += ret == -EINTR;
		while (ret == -EINTR)
			ret = kt_op_rpc(m->cli, &op);
		if (ret != SMALL || !kt_filled(room, SMALL, i))
			m->wrong++;
		__atomic_store_n(&m->done, i, __ATOMIC_RELEASE);
	}
	return 0;
}

/* Any time up to @spins, if that is positive */
static void spin(unsigned int *seed, int spins)
{
	for (volatile int i = spins > 0 ? rand_r(seed) % spins : 0; i; i--)
		;
}

static long moments_signal(void *arg)
{
	struct moments *m = arg;
	unsigned int round = 0, seed = 1;

	while (!m->over) {
		if (m->replying == round)
			continue;
		round = m->replying;
		spin(&seed, m->spins);
		syscall(SYS_tgkill, getpid(), m->caller, SIGUSR1);
	}
	return 0;
}

/*
 * A caller is interrupted when the reply has been written into its buffer, which is then
 * closed, and is not yet made: it must be written once more, to the kernel. Signals come
 * at any time around that.
 */
TEST_F(pinned_storm, p05_signals_at_the_moment_of_the_reply)
{
	struct moments *m = kt_new(struct moments);
	struct sigaction action = { .sa_handler = on_signal };
	struct kt_job *caller, *signaller;
	char payload[SMALL], got[SMALL];
	struct kipc_result result;
	unsigned int seed = 2, outlived = 0;
	uint64_t end = kt_now() + 10000 * KT_MS;
	int step;

	kt_need(sigaction(SIGUSR1, &action, NULL) == 0);
	kt_set_param("pin_min", 1);
	*m = (struct moments){ .srv = self->srv, .cli = self->cli, .rounds = MOMENTS,
			       .spins = 4000 };
	caller = kt_start(KT_THREAD, moments_call, m);
	await(m->caller);
	signaller = kt_start(KT_THREAD, moments_signal, m);
	for (unsigned int i = 1; i <= m->rounds; i++) {
		struct kipc_op_recv op = kt_recv_op(got, sizeof(got), &result);

		op.flags = KIPC_ANYSIZE;
		ASSERT_EQ(SMALL, kt_op_recv(self->srv, &op));
		kt_fill(payload, SMALL, i);
		if (kt_now() > end)
			m->rounds = i;
		m->replying = i;
		spin(&seed, -m->spins);
		ASSERT_EQ(0, kt_reply(self->srv, result.token, 0, payload, SMALL));
		ASSERT_TRUE(kt_until(__atomic_load_n(&m->done, __ATOMIC_ACQUIRE) == i));
		/* Half of the signals shall come too late */
		step = 10 + abs(m->spins) / 16;
		m->spins += m->outlived > outlived ? step : -step;
		outlived = m->outlived;
	}
	m->over = 1;
	ASSERT_EQ(0, kt_join(signaller));
	ASSERT_EQ(0, kt_join(caller));
	TH_LOG("%u of %u outlived their system call; %d spins", m->outlived, m->rounds, m->spins);
	EXPECT_EQ(0, m->wrong);
	EXPECT_LT(m->rounds / 50, m->outlived);
	EXPECT_TRUE(kt_quiet(self->srv));
	EXPECT_EQ(self->base, kt_pins_held());
}

TEST_HARNESS_MAIN
