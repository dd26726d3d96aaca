/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * DOC: the queue of an endpoint
 *
 * One order for all messages, admitted and blocked: priority, then arrival.
 * FIRST_COME is different: blocked messages are held back in a queue of their own, where
 * no receiver looks, and get room in the order of their turns, of arrival that is, but none
 * waits for one that needs more.
 * Invariants that hold whenever ep->lock is free:
 *
 * 1. No waiting receiver matches a message in the queue. Who puts a message
 *    into the queue, other than to hold it back, offers it to the waiting receivers first
 *    (direct handoff). Those whose room is too little for it are told so, and passed by.
 * 2. A blocked message that would fit waits only for room, or behind one that
 *    does (but with FIRST_COME): who makes room admits (kipc_after.room).
 * 3. A message is in the queue exactly while BLOCKED or QUEUED, in ep->claims
 *    exactly while CLAIMED and not aborted.
 *
 * Claim and commit: kipc_claim() takes a message out of the queue, its place and
 * charge kept. The receiver copies without the lock. kipc_commit() then makes it
 * the receiver's, or kipc_unclaim() puts it back; neither allocates.
 */
#ifndef _KIPC_QUEUE_H
#define _KIPC_QUEUE_H

#include "after.h"
#include "deadline.h"
#include "endpoint.h"
#include "message.h"

/**
 * struct kipc_receiver - one RECV
 * @node: in @index, key = what to compare with, place = its turn (ep->lock)
 * @index: in ep->waiting
 * @waiting: it waits (ep->lock)
 * @file: the handle it waits on, counted there; NULL: a device file
 * @share: its share, held while it waits (ep->lock)
 * @select: how to compare
 * @type: what to compare with
 * @nocalls: takes only one-way messages
 * @room: what it can take, U64_MAX if it does not insist on max_size
 * @fits: the largest message it can take now, U64_MAX if it cuts those that are larger; known
 *	while it waits
 * @fits_files: likewise the files of one
 * @needed: the room that is needed, to be told with EMSGSIZE; who sets @error to that sets this
 *	before
 * @needed_files: likewise
 * @cred: its rights, if it receives through a device file; else NULL
 * @task: who waits
 * @msg: the message claimed for it; set once, last, with release
 * @error: why there will be none, set likewise
 *
 * On the stack of the task that receives.
 */
struct kipc_receiver {
	struct kipc_node node;
	struct kipc_index *index;
	bool waiting;
	struct kipc_file *file;
	struct kipc_share *share;
	enum kipc_select select;
	u64 type;
	bool nocalls;
	u64 room;
	u64 fits;
	u32 fits_files;
	u32 needed_files;
	u64 needed;
	const struct cred *cred;
	struct task_struct *task;
	struct kipc_msg *msg;
	int error;
};

/**
 * struct kipc_walk - a walk through the receivers that wait, in several holds of the lock
 * @index: in ep->waiting
 * @key: the next one is at least there
 * @place: likewise
 * @end: ep->waits when it began: those with a later arrival look themselves at what has
 *	changed
 */
struct kipc_walk {
	unsigned int index;
	u64 key;
	u64 place;
	u64 end;
};

/*
 * Does anybody poll or peek there? They look under ep->lock after they have put
 * themselves into the queue, and this is asked under ep->lock after the change:
 * no barrier is needed.
 */
static inline bool kipc_polled(struct wait_queue_head *head)
{
	/* See above */
	return waitqueue_active(head);
}

/* Does anybody wait for room? */
static inline bool kipc_stalled(const struct kipc_ep *ep)
{
	return !RB_EMPTY_ROOT(&ep->stalled.rb_root);
}

/* The first message @receiver may take, or NULL */
struct kipc_msg *kipc_select(struct kipc_ep *ep, const struct kipc_receiver *receiver);
/*
 * The same for taking it: a blocked message whose sender may not send any more
 * is ended instead. NULL with *@again set: there may be more of those, unlock and
 * call again.
 */
struct kipc_msg *kipc_select_allowed(struct kipc_ep *ep, const struct kipc_receiver *receiver,
				     bool *again, struct kipc_after *after);
/* The first that a walk with PEEK has not seen; NULL with *@more set: call again */
struct kipc_msg *kipc_select_after(struct kipc_ep *ep, const struct kipc_receiver *receiver,
				   u64 type, u64 *place, bool *more);

/*
 * The one that has @index messages before it, as @cursor counts; NULL with *@more set: call
 * again, with ep->cursor set to it meanwhile.
 */
struct kipc_msg *kipc_select_index(struct kipc_ep *ep, struct kipc_cursor *cursor, u64 index,
				   bool *more);

/*
 * Would a message of max_size, or of max_bytes or msgmax if that is less, and the lowest priority
 * by @share be admitted now?
 */
bool kipc_writable(struct kipc_ep *ep, const struct kipc_share *share);

/*
 * Put a new message from @file into the queue, or straight into the hands of a receiver.
 * The queue takes over one reference, and the one to @share. If the sender has
 * to wait (a call or SYNC always does) the calling task becomes the waiter, with
 * a reference of its own: -ENOSPC or -EDQUOT if there are too many. With @nowait
 * nobody waits: -EAGAIN if the message cannot be admitted.
 */
int kipc_post(struct kipc_ep *ep, struct kipc_msg *msg, const struct kipc_file *file,
	      struct kipc_share *share, bool nowait, struct kipc_after *after);
/* Put a delivered call back into its place */
void kipc_requeue(struct kipc_ep *ep, struct kipc_msg *msg, struct kipc_after *after);
/* Admit blocked messages from *@place on, a batch; true: there may be more */
bool kipc_admit(struct kipc_ep *ep, u64 *place, struct kipc_after *after);

/*
 * Permissions have changed: end the blocked messages behind *@place, of those that
 * came before arrival @end, whose senders may not send any more; they need not
 * wait until it is their turn. A batch; true: there may be more.
 */
bool kipc_recheck_senders(struct kipc_ep *ep, u64 *place, u64 end, struct kipc_after *after);
/*
 * Permissions or max_size have changed: end those waiting receives from @walk on
 * that may not go on. A batch; true: there may be more.
 */
bool kipc_recheck_receivers(struct kipc_ep *ep, struct kipc_walk *walk, struct kipc_after *after);
/* The same for those of a @file that receives no more */
bool kipc_shutdown_receivers(struct kipc_ep *ep, struct kipc_file *file, struct kipc_walk *walk,
			     struct kipc_after *after);

void kipc_claim(struct kipc_ep *ep, struct kipc_msg *msg, struct kipc_after *after);
/*
 * Claim the first message that @receiver may take, if it is not larger than @room; or
 * NULL, also if its sender may not send any more (kipc_select_allowed() ends it).
 */
struct kipc_msg *kipc_claim_next(struct kipc_ep *ep, const struct kipc_receiver *receiver,
				 u64 room, struct kipc_after *after);
void kipc_unclaim(struct kipc_ep *ep, struct kipc_msg *msg, struct kipc_after *after);
/*
 * A call goes into the deliveries; the reference to a message without reply is the
 * caller's, to be put after the lock. False: the sender has left, the message is
 * dropped, receive another.
 */
bool kipc_commit(struct kipc_ep *ep, struct kipc_msg *msg, struct kipc_file *file,
		 struct kipc_after *after);

/*
 * A receiver begins to wait (-ENOSPC, -EDQUOT), with its reference to @share. It
 * ends its wait itself, or is given a message, or told an error.
 */
int kipc_receiver_wait(struct kipc_ep *ep, struct kipc_receiver *receiver, struct kipc_file *file,
		       struct kipc_share *share, struct kipc_after *after);
void kipc_receiver_remove(struct kipc_ep *ep, struct kipc_receiver *receiver,
			  struct kipc_after *after);

/*
 * The sending side gives up a message or call that is not done: the outcome is
 * @error. Called by deadline, kill, CANCEL, close, removal.
 */
void kipc_giveup(struct kipc_ep *ep, struct kipc_msg *msg, int error, struct kipc_after *after);
/* Set the outcome and wake who waits for it */
void kipc_done(struct kipc_ep *ep, struct kipc_msg *msg, int error, struct kipc_after *after);
/* A message that is done is not charged any more, and nobody will receive its files */
void kipc_settle(struct kipc_ep *ep, struct kipc_msg *msg, struct kipc_after *after);

/* End everything that waits at a dead endpoint, a batch; true: there may be more */
bool kipc_drain(struct kipc_ep *ep, struct kipc_after *after);

/* Wait for msg->done: 0, -ETIMEDOUT or -EINTR */
int kipc_wait_done(struct kipc_msg *msg, struct kipc_deadline *deadline);

/* The first message behind @place of both classes, or NULL */
struct kipc_msg *kipc_queue_next(struct kipc_ep *ep, bool nocalls, u64 place);

#endif /* _KIPC_QUEUE_H */
