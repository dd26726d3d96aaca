// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * NOTIFY: one process is told, once, of a message that comes into an empty queue
 * while nobody waits for it.
 */
#include <sys/eventfd.h>

#include "harness.h"
#include "call_common.h"

#define SIG	(SIGRTMIN + 4)
#define VALUE	0x123456789abcdefULL
#define ROUNDS	300
#define MANY	40	/* threads */

FIXTURE(notify) {
	int dev;
	int srv;	/* all rights */
	int cli;	/* may send */
	uint32_t id;
};

FIXTURE_SETUP(notify)
{
	sigset_t set;

	/* It waits until it is asked for */
	sigemptyset(&set);
	sigaddset(&set, SIG);
	ASSERT_EQ(0, sigprocmask(SIG_BLOCK, &set, NULL));
	self->dev = kt_device();
	self->srv = private_endpoint(0, NULL);
	ASSERT_LE(0, self->srv);
	self->id = kt_id(self->srv);
	self->cli = open_same(self->srv, KIPC_RIGHT_SEND);
	ASSERT_LE(0, self->cli);
	ASSERT_EQ(0, kt_chmod(self->srv, 0, 0666));
}

FIXTURE_TEARDOWN(notify)
{
	close(self->cli);
	close(self->srv);
	close(self->dev);
}

static long notify(int fd, uint32_t how, uint32_t signo, uint64_t value)
{
	return kipc_notify(fd, how, (int)signo, value, -1);
}

static long notify_signal(int fd)
{
	return notify(fd, KIPC_NOTIFY_SIGNAL, SIG, VALUE);
}

/* Is nobody to be told? Then it is so afterwards, too */
static bool nobody(int fd)
{
	if (notify(fd, KIPC_NOTIFY_NONE, 0, 0))
		return false;
	kt_need(!notify(fd, KIPC_NOTIFY_END, 0, 0));
	return true;
}

/* The signal, if there is one; it does not come later */
static bool told(siginfo_t *info)
{
	const struct timespec now = { 0 };
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIG);
	return sigtimedwait(&set, info, &now) == SIG;
}

static bool untold(void)
{
	siginfo_t info;

	return !told(&info);
}

static long send_one(void *arg)
{
	return kipc_send(*(int *)arg, "x", 1, 0);
}

static long take_one(int fd)
{
	char buf[64];

	return kt_recv(fd, 0, KIPC_ANYSIZE, 0, buf, sizeof(buf), NULL);
}

TEST_F(notify, a_signal_says_who_sent)
{
	siginfo_t info;
	struct kt_job *job;

	ASSERT_EQ(0, notify_signal(self->srv));
	EXPECT_TRUE(untold());
	job = kt_start(KT_AS(KT_UID_A), send_one, &self->cli);
	ASSERT_EQ(0, kt_join(job));
	ASSERT_TRUE(told(&info));
	EXPECT_EQ(SI_MESGQ, info.si_code);
	EXPECT_EQ(job->pid, info.si_pid);
	EXPECT_EQ(KT_UID_A, info.si_uid);
	EXPECT_EQ(VALUE, kt_ptr(info.si_value.sival_ptr));
	EXPECT_EQ(1, kt_stat(self->srv).msgs);
}

TEST_F(notify, once)
{
	siginfo_t info;

	ASSERT_EQ(0, notify_signal(self->srv));
	ASSERT_EQ(0, kipc_send(self->cli, "x", 1, 0));
	EXPECT_TRUE(told(&info));
	EXPECT_TRUE(nobody(self->srv));
	EXPECT_EQ(1, take_one(self->srv));
	ASSERT_EQ(0, kipc_send(self->cli, "x", 1, 0));
	EXPECT_TRUE(untold());
}

TEST_F(notify, a_queue_that_was_not_empty)
{
	siginfo_t info;

	ASSERT_EQ(0, kipc_send(self->cli, "x", 1, 0));
	ASSERT_EQ(0, notify_signal(self->srv));
	ASSERT_EQ(0, kipc_send(self->cli, "x", 1, 0));
	EXPECT_TRUE(untold());
	EXPECT_EQ(1, take_one(self->srv));
	EXPECT_EQ(1, take_one(self->srv));
	EXPECT_TRUE(untold());
	ASSERT_EQ(0, kipc_send(self->cli, "x", 1, 0));
	EXPECT_TRUE(told(&info));
}

TEST_F(notify, somebody_waits_for_it)
{
	struct job *job = jobs_new(1);
	siginfo_t info;

	job->fd = self->srv;
	job->head.flags = KIPC_ANYSIZE | KIPC_TYPE_EQ;
	job->head.type = 1;
	job_start(job, job_recv);
	await_asleep(job);
	ASSERT_EQ(0, notify_signal(self->srv));
	ASSERT_EQ(0, kt_send(self->cli, 0, 1, 0, "x", 1));
	ASSERT_EQ(0, job_join(job));
	EXPECT_EQ(1, job->ret);
	EXPECT_TRUE(untold());

	/* who waits for another type leaves it in the queue */
	job_start(job, job_recv);
	await_asleep(job);
	ASSERT_EQ(0, kt_send(self->cli, 0, 2, 0, "x", 1));
	EXPECT_TRUE(told(&info));
	EXPECT_TRUE(job_kill(job));
}

/* Whoever saw an empty queue would wait for ever: no later message is the first */
TEST_F(notify, a_message_that_comes_back)
{
	char *hole = kt_hole();
	struct kipc_op_recv op = {
		.flags = KIPC_ANYSIZE,
		.deadline = KIPC_FOREVER,
		.payload = { .base = kt_ptr(hole), .len = 1 },
	};
	struct kt_job *job, *sender;
	siginfo_t info;

	/* It was handed to who waited, and could not store it */
	job = kt_start_ioctl(KT_THREAD, self->srv, KIPC_IOC_RECV, &op);
	ASSERT_TRUE(kt_asleep(job));
	ASSERT_EQ(0, notify_signal(self->srv));
	sender = kt_start(KT_AS(KT_UID_A), send_one, &self->cli);
	ASSERT_EQ(0, kt_join(sender));
	EXPECT_EQ(-EFAULT, kt_join(job));
	EXPECT_EQ(1, kt_stat(self->srv).msgs);
	ASSERT_TRUE(told(&info));
	EXPECT_EQ(sender->pid, info.si_pid);
	EXPECT_EQ(KT_UID_A, info.si_uid);
	EXPECT_TRUE(nobody(self->srv));

	/* It was taken out of the queue, and comes back */
	ASSERT_EQ(0, notify_signal(self->srv));
	EXPECT_EQ(-EFAULT, kt_recv(self->srv, 0, KIPC_ANYSIZE, 0, hole, 1, NULL));
	ASSERT_TRUE(told(&info));
	EXPECT_EQ(sender->pid, info.si_pid);
}

/*
 * At a FIRST_COME endpoint. Who receives tells nobody of the message that takes its place;
 * but a receive takes time, in which the queue is empty.
 */
TEST_F(notify, a_message_that_waited_for_room)
{
	const struct kipc_attr attr = { .max_size = 64, .max_msgs = 1, .max_bytes = 64 };
	static const uint32_t flags[] = {
		0, KIPC_NONBLOCK, KIPC_NONBLOCK | KIPC_PEEK,
		KIPC_NONBLOCK | KIPC_PEEK | KIPC_INDEX,
	};
	int fd = kt_private(self->dev, KIPC_OPEN_FIRST_COME, &attr);
	struct pollfd poller = { .fd = fd, .events = POLLIN };
	struct kipc_op_send send = kt_send_op("x", 1);

	/* Nobody looks meanwhile, or who would receive, peek, peek by index, poll, or NOTIFY */
	for (int look = 0; look < 6; look++) {
		struct kt_stall *stall = kt_stall_new(0);
		struct kipc_op_recv op = kt_recv_op(stall->page, 64, NULL);
		struct kt_job *sender, *receiver;
		siginfo_t info;
		char buf[64];

		ASSERT_EQ(0, kipc_send(fd, "x", 1, 0));
		sender = kt_start_ioctl(KT_THREAD, fd, KIPC_IOC_SEND, &send);
		ASSERT_TRUE(kt_asleep(sender));
		if (look < 5)
			ASSERT_EQ(0, notify_signal(fd));
		receiver = kt_start_ioctl(KT_THREAD, fd, KIPC_IOC_RECV, &op);
		ASSERT_TRUE(kt_stalled(stall));
		switch (look) {
		case 0:
			break;
		case 4:
			EXPECT_EQ(0, poll(&poller, 1, 0));
			break;
		case 5:
			ASSERT_EQ(0, notify_signal(fd));
			break;
		default:
			EXPECT_EQ(-EAGAIN, kt_recv(fd, 0, flags[look], 0, buf, 64, NULL));
		}
		kt_release(stall);
		EXPECT_EQ(1, kt_join(receiver));
		EXPECT_EQ(0, kt_join(sender));
		EXPECT_EQ(!!look, told(&info));
		EXPECT_EQ(1, take_one(fd));
		EXPECT_EQ(0, notify(fd, KIPC_NOTIFY_END, 0, 0));
	}
	close(fd);
}

/* ... and one that took less than it could knows that there was no more */
TEST_F(notify, a_message_that_waited_for_a_batch)
{
	const struct kipc_attr attr = { .max_size = 64, .max_msgs = 1, .max_bytes = 64 };
	int fd = kt_private(self->dev, KIPC_OPEN_FIRST_COME, &attr);
	struct kipc_op_send send = kt_send_op("x", 1);

	for (unsigned int count = 1; count < 3; count++) {
		struct kipc_result results[2];
		char buf[128];
		struct iovec iov = { buf, sizeof(buf) };
		const struct kipc_msg batch = { .iov = &iov, .iovcnt = 1 };
		struct kt_job *sender;
		siginfo_t info;

		ASSERT_EQ(0, kipc_send(fd, "x", 1, 0));
		sender = kt_start_ioctl(KT_THREAD, fd, KIPC_IOC_SEND, &send);
		ASSERT_TRUE(kt_asleep(sender));
		ASSERT_EQ(0, notify_signal(fd));
		EXPECT_EQ(1, kipc_recv_batch(fd, &batch, results, count, 0));
		EXPECT_EQ(0, kt_join(sender));
		EXPECT_EQ(count > 1, told(&info));
		EXPECT_EQ(1, take_one(fd));
		EXPECT_EQ(0, notify(fd, KIPC_NOTIFY_END, 0, 0));
	}
	close(fd);
}

TEST_F(notify, a_call)
{
	struct job *job = jobs_new(1);
	siginfo_t info;

	ASSERT_EQ(0, notify_signal(self->srv));
	job->fd = self->cli;
	job_start(job, job_rpc);
	await_asleep(job);
	EXPECT_TRUE(told(&info));
	EXPECT_EQ(job->kt->pid, info.si_pid);
	EXPECT_TRUE(job_kill(job));
}

TEST_F(notify, an_eventfd_counts_it)
{
	int event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	eventfd_t count = 0;

	ASSERT_LE(0, event);
	ASSERT_EQ(0, notify(self->srv, KIPC_NOTIFY_EVENTFD, 0, (uint64_t)event));
	EXPECT_EQ(-1, eventfd_read(event, &count));
	ASSERT_EQ(0, kipc_send(self->cli, "x", 1, 0));
	EXPECT_EQ(0, eventfd_read(event, &count));
	EXPECT_EQ(1, count);
	EXPECT_TRUE(nobody(self->srv));

	/* it is held, not its number */
	EXPECT_EQ(1, take_one(self->srv));
	ASSERT_EQ(0, notify(self->srv, KIPC_NOTIFY_EVENTFD, 0, (uint64_t)event));
	ASSERT_EQ(event, dup2(self->cli, event));
	ASSERT_EQ(0, kipc_send(self->cli, "x", 1, 0));
	close(event);
	EXPECT_TRUE(nobody(self->srv));
}

/* One of the two counts, once */
TEST_F(notify, an_end_without_notice_is_told)
{
	int event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	int ended = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	struct kipc_op_notify op = {
		.flags = KIPC_NOTIFY_TELL_END,
		.how = KIPC_NOTIFY_EVENTFD,
		.value = (uint64_t)event,
		.end = (uint64_t)ended,
	};
	eventfd_t count = 0;
	int copy;

	ASSERT_EQ(0, kt_ioctl(self->srv, KIPC_IOC_NOTIFY, &op));
	ASSERT_EQ(0, kipc_send(self->cli, "x", 1, 0));
	EXPECT_EQ(0, eventfd_read(event, &count));
	EXPECT_EQ(0, notify(self->srv, KIPC_NOTIFY_END, 0, 0));
	EXPECT_EQ(-1, eventfd_read(ended, &count));
	EXPECT_EQ(1, take_one(self->srv));

	/* by END, by close, and by the end of the endpoint */
	for (unsigned int i = 0; i < 3; i++) {
		copy = dup(self->srv);
		ASSERT_EQ(0, kt_ioctl(self->srv, KIPC_IOC_NOTIFY, &op));
		EXPECT_EQ(-EBUSY, kt_ioctl(self->srv, KIPC_IOC_NOTIFY, &op));
		EXPECT_EQ(-1, eventfd_read(ended, &count));
		if (i == 1)
			close(copy);
		else
			EXPECT_EQ(0, i ? kipc_remove(self->srv, 0) :
					 notify(self->srv, KIPC_NOTIFY_END, 0, 0));
		EXPECT_EQ(0, eventfd_read(ended, &count));
		EXPECT_EQ(1, count);
		EXPECT_EQ(-1, eventfd_read(event, &count));
		if (i != 1)
			close(copy);
	}
	close(event);
	close(ended);
}

static long notify_none(void *arg)
{
	return notify(*(int *)arg, KIPC_NOTIFY_NONE, 0, 0);
}

static long notify_end(void *arg)
{
	return notify(*(int *)arg, KIPC_NOTIFY_END, 0, 0);
}

TEST_F(notify, one_at_a_time)
{
	siginfo_t info;

	ASSERT_EQ(0, notify_signal(self->srv));
	EXPECT_EQ(-EBUSY, notify_signal(self->srv));
	EXPECT_EQ(-EBUSY, notify(self->cli, KIPC_NOTIFY_NONE, 0, 0));
	EXPECT_EQ(-EBUSY, kt_run(KT_FORK, notify_none, &self->srv));
	/* another process does not end it; the same one does, through any handle */
	EXPECT_EQ(0, kt_run(KT_FORK, notify_end, &self->srv));
	EXPECT_EQ(-EBUSY, notify_signal(self->srv));
	EXPECT_EQ(0, notify(self->cli, KIPC_NOTIFY_END, 0, 0));
	EXPECT_TRUE(nobody(self->srv));
	/* no notice, but a place that is taken */
	EXPECT_EQ(0, notify(self->srv, KIPC_NOTIFY_NONE, 0, 0));
	EXPECT_EQ(-EBUSY, kt_run(KT_FORK, notify_none, &self->srv));
	ASSERT_EQ(0, kipc_send(self->cli, "x", 1, 0));
	EXPECT_TRUE(nobody(self->srv));
	/* to end what is not there is no error */
	EXPECT_EQ(0, notify(self->srv, KIPC_NOTIFY_END, 0, 0));
	EXPECT_FALSE(told(&info));
}

TEST_F(notify, a_closed_descriptor_ends_it)
{
	int other = open_same(self->srv, KIPC_RIGHT_SEND);
	int copy = dup(self->srv);
	int strange = private_endpoint(0, NULL);

	ASSERT_LE(0, other);
	ASSERT_LE(0, strange);
	ASSERT_EQ(0, notify_signal(self->srv));
	/* a copy of it, */
	close(copy);
	EXPECT_TRUE(nobody(self->srv));
	/* or another handle on the same endpoint, */
	ASSERT_EQ(0, notify_signal(self->srv));
	close(other);
	EXPECT_TRUE(nobody(self->srv));
	/* none on another one, */
	ASSERT_EQ(0, notify_signal(self->srv));
	close(strange);
	EXPECT_FALSE(nobody(self->srv));
	/* nor one of another process */
	EXPECT_EQ(0, kt_run(KT_FORK, notify_end, &self->srv));
	EXPECT_FALSE(nobody(self->srv));
	ASSERT_EQ(0, kipc_send(self->cli, "x", 1, 0));
	EXPECT_FALSE(untold());
}

/* Another thread closes the last descriptor while the first one asks */
TEST_F(notify, closed_meanwhile)
{
	struct kt_stall *stall = kt_stall_new(0);
	char *at = stall->page - offsetof(struct kipc_op_notify, reserved);
	struct kipc_op_notify op = { .how = KIPC_NOTIFY_NONE };
	int other = open_same(self->srv, KIPC_RIGHT_SEND);
	struct kt_job *job;

	ASSERT_LE(0, other);
	memcpy(at, &op, offsetof(struct kipc_op_notify, reserved));
	job = kt_start_ioctl(KT_THREAD, other, KIPC_IOC_NOTIFY, at);
	ASSERT_TRUE(kt_stalled(stall));
	close(other);
	kt_release(stall);
	EXPECT_EQ(-EBADF, kt_join(job));
	EXPECT_TRUE(nobody(self->srv));
}

static long notify_and_hold(void *arg)
{
	long ret = notify(*(int *)arg, KIPC_NOTIFY_NONE, 0, 0);

	kt_need(!ret);
	for (;;)
		pause();
}

TEST_F(notify, the_end_of_its_process_ends_it)
{
	struct kt_job *job;

	/* by exit, and killed, while others have the file */
	EXPECT_EQ(0, kt_run(KT_FORK, notify_none, &self->srv));
	EXPECT_TRUE(nobody(self->srv));
	job = kt_start(KT_FORK, notify_and_hold, &self->srv);
	ASSERT_TRUE(kt_until(!nobody(self->srv)));
	EXPECT_EQ(KT_DIED - SIGKILL, kt_kill(job));
	EXPECT_TRUE(nobody(self->srv));
}

struct table {
	int fd;
	struct kt_flag over;
};

/* ... but another one has its table of descriptors, in which nothing is closed then */
static long notify_and_leave_table(void *arg)
{
	struct table *table = arg;
	long other = syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0);

	kt_need(other >= 0);
	if (!other) {
		kt_await(&table->over);
		_exit(0);
	}
	return notify(table->fd, KIPC_NOTIFY_NONE, 0, 0);
}

TEST_F(notify, the_end_of_its_process_leaves_the_table)
{
	struct table *table = kt_shared(sizeof(*table));

	table->fd = self->srv;
	EXPECT_EQ(0, kt_run(KT_FORK, notify_and_leave_table, table));
	EXPECT_TRUE(nobody(self->srv));
	kt_raise(&table->over);
}

/* What a child does: asks for a signal that would kill it, and becomes another program */
static void run_another(int fd, int in, bool keep)
{
	sigset_t set;

	signal(SIG, SIG_DFL);
	sigfillset(&set);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	if (keep)
		fcntl(fd, F_SETFD, 0);
	if (dup2(in, 0) < 0 || notify_signal(fd))
		_exit(2);
	execl("/bin/sh", "sh", "-c", "read line; exit 3", NULL);
	_exit(4);
}

/* Has @pid become the shell that waits? */
static bool is_shell(pid_t pid)
{
	char path[64], text[64];

	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	return kt_read_file(path, text, sizeof(text)) > 0 && !strcmp(text, "sh\n");
}

static int another_program(FIXTURE_DATA(notify) *self, bool keep)
{
	int pipes[2], status = -1;
	bool gone;
	pid_t pid;

	kt_need(!pipe2(pipes, O_CLOEXEC));
	pid = fork();
	kt_need(pid >= 0);
	if (!pid) {
		/* the other handles would end it as well */
		if (keep)
			fcntl(self->cli, F_SETFD, 0);
		run_another(self->srv, pipes[0], keep);
	}
	kt_need(kt_until(is_shell(pid)));
	/* When it does not close the handle, it is the one to be told, but not by a signal */
	gone = nobody(self->srv);
	if (gone == keep)
		kt_complain("the program %s", gone ? "is not to be told" : "is to be told");
	else if (!kipc_send(self->cli, "x", 1, 0) && take_one(self->srv) == 1 &&
		 nobody(self->srv))
		kt_need(write(pipes[1], "\n", 1) == 1);
	close(pipes[1]);
	close(pipes[0]);
	kt_need(waitpid(pid, &status, 0) == pid);
	return status;
}

TEST_F(notify, another_program_never_asked_for_it)
{
	EXPECT_EQ(3 << 8, another_program(self, false));
	EXPECT_EQ(3 << 8, another_program(self, true));
}

TEST_F(notify, the_end_of_the_endpoint_ends_it)
{
	ASSERT_EQ(0, notify_signal(self->srv));
	ASSERT_EQ(0, kipc_remove(self->srv, 0));
	EXPECT_EQ(-EIDRM, notify_signal(self->srv));
	EXPECT_EQ(-EIDRM, notify(self->srv, KIPC_NOTIFY_END, 0, 0));
	EXPECT_TRUE(untold());
}

/* A thread that waits for the signal, which all the others block */
struct taker {
	int fd;			/* it asks for it itself here; else -1 */
	struct kt_flag asked;
	struct kt_flag sent;
	bool got;
};

static long take_signal(void *arg)
{
	struct timespec patience = { .tv_sec = KT_PATIENCE_MS / 1000 };
	struct taker *taker = arg;
	siginfo_t info;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIG);
	if (taker->fd >= 0) {
		kt_need(!notify_signal(taker->fd));
		kt_raise(&taker->asked);
		kt_need(kt_await(&taker->sent));
	}
	taker->got = sigtimedwait(&set, &info, &patience) == SIG;
	return 0;
}

static bool waits_for_signal(struct kt_job *job)
{
	char path[64], text[256];

	snprintf(path, sizeof(path), "/proc/%d/task/%d/wchan", job->pid, job->tid);
	return kt_read_file(path, text, sizeof(text)) > 0 && strstr(text, "sigtimedwait");
}

TEST_F(notify, another_thread_that_waits_for_the_signal_gets_it)
{
	struct taker taker = { .fd = -1 };
	struct kt_job *job = kt_start(KT_THREAD, take_signal, &taker);

	ASSERT_TRUE(kt_until(waits_for_signal(job)));
	ASSERT_EQ(0, notify_signal(self->srv));
	ASSERT_EQ(0, kipc_send(self->cli, "x", 1, 0));
	EXPECT_EQ(0, kt_join(job));
	EXPECT_TRUE(taker.got);
	EXPECT_TRUE(untold());
}

static long stand_by(void *arg)
{
	kt_need(kt_await(arg));
	return 0;
}

TEST_F(notify, the_last_of_many_threads_gets_it)
{
	struct taker taker = { .fd = -1 };
	struct kt_job *others[MANY], *job;
	struct kt_flag end = { 0 };

	for (unsigned int i = 0; i < MANY; i++)
		others[i] = kt_start(KT_THREAD, stand_by, &end);
	job = kt_start(KT_THREAD, take_signal, &taker);
	ASSERT_TRUE(kt_until(waits_for_signal(job)));
	ASSERT_EQ(0, notify_signal(self->srv));
	ASSERT_EQ(0, kipc_send(self->cli, "x", 1, 0));
	EXPECT_EQ(0, kt_join(job));
	EXPECT_TRUE(taker.got);
	kt_raise(&end);
	for (unsigned int i = 0; i < MANY; i++)
		EXPECT_EQ(0, kt_join(others[i]));
}

TEST_F(notify, when_all_threads_block_it_it_is_for_the_one_that_asked)
{
	struct taker taker = { .fd = self->srv };
	struct kt_job *job = kt_start(KT_THREAD, take_signal, &taker);

	ASSERT_TRUE(kt_await(&taker.asked));
	ASSERT_EQ(0, kipc_send(self->cli, "x", 1, 0));
	EXPECT_TRUE(untold());
	kt_raise(&taker.sent);
	EXPECT_EQ(0, kt_join(job));
	EXPECT_TRUE(taker.got);
}

static long ask_for_signal(void *arg)
{
	return notify_signal(*(int *)arg);
}

TEST_F(notify, a_thread_that_has_gone_leaves_it_to_the_first)
{
	siginfo_t info;

	ASSERT_EQ(0, kt_run(KT_THREAD, ask_for_signal, &self->srv));
	ASSERT_EQ(0, kipc_send(self->cli, "x", 1, 0));
	EXPECT_TRUE(told(&info));
}

/* The signal, once the first thread has ended, in the second one; all block it */
static void *outlive_first(void *arg)
{
	char path[64], text[512];
	siginfo_t info;
	int fd = *(int *)arg;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", getpid());
	if (!kt_until(kt_read_file(path, text, sizeof(text)) > 0 && strstr(text, ") Z ")))
		_exit(2);
	if (kipc_send(fd, "x", 1, 0))
		_exit(3);
	_exit(told(&info) ? 0 : 4);
}

TEST_F(notify, the_first_thread_has_gone)
{
	pthread_t thread;
	int status = -1;
	pid_t pid = fork();

	ASSERT_LE(0, pid);
	if (!pid) {
		if (notify_signal(self->srv) ||
		    pthread_create(&thread, NULL, outlive_first, &self->cli))
			_exit(5);
		/* pthread_exit(3) would need libgcc */
		syscall(SYS_exit, 0);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
}

TEST_F(notify, arguments)
{
	struct kipc_op_notify op = { .endpoint = self->id, .how = KIPC_NOTIFY_NONE };
	int pipes[2];

	EXPECT_EQ(-EBADF, kt_ioctl(self->dev, KIPC_IOC_NOTIFY, &op));
	EXPECT_EQ(-EINVAL, kt_ioctl(self->srv, KIPC_IOC_NOTIFY, &op));
	op.endpoint = 0;
	op.flags = 2;
	EXPECT_EQ(-EINVAL, kt_ioctl(self->srv, KIPC_IOC_NOTIFY, &op));
	op.flags = 0;
	op.reserved[2] = 1;
	EXPECT_EQ(-EINVAL, kt_ioctl(self->srv, KIPC_IOC_NOTIFY, &op));
	op.reserved[2] = 0;
	EXPECT_EQ(-EFAULT, kt_ioctl(self->srv, KIPC_IOC_NOTIFY, kt_hole()));
	EXPECT_EQ(-EINVAL, notify(self->srv, 4, 0, 0));
	EXPECT_EQ(-EINVAL, notify(self->srv, KIPC_NOTIFY_NONE, 1, 0));
	EXPECT_EQ(-EINVAL, notify(self->srv, KIPC_NOTIFY_NONE, 0, 1));
	EXPECT_EQ(-EINVAL, notify(self->srv, KIPC_NOTIFY_END, 0, 1));
	EXPECT_EQ(-EINVAL, notify(self->srv, KIPC_NOTIFY_SIGNAL, 65, 0));
	EXPECT_EQ(-EINVAL, notify(self->srv, KIPC_NOTIFY_SIGNAL, ~0U, 0));
	EXPECT_EQ(-EBADF, notify(self->srv, KIPC_NOTIFY_EVENTFD, 0, 1000));
	EXPECT_EQ(-EBADF, notify(self->srv, KIPC_NOTIFY_EVENTFD, 0, 1ULL << 32));
	ASSERT_EQ(0, pipe2(pipes, O_CLOEXEC));
	EXPECT_EQ(-EINVAL, notify(self->srv, KIPC_NOTIFY_EVENTFD, 0, (uint64_t)pipes[0]));
	EXPECT_EQ(-EINVAL, notify(self->srv, KIPC_NOTIFY_EVENTFD, 1, 0));
	op = (struct kipc_op_notify){ .how = KIPC_NOTIFY_NONE, .end = 1 };
	EXPECT_EQ(-EINVAL, kt_ioctl(self->srv, KIPC_IOC_NOTIFY, &op));
	op.flags = KIPC_NOTIFY_TELL_END;
	EXPECT_EQ(-EINVAL, kt_ioctl(self->srv, KIPC_IOC_NOTIFY, &op));
	op.how = KIPC_NOTIFY_EVENTFD;
	op.value = (uint64_t)eventfd(0, EFD_CLOEXEC);
	op.end = (uint64_t)pipes[0];
	EXPECT_EQ(-EINVAL, kt_ioctl(self->srv, KIPC_IOC_NOTIFY, &op));
	op.end = 1000;
	EXPECT_EQ(-EBADF, kt_ioctl(self->srv, KIPC_IOC_NOTIFY, &op));
	close((int)op.value);
	close(pipes[0]);
	close(pipes[1]);
	EXPECT_TRUE(nobody(self->srv));
	/* any handle will do */
	EXPECT_EQ(0, notify(self->cli, KIPC_NOTIFY_SIGNAL, 64, 0));
	EXPECT_EQ(0, notify(self->cli, KIPC_NOTIFY_END, 0, 0));
}

TEST_F(notify, signal_0_is_none)
{
	EXPECT_EQ(0, notify(self->srv, KIPC_NOTIFY_SIGNAL, 0, VALUE));
	EXPECT_EQ(-EBUSY, notify_signal(self->srv));
	EXPECT_EQ(0, kipc_send(self->cli, "x", 1, 0));
	EXPECT_TRUE(nobody(self->srv));
}

/* A sender against who asks and ends, and closes; a signal for each that was given, no more */
struct rivalry {
	int cli;
	volatile bool stop;
	volatile unsigned int sent;
};

static long send_all_the_time(void *arg)
{
	const struct timespec pause = { .tv_nsec = 1000 };	/* who takes is the faster one */
	struct rivalry *rivalry = arg;

	while (!rivalry->stop) {
		if (!kipc_send(rivalry->cli, "x", 1, 0))
			rivalry->sent++;
		nanosleep(&pause, NULL);
	}
	return 0;
}

TEST_F(notify, no_notice_after_its_end)
{
	uint64_t end = kt_now() + 10000 * KT_MS;
	struct rivalry rivalry = { .cli = self->cli };
	struct kt_job *job;
	unsigned int given = 0, asked = 0;
	siginfo_t info;
	int copy;

	job = kt_start(KT_THREAD, send_all_the_time, &rivalry);
	while (asked < ROUNDS && kt_now() < end) {
		copy = dup(self->srv);
		while (take_one(self->srv) >= 0)
			;
		if (notify_signal(self->srv))
			break;
		asked++;
		while (take_one(self->srv) >= 0)
			;
		/* now and then it certainly has come, else by chance */
		if (!(asked % 8))
			kt_need(kt_until(kt_stat(self->srv).msgs));
		if (asked % 2)
			close(copy);
		else if (notify(self->srv, KIPC_NOTIFY_END, 0, 0))
			break;
		if (told(&info))
			given++;
		/* from here on there is nobody to be told */
		while (take_one(self->srv) >= 0)
			;
		kt_need(kt_until(kt_stat(self->srv).msgs));
		EXPECT_TRUE(untold());
		if (!(asked % 2))
			close(copy);
	}
	rivalry.stop = true;
	EXPECT_EQ(0, kt_join(job));
	TH_LOG("%u of %u came before the end, %u messages", given, asked, rivalry.sent);
	EXPECT_LT(0, given);
}

TEST_HARNESS_MAIN
