// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Promise 12: old ids and tokens hit nothing, and no token works elsewhere.
 */
#include "common.h"
#include "harness.h"

FIXTURE(tokens) {
	int dev;
	int fd;		/* all rights */
	int client;	/* SEND */
	int other;	/* all rights on another endpoint */
	char buf[8192];
	struct kipc_result result;
};

FIXTURE_SETUP(tokens)
{
	self->dev = kt_device();
	self->fd = kt_private(self->dev, 0, NULL);
	self->client = kt_again(self->dev, kt_id(self->fd), KIPC_RIGHT_SEND);
	ASSERT_GE(self->client, 0);
	self->other = kt_private(self->dev, 0, NULL);
}

FIXTURE_TEARDOWN(tokens)
{
	kt_restore_params();
	close(self->client);
	close(self->fd);
	close(self->other);
	close(self->dev);
}

/* Starts an ASYNC call; its caller token */
static uint64_t start_call(int fd, uint32_t flags)
{
	struct kipc_op_rpc op = kt_rpc_op("?", 1, NULL, 0, NULL);
	long ret;

	op.flags = KIPC_ASYNC | flags;
	op.reply_room = 16;
	ret = kt_op_rpc(fd, &op);
	if (ret)
		kt_complain("a call was refused: %ld", ret);
	kt_need(ret == 0);
	return op.token;
}

/* Takes a call; its delivery token, 0 if there is none */
static uint64_t take_call(int fd)
{
	struct kipc_result result;
	char buf[16];

	if (kt_recv(fd, 0, 0, 0, buf, sizeof(buf), &result) != 1)
		return 0;
	return result.token;
}

static long collect(int fd, uint64_t token, void *buf, struct kipc_result *result)
{
	struct kipc_op_rpc op = kt_rpc_op(NULL, 0, buf, 16, result);

	op.token = token;
	op.flags = KIPC_NONBLOCK;
	return kt_op_rpc(fd, &op);
}

static void expect_gone(struct __test_metadata *_metadata, int dev, uint32_t id)
{
	struct kipc_endpoint info;
	struct kipc_result result;
	char buf[16];
	long ret;

	kt_poison(&info, sizeof(info));
	EXPECT_EQ(-EIDRM, kt_stat_id(dev, id, &info));
	EXPECT_TRUE(kt_poisoned(&info, sizeof(info)));
	EXPECT_EQ(-EIDRM, kt_send(dev, id, 0, 0, "x", 1));
	EXPECT_EQ(-EIDRM, kt_recv(dev, id, 0, 0, buf, sizeof(buf), &result));
	EXPECT_EQ(-EIDRM, kt_chmod(dev, id, 0666));
	EXPECT_EQ(-EIDRM, kt_remove(dev, id));
	ret = kt_again(dev, id, KIPC_RIGHT_SEND);
	EXPECT_TRUE(ret == -ENOENT || ret == -EIDRM);
}

TEST_F(tokens, p12_the_id_of_a_removed_endpoint)
{
	uint32_t id = kt_id(self->fd);

	EXPECT_EQ(0, kt_remove(self->dev, id));
	expect_gone(_metadata, self->dev, id);
	close(self->fd);
	expect_gone(_metadata, self->dev, id);

	id = kt_id(self->other);
	close(self->other);
	expect_gone(_metadata, self->dev, id);
}

TEST_F(tokens, p12_ids_that_never_were)
{
	uint32_t id = kt_id(self->fd);

	/* the only other one there is: it may well be the neighbour */
	EXPECT_EQ(0, kipc_remove(self->other, 0));
	expect_gone(_metadata, self->dev, id ^ 1);
	expect_gone(_metadata, self->dev, id ^ (1U << 10));
	expect_gone(_metadata, self->dev, id ^ (1U << 11));
	expect_gone(_metadata, self->dev, 1);
	expect_gone(_metadata, self->dev, 0x7fffffff);
	expect_gone(_metadata, self->dev, 0x80000000);
	expect_gone(_metadata, self->dev, id | 0x80000000);
	expect_gone(_metadata, self->dev, ~0U);
	EXPECT_TRUE(kt_quiet(self->fd));
}

TEST_F(tokens, p12_handles_of_a_removed_endpoint)
{
	struct kipc_endpoint info;

	EXPECT_EQ(0, kipc_send(self->fd, "x", 1, 0));
	EXPECT_EQ(0, kipc_remove(self->fd, 0));
	EXPECT_EQ(-EIDRM, kipc_send(self->client, "x", 1, -1));
	EXPECT_EQ(-EIDRM, kipc_recv(self->fd, self->buf, 8192, &self->result, -1));
	EXPECT_EQ(-EIDRM, kipc_rpc(self->client, "x", 1, self->buf, 10, -1));
	EXPECT_EQ(-EIDRM, kipc_stat(self->fd, 0, &info));
	EXPECT_EQ(-EIDRM, kipc_remove(self->fd, 0));
	EXPECT_EQ(-EIDRM, kt_chmod(self->fd, 0, 0666));
}

static long ids_wrap(void *arg)
{
	static unsigned char seen[1 << 28];	/* a bit for each of 2^31 ids, touched sparsely */
	int dev = kt_device();
	uint32_t first = 0;

	(void)arg;
	for (unsigned int i = 0; i < 4 * 1000; i++) {
		struct kipc_endpoint info;
		int fd = kt_private(dev, 0, NULL);
		uint32_t id = kt_id(fd);

		kt_need(id != 0 && id < 1U << 31);
		if (seen[id / 8] & (1U << (id % 8))) {
			kt_complain("id %u came again after %u others", id, i);
			return -1;
		}
		seen[id / 8] |= (unsigned char)(1U << (id % 8));
		if (!first)
			first = id;
		else
			kt_need(kt_stat_id(dev, first, &info) == -EIDRM);
		close(fd);
	}
	return 0;
}

/* With four places only, an id is not used again for thousands of endpoints */
TEST_F(tokens, p12_ids_are_not_reused_for_long)
{
	const struct kt_how how = { .ns = CLONE_NEWNET };

	kt_set_param("endpoints_max", 4);
	EXPECT_EQ(0, kt_run(&how, ids_wrap, NULL));
}

TEST_F(tokens, p12_a_caller_token_works_on_its_own_file_only)
{
	uint64_t token = start_call(self->client, 0), delivery;
	int second = kt_again(self->dev, kt_id(self->fd), KIPC_RIGHT_SEND), same;
	struct kipc_result result;
	char buf[16];

	ASSERT_GE(second, 0);
	ASSERT_NE(0, token);
	delivery = take_call(self->fd);
	ASSERT_NE(0, delivery);

	kt_poison(buf, sizeof(buf));
	EXPECT_EQ(-ENOENT, collect(second, token, buf, &result));
	EXPECT_EQ(-ENOENT, collect(self->fd, token, buf, &result));
	EXPECT_EQ(-ENOENT, collect(self->other, token, buf, &result));
	EXPECT_EQ(-ENOENT, collect(self->dev, token, buf, &result));
	EXPECT_EQ(-ENOENT, kt_cancel(second, token, NULL));
	EXPECT_EQ(-ENOENT, kt_cancel(self->dev, token, NULL));
	EXPECT_TRUE(kt_poisoned(buf, sizeof(buf)));
	EXPECT_EQ(0, kipc_wanted(self->fd, delivery));

	EXPECT_EQ(0, kt_reply(self->fd, delivery, 0, "ok", 2));
	EXPECT_EQ(-ENOENT, collect(second, token, buf, &result));
	/* another descriptor of the same file is the same file */
	same = dup(self->client);
	EXPECT_EQ(2, collect(same, token, buf, &result));
	EXPECT_EQ(-ENOENT, collect(self->client, token, buf, &result));
	EXPECT_EQ(-ENOENT, kt_cancel(self->client, token, NULL));
	EXPECT_TRUE(kt_quiet(self->fd));
	close(same);
	close(second);
}

TEST_F(tokens, p12_a_cancelled_call_is_gone)
{
	uint64_t token = start_call(self->client, 0);
	struct kipc_result result;
	char buf[16];

	EXPECT_EQ(0, kt_cancel(self->client, token, NULL));
	EXPECT_EQ(-ENOENT, kt_cancel(self->client, token, NULL));
	EXPECT_EQ(-ENOENT, collect(self->client, token, buf, &result));
	EXPECT_EQ(0, take_call(self->fd));
	EXPECT_TRUE(kt_quiet(self->fd));
}

TEST_F(tokens, p12_a_delivery_token_needs_recv_on_its_endpoint)
{
	uint64_t token = start_call(self->client, 0), delivery = take_call(self->fd);
	int second = kt_again(self->dev, kt_id(self->fd), KIPC_RIGHT_RECV);
	struct kipc_result result;
	char buf[16];

	ASSERT_NE(0, delivery);
	ASSERT_GE(second, 0);
	EXPECT_EQ(-ENOENT, kt_reply(self->other, delivery, 0, "no", 2));
	EXPECT_EQ(-EBADF, kt_reply(self->client, delivery, 0, "no", 2));
	EXPECT_EQ(-EBADF, kt_reply(self->dev, delivery, 0, "no", 2));
	EXPECT_EQ(-ENOENT, kipc_wanted(self->other, delivery));
	EXPECT_EQ(-ENOENT, kipc_adopt(self->other, delivery));
	EXPECT_EQ(-EAGAIN, collect(self->client, token, buf, &result));
	EXPECT_EQ(1, kt_stat(self->fd).calls);

	/* any handle with RECV of that endpoint will do */
	EXPECT_EQ(0, kt_reply(second, delivery, 0, "ok", 2));
	EXPECT_EQ(2, collect(self->client, token, buf, &result));
	EXPECT_EQ(0, memcmp(buf, "ok", 2));
	close(second);
}

TEST_F(tokens, p12_a_used_delivery_token)
{
	uint64_t token = start_call(self->client, 0), delivery = take_call(self->fd);
	struct kipc_result result;
	char buf[16];

	EXPECT_EQ(0, kt_reply(self->fd, delivery, 0, "ok", 2));
	EXPECT_EQ(-ENOENT, kt_reply(self->fd, delivery, 0, "again", 5));
	EXPECT_EQ(-ENOENT, kipc_wanted(self->fd, delivery));
	EXPECT_EQ(-ENOENT, kipc_adopt(self->fd, delivery));
	EXPECT_EQ(2, collect(self->client, token, buf, &result));
	EXPECT_EQ(-ENOENT, kt_reply(self->fd, delivery, 0, "again", 5));

	/* told ECANCELED once, then it is used up as well */
	token = start_call(self->client, 0);
	delivery = take_call(self->fd);
	EXPECT_EQ(0, kt_cancel(self->client, token, NULL));
	EXPECT_EQ(-ECANCELED, kipc_wanted(self->fd, delivery));
	EXPECT_EQ(-ECANCELED, kt_reply(self->fd, delivery, 0, "late", 4));
	EXPECT_EQ(-ENOENT, kt_reply(self->fd, delivery, 0, "late", 4));
	EXPECT_TRUE(kt_quiet(self->fd));
}

TEST_F(tokens, p12_forged_tokens)
{
	uint64_t token = start_call(self->client, 0), delivery = take_call(self->fd);
	const uint64_t forged[] = {
		1, delivery + 1, delivery - 1, delivery ^ (1ULL << 63), delivery ^ (1ULL << 32),
		token, token + 1, ~0ULL, 1ULL << 63,
	};
	struct kipc_result result;
	char buf[16];
	long ret;

	ASSERT_NE(0, delivery);
	for (unsigned int i = 0; i < ARRAY_SIZE(forged); i++) {
		if (forged[i] == delivery)
			continue;
		EXPECT_EQ(-ENOENT, kt_reply(self->fd, forged[i], 0, "no", 2));
		EXPECT_EQ(-ENOENT, kipc_wanted(self->fd, forged[i]));
		EXPECT_EQ(-ENOENT, kipc_adopt(self->fd, forged[i]));
		if (forged[i] == token)
			continue;
		EXPECT_EQ(-ENOENT, collect(self->client, forged[i], buf, &result));
		EXPECT_EQ(-ENOENT, kt_cancel(self->client, forged[i], NULL));
	}
	ret = kt_reply(self->fd, 0, 0, "no", 2);
	EXPECT_TRUE(ret == -ENOENT || ret == -EINVAL);
	EXPECT_EQ(-ENOENT, collect(self->client, delivery == token ? 1 : delivery, buf, &result));
	EXPECT_EQ(0, kt_reply(self->fd, delivery, 0, "ok", 2));
	EXPECT_EQ(2, collect(self->client, token, buf, &result));
}

struct taken {
	int fd;
	uint64_t delivery;
	struct kt_flag ready;
};

static long take_and_hold(void *arg)
{
	struct taken *taken = arg;

	taken->delivery = take_call(taken->fd);
	kt_raise(&taken->ready);
	pause();
	return 0;
}

/* The call comes back when its server dies, and its next delivery is another one */
TEST_F(tokens, p12_the_token_of_a_previous_delivery)
{
	uint64_t token = start_call(self->client, KIPC_IDEMPOTENT), delivery;
	struct taken *taken = kt_new(struct taken);
	struct kt_job *job;

	taken->fd = self->fd;
	job = kt_start(KT_FORK, take_and_hold, taken);
	ASSERT_TRUE(kt_await(&taken->ready));
	ASSERT_NE(0, taken->delivery);
	EXPECT_EQ(1, kt_stat(self->fd).calls);
	EXPECT_EQ(KT_DIED - SIGKILL, kt_kill(job));
	ASSERT_TRUE(kt_until(kt_stat(self->fd).msgs == 1));

	EXPECT_EQ(-ENOENT, kt_reply(self->fd, taken->delivery, 0, "old", 3));
	delivery = take_call(self->fd);
	ASSERT_NE(0, delivery);
	EXPECT_NE(taken->delivery, delivery);
	EXPECT_EQ(-ENOENT, kt_reply(self->fd, taken->delivery, 0, "old", 3));
	EXPECT_EQ(-ENOENT, kipc_wanted(self->fd, taken->delivery));
	EXPECT_EQ(0, kt_reply(self->fd, delivery, 0, "new", 3));
	EXPECT_EQ(3, collect(self->client, token, self->buf, &self->result));
	EXPECT_EQ(0, memcmp(self->buf, "new", 3));
	EXPECT_TRUE(kt_quiet(self->fd));
}

TEST_F(tokens, p12_tokens_do_not_repeat)
{
	static uint64_t seen[2 * 500];
	unsigned int n = 0;

	for (unsigned int i = 0; i < 500; i++) {
		uint64_t token = start_call(self->client, 0), delivery = take_call(self->fd);

		ASSERT_NE(0, token);
		ASSERT_NE(0, delivery);
		for (unsigned int j = 0; j < n; j += 2) {
			ASSERT_NE(seen[j], token);
			ASSERT_NE(seen[j + 1], delivery);
		}
		seen[n++] = token;
		seen[n++] = delivery;
		ASSERT_EQ(0, kt_reply(self->fd, delivery, 0, "ok", 2));
		ASSERT_EQ(2, collect(self->client, token, self->buf, &self->result));
	}
	EXPECT_TRUE(kt_quiet(self->fd));
}

TEST_F(tokens, p12_a_delivery_of_a_removed_endpoint)
{
	uint64_t token = start_call(self->client, 0), delivery = take_call(self->fd);

	ASSERT_NE(0, delivery);
	EXPECT_EQ(0, kipc_remove(self->fd, 0));
	EXPECT_EQ(-ECANCELED, kt_reply(self->fd, delivery, 0, "late", 4));
	EXPECT_EQ(-EIDRM, collect(self->client, token, self->buf, &self->result));
	EXPECT_EQ(KIPC_RESULT_DELIVERED, self->result.flags);
	EXPECT_EQ(-ENOENT, collect(self->client, token, self->buf, &self->result));
}

TEST_HARNESS_MAIN
