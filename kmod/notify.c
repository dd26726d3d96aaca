// SPDX-License-Identifier: GPL-2.0-only
/* See notify.h. */
#include <linux/cred.h>
#include <linux/err.h>
#include <linux/eventfd.h>
#include <linux/pid.h>
#include <linux/pid_namespace.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/kipc.h>

#include "compat.h"
#include "file.h"
#include "notify.h"

/*
 * Threads looked at for one that takes the signal. The kernel looks at all for its own, but here
 * others wait for the endpoint's lock meanwhile. (Signals that stop, continue or end a process
 * go to all its threads nevertheless, as those of mq_notify(3) do.)
 */
#define KIPC_NOTIFY_THREADS	1024U

/**
 * struct kipc_notify - who is told, and how
 * @nr: ep->notifies when it was arranged
 * @how: KIPC_NOTIFY_*
 * @saw_empty: somebody has found the queue empty since (ep->lock)
 * @signo: SIGNAL: its number; 0: none is sent
 * @value: SIGNAL: what comes with it
 * @owner: the process, held
 * @thread: the one of its threads that asked for it, held
 * @exec_id: which program it ran then: another one never asked for a signal
 * @eventfd: EVENTFD: it, held
 * @end: TELL_END: it, held
 */
struct kipc_notify {
	u64 nr;
	u32 how;
	bool saw_empty;
	int signo;
	u64 value;
	struct pid *owner;
	struct pid *thread;
	u64 exec_id;
	struct eventfd_ctx *eventfd;
	struct eventfd_ctx *end;
};

static void kipc_notify_free(struct kipc_notify *notify)
{
	if (notify->end)
		eventfd_ctx_put(notify->end);
	if (notify->eventfd)
		eventfd_ctx_put(notify->eventfd);
	put_pid(notify->thread);
	put_pid(notify->owner);
	kfree(notify);
}

/* The eventfd of a descriptor, held: -EBADF, -EINVAL */
static int kipc_notify_eventfd(struct eventfd_ctx **held, u64 fd)
{
	struct eventfd_ctx *eventfd = fd > INT_MAX ? ERR_PTR(-EBADF) : eventfd_ctx_fdget(fd);

	if (IS_ERR(eventfd))
		return PTR_ERR(eventfd);
	*held = eventfd;
	return 0;
}

static struct kipc_notify *kipc_notify_new(const struct kipc_op_notify *op)
{
	struct kipc_notify *notify = kzalloc(sizeof(*notify), GFP_KERNEL_ACCOUNT);
	int err = 0;

	if (!notify)
		return ERR_PTR(-ENOMEM);
	notify->how = op->how;
	notify->signo = op->signo;
	notify->value = op->value;
	notify->owner = get_pid(task_tgid(current));
	notify->thread = get_pid(task_pid(current));
	notify->exec_id = current->self_exec_id;
	if (op->how == KIPC_NOTIFY_EVENTFD)
		err = kipc_notify_eventfd(&notify->eventfd, op->value);
	if (!err && op->flags & KIPC_NOTIFY_TELL_END)
		err = kipc_notify_eventfd(&notify->end, op->end);
	if (!err)
		return notify;
	kipc_notify_free(notify);
	return ERR_PTR(err);
}

static int kipc_notify_check(const struct kipc_op_notify *op)
{
	if (op->flags & ~KIPC_NOTIFY_TELL_END ||
	    memchr_inv(op->reserved, 0, sizeof(op->reserved)))
		return -EINVAL;
	if (op->flags ? op->how != KIPC_NOTIFY_EVENTFD : !!op->end)
		return -EINVAL;
	switch (op->how) {
	case KIPC_NOTIFY_END:
	case KIPC_NOTIFY_NONE:
		return op->signo || op->value ? -EINVAL : 0;
	case KIPC_NOTIFY_SIGNAL:
		return valid_signal(op->signo) ? 0 : -EINVAL;
	case KIPC_NOTIFY_EVENTFD:
		return op->signo ? -EINVAL : 0;
	default:
		return -EINVAL;
	}
}

/*
 * Exit closes the descriptors, and ends it. But the table of them may have been shared with
 * another process, and be there still.
 */
static bool kipc_notify_stale(const struct kipc_notify *notify)
{
	struct task_struct *leader;
	bool stale;

	rcu_read_lock();
	leader = pid_task(notify->owner, PIDTYPE_TGID);
	stale = !leader || !atomic_read(&leader->signal->live);
	rcu_read_unlock();
	return stale;
}

long kipc_notify_set(struct kipc_file *file, const struct kipc_op_notify *op)
{
	struct kipc_notify *notify = NULL;
	struct kipc_ep *ep = file->ep;
	bool known_open = true;
	int err = kipc_notify_check(op);
	u64 nr = 0;

	if (!err && op->how != KIPC_NOTIFY_END) {
		notify = kipc_notify_new(op);
		if (IS_ERR(notify))
			return PTR_ERR(notify);
	}
	if (err)
		return err;
	spin_lock(&ep->lock);
	if (ep->notify && kipc_notify_stale(ep->notify))
		kipc_notify_end(ep);
	if (ep->dead) {
		err = -EIDRM;
	} else if (!notify) {
		if (kipc_notify_leave(ep))
			kipc_ep_accessed(ep);
	} else if (ep->notify) {
		err = -EBUSY;
	} else {
		nr = ++ep->notifies;
		notify->nr = nr;
		notify->saw_empty = !ep->queued;
		ep->notify = notify;
		notify = NULL;
		kipc_ep_accessed(ep);
		known_open = kipc_file_known_open(file);
	}
	spin_unlock(&ep->lock);
	if (notify)
		kipc_notify_free(notify);
	/* Closed by another thread, perhaps before there was something to end by that */
	if (!known_open && !kipc_file_check_open(file)) {
		spin_lock(&ep->lock);
		/* Not one that another thread has arranged by now */
		if (ep->notify && ep->notify->nr == nr) {
			kipc_notify_end(ep);
			err = -EBADF;
		}
		spin_unlock(&ep->lock);
	}
	return err;
}

/* What is racy here is so for every signal */
static bool kipc_notify_exits(struct task_struct *task)
{
	/* See above */
	return data_race(task->flags) & PF_EXITING;
}

/* Whoever blocks it would not get it */
static bool kipc_notify_takes(struct task_struct *task, int signo)
{
	/* Likewise */
	return !kipc_notify_exits(task) && !data_race(sigismember(&task->blocked, signo));
}

/*
 * The first thread, if it would get the signal now, as with any signal for a process; else the
 * one that asked for it, if that would, or one of the first that would; else one that is there.
 * With one that is exiting it would be lost.
 */
static struct task_struct *kipc_notify_thread(const struct kipc_notify *notify,
					      struct task_struct *leader)
{
	struct task_struct *asked = pid_task(notify->thread, PIDTYPE_PID), *task;
	unsigned int i = 0;

	if (kipc_notify_takes(leader, notify->signo))
		return leader;
	if (asked && (!same_thread_group(asked, leader) || kipc_notify_exits(asked)))
		asked = NULL;
	if (asked && kipc_notify_takes(asked, notify->signo))
		return asked;
	for_each_thread(leader, task) {
		if (kipc_notify_takes(task, notify->signo))
			return task;
		if (!asked && !kipc_notify_exits(task))
			asked = task;
		if (++i == KIPC_NOTIFY_THREADS)
			break;
	}
	return asked ?: leader;
}

static void kipc_notify_signal(const struct kipc_notify *notify, const struct kipc_msg *msg)
{
	struct kernel_siginfo info;
	struct task_struct *leader;
	/* Who puts it back has not sent it; of the sender the effective uid is known then */
	bool sends = msg->creds.pid == task_tgid(current);

	clear_siginfo(&info);
	info.si_signo = notify->signo;
	info.si_code = SI_MESGQ;
	info.si_value.sival_ptr = (void __user *)(unsigned long)notify->value;
	info.si_pid = pid_nr_ns(msg->creds.pid, ns_of_pid(notify->owner));
	/* Sending translates it into the receiver's user namespace */
	info.si_uid = from_kuid_munged(current_user_ns(), sends ? current_uid() : msg->creds.uid);
	rcu_read_lock();
	leader = pid_task(notify->owner, PIDTYPE_TGID);
	/* exec changes it, and ends the registration */
	if (leader && data_race(READ_ONCE(leader->self_exec_id)) == notify->exec_id)
		send_sig_info(notify->signo, &info, kipc_notify_thread(notify, leader));
	rcu_read_unlock();
}

noinline void kipc_notify_give(struct kipc_ep *ep, const struct kipc_msg *msg)
{
	struct kipc_notify *notify = ep->notify;

	lockdep_assert_held(&ep->lock);
	ep->notify = NULL;
	if (notify->how == KIPC_NOTIFY_SIGNAL && notify->signo)
		kipc_notify_signal(notify, msg);
	else if (notify->how == KIPC_NOTIFY_EVENTFD)
		kipc_eventfd_signal(notify->eventfd);
	kipc_notify_free(notify);
}

void kipc_notify_look(const struct kipc_ep *ep, struct kipc_notice *notice)
{
	static const int sigev_notify[] = {
		[KIPC_NOTIFY_NONE] = SIGEV_NONE,
		[KIPC_NOTIFY_SIGNAL] = SIGEV_SIGNAL,
		[KIPC_NOTIFY_EVENTFD] = SIGEV_THREAD,
	};
	const struct kipc_notify *notify = ep->notify;

	lockdep_assert_held(&ep->lock);
	*notice = (struct kipc_notice){};
	if (!notify || kipc_notify_stale(notify))
		return;
	notice->sigev_notify = sigev_notify[notify->how];
	notice->signo = notify->how == KIPC_NOTIFY_SIGNAL ? notify->signo : 0;
	notice->pid = pid_vnr(notify->owner);
}

void kipc_notify_empty(struct kipc_ep *ep)
{
	lockdep_assert_held(&ep->lock);
	if (!ep->queued)
		ep->notify->saw_empty = true;
}

bool kipc_notify_saw_empty(const struct kipc_ep *ep)
{
	lockdep_assert_held(&ep->lock);
	return ep->notify->saw_empty;
}

void kipc_notify_end(struct kipc_ep *ep)
{
	struct kipc_notify *notify = ep->notify;

	lockdep_assert_held(&ep->lock);
	ep->notify = NULL;
	if (!notify)
		return;
	if (notify->end)
		kipc_eventfd_signal(notify->end);
	kipc_notify_free(notify);
}

bool kipc_notify_leave(struct kipc_ep *ep)
{
	lockdep_assert_held(&ep->lock);
	if (!ep->notify || ep->notify->owner != task_tgid(current))
		return false;
	kipc_notify_end(ep);
	return true;
}
