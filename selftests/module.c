// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Promise 15: the module cannot be pulled from under data. The suite goes on
 * after this program, so nothing here may ever really unload it: the device
 * stays open in every test.
 */
#include <sys/socket.h>
#include <sys/syscall.h>

#include "common.h"
#include "harness.h"

static long try_unload(void)
{
	return syscall(SYS_delete_module, "kipc", O_NONBLOCK) ? -errno : 0;
}

static long references(void)
{
	char text[32];

	kt_need(kt_read_file("/sys/module/kipc/refcnt", text, sizeof(text)) > 0);
	return strtol(text, NULL, 10);
}

static bool refused(void)
{
	long ret = try_unload();

	if (ret == -EWOULDBLOCK || ret == -EBUSY)
		return true;
	kt_complain("delete_module: %ld", ret);
	return false;
}

FIXTURE(module) {
	int dev;
	long before;
};

FIXTURE_SETUP(module)
{
	self->before = references();
	self->dev = kt_device();
	ASSERT_GT(references(), self->before);
}

FIXTURE_TEARDOWN(module)
{
	close(self->dev);
	/* what was pinned is not pinned for ever */
	EXPECT_TRUE(kt_until(references() == self->before));
}

TEST_F(module, p15_a_device_file_keeps_it)
{
	struct kipc_limits limits;

	EXPECT_TRUE(refused());
	EXPECT_EQ(0, kipc_info(self->dev, &limits));
	EXPECT_EQ(KIPC_ABI_VERSION, limits.abi);
}

TEST_F(module, p15_a_handle_keeps_it)
{
	int fd = kt_private(self->dev, 0, NULL);
	char buf[8192];
	long with = references();

	EXPECT_EQ(0, kipc_send(fd, "x", 1, 0));
	EXPECT_TRUE(refused());
	EXPECT_EQ(1, kipc_recv(fd, buf, sizeof(buf), NULL, 0));
	close(fd);
	EXPECT_TRUE(kt_until(references() < with));
}

TEST_F(module, p15_a_persistent_endpoint_keeps_it)
{
	struct kipc_endpoint info;
	long without = references();
	int fd = kt_private(self->dev, KIPC_OPEN_PERSIST, NULL);
	uint32_t id = kt_id(fd);
	char buf[16];

	EXPECT_EQ(0, kipc_send(fd, "kept", 4, 0));
	close(fd);
	EXPECT_GT(references(), without);
	EXPECT_TRUE(refused());
	EXPECT_EQ(0, kipc_stat(self->dev, id, &info));
	EXPECT_EQ(1, info.msgs);
	EXPECT_EQ(0, info.handles);
	EXPECT_EQ(4, kt_recv(self->dev, id, 0, 0, buf, sizeof(buf), NULL));
	EXPECT_EQ(0, memcmp(buf, "kept", 4));
	EXPECT_EQ(0, kipc_remove(self->dev, id));
	EXPECT_TRUE(kt_until(references() == without));
}

TEST_F(module, p15_a_waiting_receiver_keeps_it)
{
	int fd = kt_private(self->dev, 0, NULL);
	char *buf = kt_shared(8192);
	struct kipc_op_recv op = kt_recv_op(buf, 8192, NULL);
	struct kt_job *job = kt_start_ioctl(KT_FORK, fd, KIPC_IOC_RECV, &op);

	ASSERT_TRUE(kt_asleep(job));
	EXPECT_TRUE(refused());
	EXPECT_TRUE(kt_asleep(job));
	EXPECT_EQ(0, kipc_send(fd, "x", 1, 0));
	EXPECT_EQ(1, kt_join(job));
	close(fd);
}

/* A handle in a UNIX socket's buffer has no descriptor anywhere */
TEST_F(module, p15_a_handle_in_flight_keeps_it)
{
	int pair[2], fd = kt_private(self->dev, 0, NULL);
	long without = references() - 1;
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
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
	ASSERT_EQ(1, sendmsg(pair[0], &msg, 0));
	close(fd);
	EXPECT_GT(references(), without);
	EXPECT_TRUE(refused());
	close(pair[0]);
	close(pair[1]);
	EXPECT_TRUE(kt_until(references() <= without));
}

static long hold_a_namespace(void *arg)
{
	int dev = kt_device();
	int fd = kt_private(dev, KIPC_OPEN_PERSIST, NULL);

	(void)arg;
	close(fd);
	close(dev);
	return 0;
}

/* The end of a network namespace lets go of what its persistent endpoints pinned */
TEST_F(module, p15_a_namespace_that_ends_lets_go)
{
	const struct kt_how how = { .ns = CLONE_NEWNET };
	long without = references();

	EXPECT_EQ(0, kt_run(&how, hold_a_namespace, NULL));
	EXPECT_TRUE(kt_until(references() == without));
}

TEST_HARNESS_MAIN
