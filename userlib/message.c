// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Sending and receiving.
 */
#include "internal.h"

KIPC_PUBLIC int kipc_send(int fd, const void *buf, size_t size, int timeout_ms)
{
	struct kipc_op_send op = {
		.deadline = libkipc_deadline(timeout_ms, 0),
		.payload = libkipc_bytes(buf, size),
	};

	return libkipc_ioctl(fd, KIPC_IOC_SEND, &op);
}

KIPC_PUBLIC int kipc_sendmsg(int fd, const struct kipc_msg *msg, int timeout_ms)
{
	msg = libkipc_msg(msg);
	if (!libkipc_valid(msg, LIBKIPC_SEND_USES))
		return -EINVAL;

	struct kipc_iovec segments[LIBKIPC_SEGMENTS(msg)];
	struct kipc_op_send op = {
		.flags = msg->flags,
		.endpoint = msg->endpoint,
		.type = msg->type,
		.prio = msg->prio,
		.deadline = libkipc_deadline(timeout_ms, msg->flags),
		.payload = libkipc_payload(msg, segments),
	};

	return libkipc_ioctl(fd, KIPC_IOC_SEND, &op);
}

KIPC_PUBLIC ssize_t kipc_recv(int fd, void *buf, size_t room, struct kipc_result *result,
			      int timeout_ms)
{
	struct kipc_op_recv op = {
		.deadline = libkipc_deadline(timeout_ms, 0),
		.payload = libkipc_bytes(buf, room),
		.result = libkipc_pointer(result),
	};

	libkipc_result(result);
	return libkipc_ioctl(fd, KIPC_IOC_RECV, &op);
}

KIPC_PUBLIC ssize_t kipc_recvmsg(int fd, const struct kipc_msg *msg, struct kipc_result *result,
				 int timeout_ms)
{
	msg = libkipc_msg(msg);
	libkipc_result(result);
	if (!libkipc_valid(msg, LIBKIPC_RECV_USES))
		return -EINVAL;

	struct kipc_iovec segments[LIBKIPC_SEGMENTS(msg)];
	struct kipc_op_recv op = {
		.flags = msg->flags,
		.endpoint = msg->endpoint,
		.type = msg->type,
		.after = msg->after,
		.after_type = msg->after_type,
		.deadline = libkipc_deadline(timeout_ms, msg->flags),
		.payload = libkipc_payload(msg, segments),
		.result = libkipc_pointer(result),
	};

	return libkipc_ioctl(fd, KIPC_IOC_RECV, &op);
}
