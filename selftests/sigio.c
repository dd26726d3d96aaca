// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * O_ASYNC: a signal where epoll would see an edge.
 */
#include "call_common.h"
#include "harness.h"

#define SIG (SIGRTMIN + 3)

FIXTURE(sigio) {
	int dev;
	int srv;	/* may receive */
	int cli;	/* may send */
};

static void watch(int fd)
{
	kt_need(!fcntl(fd, F_SETOWN, getpid()));
	kt_need(!fcntl(fd, F_SETSIG, SIG));
	kt_need(!fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_ASYNC));
}

FIXTURE_SETUP(sigio)
{
	struct kipc_attr attr = { .max_msgs = 2 };
	sigset_t set;
	int all;

	/* They wait until they are asked for */
	sigemptyset(&set);
	sigaddset(&set, SIG);
	sigaddset(&set, SIGIO);
	ASSERT_EQ(0, sigprocmask(SIG_BLOCK, &set, NULL));
	self->dev = kt_device();
	all = private_endpoint(0, &attr);
	ASSERT_LE(0, all);
	self->srv = open_same(all, KIPC_RIGHT_RECV);
	self->cli = open_same(all, KIPC_RIGHT_SEND);
	ASSERT_LE(0, self->srv);
	ASSERT_LE(0, self->cli);
	close(all);
}

FIXTURE_TEARDOWN(sigio)
{
	close(self->cli);
	close(self->srv);
	close(self->dev);
}

/* The next signal: its band, if it is about @fd; 0: none */
static long told(int fd)
{
	const struct timespec now = { 0 };
	siginfo_t info;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIG);
	sigaddset(&set, SIGIO);
	memset(&info, 0, sizeof(info));
	if (sigtimedwait(&set, &info, &now) != SIG)
		return info.si_signo ? -info.si_signo : 0;
	if (info.si_fd != fd) {
		kt_complain("a signal for descriptor %d", info.si_fd);
		return -1;
	}
	switch (info.si_code) {
	case POLL_IN:
		return info.si_band == (POLLIN | POLLRDNORM) ? POLLIN : -2;
	case POLL_OUT:
		return info.si_band == (POLLOUT | POLLWRNORM | POLLWRBAND) ? POLLOUT : -2;
	case POLL_PRI:
		return info.si_band == (POLLPRI | POLLRDBAND) ? POLLPRI : -2;
	case POLL_HUP:
		return info.si_band == (POLLHUP | POLLERR) ? POLLHUP : -2;
	default:
		return -3;
	}
}

TEST_F(sigio, each_arrival_is_told)
{
	struct kipc_result result;

	/* what was there before is not */
	ASSERT_EQ(0, kipc_send(self->cli, "x", 1, 0));
	watch(self->srv);
	EXPECT_EQ(0, told(self->srv));
	ASSERT_EQ(0, kipc_send(self->cli, "x", 1, 0));
	EXPECT_EQ(POLLIN, told(self->srv));
	EXPECT_EQ(0, told(self->srv));
	ASSERT_EQ(1, take(self->srv, &result));
	ASSERT_EQ(1, take(self->srv, &result));
	EXPECT_EQ(0, told(self->srv));
	/* a call as well */
	ASSERT_NE(0, start(self->cli, 0, 1, -1));
	EXPECT_EQ(POLLIN, told(self->srv));
	EXPECT_EQ(0, told(self->srv));
}

TEST_F(sigio, what_goes_to_a_receiver_is_not)
{
	struct job *jobs = jobs_new(1);
	int other = open_same(self->srv, KIPC_RIGHT_RECV);

	watch(self->srv);
	jobs->fd = other;
	job_start(jobs, job_recv);
	await_asleep(jobs);
	ASSERT_EQ(0, kipc_send(self->cli, "x", 1, 0));
	ASSERT_EQ(0, job_join(jobs));
	EXPECT_EQ(1, jobs->ret);
	EXPECT_EQ(0, told(self->srv));
	close(other);
}

TEST_F(sigio, room_is_told_to_who_lacked_it)
{
	struct kipc_result result;

	watch(self->cli);
	for (unsigned int i = 0; i < 3; i++) {
		ASSERT_EQ(0, kipc_send(self->cli, "x", 1, 0));
		ASSERT_EQ(0, kipc_send(self->cli, "x", 1, 0));
		ASSERT_EQ(-EAGAIN, kipc_send(self->cli, "x", 1, 0));
		EXPECT_EQ(0, told(self->cli));
		ASSERT_EQ(1, take(self->srv, &result));
		EXPECT_EQ(POLLOUT, told(self->cli));
		/* once: it had room since */
		ASSERT_EQ(1, take(self->srv, &result));
		EXPECT_EQ(0, told(self->cli));
	}
}

/* Who sets O_ASYNC when it is full already need not ask for room first */
TEST_F(sigio, room_is_told_to_who_comes_late)
{
	struct kipc_result result;

	ASSERT_EQ(0, kipc_send(self->cli, "x", 1, 0));
	ASSERT_EQ(0, kipc_send(self->cli, "x", 1, 0));
	watch(self->cli);
	EXPECT_EQ(0, told(self->cli));
	ASSERT_EQ(1, take(self->srv, &result));
	EXPECT_EQ(POLLOUT, told(self->cli));
}

TEST_F(sigio, a_finished_call_is_told)
{
	struct kipc_msg req = { .endpoint = kt_id(self->srv) };
	int fds[2] = { self->cli, self->dev };
	struct kipc_result result;

	for (unsigned int i = 0; i < 2; i++) {
		watch(fds[i]);
		ASSERT_TRUE(i ? !kipc_rpc_start(self->dev, &req, 0, NULL, -1) :
				start(self->cli, 0, 1, -1));
		EXPECT_EQ(0, told(fds[i]));
		ASSERT_EQ(0, take(self->srv, &result));
		ASSERT_EQ(0, kipc_reply(self->srv, result.token, NULL, 0));
		EXPECT_EQ(POLLPRI, told(fds[i]));
		EXPECT_EQ(0, told(fds[i]));
		ASSERT_EQ(0, finish(fds[i], 0, &result));
	}
}

TEST_F(sigio, p08_the_end_is_told_once_to_each)
{
	int all = private_endpoint(0, NULL), cli = open_same(all, KIPC_RIGHT_SEND);
	int control = open_same(all, KIPC_RIGHT_CONTROL);

	watch(all);
	ASSERT_EQ(0, kipc_remove(all, 0));
	EXPECT_EQ(POLLHUP, told(all));
	EXPECT_EQ(0, told(all));
	/* who comes after it */
	watch(cli);
	EXPECT_EQ(0, told(cli));
	close(control);
	close(cli);
	close(all);

	all = private_endpoint(0, NULL);
	control = open_same(all, KIPC_RIGHT_CONTROL);
	watch(control);
	close(all);
	EXPECT_EQ(POLLHUP, told(control));
	EXPECT_EQ(0, told(control));
	close(control);
}

TEST_F(sigio, that_no_receiver_is_left_is_told)
{
	int all = private_endpoint(KIPC_OPEN_KEEP_BY_ANY, NULL);
	int cli = open_same(all, KIPC_RIGHT_SEND);

	watch(cli);
	close(all);
	EXPECT_EQ(POLLHUP, told(cli));
	EXPECT_EQ(0, told(cli));
	close(cli);
}

TEST_F(sigio, a_shutdown_is_told_to_its_file_alone)
{
	int other = open_same(self->srv, KIPC_RIGHT_RECV);

	watch(self->srv);
	ASSERT_EQ(0, kipc_shutdown(other));
	EXPECT_EQ(0, told(self->srv));
	ASSERT_EQ(0, kipc_shutdown(self->srv));
	EXPECT_EQ(POLLHUP, told(self->srv));
	close(other);
}

TEST_F(sigio, without_o_async_nothing_is)
{
	struct kipc_result result;

	watch(self->srv);
	/* a second time is no second signal */
	watch(self->srv);
	ASSERT_EQ(0, kipc_send(self->cli, "x", 1, 0));
	EXPECT_EQ(POLLIN, told(self->srv));
	EXPECT_EQ(0, told(self->srv));
	EXPECT_TRUE(fcntl(self->srv, F_GETFL) & O_ASYNC);
	ASSERT_EQ(0, fcntl(self->srv, F_SETFL, 0));
	EXPECT_FALSE(fcntl(self->srv, F_GETFL) & O_ASYNC);
	ASSERT_EQ(1, take(self->srv, &result));
	ASSERT_EQ(0, kipc_send(self->cli, "x", 1, 0));
	EXPECT_EQ(0, told(self->srv));
	/* and again */
	watch(self->srv);
	ASSERT_EQ(0, kipc_send(self->cli, "x", 1, 0));
	EXPECT_EQ(POLLIN, told(self->srv));
}

/* The default is SIGIO, which tells nothing more */
TEST_F(sigio, sigio_itself)
{
	ASSERT_EQ(0, fcntl(self->srv, F_SETOWN, getpid()));
	ASSERT_EQ(0, fcntl(self->srv, F_SETFL, O_ASYNC));
	ASSERT_EQ(0, kipc_send(self->cli, "x", 1, 0));
	EXPECT_EQ(-SIGIO, told(self->srv));
	EXPECT_EQ(0, told(self->srv));
}

static long own_for_parent(void *arg)
{
	return fcntl(*(int *)arg, F_SETOWN, getppid());
}

/* It goes to a thread, and not to a process to whom he who said so may send no signal */
TEST_F(sigio, who_is_told)
{
	struct f_owner_ex owner = { F_OWNER_TID, (pid_t)syscall(SYS_gettid) };
	struct kipc_result result;

	watch(self->srv);
	ASSERT_EQ(0, fcntl(self->srv, F_SETOWN_EX, &owner));
	ASSERT_EQ(0, kipc_send(self->cli, "x", 1, 0));
	EXPECT_EQ(POLLIN, told(self->srv));
	ASSERT_EQ(1, take(self->srv, &result));

	EXPECT_EQ(0, kt_run(KT_AS(KT_UID_A), own_for_parent, &self->srv));
	ASSERT_EQ(0, kipc_send(self->cli, "x", 1, 0));
	EXPECT_EQ(0, told(self->srv));
}

/* Closed while it is set, by the last descriptor of several */
TEST_F(sigio, it_ends_with_the_file)
{
	int fd = open_same(self->srv, KIPC_RIGHT_RECV), copy = dup(fd);

	watch(fd);
	close(fd);
	ASSERT_EQ(0, kipc_send(self->cli, "x", 1, 0));
	/* the number is that by which it was set */
	EXPECT_EQ(POLLIN, told(fd));
	close(copy);
	ASSERT_EQ(0, kipc_send(self->cli, "x", 1, 0));
	EXPECT_EQ(0, told(fd));
	EXPECT_EQ(2, kt_stat(self->srv).msgs);
}

struct toggle {
	int fd;
	volatile int stop;
	unsigned long times;
};

static long toggle(void *arg)
{
	struct toggle *t = arg;

	while (!t->stop) {
		kt_need(!fcntl(t->fd, F_SETFL, O_ASYNC));
		kt_need(!fcntl(t->fd, F_SETFL, 0));
		t->times++;
	}
	return 0;
}

/* Set and cleared by several threads while messages come */
TEST_F(sigio, set_and_cleared_all_the_time)
{
	struct toggle t = { .fd = self->srv };
	struct kt_job *jobs[2];
	struct kipc_result result;

	ASSERT_EQ(0, fcntl(self->srv, F_SETOWN, getpid()));
	for (unsigned int i = 0; i < 2; i++)
		jobs[i] = kt_start(KT_THREAD, toggle, &t);
	for (unsigned int i = 0; i < 20000; i++) {
		ASSERT_EQ(0, kipc_send(self->cli, "x", 1, 0));
		ASSERT_EQ(1, take(self->srv, &result));
	}
	t.stop = 1;
	EXPECT_EQ(0, kt_join(jobs[0]));
	EXPECT_EQ(0, kt_join(jobs[1]));
	EXPECT_LT(10, t.times);
	while (told(self->srv))
		;
	ASSERT_EQ(0, kipc_send(self->cli, "x", 1, 0));
	EXPECT_EQ(0, told(self->srv));
}

TEST_HARNESS_MAIN
