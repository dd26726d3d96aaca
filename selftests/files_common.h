/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the tests of files in messages share.
 *
 * Whether anybody still holds a file is seen from outside kipc: a pipe is at its
 * end exactly when nobody has the end that writes.
 */
#ifndef KIPC_SELFTESTS_FILES_COMMON_H
#define KIPC_SELFTESTS_FILES_COMMON_H

#include <sys/resource.h>
#include <sys/socket.h>

#include "call_common.h"
#include "common.h"

#define TEXT	"files"
#define TEXT_SIZE 5

/* A pipe: the end that writes, and *@reader, which never waits */
static inline int pipe_of(int *reader)
{
	int ends[2];

	kt_need(!pipe2(ends, O_CLOEXEC | O_NONBLOCK));
	*reader = ends[0];
	return ends[1];
}

/* Does nobody hold the other end any more? Closed files may go a bit later */
static inline bool pipe_ended(int reader)
{
	char byte;

	return kt_until(read(reader, &byte, 1) == 0);
}

/* Somebody does */
static inline bool pipe_held(int reader)
{
	char byte;

	return read(reader, &byte, 1) == -1 && errno == EAGAIN;
}

static inline long send_files(int fd, uint32_t flags, const int *fds, uint32_t nfds)
{
	struct iovec text = { (void *)TEXT, TEXT_SIZE };
	const struct kipc_msg msg = {
		.flags = flags, .iov = &text, .iovcnt = 1, .fds = (int *)fds, .nfds = nfds,
	};

	return kipc_sendmsg(fd, &msg, 0);
}

static inline long send_file(int fd, int file)
{
	return send_files(fd, 0, &file, 1);
}

/* Sends the only descriptor of a file */
static inline long send_away(int fd, int file)
{
	long ret = send_file(fd, file);

	close(file);
	return ret;
}

static inline long recv_files(int fd, uint32_t flags, int *fds, uint32_t room,
			      struct kipc_result *result)
{
	char text[TEXT_SIZE];
	struct iovec out = { text, sizeof(text) };
	const struct kipc_msg msg = {
		.flags = flags | KIPC_ANYSIZE, .iov = &out, .iovcnt = 1,
		.fds = room ? fds : NULL, .nfds = room,
	};
	long ret = kipc_recvmsg(fd, &msg, result, 0);

	if (ret > 0 && !(flags & KIPC_TRUNCATE))
		kt_need(ret == TEXT_SIZE && !memcmp(text, TEXT, TEXT_SIZE));
	return ret;
}

/* The one file of the next message, or -errno */
static inline int recv_file(int fd)
{
	struct kipc_result result;
	int file = -1;
	long ret = recv_files(fd, 0, &file, 1, &result);

	if (ret < 0)
		return (int)ret;
	return result.nfds == 1 ? file : -ENODATA;
}

/* A request without files for a reply with room for some, through a job's head */
static inline void job_rpc_files(struct job *job)
{
	struct iovec in = { job->in, job->size };
	struct iovec out = { job->out, job->room };
	struct kipc_msg req = {
		.iov = &in, .iovcnt = 1, .flags = job->head.flags & ~KIPC_TRUNCATE,
	};
	struct kipc_msg reply = {
		.iov = &out, .iovcnt = 1, .flags = job->head.flags & KIPC_TRUNCATE,
		.fds = job->head.fds, .nfds = job->head.nfds,
	};

	job->ret = kipc_rpcmsg(job->fd, &req, &reply, &job->result, job->timeout);
}

static inline long reply_files(int fd, uint64_t token, const int *fds, uint32_t nfds)
{
	struct iovec text = { (void *)TEXT, TEXT_SIZE };
	const struct kipc_msg msg = {
		.iov = &text, .iovcnt = 1, .fds = (int *)fds, .nfds = nfds,
	};

	return kipc_replymsg(fd, token, &msg);
}

/* Leaves @room free numbers in this process's table of descriptors */
static inline void limit_fds(unsigned int room)
{
	struct rlimit limit;
	int fd = 0;

	for (;; fd++)
		if (fcntl(fd, F_GETFD) < 0 && !room--)
			break;
	kt_need(!getrlimit(RLIMIT_NOFILE, &limit));
	limit.rlim_cur = (rlim_t)fd;
	kt_need(!setrlimit(RLIMIT_NOFILE, &limit));
}

static inline void unlimit_fds(void)
{
	struct rlimit limit;

	kt_need(!getrlimit(RLIMIT_NOFILE, &limit));
	limit.rlim_cur = limit.rlim_max;
	kt_need(!setrlimit(RLIMIT_NOFILE, &limit));
}

#endif
