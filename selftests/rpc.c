// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The basics of calls: what goes over and what comes back, who may call, and
 * how servers are built.
 */
#include <sys/socket.h>

#include "harness.h"
#include "call_common.h"

#define MAX_SIZE	65536

static unsigned char request[MAX_SIZE + 1], answer[MAX_SIZE + 64];

static void fill(unsigned char *buf, size_t size, unsigned int seed)
{
	for (size_t i = 0; i < size; i++)
		buf[i] = (unsigned char)(seed + i * 31 + (i >> 8));
}

/*
 * A server: answers every call with its own bytes and its type + 1. Ends with
 * the endpoint or when shut down.
 */
static void echo(struct job *job)
{
	static unsigned char buf[MAX_SIZE];
	struct iovec iov = { buf, 0 };
	struct kipc_msg reply = { .iov = &iov, .iovcnt = 1 };
	struct iovec room = { buf, sizeof(buf) };
	struct kipc_msg msg = { .iov = &room, .iovcnt = 1 };
	struct kipc_result result = { 0 };
	ssize_t size;

	for (;;) {
		size = kipc_reply_recvmsg(job->fd, &reply, &msg, &result, -1);
		if (size < 0)
			break;
		iov.iov_len = (size_t)size;
		reply.type = result.type + 1;
	}
	job->ret = size;
}

FIXTURE(rpc) {
	int srv;
	int cli;
	struct job *jobs;
};

FIXTURE_SETUP(rpc)
{
	struct kipc_attr attr = { .max_size = MAX_SIZE };

	self->srv = private_endpoint(0, &attr);
	ASSERT_LE(0, self->srv);
	self->cli = open_same(self->srv, KIPC_RIGHT_SEND);
	ASSERT_LE(0, self->cli);
	self->jobs = jobs_new(16);
}

FIXTURE_TEARDOWN(rpc)
{
	close(self->cli);
	close(self->srv);
}

TEST_F(rpc, p04_payloads_of_every_size_come_back)
{
	static const size_t sizes[] = {
		0, 1, 2, 7, 8, 9, 63, 64, 65, 100, 255, 256, 257, 1000,
		4095, 4096, 4097, 8192, 16384, 40000, MAX_SIZE - 1, MAX_SIZE,
	};
	struct job *server = &self->jobs[0];

	server->fd = self->srv;
	job_start(server, echo);
	for (unsigned int i = 0; i < ARRAY_SIZE(sizes); i++) {
		size_t size = sizes[i];

		fill(request, size, i);
		memset(answer, JOB_POISON, sizeof(answer));
		ASSERT_EQ((ssize_t)size,
			  kipc_rpc(self->cli, request, size, answer, size, -1));
		ASSERT_EQ(0, memcmp(request, answer, size));
		/* not a byte more than the room that was given */
		for (unsigned int j = 0; j < 64; j++)
			ASSERT_EQ(JOB_POISON, answer[size + j]);
		ASSERT_TRUE(kt_stat(self->srv).calls == 0);
		ASSERT_TRUE(kt_stat(self->srv).msgs == 0);
	}
	EXPECT_TRUE(job_kill(server));
}

TEST_F(rpc, request_larger_than_max_size_is_refused)
{
	struct iovec iov = { request, MAX_SIZE + 1 };
	struct kipc_msg req = { .iov = &iov, .iovcnt = 1, .cookie = 3 };
	struct kipc_msg reply = { 0 };
	struct kipc_result result;

	memset(&result, JOB_POISON, sizeof(result));
	ASSERT_EQ(-EMSGSIZE, kipc_rpcmsg(self->cli, &req, &reply, &result, -1));
	EXPECT_EQ(0, result.flags);
	EXPECT_EQ(0, result.token);
	EXPECT_TRUE(kt_quiet(self->srv));
}

/* Cuts @size bytes at @base into @n segments, some of them empty. */
static void cut(struct iovec *iov, unsigned int n, unsigned char *base, size_t size)
{
	size_t done = 0, part = size / n;

	for (unsigned int i = 0; i < n; i++) {
		iov[i].iov_base = base + done;
		iov[i].iov_len = i % 3 == 1 ? 0 : part;
		if (i == n - 1)
			iov[i].iov_len = size - done;
		done += iov[i].iov_len;
	}
}

TEST_F(rpc, payloads_of_1_to_1024_segments)
{
	static const unsigned int counts[] = { 1, 2, 3, 8, 63, 1023, KIPC_IOV_MAX };
	static struct iovec in[KIPC_IOV_MAX + 1], out[KIPC_IOV_MAX + 1];
	struct job *server = &self->jobs[0];
	const size_t size = 30011;

	server->fd = self->srv;
	job_start(server, echo);
	fill(request, size, 7);
	for (unsigned int i = 0; i < ARRAY_SIZE(counts); i++) {
		for (unsigned int j = 0; j < ARRAY_SIZE(counts); j++) {
			struct kipc_msg req = { .iov = in, .iovcnt = counts[i] };
			struct kipc_msg reply = { .iov = out, .iovcnt = counts[j] };
			struct kipc_result result;

			cut(in, counts[i], request, size);
			cut(out, counts[j], answer, size);
			memset(answer, JOB_POISON, sizeof(answer));
			ASSERT_EQ((ssize_t)size,
				  kipc_rpcmsg(self->cli, &req, &reply, &result, -1));
			ASSERT_EQ(0, memcmp(request, answer, size));
			ASSERT_EQ(JOB_POISON, answer[size]);
		}
	}
	EXPECT_TRUE(job_kill(server));
}

TEST_F(rpc, more_than_1024_segments_are_malformed)
{
	static struct kipc_iovec iov[KIPC_IOV_MAX + 1];
	struct kipc_op_rpc op = {
		.deadline = KIPC_FOREVER,
		.request = { .base = (uintptr_t)iov, .iovcnt = KIPC_IOV_MAX + 1 },
	};

	EXPECT_EQ(-EINVAL, kt_ioctl(self->cli, KIPC_IOC_RPC, &op));
	op.reply = op.request;
	op.request.iovcnt = 0;
	EXPECT_EQ(-EINVAL, kt_ioctl(self->cli, KIPC_IOC_RPC, &op));
	EXPECT_EQ(0, op.token);
	EXPECT_TRUE(kt_quiet(self->srv));
}

TEST_F(rpc, p04_both_sides_are_told_all_about_the_message)
{
	struct job *client = &self->jobs[0];
	char bytes[] = "answer";
	struct iovec iov = { bytes, sizeof(bytes) };
	struct kipc_msg reply = { .type = 1ULL << 63, .iov = &iov, .iovcnt = 1 };
	struct kipc_result result;
	uint64_t before = kt_now(), taken, zero[4] = { 0 };

	client->fd = self->cli;
	client->head.type = ~0ULL;
	client->head.cookie = 0xc00c1e;
	client->head.prio = KIPC_PRIO_MAX;
	client->size = 3;
	memcpy(client->in, "abc", 3);
	job_start(client, job_rpc);

	ASSERT_EQ(3, take(self->srv, &result));
	taken = kt_now();
	EXPECT_NE(0, result.token);
	EXPECT_EQ(~0ULL, result.type);
	EXPECT_EQ(0, result.cookie);
	EXPECT_EQ(0, result.events);
	EXPECT_EQ(0, result.badge);
	EXPECT_EQ(3, result.size);
	EXPECT_LE(before, result.time);
	EXPECT_GE(taken, result.time);
	EXPECT_EQ(KIPC_RESULT_CALL, result.flags);
	EXPECT_EQ(KIPC_PRIO_MAX, result.prio);
	EXPECT_EQ(0, result.nfds);
	EXPECT_EQ(1, result.deliveries);
	EXPECT_EQ(getuid(), result.uid);
	EXPECT_EQ(getgid(), result.gid);
	EXPECT_EQ(client->kt->pid, result.pid);
	EXPECT_EQ(0, result.reply_error);
	EXPECT_EQ(0, memcmp(result.reserved, zero, sizeof(zero)));
	EXPECT_EQ(1, kt_stat(self->srv).calls);
	EXPECT_EQ(0, kt_stat(self->srv).msgs);
	EXPECT_EQ(0, kt_stat(self->srv).bytes);

	ASSERT_EQ(0, kipc_replymsg(self->srv, result.token, &reply));
	ASSERT_EQ(0, job_join(client));
	ASSERT_EQ((ssize_t)sizeof(bytes), client->ret);
	EXPECT_STREQ("answer", client->out);
	EXPECT_EQ(0, client->result.token);
	EXPECT_EQ(1ULL << 63, client->result.type);
	EXPECT_EQ(0xc00c1e, client->result.cookie);
	EXPECT_EQ(0, client->result.events);
	EXPECT_EQ(0, client->result.badge);
	EXPECT_EQ(sizeof(bytes), client->result.size);
	EXPECT_LE(taken, client->result.time);
	EXPECT_GE(kt_now(), client->result.time);
	EXPECT_EQ(KIPC_RESULT_DELIVERED, client->result.flags);
	EXPECT_EQ(0, client->result.nfds);
	EXPECT_EQ(1, client->result.deliveries);
	EXPECT_EQ(getuid(), client->result.uid);
	EXPECT_EQ(getgid(), client->result.gid);
	EXPECT_EQ(getpid(), client->result.pid);
	EXPECT_EQ(0, client->result.reply_error);
	EXPECT_EQ(0, memcmp(client->result.reserved, zero, sizeof(zero)));
	EXPECT_TRUE(kt_quiet(self->srv));
}

TEST_F(rpc, the_caller_is_known_by_its_effective_ids_when_it_called)
{
	struct job *client = &self->jobs[0];
	struct kipc_result result;

	client->fd = self->cli;
	job_start_as(client, KT_AS(KT_UID_A), job_rpc);
	ASSERT_EQ(0, take(self->srv, &result));
	EXPECT_EQ(KT_UID_A, result.uid);
	EXPECT_EQ(KT_UID_A, result.gid);
	EXPECT_EQ(client->kt->pid, result.pid);
	EXPECT_EQ(0, kipc_reply(self->srv, result.token, NULL, 0));
	EXPECT_EQ(0, job_join(client));
	EXPECT_EQ(0, client->ret);
	EXPECT_EQ(getuid(), client->result.uid);
}

TEST_F(rpc, p04_a_server_can_say_no)
{
	static const int statuses[] = { 1, EPERM, ENOENT, EIDRM, EINTR, EAGAIN,
					ECONNRESET, KIPC_STATUS_MAX };
	struct job *client = &self->jobs[0];
	struct kipc_result result;

	for (unsigned int i = 0; i < ARRAY_SIZE(statuses); i++) {
		char why[] = "because";
		struct iovec iov = { why, sizeof(why) };
		struct kipc_msg reply = {
			.type = 5, .iov = &iov, .iovcnt = 1, .status = statuses[i],
		};

		client->fd = self->cli;
		client->head.cookie = 9;
		job_start(client, job_rpc);
		ASSERT_EQ(0, take(self->srv, &result));
		ASSERT_EQ(0, kipc_replymsg(self->srv, result.token, &reply));
		ASSERT_EQ(0, job_join(client));
		/* the server's own errno, told from the kernel's by REMOTE */
		ASSERT_EQ(-statuses[i], client->ret);
		ASSERT_EQ(KIPC_RESULT_REMOTE | KIPC_RESULT_DELIVERED, client->result.flags);
		ASSERT_EQ(sizeof(why), client->result.size);
		ASSERT_EQ(5, client->result.type);
		ASSERT_EQ(9, client->result.cookie);
		ASSERT_EQ(0, client->result.token);
		ASSERT_STREQ("because", client->out);
		ASSERT_TRUE(kt_quiet(self->srv));
	}
}

TEST_F(rpc, kipc_reply_error_is_a_status_without_bytes)
{
	struct job *client = &self->jobs[0];
	struct kipc_result result;

	client->fd = self->cli;
	job_start(client, job_rpc);
	ASSERT_EQ(0, take(self->srv, &result));
	ASSERT_EQ(0, kipc_reply_error(self->srv, result.token, EACCES));
	ASSERT_EQ(0, job_join(client));
	EXPECT_EQ(-EACCES, client->ret);
	EXPECT_EQ(KIPC_RESULT_REMOTE | KIPC_RESULT_DELIVERED, client->result.flags);
	EXPECT_EQ(0, client->result.size);
	EXPECT_EQ((char)JOB_POISON, client->out[0]);
}

TEST_F(rpc, a_failed_reply_leaves_the_token_good)
{
	static char large[MAX_SIZE + 1];
	struct job *client = &self->jobs[0];
	struct kipc_op_reply op = { 0 };
	struct kipc_result result;

	client->fd = self->cli;
	job_start(client, job_rpc);
	ASSERT_EQ(0, take(self->srv, &result));

	op.token = result.token;
	op.status = KIPC_STATUS_MAX + 1;
	EXPECT_EQ(-EINVAL, kt_ioctl(self->srv, KIPC_IOC_REPLY, &op));
	op.status = -EPERM;
	EXPECT_EQ(-EINVAL, kt_ioctl(self->srv, KIPC_IOC_REPLY, &op));
	op.status = 0;
	op.flags = 1;
	EXPECT_EQ(-EINVAL, kt_ioctl(self->srv, KIPC_IOC_REPLY, &op));
	op.flags = 0;
	op.reserved[1] = 1;
	EXPECT_EQ(-EINVAL, kt_ioctl(self->srv, KIPC_IOC_REPLY, &op));
	op.reserved[1] = 0;
	op.payload = (struct kipc_payload){ .base = 8, .len = 8 };
	EXPECT_EQ(-EFAULT, kt_ioctl(self->srv, KIPC_IOC_REPLY, &op));
	EXPECT_EQ(-EMSGSIZE, kipc_reply(self->srv, result.token, large, sizeof(large)));
	EXPECT_EQ(-ENOENT, kipc_reply(self->srv, result.token ^ 1, NULL, 0));
	EXPECT_EQ(-EBADF, kipc_reply(self->cli, result.token, NULL, 0));
	EXPECT_EQ(1, kt_stat(self->srv).calls);
	EXPECT_FALSE(client->done);

	EXPECT_EQ(0, kipc_reply(self->srv, result.token, "x", 1));
	EXPECT_EQ(-ENOENT, kipc_reply(self->srv, result.token, "y", 1));
	EXPECT_EQ(0, job_join(client));
	EXPECT_EQ(1, client->ret);
	EXPECT_EQ('x', client->out[0]);
}

TEST_F(rpc, p04_a_reply_larger_than_the_room_is_told_not_stored)
{
	struct job *client = &self->jobs[0];
	struct kipc_result result;

	client->fd = self->cli;
	client->room = 4;
	job_start(client, job_rpc);
	ASSERT_EQ(0, take(self->srv, &result));
	ASSERT_EQ(0, kipc_reply(self->srv, result.token, "0123456789", 10));
	ASSERT_EQ(0, job_join(client));
	EXPECT_EQ(-EMSGSIZE, client->ret);
	EXPECT_EQ(KIPC_RESULT_DELIVERED, client->result.flags & KIPC_RESULT_DELIVERED);
	EXPECT_EQ(0, client->result.flags & KIPC_RESULT_REMOTE);
	EXPECT_EQ(10, client->result.size);
	EXPECT_EQ(0, client->result.token);
	EXPECT_EQ((char)JOB_POISON, client->out[4]);
	EXPECT_TRUE(kt_quiet(self->srv));
}

TEST_F(rpc, truncate_stores_the_beginning_of_a_larger_reply)
{
	struct job *client = &self->jobs[0];
	struct kipc_result result;

	client->fd = self->cli;
	client->room = 4;
	client->head.flags = KIPC_TRUNCATE;
	job_start(client, job_rpc);
	ASSERT_EQ(0, take(self->srv, &result));
	ASSERT_EQ(0, kipc_reply(self->srv, result.token, "0123456789", 10));
	ASSERT_EQ(0, job_join(client));
	EXPECT_EQ(4, client->ret);
	EXPECT_EQ(KIPC_RESULT_DELIVERED | KIPC_RESULT_TRUNCATED, client->result.flags);
	EXPECT_EQ(10, client->result.size);
	EXPECT_EQ(0, memcmp("0123", client->out, 4));
	EXPECT_EQ((char)JOB_POISON, client->out[4]);
	EXPECT_TRUE(kt_quiet(self->srv));
}

TEST_F(rpc, truncate_cuts_the_reply_of_reply_recv_too)
{
	struct job *client = &self->jobs[0];
	struct kipc_result result;
	char buf[100];

	client->fd = self->cli;
	client->room = 4;
	client->head.flags = KIPC_TRUNCATE;
	job_start(client, job_rpc);
	ASSERT_EQ(0, take(self->srv, &result));
	/* what comes next is there already */
	ASSERT_EQ(0, kt_send(self->srv, 0, 1, 0, "next", 4));
	ASSERT_EQ(4, kipc_reply_recvmsg(self->srv,
					&(struct kipc_msg){
						.iov = &(struct iovec){ "0123456789", 10 },
						.iovcnt = 1 },
					&(struct kipc_msg){
						.flags = KIPC_TRUNCATE,
						.iov = &(struct iovec){ buf, sizeof(buf) },
						.iovcnt = 1 },
					&result, 0));
	EXPECT_EQ(KIPC_RESULT_REPLIED, result.flags);
	EXPECT_EQ(0, memcmp("next", buf, 4));
	ASSERT_EQ(0, job_join(client));
	EXPECT_EQ(4, client->ret);
	EXPECT_EQ(KIPC_RESULT_DELIVERED | KIPC_RESULT_TRUNCATED, client->result.flags);
	EXPECT_EQ(10, client->result.size);
	EXPECT_EQ(0, memcmp("0123", client->out, 4));
	EXPECT_EQ((char)JOB_POISON, client->out[4]);
	EXPECT_TRUE(kt_quiet(self->srv));
}

/* Makes @size calls; each answer must be to its own question. */
static void call_many(struct job *job)
{
	uint64_t question, reply;
	ssize_t ret = 0;

	for (size_t i = 0; i < job->size; i++) {
		question = (uint64_t)getpid() << 32 | i;
		reply = 0;
		ret = kipc_rpc(job->fd, &question, sizeof(question), &reply, sizeof(reply), -1);
		if (ret != sizeof(reply) || reply != question) {
			job->ret = ret < 0 ? ret : -EPROTO;
			return;
		}
	}
	job->ret = (int64_t)job->size;
}

TEST_F(rpc, many_clients_of_one_server)
{
	struct job *server = &self->jobs[0];

	server->fd = self->srv;
	job_start(server, echo);
	for (unsigned int i = 1; i < 9; i++) {
		self->jobs[i].fd = self->cli;
		self->jobs[i].size = 100;
		job_start(&self->jobs[i], call_many);
	}
	for (unsigned int i = 1; i < 9; i++) {
		ASSERT_EQ(0, job_join(&self->jobs[i]));
		ASSERT_EQ(100, self->jobs[i].ret);
	}
	ASSERT_EQ(0, kt_stat(self->srv).calls);
	ASSERT_EQ(0, kt_stat(self->srv).msgs);
	EXPECT_TRUE(job_kill(server));
}

static void *echo_thread(void *arg)
{
	unsigned char buf[64];
	struct kipc_result result = { 0 };
	struct iovec iov = { buf, 0 }, room = { buf, sizeof(buf) };
	struct kipc_msg reply = { .iov = &iov, .iovcnt = 1 };
	struct kipc_msg msg = { .flags = KIPC_ANYSIZE, .iov = &room, .iovcnt = 1 };
	struct job *job = arg;
	ssize_t size;

	while ((size = kipc_reply_recvmsg(job->fd, &reply, &msg, &result, -1)) >= 0)
		iov.iov_len = (size_t)size;
	return NULL;
}

static void echo_by_threads(struct job *job)
{
	pthread_t threads[4];

	for (unsigned int i = 0; i < ARRAY_SIZE(threads); i++)
		pthread_create(&threads[i], NULL, echo_thread, job);
	for (unsigned int i = 0; i < ARRAY_SIZE(threads); i++)
		pthread_join(threads[i], NULL);
	job->ret = 4;
}

TEST_F(rpc, a_server_of_many_threads)
{
	struct job *server = &self->jobs[0];

	server->fd = self->srv;
	job_start(server, echo_by_threads);
	for (unsigned int i = 1; i < 7; i++) {
		self->jobs[i].fd = self->cli;
		self->jobs[i].size = 100;
		job_start(&self->jobs[i], call_many);
	}
	for (unsigned int i = 1; i < 7; i++) {
		ASSERT_EQ(0, job_join(&self->jobs[i]));
		ASSERT_EQ(100, self->jobs[i].ret);
	}
	await_stat(self->srv, waiters, 4);
	ASSERT_EQ(0, kipc_shutdown(self->srv));
	ASSERT_EQ(0, job_join(server));
	ASSERT_EQ(4, server->ret);
	ASSERT_TRUE(kt_quiet(self->srv));
}

TEST_F(rpc, calls_are_taken_by_priority_then_in_order)
{
	static const uint32_t prio[] = { 1, 5, 5, 0, KIPC_PRIO_MAX };
	static const unsigned int order[] = { 4, 1, 2, 0, 3 };
	struct kipc_result result;

	for (unsigned int i = 0; i < 5; i++) {
		self->jobs[i].fd = self->cli;
		self->jobs[i].head.prio = prio[i];
		self->jobs[i].head.type = i;
		job_start(&self->jobs[i], job_rpc);
		await_stat(self->srv, msgs, i + 1);
	}
	for (unsigned int i = 0; i < 5; i++) {
		ASSERT_EQ(0, take(self->srv, &result));
		ASSERT_EQ(order[i], result.type);
		ASSERT_EQ(prio[order[i]], result.prio);
		ASSERT_EQ(0, kipc_reply(self->srv, result.token, NULL, 0));
		ASSERT_EQ(0, job_join(&self->jobs[order[i]]));
	}
	EXPECT_EQ(-EINVAL, kipc_rpcmsg(self->cli,
				       &(struct kipc_msg){ .prio = KIPC_PRIO_MAX + 1 },
				       &(struct kipc_msg){ 0 }, &result, -1));
	EXPECT_TRUE(kt_quiet(self->srv));
}

TEST_F(rpc, a_oneway_endpoint_takes_no_calls)
{
	int srv = private_endpoint(KIPC_OPEN_ONEWAY, NULL);
	int cli = open_same(srv, KIPC_RIGHT_SEND);
	struct kipc_msg req = { .cookie = 1 }, reply = { 0 };
	struct kipc_result result;
	uint64_t token = 42;

	ASSERT_LE(0, cli);
	memset(&result, JOB_POISON, sizeof(result));
	EXPECT_EQ(-EOPNOTSUPP, kipc_rpcmsg(cli, &req, &reply, &result, -1));
	EXPECT_EQ(-EOPNOTSUPP, kipc_rpc_start(cli, &req, 0, &token, -1));
	EXPECT_TRUE(kt_quiet(srv));
	EXPECT_EQ(0, kipc_send(cli, "m", 1, 0));
	close(cli);
	close(srv);
}

TEST_F(rpc, at_a_rendezvous_a_call_needs_a_waiting_receiver)
{
	int srv = private_endpoint(KIPC_OPEN_RENDEZVOUS, NULL);
	int cli = open_same(srv, KIPC_RIGHT_SEND);
	struct kipc_msg req = { 0 }, reply = { 0 };
	struct job *server = &self->jobs[0];
	struct kipc_result result;
	uint64_t token = 0;

	ASSERT_LE(0, cli);
	/* somebody else who could answer */
	job_start(&self->jobs[2], job_hold);
	EXPECT_EQ(-EAGAIN, kipc_rpc_start(cli, &req, 0, &token, -1));
	EXPECT_EQ(-EAGAIN, kipc_rpcmsg(cli, &req, &reply, &result, 0));
	EXPECT_EQ(-ETIMEDOUT, kipc_rpcmsg(cli, &req, &reply, &result, 1));
	EXPECT_EQ(0, result.flags & KIPC_RESULT_DELIVERED);
	EXPECT_TRUE(kt_quiet(srv));

	server->fd = srv;
	job_start_thread(server, job_recv);
	await_stat(srv, waiters, 1);
	await_asleep(server);
	ASSERT_EQ(0, kipc_rpc_start(cli, &req, 0, &token, -1));
	ASSERT_EQ(0, job_join(server));
	ASSERT_EQ(0, server->ret);
	ASSERT_EQ(0, kipc_reply(srv, server->result.token, NULL, 0));
	ASSERT_EQ(0, kipc_rpc_finish(cli, token, &reply, &result, 0));
	EXPECT_TRUE(kt_quiet(srv));

	/* a call that waits for its receiver is no message in the queue */
	server = &self->jobs[1];
	server->fd = cli;
	job_start(server, job_rpc);
	await_stat(srv, waiters, 1);
	EXPECT_EQ(0, kt_stat(srv).msgs);
	ASSERT_EQ(0, take(srv, &result));
	ASSERT_EQ(0, kipc_reply(srv, result.token, NULL, 0));
	ASSERT_EQ(0, job_join(server));
	EXPECT_EQ(0, server->ret);
	close(cli);
	close(srv);
}

TEST_F(rpc, calls_by_id_through_the_device_file)
{
	struct kipc_msg req = { .endpoint = kt_stat(self->srv).id, .cookie = 6 };
	struct kipc_msg reply = { 0 };
	struct job *server = &self->jobs[0];
	struct kipc_result result;
	int dev = kipc_open_device();

	ASSERT_LE(0, dev);
	server->fd = self->srv;
	job_start(server, echo);
	memset(&result, JOB_POISON, sizeof(result));
	EXPECT_EQ(0, kipc_rpcmsg(dev, &req, &reply, &result, -1));
	EXPECT_EQ(6, result.cookie);
	EXPECT_EQ(1, result.type);
	EXPECT_EQ(KIPC_RESULT_DELIVERED, result.flags);

	/* a handle knows its endpoint, the device file must be told it */
	EXPECT_EQ(-EINVAL, kipc_rpcmsg(self->cli, &req, &reply, &result, -1));
	req.endpoint = 0;
	EXPECT_EQ(-EINVAL, kipc_rpcmsg(dev, &req, &reply, &result, -1));
	EXPECT_EQ(0, kt_stat(self->srv).msgs);
	EXPECT_EQ(0, kt_stat(self->srv).calls);
	EXPECT_TRUE(job_kill(server));
	close(dev);
}

TEST_F(rpc, nocalls_and_no_result_leave_calls_in_their_place)
{
	struct kipc_msg msg = { .flags = KIPC_NOCALLS | KIPC_TRUNCATE };
	struct job *client = &self->jobs[0];
	struct kipc_result result;
	char buf[8];
	struct iovec iov = { buf, sizeof(buf) };
	int dev = kipc_open_device();

	ASSERT_LE(0, dev);
	msg.iov = &iov;
	msg.iovcnt = 1;
	client->fd = self->cli;
	job_start(client, job_rpc);
	await_stat(self->srv, msgs, 1);
	EXPECT_EQ(-EAGAIN, kipc_recvmsg(self->srv, &msg, &result, 0));
	for (unsigned int i = 0; i < 3; i++)
		ASSERT_EQ(0, kipc_send(self->cli, "123", i + 1, 0));

	EXPECT_EQ(1, kipc_recvmsg(self->srv, &msg, &result, 0));
	EXPECT_EQ(0, result.token);
	EXPECT_EQ(0, result.flags);
	msg.flags = KIPC_TRUNCATE;
	EXPECT_EQ(2, kipc_recvmsg(self->srv, &msg, NULL, 0));
	msg.endpoint = kt_stat(self->srv).id;
	EXPECT_EQ(3, kipc_recvmsg(dev, &msg, &result, 0));
	EXPECT_EQ(0, result.token);
	EXPECT_EQ(-EAGAIN, kipc_recvmsg(dev, &msg, &result, 0));
	EXPECT_EQ(1, kt_stat(self->srv).msgs);
	EXPECT_FALSE(client->done);

	ASSERT_EQ(0, take(self->srv, &result));
	ASSERT_EQ(0, kipc_reply(self->srv, result.token, NULL, 0));
	ASSERT_EQ(0, job_join(client));
	EXPECT_EQ(0, client->ret);
	close(dev);
}

TEST_F(rpc, a_waiting_receiver_without_calls_is_passed_over)
{
	struct job *receiver = &self->jobs[0], *client = &self->jobs[1];
	struct kipc_result result;

	receiver->fd = self->srv;
	receiver->head.flags = KIPC_NOCALLS;
	job_start(receiver, job_recv);
	await_stat(self->srv, waiters, 1);
	await_asleep(receiver);
	client->fd = self->cli;
	job_start(client, job_rpc);
	await_stat(self->srv, msgs, 1);
	ASSERT_EQ(0, take(self->srv, &result));
	EXPECT_FALSE(receiver->done);
	ASSERT_EQ(0, kipc_reply(self->srv, result.token, NULL, 0));
	ASSERT_EQ(0, job_join(client));
	ASSERT_EQ(0, kipc_send(self->cli, "m", 1, 0));
	ASSERT_EQ(0, job_join(receiver));
	EXPECT_EQ(1, receiver->ret);
}

/* Both ways of waiting for oneself, without the patience to wait long. */
static int call_self(int cli)
{
	struct kipc_result result;

	memset(&result, JOB_POISON, sizeof(result));
	return (int)kipc_rpcmsg(cli, &(struct kipc_msg){ 0 }, &(struct kipc_msg){ 0 },
				&result, 1);
}

static int send_self(int cli)
{
	return kipc_sendmsg(cli, &(struct kipc_msg){ .flags = KIPC_SYNC }, 1);
}

TEST_F(rpc, only_the_caller_itself_could_answer)
{
	struct kipc_result result;

	memset(&result, JOB_POISON, sizeof(result));
	EXPECT_EQ(-EDEADLK, kipc_rpcmsg(self->cli, &(struct kipc_msg){ .cookie = 4 },
					&(struct kipc_msg){ 0 }, &result, -1));
	EXPECT_EQ(0, result.flags);
	EXPECT_EQ(0, result.token);
	/* a one-way message may be received through a device file: nothing is certain */
	EXPECT_EQ(-ETIMEDOUT, kipc_sendmsg(self->cli, &(struct kipc_msg){ .flags = KIPC_SYNC }, 1));
	EXPECT_TRUE(kt_quiet(self->srv));
	/* what does not wait for oneself is no deadlock */
	EXPECT_EQ(0, kipc_send(self->cli, "m", 1, -1));
}

TEST_F(rpc, a_forked_child_could_answer)
{
	struct job *child = &self->jobs[0];

	job_start(child, job_hold);
	EXPECT_EQ(-ETIMEDOUT, call_self(self->cli));
	EXPECT_EQ(-ETIMEDOUT, send_self(self->cli));
	EXPECT_TRUE(job_kill(child));
	EXPECT_EQ(-EDEADLK, call_self(self->cli));
}

TEST_F(rpc, another_thread_could_answer)
{
	struct job *thread = &self->jobs[0];

	thread->fd = self->srv;
	job_start_thread(thread, job_recv);
	await_stat(self->srv, waiters, 1);
	/* it takes the first and sits on it; or, if it is slow, a later one */
	EXPECT_EQ(-ETIMEDOUT, call_self(self->cli));
	for (unsigned int i = 0; i < 100 && !thread->done; i++)
		call_self(self->cli);
	EXPECT_EQ(0, job_join(thread));
	EXPECT_NE(0, thread->result.token);
	EXPECT_EQ(-ECANCELED, kipc_reply(self->srv, thread->result.token, NULL, 0));
}

TEST_F(rpc, the_holder_of_a_passed_descriptor_could_answer)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} control = { .head = {
		.cmsg_len = CMSG_LEN(sizeof(int)),
		.cmsg_level = SOL_SOCKET,
		.cmsg_type = SCM_RIGHTS,
	} };
	char byte = 0;
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = &control, .msg_controllen = sizeof(control),
	};
	int pair[2];

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	memcpy(CMSG_DATA(&control.head), &self->srv, sizeof(int));
	ASSERT_EQ(1, sendmsg(pair[0], &msg, 0));
	EXPECT_EQ(-ETIMEDOUT, call_self(self->cli));
	close(pair[0]);
	close(pair[1]);
}

TEST_F(rpc, another_handle_could_answer)
{
	int other = open_same(self->srv, KIPC_RIGHT_RECV);

	ASSERT_LE(0, other);
	EXPECT_EQ(-ETIMEDOUT, call_self(self->cli));
	close(other);
	EXPECT_EQ(-EDEADLK, call_self(self->cli));
}

TEST_F(rpc, an_adopted_call_outlives_the_process_that_took_it)
{
	struct job *client = &self->jobs[0], *taker = &self->jobs[1];

	client->fd = self->cli;
	job_start(client, job_rpc);
	taker->fd = self->srv;
	job_start(taker, job_take);
	await(taker->done);
	EXPECT_EQ(-ENOENT, kipc_adopt(self->srv, taker->result.token ^ 1));
	EXPECT_EQ(-EBADF, kipc_adopt(self->cli, taker->result.token));
	ASSERT_EQ(0, kipc_adopt(self->srv, taker->result.token));
	EXPECT_TRUE(job_kill(taker));
	EXPECT_EQ(1, kt_stat(self->srv).calls);
	EXPECT_FALSE(client->done);
	EXPECT_EQ(0, kipc_wanted(self->srv, taker->result.token));
	ASSERT_EQ(0, kipc_reply(self->srv, taker->result.token, "a", 1));
	ASSERT_EQ(0, job_join(client));
	EXPECT_EQ(1, client->ret);
}

TEST_F(rpc, an_adopted_call_outlives_the_file_it_was_taken_through)
{
	int first = open_same(self->srv, KIPC_RIGHT_RECV);
	struct job *client = &self->jobs[0];
	struct kipc_result result;

	ASSERT_LE(0, first);
	client->fd = self->cli;
	client->close_fds[0] = first;
	job_start(client, job_rpc);
	ASSERT_EQ(0, take(first, &result));
	ASSERT_EQ(0, kipc_adopt(self->srv, result.token));
	close(first);
	EXPECT_EQ(1, kt_stat(self->srv).calls);
	EXPECT_FALSE(client->done);
	ASSERT_EQ(0, kipc_reply(self->srv, result.token, NULL, 0));
	ASSERT_EQ(0, job_join(client));
	EXPECT_EQ(0, client->ret);
}

TEST_F(rpc, any_receiver_of_the_endpoint_may_answer)
{
	int other = open_same(self->srv, KIPC_RIGHT_RECV);
	struct job *client = &self->jobs[0];
	struct kipc_result result;

	ASSERT_LE(0, other);
	client->fd = self->cli;
	job_start(client, job_rpc);
	ASSERT_EQ(0, take(self->srv, &result));
	ASSERT_EQ(0, kipc_reply(other, result.token, "o", 1));
	ASSERT_EQ(0, job_join(client));
	EXPECT_EQ(1, client->ret);
	close(other);
}

TEST_F(rpc, p07_wanted_tells_whether_the_caller_is_there)
{
	struct kipc_result result;
	uint64_t token = 0;

	ASSERT_EQ(0, kipc_rpc_start(self->cli, &(struct kipc_msg){ 0 }, 0, &token, -1));
	ASSERT_EQ(0, take(self->srv, &result));
	EXPECT_EQ(0, kipc_wanted(self->srv, result.token));
	EXPECT_EQ(-EBADF, kipc_wanted(self->cli, result.token));
	EXPECT_EQ(-ENOENT, kipc_wanted(self->srv, token));
	ASSERT_EQ(KIPC_RESULT_DELIVERED, kipc_cancel(self->cli, token));
	EXPECT_EQ(-ECANCELED, kipc_wanted(self->srv, result.token));
	EXPECT_EQ(-ECANCELED, kipc_wanted(self->srv, result.token));
	/* asking does not use the token up, answering does */
	EXPECT_EQ(-ECANCELED, kipc_reply(self->srv, result.token, NULL, 0));
	EXPECT_EQ(-ENOENT, kipc_reply(self->srv, result.token, NULL, 0));
	EXPECT_EQ(-ENOENT, kipc_wanted(self->srv, result.token));
	EXPECT_TRUE(kt_quiet(self->srv));
}

TEST_HARNESS_MAIN
