/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the failure sweeps share, on top of common.h.
 *
 * A sweep does one operation again and again. In the first round the first point
 * fails at which the kernel can be made to (an allocation, or a copy from or
 * to user memory), in the second round the second, and so on, until a round ends
 * before it meets its point: that one must succeed.
 *
 *	struct sweep s = SWEEP;
 *
 *	while (sweep_round(&s)) {
 *		ret = FAILING(&s, kt_op_send(fd, &op));
 *		if (ret != 0) {
 *			ASSERT_TRUE(sweep_failed(&s, ret));
 *			... nothing is left of it ...
 *			continue;
 *		}
 *		... all of it was done ...
 *	}
 *	EXPECT_TRUE(sweep_covered(&s, 2, 2));
 *
 * An operation may survive a failure (what told the size needed could not be
 * stored, memory was found elsewhere): then it must have done everything.
 *
 * Only the task that called fail_setup() fails, and only inside FAILING(). The
 * kernel must be one of scripts/kernel/debug.config.
 */
#ifndef KIPC_SELFTESTS_FAIL_H
#define KIPC_SELFTESTS_FAIL_H

#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "common.h"

#define FAIL_DEBUGFS "/sys/kernel/debug/"

/* No operation has that many points: the sweep would not end */
#define SWEEP_ROUNDS_MAX 3000

enum fail_kind {
	FAIL_NOTHING,
	FAIL_MEMORY,
	FAIL_COPY,
	FAIL_KINDS
};

/* The facilities of the kernel, and what they make fail */
static const struct {
	const char *name;
	enum fail_kind kind;
} fail_facilities[] = {
	{ "failslab", FAIL_MEMORY },
	{ "fail_page_alloc", FAIL_MEMORY },
	{ "fail_usercopy", FAIL_COPY },
};

#define FAIL_FACILITIES (sizeof(fail_facilities) / sizeof(fail_facilities[0]))

static const int fail_errors[FAIL_KINDS] = {
	[FAIL_MEMORY] = -ENOMEM,
	[FAIL_COPY] = -EFAULT,
};

/* fail-nth between two operations: enough that nothing fails for other reasons either */
#define FAIL_IDLE "1000000000"

static struct {
	int nth;			/* the task's fail-nth */
	int dir[FAIL_FACILITIES];	/* the facilities' directories */
} fail_fds;

static inline void fail_set(const char *facility, const char *what, const char *value)
{
	char path[128];

	snprintf(path, sizeof(path), FAIL_DEBUGFS "%s/%s", facility, what);
	kt_write_file(path, value);
}

/* Whether pages fail too; slab objects and copies always do */
static inline void fail_pages(bool yes)
{
	fail_set("fail_page_alloc", "ignore-gfp-wait", yes ? "N" : "Y");
	fail_set("fail_page_alloc", "ignore-gfp-highmem", yes ? "N" : "Y");
	fail_set("fail_page_alloc", "min-order", yes ? "0" : "100");
}

/*
 * Once in a test, as root, by the task that shall fail. Without pages the points of
 * an operation are the same in each round. With them they are not, and a sweep may
 * miss one: whether a slab cache needs a page for an object is a matter of luck.
 */
static inline void fail_setup(void)
{
	char path[128];

	for (unsigned int i = 0; i < FAIL_FACILITIES; i++) {
		const char *facility = fail_facilities[i].name;

		/* A stack in the log for each failure would look like a bug */
		fail_set(facility, "verbose", "0");
		fail_set(facility, "probability", "0");
		fail_set(facility, "task-filter", "Y");
		fail_set(facility, "times", "1000000000");
		/* For an ordinary user to read: how often it may still fail */
		snprintf(path, sizeof(path), FAIL_DEBUGFS "%s", facility);
		fail_fds.dir[i] = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
		kt_need(fail_fds.dir[i] >= 0);
		kt_need(fchmodat(fail_fds.dir[i], "times", 0644, 0) == 0);
	}
	fail_set("failslab", "ignore-gfp-wait", "N");
	fail_set("failslab", "cache-filter", "N");
	fail_pages(false);
	fail_fds.nth = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	kt_need(fail_fds.nth >= 0);
	/* The first touch of a page is an allocation too, but none of the operation's */
	kt_need(mlockall(MCL_CURRENT) == 0);
}

/*
 * From a round's point on every allocation of @facility fails, not only one: for
 * what has a second way. After fail_setup(), as root, and only for a task that starts
 * no others: they would inherit it.
 */
static inline void fail_for_good(const char *facility)
{
	fail_set(facility, "probability", "100");
	kt_need(pwrite(fail_fds.nth, FAIL_IDLE, strlen(FAIL_IDLE), 0) > 0);
	kt_write_file("/proc/thread-self/make-it-fail", "1");
}

/* This task goes on as an ordinary user, whom the limits bind */
static inline void fail_become(uid_t uid)
{
	kt_euid(uid);
	/* Its peers shall still see in /proc whether it sleeps */
	kt_need(prctl(PR_SET_DUMPABLE, 1) == 0);
}

/*
 * Another user receives nothing from @endpoint: that one's share is what is kept there for the
 * next time, so that this task's has to be made anew
 */
static inline void fail_share_anew(int device, uint32_t endpoint)
{
	uid_t uid = geteuid();

	kt_euid(0);
	kt_euid(KT_UID_B);
	kt_need(kt_recv(device, endpoint, KIPC_NONBLOCK | KIPC_ANYSIZE | KIPC_TYPE_EQ, ~0ULL,
			NULL, 0, NULL) == -EAGAIN);
	kt_euid(0);
	fail_become(uid);
}

struct sweep {
	const char *name;
	unsigned int nth;	/* the point of this round */
	bool armed;		/* in this round, sometime */
	enum fail_kind kind;	/* what failed in this round */
	unsigned int points;	/* that the operation met, if it met no failure */
	bool over;		/* the last round met no failure */
	unsigned int hit[FAIL_KINDS];		/* rounds with a failure */
	unsigned int failed[FAIL_KINDS];	/* ... by which the operation failed */
	long times[FAIL_FACILITIES];	/* how often each may still fail */
};

#define SWEEP { .name = _metadata->name }

static inline bool sweep_round(struct sweep *s)
{
	if (s->armed && !s->kind)
		s->over = true;
	if (s->over)
		return false;
	if (++s->nth > SWEEP_ROUNDS_MAX) {
		kt_complain("%s: after %u rounds there is still a point to fail", s->name, s->nth);
		return false;
	}
	s->armed = false;
	s->kind = FAIL_NOTHING;
	return true;
}

/* Likewise where this task comes to @endpoint, if not 0, through @device: without a share there */
static inline bool sweep_round_at(struct sweep *s, int device, uint32_t endpoint)
{
	if (!sweep_round(s))
		return false;
	if (endpoint)
		fail_share_anew(device, endpoint);
	return true;
}

/*
 * This round was the last, though it met a failure: for an operation that the kernel
 * goes on from, before it returns, to what is not ours.
 */
static inline void sweep_last(struct sweep *s)
{
	s->over = true;
}

static inline long fail_times(unsigned int facility)
{
	int fd = openat(fail_fds.dir[facility], "times", O_RDONLY | O_CLOEXEC);
	char text[32] = "";

	kt_need(fd >= 0 && read(fd, text, sizeof(text) - 1) > 0);
	close(fd);
	return strtol(text, NULL, 10);
}

static inline void sweep_arm(struct sweep *s)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%u", s->nth);

	/* Between two failures of ours nothing else fails */
	for (unsigned int i = 0; i < FAIL_FACILITIES && !s->times[i]; i++)
		s->times[i] = fail_times(i);
	s->armed = true;
	kt_need(pwrite(fail_fds.nth, text, (size_t)len, 0) == len);
}

static inline void sweep_disarm(struct sweep *s)
{
	char text[16] = "";
	ssize_t n = pread(fail_fds.nth, text, sizeof(text) - 1, 0);
	bool reached = n > 0 && !strtol(text, NULL, 10);

	/* These copies are points too: if it was not reached, one of them may be it */
	kt_need(n > 0 || errno == EFAULT);
	while (pwrite(fail_fds.nth, FAIL_IDLE, strlen(FAIL_IDLE), 0) < 0)
		kt_need(errno == EFAULT);
	if (!reached) {
		s->points = s->nth - (n > 0 ? (unsigned int)strtoul(text, NULL, 10) : 1);
		return;
	}
	for (unsigned int i = 0; i < FAIL_FACILITIES; i++) {
		long left = fail_times(i);

		if (left != s->times[i])
			s->kind = fail_facilities[i].kind;
		s->times[i] = left;
	}
	kt_need(s->kind);
	s->hit[s->kind]++;
}

/* Does @op, which is one system call, with this round's failure */
#define FAILING(s, op)						\
	({							\
		long fail_ret_;					\
								\
		sweep_arm(s);					\
		fail_ret_ = (op);				\
		sweep_disarm(s);				\
		fail_ret_;					\
	})

/* The same for a system call of libc: its result, or -errno */
#define fail_errno(call)					\
	({							\
		long fail_res_ = (call);			\
								\
		fail_res_ < 0 ? -errno : fail_res_;		\
	})

/* It failed with @ret: because of this round's failure, and with the error for that? */
static inline bool sweep_failed(struct sweep *s, long ret)
{
	if (s->kind && ret == fail_errors[s->kind]) {
		s->failed[s->kind]++;
		return true;
	}
	kt_complain("%s: %ld at point %u, where %s", s->name, ret, s->nth,
		    s->kind == FAIL_MEMORY ? "an allocation failed" :
		    s->kind == FAIL_COPY ? "a copy failed" : "nothing failed any more");
	return false;
}

/* It came to its end, and ENOMEM and EFAULT were seen at least that often */
static inline bool sweep_covered(const struct sweep *s, unsigned int memory, unsigned int copies)
{
	kt_complain("%s: %u allocations and %u copies failed; ENOMEM %u times, EFAULT %u times",
		    s->name, s->hit[FAIL_MEMORY], s->hit[FAIL_COPY], s->failed[FAIL_MEMORY],
		    s->failed[FAIL_COPY]);
	if (s->over && s->failed[FAIL_MEMORY] >= memory && s->failed[FAIL_COPY] >= copies)
		return true;
	kt_complain("%s: less than the %u times ENOMEM and %u times EFAULT that were expected",
		    s->name, memory, copies);
	return false;
}

/*
 * The other side of an operation that waits: a thread that acts once the test's
 * own task sleeps in it.
 */
struct peer {
	int fd;			/* what it acts on */
	uint32_t way;		/* how: its own affair */
	long (*act)(struct peer *peer);
	pid_t tid;
	volatile int over;
	struct kt_job *job;
	struct kipc_result result;	/* what it received */
	char buf[256];
};

#define PEER_IDLE (-200000L)	/* the operation ended before it slept */

static inline long peer_main(void *arg)
{
	struct peer *peer = arg;
	bool asleep = false;

	kt_until((asleep = kt_task_asleep(getpid(), peer->tid)) || peer->over);
	return asleep ? peer->act(peer) : PEER_IDLE;
}

static inline void peer_start(struct peer *peer, int fd, long (*act)(struct peer *peer))
{
	peer->fd = fd;
	peer->act = act;
	peer->tid = (pid_t)syscall(SYS_gettid);
	peer->over = 0;
	peer->job = kt_start(KT_THREAD, peer_main, peer);
}

/* After the operation: what its act returned, or PEER_IDLE */
static inline long peer_end(struct peer *peer)
{
	__atomic_store_n(&peer->over, 1, __ATOMIC_RELEASE);
	return kt_join(peer->job);
}

/* ---- memory for the operations ---- */

/* More than kmalloc() can give: the kernel goes to vmalloc() at once */
#define FAIL_HUGE ((4U << 20) + 65536)

/* @size bytes that have been touched: only the operation itself shall fail */
static inline char *fail_buffer(size_t size)
{
	char *buf = kt_shared(size);

	kt_poison(buf, size);
	return buf;
}

/* @size bytes at @buf in @segs segments that @iov is for; 0: without segments */
static inline struct kipc_payload fail_payload(void *buf, size_t size, struct kipc_iovec *iov,
					       unsigned int segs)
{
	struct kipc_payload payload = { .base = kt_ptr(buf), .len = size };
	size_t part = segs ? size / segs : 0;

	if (!segs)
		return payload;
	for (unsigned int i = 0; i < segs; i++)
		iov[i] = (struct kipc_iovec){
			.base = kt_ptr(buf) + i * part,
			.len = i == segs - 1 ? size - i * part : part,
		};
	return (struct kipc_payload){ .base = kt_ptr(iov), .iovcnt = segs };
}

/* Of a message that was not received nothing is told, or what was told is taken back */
static inline bool fail_untold(const struct kipc_result *result)
{
	static const struct kipc_result none;

	return !memcmp(result, &none, sizeof(none)) || kt_poisoned(result, sizeof(*result));
}

#endif
