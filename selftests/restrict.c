// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Promise 11: RESTRICT makes handles with fewer rights and a badge, and nothing
 * gives more rights to a handle or another badge.
 */
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "call_common.h"
#include "harness.h"

#define A KT_UID_A
#define B KT_UID_B
#define BADGE 0xbad6ebad6e00dULL
#define SEND KIPC_RIGHT_SEND
#define RECV KIPC_RIGHT_RECV
#define CONTROL KIPC_RIGHT_CONTROL

FIXTURE(restrict_) {
	int dev;
	int fd;		/* all rights, no badge */
	uint32_t id;
	unsigned int fds;
};

FIXTURE_SETUP(restrict_)
{
	self->dev = kt_device();
	self->fd = kt_private_mode(self->dev, 0, 0666, NULL);
	self->id = kt_id(self->fd);
	self->fds = kt_open_fds();
}

FIXTURE_TEARDOWN(restrict_)
{
	kt_restore_params();
	if (fcntl(self->fd, F_GETFD) >= 0)
		close(self->fd);
	close(self->dev);
}

static long restrict_op(int fd, uint32_t rights, uint64_t badge)
{
	struct kipc_op_restrict op = { .rights = rights, .badge = badge };

	return kt_ioctl(fd, KIPC_IOC_RESTRICT, &op);
}

static int restricted(int fd, uint32_t rights, uint64_t badge)
{
	long new = restrict_op(fd, rights, badge);

	if (new < 0)
		kt_complain("RESTRICT: %ld", new);
	kt_need(new >= 0);
	return (int)new;
}

struct shown {
	uint32_t rights;
	uint64_t badge;
};

static struct shown shown(int fd)
{
	struct shown shown = { ~0U, ~0ULL };
	char path[64], text[2048], *line;
	unsigned long long badge;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	kt_need(kt_read_file(path, text, sizeof(text)) > 0);
	line = strstr(text, "kipc-rights:");
	kt_need(line && sscanf(line, "kipc-rights: %x", &shown.rights) == 1);
	line = strstr(text, "kipc-badge:");
	kt_need(line && sscanf(line, "kipc-badge: %llu", &badge) == 1);
	shown.badge = badge;
	return shown;
}

/* What can be done with a handle on an endpoint with a message in its queue, one after the other */
static uint32_t works(int fd)
{
	struct kipc_op_stat set = { .what = KIPC_SET_MODE, .info.mode = 0666 };
	struct kipc_op_recv peek;
	uint32_t rights = 0;
	char buf[8192];
	long ret;

	ret = kt_send(fd, 0, 1, 0, "x", 1);
	kt_need(!ret || ret == -EBADF);
	rights |= ret ? 0 : SEND;
	peek = kt_recv_op(buf, sizeof(buf), NULL);
	peek.flags = KIPC_PEEK;
	ret = kt_op_recv(fd, &peek);
	kt_need(ret == 1 || ret == -EBADF);
	rights |= ret == 1 ? RECV : 0;
	ret = kt_op_set(fd, &set);
	kt_need(!ret || ret == -EBADF);
	return ret ? rights : rights | CONTROL;
}

TEST_F(restrict_, info_says_so)
{
	struct kipc_limits limits;

	ASSERT_EQ(0, kipc_info(self->dev, &limits));
	EXPECT_TRUE(limits.features & KIPC_FEATURE_RESTRICT);
}

TEST_F(restrict_, p11_of_all_rights_those_that_are_asked_for)
{
	ASSERT_EQ(0, kt_send(self->fd, 0, 1, 0, "x", 1));
	for (uint32_t rights = 1; rights <= KT_ALL_RIGHTS; rights++) {
		int fd = restricted(self->fd, rights, rights == 5 ? 0 : rights << 20);

		EXPECT_EQ(rights, works(fd));
		EXPECT_EQ(rights, shown(fd).rights);
		EXPECT_EQ(rights == 5 ? 0 : rights << 20, shown(fd).badge);
		EXPECT_EQ(self->id, kt_id(fd));
		close(fd);
	}
	EXPECT_EQ(KT_ALL_RIGHTS, works(self->fd));
	EXPECT_EQ(0, shown(self->fd).badge);
	EXPECT_EQ(1, kt_stat(self->fd).handles);
	EXPECT_EQ(1, kt_stat(self->fd).receivers);
}

/* From every set of rights to every other: only to less, whoever asks */
TEST_F(restrict_, p11_rights_never_grow)
{
	for (uint32_t from = 1; from <= KT_ALL_RIGHTS; from++) {
		int fd = restricted(self->fd, from, 0);

		for (uint32_t to = 1; to <= KT_ALL_RIGHTS; to++) {
			uid_t uid = to & 1 ? A : 0;
			long new = kt_do_as(uid, restrict_op(fd, to, 0));

			if (to & ~from) {
				EXPECT_EQ(-EBADF, new);
				continue;
			}
			ASSERT_GE(new, 0);
			EXPECT_EQ(to, shown((int)new).rights);
			/* and not back again */
			if (from != to)
				EXPECT_EQ(-EBADF, restrict_op((int)new, from, 0));
			close((int)new);
		}
		close(fd);
	}
}

TEST_F(restrict_, p11_a_badge_is_for_good)
{
	int fd = restricted(self->fd, SEND | RECV, BADGE), same, less;

	EXPECT_EQ(-EPERM, restrict_op(fd, SEND, 1));
	EXPECT_EQ(-EPERM, restrict_op(fd, SEND, BADGE + 1));
	EXPECT_EQ(-EPERM, kt_do_as(A, restrict_op(fd, SEND, ~0ULL)));
	/* what it lacks comes first */
	EXPECT_EQ(-EBADF, restrict_op(fd, CONTROL, 1));
	same = restricted(fd, SEND, BADGE);
	EXPECT_EQ(BADGE, shown(same).badge);
	less = restricted(same, SEND, 0);
	EXPECT_EQ(BADGE, shown(less).badge);
	EXPECT_EQ(-EPERM, restrict_op(less, SEND, 1));
	/* who has none gives any */
	close(same);
	same = restricted(self->fd, SEND, ~0ULL);
	EXPECT_EQ(~0ULL, shown(same).badge);
	close(same);
	close(less);
	close(fd);
	EXPECT_EQ(self->fds, kt_open_fds());
}

static uint64_t badge_of_next(int fd)
{
	struct kipc_result result;

	kt_need(take(fd, &result) >= 0);
	return result.badge;
}

TEST_F(restrict_, messages_carry_the_badge)
{
	const struct kipc_batch_msg heads[] = { { .size = 1 }, { .size = 1 }, { .size = 1 } };
	int fd = restricted(self->fd, SEND, BADGE), other = restricted(self->fd, SEND, 7);
	struct kipc_result results[8];
	struct iovec iov = { (char [64]){ 0 }, 64 };
	struct kipc_msg batch = { .iov = &iov, .iovcnt = 1 }, room = batch;
	struct kipc_op_recv peek;
	char buf[8192];

	ASSERT_EQ(0, kipc_send(fd, "x", 1, 0));
	EXPECT_EQ(BADGE, badge_of_next(self->fd));
	ASSERT_EQ(0, kipc_send(self->fd, "x", 1, 0));
	EXPECT_EQ(0, badge_of_next(self->fd));

	/* each its own, also when memory is used again */
	ASSERT_EQ(3, kipc_send_batch(fd, &batch, heads, 3, 0));
	ASSERT_EQ(1, kipc_send_batch(self->fd, &batch, heads, 1, 0));
	ASSERT_EQ(1, kipc_send_batch(other, &batch, heads, 1, 0));
	peek = kt_recv_op(buf, sizeof(buf), &results[0]);
	peek.flags = KIPC_PEEK;
	ASSERT_EQ(1, kt_op_recv(self->fd, &peek));
	EXPECT_EQ(BADGE, results[0].badge);
	room.flags = KIPC_ANYSIZE;
	ASSERT_EQ(5, kipc_recv_batch(self->fd, &room, results, 8, 0));
	EXPECT_EQ(BADGE, results[0].badge);
	EXPECT_EQ(BADGE, results[1].badge);
	EXPECT_EQ(BADGE, results[2].badge);
	EXPECT_EQ(0, results[3].badge);
	EXPECT_EQ(7, results[4].badge);

	/* by id and to an id */
	ASSERT_EQ(0, kt_send(self->dev, self->id, 1, 0, "x", 1));
	EXPECT_EQ(0, badge_of_next(self->fd));
	ASSERT_EQ(0, kipc_send(fd, "x", 1, 0));
	ASSERT_EQ(1, kt_recv(self->dev, self->id, 0, 0, buf, sizeof(buf), results));
	EXPECT_EQ(BADGE, results[0].badge);
	close(other);
	close(fd);
}

TEST_F(restrict_, calls_carry_the_badge)
{
	struct job *jobs = jobs_new(2), *caller = &jobs[0], *server = &jobs[1];
	int fd = restricted(self->fd, SEND, BADGE);
	struct kipc_result result;
	uint64_t token;

	caller->fd = fd;
	job_start(caller, job_rpc_raw);
	ASSERT_EQ(0, take(self->fd, &result));
	EXPECT_EQ(BADGE, result.badge);
	ASSERT_EQ(0, kipc_reply(self->fd, result.token, "re", 2));
	ASSERT_EQ(0, job_join(caller));
	/* the reply is its server's, who has none */
	EXPECT_EQ(0, caller->result.badge);

	token = start(fd, 0, 1, -1);
	ASSERT_NE(0, token);
	ASSERT_EQ(0, take(self->fd, &result));
	EXPECT_EQ(BADGE, result.badge);
	ASSERT_EQ(0, kipc_reply(self->fd, result.token, NULL, 0));
	ASSERT_EQ(0, finish(fd, token, &result));
	EXPECT_EQ(0, result.badge);

	/* delivered again after a death */
	server->fd = self->fd;
	job_start(server, job_take);
	await_asleep(server);
	token = start(fd, KIPC_IDEMPOTENT, 2, -1);
	await(server->done);
	EXPECT_EQ(BADGE, server->result.badge);
	ASSERT_TRUE(job_kill(server));
	ASSERT_EQ(0, take(self->fd, &result));
	EXPECT_EQ(KIPC_RESULT_CALL | KIPC_RESULT_REDELIVERED, result.flags);
	EXPECT_EQ(BADGE, result.badge);
	ASSERT_EQ(KIPC_RESULT_DELIVERED, kipc_cancel(fd, token));
	close(fd);
}

TEST_F(restrict_, who_waits_for_a_message_is_told_the_badge)
{
	int srv = private_endpoint(KIPC_OPEN_RENDEZVOUS, NULL);
	int fd = restricted(srv, SEND, BADGE);
	struct job *jobs = jobs_new(1), *receiver = &jobs[0];

	receiver->fd = srv;
	job_start(receiver, job_recv);
	await_asleep(receiver);
	ASSERT_EQ(0, kipc_send(fd, "x", 1, -1));
	ASSERT_EQ(0, job_join(receiver));
	EXPECT_EQ(BADGE, receiver->result.badge);
	close(fd);
	close(srv);
}

/* ---- nothing widens ---- */

/* A new descriptor for what @fd is, sent through a pair of sockets */
static int passed(int fd)
{
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(int))];
	} control = {
		.header = {
			.cmsg_level = SOL_SOCKET,
			.cmsg_type = SCM_RIGHTS,
			.cmsg_len = CMSG_LEN(sizeof(int)),
		},
	};
	char byte = 0;
	struct iovec iov = { &byte, 1 };
	struct msghdr message = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = &control, .msg_controllen = sizeof(control),
	};
	int pair[2], got;

	kt_need(!socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
	kt_need(sendmsg(pair[0], &message, 0) == 1);
	kt_need(recvmsg(pair[1], &message, MSG_CMSG_CLOEXEC) == 1);
	memcpy(&got, CMSG_DATA(&control.header), sizeof(got));
	close(pair[0]);
	close(pair[1]);
	return got;
}

static bool as_before(int fd, uint32_t rights)
{
	struct shown is = shown(fd);
	uint32_t can = works(fd);
	long more = restrict_op(fd, KT_ALL_RIGHTS, BADGE), other = restrict_op(fd, rights, 1);

	if (can == rights && is.rights == rights && is.badge == BADGE && more == -EBADF &&
	    other == -EPERM)
		return true;
	kt_complain("rights %x, shown %x, badge %llx, more: %ld, another badge: %ld", can,
		    is.rights, (unsigned long long)is.badge, more, other);
	return false;
}

static long child_as_before(void *arg)
{
	return as_before(*(int *)arg, SEND);
}

TEST_F(restrict_, p11_copies_of_a_descriptor_are_no_more)
{
	const struct kt_how capable = { .ns = CLONE_NEWUSER };
	int fd = restricted(self->fd, SEND, BADGE), copy, pidfd;

	copy = dup(fd);
	EXPECT_TRUE(as_before(copy, SEND));
	close(copy);
	copy = fcntl(fd, F_DUPFD_CLOEXEC, 100);
	EXPECT_TRUE(as_before(copy, SEND));
	close(copy);
	copy = passed(fd);
	EXPECT_TRUE(as_before(copy, SEND));
	close(copy);
	pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0);
	copy = (int)syscall(SYS_pidfd_getfd, pidfd, fd, 0);
	ASSERT_LE(0, copy);
	EXPECT_TRUE(as_before(copy, SEND));
	close(copy);
	close(pidfd);

	/* in a child, in one of another user, in one with all capabilities of its own namespace */
	EXPECT_EQ(1, kt_run(KT_FORK, child_as_before, &fd));
	EXPECT_EQ(1, kt_run(KT_AS(B), child_as_before, &fd));
	EXPECT_EQ(1, kt_run(&capable, child_as_before, &fd));
	close(fd);
}

TEST_F(restrict_, p11_opened_anew_by_proc_it_is_nothing)
{
	static const int modes[] = { O_RDONLY, O_WRONLY, O_RDWR };
	int fd = restricted(self->fd, SEND, BADGE), path;
	char name[64];

	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	for (unsigned int i = 0; i < ARRAY_SIZE(modes); i++) {
		EXPECT_EQ(-1, open(name, modes[i]));
		EXPECT_EQ(ENXIO, errno);
	}
	path = open(name, O_PATH);
	ASSERT_LE(0, path);
	EXPECT_EQ(-EBADF, kt_send(path, 0, 1, 0, "x", 1));
	EXPECT_EQ(-EBADF, restrict_op(path, SEND, 0));
	close(path);
	EXPECT_EQ(2, kt_stat(self->fd).handles);
	close(fd);
}

/* The rights are the handle's, whoever uses it: no user has more of it, nor less */
TEST_F(restrict_, p11_becoming_another_user_changes_nothing)
{
	int fd, owner;

	ASSERT_EQ(0, kt_chmod(self->fd, 0, 0));
	fd = restricted(self->fd, SEND, BADGE);
	owner = (int)kt_do_as(B, restrict_op(self->fd, RECV, BADGE));
	ASSERT_LE(0, owner);
	ASSERT_EQ(0, kt_send(self->fd, 0, 1, 0, "x", 1));
	EXPECT_TRUE(kt_do_as(B, as_before(fd, SEND)));
	EXPECT_TRUE(kt_do_as(A, as_before(owner, RECV)));
	EXPECT_TRUE(as_before(owner, RECV));
	/* what is made of it by one who may do nothing at the endpoint */
	EXPECT_EQ(-EACCES, kt_do_as(A, kt_again(self->dev, self->id, SEND)));
	EXPECT_EQ(0, kt_do_as(A, kt_send(fd, 0, 1, 0, "x", 1)));
	close(owner);
	close(fd);
}

/* ---- a handle of its own ---- */

TEST_F(restrict_, it_is_another_file)
{
	struct kipc_result result;
	uint64_t token;
	char buf[16];
	int fd;

	ASSERT_EQ(0, fcntl(self->fd, F_SETFL, O_NONBLOCK));
	fd = restricted(self->fd, KT_ALL_RIGHTS, 0);
	EXPECT_EQ(FD_CLOEXEC, fcntl(fd, F_GETFD));
	EXPECT_EQ(0, fcntl(fd, F_GETFL) & O_NONBLOCK);
	EXPECT_EQ(2, kt_stat(self->fd).handles);
	EXPECT_EQ(2, kt_stat(self->fd).receivers);

	/* calls belong to the file that made them */
	token = start(self->fd, 0, 1, -1);
	EXPECT_EQ(-ENOENT, kipc_cancel(fd, token));
	ASSERT_EQ(0, take(fd, &result));
	/* what was taken through it breaks with it */
	close(fd);
	EXPECT_EQ(-ECONNRESET, finish(self->fd, token, &result));

	/* and one that is shut down shuts down no other */
	fd = restricted(self->fd, RECV, 0);
	ASSERT_EQ(0, kipc_shutdown(self->fd));
	ASSERT_EQ(0, kt_send(self->fd, 0, 1, 0, "x", 1));
	EXPECT_EQ(-ESHUTDOWN, kt_recv(self->fd, 0, 0, 0, buf, sizeof(buf), &result));
	EXPECT_EQ(1, kt_recv(fd, 0, 0, 0, buf, sizeof(buf), &result));
	close(fd);
	fd = restricted(self->fd, RECV, 0);
	EXPECT_EQ(-EAGAIN, kt_recv(fd, 0, 0, 0, buf, sizeof(buf), &result));
	close(fd);
}

TEST_F(restrict_, one_that_may_receive_keeps_the_endpoint)
{
	int fd = restricted(self->fd, RECV, 0), cli = restricted(self->fd, SEND, BADGE);

	close(self->fd);
	EXPECT_EQ(POLLOUT, polled(cli));
	EXPECT_EQ(0, kipc_send(cli, "x", 1, 0));
	EXPECT_EQ(BADGE, badge_of_next(fd));
	close(fd);
	EXPECT_EQ(POLLHUP, polled(cli) & POLLHUP);
	EXPECT_EQ(-EIDRM, kipc_send(cli, "x", 1, 0));
	EXPECT_EQ(-EIDRM, restrict_op(cli, SEND, 0));
	close(cli);
}

TEST_F(restrict_, one_that_may_only_send_keeps_it_if_any_does)
{
	for (uint32_t rights = SEND; rights <= CONTROL; rights <<= 2) {
		int any = private_endpoint(KIPC_OPEN_KEEP_BY_ANY, NULL);
		int fd = restricted(any, rights, 0);
		uint32_t id = kt_id(any);

		close(any);
		EXPECT_EQ(POLLRDHUP, polled(fd) & (POLLRDHUP | POLLHUP));
		EXPECT_EQ(id, kt_id(fd));
		/* what is there is for who comes */
		if (rights == SEND)
			EXPECT_EQ(0, kipc_send(fd, "x", 1, 0));
		any = kt_again(self->dev, id, RECV);
		ASSERT_LE(0, any);
		EXPECT_EQ(0, polled(fd) & (POLLRDHUP | POLLHUP));
		EXPECT_EQ(rights == SEND, kt_stat(any).msgs);
		close(fd);
		close(any);
		EXPECT_EQ(-EIDRM, kt_again(self->dev, id, RECV));
	}
}

TEST_F(restrict_, one_that_may_control_removes)
{
	int fd = restricted(self->fd, CONTROL, 0);

	EXPECT_EQ(-EBADF, kipc_remove(restricted(self->fd, SEND | RECV, 0), 0));
	EXPECT_EQ(0, kipc_remove(fd, 0));
	EXPECT_EQ(-EIDRM, kipc_send(self->fd, "x", 1, 0));
	EXPECT_EQ(-EIDRM, restrict_op(fd, CONTROL, 0));
	EXPECT_EQ(-EIDRM, restrict_op(self->fd, SEND, 1));
	close(fd);
}

/* ---- limits and arguments ---- */

TEST_F(restrict_, p10_handles_are_counted)
{
	int fds[8];

	kt_set_param("handles_max", 8);
	for (unsigned int i = 0; i < 3; i++) {
		fds[i] = (int)kt_do_as(A, restrict_op(self->fd, SEND, i));
		ASSERT_LE(0, fds[i]);
	}
	EXPECT_EQ(4, kt_stat(self->fd).handles);
	/* another user: half of what is left is 3 */
	EXPECT_EQ(-EDQUOT, kt_do_as(A, restrict_op(self->fd, SEND, 0)));
	EXPECT_EQ(-EDQUOT, kt_do_as(A, restrict_op(fds[0], SEND, 0)));
	/* the owner: all */
	for (unsigned int i = 3; i < 7; i++)
		fds[i] = restricted(self->fd, RECV, 0);
	EXPECT_EQ(-ENOSPC, restrict_op(self->fd, RECV, 0));
	EXPECT_EQ(8, kt_stat(self->fd).handles);
	EXPECT_EQ(5, kt_stat(self->fd).receivers);
	for (unsigned int i = 0; i < 7; i++)
		close(fds[i]);
	EXPECT_EQ(1, kt_stat(self->fd).handles);
	EXPECT_EQ(self->fds, kt_open_fds());
}

TEST_F(restrict_, without_a_descriptor_nothing_is_made)
{
	struct rlimit old, none;

	ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &old));
	none = (struct rlimit){ 3, old.rlim_max };
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &none));
	EXPECT_EQ(-EMFILE, restrict_op(self->fd, SEND, 1));
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &old));
	EXPECT_EQ(1, kt_stat(self->fd).handles);
	EXPECT_EQ(self->fds, kt_open_fds());
}

TEST_F(restrict_, arguments_that_make_no_sense)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	EXPECT_EQ(-EINVAL, restrict_op(self->fd, 0, 0));
	EXPECT_EQ(-EINVAL, restrict_op(self->fd, 0, BADGE));
	for (unsigned int bit = 3; bit < 32; bit++)
		EXPECT_EQ(-EINVAL, restrict_op(self->fd, SEND | 1U << bit, 0));
	EXPECT_EQ(-EBADF, restrict_op(self->dev, SEND, 0));
	EXPECT_EQ(-EBADF, restrict_op(-1, SEND, 0));
	EXPECT_EQ(-ENOTTY, restrict_op(null, SEND, 0));
	EXPECT_EQ(-EFAULT, kt_ioctl(self->fd, KIPC_IOC_RESTRICT, kt_hole()));
	EXPECT_EQ(-EFAULT, kt_ioctl(self->fd, KIPC_IOC_RESTRICT, kt_hole() - 8));
	close(null);
	EXPECT_EQ(1, kt_stat(self->fd).handles);
	EXPECT_EQ(self->fds, kt_open_fds());
}

TEST_F(restrict_, the_library_says_the_same)
{
	int fd = kipc_restrict(self->fd, SEND, BADGE);

	ASSERT_LE(0, fd);
	EXPECT_EQ(BADGE, shown(fd).badge);
	errno = 4711;
	EXPECT_EQ(-EPERM, kipc_restrict(fd, SEND, 1));
	EXPECT_EQ(-EBADF, kipc_restrict(fd, RECV, 0));
	EXPECT_EQ(-EINVAL, kipc_restrict(fd, 0, 0));
	EXPECT_EQ(4711, errno);
	close(fd);
}

TEST_HARNESS_MAIN
