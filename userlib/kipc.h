/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libkipc: message passing between processes through /dev/kipc.
 */
#ifndef KIPC_H
#define KIPC_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <linux/kipc.h>	/* flags, struct kipc_limits, kipc_attr, kipc_result, kipc_endpoint, ... */

#ifdef __cplusplus
extern "C" {
#endif

/**
 * DOC: rules that hold for every function
 *
 * Every function returns >= 0, or a negative errno; the variable errno is not
 * touched. Each is one system call (kipc_create() and kipc_open(): three;
 * kipc_batch_next(): none), allocates nothing, keeps no state, may be called
 * from any thread and from a signal handler, and is no cancellation point of
 * pthread_cancel(3). kipc_serve() is a server's loop over them, and not for
 * signal handlers; kipc_memfd(), kipc_seal(), kipc_map() and kipc_unmap() are a
 * few system calls each, on memory and not on descriptors of kipc.
 *
 * A *handle* is a descriptor of one endpoint with the rights it was opened
 * with; a *device file* is a descriptor of /dev/kipc, on which an endpoint is
 * named by its id and the caller's permissions are checked on every call. All
 * descriptors are close-on-exec, can be polled and passed to other processes,
 * and end by close(2).
 *
 * Times are relative, in milliseconds, as in poll(2): negative waits for ever,
 * 0 never waits (-EAGAIN; but see kipc_rpc_start()). They are turned into an absolute time when the
 * function is entered, on CLOCK_MONOTONIC, or with KIPC_REALTIME in the flags
 * on CLOCK_REALTIME. A handle with O_NONBLOCK never waits.
 *
 * Zeroed structs are defaults. A struct kipc_msg that is NULL stands for a
 * zeroed one; members that a function does not use must be 0 (-EINVAL).
 *
 * A struct kipc_result is defined after every return: what the kernel told, or
 * zeros where it told nothing. The one exception is its member token in
 * kipc_reply_recv() and kipc_reply_recvmsg(), see there.
 *
 * Errors that every function may give: -EBADF (not an open descriptor, not one
 * that can do this, or the handle lacks the right), -ENOTTY (not a descriptor
 * of kipc, or the module is too old), -EINVAL, -EFAULT, -ENOMEM, -EIDRM (the
 * endpoint was removed), -EOPNOTSUPP (reserved for a later version).
 *
 * Functions with a time also give: -EAGAIN (it would have to wait and must
 * not), -ETIMEDOUT, -EINTR (a signal handler ran that was installed without
 * SA_RESTART, or any with KIPC_NORESTART), and -ENOSPC and -EDQUOT (the
 * endpoint has too many waiters, in all or of the caller's user).
 */

/**
 * struct kipc_msg - a message, a reply, or the room for one
 * @type: for the receiver to select by; in a receive: what it selects
 * @cookie: of a call: the caller's, comes back in its result
 * @prio: 0 to KIPC_PRIO_MAX, higher first
 * @flags: KIPC_*, see the functions
 * @endpoint: id of the endpoint if fd is a device file, else 0
 * @iovcnt: segments in @iov, 0 to KIPC_IOV_MAX
 * @iov: the bytes, or the room for them
 * @fds: descriptors of the files to send, or room for those received
 * @nfds: how many, 0 to KIPC_FILES_MAX; result.nfds says how many were received
 * @status: of a reply: 0, or a positive errno up to KIPC_STATUS_MAX
 * @after: KIPC_PEEK: cursor, result.token of the message before; 0: the first
 * @after_type: KIPC_PEEK with KIPC_TYPE_LE: and its result.type
 * @reserved: 0
 *
 * Since: 0.1
 */
struct kipc_msg {
	uint64_t type;
	uint64_t cookie;
	uint32_t prio;
	uint32_t flags;
	uint32_t endpoint;
	uint32_t iovcnt;
	struct iovec *iov;
	int *fds;
	uint32_t nfds;
	int32_t status;
	uint64_t after;
	uint64_t after_type;
	uint32_t reserved[4];
};

/**
 * kipc_create() - make an endpoint, or open the one that has the address
 * @address: a name of 1 to KIPC_NAME_MAX bytes; "key:NUMBER" for a key;
 *	NULL: a private endpoint
 * @flags: 0, or KIPC_OPEN_EXCL, PERSIST, KEEP_BY_ANY, RENDEZVOUS, ONEWAY,
 *	FILES, FIRST_COME, MQUEUE, SYSV, NONBLOCK, ANY_OWNER; CREATE goes without saying
 * @mode: permissions, 0 to 0777: r receives, w sends; umask does not apply
 * @attr: capacity, NULL or zero: default
 *
 * The handle has every right. The endpoint dies with its last handle that may
 * receive (KIPC_OPEN_KEEP_BY_ANY: with its last handle; KIPC_OPEN_PERSIST: by
 * kipc_remove() only; both: with its last handle once it has neither key nor name).
 * If it exists already, @mode, @attr and the flags that
 * shape a new one are ignored, the caller needs r, w and control of it, and
 * its creator must be the caller or root (else -EPERM) unless
 * KIPC_OPEN_ANY_OWNER is given.
 *
 * A NUMBER is decimal, or hexadecimal after "0x"; of 64 bits and not 0. Keys
 * with bit 63 and names that begin with "sys." need CAP_IPC_OWNER. A name
 * cannot begin with "key:" or "id:".
 *
 * Return: a handle, or -EEXIST (with KIPC_OPEN_EXCL), -EACCES, -EPERM,
 * -EINVAL (also: a malformed, empty or "id:" address), -ENAMETOOLONG, -ENOSPC
 * (the namespace is full or the endpoint has too many handles), -EDQUOT (the
 * user's endpoints or capacity), -EMSGSIZE (@attr is beyond the limits),
 * -EMFILE, -ENFILE; for the device file -ENOENT (the module is not loaded),
 * -EACCES. After an error nothing was made, but an endpoint that others have found and use
 * already.
 *
 * Since: 0.1
 */
int kipc_create(const char *address, unsigned int flags, mode_t mode,
		const struct kipc_attr *attr);

/**
 * kipc_open() - open an endpoint that exists, or wait for it to appear
 * @address: as for kipc_create(), or "id:NUMBER"; not NULL
 * @rights: KIPC_RIGHT_SEND, RECV, CONTROL, at least one; and or'ed to them
 *	KIPC_OPEN_NONBLOCK, ANY_OWNER, NORESTART
 * @timeout_ms: how long to wait for the endpoint to appear
 *
 * KIPC_OPEN_NONBLOCK makes a handle with O_NONBLOCK, and @timeout_ms count as
 * 0. Who accepts other creators than root and himself by KIPC_OPEN_ANY_OWNER
 * can look at the creator with kipc_stat() before he says anything.
 *
 * Return: a handle, or -ENOENT (no such endpoint and @timeout_ms is 0; or the
 * module is not loaded, then at once), -EACCES (the mode forbids it, or the
 * device file's does), -EPERM (its creator is neither root nor the caller),
 * -EIDRM (a stale id), -EINVAL (also: a malformed or empty address),
 * -ENAMETOOLONG, -ENOSPC and -EDQUOT (also: too many handles), -EMFILE,
 * -ENFILE, and the errors of waiting.
 *
 * Since: 0.1
 */
int kipc_open(const char *address, unsigned int rights, int timeout_ms);

/**
 * kipc_open_device() - open /dev/kipc
 *
 * The namespace is the one of the caller's network namespace, for as long as
 * the descriptor lives.
 *
 * Return: a device file, or -ENOENT (the module is not loaded), -EACCES,
 * -EMFILE, -ENFILE.
 *
 * Since: 0.1
 */
int kipc_open_device(void);

/**
 * kipc_info() - tell the module's version, features and limits
 * @fd: device file or handle
 * @limits: written; zeros after an error
 *
 * Return: 0, or an error that every function may give.
 *
 * Since: 0.1
 */
int kipc_info(int fd, struct kipc_limits *limits);

/**
 * kipc_restrict() - make a handle with fewer rights
 * @fd: handle
 * @rights: KIPC_RIGHT_* of the new handle, at least one and none that @fd lacks
 * @badge: number that messages and calls sent through it carry, in the badge of
 *	their receiver's result; 0: the badge of @fd, if it has one
 *
 * To hand out: who gets the new handle can do no more with it, and can be told
 * from others by the badge. A handle with a badge makes no handle with another.
 *
 * Return: a handle (close-on-exec); or -EBADF (not a handle, or @rights that it
 * lacks), -EPERM (another badge), -EIDRM, -ENOSPC or -EDQUOT (too many handles on
 * the endpoint), -EMFILE, -ENFILE.
 *
 * Since: 0.1
 */
int kipc_restrict(int fd, unsigned int rights, uint64_t badge);

/**
 * kipc_notify() - have this process told of the next first message
 * @fd: handle, with any right
 * @how: KIPC_NOTIFY_SIGNAL or EVENTFD; NONE: no notice, but nobody else gets one;
 *	END: no more
 * @signo: SIGNAL: its number, 0: none is sent; else 0
 * @value: SIGNAL: its si_value; EVENTFD: descriptor of the eventfd(2) that counts; else 0
 * @end: EVENTFD: descriptor of another eventfd, which counts if there will be no notice;
 *	-1: none
 *
 * Notice is given once, when a message or call comes into the queue that was empty and
 * no receiver waits that takes it, or comes back because a receive failed. It is off, too,
 * when the process closes a descriptor of any handle on the endpoint, or exits. The signal
 * has si_code SI_MESGQ, and si_pid and si_uid of the sender.
 *
 * Return: 0, or -EBUSY (a process is to be told already, this one or another), -EBADF (also:
 * @value or @end is not open), -EINVAL (also: it is no eventfd), -EIDRM.
 *
 * Since: 0.1
 */
int kipc_notify(int fd, unsigned int how, int signo, uint64_t value, int end);

/**
 * kipc_shutdown() - end receiving on this file
 * @fd: handle with KIPC_RIGHT_RECV
 *
 * Receives that wait on this file, in any thread or process, and all later
 * ones give -ESHUTDOWN. What was taken can still be answered. Messages stay
 * for other handles. A second time is no error.
 *
 * Return: 0, or an error that every function may give.
 *
 * Since: 0.1
 */
int kipc_shutdown(int fd);

/**
 * kipc_stat() - tell the state of an endpoint
 * @fd: handle, or device file
 * @id: 0 for a handle; the endpoint's id for a device file
 * @endpoint: written on success only
 *
 * Return: 0, or -EACCES (device file: no permission at all), -EIDRM (no endpoint
 * has this id).
 *
 * Since: 0.1
 */
int kipc_stat(int fd, uint32_t id, struct kipc_endpoint *endpoint);

/**
 * kipc_set() - change an endpoint
 * @fd: handle with KIPC_RIGHT_CONTROL; or device file, for owner and creator
 * @id: 0 for a handle; the endpoint's id for a device file
 * @what: KIPC_SET_MODE, UID, GID, CAPACITY, KEY, NAME; at least one
 * @endpoint: the new values; members that @what does not name are ignored
 *
 * Who gives it to another owner leaves what is charged for it as it is.
 *
 * Return: 0, or -EPERM (neither owner nor creator; a reserved key or name, or one for
 * another user's creation, without CAP_IPC_OWNER), -EEXIST (key or name is taken),
 * -ENOENT (no key or name to clear), -EINVAL (also: an id without a mapping), -EDQUOT, -EMSGSIZE
 * (capacity beyond the limits), -ENAMETOOLONG (a name without NUL), -EIDRM. After
 * an error nothing has changed.
 *
 * Since: 0.1
 */
int kipc_set(int fd, uint32_t id, unsigned int what, const struct kipc_endpoint *endpoint);

/**
 * kipc_remove() - end an endpoint now
 * @fd: handle with KIPC_RIGHT_CONTROL; or device file, for owner and creator
 * @id: 0 for a handle; the endpoint's id for a device file
 *
 * Whoever waits there gets -EIDRM, calls that a server has taken included;
 * messages are dropped.
 *
 * Return: 0, or -EPERM (neither owner nor creator), -EIDRM.
 *
 * Since: 0.1
 */
int kipc_remove(int fd, uint32_t id);

/**
 * kipc_next() - walk the endpoints of the namespace, in the order of their ids
 * @devfd: device file
 * @after: id to go on from, it may be gone by now; 0: begin
 * @id: written on success only: the next id
 *
 * Shows what the caller may kipc_stat(). What kipc_next() told may be gone a
 * moment later: then kipc_stat() says so.
 *
 * Return: 0, or -ENOENT (there is none after it).
 *
 * Since: 0.1
 */
int kipc_next(int devfd, uint32_t after, uint32_t *id);

/**
 * kipc_send() - send a message of type 0 and priority 0
 * @fd: handle with KIPC_RIGHT_SEND
 * @buf: the bytes
 * @size: how many, 0 to the endpoint's max_size
 * @timeout_ms: how long to wait for room
 *
 * Return: 0, or -EMSGSIZE (larger than max_size, or for a queue of svipc(7) than
 * kernel.msgmax), and the errors of waiting.
 * After an error nothing was sent.
 *
 * Since: 0.1
 */
int kipc_send(int fd, const void *buf, size_t size, int timeout_ms);

/**
 * kipc_recv() - take the next message
 * @fd: handle with KIPC_RIGHT_RECV
 * @buf: where to put the bytes
 * @room: bytes at @buf, at least the endpoint's max_size
 * @result: written: what is known of the message; NULL: take one-way messages
 *	only, calls stay where they are
 * @timeout_ms: how long to wait for a message
 *
 * If result->token is not 0, the message is a call and owed a reply:
 * kipc_reply(), kipc_reply_error() or kipc_reply_recv().
 *
 * Return: bytes of the message, or -EMSGSIZE (@room is below max_size, or the message
 * has files: kipc_recvmsg()), -ESHUTDOWN, and the errors of waiting. After an error the
 * message is still in its place, even if bytes were written to @buf, and *@result is zeros.
 *
 * Since: 0.1
 */
ssize_t kipc_recv(int fd, void *buf, size_t room, struct kipc_result *result,
		  int timeout_ms);

/**
 * kipc_rpc() - make a call of type 0 and priority 0 and wait for its reply
 * @fd: handle with KIPC_RIGHT_SEND
 * @req: the bytes to send
 * @size: how many, 0 to the endpoint's max_size
 * @reply: where to put the reply
 * @room: bytes at @reply
 * @timeout_ms: how long all of it may take
 *
 * After -EINTR and -EFAULT the call was cancelled; the server may have acted.
 * kipc_rpcmsg() tells for each error whether it has, and whose error it is.
 *
 * Return: bytes of the reply, or the errno the server replied with, or
 * -EMSGSIZE (request larger than max_size, or reply larger than @room or with
 * files),
 * -ECONNRESET (the server died with it), -EIDRM, -EOPNOTSUPP (a one-way
 * endpoint), -EDEADLK (nobody but the calling thread could answer), and the
 * errors of waiting.
 *
 * Since: 0.1
 */
ssize_t kipc_rpc(int fd, const void *req, size_t size, void *reply, size_t room,
		 int timeout_ms);

/**
 * kipc_reply() - answer a call
 * @fd: handle with KIPC_RIGHT_RECV of the endpoint that the call was sent to
 * @token: result.token of the receive
 * @buf: the bytes
 * @size: how many, 0 to the endpoint's max_size
 *
 * Never waits. @token is used up by success and by -ECANCELED; after any other
 * error the call is still owed its reply.
 *
 * Return: 0, or -ECANCELED (the caller has gone, or the endpoint was removed),
 * -ENOENT (no such token, or it is used up), -EMSGSIZE.
 *
 * Since: 0.1
 */
int kipc_reply(int fd, uint64_t token, const void *buf, size_t size);

/**
 * kipc_reply_error() - answer a call with an error and no bytes
 * @fd: handle with KIPC_RIGHT_RECV of the endpoint that the call was sent to
 * @token: result.token of the receive
 * @error: positive errno, 1 to KIPC_STATUS_MAX: the caller's call fails with it
 *
 * Return: as kipc_reply(); -EINVAL also if @error is out of its range.
 *
 * Since: 0.1
 */
int kipc_reply_error(int fd, uint64_t token, int error);

/**
 * kipc_reply_recv() - answer a call and take the next message: a server's loop
 * @fd: handle with KIPC_RIGHT_RECV
 * @reply: the bytes of the reply; may be the same memory as @buf
 * @size: how many, 0 to the endpoint's max_size
 * @buf: where to put the bytes of the next message
 * @room: bytes at @buf, at least the endpoint's max_size
 * @result: in: @reply goes to result->token, unless that is 0 (begin with a
 *	zeroed struct); out: as for kipc_recv()
 * @timeout_ms: how long to wait for the next message
 *
 * The reply is made first. That its caller has gone is no error: it is told as
 * -ECANCELED in result->reply_error. The reply is made once, whatever happens
 * then; result->flags has KIPC_RESULT_REPLIED.
 *
 * After an error, result->token tells which half it is from. If it is 0,
 * nothing is owed, result->reply_error is as above, and the function may simply
 * be called again. If it is not 0, it is the old one, the reply was not made
 * and nothing received: reply something else, e.g. kipc_reply_error(), and
 * clear the token; an unchanged repetition fails again.
 *
 * Return: as kipc_recv(); or of the reply: -ENOENT (no such token, or it is
 * used up), -EMSGSIZE; -EINVAL (also: @result is NULL).
 *
 * Since: 0.1
 */
ssize_t kipc_reply_recv(int fd, const void *reply, size_t size, void *buf, size_t room,
			struct kipc_result *result, int timeout_ms);

/**
 * kipc_sendmsg() - send a message
 * @fd: handle with KIPC_RIGHT_SEND; or device file, needs w
 * @msg: the message: type, prio, endpoint, iov and iovcnt, fds and nfds; flags
 *	KIPC_SYNC (wait until a receiver has taken it), NONBLOCK, REALTIME, NORESTART,
 *	NOENT
 * @timeout_ms: how long to wait for room, and with KIPC_SYNC for a receiver
 *
 * The receiver of a file gets a descriptor of his own for it; the sender keeps
 * his, and may close it.
 *
 * Return: 0, or -EMSGSIZE (as of kipc_send()), -EACCES, of files: -EBADF,
 * -EOPNOTSUPP (the endpoint takes none, or none of this kind), -EDQUOT (the
 * user's files on their way) and -ENFILE, with KIPC_NOENT -ENOENT (no endpoint has this
 * id), and the errors of waiting. After an error nothing was sent.
 *
 * Since: 0.1
 */
int kipc_sendmsg(int fd, const struct kipc_msg *msg, int timeout_ms);

/**
 * kipc_recvmsg() - take or look at a message
 * @fd: handle with KIPC_RIGHT_RECV; or device file, needs r, for one-way
 *	messages only
 * @msg: what to take and where to put it: iov and iovcnt, fds and nfds, endpoint;
 *	flags KIPC_TYPE_EQ, TYPE_LE or TYPE_NE with type; KIPC_PEEK with after and
 *	after_type; KIPC_PEEK and INDEX with after, which then says how many messages
 *	stand before the one that is meant; KIPC_TRUNCATE, ANYSIZE, NOCALLS, NOFILES,
 *	NONBLOCK, REALTIME, NORESTART, NOENT
 * @result: as for kipc_recv()
 * @timeout_ms: how long to wait for a message
 *
 * Without a selector any message is taken: highest priority first, then first
 * come first served; with KIPC_TYPE_LE the lowest type first. The room must be
 * at least max_size, unless the flags say KIPC_TRUNCATE (what does not fit is
 * cut: KIPC_RESULT_TRUNCATED), KIPC_ANYSIZE (what does not fit stays there:
 * -EMSGSIZE, with the needed room in result->size) or KIPC_PEEK. KIPC_PEEK
 * leaves the message there; result->token is then no delivery token but the
 * cursor for after, so keep it away from kipc_reply_recv(). KIPC_INDEX takes no
 * selector and never waits (-EAGAIN).
 *
 * Files come as new descriptors in fds, close-on-exec; result->nfds says how many.
 * Those that there is no room for are dropped with KIPC_TRUNCATE, all with
 * KIPC_NOFILES (KIPC_RESULT_FILES_DROPPED); without these flags they are -EMSGSIZE,
 * with the needed room in result->nfds.
 *
 * Return: bytes stored, or -EMSGSIZE, -EMFILE (no descriptors left), -EACCES,
 * -ESHUTDOWN, with KIPC_NOENT -ENOENT (no endpoint has this id), and the errors of
 * waiting. After an error the message is still in its place.
 *
 * Since: 0.1
 */
ssize_t kipc_recvmsg(int fd, const struct kipc_msg *msg, struct kipc_result *result,
		     int timeout_ms);

/**
 * kipc_batch_next() - where the next payload of a batch begins
 * @at: bytes from the beginning of the buffer to this payload; the first is at 0
 * @size: bytes of this payload
 *
 * For both sides: who sends puts the payloads there, who receives finds them there.
 *
 * Return: bytes from the beginning of the buffer to the next one.
 *
 * Since: 0.1
 */
static inline size_t kipc_batch_next(size_t at, uint64_t size)
{
	const uint64_t align = KIPC_BATCH_ALIGN;

	return (size_t)((at + size + align - 1) / align * align);
}

/**
 * kipc_send_batch() - send several messages
 * @fd: handle with KIPC_RIGHT_SEND; or device file, needs w
 * @batch: what holds for all: iov, one segment with the payloads, each where
 *	kipc_batch_next() says; endpoint; flags KIPC_NONBLOCK, REALTIME, NORESTART
 * @msgs: type, size and prio of each
 * @count: how many, 1 to KIPC_BATCH_MAX
 * @timeout_ms: how long to wait for room, for all of them together
 *
 * As if kipc_sendmsg() were called for each in turn, up to the first error. What
 * was sent is sent: an error that comes after the first message is not told, but
 * met again by who sends the rest.
 *
 * Return: messages sent, at least 1: the first ones; or, when none was sent,
 * -EMSGSIZE (the first, as of kipc_send()), -EACCES, -EINVAL (also: @batch
 * has not one segment, or that is too short for the first message), and the
 * errors of waiting.
 *
 * Since: 0.1
 */
int kipc_send_batch(int fd, const struct kipc_msg *batch, const struct kipc_batch_msg *msgs,
		    unsigned int count, int timeout_ms);

/**
 * kipc_recv_batch() - take several messages
 * @fd: handle with KIPC_RIGHT_RECV; or device file, needs r, for one-way
 *	messages only
 * @batch: what to take and where to put it: iov, one segment for all payloads;
 *	endpoint; flags KIPC_TYPE_EQ, TYPE_LE or TYPE_NE with type; KIPC_TRUNCATE,
 *	ANYSIZE, NOCALLS, NOFILES, NONBLOCK, REALTIME, NORESTART
 * @results: written: what is known of each; not NULL
 * @count: how many there may be, 1 to KIPC_BATCH_MAX
 * @timeout_ms: how long to wait for the first
 *
 * Takes what is there, in the order of kipc_recvmsg(), as long as it fits; only
 * if nothing is there it waits, for one message. The first payload is at the
 * beginning of the buffer, the others where kipc_batch_next() says, each of
 * result->size bytes. What does not fit behind others stays for the next receive;
 * the first must fit, as for kipc_recvmsg(), and it alone is cut by KIPC_TRUNCATE.
 * Each message whose result->token is not 0 is a call, and owed a reply of its own.
 * A message with files ends the batch before it, unless KIPC_NOFILES or TRUNCATE
 * drops them; as the first it is -EMSGSIZE.
 *
 * What was not taken is still in its place, and its results are zeros.
 *
 * Return: messages taken, at least 1; or, when none was, -EMSGSIZE (the room is
 * below max_size, or with KIPC_ANYSIZE below the first message; results->size is
 * the room needed), -EACCES, -ESHUTDOWN, -EINVAL (also: @batch has not one
 * segment, @results is NULL), and the errors of waiting.
 *
 * Since: 0.1
 */
int kipc_recv_batch(int fd, const struct kipc_msg *batch, struct kipc_result *results,
		    unsigned int count, int timeout_ms);

/**
 * kipc_rpcmsg() - make a call and wait for its reply
 * @fd: handle with KIPC_RIGHT_SEND; or device file, needs w
 * @req: the call: type, cookie, prio, endpoint, iov and iovcnt, fds and nfds; flags
 *	KIPC_IDEMPOTENT (may be delivered again if a server dies with it),
 *	NONBLOCK, REALTIME, NORESTART
 * @reply: room for the reply: iov and iovcnt, fds and nfds; flags KIPC_TRUNCATE,
 *	NOFILES, for what there is no room for
 * @result: written: what is known of the reply and of the call's fate; or NULL
 * @timeout_ms: how long all of it may take
 *
 * After an error, result->flags tells whether a server had taken the call
 * (KIPC_RESULT_DELIVERED: it may have acted) and whether the error is its own
 * answer (KIPC_RESULT_REMOTE; @reply then has result->size bytes of it, as far
 * as they fit). If result->token is not 0 (possible with -EINTR and -EFAULT),
 * the call goes on: kipc_rpc_finish() collects it, kipc_cancel() ends it. With
 * @result NULL such a call is cancelled.
 *
 * Return: as kipc_rpc(), and -EACCES, -EMFILE (no descriptors left for the reply's
 * files); of files in the request as kipc_sendmsg().
 *
 * Since: 0.1
 */
ssize_t kipc_rpcmsg(int fd, const struct kipc_msg *req, const struct kipc_msg *reply,
		    struct kipc_result *result, int timeout_ms);

/**
 * kipc_replymsg() - answer a call
 * @fd: handle with KIPC_RIGHT_RECV of the endpoint that the call was sent to
 * @token: result.token of the receive
 * @msg: the reply: type, status, iov and iovcnt, fds and nfds; if status is not 0, the call
 *	fails with it, and the bytes are delivered all the same
 *
 * Return: as kipc_reply(); of files as kipc_sendmsg(), though the endpoint need not
 * take any: it is the caller's room that does.
 *
 * Since: 0.1
 */
int kipc_replymsg(int fd, uint64_t token, const struct kipc_msg *msg);

/**
 * kipc_reply_recvmsg() - answer a call and take the next message
 * @fd: handle with KIPC_RIGHT_RECV
 * @reply: as for kipc_replymsg()
 * @msg: as for kipc_recvmsg(), but without KIPC_PEEK (-EINVAL)
 * @result: as for kipc_reply_recv()
 * @timeout_ms: how long to wait for the next message
 *
 * Return: as kipc_reply_recv(), and the same holds after an error; -EMSGSIZE
 * of KIPC_ANYSIZE has the needed room in result->size. Of files as kipc_replymsg()
 * and as kipc_recvmsg().
 *
 * Since: 0.1
 */
ssize_t kipc_reply_recvmsg(int fd, const struct kipc_msg *reply, const struct kipc_msg *msg,
			   struct kipc_result *result, int timeout_ms);

/**
 * kipc_rpc_start() - start a call, to collect its reply later
 * @fd: handle with KIPC_RIGHT_SEND; or device file, needs w
 * @req: the call, as for kipc_rpcmsg()
 * @reply_room: bytes of the largest reply that will be collected
 * @token: written: the call's token, 0 after an error; or NULL
 * @timeout_ms: how long the call may take; 0 and negative are no limit
 *
 * Never waits. Each started call ends exactly once: by being collected with
 * kipc_rpc_finish(), by kipc_cancel(), or by the close of @fd. poll(2) tells
 * POLLPRI when one can be collected.
 *
 * Return: 0, or -EAGAIN (no room in the queue now), -EDQUOT (the user's calls
 * or reply room), -EMSGSIZE (larger than max_size), -EACCES, -EOPNOTSUPP (a
 * one-way endpoint). After an error nothing was started.
 *
 * Since: 0.1
 */
int kipc_rpc_start(int fd, const struct kipc_msg *req, size_t reply_room,
		   uint64_t *token, int timeout_ms);

/**
 * kipc_rpc_finish() - collect a call that was started, or interrupted
 * @fd: the file that the call was made on
 * @token: the call; 0: any that has ended
 * @reply: room for the reply: iov and iovcnt; flags KIPC_TRUNCATE, NONBLOCK,
 *	REALTIME, NORESTART
 * @result: as for kipc_rpcmsg(); result->cookie tells whose reply it is
 * @wait_ms: how long to wait for its end
 *
 * -EAGAIN: no call has ended within @wait_ms; nothing has happened to a call made
 * by kipc_rpc_start(), which has its own time. It is never a call's fate, unless
 * its server said so with KIPC_RESULT_REMOTE. A call that was interrupted ends
 * with @wait_ms: -ETIMEDOUT.
 *
 * Return: as kipc_rpcmsg(), and -ENOENT (no such call on this file; with @token
 * 0: no call at all), -EBUSY (another thread waits for it), -ECANCELED (another
 * thread cancelled it).
 *
 * Since: 0.1
 */
ssize_t kipc_rpc_finish(int fd, uint64_t token, const struct kipc_msg *reply,
			struct kipc_result *result, int wait_ms);

/**
 * kipc_cancel() - give up a call
 * @fd: the file that the call was made on
 * @token: of kipc_rpc_start(), or result.token of an interrupted call
 *
 * The call is then never collected. A server that has it learns by -ECANCELED
 * of kipc_wanted() and of its reply.
 *
 * Return: 0 (no server will see it), or KIPC_RESULT_DELIVERED (one had taken
 * it: it may have acted), or -ENOENT (no such call on this file).
 *
 * Since: 0.1
 */
int kipc_cancel(int fd, uint64_t token);

/**
 * kipc_wanted() - is anyone still waiting for the reply?
 * @fd: handle with KIPC_RIGHT_RECV of the endpoint that the call was sent to
 * @token: result.token of the receive
 *
 * Return: 0 (yes), or -ECANCELED (no: the caller has gone, or the endpoint was
 * removed; a reply is still to be made, it uses up the token), -ENOENT (no such
 * token, or it is used up).
 *
 * Since: 0.1
 */
int kipc_wanted(int fd, uint64_t token);

/**
 * kipc_adopt() - take over a call from the process that received it
 * @fd: handle with KIPC_RIGHT_RECV of the endpoint that the call was sent to
 * @token: result.token of the receive
 *
 * From now on the call breaks (-ECONNRESET for the caller) when the calling
 * process or @fd ends, no longer when the one ends that received it.
 *
 * Return: 0, or -ECANCELED (the caller has gone), -ENOENT (no such token, or it
 * is used up).
 *
 * Since: 0.1
 */
int kipc_adopt(int fd, uint64_t token);

/* Most threads of kipc_serve() */
#define KIPC_SERVE_MAX	1024

/**
 * typedef kipc_handler - what a server does with a message
 *
 * Its arguments: the context given to kipc_serve(); the message and its size in
 * bytes; what is known of it, as from kipc_recv(), where token is 0 for a one-way
 * message and calls have another one; room for the reply, and how much. Both
 * buffers are the thread's own and begin at a multiple of 64 bytes.
 *
 * It returns the size of the reply, 0 to the room, or a negative errno, down to
 * -KIPC_STATUS_MAX, with which the call then fails (KIPC_RESULT_REMOTE). What
 * does not fit becomes -EMSGSIZE, what is no errno -EPROTO. For a one-way message
 * what it stores and returns is dropped. The reply is made when it returns, so it
 * must not reply itself. It must not end its thread, nor leave by longjmp(3) or
 * by a C++ exception.
 *
 * Since: 0.1
 */
typedef ssize_t (*kipc_handler)(void *context, const void *request, size_t size,
				const struct kipc_result *result, void *reply, size_t room);

/**
 * kipc_serve() - answer calls until kipc_shutdown()
 * @fd: handle with KIPC_RIGHT_RECV
 * @nthreads: threads that receive, the calling one included, 1 to
 *	KIPC_SERVE_MAX; with 1 no thread is started
 * @handler: called for each message; by all threads at the same time
 * @context: for @handler
 *
 * Each thread takes a message, calls @handler, and makes its reply as it takes
 * the next. A reply that cannot be made (max_size has shrunk) becomes an error
 * of the same errno for the caller; that the caller has gone is ignored. Buffers
 * are as large as max_size and grow with it. Files that come with a message are
 * dropped (KIPC_RESULT_FILES_DROPPED): who wants them needs kipc_recvmsg().
 *
 * kipc_shutdown() of @fd ends it, from a handler of a message or of a signal
 * too: each thread makes the reply it owes and ends. Until then a signal does not
 * end it. Threads that it starts have all signals blocked but those of their own
 * faults; the calling thread keeps its own. Nothing is cancelled meanwhile by
 * pthread_cancel(3). When it returns all its threads have ended and its memory
 * is given back. @fd must stay open until then.
 *
 * -ENOMEM, -ENOSPC and -EDQUOT of a receive are no reason to end: it is tried
 * again after 10 ms. Any other error ends its thread. All threads have the
 * same descriptor and so meet the same errors; the first is returned when all
 * have ended.
 *
 * Return: 0 after kipc_shutdown(); or, before any message was taken: -EINVAL (also:
 * @handler is NULL, @nthreads is out of range), -ENOMEM, -EAGAIN (a thread
 * cannot be started); or -EIDRM (the endpoint was removed), -EAGAIN (the handle
 * has O_NONBLOCK and no message is there).
 *
 * Since: 0.1
 */
int kipc_serve(int fd, unsigned int nthreads, kipc_handler handler, void *context);

/**
 * kipc_memfd() - make a file in memory, to be filled, sealed and passed on
 * @name: shown in /proc/PID/fd, up to 249 bytes; NULL: "kipc"
 * @size: bytes, not 0; all zeros
 *
 * A memfd of memfd_create(2) that can be sealed, close-on-exec. Fill it by
 * write(2) or a mapping, which is to be undone before kipc_seal().
 *
 * Return: a descriptor, or -EINVAL (also: @size is 0, @name is too long), -EFBIG,
 * -EMFILE, -ENFILE, -ENOMEM.
 *
 * Since: 0.1
 */
int kipc_memfd(const char *name, size_t size);

/**
 * kipc_seal() - make what is in a memfd final
 * @fd: memfd, open for writing
 *
 * From then on nobody can change its contents or its size, and nobody can take that
 * back. Memory that was never written is filled with zeros first, so that its
 * reader does not have to pay for it. A second time is no error.
 *
 * Return: 0, or -EBUSY (it is mapped for writing, by whomever), -EPERM (not open
 * for writing, or sealed against sealing), -EINVAL (no memfd), -ENOSPC, -ENOMEM.
 *
 * Since: 0.1
 */
int kipc_seal(int fd);

/**
 * kipc_map() - map a memfd that cannot change any more, for reading
 * @fd: memfd; may be closed afterwards
 * @data: written: where it is; NULL after an error
 * @size: written: its bytes; 0 after an error
 *
 * Accepts what kipc_seal() leaves: a memfd that is sealed against shrinking,
 * growing, writing and sealing, without holes. So whoever it comes from can
 * neither change what was checked nor make the reader fault or pay for memory.
 *
 * Return: 0, or -EPERM (not a memfd, not so sealed, or with holes), -EINVAL (it is
 * empty), -EACCES (not open for reading), -EFBIG (too large for a 32-bit
 * program), -ENOMEM.
 *
 * Since: 0.1
 */
int kipc_map(int fd, const void **data, size_t *size);

/**
 * kipc_unmap() - undo kipc_map()
 * @data: as kipc_map() told
 * @size: likewise
 *
 * The same as munmap(2), for a pointer to what is constant.
 *
 * Return: 0, or -EINVAL.
 *
 * Since: 0.1
 */
int kipc_unmap(const void *data, size_t size);

/*
 * Names
 *
 * kipc-named(8) gives names to endpoints, like org.example.echo: words of letters,
 * digits, '-' and '_' with dots between them, of 1 to KIPC_REGISTERED_NAME_MAX bytes in
 * all. A server registers its endpoint; a client looks it up and gets a handle that may
 * send and has a badge of its own, by which the server can ask who looked it up. Who may
 * do which is said in kipc-named.conf(5). A name ends with its endpoint.
 *
 * The functions below call the service. They do more than one system call each, but
 * like the others keep nothing. Beside what they say they may give the errors of
 * kipc_open() and kipc_rpc(); -ECONNREFUSED (there is no naming service, or it
 * restarts and there is no time to wait), -EPROTO and -EPROTONOSUPPORT (it speaks
 * another version). @timeout_ms is how long to wait for the service to appear, and where
 * it says so for the name; the answer itself has 5 seconds more.
 */

#define KIPC_REGISTERED_NAME_MAX	223	/* bytes of a registered name */
#define KIPC_NAMES_ROOM			32	/* names that kipc_names() has room for */

/**
 * struct kipc_name - a registered name
 * @registration: number of the registration, never used again
 * @uid: who registered it
 * @gid: and his group
 * @endpoint: id of the endpoint
 * @reserved: 0
 * @name: NUL-terminated
 *
 * Since: 0.1
 */
struct kipc_name {
	uint64_t registration;
	uint32_t uid;
	uint32_t gid;
	uint32_t endpoint;
	uint32_t reserved;
	char name[KIPC_REGISTERED_NAME_MAX + 1];
};

/**
 * struct kipc_client - who looked up a name
 * @registration: what was looked up
 * @uid: effective uid of who did
 * @gid: effective gid
 * @pid: process id, for logs only
 * @reserved: 0
 *
 * As the naming service sees them.
 *
 * Since: 0.1
 */
struct kipc_client {
	uint64_t registration;
	uint32_t uid;
	uint32_t gid;
	int32_t pid;
	uint32_t reserved;
};

/**
 * kipc_register() - give a name to an endpoint
 * @name: the name
 * @fd: handle with KIPC_RIGHT_SEND and without a badge; the caller must be owner or
 *	creator of its endpoint, which must not be KEEP_BY_ANY
 * @timeout_ms: see above
 *
 * The name lasts as long as the endpoint, or until kipc_unregister(). @fd remains the
 * caller's. After -ECONNRESET and -ETIMEDOUT it may have been registered.
 *
 * Return: 0, or -EACCES (the policy forbids it), -EEXIST (the name is taken), -EPERM
 * (the endpoint is another's), -EINVAL (also: no name, or a badge), -ENAMETOOLONG,
 * -EDQUOT (too many names or files of the user), -ENOSPC (too many names),
 * -EOPNOTSUPP (KEEP_BY_ANY), -ECONNREFUSED, -ECONNRESET (the service died with it),
 * -EPROTO, -EPROTONOSUPPORT, -ETIMEDOUT.
 *
 * Since: 0.1
 */
int kipc_register(const char *name, int fd, int timeout_ms);

/**
 * kipc_unregister() - take back a name
 * @name: the name
 * @timeout_ms: see above
 *
 * Handles that were looked up remain good.
 *
 * Return: 0, or -ENOENT (no such name), -EPERM (another user registered it),
 * -EINVAL (no name), -ENAMETOOLONG, -ECONNREFUSED, -ECONNRESET (the service died
 * with it), -EPROTO, -EPROTONOSUPPORT, -ETIMEDOUT.
 *
 * Since: 0.1
 */
int kipc_unregister(const char *name, int timeout_ms);

/**
 * kipc_lookup() - get a handle by a name
 * @name: the name
 * @timeout_ms: how long to wait for the name; see above
 *
 * The handle has KIPC_RIGHT_SEND and a badge that no other has.
 *
 * Return: a handle, or -ENOENT (no such name and @timeout_ms is 0), -ETIMEDOUT,
 * -EACCES (the policy forbids it, whether there is the name or not), -EINVAL (no
 * name), -ENAMETOOLONG, -EDQUOT and -ENOSPC (too many wait, or too many handles on the
 * endpoint), -EMFILE, -ECONNREFUSED, -EPROTO, -EPROTONOSUPPORT, -EINTR.
 *
 * Since: 0.1
 */
int kipc_lookup(const char *name, int timeout_ms);

/**
 * kipc_watch() - wait until a name is registered, or no longer, or anew
 * @name: the name
 * @registration: the registration that is known, 0 for none; written on success only:
 *	the present one, 0 if there is none
 * @timeout_ms: how long to wait for it to be another one; see above
 *
 * Returns at once if it is another one already: of several changes the last is told,
 * and none is missed.
 *
 * Return: 1 (the name is registered), 0 (it is not), or -ETIMEDOUT (nothing has
 * changed), -EACCES (the policy forbids to look it up), -EINVAL (no name),
 * -ENAMETOOLONG, -EDQUOT and -ENOSPC (too many wait), -ECONNREFUSED, -EPROTO,
 * -EPROTONOSUPPORT, -EINTR.
 *
 * Since: 0.1
 */
int kipc_watch(const char *name, uint64_t *registration, int timeout_ms);

/**
 * kipc_names() - list registered names
 * @prefix: how they begin; NULL: all
 * @cursor: 0: begin; written: where to go on, 0: this was all
 * @names: room for KIPC_NAMES_ROOM
 * @timeout_ms: see above
 *
 * Tells the names that the caller may look up, in no order. A name that is registered
 * all the while is told once.
 *
 * Return: names written, or -EINVAL (also: @names is NULL), -ENAMETOOLONG,
 * -ECONNREFUSED, -EPROTO, -EPROTONOSUPPORT, -ETIMEDOUT.
 *
 * Since: 0.1
 */
int kipc_names(const char *prefix, uint64_t *cursor, struct kipc_name *names, int timeout_ms);

/**
 * kipc_who() - ask who a badge is
 * @badge: result.badge of a message that came through a handle of kipc_lookup()
 * @client: written on success only
 * @timeout_ms: see above
 *
 * Tells who looked the name up, who may have given the handle to others. The upper half
 * of the badge is the uid. The last some thousand of each user are known.
 *
 * Return: 0, or -ENOENT (not known, or it is for a name of another user),
 * -ECONNREFUSED, -EPROTO, -EPROTONOSUPPORT, -ETIMEDOUT.
 *
 * Since: 0.1
 */
int kipc_who(uint64_t badge, struct kipc_client *client, int timeout_ms);

#ifdef __cplusplus
}
#endif

#endif /* KIPC_H */
