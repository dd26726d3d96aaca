// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * System V message queues on kipc: msgget, msgsnd, msgrcv and msgctl for programs
 * that were linked with those of the C library.
 *
 * A queue is an endpoint that persists, takes no calls, is open to the first who come and
 * has the rules of svipc(7). The key is the same number, and so is the id. Messages have the
 * queue's types and no priorities. What the C library's functions do is described in
 * msgget(2), msgop(2), msgctl(2) and svipc(7), and where these are silent by what Linux does.
 */
#include "dropin.h"

#include <limits.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>
#include <linux/capability.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/syscall.h>
#include <asm/msgbuf.h>

const char dropin_library[] = "libkipc-sysv.so";

/* Bits of an id below what MSG_STAT counts by, from 0; kipc begins at 1 there, as no id is 0 */
#define INDEX_SHIFT 11

#define OVERFLOW_ID 65534	/* who has no id in this user namespace */

static bool is_queue(const struct kipc_endpoint *info)
{
	return info->flags & KIPC_ENDPOINT_SYSV;
}

/* ---- the C library's functions ---- */

static int native_control(const char *name, const char *version, int id, int cmd, void *buf)
{
	union {
		void *address;
		int (*call)(int id, int cmd, void *buf);
	} next;

	next.address = dropin_next(name, version);
	return next.call(id, cmd, buf);
}

/* ---- limits ---- */

/* As of <linux/msg.h>, which <sys/msg.h> excludes: for a kernel without queues */
static const struct msginfo default_limits = {
	.msgmni = 32000, .msgmax = 8192, .msgmnb = 16384, .msgpool = 32000 * 16,
	.msgmap = 16384, .msgssz = 16, .msgtql = 16384, .msgseg = 0xffff,
};

/* Those of the ipc namespace, /proc/sys/kernel/msg*: the kernel is asked */
static struct msginfo get_limits(void)
{
	struct msginfo limits;
	int saved = errno;

	if (syscall(SYS_msgctl, 0, IPC_INFO, &limits) < 0)
		limits = default_limits;
	errno = saved;
	return limits;
}

/* ---- ids ---- */

/* An id that is none is EINVAL here; EIDRM is for who has waited meanwhile */
static int no_such(int ret)
{
	return ret == -EIDRM ? -EINVAL : ret;
}

static int get_info(uint32_t id, struct kipc_endpoint *info)
{
	struct kipc_op_stat op = { .endpoint = id };
	int ret = no_such(dropin_ioctl(KIPC_IOC_STAT, &op));

	if (ret >= 0)
		*info = op.info;
	return ret;
}

static int check_rights(uint32_t id, uint32_t rights)
{
	struct kipc_op_open op = {
		.flags = KIPC_OPEN_ID_ONLY | KIPC_OPEN_ANY_OWNER,
		.rights = rights,
		.id = id,
	};

	return no_such(dropin_ioctl(KIPC_IOC_OPEN, &op));
}

/* What there is in all queues */
static int sum_up(struct kipc_op_sum *sums)
{
	*sums = (struct kipc_op_sum){ 0 };
	return dropin_ioctl(KIPC_IOC_SUM, sums);
}

/* ---- msgget ---- */

/* What kipc charges for a message beside its bytes */
#define MESSAGE_COST 256

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/*
 * A queue takes messages without bytes, too, as many as it takes bytes. Each has at most as many as
 * MSGMAX is when it is sent, which the kernel sees to.
 */
static struct kipc_attr capacity(uint64_t bytes, const struct kipc_limits *limits)
{
	uint64_t room = limits->capacity_max > bytes ? limits->capacity_max - bytes : 0;
	uint64_t msgs = least(least(room / MESSAGE_COST, bytes), UINT32_MAX);

	return (struct kipc_attr){
		.max_size = limits->msg_max,
		.max_bytes = bytes,
		.max_msgs = msgs ? (uint32_t)msgs : 1,
	};
}

static bool too_much(int ret)
{
	return ret == -EDQUOT || ret == -EMSGSIZE;
}

/* May there be one queue more? 0 or -ENOSPC */
static int check_number(const struct kipc_limits *limits, int msgmni)
{
	struct kipc_op_sum sums;
	int ret;

	/* That there are few endpoints of any kind is told without counting */
	if (limits->endpoints < (unsigned int)msgmni)
		return 0;
	ret = sum_up(&sums);
	return ret < 0 || sums.endpoints < (unsigned int)msgmni ? ret : -ENOSPC;
}

static int create_queue(struct kipc_op_open *op)
{
	struct msginfo wanted = get_limits();
	struct kipc_limits limits;
	int ret;

	ret = dropin_ioctl(KIPC_IOC_INFO, &limits);
	if (ret >= 0)
		ret = check_number(&limits, wanted.msgmni);
	if (ret < 0)
		return ret;
	op->flags |= KIPC_OPEN_CREATE | KIPC_OPEN_PERSIST | KIPC_OPEN_ONEWAY |
		     KIPC_OPEN_FIRST_COME | KIPC_OPEN_SYSV;
	op->attr = capacity((unsigned int)wanted.msgmnb, &limits);
	ret = dropin_ioctl(KIPC_IOC_OPEN, op);
	return too_much(ret) ? -ENOSPC : ret;
}

static bool key_is_taken(key_t key)
{
	struct kipc_op_open op = {
		.flags = KIPC_OPEN_ID_ONLY | KIPC_OPEN_ANY_OWNER,
		.key = (uint32_t)key,
	};

	return dropin_ioctl(KIPC_IOC_OPEN, &op) >= 0;
}

static bool in_group(gid_t gid)
{
	return gid == dropin_fsgid() || group_member(gid);
}

/*
 * Linux looks for the execute bits too if @flags ask for them, though nothing else uses them.
 * kipc knows no such right.
 */
static int check_execute(uint32_t id)
{
	struct kipc_endpoint info;
	unsigned int mode;
	uid_t uid = dropin_euid();
	int ret;

	ret = get_info(id, &info);
	if (ret < 0)
		return ret;
	mode = info.mode;
	if (uid == info.uid || uid == info.cuid)
		mode >>= 6;
	else if (in_group(info.gid) || in_group(info.cgid))
		mode >>= 3;
	return mode & 1 || dropin_capable(CAP_IPC_OWNER) ? 0 : -EACCES;
}

static int get_queue(key_t key, int flags)
{
	struct kipc_op_open op = {
		.flags = KIPC_OPEN_ID_ONLY | KIPC_OPEN_ANY_OWNER,
		.key = (uint32_t)key,
		.mode = (uint32_t)flags & 0777,
	};
	int ret;

	/* Whom the mode in @flags names does not matter for what is asked for */
	if (flags & 0444)
		op.rights |= KIPC_RIGHT_RECV;
	if (flags & 0222)
		op.rights |= KIPC_RIGHT_SEND;

	if (key == IPC_PRIVATE) {
		ret = create_queue(&op);
	} else if ((flags & IPC_CREAT) && (flags & IPC_EXCL)) {
		op.flags |= KIPC_OPEN_EXCL;
		ret = create_queue(&op);
		if (ret == -ENOSPC && key_is_taken(key))
			ret = -EEXIST;
	} else {
		/* It need not be known how a new one should be if there is one */
		ret = dropin_ioctl(KIPC_IOC_OPEN, &op);
		if (ret == -ENOENT && flags & IPC_CREAT)
			ret = create_queue(&op);
	}
	if (ret >= 0 && flags & 0111 && !op.created)
		ret = check_execute(op.id);
	return ret < 0 ? ret : (int)op.id;
}

DROPIN_PUBLIC int msgget(key_t key, int flags)
{
	union {
		void *address;
		__typeof__(msgget) *call;
	} next;

	if (!dropin_native())
		return dropin_return(get_queue(key, flags));
	next.address = dropin_next("msgget", NULL);
	return next.call(key, flags);
}

/* ---- msgsnd and msgrcv ---- */

/* EIDRM is then a queue that was removed in the middle */
#define TRANSFER_FLAGS (KIPC_NORESTART | KIPC_NOENT | KIPC_MSGBUF)

/* A send or receive, and what its errors are called here */
static int transfer(unsigned long request, void *op)
{
	int ret = dropin_ioctl_cancel(request, op);

	switch (ret) {
	case -ENOENT:
		return -EINVAL;
	case -ENOSPC:
	case -EDQUOT:
		/* Too many wait already: it has no error of its own */
		return -ENOMEM;
	default:
		return ret;
	}
}

/*
 * Linux has looked at the message before it looks for the queue, kipc the other way round: of two
 * errors the first one counts.
 */
static int earlier_error(int id, const void *msgp, size_t size, int error)
{
	long type = 0;

	if (dropin_fetch(&type, msgp, sizeof(type)))
		return -EFAULT;
	if (id < 0 || size > (unsigned int)get_limits().msgmax || type < 1)
		return -EINVAL;
	return dropin_legible((const char *)msgp + sizeof(type), size) ? -EFAULT : error;
}

static int send_message(int id, const void *msgp, size_t size, int flags)
{
	struct kipc_op_send op = {
		.flags = TRANSFER_FLAGS | ((flags & IPC_NOWAIT) ? KIPC_NONBLOCK : 0),
		.endpoint = (uint32_t)id,
		.deadline = KIPC_FOREVER,
		.payload = libkipc_bytes(msgp, size),
	};
	int ret = transfer(KIPC_IOC_SEND, &op);

	if (ret == -EINVAL || ret == -EACCES)
		ret = earlier_error(id, msgp, size, ret);
	return ret == -EMSGSIZE ? -EINVAL : ret;
}

DROPIN_PUBLIC int msgsnd(int id, const void *msgp, size_t size, int flags)
{
	union {
		void *address;
		__typeof__(msgsnd) *call;
	} next;

	if (!dropin_native())
		return dropin_return(send_message(id, msgp, size, flags));
	next.address = dropin_next("msgsnd", NULL);
	return next.call(id, msgp, size, flags);
}

/* Which message @type means */
static uint64_t choose(struct kipc_op_recv *op, long type, int flags)
{
	if (type > 0) {
		op->flags |= (flags & MSG_EXCEPT) ? KIPC_TYPE_NE : KIPC_TYPE_EQ;
		return (uint64_t)type;
	}
	if (type < 0) {
		op->flags |= KIPC_TYPE_LE;
		/* LONG_MIN has no counterpart */
		return type == LONG_MIN ? LONG_MAX : (uint64_t)-type;
	}
	return 0;
}

/*
 * The one before which there are @index others; it stays. Of the @size bytes that there are for its
 * text no more than MSGMAX are used, whatever that was when the message came.
 */
static int copy_message(struct kipc_op_recv *op, void *msgp, size_t size, long index, int flags)
{
	size_t most = (size_t)least(size, (unsigned int)get_limits().msgmax);
	struct kipc_result result = { .size = 0 };
	long type;
	int ret;

	/* Linux reads so many bytes there, from the type on, before all else */
	if (dropin_legible(msgp, most))
		return dropin_refuse(-EFAULT);
	op->flags ^= KIPC_MSGBUF | KIPC_PEEK | KIPC_INDEX;
	op->after = (uint64_t)index;
	op->payload = libkipc_bytes((char *)msgp + sizeof(type), most);
	op->result = libkipc_pointer(&result);
	ret = transfer(KIPC_IOC_RECV, op);
	/* This is what Linux says, though the manual has it otherwise */
	if (ret == -EMSGSIZE && (flags & MSG_NOERROR || result.size <= size))
		return -EINVAL;
	type = (long)result.type;
	return ret >= 0 && dropin_store(msgp, &type, sizeof(type)) ? -EFAULT : ret;
}

static ssize_t receive_message(int id, void *msgp, size_t size, long type, int flags)
{
	struct kipc_op_recv op = {
		.flags = TRANSFER_FLAGS | ((flags & IPC_NOWAIT) ? KIPC_NONBLOCK : 0),
		.endpoint = (uint32_t)id,
		.deadline = KIPC_FOREVER,
	};
	int ret;

	if (id < 0 || (ssize_t)size < 0)
		return dropin_refuse(-EINVAL);
	if (flags & MSG_COPY) {
		if (flags & MSG_EXCEPT || !(flags & IPC_NOWAIT))
			return dropin_refuse(-EINVAL);
		ret = copy_message(&op, msgp, size, type, flags);
	} else {
		op.payload = libkipc_bytes(msgp, size);
		op.type = choose(&op, type, flags);
		op.flags |= (flags & MSG_NOERROR) ? KIPC_TRUNCATE : KIPC_ANYSIZE;
		ret = transfer(KIPC_IOC_RECV, &op);
	}
	if (ret == -EAGAIN)
		return -ENOMSG;
	return ret == -EMSGSIZE ? -E2BIG : ret;
}

DROPIN_PUBLIC ssize_t msgrcv(int id, void *msgp, size_t size, long type, int flags)
{
	union {
		void *address;
		__typeof__(msgrcv) *call;
	} next;

	if (!dropin_native())
		return dropin_return((int)receive_message(id, msgp, size, type, flags));
	next.address = dropin_next("msgrcv", NULL);
	return next.call(id, msgp, size, type, flags);
}

/* ---- msgctl ---- */

/* What IPC_SET changes */
struct settings {
	uid_t uid;
	gid_t gid;
	unsigned int mode;
	unsigned long qbytes;
};

/*
 * struct msqid_ds has changed over the time, and programs bring along the one that they were
 * compiled with.
 */
union any_ds {
	struct msqid_ds now;
	struct msqid64_ds kernel;
#ifdef __i386__
	/* Of the first C library 2 */
	struct old_ds {
		struct {
			int key;	// cppcheck-suppress unusedStructMember
			// cppcheck-suppress unusedStructMember
			unsigned short uid, gid, cuid, cgid, mode, seq;
		} perm;
		void *first, *last;
		int stime, rtime, ctime;
		unsigned long lcbytes, lqbytes;
		unsigned short cbytes, qnum, qbytes, lspid, lrpid;
	} old;
#endif
};

struct layout {
	size_t size;
	void (*put)(union any_ds *ds, const struct kipc_endpoint *info);
	void (*get)(const union any_ds *ds, struct settings *settings);
};

static uid_t shown_id(uint32_t id)
{
	return id == KIPC_ID_UNMAPPED ? OVERFLOW_ID : id;
}

static unsigned short sequence(const struct kipc_endpoint *info)
{
	return info->id & ((1U << INDEX_SHIFT) - 1);
}

static void put_now(union any_ds *ds, const struct kipc_endpoint *info)
{
	ds->now = (struct msqid_ds){
		.msg_perm = {
			.__key = (key_t)info->key,
			.uid = shown_id(info->uid),
			.gid = shown_id(info->gid),
			.cuid = shown_id(info->cuid),
			.cgid = shown_id(info->cgid),
			.mode = (mode_t)info->mode,
			.__seq = sequence(info),
		},
		.msg_stime = info->sent,
		.msg_rtime = info->received,
		.msg_ctime = info->changed,
		.__msg_cbytes = (unsigned long)info->bytes,
		.msg_qnum = (msgqnum_t)info->msgs,
		.msg_qbytes = (msglen_t)info->attr.max_bytes,
		.msg_lspid = info->sender,
		.msg_lrpid = info->receiver,
	};
}

static void get_now(const union any_ds *ds, struct settings *settings)
{
	*settings = (struct settings){
		.uid = ds->now.msg_perm.uid,
		.gid = ds->now.msg_perm.gid,
		.mode = ds->now.msg_perm.mode,
		.qbytes = ds->now.msg_qbytes,
	};
}

static const struct layout now = { sizeof(struct msqid_ds), put_now, get_now };

static int stat_queue(uint32_t id, uint32_t rights, const struct layout *layout, void *buf)
{
	struct kipc_endpoint info;
	union any_ds ds;
	int ret;

	ret = rights ? check_rights(id, rights) : 0;
	if (ret >= 0)
		ret = get_info(id, &info);
	if (ret < 0)
		return ret;
	layout->put(&ds, &info);
	return dropin_store(buf, &ds, layout->size);
}

/* The queue at an index */
static int stat_index(int index, uint32_t rights, const struct layout *layout, void *buf)
{
	uint32_t of_kipc = (uint32_t)index + 1;
	struct kipc_op_next next = { .id = (of_kipc << INDEX_SHIFT) - 1 };
	struct kipc_endpoint info;
	int ret;

	if (of_kipc > INT_MAX >> INDEX_SHIFT)
		return -EINVAL;
	ret = dropin_ioctl(KIPC_IOC_NEXT, &next);
	if (ret < 0)
		return ret == -ENOENT ? -EINVAL : ret;
	if (next.id >> INDEX_SHIFT != of_kipc)
		return -EINVAL;
	ret = get_info(next.id, &info);
	if (ret >= 0 && !is_queue(&info))
		return -EINVAL;
	if (ret >= 0)
		ret = stat_queue(next.id, rights, layout, buf);
	return ret < 0 ? ret : (int)next.id;
}

static int set_capacity(struct kipc_op_stat *op, unsigned long qbytes)
{
	struct kipc_limits limits;
	int ret;

	ret = dropin_ioctl(KIPC_IOC_INFO, &limits);
	if (ret < 0)
		return ret;
	op->what |= KIPC_SET_CAPACITY;
	op->info.attr = capacity(qbytes, &limits);
	ret = no_such(dropin_ioctl(KIPC_IOC_SET, op));
	/* More than the module lets this user have */
	return too_much(ret) ? -EPERM : ret;
}

static int set_queue(uint32_t id, const struct layout *layout, const void *buf)
{
	struct kipc_op_stat op = { .endpoint = id };
	struct settings settings;
	union any_ds ds = { 0 };
	int ret;

	ret = dropin_fetch(&ds, buf, layout->size);
	if (ret < 0)
		return ret;
	layout->get(&ds, &settings);
	ret = get_info(id, &op.info);
	/* An owner that may neither send nor receive may change that */
	if (ret < 0 && ret != -EACCES)
		return ret;
	if (settings.qbytes > (unsigned int)get_limits().msgmnb && !dropin_exempt())
		return -EPERM;

	op.what = KIPC_SET_MODE | KIPC_SET_UID | KIPC_SET_GID;
	op.info.mode = settings.mode & 0777;
	op.info.uid = settings.uid;
	op.info.gid = settings.gid;
	if (ret >= 0 && op.info.attr.max_bytes == settings.qbytes)
		return no_such(dropin_ioctl(KIPC_IOC_SET, &op));
	return set_capacity(&op, settings.qbytes);
}

static int remove_queue(uint32_t id)
{
	struct kipc_op_remove op = { .endpoint = id };

	return no_such(dropin_ioctl(KIPC_IOC_REMOVE, &op));
}

static int get_msginfo(int cmd, void *buf)
{
	struct msginfo info = get_limits();
	struct kipc_op_sum sums;
	int ret;

	ret = sum_up(&sums);
	if (ret < 0)
		return ret;
	if (cmd == MSG_INFO) {
		info.msgpool = (int)sums.endpoints;
		info.msgmap = sums.msgs > INT_MAX ? INT_MAX : (int)sums.msgs;
		info.msgtql = sums.bytes > INT_MAX ? INT_MAX : (int)sums.bytes;
	}
	ret = dropin_store(buf, &info, sizeof(info));
	if (ret < 0 || !sums.last)
		return ret;
	return (int)(sums.last >> INDEX_SHIFT) - 1;
}

static int control_queue(int id, int cmd, const struct layout *layout, void *buf)
{
	if (id < 0)
		return -EINVAL;
	switch (cmd) {
	case IPC_STAT:
		return stat_queue((uint32_t)id, KIPC_RIGHT_RECV, layout, buf);
	case MSG_STAT:
		return stat_index(id, KIPC_RIGHT_RECV, layout, buf);
	case MSG_STAT_ANY:
		return stat_index(id, 0, layout, buf);
	case IPC_SET:
		return set_queue((uint32_t)id, layout, buf);
	case IPC_RMID:
		return remove_queue((uint32_t)id);
	case IPC_INFO:
	case MSG_INFO:
		return get_msginfo(cmd, buf);
	default:
		return -EINVAL;
	}
}

/*
 * With 64 bits, msgctl. With 32 bits it is __msgctl64 here, as for all who are compiled with
 * 64-bit times.
 */
DROPIN_PUBLIC int msgctl(int id, int cmd, struct msqid_ds *buf)
{
	if (!dropin_native())
		return dropin_return(control_queue(id, cmd, &now, buf));
	return native_control(sizeof(long) == 8 ? "msgctl" : "__msgctl64", NULL, id, cmd, buf);
}

#if UINTPTR_MAX == UINT32_MAX

static void put_kernel(union any_ds *ds, const struct kipc_endpoint *info)
{
	ds->kernel = (struct msqid64_ds){
		.msg_perm = {
			.key = (key_t)info->key,
			.uid = shown_id(info->uid),
			.gid = shown_id(info->gid),
			.cuid = shown_id(info->cuid),
			.cgid = shown_id(info->cgid),
			.mode = (__kernel_mode_t)info->mode,
			.seq = sequence(info),
		},
		.msg_stime = (unsigned long)info->sent,
		.msg_stime_high = (unsigned long)(info->sent >> 32),
		.msg_rtime = (unsigned long)info->received,
		.msg_rtime_high = (unsigned long)(info->received >> 32),
		.msg_ctime = (unsigned long)info->changed,
		.msg_ctime_high = (unsigned long)(info->changed >> 32),
		.msg_cbytes = (unsigned long)info->bytes,
		.msg_qnum = (unsigned long)info->msgs,
		.msg_qbytes = (unsigned long)info->attr.max_bytes,
		.msg_lspid = info->sender,
		.msg_lrpid = info->receiver,
	};
}

static void get_kernel(const union any_ds *ds, struct settings *settings)
{
	*settings = (struct settings){
		.uid = ds->kernel.msg_perm.uid,
		.gid = ds->kernel.msg_perm.gid,
		.mode = ds->kernel.msg_perm.mode,
		.qbytes = ds->kernel.msg_qbytes,
	};
}

static const struct layout kernel = { sizeof(struct msqid64_ds), put_kernel, get_kernel };

/* Of programs with 32-bit times */
#ifdef __i386__
__attribute__((symver("msgctl@@GLIBC_2.2")))
#else
int msgctl_time32(int id, int cmd, struct msqid64_ds *buf) __asm__("msgctl");
#endif
DROPIN_PUBLIC int msgctl_time32(int id, int cmd, struct msqid64_ds *buf)
{
	if (!dropin_native())
		return dropin_return(control_queue(id, cmd, &kernel, buf));
	return native_control("msgctl", NULL, id, cmd, buf);
}

#endif

#ifdef __i386__

static unsigned short shortened(uint64_t number)
{
	return number > USHRT_MAX ? USHRT_MAX : (unsigned short)number;
}

static void put_old(union any_ds *ds, const struct kipc_endpoint *info)
{
	ds->old = (struct old_ds){
		.perm = {
			.key = (key_t)info->key,
			.uid = (unsigned short)(info->uid > USHRT_MAX ? OVERFLOW_ID : info->uid),
			.gid = (unsigned short)(info->gid > USHRT_MAX ? OVERFLOW_ID : info->gid),
			.cuid = (unsigned short)(info->cuid > USHRT_MAX ? OVERFLOW_ID : info->cuid),
			.cgid = (unsigned short)(info->cgid > USHRT_MAX ? OVERFLOW_ID : info->cgid),
			.mode = (unsigned short)info->mode,
			.seq = sequence(info),
		},
		.stime = (int)info->sent,
		.rtime = (int)info->received,
		.ctime = (int)info->changed,
		.lcbytes = (unsigned long)info->bytes,
		.lqbytes = (unsigned long)info->attr.max_bytes,
		.cbytes = shortened(info->bytes),
		.qnum = shortened(info->msgs),
		.qbytes = shortened(info->attr.max_bytes),
		.lspid = (unsigned short)info->sender,
		.lrpid = (unsigned short)info->receiver,
	};
}

static void get_old(const union any_ds *ds, struct settings *settings)
{
	*settings = (struct settings){
		.uid = ds->old.perm.uid,
		.gid = ds->old.perm.gid,
		.mode = ds->old.perm.mode,
		.qbytes = ds->old.qbytes ? ds->old.qbytes : ds->old.lqbytes,
	};
}

static const struct layout old = { sizeof(struct old_ds), put_old, get_old };

/* Of programs that were linked before the C library 2.2 */
__attribute__((symver("msgctl@GLIBC_2.0")))
DROPIN_PUBLIC int msgctl_old(int id, int cmd, struct old_ds *buf)
{
	if (!dropin_native())
		return dropin_return(control_queue(id, cmd, &old, buf));
	return native_control("msgctl", "GLIBC_2.0", id, cmd, buf);
}

#endif
