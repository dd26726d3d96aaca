// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A C program that uses every function of the installed library, as a program
 * would. Without the module each must say so, and none may touch errno.
 */
#include <kipc.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int failures;

static void expect(const char *what, long want, long got)
{
	if (got == want && errno == EXDEV)
		return;
	printf("# %s: %ld instead of %ld, errno %d\n", what, got, want, errno);
	failures++;
	errno = EXDEV;
}

#define EXPECT(want, call) expect(#call, want, (long)(call))

/* No module (or none that this user may use): the device file cannot be opened. */
static void absent(void)
{
	EXPECT(-ENOENT, kipc_open_device());
	EXPECT(-ENOENT, kipc_create("name", KIPC_OPEN_EXCL, 0600, NULL));
	EXPECT(-ENOENT, kipc_create(NULL, 0, 0600, NULL));
	EXPECT(-ENOENT, kipc_open("key:0x1", KIPC_RIGHT_SEND, -1));
	EXPECT(-ENOENT, kipc_open("id:5", KIPC_RIGHT_SEND | KIPC_OPEN_ANY_OWNER, 0));
}

static ssize_t handle(void *context, const void *request, size_t size,
		      const struct kipc_result *result, void *reply, size_t room)
{
	(void)context;
	(void)request;
	(void)result;
	(void)reply;
	(void)room;
	return (ssize_t)size;
}

/* What needs no module */
static void memory(void)
{
	const void *data;
	size_t size;
	int fd;

	fd = kipc_memfd("program", 10);
	EXPECT(-EPERM, kipc_map(fd, &data, &size));
	EXPECT(0, kipc_seal(fd));
	EXPECT(0, kipc_map(fd, &data, &size));
	EXPECT(10, size);
	EXPECT(0, kipc_unmap(data, size));
	close(fd);
}

static void every_function(int fd, int error)
{
	char buf[16] = "";
	struct iovec iov = { buf, sizeof(buf) };
	struct kipc_msg msg;
	struct kipc_result result;
	struct kipc_batch_msg entry;
	struct kipc_endpoint endpoint;
	struct kipc_limits limits;
	uint64_t token;
	uint32_t id;

	memset(&msg, 0, sizeof(msg));
	memset(&result, 0, sizeof(result));
	memset(&entry, 0, sizeof(entry));
	memset(&endpoint, 0, sizeof(endpoint));
	msg.iov = &iov;
	msg.iovcnt = 1;

	EXPECT(error, kipc_info(fd, &limits));
	EXPECT(error, kipc_restrict(fd, KIPC_RIGHT_SEND, 1));
	EXPECT(error, kipc_notify(fd, KIPC_NOTIFY_END, 0, 0, -1));
	EXPECT(error, kipc_shutdown(fd));
	EXPECT(error, kipc_stat(fd, 0, &endpoint));
	EXPECT(error, kipc_set(fd, 0, KIPC_SET_NAME, &endpoint));
	EXPECT(error, kipc_remove(fd, 0));
	EXPECT(error, kipc_next(fd, 0, &id));
	EXPECT(error, kipc_send(fd, buf, sizeof(buf), 0));
	EXPECT(error, kipc_recv(fd, buf, sizeof(buf), NULL, 0));
	EXPECT(error, kipc_rpc(fd, buf, sizeof(buf), buf, sizeof(buf), 0));
	EXPECT(error, kipc_reply(fd, 1, buf, sizeof(buf)));
	EXPECT(error, kipc_reply_error(fd, 1, ENOSYS));
	EXPECT(error, kipc_reply_recv(fd, buf, 0, buf, sizeof(buf), &result, 0));
	EXPECT(error, kipc_sendmsg(fd, &msg, 0));
	EXPECT(error, kipc_recvmsg(fd, &msg, &result, 0));
	EXPECT(error, kipc_send_batch(fd, &msg, &entry, 1, 0));
	EXPECT(error, kipc_recv_batch(fd, &msg, &result, 1, 0));
	EXPECT(16, kipc_batch_next(8, 1));
	EXPECT(error, kipc_rpcmsg(fd, &msg, &msg, &result, 0));
	EXPECT(error, kipc_replymsg(fd, 1, &msg));
	EXPECT(error, kipc_reply_recvmsg(fd, NULL, &msg, &result, 0));
	EXPECT(error, kipc_rpc_start(fd, &msg, sizeof(buf), &token, -1));
	EXPECT(error, kipc_rpc_finish(fd, 0, &msg, &result, 0));
	EXPECT(error, kipc_cancel(fd, 1));
	EXPECT(error, kipc_wanted(fd, 1));
	EXPECT(error, kipc_adopt(fd, 1));
	EXPECT(error, kipc_serve(fd, 1, handle, NULL));
	EXPECT(error, kipc_serve(fd, 4, handle, NULL));
}

int main(void)
{
	int fds[2];

	if (pipe(fds))
		return 1;
	errno = EXDEV;
	EXPECT(-EINVAL, kipc_open("key:", KIPC_RIGHT_SEND, 0));
	EXPECT(-EINVAL, kipc_open(NULL, KIPC_RIGHT_SEND, 0));
	if (access("/dev/kipc", F_OK)) {
		errno = EXDEV;
		absent();
	}
	errno = EXDEV;
	memory();
	every_function(-1, -EBADF);
	every_function(fds[0], -ENOTTY);	/* not a descriptor of kipc */
	return failures ? 1 : 0;
}
