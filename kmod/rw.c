// SPDX-License-Identifier: GPL-2.0-only
/* See rw.h. */
#include <linux/cred.h>
#include <linux/fs.h>
#include <linux/uio.h>

#include "endpoint.h"
#include "file.h"
#include "message.h"
#include "notify.h"
#include "queue.h"
#include "rw.h"
#include "transfer.h"

/* A line of state, with the largest numbers */
#define KIPC_STATE_MAX	96

/* As the opener, who counts as the one who waits */
static struct kipc_msg *kipc_read_claim(struct kipc_file *file, struct kipc_recv *recv)
{
	const struct cred *caller = override_creds(file->filp->f_cred);
	struct kipc_msg *msg = kipc_recv_claim(recv, file, file->ep);

	revert_creds(caller);
	return msg;
}

/* As the commit of any receive: 1 it is ours, 0 its sender has left, or what puts it back */
static int kipc_read_commit(struct kipc_file *file, struct kipc_msg *msg, int err)
{
	struct kipc_after after __uninitialized;
	struct kipc_ep *ep = file->ep;
	bool done = false;

	kipc_lock(ep, &after);
	if (!err)
		err = kipc_recv_may_commit(file, ep);
	if (err)
		kipc_unclaim(ep, msg, &after);
	else
		done = kipc_commit(ep, msg, file, &after);
	kipc_unlock(ep, &after);
	if (done)
		kipc_msg_put(msg);
	return err == -ESTALE ? 0 : err ?: done;
}

static ssize_t kipc_read_take(struct kipc_file *file, struct kipc_recv *recv)
{
	struct iov_iter *to = recv->segs.iter;
	size_t room = recv->segs.total, size;
	unsigned int tries = 0;
	struct kipc_msg *msg;
	int err;

	for (;;) {
		msg = kipc_read_claim(file, recv);
		if (IS_ERR(msg))
			return PTR_ERR(msg);
		size = msg->size;
		if (kipc_recv_too_small(recv, msg))
			err = -EMSGSIZE;
		else
			err = kipc_msg_write(&recv->segs, msg, size);
		err = kipc_read_commit(file, msg, err);
		if (err > 0)
			return size;
		iov_iter_revert(to, room - iov_iter_count(to));
		/* Senders that always leave must not hold us */
		if (!err && ++tries >= KIPC_BATCH)
			err = kipc_deadline_check(&recv->deadline);
		if (err)
			return err;
	}
}

ssize_t kipc_read(struct kipc_file *file, struct iov_iter *to, bool nowait)
{
	const struct kipc_op_recv op = {
		.flags = KIPC_ANYSIZE | KIPC_NOFILES | (nowait ? KIPC_NONBLOCK : 0),
		.deadline = KIPC_FOREVER,
	};
	struct kipc_recv recv;
	ssize_t ret;

	if (!(file->rights & KIPC_RIGHT_RECV))
		return -EBADF;
	if (!(file->ep->flags & KIPC_ENDPOINT_ONEWAY))
		return -EINVAL;
	if (!iov_iter_count(to))
		return 0;
	ret = kipc_recv_prepare(&recv, file, &op);
	if (ret)
		return ret;
	recv.segs.nr = 0;
	recv.segs.total = iov_iter_count(to);
	recv.segs.iter = to;
	ret = kipc_read_take(file, &recv);
	return ret == -EIDRM || ret == -ESHUTDOWN ? 0 : ret;
}

ssize_t kipc_read_state(struct kipc_file *file, loff_t *pos, struct iov_iter *to)
{
	struct kipc_ep *ep = file->ep;
	struct kipc_notice notice;
	char text[KIPC_STATE_MAX];
	size_t len, done;
	u64 bytes;

	spin_lock(&ep->lock);
	bytes = ep->bytes;
	kipc_notify_look(ep, &notice);
	spin_unlock(&ep->lock);
	/* The form is that of mqueue(7), which programs take apart */
	len = scnprintf(text, sizeof(text),
			"QSIZE:%-10llu NOTIFY:%-5d SIGNO:%-5d NOTIFY_PID:%-6d\n", bytes,
			notice.sigev_notify, notice.signo, notice.pid);
	if (*pos >= len)
		return 0;
	done = copy_to_iter(text + *pos, len - *pos, to);
	if (done) {
		spin_lock(&ep->lock);
		kipc_ep_accessed(ep);
		spin_unlock(&ep->lock);
	}
	*pos += done;
	return done || !iov_iter_count(to) ? done : -EFAULT;
}

ssize_t kipc_write(struct kipc_file *file, struct iov_iter *from, bool nowait)
{
	size_t size = iov_iter_count(from);
	const struct kipc_segs segs = { .nr = 0, .total = size, .iter = from };
	const struct cred *opener = file->filp->f_cred, *caller;
	struct kipc_deadline deadline;
	struct kipc_msg *msg;
	int err;

	if (!(file->rights & KIPC_RIGHT_SEND))
		return -EBADF;
	if (file->as_mqueue)
		return -EINVAL;
	if (!size)
		return 0;
	if (size > kipc_ep_max_size(file->ep))
		return -EMSGSIZE;
	kipc_deadline_init(&deadline, KIPC_FOREVER, false,
			   kipc_nonblock(file, nowait ? KIPC_NONBLOCK : 0), false);
	msg = kipc_msg_new(file->pool, &segs, 0, 0, KIPC_KIND_MSG, false, ktime_get());
	if (IS_ERR(msg)) {
		err = PTR_ERR(msg);
		goto fail;
	}
	msg->badge = file->badge;
	msg->creds.uid = opener->euid;
	msg->creds.gid = opener->egid;
	caller = override_creds(opener);
	err = kipc_send_msg(file, file->ep, msg, &deadline);
	revert_creds(caller);
	if (!err)
		return size;
fail:
	iov_iter_revert(from, size - iov_iter_count(from));
	return err;
}
