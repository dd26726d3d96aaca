// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a file keeps of the memory of its messages for the next ones: so much and
 * no more, and nothing that was in it is ever seen again.
 */
#include "call_common.h"
#include "common.h"
#include "harness.h"

#define LARGE 65536
#define ROOM (4 * LARGE)
#define BEYOND 512	/* bytes behind what is received that must stay as they are */

FIXTURE(spares) {
	int fd;
	long slabs;
	unsigned char *sent;
	unsigned char *got;
};

static int new_endpoint(void)
{
	const struct kipc_attr attr = {
		.max_size = ROOM, .max_msgs = 64, .max_bytes = 16 * LARGE
	};

	return kipc_create(NULL, 0, 0600, &attr);
}

FIXTURE_SETUP(spares)
{
	kt_set_param("spares_max", 4);
	self->sent = kt_shared(ROOM + BEYOND);
	self->got = kt_shared(ROOM + BEYOND);
	self->fd = new_endpoint();
	ASSERT_LE(0, self->fd);
	/* the endpoint, its share and the file; what was there before may still be going */
	self->slabs = 3;
	ASSERT_TRUE(kt_until(kt_slab_objects() == self->slabs));
}

FIXTURE_TEARDOWN(spares)
{
	close(self->fd);
	kt_restore_params();
}

static bool send_and_take(FIXTURE_DATA(spares) *self, size_t size, unsigned int seed)
{
	kt_fill(self->sent, size, seed);
	kt_poison(self->got, size + BEYOND);
	if (kipc_send(self->fd, self->sent, size, 0) ||
	    kipc_recv(self->fd, self->got, ROOM, NULL, 0) != (ssize_t)size)
		return false;
	return kt_filled(self->got, size, seed) && kt_poisoned(self->got + size, BEYOND);
}

TEST_F(spares, sending_on_and_on_takes_no_more_memory)
{
	for (unsigned int i = 0; i < 100; i++)
		ASSERT_TRUE(send_and_take(self, 1 + i, i));
	EXPECT_EQ(self->slabs + 1, kt_slab_objects());
}

TEST_F(spares, no_more_are_kept_than_the_parameter_says)
{
	for (unsigned int i = 0; i < 20; i++)
		ASSERT_EQ(0, kipc_send(self->fd, "message", 7, 0));
	EXPECT_LE(self->slabs + 20, kt_slab_objects());
	for (unsigned int i = 0; i < 20; i++)
		ASSERT_EQ(7, kipc_recv(self->fd, self->got, ROOM, NULL, 0));
	EXPECT_EQ(self->slabs + 4, kt_slab_objects());

	/* a lowered limit keeps nothing new */
	kt_set_param("spares_max", 0);
	for (unsigned int i = 0; i < 6; i++)
		ASSERT_EQ(0, kipc_send(self->fd, "message", 7, 0));
	for (unsigned int i = 0; i < 6; i++)
		ASSERT_EQ(7, kipc_recv(self->fd, self->got, ROOM, NULL, 0));
	EXPECT_EQ(self->slabs, kt_slab_objects());
}

TEST_F(spares, they_go_with_the_file)
{
	ASSERT_TRUE(send_and_take(self, 100, 1));
	ASSERT_TRUE(send_and_take(self, LARGE, 1));
	close(self->fd);
	EXPECT_TRUE(kt_until(kt_slab_objects() == 0));
	self->fd = -1;
}

TEST_F(spares, a_message_outlives_the_file_it_was_sent_through)
{
	char address[32];
	long slabs;
	int fd;

	snprintf(address, sizeof(address), "id:%u", kt_id(self->fd));
	fd = kipc_open(address, KIPC_RIGHT_SEND, 0);
	ASSERT_LE(0, fd);
	slabs = kt_slab_objects();
	kt_fill(self->sent, LARGE, 3);
	ASSERT_EQ(0, kipc_send(fd, self->sent, LARGE, 0));
	ASSERT_EQ(0, kipc_send(fd, self->sent, 100, 0));
	close(fd);
	ASSERT_EQ(LARGE, kipc_recv(self->fd, self->got, ROOM, NULL, 0));
	EXPECT_TRUE(kt_filled(self->got, LARGE, 3));
	ASSERT_EQ(100, kipc_recv(self->fd, self->got, ROOM, NULL, 0));
	EXPECT_TRUE(kt_filled(self->got, 100, 3));
	/* the file, and both messages */
	EXPECT_TRUE(kt_until(kt_slab_objects() == slabs - 1));
}

TEST_F(spares, a_call_that_lingers_at_its_server_keeps_none_of_its_file)
{
	struct kipc_msg call = { 0 };
	struct kipc_result result = { 0 };
	char address[32];
	long slabs;
	int fd;

	snprintf(address, sizeof(address), "id:%u", kt_id(self->fd));
	fd = kipc_open(address, KIPC_RIGHT_SEND, 0);
	ASSERT_LE(0, fd);
	for (unsigned int i = 0; i < 4; i++)
		ASSERT_EQ(0, kipc_send(fd, "message", 7, 0));
	for (unsigned int i = 0; i < 4; i++)
		ASSERT_EQ(7, kipc_recv(self->fd, self->got, ROOM, NULL, 0));
	slabs = kt_slab_objects();
	ASSERT_EQ(0, kipc_rpc_start(fd, &call, 0, NULL, -1));
	ASSERT_EQ(0, kipc_recv(self->fd, self->got, ROOM, &result, 0));
	ASSERT_NE(0, result.token);
	close(fd);
	/* the call has come, and the spares have gone; the file stays until it has gone too */
	EXPECT_TRUE(kt_until(kt_slab_objects() == slabs + 1 - 4));
	EXPECT_EQ(-ECANCELED, kipc_reply(self->fd, result.token, NULL, 0));
	/* ... but for the reply, which is now a spare of the server's */
	EXPECT_TRUE(kt_until(kt_slab_objects() == slabs - 4 - 1 + 1));
}

TEST_F(spares, every_size_comes_as_it_was_sent)
{
	static const size_t sizes[] = {
		0, LARGE, 1, 127, 128, 129, 4096, LARGE / 2, LARGE / 2 + 1, 128, LARGE + 1,
		LARGE, 200, 4 * LARGE, LARGE, 2 * LARGE, 129, 5000, 4097, LARGE - 1, 0,
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(sizes); i++)
		ASSERT_TRUE(send_and_take(self, sizes[i], i));
	/* several at a time, so that not each can have the one that is kept */
	for (unsigned int i = 0; i < 8; i++) {
		kt_fill(self->sent, LARGE - i, i);
		ASSERT_EQ(0, kipc_send(self->fd, self->sent, LARGE - i, 0));
	}
	for (unsigned int i = 0; i < 8; i++) {
		ASSERT_EQ((ssize_t)(LARGE - i),
			  kipc_recv(self->fd, self->got, ROOM, NULL, 0));
		EXPECT_TRUE(kt_filled(self->got, LARGE - i, i));
	}
}

TEST_F(spares, a_failed_send_uses_up_nothing)
{
	ASSERT_TRUE(send_and_take(self, 100, 1));
	for (unsigned int i = 0; i < 10; i++) {
		EXPECT_EQ(-EFAULT, kipc_send(self->fd, kt_hole(), 100, 0));
		EXPECT_EQ(-EFAULT, kipc_send(self->fd, kt_hole(), LARGE, 0));
	}
	EXPECT_EQ(self->slabs + 1, kt_slab_objects());
	EXPECT_TRUE(send_and_take(self, LARGE, 2));
}

/* A server that answers each call with as many bytes as the call says */
static void serve_sizes(int fd)
{
	static unsigned char buf[ROOM];
	struct kipc_result result = { 0 };
	size_t size = 0;

	for (;;) {
		ssize_t n = kipc_reply_recv(fd, buf, size, buf, sizeof(buf), &result, -1);

		if (n < (ssize_t)sizeof(uint32_t))
			_exit(n == 0 ? 0 : 1);
		memcpy(&size, buf, sizeof(uint32_t));
		kt_fill(buf, size, (unsigned int)size);
	}
}

TEST_F(spares, replies_of_every_size)
{
	static const uint32_t sizes[] = {
		1, LARGE, 0, 128, 129, LARGE / 2, 4 * LARGE, 100, 40000, 33000, LARGE, 1,
	};
	long slabs = 0;
	pid_t server = fork();
	int status;

	ASSERT_LE(0, server);
	if (!server)
		serve_sizes(self->fd);
	for (unsigned int round = 0; round < 3; round++) {
		for (unsigned int i = 0; i < ARRAY_SIZE(sizes); i++) {
			uint32_t size = sizes[i];

			memcpy(self->sent, &size, sizeof(size));
			kt_poison(self->got, size + BEYOND);
			ASSERT_EQ((ssize_t)size, kipc_rpc(self->fd, self->sent,
							  round && size > 4 ? size : 4,
							  self->got, ROOM, -1));
			EXPECT_TRUE(kt_filled(self->got, size, size));
			EXPECT_TRUE(kt_poisoned(self->got + size, BEYOND));
		}
		if (!round)
			slabs = kt_slab_objects();
	}
	/* calls and replies came back, too */
	EXPECT_EQ(slabs, kt_slab_objects());
	ASSERT_EQ(0, kipc_send(self->fd, "", 0, -1));
	ASSERT_EQ(server, waitpid(server, &status, 0));
	EXPECT_EQ(0, status);
}

TEST_HARNESS_MAIN
