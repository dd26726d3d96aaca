// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Promise 6: a server's death is an answer. However the process ends that took
 * a call, and whoever else holds its file, the caller is told; an IDEMPOTENT
 * call goes back to its place instead, some times.
 */
#include "harness.h"
#include "call_common.h"

#define REDELIVERIES	3
#define WORKERS		40	/* more than one batch of the module's */
#define HOLD		"KIPC_SELFTEST_HOLD"

/* What a server becomes by exec: this program, doing nothing */
static void __attribute__((constructor)) hold_if_told(void)
{
	if (!getenv(HOLD))
		return;
	for (;;)
		pause();
}

enum end { BY_KILL, BY_EXIT, BY_EXEC, BY_CLOSE };

FIXTURE(server_death) {
	int srv;		/* keeps the endpoint */
	int cli;
	struct job *jobs;
};

FIXTURE_SETUP(server_death)
{
	self->srv = private_endpoint(0, NULL);
	ASSERT_LE(0, self->srv);
	self->cli = open_same(self->srv, KIPC_RIGHT_SEND);
	ASSERT_LE(0, self->cli);
	self->jobs = jobs_new(12);
	for (unsigned int i = 0; i < 4; i++) {
		self->jobs[i].fd = self->cli;
		self->jobs[i].head.cookie = i;
		self->jobs[i].head.type = i;
	}
}

FIXTURE_TEARDOWN(server_death)
{
	close(self->cli);
	close(self->srv);
}

/* Takes @size calls, waits for the command in @token, and ends by @way. */
static void serve(struct job *job)
{
	for (size_t i = 0; i < job->size; i++)
		job_recv(job);
	job->done = 1;
	kt_need(kt_until(job->token));
	if (job->way == BY_EXEC) {
		setenv(HOLD, "1", 1);
		execl("/proc/self/exe", "held", NULL);
		abort();
	}
	if (job->way == BY_CLOSE)
		close(job->fd);
	if (job->way >= BY_EXIT)
		exit(0);
	job_hold(job);
}

static void server_start(struct job *server, int fd, size_t calls, enum end end)
{
	server->fd = fd;
	server->size = calls;
	server->way = end;
	server->head = (struct kipc_msg){ 0 };
	server->token = 0;
	job_start(server, serve);
}

/* True when its process has come to the end that it was made for */
static bool server_end(struct job *server)
{
	char path[64], name[64];

	server->token = 1;
	if (server->way == BY_KILL)
		return job_kill(server);
	if (server->way != BY_EXEC)
		return kt_until(waitpid(server->kt->pid, NULL, 0) == server->kt->pid);
	snprintf(path, sizeof(path), "/proc/%d/cmdline", server->kt->pid);
	return kt_until(kt_read_file(path, name, sizeof(name)) > 0 && !strcmp(name, "held"));
}

/*
 * Two calls taken, two waiting; the server dies by @end, its file held by the
 * test or not.
 */
static void server_dies(struct __test_metadata *_metadata,
			FIXTURE_DATA(server_death) *self, enum end end, bool held)
{
	struct job *server = &self->jobs[4];
	struct kipc_result result;
	int file;

	for (unsigned int i = 0; i < 4; i++) {
		job_start(&self->jobs[i], job_rpc);
		await_stat(self->srv, msgs, i + 1);
	}
	/* now that there are no more forks than the server */
	file = open_same(self->srv, KIPC_RIGHT_RECV);
	server_start(server, file, 2, end);
	if (!held)
		close(file);
	await(server->done);
	EXPECT_EQ(2, kt_stat(self->srv).calls);
	EXPECT_EQ(2, kt_stat(self->srv).msgs);
	ASSERT_TRUE(server_end(server));
	if (end == BY_EXEC && held) {
		/* the process lives and so does the file: till its exit */
		kill(server->kt->pid, SIGKILL);
		ASSERT_EQ(server->kt->pid, waitpid(server->kt->pid, NULL, 0));
	}

	for (unsigned int i = 0; i < 2; i++) {
		ASSERT_EQ(0, job_join(&self->jobs[i]));
		EXPECT_EQ(-ECONNRESET, self->jobs[i].ret);
		EXPECT_EQ(KIPC_RESULT_DELIVERED, self->jobs[i].result.flags);
		EXPECT_EQ(i, self->jobs[i].result.cookie);
		EXPECT_EQ(0, self->jobs[i].result.token);
	}
	EXPECT_EQ(0, kt_stat(self->srv).calls);
	EXPECT_EQ(2, kt_stat(self->srv).msgs);
	EXPECT_EQ(-ENOENT, kipc_reply(self->srv, server->result.token, NULL, 0));

	/* the others are served by whoever comes */
	for (unsigned int i = 2; i < 4; i++) {
		EXPECT_FALSE(self->jobs[i].done);
		ASSERT_EQ(0, take(self->srv, &result));
		EXPECT_EQ(i, result.type);
		EXPECT_EQ(KIPC_RESULT_CALL, result.flags);
		EXPECT_EQ(1, result.deliveries);
		ASSERT_EQ(0, kipc_reply(self->srv, result.token, NULL, 0));
		ASSERT_EQ(0, job_join(&self->jobs[i]));
		EXPECT_EQ(0, self->jobs[i].ret);
	}
	EXPECT_TRUE(kt_quiet(self->srv));
	if (end == BY_EXEC && !held)
		kill(server->kt->pid, SIGKILL);
}

TEST_F(server_death, p06_killed)
{
	server_dies(_metadata, self, BY_KILL, false);
}

TEST_F(server_death, p06_killed_while_another_holds_its_file)
{
	server_dies(_metadata, self, BY_KILL, true);
}

TEST_F(server_death, p06_exits)
{
	server_dies(_metadata, self, BY_EXIT, false);
}

TEST_F(server_death, p06_exits_while_another_holds_its_file)
{
	server_dies(_metadata, self, BY_EXIT, true);
}

TEST_F(server_death, p06_execs)
{
	server_dies(_metadata, self, BY_EXEC, false);
}

TEST_F(server_death, p06_execs_and_exits_while_another_holds_its_file)
{
	server_dies(_metadata, self, BY_EXEC, true);
}

TEST_F(server_death, p06_closes_and_exits_while_another_holds_its_file)
{
	server_dies(_metadata, self, BY_CLOSE, true);
}

TEST_F(server_death, p06_exit_of_a_child_that_took_nothing_is_no_death)
{
	struct job *child = &self->jobs[4];
	struct kipc_result result;

	job_start(&self->jobs[0], job_rpc);
	ASSERT_EQ(0, take(self->srv, &result));
	job_start(child, job_hold);
	await(child->done);
	ASSERT_TRUE(job_kill(child));
	EXPECT_FALSE(self->jobs[0].done);
	EXPECT_EQ(1, kt_stat(self->srv).calls);
	ASSERT_EQ(0, kipc_reply(self->srv, result.token, NULL, 0));
	ASSERT_EQ(0, job_join(&self->jobs[0]));
	EXPECT_EQ(0, self->jobs[0].ret);
}

TEST_F(server_death, p06_other_servers_of_the_endpoint_are_not_concerned)
{
	struct job *server = &self->jobs[4];
	struct kipc_result result;

	job_start(&self->jobs[0], job_rpc);
	ASSERT_EQ(0, take(self->srv, &result));
	job_start(&self->jobs[1], job_rpc);
	await_stat(self->srv, msgs, 1);
	/* by the same file */
	server_start(server, self->srv, 1, BY_KILL);
	await(server->done);
	ASSERT_TRUE(server_end(server));
	ASSERT_EQ(0, job_join(&self->jobs[1]));
	EXPECT_EQ(-ECONNRESET, self->jobs[1].ret);
	EXPECT_FALSE(self->jobs[0].done);
	EXPECT_EQ(0, kipc_wanted(self->srv, result.token));
	ASSERT_EQ(0, kipc_reply(self->srv, result.token, NULL, 0));
	ASSERT_EQ(0, job_join(&self->jobs[0]));
	EXPECT_EQ(0, self->jobs[0].ret);
	EXPECT_TRUE(kt_quiet(self->srv));
}

/* Adopts what the first took, and holds it. */
static void adopt_and_hold(struct job *job)
{
	job->ret = kipc_adopt(job->fd, job->token);
	job->done = 1;
	job_hold(job);
}

TEST_F(server_death, p06_the_adopter_dies_instead)
{
	struct job *first = &self->jobs[4], *second = &self->jobs[5];

	job_start(&self->jobs[0], job_rpc);
	first->fd = self->srv;
	job_start(first, job_take);
	await(first->done);
	second->fd = self->srv;
	second->token = first->result.token;
	job_start(second, adopt_and_hold);
	await(second->done);
	ASSERT_EQ(0, second->ret);

	ASSERT_TRUE(job_kill(first));
	EXPECT_FALSE(self->jobs[0].done);
	EXPECT_EQ(1, kt_stat(self->srv).calls);
	EXPECT_EQ(0, kipc_wanted(self->srv, first->result.token));
	ASSERT_TRUE(job_kill(second));
	ASSERT_EQ(0, job_join(&self->jobs[0]));
	EXPECT_EQ(-ECONNRESET, self->jobs[0].ret);
	EXPECT_EQ(KIPC_RESULT_DELIVERED, self->jobs[0].result.flags);
	EXPECT_EQ(-ENOENT, kipc_adopt(self->srv, first->result.token));
	EXPECT_TRUE(kt_quiet(self->srv));
}

TEST_F(server_death, p06_many_workers_of_one_file_killed_together)
{
	struct job *workers = jobs_new(WORKERS);
	struct kipc_result result;
	uint64_t tokens[WORKERS];
	int file = open_same(self->srv, KIPC_RIGHT_RECV);

	for (unsigned int i = 0; i < WORKERS; i++) {
		tokens[i] = start(self->cli, 0, i, -1);
		ASSERT_NE(0, tokens[i]);
		workers[i].fd = file;
		job_start(&workers[i], job_take);
	}
	for (unsigned int i = 0; i < WORKERS; i++)
		await(workers[i].done);
	EXPECT_EQ(WORKERS, kt_stat(self->srv).calls);
	for (unsigned int i = 0; i < WORKERS; i++)
		kill(workers[i].kt->pid, SIGKILL);
	for (unsigned int i = 0; i < WORKERS; i++)
		ASSERT_EQ(KT_DIED - SIGKILL, job_join(&workers[i]));
	for (unsigned int i = 0; i < WORKERS; i++) {
		ASSERT_EQ(-ECONNRESET, finish(self->cli, tokens[i], &result));
		ASSERT_EQ(KIPC_RESULT_DELIVERED, result.flags);
	}
	EXPECT_TRUE(kt_quiet(self->srv));
	close(file);
}

/* ---- threads ---- */

static void *take_in_thread(void *arg)
{
	job_recv(arg);
	return NULL;
}

/* The thread that takes the call ends; another answers. */
static void serve_by_two_threads(struct job *job)
{
	pthread_t thread;

	kt_need(!pthread_create(&thread, NULL, take_in_thread, job));
	kt_need(!pthread_join(thread, NULL));
	job->done = 1;
	kt_need(kt_until(job->token));
	job->ret = kipc_reply(job->fd, job->result.token, "reply", 5);
}

TEST_F(server_death, p06_exit_of_a_thread_is_no_death)
{
	struct job *server = &self->jobs[4];

	server->fd = self->srv;
	job_start(&self->jobs[0], job_rpc);
	job_start(server, serve_by_two_threads);
	await(server->done);
	EXPECT_FALSE(self->jobs[0].done);
	EXPECT_EQ(0, kipc_wanted(self->srv, server->result.token));
	server->token = 1;
	ASSERT_EQ(0, job_join(server));
	EXPECT_EQ(0, server->ret);
	ASSERT_EQ(0, job_join(&self->jobs[0]));
	EXPECT_EQ(5, self->jobs[0].ret);
}

static void *answer_in_thread(void *arg)
{
	struct job *job = arg;
	char path[64], text[512], *state;

	/* until the first thread is a zombie */
	snprintf(path, sizeof(path), "/proc/%d/stat", getpid());
	do {
		kt_nap();
		kt_need(kt_read_file(path, text, sizeof(text)) > 0);
		state = strrchr(text, ')');
	} while (!state || state[2] != 'Z');
	job->done = 1;
	kt_need(kt_until(job->token));
	job->ret = kipc_reply(job->fd, job->result.token, "reply", 5);
	_exit(0);
}

static void main_thread_leaves(struct job *job)
{
	pthread_t thread;

	job_recv(job);
	kt_need(!pthread_create(&thread, NULL, answer_in_thread, job));
	/* not the process, and no clean-up of the library's */
	syscall(SYS_exit, 0);
}

TEST_F(server_death, p06_exit_of_the_first_thread_is_no_death)
{
	struct job *server = &self->jobs[4];

	server->fd = self->srv;
	job_start(&self->jobs[0], job_rpc);
	job_start(server, main_thread_leaves);
	await(server->done);
	EXPECT_FALSE(self->jobs[0].done);
	EXPECT_EQ(0, kipc_wanted(self->srv, server->result.token));
	server->token = 1;
	ASSERT_EQ(0, job_join(&self->jobs[0]));
	EXPECT_EQ(5, self->jobs[0].ret);
	EXPECT_EQ(0, server->ret);
	waitpid(server->kt->pid, NULL, 0);
}

/* ---- the file ---- */

TEST_F(server_death, p06_the_last_holder_of_the_file_closes_it)
{
	int file, copy;
	struct kipc_result result;

	job_start(&self->jobs[0], job_rpc);
	file = open_same(self->srv, KIPC_RIGHT_RECV);
	copy = dup(file);
	ASSERT_EQ(0, take(file, &result));
	close(file);
	EXPECT_FALSE(self->jobs[0].done);
	EXPECT_EQ(1, kt_stat(self->srv).calls);
	close(copy);
	ASSERT_EQ(0, job_join(&self->jobs[0]));
	EXPECT_EQ(-ECONNRESET, self->jobs[0].ret);
	EXPECT_EQ(KIPC_RESULT_DELIVERED, self->jobs[0].result.flags);
	EXPECT_EQ(-ENOENT, kipc_reply(self->srv, result.token, NULL, 0));
	EXPECT_TRUE(kt_quiet(self->srv));
}

TEST_F(server_death, p06_the_taker_lets_go_of_a_file_that_another_holds)
{
	struct job *holder = &self->jobs[4];
	struct kipc_result result;
	int file, copy;

	job_start(&self->jobs[0], job_rpc);
	file = open_same(self->srv, KIPC_RIGHT_RECV);
	copy = dup(file);
	job_start(holder, job_hold);
	ASSERT_EQ(0, take(file, &result));
	/* not yet: it has another descriptor of the file */
	close(file);
	EXPECT_EQ(0, kipc_wanted(self->srv, result.token));
	/* nobody would ever see its exit after this */
	close(copy);
	ASSERT_EQ(0, job_join(&self->jobs[0]));
	EXPECT_EQ(-ECONNRESET, self->jobs[0].ret);
	EXPECT_EQ(KIPC_RESULT_DELIVERED, self->jobs[0].result.flags);
	EXPECT_TRUE(kt_quiet(self->srv));
	EXPECT_TRUE(job_kill(holder));
}

TEST_F(server_death, p06_the_taker_lets_go_of_what_another_adopted)
{
	struct job *second = &self->jobs[4];
	struct kipc_result result;
	int file;

	job_start(&self->jobs[0], job_rpc);
	file = open_same(self->srv, KIPC_RIGHT_RECV);
	ASSERT_EQ(0, take(file, &result));
	second->fd = file;
	second->token = result.token;
	job_start(second, adopt_and_hold);
	await(second->done);
	ASSERT_EQ(0, second->ret);
	close(file);
	EXPECT_FALSE(self->jobs[0].done);
	EXPECT_EQ(0, kipc_wanted(self->srv, result.token));
	ASSERT_TRUE(job_kill(second));
	ASSERT_EQ(0, job_join(&self->jobs[0]));
	EXPECT_EQ(-ECONNRESET, self->jobs[0].ret);
	EXPECT_TRUE(kt_quiet(self->srv));
}

/*
 * A thread of the taker closes its last descriptor of a file that a child holds
 * too, while another thread is in the middle of taking over a call through it.
 */
struct taking {
	int fd;
	unsigned long cmd;
	void *arg;
	volatile long ret;
	volatile int done;
};

static long taking_main(void *arg)
{
	struct taking *taking = arg;

	taking->ret = kt_ioctl(taking->fd, taking->cmd, taking->arg);
	taking->done = 1;
	return 0;
}

TEST_F(server_death, p06_the_taker_lets_go_while_its_receive_waits)
{
	struct kipc_result result;
	struct kipc_op_recv op = kt_recv_op(NULL, 0, &result);
	struct taking taking = { .cmd = KIPC_IOC_RECV, .arg = &op };
	struct job *holder = &self->jobs[4];
	struct kt_job *taker;

	taking.fd = open_same(self->srv, KIPC_RIGHT_RECV);
	job_start(holder, job_hold);
	op.flags = KIPC_TRUNCATE;
	taker = kt_start(KT_THREAD, taking_main, &taking);
	ASSERT_TRUE(kt_asleep(taker));
	close(taking.fd);
	job_start(&self->jobs[0], job_rpc);
	await(taking.done);
	EXPECT_EQ(0, taking.ret);
	ASSERT_EQ(0, job_join(&self->jobs[0]));
	EXPECT_EQ(-ECONNRESET, self->jobs[0].ret);
	EXPECT_EQ(-ENOENT, kipc_reply(self->srv, result.token, NULL, 0));
	EXPECT_TRUE(job_kill(holder));
	EXPECT_TRUE(kt_quiet(self->srv));
}

TEST_F(server_death, p06_the_taker_lets_go_while_its_receive_begins)
{
	struct kipc_result result;
	struct kipc_op_recv op = kt_recv_op(NULL, 0, &result);
	struct taking taking = { .cmd = KIPC_IOC_RECV, .arg = &op };
	struct kt_stall *stall = kt_stall_new(0);
	struct job *holder = &self->jobs[4];

	taking.fd = open_same(self->srv, KIPC_RIGHT_RECV);
	job_start(holder, job_hold);
	op.flags = KIPC_TRUNCATE;
	/* One segment of no bytes, which it is long in reading */
	op.payload.iovcnt = 1;
	op.payload.base = kt_ptr(stall->page);
	kt_start(KT_THREAD, taking_main, &taking);
	ASSERT_TRUE(kt_stalled(stall));
	close(taking.fd);
	job_start(&self->jobs[0], job_rpc);
	await_stat(self->srv, msgs, 1);
	kt_release(stall);
	await(taking.done);
	EXPECT_EQ(0, taking.ret);
	ASSERT_EQ(0, job_join(&self->jobs[0]));
	EXPECT_EQ(-ECONNRESET, self->jobs[0].ret);
	EXPECT_EQ(-ENOENT, kipc_reply(self->srv, result.token, NULL, 0));
	EXPECT_TRUE(job_kill(holder));
	EXPECT_TRUE(kt_quiet(self->srv));
}

TEST_F(server_death, p06_the_adopter_lets_go_while_it_adopts)
{
	struct taking taking = { .cmd = KIPC_IOC_ADOPT };
	struct kt_stall *stall = kt_stall_new(0);
	struct job *holder = &self->jobs[4];
	struct kipc_op_token *op;
	struct kipc_result result;

	job_start(&self->jobs[0], job_rpc);
	ASSERT_EQ(0, take(self->srv, &result));
	taking.fd = open_same(self->srv, KIPC_RIGHT_RECV);
	job_start(holder, job_hold);
	/* The token is there to read at once, the rest late */
	op = (struct kipc_op_token *)(stall->page - sizeof(op->token));
	op->token = result.token;
	taking.arg = op;
	kt_start(KT_THREAD, taking_main, &taking);
	ASSERT_TRUE(kt_stalled(stall));
	close(taking.fd);
	kt_release(stall);
	await(taking.done);
	EXPECT_EQ(0, taking.ret);
	ASSERT_EQ(0, job_join(&self->jobs[0]));
	EXPECT_EQ(-ECONNRESET, self->jobs[0].ret);
	EXPECT_EQ(-ENOENT, kipc_reply(self->srv, result.token, NULL, 0));
	EXPECT_TRUE(job_kill(holder));
	EXPECT_TRUE(kt_quiet(self->srv));
}

/* ---- IDEMPOTENT ---- */

TEST_F(server_death, p06_idempotent_is_delivered_again_in_its_place)
{
	struct job *server = &self->jobs[8];
	struct kipc_result result;

	for (unsigned int i = 0; i < 4; i++) {
		self->jobs[i].head.flags = KIPC_IDEMPOTENT;
		self->jobs[i].head.prio = i == 3 ? 2 : 1;
		job_start(&self->jobs[i], job_rpc);
		await_stat(self->srv, msgs, i + 1);
	}
	/* takes number 3, the highest, then 0 and 1 */
	server_start(server, self->srv, 3, BY_KILL);
	await(server->done);
	EXPECT_EQ(3, kt_stat(self->srv).calls);
	ASSERT_TRUE(server_end(server));
	await_stat(self->srv, msgs, 4);
	EXPECT_EQ(0, kt_stat(self->srv).calls);

	for (unsigned int i = 0; i < 4; i++) {
		unsigned int number = i ? i - 1 : 3;

		EXPECT_FALSE(self->jobs[number].done);
		ASSERT_EQ(0, take(self->srv, &result));
		ASSERT_EQ(number, result.type);
		EXPECT_EQ(number == 2 ? 1 : 2, result.deliveries);
		EXPECT_EQ(KIPC_RESULT_CALL | (number == 2 ? 0 : KIPC_RESULT_REDELIVERED),
			  result.flags);
		/* a new token at each delivery */
		EXPECT_NE(server->result.token, result.token);
		EXPECT_EQ(-ENOENT, kipc_reply(self->srv, server->result.token, NULL, 0));
		ASSERT_EQ(0, kipc_reply(self->srv, result.token, "reply", 5));
		ASSERT_EQ(0, job_join(&self->jobs[number]));
		EXPECT_EQ(5, self->jobs[number].ret);
		EXPECT_EQ(KIPC_RESULT_DELIVERED,
			  self->jobs[number].result.flags & ~KIPC_RESULT_REDELIVERED);
	}
	EXPECT_TRUE(kt_quiet(self->srv));
}

TEST_F(server_death, p06_idempotent_is_given_up_at_last)
{
	struct job *client = &self->jobs[0], *server = &self->jobs[8];

	client->head.flags = KIPC_IDEMPOTENT;
	job_start(client, job_rpc);
	for (unsigned int i = 1; i <= REDELIVERIES + 1; i++) {
		EXPECT_FALSE(client->done);
		server_start(server, self->srv, 1, BY_KILL);
		await(server->done);
		EXPECT_EQ(i, server->result.deliveries);
		EXPECT_EQ(KIPC_RESULT_CALL | (i > 1 ? KIPC_RESULT_REDELIVERED : 0),
			  server->result.flags);
		ASSERT_TRUE(server_end(server));
	}
	ASSERT_EQ(0, job_join(client));
	EXPECT_EQ(-ECONNRESET, client->ret);
	EXPECT_EQ(KIPC_RESULT_DELIVERED, client->result.flags & KIPC_RESULT_DELIVERED);
	EXPECT_EQ(0, client->result.token);
	EXPECT_TRUE(kt_quiet(self->srv));
}

TEST_F(server_death, p06_idempotent_goes_to_a_receiver_that_waits)
{
	struct job *client = &self->jobs[0], *server = &self->jobs[8], *next = &self->jobs[9];

	client->head.flags = KIPC_IDEMPOTENT;
	job_start(client, job_rpc);
	server_start(server, self->srv, 1, BY_KILL);
	await(server->done);
	next->fd = self->srv;
	job_start(next, job_take);
	await_asleep(next);
	ASSERT_TRUE(server_end(server));
	await(next->done);
	EXPECT_EQ(2, next->result.deliveries);
	EXPECT_EQ(KIPC_RESULT_CALL | KIPC_RESULT_REDELIVERED, next->result.flags);
	ASSERT_EQ(0, kipc_reply(self->srv, next->result.token, NULL, 0));
	ASSERT_EQ(0, job_join(client));
	EXPECT_EQ(0, client->ret);
	EXPECT_TRUE(job_kill(next));
	EXPECT_TRUE(kt_quiet(self->srv));
}

/* What was delivered once is told with DELIVERED, wherever it is now. */
TEST_F(server_death, p06_idempotent_back_in_the_queue_was_delivered)
{
	struct job *server = &self->jobs[8];
	struct kipc_result result;
	uint64_t removed, cancelled, expired;

	cancelled = start(self->cli, KIPC_IDEMPOTENT, 1, -1);
	expired = start(self->cli, KIPC_IDEMPOTENT, 2, 1000);
	removed = start(self->cli, KIPC_IDEMPOTENT, 3, -1);
	server_start(server, self->srv, 3, BY_KILL);
	await(server->done);
	ASSERT_TRUE(server_end(server));
	await_stat(self->srv, msgs, 3);
	EXPECT_EQ(KIPC_RESULT_DELIVERED, kipc_cancel(self->cli, cancelled));
	await(polled(self->cli) & POLLPRI);
	EXPECT_EQ(-ETIMEDOUT, finish(self->cli, expired, &result));
	EXPECT_EQ(KIPC_RESULT_DELIVERED, result.flags & KIPC_RESULT_DELIVERED);
	EXPECT_EQ(1, kt_stat(self->srv).msgs);
	ASSERT_EQ(0, kipc_remove(self->srv, 0));
	EXPECT_EQ(-EIDRM, finish(self->cli, removed, &result));
	EXPECT_EQ(KIPC_RESULT_DELIVERED, result.flags & KIPC_RESULT_DELIVERED);
}

/* What was delivered once cannot be withdrawn and made anew: it goes on. */
TEST_F(server_death, p05_signal_while_an_idempotent_call_is_back_in_the_queue)
{
	struct job *client = &self->jobs[0], *server = &self->jobs[8];
	struct kipc_result taken, result;
	uint64_t token;

	client->head.flags = KIPC_IDEMPOTENT;
	client->catches = true;
	job_start(client, job_rpc_raw);
	server_start(server, self->srv, 1, BY_KILL);
	await(server->done);
	ASSERT_TRUE(server_end(server));
	await_stat(self->srv, msgs, 1);
	ASSERT_TRUE(job_signal(client));
	ASSERT_EQ(0, job_join(client));
	EXPECT_EQ(-EINTR, client->ret);
	token = client->op.rpc.token;
	EXPECT_NE(0, token);
	EXPECT_EQ(token, client->result.token);
	EXPECT_EQ(KIPC_RESULT_DELIVERED, client->result.flags & KIPC_RESULT_DELIVERED);
	EXPECT_EQ(1, kt_stat(self->srv).msgs);

	ASSERT_EQ(0, take(self->srv, &taken));
	EXPECT_EQ(2, taken.deliveries);
	EXPECT_EQ(0, kt_stat(self->srv).msgs);
	ASSERT_EQ(0, kipc_reply(self->srv, taken.token, "reply", 5));
	EXPECT_EQ(5, finish(self->cli, token, &result));
	EXPECT_TRUE(kt_quiet(self->srv));
}

/* A queue that filled up meanwhile is no reason to lose it. */
TEST_F(server_death, p06_idempotent_goes_back_into_a_full_queue)
{
	struct kipc_attr attr = { .max_msgs = 1 };
	struct job *server = &self->jobs[8];
	struct kipc_result result;
	uint64_t token;
	int srv = private_endpoint(0, &attr), cli = open_same(srv, KIPC_RIGHT_SEND);

	token = start(cli, KIPC_IDEMPOTENT, 1, -1);
	ASSERT_NE(0, token);
	server_start(server, srv, 1, BY_KILL);
	await(server->done);
	ASSERT_EQ(0, kt_send(cli, 0, 9, 0, "m", 1));
	ASSERT_TRUE(server_end(server));
	EXPECT_EQ(-EAGAIN, kt_send(cli, 0, 9, 0, "m", 1));
	ASSERT_EQ(0, take(srv, &result));
	EXPECT_EQ(1, result.type);
	EXPECT_EQ(2, result.deliveries);
	ASSERT_EQ(0, kipc_reply(srv, result.token, NULL, 0));
	ASSERT_EQ(1, take(srv, &result));
	EXPECT_EQ(9, result.type);
	EXPECT_EQ(0, finish(cli, token, &result));
	EXPECT_TRUE(kt_quiet(srv));
	/* as much room as before */
	EXPECT_EQ(0, kt_send(cli, 0, 9, 0, "m", 1));
	EXPECT_EQ(-EAGAIN, kt_send(cli, 0, 9, 0, "m", 1));
	close(cli);
	close(srv);
}

TEST_HARNESS_MAIN
