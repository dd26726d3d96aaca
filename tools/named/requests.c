// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What clients ask, and the answers.
 *
 * Nothing here waits: replies never do, and what may have to is a waiter. Files are
 * taken with registrations only; from all else they are dropped in the kernel, unseen.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "named.h"

#define ROUND		64	/* requests, before names that ended are looked at again */
#define SCAN		1024	/* slots that one LIST looks at */

static struct {
	struct named_reply head;
	struct named_entry entry[NAMED_ENTRIES_MAX];
} answer;

static union {
	struct named_request request;
	char bytes[NAMED_MAX_SIZE];
} input;

/* An errno as the reply; that the caller has gone is nobody's loss */
static void say_error(int endpoint, uint64_t token, int error)
{
	kipc_reply_error(endpoint, token, error);
}

/* False: the endpoint of @file has ended, and the call is still owed an answer */
static bool say(int endpoint, uint64_t token, struct named_reply *reply, size_t size, int file)
{
	struct iovec bytes = { .iov_base = reply, .iov_len = size };
	const struct kipc_msg msg = {
		.iov = &bytes,
		.iovcnt = 1,
		.fds = &file,
		.nfds = file >= 0,
	};
	int ret;

	reply->version = NAMED_VERSION;
	ret = kipc_replymsg(endpoint, token, &msg);
	/* So says the kernel of a handle whose endpoint has ended, if it is to be sent. */
	if (ret == -EBADF && file >= 0)
		return false;
	/* Too many files on their way, or no room for one: the call is still owed an answer. */
	if (ret && ret != -ECANCELED && ret != -ENOENT)
		say_error(endpoint, token, -ret);
	return true;
}

/* A registered name whose endpoint is alive */
static uint32_t find(int endpoint, const char *name)
{
	uint32_t slot = names_find(name);

	if (slot != NONE && names_ended(slot)) {
		names_drop(slot);
		waiters_name_changed(endpoint, name);
		slot = NONE;
	}
	return slot;
}

/* False: the name is not there any more */
static bool hand_out(int endpoint, uint64_t token, uint32_t slot, const struct kipc_result *who)
{
	const struct registration *name = &state->names[slot];
	struct named_reply reply = { .registration = name->registration };
	int made;
	bool said;

	reply.value = clients_add(name, who);
	made = kipc_restrict(name->fd, KIPC_RIGHT_SEND, reply.value);
	if (made == -EIDRM)
		return false;
	if (made < 0) {
		say_error(endpoint, token, -made);
		return true;
	}
	said = say(endpoint, token, &reply, sizeof(reply), made);
	close(made);
	return said;
}

bool request_answer(int endpoint, const struct waiter *waiter)
{
	uint32_t slot;
	uint64_t registration;

	if (!policy_allows(ACCESS_LOOK_UP, waiter->name, waiter->who.uid, waiter->who.gid)) {
		say_error(endpoint, waiter->token, EACCES);
		return true;
	}
	slot = names_find(waiter->name);
	if (waiter->type == NAMED_LOOKUP)
		return slot != NONE && hand_out(endpoint, waiter->token, slot, &waiter->who);

	registration = slot == NONE ? 0 : state->names[slot].registration;
	if (registration == waiter->seen)
		return false;
	say(endpoint, waiter->token, &(struct named_reply){ .registration = registration },
	    sizeof(struct named_reply), -1);
	return true;
}

/* LOOKUP and WATCH: now or later */
static int answer_or_wait(int endpoint, const struct named_request *request,
			  const struct kipc_result *who)
{
	struct waiter waiter = {
		.token = who->token,
		.seen = request->value,
		.end = now_ns() + (uint64_t)request->timeout_ms * 1000000U,
		.type = (uint32_t)who->type,
		.who = *who,
	};

	memcpy(waiter.name, request->name, sizeof(waiter.name));
	find(endpoint, request->name);
	if (request_answer(endpoint, &waiter))
		return 0;
	if (!request->timeout_ms)
		return waiter.type == NAMED_LOOKUP ? -ENOENT : -ETIMEDOUT;
	return waiters_add(endpoint, &waiter);
}

/* May @fd be registered by who sent it? Returns a negative errno, or the endpoint's id */
static int64_t check_handle(int fd, const struct kipc_result *who)
{
	struct kipc_endpoint about;
	int probe, ret = kipc_stat(fd, 0, &about);

	if (ret)
		return ret;
	/* Else anyone who may send there could have named(8) vouch for its clients. */
	if (who->uid && about.uid != who->uid &&
	    (about.cuid != who->uid || about.flags & KIPC_ENDPOINT_MQUEUE))
		return -EPERM;
	/* With a badge of its own it can get no other one. */
	probe = kipc_restrict(fd, KIPC_RIGHT_SEND, UINT64_MAX);
	if (probe < 0)
		return probe == -EPERM ? -EINVAL : probe;
	close(probe);
	return about.id;
}

static int do_register(int endpoint, const struct named_request *request,
		       const struct kipc_result *who, int fd)
{
	struct named_reply reply = { 0 };
	int64_t id;
	int slot;

	if (!policy_allows(ACCESS_OWN, request->name, who->uid, who->gid))
		return -EACCES;
	if (fd < 0)
		return -EBADF;
	id = check_handle(fd, who);
	if (id < 0)
		return (int)id;
	if (find(endpoint, request->name) != NONE)
		return -EEXIST;
	slot = names_add(request->name, fd, (uint32_t)id, who->uid, who->gid);
	if (slot < 0)
		return slot;
	reply.registration = state->names[slot].registration;
	say(endpoint, who->token, &reply, sizeof(reply), -1);
	waiters_name_changed(endpoint, request->name);
	return 0;
}

static int do_unregister(int endpoint, const struct named_request *request,
			 const struct kipc_result *who)
{
	uint32_t slot = find(endpoint, request->name);
	struct named_reply reply = { 0 };

	if (slot == NONE)
		return -ENOENT;
	if (who->uid && state->names[slot].uid != who->uid)
		return -EPERM;
	names_drop(slot);
	say(endpoint, who->token, &reply, sizeof(reply), -1);
	waiters_name_changed(endpoint, request->name);
	return 0;
}

/* Of a table of any size only so much at a time: who asks for all asks again */
static int do_list(int endpoint, const struct named_request *request,
		   const struct kipc_result *who)
{
	size_t prefix = strlen(request->name);
	uint64_t slot = request->value;
	uint64_t end = slot + SCAN;

	memset(&answer.head, 0, sizeof(answer.head));
	for (; slot < end && slot < names_top() && answer.head.count < NAMED_ENTRIES_MAX; slot++) {
		const struct registration *name = &state->names[slot];
		struct named_entry *entry = &answer.entry[answer.head.count];

		if (!name->registration || strncmp(name->name, request->name, prefix) ||
		    !policy_allows(ACCESS_LOOK_UP, name->name, who->uid, who->gid))
			continue;
		*entry = (struct named_entry){
			.registration = name->registration,
			.uid = name->uid,
			.gid = name->gid,
			.endpoint = name->endpoint,
		};
		memcpy(entry->name, name->name, sizeof(entry->name));
		answer.head.count++;
	}
	if (slot < names_top())
		answer.head.value = slot;
	say(endpoint, who->token, &answer.head,
	    sizeof(answer.head) + answer.head.count * sizeof(answer.entry[0]), -1);
	return 0;
}

static int do_client(int endpoint, const struct named_request *request,
		     const struct kipc_result *who)
{
	const struct client *client = clients_find(request->value);
	struct named_reply reply = { 0 };

	if (!client || (who->uid && client->owner != who->uid))
		return -ENOENT;
	reply.registration = client->registration;
	reply.uid = client->uid;
	reply.gid = client->gid;
	reply.pid = client->pid;
	say(endpoint, who->token, &reply, sizeof(reply), -1);
	return 0;
}

static bool zeros(const char *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (bytes[i])
			return false;
	return true;
}

/* Which members may be something else than 0 */
struct form {
	bool name;
	bool value;
	bool timeout;
};

static const struct form form[NAMED_TYPES] = {
	[NAMED_REGISTER] = { .name = true },
	[NAMED_UNREGISTER] = { .name = true },
	[NAMED_LOOKUP] = { .name = true, .timeout = true },
	[NAMED_WATCH] = { .name = true, .value = true, .timeout = true },
	[NAMED_LIST] = { .value = true },
	[NAMED_CLIENT] = { .value = true },
};

static int check_request(const struct named_request *request, size_t size, uint64_t type)
{
	size_t length;

	if (size < sizeof(request->version))
		return -EINVAL;
	if (request->version != NAMED_VERSION)
		return -EPROTONOSUPPORT;
	if (size != sizeof(*request))
		return -EINVAL;
	if (!type || type >= NAMED_TYPES)
		return -EOPNOTSUPP;
	length = strnlen(request->name, sizeof(request->name));
	if (request->flags || request->pad || request->timeout_ms > NAMED_WAIT_MAX_MS ||
	    length == sizeof(request->name) ||
	    !zeros(request->name + length, sizeof(request->name) - length))
		return -EINVAL;
	if ((!form[type].value && request->value) || (!form[type].timeout && request->timeout_ms))
		return -EINVAL;
	if (form[type].name ? !name_valid(request->name) : type != NAMED_LIST && length)
		return -EINVAL;
	return 0;
}

/* Returns 0 if it is answered, or will be; else a negative errno */
static int handle(int endpoint, size_t size, const struct kipc_result *who, int fd)
{
	const struct named_request *request = &input.request;
	int ret = check_request(request, size, who->type);

	if (ret)
		return ret;
	switch (who->type) {
	case NAMED_REGISTER:
		return do_register(endpoint, request, who, fd);
	case NAMED_UNREGISTER:
		return do_unregister(endpoint, request, who);
	case NAMED_LOOKUP:
	case NAMED_WATCH:
		return answer_or_wait(endpoint, request, who);
	case NAMED_LIST:
		return do_list(endpoint, request, who);
	default:
		return do_client(endpoint, request, who);
	}
}

/*
 * What the next registration is, is looked at first, if there is one. Files are taken
 * from those only who may own the name, and not while one of theirs is still being
 * closed. (Another request may come to stand before it until it is taken: that is judged
 * again.)
 */
static ssize_t look_at_next(int endpoint, bool *welcome)
{
	static union {
		struct named_request request;
		char bytes[NAMED_MAX_SIZE];
	} seen;
	struct iovec room = { .iov_base = seen.bytes, .iov_len = sizeof(seen.bytes) };
	const struct kipc_msg look = {
		.type = NAMED_REGISTER,
		.flags = KIPC_TYPE_EQ | KIPC_PEEK | KIPC_NONBLOCK,
		.iov = &room,
		.iovcnt = 1,
	};
	struct kipc_result who;
	ssize_t size = kipc_recvmsg(endpoint, &look, &who, 0);

	*welcome = size >= 0 && !check_request(&seen.request, (size_t)size, NAMED_REGISTER) &&
		   policy_allows(ACCESS_OWN, seen.request.name, who.uid, who.gid) &&
		   !suspect_user(who.uid);
	return size;
}

/* Takes one request; -EAGAIN: there is none. *@fd is -1 or its file. */
static ssize_t take(int endpoint, bool registrations, struct kipc_result *who, int *fd)
{
	struct iovec room = { .iov_base = input.bytes, .iov_len = sizeof(input.bytes) };
	struct kipc_msg msg = {
		.type = NAMED_REGISTER,
		.flags = KIPC_NONBLOCK,
		.iov = &room,
		.iovcnt = 1,
	};
	bool welcome = false;
	ssize_t size;

	*fd = -1;
	memset(&input.request, 0, sizeof(input.request));
	if (registrations) {
		size = look_at_next(endpoint, &welcome);
		/* What comes only now is looked at next time. */
		if (size < 0)
			return size;
	}
	if (welcome) {
		msg.flags |= KIPC_TYPE_EQ;
		msg.fds = fd;
		msg.nfds = 1;
		size = kipc_recvmsg(endpoint, &msg, who, 0);
		if (size >= 0 || size == -EAGAIN || size == -EIDRM)
			return size;
		/* Several files, or no descriptor is left: without them it can be answered. */
		msg.flags &= ~KIPC_TYPE_EQ;
		msg.fds = NULL;
		msg.nfds = 0;
		*fd = -1;
	}
	msg.flags |= KIPC_NOFILES | (registrations ? KIPC_TYPE_EQ : KIPC_TYPE_NE);
	return kipc_recvmsg(endpoint, &msg, who, 0);
}

/* False: there was none, or *@error says what is wrong */
static bool serve_one(int endpoint, bool registrations, int *error)
{
	struct kipc_result who;
	int fd, ret;
	ssize_t size = take(endpoint, registrations, &who, &fd);

	if (size < 0) {
		if (size != -EAGAIN)
			*error = (int)size;
		return false;
	}
	if (fd >= 0 && !suspect_is_handle(fd)) {
		suspect_close(fd, who.uid);
		fd = -1;
	}
	/* Who sends no call gets no answer, and so nothing is done. */
	if (!who.token)
		ret = -EINVAL;
	else
		ret = handle(endpoint, (size_t)size, &who, fd);
	if (ret) {
		if (who.token)
			say_error(endpoint, who.token, -ret);
		if (fd >= 0)
			close(fd);
	} else if (fd >= 0 && who.type != NAMED_REGISTER) {
		close(fd);
	}
	return true;
}

int requests_serve(int endpoint)
{
	int error = 0;

	for (unsigned int i = 0; i < ROUND; i++) {
		bool any = serve_one(endpoint, true, &error);

		if (!error)
			any |= serve_one(endpoint, false, &error);
		if (!any || error)
			break;
	}
	return error;
}
