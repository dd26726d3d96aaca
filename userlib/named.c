// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Names: what kipc-named(8) is asked.
 *
 * Each function opens the service's endpoint and closes it again: nothing is kept.
 * A service that was started anew meanwhile is asked again, in so far as that cannot
 * do a thing twice.
 */
#include "internal.h"

#include <string.h>
#include <unistd.h>
#include <sys/syscall.h>

#include "named.h"

#define NS_PER_MS	1000000U
#define TRIES		8	/* for one that must not wait for a service that restarts */

_Static_assert(KIPC_NAMES_ROOM == NAMED_ENTRIES_MAX, "a whole reply fits");
_Static_assert(NAMED_NAME_ROOM - KIPC_REGISTERED_NAME_MAX == 1, "a name and its NUL");
_Static_assert(sizeof(struct kipc_name) == sizeof(struct named_entry), "read as it comes");
_Static_assert(offsetof(struct kipc_name, endpoint) == offsetof(struct named_entry, endpoint) &&
	       offsetof(struct kipc_name, name) == offsetof(struct named_entry, name),
	       "read as it comes");

/* A question, and what comes of it */
struct question {
	uint64_t type;
	struct named_request request;
	struct named_reply reply;
	struct kipc_name *names;	/* LIST: room */
	int fd;				/* REGISTER: the handle; LOOKUP: in the end the new one */
	bool files;			/* LOOKUP: the reply has one */
};

/* As in endpoint.c: close(2) is a cancellation point */
static void handle_close(int fd)
{
	int saved = errno;

	syscall(SYS_close, fd);
	errno = saved;
}

static int question_name(struct question *question, const char *name)
{
	size_t size;

	if (!name)
		return -EINVAL;
	size = strnlen(name, NAMED_NAME_ROOM);
	if (size == NAMED_NAME_ROOM)
		return -ENAMETOOLONG;
	memcpy(question->request.name, name, size);
	return 0;
}

/* Is @size what a reply of the service can be? */
static bool reply_valid(const struct question *question, size_t size, uint32_t files)
{
	const struct named_reply *reply = &question->reply;
	uint32_t most = question->names ? NAMED_ENTRIES_MAX : 0;

	return size >= sizeof(*reply) && reply->version == NAMED_VERSION && reply->count <= most &&
	       size == sizeof(*reply) + reply->count * sizeof(struct named_entry) &&
	       files == question->files;
}

/* One call. *@again: nothing was done, and another one may have it. */
static int ask_once(int service, struct question *question, bool *again)
{
	struct iovec request = { &question->request, sizeof(question->request) };
	struct iovec reply[2] = {
		{ &question->reply, sizeof(question->reply) },
		{ question->names, NAMED_ENTRIES_MAX * sizeof(struct named_entry) },
	};
	bool changes = question->type == NAMED_REGISTER || question->type == NAMED_UNREGISTER;
	int fd = question->fd, room = -1;
	const struct kipc_msg call = {
		.type = question->type,
		/* As early as any other: nobody can keep us waiting by asking often and higher. */
		.prio = KIPC_PRIO_MAX,
		.flags = changes ? 0 : KIPC_IDEMPOTENT,
		.iov = &request,
		.iovcnt = 1,
		.fds = &fd,
		.nfds = question->type == NAMED_REGISTER,
	};
	const struct kipc_msg answer = {
		.iov = reply,
		.iovcnt = question->names ? 2 : 1,
		.fds = &room,
		.nfds = question->files,
	};
	struct kipc_result result;
	ssize_t size = kipc_rpcmsg(service, &call, &answer, &result,
				   (int)question->request.timeout_ms + NAMED_ANSWER_MS);

	*again = false;
	if (size < 0) {
		if (result.token)
			kipc_cancel(service, result.token);
		if (result.flags & KIPC_RESULT_REMOTE)
			*again = size == -ERESTART;
		else if (size == -EIDRM || size == -ECONNRESET)
			*again = !changes || !(result.flags & KIPC_RESULT_DELIVERED);
		return (int)size;
	}
	if (!reply_valid(question, (size_t)size, result.nfds)) {
		if (result.nfds)
			handle_close(room);
		return -EPROTO;
	}
	if (question->files)
		question->fd = room;
	return 0;
}

/* What is left of the time, at most what the service waits */
static uint32_t wait_ms(uint64_t deadline)
{
	uint64_t now, ms;

	if (deadline == KIPC_FOREVER)
		return NAMED_WAIT_MAX_MS;
	if (!deadline)
		return 0;
	now = libkipc_deadline_in(1, 0) - NS_PER_MS;
	if (now >= deadline)
		return 0;
	ms = (deadline - now + NS_PER_MS - 1) / NS_PER_MS;
	return ms < NAMED_WAIT_MAX_MS ? (uint32_t)ms : NAMED_WAIT_MAX_MS;
}

/* Asks until there is an answer or no time any more; @waits: for what is asked, too */
static int ask(struct question *question, int timeout_ms, bool waits)
{
	uint64_t deadline = libkipc_deadline(timeout_ms, 0);
	unsigned int tries = 0;
	uint32_t left;
	bool again;
	int ret;

	question->request.version = NAMED_VERSION;
	do {
		int service;

		left = wait_ms(deadline);
		service = kipc_open(NAMED_ADDRESS, KIPC_RIGHT_SEND, (int)left);
		if (service < 0) {
			/* Its endpoint, not a name that was asked for */
			ret = service == -ENOENT ? -ECONNREFUSED : service;
			again = ret == -ETIMEDOUT;
			continue;
		}
		left = wait_ms(deadline);
		question->request.timeout_ms = waits ? left : 0;
		ret = ask_once(service, question, &again);
		handle_close(service);
		if (ret == -ETIMEDOUT && waits && left)
			again = true;
	} while (again && (wait_ms(deadline) || (!deadline && ++tries < TRIES)));
	/* That the last look was one without waiting is not the caller's affair. */
	if (ret == -ENOENT && waits && deadline)
		return -ETIMEDOUT;
	return ret == -ERESTART ? -ECONNREFUSED : ret;
}

KIPC_PUBLIC int kipc_register(const char *name, int fd, int timeout_ms)
{
	struct question question = { .type = NAMED_REGISTER };
	int ret = question_name(&question, name);

	if (ret)
		return ret;
	/* One that can do no more, and may travel */
	question.fd = kipc_restrict(fd, KIPC_RIGHT_SEND, 0);
	if (question.fd < 0)
		return question.fd;
	ret = ask(&question, timeout_ms, false);
	handle_close(question.fd);
	return ret;
}

KIPC_PUBLIC int kipc_unregister(const char *name, int timeout_ms)
{
	struct question question = { .type = NAMED_UNREGISTER };
	int ret = question_name(&question, name);

	return ret ? ret : ask(&question, timeout_ms, false);
}

KIPC_PUBLIC int kipc_lookup(const char *name, int timeout_ms)
{
	struct question question = { .type = NAMED_LOOKUP, .files = true };
	int ret = question_name(&question, name);

	if (!ret)
		ret = ask(&question, timeout_ms, true);
	return ret ? ret : question.fd;
}

KIPC_PUBLIC int kipc_watch(const char *name, uint64_t *registration, int timeout_ms)
{
	struct question question = { .type = NAMED_WATCH, .request.value = *registration };
	int ret = question_name(&question, name);

	if (!ret)
		ret = ask(&question, timeout_ms, true);
	if (ret)
		return ret;
	*registration = question.reply.registration;
	return *registration != 0;
}

KIPC_PUBLIC int kipc_names(const char *prefix, uint64_t *cursor, struct kipc_name *names,
			   int timeout_ms)
{
	struct question question = { .type = NAMED_LIST, .names = names };
	int ret = question_name(&question, prefix ? prefix : "");

	if (!ret && !names)
		ret = -EINVAL;
	while (!ret) {
		question.request.value = *cursor;
		ret = ask(&question, timeout_ms, false);
		if (ret)
			break;
		*cursor = question.reply.value;
		if (question.reply.count || !*cursor)
			return (int)question.reply.count;
	}
	return ret;
}

KIPC_PUBLIC int kipc_who(uint64_t badge, struct kipc_client *client, int timeout_ms)
{
	struct question question = { .type = NAMED_CLIENT, .request.value = badge };
	int ret = ask(&question, timeout_ms, false);

	if (!ret) {
		*client = (struct kipc_client){
			.registration = question.reply.registration,
			.uid = question.reply.uid,
			.gid = question.reply.gid,
			.pid = question.reply.pid,
		};
	}
	return ret;
}
