// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * POSIX message queues, see posixmq.h. The errors and their order are those of the C library
 * and of the kernel's own queues.
 */
#include "posixmq.h"

#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NS_PER_SEC 1000000000

const char dropin_library[] = "libkipc-posixmq.so";

/* Finding, making and unlinking */

/*
 * A name of kipc's has room for the slash and 254 characters. The longest names stand
 * without the slash: no other queue's name does.
 */
static int queue_name(const char *name, struct kipc_op_open *op)
{
	size_t len;

	if (name[0] != '/')
		return -EINVAL;
	len = strnlen(name + 1, PATH_MAX);
	if (!len)
		return -ENOENT;
	if (len == PATH_MAX)
		return -ENAMETOOLONG;
	if (!strcmp(name, "/.") || !strcmp(name, "/..") || strchr(name + 1, '/'))
		return -EACCES;
	if (len > NAME_MAX)
		return -ENAMETOOLONG;

	if (len < KIPC_NAME_MAX) {
		op->name = libkipc_pointer(name);
		op->name_len = (uint32_t)len + 1;
	} else {
		op->name = libkipc_pointer(name + 1);
		op->name_len = (uint32_t)len;
	}
	return 0;
}

/* Whether there is such a queue, whoever may use it: its id goes to @op, as does its name */
static int queue_find(const char *name, struct kipc_op_open *op)
{
	int ret;

	*op = (struct kipc_op_open){ .flags = KIPC_OPEN_ID_ONLY | KIPC_OPEN_ANY_OWNER };
	ret = queue_name(name, op);
	return ret ? ret : dropin_ioctl(KIPC_IOC_OPEN, op);
}

static uint32_t queue_rights(int oflag)
{
	switch (oflag & O_ACCMODE) {
	case O_RDONLY:
		return KIPC_RIGHT_RECV;
	case O_WRONLY:
		return KIPC_RIGHT_SEND;
	case O_RDWR:
		return KIPC_RIGHT_SEND | KIPC_RIGHT_RECV;
	default:
		/* Such a descriptor can neither send nor receive */
		return KIPC_RIGHT_CONTROL;
	}
}

/* What opens the queue of that name with the rights that @oflag asks for */
static int handle_op(const char *name, int oflag, uint32_t flags, struct kipc_op_open *op)
{
	*op = (struct kipc_op_open){
		.rights = queue_rights(oflag),
		.flags = flags | POSIXMQ_HANDLE_FLAGS,
	};
	if (oflag & O_NONBLOCK)
		op->flags |= KIPC_OPEN_NONBLOCK;
	return queue_name(name, op);
}

static int open_old(const char *name, int oflag)
{
	struct kipc_op_open op;
	int ret;

	if (oflag & O_CREAT && oflag & O_EXCL) {
		ret = queue_find(name, &op);
		return ret ? ret : -EEXIST;
	}
	if ((oflag & O_ACCMODE) == O_ACCMODE) {
		ret = queue_find(name, &op);
		return ret ? ret : -EINVAL;
	}
	ret = handle_op(name, oflag, KIPC_OPEN_ANY_OWNER, &op);
	if (!ret)
		ret = dropin_ioctl(KIPC_IOC_OPEN, &op);
	switch (ret) {
	case -ENOSPC:
		/* More handles than an endpoint has room for */
		return -ENFILE;
	case -EDQUOT:
		/* ... or than a user's part of that */
		return -EMFILE;
	default:
		return ret;
	}
}

/* An endpoint knows rights only; what else a mode has is its file's */
static void set_mode(int queue, mode_t mode)
{
	int saved = errno;

	syscall(SYS_fchmod, queue, mode);
	errno = saved;
}

static int open_new(const char *name, int oflag, mode_t mode, const struct mq_attr *attr)
{
	const uint32_t flags = KIPC_OPEN_CREATE | KIPC_OPEN_EXCL | POSIXMQ_OPEN_FLAGS;
	struct kipc_op_open op;
	int ret = handle_op(name, oflag, flags, &op);

	if (!ret)
		ret = posixmq_make(&op, mode, attr);
	if (!ret)
		ret = dropin_ioctl(KIPC_IOC_OPEN, &op);
	if (ret >= 0 && mode & 07000)
		set_mode(ret, op.mode | (mode & 07000));
	switch (ret) {
	case -EDQUOT:
		/* user_capacity_max is for kipc what RLIMIT_MSGQUEUE is for the kernel's own */
		return -EMFILE;
	case -EMSGSIZE:
		return -EINVAL;
	case -EPERM:
		return -EACCES;
	default:
		return ret;
	}
}

/* Linux takes the descriptor first: when there is none, nothing else that is wrong matters */
static int earlier_error(const char *name, int error)
{
	int saved = errno, fd;

	if (!name[1] || error == -EFAULT || strnlen(name + 1, PATH_MAX) == PATH_MAX)
		return error;
	fd = (int)syscall(SYS_epoll_create1, EPOLL_CLOEXEC);
	if (fd >= 0)
		syscall(SYS_close, fd);
	else if (errno == EMFILE)
		error = -EMFILE;
	errno = saved;
	return error;
}

/* The attributes matter only if the queue is made, so that is tried last */
static int queue_open(const char *name, int oflag, mode_t mode, const struct mq_attr *wanted)
{
	struct mq_attr attr;
	int ret;

	if (name[0] != '/')
		return -EINVAL;
	if (wanted) {
		ret = dropin_fetch(&attr, wanted, sizeof(attr));
		if (ret)
			return ret;
	}
	do {
		ret = open_old(name, oflag);
		if (ret != -ENOENT || !(oflag & O_CREAT) || !name[1])
			break;
		ret = open_new(name, oflag, mode, wanted ? &attr : NULL);
	} while (ret == -EEXIST && !(oflag & O_EXCL));
	return ret < 0 ? earlier_error(name, ret) : ret;
}

typedef mqd_t open_fn(const char *name, int oflag, ...);
open_fn posixmq_open __asm__("mq_open") DROPIN_PUBLIC;

mqd_t posixmq_open(const char *name, int oflag, ...)
{
	const struct mq_attr *attr = NULL;
	mode_t mode = 0;
	va_list args;

	if (oflag & O_CREAT) {
		va_start(args, oflag);
		mode = va_arg(args, mode_t);
		attr = va_arg(args, const struct mq_attr *);
		va_end(args);
	}
	if (dropin_native())
		return POSIXMQ_NEXT(open_fn, "mq_open")(name, oflag, mode, attr);
	return dropin_return(queue_open(name, oflag, mode, attr));
}

/* What mq_open() with two arguments is called by where the compiler was to check that */
typedef mqd_t open_2_fn(const char *name, int oflag);
open_2_fn posixmq_open_2 __asm__("__mq_open_2") DROPIN_PUBLIC;

mqd_t posixmq_open_2(const char *name, int oflag)
{
	/* The C library ends the program, in its own way, if there should have been more */
	if (oflag & O_CREAT || dropin_native())
		return POSIXMQ_NEXT(open_2_fn, "__mq_open_2")(name, oflag);
	return dropin_return(queue_open(name, oflag, 0, NULL));
}

static int queue_unlink(const char *name)
{
	struct kipc_op_stat op = { .what = KIPC_SET_NAME };
	struct kipc_op_open found;
	int ret = queue_find(name, &found);

	if (ret)
		return ret;
	op.endpoint = found.id;
	ret = dropin_ioctl(KIPC_IOC_SET, &op);
	switch (ret) {
	case -EPERM:
		return -EACCES;
	case -EIDRM:
		return -ENOENT;
	default:
		return ret;
	}
}

typedef int unlink_fn(const char *name);
unlink_fn posixmq_unlink __asm__("mq_unlink") DROPIN_PUBLIC;

int posixmq_unlink(const char *name)
{
	if (dropin_native())
		return POSIXMQ_NEXT(unlink_fn, "mq_unlink")(name);
	return dropin_return(queue_unlink(name));
}

/* Attributes */

int posixmq_error(int ret)
{
	switch (ret) {
	case -EIDRM:	/* removed by other means than mq_unlink() */
	case -EINVAL:	/* no handle but a device file */
		return -EBADF;
	case -ENOSPC:	/* too many wait there */
	case -EDQUOT:
		return -ENOMEM;
	default:
		return ret;
	}
}

static int queue_attributes(mqd_t queue, const struct mq_attr *wanted, struct mq_attr *was)
{
	struct kipc_op_stat op = { .what = wanted ? KIPC_STAT_ACCESS : 0 };
	int saved = errno, ret, flags;
	struct mq_attr attr;

	if (wanted) {
		ret = dropin_fetch(&attr, wanted, sizeof(attr));
		if (ret)
			return ret;
		if (attr.mq_flags & ~O_NONBLOCK)
			return -EINVAL;
	}
	ret = posixmq_error(libkipc_ioctl(queue, KIPC_IOC_STAT, &op));
	if (ret)
		return ret;
	flags = fcntl(queue, F_GETFL);
	if (wanted && flags >= 0) {
		int new = (flags & ~O_NONBLOCK) | (int)attr.mq_flags;

		ret = new == flags ? 0 : fcntl(queue, F_SETFL, new);
	}
	if (flags < 0 || ret < 0) {
		ret = -errno;
		errno = saved;
		return ret;
	}
	attr = (struct mq_attr){
		.mq_flags = flags & O_NONBLOCK,
		.mq_maxmsg = (long)op.info.attr.max_msgs,
		.mq_msgsize = (long)op.info.attr.max_size,
		.mq_curmsgs = (long)op.info.msgs,
	};
	return was ? dropin_store(was, &attr, sizeof(attr)) : 0;
}

typedef int setattr_fn(mqd_t queue, const struct mq_attr *wanted, struct mq_attr *was);
setattr_fn posixmq_setattr __asm__("mq_setattr") DROPIN_PUBLIC;

int posixmq_setattr(mqd_t queue, const struct mq_attr *wanted, struct mq_attr *was)
{
	int ret = queue_attributes(queue, wanted, was);

	if (ret == -ENOTTY)
		return POSIXMQ_NEXT(setattr_fn, "mq_setattr")(queue, wanted, was);
	return dropin_return(ret);
}

typedef int getattr_fn(mqd_t queue, struct mq_attr *is);
getattr_fn posixmq_getattr __asm__("mq_getattr") DROPIN_PUBLIC;

int posixmq_getattr(mqd_t queue, struct mq_attr *is)
{
	int ret = queue_attributes(queue, NULL, is);

	if (ret == -ENOTTY)
		return POSIXMQ_NEXT(getattr_fn, "mq_getattr")(queue, is);
	return dropin_return(ret);
}

/* Sending and receiving */

/* Any length that is too large for kipc is too large for a queue, or more than enough */
static struct kipc_payload queue_bytes(const void *buf, size_t size)
{
	return libkipc_bytes(buf, size < SSIZE_MAX ? size : SSIZE_MAX);
}

/*
 * A time that has passed is not 0, with which kipc does not even try to wait: it is
 * ETIMEDOUT. Times that kipc cannot tell never come.
 */
static int queue_deadline(int64_t sec, int64_t nsec, uint64_t *deadline)
{
	if (sec < 0 || nsec < 0 || nsec >= NS_PER_SEC)
		return -EINVAL;
	if ((uint64_t)sec >= KIPC_FOREVER / NS_PER_SEC)
		*deadline = KIPC_FOREVER;
	else
		*deadline = (uint64_t)sec * NS_PER_SEC + (uint64_t)nsec;
	if (!*deadline)
		*deadline = 1;
	return 0;
}

static int queue_send(mqd_t queue, const char *msg, size_t size, unsigned int prio,
		      uint64_t deadline)
{
	struct kipc_op_send op = {
		.flags = KIPC_REALTIME,
		.prio = prio,
		.deadline = deadline,
		.payload = queue_bytes(msg, size),
	};

	if (prio > KIPC_PRIO_MAX)
		return dropin_refuse(-EINVAL);
	return posixmq_error(dropin_cancel(queue, KIPC_IOC_SEND, &op));
}

static int queue_receive(mqd_t queue, char *msg, size_t room, unsigned int *prio,
			 uint64_t deadline)
{
	struct kipc_op_recv op = {
		.flags = KIPC_REALTIME | KIPC_PRIO_ONLY,
		.deadline = deadline,
		.payload = queue_bytes(msg, room),
		.result = libkipc_pointer(prio),
	};

	return posixmq_error(dropin_cancel(queue, KIPC_IOC_RECV, &op));
}

typedef int send_fn(mqd_t queue, const char *msg, size_t size, unsigned int prio);
send_fn posixmq_send __asm__("mq_send") DROPIN_PUBLIC;

int posixmq_send(mqd_t queue, const char *msg, size_t size, unsigned int prio)
{
	int ret = queue_send(queue, msg, size, prio, KIPC_FOREVER);

	if (ret == -ENOTTY)
		return POSIXMQ_NEXT(send_fn, "mq_send")(queue, msg, size, prio);
	return dropin_return(ret);
}

typedef ssize_t receive_fn(mqd_t queue, char *msg, size_t room, unsigned int *prio);
receive_fn posixmq_receive __asm__("mq_receive") DROPIN_PUBLIC;

ssize_t posixmq_receive(mqd_t queue, char *msg, size_t room, unsigned int *prio)
{
	int ret = queue_receive(queue, msg, room, prio, KIPC_FOREVER);

	if (ret == -ENOTTY)
		return POSIXMQ_NEXT(receive_fn, "mq_receive")(queue, msg, room, prio);
	return dropin_return(ret);
}

/*
 * The same with a timeout, once for each struct timespec: what is behind the address only
 * that reads, and the C library's function that is exported by the same name.
 */

typedef int deadline_fn(const void *timeout, uint64_t *deadline);

static int deadline64(const void *timeout, uint64_t *deadline)
{
	struct timespec time;

	_Static_assert(sizeof(time.tv_sec) == 8, "struct timespec: 64 bits");
	if (dropin_fetch(&time, timeout, sizeof(time)))
		return -EFAULT;
	return queue_deadline(time.tv_sec, time.tv_nsec, deadline);
}

typedef int timedsend_fn(mqd_t queue, const char *msg, size_t size, unsigned int prio,
			 const void *timeout);

static int send_until(const char *name, deadline_fn *deadline_of, mqd_t queue, const char *msg,
		      size_t size, unsigned int prio, const void *timeout)
{
	uint64_t deadline = KIPC_FOREVER;
	int ret = timeout ? dropin_refuse(deadline_of(timeout, &deadline)) : 0;

	if (!ret)
		ret = queue_send(queue, msg, size, prio, deadline);
	if (ret == -ENOTTY)
		return POSIXMQ_NEXT(timedsend_fn, name)(queue, msg, size, prio, timeout);
	return dropin_return(ret);
}

typedef ssize_t timedreceive_fn(mqd_t queue, char *msg, size_t room, unsigned int *prio,
				const void *timeout);

static ssize_t receive_until(const char *name, deadline_fn *deadline_of, mqd_t queue, char *msg,
			     size_t room, unsigned int *prio, const void *timeout)
{
	uint64_t deadline = KIPC_FOREVER;
	int ret = timeout ? dropin_refuse(deadline_of(timeout, &deadline)) : 0;

	if (!ret)
		ret = queue_receive(queue, msg, room, prio, deadline);
	if (ret == -ENOTTY)
		return POSIXMQ_NEXT(timedreceive_fn, name)(queue, msg, room, prio, timeout);
	return dropin_return(ret);
}

#if UINTPTR_MAX == UINT64_MAX
#define TIMEDSEND64	"mq_timedsend"
#define TIMEDRECEIVE64	"mq_timedreceive"
#else
#define TIMEDSEND64	"__mq_timedsend_time64"
#define TIMEDRECEIVE64	"__mq_timedreceive_time64"
#endif

timedsend_fn posixmq_timedsend64 __asm__(TIMEDSEND64) DROPIN_PUBLIC;

int posixmq_timedsend64(mqd_t queue, const char *msg, size_t size, unsigned int prio,
			const void *timeout)
{
	return send_until(TIMEDSEND64, deadline64, queue, msg, size, prio, timeout);
}

timedreceive_fn posixmq_timedreceive64 __asm__(TIMEDRECEIVE64) DROPIN_PUBLIC;

ssize_t posixmq_timedreceive64(mqd_t queue, char *msg, size_t room, unsigned int *prio,
			       const void *timeout)
{
	return receive_until(TIMEDRECEIVE64, deadline64, queue, msg, room, prio, timeout);
}

#if UINTPTR_MAX == UINT32_MAX
static int deadline32(const void *timeout, uint64_t *deadline)
{
	/* What a struct timespec is where time_t has 32 bits */
	struct {
		int32_t sec;
		int32_t nsec;
	} time;

	if (dropin_fetch(&time, timeout, sizeof(time)))
		return -EFAULT;
	return queue_deadline(time.sec, time.nsec, deadline);
}

timedsend_fn posixmq_timedsend32 __asm__("mq_timedsend") DROPIN_PUBLIC;

int posixmq_timedsend32(mqd_t queue, const char *msg, size_t size, unsigned int prio,
			const void *timeout)
{
	return send_until("mq_timedsend", deadline32, queue, msg, size, prio, timeout);
}

timedreceive_fn posixmq_timedreceive32 __asm__("mq_timedreceive") DROPIN_PUBLIC;

ssize_t posixmq_timedreceive32(mqd_t queue, char *msg, size_t room, unsigned int *prio,
			       const void *timeout)
{
	return receive_until("mq_timedreceive", deadline32, queue, msg, room, prio, timeout);
}
#endif
