// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Several processes send and receive batches at one endpoint, whose queue is small, and
 * are interrupted and killed; or the endpoint is removed. Every message is received once,
 * those of one sender in their order, and whole; a sender knows which it has sent. Only
 * what a receiver had taken when it was killed may be missing.
 */
#include <sys/wait.h>

#include "batch_common.h"
#include "harness.h"

#define SENDERS		3
#define RECEIVERS	3
#define ACTIONS		60	/* of the test, against them */
#define LIVES		(SENDERS + RECEIVERS + ACTIONS + 1)	/* one after the other */
#define LOG		(1U << 20)	/* messages that can be received in a test */

/* A message: who sent it, its number, and as many bytes of a pattern as there are */
struct head {
	uint32_t sender;
	uint32_t number;
};

struct entry {
	uint32_t receiver;	/* 0: never written: its writer was killed */
	uint32_t sender;
	uint32_t number;
};

/* In shared memory */
static struct storm {
	volatile int stop;
	volatile uint32_t logged;
	volatile uint32_t bad;		/* messages that were not whole */
	struct life {
		int fd;
		uint32_t number;	/* from 1 on */
		volatile uint32_t sent;	/* messages that it knows it has sent */
		volatile long ended;	/* with this error */
		bool receives;
		bool killed;
		struct kt_job *job;
	} lives[LIVES + 1];
	struct entry log[LOG];
} *storm;

static unsigned int rnd(unsigned int *seed, unsigned int n)
{
	return (unsigned int)rand_r(seed) % n;
}

static size_t size_of(uint32_t number)
{
	return sizeof(struct head) + number * 7 % 120;
}

/* Sends batches of all lengths until it is told to stop, or cannot go on */
static long sender(void *arg)
{
	struct life *self = arg;
	struct batch *b = batch_new(self->fd);
	unsigned int seed = self->number;
	long ret;

	while (!storm->stop) {
		unsigned int n = 1 + rnd(&seed, rnd(&seed, 3) ? 20 : KIPC_BATCH_MAX);

		batch_clear(b);
		for (unsigned int i = 0; i < n; i++) {
			struct head head = { self->number, self->sent + i };
			char *at = b->buf + b->len;

			batch_add(b, head.number, 0, size_of(head.number));
			memcpy(at, &head, sizeof(head));
		}
		b->flags = rnd(&seed, 4) ? 0 : KIPC_NONBLOCK;
		b->timeout = rnd(&seed, 3) ? 1000 : (int)rnd(&seed, 3);
		ret = batch_send(b);
		if (ret > 0)
			self->sent += (uint32_t)ret;
		else if (ret == -EAGAIN)
			sched_yield();
		else if (ret != -ETIMEDOUT && ret != -EINTR)
			return self->ended = ret;
	}
	return 0;
}

/* Writes down what it received */
static void note(struct life *self, const struct batch *b, long n)
{
	uint32_t at = __atomic_fetch_add(&storm->logged, (uint32_t)n, __ATOMIC_ACQ_REL);
	size_t offset = 0;

	kt_need(at + (uint32_t)n <= LOG);
	for (long i = 0; i < n; i++) {
		const struct kipc_result *result = &b->results[i];
		struct entry *entry = &storm->log[at + (uint32_t)i];
		size_t size = result->size;
		struct head head;
		char whole[256];

		memcpy(&head, b->buf + offset, sizeof(head));
		kt_fill(whole, size_of(head.number), (unsigned int)result->type);
		memcpy(whole, &head, sizeof(head));
		if (result->type != head.number || size != size_of(head.number) ||
		    memcmp(whole, b->buf + offset, size))
			storm->bad++;
		entry->sender = head.sender;
		entry->number = head.number;
		__atomic_store_n(&entry->receiver, self->number, __ATOMIC_RELEASE);
		offset = kipc_batch_next(offset, size);
	}
}

/* Receives batches of all lengths, into rooms of all sizes, until nothing comes any more */
static long receiver(void *arg)
{
	struct life *self = arg;
	struct batch *b = batch_new(self->fd);
	unsigned int seed = self->number;
	long ret;

	for (;;) {
		bool stop = storm->stop;

		b->flags = KIPC_ANYSIZE;
		b->timeout = stop ? 0 : rnd(&seed, 3) ? 1000 : (int)rnd(&seed, 3);
		b->count = 1 + rnd(&seed, rnd(&seed, 3) ? 20 : KIPC_BATCH_MAX);
		b->len = 128 + (rnd(&seed, 2) ? rnd(&seed, 1000) : 8192);
		ret = batch_recv(b);
		if (ret > 0)
			note(self, b, ret);
		else if (ret == -EAGAIN && stop)
			return 0;
		else if (ret != -EAGAIN && ret != -ETIMEDOUT && ret != -EINTR)
			return self->ended = ret;
	}
}

static struct life *live(int fd, unsigned int number, bool receives, const struct kt_how *how)
{
	struct life *life = &storm->lives[number];

	kt_need(number <= LIVES);
	*life = (struct life){ .fd = fd, .number = number, .receives = receives };
	life->job = kt_start(how, receives ? receiver : sender, life);
	return life;
}

static void begin(void)
{
	storm = kt_shared(sizeof(*storm));
	kt_catch(SIGUSR1, 0);
	kt_catch(SIGUSR2, SA_RESTART);
}

/*
 * What was received, of whom, by whom: once, nothing that was not sent, and in order but
 * if what a killed receiver has left undone came later. How many messages are missing
 * that were sent, or -1. Of a sender that did not come to tell how many it has sent,
 * those are missing that others behind them show to be.
 */
static long account(bool in_order)
{
	uint32_t *last = calloc((LIVES + 1) * (LIVES + 1), sizeof(*last));
	uint32_t *got = calloc(LIVES + 1, sizeof(*got)), *most = calloc(LIVES + 1, sizeof(*most));
	unsigned char **seen = calloc(LIVES + 1, sizeof(*seen));
	long missing = 0;

	for (unsigned int i = 1; i <= LIVES; i++)
		if (storm->lives[i].number && !storm->lives[i].receives)
			seen[i] = calloc(LOG, 1);
	for (uint32_t i = 0; i < storm->logged; i++) {
		const struct entry *e = &storm->log[i];
		uint32_t *before;

		if (!e->receiver)
			continue;
		if (e->sender > LIVES || !seen[e->sender] || e->number >= LOG ||
		    e->receiver > LIVES) {
			kt_complain("entry %u makes no sense", i);
			return -1;
		}
		/* numbers that one receiver saw of one sender, from 1 on */
		before = &last[e->receiver * (LIVES + 1) + e->sender];
		if (in_order && e->number + 1 <= *before) {
			kt_complain("receiver %u: %u of sender %u comes after %u", e->receiver,
				    e->number, e->sender, *before - 1);
			return -1;
		}
		*before = e->number + 1;
		if (seen[e->sender][e->number]++) {
			kt_complain("message %u of sender %u came twice", e->number, e->sender);
			return -1;
		}
		got[e->sender]++;
		if (most[e->sender] < e->number + 1)
			most[e->sender] = e->number + 1;
	}
	for (unsigned int i = 1; i <= LIVES; i++) {
		const struct life *life = &storm->lives[i];
		uint32_t sent = life->sent;

		if (!life->number || life->receives)
			continue;
		/* one that was killed may have sent one batch more than it could note */
		if (most[i] > sent + (life->killed ? KIPC_BATCH_MAX : 0)) {
			kt_complain("of sender %u came %u messages, it sent %u", i, most[i], sent);
			return -1;
		}
		missing += (sent > most[i] ? sent : most[i]) - got[i];
	}
	for (unsigned int i = 0; i <= LIVES; i++)
		free(seen[i]);
	free(seen);
	free(most);
	free(got);
	free(last);
	return missing;
}

FIXTURE(race) {
	int dev;
	int fd;
	struct life *senders[SENDERS], *receivers[RECEIVERS];
	unsigned int lives;
};

FIXTURE_SETUP(race)
{
	const struct kipc_attr attr = { .max_size = 128, .max_msgs = 24, .max_bytes = 24 * 128 };

	self->dev = kt_device();
	self->fd = kt_private(self->dev, 0, &attr);
	begin();
	self->lives = 0;
	for (unsigned int i = 0; i < RECEIVERS; i++)
		self->receivers[i] = live(self->fd, ++self->lives, true, KT_FORK);
	for (unsigned int i = 0; i < SENDERS; i++)
		self->senders[i] = live(self->fd, ++self->lives, false, KT_FORK);
}

FIXTURE_TEARDOWN(race)
{
	EXPECT_TRUE(kt_quiet(self->fd));
	close(self->fd);
	close(self->dev);
}

/* Acts against them, each time after some more messages have come */
static void storm_on(struct __test_metadata *_metadata, FIXTURE_DATA(race) *self,
		     bool kill_receivers)
{
	unsigned int seed = 1;

	for (unsigned int i = 0; i < ACTIONS; i++) {
		uint32_t until = storm->logged + rnd(&seed, 300);
		unsigned int way = rnd(&seed, 4);
		struct life **life = &self->senders[rnd(&seed, SENDERS)];
		bool receives = rnd(&seed, 2);

		ASSERT_TRUE(kt_until(storm->logged >= until));
		if (receives)
			life = &self->receivers[rnd(&seed, RECEIVERS)];
		ASSERT_FALSE((*life)->job->done);
		if (way || (receives && !kill_receivers)) {
			ASSERT_TRUE(kt_signal((*life)->job, way % 2 ? SIGUSR1 : SIGUSR2));
			continue;
		}
		(*life)->killed = true;
		ASSERT_EQ(KT_DIED - SIGKILL, kt_kill((*life)->job));
		*life = live(self->fd, ++self->lives, receives, KT_FORK);
	}
}

/* Ends all, takes what is left, and returns what is missing */
static long calm(FIXTURE_DATA(race) *self, bool in_order)
{
	struct life *rest;

	storm->stop = 1;
	for (unsigned int i = 0; i < SENDERS; i++)
		if (kt_join(self->senders[i]->job))
			return -1;
	for (unsigned int i = 0; i < RECEIVERS; i++)
		if (kt_join(self->receivers[i]->job))
			return -1;
	rest = live(self->fd, ++self->lives, true, KT_THREAD);
	if (kt_join(rest->job))
		return -1;
	kt_complain("%u messages, %u processes", storm->logged, self->lives);
	return account(in_order);
}

TEST_F(race, p01_none_lost_none_twice_all_in_order)
{
	storm_on(_metadata, self, false);
	EXPECT_EQ(0, calm(self, true));
	EXPECT_EQ(0, storm->bad);
}

TEST_F(race, p02_a_killed_receiver_loses_what_it_had_taken_only)
{
	unsigned int killed = 0;
	long missing;

	storm_on(_metadata, self, true);
	missing = calm(self, false);
	for (unsigned int i = 1; i <= LIVES; i++)
		killed += storm->lives[i].receives && storm->lives[i].killed;
	kt_complain("%u receivers killed, %ld messages missing", killed, missing);
	EXPECT_LT(0, killed);
	EXPECT_LE(0, missing);
	EXPECT_GE(killed * KIPC_BATCH_MAX, missing);
	EXPECT_EQ(0, storm->bad);
}

/* Then only what was in the queue, or just being copied, was not received */
TEST(p08_removal_while_batches_pass)
{
	const struct kipc_attr attr = { .max_size = 128, .max_msgs = 24, .max_bytes = 24 * 128 };
	int dev = kt_device();
	unsigned int seed = 3;

	begin();
	for (unsigned int round = 0; round < 20; round++) {
		int fd = kt_private(dev, 0, &attr);
		uint32_t until = rnd(&seed, 200);
		long missing;

		memset((void *)storm->lives, 0, sizeof(storm->lives));
		storm->logged = 0;
		for (unsigned int i = 1; i <= 4; i++)
			live(fd, i, i <= 2, KT_THREAD);
		ASSERT_TRUE(kt_until(storm->logged >= until));
		ASSERT_EQ(0, kipc_remove(fd, 0));
		for (unsigned int i = 1; i <= 4; i++)
			ASSERT_EQ(-EIDRM, kt_join(storm->lives[i].job));
		ASSERT_EQ(0, storm->bad);
		missing = account(true);
		ASSERT_LE(0, missing);
		ASSERT_GE(attr.max_msgs, missing);
		close(fd);
	}
	close(dev);
}

TEST_HARNESS_MAIN
