// SPDX-License-Identifier: GPL-2.0-or-later
/* The ioctls: their structs, and the memory that they and what they name lie in. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "fuzz.h"

#define STRUCT_ROOM	(5 * PAGE)	/* for any size that an ioctl number can tell */
#define IOV_ROOM	(5 * PAGE)	/* segments, and behind them descriptors */
#define IOVS		1026U
#define FILES		32U
#define ARENA		(1280U << 10)

struct arena {
	char *bytes;	/* for payloads, a hole behind it */
	char *hole;
	char *readonly;
	char *trap;	/* a page whose protection programs change */
	char *structs;	/* for the ioctl's struct and the segments */
};

static struct arena arenas[ACTORS];

void calls_open(void)
{
	size_t size = ARENA + 3 * PAGE + STRUCT_ROOM + 2 * IOV_ROOM + PAGE;
	unsigned int i;

	for (i = 0; i < ACTORS; i++) {
		struct arena *arena = &arenas[i];

		arena->bytes = mmap(NULL, size, PROT_READ | PROT_WRITE,
				    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (arena->bytes == MAP_FAILED)
			die("mmap");
		arena->hole = arena->bytes + ARENA;
		arena->readonly = arena->hole + PAGE;
		arena->trap = arena->readonly + PAGE;
		arena->structs = arena->trap + PAGE;
		if (mprotect(arena->hole, PAGE, PROT_NONE) ||
		    mprotect(arena->readonly, PAGE, PROT_READ))
			die("mprotect");
	}
}

char *trap_of(unsigned int process)
{
	return arenas[2 * process].trap;
}

/* Values */

static uint64_t value(const struct op *op, enum argument arg)
{
	uint64_t slot = op->arg[arg] ^ FROM_SLOT;

	if (slot >= SLOTS)
		return op->arg[arg];
	return value_of(arg) == ID ? shared->ids[slot] : shared->tokens[slot];
}

static uint32_t value32(const struct op *op, enum argument arg)
{
	return (uint32_t)value(op, arg);
}

static uint64_t deadline(const struct op *op, bool realtime)
{
	uint64_t at = op->arg[A_TIME];
	struct timespec now;

	if (at >> 48 != FROM_NOW >> 48 || at == KIPC_FOREVER)
		return at;
	clock_gettime(realtime ? CLOCK_REALTIME : CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec + (at ^ FROM_NOW) * 1000;
}

/* Memory */

/* The address for @len bytes, good ones at @good */
static char *place(unsigned int actor, uint64_t where, uint64_t len, char *good)
{
	const struct arena *arena = &arenas[actor];

	switch (where) {
	case NONE:
		return NULL;
	case KERNEL:
		return (char *)0xffff888000000000UL;
	case HOLE:
		return arena->hole;
	case TAIL:
		return arena->hole - (len < ARENA ? len : ARENA) / 2;
	case READONLY:
		return arena->readonly;
	case TRAP:
		return trap_of(process_of(actor));
	default:
		return good;
	}
}

static int32_t *files_at(unsigned int actor, bool second)
{
	char *rooms = arenas[actor].structs + STRUCT_ROOM;

	return (int32_t *)(rooms + (second ? 2 : 1) * IOV_ROOM) - FILES;
}

/* A file that is made to be sent */
static int new_file(const struct op *op, uint64_t kind)
{
	int ends[2];

	switch (kind % 8) {
	case 0:
		return eventfd(0, EFD_CLOEXEC);
	case 1:
		return memfd_create("fuzz", MFD_CLOEXEC);
	case 2:
		if (pipe2(ends, O_CLOEXEC))
			return -1;
		close(ends[0]);
		return ends[1];
	case 3:
		return socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	case 4:
		return open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	case 5:
		return fcntl(slot_fd(op), F_DUPFD_CLOEXEC, 0);
	default:
		return fcntl(fd_in(kind), F_DUPFD_CLOEXEC, 0);
	}
}

/* What goes with a payload; files to send are new, and there until files_end() */
static void files_add(unsigned int actor, const struct op *op, bool second,
		      struct kipc_payload *to)
{
	uint64_t files = op->arg[second ? A_FILES2 : A_FILES];
	uint32_t n = second ? (uint32_t)files : (uint32_t)files % FILES, i;
	int32_t *fds = files_at(actor, second);

	if (!n)
		return;
	for (i = 0; i < FILES; i++)
		fds[i] = !second && i < n ? new_file(op, (files >> 5) + i) : -1;
	to->fds = (uintptr_t)place(actor, op->arg[second ? A_MEM2 : A_MEM], n * sizeof(*fds),
				   (char *)fds);
	to->nfds = n;
}

/* After the operation: of what was received the first goes into the slot for that */
static void files_end(unsigned int actor, const struct op *op, const struct kipc_payload *sent,
		      const struct kipc_payload *room, long ret)
{
	const int32_t *fds = files_at(actor, false);
	unsigned int i;

	for (i = 0; sent && i < sent->nfds && i < FILES; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	fds = files_at(actor, true);
	for (i = 0; room && ret >= 0 && i < room->nfds && i < FILES; i++) {
		if (fds[i] >= 0 && !i)
			keep_fd(op, fds[i]);
		else if (fds[i] >= 0)
			close(fds[i]);
	}
}

/* A payload: @second is the room for one, as opposed to one to send */
static struct kipc_payload payload(unsigned int actor, const struct op *op, bool second)
{
	uint64_t where = op->arg[second ? A_MEM2 : A_MEM], len = op->arg[second ? A_LEN2 : A_LEN];
	uint64_t n = op->arg[second ? A_IOV2 : A_IOV], i;
	struct arena *arena = &arenas[actor];
	char *good = arena->bytes + (second && len <= ARENA / 2 ? ARENA / 2 : 0);
	char *base = place(actor, where, len, good);
	struct kipc_iovec *iov = (void *)(arena->structs + STRUCT_ROOM + (second ? IOV_ROOM : 0));
	struct kipc_payload made = { 0 };

	files_add(actor, op, second, &made);
	if (!n) {
		made.base = (uintptr_t)base;
		made.len = len;
		return made;
	}
	for (i = 0; i < n && i < IOVS; i++) {
		uint64_t from = len / n * i, to = i + 1 < n ? from + len / n : len;

		iov[i].base = (uintptr_t)base + from;
		iov[i].len = where == OVERFLOW ? 1ULL << 62 : to - from;
	}
	made.base = (uintptr_t)iov;
	made.iovcnt = (uint32_t)n;
	return made;
}

static uint64_t result_at(unsigned int actor, const struct op *op, struct kipc_result *good)
{
	return (uintptr_t)place(actor, op->arg[A_RESULT], sizeof(*good), (char *)good);
}

/*
 * The ioctl, with a struct that lies and looks as the operation says. What the
 * kernel writes into it comes back, if it lies in a good place.
 */
static long call(unsigned int actor, const struct op *op, void *data)
{
	unsigned int cmd = kinds[op->kind].cmd;
	size_t size = _IOC_SIZE(cmd), told = size + op->arg[A_GROW], off = op->arg[A_POKE] - 1;
	struct arena *arena = &arenas[actor];
	uint32_t with = (uint32_t)op->arg[A_WITH];
	char *at = place(actor, op->arg[A_AT], size, arena->structs), *end;
	long ret;

	cmd = (cmd & ~((unsigned int)_IOC_SIZEMASK << _IOC_SIZESHIFT)) |
	      (unsigned int)(told & _IOC_SIZEMASK) << _IOC_SIZESHIFT;
	memset(arena->structs, 0, STRUCT_ROOM / 4);
	memcpy(arena->structs, data, size);
	if (op->arg[A_POKE] && off < STRUCT_ROOM / 4)
		memcpy(arena->structs + off, &with, sizeof(with));
	if (op->arg[A_AT] == READONLY) {
		mprotect(at, PAGE, PROT_READ | PROT_WRITE);
		memcpy(at, arena->structs, size);
		mprotect(at, PAGE, PROT_READ);
	} else if (op->arg[A_AT] == TAIL) {
		end = arena->hole;
		memcpy(at, arena->structs, (size_t)(end - at));
	}
	ret = ioctl(slot_fd(op), cmd, at);
	ret = ret < 0 ? -errno : ret;
	memcpy(data, arena->structs, size);
	return ret;
}

static const struct {
	const char *bytes;
	uint32_t len;
} names[] = {
	{ "", 0 }, { "a", 1 }, { "fuzz.b", 6 }, { "sys.c", 5 }, { "", 255 }, { "", 256 },
	{ "a\0b", 3 }, { NULL, 4 }, { "b\n \\", 4 },
};

/* At most 256 bytes at @into; how long it is, or -1: a name that cannot be read */
static int name_of(const struct op *op, char *into)
{
	unsigned int i = (unsigned int)(op->arg[A_NAME] % (sizeof(names) / sizeof(names[0])));

	if (!names[i].bytes)
		return -1;
	memset(into, 'n', names[i].len);
	if (names[i].len < 16)
		memcpy(into, names[i].bytes, names[i].len);
	return (int)names[i].len;
}

/* The ioctls */

static long do_open(unsigned int actor, const struct op *op)
{
	char name[256];
	int len = name_of(op, name);
	struct kipc_op_open data = {
		.flags = value32(op, A_FLAGS),
		.rights = value32(op, A_RIGHTS),
		.key = value(op, A_KEY),
		.name = len < 0 ? 8 : len ? (uintptr_t)name : 0,
		.name_len = len < 0 ? 4 : (uint32_t)len,
		.id = value32(op, A_ID),
		.mode = value32(op, A_MODE),
		.expect_uid = value32(op, A_UID),
		.attr.max_size = value32(op, A_MAX_SIZE),
		.attr.max_msgs = value32(op, A_MAX_MSGS),
		.attr.max_bytes = value(op, A_MAX_BYTES),
		.deadline = deadline(op, op->arg[A_FLAGS] & KIPC_OPEN_REALTIME),
	};
	long fd = call(actor, op, &data);

	if (fd < 0)
		return fd;
	shared->ids[op->arg[A_TO] % SLOTS] = data.id;
	return data.flags & KIPC_OPEN_ID_ONLY ? fd : keep_fd(op, fd);
}

static long do_restrict(unsigned int actor, const struct op *op)
{
	struct kipc_op_restrict data = {
		.rights = value32(op, A_RIGHTS),
		.badge = value(op, A_BADGE),
	};
	long fd = call(actor, op, &data);

	return fd < 0 ? fd : keep_fd(op, fd);
}

static long do_stat(unsigned int actor, const struct op *op)
{
	struct kipc_op_stat data = {
		.endpoint = value32(op, A_ID),
		.what = value32(op, A_WHAT),
	};

	if (op->kind == OP_SET) {
		data.info.mode = value32(op, A_MODE);
		data.info.uid = value32(op, A_UID);
		data.info.gid = value32(op, A_GID);
		data.info.key = value(op, A_KEY);
		data.info.attr.max_size = value32(op, A_MAX_SIZE);
		data.info.attr.max_msgs = value32(op, A_MAX_MSGS);
		data.info.attr.max_bytes = value(op, A_MAX_BYTES);
		name_of(op, data.info.name);
	}
	return call(actor, op, &data);
}

static long do_next(unsigned int actor, const struct op *op)
{
	struct kipc_op_next data = { .id = value32(op, A_ID), .flags = value32(op, A_FLAGS) };
	long ret = call(actor, op, &data);

	if (ret >= 0)
		shared->ids[op->arg[A_TO] % SLOTS] = data.id;
	return ret;
}

static long do_sum(unsigned int actor, const struct op *op)
{
	struct kipc_op_sum data = { .flags = value32(op, A_FLAGS) };
	long ret = call(actor, op, &data);

	if (ret >= 0)
		shared->ids[op->arg[A_TO] % SLOTS] = data.last;
	return ret;
}

static long do_send(unsigned int actor, const struct op *op)
{
	struct kipc_op_send data = {
		.flags = value32(op, A_FLAGS),
		.endpoint = value32(op, A_ID),
		.type = op->arg[A_FLAGS] & KIPC_MSGBUF ? 0 : value(op, A_TYPE),
		.prio = value32(op, A_PRIO),
		.deadline = deadline(op, op->arg[A_FLAGS] & KIPC_REALTIME),
		.payload = payload(actor, op, false),
	};
	long ret = call(actor, op, &data);

	files_end(actor, op, &data.payload, NULL, ret);
	return ret;
}

static struct kipc_op_recv recv_of(unsigned int actor, const struct op *op,
				   struct kipc_result *result)
{
	return (struct kipc_op_recv){
		.flags = value32(op, A_FLAGS),
		.deadline = deadline(op, op->arg[A_FLAGS] & KIPC_REALTIME),
		.payload = payload(actor, op, true),
		.result = result_at(actor, op, result),
	};
}

static void keep_token(const struct op *op, uint64_t token)
{
	if (token)
		shared->tokens[op->arg[A_TO] % SLOTS] = token;
}

static long do_recv(unsigned int actor, const struct op *op)
{
	struct kipc_result result = { 0 };
	struct kipc_op_recv data = recv_of(actor, op, &result);
	long ret;

	data.endpoint = value32(op, A_ID);
	data.type = value(op, A_TYPE);
	data.after = value(op, A_AFTER);
	data.after_type = value(op, A_TYPE2);
	if (data.flags & KIPC_MSGBUF)
		data.result = 0;
	ret = call(actor, op, &data);
	files_end(actor, op, NULL, &data.payload, ret);
	if (!(data.flags & KIPC_PRIO_ONLY))
		keep_token(op, result.token);
	return ret;
}

/* The payloads and, as if those were a second one, what is said of them */
static long do_send_batch(unsigned int actor, const struct op *op)
{
	struct kipc_batch_msg *good = (void *)(arenas[actor].structs + STRUCT_ROOM);
	struct kipc_op_send_batch data = {
		.flags = value32(op, A_FLAGS),
		.endpoint = value32(op, A_ID),
		.deadline = deadline(op, op->arg[A_FLAGS] & KIPC_REALTIME),
		.base = (uintptr_t)place(actor, op->arg[A_MEM], op->arg[A_LEN],
					 arenas[actor].bytes),
		.len = op->arg[A_LEN],
		.count = value32(op, A_N),
	};
	uint64_t size = op->arg[A_ROOM];
	unsigned int i;

	if (!size && data.count)
		size = op->arg[A_LEN] / data.count / KIPC_BATCH_ALIGN * KIPC_BATCH_ALIGN;
	for (i = 0; i < KIPC_BATCH_MAX; i++)
		good[i] = (struct kipc_batch_msg){
			.type = value(op, A_TYPE) + i,
			.size = size,
			.prio = value32(op, A_PRIO),
		};
	data.msgs = (uintptr_t)place(actor, op->arg[A_MEM2], sizeof(*good) * data.count,
				     (char *)good);
	return call(actor, op, &data);
}

/* The tokens of the calls go into the slot for them and those behind it */
static long do_recv_batch(unsigned int actor, const struct op *op)
{
	struct kipc_result results[KIPC_BATCH_MAX];
	struct kipc_op_recv_batch data = {
		.flags = value32(op, A_FLAGS),
		.endpoint = value32(op, A_ID),
		.type = value(op, A_TYPE),
		.deadline = deadline(op, op->arg[A_FLAGS] & KIPC_REALTIME),
		.base = (uintptr_t)place(actor, op->arg[A_MEM2], op->arg[A_LEN2],
					 arenas[actor].bytes + ARENA / 2),
		.len = op->arg[A_LEN2],
		.results = (uintptr_t)place(actor, op->arg[A_RESULT], sizeof(results),
					    (char *)results),
		.count = value32(op, A_N),
	};
	unsigned int i, slot = (unsigned int)op->arg[A_TO];
	long ret;

	memset(results, 0, sizeof(results));
	ret = call(actor, op, &data);
	for (i = 0; ret > 0 && i < (unsigned long)ret && i < KIPC_BATCH_MAX; i++)
		if (results[i].token)
			shared->tokens[slot++ % SLOTS] = results[i].token;
	return ret;
}

static long do_rpc(unsigned int actor, const struct op *op)
{
	struct kipc_result result = { 0 };
	struct kipc_op_rpc data = {
		.flags = value32(op, A_FLAGS),
		.endpoint = value32(op, A_ID),
		.token = value(op, A_TOKEN),
		.type = value(op, A_TYPE),
		.cookie = value(op, A_COOKIE),
		.prio = value32(op, A_PRIO),
		.deadline = deadline(op, op->arg[A_FLAGS] & KIPC_REALTIME),
		.request = payload(actor, op, false),
		.reply_room = value(op, A_ROOM),
		.result = result_at(actor, op, &result),
	};
	long ret;

	if (!(data.flags & KIPC_ASYNC) || op->arg[A_LEN2])
		data.reply = payload(actor, op, true);
	ret = call(actor, op, &data);
	files_end(actor, op, &data.request, &data.reply, ret);
	keep_token(op, result.token ? result.token : data.token);
	return ret;
}

static long do_reply(unsigned int actor, const struct op *op)
{
	struct kipc_op_reply data = {
		.token = value(op, A_TOKEN),
		.status = (int32_t)value(op, A_STATUS),
		.flags = value32(op, A_FLAGS),
		.type = value(op, A_TYPE),
		.payload = payload(actor, op, false),
	};
	long ret = call(actor, op, &data);

	files_end(actor, op, &data.payload, NULL, ret);
	return ret;
}

static long do_reply_recv(unsigned int actor, const struct op *op)
{
	struct kipc_result result = { 0 };
	struct kipc_op_reply_recv data = {
		.token = value(op, A_TOKEN),
		.status = (int32_t)value(op, A_STATUS),
		.type = value(op, A_TYPE),
		.reply = payload(actor, op, false),
		.recv = recv_of(actor, op, &result),
	};
	long ret;

	data.recv.type = value(op, A_TYPE2);
	ret = call(actor, op, &data);
	files_end(actor, op, &data.reply, &data.recv.payload, ret);
	keep_token(op, result.token);
	return ret;
}

static long do_token(unsigned int actor, const struct op *op)
{
	struct kipc_op_token data = { .token = value(op, A_TOKEN), .flags = value32(op, A_FLAGS) };

	return call(actor, op, &data);
}

/* What would end or stop an actor is sent by the boss alone, who then knows of it */
static uint32_t harmless_signal(const struct op *op)
{
	uint32_t signo = value32(op, A_SIG);

	return signo == SIGKILL || signo == SIGSTOP ? SIGUSR1 : signo;
}

static long do_notify(unsigned int actor, const struct op *op)
{
	struct kipc_op_notify data = {
		.flags = value32(op, A_FLAGS),
		.how = value32(op, A_HOW),
	};
	struct op second = *op;
	int notice = -1, end = -1;
	long ret;

	switch (data.how) {
	case KIPC_NOTIFY_SIGNAL:
		data.signo = harmless_signal(op);
		data.value = value(op, A_COOKIE);
		break;
	case KIPC_NOTIFY_EVENTFD:
		notice = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		data.value = (unsigned int)notice;
		break;
	case KIPC_NOTIFY_EVENTFD + 1:
		data.how = KIPC_NOTIFY_EVENTFD;
		data.value = (unsigned int)slot_fd(op);
		break;
	}
	if (data.flags & KIPC_NOTIFY_TELL_END) {
		end = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		data.end = (unsigned int)end;
	}
	ret = call(actor, op, &data);
	second.arg[A_TO]++;
	if (notice >= 0)
		keep_fd(op, notice);
	if (end >= 0)
		keep_fd(&second, end);
	return ret;
}

/* REMOVE, SHUTDOWN and what takes next to nothing: an id, then flags */
static long do_small(unsigned int actor, const struct op *op)
{
	union {
		struct kipc_op_remove remove;
		struct kipc_op_shutdown shutdown;
		char room[512];
	} data = { 0 };

	if (op->kind == OP_SHUTDOWN) {
		data.shutdown.flags = value32(op, A_FLAGS);
	} else {
		data.remove.endpoint = value32(op, A_ID);
		data.remove.flags = value32(op, A_FLAGS);
	}
	return call(actor, op, &data);
}

long do_rw(unsigned int actor, const struct op *op)
{
	struct kipc_payload data = payload(actor, op, op->kind == OP_READ);
	int flags = op->arg[A_HOW] ? RWF_NOWAIT : 0;
	const struct iovec *iov = (const void *)(uintptr_t)data.base;
	struct iovec one = { (void *)iov, data.len };
	ssize_t ret;

	_Static_assert(sizeof(struct iovec) == sizeof(struct kipc_iovec), "segments");
	if (!data.iovcnt) {
		iov = &one;
		data.iovcnt = 1;
	}
	if (op->kind == OP_READ)
		ret = preadv2(slot_fd(op), iov, (int)data.iovcnt, -1, flags);
	else
		ret = pwritev2(slot_fd(op), iov, (int)data.iovcnt, -1, flags);
	return ret < 0 ? -errno : ret;
}

long do_ioctl(unsigned int actor, const struct op *op)
{
	switch (op->kind) {
	case OP_INFO:
	case OP_REMOVE:
	case OP_SHUTDOWN:
	case OP_EVENT:
		return do_small(actor, op);
	case OP_OPEN:
		return do_open(actor, op);
	case OP_RESTRICT:
		return do_restrict(actor, op);
	case OP_STAT:
	case OP_SET:
		return do_stat(actor, op);
	case OP_NEXT:
		return do_next(actor, op);
	case OP_SUM:
		return do_sum(actor, op);
	case OP_SEND:
		return do_send(actor, op);
	case OP_RECV:
		return do_recv(actor, op);
	case OP_SEND_BATCH:
		return do_send_batch(actor, op);
	case OP_RECV_BATCH:
		return do_recv_batch(actor, op);
	case OP_RPC:
		return do_rpc(actor, op);
	case OP_REPLY:
		return do_reply(actor, op);
	case OP_REPLY_RECV:
		return do_reply_recv(actor, op);
	case OP_CANCEL:
	case OP_WANTED:
	case OP_ADOPT:
		return do_token(actor, op);
	case OP_NOTIFY:
		return do_notify(actor, op);
	}
	return -ENOSYS;
}
