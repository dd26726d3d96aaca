// SPDX-License-Identifier: GPL-2.0-only
/* See batch.h. */
#include <linux/cred.h>
#include <linux/kernel.h>
#include <linux/uaccess.h>

#include "batch.h"
#include "deadline.h"
#include "endpoint.h"
#include "file.h"
#include "message.h"
#include "notify.h"
#include "queue.h"
#include "transfer.h"

#define KIPC_SEND_BATCH_FLAGS (KIPC_NONBLOCK | KIPC_REALTIME | KIPC_NORESTART)

static int kipc_batch_check(u32 count, u64 messages, u64 len)
{
	if (!count || count > KIPC_BATCH_MAX || !messages || len > S64_MAX)
		return -EINVAL;
	return 0;
}

/* What a payload takes of the buffer: the next one begins behind it */
static u64 kipc_batch_step(u64 size)
{
	return ALIGN(size, KIPC_BATCH_ALIGN);
}

/* RECV_BATCH */

/**
 * struct kipc_recv_batch - a RECV_BATCH under way
 * @file: through which
 * @ep: where
 * @op: the receive of the next message
 * @recv: likewise
 * @nr: messages claimed in this round; at its end those that are ours
 * @msgs: those
 */
struct kipc_recv_batch {
	struct kipc_file *file;
	struct kipc_ep *ep;
	struct kipc_op_recv op;
	struct kipc_recv recv;
	unsigned int nr;
	struct kipc_msg *msgs[KIPC_BATCH];
};

/* The next payload goes to this part of the buffer, its result to this place */
static void kipc_recv_batch_at(struct kipc_recv_batch *batch, u64 base, u64 room, u64 result)
{
	batch->op.payload.base = base;
	batch->op.payload.len = room;
	batch->op.result = result;
	batch->recv.segs.total = room;
}

/* Bytes left behind a payload of @size in a buffer of @room */
static u64 kipc_recv_batch_left(u64 room, u64 size)
{
	return room - min(room, kipc_batch_step(size));
}

static void kipc_recv_batch_next(struct kipc_recv_batch *batch, u64 size)
{
	u64 room = batch->op.payload.len, left = kipc_recv_batch_left(room, size);

	kipc_recv_batch_at(batch, batch->op.payload.base + room - left, left,
			   batch->op.result + sizeof(struct kipc_result));
}

/* Beside the one that was waited for, claim what is there and fits, up to @max in all */
static void kipc_recv_batch_claim(struct kipc_recv_batch *batch, unsigned int max)
{
	u64 room = batch->op.payload.len;
	struct kipc_after after __uninitialized;
	struct kipc_msg *msg;

	if (batch->nr == max)
		return;
	if (batch->nr)
		room = kipc_recv_batch_left(room, batch->msgs[0]->size);
	kipc_lock(batch->ep, &after);
	if (!kipc_recv_allowed(&batch->recv, batch->file, batch->ep)) {
		while (batch->nr < max) {
			msg = kipc_claim_next(batch->ep, &batch->recv.receiver, room, &after);
			if (!msg)
				break;
			room = kipc_recv_batch_left(room, msg->size);
			batch->msgs[batch->nr++] = msg;
		}
		/* That there were fewer tells as much as EAGAIN */
		if (unlikely(batch->ep->notify) && batch->nr < max)
			kipc_notify_empty(batch->ep);
	}
	kipc_unlock(batch->ep, &after);
}

/* Copy what was claimed: how many could be, and what was wrong with the next one */
static unsigned int kipc_recv_batch_copy(struct kipc_recv_batch *batch, int *err)
{
	unsigned int i;

	*err = 0;
	batch->recv.whom.pid = NULL;
	for (i = 0; i < batch->nr; i++) {
		struct kipc_msg *msg = batch->msgs[i];
		long copied = -EMSGSIZE;

		if (!kipc_recv_too_small(&batch->recv, msg))
			copied = kipc_recv_copy(&batch->recv, msg);
		if (copied < 0) {
			/* That its sender has left is no error, see batch.h */
			*err = copied == -ESTALE ? 0 : copied;
			break;
		}
		kipc_recv_batch_next(batch, msg->size);
	}
	return i;
}

/* The commit of the first @copied; the rest goes back. How many are ours. */
static unsigned int kipc_recv_batch_commit(struct kipc_recv_batch *batch, unsigned int copied,
					   int *err)
{
	struct kipc_after after __uninitialized;
	struct kipc_ep *ep = batch->ep;
	bool calls = false, known_open;
	unsigned int i, done;
	int refused;

	kipc_lock(ep, &after);
	refused = kipc_recv_may_commit(batch->file, ep);
	if (refused) {
		*err = refused;
		copied = 0;
	}
	for (done = 0; done < copied; done++) {
		bool call = batch->msgs[done]->call;

		if (!kipc_commit(ep, batch->msgs[done], batch->file, &after))
			break;
		/* Not ours any more: others may answer it when the lock is dropped */
		if (call)
			batch->msgs[done] = NULL;
		calls |= call;
	}
	/* The one that was not committed is gone */
	for (i = done < copied ? done + 1 : done; i < batch->nr; i++)
		kipc_unclaim(ep, batch->msgs[i], &after);
	known_open = !calls || kipc_file_known_open(batch->file);
	kipc_unlock(ep, &after);
	for (i = 0; i < done; i++)
		if (batch->msgs[i])
			kipc_msg_put(batch->msgs[i]);
	if (!known_open)
		kipc_file_check_open(batch->file);
	return done;
}

/* Claim, copy and commit: how many, and why there will be no more */
static unsigned int kipc_recv_batch_round(struct kipc_recv_batch *batch, unsigned int max,
					  int *err)
{
	u64 base = batch->op.payload.base, room = batch->op.payload.len;
	u64 result = batch->op.result;
	unsigned int copied, done;

	*err = 0;
	kipc_recv_batch_claim(batch, max);
	if (!batch->nr)
		return 0;
	copied = kipc_recv_batch_copy(batch, err);
	done = kipc_recv_batch_commit(batch, copied, err);
	if (!done)
		kipc_recv_batch_at(batch, base, room, result);
	/* Where one has left, the batch ends: its place and those behind were filled already */
	batch->nr = done;
	return done;
}

static long kipc_recv_batch_run(struct kipc_recv_batch *batch, unsigned int count)
{
	unsigned int tries = 0, total, max;
	int err;

	/* One that is there, or comes, and what else is there then */
	do {
		batch->msgs[0] = kipc_recv_claim(&batch->recv, batch->file, batch->ep);
		if (IS_ERR(batch->msgs[0]))
			return PTR_ERR(batch->msgs[0]);
		batch->nr = 1;
		max = min(count, KIPC_BATCH);
		total = kipc_recv_batch_round(batch, max, &err);
		/* As for RECV: senders that always leave must not hold us */
		if (!total && !err && ++tries >= KIPC_BATCH)
			err = kipc_deadline_check(&batch->recv.deadline);
		if (!total && err)
			return err;
	} while (!total);

	/* A round that was not full has found the end */
	while (!err && batch->nr == KIPC_BATCH && total < count) {
		batch->nr = 0;
		total += kipc_recv_batch_round(batch, min(count - total, KIPC_BATCH), &err);
	}
	return total;
}

static int kipc_recv_batch_check(const struct kipc_op_recv_batch *op)
{
	if (op->flags & (KIPC_PEEK | KIPC_MSGBUF | KIPC_PRIO_ONLY) ||
	    op->pad | op->reserved[0] | op->reserved[1])
		return -EINVAL;
	return kipc_batch_check(op->count, op->results, op->len);
}

long kipc_recv_batch(struct kipc_file *file, struct kipc_ep *ep,
		     const struct kipc_op_recv_batch *op)
{
	struct kipc_recv_batch batch __uninitialized;
	long ret = kipc_recv_batch_check(op);

	if (ret)
		return ret;
	batch.file = file;
	batch.ep = ep;
	batch.op = (struct kipc_op_recv){
		.flags = op->flags,
		.type = op->type,
		.deadline = op->deadline,
		.payload.base = op->base,
		.payload.len = op->len,
		.result = op->results,
	};
	ret = kipc_recv_prepare(&batch.recv, file, &batch.op);
	if (ret)
		return ret;
	ret = kipc_recv_batch_run(&batch, op->count);
	if (ret < 0)
		ret = kipc_recv_failed(&batch.recv, ret);
	kipc_recv_end(&batch.recv);
	return ret;
}

/* SEND_BATCH */

/**
 * struct kipc_send_batch - a SEND_BATCH under way
 * @file: through which
 * @ep: where
 * @deadline: until when it may wait
 * @base: address of the next payload
 * @len: bytes there
 * @now: when this round began, which is the time of its messages
 * @nr: messages of this round
 * @msgs: those
 * @heads: what the caller says of them
 */
struct kipc_send_batch {
	struct kipc_file *file;
	struct kipc_ep *ep;
	struct kipc_deadline deadline;
	u64 base;
	u64 len;
	ktime_t now;
	unsigned int nr;
	struct kipc_msg *msgs[KIPC_BATCH];
	struct kipc_batch_msg heads[KIPC_BATCH];
};

static struct kipc_msg *kipc_send_batch_msg(struct kipc_send_batch *batch,
					    const struct kipc_batch_msg *head)
{
	struct kipc_iovec seg = { .base = batch->base, .len = head->size };
	struct kipc_segs segs __uninitialized;
	u64 step;

	if (head->pad || head->prio > KIPC_PRIO_MAX || head->size > batch->len)
		return ERR_PTR(-EINVAL);
	if (head->size > kipc_ep_max_size(batch->ep))
		return ERR_PTR(-EMSGSIZE);
	segs.nr = 1;
	segs.total = head->size;
	segs.seg = &seg;
	step = min(kipc_batch_step(head->size), batch->len);
	batch->base += step;
	batch->len -= step;
	return kipc_msg_new(batch->file->pool, &segs, head->type, head->prio, KIPC_KIND_MSG,
			    false, batch->now);
}

/* Make up to @max messages of this round; -errno: why not all of them */
static int kipc_send_batch_make(struct kipc_send_batch *batch, u64 heads, unsigned int max)
{
	unsigned long missing = copy_from_user(batch->heads, u64_to_user_ptr(heads),
					       max * sizeof(*batch->heads));
	unsigned int given = max - DIV_ROUND_UP(missing, sizeof(*batch->heads));

	batch->now = ktime_get();
	batch->nr = 0;
	while (batch->nr < given) {
		struct kipc_msg *msg = kipc_send_batch_msg(batch, &batch->heads[batch->nr]);

		if (IS_ERR(msg))
			return PTR_ERR(msg);
		msg->badge = batch->file->badge;
		if (!batch->file->ep)
			msg->cred = kipc_cred_get(current_cred());
		batch->msgs[batch->nr++] = msg;
	}
	return missing ? -EFAULT : 0;
}

/* Post those from the @from-th on, in one hold of the lock, up to one that has to wait */
static unsigned int kipc_send_batch_post(struct kipc_send_batch *batch, unsigned int from,
					 struct kipc_msg **waiting, int *err)
{
	struct kipc_after after __uninitialized;
	struct kipc_ep *ep = batch->ep;
	struct kipc_share *share;

	*waiting = NULL;
	*err = kipc_lock_share(ep, batch->file, &after, &share);
	if (!*err && !batch->file->ep)
		*err = kipc_ep_permission(ep, KIPC_MAY_SEND);
	if (unlikely(ep->flags & KIPC_ENDPOINT_SYSV) && !*err)
		kipc_ep_note_msgmax(ep);
	while (!*err && !*waiting && from < batch->nr) {
		struct kipc_msg *msg = batch->msgs[from];

		if (msg->size > ep->max_size) {
			*err = -EMSGSIZE;
			break;
		}
		kipc_share_get(ep, share);
		*err = kipc_post(ep, msg, batch->file, share, batch->deadline.never_sleep, &after);
		if (*err) {
			kipc_share_put(ep, share, &after);
			break;
		}
		/* Who waits holds it; another may be gone when the lock is dropped */
		if (msg->waiting)
			*waiting = msg;
		from++;
	}
	kipc_share_put(ep, share, &after);
	kipc_unlock(ep, &after);
	return from;
}

/* Send this round's messages: how many, and why not all of them */
static unsigned int kipc_send_batch_round(struct kipc_send_batch *batch, int *err)
{
	unsigned int sent = 0, i;
	struct kipc_msg *waiting;

	*err = 0;
	i = 0;
	while (!*err && i < batch->nr) {
		i = kipc_send_batch_post(batch, i, &waiting, err);
		sent = i;
		if (!waiting)
			continue;
		*err = kipc_send_wait(batch->ep, waiting, &batch->deadline);
		if (*err)
			sent--;
	}
	for (; i < batch->nr; i++)
		kipc_msg_put(batch->msgs[i]);
	return sent;
}

static int kipc_send_batch_check(const struct kipc_op_send_batch *op)
{
	if (op->flags & ~KIPC_SEND_BATCH_FLAGS || op->pad | op->reserved[0] | op->reserved[1])
		return -EINVAL;
	return kipc_batch_check(op->count, op->msgs, op->len);
}

long kipc_send_batch(struct kipc_file *file, struct kipc_ep *ep,
		     const struct kipc_op_send_batch *op)
{
	struct kipc_send_batch batch __uninitialized;
	unsigned int total = 0, max;
	int err, not_made;

	err = kipc_send_batch_check(op);
	if (!err && !file->ep)
		err = kipc_ep_check(ep, KIPC_MAY_SEND);
	if (err)
		return err;
	batch.file = file;
	batch.ep = ep;
	batch.base = op->base;
	batch.len = op->len;
	kipc_deadline_init(&batch.deadline, op->deadline, op->flags & KIPC_REALTIME,
			   kipc_nonblock(file, op->flags), op->flags & KIPC_NORESTART);
	do {
		max = min(op->count - total, KIPC_BATCH);
		not_made = kipc_send_batch_make(&batch, op->msgs +
						total * sizeof(*batch.heads), max);
		total += kipc_send_batch_round(&batch, &err);
		err = err ?: not_made;
	} while (!err && total < op->count);
	return total ?: err;
}
