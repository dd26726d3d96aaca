/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the sources of libkipc share. Included first by each of them.
 */
#ifndef LIBKIPC_INTERNAL_H
#define LIBKIPC_INTERNAL_H

/* A 32-bit library must tell the time after 2038. */
#ifndef _FILE_OFFSET_BITS
#define _FILE_OFFSET_BITS 64
#endif
#ifndef _TIME_BITS
#define _TIME_BITS 64
#endif
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>
#include <sys/ioctl.h>

#include "kipc.h"

#define KIPC_PUBLIC __attribute__((visibility("default")))

/* An address, or its absence, as struct kipc_op_open has it */
int libkipc_address(struct kipc_op_open *op, const char *address);

/* poll(2)'s milliseconds as a deadline: from @now, or from the present */
uint64_t libkipc_deadline_from(const struct timespec *now, int timeout_ms);
uint64_t libkipc_deadline_in(int timeout_ms, uint32_t flags);

static inline uint64_t libkipc_deadline(int timeout_ms, uint32_t flags)
{
	if (timeout_ms < 0)
		return KIPC_FOREVER;
	return timeout_ms ? libkipc_deadline_in(timeout_ms, flags) : 0;
}

/* close(2) that is no cancellation point and leaves errno alone */
void libkipc_close(int fd);

/* ioctl(2) that returns a negative errno and leaves errno alone */
static inline int libkipc_ioctl(int fd, unsigned long request, void *op)
{
	int saved = errno;
	int ret = ioctl(fd, request, op);

	if (ret < 0) {
		ret = -errno;
		errno = saved;
	}
	return ret;
}

static inline uint64_t libkipc_pointer(const void *pointer)
{
	return (uintptr_t)pointer;
}

static inline struct kipc_payload libkipc_bytes(const void *buf, size_t size)
{
	return (struct kipc_payload){ .base = libkipc_pointer(buf), .len = size };
}

static inline void libkipc_result(struct kipc_result *result)
{
	if (result)
		*result = (struct kipc_result){ 0 };
}

/* Those from @from to before @to */
static inline void libkipc_results(struct kipc_result *results, unsigned int from, unsigned int to)
{
	for (; from < to; from++)
		results[from] = (struct kipc_result){ 0 };
}

/* NULL stands for a zeroed message */
static inline const struct kipc_msg *libkipc_msg(const struct kipc_msg *msg)
{
	static const struct kipc_msg zero;

	return msg ? msg : &zero;
}

/* Members of struct kipc_msg that not every function uses */
enum {
	LIBKIPC_TYPE = 1 << 0,
	LIBKIPC_COOKIE = 1 << 1,
	LIBKIPC_PRIO = 1 << 2,
	LIBKIPC_ENDPOINT = 1 << 3,
	LIBKIPC_STATUS = 1 << 4,
	LIBKIPC_AFTER = 1 << 5,

	LIBKIPC_SEND_USES = LIBKIPC_TYPE | LIBKIPC_PRIO | LIBKIPC_ENDPOINT,
	LIBKIPC_RECV_USES = LIBKIPC_TYPE | LIBKIPC_ENDPOINT | LIBKIPC_AFTER,
	LIBKIPC_CALL_USES = LIBKIPC_SEND_USES | LIBKIPC_COOKIE,
	LIBKIPC_REPLY_USES = LIBKIPC_TYPE | LIBKIPC_STATUS,
	LIBKIPC_ROOM_USES = 0,
	LIBKIPC_SEND_BATCH_USES = LIBKIPC_ENDPOINT,
	LIBKIPC_RECV_BATCH_USES = LIBKIPC_TYPE | LIBKIPC_ENDPOINT,
};

/* Can @msg be what it is passed as? */
static inline bool libkipc_valid(const struct kipc_msg *msg, unsigned int uses)
{
	uint64_t unused = msg->reserved[0] | msg->reserved[1] |
			  msg->reserved[2] | msg->reserved[3];

	if (!(uses & LIBKIPC_TYPE))
		unused |= msg->type;
	if (!(uses & LIBKIPC_COOKIE))
		unused |= msg->cookie;
	if (!(uses & LIBKIPC_PRIO))
		unused |= msg->prio;
	if (!(uses & LIBKIPC_ENDPOINT))
		unused |= msg->endpoint;
	if (!(uses & LIBKIPC_STATUS))
		unused |= msg->status != 0;
	if (!(uses & LIBKIPC_AFTER))
		unused |= msg->after | msg->after_type;

	return !unused && msg->iovcnt <= KIPC_IOV_MAX;
}

/* The same for a batch, whose payloads lie in one buffer, and without files */
static inline bool libkipc_valid_batch(const struct kipc_msg *batch, unsigned int uses)
{
	return libkipc_valid(batch, uses) && batch->iovcnt == 1 && !batch->nfds;
}

/*
 * The kernel's segments have 64 bits everywhere. Where the C library's have
 * too, the kernel reads them as they are; elsewhere they are converted, into
 * an array of LIBKIPC_SEGMENTS(msg) on the stack of the public function.
 */
#if UINTPTR_MAX == UINT64_MAX
_Static_assert(sizeof(struct iovec) == sizeof(struct kipc_iovec), "iovec: size");
_Static_assert(offsetof(struct iovec, iov_base) == offsetof(struct kipc_iovec, base),
	       "iovec: address");
_Static_assert(offsetof(struct iovec, iov_len) == offsetof(struct kipc_iovec, len),
	       "iovec: length");

#define LIBKIPC_SEGMENTS(msg) 1

static inline uint64_t libkipc_segments(const struct kipc_msg *msg, struct kipc_iovec *segments)
{
	(void)segments;
	return libkipc_pointer(msg->iov);
}
#else
#define LIBKIPC_SEGMENTS(msg) ((msg)->iovcnt > 1 ? (msg)->iovcnt : 1)

static inline uint64_t libkipc_segments(const struct kipc_msg *msg, struct kipc_iovec *segments)
{
	for (uint32_t i = 0; i < msg->iovcnt; i++) {
		segments[i].base = libkipc_pointer(msg->iov[i].iov_base);
		segments[i].len = msg->iov[i].iov_len;
	}
	return libkipc_pointer(segments);
}
#endif

_Static_assert(sizeof(int) == sizeof(__s32), "the kernel reads struct kipc_msg's fds");

/* @msg was found valid; @segments must last as long as the payload */
static inline struct kipc_payload libkipc_payload(const struct kipc_msg *msg,
						  struct kipc_iovec *segments)
{
	struct kipc_payload payload = { 0 };

	if (msg->iovcnt == 1) {
		payload = libkipc_bytes(msg->iov->iov_base, msg->iov->iov_len);
	} else if (msg->iovcnt) {
		payload.base = libkipc_segments(msg, segments);
		payload.iovcnt = msg->iovcnt;
	}
	if (msg->nfds) {
		payload.fds = libkipc_pointer(msg->fds);
		payload.nfds = msg->nfds;
	}
	return payload;
}

#endif /* LIBKIPC_INTERNAL_H */
