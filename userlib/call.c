// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The caller's side of a call.
 */
#include "internal.h"

/* Which form a call of KIPC_IOC_RPC is, the function says and not its flags. */
#define FORM_FLAGS	(KIPC_ASYNC | KIPC_NEXT)

/* What a message that is room for a reply may say of it */
#define ROOM_FLAGS	(KIPC_TRUNCATE | KIPC_NOFILES)

KIPC_PUBLIC int kipc_cancel(int fd, uint64_t token)
{
	struct kipc_op_token op = { .token = token };
	int ret = libkipc_ioctl(fd, KIPC_IOC_CANCEL, &op);

	return ret < 0 ? ret : (int)(op.result_flags & KIPC_RESULT_DELIVERED);
}

/*
 * A call that goes on after its system call has its token in @op and in the
 * result. Without a result nobody would ever know: end it. (A token that is
 * left from a restart, the call having ended since, hits nothing.)
 */
static int do_rpc(int fd, struct kipc_op_rpc *op)
{
	int ret = libkipc_ioctl(fd, KIPC_IOC_RPC, op);

	if (ret < 0 && !op->result && op->token)
		kipc_cancel(fd, op->token);
	return ret;
}

KIPC_PUBLIC ssize_t kipc_rpc(int fd, const void *req, size_t size, void *reply, size_t room,
			     int timeout_ms)
{
	struct kipc_op_rpc op = {
		.deadline = libkipc_deadline(timeout_ms, 0),
		.request = libkipc_bytes(req, size),
		.reply = libkipc_bytes(reply, room),
	};

	return do_rpc(fd, &op);
}

KIPC_PUBLIC ssize_t kipc_rpcmsg(int fd, const struct kipc_msg *req, const struct kipc_msg *reply,
				struct kipc_result *result, int timeout_ms)
{
	req = libkipc_msg(req);
	reply = libkipc_msg(reply);
	libkipc_result(result);
	if (!libkipc_valid(req, LIBKIPC_CALL_USES) || !libkipc_valid(reply, LIBKIPC_ROOM_USES) ||
	    req->flags & FORM_FLAGS || reply->flags & ~ROOM_FLAGS)
		return -EINVAL;

	struct kipc_iovec req_segments[LIBKIPC_SEGMENTS(req)];
	struct kipc_iovec reply_segments[LIBKIPC_SEGMENTS(reply)];
	struct kipc_op_rpc op = {
		.flags = req->flags | reply->flags,
		.endpoint = req->endpoint,
		.type = req->type,
		.cookie = req->cookie,
		.prio = req->prio,
		.deadline = libkipc_deadline(timeout_ms, req->flags),
		.request = libkipc_payload(req, req_segments),
		.reply = libkipc_payload(reply, reply_segments),
		.result = libkipc_pointer(result),
	};

	return do_rpc(fd, &op);
}

KIPC_PUBLIC int kipc_rpc_start(int fd, const struct kipc_msg *req, size_t reply_room,
			       uint64_t *token, int timeout_ms)
{
	int ret;

	req = libkipc_msg(req);
	if (token)
		*token = 0;
	if (!libkipc_valid(req, LIBKIPC_CALL_USES) || req->flags & FORM_FLAGS)
		return -EINVAL;

	struct kipc_iovec segments[LIBKIPC_SEGMENTS(req)];
	struct kipc_op_rpc op = {
		.flags = req->flags | KIPC_ASYNC,
		.endpoint = req->endpoint,
		.type = req->type,
		.cookie = req->cookie,
		.prio = req->prio,
		.deadline = libkipc_deadline(timeout_ms, req->flags),
		.request = libkipc_payload(req, segments),
		.reply_room = reply_room,
	};

	ret = libkipc_ioctl(fd, KIPC_IOC_RPC, &op);
	if (ret >= 0 && token)
		*token = op.token;
	return ret;
}

KIPC_PUBLIC ssize_t kipc_rpc_finish(int fd, uint64_t token, const struct kipc_msg *reply,
				    struct kipc_result *result, int wait_ms)
{
	reply = libkipc_msg(reply);
	libkipc_result(result);
	if (!libkipc_valid(reply, LIBKIPC_ROOM_USES) || reply->flags & FORM_FLAGS)
		return -EINVAL;

	struct kipc_iovec segments[LIBKIPC_SEGMENTS(reply)];
	struct kipc_op_rpc op = {
		.flags = reply->flags | (token ? 0 : KIPC_NEXT),
		.token = token,
		.deadline = libkipc_deadline(wait_ms, reply->flags),
		.reply = libkipc_payload(reply, segments),
		.result = libkipc_pointer(result),
	};

	/* An error leaves the call as it was: the caller has its token. */
	return libkipc_ioctl(fd, KIPC_IOC_RPC, &op);
}
