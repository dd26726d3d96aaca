// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * kipc_serve() without the module: an endpoint played here has as many calls as a
 * test wants, counts what becomes of them, gives the errors that a real one
 * gives rarely, and is shut down after the last. Under ThreadSanitizer it tells
 * whether the threads share anything.
 */
#include "internal.h"

#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HANDLE		7
#define CALLS_MAX	1000
#define MAX_SIZE	100	/* at first */
#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

static int failures;

#define CHECK(condition) do {							\
	if (!(condition)) {							\
		printf("# %s:%d: %s\n", __FILE__, __LINE__, #condition);	\
		failures++;							\
	}									\
} while (0)

static void end(const char *name)
{
	static int before;

	printf("%s serve: %s\n", failures == before ? "ok" : "not ok", name);
	before = failures;
}

/* The endpoint; protected by @lock, as is what CHECK() counts */
static struct {
	pthread_mutex_t lock;
	unsigned int max_size;
	unsigned int flags;		/* of struct kipc_endpoint */
	int stat_error;
	unsigned int calls;		/* that will come */
	unsigned int taken;
	unsigned int one_way;		/* this one is a message; from 1 */
	unsigned int stats, rooms;	/* STATs; receives with room for max_size */
	int receive_error;		/* once, instead of the call @error_at */
	unsigned int error_at;
	int grow;			/* max_size grows by this with it */
	int reply_error;		/* once, of the reply to @error_at */
	int last_error;			/* after the last, positive */
	uint32_t receive_flags;
	int status[CALLS_MAX + 1];	/* -1: not answered */
	unsigned int answers[CALLS_MAX + 1];
	size_t size[CALLS_MAX + 1];
	unsigned char first[CALLS_MAX + 1];	/* byte of the reply */
} endpoint = { .lock = PTHREAD_MUTEX_INITIALIZER };

static unsigned int creates_left;

static void play(unsigned int calls)
{
	endpoint.max_size = MAX_SIZE;
	endpoint.flags = 0;
	endpoint.stat_error = 0;
	endpoint.calls = calls;
	endpoint.taken = 0;
	endpoint.one_way = 0;
	endpoint.stats = 0;
	endpoint.rooms = 0;
	endpoint.receive_error = 0;
	endpoint.error_at = 0;
	endpoint.grow = 0;
	endpoint.reply_error = 0;
	endpoint.last_error = ESHUTDOWN;
	endpoint.receive_flags = 0;
	memset(endpoint.status, -1, sizeof(endpoint.status));
	memset(endpoint.answers, 0, sizeof(endpoint.answers));
	memset(endpoint.size, 0, sizeof(endpoint.size));
	memset(endpoint.first, 0, sizeof(endpoint.first));
	creates_left = CALLS_MAX;
	errno = EXDEV;
}

static int fail(int error)
{
	errno = error;
	return -1;
}

static void answered(uint64_t token, int status, const struct kipc_payload *reply)
{
	if (!token || token > CALLS_MAX || reply->iovcnt) {
		CHECK(!"a reply to a call that was made");
		return;
	}
	endpoint.answers[token]++;
	endpoint.status[token] = status;
	endpoint.size[token] = reply->len;
	if (reply->len)
		endpoint.first[token] = *(unsigned char *)(uintptr_t)reply->base;
}

static int reply_recv(struct kipc_op_reply_recv *op)
{
	struct kipc_result *result = (struct kipc_result *)(uintptr_t)op->recv.result;
	unsigned char *room = (unsigned char *)(uintptr_t)op->recv.payload.base;

	if (op->token) {
		if (endpoint.reply_error && op->token == endpoint.error_at) {
			int error = endpoint.reply_error;

			endpoint.reply_error = 0;
			return fail(error);
		}
		answered(op->token, op->status, &op->reply);
		op->token = 0;
		op->replied = 1;
	}
	CHECK(op->recv.deadline == KIPC_FOREVER);
	endpoint.receive_flags = op->recv.flags;
	if (endpoint.receive_error && endpoint.taken + 1 == endpoint.error_at) {
		int error = endpoint.receive_error;

		endpoint.receive_error = 0;
		endpoint.max_size += (unsigned int)endpoint.grow;
		return fail(error);
	}
	if (op->recv.payload.len < endpoint.max_size)
		return fail(EMSGSIZE);
	endpoint.rooms++;
	if (endpoint.taken == endpoint.calls)
		return fail(endpoint.last_error);
	endpoint.taken++;
	memset(result, 0, sizeof(*result));
	if (endpoint.taken != endpoint.one_way)
		result->token = endpoint.taken;
	result->type = endpoint.taken;
	room[0] = (unsigned char)endpoint.taken;
	room[endpoint.max_size - 1] = 1;
	return (int)endpoint.max_size;
}

int __wrap_ioctl(int fd, unsigned long request, ...);
long __wrap_syscall(long number, ...);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
			  void *(*start)(void *), void *argument);
int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
			  void *(*start)(void *), void *argument);

int __wrap_ioctl(int fd, unsigned long request, ...)
{
	va_list arguments;
	void *op;
	int ret = 0;

	va_start(arguments, request);
	op = va_arg(arguments, void *);
	va_end(arguments);
	pthread_mutex_lock(&endpoint.lock);
	CHECK(fd == HANDLE);
	if (request == KIPC_IOC_STAT) {
		struct kipc_op_stat *stat = op;

		endpoint.stats++;
		stat->info.attr.max_size = endpoint.max_size;
		stat->info.flags = endpoint.flags;
		if (endpoint.stat_error)
			ret = fail(endpoint.stat_error);
	} else if (request == KIPC_IOC_REPLY) {
		const struct kipc_op_reply *reply = op;

		answered(reply->token, reply->status, &reply->payload);
	} else {
		CHECK(request == KIPC_IOC_REPLY_RECV);
		ret = reply_recv(op);
	}
	pthread_mutex_unlock(&endpoint.lock);
	return ret;
}

long __wrap_syscall(long number, ...)
{
	CHECK(number < 0);
	return 0;
}

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
			  void *(*start)(void *), void *argument)
{
	return creates_left-- ? __real_pthread_create(thread, attributes, start, argument) : EAGAIN;
}

/* What the handler was called for, and by whom; protected by the endpoint's lock */
static struct {
	unsigned int calls;
	pthread_t caller;
	unsigned int by_others;
} handled;

static int context;

/* Answers with the byte it was asked with, and as many of them as it says */
// cppcheck-suppress constParameter
static ssize_t echo(void *argument, const void *request, size_t size,
		    const struct kipc_result *result, void *reply, size_t room)
{
	const unsigned char *asked = request;
	sigset_t blocked;
	int state;

	pthread_mutex_lock(&endpoint.lock);
	CHECK(argument == &context);
	/* (another thread's receive may have made it grow since) */
	CHECK(size == endpoint.max_size || size + (size_t)endpoint.grow == endpoint.max_size);
	CHECK(room >= size && asked[size - 1] == 1);
	CHECK(asked[0] == (unsigned char)result->type);
	CHECK((uintptr_t)request % 64 == 0 && (uintptr_t)reply % 64 == 0);
	handled.calls++;
	pthread_sigmask(SIG_BLOCK, NULL, &blocked);
	CHECK(!sigismember(&blocked, SIGSEGV) && !sigismember(&blocked, SIGBUS));
	if (pthread_equal(pthread_self(), handled.caller)) {
		CHECK(!sigismember(&blocked, SIGTERM));
	} else {
		CHECK(sigismember(&blocked, SIGTERM) && sigismember(&blocked, SIGALRM));
		handled.by_others++;
	}
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	CHECK(state == PTHREAD_CANCEL_DISABLE ||
	      !pthread_equal(pthread_self(), handled.caller));
	pthread_setcancelstate(state, NULL);
	pthread_mutex_unlock(&endpoint.lock);

	memset(reply, asked[0], room);
	errno = ENOTBLK;
	return (ssize_t)(asked[0] % MAX_SIZE);
}

static int serve(unsigned int threads, kipc_handler handler)
{
	sigset_t before, after;
	int ret, state;

	handled.calls = 0;
	handled.by_others = 0;
	handled.caller = pthread_self();
	pthread_sigmask(SIG_BLOCK, NULL, &before);
	ret = kipc_serve(HANDLE, threads, handler, &context);
	CHECK(errno == EXDEV);
	pthread_sigmask(SIG_BLOCK, NULL, &after);
	for (int i = 1; i < 32; i++)
		CHECK(sigismember(&before, i) == sigismember(&after, i));
	pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &state);
	CHECK(state == PTHREAD_CANCEL_ENABLE);
	return ret;
}

static void all_answered(unsigned int from, unsigned int to)
{
	for (unsigned int i = from; i <= to; i++)
		CHECK(endpoint.answers[i] == 1 && !endpoint.status[i] &&
		      endpoint.size[i] == (i & 255) % MAX_SIZE &&
		      (!endpoint.size[i] || endpoint.first[i] == (unsigned char)i));
}

static void test_calls(void)
{
	static const unsigned int counts[] = { 1, 4, 16 };

	for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
		play(0);
		CHECK(serve(counts[i], echo) == 0);
		CHECK(!handled.calls && endpoint.rooms == counts[i]);

		play(CALLS_MAX);
		CHECK(serve(counts[i], echo) == 0);
		CHECK(handled.calls == CALLS_MAX && endpoint.taken == CALLS_MAX);
		/* (of several, the caller may have been quick enough to do it alone) */
		CHECK(counts[i] > 1 || !handled.by_others);
		CHECK(endpoint.stats == counts[i] && !endpoint.receive_flags);
		all_answered(1, CALLS_MAX);
	}

	play(1);
	endpoint.flags = KIPC_ENDPOINT_FILES;
	CHECK(serve(1, echo) == 0 && endpoint.receive_flags == KIPC_NOFILES);
	end("every call is answered once, with 1, 4 and 16 threads");
}

static ssize_t odd(void *argument, const void *request, size_t size,
		   const struct kipc_result *result, void *reply, size_t room)
{
	(void)argument;
	(void)request;
	(void)size;
	(void)reply;
	switch (result->type) {
	case 1: return -EILSEQ;
	case 2: return (ssize_t)room;
	case 3: return (ssize_t)room + 1;
	case 4: return -KIPC_STATUS_MAX;
	case 5: return -KIPC_STATUS_MAX - 1;
	case 6: return 0;
	case 7: return (ssize_t)(SIZE_MAX / 2);
	}
	return -EXFULL;
}

static void test_handler(void)
{
	static const int status[] = { EILSEQ, 0, EMSGSIZE, KIPC_STATUS_MAX, EPROTO, 0, EMSGSIZE };

	play(9);
	endpoint.one_way = 8;
	CHECK(serve(1, odd) == 0 && endpoint.taken == 9);
	for (unsigned int i = 1; i <= 7; i++)
		CHECK(endpoint.answers[i] == 1 && endpoint.status[i] == status[i - 1] &&
		      endpoint.size[i] == (i == 2 ? MAX_SIZE : 0));
	CHECK(!endpoint.answers[8]);
	CHECK(endpoint.answers[9] == 1 && endpoint.status[9] == EXFULL);
	end("what the handler returns");
}

static void test_errors(void)
{
	static const int passing[] = { EINTR, ENOMEM, ENOSPC, EDQUOT };
	static const int ending[] = { EIDRM, EBADF, EAGAIN };

	for (size_t i = 0; i < ARRAY_SIZE(passing); i++) {
		play(5);
		endpoint.error_at = 3;
		endpoint.receive_error = passing[i];
		CHECK(serve(1, echo) == 0 && handled.calls == 5);
		all_answered(1, 5);
	}
	for (size_t i = 0; i < ARRAY_SIZE(ending); i++) {
		for (unsigned int threads = 1; threads <= 4; threads += 3) {
			play(50);
			endpoint.last_error = ending[i];
			CHECK(serve(threads, echo) == -ending[i] && handled.calls == 50);
			all_answered(1, 50);
		}
	}

	/* max_size grows while it works, for each thread */
	play(20);
	endpoint.error_at = 10;
	endpoint.receive_error = EINTR;
	endpoint.grow = 100000;
	CHECK(serve(1, echo) == 0 && handled.calls == 20 && endpoint.stats == 2);
	all_answered(10, 20);
	play(CALLS_MAX);
	endpoint.error_at = 10;
	endpoint.receive_error = EINTR;
	endpoint.grow = 1;
	CHECK(serve(4, echo) == 0 && handled.calls == CALLS_MAX && endpoint.stats == 8);

	/* a reply that is refused is answered with why */
	play(5);
	endpoint.error_at = 3;
	endpoint.reply_error = EMSGSIZE;
	CHECK(serve(1, echo) == 0 && handled.calls == 5);
	CHECK(endpoint.answers[3] == 1 && endpoint.status[3] == EMSGSIZE && !endpoint.size[3]);
	all_answered(4, 5);
	end("errors of receives and replies");
}

static void test_start(void)
{
	play(5);
	CHECK(serve(0, echo) == -EINVAL && serve(1, NULL) == -EINVAL);
	CHECK(serve(KIPC_SERVE_MAX + 1, echo) == -EINVAL && serve(UINT32_MAX, echo) == -EINVAL);
	CHECK(!endpoint.stats && !endpoint.taken);

	/* what fails in the middle leaves nothing taken */
	endpoint.stat_error = EBADF;
	CHECK(serve(4, echo) == -EBADF && endpoint.stats == 1 && !endpoint.taken);
	for (unsigned int left = 0; left < 3; left++) {
		play(5);
		creates_left = left;
		CHECK(serve(4, echo) == -EAGAIN && !endpoint.taken && !endpoint.rooms);
	}
	if (SIZE_MAX == UINT32_MAX) {
		play(5);
		endpoint.max_size = UINT32_MAX;
		CHECK(serve(1, echo) == -ENOMEM && !endpoint.taken);
		endpoint.max_size = UINT32_MAX / 2 + 1;
		CHECK(serve(1, echo) == -ENOMEM && !endpoint.taken);
	}
	end("a start that fails has taken nothing");
}

int main(void)
{
	test_calls();
	test_handler();
	test_errors();
	test_start();
	return failures != 0;
}
