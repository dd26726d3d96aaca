// SPDX-License-Identifier: GPL-2.0-only
/* See transfer.h. */
#include <linux/compat.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "call.h"
#include "endpoint.h"
#include "file.h"
#include "notify.h"
#include "transfer.h"

#define KIPC_WAIT_FLAGS (KIPC_NONBLOCK | KIPC_REALTIME | KIPC_NORESTART)

#define KIPC_SELECTORS (KIPC_TYPE_EQ | KIPC_TYPE_LE | KIPC_TYPE_NE)

#define KIPC_RECV_FLAGS (KIPC_WAIT_FLAGS | KIPC_PEEK | KIPC_INDEX | KIPC_TRUNCATE |	\
			 KIPC_ANYSIZE | KIPC_LEASE | KIPC_NOFILES | KIPC_NOCALLS |	\
			 KIPC_SELECTORS | KIPC_EVENTS | KIPC_NOENT | KIPC_MSGBUF |	\
			 KIPC_PRIO_ONLY)

/* With these the room need not be enough for any message */
#define KIPC_RECV_SMALL (KIPC_PEEK | KIPC_TRUNCATE | KIPC_ANYSIZE)

#define KIPC_SEND_FLAGS (KIPC_WAIT_FLAGS | KIPC_SYNC | KIPC_NOENT | KIPC_MSGBUF)

bool kipc_nonblock(const struct kipc_file *file, u32 flags)
{
	return flags & KIPC_NONBLOCK || (file->filp && file->filp->f_flags & O_NONBLOCK);
}

/* MSGBUF */

/* The type in a struct msgbuf of the calling program: a long, which a 32-bit one has of 32 bits */
static unsigned int kipc_msgbuf_head(void)
{
	return in_compat_syscall() ? sizeof(s32) : sizeof(long);
}

static int kipc_msgbuf_skip(struct kipc_payload *payload)
{
	if (payload->iovcnt || payload->nfds || payload->fds)
		return -EINVAL;
	payload->base += kipc_msgbuf_head();	/* may wrap: there is no memory before, then */
	return 0;
}

/* @text: as kipc_msgbuf_skip() has made it */
static int kipc_msgbuf_read(u64 text, u64 *type)
{
	unsigned int head = kipc_msgbuf_head();
	void __user *from = u64_to_user_ptr(text - head);
	long value;
	s32 narrow;
	int err;

	if (head == sizeof(value)) {
		err = get_user(value, (long __user *)from);
	} else {
		err = get_user(narrow, (s32 __user *)from);
		value = narrow;
	}
	if (err)
		return err;
	if (value < 1)
		return -EINVAL;
	*type = (u64)value;
	return 0;
}

static noinline int kipc_msgbuf_write(u64 text, u64 type)
{
	unsigned int head = kipc_msgbuf_head();
	void __user *to = u64_to_user_ptr(text - head);

	if (head == sizeof(long))
		return put_user((long)type, (long __user *)to);
	return put_user((s32)type, (s32 __user *)to);
}

/* RECV */

noinline int kipc_recv_msgbuf(struct kipc_op_recv *op)
{
	return op->result ? -EINVAL : kipc_msgbuf_skip(&op->payload);
}

static int kipc_recv_check(const struct kipc_op_recv *op)
{
	u32 selector = op->flags & KIPC_SELECTORS;

	if ((op->flags & ~KIPC_RECV_FLAGS) | op->reserved[0] | op->reserved[1])
		return -EINVAL;
	if (op->flags & (KIPC_LEASE | KIPC_EVENTS))
		return -EOPNOTSUPP;
	if (op->flags & KIPC_INDEX && (selector || !(op->flags & KIPC_PEEK)))
		return -EINVAL;
	/* The usual case */
	if (!(selector | op->type | op->after | op->after_type))
		return 0;
	/* At most one selector */
	if (selector & (selector - 1) || (!selector && op->type))
		return -EINVAL;
	if (op->after && !(op->flags & KIPC_PEEK))
		return -EINVAL;
	if (op->after_type && (!op->after || selector != KIPC_TYPE_LE))
		return -EINVAL;
	return 0;
}

static enum kipc_select kipc_recv_select(u32 flags)
{
	if (flags & KIPC_TYPE_EQ)
		return KIPC_SELECT_EQ;
	if (flags & KIPC_TYPE_LE)
		return KIPC_SELECT_LE;
	if (flags & KIPC_TYPE_NE)
		return KIPC_SELECT_NE;
	return KIPC_SELECT_ANY;
}

int kipc_recv_prepare(struct kipc_recv *recv, struct kipc_file *file,
		      const struct kipc_op_recv *op)
{
	int err = kipc_recv_check(op);

	if (err)
		return err;
	err = kipc_segs_import(&recv->segs, &op->payload);
	if (err)
		return err;
	recv->op = op;
	kipc_deadline_init(&recv->deadline, op->deadline, op->flags & KIPC_REALTIME,
			   kipc_nonblock(file, op->flags) || op->flags & KIPC_INDEX,
			   op->flags & KIPC_NORESTART);
	recv->receiver.select = kipc_recv_select(op->flags);
	recv->receiver.type = op->type;
	/* Calls are received only through handles, by who can be told the token */
	recv->receiver.nocalls = op->flags & (KIPC_NOCALLS | KIPC_PRIO_ONLY) ||
				  !op->result || !file->ep;
	recv->receiver.cred = file->ep ? NULL : current_cred();
	recv->receiver.room = op->flags & KIPC_RECV_SMALL ? U64_MAX : recv->segs.total;
	recv->receiver.needed = 0;
	recv->receiver.needed_files = 0;
	recv->flags = 0;
	recv->reply_error = 0;
	recv->told = false;
	recv->whom.pid = NULL;
	recv->half = NULL;
	recv->fds.nr = 0;
	return 0;
}

void kipc_recv_end(struct kipc_recv *recv)
{
	kipc_segs_free(&recv->segs);
}

int kipc_recv_allowed(struct kipc_recv *recv, struct kipc_file *file, struct kipc_ep *ep)
{
	if (ep->dead)
		return -EIDRM;
	if (file->shutdown)
		return -ESHUTDOWN;
	if (!file->ep) {
		int err = kipc_ep_permission(ep, KIPC_MAY_RECV);

		if (err)
			return err;
	}
	if (recv->receiver.room < ep->max_size) {
		recv->receiver.needed = ep->max_size;
		return -EMSGSIZE;
	}
	return 0;
}

/* The largest message there is room for now; none is too large to be cut */
static u64 kipc_recv_fits(const struct kipc_recv *recv)
{
	return recv->op->flags & KIPC_TRUNCATE ? U64_MAX : recv->segs.total;
}

/* Likewise how many files, unless they may be dropped */
static u32 kipc_recv_fits_files(const struct kipc_recv *recv)
{
	return recv->op->flags & (KIPC_PEEK | KIPC_NOFILES | KIPC_TRUNCATE) ?
	       U32_MAX : recv->op->payload.nfds;
}

noinline bool kipc_recv_refuses(struct kipc_recv *recv, const struct kipc_msg *msg)
{
	if (msg->size <= kipc_recv_fits(recv) && msg->nfds <= kipc_recv_fits_files(recv))
		return false;
	recv->receiver.needed = msg->size;
	recv->receiver.needed_files = msg->nfds;
	return true;
}

/*
 * All members, from where they are known into the caller's memory: the compiler need not
 * make the whole first, and nobody copies it.
 */
static inline int kipc_result_write(u64 address, const struct kipc_result *result)
{
	struct kipc_result __user *to = u64_to_user_ptr(address);

	static_assert(ARRAY_SIZE(result->reserved) == 4);
	if (!user_write_access_begin(to, sizeof(*to)))
		return -EFAULT;
	unsafe_put_user(result->token, &to->token, fault);
	unsafe_put_user(result->type, &to->type, fault);
	unsafe_put_user(result->cookie, &to->cookie, fault);
	unsafe_put_user(result->events, &to->events, fault);
	unsafe_put_user(result->badge, &to->badge, fault);
	unsafe_put_user(result->size, &to->size, fault);
	unsafe_put_user(result->time, &to->time, fault);
	unsafe_put_user(result->flags, &to->flags, fault);
	unsafe_put_user(result->prio, &to->prio, fault);
	unsafe_put_user(result->nfds, &to->nfds, fault);
	unsafe_put_user(result->deliveries, &to->deliveries, fault);
	unsafe_put_user(result->uid, &to->uid, fault);
	unsafe_put_user(result->gid, &to->gid, fault);
	unsafe_put_user(result->pid, &to->pid, fault);
	unsafe_put_user(result->reply_error, &to->reply_error, fault);
	unsafe_put_user(result->reserved[0], &to->reserved[0], fault);
	unsafe_put_user(result->reserved[1], &to->reserved[1], fault);
	unsafe_put_user(result->reserved[2], &to->reserved[2], fault);
	unsafe_put_user(result->reserved[3], &to->reserved[3], fault);
	user_write_access_end();
	return 0;
fault:
	user_write_access_end();
	return -EFAULT;
}

/* What there is to tell of a message, for those who asked: -EFAULT */
static int kipc_recv_tell(struct kipc_recv *recv, struct kipc_msg *msg)
{
	struct kipc_result result __uninitialized;
	u32 flags = recv->flags, nfds = 0;
	u64 token = 0;

	if (!recv->op->result) {
		if (recv->op->flags & KIPC_MSGBUF)
			return kipc_msgbuf_write(recv->op->payload.base, kipc_msg_type(msg));
		return 0;
	}
	if (recv->op->flags & KIPC_PRIO_ONLY)
		return put_user((u32)msg->prio, (u32 __user *)u64_to_user_ptr(recv->op->result));
	/* Here, and not in the result: whose address is known elsewhere must be made in memory */
	if (unlikely(msg->nfds)) {
		nfds = recv->op->flags & KIPC_PEEK ? msg->nfds : recv->fds.nr;
		if (nfds < msg->nfds)
			flags |= KIPC_RESULT_FILES_DROPPED;
	}
	if (msg->size > recv->segs.total)
		flags |= KIPC_RESULT_TRUNCATED;
	if (recv->op->flags & KIPC_PEEK)
		token = kipc_msg_place(msg);
	else if (msg->call)
		token = to_call(msg)->token;
	if (msg->call) {
		flags |= KIPC_RESULT_CALL;
		/* Who peeks holds no claim: others may do so and deliver it */
		if (data_race(to_call(msg)->broken))
			flags |= KIPC_RESULT_REDELIVERED;
	}
	result = (struct kipc_result){
		.token = token,
		.type = kipc_msg_type(msg),
		.badge = msg->badge,
		.size = msg->size,
		.time = kipc_time_to_user(msg->time),
		.flags = flags,
		.prio = msg->prio,
		.nfds = nfds,
		.deliveries = data_race(msg->deliveries) + 1,	/* likewise */
		.reply_error = recv->reply_error,
	};
	kipc_creds_tell_likewise(&msg->creds, &result, &recv->whom);
	recv->told = true;
	return kipc_result_write(recv->op->result, &result);
}

/* Descriptors of the files that are wanted: -EMFILE, -EFAULT */
static noinline int kipc_recv_files(struct kipc_recv *recv, const struct kipc_msg *msg)
{
	const struct kipc_payload *room = &recv->op->payload;

	if (recv->op->flags & (KIPC_PEEK | KIPC_NOFILES))
		return 0;
	return kipc_fds_reserve(&recv->fds, msg->files, min_t(u32, msg->nfds, room->nfds),
				room->fds);
}

long kipc_recv_copy(struct kipc_recv *recv, struct kipc_msg *msg)
{
	size_t size = min_t(u64, msg->size, recv->segs.total);
	int err;

	err = kipc_msg_write(&recv->segs, msg, size);
	if (err)
		return err;
	if (unlikely(msg->nfds)) {
		err = kipc_recv_files(recv, msg);
		if (err)
			return err;
	}
	return kipc_recv_tell(recv, msg) ?: (long)size;
}

/* Sleep until given a message: it, or NULL with *@err */
static struct kipc_msg *kipc_take(struct kipc_recv *recv, struct kipc_ep *ep, int *err)
{
	struct kipc_receiver *receiver = &recv->receiver;
	struct kipc_after after __uninitialized;
	int woken = 0;

	for (;;) {
		set_current_state(TASK_INTERRUPTIBLE);
		/* Pair with kipc_hand_over() and kipc_receiver_fail() */
		if (smp_load_acquire(&receiver->msg) || smp_load_acquire(&receiver->error))
			break;
		woken = kipc_deadline_sleep(&recv->deadline);
		if (woken)
			break;
	}
	kipc_deadline_end(&recv->deadline);
	if (woken) {
		kipc_lock(ep, &after);
		if (receiver->waiting)
			kipc_receiver_remove(ep, receiver, &after);
		kipc_unlock(ep, &after);
	}
	*err = receiver->msg ? 0 : receiver->error ?: woken;
	return receiver->msg;
}

/*
 * The reply half of REPLY_RECV. That its caller has gone is no error: it is told with
 * the result.
 */
static int kipc_half_commit(struct kipc_recv *recv, struct kipc_ep *ep, struct kipc_after *after)
{
	struct kipc_reply_half *half = recv->half;
	int err;

	if (!half || half->made)
		return 0;
	err = kipc_reply_commit(&half->answer, ep, after);
	if (err && err != -ECANCELED)
		return err;
	half->made = true;
	recv->flags = KIPC_RESULT_REPLIED;
	recv->reply_error = err;
	return 0;
}

int kipc_half_write(struct kipc_op_reply_recv __user *uop, u64 token, s32 reply_error, u32 replied)
{
	if (!user_write_access_begin(uop, sizeof(*uop)))
		return -EFAULT;
	unsafe_put_user(token, &uop->token, fault);
	unsafe_put_user(reply_error, &uop->reply_error, fault);
	unsafe_put_user(replied, &uop->replied, fault);
	user_write_access_end();
	return 0;
fault:
	user_write_access_end();
	return -EFAULT;
}

/*
 * Once the reply is made that is stored in the caller's struct before the system call
 * can end in any way: a restart finds no token.
 */
static int kipc_half_store(struct kipc_recv *recv)
{
	struct kipc_reply_half *half = recv->half;
	struct kipc_op_reply_recv __user *uop;

	if (!half || !half->made || !half->uop)
		return 0;
	uop = half->uop;
	half->uop = NULL;
	return kipc_half_write(uop, 0, recv->reply_error, 1);
}

static int kipc_recv_wait(struct kipc_recv *recv, struct kipc_file *file, struct kipc_ep *ep,
			  struct kipc_share *share, struct kipc_after *after)
{
	recv->receiver.fits = kipc_recv_fits(recv);
	recv->receiver.fits_files = kipc_recv_fits_files(recv);
	return kipc_receiver_wait(ep, &recv->receiver, file, share, after);
}

/*
 * One hold of the lock: make the reply, if there is one, and claim a message, or
 * begin to wait for one (*@wait), or neither (*@again, call again).
 */
static struct kipc_msg *kipc_recv_begin(struct kipc_recv *recv, struct kipc_file *file,
					struct kipc_ep *ep, bool *wait, bool *again)
{
	struct kipc_after after __uninitialized;
	struct kipc_msg *msg = NULL;
	struct kipc_share *share;
	int err, reply_err;

	*wait = false;
	*again = false;
	err = kipc_lock_share(ep, file, &after, &share);
	reply_err = kipc_half_commit(recv, ep, &after);
	if (reply_err)
		err = reply_err;
	if (!err)
		err = kipc_recv_allowed(recv, file, ep);
	if (!err)
		msg = kipc_select_allowed(ep, &recv->receiver, again, &after);
	if (msg) {
		if (kipc_recv_too_small(recv, msg))
			err = -EMSGSIZE;
		else
			kipc_claim(ep, msg, &after);
	} else if (!err && !*again) {
		if (unlikely(ep->notify))
			kipc_notify_empty(ep);
		if (recv->deadline.never_sleep)
			err = -EAGAIN;
		else
			err = kipc_recv_wait(recv, file, ep, share, &after);
		*wait = !err;
	}
	if (!*wait && share)
		kipc_share_put(ep, share, &after);
	kipc_unlock(ep, &after);
	/* Nobody gets the reply: nothing of it shall live until the receive has ended */
	if (unlikely(recv->reply_error) && recv->half)
		kipc_answer_end(&recv->half->answer);
	if (unlikely(reply_err)) {
		err = kipc_answer_adapt(&recv->half->answer, reply_err);
		*again = !err;
	}
	return err ? ERR_PTR(err) : msg;
}

struct kipc_msg *kipc_recv_claim(struct kipc_recv *recv, struct kipc_file *file,
				 struct kipc_ep *ep)
{
	struct kipc_msg *msg;
	bool wait, again;
	int err = 0;

	do
		msg = kipc_recv_begin(recv, file, ep, &wait, &again);
	while (again);
	if (wait)
		msg = kipc_take(recv, ep, &err);
	if (!err)
		return msg;
	return ERR_PTR(err == -EINTR ? kipc_deadline_interrupted(&recv->deadline) : err);
}

int kipc_recv_may_commit(struct kipc_file *file, struct kipc_ep *ep)
{
	if (fatal_signal_pending(current))
		return -EINTR;
	if (file->shutdown)
		return -ESHUTDOWN;
	return file->ep ? 0 : kipc_ep_permission(ep, KIPC_MAY_RECV);
}

/*
 * The commit: 1 the message is ours, 0 its sender has left (-ESTALE: which the copy has
 * seen), or the error that puts it back into its place.
 */
static int kipc_recv_commit(struct kipc_recv *recv, struct kipc_file *file, struct kipc_ep *ep,
			    struct kipc_msg *msg, int err, bool *known_open)
{
	struct kipc_after after __uninitialized;
	bool call = msg->call;
	int done = 0;

	kipc_lock(ep, &after);
	if (!err)
		err = kipc_recv_may_commit(file, ep);
	if (err)
		kipc_unclaim(ep, msg, &after);
	else if (kipc_commit(ep, msg, file, &after))
		done = 1;
	*known_open = !call || kipc_file_known_open(file);
	kipc_unlock(ep, &after);
	if (done && !call)
		kipc_msg_put(msg);
	return err == -ESTALE ? 0 : err ?: done;
}

static long kipc_recv_take(struct kipc_recv *recv, struct kipc_file *file, struct kipc_ep *ep)
{
	unsigned int tries = 0;
	struct kipc_msg *msg;
	bool known_open;
	long copied;
	int err;

	for (;;) {
		msg = kipc_recv_claim(recv, file, ep);
		err = kipc_half_store(recv);
		if (IS_ERR(msg))
			return err ?: PTR_ERR(msg);
		if (err)
			copied = err;
		else if (kipc_recv_too_small(recv, msg))
			copied = -EMSGSIZE;
		else
			copied = kipc_recv_copy(recv, msg);
		err = kipc_recv_commit(recv, file, ep, msg, min(copied, 0L), &known_open);
		kipc_fds_end(&recv->fds, err > 0);
		if (err < 0)
			return err;
		if (err)
			break;
		/* Its sender was not held any longer: another process may be there */
		recv->whom.pid = NULL;
		/* Senders that always leave must not hold us beyond what we wanted */
		if (++tries >= KIPC_BATCH) {
			err = kipc_deadline_check(&recv->deadline);
			if (err)
				return err;
		}
	}
	if (!known_open)
		kipc_file_check_open(file);
	return copied;
}

/* PEEK */

/* Keep what was found for who peeks at it; who found nothing has seen an empty queue */
static void kipc_peek_hold(struct kipc_ep *ep, struct kipc_msg *msg, int err)
{
	if (msg) {
		refcount_inc(&msg->ref);
		msg->peeks++;
	} else if (unlikely(ep->notify) && !err) {
		kipc_notify_empty(ep);
	}
}

/* One look: the message with the right to read it, NULL, or ERR_PTR() */
static struct kipc_msg *kipc_peek_once(struct kipc_recv *recv, struct kipc_file *file,
				       struct kipc_ep *ep)
{
	u64 place = recv->op->after;
	struct kipc_after after __uninitialized;
	struct kipc_msg *msg;
	bool more;
	int err;

	do {
		kipc_lock(ep, &after);
		msg = NULL;
		more = false;
		err = kipc_recv_allowed(recv, file, ep);
		if (!err && !place)
			msg = kipc_select(ep, &recv->receiver);
		else if (!err)
			msg = kipc_select_after(ep, &recv->receiver, recv->op->after_type,
						&place, &more);
		kipc_peek_hold(ep, msg, err);
		kipc_unlock(ep, &after);
		cond_resched();
		if (more && fatal_signal_pending(current))
			err = -EINTR;
	} while (more && !err);
	return err ? ERR_PTR(err) : msg;
}

/* The same for the message at an index. Others who count wait, killably. */
static struct kipc_msg *kipc_peek_index(struct kipc_recv *recv, struct kipc_file *file,
					struct kipc_ep *ep)
{
	struct kipc_cursor cursor = { .nocalls = recv->receiver.nocalls };
	struct kipc_after after __uninitialized;
	struct kipc_msg *msg;
	bool more;
	int err;

	if (mutex_lock_killable(&ep->cursor_mutex))
		return ERR_PTR(-EINTR);
	do {
		kipc_lock(ep, &after);
		msg = NULL;
		more = false;
		err = kipc_recv_allowed(recv, file, ep);
		if (!err && fatal_signal_pending(current))
			err = -EINTR;
		if (!err)
			msg = kipc_select_index(ep, &cursor, recv->op->after, &more);
		ep->cursor = more ? &cursor : NULL;
		kipc_peek_hold(ep, msg, err);
		kipc_unlock(ep, &after);
		cond_resched();
	} while (more);
	mutex_unlock(&ep->cursor_mutex);
	return err ? ERR_PTR(err) : msg;
}

static void kipc_peek_end(struct kipc_ep *ep, struct kipc_msg *msg)
{
	struct kipc_after after __uninitialized;

	kipc_lock(ep, &after);
	if (!--msg->peeks && msg->spent)
		kipc_after_spend(&after, msg);
	kipc_unlock(ep, &after);
	kipc_msg_put(msg);
}

/* Count the peeker as a waiter while it sleeps */
static int kipc_peek_wait(struct kipc_ep *ep, struct kipc_file *file, struct kipc_share **share)
{
	struct kipc_after after __uninitialized;
	int err = kipc_lock_share(ep, file, &after, share);

	if (!err)
		err = kipc_share_wait(ep, *share);
	if (err) {
		kipc_share_put(ep, *share, &after);
		*share = NULL;
	}
	kipc_unlock(ep, &after);
	return err;
}

static void kipc_peek_unwait(struct kipc_ep *ep, struct kipc_share *share)
{
	struct kipc_after after __uninitialized;

	if (!share)
		return;
	kipc_lock(ep, &after);
	kipc_share_unwait(ep, share);
	kipc_share_put(ep, share, &after);
	kipc_unlock(ep, &after);
}

static struct kipc_msg *kipc_peek_find(struct kipc_recv *recv, struct kipc_file *file,
				       struct kipc_ep *ep)
{
	struct kipc_share *share = NULL;
	struct kipc_msg *msg;
	DEFINE_WAIT(wait);
	int err = 0;

	for (;;) {
		msg = recv->op->flags & KIPC_INDEX ? kipc_peek_index(recv, file, ep) :
						     kipc_peek_once(recv, file, ep);
		if (msg || err)
			break;
		if (recv->deadline.never_sleep) {
			err = -EAGAIN;
			break;
		}
		if (!share) {
			err = kipc_peek_wait(ep, file, &share);
			if (err)
				break;
		}
		prepare_to_wait(&ep->peek_wait, &wait, TASK_INTERRUPTIBLE);
		msg = kipc_peek_once(recv, file, ep);
		if (msg)
			break;
		err = kipc_deadline_sleep(&recv->deadline);
	}
	finish_wait(&ep->peek_wait, &wait);
	kipc_deadline_end(&recv->deadline);
	kipc_peek_unwait(ep, share);
	if (msg)
		return msg;
	return ERR_PTR(err == -EINTR ? kipc_deadline_interrupted(&recv->deadline) : err);
}

static noinline long kipc_recv_peek(struct kipc_recv *recv, struct kipc_file *file,
				    struct kipc_ep *ep)
{
	unsigned int tries = 0;
	struct kipc_msg *msg;
	long copied;
	int err;

	for (;;) {
		msg = kipc_peek_find(recv, file, ep);
		if (IS_ERR(msg))
			return PTR_ERR(msg);
		if (kipc_recv_too_small(recv, msg))
			copied = -EMSGSIZE;
		else
			copied = kipc_recv_copy(recv, msg);
		kipc_peek_end(ep, msg);
		if (copied != -ESTALE)
			return copied;
		/* It was received, or withdrawn: look again */
		if (++tries >= KIPC_BATCH) {
			err = kipc_deadline_check(&recv->deadline);
			if (err)
				return err;
		}
	}
}

/*
 * EMSGSIZE tells the size; the reply half of REPLY_RECV is always told; what was
 * told of a message that was not received after all is taken back.
 */
noinline long kipc_recv_failed(struct kipc_recv *recv, long err)
{
	struct kipc_result result = {
		.size = err == -EMSGSIZE ? recv->receiver.needed : 0,
		.nfds = err == -EMSGSIZE ? recv->receiver.needed_files : 0,
		.flags = recv->flags,
		.reply_error = recv->reply_error,
	};

	if (recv->op->result && !(recv->op->flags & KIPC_PRIO_ONLY) &&
	    (err == -EMSGSIZE || recv->told || recv->flags))
		kipc_result_write(recv->op->result, &result);
	return err;
}

long kipc_recv_run(struct kipc_recv *recv, struct kipc_file *file, struct kipc_ep *ep)
{
	long ret;

	if (recv->op->flags & KIPC_PEEK)
		ret = kipc_recv_peek(recv, file, ep);
	else
		ret = kipc_recv_take(recv, file, ep);
	return ret < 0 ? kipc_recv_failed(recv, ret) : ret;
}

/* SEND */

static int kipc_send_check(const struct kipc_op_send *op)
{
	if ((op->flags & ~KIPC_SEND_FLAGS) | op->pad | op->reserved[0] | op->reserved[1] ||
	    op->prio > KIPC_PRIO_MAX)
		return -EINVAL;
	return 0;
}

static noinline int kipc_send_msgbuf(struct kipc_op_send *op)
{
	int err = op->type ? -EINVAL : kipc_msgbuf_skip(&op->payload);

	return err ?: kipc_msgbuf_read(op->payload.base, &op->type);
}

long kipc_send_wait(struct kipc_ep *ep, struct kipc_msg *msg, struct kipc_deadline *deadline)
{
	int err = kipc_wait_done(msg, deadline);
	struct kipc_after after __uninitialized;

	if (err) {
		kipc_lock(ep, &after);
		if (msg->done) {
			err = 0;
		} else {
			if (err == -ETIMEDOUT)
				ep->refused++;
			kipc_giveup(ep, msg, err, &after);
		}
		kipc_unlock(ep, &after);
	}
	if (!err)
		err = msg->error;
	else if (err == -EINTR)
		err = kipc_deadline_interrupted(deadline);
	kipc_msg_unpin(msg);
	kipc_msg_put(msg);
	return err;
}

long kipc_send_msg(struct kipc_file *file, struct kipc_ep *ep, struct kipc_msg *msg,
		   struct kipc_deadline *deadline)
{
	struct kipc_share *share;
	struct kipc_after after __uninitialized;
	bool waiting = false;
	int err;

	if (!file->ep)
		msg->cred = kipc_cred_get(current_cred());
	err = kipc_lock_share(ep, file, &after, &share);
	if (!err && !file->ep)
		err = kipc_ep_permission(ep, KIPC_MAY_SEND);
	if (unlikely(ep->flags & KIPC_ENDPOINT_SYSV) && !err)
		kipc_ep_note_msgmax(ep);
	if (!err && msg->size > ep->max_size)
		err = -EMSGSIZE;
	if (!err) {
		err = kipc_post(ep, msg, file, share, deadline->never_sleep, &after);
		waiting = !err && msg->waiting;
	}
	if (err)
		kipc_share_put(ep, share, &after);
	kipc_unlock(ep, &after);
	if (waiting)
		return kipc_send_wait(ep, msg, deadline);
	if (err)
		kipc_msg_put(msg);
	return err;
}

/*
 * What to say when @err kept a message from being made: who may not send is told that instead, and
 * no other error. Who may is looked at when the message is posted.
 */
static noinline int kipc_send_refused(struct kipc_file *file, struct kipc_ep *ep, int err)
{
	return file->ep ? err : kipc_ep_check(ep, KIPC_MAY_SEND) ?: err;
}

static struct kipc_msg *kipc_send_new(struct kipc_file *file, struct kipc_ep *ep,
				      const struct kipc_op_send *op, const struct kipc_segs *segs,
				      const struct kipc_deadline *deadline)
{
	struct kipc_msg *msg;
	int err;

	if (segs->total > kipc_ep_max_size(ep))
		return ERR_PTR(-EMSGSIZE);
	if (op->flags & KIPC_SYNC && deadline->never_sleep)
		return ERR_PTR(-EAGAIN);	/* nobody has received it before it is sent */
	msg = kipc_msg_new(file->pool, segs, op->type, op->prio, KIPC_KIND_MSG,
			   op->flags & KIPC_SYNC, ktime_get());
	if (IS_ERR(msg))
		return msg;
	msg->badge = file->badge;
	msg->sync = op->flags & KIPC_SYNC;
	if (unlikely(op->payload.nfds)) {
		err = kipc_msg_attach(msg, file, ep, &op->payload);
		if (err) {
			kipc_msg_put(msg);
			return ERR_PTR(err);
		}
	}
	return msg;
}

long kipc_send(struct kipc_file *file, struct kipc_ep *ep, struct kipc_op_send *op)
{
	struct kipc_deadline deadline __uninitialized;
	struct kipc_segs segs __uninitialized;
	struct kipc_msg *msg;
	int err;

	err = kipc_send_check(op);
	if (op->flags & KIPC_MSGBUF && !err)
		err = kipc_send_msgbuf(op);
	if (err)
		return err;
	err = kipc_segs_import(&segs, &op->payload);
	if (err)
		return err;
	kipc_deadline_init(&deadline, op->deadline, op->flags & KIPC_REALTIME,
			   kipc_nonblock(file, op->flags), op->flags & KIPC_NORESTART);
	msg = kipc_send_new(file, ep, op, &segs, &deadline);
	if (!IS_ERR(msg))
		err = kipc_send_msg(file, ep, msg, &deadline);
	else
		err = kipc_send_refused(file, ep, PTR_ERR(msg));
	kipc_segs_free(&segs);
	return err;
}
