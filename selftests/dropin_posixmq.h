/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the tests of POSIX message queues share. They run on the kernel's own queues and
 * on kipc's (dropin.sh); what they expect is what mq_overview(7) and its pages say, and
 * where those are silent what the native run shows. Where the two cannot agree, the
 * test asks on_kipc() and says why.
 */
#ifndef KIPC_SELFTESTS_DROPIN_POSIXMQ_H
#define KIPC_SELFTESTS_DROPIN_POSIXMQ_H

#include <dirent.h>
#include <mqueue.h>
#include <stdatomic.h>
#include <sys/syscall.h>

#include "harness.h"
#include "common.h"

/* A second process can only be given what stands in memory of both: most tests share this */
struct shared {
	char name[64];
	mqd_t queue;
	struct kt_flag ready, go;
	atomic_bool over;
	long value;
};

/* Should the queues be kipc's? (dropin.sh says so; a test shows that they are) */
static inline bool on_kipc(void)
{
	const char *how = getenv("DROPIN");

	return how && !strcmp(how, "kipc");
}

/* Is this descriptor one of whose queues it should be? */
static inline bool is_meant(mqd_t queue, const char *name)
{
	char path[64], target[64] = "", info[512] = "";

	snprintf(path, sizeof(path), "/proc/self/fd/%d", queue);
	if (readlink(path, target, sizeof(target) - 1) < 0 || strcmp(target, name))
		return false;
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", queue);
	kt_need(kt_read_file(path, info, sizeof(info)) > 0);
	return on_kipc() == !!strstr(info, "\nkipc-endpoint:");
}

/* The call fails with this errno */
#define EXPECT_FAILS(error, call)		\
	do {					\
		errno = 0;			\
		EXPECT_EQ(-1, (long)(call));	\
		EXPECT_EQ(error, errno);	\
	} while (0)

/* ... or succeeds, and leaves errno alone */
#define EXPECT_WORKS(call)			\
	do {					\
		errno = 4321;			\
		EXPECT_EQ(0, (long)(call));	\
		EXPECT_EQ(4321, errno);		\
	} while (0)

/* What jobs return: the result or a negative errno */
static inline long outcome(long ret)
{
	return ret < 0 ? -errno : ret;
}

static inline struct mq_attr attributes(long msgs, long size)
{
	return (struct mq_attr){ .mq_maxmsg = msgs, .mq_msgsize = size };
}

/* A new queue of @msgs messages of at most 64 bytes */
static inline mqd_t make_queue(const char *name, int oflag, long msgs)
{
	struct mq_attr attr = attributes(msgs, 64);

	return mq_open(name, oflag | O_CREAT | O_EXCL, 0600, &attr);
}

static inline long queued(mqd_t queue)
{
	struct mq_attr attr;

	return mq_getattr(queue, &attr) ? -errno : attr.mq_curmsgs;
}

/* The next message's length; its text goes to a string and its priority to *prio */
static inline ssize_t take(mqd_t queue, char *text, unsigned int *prio)
{
	ssize_t size = mq_receive(queue, text, 64, prio);

	text[size > 0 ? size : 0] = '\0';
	return size;
}

static inline int put(mqd_t queue, const char *text, unsigned int prio)
{
	return mq_send(queue, text, strlen(text), prio);
}

/* Does the next message have this text and priority? It is gone then */
static inline bool next_is(mqd_t queue, const char *text, unsigned int prio)
{
	unsigned int seen = ~0U;
	char buf[65];

	if (take(queue, buf, &seen) == (ssize_t)strlen(text) && !strcmp(buf, text) && seen == prio)
		return true;
	kt_complain("next message: '%s', priority %u, errno %d", buf, seen, errno);
	return false;
}

/* The system call that the job sleeps in, -1 if it runs */
static inline long current_call(struct kt_job *job)
{
	char path[64], text[512], *end;
	long nr;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/syscall", job->pid, job->tid);
	if (kt_read_file(path, text, sizeof(text)) <= 0)
		return -1;
	nr = strtol(text, &end, 10);
	return end == text ? -1 : nr;
}

/* Does the job wait in a queue's operation, the kernel's own or kipc's? */
static inline bool waits_in_queue(struct kt_job *job)
{
	static const long calls[] = {
		SYS_mq_open, SYS_mq_timedsend, SYS_mq_timedreceive, SYS_ioctl,
#ifdef SYS_mq_timedsend_time64
		SYS_mq_timedsend_time64, SYS_mq_timedreceive_time64,
#endif
	};
	char path[64], text[512], *state;
	long nr = current_call(job);

	snprintf(path, sizeof(path), "/proc/%d/task/%d/stat", job->pid, job->tid);
	if (kt_read_file(path, text, sizeof(text)) <= 0)
		return false;
	state = strrchr(text, ')');
	if (!state || state[2] != 'S')
		return false;
	for (unsigned int i = 0; i < ARRAY_SIZE(calls); i++)
		if (nr == calls[i])
			return true;
	return false;
}

static inline bool waits(struct kt_job *job)
{
	return kt_until(waits_in_queue(job) || job->done) && !job->done;
}

static inline unsigned int threads(void)
{
	DIR *dir = opendir("/proc/self/task");
	unsigned int count = 0;
	struct dirent *entry;

	kt_need(dir);
	while ((entry = readdir(dir)))
		count += entry->d_name[0] != '.';
	closedir(dir);
	return count;
}

/* Who a job runs as */
#define AS_A (&(struct kt_how){ .uid = KT_UID_A, .gid = KT_UID_A, .drop_caps = true })
#define AS_B (&(struct kt_how){ .uid = KT_UID_B, .gid = KT_UID_B, .drop_caps = true })
#define AS_GROUP (&(struct kt_how){ .uid = KT_UID_B, .gid = KT_UID_A, .drop_caps = true })
/* ... with these capabilities */
#define WITH(caps) (&(struct kt_how){ .uid = KT_UID_B, .gid = KT_UID_B, .keep_caps = (caps) })

struct opening {
	char name[64];
	int oflag;
	mode_t mode;
};

static inline long open_as(void *arg)
{
	struct opening *opening = arg;
	mqd_t queue = mq_open(opening->name, opening->oflag, opening->mode, NULL);

	return queue < 0 ? -errno : 0;
}

/* What a user other than root gets who opens the queue for receiving, sending and both */
static inline int openings(struct opening *opening, const struct kt_how *how)
{
	static const int modes[] = { O_RDONLY, O_WRONLY, O_RDWR };
	int got = 0;

	for (unsigned int i = 0; i < ARRAY_SIZE(modes); i++) {
		opening->oflag = modes[i];
		switch (kt_run(how, open_as, opening)) {
		case 0:
			got |= 1 << i;
			break;
		case -EACCES:
			break;
		default:
			got |= 1 << 8;
		}
	}
	return got;
}

static inline long unlink_it(void *arg)
{
	struct shared *shared = arg;

	return outcome(mq_unlink(shared->name));
}

/* A name that no other test has */
static inline void new_name(char *name, size_t room)
{
	static unsigned int count;

	snprintf(name, room, "/dropin-%d-%u", getpid(), count++);
}

#endif
