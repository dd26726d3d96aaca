// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * POSIX queues by chance, as dropin_random.h says; dropin_posixmq_random.sh runs this.
 *
 * What docs/dropin.md says differs is not called: buffers to receive into that cannot be
 * written, and notices by threads.
 */
#include "dropin_posixmq.h"
#define SIGNAL_FLAGS	0
#include "dropin_random.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/stat.h>

#define SLOTS		12
#define ROOM		64
#define PAST		((struct timespec){ 1, 0 })

struct call {
	struct pending pending;
	bool receive;
	int slot;
	mqd_t queue;
	size_t size;
	unsigned int prio;
	char text[2 * ROOM];
};

static struct {
	mqd_t queue;
	bool used;
} slot[SLOTS];

static const char *const names[] = {
	"/a", "/b", "/c", "/d", "/a", "/b", "/", "", "e", "/f/g", "/.", "/..", "//a", "/no",
};

static const char *pick_name(void)
{
	return below(12) ? names[below(6)] : names[below(ARRAY_SIZE(names))];
}

/* One that is open, mostly */
static int pick(mqd_t *queue)
{
	int i = (int)below(SLOTS);

	for (int tries = 0; tries < SLOTS && !slot[i].used; tries++)
		i = (i + 1) % SLOTS;
	*queue = slot[i].used ? slot[i].queue : ONE_OF(-1, 1000);
	return slot[i].used ? i : -1;
}

static void call_open(void)
{
	const char *name = pick_name();
	int i = (int)below(SLOTS);
	int flags = ONE_OF(O_RDWR, O_RDWR, O_RDWR, O_RDONLY, O_WRONLY, O_ACCMODE) |
		    ONE_OF(O_CREAT, O_CREAT, O_CREAT, 0, O_CREAT | O_EXCL, O_EXCL) |
		    ONE_OF(0, 0, O_NONBLOCK);
	mode_t mode = ONE_OF(0600U, 0666U, 0777U, 0U, 0400U, 0222U, 0640U, 02755U);
	struct mq_attr attr = attributes(ONE_OF(1, 2, 3, 3, 10, 0, -1, 11),
					 ONE_OF(8, ROOM, ROOM, ROOM, 1, 0, -1, 8193));
	struct mq_attr *given = below(5) ? &attr : NULL;
	mqd_t queue;

	if (slot[i].used)
		return;
	if (!(flags & O_CREAT))
		given = NULL;
	queue = mq_open(name, flags, mode, given);
	told("open '%s' %#o %#o %ld %ld: %d %s", name, (unsigned int)flags, mode,
	     given ? given->mq_maxmsg : 0, given ? given->mq_msgsize : 0, queue < 0 ? -1 : 0,
	     error_name(outcome(queue)));
	if (queue < 0)
		return;
	told("in slot %d, descriptor %d", i, queue);
	slot[i].queue = queue;
	slot[i].used = true;
}

static void call_close(void)
{
	mqd_t queue;
	int i = pick(&queue);

	told("close %d: %s", i, error_name(outcome(mq_close(queue))));
	if (i >= 0)
		slot[i].used = false;
}

static void call_unlink(void)
{
	const char *name = pick_name();

	told("unlink '%s': %s", name, error_name(outcome(mq_unlink(name))));
}

static void told_attr(const struct mq_attr *attr)
{
	told("flags %#lo, %ld of %ld messages, of %ld bytes", attr->mq_flags, attr->mq_curmsgs,
	     attr->mq_maxmsg, attr->mq_msgsize);
}

static void call_getattr(void)
{
	struct mq_attr attr = { 0 };
	struct pollfd state;
	struct stat st;
	char text[256];
	mqd_t queue;
	int i = pick(&queue);
	long ret = outcome(mq_getattr(queue, &attr));

	told("getattr %d: %s", i, error_name(ret));
	if (ret < 0)
		return;
	told_attr(&attr);
	state = (struct pollfd){ .fd = queue, .events = POLLIN | POLLOUT | POLLRDNORM };
	kt_need(poll(&state, 1, 0) >= 0 && !fstat(queue, &st));
	told("poll %#x, mode %#o uid %u gid %u links %u size %lu", (unsigned int)state.revents,
	     st.st_mode, st.st_uid, st.st_gid, (unsigned int)st.st_nlink,
	     (unsigned long)st.st_size);
	ret = outcome(pread(queue, text, sizeof(text) - 1, 0));
	text[ret > 0 ? ret : 0] = '\0';
	if (strstr(text, "NOTIFY_PID:"))
		*strstr(text, "NOTIFY_PID:") = '\0';
	told("read: %s, '%s'", error_name(ret), text);
}

static void call_setattr(void)
{
	struct mq_attr attr = { .mq_flags = ONE_OF(0, 0, O_NONBLOCK, O_NONBLOCK, O_RDWR, -1) };
	struct mq_attr old = { 0 };
	mqd_t queue;
	int i = pick(&queue);
	long ret = outcome(mq_setattr(queue, &attr, &old));

	told("setattr %d %#lo: %s", i, attr.mq_flags, error_name(ret));
	if (ret >= 0)
		told_attr(&old);
}

static void call_notify(void)
{
	struct sigevent event = {
		.sigev_notify = ONE_OF(SIGEV_NONE, SIGEV_SIGNAL, SIGEV_SIGNAL, SIGEV_SIGNAL, 77),
		.sigev_signo = ONE_OF(SIGUSR2, SIGUSR2, SIGUSR2, 0, 65, -1),
		.sigev_value.sival_int = (int)below(1000),
	};
	bool given = below(3);
	mqd_t queue;
	int i = pick(&queue);
	long ret = outcome(mq_notify(queue, given ? &event : NULL));

	told("notify %d %d %d %d: %s", i, given, event.sigev_notify, event.sigev_signo,
	     error_name(ret));
}

static long run_call(void *argument)
{
	struct call *call = argument;

	if (call->receive)
		return outcome(mq_receive(call->queue, call->text, call->size, &call->prio));
	return outcome(mq_send(call->queue, call->text, call->size, call->prio));
}

static void told_call(const struct call *call, const char *how, long ret)
{
	told("%s %s %d size %ld priority %u: %s", how, call->receive ? "receive" : "send",
	     call->slot, (long)call->size, call->prio, error_name(ret));
	if (ret >= 0 && call->receive)
		told("%ld bytes, %llx", ret,
		     (unsigned long long)digest_of(0, call->text, sizeof(call->text)));
}

static void told_pending(const struct pending *call, long ret)
{
	told_call((const struct call *)call, "waited", ret);
}

static bool waits_for_queue(struct kt_job *job)
{
	return waits_in_queue(job);
}

static void make_call(struct call *call, bool receive)
{
	*call = (struct call){ .pending.size = sizeof(*call), .receive = receive };
	call->slot = pick(&call->queue);
	if (receive) {
		/* Of what is larger than our room one cannot be received */
		call->size = ONE_OF(ROOM, ROOM, ROOM, 2 * ROOM, ROOM - 1, 1, 0);
		call->prio = 4711;
		return;
	}
	call->size = ONE_OF(0, 1, 8, 8, 9, 30, ROOM, ROOM, ROOM + 1);
	call->prio = ONE_OF(0U, 0U, 1U, 1U, 2U, 5U, 32767U, 32768U, UINT_MAX);
	kt_fill(call->text, call->size, below(1000));
}

/* Does not wait: O_NONBLOCK or a time that is over, or one that is none */
static void call_now(bool receive)
{
	static struct call call;
	struct timespec time = PAST;
	long ret;

	make_call(&call, receive);
	if (!below(10))
		time = ONE_OF(((struct timespec){ -1, 0 }), ((struct timespec){ 1, -1 }),
			      ((struct timespec){ 1, 1000000000 }));
	if (receive)
		ret = mq_timedreceive(call.queue, call.text, call.size, &call.prio, &time);
	else
		ret = mq_timedsend(call.queue, call.text, call.size, call.prio, &time);
	told_call(&call, "now", outcome(ret));
}

static void call_and_wait(bool receive)
{
	int i = (int)below(JOBS);
	struct call *call;

	if (pending[i])
		return;
	call = kt_new(struct call);
	make_call(call, receive);
	call->pending.job = kt_start(KT_FORK, run_call, call);
	pending[i] = &call->pending;
}

static void on_notice(int number, siginfo_t *info, void *context)
{
	(void)context;
	told("notice: signal %d code %d value %d of %s %u", number, info->si_code,
	     info->si_value.sival_int, process_name(info->si_pid), info->si_uid);
}

static void call_something(void)
{
	const struct sigaction action = { .sa_sigaction = on_notice, .sa_flags = SA_SIGINFO };

	kt_need(!sigaction(SIGUSR2, &action, NULL));
	switch (below(32)) {
	case 0 ... 3:
		call_open();
		break;
	case 4 ... 11:
		call_now(false);
		break;
	case 12 ... 18:
		call_now(true);
		break;
	case 19 ... 20:
		call_and_wait(false);
		break;
	case 21 ... 22:
		call_and_wait(true);
		break;
	case 23 ... 24:
		call_getattr();
		break;
	case 25:
		call_setattr();
		break;
	case 26 ... 27:
		call_notify();
		break;
	case 28:
		call_close();
		break;
	case 29:
		call_unlink();
		break;
	case 30:
		interrupt_one();
		break;
	default:
		change_user();
	}
}

static void clean(void)
{
	for (unsigned int i = 0; i < 6; i++)
		mq_unlink(names[i]);
	for (int i = 0; i < JOBS; i++)
		if (pending[i])
			kt_kill(pending[i]->job);
	memset(pending, 0, sizeof(pending));
}
