// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * poll, select and epoll on handles and device files, and SHUTDOWN.
 */
#include <sys/epoll.h>
#include <sys/select.h>

#include "harness.h"
#include "call_common.h"

#define READABLE	(POLLIN | POLLRDNORM)
#define WRITABLE	(POLLOUT | POLLWRNORM)

FIXTURE(poll) {
	int dev;
	int srv;	/* may receive */
	int cli;	/* may send */
	struct job *jobs;
};

FIXTURE_SETUP(poll)
{
	struct kipc_attr attr = { .max_size = JOB_BUF, .max_msgs = 4 };
	int all;

	self->dev = kt_device();
	all = private_endpoint(0, &attr);
	ASSERT_LE(0, all);
	self->srv = open_same(all, KIPC_RIGHT_RECV);
	ASSERT_LE(0, self->srv);
	self->cli = open_same(all, KIPC_RIGHT_SEND);
	ASSERT_LE(0, self->cli);
	close(all);
	self->jobs = jobs_new(4);
}

FIXTURE_TEARDOWN(poll)
{
	close(self->cli);
	close(self->srv);
	close(self->dev);
}

/* All that poll() says of a file */
static int said(int fd)
{
	struct pollfd pfd = {
		.fd = fd,
		.events = READABLE | WRITABLE | POLLPRI | POLLRDHUP | POLLRDBAND | POLLWRBAND,
	};

	return poll(&pfd, 1, 0) < 0 ? -1 : pfd.revents;
}

static void sleep_in_poll(struct job *job)
{
	struct pollfd pfd = { .fd = job->fd, .events = (short)job->token };

	job->ret = poll(&pfd, 1, -1) == 1 ? pfd.revents : -errno;
}

static bool start_poller(struct job *job, int fd, short events)
{
	job->fd = fd;
	job->token = (uint64_t)events;
	job_start_thread(job, sleep_in_poll);
	return kt_until(job_sleeps_in(job, SYS_poll));
}

TEST_F(poll, readable_when_a_receive_would_succeed)
{
	struct kipc_result result;
	uint64_t token;

	EXPECT_EQ(0, said(self->srv));
	EXPECT_EQ(WRITABLE, said(self->cli));
	ASSERT_EQ(0, kt_send(self->cli, 0, 1, 0, "m", 1));
	EXPECT_EQ(READABLE, said(self->srv));
	EXPECT_EQ(WRITABLE, said(self->cli));
	/* a receive that fails leaves it there */
	EXPECT_EQ(-EFAULT, kt_recv(self->srv, 0, 0, 0, kt_hole(), 1, &result));
	EXPECT_EQ(READABLE, said(self->srv));
	ASSERT_EQ(1, take(self->srv, &result));
	EXPECT_EQ(0, said(self->srv));

	token = start(self->cli, 0, 1, -1);
	EXPECT_EQ(READABLE, said(self->srv));
	ASSERT_EQ(0, kipc_cancel(self->cli, token));
	EXPECT_EQ(0, said(self->srv));
}

TEST_F(poll, a_claimed_message_is_not_there)
{
	struct job *receiver = &self->jobs[0];

	receiver->fd = self->srv;
	receiver->stall = STALL_OUT;
	ASSERT_EQ(0, kt_send(self->cli, 0, 1, 0, "m", 1));
	job_start(receiver, job_recv);
	await_stalled(receiver);
	EXPECT_EQ(0, said(self->srv));
	/* put back when its receiver dies, for all to see */
	ASSERT_TRUE(job_kill(receiver));
	EXPECT_EQ(READABLE, said(self->srv));
}

TEST_F(poll, writable_when_a_send_would_be_admitted)
{
	struct kipc_result result;

	for (unsigned int i = 0; i < 4; i++) {
		EXPECT_EQ(WRITABLE, said(self->cli));
		ASSERT_EQ(0, kt_send(self->cli, 0, 1, 0, "m", 1));
	}
	EXPECT_EQ(0, said(self->cli));
	EXPECT_EQ(READABLE, said(self->srv));
	ASSERT_EQ(1, take(self->srv, &result));
	EXPECT_EQ(WRITABLE, said(self->cli));
}

TEST_F(poll, writable_means_the_largest_message)
{
	struct kipc_attr attr = { .max_size = 100, .max_bytes = 150 };
	int srv = private_endpoint(0, &attr), cli = open_same(srv, KIPC_RIGHT_SEND);
	char bytes[51] = { 0 };

	ASSERT_EQ(0, kt_send(cli, 0, 1, 0, bytes, 50));
	EXPECT_EQ(WRITABLE, said(cli));
	ASSERT_EQ(0, kt_send(cli, 0, 1, 0, bytes, 1));
	EXPECT_EQ(0, said(cli));
	ASSERT_EQ(0, kt_send(cli, 0, 1, 0, bytes, 51));
	close(cli);
	close(srv);
}

/* ... of those that the queue has room for at all */
TEST_F(poll, writable_with_less_room_than_one_message)
{
	struct kipc_attr attr = { .max_size = 100, .max_bytes = 50 };
	int srv = private_endpoint(KIPC_OPEN_FIRST_COME, &attr);
	int cli = open_same(srv, KIPC_RIGHT_SEND);
	char bytes[50] = { 0 };

	EXPECT_EQ(WRITABLE, said(cli));
	ASSERT_EQ(0, kt_send(cli, 0, 1, 0, bytes, 1));
	EXPECT_EQ(0, said(cli));
	close(cli);
	close(srv);
}

/* Opens as an ordinary user and sends; the test sees the same file by pidfd. */
static void open_and_send(struct job *job)
{
	job->fd = (int)kt_openl(job->fd, .flags = KIPC_OPEN_ANY_OWNER, .rights = KIPC_RIGHT_SEND,
				.id = (uint32_t)job->token);
	while (!kt_send(job->fd, 0, 1, 0, "m", 1))
		job->size++;
	job->ret = said(job->fd);
	job->done = 1;
	job_hold(job);
}

TEST_F(poll, p10_writable_for_the_user_who_opened)
{
	struct job *user = &self->jobs[0];
	struct kipc_result result;
	int pidfd, file;

	user->fd = self->dev;
	user->token = kt_id(self->srv);
	job_start_as(user, KT_AS(KT_UID_A), open_and_send);
	await(user->done);
	/* half of what there is */
	EXPECT_EQ(2, user->size);
	EXPECT_EQ(0, user->ret);
	EXPECT_EQ(WRITABLE, said(self->cli));

	pidfd = (int)syscall(SYS_pidfd_open, user->kt->pid, 0);
	file = (int)syscall(SYS_pidfd_getfd, pidfd, user->fd, 0);
	ASSERT_LE(0, file);
	/* it is the opener's share that counts, whoever asks */
	EXPECT_EQ(0, said(file));
	ASSERT_EQ(1, take(self->srv, &result));
	EXPECT_EQ(WRITABLE, said(file));
	close(file);
	close(pidfd);
	EXPECT_TRUE(job_kill(user));
}

TEST_F(poll, at_a_rendezvous_writable_when_a_receiver_waits)
{
	int srv = private_endpoint(KIPC_OPEN_RENDEZVOUS, NULL);
	int cli = open_same(srv, KIPC_RIGHT_SEND);
	struct job *receiver = &self->jobs[0], *poller = &self->jobs[1];
	struct pollfd pfd = { .fd = cli, .events = POLLOUT };

	EXPECT_EQ(0, said(cli));
	receiver->fd = srv;
	job_start_thread(receiver, job_recv);
	/* and it is told */
	EXPECT_EQ(1, poll(&pfd, 1, -1));
	EXPECT_EQ(WRITABLE, said(cli));
	await_asleep(receiver);
	ASSERT_EQ(0, kt_send(cli, 0, 1, 0, "m", 1));
	EXPECT_EQ(0, said(cli));
	ASSERT_EQ(0, job_join(receiver));
	EXPECT_EQ(1, receiver->ret);

	/* a sender that waits is readable: the receive would succeed */
	poller->fd = cli;
	job_start_thread(poller, job_send);
	await_asleep(poller);
	EXPECT_EQ(READABLE, said(srv) & READABLE);
	ASSERT_EQ(0, take(srv, &receiver->result));
	ASSERT_EQ(0, job_join(poller));
	close(cli);
	close(srv);
}

TEST_F(poll, at_a_rendezvous_a_poller_is_woken_by_a_receiver)
{
	int srv = private_endpoint(KIPC_OPEN_RENDEZVOUS, NULL);
	int cli = open_same(srv, KIPC_RIGHT_SEND);
	struct job *receiver = &self->jobs[0], *poller = &self->jobs[1];

	ASSERT_TRUE(start_poller(poller, cli, POLLOUT));
	receiver->fd = srv;
	job_start(receiver, job_recv);
	ASSERT_EQ(0, job_join(poller));
	EXPECT_EQ(POLLOUT, poller->ret);
	EXPECT_TRUE(job_kill(receiver));
	close(cli);
	close(srv);
}

TEST_F(poll, rdhup_when_no_receiver_is_left)
{
	int all = private_endpoint(KIPC_OPEN_PERSIST, NULL);
	int cli = open_same(all, KIPC_RIGHT_SEND | KIPC_RIGHT_CONTROL), again;
	struct epoll_event event = { .events = EPOLLRDHUP | EPOLLET };
	int ep = epoll_create1(EPOLL_CLOEXEC);

	ASSERT_LE(0, cli);
	ASSERT_EQ(0, epoll_ctl(ep, EPOLL_CTL_ADD, cli, &event));
	EXPECT_EQ(WRITABLE, said(cli));
	EXPECT_EQ(0, epoll_wait(ep, &event, 1, 0));
	close(all);
	EXPECT_EQ(1, epoll_wait(ep, &event, 1, 0));
	EXPECT_EQ(EPOLLRDHUP, event.events);
	EXPECT_EQ(WRITABLE | POLLRDHUP, said(cli));
	again = open_same(cli, KIPC_RIGHT_RECV);
	EXPECT_EQ(WRITABLE, said(cli));
	EXPECT_EQ(0, kipc_remove(cli, 0));
	close(again);
	close(cli);
	close(ep);
}

/* The same with the endpoint that any handle keeps, and for who sleeps in poll() */
TEST_F(poll, rdhup_wakes_who_polls_and_goes_with_a_new_receiver)
{
	static const uint32_t keeps[] = { KIPC_OPEN_KEEP_BY_ANY, KIPC_OPEN_PERSIST };
	struct kipc_attr attr = { .max_msgs = 1 };
	struct job *poller = &self->jobs[0];

	for (unsigned int i = 0; i < 2 * ARRAY_SIZE(keeps); i++) {
		int all = private_endpoint(keeps[i / 2], &attr), less, again;
		int cli = open_same(all, KIPC_RIGHT_SEND | KIPC_RIGHT_CONTROL);
		uint32_t id = kt_id(all);

		/* with room that could be waited for, and without */
		if (i % 2)
			ASSERT_EQ(0, kt_send(cli, 0, 1, 0, "m", 1));
		ASSERT_TRUE(start_poller(poller, cli, POLLRDHUP));
		/* one that may receive is left, though it does not; and may not even, after this */
		less = kipc_restrict(all, KIPC_RIGHT_RECV, 0);
		ASSERT_LE(0, less);
		ASSERT_EQ(0, kipc_shutdown(less));
		close(all);
		EXPECT_EQ(i % 2 ? 0 : WRITABLE, said(cli));
		EXPECT_EQ(POLLRDHUP, said(less) & (POLLRDHUP | POLLHUP));
		EXPECT_FALSE(poller->done);
		close(less);
		ASSERT_EQ(0, job_join(poller));
		EXPECT_EQ(POLLRDHUP, poller->ret);
		EXPECT_EQ(POLLRDHUP | (i % 2 ? 0 : WRITABLE), said(cli));
		/* who comes is one, and the next one who polls waits again */
		again = kt_again(self->dev, id, KIPC_RIGHT_RECV);
		ASSERT_LE(0, again);
		EXPECT_EQ(i % 2 ? 0 : WRITABLE, said(cli));
		ASSERT_TRUE(start_poller(poller, cli, POLLRDHUP));
		EXPECT_EQ(i % 2 ? READABLE : 0, said(again));
		close(again);
		ASSERT_EQ(0, job_join(poller));
		EXPECT_EQ(POLLRDHUP, poller->ret);
		/* the end is another thing */
		ASSERT_TRUE(start_poller(poller, cli, 0));
		ASSERT_EQ(0, kipc_remove(cli, 0));
		ASSERT_EQ(0, job_join(poller));
		EXPECT_EQ(POLLHUP, poller->ret);
		EXPECT_EQ(POLLHUP, said(cli));
		close(cli);
	}
}

/* Who may neither send nor receive hears of it, too */
TEST_F(poll, rdhup_and_hup_for_who_may_control)
{
	int all = private_endpoint(KIPC_OPEN_KEEP_BY_ANY, NULL);
	int control = kipc_restrict(all, KIPC_RIGHT_CONTROL, 0);
	struct job *poller = &self->jobs[0];

	EXPECT_EQ(0, said(control));
	ASSERT_TRUE(start_poller(poller, control, POLLRDHUP));
	close(all);
	ASSERT_EQ(0, job_join(poller));
	EXPECT_EQ(POLLRDHUP, poller->ret);
	ASSERT_TRUE(start_poller(poller, control, POLLIN | POLLOUT | POLLPRI));
	ASSERT_EQ(0, kipc_remove(control, 0));
	ASSERT_EQ(0, job_join(poller));
	EXPECT_EQ(POLLHUP, poller->ret);
	close(control);
}

/* Without either flag the end of the last receiver is the endpoint's */
TEST_F(poll, hup_when_the_last_receiver_goes)
{
	struct job *poller = &self->jobs[0];
	int other = open_same(self->srv, KIPC_RIGHT_RECV);

	ASSERT_TRUE(start_poller(poller, self->cli, POLLRDHUP));
	close(self->srv);
	EXPECT_EQ(WRITABLE, said(self->cli));
	EXPECT_FALSE(poller->done);
	close(other);
	ASSERT_EQ(0, job_join(poller));
	EXPECT_EQ(POLLHUP, poller->ret & POLLHUP);
	EXPECT_EQ(POLLHUP, said(self->cli));
}

TEST_F(poll, p08_hup_when_it_is_removed)
{
	int control = open_same(self->srv, KIPC_RIGHT_CONTROL);

	ASSERT_EQ(0, kt_send(self->cli, 0, 1, 0, "m", 1));
	ASSERT_EQ(0, kipc_remove(control, 0));
	EXPECT_EQ(POLLHUP, said(self->srv) & (POLLHUP | POLLIN | POLLERR));
	EXPECT_EQ(POLLHUP, said(self->cli) & (POLLHUP | POLLIN | POLLERR));
	EXPECT_EQ(POLLHUP, said(control) & (POLLHUP | POLLIN | POLLERR));
	close(control);
}

TEST_F(poll, a_device_file_polls_for_replies_only)
{
	struct kipc_msg req = { .endpoint = kt_id(self->srv) };
	struct kipc_result result;

	EXPECT_EQ(0, said(self->dev));
	ASSERT_EQ(0, kipc_rpc_start(self->dev, &req, 0, NULL, -1));
	EXPECT_EQ(0, said(self->dev));
	ASSERT_EQ(0, take(self->srv, &result));
	ASSERT_EQ(0, kipc_reply(self->srv, result.token, NULL, 0));
	EXPECT_EQ(POLLPRI, said(self->dev));
	EXPECT_EQ(WRITABLE, said(self->cli));
	ASSERT_EQ(0, finish(self->dev, 0, &result));
	EXPECT_EQ(0, said(self->dev));
}

static fd_set sets[3];

static int select_all(int in, int out)
{
	struct timeval now = { 0 };

	for (unsigned int i = 0; i < 3; i++)
		FD_ZERO(&sets[i]);
	FD_SET(in, &sets[0]);
	FD_SET(out, &sets[1]);
	FD_SET(out, &sets[2]);
	return select((in > out ? in : out) + 1, &sets[0], &sets[1], &sets[2], &now);
}

TEST_F(poll, select_knows_the_three_sets)
{
	struct kipc_result result;

	EXPECT_EQ(1, select_all(self->srv, self->cli));
	EXPECT_TRUE(FD_ISSET(self->cli, &sets[1]));
	ASSERT_NE(0, start(self->cli, 0, 1, -1));
	EXPECT_EQ(2, select_all(self->srv, self->cli));
	EXPECT_TRUE(FD_ISSET(self->srv, &sets[0]));
	ASSERT_EQ(0, take(self->srv, &result));
	ASSERT_EQ(0, kipc_reply(self->srv, result.token, NULL, 0));
	EXPECT_EQ(2, select_all(self->srv, self->cli));
	EXPECT_FALSE(FD_ISSET(self->srv, &sets[0]));
	EXPECT_TRUE(FD_ISSET(self->cli, &sets[1]));
	EXPECT_TRUE(FD_ISSET(self->cli, &sets[2]));
}

/* ---- epoll ---- */

static int epoll_on(int fd, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.fd = fd };
	int ep = epoll_create1(EPOLL_CLOEXEC);

	kt_need(!epoll_ctl(ep, EPOLL_CTL_ADD, fd, &event));
	return ep;
}

/* What epoll has to tell now, 0 if nothing */
static uint32_t told(int ep)
{
	struct epoll_event event = { 0 };

	return epoll_wait(ep, &event, 1, 0) == 1 ? event.events : 0;
}

TEST_F(poll, every_arrival_is_an_edge)
{
	int ep = epoll_on(self->srv, EPOLLIN | EPOLLET);
	struct kipc_result result;

	EXPECT_EQ(0, told(ep));
	for (unsigned int i = 0; i < 3; i++) {
		ASSERT_EQ(0, kt_send(self->cli, 0, 1, 0, "m", 1));
		EXPECT_EQ(EPOLLIN, told(ep));
		EXPECT_EQ(0, told(ep));
	}
	ASSERT_NE(0, start(self->cli, 0, 1, -1));
	EXPECT_EQ(EPOLLIN, told(ep));
	EXPECT_EQ(0, told(ep));
	/* taking one is no arrival */
	ASSERT_EQ(1, take(self->srv, &result));
	EXPECT_EQ(0, told(ep));
	close(ep);
}

TEST_F(poll, a_message_that_is_put_back_is_an_arrival)
{
	struct job *receiver = &self->jobs[0];
	int ep = epoll_on(self->srv, EPOLLIN | EPOLLET);

	receiver->fd = self->srv;
	receiver->stall = STALL_OUT;
	job_start(receiver, job_recv);
	await_asleep(receiver);
	ASSERT_EQ(0, kt_send(self->cli, 0, 1, 0, "m", 1));
	await_stalled(receiver);
	EXPECT_EQ(0, told(ep));
	ASSERT_TRUE(job_kill(receiver));
	EXPECT_EQ(EPOLLIN, told(ep));
	close(ep);
}

TEST_F(poll, an_idempotent_call_that_comes_back_is_an_arrival)
{
	struct job *server = &self->jobs[0];
	int ep;

	ASSERT_NE(0, start(self->cli, KIPC_IDEMPOTENT, 1, -1));
	server->fd = self->srv;
	job_start(server, job_take);
	await(server->done);
	ep = epoll_on(self->srv, EPOLLIN | EPOLLET);
	EXPECT_EQ(0, told(ep));
	ASSERT_TRUE(job_kill(server));
	EXPECT_EQ(EPOLLIN, told(ep));
	close(ep);
}

TEST_F(poll, room_is_an_edge)
{
	int ep = epoll_on(self->cli, EPOLLOUT | EPOLLET);
	struct kipc_result result;

	EXPECT_EQ(EPOLLOUT, told(ep));
	EXPECT_EQ(0, told(ep));
	for (unsigned int i = 0; i < 4; i++)
		ASSERT_EQ(0, kt_send(self->cli, 0, 1, 0, "m", 1));
	EXPECT_EQ(0, told(ep));
	ASSERT_EQ(1, take(self->srv, &result));
	EXPECT_EQ(EPOLLOUT, told(ep));
	EXPECT_EQ(0, told(ep));
	close(ep);
}

TEST_F(poll, a_finished_call_is_an_edge)
{
	int ep = epoll_on(self->cli, EPOLLPRI | EPOLLET);
	struct kipc_result one, two;

	ASSERT_NE(0, start(self->cli, 0, 1, -1));
	ASSERT_NE(0, start(self->cli, 0, 2, -1));
	ASSERT_EQ(0, take(self->srv, &one));
	ASSERT_EQ(0, take(self->srv, &two));
	EXPECT_EQ(0, told(ep));
	ASSERT_EQ(0, kipc_reply(self->srv, one.token, NULL, 0));
	EXPECT_EQ(EPOLLPRI, told(ep));
	EXPECT_EQ(0, told(ep));
	ASSERT_EQ(0, kipc_reply(self->srv, two.token, NULL, 0));
	EXPECT_EQ(EPOLLPRI, told(ep));
	EXPECT_EQ(0, told(ep));
	close(ep);
}

TEST_F(poll, level_triggered_tells_it_until_it_is_taken)
{
	int ep = epoll_on(self->srv, EPOLLIN);
	struct kipc_result result;

	ASSERT_EQ(0, kt_send(self->cli, 0, 1, 0, "m", 1));
	EXPECT_EQ(EPOLLIN, told(ep));
	EXPECT_EQ(EPOLLIN, told(ep));
	ASSERT_EQ(1, take(self->srv, &result));
	EXPECT_EQ(0, told(ep));
	close(ep);
}

TEST_F(poll, a_poller_is_woken_by_a_message)
{
	struct job *poller = &self->jobs[0];

	ASSERT_TRUE(start_poller(poller, self->srv, POLLIN));
	ASSERT_EQ(0, kt_send(self->cli, 0, 1, 0, "m", 1));
	ASSERT_EQ(0, job_join(poller));
	EXPECT_EQ(POLLIN, poller->ret);
}

TEST_F(poll, a_poller_is_woken_by_room)
{
	struct job *poller = &self->jobs[0];
	struct kipc_result result;

	for (unsigned int i = 0; i < 4; i++)
		ASSERT_EQ(0, kt_send(self->cli, 0, 1, 0, "m", 1));
	ASSERT_TRUE(start_poller(poller, self->cli, POLLOUT));
	ASSERT_EQ(1, take(self->srv, &result));
	ASSERT_EQ(0, job_join(poller));
	EXPECT_EQ(POLLOUT, poller->ret);
}

/* Who becomes the owner is bound by no share any more */
TEST_F(poll, a_poller_is_woken_by_becoming_the_owner)
{
	struct kipc_op_stat set = { .what = KIPC_SET_UID, .info.uid = KT_UID_A };
	struct job *poller = &self->jobs[0];
	int file;

	/* the handle has no CONTROL; root has, by id */
	ASSERT_EQ(0, kt_chmod(self->dev, kt_id(self->srv), 0666));
	set.endpoint = kt_id(self->srv);
	file = (int)kt_do_as(KT_UID_A, kt_openl(self->dev, .id = kt_id(self->srv),
						.flags = KIPC_OPEN_ANY_OWNER,
						.rights = KIPC_RIGHT_SEND));
	ASSERT_LE(0, file);
	for (unsigned int i = 0; i < 2; i++)
		ASSERT_EQ(0, kt_do_as(KT_UID_A, kt_send(file, 0, 1, 0, "m", 1)));
	ASSERT_TRUE(start_poller(poller, file, POLLOUT));
	EXPECT_EQ(0, kt_op_set(self->dev, &set));
	ASSERT_EQ(0, job_join(poller));
	EXPECT_EQ(POLLOUT, poller->ret);
	close(file);
}

TEST_F(poll, a_poller_is_woken_by_a_finished_call)
{
	struct job *poller = &self->jobs[0];
	struct kipc_result result;

	ASSERT_NE(0, start(self->cli, 0, 1, -1));
	ASSERT_EQ(0, take(self->srv, &result));
	ASSERT_TRUE(start_poller(poller, self->cli, POLLPRI));
	ASSERT_EQ(0, kipc_reply(self->srv, result.token, NULL, 0));
	ASSERT_EQ(0, job_join(poller));
	EXPECT_EQ(POLLPRI, poller->ret);
}

/* How often the task has gone to sleep by itself */
static long sleeps(struct job *job)
{
	char path[64], text[4096], *p;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/status", job->kt->pid, job->kt->tid);
	if (kt_read_file(path, text, sizeof(text)) <= 0)
		return -1;
	p = strstr(text, "\nvoluntary_ctxt_switches:");
	return p ? atol(strchr(p, ':') + 1) : -1;
}

TEST_F(poll, p13_a_handoff_wakes_no_poller)
{
	struct job *receiver = &self->jobs[0], *poller = &self->jobs[1];
	long before;

	ASSERT_TRUE(start_poller(poller, self->srv, POLLIN));
	before = sleeps(poller);
	ASSERT_LT(0, before);
	receiver->fd = self->srv;
	for (unsigned int i = 0; i < 10; i++) {
		job_start_thread(receiver, job_recv);
		await_asleep(receiver);
		ASSERT_EQ(0, kt_send(self->cli, 0, 1, 0, "m", 1));
		ASSERT_EQ(0, job_join(receiver));
		ASSERT_EQ(1, receiver->ret);
	}
	EXPECT_TRUE(job_sleeps_in(poller, SYS_poll));
	EXPECT_EQ(before, sleeps(poller));
	/* nobody else takes this one */
	ASSERT_EQ(0, kt_send(self->cli, 0, 1, 0, "m", 1));
	ASSERT_EQ(0, job_join(poller));
	EXPECT_EQ(POLLIN, poller->ret);
}

/* Closes each file as soon as it is shown one. */
static void close_all(struct job *job)
{
	volatile int *slot = (volatile int *)&job->token;
	int fd;

	while (!job->head.status) {
		fd = __atomic_exchange_n(slot, 0, __ATOMIC_ACQ_REL);
		if (fd)
			close(fd);
	}
}

TEST_F(poll, epoll_racing_close)
{
	struct job *closer = &self->jobs[0];
	volatile int *slot = (volatile int *)&closer->token;
	struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET };
	int ep = epoll_create1(EPOLL_CLOEXEC), fd, srv;

	job_start_thread(closer, close_all);
	for (unsigned int i = 0; i < 300; i++) {
		/* the last of its endpoint, or one of several */
		srv = i & 1 ? private_endpoint(0, NULL) : open_same(self->srv, KIPC_RIGHT_RECV);
		ASSERT_LE(0, srv);
		fd = i & 1 ? open_same(srv, KIPC_RIGHT_SEND) : srv;
		ASSERT_LE(0, fd);
		ASSERT_EQ(0, epoll_ctl(ep, EPOLL_CTL_ADD, fd, &event));
		__atomic_store_n(slot, srv, __ATOMIC_RELEASE);
		epoll_wait(ep, &event, 1, 0);
		event.events = EPOLLIN | EPOLLET;
		epoll_ctl(ep, EPOLL_CTL_MOD, fd, &event);
		epoll_wait(ep, &event, 1, 0);
		while (__atomic_load_n(slot, __ATOMIC_ACQUIRE))
			sched_yield();
		if (fd != srv)
			close(fd);
	}
	closer->head.status = 1;
	ASSERT_EQ(0, job_join(closer));
	close(ep);
	EXPECT_TRUE(kt_quiet(self->srv));
	EXPECT_EQ(2, kt_stat(self->srv).handles);
}

/* ---- SHUTDOWN ---- */

TEST_F(poll, shutdown_ends_receiving_on_this_file_only)
{
	struct job *mine = &self->jobs[0], *also_mine = &self->jobs[1], *others = &self->jobs[2];
	int other = open_same(self->srv, KIPC_RIGHT_RECV);
	struct kipc_result result;
	char buf[8];

	mine->fd = self->srv;
	also_mine->fd = dup(self->srv);
	also_mine->head.flags = KIPC_TYPE_EQ;
	also_mine->head.type = 3;
	others->fd = other;
	job_start_thread(mine, job_recv);
	job_start_thread(also_mine, job_recv);
	job_start_thread(others, job_recv);
	await_asleep(mine);
	await_asleep(also_mine);
	await_asleep(others);
	ASSERT_EQ(0, kipc_shutdown(self->srv));
	ASSERT_EQ(0, job_join(mine));
	ASSERT_EQ(0, job_join(also_mine));
	EXPECT_EQ(-ESHUTDOWN, mine->ret);
	EXPECT_EQ(-ESHUTDOWN, also_mine->ret);
	EXPECT_FALSE(others->done);
	EXPECT_EQ(POLLRDHUP, said(self->srv) & POLLRDHUP);
	EXPECT_EQ(0, said(other) & POLLRDHUP);

	ASSERT_EQ(0, kt_send(self->cli, 0, 1, 0, "m", 1));
	ASSERT_EQ(0, job_join(others));
	EXPECT_EQ(1, others->ret);
	ASSERT_EQ(0, kt_send(self->cli, 0, 1, 0, "m", 1));
	EXPECT_EQ(-ESHUTDOWN, kt_recv(self->srv, 0, 0, 0, buf, sizeof(buf), &result));
	EXPECT_EQ(1, kt_stat(self->srv).msgs);
	EXPECT_EQ(1, kt_recv(other, 0, 0, 0, buf, sizeof(buf), &result));
	EXPECT_EQ(0, kipc_shutdown(self->srv));
	EXPECT_EQ(-EBADF, kipc_shutdown(self->cli));
	EXPECT_EQ(-EBADF, kipc_shutdown(self->dev));
	EXPECT_TRUE(kt_quiet(self->srv));
	close(also_mine->fd);
	close(other);
}

TEST_F(poll, what_was_taken_before_the_shutdown_can_be_answered)
{
	struct kipc_result one, two, three, result;
	uint64_t first, second, third;
	char buf[JOB_BUF];

	first = start(self->cli, 0, 1, -1);
	second = start(self->cli, 0, 2, -1);
	third = start(self->cli, 0, 3, -1);
	ASSERT_EQ(0, take(self->srv, &one));
	ASSERT_EQ(0, take(self->srv, &two));
	ASSERT_EQ(0, take(self->srv, &three));
	ASSERT_EQ(0, kipc_shutdown(self->srv));
	EXPECT_EQ(0, kipc_wanted(self->srv, one.token));
	EXPECT_EQ(0, kipc_adopt(self->srv, one.token));
	EXPECT_EQ(0, kipc_reply(self->srv, one.token, "reply", 5));
	EXPECT_EQ(5, finish(self->cli, first, &result));
	/* REPLY_RECV makes its reply and only then says so */
	EXPECT_EQ(-ESHUTDOWN, kipc_reply_recv(self->srv, "re", 2, buf, sizeof(buf), &two, -1));
	EXPECT_EQ(0, two.token);
	EXPECT_EQ(KIPC_RESULT_REPLIED, two.flags);
	EXPECT_EQ(2, finish(self->cli, second, &result));
	/* and what is still open breaks with the file */
	close(self->srv);
	EXPECT_EQ(-ECONNRESET, finish(self->cli, third, &result));
}

TEST_F(poll, a_receive_under_way_ends_by_the_shutdown)
{
	struct job *receiver = &self->jobs[0];
	struct kipc_result result;
	int file = open_same(self->srv, KIPC_RIGHT_RECV);

	receiver->fd = file;
	receiver->stall = STALL_OUT;
	ASSERT_EQ(0, kt_send(self->cli, 0, 1, 0, "m", 1));
	job_start(receiver, job_recv);
	await_stalled(receiver);
	ASSERT_EQ(0, kipc_shutdown(file));
	job_release(receiver);
	ASSERT_EQ(0, job_join(receiver));
	EXPECT_EQ(-ESHUTDOWN, receiver->ret);
	/* it is there for other handles */
	EXPECT_EQ(1, take(self->srv, &result));
	close(file);
}

TEST_F(poll, who_may_not_receive_hears_of_no_message)
{
	int ep = epoll_on(self->cli, EPOLLIN | EPOLLOUT | EPOLLET);

	EXPECT_EQ(EPOLLOUT, told(ep));
	ASSERT_EQ(0, kt_send(self->cli, 0, 1, 0, "m", 1));
	EXPECT_EQ(0, told(ep));
	close(ep);
}

/* A sender that was refused, not by poll, waits for an edge */
TEST_F(poll, room_is_an_edge_for_who_was_refused)
{
	struct kipc_attr attr = { .max_msgs = 1 };
	int srv = private_endpoint(0, &attr), cli = open_same(srv, KIPC_RIGHT_SEND);
	int ep = epoll_on(cli, EPOLLOUT | EPOLLET);
	struct kipc_result result;

	for (unsigned int i = 0; i < 3; i++) {
		EXPECT_EQ(EPOLLOUT, told(ep));
		ASSERT_EQ(0, kt_send(cli, 0, 1, 0, "m", 1));
		EXPECT_EQ(0, told(ep));
		ASSERT_EQ(-EAGAIN, kt_send(cli, 0, 1, 0, "m", 1));
		EXPECT_EQ(0, told(ep));
		ASSERT_EQ(1, take(srv, &result));
	}
	close(ep);
	close(cli);
	close(srv);
}

TEST_HARNESS_MAIN
