/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * DOC: messages
 *
 * A message is a header and an opaque payload in kernel memory. It is shared by
 * two sides, each with one reference: the sending side (a task that waits for
 * its outcome, or the table of a file that may still collect a call) and the
 * receiving side (the queue, a claim, or the deliveries). A plain SEND that was
 * admitted gives up the sending side.
 *
 * Its state and everything marked "ep->lock" below belong to the lock of the
 * endpoint it was sent to, for its whole life. The payload and the sender's
 * credentials are written before it is published and constant after.
 *
 * The states and who moves them: docs/architecture.md, "State x event".
 *
 *   NEW -> BLOCKED | QUEUED -> CLAIMED -> DELIVERED -> REPLIED
 *                                                   -> BROKEN | CANCELLED
 *
 * @done is the end of the sender's wait: it is set once, under the lock, when
 * the outcome is known (a plain SEND: also when it is admitted). A sender that
 * sees it with acquire may read the outcome without the lock:
 *
 *   waker, ep->lock held                   sender (KIPC_DONE_BARRIER)
 *   error, reply, state = ...              set_current_state()
 *   smp_store_release(&done, true)         smp_load_acquire(&done)
 *   [unlock] wake_up_process(waiter)       error, reply, state
 */
#ifndef _KIPC_MESSAGE_H
#define _KIPC_MESSAGE_H

#include <linux/compiler.h>
#include <linux/cred.h>
#include <linux/ktime.h>
#include <linux/list.h>
#include <linux/pid.h>
#include <linux/refcount.h>
#include <linux/sched/signal.h>
#include <linux/uidgid.h>
#include <linux/kipc.h>

#include "files.h"
#include "index.h"
#include "pool.h"
#include "window.h"

struct kipc_ep;
struct kipc_file;
struct kipc_share;

struct iov_iter;

/* Segments kept without memory of their own */
#define KIPC_FAST_SEGS		8

/**
 * struct kipc_segs - a payload's segments in user memory
 * @nr: segments; 0: the payload is where @iter says
 * @total: sum of their lengths
 * @seg: the segments, read once: the payload's struct itself, which must last as
 *	long, @fast, or memory of their own
 * @iter: of read() or write(); moves on with each copy
 * @fast: few of them
 */
struct kipc_segs {
	unsigned int nr;
	u64 total;
	union {
		const struct kipc_iovec *seg;
		struct iov_iter *iter;
	};
	struct kipc_iovec fast[KIPC_FAST_SEGS];
};

int kipc_segs_import_iov(struct kipc_segs *segs, const struct kipc_payload *payload);
void kipc_segs_free_iov(struct kipc_segs *segs);

/* What @payload says, checked; to be freed */
static inline int kipc_segs_import(struct kipc_segs *segs, const struct kipc_payload *payload)
{
	if (unlikely(payload->iovcnt | payload->nfds | payload->fds | payload->len >> 63))
		return kipc_segs_import_iov(segs, payload);
	/* It begins as a segment does */
	static_assert(offsetof(struct kipc_payload, base) == offsetof(struct kipc_iovec, base));
	static_assert(offsetof(struct kipc_payload, len) == offsetof(struct kipc_iovec, len));
	segs->nr = 1;
	segs->total = payload->len;
	segs->seg = (const struct kipc_iovec *)payload;
	return 0;
}

static inline void kipc_segs_free(struct kipc_segs *segs)
{
	if (unlikely(segs->nr > KIPC_FAST_SEGS))
		kipc_segs_free_iov(segs);
}

/* Copy all of the segments in, or the first bytes of @size out; -EFAULT */
int kipc_segs_read(const struct kipc_segs *segs, const struct kipc_buffer *to);
int kipc_segs_write(const struct kipc_segs *segs, const struct kipc_buffer *from, size_t size);

/**
 * struct kipc_creds - who sent it, for the reader to see
 * @uid: effective uid
 * @gid: effective gid
 * @pid: the process, held; NULL: nobody asked
 */
struct kipc_creds {
	kuid_t uid;
	kgid_t gid;
	struct pid *pid;
};

/* Hold credentials */
static inline const struct cred *kipc_cred_get(const struct cred *cred)
{
	/* get_cred() stores a 0, whoever else does so at that moment */
	return data_race(get_cred(cred));
}

static inline void kipc_creds_current(struct kipc_creds *creds)
{
	creds->uid = current_euid();
	creds->gid = current_egid();
	creds->pid = get_pid(task_tgid(current));
}

static inline void kipc_creds_put(struct kipc_creds *creds)
{
	if (creds->pid)
		put_pid(creds->pid);
}

void kipc_creds_tell(const struct kipc_creds *creds, struct kipc_result *result);

/**
 * struct kipc_told - of whom was told last: several messages often have the same sender
 * @pid: the process, while a message of it is held; NULL: none yet
 * @nr: its number for the reader
 */
struct kipc_told {
	struct pid *pid;
	pid_t nr;
};

void kipc_creds_tell_likewise(const struct kipc_creds *creds, struct kipc_result *result,
			      struct kipc_told *told);

enum kipc_msg_state {
	KIPC_MSG_NEW,
	KIPC_MSG_BLOCKED,
	KIPC_MSG_QUEUED,
	KIPC_MSG_CLAIMED,
	KIPC_MSG_DELIVERED,
	KIPC_MSG_REPLIED,
	KIPC_MSG_BROKEN,
	KIPC_MSG_CANCELLED,
};

/**
 * struct kipc_msg - one message
 * @body: memory for the payload; once it is delivered and not needed any more the
 *	buffer is NULL
 * @node: key = type, place = priority and arrival; in the queue's index while
 *	BLOCKED or QUEUED and not in its fifo (ep->lock)
 * @by_place: in the queue's order at the same time; or in the marks of its fifo, or an empty node
 *	(ep->lock)
 * @blocked: in its share's blocked messages while BLOCKED (ep->lock)
 * @link: in ep->claims while CLAIMED and not aborted; while BLOCKED or QUEUED in the
 *	queue's fifo, or not (ep->lock)
 * @free_node: on a kipc_after's list, when the last reference has been dropped
 * @ref: sides that hold it
 * @prio: priority
 * @size: bytes of payload
 * @time: when it was sent, host monotonic
 * @badge: of the handle it was sent through
 * @creds: the sender
 * @call: wants a reply: embedded in a struct kipc_call
 * @pinned: the payload is in @window; constant
 * @flags: what follows, to clear it at once
 * @state: enum kipc_msg_state (ep->lock)
 * @sync: the sender waits for the receipt
 * @charged: admitted: charged to the endpoint (ep->lock)
 * @abort: the sender left during the claim: the commit must discard (ep->lock)
 * @handed: given to who waited for it, see kipc_ep.handed (ep->lock)
 * @waiting: counted as a waiter (ep->lock)
 * @done: see above
 * @spent: the payload is not needed any more (ep->lock)
 * @nfds: files that came with it; constant
 * @error: outcome, 0 or negative errno, valid with @done
 * @deliveries: commits so far (ep->lock)
 * @peeks: RECVs with PEEK that read the payload (ep->lock)
 * @share: the sender's share, held while the message may be charged or waiting
 *	(ep->lock)
 * @waiter: the task to wake with @done (ep->lock)
 * @cred: its rights, held, if it sends through a device file: until it is
 *	admitted they are asked again; else NULL
 * @files: with @nfds: those, until nobody will receive them any more (ep->lock; who
 *	has claimed it may read them without)
 * @window: the payload in its sender's own memory, if it is @pinned: open until it was
 *	received, or the sender has left
 * @inline_data: small payloads
 */
struct kipc_msg {
	struct kipc_body body;
	struct kipc_node node;
	struct rb_node by_place;
	struct rb_node blocked;
	struct hlist_node link;
	struct hlist_node free_node;
	refcount_t ref;
	u32 prio;
	size_t size;
	ktime_t time;
	u64 badge;
	struct kipc_creds creds;
	bool call;
	bool pinned;
	union {
		u64 flags;	/* what follows, to clear it at once */
		struct {
			u8 state;
			bool sync;
			bool charged;
			u8 abort : 1;
			u8 handed : 1;
			bool waiting;
			bool done;
			bool spent;
			u8 nfds;
		};
	};
	int error;
	u32 deliveries;
	u32 peeks;
	struct kipc_share *share;
	struct task_struct *waiter;
	const struct cred *cred;
	struct kipc_files *files;
	struct kipc_window window;
	u8 inline_data[KIPC_INLINE_SIZE];
};

static_assert(offsetof(struct kipc_msg, nfds) < offsetof(struct kipc_msg, flags) +
	      sizeof_field(struct kipc_msg, flags));

static inline u64 kipc_msg_type(const struct kipc_msg *msg)
{
	return msg->node.key;
}

static inline u64 kipc_msg_place(const struct kipc_msg *msg)
{
	return msg->node.place;
}

static inline bool kipc_msg_queued(const struct kipc_msg *msg)
{
	return msg->state == KIPC_MSG_BLOCKED || msg->state == KIPC_MSG_QUEUED;
}

/*
 * A new message (of KIPC_KIND_CALL: the one inside a new call) with one reference,
 * its body from @pool, the payload that of @segs, the caller as its sender, sent @now; or
 * ERR_PTR(). With @pin its sender waits for the delivery, of which there is one: the
 * payload may stay where it is.
 */
struct kipc_msg *kipc_msg_new(struct kipc_pool *pool, const struct kipc_segs *segs, u64 type,
			      u32 prio, enum kipc_kind kind, bool pin, ktime_t now);
/* Files go with a new message, to be sent through @file */
int kipc_msg_attach(struct kipc_msg *msg, struct kipc_file *file, const struct kipc_ep *ep,
		    const struct kipc_payload *payload);
/*
 * Copy the first @size bytes of its payload to @segs; -EFAULT, -EINTR (killed), -ESTALE
 * (its sender has left, or it was received by another)
 */
int kipc_msg_write(const struct kipc_segs *segs, struct kipc_msg *msg, size_t size);
void kipc_msg_free(struct kipc_msg *msg);

/* The end of its sender's wait: what is in its memory from now on is nobody's business */
static inline void kipc_msg_unpin(struct kipc_msg *msg)
{
	if (unlikely(msg->pinned))
		kipc_window_end(&msg->window);
}

static inline void kipc_msg_put(struct kipc_msg *msg)
{
	if (refcount_dec_and_test(&msg->ref))
		kipc_msg_free(msg);
}

#endif /* _KIPC_MESSAGE_H */
