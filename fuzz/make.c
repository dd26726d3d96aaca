// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Making programs up, and changing them. Most values are such that they mean
 * something where they stand; some are not.
 */
#include <signal.h>
#include <string.h>

#include "fuzz.h"

#define LEN(array) (sizeof(array) / sizeof((array)[0]))
#define PICK(array) ((array)[below(LEN(array))])

static uint64_t random_state;

void make_seed(uint64_t seed)
{
	random_state = seed * 0x9e3779b97f4a7c15ULL + 0x1234567ULL;
}

static uint64_t random64(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

uint64_t below(uint64_t n)
{
	return random64() % n;
}

static bool chance(unsigned int percent)
{
	return below(100) < percent;
}

static const uint64_t interesting[] = {
	0, 1, 2, 7, 8, 63, 64, 255, 256, 4095, 4096, 4097, 8191, 8192, 8193, 32767, 32768, 65535,
	65536, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 0x7fffffff, 0x80000000, 0xffffffff,
	0x100000000, 0x7fffffffffffffff, 0x8000000000000000, -2ULL, -1ULL,
};

/* What the operations before the i-th leave to use */
struct world {
	uint16_t fds[PROCESSES];
	uint16_t ids;
	uint16_t tokens;	/* any; of these: */
	uint16_t deliveries;
	uint16_t calls;
	uint8_t actor[SLOTS];	/* who got the token, */
	uint8_t fd[SLOTS];	/* and through which file */
};

static struct world world_before(const struct program *program, unsigned int end)
{
	struct world world = { .ids = 0 };
	unsigned int i;

	for (i = 0; i < end; i++) {
		const struct op *op = &program->ops[i];
		uint16_t bit = (uint16_t)(1 << op->arg[A_TO]);
		uint16_t *fds = &world.fds[process_of(op->actor)];

		switch (op->kind) {
		case OP_OPEN:
			world.ids |= bit;
			if (!(op->arg[A_FLAGS] & KIPC_OPEN_ID_ONLY))
				*fds |= bit;
			break;
		case OP_RESTRICT:
		case OP_DEVICE:
		case OP_DUP:
		case OP_TAKE:
			*fds |= bit;
			break;
		case OP_NEXT:
			world.ids |= bit;
			break;
		case OP_CLOSE:
			*fds &= (uint16_t)~(1 << op->arg[A_FD]);
			break;
		case OP_RECV:
		case OP_RECV_BATCH:
		case OP_RPC:
		case OP_REPLY_RECV:
			world.tokens |= bit;
			world.calls &= (uint16_t)~bit;
			world.deliveries &= (uint16_t)~bit;
			if (op->kind == OP_RPC)
				world.calls |= bit;
			else
				world.deliveries |= bit;
			world.actor[op->arg[A_TO]] = op->actor;
			world.fd[op->arg[A_TO]] = (uint8_t)op->arg[A_FD];
			break;
		}
	}
	return world;
}

/* One of those, or any */
static uint64_t slot_of(uint16_t set)
{
	unsigned int i, n = (unsigned int)below((uint64_t)__builtin_popcount(set) + 1);

	for (i = 0; set && !chance(5); i = (i + 1) % SLOTS)
		if (set & 1 << i && !n--)
			return i;
	return below(SLOTS);
}

static uint64_t make_fd(const struct op *op, const struct world *world)
{
	uint16_t fds = world->fds[process_of(op->actor)];

	if (op->kind == OP_OPEN || op->kind == OP_NEXT)
		return chance(96) ? 0 : slot_of(fds);
	return fds && !chance(12) ? slot_of(fds) : 0;
}

static uint64_t make_id(const struct op *op, const struct world *world)
{
	if (chance(3))
		return PICK(interesting);
	if (op->kind == OP_OPEN ? !chance(50) : op->arg[A_FD] && !chance(2))
		return 0;
	return FROM_SLOT | slot_of(world->ids);
}

static uint64_t make_flags(const char *group)
{
	uint64_t bits[32], flags = 0;
	unsigned int n = flags_of(group, bits);

	while (chance(55))
		flags |= bits[below(n)];
	return chance(2) ? flags | 1ULL << below(32) : flags;
}

static uint64_t make_open_flags(void)
{
	uint64_t flags = make_flags("OPEN");

	/* Alone these forbid nearly all that is useful */
	if (!chance(10))
		flags &= ~(uint64_t)KIPC_OPEN_EXPECT_UID;
	if (flags & KIPC_OPEN_ID_ONLY && chance(85))
		flags = (flags & ~(uint64_t)KIPC_OPEN_FILES) | KIPC_OPEN_PERSIST;
	if (!(flags & KIPC_OPEN_PERSIST) && chance(30))
		flags |= KIPC_OPEN_FILES;
	if (!(flags & KIPC_OPEN_WAIT) && chance(70))
		flags |= KIPC_OPEN_CREATE;
	else if (chance(60))
		flags |= KIPC_OPEN_ANY_OWNER;
	return flags;
}

/* Those that are not supported end everything early */
static uint64_t make_message_flags(const struct op *op)
{
	uint64_t flags = make_flags("MESSAGE");

	if (op->kind != OP_SEND && op->kind != OP_RECV && op->kind != OP_RPC &&
	    op->kind != OP_REPLY_RECV && op->kind != OP_SEND_BATCH && op->kind != OP_RECV_BATCH)
		return chance(95) ? 0 : flags;
	if (!chance(3))
		flags &= ~(uint64_t)(KIPC_LEASE | KIPC_EVENTS);
	if (!chance(20))
		flags &= ~(uint64_t)(KIPC_MSGBUF | KIPC_PRIO_ONLY);
	if (chance(4))
		return flags;
	switch (op->kind) {
	case OP_SEND:
		return flags & (KIPC_NONBLOCK | KIPC_REALTIME | KIPC_NORESTART | KIPC_SYNC |
				KIPC_NOENT | KIPC_MSGBUF);
	case OP_SEND_BATCH:
		return flags & (KIPC_NONBLOCK | KIPC_REALTIME | KIPC_NORESTART);
	case OP_RPC:
		return flags & (KIPC_NONBLOCK | KIPC_REALTIME | KIPC_NORESTART | KIPC_IDEMPOTENT |
				KIPC_ASYNC | KIPC_NEXT | KIPC_TRUNCATE | KIPC_NOFILES);
	default:
		flags &= ~(uint64_t)(KIPC_SYNC | KIPC_IDEMPOTENT | KIPC_ASYNC | KIPC_NEXT);
		if (op->kind != OP_RECV)
			flags &= ~(uint64_t)(KIPC_PEEK | KIPC_INDEX | KIPC_MSGBUF |
					     KIPC_PRIO_ONLY);
		if (flags & KIPC_INDEX || (flags & KIPC_PEEK && chance(30))) {
			flags |= KIPC_PEEK | KIPC_INDEX;
			flags &= ~(uint64_t)(KIPC_TYPE_EQ | KIPC_TYPE_LE | KIPC_TYPE_NE);
		}
		return flags | (chance(60) ? KIPC_ANYSIZE : 0);
	}
}

static uint64_t make_len(void)
{
	if (chance(60))
		return below(200);
	if (chance(50))
		return below(9000);
	return PICK(interesting);
}

static uint64_t make_time(void)
{
	if (chance(35))
		return 0;
	if (chance(75))
		return FROM_NOW | below(chance(80) ? 4000 : 20000);
	return chance(80) ? KIPC_FOREVER : PICK(interesting);
}

static uint64_t make_what(void)
{
	uint64_t bits[16], what = 0;
	unsigned int n = flags_of("SET", bits);

	do
		what |= bits[below(n)];
	while (chance(30));
	return chance(3) ? random64() & 0xff : what;
}

static uint64_t make_number(const struct op *op, enum argument arg)
{
	static const uint64_t iovs[] = { 1, 2, 3, 8, 17, 1023, 1024, 1025, 0xffffffff };
	static const uint64_t modes[] = { 0600, 0666, 0622, 0644, 0, 0777, 01000 };
	static const uint64_t ids[] = { 0, 1001, 1002, 65534, 0xffffffff };
	static const uint64_t sizes[] = { 1, 16, 64, 300, 4096, 8192, 1 << 20 };
	static const uint64_t keys[] = { 1, 2, 3, 1ULL << 63 };
	static const uint64_t grows[] = { 4, 8, 64, -4ULL, -8ULL, -1ULL, 16000 };

	switch (arg) {
	case A_DELAY:
		return below(chance(80) ? 200 : 2000);
	case A_NTH:
		return 1 + below(chance(80) ? 12 : 40);
	case A_GROW:
		return PICK(grows);
	case A_POKE:
		return 1 + 4 * below(120);
	case A_WITH:
		return PICK(interesting) & 0xffffffff;
	case A_KEY:
		return PICK(keys);
	case A_NAME:
		return below(9);
	case A_MODE:
		return PICK(modes);
	case A_UID:
	case A_GID:
		return PICK(ids);
	case A_MAX_SIZE:
	case A_MAX_MSGS:
	case A_MAX_BYTES:
		return chance(60) ? below(20) : PICK(sizes);
	case A_BADGE:
	case A_TYPE:
	case A_TYPE2:
	case A_PRIO:
		return below(4);
	case A_STATUS:
		return below(600);
	case A_LEN:
	case A_LEN2:
	case A_ROOM:
		return make_len();
	case A_IOV:
	case A_IOV2:
		return PICK(iovs);
	case A_FILES:
		return (1 + below(chance(90) ? 4 : KIPC_FILES_MAX + 1)) | below(8) << 5;
	case A_FILES2:
		return 1 + below(chance(90) ? KIPC_FILES_MAX : KIPC_FILES_MAX + 2);
	case A_US:
		return below(chance(80) ? 1000 : 20000);
	case A_N:
		if (op->kind == OP_SEND_BATCH || op->kind == OP_RECV_BATCH)
			return chance(90) ? 1 + below(20) : below(KIPC_BATCH_MAX + 2);
		/* Limits that are met */
		if (op->kind == OP_PARAM && chance(70))
			return 1 + below(4);
		return chance(50) ? below(64) : random64() & 0xffff;
	default:
		return random64();
	}
}

static uint64_t make_flags_of(const struct op *op)
{
	if (op->kind == OP_OPEN)
		return make_open_flags();
	return op->kind == OP_NOTIFY ? make_flags("NOTIFY") : make_message_flags(op);
}

static uint64_t make_value(const struct op *op, enum argument arg, const struct world *world)
{
	static const int signals[] = { SIGUSR1, SIGUSR1, SIGUSR2, SIGUSR2, SIGKILL, SIGSTOP,
				       SIGCONT };

	switch (value_of(arg)) {
	case SLOT:
		/* What it puts there is of use to poll() alone */
		if (arg == A_TO && op->kind == OP_NOTIFY)
			return 8 + below(SLOTS - 9);
		if (arg == A_TO)
			return 1 + below(chance(80) ? 6 : SLOTS - 1);
		return make_fd(op, world);
	case ID:
		return make_id(op, world);
	case TOKEN:
		/* A count of messages */
		if (op->kind == OP_RECV && arg == A_AFTER && op->arg[A_FLAGS] & KIPC_INDEX)
			return below(chance(70) ? 4 : 40);
		return chance(95) ? FROM_SLOT | slot_of(world->tokens) : random64();
	case FLAGS:
		return make_flags_of(op);
	case RIGHTS:
		return chance(90) ? 1 + below(7) : below(16);
	case WHAT:
		return op->kind == OP_SET ? make_what() : 0;
	case TIME:
		return make_time();
	case PLACE:
		return chance(40) ? (uint64_t)TRAP : below(PLACES);
	case ACTOR:
		return below(ACTORS);
	case SIGNAL:
		return (uint64_t)PICK(signals);
	case HOW:
		if (op->kind == OP_NOTIFY && op->arg[A_FLAGS] && chance(95))
			return KIPC_NOTIFY_EVENTFD;
		return below(hows_of(&kinds[op->kind]));
	case NUMBER:
		break;
	}
	return chance(96) ? make_number(op, arg) : PICK(interesting);
}

/* In how many of a hundred operations this is something else than 0 */
static unsigned int likelihood(const struct op *op, enum argument arg)
{
	switch (arg) {
	case A_DELAY:
		return 15;
	case A_NTH:
		return 4;
	case A_POKE:
	case A_GROW:
	case A_AT:
		return 2;
	case A_WITH:
		return op->arg[A_POKE] ? 80 : 0;
	case A_KEY:
	case A_NAME:
		return op->arg[A_KEY] || op->arg[A_ID] ? 2 : 35;
	case A_MAX_SIZE:
	case A_MAX_MSGS:
	case A_MAX_BYTES:
		return 20;
	case A_MEM:
	case A_MEM2:
	case A_RESULT:
		return 6;
	case A_IOV:
	case A_IOV2:
	case A_STATUS:
	case A_FILES:
		return 12;
	case A_FILES2:
		return 30;
	case A_AFTER:
		return op->arg[A_FLAGS] & KIPC_PEEK ? 60 : 2;
	case A_TYPE:
	case A_TYPE2:
		if (op->kind != OP_RECV && op->kind != OP_RECV_BATCH)
			return 50;
		return op->arg[A_FLAGS] >> 16 & 7 ? 90 : 3;
	case A_TOKEN:
		return op->kind == OP_RPC ? 30 : 95;
	case A_ROOM:
		if (op->kind == OP_SEND_BATCH)
			return 30;
		return op->arg[A_FLAGS] & KIPC_ASYNC ? 70 : 2;
	case A_LEN2:
		return op->kind == OP_RPC && op->arg[A_FLAGS] & KIPC_ASYNC ? 2 : 85;
	case A_BADGE:
	case A_UID:
	case A_GID:
	case A_COOKIE:
	case A_PRIO:
		return 30;
	default:
		return 100;
	}
}

/* A token is of use to those only who got it, through the file by which they did */
static void aim(struct op *op, const struct world *world)
{
	uint16_t tokens = world->deliveries;
	uint64_t slot;

	if (op->kind == OP_CANCEL || op->kind == OP_RPC)
		tokens = world->calls;
	if (!takes(op, A_TOKEN) || !op->arg[A_TOKEN] || !tokens || chance(20))
		return;
	slot = slot_of(tokens);
	op->arg[A_TOKEN] = FROM_SLOT | slot;
	op->arg[A_FD] = world->fd[slot];
	op->actor = (uint8_t)(world->actor[slot] ^ below(2));
}

static bool may_sleep(const struct op *op)
{
	if (op->kind == OP_READ || op->kind == OP_WRITE)
		return !op->arg[A_HOW];
	return op->arg[A_TIME] && takes(op, A_TIME);
}

static void make_op(struct op *op, const struct world *world)
{
	unsigned int sum = 0, at;
	enum argument arg;

	memset(op, 0, sizeof(*op));
	for (at = 0; at < KINDS; at++)
		sum += kinds[at].weight;
	at = (unsigned int)below(sum);
	for (op->kind = 0; at >= kinds[op->kind].weight; op->kind++)
		at -= kinds[op->kind].weight;
	op->actor = (uint8_t)below(chance(70) ? 4 : ACTORS);
	for (arg = 0; arg < ARGS; arg++)
		if (takes(op, arg) && chance(likelihood(op, arg)))
			op->arg[arg] = make_value(op, arg, world);
	aim(op, world);
	if (chance(may_sleep(op) ? 65 : 8))
		op->meet = chance(30) ? TOGETHER : GO_ON;
	else if (chance(10))
		op->meet = TOGETHER;
}

static void insert_op(struct program *program, unsigned int i, const struct op *op)
{
	if (program->n == OPS_MAX)
		return;
	memmove(&program->ops[i + 1], &program->ops[i], (program->n - i) * sizeof(*op));
	program->ops[i] = *op;
	program->n++;
}

void drop_op(struct program *program, unsigned int i)
{
	program->n--;
	memmove(&program->ops[i], &program->ops[i + 1],
		(program->n - i) * sizeof(program->ops[0]));
}

static void insert_new(struct program *program, unsigned int i)
{
	struct world world = world_before(program, i);
	struct op op;

	make_op(&op, &world);
	insert_op(program, i, &op);
}

/* An endpoint, which others find by its id */
static void make_start(struct program *program)
{
	static const uint64_t flags[] = { 0, 0, 0, KIPC_OPEN_RENDEZVOUS, KIPC_OPEN_PERSIST,
					  KIPC_OPEN_KEEP_BY_ANY, KIPC_OPEN_ONEWAY,
					  KIPC_OPEN_FIRST_COME, KIPC_OPEN_MQUEUE,
					  KIPC_OPEN_FIRST_COME | KIPC_OPEN_SYSV |
					  KIPC_OPEN_ONEWAY,
					  KIPC_OPEN_PERSIST | KIPC_OPEN_KEEP_BY_ANY };
	struct op op = { .kind = OP_OPEN, .actor = (uint8_t)below(ACTORS) };
	unsigned int server = op.actor, i;

	op.arg[A_FLAGS] = KIPC_OPEN_CREATE | PICK(flags);
	op.arg[A_RIGHTS] = 7;
	op.arg[A_MODE] = 0666;
	op.arg[A_TO] = 1;
	if (chance(30))
		op.arg[A_MAX_MSGS] = 1 + below(4);
	if (chance(20))
		op.arg[A_MAX_SIZE] = 1 + below(100);
	insert_op(program, 0, &op);
	for (i = 1; i <= 1 + below(2); i++) {
		op.actor = (uint8_t)below(ACTORS);
		if (process_of(op.actor) == process_of(server))
			continue;
		memset(op.arg, 0, sizeof(op.arg));
		op.arg[A_FLAGS] = KIPC_OPEN_ANY_OWNER;
		op.arg[A_RIGHTS] = 1 + below(3);
		op.arg[A_ID] = FROM_SLOT | 1;
		op.arg[A_TO] = 1 + i;
		insert_op(program, program->n, &op);
	}
}

/* Two who talk: a caller and a server, each with its descriptor of an endpoint */
struct pair {
	unsigned int caller, server;	/* actors */
	uint64_t caller_fd, server_fd;	/* slots */
	uint64_t call, delivery;	/* slots of tokens */
};

static unsigned int insert_pair(struct program *program, unsigned int i, struct pair *pair)
{
	struct op op = { .kind = OP_OPEN, .actor = (uint8_t)pair->server };

	op.arg[A_FLAGS] = KIPC_OPEN_CREATE;
	op.arg[A_RIGHTS] = 7;
	op.arg[A_MODE] = 0666;
	op.arg[A_TO] = pair->server_fd;
	insert_op(program, i++, &op);
	op = (struct op){ .kind = OP_OPEN, .actor = (uint8_t)pair->caller };
	op.arg[A_FLAGS] = KIPC_OPEN_ANY_OWNER;
	op.arg[A_RIGHTS] = KIPC_RIGHT_SEND;
	op.arg[A_ID] = FROM_SLOT | pair->server_fd;
	op.arg[A_TO] = pair->caller_fd;
	insert_op(program, i++, &op);
	return i;
}

/* Is there an endpoint that both may have open? */
static bool find_pair(struct pair *pair, const struct world *world)
{
	uint16_t callers = world->fds[process_of(pair->caller)];
	uint16_t servers = world->fds[process_of(pair->server)];

	if (!callers || !servers)
		return false;
	pair->caller_fd = slot_of(callers);
	pair->server_fd = slot_of(servers);
	return true;
}

/* A call that a server has, interrupted; or one whose reply finds no memory; or one started */
static unsigned int insert_call(struct program *program, unsigned int i, const struct pair *pair)
{
	bool async = chance(15), fault = !async && chance(25);
	struct op op = { .kind = OP_RPC, .actor = (uint8_t)pair->caller };

	op.meet = async ? WAIT : GO_ON;
	op.arg[A_FD] = pair->caller_fd;
	op.arg[A_LEN] = below(20);
	op.arg[A_TO] = pair->call;
	if (async) {
		op.arg[A_FLAGS] = KIPC_ASYNC;
		op.arg[A_ROOM] = 100;
	} else {
		op.arg[A_FLAGS] = chance(20) ? KIPC_IDEMPOTENT : 0;
		op.arg[A_LEN2] = 100;
		op.arg[A_MEM2] = fault ? HOLE : GOOD;
		op.arg[A_TIME] = FROM_NOW | 20000;
	}
	insert_op(program, i++, &op);

	op = (struct op){ .kind = OP_RECV, .actor = (uint8_t)pair->server };
	op.arg[A_FD] = pair->server_fd;
	op.arg[A_FLAGS] = KIPC_ANYSIZE;
	op.arg[A_LEN2] = 8192;
	op.arg[A_TIME] = FROM_NOW | 2500;
	op.arg[A_TO] = pair->delivery;
	insert_op(program, i++, &op);
	if (async)
		return i;

	op = (struct op){ .kind = fault ? OP_REPLY : OP_KILL };
	if (fault) {
		op.actor = (uint8_t)pair->server;
		op.arg[A_FD] = pair->server_fd;
		op.arg[A_TOKEN] = FROM_SLOT | pair->delivery;
		op.arg[A_LEN] = 1 + below(90);
	} else {
		op.arg[A_WHO] = pair->caller;
		op.arg[A_SIG] = SIGUSR2;
	}
	insert_op(program, i++, &op);
	/* The caller has its token when it does this */
	op = (struct op){ .kind = OP_YIELD, .actor = (uint8_t)pair->caller };
	insert_op(program, i++, &op);
	return i;
}

static struct op make_collect(const struct pair *pair, unsigned int actor)
{
	static const uint8_t meets[] = { WAIT, GO_ON, GO_ON, TOGETHER };
	struct op op = { .kind = OP_RPC, .actor = (uint8_t)actor, .meet = PICK(meets) };

	op.arg[A_FD] = pair->caller_fd;
	op.arg[A_TO] = 1 + below(SLOTS - 1);
	op.arg[A_LEN2] = chance(80) ? 100 : 0;
	op.arg[A_TIME] = chance(80) ? FROM_NOW | (1000 + below(4000)) : make_time();
	if (chance(20))
		op.arg[A_FLAGS] = KIPC_NEXT;
	else
		op.arg[A_TOKEN] = FROM_SLOT | pair->call;
	return op;
}

/* What may befall a call that outlived its system call */
static struct op make_blow(const struct pair *pair, unsigned int actor)
{
	static const uint8_t blows[] = {
		OP_RPC, OP_CANCEL, OP_CANCEL, OP_CANCEL, OP_REPLY, OP_REPLY, OP_KILL, OP_KILL,
		OP_CLOSE, OP_CLOSE, OP_WANTED, OP_ADOPT, OP_REMOVE, OP_SHUTDOWN, OP_FORK, OP_EXIT,
	};
	struct op op = { .kind = PICK(blows), .actor = (uint8_t)actor };

	if (op.kind == OP_RPC)
		return make_collect(pair, actor);
	op.meet = chance(40) ? TOGETHER : WAIT;
	op.arg[A_FD] = pair->caller_fd;
	switch (op.kind) {
	case OP_CANCEL:
		op.arg[A_TOKEN] = FROM_SLOT | pair->call;
		break;
	case OP_REPLY:
	case OP_WANTED:
	case OP_ADOPT:
	case OP_REMOVE:
	case OP_SHUTDOWN:
		op.actor = (uint8_t)(pair->server ^ below(2));
		op.arg[A_FD] = pair->server_fd;
		if (takes(&op, A_TOKEN))
			op.arg[A_TOKEN] = FROM_SLOT | pair->delivery;
		if (op.kind == OP_REPLY)
			op.arg[A_LEN] = below(120);
		break;
	case OP_KILL:
		op.meet = WAIT;
		op.arg[A_FD] = 0;
		op.arg[A_WHO] = chance(85) ? pair->caller ^ below(2) : pair->server;
		op.arg[A_SIG] = (uint64_t)(chance(85) ? SIGUSR2 : chance(50) ? SIGUSR1 : SIGKILL);
		break;
	case OP_FORK:
		op.arg[A_FD] = 0;
		op.arg[A_US] = below(2000);
		op.arg[A_N] = below(4);
		break;
	case OP_EXIT:
		op.arg[A_FD] = 0;
		op.arg[A_HOW] = below(2);
		break;
	default:
		break;
	}
	if (takes(&op, A_DELAY) && chance(40))
		op.arg[A_DELAY] = below(400);
	return op;
}

/*
 * A call outlives its system call. One thread of its process waits for it again, while
 * the other, and the server, do what they like. By chance alone all this rarely meets.
 */
static void insert_outliving(struct program *program, unsigned int i)
{
	struct world world = world_before(program, i);
	struct pair pair = {
		.caller = (unsigned int)below(ACTORS), .server = (unsigned int)below(ACTORS),
		.caller_fd = 1 + below(6), .server_fd = 1 + below(6),
		.call = 1 + below(SLOTS - 1), .delivery = 1 + below(SLOTS - 1),
	};
	unsigned int waiter = pair.caller ^ (unsigned int)below(2), n;
	struct op op;

	if (process_of(pair.caller) == process_of(pair.server))
		pair.server = (pair.server + 2) % ACTORS;
	if (chance(60) || !find_pair(&pair, &world))
		i = insert_pair(program, i, &pair);
	i = insert_call(program, i, &pair);
	if (chance(75)) {
		op = make_collect(&pair, waiter);
		insert_op(program, i++, &op);
	}
	for (n = 1 + (unsigned int)below(4); n; n--) {
		op = make_blow(&pair, chance(75) ? waiter ^ 1 : waiter);
		insert_op(program, i++, &op);
	}
}

void make_program(struct program *program)
{
	unsigned int n = 4 + (unsigned int)below(20);

	program->n = 0;
	if (chance(80))
		make_start(program);
	if (chance(15))
		insert_outliving(program, program->n);
	while (program->n < n)
		insert_new(program, program->n);
}

static void change_arg(struct program *program, unsigned int i)
{
	struct world world = world_before(program, i);
	struct op *op = &program->ops[i];
	enum argument arg = (enum argument)below(ARGS);

	if (!takes(op, arg))
		return;
	if (arg != A_HOW && arg != A_WHO && arg != A_SIG && chance(25))
		op->arg[arg] = 0;
	else
		op->arg[arg] = make_value(op, arg, &world);
}

/* Another ioctl with the same arguments, as far as it takes them */
static void change_kind(struct program *program, unsigned int i)
{
	struct op *op = &program->ops[i];
	enum argument arg;

	if (!kinds[op->kind].cmd)
		return;
	do
		op->kind = (uint8_t)below(KINDS);
	while (!kinds[op->kind].cmd);
	for (arg = 0; arg < ARGS; arg++)
		if (!takes(op, arg))
			op->arg[arg] = 0;
}

static void splice(struct program *program, const struct program *other)
{
	unsigned int from = (unsigned int)below(other->n);
	unsigned int n = 1 + (unsigned int)below(other->n - from);
	unsigned int at = (unsigned int)below(program->n + 1);

	while (n-- && program->n < OPS_MAX)
		insert_op(program, at++, &other->ops[from++]);
}

/* New processes take longer than all the rest: let few programs need them */
void spare_processes(struct program *program)
{
	unsigned int i;

	if (chance(8))
		return;
	for (i = program->n; i-- > 0;)
		if (cannot_be_undone(&program->ops[i]) && program->n > 1)
			drop_op(program, i);
}

void mutate_program(struct program *program, const struct program *other)
{
	unsigned int i;
	struct op op;

	do {
		i = (unsigned int)below(program->n);
		switch (below(13)) {
		case 0:
		case 1:
			/* The more happened before, the more can happen */
			insert_new(program, chance(40) ? program->n :
				   (unsigned int)below(program->n + 1));
			break;
		case 2:
			if (program->n > 2)
				drop_op(program, i);
			break;
		case 3:
			op = program->ops[i];
			insert_op(program, (unsigned int)below(program->n + 1), &op);
			break;
		case 4:
			op = program->ops[i];
			drop_op(program, i);
			insert_op(program, (unsigned int)below(program->n + 1), &op);
			break;
		case 5:
			if (!by_boss(&program->ops[i]))
				program->ops[i].actor = (uint8_t)below(ACTORS);
			break;
		case 6:
			program->ops[i].meet = (uint8_t)below(3);
			break;
		case 7:
			if (other->n && chance(30))
				splice(program, other);
			break;
		case 8:
			if (takes(&program->ops[i], A_NTH))
				program->ops[i].arg[A_NTH] = make_number(&program->ops[i], A_NTH);
			break;
		case 9:
			change_kind(program, i);
			break;
		case 10:
			if (chance(60))
				insert_outliving(program, chance(60) ? program->n : i);
			break;
		default:
			/* Most arguments are not of this operation */
			change_arg(program, i);
			change_arg(program, i);
			change_arg(program, i);
		}
	} while (chance(60));
}

/* The same at other moments */
void jitter_program(struct program *program)
{
	unsigned int i;

	for (i = 0; i < program->n; i++)
		if (takes(&program->ops[i], A_DELAY) && chance(30))
			program->ops[i].arg[A_DELAY] = make_number(&program->ops[i], A_DELAY);
}
