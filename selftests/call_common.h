/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the tests of calls share, on top of common.h.
 *
 * A job here is one operation made by a process or a thread of its own. What
 * became of it is told through shared memory, so its process can be killed at
 * any moment. A job with a stall meets a page that userfaultfd keeps away, and
 * sleeps in the middle of that copy until job_release().
 */
#ifndef KIPC_SELFTESTS_CALL_COMMON_H
#define KIPC_SELFTESTS_CALL_COMMON_H

#include <poll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "common.h"

#define JOB_BUF		512
#define JOB_POISON	0xa5
#define JOB_FILL	's'	/* what a stalled page holds after its release */

/* In the body of a test: these end it when what they wait for never comes */
#define await(cond)			ASSERT_TRUE(kt_until(cond))
#define await_stat(fd, member, value)	await(kt_stat(fd).member == (value))
#define await_asleep(j)			ASSERT_TRUE(kt_asleep((j)->kt))
#define await_stalled(j)		ASSERT_TRUE(kt_stalled(&(j)->held))

enum job_stall {
	STALL_NOT,
	STALL_IN,		/* reading what is to be sent */
	STALL_OUT,		/* storing what is received */
	STALL_RESULT,		/* storing the result */
};

struct job {
	/* what it shall do */
	int fd;
	int close_fds[3];	/* closed first, by a process; 0: none */
	int timeout;		/* ms */
	struct kipc_msg head;	/* all but the segments */
	uint64_t token;
	size_t size;		/* bytes of @in to send */
	size_t room;		/* bytes of @out */
	int way;		/* the test's own */
	bool catches;		/* SIGUSR1, */
	int sa_flags;		/* with these */
	enum job_stall stall;
	char in[JOB_BUF];

	/* what it tells */
	volatile int done;
	volatile int handled;	/* signals */
	int64_t ret;
	struct kipc_result result;
	union {
		struct kipc_op_rpc rpc;
		struct kipc_op_reply_recv reply_recv;
	} op;			/* of the last raw operation */
	char out[JOB_BUF];

	struct kt_job *kt;
	struct kt_stall held;
	void (*run)(struct job *job);
};

static struct job *job_self;	/* in a job's own process */

static inline struct job *jobs_new(unsigned int n)
{
	struct job *jobs = kt_shared(n * sizeof(*jobs));

	for (unsigned int i = 0; i < n; i++) {
		jobs[i].timeout = -1;
		jobs[i].room = JOB_BUF;
	}
	return jobs;
}

static inline void job_count_signal(int sig)
{
	(void)sig;
	job_self->handled++;
}

static inline long job_main(void *arg)
{
	struct job *job = arg;
	struct sigaction action = {
		.sa_handler = job_count_signal,
		.sa_flags = job->sa_flags,
	};

	for (unsigned int i = 0; i < 3; i++)
		if (job->close_fds[i])
			close(job->close_fds[i]);
	if (job->catches) {
		job_self = job;
		kt_need(sigaction(SIGUSR1, &action, NULL) == 0);
	}
	if (job->stall)
		kt_stall_init(&job->held, JOB_FILL);
	job->run(job);
	job->done = 1;
	return 0;
}

static inline void job_start_as(struct job *job, const struct kt_how *how,
				void (*run)(struct job *job))
{
	job->run = run;
	job->done = 0;
	job->handled = 0;
	job->held.stalled = 0;
	job->held.release = 0;
	kt_poison(&job->result, sizeof(job->result));
	kt_poison(job->out, sizeof(job->out));
	job->kt = kt_start(how, job_main, job);
}

/* In a process of its own */
static inline void job_start(struct job *job, void (*run)(struct job *job))
{
	job_start_as(job, KT_FORK, run);
}

static inline void job_start_thread(struct job *job, void (*run)(struct job *job))
{
	job_start_as(job, KT_THREAD, run);
}

/* Waits for its end; 0 if it came to it by itself */
static inline long job_join(struct job *job)
{
	return kt_join(job->kt);
}

/* kill -9; true if that was its end */
static inline bool job_kill(struct job *job)
{
	return kt_kill(job->kt) == KT_DIED - SIGKILL;
}

/* A signal to it; true when its handler has run */
static inline bool job_signal(struct job *job)
{
	int before = job->handled;

	return kt_signal(job->kt, SIGUSR1) && kt_until(job->handled != before);
}

/* True while its task sleeps in system call @nr */
static inline bool job_sleeps_in(struct job *job, long nr)
{
	char path[64], text[256];
	long now;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/syscall", job->kt->pid, job->kt->tid);
	return kt_read_file(path, text, sizeof(text)) > 0 &&
	       sscanf(text, "%ld 0x", &now) == 1 && now == nr;
}

static inline void job_release(struct job *job)
{
	kt_release(&job->held);
}

static inline char *job_in(struct job *job)
{
	return job->stall == STALL_IN ? job->held.page : job->in;
}

static inline char *job_out(struct job *job)
{
	return job->stall == STALL_OUT ? job->held.page : job->out;
}

static inline struct kipc_result *job_result(struct job *job)
{
	return job->stall == STALL_RESULT ? (void *)job->held.page : &job->result;
}

/* What a stalled page received is for its own process to see: show it */
static inline void job_fetch(struct job *job)
{
	if (job->stall == STALL_OUT && job->held.stalled)
		memcpy(job->out, job->held.page, JOB_BUF);
	if (job->stall == STALL_RESULT && job->held.stalled)
		memcpy(&job->result, job->held.page, sizeof(job->result));
}

/* ---- the operations ---- */

static inline void job_rpc(struct job *job)
{
	struct iovec in = { job_in(job), job->size };
	struct iovec out = { job_out(job), job->room };
	struct kipc_msg req = job->head, reply = { .iov = &out, .iovcnt = 1 };

	req.iov = &in;
	req.iovcnt = 1;
	job->ret = kipc_rpcmsg(job->fd, &req, &reply, job_result(job), job->timeout);
	job_fetch(job);
}

/* The same by ioctl, for ever: shows what becomes of the struct */
static inline void job_rpc_raw(struct job *job)
{
	job->op.rpc = kt_rpc_op(job_in(job), job->size, job_out(job), job->room,
				job_result(job));
	job->op.rpc.flags = job->head.flags;
	job->op.rpc.token = job->token;
	job->op.rpc.type = job->head.type;
	job->op.rpc.cookie = job->head.cookie;
	job->ret = kt_op_rpc(job->fd, &job->op.rpc);
	job_fetch(job);
}

static inline void job_send(struct job *job)
{
	struct iovec in = { job_in(job), job->size };
	struct kipc_msg msg = job->head;

	msg.iov = &in;
	msg.iovcnt = 1;
	job->ret = kipc_sendmsg(job->fd, &msg, job->timeout);
}

static inline void job_recv(struct job *job)
{
	struct iovec out = { job_out(job), job->room };
	struct kipc_msg msg = job->head;

	msg.flags |= KIPC_ANYSIZE;
	msg.iov = &out;
	msg.iovcnt = 1;
	job->ret = kipc_recvmsg(job->fd, &msg, job_result(job), job->timeout);
	job_fetch(job);
}

/* The same by ioctl, for ever: nobody but the kernel touches the result */
static inline void job_recv_raw(struct job *job)
{
	struct kipc_op_recv op = kt_recv_op(job_out(job), job->room, job_result(job));

	op.flags = KIPC_ANYSIZE | job->head.flags;
	op.type = job->head.type;
	job->ret = kt_op_recv(job->fd, &op);
	job_fetch(job);
}

/* Takes what comes and keeps it until it is killed */
static inline void job_take(struct job *job)
{
	job_recv_raw(job);
	job->done = 1;
	for (;;)
		pause();
}

static inline void job_hold(struct job *job)
{
	job->done = 1;
	for (;;)
		pause();
}

static inline void job_reply(struct job *job)
{
	job->ret = kipc_reply(job->fd, job->token, job_in(job), job->size);
}

/* Answers @token with @in, then receives; by ioctl */
static inline void job_reply_recv_raw(struct job *job)
{
	job->op.reply_recv = (struct kipc_op_reply_recv){
		.token = job->token,
		.status = job->head.status,
		.type = job->head.type,
		.reply = { .base = kt_ptr(job_in(job)), .len = job->size },
		.recv = kt_recv_op(job_out(job), job->room, job_result(job)),
	};
	job->op.reply_recv.recv.flags = KIPC_ANYSIZE | job->head.flags;
	job->ret = kt_op_reply_recv(job->fd, &job->op.reply_recv);
	job_fetch(job);
}

/* Collects @token (0: the next); waits @timeout */
static inline void job_finish(struct job *job)
{
	struct iovec out = { job_out(job), job->room };
	struct kipc_msg reply = { .iov = &out, .iovcnt = 1 };

	job->ret = kipc_rpc_finish(job->fd, job->token, &reply, job_result(job), job->timeout);
	job_fetch(job);
}

/* ---- short forms for the test's own process ---- */

static inline int private_endpoint(uint32_t flags, const struct kipc_attr *attr)
{
	return kipc_create(NULL, flags, 0666, attr);
}

/* A handle of one's own on the endpoint that @fd belongs to */
static inline int open_same(int fd, unsigned int rights)
{
	char address[32];

	snprintf(address, sizeof(address), "id:%u", kt_id(fd));
	return kipc_open(address, rights | KIPC_OPEN_ANY_OWNER, 0);
}

/* Takes one message or call that is there or comes */
static inline ssize_t take(int fd, struct kipc_result *result)
{
	char buf[JOB_BUF];
	struct iovec out = { buf, sizeof(buf) };
	struct kipc_msg msg = { .flags = KIPC_ANYSIZE, .iov = &out, .iovcnt = 1 };

	kt_poison(result, sizeof(*result));
	return kipc_recvmsg(fd, &msg, result, -1);
}

/* Starts a call without bytes; its caller token, 0 if that failed */
static inline uint64_t start(int fd, uint32_t flags, uint64_t cookie, int timeout)
{
	struct kipc_msg req = { .flags = flags, .cookie = cookie, .type = cookie };
	uint64_t token = 0;

	if (kipc_rpc_start(fd, &req, JOB_BUF, &token, timeout))
		return 0;
	return token;
}

/* Collects a started call without waiting (token 0: the next) */
static inline ssize_t finish(int fd, uint64_t token, struct kipc_result *result)
{
	char buf[JOB_BUF];
	struct iovec out = { buf, sizeof(buf) };
	struct kipc_msg reply = { .iov = &out, .iovcnt = 1 };

	kt_poison(result, sizeof(*result));
	return kipc_rpc_finish(fd, token, &reply, result, 0);
}

static inline short polled(int fd)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN | POLLOUT | POLLPRI | POLLRDHUP };

	return poll(&pfd, 1, 0) < 0 ? -1 : pfd.revents;
}

#endif
