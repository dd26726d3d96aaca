/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The benchmark: one program, in which every mechanism does the same works.
 *
 * A *work* is something to do, such as a round trip, with a parameter, such as
 * the size of the message. A *mechanism* is a way to do it. A *case* is a work
 * with its parameter and a mechanism; each runs in processes of its own, so that
 * what it made is gone when they are.
 */
#ifndef BENCH_H
#define BENCH_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define BENCH_SMALL	64UL	/* bytes of a message where the size is not the parameter */
#define BENCH_BATCH	16	/* operations between two looks at the clock */

enum { SERVER = -1 };		/* client numbers begin with 0 */

struct shape {
	size_t size;		/* bytes of a message */
	unsigned int clients;
	unsigned int depth;	/* one-way: messages that the queue may hold, at least 2 */
	bool crowd;		/* the server is made for any number of clients */
};

/*
 * What is NULL is what the mechanism cannot do. A case calls one of the open
 * functions, once; roles are forked after it.
 */
struct mechanism {
	const char *name;
	bool (*can)(const struct shape *shape);	/* NULL: every shape */

	/* In each process that takes part; returns when it is ready */
	void (*enter)(int client);

	/* Round trips: in -> out, and the reply comes back into in */
	void (*open_rpc)(const struct shape *shape);
	void (*call)(void);
	void (*serve)(void);		/* does not return */

	/* One way, with a bounded queue */
	void (*open_oneway)(const struct shape *shape);
	void (*send)(void);
	void (*receive)(void);
	/* The same for several at once; return how many. What came last must lie at @in. */
	unsigned int (*send_batch)(unsigned int most);
	unsigned int (*receive_batch)(unsigned int most);

	/* A queue of messages with types, in one process */
	void (*open_typed)(unsigned int depth);
	void (*send_type)(unsigned int type);
	void (*receive_type)(unsigned int type);

	/* A queue of messages with priorities, in one process; the highest is received first */
	void (*open_prio)(unsigned int depth);
	void (*send_prio)(unsigned int prio);
	void (*receive_prio)(unsigned int prio);	/* dies if it is not of this one */

	/* Many endpoints, in one process; fd: what epoll watches */
	void (*open_many)(unsigned int count);
	void (*send_to)(unsigned int number);
	void (*receive_from)(unsigned int number);
	int (*fd_of)(unsigned int number);

	/* Many servers that wait by type, each for a type of its own */
	void (*open_waiters)(unsigned int count);
	void (*serve_type)(unsigned int type);	/* does not return */
	void (*call_type)(unsigned int type);

	/* When all processes have ended: removes what would outlive them */
	void (*clean)(void);
};

extern const struct mechanism binder, eventfd_shm, futex_shm, kipc, mq, pipes, seqpacket, stream,
	sysv;

/* The messages of this process: bytes to send, and room to receive */
extern char *out, *in;
/* Room in front of them, for a header that has to be there */
#define BENCH_HEADROOM	64
/* From this size on they lie in huge pages, as those of one who moves much would */
#define BENCH_LARGE	65536
#define BENCH_HUGE	(2UL << 20)

/* common.c */
void die(const char *what) __attribute__((noreturn));
int check(int ret, const char *what);	/* dies of a negative one */
void set_limit(const char *path, unsigned long value);	/* a file of proc or sys */
void *shared(size_t size);		/* memory that forked processes share, zeroed */
void buffers(size_t size);
/* After fork(2): huge pages are not shared by copy on write */
void own_buffers(void);		/* makes in and out */
uint64_t now(void);
void write_all(int fd, const void *data, size_t size);
void read_all(int fd, void *data, size_t size);

/* In shared memory, in a cache line of its own */
struct counter {
	_Alignas(64) atomic_uint value;
};

/*
 * A bell: one process sleeps, another wakes it, and no system call is needed
 * where nobody sleeps. Lies in shared memory.
 */
struct bell {
	_Alignas(64) atomic_uint asleep;
	int fd;		/* of an eventfd; or -1: a futex */
};

void bell_init(struct bell *bell, bool with_eventfd);
void bell_ring(struct bell *bell);
void bell_sleep(struct bell *bell);	/* after bell_arm() */

/* To be followed by a last look at what is waited for */
static inline void bell_arm(struct bell *bell)
{
	atomic_store(&bell->asleep, 1);
}

/* team.c: the processes of a case */
typedef void role_fn(uint64_t count);

void team_init(bool on_two_cpus);
/* A process that serves until the case is over */
void team_serve(const struct mechanism *with, void (*serve)(unsigned int number),
		unsigned int number);
/* A process that does @role in each round */
void team_join(const struct mechanism *with, role_fn *role, int client);
/* Lets all of them do their part of @count; the time from the first's start to the last's end */
uint64_t team_round(uint64_t count);
void team_end(void);

#endif /* BENCH_H */
