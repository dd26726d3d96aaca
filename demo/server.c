// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * server DIRECTORY LEDGER-FD RUN: indexes the texts in DIRECTORY and answers
 * questions about them (struct question in wire.h) until it gets SIGTERM.
 *
 * The endpoint is persistent: if the server dies, questions wait in the queue
 * for its next run, which finds the endpoint again by its name. A call that the
 * server had taken when it died fails with ECONNRESET and
 * KIPC_RESULT_DELIVERED; one that its caller marked KIPC_IDEMPOTENT goes back
 * to its place in the queue instead.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <unistd.h>

#include <kipc.h>

#include "index.h"
#include "ledger.h"
#include "log.h"
#include "util.h"

struct server {
	struct index index;
	struct ledger *ledger;
	struct server_account *account;
	int fd;
};

struct worker {
	struct server *server;
	unsigned int number;
	struct log log;
	pthread_t thread;
};

static bool is_slow(const struct worker *worker)
{
	return worker->number >= QUICK_WORKERS;
}

/*
 * Halfway the main process kills a client and the server, each in the middle of
 * slow calls. These last until it has done so.
 */
static bool awaits_a_kill(const struct ledger *ledger, const struct question *question)
{
	if (question->client == CLIENT_KILLED)
		return !ledger->client_killed;
	return !ledger->server_killed && ledger_half_done(&ledger->clients[CLIENT_PARALLEL]);
}

/* Takes its time, but no longer than somebody waits for the answer. */
static void dawdle(const struct server *server, const struct question *question,
		   uint64_t token)
{
	uint64_t end = now_ns() + question->slow_ms * 1000000ULL;

	while ((now_ns() < end || awaits_a_kill(server->ledger, question)) &&
	       kipc_wanted(server->fd, token) != -ECANCELED)
		sleep_ms(5);
}

/* The ledger, for the main process, which may stop this one between any two lines. */
static void note_taken(struct worker *worker, const struct question *question,
		       const struct kipc_result *call)
{
	struct server_account *account = worker->server->account;
	struct held_call *held = &account->held[worker->number];

	atomic_fetch_add(&account->taken, 1);
	if (call->flags & KIPC_RESULT_REDELIVERED) {
		atomic_fetch_add(&account->redelivered, 1);
		log_say(&worker->log, LOG_WARNING,
			"question %llu of %s was taken by a server that died",
			(unsigned long long)question->number,
			client_names[question->client]);
	}
	held->client = question->client;
	held->fickle = question->fickle;
	atomic_store(&held->token, call->token);
}

static void note_reply(struct worker *worker)
{
	struct server_account *account = worker->server->account;

	atomic_store(&account->held[worker->number].token, 0);
	atomic_fetch_add(&account->replied, 1);
}

/* What has become of the last reply is told by the receive that followed it. */
static void note_replied(struct worker *worker, const struct kipc_result *result)
{
	if (!result->reply_error)
		return;
	atomic_fetch_add(&worker->server->account->unwanted, 1);
	log_say(&worker->log, LOG_DEBUG, "no caller for this reply any more: %s",
		strerror(-result->reply_error));
}

/* One thread of the server: receive, answer and receive, answer and receive... */
static void *serve(void *argument)
{
	struct worker *worker = argument;
	struct server *server = worker->server;
	char buffer[ANSWER_TEXT_MAX];
	struct kipc_result call = { 0 };
	struct question question;
	struct answer answer;
	const char *text;
	ssize_t size;

	/* A question of any other size is none, so TRUNCATE will do. */
	struct iovec in = { &question, sizeof(question) };
	const struct kipc_msg take = {
		.flags = KIPC_TRUNCATE |
			 (is_slow(worker) ? KIPC_TYPE_EQ : KIPC_TYPE_NE),
		.type = QUESTION_SLOW,
		.iov = &in,
		.iovcnt = 1,
	};
	/* The text goes from the index to the caller without a copy here. */
	struct iovec out[2] = { { &answer, sizeof(answer) } };
	struct kipc_msg reply = { .iov = out, .iovcnt = 2 };

	for (;;) {
		/* Replies if call.token is set, that is, from the second time on. */
		size = kipc_reply_recvmsg(server->fd, &reply, &take, &call, -1);
		if (call.flags & KIPC_RESULT_REPLIED)
			note_replied(worker, &call);
		if (size == -ESHUTDOWN)
			break;
		if (size < 0)
			die(size, "server: kipc_reply_recvmsg");
		if (!call.token)
			continue;	/* a one-way message: nobody waits for an answer */

		if (call.size != sizeof(question)) {
			memset(&question, 0, sizeof(question));
			question.kind = ASK_KINDS;
		}
		if (question.client >= CLIENTS)
			question.client = 0;
		note_taken(worker, &question, &call);

		if (is_slow(worker))
			dawdle(server, &question, call.token);
		reply.status = -index_answer(&server->index, &question, &answer,
					     &text, buffer);
		/* A refusal has no payload. */
		reply.iovcnt = reply.status ? 0 : 2;
		out[1].iov_base = (char *)text;
		out[1].iov_len = answer.length;

		note_reply(worker);
	}

	log_last_words(&worker->log);
	return NULL;
}

static void start_worker(struct worker *worker)
{
	int error = pthread_create(&worker->thread, NULL, serve, worker);

	if (error)
		die(-error, "server: pthread_create");
}

int main(int argc, char **argv)
{
	/* Room for the largest answer; the queue holds what all clients can ask. */
	const struct kipc_attr attr = {
		.max_size = sizeof(struct answer_message),
		.max_msgs = 512,
		.max_bytes = 512 * sizeof(struct question),
	};
	struct worker workers[WORKERS];
	struct server server;
	uint64_t start = now_ns();
	sigset_t signals;
	int signal, ret;

	if (argc != 4)
		die(0, "usage: server DIRECTORY LEDGER-FD RUN");
	server.ledger = ledger_map(atoi(argv[2]));
	server.account = &server.ledger->servers[atoi(argv[3])];

	/* Blocked in all threads; sigwait() below takes it. */
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);

	index_load(&server.index, argv[1]);
	printf("server (pid %d): indexed %u words on %u lines of %u files, %zu kB, in %llu ms\n",
	       getpid(), server.index.nr_words, server.index.nr_lines,
	       server.index.nr_files, server.index.bytes / 1000,
	       (unsigned long long)(now_ns() - start) / 1000000);
	fflush(stdout);

	/* Finds the endpoint of an earlier run, if there is one. */
	server.fd = kipc_create(INDEX_ADDRESS, KIPC_OPEN_PERSIST, DEMO_MODE, &attr);
	if (server.fd < 0)
		die(server.fd, "server: kipc_create(%s)", INDEX_ADDRESS);

	for (unsigned int i = 0; i < WORKERS; i++) {
		char name[24];

		workers[i].server = &server;
		workers[i].number = i;
		snprintf(name, sizeof(name), "server %s-%u", argv[3], i);
		log_open(&workers[i].log, server.ledger, name);
		start_worker(&workers[i]);
	}

	sigwait(&signals, &signal);

	/* Ends the receives; what the workers have taken they still answer. */
	ret = kipc_shutdown(server.fd);
	if (ret)
		die(ret, "server: kipc_shutdown");
	for (unsigned int i = 0; i < WORKERS; i++)
		pthread_join(workers[i].thread, NULL);

	/* Nobody else would: a persistent endpoint outlives its server. */
	ret = kipc_remove(server.fd, 0);
	if (ret)
		die(ret, "server: kipc_remove");
	return EXIT_SUCCESS;
}
