// SPDX-License-Identifier: GPL-2.0-only
/* See ioctl.h. */
#include <linux/fs.h>
#include <linux/kernel.h>
#include <linux/nospec.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include <linux/kipc.h>

#include "call.h"
#include "endpoint.h"
#include "file.h"
#include "ioctl.h"
#include "limits.h"
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
static_assert(sizeof(struct kipc_op_send) == 80);
static_assert(sizeof(struct kipc_op_recv) == 96);
static_assert(sizeof(struct kipc_op_rpc) == 144);
static_assert(sizeof(struct kipc_op_reply) == 72);
static_assert(sizeof(struct kipc_op_reply_recv) == 176);
static_assert(sizeof(struct kipc_op_token) == 32);
static_assert(sizeof(struct kipc_op_shutdown) == 8);
static_assert(sizeof(struct kipc_op_event) == 32);
static_assert(sizeof(struct kipc_op_notify) == 56);

/* The caller's struct, as far as we know it */
union kipc_op {
	struct kipc_limits info;
	struct kipc_op_open open;
	struct kipc_op_restrict restrict_;
	struct kipc_op_stat stat;
	struct kipc_op_remove remove;
	struct kipc_op_next next;
	struct kipc_op_send send;
	struct kipc_op_recv recv;
	struct kipc_op_rpc rpc;
	struct kipc_op_reply reply;
	struct kipc_op_reply_recv reply_recv;
	struct kipc_op_token token;
	struct kipc_op_shutdown shutdown;
	struct kipc_op_event event;
	struct kipc_op_notify notify;
};

/*
 * The endpoint an operation is for, with a reference: the handle's, if it has
 * @right (0: any will do), or the one with this id.
 */
static struct kipc_ep *kipc_target(struct kipc_file *file, u32 id, u32 right)
{
	struct kipc_ep *ep;

	if (file->ep) {
		if (id)
			return ERR_PTR(-EINVAL);
		if (right & ~file->rights)
			return ERR_PTR(-EBADF);
		return kipc_ep_get(file->ep);
	}
	if (!id)
		return ERR_PTR(-EINVAL);
	ep = kipc_ns_find_id(file->ns, id);
	return ep ?: ERR_PTR(-EIDRM);
}

/* What servers do needs a handle that may receive */
static int kipc_server(const struct kipc_file *file)
{
	return file->ep && file->rights & KIPC_RIGHT_RECV ? 0 : -EBADF;
}

static long kipc_op_info(struct kipc_file *file, union kipc_op *op, void __user *uop, size_t size)
{
	kipc_limits_get(&op->info);
	if (copy_to_user(uop, &op->info, sizeof(op->info)) ||
	    clear_user(uop + sizeof(op->info), size - sizeof(op->info)))
		return -EFAULT;
	return 0;
}

static long kipc_op_open(struct kipc_file *file, union kipc_op *op, void __user *uop, size_t size)
{
	if (file->ep)
		return -EBADF;
	return kipc_ep_open(file->ns, &op->open, uop);
}

static long kipc_op_unsupported(struct kipc_file *file, union kipc_op *op, void __user *uop,
				size_t size)
{
	return -EOPNOTSUPP;
}

static long kipc_op_stat(struct kipc_file *file, union kipc_op *op, void __user *uop, size_t size)
{
	struct kipc_ep *ep;
	int err = 0;

	if (op->stat.what)
		return -EINVAL;
	ep = kipc_target(file, op->stat.endpoint, 0);
	if (IS_ERR(ep))
		return PTR_ERR(ep);
	spin_lock(&ep->lock);
	if (ep->dead)
		err = -EIDRM;
	else if (!file->ep)
		err = kipc_ep_permission(ep, KIPC_MAY_SEE);
	spin_unlock(&ep->lock);
	if (!err) {
		kipc_ep_stat(ep, &op->stat.info);
		if (copy_to_user(uop, &op->stat, sizeof(op->stat)))
			err = -EFAULT;
	}
	kipc_ep_put(ep);
	return err;
}

static long kipc_op_set(struct kipc_file *file, union kipc_op *op, void __user *uop, size_t size)
{
	struct kipc_ep *ep = kipc_target(file, op->stat.endpoint, KIPC_RIGHT_CONTROL);
	long err;

	if (IS_ERR(ep))
		return PTR_ERR(ep);
	err = kipc_ep_set(ep, &op->stat, !file->ep);
	kipc_ep_put(ep);
	return err;
}

static long kipc_op_remove(struct kipc_file *file, union kipc_op *op, void __user *uop,
			   size_t size)
{
	struct kipc_ep *ep;
	long err;

	if (op->remove.flags)
		return -EINVAL;
	ep = kipc_target(file, op->remove.endpoint, KIPC_RIGHT_CONTROL);
	if (IS_ERR(ep))
		return PTR_ERR(ep);
	err = kipc_ep_remove(ep, !file->ep);
	kipc_ep_put(ep);
	return err;
}

static long kipc_op_next(struct kipc_file *file, union kipc_op *op, void __user *uop, size_t size)
{
	u32 index = kipc_id_index(op->next.id), id;
	struct kipc_ep *ep;
	bool seen;

	if (file->ep)
		return -EBADF;
	if (op->next.flags)
		return -EINVAL;
	for (;;) {
		ep = kipc_ns_first(file->ns, index);
		if (!ep)
			return -ENOENT;
		id = ep->id;
		index = kipc_id_index(id) + 1;
		/* The index of one that has ended may be in use again */
		seen = id > op->next.id && kipc_ep_visible(ep);
		kipc_ep_put(ep);
		if (seen)
			break;
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}
	op->next.id = id;
	return copy_to_user(uop, &op->next, sizeof(op->next)) ? -EFAULT : 0;
}

static long kipc_op_send(struct kipc_file *file, union kipc_op *op, void __user *uop, size_t size)
{
	struct kipc_ep *ep = kipc_target(file, op->send.endpoint, KIPC_RIGHT_SEND);
	long ret;

	if (IS_ERR(ep))
		return PTR_ERR(ep);
	ret = kipc_send(file, ep, &op->send);
	kipc_ep_put(ep);
	return ret;
}

static long kipc_op_recv(struct kipc_file *file, union kipc_op *op, void __user *uop, size_t size)
{
	struct kipc_ep *ep = kipc_target(file, op->recv.endpoint, KIPC_RIGHT_RECV);
	struct kipc_recv recv;
	long ret;

	if (IS_ERR(ep))
		return PTR_ERR(ep);
	ret = kipc_recv_prepare(&recv, file, &op->recv);
	if (!ret) {
		ret = kipc_recv_run(&recv, file, ep);
		kipc_recv_end(&recv);
	}
	kipc_ep_put(ep);
	return ret;
}

static long kipc_op_rpc(struct kipc_file *file, union kipc_op *op, void __user *uop, size_t size)
{
	struct kipc_ep *ep = NULL;
	long ret;

	/* A restarted call still names the endpoint; its token is enough */
	if (!op->rpc.token && !(op->rpc.flags & KIPC_NEXT)) {
		ep = kipc_target(file, op->rpc.endpoint, KIPC_RIGHT_SEND);
		if (IS_ERR(ep))
			return PTR_ERR(ep);
	}
	ret = kipc_rpc(file, ep, &op->rpc, uop);
	if (ep)
		kipc_ep_put(ep);
	return ret;
}

static long kipc_op_reply(struct kipc_file *file, union kipc_op *op, void __user *uop,
			  size_t size)
{
	struct kipc_op_reply *reply = &op->reply;
	int err = kipc_server(file);

	if (err)
		return err;
	if (reply->flags || memchr_inv(reply->reserved, 0, sizeof(reply->reserved)))
		return -EINVAL;
	return kipc_reply(file, reply->token, reply->status, reply->type, &reply->payload);
}

static int kipc_reply_recv_check(const struct kipc_op_reply_recv *op)
{
	if (op->pad || op->replied > 1 || op->recv.endpoint ||
	    memchr_inv(op->reserved, 0, sizeof(op->reserved)))
		return -EINVAL;
	/* What is left of a reply that was made before the restart */
	if (op->replied ? op->token || (op->reply_error && op->reply_error != -ECANCELED) :
			  op->reply_error)
		return -EINVAL;
	return op->recv.flags & KIPC_PEEK ? -EINVAL : 0;
}

static int kipc_reply_tell(const struct kipc_op_reply_recv *op,
			   struct kipc_op_reply_recv __user *uop)
{
	return put_user(op->token, &uop->token) ?: put_user(op->reply_error, &uop->reply_error) ?:
	       put_user(op->replied, &uop->replied);
}

/*
 * The reply half. Once it is made, that is stored in the caller's struct before
 * anything else can happen: a restart finds no token.
 */
static int kipc_reply_half(struct kipc_file *file, struct kipc_op_reply_recv *op,
			   struct kipc_op_reply_recv __user *uop)
{
	int err;

	if (!op->token)
		return 0;
	/* Who cannot be told that the token is used up keeps it */
	err = kipc_reply_tell(op, uop);
	if (err)
		return err;
	err = kipc_reply(file, op->token, op->status, op->type, &op->reply);
	if (err && err != -ECANCELED)
		return err;
	op->token = 0;
	op->reply_error = err;
	op->replied = 1;
	return kipc_reply_tell(op, uop);
}

static long kipc_op_reply_recv(struct kipc_file *file, union kipc_op *uni, void __user *uop,
			       size_t size)
{
	struct kipc_op_reply_recv *op = &uni->reply_recv;
	struct kipc_recv recv;
	long ret = kipc_server(file) ?: kipc_reply_recv_check(op);

	if (ret)
		return ret;
	ret = kipc_recv_prepare(&recv, file, &op->recv);
	if (ret)
		return ret;
	ret = kipc_reply_half(file, op, uop);
	if (op->replied)
		recv.result.flags = KIPC_RESULT_REPLIED;
	recv.result.reply_error = op->reply_error;
	if (!ret)
		ret = kipc_recv_run(&recv, file, file->ep);
	else if (op->replied)
		ret = kipc_recv_failed(&recv, ret);
	kipc_recv_end(&recv);
	return ret;
}

static int kipc_token_check(const struct kipc_op_token *op)
{
	return op->flags || op->result_flags ||
	       memchr_inv(op->reserved, 0, sizeof(op->reserved)) ? -EINVAL : 0;
}

static long kipc_op_cancel(struct kipc_file *file, union kipc_op *op, void __user *uop,
			   size_t size)
{
	u32 __user *told = &((struct kipc_op_token __user *)uop)->result_flags;
	long err = kipc_token_check(&op->token);

	/* What cannot be told is not done */
	return err ?: put_user(0, told) ?: kipc_cancel(file, &op->token) ?:
	       put_user(op->token.result_flags, told);
}

static long kipc_op_wanted(struct kipc_file *file, union kipc_op *op, void __user *uop,
			   size_t size)
{
	return kipc_server(file) ?: kipc_token_check(&op->token) ?:
	       kipc_wanted(file, op->token.token);
}

static long kipc_op_adopt(struct kipc_file *file, union kipc_op *op, void __user *uop,
			  size_t size)
{
	return kipc_server(file) ?: kipc_token_check(&op->token) ?:
	       kipc_adopt(file, op->token.token);
}

static long kipc_op_shutdown(struct kipc_file *file, union kipc_op *op, void __user *uop,
			     size_t size)
{
	int err = kipc_server(file);

	if (err)
		return err;
	if (op->shutdown.flags || op->shutdown.pad)
		return -EINVAL;
	return kipc_file_shutdown(file);
}

/**
 * struct kipc_operation - an ioctl
 * @cmd: its number, with the size of its struct's first version
 * @run: what does it
 */
struct kipc_operation {
	unsigned int cmd;
	long (*run)(struct kipc_file *file, union kipc_op *op, void __user *uop, size_t size);
};

#define KIPC_OPERATION(name, function)	\
	[_IOC_NR(KIPC_IOC_##name)] = { KIPC_IOC_##name, function }

static const struct kipc_operation kipc_operations[] = {
	KIPC_OPERATION(INFO, kipc_op_info),
	KIPC_OPERATION(OPEN, kipc_op_open),
	KIPC_OPERATION(RESTRICT, kipc_op_unsupported),
	KIPC_OPERATION(STAT, kipc_op_stat),
	KIPC_OPERATION(SET, kipc_op_set),
	KIPC_OPERATION(REMOVE, kipc_op_remove),
	KIPC_OPERATION(NEXT, kipc_op_next),
	KIPC_OPERATION(SEND, kipc_op_send),
	KIPC_OPERATION(RECV, kipc_op_recv),
	KIPC_OPERATION(RPC, kipc_op_rpc),
	KIPC_OPERATION(REPLY, kipc_op_reply),
	KIPC_OPERATION(REPLY_RECV, kipc_op_reply_recv),
	KIPC_OPERATION(CANCEL, kipc_op_cancel),
	KIPC_OPERATION(WANTED, kipc_op_wanted),
	KIPC_OPERATION(ADOPT, kipc_op_adopt),
	KIPC_OPERATION(SHUTDOWN, kipc_op_shutdown),
	KIPC_OPERATION(EVENT, kipc_op_unsupported),
	KIPC_OPERATION(NOTIFY, kipc_op_unsupported),
};

#define KIPC_CMD_SIZE_BITS (_IOC_SIZEMASK << _IOC_SIZESHIFT)

long kipc_ioctl(struct file *filp, unsigned int cmd, unsigned long arg)
{
	struct kipc_file *file = filp->private_data;
	void __user *uop = (void __user *)arg;
	const struct kipc_operation *operation;
	size_t size = _IOC_SIZE(cmd), known;
	unsigned int nr = _IOC_NR(cmd);
	union kipc_op op;
	int err;

	if (nr >= ARRAY_SIZE(kipc_operations))
		return -ENOTTY;
	operation = &kipc_operations[array_index_nospec(nr, ARRAY_SIZE(kipc_operations))];
	if (!operation->run || (operation->cmd ^ cmd) & ~KIPC_CMD_SIZE_BITS)
		return -ENOTTY;
	known = _IOC_SIZE(operation->cmd);
	if (size < known)
		return -EINVAL;
	if (_IOC_DIR(cmd) & _IOC_WRITE) {
		err = copy_struct_from_user(&op, known, uop, size);
		if (err)
			return err;
	}
	return operation->run(file, &op, uop, size);
}
