// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Tests of libkipc without the module: the linker (--wrap) gives the library an
 * ioctl(2) and a syscall(2) of this program, which note what it asks for and
 * answer what the test wants. It is linked with the library's internals too.
 *
 * With the argument "functions" it names the functions that it calls.
 */
#include "internal.h"

#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
#define HANDLE		7	/* descriptors of the kernel played here */
#define DEVICE		8
#define TOKEN		0x1234567890abcdefULL
#define POISON		0x5a

static int failures, failed_before;

#define CHECK(condition) do {							\
	if (!(condition)) {							\
		printf("# %s:%d: %s\n", __FILE__, __LINE__, #condition);	\
		failures++;							\
	}									\
} while (0)

static void end(const char *name)
{
	printf("%s unit: %s\n", failures == failed_before ? "ok" : "not ok", name);
	failed_before = failures;
}

union op {
	struct kipc_limits limits;
	struct kipc_op_open open;
	struct kipc_op_restrict restricted;
	struct kipc_op_stat stat;
	struct kipc_op_remove remove;
	struct kipc_op_next next;
	struct kipc_op_send send;
	struct kipc_op_recv recv;
	struct kipc_op_send_batch send_batch;
	struct kipc_op_recv_batch recv_batch;
	struct kipc_op_rpc rpc;
	struct kipc_op_reply reply;
	struct kipc_op_reply_recv reply_recv;
	struct kipc_op_token token;
	struct kipc_op_shutdown shutdown;
	struct kipc_op_notify notify;
};

/* The kernel played here: what it was asked, and what it answers */
static struct {
	unsigned int calls;
	unsigned int opens, closes;
	unsigned long request[4];
	union op op;		/* of the first call */
	int ret;		/* >= 0, or a negative errno */
	int open_ret;
	void (*act)(void *op);	/* on the first call */
} kernel;

static struct kipc_iovec seen[2][KIPC_IOV_MAX];	/* as the payloads said */

static void look(const struct kipc_payload *payload, struct kipc_iovec *to)
{
	if (payload->iovcnt)
		memcpy(to, (void *)(uintptr_t)payload->base, payload->iovcnt * sizeof(*to));
}

int __wrap_ioctl(int fd, unsigned long request, ...);
long __wrap_syscall(long number, ...);
long __real_syscall(long number, ...);

int __wrap_ioctl(int fd, unsigned long request, ...)
{
	va_list arguments;
	void *op;

	va_start(arguments, request);
	op = va_arg(arguments, void *);
	va_end(arguments);

	CHECK(fd == HANDLE || fd == DEVICE);
	if (kernel.calls == ARRAY_SIZE(kernel.request)) {
		printf("not ok unit: the library makes one system call after the other\n");
		(void)fflush(stdout);
		abort();
	}
	kernel.request[kernel.calls++] = request;
	if (kernel.calls > 1)
		return 0;

	memcpy(&kernel.op, op, _IOC_SIZE(request));
	if (request == KIPC_IOC_SEND) {
		look(&kernel.op.send.payload, seen[0]);
	} else if (request == KIPC_IOC_RECV) {
		look(&kernel.op.recv.payload, seen[0]);
	} else if (request == KIPC_IOC_RPC) {
		look(&kernel.op.rpc.request, seen[0]);
		look(&kernel.op.rpc.reply, seen[1]);
	} else if (request == KIPC_IOC_REPLY) {
		look(&kernel.op.reply.payload, seen[0]);
	} else if (request == KIPC_IOC_REPLY_RECV) {
		look(&kernel.op.reply_recv.reply, seen[0]);
		look(&kernel.op.reply_recv.recv.payload, seen[1]);
	}
	if (kernel.act)
		kernel.act(op);
	if (kernel.ret >= 0)
		return kernel.ret;
	errno = -kernel.ret;
	return -1;
}

long __wrap_syscall(long number, ...)
{
	va_list arguments;
	int ret = 0;

	va_start(arguments, number);
	if (number == SYS_openat) {
		CHECK(va_arg(arguments, int) == AT_FDCWD);
		CHECK(!strcmp(va_arg(arguments, char *), "/dev/kipc"));
		CHECK(va_arg(arguments, int) == (O_RDWR | O_CLOEXEC));
		kernel.opens++;
		ret = kernel.open_ret;
	} else {
		int fd = va_arg(arguments, int);

		CHECK(number == SYS_close);
		if (fd != DEVICE) {	/* a memfd, which is the real kernel's */
			va_end(arguments);
			return __real_syscall(number, fd);
		}
		kernel.closes++;
		ret = -EINTR;	/* must not show anywhere */
	}
	va_end(arguments);
	if (ret >= 0)
		return ret;
	errno = -ret;
	return -1;
}

static void play(int ret, void (*act)(void *op))
{
	memset(&kernel, 0, sizeof(kernel));
	kernel.open_ret = DEVICE;
	kernel.ret = ret;
	kernel.act = act;
	errno = EXDEV;
}

/* @n system calls, the first of them @request, and errno was not touched */
static bool asked(unsigned int n, unsigned long request)
{
	return kernel.calls == n && kernel.request[0] == request && errno == EXDEV;
}

/* Refused before any system call */
static bool refused(long ret)
{
	return ret == -EINVAL && !kernel.calls && !kernel.opens && errno == EXDEV;
}

static bool zeros(const void *memory, size_t size)
{
	const unsigned char *byte = memory;

	while (size && !*byte) {
		byte++;
		size--;
	}
	return !size;
}

static int address(struct kipc_op_open *op, const char *text)
{
	memset(op, 0, sizeof(*op));
	errno = EXDEV;
	return libkipc_address(op, text);
}

static void test_addresses(void)
{
	static const struct {
		const char *text;
		uint64_t key;
		uint32_t id;
	} good[] = {
		{ "key:1", 1, 0 },
		{ "key:0x1", 1, 0 },
		{ "key:0XfF", 255, 0 },
		{ "key:010", 10, 0 },
		{ "key:0000000000000000000000000000000000000000000000000009", 9, 0 },
		{ "key:18446744073709551615", UINT64_MAX, 0 },
		{ "key:0xffffffffffffffff", UINT64_MAX, 0 },
		{ "key:9223372036854775808", KIPC_KEY_RESERVED, 0 },
		{ "id:2049", 0, 2049 },
		{ "id:0x7fffffff", 0, 0x7fffffff },
		{ "id:4294967295", 0, UINT32_MAX },
	};
	static const char *const bad[] = {
		"", "key:", "key:0", "key:0x", "key:0x0", "key:00", "key:-1", "key:+1", "key: 1",
		"key:1 ", "key:1x", "key:a", "key:0xg", "key:1\n", "key:18446744073709551616",
		"key:0x10000000000000000", "key:99999999999999999999999", "key:x1", "key:0x0x1",
		"id:", "id:0", "id:0x", "id:-1", "id:4294967296", "id:0x100000000", "id:1,",
		"id:18446744073709551617",
	};
	static const char *const names[] = {
		"a", "key", "id", "Key:1", " key:1", "sys.x", "/x y\n",
	};
	char name[KIPC_NAME_MAX + 2];
	struct kipc_op_open op;

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		CHECK(address(&op, good[i].text) == 0 && errno == EXDEV);
		CHECK(op.key == good[i].key && op.id == good[i].id && !op.name && !op.name_len);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		CHECK(address(&op, bad[i]) == -EINVAL && errno == EXDEV);
		CHECK(zeros(&op, sizeof(op)));
	}
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		CHECK(address(&op, names[i]) == 0);
		CHECK(op.name == (uintptr_t)names[i] && op.name_len == strlen(names[i]));
		CHECK(!op.key && !op.id);
	}
	CHECK(address(&op, NULL) == 0 && zeros(&op, sizeof(op)));

	memset(name, 'n', sizeof(name));
	name[KIPC_NAME_MAX + 1] = 0;
	CHECK(address(&op, name) == -ENAMETOOLONG && errno == EXDEV);
	name[KIPC_NAME_MAX] = 0;
	CHECK(address(&op, name) == 0 && op.name_len == KIPC_NAME_MAX);
	end("addresses");
}

static void test_deadlines(void)
{
	const struct timespec zero = { 0 }, now = { .tv_sec = 100, .tv_nsec = 999999999 };
	const struct timespec late = { .tv_sec = 4102444800LL };	/* the year 2100 */
	const struct timespec negative = { .tv_sec = -5, .tv_nsec = 7 };
	/* U64_MAX ns are 18446744073.709551615 s */
	const struct timespec last = { .tv_sec = 18446744073LL, .tv_nsec = 708551614 };
	const struct timespec over = { .tv_sec = 18446744073LL, .tv_nsec = 708551616 };
	const struct timespec never = { .tv_sec = INT64_MAX, .tv_nsec = 999999999 };
	struct timespec before, after;

	CHECK(sizeof(late.tv_sec) == 8);
	CHECK(libkipc_deadline_from(&now, 0) == 0);
	CHECK(libkipc_deadline_from(&now, -1) == KIPC_FOREVER);
	CHECK(libkipc_deadline_from(&now, -2) == KIPC_FOREVER);
	CHECK(libkipc_deadline_from(&now, INT_MIN) == KIPC_FOREVER);
	CHECK(libkipc_deadline_from(&zero, 1) == 1000000);
	CHECK(libkipc_deadline_from(&now, 1) == 101000999999ULL);
	CHECK(libkipc_deadline_from(&now, INT_MAX) == 100999999999ULL + INT_MAX * 1000000ULL);
	CHECK(libkipc_deadline_from(&late, 1) == 4102444800001000000ULL);
	CHECK(libkipc_deadline_from(&negative, 1) == 1000007);
	CHECK(libkipc_deadline_from(&last, 1) == KIPC_FOREVER - 1);
	CHECK(libkipc_deadline_from(&over, 1) == KIPC_FOREVER);
	CHECK(libkipc_deadline_from(&last, INT_MAX) == KIPC_FOREVER);
	CHECK(libkipc_deadline_from(&never, 1) == KIPC_FOREVER);
	CHECK(libkipc_deadline_from(&never, 0) == 0);

	for (int realtime = 0; realtime < 2; realtime++) {
		clockid_t clock = realtime ? CLOCK_REALTIME : CLOCK_MONOTONIC;
		uint64_t deadline;

		clock_gettime(clock, &before);
		deadline = libkipc_deadline(1000, realtime ? KIPC_REALTIME : 0);
		clock_gettime(clock, &after);
		CHECK(deadline >= libkipc_deadline_from(&before, 1000));
		CHECK(deadline <= libkipc_deadline_from(&after, 1000));
		CHECK(libkipc_deadline(0, realtime ? KIPC_REALTIME : 0) == 0);
		CHECK(libkipc_deadline(-7, realtime ? KIPC_REALTIME : 0) == KIPC_FOREVER);
	}
	end("deadlines");
}

static void test_open(void)
{
	const struct kipc_attr attr = { .max_size = 1, .max_msgs = 2, .max_bytes = 3 };
	const struct kipc_op_open *op = &kernel.op.open;

	play(HANDLE, NULL);
	CHECK(kipc_create("key:5", KIPC_OPEN_EXCL | KIPC_OPEN_ONEWAY, 0640, &attr) == HANDLE);
	CHECK(asked(1, KIPC_IOC_OPEN) && kernel.opens == 1 && kernel.closes == 1);
	CHECK(op->flags == (KIPC_OPEN_CREATE | KIPC_OPEN_EXCL | KIPC_OPEN_ONEWAY));
	CHECK(op->rights == 7 && op->key == 5 && op->mode == 0640 && !op->deadline);
	CHECK(!memcmp(&op->attr, &attr, sizeof(attr)));

	play(HANDLE, NULL);
	CHECK(kipc_create(NULL, 0, 0, NULL) == HANDLE && asked(1, KIPC_IOC_OPEN));
	CHECK(op->flags == KIPC_OPEN_CREATE && !op->key && !op->name && !op->id);
	CHECK(zeros(&op->attr, sizeof(op->attr)));

	play(-EEXIST, NULL);
	CHECK(kipc_create("x", KIPC_OPEN_EXCL, 0, NULL) == -EEXIST && asked(1, KIPC_IOC_OPEN));
	CHECK(kernel.closes == 1);

	play(0, NULL);
	CHECK(refused(kipc_create("id:5", 0, 0, NULL)));
	CHECK(refused(kipc_create("", 0, 0, NULL)));
	CHECK(refused(kipc_create("x", KIPC_OPEN_WAIT, 0, NULL)));
	CHECK(refused(kipc_create("x", KIPC_OPEN_EXPECT_UID, 0, NULL)));
	CHECK(refused(kipc_create("x", KIPC_OPEN_PERSIST | KIPC_OPEN_ID_ONLY, 0, NULL)));
	CHECK(refused(kipc_open(NULL, KIPC_RIGHT_SEND, 0)));
	CHECK(refused(kipc_open("id:x", KIPC_RIGHT_SEND, 0)));

	play(HANDLE, NULL);
	CHECK(kipc_open("id:77", KIPC_RIGHT_SEND | KIPC_OPEN_ANY_OWNER | KIPC_OPEN_NORESTART, 0)
	      == HANDLE);
	CHECK(asked(1, KIPC_IOC_OPEN) && kernel.closes == 1);
	CHECK(op->flags == KIPC_OPEN_ANY_OWNER && op->rights == KIPC_RIGHT_SEND && op->id == 77);
	CHECK(!op->deadline);

	play(HANDLE, NULL);
	CHECK(kipc_open("x", KIPC_RIGHT_RECV | KIPC_OPEN_NORESTART, -1) == HANDLE);
	CHECK(op->flags == (KIPC_OPEN_WAIT | KIPC_OPEN_NORESTART));
	CHECK(op->deadline == KIPC_FOREVER);

	play(HANDLE, NULL);
	CHECK(kipc_open("x", KIPC_RIGHT_RECV, 10) == HANDLE);
	CHECK(op->flags == KIPC_OPEN_WAIT && op->deadline && op->deadline != KIPC_FOREVER);

	play(HANDLE, NULL);
	CHECK(kipc_open("x", KIPC_RIGHT_SEND | KIPC_OPEN_NONBLOCK, -1) == HANDLE);
	CHECK(op->flags == KIPC_OPEN_NONBLOCK && !op->deadline);

	/* what is neither a right nor a flag is the kernel's to refuse */
	play(-EINVAL, NULL);
	CHECK(kipc_open("x", KIPC_RIGHT_SEND | KIPC_OPEN_FILES, 0) == -EINVAL);
	CHECK(asked(1, KIPC_IOC_OPEN) && op->rights == (KIPC_RIGHT_SEND | KIPC_OPEN_FILES));

	play(HANDLE, NULL);
	CHECK(kipc_open_device() == DEVICE && !kernel.calls && errno == EXDEV);
	play(HANDLE, NULL);
	kernel.open_ret = -ENOENT;
	CHECK(kipc_open_device() == -ENOENT && errno == EXDEV);
	CHECK(kipc_open("x", KIPC_RIGHT_SEND, -1) == -ENOENT && errno == EXDEV);
	kernel.open_ret = -EACCES;
	CHECK(kipc_create("x", 0, 0600, NULL) == -EACCES && errno == EXDEV);
	CHECK(!kernel.calls && !kernel.closes);
	end("create, open");
}

static void act_stat(void *op)
{
	((struct kipc_op_stat *)op)->info.id = 99;
}

static void act_next(void *op)
{
	((struct kipc_op_next *)op)->id = 4099;
}

static void test_inspect(void)
{
	struct kipc_endpoint endpoint, poison;
	struct kipc_limits limits;
	uint32_t id = POISON;

	memset(&poison, POISON, sizeof(poison));
	memset(&limits, POISON, sizeof(limits));
	play(-EIDRM, NULL);
	CHECK(kipc_info(HANDLE, &limits) == -EIDRM && asked(1, KIPC_IOC_INFO));
	CHECK(zeros(&limits, sizeof(limits)));

	endpoint = poison;
	play(-EACCES, act_stat);
	CHECK(kipc_stat(DEVICE, 99, &endpoint) == -EACCES && asked(1, KIPC_IOC_STAT));
	CHECK(!memcmp(&endpoint, &poison, sizeof(poison)));
	play(0, act_stat);
	CHECK(kipc_stat(DEVICE, 99, &endpoint) == 0 && endpoint.id == 99);
	CHECK(kernel.op.stat.endpoint == 99 && !kernel.op.stat.what);
	CHECK(zeros(&kernel.op.stat.info, sizeof(endpoint)));

	play(0, NULL);
	CHECK(kipc_set(HANDLE, 3, KIPC_SET_NAME, &poison) == 0 && asked(1, KIPC_IOC_SET));
	CHECK(kernel.op.stat.endpoint == 3 && kernel.op.stat.what == KIPC_SET_NAME);
	CHECK(!memcmp(&kernel.op.stat.info, &poison, sizeof(poison)));

	play(-ENOENT, act_next);
	CHECK(kipc_next(DEVICE, 5, &id) == -ENOENT && id == POISON && asked(1, KIPC_IOC_NEXT));
	play(0, act_next);
	CHECK(kipc_next(DEVICE, 5, &id) == 0 && id == 4099 && kernel.op.next.id == 5);

	play(0, NULL);
	CHECK(kipc_remove(DEVICE, 5) == 0 && asked(1, KIPC_IOC_REMOVE));
	CHECK(kernel.op.remove.endpoint == 5 && !kernel.op.remove.flags);
	play(0, NULL);
	CHECK(kipc_shutdown(HANDLE) == 0 && asked(1, KIPC_IOC_SHUTDOWN));
	play(7, NULL);
	CHECK(kipc_restrict(HANDLE, 1, TOKEN) == 7 && asked(1, KIPC_IOC_RESTRICT));
	CHECK(kernel.op.restricted.rights == 1 && kernel.op.restricted.badge == TOKEN);
	CHECK(!kernel.op.restricted.flags && !kernel.op.restricted.reserved[0]);
	play(-EPERM, NULL);
	CHECK(kipc_restrict(HANDLE, 2, 0) == -EPERM && asked(1, KIPC_IOC_RESTRICT));
	CHECK(kernel.op.restricted.rights == 2 && !kernel.op.restricted.badge);
	play(0, NULL);
	CHECK(kipc_notify(HANDLE, KIPC_NOTIFY_SIGNAL, 10, TOKEN, -1) == 0);
	CHECK(asked(1, KIPC_IOC_NOTIFY) && kernel.op.notify.how == KIPC_NOTIFY_SIGNAL);
	CHECK(kernel.op.notify.signo == 10 && kernel.op.notify.value == TOKEN);
	CHECK(!kernel.op.notify.endpoint && !kernel.op.notify.flags && !kernel.op.notify.end);
	play(-EBUSY, NULL);
	CHECK(kipc_notify(HANDLE, KIPC_NOTIFY_EVENTFD, 0, 5, 0) == -EBUSY);
	CHECK(asked(1, KIPC_IOC_NOTIFY) && kernel.op.notify.flags == KIPC_NOTIFY_TELL_END);
	CHECK(kernel.op.notify.how == KIPC_NOTIFY_EVENTFD && kernel.op.notify.value == 5);
	CHECK(!kernel.op.notify.signo && !kernel.op.notify.end);
	end("info, stat, set, remove, next, shutdown, restrict, notify");
}

static char bytes[64], room[64];

static void act_needed(void *argument)
{
	struct kipc_op_recv *op = argument;

	((struct kipc_result *)(uintptr_t)op->result)->size = 4711;
}

static void test_messages(void)
{
	struct iovec iov[KIPC_IOV_MAX + 1];
	struct kipc_msg msg = {
		.type = 11, .prio = 12, .flags = KIPC_SYNC, .endpoint = 13, .iov = iov, .iovcnt = 1,
	};
	const struct kipc_op_send *send = &kernel.op.send;
	const struct kipc_op_recv *recv = &kernel.op.recv;
	struct kipc_result result;

	for (size_t i = 0; i < ARRAY_SIZE(iov); i++)
		iov[i] = (struct iovec){ bytes + i % 64, i };

	play(0, NULL);
	CHECK(kipc_send(HANDLE, bytes, 9, -1) == 0 && asked(1, KIPC_IOC_SEND));
	CHECK(send->payload.base == (uintptr_t)bytes && send->payload.len == 9);
	CHECK(!send->payload.iovcnt && !send->flags && !send->endpoint && !send->type);
	CHECK(send->deadline == KIPC_FOREVER && !send->prio);
	play(0, NULL);
	CHECK(kipc_send(HANDLE, NULL, SIZE_MAX, 0) == 0);
	CHECK(send->payload.len == SIZE_MAX && !send->deadline);

	play(-EAGAIN, NULL);
	CHECK(kipc_sendmsg(HANDLE, &msg, 0) == -EAGAIN && asked(1, KIPC_IOC_SEND));
	CHECK(send->type == 11 && send->prio == 12 && send->flags == KIPC_SYNC);
	CHECK(send->endpoint == 13 && !send->payload.iovcnt && !send->payload.len);
	CHECK(send->payload.base == (uintptr_t)bytes);

	/* segments, 2 to the most */
	for (msg.iovcnt = 2; msg.iovcnt <= KIPC_IOV_MAX; msg.iovcnt += 511) {
		play(0, NULL);
		CHECK(kipc_sendmsg(HANDLE, &msg, 0) == 0);
		CHECK(send->payload.iovcnt == msg.iovcnt && !send->payload.len);
		for (size_t i = 0; i < msg.iovcnt; i++)
			CHECK(seen[0][i].base == (uintptr_t)iov[i].iov_base &&
			      seen[0][i].len == iov[i].iov_len);
	}
	CHECK(msg.iovcnt == KIPC_IOV_MAX + 511);
	play(0, NULL);
	msg.iovcnt = KIPC_IOV_MAX + 1;
	CHECK(refused(kipc_sendmsg(HANDLE, &msg, 0)));
	msg.iovcnt = UINT32_MAX;
	CHECK(refused(kipc_sendmsg(HANDLE, &msg, 0)));

	/* none, whatever iov is */
	msg.iovcnt = 0;
	CHECK(kipc_sendmsg(HANDLE, &msg, 0) == 0 && zeros(&send->payload, sizeof(send->payload)));
	play(0, NULL);
	CHECK(kipc_sendmsg(HANDLE, NULL, 0) == 0 && zeros(send, sizeof(*send)));
	play(0, NULL);
	CHECK(kipc_sendmsg(HANDLE, &(struct kipc_msg){ .nfds = 2, .fds = (int *)iov }, 0) == 0);
	CHECK(send->payload.nfds == 2 && send->payload.fds == (uintptr_t)iov);

	/* what is not used must be 0 */
	play(0, NULL);
	for (int i = 0; i < 4; i++) {
		struct kipc_msg odd = { 0 };

		odd.reserved[i] = 1;
		CHECK(refused(kipc_sendmsg(HANDLE, &odd, 0)));
		CHECK(refused(kipc_recvmsg(HANDLE, &odd, NULL, 0)));
		CHECK(refused(kipc_rpcmsg(HANDLE, &odd, NULL, NULL, 0)));
		CHECK(refused(kipc_rpcmsg(HANDLE, NULL, &odd, NULL, 0)));
		CHECK(refused(kipc_replymsg(HANDLE, TOKEN, &odd)));
		CHECK(refused(kipc_rpc_start(HANDLE, &odd, 0, NULL, 0)));
		CHECK(refused(kipc_rpc_finish(HANDLE, 0, &odd, NULL, 0)));
	}
	CHECK(refused(kipc_sendmsg(HANDLE, &(struct kipc_msg){ .cookie = 1 }, 0)));
	CHECK(refused(kipc_sendmsg(HANDLE, &(struct kipc_msg){ .status = -1 }, 0)));
	CHECK(refused(kipc_sendmsg(HANDLE, &(struct kipc_msg){ .after = 1 }, 0)));
	CHECK(refused(kipc_sendmsg(HANDLE, &(struct kipc_msg){ .after_type = 1ULL << 40 }, 0)));
	memset(&result, POISON, sizeof(result));
	CHECK(refused(kipc_recvmsg(HANDLE, &(struct kipc_msg){ .prio = 1 }, &result, 0)));
	CHECK(zeros(&result, sizeof(result)));

	memset(&result, POISON, sizeof(result));
	play(5, NULL);
	CHECK(kipc_recv(HANDLE, room, 64, &result, -1) == 5 && asked(1, KIPC_IOC_RECV));
	CHECK(recv->payload.base == (uintptr_t)room && recv->payload.len == 64);
	CHECK(recv->result == (uintptr_t)&result && recv->deadline == KIPC_FOREVER);
	CHECK(!recv->flags && zeros(&result, sizeof(result)));
	play(-EINTR, NULL);
	CHECK(kipc_recv(HANDLE, room, 64, NULL, 0) == -EINTR && asked(1, KIPC_IOC_RECV));
	CHECK(!recv->result && !recv->deadline);

	play(0, NULL);
	iov[0] = (struct iovec){ room, 1 };
	iov[1] = (struct iovec){ bytes, 2 };
	msg = (struct kipc_msg){
		.type = 3, .flags = KIPC_PEEK | KIPC_TYPE_LE, .endpoint = 4, .after = TOKEN,
		.after_type = 2, .iov = iov, .iovcnt = 2,
	};
	CHECK(kipc_recvmsg(DEVICE, &msg, &result, -1) == 0 && asked(1, KIPC_IOC_RECV));
	CHECK(recv->type == 3 && recv->flags == msg.flags && recv->endpoint == 4);
	CHECK(recv->after == TOKEN && recv->after_type == 2 && recv->payload.iovcnt == 2);
	CHECK(seen[0][1].base == (uintptr_t)bytes && seen[0][1].len == 2);

	/* what the kernel tells with an error (the room that KIPC_ANYSIZE lacked) stays */
	play(-EMSGSIZE, act_needed);
	CHECK(kipc_recvmsg(HANDLE, NULL, &result, -1) == -EMSGSIZE && result.size == 4711);
	end("send, recv");
}

static void act_told(void *argument)
{
	struct kipc_op_recv_batch *op = argument;

	memset((void *)(uintptr_t)op->results, POISON, op->count * sizeof(struct kipc_result));
}

static void test_batches(void)
{
	struct iovec iov[2] = { { room, 17 }, { bytes, 1 } };
	struct kipc_msg batch = {
		.type = 1, .flags = KIPC_TYPE_EQ, .endpoint = 2, .iov = iov, .iovcnt = 1,
	};
	const struct kipc_op_recv_batch *recv = &kernel.op.recv_batch;
	const struct kipc_op_send_batch *send = &kernel.op.send_batch;
	struct kipc_result results[KIPC_BATCH_MAX + 1];
	const size_t one = sizeof(results[0]);
	struct kipc_batch_msg msgs[2] = { 0 };

	/* what was told of those that were not taken is nobody's */
	for (int ret = 1; ret <= KIPC_BATCH_MAX; ret += 7) {
		memset(results, 0, sizeof(results));
		play(ret, act_told);
		CHECK(kipc_recv_batch(HANDLE, &batch, results, KIPC_BATCH_MAX, -1) == ret);
		CHECK(asked(1, KIPC_IOC_RECV_BATCH) && recv->count == KIPC_BATCH_MAX);
		CHECK(results[ret - 1].size && results[ret - 1].reserved[3]);
		CHECK(zeros(&results[ret], sizeof(results) - (size_t)ret * one));
	}
	memset(results, POISON, sizeof(results));
	play(-EFAULT, act_told);
	CHECK(kipc_recv_batch(HANDLE, &batch, results, 5, -1) == -EFAULT);
	CHECK(zeros(results, 5 * one) && results[5].size);
	/* but the size that the first needs stays */
	play(-EMSGSIZE, act_told);
	CHECK(kipc_recv_batch(HANDLE, &batch, results, 5, -1) == -EMSGSIZE && results[0].size);
	CHECK(zeros(&results[1], 4 * one) && results[5].size);

	/* nothing is written that the caller cannot have meant */
	memset(results, POISON, sizeof(results));
	play(0, NULL);
	CHECK(refused(kipc_recv_batch(HANDLE, &batch, results, KIPC_BATCH_MAX + 1, 0)));
	CHECK(refused(kipc_recv_batch(HANDLE, &batch, results, UINT_MAX, 0)));
	CHECK(refused(kipc_recv_batch(HANDLE, &batch, NULL, 1, 0)));
	CHECK(results[0].size && results[KIPC_BATCH_MAX].size);
	play(-EINVAL, NULL);
	CHECK(kipc_recv_batch(HANDLE, &batch, results, 0, 0) == -EINVAL && results[0].size);
	CHECK(asked(1, KIPC_IOC_RECV_BATCH) && !recv->count);

	/* no message, or not one segment, or what is not used */
	play(0, NULL);
	CHECK(refused(kipc_recv_batch(HANDLE, NULL, results, 1, 0)));
	CHECK(zeros(results, one) && results[1].size);
	CHECK(refused(kipc_send_batch(HANDLE, NULL, msgs, 1, 0)));
	for (uint32_t i = 0; i <= 3; i++) {
		batch.iovcnt = i == 3 ? UINT32_MAX : i;
		if (i == 1)
			continue;
		CHECK(refused(kipc_recv_batch(HANDLE, &batch, results, 1, 0)));
		batch.type = 0;
		CHECK(refused(kipc_send_batch(HANDLE, &batch, msgs, 1, 0)));
		batch.type = 1;
	}
	for (int i = 0; i < 11; i++) {
		struct kipc_msg odd = { .iov = iov, .iovcnt = 1 };

		odd.reserved[i % 4] = i < 4;
		odd.cookie = i == 4;
		odd.prio = i == 5;
		odd.status = i == 6 ? -1 : 0;
		odd.after = i == 7;
		odd.after_type = i == 8 ? 1ULL << 63 : 0;
		odd.nfds = i == 9;
		odd.type = i == 10 ? 1ULL << 63 : 0;
		CHECK(refused(kipc_send_batch(HANDLE, &odd, msgs, 1, 0)));
		if (i < 10)
			CHECK(refused(kipc_recv_batch(HANDLE, &odd, results, 1, 0)));
	}

	/* what the kernel can judge goes to it */
	struct iovec all = { NULL, SIZE_MAX };

	batch = (struct kipc_msg){ .flags = KIPC_SYNC, .iov = &all, .iovcnt = 1 };
	play(-EINVAL, NULL);
	CHECK(kipc_send_batch(HANDLE, &batch, NULL, UINT_MAX, 0) == -EINVAL);
	CHECK(asked(1, KIPC_IOC_SEND_BATCH) && send->count == UINT_MAX && !send->msgs);
	CHECK(send->flags == KIPC_SYNC && !send->base && send->len == SIZE_MAX && !send->deadline);
	play(-EINVAL, NULL);
	batch.flags = KIPC_PEEK;
	CHECK(kipc_recv_batch(HANDLE, &batch, results, 1, -1) == -EINVAL);
	CHECK(asked(1, KIPC_IOC_RECV_BATCH) && recv->flags == KIPC_PEEK);
	CHECK(recv->len == SIZE_MAX && recv->deadline == KIPC_FOREVER);

	/* where payloads begin */
	CHECK(kipc_batch_next(0, 0) == 0 && kipc_batch_next(0, 1) == KIPC_BATCH_ALIGN);
	CHECK(kipc_batch_next(8, 8) == 16 && kipc_batch_next(8, 9) == 24);
	CHECK(kipc_batch_next(16, 7) == 24 && kipc_batch_next(24, 0) == 24);
	CHECK(kipc_batch_next(0x7ffffff0, 9) == 0x80000000);
	play(0, NULL);
	end("send_batch, recv_batch");
}

static void act_remote(void *argument)
{
	struct kipc_op_rpc *op = argument;
	struct kipc_result *result = (void *)(uintptr_t)op->result;

	result->flags = KIPC_RESULT_REMOTE | KIPC_RESULT_DELIVERED;
	result->cookie = op->cookie;
	result->size = 3;
}

static void act_goes_on(void *argument)
{
	struct kipc_op_rpc *op = argument;

	op->token = TOKEN;
	if (op->result)
		((struct kipc_result *)(uintptr_t)op->result)->token = TOKEN;
}

static void test_calls(void)
{
	struct iovec in[2] = { { bytes, 1 }, { bytes + 1, 2 } };
	struct iovec out[2] = { { room, 3 }, { room, 4 } };
	const struct kipc_msg async = { .flags = KIPC_ASYNC }, any = { .flags = KIPC_NEXT };
	const struct kipc_msg sync = { .flags = KIPC_SYNC };
	const struct kipc_op_rpc *op = &kernel.op.rpc;
	struct kipc_result result;
	struct kipc_msg req = {
		.type = 1, .cookie = 2, .prio = 3, .endpoint = 4, .flags = KIPC_IDEMPOTENT,
		.iov = in, .iovcnt = 2,
	};
	struct kipc_msg reply = { .flags = KIPC_TRUNCATE, .iov = out, .iovcnt = 2 };
	uint64_t token;

	play(6, NULL);
	CHECK(kipc_rpc(HANDLE, bytes, 5, room, 6, -1) == 6 && asked(1, KIPC_IOC_RPC));
	CHECK(op->request.base == (uintptr_t)bytes && op->request.len == 5);
	CHECK(op->reply.base == (uintptr_t)room && op->reply.len == 6);
	CHECK(op->deadline == KIPC_FOREVER && !op->flags && !op->token && !op->result);

	/* nobody could know the token: the call is cancelled */
	play(-EINTR, act_goes_on);
	CHECK(kipc_rpc(HANDLE, bytes, 5, room, 6, -1) == -EINTR && asked(2, KIPC_IOC_RPC));
	CHECK(kernel.request[1] == KIPC_IOC_CANCEL);
	play(-EFAULT, act_goes_on);
	CHECK(kipc_rpcmsg(HANDLE, &req, &reply, NULL, -1) == -EFAULT && asked(2, KIPC_IOC_RPC));
	CHECK(kernel.request[1] == KIPC_IOC_CANCEL);
	play(-EINTR, NULL);
	CHECK(kipc_rpc(HANDLE, bytes, 5, room, 6, -1) == -EINTR && asked(1, KIPC_IOC_RPC));

	/* here the caller is told */
	memset(&result, POISON, sizeof(result));
	play(-EINTR, act_goes_on);
	CHECK(kipc_rpcmsg(DEVICE, &req, &reply, &result, -1) == -EINTR && asked(1, KIPC_IOC_RPC));
	CHECK(result.token == TOKEN && !result.flags && !result.cookie);
	CHECK(op->type == 1 && op->cookie == 2 && op->prio == 3 && op->endpoint == 4);
	CHECK(op->flags == (KIPC_IDEMPOTENT | KIPC_TRUNCATE) && !op->token && !op->reply_room);
	CHECK(op->request.iovcnt == 2 && op->reply.iovcnt == 2);
	CHECK(seen[0][0].base == (uintptr_t)bytes && seen[0][1].len == 2 && seen[1][1].len == 4);

	play(0, NULL);
	memset(&result, POISON, sizeof(result));
	CHECK(refused(kipc_rpcmsg(HANDLE, &async, NULL, &result, 0)));
	CHECK(zeros(&result, sizeof(result)));
	CHECK(refused(kipc_rpcmsg(HANDLE, &any, NULL, NULL, 0)));
	CHECK(refused(kipc_rpcmsg(HANDLE, NULL, &sync, NULL, 0)));
	CHECK(refused(kipc_rpcmsg(HANDLE, NULL, &(struct kipc_msg){ .type = 1 }, NULL, 0)));
	CHECK(refused(kipc_rpcmsg(HANDLE, &(struct kipc_msg){ .status = 1 }, NULL, NULL, 0)));
	CHECK(refused(kipc_rpc_start(HANDLE, &any, 0, NULL, 0)));
	CHECK(refused(kipc_rpc_start(HANDLE, &async, 0, NULL, 0)));
	CHECK(refused(kipc_rpc_finish(HANDLE, 1, &any, NULL, 0)));
	CHECK(refused(kipc_rpc_finish(HANDLE, 0, &(struct kipc_msg){ .prio = 1 }, NULL, 0)));

	play(0, act_goes_on);
	token = POISON;
	CHECK(kipc_rpc_start(HANDLE, &req, 77, &token, -1) == 0 && asked(1, KIPC_IOC_RPC));
	CHECK(token == TOKEN && op->flags == (KIPC_IDEMPOTENT | KIPC_ASYNC));
	CHECK(op->reply_room == 77 && zeros(&op->reply, sizeof(op->reply)) && !op->result);
	play(0, act_goes_on);
	CHECK(kipc_rpc_start(HANDLE, &req, 77, NULL, -1) == 0 && asked(1, KIPC_IOC_RPC));
	play(-EDQUOT, NULL);
	CHECK(kipc_rpc_start(HANDLE, &req, 77, &token, -1) == -EDQUOT && !token);
	CHECK(asked(1, KIPC_IOC_RPC));

	/* an error that is the server's answer */
	play(-EPERM, act_remote);
	CHECK(kipc_rpcmsg(HANDLE, &req, &reply, &result, 1) == -EPERM && asked(1, KIPC_IOC_RPC));
	CHECK(result.flags == (KIPC_RESULT_REMOTE | KIPC_RESULT_DELIVERED));
	CHECK(result.cookie == 2 && result.size == 3 && !result.token);
	play(-EPERM, act_remote);
	CHECK(kipc_rpc_finish(HANDLE, TOKEN, &reply, &result, 1) == -EPERM);
	CHECK(result.flags == (KIPC_RESULT_REMOTE | KIPC_RESULT_DELIVERED) && result.size == 3);

	/* the token stays the caller's */
	play(-EINTR, act_goes_on);
	CHECK(kipc_rpc_finish(HANDLE, TOKEN, &reply, NULL, -1) == -EINTR && asked(1, KIPC_IOC_RPC));
	CHECK(op->token == TOKEN && op->flags == KIPC_TRUNCATE && op->reply.iovcnt == 2);
	memset(&result, POISON, sizeof(result));
	play(-EAGAIN, NULL);
	CHECK(kipc_rpc_finish(HANDLE, 0, NULL, &result, 0) == -EAGAIN && asked(1, KIPC_IOC_RPC));
	CHECK(!op->token && op->flags == KIPC_NEXT && !op->deadline);
	CHECK(zeros(&result, sizeof(result)));
	end("rpc, rpc_start, rpc_finish");
}

static void act_delivered(void *op)
{
	((struct kipc_op_token *)op)->result_flags = KIPC_RESULT_DELIVERED;
}

static void test_tokens(void)
{
	struct kipc_msg msg = { .type = 4, .status = EPERM };
	const struct kipc_op_reply *op = &kernel.op.reply;

	play(0, act_delivered);
	CHECK(kipc_cancel(HANDLE, TOKEN) == KIPC_RESULT_DELIVERED && asked(1, KIPC_IOC_CANCEL));
	CHECK(kernel.op.token.token == TOKEN);
	play(0, NULL);
	CHECK(kipc_cancel(HANDLE, TOKEN) == 0);
	play(-ENOENT, act_delivered);
	CHECK(kipc_cancel(HANDLE, TOKEN) == -ENOENT && errno == EXDEV);
	play(-ECANCELED, NULL);
	CHECK(kipc_wanted(HANDLE, TOKEN) == -ECANCELED && asked(1, KIPC_IOC_WANTED));
	CHECK(kernel.op.token.token == TOKEN);
	play(0, NULL);
	CHECK(kipc_adopt(HANDLE, TOKEN) == 0 && asked(1, KIPC_IOC_ADOPT));

	play(-ECANCELED, NULL);
	CHECK(kipc_reply(HANDLE, TOKEN, bytes, 3) == -ECANCELED && asked(1, KIPC_IOC_REPLY));
	CHECK(op->token == TOKEN && op->payload.base == (uintptr_t)bytes && op->payload.len == 3);
	play(0, NULL);
	CHECK(kipc_reply_error(HANDLE, TOKEN, KIPC_STATUS_MAX) == 0 && asked(1, KIPC_IOC_REPLY));
	CHECK(op->status == KIPC_STATUS_MAX && zeros(&op->payload, sizeof(op->payload)));
	play(0, NULL);
	CHECK(kipc_replymsg(HANDLE, TOKEN, &msg) == 0 && asked(1, KIPC_IOC_REPLY));
	CHECK(op->status == EPERM && op->type == 4 && op->token == TOKEN);
	play(0, NULL);
	CHECK(refused(kipc_reply_error(HANDLE, TOKEN, 0)));
	CHECK(refused(kipc_reply_error(HANDLE, TOKEN, -EPERM)));
	CHECK(refused(kipc_reply_error(HANDLE, TOKEN, KIPC_STATUS_MAX + 1)));
	CHECK(refused(kipc_replymsg(HANDLE, TOKEN, &(struct kipc_msg){ .prio = 1 })));
	end("reply, cancel, wanted, adopt");
}

static void act_replied(void *argument)
{
	struct kipc_op_reply_recv *op = argument;

	op->token = 0;
	op->replied = 1;
}

static void act_caller_gone(void *argument)
{
	struct kipc_op_reply_recv *op = argument;

	act_replied(op);
	op->reply_error = -ECANCELED;
}

static void act_received(void *argument)
{
	struct kipc_op_reply_recv *op = argument;
	struct kipc_result *result = (void *)(uintptr_t)op->recv.result;

	act_caller_gone(op);
	memset(result, 0, sizeof(*result));
	result->token = TOKEN + 1;
	result->flags = KIPC_RESULT_CALL | KIPC_RESULT_REPLIED;
	result->reply_error = -ECANCELED;
}

static void act_too_large(void *argument)
{
	struct kipc_op_reply_recv *op = argument;

	act_replied(op);
	((struct kipc_result *)(uintptr_t)op->recv.result)->size = 4711;
	((struct kipc_result *)(uintptr_t)op->recv.result)->flags = KIPC_RESULT_REPLIED;
}

static ssize_t next(struct kipc_result *result, uint64_t token)
{
	memset(result, POISON, sizeof(*result));
	result->token = token;
	return kipc_reply_recv(HANDLE, bytes, 3, room, 64, result, -1);
}

static void test_server(void)
{
	static const int receive_errors[] = { EINTR, ETIMEDOUT, EAGAIN, ESHUTDOWN, EIDRM, EFAULT };
	static const int reply_errors[] = { ENOENT, EMSGSIZE, EFAULT, EINVAL, EBADF };
	const struct kipc_op_reply_recv *op = &kernel.op.reply_recv;
	struct kipc_msg reply = { .type = 8, .status = EPERM };
	struct kipc_msg msg = { .type = 9, .flags = KIPC_TYPE_EQ };
	struct kipc_result result;

	/* nothing owed: the reply's arguments do not matter */
	play(5, NULL);
	CHECK(next(&result, 0) == 5 && asked(1, KIPC_IOC_REPLY_RECV));
	CHECK(!op->token && zeros(&op->reply, sizeof(op->reply)));
	CHECK(!op->replied && !op->reply_error && op->recv.deadline == KIPC_FOREVER);
	CHECK(op->recv.payload.base == (uintptr_t)room && op->recv.payload.len == 64);
	CHECK(zeros(&result, sizeof(result)));
	play(-EINTR, NULL);
	CHECK(next(&result, 0) == -EINTR && zeros(&result, sizeof(result)));

	/* both halves done: all that the result says is the kernel's */
	play(5, act_received);
	CHECK(next(&result, TOKEN) == 5 && asked(1, KIPC_IOC_REPLY_RECV));
	CHECK(op->token == TOKEN && op->reply.base == (uintptr_t)bytes && op->reply.len == 3);
	CHECK(result.token == TOKEN + 1 && result.reply_error == -ECANCELED);
	CHECK(result.flags == (KIPC_RESULT_CALL | KIPC_RESULT_REPLIED));

	/* an error of the receive: the token is gone, the reply's fate is told */
	for (size_t i = 0; i < ARRAY_SIZE(receive_errors); i++) {
		play(-receive_errors[i], act_replied);
		CHECK(next(&result, TOKEN) == -receive_errors[i] && errno == EXDEV);
		CHECK(!result.token && !result.reply_error && result.flags == KIPC_RESULT_REPLIED);
		play(-receive_errors[i], act_caller_gone);
		CHECK(next(&result, TOKEN) == -receive_errors[i]);
		CHECK(!result.token && result.reply_error == -ECANCELED);
		CHECK(result.flags == KIPC_RESULT_REPLIED);
	}
	play(-EMSGSIZE, act_too_large);
	CHECK(next(&result, TOKEN) == -EMSGSIZE && !result.token && result.size == 4711);

	/* an error of the reply: the token is kept, and nothing else is said */
	for (size_t i = 0; i < ARRAY_SIZE(reply_errors); i++) {
		play(-reply_errors[i], NULL);
		CHECK(next(&result, TOKEN) == -reply_errors[i] && errno == EXDEV);
		CHECK(result.token == TOKEN);
		result.token = 0;
		CHECK(zeros(&result, sizeof(result)));
	}

	play(0, NULL);
	CHECK(refused(kipc_reply_recv(HANDLE, bytes, 3, room, 64, NULL, -1)));
	CHECK(refused(kipc_reply_recvmsg(HANDLE, &reply, &msg, NULL, -1)));
	msg.flags = KIPC_PEEK;
	memset(&result, POISON, sizeof(result));
	result.token = TOKEN;
	CHECK(refused(kipc_reply_recvmsg(HANDLE, &reply, &msg, &result, -1)));
	CHECK(result.token == TOKEN && !result.flags && !result.reply_error);
	msg.flags = KIPC_TYPE_EQ;
	reply.flags = KIPC_TRUNCATE;
	CHECK(refused(kipc_reply_recvmsg(HANDLE, &reply, &msg, &result, -1)));
	CHECK(result.token == TOKEN);

	reply.flags = 0;
	play(-ETIMEDOUT, act_replied);
	CHECK(kipc_reply_recvmsg(HANDLE, &reply, &msg, &result, 1) == -ETIMEDOUT && !result.token);
	CHECK(asked(1, KIPC_IOC_REPLY_RECV) && op->token == TOKEN && op->type == 8);
	CHECK(op->status == EPERM && op->recv.type == 9 && op->recv.flags == KIPC_TYPE_EQ);

	/* nothing owed: the reply is not looked at (but found valid) */
	play(0, NULL);
	CHECK(kipc_reply_recvmsg(HANDLE, &reply, NULL, &result, 0) == 0);
	CHECK(!op->status && !op->type && !op->token);
	end("reply_recv");
}

/*
 * Every function with arguments that all differ, so that a member that is missing,
 * changed, or in another's place shows.
 */
#define TIME_MS		12345
#define PAYLOAD(n)	{ .base = (uintptr_t)segments[n], .iovcnt = 2 }
#define BYTES		{ .base = (uintptr_t)bytes, .len = 21 }
#define ROOM		{ .base = (uintptr_t)room, .len = 43 }

static struct iovec segments[2][2] = {
	{ { bytes, 1 }, { bytes + 1, 2 } },
	{ { room, 3 }, { room + 3, 4 } },
};

static struct kipc_msg sent = {
	.type = 0x1111, .prio = 22, .endpoint = 33, .flags = KIPC_REALTIME | KIPC_NORESTART,
	.iov = segments[0], .iovcnt = 2,
};

static struct kipc_msg taken = {
	.type = 0x4444, .endpoint = 55, .flags = KIPC_REALTIME | KIPC_TYPE_NE, .after = 0x6666,
	.after_type = 0x7777, .iov = segments[1], .iovcnt = 2,
};

static struct kipc_msg asks = {
	.type = 0x8888, .cookie = 0x9999, .prio = 11, .endpoint = 22,
	.flags = KIPC_REALTIME | KIPC_IDEMPOTENT, .iov = segments[0], .iovcnt = 2,
};

static struct kipc_msg gets = { .flags = KIPC_TRUNCATE, .iov = segments[1], .iovcnt = 2 };
static struct kipc_msg answers = {
	.type = 0x3333, .status = 44, .iov = segments[0], .iovcnt = 2,
};

static struct kipc_batch_msg several[3];
static struct kipc_msg together = {
	.endpoint = 44, .flags = KIPC_REALTIME | KIPC_NONBLOCK, .iov = segments[0], .iovcnt = 1,
};

static struct kipc_msg takes = {
	.type = 0x5555, .endpoint = 66, .flags = KIPC_REALTIME | KIPC_TYPE_LE,
	.iov = segments[1], .iovcnt = 1,
};

static struct kipc_attr capacity = { .max_size = 1, .max_msgs = 2, .max_bytes = 3 };
static struct kipc_endpoint state = { .key = 1, .mode = 2, .uid = 3, .name = "n" };

/* Where functions write; poisoned before each */
static struct {
	struct kipc_result result;
	struct kipc_result results[3];
	struct kipc_limits limits;
	struct kipc_endpoint endpoint;
	uint64_t token;
	uint32_t id;
} written;

static long every_create(void)
{
	return kipc_create("some", KIPC_OPEN_PERSIST, 0421, &capacity);
}

static long every_open(void)
{
	return kipc_open("key:0xabcdef0123456789", KIPC_RIGHT_RECV | KIPC_OPEN_ANY_OWNER, TIME_MS);
}

static long every_open_device(void)
{
	return kipc_open_device();
}

static long every_info(void)
{
	return kipc_info(HANDLE, &written.limits);
}

static long every_restrict(void)
{
	return kipc_restrict(HANDLE, KIPC_RIGHT_SEND, TOKEN);
}

static long every_notify(void)
{
	return kipc_notify(HANDLE, KIPC_NOTIFY_EVENTFD, 0, 6, 7);
}

static long every_shutdown(void)
{
	return kipc_shutdown(HANDLE);
}

static long every_stat(void)
{
	return kipc_stat(HANDLE, 66, &written.endpoint);
}

static long every_set(void)
{
	return kipc_set(HANDLE, 77, KIPC_SET_UID | KIPC_SET_NAME, &state);
}

static long every_remove(void)
{
	return kipc_remove(HANDLE, 88);
}

static long every_next(void)
{
	return kipc_next(HANDLE, 99, &written.id);
}

static long every_send(void)
{
	return kipc_send(HANDLE, bytes, 21, TIME_MS);
}

static long every_recv(void)
{
	return kipc_recv(HANDLE, room, 43, &written.result, TIME_MS);
}

static long every_rpc(void)
{
	return kipc_rpc(HANDLE, bytes, 21, room, 43, TIME_MS);
}

static long every_reply(void)
{
	return kipc_reply(HANDLE, TOKEN, bytes, 21);
}

static long every_reply_error(void)
{
	return kipc_reply_error(HANDLE, TOKEN, 12);
}

static long every_reply_recv(void)
{
	written.result.token = TOKEN;
	return kipc_reply_recv(HANDLE, bytes, 21, room, 43, &written.result, TIME_MS);
}

static long every_sendmsg(void)
{
	return kipc_sendmsg(HANDLE, &sent, TIME_MS);
}

static long every_recvmsg(void)
{
	return kipc_recvmsg(HANDLE, &taken, &written.result, TIME_MS);
}

static long every_send_batch(void)
{
	return kipc_send_batch(HANDLE, &together, several, 3, TIME_MS);
}

static long every_recv_batch(void)
{
	return kipc_recv_batch(HANDLE, &takes, written.results, 3, TIME_MS);
}

static long every_rpcmsg(void)
{
	return kipc_rpcmsg(HANDLE, &asks, &gets, &written.result, TIME_MS);
}

static long every_replymsg(void)
{
	return kipc_replymsg(HANDLE, TOKEN, &answers);
}

static long every_reply_recvmsg(void)
{
	written.result.token = TOKEN;
	return kipc_reply_recvmsg(HANDLE, &answers, &taken, &written.result, TIME_MS);
}

static long every_rpc_start(void)
{
	return kipc_rpc_start(HANDLE, &asks, 1000, &written.token, TIME_MS);
}

static long every_rpc_finish(void)
{
	return kipc_rpc_finish(HANDLE, TOKEN, &gets, &written.result, TIME_MS);
}

static long every_cancel(void)
{
	return kipc_cancel(HANDLE, TOKEN);
}

static long every_wanted(void)
{
	return kipc_wanted(HANDLE, TOKEN);
}

static long every_adopt(void)
{
	return kipc_adopt(HANDLE, TOKEN);
}

enum clock { NO_TIME, MONOTONIC, REALTIME };

struct function {
	const char *name;
	long (*call)(void);
	unsigned long request;
	union op want;			/* deadline apart */
	size_t deadline;		/* where in it */
	enum clock clock;
	bool result;			/* has one */
};

static uint64_t now_ns(enum clock clock)
{
	struct timespec now;

	clock_gettime(clock == REALTIME ? CLOCK_REALTIME : CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* Compared one by one: a 32-bit library passes a copy of them. */
static void same_segments(struct kipc_payload *want, const struct kipc_payload *got, int which)
{
	const struct iovec *iov = (const void *)(uintptr_t)want->base;

	if (!want->iovcnt)
		return;
	for (uint32_t i = 0; i < want->iovcnt; i++)
		CHECK(seen[which][i].base == (uintptr_t)iov[i].iov_base &&
		      seen[which][i].len == iov[i].iov_len);
	want->base = got->base;
}

static void same_payloads(union op *want, unsigned long request)
{
	switch (request) {
	case KIPC_IOC_SEND:
		same_segments(&want->send.payload, &kernel.op.send.payload, 0);
		break;
	case KIPC_IOC_RECV:
		same_segments(&want->recv.payload, &kernel.op.recv.payload, 0);
		break;
	case KIPC_IOC_RPC:
		same_segments(&want->rpc.request, &kernel.op.rpc.request, 0);
		same_segments(&want->rpc.reply, &kernel.op.rpc.reply, 1);
		break;
	case KIPC_IOC_REPLY:
		same_segments(&want->reply.payload, &kernel.op.reply.payload, 0);
		break;
	case KIPC_IOC_REPLY_RECV:
		same_segments(&want->reply_recv.reply, &kernel.op.reply_recv.reply, 0);
		same_segments(&want->reply_recv.recv.payload,
			      &kernel.op.reply_recv.recv.payload, 1);
		break;
	}
}

/* Once through @function, whose system call gives @ret */
static void once(const struct function *function, int ret)
{
	/* (kipc_cancel() says what the kernel wrote, 0 here) */
	const long expected = !function->request ? DEVICE :
			      function->call == every_cancel && ret > 0 ? 0 : ret;
	const unsigned int opens = function->request == KIPC_IOC_OPEN || !function->request;
	uint64_t before = 0, after, deadline;
	union op want = function->want;
	int was = failures;
	long got;

	play(ret, NULL);
	memset(&written, POISON, sizeof(written));
	if (function->clock)
		before = now_ns(function->clock);
	got = function->call();
	CHECK(errno == EXDEV);
	CHECK(got == expected);
	CHECK(kernel.opens == opens);
	if (function->request) {
		/* once, whatever the error: EINTR is the caller's to see */
		CHECK(asked(1, function->request) && kernel.closes == opens);
		if (function->clock) {
			after = now_ns(function->clock);
			memcpy(&deadline, (char *)&kernel.op + function->deadline,
			       sizeof(deadline));
			CHECK(deadline >= before + TIME_MS * 1000000ULL);
			CHECK(deadline <= after + TIME_MS * 1000000ULL);
			memcpy((char *)&want + function->deadline, &deadline, sizeof(deadline));
		}
		same_payloads(&want, function->request);
		CHECK(!memcmp(&kernel.op, &want, _IOC_SIZE(function->request)));
	}
	if (function->result) {
		uint64_t token = function->request == KIPC_IOC_REPLY_RECV && ret < 0 ? TOKEN : 0;

		/* (on success the kernel writes it, which is not played here) */
		CHECK(ret >= 0 || written.result.token == token);
		written.result.token = 0;
		CHECK(zeros(&written.result, sizeof(written.result)));
	}
	if (ret < 0) {
		CHECK(written.id == 0x5a5a5a5a && written.endpoint.id == 0x5a5a5a5a);
		if (function->call == every_info)
			CHECK(zeros(&written.limits, sizeof(written.limits)));
		if (function->call == every_rpc_start)
			CHECK(!written.token);
	}
	if (function->call == every_recv_batch) {
		size_t told = ret > 0 ? (size_t)ret : 0;

		CHECK(zeros(&written.results[told],
			    sizeof(written.results) - told * sizeof(written.results[0])));
	}
	if (failures != was)
		printf("# in kipc_%s() with %d\n", function->name, ret);
}

#define OPERATION(what, number, ...)	\
	{ .name = #what, .call = every_##what, .request = KIPC_IOC_##number, __VA_ARGS__ }
#define TIMED(which, member)	.clock = (which), .deadline = offsetof(union op, member)

static void test_every(bool list)
{
	const struct function functions[] = {
		OPERATION(create, OPEN, .want.open = {
			.flags = KIPC_OPEN_CREATE | KIPC_OPEN_PERSIST,
			.rights = KIPC_RIGHT_SEND | KIPC_RIGHT_RECV | KIPC_RIGHT_CONTROL,
			.name_len = 4, .mode = 0421, .attr = capacity }),
		OPERATION(open, OPEN, .want.open = {
			.flags = KIPC_OPEN_ANY_OWNER | KIPC_OPEN_WAIT, .rights = KIPC_RIGHT_RECV,
			.key = 0xabcdef0123456789 }, TIMED(MONOTONIC, open.deadline)),
		{ .name = "open_device", .call = every_open_device },
		OPERATION(info, INFO, .want.limits = { 0 }),
		OPERATION(restrict, RESTRICT, .want.restricted = {
			.rights = KIPC_RIGHT_SEND, .badge = TOKEN }),
		OPERATION(notify, NOTIFY, .want.notify = {
			.flags = KIPC_NOTIFY_TELL_END, .how = KIPC_NOTIFY_EVENTFD,
			.value = 6, .end = 7 }),
		OPERATION(shutdown, SHUTDOWN, .want.shutdown = { 0 }),
		OPERATION(stat, STAT, .want.stat = { .endpoint = 66 }),
		OPERATION(set, SET, .want.stat = {
			.endpoint = 77, .what = KIPC_SET_UID | KIPC_SET_NAME, .info = state }),
		OPERATION(remove, REMOVE, .want.remove = { .endpoint = 88 }),
		OPERATION(next, NEXT, .want.next = { .id = 99 }),
		OPERATION(send, SEND, .want.send = { .payload = BYTES },
			  TIMED(MONOTONIC, send.deadline)),
		OPERATION(recv, RECV, .want.recv = {
			.payload = ROOM, .result = (uintptr_t)&written.result },
			TIMED(MONOTONIC, recv.deadline), .result = true),
		OPERATION(rpc, RPC, .want.rpc = { .request = BYTES, .reply = ROOM },
			  TIMED(MONOTONIC, rpc.deadline)),
		OPERATION(reply, REPLY, .want.reply = { .token = TOKEN, .payload = BYTES }),
		OPERATION(reply_error, REPLY, .want.reply = { .token = TOKEN, .status = 12 }),
		OPERATION(reply_recv, REPLY_RECV, .want.reply_recv = {
			.token = TOKEN, .reply = BYTES,
			.recv = { .payload = ROOM, .result = (uintptr_t)&written.result } },
			TIMED(MONOTONIC, reply_recv.recv.deadline), .result = true),
		OPERATION(sendmsg, SEND, .want.send = {
			.flags = KIPC_REALTIME | KIPC_NORESTART, .endpoint = 33, .type = 0x1111,
			.prio = 22, .payload = PAYLOAD(0) }, TIMED(REALTIME, send.deadline)),
		OPERATION(recvmsg, RECV, .want.recv = {
			.flags = KIPC_REALTIME | KIPC_TYPE_NE, .endpoint = 55, .type = 0x4444,
			.after = 0x6666, .after_type = 0x7777, .payload = PAYLOAD(1),
			.result = (uintptr_t)&written.result },
			TIMED(REALTIME, recv.deadline), .result = true),
		OPERATION(send_batch, SEND_BATCH, .want.send_batch = {
			.flags = KIPC_REALTIME | KIPC_NONBLOCK, .endpoint = 44,
			.base = (uintptr_t)bytes, .len = 1, .msgs = (uintptr_t)several,
			.count = 3 }, TIMED(REALTIME, send_batch.deadline)),
		OPERATION(recv_batch, RECV_BATCH, .want.recv_batch = {
			.flags = KIPC_REALTIME | KIPC_TYPE_LE, .endpoint = 66, .type = 0x5555,
			.base = (uintptr_t)room, .len = 3, .results = (uintptr_t)written.results,
			.count = 3 }, TIMED(REALTIME, recv_batch.deadline)),
		OPERATION(rpcmsg, RPC, .want.rpc = {
			.flags = KIPC_REALTIME | KIPC_IDEMPOTENT | KIPC_TRUNCATE, .endpoint = 22,
			.type = 0x8888, .cookie = 0x9999, .prio = 11, .request = PAYLOAD(0),
			.reply = PAYLOAD(1), .result = (uintptr_t)&written.result },
			TIMED(REALTIME, rpc.deadline), .result = true),
		OPERATION(replymsg, REPLY, .want.reply = {
			.token = TOKEN, .status = 44, .type = 0x3333, .payload = PAYLOAD(0) }),
		OPERATION(reply_recvmsg, REPLY_RECV, .want.reply_recv = {
			.token = TOKEN, .status = 44, .type = 0x3333, .reply = PAYLOAD(0),
			.recv = {
				.flags = KIPC_REALTIME | KIPC_TYPE_NE, .endpoint = 55,
				.type = 0x4444, .after = 0x6666, .after_type = 0x7777,
				.payload = PAYLOAD(1), .result = (uintptr_t)&written.result } },
			TIMED(REALTIME, reply_recv.recv.deadline), .result = true),
		OPERATION(rpc_start, RPC, .want.rpc = {
			.flags = KIPC_REALTIME | KIPC_IDEMPOTENT | KIPC_ASYNC, .endpoint = 22,
			.type = 0x8888, .cookie = 0x9999, .prio = 11, .request = PAYLOAD(0),
			.reply_room = 1000 }, TIMED(REALTIME, rpc.deadline)),
		OPERATION(rpc_finish, RPC, .want.rpc = {
			.flags = KIPC_TRUNCATE, .token = TOKEN, .reply = PAYLOAD(1),
			.result = (uintptr_t)&written.result },
			TIMED(MONOTONIC, rpc.deadline), .result = true),
		OPERATION(cancel, CANCEL, .want.token = { .token = TOKEN }),
		OPERATION(wanted, WANTED, .want.token = { .token = TOKEN }),
		OPERATION(adopt, ADOPT, .want.token = { .token = TOKEN }),
	};

	for (size_t i = 0; i < ARRAY_SIZE(functions); i++) {
		struct function function = functions[i];

		if (list) {
			printf("kipc_%s\n", function.name);
			continue;
		}
		if (function.call == every_create) {
			/* Of the name only the address, which the literal does not tell here */
			play(0, NULL);
			every_create();
			CHECK(!memcmp((char *)(uintptr_t)kernel.op.open.name, "some", 4));
			function.want.open.name = kernel.op.open.name;
		}
		for (int ret = -133; ret <= 2; ret++)
			once(&function, ret);
	}
	if (list)
		/* Those below have no system call, or not one of the module's: test_batches(),
		 * test_memory(), serve.c
		 */
		printf("kipc_batch_next\nkipc_map\nkipc_memfd\nkipc_seal\nkipc_serve\n"
		       "kipc_unmap\n");
	else
		end("every function: arguments, results, errors, errno");
}

/* What kipc_map() makes of @fd; it must tell nothing with an error */
static int mapped(int fd)
{
	const void *data = bytes;
	size_t size = 1;
	int ret = kipc_map(fd, &data, &size);

	if (ret)
		CHECK(!data && !size);
	else
		CHECK(kipc_unmap(data, size) == 0);
	CHECK(errno == EXDEV);
	return ret;
}

/* The lowest descriptor that is free: the same, if none was left open */
static int lowest(void)
{
	int fd = dup(0);

	(void)close(fd);
	return fd;	// cppcheck-suppress deallocret
}

/* The real kernel's; what needs the module and other processes is in selftests/memory.c */
static void test_memory(void)
{
	const int first = lowest();
	const void *data = NULL;
	char name[251];
	size_t size;
	struct stat file;
	int fd;

	memset(name, 'n', sizeof(name));
	name[250] = 0;
	play(0, NULL);
	CHECK(kipc_memfd(name, 1) == -EINVAL && kipc_memfd(NULL, 0) == -EINVAL);
	if (SIZE_MAX > UINT32_MAX)
		CHECK(kipc_memfd(NULL, SIZE_MAX) == -EFBIG);
	CHECK(errno == EXDEV);
	CHECK(kipc_seal(-1) == -EBADF && kipc_seal(first) == -EBADF);
	CHECK(mapped(-1) == -EBADF && mapped(first) == -EBADF);
	CHECK(kipc_unmap(name + 1, 5) == -EINVAL && errno == EXDEV);

	fd = kipc_memfd(NULL, 5000);
	errno = EXDEV;
	CHECK(fd == first && (fcntl(fd, F_GETFD) & FD_CLOEXEC));
	CHECK(mapped(fd) == -EPERM);
	CHECK(pwrite(fd, "some", 4, 4096) == 4);
	CHECK(kipc_seal(fd) == 0 && kipc_seal(fd) == 0 && errno == EXDEV);
	/* the page that was never written is there now */
	CHECK(!fstat(fd, &file) && file.st_blocks * 512 >= 5000 && file.st_size == 5000);
	CHECK(kipc_map(fd, &data, &size) == 0 && size == 5000 && errno == EXDEV);
	CHECK(pwrite(fd, "more", 4, 4096) == -1 && ftruncate(fd, 1) && ftruncate(fd, 9999));
	(void)close(fd);
	CHECK(data && !memcmp((const char *)data + 4096, "some", 4) && zeros(data, 4096));
	CHECK(kipc_unmap(data, size) == 0);
	errno = EXDEV;

	/* each seal alone lacking */
	for (int lacking = F_SEAL_SEAL; lacking <= F_SEAL_WRITE; lacking <<= 1) {
		fd = kipc_memfd("lacking", 1);
		CHECK(fd == first && pwrite(fd, "x", 1, 0) == 1);
		CHECK(!fcntl(fd, F_ADD_SEALS, 15 & ~lacking));
		CHECK(mapped(fd) == -EPERM);
		CHECK(kipc_seal(fd) == (lacking == F_SEAL_SEAL ? 0 : -EPERM));
		CHECK(mapped(fd) == (lacking == F_SEAL_SEAL ? 0 : -EPERM));
		(void)close(fd);
		errno = EXDEV;
	}
	/* no memfd */
	fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	errno = EXDEV;
	CHECK(fd == first && mapped(fd) == -EPERM && kipc_seal(fd) == -EINVAL);
	(void)close(fd);
	/* sealed by hand: with a hole, and empty */
	fd = kipc_memfd("hole", 1);
	CHECK(!fcntl(fd, F_ADD_SEALS, 15) && mapped(fd) == -EPERM);
	(void)close(fd);
	fd = kipc_memfd("empty", 1);
	CHECK(!ftruncate(fd, 0) && kipc_seal(fd) == 0 && mapped(fd) == -EINVAL);
	(void)close(fd);
	CHECK(lowest() == first);
	end("memfd, seal, map, unmap");
}

/* Without the service; with it they are tried in the VM */
static void test_names(bool list)
{
	static const char *const functions[] = {
		"register", "unregister", "lookup", "watch", "names", "who",
	};
	struct kipc_name names[KIPC_NAMES_ROOM];
	struct kipc_client client = { .uid = 5 };
	uint64_t known = 77;
	char name[KIPC_REGISTERED_NAME_MAX + 2];

	if (list) {
		for (size_t i = 0; i < ARRAY_SIZE(functions); i++)
			printf("kipc_%s\n", functions[i]);
		return;
	}
	memset(name, 'a', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	play(0, NULL);
	CHECK(kipc_register(NULL, HANDLE, 0) == -EINVAL);
	CHECK(kipc_register(name, HANDLE, 0) == -ENAMETOOLONG);
	CHECK(kipc_unregister(name, 0) == -ENAMETOOLONG);
	CHECK(kipc_lookup(NULL, 0) == -EINVAL && kipc_lookup(name, 0) == -ENAMETOOLONG);
	CHECK(kipc_watch(NULL, &known, 0) == -EINVAL && known == 77);
	CHECK(kipc_names(name, &known, names, 0) == -ENAMETOOLONG && known == 77);
	CHECK(kipc_names("a", &known, NULL, 0) == -EINVAL && known == 77);
	CHECK(!kernel.calls && !kernel.opens && errno == EXDEV);

	/* No module, no service: what is written on success only is not */
	kernel.open_ret = -ENOENT;
	CHECK(kipc_unregister("a", 0) == -ECONNREFUSED);
	CHECK(kipc_lookup("a", 0) == -ECONNREFUSED && kipc_lookup("a", 50) == -ECONNREFUSED);
	CHECK(kipc_watch("a", &known, 0) == -ECONNREFUSED && known == 77);
	CHECK(kipc_names(NULL, &known, names, 0) == -ECONNREFUSED && known == 77);
	CHECK(kipc_who(1, &client, 0) == -ECONNREFUSED && client.uid == 5);
	CHECK(!kernel.calls && errno == EXDEV);

	/* A handle that cannot be restricted is not offered. */
	play(-EBADF, NULL);
	CHECK(kipc_register("a", HANDLE, 0) == -EBADF);
	CHECK(asked(1, KIPC_IOC_RESTRICT) && kernel.op.restricted.rights == KIPC_RIGHT_SEND);
	CHECK(!kernel.opens);
	end("names without the service");
}

int main(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], "functions")) {
		test_every(true);
		test_names(true);
		return 0;
	}
	test_every(false);
	test_addresses();
	test_deadlines();
	test_open();
	test_inspect();
	test_messages();
	test_batches();
	test_calls();
	test_tokens();
	test_server();
	test_memory();
	test_names(false);
	return failures ? 1 : 0;
}
