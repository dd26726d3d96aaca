// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Failures in read(), write() and O_ASYNC: each allocation and each copy fails once. A
 * write that fails leaves nothing, a read that fails loses nothing.
 */
#include <sys/uio.h>

#include "fail.h"
#include "harness.h"

#define SEGS 10		/* more than the kernel has room for on its stack */
#define SMALL 100	/* fits into the message itself */
#define MIDDLE 3000	/* memory of its own */
#define SEED 1

/* All is done by an ordinary user, with room for one message and one waiting task */
FIXTURE(rw) {
	int dev;
	int fd;
	long slabs;
	unsigned int fds;
	char *in;
	char *out;
	struct iovec from[SEGS];
	struct iovec to[SEGS];
};

FIXTURE_SETUP(rw)
{
	const struct kipc_attr attr = { .max_size = MIDDLE, .max_msgs = 1 };

	fail_setup();
	self->slabs = kt_slab_objects();
	kt_set_param("spares_max", 0);
	kt_set_param("waiters_max", 1);
	self->dev = kt_device();
	fail_become(KT_UID_A);
	self->fd = kt_private(self->dev, KIPC_OPEN_ONEWAY, &attr);
	self->fds = kt_open_fds();
	self->in = fail_buffer(MIDDLE);
	self->out = fail_buffer(MIDDLE);
	kt_fill(self->in, MIDDLE, SEED);
}

FIXTURE_TEARDOWN(rw)
{
	EXPECT_EQ(self->fds, kt_open_fds());
	EXPECT_TRUE(kt_quiet(self->fd));
	kt_euid(0);
	close(self->fd);
	close(self->dev);
	kt_restore_params();
	EXPECT_TRUE(kt_until(!kt_pins_held()));
	EXPECT_TRUE(kt_until(kt_slab_objects() == self->slabs));
}

/* @size bytes in and out, in @segs segments */
static void cut(FIXTURE_DATA(rw) *self, size_t size, unsigned int segs)
{
	size_t part = size / segs;

	kt_need(part * segs == size);
	for (unsigned int i = 0; i < segs; i++) {
		self->from[i] = (struct iovec){ self->in + i * part, part };
		self->to[i] = (struct iovec){ self->out + i * part, part };
	}
	kt_poison(self->out, MIDDLE);
}

/* The one message is there, whole, in its place; it is taken */
static bool take_it(FIXTURE_DATA(rw) *self, size_t size)
{
	struct kipc_result result = { 0 };
	long ret = kt_recv(self->fd, 0, 0, 0, self->out, MIDDLE, &result);

	if (ret == (long)size && result.deliveries == 1 && kt_filled(self->out, size, SEED))
		return kt_quiet(self->fd);
	kt_complain("received %ld bytes, delivery %u", ret, result.deliveries);
	return false;
}

static void sweep_write(struct __test_metadata *_metadata, FIXTURE_DATA(rw) *self, size_t size,
			unsigned int segs, unsigned int memory, unsigned int copies)
{
	struct sweep s = SWEEP;
	long ret;

	cut(self, size, segs);
	while (sweep_round(&s)) {
		if (segs == 1)
			ret = FAILING(&s, fail_errno(write(self->fd, self->in, size)));
		else
			ret = FAILING(&s, fail_errno(writev(self->fd, self->from, (int)segs)));
		if (ret < 0) {
			ASSERT_TRUE(sweep_failed(&s, ret));
			ASSERT_TRUE(kt_quiet(self->fd));
		} else {
			ASSERT_EQ(size, ret);
			ASSERT_TRUE(take_it(self, size));
		}
	}
	EXPECT_TRUE(sweep_covered(&s, memory, copies));
}

/* The message, and what it carries */
TEST_F(rw, write_small)
{
	sweep_write(_metadata, self, SMALL, 1, 1, 1);
}

TEST_F(rw, write_middle)
{
	sweep_write(_metadata, self, MIDDLE, 1, 2, 1);
}

/* ... and the kernel's segments */
TEST_F(rw, write_segments)
{
	sweep_write(_metadata, self, MIDDLE, SEGS, 3, 1 + SEGS);
}

static void sweep_read(struct __test_metadata *_metadata, FIXTURE_DATA(rw) *self, size_t size,
		       unsigned int segs, unsigned int memory, unsigned int copies)
{
	struct sweep s = SWEEP;
	long ret;

	while (sweep_round(&s)) {
		if (!kt_stat(self->fd).msgs)
			ASSERT_EQ(0, kt_send(self->fd, 0, 1, 0, self->in, size));
		cut(self, size, segs);
		if (segs == 1)
			ret = FAILING(&s, fail_errno(read(self->fd, self->out, MIDDLE)));
		else
			ret = FAILING(&s, fail_errno(readv(self->fd, self->to, (int)segs)));
		if (ret < 0) {
			ASSERT_TRUE(sweep_failed(&s, ret));
			ASSERT_EQ(1, kt_stat(self->fd).msgs);
			ASSERT_EQ(size, kt_stat(self->fd).bytes);
		} else {
			ASSERT_EQ(size, ret);
			ASSERT_TRUE(kt_filled(self->out, size, SEED));
			ASSERT_TRUE(kt_quiet(self->fd));
		}
	}
	EXPECT_TRUE(sweep_covered(&s, memory, copies));
}

TEST_F(rw, read_small)
{
	sweep_read(_metadata, self, SMALL, 1, 0, 1);
}

TEST_F(rw, read_middle)
{
	sweep_read(_metadata, self, MIDDLE, 1, 0, 1);
}

TEST_F(rw, read_segments)
{
	sweep_read(_metadata, self, MIDDLE, SEGS, 1, 1 + SEGS);
}

/* ---- those that wait ---- */

/* A thread that acts when the test waits at the endpoint, if it does */
struct other {
	FIXTURE_DATA(rw) *self;
	bool write;
	volatile int over;
	long ret;
};

static long other_main(void *arg)
{
	FIXTURE_DATA(rw) *self = ((struct other *)arg)->self;
	struct other *other = arg;

	kt_until(kt_stat(self->fd).waiters || other->over);
	if (!kt_stat(self->fd).waiters)
		return PEER_IDLE;
	if (other->write)
		return kt_send(self->fd, 0, 1, 0, self->in, SMALL);
	return kt_recv(self->fd, 0, 0, 0, self->out, MIDDLE, NULL);
}

TEST_F(rw, write_that_waits)
{
	struct other other = { .self = self };
	struct sweep s = SWEEP;
	struct kt_job *job;
	long ret;

	while (sweep_round(&s)) {
		if (!kt_stat(self->fd).msgs)
			ASSERT_EQ(0, kt_send(self->fd, 0, 1, 0, "x", 1));
		other.over = 0;
		job = kt_start(KT_THREAD, other_main, &other);
		ret = FAILING(&s, fail_errno(write(self->fd, self->in, SMALL)));
		other.over = 1;
		if (ret < 0) {
			ASSERT_EQ(PEER_IDLE, kt_join(job));
			ASSERT_TRUE(sweep_failed(&s, ret));
			ASSERT_EQ(1, kt_stat(self->fd).msgs);
			ASSERT_EQ(1, kt_stat(self->fd).bytes);
		} else {
			ASSERT_EQ(1, kt_join(job));
			ASSERT_EQ(SMALL, ret);
			ASSERT_TRUE(take_it(self, SMALL));
		}
	}
	EXPECT_TRUE(sweep_covered(&s, 1, 1));
}

TEST_F(rw, read_that_waits)
{
	struct other other = { .self = self, .write = true };
	struct sweep s = SWEEP;
	struct kt_job *job;
	long ret;

	while (sweep_round(&s)) {
		kt_poison(self->out, MIDDLE);
		other.over = 0;
		job = kt_start(KT_THREAD, other_main, &other);
		ret = FAILING(&s, fail_errno(read(self->fd, self->out, MIDDLE)));
		other.over = 1;
		ASSERT_EQ(0, kt_join(job));
		if (ret < 0) {
			/* It came, and is back in its place */
			ASSERT_TRUE(sweep_failed(&s, ret));
			ASSERT_TRUE(take_it(self, SMALL));
		} else {
			ASSERT_EQ(SMALL, ret);
			ASSERT_TRUE(kt_filled(self->out, SMALL, SEED));
		}
		ASSERT_TRUE(kt_quiet(self->fd));
	}
	EXPECT_TRUE(sweep_covered(&s, 0, 1));
}

static long send_sync(void *arg)
{
	FIXTURE_DATA(rw) *self = arg;
	struct kipc_op_send op = kt_send_op(self->in, MIDDLE);

	op.flags = KIPC_SYNC;
	return kt_op_send(self->fd, &op);
}

/* From the pages of a sender that waits. A copy that fails there is tried again. */
TEST_F(rw, read_of_what_is_pinned)
{
	struct sweep s = SWEEP;
	struct kt_job *job = NULL;
	long ret, pins;

	kt_euid(0);
	kt_set_param("pin_min", 1);
	pins = kt_pins_made();
	fail_become(KT_UID_A);
	while (sweep_round(&s)) {
		if (!job) {
			job = kt_start(KT_THREAD, send_sync, self);
			ASSERT_TRUE(kt_asleep(job));
		}
		kt_poison(self->out, MIDDLE);
		ret = FAILING(&s, fail_errno(read(self->fd, self->out, MIDDLE)));
		if (ret < 0) {
			ASSERT_TRUE(sweep_failed(&s, ret));
			ASSERT_EQ(1, kt_stat(self->fd).msgs);
		} else {
			ASSERT_EQ(MIDDLE, ret);
			ASSERT_TRUE(kt_filled(self->out, MIDDLE, SEED));
			ASSERT_EQ(0, kt_join(job));
			job = NULL;
		}
	}
	EXPECT_TRUE(sweep_covered(&s, 0, 0));
	kt_euid(0);
	EXPECT_LT(pins, kt_pins_made());
}

/* ---- O_ASYNC ---- */

TEST_F(rw, async)
{
	int status = fcntl(self->fd, F_GETFL);
	struct sweep s = SWEEP;
	sigset_t set;
	long ret;

	sigemptyset(&set);
	sigaddset(&set, SIGIO);
	ASSERT_EQ(0, sigprocmask(SIG_BLOCK, &set, NULL));
	ASSERT_EQ(0, fcntl(self->fd, F_SETOWN, getpid()));
	while (sweep_round(&s)) {
		const struct timespec now = { 0 };

		ret = FAILING(&s, fail_errno(fcntl(self->fd, F_SETFL, status | O_ASYNC)));
		ASSERT_EQ(ret ? 0 : O_ASYNC, fcntl(self->fd, F_GETFL) & O_ASYNC);
		ASSERT_EQ(0, kt_send(self->fd, 0, 1, 0, self->in, SMALL));
		ASSERT_EQ(ret ? -1 : SIGIO, sigtimedwait(&set, NULL, &now));
		ASSERT_TRUE(take_it(self, SMALL));
		if (ret)
			ASSERT_TRUE(sweep_failed(&s, ret));
		ASSERT_EQ(0, fcntl(self->fd, F_SETFL, status));
		while (sigtimedwait(&set, NULL, &now) > 0)
			;
	}
	/* What stands in the wait queues, and the kernel's part */
	EXPECT_TRUE(sweep_covered(&s, 2, 0));
}

TEST_HARNESS_MAIN
