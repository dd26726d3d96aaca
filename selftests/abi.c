// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The ioctls as a hostile or a confused program sees them: sizes, flags,
 * padding, addresses, counts, wrong files. Raw throughout: the library would
 * not let most of this through.
 */
#include <limits.h>
#include <sys/mman.h>

#include "common.h"
#include "harness.h"

#define MAX_SIZE 8192	/* of the endpoints here: the default */

enum file { HANDLE = 1, DEVICE = 2, BOTH = 3 };

/* What must be zero in an op: offset and size */
struct zero {
	size_t offset, size;
};

#define ZERO(type, member) ((struct zero){		\
	.offset = offsetof(struct kipc_##type, member),	\
	.size = sizeof(((struct kipc_##type *)0)->member) })

/*
 * One line per operation. The op that fill() makes must be valid on both kinds
 * of file in @files (but for @endpoint), and succeed, or fail with @ret.
 */
struct op {
	const char *name;
	unsigned long cmd;
	enum file files;
	size_t endpoint;	/* offset of the id, or 0 if it has none */
	bool has_endpoint;
	size_t flags;		/* offset of the flags; NOFLAGS */
	uint32_t known;		/* flags that are not EINVAL by themselves */
	uint32_t reserved;	/* flags that are EOPNOTSUPP */
	uint32_t right;		/* that a handle needs */
	long ret;		/* of the valid op */
	struct zero zero[6];
};

#define NOFLAGS ((size_t)-1)

static const struct op ops[] = {
	{
		.name = "INFO", .cmd = KIPC_IOC_INFO, .files = BOTH, .flags = NOFLAGS,
	}, {
		.name = "OPEN", .cmd = KIPC_IOC_OPEN, .files = DEVICE,
		.flags = offsetof(struct kipc_op_open, flags),
		.known = (1U << 17) - 1,
		.zero = { ZERO(op_open, reserved), ZERO(op_open, attr.reserved) },
	}, {
		.name = "RESTRICT", .cmd = KIPC_IOC_RESTRICT, .files = HANDLE,
		.flags = offsetof(struct kipc_op_restrict, flags),
		.zero = { ZERO(op_restrict, reserved) },
	}, {
		.name = "STAT", .cmd = KIPC_IOC_STAT, .files = BOTH, .has_endpoint = true,
		.endpoint = offsetof(struct kipc_op_stat, endpoint),
		.flags = offsetof(struct kipc_op_stat, what), .known = KIPC_STAT_ACCESS,
	}, {
		.name = "SET", .cmd = KIPC_IOC_SET, .files = BOTH, .has_endpoint = true,
		.endpoint = offsetof(struct kipc_op_stat, endpoint),
		.flags = offsetof(struct kipc_op_stat, what), .known = 0x3f,
		.right = KIPC_RIGHT_CONTROL,
	}, {
		.name = "NEXT", .cmd = KIPC_IOC_NEXT, .files = DEVICE,
		.flags = offsetof(struct kipc_op_next, flags),
	}, {
		.name = "SUM", .cmd = KIPC_IOC_SUM, .files = DEVICE,
		.flags = offsetof(struct kipc_op_sum, flags),
		.zero = { ZERO(op_sum, reserved) },
	}, {
		.name = "SEND", .cmd = KIPC_IOC_SEND, .files = BOTH, .has_endpoint = true,
		.endpoint = offsetof(struct kipc_op_send, endpoint),
		.flags = offsetof(struct kipc_op_send, flags),
		.known = KIPC_NONBLOCK | KIPC_REALTIME | KIPC_NORESTART | KIPC_SYNC |
			 KIPC_NOENT | KIPC_MSGBUF,
		.right = KIPC_RIGHT_SEND,
		.zero = { ZERO(op_send, pad), ZERO(op_send, reserved) },
	}, {
		.name = "RECV", .cmd = KIPC_IOC_RECV, .files = BOTH, .has_endpoint = true,
		.endpoint = offsetof(struct kipc_op_recv, endpoint),
		.flags = offsetof(struct kipc_op_recv, flags),
		.known = KIPC_NONBLOCK | KIPC_REALTIME | KIPC_NORESTART | KIPC_PEEK |
			 KIPC_TRUNCATE | KIPC_ANYSIZE | KIPC_NOCALLS | KIPC_TYPE_EQ |
			 KIPC_TYPE_LE | KIPC_TYPE_NE | KIPC_NOFILES | KIPC_NOENT |
			 KIPC_MSGBUF | KIPC_PRIO_ONLY,
		.reserved = KIPC_LEASE | KIPC_EVENTS,
		.right = KIPC_RIGHT_RECV, .ret = 1,
		/* type, after and after_type belong to flags that are not set */
		.zero = { ZERO(op_recv, reserved), ZERO(op_recv, type),
			  ZERO(op_recv, after), ZERO(op_recv, after_type) },
	}, {
		.name = "SEND_BATCH", .cmd = KIPC_IOC_SEND_BATCH, .files = BOTH,
		.has_endpoint = true, .endpoint = offsetof(struct kipc_op_send_batch, endpoint),
		.flags = offsetof(struct kipc_op_send_batch, flags),
		.known = KIPC_NONBLOCK | KIPC_REALTIME | KIPC_NORESTART,
		.right = KIPC_RIGHT_SEND, .ret = 1,
		.zero = { ZERO(op_send_batch, pad), ZERO(op_send_batch, reserved) },
	}, {
		.name = "RECV_BATCH", .cmd = KIPC_IOC_RECV_BATCH, .files = BOTH,
		.has_endpoint = true, .endpoint = offsetof(struct kipc_op_recv_batch, endpoint),
		.flags = offsetof(struct kipc_op_recv_batch, flags),
		.known = KIPC_NONBLOCK | KIPC_REALTIME | KIPC_NORESTART | KIPC_TRUNCATE |
			 KIPC_ANYSIZE | KIPC_NOCALLS | KIPC_TYPE_EQ | KIPC_TYPE_LE |
			 KIPC_TYPE_NE | KIPC_NOFILES | KIPC_NOENT,
		.reserved = KIPC_LEASE | KIPC_EVENTS,
		.right = KIPC_RIGHT_RECV, .ret = 1,
		.zero = { ZERO(op_recv_batch, pad), ZERO(op_recv_batch, reserved),
			  ZERO(op_recv_batch, type) },
	}, {
		.name = "RPC", .cmd = KIPC_IOC_RPC, .files = BOTH, .has_endpoint = true,
		.endpoint = offsetof(struct kipc_op_rpc, endpoint),
		.flags = offsetof(struct kipc_op_rpc, flags),
		.known = KIPC_NONBLOCK | KIPC_REALTIME | KIPC_NORESTART | KIPC_IDEMPOTENT |
			 KIPC_ASYNC | KIPC_NEXT | KIPC_TRUNCATE | KIPC_NOFILES,
		.right = KIPC_RIGHT_SEND, .ret = -EAGAIN,
		.zero = { ZERO(op_rpc, pad), ZERO(op_rpc, reserved),
			  ZERO(op_rpc, reply_room) },
	}, {
		.name = "REPLY", .cmd = KIPC_IOC_REPLY, .files = HANDLE,
		.flags = offsetof(struct kipc_op_reply, flags), .right = KIPC_RIGHT_RECV,
		.ret = -ENOENT, .zero = { ZERO(op_reply, reserved) },
	}, {
		.name = "REPLY_RECV", .cmd = KIPC_IOC_REPLY_RECV, .files = HANDLE,
		.flags = offsetof(struct kipc_op_reply_recv, recv.flags),
		.known = KIPC_NONBLOCK | KIPC_REALTIME | KIPC_NORESTART | KIPC_PEEK |
			 KIPC_TRUNCATE | KIPC_ANYSIZE | KIPC_NOCALLS | KIPC_TYPE_EQ |
			 KIPC_TYPE_LE | KIPC_TYPE_NE | KIPC_NOFILES | KIPC_NOENT,
		.reserved = KIPC_LEASE | KIPC_EVENTS,
		.right = KIPC_RIGHT_RECV, .ret = 1,
		.zero = { ZERO(op_reply_recv, pad), ZERO(op_reply_recv, reserved),
			  ZERO(op_reply_recv, recv.reserved),
			  ZERO(op_reply_recv, recv.endpoint) },
	}, {
		.name = "CANCEL", .cmd = KIPC_IOC_CANCEL, .files = BOTH,
		.flags = offsetof(struct kipc_op_token, flags), .ret = -ENOENT,
		.zero = { ZERO(op_token, reserved) },
	}, {
		.name = "WANTED", .cmd = KIPC_IOC_WANTED, .files = HANDLE,
		.flags = offsetof(struct kipc_op_token, flags), .ret = -ENOENT,
		.right = KIPC_RIGHT_RECV, .zero = { ZERO(op_token, reserved) },
	}, {
		.name = "ADOPT", .cmd = KIPC_IOC_ADOPT, .files = HANDLE,
		.flags = offsetof(struct kipc_op_token, flags), .ret = -ENOENT,
		.right = KIPC_RIGHT_RECV, .zero = { ZERO(op_token, reserved) },
	}, {
		.name = "REMOVE", .cmd = KIPC_IOC_REMOVE, .files = BOTH, .has_endpoint = true,
		.endpoint = offsetof(struct kipc_op_remove, endpoint),
		.flags = offsetof(struct kipc_op_remove, flags), .right = KIPC_RIGHT_CONTROL,
	}, {
		.name = "SHUTDOWN", .cmd = KIPC_IOC_SHUTDOWN, .files = HANDLE,
		.flags = offsetof(struct kipc_op_shutdown, flags), .right = KIPC_RIGHT_RECV,
		.zero = { ZERO(op_shutdown, pad) },
	}, {
		.name = "NOTIFY", .cmd = KIPC_IOC_NOTIFY, .files = HANDLE,
		.flags = offsetof(struct kipc_op_notify, flags),
		/* valid with other members */
		.known = KIPC_NOTIFY_TELL_END,
		.zero = { ZERO(op_notify, reserved), ZERO(op_notify, signo),
			  ZERO(op_notify, value), ZERO(op_notify, endpoint),
			  ZERO(op_notify, end) },
	},
};

#define ROOM_FOR_OP 8192	/* the op, and a tail behind it */

FIXTURE(abi) {
	int dev;
	int fd;
	int spare;	/* lest a call be certain never to be answered */
	uint32_t id;
	char *buf;
	char *op;
	struct kipc_result *results;
};

/* An endpoint with one message of one byte, which every op here can work on */
static void new_endpoint(FIXTURE_DATA(abi) *self)
{
	if (self->fd >= 0) {
		close(self->fd);
		close(self->spare);
	}
	self->fd = kt_private(self->dev, 0, NULL);
	self->id = kt_id(self->fd);
	self->spare = kt_again(self->dev, self->id, KIPC_RIGHT_RECV);
	kt_need(self->spare >= 0);
	kt_need(kt_send(self->fd, 0, 0, 0, "x", 1) == 0);
}

FIXTURE_SETUP(abi)
{
	self->dev = kt_device();
	self->fd = -1;
	self->buf = kt_shared(MAX_SIZE);
	self->op = kt_shared(ROOM_FOR_OP);
	self->results = kt_shared(2 * sizeof(*self->results));
	new_endpoint(self);
}

FIXTURE_TEARDOWN(abi)
{
	kt_restore_params();
	close(self->fd);
	close(self->spare);
	close(self->dev);
}

static void fill(FIXTURE_DATA(abi) *self, const struct op *op, enum file file)
{
	memset(self->op, 0, ROOM_FOR_OP);
	if (op->has_endpoint && file == DEVICE)
		*(uint32_t *)(self->op + op->endpoint) = self->id;
	switch (op->cmd) {
	case KIPC_IOC_OPEN:
		*(struct kipc_op_open *)self->op = (struct kipc_op_open){
			.flags = KIPC_OPEN_CREATE, .rights = KT_ALL_RIGHTS,
		};
		break;
	case KIPC_IOC_RESTRICT:
		((struct kipc_op_restrict *)self->op)->rights = KIPC_RIGHT_SEND;
		break;
	case KIPC_IOC_SET:
		((struct kipc_op_stat *)self->op)->what = KIPC_SET_MODE;
		((struct kipc_op_stat *)self->op)->info.mode = 0600;
		break;
	case KIPC_IOC_SEND:
		((struct kipc_op_send *)self->op)->payload.base = kt_ptr(self->buf);
		((struct kipc_op_send *)self->op)->payload.len = 10;
		break;
	case KIPC_IOC_RECV:
		((struct kipc_op_recv *)self->op)->payload.base = kt_ptr(self->buf);
		((struct kipc_op_recv *)self->op)->payload.len = MAX_SIZE;
		break;
	case KIPC_IOC_SEND_BATCH:
		*(struct kipc_batch_msg *)self->buf = (struct kipc_batch_msg){ .size = 10 };
		((struct kipc_op_send_batch *)self->op)->msgs = kt_ptr(self->buf);
		((struct kipc_op_send_batch *)self->op)->base = kt_ptr(self->buf);
		((struct kipc_op_send_batch *)self->op)->len = 10;
		((struct kipc_op_send_batch *)self->op)->count = 1;
		break;
	case KIPC_IOC_RECV_BATCH:
		((struct kipc_op_recv_batch *)self->op)->base = kt_ptr(self->buf);
		((struct kipc_op_recv_batch *)self->op)->len = MAX_SIZE;
		((struct kipc_op_recv_batch *)self->op)->results = kt_ptr(self->results);
		((struct kipc_op_recv_batch *)self->op)->count = 2;
		break;
	case KIPC_IOC_REPLY_RECV:
		((struct kipc_op_reply_recv *)self->op)->recv.payload.base = kt_ptr(self->buf);
		((struct kipc_op_reply_recv *)self->op)->recv.payload.len = MAX_SIZE;
		break;
	case KIPC_IOC_RPC:
		((struct kipc_op_rpc *)self->op)->flags = KIPC_NONBLOCK;
		break;
	case KIPC_IOC_REPLY:
		((struct kipc_op_reply *)self->op)->token = 4711;
		break;
	case KIPC_IOC_CANCEL:
	case KIPC_IOC_WANTED:
	case KIPC_IOC_ADOPT:
		((struct kipc_op_token *)self->op)->token = 4711;
		break;
	}
}

static int fd_of(FIXTURE_DATA(abi) *self, enum file file)
{
	return file == HANDLE ? self->fd : self->dev;
}

/* The op as it stands, with another size */
static long call_sized(FIXTURE_DATA(abi) *self, const struct op *op, enum file kind, size_t size)
{
	unsigned long cmd = _IOC(_IOC_DIR(op->cmd), KIPC_IOC_MAGIC, _IOC_NR(op->cmd), size);
	long ret = kt_ioctl(fd_of(self, kind), cmd, self->op);

	if ((op->cmd == KIPC_IOC_OPEN || op->cmd == KIPC_IOC_RESTRICT) && ret >= 0) {
		close((int)ret);
		ret = 0;
	}
	return ret;
}

static long call(FIXTURE_DATA(abi) *self, const struct op *op, enum file file)
{
	return call_sized(self, op, file, _IOC_SIZE(op->cmd));
}

/* Steps through every operation, on a handle and a device file if it works there */
static bool next(const struct op **op, enum file *file)
{
	do {
		if (!*op || *file == DEVICE) {
			*op = *op ? *op + 1 : ops;
			*file = HANDLE;
		} else {
			*file = DEVICE;
		}
	} while (*op < ops + ARRAY_SIZE(ops) && !((*op)->files & *file));
	return *op < ops + ARRAY_SIZE(ops);
}

TEST_F(abi, valid_operations_work)
{
	const struct op *op = NULL;
	enum file file = HANDLE;

	while (next(&op, &file)) {
		new_endpoint(self);
		fill(self, op, file);
		EXPECT_EQ(op->ret, call(self, op, file))
			TH_LOG("%s, file %d", op->name, file);
	}
}

TEST_F(abi, shorter_structs_are_refused)
{
	const struct op *op = NULL;
	enum file file = HANDLE;

	while (next(&op, &file)) {
		size_t sizes[] = { _IOC_SIZE(op->cmd) - 1, _IOC_SIZE(op->cmd) - 4,
				   _IOC_SIZE(op->cmd) - 8, 4, 1, 0 };

		for (unsigned int i = 0; i < ARRAY_SIZE(sizes); i++) {
			fill(self, op, file);
			EXPECT_EQ(-EINVAL, call_sized(self, op, file, sizes[i]))
				TH_LOG("%s, file %d, size %zu", op->name, file, sizes[i]);
		}
	}
	EXPECT_EQ(1, kt_stat(self->fd).msgs);
}

TEST_F(abi, longer_structs_must_end_in_zeros)
{
	const struct op *op = NULL;
	enum file file = HANDLE;
	static const size_t more[] = { 1, 4, 8, 64, 3000 };

	while (next(&op, &file)) {
		size_t size = _IOC_SIZE(op->cmd);

		if (op->cmd == KIPC_IOC_INFO)
			continue;	/* has no input */
		for (unsigned int i = 0; i < ARRAY_SIZE(more); i++) {
			new_endpoint(self);
			fill(self, op, file);
			EXPECT_EQ(op->ret, call_sized(self, op, file, size + more[i]))
				TH_LOG("%s, file %d, %zu more", op->name, file, more[i]);
			new_endpoint(self);
			fill(self, op, file);
			self->op[size + more[i] - 1] = 1;
			EXPECT_EQ(-E2BIG, call_sized(self, op, file, size + more[i]))
				TH_LOG("%s, file %d, %zu more", op->name, file, more[i]);
			EXPECT_EQ(1, kt_stat(self->fd).msgs);
		}
	}
}

TEST_F(abi, info_for_newer_and_only_newer_callers)
{
	struct {
		struct kipc_limits limits;
		char more[64];
	} info;
	unsigned long cmd = _IOC(_IOC_READ, KIPC_IOC_MAGIC, 0, sizeof(info));

	memset(&info, 0, sizeof(info));
	EXPECT_EQ(0, kt_ioctl(self->dev, cmd, &info));
	EXPECT_EQ(KIPC_ABI_VERSION, info.limits.abi);
	for (unsigned int i = 0; i < sizeof(info.more); i++)
		EXPECT_EQ(0, info.more[i]);
}

TEST_F(abi, unknown_flags_are_refused)
{
	const struct op *op = NULL;
	enum file file = HANDLE;

	while (next(&op, &file)) {
		if (op->flags == NOFLAGS)
			continue;
		for (unsigned int bit = 0; bit < 32; bit++) {
			if ((op->known & ~op->reserved) & (1U << bit))
				continue;
			fill(self, op, file);
			*(uint32_t *)(self->op + op->flags) |= 1U << bit;
			EXPECT_EQ(op->reserved & (1U << bit) ? -EOPNOTSUPP : -EINVAL,
				  call(self, op, file))
				TH_LOG("%s, file %d, bit %u", op->name, file, bit);
		}
	}
	EXPECT_EQ(1, kt_stat(self->fd).msgs);
}

TEST_F(abi, reserved_members_must_be_zero)
{
	const struct op *op = NULL;
	enum file file = HANDLE;

	while (next(&op, &file)) {
		for (const struct zero *zero = op->zero; zero->size; zero++) {
			for (size_t i = 0; i < zero->size; i++) {
				fill(self, op, file);
				self->op[zero->offset + i] = (char)0x80;
				EXPECT_EQ(-EINVAL, call(self, op, file))
					TH_LOG("%s, file %d, byte %zu", op->name, file,
					       zero->offset + i);
			}
		}
	}
	EXPECT_EQ(1, kt_stat(self->fd).msgs);
}

/* Where files are, and how many; whoever may take them */
TEST_F(abi, files_in_payloads)
{
	int32_t fds[KIPC_FILES_MAX + 1], file = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
	struct kipc_op_send send = kt_send_op("x", 1);
	struct kipc_op_recv recv = kt_recv_op(self->buf, MAX_SIZE, NULL);
	struct kipc_op_rpc rpc = kt_rpc_op("x", 1, self->buf, 10, NULL);
	struct kipc_op_reply reply = kt_reply_op(4711, "x", 1);
	static const struct {
		uint32_t nfds;
		bool address;
		bool valid;
	} cases[] = {
		{ 0, false, true }, { 0, true, false }, { 1, false, false }, { 1, true, true },
		{ KIPC_FILES_MAX, true, true }, { KIPC_FILES_MAX + 1, true, false },
		{ ~0U, true, false },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(fds); i++)
		fds[i] = file;
	rpc.flags = KIPC_NONBLOCK;
	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		uint64_t address = cases[i].address ? kt_ptr(fds) : 0;
		uint32_t nfds = cases[i].nfds;
		bool valid = cases[i].valid;
		/* to an endpoint that takes none */
		long sent = nfds ? -EOPNOTSUPP : 0;

		send.payload.fds = address;
		send.payload.nfds = nfds;
		EXPECT_EQ(valid ? sent : -EINVAL, kt_op_send(self->fd, &send)) TH_LOG("%u", i);
		recv.payload.fds = address;
		recv.payload.nfds = nfds;
		recv.flags = KIPC_PEEK | KIPC_NONBLOCK;
		EXPECT_EQ(valid ? 1 : -EINVAL, kt_op_recv(self->fd, &recv)) TH_LOG("%u", i);
		rpc.request.fds = address;
		rpc.request.nfds = nfds;
		EXPECT_EQ(!valid ? -EINVAL : nfds ? -EOPNOTSUPP : -EAGAIN,
			  kt_op_rpc(self->fd, &rpc)) TH_LOG("%u", i);
		rpc.request = (struct kipc_payload){ 0 };
		rpc.reply.fds = address;
		rpc.reply.nfds = nfds;
		EXPECT_EQ(valid ? -EAGAIN : -EINVAL, kt_op_rpc(self->fd, &rpc)) TH_LOG("%u", i);
		rpc.reply.fds = 0;
		rpc.reply.nfds = 0;
		reply.payload.fds = address;
		reply.payload.nfds = nfds;
		EXPECT_EQ(valid ? -ENOENT : -EINVAL, kt_op_reply(self->fd, &reply))
			TH_LOG("%u", i);
	}
	/* no room for files in what an asynchronous call will get */
	rpc.flags = KIPC_ASYNC;
	rpc.reply = (struct kipc_payload){ .fds = kt_ptr(fds), .nfds = 1 };
	EXPECT_EQ(-EINVAL, kt_op_rpc(self->fd, &rpc));
	close(file);
	/* the one that was there, and the one of the case without any */
	EXPECT_EQ(2, kt_stat(self->fd).msgs);
}

struct msgbuf_of_4 {
	long type;
	char text[4];
};

/* With MSGBUF the type stands before the bytes, whether those are sent or received */
TEST_F(abi, a_type_before_the_bytes)
{
	struct msgbuf_of_4 out = { 5, "abcd" }, in = { 0, "" };
	struct kipc_op_send send = kt_send_op(&out, 4);
	struct kipc_op_recv recv = kt_recv_op(&in, 4, NULL);
	struct kipc_result result;
	char buf[4];

	ASSERT_EQ(1, kt_recv(self->fd, 0, KIPC_ANYSIZE, 0, buf, sizeof(buf), NULL));
	send.flags = KIPC_MSGBUF;
	recv.flags = KIPC_MSGBUF | KIPC_ANYSIZE | KIPC_NONBLOCK | KIPC_TYPE_EQ;
	ASSERT_EQ(0, kt_op_send(self->fd, &send));
	EXPECT_EQ(4, kt_recv(self->fd, 0, KIPC_ANYSIZE, 0, buf, sizeof(buf), &result));
	EXPECT_EQ(5, result.type);
	EXPECT_EQ(4, result.size);
	EXPECT_EQ(0, memcmp("abcd", buf, 4));

	ASSERT_EQ(0, kt_send(self->fd, 0, 1UL << 40, 0, "wxyz", 4));
	recv.type = 1UL << 40;
	recv.flags |= KIPC_PEEK;
	EXPECT_EQ(4, kt_op_recv(self->fd, &recv));
	EXPECT_EQ(1L << 40, in.type);
	in.type = 0;
	recv.flags &= ~KIPC_PEEK;
	EXPECT_EQ(4, kt_op_recv(self->fd, &recv));
	EXPECT_EQ(1L << 40, in.type);
	EXPECT_EQ(0, memcmp("wxyz", in.text, 4));
	/* Nothing is written if nothing is received */
	kt_poison(&in, sizeof(in));
	EXPECT_EQ(-EAGAIN, kt_op_recv(self->fd, &recv));
	EXPECT_TRUE(kt_poisoned(&in, sizeof(in)));
	EXPECT_TRUE(kt_quiet(self->fd));
}

TEST_F(abi, types_before_the_bytes_that_are_none)
{
	const long none[] = { 0, -1, LONG_MIN };
	struct msgbuf_of_4 out = { 5, "abcd" };
	const struct kipc_op_send good = {
		.flags = KIPC_MSGBUF, .deadline = KIPC_FOREVER,
		.payload = { .base = kt_ptr(&out), .len = 4 },
	};
	struct kipc_op_send send = good;
	char *pages = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct kipc_op_recv recv = kt_recv_op(pages + 4096 - sizeof(long), 4, NULL);
	struct kipc_result result;

	ASSERT_NE(MAP_FAILED, (void *)pages);
	for (unsigned int i = 0; i < ARRAY_SIZE(none); i++) {
		out.type = none[i];
		EXPECT_EQ(-EINVAL, kt_op_send(self->fd, &send)) TH_LOG("%u", i);
	}
	out.type = 5;
	send.type = 5;
	EXPECT_EQ(-EINVAL, kt_op_send(self->fd, &send));
	send = good;
	send.payload.iovcnt = 1;
	EXPECT_EQ(-EINVAL, kt_op_send(self->fd, &send));
	send = good;
	send.payload.fds = kt_ptr(&self->fd);
	EXPECT_EQ(-EINVAL, kt_op_send(self->fd, &send));
	send.payload.nfds = 1;
	EXPECT_EQ(-EINVAL, kt_op_send(self->fd, &send));
	send = good;
	send.payload.base = kt_ptr(kt_hole()) - sizeof(long) + 1;
	EXPECT_EQ(-EFAULT, kt_op_send(self->fd, &send));
	send.payload.base = ~0ULL - 3;
	EXPECT_EQ(-EFAULT, kt_op_send(self->fd, &send));
	EXPECT_EQ(1, kt_stat(self->fd).msgs);

	/* The type cannot be written, but the bytes can */
	ASSERT_EQ(0, mprotect(pages, 4096, PROT_READ));
	recv.flags = KIPC_MSGBUF | KIPC_ANYSIZE | KIPC_NONBLOCK;
	EXPECT_EQ(-EFAULT, kt_op_recv(self->fd, &recv));
	recv.payload.base = ~0ULL - 3;
	EXPECT_EQ(-EFAULT, kt_op_recv(self->fd, &recv));
	recv.payload.base = kt_ptr(&out);
	recv.payload.iovcnt = 1;
	EXPECT_EQ(-EINVAL, kt_op_recv(self->fd, &recv));
	recv.payload.iovcnt = 0;
	recv.result = kt_ptr(&result);
	EXPECT_EQ(-EINVAL, kt_op_recv(self->fd, &recv));
	EXPECT_EQ(1, kt_stat(self->fd).msgs);
	recv.result = 0;
	EXPECT_EQ(1, kt_op_recv(self->fd, &recv));
	munmap(pages, 8192);
}

TEST_F(abi, the_priority_alone)
{
	uint32_t prio[3] = { 77, 77, 77 };
	char buf[4];
	struct kipc_op_recv recv = kt_recv_op(buf, sizeof(buf), NULL);
	struct kipc_op_rpc call = kt_rpc_op("?", 1, NULL, 0, NULL);
	struct kipc_result result;

	ASSERT_EQ(1, kt_recv(self->fd, 0, KIPC_ANYSIZE, 0, buf, sizeof(buf), NULL));
	ASSERT_EQ(0, kt_send(self->fd, 0, 1, 5, "abcd", 4));
	recv.flags = KIPC_PRIO_ONLY | KIPC_ANYSIZE | KIPC_NONBLOCK;
	recv.result = kt_ptr(kt_hole()) - 1;
	EXPECT_EQ(-EFAULT, kt_op_recv(self->fd, &recv));
	/* Nothing is told of a message that does not fit */
	recv.result = kt_ptr(&prio[1]);
	recv.payload.len = 3;
	EXPECT_EQ(-EMSGSIZE, kt_op_recv(self->fd, &recv));
	EXPECT_EQ(77, prio[1]);
	recv.payload.len = 4;
	EXPECT_EQ(4, kt_op_recv(self->fd, &recv));
	EXPECT_EQ(77, prio[0]);
	EXPECT_EQ(5, prio[1]);
	EXPECT_EQ(77, prio[2]);
	/* A call is for who can be told the token */
	call.flags = KIPC_ASYNC;
	ASSERT_EQ(0, kt_op_rpc(self->fd, &call));
	EXPECT_EQ(-EAGAIN, kt_op_recv(self->fd, &recv));
	ASSERT_EQ(1, kt_recv(self->fd, 0, KIPC_ANYSIZE, 0, buf, sizeof(buf), &result));
	EXPECT_EQ(0, kt_reply(self->fd, result.token, 0, NULL, 0));
}

TEST_F(abi, operations_of_later_versions)
{
	struct kipc_op_event event = { .events = 1 };
	int fds[] = { self->fd, self->dev };

	for (unsigned int i = 0; i < ARRAY_SIZE(fds); i++) {
		event.endpoint = i ? self->id : 0;
		EXPECT_EQ(-EOPNOTSUPP, kt_ioctl(fds[i], KIPC_IOC_EVENT, &event));
	}
}

TEST_F(abi, unknown_operations)
{
	for (unsigned int nr = 0; nr < 256; nr++) {
		unsigned long cmd = _IOC(_IOC_READ | _IOC_WRITE, KIPC_IOC_MAGIC, nr, 64);

		if (nr <= 0x07 || (nr >= 0x10 && nr <= 0x1c))
			continue;
		EXPECT_EQ(-ENOTTY, kt_ioctl(self->fd, cmd, self->op));
		EXPECT_EQ(-ENOTTY, kt_ioctl(self->dev, cmd, self->op));
	}
	for (unsigned int type = 0; type < 256; type++) {
		unsigned long cmd = _IOC(_IOC_WRITE, type, _IOC_NR(KIPC_IOC_SEND),
					 sizeof(struct kipc_op_send));

		/* the kernel's own: they never get here */
		if (type == KIPC_IOC_MAGIC || type == 'T' || type == 'f' || type == 'X')
			continue;
		EXPECT_EQ(-ENOTTY, kt_ioctl(self->fd, cmd, self->op));
		EXPECT_EQ(-ENOTTY, kt_ioctl(self->dev, cmd, self->op));
	}
}

TEST_F(abi, bad_addresses_of_structs)
{
	const struct op *op = NULL;
	enum file file = HANDLE;
	char *hole = kt_hole();
	char *read_only = mmap(NULL, 8192, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT_NE(MAP_FAILED, (void *)read_only);
	while (next(&op, &file)) {
		void *bad[] = { NULL, hole, hole - _IOC_SIZE(op->cmd) + 1, hole - 1,
				(void *)0xffff888000000000UL, (void *)~7UL };

		for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
			EXPECT_EQ(-EFAULT, kt_ioctl(fd_of(self, file), op->cmd, bad[i]))
				TH_LOG("%s, file %d, address %p", op->name, file, bad[i]);
		}
	}
	/* what is written must be writable */
	EXPECT_EQ(-EFAULT, kt_ioctl(self->dev, KIPC_IOC_INFO, read_only));
	EXPECT_EQ(-EFAULT, kt_ioctl(self->dev, KIPC_IOC_NEXT, read_only));
	EXPECT_EQ(-EFAULT, kt_ioctl(self->dev, KIPC_IOC_SUM, read_only));
	EXPECT_EQ(-EFAULT, kt_ioctl(self->fd, KIPC_IOC_STAT, read_only));
	EXPECT_EQ(1, kt_stat(self->fd).msgs);
}

/* A handle has the endpoint; a device file must be told */
TEST_F(abi, the_endpoint_member)
{
	const struct op *op = NULL;
	enum file file = HANDLE;

	while (next(&op, &file)) {
		if (!op->has_endpoint)
			continue;
		fill(self, op, file);
		*(uint32_t *)(self->op + op->endpoint) = file == HANDLE ? self->id : 0;
		EXPECT_EQ(-EINVAL, call(self, op, file))
			TH_LOG("%s, file %d", op->name, file);
	}
	EXPECT_EQ(1, kt_stat(self->fd).msgs);
}

TEST_F(abi, wrong_kinds_of_file)
{
	int null = open("/dev/null", O_RDWR);

	for (const struct op *op = ops; op < ops + ARRAY_SIZE(ops); op++) {
		if (!(op->files & HANDLE)) {
			fill(self, op, HANDLE);
			EXPECT_EQ(-EBADF, call(self, op, HANDLE))
				TH_LOG("%s", op->name);
		}
		if (!(op->files & DEVICE)) {
			fill(self, op, DEVICE);
			EXPECT_EQ(-EBADF, call(self, op, DEVICE))
				TH_LOG("%s", op->name);
		}
		fill(self, op, HANDLE);
		EXPECT_EQ(-ENOTTY, kt_ioctl(null, op->cmd, self->op))
			TH_LOG("%s", op->name);
	}
	EXPECT_EQ(1, kt_stat(self->fd).msgs);
	close(null);
}

TEST_F(abi, missing_rights)
{
	for (const struct op *op = ops; op < ops + ARRAY_SIZE(ops); op++) {
		int mine = self->fd;

		if (!(op->files & HANDLE) || !op->right)
			continue;
		self->fd = kt_again(self->dev, self->id, KT_ALL_RIGHTS & ~op->right);
		ASSERT_GE(self->fd, 0);
		fill(self, op, HANDLE);
		EXPECT_EQ(-EBADF, call(self, op, HANDLE))
			TH_LOG("%s", op->name);
		close(self->fd);
		self->fd = mine;
	}
	EXPECT_EQ(1, kt_stat(self->fd).msgs);
}

TEST_F(abi, hostile_sizes_of_a_send)
{
	static const struct {
		uint64_t len;
		long ret, or;
	} cases[] = {
		{ 0, 0, 0 },
		{ 1, 0, 0 },
		{ MAX_SIZE - 1, 0, 0 },
		{ MAX_SIZE, 0, 0 },
		{ MAX_SIZE + 1, -EMSGSIZE, -EMSGSIZE },
		{ 1ULL << 31, -EMSGSIZE, -EMSGSIZE },
		{ 1ULL << 32, -EMSGSIZE, -EMSGSIZE },
		{ (1ULL << 32) + 1, -EMSGSIZE, -EMSGSIZE },
		{ (1ULL << 63) - 1, -EMSGSIZE, -EMSGSIZE },
		{ 1ULL << 63, -EMSGSIZE, -EINVAL },
		{ ~0ULL, -EMSGSIZE, -EINVAL },
	};
	struct kipc_op_send op = kt_send_op(self->buf, 0);
	struct kipc_iovec iov = { .base = kt_ptr(self->buf) };

	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		long ret;

		new_endpoint(self);
		op.payload = (struct kipc_payload){ .base = kt_ptr(self->buf),
						    .len = cases[i].len };
		ret = kt_op_send(self->fd, &op);
		EXPECT_TRUE(ret == cases[i].ret || ret == cases[i].or)
			TH_LOG("%llx: %ld", (unsigned long long)cases[i].len, ret);
		iov.len = cases[i].len;
		op.payload = (struct kipc_payload){ .base = kt_ptr(&iov), .iovcnt = 1 };
		ret = kt_op_send(self->fd, &op);
		EXPECT_TRUE(ret == cases[i].ret || ret == cases[i].or)
			TH_LOG("one segment of %llx: %ld", (unsigned long long)cases[i].len, ret);
		EXPECT_EQ(cases[i].ret ? 1 : 3, kt_stat(self->fd).msgs);
	}
}

TEST_F(abi, hostile_sizes_of_a_receive)
{
	static const uint64_t lens[] = {
		MAX_SIZE, MAX_SIZE + 1, 1ULL << 32, (1ULL << 63) - 1, 1ULL << 63, ~0ULL,
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(lens); i++) {
		struct kipc_op_recv op = kt_recv_op(self->buf, 0, NULL);
		long ret;

		op.flags = KIPC_NONBLOCK;
		op.payload.len = lens[i];
		ret = kt_op_recv(self->fd, &op);
		/* room is only room: what is claimed and not used does no harm */
		EXPECT_TRUE(ret == 1 || (ret == -EINVAL && lens[i] >> 63))
			TH_LOG("%llx: %ld", (unsigned long long)lens[i], ret);
		EXPECT_EQ(ret == 1 ? 0 : 1, kt_stat(self->fd).msgs);
		new_endpoint(self);
	}
}

TEST_F(abi, sums_of_segments_that_overflow)
{
	const uint64_t base = kt_ptr(self->buf);
	struct kipc_iovec iov[4][3] = {
		{ { base, 1ULL << 63 }, { base, 1ULL << 63 }, { base, 1 } },
		{ { base, ~0ULL }, { base, 2 }, { base, 0 } },
		{ { base, (1ULL << 63) - 1 }, { base, (1ULL << 63) - 1 }, { base, 3 } },
		{ { base, 1 }, { base, (1ULL << 63) - 1 }, { base, 0 } },
	};
	struct kipc_op_send send = kt_send_op(NULL, 0);
	struct kipc_op_recv recv = kt_recv_op(NULL, 0, NULL);

	send.payload.iovcnt = 3;
	recv.payload.iovcnt = 3;
	for (unsigned int i = 0; i < ARRAY_SIZE(iov); i++) {
		send.payload.base = kt_ptr(iov[i]);
		recv.payload.base = kt_ptr(iov[i]);
		EXPECT_EQ(-EINVAL, kt_op_send(self->fd, &send));
		EXPECT_EQ(-EINVAL, kt_op_recv(self->fd, &recv));
	}
	EXPECT_EQ(1, kt_stat(self->fd).msgs);
}

/* @n segments that together cover @len bytes of @buf; the first ones may be empty */
static void split(struct kipc_iovec *iov, unsigned int n, char *buf, size_t len)
{
	size_t done = 0;

	for (unsigned int i = 0; i < n; i++) {
		size_t part = i + 1 == n ? len - done : i % 3 ? len / n : 0;

		/* an empty one needs no address */
		iov[i].base = part ? kt_ptr(buf + done) : 0;
		iov[i].len = part;
		done += part;
	}
}

TEST_F(abi, any_number_of_segments)
{
	static const unsigned int counts[] = { 1, 2, 8, 9, 31, 1023, 1024 };
	static struct kipc_iovec from[1025], to[1025];
	char *out = kt_shared(MAX_SIZE);

	EXPECT_EQ(1, kipc_recv(self->fd, self->buf, MAX_SIZE, NULL, 0));
	for (unsigned int i = 0; i < ARRAY_SIZE(counts); i++) {
		for (unsigned int j = 0; j < ARRAY_SIZE(counts); j++) {
			struct kipc_op_send send = kt_send_op(from, 0);
			struct kipc_op_recv recv = kt_recv_op(to, 0, NULL);

			kt_fill(self->buf, MAX_SIZE, i + j);
			kt_poison(out, MAX_SIZE);
			split(from, counts[i], self->buf, 5000);
			split(to, counts[j], out, MAX_SIZE);
			send.payload.iovcnt = counts[i];
			recv.payload.iovcnt = counts[j];
			ASSERT_EQ(0, kt_op_send(self->fd, &send));
			ASSERT_EQ(5000, kt_stat(self->fd).bytes);
			ASSERT_EQ(5000, kt_op_recv(self->fd, &recv));
			EXPECT_TRUE(kt_filled(out, 5000, i + j));
			EXPECT_TRUE(kt_poisoned(out + 5000, MAX_SIZE - 5000));
		}
	}
	EXPECT_TRUE(kt_quiet(self->fd));
}

TEST_F(abi, too_many_segments)
{
	static struct kipc_iovec iov[1025];
	static const uint32_t counts[] = { 1025, 4096, 1U << 31, ~0U };
	struct kipc_op_send send = kt_send_op(iov, 0);
	struct kipc_op_recv recv = kt_recv_op(iov, 0, NULL);

	for (unsigned int i = 0; i < ARRAY_SIZE(counts); i++) {
		send.payload.iovcnt = counts[i];
		recv.payload.iovcnt = counts[i];
		EXPECT_EQ(-EINVAL, kt_op_send(self->fd, &send));
		EXPECT_EQ(-EINVAL, kt_op_recv(self->fd, &recv));
	}
	/* a length of its own beside segments */
	send.payload.iovcnt = 1;
	send.payload.len = 1;
	EXPECT_EQ(-EINVAL, kt_op_send(self->fd, &send));
	EXPECT_EQ(1, kt_stat(self->fd).msgs);
}

TEST_F(abi, segments_of_nothing)
{
	static struct kipc_iovec iov[1024];
	struct kipc_op_send op = kt_send_op(iov, 0);

	op.payload.iovcnt = 1024;
	EXPECT_EQ(0, kt_op_send(self->fd, &op));
	EXPECT_EQ(2, kt_stat(self->fd).msgs);
	EXPECT_EQ(1, kt_stat(self->fd).bytes);
	EXPECT_EQ(1, kipc_recv(self->fd, self->buf, MAX_SIZE, NULL, 0));
	EXPECT_EQ(0, kipc_recv(self->fd, self->buf, MAX_SIZE, NULL, 0));
}

TEST_F(abi, the_largest_messages)
{
	size_t size = kt_param("msg_max");
	const struct kipc_attr attr = { .max_size = (uint32_t)size, .max_bytes = 2 * size };
	int fd = kt_private(self->dev, 0, &attr);
	char *in = kt_shared(size), *out = kt_shared(size);

	kt_fill(in, size, 1);
	EXPECT_EQ(0, kipc_send(fd, in, size, 0));
	EXPECT_EQ(0, kipc_send(fd, in, size - 4095, 0));
	EXPECT_EQ((ssize_t)size, kipc_recv(fd, out, size, NULL, 0));
	EXPECT_TRUE(kt_filled(out, size, 1));
	kt_poison(out, size);
	EXPECT_EQ((ssize_t)size - 4095, kipc_recv(fd, out, size, NULL, 0));
	EXPECT_TRUE(kt_filled(out, size - 4095, 1));
	EXPECT_TRUE(kt_poisoned(out + size - 4095, 4095));
	close(fd);
}

/* Where nothing is to be read or written, no address is looked at */
TEST_F(abi, nothing_at_no_address)
{
	struct kipc_op_send send = kt_send_op((void *)~0UL, 0);

	EXPECT_EQ(0, kt_op_send(self->fd, &send));
	EXPECT_EQ(0, kipc_send(self->fd, NULL, 0, 0));
	EXPECT_EQ(1, kipc_recv(self->fd, self->buf, MAX_SIZE, NULL, 0));
	EXPECT_EQ(0, kt_recv(self->fd, 0, 0, 0, NULL, 0, NULL));
	EXPECT_EQ(0, kt_recv(self->fd, 0, 0, 0, kt_hole(), MAX_SIZE, NULL));
	EXPECT_TRUE(kt_quiet(self->fd));
}

TEST_F(abi, contradicting_receives)
{
	static const uint32_t selectors[] = {
		KIPC_TYPE_EQ | KIPC_TYPE_LE, KIPC_TYPE_EQ | KIPC_TYPE_NE,
		KIPC_TYPE_LE | KIPC_TYPE_NE, KIPC_TYPE_EQ | KIPC_TYPE_LE | KIPC_TYPE_NE,
	};
	struct kipc_op_recv op = kt_recv_op(self->buf, MAX_SIZE, NULL);

	for (unsigned int i = 0; i < ARRAY_SIZE(selectors); i++) {
		op.flags = KIPC_NONBLOCK | selectors[i];
		EXPECT_EQ(-EINVAL, kt_op_recv(self->fd, &op));
	}
	op.flags = KIPC_NONBLOCK | KIPC_PEEK | KIPC_TYPE_EQ;
	op.after_type = 1;
	EXPECT_EQ(-EINVAL, kt_op_recv(self->fd, &op));
	EXPECT_EQ(1, kt_stat(self->fd).msgs);
}

TEST_F(abi, contradicting_calls)
{
	struct kipc_op_rpc valid = kt_rpc_op("?", 1, NULL, 0, NULL), op;

	valid.flags = KIPC_ASYNC;
	op = valid;
	op.reply.base = kt_ptr(self->buf);
	op.reply.len = 10;
	EXPECT_EQ(-EINVAL, kt_op_rpc(self->fd, &op));
	op = valid;
	op.flags |= KIPC_NEXT;
	EXPECT_EQ(-EINVAL, kt_op_rpc(self->fd, &op));
	op = valid;
	op.token = 4711;
	EXPECT_EQ(-EINVAL, kt_op_rpc(self->fd, &op));
	op = valid;
	op.flags = KIPC_NEXT;
	op.token = 4711;
	EXPECT_EQ(-EINVAL, kt_op_rpc(self->fd, &op));
	op = valid;
	op.prio = KIPC_PRIO_MAX + 1;
	EXPECT_EQ(-EINVAL, kt_op_rpc(self->fd, &op));
	/* no endpoint goes with these on a device file */
	op = valid;
	op.flags = KIPC_NEXT;
	op.endpoint = self->id;
	EXPECT_EQ(-EINVAL, kt_op_rpc(self->dev, &op));
	EXPECT_EQ(1, kt_stat(self->fd).msgs);
}

TEST_F(abi, statuses_of_replies)
{
	static const int32_t wrong[] = { -1, -EINVAL, KIPC_STATUS_MAX + 1, 1 << 30, INT32_MIN };

	for (unsigned int i = 0; i < ARRAY_SIZE(wrong); i++) {
		struct kipc_op_reply op = kt_reply_op(4711, "x", 1);
		struct kipc_op_reply_recv both = {
			.token = 4711, .status = wrong[i],
			.recv = kt_recv_op(self->buf, MAX_SIZE, NULL),
		};

		op.status = wrong[i];
		EXPECT_EQ(-EINVAL, kt_op_reply(self->fd, &op));
		EXPECT_EQ(-EINVAL, kt_op_reply_recv(self->fd, &both));
	}
	EXPECT_EQ(1, kt_stat(self->fd).msgs);
}

TEST_F(abi, malformed_opens)
{
	static char name[300];

	memset(name, 'n', sizeof(name));
	EXPECT_EQ(-EINVAL, kt_openl(self->dev, .flags = KIPC_OPEN_CREATE));
	EXPECT_EQ(-EINVAL, kt_openl(self->dev, .flags = KIPC_OPEN_CREATE, .rights = 8));
	EXPECT_EQ(-EINVAL, kt_openl(self->dev, .flags = KIPC_OPEN_CREATE, .rights = 1U << 31 | 2));
	EXPECT_EQ(-EINVAL, kt_openl(self->dev, .rights = KT_ALL_RIGHTS));
	EXPECT_EQ(-EINVAL, kt_openl(self->dev, .flags = KIPC_OPEN_CREATE, .mode = 01000,
				    .rights = KT_ALL_RIGHTS));
	EXPECT_EQ(-EINVAL, kt_openl(self->dev, .rights = 1, .key = 1, .id = self->id));
	EXPECT_EQ(-EINVAL, kt_openl(self->dev, .rights = 1, .key = 1, KT_NAME("abi")));
	EXPECT_EQ(-EINVAL, kt_openl(self->dev, .rights = 1, .id = self->id, KT_NAME("abi")));
	EXPECT_EQ(-ENAMETOOLONG, kt_openl(self->dev, .rights = 1, .name = kt_ptr(name),
					  .name_len = 256));
	EXPECT_EQ(-ENAMETOOLONG, kt_openl(self->dev, .rights = 1, .name = kt_ptr(name),
					  .name_len = ~0U));
	EXPECT_EQ(-ENOENT, kt_openl(self->dev, .rights = 1, .name = kt_ptr(name),
				    .name_len = 255));
	EXPECT_EQ(-EFAULT, kt_openl(self->dev, .rights = 1, .name = kt_ptr(kt_hole()) - 1,
				    .name_len = 2));
	EXPECT_EQ(-EINVAL, kt_openl(self->dev, .rights = 1, .name = kt_ptr("a\0b"),
				    .name_len = 3));
	/* nothing could ever receive from it */
	EXPECT_EQ(-EINVAL, kt_openl(self->dev, .flags = KIPC_OPEN_CREATE, .rights = 1));
}

TEST_F(abi, malformed_sets)
{
	struct kipc_op_stat op = { .what = KIPC_SET_MODE, .info.mode = 01000 };

	EXPECT_EQ(-EINVAL, kt_op_set(self->fd, &op));
	op = (struct kipc_op_stat){ .what = KIPC_SET_CAPACITY };
	op.info.attr.reserved[7] = 1;
	EXPECT_EQ(-EINVAL, kt_op_set(self->fd, &op));
	op = (struct kipc_op_stat){ .what = KIPC_SET_NAME };
	memset(op.info.name, 'n', sizeof(op.info.name));
	EXPECT_TRUE(kt_op_set(self->fd, &op) < 0);
	op = (struct kipc_op_stat){ .what = KIPC_SET_UID, .info.uid = ~0U };
	EXPECT_EQ(-EINVAL, kt_op_set(self->fd, &op));
	op = (struct kipc_op_stat){ .what = KIPC_SET_GID, .info.gid = ~0U };
	EXPECT_EQ(-EINVAL, kt_op_set(self->fd, &op));
	EXPECT_EQ(0600, kt_stat(self->fd).mode);
}

/* Who looks by an id has no part in the queue, and leaves no trace there */
TEST_F(abi, STAT_ACCESS_is_of_handles)
{
	struct kipc_op_stat op = { .endpoint = self->id, .what = KIPC_STAT_ACCESS };

	EXPECT_EQ(-EINVAL, kt_ioctl(self->dev, KIPC_IOC_STAT, &op));
	op.endpoint = 0;
	EXPECT_EQ(0, kt_ioctl(self->fd, KIPC_IOC_STAT, &op));
	EXPECT_EQ(self->id, op.info.id);
}

TEST_F(abi, limits_are_the_parameters)
{
	struct kipc_limits limits;

	for (int fd = 0; fd < 2; fd++) {
		kt_poison(&limits, sizeof(limits));
		EXPECT_EQ(0, kt_info(fd ? self->fd : self->dev, &limits));
		EXPECT_EQ(KIPC_ABI_VERSION, limits.abi);
		EXPECT_EQ(KIPC_FEATURE_NOTIFY | KIPC_FEATURE_FILES |
			  KIPC_FEATURE_RESTRICT, limits.features);
		EXPECT_EQ(kt_param("endpoints_max"), limits.endpoints_max);
		EXPECT_EQ(kt_param("msg_max"), limits.msg_max);
		EXPECT_EQ(kt_param("capacity_max"), limits.capacity_max);
		EXPECT_EQ(kt_param("user_endpoints_max"), limits.user_endpoints_max);
		EXPECT_EQ(kt_param("user_capacity_max"), limits.user_capacity_max);
		EXPECT_EQ(kt_param("user_calls_max"), limits.user_calls_max);
		EXPECT_EQ(kt_param("user_reply_room_max"), limits.user_reply_room_max);
		EXPECT_EQ(kt_param("user_files_max"), limits.user_files_max);
		EXPECT_EQ(kt_param("handles_max"), limits.handles_max);
		EXPECT_EQ(kt_param("waiters_max"), limits.waiters_max);
		EXPECT_EQ(8192, limits.default_max_size);
		EXPECT_EQ(256, limits.default_max_msgs);
		for (unsigned int i = 0; i < ARRAY_SIZE(limits.reserved); i++)
			EXPECT_EQ(0, limits.reserved[i]);
	}
	kt_set_param("msg_max", 12345);
	EXPECT_EQ(0, kt_info(self->dev, &limits));
	EXPECT_EQ(12345, limits.msg_max);
}

TEST_F(abi, stat_fills_everything)
{
	struct kipc_op_stat op;

	kt_poison(&op, sizeof(op));
	op.endpoint = 0;
	op.what = 0;
	ASSERT_EQ(0, kt_op_stat(self->fd, &op));
	EXPECT_EQ(self->id, op.info.id);
	EXPECT_EQ(0, op.info.key);
	EXPECT_EQ(0600, op.info.mode);
	EXPECT_EQ(0, op.info.flags);
	EXPECT_EQ(2, op.info.receivers);
	EXPECT_EQ(2, op.info.handles);
	EXPECT_EQ(8192, op.info.attr.max_size);
	EXPECT_EQ(256, op.info.attr.max_msgs);
	EXPECT_EQ(32 * 8192, op.info.attr.max_bytes);
	EXPECT_EQ(1, op.info.msgs);
	EXPECT_EQ(1, op.info.bytes);
	EXPECT_EQ(0, op.info.calls);
	EXPECT_EQ(0, op.info.refused);
	EXPECT_EQ(0, op.info.waiters);
	for (unsigned int i = 0; i < sizeof(op.info.name); i++)
		EXPECT_EQ(0, op.info.name[i]);
	for (unsigned int i = 0; i < ARRAY_SIZE(op.info.attr.reserved); i++)
		EXPECT_EQ(0, op.info.attr.reserved[i]);
	for (unsigned int i = 0; i < ARRAY_SIZE(op.info.reserved); i++)
		EXPECT_EQ(0, op.info.reserved[i]);
}

/* No byte of the kernel's memory in what a receive tells */
TEST_F(abi, results_are_filled)
{
	struct kipc_result result;

	kt_poison(&result, sizeof(result));
	ASSERT_EQ(1, kipc_recv(self->fd, self->buf, MAX_SIZE, &result, 0));
	EXPECT_EQ(0, result.token);
	EXPECT_EQ(0, result.type);
	EXPECT_EQ(0, result.cookie);
	EXPECT_EQ(0, result.events);
	EXPECT_EQ(0, result.badge);
	EXPECT_EQ(1, result.size);
	EXPECT_EQ(0, result.flags);
	EXPECT_EQ(0, result.prio);
	EXPECT_EQ(0, result.nfds);
	EXPECT_EQ(1, result.deliveries);
	EXPECT_EQ(0, result.uid);
	EXPECT_EQ(0, result.gid);
	EXPECT_EQ(getpid(), result.pid);
	EXPECT_EQ(0, result.reply_error);
	for (unsigned int i = 0; i < ARRAY_SIZE(result.reserved); i++)
		EXPECT_EQ(0, result.reserved[i]);
}

TEST_F(abi, fdinfo_tells_about_a_handle)
{
	char path[64], text[4096], id[32];

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", self->fd);
	ASSERT_GT(kt_read_file(path, text, sizeof(text)), 0);
	snprintf(id, sizeof(id), "%u", self->id);
	EXPECT_NE(NULL, strstr(text, "kipc"));
	EXPECT_NE(NULL, strstr(text, id));
}

TEST_HARNESS_MAIN
