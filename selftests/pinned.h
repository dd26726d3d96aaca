/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the tests of pinned payloads share, on top of call_common.h.
 *
 * Whether a payload was pinned or copied is seen in /proc/vmstat: in the test VM
 * nobody else pins pages. A test that means the one way looks there, so that it cannot
 * pass by the other way unnoticed; most run both ways, with the parameter pin_min set
 * and at 0.
 */
#ifndef KIPC_SELFTESTS_PINNED_H
#define KIPC_SELFTESTS_PINNED_H

#include <sys/resource.h>

#include "call_common.h"

#define PAGE		4096UL
#define PIN_MIN		(4 * PAGE)	/* of the tests that mean it */
#define SCRIBBLE	0xee		/* what senders write over a payload afterwards */

/* ---- memory ---- */

/* Pages that @size bytes at @buf touch */
static inline long pages_of(const void *buf, size_t size)
{
	return (long)((kt_ptr(buf) % PAGE + size + PAGE - 1) / PAGE);
}

/* Private anonymous memory */
static inline char *private_memory(size_t size)
{
	char *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	kt_need(p != MAP_FAILED);
	return p;
}

/* ---- senders ---- */

/*
 * One who waits until its payload was received: a call, or a SEND with SYNC. It lies in
 * shared memory; its payload is its process's own. When the wait is over it overwrites
 * the payload at once: nobody may read it any more.
 */
struct sender {
	int fd;
	bool call;
	uint32_t flags;
	uint32_t endpoint;
	uint64_t type;
	uint32_t prio;
	char *buf;
	size_t size;
	char *room;		/* for the reply */
	size_t room_size;
	unsigned int ms;	/* until its deadline; 0: none */
	bool catches;		/* SIGUSR1, */
	int sa_flags;		/* with these */
	void (*prepare)(struct sender *s);	/* in its own process */

	/* what it tells */
	volatile int handled;	/* signals */
	volatile int done;
	volatile long ret;
	struct kipc_result result;
	union {
		struct kipc_op_rpc rpc;
		struct kipc_op_send send;
	} op;

	struct kt_job *kt;
};

static struct sender *sender_self;	/* in its own process */

static inline void sender_count_signal(int sig)
{
	(void)sig;
	sender_self->handled++;
}

static inline long sender_main(void *arg)
{
	struct sender *s = arg;
	struct sigaction action = { .sa_handler = sender_count_signal, .sa_flags = s->sa_flags };
	uint64_t deadline = s->ms ? kt_in_ms(s->ms) : KIPC_FOREVER;

	if (s->catches) {
		sender_self = s;
		kt_need(sigaction(SIGUSR1, &action, NULL) == 0);
	}
	if (s->prepare)
		s->prepare(s);
	if (s->call) {
		s->op.rpc = kt_rpc_op(s->buf, s->size, s->room, s->room_size, &s->result);
		s->op.rpc.endpoint = s->endpoint;
		s->op.rpc.flags = s->flags;
		s->op.rpc.type = s->type;
		s->op.rpc.prio = s->prio;
		s->op.rpc.deadline = deadline;
		s->ret = kt_op_rpc(s->fd, &s->op.rpc);
	} else {
		s->op.send = kt_send_op(s->buf, s->size);
		s->op.send.endpoint = s->endpoint;
		s->op.send.flags = s->flags | KIPC_SYNC;
		s->op.send.type = s->type;
		s->op.send.prio = s->prio;
		s->op.send.deadline = deadline;
		s->ret = kt_op_send(s->fd, &s->op.send);
	}
	__atomic_store_n(&s->done, 1, __ATOMIC_RELEASE);
	return s->ret;
}

/* The same, for memory that may be written afterwards */
static inline long sender_main_scribble(void *arg)
{
	struct sender *s = arg;
	long ret = sender_main(s);

	memset(s->buf, SCRIBBLE, s->size);
	return ret;
}

/* Is any of that in @buf? There would be a good piece of it. */
static inline bool scribbled(const char *buf, size_t size)
{
	size_t run = 0;

	for (size_t i = 0; i < size && run < 64; i++)
		run = (unsigned char)buf[i] == SCRIBBLE ? run + 1 : 0;
	return run == 64;
}

static inline void sender_start_as(struct sender *s, const struct kt_how *how,
				   long (*fn)(void *arg))
{
	s->done = 0;
	s->handled = 0;
	kt_poison(&s->result, sizeof(s->result));
	s->kt = kt_start(how, fn, s);
}

/* In a process of its own */
static inline void sender_start(struct sender *s)
{
	sender_start_as(s, KT_FORK, sender_main_scribble);
}

/* In the test's */
static inline void sender_start_thread(struct sender *s)
{
	sender_start_as(s, KT_THREAD, sender_main_scribble);
}

static inline bool sender_kill(struct sender *s)
{
	return kt_kill(s->kt) == KT_DIED - SIGKILL;
}

/* A signal to it; true when its handler has run */
static inline bool sender_signal(struct sender *s)
{
	int before = s->handled;

	return kt_signal(s->kt, SIGUSR1) && kt_until(s->handled != before);
}

/* ---- receivers ---- */

/*
 * One that receives, or peeks: into @out, and when it stalls it is held when it has
 * got @before bytes.
 */
struct taker {
	int fd;
	uint32_t flags;		/* beside ANYSIZE */
	bool stalls;
	bool stays;		/* when it has received, until it is killed */
	size_t before;
	char *out;		/* shared */
	size_t room;

	volatile int done;
	volatile long ret;
	struct kipc_result result;

	struct kt_job *kt;
	struct kt_stall held;
};

static inline long taker_main(void *arg)
{
	struct taker *t = arg;
	struct kipc_op_recv op = kt_recv_op(t->out, t->room, &t->result);
	size_t rest = t->before + PAGE;
	struct kipc_iovec iov[3];

	op.flags = KIPC_ANYSIZE | t->flags;
	if (t->stalls) {
		kt_stall_init(&t->held, 's');
		iov[0] = (struct kipc_iovec){ kt_ptr(t->out), t->before };
		iov[1] = (struct kipc_iovec){ kt_ptr(t->held.page), PAGE };
		iov[2] = (struct kipc_iovec){ kt_ptr(t->out) + rest, t->room - rest };
		op.payload = (struct kipc_payload){ .base = kt_ptr(iov), .iovcnt = 3 };
	}
	t->ret = kt_op_recv(t->fd, &op);
	if (t->stalls && t->held.stalled)
		memcpy(t->out + t->before, t->held.page, PAGE);
	__atomic_store_n(&t->done, 1, __ATOMIC_RELEASE);
	while (t->stays)
		pause();
	return t->ret;
}

static inline void taker_start_as(struct taker *t, const struct kt_how *how)
{
	t->done = 0;
	t->held.stalled = 0;
	t->held.release = 0;
	kt_poison(&t->result, sizeof(t->result));
	kt_poison(t->out, t->room);
	t->kt = kt_start(how, taker_main, t);
}

static inline void taker_start(struct taker *t)
{
	taker_start_as(t, KT_FORK);
}

#endif
