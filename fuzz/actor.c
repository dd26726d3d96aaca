// SPDX-License-Identifier: GPL-2.0-or-later
/* An actor: does one operation. What it holds dies with its process. calls.c has the ioctls. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fuzz.h"

#define FILES_MAX	64U	/* descriptors of a process; these two stay open: */
#define FAIL_NTH	56

/* Of this process: the slots, and from which number on descriptors are a program's */
static int fds[SLOTS], epoll, first_fd;

/* Of this thread */
static __thread int fail_nth = -1;

union control {
	struct cmsghdr header;
	char room[CMSG_SPACE(sizeof(int))];
};

static int limit_files(unsigned int n)
{
	struct rlimit limit = { n, FILES_MAX };

	return setrlimit(RLIMIT_NOFILE, &limit);
}

static void open_device(void)
{
	unsigned int i;

	for (i = 0; i < SLOTS; i++)
		fds[i] = -1;
	fds[0] = open("/dev/kipc", O_RDWR | O_CLOEXEC);
	epoll = -1;
}

void actor_process(void)
{
	if (limit_files(FILES_MAX))
		_exit(1);
	first_fd = dup(0);
	close(first_fd);
	open_device();
}

void actor_clean_up(unsigned int process)
{
	limit_files(FILES_MAX);
	close_range((unsigned int)first_fd, FAIL_NTH - 1, 0);
	close_range(FAIL_NTH + 2, ~0U, 0);
	mprotect(trap_of(process), PAGE, PROT_READ | PROT_WRITE);
	open_device();
}

void actor_thread(unsigned int actor)
{
	int fd = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);

	fail_nth = dup3(fd, FAIL_NTH + (int)actor % 2, O_CLOEXEC);
	close(fd);
	cover_thread(actor);
}

int slot_fd(const struct op *op)
{
	return fds[op->arg[A_FD] % SLOTS];
}

int fd_in(uint64_t slot)
{
	return fds[slot % SLOTS];
}

long keep_fd(const struct op *op, long fd)
{
	int *slot = &fds[op->arg[A_TO] % SLOTS];

	if (fd < 0)
		return -errno;
	if (*slot >= 0)
		close(*slot);
	*slot = (int)fd;
	return 0;
}

/* What is no ioctl that kipc knows */

static long do_raw(const struct op *op)
{
	char room[256] = { 0 };
	unsigned int cmd = (unsigned int)op->arg[A_N];

	if (cmd < 1U << 16)
		cmd = _IOC(cmd >> 14, KIPC_IOC_MAGIC, cmd & 0xff, cmd >> 8 & 0x3f);
	return ioctl(slot_fd(op), cmd, room) < 0 ? -errno : 0;
}

static long do_close(const struct op *op)
{
	int *slot = &fds[op->arg[A_FD] % SLOTS];
	int fd = *slot;

	if (fd < 0)
		return -EBADF;
	*slot = -1;
	return close(fd) ? -errno : 0;
}

static long do_pass(const struct op *op)
{
	char byte = 0;
	struct iovec iov = { &byte, 1 };
	union control control = {
		.header = {
			.cmsg_level = SOL_SOCKET,
			.cmsg_type = SCM_RIGHTS,
			.cmsg_len = CMSG_LEN(sizeof(int)),
		},
	};
	struct msghdr message = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = &control, .msg_controllen = sizeof(control),
	};
	int fd = slot_fd(op);

	memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
	return sendmsg(sockets[op->arg[A_WHO] % ACTORS / 2][0], &message,
		       MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static long do_take(unsigned int actor, const struct op *op)
{
	char byte;
	struct iovec iov = { &byte, 1 };
	union control control;
	struct msghdr message = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = &control, .msg_controllen = sizeof(control),
	};
	struct cmsghdr *header;
	int fd;

	if (recvmsg(sockets[process_of(actor)][1], &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) < 0)
		return -errno;
	header = CMSG_FIRSTHDR(&message);
	if (!header || header->cmsg_type != SCM_RIGHTS)
		return -EBADF;
	memcpy(&fd, CMSG_DATA(header), sizeof(fd));
	return keep_fd(op, fd);
}

static long do_fork(unsigned int actor, const struct op *op)
{
	const struct program *program = &shared->program;
	uint64_t n = op->arg[A_N] % 8;
	unsigned int i;
	pid_t pid;

	pid = fork();
	if (pid)
		return pid < 0 ? -errno : 0;
	fail_nth = -1;
	for (i = (unsigned int)(op - program->ops) + 1; n && i < program->n; i++) {
		if (program->ops[i].actor != actor || by_boss(&program->ops[i]))
			continue;
		if (program->ops[i].kind != OP_FORK)
			do_op(actor, &program->ops[i]);
		n--;
	}
	usleep((useconds_t)(op->arg[A_US] % 20000));
	_exit(0);
}

static long do_poll(const struct op *op)
{
	struct pollfd fd = { .fd = slot_fd(op), .events = POLLIN | POLLOUT | POLLPRI | POLLRDHUP };
	struct timespec time = { .tv_nsec = (long)(op->arg[A_US] % 20000) * 1000 };

	if (op->arg[A_US] & 1)
		fd.events = POLLPRI;
	if (ppoll(&fd, 1, &time, NULL) < 0)
		return -errno;
	return fd.revents;
}

static long do_epoll(const struct op *op)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLPRI | EPOLLRDHUP };
	int how = EPOLL_CTL_ADD, fd = slot_fd(op);
	struct epoll_event events[8];
	int n;

	if (epoll < 0)
		epoll = epoll_create1(EPOLL_CLOEXEC);
	switch (op->arg[A_HOW]) {
	case 1:
		event.events |= EPOLLET;
		break;
	case 2:
		event.events = EPOLLIN | EPOLLOUT | EPOLLEXCLUSIVE;
		break;
	case 3:
		how = EPOLL_CTL_DEL;
		break;
	case 4:
		n = epoll_wait(epoll, events, 8, 1);
		return n < 0 ? -errno : n;
	}
	return epoll_ctl(epoll, how, fd, &event) ? -errno : 0;
}

static long do_file(const struct op *op)
{
	int fd = slot_fd(op);
	long ret = 0;
	void *map;

	switch (op->arg[A_HOW]) {
	case 0:
		ret = fcntl(fd, F_SETFL, O_NONBLOCK);
		break;
	case 1:
		ret = fcntl(fd, F_SETFL, 0);
		break;
	case 2:
		map = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
		ret = map == MAP_FAILED ? -1 : munmap(map, PAGE);
		break;
	case 3:
		ret = lseek(fd, 1, SEEK_SET);
		break;
	case 4:
		ret = ftruncate(fd, 1);
		break;
	case 5:
		ret = fsync(fd);
		break;
	case 6:
		/* The one of the two that restarts what it comes upon */
		if (!fcntl(fd, F_SETOWN, getpid()) && !fcntl(fd, F_SETSIG, SIGUSR1))
			ret = fcntl(fd, F_SETFL, O_ASYNC);
		break;
	case 7:
		ret = flock(fd, LOCK_EX | LOCK_NB);
		break;
	}
	return ret < 0 ? -errno : ret;
}

static long do_proc(const struct op *op)
{
	char path[64] = "/proc/thread-self/net/kipc", text[4096];
	size_t piece = op->arg[A_HOW] == 2 ? 7 : sizeof(text);
	ssize_t n = 0;
	int fd, i;

	if (op->arg[A_HOW] == 1)
		snprintf(path, sizeof(path), "/proc/thread-self/fdinfo/%d", slot_fd(op));
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	for (i = 0; i < 40; i++) {
		n = read(fd, text, piece);
		if (n <= 0)
			break;
	}
	n = n < 0 ? -errno : 0;
	close(fd);
	return n;
}

static long do_protect(unsigned int actor, const struct op *op)
{
	static const int protections[] = { PROT_NONE, PROT_READ, PROT_READ | PROT_WRITE };
	char *trap = trap_of(process_of(actor));

	if (op->arg[A_HOW] < 3)
		return mprotect(trap, PAGE, protections[op->arg[A_HOW]]) ? -errno : 0;
	return madvise(trap, PAGE, MADV_DONTNEED) ? -errno : 0;
}

static long do_unshare(const struct op *op)
{
	static const int what[] = { CLONE_FILES, CLONE_NEWNET, CLONE_NEWUSER,
				    CLONE_NEWUSER | CLONE_NEWNET };

	return unshare(what[op->arg[A_HOW] % 4]) ? -errno : 0;
}

static long do_other(unsigned int actor, const struct op *op)
{
	uint64_t i;

	switch (op->kind) {
	case OP_RAW:
		return do_raw(op);
	case OP_DEVICE:
		return keep_fd(op, open("/dev/kipc", O_RDWR | O_CLOEXEC));
	case OP_CLOSE:
		return do_close(op);
	case OP_DUP:
		return keep_fd(op, fcntl(slot_fd(op), F_DUPFD_CLOEXEC, 0));
	case OP_PASS:
		return do_pass(op);
	case OP_TAKE:
		return do_take(actor, op);
	case OP_FORK:
		return do_fork(actor, op);
	case OP_EXIT:
		syscall(op->arg[A_HOW] ? SYS_exit : SYS_exit_group, 0);
		return 0;
	case OP_POLL:
		return do_poll(op);
	case OP_EPOLL:
		return do_epoll(op);
	case OP_READ:
	case OP_WRITE:
		return do_rw(actor, op);
	case OP_FILE:
		return do_file(op);
	case OP_PROC:
		return do_proc(op);
	case OP_PROTECT:
		return do_protect(actor, op);
	case OP_UNSHARE:
		return do_unshare(op);
	case OP_NOFILE:
		return limit_files((unsigned int)(op->arg[A_N] % FILES_MAX)) ? -errno : 0;
	case OP_YIELD:
		for (i = 0; i < op->arg[A_N] % 32; i++)
			sched_yield();
		return 0;
	}
	return -ENOSYS;
}

static long do_kind(unsigned int actor, const struct op *op)
{
	return kinds[op->kind].cmd ? do_ioctl(actor, op) : do_other(actor, op);
}

/* The write that sets it back may be what fails */
static void set_fail_nth(uint64_t n)
{
	char text[24];
	int len = snprintf(text, sizeof(text), "%llu", (unsigned long long)n), i;

	for (i = 0; i < 3; i++)
		if (write(fail_nth, text, (size_t)len) == len)
			break;
}

long do_op(unsigned int actor, const struct op *op)
{
	bool fails = op->arg[A_NTH] && fail_nth >= 0 && op->kind != OP_EXIT && op->kind != OP_FORK;
	uint64_t end = now_us() + op->arg[A_DELAY] % 5000;
	long ret;

	while (op->arg[A_DELAY] && now_us() < end)
		;
	if (fails)
		set_fail_nth(op->arg[A_NTH] % 64);
	ret = do_kind(actor, op);
	if (fails)
		set_fail_nth(0);
	return ret;
}
