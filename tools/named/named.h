/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kipc-named: what its sources share. One thread serves; others exist only to close
 * files that may take long to close (suspect.c).
 */
#ifndef KIPC_NAMED_H
#define KIPC_NAMED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <kipc.h>
#include "../../userlib/named.h"

/* ---- log.c: to standard error, with the priority that journald reads ---- */

void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));
void note(const char *format, ...) __attribute__((format(printf, 1, 2)));
void fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

/* ---- state.c: what outlives the process ---- */

/*
 * DOC: state
 *
 * Registrations and clients are in one memfd, which is mapped and changed in place:
 * who takes over after a restart, or after a crash, has all of it. Next to the memfd
 * it needs the handles, each found by the slot of its registration. Indexes (hash
 * tables) are the process's own and are made again.
 *
 * A record is valid when its @registration is not 0; that is stored last and
 * cleared first. What is read from a memfd that was handed over is checked before it
 * is used, as another version may have written it.
 */
#define STATE_MAGIC		0x64656d616e63706bULL
#define STATE_LAYOUT		1
#define NAMES_MAX		131072	/* registrations */
#define CLIENT_GROUPS		64	/* of users; see clients.c */
#define GROUP_CLIENTS		4096	/* badges that are remembered of each */
#define BUNDLE_SLOTS		128	/* no more files than one message may have (unix(7)) */
#define BUNDLES			(NAMES_MAX / BUNDLE_SLOTS)
#define NONE			UINT32_MAX

struct registration {
	uint64_t registration;	/* number, never used again; 0: the slot is free */
	uint32_t uid;		/* who registered it */
	uint32_t gid;
	uint32_t endpoint;	/* id */
	int32_t fd;		/* of the process that runs; in a hand-over by exec still good */
	char name[NAMED_NAME_ROOM];
	uint32_t next;		/* in the chain of its hash, NONE: last; made again */
	uint32_t hash;
};

struct client {
	uint64_t registration;	/* whose handle it has; 0: the record is free */
	uint64_t badge;
	uint32_t uid;
	uint32_t gid;
	int32_t pid;
	uint32_t owner;		/* uid of the registration */
};

/* Descriptors, like those of the names: of the process that runs; see bundle.c */
struct bundle {
	int32_t in;		/* the handles are in its queue; -1: there is no bundle */
	int32_t out;
	uint32_t owed;		/* what is to be done yet, see keep.c */
	uint32_t single;	/* 1: it is known that there is one datagram */
};

struct state {
	uint64_t magic;
	uint64_t layout;	/* STATE_LAYOUT */
	uint64_t size;		/* of all of it */
	uint64_t registrations;	/* last number given */
	uint64_t generations;	/* last one of a bundle's content, never used again */
	uint64_t key;		/* which users are together in a group */
	uint32_t badges[CLIENT_GROUPS];	/* last number given */
	struct client clients[CLIENT_GROUPS][GROUP_CLIENTS];
	struct bundle bundles[BUNDLES];
	struct registration names[NAMES_MAX];
};

extern struct state *state;
extern int state_fd;

void state_create(void);
bool state_adopt(int fd);	/* false: not one of ours, and nothing was done */

/* ---- names.c ---- */

bool name_valid(const char *name);	/* NUL-terminated */
uint32_t name_hash(const char *name);

/* What can be had; NONE or a slot */
void names_init(uint32_t limit);
uint32_t names_find(const char *name);
/* Returns a negative errno, or the slot; @fd is then the table's */
int names_add(const char *name, int fd, uint32_t endpoint, uint32_t uid, uint32_t gid);
void names_drop(uint32_t slot);		/* closes the handle too */
bool names_restore(uint32_t slot, int fd);	/* of a state that was adopted */
uint32_t names_count(void);
uint32_t names_top(void);		/* all slots that are used are below */
bool names_ended(uint32_t slot);	/* its endpoint has */

/* ---- clients.c ---- */

uint64_t clients_add(const struct registration *registration, const struct kipc_result *who);
const struct client *clients_find(uint64_t badge);

/* ---- policy.c ---- */

enum access {
	ACCESS_OWN,
	ACCESS_LOOK_UP,
};

/*
 * Reads DIRECTORY/ *.conf; on an error says which, and what was before stays. Users and
 * groups may come from a directory service that takes its time: while serving it is read
 * by a thread, and policy_end() is for when the descriptor of policy_begin() is readable.
 */
bool policy_load(const char *directory);
int policy_begin(const char *directory);	/* -1: cannot be, which is said */
bool policy_end(void);
bool policy_allows(enum access access, const char *name, uint32_t uid, uint32_t gid);

/* ---- waiters.c: calls that are answered later ---- */

struct waiter {
	uint64_t token;
	uint64_t seen;		/* WATCH: the registration that the caller knows */
	uint64_t end;		/* ns, CLOCK_MONOTONIC */
	uint32_t type;		/* NAMED_LOOKUP or NAMED_WATCH */
	struct kipc_result who;
	char name[NAMED_NAME_ROOM];
};

/* A negative errno, or 0: it is answered by one of these */
int waiters_add(int endpoint, const struct waiter *waiter);
void waiters_name_changed(int endpoint, const char *name);
void waiters_expire(int endpoint);
int waiters_timeout_ms(void);	/* until the next one expires, -1: there is none */
void waiters_ask_again(int endpoint);	/* all of them */
uint64_t now_ns(void);

/* ---- requests.c ---- */

/* Answers a waiter for whom something has happened; false: nothing has yet */
bool request_answer(int endpoint, const struct waiter *waiter);
/* Takes and answers what is there, up to a bound; a negative errno: the endpoint has ended */
int requests_serve(int endpoint);

/* ---- suspect.c: files that are no handles ---- */

/* Is @fd a handle? Asks nothing of the file itself, which may never answer. */
bool suspect_is_handle(int fd);
/* Is a file of this user still being closed? */
bool suspect_user(uint32_t uid);
void suspect_close(int fd, uint32_t uid);

/* ---- bundle.c: handles, in a form that the service manager can keep ---- */

/*
 * DOC: bundles
 *
 * The manager's store is for some thousand descriptors, as the names of all come back in
 * one environment variable of at most 128 KiB. So the handles of BUNDLE_SLOTS neighbouring
 * slots are a bundle: a pair of sockets, whose one end has in its receive queue a datagram
 * with all of these handles. Who has both ends has the handles, and the manager is given
 * the ends once, when the bundle is made.
 *
 * After a change of a slot a new datagram is sent, with all that is registered then, and
 * only when it is in the queue the older ones are taken away: a process that is killed at
 * any moment leaves one that is whole. If it leaves two, the first is right: what the
 * second one changes had not been answered yet. Each datagram has a generation, which is
 * counted in the state, so that none comes twice whoever sends it.
 *
 * Reading takes nothing away. What is read may be of another version, or no bundle at all,
 * and is checked.
 */
void bundles_none(void);	/* nothing is closed: these were another process's */
bool bundle_exists(uint32_t number);
/* False: they cannot be a bundle's ends, and nothing was done */
bool bundle_adopt(uint32_t number, int one, int other);
bool bundle_inherited(uint32_t number);	/* are the descriptors in the state good? */
/* Sets @handle of each slot that has one; false: it is no bundle */
bool bundle_read(uint32_t number, int *handle);
/*
 * What is registered now; makes the bundle if there is none. False: errno says why, and
 * the content is as it was. ENOTCONN: its ends are no pair, and it is of no use.
 */
bool bundle_write(uint32_t number);
void bundle_close(uint32_t number);

/* ---- keep.c: handles are kept for who comes after ---- */

/* What the service manager is told beside the handles, in this order */
enum keep_text {
	KEEP_STATE,		/* the endpoint and the state */
	KEEP_RELOADING,
	KEEP_READY,
	KEEP_STATUS,		/* how many names there are */
	KEEP_STOPPING,
	KEEP_TEXTS
};

/* A descriptor that is writable when the manager takes more; -1: there is no manager */
int keep_start(void);
/* When the slot has a handle, before that is answered; when it has none any more */
void keep_handle(uint32_t slot);
void keep_drop(uint32_t slot);
void keep_state(int endpoint);
void keep_tell(enum keep_text which);
bool keep_go_on(void);		/* false: the manager does not take all that it is owed */
void keep_stop(void);
/* Descriptors of the service manager: sets @endpoint if it is among them */
void keep_collect(int *endpoint);
void keep_exec(int endpoint, char **arguments);	/* returns if it failed */
void keep_take_over(const char *what, int *endpoint);

/* ---- main.c ---- */

#define OTHER_FILES	64	/* descriptors beside handles and bundles */
#define FILES_MAX	(NAMES_MAX + 2 * BUNDLES + OTHER_FILES)

bool watch_handle(uint32_t slot);	/* until its endpoint ends */
void unwatch_handle(uint32_t slot);

#endif /* KIPC_NAMED_H */
