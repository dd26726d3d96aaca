// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Promise 8: removal wakes everyone. Waiters of every kind stand at one
 * endpoint, many of each, when it is removed, loses its last receiving handle,
 * or its namespace ends.
 */
#include <sched.h>
#include <sys/epoll.h>

#include "harness.h"
#include "call_common.h"

#define EACH	16	/* waiters of each kind */

enum kind {
	TAKEN,		/* callers whose call a server has; first in the array */
	QUEUED,		/* callers and SYNC senders in the queue */
	SYNC_QUEUED,
	BLOCKED_SEND,	/* the queue is full for these */
	BLOCKED_SYNC,
	BLOCKED_CALL,
	BY_DEVICE,	/* callers by id */
	FINISH,		/* waiting for what they started */
	RECV_EQ,	/* receivers that nothing in the queue suits */
	RECV_LE,
	RECV_NE,
	RECV_DEVICE,
	POLL,
	EPOLL,
	KINDS,
};

/* The messages in the queue have this type */
#define TYPE	10

FIXTURE(removal) {
	int ns;			/* the network namespace the endpoint is in */
	int srv;
	int cli;
	int dev;
	uint32_t id;
	struct job *jobs;	/* EACH of each kind */
	uint64_t tokens[EACH];	/* of the deliveries */
};

static void job_poll(struct job *job)
{
	struct pollfd pfd = { .fd = job->fd };
	int ret;

	do {
		ret = poll(&pfd, 1, -1);
	} while (ret < 0 && errno == EINTR);
	job->ret = ret < 0 ? -errno : pfd.revents;
}

static void job_epoll(struct job *job)
{
	struct epoll_event event = { .events = EPOLLET };
	int ep = epoll_create1(EPOLL_CLOEXEC);

	kt_need(!epoll_ctl(ep, EPOLL_CTL_ADD, job->fd, &event));
	event.events = 0;
	kt_need(epoll_wait(ep, &event, 1, -1) == 1);
	job->ret = event.events;
	close(ep);
}

static const struct {
	void (*run)(struct job *job);
	uint32_t flags;
	uint64_t type;
	long sleeps_in;		/* 0: a kipc ioctl */
} kinds[KINDS] = {
	[TAKEN] = { job_rpc, 0, TYPE, 0 },
	[QUEUED] = { job_rpc, 0, TYPE, 0 },
	[SYNC_QUEUED] = { job_send, KIPC_SYNC, TYPE, 0 },
	[BLOCKED_SEND] = { job_send, 0, TYPE, 0 },
	[BLOCKED_SYNC] = { job_send, KIPC_SYNC, TYPE, 0 },
	[BLOCKED_CALL] = { job_rpc, 0, TYPE, 0 },
	[BY_DEVICE] = { job_rpc, 0, TYPE, 0 },
	[FINISH] = { job_finish, 0, 0, 0 },
	[RECV_EQ] = { job_recv, KIPC_TYPE_EQ, TYPE + 1, 0 },
	[RECV_LE] = { job_recv, KIPC_TYPE_LE, TYPE - 1, 0 },
	[RECV_NE] = { job_recv, KIPC_TYPE_NE, TYPE, 0 },
	[RECV_DEVICE] = { job_recv, KIPC_TYPE_EQ, TYPE + 1, 0 },
	[POLL] = { job_poll, 0, 0, SYS_poll },
	[EPOLL] = { job_epoll, 0, 0, SYS_epoll_wait },
};

FIXTURE_SETUP(removal)
{
	struct kipc_attr attr = { .max_msgs = 3 * EACH };
	int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);

	/*
	 * In a network namespace that lasts as long as self->ns. The device
	 * file and the handles do not keep it.
	 */
	ASSERT_EQ(0, unshare(CLONE_NEWNET));
	self->ns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	self->dev = kipc_open_device();
	ASSERT_LE(0, self->dev);
	self->srv = private_endpoint(0, &attr);
	ASSERT_LE(0, self->srv);
	self->cli = open_same(self->srv, KIPC_RIGHT_SEND);
	ASSERT_LE(0, self->cli);
	self->id = kt_id(self->srv);
	ASSERT_EQ(0, setns(home, CLONE_NEWNET));
	close(home);
	self->jobs = jobs_new(KINDS * EACH);
}

FIXTURE_TEARDOWN(removal)
{
}

static struct job *job_of(FIXTURE_DATA(removal) *self, unsigned int kind, unsigned int i)
{
	return &self->jobs[kind * EACH + i];
}

/* Starts all of a kind and waits until each of them waits. */
static bool start_kind(FIXTURE_DATA(removal) *self, unsigned int kind)
{
	for (unsigned int i = 0; i < EACH; i++) {
		struct job *job = job_of(self, kind, i);

		job->fd = self->cli;
		if (kind == BY_DEVICE || kind == RECV_DEVICE) {
			job->fd = self->dev;
			job->head.endpoint = self->id;
		} else if (kind >= RECV_EQ && kind <= RECV_NE) {
			job->fd = self->srv;
		} else if (kind == FINISH) {
			job->token = start(self->cli, 0, TYPE, -1);
			if (!job->token)
				return false;
		}
		job->head.flags = kinds[kind].flags;
		job->head.type = kinds[kind].type;
		if (kinds[kind].run == job_rpc)
			job->head.cookie = kind * EACH + i;
		job->size = 1;
		job_start_thread(job, kinds[kind].run);
	}
	for (unsigned int i = 0; i < EACH; i++) {
		struct job *job = job_of(self, kind, i);

		if (!kinds[kind].sleeps_in ? !kt_asleep(job->kt) :
		    !kt_until(job_sleeps_in(job, kinds[kind].sleeps_in)))
			return false;
	}
	return true;
}

/* Everybody in place. @receivers: those, too, that hold the receiving file. */
static bool crowd(FIXTURE_DATA(removal) *self, bool receivers)
{
	struct kipc_result result;

	if (!start_kind(self, TAKEN))
		return false;
	for (unsigned int i = 0; i < EACH; i++) {
		if (take(self->srv, &result) != 1)
			return false;
		self->tokens[i] = result.token;
	}
	for (unsigned int kind = QUEUED; kind <= EPOLL; kind++) {
		if (kind == BLOCKED_SEND) {
			/* the started ones before the queue is full */
			if (!start_kind(self, FINISH))
				return false;
			if (kt_stat(self->srv).msgs != 3 * EACH)
				return false;
		}
		if (kind == FINISH || (!receivers && kind >= RECV_EQ && kind <= RECV_NE))
			continue;
		if (!start_kind(self, kind))
			return false;
	}
	return kt_stat(self->srv).msgs == 3 * EACH && kt_stat(self->srv).calls == EACH;
}

/* Every one of them has ended, and rightly; taken calls with @taken. */
static void expect_all_woken(struct __test_metadata *_metadata, FIXTURE_DATA(removal) *self,
			     bool receivers, int taken)
{
	for (unsigned int kind = 0; kind < KINDS; kind++) {
		if (!receivers && kind >= RECV_EQ && kind <= RECV_NE)
			continue;
		for (unsigned int i = 0; i < EACH; i++) {
			struct job *job = job_of(self, kind, i);

			ASSERT_EQ(0, job_join(job)) {
				TH_LOG("kind %u number %u", kind, i);
			}
			if (kind >= POLL) {
				ASSERT_EQ(POLLHUP, job->ret & (POLLHUP | POLLIN | POLLERR));
				continue;
			}
			ASSERT_EQ(kind == TAKEN ? taken : -EIDRM, job->ret) {
				TH_LOG("kind %u number %u", kind, i);
			}
			if (kinds[kind].run != job_rpc)
				continue;
			ASSERT_EQ(kind == TAKEN ? KIPC_RESULT_DELIVERED : 0, job->result.flags);
			ASSERT_EQ(kind * EACH + i, job->result.cookie);
			ASSERT_EQ(0, job->result.token);
		}
	}
}

static void expect_dead(struct __test_metadata *_metadata, FIXTURE_DATA(removal) *self)
{
	struct kipc_endpoint info;
	struct kipc_result result;
	char buf[8];

	EXPECT_EQ(POLLHUP, polled(self->cli) & (POLLHUP | POLLIN | POLLERR | POLLOUT));
	EXPECT_EQ(-EIDRM, kipc_send(self->cli, "m", 1, 0));
	EXPECT_EQ(-EIDRM, kipc_rpc(self->cli, "m", 1, NULL, 0, -1));
	EXPECT_EQ(-EIDRM, kipc_rpc_start(self->cli, NULL, 0, NULL, -1));
	EXPECT_EQ(-EIDRM, kipc_stat(self->cli, 0, &info));
	EXPECT_EQ(-ENOENT, finish(self->cli, 0, &result));
	EXPECT_EQ(-EIDRM, kt_send(self->dev, self->id, 1, 0, "m", 1));
	EXPECT_EQ(-EIDRM, kt_recv(self->dev, self->id, 0, 0, buf, sizeof(buf), &result));
	EXPECT_EQ(-EIDRM, kt_remove(self->dev, self->id));
}

static void expect_dead_receiver(struct __test_metadata *_metadata, FIXTURE_DATA(removal) *self)
{
	struct kipc_result result;
	char buf[8];

	EXPECT_EQ(POLLHUP, polled(self->srv) & (POLLHUP | POLLIN | POLLERR | POLLOUT));
	EXPECT_EQ(-EIDRM, kt_recv(self->srv, 0, 0, 0, buf, sizeof(buf), &result));
	EXPECT_EQ(-EIDRM, kt_recv(self->srv, 0, KIPC_PEEK, 0, buf, sizeof(buf), &result));
	EXPECT_EQ(-EIDRM, kipc_set(self->srv, 0, KIPC_SET_MODE, &(struct kipc_endpoint){ 0 }));
	EXPECT_EQ(-EIDRM, kipc_remove(self->srv, 0));
	/* the servers of the taken calls are told, each once */
	for (unsigned int i = 0; i < EACH; i++)
		EXPECT_EQ(-ECANCELED, kipc_wanted(self->srv, self->tokens[i]));
	for (unsigned int i = 0; i < EACH; i++) {
		ASSERT_EQ(-ECANCELED, kipc_reply(self->srv, self->tokens[i], "late", 4));
		ASSERT_EQ(-EIDRM, kipc_reply(self->srv, self->tokens[i], "late", 4));
	}
}

TEST_F(removal, p08_remove)
{
	ASSERT_TRUE(crowd(self, true));
	ASSERT_EQ(0, kipc_remove(self->srv, 0));
	expect_all_woken(_metadata, self, true, -EIDRM);
	expect_dead(_metadata, self);
	expect_dead_receiver(_metadata, self);
}

TEST_F(removal, p08_remove_by_id)
{
	ASSERT_TRUE(crowd(self, true));
	ASSERT_EQ(0, kipc_remove(self->dev, self->id));
	expect_all_woken(_metadata, self, true, -EIDRM);
	expect_dead(_metadata, self);
	expect_dead_receiver(_metadata, self);
}

TEST_F(removal, p08_last_receiving_handle_closes)
{
	ASSERT_TRUE(crowd(self, false));
	close(self->srv);
	/* the file that took them went, and the endpoint with it */
	expect_all_woken(_metadata, self, false, -ECONNRESET);
	expect_dead(_metadata, self);
}

TEST_F(removal, p08_network_namespace_ends)
{
	ASSERT_TRUE(crowd(self, true));
	close(self->ns);
	expect_all_woken(_metadata, self, true, -EIDRM);
	expect_dead(_metadata, self);
	expect_dead_receiver(_metadata, self);
}

TEST_F(removal, p08_at_a_rendezvous)
{
	int srv = private_endpoint(KIPC_OPEN_RENDEZVOUS, NULL);
	int cli = open_same(srv, KIPC_RIGHT_SEND);
	struct job *send = &self->jobs[0], *call = &self->jobs[1];

	send->fd = cli;
	call->fd = cli;
	job_start_thread(send, job_send);
	job_start_thread(call, job_rpc);
	await_asleep(send);
	await_asleep(call);
	ASSERT_EQ(0, kipc_remove(srv, 0));
	ASSERT_EQ(0, job_join(send));
	ASSERT_EQ(0, job_join(call));
	EXPECT_EQ(-EIDRM, send->ret);
	EXPECT_EQ(-EIDRM, call->ret);
	EXPECT_EQ(0, call->result.flags);
}

static void open_by_wait(struct job *job)
{
	job->ret = kipc_open("kipc-selftest-removal-later", KIPC_RIGHT_SEND, -1);
}

TEST_F(removal, p08_those_that_wait_for_another_name_wait_on)
{
	struct job *opener = &self->jobs[0];
	int other;

	job_start_thread(opener, open_by_wait);
	await_asleep(opener);
	ASSERT_EQ(0, kipc_remove(self->srv, 0));
	EXPECT_FALSE(opener->done);
	await_asleep(opener);
	other = kipc_create("kipc-selftest-removal-later", 0, 0600, NULL);
	ASSERT_LE(0, other);
	ASSERT_EQ(0, job_join(opener));
	EXPECT_LE(0, opener->ret);
	/* alive: it is not the removed one */
	EXPECT_EQ(0, kipc_send((int)opener->ret, "m", 1, 0));
	close(other);
}

static void *open_in_namespace(void *arg)
{
	struct job *job = arg;

	kt_need(!setns((int)job->token, CLONE_NEWNET));
	/* a device file of the namespace; the thread goes home before it waits */
	job->fd = kipc_open_device();
	return NULL;
}

/* OPEN waits through the device file, which does not keep the namespace. */
static void open_wait_there(struct job *job)
{
	const char *name = "later";
	struct kipc_op_open op = {
		.flags = KIPC_OPEN_WAIT, .rights = KIPC_RIGHT_SEND,
		KT_NAME(name), .deadline = KIPC_FOREVER,
	};

	job->ret = kt_open(job->fd, &op);
}

TEST_F(removal, p08_end_of_the_namespace_wakes_those_that_wait_for_a_name)
{
	struct job *opener = &self->jobs[0];
	pthread_t thread;

	opener->token = (uint64_t)self->ns;
	ASSERT_EQ(0, pthread_create(&thread, NULL, open_in_namespace, opener));
	ASSERT_EQ(0, pthread_join(thread, NULL));
	ASSERT_LE(0, opener->fd);
	job_start_thread(opener, open_wait_there);
	await_asleep(opener);
	close(self->ns);
	ASSERT_EQ(0, job_join(opener));
	EXPECT_EQ(-EIDRM, opener->ret);
}

TEST_HARNESS_MAIN
