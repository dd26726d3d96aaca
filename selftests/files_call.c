// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Files in calls and replies: requests keep them until nobody can be given the call any
 * more, and replies bring them, or say that they did not.
 */
#include <sys/eventfd.h>

#include "harness.h"
#include "files_common.h"

FIXTURE(files_call) {
	int dev;
	int fd;			/* all rights */
	int cli;		/* SEND alone */
	struct job *job;	/* a caller */
	struct kipc_result call;	/* what the server has taken */
};

FIXTURE_SETUP(files_call)
{
	self->dev = kt_device();
	self->fd = kipc_create(NULL, KIPC_OPEN_FILES, 0600, NULL);
	ASSERT_LE(0, self->fd);
	self->cli = kt_again(self->dev, kt_id(self->fd), KIPC_RIGHT_SEND);
	ASSERT_LE(0, self->cli);
	self->job = jobs_new(1);
	self->job->fd = self->cli;
	self->job->size = TEXT_SIZE;
	memcpy(self->job->in, TEXT, TEXT_SIZE);
}

FIXTURE_TEARDOWN(files_call)
{
	kt_restore_params();
	close(self->cli);
	close(self->fd);
	close(self->dev);
}

/* A call with these files, whose reply has room for none */
static void job_rpc_with(struct job *job)
{
	struct iovec in = { job->in, job->size };
	struct kipc_msg req = job->head, reply = { 0 };

	req.iov = &in;
	req.iovcnt = 1;
	job->ret = kipc_rpcmsg(job->fd, &req, &reply, &job->result, job->timeout);
}

/* Room for two files, which it writes to when it has them */
static void job_rpc_wants(struct job *job)
{
	int got[2] = { -1, -1 };

	job->head.fds = got;
	job->head.nfds = job->way;
	job_rpc_files(job);
	job->way = 0;
	if (job->ret >= 0)
		for (unsigned int i = 0; i < job->result.nfds; i++)
			job->way += write(got[i], "w", 1) == 1;
}

#define take_call()							\
	ASSERT_TRUE(kt_until(recv_files(self->fd, 0, NULL, 0, &self->call) == TEXT_SIZE))

/* Its caller has room for so many files */
#define start_call(room, flags_)					\
	do {								\
		self->job->way = (room);				\
		self->job->head.flags = (flags_);			\
		job_start(self->job, job_rpc_wants);			\
		take_call();						\
	} while (0)

TEST_F(files_call, a_reply_brings_files)
{
	int readers[2], sent[2] = { pipe_of(&readers[0]), pipe_of(&readers[1]) };

	start_call(2, 0);
	ASSERT_EQ(0, reply_files(self->fd, self->call.token, sent, 2));
	close(sent[0]);
	close(sent[1]);
	EXPECT_EQ(0, job_join(self->job));
	EXPECT_EQ(TEXT_SIZE, self->job->ret);
	EXPECT_EQ(2, self->job->result.nfds);
	EXPECT_EQ(KIPC_RESULT_DELIVERED, self->job->result.flags);
	EXPECT_EQ(2, self->job->way);
	for (unsigned int i = 0; i < 2; i++) {
		EXPECT_EQ(1, read(readers[i], &(char){ 0 }, 1));
		EXPECT_TRUE(pipe_ended(readers[i]));
		close(readers[i]);
	}
}

/* A server that says no may give files all the same */
TEST_F(files_call, an_error_brings_files)
{
	int reader, writer = pipe_of(&reader), got = -1;
	struct kipc_op_rpc op = kt_rpc_op(TEXT, TEXT_SIZE, NULL, 0, &self->job->result);
	struct kipc_op_reply answer;
	struct kt_job *job;

	op.reply.fds = kt_ptr(&got);
	op.reply.nfds = 1;
	job = kt_start_ioctl(KT_THREAD, self->cli, KIPC_IOC_RPC, &op);
	take_call();
	answer = kt_reply_op(self->call.token, NULL, 0);
	answer.status = EMSGSIZE;
	answer.payload.fds = kt_ptr(&writer);
	answer.payload.nfds = 1;
	ASSERT_EQ(0, kt_op_reply(self->fd, &answer));
	close(writer);
	EXPECT_EQ(-EMSGSIZE, kt_join(job));
	EXPECT_EQ(KIPC_RESULT_REMOTE | KIPC_RESULT_DELIVERED, self->job->result.flags);
	EXPECT_EQ(1, self->job->result.nfds);
	EXPECT_EQ(1, write(got, "w", 1));
	EXPECT_EQ(1, read(reader, &(char){ 0 }, 1));
	close(got);
	EXPECT_TRUE(pipe_ended(reader));
	close(reader);
}

TEST_F(files_call, a_refused_file_keeps_the_token)
{
	int reader, sent[2] = { pipe_of(&reader), self->fd };

	start_call(2, 0);
	EXPECT_EQ(-EOPNOTSUPP, reply_files(self->fd, self->call.token, sent, 2));
	EXPECT_EQ(0, reply_files(self->fd, self->call.token, sent, 1));
	close(sent[0]);
	EXPECT_EQ(0, job_join(self->job));
	EXPECT_EQ(1, self->job->result.nfds);
	EXPECT_EQ(1, self->job->way);
	EXPECT_EQ(1, read(reader, &(char){ 0 }, 1));
	EXPECT_TRUE(pipe_ended(reader));
	close(reader);
}

/* As with bytes: what is too much for the caller is not kept */
TEST_F(files_call, more_files_than_the_caller_has_room_for)
{
	int readers[2], sent[2] = { pipe_of(&readers[0]), pipe_of(&readers[1]) };

	for (unsigned int room = 0; room < 2; room++) {
		start_call(room, 0);
		ASSERT_EQ(0, reply_files(self->fd, self->call.token, sent, 2));
		EXPECT_EQ(0, job_join(self->job));
		EXPECT_EQ(-EMSGSIZE, self->job->ret);
		EXPECT_EQ(2, self->job->result.nfds);
		EXPECT_EQ(KIPC_RESULT_DELIVERED, self->job->result.flags);
		EXPECT_EQ(0, self->job->result.token);
	}
	close(sent[0]);
	close(sent[1]);
	EXPECT_TRUE(pipe_ended(readers[0]));
	EXPECT_TRUE(pipe_ended(readers[1]));
	close(readers[0]);
	close(readers[1]);
}

TEST_F(files_call, NOFILES_and_TRUNCATE_of_a_caller)
{
	static const struct {
		uint32_t flags, room, stored;
	} cases[] = {
		{ KIPC_NOFILES, 0, 0 }, { KIPC_NOFILES, 2, 0 },
		{ KIPC_TRUNCATE, 0, 0 }, { KIPC_TRUNCATE, 1, 1 },
	};
	int readers[2], sent[2] = { pipe_of(&readers[0]), pipe_of(&readers[1]) };

	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		start_call(cases[i].room, cases[i].flags);
		ASSERT_EQ(0, reply_files(self->fd, self->call.token, sent, 2));
		EXPECT_EQ(0, job_join(self->job));
		EXPECT_EQ(TEXT_SIZE, self->job->ret) TH_LOG("%u", i);
		EXPECT_EQ(cases[i].stored, self->job->result.nfds) TH_LOG("%u", i);
		EXPECT_EQ(KIPC_RESULT_DELIVERED | KIPC_RESULT_FILES_DROPPED,
			  self->job->result.flags) TH_LOG("%u", i);
		EXPECT_EQ((int)cases[i].stored, self->job->way);
	}
	close(sent[0]);
	close(sent[1]);
	EXPECT_EQ(1, read(readers[0], &(char){ 0 }, 1));
	EXPECT_TRUE(pipe_ended(readers[0]));
	EXPECT_TRUE(pipe_ended(readers[1]));
	close(readers[0]);
	close(readers[1]);
}

TEST_F(files_call, an_asynchronous_call_gets_none)
{
	struct iovec in = { TEXT, TEXT_SIZE };
	const struct kipc_msg req = { .iov = &in, .iovcnt = 1 };
	char text[16];
	struct iovec out = { text, sizeof(text) };
	int reader, writer = pipe_of(&reader), got[2];
	const struct kipc_msg room = { .iov = &out, .iovcnt = 1, .fds = got, .nfds = 2 };
	struct kipc_result result;
	uint64_t token;

	ASSERT_EQ(0, kipc_rpc_start(self->cli, &req, 64, &token, 0));
	take_call();
	ASSERT_EQ(0, reply_files(self->fd, self->call.token, &writer, 1));
	close(writer);
	/* not even until it is collected */
	EXPECT_TRUE(pipe_ended(reader));
	EXPECT_EQ(TEXT_SIZE, kipc_rpc_finish(self->cli, token, &room, &result, 0));
	EXPECT_EQ(0, result.nfds);
	EXPECT_EQ(KIPC_RESULT_DELIVERED | KIPC_RESULT_FILES_DROPPED, result.flags);
	close(reader);
}

/* An asynchronous call's request may bring some */
TEST_F(files_call, an_asynchronous_request_with_files)
{
	struct iovec in = { TEXT, TEXT_SIZE };
	int readers[2], writer;
	struct kipc_msg req = { .iov = &in, .iovcnt = 1, .fds = &writer, .nfds = 1 };
	uint64_t tokens[2];

	for (unsigned int i = 0; i < 2; i++) {
		writer = pipe_of(&readers[i]);
		ASSERT_EQ(0, kipc_rpc_start(self->cli, &req, 64, &tokens[i], 0));
		close(writer);
	}
	writer = recv_file(self->fd);
	ASSERT_LE(0, writer);
	EXPECT_TRUE(pipe_held(readers[0]));
	close(writer);
	/* once it was delivered the call has it no more, collected or not */
	EXPECT_TRUE(pipe_ended(readers[0]));
	EXPECT_TRUE(pipe_held(readers[1]));
	ASSERT_EQ(0, kipc_cancel(self->cli, tokens[1]));
	EXPECT_TRUE(pipe_ended(readers[1]));
	ASSERT_EQ(KIPC_RESULT_DELIVERED, kipc_cancel(self->cli, tokens[0]));
	close(readers[0]);
	close(readers[1]);
}

static void job_take_file(struct job *job)
{
	int file = recv_file(job->fd);

	job->way = file;
	if (file >= 0)
		job->ret = write(file, "w", 1);
	job->done = 1;
	for (;;)
		pause();
}

/* Each delivery of a call that may be repeated has its files */
TEST_F(files_call, p06_a_redelivered_call_still_has_its_files)
{
	struct job *server = jobs_new(1);
	int reader, writer = pipe_of(&reader);
	struct kipc_result result;

	self->job->head.flags = KIPC_IDEMPOTENT;
	self->job->head.fds = &writer;
	self->job->head.nfds = 1;
	job_start(self->job, job_rpc_with);
	await_stat(self->fd, msgs, 1);
	close(writer);
	for (unsigned int i = 0; i < 3; i++) {
		server->fd = self->fd;
		job_start(server, job_take_file);
		await(server->done);
		EXPECT_EQ(1, server->ret);
		EXPECT_EQ(1, read(reader, &(char){ 0 }, 1));
		EXPECT_TRUE(job_kill(server));
		await_stat(self->fd, msgs, 1);
	}
	ASSERT_EQ(TEXT_SIZE, recv_files(self->fd, 0, &writer, 1, &result));
	EXPECT_EQ(4, result.deliveries);
	EXPECT_EQ(KIPC_RESULT_CALL | KIPC_RESULT_REDELIVERED, result.flags);
	EXPECT_EQ(0, kipc_reply(self->fd, result.token, NULL, 0));
	EXPECT_EQ(0, job_join(self->job));
	EXPECT_EQ(0, self->job->ret);
	close(writer);
	EXPECT_TRUE(pipe_ended(reader));
	close(reader);
}

/* The last server dies with it too: nobody else will get them */
TEST_F(files_call, p06_a_broken_call_has_none)
{
	struct job *server = jobs_new(1);
	int reader, writer = pipe_of(&reader);

	self->job->head.flags = KIPC_IDEMPOTENT;
	self->job->head.fds = &writer;
	self->job->head.nfds = 1;
	job_start(self->job, job_rpc_with);
	await_stat(self->fd, msgs, 1);
	close(writer);
	for (unsigned int i = 0; i < 4; i++) {
		server->fd = self->fd;
		job_start(server, job_take_file);
		await(server->done);
		EXPECT_EQ(1, read(reader, &(char){ 0 }, 1));
		EXPECT_TRUE(job_kill(server));
	}
	EXPECT_EQ(0, job_join(self->job));
	EXPECT_EQ(-ECONNRESET, self->job->ret);
	EXPECT_TRUE(pipe_ended(reader));
	close(reader);
}

/* A signal comes between the request and its reply: the files come all the same */
TEST_F(files_call, p05_an_interrupted_call_gets_its_files)
{
	int reader, writer = pipe_of(&reader);

	self->job->catches = true;
	self->job->sa_flags = SA_RESTART;
	start_call(1, 0);
	ASSERT_TRUE(job_signal(self->job));
	await_asleep(self->job);
	ASSERT_EQ(0, reply_files(self->fd, self->call.token, &writer, 1));
	close(writer);
	EXPECT_EQ(0, job_join(self->job));
	EXPECT_EQ(TEXT_SIZE, self->job->ret);
	EXPECT_EQ(1, self->job->way);
	EXPECT_EQ(1, read(reader, &(char){ 0 }, 1));
	EXPECT_TRUE(pipe_ended(reader));
	close(reader);
}

static void job_rpc_full(struct job *job)
{
	struct iovec in = { job->in, job->size };
	struct iovec out = { job->out, job->room };
	int got[2] = { -1, -1 };
	const struct kipc_msg req = { .iov = &in, .iovcnt = 1 };
	struct kipc_msg reply = { .iov = &out, .iovcnt = 1, .fds = got, .nfds = 2 };
	unsigned int fds = kt_open_fds();

	limit_fds(1);
	job->ret = kipc_rpcmsg(job->fd, &req, &reply, &job->result, job->timeout);
	unlimit_fds();
	if (job->ret != -EMFILE || !job->result.token || kt_open_fds() != fds)
		return;
	/* less room than there was */
	reply.nfds = 1;
	job->ret = kipc_rpc_finish(job->fd, job->result.token, &reply, &job->result, 0);
	if (job->ret != -EMSGSIZE || !job->result.token || job->result.nfds != 2)
		return;
	/* nowhere to store them */
	reply.nfds = 2;
	reply.fds = (int *)kt_hole();
	job->ret = kipc_rpc_finish(job->fd, job->result.token, &reply, &job->result, 0);
	if (job->ret != -EFAULT || !job->result.token || kt_open_fds() != fds)
		return;
	reply.fds = got;
	job->ret = kipc_rpc_finish(job->fd, job->result.token, &reply, &job->result, 0);
	job->way = write(got[0], "w", 1) + write(got[1], "w", 1);
}

TEST_F(files_call, p05_files_that_cannot_be_stored_are_collected_later)
{
	int reader, writer = pipe_of(&reader), sent[2] = { writer, writer };

	job_start(self->job, job_rpc_full);
	take_call();
	ASSERT_EQ(0, reply_files(self->fd, self->call.token, sent, 2));
	close(writer);
	EXPECT_EQ(0, job_join(self->job));
	EXPECT_EQ(TEXT_SIZE, self->job->ret);
	EXPECT_EQ(2, self->job->result.nfds);
	EXPECT_EQ(2, self->job->way);
	EXPECT_EQ(2, read(reader, (char[2]){ 0 }, 2));
	EXPECT_TRUE(pipe_ended(reader));
	close(reader);
}

/* The caller is gone when the reply comes, or has it and dies before it collects */
TEST_F(files_call, p07_a_reply_to_nobody_keeps_no_files)
{
	int reader, writer = pipe_of(&reader);

	start_call(1, 0);
	EXPECT_TRUE(job_kill(self->job));
	EXPECT_EQ(-ECANCELED, reply_files(self->fd, self->call.token, &writer, 1));
	EXPECT_EQ(-ENOENT, reply_files(self->fd, self->call.token, &writer, 1));
	close(writer);
	EXPECT_TRUE(pipe_ended(reader));
	close(reader);
}

static void job_reply_recv_file(struct job *job)
{
	const struct kipc_msg answer = { .fds = job->head.fds, .nfds = 1 };
	struct iovec out = { job->out, job->room };
	const struct kipc_msg room = { .flags = KIPC_ANYSIZE, .iov = &out, .iovcnt = 1 };

	job->result.token = job->token;
	job->ret = kipc_reply_recvmsg(job->fd, &answer, &room, &job->result, -1);
}

/* Nor does it while its server waits for the next message */
TEST_F(files_call, p07_a_reply_to_nobody_keeps_none_while_its_server_waits)
{
	struct job *server = jobs_new(1);
	int reader, writer = pipe_of(&reader);

	start_call(1, 0);
	EXPECT_TRUE(job_kill(self->job));
	server->fd = self->fd;
	server->token = self->call.token;
	server->head.fds = &writer;
	job_start_thread(server, job_reply_recv_file);
	await_asleep(server);
	close(writer);
	EXPECT_TRUE(pipe_ended(reader));
	close(reader);
	EXPECT_EQ(0, send_files(self->cli, 0, NULL, 0));
	EXPECT_EQ(0, job_join(server));
	EXPECT_EQ(TEXT_SIZE, server->ret);
	EXPECT_EQ(-ECANCELED, server->result.reply_error);
}

TEST_F(files_call, REPLY_RECV_replies_with_files_and_takes_the_next_ones)
{
	int readers[2], reply = pipe_of(&readers[0]), got = -1;
	char text[8192];
	struct iovec out = { text, sizeof(text) };
	const struct kipc_msg answer = { .fds = &reply, .nfds = 1 };
	const struct kipc_msg room = { .iov = &out, .iovcnt = 1, .fds = &got, .nfds = 1 };

	start_call(1, 0);
	ASSERT_EQ(0, send_away(self->cli, pipe_of(&readers[1])));
	EXPECT_EQ(TEXT_SIZE, kipc_reply_recvmsg(self->fd, &answer, &room, &self->call, 0));
	EXPECT_EQ(1, self->call.nfds);
	EXPECT_EQ(KIPC_RESULT_REPLIED, self->call.flags);
	close(reply);
	EXPECT_EQ(0, job_join(self->job));
	EXPECT_EQ(1, self->job->way);
	EXPECT_EQ(1, write(got, "w", 1));
	close(got);
	for (unsigned int i = 0; i < 2; i++) {
		EXPECT_EQ(1, read(readers[i], &(char){ 0 }, 1));
		EXPECT_TRUE(pipe_ended(readers[i]));
		close(readers[i]);
	}
}

/* A reply is cut, or made anew, on its way: its files go with it */
TEST_F(files_call, a_reply_that_is_cut_keeps_its_files)
{
	int reader, writer = pipe_of(&reader);

	self->job->room = 1;
	start_call(1, KIPC_TRUNCATE);
	ASSERT_EQ(0, reply_files(self->fd, self->call.token, &writer, 1));
	close(writer);
	EXPECT_EQ(0, job_join(self->job));
	EXPECT_EQ(1, self->job->ret);
	EXPECT_EQ(KIPC_RESULT_DELIVERED | KIPC_RESULT_TRUNCATED, self->job->result.flags);
	EXPECT_EQ(1, self->job->result.nfds);
	EXPECT_EQ(1, self->job->way);
	EXPECT_EQ(1, read(reader, &(char){ 0 }, 1));
	EXPECT_TRUE(pipe_ended(reader));
	close(reader);
}

/* Bytes that are too many take the files with them */
TEST_F(files_call, a_reply_that_is_too_large_brings_none)
{
	int reader, writer = pipe_of(&reader);

	self->job->room = 1;
	start_call(1, 0);
	ASSERT_EQ(0, reply_files(self->fd, self->call.token, &writer, 1));
	close(writer);
	EXPECT_EQ(0, job_join(self->job));
	EXPECT_EQ(-EMSGSIZE, self->job->ret);
	EXPECT_EQ(1, self->job->result.nfds);
	EXPECT_TRUE(pipe_ended(reader));
	close(reader);
}

TEST_F(files_call, p08_removal_with_a_call_that_has_files)
{
	int readers[2];
	struct job *second = jobs_new(1);
	int writers[2] = { pipe_of(&readers[0]), pipe_of(&readers[1]) };

	for (unsigned int i = 0; i < 2; i++) {
		struct job *job = i ? second : self->job;

		job->fd = self->cli;
		job->head.flags = i ? 0 : KIPC_IDEMPOTENT;
		job->head.fds = &writers[i];
		job->head.nfds = 1;
		job_start(job, job_rpc_with);
		await_stat(self->fd, waiters, i + 1);
	}
	close(writers[0]);
	close(writers[1]);
	/* one is delivered, and would be again; the other waits */
	writers[0] = recv_file(self->fd);
	ASSERT_LE(0, writers[0]);
	close(writers[0]);
	EXPECT_TRUE(pipe_held(readers[0]));
	ASSERT_EQ(0, kipc_remove(self->fd, 0));
	EXPECT_EQ(0, job_join(self->job));
	EXPECT_EQ(0, job_join(second));
	EXPECT_EQ(-EIDRM, self->job->ret);
	EXPECT_EQ(-EIDRM, second->ret);
	EXPECT_TRUE(pipe_ended(readers[0]));
	EXPECT_TRUE(pipe_ended(readers[1]));
	close(readers[0]);
	close(readers[1]);
}

TEST_HARNESS_MAIN
