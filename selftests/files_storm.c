// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Files under everybody at once: processes of several users send, call, start, cancel and
 * answer with files, receivers take them, drop them, have no room for them or are killed,
 * and endpoints are removed and made anew. Whoever receives a file that is numbered gets
 * that of its message; and in the end no file is left anywhere: with each goes the end
 * of one pipe, which is at its end only if nobody has any of them.
 */
#include <sys/mman.h>
#include <sys/prctl.h>

#include "harness.h"
#include "files_common.h"

#define ENDPOINTS	3
#define STABLE		1	/* the first of them is never removed */
#define SENDERS		10
#define SERVERS		6
#define OPERATIONS	4000
#define KILLS		60
#define REMOVALS	30
#define WORKERS		(SENDERS + SERVERS + KILLS)
#define ROOM		4	/* files with a message */

struct storm {
	struct {
		pid_t pid;
		bool server;
		volatile int ended;
	} worker[WORKERS];
	volatile unsigned int next;	/* operation */
	volatile int stop;
	volatile unsigned int wrong;
	volatile unsigned int received;	/* files */
	volatile unsigned int dropped;	/* messages that lost theirs */
	volatile unsigned int answered;	/* replies that brought files */
};

FIXTURE(files_storm) {
	int dev;
	int reader, writer;	/* the pipe */
	int fd[ENDPOINTS];
	struct storm *storm;
	unsigned int workers, seed;
};

FIXTURE_SETUP(files_storm)
{
	ASSERT_TRUE(kt_until(kt_slab_objects() == 0));
	self->dev = kt_device();
	self->storm = kt_shared(sizeof(*self->storm));
	self->writer = pipe_of(&self->reader);
	kt_set_param("user_files_max", 40);
}

FIXTURE_TEARDOWN(files_storm)
{
	kt_restore_params();
	close(self->dev);
	EXPECT_TRUE(kt_until(kt_slab_objects() == 0));
}

#define count(what)	__atomic_add_fetch(&(what), 1, __ATOMIC_RELAXED)

static void wrong(struct storm *storm, const char *what, long a, long b)
{
	if (count(storm->wrong) < 10)
		kt_complain("files_storm: %s: %ld %ld", what, a, b);
}

struct desk {
	struct storm *storm;
	unsigned int seed;
	int dev;
	int writer;
	uint32_t rights;
	int fd[ENDPOINTS];
};

static unsigned int chance(struct desk *desk, unsigned int n)
{
	return (unsigned int)rand_r(&desk->seed) % n;
}

static void name_of(char *name, unsigned int slot)
{
	sprintf(name, "kipc-files-storm-%u", slot);
}

static void desk_open(struct desk *desk, unsigned int slot)
{
	char name[32];
	long fd;

	name_of(name, slot);
	do {
		fd = kt_openl(desk->dev, .flags = KIPC_OPEN_WAIT | KIPC_OPEN_ANY_OWNER,
			      .rights = desk->rights, KT_NAME(name), .deadline = KIPC_FOREVER);
	} while (fd == -EIDRM || fd == -ENOENT);
	kt_need(fd >= 0);
	desk->fd[slot] = (int)fd;
}

/* Another endpoint is there now */
static void desk_reopen(struct desk *desk, unsigned int slot)
{
	close(desk->fd[slot]);
	desk_open(desk, slot);
}

/* The number, the pipe, and more of what travels: so many files */
static unsigned int make_files(struct desk *desk, unsigned int slot, uint64_t number, int *fds)
{
	unsigned int n = chance(desk, ROOM + 1), i;

	for (i = 0; i < n; i++) {
		switch (i) {
		case 0:
			fds[i] = memfd_create("number", MFD_CLOEXEC);
			kt_need(pwrite(fds[i], &number, sizeof(number), 0) == sizeof(number));
			break;
		case 1:
			fds[i] = fcntl(desk->fd[slot], F_DUPFD_CLOEXEC, 0);
			break;
		default:
			fds[i] = fcntl(desk->writer, F_DUPFD_CLOEXEC, 0);
		}
		kt_need(fds[i] >= 0);
	}
	return n;
}

static void close_files(const int *fds, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		close(fds[i]);
}

static void check_files(struct desk *desk, uint64_t number, const int *fds, unsigned int n)
{
	uint64_t found = 0;

	if (n > ROOM)
		wrong(desk->storm, "so many files", n, 0);
	if (n && (pread(fds[0], &found, sizeof(found), 0) != sizeof(found) || found != number))
		wrong(desk->storm, "another's file", (long)number, (long)found);
	__atomic_add_fetch(&desk->storm->received, n, __ATOMIC_RELAXED);
}

static bool is_fate(long ret)
{
	switch (ret) {
	case -EAGAIN:
	case -EBADF:	/* the endpoint of the handle that was to be sent has ended */
	case -ECANCELED:
	case -ECONNRESET:
	case -EDQUOT:
	case -EIDRM:
	case -EMSGSIZE:
	case -ENOSPC:
	case -ETIMEDOUT:
		return true;
	}
	return false;
}

static long start_call(struct desk *desk, int fd, struct kipc_op_rpc *op)
{
	struct kipc_payload room = op->reply;
	long ret;

	op->flags = KIPC_ASYNC;
	op->reply = (struct kipc_payload){ 0 };
	op->reply_room = room.len;
	ret = kt_op_rpc(fd, op);
	if (ret || chance(desk, 2))
		return ret ?: kt_cancel(fd, op->token, &(uint32_t){ 0 });
	op->flags = 0;
	op->reply_room = 0;
	op->reply = room;
	return kt_op_rpc(fd, op);
}

static void send_one(struct desk *desk, uint64_t number)
{
	unsigned int slot = chance(desk, ENDPOINTS), way = chance(desk, 6), n;
	struct kipc_op_send send = kt_send_op(&number, sizeof(number));
	struct kipc_result result = { 0 };
	uint64_t answer = 0;
	struct kipc_op_rpc rpc = kt_rpc_op(&number, sizeof(number), &answer, sizeof(answer),
					   &result);
	int fds[ROOM], got[ROOM];
	long ret;

	n = make_files(desk, slot, number, fds);
	send.payload.fds = n ? kt_ptr(fds) : 0;
	send.payload.nfds = n;
	rpc.request.fds = send.payload.fds;
	rpc.request.nfds = n;
	rpc.reply.nfds = chance(desk, ROOM + 1);
	rpc.reply.fds = rpc.reply.nfds ? kt_ptr(got) : 0;
	rpc.deadline = chance(desk, 3) ? KIPC_FOREVER : kt_now() + chance(desk, 4 * KT_MS);
	switch (way) {
	case 0:
		ret = kt_op_send(desk->fd[slot], &send);
		break;
	case 1:
		send.flags = KIPC_SYNC;
		send.deadline = rpc.deadline;
		ret = kt_op_send(desk->fd[slot], &send);
		break;
	case 2:
		ret = start_call(desk, desk->fd[slot], &rpc);
		break;
	default:
		rpc.flags = way == 3 ? KIPC_IDEMPOTENT : way == 4 ? KIPC_NOFILES : KIPC_TRUNCATE;
		ret = kt_op_rpc(desk->fd[slot], &rpc);
	}
	close_files(fds, n);
	if (ret >= 0 && way > 1) {
		check_files(desk, number, got, result.nfds);
		close_files(got, result.nfds);
		if (result.nfds)
			count(desk->storm->answered);
	}
	if (ret < 0 && !is_fate(ret))
		wrong(desk->storm, "fate", ret, way);
	if (ret == -EIDRM || ret == -EBADF)
		desk_reopen(desk, slot);
}

static void sender(struct desk *desk)
{
	uint64_t number;

	while ((number = count(desk->storm->next)) < OPERATIONS)
		send_one(desk, number);
}

/* Takes one, in some way, and answers with what it got */
static long serve_one(struct desk *desk, int fd)
{
	static const uint32_t flags[] = { 0, 0, 0, KIPC_TRUNCATE, KIPC_NOFILES };
	struct kipc_result result = { 0 };
	uint64_t number = 0;
	struct kipc_op_recv op = kt_recv_op(&number, sizeof(number), &result);
	struct kipc_op_reply reply;
	int got[ROOM];
	long ret;

	op.deadline = kt_now() + 3 * KT_MS;
	op.payload.nfds = chance(desk, 4) ? ROOM : 1;
	op.payload.fds = kt_ptr(got);
	op.flags = KIPC_ANYSIZE | flags[chance(desk, 5)];
	ret = kt_op_recv(fd, &op);
	/* who has no room for it leaves it to others, or drops them */
	if (ret == -EMSGSIZE) {
		op.flags |= chance(desk, 2) ? KIPC_TRUNCATE : KIPC_NOFILES;
		ret = kt_op_recv(fd, &op);
	}
	if (ret < 0)
		return ret;
	check_files(desk, number, got, result.nfds);
	if (result.flags & KIPC_RESULT_FILES_DROPPED)
		count(desk->storm->dropped);
	if (result.token) {
		reply = kt_reply_op(result.token, &number, sizeof(number));
		reply.payload.nfds = result.nfds;
		reply.payload.fds = result.nfds ? kt_ptr(got) : 0;
		ret = kt_op_reply(fd, &reply);
		/* too many on their way, or a handle whose endpoint has ended */
		if (ret == -EDQUOT || ret == -EBADF || ret == -ENOSPC)
			ret = kipc_reply(fd, result.token, &number, sizeof(number));
		if (ret && ret != -ECANCELED && ret != -EIDRM && ret != -ENOENT)
			wrong(desk->storm, "reply", ret, result.nfds);
	}
	close_files(got, result.nfds);
	return 0;
}

static void server(struct desk *desk)
{
	unsigned int slot;
	long ret;

	while (!desk->storm->stop) {
		slot = chance(desk, ENDPOINTS);
		do {
			ret = serve_one(desk, desk->fd[slot]);
		} while (!ret);
		if (ret == -EIDRM)
			desk_reopen(desk, slot);
		else if (ret != -ETIMEDOUT)
			wrong(desk->storm, "receive", ret, slot);
	}
}

static void hire(FIXTURE_DATA(files_storm) *self, bool is_server)
{
	static const uid_t uids[] = { 0, KT_UID_A, KT_UID_B };
	unsigned int number = self->workers++;
	struct desk desk = { .storm = self->storm, .seed = number + 1, .dev = self->dev,
			     .writer = self->writer,
			     .rights = is_server ? KIPC_RIGHT_RECV : KIPC_RIGHT_SEND };
	pid_t pid = fork();

	kt_need(pid >= 0);
	self->storm->worker[number].server = is_server;
	if (pid) {
		self->storm->worker[number].pid = pid;
		return;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (unsigned int slot = 0; slot < ENDPOINTS; slot++)
		close(self->fd[slot]);
	if (uids[number % 3])
		kt_become(uids[number % 3], uids[number % 3]);
	for (unsigned int slot = 0; slot < ENDPOINTS; slot++)
		desk_open(&desk, slot);
	if (is_server)
		server(&desk);
	else
		sender(&desk);
	self->storm->worker[number].ended = 1;
	_exit(0);
}

static bool kill_one(FIXTURE_DATA(files_storm) *self)
{
	unsigned int next = (unsigned int)rand_r(&self->seed) % self->workers;
	bool is_server = self->storm->worker[next].server;
	pid_t pid = self->storm->worker[next].pid;

	if (!pid || self->storm->worker[next].ended)
		return false;
	kill(pid, SIGKILL);
	kt_need(waitpid(pid, NULL, 0) == pid);
	self->storm->worker[next].pid = 0;
	hire(self, is_server);
	return true;
}

static void make_endpoint(FIXTURE_DATA(files_storm) *self, unsigned int slot)
{
	const struct kipc_attr attr = { .max_size = 64, .max_msgs = 8 };
	char name[32];

	name_of(name, slot);
	self->fd[slot] = kipc_create(name, KIPC_OPEN_FILES | KIPC_OPEN_EXCL, 0666, &attr);
	kt_need(self->fd[slot] >= 0);
}

static unsigned int living(FIXTURE_DATA(files_storm) *self, bool servers)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < self->workers; i++) {
		pid_t pid = self->storm->worker[i].pid;
		int status;

		if (!pid || self->storm->worker[i].server != servers)
			continue;
		if (waitpid(pid, &status, WNOHANG) == pid) {
			if (status)
				wrong(self->storm, "a worker's end", i, status);
			self->storm->worker[i].pid = 0;
			continue;
		}
		n++;
	}
	return n;
}

TEST_F_TIMEOUT(files_storm, no_file_is_left_and_none_is_anothers, 240)
{
	struct storm *storm = self->storm;
	unsigned int kills = 0, removals = 0;

	for (unsigned int slot = 0; slot < ENDPOINTS; slot++)
		make_endpoint(self, slot);
	for (unsigned int i = 0; i < SENDERS + SERVERS; i++)
		hire(self, i >= SENDERS);
	while (living(self, false)) {
		if (kills < KILLS && storm->next > kills * OPERATIONS / KILLS)
			kills += kill_one(self);
		if (removals < REMOVALS && storm->next > removals * OPERATIONS / REMOVALS) {
			unsigned int slot = STABLE + removals++ % (ENDPOINTS - STABLE);

			kt_need(!kipc_remove(self->fd[slot], 0));
			close(self->fd[slot]);
			make_endpoint(self, slot);
		}
		kt_nap();
	}
	for (unsigned int slot = 0; slot < ENDPOINTS; slot++)
		await_stat(self->fd[slot], msgs, 0);
	storm->stop = 1;
	await(!living(self, true));
	TH_LOG("%u files received, %u messages without theirs, %u replies with some",
	       storm->received, storm->dropped, storm->answered);
	EXPECT_EQ(0, storm->wrong);
	EXPECT_LT(OPERATIONS / 4, storm->received);
	EXPECT_LT(OPERATIONS / 40, storm->dropped);
	EXPECT_LT(OPERATIONS / 40, storm->answered);
	EXPECT_LT(KILLS / 4, kills);
	EXPECT_LT(REMOVALS / 4, removals);
	/* the endpoints are there still, with nothing in them */
	close(self->writer);
	EXPECT_TRUE(pipe_ended(self->reader));
	for (unsigned int slot = 0; slot < ENDPOINTS; slot++) {
		EXPECT_TRUE(kt_quiet(self->fd[slot]));
		EXPECT_TRUE(kt_until(kt_stat(self->fd[slot]).handles == 1));
		close(self->fd[slot]);
	}
	close(self->reader);
}

TEST_HARNESS_MAIN
