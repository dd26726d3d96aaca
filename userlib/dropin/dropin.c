// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The device file of a process, and the way to the C library where there is none.
 */
#include "dropin.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <linux/futex.h>
#include <linux/capability.h>
#include <sys/resource.h>
#include <sys/single_threaded.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define DEVICE "/dev/kipc"

atomic_int dropin_settled;

/*
 * The descriptor of the device file, and how often that was opened: the number may be the
 * same again. A number that the program has given to another file since is found out
 * when it is used.
 */
struct device {
	int fd;		/* -1: not open */
	uint32_t opened;
};

/* Both in one word: @opened above, @fd + 1 below */
static _Atomic uint64_t device_word;
static _Atomic uint64_t device_number;

static uint64_t to_word(struct device device)
{
	return (uint64_t)device.opened << 32 | ((uint32_t)device.fd + 1);
}

static struct device get_device(void)
{
	uint64_t word = atomic_load(&device_word);

	return (struct device){ (int)(uint32_t)word - 1, (uint32_t)(word >> 32) };
}

/* One line, without memory of its own: write(2) takes it whole */
static void complain(int error)
{
	// NOLINTNEXTLINE(concurrency-mt-unsafe): safe unless the program changes its environment
	const char *wanted = getenv("KIPC_DEBUG");
	const char *what = strerrordesc_np(error);

	if (!wanted || strcmp(wanted, "1") != 0)
		return;

	const char *const parts[] = {
		dropin_library, ": cannot open " DEVICE " (", what ? what : "unknown error",
		"): this program uses the system's own queues\n",
	};
	struct iovec line[4];

	for (unsigned int i = 0; i < 4; i++)
		line[i] = (struct iovec){ (char *)(uintptr_t)parts[i], strlen(parts[i]) };
	if (writev(STDERR_FILENO, line, 4) < 0)
		return;
}

int dropin_open(void)
{
	int saved = errno;
	/* open(2) would be a cancellation point, which not all originals are */
	int fd = (int)syscall(SYS_openat, AT_FDCWD, DEVICE, O_RDWR | O_CLOEXEC);

	if (fd < 0) {
		fd = -errno;
		errno = saved;
	}
	return fd;
}

/*
 * Programs rely on getting the lowest descriptors, and on which ones they get: the
 * device goes to the end of those that select(2) and small tables can hold.
 */
static int move_away(int fd)
{
	int saved = errno, high = -1;
	struct rlimit limit;

	if (!getrlimit(RLIMIT_NOFILE, &limit)) {
		rlim_t end = limit.rlim_cur < FD_SETSIZE ? limit.rlim_cur : FD_SETSIZE;

		high = fcntl(fd, F_DUPFD_CLOEXEC, end > 16 ? (int)end - 16 : 0);
	}
	errno = saved;
	if (high < 0)
		return fd;
	libkipc_close(fd);
	return high;
}

int dropin_stat(int fd, const char *path, struct statx *status)
{
	int saved = errno, ret;

	if (!syscall(SYS_statx, fd, path, AT_EMPTY_PATH, STATX_BASIC_STATS, status))
		return 0;
	ret = -errno;
	errno = saved;
	return ret;
}

uid_t dropin_euid(void)
{
#ifdef SYS_geteuid32
	return (uid_t)syscall(SYS_geteuid32);
#else
	return (uid_t)syscall(SYS_geteuid);
#endif
}

gid_t dropin_fsgid(void)
{
	/* What no id can be changes nothing; the answer is what it was */
#ifdef SYS_setfsgid32
	return (gid_t)syscall(SYS_setfsgid32, -1);
#else
	return (gid_t)syscall(SYS_setfsgid, -1);
#endif
}

bool dropin_capable(unsigned int capability)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3] = { 0 };
	int saved = errno;

	if (syscall(SYS_capget, &header, sets))
		errno = saved;
	return sets[CAP_TO_INDEX(capability)].effective & CAP_TO_MASK(capability);
}

/* The inode number of the initial user namespace, as of the kernel's proc_ns.h */
#define INITIAL_USER_NS	0xeffffffdU

bool dropin_exempt(void)
{
	struct statx ns;

	return dropin_capable(CAP_SYS_RESOURCE) &&
	       (dropin_stat(AT_FDCWD, "/proc/thread-self/ns/user", &ns) < 0 ||
		ns.stx_ino == INITIAL_USER_NS);
}

static uint64_t number_of(const struct statx *status)
{
	return (uint64_t)status->stx_rdev_major << 32 | status->stx_rdev_minor;
}

static bool is_device(int fd)
{
	struct statx status;

	return fd >= 0 && !dropin_stat(fd, "", &status) && S_ISCHR(status.stx_mode) &&
	       number_of(&status) == atomic_load(&device_number);
}

/*
 * Opens the device instead of @old, which is closed or another file: not ours to
 * close. Of threads that do so at once one wins, and all use its descriptor.
 */
static int open_instead(struct device old)
{
	struct device new = { .opened = old.opened + 1 };
	uint64_t expected = to_word(old);
	struct statx status;
	int err;

	new.fd = dropin_open();
	if (new.fd < 0)
		return new.fd;
	new.fd = move_away(new.fd);
	err = dropin_stat(new.fd, "", &status);
	if (err < 0) {
		libkipc_close(new.fd);
		return err;
	}
	atomic_store(&device_number, number_of(&status));
	if (!atomic_compare_exchange_strong(&device_word, &expected, to_word(new)))
		libkipc_close(new.fd);
	return 0;
}

/* That there is no device for us will not change; that memory or descriptors lack may */
static bool no_device(int error)
{
	switch (error) {
	case -ENOENT:
	case -ENOTDIR:
	case -ENXIO:
	case -ENODEV:
	case -EACCES:
	case -EPERM:
	case -ELOOP:
		return true;
	default:
		return false;
	}
}

/* Who has no descriptor left is told so before the path is looked at */
static int access_error(int ret)
{
	int saved = errno;

	if (faccessat(AT_FDCWD, DEVICE, R_OK | W_OK, AT_EACCESS))
		ret = -errno;
	errno = saved;
	return ret;
}

bool dropin_settle(void)
{
	int state = atomic_load(&dropin_settled), expected = DROPIN_UNSETTLED, ret;

	if (state != DROPIN_UNSETTLED)
		return state == DROPIN_NATIVE;

	ret = open_instead((struct device){ -1, 0 });
	if (ret == -EMFILE || ret == -ENFILE)
		ret = access_error(ret);
	if (ret < 0 && !no_device(ret))
		return false;
	state = ret < 0 ? DROPIN_NATIVE : DROPIN_KIPC;
	if (!atomic_compare_exchange_strong(&dropin_settled, &expected, state))
		return expected == DROPIN_NATIVE;
	if (state == DROPIN_NATIVE)
		complain(-ret);
	return state == DROPIN_NATIVE;
}

int dropin_cancel(int fd, unsigned long request, void *op)
{
	int type, ret;

	/*
	 * Without another thread nobody can cancel this one while it waits: a signal's handler
	 * that did so here would interrupt one unsafe function to call another.
	 */
	if (__libc_single_threaded) {
		pthread_testcancel();
		return libkipc_ioctl(fd, request, op);
	}
	/* ioctl(2) is no cancellation point. A pending request ends the thread here. */
	// NOLINTNEXTLINE(cert-pos47-c,concurrency-thread-canceltype-asynchronous)
	pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &type);
	ret = libkipc_ioctl(fd, request, op);
	pthread_setcanceltype(type, NULL);
	return ret;
}

int dropin_refuse(int error)
{
	if (error)
		pthread_testcancel();
	return error;
}

/* How often another thread may come in between, or close the device */
#define TRIES 100

/* Once for each @run, which is then no call by a pointer */
static inline __attribute__((always_inline)) int
device_ioctl(unsigned long request, void *op, int (*run)(int fd, unsigned long request, void *op))
{
	int ret = -EBADF, err;

	for (unsigned int try = 0; try < TRIES; try++) {
		struct device now = get_device();

		if (now.fd >= 0)
			ret = run(now.fd, request, op);
		/*
		 * Another file, a handle of kipc among them, gives an error; only then it is
		 * looked whether this is one, which costs a system call. The usual errors
		 * of a queue are its own.
		 */
		if (ret >= 0 || ret == -EAGAIN || ret == -EINTR || ret == -EIDRM)
			return ret;
		if (is_device(now.fd)) {
			/* Not so a moment ago, if another thread has just opened it */
			if (ret != -EBADF && ret != -ENOTTY)
				return ret;
			continue;
		}
		err = open_instead(now);
		if (err < 0)
			return err;
	}
	return ret;
}

int dropin_ioctl(unsigned long request, void *op)
{
	return device_ioctl(request, op, libkipc_ioctl);
}

int dropin_ioctl_cancel(unsigned long request, void *op)
{
	return device_ioctl(request, op, dropin_cancel);
}

#define PAGE_SHIFT 12

/*
 * A system call that reads there, and fails in any case: no such way to change a mask. Where
 * it is forbidden there is but to try. What is read by it need not be ordinary memory.
 */
static int look_at(uintptr_t at)
{
	const size_t size = _NSIG / CHAR_BIT;

	at -= at % size;
	at += !at;	/* 0 would stand for no mask */
	return syscall(SYS_rt_sigprocmask, -1, at, NULL, size) && errno == EFAULT ? -EFAULT : 0;
}

int dropin_legible(const void *at, size_t size)
{
	uintptr_t first = (uintptr_t)at, last = first + size - 1;
	int saved = errno, err = 0;

	if (!size)
		return 0;
	if (last < first)
		return -EFAULT;
	for (uintptr_t page = first >> PAGE_SHIFT; !err && page <= last >> PAGE_SHIFT; page++)
		err = look_at(page << PAGE_SHIFT);
	errno = saved;
	return err;
}

int dropin_fetch(void *to, const void *from, size_t size)
{
	int err = dropin_legible(from, size);

	if (!err)
		memcpy(to, from, size);
	return err;
}

/* A futex operation that adds 0 there writes, and changes nothing. No thread waits at @none. */
static int add_nothing(uintptr_t at)
{
	const unsigned int add = FUTEX_OP(FUTEX_OP_ADD, 0, FUTEX_OP_CMP_EQ, 0);
	uint32_t none = 0;

	at -= at % sizeof(none);
#ifdef SYS_futex
	if (syscall(SYS_futex, &none, FUTEX_WAKE_OP_PRIVATE, 0, NULL, at, add) < 0)
#else
	if (syscall(SYS_futex_time64, &none, FUTEX_WAKE_OP_PRIVATE, 0, NULL, at, add) < 0)
#endif
		return errno == EFAULT ? -EFAULT : 0;
	return 0;
}

/* Both ends: nothing here has more than two pages */
static int can_write(void *at, size_t size)
{
	int saved = errno, err = add_nothing((uintptr_t)at);

	if (!err)
		err = add_nothing((uintptr_t)at + size - 1);
	errno = saved;
	return err;
}

int dropin_store(void *to, const void *from, size_t size)
{
	int err = can_write(to, size);

	if (!err)
		memcpy(to, from, size);
	return err;
}

void *dropin_next(const char *name, const char *version)
{
	return version ? dlvsym(RTLD_NEXT, name, version) : dlsym(RTLD_NEXT, name);
}
