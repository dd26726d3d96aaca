// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Reads and writes of handles by io_uring: those that wait do it without a thread.
 */
#include <dirent.h>
#include <liburing.h>

#include "call_common.h"
#include "harness.h"

#define MAX_SIZE 4096
#define MAX_MSGS 4
#define FLIGHTS 16

FIXTURE(uring) {
	int all;	/* all rights */
	int srv;	/* may receive */
	int cli;	/* may send */
	struct io_uring ring;
	char *buf;
};

FIXTURE_SETUP(uring)
{
	struct kipc_attr attr = { .max_size = MAX_SIZE, .max_msgs = MAX_MSGS };

	self->all = private_endpoint(KIPC_OPEN_ONEWAY, &attr);
	ASSERT_LE(0, self->all);
	self->srv = open_same(self->all, KIPC_RIGHT_RECV);
	self->cli = open_same(self->all, KIPC_RIGHT_SEND);
	ASSERT_LE(0, self->srv);
	ASSERT_LE(0, self->cli);
	ASSERT_EQ(0, io_uring_queue_init(2 * FLIGHTS, &self->ring, 0));
	self->buf = kt_shared(FLIGHTS * MAX_SIZE);
}

FIXTURE_TEARDOWN(uring)
{
	io_uring_queue_exit(&self->ring);
	close(self->cli);
	close(self->srv);
	close(self->all);
}

/* A prep function of liburing, with its arguments behind the sqe; on its way */
#define begin(ring, number, prep, ...)						\
	do {									\
		struct io_uring_sqe *sqe_ = io_uring_get_sqe(ring);		\
										\
		kt_need(sqe_);							\
		prep(sqe_, __VA_ARGS__);					\
		io_uring_sqe_set_data64(sqe_, number);				\
		kt_need(io_uring_submit(ring) == 1);				\
	} while (0)

#define NOTHING (-100000)

/* What has ended by now: its result and number; or NOTHING */
static int ended(struct io_uring *ring, uint64_t *number)
{
	struct io_uring_cqe *cqe;
	int ret;

	/* For what is to be done in this task's own time */
	kt_need(io_uring_submit_and_get_events(ring) >= 0);
	if (io_uring_peek_cqe(ring, &cqe))
		return NOTHING;
	ret = cqe->res;
	if (number)
		*number = io_uring_cqe_get_data64(cqe);
	io_uring_cqe_seen(ring, cqe);
	return ret;
}

/* What ends next, which has to come */
static int awaited(struct io_uring *ring, uint64_t *number)
{
	int ret = NOTHING;

	kt_until((ret = ended(ring, number)) != NOTHING);
	return ret;
}

/* Threads of io_uring's that this process has: each holds a request that blocks */
static unsigned int workers(void)
{
	DIR *dir = opendir("/proc/self/task");
	char path[300], name[64];
	struct dirent *entry;
	unsigned int n = 0;

	kt_need(dir);
	while ((entry = readdir(dir))) {
		snprintf(path, sizeof(path), "/proc/self/task/%s/comm", entry->d_name);
		if (entry->d_name[0] != '.' && kt_read_file(path, name, sizeof(name)) > 0)
			n += !strncmp(name, "iou-wrk", 7);
	}
	closedir(dir);
	return n;
}

TEST_F(uring, what_need_not_wait_is_done_at_once)
{
	begin(&self->ring, 1, io_uring_prep_write, self->cli, "hello", 5, 0);
	EXPECT_EQ(5, awaited(&self->ring, NULL));
	EXPECT_EQ(1, kt_stat(self->srv).msgs);
	begin(&self->ring, 2, io_uring_prep_read, self->srv, self->buf, 3, 0);
	EXPECT_EQ(-EMSGSIZE, awaited(&self->ring, NULL));
	begin(&self->ring, 3, io_uring_prep_read, self->srv, self->buf, MAX_SIZE, 0);
	EXPECT_EQ(5, awaited(&self->ring, NULL));
	EXPECT_EQ(0, memcmp(self->buf, "hello", 5));
	begin(&self->ring, 4, io_uring_prep_read, self->cli, self->buf, 1, 0);
	EXPECT_EQ(-EBADF, awaited(&self->ring, NULL));
	begin(&self->ring, 5, io_uring_prep_write, self->cli, self->buf, MAX_SIZE + 1, 0);
	EXPECT_EQ(-EMSGSIZE, awaited(&self->ring, NULL));
	EXPECT_EQ(0, workers());
}

TEST_F(uring, a_read_waits_without_a_thread)
{
	begin(&self->ring, 1, io_uring_prep_read, self->srv, self->buf, MAX_SIZE, 0);
	EXPECT_EQ(NOTHING, ended(&self->ring, NULL));
	EXPECT_EQ(0, workers());
	EXPECT_EQ(0, kt_stat(self->srv).waiters);
	ASSERT_EQ(5, write(self->cli, "hello", 5));
	EXPECT_EQ(5, awaited(&self->ring, NULL));
	EXPECT_EQ(0, memcmp(self->buf, "hello", 5));
	EXPECT_EQ(0, workers());
	EXPECT_TRUE(kt_quiet(self->srv));
}

TEST_F(uring, a_write_waits_without_a_thread)
{
	struct iovec iov[3] = { { "a", 1 }, { "bc", 2 }, { "def", 3 } };
	char out[16];

	for (unsigned int i = 0; i < MAX_MSGS; i++)
		ASSERT_EQ(0, kipc_send(self->cli, "full", 4, 0));
	begin(&self->ring, 1, io_uring_prep_writev, self->cli, iov, 3, 0);
	EXPECT_EQ(NOTHING, ended(&self->ring, NULL));
	EXPECT_EQ(0, workers());
	for (unsigned int i = 0; i < MAX_MSGS; i++)
		ASSERT_EQ(4, read(self->srv, out, sizeof(out)));
	EXPECT_EQ(6, awaited(&self->ring, NULL));
	EXPECT_EQ(0, workers());
	/* all of it, from its beginning */
	EXPECT_EQ(6, read(self->srv, out, sizeof(out)));
	EXPECT_EQ(0, memcmp(out, "abcdef", 6));
	EXPECT_TRUE(kt_quiet(self->srv));
}

TEST_F(uring, many_reads_in_flight_share_the_messages)
{
	unsigned int seen[FLIGHTS] = { 0 };
	uint64_t number;
	char *buf;

	for (unsigned int i = 0; i < FLIGHTS; i++)
		begin(&self->ring, i, io_uring_prep_read, self->srv, self->buf + i * MAX_SIZE,
		      MAX_SIZE, 0);
	EXPECT_EQ(NOTHING, ended(&self->ring, NULL));
	EXPECT_EQ(0, workers());
	for (unsigned int i = 0; i < FLIGHTS; i++) {
		char byte = (char)i;

		ASSERT_EQ(1, write(self->cli, &byte, 1));
		ASSERT_EQ(1, awaited(&self->ring, &number));
		ASSERT_LT(number, FLIGHTS);
		buf = self->buf + number * MAX_SIZE;
		EXPECT_EQ(byte, *buf);
		EXPECT_EQ(1, ++seen[number]);
	}
	EXPECT_EQ(NOTHING, ended(&self->ring, NULL));
	EXPECT_TRUE(kt_quiet(self->srv));
}

TEST_F(uring, buffers_that_are_registered)
{
	struct iovec iov = { self->buf, FLIGHTS * MAX_SIZE };

	ASSERT_EQ(0, io_uring_register_buffers(&self->ring, &iov, 1));
	kt_fill(self->buf, MAX_SIZE, 3);
	/* not where a page begins */
	begin(&self->ring, 1, io_uring_prep_write_fixed, self->cli, self->buf + 1, MAX_SIZE - 1,
	      0, 0);
	EXPECT_EQ(MAX_SIZE - 1, awaited(&self->ring, NULL));
	begin(&self->ring, 2, io_uring_prep_read_fixed, self->srv, self->buf + MAX_SIZE + 1000,
	      MAX_SIZE, 0, 0);
	EXPECT_EQ(MAX_SIZE - 1, awaited(&self->ring, NULL));
	EXPECT_EQ(0, memcmp(self->buf + 1, self->buf + MAX_SIZE + 1000, MAX_SIZE - 1));
	/* and one that waits */
	begin(&self->ring, 3, io_uring_prep_read_fixed, self->srv, self->buf, 10, 0, 0);
	EXPECT_EQ(NOTHING, ended(&self->ring, NULL));
	ASSERT_EQ(3, write(self->cli, "abc", 3));
	EXPECT_EQ(3, awaited(&self->ring, NULL));
	EXPECT_EQ(0, memcmp(self->buf, "abc", 3));
	EXPECT_EQ(0, workers());
}

TEST_F(uring, p14_nowait_never_waits)
{
	struct iovec iov = { self->buf, MAX_SIZE };

	begin(&self->ring, 1, io_uring_prep_readv2, self->srv, &iov, 1, 0, RWF_NOWAIT);
	EXPECT_EQ(-EAGAIN, awaited(&self->ring, NULL));
	iov.iov_len = 1;
	for (unsigned int i = 0; i < MAX_MSGS; i++) {
		begin(&self->ring, 2, io_uring_prep_writev2, self->cli, &iov, 1, 0, RWF_NOWAIT);
		EXPECT_EQ(1, awaited(&self->ring, NULL));
	}
	begin(&self->ring, 3, io_uring_prep_writev2, self->cli, &iov, 1, 0, RWF_NOWAIT);
	EXPECT_EQ(-EAGAIN, awaited(&self->ring, NULL));
	EXPECT_EQ(0, workers());
}

TEST_F(uring, p08_a_read_that_waits_ends_with_the_endpoint)
{
	struct kipc_attr attr = { .max_msgs = 1 };
	int other = private_endpoint(KIPC_OPEN_ONEWAY, &attr);

	begin(&self->ring, 1, io_uring_prep_read, self->srv, self->buf, MAX_SIZE, 0);
	ASSERT_EQ(0, kipc_send(other, "x", 1, 0));
	begin(&self->ring, 2, io_uring_prep_write, other, "y", 1, 0);
	EXPECT_EQ(NOTHING, ended(&self->ring, NULL));
	ASSERT_EQ(0, kipc_remove(self->all, 0));
	EXPECT_EQ(0, awaited(&self->ring, NULL));
	ASSERT_EQ(0, kipc_remove(other, 0));
	EXPECT_EQ(-EIDRM, awaited(&self->ring, NULL));
	close(other);

	/* or with the right to receive */
	other = private_endpoint(KIPC_OPEN_ONEWAY, NULL);
	begin(&self->ring, 3, io_uring_prep_read, other, self->buf, MAX_SIZE, 0);
	EXPECT_EQ(NOTHING, ended(&self->ring, NULL));
	ASSERT_EQ(0, kipc_shutdown(other));
	EXPECT_EQ(0, awaited(&self->ring, NULL));
	close(other);
}

TEST_F(uring, p02_a_read_that_is_cancelled_takes_nothing)
{
	uint64_t number;
	int ret;

	begin(&self->ring, 1, io_uring_prep_read, self->srv, self->buf, MAX_SIZE, 0);
	EXPECT_EQ(NOTHING, ended(&self->ring, NULL));
	begin(&self->ring, 2, io_uring_prep_cancel64, 1, 0);
	for (unsigned int i = 0; i < 2; i++) {
		ret = awaited(&self->ring, &number);
		EXPECT_EQ(number == 1 ? -ECANCELED : 0, ret);
	}
	ASSERT_EQ(3, write(self->cli, "abc", 3));
	EXPECT_EQ(1, kt_stat(self->srv).msgs);
	EXPECT_EQ(3, read(self->srv, self->buf, MAX_SIZE));
}

/* A ring that goes while a read waits, and with it the last of its file */
TEST_F(uring, an_end_of_all_leaves_nothing)
{
	struct io_uring ring;
	int other = private_endpoint(KIPC_OPEN_ONEWAY, NULL);
	int cli = open_same(other, KIPC_RIGHT_SEND);

	ASSERT_EQ(0, io_uring_queue_init(2, &ring, 0));
	begin(&ring, 1, io_uring_prep_read, other, self->buf, MAX_SIZE, 0);
	EXPECT_EQ(NOTHING, ended(&ring, NULL));
	close(other);
	/* the request has the file */
	EXPECT_EQ(POLLOUT, polled(cli));
	io_uring_queue_exit(&ring);
	EXPECT_TRUE(kt_until(polled(cli) & POLLHUP));
	close(cli);
}

TEST_F(uring, p11_it_is_the_openers_write)
{
	int dev = kt_device(), fd;
	struct kipc_result result;

	fd = (int)kt_do_as(KT_UID_A, kt_again(dev, kt_id(self->srv), KIPC_RIGHT_SEND));
	ASSERT_LE(0, fd);
	begin(&self->ring, 1, io_uring_prep_write, fd, "x", 1, 0);
	EXPECT_EQ(1, awaited(&self->ring, NULL));
	EXPECT_EQ(1, take(self->srv, &result));
	EXPECT_EQ(KT_UID_A, result.uid);
	close(fd);
	close(dev);
}

TEST_HARNESS_MAIN
