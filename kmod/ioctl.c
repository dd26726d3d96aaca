// SPDX-License-Identifier: GPL-2.0-only
/* See ioctl.h. */
#include <linux/fs.h>
#include <linux/kernel.h>
#include <linux/nospec.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include <linux/kipc.h>

#include "batch.h"
#include "call.h"
#include "endpoint.h"
#include "file.h"
#include "ioctl.h"
#include "limits.h"
#include "notify.h"
#include "ns.h"
#include "transfer.h"

static_assert(sizeof(struct kipc_limits) == 104);
static_assert(sizeof(struct kipc_attr) == 48);
static_assert(sizeof(struct kipc_iovec) == 16);
static_assert(sizeof(struct kipc_payload) == 32);
static_assert(sizeof(struct kipc_result) == 120);
static_assert(sizeof(struct kipc_endpoint) == 448);
static_assert(sizeof(struct kipc_op_open) == 120);
static_assert(sizeof(struct kipc_op_restrict) == 32);
static_assert(sizeof(struct kipc_op_stat) == 456);
static_assert(sizeof(struct kipc_op_remove) == 8);
static_assert(sizeof(struct kipc_op_next) == 8);
static_assert(sizeof(struct kipc_op_sum) == 32);
static_assert(sizeof(struct kipc_op_send) == 80);
static_assert(sizeof(struct kipc_op_recv) == 96);
static_assert(sizeof(struct kipc_op_rpc) == 144);
static_assert(sizeof(struct kipc_op_reply) == 72);
static_assert(sizeof(struct kipc_op_reply_recv) == 176);
static_assert(sizeof(struct kipc_op_token) == 32);
static_assert(sizeof(struct kipc_op_shutdown) == 8);
static_assert(sizeof(struct kipc_op_event) == 32);
static_assert(sizeof(struct kipc_op_notify) == 56);
static_assert(sizeof(struct kipc_batch_msg) == 24);
static_assert(sizeof(struct kipc_op_send_batch) == 64);
static_assert(sizeof(struct kipc_op_recv_batch) == 72);

static noinline struct kipc_ep *kipc_target_by_id(struct kipc_file *file, u32 id)
{
	struct kipc_ep *ep;

	if (!id)
		return ERR_PTR(-EINVAL);
	ep = kipc_ns_find_id(file->ns, id);
	return ep ?: ERR_PTR(-EIDRM);
}

/*
 * The endpoint an operation is for: the handle's, if it has @right (0: any will do),
 * which the handle holds, or the one with this id, with a reference. To be given
 * back by kipc_untarget().
 */
/* How an id is told that is not there: nothing was removed while the caller was here */
static long kipc_no_target(const struct kipc_ep *ep, u32 flags)
{
	long err = PTR_ERR(ep);

	return err == -EIDRM && flags & KIPC_NOENT ? -ENOENT : err;
}

static struct kipc_ep *kipc_target(struct kipc_file *file, u32 id, u32 right)
{
	if (unlikely(!file->ep))
		return kipc_target_by_id(file, id);
	if (id)
		return ERR_PTR(-EINVAL);
	if (right & ~file->rights)
		return ERR_PTR(-EBADF);
	return file->ep;
}

static void kipc_untarget(const struct kipc_file *file, struct kipc_ep *ep)
{
	if (unlikely(ep != file->ep))
		kipc_ep_put(ep);
}

/* What servers do needs a handle that may receive */
static int kipc_server(const struct kipc_file *file)
{
	return file->ep && file->rights & KIPC_RIGHT_RECV ? 0 : -EBADF;
}

static long kipc_run_info(struct kipc_file *file, void __user *uop, size_t size)
{
	struct kipc_account *account = kipc_account_current_cached(file->account);
	struct kipc_limits limits;

	if (IS_ERR(account))
		return PTR_ERR(account);
	kipc_limits_get(&limits);
	/* These are of this moment */
	limits.endpoints = data_race(READ_ONCE(file->ns->count));
	limits.user_capacity_left = kipc_account_left(account, KIPC_CHARGE_CAPACITY);
	kipc_account_put(account);
	if (copy_to_user(uop, &limits, sizeof(limits)) ||
	    clear_user(uop + sizeof(limits), size - sizeof(limits)))
		return -EFAULT;
	return 0;
}

static long kipc_run_unsupported(struct kipc_file *file, void __user *uop, size_t size)
{
	return -EOPNOTSUPP;
}

static long kipc_op_open(struct kipc_file *file, struct kipc_op_open *op, void __user *uop)
{
	if (file->ep)
		return -EBADF;
	return kipc_ep_open(file->ns, op, uop);
}

static long kipc_op_restrict(struct kipc_file *file, struct kipc_op_restrict *op,
			     void __user *uop)
{
	if (!file->ep)
		return -EBADF;
	return kipc_ep_restrict(file, op);
}

static long kipc_op_stat(struct kipc_file *file, struct kipc_op_stat *op, void __user *uop)
{
	struct kipc_ep *ep;
	int err = 0;

	if (op->what & ~(file->ep ? KIPC_STAT_ACCESS : 0))
		return -EINVAL;
	ep = kipc_target(file, op->endpoint, 0);
	if (IS_ERR(ep))
		return PTR_ERR(ep);
	spin_lock(&ep->lock);
	if (ep->dead)
		err = -EIDRM;
	else if (!file->ep)
		err = kipc_ep_permission(ep, KIPC_MAY_SEE);
	if (!err && op->what & KIPC_STAT_ACCESS)
		kipc_ep_accessed(ep);
	spin_unlock(&ep->lock);
	if (!err) {
		kipc_ep_stat(ep, &op->info);
		if (copy_to_user(uop, op, sizeof(*op)))
			err = -EFAULT;
	}
	kipc_untarget(file, ep);
	return err;
}

static long kipc_op_set(struct kipc_file *file, struct kipc_op_stat *op, void __user *uop)
{
	struct kipc_ep *ep = kipc_target(file, op->endpoint, KIPC_RIGHT_CONTROL);
	long err;

	if (IS_ERR(ep))
		return PTR_ERR(ep);
	err = kipc_ep_set(ep, op, !file->ep);
	kipc_untarget(file, ep);
	return err;
}

static long kipc_op_remove(struct kipc_file *file, struct kipc_op_remove *op, void __user *uop)
{
	struct kipc_ep *ep;
	long err;

	if (op->flags)
		return -EINVAL;
	ep = kipc_target(file, op->endpoint, KIPC_RIGHT_CONTROL);
	if (IS_ERR(ep))
		return PTR_ERR(ep);
	err = kipc_ep_remove(ep, !file->ep);
	kipc_untarget(file, ep);
	return err;
}

/* The first endpoint with an id above @after that the caller may see, held */
static struct kipc_ep *kipc_next_seen(struct kipc_file *file, u32 after)
{
	/* The index of one that has ended may be in use again */
	u32 index = kipc_id_index(after);

	for (;;) {
		struct kipc_ep *ep = kipc_ns_first(file->ns, index);

		if (!ep)
			return ERR_PTR(-ENOENT);
		if (ep->id > after && kipc_ep_visible(ep))
			return ep;
		index = kipc_id_index(ep->id) + 1;
		kipc_ep_put(ep);
		if (fatal_signal_pending(current))
			return ERR_PTR(-EINTR);
		cond_resched();
	}
}

static long kipc_op_next(struct kipc_file *file, struct kipc_op_next *op, void __user *uop)
{
	struct kipc_ep *ep;

	if (file->ep)
		return -EBADF;
	if (op->flags)
		return -EINVAL;
	ep = kipc_next_seen(file, op->id);
	if (IS_ERR(ep))
		return PTR_ERR(ep);
	op->id = ep->id;
	kipc_ep_put(ep);
	return copy_to_user(uop, op, sizeof(*op)) ? -EFAULT : 0;
}

static long kipc_op_sum(struct kipc_file *file, struct kipc_op_sum *op, void __user *uop)
{
	int err;

	if (file->ep)
		return -EBADF;
	if (op->flags || op->reserved)
		return -EINVAL;
	err = kipc_ns_sum(file->ns, op);
	if (err)
		return err;
	return copy_to_user(uop, op, sizeof(*op)) ? -EFAULT : 0;
}

static long kipc_op_send(struct kipc_file *file, struct kipc_op_send *op, void __user *uop)
{
	struct kipc_ep *ep = kipc_target(file, op->endpoint, KIPC_RIGHT_SEND);
	long ret;

	if (IS_ERR(ep))
		return kipc_no_target(ep, op->flags);
	ret = kipc_send(file, ep, op);
	kipc_untarget(file, ep);
	return ret;
}

static long kipc_op_recv(struct kipc_file *file, struct kipc_op_recv *op, void __user *uop)
{
	struct kipc_ep *ep = kipc_target(file, op->endpoint, KIPC_RIGHT_RECV);
	struct kipc_recv recv __uninitialized;
	long ret;

	if (IS_ERR(ep))
		return kipc_no_target(ep, op->flags);
	ret = op->flags & KIPC_MSGBUF ? kipc_recv_msgbuf(op) : 0;
	if (!ret)
		ret = kipc_recv_prepare(&recv, file, op);
	if (!ret) {
		ret = kipc_recv_run(&recv, file, ep);
		kipc_recv_end(&recv);
	}
	kipc_untarget(file, ep);
	return ret;
}

static long kipc_op_send_batch(struct kipc_file *file, struct kipc_op_send_batch *op,
			       void __user *uop)
{
	struct kipc_ep *ep = kipc_target(file, op->endpoint, KIPC_RIGHT_SEND);
	long ret;

	if (IS_ERR(ep))
		return PTR_ERR(ep);
	ret = kipc_send_batch(file, ep, op);
	kipc_untarget(file, ep);
	return ret;
}

static long kipc_op_recv_batch(struct kipc_file *file, struct kipc_op_recv_batch *op,
			       void __user *uop)
{
	struct kipc_ep *ep = kipc_target(file, op->endpoint, KIPC_RIGHT_RECV);
	long ret;

	if (IS_ERR(ep))
		return kipc_no_target(ep, op->flags);
	ret = kipc_recv_batch(file, ep, op);
	kipc_untarget(file, ep);
	return ret;
}

static long kipc_op_rpc(struct kipc_file *file, struct kipc_op_rpc *op, void __user *uop)
{
	struct kipc_ep *ep = NULL;
	long ret;

	/* A restarted call still names the endpoint; its token is enough */
	if (!op->token && !(op->flags & KIPC_NEXT)) {
		ep = kipc_target(file, op->endpoint, KIPC_RIGHT_SEND);
		if (IS_ERR(ep))
			return PTR_ERR(ep);
	}
	ret = kipc_rpc(file, ep, op, uop);
	if (ep)
		kipc_untarget(file, ep);
	return ret;
}

static long kipc_op_reply(struct kipc_file *file, struct kipc_op_reply *op, void __user *uop)
{
	int err = kipc_server(file);

	if (err)
		return err;
	if (op->flags || op->reserved[0] || op->reserved[1])
		return -EINVAL;
	return kipc_reply(file, op);
}

static int kipc_reply_recv_check(const struct kipc_op_reply_recv *op)
{
	if (op->pad | op->recv.endpoint | op->reserved[0] | op->reserved[1] || op->replied > 1)
		return -EINVAL;
	/* What is left of a reply that was made before the restart */
	if (op->replied ? op->token || (op->reply_error && op->reply_error != -ECANCELED) :
			  op->reply_error)
		return -EINVAL;
	return op->recv.flags & (KIPC_PEEK | KIPC_MSGBUF | KIPC_PRIO_ONLY) ? -EINVAL : 0;
}

static long kipc_op_reply_recv(struct kipc_file *file, struct kipc_op_reply_recv *op,
			       void __user *uop)
{
	struct kipc_reply_half half __uninitialized;
	struct kipc_recv recv __uninitialized;
	long ret = kipc_server(file) ?: kipc_reply_recv_check(op);

	if (ret)
		return ret;
	ret = kipc_recv_prepare(&recv, file, &op->recv);
	if (ret)
		return ret;
	if (op->replied)
		recv.flags = KIPC_RESULT_REPLIED;
	recv.reply_error = op->reply_error;
	if (op->token) {
		half.uop = uop;
		half.made = false;
		/* Who cannot be told that the token is used up keeps it */
		ret = kipc_half_write(uop, op->token, op->reply_error, op->replied) ?:
		      kipc_answer_prepare(&half.answer, file, op->token, op->status, op->type,
					  &op->reply);
		if (ret)
			goto end;
		recv.half = &half;
	}
	ret = kipc_recv_run(&recv, file, file->ep);
	if (recv.half)
		kipc_answer_end(&half.answer);
end:
	kipc_recv_end(&recv);
	return ret;
}

static int kipc_token_check(const struct kipc_op_token *op)
{
	return op->flags || op->result_flags ||
	       op->reserved[0] || op->reserved[1] ? -EINVAL : 0;
}

static long kipc_op_cancel(struct kipc_file *file, struct kipc_op_token *op, void __user *uop)
{
	u32 __user *told = &((struct kipc_op_token __user *)uop)->result_flags;
	long err = kipc_token_check(op);

	/* What cannot be told is not done */
	return err ?: put_user(0, told) ?: kipc_cancel(file, op) ?:
	       put_user(op->result_flags, told);
}

static long kipc_op_wanted(struct kipc_file *file, struct kipc_op_token *op, void __user *uop)
{
	return kipc_server(file) ?: kipc_token_check(op) ?:
	       kipc_wanted(file, op->token);
}

static long kipc_op_adopt(struct kipc_file *file, struct kipc_op_token *op, void __user *uop)
{
	return kipc_server(file) ?: kipc_token_check(op) ?:
	       kipc_adopt(file, op->token);
}

static long kipc_op_shutdown(struct kipc_file *file, struct kipc_op_shutdown *op, void __user *uop)
{
	int err = kipc_server(file);

	if (err)
		return err;
	if (op->flags || op->pad)
		return -EINVAL;
	return kipc_file_shutdown(file);
}

static long kipc_op_notify(struct kipc_file *file, struct kipc_op_notify *op, void __user *uop)
{
	if (!file->ep)
		return -EBADF;
	return op->endpoint ? -EINVAL : kipc_notify_set(file, op);
}

/*
 * For each operation: read the caller's struct as far as it is known here, and do it.
 * What the caller's has beyond that must be zero.
 */
#define KIPC_RUN(attr, name, type)							\
static long attr kipc_run_##name(struct kipc_file *file, void __user *uop, size_t size)	\
{											\
	struct type op __uninitialized;							\
	int err;									\
											\
	if (likely(size == sizeof(op)))							\
		err = copy_from_user(&op, uop, sizeof(op)) ? -EFAULT : 0;		\
	else										\
		err = copy_struct_from_user(&op, sizeof(op), uop, size);		\
	return err ?: kipc_op_##name(file, &op, uop);					\
}

KIPC_RUN(noinline, open, kipc_op_open)
KIPC_RUN(noinline, restrict, kipc_op_restrict)
KIPC_RUN(noinline, stat, kipc_op_stat)
KIPC_RUN(noinline, set, kipc_op_stat)
KIPC_RUN(noinline, remove, kipc_op_remove)
KIPC_RUN(noinline, next, kipc_op_next)
KIPC_RUN(noinline, sum, kipc_op_sum)
KIPC_RUN(__flatten, send, kipc_op_send)
KIPC_RUN(__flatten, recv, kipc_op_recv)
KIPC_RUN(__flatten, rpc, kipc_op_rpc)
KIPC_RUN(__flatten, reply, kipc_op_reply)
KIPC_RUN(__flatten, reply_recv, kipc_op_reply_recv)
KIPC_RUN(__flatten, send_batch, kipc_op_send_batch)
KIPC_RUN(__flatten, recv_batch, kipc_op_recv_batch)
KIPC_RUN(noinline, cancel, kipc_op_token)
KIPC_RUN(noinline, wanted, kipc_op_token)
KIPC_RUN(noinline, adopt, kipc_op_token)
KIPC_RUN(noinline, shutdown, kipc_op_shutdown)
KIPC_RUN(noinline, notify, kipc_op_notify)

/**
 * struct kipc_operation - an ioctl
 * @cmd: its number, with the size of its struct's first version
 * @run: what does it
 */
struct kipc_operation {
	unsigned int cmd;
	long (*run)(struct kipc_file *file, void __user *uop, size_t size);
};

#define KIPC_OPERATION(name, function)	\
	[_IOC_NR(KIPC_IOC_##name)] = { KIPC_IOC_##name, function }

static const struct kipc_operation kipc_operations[] = {
	KIPC_OPERATION(INFO, kipc_run_info),
	KIPC_OPERATION(OPEN, kipc_run_open),
	KIPC_OPERATION(RESTRICT, kipc_run_restrict),
	KIPC_OPERATION(STAT, kipc_run_stat),
	KIPC_OPERATION(SET, kipc_run_set),
	KIPC_OPERATION(REMOVE, kipc_run_remove),
	KIPC_OPERATION(NEXT, kipc_run_next),
	KIPC_OPERATION(SUM, kipc_run_sum),
	KIPC_OPERATION(SEND, kipc_run_send),
	KIPC_OPERATION(RECV, kipc_run_recv),
	KIPC_OPERATION(RPC, kipc_run_rpc),
	KIPC_OPERATION(REPLY, kipc_run_reply),
	KIPC_OPERATION(REPLY_RECV, kipc_run_reply_recv),
	KIPC_OPERATION(CANCEL, kipc_run_cancel),
	KIPC_OPERATION(WANTED, kipc_run_wanted),
	KIPC_OPERATION(ADOPT, kipc_run_adopt),
	KIPC_OPERATION(SHUTDOWN, kipc_run_shutdown),
	KIPC_OPERATION(EVENT, kipc_run_unsupported),
	KIPC_OPERATION(NOTIFY, kipc_run_notify),
	KIPC_OPERATION(SEND_BATCH, kipc_run_send_batch),
	KIPC_OPERATION(RECV_BATCH, kipc_run_recv_batch),
};

#define KIPC_CMD_SIZE_BITS (_IOC_SIZEMASK << _IOC_SIZESHIFT)

static noinline long kipc_ioctl_any(struct file *filp, unsigned int cmd, unsigned long arg)
{
	const struct kipc_operation *operation;
	unsigned int nr = _IOC_NR(cmd);

	if (nr >= ARRAY_SIZE(kipc_operations))
		return -ENOTTY;
	operation = &kipc_operations[array_index_nospec(nr, ARRAY_SIZE(kipc_operations))];
	/* Numbers that are not given out have a cmd of 0 */
	if ((operation->cmd ^ cmd) & ~KIPC_CMD_SIZE_BITS)
		return -ENOTTY;
	if (_IOC_SIZE(cmd) < _IOC_SIZE(operation->cmd))
		return -EINVAL;
	return operation->run(filp->private_data, (void __user *)arg, _IOC_SIZE(cmd));
}

long kipc_ioctl(struct file *filp, unsigned int cmd, unsigned long arg)
{
	/* Nothing between the system call and what moves messages */
	switch (cmd) {
	case KIPC_IOC_RPC:
		return kipc_run_rpc(filp->private_data, (void __user *)arg, _IOC_SIZE(cmd));
	case KIPC_IOC_REPLY_RECV:
		return kipc_run_reply_recv(filp->private_data, (void __user *)arg, _IOC_SIZE(cmd));
	case KIPC_IOC_SEND:
		return kipc_run_send(filp->private_data, (void __user *)arg, _IOC_SIZE(cmd));
	case KIPC_IOC_RECV:
		return kipc_run_recv(filp->private_data, (void __user *)arg, _IOC_SIZE(cmd));
	default:
		return kipc_ioctl_any(filp, cmd, arg);
	}
}
