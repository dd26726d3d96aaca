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

KIPC_PUBLIC int kipc_send_batch(int fd, const struct kipc_msg *batch,
				const struct kipc_batch_msg *msgs, unsigned int count,
				int timeout_ms)
{
	batch = libkipc_msg(batch);
	if (!libkipc_valid_batch(batch, LIBKIPC_SEND_BATCH_USES))
		return -EINVAL;

	struct kipc_op_send_batch op = {
		.flags = batch->flags,
		.endpoint = batch->endpoint,
		.deadline = libkipc_deadline(timeout_ms, batch->flags),
		.base = libkipc_pointer(batch->iov->iov_base),
		.len = batch->iov->iov_len,
		.msgs = libkipc_pointer(msgs),
		.count = count,
	};

	return libkipc_ioctl(fd, KIPC_IOC_SEND_BATCH, &op);
}

KIPC_PUBLIC int kipc_recv_batch(int fd, const struct kipc_msg *batch, struct kipc_result *results,
				unsigned int count, int timeout_ms)
{
	int ret;

	/* So many results can there be; more are not the caller's own */
	if (!results || count > KIPC_BATCH_MAX)
		return -EINVAL;
	batch = libkipc_msg(batch);
	if (!libkipc_valid_batch(batch, LIBKIPC_RECV_BATCH_USES)) {
		libkipc_results(results, 0, count);
		return -EINVAL;
	}
	libkipc_results(results, 0, !!count);

	struct kipc_op_recv_batch op = {
		.flags = batch->flags,
		.endpoint = batch->endpoint,
		.type = batch->type,
		.deadline = libkipc_deadline(timeout_ms, batch->flags),
		.base = libkipc_pointer(batch->iov->iov_base),
		.len = batch->iov->iov_len,
		.results = libkipc_pointer(results),
		.count = count,
	};

	ret = libkipc_ioctl(fd, KIPC_IOC_RECV_BATCH, &op);
	/* What it told of messages that it did not take after all; the size needed stays */
	libkipc_results(results, ret > 0 ? (unsigned int)ret : ret == -EMSGSIZE, count);
	return ret;
}
