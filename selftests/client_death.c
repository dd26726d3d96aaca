// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Promise 7: a caller's leaving is told. REPLY and WANTED say ECANCELED; in
 * REPLY_RECV it is reply_error, and no reason to stop receiving.
 */
#include "harness.h"
#include "call_common.h"

#define REMEMBERED	1024	/* deliveries given up that an endpoint remembers */

FIXTURE(client_death) {
	int srv;
	int cli;
	struct job *jobs;
};

FIXTURE_SETUP(client_death)
{
	struct kipc_attr attr = { .max_size = JOB_BUF, .max_msgs = REMEMBERED };

	self->srv = private_endpoint(0, &attr);
	ASSERT_LE(0, self->srv);
	self->cli = open_same(self->srv, KIPC_RIGHT_SEND);
	ASSERT_LE(0, self->cli);
	self->jobs = jobs_new(20);
	for (unsigned int i = 0; i < 20; i++) {
		self->jobs[i].fd = self->cli;
		self->jobs[i].head.type = i;
	}
}

FIXTURE_TEARDOWN(client_death)
{
	close(self->cli);
	close(self->srv);
}

TEST_F(client_death, p07_killed_after_its_call_was_taken)
{
	struct kipc_result result;

	job_start(&self->jobs[0], job_rpc);
	ASSERT_EQ(0, take(self->srv, &result));
	EXPECT_EQ(0, kipc_wanted(self->srv, result.token));
	ASSERT_TRUE(job_kill(&self->jobs[0]));
	EXPECT_EQ(0, kt_stat(self->srv).calls);
	EXPECT_EQ(-ECANCELED, kipc_wanted(self->srv, result.token));
	EXPECT_EQ(-ECANCELED, kipc_adopt(self->srv, result.token));
	EXPECT_EQ(-ECANCELED, kipc_wanted(self->srv, result.token));
	EXPECT_EQ(-ECANCELED, kipc_reply(self->srv, result.token, "late", 4));
	EXPECT_EQ(-ENOENT, kipc_reply(self->srv, result.token, "late", 4));
	EXPECT_EQ(-ENOENT, kipc_wanted(self->srv, result.token));
	EXPECT_TRUE(kt_quiet(self->srv));
}

TEST_F(client_death, p07_reply_recv_tells_it_and_receives_on)
{
	struct job *server = &self->jobs[1];
	struct kipc_result result;

	job_start(&self->jobs[0], job_rpc);
	ASSERT_EQ(0, take(self->srv, &result));
	ASSERT_TRUE(job_kill(&self->jobs[0]));
	ASSERT_EQ(0, kt_send(self->cli, 0, 7, 0, "next", 4));
	server->fd = self->srv;
	server->token = result.token;
	server->size = 4;
	job_start_thread(server, job_reply_recv_raw);
	ASSERT_EQ(0, job_join(server));
	EXPECT_EQ(4, server->ret);
	EXPECT_EQ(0, memcmp("next", server->out, 4));
	EXPECT_EQ(0, server->op.reply_recv.token);
	EXPECT_EQ(1, server->op.reply_recv.replied);
	EXPECT_EQ(-ECANCELED, server->op.reply_recv.reply_error);
	EXPECT_EQ(-ECANCELED, server->result.reply_error);
	EXPECT_EQ(KIPC_RESULT_REPLIED, server->result.flags);
	EXPECT_EQ(7, server->result.type);
	EXPECT_EQ(-ENOENT, kipc_reply(self->srv, result.token, NULL, 0));
	EXPECT_TRUE(kt_quiet(self->srv));
}

TEST_F(client_death, p07_kipc_reply_recv_tells_it_and_receives_on)
{
	struct kipc_result result;
	char buf[JOB_BUF];

	job_start(&self->jobs[0], job_rpc);
	ASSERT_EQ(0, take(self->srv, &result));
	ASSERT_TRUE(job_kill(&self->jobs[0]));
	job_start(&self->jobs[1], job_rpc);
	ASSERT_EQ(0, kipc_reply_recv(self->srv, "late", 4, buf, sizeof(buf), &result, -1));
	EXPECT_EQ(-ECANCELED, result.reply_error);
	EXPECT_EQ(KIPC_RESULT_CALL | KIPC_RESULT_REPLIED, result.flags);
	EXPECT_EQ(1, result.type);
	/* and the next is answered as ever */
	ASSERT_EQ(-EAGAIN, kipc_reply_recv(self->srv, "reply", 5, buf, sizeof(buf), &result, 0));
	EXPECT_EQ(0, result.reply_error);
	EXPECT_EQ(0, result.token);
	EXPECT_EQ(KIPC_RESULT_REPLIED, result.flags);
	ASSERT_EQ(0, job_join(&self->jobs[1]));
	EXPECT_EQ(5, self->jobs[1].ret);
}

TEST_F(client_death, p07_an_unknown_token_stops_reply_recv)
{
	struct job *server = &self->jobs[0];

	ASSERT_EQ(0, kt_send(self->cli, 0, 7, 0, "next", 4));
	server->fd = self->srv;
	server->token = 12345;
	job_start_thread(server, job_reply_recv_raw);
	ASSERT_EQ(0, job_join(server));
	EXPECT_EQ(-ENOENT, server->ret);
	EXPECT_EQ(12345, server->op.reply_recv.token);
	EXPECT_EQ(0, server->op.reply_recv.replied);
	EXPECT_EQ(1, kt_stat(self->srv).msgs);
}

TEST_F(client_death, p07_killed_before_its_call_was_taken)
{
	struct kipc_result result;

	for (unsigned int i = 0; i < 3; i++) {
		job_start(&self->jobs[i], job_rpc);
		await_stat(self->srv, msgs, i + 1);
	}
	ASSERT_TRUE(job_kill(&self->jobs[1]));
	EXPECT_EQ(2, kt_stat(self->srv).msgs);
	for (unsigned int i = 0; i < 3; i += 2) {
		ASSERT_EQ(0, take(self->srv, &result));
		EXPECT_EQ(i, result.type);
		ASSERT_EQ(0, kipc_reply(self->srv, result.token, NULL, 0));
		ASSERT_EQ(0, job_join(&self->jobs[i]));
		EXPECT_EQ(0, self->jobs[i].ret);
	}
	EXPECT_TRUE(kt_quiet(self->srv));
}

TEST_F(client_death, p07_killed_while_its_request_is_being_copied)
{
	struct job *client = &self->jobs[0];

	client->stall = STALL_IN;
	client->size = 8;
	job_start(client, job_rpc);
	await_stalled(client);
	EXPECT_EQ(0, kt_stat(self->srv).msgs);
	ASSERT_TRUE(job_kill(client));
	EXPECT_TRUE(kt_quiet(self->srv));
}

static void *rpc_in_thread(void *arg)
{
	job_rpc(arg);
	return NULL;
}

/* Its other thread ends the process. */
static void rpc_and_exit(struct job *job)
{
	pthread_t thread;

	kt_need(!pthread_create(&thread, NULL, rpc_in_thread, job));
	kt_need(kt_until(job->token));
	exit(0);
}

TEST_F(client_death, p07_exit_of_a_process_with_a_thread_in_a_call)
{
	struct job *client = &self->jobs[0];
	struct kipc_result result;

	job_start(client, rpc_and_exit);
	ASSERT_EQ(0, take(self->srv, &result));
	client->token = 1;
	ASSERT_EQ(client->kt->pid, waitpid(client->kt->pid, NULL, 0));
	EXPECT_EQ(-ECANCELED, kipc_reply(self->srv, result.token, NULL, 0));
	EXPECT_TRUE(kt_quiet(self->srv));
}

static void start_and_hold(struct job *job)
{
	job->token = start(job->fd, 0, 1, -1);
	job->done = 1;
	job_hold(job);
}

TEST_F(client_death, p07_a_started_call_is_the_files_not_the_process)
{
	struct job *client = &self->jobs[0];
	struct kipc_result taken, result;

	job_start(client, start_and_hold);
	await(client->done);
	ASSERT_NE(0, client->token);
	ASSERT_EQ(0, take(self->srv, &taken));
	ASSERT_TRUE(job_kill(client));
	/* the test holds the same file, and collects it */
	EXPECT_EQ(0, kipc_wanted(self->srv, taken.token));
	ASSERT_EQ(0, kipc_reply(self->srv, taken.token, "reply", 5));
	EXPECT_EQ(5, finish(self->cli, client->token, &result));
	EXPECT_TRUE(kt_quiet(self->srv));
}

TEST_F(client_death, p07_a_started_call_ends_with_its_file)
{
	int cli = open_same(self->srv, KIPC_RIGHT_SEND);
	struct kipc_result first, second;

	ASSERT_NE(0, start(cli, 0, 1, -1));
	ASSERT_NE(0, start(cli, 0, 2, -1));
	ASSERT_NE(0, start(cli, 0, 3, -1));
	ASSERT_EQ(0, take(self->srv, &first));
	ASSERT_EQ(0, take(self->srv, &second));
	ASSERT_EQ(0, kipc_reply(self->srv, second.token, NULL, 0));
	close(cli);
	EXPECT_EQ(0, kt_stat(self->srv).msgs);
	EXPECT_EQ(-ECANCELED, kipc_reply(self->srv, first.token, NULL, 0));
	EXPECT_EQ(-ENOENT, kipc_reply(self->srv, second.token, NULL, 0));
	EXPECT_TRUE(kt_quiet(self->srv));
}

TEST_F(client_death, p07_many_at_once)
{
	uint64_t tokens[8];
	struct kipc_result result;

	for (unsigned int i = 0; i < 16; i++) {
		self->jobs[i].fd = self->cli;
		job_start(&self->jobs[i], job_rpc);
	}
	await_stat(self->srv, msgs, 16);
	for (unsigned int i = 0; i < 8; i++) {
		ASSERT_EQ(0, take(self->srv, &result));
		tokens[i] = result.token;
	}
	for (unsigned int i = 0; i < 16; i++)
		kill(self->jobs[i].kt->pid, SIGKILL);
	for (unsigned int i = 0; i < 16; i++)
		ASSERT_EQ(KT_DIED - SIGKILL, job_join(&self->jobs[i]));
	for (unsigned int i = 0; i < 8; i++) {
		EXPECT_EQ(-ECANCELED, kipc_wanted(self->srv, tokens[i]));
		EXPECT_EQ(-ECANCELED, kipc_reply(self->srv, tokens[i], NULL, 0));
	}
	EXPECT_TRUE(kt_quiet(self->srv));
}

/*
 * A receive that had begun to copy a call whose caller then left, and that fails
 * later, must not tell of that call.
 */
static void fail_after_an_aborted_claim(struct __test_metadata *_metadata,
					FIXTURE_DATA(client_death) *self,
					void (*run)(struct job *job), uint32_t flags)
{
	struct job *server = &self->jobs[0];
	struct kipc_result zeros = { .flags = flags };
	struct kipc_msg req = { .type = 7, .iovcnt = 1, .iov = &(struct iovec){ "call", 4 } };
	uint64_t token = 0;

	server->fd = self->srv;
	server->head.type = 0;
	server->stall = STALL_OUT;
	job_start(server, run);
	await_asleep(server);
	ASSERT_EQ(0, kipc_rpc_start(self->cli, &req, 0, &token, -1));
	await_stalled(server);
	ASSERT_EQ(0, kipc_cancel(self->cli, token));
	job_release(server);
	await_asleep(server);
	ASSERT_EQ(0, kipc_shutdown(self->srv));
	ASSERT_EQ(0, job_join(server));
	EXPECT_EQ(-ESHUTDOWN, server->ret);
	EXPECT_EQ(0, memcmp(&zeros, &server->result, sizeof(zeros)));
	EXPECT_TRUE(kt_quiet(self->srv));
}

TEST_F(client_death, p07_recv_that_fails_after_an_aborted_claim)
{
	fail_after_an_aborted_claim(_metadata, self, job_recv_raw, 0);
}

TEST_F(client_death, p07_reply_recv_that_fails_after_an_aborted_claim)
{
	struct kipc_result result;

	ASSERT_NE(0, start(self->cli, 0, 1, -1));
	ASSERT_EQ(0, take(self->srv, &result));
	self->jobs[0].token = result.token;
	fail_after_an_aborted_claim(_metadata, self, job_reply_recv_raw, KIPC_RESULT_REPLIED);
	EXPECT_EQ(0, finish(self->cli, 0, &result));
}

/* Only so many are remembered; what is forgotten is ENOENT. */
TEST_F(client_death, p07_deliveries_remembered_are_bounded)
{
	static uint64_t tokens[REMEMBERED + 10];
	struct kipc_result result;
	uint64_t token;

	for (unsigned int i = 0; i < REMEMBERED + 10; i++) {
		token = start(self->cli, 0, i, -1);
		ASSERT_NE(0, token);
		ASSERT_EQ(0, take(self->srv, &result));
		tokens[i] = result.token;
		ASSERT_EQ(KIPC_RESULT_DELIVERED, kipc_cancel(self->cli, token));
	}
	for (unsigned int i = 0; i < 10; i++)
		EXPECT_EQ(-ENOENT, kipc_wanted(self->srv, tokens[i]));
	for (unsigned int i = 10; i < REMEMBERED + 10; i++)
		ASSERT_EQ(-ECANCELED, kipc_wanted(self->srv, tokens[i]));
	for (unsigned int i = 10; i < REMEMBERED + 10; i++)
		ASSERT_EQ(-ECANCELED, kipc_reply(self->srv, tokens[i], NULL, 0));
	for (unsigned int i = 0; i < REMEMBERED + 10; i++)
		ASSERT_EQ(-ENOENT, kipc_wanted(self->srv, tokens[i]));
	EXPECT_TRUE(kt_quiet(self->srv));
}

/* What a process had sent one-way survives it; what it still waited with not. */
TEST_F(client_death, p07_messages_of_the_dead)
{
	struct job *plain = &self->jobs[0], *sync = &self->jobs[1];
	struct kipc_result result;

	job_start_as(plain, KT_AS(KT_UID_A), job_send);
	ASSERT_EQ(0, job_join(plain));
	ASSERT_EQ(0, plain->ret);
	sync->head.flags = KIPC_SYNC;
	job_start(sync, job_send);
	await_stat(self->srv, msgs, 2);
	await_asleep(sync);
	ASSERT_TRUE(job_kill(sync));
	EXPECT_EQ(1, kt_stat(self->srv).msgs);
	ASSERT_EQ(0, take(self->srv, &result));
	EXPECT_EQ(0, result.type);
	EXPECT_EQ(KT_UID_A, result.uid);
	EXPECT_TRUE(kt_quiet(self->srv));
}

/* What cannot be told is not done */
TEST_F(client_death, p07_reply_recv_whose_struct_cannot_be_written)
{
	struct kipc_op_reply_recv *op = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
					     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct job *caller = &self->jobs[0];
	struct kipc_result result;

	ASSERT_NE(MAP_FAILED, (void *)op);
	caller->fd = self->cli;
	job_start(caller, job_rpc);
	ASSERT_EQ(0, take(self->srv, &result));
	op->token = result.token;
	op->recv.flags = KIPC_ANYSIZE | KIPC_NONBLOCK;
	ASSERT_EQ(0, mprotect(op, 4096, PROT_READ));
	EXPECT_EQ(-EFAULT, kt_op_reply_recv(self->srv, op));
	EXPECT_EQ(0, kipc_wanted(self->srv, result.token));
	EXPECT_FALSE(caller->done);
	ASSERT_EQ(0, kipc_reply(self->srv, result.token, "now", 3));
	ASSERT_EQ(0, job_join(caller));
	EXPECT_EQ(3, caller->ret);
}

TEST_HARNESS_MAIN
