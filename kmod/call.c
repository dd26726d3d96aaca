// SPDX-License-Identifier: GPL-2.0-only
/* See call.h. */
#include <linux/mm.h>
#include <linux/poll.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "call.h"
#include "compat.h"
#include "endpoint.h"
#include "file.h"
#include "files.h"
#include "pins.h"
#include "trace.h"
#include "user.h"

#define KIPC_RPC_FLAGS (KIPC_NONBLOCK | KIPC_REALTIME | KIPC_NORESTART | KIPC_IDEMPOTENT |	\
			KIPC_ASYNC | KIPC_NEXT | KIPC_TRUNCATE | KIPC_NOFILES)

static struct workqueue_struct *kipc_workqueue;

/*
 * Synchronous calls that outlive their system call, of all users. Without any, nobody was
 * charged by force, and new ones need not look whether they are above a limit.
 */
static atomic_t kipc_interrupted = ATOMIC_INIT(0);

/* Replies */

static void kipc_reply_free(struct kipc_reply *reply)
{
	kipc_creds_put(&reply->creds);
	if (unlikely(reply->nfds) && reply->files)
		kipc_files_free(reply->files);
	kipc_body_free(&reply->body, KIPC_KIND_REPLY);
}

/* With @in_place the payload stands elsewhere */
static struct kipc_reply *kipc_reply_new(struct kipc_pool *pool, const struct kipc_segs *segs,
					 bool in_place)
{
	struct kipc_body *body = kipc_body_new(pool, KIPC_KIND_REPLY, in_place ? 0 : segs->total);
	struct kipc_reply *reply;

	if (!body)
		return ERR_PTR(-ENOMEM);
	if (!in_place && kipc_segs_read(segs, &body->buffer)) {
		kipc_body_free(body, KIPC_KIND_REPLY);
		return ERR_PTR(-EFAULT);
	}
	reply = container_of(body, struct kipc_reply, body);
	reply->size = segs->total;
	reply->full_size = segs->total;
	reply->creds.pid = NULL;
	reply->in_place = in_place;
	reply->nfds = 0;
	return reply;
}

/*
 * Like @reply, but for the payload, for which there is memory of @size bytes. It takes over
 * what @reply holds: credentials and files.
 */
static struct kipc_reply *kipc_reply_like(struct kipc_reply *reply, struct kipc_pool *pool,
					  size_t size)
{
	struct kipc_body *body = kipc_body_new(pool, KIPC_KIND_REPLY, size);
	struct kipc_reply *other;

	if (!body)
		return NULL;
	other = container_of(body, struct kipc_reply, body);
	other->creds = reply->creds;
	other->time = reply->time;
	other->type = reply->type;
	other->status = reply->status;
	other->size = size;
	other->full_size = reply->full_size;
	other->in_place = false;
	other->nfds = reply->nfds;
	other->files = reply->files;
	reply->creds.pid = NULL;
	reply->nfds = 0;
	return other;
}

/* The first @size bytes of @reply, in memory of that size; @reply is gone on success */
static struct kipc_reply *kipc_reply_cut(struct kipc_reply *reply, size_t size)
{
	struct kipc_reply *cut = kipc_reply_like(reply, reply->body.pool, size);

	if (!cut)
		return NULL;
	memcpy(cut->body.buffer.data, reply->body.buffer.data, size);
	kipc_body_free(&reply->body, KIPC_KIND_REPLY);
	return cut;
}

void kipc_call_destroy(struct kipc_call *call)
{
	if (call->reply)
		kipc_reply_free(call->reply);
	if (unlikely(kipc_window_is_open(&call->window)))
		kipc_window_end(&call->window);
	if (unlikely(call->files_account))
		kipc_account_put(call->files_account);
	if (!call->file)
		return;
	kipc_account_put(call->account);
	kipc_file_put(call->file);
	kipc_ep_put(call->ep);
}

/* Deliveries, under ep->lock */

static struct kipc_call *kipc_delivery_find(struct kipc_ep *ep, u64 token)
{
	struct rb_node *rb = ep->deliveries.rb_node;

	while (rb) {
		struct kipc_call *call = rb_entry(rb, struct kipc_call, delivery);

		if (call->token == token)
			return call;
		rb = call->token < token ? rb->rb_right : rb->rb_left;
	}
	return NULL;
}

static bool kipc_delivery_less(struct rb_node *a, const struct rb_node *b)
{
	return rb_entry(a, struct kipc_call, delivery)->token <
	       rb_entry(b, struct kipc_call, delivery)->token;
}

static void kipc_call_take(struct kipc_call *call, struct kipc_file *file)
{
	file->nr_taken++;
	call->taker = file;
	call->taker_files = current->files;
}

static void kipc_call_untake(struct kipc_call *call)
{
	call->taker->nr_taken--;
	call->taker = NULL;
}

void kipc_call_deliver(struct kipc_ep *ep, struct kipc_call *call, struct kipc_file *file)
{
	lockdep_assert_held(&ep->lock);
	if (RB_EMPTY_ROOT(&ep->deliveries))
		kipc_rb_add_only(&ep->deliveries, &call->delivery);
	else
		rb_add(&call->delivery, &ep->deliveries, kipc_delivery_less);
	hlist_add_head(&call->delivered, &ep->delivered);
	ep->calls++;
	kipc_call_take(call, file);
}

/* The delivery is over; the receiving side's reference is the caller's */
static void kipc_call_undeliver(struct kipc_ep *ep, struct kipc_call *call)
{
	if (kipc_rb_is_only(&ep->deliveries, &call->delivery))
		ep->deliveries = RB_ROOT;
	else
		rb_erase(&call->delivery, &ep->deliveries);
	if (call->msg.state == KIPC_MSG_DELIVERED) {
		__hlist_del(&call->delivered);
		ep->calls--;
	} else {
		list_del(&call->linger);
		ep->nr_lingering--;
	}
	kipc_call_untake(call);
}

noinline void kipc_call_linger(struct kipc_ep *ep, struct kipc_call *call,
			       struct kipc_after *after)
{
	lockdep_assert_held(&ep->lock);
	__hlist_del(&call->delivered);
	ep->calls--;
	list_add_tail(&call->linger, &ep->lingering);
	kipc_after_spend(after, &call->msg);
	if (++ep->nr_lingering <= KIPC_LINGER_MAX)
		return;
	call = list_first_entry(&ep->lingering, struct kipc_call, linger);
	kipc_call_undeliver(ep, call);
	kipc_after_put(after, &call->msg);
}

noinline void kipc_call_break(struct kipc_ep *ep, struct kipc_call *call,
			      struct kipc_after *after)
{
	struct kipc_msg *msg = &call->msg;
	bool live = msg->state == KIPC_MSG_DELIVERED;

	lockdep_assert_held(&ep->lock);
	kipc_call_undeliver(ep, call);
	if (live && call->idempotent && !ep->dead && msg->deliveries <= KIPC_REDELIVER_MAX) {
		call->broken = true;
		kipc_requeue(ep, msg, after);
		return;
	}
	if (live) {
		trace_kipc_drop(ep, msg);
		msg->state = KIPC_MSG_BROKEN;
		kipc_done(ep, msg, -ECONNRESET, after);
		kipc_settle(ep, msg, after);
	}
	kipc_after_put(after, msg);
}

/* The first delivery with a token of at least @token, or NULL */
static struct kipc_call *kipc_delivery_from(struct kipc_ep *ep, u64 token)
{
	struct rb_node *rb = ep->deliveries.rb_node;
	struct kipc_call *found = NULL;

	while (rb) {
		struct kipc_call *call = rb_entry(rb, struct kipc_call, delivery);

		if (call->token < token) {
			rb = rb->rb_right;
		} else {
			found = call;
			rb = rb->rb_left;
		}
	}
	return found;
}

/*
 * Break what was taken through @file: by those with table @files, or all. Goes through the
 * deliveries by token, which others that do the same do not disturb.
 */
static void kipc_calls_break_of(struct kipc_file *file, const void *files)
{
	struct kipc_ep *ep = file->ep;
	struct kipc_after after __uninitialized;
	struct kipc_call *call;
	unsigned int i;
	u64 token = 1;

	do {
		kipc_lock(ep, &after);
		for (i = 0; i < KIPC_BATCH; i++) {
			call = file->nr_taken ? kipc_delivery_from(ep, token) : NULL;
			if (!call)
				break;
			token = call->token + 1;
			if (call->taker == file && (!files || call->taker_files == files))
				kipc_call_break(ep, call, &after);
		}
		kipc_unlock(ep, &after);
		cond_resched();
	} while (call && token);
}

void kipc_calls_break(struct kipc_file *file)
{
	kipc_calls_break_of(file, NULL);
}

void kipc_calls_let_go(struct kipc_file *file, const void *files)
{
	kipc_calls_break_of(file, files);
}

/* Calls that outlive their system call */

static struct kipc_call *kipc_table_find(struct kipc_file *file, u64 token)
{
	struct rb_node *rb = file->calls.rb_node;

	lockdep_assert_held(&file->lock);
	while (rb) {
		struct kipc_call *call = rb_entry(rb, struct kipc_call, file_node);

		if (call->caller_token == token)
			return call;
		rb = call->caller_token < token ? rb->rb_right : rb->rb_left;
	}
	return NULL;
}

static bool kipc_table_less(struct rb_node *a, const struct rb_node *b)
{
	return rb_entry(a, struct kipc_call, file_node)->caller_token <
	       rb_entry(b, struct kipc_call, file_node)->caller_token;
}

/*
 * From now on @call is in the table of @file, which takes over the sending side's
 * reference, and @account, whose reference it takes over too, is charged for it.
 * The caller has grabbed it. Under ep->lock.
 */
static void kipc_call_outlive(struct kipc_ep *ep, struct kipc_call *call, struct kipc_file *file,
			      struct kipc_account *account)
{
	lockdep_assert_held(&ep->lock);
	call->account = account;
	call->file = kipc_file_get(file);
	kipc_ep_get(ep);
	spin_lock(&file->lock);
	if (!file->next_token)
		file->next_token++;
	call->caller_token = file->next_token++;
	rb_add(&call->file_node, &file->calls, kipc_table_less);
	file->nr_calls++;
	file->nr_async += call->async;
	call->listed = true;
	call->busy = true;
	spin_unlock(&file->lock);
}

static noinline void kipc_async_finished(struct kipc_call *call, struct kipc_after *after)
{
	struct kipc_file *file = call->file;
	bool tell;

	spin_lock(&file->lock);
	call->ended = true;
	tell = call->listed && !call->busy;
	if (tell)
		list_add_tail(&call->finished, &file->finished);
	spin_unlock(&file->lock);
	if (tell)
		kipc_after_finished(after, file);
}

void kipc_call_finished(struct kipc_call *call, struct kipc_after *after)
{
	if (call->async && call->file)
		kipc_async_finished(call, after);
}

/* Take a call for waiting or collecting, with a reference: -ENOENT, -EBUSY */
static struct kipc_call *kipc_call_grab(struct kipc_file *file, u64 token)
{
	struct kipc_call *call;

	spin_lock(&file->lock);
	call = kipc_table_find(file, token);
	if (!call) {
		call = ERR_PTR(-ENOENT);
	} else if (call->busy) {
		call = ERR_PTR(-EBUSY);
	} else {
		call->busy = true;
		list_del_init(&call->finished);
		refcount_inc(&call->msg.ref);
	}
	spin_unlock(&file->lock);
	return call;
}

/* The oldest finished call, or -EAGAIN, or -ENOENT if there is none to come */
static struct kipc_call *kipc_call_grab_next(struct kipc_file *file)
{
	struct kipc_call *call;

	spin_lock(&file->lock);
	call = list_first_entry_or_null(&file->finished, struct kipc_call, finished);
	if (call) {
		call->busy = true;
		list_del_init(&call->finished);
		refcount_inc(&call->msg.ref);
	} else {
		call = ERR_PTR(file->nr_async ? -EAGAIN : -ENOENT);
	}
	spin_unlock(&file->lock);
	return call;
}

/*
 * Out of the table for good, with the charge and the timer. Who grabbed it retires
 * it. True: CANCEL came by meanwhile, and was told that it had come in time.
 */
static bool kipc_call_retire(struct kipc_call *call)
{
	struct kipc_file *file = call->file;
	bool last, cancelled;

	spin_lock(&file->lock);
	rb_erase(&call->file_node, &file->calls);
	list_del_init(&call->finished);
	call->listed = false;
	cancelled = call->cancelled;
	file->nr_calls--;
	file->nr_async -= call->async;
	last = !file->nr_async;
	spin_unlock(&file->lock);
	if (last)
		wake_up(&file->next_wait);
	/* A timer that has fired leaves its reference to the work it queued */
	if (call->timed && hrtimer_cancel(&call->timer))
		kipc_msg_put(&call->msg);
	kipc_account_uncharge(call->account, KIPC_CHARGE_CALLS, 1);
	kipc_account_uncharge(call->account, KIPC_CHARGE_REPLY_ROOM, call->room);
	if (!call->async)
		atomic_dec(&kipc_interrupted);
	kipc_msg_put(&call->msg);	/* the table's reference */
	return cancelled;
}

/* Back into the table, not collected after all; unless CANCEL came by meanwhile */
static void kipc_call_ungrab(struct kipc_call *call)
{
	struct kipc_file *file = call->file;
	bool tell, cancelled;

	spin_lock(&file->lock);
	cancelled = call->cancelled;
	call->busy = cancelled;
	tell = call->ended && !cancelled;
	if (tell)
		list_add(&call->finished, &file->finished);
	spin_unlock(&file->lock);
	if (tell) {
		wake_up(&file->next_wait);
		wake_up_poll(&file->call_wait, EPOLLPRI);
	}
	if (cancelled)
		kipc_call_retire(call);
	kipc_msg_put(&call->msg);
}

/* Give up an outliving call that the caller has grabbed; was it delivered? */
static bool kipc_call_abandon(struct kipc_call *call, int error)
{
	struct kipc_ep *ep = call->ep;
	struct kipc_after after __uninitialized;
	bool delivered;

	kipc_lock(ep, &after);
	delivered = call->msg.deliveries;
	if (!call->msg.done)
		kipc_giveup(ep, &call->msg, error, &after);
	kipc_unlock(ep, &after);
	return delivered;
}

void kipc_calls_cancel(struct kipc_file *file)
{
	struct kipc_call *call;
	struct rb_node *rb;

	for (;;) {
		spin_lock(&file->lock);
		rb = rb_first(&file->calls);
		call = rb ? rb_entry(rb, struct kipc_call, file_node) : NULL;
		if (call) {
			call->busy = true;
			refcount_inc(&call->msg.ref);
		}
		spin_unlock(&file->lock);
		if (!call)
			break;
		kipc_call_abandon(call, -ECANCELED);
		kipc_call_retire(call);
		kipc_msg_put(&call->msg);
		cond_resched();
	}
}

/* The deadline of an ASYNC call: the timer may not take ep->lock, the work may */

static void kipc_call_expire(struct work_struct *work)
{
	struct kipc_call *call = container_of(work, struct kipc_call, expire);

	kipc_call_abandon(call, -ETIMEDOUT);
	kipc_msg_put(&call->msg);
}

static enum hrtimer_restart kipc_call_timer(struct hrtimer *timer)
{
	struct kipc_call *call = container_of(timer, struct kipc_call, timer);

	queue_work(kipc_workqueue, &call->expire);
	return HRTIMER_NORESTART;
}

static void kipc_call_start_timer(struct kipc_call *call, const struct kipc_deadline *deadline)
{
	INIT_WORK(&call->expire, kipc_call_expire);
	hrtimer_setup(&call->timer, kipc_call_timer, deadline->clock, HRTIMER_MODE_ABS);
	call->timed = true;
	refcount_inc(&call->msg.ref);
	hrtimer_start(&call->timer, deadline->at, HRTIMER_MODE_ABS);
}

/* RPC */

/**
 * struct kipc_rpc - an RPC under way
 * @op: what the caller asked for
 * @uop: where op->token is stored
 * @request: segments of the request
 * @reply: room for the reply
 * @deadline: until when it may wait
 * @result: to be told
 * @fds: descriptors of the reply's files, until it is known whether they are received
 */
struct kipc_rpc {
	const struct kipc_op_rpc *op;
	struct kipc_op_rpc __user *uop;
	struct kipc_segs request;
	struct kipc_segs reply;
	struct kipc_deadline deadline;
	struct kipc_result result;
	struct kipc_fds fds;
};

static int kipc_rpc_check(const struct kipc_op_rpc *op)
{
	bool fresh = !op->token && !(op->flags & KIPC_NEXT);

	if ((op->flags & ~KIPC_RPC_FLAGS) | op->pad | op->reserved[0] | op->reserved[1])
		return -EINVAL;
	if (op->flags & KIPC_NEXT && (op->token || op->endpoint))
		return -EINVAL;
	if (!fresh)
		return op->flags & KIPC_ASYNC ? -EINVAL : 0;
	if (op->prio > KIPC_PRIO_MAX)
		return -EINVAL;
	if (!(op->flags & KIPC_ASYNC))
		return op->reply_room ? -EINVAL : 0;
	if (op->reply.base || op->reply.len || op->reply.iovcnt || op->reply.nfds)
		return -EINVAL;
	return 0;
}

static int kipc_rpc_tell(struct kipc_rpc *rpc)
{
	u64 result = rpc->op->result;

	if (result && copy_to_user(u64_to_user_ptr(result), &rpc->result, sizeof(rpc->result)))
		return -EFAULT;
	return 0;
}

/* What is known of a call before and after it is done */
static void kipc_rpc_describe(struct kipc_rpc *rpc, const struct kipc_call *call, u64 token)
{
	struct kipc_result *result = &rpc->result;
	u32 deliveries;

	if (!rpc->op->result)
		return;
	/* Without the lock: what it is a moment later is not known anyhow */
	deliveries = data_race(READ_ONCE(call->msg.deliveries));
	*result = (struct kipc_result){
		.token = token,
		.cookie = call->cookie,
		.deliveries = deliveries,
		.flags = deliveries ? KIPC_RESULT_DELIVERED : 0,
		.uid = KIPC_ID_UNMAPPED,
		.gid = KIPC_ID_UNMAPPED,
	};
}

static void kipc_rpc_describe_reply(struct kipc_rpc *rpc, const struct kipc_call *call)
{
	const struct kipc_reply *reply = call->reply;
	int error = call->msg.error;
	struct kipc_result *result = &rpc->result;

	if (!rpc->op->result)
		return;
	result->type = reply->type;
	result->size = reply->full_size;
	/* What is too much to be received; kipc_rpc_files() knows better what is */
	result->nfds = reply->nfds;
	if (call->described) {
		result->time = kipc_time_to_user(reply->time);
		kipc_creds_tell(&reply->creds, result);
	}
	if (reply->status && !error)
		result->flags |= KIPC_RESULT_REMOTE;
}

static int kipc_reply_write(const struct kipc_segs *segs, const struct kipc_reply *reply,
			    size_t size)
{
	/* It is where it belongs, already? */
	return reply->in_place ? 0 : kipc_segs_write(segs, &reply->body.buffer, size);
}

/* Descriptors of a reply's files: 0, or what kipc_rpc_fate() returns */
static noinline int kipc_rpc_files(struct kipc_rpc *rpc, const struct kipc_reply *reply)
{
	u32 room = min_t(u32, reply->nfds, rpc->op->reply.nfds), flags = 0;
	int err;

	if (!reply->files || rpc->op->flags & KIPC_NOFILES)
		room = 0;
	else if (room < reply->nfds && !(rpc->op->flags & KIPC_TRUNCATE))
		return -EMSGSIZE;
	if (room < reply->nfds)
		flags = KIPC_RESULT_FILES_DROPPED;
	err = room ? kipc_fds_reserve(&rpc->fds, reply->files, room, rpc->op->reply.fds) : 0;
	if (!err && rpc->op->result) {
		rpc->result.nfds = room;
		rpc->result.flags |= flags;
	}
	return err;
}

/*
 * The fate of a call that is done. 0: told; -EFAULT, -EMFILE, -EMSGSIZE: not, it can be
 * asked again
 */
static int kipc_rpc_fate(struct kipc_rpc *rpc, struct kipc_call *call, long *fate)
{
	const struct kipc_reply *reply = call->reply;
	int error = call->msg.error;
	size_t size;

	kipc_rpc_describe(rpc, call, 0);
	*fate = error;
	if (!reply)
		return kipc_rpc_tell(rpc);
	kipc_rpc_describe_reply(rpc, call);
	size = min_t(u64, reply->size, rpc->reply.total);
	if (size < reply->size && !(rpc->op->flags & KIPC_TRUNCATE))
		return -EMSGSIZE;
	if (size < reply->full_size && !error && rpc->op->result)
		rpc->result.flags |= KIPC_RESULT_TRUNCATED;
	if (kipc_reply_write(&rpc->reply, reply, size))
		return -EFAULT;
	if (unlikely(reply->nfds) && !error) {
		int err = kipc_rpc_files(rpc, reply);

		if (err)
			return err;
	}
	if (kipc_rpc_tell(rpc)) {
		kipc_fds_end(&rpc->fds, false);
		return -EFAULT;
	}
	if (!error)
		*fate = reply->status ? -reply->status : (long)size;
	return 0;
}

/* Who pays for a call that outlives its system call. The opener, if memory is short. */
static struct kipc_account *kipc_rpc_account(struct kipc_file *file)
{
	struct kipc_account *account = kipc_account_current_cached(file->account);

	return IS_ERR(account) ? kipc_account_get(file->account) : account;
}

static int kipc_account_over(struct kipc_account *account)
{
	return kipc_account_check(account, KIPC_CHARGE_CALLS) ?:
	       kipc_account_check(account, KIPC_CHARGE_REPLY_ROOM);
}

/* A user who holds more interrupted calls, or room for them, than allowed makes no new ones */
static int kipc_rpc_quota(struct kipc_file *file)
{
	struct kipc_account *account;
	int err;

	if (!atomic_read(&kipc_interrupted))
		return 0;
	if (kipc_account_is_current(file->account))
		return kipc_account_over(file->account);
	account = kipc_account_current();
	if (IS_ERR(account))
		return PTR_ERR(account);
	err = kipc_account_over(account);
	kipc_account_put(account);
	return err;
}

/* A call whose token cannot be told: nobody could collect it. The references are ours. */
static void kipc_rpc_untold(struct kipc_rpc *rpc, struct kipc_call *call)
{
	kipc_call_abandon(call, -ECANCELED);
	kipc_rpc_describe(rpc, call, 0);
	kipc_rpc_tell(rpc);
	kipc_call_retire(call);
	kipc_msg_put(&call->msg);
}

/*
 * A synchronous call of ours has to outlive this system call. With the caller's
 * reference it moved to the file's table; by its token, which is stored here, the
 * wait is resumed.
 */
static noinline long kipc_rpc_outlived(struct kipc_rpc *rpc, struct kipc_call *call, long err)
{
	if (put_user(call->caller_token, &rpc->uop->token)) {
		refcount_inc(&call->msg.ref);
		kipc_rpc_untold(rpc, call);
		return -EFAULT;
	}
	kipc_rpc_describe(rpc, call, call->caller_token);
	kipc_rpc_tell(rpc);
	refcount_inc(&call->msg.ref);
	kipc_call_ungrab(call);
	return err;
}

static void kipc_rpc_keep(struct kipc_ep *ep, struct kipc_call *call, struct kipc_file *file,
			  struct kipc_account *account)
{
	atomic_inc(&kipc_interrupted);
	kipc_account_force(account, KIPC_CHARGE_CALLS, 1);
	kipc_account_force(account, KIPC_CHARGE_REPLY_ROOM, call->room);
	kipc_call_outlive(ep, call, file, account);
}

/*
 * The buffer of a caller is pinned if the last reply through its file was large: that
 * costs more than it saves if the room is large and the reply is not.
 */
static bool kipc_rpc_wants_window(const struct kipc_rpc *rpc, const struct kipc_file *file,
				  const struct kipc_call *call)
{
	return kipc_pin_wanted(call->room) && rpc->reply.nr == 1 &&
	       READ_ONCE(file->large_replies);
}

/* Our call is done: nobody writes into our buffer any more. What is to be freed. */
static noinline struct kipc_pins *kipc_rpc_close(struct kipc_file *file, struct kipc_call *call)
{
	bool large = call->reply && kipc_pin_wanted(call->reply->full_size);

	if (READ_ONCE(file->large_replies) != large)
		WRITE_ONCE(file->large_replies, large);
	return kipc_window_close(&call->window);
}

/*
 * The reply stands in our buffer, and cannot be told: whoever collects it shall find it,
 * whatever has become of that buffer by then. Without memory it is lost, and that is told.
 */
static noinline void kipc_rpc_save_reply(struct kipc_file *file, struct kipc_call *call,
					 const struct kipc_pins *pins)
{
	struct kipc_reply *reply = call->reply;

	call->reply = kipc_reply_like(reply, file->pool, reply->size);
	if (call->reply)
		kipc_pins_read(pins, call->reply->body.buffer.data, reply->size);
	else
		call->msg.error = -ENOMEM;
	kipc_reply_free(reply);
}

/* Our call is done: tell, and end it */
static long kipc_rpc_finish(struct kipc_rpc *rpc, struct kipc_file *file, struct kipc_ep *ep,
			    struct kipc_call *call)
{
	struct kipc_account *account;
	struct kipc_after after __uninitialized;
	struct kipc_pins *pins = NULL;
	long fate;
	int err;

	kipc_msg_unpin(&call->msg);
	if (unlikely(kipc_pin_wanted(call->room) || kipc_window_is_open(&call->window)))
		pins = kipc_rpc_close(file, call);
	err = kipc_rpc_fate(rpc, call, &fate);
	if (unlikely(pins)) {
		if (err && call->reply && call->reply->in_place)
			kipc_rpc_save_reply(file, call, pins);
		kipc_pins_free(pins);
	}
	if (!err) {
		kipc_fds_end(&rpc->fds, true);
		kipc_msg_put(&call->msg);
		return fate;
	}
	account = kipc_rpc_account(file);
	kipc_lock(ep, &after);
	kipc_rpc_keep(ep, call, file, account);
	kipc_unlock(ep, &after);
	return kipc_rpc_outlived(rpc, call, err);
}

/* The wait ended before the call */
static noinline long kipc_rpc_interrupted(struct kipc_rpc *rpc, struct kipc_file *file,
					  struct kipc_ep *ep, struct kipc_call *call, int err)
{
	struct kipc_account *account = err == -EINTR ? kipc_rpc_account(file) : NULL;
	struct kipc_msg *msg = &call->msg;
	struct kipc_after after __uninitialized;
	struct kipc_pins *pins = NULL;
	bool outlives, done;

	kipc_lock(ep, &after);
	done = msg->done;
	/* A reply made from now on is not in our buffer */
	if (!done)
		pins = kipc_window_close(&call->window);
	/*
	 * Who was given it, now or before it was redelivered, may have acted on it. Who
	 * still copies it from our own pages is not given it after all.
	 */
	outlives = !done && err == -EINTR && !fatal_signal_pending(current) &&
		   (msg->deliveries || !(kipc_msg_queued(msg) || msg->pinned));
	if (outlives) {
		msg->waiter = NULL;
		msg->waiting = false;
		kipc_share_unwait(ep, msg->share);
		kipc_rpc_keep(ep, call, file, account);
	} else if (!done) {
		if (err == -ETIMEDOUT && kipc_msg_queued(msg))
			ep->refused++;
		kipc_giveup(ep, msg, err, &after);
	}
	kipc_unlock(ep, &after);
	if (pins)
		kipc_pins_free(pins);
	if (!outlives)
		kipc_account_put(account);
	if (err == -EINTR)
		err = kipc_deadline_interrupted(&rpc->deadline);
	if (outlives)
		return kipc_rpc_outlived(rpc, call, err);
	if (done)
		return kipc_rpc_finish(rpc, file, ep, call);
	kipc_msg_unpin(msg);
	kipc_rpc_describe(rpc, call, 0);
	kipc_rpc_tell(rpc);
	kipc_msg_put(msg);
	return err;
}

/* Under ep->lock with the caller's share: may the call be made? */
static int kipc_rpc_allowed(struct kipc_file *file, struct kipc_ep *ep, const struct kipc_msg *msg)
{
	int err = file->ep ? 0 : kipc_ep_permission(ep, KIPC_MAY_SEND);

	if (!err && msg->size > ep->max_size)
		err = -EMSGSIZE;
	return err;
}

static long kipc_rpc_sync(struct kipc_rpc *rpc, struct kipc_file *file, struct kipc_ep *ep,
			  struct kipc_call *call)
{
	struct kipc_share *share;
	struct kipc_after after __uninitialized;
	int err;

	/* Without the right to sleep nobody can have answered */
	err = rpc->deadline.never_sleep ? -EAGAIN : kipc_rpc_quota(file);
	if (!err && kipc_file_deadlock(file, ep))
		err = -EDEADLK;
	if (err)
		goto put;
	if (!file->ep)
		call->msg.cred = kipc_cred_get(current_cred());
	if (unlikely(kipc_rpc_wants_window(rpc, file, call)))
		kipc_window_open(&call->window,
				 kipc_pins_new(rpc->reply.seg->base, call->room, true));
	err = kipc_lock_share(ep, file, &after, &share);
	if (!err)
		err = kipc_rpc_allowed(file, ep, &call->msg);
	if (!err)
		err = kipc_post(ep, &call->msg, file, share, false, &after);
	if (err)
		kipc_share_put(ep, share, &after);
	kipc_unlock(ep, &after);
	if (err)
		goto put;
	err = kipc_wait_done(&call->msg, &rpc->deadline);
	if (err)
		return kipc_rpc_interrupted(rpc, file, ep, call, err);
	return kipc_rpc_finish(rpc, file, ep, call);
put:
	kipc_rpc_describe(rpc, call, 0);
	kipc_rpc_tell(rpc);
	kipc_msg_put(&call->msg);
	return err;
}

/* Post an ASYNC call that is charged; the table takes over @account */
static int kipc_rpc_post(struct kipc_file *file, struct kipc_ep *ep, struct kipc_call *call,
			 struct kipc_account *account)
{
	struct kipc_share *share;
	struct kipc_after after __uninitialized;
	int err;

	err = kipc_lock_share(ep, file, &after, &share);
	if (!err)
		err = kipc_rpc_allowed(file, ep, &call->msg);
	if (!err)
		err = kipc_post(ep, &call->msg, file, share, true, &after);
	if (err) {
		kipc_share_put(ep, share, &after);
	} else {
		/* Two references: ours while it is busy, and the table's */
		refcount_add(2, &call->msg.ref);
		kipc_call_outlive(ep, call, file, account);
	}
	kipc_unlock(ep, &after);
	return err;
}

static noinline long kipc_rpc_start(struct kipc_rpc *rpc, struct kipc_file *file,
				    struct kipc_ep *ep, struct kipc_call *call)
{
	struct kipc_account *account = kipc_account_current_cached(file->account);
	int err;

	if (IS_ERR(account)) {
		err = PTR_ERR(account);
		goto put_call;
	}
	err = kipc_account_charge(account, KIPC_CHARGE_CALLS, 1);
	if (err)
		goto put_account;
	err = kipc_account_charge(account, KIPC_CHARGE_REPLY_ROOM, call->room);
	if (err)
		goto uncharge_call;
	err = kipc_rpc_post(file, ep, call, account);
	if (err)
		goto uncharge_room;

	kipc_rpc_describe(rpc, call, call->caller_token);
	if (kipc_rpc_tell(rpc) || put_user(call->caller_token, &rpc->uop->token)) {
		kipc_rpc_untold(rpc, call);
		return -EFAULT;
	}
	if (rpc->op->deadline && rpc->deadline.finite)
		kipc_call_start_timer(call, &rpc->deadline);
	kipc_call_ungrab(call);
	return 0;

uncharge_room:
	kipc_account_uncharge(account, KIPC_CHARGE_REPLY_ROOM, call->room);
uncharge_call:
	kipc_account_uncharge(account, KIPC_CHARGE_CALLS, 1);
put_account:
	kipc_account_put(account);
put_call:
	kipc_rpc_describe(rpc, call, 0);
	kipc_rpc_tell(rpc);
	kipc_msg_put(&call->msg);
	return err;
}

/* What @op has no room for at all need not be kept until it is collected */
static u8 kipc_rpc_file_room(const struct kipc_op_rpc *op)
{
	if (op->flags & (KIPC_ASYNC | KIPC_NOFILES) ||
	    (op->flags & KIPC_TRUNCATE && !op->reply.nfds))
		return KIPC_FILES_UNWANTED;
	return op->reply.nfds;
}

/* A user who has too many files on their way, however it came to them, asks for no more */
static noinline int kipc_call_want_files(struct kipc_call *call, struct kipc_file *file)
{
	struct kipc_account *account = kipc_account_current_cached(file->account);

	if (IS_ERR(account))
		return PTR_ERR(account);
	call->files_account = account;
	return kipc_account_check(account, KIPC_CHARGE_FILES);
}

static struct kipc_call *kipc_call_new(const struct kipc_rpc *rpc, struct kipc_file *file,
				       struct kipc_ep *ep)
{
	const struct kipc_op_rpc *op = rpc->op;
	struct kipc_call *call;
	struct kipc_msg *msg;
	int err;

	/* Who may not call learns nothing else of the endpoint */
	err = file->ep ? 0 : kipc_ep_check(ep, KIPC_MAY_SEND);
	if (err)
		return ERR_PTR(err);
	if (rpc->request.total > READ_ONCE(ep->max_size))
		return ERR_PTR(-EMSGSIZE);
	if (ep->flags & KIPC_ENDPOINT_ONEWAY)
		return ERR_PTR(-EOPNOTSUPP);
	msg = kipc_msg_new(file->pool, &rpc->request, op->type, op->prio, KIPC_KIND_CALL,
			   !(op->flags & (KIPC_ASYNC | KIPC_IDEMPOTENT)), ktime_get());
	if (IS_ERR(msg))
		return ERR_CAST(msg);
	msg->badge = file->badge;
	call = to_call(msg);
	call->flags = 0;
	call->taker = NULL;
	call->reply = NULL;
	call->window.pins = NULL;
	call->file = NULL;
	call->files_account = NULL;
	call->ep = ep;
	call->cookie = op->cookie;
	call->async = op->flags & KIPC_ASYNC;
	/* No reply is larger than max_size, whatever room there is for it */
	call->room = min_t(u64, call->async ? op->reply_room : rpc->reply.total,
			   READ_ONCE(ep->max_size));
	call->file_room = kipc_rpc_file_room(op);
	call->idempotent = op->flags & KIPC_IDEMPOTENT;
	call->described = op->result || call->async;
	call->truncate = op->flags & KIPC_TRUNCATE;
	INIT_LIST_HEAD(&call->finished);
	if (unlikely(op->reply.nfds) && call->file_room != KIPC_FILES_UNWANTED)
		err = kipc_call_want_files(call, file);
	if (unlikely(op->request.nfds) && !err)
		err = kipc_msg_attach(msg, file, ep, &op->request);
	if (unlikely(err)) {
		kipc_msg_put(msg);
		return ERR_PTR(err);
	}
	return call;
}

static long kipc_rpc_new(struct kipc_rpc *rpc, struct kipc_file *file, struct kipc_ep *ep)
{
	struct kipc_call *call;
	long err;

	err = kipc_segs_import(&rpc->request, &rpc->op->request);
	if (err)
		return err;
	call = kipc_call_new(rpc, file, ep);
	kipc_segs_free(&rpc->request);
	if (!IS_ERR(call)) {
		if (call->async)
			return kipc_rpc_start(rpc, file, ep, call);
		return kipc_rpc_sync(rpc, file, ep, call);
	}
	memset(&rpc->result, 0, sizeof(rpc->result));
	rpc->result.cookie = rpc->op->cookie;
	kipc_rpc_tell(rpc);
	return PTR_ERR(call);
}

/* Wait for a call we grabbed: 0 when done */
static int kipc_collect_wait(struct kipc_rpc *rpc, struct kipc_call *call)
{
	struct kipc_msg *msg = &call->msg;
	struct kipc_ep *ep = call->ep;
	struct kipc_after after __uninitialized;
	int err = 0;

	kipc_lock(ep, &after);
	if (!msg->done && rpc->deadline.never_sleep)
		err = -EAGAIN;
	else if (!msg->done)
		msg->waiter = current;
	kipc_unlock(ep, &after);
	if (err)
		return err;
	err = kipc_wait_done(msg, &rpc->deadline);
	if (!err)
		return 0;
	kipc_lock(ep, &after);
	msg->waiter = NULL;
	if (!msg->done && err != -EINTR && !call->async)
		kipc_giveup(ep, msg, err, &after);
	if (msg->done)
		err = 0;
	kipc_unlock(ep, &after);
	if (err == -EINTR)
		return kipc_deadline_interrupted(&rpc->deadline);
	/* The wait is over, not the call */
	return err == -ETIMEDOUT ? -EAGAIN : err;
}

static struct kipc_call *kipc_collect_next(struct kipc_rpc *rpc, struct kipc_file *file)
{
	struct kipc_call *call;
	DEFINE_WAIT(wait);
	int err = 0;

	for (;;) {
		if (!rpc->deadline.never_sleep)
			prepare_to_wait(&file->next_wait, &wait, TASK_INTERRUPTIBLE);
		call = kipc_call_grab_next(file);
		if (call != ERR_PTR(-EAGAIN) || rpc->deadline.never_sleep)
			break;
		err = kipc_deadline_sleep(&rpc->deadline);
		if (err)
			break;
	}
	finish_wait(&file->next_wait, &wait);
	kipc_deadline_end(&rpc->deadline);
	if (err == -EINTR && call == ERR_PTR(-EAGAIN))
		return ERR_PTR(kipc_deadline_interrupted(&rpc->deadline));
	return call;
}

static noinline long kipc_rpc_collect(struct kipc_rpc *rpc, struct kipc_file *file)
{
	struct kipc_call *call;
	bool cancelled;
	long fate;
	int err;

	if (rpc->op->flags & KIPC_NEXT)
		call = kipc_collect_next(rpc, file);
	else
		call = kipc_call_grab(file, rpc->op->token);
	if (IS_ERR(call)) {
		memset(&rpc->result, 0, sizeof(rpc->result));
		if (call == ERR_PTR(-EBUSY))
			rpc->result.token = rpc->op->token;
		kipc_rpc_tell(rpc);
		return PTR_ERR(call);
	}
	err = kipc_collect_wait(rpc, call);
	if (err)
		kipc_rpc_describe(rpc, call, call->caller_token);
	else
		err = kipc_rpc_fate(rpc, call, &fate);
	if (err) {
		rpc->result.token = call->caller_token;
		kipc_rpc_tell(rpc);
		kipc_call_ungrab(call);
		return err;
	}
	cancelled = kipc_call_retire(call);
	kipc_fds_end(&rpc->fds, !cancelled);
	if (cancelled) {
		fate = -ECANCELED;
		kipc_rpc_describe(rpc, call, 0);
		kipc_rpc_tell(rpc);
	}
	kipc_msg_put(&call->msg);
	return fate;
}

long kipc_rpc(struct kipc_file *file, struct kipc_ep *ep, struct kipc_op_rpc *op,
	      struct kipc_op_rpc __user *uop)
{
	bool nonblock = op->flags & KIPC_NONBLOCK || (file->filp->f_flags & O_NONBLOCK);
	struct kipc_rpc rpc __uninitialized;
	long ret;

	rpc.op = op;
	rpc.uop = uop;
	rpc.fds.nr = 0;
	ret = kipc_rpc_check(op);
	if (ret)
		return ret;
	ret = kipc_segs_import(&rpc.reply, &op->reply);
	if (ret)
		return ret;
	kipc_deadline_init(&rpc.deadline, op->deadline, op->flags & KIPC_REALTIME, nonblock,
			   op->flags & KIPC_NORESTART);
	if (op->token || op->flags & KIPC_NEXT)
		ret = kipc_rpc_collect(&rpc, file);
	else
		ret = kipc_rpc_new(&rpc, file, ep);
	kipc_segs_free(&rpc.reply);
	return ret;
}

/* REPLY */

/* It does not go into the caller's window any more */
static void kipc_answer_leave(struct kipc_answer *answer)
{
	if (likely(!answer->into))
		return;
	kipc_window_leave(&answer->into->window);
	kipc_msg_put(&answer->into->msg);
	answer->into = NULL;
}

static struct kipc_call *kipc_answer_enter(const struct kipc_answer *answer, size_t size)
{
	struct kipc_ep *ep = answer->file->ep;
	struct kipc_after after __uninitialized;
	struct kipc_call *call;

	kipc_lock(ep, &after);
	call = kipc_delivery_find(ep, answer->token);
	if (call && call->msg.state == KIPC_MSG_DELIVERED &&
	    kipc_window_enter(&call->window, size))
		refcount_inc(&call->msg.ref);
	else
		call = NULL;
	kipc_unlock(ep, &after);
	return call;
}

/* Write the payload into the caller's window, if that is open: -EFAULT, -EINTR */
static noinline int kipc_answer_write(struct kipc_answer *answer, const struct kipc_segs *segs)
{
	size_t at = 0;
	unsigned int i;
	int err = 0;

	answer->into = kipc_answer_enter(answer, segs->total);
	if (!answer->into)
		return 0;
	for (i = 0; i < segs->nr && !err; i++) {
		err = kipc_window_write(&answer->into->window, at, segs->seg[i].base,
					segs->seg[i].len);
		at += segs->seg[i].len;
	}
	if (err)
		kipc_answer_leave(answer);
	/* Who has left its wait needs the reply in kernel memory, if at all */
	return err == -ESTALE ? 0 : err;
}

/* What goes to the caller */
static int kipc_answer_reply(struct kipc_answer *answer, const struct kipc_segs *segs,
			     u64 type, int status)
{
	struct kipc_reply *reply = kipc_reply_new(answer->file->pool, segs, answer->into);

	int err = PTR_ERR_OR_ZERO(reply);

	if (err) {
		kipc_answer_leave(answer);
		return err;
	}
	reply->type = type;
	reply->status = status;
	answer->reply = reply;
	return 0;
}

static noinline int kipc_answer_attach(struct kipc_answer *answer)
{
	struct kipc_files *files = kipc_files_new(answer->file, answer->payload);
	int err = PTR_ERR_OR_ZERO(files);

	if (err) {
		kipc_answer_end(answer);
		return err;
	}
	answer->reply->files = files;
	answer->reply->nfds = files->nr;
	return 0;
}

int kipc_answer_prepare(struct kipc_answer *answer, struct kipc_file *file, u64 token, int status,
			u64 type, const struct kipc_payload *payload)
{
	struct kipc_segs segs __uninitialized;
	int err;

	if (status < 0 || status > KIPC_STATUS_MAX)
		return -EINVAL;
	err = kipc_segs_import(&segs, payload);
	if (err)
		return err;
	answer->token = token;
	answer->file = file;
	answer->payload = payload;
	answer->into = NULL;
	if (segs.total > READ_ONCE(file->ep->max_size))
		err = -EMSGSIZE;
	else if (unlikely(kipc_pin_wanted(segs.total)))
		err = kipc_answer_write(answer, &segs);
	if (!err)
		err = kipc_answer_reply(answer, &segs, type, status);
	kipc_segs_free(&segs);
	if (unlikely(payload->nfds) && !err)
		err = kipc_answer_attach(answer);
	return err;
}

void kipc_answer_end(struct kipc_answer *answer)
{
	kipc_answer_leave(answer);
	if (answer->reply)
		kipc_reply_free(answer->reply);
	answer->reply = NULL;
}

/* The reply as the caller can take it: false if it must be cut to @answer->room first */
static bool kipc_answer_fits(struct kipc_answer *answer, const struct kipc_call *call)
{
	answer->room = call->truncate ? call->room : 0;
	return answer->reply->full_size <= call->room || answer->reply->size <= answer->room;
}

/*
 * Files that its caller does not want are let go, and the others are the caller's; false:
 * there are too many for it
 */
static noinline bool kipc_answer_files(struct kipc_reply *reply, struct kipc_call *call,
				       struct kipc_after *after)
{
	bool unwanted = call->file_room == KIPC_FILES_UNWANTED;

	/* With TRUNCATE who collects it takes as many as there is room for */
	if (!unwanted && (reply->nfds <= call->file_room || call->truncate)) {
		kipc_files_recharge(reply->files, &call->files_account);
		return true;
	}
	kipc_after_more(after);
	hlist_add_head(&reply->files->free_node, &after->sent);
	reply->files = NULL;
	return unwanted;
}

/* What became of its call is settled: nobody else will write into the window */
static void kipc_answer_forget(struct kipc_answer *answer, struct kipc_after *after)
{
	if (likely(!answer->into))
		return;
	kipc_after_put(after, &answer->into->msg);
	answer->into = NULL;
}

int kipc_reply_commit(struct kipc_answer *answer, struct kipc_ep *ep, struct kipc_after *after)
{
	struct kipc_reply *reply = answer->reply;
	struct kipc_call *call;
	struct kipc_msg *msg;
	bool fits;

	lockdep_assert_held(&ep->lock);
	call = kipc_delivery_find(ep, answer->token);
	if (!call)
		return ep->dead ? -EIDRM : -ENOENT;
	msg = &call->msg;
	if (msg->state != KIPC_MSG_DELIVERED) {
		kipc_call_undeliver(ep, call);
		kipc_after_put(after, msg);
		kipc_answer_forget(answer, after);
		return -ECANCELED;
	}
	if (unlikely(reply->in_place && !kipc_window_is_open(&call->window)))
		return -ESTALE;
	if (!kipc_answer_fits(answer, call))
		return -EOVERFLOW;

	/* Nothing fails any more */
	kipc_call_undeliver(ep, call);
	answer->reply = NULL;
	kipc_answer_forget(answer, after);
	if (call->described) {
		reply->time = ktime_get();
		kipc_creds_current(&reply->creds);
	}
	fits = reply->full_size <= call->room || call->truncate;
	if (unlikely(reply->nfds) && !kipc_answer_files(reply, call, after))
		fits = false;
	call->reply = reply;
	msg->state = KIPC_MSG_REPLIED;
	trace_kipc_reply(ep, msg);
	kipc_settle(ep, msg, after);
	/* Not the last: its caller does not let go of it before it is done */
	kipc_after_put(after, msg);
	kipc_done(ep, msg, fits ? 0 : -EMSGSIZE, after);
	return 0;
}

static int kipc_answer_cut(struct kipc_answer *answer)
{
	struct kipc_reply *cut = kipc_reply_cut(answer->reply, answer->room);

	if (!cut)
		return -ENOMEM;
	answer->reply = cut;
	return 0;
}

/* It was written into a window that has closed since: copy it after all */
static int kipc_answer_copy(struct kipc_answer *answer)
{
	struct kipc_segs segs __uninitialized;
	struct kipc_reply *old = answer->reply;
	int err = kipc_segs_import(&segs, answer->payload);

	if (err)
		return err;
	kipc_answer_leave(answer);
	/* Its segments are read anew, and may be others */
	err = -EFAULT;
	if (segs.total == old->full_size)
		err = kipc_answer_reply(answer, &segs, old->type, old->status);
	kipc_segs_free(&segs);
	if (!err) {
		answer->reply->nfds = old->nfds;
		answer->reply->files = old->files;
		old->nfds = 0;
		kipc_reply_free(old);
	}
	return err;
}

noinline int kipc_answer_adapt(struct kipc_answer *answer, int err)
{
	switch (err) {
	case -EOVERFLOW:
		return kipc_answer_cut(answer);
	case -ESTALE:
		return kipc_answer_copy(answer);
	default:
		return err;
	}
}

long kipc_reply(struct kipc_file *file, const struct kipc_op_reply *op)
{
	struct kipc_after after __uninitialized;
	struct kipc_answer answer __uninitialized;
	int err;

	err = kipc_answer_prepare(&answer, file, op->token, op->status, op->type, &op->payload);
	if (err)
		return err;
	for (;;) {
		kipc_lock(file->ep, &after);
		err = kipc_reply_commit(&answer, file->ep, &after);
		kipc_unlock(file->ep, &after);
		if (!err)
			break;
		err = kipc_answer_adapt(&answer, err);
		if (err)
			break;
	}
	kipc_answer_end(&answer);
	return err;
}

/* CANCEL, WANTED, ADOPT */

long kipc_cancel(struct kipc_file *file, struct kipc_op_token *op)
{
	struct kipc_call *call;
	bool busy = false;

	op->result_flags = 0;
	spin_lock(&file->lock);
	call = kipc_table_find(file, op->token);
	if (call && call->cancelled)
		call = NULL;
	if (call) {
		refcount_inc(&call->msg.ref);
		busy = call->busy;
		call->busy = true;
		call->cancelled = true;
		list_del_init(&call->finished);
	}
	spin_unlock(&file->lock);
	if (!call)
		return -ENOENT;
	if (kipc_call_abandon(call, -ECANCELED))
		op->result_flags |= KIPC_RESULT_DELIVERED;
	/* A thread that is busy with it is told, and retires it */
	if (!busy)
		kipc_call_retire(call);
	kipc_msg_put(&call->msg);
	return 0;
}

long kipc_wanted(struct kipc_file *file, u64 token)
{
	struct kipc_ep *ep = file->ep;
	struct kipc_after after __uninitialized;
	struct kipc_call *call;
	long err = 0;

	kipc_lock(ep, &after);
	call = kipc_delivery_find(ep, token);
	if (!call)
		err = ep->dead ? -EIDRM : -ENOENT;
	else if (call->msg.state != KIPC_MSG_DELIVERED)
		err = -ECANCELED;
	kipc_unlock(ep, &after);
	return err;
}

long kipc_adopt(struct kipc_file *file, u64 token)
{
	struct kipc_ep *ep = file->ep;
	struct kipc_after after __uninitialized;
	struct kipc_call *call;
	bool known_open;
	long err = 0;

	kipc_lock(ep, &after);
	call = kipc_delivery_find(ep, token);
	if (!call) {
		err = ep->dead ? -EIDRM : -ENOENT;
	} else if (call->msg.state != KIPC_MSG_DELIVERED) {
		err = -ECANCELED;
	} else {
		kipc_call_untake(call);
		kipc_call_take(call, file);
	}
	known_open = kipc_file_known_open(file);
	kipc_unlock(ep, &after);
	if (!err && !known_open)
		kipc_file_check_open(file);
	return err;
}

int kipc_call_init(void)
{
	kipc_workqueue = alloc_workqueue("kipc", WQ_UNBOUND, 0);
	return kipc_workqueue ? 0 : -ENOMEM;
}

void kipc_call_exit(void)
{
	destroy_workqueue(kipc_workqueue);
}
