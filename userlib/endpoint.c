// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Finding, making, inspecting, changing and ending endpoints.
 */
#include "internal.h"

#include <fcntl.h>
#include <unistd.h>
#include <sys/syscall.h>

/*
 * By syscall(2), because open(2) and close(2) are cancellation points: a
 * thread cancelled in the close would leak the handle it has just got.
 */
static int device_open(void)
{
	int saved = errno;
	int fd = (int)syscall(SYS_openat, AT_FDCWD, "/dev/kipc", O_RDWR | O_CLOEXEC);

	if (fd < 0) {
		fd = -errno;
		errno = saved;
	}
	return fd;
}

void libkipc_close(int fd)
{
	int saved = errno;

	syscall(SYS_close, fd);
	errno = saved;
}

static int device_do_open(struct kipc_op_open *op)
{
	int device, fd;

	device = device_open();
	if (device < 0)
		return device;
	fd = libkipc_ioctl(device, KIPC_IOC_OPEN, op);
	libkipc_close(device);
	return fd;
}

KIPC_PUBLIC int kipc_create(const char *address, unsigned int flags, mode_t mode,
			    const struct kipc_attr *attr)
{
	struct kipc_op_open op = {
		.flags = flags | KIPC_OPEN_CREATE,
		.rights = KIPC_RIGHT_SEND | KIPC_RIGHT_RECV | KIPC_RIGHT_CONTROL,
		.mode = mode,
	};
	int ret;

	/* These need what this function has no argument for, or it could not return. */
	if (flags & (KIPC_OPEN_EXPECT_UID | KIPC_OPEN_WAIT | KIPC_OPEN_REALTIME |
		     KIPC_OPEN_NORESTART | KIPC_OPEN_ID_ONLY))
		return -EINVAL;
	ret = libkipc_address(&op, address);
	if (ret)
		return ret;
	if (op.id)
		return -EINVAL;
	if (attr)
		op.attr = *attr;
	return device_do_open(&op);
}

KIPC_PUBLIC int kipc_open(const char *address, unsigned int rights, int timeout_ms)
{
	const unsigned int mask = KIPC_OPEN_NONBLOCK | KIPC_OPEN_ANY_OWNER | KIPC_OPEN_NORESTART;
	struct kipc_op_open op = {
		.flags = rights & mask,
		.rights = rights & ~mask,
	};
	int ret;

	if (!address)
		return -EINVAL;
	ret = libkipc_address(&op, address);
	if (ret)
		return ret;
	if (timeout_ms && !(op.flags & KIPC_OPEN_NONBLOCK)) {
		op.flags |= KIPC_OPEN_WAIT;
		op.deadline = libkipc_deadline(timeout_ms, 0);
	} else {
		op.flags &= ~KIPC_OPEN_NORESTART;
	}
	return device_do_open(&op);
}

KIPC_PUBLIC int kipc_open_device(void)
{
	return device_open();
}

KIPC_PUBLIC int kipc_info(int fd, struct kipc_limits *limits)
{
	*limits = (struct kipc_limits){ 0 };
	return libkipc_ioctl(fd, KIPC_IOC_INFO, limits);
}

KIPC_PUBLIC int kipc_restrict(int fd, unsigned int rights, uint64_t badge)
{
	struct kipc_op_restrict op = { .rights = rights, .badge = badge };

	return libkipc_ioctl(fd, KIPC_IOC_RESTRICT, &op);
}

KIPC_PUBLIC int kipc_notify(int fd, unsigned int how, int signo, uint64_t value, int end)
{
	struct kipc_op_notify op = { .how = how, .signo = (uint32_t)signo, .value = value };

	if (end >= 0) {
		op.flags = KIPC_NOTIFY_TELL_END;
		op.end = (uint32_t)end;
	}
	return libkipc_ioctl(fd, KIPC_IOC_NOTIFY, &op);
}

KIPC_PUBLIC int kipc_shutdown(int fd)
{
	struct kipc_op_shutdown op = { 0 };

	return libkipc_ioctl(fd, KIPC_IOC_SHUTDOWN, &op);
}

KIPC_PUBLIC int kipc_stat(int fd, uint32_t id, struct kipc_endpoint *endpoint)
{
	struct kipc_op_stat op = { .endpoint = id };
	int ret = libkipc_ioctl(fd, KIPC_IOC_STAT, &op);

	if (ret >= 0)
		*endpoint = op.info;
	return ret;
}

KIPC_PUBLIC int kipc_set(int fd, uint32_t id, unsigned int what,
			 const struct kipc_endpoint *endpoint)
{
	struct kipc_op_stat op = { .endpoint = id, .what = what, .info = *endpoint };

	return libkipc_ioctl(fd, KIPC_IOC_SET, &op);
}

KIPC_PUBLIC int kipc_remove(int fd, uint32_t id)
{
	struct kipc_op_remove op = { .endpoint = id };

	return libkipc_ioctl(fd, KIPC_IOC_REMOVE, &op);
}

KIPC_PUBLIC int kipc_next(int devfd, uint32_t after, uint32_t *id)
{
	struct kipc_op_next op = { .id = after };
	int ret = libkipc_ioctl(devfd, KIPC_IOC_NEXT, &op);

	if (ret >= 0)
		*id = op.id;
	return ret;
}
