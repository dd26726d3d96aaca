// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Files that are no handles. They may be of a file system that never answers (FUSE):
 * then fstat(2), an ioctl and even close(2) never return. What a descriptor is for is
 * read from its link in /proc, which asks the file nothing, and what is no handle is
 * closed by a thread of its own. While that has not ended, no more files are taken
 * from its user, and while all threads are busy from nobody.
 */
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "named.h"

#define CLOSING_MAX	16

static struct closing {
	uint32_t uid;
	int fd;
	bool busy;	/* set by the one that serves, cleared by the thread, both atomically */
} closing[CLOSING_MAX];

bool suspect_is_handle(int fd)
{
	static const char handle[] = "anon_inode:[kipc]";
	char path[32], link[sizeof(handle)];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return readlink(path, link, sizeof(link)) == sizeof(handle) - 1 &&
	       !memcmp(link, handle, sizeof(handle) - 1);
}

bool suspect_user(uint32_t uid)
{
	unsigned int busy = 0;

	for (unsigned int i = 0; i < CLOSING_MAX; i++) {
		if (!__atomic_load_n(&closing[i].busy, __ATOMIC_ACQUIRE))
			continue;
		if (closing[i].uid == uid)
			return true;
		busy++;
	}
	return busy == CLOSING_MAX;
}

static void *close_it(void *argument)
{
	struct closing *it = argument;

	close(it->fd);
	__atomic_store_n(&it->busy, false, __ATOMIC_RELEASE);
	return NULL;
}

void suspect_close(int fd, uint32_t uid)
{
	pthread_attr_t detached;
	pthread_t thread;
	int error;

	for (unsigned int i = 0; i < CLOSING_MAX; i++) {
		struct closing *it = &closing[i];

		if (__atomic_load_n(&it->busy, __ATOMIC_ACQUIRE))
			continue;
		*it = (struct closing){ .uid = uid, .fd = fd, .busy = true };
		pthread_attr_init(&detached);
		pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
		pthread_attr_setstacksize(&detached, (size_t)PTHREAD_STACK_MIN);
		/* Signals are blocked here, and so they are there. */
		error = pthread_create(&thread, &detached, close_it, it);
		pthread_attr_destroy(&detached);
		if (!error)
			return;
		__atomic_store_n(&it->busy, false, __ATOMIC_RELEASE);
		break;
	}
	/* No thread for it: it stays open, rather than that all wait for it. */
	complain("user %u: a file that is no handle cannot be closed", uid);
}
