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

#include <linux/cred.h>
#include <linux/ktime.h>
#include <linux/list.h>
#include <linux/pid.h>
#include <linux/refcount.h>
#include <linux/uidgid.h>
#include <linux/kipc.h>

#include "index.h"

struct kipc_ep;
struct kipc_share;

/* Payloads up to this size need no memory of their own */
#define KIPC_INLINE_SIZE	128

/* Segments kept without memory of their own */
#define KIPC_FAST_SEGS		8

/**
 * struct kipc_segs - a payload's segments in user memory
 * @nr: segments
 * @total: sum of their lengths
 * @seg: the segments, read once
 * @fast: where @seg points for few of them
 */
struct kipc_segs {
	unsigned int nr;
	u64 total;
	struct kipc_iovec *seg;
	struct kipc_iovec fast[KIPC_FAST_SEGS];
};

int kipc_segs_import(struct kipc_segs *segs, const struct kipc_payload *payload);
void kipc_segs_free(struct kipc_segs *segs);
/* Copy all of the segments in, or the first bytes of @size out; -EFAULT */
int kipc_segs_read(const struct kipc_segs *segs, void *to);
int kipc_segs_write(const struct kipc_segs *segs, const void *from, size_t size);

/**
 * struct kipc_creds - who sent it, for the reader to see
 * @uid: effective uid
 * @gid: effective gid
 * @pid: the process, held; NULL until taken
 */
struct kipc_creds {
	kuid_t uid;
	kgid_t gid;
	struct pid *pid;
};

void kipc_creds_current(struct kipc_creds *creds);
void kipc_creds_put(struct kipc_creds *creds);
void kipc_creds_tell(const struct kipc_creds *creds, struct kipc_result *result);

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
 * @node: key = type, place = priority and arrival; in the queue's index while
 *	BLOCKED or QUEUED (ep->lock)
 * @by_place: in the queue's order at the same time (ep->lock)
 * @blocked: in its share's blocked messages while BLOCKED (ep->lock)
 * @link: in ep->claims while CLAIMED and not aborted (ep->lock)
 * @free_node: on a kipc_after's list, when a reference is to be dropped
 * @ref: sides that hold it
 * @state: enum kipc_msg_state (ep->lock)
 * @call: wants a reply: embedded in a struct kipc_call
 * @sync: the sender waits for the receipt
 * @charged: admitted: charged to the endpoint (ep->lock)
 * @abort: the sender left during the claim: the commit must discard (ep->lock)
 * @waiting: counted as a waiter (ep->lock)
 * @done: see above
 * @spent: the payload is not needed any more (ep->lock)
 * @error: outcome, 0 or negative errno, valid with @done
 * @prio: priority
 * @deliveries: commits so far (ep->lock)
 * @peeks: RECVs with PEEK that read the payload (ep->lock)
 * @share: the sender's share, held while the message may be charged or waiting
 *	(ep->lock)
 * @waiter: the task to wake with @done (ep->lock)
 * @creds: the sender
 * @cred: its rights, held, if it sends through a device file: until it is
 *	admitted they are asked again; else NULL
 * @time: when it was sent, host monotonic
 * @size: bytes of payload
 * @data: payload: @inline_data, or memory of its own, or NULL once delivered
 * @inline_data: small payloads
 */
struct kipc_msg {
	struct kipc_node node;
	struct rb_node by_place;
	struct rb_node blocked;
	struct list_head link;
	struct hlist_node free_node;
	refcount_t ref;
	u8 state;
	bool call;
	bool sync;
	bool charged;
	bool abort;
	bool waiting;
	bool done;
	bool spent;
	int error;
	u32 prio;
	u32 deliveries;
	u32 peeks;
	struct kipc_share *share;
	struct task_struct *waiter;
	struct kipc_creds creds;
	const struct cred *cred;
	ktime_t time;
	size_t size;
	void *data;
	u8 inline_data[KIPC_INLINE_SIZE];
};

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
 * A new message (with @call: the one inside a new call) with one reference, the
 * payload copied from @segs and the caller as its sender; or ERR_PTR().
 */
struct kipc_msg *kipc_msg_new(const struct kipc_segs *segs, u64 type, u32 prio, bool call);
void kipc_msg_put(struct kipc_msg *msg);

/* Kernel memory for a payload, charged to the caller's memory group */
void *kipc_payload_alloc(size_t size);

int kipc_message_init(void);
void kipc_message_exit(void);

#endif /* _KIPC_MESSAGE_H */
