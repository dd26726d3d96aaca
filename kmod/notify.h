/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * DOC: one process that is told of a first message
 *
 * What mq_notify(3) needs. An endpoint has at most one notify, which belongs to a
 * process and to no file: ep->notify, under ep->lock. It ends once: when it was given,
 * when its process ends it or closes a descriptor of any handle on the endpoint
 * (exit and exec close them too, unless another process shares the table: then it
 * ends when the next one asks), or with the endpoint. Notice is given under
 * ep->lock, so that none comes after its end; whoever takes it out of ep->notify
 * frees it.
 */
#ifndef _KIPC_NOTIFY_H
#define _KIPC_NOTIFY_H

#include "endpoint.h"

struct kipc_op_notify;

/**
 * struct kipc_notice - what others may know of it
 * @sigev_notify: SIGEV_*, of uapi/asm-generic/siginfo.h
 * @signo: the signal's number, or 0
 * @pid: the process, as the caller sees it; 0: nobody
 */
struct kipc_notice {
	int sigev_notify;
	int signo;
	pid_t pid;
};

/* Arrange it, or end it, through a handle */
long kipc_notify_set(struct kipc_file *file, const struct kipc_op_notify *op);
/* Give notice of @msg */
void kipc_notify_give(struct kipc_ep *ep, const struct kipc_msg *msg);
/* The calling process is not told any more, if it was to be */
bool kipc_notify_leave(struct kipc_ep *ep);
/* Who is to be told, under ep->lock */
void kipc_notify_look(const struct kipc_ep *ep, struct kipc_notice *notice);
/*
 * A caller found no message, under ep->lock: if there is none, there shall be notice of one
 * that has waited for room.
 */
void kipc_notify_empty(struct kipc_ep *ep);
/* Was it so since this was arranged? */
bool kipc_notify_saw_empty(const struct kipc_ep *ep);
/* Nobody is */
void kipc_notify_end(struct kipc_ep *ep);

#endif /* _KIPC_NOTIFY_H */
