// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * mq_notify(3) and sigevent(7).
 */
#include <limits.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>

#include "dropin_posixmq.h"

#define SIG	(SIGRTMIN + 3)
#define VALUE	0x12345678

#define AS_A (&(struct kt_how){ .uid = KT_UID_A, .gid = KT_UID_A, .drop_caps = true })

FIXTURE(notify) {
	struct shared *shared;
	const char *name;
	mqd_t queue;
	unsigned int fds;	/* open before any of this */
};

FIXTURE_SETUP(notify)
{
	sigset_t set;

	self->shared = kt_new(struct shared);
	self->name = self->shared->name;
	new_name(self->shared->name, sizeof(self->shared->name));
	/* It waits until it is asked for */
	sigemptyset(&set);
	sigaddset(&set, SIG);
	ASSERT_EQ(0, sigprocmask(SIG_BLOCK, &set, NULL));
	self->queue = make_queue(self->name, O_RDWR | O_NONBLOCK, 4);
	ASSERT_LE(0, self->queue);
	ASSERT_TRUE(is_meant(self->queue, self->name));
	self->shared->queue = self->queue;
	self->fds = kt_open_fds();
}

FIXTURE_TEARDOWN(notify)
{
	mq_unlink(self->name);
}

static int by_signal(mqd_t queue)
{
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIG };

	event.sigev_value.sival_int = VALUE;
	return mq_notify(queue, &event);
}

static int by_nothing(mqd_t queue)
{
	struct sigevent event = { .sigev_notify = SIGEV_NONE };

	return mq_notify(queue, &event);
}

/* Is nobody registered? Then it is so afterwards, too */
static bool nobody(mqd_t queue)
{
	if (by_nothing(queue)) {
		kt_need(errno == EBUSY);
		return false;
	}
	kt_need(!mq_notify(queue, NULL));
	return true;
}

/* Whether the signal is there; it does not come later */
static bool told(void)
{
	const struct timespec now = { 0 };
	siginfo_t info;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIG);
	return sigtimedwait(&set, &info, &now) == SIG;
}

/* One message in and out again */
static bool pass(mqd_t queue)
{
	return !put(queue, "x", 0) && next_is(queue, "x", 0);
}

static long in_child(void *arg)
{
	long (*fn)(struct shared *shared) = ((void **)arg)[0];

	return fn(((void **)arg)[1]);
}

static long elsewhere(const struct kt_how *how, long (*fn)(struct shared *shared),
		      struct shared *shared)
{
	void *args[] = { (void *)fn, shared };

	return kt_run(how, in_child, args);
}

static long child_put(struct shared *shared)
{
	return outcome(put(shared->queue, "x", 0)) ? -errno : getpid();
}

static long child_by_nothing(struct shared *shared)
{
	return outcome(by_nothing(shared->queue));
}

static long child_by_signal(struct shared *shared)
{
	return outcome(by_signal(shared->queue));
}

static long child_end(struct shared *shared)
{
	return outcome(mq_notify(shared->queue, NULL));
}

static long child_close(struct shared *shared)
{
	return outcome(mq_close(shared->queue));
}

/* ---- SIGEV_SIGNAL ---- */

TEST_F(notify, signal_says_what_came_from_whom)
{
	siginfo_t info;
	sigset_t set;
	long sender;

	EXPECT_WORKS(by_signal(self->queue));
	EXPECT_FALSE(told());
	sender = elsewhere(AS_A, child_put, self->shared);
	ASSERT_LT(0, sender);
	sigemptyset(&set);
	sigaddset(&set, SIG);
	kt_poison(&info, sizeof(info));
	ASSERT_EQ(SIG, sigwaitinfo(&set, &info));
	EXPECT_EQ(SIG, info.si_signo);
	EXPECT_EQ(0, info.si_errno);
	EXPECT_EQ(SI_MESGQ, info.si_code);
	EXPECT_EQ(VALUE, info.si_value.sival_int);
	EXPECT_EQ(sender, info.si_pid);
	EXPECT_EQ(KT_UID_A, info.si_uid);
	EXPECT_EQ(1, queued(self->queue));
}

TEST_F(notify, value_may_be_a_pointer)
{
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIG };
	siginfo_t info;
	sigset_t set;

	event.sigev_value.sival_ptr = &info;
	EXPECT_WORKS(mq_notify(self->queue, &event));
	EXPECT_WORKS(put(self->queue, "x", 0));
	sigemptyset(&set);
	sigaddset(&set, SIG);
	ASSERT_EQ(SIG, sigwaitinfo(&set, &info));
	EXPECT_EQ(&info, info.si_value.sival_ptr);
	EXPECT_EQ(getpid(), info.si_pid);
	EXPECT_EQ(getuid(), info.si_uid);
}

static volatile sig_atomic_t handled, handled_value;

static void handle(int signo, siginfo_t *info, void *context)
{
	(void)signo;
	(void)context;
	handled_value = info->si_value.sival_int;
	handled++;
}

TEST_F(notify, signal_is_handled)
{
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1,
				  .sigev_value.sival_int = 77 };
	struct sigaction action = { .sa_sigaction = handle, .sa_flags = SA_SIGINFO };

	ASSERT_EQ(0, sigaction(SIGUSR1, &action, NULL));
	EXPECT_WORKS(mq_notify(self->queue, &event));
	EXPECT_EQ(0, handled);
	EXPECT_EQ(0, put(self->queue, "x", 0));
	EXPECT_EQ(1, handled);
	EXPECT_EQ(77, handled_value);
}

TEST_F(notify, signal_comes_through_signalfd)
{
	struct signalfd_siginfo info;
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIG);
	fd = signalfd(-1, &set, SFD_NONBLOCK);
	ASSERT_LE(0, fd);
	EXPECT_WORKS(by_signal(self->queue));
	EXPECT_WORKS(put(self->queue, "x", 0));
	ASSERT_EQ(sizeof(info), read(fd, &info, sizeof(info)));
	EXPECT_EQ(SI_MESGQ, info.ssi_code);
	EXPECT_EQ(VALUE, info.ssi_int);
}

static long await_signal(void *arg)
{
	siginfo_t info;
	sigset_t set;

	(void)arg;
	sigemptyset(&set);
	sigaddset(&set, SIG);
	return sigwaitinfo(&set, &info) == SIG ? info.si_value.sival_int : -errno;
}

static bool in_sigwait(struct kt_job *job)
{
	long nr = current_call(job);

#ifdef SYS_rt_sigtimedwait_time64
	if (nr == SYS_rt_sigtimedwait_time64)
		return true;
#endif
	return nr == SYS_rt_sigtimedwait;
}

TEST_F(notify, signal_goes_to_the_thread_that_waits_for_it)
{
	struct kt_job *job = kt_start(KT_THREAD, await_signal, NULL);

	ASSERT_TRUE(kt_until(in_sigwait(job)));
	EXPECT_WORKS(by_signal(self->queue));
	EXPECT_GT(elsewhere(KT_FORK, child_put, self->shared), 0);
	EXPECT_EQ(VALUE, kt_join(job));
}

static long take_signal(void *arg)
{
	(void)arg;
	return told();
}

static volatile pid_t handled_by;

static void note_thread(int signo)
{
	(void)signo;
	handled_by = gettid();
}

static void *register_and_stay(void *arg)
{
	struct shared *shared = arg;

	shared->value = outcome(by_signal(shared->queue));
	kt_raise(&shared->ready);
	kt_await(&shared->go);
	return NULL;
}

TEST_F(notify, signal_goes_to_the_first_thread_if_all_take_it)
{
	pthread_t thread;
	sigset_t set;

	ASSERT_NE(SIG_ERR, signal(SIG, note_thread));
	sigemptyset(&set);
	sigaddset(&set, SIG);
	ASSERT_EQ(0, sigprocmask(SIG_UNBLOCK, &set, NULL));
	ASSERT_EQ(0, pthread_create(&thread, NULL, register_and_stay, self->shared));
	ASSERT_TRUE(kt_await(&self->shared->ready));
	EXPECT_EQ(0, self->shared->value);
	EXPECT_WORKS(put(self->queue, "x", 0));
	EXPECT_EQ(getpid(), handled_by);
	kt_raise(&self->shared->go);
	ASSERT_EQ(0, pthread_join(thread, NULL));
}

/*
 * The kernel's own queues send it to the process: any thread can take it later. A module can
 * send a signal to a thread only: while none has it unblocked or waits for it, it is
 * pending for the one that asked for it.
 */
TEST_F(notify, signal_that_all_block_is_pending)
{
	EXPECT_WORKS(by_signal(self->queue));
	EXPECT_WORKS(put(self->queue, "x", 0));
	EXPECT_EQ(!on_kipc(), kt_run(KT_THREAD, take_signal, NULL));
	EXPECT_EQ(on_kipc(), told());
}

TEST_F(notify, signal_may_be_asked_for_by_a_thread_that_ends)
{
	void *args[] = { (void *)child_by_signal, self->shared };

	EXPECT_EQ(0, kt_run(KT_THREAD, in_child, args));
	EXPECT_FAILS(EBUSY, by_nothing(self->queue));
	EXPECT_WORKS(put(self->queue, "x", 0));
	EXPECT_TRUE(told());
}

/* ---- when ---- */

TEST_F(notify, once)
{
	EXPECT_WORKS(by_signal(self->queue));
	EXPECT_WORKS(put(self->queue, "1", 0));
	EXPECT_TRUE(told());
	EXPECT_TRUE(nobody(self->queue));
	EXPECT_TRUE(next_is(self->queue, "1", 0));
	EXPECT_TRUE(pass(self->queue));
	EXPECT_FALSE(told());
	/* ... and again if it is asked for again */
	EXPECT_WORKS(by_signal(self->queue));
	EXPECT_TRUE(pass(self->queue));
	EXPECT_TRUE(told());
}

TEST_F(notify, only_of_a_message_to_an_empty_queue)
{
	EXPECT_WORKS(put(self->queue, "1", 0));
	EXPECT_WORKS(by_signal(self->queue));
	EXPECT_FALSE(told());
	EXPECT_WORKS(put(self->queue, "2", 0));
	EXPECT_FALSE(told());
	EXPECT_TRUE(next_is(self->queue, "1", 0));
	EXPECT_WORKS(put(self->queue, "3", 0));
	EXPECT_FALSE(told());
	EXPECT_TRUE(next_is(self->queue, "2", 0));
	EXPECT_TRUE(next_is(self->queue, "3", 0));
	EXPECT_FALSE(told());
	EXPECT_FAILS(EBUSY, by_nothing(self->queue));
	EXPECT_WORKS(put(self->queue, "4", 0));
	EXPECT_TRUE(told());
}

static long receive_one(void *arg)
{
	struct shared *shared = arg;
	char text[65];

	return outcome(take(shared->queue, text, NULL));
}

TEST_F(notify, not_of_a_message_that_somebody_waits_for)
{
	struct mq_attr wait = { 0 };
	struct kt_job *job;

	EXPECT_WORKS(mq_setattr(self->queue, &wait, NULL));
	EXPECT_WORKS(by_signal(self->queue));
	for (int i = 0; i < 2; i++) {
		job = kt_start(i ? KT_THREAD : KT_FORK, receive_one, self->shared);
		ASSERT_TRUE(waits(job));
		EXPECT_WORKS(put(self->queue, "x", 0));
		EXPECT_EQ(1, kt_join(job));
		EXPECT_FALSE(told());
		/* It remains registered */
		EXPECT_FAILS(EBUSY, by_nothing(self->queue));
	}
	EXPECT_TRUE(pass(self->queue));
	EXPECT_TRUE(told());
}

static long poll_one(void *arg)
{
	struct shared *shared = arg;
	struct pollfd pfd = { .fd = shared->queue, .events = POLLIN };

	kt_raise(&shared->ready);
	return poll(&pfd, 1, KT_PATIENCE_MS);
}

TEST_F(notify, who_polls_does_not_wait_for_the_message)
{
	struct kt_job *job = kt_start(KT_FORK, poll_one, self->shared);

	ASSERT_TRUE(kt_await(&self->shared->ready));
	EXPECT_WORKS(by_signal(self->queue));
	EXPECT_WORKS(put(self->queue, "x", 0));
	EXPECT_TRUE(told());
	EXPECT_EQ(1, kt_join(job));
}

static long send_one(void *arg)
{
	struct shared *shared = arg;

	return outcome(put(shared->queue, "late", 0));
}

/* With room for one message only the queue is empty for a moment */
TEST_F(notify, not_of_a_message_that_waited_for_room)
{
	mqd_t queue = make_queue("/dropin-one", O_RDWR, 1);
	struct kt_job *job;

	ASSERT_LE(0, queue);
	EXPECT_WORKS(mq_unlink("/dropin-one"));
	EXPECT_WORKS(put(queue, "1", 0));
	EXPECT_WORKS(by_signal(queue));
	self->shared->queue = queue;
	job = kt_start(KT_FORK, send_one, self->shared);
	ASSERT_TRUE(waits(job));
	EXPECT_TRUE(next_is(queue, "1", 0));
	EXPECT_EQ(0, kt_join(job));
	EXPECT_TRUE(next_is(queue, "late", 0));
	EXPECT_FALSE(told());
	EXPECT_FALSE(nobody(queue));
}

/* ---- who ---- */

TEST_F(notify, one_registration_for_a_queue)
{
	mqd_t other = mq_open(self->name, O_RDWR);

	EXPECT_WORKS(by_signal(self->queue));
	EXPECT_FAILS(EBUSY, by_signal(self->queue));
	EXPECT_FAILS(EBUSY, by_signal(other));
	EXPECT_FAILS(EBUSY, by_nothing(other));
	EXPECT_EQ(-EBUSY, elsewhere(KT_FORK, child_by_nothing, self->shared));
	EXPECT_EQ(-EBUSY, elsewhere(AS_A, child_by_signal, self->shared));
	EXPECT_WORKS(put(self->queue, "x", 0));
	EXPECT_TRUE(told());
}

TEST_F(notify, SIGEV_NONE_is_a_registration_without_notice)
{
	EXPECT_WORKS(by_nothing(self->queue));
	EXPECT_FAILS(EBUSY, by_signal(self->queue));
	EXPECT_EQ(-EBUSY, elsewhere(KT_FORK, child_by_signal, self->shared));
	EXPECT_TRUE(pass(self->queue));
	/* It was used up */
	EXPECT_TRUE(nobody(self->queue));
}

TEST_F(notify, any_access_mode_will_do)
{
	mqd_t send = mq_open(self->name, O_WRONLY), receive = mq_open(self->name, O_RDONLY);

	EXPECT_WORKS(by_signal(send));
	EXPECT_WORKS(mq_notify(receive, NULL));
	EXPECT_WORKS(by_signal(receive));
	EXPECT_WORKS(put(send, "x", 0));
	EXPECT_TRUE(told());
}

/* ---- its end ---- */

TEST_F(notify, NULL_ends_the_caller_s_own_registration)
{
	EXPECT_WORKS(mq_notify(self->queue, NULL));
	EXPECT_WORKS(by_signal(self->queue));
	EXPECT_EQ(0, elsewhere(KT_FORK, child_end, self->shared));
	EXPECT_FAILS(EBUSY, by_nothing(self->queue));
	EXPECT_WORKS(mq_notify(self->queue, NULL));
	EXPECT_TRUE(pass(self->queue));
	EXPECT_FALSE(told());
	EXPECT_EQ(0, elsewhere(KT_FORK, child_by_nothing, self->shared));
}

TEST_F(notify, close_of_any_descriptor_of_the_queue_ends_it)
{
	mqd_t other = mq_open(self->name, O_RDWR), third = mq_open(self->name, O_RDWR);
	int same = dup(self->queue);

	EXPECT_WORKS(by_signal(self->queue));
	EXPECT_WORKS(mq_close(same));
	EXPECT_TRUE(nobody(other));
	EXPECT_WORKS(by_signal(self->queue));
	EXPECT_EQ(0, close(third));
	EXPECT_TRUE(nobody(other));
	EXPECT_WORKS(by_signal(self->queue));
	EXPECT_WORKS(mq_close(self->queue));
	EXPECT_TRUE(nobody(other));
	EXPECT_TRUE(pass(other));
	EXPECT_FALSE(told());
	/* By dup2(), too */
	third = mq_open(self->name, O_RDWR);
	EXPECT_WORKS(by_signal(other));
	EXPECT_EQ(third, dup2(0, third));
	EXPECT_TRUE(nobody(other));
}

TEST_F(notify, close_by_another_process_does_not_end_it)
{
	EXPECT_WORKS(by_signal(self->queue));
	EXPECT_EQ(0, elsewhere(KT_FORK, child_close, self->shared));
	EXPECT_FAILS(EBUSY, by_nothing(self->queue));
	EXPECT_WORKS(put(self->queue, "x", 0));
	EXPECT_TRUE(told());
}

TEST_F(notify, close_of_another_queue_does_not_end_it)
{
	mqd_t other = make_queue("/dropin-other", O_RDWR, 1);

	EXPECT_WORKS(mq_unlink("/dropin-other"));
	EXPECT_WORKS(by_signal(self->queue));
	EXPECT_WORKS(mq_close(other));
	EXPECT_FAILS(EBUSY, by_nothing(self->queue));
}

TEST_F(notify, exit_ends_it)
{
	EXPECT_EQ(0, elsewhere(KT_FORK, child_by_signal, self->shared));
	EXPECT_TRUE(nobody(self->queue));
}

TEST_F(notify, exec_ends_it)
{
	int ready[2], go[2];
	char byte;
	pid_t pid;

	ASSERT_EQ(0, pipe2(ready, O_CLOEXEC));
	ASSERT_EQ(0, pipe2(go, O_CLOEXEC));
	pid = fork();
	if (!pid) {
		if (by_signal(self->queue))
			_exit(3);
		dup2(go[0], 0);
		dup2(ready[1], 1);
		unsetenv("LD_PRELOAD");
		execl("/bin/sh", "sh", "-c", "echo; read line", NULL);
		_exit(2);
	}
	ASSERT_EQ(1, read(ready[0], &byte, 1));
	EXPECT_TRUE(nobody(self->queue));
	EXPECT_TRUE(pass(self->queue));
	close(go[0]);
	close(go[1]);
	ASSERT_EQ(pid, waitpid(pid, NULL, 0));
}

static long child_is_told(struct shared *shared)
{
	return by_nothing(shared->queue) ? -errno : told();
}

TEST_F(notify, fork_does_not_inherit_it)
{
	EXPECT_WORKS(by_signal(self->queue));
	EXPECT_EQ(-EBUSY, elsewhere(KT_FORK, child_is_told, self->shared));
	EXPECT_WORKS(put(self->queue, "x", 0));
	EXPECT_EQ(0, elsewhere(KT_FORK, child_is_told, self->shared));
	EXPECT_TRUE(told());
}

TEST_F(notify, queue_without_a_name_notifies_still)
{
	EXPECT_WORKS(by_signal(self->queue));
	EXPECT_WORKS(mq_unlink(self->name));
	EXPECT_WORKS(put(self->queue, "x", 0));
	EXPECT_TRUE(told());
}

/* ---- errors ---- */

TEST_F(notify, what_is_no_notification_is_EINVAL)
{
	static const int signals[] = { -1, 65, 1000, INT_MAX, INT_MIN };
	static const int ways[] = { 3, -1, 17, SIGEV_THREAD_ID };
	struct sigevent event = { 0 };
	char text[128] = "";

	for (unsigned int i = 0; i < ARRAY_SIZE(ways); i++) {
		event.sigev_notify = ways[i];
		event.sigev_signo = SIG;
		EXPECT_FAILS(EINVAL, mq_notify(self->queue, &event));
		EXPECT_FAILS(EINVAL, mq_notify(-1, &event));
	}
	event.sigev_notify = SIGEV_SIGNAL;
	for (unsigned int i = 0; i < ARRAY_SIZE(signals); i++) {
		event.sigev_signo = signals[i];
		EXPECT_FAILS(EINVAL, mq_notify(self->queue, &event));
		EXPECT_FAILS(EINVAL, mq_notify(-1, &event));
	}
	EXPECT_TRUE(nobody(self->queue));
	/* Of SIGEV_NONE the rest does not matter */
	event.sigev_notify = SIGEV_NONE;
	EXPECT_WORKS(mq_notify(self->queue, &event));
	EXPECT_WORKS(mq_notify(self->queue, NULL));
	/* Linux takes signal 0, and sends none */
	event.sigev_notify = SIGEV_SIGNAL;
	event.sigev_signo = 0;
	EXPECT_WORKS(mq_notify(self->queue, &event));
	/* ... which is what the file says, not SIGEV_NONE */
	EXPECT_LT(0, pread(self->queue, text, sizeof(text) - 1, 0));
	EXPECT_NE(NULL, strstr(text, "NOTIFY:0     SIGNO:0     NOTIFY_PID:"));
	EXPECT_FAILS(EBUSY, by_signal(self->queue));
	EXPECT_TRUE(pass(self->queue));
	EXPECT_TRUE(nobody(self->queue));
	event.sigev_signo = 64;
	EXPECT_WORKS(mq_notify(self->queue, &event));
}

static void never(union sigval value)
{
	(void)value;
	abort();
}

TEST_F(notify, what_is_no_queue_is_EBADF)
{
	struct sigevent thread = { .sigev_notify = SIGEV_THREAD,
				   .sigev_notify_function = never };
	int fds[] = { -1, 1000, open("/dev/null", O_RDWR), socket(AF_UNIX, SOCK_STREAM, 0) };

	for (unsigned int i = 0; i < ARRAY_SIZE(fds); i++) {
		EXPECT_FAILS(EBADF, by_signal(fds[i]));
		EXPECT_FAILS(EBADF, by_nothing(fds[i]));
		EXPECT_FAILS(EBADF, mq_notify(fds[i], NULL));
		EXPECT_FAILS(EBADF, mq_notify(fds[i], &thread));
	}
}

/* ---- SIGEV_THREAD ---- */

/* What the function of a notification found */
struct run {
	struct kt_flag done, go;
	int count;
	pid_t pid, tid;
	size_t stack, guard;
	void *stack_start;
	int detached, policy, priority;
	cpu_set_t cpus;
	sigset_t blocked;
	mqd_t queue;
	char got[65];
	int again;
	long notified;
	struct sigevent *event;
};

static void examine(union sigval value)
{
	struct run *run = value.sival_ptr;
	struct sched_param param;
	pthread_attr_t attr;

	run->count++;
	run->pid = getpid();
	run->tid = gettid();
	kt_need(!pthread_getattr_np(pthread_self(), &attr));
	kt_need(!pthread_attr_getstack(&attr, &run->stack_start, &run->stack));
	kt_need(!pthread_attr_getguardsize(&attr, &run->guard));
	kt_need(!pthread_attr_getdetachstate(&attr, &run->detached));
	kt_need(!pthread_attr_destroy(&attr));
	kt_need(!pthread_getschedparam(pthread_self(), &run->policy, &param));
	run->priority = param.sched_priority;
	kt_need(!pthread_getaffinity_np(pthread_self(), sizeof(run->cpus), &run->cpus));
	kt_need(!pthread_sigmask(SIG_BLOCK, NULL, &run->blocked));
	if (run->again-- > 0) {
		run->notified = outcome(mq_notify(run->queue, run->event));
		take(run->queue, run->got, NULL);
	}
	kt_raise(&run->done);
}

static int by_thread(mqd_t queue, struct run *run, pthread_attr_t *attr)
{
	struct sigevent event = { .sigev_notify = SIGEV_THREAD, .sigev_notify_function = examine,
				  .sigev_notify_attributes = attr,
				  .sigev_value.sival_ptr = run };

	return mq_notify(queue, &event);
}

/*
 * The thread that waits for the notice is there no longer than the registration. (That of the
 * C library stays for ever, with a socket.)
 */
static bool all_is_gone(unsigned int fds)
{
	if (!on_kipc())
		return true;
	return kt_until(threads() == 1) && kt_until(kt_open_fds() == fds);
}

TEST_F(notify, thread_runs_the_function)
{
	struct run run = { 0 };
	sigset_t none;

	/* Signals are blocked here but not there */
	EXPECT_WORKS(by_thread(self->queue, &run, NULL));
	EXPECT_FAILS(EBUSY, by_signal(self->queue));
	EXPECT_LT(1, threads());
	EXPECT_WORKS(put(self->queue, "x", 0));
	ASSERT_TRUE(kt_await(&run.done));
	EXPECT_EQ(1, run.count);
	EXPECT_EQ(getpid(), run.pid);
	EXPECT_NE(gettid(), run.tid);
	sigemptyset(&none);
	EXPECT_EQ(0, sigismember(&run.blocked, SIG));
	EXPECT_EQ(0, sigismember(&run.blocked, SIGTERM));
	EXPECT_EQ(PTHREAD_CREATE_DETACHED, run.detached);
	EXPECT_EQ(1, queued(self->queue));
	EXPECT_TRUE(all_is_gone(self->fds));
}

TEST_F(notify, thread_runs_once)
{
	struct run run = { 0 };

	EXPECT_WORKS(by_thread(self->queue, &run, NULL));
	EXPECT_TRUE(pass(self->queue));
	ASSERT_TRUE(kt_await(&run.done));
	EXPECT_TRUE(pass(self->queue));
	EXPECT_TRUE(nobody(self->queue));
	EXPECT_TRUE(all_is_gone(self->fds));
	EXPECT_EQ(1, run.count);
}

TEST_F(notify, thread_may_ask_again)
{
	struct sigevent event = { .sigev_notify = SIGEV_THREAD, .sigev_notify_function = examine };
	struct run run = { .queue = self->queue, .again = 3, .event = &event };

	event.sigev_value.sival_ptr = &run;
	EXPECT_WORKS(mq_notify(self->queue, &event));
	for (int i = 1; i < 4; i++) {
		EXPECT_WORKS(put(self->queue, "again", 0));
		ASSERT_TRUE(kt_until(__atomic_load_n(&run.done.up, __ATOMIC_ACQUIRE)));
		run.done.up = 0;
		EXPECT_EQ(i, run.count);
		EXPECT_EQ(0, run.notified);
		EXPECT_STREQ("again", run.got);
		EXPECT_EQ(0, queued(self->queue));
	}
	EXPECT_WORKS(mq_notify(self->queue, NULL));
	EXPECT_TRUE(all_is_gone(self->fds));
}

TEST_F(notify, thread_has_the_attributes_asked_for)
{
	struct sched_param fifo = { .sched_priority = 7 };
	struct run run = { 0 };
	pthread_attr_t attr;
	cpu_set_t cpu;

	ASSERT_EQ(0, pthread_attr_init(&attr));
	ASSERT_EQ(0, pthread_attr_setstacksize(&attr, 3 << 20));
	ASSERT_EQ(0, pthread_attr_setguardsize(&attr, 8192));
	ASSERT_EQ(0, pthread_attr_setinheritsched(&attr, PTHREAD_EXPLICIT_SCHED));
	ASSERT_EQ(0, pthread_attr_setschedpolicy(&attr, SCHED_FIFO));
	ASSERT_EQ(0, pthread_attr_setschedparam(&attr, &fifo));
	CPU_ZERO(&cpu);
	CPU_SET(0, &cpu);
	ASSERT_EQ(0, pthread_attr_setaffinity_np(&attr, sizeof(cpu), &cpu));
	EXPECT_WORKS(by_thread(self->queue, &run, &attr));
	/* They are the caller's own again */
	ASSERT_EQ(0, pthread_attr_destroy(&attr));
	memset(&attr, 0x5a, sizeof(attr));
	EXPECT_WORKS(put(self->queue, "x", 0));
	ASSERT_TRUE(kt_await(&run.done));
	EXPECT_LE(3U << 20, run.stack + run.guard);
	EXPECT_GE((3U << 20) + 16384, run.stack);
	EXPECT_EQ(8192, run.guard);
	EXPECT_EQ(SCHED_FIFO, run.policy);
	EXPECT_EQ(7, run.priority);
	EXPECT_EQ(1, CPU_COUNT(&run.cpus));
	EXPECT_TRUE(CPU_ISSET(0, &run.cpus));
	/* Though nothing was said of that */
	EXPECT_EQ(PTHREAD_CREATE_DETACHED, run.detached);
}

TEST_F(notify, thread_has_usual_attributes_if_they_are_given)
{
	struct run run = { 0 };
	cpu_set_t cpus;
	pthread_attr_t attr;
	size_t usual;

	ASSERT_EQ(0, pthread_attr_init(&attr));
	ASSERT_EQ(0, pthread_attr_getstacksize(&attr, &usual));
	ASSERT_EQ(0, pthread_getaffinity_np(pthread_self(), sizeof(cpus), &cpus));
	EXPECT_WORKS(by_thread(self->queue, &run, &attr));
	EXPECT_WORKS(put(self->queue, "x", 0));
	ASSERT_TRUE(kt_await(&run.done));
	EXPECT_LE(usual, run.stack + run.guard);
	EXPECT_GE(usual + 16384, run.stack);
	EXPECT_EQ(SCHED_OTHER, run.policy);
	EXPECT_TRUE(CPU_EQUAL(&cpus, &run.cpus));
}

TEST_F(notify, thread_has_the_stack_asked_for)
{
	static char stack[1 << 20] __attribute__((aligned(4096)));
	struct run run = { 0 };
	pthread_attr_t attr;

	ASSERT_EQ(0, pthread_attr_init(&attr));
	ASSERT_EQ(0, pthread_attr_setstack(&attr, stack, sizeof(stack)));
	EXPECT_WORKS(by_thread(self->queue, &run, &attr));
	EXPECT_WORKS(put(self->queue, "x", 0));
	ASSERT_TRUE(kt_await(&run.done));
	EXPECT_EQ((void *)stack, run.stack_start);
	EXPECT_EQ(sizeof(stack), run.stack);
}

static uint64_t cpu_time(void)
{
	struct timespec now;

	kt_need(!clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now));
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* As sandboxes do; the stop interrupts all waits */
static long child_without_descriptors(struct shared *shared)
{
	const struct timespec pause = { .tv_nsec = 400000000 };
	const struct rlimit none = { 0 };
	struct run run = { 0 };
	uint64_t before;

	kt_need(!by_thread(shared->queue, &run, NULL));
	kt_need(!setrlimit(RLIMIT_NOFILE, &none));
	raise(SIGSTOP);
	before = cpu_time();
	nanosleep(&pause, NULL);
	return (long)(cpu_time() - before);
}

static bool is_stopped(struct kt_job *job)
{
	char path[64], text[512];

	snprintf(path, sizeof(path), "/proc/%d/stat", job->pid);
	return kt_read_file(path, text, sizeof(text)) > 0 && strstr(text, ") T ");
}

TEST_F(notify, thread_takes_no_time_while_it_waits)
{
	void *args[] = { (void *)child_without_descriptors, self->shared };
	struct kt_job *job = kt_start(KT_FORK, in_child, args);
	long took;

	ASSERT_TRUE(kt_until(is_stopped(job)));
	kill(job->pid, SIGCONT);
	took = kt_join(job);
	EXPECT_LE(0, took);
	EXPECT_GT(200, took);
}

TEST_F(notify, thread_is_gone_when_NULL_ends_the_registration)
{
	struct run run = { 0 };

	for (int i = 0; i < 3; i++) {
		EXPECT_WORKS(by_thread(self->queue, &run, NULL));
		EXPECT_WORKS(mq_notify(self->queue, NULL));
	}
	EXPECT_TRUE(pass(self->queue));
	EXPECT_TRUE(all_is_gone(self->fds));
	EXPECT_EQ(0, run.count);
}

TEST_F(notify, thread_is_gone_when_close_ends_the_registration)
{
	struct run run = { 0 };
	mqd_t other;

	for (int i = 0; i < 3; i++) {
		other = mq_open(self->name, O_RDWR);
		EXPECT_WORKS(by_thread(self->queue, &run, NULL));
		EXPECT_EQ(0, i ? close(other) : mq_close(other));
		EXPECT_TRUE(nobody(self->queue));
	}
	EXPECT_TRUE(pass(self->queue));
	EXPECT_TRUE(all_is_gone(self->fds));
	EXPECT_EQ(0, run.count);
}

TEST_F(notify, thread_is_not_started_if_somebody_else_is_registered)
{
	struct run run = { 0 };

	EXPECT_WORKS(by_nothing(self->queue));
	EXPECT_FAILS(EBUSY, by_thread(self->queue, &run, NULL));
	EXPECT_TRUE(all_is_gone(self->fds));
	EXPECT_WORKS(mq_notify(self->queue, NULL));
}

static long child_of_watcher(struct shared *shared)
{
	struct run run = { 0 };
	unsigned int fds = kt_open_fds();

	if (threads() != 1)
		return 1;
	/* It has what its parent had before */
	if (on_kipc() && (long)fds != shared->value)
		return 2;
	if (by_thread(shared->queue, &run, NULL) != -1 || errno != EBUSY)
		return 3;
	/* In the C library the notice would go to a thread of the parent's, and wait there */
	if (!on_kipc())
		return 0;
	shared->queue = make_queue("/dropin-child", O_RDWR, 1);
	mq_unlink("/dropin-child");
	if (by_thread(shared->queue, &run, NULL) || !pass(shared->queue) || !kt_await(&run.done))
		return 4;
	return run.count != 1;
}

TEST_F(notify, child_has_nothing_of_its_parent_s_threads)
{
	struct run run = { 0 };

	self->shared->value = self->fds;
	EXPECT_WORKS(by_thread(self->queue, &run, NULL));
	EXPECT_EQ(0, elsewhere(KT_FORK, child_of_watcher, self->shared));
	EXPECT_FAILS(EBUSY, by_nothing(self->queue));
	EXPECT_EQ(0, run.count);
	EXPECT_WORKS(put(self->queue, "x", 0));
	EXPECT_TRUE(kt_await(&run.done));
	EXPECT_EQ(1, run.count);
}

static long watch_and_exit(struct shared *shared)
{
	struct run *run = kt_new(struct run);

	return outcome(by_thread(shared->queue, run, NULL));
}

TEST_F(notify, exit_ends_it_with_its_thread)
{
	EXPECT_EQ(0, elsewhere(KT_FORK, watch_and_exit, self->shared));
	EXPECT_TRUE(nobody(self->queue));
}

static void fork_in_handler(int signo)
{
	int saved = errno;
	pid_t pid = fork();

	(void)signo;
	if (!pid)
		_exit(0);
	kt_need(pid > 0 && waitpid(pid, NULL, 0) == pid);
	errno = saved;
}

/* ... at any moment of another fork */
TEST_F(notify, handlers_may_fork)
{
	struct itimerval timer = { 0 };
	pid_t pid;

	ASSERT_NE(SIG_ERR, signal(SIGALRM, fork_in_handler));
	for (int i = 0; i < 200; i++) {
		timer.it_value.tv_usec = 1 + i * 5;
		ASSERT_EQ(0, setitimer(ITIMER_REAL, &timer, NULL));
		pid = fork();
		ASSERT_LE(0, pid);
		if (!pid)
			_exit(0);
		while (waitpid(pid, NULL, 0) != pid)
			ASSERT_EQ(EINTR, errno);
	}
	timer.it_value.tv_usec = 0;
	ASSERT_EQ(0, setitimer(ITIMER_REAL, &timer, NULL));
}

/* What is not known to be open is closed by daemons, as is the queue */
TEST_F(notify, closing_all_descriptors_does_no_harm)
{
	struct run run = { 0 };
	int null;

	EXPECT_WORKS(by_thread(self->queue, &run, NULL));
	closefrom(3);
	/* Others have the numbers now, and keep them */
	for (int i = 0; i < 16; i++) {
		null = open("/dev/null", O_RDONLY);
		ASSERT_LE(0, null);
	}
	if (on_kipc())
		EXPECT_TRUE(kt_until(threads() == 1));
	for (int fd = 3; fd <= null; fd++)
		EXPECT_LE(0, fcntl(fd, F_GETFD));
	EXPECT_EQ(0, run.count);
}

static volatile bool stop;
static struct shared *forker_shared;

static void *ask_and_end(void *arg)
{
	struct run run = { 0 };

	(void)arg;
	while (!stop) {
		kt_need(!by_thread(forker_shared->queue, &run, NULL));
		kt_need(!mq_notify(forker_shared->queue, NULL));
	}
	kt_need(!run.count);
	return NULL;
}

/*
 * Those of the library. There may be one more than the parent had before: the C library opens
 * /sys/devices/system/cpu/online in a thread that needs an arena of malloc(3).
 */
static long child_counts(struct shared *shared)
{
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *entry;
	char text[32];
	ssize_t size;
	long n = 0;

	(void)shared;
	kt_need(dir);
	while ((entry = readdir(dir))) {
		size = readlinkat(dirfd(dir), entry->d_name, text, sizeof(text) - 1);
		text[size < 0 ? 0 : size] = '\0';
		n += !!strstr(text, "eventfd");
	}
	closedir(dir);
	return n;
}

TEST_F(notify, fork_in_the_middle_of_anything)
{
	pthread_t thread;

	forker_shared = self->shared;
	ASSERT_EQ(0, pthread_create(&thread, NULL, ask_and_end, NULL));
	for (int i = 0; i < 50; i++)
		EXPECT_EQ(0, elsewhere(KT_FORK, child_counts, self->shared));
	stop = true;
	ASSERT_EQ(0, pthread_join(thread, NULL));
	EXPECT_TRUE(all_is_gone(self->fds));
}

TEST_HARNESS_MAIN
