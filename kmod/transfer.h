/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * DOC: SEND and RECV
 *
 * The two halves of moving a message, as system calls. A receive is prepared
 * (everything read from the caller and checked) before REPLY_RECV makes its
 * reply, and then run.
 */
#ifndef _KIPC_TRANSFER_H
#define _KIPC_TRANSFER_H

#include <linux/kipc.h>

#include "call.h"
#include "deadline.h"
#include "files.h"
#include "message.h"
#include "queue.h"

struct kipc_ep;
struct kipc_file;

/**
 * struct kipc_reply_half - what REPLY_RECV does before it receives
 * @answer: the reply; made in the same hold of the lock in which the receive begins
 * @uop: where it is to be stored that the reply was made; NULL: nowhere
 * @made: it was
 */
struct kipc_reply_half {
	struct kipc_answer answer;
	struct kipc_op_reply_recv __user *uop;
	bool made;
};

/* Store how far the reply half has come, for a restart: -EFAULT */
int kipc_half_write(struct kipc_op_reply_recv __user *uop, u64 token, s32 reply_error, u32 replied);

/**
 * struct kipc_recv - a receive under way
 * @op: what the caller asked for
 * @segs: room for the payload
 * @deadline: until when it may wait
 * @receiver: how it selects
 * @flags: KIPC_RESULT_REPLIED or 0, to be told
 * @reply_error: to be told of the reply half
 * @told: a message has been, so that an error has to take it back
 * @whom: by whom it was sent; only as long as that is claimed
 * @half: the reply half; NULL: there is none, or it was made before a restart
 * @fds: descriptors of the message's files, from its copy to the commit
 */
struct kipc_recv {
	const struct kipc_op_recv *op;
	struct kipc_segs segs;
	struct kipc_deadline deadline;
	struct kipc_receiver receiver;
	u32 flags;
	s32 reply_error;
	bool told;
	struct kipc_told whom;
	struct kipc_reply_half *half;
	struct kipc_fds fds;
};

/* With MSGBUF, before it is prepared: makes the payload what comes after the type */
int kipc_recv_msgbuf(struct kipc_op_recv *op);
int kipc_recv_prepare(struct kipc_recv *recv, struct kipc_file *file,
		      const struct kipc_op_recv *op);
/* Bytes stored, or the error */
long kipc_recv_run(struct kipc_recv *recv, struct kipc_file *file, struct kipc_ep *ep);
void kipc_recv_end(struct kipc_recv *recv);

/* The steps of a receive, for RECV_BATCH: */
/* Claim a message, waiting for it if need be: it, or ERR_PTR() */
struct kipc_msg *kipc_recv_claim(struct kipc_recv *recv, struct kipc_file *file,
				 struct kipc_ep *ep);
/* ep->lock held: may this file receive, with this room? Asked again after each sleep. */
int kipc_recv_allowed(struct kipc_recv *recv, struct kipc_file *file, struct kipc_ep *ep);
/* Of a message that is larger than the room or has files: must nothing of it be dropped? */
bool kipc_recv_refuses(struct kipc_recv *recv, const struct kipc_msg *msg);

/* Is a message larger than the room, or has it more files, and must not be cut? */
static inline bool kipc_recv_too_small(struct kipc_recv *recv, const struct kipc_msg *msg)
{
	return unlikely(msg->size > recv->segs.total || msg->nfds) && kipc_recv_refuses(recv, msg);
}

/*
 * Copy a claimed or peeked message and what is told of it out; bytes stored. -ESTALE: its
 * sender has left, or another has received what is only peeked at.
 */
long kipc_recv_copy(struct kipc_recv *recv, struct kipc_msg *msg);
/* ep->lock held: may what was copied be made ours? */
int kipc_recv_may_commit(struct kipc_file *file, struct kipc_ep *ep);
/* Tell of the error what there is to tell; it is returned */
long kipc_recv_failed(struct kipc_recv *recv, long err);

/* Post a new message, whose reference is taken over, and wait as far as need be */
long kipc_send_msg(struct kipc_file *file, struct kipc_ep *ep, struct kipc_msg *msg,
		   struct kipc_deadline *deadline);
/* Wait for the outcome of a posted message whose waiter we are, and let go of it */
long kipc_send_wait(struct kipc_ep *ep, struct kipc_msg *msg, struct kipc_deadline *deadline);

bool kipc_nonblock(const struct kipc_file *file, u32 flags);

/* With MSGBUF the type and the payload of @op become what they would be without */
long kipc_send(struct kipc_file *file, struct kipc_ep *ep, struct kipc_op_send *op);

#endif /* _KIPC_TRANSFER_H */
