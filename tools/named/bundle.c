// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The bundles of handles: pairs of sockets, and the datagrams in them.
 */
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "named.h"

/* The datagram; its files are the handles, in the same order */
struct content {
	uint64_t generation;
	uint32_t slot[BUNDLE_SLOTS];	/* ascending, as many as there are handles */
};

union handles {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(BUNDLE_SLOTS * sizeof(int))];
};

static size_t content_size(size_t count)
{
	return offsetof(struct content, slot) + count * sizeof(uint32_t);
}

void bundles_none(void)
{
	for (uint32_t number = 0; number < BUNDLES; number++)
		state->bundles[number] = (struct bundle){ .in = -1, .out = -1 };
}

bool bundle_exists(uint32_t number)
{
	return state->bundles[number].in >= 0;
}

void bundle_close(uint32_t number)
{
	struct bundle *bundle = &state->bundles[number];

	if (!bundle_exists(number))
		return;
	close(bundle->in);
	close(bundle->out);
	bundle->in = -1;
	bundle->out = -1;
}

static bool is_datagram_socket(int fd)
{
	int domain, type;
	socklen_t size = sizeof(domain);

	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) || domain != AF_UNIX)
		return false;
	size = sizeof(type);
	return !getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) && type == SOCK_DGRAM;
}

static bool has_datagram(int fd)
{
	char byte;

	return recv(fd, &byte, sizeof(byte), MSG_PEEK | MSG_DONTWAIT) >= 0;
}

bool bundle_adopt(uint32_t number, int one, int other)
{
	bool swapped;

	if (!is_datagram_socket(one) || !is_datagram_socket(other))
		return false;
	swapped = has_datagram(other);
	if (swapped == has_datagram(one))
		return false;
	state->bundles[number].in = swapped ? other : one;
	state->bundles[number].out = swapped ? one : other;
	state->bundles[number].single = 0;
	return true;
}

bool bundle_inherited(uint32_t number)
{
	const struct bundle *bundle = &state->bundles[number];

	return bundle->in >= 0 && bundle->out >= 0 && is_datagram_socket(bundle->in) &&
	       is_datagram_socket(bundle->out);
}

/* What is registered now, as a datagram with the next generation */
static bool send_all(uint32_t number, int out)
{
	struct content content = { .generation = ++state->generations };
	union handles control = { 0 };
	struct iovec bytes = { .iov_base = &content };
	struct msghdr message = { .msg_iov = &bytes, .msg_iovlen = 1 };
	size_t count = 0;
	int handle[BUNDLE_SLOTS];

	for (uint32_t i = 0; i < BUNDLE_SLOTS; i++) {
		const uint32_t slot = number * BUNDLE_SLOTS + i;

		if (!state->names[slot].registration)
			continue;
		content.slot[count] = slot;
		handle[count++] = state->names[slot].fd;
	}
	bytes.iov_len = content_size(count);
	if (count) {
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(count * sizeof(int));
		memcpy(CMSG_DATA(&control.align), handle, count * sizeof(int));
		message.msg_control = control.bytes;
		message.msg_controllen = CMSG_SPACE(count * sizeof(int));
	}
	return sendmsg(out, &message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0;
}

/* Without room for them, the files are not received, and let go of with the rest. */
static bool drop_first(int in)
{
	uint64_t generation;

	return recv(in, &generation, sizeof(generation), MSG_DONTWAIT) >= 0;
}

/* All before the one that was sent last; false: that one is not there */
static bool drop_older(struct bundle *bundle)
{
	uint64_t generation;
	ssize_t size;

	/* To look is dear: it takes all the files and lets go of them. */
	if (bundle->single)
		return drop_first(bundle->in);
	for (;;) {
		size = recv(bundle->in, &generation, sizeof(generation), MSG_PEEK | MSG_DONTWAIT);
		if (size == sizeof(generation) && generation == state->generations)
			break;
		if (size < 0 || !drop_first(bundle->in))
			return false;
	}
	bundle->single = 1;
	return true;
}

bool bundle_write(uint32_t number)
{
	struct bundle *bundle = &state->bundles[number];
	int error, end[2];

	if (bundle_exists(number)) {
		if (!send_all(number, bundle->out))
			return false;
		if (drop_older(bundle))
			return true;
		errno = ENOTCONN;
		return false;
	}
	if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, end))
		return false;
	if (!send_all(number, end[1])) {
		error = errno;
		close(end[0]);
		close(end[1]);
		errno = error;
		return false;
	}
	bundle->in = end[0];
	bundle->out = end[1];
	bundle->single = 1;
	return true;
}

static size_t take_handles(struct msghdr *message, int *handle)
{
	size_t count = 0;

	for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header;
	     header = CMSG_NXTHDR(message, header)) {
		if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
			continue;
		count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		memcpy(handle, CMSG_DATA(header), count * sizeof(int));
	}
	return count;
}

static bool content_valid(uint32_t number, const struct content *content, size_t size, size_t count)
{
	if (size != content_size(count))
		return false;
	for (size_t i = 0; i < count; i++)
		if (content->slot[i] / BUNDLE_SLOTS != number ||
		    (i && content->slot[i] <= content->slot[i - 1]))
			return false;
	return true;
}

bool bundle_read(uint32_t number, int *handle)
{
	struct content content;
	union handles control;
	struct iovec bytes = { .iov_base = &content, .iov_len = sizeof(content) };
	struct msghdr message = {
		.msg_iov = &bytes,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	const ssize_t size = recvmsg(state->bundles[number].in, &message,
				     MSG_PEEK | MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	int taken[BUNDLE_SLOTS];
	size_t count;

	if (size < 0)
		return false;
	count = take_handles(&message, taken);
	if (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC) ||
	    !content_valid(number, &content, (size_t)size, count)) {
		for (size_t i = 0; i < count; i++)
			close(taken[i]);
		return false;
	}
	for (size_t i = 0; i < count; i++)
		handle[content.slot[i]] = taken[i];
	return true;
}
