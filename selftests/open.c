// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Finding and making endpoints, how long they live, and where they are seen.
 */
#include <linux/capability.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "common.h"
#include "harness.h"

#define A KT_UID_A
#define B KT_UID_B

#define NAME "open-test"
#define KEY 0x6b697063

FIXTURE(open) {
	int dev;
	char buf[8192];
};

FIXTURE_SETUP(open)
{
	self->dev = kt_device();
	kt_catch(SIGUSR1, 0);
}

FIXTURE_TEARDOWN(open)
{
	close(self->dev);
	kt_restore_params();
}

static long create_name(int dev, const char *name)
{
	return kt_openl(dev, .flags = KIPC_OPEN_CREATE | KIPC_OPEN_EXCL, .rights = KT_ALL_RIGHTS,
			.mode = 0666, KT_NAME(name));
}

static long find_name(int dev, const char *name)
{
	return kt_openl(dev, .flags = KIPC_OPEN_ANY_OWNER, .rights = KIPC_RIGHT_SEND,
			KT_NAME(name));
}

static long find_key(int dev, uint64_t key)
{
	return kt_openl(dev, .flags = KIPC_OPEN_ANY_OWNER, .rights = KIPC_RIGHT_SEND, .key = key);
}

/* Are these handles of one endpoint? */
static bool same(long one, long other)
{
	return one >= 0 && other >= 0 && kt_id((int)one) == kt_id((int)other);
}

static long close_all(long fd)
{
	return fd >= 0 ? close((int)fd) : fd;
}

TEST_F(open, find_by_key_name_and_id)
{
	struct kipc_op_open op = {
		.flags = KIPC_OPEN_CREATE, .rights = KT_ALL_RIGHTS, .mode = 0640, .key = KEY,
	};
	struct kipc_endpoint info;
	long fd, again;

	EXPECT_EQ(-ENOENT, find_key(self->dev, KEY));
	fd = kt_open(self->dev, &op);
	ASSERT_GE(fd, 0);
	EXPECT_EQ(1, op.created);
	info = kt_stat((int)fd);
	EXPECT_EQ(op.id, info.id);
	EXPECT_EQ(KEY, info.key);
	EXPECT_EQ(0640, info.mode);
	EXPECT_STREQ("", info.name);
	again = find_key(self->dev, KEY);
	EXPECT_TRUE(same(fd, again));
	close_all(again);

	/* what it wrote there does not matter */
	op.id = 0;
	op.created = 4711;
	op.mode = 0777;
	op.attr.max_size = 1;
	again = kt_open(self->dev, &op);
	EXPECT_TRUE(same(fd, again));
	EXPECT_EQ(0, op.created);
	EXPECT_EQ(info.id, op.id);
	/* what shapes a new one is ignored */
	EXPECT_EQ(0640, kt_stat((int)fd).mode);
	EXPECT_EQ(8192, kt_stat((int)fd).attr.max_size);
	close_all(again);
	again = kt_again(self->dev, info.id, KIPC_RIGHT_SEND);
	EXPECT_TRUE(same(fd, again));
	close_all(again);
	close_all(fd);

	EXPECT_EQ(-ENOENT, find_name(self->dev, NAME));
	fd = create_name(self->dev, NAME);
	ASSERT_GE(fd, 0);
	EXPECT_STREQ(NAME, kt_stat((int)fd).name);
	EXPECT_EQ(0, kt_stat((int)fd).key);
	again = find_name(self->dev, NAME);
	EXPECT_TRUE(same(fd, again));
	close_all(again);
	EXPECT_EQ(-EEXIST, create_name(self->dev, NAME));
	close_all(fd);
}

TEST_F(open, by_the_library)
{
	int fd = kipc_create(NAME, 0, 0600, NULL), other;
	char id[32];

	ASSERT_GE(fd, 0);
	other = kipc_open(NAME, KIPC_RIGHT_SEND, 0);
	EXPECT_TRUE(same(fd, other));
	close(other);
	snprintf(id, sizeof(id), "id:%u", kt_id(fd));
	other = kipc_open(id, KIPC_RIGHT_SEND, 0);
	EXPECT_TRUE(same(fd, other));
	close(other);
	close(fd);
	EXPECT_EQ(-ENOENT, kipc_open(NAME, KIPC_RIGHT_SEND, 0));

	fd = kipc_create("key:4711", KIPC_OPEN_EXCL, 0600, NULL);
	ASSERT_GE(fd, 0);
	EXPECT_EQ(4711, kt_stat(fd).key);
	other = kipc_open("key:0x1267", KIPC_RIGHT_RECV, 0);
	EXPECT_TRUE(same(fd, other));
	close(other);
	EXPECT_EQ(-EEXIST, kipc_create("key:4711", KIPC_OPEN_EXCL, 0600, NULL));
	close(fd);

	fd = kipc_create(NULL, 0, 0600, NULL);
	ASSERT_GE(fd, 0);
	EXPECT_EQ(0, kt_stat(fd).key);
	EXPECT_STREQ("", kt_stat(fd).name);
	close(fd);
}

TEST_F(open, private_ones_are_found_by_id_only)
{
	int one = kt_private(self->dev, 0, NULL), other = kt_private(self->dev, 0, NULL);

	EXPECT_NE(kt_id(one), kt_id(other));
	EXPECT_EQ(0, kipc_send(one, "x", 1, 0));
	EXPECT_EQ(0, kt_stat(other).msgs);
	close(one);
	close(other);
}

TEST_F(open, names_are_bytes)
{
	static const char * const names[] = { "n", "n ", "N", "nn", "\xff\xfe", "a\nb", " " };
	char longest[256];
	long fd[ARRAY_SIZE(names)], found;

	for (unsigned int i = 0; i < ARRAY_SIZE(names); i++) {
		fd[i] = create_name(self->dev, names[i]);
		ASSERT_GE(fd[i], 0);
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(names); i++) {
		found = find_name(self->dev, names[i]);
		EXPECT_TRUE(same(fd[i], found));
		close_all(found);
		close_all(fd[i]);
	}
	memset(longest, 'l', 255);
	longest[255] = 0;
	fd[0] = create_name(self->dev, longest);
	ASSERT_GE(fd[0], 0);
	EXPECT_STREQ(longest, kt_stat((int)fd[0]).name);
	longest[254] = 0;
	EXPECT_EQ(-ENOENT, find_name(self->dev, longest));
	close_all(fd[0]);
}

TEST_F(open, flags_are_kept)
{
	static const struct {
		uint32_t open, endpoint;
	} flags[] = {
		{ KIPC_OPEN_KEEP_BY_ANY, KIPC_ENDPOINT_KEEP_BY_ANY },
		{ KIPC_OPEN_RENDEZVOUS, KIPC_ENDPOINT_RENDEZVOUS },
		{ KIPC_OPEN_ONEWAY, KIPC_ENDPOINT_ONEWAY },
		{ KIPC_OPEN_PERSIST, KIPC_ENDPOINT_PERSIST },
		{ KIPC_OPEN_FIRST_COME, KIPC_ENDPOINT_FIRST_COME },
		{ KIPC_OPEN_NONBLOCK | KIPC_OPEN_ANY_OWNER, 0 },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(flags); i++) {
		int fd = kt_private(self->dev, flags[i].open, NULL);

		EXPECT_EQ(flags[i].endpoint, kt_stat(fd).flags);
		EXPECT_EQ(FD_CLOEXEC, fcntl(fd, F_GETFD));
		EXPECT_EQ(flags[i].open & KIPC_OPEN_NONBLOCK ? O_NONBLOCK : 0,
			  fcntl(fd, F_GETFL) & O_NONBLOCK);
		EXPECT_EQ(0, kipc_remove(fd, 0));
		close(fd);
	}
}

TEST_F(open, oneway_endpoints_take_no_calls)
{
	int fd = kt_private(self->dev, KIPC_OPEN_ONEWAY, NULL);
	uint64_t token = 0;
	struct kipc_msg msg = { .cookie = 1 };

	EXPECT_EQ(-EOPNOTSUPP, kipc_rpc(fd, "x", 1, self->buf, 10, -1));
	EXPECT_EQ(-EOPNOTSUPP, kipc_rpc_start(fd, &msg, 10, &token, -1));
	EXPECT_TRUE(kt_quiet(fd));
	EXPECT_EQ(0, kipc_send(fd, "x", 1, 0));
	EXPECT_EQ(1, kipc_recv(fd, self->buf, sizeof(self->buf), NULL, 0));
	close(fd);
}

static struct kt_job *wait_for(const struct kt_how *how, int dev, const char *name, uint64_t key,
			       uint32_t flags)
{
	struct kipc_op_open *op = kt_new(struct kipc_op_open);
	struct kt_job *job;

	op->flags = KIPC_OPEN_WAIT | KIPC_OPEN_ANY_OWNER | flags;
	op->rights = KIPC_RIGHT_SEND;
	op->name = kt_ptr(name);
	op->name_len = name ? (uint32_t)strlen(name) : 0;
	op->key = key;
	op->deadline = KIPC_FOREVER;
	job = kt_start_ioctl(how, dev, KIPC_IOC_OPEN, op);
	kt_need(kt_asleep(job));
	return job;
}

static unsigned long switches(struct kt_job *job)
{
	char path[64], text[4096], *p;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/status", job->pid, job->tid);
	kt_need(kt_read_file(path, text, sizeof(text)) > 0);
	p = strstr(text, "\nvoluntary_ctxt_switches:");
	kt_need(p);
	return strtoul(p + strlen("\nvoluntary_ctxt_switches:"), NULL, 10);
}

TEST_F(open, waits_until_it_appears)
{
	struct kt_job *by_name[3], *by_key, *other;
	unsigned long before;
	long fd, found;

	for (unsigned int i = 0; i < ARRAY_SIZE(by_name); i++)
		by_name[i] = wait_for(KT_THREAD, self->dev, NAME, 0, 0);
	by_key = wait_for(KT_THREAD, self->dev, NULL, KEY, 0);
	other = wait_for(KT_THREAD, self->dev, NAME "2", 0, 0);
	before = switches(other);

	/* others are made: nobody is disturbed */
	for (int i = 0; i < 100; i++) {
		char name[32];

		snprintf(name, sizeof(name), "other-%d", i);
		fd = create_name(self->dev, name);
		ASSERT_GE(fd, 0);
		close_all(fd);
	}
	EXPECT_TRUE(kt_asleep(by_name[0]));
	EXPECT_EQ(before, switches(other));

	fd = create_name(self->dev, NAME);
	for (unsigned int i = 0; i < ARRAY_SIZE(by_name); i++) {
		found = kt_join(by_name[i]);
		EXPECT_TRUE(same(fd, found));
		close_all(found);
	}
	EXPECT_TRUE(kt_asleep(by_key));
	EXPECT_EQ(before, switches(other));
	close_all(fd);

	fd = kt_openl(self->dev, .flags = KIPC_OPEN_CREATE, .rights = KT_ALL_RIGHTS, .key = KEY);
	found = kt_join(by_key);
	EXPECT_TRUE(same(fd, found));
	close_all(found);
	close_all(fd);
}

TEST_F(open, waits_for_what_is_renamed_to_it)
{
	struct kt_job *by_name = wait_for(KT_THREAD, self->dev, NAME, 0, 0);
	struct kt_job *by_key = wait_for(KT_THREAD, self->dev, NULL, KEY, 0);
	struct kipc_endpoint info = { .key = KEY, .name = NAME };
	int fd = kt_private(self->dev, 0, NULL);
	long found;

	EXPECT_EQ(0, kipc_set(fd, 0, KIPC_SET_NAME | KIPC_SET_KEY, &info));
	found = kt_join(by_name);
	EXPECT_TRUE(same(fd, found));
	close_all(found);
	found = kt_join(by_key);
	EXPECT_TRUE(same(fd, found));
	close_all(found);
	close(fd);
}

TEST_F(open, waiting_ends_by_a_signal)
{
	struct kt_job *job = wait_for(KT_THREAD, self->dev, NAME, 0, 0);
	long fd;

	ASSERT_TRUE(kt_signal(job, SIGUSR1));
	EXPECT_EQ(-EINTR, kt_join(job));

	/* with SA_RESTART it goes on, unless told not to */
	kt_catch(SIGUSR2, SA_RESTART);
	kt_caught = 0;
	job = wait_for(KT_THREAD, self->dev, NAME, 0, KIPC_OPEN_NORESTART);
	ASSERT_TRUE(kt_signal(job, SIGUSR2));
	EXPECT_EQ(-EINTR, kt_join(job));
	job = wait_for(KT_THREAD, self->dev, NAME, 0, 0);
	ASSERT_TRUE(kt_signal(job, SIGUSR2));
	ASSERT_TRUE(kt_until(kt_caught == 2));
	ASSERT_TRUE(kt_asleep(job));
	fd = create_name(self->dev, NAME);
	EXPECT_TRUE(same(fd, kt_join(job)));
	close_all(job->result);

	job = wait_for(KT_FORK, self->dev, "somebody else", 0, 0);
	EXPECT_EQ(KT_DIED - SIGKILL, kt_kill(job));
	close_all(fd);
}

TEST_F(open, waiting_for_what_one_may_not_have)
{
	struct kt_job *job = wait_for(KT_AS(B), self->dev, NAME, 0, 0);
	long fd = kt_openl(self->dev, .flags = KIPC_OPEN_CREATE, .rights = KT_ALL_RIGHTS,
			   .mode = 0600, KT_NAME(NAME));

	EXPECT_EQ(-EACCES, kt_join(job));
	close_all(fd);
}

static long find_as(int dev, uid_t uid, uint32_t flags, uid_t expect)
{
	long fd = kt_do_as(uid, kt_openl(dev, .flags = flags, .rights = KIPC_RIGHT_SEND,
					 .expect_uid = expect, KT_NAME(NAME)));

	return fd < 0 ? fd : close((int)fd);
}

TEST_F(open, impostors_are_refused)
{
	struct kipc_endpoint info = { .uid = B };
	long fd;

	/* B pretends to be the server that A knows */
	fd = kt_do_as(B, create_name(self->dev, NAME));
	ASSERT_GE(fd, 0);
	EXPECT_EQ(-EPERM, find_as(self->dev, A, 0, 0));
	EXPECT_EQ(-EPERM, find_as(self->dev, 0, 0, 0));
	EXPECT_EQ(-EPERM, find_as(self->dev, A, KIPC_OPEN_CREATE | KIPC_OPEN_KEEP_BY_ANY, 0));
	EXPECT_EQ(0, find_as(self->dev, B, 0, 0));
	EXPECT_EQ(0, find_as(self->dev, A, KIPC_OPEN_ANY_OWNER, 0));
	EXPECT_EQ(0, find_as(self->dev, A, KIPC_OPEN_EXPECT_UID, B));
	EXPECT_EQ(-EPERM, find_as(self->dev, A, KIPC_OPEN_EXPECT_UID, A));
	EXPECT_EQ(-EPERM, find_as(self->dev, B, KIPC_OPEN_EXPECT_UID, A));
	EXPECT_EQ(-EPERM, find_as(self->dev, A, KIPC_OPEN_EXPECT_UID, 0));
	EXPECT_EQ(-EPERM, find_as(self->dev, A, KIPC_OPEN_EXPECT_UID, ~0U));
	EXPECT_EQ(1, kt_stat((int)fd).handles);

	/* the creator counts, not the owner, who can be anybody */
	info.uid = A;
	EXPECT_EQ(0, kipc_set((int)fd, 0, KIPC_SET_UID, &info));
	EXPECT_EQ(-EPERM, find_as(self->dev, A, 0, 0));
	close_all(fd);

	/* root is trusted, whoever owns it now */
	fd = create_name(self->dev, NAME);
	info.uid = B;
	EXPECT_EQ(0, kipc_set((int)fd, 0, KIPC_SET_UID, &info));
	EXPECT_EQ(0, find_as(self->dev, A, 0, 0));
	EXPECT_EQ(-EPERM, find_as(self->dev, A, KIPC_OPEN_EXPECT_UID, B));
	EXPECT_EQ(0, find_as(self->dev, A, KIPC_OPEN_EXPECT_UID, 0));
	close_all(fd);
}

struct trusted {
	long made, found, other;
};

/* Inside: 0 is A, 1 is B, and this begins as 2, who is the outer root */
static long trust_inside(void *arg)
{
	struct trusted *t = arg;
	int dev = kt_device();

	kt_need(syscall(SYS_setresuid, -1, 0, -1) == 0);
	t->made = create_name(dev, NAME);
	kt_need(syscall(SYS_setresuid, -1, 1, -1) == 0);
	t->found = kt_openl(dev, .rights = KIPC_RIGHT_SEND, KT_NAME(NAME));
	t->other = create_name(dev, NAME "2");
	kt_need(syscall(SYS_setresuid, -1, 2, -1) == 0);
	return kt_openl(dev, .rights = KIPC_RIGHT_SEND, KT_NAME(NAME "2"));
}

/* Whoever owns the namespace is trusted like root in it; nobody else */
TEST_F(open, impostors_in_a_namespace_of_ones_own)
{
	const struct kt_how how = {
		.ns = CLONE_NEWUSER | CLONE_NEWNET,
		.uid_map = "0 20001 1\n1 20002 1\n2 0 1",
		.gid_map = "2 0 1",
		.uid = 2,
		.gid = 2,
	};
	struct trusted *t = kt_new(struct trusted);

	EXPECT_EQ(-EPERM, kt_run(&how, trust_inside, t));
	EXPECT_GE(t->made, 0);
	EXPECT_GE(t->found, 0);
	EXPECT_GE(t->other, 0);
}

TEST_F(open, reserved_keys_and_names)
{
	static const uint64_t keys[] = { KIPC_KEY_RESERVED, KIPC_KEY_RESERVED | 1, ~0ULL };
	static const char * const reserved[] = { "sys.", "sys.x" };
	static const char * const free_names[] = { "sys", "Sys.x", "xsys.", "sys-x" };
	struct kipc_endpoint info;
	long fd, mine;

	for (unsigned int i = 0; i < ARRAY_SIZE(keys); i++) {
		EXPECT_EQ(-EPERM, kt_do_as(A, kt_openl(self->dev, .flags = KIPC_OPEN_CREATE,
						       .rights = KT_ALL_RIGHTS, .key = keys[i])));
		fd = kt_openl(self->dev, .flags = KIPC_OPEN_CREATE, .rights = KT_ALL_RIGHTS,
			      .key = keys[i], .mode = 0666);
		EXPECT_GE(fd, 0);
		/* to use it is no privilege */
		mine = kt_do_as(A, find_key(self->dev, keys[i]));
		EXPECT_GE(mine, 0);
		close_all(mine);
		close_all(fd);
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(reserved); i++) {
		EXPECT_EQ(-EPERM, kt_do_as(A, create_name(self->dev, reserved[i])));
		EXPECT_EQ(-ENOENT, find_name(self->dev, reserved[i]));
		fd = create_name(self->dev, reserved[i]);
		EXPECT_GE(fd, 0);
		close_all(fd);
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(free_names); i++) {
		fd = kt_do_as(A, create_name(self->dev, free_names[i]));
		EXPECT_GE(fd, 0);
		close_all(fd);
	}

	mine = kt_do_as(A, create_name(self->dev, NAME));
	ASSERT_GE(mine, 0);
	memset(&info, 0, sizeof(info));
	strcpy(info.name, "sys.mine");
	info.key = KIPC_KEY_RESERVED | 5;
	EXPECT_EQ(-EPERM, kt_do_as(A, kipc_set((int)mine, 0, KIPC_SET_NAME, &info)));
	EXPECT_EQ(-EPERM, kt_do_as(A, kipc_set((int)mine, 0, KIPC_SET_KEY, &info)));
	EXPECT_STREQ(NAME, kt_stat((int)mine).name);
	EXPECT_EQ(0, kt_stat((int)mine).key);
	close_all(mine);
}

TEST_F(open, dies_with_its_last_receiver)
{
	int recv = kt_private(self->dev, 0, NULL), recv2, send, copy = dup(recv);
	uint32_t id = kt_id(recv);
	struct kipc_op_rpc op;
	struct kt_job *job;

	send = kt_again(self->dev, id, KIPC_RIGHT_SEND);
	recv2 = kt_again(self->dev, id, KIPC_RIGHT_RECV);
	ASSERT_GE(send, 0);
	ASSERT_GE(recv2, 0);
	EXPECT_EQ(3, kt_stat(send).handles);
	EXPECT_EQ(2, kt_stat(send).receivers);
	op = kt_rpc_op("?", 1, self->buf, 16, NULL);
	job = kt_start_ioctl(KT_THREAD, send, KIPC_IOC_RPC, &op);
	ASSERT_TRUE(kt_asleep(job));

	close(recv);
	EXPECT_EQ(2, kt_stat(send).receivers);
	close(copy);
	EXPECT_EQ(1, kt_stat(send).receivers);
	EXPECT_TRUE(kt_asleep(job));
	close(recv2);
	EXPECT_EQ(-EIDRM, kt_join(job));
	EXPECT_EQ(-EIDRM, kipc_send(send, "x", 1, -1));
	EXPECT_LT(kt_again(self->dev, id, KIPC_RIGHT_SEND), 0);
	close(send);
}

TEST_F(open, its_key_and_name_are_free_at_once)
{
	for (int i = 0; i < 100; i++) {
		long fd = create_name(self->dev, NAME);

		ASSERT_GE(fd, 0);
		EXPECT_EQ(0, i % 2 ? kipc_remove((int)fd, 0) : close_all(fd));
		EXPECT_EQ(-ENOENT, find_name(self->dev, NAME));
		if (i % 2)
			close_all(fd);
	}
}

TEST_F(open, kept_by_any_handle)
{
	int fd = kt_private(self->dev, KIPC_OPEN_KEEP_BY_ANY, NULL), send, recv;
	uint32_t id = kt_id(fd);

	send = kt_again(self->dev, id, KIPC_RIGHT_SEND);
	ASSERT_GE(send, 0);
	close(fd);
	EXPECT_EQ(0, kt_stat(send).receivers);
	EXPECT_EQ(0, kipc_send(send, "x", 1, 0));
	recv = kt_again(self->dev, id, KIPC_RIGHT_RECV);
	ASSERT_GE(recv, 0);
	EXPECT_EQ(1, kipc_recv(recv, self->buf, sizeof(self->buf), NULL, 0));
	close(recv);
	EXPECT_EQ(0, kipc_send(send, "x", 1, 0));
	close(send);
	EXPECT_LT(kt_again(self->dev, id, KIPC_RIGHT_RECV), 0);
}

/* Made to be sent to only: something must keep it */
TEST_F(open, kept_without_a_receive_right)
{
	long fd = kt_openl(self->dev, .flags = KIPC_OPEN_CREATE | KIPC_OPEN_KEEP_BY_ANY,
			   .rights = KIPC_RIGHT_SEND);

	ASSERT_GE(fd, 0);
	EXPECT_EQ(0, kipc_send((int)fd, "x", 1, 0));
	EXPECT_EQ(0, kt_stat((int)fd).receivers);
	close_all(fd);
}

TEST_F(open, persists_until_removed)
{
	int fd = kt_private(self->dev, KIPC_OPEN_PERSIST, NULL), send;
	uint32_t id = kt_id(fd);
	struct kipc_endpoint info;
	struct kt_job *job;
	struct kipc_op_rpc op;

	EXPECT_EQ(0, kipc_send(fd, "kept", 4, 0));
	close(fd);
	ASSERT_EQ(0, kipc_stat(self->dev, id, &info));
	EXPECT_EQ(0, info.handles);
	EXPECT_EQ(1, info.msgs);

	/* a call waits for somebody to come */
	send = kt_again(self->dev, id, KIPC_RIGHT_SEND);
	ASSERT_GE(send, 0);
	op = kt_rpc_op("?", 1, self->buf, 16, NULL);
	job = kt_start_ioctl(KT_THREAD, send, KIPC_IOC_RPC, &op);
	ASSERT_TRUE(kt_asleep(job));
	fd = kt_again(self->dev, id, KIPC_RIGHT_RECV);
	ASSERT_GE(fd, 0);
	EXPECT_EQ(4, kipc_recv(fd, self->buf, sizeof(self->buf), NULL, 0));
	close(fd);
	EXPECT_TRUE(kt_asleep(job));

	EXPECT_EQ(0, kipc_remove(self->dev, id));
	EXPECT_EQ(-EIDRM, kt_join(job));
	EXPECT_EQ(-EIDRM, kipc_stat(self->dev, id, &info));
	close(send);
}

/* As a queue of mq_overview(7): PERSIST and KEEP_BY_ANY */
static long create_queue(int dev, const char *name)
{
	return kt_openl(dev, .flags = KIPC_OPEN_CREATE | KIPC_OPEN_EXCL | KIPC_OPEN_PERSIST |
				      KIPC_OPEN_KEEP_BY_ANY,
			.rights = KT_ALL_RIGHTS, .mode = 0600, KT_NAME(name));
}

TEST_F(open, kept_by_its_name)
{
	struct kipc_endpoint none = { .key = 0 }, info;
	long fd = create_queue(self->dev, NAME), other;
	uint32_t id;

	ASSERT_GE(fd, 0);
	id = kt_id((int)fd);
	EXPECT_EQ(0, kipc_send((int)fd, "kept", 4, 0));
	close_all(fd);
	fd = find_name(self->dev, NAME);
	ASSERT_GE(fd, 0);
	EXPECT_EQ(id, kt_id((int)fd));
	EXPECT_EQ(1, kt_stat((int)fd).msgs);

	/* without its name by that handle, whatever its rights */
	EXPECT_EQ(0, kipc_set(self->dev, id, KIPC_SET_NAME, &none));
	EXPECT_EQ(-ENOENT, find_name(self->dev, NAME));
	EXPECT_EQ(0, kipc_stat(self->dev, id, &info));
	other = create_queue(self->dev, NAME);
	ASSERT_GE(other, 0);
	EXPECT_EQ(0, kipc_send((int)fd, "x", 1, 0));
	close_all(fd);
	EXPECT_EQ(-EIDRM, kipc_stat(self->dev, id, &info));

	/* without a handle by the name, until that goes */
	id = kt_id((int)other);
	close_all(other);
	EXPECT_EQ(0, kipc_stat(self->dev, id, &info));
	EXPECT_EQ(0, kipc_set(self->dev, id, KIPC_SET_NAME, &none));
	EXPECT_EQ(-EIDRM, kipc_stat(self->dev, id, &info));
	EXPECT_EQ(-EIDRM, kipc_set(self->dev, id, KIPC_SET_NAME, &none));
	EXPECT_EQ(-ENOENT, find_name(self->dev, NAME));
}

TEST_F(open, kept_by_its_key_when_its_name_goes)
{
	struct kipc_endpoint none = { .key = 0 }, info = { .key = KEY };
	long fd = create_queue(self->dev, NAME);
	uint32_t id;

	ASSERT_GE(fd, 0);
	id = kt_id((int)fd);
	EXPECT_EQ(0, kipc_set((int)fd, 0, KIPC_SET_KEY, &info));
	close_all(fd);
	EXPECT_EQ(0, kipc_set(self->dev, id, KIPC_SET_NAME, &none));
	EXPECT_EQ(0, kipc_stat(self->dev, id, &info));
	/* other changes do not end it, */
	EXPECT_EQ(0, kipc_set(self->dev, id, KIPC_SET_MODE, &none));
	EXPECT_EQ(0, kipc_stat(self->dev, id, &info));
	EXPECT_EQ(0, kipc_set(self->dev, id, KIPC_SET_KEY, &none));
	EXPECT_EQ(-EIDRM, kipc_stat(self->dev, id, &info));
	/* and removal always does */
	fd = create_queue(self->dev, NAME);
	ASSERT_GE(fd, 0);
	EXPECT_EQ(0, kipc_remove((int)fd, 0));
	EXPECT_EQ(-EIDRM, kipc_send((int)fd, "x", 1, 0));
	close_all(fd);
}

/* Of two who clear it one is told so, and nothing else changes */
TEST_F(open, what_is_not_there_is_not_cleared)
{
	struct kipc_endpoint none = { .mode = 0644 }, key = { .key = KEY };
	long fd = create_queue(self->dev, NAME);

	ASSERT_GE(fd, 0);
	EXPECT_EQ(-ENOENT, kipc_set((int)fd, 0, KIPC_SET_KEY, &none));
	EXPECT_EQ(-ENOENT,
		  kipc_set((int)fd, 0, KIPC_SET_KEY | KIPC_SET_NAME | KIPC_SET_MODE, &none));
	EXPECT_EQ(0, close_all(find_name(self->dev, NAME)));
	EXPECT_NE(0644, kt_stat((int)fd).mode);
	EXPECT_EQ(0, kipc_set((int)fd, 0, KIPC_SET_KEY, &key));
	EXPECT_EQ(0, kipc_set((int)fd, 0, KIPC_SET_KEY | KIPC_SET_NAME, &none));
	EXPECT_EQ(-ENOENT, kipc_set((int)fd, 0, KIPC_SET_KEY, &none));
	EXPECT_EQ(-ENOENT, kipc_set((int)fd, 0, KIPC_SET_NAME, &none));
	close_all(fd);
}

/* PERSIST alone has nobody whose end could be waited for */
TEST_F(open, without_a_name_persistent_ones_stay)
{
	struct kipc_endpoint none = { .key = 0 }, info;
	long fd = kt_openl(self->dev, .flags = KIPC_OPEN_CREATE | KIPC_OPEN_PERSIST,
			   .rights = KT_ALL_RIGHTS, KT_NAME(NAME));
	uint32_t id = kt_id((int)fd);

	close_all(fd);
	EXPECT_EQ(0, kipc_set(self->dev, id, KIPC_SET_NAME, &none));
	EXPECT_EQ(0, kipc_stat(self->dev, id, &info));
	EXPECT_EQ(0, kipc_remove(self->dev, id));
}

TEST_F(open, an_id_and_no_handle)
{
	struct kipc_op_open op = {
		.flags = KIPC_OPEN_CREATE | KIPC_OPEN_PERSIST | KIPC_OPEN_ID_ONLY,
		.key = KEY, .mode = 0400,
	};
	unsigned int before = kt_open_fds();
	struct rlimit limit, full;
	struct kipc_endpoint info;
	long fds[2];
	uint32_t id;

	/* what is made must stay */
	op.flags &= ~KIPC_OPEN_PERSIST;
	op.rights = KIPC_RIGHT_RECV;
	EXPECT_EQ(-EINVAL, kt_open(self->dev, &op));
	op.flags |= KIPC_OPEN_KEEP_BY_ANY;
	EXPECT_EQ(-EINVAL, kt_open(self->dev, &op));
	/* by its key or name, if that is to keep it */
	op.flags |= KIPC_OPEN_PERSIST;
	op.key = 0;
	EXPECT_EQ(-EINVAL, kt_open(self->dev, &op));
	op.key = KEY;
	EXPECT_EQ(0, kt_open(self->dev, &op));
	EXPECT_EQ(0, kipc_remove(self->dev, op.id));
	op.id = 0;
	op.flags ^= KIPC_OPEN_KEEP_BY_ANY;
	op.rights = 0;
	EXPECT_EQ(0, kt_do_as(A, kt_open(self->dev, &op)));
	EXPECT_EQ(1, op.created);
	id = op.id;
	ASSERT_EQ(0, kipc_stat(self->dev, id, &info));
	EXPECT_EQ(KEY, info.key);
	EXPECT_EQ(A, info.cuid);
	EXPECT_EQ(0, info.handles);

	/* No right is needed to know it, but those that are asked for */
	op = (struct kipc_op_open){
		.flags = KIPC_OPEN_ID_ONLY | KIPC_OPEN_ANY_OWNER, .key = KEY,
	};
	EXPECT_EQ(0, kt_do_as(B, kt_open(self->dev, &op)));
	EXPECT_EQ(id, op.id);
	EXPECT_EQ(0, op.created);
	op.id = 0;
	op.rights = KIPC_RIGHT_RECV;
	EXPECT_EQ(-EACCES, kt_do_as(B, kt_open(self->dev, &op)));
	EXPECT_EQ(0, kt_do_as(A, kt_open(self->dev, &op)));
	op.id = 0;
	op.rights = KIPC_RIGHT_SEND;
	EXPECT_EQ(-EACCES, kt_do_as(A, kt_open(self->dev, &op)));
	op.flags = KIPC_OPEN_ID_ONLY;
	op.rights = 0;
	EXPECT_EQ(-EPERM, kt_do_as(B, kt_open(self->dev, &op)));
	op.flags |= KIPC_OPEN_CREATE | KIPC_OPEN_EXCL | KIPC_OPEN_PERSIST;
	EXPECT_EQ(-EEXIST, kt_do_as(A, kt_open(self->dev, &op)));
	op.flags = KIPC_OPEN_ID_ONLY;
	op.key++;
	EXPECT_EQ(-ENOENT, kt_open(self->dev, &op));
	/* without the flag a handle needs a right */
	op = (struct kipc_op_open){ .flags = KIPC_OPEN_ANY_OWNER, .key = KEY };
	EXPECT_EQ(-EINVAL, kt_open(self->dev, &op));

	/* it needs no descriptor */
	EXPECT_EQ(before, kt_open_fds());
	kt_need(!getrlimit(RLIMIT_NOFILE, &limit));
	full = (struct rlimit){ .rlim_cur = 0, .rlim_max = limit.rlim_max };
	kt_need(!setrlimit(RLIMIT_NOFILE, &full));
	op = (struct kipc_op_open){ .flags = KIPC_OPEN_ID_ONLY, .id = id };
	op.flags |= KIPC_OPEN_ANY_OWNER;
	EXPECT_EQ(0, kt_open(self->dev, &op));
	kt_need(!setrlimit(RLIMIT_NOFILE, &limit));
	EXPECT_EQ(0, kipc_stat(self->dev, id, &info));
	EXPECT_EQ(0, info.handles);

	/* nor a place among the handles */
	kt_set_param("handles_max", 2);
	for (int i = 0; i < 2; i++) {
		fds[i] = kt_do_as(A, kt_openl(self->dev, .rights = KIPC_RIGHT_RECV, .key = KEY));
		EXPECT_LE(0, fds[i]);
	}
	EXPECT_EQ(-ENOSPC, kt_do_as(A, kt_openl(self->dev, .rights = KIPC_RIGHT_RECV, .key = KEY)));
	EXPECT_EQ(0, kt_open(self->dev, &op));
	EXPECT_EQ(id, op.id);
	for (int i = 0; i < 2; i++)
		close_all(fds[i]);
	EXPECT_EQ(0, kipc_remove(self->dev, id));
	EXPECT_EQ(-EIDRM, kt_open(self->dev, &op));
}

static long send_and_tell(void *arg)
{
	return kipc_send(*(int *)arg, "x", 1, 0);
}

static long receive_one(void *arg)
{
	char buf[8192];

	return kipc_recv(*(int *)arg, buf, sizeof(buf), NULL, 0);
}

static bool lately(int64_t seconds, int64_t since)
{
	return seconds >= since && seconds <= time(NULL);
}

TEST_F(open, what_happened_last)
{
	int fd = kt_private(self->dev, KIPC_OPEN_PERSIST, NULL);
	int short_lived = kt_private(self->dev, 0, NULL);
	struct kt_job *sender, *receiver;
	int64_t begin = time(NULL);
	struct kipc_endpoint info = kt_stat(fd);

	EXPECT_TRUE(lately(info.changed, begin - 1));
	EXPECT_EQ(0, info.sent);
	EXPECT_EQ(0, info.received);
	EXPECT_EQ(0, info.sender);
	EXPECT_EQ(0, info.receiver);

	sender = kt_start(KT_FORK, send_and_tell, &fd);
	ASSERT_EQ(0, kt_join(sender));
	info = kt_stat(fd);
	EXPECT_TRUE(lately(info.sent, begin));
	EXPECT_EQ(sender->pid, info.sender);
	EXPECT_EQ(0, info.received);
	EXPECT_EQ(0, info.receiver);
	/* a look, and a receive that fails, are none */
	EXPECT_EQ(1, kt_recv(fd, 0, KIPC_PEEK, 0, self->buf, 8, NULL));
	EXPECT_EQ(-EFAULT, kt_recv(fd, 0, KIPC_ANYSIZE, 0, kt_hole(), 1, NULL));
	EXPECT_EQ(0, kt_stat(fd).received);
	receiver = kt_start(KT_FORK, receive_one, &fd);
	ASSERT_EQ(1, kt_join(receiver));
	info = kt_stat(fd);
	EXPECT_EQ(sender->pid, info.sender);
	EXPECT_TRUE(lately(info.received, begin));
	EXPECT_EQ(receiver->pid, info.receiver);

	/* one that ends with its processes keeps no such things */
	EXPECT_EQ(0, send_and_tell(&short_lived));
	EXPECT_EQ(1, receive_one(&short_lived));
	info = kt_stat(short_lived);
	EXPECT_TRUE(lately(info.changed, begin - 1));
	EXPECT_EQ(0, info.sent | info.received | info.sender | info.receiver);

	/* a change is told with its time */
	ASSERT_TRUE(kt_until(time(NULL) > begin + 1));
	begin = time(NULL);
	EXPECT_EQ(0, kt_chmod(fd, 0, 0640));
	EXPECT_TRUE(lately(kt_stat(fd).changed, begin));
	EXPECT_EQ(0, kipc_remove(fd, 0));
	close(fd);
	close(short_lived);
}

/* An id that is not there, and one that goes while somebody waits */
TEST_F(open, removed_before_and_removed_meanwhile)
{
	int fd = kt_private(self->dev, 0, NULL);
	struct kipc_op_recv recv = kt_recv_op(self->buf, sizeof(self->buf), NULL);
	struct kipc_op_send send = kt_send_op("x", 1);
	struct kipc_limits limits;
	struct kt_job *job;

	ASSERT_EQ(0, kt_info(self->dev, &limits));
	EXPECT_EQ(1, limits.endpoints);
	recv.endpoint = kt_id(fd);
	send.endpoint = recv.endpoint;
	recv.flags = KIPC_NOENT;
	send.flags = KIPC_NOENT;
	job = kt_start_ioctl(KT_THREAD, self->dev, KIPC_IOC_RECV, &recv);
	ASSERT_TRUE(kt_asleep(job));
	EXPECT_EQ(0, kipc_remove(fd, 0));
	EXPECT_EQ(-EIDRM, kt_join(job));
	EXPECT_EQ(-ENOENT, kt_op_recv(self->dev, &recv));
	EXPECT_EQ(-ENOENT, kt_op_send(self->dev, &send));
	recv.flags = 0;
	send.flags = 0;
	EXPECT_EQ(-EIDRM, kt_op_recv(self->dev, &recv));
	EXPECT_EQ(-EIDRM, kt_op_send(self->dev, &send));
	close(fd);
	ASSERT_EQ(0, kt_info(self->dev, &limits));
	EXPECT_EQ(0, limits.endpoints);
}

/* Who had to wait has sent when there was room for it, or somebody took it */
TEST_F(open, who_waited_has_sent_last)
{
	const struct kipc_attr attr = { .max_msgs = 1 };
	int fd = kt_private(self->dev, KIPC_OPEN_PERSIST, &attr);
	struct kipc_op_send *op = kt_new(struct kipc_op_send);
	struct kt_job *job;

	EXPECT_EQ(0, send_and_tell(&fd));
	*op = kt_send_op("y", 1);
	job = kt_start_ioctl(KT_FORK, fd, KIPC_IOC_SEND, op);
	ASSERT_TRUE(kt_asleep(job));
	EXPECT_EQ(getpid(), kt_stat(fd).sender);
	EXPECT_EQ(1, receive_one(&fd));
	EXPECT_EQ(0, kt_join(job));
	EXPECT_EQ(job->pid, kt_stat(fd).sender);
	EXPECT_EQ(getpid(), kt_stat(fd).receiver);
	EXPECT_EQ(0, kipc_remove(fd, 0));
	close(fd);
}

TEST_F(open, unlinked_while_open)
{
	struct kipc_endpoint none = { .key = 0 };
	long fd = create_name(self->dev, NAME), other;
	struct kipc_endpoint info = { .key = KEY };

	EXPECT_EQ(0, kipc_set((int)fd, 0, KIPC_SET_KEY, &info));
	EXPECT_EQ(KEY, kt_stat((int)fd).key);
	EXPECT_STREQ(NAME, kt_stat((int)fd).name);
	other = find_key(self->dev, KEY);
	EXPECT_TRUE(same(fd, other));
	close_all(other);

	EXPECT_EQ(0, kipc_set((int)fd, 0, KIPC_SET_KEY | KIPC_SET_NAME, &none));
	EXPECT_EQ(0, kt_stat((int)fd).key);
	EXPECT_STREQ("", kt_stat((int)fd).name);
	EXPECT_EQ(-ENOENT, find_name(self->dev, NAME));
	EXPECT_EQ(-ENOENT, find_key(self->dev, KEY));
	other = create_name(self->dev, NAME);
	ASSERT_GE(other, 0);
	EXPECT_FALSE(same(fd, other));
	EXPECT_EQ(0, kipc_send((int)fd, "x", 1, 0));
	EXPECT_EQ(0, kt_stat((int)other).msgs);
	EXPECT_EQ(1, kipc_recv((int)fd, self->buf, sizeof(self->buf), NULL, 0));
	/* its end does not take the name from its successor */
	close_all(fd);
	fd = find_name(self->dev, NAME);
	EXPECT_TRUE(same(fd, other));
	close_all(fd);
	close_all(other);
}

TEST_F(open, renamed)
{
	struct kipc_endpoint info = { .mode = 0777, .name = NAME "2" };
	long fd = create_name(self->dev, NAME), other = create_name(self->dev, NAME "2"), found;

	/* taken: nothing of it is done */
	EXPECT_EQ(-EEXIST, kipc_set((int)fd, 0, KIPC_SET_NAME | KIPC_SET_MODE, &info));
	EXPECT_STREQ(NAME, kt_stat((int)fd).name);
	EXPECT_EQ(0666, kt_stat((int)fd).mode);
	info.key = KEY;
	EXPECT_EQ(-EEXIST, kipc_set((int)fd, 0, KIPC_SET_NAME | KIPC_SET_KEY, &info));
	EXPECT_EQ(0, kt_stat((int)fd).key);
	EXPECT_EQ(-ENOENT, find_key(self->dev, KEY));
	close_all(other);

	EXPECT_EQ(0, kipc_set((int)fd, 0, KIPC_SET_NAME | KIPC_SET_MODE, &info));
	EXPECT_EQ(0777, kt_stat((int)fd).mode);
	EXPECT_EQ(-ENOENT, find_name(self->dev, NAME));
	found = find_name(self->dev, NAME "2");
	EXPECT_TRUE(same(fd, found));
	close_all(found);
	/* to the name it has */
	EXPECT_EQ(0, kipc_set((int)fd, 0, KIPC_SET_NAME, &info));
	found = find_name(self->dev, NAME "2");
	EXPECT_TRUE(same(fd, found));
	close_all(found);
	close_all(fd);
}

TEST_F(open, the_walk_over_ids)
{
	uint32_t ids[5], at = 0, last = 0;
	unsigned int found = 0;
	int fds[ARRAY_SIZE(ids)];

	for (unsigned int i = 0; i < ARRAY_SIZE(ids); i++) {
		fds[i] = kt_private(self->dev, 0, NULL);
		ids[i] = kt_id(fds[i]);
	}
	while (!kt_next(self->dev, &at)) {
		EXPECT_GT(at, last);
		last = at;
		for (unsigned int i = 0; i < ARRAY_SIZE(ids); i++)
			found += ids[i] == at;
	}
	EXPECT_EQ(ARRAY_SIZE(ids), found);
	EXPECT_EQ(last, at);
	EXPECT_EQ(-ENOENT, kt_next(self->dev, &at));

	/* from one that has gone it goes on */
	at = ids[2];
	close(fds[2]);
	EXPECT_EQ(0, kt_next(self->dev, &at));
	EXPECT_GT(at, ids[2]);
	at = ~0U;
	EXPECT_EQ(-ENOENT, kt_next(self->dev, &at));
	EXPECT_EQ(~0U, at);
}

static long sum_up(int fd, struct kipc_op_sum *op)
{
	kt_poison(op, sizeof(*op));
	op->flags = 0;
	op->reserved = 0;
	return kt_ioctl(fd, KIPC_IOC_SUM, op);
}

#define EXPECT_SUM(count, largest, messages, length) do {	\
	struct kipc_op_sum sum_;				\
	EXPECT_EQ(0, sum_up(self->dev, &sum_));			\
	EXPECT_EQ(count, sum_.endpoints);			\
	EXPECT_EQ(largest, sum_.last);				\
	EXPECT_EQ(messages, sum_.msgs);				\
	EXPECT_EQ(length, sum_.bytes);				\
} while (0)

/* Of all that follow the rules of svipc(7), and of no others */
TEST_F(open, the_sum_of_all)
{
	const uint32_t others = KIPC_OPEN_ONEWAY | KIPC_OPEN_FIRST_COME;
	struct kipc_op_open op = {
		.flags = KIPC_OPEN_CREATE | KIPC_OPEN_SYSV | others,
		.rights = KT_ALL_RIGHTS,
		.attr.max_bytes = 100,
	};
	struct kipc_op_sum sum;
	int other, fds[3];
	uint32_t ids[3];
	char buf[8], full[100] = { 0 };

	EXPECT_SUM(0, 0, 0, 0);
	for (int i = 0; i < 3; i++) {
		op.id = 0;
		fds[i] = (int)kt_open(self->dev, &op);
		ASSERT_LE(0, fds[i]);
		ids[i] = op.id;
		for (int j = 0; j <= i; j++)
			ASSERT_EQ(0, kt_send(fds[i], 0, 1, 0, "12345678", (size_t)(i + j)));
	}
	other = kt_private(self->dev, others, NULL);
	ASSERT_LE(0, other);
	ASSERT_EQ(0, kt_send(other, 0, 1, 0, "1234567", 7));
	EXPECT_SUM(3, ids[2], 1 + 2 + 3, 0 + (1 + 2) + (2 + 3 + 4));
	/* The same for all, whether they may use them or not */
	EXPECT_EQ(0, kt_do_as(KT_UID_B, sum_up(self->dev, &sum)));
	EXPECT_EQ(3, sum.endpoints);
	EXPECT_EQ(ids[2], sum.last);
	EXPECT_EQ(6, sum.msgs);
	EXPECT_EQ(12, sum.bytes);
	/* One received, one refused, one that does not fit */
	ASSERT_EQ(2, kt_recv(fds[2], 0, 0, 0, buf, sizeof(buf), NULL));
	EXPECT_SUM(3, ids[2], 5, 10);
	ASSERT_EQ(-EMSGSIZE, kt_recv(fds[2], 0, KIPC_ANYSIZE, 0, buf, 1, NULL));
	ASSERT_EQ(-EAGAIN, kt_send(fds[2], 0, 1, 0, full, sizeof(full)));
	EXPECT_SUM(3, ids[2], 5, 10);
	/* With an endpoint goes what is in it; in whatever order they go */
	ASSERT_EQ(0, kt_remove(fds[1], 0));
	EXPECT_SUM(2, ids[2], 3, 7);
	close(fds[2]);
	EXPECT_SUM(1, ids[0], 1, 0);
	close(fds[0]);
	close(fds[1]);
	EXPECT_SUM(0, 0, 0, 0);
	/* Nothing is written after an error */
	EXPECT_EQ(-EBADF, sum_up(other, &sum));
	sum.reserved = 1;
	EXPECT_EQ(-EINVAL, kt_ioctl(self->dev, KIPC_IOC_SUM, &sum));
	EXPECT_NE(0, sum.endpoints);
	close(other);
}

struct setting {
	int dev;
	struct kipc_op_stat op;
};

static long set_it(void *arg)
{
	struct setting *setting = arg;

	return kt_op_set(setting->dev, &setting->op);
}

/* Whose rules hold is told, and nobody's hold beside another's */
TEST_F(open, rules_of_others)
{
	const uint32_t create = KIPC_OPEN_CREATE;
	const uint32_t sysv = KIPC_OPEN_SYSV | KIPC_OPEN_FIRST_COME | KIPC_OPEN_ONEWAY;
	const uint32_t of_one = KIPC_ENDPOINT_SYSV | KIPC_ENDPOINT_FIRST_COME |
				KIPC_ENDPOINT_ONEWAY;
	static const struct kt_how bare_root = { .drop_caps = true };
	struct setting *setting = kt_new(struct setting);
	int one = kt_private(self->dev, sysv, NULL);
	int two = kt_private(self->dev, KIPC_OPEN_MQUEUE, NULL);
	long handle;

	EXPECT_EQ(of_one, kt_stat(one).flags);
	EXPECT_EQ(KIPC_ENDPOINT_MQUEUE, kt_stat(two).flags);
	EXPECT_EQ(-EINVAL, kt_openl(self->dev, .flags = create | sysv | KIPC_OPEN_MQUEUE,
				    .rights = KT_ALL_RIGHTS));
	EXPECT_EQ(-EINVAL, kt_openl(self->dev, .flags = create | (sysv & ~KIPC_OPEN_FIRST_COME),
				    .rights = KT_ALL_RIGHTS));
	EXPECT_EQ(-EINVAL, kt_openl(self->dev, .flags = create | (sysv & ~KIPC_OPEN_ONEWAY),
				    .rights = KT_ALL_RIGHTS));
	/* A handle on one that is there changes nothing about it */
	handle = kt_openl(self->dev, .id = kt_id(one), .rights = KT_ALL_RIGHTS,
			  .flags = KIPC_OPEN_MQUEUE);
	EXPECT_LE(0, handle);
	EXPECT_EQ(of_one, kt_stat(one).flags);
	close((int)handle);

	/* As owner of the directory root may unlink, but nothing else */
	close(two);
	two = (int)kt_do_as(KT_UID_A, kt_openl(self->dev, KT_NAME("unlinked"),
			    .flags = KIPC_OPEN_CREATE | KIPC_OPEN_MQUEUE,
			    .rights = KT_ALL_RIGHTS));
	ASSERT_LE(0, two);
	setting->dev = self->dev;
	setting->op.endpoint = kt_id(two);
	setting->op.what = KIPC_SET_MODE;
	setting->op.info.mode = 0666;
	EXPECT_EQ(-EPERM, kt_run(&bare_root, set_it, setting));
	setting->op.what |= KIPC_SET_NAME;
	EXPECT_EQ(-EPERM, kt_run(&bare_root, set_it, setting));
	EXPECT_EQ(0, kt_stat(two).mode);
	setting->op.what = KIPC_SET_NAME;
	EXPECT_EQ(-EPERM, kt_run(KT_AS(KT_UID_B), set_it, setting));
	EXPECT_EQ(0, kt_run(&bare_root, set_it, setting));
	EXPECT_EQ(-ENOENT, kt_openl(self->dev, KT_NAME("unlinked"), .rights = KIPC_RIGHT_SEND,
				    .flags = KIPC_OPEN_ANY_OWNER));
	close(one);
	close(two);
}

static long raise_and_send(void *arg)
{
	const uint32_t *msgmax = arg;
	int fd = (int)msgmax[0];
	char buf[10000] = "", text[16];

	/* Not more than its own, be that as it is in a new namespace, */
	if (kt_send(fd, 0, 1, 0, buf, 8193) != -EMSGSIZE || kt_send(fd, 0, 1, 0, buf, 8192))
		return 1;
	/* ... nor more than that of the other one, whatever its own */
	snprintf(text, sizeof(text), "%u", msgmax[1]);
	kt_write_file("/proc/sys/kernel/msgmax", text);
	if (kt_send(fd, 0, 1, 0, buf, 9001) != -EMSGSIZE || kt_send(fd, 0, 1, 0, buf, 9000))
		return 2;
	return 0;
}

/* With SYSV kernel.msgmax counts, as it is at each message, beside max_size; by all ways to send */
TEST_F(open, sysv_takes_what_msgmax_is)
{
	const uint32_t sysv = KIPC_OPEN_SYSV | KIPC_OPEN_FIRST_COME | KIPC_OPEN_ONEWAY;
	const struct kipc_attr attr = { .max_size = 10000, .max_msgs = 10, .max_bytes = 100000 };
	const struct kipc_attr small = { .max_size = 10000, .max_msgs = 10, .max_bytes = 6000 };
	int fd, fd2, plain = kt_private(self->dev, KIPC_OPEN_ONEWAY, &attr);
	uint32_t *shared = kt_shared(2 * sizeof(*shared));
	static char buf[10001];
	struct kipc_batch_msg heads[2] = { { .size = 4000 }, { .size = 4001 } };
	struct kipc_op_send_batch batch = {
		.count = 2, .msgs = (uintptr_t)heads, .base = (uintptr_t)buf, .len = sizeof(buf),
		.deadline = KIPC_FOREVER,
	};
	struct pollfd out = { .events = POLLOUT };

	ASSERT_EQ(0, unshare(CLONE_NEWIPC));
	fd = kt_private(self->dev, sysv, &attr);
	ASSERT_LE(0, fd);
	EXPECT_EQ(10000, kt_stat(fd).attr.max_size);
	kt_write_file("/proc/sys/kernel/msgmax", "4000");
	EXPECT_EQ(0, kt_send(fd, 0, 1, 0, buf, 4000));
	EXPECT_EQ(-EMSGSIZE, kt_send(fd, 0, 1, 0, buf, 4001));
	EXPECT_EQ(4000, write(fd, buf, 4000));
	EXPECT_EQ(-1, write(fd, buf, 4001));
	EXPECT_EQ(EMSGSIZE, errno);
	EXPECT_EQ(1, kt_op_send_batch(fd, &batch));
	EXPECT_EQ(3, kt_stat(fd).msgs);
	/* That is what there is room for when there is */
	fd2 = kt_private(self->dev, sysv, &small);
	ASSERT_LE(0, fd2);
	ASSERT_EQ(0, kt_send(fd2, 0, 1, 0, buf, 2000));
	out.fd = fd2;
	EXPECT_EQ(1, poll(&out, 1, 0));
	ASSERT_EQ(0, kt_send(fd2, 0, 1, 0, buf, 1));
	EXPECT_EQ(0, poll(&out, 1, 0));
	close(fd2);
	/* max_size counts as ever */
	kt_write_file("/proc/sys/kernel/msgmax", "20000");
	EXPECT_EQ(0, kt_send(fd, 0, 1, 0, buf, 10000));
	EXPECT_EQ(-EMSGSIZE, kt_send(fd, 0, 1, 0, buf, 10001));
	kt_write_file("/proc/sys/kernel/msgmax", "9000");
	EXPECT_EQ(0, kt_send(fd, 0, 1, 0, buf, 9000));
	shared[0] = (uint32_t)fd;
	shared[1] = 10000;
	EXPECT_EQ(0, kt_run(&(struct kt_how){ .ns = CLONE_NEWIPC }, raise_and_send, shared));
	/* Others take no notice */
	kt_write_file("/proc/sys/kernel/msgmax", "0");
	EXPECT_EQ(-EMSGSIZE, kt_send(fd, 0, 1, 0, buf, 1));
	EXPECT_EQ(0, kt_send(fd, 0, 1, 0, buf, 0));
	EXPECT_EQ(0, kt_send(plain, 0, 1, 0, buf, 10000));
	close(fd);
	close(plain);
}

/* With MQUEUE it is given away as a file is, see chown(2), however that is asked for */
TEST_F(open, as_a_file_it_is_given_away)
{
	const struct kt_how *chown = &(struct kt_how){
		.uid = KT_UID_B, .gid = KT_UID_B, .keep_caps = 1ULL << CAP_CHOWN,
	};
	const struct kt_how *a = KT_AS(KT_UID_A), *b = KT_AS(KT_UID_B);
	struct setting *setting = kt_new(struct setting);
	struct kipc_op_stat *op = &setting->op;
	int fd = (int)kt_do_as(KT_UID_A, kt_openl(self->dev, .mode = 0600,
						  .flags = KIPC_OPEN_CREATE | KIPC_OPEN_MQUEUE,
						  .rights = KT_ALL_RIGHTS));

	ASSERT_LE(0, fd);
	setting->dev = self->dev;
	op->endpoint = kt_id(fd);
	op->what = KIPC_SET_UID;
	op->info.uid = KT_UID_B;
	op->info.gid = KT_UID_B;
	EXPECT_EQ(-EPERM, kt_run(a, set_it, setting));
	EXPECT_EQ(-EPERM, kt_run(b, set_it, setting));
	/* Nor by the way */
	op->what = KIPC_SET_UID | KIPC_SET_MODE;
	EXPECT_EQ(-EPERM, kt_run(a, set_it, setting));
	EXPECT_EQ(-EPERM, kt_run(chown, set_it, setting));
	op->what = KIPC_SET_GID;
	EXPECT_EQ(-EPERM, kt_run(a, set_it, setting));
	EXPECT_EQ(KT_UID_A, kt_stat(fd).uid);
	EXPECT_EQ(KT_UID_A, kt_stat(fd).gid);
	op->what = KIPC_SET_UID;
	EXPECT_EQ(0, kt_run(chown, set_it, setting));
	EXPECT_EQ(KT_UID_B, kt_stat(fd).uid);
	/* Who has made a file is nobody special */
	op->what = KIPC_SET_MODE;
	op->info.mode = 0640;
	EXPECT_EQ(-EPERM, kt_run(a, set_it, setting));
	EXPECT_EQ(0, kt_run(b, set_it, setting));
	EXPECT_EQ(0640, kt_stat(fd).mode);
	EXPECT_EQ(-EPERM, kt_do_as(KT_UID_A, kt_remove(self->dev, op->endpoint)));
	/* Nor has a handle more to say there */
	op->endpoint = 0;
	op->what = KIPC_SET_UID;
	op->info.uid = 0;
	setting->dev = fd;
	EXPECT_EQ(-EPERM, kt_run(b, set_it, setting));
	op->what = KIPC_SET_MODE;
	EXPECT_EQ(0, kt_run(b, set_it, setting));
	setting->dev = self->dev;
	op->endpoint = kt_id(fd);
	op->info.uid = KT_UID_B;
	/* To whom it belongs already, and to a group of one's own */
	op->what = KIPC_SET_UID | KIPC_SET_GID;
	EXPECT_EQ(0, kt_run(b, set_it, setting));
	EXPECT_EQ(KT_UID_B, kt_stat(fd).gid);
	op->info.gid = KT_UID_A;
	EXPECT_EQ(-EPERM, kt_run(b, set_it, setting));
	close(fd);
}

static void send_fd(int sock, int fd)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control = {
		.header = {
			.cmsg_len = CMSG_LEN(sizeof(int)),
			.cmsg_level = SOL_SOCKET,
			.cmsg_type = SCM_RIGHTS,
		},
	};
	struct iovec iov = { "x", 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = &control, .msg_controllen = sizeof(control),
	};

	memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
	kt_need(sendmsg(sock, &msg, 0) == 1);
}

static int recv_fd(int sock)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control;
	char byte;
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = &control, .msg_controllen = sizeof(control),
	};
	int fd;

	kt_need(recvmsg(sock, &msg, MSG_CMSG_CLOEXEC) == 1);
	memcpy(&fd, CMSG_DATA(&control.header), sizeof(fd));
	return fd;
}

static long make_inside(void *arg)
{
	int *sock = arg, dev = kt_device(), fd;
	char byte;

	kt_need(!setresgid(0, 0, 0));
	kt_need(!setresuid(0, 0, 0));
	fd = (int)kt_openl(dev, .mode = 0600, .flags = KIPC_OPEN_CREATE | KIPC_OPEN_MQUEUE,
			   .rights = KT_ALL_RIGHTS);
	kt_need(fd >= 0);
	send_fd(*sock, fd);
	/* With the namespace goes what is in it */
	return read(*sock, &byte, 1) == 1 ? 0 : -1;
}

static long give_to(void *arg)
{
	const struct setting *setting = arg;

	return fchown(setting->dev, setting->op.info.uid, (gid_t)-1) ? -errno : 0;
}

/* Who owns a namespace has no capabilities outside, where its files can get to */
TEST_F(open, file_from_a_user_namespace)
{
	const struct kt_how how = {
		.ns = CLONE_NEWUSER | CLONE_NEWNET,
		.uid_map = "0 20001 1\n2 0 1",
		.gid_map = "0 20001 1\n2 0 1",
		.uid = 2,
		.gid = 2,
	};
	static const struct kt_how owner = { .drop_caps = true };
	struct setting *setting = kt_new(struct setting);
	int mine = kt_private(self->dev, KIPC_OPEN_MQUEUE, NULL), sock[2];
	struct stat here, there;
	struct kt_job *job;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, sock));
	job = kt_start(&how, make_inside, &sock[0]);
	setting->dev = recv_fd(sock[1]);
	ASSERT_EQ(0, fstat(setting->dev, &there));
	EXPECT_EQ(20001U, there.st_uid);
	for (unsigned int i = 0; i < 2; i++) {
		setting->op.info.uid = i ? KT_UID_B : 0;
		EXPECT_EQ(-EPERM, kt_run(&owner, give_to, setting));
	}
	/* Numbers are not those of one's own */
	ASSERT_EQ(0, fstat(mine, &here));
	EXPECT_EQ(here.st_dev, there.st_dev);
	EXPECT_NE(here.st_ino, there.st_ino);
	/* With them, it is a file of 20001 */
	setting->op.info.uid = KT_UID_B;
	EXPECT_EQ(0, give_to(setting));
	EXPECT_EQ(KT_UID_B, kt_stat(setting->dev).uid);
	EXPECT_EQ(1, write(sock[1], "x", 1));
	EXPECT_EQ(0, kt_join(job));
	close(setting->dev);
	close(mine);
	close(sock[0]);
	close(sock[1]);
}

static long link_of(int fd, char *target, size_t room)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	memset(target, 0, room);
	return readlink(path, target, room - 1);
}

/* A name of many parts is in no directory */
TEST_F(open, link_of_a_file_names_no_other)
{
	char target[64];
	int fd = (int)kt_openl(self->dev, KT_NAME("etc/fstab"), .rights = KT_ALL_RIGHTS,
			       .flags = KIPC_OPEN_CREATE | KIPC_OPEN_MQUEUE);
	int same = (int)kt_openl(self->dev, .id = kt_id(fd), .rights = KIPC_RIGHT_SEND,
				 .flags = KIPC_OPEN_MQUEUE | KIPC_OPEN_ANY_OWNER);

	EXPECT_LT(0, link_of(fd, target, sizeof(target)));
	EXPECT_STREQ("/etc!fstab", target);
	EXPECT_LT(0, link_of(same, target, sizeof(target)));
	EXPECT_STREQ("/etc!fstab", target);
	close(fd);
	close(same);
	fd = kt_private(self->dev, KIPC_OPEN_MQUEUE, NULL);
	EXPECT_LT(0, link_of(fd, target, sizeof(target)));
	EXPECT_STREQ("/ (deleted)", target);
	close(fd);
}

static long use_received(void *arg)
{
	int *sock = arg, fd;
	char buf[16];

	fd = recv_fd(*sock);
	if (kt_send(fd, 0, 1, 0, "from B", 6))
		return -1;
	return kt_recv(fd, 0, KIPC_TYPE_EQ, 2, buf, sizeof(buf), NULL);
}

/* Whoever holds a handle has its rights, however it came there */
TEST_F(open, handles_are_passed_over_a_socket)
{
	int fd = kt_private(self->dev, 0, NULL), pair[2];
	struct kipc_result result;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	send_fd(pair[0], fd);
	ASSERT_EQ(0, kt_send(fd, 0, 2, 0, "for B", 5));
	EXPECT_EQ(5, kt_run(KT_AS(B), use_received, &pair[1]));
	EXPECT_EQ(6, kipc_recv(fd, self->buf, sizeof(self->buf), &result, 0));
	EXPECT_EQ(B, result.uid);
	close(fd);
	close(pair[0]);
	close(pair[1]);
}

static long use_inherited(void *arg)
{
	int *fd = arg;

	close(*fd);
	return 0;
}

TEST_F(open, handles_are_inherited_by_fork)
{
	int fd = kt_private(self->dev, 0, NULL);

	/* the child closes its copy and ends: the file is still ours */
	EXPECT_EQ(0, kt_run(KT_FORK, use_inherited, &fd));
	EXPECT_EQ(1, kt_stat(fd).handles);
	EXPECT_EQ(0, kipc_send(fd, "x", 1, 0));
	EXPECT_EQ(1, kipc_recv(fd, self->buf, sizeof(self->buf), NULL, 0));
	close(fd);
}

TEST_F(open, a_full_descriptor_table_leaves_nothing_behind)
{
	struct rlimit limit, none;
	uint32_t at = 0, before = 0, after = 0;
	long ret;

	while (!kt_next(self->dev, &at))
		before++;
	ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &limit));
	none = limit;
	none.rlim_cur = 0;
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &none));
	ret = create_name(self->dev, NAME);
	EXPECT_EQ(-EMFILE, ret);
	ret = kt_openl(self->dev, .flags = KIPC_OPEN_CREATE | KIPC_OPEN_PERSIST,
		       .rights = KT_ALL_RIGHTS, .key = KEY);
	EXPECT_EQ(-EMFILE, ret);
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &limit));
	EXPECT_EQ(-ENOENT, find_name(self->dev, NAME));
	EXPECT_EQ(-ENOENT, find_key(self->dev, KEY));
	at = 0;
	while (!kt_next(self->dev, &at))
		after++;
	EXPECT_EQ(before, after);
}

TEST_F(open, a_fault_leaves_nothing_behind)
{
	static const uint32_t flags[] = { 0, KIPC_OPEN_PERSIST, KIPC_OPEN_KEEP_BY_ANY,
					  KIPC_OPEN_MQUEUE };
	unsigned int fds = kt_open_fds();
	uint32_t at = 0, before = 0, after = 0;

	while (!kt_next(self->dev, &at))
		before++;
	for (unsigned int i = 0; i < ARRAY_SIZE(flags); i++) {
		struct kipc_op_open *op = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
					       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		*op = (struct kipc_op_open){
			.flags = KIPC_OPEN_CREATE | flags[i], .rights = KT_ALL_RIGHTS,
			KT_NAME(NAME),
		};
		/* it cannot be told what was made */
		ASSERT_EQ(0, mprotect(op, 4096, PROT_READ));
		EXPECT_EQ(-EFAULT, kt_open(self->dev, op));
		EXPECT_EQ(-ENOENT, find_name(self->dev, NAME));
		munmap(op, 4096);
	}
	EXPECT_EQ(fds, kt_open_fds());
	at = 0;
	while (!kt_next(self->dev, &at))
		after++;
	EXPECT_EQ(before, after);
}

struct elsewhere {
	int sock;
	uint32_t outer;
	long by_name, by_id, made;
	struct kt_flag ready, go;
};

static long look_elsewhere(void *arg)
{
	struct elsewhere *e = arg;
	int dev = kt_device();
	long fd;

	e->by_name = find_name(dev, NAME);
	e->by_id = kt_again(dev, e->outer, KIPC_RIGHT_SEND);
	fd = kt_openl(dev, .flags = KIPC_OPEN_CREATE | KIPC_OPEN_EXCL | KIPC_OPEN_PERSIST,
		      .rights = KT_ALL_RIGHTS, KT_NAME(NAME));
	e->made = fd;
	if (fd < 0)
		return fd;
	send_fd(e->sock, (int)fd);
	kt_raise(&e->ready);
	return kt_await(&e->go) ? 0 : -1;
}

TEST_F(open, two_network_namespaces)
{
	const struct kt_how how = { .ns = CLONE_NEWNET };
	struct elsewhere *e = kt_new(struct elsewhere);
	struct kipc_op_recv op = kt_recv_op(self->buf, sizeof(self->buf), NULL);
	struct kt_job *job, *receiver;
	int pair[2], fd, theirs;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	fd = (int)create_name(self->dev, NAME);
	ASSERT_GE(fd, 0);
	e->sock = pair[1];
	e->outer = kt_id(fd);
	job = kt_start(&how, look_elsewhere, e);
	ASSERT_TRUE(kt_await(&e->ready));
	EXPECT_EQ(-ENOENT, e->by_name);
	EXPECT_LT(e->by_id, 0);
	EXPECT_GE(e->made, 0);
	theirs = recv_fd(pair[0]);

	/* two endpoints of one name; a handle works wherever it is */
	EXPECT_EQ(0, kipc_send(theirs, "theirs", 6, 0));
	EXPECT_EQ(0, kt_stat(fd).msgs);
	EXPECT_EQ(6, kipc_recv(theirs, self->buf, sizeof(self->buf), NULL, 0));
	receiver = kt_start_ioctl(KT_THREAD, theirs, KIPC_IOC_RECV, &op);
	ASSERT_TRUE(kt_asleep(receiver));

	/* their namespace ends, with all that is in it, PERSIST or not */
	kt_raise(&e->go);
	EXPECT_EQ(0, kt_join(job));
	EXPECT_EQ(-EIDRM, kt_join(receiver));
	EXPECT_EQ(-EIDRM, kipc_send(theirs, "x", 1, 0));
	EXPECT_EQ(0, kipc_send(fd, "x", 1, 0));
	close(theirs);
	close(fd);
	close(pair[0]);
	close(pair[1]);
}

static long pass_device(void *arg)
{
	struct elsewhere *e = arg;

	send_fd(e->sock, kt_device());
	kt_raise(&e->ready);
	return kt_await(&e->go) ? 0 : -1;
}

/* A device file is its namespace, wherever it goes */
TEST_F(open, a_device_file_of_another_namespace)
{
	const struct kt_how how = { .ns = CLONE_NEWNET };
	struct elsewhere *e = kt_new(struct elsewhere);
	struct kt_job *job, *opener;
	int pair[2], dev, fd, other;
	struct kipc_limits limits;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	e->sock = pair[1];
	job = kt_start(&how, pass_device, e);
	ASSERT_TRUE(kt_await(&e->ready));
	dev = recv_fd(pair[0]);
	fd = (int)create_name(dev, NAME);
	EXPECT_GE(fd, 0);
	EXPECT_EQ(-ENOENT, find_name(self->dev, NAME));
	other = (int)create_name(self->dev, NAME);
	EXPECT_GE(other, 0);
	opener = wait_for(KT_THREAD, dev, NAME "2", 0, 0);

	kt_raise(&e->go);
	EXPECT_EQ(0, kt_join(job));
	EXPECT_EQ(-EIDRM, kt_join(opener));
	EXPECT_EQ(-EIDRM, kipc_send(fd, "x", 1, 0));
	EXPECT_EQ(-EIDRM, create_name(dev, NAME "3"));
	EXPECT_EQ(0, kipc_info(dev, &limits));
	close(fd);
	close(other);
	close(dev);
}

/* NEXT with an id of the past does not pass over who has its place now */
TEST_F(open, next_after_an_id_that_has_ended)
{
	uint32_t old, id = 0, next;
	int dev = self->dev, fd;

	kt_set_param("endpoints_max", 4);
	fd = kt_private(dev, 0, NULL);
	old = kt_id(fd);
	/* indexes go round: until this one's comes again, with another generation */
	for (unsigned int i = 0; i < 100 && id >> 11 != old >> 11; i++) {
		close(fd);
		fd = kt_private(dev, 0, NULL);
		id = kt_id(fd);
	}
	ASSERT_EQ(old >> 11, id >> 11);
	ASSERT_NE(old, id);
	next = old;
	EXPECT_EQ(0, kt_next(dev, &next));
	EXPECT_EQ(id, next);
	close(fd);
}

TEST_HARNESS_MAIN
