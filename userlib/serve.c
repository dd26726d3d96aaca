// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A server's loop, for as many threads as the caller wants.
 *
 * The calling thread is one of the workers; without others nothing is started.
 * No worker begins before all have what they need, so that a server which cannot
 * be started has taken no message. Each has buffers of its own; what they share
 * does not change while they work.
 */
#include "internal.h"

#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>

#define ALIGN		64		/* of the buffers, as a cache line */
#define PAUSE_NS	10000000	/* before what is short is tried again */

struct worker {
	struct server *server;
	pthread_t thread;	/* none for the first, which is the caller */
	char *request;		/* mapped, with the reply behind it */
	char *reply;
	size_t room;		/* bytes of each */
	size_t mapped;		/* bytes of both */
	uint32_t flags;		/* of the receive */
	int ret;
};

struct server {
	int fd;
	kipc_handler handler;
	void *context;
	pthread_mutex_t start;	/* held until all are there */
	bool given_up;		/* protected by @start */
};

/* Big and rare, and the library has no allocator */
static void *pages_get(size_t size)
{
	void *pages = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (pages == MAP_FAILED)
		return NULL;
	return pages;
}

static void pages_put(void *pages, size_t size)
{
	if (pages)
		munmap(pages, size);
}

static void buffers_put(struct worker *worker)
{
	pages_put(worker->request, worker->mapped);
	worker->request = NULL;
	worker->room = 0;
}

/* Buffers of the endpoint's max_size, which kipc_set() may change at any time */
static int buffers_get(struct worker *worker)
{
	struct kipc_endpoint endpoint;
	uint64_t behind;
	int ret = kipc_stat(worker->server->fd, 0, &endpoint);

	if (ret)
		return ret;
	/* Nobody here could take a file; with this they are dropped. */
	worker->flags = (endpoint.flags & KIPC_ENDPOINT_FILES) ? KIPC_NOFILES : 0;
	if (worker->room >= endpoint.attr.max_size)
		return 0;
	buffers_put(worker);
	/* Either may be taken for a struct. */
	behind = ((uint64_t)endpoint.attr.max_size + ALIGN - 1) / ALIGN * ALIGN;
	if (2 * behind > SIZE_MAX)
		return -ENOMEM;
	worker->mapped = (size_t)(2 * behind);
	worker->request = pages_get(worker->mapped);
	if (!worker->request)
		return -ENOMEM;
	worker->reply = worker->request + behind;
	worker->room = endpoint.attr.max_size;
	return 0;
}

static void take_breath(void)
{
	const struct timespec pause = { .tv_nsec = PAUSE_NS };

	nanosleep(&pause, NULL);
}

/* What of a receive's error can be mended: 0 if the worker can go on */
static int mend(struct worker *worker, int error)
{
	/* max_size has grown */
	if (error == -EMSGSIZE)
		error = buffers_get(worker);
	switch (error) {
	case 0:
	case -EINTR:
		return 0;
	case -ENOMEM:
	case -ENOSPC:
	case -EDQUOT:
		/* Others have used up memory or places to wait; they give them back. */
		take_breath();
		return 0;
	}
	return error;
}

/* The handler's answer, as a reply */
static void answer(const struct worker *worker, ssize_t ret, struct iovec *bytes,
		   struct kipc_msg *reply)
{
	if (ret > 0 && (size_t)ret > worker->room)
		ret = -EMSGSIZE;
	else if (ret < -KIPC_STATUS_MAX)
		ret = -EPROTO;
	reply->status = ret < 0 ? (int32_t)-ret : 0;
	bytes->iov_base = worker->reply;
	bytes->iov_len = ret < 0 ? 0 : (size_t)ret;
}

static int work(struct worker *worker)
{
	const struct server *server = worker->server;
	struct kipc_result result = { 0 };
	struct iovec in, out = { 0 };
	struct kipc_msg msg = { .iov = &in, .iovcnt = 1 };
	struct kipc_msg reply = { .iov = &out, .iovcnt = 1 };
	ssize_t ret;

	for (;;) {
		in.iov_base = worker->request;
		in.iov_len = worker->room;
		msg.flags = worker->flags;
		ret = kipc_reply_recvmsg(server->fd, &reply, &msg, &result, -1);
		if (ret < 0 && result.token) {
			/* The reply cannot be made like this; if not at all, nobody waits for it */
			kipc_reply_error(server->fd, result.token, (int)-ret);
			result.token = 0;
			continue;
		}
		if (ret < 0) {
			ret = mend(worker, (int)ret);
			if (ret)
				return ret == -ESHUTDOWN ? 0 : (int)ret;
			continue;
		}
		ret = server->handler(server->context, worker->request, (size_t)ret, &result,
				      worker->reply, worker->room);
		answer(worker, ret, &out, &reply);
	}
}

static void *thread_main(void *argument)
{
	struct worker *worker = argument;
	bool given_up;

	pthread_mutex_lock(&worker->server->start);
	given_up = worker->server->given_up;
	pthread_mutex_unlock(&worker->server->start);
	if (!given_up)
		worker->ret = work(worker);
	return NULL;
}

/*
 * Signals are for the threads that the program knows, but for those that tell a
 * thread of its own fault.
 */
static void signals_block(sigset_t *before)
{
	static const int faults[] = { SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGSYS, SIGTRAP, 0 };
	sigset_t all;

	sigfillset(&all);
	for (const int *fault = faults; *fault; fault++)
		sigdelset(&all, *fault);
	pthread_sigmask(SIG_BLOCK, &all, before);
}

/* Returns how many run, the caller included; if not all, *error says why */
static unsigned int threads_start(struct worker *workers, unsigned int count, int *error)
{
	sigset_t before;
	unsigned int i;

	signals_block(&before);
	for (i = 1; i < count; i++) {
		*error = -pthread_create(&workers[i].thread, NULL, thread_main, &workers[i]);
		if (*error)
			break;
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return i;
}

static int serve(struct server *server, struct worker *workers, unsigned int count)
{
	unsigned int running = 1;
	int ret = 0;

	for (unsigned int i = 0; i < count; i++) {
		workers[i].server = server;
		ret = buffers_get(&workers[i]);
		if (ret)
			return ret;
	}
	if (count > 1) {
		pthread_mutex_lock(&server->start);
		running = threads_start(workers, count, &ret);
		server->given_up = ret;
		pthread_mutex_unlock(&server->start);
	}
	if (!ret)
		ret = work(&workers[0]);
	for (unsigned int i = 1; i < running; i++) {
		pthread_join(workers[i].thread, NULL);
		if (!ret)
			ret = workers[i].ret;
	}
	return ret;
}

KIPC_PUBLIC int kipc_serve(int fd, unsigned int nthreads, kipc_handler handler, void *context)
{
	struct server server = {
		.fd = fd,
		.handler = handler,
		.context = context,
		.start = PTHREAD_MUTEX_INITIALIZER,
	};
	struct worker *workers;
	int saved = errno, cancel, ret;

	if (!handler || !nthreads || nthreads > KIPC_SERVE_MAX)
		return -EINVAL;
	/* A thread that vanished in the middle would leave the others without memory. */
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	workers = pages_get(nthreads * sizeof(*workers));
	if (workers) {
		ret = serve(&server, workers, nthreads);
		for (unsigned int i = 0; i < nthreads; i++)
			buffers_put(&workers[i]);
		pages_put(workers, nthreads * sizeof(*workers));
	} else {
		ret = -ENOMEM;
	}
	pthread_setcancelstate(cancel, NULL);
	errno = saved;
	return ret;
}
