// SPDX-License-Identifier: GPL-2.0-only
/* See after.h. */
#include <linux/mm.h>
#include <linux/poll.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "after.h"
#include "endpoint.h"
#include "file.h"
#include "message.h"
#include "queue.h"
#include "trace.h"

void kipc_lock(struct kipc_ep *ep, struct kipc_after *after)
	__acquires(&ep->lock)
{
	after->nr_tasks = 0;
	after->nr_files = 0;
	after->nr_payloads = 0;
	INIT_HLIST_HEAD(&after->msgs);
	INIT_HLIST_HEAD(&after->shares);
	after->readable = 0;
	after->writable = 0;
	after->peekers = false;
	after->room = false;
	spin_lock(&ep->lock);
}

static void kipc_after_wake_all(struct kipc_ep *ep, struct kipc_after *after)
{
	unsigned int i;

	for (i = 0; i < after->nr_tasks; i++)
		wake_up_process(after->tasks[i]);
	if (after->peekers)
		wake_up(&ep->peek_wait);
	if (after->readable)
		wake_up_poll(&ep->read_wait, after->readable);
	if (after->writable)
		wake_up_poll(&ep->write_wait, after->writable);
}

static void kipc_after_free_all(struct kipc_after *after)
{
	struct kipc_share *share;
	struct kipc_msg *msg;
	struct hlist_node *next;
	unsigned int i;

	for (i = 0; i < after->nr_files; i++) {
		struct kipc_file *file = after->files[i];

		wake_up(&file->next_wait);
		wake_up_poll(&file->call_wait, EPOLLPRI);
		kipc_file_put(file);
	}
	for (i = 0; i < after->nr_payloads; i++)
		kvfree(after->payloads[i]);
	hlist_for_each_entry_safe(msg, next, &after->msgs, free_node)
		kipc_msg_put(msg);
	hlist_for_each_entry_safe(share, next, &after->shares, free_node)
		kipc_share_free(share);
}

void kipc_unlock(struct kipc_ep *ep, struct kipc_after *after)
	__releases(&ep->lock)
{
	u64 place = 0;
	bool more;

	/* A section that has woken a batch already leaves the admissions to the next */
	more = after->room && (after->nr_tasks + KIPC_BATCH > KIPC_AFTER_MAX ||
			       kipc_admit(ep, &place, after));
	for (;;) {
		/* Keeps the task_structs, see after.h */
		rcu_read_lock();
		spin_unlock(&ep->lock);
		kipc_after_wake_all(ep, after);
		rcu_read_unlock();
		kipc_after_free_all(after);
		if (!more)
			break;
		cond_resched();
		kipc_lock(ep, after);
		more = kipc_admit(ep, &place, after);
		/* Until the pass had ended nobody was let in */
		if (!more && kipc_polled(&ep->write_wait))
			after->writable |= EPOLLOUT | EPOLLWRNORM;
	}
}

void kipc_after_wake(struct kipc_after *after, struct task_struct *task)
{
	if (WARN_ON_ONCE(after->nr_tasks == KIPC_AFTER_MAX)) {
		wake_up_process(task);
		return;
	}
	trace_kipc_wake(task->pid);
	after->tasks[after->nr_tasks++] = task;
}

void kipc_after_put(struct kipc_after *after, struct kipc_msg *msg)
{
	hlist_add_head(&msg->free_node, &after->msgs);
}

void kipc_after_spend(struct kipc_after *after, struct kipc_msg *msg)
{
	msg->spent = true;
	if (msg->peeks || msg->data == msg->inline_data || !msg->data)
		return;
	if (WARN_ON_ONCE(after->nr_payloads == KIPC_AFTER_MAX))
		return;
	after->payloads[after->nr_payloads++] = msg->data;
	msg->data = NULL;
}
