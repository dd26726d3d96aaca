// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * kipc_serve(): a server's loop with one thread and with several, how it ends,
 * and what it makes of handlers that fail, callers that die, an endpoint that
 * changes under it and limits that are reached.
 */
#include <dirent.h>
#include <sys/resource.h>

#include "harness.h"
#include "common.h"

#define MAX_SIZE	1000
#define CALLS		200

/* What a caller wants done; the type of its call */
enum { ECHO, FAIL, HOLD, WHOLE_ROOM, TOO_MUCH, STOP };

struct service {
	int fd;
	unsigned int threads;
	struct kt_flag go;		/* HOLD lasts until then */
	unsigned int inside;		/* those that are in HOLD */
	unsigned int handled;
	unsigned int one_way;
	pid_t by[16];			/* threads that handled something */
};

static void note_thread(struct service *service)
{
	pid_t tid = gettid(), none;

	for (unsigned int i = 0; i < 16; i++) {
		none = 0;
		if (__atomic_compare_exchange_n(&service->by[i], &none, tid, false,
						__ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST) ||
		    none == tid)
			return;
	}
	kt_need(!"more than 16 threads");
}

static ssize_t handle(void *context, const void *request, size_t size,
		      const struct kipc_result *result, void *reply, size_t room)
{
	struct service *service = context;
	int number = 0;

	__atomic_add_fetch(&service->handled, 1, __ATOMIC_SEQ_CST);
	note_thread(service);
	if (!result->token)
		__atomic_add_fetch(&service->one_way, 1, __ATOMIC_SEQ_CST);
	kt_need(size <= room);
	memcpy(reply, request, size);
	switch (result->type) {
	case FAIL:
		kt_need(size == sizeof(number));
		memcpy(&number, request, sizeof(number));
		return -number;
	case HOLD:
		__atomic_add_fetch(&service->inside, 1, __ATOMIC_SEQ_CST);
		kt_need(kt_await(&service->go));
		return (ssize_t)size;
	case WHOLE_ROOM:
		memset(reply, 'r', room);
		return (ssize_t)room;
	case TOO_MUCH:
		return (ssize_t)room + 1;
	case STOP:
		kt_need(kipc_shutdown(service->fd) == 0);
		return (ssize_t)size;
	}
	return (ssize_t)size;
}

static long serve(void *arg)
{
	struct service *service = arg;

	return kipc_serve(service->fd, service->threads, handle, service);
}

static unsigned int tasks(void)
{
	DIR *directory = opendir("/proc/self/task");
	unsigned int count = 0;

	kt_need(directory);
	while (readdir(directory))
		count++;
	closedir(directory);
	return count - 2;	/* . and .. */
}

FIXTURE(serve) {
	struct service *service;
	struct kt_job *job;
	int cli;
	unsigned int fds, tasks;
};

FIXTURE_VARIANT(serve) {
	unsigned int threads;
};

FIXTURE_VARIANT_ADD(serve, one_thread) {
	.threads = 1,
};

FIXTURE_VARIANT_ADD(serve, four_threads) {
	.threads = 4,
};

FIXTURE_VARIANT_ADD(serve, sixteen_threads) {
	.threads = 16,
};

static int endpoint_new(int *cli)
{
	const struct kipc_attr attr = { .max_size = MAX_SIZE };
	int dev = kt_device();
	int fd = kt_private(dev, 0, &attr);

	kt_need(fd >= 0);
	*cli = kt_again(dev, kt_id(fd), KIPC_RIGHT_SEND);
	kt_need(*cli >= 0);
	close(dev);
	return fd;
}

FIXTURE_SETUP(serve)
{
	self->service = kt_new(struct service);
	self->service->fd = endpoint_new(&self->cli);
	self->service->threads = variant->threads;
	self->fds = kt_open_fds();
	self->tasks = tasks();
	self->job = kt_start(KT_THREAD, serve, self->service);
	/* Each thread receives before a test begins. */
	ASSERT_TRUE(kt_until(kt_stat(self->cli).waiters == variant->threads));
	ASSERT_EQ(self->tasks + variant->threads, tasks());
}

/* Ends the service; nothing of it is left */
static bool ended(FIXTURE_DATA(serve) *self, long want)
{
	long ret = kt_join(self->job);

	if (ret != want) {
		kt_complain("kipc_serve: %ld instead of %ld", ret, want);
		return false;
	}
	/* A thread that was joined may be in /proc for another moment. */
	return kt_until(tasks() == self->tasks) && kt_open_fds() == self->fds;
}

FIXTURE_TEARDOWN(serve)
{
	close(self->cli);
	close(self->service->fd);
	kt_restore_params();
}

static ssize_t call(int fd, uint64_t type, const void *buf, size_t size, void *reply, size_t room,
		    struct kipc_result *result)
{
	struct iovec out = { (void *)buf, size }, in = { reply, room };
	const struct kipc_msg req = { .type = type, .iov = &out, .iovcnt = 1 };
	const struct kipc_msg rep = { .iov = &in, .iovcnt = 1 };

	return kipc_rpcmsg(fd, &req, &rep, result, KT_PATIENCE_MS);
}

/* Starts @count calls that are held by the handler, and waits until all that can be are */
static void hold(FIXTURE_DATA(serve) *self, unsigned int count)
{
	struct service *service = self->service;
	unsigned int most = count < service->threads ? count : service->threads;

	for (unsigned int i = 0; i < count; i++) {
		struct iovec out = { &i, sizeof(i) };
		const struct kipc_msg req = {
			.type = HOLD, .cookie = i, .iov = &out, .iovcnt = 1,
		};

		kt_need(kipc_rpc_start(self->cli, &req, 100, NULL, -1) == 0);
	}
	kt_need(kt_until(service->inside >= most));
}

/* Collects one of hold()'s: its reply, or its errno */
static long collect(FIXTURE_DATA(serve) *self)
{
	unsigned int got;
	struct iovec in = { &got, sizeof(got) };
	const struct kipc_msg rep = { .iov = &in, .iovcnt = 1 };
	struct kipc_result result;
	ssize_t ret = kipc_rpc_finish(self->cli, 0, &rep, &result, KT_PATIENCE_MS);

	if (ret < 0)
		return ret;
	kt_need(ret == sizeof(got) && got == result.cookie);
	return 0;
}

TEST_F(serve, ends_when_idle)
{
	ASSERT_EQ(0, kipc_shutdown(self->service->fd));
	ASSERT_TRUE(ended(self, 0));
	EXPECT_EQ(0, self->service->handled);
	/* and again at once, as the descriptor stays shut down */
	EXPECT_EQ(0, serve(self->service));
	EXPECT_TRUE(kt_quiet(self->cli));
}

static long many_calls(void *arg)
{
	const int fd = *(int *)arg;
	unsigned char out[MAX_SIZE], in[MAX_SIZE];

	for (unsigned int i = 0; i < CALLS; i++) {
		size_t size = i * 7919 % (MAX_SIZE + 1);

		kt_fill(out, size, i);
		kt_poison(in, sizeof(in));
		if (call(fd, ECHO, out, size, in, sizeof(in), NULL) != (ssize_t)size ||
		    memcmp(in, out, size))
			return -1;
	}
	return 0;
}

TEST_F(serve, each_caller_gets_its_own_answer)
{
	struct kt_job *callers[8];

	for (int i = 0; i < 8; i++)
		callers[i] = kt_start(i % 2 ? KT_THREAD : KT_FORK, many_calls, &self->cli);
	for (int i = 0; i < 8; i++)
		EXPECT_EQ(0, kt_join(callers[i]));
	ASSERT_EQ(0, kipc_shutdown(self->service->fd));
	ASSERT_TRUE(ended(self, 0));
	EXPECT_EQ(8 * CALLS, self->service->handled);
	EXPECT_TRUE(kt_quiet(self->cli));
}

TEST_F(serve, all_threads_work_at_the_same_time)
{
	unsigned int seen = 0;

	hold(self, variant->threads);
	while (seen < 16 && self->service->by[seen])
		seen++;
	EXPECT_EQ(variant->threads, seen);
	kt_raise(&self->service->go);
	for (unsigned int i = 0; i < variant->threads; i++)
		EXPECT_EQ(0, collect(self));
	ASSERT_EQ(0, kipc_shutdown(self->service->fd));
	ASSERT_TRUE(ended(self, 0));
}

TEST_F(serve, answers_what_it_has_taken_when_it_is_shut_down)
{
	const unsigned int all = variant->threads + 5;

	hold(self, all);
	ASSERT_EQ(0, kipc_shutdown(self->service->fd));
	kt_raise(&self->service->go);
	for (unsigned int i = 0; i < variant->threads; i++)
		EXPECT_EQ(0, collect(self));
	ASSERT_TRUE(ended(self, 0));
	/* what it had not is still there, and ends with the endpoint's last receiver */
	EXPECT_EQ(variant->threads, self->service->handled);
	EXPECT_EQ(5, kt_stat(self->cli).msgs);
	close(self->service->fd);
	for (unsigned int i = 0; i < 5; i++)
		EXPECT_EQ(-EIDRM, collect(self));
	EXPECT_EQ(-ENOENT, collect(self));
}

TEST_F(serve, a_handler_can_end_it)
{
	char reply[8];

	EXPECT_EQ(3, call(self->cli, STOP, "end", 3, reply, sizeof(reply), NULL));
	EXPECT_EQ(0, memcmp(reply, "end", 3));
	ASSERT_TRUE(ended(self, 0));
}

TEST_F(serve, a_handler_that_fails_is_heard)
{
	static const int errors[] = { 1, ENOENT, EAGAIN, EINTR, ECONNRESET, KIPC_STATUS_MAX };
	struct kipc_result result;
	char reply[MAX_SIZE];
	int bad = KIPC_STATUS_MAX + 1;

	for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
		EXPECT_EQ(-errors[i], call(self->cli, FAIL, &errors[i], sizeof(int), reply,
					   sizeof(reply), &result));
		EXPECT_TRUE(result.flags & KIPC_RESULT_REMOTE);
		EXPECT_EQ(0, result.size);
	}
	EXPECT_EQ(-EPROTO, call(self->cli, FAIL, &bad, sizeof(bad), reply, sizeof(reply), &result));
	EXPECT_TRUE(result.flags & KIPC_RESULT_REMOTE);
	EXPECT_EQ(-EMSGSIZE, call(self->cli, TOO_MUCH, "", 0, reply, sizeof(reply), &result));
	EXPECT_TRUE(result.flags & KIPC_RESULT_REMOTE);
	EXPECT_EQ(MAX_SIZE, call(self->cli, WHOLE_ROOM, "", 0, reply, sizeof(reply), &result));
	EXPECT_EQ('r', reply[MAX_SIZE - 1]);

	ASSERT_EQ(0, kipc_shutdown(self->service->fd));
	ASSERT_TRUE(ended(self, 0));
	EXPECT_TRUE(kt_quiet(self->cli));
}

TEST_F(serve, one_way_messages_are_handed_on)
{
	const struct kipc_msg one = { .type = FAIL, .iovcnt = 1,
				      .iov = &(struct iovec){ "\1\0\0\0", 4 } };

	/* whatever their handler returns, the next caller gets his own reply */
	for (unsigned int i = 0; i < CALLS; i++) {
		char reply[8];

		ASSERT_EQ(0, kipc_sendmsg(self->cli, &one, KT_PATIENCE_MS));
		ASSERT_EQ(2, call(self->cli, ECHO, "ab", 2, reply, sizeof(reply), NULL));
	}
	ASSERT_TRUE(kt_until(self->service->one_way == CALLS));
	ASSERT_EQ(0, kipc_shutdown(self->service->fd));
	ASSERT_TRUE(ended(self, 0));
	EXPECT_EQ(2 * CALLS, self->service->handled);
}

static long call_and_hang(void *arg)
{
	int fd = *(int *)arg;
	char reply[8];

	return call(fd, HOLD, "x", 1, reply, sizeof(reply), NULL);
}

TEST_F(serve, goes_on_when_callers_die)
{
	struct kt_job *callers[16];
	char reply[8];

	for (unsigned int i = 0; i < variant->threads; i++)
		callers[i] = kt_start(KT_FORK, call_and_hang, &self->cli);
	ASSERT_TRUE(kt_until(self->service->inside == variant->threads));
	for (unsigned int i = 0; i < variant->threads; i++)
		EXPECT_EQ(KT_DIED - SIGKILL, kt_kill(callers[i]));
	kt_raise(&self->service->go);
	EXPECT_EQ(2, call(self->cli, ECHO, "ab", 2, reply, sizeof(reply), NULL));
	ASSERT_TRUE(kt_until(kt_stat(self->cli).waiters == variant->threads));
	ASSERT_EQ(0, kipc_shutdown(self->service->fd));
	ASSERT_TRUE(ended(self, 0));
	EXPECT_TRUE(kt_quiet(self->cli));
}

TEST_F(serve, ends_with_its_endpoint)
{
	hold(self, 1);
	ASSERT_EQ(0, kipc_remove(self->service->fd, 0));
	EXPECT_EQ(-EIDRM, collect(self));
	kt_raise(&self->service->go);
	ASSERT_TRUE(ended(self, -EIDRM));
}

static long set_max_size(int fd, uint32_t max_size)
{
	struct kipc_endpoint info = { .attr.max_size = max_size };

	return kipc_set(fd, 0, KIPC_SET_CAPACITY, &info);
}

TEST_F(serve, follows_max_size)
{
	const uint32_t large = 300000;
	char *out = kt_shared(large), *in = kt_shared(large);
	char reply[MAX_SIZE];

	/* Those that wait have not the room for it. */
	ASSERT_EQ(0, set_max_size(self->service->fd, large));
	kt_fill(out, large, 1);
	for (unsigned int i = 0; i < 2 * variant->threads; i++) {
		memset(in, 0, large);
		ASSERT_EQ(large, call(self->cli, ECHO, out, large, in, large, NULL));
		ASSERT_TRUE(kt_filled(in, large, 1));
	}

	/* A reply that has become too large is told to the caller. */
	hold(self, 1);
	ASSERT_EQ(0, set_max_size(self->service->fd, 2));
	kt_raise(&self->service->go);
	EXPECT_EQ(-EMSGSIZE, collect(self));
	EXPECT_EQ(-EMSGSIZE, call(self->cli, WHOLE_ROOM, "", 0, reply, sizeof(reply), NULL));
	EXPECT_EQ(2, call(self->cli, ECHO, "ab", 2, reply, sizeof(reply), NULL));
	ASSERT_EQ(0, kipc_shutdown(self->service->fd));
	ASSERT_TRUE(ended(self, 0));
	EXPECT_TRUE(kt_quiet(self->cli));
}

TEST_F(serve, waits_for_a_place_to_wait)
{
	const unsigned int places = variant->threads < 2 ? variant->threads : 2;
	long ret;

	/* Of several threads some find none when they come back. */
	hold(self, variant->threads);
	kt_set_param("waiters_max", 2);
	kt_raise(&self->service->go);
	ASSERT_TRUE(kt_until(kt_stat(self->cli).waiters == places && !kt_stat(self->cli).calls));
	/* Calls are served all the same. (Who waits for a reply needs a place, too.) */
	hold(self, 2 * variant->threads);
	for (unsigned int i = 0; i < 3 * variant->threads; i++) {
		ASSERT_TRUE(kt_until((ret = collect(self)) != -ENOSPC));
		ASSERT_EQ(0, ret);
	}
	kt_restore_params();
	/* As soon as there are places, all have theirs again. */
	ASSERT_TRUE(kt_until(kt_stat(self->cli).waiters == variant->threads));
	ASSERT_EQ(0, kipc_shutdown(self->service->fd));
	ASSERT_TRUE(ended(self, 0));
}

TEST_F(serve, a_signal_does_not_end_it)
{
	char reply[8];

	kt_catch(SIGUSR1, 0);
	kt_caught = 0;
	for (int i = 1; i <= 5; i++) {
		ASSERT_TRUE(kt_asleep(self->job));
		ASSERT_TRUE(kt_signal(self->job, SIGUSR1));
		ASSERT_TRUE(kt_until(kt_caught == i));
		EXPECT_EQ(2, call(self->cli, ECHO, "ab", 2, reply, sizeof(reply), NULL));
	}
	ASSERT_EQ(0, kipc_shutdown(self->service->fd));
	ASSERT_TRUE(ended(self, 0));
}

/* ---- one that a signal's handler ends ---- */

static int stopped_by_signal = -1;
static volatile sig_atomic_t handler_tid;

static void stop(int sig)
{
	(void)sig;
	handler_tid = gettid();
	kipc_shutdown(stopped_by_signal);
}

static long serve_until_signal(void *arg)
{
	struct service *service = arg;
	const struct sigaction action = { .sa_handler = stop };
	long ret;

	stopped_by_signal = service->fd;
	kt_need(!sigaction(SIGTERM, &action, NULL));
	errno = EXDEV;
	ret = serve(service);
	kt_need(errno == EXDEV);
	/* The signal was for the process; the threads of the library never take one. */
	return ret ? ret : handler_tid == getpid() ? 4711 : 4712;
}

TEST_F(serve, a_signal_handler_can_end_it)
{
	struct service *service = kt_new(struct service);
	struct kt_job *job;
	int cli;

	service->fd = endpoint_new(&cli);
	service->threads = variant->threads;
	job = kt_start(KT_FORK, serve_until_signal, service);
	ASSERT_TRUE(kt_until(kt_stat(cli).waiters == variant->threads));
	ASSERT_EQ(0, kill(job->pid, SIGTERM));
	EXPECT_EQ(4711, kt_join(job));
	close(cli);
	close(service->fd);

	ASSERT_EQ(0, kipc_shutdown(self->service->fd));
	ASSERT_TRUE(ended(self, 0));
}

/* ---- files ---- */

static ssize_t look_for_files(void *context, const void *request, size_t size,
			      const struct kipc_result *result, void *reply, size_t room)
{
	(void)context;
	(void)request;
	(void)reply;
	kt_need(size <= room && !result->nfds);
	return result->flags & KIPC_RESULT_FILES_DROPPED ? -EMFILE : 0;
}

static long serve_without_files(void *arg)
{
	return kipc_serve(*(int *)arg, 2, look_for_files, NULL);
}

TEST(serve_drops_files)
{
	int dev = kt_device();
	int fd = kt_private(dev, KIPC_OPEN_FILES, NULL);
	int cli = kt_again(dev, kt_id(fd), KIPC_RIGHT_SEND);
	unsigned int fds = kt_open_fds();
	struct kt_job *job;
	const struct kipc_msg req = { .fds = (int[]){ 1, 2 }, .nfds = 2 };

	ASSERT_LE(0, fd);
	ASSERT_LE(0, cli);
	job = kt_start(KT_THREAD, serve_without_files, &fd);
	/* (the handler says by this error that files came and went) */
	for (int i = 0; i < 20; i++) {
		EXPECT_EQ(-EMFILE, kipc_rpcmsg(cli, &req, NULL, NULL, KT_PATIENCE_MS));
		EXPECT_EQ(0, kipc_rpcmsg(cli, NULL, NULL, NULL, KT_PATIENCE_MS));
	}
	ASSERT_EQ(0, kipc_shutdown(fd));
	EXPECT_EQ(0, kt_join(job));
	EXPECT_EQ(fds, kt_open_fds());
	close(cli);
	close(fd);
	close(dev);
}

/* ---- starts that fail ---- */

static ssize_t never(void *context, const void *request, size_t size,
		     const struct kipc_result *result, void *reply, size_t room)
{
	(void)context;
	(void)request;
	(void)size;
	(void)result;
	(void)reply;
	(void)room;
	kt_need(!"called");
	return 0;
}

TEST(serve_refuses_what_it_cannot_serve)
{
	unsigned int before = tasks();
	int cli, fd = endpoint_new(&cli), dev = kt_device(), fds[2];
	unsigned int open = kt_open_fds();

	ASSERT_EQ(0, pipe(fds));
	ASSERT_EQ(0, kipc_send(fd, "x", 1, 0));
	for (unsigned int threads = 1; threads <= 4; threads += 3) {
		EXPECT_EQ(-EBADF, kipc_serve(cli, threads, never, NULL));
		EXPECT_EQ(-EBADF, kipc_serve(-1, threads, never, NULL));
		EXPECT_EQ(-ENOTTY, kipc_serve(fds[0], threads, never, NULL));
		EXPECT_GT(0, kipc_serve(dev, threads, never, NULL));
		EXPECT_EQ(-EINVAL, kipc_serve(fd, threads, NULL, NULL));
	}
	EXPECT_EQ(-EINVAL, kipc_serve(fd, 0, never, NULL));
	EXPECT_EQ(-EINVAL, kipc_serve(fd, KIPC_SERVE_MAX + 1, never, NULL));
	/* no message was taken */
	EXPECT_EQ(1, kt_stat(fd).msgs);
	close(fds[0]);
	close(fds[1]);
	EXPECT_TRUE(kt_until(tasks() == before));
	EXPECT_EQ(open, kt_open_fds());
	close(fd);
	close(cli);
	close(dev);
}

static long serve_without_threads(void *arg)
{
	const struct rlimit none = { 1, 1 };

	kt_need(!setrlimit(RLIMIT_NPROC, &none));
	return kipc_serve(*(int *)arg, 4, never, NULL);
}

TEST(serve_without_its_threads_has_taken_nothing)
{
	int cli, fd = endpoint_new(&cli);

	ASSERT_EQ(0, kipc_send(fd, "x", 1, 0));
	EXPECT_EQ(-EAGAIN, kt_run(KT_AS(KT_UID_A), serve_without_threads, &fd));
	EXPECT_EQ(1, kt_stat(fd).msgs);
	EXPECT_EQ(0, kt_stat(fd).waiters);
	close(fd);
	close(cli);
}

TEST(serve_of_a_handle_that_never_waits)
{
	struct service *service = kt_new(struct service);
	int cli;

	service->fd = endpoint_new(&cli);
	service->threads = 1;
	ASSERT_EQ(0, fcntl(service->fd, F_SETFL, O_NONBLOCK));
	for (int i = 0; i < 3; i++)
		ASSERT_EQ(0, kipc_send(cli, "x", 1, 0));
	EXPECT_EQ(-EAGAIN, serve(service));
	EXPECT_EQ(3, service->handled);
	EXPECT_EQ(-EAGAIN, serve(service));
	close(service->fd);
	close(cli);
}

TEST_HARNESS_MAIN
