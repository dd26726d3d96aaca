// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * FIRST_COME endpoints: who waits for room is not in the queue yet, and comes in by the order of
 * arrival alone. Their room without shares is in quota.c.
 */
#include <poll.h>

#include "common.h"
#include "harness.h"

#define SENDERS 3

FIXTURE(first_come)
{
	int dev, fd;
	struct kipc_op_send *sends;
	struct kt_job *jobs[SENDERS];
};

FIXTURE_SETUP(first_come)
{
	const struct kipc_attr attr = { .max_size = 64, .max_msgs = 2, .max_bytes = 64 };

	self->dev = kt_device();
	self->fd = kt_private(self->dev, KIPC_OPEN_FIRST_COME, &attr);
	self->sends = kt_shared(SENDERS * sizeof(*self->sends));
}

FIXTURE_TEARDOWN(first_come)
{
	close(self->fd);
	close(self->dev);
}

static const char *const letters = "abcdefgh";

/* Takes one; what it was, or -errno */
static long taken(int fd, uint32_t flags, uint64_t type)
{
	char buf[64];
	long ret = kt_recv(fd, 0, flags | KIPC_NONBLOCK, type, buf, sizeof(buf), NULL);

	return ret < 0 ? ret : buf[0];
}

/* The next sender waits, with the letter of its number */
static bool waits_to_send(struct kt_job **jobs, struct kipc_op_send *sends, int nr, int fd,
			  uint64_t type, uint32_t prio)
{
	sends[nr] = kt_send_op(letters + nr, 1);
	sends[nr].type = type;
	sends[nr].prio = prio;
	jobs[nr] = kt_start_ioctl(KT_THREAD, fd, KIPC_IOC_SEND, &sends[nr]);
	return kt_asleep(jobs[nr]);
}

#define ASSERT_WAITS(nr, type, prio)							\
	ASSERT_TRUE(waits_to_send(self->jobs, self->sends, nr, self->fd, type, prio))

TEST_F(first_come, room_is_given_in_the_order_of_arrival)
{
	static const uint32_t prios[SENDERS] = { 1, 9, 5 };

	EXPECT_EQ(0, kt_send(self->fd, 0, 1, 3, "y", 1));
	EXPECT_EQ(0, kt_send(self->fd, 0, 1, 3, "z", 1));
	for (int i = 0; i < SENDERS; i++)
		ASSERT_WAITS(i, 1, prios[i]);
	EXPECT_EQ(2, kt_stat(self->fd).msgs);
	EXPECT_EQ(SENDERS, kt_stat(self->fd).waiters);
	/* Nobody gets past them, of whatever priority */
	EXPECT_EQ(-EAGAIN, kipc_send(self->fd, "x", 1, 0));
	EXPECT_EQ('y', taken(self->fd, 0, 0));
	EXPECT_EQ(0, kt_join(self->jobs[0]));
	EXPECT_EQ('z', taken(self->fd, 0, 0));
	EXPECT_EQ(0, kt_join(self->jobs[1]));
	/* In the queue priorities hold */
	EXPECT_EQ('b', taken(self->fd, 0, 0));
	EXPECT_EQ(0, kt_join(self->jobs[2]));
	EXPECT_EQ('c', taken(self->fd, 0, 0));
	EXPECT_EQ('a', taken(self->fd, 0, 0));
	EXPECT_EQ(-EAGAIN, taken(self->fd, 0, 0));
	EXPECT_TRUE(kt_quiet(self->fd));
}

TEST_F(first_come, who_waits_for_room_is_not_found)
{
	struct pollfd poller = { .fd = self->fd, .events = POLLIN | POLLOUT };
	struct kipc_endpoint more = { .attr = { .max_size = 64, .max_msgs = 8, .max_bytes = 8 } };
	struct kipc_op_recv peek;
	char big[64] = "large";
	char buf[64];

	/* There is room for messages, but not for this one */
	EXPECT_EQ(0, kipc_set(self->fd, 0, KIPC_SET_CAPACITY, &more));
	self->sends[0] = kt_send_op(big, sizeof(big));
	self->sends[0].type = 7;
	self->jobs[0] = kt_start_ioctl(KT_THREAD, self->fd, KIPC_IOC_SEND, &self->sends[0]);
	ASSERT_TRUE(kt_asleep(self->jobs[0]));
	EXPECT_EQ(-EAGAIN, taken(self->fd, 0, 0));
	EXPECT_EQ(-EAGAIN, taken(self->fd, KIPC_TYPE_EQ, 7));
	EXPECT_EQ(-EAGAIN, taken(self->fd, KIPC_TYPE_LE, 7));
	EXPECT_EQ(-EAGAIN, taken(self->fd, KIPC_TYPE_NE, 8));
	peek = kt_recv_op(buf, sizeof(buf), NULL);
	peek.flags = KIPC_PEEK | KIPC_NONBLOCK;
	EXPECT_EQ(-EAGAIN, kt_op_recv(self->fd, &peek));
	peek.flags = KIPC_PEEK | KIPC_INDEX | KIPC_NONBLOCK;
	EXPECT_EQ(-EAGAIN, kt_op_recv(self->fd, &peek));
	EXPECT_EQ(0, poll(&poller, 1, 0));
	more.attr.max_bytes = 64;
	EXPECT_EQ(0, kipc_set(self->fd, 0, KIPC_SET_CAPACITY, &more));
	EXPECT_EQ(0, kt_join(self->jobs[0]));
	EXPECT_EQ(1, poll(&poller, 1, 0));
	EXPECT_EQ(POLLIN, poller.revents);
	EXPECT_EQ('l', taken(self->fd, KIPC_TYPE_EQ, 7));
}

struct receiver {
	int fd;
	uint64_t type;
};

static long receive_type(void *arg)
{
	struct receiver *receiver = arg;
	char buf[64];
	struct kipc_op_recv op = kt_recv_op(buf, sizeof(buf), NULL);
	long ret;

	op.flags = KIPC_TYPE_EQ;
	op.type = receiver->type;
	ret = kt_op_recv(receiver->fd, &op);
	return ret < 0 ? ret : buf[0];
}

TEST_F(first_come, who_waits_to_receive_gets_it_when_there_is_room)
{
	struct receiver *receivers = kt_shared(2 * sizeof(*receivers));
	struct kt_job *jobs[2];

	EXPECT_EQ(0, kt_send(self->fd, 0, 1, 0, "y", 1));
	EXPECT_EQ(0, kt_send(self->fd, 0, 1, 0, "z", 1));
	ASSERT_WAITS(0, 5, 0);
	ASSERT_WAITS(1, 6, 0);
	for (int i = 0; i < 2; i++) {
		receivers[i] = (struct receiver){ .fd = self->fd, .type = 5 + (uint64_t)i };
		jobs[i] = kt_start(KT_THREAD, receive_type, &receivers[i]);
		ASSERT_TRUE(kt_asleep(jobs[i]));
	}
	/* The first has room then, is received at once, and leaves it to the second */
	EXPECT_EQ('y', taken(self->fd, 0, 0));
	EXPECT_EQ('a', kt_join(jobs[0]));
	EXPECT_EQ('b', kt_join(jobs[1]));
	EXPECT_EQ(0, kt_join(self->jobs[0]));
	EXPECT_EQ(0, kt_join(self->jobs[1]));
	EXPECT_EQ('z', taken(self->fd, 0, 0));
	EXPECT_TRUE(kt_quiet(self->fd));
}

/* Each admission wakes two: more of them than one hold of the lock has room for */
TEST_F(first_come, many_of_both_wait)
{
	enum { NR = 50 };
	struct receiver *receivers = kt_shared(NR * sizeof(*receivers));
	struct kipc_endpoint more = { .attr = { .max_size = 64, .max_msgs = 2, .max_bytes = 1 } };
	struct kipc_op_send *sends = kt_shared(NR * sizeof(*sends));
	struct kt_job *senders[NR], *jobs[NR];

	EXPECT_EQ(0, kipc_set(self->fd, 0, KIPC_SET_CAPACITY, &more));
	for (int i = 0; i < NR; i++) {
		receivers[i] = (struct receiver){ .fd = self->fd, .type = (uint64_t)i };
		jobs[i] = kt_start(KT_THREAD, receive_type, &receivers[i]);
		ASSERT_TRUE(kt_asleep(jobs[i]));
		sends[i] = kt_send_op("more", 4);
		sends[i].type = (uint64_t)i;
		senders[i] = kt_start_ioctl(KT_THREAD, self->fd, KIPC_IOC_SEND, &sends[i]);
		ASSERT_TRUE(kt_asleep(senders[i]));
	}
	more.attr.max_msgs = NR;
	more.attr.max_bytes = 4 * NR;
	EXPECT_EQ(0, kipc_set(self->fd, 0, KIPC_SET_CAPACITY, &more));
	for (int i = 0; i < NR; i++) {
		EXPECT_EQ(0, kt_join(senders[i]));
		EXPECT_EQ('m', kt_join(jobs[i]));
	}
	EXPECT_TRUE(kt_quiet(self->fd));
}

static long call(void *arg)
{
	struct kipc_op_rpc op = kt_rpc_op("q", 1, NULL, 0, NULL);

	return kt_op_rpc(*(int *)arg, &op);
}

TEST_F(first_come, a_call_waits_for_room_too)
{
	struct kipc_result result;
	struct kt_job *caller;
	char buf[64];

	EXPECT_EQ(0, kt_send(self->fd, 0, 1, 0, "y", 1));
	EXPECT_EQ(0, kt_send(self->fd, 0, 1, 0, "z", 1));
	caller = kt_start(KT_THREAD, call, &self->fd);
	ASSERT_TRUE(kt_asleep(caller));
	EXPECT_EQ('y', taken(self->fd, 0, 0));
	EXPECT_EQ('z', taken(self->fd, 0, 0));
	EXPECT_EQ(1, kt_recv(self->fd, 0, KIPC_NONBLOCK, 0, buf, sizeof(buf), &result));
	EXPECT_EQ('q', buf[0]);
	EXPECT_EQ(0, kt_reply(self->fd, result.token, 0, NULL, 0));
	EXPECT_EQ(0, kt_join(caller));
	EXPECT_TRUE(kt_quiet(self->fd));
}

/* How a sender stops waiting, and what it leaves to those behind it */

TEST_F(first_come, a_sender_that_gives_up_leaves_its_turn)
{
	struct kipc_op_send *send = kt_new(struct kipc_op_send);
	struct kt_job *job;

	EXPECT_EQ(0, kt_send(self->fd, 0, 1, 0, "y", 1));
	EXPECT_EQ(0, kt_send(self->fd, 0, 1, 0, "z", 1));
	*send = kt_send_op("x", 1);
	job = kt_start_ioctl(KT_FORK, self->fd, KIPC_IOC_SEND, send);
	ASSERT_TRUE(kt_asleep(job));
	ASSERT_WAITS(0, 1, 0);
	EXPECT_EQ(KT_DIED - SIGKILL, kt_kill(job));
	ASSERT_TRUE(kt_until(kt_stat(self->fd).waiters == 1));
	EXPECT_EQ('y', taken(self->fd, 0, 0));
	EXPECT_EQ(0, kt_join(self->jobs[0]));
	send->deadline = kt_in_ms(20);
	EXPECT_EQ(-ETIMEDOUT, kt_op_send(self->fd, send));
	EXPECT_EQ('z', taken(self->fd, 0, 0));
	EXPECT_EQ('a', taken(self->fd, 0, 0));
	EXPECT_EQ(-EAGAIN, taken(self->fd, 0, 0));
	EXPECT_TRUE(kt_quiet(self->fd));
}

TEST_F(first_come, removal_ends_who_waits)
{
	EXPECT_EQ(0, kt_send(self->fd, 0, 1, 0, "y", 1));
	EXPECT_EQ(0, kt_send(self->fd, 0, 1, 0, "z", 1));
	for (int i = 0; i < SENDERS; i++)
		ASSERT_WAITS(i, (uint64_t)i, (uint32_t)i);
	EXPECT_EQ(0, kt_remove(self->dev, kt_id(self->fd)));
	for (int i = 0; i < SENDERS; i++)
		EXPECT_EQ(-EIDRM, kt_join(self->jobs[i]));
}

TEST_F(first_come, a_right_that_is_lost_ends_the_wait)
{
	int fd = kt_private_mode(self->dev, KIPC_OPEN_FIRST_COME, 0622,
				 &(struct kipc_attr){ .max_size = 1, .max_msgs = 1,
						      .max_bytes = 1 });
	struct kipc_op_send *sends = kt_shared(2 * sizeof(*sends));
	struct kt_job *jobs[2];

	EXPECT_EQ(0, kt_send(fd, 0, 1, 0, "y", 1));
	for (int i = 0; i < 2; i++) {
		sends[i] = kt_send_op("x", 1);
		sends[i].endpoint = kt_id(fd);
		sends[i].prio = (uint32_t)i;
		jobs[i] = kt_start_ioctl(i ? KT_THREAD : KT_AS(KT_UID_A), self->dev,
					 KIPC_IOC_SEND, &sends[i]);
		ASSERT_TRUE(kt_asleep(jobs[i]));
	}
	EXPECT_EQ(0, kt_chmod(fd, 0, 0600));
	EXPECT_EQ(-EACCES, kt_join(jobs[0]));
	EXPECT_EQ('y', taken(fd, 0, 0));
	EXPECT_EQ(0, kt_join(jobs[1]));
	EXPECT_EQ('x', taken(fd, 0, 0));
	close(fd);
}

/* Until SET allows it, that is. Others do not wait with it */
TEST_F(first_come, a_message_that_cannot_fit_holds_nobody_up)
{
	static const char bytes[64] = "12345678";
	struct kipc_endpoint room = { .attr = { .max_size = 64, .max_msgs = 8, .max_bytes = 8 } };
	int fd = kt_private_mode(self->dev, KIPC_OPEN_FIRST_COME, 0622, &room.attr);
	struct pollfd poller = { .fd = fd, .events = POLLOUT };
	struct kipc_op_send *behind = kt_shared(sizeof(*behind));
	struct kt_job *job;

	for (int i = 0; i < SENDERS; i++) {
		self->sends[i] = kt_send_op(bytes, i ? 8 : 64);
		self->sends[i].endpoint = i == 1 ? 0 : kt_id(fd);
	}
	self->jobs[0] = kt_start_ioctl(KT_AS(KT_UID_A), self->dev, KIPC_IOC_SEND, &self->sends[0]);
	ASSERT_TRUE(kt_asleep(self->jobs[0]));
	EXPECT_EQ(1, poll(&poller, 1, 0));

	/* but its user's next one, and nobody waits with that one */
	EXPECT_EQ(0, kipc_send(fd, bytes, 4, 0));
	*behind = self->sends[2];
	job = kt_start_ioctl(KT_AS(KT_UID_A), self->dev, KIPC_IOC_SEND, behind);
	ASSERT_TRUE(kt_asleep(job));
	EXPECT_EQ(0, kipc_send(fd, bytes, 4, 0));
	EXPECT_EQ('1', taken(fd, 0, 0));
	EXPECT_EQ('1', taken(fd, 0, 0));
	ASSERT_TRUE(kt_asleep(job));
	EXPECT_EQ(0, kipc_send(fd, bytes, 8, 0));

	/* Nor do those who wait for room behind it */
	self->jobs[1] = kt_start_ioctl(KT_THREAD, fd, KIPC_IOC_SEND, &self->sends[1]);
	ASSERT_TRUE(kt_asleep(self->jobs[1]));
	EXPECT_EQ('1', taken(fd, 0, 0));
	EXPECT_EQ(0, kt_join(self->jobs[1]));

	/* Another one cannot fit only since then */
	self->jobs[2] = kt_start_ioctl(KT_AS(KT_UID_B), self->dev, KIPC_IOC_SEND, &self->sends[2]);
	ASSERT_TRUE(kt_asleep(self->jobs[2]));
	room.attr.max_bytes = 4;
	EXPECT_EQ(0, kipc_set(fd, 0, KIPC_SET_CAPACITY, &room));
	EXPECT_EQ('1', taken(fd, 0, 0));
	EXPECT_EQ(0, kipc_send(fd, bytes, 4, 0));
	EXPECT_EQ('1', taken(fd, 0, 0));

	room.attr.max_bytes = 8;
	EXPECT_EQ(0, kipc_set(fd, 0, KIPC_SET_CAPACITY, &room));
	EXPECT_EQ(0, kt_join(self->jobs[2]));
	EXPECT_EQ('1', taken(fd, 0, 0));
	room.attr.max_bytes = 64;
	EXPECT_EQ(0, kipc_set(fd, 0, KIPC_SET_CAPACITY, &room));
	EXPECT_EQ(0, kt_join(self->jobs[0]));
	EXPECT_EQ('1', taken(fd, 0, 0));
	EXPECT_EQ(0, kt_join(job));
	EXPECT_EQ('1', taken(fd, 0, 0));
	close(fd);
}

/* Where nobody waits for room it means only whose part it is */
TEST_F(first_come, not_at_a_rendezvous)
{
	int fd = kt_private(self->dev, KIPC_OPEN_FIRST_COME | KIPC_OPEN_RENDEZVOUS, NULL);

	self->sends[0] = kt_send_op("a", 1);
	self->jobs[0] = kt_start_ioctl(KT_THREAD, fd, KIPC_IOC_SEND, &self->sends[0]);
	ASSERT_TRUE(kt_asleep(self->jobs[0]));
	EXPECT_EQ('a', taken(fd, 0, 0));
	EXPECT_EQ(0, kt_join(self->jobs[0]));
	close(fd);
}

TEST_HARNESS_MAIN
