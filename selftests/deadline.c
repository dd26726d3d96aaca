// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Promise 14: deadlines. There are no upper bounds here: a machine may be slow.
 */
#include "common.h"
#include "harness.h"

/* Every operation that can wait, in a state in which it has to */
enum waits { RECV, SEND, SYNC, RPC, OPEN, REPLY_RECV, PEEK, NWAITS };

static const char * const names[] = {
	"RECV", "SEND", "SYNC", "RPC", "OPEN", "REPLY_RECV", "PEEK",
};

FIXTURE(deadline) {
	int dev;
	int full;	/* a queue with no room, one message in it */
	int empty;	/* a queue with nothing in it */
	int spare;	/* lest a wait be certain never to end (EDEADLK) */
	char buf[8192];
};

FIXTURE_SETUP(deadline)
{
	const struct kipc_attr attr = { .max_size = 16, .max_msgs = 1 };

	self->dev = kt_device();
	self->full = kt_private(self->dev, 0, &attr);
	self->empty = kt_private(self->dev, 0, NULL);
	self->spare = kt_again(self->dev, kt_id(self->empty), KIPC_RIGHT_RECV);
	ASSERT_GE(self->spare, 0);
	ASSERT_EQ(0, kipc_send(self->full, "x", 1, 0));
}

FIXTURE_TEARDOWN(deadline)
{
	EXPECT_EQ(1, kt_stat(self->full).msgs);
	EXPECT_EQ(0, kt_stat(self->full).waiters);
	EXPECT_TRUE(kt_quiet(self->empty));
	close(self->full);
	close(self->empty);
	close(self->spare);
	close(self->dev);
}

static long wait_by(FIXTURE_DATA(deadline) *self, enum waits what, uint32_t flags,
		    uint64_t deadline)
{
	struct kipc_op_recv recv = kt_recv_op(self->buf, sizeof(self->buf), NULL);
	struct kipc_op_send send = kt_send_op("y", 1);
	struct kipc_op_rpc rpc = kt_rpc_op("?", 1, self->buf, 16, NULL);
	struct kipc_op_reply_recv reply_recv = { 0 };

	recv.flags = flags;
	recv.deadline = deadline;
	reply_recv.recv = recv;
	send.flags = flags;
	send.deadline = deadline;
	rpc.flags = flags;
	rpc.deadline = deadline;
	switch (what) {
	case PEEK:
		recv.flags |= KIPC_PEEK;
		/* fallthrough */
	case RECV:
		return kt_op_recv(self->empty, &recv);
	case SEND:
		return kt_op_send(self->full, &send);
	case SYNC:
		send.flags |= KIPC_SYNC;
		return kt_op_send(self->empty, &send);
	case RPC:
		return kt_op_rpc(self->empty, &rpc);
	case REPLY_RECV:
		return kt_op_reply_recv(self->empty, &reply_recv);
	case OPEN:
		return kt_openl(self->dev, KT_NAME("deadline-nobody"),
				.rights = KIPC_RIGHT_SEND, .deadline = deadline,
				.flags = KIPC_OPEN_WAIT |
					 (flags & KIPC_NONBLOCK ? KIPC_OPEN_NONBLOCK : 0) |
					 (flags & KIPC_REALTIME ? KIPC_OPEN_REALTIME : 0));
	default:
		return 0;
	}
}

TEST_F(deadline, p14_never_early)
{
	static const unsigned int ms[] = { 1, 7, 30 };

	for (enum waits what = 0; what < NWAITS; what++) {
		for (unsigned int i = 0; i < ARRAY_SIZE(ms); i++) {
			uint64_t deadline = kt_in_ms(ms[i]);

			EXPECT_EQ(-ETIMEDOUT, wait_by(self, what, 0, deadline))
				TH_LOG("%s", names[what]);
			EXPECT_GE(kt_now(), deadline)
				TH_LOG("%s", names[what]);
		}
	}
}

TEST_F(deadline, p14_never_early_on_the_real_time_clock)
{
	for (enum waits what = 0; what < NWAITS; what++) {
		uint64_t deadline = kt_realtime() + 20 * KT_MS;

		EXPECT_EQ(-ETIMEDOUT, wait_by(self, what, KIPC_REALTIME, deadline))
			TH_LOG("%s", names[what]);
		EXPECT_GE(kt_realtime(), deadline)
			TH_LOG("%s", names[what]);
	}
}

TEST_F(deadline, p14_a_past_one_tries_once_and_times_out)
{
	for (enum waits what = 0; what < NWAITS; what++) {
		EXPECT_EQ(-ETIMEDOUT, wait_by(self, what, 0, 1))
			TH_LOG("%s", names[what]);
		EXPECT_EQ(-ETIMEDOUT, wait_by(self, what, 0, kt_now()))
			TH_LOG("%s", names[what]);
		EXPECT_EQ(-ETIMEDOUT, wait_by(self, what, KIPC_REALTIME, 1))
			TH_LOG("%s", names[what]);
	}
}

TEST_F(deadline, p14_a_past_one_succeeds_when_possible)
{
	struct kipc_op_recv recv = kt_recv_op(self->buf, sizeof(self->buf), NULL);
	struct kipc_op_send send = kt_send_op("y", 1);
	long fd, there;

	send.deadline = 1;
	recv.deadline = 1;
	EXPECT_EQ(0, kt_op_send(self->empty, &send));
	recv.flags = KIPC_PEEK;
	EXPECT_EQ(1, kt_op_recv(self->empty, &recv));
	recv.flags = 0;
	EXPECT_EQ(1, kt_op_recv(self->empty, &recv));
	send.flags = KIPC_REALTIME;
	recv.flags = KIPC_REALTIME;
	EXPECT_EQ(0, kt_op_send(self->empty, &send));
	EXPECT_EQ(1, kt_op_recv(self->empty, &recv));
	there = kt_openl(self->dev, KT_NAME("deadline-there"), .rights = KT_ALL_RIGHTS,
			 .flags = KIPC_OPEN_CREATE);
	EXPECT_GE(there, 0);
	fd = kt_openl(self->dev, KT_NAME("deadline-there"), .rights = KIPC_RIGHT_SEND,
		      .flags = KIPC_OPEN_WAIT, .deadline = 1);
	EXPECT_GE(fd, 0);
	close((int)fd);
	close((int)there);
}

TEST_F(deadline, p14_nonblock_never_sleeps)
{
	for (enum waits what = 0; what < NWAITS; what++) {
		EXPECT_EQ(-EAGAIN, wait_by(self, what, KIPC_NONBLOCK, KIPC_FOREVER))
			TH_LOG("%s", names[what]);
		EXPECT_EQ(-EAGAIN, wait_by(self, what, KIPC_NONBLOCK, kt_in_ms(10000)))
			TH_LOG("%s", names[what]);
		EXPECT_EQ(-EAGAIN, wait_by(self, what, 0, 0))
			TH_LOG("%s", names[what]);
		EXPECT_EQ(-EAGAIN, wait_by(self, what, KIPC_REALTIME, 0))
			TH_LOG("%s", names[what]);
	}
}

TEST_F(deadline, p14_o_nonblock_never_sleeps)
{
	int fd;

	ASSERT_EQ(0, fcntl(self->full, F_SETFL, O_NONBLOCK));
	ASSERT_EQ(0, fcntl(self->empty, F_SETFL, O_NONBLOCK));
	for (enum waits what = 0; what < NWAITS; what++) {
		if (what != OPEN)
			EXPECT_EQ(-EAGAIN, wait_by(self, what, 0, KIPC_FOREVER))
				TH_LOG("%s", names[what]);
	}
	ASSERT_EQ(0, fcntl(self->empty, F_SETFL, 0));
	EXPECT_EQ(-ETIMEDOUT, wait_by(self, RECV, 0, kt_in_ms(5)));

	fd = (int)kt_openl(self->dev, .id = kt_id(self->empty), .rights = KIPC_RIGHT_RECV,
			   .flags = KIPC_OPEN_NONBLOCK);
	ASSERT_GE(fd, 0);
	EXPECT_EQ(O_NONBLOCK, fcntl(fd, F_GETFL) & O_NONBLOCK);
	EXPECT_EQ(-EAGAIN, kipc_recv(fd, self->buf, sizeof(self->buf), NULL, -1));
	close(fd);
}

TEST_F(deadline, p14_wrong_arguments_before_anything_else)
{
	struct kipc_op_recv recv = kt_recv_op(self->buf, 1, NULL);

	recv.flags = KIPC_NONBLOCK;
	EXPECT_EQ(-EMSGSIZE, kt_op_recv(self->empty, &recv));
	recv.flags |= 1U << 31;
	EXPECT_EQ(-EINVAL, kt_op_recv(self->empty, &recv));
	recv.deadline = 1;
	EXPECT_EQ(-EINVAL, kt_op_recv(self->empty, &recv));
}

/* What is beyond the kernel's own range of times has not passed */
TEST_F(deadline, p14_for_ever_and_nearly_for_ever)
{
	static const uint64_t late[] = {
		KIPC_FOREVER, KIPC_FOREVER - 1, 1ULL << 63, (1ULL << 63) - 1, (1ULL << 63) - 2,
		1ULL << 62,
	};

	for (unsigned int i = 0; i < 2 * ARRAY_SIZE(late); i++) {
		struct kipc_op_recv op = kt_recv_op(self->buf, sizeof(self->buf), NULL);
		struct kt_job *job;

		op.deadline = late[i / 2];
		op.flags = i % 2 ? KIPC_REALTIME : 0;
		job = kt_start_ioctl(KT_THREAD, self->empty, KIPC_IOC_RECV, &op);
		ASSERT_TRUE(kt_asleep(job))
			TH_LOG("deadline %llx", (unsigned long long)op.deadline);
		ASSERT_EQ(0, kipc_send(self->empty, "x", 1, 0));
		ASSERT_EQ(1, kt_join(job));
	}
}

/* A deadline on the clock of the wall comes when the clock is set past it */
TEST_F(deadline, p14_setting_the_clock)
{
	struct kipc_op_recv op = kt_recv_op(self->buf, sizeof(self->buf), NULL), steady = op;
	struct kt_job *job, *steady_job;
	struct timespec now, then;
	uint64_t start = kt_now();

	ASSERT_EQ(0, clock_gettime(CLOCK_REALTIME, &now));
	op.flags = KIPC_REALTIME;
	op.deadline = ((uint64_t)now.tv_sec + 3600) * 1000000000ULL;
	steady.deadline = start + 3600 * 1000000000ULL;
	job = kt_start_ioctl(KT_THREAD, self->empty, KIPC_IOC_RECV, &op);
	ASSERT_TRUE(kt_asleep(job));
	steady_job = kt_start_ioctl(KT_THREAD, self->empty, KIPC_IOC_RECV, &steady);
	ASSERT_TRUE(kt_asleep(steady_job));

	then = now;
	then.tv_sec += 7200;
	ASSERT_EQ(0, clock_settime(CLOCK_REALTIME, &then));
	EXPECT_EQ(-ETIMEDOUT, kt_join(job));
	EXPECT_TRUE(kt_asleep(steady_job));
	now.tv_sec += (time_t)((kt_now() - start) / 1000000000ULL);
	EXPECT_EQ(0, clock_settime(CLOCK_REALTIME, &now));
	ASSERT_EQ(0, kipc_send(self->empty, "x", 1, 0));
	EXPECT_EQ(1, kt_join(steady_job));
}

/* Interrupted and restarted, it waits for the same moment */
TEST_F(deadline, p14_a_restart_keeps_the_deadline)
{
	struct kipc_op_recv op = kt_recv_op(self->buf, sizeof(self->buf), NULL);
	struct kt_job *job;

	kt_catch(SIGUSR1, SA_RESTART);
	op.deadline = kt_in_ms(1000);
	job = kt_start_ioctl(KT_THREAD, self->empty, KIPC_IOC_RECV, &op);
	for (int i = 1; i <= 3; i++) {
		ASSERT_TRUE(kt_asleep(job));
		ASSERT_TRUE(kt_signal(job, SIGUSR1));
		ASSERT_TRUE(kt_until(kt_caught == i));
	}
	EXPECT_EQ(-ETIMEDOUT, kt_join(job));
	EXPECT_GE(kt_now(), op.deadline);
}

struct inside {
	FIXTURE_DATA(deadline) *self;
	struct kipc_result result;
	unsigned int step;
};

static long wait_inside(void *arg)
{
	struct inside *in = arg;

	for (enum waits what = 0; what < NWAITS; what++) {
		uint64_t deadline = kt_in_ms(20);

		in->step = what;
		if (wait_by(in->self, what, 0, deadline) != -ETIMEDOUT)
			return -1;
		if (kt_now() < deadline)
			return -2;
	}
	if (wait_by(in->self, RECV, KIPC_REALTIME, kt_realtime() + 20 * KT_MS) != -ETIMEDOUT)
		return -3;
	/* the past of this namespace */
	return wait_by(in->self, RECV, 0, 1) == -ETIMEDOUT ? 0 : -4;
}

static long receive_inside(void *arg)
{
	struct inside *in = arg;
	char buf[16];

	return kt_recv(in->self->empty, 0, 0, 0, buf, sizeof(buf), &in->result);
}

static void check_time_namespace(struct __test_metadata *_metadata,
				 FIXTURE_DATA(deadline) *self, long long offset)
{
	const struct kt_how how = { .ns = CLONE_NEWTIME, .monotonic_offset = offset };
	struct inside *in = kt_new(struct inside);
	uint64_t before, after, seen;

	in->self = self;
	EXPECT_EQ(0, kt_run(&how, wait_inside, in))
		TH_LOG("offset %lld, at %s", offset, names[in->step]);

	/* times that are told are told in the reader's clock */
	before = kt_now();
	ASSERT_EQ(0, kipc_send(self->empty, "x", 1, 0));
	after = kt_now();
	EXPECT_EQ(1, kt_run(&how, receive_inside, in));
	seen = in->result.time - (uint64_t)(offset * 1000000000LL);
	EXPECT_GE(seen, before);
	EXPECT_LE(seen, after);
}

TEST_F(deadline, p14_a_message_has_the_time_it_was_sent_at)
{
	struct inside *in = kt_new(struct inside);
	uint64_t before, after;

	in->self = self;
	before = kt_now();
	ASSERT_EQ(0, kipc_send(self->empty, "x", 1, 0));
	after = kt_now();
	ASSERT_EQ(1, receive_inside(in));
	EXPECT_GE(in->result.time, before);
	EXPECT_LE(in->result.time, after);
}

TEST_F(deadline, p14_in_a_time_namespace_ahead)
{
	check_time_namespace(_metadata, self, 100000);
}

TEST_F(deadline, p14_in_a_time_namespace_behind)
{
	/* a clock cannot be set below 0 */
	long long behind = (long long)(kt_now() / 1000000000ULL) / 2;

	ASSERT_GT(behind, 0);
	check_time_namespace(_metadata, self, -behind);
}

/*
 * Where in time the two that race meet: every outcome moves the next try towards
 * the other one, so most tries come close.
 */
struct race {
	long offset;	/* nanoseconds from the deadline */
	unsigned int received, late;
};

static void race_spin(const struct race *race, uint64_t deadline)
{
	uint64_t until = deadline + (uint64_t)race->offset;

	while (kt_now() < until)
		;
}

static void race_ended(struct race *race, bool received)
{
	long step = 50000 / (1 + (long)(race->received + race->late) / 16) + 500;

	race->offset += received ? step : -step;
	if (received)
		race->received++;
	else
		race->late++;
}

/* The deadline of a receive comes with the message: received, or still there */
TEST_F(deadline, p14_a_receive_racing_a_send)
{
	struct race race = { 0 };

	for (unsigned int i = 0; i < 300; i++) {
		struct kipc_op_recv op = kt_recv_op(self->buf, sizeof(self->buf), NULL);
		struct kt_job *job;
		long ret;

		op.deadline = kt_in_ms(3);
		job = kt_start_ioctl(KT_THREAD, self->empty, KIPC_IOC_RECV, &op);
		race_spin(&race, op.deadline);
		ASSERT_EQ(0, kipc_send(self->empty, &i, sizeof(i), 0));
		ret = kt_join(job);
		if (ret == sizeof(i)) {
			ASSERT_EQ(0, kt_stat(self->empty).msgs);
		} else {
			ASSERT_EQ(-ETIMEDOUT, ret);
			ASSERT_EQ((long)sizeof(i),
				  kipc_recv(self->empty, self->buf, sizeof(self->buf), NULL, 0));
		}
		ASSERT_EQ(0, memcmp(self->buf, &i, sizeof(i)));
		race_ended(&race, ret == sizeof(i));
	}
	kt_complain("%u received, %u late", race.received, race.late);
}

/* The deadline of a send comes with a receiver: sent and received, or neither */
static void race_sends(struct __test_metadata *_metadata, FIXTURE_DATA(deadline) *self,
		       int fd, uint32_t flags)
{
	struct race race = { 0 };

	for (unsigned int i = 0; i < 300; i++) {
		struct kipc_op_send op = kt_send_op(&i, sizeof(i));
		struct kt_job *job;
		long ret;

		op.flags = flags;
		op.type = 2;
		op.deadline = kt_in_ms(5);
		job = kt_start_ioctl(KT_THREAD, fd, KIPC_IOC_SEND, &op);
		/* a receive before it waits would teach the wrong thing */
		while (!job->done && !kt_stat(fd).waiters)
			sched_yield();
		race_spin(&race, op.deadline);
		ret = kt_recv(fd, 0, KIPC_TYPE_EQ, 2, self->buf, sizeof(self->buf), NULL);
		if (ret == sizeof(i)) {
			ASSERT_EQ(0, kt_join(job));
			ASSERT_EQ(0, memcmp(self->buf, &i, sizeof(i)));
		} else {
			ASSERT_EQ(-EAGAIN, ret);
			ASSERT_EQ(-ETIMEDOUT, kt_join(job));
		}
		race_ended(&race, ret == sizeof(i));
		ASSERT_EQ(-EAGAIN,
			  kt_recv(fd, 0, KIPC_TYPE_EQ, 2, self->buf, sizeof(self->buf), NULL));
	}
	kt_complain("%u received, %u late", race.received, race.late);
}

TEST_F(deadline, p14_a_blocked_send_racing_a_receive)
{
	race_sends(_metadata, self, self->full, 0);
}

TEST_F(deadline, p14_a_sync_send_racing_a_receive)
{
	race_sends(_metadata, self, self->empty, KIPC_SYNC);
}

TEST_F(deadline, p14_an_async_call_ends_at_its_deadline)
{
	struct kipc_msg msg = { .cookie = 4711 }, reply = { .iovcnt = 0 };
	struct kipc_result result;
	uint64_t token, start = kt_now();

	ASSERT_EQ(0, kipc_rpc_start(self->empty, &msg, 16, &token, 20));
	EXPECT_NE(0, token);
	EXPECT_EQ(-ETIMEDOUT, kipc_rpc_finish(self->empty, 0, &reply, &result, -1));
	EXPECT_GE(kt_now(), start + 20 * KT_MS);
	EXPECT_EQ(4711, result.cookie);
	EXPECT_EQ(0, result.flags);
}

TEST_F(deadline, p14_the_library_counts_in_milliseconds)
{
	uint64_t start = kt_now();

	EXPECT_EQ(-ETIMEDOUT, kipc_recv(self->empty, self->buf, sizeof(self->buf), NULL, 30));
	EXPECT_GE(kt_now(), start + 30 * KT_MS);
	EXPECT_EQ(-EAGAIN, kipc_recv(self->empty, self->buf, sizeof(self->buf), NULL, 0));
	start = kt_now();
	EXPECT_EQ(-ETIMEDOUT, kipc_open("deadline-nobody", KIPC_RIGHT_SEND, 30));
	EXPECT_GE(kt_now(), start + 30 * KT_MS);
	EXPECT_EQ(-ENOENT, kipc_open("deadline-nobody", KIPC_RIGHT_SEND, 0));
}

TEST_HARNESS_MAIN
