/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * kipc: message passing between processes through /dev/kipc.
 *
 * This header is the one contract between the kernel module and its callers.
 * Programs normally use libkipc (kipc.h); everything it does is done by the
 * ioctls below.
 */
#ifndef _UAPI_LINUX_KIPC_H
#define _UAPI_LINUX_KIPC_H

#include <linux/ioctl.h>
#include <linux/types.h>

/**
 * DOC: rules that hold for every operation
 *
 * An operation is one ioctl on a *handle* (an open file on one endpoint, made
 * by KIPC_IOC_OPEN) or on a *device file* (an open /dev/kipc). On a handle the
 * member @endpoint is 0; on a device file it is the id of the endpoint, and the
 * caller's permissions are checked on every operation.
 *
 * Structs are extensible: the size is part of the ioctl number. A caller may
 * pass a larger struct than the kernel knows if the rest is zero (else E2BIG);
 * a struct smaller than its first version is EINVAL. Unknown flags and nonzero
 * reserved members are EINVAL. Members are read once, before any side effect.
 * A struct is the same for 32-bit and 64-bit callers; addresses are __u64.
 *
 * Zero means "default" wherever a default exists. Every ioctl returns >= 0 or
 * fails with errno set; whatever a member's text calls "written" is written on
 * success only, unless it says otherwise.
 *
 * Errors every operation may give: EFAULT (an address cannot be read or
 * written), EINVAL, E2BIG, ENOTTY (no such operation), EBADF (not possible on
 * this kind of file, or the handle lacks the right), EIDRM (the endpoint was
 * removed, or the namespace ended), ENOMEM, EOPNOTSUPP (reserved for a later
 * version: leases, events).
 *
 * Operations that can wait also give: EAGAIN (it would have to wait, and
 * KIPC_NONBLOCK, O_NONBLOCK or a @deadline of 0 forbids it), ETIMEDOUT
 * (@deadline passed), EINTR (a signal was handled; without KIPC_NORESTART the call
 * is restarted as signal(7) says for SA_RESTART), ENOSPC (the endpoint has too
 * many waiters), EDQUOT (the caller's user has too many waiters there).
 *
 * @deadline is absolute, in nanoseconds on CLOCK_MONOTONIC as the caller's time
 * namespace shows it (CLOCK_REALTIME with KIPC_REALTIME); KIPC_FOREVER is none.
 * A deadline that has already passed tries once. No deadline fires early.
 *
 * Files travel with messages (to endpoints made with KIPC_OPEN_FILES) and with
 * replies (to callers with room for them), see struct kipc_payload. Who sends
 * gets, beside the errors of the operation and with nothing sent: EBADF (no open
 * descriptor, or a handle whose endpoint has ended), EOPNOTSUPP (the endpoint
 * takes no files, or this kind of file does not travel), EDQUOT (user_files_max,
 * or too many handles on what a handle is for; ENOSPC likewise), ENFILE. Who
 * receives: EMSGSIZE (more files than there is room for), EMFILE (no descriptors
 * left); what was to be received is still there.
 */

/*
 * What else can be done with a file:
 *
 * poll(2), select(2) and epoll(7): IN and RDNORM on a handle with
 * KIPC_RIGHT_RECV: a receive without selector would get something. OUT and
 * WRNORM on one with KIPC_RIGHT_SEND: a message of max_size (FIRST_COME: of
 * max_bytes, SYSV: of kernel.msgmax, if that is less) would be admitted for
 * who opened it (RENDEZVOUS: a receiver waits). PRI, on device files too: a
 * call started by ASYNC has finished. RDHUP: no receiver is left, or this file was
 * shut down. HUP: the endpoint has ended. Every arrival is an edge. With O_ASYNC
 * the owner of the file gets a signal for each edge (F_SETOWN, F_SETSIG).
 *
 * write(2) on a handle with KIPC_RIGHT_SEND sends one message of type 0 and
 * priority 0. read(2) on one with KIPC_RIGHT_RECV on a ONEWAY endpoint (else EINVAL)
 * receives one, EMSGSIZE if it does not fit; 0: the endpoint has ended, this
 * file was shut down, or the message has no bytes. Both act for who opened
 * the handle: its ids are shown, its share is used. They wait unless O_NONBLOCK or
 * RWF_NOWAIT forbids it (EAGAIN). KIPC_OPEN_MQUEUE makes handles that differ.
 */

#define KIPC_ABI_VERSION	1

/* Limits that are part of the interface */
#define KIPC_NAME_MAX		255	/* bytes in a name */
#define KIPC_PRIO_MAX		32767	/* highest message priority */
#define KIPC_IOV_MAX		1024	/* segments in one payload */
#define KIPC_FILES_MAX		16	/* files in one message */
#define KIPC_STATUS_MAX		511	/* largest status of a reply */
#define KIPC_BATCH_MAX		64	/* messages in one batch */
#define KIPC_BATCH_ALIGN	8	/* where a payload of a batch may begin */
#define KIPC_KEY_RESERVED	(1ULL << 63)	/* creating needs CAP_IPC_OWNER */
#define KIPC_FOREVER		(~0ULL)	/* deadline: none */
#define KIPC_ID_UNMAPPED	(~0U)	/* uid or gid without a mapping */

/* Feature bits in struct kipc_limits */
#define KIPC_FEATURE_LEASE	(1ULL << 0)
#define KIPC_FEATURE_EVENT	(1ULL << 1)
#define KIPC_FEATURE_NOTIFY	(1ULL << 2)
#define KIPC_FEATURE_FILES	(1ULL << 3)
#define KIPC_FEATURE_RESTRICT	(1ULL << 4)

/* Rights of a handle */
#define KIPC_RIGHT_SEND		(1U << 0)	/* SEND, RPC */
#define KIPC_RIGHT_RECV		(1U << 1)	/* RECV, REPLY, ... */
#define KIPC_RIGHT_CONTROL	(1U << 2)	/* SET, REMOVE */

/* Flags of KIPC_IOC_OPEN */
#define KIPC_OPEN_CREATE	(1U << 0)	/* make it if it does not exist */
#define KIPC_OPEN_EXCL		(1U << 1)	/* with CREATE: fail if it exists */
#define KIPC_OPEN_PERSIST	(1U << 2)	/* lives until REMOVE */
#define KIPC_OPEN_KEEP_BY_ANY	(1U << 3)	/* any handle keeps it alive */
#define KIPC_OPEN_RENDEZVOUS	(1U << 4)	/* a send waits for a receiver */
#define KIPC_OPEN_ONEWAY	(1U << 5)	/* takes no calls */
#define KIPC_OPEN_FILES		(1U << 6)	/* takes files; not with PERSIST */
#define KIPC_OPEN_NONBLOCK	(1U << 7)	/* handle gets O_NONBLOCK; OPEN never waits */
#define KIPC_OPEN_ANY_OWNER	(1U << 8)	/* accept any creator */
#define KIPC_OPEN_EXPECT_UID	(1U << 9)	/* accept creator @expect_uid only */
#define KIPC_OPEN_WAIT		(1U << 10)	/* wait until it appears */
#define KIPC_OPEN_REALTIME	(1U << 11)	/* @deadline is on CLOCK_REALTIME */
#define KIPC_OPEN_NORESTART	(1U << 12)	/* a handled signal is always EINTR */
#define KIPC_OPEN_ID_ONLY	(1U << 13)	/* make no handle: the id is enough */
#define KIPC_OPEN_FIRST_COME	(1U << 14)	/* no user's part of the queue is kept free */
#define KIPC_OPEN_MQUEUE	(1U << 15)	/* rights, read(2), poll(2), turns of mqueue(7) */
#define KIPC_OPEN_SYSV		(1U << 16)	/* rights, capacity as of queues of svipc(7) */

/* Flags of messages, receives, calls and replies */
#define KIPC_NONBLOCK		(1U << 0)	/* never wait: EAGAIN */
#define KIPC_REALTIME		(1U << 1)	/* @deadline is on CLOCK_REALTIME */
#define KIPC_NORESTART		(1U << 2)	/* a handled signal is always EINTR */
#define KIPC_SYNC		(1U << 3)	/* SEND: wait until it was received */
#define KIPC_IDEMPOTENT		(1U << 4)	/* RPC: may be delivered again if a server dies */
#define KIPC_ASYNC		(1U << 5)	/* RPC: start only */
#define KIPC_NEXT		(1U << 6)	/* RPC: collect any finished call */
#define KIPC_PEEK		(1U << 7)	/* RECV: leave the message there */
#define KIPC_TRUNCATE		(1U << 8)	/* cut what does not fit */
#define KIPC_ANYSIZE		(1U << 9)	/* RECV: room below max_size is meant */
#define KIPC_LEASE		(1U << 10)	/* RECV: take on approval (reserved) */
#define KIPC_NOFILES		(1U << 11)	/* RECV, RPC: drop the files */
#define KIPC_NOCALLS		(1U << 12)	/* RECV: one-way messages only */
#define KIPC_INDEX		(1U << 13)	/* RECV with PEEK: @after counts messages */
#define KIPC_NOENT		(1U << 14)	/* SEND, RECV: an id that is not there is ENOENT */
#define KIPC_TYPE_EQ		(1U << 16)	/* RECV: type == @type */
#define KIPC_TYPE_LE		(1U << 17)	/* RECV: lowest type <= @type first */
#define KIPC_TYPE_NE		(1U << 18)	/* RECV: type != @type */
#define KIPC_EVENTS		(1U << 19)	/* RECV: events only (reserved) */
#define KIPC_MSGBUF		(1U << 20)	/* SEND, RECV: type and bytes as of msgop(2) */
#define KIPC_PRIO_ONLY		(1U << 21)	/* RECV: @result is for the priority alone */

/* Flags of struct kipc_result */
#define KIPC_RESULT_CALL	(1U << 0)	/* a reply is owed to @token */
#define KIPC_RESULT_LEASED	(1U << 1)	/* reserved */
#define KIPC_RESULT_EVENT	(1U << 2)	/* reserved */
#define KIPC_RESULT_REDELIVERED	(1U << 3)	/* an earlier receiver died with it */
#define KIPC_RESULT_TRUNCATED	(1U << 4)	/* payload was cut to the room given */
#define KIPC_RESULT_FILES_DROPPED (1U << 5) /* files that came with it were dropped */
#define KIPC_RESULT_DELIVERED	(1U << 6)	/* a receiver took it: it may have acted */
#define KIPC_RESULT_REMOTE	(1U << 7)	/* the errno is the server's own */
#define KIPC_RESULT_REPLIED	(1U << 8)	/* REPLY_RECV: the reply half is done */

/* Flags of struct kipc_endpoint */
#define KIPC_ENDPOINT_PERSIST		(1U << 0)
#define KIPC_ENDPOINT_KEEP_BY_ANY	(1U << 1)
#define KIPC_ENDPOINT_RENDEZVOUS	(1U << 2)
#define KIPC_ENDPOINT_ONEWAY		(1U << 3)
#define KIPC_ENDPOINT_FILES		(1U << 4)
#define KIPC_ENDPOINT_FIRST_COME	(1U << 5)
#define KIPC_ENDPOINT_MQUEUE		(1U << 6)
#define KIPC_ENDPOINT_SYSV		(1U << 7)

/* What KIPC_IOC_SET changes */
#define KIPC_SET_MODE		(1U << 0)
#define KIPC_SET_UID		(1U << 1)
#define KIPC_SET_GID		(1U << 2)
#define KIPC_SET_CAPACITY	(1U << 3)
#define KIPC_SET_KEY		(1U << 4)	/* 0 clears it, if it has one: else ENOENT */
#define KIPC_SET_NAME		(1U << 5)	/* "" likewise */

/* struct kipc_op_stat: what STAT does beside */
#define KIPC_STAT_ACCESS	(1U << 0)

/* What KIPC_IOC_NOTIFY arranges */
#define KIPC_NOTIFY_END		0	/* nothing any more */
#define KIPC_NOTIFY_NONE	1	/* no notice, but nobody else gets one */
#define KIPC_NOTIFY_SIGNAL	2	/* a signal to the calling process */
#define KIPC_NOTIFY_EVENTFD	3	/* an eventfd(2) counts it */

/* Flags of KIPC_IOC_NOTIFY */
#define KIPC_NOTIFY_TELL_END	(1U << 0)	/* EVENTFD: @end counts an end without notice */

/**
 * struct kipc_limits - what KIPC_IOC_INFO tells
 * @abi: KIPC_ABI_VERSION of the module
 * @msg_max: largest max_size an endpoint may have, bytes (parameter msg_max)
 * @features: KIPC_FEATURE_* this module has
 * @endpoints_max: endpoints in one namespace
 * @capacity_max: largest capacity of one endpoint, bytes
 * @user_endpoints_max: endpoints one user may own
 * @user_calls_max: ASYNC calls one user may have outstanding
 * @user_capacity_max: sum of the capacities one user may own, bytes
 * @user_reply_room_max: reply room one user's ASYNC calls may declare, bytes
 * @handles_max: handles open on one endpoint
 * @waiters_max: tasks waiting at one endpoint
 * @default_max_size: max_size that 0 stands for, bytes
 * @default_max_msgs: max_msgs that 0 stands for
 * @user_files_max: files one user may have in messages and replies on their way
 * @user_capacity_left: of @user_capacity_max, what the caller may still promise, bytes;
 *	~0 where nothing limits it
 * @endpoints: how many there are in the namespace now
 * @reserved: 0
 *
 * No right is needed; works on device files and handles. The limits are the
 * module's parameters at this moment, see kipc(4).
 */
struct kipc_limits {
	__u32 abi;
	__u32 msg_max;
	__u64 features;
	__u32 endpoints_max;
	__u32 user_endpoints_max;
	__u64 capacity_max;
	__u64 user_capacity_max;
	__u64 user_reply_room_max;
	__u32 user_calls_max;
	__u32 handles_max;
	__u32 waiters_max;
	__u32 default_max_size;
	__u32 default_max_msgs;
	__u32 user_files_max;
	__u64 user_capacity_left;
	__u32 endpoints;
	__u32 reserved[5];
};

/**
 * struct kipc_attr - capacity of an endpoint
 * @max_size: largest message, bytes; 0: 8192; with SYSV also kernel.msgmax, as it is in the ipc
 *	namespace in which the endpoint was made; for who sends from another, as it was there at the
 *	last message from there, or else at the beginning, and no more than his own
 * @max_msgs: most messages queued; 0: 256
 * @max_bytes: most payload bytes queued; 0: @max_size * 32, with SYSV none, and no message
 *	has room then; at least @max_size, but with FIRST_COME, where a larger message waits
 *	for SET to allow it
 * @reserved: 0
 *
 * Chosen at creation, changed by KIPC_IOC_SET, charged to the user who chooses: @max_bytes, and
 * 256 bytes for each of @max_msgs. A queue that is made smaller than what is in it is charged
 * for that until it is empty. With SYSV no more than 16 of the messages are charged from the
 * beginning, the others while they are there; they have no room if less than a quarter of the
 * user's limit would be left, nor before this queue gets shorter then.
 */
struct kipc_attr {
	__u32 max_size;
	__u32 max_msgs;
	__u64 max_bytes;
	__u32 reserved[8];
};

/**
 * struct kipc_iovec - one segment of a payload
 * @base: address
 * @len: bytes
 */
struct kipc_iovec {
	__u64 base;
	__u64 len;
};

/**
 * struct kipc_payload - where a payload is read from or written to
 * @base: @iovcnt 0: address of the bytes; else address of struct kipc_iovec[]
 * @len: @iovcnt 0: bytes at @base; else 0
 * @fds: address of __s32[@nfds]: descriptors to send, or room for those received; 0
 *	without any
 * @iovcnt: segments, 0 to KIPC_IOV_MAX
 * @nfds: files, 0 to KIPC_FILES_MAX
 *
 * The sum of the segments must not exceed 2^63 - 1 (EINVAL). More than
 * KIPC_IOV_MAX segments, or KIPC_FILES_MAX files, are EINVAL.
 *
 * Regular files (memfd among them), directories, pipes and FIFOs, eventfd,
 * timerfd, pidfd, IPv4 and IPv6 sockets, and handles with KIPC_RIGHT_SEND alone on an
 * endpoint that is not KEEP_BY_ANY travel; nothing else, as other files could hold
 * files that hold them. The receiver has another descriptor (close-on-exec) of the
 * same open file, but of a handle a new one for the same endpoint, with the same rights
 * and badge, that counts as the sender's; what is written there shows the ids of who opened
 * the first one. Until it is received a file is charged to the user who
 * sent it; in a reply, to the user who called.
 */
struct kipc_payload {
	__u64 base;
	__u64 len;
	__u64 fds;
	__u32 iovcnt;
	__u32 nfds;
};

/**
 * struct kipc_result - what is told about a message or a call
 * @token: RECV: delivery token of a call, 0 if nothing is owed; with KIPC_PEEK
 *	the cursor for @after. RPC: caller token of a call that is still
 *	outstanding or can still be collected, else 0
 * @type: type of the message or reply
 * @cookie: RPC: the caller's cookie; RECV: 0
 * @events: reserved: 0
 * @badge: RECV: badge of the handle it was sent through, 0 if that has none; RPC: 0
 * @size: bytes of the whole payload, also when it did not fit
 * @time: CLOCK_MONOTONIC nanoseconds when it was sent (reply: was made), as the
 *	reader's time namespace shows it
 * @flags: KIPC_RESULT_*
 * @prio: priority
 * @nfds: descriptors stored, also with KIPC_RESULT_REMOTE; with KIPC_PEEK, and with
 *	another EMSGSIZE, files it has
 * @deliveries: how often it was delivered, this time included
 * @uid: effective uid of the sender (of the replier) when it was sent, in the
 *	reader's user namespace; KIPC_ID_UNMAPPED if it has none there. What is
 *	told of a replier, and @time of a reply, are known only if the call was
 *	made with a result or KIPC_ASYNC; else KIPC_ID_UNMAPPED and 0
 * @gid: the same for the effective gid
 * @pid: process id of the sender in the reader's pid namespace, 0 if invisible;
 *	for logs only
 * @reply_error: REPLY_RECV: 0, or the negative errno of the reply half
 * @reserved: 0
 *
 * Authorise by @uid and @gid. The size of this struct never changes.
 */
struct kipc_result {
	__u64 token;
	__u64 type;
	__u64 cookie;
	__u64 events;
	__u64 badge;
	__u64 size;
	__u64 time;
	__u32 flags;
	__u32 prio;
	__u32 nfds;
	__u32 deliveries;
	__u32 uid;
	__u32 gid;
	__s32 pid;
	__s32 reply_error;
	__u64 reserved[4];
};

/**
 * struct kipc_endpoint - state of an endpoint
 * @key: key, 0 if none
 * @id: id, never 0
 * @mode: permission bits as of chmod(2): r receive, w send; x has no meaning
 * @uid: owner
 * @gid: owner's group
 * @cuid: creator, never changes
 * @cgid: creator's group
 * @flags: KIPC_ENDPOINT_*
 * @receivers: open handles with KIPC_RIGHT_RECV
 * @attr: capacity
 * @msgs: messages queued, without blocked ones
 * @bytes: payload bytes of those
 * @calls: calls delivered and not yet answered
 * @refused: sends refused with EAGAIN, ETIMEDOUT or a quota, ever
 * @handles: open handles
 * @waiters: tasks waiting, in sends, receives and calls
 * @name: name, NUL-terminated, "" if none
 * @changed: when it was made, or last changed by SET
 * @sent: when a message was last sent to it, 0: never, or it is not PERSIST
 * @received: when one was last received, likewise
 * @sender: process that sent last, in the reader's pid namespace, 0: none, or it is
 *	invisible, or the endpoint is not PERSIST
 * @receiver: process that received last, likewise; with KIPC_OPEN_SYSV a thread that waited
 * @reserved: 0
 *
 * Times are seconds of CLOCK_REALTIME.
 */
struct kipc_endpoint {
	__u64 key;
	__u32 id;
	__u32 mode;
	__u32 uid;
	__u32 gid;
	__u32 cuid;
	__u32 cgid;
	__u32 flags;
	__u32 receivers;
	struct kipc_attr attr;
	__u64 msgs;
	__u64 bytes;
	__u64 calls;
	__u64 refused;
	__u32 handles;
	__u32 waiters;
	char name[256];
	__s64 changed;
	__s64 sent;
	__s64 received;
	__s32 sender;
	__s32 receiver;
	__u64 reserved[4];
};

/**
 * struct kipc_op_open - KIPC_IOC_OPEN: find or create an endpoint
 * @flags: KIPC_OPEN_*
 * @rights: KIPC_RIGHT_* the handle shall have; at least one, but with ID_ONLY
 * @key: find or create by this key, or 0
 * @name: address of the name, not NUL-terminated, or 0
 * @name_len: bytes of the name, 1 to KIPC_NAME_MAX, or 0. Any byte but NUL
 * @id: find by this id, or 0; written: id of the endpoint
 * @mode: permission bits of a new endpoint, 0 to 0777; umask does not apply
 * @expect_uid: with KIPC_OPEN_EXPECT_UID: the creator to accept
 * @attr: capacity of a new endpoint
 * @deadline: with KIPC_OPEN_WAIT: until when to wait
 * @created: written: 1 if the endpoint is new, else 0
 * @reserved: 0
 *
 * Device files only. At most one of @key, @name and @id; with none of them the
 * endpoint is private and needs KIPC_OPEN_CREATE. Permissions are checked once:
 * RECV needs r, SEND needs w, CONTROL needs owner, creator or CAP_IPC_OWNER in
 * the user namespace that owns the namespace; CAP_IPC_OWNER overrides all (SYSV and MQUEUE:
 * see below). A
 * new endpoint gives its creator every right, whatever @mode says. It dies with
 * its last RECV handle (KEEP_BY_ANY: with its last handle; PERSIST: on REMOVE;
 * both: with its last handle once it has neither key nor name, as a queue of
 * mq_overview(7)), so creating one without RECV right and without either flag is
 * EINVAL, and so is FILES with PERSIST: nobody need ever receive them. When it
 * exists already, the flags and members that shape a new one are ignored.
 *
 * Usually a user other than the owner may fill a part of a queue only, see SEND.
 * FIRST_COME makes one that anybody who may send there can fill, as those of
 * svipc(7) and mq_overview(7) are. There a message whose sender waits for room can be
 * neither received nor looked at. Room goes to who has waited longest of those for
 * whose message it is enough, whatever the priority; one that needs more holds up no
 * other, also none that comes later. A message that a receiver waits for takes no room,
 * even before that receiver has run; but what is on its way so is never more than the
 * capacity, each message counted as 256 bytes more than its own, and one that comes back
 * because the receive failed is queued beyond the capacity. With RENDEZVOUS, where
 * nobody waits for room, it means only that no part is kept free.
 *
 * ID_ONLY returns 0 and no descriptor; @id is what operations on a device file
 * need. It asks for those of @rights that are given. An endpoint that is there is not kept by
 * it; a new one must be PERSIST, with KEEP_BY_ANY also have a key or name (EINVAL), and has a
 * handle while the operation lasts.
 *
 * MQUEUE makes a handle whose read(2) is that of a file of mqueue(7), for who has
 * KIPC_RIGHT_RECV: one line "QSIZE:129 NOTIFY:2 SIGNO:0 NOTIFY_PID:8260", padded
 * with blanks, from the file's offset, which lseek(2) sets. It takes no message and never
 * waits. QSIZE are the payload bytes queued; the others are of NOTIFY, in numbers of
 * sigevent(7), where EVENTFD is SIGEV_THREAD (0 where nobody is to be told).
 * write(2) is EINVAL. poll(2) tells of messages and of room, whichever right it has, and
 * never RDHUP; O_ASYNC has no effect. Tasks that wait on such handles, to receive without
 * selector or for room at a FIRST_COME endpoint, have their turn by scheduling priority,
 * then by arrival.
 * To who has its descriptor it is a regular file: its link in /proc/PID/fd is the endpoint's name
 * with a slash before it ('!' for slashes in it), to which " (deleted)" is added when it is not
 * called so any more. To open that makes another handle with MQUEUE, for who may by the mode
 * (EACCES). fstat(2) tells a number that no other endpoint has at the time, owner, group and mode,
 * one link while the endpoint has a name, and in whole seconds when it was last used (a message,
 * if PERSIST; its state read or NOTIFY: only st_atime and st_ctime) and changed. fchmod(2) and
 * fchown(2) are SET as on a device file, which needs no right of the handle; more of a mode than
 * 0777, the size that ftruncate(2) and the times that futimens(2) sets are told, and mean
 * nothing. Locks are of all such files of the endpoint, and so are leases, where the kernel has
 * them for mqueue(7) (7.2 has not): where somebody has one, see F_SETLEASE of fcntl(2), OPEN waits
 * until that is given up, or broken as /proc/sys/fs/lease-break-time says; with NONBLOCK it is
 * EAGAIN.
 * Not with ID_ONLY or SYSV (EINVAL).
 *
 * Who may do what with an endpoint that is created so follows the rules of mqueue(7): it belongs
 * to the creator's file system uid and gid, and those of who asks count, with the supplementary
 * groups; the creator is nobody special. CAP_DAC_OVERRIDE stands in for r and w, for r alone also
 * CAP_DAC_READ_SEARCH. CONTROL needs owner or CAP_FOWNER; to clear the name is also for uid 0 of
 * the user namespace that owns the namespace, whose directory it would be. To give it to another
 * user is for CAP_CHOWN, to another group also for an owner who is in that, whatever handle they
 * have. Capabilities are those in the caller's user namespace, if owner and group have ids there.
 * Everybody may see it.
 *
 * An endpoint that is created with SYSV follows those of svipc(7): the effective uid counts, and
 * file system gid and supplementary groups; CAP_IPC_OWNER stands in for r and w, CAP_SYS_ADMIN
 * for CONTROL. Everybody may see it. It must be FIRST_COME and ONEWAY, too (EINVAL). Its messages
 * are as large, and are charged, as struct kipc_attr says, whatever the capabilities of who sends.
 * Who waits for a message that is handed over is its last receiver as a thread, not as a process
 * (struct kipc_endpoint).
 *
 * Impostors: an existing endpoint whose creator is neither root (uid 0 of the
 * initial user namespace or of the one that owns the namespace) nor the caller
 * is refused with EPERM, unless KIPC_OPEN_ANY_OWNER or KIPC_OPEN_EXPECT_UID.
 *
 * Return: a descriptor (always close-on-exec; ID_ONLY: 0), or ENOENT (no such key or name),
 * EIDRM (no such id), EEXIST, EACCES (the
 * mode forbids), EPERM (impostor; or a key with bit 63 or a name beginning with
 * "sys." without CAP_IPC_OWNER), ENOSPC (namespace full, or the endpoint has
 * too many handles), EDQUOT (user_endpoints_max or user_capacity_max, or the
 * caller's part of the handles), EMSGSIZE
 * (@attr beyond msg_max or capacity_max), EMFILE, ENFILE, ENAMETOOLONG, and
 * with KIPC_OPEN_WAIT the errors of waiting. After an error nothing was made, but an
 * endpoint that others have found and use already.
 */
struct kipc_op_open {
	__u32 flags;
	__u32 rights;
	__u64 key;
	__u64 name;
	__u32 name_len;
	__u32 id;
	__u32 mode;
	__u32 expect_uid;
	struct kipc_attr attr;
	__u64 deadline;
	__u32 created;
	__u32 reserved[5];
};

/**
 * struct kipc_op_restrict - KIPC_IOC_RESTRICT: a handle with fewer rights
 * @rights: KIPC_RIGHT_* of the new handle, at least one
 * @flags: 0
 * @badge: what the results of messages and calls that are sent through it show; 0:
 *	the badge that this handle has, if any
 * @reserved: 0
 *
 * Handles only. Makes another open file on the same endpoint: a handle in every
 * other respect, charged to the caller, without O_NONBLOCK and MQUEUE, without what was
 * taken or called through this one. It does not end with it. A handle that
 * has a badge makes only handles with the same one, so that who was given it
 * cannot pass for another.
 *
 * Return: a descriptor (always close-on-exec), or EBADF (a device file, or
 * @rights that this handle lacks), EPERM (it has another badge), EIDRM, ENOSPC and
 * EDQUOT (handles, as of OPEN), EMFILE, ENFILE.
 */
struct kipc_op_restrict {
	__u32 rights;
	__u32 flags;
	__u64 badge;
	__u64 reserved[2];
};

/**
 * struct kipc_op_stat - KIPC_IOC_STAT, KIPC_IOC_SET: inspect or change
 * @endpoint: id; device file only
 * @what: STAT: KIPC_STAT_*; SET: KIPC_SET_*
 * @info: STAT: written; SET: the new values, other members are ignored
 *
 * STAT: any handle; on a device file any permission on the endpoint (EACCES). STAT_ACCESS
 * (handles only, EINVAL) counts as an access: with MQUEUE fstat(2) tells this time as that of
 * the last access and of the last change, as after mq_setattr(3).
 * SET: KIPC_RIGHT_CONTROL, on a device file what CONTROL needs at OPEN; another user
 * or group at an endpoint with MQUEUE: what that says (EPERM). Who gives it away, as
 * msgctl(2) allows, still pays for it: the capacity stays charged to whoever chose
 * it. A larger capacity admits waiting senders; a smaller one drops nothing, and
 * what is there stays charged. When max_size grows, receivers that wait with less
 * room get EMSGSIZE. Who waits by an id and may no longer do so gets EACCES: at once, but a
 * sender at an endpoint with SYSV when there is room for its message.
 * Also EEXIST (key or name taken), ENOENT (no key or name to
 * clear: of two who do that at once one is told), EPERM (reserved key or name; or a
 * caller other than the creator, without CAP_IPC_OWNER, gives one: clients trust it
 * for its creator's sake), EDQUOT, EMSGSIZE, ENAMETOOLONG (a name without NUL),
 * EINVAL (id without a mapping).
 * After an error nothing has changed. One that is PERSIST and KEEP_BY_ANY ends when
 * it loses its last key or name while nobody has a handle.
 */
struct kipc_op_stat {
	__u32 endpoint;
	__u32 what;
	struct kipc_endpoint info;
};

/**
 * struct kipc_op_remove - KIPC_IOC_REMOVE: end an endpoint now
 * @endpoint: id; device file only
 * @flags: 0
 *
 * Rights as for SET. Everyone waiting there is woken with EIDRM; calls that were
 * delivered end with EIDRM and KIPC_RESULT_DELIVERED, and their later REPLY gets
 * ECANCELED. Messages are dropped.
 */
struct kipc_op_remove {
	__u32 endpoint;
	__u32 flags;
};

/**
 * struct kipc_op_next - KIPC_IOC_NEXT: walk the ids in ascending order
 * @id: the id to go on from, 0 at first; written: the next id
 * @flags: 0
 *
 * Device files only. Shows endpoints that the caller may STAT. ENOENT at the
 * end. @id need not exist any more.
 */
struct kipc_op_next {
	__u32 id;
	__u32 flags;
};

/**
 * struct kipc_op_sum - KIPC_IOC_SUM: what there is in all endpoints that are SYSV
 * @flags: 0
 * @last: written: the largest of their ids, 0 if there is none
 * @endpoints: written: how many there are
 * @reserved: 0
 * @msgs: written: messages queued in them
 * @bytes: written: payload bytes queued in them
 *
 * Device files only (EBADF). Everybody may inspect those, so that the sums are the same for all.
 * They are kept while messages come and go, and ask for no walk; those that come or go at the
 * same time may count in one of them and not in another, and what a receiver still copies when
 * its endpoint ends counts until it has. See MSG_INFO in msgctl(2).
 */
struct kipc_op_sum {
	__u32 flags;
	__u32 last;
	__u32 endpoints;
	__u32 reserved;
	__u64 msgs;
	__u64 bytes;
};

/**
 * struct kipc_op_send - KIPC_IOC_SEND: put one message
 * @flags: NONBLOCK REALTIME NORESTART SYNC NOENT MSGBUF
 * @endpoint: id; device file only
 * @type: for the receiver to select by; with MSGBUF 0
 * @prio: 0 to KIPC_PRIO_MAX, higher is received first
 * @pad: 0
 * @deadline: until when to wait
 * @payload: the bytes to send
 * @reserved: 0
 *
 * Waits while the queue is full for this sender; a user other than the owner
 * may hold one message, and beyond that at most half of what the others leave
 * free (all uids of a user's own user namespaces are one user), unless the endpoint
 * is FIRST_COME. At a RENDEZVOUS
 * endpoint it waits for a receiver. With KIPC_SYNC it
 * also waits until a receiver has taken the message, and other threads must not
 * change the payload meanwhile. Needs KIPC_RIGHT_SEND, on
 * a device file w. After an error nothing was sent.
 *
 * With NOENT, on a device file, EIDRM means that it was removed meanwhile, and an
 * id that was not there to begin with is ENOENT; RECV likewise.
 *
 * With MSGBUF, @payload.base is the address of a struct msgbuf of msgop(2): a long of the calling
 * program (32 bits wide in a 32-bit one), which is the type and must be positive, and then the
 * bytes, which @payload.len counts. There are no segments and no files (EINVAL). RECV likewise,
 * which writes the type there, too, and has no @result then.
 *
 * Return: 0, or EACCES, EMSGSIZE (larger than max_size, or for SYSV than kernel.msgmax), EAGAIN,
 * ETIMEDOUT, EINTR, EIDRM, ENOENT.
 */
struct kipc_op_send {
	__u32 flags;
	__u32 endpoint;
	__u64 type;
	__u32 prio;
	__u32 pad;
	__u64 deadline;
	struct kipc_payload payload;
	__u64 reserved[2];
};

/**
 * struct kipc_op_recv - KIPC_IOC_RECV: take one message
 * @flags: NONBLOCK REALTIME NORESTART NOENT PEEK INDEX TRUNCATE ANYSIZE NOCALLS NOFILES MSGBUF
 *	PRIO_ONLY and at most one of TYPE_EQ TYPE_LE TYPE_NE; none of those: any type
 * @endpoint: id; device file only
 * @type: what TYPE_* compares with; else 0
 * @after: with KIPC_PEEK: only what comes after this cursor, 0: from the start; with
 *	KIPC_INDEX: how many messages stand before the one that is meant
 * @after_type: with KIPC_PEEK and KIPC_TYPE_LE: the type that goes with @after
 * @deadline: until when to wait
 * @payload: room for the bytes and files
 * @result: address of struct kipc_result, or 0; also written with EMSGSIZE of
 *	ANYSIZE and of files (@size and @nfds are what is needed). With PRIO_ONLY address of
 *	a __u32, which gets the priority of what was received, or 0
 * @reserved: 0
 *
 * Takes by priority, then first come first served; TYPE_LE takes the lowest
 * type first. The room must be at least the endpoint's max_size (EMSGSIZE),
 * or the flags say PEEK, TRUNCATE or ANYSIZE. Without @result, with PRIO_ONLY, and on a
 * device file, calls stay where they are (as with KIPC_NOCALLS). A failed
 * receive leaves the message in its place, even if it failed after bytes were
 * copied. PEEK neither takes nor waits for what it has already shown: with
 * @after it walks the queue in the order of its selector, and it takes no files. With
 * INDEX, which takes no selector and never waits (EAGAIN), it is one that had just so
 * many before it, blocked ones included, unless the endpoint is FIRST_COME. It also
 * says EAGAIN when messages come, or come and go, faster than it can count. Files
 * that there is no room for are dropped with NOFILES (all of them) or TRUNCATE (the
 * last ones), which the result tells by KIPC_RESULT_FILES_DROPPED; without these
 * flags they are EMSGSIZE. Needs KIPC_RIGHT_RECV, on a device file r.
 *
 * Return: bytes stored, or EACCES, EMSGSIZE, EMFILE, ESHUTDOWN, EAGAIN, ETIMEDOUT,
 * EINTR, EIDRM, ENOENT.
 */
struct kipc_op_recv {
	__u32 flags;
	__u32 endpoint;
	__u64 type;
	__u64 after;
	__u64 after_type;
	__u64 deadline;
	struct kipc_payload payload;
	__u64 result;
	__u64 reserved[2];
};

/**
 * struct kipc_batch_msg - one message of KIPC_IOC_SEND_BATCH
 * @type: as for SEND
 * @size: bytes of its payload
 * @prio: as for SEND
 * @pad: 0
 */
struct kipc_batch_msg {
	__u64 type;
	__u64 size;
	__u32 prio;
	__u32 pad;
};

/**
 * struct kipc_op_send_batch - KIPC_IOC_SEND_BATCH: put several messages
 * @flags: NONBLOCK REALTIME NORESTART
 * @endpoint: id; device file only
 * @deadline: until when to wait
 * @base: address of the payloads
 * @len: bytes there; must hold all of them
 * @msgs: address of struct kipc_batch_msg[@count]
 * @count: messages, 1 to KIPC_BATCH_MAX
 * @pad: 0
 * @reserved: 0
 *
 * As if SEND were called for each message in turn, with one deadline, up to the
 * first error, and without files. The payloads stand one behind the other, each from the next
 * multiple of KIPC_BATCH_ALIGN bytes after @base on. Needs what SEND needs.
 *
 * Return: messages sent, the first ones; the error that ended it is told when it is
 * met again. Without any: an error as of SEND, or EINVAL (@len is too short for the
 * first message).
 */
struct kipc_op_send_batch {
	__u32 flags;
	__u32 endpoint;
	__u64 deadline;
	__u64 base;
	__u64 len;
	__u64 msgs;
	__u32 count;
	__u32 pad;
	__u64 reserved[2];
};

/**
 * struct kipc_op_recv_batch - KIPC_IOC_RECV_BATCH: take several messages
 * @flags: as for RECV, without PEEK, MSGBUF and PRIO_ONLY
 * @endpoint: id; device file only
 * @type: as for RECV
 * @deadline: until when to wait for the first message
 * @base: address of the room for the payloads
 * @len: bytes there
 * @results: address of struct kipc_result[@count]; of those behind what is
 *	returned nothing is said; the first is written as by RECV with EMSGSIZE
 * @count: most messages to take, 1 to KIPC_BATCH_MAX
 * @pad: 0
 * @reserved: 0
 *
 * Waits for a message like RECV, then takes those that are there, in the order
 * of its selector, as long as they fit into the rest of the room. It never waits
 * for more. The payloads are stored one behind the other, each from the next
 * multiple of KIPC_BATCH_ALIGN bytes after @base on, result->size bytes; TRUNCATE
 * cuts the first only. Files are not received: a message that has some ends the batch
 * before it (EMSGSIZE if it is the first), unless NOFILES or TRUNCATE drops them.
 * Calls may be among the messages, each with its token. What was
 * not returned is still in its place. Needs what RECV needs.
 *
 * Return: messages taken; without any, an error as of RECV.
 */
struct kipc_op_recv_batch {
	__u32 flags;
	__u32 endpoint;
	__u64 type;
	__u64 deadline;
	__u64 base;
	__u64 len;
	__u64 results;
	__u32 count;
	__u32 pad;
	__u64 reserved[2];
};

/**
 * struct kipc_op_rpc - KIPC_IOC_RPC: a call, and the wait for its reply
 * @flags: NONBLOCK REALTIME NORESTART IDEMPOTENT ASYNC NEXT TRUNCATE NOFILES
 * @endpoint: id; device file only; ignored with @token, 0 with KIPC_NEXT
 * @token: 0 makes a new call; else the caller token of the call to go on
 *	waiting for. Written when the call outlives this system call: it was
 *	started by ASYNC, or a signal or a fault came after its delivery began
 * @type: as for SEND
 * @cookie: comes back in the result
 * @prio: as for SEND
 * @pad: 0
 * @deadline: until when to wait; with ASYNC: until when the call may take, 0:
 *	as long as it takes
 * @request: the bytes to send
 * @reply: room for the reply; ASYNC: empty
 * @reply_room: ASYNC: largest reply in bytes that will be collected; else 0
 * @result: address of struct kipc_result, or 0; written on errors too, once the
 *	arguments were found valid
 * @reserved: 0
 *
 * Three forms. @token 0: the call is queued like a message, taken by RECV and
 * answered by REPLY. @token set: goes on waiting for that call; @request and
 * the message members are ignored. For a call that was interrupted, @deadline
 * ends the call as before; for an ASYNC call it ends only the wait, with EAGAIN
 * (a call's fate is never EAGAIN, unless with KIPC_RESULT_REMOTE). KIPC_NEXT:
 * the same for whichever ASYNC call of this file has finished, oldest first.
 * When a reply cannot be stored (EFAULT, EMFILE, or EMSGSIZE because there is less
 * room now than was declared) the call can be collected again by @token. If there is no
 * memory to keep a large reply until then, what is collected is ENOMEM with DELIVERED.
 *
 * ASYNC never sleeps (EAGAIN when the message cannot be admitted at once) and
 * always ends exactly once: by being collected or cancelled. It is charged to
 * the caller's user: EDQUOT beyond user_calls_max or user_reply_room_max.
 *
 * While it waits, other threads must not change @request, and do not know what is
 * in @reply; after an error, and behind the reply, its bytes are undefined.
 *
 * A reply that is larger than the room is not kept: EMSGSIZE with DELIVERED
 * and the size it had, or with TRUNCATE its beginning. Room beyond max_size, as
 * it is when the call is made, does not count. The same holds for files that are
 * more than @reply has room for; with NOFILES all are dropped. The reply to an ASYNC
 * call brings none: they are dropped. A call with room for files is EDQUOT while its user
 * has more than user_files_max on their way. What is dropped of a reply that is told, the
 * result tells by KIPC_RESULT_FILES_DROPPED. A request's files are kept with
 * IDEMPOTENT, for its next delivery, until the call is answered or given up.
 * Closing the file cancels its outstanding calls.
 *
 * Return: bytes of the reply stored; ASYNC: 0; or the call's fate: the server's
 * status with KIPC_RESULT_REMOTE; ECONNRESET with DELIVERED (the server died
 * with it); EIDRM, with DELIVERED if it had been taken; ETIMEDOUT likewise;
 * ECANCELED (another thread cancelled it); EMSGSIZE (request larger than
 * max_size: without DELIVERED); or EACCES, EOPNOTSUPP (ONEWAY endpoint),
 * EDEADLK (no handle but the calling thread's own could answer now), EBUSY
 * (another thread waits for @token), ENOENT (no such @token; KIPC_NEXT: this
 * file has no ASYNC call), EDQUOT, EAGAIN, EINTR (@token is set if the call goes
 * on).
 */
struct kipc_op_rpc {
	__u32 flags;
	__u32 endpoint;
	__u64 token;
	__u64 type;
	__u64 cookie;
	__u32 prio;
	__u32 pad;
	__u64 deadline;
	struct kipc_payload request;
	struct kipc_payload reply;
	__u64 reply_room;
	__u64 result;
	__u64 reserved[2];
};

/**
 * struct kipc_op_reply - KIPC_IOC_REPLY: answer a delivery
 * @token: delivery token from a receive
 * @status: 0, or a positive errno up to KIPC_STATUS_MAX: the caller's RPC fails
 *	with it and KIPC_RESULT_REMOTE; the payload is still delivered
 * @flags: 0
 * @type: for the caller's result
 * @payload: the bytes of the reply, at most the endpoint's max_size, and its files
 * @reserved: 0
 *
 * Handles with KIPC_RIGHT_RECV. Never waits for anybody. The token is used up
 * by success and by ECANCELED; after any other error it is still good.
 *
 * Return: 0, or ECANCELED (the caller has gone, or the endpoint was removed),
 * ENOENT (no such token on this endpoint), EMSGSIZE.
 */
struct kipc_op_reply {
	__u64 token;
	__s32 status;
	__u32 flags;
	__u64 type;
	struct kipc_payload payload;
	__u64 reserved[2];
};

/**
 * struct kipc_op_reply_recv - KIPC_IOC_REPLY_RECV: answer, then receive
 * @token: as for REPLY, or 0: only receive. Written: 0 once the reply is made
 * @status: as for REPLY
 * @reply_error: fate of the reply half, 0 or -ECANCELED, for the restart of an
 *	interrupted call: pass 0. Written before any return after the reply; if it
 *	cannot be any more, EFAULT and nothing is received: the result's
 *	KIPC_RESULT_REPLIED tells that the token is used up all the same
 * @replied: 1 once the reply half is done; as @reply_error
 * @pad: 0
 * @type: type of the reply
 * @reply: the bytes of the reply
 * @recv: the receive; without PEEK, MSGBUF and PRIO_ONLY
 * @reserved: 0
 *
 * Handles with KIPC_RIGHT_RECV. An error of the reply itself (bad address,
 * ENOENT, EMSGSIZE, ...) ends the call before receiving and keeps the token;
 * that the caller has gone is no such error: it is told in the result's
 * reply_error and the receive goes on. The result has KIPC_RESULT_REPLIED when
 * the reply half is done, and is then written on errors of the receive too.
 *
 * Return: as RECV; errors as REPLY (but for ECANCELED) and RECV.
 */
struct kipc_op_reply_recv {
	__u64 token;
	__s32 status;
	__s32 reply_error;
	__u32 replied;
	__u32 pad;
	__u64 type;
	struct kipc_payload reply;
	struct kipc_op_recv recv;
	__u64 reserved[2];
};

/**
 * struct kipc_op_token - KIPC_IOC_CANCEL, KIPC_IOC_WANTED, KIPC_IOC_ADOPT
 * @token: CANCEL: a caller token of this file; WANTED, ADOPT: a delivery token
 * @flags: 0
 * @result_flags: 0; CANCEL: written: KIPC_RESULT_DELIVERED if a server had it
 * @reserved: 0
 *
 * CANCEL gives up a call; it is then never collected, and its server learns by
 * ECANCELED. A thread that waits for it gets ECANCELED. WANTED tells whether
 * anybody still waits for a delivery (0) or not (ECANCELED; the token remains good
 * for REPLY). ADOPT makes the calling process and this file responsible for a
 * delivery. A delivery breaks when the process responsible for it exits or closes
 * its last descriptor of that file. WANTED and ADOPT need a handle with
 * KIPC_RIGHT_RECV.
 *
 * Return: 0, or ENOENT, ECANCELED.
 */
struct kipc_op_token {
	__u64 token;
	__u32 flags;
	__u32 result_flags;
	__u64 reserved[2];
};

/**
 * struct kipc_op_shutdown - KIPC_IOC_SHUTDOWN: end receiving on this file
 * @flags: 0
 * @pad: 0
 *
 * Handles with KIPC_RIGHT_RECV. Present and later receives on this file give
 * ESHUTDOWN; what was taken can still be answered, and REPLY_RECV still makes
 * its reply. Messages stay in the queue for other handles.
 */
struct kipc_op_shutdown {
	__u32 flags;
	__u32 pad;
};

/**
 * struct kipc_op_event - KIPC_IOC_EVENT: raise event bits
 * @endpoint: id; device file only
 * @flags: 0
 * @events: bits to set
 * @reserved: 0
 *
 * Reserved: EOPNOTSUPP.
 */
struct kipc_op_event {
	__u32 endpoint;
	__u32 flags;
	__u64 events;
	__u64 reserved[2];
};

/**
 * struct kipc_op_notify - KIPC_IOC_NOTIFY: notice of the next first message
 * @endpoint: 0
 * @flags: KIPC_NOTIFY_*
 * @how: KIPC_NOTIFY_*
 * @signo: SIGNAL: its number, up to 64; 0: none is sent, as of mq_notify(3); else 0
 * @value: SIGNAL: comes with it (si_value); EVENTFD: descriptor of the eventfd; else 0
 * @end: TELL_END: descriptor of another eventfd; else 0
 * @reserved: 0
 *
 * Handles only, with any right. When a message comes into a queue that was empty
 * and nobody waits to receive it, or comes back there because a receive failed, notice is
 * given, once; then there is nobody to be told until the next NOTIFY. A message that waited
 * for room at a FIRST_COME endpoint causes notice only if NOTIFY, a receive or poll(2) found
 * the queue empty meanwhile, while another receive was taking the message before.
 * An endpoint has one who is to be told, a process:
 * it ends being that also when it closes a descriptor of any handle on the endpoint,
 * by its exit and exec too (if another process shares its table of descriptors: when the next
 * one calls NOTIFY), and by END (which is 0 if it is not to be told). With
 * TELL_END another eventfd counts it, if the process stops being that without notice,
 * also by the end of the endpoint: one of the two counts, once.
 *
 * The signal has si_code SI_MESGQ, si_pid and si_uid of the sender, as sigaction(2)
 * says. It goes to one thread that does not block it: the first, or the one that called NOTIFY,
 * or another (of the first 1024). A module cannot make it pending for all of them. What is
 * queued already, when NOTIFY is called, causes none. See mq_notify(3).
 *
 * Return: 0, or EBUSY (another process, or this one, is to be told already), EINVAL, EBADF (also:
 * @value is no descriptor; EINVAL if it is none of an eventfd).
 */
struct kipc_op_notify {
	__u32 endpoint;
	__u32 flags;
	__u32 how;
	__u32 signo;
	__u64 value;
	__u64 end;
	__u64 reserved[3];
};

#define KIPC_IOC_MAGIC		'Y'

#define KIPC_IOC_INFO		_IOR(KIPC_IOC_MAGIC, 0x00, struct kipc_limits)
#define KIPC_IOC_OPEN		_IOWR(KIPC_IOC_MAGIC, 0x01, struct kipc_op_open)
#define KIPC_IOC_RESTRICT	_IOW(KIPC_IOC_MAGIC, 0x02, struct kipc_op_restrict)
#define KIPC_IOC_STAT		_IOWR(KIPC_IOC_MAGIC, 0x03, struct kipc_op_stat)
#define KIPC_IOC_SET		_IOW(KIPC_IOC_MAGIC, 0x04, struct kipc_op_stat)
#define KIPC_IOC_REMOVE		_IOW(KIPC_IOC_MAGIC, 0x05, struct kipc_op_remove)
#define KIPC_IOC_NEXT		_IOWR(KIPC_IOC_MAGIC, 0x06, struct kipc_op_next)
#define KIPC_IOC_SUM		_IOWR(KIPC_IOC_MAGIC, 0x07, struct kipc_op_sum)
#define KIPC_IOC_SEND		_IOW(KIPC_IOC_MAGIC, 0x10, struct kipc_op_send)
#define KIPC_IOC_RECV		_IOW(KIPC_IOC_MAGIC, 0x11, struct kipc_op_recv)
#define KIPC_IOC_RPC		_IOWR(KIPC_IOC_MAGIC, 0x12, struct kipc_op_rpc)
#define KIPC_IOC_REPLY		_IOW(KIPC_IOC_MAGIC, 0x13, struct kipc_op_reply)
#define KIPC_IOC_REPLY_RECV	_IOWR(KIPC_IOC_MAGIC, 0x14, struct kipc_op_reply_recv)
#define KIPC_IOC_CANCEL		_IOWR(KIPC_IOC_MAGIC, 0x15, struct kipc_op_token)
#define KIPC_IOC_WANTED		_IOW(KIPC_IOC_MAGIC, 0x16, struct kipc_op_token)
#define KIPC_IOC_ADOPT		_IOW(KIPC_IOC_MAGIC, 0x17, struct kipc_op_token)
#define KIPC_IOC_SHUTDOWN	_IOW(KIPC_IOC_MAGIC, 0x18, struct kipc_op_shutdown)
#define KIPC_IOC_EVENT		_IOW(KIPC_IOC_MAGIC, 0x19, struct kipc_op_event)
#define KIPC_IOC_NOTIFY		_IOW(KIPC_IOC_MAGIC, 0x1a, struct kipc_op_notify)
#define KIPC_IOC_SEND_BATCH	_IOW(KIPC_IOC_MAGIC, 0x1b, struct kipc_op_send_batch)
#define KIPC_IOC_RECV_BATCH	_IOW(KIPC_IOC_MAGIC, 0x1c, struct kipc_op_recv_batch)

#endif /* _UAPI_LINUX_KIPC_H */
