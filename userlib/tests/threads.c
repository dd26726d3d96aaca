// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Threads that use one descriptor at the same time, without the module: each must
 * get its own answers and keep its own errno, and a signal handler that uses the
 * library in the midst of it must not be noticed. Its main use is under
 * ThreadSanitizer, which tells whether the library shares anything.
 */
#include "internal.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define THREADS		4
#define ROUNDS		2000
#define HANDLE		7

static _Thread_local uint64_t me;	/* a number of each thread's own */
static _Thread_local volatile bool handling;	/* a signal */
static _Thread_local unsigned int calls, handled;
static _Thread_local int failures;

#define CHECK(condition) do {								\
	if (!(condition)) {								\
		printf("# %s:%d: thread %llu: %s\n", __FILE__, __LINE__,		\
		       (unsigned long long)me, #condition);				\
		failures++;								\
	}										\
} while (0)

static uint64_t first_byte(const struct kipc_payload *payload)
{
	const struct kipc_iovec *segments = (const void *)(uintptr_t)payload->base;
	const void *bytes = payload->iovcnt ? (const void *)(uintptr_t)segments[0].base :
			    (const void *)segments;

	return *(const unsigned char *)bytes;
}

static void tell(uint64_t address, uint64_t type)
{
	struct kipc_result *result = (struct kipc_result *)(uintptr_t)address;

	result->token = me;
	result->type = type;
}

/* The kernel played here: answers each thread with what only it can expect */
static int answer(unsigned long request, void *op)
{
	if (request == KIPC_IOC_SEND) {
		const struct kipc_op_send *send = op;

		CHECK(first_byte(&send->payload) == me);
		errno = EAGAIN;
		return -1;
	}
	if (request == KIPC_IOC_RECV) {
		const struct kipc_op_recv *recv = op;

		*(unsigned char *)(uintptr_t)recv->payload.base = (unsigned char)me;
		tell(recv->result, recv->type);
		return (int)me;
	}
	if (request == KIPC_IOC_RECV_BATCH) {
		const struct kipc_op_recv_batch *recv = op;

		*(unsigned char *)(uintptr_t)recv->base = (unsigned char)me;
		tell(recv->results, recv->type);
		tell(recv->results + sizeof(struct kipc_result), recv->type);
		return 1;
	}
	if (request == KIPC_IOC_RPC) {
		struct kipc_op_rpc *rpc = op;

		CHECK(first_byte(&rpc->request) == me && rpc->cookie == me);
		rpc->token = me;
		if (rpc->result)
			tell(rpc->result, rpc->type);
		if (rpc->flags & KIPC_ASYNC)
			return 0;
		errno = EINTR;
		return -1;
	}
	if (request == KIPC_IOC_REPLY_RECV) {
		struct kipc_op_reply_recv *both = op;

		CHECK(both->token == me && first_byte(&both->reply) == me);
		both->token = 0;
		both->replied = 1;
		both->reply_error = -(int)me;
		errno = ETIMEDOUT;
		return -1;
	}
	if (request == KIPC_IOC_NEXT) {
		((struct kipc_op_next *)op)->id += (uint32_t)me;
		return 0;
	}
	CHECK(request == KIPC_IOC_CANCEL);
	CHECK(((struct kipc_op_token *)op)->token == me);
	errno = ENOENT;
	return -1;
}

int __wrap_ioctl(int fd, unsigned long request, ...);
long __wrap_syscall(long number, ...);

int __wrap_ioctl(int fd, unsigned long request, ...)
{
	va_list arguments;
	void *op;
	int ret;

	va_start(arguments, request);
	op = va_arg(arguments, void *);
	va_end(arguments);
	CHECK(fd == HANDLE);

	/* The others' turn, and a signal's, with this one in the middle of its call */
	sched_yield();
	ret = answer(request, op);
	if (!handling && ++calls % 7 == 0)
		CHECK(!raise(SIGUSR1));
	return ret;
}

/* Nothing is opened here. */
long __wrap_syscall(long number, ...)
{
	CHECK(number < 0);
	return 0;
}

static void handle(int signal)
{
	uint32_t id = 0;

	(void)signal;
	handling = true;
	handled++;
	CHECK(kipc_next(HANDLE, 1000, &id) == 0 && id == 1000 + me);
	CHECK(kipc_cancel(HANDLE, me) == -ENOENT);
	handling = false;
}

static void round_of_calls(int number)
{
	unsigned char out[2] = { (unsigned char)me, 0 }, in[2] = { 0 };
	struct iovec parts[2] = { { out, 1 }, { out + 1, 1 } };
	const struct kipc_msg msg = { .type = me, .iov = parts, .iovcnt = 2 };
	const struct kipc_msg room = {
		.type = me, .iov = &(struct iovec){ in, sizeof(in) }, .iovcnt = 1,
	};
	const struct kipc_msg call = { .type = me, .cookie = me, .iov = parts, .iovcnt = 2 };
	struct kipc_result result = { .token = me }, results[2];
	uint64_t token = 0;
	uint32_t id = 0;

	errno = number;
	CHECK(kipc_send(HANDLE, out, sizeof(out), 1000) == -EAGAIN);
	CHECK(kipc_sendmsg(HANDLE, &msg, -1) == -EAGAIN);
	CHECK(kipc_reply_recvmsg(HANDLE, &msg, &room, &result, 1) == -ETIMEDOUT);
	CHECK(!result.token && result.reply_error == -(int)me);
	CHECK(kipc_recvmsg(HANDLE, &room, &result, 5) == (ssize_t)me);
	CHECK(result.token == me && result.type == me && in[0] == me);
	in[0] = 0;
	CHECK(kipc_recv_batch(HANDLE, &room, results, 2, 5) == 1);
	CHECK(results[0].token == me && !results[1].token && in[0] == me);
	CHECK(kipc_rpcmsg(HANDLE, &call, &room, &result, 7) == -EINVAL);
	CHECK(kipc_rpcmsg(HANDLE, &call, NULL, &result, 7) == -EINTR && result.token == me);
	CHECK(kipc_rpcmsg(HANDLE, &call, NULL, NULL, 7) == -EINTR);
	CHECK(kipc_rpc_start(HANDLE, &call, 10, &token, -1) == 0 && token == me);
	CHECK(kipc_next(HANDLE, (uint32_t)number, &id) == 0 && id == (uint32_t)(number + (int)me));
	CHECK(kipc_cancel(HANDLE, me) == -ENOENT);
	CHECK(errno == number);
}

static void *run(void *argument)
{
	me = *(const uint64_t *)argument;
	for (int i = 0; i < ROUNDS; i++)
		round_of_calls(i);
	CHECK(handled && handled == calls / 7);
	return failures ? argument : NULL;
}

int main(void)
{
	const struct sigaction action = { .sa_handler = handle };
	pthread_t threads[THREADS];
	uint64_t numbers[THREADS];
	bool bad = false;
	void *failed;

	sigaction(SIGUSR1, &action, NULL);
	for (int i = 0; i < THREADS; i++) {
		numbers[i] = (uint64_t)i + 1;
		if (pthread_create(&threads[i], NULL, run, &numbers[i])) {
			printf("not ok threads: pthread_create\n");
			return 1;
		}
	}
	for (int i = 0; i < THREADS; i++) {
		pthread_join(threads[i], &failed);
		if (failed)
			bad = true;
	}
	printf("%s threads: %d with one descriptor\n", bad ? "not ok" : "ok", THREADS);
	return bad;
}
