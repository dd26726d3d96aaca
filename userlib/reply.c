// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The server's side of a call.
 */
#include "internal.h"

KIPC_PUBLIC int kipc_reply(int fd, uint64_t token, const void *buf, size_t size)
{
	struct kipc_op_reply op = {
		.token = token,
		.payload = libkipc_bytes(buf, size),
	};

	return libkipc_ioctl(fd, KIPC_IOC_REPLY, &op);
}

KIPC_PUBLIC int kipc_reply_error(int fd, uint64_t token, int error)
{
	struct kipc_op_reply op = { .token = token, .status = error };

	if (error <= 0 || error > KIPC_STATUS_MAX)
		return -EINVAL;
	return libkipc_ioctl(fd, KIPC_IOC_REPLY, &op);
}

KIPC_PUBLIC int kipc_replymsg(int fd, uint64_t token, const struct kipc_msg *msg)
{
	msg = libkipc_msg(msg);
	if (!libkipc_valid(msg, LIBKIPC_REPLY_USES))
		return -EINVAL;

	struct kipc_iovec segments[LIBKIPC_SEGMENTS(msg)];
	struct kipc_op_reply op = {
		.token = token,
		.status = msg->status,
		.flags = msg->flags,
		.type = msg->type,
		.payload = libkipc_payload(msg, segments),
	};

	return libkipc_ioctl(fd, KIPC_IOC_REPLY, &op);
}

/*
 * On success the result is all the kernel's. After an error, @op says what has
 * become of the reply: the kernel clears op->token when it makes it, and sets
 * replied and reply_error before any return. A token that is answered must not
 * come back to the caller, who would answer it again.
 */
static ssize_t do_reply_recv(int fd, struct kipc_op_reply_recv *op, struct kipc_result *result)
{
	int ret;

	op->token = result->token;
	op->recv.result = libkipc_pointer(result);
	*result = (struct kipc_result){ .token = op->token };

	ret = libkipc_ioctl(fd, KIPC_IOC_REPLY_RECV, op);
	if (ret < 0) {
		result->token = op->token;
		result->reply_error = op->reply_error;
		if (op->replied)
			result->flags |= KIPC_RESULT_REPLIED;
	}
	return ret;
}

KIPC_PUBLIC ssize_t kipc_reply_recv(int fd, const void *reply, size_t size, void *buf, size_t room,
				    struct kipc_result *result, int timeout_ms)
{
	if (!result)
		return -EINVAL;

	struct kipc_op_reply_recv op = {
		.recv.deadline = libkipc_deadline(timeout_ms, 0),
		.recv.payload = libkipc_bytes(buf, room),
	};

	if (result->token)
		op.reply = libkipc_bytes(reply, size);
	return do_reply_recv(fd, &op, result);
}

KIPC_PUBLIC ssize_t kipc_reply_recvmsg(int fd, const struct kipc_msg *reply,
				       const struct kipc_msg *msg, struct kipc_result *result,
				       int timeout_ms)
{
	if (!result)
		return -EINVAL;
	reply = libkipc_msg(reply);
	msg = libkipc_msg(msg);
	/* A cursor in the result would look like the token of a call. */
	if (!libkipc_valid(reply, LIBKIPC_REPLY_USES) || !libkipc_valid(msg, LIBKIPC_RECV_USES) ||
	    reply->flags || msg->flags & KIPC_PEEK) {
		*result = (struct kipc_result){ .token = result->token };
		return -EINVAL;
	}

	struct kipc_iovec reply_segments[LIBKIPC_SEGMENTS(reply)];
	struct kipc_iovec segments[LIBKIPC_SEGMENTS(msg)];
	struct kipc_op_reply_recv op = {
		.recv.flags = msg->flags,
		.recv.endpoint = msg->endpoint,
		.recv.type = msg->type,
		.recv.after = msg->after,
		.recv.after_type = msg->after_type,
		.recv.deadline = libkipc_deadline(timeout_ms, msg->flags),
		.recv.payload = libkipc_payload(msg, segments),
	};

	if (result->token) {
		op.status = reply->status;
		op.type = reply->type;
		op.reply = libkipc_payload(reply, reply_segments);
	}
	return do_reply_recv(fd, &op, result);
}

KIPC_PUBLIC int kipc_wanted(int fd, uint64_t token)
{
	struct kipc_op_token op = { .token = token };

	return libkipc_ioctl(fd, KIPC_IOC_WANTED, &op);
}

KIPC_PUBLIC int kipc_adopt(int fd, uint64_t token)
{
	struct kipc_op_token op = { .token = token };

	return libkipc_ioctl(fd, KIPC_IOC_ADOPT, &op);
}
