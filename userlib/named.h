/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What libkipc and kipc-named(8) say to each other. Not installed; programs call
 * the functions of kipc.h.
 *
 * A request is a call to the endpoint NAMED_ADDRESS; its type says what is wanted.
 * Its payload is one struct named_request, no more and no less, the reply's one
 * struct named_reply, which in a list has entries behind it. Both begin with the
 * version. A request of another one is refused with EPROTONOSUPPORT; members may
 * be added only with a new version. Members that a request does not use are 0.
 */
#ifndef LIBKIPC_NAMED_H
#define LIBKIPC_NAMED_H

#include <stdint.h>

#define NAMED_ADDRESS		"sys.named"
#define NAMED_VERSION		1

#define NAMED_NAME_ROOM		224	/* bytes of a name, its NUL among them */
#define NAMED_MAX_SIZE		8192	/* of the endpoint */
#define NAMED_ENTRIES_MAX	32	/* names in one reply */
#define NAMED_WAIT_MAX_MS	60000	/* longer waits are asked for again */
#define NAMED_ANSWER_MS		5000	/* for the answer itself */

/* Types of requests */
enum {
	NAMED_REGISTER = 1,	/* name, one file: a handle with SEND and no badge */
	NAMED_UNREGISTER,	/* name */
	NAMED_LOOKUP,		/* name, timeout_ms; the reply has a file */
	NAMED_WATCH,		/* name, timeout_ms; value: the registration that is known */
	NAMED_LIST,		/* name: a prefix; value: where to go on, 0: begin */
	NAMED_CLIENT,		/* value: the badge asked about */
};

#define NAMED_TYPES	(NAMED_CLIENT + 1)	/* none of them */

struct named_request {
	uint32_t version;
	uint32_t flags;		/* 0 */
	uint32_t timeout_ms;	/* how long to wait, at most NAMED_WAIT_MAX_MS */
	uint32_t pad;		/* 0 */
	uint64_t value;
	char name[NAMED_NAME_ROOM];	/* with NULs to its end */
};

struct named_reply {
	uint32_t version;
	uint32_t count;		/* LIST: entries that follow */
	uint64_t registration;	/* of the name; WATCH: 0 if there is none */
	uint64_t value;		/* LIST: where to go on, 0: this was all; LOOKUP: the badge */
	uint32_t uid;		/* CLIENT: who looked it up */
	uint32_t gid;
	int32_t pid;
	uint32_t pad;		/* 0 */
};

struct named_entry {
	uint64_t registration;
	uint32_t uid;		/* who registered it */
	uint32_t gid;
	uint32_t endpoint;	/* id */
	uint32_t pad;		/* 0 */
	char name[NAMED_NAME_ROOM];
};

_Static_assert(sizeof(struct named_request) == 248, "the same for 32 and 64 bits");
_Static_assert(sizeof(struct named_reply) == 40, "the same for 32 and 64 bits");
_Static_assert(sizeof(struct named_entry) == 248, "the same for 32 and 64 bits");
_Static_assert(sizeof(struct named_reply) + NAMED_ENTRIES_MAX * sizeof(struct named_entry) <=
	       NAMED_MAX_SIZE, "a list fits into a reply");

#endif /* LIBKIPC_NAMED_H */
