/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * DOC: what is left to do after ep->lock
 *
 * Nobody is woken and nothing freed while an endpoint's lock is held. What a
 * critical section wants done afterwards it notes in a struct kipc_after on its
 * stack; kipc_unlock() drops the lock and does it. The notes are of fixed size:
 * a critical section makes at most KIPC_BATCH steps of work and comes back for
 * the rest.
 *
 * A task that is to be woken sleeps in kipc and cannot leave before it gets
 * ep->lock or sees the outcome that was stored as the last access to it. From
 * then on only its task_struct is used, which stays valid until the end of the
 * RCU read section that kipc_unlock() opens before it drops the lock.
 */
#ifndef _KIPC_AFTER_H
#define _KIPC_AFTER_H

#include <linux/list.h>
#include <linux/spinlock.h>
#include <linux/types.h>

#include "compat.h"
#include "limits.h"

struct kipc_ep;
struct kipc_file;
struct kipc_msg;
struct kipc_share;
struct task_struct;

/*
 * Each step wakes at most one task and finishes at most one call; beside them a batch of
 * receivers may be passed by, see kipc_pass_by()
 */
#define KIPC_AFTER_MAX		(KIPC_BATCH + 4)
#define KIPC_AFTER_TASKS	(KIPC_AFTER_MAX + KIPC_BATCH)

/**
 * struct kipc_after - the notes
 * @nothing: what follows, to clear it at once
 * @nr_tasks: entries in @tasks
 * @nr_files: entries in @files
 * @nr_passed: how many of @tasks are receivers that were passed by
 * @more: there is something beside tasks to wake and room to give away
 * @room: room was made: admit blocked senders
 * @buffers: payloads to free
 * @peekers: wake those who wait to peek
 * @readable: events for those who poll for messages
 * @writable: events for those who poll for room
 * @msgs: messages whose last reference was dropped, to free, by kipc_msg.free_node
 * @shares: shares to free, by kipc_share.free_node
 * @pins: pinned payloads to let go, by kipc_pins.free_node
 * @sent: files to let go, by kipc_files.free_node
 * @tasks: tasks to wake
 * @files: files with a newly finished call, each with a reference
 *
 * kipc_lock() sets what is up to @buffers; what is behind counts from @more on, which
 * kipc_after_more() sets, and the arrays from their numbers on. So whoever has one on the
 * stack declares it __uninitialized: half a kilobyte need not be zeroed for each hold of
 * a lock.
 */
struct kipc_after {
	union {
		u64 nothing;	/* what follows, to clear it at once */
		struct {
			u8 nr_tasks;
			u8 nr_files;
			u8 nr_passed;
			bool more;
			bool room;
		};
	};
	struct hlist_head buffers;
	bool peekers;
	__poll_t readable;
	__poll_t writable;
	struct hlist_head msgs;
	struct hlist_head shares;
	struct hlist_head pins;
	struct hlist_head sent;
	struct task_struct *tasks[KIPC_AFTER_TASKS];
	struct kipc_file *files[KIPC_AFTER_MAX];
};

/* Take ep->lock with empty notes; drop it and do what they say */
void kipc_lock(struct kipc_ep *ep, struct kipc_after *after) __acquires(&ep->lock);
void kipc_unlock(struct kipc_ep *ep, struct kipc_after *after) __releases(&ep->lock);

void kipc_after_wake(struct kipc_after *after, struct task_struct *task);
/* Drop a reference: now, if it is not the last one */
void kipc_after_put(struct kipc_after *after, struct kipc_msg *msg);
/* Nobody will read the payload of @msg again (but for who peeks, if it is not pinned) */
void kipc_after_spend(struct kipc_after *after, struct kipc_msg *msg);
/* The files of @msg are not needed any more */
void kipc_after_files(struct kipc_after *after, struct kipc_msg *msg);
/* A call of @file has finished */
void kipc_after_finished(struct kipc_after *after, struct kipc_file *file);

static inline void kipc_after_more(struct kipc_after *after)
{
	if (after->more)
		return;
	after->more = true;
	after->peekers = false;
	after->readable = 0;
	after->writable = 0;
	INIT_HLIST_HEAD(&after->msgs);
	INIT_HLIST_HEAD(&after->shares);
	INIT_HLIST_HEAD(&after->pins);
	INIT_HLIST_HEAD(&after->sent);
}

/* Events for those who poll for messages, or for room */
static inline void kipc_after_readable(struct kipc_after *after, __poll_t events)
{
	kipc_after_more(after);
	after->readable |= events;
}

static inline void kipc_after_writable(struct kipc_after *after, __poll_t events)
{
	kipc_after_more(after);
	after->writable |= events;
}

static inline void kipc_after_peekers(struct kipc_after *after)
{
	kipc_after_more(after);
	after->peekers = true;
}

static inline void kipc_after_free(struct kipc_after *after, struct hlist_node *share)
{
	kipc_after_more(after);
	hlist_add_head(share, &after->shares);
}

#endif /* _KIPC_AFTER_H */
