// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Promise 11: rights are decided once per handle, and at every operation on a
 * device file; and who is shown what about whom.
 */
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <grp.h>

#include "common.h"
#include "harness.h"

#define A KT_UID_A	/* owns and creates */
#define B KT_UID_B	/* somebody else */
#define C KT_UID_C
#define GROUP 30001

FIXTURE(rights) {
	int dev;
	int fd;
	uint32_t id;
};

FIXTURE_SETUP(rights)
{
	self->dev = kt_device();
	self->fd = (int)kt_do_as(A, kt_openl(self->dev, .flags = KIPC_OPEN_CREATE,
					     .rights = KT_ALL_RIGHTS));
	ASSERT_GE(self->fd, 0);
	self->id = kt_id(self->fd);
}

FIXTURE_TEARDOWN(rights)
{
	close(self->fd);
	close(self->dev);
}

static long try_open(int dev, uint32_t id, uint32_t rights)
{
	long fd = kt_again(dev, id, rights);

	if (fd < 0)
		return fd;
	close((int)fd);
	return 0;
}

static long set_ids(int fd, uid_t uid, gid_t gid)
{
	struct kipc_op_stat op = {
		.what = KIPC_SET_UID | KIPC_SET_GID,
		.info = { .uid = uid, .gid = gid },
	};

	return kt_op_set(fd, &op);
}

TEST_F(rights, p11_the_device_node_is_for_root_alone)
{
	struct stat st;

	ASSERT_EQ(0, stat("/dev/kipc", &st));
	EXPECT_EQ(S_IFCHR | 0600, st.st_mode);
	EXPECT_EQ(0, st.st_uid);
	EXPECT_EQ(0, st.st_gid);
}

TEST_F(rights, p11_a_new_endpoint_gives_its_creator_every_right)
{
	struct kipc_endpoint info = kt_stat(self->fd);
	char buf[8192];

	EXPECT_EQ(0, info.mode);
	EXPECT_EQ(A, info.uid);
	EXPECT_EQ(A, info.gid);
	EXPECT_EQ(A, info.cuid);
	EXPECT_EQ(A, info.cgid);
	EXPECT_EQ(0, kipc_send(self->fd, "x", 1, 0));
	EXPECT_EQ(1, kipc_recv(self->fd, buf, sizeof(buf), NULL, 0));
	EXPECT_EQ(0, kt_chmod(self->fd, 0, 0));
	/* and that one only */
	EXPECT_EQ(-EACCES, kt_do_as(A, try_open(self->dev, self->id, KIPC_RIGHT_RECV)));
	EXPECT_EQ(-EACCES, kt_do_as(A, try_open(self->dev, self->id, KIPC_RIGHT_SEND)));
}

/* Which of SEND and RECV a mode gives */
static void expect_rights(struct __test_metadata *_metadata, int dev, uint32_t id, uid_t uid,
			  bool recv, bool send)
{
	EXPECT_EQ(recv ? 0 : -EACCES, kt_do_as(uid, try_open(dev, id, KIPC_RIGHT_RECV)));
	EXPECT_EQ(send ? 0 : -EACCES, kt_do_as(uid, try_open(dev, id, KIPC_RIGHT_SEND)));
	EXPECT_EQ(recv && send ? 0 : -EACCES,
		  kt_do_as(uid, try_open(dev, id, KIPC_RIGHT_RECV | KIPC_RIGHT_SEND)));
}

TEST_F(rights, p11_owner_group_and_others)
{
	/* B is in the group, C is not */
	ASSERT_EQ(0, set_ids(self->fd, A, B));
	for (uint32_t bit = 0; bit < 9; bit++) {
		ASSERT_EQ(0, kt_chmod(self->fd, 0, 1U << bit));
		expect_rights(_metadata, self->dev, self->id, A, bit == 8, bit == 7);
		expect_rights(_metadata, self->dev, self->id, B, bit == 5, bit == 4);
		expect_rights(_metadata, self->dev, self->id, C, bit == 2, bit == 1);
	}
	/* each is judged by its own class alone */
	ASSERT_EQ(0, kt_chmod(self->fd, 0, 0066));
	expect_rights(_metadata, self->dev, self->id, A, false, false);
	ASSERT_EQ(0, kt_chmod(self->fd, 0, 0606));
	expect_rights(_metadata, self->dev, self->id, B, false, false);
	expect_rights(_metadata, self->dev, self->id, C, true, true);
}

static long open_with_groups(void *arg)
{
	FIXTURE_DATA(rights) *self = arg;

	return try_open(self->dev, self->id, KIPC_RIGHT_SEND);
}

TEST_F(rights, p11_supplementary_groups)
{
	const gid_t groups[] = { 5, GROUP, 7 };
	const struct kt_how in = { .uid = B, .gid = B, .groups = groups, .ngroups = 3 };
	const struct kt_how out = { .uid = B, .gid = B, .groups = groups, .ngroups = 1 };

	ASSERT_EQ(0, set_ids(self->fd, A, GROUP));
	ASSERT_EQ(0, kt_chmod(self->fd, 0, 0020));
	EXPECT_EQ(0, kt_run(&in, open_with_groups, self));
	EXPECT_EQ(-EACCES, kt_run(&out, open_with_groups, self));
}

TEST_F(rights, p11_owner_and_creator_may_control)
{
	struct kipc_op_stat set = { .endpoint = self->id, .what = KIPC_SET_MODE };
	long ret;

	ASSERT_EQ(0, set_ids(self->fd, B, B));
	EXPECT_EQ(A, kt_stat(self->fd).cuid);
	EXPECT_EQ(B, kt_stat(self->fd).uid);
	set.info.mode = 0606;
	EXPECT_EQ(0, kt_do_as(A, kt_op_set(self->dev, &set)));
	EXPECT_EQ(0, kt_do_as(B, kt_op_set(self->dev, &set)));
	EXPECT_EQ(-EPERM, kt_do_as(C, kt_op_set(self->dev, &set)));
	EXPECT_EQ(-EPERM, kt_do_as(C, kt_remove(self->dev, self->id)));
	EXPECT_EQ(0, kt_do_as(A, try_open(self->dev, self->id, KIPC_RIGHT_CONTROL)));
	EXPECT_EQ(0, kt_do_as(B, try_open(self->dev, self->id, KIPC_RIGHT_CONTROL)));
	ret = kt_do_as(C, try_open(self->dev, self->id, KIPC_RIGHT_CONTROL));
	EXPECT_TRUE(ret == -EACCES || ret == -EPERM);
	/* creator and owner are both judged by the owner's bits */
	expect_rights(_metadata, self->dev, self->id, A, true, true);
	expect_rights(_metadata, self->dev, self->id, B, true, true);

	EXPECT_EQ(0, kt_do_as(A, kt_remove(self->dev, self->id)));
	EXPECT_EQ(-EIDRM, kipc_send(self->fd, "x", 1, 0));
}

/* As msgctl(2) has it */
TEST_F(rights, p11_an_owner_may_give_it_away)
{
	struct kipc_op_stat set = {
		.endpoint = self->id,
		.what = KIPC_SET_UID,
		.info = { .uid = B },
	};

	/* a stranger may not; with another change: none is made */
	EXPECT_EQ(-EPERM, kt_do_as(B, kt_op_set(self->dev, &set)));
	set.what |= KIPC_SET_MODE;
	set.info.mode = 0777;
	EXPECT_EQ(-EPERM, kt_do_as(B, kt_op_set(self->dev, &set)));
	EXPECT_EQ(A, kt_stat(self->fd).uid);
	EXPECT_EQ(0, kt_stat(self->fd).mode);
	set.what = KIPC_SET_UID;
	EXPECT_EQ(0, kt_do_as(A, kt_op_set(self->dev, &set)));
	EXPECT_EQ(B, kt_stat(self->fd).uid);
	/* the creator may take it back */
	set.info.uid = A;
	EXPECT_EQ(0, kt_do_as(A, kt_op_set(self->dev, &set)));
	EXPECT_EQ(A, kt_stat(self->fd).uid);
}

TEST_F(rights, p11_a_handle_without_control)
{
	struct kipc_op_stat set = { .what = KIPC_SET_MODE, .info.mode = 0777 };
	int fd;

	ASSERT_EQ(0, kt_chmod(self->fd, 0, 0600));
	/* not even the owner, nor root */
	fd = (int)kt_do_as(A, kt_again(self->dev, self->id, KIPC_RIGHT_SEND | KIPC_RIGHT_RECV));
	ASSERT_GE(fd, 0);
	EXPECT_EQ(-EBADF, kt_do_as(A, kt_op_set(fd, &set)));
	EXPECT_EQ(-EBADF, kt_op_set(fd, &set));
	EXPECT_EQ(-EBADF, kipc_remove(fd, 0));
	EXPECT_EQ(0600, kt_stat(self->fd).mode);
	close(fd);
}

TEST_F(rights, p11_a_handle_has_the_rights_it_was_opened_with)
{
	struct kipc_result result;
	char buf[8192];
	int send, recv;

	ASSERT_EQ(0, kt_chmod(self->fd, 0, 0666));
	send = (int)kt_do_as(B, kt_again(self->dev, self->id, KIPC_RIGHT_SEND));
	recv = (int)kt_do_as(B, kt_again(self->dev, self->id, KIPC_RIGHT_RECV));
	ASSERT_GE(send, 0);
	ASSERT_GE(recv, 0);
	EXPECT_EQ(-EBADF, kipc_recv(send, buf, sizeof(buf), &result, 0));
	EXPECT_EQ(-EBADF, kipc_send(recv, "x", 1, 0));
	EXPECT_EQ(-EBADF, kipc_rpc(recv, "x", 1, buf, sizeof(buf), 0));
	EXPECT_EQ(-EBADF, kipc_shutdown(send));
	EXPECT_EQ(-EBADF, kipc_reply(send, 1, "x", 1));

	/* the mode and the owner change: the handles do not */
	ASSERT_EQ(0, kt_chmod(self->fd, 0, 0));
	ASSERT_EQ(0, set_ids(self->fd, C, C));
	EXPECT_EQ(0, kt_do_as(B, kt_send(send, 0, 1, 0, "x", 1)));
	EXPECT_EQ(1, kt_do_as(B, kt_recv(recv, 0, 0, 0, buf, sizeof(buf), &result)));
	/* nor who holds them: no matter who that is */
	EXPECT_EQ(0, kt_do_as(C, kt_send(send, 0, 1, 0, "x", 1)));
	EXPECT_EQ(B, result.uid);
	EXPECT_EQ(1, kt_do_as(C, kt_recv(recv, 0, 0, 0, buf, sizeof(buf), &result)));
	EXPECT_EQ(C, result.uid);
	close(send);
	close(recv);
}

/* A message that could not be sent anyway: who may is told why, who may not that he may not */
static void expect_refusals(struct __test_metadata *_metadata, int dev, uint32_t id, bool may)
{
	struct kipc_op_send sends[] = {
		{ .payload = { .base = 0, .len = 8 } },
		{ .payload = { .base = (uintptr_t)"x", .len = 1UL << 30 } },
		{ .payload = { .base = (uintptr_t)"x", .len = 1 },
		  .flags = KIPC_SYNC | KIPC_NONBLOCK },
	};
	struct kipc_op_rpc calls[] = {
		kt_rpc_op(NULL, 8, NULL, 0, NULL),
		kt_rpc_op("x", 1UL << 30, NULL, 0, NULL),
		kt_rpc_op("x", 1, NULL, 0, NULL),
	};
	const int errors[] = { -EFAULT, -EMSGSIZE, -EAGAIN };

	for (unsigned int i = 0; i < ARRAY_SIZE(sends); i++) {
		sends[i].endpoint = id;
		sends[i].deadline = KIPC_FOREVER;
		EXPECT_EQ(may ? errors[i] : -EACCES,
			  kt_do_as(B, kt_ioctl(dev, KIPC_IOC_SEND, &sends[i])));
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(calls); i++) {
		calls[i].endpoint = id;
		if (errors[i] == -EAGAIN)
			calls[i].flags = KIPC_NONBLOCK;
		EXPECT_EQ(may ? errors[i] : -EACCES, kt_do_as(B, kt_op_rpc(dev, &calls[i])));
	}
}

TEST_F(rights, p11_who_may_not_send_learns_nothing_else)
{
	struct kipc_op_rpc call = kt_rpc_op("x", 1, NULL, 0, NULL);
	int oneway;

	ASSERT_EQ(0, kt_chmod(self->fd, 0, 0602));
	expect_refusals(_metadata, self->dev, self->id, true);
	ASSERT_EQ(0, kt_chmod(self->fd, 0, 0604));
	expect_refusals(_metadata, self->dev, self->id, false);

	oneway = kt_private(self->dev, KIPC_OPEN_ONEWAY, NULL);
	ASSERT_LE(0, oneway);
	call.endpoint = kt_id(oneway);
	EXPECT_EQ(-EACCES, kt_do_as(B, kt_op_rpc(self->dev, &call)));
	ASSERT_EQ(0, kt_chmod(oneway, 0, 0602));
	EXPECT_EQ(-EOPNOTSUPP, kt_do_as(B, kt_op_rpc(self->dev, &call)));
	close(oneway);
	EXPECT_TRUE(kt_quiet(self->fd));
}

TEST_F(rights, p11_a_device_file_is_asked_every_time)
{
	struct kipc_op_rpc call = kt_rpc_op("?", 1, NULL, 0, NULL);
	struct kipc_result result;
	struct kipc_endpoint info;
	char buf[16];

	call.endpoint = self->id;
	ASSERT_EQ(0, kt_chmod(self->fd, 0, 0606));
	EXPECT_EQ(0, kt_do_as(B, kt_send(self->dev, self->id, 1, 0, "x", 1)));
	EXPECT_EQ(1, kt_do_as(B, kt_recv(self->dev, self->id, 0, 0, buf, sizeof(buf), &result)));
	ASSERT_EQ(0, kt_chmod(self->fd, 0, 0604));
	EXPECT_EQ(-EACCES, kt_do_as(B, kt_send(self->dev, self->id, 1, 0, "x", 1)));
	call.flags = KIPC_ASYNC;
	EXPECT_EQ(-EACCES, kt_do_as(B, kt_op_rpc(self->dev, &call)));
	call.flags = 0;
	EXPECT_EQ(-EACCES, kt_join(kt_start_ioctl(KT_AS(B), self->dev, KIPC_IOC_RPC, &call)));
	EXPECT_EQ(-EAGAIN,
		  kt_do_as(B, kt_recv(self->dev, self->id, 0, 0, buf, sizeof(buf), &result)));
	ASSERT_EQ(0, kt_chmod(self->fd, 0, 0602));
	EXPECT_EQ(0, kt_do_as(B, kt_send(self->dev, self->id, 1, 0, "x", 1)));
	EXPECT_EQ(-EACCES,
		  kt_do_as(B, kt_recv(self->dev, self->id, 0, 0, buf, sizeof(buf), &result)));
	EXPECT_EQ(0, kt_do_as(B, kt_stat_id(self->dev, self->id, &info)));
	ASSERT_EQ(0, kt_chmod(self->fd, 0, 0600));
	EXPECT_EQ(-EACCES, kt_do_as(B, kt_stat_id(self->dev, self->id, &info)));
	EXPECT_EQ(-EACCES, kt_do_as(B, kt_send(self->dev, self->id, 1, 0, "x", 1)));
	/* root overrides */
	EXPECT_EQ(1, kt_recv(self->dev, self->id, 0, 0, buf, sizeof(buf), &result));
	EXPECT_TRUE(kt_quiet(self->fd));
}

TEST_F(rights, p11_a_receiver_is_asked_again_after_its_sleep)
{
	char *buf = kt_shared(8192);
	struct kipc_op_recv op = kt_recv_op(buf, 8192, NULL);
	struct kt_job *job;

	ASSERT_EQ(0, kt_chmod(self->fd, 0, 0606));
	op.endpoint = self->id;
	job = kt_start_ioctl(KT_AS(B), self->dev, KIPC_IOC_RECV, &op);
	ASSERT_TRUE(kt_asleep(job));
	ASSERT_EQ(0, kt_chmod(self->fd, 0, 0600));
	ASSERT_EQ(0, kipc_send(self->fd, "secret", 6, 0));
	EXPECT_EQ(-EACCES, kt_join(job));
	EXPECT_EQ(0, buf[0]);
	/* and the message is somebody else's */
	EXPECT_EQ(1, kt_stat(self->fd).msgs);
	EXPECT_EQ(6, kipc_recv(self->fd, buf, 8192, NULL, 0));
	EXPECT_TRUE(kt_quiet(self->fd));
}

struct receive {
	int dev;
	struct kipc_op_recv op;
};

static long receive_as_b(void *arg)
{
	struct receive *r = arg;

	kt_euid(B);
	return kt_op_recv(r->dev, &r->op);
}

/* Half of the message has been copied when the right goes */
TEST_F(rights, p11_a_receiver_is_asked_again_before_the_message_is_its_own)
{
	struct kt_stall *stall = kt_stall_new(0);
	struct receive r = { .dev = self->dev, .op = kt_recv_op(stall->page - 3, 8192, NULL) };
	struct kt_job *job;
	char buf[8192];

	ASSERT_EQ(0, kt_chmod(self->fd, 0, 0606));
	ASSERT_EQ(0, kipc_send(self->fd, "secret", 6, 0));
	r.op.payload.len = 100;
	r.op.flags = KIPC_ANYSIZE;
	r.op.endpoint = self->id;
	job = kt_start(KT_THREAD, receive_as_b, &r);
	ASSERT_TRUE(kt_stalled(stall));
	ASSERT_EQ(0, kt_chmod(self->fd, 0, 0600));
	kt_release(stall);
	EXPECT_EQ(-EACCES, kt_join(job));
	EXPECT_EQ(6, kipc_recv(self->fd, buf, sizeof(buf), NULL, 0));
	EXPECT_EQ(0, memcmp(buf, "secret", 6));
	EXPECT_TRUE(kt_quiet(self->fd));
}

TEST_F(rights, p11_a_sender_is_asked_again_after_its_sleep)
{
	const struct kipc_attr attr = { .max_size = 16, .max_msgs = 1 };
	struct kipc_op_send op = kt_send_op("forged", 6);
	struct kt_job *job;
	char buf[16];
	int fd;

	fd = kt_private_mode(self->dev, 0, 0606, &attr);
	ASSERT_EQ(0, kipc_send(fd, "one", 3, 0));
	op.endpoint = kt_id(fd);
	job = kt_start_ioctl(KT_AS(B), self->dev, KIPC_IOC_SEND, &op);
	ASSERT_TRUE(kt_asleep(job));
	ASSERT_EQ(0, kt_chmod(fd, 0, 0604));
	EXPECT_EQ(3, kipc_recv(fd, buf, sizeof(buf), NULL, 0));
	EXPECT_EQ(-EACCES, kt_join(job));
	EXPECT_EQ(-EAGAIN, kipc_recv(fd, buf, sizeof(buf), NULL, 0));
	EXPECT_TRUE(kt_quiet(fd));
}

static long walk_finds(int dev, uint32_t id)
{
	uint32_t at = 0;

	while (!kt_next(dev, &at)) {
		if (at == id)
			return 1;
	}
	return 0;
}

static long proc_lists(uint32_t id)
{
	static char text[65536];
	char *p;

	if (kt_read_file("/proc/net/kipc", text, sizeof(text)) <= 0)
		return -1;
	/* the id is the first word, whatever it is padded with */
	for (p = text; (p = strchr(p, '\n')) && p[1]; p++) {
		if (strtoul(p + 1, NULL, 10) == id)
			return 1;
	}
	return 0;
}

TEST_F(rights, p11_only_what_one_may_see_is_listed)
{
	for (int others = 0; others < 2; others++) {
		ASSERT_EQ(0, kt_chmod(self->fd, 0, others ? 0602 : 0600));
		EXPECT_EQ(others, kt_do_as(B, walk_finds(self->dev, self->id)));
		EXPECT_EQ(others, kt_do_as(B, proc_lists(self->id)));
		EXPECT_EQ(1, kt_do_as(A, walk_finds(self->dev, self->id)));
		EXPECT_EQ(1, kt_do_as(A, proc_lists(self->id)));
		EXPECT_EQ(1, walk_finds(self->dev, self->id));
		EXPECT_EQ(1, proc_lists(self->id));
	}
}

TEST_F(rights, p11_proc_says_what_stat_says)
{
	struct kipc_endpoint info;
	char text[16384], name[256] = "", *line;
	unsigned int id, mode, uid, gid, cuid, cgid, handles, msgs, bytes;
	int n, fd = (int)kt_openl(self->dev, .flags = KIPC_OPEN_CREATE, .rights = KT_ALL_RIGHTS,
			       .mode = 0640, KT_NAME("rights-proc"));

	ASSERT_GE(fd, 0);
	ASSERT_EQ(0, kipc_send(fd, "12345", 5, 0));
	info = kt_stat(fd);
	ASSERT_GT(kt_read_file("/proc/net/kipc", text, sizeof(text)), 0);
	line = strstr(text, "rights-proc");
	ASSERT_NE(NULL, line);
	while (line > text && line[-1] != '\n')
		line--;
	/* id key mode uid gid cuid cgid flags receivers handles waiters msgs bytes ... name */
	n = sscanf(line, "%u %*s %o %u %u %u %u %*s %*s %u %*s %u %u %*s %*s %*s %*s %*s %255s",
		   &id, &mode, &uid, &gid, &cuid, &cgid, &handles, &msgs, &bytes, name);
	ASSERT_EQ(10, n);
	EXPECT_EQ(info.id, id);
	EXPECT_EQ(0640, mode);
	EXPECT_EQ(info.uid, uid);
	EXPECT_EQ(info.gid, gid);
	EXPECT_EQ(info.cuid, cuid);
	EXPECT_EQ(info.cgid, cgid);
	EXPECT_EQ(1, handles);
	EXPECT_EQ(1, msgs);
	EXPECT_EQ(5, bytes);
	EXPECT_STREQ("rights-proc", name);
	close(fd);
}

/* The table is read in pieces, and endpoints come and go between them */
TEST_F(rights, p11_proc_lists_each_endpoint_once)
{
	static unsigned char seen[300];
	static char text[1 << 20];
	uint32_t ids[ARRAY_SIZE(seen)];
	char *p = text, *end = text;
	int fd, fds[ARRAY_SIZE(seen)];
	ssize_t n;

	for (unsigned int i = 0; i < ARRAY_SIZE(seen); i++) {
		fds[i] = kt_private(self->dev, 0, NULL);
		ids[i] = kt_id(fds[i]);
	}
	fd = open("/proc/net/kipc", O_RDONLY);
	ASSERT_GE(fd, 0);
	while ((n = read(fd, end, 700)) > 0) {
		end += n;
		close(kt_private(self->dev, 0, NULL));
	}
	EXPECT_EQ(0, n);
	close(fd);
	for (; (p = strchr(p, '\n')) && p[1]; p++) {
		for (unsigned int i = 0; i < ARRAY_SIZE(seen); i++)
			seen[i] += strtoul(p + 1, NULL, 10) == ids[i];
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(seen); i++) {
		EXPECT_EQ(1, seen[i]);
		close(fds[i]);
	}
}

/* A name is any bytes: it must not forge a line of the table */
TEST_F(rights, p11_a_name_forges_no_line_in_proc)
{
	char text[16384];
	int fd = (int)kt_openl(self->dev, .flags = KIPC_OPEN_CREATE, .rights = KT_ALL_RIGHTS,
			       KT_NAME("x\n4711 0 forged"));

	ASSERT_GE(fd, 0);
	ASSERT_GT(kt_read_file("/proc/net/kipc", text, sizeof(text)), 0);
	EXPECT_EQ(NULL, strstr(text, "\n4711 "));
	EXPECT_EQ(0, proc_lists(4711));
	close(fd);
}

TEST_F(rights, p11_senders_are_who_they_are_when_they_send)
{
	struct kipc_result result;
	char buf[16];

	EXPECT_EQ(0, kt_do_as(B, kt_send(self->fd, 0, 1, 0, "x", 1)));
	EXPECT_EQ(1, kt_recv(self->fd, 0, 0, 0, buf, sizeof(buf), &result));
	EXPECT_EQ(B, result.uid);
	EXPECT_EQ(B, result.gid);
	EXPECT_EQ(getpid(), result.pid);
}

struct seen {
	int fd;
	struct kipc_result result;
	pid_t pid;
	struct kipc_endpoint info;
};

static long receive_and_tell(void *arg)
{
	struct seen *seen = arg;
	char buf[16];

	seen->pid = getpid();
	return kt_recv(seen->fd, 0, 0, 0, buf, sizeof(buf), &seen->result);
}

static long stat_and_tell(void *arg)
{
	struct seen *seen = arg;

	return kt_stat_id(seen->fd, 0, &seen->info);
}

TEST_F(rights, p11_credentials_in_another_user_namespace)
{
	const struct kt_how how = {
		.ns = CLONE_NEWUSER,
		.uid_map = "0 0 1\n7 20002 1",
		.gid_map = "0 0 1\n8 20002 1",
	};
	struct seen *seen = kt_new(struct seen);

	seen->fd = self->fd;
	ASSERT_EQ(0, kt_do_as(B, kt_send(self->fd, 0, 1, 0, "x", 1)));
	EXPECT_EQ(1, kt_run(&how, receive_and_tell, seen));
	EXPECT_EQ(7, seen->result.uid);
	EXPECT_EQ(8, seen->result.gid);
	EXPECT_EQ(getpid(), seen->result.pid);
	ASSERT_EQ(0, kt_do_as(C, kt_send(self->fd, 0, 1, 0, "x", 1)));
	EXPECT_EQ(1, kt_run(&how, receive_and_tell, seen));
	EXPECT_EQ(KIPC_ID_UNMAPPED, seen->result.uid);
	EXPECT_EQ(KIPC_ID_UNMAPPED, seen->result.gid);

	/* of endpoints as well */
	EXPECT_EQ(0, kt_run(&how, stat_and_tell, seen));
	EXPECT_EQ(KIPC_ID_UNMAPPED, seen->info.uid);
	EXPECT_EQ(KIPC_ID_UNMAPPED, seen->info.cgid);
	ASSERT_EQ(0, set_ids(self->fd, B, B));
	EXPECT_EQ(0, kt_run(&how, stat_and_tell, seen));
	EXPECT_EQ(7, seen->info.uid);
	EXPECT_EQ(8, seen->info.gid);
}

TEST_F(rights, p11_pids_in_another_pid_namespace)
{
	const struct kt_how how = { .ns = CLONE_NEWPID };
	struct seen *seen = kt_new(struct seen);

	seen->fd = self->fd;
	/* the outer sender is not to be seen inside */
	ASSERT_EQ(0, kipc_send(self->fd, "x", 1, 0));
	EXPECT_EQ(1, kt_run(&how, receive_and_tell, seen));
	EXPECT_EQ(1, seen->pid);
	EXPECT_EQ(0, seen->result.pid);
}

static long send_inside(void *arg)
{
	return kipc_send(*(int *)arg, "x", 1, 0);
}

TEST_F(rights, p11_pids_from_an_inner_pid_namespace)
{
	const struct kt_how how = { .ns = CLONE_NEWPID };
	struct kt_job *job = kt_start(&how, send_inside, &self->fd);
	struct kipc_result result;
	char buf[16];

	/* it has ended: its number is still told, and is the outer one */
	ASSERT_EQ(0, kt_join(job));
	EXPECT_EQ(1, kt_recv(self->fd, 0, 0, 0, buf, sizeof(buf), &result));
	EXPECT_TRUE(result.pid == job->pid || result.pid == 0);
	EXPECT_NE(1, result.pid);
}

struct try_in {
	int dev;
	uint32_t id;
	long ret;
	long reserved;
	long unprivileged;
};

static long try_in_child(void *arg)
{
	struct try_in *in = arg;

	in->ret = try_open(in->dev, in->id, KIPC_RIGHT_RECV);
	in->reserved = kt_openl(in->dev, .flags = KIPC_OPEN_CREATE, .rights = KT_ALL_RIGHTS,
				.key = KIPC_KEY_RESERVED | 77);
	return 0;
}

/* Root of a child user namespace has CAP_IPC_OWNER there, but not over this namespace */
TEST_F(rights, p11_capabilities_of_a_child_user_namespace_do_not_count)
{
	const struct kt_how how = { .ns = CLONE_NEWUSER, .outer_uid = B, .outer_gid = B };
	struct try_in *in = kt_new(struct try_in);

	ASSERT_EQ(0, kt_chmod(self->fd, 0, 0600));
	in->dev = self->dev;
	in->id = self->id;
	EXPECT_EQ(0, kt_run(&how, try_in_child, in));
	EXPECT_EQ(-EACCES, in->ret);
	EXPECT_EQ(-EPERM, in->reserved);
}

/* ... but it does over the network namespace that it owns */
static long own_namespace(void *arg)
{
	struct try_in *in = arg;
	int dev = kt_device();
	long fd;

	kt_need(syscall(SYS_setresuid, -1, 1, -1) == 0);
	fd = kt_openl(dev, .flags = KIPC_OPEN_CREATE, .rights = KT_ALL_RIGHTS);
	kt_need(fd >= 0);
	in->unprivileged = kt_openl(dev, .flags = KIPC_OPEN_CREATE, .rights = KT_ALL_RIGHTS,
				    .key = KIPC_KEY_RESERVED | 76);
	kt_need(syscall(SYS_setresuid, -1, 0, -1) == 0);
	in->dev = dev;
	in->id = kt_id((int)fd);
	return try_in_child(in);
}

TEST_F(rights, p11_capabilities_count_in_the_namespace_one_owns)
{
	const struct kt_how how = {
		.ns = CLONE_NEWUSER | CLONE_NEWNET,
		.uid_map = "0 0 1\n1 20001 1",
	};
	struct try_in *in = kt_new(struct try_in);

	EXPECT_EQ(0, kt_run(&how, own_namespace, in));
	EXPECT_EQ(0, in->ret);
	EXPECT_GE(in->reserved, 0);
	EXPECT_EQ(-EPERM, in->unprivileged);
}

TEST_F(rights, p11_root_without_capabilities_is_nobody_special)
{
	const struct kt_how how = { .drop_caps = true };
	struct try_in *in = kt_new(struct try_in);

	ASSERT_EQ(0, kt_chmod(self->fd, 0, 0600));
	in->dev = self->dev;
	in->id = self->id;
	EXPECT_EQ(0, kt_run(&how, try_in_child, in));
	EXPECT_EQ(-EACCES, in->ret);
	EXPECT_EQ(-EPERM, in->reserved);
}

/* The gid for access to files is not the one that counts */
TEST_F(rights, p11_the_effective_gid_counts)
{
	ASSERT_EQ(0, set_ids(self->fd, A, 0));
	ASSERT_EQ(0, kt_chmod(self->fd, 0, 0620));
	EXPECT_EQ(-EACCES, kt_do_as(B, kt_send(self->dev, self->id, 1, 0, "x", 1)));
	/* its real gid is still 0 */
	EXPECT_EQ(-EACCES, kt_do_as(B, (setfsgid(0),
					kt_send(self->dev, self->id, 1, 0, "x", 1))));
}

/* Nor can one get the trust that clients have in its creator by a name of one's own */
TEST_F(rights, p11_only_the_creator_gives_a_name)
{
	struct kipc_op_stat name = { .what = KIPC_SET_NAME, .info.name = "db" };
	struct kipc_op_stat key = { .what = KIPC_SET_KEY, .info.key = 0x4711 };
	struct kipc_op_stat clear = { .what = KIPC_SET_KEY | KIPC_SET_NAME };
	int control;

	ASSERT_EQ(0, set_ids(self->fd, B, B));
	name.endpoint = self->id;
	key.endpoint = self->id;
	clear.endpoint = self->id;
	EXPECT_EQ(-EPERM, kt_do_as(B, kt_op_set(self->dev, &name)));
	EXPECT_EQ(-EPERM, kt_do_as(B, kt_op_set(self->dev, &key)));
	/* by a handle too, which A has passed on */
	name.endpoint = 0;
	EXPECT_EQ(-EPERM, kt_do_as(B, kt_op_set(self->fd, &name)));
	EXPECT_EQ(0, kt_do_as(A, kt_op_set(self->fd, &name)));
	key.endpoint = 0;
	EXPECT_EQ(0, kt_op_set(self->fd, &key));
	EXPECT_EQ(0, kt_do_as(B, kt_op_set(self->dev, &clear)));
	control = (int)kt_do_as(A, kt_openl(self->dev, KT_NAME("db"), .rights = KIPC_RIGHT_SEND));
	EXPECT_EQ(-ENOENT, control);
}

/* The file shows what its opener may see, not what its reader may */
static long count_lines(void *arg)
{
	FILE *file = fdopen(*(int *)arg, "r");
	char line[512];
	long lines = 0;

	kt_need(file);
	while (fgets(line, sizeof(line), file))
		lines++;
	return lines;
}

TEST_F(rights, p11_proc_shows_what_its_opener_may_see)
{
	int root, other;

	root = open("/proc/net/kipc", O_RDONLY);
	other = (int)kt_do_as(B, open("/proc/net/kipc", O_RDONLY));
	ASSERT_LE(0, root);
	ASSERT_LE(0, other);
	EXPECT_EQ(1, kt_run(KT_FORK, count_lines, &other));
	EXPECT_EQ(2, kt_run(KT_AS(B), count_lines, &root));
	close(root);
	close(other);
}

TEST_HARNESS_MAIN
