/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The ledger: shared memory in which every process of the demo writes down what
 * it does, before and after it does it. What a killed process wrote stays, so
 * that at the end every call and every log message can be accounted for.
 *
 * This is for checking; nothing of the work itself goes through it.
 */
#ifndef DEMO_LEDGER_H
#define DEMO_LEDGER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "wire.h"

enum client_kind {
	CLIENT_SEQUENTIAL,	/* one call after the other: kipc_rpc() */
	CLIENT_PARALLEL,	/* threads, and calls in flight: kipc_rpc_start() */
	CLIENT_DEADLINE,	/* deadlines, of which some must expire */
	CLIENT_KILLED,		/* dies in the middle of a call and is restarted */
	CLIENTS
};

extern const char *const client_names[CLIENTS];

/* How a call ended. Each has exactly one of these. */
enum outcome {
	OUTCOME_ANSWERED,	/* and the answer was right */
	OUTCOME_REFUSED,	/* the server said no, and rightly */
	OUTCOME_EXPIRED,	/* ETIMEDOUT, as it had to be */
	OUTCOME_CANCELLED,	/* by its caller */
	OUTCOME_RESET,		/* the server died with it; asked again */
	OUTCOME_LOST,		/* the caller died in it; asked again */
	OUTCOME_WRONG,		/* not what grep says */
	OUTCOME_FAILED,		/* an error that should not be */
	OUTCOMES
};

extern const char *const outcome_names[OUTCOMES];

#define SAMPLES_MAX	16384

struct client_account {
	uid_t uid;
	uint32_t planned;		/* questions to ask */
	atomic_uint next;		/* the first question nobody took yet */
	atomic_uint settled;		/* questions that got what they should */
	atomic_uint started;		/* calls */
	atomic_uint outcomes[OUTCOMES];
	atomic_uint nr_samples;
	uint32_t samples[SAMPLES_MAX];	/* round trips, microseconds */
};

#define SERVERS		2	/* before and after the crash */
#define QUICK_WORKERS	2
#define SLOW_WORKERS	5	/* as many as can be asked at once */
#define WORKERS		(QUICK_WORKERS + SLOW_WORKERS)

/* The call that a thread of the server works on */
struct held_call {
	atomic_ullong token;		/* delivery token, 0: none */
	uint32_t client;		/* enum client_kind */
	uint32_t fickle;		/* the caller may give up */
};

struct server_account {
	struct held_call held[WORKERS];
	atomic_uint taken;		/* calls received */
	atomic_uint redelivered;	/* of these: taken from a dead server */
	atomic_uint replied;		/* replies made */
	atomic_uint unwanted;		/* of these: the caller had gone */
};

#define LOG_SOURCES	40

struct log_source {
	char name[24];
	uid_t uid;
	atomic_uint begun[LOG_LEVELS];	/* sends */
	atomic_uint sent[LOG_LEVELS];	/* sends that succeeded */
	atomic_uint received[LOG_LEVELS];
};

struct ledger {
	struct client_account clients[CLIENTS];
	struct server_account servers[SERVERS];
	/* The main process has killed them; until then some calls last, see server.c */
	atomic_uint server_killed, client_killed;
	/* Calls that the first server worked on when it was killed; given up: before */
	unsigned int held_plain, held_idempotent, held_fickle, held_given_up;
	struct log_source sources[LOG_SOURCES];
	atomic_uint nr_sources;
	atomic_uint log_faults;		/* wrong, doubled or out of order */
};

/* The main process makes it; the others inherit its descriptor. */
struct ledger *ledger_create(int *fd);
struct ledger *ledger_map(int fd);

/* Calls of the client that have an outcome */
unsigned int ledger_ended(const struct client_account *account);
bool ledger_half_done(const struct client_account *account);

#endif /* DEMO_LEDGER_H */
