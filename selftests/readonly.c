// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Calls whose struct cannot be written back, so that the token that would lead to
 * them is lost, and a REPLY_RECV that cannot note that its reply was made. The
 * result can be written, and must be true all the more: it says whether the server
 * had the call, and has no token.
 *
 * These are the copies that fail-nth does not reach, see fail.h.
 */
#include <sys/mman.h>
#include <sys/syscall.h>

#include "common.h"
#include "harness.h"

#define SIZE 100

FIXTURE(readonly) {
	int dev;
	int fd;
	char buf[SIZE], reply[SIZE];
	struct kipc_result result;
};

FIXTURE_SETUP(readonly)
{
	self->dev = kt_device();
	self->fd = kt_private(self->dev, 0, NULL);
	kt_catch(SIGUSR1, 0);
	kt_poison(&self->result, sizeof(self->result));
}

FIXTURE_TEARDOWN(readonly)
{
	EXPECT_TRUE(kt_quiet(self->fd));
	close(self->fd);
	close(self->dev);
}

/* A copy of @op that can be read only */
static void *sealed(const void *op, size_t size)
{
	void *page = kt_shared(4096);

	memcpy(page, op, size);
	kt_need(mprotect(page, 4096, PROT_READ) == 0);
	return page;
}

/* The result was written, and says DELIVERED or not; no token leads to the call */
static bool fate_told(const struct kipc_result *result, bool delivered)
{
	if (result->flags == (delivered ? KIPC_RESULT_DELIVERED : 0) && !result->token)
		return true;
	kt_complain("%s; told: flags %#x, token %#llx", delivered ? "delivered" : "not delivered",
		    result->flags, (unsigned long long)result->token);
	return false;
}

/* The other side, once the test's own task sleeps in its ioctl */
struct server {
	int fd;
	pid_t tid;
	bool answer;		/* else: interrupt the caller */
	void *op;		/* its struct */
	struct kipc_result result;
};

static long serve(void *arg)
{
	struct server *server = arg;
	char buf[SIZE];
	long ret;

	if (!kt_until(kt_task_asleep(getpid(), server->tid)))
		return -1;
	ret = kt_recv(server->fd, 0, 0, 0, buf, sizeof(buf), &server->result);
	if (ret < 0)
		return ret;
	if (server->answer)
		return kt_reply(server->fd, server->result.token, 0, "yes", 3);
	return syscall(SYS_tgkill, getpid(), server->tid, SIGUSR1);
}

TEST_F(readonly, async)
{
	struct kipc_op_rpc op = {
		.flags = KIPC_ASYNC,
		.result = kt_ptr(&self->result),
	}, next = { .flags = KIPC_NEXT | KIPC_NONBLOCK };

	EXPECT_EQ(-EFAULT, kt_op_rpc(self->fd, sealed(&op, sizeof(op))));
	EXPECT_TRUE(fate_told(&self->result, false));
	EXPECT_EQ(0, kt_stat(self->fd).msgs);
	EXPECT_EQ(-ENOENT, kt_op_rpc(self->fd, &next));
}

TEST_F(readonly, rpc_that_is_interrupted)
{
	struct server server = { .fd = self->fd, .tid = (pid_t)syscall(SYS_gettid) };
	struct kipc_op_rpc op = kt_rpc_op(self->buf, SIZE, self->reply, SIZE, &self->result);
	struct kt_job *job = kt_start(KT_THREAD, serve, &server);

	op.flags = KIPC_NORESTART;
	EXPECT_EQ(-EFAULT, kt_op_rpc(self->fd, sealed(&op, sizeof(op))));
	EXPECT_EQ(0, kt_join(job));
	EXPECT_TRUE(fate_told(&self->result, true));
	EXPECT_EQ(-ECANCELED, kt_reply(self->fd, server.result.token, 0, "no", 2));
}

TEST_F(readonly, rpc_whose_reply_cannot_be_stored_either)
{
	struct server server = {
		.fd = self->fd,
		.tid = (pid_t)syscall(SYS_gettid),
		.answer = true,
	};
	struct kipc_op_rpc op = kt_rpc_op(self->buf, SIZE, kt_hole(), SIZE, &self->result);
	struct kt_job *job = kt_start(KT_THREAD, serve, &server);

	EXPECT_EQ(-EFAULT, kt_op_rpc(self->fd, sealed(&op, sizeof(op))));
	EXPECT_EQ(0, kt_join(job));
	EXPECT_TRUE(fate_told(&self->result, true));
}

/* What cannot be told is not done */
/* Makes the struct of a REPLY_RECV unwritable while it waits, then sends it a message */
static long seal_and_send(void *arg)
{
	struct server *server = arg;

	if (!kt_until(kt_task_asleep(getpid(), server->tid)))
		return -1;
	kt_need(mprotect(server->op, 4096, PROT_READ) == 0);
	return kt_send(server->fd, 0, 5, 0, "message", 7);
}

TEST_F(readonly, reply_recv_whose_reply_cannot_be_noted_any_more)
{
	struct server server = { .fd = self->fd, .tid = (pid_t)syscall(SYS_gettid) };
	struct kipc_op_rpc call = { .flags = KIPC_ASYNC, .reply_room = SIZE };
	struct kipc_op_rpc collect = {
		.reply = { .base = kt_ptr(self->reply), .len = SIZE }, .flags = KIPC_NONBLOCK
	};
	struct kipc_op_reply_recv *op = kt_shared(4096);
	struct kipc_result result;
	struct kt_job *job;

	ASSERT_EQ(0, kt_op_rpc(self->fd, &call));
	ASSERT_EQ(0, kt_recv(self->fd, 0, KIPC_TRUNCATE, 0, self->buf, SIZE, &result));
	*op = (struct kipc_op_reply_recv){
		.token = result.token,
		.reply = { .base = kt_ptr("reply"), .len = 5 },
		.recv = {
			.flags = KIPC_TRUNCATE,
			.deadline = KIPC_FOREVER,
			.payload = { .base = kt_ptr(self->buf), .len = SIZE },
			.result = kt_ptr(&self->result),
		},
	};
	server.op = op;
	job = kt_start(KT_THREAD, seal_and_send, &server);
	EXPECT_EQ(-EFAULT, kt_op_reply_recv(self->fd, op));
	EXPECT_EQ(0, kt_join(job));
	/* The reply was made, and that is told; the message is where it was */
	EXPECT_EQ(KIPC_RESULT_REPLIED, self->result.flags);
	EXPECT_EQ(-ENOENT, kt_reply(self->fd, result.token, 0, "no", 2));
	EXPECT_EQ(7, kt_recv(self->fd, 0, KIPC_TRUNCATE, 0, self->buf, SIZE, &result));
	EXPECT_EQ(5, result.type);
	collect.token = call.token;
	EXPECT_EQ(5, kt_op_rpc(self->fd, &collect));
	EXPECT_EQ(0, memcmp("reply", self->reply, 5));
}

TEST_F(readonly, cancel)
{
	struct kipc_op_rpc op = { .flags = KIPC_ASYNC }, wait = { .flags = KIPC_NONBLOCK };
	struct kipc_op_token cancel = { 0 };

	ASSERT_EQ(0, kt_op_rpc(self->fd, &op));
	cancel.token = op.token;
	EXPECT_EQ(-EFAULT, kt_ioctl(self->fd, KIPC_IOC_CANCEL, sealed(&cancel, sizeof(cancel))));
	wait.token = op.token;
	EXPECT_EQ(-EAGAIN, kt_op_rpc(self->fd, &wait));
	EXPECT_EQ(0, kt_ioctl(self->fd, KIPC_IOC_CANCEL, &cancel));
	EXPECT_EQ(-ENOENT, kt_op_rpc(self->fd, &wait));
}

TEST_HARNESS_MAIN
