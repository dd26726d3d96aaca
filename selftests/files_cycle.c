// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Handles in messages, and what must not come of them: something in flight that keeps
 * itself alive. Each attempt puts things into each other, closes all descriptors, and
 * then nothing of kipc may be left.
 */
#include <sys/epoll.h>
#include <sys/socket.h>

#include "harness.h"
#include "files_common.h"

FIXTURE(files_cycle) {
	int dev;
};

FIXTURE_SETUP(files_cycle)
{
	ASSERT_TRUE(kt_until(kt_slab_objects() == 0));
	self->dev = kt_device();
}

FIXTURE_TEARDOWN(files_cycle)
{
	kt_restore_params();
	close(self->dev);
	EXPECT_TRUE(kt_until(kt_slab_objects() == 0));
}

struct end {
	int all;
	int send;
};

static struct end new_end(int dev, uint32_t flags)
{
	struct end end = { .all = kipc_create(NULL, flags | KIPC_OPEN_FILES, 0600, NULL) };

	kt_need(end.all >= 0);
	end.send = kt_again(dev, kt_id(end.all), KIPC_RIGHT_SEND);
	kt_need(end.send >= 0);
	return end;
}

static void close_end(struct end end)
{
	close(end.send);
	close(end.all);
}

static bool has_message(int fd)
{
	char text[16];

	return kt_recv(fd, 0, 0, 0, text, sizeof(text), NULL) == TEXT_SIZE;
}

static bool says(int fd, const char *line)
{
	char path[64], text[1024];

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	return kt_read_file(path, text, sizeof(text)) > 0 && strstr(text, line);
}

/* ---- handles travel ---- */

TEST_F(files_cycle, a_SEND_handle_arrives_as_a_new_one)
{
	struct end a = new_end(self->dev, 0), b = new_end(self->dev, 0);
	char id[64];
	int got;

	ASSERT_EQ(0, send_file(a.send, b.send));
	EXPECT_EQ(3, kt_stat(b.all).handles);
	got = recv_file(a.all);
	ASSERT_LE(0, got);
	EXPECT_EQ(3, kt_stat(b.all).handles);
	EXPECT_TRUE(says(got, "kipc-rights:\t0x1\n"));
	snprintf(id, sizeof(id), "kipc-endpoint:\t%u\n", kt_id(b.all));
	EXPECT_TRUE(says(got, id));
	EXPECT_EQ(FD_CLOEXEC, fcntl(got, F_GETFD));
	EXPECT_EQ(-EBADF, kt_recv(got, 0, 0, 0, NULL, 0, NULL));
	EXPECT_EQ(-EBADF, kipc_remove(got, 0));

	/* neither its flags nor its life are those of what was sent */
	EXPECT_EQ(0, fcntl(b.send, F_SETFL, O_NONBLOCK));
	EXPECT_EQ(0, fcntl(got, F_GETFL) & O_NONBLOCK);
	close(b.send);
	EXPECT_EQ(0, send_files(got, 0, NULL, 0));
	EXPECT_TRUE(has_message(b.all));
	/* and it can be sent on */
	ASSERT_EQ(0, send_file(a.send, got));
	close(got);
	got = recv_file(a.all);
	EXPECT_EQ(0, send_files(got, 0, NULL, 0));
	EXPECT_TRUE(has_message(b.all));
	close(got);
	EXPECT_TRUE(kt_until(kt_stat(b.all).handles == 1));
	close(b.all);
	close_end(a);
}

TEST_F(files_cycle, p11_a_badge_travels_with_the_handle)
{
	struct end a = new_end(self->dev, 0), b = new_end(self->dev, 0);
	int badged = kipc_restrict(b.all, KIPC_RIGHT_SEND, 4711), got;
	struct kipc_result result;

	ASSERT_LE(0, badged);
	ASSERT_EQ(0, send_away(a.send, badged));
	got = recv_file(a.all);
	ASSERT_LE(0, got);
	EXPECT_TRUE(says(got, "kipc-badge:\t4711\n"));
	EXPECT_EQ(-EPERM, kipc_restrict(got, KIPC_RIGHT_SEND, 4712));
	EXPECT_EQ(-EBADF, kipc_restrict(got, KIPC_RIGHT_SEND | KIPC_RIGHT_RECV, 0));
	ASSERT_EQ(0, send_files(got, 0, NULL, 0));
	ASSERT_EQ(TEXT_SIZE, recv_files(b.all, 0, NULL, 0, &result));
	EXPECT_EQ(4711, result.badge);
	close(got);
	close_end(a);
	close_end(b);
}

/* Who passes on a handle that it was given does not lend its name to who writes there */
TEST_F(files_cycle, p11_the_opener_travels_with_the_handle)
{
	const struct kipc_attr attr = { .max_msgs = 4 };
	struct end a = new_end(self->dev, 0);
	int all = kipc_create(NULL, 0, 0666, &attr), theirs, got;
	struct kipc_result result;

	ASSERT_LE(0, all);
	theirs = kt_do_as(KT_UID_A, kt_again(self->dev, kt_id(all), KIPC_RIGHT_SEND));
	ASSERT_LE(0, theirs);
	ASSERT_EQ(0, kt_do_as(KT_UID_B, send_file(a.send, theirs)));
	close(theirs);
	theirs = recv_file(a.all);
	ASSERT_LE(0, theirs);
	ASSERT_EQ(0, send_away(a.send, theirs));
	got = recv_file(a.all);
	ASSERT_LE(0, got);
	EXPECT_EQ(TEXT_SIZE, kt_do_as(KT_UID_B, write(got, TEXT, TEXT_SIZE)));
	ASSERT_EQ(TEXT_SIZE, recv_files(all, 0, NULL, 0, &result));
	EXPECT_EQ(KT_UID_A, result.uid);
	EXPECT_EQ(KT_UID_A, result.gid);

	/* Its share it is, too, for who writes and who polls */
	EXPECT_EQ(0, fcntl(got, F_SETFL, O_NONBLOCK));
	EXPECT_EQ(POLLOUT, polled(got) & POLLOUT);
	EXPECT_EQ(TEXT_SIZE, write(got, TEXT, TEXT_SIZE));
	EXPECT_EQ(TEXT_SIZE, write(got, TEXT, TEXT_SIZE));
	EXPECT_EQ(0, polled(got) & POLLOUT);
	EXPECT_EQ(-1, write(got, TEXT, TEXT_SIZE));
	EXPECT_EQ(EAGAIN, errno);
	close(got);
	close(all);
	close_end(a);
}

/* Calls are of the handle they were made through: who is sent one does not see them */
TEST_F(files_cycle, p12_calls_do_not_travel_with_the_handle)
{
	struct end a = new_end(self->dev, 0), b = new_end(self->dev, 0);
	struct iovec in = { TEXT, TEXT_SIZE };
	const struct kipc_msg req = { .iov = &in, .iovcnt = 1 }, room = { 0 };
	struct kipc_result result;
	uint64_t token;
	int got;

	ASSERT_EQ(0, kipc_rpc_start(b.send, &req, 64, &token, 0));
	ASSERT_EQ(0, send_file(a.send, b.send));
	got = recv_file(a.all);
	ASSERT_LE(0, got);
	EXPECT_EQ(-ENOENT, kipc_cancel(got, token));
	EXPECT_EQ(-ENOENT, kipc_rpc_finish(got, 0, &room, &result, 0));
	EXPECT_EQ(0, kipc_cancel(b.send, token));
	close(got);
	close_end(b);
	close_end(a);
}

TEST_F(files_cycle, a_handle_whose_endpoint_has_ended)
{
	struct end a = new_end(self->dev, 0), b = new_end(self->dev, 0);
	int got;

	/* it ends in flight */
	ASSERT_EQ(0, send_file(a.send, b.send));
	close(b.all);
	got = recv_file(a.all);
	ASSERT_LE(0, got);
	EXPECT_EQ(-EIDRM, send_files(got, 0, NULL, 0));
	close(got);
	/* or before: the errors of the endpoint it is sent to mean that one */
	EXPECT_EQ(-EBADF, send_file(a.send, b.send));
	EXPECT_EQ(0, kt_stat(a.all).msgs);
	close(b.send);
	close_end(a);
}

TEST_F(files_cycle, p10_handles_in_flight_count_as_handles)
{
	struct end a = new_end(self->dev, 0), b = new_end(self->dev, 0);

	kt_set_param("handles_max", 3);
	ASSERT_EQ(0, send_file(a.send, b.send));
	EXPECT_EQ(-ENOSPC, send_file(a.send, b.send));
	EXPECT_EQ(1, kt_stat(a.all).msgs);
	EXPECT_EQ(TEXT_SIZE, recv_files(a.all, KIPC_NOFILES, NULL, 0, NULL));
	EXPECT_TRUE(kt_until(kt_stat(b.all).handles == 2));
	EXPECT_EQ(0, send_file(a.send, b.send));
	close_end(b);
	close_end(a);
}

/* ---- attempts ---- */

TEST_F(files_cycle, a_handle_in_the_queue_of_its_own_endpoint)
{
	struct end a = new_end(self->dev, 0);
	int reader, sent[2] = { a.send, pipe_of(&reader) };

	for (unsigned int i = 0; i < 10; i++)
		ASSERT_EQ(0, send_files(a.send, 0, sent, 2));
	close(sent[1]);
	EXPECT_EQ(12, kt_stat(a.all).handles);
	close(a.send);
	EXPECT_TRUE(pipe_held(reader));
	close(a.all);
	EXPECT_TRUE(pipe_ended(reader));
	close(reader);
}

TEST_F(files_cycle, two_endpoints_with_each_others_handle)
{
	struct end ends[3];
	int readers[3];

	for (unsigned int i = 0; i < 3; i++)
		ends[i] = new_end(self->dev, 0);
	for (unsigned int i = 0; i < 3; i++)
		for (unsigned int j = 0; j < 3; j++)
			ASSERT_EQ(0, send_file(ends[i].send, ends[j].send));
	for (unsigned int i = 0; i < 3; i++)
		ASSERT_EQ(0, send_away(ends[i].send, pipe_of(&readers[i])));
	for (unsigned int i = 0; i < 3; i++)
		close_end(ends[i]);
	for (unsigned int i = 0; i < 3; i++) {
		EXPECT_TRUE(pipe_ended(readers[i]));
		close(readers[i]);
	}
}

/* What keeps an endpoint alive cannot be put where only the endpoint keeps it */
TEST_F(files_cycle, a_handle_that_keeps_its_endpoint_alive)
{
	struct end a = new_end(self->dev, KIPC_OPEN_KEEP_BY_ANY);
	struct end b = new_end(self->dev, KIPC_OPEN_KEEP_BY_ANY);
	int reader;

	EXPECT_EQ(-EOPNOTSUPP, send_file(a.send, a.send));
	EXPECT_EQ(-EOPNOTSUPP, send_file(a.send, a.all));
	EXPECT_EQ(-EOPNOTSUPP, send_file(a.send, b.send));
	EXPECT_EQ(-EOPNOTSUPP, send_file(b.send, a.send));
	ASSERT_EQ(0, send_away(a.send, pipe_of(&reader)));
	close_end(b);
	close(a.all);
	EXPECT_TRUE(pipe_held(reader));
	close(a.send);
	EXPECT_TRUE(pipe_ended(reader));
	close(reader);
}

/* A call, outstanding on the handle that it carries */
TEST_F(files_cycle, a_handle_in_its_own_request)
{
	struct end a = new_end(self->dev, 0);
	struct iovec in = { TEXT, TEXT_SIZE };
	struct kipc_msg req = { .iov = &in, .iovcnt = 1, .fds = &a.send, .nfds = 1 };
	struct kipc_result result;
	uint64_t token;
	int got;

	for (unsigned int i = 0; i < 2; i++) {
		req.flags = i ? KIPC_IDEMPOTENT : 0;
		ASSERT_EQ(0, kipc_rpc_start(a.send, &req, 64, &token, 0));
	}
	/* one is delivered, and its files are kept to be delivered again */
	ASSERT_EQ(TEXT_SIZE, recv_files(a.all, 0, &got, 1, &result));
	close(got);
	ASSERT_EQ(TEXT_SIZE, recv_files(a.all, 0, &got, 1, &result));
	close(got);
	ASSERT_EQ(0, kipc_rpc_start(a.send, &req, 64, &token, 0));
	EXPECT_EQ(1, kt_stat(a.all).msgs);
	EXPECT_EQ(2, kt_stat(a.all).calls);
	/* its end is the end of the calls, and of what they carry */
	close(a.send);
	EXPECT_TRUE(kt_until(kt_stat(a.all).msgs == 0));
	EXPECT_TRUE(kt_until(kt_stat(a.all).calls == 0));
	EXPECT_TRUE(kt_until(kt_stat(a.all).handles == 1));
	close(a.all);
}

/* Its descriptors run out when the reply comes: that is kept for it to collect */
static void job_rpc_uncollected(struct job *job)
{
	struct iovec in = { TEXT, TEXT_SIZE }, out = { job->out, job->room };
	int got[2];
	const struct kipc_msg req = { .iov = &in, .iovcnt = 1 };
	const struct kipc_msg room = { .iov = &out, .iovcnt = 1, .fds = got, .nfds = 2 };

	limit_fds(0);
	job->ret = kipc_rpcmsg(job->fd, &req, &room, &job->result, job->timeout);
	unlimit_fds();
}

TEST_F(files_cycle, a_handle_in_its_own_uncollected_reply)
{
	struct end a = new_end(self->dev, 0);
	struct job *job = jobs_new(1);
	struct kipc_result call;
	int reader, sent[2] = { a.send, pipe_of(&reader) };

	job->fd = a.send;
	job_start(job, job_rpc_uncollected);
	ASSERT_TRUE(kt_until(recv_files(a.all, 0, NULL, 0, &call) == TEXT_SIZE));
	ASSERT_EQ(0, reply_files(a.all, call.token, sent, 2));
	close(sent[1]);
	EXPECT_EQ(0, job_join(job));
	ASSERT_EQ(-EMFILE, job->ret);
	ASSERT_NE(0, job->result.token);
	/* only the reply holds it */
	EXPECT_TRUE(pipe_held(reader));
	EXPECT_EQ(3, kt_stat(a.all).handles);
	close(a.send);
	EXPECT_TRUE(pipe_ended(reader));
	EXPECT_TRUE(kt_until(kt_stat(a.all).handles == 1));
	close(reader);
	close(a.all);
}

/* The same with two, each in the reply that the other has not collected */
TEST_F(files_cycle, two_handles_in_each_others_uncollected_reply)
{
	struct end ends[2] = { new_end(self->dev, 0), new_end(self->dev, 0) };
	struct job *jobs = jobs_new(2);
	struct kipc_result call;

	for (unsigned int i = 0; i < 2; i++) {
		jobs[i].fd = ends[i].send;
		job_start(&jobs[i], job_rpc_uncollected);
		ASSERT_TRUE(kt_until(recv_files(ends[i].all, 0, NULL, 0, &call) == TEXT_SIZE));
		ASSERT_EQ(0, reply_files(ends[i].all, call.token, &ends[!i].send, 1));
		EXPECT_EQ(0, job_join(&jobs[i]));
		ASSERT_EQ(-EMFILE, jobs[i].ret);
	}
	EXPECT_EQ(3, kt_stat(ends[0].all).handles);
	close(ends[0].send);
	close(ends[1].send);
	EXPECT_TRUE(kt_until(kt_stat(ends[0].all).handles == 1));
	EXPECT_TRUE(kt_until(kt_stat(ends[1].all).handles == 1));
	close(ends[0].all);
	close(ends[1].all);
}

static void send_over(int sock, int fd)
{
	char byte = 0, control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control, .msg_controllen = sizeof(control),
	};
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);

	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(cmsg), &fd, sizeof(fd));
	kt_need(sendmsg(sock, &msg, 0) == 1);
}

/* A receiving handle in a socket's queue, and that socket where only the handle holds it */
TEST_F(files_cycle, through_a_UNIX_socket_pair)
{
	struct end a = new_end(self->dev, 0);
	int pair[2], reader;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
	send_over(pair[0], a.all);
	send_over(pair[1], a.send);
	EXPECT_EQ(-EOPNOTSUPP, send_file(a.send, pair[0]));
	EXPECT_EQ(-EOPNOTSUPP, send_file(a.send, pair[1]));
	ASSERT_EQ(0, send_file(a.send, a.send));
	ASSERT_EQ(0, send_away(a.send, pipe_of(&reader)));
	close_end(a);
	/* the sockets hold it */
	EXPECT_TRUE(pipe_held(reader));
	close(pair[0]);
	close(pair[1]);
	EXPECT_TRUE(pipe_ended(reader));
	close(reader);
}

/* What holds other files, or would: an epoll set, a device file */
TEST_F(files_cycle, through_epoll_and_device_files)
{
	struct end a = new_end(self->dev, 0);
	struct epoll_event event = { .events = EPOLLIN };
	int epoll = epoll_create1(EPOLL_CLOEXEC), dev = kt_device(), reader, got;

	ASSERT_EQ(0, epoll_ctl(epoll, EPOLL_CTL_ADD, a.all, &event));
	ASSERT_EQ(0, epoll_ctl(epoll, EPOLL_CTL_ADD, a.send, &event));
	EXPECT_EQ(-EOPNOTSUPP, send_file(a.send, epoll));
	EXPECT_EQ(-EOPNOTSUPP, send_file(a.send, dev));
	ASSERT_EQ(0, send_file(a.send, a.send));
	got = recv_file(a.all);
	ASSERT_LE(0, got);
	ASSERT_EQ(0, epoll_ctl(epoll, EPOLL_CTL_ADD, got, &event));
	ASSERT_EQ(0, send_away(a.send, got));
	ASSERT_EQ(0, send_away(a.send, pipe_of(&reader)));
	close(dev);
	close_end(a);
	EXPECT_TRUE(pipe_ended(reader));
	close(epoll);
	close(reader);
}

/* Their namespace ends with all of it */
TEST_F(files_cycle, in_a_network_namespace_that_ends)
{
	int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), reader, net, dev, sock;
	struct end a, b;

	kt_need(home >= 0 && !unshare(CLONE_NEWNET));
	dev = kt_device();
	a = new_end(dev, 0);
	b = new_end(dev, 0);
	/* each of these holds the namespace */
	sock = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	net = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	kt_need(sock >= 0 && net >= 0 && !setns(home, CLONE_NEWNET));
	EXPECT_EQ(-EOPNOTSUPP, send_file(a.send, net));
	ASSERT_EQ(0, send_away(a.send, sock));
	ASSERT_EQ(0, send_file(a.send, b.send));
	ASSERT_EQ(0, send_file(b.send, a.send));
	ASSERT_EQ(0, send_away(b.send, pipe_of(&reader)));
	close(net);
	close(dev);
	close_end(a);
	close_end(b);
	EXPECT_TRUE(pipe_ended(reader));
	close(reader);
	close(home);
}

TEST_HARNESS_MAIN
