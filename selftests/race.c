// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Races: two sides act at the same moment, over and over, each a little early
 * or late by chance. Either may win, but both must be told the same story, and
 * nothing may be left.
 */
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "harness.h"
#include "call_common.h"

#define ROUNDS	300

/* The other side: a thread that does @act(i) when both have met. */
static struct {
	volatile unsigned int met;
	unsigned int turns;		/* of the test */
	unsigned int rounds;
	unsigned int seed;
	void (*act)(unsigned int round);
	pthread_t thread;
	/* for @act, and told by it */
	int fd;
	uint32_t id;
	uint64_t token;
	uint64_t deadline;
	int64_t ret;
	uint32_t flags;
	struct kipc_result result;
} rival;

static void meet(unsigned int *turns)
{
	unsigned int all = 2 * ++*turns;

	__atomic_add_fetch(&rival.met, 1, __ATOMIC_ACQ_REL);
	while (__atomic_load_n(&rival.met, __ATOMIC_ACQUIRE) < all)
		sched_yield();
}

static void dawdle(unsigned int *seed)
{
	for (volatile int i = rand_r(seed) % 3000; i > 0; i--)
		;
}

static void *rival_main(void *arg)
{
	unsigned int turns = 0, seed = 2;

	(void)arg;
	for (unsigned int i = 0; i < rival.rounds; i++) {
		meet(&turns);
		dawdle(&seed);
		rival.act(i);
		meet(&turns);
	}
	return NULL;
}

static void begin(void (*act)(unsigned int round), unsigned int rounds)
{
	rival.act = act;
	rival.rounds = rounds;
	rival.seed = 1;
	kt_need(!pthread_create(&rival.thread, NULL, rival_main, NULL));
}

/* Before and after what the test does in a round */
static void go(void)
{
	meet(&rival.turns);
	dawdle(&rival.seed);
}

static void done(void)
{
	meet(&rival.turns);
}

FIXTURE(race) {
	int dev;
	int srv;
	int cli;
	struct job *jobs;
};

FIXTURE_SETUP(race)
{
	struct kipc_attr attr = { .max_size = JOB_BUF };

	self->dev = kt_device();
	self->srv = private_endpoint(0, &attr);
	ASSERT_LE(0, self->srv);
	self->cli = open_same(self->srv, KIPC_RIGHT_SEND);
	ASSERT_LE(0, self->cli);
	self->jobs = jobs_new(4);
}

FIXTURE_TEARDOWN(race)
{
	close(self->cli);
	close(self->srv);
	close(self->dev);
}

static void act_reply(unsigned int round)
{
	(void)round;
	rival.ret = kipc_reply(rival.fd, rival.token, "reply", 5);
}

TEST_F(race, p06_close_of_the_taking_file_against_reply)
{
	struct kipc_result result;
	uint64_t token;
	int taker;

	rival.fd = self->srv;
	begin(act_reply, ROUNDS);
	for (unsigned int i = 0; i < ROUNDS; i++) {
		taker = open_same(self->srv, KIPC_RIGHT_RECV);
		token = start(self->cli, 0, i, -1);
		ASSERT_EQ(0, take(taker, &result));
		rival.token = result.token;
		go();
		close(taker);
		done();
		if (rival.ret == 0) {
			ASSERT_EQ(5, finish(self->cli, token, &result));
		} else {
			ASSERT_EQ(-ENOENT, rival.ret);
			ASSERT_EQ(-ECONNRESET, finish(self->cli, token, &result));
		}
		ASSERT_EQ(KIPC_RESULT_DELIVERED, result.flags);
		ASSERT_TRUE(kt_quiet(self->srv));
	}
}

TEST_F(race, p07_close_of_the_calling_file_against_reply)
{
	struct kipc_result result;
	int cli;

	rival.fd = self->srv;
	begin(act_reply, ROUNDS);
	for (unsigned int i = 0; i < ROUNDS; i++) {
		cli = open_same(self->srv, KIPC_RIGHT_SEND);
		ASSERT_NE(0, start(cli, 0, i, -1));
		ASSERT_EQ(0, take(self->srv, &result));
		rival.token = result.token;
		go();
		close(cli);
		done();
		ASSERT_TRUE(rival.ret == 0 || rival.ret == -ECANCELED);
		ASSERT_EQ(-ENOENT, kipc_reply(self->srv, result.token, NULL, 0));
		ASSERT_TRUE(kt_quiet(self->srv));
	}
}

TEST_F(race, p07_cancel_against_reply)
{
	struct kipc_result result;
	uint64_t token;

	rival.fd = self->srv;
	begin(act_reply, ROUNDS);
	for (unsigned int i = 0; i < ROUNDS; i++) {
		token = start(self->cli, 0, i, -1);
		ASSERT_EQ(0, take(self->srv, &result));
		rival.token = result.token;
		go();
		ASSERT_EQ(KIPC_RESULT_DELIVERED, kipc_cancel(self->cli, token));
		done();
		ASSERT_TRUE(rival.ret == 0 || rival.ret == -ECANCELED);
		ASSERT_EQ(-ENOENT, finish(self->cli, token, &result));
		ASSERT_EQ(-ENOENT, finish(self->cli, 0, &result));
		ASSERT_EQ(-ENOENT, kipc_reply(self->srv, rival.token, NULL, 0));
		ASSERT_TRUE(kt_quiet(self->srv));
	}
}

static void act_recv(unsigned int round)
{
	char buf[JOB_BUF];

	(void)round;
	rival.result.token = 0;
	rival.ret = kt_recv(rival.fd, 0, 0, 0, buf, sizeof(buf), &rival.result);
}

TEST_F(race, p07_cancel_against_receive)
{
	struct kipc_result result;
	uint64_t token;
	int flags;

	rival.fd = self->srv;
	begin(act_recv, ROUNDS);
	for (unsigned int i = 0; i < ROUNDS; i++) {
		token = start(self->cli, 0, i, -1);
		go();
		flags = kipc_cancel(self->cli, token);
		done();
		if (flags == KIPC_RESULT_DELIVERED) {
			ASSERT_EQ(0, rival.ret);
			ASSERT_EQ(-ECANCELED, kipc_reply(self->srv, rival.result.token, NULL, 0));
		} else {
			ASSERT_EQ(0, flags);
			ASSERT_EQ(-EAGAIN, rival.ret);
		}
		ASSERT_EQ(-ENOENT, finish(self->cli, token, &result));
		ASSERT_TRUE(kt_quiet(self->srv));
	}
}

/* Answers as near to the deadline as it can. */
static void act_reply_late(unsigned int round)
{
	uint64_t when = rival.deadline - 20000 + (uint64_t)rand_r(&rival.seed) % 40000;

	(void)round;
	while (kt_now() < when)
		;
	rival.ret = kipc_reply(rival.fd, rival.token, "reply", 5);
}

TEST_F(race, p14_deadline_of_a_started_call_against_reply)
{
	struct pollfd pfd = { .fd = self->cli, .events = POLLPRI };
	struct kipc_result result;
	uint64_t token;

	rival.fd = self->srv;
	begin(act_reply_late, ROUNDS);
	for (unsigned int i = 0; i < ROUNDS; i++) {
		rival.deadline = kt_now() + 3 * KT_MS;
		token = start(self->cli, 0, i, 3);
		ASSERT_NE(0, token);
		if (kt_recv(self->srv, 0, 0, 0, self->jobs[0].out, JOB_BUF, &result)) {
			/* too slow to take it: then nothing races */
			ASSERT_EQ(1, poll(&pfd, 1, -1));
			ASSERT_EQ(-ETIMEDOUT, finish(self->cli, token, &result));
			ASSERT_EQ(0, result.flags);
			rival.token = token;
			go();
			done();
			ASSERT_EQ(-ENOENT, rival.ret);
			continue;
		}
		rival.token = result.token;
		go();
		done();
		ASSERT_EQ(1, poll(&pfd, 1, -1));
		if (rival.ret == 0) {
			ASSERT_EQ(5, finish(self->cli, token, &result));
		} else {
			ASSERT_EQ(-ECANCELED, rival.ret);
			ASSERT_EQ(-ETIMEDOUT, finish(self->cli, token, &result));
		}
		ASSERT_EQ(KIPC_RESULT_DELIVERED, result.flags);
		ASSERT_EQ(-ENOENT, finish(self->cli, token, &result));
		ASSERT_TRUE(kt_quiet(self->srv));
	}
}

/* A call of its own with a deadline */
static void act_rpc(unsigned int round)
{
	char reply[JOB_BUF];
	struct kipc_op_rpc op = kt_rpc_op(NULL, 0, reply, sizeof(reply), &rival.result);

	(void)round;
	op.deadline = rival.deadline;
	rival.ret = kt_op_rpc(rival.fd, &op);
}

static void act_rpc_forever(unsigned int round)
{
	rival.deadline = KIPC_FOREVER;
	act_rpc(round);
}

TEST_F(race, p14_deadline_of_a_waiting_caller_against_reply)
{
	struct kipc_result taken;
	char buf[JOB_BUF];
	uint64_t when;
	int64_t ret;

	rival.fd = self->cli;
	begin(act_rpc, ROUNDS);
	for (unsigned int i = 0; i < ROUNDS; i++) {
		rival.deadline = kt_now() + 3 * KT_MS;
		when = rival.deadline - 20000 + (uint64_t)rand_r(&rival.seed) % 40000;
		go();
		do {
			ret = kt_recv(self->srv, 0, 0, 0, buf, sizeof(buf), &taken);
		} while (ret == -EAGAIN && kt_now() < when);
		if (!ret) {
			while (kt_now() < when)
				;
			ret = kipc_reply(self->srv, taken.token, "reply", 5);
		}
		done();
		if (ret == 0) {
			ASSERT_EQ(5, rival.ret);
			ASSERT_EQ(KIPC_RESULT_DELIVERED, rival.result.flags);
		} else {
			ASSERT_EQ(-ETIMEDOUT, rival.ret);
			ASSERT_EQ(ret == -ECANCELED ? KIPC_RESULT_DELIVERED : 0,
				  rival.result.flags);
		}
		ASSERT_TRUE(kt_quiet(self->srv));
	}
}

TEST_F(race, p14_deadline_of_a_receive_against_send)
{
	struct kipc_result result;
	char buf[8];
	int64_t ret;
	struct kipc_op_recv op = kt_recv_op(buf, sizeof(buf), &result);

	rival.fd = self->cli;
	begin(act_rpc_forever, ROUNDS);
	op.flags = KIPC_ANYSIZE;
	for (unsigned int i = 0; i < ROUNDS; i++) {
		op.deadline = kt_now() + (uint64_t)rand_r(&rival.seed) % 300000;
		go();
		ret = kt_op_recv(self->srv, &op);
		if (ret == -ETIMEDOUT) {
			ASSERT_LE(op.deadline, kt_now());
			ret = take(self->srv, &result);
		}
		ASSERT_EQ(0, ret);
		ASSERT_EQ(1, result.deliveries);
		ASSERT_EQ(0, kipc_reply(self->srv, result.token, "reply", 5));
		done();
		ASSERT_EQ(5, rival.ret);
		ASSERT_TRUE(kt_quiet(self->srv));
	}
}

/* More than there is room for */
static void act_send_more(unsigned int round)
{
	uint64_t more[2] = { round, round };

	rival.ret = kt_send(rival.fd, 0, 1, 0, more, sizeof(more));
}

/* Who is passed by may leave at that moment: the message stays, whatever it is told */
TEST_F(race, p02_deadline_of_a_receive_against_a_message_too_large)
{
	unsigned int told[2] = { 0, 0 };
	struct kipc_result result;
	uint64_t numbers[2];
	struct kipc_op_recv op = kt_recv_op(numbers, sizeof(numbers[0]), &result);

	rival.fd = self->cli;
	begin(act_send_more, ROUNDS);
	op.flags = KIPC_ANYSIZE;
	for (unsigned int i = 0; i < ROUNDS; i++) {
		int64_t ret;

		memset(&result, 0, sizeof(result));
		op.deadline = kt_now() + (uint64_t)rand_r(&rival.seed) % 300000;
		go();
		ret = kt_op_recv(self->srv, &op);
		done();
		told[ret == -EMSGSIZE]++;
		ASSERT_TRUE(ret == -EMSGSIZE || ret == -ETIMEDOUT);
		ASSERT_EQ(ret == -EMSGSIZE ? sizeof(numbers) : 0, result.size);
		ASSERT_EQ(0, rival.ret);
		ASSERT_EQ((long)sizeof(numbers), kt_recv(self->srv, 0, KIPC_ANYSIZE | KIPC_NONBLOCK,
							 0, numbers, sizeof(numbers), &result));
		ASSERT_EQ(i, numbers[1]);
		ASSERT_EQ(1, result.deliveries);
		ASSERT_TRUE(kt_quiet(self->srv));
	}
	EXPECT_LT(0, told[true]);
}

/* ---- removal against everything ---- */

static void act_send(unsigned int round)
{
	(void)round;
	rival.ret = kt_send(rival.fd, 0, 1, 0, "m", 1);
}

static void act_sync_send(unsigned int round)
{
	struct kipc_op_send op = kt_send_op("m", 1);

	(void)round;
	op.flags = KIPC_SYNC;
	rival.ret = kt_op_send(rival.fd, &op);
}

static void act_send_by_id(unsigned int round)
{
	(void)round;
	rival.ret = kt_send(rival.fd, rival.id, 1, 0, "m", 1);
}

static void act_recv_waiting(unsigned int round)
{
	char buf[JOB_BUF];
	struct kipc_op_recv op = kt_recv_op(buf, sizeof(buf), &rival.result);

	(void)round;
	op.flags = KIPC_ANYSIZE;
	rival.ret = kt_op_recv(rival.fd, &op);
}

static void act_open(unsigned int round)
{
	(void)round;
	rival.ret = kt_openl(rival.fd, .rights = KIPC_RIGHT_SEND, .id = rival.id);
	if (rival.ret < 0)
		return;
	close((int)rival.ret);
	rival.ret = 0;
}

static void act_epoll(unsigned int round)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLET };
	int ep = epoll_create1(EPOLL_CLOEXEC);

	(void)round;
	kt_need(!epoll_ctl(ep, EPOLL_CTL_ADD, rival.fd, &event));
	do {
		kt_need(epoll_wait(ep, &event, 1, -1) == 1);
	} while (!(event.events & EPOLLHUP));
	close(ep);
	rival.ret = -EIDRM;
}

static const struct {
	void (*act)(unsigned int round);
	enum { SENDER, RECEIVER, DEVICE } on;
	bool may_succeed;
} against_removal[] = {
	{ act_send, SENDER, true },
	{ act_sync_send, SENDER, false },
	{ act_send_by_id, DEVICE, true },
	{ act_rpc_forever, SENDER, false },
	{ act_recv_waiting, RECEIVER, false },
	{ act_open, DEVICE, true },
	{ act_epoll, SENDER, false },
};

static unsigned int which;

static void act_against_removal(unsigned int round)
{
	which = round % ARRAY_SIZE(against_removal);
	against_removal[which].act(round);
}

/* By REMOVE, or by the close of the last receiving handle. */
static void removal(struct __test_metadata *_metadata, FIXTURE_DATA(race) *self, bool close_it)
{
	int srv, cli;

	begin(act_against_removal, 2 * ROUNDS);
	for (unsigned int i = 0; i < 2 * ROUNDS; i++) {
		unsigned int on = against_removal[i % ARRAY_SIZE(against_removal)].on;

		srv = private_endpoint(0, NULL);
		ASSERT_LE(0, srv);
		cli = open_same(srv, KIPC_RIGHT_SEND);
		ASSERT_LE(0, cli);
		rival.id = kt_id(srv);
		rival.fd = on == SENDER ? cli : on == RECEIVER ? srv : self->dev;
		go();
		/* a receive holds the file that it is made on */
		if (close_it && on != RECEIVER)
			close(srv);
		else
			ASSERT_EQ(0, kipc_remove(srv, 0));
		done();
		if (rival.ret == 0) {
			ASSERT_TRUE(against_removal[which].may_succeed);
		} else {
			ASSERT_TRUE(rival.ret == -EIDRM ||
				    (which == 5 && rival.ret == -ENOENT)) {
				TH_LOG("act %u: %ld", which, (long)rival.ret);
			}
		}
		if (which == 3)
			ASSERT_EQ(0, rival.result.flags);
		ASSERT_EQ(-EIDRM, kt_send(cli, 0, 1, 0, "m", 1));
		close(cli);
		if (!close_it || on == RECEIVER)
			close(srv);
	}
}

TEST_F(race, p08_remove_against_everything)
{
	removal(_metadata, self, false);
}

TEST_F(race, p08_last_close_against_everything)
{
	removal(_metadata, self, true);
}

TEST_F(race, p08_remove_against_reply)
{
	struct kipc_result result;
	uint64_t token;
	int srv, cli;

	begin(act_reply, ROUNDS);
	for (unsigned int i = 0; i < ROUNDS; i++) {
		srv = private_endpoint(0, NULL);
		cli = open_same(srv, KIPC_RIGHT_SEND);
		token = start(cli, 0, i, -1);
		ASSERT_EQ(0, take(srv, &result));
		rival.fd = srv;
		rival.token = result.token;
		go();
		ASSERT_EQ(0, kipc_remove(srv, 0));
		done();
		if (rival.ret == 0) {
			ASSERT_EQ(5, finish(cli, token, &result));
		} else {
			ASSERT_EQ(-ECANCELED, rival.ret);
			ASSERT_EQ(-EIDRM, finish(cli, token, &result));
		}
		ASSERT_EQ(KIPC_RESULT_DELIVERED, result.flags);
		close(cli);
		close(srv);
	}
}

static void act_remove_by_id(unsigned int round)
{
	(void)round;
	rival.ret = kt_remove(rival.fd, rival.id);
}

/* The file is made after the handle */
TEST_F(race, p08_remove_against_open_as_mqueue)
{
	struct stat st;
	int first, fd;

	rival.fd = self->dev;
	begin(act_remove_by_id, ROUNDS);
	for (unsigned int i = 0; i < ROUNDS; i++) {
		first = private_endpoint(0, NULL);
		rival.id = kt_stat(first).id;
		go();
		fd = (int)kt_openl(self->dev, .flags = KIPC_OPEN_MQUEUE, .id = rival.id,
				   .rights = KIPC_RIGHT_SEND);
		done();
		ASSERT_EQ(0, rival.ret);
		if (fd < 0) {
			ASSERT_EQ(-EIDRM, fd);
		} else {
			ASSERT_EQ(0, fstat(fd, &st));
			ASSERT_TRUE(S_ISREG(st.st_mode));
			ASSERT_EQ(0, (int)st.st_nlink);
			ASSERT_EQ(-EIDRM, kt_send(fd, 0, 1, 0, "m", 1));
			close(fd);
		}
		close(first);
	}
}

#define NAME	"race-failed-open"

static struct kipc_op_open *untellable;	/* what was made, as it cannot be written */

static void act_open_and_fail(unsigned int round)
{
	(void)round;
	rival.ret = kt_open(rival.fd, untellable);
	__atomic_store_n(&rival.id, 1, __ATOMIC_RELEASE);
}

/* Who finds an endpoint whose maker is told that he has made none keeps it */
TEST_F(race, p01_failing_open_against_open)
{
	int fd;

	untellable = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)untellable);
	*untellable = (struct kipc_op_open){
		.flags = KIPC_OPEN_CREATE | KIPC_OPEN_EXCL | KIPC_OPEN_KEEP_BY_ANY,
		.rights = KT_ALL_RIGHTS, .mode = 0600, KT_NAME(NAME),
	};
	ASSERT_EQ(0, mprotect(untellable, 4096, PROT_READ));
	rival.fd = self->dev;
	begin(act_open_and_fail, 10 * ROUNDS);
	for (unsigned int i = 0; i < 10 * ROUNDS; i++) {
		rival.id = 0;
		go();
		do
			fd = (int)kt_openl(self->dev, .rights = KIPC_RIGHT_SEND, KT_NAME(NAME));
		while (fd == -ENOENT && !__atomic_load_n(&rival.id, __ATOMIC_ACQUIRE));
		done();
		ASSERT_EQ(-EFAULT, rival.ret);
		if (fd < 0) {
			ASSERT_EQ(-ENOENT, fd);
		} else {
			ASSERT_EQ(0, kt_send(fd, 0, 1, 0, "m", 1));
			close(fd);
		}
		/* ... as long as he has it */
		ASSERT_EQ(-ENOENT, kt_openl(self->dev, .rights = KIPC_RIGHT_SEND, KT_NAME(NAME)));
	}
	munmap(untellable, 4096);
}

static void act_shutdown(unsigned int round)
{
	(void)round;
	rival.ret = kipc_shutdown(rival.fd);
}

TEST_F(race, p02_shutdown_against_handoff)
{
	struct job *receiver = &self->jobs[0];
	struct kipc_result result;
	int file;

	begin(act_shutdown, ROUNDS / 3);
	for (unsigned int i = 0; i < ROUNDS / 3; i++) {
		file = open_same(self->srv, KIPC_RIGHT_RECV);
		receiver->fd = file;
		rival.fd = file;
		job_start_thread(receiver, job_recv);
		await_asleep(receiver);
		go();
		ASSERT_EQ(0, kt_send(self->cli, 0, 1, 0, "m", 1));
		done();
		ASSERT_EQ(0, job_join(receiver));
		if (receiver->ret != 1) {
			ASSERT_EQ(-ESHUTDOWN, receiver->ret);
			ASSERT_EQ(1, take(self->srv, &result));
		}
		ASSERT_TRUE(kt_quiet(self->srv));
		close(file);
	}
}

/* ---- processes ---- */

static void act_adopt(unsigned int round)
{
	(void)round;
	rival.ret = kipc_adopt(rival.fd, rival.token);
}

TEST_F(race, p06_exit_against_adopt)
{
	struct job *taker = &self->jobs[0];
	struct kipc_result result;
	uint64_t token;

	rival.fd = self->srv;
	taker->fd = self->srv;
	begin(act_adopt, ROUNDS / 5);
	for (unsigned int i = 0; i < ROUNDS / 5; i++) {
		token = start(self->cli, 0, i, -1);
		job_start(taker, job_take);
		await(taker->done);
		rival.token = taker->result.token;
		go();
		ASSERT_TRUE(job_kill(taker));
		done();
		if (rival.ret == 0) {
			ASSERT_EQ(1, kt_stat(self->srv).calls);
			ASSERT_EQ(0, kipc_reply(self->srv, rival.token, "reply", 5));
			ASSERT_EQ(5, finish(self->cli, token, &result));
		} else {
			ASSERT_EQ(-ENOENT, rival.ret);
			ASSERT_EQ(-ECONNRESET, finish(self->cli, token, &result));
		}
		ASSERT_TRUE(kt_quiet(self->srv));
	}
}

/* Calls until told to end, whatever signals come; counts what it was told. */
static void call_on(struct job *job)
{
	struct kipc_op_rpc op;
	uint64_t number;
	int64_t ret;

	for (number = 0; number < job->size; number++) {
		op = kt_rpc_op(&number, sizeof(number), job->out, JOB_BUF, &job->result);
		do {
			ret = kt_op_rpc(job->fd, &op);
		} while (ret == -EINTR);
		if (ret != 5)
			break;
	}
	job->ret = (int64_t)number;
	job->done = 1;
}

static void act_signal(unsigned int round)
{
	(void)round;
	rival.ret = kill((pid_t)rival.id, SIGUSR1);
}

TEST_F(race, p05_signal_against_reply)
{
	struct job *client = &self->jobs[0];
	struct kipc_result result;
	uint64_t number;

	client->fd = self->cli;
	client->catches = true;
	client->size = ROUNDS;
	job_start(client, call_on);
	rival.id = (uint32_t)client->kt->pid;
	begin(act_signal, ROUNDS);
	for (unsigned int i = 0; i < ROUNDS; i++) {
		struct kipc_op_recv op = kt_recv_op(&number, sizeof(number), &result);

		op.flags = KIPC_ANYSIZE;
		ASSERT_EQ((long)sizeof(number), kt_op_recv(self->srv, &op));
		/* each is delivered once, however often it was interrupted */
		ASSERT_EQ(i, number);
		ASSERT_EQ(1, result.deliveries);
		go();
		ASSERT_EQ(0, kipc_reply(self->srv, result.token, "reply", 5));
		done();
	}
	ASSERT_EQ(0, job_join(client));
	EXPECT_EQ(ROUNDS, client->ret);
	EXPECT_TRUE(kt_quiet(self->srv));
}

/* ---- SET against senders ---- */

static void send_numbers(struct job *job)
{
	for (uint64_t i = 0; i < job->size; i++) {
		if (kipc_send(job->fd, &i, sizeof(i), -1))
			return;
		job->ret++;
	}
}

static void recv_numbers(struct job *job)
{
	struct kipc_result result;
	uint64_t number;
	struct kipc_op_recv op = kt_recv_op(&number, sizeof(number), &result);

	op.flags = KIPC_ANYSIZE;
	for (uint64_t i = 0; i < job->size; i++) {
		if (kt_op_recv(job->fd, &op) != sizeof(number) || number != i)
			return;
		job->ret++;
	}
}

TEST_F(race, p13_set_against_senders)
{
	struct job *sender = &self->jobs[0], *receiver = &self->jobs[1];
	struct kipc_endpoint info = { .attr.max_size = JOB_BUF };
	unsigned int sets = 0;

	sender->fd = self->cli;
	receiver->fd = self->srv;
	sender->size = 10 * ROUNDS;
	receiver->size = 10 * ROUNDS;
	job_start_thread(sender, send_numbers);
	job_start_thread(receiver, recv_numbers);
	while (!receiver->done) {
		info.attr.max_msgs = 1 + sets % 5;
		info.attr.max_bytes = sets % 3 ? JOB_BUF : 8 * JOB_BUF;
		ASSERT_EQ(0, kipc_set(self->srv, 0, KIPC_SET_CAPACITY, &info));
		sets++;
	}
	ASSERT_EQ(0, job_join(sender));
	ASSERT_EQ(0, job_join(receiver));
	/* all of them, in order, none left waiting for room that there was */
	EXPECT_EQ(10 * ROUNDS, sender->ret);
	EXPECT_EQ(10 * ROUNDS, receiver->ret);
	EXPECT_TRUE(kt_quiet(self->srv));
}

TEST_F(race, p11_set_of_the_mode_against_a_waiting_sender)
{
	struct kipc_attr attr = { .max_msgs = 1 };
	struct job *sender = &self->jobs[0];
	struct kipc_result result;
	int srv;

	/* on a device file the permission is asked again after each sleep */
	srv = private_endpoint(0, &attr);
	sender->fd = self->dev;
	sender->head.endpoint = kt_id(srv);
	for (unsigned int i = 0; i < 30; i++) {
		ASSERT_EQ(0, kt_chmod(srv, 0, 0666));
		ASSERT_EQ(0, kt_send(srv, 0, 1, 0, "m", 1));
		job_start_as(sender, KT_AS(KT_UID_A), job_send);
		await_asleep(sender);
		ASSERT_EQ(0, kt_chmod(srv, 0, 0600));
		ASSERT_EQ(1, take(srv, &result));
		ASSERT_EQ(0, job_join(sender));
		ASSERT_TRUE(sender->ret == 0 || sender->ret == -EACCES);
		if (sender->ret == 0)
			ASSERT_EQ(0, take(srv, &result));
		ASSERT_TRUE(kt_quiet(srv));
	}
	close(srv);
}

#define PASSED	20

static void act_send_some(unsigned int round)
{
	if (!round)
		kt_one_cpu();
	rival.ret = 0;
	for (int i = 0; !rival.ret && i < PASSED; i++)
		rival.ret = kipc_send(rival.fd, "12345678", 8, -1);
}

/* What one CPU has sent another one receives, if there is one */
TEST_F(race, sums_against_messages)
{
	char buf[8];
	struct kipc_op_open op = {
		.flags = KIPC_OPEN_CREATE | KIPC_OPEN_SYSV | KIPC_OPEN_ONEWAY |
			 KIPC_OPEN_FIRST_COME,
		.rights = KT_ALL_RIGHTS,
		.attr = { .max_size = sizeof(buf), .max_bytes = 1000 },
	};
	struct kipc_op_sum sum = { 0 };
	cpu_set_t cpus;

	rival.fd = (int)kt_open(self->dev, &op);
	ASSERT_LE(0, rival.fd);
	CPU_ZERO(&cpus);
	CPU_SET(1, &cpus);
	sched_setaffinity(0, sizeof(cpus), &cpus);
	begin(act_send_some, ROUNDS);
	for (unsigned int round = 0; round < ROUNDS; round++) {
		go();
		for (int i = 0; i < PASSED; i++) {
			EXPECT_EQ(8, kipc_recv(rival.fd, buf, sizeof(buf), NULL, -1));
			ASSERT_EQ(0, kt_ioctl(self->dev, KIPC_IOC_SUM, &sum));
			EXPECT_EQ(1, sum.endpoints);
			EXPECT_GE(PASSED, sum.msgs);
			EXPECT_GE(8 * PASSED, sum.bytes);
		}
		done();
		EXPECT_EQ(0, rival.ret);
		ASSERT_EQ(0, kt_ioctl(self->dev, KIPC_IOC_SUM, &sum));
		EXPECT_EQ(0, sum.msgs);
		EXPECT_EQ(0, sum.bytes);
	}
	close(rival.fd);
}

TEST_HARNESS_MAIN
