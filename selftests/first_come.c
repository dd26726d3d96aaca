// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * FIRST_COME endpoints: who waits for room is not in the queue yet, and comes in by the order of
 * arrival alone. Their room without shares is in quota.c.
 */
#include <poll.h>
#include <sys/resource.h>

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
	/* The queue is full: of whatever priority */
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
	EXPECT_EQ(1, poll(&poller, 1, 0));
	EXPECT_EQ(POLLOUT, poller.revents);
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

/* Who fits goes in, whoever waits, and whether it has waited */
TEST_F(first_come, a_message_that_does_not_fit_holds_nobody_up)
{
	static const char bytes[64] = "12345678";
	struct kipc_endpoint room = { .attr = { .max_size = 64, .max_msgs = 8, .max_bytes = 8 } };
	int fd = kt_private_mode(self->dev, KIPC_OPEN_FIRST_COME, 0622, &room.attr);
	struct pollfd poller = { .fd = fd, .events = POLLOUT };
	char buf[64];

	for (int i = 0; i < SENDERS; i++) {
		self->sends[i] = kt_send_op(bytes, i ? 5 + (uint32_t)i : 64);
		self->sends[i].endpoint = kt_id(fd);
	}
	/* The first never does, unless SET allows it */
	self->jobs[0] = kt_start_ioctl(KT_AS(KT_UID_A), self->dev, KIPC_IOC_SEND, &self->sends[0]);
	ASSERT_TRUE(kt_asleep(self->jobs[0]));
	EXPECT_EQ(1, poll(&poller, 1, 0));
	EXPECT_EQ(0, kt_do_as(KT_UID_A, kipc_send(fd, bytes, 4, 0)));
	EXPECT_EQ(0, poll(&poller, 1, 0));
	/* Of those who do not now, each goes when it does: 6 bytes, then 7 */
	for (int i = 1; i < SENDERS; i++) {
		self->jobs[i] = kt_start_ioctl(KT_AS(KT_UID_A), self->dev, KIPC_IOC_SEND,
					       &self->sends[i]);
		ASSERT_TRUE(kt_asleep(self->jobs[i]));
	}
	EXPECT_EQ(0, kipc_send(fd, bytes, 2, 0));
	EXPECT_EQ(-EAGAIN, kipc_send(fd, bytes, 3, 0));
	EXPECT_EQ(4, kt_recv(fd, 0, 0, 0, buf, sizeof(buf), NULL));
	EXPECT_EQ(0, kt_join(self->jobs[1]));
	ASSERT_TRUE(kt_asleep(self->jobs[2]));
	EXPECT_EQ(2, kt_recv(fd, 0, 0, 0, buf, sizeof(buf), NULL));
	EXPECT_EQ(0, kipc_send(fd, bytes, 1, 0));
	EXPECT_EQ(-EAGAIN, kipc_send(fd, bytes, 2, 0));
	EXPECT_EQ(6, kt_recv(fd, 0, 0, 0, buf, sizeof(buf), NULL));
	EXPECT_EQ(0, kt_join(self->jobs[2]));
	/* Who came in first is first */
	EXPECT_EQ(1, kt_recv(fd, 0, 0, 0, buf, sizeof(buf), NULL));
	EXPECT_EQ(7, kt_recv(fd, 0, 0, 0, buf, sizeof(buf), NULL));
	ASSERT_TRUE(kt_asleep(self->jobs[0]));
	room.attr.max_bytes = 64;
	EXPECT_EQ(0, kipc_set(fd, 0, KIPC_SET_CAPACITY, &room));
	EXPECT_EQ(0, kt_join(self->jobs[0]));
	EXPECT_EQ(64, kt_recv(fd, 0, 0, 0, buf, sizeof(buf), NULL));
	EXPECT_TRUE(kt_quiet(fd));
	close(fd);
}

/* More of them than one hold of the lock looks at, and only the last ones fit */
TEST_F(first_come, many_do_not_fit)
{
	enum { NR = 60, FIT = 40 };
	struct kipc_endpoint room = { .attr = { .max_size = 64, .max_msgs = NR, .max_bytes = 64 } };
	struct kipc_op_send *sends = kt_shared(NR * sizeof(*sends));
	static const char bytes[64] = "many";
	struct kt_job *jobs[NR];
	char buf[64];

	EXPECT_EQ(0, kipc_set(self->fd, 0, KIPC_SET_CAPACITY, &room));
	EXPECT_EQ(0, kipc_send(self->fd, bytes, 40, 0));
	EXPECT_EQ(0, kipc_send(self->fd, bytes, 24, 0));
	for (int i = 0; i < NR; i++) {
		sends[i] = kt_send_op(bytes, i < FIT ? 64 : 1);
		jobs[i] = kt_start_ioctl(KT_THREAD, self->fd, KIPC_IOC_SEND, &sends[i]);
		ASSERT_TRUE(kt_asleep(jobs[i]));
	}
	EXPECT_EQ(40, kt_recv(self->fd, 0, 0, 0, buf, sizeof(buf), NULL));
	for (int i = FIT; i < NR; i++)
		EXPECT_EQ(0, kt_join(jobs[i]));
	EXPECT_EQ(24 + NR - FIT, kt_stat(self->fd).bytes);
	EXPECT_EQ(FIT, kt_stat(self->fd).waiters);
	/* The pass has ended: who comes now is not held up */
	EXPECT_EQ(0, kipc_send(self->fd, bytes, 20, 0));
	EXPECT_EQ(-EAGAIN, kipc_send(self->fd, bytes, 1, 0));
	EXPECT_EQ(24, kt_recv(self->fd, 0, 0, 0, buf, sizeof(buf), NULL));
	for (int i = FIT; i < NR; i++)
		EXPECT_EQ(1, kt_recv(self->fd, 0, 0, 0, buf, sizeof(buf), NULL));
	EXPECT_EQ(20, kt_recv(self->fd, 0, 0, 0, buf, sizeof(buf), NULL));
	for (int i = 0; i < FIT; i++) {
		EXPECT_EQ(64, kt_recv(self->fd, 0, 0, 0, buf, sizeof(buf), NULL));
		EXPECT_EQ(0, kt_join(jobs[i]));
	}
	EXPECT_TRUE(kt_quiet(self->fd));
}

struct nice_receiver {
	int fd, nice;
	uint32_t room;
};

static long receive_nicely(void *arg)
{
	const struct nice_receiver *receiver = arg;
	char buf[128];
	struct kipc_op_recv op = kt_recv_op(buf, receiver->room, NULL);

	kt_need(!setpriority(PRIO_PROCESS, 0, receiver->nice));
	return kt_op_recv(receiver->fd, &op);
}

static long receive_so_much(void *arg)
{
	const struct receiver *receiver = arg;
	char buf[64];
	struct kipc_op_recv op = kt_recv_op(buf, receiver->type, NULL);

	op.flags = KIPC_ANYSIZE;
	return kt_op_recv(receiver->fd, &op);
}

/*
 * What somebody waits for takes nobody's room, though who waited has not run yet; but of that
 * there is no more than what the queue itself may have.
 */
TEST_F(first_come, what_is_waited_for_takes_no_room)
{
	struct receiver *receivers = kt_shared(SENDERS * sizeof(*receivers));
	static const char bytes[64] = "waited for";
	struct kt_job *jobs[SENDERS];
	char buf[64];

	kt_one_cpu();
	for (int i = 0; i < SENDERS; i++) {
		receivers[i] = (struct receiver){ .fd = self->fd, .type = 64 };
		jobs[i] = kt_start(KT_FORK, receive_so_much, &receivers[i]);
		ASSERT_TRUE(kt_asleep(jobs[i]));
	}
	kt_go_first(true);
	EXPECT_EQ(0, kipc_send(self->fd, bytes, 40, 0));
	EXPECT_EQ(0, kt_stat(self->fd).msgs);
	EXPECT_EQ(0, kt_stat(self->fd).bytes);
	EXPECT_EQ(0, kipc_send(self->fd, bytes, 30, 0));	/* too much with the first */
	EXPECT_EQ(1, kt_stat(self->fd).msgs);
	EXPECT_EQ(30, kt_stat(self->fd).bytes);
	EXPECT_EQ(0, kipc_send(self->fd, bytes, 24, 0));	/* just so much */
	EXPECT_EQ(1, kt_stat(self->fd).msgs);
	EXPECT_EQ(0, kipc_send(self->fd, bytes, 34, 0));	/* nobody waits for it */
	EXPECT_EQ(-EAGAIN, kipc_send(self->fd, bytes, 1, 0));
	for (int i = 0; i < SENDERS; i++)
		EXPECT_FALSE(jobs[i]->done);
	kt_go_first(false);
	EXPECT_EQ(40, kt_join(jobs[0]));
	EXPECT_EQ(30, kt_join(jobs[1]));
	EXPECT_EQ(24, kt_join(jobs[2]));
	EXPECT_EQ(1, kt_stat(self->fd).msgs);
	EXPECT_EQ(34, kt_stat(self->fd).bytes);
	EXPECT_EQ(34, kt_recv(self->fd, 0, 0, 0, buf, sizeof(buf), NULL));
	EXPECT_TRUE(kt_quiet(self->fd));
}

static long receive_nowhere(void *arg)
{
	char buf[64];
	struct kipc_op_recv op = kt_recv_op(buf, sizeof(buf), NULL);

	op.result = kt_ptr(kt_hole());
	return kt_op_recv(*(int *)arg, &op);
}

TEST_F(first_come, what_comes_back_is_in_the_queue)
{
	static const char bytes[64] = "comes back";
	int *fd = kt_shared(sizeof(*fd));
	struct kt_job *job;
	char buf[64];

	*fd = self->fd;
	kt_one_cpu();
	job = kt_start(KT_FORK, receive_nowhere, fd);
	ASSERT_TRUE(kt_asleep(job));
	kt_go_first(true);
	EXPECT_EQ(0, kipc_send(self->fd, bytes, 60, 0));
	EXPECT_EQ(0, kipc_send(self->fd, bytes, 50, 0));
	EXPECT_EQ(50, kt_stat(self->fd).bytes);
	kt_go_first(false);
	EXPECT_EQ(-EFAULT, kt_join(job));
	/* More than there is room for, rather than that one is lost */
	EXPECT_EQ(110, kt_stat(self->fd).bytes);
	EXPECT_EQ(2, kt_stat(self->fd).msgs);
	EXPECT_EQ(-EAGAIN, kipc_send(self->fd, bytes, 1, 0));
	EXPECT_EQ(60, kt_recv(self->fd, 0, 0, 0, buf, sizeof(buf), NULL));
	EXPECT_EQ(0, kipc_send(self->fd, bytes, 14, 0));
	EXPECT_EQ(50, kt_recv(self->fd, 0, 0, 0, buf, sizeof(buf), NULL));
	EXPECT_EQ(14, kt_recv(self->fd, 0, 0, 0, buf, sizeof(buf), NULL));
	EXPECT_TRUE(kt_quiet(self->fd));
}

/* Nor more messages than the queue itself may have, though they have no bytes */
TEST_F(first_come, what_is_waited_for_is_bounded)
{
	enum { NR = 40 };
	int *fd = kt_shared(sizeof(*fd));
	struct kt_job *jobs[NR];
	char letter[1];
	long sent = 0;

	*fd = self->fd;
	kt_one_cpu();
	for (int i = 0; i < NR; i++) {
		jobs[i] = kt_start(KT_THREAD, receive_nowhere, fd);
		ASSERT_TRUE(kt_asleep(jobs[i]));
	}
	kt_go_first(true);
	for (int i = 0; i < NR; i++)
		sent += !kipc_send(self->fd, "", 0, 0);
	kt_go_first(false);
	EXPECT_EQ(4, sent);
	/* All who wait try it, in vain */
	for (int i = 0; i < NR; i++)
		EXPECT_EQ(-EFAULT, kt_join(jobs[i]));
	EXPECT_EQ(4, kt_stat(self->fd).msgs);
	EXPECT_EQ(-EAGAIN, kipc_send(self->fd, "", 0, 0));
	for (int i = 0; i < 4; i++)
		EXPECT_EQ(0, kt_recv(self->fd, 0, KIPC_ANYSIZE, 0, letter, 1, NULL));
	EXPECT_TRUE(kt_quiet(self->fd));
}

/* With the receiver that was to have it, killed, it comes back too; with the endpoint it ends */
TEST_F(first_come, what_nobody_came_to_take)
{
	struct receiver *receiver = kt_new(struct receiver);
	struct kt_job *job;
	char buf[64];
	int fd;

	*receiver = (struct receiver){ .fd = self->fd, .type = 64 };
	kt_one_cpu();
	job = kt_start(KT_FORK, receive_so_much, receiver);
	ASSERT_TRUE(kt_asleep(job));
	kt_go_first(true);
	EXPECT_EQ(0, kipc_send(self->fd, "kept", 4, 0));
	kill(job->pid, SIGKILL);
	kt_go_first(false);
	EXPECT_EQ(KT_DIED - SIGKILL, kt_join(job));
	EXPECT_EQ(1, kt_stat(self->fd).msgs);
	EXPECT_EQ(4, kt_recv(self->fd, 0, KIPC_NONBLOCK, 0, buf, sizeof(buf), NULL));

	fd = kt_private(self->dev, KIPC_OPEN_FIRST_COME, NULL);
	receiver->fd = fd;
	job = kt_start(KT_FORK, receive_so_much, receiver);
	ASSERT_TRUE(kt_asleep(job));
	kt_go_first(true);
	EXPECT_EQ(0, kipc_send(fd, "ends", 4, 0));
	EXPECT_EQ(0, kt_remove(self->dev, kt_id(fd)));
	kt_go_first(false);
	EXPECT_EQ(-EIDRM, kt_join(job));
	close(fd);
	EXPECT_TRUE(kt_quiet(self->fd));
}

/* Of all turns that handles with MQUEUE have */
TEST_F(first_come, all_who_wait_by_priority_are_told)
{
	static const int nices[] = { 5, 0, -5, 0 };
	enum { NR = sizeof(nices) / sizeof(nices[0]) };
	const struct kipc_attr attr = { .max_size = 65, .max_msgs = 2, .max_bytes = 65 };
	struct kipc_endpoint larger = { .attr = attr };
	struct nice_receiver *receivers = kt_shared(NR * sizeof(*receivers));
	struct kt_job *jobs[NR];
	int mqueue;

	mqueue = (int)kt_openl(self->dev, .flags = KIPC_OPEN_ANY_OWNER | KIPC_OPEN_MQUEUE,
			       .id = kt_id(self->fd), .rights = KT_ALL_RIGHTS);
	ASSERT_LE(0, mqueue);
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < NR; i++) {
			/* The last one without that flag */
			receivers[i] = (struct nice_receiver){
				.fd = i == NR - 1 && !round ? self->fd : mqueue,
				.nice = nices[i], .room = 64 + (uint32_t)round };
			jobs[i] = kt_start(i % 2 ? KT_THREAD : KT_FORK, receive_nicely,
					   &receivers[i]);
			ASSERT_TRUE(kt_asleep(jobs[i]));
		}
		EXPECT_EQ(0, round ? kipc_shutdown(mqueue) :
				     kipc_set(self->fd, 0, KIPC_SET_CAPACITY, &larger));
		for (int i = 0; i < NR; i++)
			EXPECT_EQ(round ? -ESHUTDOWN : -EMSGSIZE, kt_join(jobs[i]));
	}
	close(mqueue);
	EXPECT_TRUE(kt_quiet(self->fd));
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
