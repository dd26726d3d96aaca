// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The storm: dozens of processes of several users send, call, start, cancel,
 * receive and reply at a few endpoints. Some are killed at random, some
 * endpoints are removed and made anew, for a bounded count of operations. Then
 * every message and call is accounted for: none lost, none doubled, but for
 * what the promises allow, and that is known for each one.
 *
 * How it is known: each message has a number, its record is in shared memory,
 * and so is the buffer that a server receives into. A server that dies between
 * the commit of its receive and the entry in the ledger leaves the number of
 * the message in its buffer.
 */
#include <sys/prctl.h>

#include "harness.h"
#include "call_common.h"

#define ENDPOINTS	4
#define STABLE		2	/* the first of them are never removed */
#define SENDERS		20
#define SERVERS		14
#define OPERATIONS	24000
#define KILLS		150
#define REMOVALS	60
#define WORKERS		(SENDERS + SERVERS + KILLS)
#define LIVES		(ENDPOINTS + REMOVALS)
#define NONE		(~0ULL)

enum kind { WRITE, SEND, SEND_SYNC, CALL, CALL_IDEMPOTENT, CALL_DEADLINE, CALL_STARTED,
	    CALL_CANCELLED, KINDS };

/* A message; @taken and @replied count what servers know they did */
struct record {
	volatile unsigned int state;	/* below */
	volatile unsigned int taken;
	volatile unsigned int replied;
	volatile unsigned int gone;	/* REPLY said ECANCELED */
	volatile unsigned int lost;	/* in the buffer of a server when it was killed */
	volatile unsigned int sender_killed;
	enum kind kind;
	uint32_t endpoint;
	uint64_t badge;
	int64_t ret;
	uint32_t flags;
};

enum { UNUSED, UNDER_WAY, TOLD };

/* What a worker is doing, for who finds it dead */
struct worker {
	pid_t pid;
	bool server;
	unsigned int seed;
	volatile uint64_t sending;	/* number, or NONE */
	volatile uint64_t buf[64];	/* received into; [0]: number, or NONE */
	volatile uint64_t answering;	/* number, or NONE */
	volatile int ended;
};

struct storm {
	struct record record[OPERATIONS];
	struct worker worker[WORKERS];
	struct {
		uint32_t id;
		bool removed;
	} life[LIVES];			/* of endpoints */
	volatile unsigned int next;	/* number to be given out, */
	volatile unsigned int allowed;	/* but to be used only below this */
	volatile int stop;		/* no more senders: servers end when idle */
	volatile unsigned int wrong;	/* contents, results that make no sense */
};

FIXTURE(storm) {
	int dev;
	struct storm *storm;
	int fd[ENDPOINTS];
	unsigned int workers, lives, kills, removals, seed;
};

FIXTURE_SETUP(storm)
{
	self->dev = kt_device();
	self->storm = kt_shared(sizeof(*self->storm));
}

FIXTURE_TEARDOWN(storm)
{
}

static void wrong(struct storm *storm, const char *what, long a, long b)
{
	if (__atomic_add_fetch(&storm->wrong, 1, __ATOMIC_RELAXED) < 10)
		kt_complain("storm: %s: %ld %ld", what, a, b);
}

#define count(what)	__atomic_add_fetch(&(what), 1, __ATOMIC_RELAXED)

/* ---- workers ---- */

static void name_of(char *name, unsigned int slot)
{
	sprintf(name, "kipc-storm-%u", slot);
}

/* A handle on the endpoint that has the slot's name now */
static int open_slot(int dev, unsigned int slot, uint32_t rights)
{
	char name[32];
	struct kipc_op_open op = {
		.flags = KIPC_OPEN_WAIT | KIPC_OPEN_ANY_OWNER,
		.rights = rights,
		.deadline = KIPC_FOREVER,
	};
	long fd;

	name_of(name, slot);
	op.name = kt_ptr(name);
	op.name_len = (uint32_t)strlen(name);
	/* it may be removed between the look-up and the handle */
	do {
		fd = kt_open(dev, &op);
	} while (fd == -EIDRM || fd == -ENOENT);
	kt_need(fd >= 0);
	return (int)fd;
}

static uint64_t filler(uint64_t number, unsigned int i)
{
	return number * 0x9e3779b97f4a7c15ULL + i;
}

/* The handle's endpoint; 0 if it was removed meanwhile */
static uint32_t id_of(int fd)
{
	struct kipc_endpoint info;

	return kt_stat_id(fd, 0, &info) ? 0 : info.id;
}

/* A worker's side of the slots */
struct desk {
	struct storm *storm;
	struct worker *me;
	int dev;
	uint32_t rights;
	uint64_t badge;			/* of the handles that send */
	bool async;			/* a signal for each edge, which is ignored */
	int fd[ENDPOINTS];
	uint32_t id[ENDPOINTS];
};

static void desk_open(struct desk *desk, unsigned int slot)
{
	int fd;

	for (;;) {
		fd = open_slot(desk->dev, slot, desk->rights);
		desk->id[slot] = id_of(fd);
		desk->fd[slot] = kipc_restrict(fd, desk->rights, desk->badge);
		kt_need(desk->fd[slot] >= 0 || desk->fd[slot] == -EIDRM);
		close(fd);
		if (desk->fd[slot] < 0)
			continue;
		if (desk->id[slot])
			break;
		close(desk->fd[slot]);
	}
	if (!desk->async)
		return;
	kt_need(!fcntl(desk->fd[slot], F_SETOWN, getpid()));
	kt_need(!fcntl(desk->fd[slot], F_SETFL, O_ASYNC));
}

static void desk_reopen(struct desk *desk, unsigned int slot)
{
	close(desk->fd[slot]);
	desk_open(desk, slot);
}

static unsigned int chance(struct desk *desk, unsigned int n)
{
	return (unsigned int)rand_r(&desk->me->seed) % n;
}

/* Makes one call in the way that its kind says. */
static int64_t make_call(struct desk *desk, int fd, struct record *record, struct kipc_op_rpc *op,
			 struct kipc_result *result)
{
	uint32_t flags = 0;
	int64_t ret;

	switch (record->kind) {
	case CALL_IDEMPOTENT:
		op->flags = KIPC_IDEMPOTENT;
		break;
	case CALL_DEADLINE:
		op->deadline = kt_now() + chance(desk, 4 * KT_MS);
		break;
	case CALL_STARTED:
	case CALL_CANCELLED: {
		struct kipc_payload room = op->reply;

		op->flags = KIPC_ASYNC;
		op->reply_room = op->reply.len;
		op->reply = (struct kipc_payload){ 0 };
		ret = kt_op_rpc(fd, op);
		op->flags = 0;
		op->reply_room = 0;
		op->reply = room;
		if (ret < 0)
			return ret;
		if (record->kind == CALL_STARTED)
			break;
		ret = kt_cancel(fd, op->token, &flags);
		if (ret)
			wrong(desk->storm, "cancel", (long)ret, 0);
		memset(result, 0, sizeof(*result));
		result->flags = flags;
		result->cookie = op->cookie;
		return -ECANCELED;
	}
	default:
		break;
	}
	return kt_op_rpc(fd, op);
}

static void send_one(struct desk *desk, uint64_t number)
{
	struct record *record = &desk->storm->record[number];
	unsigned int slot = chance(desk, ENDPOINTS);
	unsigned int words = 1 + chance(desk, 60);
	uint64_t buf[64] = { number }, answer = 0;
	struct kipc_result result = { 0 };
	struct kipc_op_send send = kt_send_op(buf, words * sizeof(*buf));
	struct kipc_op_rpc rpc = kt_rpc_op(buf, words * sizeof(*buf), &answer, sizeof(answer),
					   &result);
	int64_t ret;

	for (unsigned int i = 1; i < words; i++)
		buf[i] = filler(number, i);
	record->kind = (enum kind)chance(desk, KINDS);
	record->endpoint = desk->id[slot];
	record->badge = desk->badge;
	desk->me->sending = number;
	__atomic_store_n(&record->state, UNDER_WAY, __ATOMIC_RELEASE);

	send.type = chance(desk, 5);
	send.prio = chance(desk, 3);
	rpc.type = send.type;
	rpc.prio = send.prio;
	rpc.cookie = number;
	if (record->kind == WRITE) {
		ret = write(desk->fd[slot], buf, words * sizeof(*buf));
		ret = ret < 0 ? -errno : ret == (int64_t)(words * sizeof(*buf)) ? 0 : ret;
	} else if (record->kind <= SEND_SYNC) {
		send.flags = record->kind == SEND_SYNC ? KIPC_SYNC : 0;
		ret = kt_op_send(desk->fd[slot], &send);
	} else {
		ret = make_call(desk, desk->fd[slot], record, &rpc, &result);
		if (ret == sizeof(answer) && answer != ~number)
			wrong(desk->storm, "another's answer", (long)number, (long)~answer);
		if (ret != -EAGAIN && ret != -EDQUOT && result.cookie != number)
			wrong(desk->storm, "cookie", (long)result.cookie, (long)ret);
	}
	record->ret = ret;
	record->flags = result.flags;
	__atomic_store_n(&record->state, TOLD, __ATOMIC_RELEASE);
	desk->me->sending = NONE;

	if (ret == -EIDRM)
		desk_reopen(desk, slot);
}

static void sender(struct desk *desk)
{
	uint64_t number;

	while ((number = count(desk->storm->next) - 1) < OPERATIONS) {
		while (number >= desk->storm->allowed)
			kt_nap();
		send_one(desk, number);
	}
}

/* What was received: is it whole, and whose turn is it to be in the ledger? */
static uint64_t check_in(struct desk *desk, int64_t size, const struct kipc_result *result)
{
	volatile uint64_t *buf = desk->me->buf;
	uint64_t number = buf[0];
	bool redelivered, call;

	if (number >= OPERATIONS || size != (int64_t)result->size || size % 8) {
		wrong(desk->storm, "no such message", (long)number, (long)size);
		return NONE;
	}
	for (unsigned int i = 1; i < size / 8; i++)
		if (buf[i] != filler(number, i))
			wrong(desk->storm, "contents", (long)number, i);
	redelivered = result->deliveries > 1;
	if (!!(result->flags & KIPC_RESULT_REDELIVERED) != redelivered)
		wrong(desk->storm, "redelivered", (long)number, result->deliveries);
	if (result->badge != desk->storm->record[number].badge)
		wrong(desk->storm, "badge", (long)number, (long)result->badge);
	call = desk->storm->record[number].kind > SEND_SYNC;
	if (!!result->token != call)
		wrong(desk->storm, "token", (long)number, (long)result->flags);
	count(desk->storm->record[number].taken);
	return number;
}

/* The server side of one slot: answers, and receives the next with the answer. */
static void serve(struct desk *desk, unsigned int slot)
{
	struct worker *me = desk->me;
	struct kipc_result result;
	struct kipc_op_reply_recv op = { 0 };
	uint64_t answer;
	int64_t ret;

	do {
		result.token = 0;
		op.recv = kt_recv_op((void *)me->buf, sizeof(me->buf), &result);
		op.recv.flags = KIPC_ANYSIZE;
		op.recv.deadline = kt_now() + 3 * KT_MS;
		op.reply = (struct kipc_payload){ .base = kt_ptr(&answer), .len = sizeof(answer) };
		op.replied = 0;
		op.reply_error = 0;
		me->buf[0] = NONE;
		ret = kt_op_reply_recv(desk->fd[slot], &op);
		if (me->answering != NONE) {
			if (op.reply_error == -ECANCELED)
				count(desk->storm->record[me->answering].gone);
			else if (op.replied)
				count(desk->storm->record[me->answering].replied);
			else
				wrong(desk->storm, "reply", (long)me->answering, (long)ret);
			me->answering = NONE;
		}
		op.token = 0;
		if (ret < 0)
			break;
		answer = check_in(desk, ret, &result);
		if (result.token)
			me->answering = answer;
		me->buf[0] = NONE;
		if (answer == NONE || !result.token)
			continue;
		answer = ~answer;
		op.token = result.token;
		if (chance(desk, 4))
			continue;
		/* now and then the two halves by themselves */
		ret = kipc_reply(desk->fd[slot], op.token, &answer, sizeof(answer));
		if (ret == 0)
			count(desk->storm->record[me->answering].replied);
		else if (ret == -ECANCELED)
			count(desk->storm->record[me->answering].gone);
		else
			wrong(desk->storm, "reply", (long)me->answering, (long)ret);
		me->answering = NONE;
		op.token = 0;
	} while (1);

	if (ret == -EIDRM)
		desk_reopen(desk, slot);
	else if (ret != -ETIMEDOUT)
		wrong(desk->storm, "receive", (long)ret, slot);
}

static void server(struct desk *desk)
{
	while (!desk->storm->stop)
		serve(desk, chance(desk, ENDPOINTS));
}

static void worker(struct storm *storm, struct worker *me, int dev, unsigned int number)
{
	static const uid_t uids[] = { 0, KT_UID_A, KT_UID_B, KT_UID_C };
	struct desk desk = { .storm = storm, .me = me, .dev = dev };
	uid_t uid = uids[number % 4];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (uid)
		kt_become(uid, uid);
	desk.rights = me->server ? KIPC_RIGHT_RECV : KIPC_RIGHT_SEND;
	desk.badge = me->server ? 0 : number + 1;
	desk.async = number % 3 == 0;
	signal(SIGIO, SIG_IGN);
	for (unsigned int slot = 0; slot < ENDPOINTS; slot++)
		desk_open(&desk, slot);
	if (me->server)
		server(&desk);
	else
		sender(&desk);
	me->ended = 1;
	_exit(0);
}

/* ---- the test's side ---- */

static void hire(FIXTURE_DATA(storm) *self, bool is_server)
{
	unsigned int number = self->workers++;
	struct worker *me = &self->storm->worker[number];
	pid_t pid;

	me->server = is_server;
	me->seed = number + 1;
	me->sending = NONE;
	me->buf[0] = NONE;
	me->answering = NONE;
	pid = fork();
	kt_need(pid >= 0);
	if (pid) {
		me->pid = pid;
		return;
	}
	/* else a worker would keep a removed endpoint's file */
	for (unsigned int slot = 0; slot < ENDPOINTS; slot++)
		close(self->fd[slot]);
	worker(self->storm, me, self->dev, number);
}

/* What was in the hands of a worker that was killed may be lost with it. */
static void bury(FIXTURE_DATA(storm) *self, struct worker *dead)
{
	struct storm *storm = self->storm;

	if (dead->sending != NONE)
		storm->record[dead->sending].sender_killed = 1;
	if (dead->buf[0] != NONE)
		storm->record[dead->buf[0]].lost++;
	if (dead->answering != NONE)
		storm->record[dead->answering].lost++;
	dead->pid = 0;
}

static bool kill_one(FIXTURE_DATA(storm) *self)
{
	unsigned int next = (unsigned int)rand_r(&self->seed) % self->workers;
	struct worker *victim = &self->storm->worker[next];
	int status;

	if (!victim->pid || victim->ended)
		return false;
	kill(victim->pid, SIGKILL);
	kt_need(waitpid(victim->pid, &status, 0) == victim->pid);
	bury(self, victim);
	hire(self, victim->server);
	return true;
}

static void make_endpoint(FIXTURE_DATA(storm) *self, unsigned int slot)
{
	struct kipc_attr attr = { .max_size = sizeof(uint64_t[64]), .max_msgs = 12 };
	struct kipc_op_open op = {
		.flags = KIPC_OPEN_CREATE | KIPC_OPEN_EXCL | KIPC_OPEN_PERSIST,
		.rights = KIPC_RIGHT_CONTROL | KIPC_RIGHT_RECV,
		.mode = 0666,
		.attr = attr,
	};
	char name[32];

	name_of(name, slot);
	op.name = kt_ptr(name);
	op.name_len = (uint32_t)strlen(name);
	self->fd[slot] = (int)kt_open(self->dev, &op);
	kt_need(self->fd[slot] >= 0);
	self->storm->life[self->lives++].id = op.id;
}

static void remake_endpoint(FIXTURE_DATA(storm) *self, unsigned int slot)
{
	uint32_t id = kt_id(self->fd[slot]);

	for (unsigned int i = 0; i < self->lives; i++)
		if (self->storm->life[i].id == id)
			self->storm->life[i].removed = true;
	kt_need(!kipc_remove(self->fd[slot], 0));
	close(self->fd[slot]);
	make_endpoint(self, slot);
}

static bool was_removed(struct storm *storm, uint32_t id)
{
	for (unsigned int i = 0; i < LIVES; i++)
		if (storm->life[i].id == id)
			return storm->life[i].removed;
	return false;
}

/*
 * One message's account. @taken has at most one entry for what is delivered
 * once; @lost says that a dead server may have had it, too.
 */
static const char *judge(struct storm *storm, const struct record *r)
{
	bool delivered = r->flags & KIPC_RESULT_DELIVERED;
	bool removed = was_removed(storm, r->endpoint);

	if (r->state == UNUSED)
		return r->taken || r->replied ? "never sent" : NULL;
	if (r->taken > (r->kind == CALL_IDEMPOTENT ? 4 : 1))
		return "received more than once";
	if (r->replied > 1)
		return "answered more than once";
	if (r->replied && !r->taken)
		return "answered but not received";
	if (r->state == UNDER_WAY)
		return r->sender_killed ? NULL : "its sender was never told";

	if (r->kind <= SEND_SYNC) {
		if (r->ret == 0 && !r->taken && !r->lost && !(removed && r->kind <= SEND))
			return "lost";
		if (r->ret == -EIDRM && r->kind <= SEND && removed && !r->taken)
			return NULL;
		if (r->ret == -EIDRM)
			return !removed ? "EIDRM" : r->taken ? "received but told EIDRM" : NULL;
		return r->ret ? "errno of a send" : NULL;
	}

	/* DELIVERED is said exactly of what a server had */
	if (delivered && !r->taken && !r->lost)
		return "DELIVERED without a receiver";
	if (!delivered && r->taken)
		return "received but not DELIVERED";
	switch (r->ret) {
	case sizeof(uint64_t):
		return r->replied || r->lost ? NULL : "an answer that nobody made";
	case -ECONNRESET:
		return r->lost && delivered ? NULL : "ECONNRESET of a living server";
	case -EIDRM:
		if (!removed)
			return "EIDRM";
		break;
	case -ETIMEDOUT:
		if (r->kind != CALL_DEADLINE)
			return "ETIMEDOUT";
		break;
	case -ECANCELED:
		/* may have been answered before it was given up */
		return r->kind == CALL_CANCELLED ? NULL : "ECANCELED";
	case -EAGAIN:
		return r->kind >= CALL_STARTED && !r->taken ? NULL : "EAGAIN";
	default:
		return "errno of a call";
	}
	return r->replied ? "answered but told an error" : NULL;
}

static unsigned int living(FIXTURE_DATA(storm) *self, bool servers)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < self->workers; i++) {
		struct worker *me = &self->storm->worker[i];
		int status;

		if (!me->pid || me->server != servers)
			continue;
		if (waitpid(me->pid, &status, WNOHANG) == me->pid) {
			if (status)
				wrong(self->storm, "a worker's end", i, status);
			me->pid = 0;
			continue;
		}
		n++;
	}
	return n;
}

/* Kills and removals keep step with the operations, and these with them. */
static void weather(FIXTURE_DATA(storm) *self)
{
	const unsigned int by_kills = OPERATIONS / (KILLS + 4);
	const unsigned int by_removals = OPERATIONS / (REMOVALS + 4);
	struct storm *storm = self->storm;
	unsigned int allowed = OPERATIONS;

	if (self->kills < KILLS && storm->next > self->kills * by_kills)
		self->kills += kill_one(self);
	if (self->removals < REMOVALS && storm->next > self->removals * by_removals)
		remake_endpoint(self, STABLE + self->removals++ % (ENDPOINTS - STABLE));
	if (self->kills < KILLS)
		allowed = (self->kills + 2) * by_kills;
	if (self->removals < REMOVALS && allowed > (self->removals + 2) * by_removals)
		allowed = (self->removals + 2) * by_removals;
	storm->allowed = allowed;
}

TEST_F_TIMEOUT(storm, p04_every_message_and_call_is_accounted_for, 300)
{
	unsigned int kinds[KINDS] = { 0 };
	struct storm *storm = self->storm;
	long slabs;

	slabs = kt_slab_objects();
	for (unsigned int slot = 0; slot < ENDPOINTS; slot++)
		make_endpoint(self, slot);
	for (unsigned int i = 0; i < SENDERS + SERVERS; i++)
		hire(self, i >= SENDERS);

	while (living(self, false)) {
		weather(self);
		kt_nap();
	}
	for (unsigned int slot = 0; slot < ENDPOINTS; slot++)
		await_stat(self->fd[slot], msgs, 0);
	for (unsigned int slot = 0; slot < ENDPOINTS; slot++)
		await_stat(self->fd[slot], calls, 0);
	storm->stop = 1;
	await(!living(self, true));

	EXPECT_EQ(KILLS, self->kills);
	EXPECT_EQ(REMOVALS, self->removals);
	EXPECT_EQ(0, storm->wrong);
	for (unsigned int i = 0; i < OPERATIONS; i++) {
		const struct record *r = &storm->record[i];
		const char *fault = judge(storm, r);

		kinds[r->kind] += r->state == TOLD;
		ASSERT_EQ(NULL, fault) {
			TH_LOG("%u: %s: kind %u ret %ld flags %x taken %u replied %u lost %u",
			       i, fault, r->kind, (long)r->ret, r->flags, r->taken, r->replied,
			       r->lost);
		}
	}
	for (unsigned int i = 0; i < KINDS; i++)
		EXPECT_LT(OPERATIONS / KINDS / 2, kinds[i]);

	for (unsigned int slot = 0; slot < ENDPOINTS; slot++) {
		EXPECT_TRUE(kt_quiet(self->fd[slot]));
		EXPECT_EQ(1, kt_stat(self->fd[slot]).handles);
		EXPECT_EQ(1, kt_stat(self->fd[slot]).receivers);
		ASSERT_EQ(0, kipc_remove(self->fd[slot], 0));
		close(self->fd[slot]);
	}
	/* freed after a grace period */
	EXPECT_LE(0, slabs);
	await(kt_slab_objects() <= slabs);
}

TEST_HARNESS_MAIN
