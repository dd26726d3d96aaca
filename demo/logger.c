// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * logger LEDGER-FD: collects the log messages of all processes, on a one-way
 * endpoint, and checks that each comes once, from whom it says, and in order.
 *
 * At first there is a thread for each kind: one takes errors and warnings, the
 * others one level each. SIGUSR1 ends that; what is sent from then on stays in
 * the queue. SIGTERM says that nobody sends any more: then the queue must give
 * out what it has in one order only, which is checked as well.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <unistd.h>

#include <kipc.h>

#include "ledger.h"
#include "util.h"
#include "wire.h"

#define SEQUENCE_MAX	16384

struct logger {
	struct ledger *ledger;
	int all;		/* handle that keeps the endpoint alive */
	int live;		/* handle for the threads, shut down at SIGUSR1 */
	/* Seen already? One level is taken by one thread at a time. */
	uint8_t seen[LOG_SOURCES][LOG_LEVELS][SEQUENCE_MAX / 8];
	uint32_t next[LOG_SOURCES][LOG_LEVELS];
};

struct collector {
	struct logger *logger;
	uint32_t flags;		/* selector */
	uint64_t type;
	pthread_t thread;
};

static void fault(struct logger *logger, const struct log_message *message,
		  const struct kipc_result *result, const char *what)
{
	atomic_fetch_add(&logger->ledger->log_faults, 1);
	printf("WRONG: log message %llu of source %u, type %llu, priority %u: %s\n",
	       (unsigned long long)message->sequence, message->source,
	       (unsigned long long)result->type, result->prio, what);
}

static bool check(struct logger *logger, const struct log_message *message,
		  ssize_t size, const struct kipc_result *result)
{
	struct log_source *source;
	uint8_t *seen, bit;

	if (size < (ssize_t)offsetof(struct log_message, text) ||
	    (size_t)size != offsetof(struct log_message, text) + message->length ||
	    message->source >= logger->ledger->nr_sources ||
	    result->type < LOG_ERROR || result->type >= LOG_LEVELS ||
	    message->sequence >= SEQUENCE_MAX) {
		fault(logger, message, result, "malformed");
		return false;
	}
	source = &logger->ledger->sources[message->source];
	/* The message may claim anything; the uid is the kernel's word. */
	if (result->uid != source->uid) {
		fault(logger, message, result, "sent by another user");
		return false;
	}
	seen = &logger->seen[message->source][result->type][message->sequence / 8];
	bit = (uint8_t)(1 << message->sequence % 8);
	if (*seen & bit) {
		fault(logger, message, result, "came twice");
		return false;
	}
	*seen |= bit;
	atomic_fetch_add(&source->received[result->type], 1);

	if (result->type == LOG_ERROR &&
	    !memmem(message->text, message->length, "last word", strlen("last word")))
		printf("log: %s (uid %u): %.*s\n", source->name, result->uid,
		       (int)message->length, message->text);
	return true;
}

static ssize_t receive(int fd, uint32_t flags, uint64_t type,
		       struct log_message *message, struct kipc_result *result,
		       int timeout_ms)
{
	/* cppcheck-suppress ctuuninitvar ; it is room to write to */
	struct iovec in = { message, sizeof(*message) };
	const struct kipc_msg msg = {
		.flags = flags,
		.type = type,
		.iov = &in,
		.iovcnt = 1,
	};

	return kipc_recvmsg(fd, &msg, result, timeout_ms);
}

/*
 * While all send: a source gives each level one priority, so what it sends of
 * one level comes in the order in which it was sent.
 */
static void *collect(void *argument)
{
	struct collector *collector = argument;
	struct logger *logger = collector->logger;
	struct kipc_result result;
	struct log_message message;
	ssize_t size;

	for (;;) {
		uint32_t *next;

		size = receive(logger->live, collector->flags, collector->type,
			       &message, &result, -1);
		if (size == -ESHUTDOWN)
			return NULL;
		if (size < 0)
			die(size, "logger: kipc_recvmsg");
		if (!check(logger, &message, size, &result))
			continue;
		next = &logger->next[message.source][result.type];
		if (message.sequence != *next)
			fault(logger, &message, &result, "out of order");
		*next = (uint32_t)message.sequence + 1;
	}
}

/*
 * When nobody sends: KIPC_TYPE_LE gives the lowest type first; within a type,
 * and without a selector, the highest priority is first; then first come first
 * served, seen by the sequence of each source and level.
 */
static unsigned int drain(struct logger *logger, uint32_t flags, uint64_t type)
{
	uint32_t next[LOG_SOURCES][LOG_LEVELS] = { 0 };
	struct kipc_result result, last = { .type = 0, .prio = KIPC_PRIO_MAX };
	struct log_message message;
	unsigned int count = 0;
	ssize_t size;

	while ((size = receive(logger->all, flags, type, &message, &result, 0)) != -EAGAIN) {
		bool same_type = !flags || result.type == last.type;

		if (size < 0)
			die(size, "logger: kipc_recvmsg");
		if (!check(logger, &message, size, &result))
			continue;
		if (flags && result.type < last.type)
			fault(logger, &message, &result, "a lower type after a higher");
		if (same_type && result.prio > last.prio)
			fault(logger, &message, &result, "a higher priority after a lower");
		if (!same_type || result.prio != last.prio)
			memset(next, 0, sizeof(next));
		if (message.sequence < next[message.source][result.type])
			fault(logger, &message, &result, "not in the order of sending");
		next[message.source][result.type] = (uint32_t)message.sequence + 1;
		last = result;
		count++;
	}
	return count;
}

/* Tells the main process; its answer means that this has been heard. */
static void report_quiet(void)
{
	const struct control control = { .kind = CONTROL_LOG_QUIET };
	ssize_t ret;
	int fd;

	fd = kipc_open(CONTROL_ADDRESS, KIPC_RIGHT_SEND, 0);
	if (fd < 0)
		die(fd, "logger: kipc_open(%s)", CONTROL_ADDRESS);
	ret = kipc_rpc(fd, &control, sizeof(control), NULL, 0, -1);
	if (ret < 0)
		die(ret, "logger: kipc_rpc(%s)", CONTROL_ADDRESS);
	close(fd);
}

int main(int argc, char **argv)
{
	const struct kipc_attr attr = {
		.max_size = sizeof(struct log_message),
		.max_msgs = 1024,
		.max_bytes = 1024 * sizeof(struct log_message),
	};
	struct collector collectors[] = {
		{ .flags = KIPC_TYPE_LE, .type = LOG_WARNING },
		{ .flags = KIPC_TYPE_EQ, .type = LOG_NOTICE },
		{ .flags = KIPC_TYPE_EQ, .type = LOG_DEBUG },
	};
	struct logger *logger = allocate(sizeof(*logger));
	unsigned int bad, rest;
	sigset_t signals;
	int signal, ret;

	if (argc != 2)
		die(0, "usage: logger LEDGER-FD");
	setvbuf(stdout, NULL, _IOLBF, 0);
	logger->ledger = ledger_map(atoi(argv[1]));

	sigemptyset(&signals);
	sigaddset(&signals, SIGUSR1);
	sigaddset(&signals, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);

	logger->all = kipc_create(LOG_ADDRESS, KIPC_OPEN_EXCL | KIPC_OPEN_ONEWAY,
				  DEMO_MODE, &attr);
	if (logger->all < 0)
		die(logger->all, "logger: kipc_create(%s)", LOG_ADDRESS);
	logger->live = kipc_open(LOG_ADDRESS, KIPC_RIGHT_RECV, 0);
	if (logger->live < 0)
		die(logger->live, "logger: kipc_open(%s)", LOG_ADDRESS);

	for (unsigned int i = 0; i < ARRAY_SIZE(collectors); i++) {
		collectors[i].logger = logger;
		ret = pthread_create(&collectors[i].thread, NULL, collect, &collectors[i]);
		if (ret)
			die(-ret, "logger: pthread_create");
	}

	do
		sigwait(&signals, &signal);
	while (signal != SIGUSR1);

	ret = kipc_shutdown(logger->live);
	if (ret)
		die(ret, "logger: kipc_shutdown");
	for (unsigned int i = 0; i < ARRAY_SIZE(collectors); i++)
		pthread_join(collectors[i].thread, NULL);
	close(logger->live);
	report_quiet();

	do
		sigwait(&signals, &signal);
	while (signal != SIGTERM);

	bad = drain(logger, KIPC_TYPE_LE, LOG_WARNING);
	rest = drain(logger, 0, 0);
	printf("logger: took the last %u errors and warnings by type, %u others by priority\n",
	       bad, rest);
	/* What was wrong stands in the ledger. */
	return EXIT_SUCCESS;
}
