/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the test programs share.
 *
 * Dangerous moments are made, not awaited: a job is started in a thread or
 * a child (kt_start), kt_asleep() returns when its task has really gone to
 * sleep inside a kipc ioctl, and a stall (kt_stall_new) holds a copy from or to
 * user memory half done for as long as a test wants. Nothing here sleeps for a
 * fixed time to let something happen; every wait is bounded and says what it
 * waited for.
 *
 * A helper that cannot do its work (as opposed to one that reports what kipc
 * said) prints why and aborts, in whatever process it runs; kt_join() sees it.
 * Children die with the test.
 */
#ifndef KIPC_SELFTESTS_COMMON_H
#define KIPC_SELFTESTS_COMMON_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#include "kipc.h"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif

#define KT_ALL_RIGHTS (KIPC_RIGHT_SEND | KIPC_RIGHT_RECV | KIPC_RIGHT_CONTROL)

/* How long a bounded wait waits; below the time of a test (harness.h) */
#define KT_PATIENCE_MS 60000

/* Ordinary users for tests that need some; no need to be in passwd */
#define KT_UID_A 20001
#define KT_UID_B 20002
#define KT_UID_C 20003

#define KT_MS 1000000ULL	/* nanoseconds in a millisecond */

/* Prints why and aborts: for what a test needs but does not test */
#define kt_need(cond)							\
	do {								\
		if (!(cond))						\
			kt_fail_need(__FILE__, __LINE__, #cond);	\
	} while (0)
void kt_fail_need(const char *file, int line, const char *what) __attribute__((noreturn));
void kt_complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Polls until cond holds; false (and a message) if it never does */
#define kt_until(cond)							\
	({								\
		uint64_t kt_end_ = kt_now() + KT_PATIENCE_MS * KT_MS;	\
		bool kt_ok_;						\
									\
		while (!(kt_ok_ = !!(cond)) && kt_now() < kt_end_)	\
			kt_nap();					\
		if (!kt_ok_)						\
			kt_complain("%s:%d: never came true: %s",	\
				    __FILE__, __LINE__, #cond);		\
		kt_ok_;							\
	})
void kt_nap(void);	/* a moment, between two looks */

/* Memory that children share with the test; zeroed, never freed */
void *kt_shared(size_t size);
#define kt_new(type) ((type *)kt_shared(sizeof(type)))

static inline uint64_t kt_ptr(const void *p)
{
	return (uint64_t)(uintptr_t)p;
}

/* Time on CLOCK_MONOTONIC, and deadlines on it */
uint64_t kt_now(void);
uint64_t kt_in_ms(unsigned int ms);
uint64_t kt_realtime(void);	/* CLOCK_REALTIME */

/* ---- ioctls: the result, or -errno ---- */

long kt_ioctl(int fd, unsigned long cmd, void *arg);

static inline long kt_info(int fd, struct kipc_limits *op)
{
	return kt_ioctl(fd, KIPC_IOC_INFO, op);
}

static inline long kt_open(int fd, struct kipc_op_open *op)
{
	return kt_ioctl(fd, KIPC_IOC_OPEN, op);
}

/* OPEN with a literal: kt_openl(dev, .flags = ..., .rights = ...) */
#define kt_openl(fd, ...) kt_open(fd, &(struct kipc_op_open){ __VA_ARGS__ })
/* the two members that say a name, for kt_openl() */
#define KT_NAME(s) .name = kt_ptr(s), .name_len = (uint32_t)strlen(s)

static inline long kt_op_stat(int fd, struct kipc_op_stat *op)
{
	return kt_ioctl(fd, KIPC_IOC_STAT, op);
}

static inline long kt_op_set(int fd, struct kipc_op_stat *op)
{
	return kt_ioctl(fd, KIPC_IOC_SET, op);
}

static inline long kt_op_send(int fd, struct kipc_op_send *op)
{
	return kt_ioctl(fd, KIPC_IOC_SEND, op);
}

static inline long kt_op_recv(int fd, struct kipc_op_recv *op)
{
	return kt_ioctl(fd, KIPC_IOC_RECV, op);
}

static inline long kt_op_send_batch(int fd, struct kipc_op_send_batch *op)
{
	return kt_ioctl(fd, KIPC_IOC_SEND_BATCH, op);
}

static inline long kt_op_recv_batch(int fd, struct kipc_op_recv_batch *op)
{
	return kt_ioctl(fd, KIPC_IOC_RECV_BATCH, op);
}

static inline long kt_op_rpc(int fd, struct kipc_op_rpc *op)
{
	return kt_ioctl(fd, KIPC_IOC_RPC, op);
}

static inline long kt_op_reply(int fd, struct kipc_op_reply *op)
{
	return kt_ioctl(fd, KIPC_IOC_REPLY, op);
}

static inline long kt_op_reply_recv(int fd, struct kipc_op_reply_recv *op)
{
	return kt_ioctl(fd, KIPC_IOC_REPLY_RECV, op);
}

long kt_remove(int fd, uint32_t id);
long kt_next(int fd, uint32_t *id);
long kt_cancel(int fd, uint64_t token, uint32_t *result_flags);

/* Zeroed op structs with the usual members set and no deadline */
struct kipc_op_send kt_send_op(const void *buf, size_t len);
struct kipc_op_recv kt_recv_op(void *buf, size_t room, struct kipc_result *result);
struct kipc_op_rpc kt_rpc_op(const void *req, size_t len, void *reply, size_t room,
			     struct kipc_result *result);
struct kipc_op_reply kt_reply_op(uint64_t token, const void *buf, size_t len);

/* One message with everything, without waiting (id: device file only, else 0) */
long kt_send(int fd, uint32_t id, uint64_t type, uint32_t prio, const void *buf, size_t len);
/* One receive without waiting; any room. flags: selector etc. */
long kt_recv(int fd, uint32_t id, uint32_t flags, uint64_t type, void *buf, size_t room,
	     struct kipc_result *result);
long kt_reply(int fd, uint64_t token, int status, const void *buf, size_t len);

/* ---- endpoints ---- */

int kt_device(void);		/* opens /dev/kipc; aborts if it cannot */
int kt_private(int dev, uint32_t flags, const struct kipc_attr *attr); /* all rights, 0600 */
int kt_private_mode(int dev, uint32_t flags, uint32_t mode, const struct kipc_attr *attr);
int kt_again(int dev, uint32_t id, uint32_t rights);	/* another handle; -errno */
struct kipc_endpoint kt_stat(int fd);			/* of a handle; aborts if it fails */
long kt_stat_id(int dev, uint32_t id, struct kipc_endpoint *info);
uint32_t kt_id(int fd);
long kt_chmod(int fd, uint32_t id, uint32_t mode);

/* msgs, bytes, calls and waiters all zero? says which not */
bool kt_quiet(int fd);

/* ---- jobs: work in a thread or a child ---- */

/* How a job runs. Zero: a child that is as the test is. */
struct kt_how {
	uid_t uid;		/* not 0: become this user before the work */
	gid_t gid;
	const gid_t *groups;	/* supplementary groups, with uid */
	int ngroups;
	bool drop_caps;		/* give up all capabilities last */
	uint64_t keep_caps;	/* with uid: keep these, 1 << CAP_* */
	int ns;			/* CLONE_NEW*: unshare these first; NEWUSER: uid, gid are inside */
	uid_t outer_uid;	/* not 0: become this user before unsharing */
	gid_t outer_gid;
	const char *uid_map;	/* "inside outside count"; NULL: "0 <outer> 1" */
	const char *gid_map;
	long long monotonic_offset;	/* seconds, with CLONE_NEWTIME */
};

extern const struct kt_how kt_how_thread, kt_how_fork;
#define KT_THREAD (&kt_how_thread)
#define KT_FORK (&kt_how_fork)
#define KT_AS(u) (&(struct kt_how){ .uid = (u), .gid = (u) })

struct kt_job {
	pid_t pid;		/* process, as the test sees it */
	pid_t tid;		/* task that does the work */
	volatile long result;	/* of fn, when done */
	volatile int done;
	/* private: */
	volatile int stage;
	bool thread;
	bool joined;
	pid_t reap;		/* our child: @pid or its parent */
	pthread_t pthread;
	long (*fn)(void *arg);
	void *arg;
};

/* Starts fn(arg). In a child, results go through kt_shared() memory. */
struct kt_job *kt_start(const struct kt_how *how, long (*fn)(void *arg), void *arg);
/* Starts one ioctl; arg and all it points at in shared memory unless a thread */
struct kt_job *kt_start_ioctl(const struct kt_how *how, int fd, unsigned long cmd, void *arg);

#define KT_DIED (-100000L)	/* kt_join: killed by signal -(KT_DIED + x), or hung */

/*
 * Waits for the end of the job. Its result; KT_DIED - signal if its process was
 * killed, KT_DIED if it does not end (and says so).
 */
long kt_join(struct kt_job *job);
/* Starts and joins: run fn as somebody else */
long kt_run(const struct kt_how *how, long (*fn)(void *arg), void *arg);
/* True when the job's task sleeps inside a kipc ioctl (not in a page fault) */
bool kt_asleep(struct kt_job *job);
bool kt_task_asleep(pid_t pid, pid_t tid);	/* the same of any task, now */
/* Does the job's task wait in msgsnd(2) or msgrcv(2) now, of the kernel or of kipc? */
bool kt_waits_for_msg(const struct kt_job *job);
bool kt_signal(struct kt_job *job, int sig);	/* to its task */
long kt_kill(struct kt_job *job);		/* kill -9 and wait; kt_join()'s result */
/*
 * Whom the caller wakes between kt_go_first(true) and kt_go_first(false) does not run before the
 * latter, unless the caller sleeps: for jobs that were started after kt_one_cpu().
 */
void kt_one_cpu(void);
void kt_go_first(bool yes);

/* Installs a handler that only counts */
void kt_catch(int sig, int sa_flags);
extern volatile sig_atomic_t kt_caught;

/* Two-way signs between test and child; in shared memory */
struct kt_flag {
	volatile int up;
};

void kt_raise(struct kt_flag *flag);
bool kt_await(struct kt_flag *flag);	/* bounded; false with a message */

/* Becomes another user for good, in this process */
void kt_become(uid_t uid, gid_t gid);
void kt_drop_caps(void);
/*
 * This thread's effective ids alone, both ways: for a test that speaks for
 * several users. Other than 0 has no capability in effect.
 */
void kt_euid(uid_t uid);
#define kt_do_as(uid, expr)						\
	({								\
		long kt_ret_;						\
									\
		kt_euid(uid);						\
		kt_ret_ = (expr);					\
		kt_euid(0);						\
		kt_ret_;						\
	})

/* ---- memory that faults ---- */

/* The address of a byte that cannot be touched; the 64 KiB before it can */
char *kt_hole(void);

/*
 * A page that stalls whoever touches it first, in the process that makes it,
 * until released. kt_stall_new() may be called in a child, the rest anywhere,
 * if the test allocated nothing else: the struct lies in shared memory.
 */
struct kt_stall {
	char *page;		/* the page; the 64 KiB before it are ordinary */
	size_t size;		/* bytes at @page that stall (as one page) */
	volatile int stalled;	/* somebody is held */
	volatile int release;
	unsigned char fill;	/* what the page holds afterwards */
	/* private: */
	int uffd;
	pthread_t handler;
};

struct kt_stall *kt_stall_new(unsigned char fill);
/* The same in memory of the caller (kt_shared), to be made in a child */
void kt_stall_init(struct kt_stall *stall, unsigned char fill);
/* ... and that page of the caller's, which nobody has touched: in no huge page */
void kt_stall_at(struct kt_stall *stall, char *page, unsigned char fill);
bool kt_stalled(struct kt_stall *stall);	/* waits until someone is held */
void kt_release(struct kt_stall *stall);

/* ---- patterns ---- */

void kt_poison(void *buf, size_t len);
bool kt_poisoned(const void *buf, size_t len);	/* untouched? says where not */
void kt_fill(void *buf, size_t len, unsigned int seed);
bool kt_filled(const void *buf, size_t len, unsigned int seed);

/* ---- machine ---- */

/*
 * Module parameters; what was set is set back by kt_restore_params(). That belongs into a
 * fixture's teardown: a body that fails does not come to its end.
 */
unsigned long long kt_param(const char *name);
void kt_set_param(const char *name, unsigned long long value);
void kt_restore_params(void);

void kt_write_file(const char *path, const char *text);	/* aborts if it cannot */
long kt_read_file(const char *path, char *buf, size_t room);	/* NUL-terminated; -errno */

/* Objects in the slab caches named kipc_*, after shrinking them; -1: no such cache */
long kt_slab_objects(void);
/*
 * Pages of user memory that the kernel has pinned at this moment, and has pinned ever; in
 * the test VM kipc alone does so. It may take more than one pin for a page and give
 * them back, so the latter is no less than it was about. For root.
 */
long kt_pins_held(void);
long kt_pins_made(void);
unsigned int kt_open_fds(void);		/* open descriptors of this process */

#endif
