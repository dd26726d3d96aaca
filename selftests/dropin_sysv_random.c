// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Queues of System V by chance, as dropin_random.h says; dropin_sysv_random.sh runs this.
 *
 * What docs/dropin.md says differs is not called: buffers to receive into that cannot be
 * written. And what the kernel's own leave to the scheduler is not done: no two senders
 * wait at one queue, and no IPC_SET comes to where two tasks wait of which one receives: it
 * wakes all receivers, and the sender that has room now, and any of them may come first.
 */
#define SIGNAL_FLAGS	SA_RESTART	/* which changes nothing there, signal(7) */
#include "dropin_random.h"

#include <limits.h>
#include <sys/ipc.h>
#include <sys/msg.h>

#define QUEUES	12
#define ROOM	8192
#define KEY	0x6b690000

struct message {
	long type;
	unsigned char text[ROOM + 64];
};

struct call {
	struct pending pending;
	bool receive;
	int queue;	/* its number; -1: none that there is */
	int id;
	size_t size;
	long type;
	int flags;
	struct message message;
};

static int queue_id[QUEUES];	/* as msgget() gave them; some have been removed since */
static unsigned int queues;

/* As no two kernels give the same ids, queues are known by their numbers. */
static int pick(int *id)
{
	int number = queues ? (int)below(queues) : -1;

	if (number < 0 || !below(40)) {
		*id = ONE_OF(-1, INT_MIN, INT_MAX);
		return -1;
	}
	*id = queue_id[number];
	return number;
}

static long outcome(long ret)
{
	return ret < 0 ? -errno : ret;
}

static void call_get(void)
{
	key_t key = ONE_OF(IPC_PRIVATE, KEY + 1, KEY + 2, KEY + 3, KEY + 4);
	int flags = ONE_OF(0, IPC_CREAT, IPC_CREAT, IPC_CREAT, IPC_CREAT | IPC_EXCL, IPC_EXCL) |
		    ONE_OF(0600, 0666, 0, 0400, 0200, 0777, 0640, 0606, 0622, 0444, 0100, 07777);
	unsigned int number = 0;
	int id;

	if (queues == QUEUES) {
		flags &= ~IPC_CREAT;
		key = key == IPC_PRIVATE ? KEY + 1 : key;
	}
	id = msgget(key, flags);
	told("get %#x %#o: %s", (unsigned int)key, (unsigned int)flags, error_name(outcome(id)));
	if (id < 0)
		return;
	while (number < queues && queue_id[number] != id)
		number++;
	told("is %u", number);
	if (number == queues)
		queue_id[queues++] = id;
}

static unsigned int count_pending(int number, bool receive)
{
	unsigned int count = 0;

	for (int i = 0; i < JOBS; i++) {
		const struct call *call = (struct call *)pending[i];

		count += call && call->queue == number && call->receive == receive;
	}
	return count;
}

/* The last one has its number then. */
static void forget(int number)
{
	if (count_pending(number, true) || count_pending(number, false))
		return;
	queue_id[number] = queue_id[--queues];
	for (int i = 0; i < JOBS; i++) {
		struct call *call = (struct call *)pending[i];

		if (call && call->queue == (int)queues)
			call->queue = number;
	}
}

static void call_stat(void)
{
	struct msqid_ds ds;
	int id, number = pick(&id);
	long ret = outcome(msgctl(id, IPC_STAT, &ds));

	told("stat %d: %s", number, error_name(ret));
	if (ret < 0)
		return;
	told("key %#x uid %u gid %u cuid %u cgid %u mode %#o, %lu messages, %lu bytes of %lu",
	     (unsigned int)ds.msg_perm.__key, ds.msg_perm.uid, ds.msg_perm.gid,
	     ds.msg_perm.cuid, ds.msg_perm.cgid, (unsigned int)ds.msg_perm.mode,
	     (unsigned long)ds.msg_qnum, (unsigned long)ds.__msg_cbytes,
	     (unsigned long)ds.msg_qbytes);
	told("sent by %s %d, received by %s %d, changed %d", process_name(ds.msg_lspid),
	     ds.msg_stime != 0, process_name(ds.msg_lrpid), ds.msg_rtime != 0, ds.msg_ctime != 0);
}

static void call_set(void)
{
	struct msqid_ds ds = { 0 };
	int id, number = pick(&id);
	unsigned int receivers;
	long ret;

	receivers = count_pending(number, true);
	if (number >= 0 && receivers && receivers + count_pending(number, false) > 1)
		return;
	ds.msg_perm.uid = ONE_OF(0U, KT_UID_A, KT_UID_B, 7U);
	ds.msg_perm.gid = ONE_OF(0U, KT_UID_A, KT_UID_B, 7U);
	ds.msg_perm.mode = ONE_OF(0600, 0666, 0, 0400, 0200, 0777, 0640, 0606, 0622, 07777);
	ds.msg_qbytes = ONE_OF(0U, 1U, 10U, 100U, 500U, 8192U, 16384U, 16385U, 65536U);
	ret = outcome(msgctl(id, IPC_SET, &ds));
	told("set %d uid %u gid %u mode %#o bytes %lu: %s", number, ds.msg_perm.uid,
	     ds.msg_perm.gid, (unsigned int)ds.msg_perm.mode, (unsigned long)ds.msg_qbytes,
	     error_name(ret));
}

static void call_remove(void)
{
	int id, number = pick(&id);

	told("remove %d: %s", number, error_name(outcome(msgctl(id, IPC_RMID, NULL))));
	/* Others are asked for a while yet */
	if (number >= 0 && below(2) && msgctl(id, IPC_STAT, &(struct msqid_ds){ 0 }) < 0 &&
	    errno == EINVAL)
		forget(number);
}

static void call_info(void)
{
	struct msginfo info = { 0 };
	int what = ONE_OF(IPC_INFO, MSG_INFO);
	long ret = outcome(msgctl(0, what, (struct msqid_ds *)&info));

	told("info %d: %s, pool %d map %d max %d mnb %d mni %d tql %d", what, error_name(ret),
	     info.msgpool, info.msgmap, info.msgmax, info.msgmnb, info.msgmni, info.msgtql);
}

static void call_other(void)
{
	int id, number = pick(&id);
	int what = ONE_OF(4, 5, 10, 14, 20, -1, 0x1000);
	long ret = outcome(msgctl(id, what, &(struct msqid_ds){ 0 }));

	told("control %d %d: %s", number, what, error_name(ret));
}

static long run_call(void *argument)
{
	struct call *call = argument;

	if (call->receive)
		return outcome(msgrcv(call->id, &call->message, call->size, call->type,
				      call->flags));
	return outcome(msgsnd(call->id, &call->message, call->size, call->flags));
}

static void told_call(const struct call *call, const char *how, long ret)
{
	told("%s %s %d size %ld type %ld flags %#o: %s", how, call->receive ? "receive" : "send",
	     call->queue, (long)call->size, call->type, (unsigned int)call->flags, error_name(ret));
	if (ret >= 0 && call->receive)
		told("%ld bytes of type %ld, %llx", ret, call->message.type,
		     (unsigned long long)digest_of(0, call->message.text,
						   sizeof(call->message.text)));
}

static void told_pending(const struct pending *call, long ret)
{
	told_call((const struct call *)call, "waited", ret);
}

static bool waits_for_queue(struct kt_job *job)
{
	return kt_waits_for_msg(job);
}

static void make_receive(struct call *call)
{
	call->size = (size_t)ONE_OF(0L, 1L, 8L, 50L, 100L, 1000L, 8192L, 8192L,
				    8192L, 8193L, -1L);
	call->type = ONE_OF(0L, 0L, 0L, 1L, 2L, 3L, 4L, -1L, -2L, -4L, LONG_MAX, LONG_MIN);
	call->flags = ONE_OF(0, 0, 0, MSG_NOERROR, MSG_NOERROR, MSG_EXCEPT,
			     MSG_EXCEPT | MSG_NOERROR);
	if (!below(8)) {
		call->flags |= MSG_COPY;
		call->type = ONE_OF(0L, 1L, 2L, 5L, 100L, -1L);
	}
}

static void make_send(struct call *call)
{
	call->size = (size_t)ONE_OF(0L, 0L, 1L, 8L, 8L, 50L, 100L, 1000L,
				    3000L, 8192L, 8193L, -1L);
	call->type = ONE_OF(1L, 1L, 2L, 2L, 3L, 4L, LONG_MAX, 0L, -1L);
	call->message.type = call->type;
	if (call->size <= ROOM)
		kt_fill(call->message.text, call->size, below(1000));
}

static void make_call(struct call *call, bool receive)
{
	*call = (struct call){ .pending.size = sizeof(*call), .receive = receive };
	call->queue = pick(&call->id);
	if (receive)
		make_receive(call);
	else
		make_send(call);
}

static void call_now(bool receive)
{
	static struct call call;

	make_call(&call, receive);
	call.flags |= IPC_NOWAIT;
	told_call(&call, "now", run_call(&call));
}

static void call_and_wait(bool receive)
{
	int i = (int)below(JOBS);
	struct call *call;

	if (pending[i])
		return;
	call = kt_new(struct call);
	make_call(call, receive);
	if (!receive && call->queue >= 0 && count_pending(call->queue, false)) {
		kt_need(!munmap(call, sizeof(*call)));
		return;
	}
	call->pending.job = kt_start(KT_FORK, run_call, call);
	pending[i] = &call->pending;
}

static void call_something(void)
{
	switch (below(32)) {
	case 0 ... 1:
		call_get();
		break;
	case 2 ... 10:
		call_now(false);
		break;
	case 11 ... 17:
		call_now(true);
		break;
	case 18 ... 19:
		call_and_wait(false);
		break;
	case 20 ... 23:
		call_and_wait(true);
		break;
	case 24 ... 25:
		call_stat();
		break;
	case 26:
		call_set();
		break;
	case 27:
		if (!below(3))
			call_remove();
		break;
	case 28:
		call_info();
		break;
	case 29:
		if (!below(4))
			call_other();
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
	for (unsigned int i = 0; i < queues; i++)
		msgctl(queue_id[i], IPC_RMID, NULL);
}
