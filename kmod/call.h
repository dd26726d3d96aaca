/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * DOC: calls
 *
 * A call is a message that wants exactly one reply. Until it is delivered it is
 * a message like any other. Then it is in its endpoint's deliveries under a
 * delivery token, made new at each delivery. Through which file and by which
 * process it was taken is remembered: when that process exits or has
 * closed its last descriptor of the file, or the file goes, the call breaks.
 *
 * A call normally lives as long as the system call that makes it. It *outlives*
 * it when started by ASYNC, or when a signal or a fault came after its delivery
 * began: then it is in its file's table under a caller token, holds its
 * endpoint, its file and an account, and is charged to that, until collected,
 * cancelled or closed.
 *
 * The one state machine, with the function that makes each transition, all under
 * ep->lock. A message without reply ends at DELIVERED. docs/architecture.md has
 * what each event means in each state, docs/model/ the same as a model that is
 * checked; scripts/check-model holds them together.
 *
 *   from       event                            to         by
 *   NEW        posted, no room                  BLOCKED    kipc_post
 *   NEW        posted                           QUEUED     kipc_post
 *   NEW        posted, a receiver waits         CLAIMED    kipc_post
 *   BLOCKED    room                             QUEUED     kipc_admit
 *   BLOCKED    a receiver takes it              CLAIMED    kipc_claim
 *   QUEUED     a receiver takes it              CLAIMED    kipc_claim
 *   CLAIMED    copied                           DELIVERED  kipc_commit
 *   CLAIMED    receiver failed, not admitted    BLOCKED    kipc_unclaim
 *   CLAIMED    receiver failed, admitted        QUEUED     kipc_unclaim
 *   CLAIMED    receiver failed, another waits   CLAIMED    kipc_unclaim
 *   CLAIMED    aborted, the receiver is done    CANCELLED  kipc_claim_void
 *   DELIVERED  reply                            REPLIED    kipc_reply_commit
 *   DELIVERED  server gone                      BROKEN     kipc_call_break
 *   DELIVERED  server gone, to be redelivered   QUEUED     kipc_call_break
 *   DELIVERED  the same, a receiver waits       CLAIMED    kipc_call_break
 *   BLOCKED    given up                         CANCELLED  kipc_giveup
 *   QUEUED     given up                         CANCELLED  kipc_giveup
 *   DELIVERED  given up                         CANCELLED  kipc_giveup
 *
 * Given up: its sender leaves, its deadline passes, the endpoint is removed, or its
 * sender may not send any more. A claimed message is then only marked (@abort). To be
 * redelivered: it is IDEMPOTENT, and was not too often.
 *
 * The outcome is in msg->error and @reply, set by kipc_done(). A CANCELLED
 * delivery is remembered until its server asks (kipc_call_linger).
 */
#ifndef _KIPC_CALL_H
#define _KIPC_CALL_H

#include <linux/hrtimer.h>
#include <linux/workqueue.h>
#include <linux/kipc.h>

#include "message.h"
#include "queue.h"
#include "window.h"

struct kipc_account;
struct kipc_file;

/**
 * struct kipc_reply - a reply in kernel memory
 * @body: memory for the payload
 * @creds: who answered
 * @time: when, host monotonic
 * @type: the replier's
 * @status: 0, or positive errno
 * @size: bytes of payload
 * @full_size: bytes that were sent
 * @in_place: the payload was written into the caller's window
 * @nfds: files that were sent
 * @files: with @nfds: those, or NULL if they were dropped
 * @inline_data: small payloads
 */
struct kipc_reply {
	struct kipc_body body;
	struct kipc_creds creds;
	ktime_t time;
	u64 type;
	int status;
	size_t size;
	size_t full_size;
	bool in_place;
	u8 nfds;
	struct kipc_files *files;
	u8 inline_data[KIPC_INLINE_SIZE];
};

/**
 * struct kipc_call - a message that wants a reply
 * @msg: the message; its lock and rules
 * @ep: where it was sent; held by a call that outlives its system call
 * @cookie: the caller's; constant
 * @room: largest reply the caller can take; constant
 * @file_room: files with a reply that the caller can take, or KIPC_FILES_UNWANTED;
 *	constant
 * @idempotent: may be delivered again; constant
 * @truncate: a larger reply is cut; constant
 * @async: started by ASYNC; constant
 * @described: its caller wants to know who answers, and when; constant
 * @flags: what follows, to clear it at once
 * @broken: an earlier receiver died with it (ep->lock)
 * @delivery: in ep->deliveries while delivered (ep->lock)
 * @delivered: in ep->delivered until it is answered or given up (ep->lock)
 * @linger: in ep->lingering then (ep->lock)
 * @token: delivery token (ep->lock)
 * @taker: file it was taken through (ep->lock)
 * @taker_files: table of files of the process that took it, for comparing: it
 *	cannot end before its descriptor of @taker is closed, which breaks the
 *	delivery (ep->lock)
 * @reply: what was answered; with @done the caller's
 * @window: the caller's buffer, while it waits in the system call that made it
 * @file: file of the caller once it outlives its system call, held
 * @account: who is charged then, held
 * @files_account: who is charged for the files of the reply when that is made, held; NULL:
 *	none are wanted. Then who was until then
 * @caller_token: its token then
 * @file_node: in file->calls (file->lock)
 * @finished: in file->finished (file->lock)
 * @busy: a task waits for it or collects it (file->lock)
 * @cancelled: CANCEL came by: who is busy with it retires it (file->lock)
 * @listed: in file->calls (file->lock)
 * @ended: it is done, or about to be (file->lock)
 * @timer: ends an ASYNC call at its deadline
 * @timed: @timer was started
 * @expire: what @timer has done where ep->lock may be taken
 */
struct kipc_call {
	struct kipc_msg msg;
	struct kipc_ep *ep;
	u64 cookie;
	u64 room;
	struct rb_node delivery;
	struct hlist_node delivered;
	struct list_head linger;
	u64 token;
	const void *taker_files;
	u64 caller_token;
	struct rb_node file_node;
	struct list_head finished;
	struct hrtimer timer;
	struct work_struct expire;
	struct kipc_file *taker;
	struct kipc_reply *reply;
	struct kipc_window window;
	struct kipc_file *file;
	struct kipc_account *account;
	struct kipc_account *files_account;
	union {
		u64 flags;	/* those below, cleared at once */
		struct {
			bool broken;
			bool busy;
			bool cancelled;
			bool listed;
			bool ended;
			bool timed;
		};
	};
	u8 file_room;
	bool idempotent;
	bool truncate;
	bool async;
	bool described;
};

static_assert(offsetof(struct kipc_call, timed) < offsetof(struct kipc_call, flags) +
	      sizeof_field(struct kipc_call, flags));

/* The files of a reply are dropped, whatever room there is */
#define KIPC_FILES_UNWANTED	255

static inline struct kipc_call *to_call(struct kipc_msg *msg)
{
	return container_of(msg, struct kipc_call, msg);
}

/* What the call still holds, at its end */
void kipc_call_destroy(struct kipc_call *call);

/* Under ep->lock: */
/* A claimed call becomes a delivery to the calling process, under call->token */
void kipc_call_deliver(struct kipc_ep *ep, struct kipc_call *call, struct kipc_file *file);
/* A delivered call was given up: remember it for its server */
void kipc_call_linger(struct kipc_ep *ep, struct kipc_call *call, struct kipc_after *after);
/* An outliving call is about to be done: tell its file */
void kipc_call_finished(struct kipc_call *call, struct kipc_after *after);
/* The server of a delivery has gone */
void kipc_call_break(struct kipc_ep *ep, struct kipc_call *call, struct kipc_after *after);

/* A file ends: its calls are cancelled, its deliveries break */
void kipc_calls_cancel(struct kipc_file *file);
void kipc_calls_break(struct kipc_file *file);
/* The process with this table of files lets go of @file: what it took breaks */
void kipc_calls_let_go(struct kipc_file *file, const void *files);

long kipc_rpc(struct kipc_file *file, struct kipc_ep *ep, struct kipc_op_rpc *op,
	      struct kipc_op_rpc __user *uop);
long kipc_reply(struct kipc_file *file, const struct kipc_op_reply *op);

/**
 * struct kipc_answer - a reply on its way to its call
 * @token: of the delivery
 * @file: who answers, and from where
 * @payload: likewise
 * @room: what it must be cut to, after EOVERFLOW
 * @reply: the reply, until its call has it
 * @into: the call whose window @reply stands in, held; or NULL
 */
struct kipc_answer {
	u64 token;
	struct kipc_file *file;
	const struct kipc_payload *payload;
	u64 room;
	struct kipc_reply *reply;
	struct kipc_call *into;
};

/*
 * Copy the reply from the calling process; after an error there is nothing to end.
 * @payload must last as long as the answer.
 */
int kipc_answer_prepare(struct kipc_answer *answer, struct kipc_file *file, u64 token, int status,
			u64 type, const struct kipc_payload *payload);
/* May be done again */
void kipc_answer_end(struct kipc_answer *answer);
/*
 * Hand the reply to the caller who waits for it, under ep->lock. -EOVERFLOW, -ESTALE: it
 * is not as that caller can take it, see kipc_answer_adapt(). -ECANCELED: the token is
 * used up, but nobody waits any more.
 */
int kipc_reply_commit(struct kipc_answer *answer, struct kipc_ep *ep, struct kipc_after *after);
/*
 * Make of it what the commit that failed with @err can take: 0, commit again; or the
 * error of that, or @err itself. May sleep.
 */
int kipc_answer_adapt(struct kipc_answer *answer, int err);
long kipc_cancel(struct kipc_file *file, struct kipc_op_token *op);
long kipc_wanted(struct kipc_file *file, u64 token);
long kipc_adopt(struct kipc_file *file, u64 token);

int kipc_call_init(void);
void kipc_call_exit(void);

#endif /* _KIPC_CALL_H */
