// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A 32-bit program, with a 32-bit build of the library, on the 64-bit kernel:
 * every struct is the same for both, so everything has to work.
 */
#include <sys/uio.h>

#include "common.h"
#include "harness.h"

_Static_assert(sizeof(void *) == 4, "compat32 is for 32 bits");

FIXTURE(compat32) {
	int fd;
	char in[8192];
	char out[8192];
	struct iovec from[3];
	struct iovec to[3];
	struct kipc_result result;
};

FIXTURE_SETUP(compat32)
{
	self->fd = kipc_create("compat32", 0, 0600, NULL);
	ASSERT_GE(self->fd, 0);
	kt_fill(self->in, sizeof(self->in), 32);
	kt_poison(self->out, sizeof(self->out));
	kt_poison(&self->result, sizeof(self->result));
	self->from[0] = (struct iovec){ self->in, 1000 };
	self->from[1] = (struct iovec){ NULL, 0 };
	self->from[2] = (struct iovec){ self->in + 1000, 2000 };
	self->to[0] = (struct iovec){ self->out, 1 };
	self->to[1] = (struct iovec){ self->out + 1, 2500 };
	self->to[2] = (struct iovec){ self->out + 2501, sizeof(self->out) - 2501 };
}

FIXTURE_TEARDOWN(compat32)
{
	EXPECT_TRUE(kt_quiet(self->fd));
	close(self->fd);
}

TEST_F(compat32, send_and_receive)
{
	struct kipc_msg msg = {
		.type = 1ULL << 40, .prio = 7, .iov = self->from, .iovcnt = 3,
	};
	struct kipc_msg room = { .iov = self->to, .iovcnt = 3 };

	EXPECT_EQ(0, kipc_sendmsg(self->fd, &msg, 0));
	EXPECT_EQ(3000, kipc_recvmsg(self->fd, &room, &self->result, 0));
	EXPECT_TRUE(kt_filled(self->out, 3000, 32));
	EXPECT_TRUE(kt_poisoned(self->out + 3000, sizeof(self->out) - 3000));
	EXPECT_EQ(1ULL << 40, self->result.type);
	EXPECT_EQ(7, self->result.prio);
	EXPECT_EQ(3000, self->result.size);
	EXPECT_EQ(getpid(), self->result.pid);
}

TEST_F(compat32, read_and_write)
{
	struct kipc_attr attr = { 0 };
	int fd = kipc_create(NULL, KIPC_OPEN_ONEWAY | KIPC_OPEN_NONBLOCK, 0600, &attr);
	int badged = kipc_restrict(fd, KIPC_RIGHT_SEND, 1ULL << 40);

	ASSERT_GE(badged, 0);
	EXPECT_EQ(3000, writev(badged, self->from, 3));
	EXPECT_EQ(3000, write(badged, self->in, 3000));
	EXPECT_EQ(3000, write(badged, self->in, 3000));
	EXPECT_EQ(3000, readv(fd, self->to, 3));
	EXPECT_TRUE(kt_filled(self->out, 3000, 32));
	kt_poison(self->out, sizeof(self->out));
	EXPECT_EQ(-1, read(fd, self->out, 2999));
	EXPECT_EQ(EMSGSIZE, errno);
	EXPECT_EQ(3000, read(fd, self->out, 3000));
	EXPECT_TRUE(kt_filled(self->out, 3000, 32));
	EXPECT_TRUE(kt_poisoned(self->out + 3000, sizeof(self->out) - 3000));
	EXPECT_EQ(3000, kipc_recv(fd, self->out, sizeof(self->out), &self->result, 0));
	EXPECT_EQ(1ULL << 40, self->result.badge);
	EXPECT_EQ(-1, read(fd, self->out, 3000));
	EXPECT_EQ(EAGAIN, errno);
	close(badged);
	close(fd);
}

TEST_F(compat32, batches)
{
	const struct kipc_batch_msg msgs[] = {
		{ .type = 1ULL << 40, .size = 3 }, { .type = 2, .size = 0, .prio = 7 },
		{ .type = ~0ULL, .size = 1000 },
	};
	struct iovec from = { self->in, sizeof(self->in) }, to = { self->out, sizeof(self->out) };
	struct kipc_msg batch = { .iov = &from, .iovcnt = 1 };
	struct kipc_result results[4];

	EXPECT_EQ(3, kipc_send_batch(self->fd, &batch, msgs, 3, 0));
	batch.iov = &to;
	EXPECT_EQ(3, kipc_recv_batch(self->fd, &batch, results, 4, 0));
	EXPECT_EQ(2, results[0].type);
	EXPECT_EQ(1ULL << 40, results[1].type);
	EXPECT_EQ(~0ULL, results[2].type);
	EXPECT_EQ(1000, results[2].size);
	EXPECT_EQ(0, results[3].deliveries);
	EXPECT_EQ(getpid(), results[2].pid);
	/* the one without bytes took no room */
	EXPECT_EQ(0, memcmp(self->out, self->in, 3));
	EXPECT_EQ(8, kipc_batch_next(kipc_batch_next(0, results[0].size), results[1].size));
	EXPECT_EQ(0, memcmp(self->out + 8, self->in + 8, 1000));
	EXPECT_TRUE(kt_poisoned(self->out + 1008, sizeof(self->out) - 1008));
	EXPECT_EQ(-EAGAIN, kipc_recv_batch(self->fd, &batch, results, 4, 0));
}

TEST_F(compat32, timeouts)
{
	uint64_t start = kt_now();

	EXPECT_EQ(-EAGAIN, kipc_recv(self->fd, self->out, sizeof(self->out), NULL, 0));
	EXPECT_EQ(-ETIMEDOUT, kipc_recv(self->fd, self->out, sizeof(self->out), NULL, 20));
	EXPECT_GE(kt_now(), start + 20 * KT_MS);
}

TEST_F(compat32, addresses_that_fault)
{
	char *hole = kt_hole();

	EXPECT_EQ(-EFAULT, kipc_send(self->fd, hole - 10, 20, 0));
	EXPECT_EQ(-EMSGSIZE, kipc_send(self->fd, self->in, 0xffffffff, 0));
	EXPECT_EQ(0, kipc_send(self->fd, self->in, 100, 0));
	EXPECT_EQ(-EFAULT, kipc_recv(self->fd, hole - 10, 8192, NULL, 0));
	EXPECT_EQ(100, kipc_recv(self->fd, self->out, sizeof(self->out), NULL, 0));
	EXPECT_TRUE(kt_filled(self->out, 100, 32));
}

/* The long of a 32-bit program has 32 bits */
TEST_F(compat32, a_type_before_the_bytes)
{
	struct {
		long type;
		char text[4];
	} out = { 5, "abcd" }, in = { 0, "" };
	struct kipc_op_send send = kt_send_op(&out, 4);
	struct kipc_op_recv recv = kt_recv_op(&in, 4, NULL);

	send.flags = KIPC_MSGBUF;
	recv.flags = KIPC_MSGBUF | KIPC_ANYSIZE | KIPC_NONBLOCK | KIPC_TYPE_EQ;
	recv.type = 5;
	EXPECT_EQ(0, kt_op_send(self->fd, &send));
	EXPECT_EQ(4, kt_op_recv(self->fd, &recv));
	EXPECT_EQ(5, in.type);
	EXPECT_EQ(0, memcmp("abcd", in.text, 4));
	out.type = -1;
	EXPECT_EQ(-EINVAL, kt_op_send(self->fd, &send));
	send.payload.base = kt_ptr(kt_hole()) - 1;
	EXPECT_EQ(-EFAULT, kt_op_send(self->fd, &send));
}

static long call(void *arg)
{
	FIXTURE_DATA(compat32) *self = arg;
	struct kipc_msg req = { .iov = self->from, .iovcnt = 3, .cookie = 1ULL << 50 };
	struct kipc_msg reply = { .iov = self->to, .iovcnt = 3 };

	return kipc_rpcmsg(self->fd, &req, &reply, &self->result, -1);
}

TEST_F(compat32, call_and_reply)
{
	struct kipc_result taken = { 0 };
	char request[8192];
	struct kt_job *job = kt_start(KT_THREAD, call, self);

	ASSERT_EQ(3000, kipc_reply_recv(self->fd, NULL, 0, request, sizeof(request), &taken, -1));
	EXPECT_TRUE(kt_filled(request, 3000, 32));
	EXPECT_EQ(KIPC_RESULT_CALL, taken.flags);
	EXPECT_NE(0, taken.token);
	/* answers, and finds nothing more */
	EXPECT_EQ(-EAGAIN, kipc_reply_recv(self->fd, self->in, 4000, request, sizeof(request),
					   &taken, 0));
	EXPECT_EQ(0, taken.token);
	EXPECT_EQ(4000, kt_join(job));
	EXPECT_TRUE(kt_filled(self->out, 4000, 32));
	EXPECT_EQ(1ULL << 50, self->result.cookie);
	EXPECT_EQ(0, self->result.token);
}

TEST_F(compat32, open_and_stat)
{
	int other = kipc_open("compat32", KIPC_RIGHT_SEND, 0), device = kipc_open_device();
	struct kipc_endpoint info, walked;
	struct kipc_limits limits;
	uint32_t id = 0;

	ASSERT_GE(other, 0);
	ASSERT_GE(device, 0);
	kt_poison(&info, sizeof(info));
	EXPECT_EQ(0, kipc_stat(other, 0, &info));
	EXPECT_STREQ("compat32", info.name);
	EXPECT_EQ(2, info.handles);
	EXPECT_EQ(32 * 8192, info.attr.max_bytes);
	EXPECT_EQ(0, kipc_stat(device, info.id, &walked));
	EXPECT_EQ(0, memcmp(&info, &walked, sizeof(info)));
	while (id != info.id)
		ASSERT_EQ(0, kipc_next(device, id, &id));
	EXPECT_EQ(0, kipc_info(device, &limits));
	EXPECT_EQ(KIPC_ABI_VERSION, limits.abi);
	EXPECT_EQ(-EIDRM, kipc_stat(device, info.id ^ 1, &walked));
	close(other);
	close(device);
}

TEST_HARNESS_MAIN
