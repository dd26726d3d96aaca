// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the test programs share; see common.h.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <dirent.h>
#include <glob.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "common.h"

#define PARAMETERS "/sys/module/kipc/parameters/"

/* What parameters were before, and who changed them */
static struct {
	char name[32];
	unsigned long long value;
} kt_saved[16];
static unsigned int kt_nsaved;
static pid_t kt_saver;

void kt_complain(const char *format, ...)
{
	va_list args;
	char text[512];

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	fprintf(stderr, "# %s\n", text);
}

void kt_fail_need(const char *file, int line, const char *what)
{
	kt_complain("%s:%d: needed but not so: %s (errno %d)", file, line, what, errno);
	/* No teardown runs any more. A child has inherited what it did not set. */
	if (kt_nsaved && kt_saver == getpid() && !seteuid(0))
		kt_restore_params();
	abort();
}

void kt_nap(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = 500000 }, NULL);
}

void *kt_shared(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	kt_need(p != MAP_FAILED);
	return p;
}

static uint64_t kt_clock(clockid_t clock)
{
	struct timespec ts;

	kt_need(clock_gettime(clock, &ts) == 0);
	return (uint64_t)ts.tv_sec * 1000000000ULL + (uint64_t)ts.tv_nsec;
}

uint64_t kt_now(void)
{
	return kt_clock(CLOCK_MONOTONIC);
}

uint64_t kt_realtime(void)
{
	return kt_clock(CLOCK_REALTIME);
}

uint64_t kt_in_ms(unsigned int ms)
{
	return kt_now() + ms * KT_MS;
}

/* ---- ioctls ---- */

long kt_ioctl(int fd, unsigned long cmd, void *arg)
{
	int ret = ioctl(fd, cmd, arg);

	return ret < 0 ? -errno : ret;
}

long kt_remove(int fd, uint32_t id)
{
	struct kipc_op_remove op = { .endpoint = id };

	return kt_ioctl(fd, KIPC_IOC_REMOVE, &op);
}

long kt_next(int fd, uint32_t *id)
{
	struct kipc_op_next op = { .id = *id };
	long ret = kt_ioctl(fd, KIPC_IOC_NEXT, &op);

	if (ret >= 0)
		*id = op.id;
	return ret;
}

long kt_cancel(int fd, uint64_t token, uint32_t *result_flags)
{
	struct kipc_op_token op = { .token = token };
	long ret = kt_ioctl(fd, KIPC_IOC_CANCEL, &op);

	if (ret >= 0 && result_flags)
		*result_flags = op.result_flags;
	return ret;
}

struct kipc_op_send kt_send_op(const void *buf, size_t len)
{
	return (struct kipc_op_send){
		.deadline = KIPC_FOREVER,
		.payload = { .base = kt_ptr(buf), .len = len },
	};
}

struct kipc_op_recv kt_recv_op(void *buf, size_t room, struct kipc_result *result)
{
	return (struct kipc_op_recv){
		.deadline = KIPC_FOREVER,
		.payload = { .base = kt_ptr(buf), .len = room },
		.result = kt_ptr(result),
	};
}

struct kipc_op_rpc kt_rpc_op(const void *req, size_t len, void *reply, size_t room,
			     struct kipc_result *result)
{
	return (struct kipc_op_rpc){
		.deadline = KIPC_FOREVER,
		.request = { .base = kt_ptr(req), .len = len },
		.reply = { .base = kt_ptr(reply), .len = room },
		.result = kt_ptr(result),
	};
}

struct kipc_op_reply kt_reply_op(uint64_t token, const void *buf, size_t len)
{
	return (struct kipc_op_reply){
		.token = token,
		.payload = { .base = kt_ptr(buf), .len = len },
	};
}

long kt_send(int fd, uint32_t id, uint64_t type, uint32_t prio, const void *buf, size_t len)
{
	struct kipc_op_send op = kt_send_op(buf, len);

	op.flags = KIPC_NONBLOCK;
	op.endpoint = id;
	op.type = type;
	op.prio = prio;
	return kt_op_send(fd, &op);
}

long kt_recv(int fd, uint32_t id, uint32_t flags, uint64_t type, void *buf, size_t room,
	     struct kipc_result *result)
{
	struct kipc_op_recv op = kt_recv_op(buf, room, result);

	op.flags = KIPC_NONBLOCK | flags;
	if (!(flags & (KIPC_PEEK | KIPC_TRUNCATE)))
		op.flags |= KIPC_ANYSIZE;
	op.endpoint = id;
	op.type = type;
	return kt_op_recv(fd, &op);
}

long kt_reply(int fd, uint64_t token, int status, const void *buf, size_t len)
{
	struct kipc_op_reply op = kt_reply_op(token, buf, len);

	op.status = status;
	return kt_op_reply(fd, &op);
}

/* ---- endpoints ---- */

int kt_device(void)
{
	int fd = open("/dev/kipc", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		kt_complain("cannot open /dev/kipc: %s. Is the module loaded?", strerror(errno));
	kt_need(fd >= 0);
	return fd;
}

int kt_private_mode(int dev, uint32_t flags, uint32_t mode, const struct kipc_attr *attr)
{
	struct kipc_op_open op = {
		.flags = KIPC_OPEN_CREATE | flags,
		.rights = KT_ALL_RIGHTS,
		.mode = mode,
	};
	long fd;

	if (attr)
		op.attr = *attr;
	fd = kt_open(dev, &op);
	if (fd < 0)
		kt_complain("cannot create an endpoint: %s", strerror((int)-fd));
	kt_need(fd >= 0);
	return (int)fd;
}

int kt_private(int dev, uint32_t flags, const struct kipc_attr *attr)
{
	return kt_private_mode(dev, flags, 0600, attr);
}

int kt_again(int dev, uint32_t id, uint32_t rights)
{
	return (int)kt_openl(dev, .flags = KIPC_OPEN_ANY_OWNER, .rights = rights, .id = id);
}

long kt_stat_id(int dev, uint32_t id, struct kipc_endpoint *info)
{
	struct kipc_op_stat op = { .endpoint = id };
	long ret = kt_op_stat(dev, &op);

	if (ret >= 0)
		*info = op.info;
	return ret;
}

struct kipc_endpoint kt_stat(int fd)
{
	struct kipc_endpoint info = { 0 };
	long ret = kt_stat_id(fd, 0, &info);

	if (ret < 0)
		kt_complain("STAT: %s", strerror((int)-ret));
	kt_need(ret >= 0);
	return info;
}

uint32_t kt_id(int fd)
{
	return kt_stat(fd).id;
}

long kt_chmod(int fd, uint32_t id, uint32_t mode)
{
	struct kipc_op_stat op = { .endpoint = id, .what = KIPC_SET_MODE, .info.mode = mode };

	return kt_op_set(fd, &op);
}

bool kt_quiet(int fd)
{
	struct kipc_endpoint info = kt_stat(fd);

	if (!info.msgs && !info.bytes && !info.calls && !info.waiters)
		return true;
	kt_complain("not quiet: %llu msgs, %llu bytes, %llu calls, %u waiters",
		    (unsigned long long)info.msgs, (unsigned long long)info.bytes,
		    (unsigned long long)info.calls, info.waiters);
	return false;
}

/* ---- jobs ---- */

const struct kt_how kt_how_thread, kt_how_fork;

enum { STAGE_START, STAGE_UNSHARED, STAGE_MAPPED, STAGE_READY };

static void kt_write_pid_file(pid_t pid, const char *file, const char *text)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, file);
	kt_write_file(path, text);
}

static void *kt_thread_main(void *arg)
{
	struct kt_job *job = arg;

	job->tid = (pid_t)syscall(SYS_gettid);
	__atomic_store_n(&job->stage, STAGE_READY, __ATOMIC_RELEASE);
	job->result = job->fn(job->arg);
	__atomic_store_n(&job->done, 1, __ATOMIC_RELEASE);
	return NULL;
}

static void kt_die_with(pid_t parent)
{
	kt_need(prctl(PR_SET_PDEATHSIG, SIGKILL) == 0);
	if (getppid() != parent && getppid() != 0)
		_exit(1);
}

static void kt_set_caps(uint64_t caps)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3] = { 0 };

	for (int i = 0; i < _LINUX_CAPABILITY_U32S_3; i++) {
		sets[i].permitted = (uint32_t)(caps >> 32 * i);
		sets[i].effective = sets[i].permitted;
	}
	kt_need(syscall(SYS_capset, &header, sets) == 0);
}

static void kt_set_ids(const struct kt_how *how, uid_t uid, gid_t gid)
{
	if (how->keep_caps)
		kt_need(prctl(PR_SET_KEEPCAPS, 1) == 0);
	kt_need(setgroups((size_t)how->ngroups, how->groups) == 0);
	kt_need(setresgid(gid, gid, gid) == 0);
	kt_need(setresuid(uid, uid, uid) == 0);
}

/* The namespaces and who the child is, up to the fork that enters them */
static void kt_child_namespaces(struct kt_job *job, const struct kt_how *how)
{
	if (how->outer_uid || how->outer_gid) {
		kt_set_ids(how, how->outer_uid, how->outer_gid);
		/* lets the test write our maps and look at us */
		prctl(PR_SET_DUMPABLE, 1);
	}
	if (!how->ns)
		return;
	kt_need(unshare(how->ns) == 0);
	if (how->ns & CLONE_NEWUSER) {
		__atomic_store_n(&job->stage, STAGE_UNSHARED, __ATOMIC_RELEASE);
		kt_need(kt_until(job->stage >= STAGE_MAPPED));
	}
	if (how->ns & CLONE_NEWTIME) {
		char text[64];

		snprintf(text, sizeof(text), "monotonic %lld 0\n", how->monotonic_offset);
		kt_write_file("/proc/self/timens_offsets", text);
	}
}

static void kt_child_main(struct kt_job *job, const struct kt_how *how)
{
	if (how->ns & CLONE_NEWUSER) {
		/* setgroups() may be denied inside: not needed then */
		if (how->ngroups)
			kt_need(setgroups((size_t)how->ngroups, how->groups) == 0);
		kt_need(setresgid(how->gid, how->gid, how->gid) == 0);
		kt_need(setresuid(how->uid, how->uid, how->uid) == 0);
	} else if (how->uid || how->gid) {
		kt_set_ids(how, how->uid, how->gid);
	}
	if (how->drop_caps)
		kt_drop_caps();
	if (how->keep_caps)
		kt_set_caps(how->keep_caps);
	/* Forgotten at a change of credentials */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	__atomic_store_n(&job->stage, STAGE_READY, __ATOMIC_RELEASE);
	job->result = job->fn(job->arg);
	__atomic_store_n(&job->done, 1, __ATOMIC_RELEASE);
	_exit(0);
}

static void kt_child(struct kt_job *job, const struct kt_how *how, pid_t parent)
{
	pid_t pid;
	int status;

	kt_die_with(parent);
	kt_child_namespaces(job, how);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (!(how->ns & (CLONE_NEWTIME | CLONE_NEWPID))) {
		job->pid = getpid();
		job->tid = job->pid;
		kt_child_main(job, how);
	}

	/* Only a child is inside these; the one between waits for it */
	parent = getpid();
	pid = fork();
	kt_need(pid >= 0);
	if (!pid) {
		kt_die_with(parent);
		kt_need(kt_until(job->pid));
		kt_child_main(job, how);
	}
	job->tid = pid;
	job->pid = pid;
	kt_need(waitpid(pid, &status, 0) == pid);
	if (WIFSIGNALED(status)) {
		signal(WTERMSIG(status), SIG_DFL);
		kill(getpid(), WTERMSIG(status));
	}
	_exit(WEXITSTATUS(status));
}

static void kt_write_maps(struct kt_job *job, const struct kt_how *how)
{
	char map[64];

	kt_need(kt_until(job->stage >= STAGE_UNSHARED));
	snprintf(map, sizeof(map), "0 %u 1", how->outer_uid);
	kt_write_pid_file(job->reap, "uid_map", how->uid_map ? how->uid_map : map);
	snprintf(map, sizeof(map), "0 %u 1", how->outer_gid);
	kt_write_pid_file(job->reap, "gid_map", how->gid_map ? how->gid_map : map);
	__atomic_store_n(&job->stage, STAGE_MAPPED, __ATOMIC_RELEASE);
}

struct kt_job *kt_start(const struct kt_how *how, long (*fn)(void *arg), void *arg)
{
	struct kt_job *job = kt_new(struct kt_job);
	pid_t parent = getpid(), pid;

	job->fn = fn;
	job->arg = arg;
	if (how == KT_THREAD) {
		job->thread = true;
		job->pid = parent;
		kt_need(pthread_create(&job->pthread, NULL, kt_thread_main, job) == 0);
	} else {
		fflush(stdout);
		fflush(stderr);
		pid = fork();
		kt_need(pid >= 0);
		if (!pid)
			kt_child(job, how, parent);
		/* not in one: the child shares the struct */
		job->reap = pid;
		if (how->ns & CLONE_NEWUSER)
			kt_write_maps(job, how);
	}
	kt_need(kt_until(job->stage == STAGE_READY));
	return job;
}

struct kt_ioctl_args {
	int fd;
	unsigned long cmd;
	void *arg;
};

static long kt_ioctl_fn(void *p)
{
	struct kt_ioctl_args *args = p;

	return kt_ioctl(args->fd, args->cmd, args->arg);
}

struct kt_job *kt_start_ioctl(const struct kt_how *how, int fd, unsigned long cmd, void *arg)
{
	struct kt_ioctl_args *args = kt_new(struct kt_ioctl_args);

	*args = (struct kt_ioctl_args){ fd, cmd, arg };
	return kt_start(how, kt_ioctl_fn, args);
}

static long kt_join_child(struct kt_job *job)
{
	uint64_t end = kt_now() + KT_PATIENCE_MS * KT_MS;
	int status;
	pid_t pid;

	while (!(pid = waitpid(job->reap, &status, WNOHANG)) && kt_now() < end)
		kt_nap();
	if (!pid) {
		kt_complain("a child does not end");
		return KT_DIED;
	}
	kt_need(pid == job->reap);
	job->joined = true;
	if (WIFSIGNALED(status)) {
		if (WTERMSIG(status) == SIGABRT)
			kt_complain("a child aborted");
		return KT_DIED - WTERMSIG(status);
	}
	if (!job->done) {
		kt_complain("a child ended with status %d before its work was done",
			    WEXITSTATUS(status));
		return KT_DIED;
	}
	return job->result;
}

long kt_join(struct kt_job *job)
{
	if (job->joined)
		return job->result;
	if (!job->thread)
		return kt_join_child(job);
	if (!kt_until(__atomic_load_n(&job->done, __ATOMIC_ACQUIRE))) {
		kt_complain("a thread does not end");
		return KT_DIED;
	}
	kt_need(pthread_join(job->pthread, NULL) == 0);
	job->joined = true;
	return job->result;
}

long kt_run(const struct kt_how *how, long (*fn)(void *arg), void *arg)
{
	return kt_join(kt_start(how, fn, arg));
}

/* 'S' and the like; 0 if the task has gone */
static char kt_task_state(pid_t pid, pid_t tid)
{
	char path[64], text[512], *p;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/stat", pid, tid);
	if (kt_read_file(path, text, sizeof(text)) <= 0)
		return 0;
	p = strrchr(text, ')');
	return p && p[1] ? p[2] : 0;
}

/*
 * /proc/.../syscall shows the system call only of a task that has been taken
 * off its CPU, so what it queued before it slept is there to be seen.
 */
static bool kt_task_in_ioctl(pid_t pid, pid_t tid)
{
	unsigned long nr, fd, cmd;
	char path[64], text[256];

	snprintf(path, sizeof(path), "/proc/%d/task/%d/syscall", pid, tid);
	if (kt_read_file(path, text, sizeof(text)) <= 0)
		return false;
	if (sscanf(text, "%lu 0x%lx 0x%lx", &nr, &fd, &cmd) != 3)
		return false;
	if (nr != SYS_ioctl || _IOC_TYPE(cmd) != KIPC_IOC_MAGIC)
		return false;
	snprintf(path, sizeof(path), "/proc/%d/task/%d/wchan", pid, tid);
	if (kt_read_file(path, text, sizeof(text)) < 0)
		return false;
	return strcmp(text, "handle_userfault") != 0;
}

bool kt_task_asleep(pid_t pid, pid_t tid)
{
	return kt_task_state(pid, tid) == 'S' && kt_task_in_ioctl(pid, tid) &&
	       kt_task_state(pid, tid) == 'S';
}

bool kt_waits_for_msg(const struct kt_job *job)
{
	char path[64], text[64];

	snprintf(path, sizeof(path), "/proc/%d/task/%d/wchan", job->pid, job->tid);
	if (kt_read_file(path, text, sizeof(text)) > 0 && strstr(text, "do_msg"))
		return true;
	return kt_task_asleep(job->pid, job->tid);
}

bool kt_asleep(struct kt_job *job)
{
	bool asleep = false;

	kt_until((asleep = kt_task_asleep(job->pid, job->tid)) || job->done);
	if (asleep)
		return true;
	if (job->done)
		kt_complain("a job ended with %ld instead of waiting", job->result);
	else
		kt_complain("a job neither ended nor waits: state %c",
			    kt_task_state(job->pid, job->tid));
	return false;
}

void kt_one_cpu(void)
{
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(0, &cpus);
	kt_need(!sched_setaffinity(0, sizeof(cpus), &cpus));
}

void kt_go_first(bool yes)
{
	const struct sched_param param = { .sched_priority = yes };

	kt_need(!sched_setscheduler(0, yes ? SCHED_FIFO : SCHED_OTHER, &param));
}

bool kt_signal(struct kt_job *job, int sig)
{
	return syscall(SYS_tgkill, job->pid, job->tid, sig) == 0;
}

long kt_kill(struct kt_job *job)
{
	kt_need(!job->thread);
	kt_need(kill(job->pid, SIGKILL) == 0);
	return kt_join(job);
}

volatile sig_atomic_t kt_caught;

static void kt_count_signal(int sig)
{
	(void)sig;
	kt_caught++;
}

void kt_catch(int sig, int sa_flags)
{
	struct sigaction action = { .sa_handler = kt_count_signal, .sa_flags = sa_flags };

	kt_need(sigaction(sig, &action, NULL) == 0);
}

void kt_raise(struct kt_flag *flag)
{
	__atomic_store_n(&flag->up, 1, __ATOMIC_RELEASE);
}

bool kt_await(struct kt_flag *flag)
{
	return kt_until(__atomic_load_n(&flag->up, __ATOMIC_ACQUIRE));
}

void kt_become(uid_t uid, gid_t gid)
{
	struct kt_how how = { 0 };

	kt_set_ids(&how, uid, gid);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
}

/* By these names those with 32 bits first had ids of 16, which not all kernels have now */
#ifdef SYS_setresuid32
#define KT_SETRESUID SYS_setresuid32
#define KT_SETRESGID SYS_setresgid32
#else
#define KT_SETRESUID SYS_setresuid
#define KT_SETRESGID SYS_setresgid
#endif

/* The library's seteuid() would speak for all threads, and disturb sleeping ones */
void kt_euid(uid_t uid)
{
	if (uid)
		kt_need(syscall(KT_SETRESGID, -1, uid, -1) == 0);
	kt_need(syscall(KT_SETRESUID, -1, uid, -1) == 0);
	if (!uid)
		kt_need(syscall(KT_SETRESGID, -1, uid, -1) == 0);
}

void kt_drop_caps(void)
{
	kt_set_caps(0);
}

/* ---- memory that faults ---- */

#define KT_PAGE 4096UL
#define KT_BEFORE 65536UL

/* KT_BEFORE bytes of memory, and a page behind them whose address is returned */
static char *kt_two_areas(void)
{
	char *p = mmap(NULL, KT_BEFORE + KT_PAGE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	kt_need(p != MAP_FAILED);
	/* A huge page would cover both */
	madvise(p, KT_BEFORE + KT_PAGE, MADV_NOHUGEPAGE);
	memset(p, 0, KT_BEFORE);
	return p + KT_BEFORE;
}

char *kt_hole(void)
{
	char *p = kt_two_areas();

	kt_need(mprotect(p, KT_PAGE, PROT_NONE) == 0);
	return p;
}

static void *kt_stall_main(void *arg)
{
	struct kt_stall *stall = arg;
	struct pollfd pollfd = { .fd = stall->uffd, .events = POLLIN };
	struct uffdio_copy copy = { .dst = kt_ptr(stall->page), .len = KT_PAGE };
	struct uffd_msg msg;
	void *content;
	ssize_t n;

	kt_need(poll(&pollfd, 1, -1) == 1);
	n = read(stall->uffd, &msg, sizeof(msg));
	kt_need(n == (ssize_t)sizeof(msg) && msg.event == UFFD_EVENT_PAGEFAULT);
	__atomic_store_n(&stall->stalled, 1, __ATOMIC_RELEASE);
	while (!__atomic_load_n(&stall->release, __ATOMIC_ACQUIRE))
		kt_nap();
	content = kt_shared(KT_PAGE);
	memset(content, stall->fill, KT_PAGE);
	copy.src = kt_ptr(content);
	kt_need(ioctl(stall->uffd, UFFDIO_COPY, &copy) == 0);
	return NULL;
}

void kt_stall_init(struct kt_stall *stall, unsigned char fill)
{
	kt_stall_at(stall, kt_two_areas(), fill);
}

void kt_stall_at(struct kt_stall *stall, char *page, unsigned char fill)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };

	stall->page = page;
	stall->size = KT_PAGE;
	stall->fill = fill;
	stall->uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
	kt_need(stall->uffd >= 0);
	kt_need(ioctl(stall->uffd, UFFDIO_API, &api) == 0);
	reg.range.start = kt_ptr(stall->page);
	reg.range.len = KT_PAGE;
	kt_need(ioctl(stall->uffd, UFFDIO_REGISTER, &reg) == 0);
	kt_need(pthread_create(&stall->handler, NULL, kt_stall_main, stall) == 0);
}

struct kt_stall *kt_stall_new(unsigned char fill)
{
	struct kt_stall *stall = kt_new(struct kt_stall);

	kt_stall_init(stall, fill);
	return stall;
}

bool kt_stalled(struct kt_stall *stall)
{
	return kt_until(__atomic_load_n(&stall->stalled, __ATOMIC_ACQUIRE));
}

void kt_release(struct kt_stall *stall)
{
	__atomic_store_n(&stall->release, 1, __ATOMIC_RELEASE);
}

/* ---- patterns ---- */

void kt_poison(void *buf, size_t len)
{
	memset(buf, 0xa5, len);
}

bool kt_poisoned(const void *buf, size_t len)
{
	const unsigned char *p = buf;
	size_t i;

	for (i = 0; i < len; i++) {
		if (p[i] != 0xa5) {
			kt_complain("byte %zu of %zu was touched: %02x", i, len, p[i]);
			return false;
		}
	}
	return true;
}

static unsigned char kt_pattern(size_t i, unsigned int seed)
{
	return (unsigned char)((i * 31 + i / 251 + seed * 17 + 1) & 0xff);
}

void kt_fill(void *buf, size_t len, unsigned int seed)
{
	unsigned char *p = buf;
	size_t i;

	for (i = 0; i < len; i++)
		p[i] = kt_pattern(i, seed);
}

bool kt_filled(const void *buf, size_t len, unsigned int seed)
{
	const unsigned char *p = buf;
	size_t i;

	for (i = 0; i < len; i++) {
		if (p[i] != kt_pattern(i, seed)) {
			kt_complain("byte %zu of %zu is %02x instead of %02x", i, len, p[i],
				    kt_pattern(i, seed));
			return false;
		}
	}
	return true;
}

/* ---- machine ---- */

long kt_read_file(const char *path, char *buf, size_t room)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t len = 0;
	ssize_t n;

	if (fd < 0)
		return -errno;
	do {
		n = read(fd, buf + len, room - 1 - len);
		if (n > 0)
			len += (size_t)n;
	} while (n > 0);
	if (n < 0)
		n = -errno;
	close(fd);
	buf[len] = 0;
	return n < 0 ? n : (long)len;
}

void kt_write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t n = -1;

	if (fd >= 0)
		n = write(fd, text, strlen(text));
	if (n != (ssize_t)strlen(text))
		kt_complain("cannot write %s: %s", path, strerror(errno));
	kt_need(n == (ssize_t)strlen(text));
	close(fd);
}

unsigned long long kt_param(const char *name)
{
	char path[128], text[64];

	snprintf(path, sizeof(path), PARAMETERS "%s", name);
	if (kt_read_file(path, text, sizeof(text)) <= 0)
		kt_complain("no module parameter %s", name);
	kt_need(kt_read_file(path, text, sizeof(text)) > 0);
	return strtoull(text, NULL, 10);
}

static void kt_write_param(const char *name, unsigned long long value)
{
	char path[128], text[64];

	snprintf(path, sizeof(path), PARAMETERS "%s", name);
	snprintf(text, sizeof(text), "%llu", value);
	kt_write_file(path, text);
}

void kt_set_param(const char *name, unsigned long long value)
{
	unsigned int i;

	for (i = 0; i < kt_nsaved && strcmp(kt_saved[i].name, name); i++)
		;
	if (i == kt_nsaved) {
		kt_need(i < sizeof(kt_saved) / sizeof(kt_saved[0]));
		snprintf(kt_saved[i].name, sizeof(kt_saved[i].name), "%s", name);
		kt_saved[i].value = kt_param(name);
		kt_nsaved++;
		kt_saver = getpid();
	}
	kt_write_param(name, value);
}

void kt_restore_params(void)
{
	while (kt_nsaved) {
		kt_nsaved--;
		kt_write_param(kt_saved[kt_nsaved].name, kt_saved[kt_nsaved].value);
	}
}

static void kt_shrink_slabs(void)
{
	glob_t found;
	size_t i;

	if (glob("/sys/kernel/slab/kipc_*/shrink", 0, NULL, &found))
		return;
	for (i = 0; i < found.gl_pathc; i++)
		kt_write_file(found.gl_pathv[i], "1");
	globfree(&found);
}

long kt_slab_objects(void)
{
	FILE *file;
	unsigned long active;
	char line[512];
	long sum = -1;

	kt_shrink_slabs();
	file = fopen("/proc/slabinfo", "re");
	kt_need(file);
	while (fgets(line, sizeof(line), file)) {
		if (strncmp(line, "kipc_", 5) || sscanf(line, "%*s %lu", &active) != 1)
			continue;
		sum = (sum < 0 ? 0 : sum) + (long)active;
	}
	fclose(file);
	return sum;
}

static long kt_pins(const char *which)
{
	static char text[32768];
	const char *p;

	/* Reading this adds up what each CPU still keeps for itself */
	kt_need(kt_read_file("/proc/sys/vm/stat_refresh", text, sizeof(text)) == 0);
	kt_need(kt_read_file("/proc/vmstat", text, sizeof(text)) > 0);
	p = strstr(text, which);
	kt_need(p);
	return strtol(p + strlen(which), NULL, 10);
}

long kt_pins_made(void)
{
	return kt_pins("nr_foll_pin_acquired ");
}

long kt_pins_held(void)
{
	/* In this order it is never less than it was at some moment between */
	long released = kt_pins("nr_foll_pin_released ");

	return kt_pins_made() - released;
}

unsigned int kt_open_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned int n = 0;

	kt_need(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}
