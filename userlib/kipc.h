/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libkipc: message passing between processes through /dev/kipc.
 *
 * Every call returns >= 0 or a negative errno; errno is untouched. timeout_ms
 * is as in poll(2): -1 for ever, 0 never sleeps. Zeroed structs are defaults,
 * reserved members must be 0. Descriptors are close-on-exec and end by
 * close(2). Token 0: nothing owed.
 */
#ifndef KIPC_H
#define KIPC_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <linux/kipc.h>	/* flags, struct kipc_limits, kipc_attr, kipc_result, kipc_endpoint */

#ifdef __cplusplus
extern "C" {
#endif

/* flags: KIPC_SYNC IDEMPOTENT PEEK TRUNCATE ANYSIZE NOCALLS NORESTART REALTIME...; selector: TYPE_EQ TYPE_LE TYPE_NE, none: any */
struct kipc_msg {
	uint64_t type;
	uint64_t cookie;	/* the caller's, comes back in the call's result */
	uint32_t prio;		/* 0..32767, higher first */
	uint32_t flags;
	uint32_t endpoint;	/* id; device file only */
	uint32_t iovcnt;
	struct iovec *iov;
	int *fds;
	uint32_t nfds;		/* to send, or room for */
	int32_t status;		/* replies: 0, or a positive errno */
	uint64_t after;		/* KIPC_PEEK: cursor, result.token of the message before */
	uint64_t after_type;	/* and its type, with KIPC_TYPE_LE */
	uint32_t reserved[4];
};

/* An address is a name, "key:NUMBER" or "id:NUMBER"; NULL is private. */
int kipc_create(const char *address, unsigned int flags, mode_t mode, const struct kipc_attr *attr);
int kipc_open(const char *address, unsigned int rights, int timeout_ms);	/* waits for it to appear */
int kipc_open_device(void);
int kipc_info(int fd, struct kipc_limits *limits);
int kipc_restrict(int fd, unsigned int rights, uint64_t badge);
int kipc_shutdown(int fd);
int kipc_stat(int fd, uint32_t id, struct kipc_endpoint *endpoint);
int kipc_set(int fd, uint32_t id, unsigned int what, const struct kipc_endpoint *endpoint);
int kipc_remove(int fd, uint32_t id);
int kipc_next(int devfd, uint32_t after, uint32_t *id);

/* result NULL: one-way messages only, calls stay where they are */
int kipc_send(int fd, const void *buf, size_t size, int timeout_ms);
ssize_t kipc_recv(int fd, void *buf, size_t room, struct kipc_result *result, int timeout_ms);
ssize_t kipc_rpc(int fd, const void *req, size_t size, void *reply, size_t room, int timeout_ms);
int kipc_reply(int fd, uint64_t token, const void *buf, size_t size);
int kipc_reply_error(int fd, uint64_t token, int error);
/* replies to result->token unless it is 0, zeroes it, receives */
ssize_t kipc_reply_recv(int fd, const void *reply, size_t size, void *buf, size_t room,
			struct kipc_result *result, int timeout_ms);

int kipc_sendmsg(int fd, const struct kipc_msg *msg, int timeout_ms);
ssize_t kipc_recvmsg(int fd, const struct kipc_msg *msg, struct kipc_result *result, int timeout_ms);
ssize_t kipc_rpcmsg(int fd, const struct kipc_msg *req, const struct kipc_msg *reply,
		    struct kipc_result *result, int timeout_ms);
int kipc_replymsg(int fd, uint64_t token, const struct kipc_msg *msg);
ssize_t kipc_reply_recvmsg(int fd, const struct kipc_msg *reply, const struct kipc_msg *msg,
			   struct kipc_result *result, int timeout_ms);

/* start never sleeps; each started call finishes exactly once. token 0: next; EAGAIN: none yet, never a call's fate */
int kipc_rpc_start(int fd, const struct kipc_msg *req, size_t reply_room, uint64_t *token, int timeout_ms);
ssize_t kipc_rpc_finish(int fd, uint64_t token, const struct kipc_msg *reply,
			struct kipc_result *result, int wait_ms);
int kipc_cancel(int fd, uint64_t token);
int kipc_wanted(int fd, uint64_t token);
int kipc_adopt(int fd, uint64_t token);

#ifdef __cplusplus
}
#endif
#endif
