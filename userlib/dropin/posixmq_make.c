// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Who may make which queues: the rules of mq_overview(7).
 */
#include "posixmq.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

/* Nobody makes queues beyond these */
#define HARD_MSGMAX	65536
#define HARD_MSGSIZEMAX	(16L * 1024 * 1024)

/* What the kernel's own queues count, beside the bytes, for a message and for a priority */
#define MESSAGE_COST	48
#define PRIORITY_COST	48

/*
 * The beginning of a file of /proc as a string; empty if it cannot be read. By syscall(2), as
 * mq_open() is no cancellation point.
 */
static void read_proc(const char *path, char *text, size_t room)
{
	int saved = errno;
	int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
	ssize_t size = -1;

	if (fd >= 0) {
		size = syscall(SYS_read, fd, text, room - 1);
		libkipc_close(fd);
	}
	text[size > 0 ? size : 0] = '\0';
	errno = saved;
}

/* A number in /proc/sys/fs/mqueue, or what it is where nobody has changed it */
static long read_limit(const char *path, long usual)
{
	char text[32], *end;
	long value;

	read_proc(path, text, sizeof(text));
	value = strtol(text, &end, 10);
	return end == text ? usual : value;
}

static mode_t read_umask(void)
{
	static const char key[] = "\nUmask:\t";
	char text[512];
	const char *at;
	mode_t mask;

	/* To set it is the only way to ask for it otherwise, which other threads could feel */
	read_proc("/proc/thread-self/status", text, sizeof(text));
	at = strstr(text, key);
	if (at)
		return (mode_t)strtoul(at + sizeof(key) - 1, NULL, 8);
	mask = umask(0777);
	umask(mask);
	return mask;
}

static uint64_t cost(uint64_t msgs, uint64_t size)
{
	uint64_t prios = msgs < KIPC_PRIO_MAX + 1 ? msgs : KIPC_PRIO_MAX + 1;

	return msgs * (size + MESSAGE_COST) + prios * PRIORITY_COST;
}

/* How many queues there are, and what those that the caller made cost */
static void count(long *queues, uint64_t *used)
{
	struct kipc_op_next next = { 0 };
	struct kipc_op_stat op;
	uid_t uid = dropin_euid();

	*queues = 0;
	*used = 0;
	while (dropin_ioctl(KIPC_IOC_NEXT, &next) >= 0) {
		op = (struct kipc_op_stat){ .endpoint = next.id };
		if (dropin_ioctl(KIPC_IOC_STAT, &op) < 0 || op.info.key ||
		    (op.info.flags & POSIXMQ_FLAGS) != POSIXMQ_FLAGS)
			continue;
		++*queues;
		if (op.info.cuid == uid)
			*used += cost(op.info.attr.max_msgs, op.info.attr.max_size);
	}
}

static long least(long a, long b)
{
	return a < b ? a : b;
}

int posixmq_make(struct kipc_op_open *op, mode_t mode, const struct mq_attr *wanted)
{
	long msgs_max = read_limit("/proc/sys/fs/mqueue/msg_max", 10);
	long size_max = read_limit("/proc/sys/fs/mqueue/msgsize_max", 8192);
	long queues, msgs, size;
	bool free = dropin_exempt();
	struct rlimit limit;
	uint64_t used;

	if (getrlimit(RLIMIT_MSGQUEUE, &limit))
		limit.rlim_cur = RLIM_INFINITY;
	if (!free || limit.rlim_cur != RLIM_INFINITY)
		count(&queues, &used);
	if (!free && queues >= read_limit("/proc/sys/fs/mqueue/queues_max", 256))
		return -ENOSPC;

	if (wanted) {
		msgs = wanted->mq_maxmsg;
		size = wanted->mq_msgsize;
	} else {
		msgs = least(read_limit("/proc/sys/fs/mqueue/msg_default", 10), msgs_max);
		size = least(read_limit("/proc/sys/fs/mqueue/msgsize_default", 8192), size_max);
	}
	if (free) {
		msgs_max = HARD_MSGMAX;
		size_max = HARD_MSGSIZEMAX;
	}
	if (msgs <= 0 || size <= 0 || msgs > msgs_max || size > size_max)
		return -EINVAL;
	if (limit.rlim_cur != RLIM_INFINITY &&
	    used + cost((uint64_t)msgs, (uint64_t)size) > limit.rlim_cur)
		return -EMFILE;

	op->mode = mode & 0777 & ~read_umask();
	op->attr = (struct kipc_attr){
		.max_size = (uint32_t)size,
		.max_msgs = (uint32_t)msgs,
		.max_bytes = (uint64_t)msgs * (uint64_t)size,
	};
	return 0;
}
