// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * client KIND TABLE LEDGER-FD: asks the server its questions, in one of the ways
 * that kipc has for it, and checks each answer against TABLE (see expect.sh).
 *
 * When a call fails because the server died with it, the client asks again. In
 * general it could not know whether that is safe: the server has taken the
 * call and may have acted on it (KIPC_RESULT_DELIVERED). A question can be
 * asked twice, and so its caller may as well mark it KIPC_IDEMPOTENT; then the
 * next server gets the call, and the caller does not notice.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <unistd.h>

#include <kipc.h>

#include "expect.h"
#include "ledger.h"
#include "log.h"
#include "util.h"

#define FOR_EVER	(-1)
#define LONG_MS		20000	/* only a dead server takes longer */
#define SHORT_MS	25
#define WINDOW		32	/* started calls in flight */
#define THREADS		4	/* of the parallel client; one uses started calls */

struct client {
	enum client_kind kind;
	const char *name;
	struct client_account *account;
	struct ledger *ledger;
	struct expect expect;
};

/* A thread of a client */
struct asker {
	struct client *client;
	pthread_t thread;
	int fd;			/* the endpoint of the server */
	struct log log;
	uint64_t random;
};

/* A call, from its beginning to its end */
struct ask {
	struct question question;
	uint64_t start;
	int expires_ms;		/* 0, or it must expire, and not before this */
};

static void begin(struct asker *asker, struct ask *ask)
{
	ask->start = now_ns();
	atomic_fetch_add(&asker->client->account->started, 1);
}

static void note_round_trip(struct client_account *account, const struct ask *ask)
{
	unsigned int number = atomic_fetch_add(&account->nr_samples, 1);

	if (number < SAMPLES_MAX)
		account->samples[number] = (uint32_t)((now_ns() - ask->start) / 1000);
}

static void complain(const struct asker *asker, const struct ask *ask, const char *why)
{
	char text[256];

	printf("WRONG: %s: %s: %s\n", asker->client->name,
	       question_text(&ask->question, text, sizeof(text)), why);
}

static enum outcome judge_answer(struct asker *asker, const struct ask *ask, int status,
				 const struct answer_message *message, size_t size)
{
	char why[512];

	note_round_trip(asker->client->account, ask);
	if (!expect_right(&asker->client->expect, &ask->question, status, message,
			  size, why, sizeof(why))) {
		complain(asker, ask, why);
		return OUTCOME_WRONG;
	}
	return status ? OUTCOME_REFUSED : OUTCOME_ANSWERED;
}

static enum outcome judge_expiry(struct asker *asker, const struct ask *ask)
{
	if (!ask->expires_ms) {
		complain(asker, ask, "expired");
		return OUTCOME_FAILED;
	}
	if (now_ns() - ask->start < (uint64_t)ask->expires_ms * 1000000) {
		complain(asker, ask, "expired early");
		return OUTCOME_FAILED;
	}
	log_say(&asker->log, LOG_WARNING, "question %llu expired",
		(unsigned long long)ask->question.number);
	return OUTCOME_EXPIRED;
}

/* ret and flags are what kipc_rpcmsg() said. */
static enum outcome judge(struct asker *asker, const struct ask *ask, ssize_t ret,
			  uint32_t flags, const struct answer_message *message)
{
	if (ret >= 0)
		return judge_answer(asker, ask, 0, message, (size_t)ret);
	if (flags & KIPC_RESULT_REMOTE)
		return judge_answer(asker, ask, (int)-ret, message, 0);
	if (ret == -ETIMEDOUT)
		return judge_expiry(asker, ask);
	if (ret == -ECONNRESET) {
		log_say(&asker->log, LOG_ERROR,
			"the server died with question %llu, asking again",
			(unsigned long long)ask->question.number);
		return OUTCOME_RESET;
	}
	complain(asker, ask, strerror((int)-ret));
	return OUTCOME_FAILED;
}

/* Writes down how a call ended. Returns whether its question is settled. */
static bool end(struct asker *asker, const struct ask *ask, enum outcome outcome)
{
	struct client_account *account = asker->client->account;
	unsigned int settled;

	if (outcome == OUTCOME_RESET) {
		atomic_fetch_add(&account->outcomes[outcome], 1);
		return false;
	}
	/* In this order: if killed between, a question is asked twice. */
	atomic_fetch_add(&account->outcomes[outcome], 1);
	settled = atomic_fetch_add(&account->settled, 1) + 1;

	if (ask->question.number % 8 == 0)
		log_say(&asker->log, LOG_DEBUG, "question %llu: %s",
			(unsigned long long)ask->question.number, outcome_names[outcome]);
	if (settled % 200 == 0)
		log_say(&asker->log, LOG_NOTICE, "%u of %u questions", settled,
			account->planned);
	return true;
}

static void make_question(struct asker *asker, uint64_t number, struct ask *ask)
{
	memset(ask, 0, sizeof(*ask));
	expect_question(&asker->client->expect, asker->client->kind, number,
			&ask->question);
}

/* One call after the other, the simplest way: no deadline, no result. */
static void ask_in_sequence(struct asker *asker)
{
	struct client_account *account = asker->client->account;
	struct answer_message message;
	struct ask ask;
	uint32_t flags;
	ssize_t ret;

	while (account->settled < account->planned) {
		make_question(asker, account->settled, &ask);
		do {
			begin(asker, &ask);
			ret = kipc_rpc(asker->fd, &ask.question, sizeof(ask.question),
				       &message, sizeof(message), FOR_EVER);
			/* Nothing but the server itself says ENOENT here. */
			flags = ret == -ENOENT ? KIPC_RESULT_REMOTE : 0;
		} while (!end(asker, &ask, judge(asker, &ask, ret, flags, &message)));
	}
}

/* One call with everything that can be said about it */
static void ask_fully(struct asker *asker, struct ask *ask, uint64_t type,
		      uint32_t flags, int timeout_ms)
{
	struct answer_message message;
	struct iovec out = { &ask->question, sizeof(ask->question) };
	struct iovec in = { &message, sizeof(message) };
	const struct kipc_msg request = {
		.type = type,
		.prio = random_below(&asker->random, 10),
		.flags = flags,
		.iov = &out,
		.iovcnt = 1,
	};
	const struct kipc_msg room = { .iov = &in, .iovcnt = 1 };
	struct kipc_result result;
	enum outcome outcome;
	ssize_t ret;

	do {
		begin(asker, ask);
		ret = kipc_rpcmsg(asker->fd, &request, &room, &result, timeout_ms);
		outcome = judge(asker, ask, ret, result.flags, &message);
		if (outcome == OUTCOME_RESET && !(result.flags & KIPC_RESULT_DELIVERED)) {
			complain(asker, ask, "ECONNRESET without DELIVERED");
			outcome = OUTCOME_FAILED;
		}
	} while (!end(asker, ask, outcome));
}

/* Threads share the questions; a handle could be shared as well. */
static void *ask_in_thread(void *argument)
{
	struct asker *asker = argument;
	struct client_account *account = asker->client->account;
	struct ask ask;
	uint32_t number;

	while ((number = atomic_fetch_add(&account->next, 1)) < account->planned) {
		make_question(asker, number, &ask);
		ask.question.slow_ms = number % 10 ? 0 : 10;
		ask_fully(asker, &ask,
			  ask.question.slow_ms ? QUESTION_SLOW : QUESTION_QUICK,
			  KIPC_IDEMPOTENT, FOR_EVER);
	}
	return NULL;
}

/* One after the other again; one call is slow, and this client dies in it. */
static void ask_until_killed(struct asker *asker)
{
	struct client_account *account = asker->client->account;
	struct ask ask;

	while (account->settled < account->planned) {
		make_question(asker, account->settled, &ask);
		if (account->settled == account->planned / 2)
			ask.question.slow_ms = 10;
		ask_fully(asker, &ask,
			  ask.question.slow_ms ? QUESTION_SLOW : QUESTION_QUICK,
			  0, FOR_EVER);
	}
}

/* Some calls must expire, for the server takes longer than they may. */
static void ask_with_deadlines(struct asker *asker)
{
	struct client_account *account = asker->client->account;
	struct ask ask;

	while (account->settled < account->planned) {
		make_question(asker, account->settled, &ask);
		switch (ask.question.number % 5) {
		case 0:
			ask.question.slow_ms = 500;
			ask.question.fickle = 1;
			ask.expires_ms = SHORT_MS;
			ask_fully(asker, &ask, QUESTION_SLOW, 0, SHORT_MS);
			break;
		case 1:
			ask.question.slow_ms = 20;
			ask_fully(asker, &ask, QUESTION_SLOW, 0, LONG_MS);
			break;
		default:
			ask_fully(asker, &ask, QUESTION_QUICK, 0, LONG_MS);
		}
	}
}

/* Started calls, each in its place in the window, which is the call's cookie */
struct window {
	struct ask asks[WINDOW];
	uint32_t free[WINDOW];
	unsigned int nr_free;
};

/* False: the queue is full, collect something first. */
static bool start_call(struct asker *asker, struct window *window, uint64_t number)
{
	uint32_t place = window->free[window->nr_free - 1];
	struct ask *ask = &window->asks[place];
	struct iovec out = { &ask->question, sizeof(ask->question) };
	const struct kipc_msg request = {
		.cookie = place,
		.flags = KIPC_IDEMPOTENT,
		.iov = &out,
		.iovcnt = 1,
	};
	uint64_t token;
	int ret;

	make_question(asker, number, ask);
	ask->question.fickle = number % 100 == 99;
	begin(asker, ask);
	ret = kipc_rpc_start(asker->fd, &request, sizeof(struct answer_message),
			     &token, LONG_MS);
	if (ret == -EAGAIN) {
		atomic_fetch_sub(&asker->client->account->started, 1);
		return false;
	}
	if (ret < 0) {
		complain(asker, ask, strerror(-ret));
		end(asker, ask, OUTCOME_FAILED);
		return true;
	}

	/* Changes its mind now and then. */
	if (ask->question.fickle) {
		ret = kipc_cancel(asker->fd, token);
		end(asker, ask, ret < 0 ? OUTCOME_FAILED : OUTCOME_CANCELLED);
		return true;
	}
	window->nr_free--;
	return true;
}

/* The queue is full of other people's messages: waits for room. */
static void wait_for_room(struct asker *asker)
{
	struct pollfd poll_one = { .fd = asker->fd, .events = POLLOUT };

	if (poll(&poll_one, 1, LONG_MS) != 1)
		die(0, "%s: no room within %d ms", asker->client->name, LONG_MS);
}

/* Waits for one of the started calls, whichever ends first. */
static void finish_call(struct asker *asker, struct window *window)
{
	struct pollfd poll_one = { .fd = asker->fd, .events = POLLPRI };
	struct answer_message message;
	struct iovec in = { &message, sizeof(message) };
	const struct kipc_msg room = { .iov = &in, .iovcnt = 1 };
	struct kipc_result result;
	struct ask *ask;
	ssize_t ret;

	/* kipc_rpc_finish() could wait itself; a program with a loop polls. */
	if (poll(&poll_one, 1, LONG_MS) != 1)
		die(0, "%s: no call ended within %d ms", asker->client->name, LONG_MS);
	ret = kipc_rpc_finish(asker->fd, 0, &room, &result, 0);
	if (ret == -EAGAIN && !(result.flags & KIPC_RESULT_REMOTE))
		die(ret, "%s: POLLPRI, but kipc_rpc_finish()", asker->client->name);
	if (ret == -ENOENT && !(result.flags & KIPC_RESULT_REMOTE))
		die(ret, "%s: kipc_rpc_finish() knows no call", asker->client->name);
	if (result.cookie >= WINDOW)
		die(ret, "%s: cookie %llu", asker->client->name,
		    (unsigned long long)result.cookie);

	ask = &window->asks[result.cookie];
	if (!end(asker, ask, judge(asker, ask, ret, result.flags, &message)))
		die(ret, "%s: an idempotent call was reset", asker->client->name);
	window->free[window->nr_free++] = (uint32_t)result.cookie;
}

static void *ask_in_flight(void *argument)
{
	struct asker *asker = argument;
	struct client_account *account = asker->client->account;
	struct window *window = allocate(sizeof(*window));
	uint32_t number = 0;
	bool have = false;

	while (window->nr_free < WINDOW) {
		window->free[window->nr_free] = window->nr_free;
		window->nr_free++;
	}
	for (;;) {
		if (!have) {
			number = atomic_fetch_add(&account->next, 1);
			have = number < account->planned;
		}
		if (!have && window->nr_free == WINDOW)
			break;
		if (have && window->nr_free && start_call(asker, window, number))
			have = false;
		else if (window->nr_free == WINDOW)
			wait_for_room(asker);
		else
			finish_call(asker, window);
	}
	free(window);
	return NULL;
}

static void open_asker(struct asker *asker, struct client *client, unsigned int number)
{
	char name[24];

	asker->client = client;
	asker->random = number;
	snprintf(name, sizeof(name), "%s-%u", client->name, number);
	log_open(&asker->log, client->ledger, name);

	/* Waits until the server has made its index. */
	asker->fd = kipc_open(INDEX_ADDRESS, KIPC_RIGHT_SEND, LONG_MS);
	if (asker->fd < 0)
		die(asker->fd, "%s: kipc_open(%s)", name, INDEX_ADDRESS);
}

static void ask_in_parallel(struct asker *askers)
{
	for (unsigned int i = 0; i < THREADS; i++) {
		int error = pthread_create(&askers[i].thread, NULL,
					   i ? ask_in_thread : ask_in_flight, &askers[i]);

		if (error)
			die(-error, "%s: pthread_create", askers[i].client->name);
	}
	for (unsigned int i = 0; i < THREADS; i++)
		pthread_join(askers[i].thread, NULL);
}

/* The answer to this call comes when all clients are done. */
static void wait_for_others(const struct client *client)
{
	const struct control control = {
		.kind = CONTROL_CLIENT_DONE,
		.client = client->kind,
	};
	ssize_t ret;
	int fd;

	fd = kipc_open(CONTROL_ADDRESS, KIPC_RIGHT_SEND, 0);
	if (fd < 0)
		die(fd, "%s: kipc_open(%s)", client->name, CONTROL_ADDRESS);
	ret = kipc_rpc(fd, &control, sizeof(control), NULL, 0, FOR_EVER);
	if (ret < 0)
		die(ret, "%s: kipc_rpc(%s)", client->name, CONTROL_ADDRESS);
	close(fd);
}

int main(int argc, char **argv)
{
	struct asker askers[THREADS];
	unsigned int nr_askers;
	struct client client = { 0 };

	if (argc != 4)
		die(0, "usage: client KIND TABLE LEDGER-FD");
	setvbuf(stdout, NULL, _IOLBF, 0);
	while (client.kind < CLIENTS && strcmp(argv[1], client_names[client.kind]))
		client.kind++;
	if (client.kind == CLIENTS)
		die(0, "client: no such kind: %s", argv[1]);
	client.name = client_names[client.kind];
	client.ledger = ledger_map(atoi(argv[3]));
	client.account = &client.ledger->clients[client.kind];
	expect_load(&client.expect, argv[2]);

	nr_askers = client.kind == CLIENT_PARALLEL ? THREADS : 1;
	for (unsigned int i = 0; i < nr_askers; i++)
		open_asker(&askers[i], &client, i);

	switch (client.kind) {
	case CLIENT_PARALLEL:
		ask_in_parallel(askers);
		break;
	case CLIENT_DEADLINE:
		ask_with_deadlines(askers);
		break;
	case CLIENT_KILLED:
		ask_until_killed(askers);
		break;
	default:
		ask_in_sequence(askers);
	}

	wait_for_others(&client);
	for (unsigned int i = 0; i < nr_askers; i++)
		log_last_words(&askers[i].log);
	return EXIT_SUCCESS;
}
