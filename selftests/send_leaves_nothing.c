// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Promise 3: a failed send leaves nothing behind.
 */
#include <sys/uio.h>

#include "common.h"
#include "harness.h"

#define MAX_SIZE 8192

FIXTURE(untouched) {
	int dev;
	int fd;
	int other;	/* receives too, or SYNC would be EDEADLK */
	char *buf;
	struct kipc_op_send op;
	uint64_t refused;
};

/* One small message is there, and room for more */
FIXTURE_SETUP(untouched)
{
	self->dev = kt_device();
	self->fd = kt_private(self->dev, 0, NULL);
	self->other = kt_again(self->dev, kt_id(self->fd), KIPC_RIGHT_RECV);
	ASSERT_GE(self->other, 0);
	self->buf = kt_shared(2 * MAX_SIZE);
	ASSERT_EQ(0, kt_send(self->fd, 0, 1, 5, "one", 3));
	self->op = kt_send_op(self->buf, MAX_SIZE);
}

FIXTURE_TEARDOWN(untouched)
{
	struct kipc_endpoint info = kt_stat(self->fd);
	struct kipc_result result;
	char buf[MAX_SIZE];

	EXPECT_EQ(1, info.msgs);
	EXPECT_EQ(3, info.bytes);
	EXPECT_EQ(0, info.waiters);
	EXPECT_EQ(0, info.calls);
	EXPECT_EQ(self->refused, info.refused);
	EXPECT_EQ(3, kipc_recv(self->fd, buf, sizeof(buf), &result, 0));
	EXPECT_EQ(0, memcmp(buf, "one", 3));
	EXPECT_EQ(-EAGAIN, kipc_recv(self->fd, buf, sizeof(buf), &result, 0));
	EXPECT_TRUE(kt_quiet(self->fd));
	/* and all the room is there */
	EXPECT_EQ(0, kipc_send(self->fd, self->buf, MAX_SIZE, 0));
	close(self->fd);
	close(self->dev);
}

TEST_F(untouched, p03_fault_in_the_payload)
{
	char *hole = kt_hole();
	static const size_t before[] = { 0, 1, 100, 4096, MAX_SIZE - 1 };

	for (unsigned int i = 0; i < ARRAY_SIZE(before); i++) {
		self->op.payload.base = kt_ptr(hole - before[i]);
		EXPECT_EQ(-EFAULT, kt_op_send(self->fd, &self->op));
	}
	self->op.payload.base = 0;
	EXPECT_EQ(-EFAULT, kt_op_send(self->fd, &self->op));
	self->op.payload.base = 0xffff888000000000ULL;
	EXPECT_EQ(-EFAULT, kt_op_send(self->fd, &self->op));
	EXPECT_EQ(-EFAULT, kipc_send(self->fd, hole, 10, 0));
}

TEST_F(untouched, p03_fault_in_segments)
{
	char *hole = kt_hole();
	struct kipc_iovec *at_hole = (void *)hole;
	struct kipc_iovec iov[] = {
		{ kt_ptr(self->buf), 100 },
		{ kt_ptr(hole - 50), 100 },
		{ kt_ptr(self->buf), 100 },
	};

	self->op.payload = (struct kipc_payload){ .base = kt_ptr(iov), .iovcnt = 3 };
	EXPECT_EQ(-EFAULT, kt_op_send(self->fd, &self->op));
	at_hole[-1] = iov[0];
	self->op.payload.base = kt_ptr(&at_hole[-1]);
	EXPECT_EQ(-EFAULT, kt_op_send(self->fd, &self->op));
	self->op.payload.base = kt_ptr(at_hole);
	EXPECT_EQ(-EFAULT, kt_op_send(self->fd, &self->op));
}

TEST_F(untouched, p03_too_large)
{
	struct iovec iov[] = { { self->buf, MAX_SIZE }, { self->buf, 1 } };
	struct kipc_msg msg = { .iov = iov, .iovcnt = 2 };

	self->op.payload.len = MAX_SIZE + 1;
	EXPECT_EQ(-EMSGSIZE, kt_op_send(self->fd, &self->op));
	self->op.payload.len = 1ULL << 32;
	EXPECT_EQ(-EMSGSIZE, kt_op_send(self->fd, &self->op));
	/* says so even if it must not wait and could not be read */
	self->op.flags = KIPC_NONBLOCK;
	self->op.payload.base = 0;
	EXPECT_EQ(-EMSGSIZE, kt_op_send(self->fd, &self->op));
	EXPECT_EQ(-EMSGSIZE, kipc_sendmsg(self->fd, &msg, 0));
}

TEST_F(untouched, p03_malformed)
{
	self->op.prio = KIPC_PRIO_MAX + 1;
	EXPECT_EQ(-EINVAL, kt_op_send(self->fd, &self->op));
	self->op.prio = 0;
	self->op.pad = 1;
	EXPECT_EQ(-EINVAL, kt_op_send(self->fd, &self->op));
	self->op.pad = 0;
	self->op.flags = KIPC_PEEK;
	EXPECT_EQ(-EINVAL, kt_op_send(self->fd, &self->op));
	self->op.flags = 0;
	self->op.reserved[1] = 1;
	EXPECT_EQ(-EINVAL, kt_op_send(self->fd, &self->op));
}

TEST_F(untouched, p03_without_the_right)
{
	int recv_only = kt_again(self->dev, kt_id(self->fd), KIPC_RIGHT_RECV);

	ASSERT_GE(recv_only, 0);
	EXPECT_EQ(-EBADF, kt_op_send(recv_only, &self->op));
	close(recv_only);
}

/* A SYNC send that nobody has received when it ends has not been sent */
TEST_F(untouched, p03_sync_without_a_receiver)
{
	struct kt_job *job;

	kt_catch(SIGUSR1, 0);
	self->op.flags = KIPC_SYNC | KIPC_NONBLOCK;
	EXPECT_EQ(-EAGAIN, kt_op_send(self->fd, &self->op));
	self->op.flags = KIPC_SYNC;
	self->op.deadline = kt_in_ms(20);
	EXPECT_EQ(-ETIMEDOUT, kt_op_send(self->fd, &self->op));
	self->op.deadline = KIPC_FOREVER;
	job = kt_start_ioctl(KT_THREAD, self->fd, KIPC_IOC_SEND, &self->op);
	ASSERT_TRUE(kt_asleep(job));
	EXPECT_EQ(2, kt_stat(self->fd).msgs);
	ASSERT_TRUE(kt_signal(job, SIGUSR1));
	EXPECT_EQ(-EINTR, kt_join(job));
	job = kt_start_ioctl(KT_FORK, self->fd, KIPC_IOC_SEND, &self->op);
	/* the op is on this stack, which a fork has a copy of */
	ASSERT_TRUE(kt_asleep(job));
	EXPECT_EQ(KT_DIED - SIGKILL, kt_kill(job));
	self->refused = kt_stat(self->fd).refused;
}

TEST_F(untouched, p03_calls_that_fail)
{
	struct kipc_result result;
	struct kipc_op_rpc op = kt_rpc_op(kt_hole() - 100, 200, self->buf, 100, &result);
	struct kt_job *job;
	uint64_t token = 0;

	EXPECT_EQ(-EFAULT, kt_op_rpc(self->fd, &op));
	op.request.base = kt_ptr(self->buf);
	op.request.len = MAX_SIZE + 1;
	EXPECT_EQ(-EMSGSIZE, kt_op_rpc(self->fd, &op));
	op.request.len = 10;
	op.deadline = kt_in_ms(20);
	EXPECT_EQ(-ETIMEDOUT, kt_op_rpc(self->fd, &op));
	EXPECT_EQ(0, result.flags);
	EXPECT_EQ(token, op.token);
	op.deadline = KIPC_FOREVER;
	job = kt_start_ioctl(KT_FORK, self->fd, KIPC_IOC_RPC, &op);
	ASSERT_TRUE(kt_asleep(job));
	EXPECT_EQ(2, kt_stat(self->fd).msgs);
	EXPECT_EQ(KT_DIED - SIGKILL, kt_kill(job));
	self->refused = kt_stat(self->fd).refused;
}

/* Killed while its payload is being read: nobody has seen any of it */
static long stalled_send(void *arg)
{
	struct {
		int fd;
		struct kt_stall stall;
	} *a = arg;
	struct kipc_op_send op;

	kt_stall_init(&a->stall, 0);
	op = kt_send_op(a->stall.page - 100, 200);
	return kt_op_send(a->fd, &op);
}

TEST_F(untouched, p03_killed_while_its_payload_is_read)
{
	struct {
		int fd;
		struct kt_stall stall;
	} *a = kt_shared(sizeof(*a));
	struct kt_job *job;
	char buf[MAX_SIZE];

	a->fd = self->fd;
	job = kt_start(KT_FORK, stalled_send, a);
	ASSERT_TRUE(kt_stalled(&a->stall));
	/* meanwhile nobody waits for it */
	EXPECT_EQ(0, kipc_send(self->fd, "two", 3, 0));
	EXPECT_EQ(3, kipc_recv(self->fd, buf, sizeof(buf), NULL, 0));
	EXPECT_EQ(0, memcmp(buf, "one", 3));
	EXPECT_EQ(3, kipc_recv(self->fd, buf, sizeof(buf), NULL, 0));
	EXPECT_EQ(0, memcmp(buf, "two", 3));
	EXPECT_EQ(KT_DIED - SIGKILL, kt_kill(job));
	EXPECT_EQ(-EAGAIN, kipc_recv(self->fd, buf, sizeof(buf), NULL, 0));
	EXPECT_EQ(0, kt_send(self->fd, 0, 1, 5, "one", 3));
}

TEST_F(untouched, p03_unknown_flags)
{
	/* every bit that SEND does not know */
	for (unsigned int bit = 0; bit < 32; bit++) {
		uint32_t known = KIPC_NONBLOCK | KIPC_REALTIME | KIPC_NORESTART | KIPC_SYNC |
				 KIPC_NOENT;

		if (known & (1U << bit))
			continue;
		self->op.flags = 1U << bit;
		EXPECT_EQ(-EINVAL, kt_op_send(self->fd, &self->op));
	}
}

FIXTURE(full) {
	int dev;
	int fd;
	char *buf;
	struct kipc_op_send *op;
};

FIXTURE_SETUP(full)
{
	const struct kipc_attr attr = { .max_size = 64, .max_msgs = 1, .max_bytes = 64 };

	self->dev = kt_device();
	self->fd = kt_private(self->dev, 0, &attr);
	self->buf = kt_shared(64);
	ASSERT_EQ(0, kt_send(self->fd, 0, 1, 5, "one", 3));
	self->op = kt_new(struct kipc_op_send);
	*self->op = kt_send_op(self->buf, 64);
	self->op->type = 2;
	kt_catch(SIGUSR1, 0);
}

FIXTURE_TEARDOWN(full)
{
	struct kipc_endpoint info = kt_stat(self->fd);
	char buf[64];

	EXPECT_EQ(1, info.msgs);
	EXPECT_EQ(3, info.bytes);
	EXPECT_EQ(0, info.waiters);
	EXPECT_EQ(3, kipc_recv(self->fd, buf, sizeof(buf), NULL, 0));
	EXPECT_EQ(-EAGAIN, kipc_recv(self->fd, buf, sizeof(buf), NULL, 0));
	EXPECT_EQ(0, kipc_send(self->fd, buf, 64, 0));
	close(self->fd);
	close(self->dev);
}

TEST_F(full, p03_no_room_and_no_time)
{
	self->op->flags = KIPC_NONBLOCK;
	EXPECT_EQ(-EAGAIN, kt_op_send(self->fd, self->op));
	EXPECT_EQ(1, kt_stat(self->fd).refused);
	self->op->flags = 0;
	self->op->deadline = 0;
	EXPECT_EQ(-EAGAIN, kt_op_send(self->fd, self->op));
	EXPECT_EQ(2, kt_stat(self->fd).refused);
	self->op->deadline = kt_in_ms(20);
	EXPECT_EQ(-ETIMEDOUT, kt_op_send(self->fd, self->op));
	EXPECT_EQ(3, kt_stat(self->fd).refused);
	EXPECT_EQ(-ETIMEDOUT, kipc_send(self->fd, "x", 1, 10));
}

TEST_F(full, p03_interrupted)
{
	struct kt_job *job = kt_start_ioctl(KT_THREAD, self->fd, KIPC_IOC_SEND, self->op);

	ASSERT_TRUE(kt_asleep(job));
	EXPECT_EQ(1, kt_stat(self->fd).waiters);
	ASSERT_TRUE(kt_signal(job, SIGUSR1));
	EXPECT_EQ(-EINTR, kt_join(job));
	EXPECT_EQ(0, kt_stat(self->fd).refused);
}

TEST_F(full, p03_killed)
{
	struct kt_job *job = kt_start_ioctl(KT_FORK, self->fd, KIPC_IOC_SEND, self->op);

	ASSERT_TRUE(kt_asleep(job));
	EXPECT_EQ(KT_DIED - SIGKILL, kt_kill(job));
}

/*
 * A receiver has claimed the blocked sender's message and is held in the middle
 * of copying it when the sender leaves. The sender does not wait for it, and
 * the receiver, which took nothing, goes on receiving.
 */
static void claimed(struct __test_metadata *_metadata, int fd, struct kt_stall *stall,
		    struct kipc_op_recv *recv, struct kt_job **receiver)
{
	*recv = kt_recv_op(stall->page - 30, 64, NULL);
	recv->flags = KIPC_TYPE_EQ;
	recv->type = 2;
	*receiver = kt_start_ioctl(KT_THREAD, fd, KIPC_IOC_RECV, recv);
	ASSERT_TRUE(kt_stalled(stall));
}

static void goes_on(struct __test_metadata *_metadata, int fd, struct kt_stall *stall,
		    struct kt_job *receiver)
{
	char three[64] = { 0 };
	struct kipc_op_send op = kt_send_op(three, sizeof(three));

	kt_release(stall);
	ASSERT_TRUE(kt_asleep(receiver));
	/* type 2 is waited for: it goes past the full queue */
	kt_fill(three, sizeof(three), 3);
	op.type = 2;
	EXPECT_EQ(0, kt_op_send(fd, &op));
	EXPECT_EQ((long)sizeof(three), kt_join(receiver));
	EXPECT_TRUE(kt_filled(stall->page - 30, sizeof(three), 3));
}

TEST_F(full, p03_interrupted_while_claimed)
{
	struct kt_stall *stall = kt_stall_new(0);
	struct kt_job *job = kt_start_ioctl(KT_THREAD, self->fd, KIPC_IOC_SEND, self->op);
	struct kipc_op_recv recv;
	struct kt_job *receiver;

	ASSERT_TRUE(kt_asleep(job));
	claimed(_metadata, self->fd, stall, &recv, &receiver);
	ASSERT_TRUE(kt_signal(job, SIGUSR1));
	EXPECT_EQ(-EINTR, kt_join(job));
	goes_on(_metadata, self->fd, stall, receiver);
}

TEST_F(full, p03_killed_while_claimed)
{
	struct kt_stall *stall = kt_stall_new(0);
	struct kt_job *job = kt_start_ioctl(KT_FORK, self->fd, KIPC_IOC_SEND, self->op);
	struct kipc_op_recv recv;
	struct kt_job *receiver;

	ASSERT_TRUE(kt_asleep(job));
	claimed(_metadata, self->fd, stall, &recv, &receiver);
	EXPECT_EQ(KT_DIED - SIGKILL, kt_kill(job));
	goes_on(_metadata, self->fd, stall, receiver);
}

TEST_F(full, p03_timed_out_while_claimed)
{
	struct kt_stall *stall = kt_stall_new(0);
	struct kipc_op_recv recv;
	struct kt_job *receiver, *job;
	uint64_t deadline = kt_in_ms(300);

	/* the deadline must not pass before the claim: it would prove nothing */
	self->op->deadline = deadline;
	job = kt_start_ioctl(KT_THREAD, self->fd, KIPC_IOC_SEND, self->op);
	ASSERT_TRUE(kt_asleep(job));
	claimed(_metadata, self->fd, stall, &recv, &receiver);
	EXPECT_EQ(-ETIMEDOUT, kt_join(job));
	EXPECT_GE(kt_now(), deadline);
	goes_on(_metadata, self->fd, stall, receiver);
}

/* What it left behind is nothing, even if the claimant then fails as well */
TEST_F(full, p03_both_fail)
{
	struct kt_stall *stall = kt_stall_new(0);
	struct kt_job *job = kt_start_ioctl(KT_THREAD, self->fd, KIPC_IOC_SEND, self->op);
	struct kipc_result *nowhere = (void *)kt_hole();
	struct kipc_op_recv recv = kt_recv_op(stall->page - 30, 64, nowhere);
	struct kt_job *receiver;

	recv.flags = KIPC_TYPE_EQ | KIPC_NONBLOCK;
	recv.type = 2;
	ASSERT_TRUE(kt_asleep(job));
	receiver = kt_start_ioctl(KT_THREAD, self->fd, KIPC_IOC_RECV, &recv);
	ASSERT_TRUE(kt_stalled(stall));
	ASSERT_TRUE(kt_signal(job, SIGUSR1));
	EXPECT_EQ(-EINTR, kt_join(job));
	kt_release(stall);
	EXPECT_EQ(-EFAULT, kt_join(receiver));
}

FIXTURE(rendezvous) {
	int dev;
	int fd;
	char *buf;
};

FIXTURE_SETUP(rendezvous)
{
	self->dev = kt_device();
	self->fd = kt_private(self->dev, KIPC_OPEN_RENDEZVOUS, NULL);
	self->buf = kt_shared(MAX_SIZE);
	kt_catch(SIGUSR1, 0);
}

FIXTURE_TEARDOWN(rendezvous)
{
	EXPECT_EQ(-EAGAIN, kipc_recv(self->fd, self->buf, MAX_SIZE, NULL, 0));
	EXPECT_TRUE(kt_quiet(self->fd));
	close(self->fd);
	close(self->dev);
}

TEST_F(rendezvous, p03_nobody_there)
{
	struct kipc_op_send op = kt_send_op("x", 1);
	struct kt_job *job;

	EXPECT_EQ(-EAGAIN, kipc_send(self->fd, "x", 1, 0));
	EXPECT_EQ(-ETIMEDOUT, kipc_send(self->fd, "x", 1, 10));
	job = kt_start_ioctl(KT_THREAD, self->fd, KIPC_IOC_SEND, &op);
	ASSERT_TRUE(kt_asleep(job));
	EXPECT_EQ(0, kt_stat(self->fd).msgs);
	ASSERT_TRUE(kt_signal(job, SIGUSR1));
	EXPECT_EQ(-EINTR, kt_join(job));
}

/* They are told, and it is as if they had not been there */
TEST_F(rendezvous, p03_receivers_without_room)
{
	struct kipc_op_send send = kt_send_op("xyz", 3);
	struct kipc_op_recv small[2], recv = kt_recv_op(self->buf, MAX_SIZE, NULL);
	struct kipc_result result[2];
	struct kt_job *jobs[2], *job;

	for (int round = 0; round < 3; round++) {
		memset(result, 0, sizeof(result));
		for (int i = 0; i < 2; i++) {
			small[i] = kt_recv_op(self->buf, (size_t)i * 2, &result[i]);
			small[i].flags = KIPC_ANYSIZE;
			jobs[i] = kt_start_ioctl(KT_THREAD, self->fd, KIPC_IOC_RECV, &small[i]);
			ASSERT_TRUE(kt_asleep(jobs[i]));
		}
		switch (round) {
		case 0:
			EXPECT_EQ(-EAGAIN, kipc_send(self->fd, "xyz", 3, 0));
			break;
		case 1:
			job = kt_start_ioctl(KT_THREAD, self->fd, KIPC_IOC_SEND, &send);
			ASSERT_TRUE(kt_asleep(job));
			EXPECT_EQ(0, kt_stat(self->fd).msgs);
			EXPECT_EQ(3, kipc_recv(self->fd, self->buf, MAX_SIZE, NULL, 0));
			EXPECT_EQ(0, kt_join(job));
			break;
		case 2:
			job = kt_start_ioctl(KT_THREAD, self->fd, KIPC_IOC_RECV, &recv);
			ASSERT_TRUE(kt_asleep(job));
			EXPECT_EQ(0, kipc_send(self->fd, "xyz", 3, 0));
			EXPECT_EQ(3, kt_join(job));
			break;
		}
		for (int i = 0; i < 2; i++) {
			EXPECT_EQ(-EMSGSIZE, kt_join(jobs[i]));
			EXPECT_EQ(3, result[i].size);
		}
		EXPECT_EQ(0, kt_stat(self->fd).msgs);
	}
}

TEST_F(rendezvous, p03_a_receiver_for_something_else)
{
	struct kipc_op_recv recv = kt_recv_op(self->buf, MAX_SIZE, NULL);
	struct kt_job *job;

	recv.flags = KIPC_TYPE_EQ;
	recv.type = 8;
	job = kt_start_ioctl(KT_THREAD, self->fd, KIPC_IOC_RECV, &recv);
	ASSERT_TRUE(kt_asleep(job));
	EXPECT_EQ(-EAGAIN, kt_send(self->fd, 0, 7, 0, "x", 1));
	EXPECT_TRUE(kt_asleep(job));
	EXPECT_EQ(0, kt_send(self->fd, 0, 8, 0, "y", 1));
	EXPECT_EQ(1, kt_join(job));
	EXPECT_EQ('y', self->buf[0]);
}

TEST_HARNESS_MAIN
