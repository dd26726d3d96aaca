// SPDX-License-Identifier: GPL-2.0-only
/* See after.h. */
#include <linux/mm.h>
#include <linux/poll.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "after.h"
#include "endpoint.h"
#include "file.h"
#include "files.h"
#include "message.h"
#include "pins.h"
#include "queue.h"
#include "trace.h"

void kipc_lock(struct kipc_ep *ep, struct kipc_after *after)
	__acquires(&ep->lock)
{
	after->nothing = 0;
	INIT_HLIST_HEAD(&after->buffers);
	spin_lock(&ep->lock);
}

static noinline void kipc_after_wake_polls(struct kipc_ep *ep, struct kipc_after *after)
{
	if (after->peekers)
		wake_up(&ep->peek_wait);
	if (after->readable)
		wake_up_poll(&ep->read_wait, after->readable);
	if (after->writable)
		wake_up_poll(&ep->write_wait, after->writable);
}

static noinline void kipc_after_free_all(struct kipc_after *after)
{
	struct kipc_share *share;
	struct kipc_files *files;
	struct kipc_pins *pins;
	struct kipc_msg *msg;
	struct hlist_node *next;
	unsigned int i;

	for (i = 0; i < after->nr_files; i++) {
		struct kipc_file *file = after->files[i];

		wake_up(&file->next_wait);
		wake_up_poll(&file->call_wait, EPOLLPRI);
		kipc_file_put(file);
	}
	kipc_buffers_free(&after->buffers);
	hlist_for_each_entry_safe(msg, next, &after->msgs, free_node)
		kipc_msg_free(msg);
	hlist_for_each_entry_safe(pins, next, &after->pins, free_node)
		kipc_pins_free(pins);
	hlist_for_each_entry_safe(files, next, &after->sent, free_node)
		kipc_files_free(files);
	hlist_for_each_entry_safe(share, next, &after->shares, free_node)
		kipc_share_free(share);
}

/* Drop the lock, and do all but give room away */
static inline void kipc_unlock_and_do(struct kipc_ep *ep, struct kipc_after *after)
	__releases(&ep->lock)
{
	if (after->nr_tasks) {
		unsigned int nr = after->nr_tasks;

		/* Keeps the task_structs, see after.h */
		rcu_read_lock_sched();
		spin_unlock(&ep->lock);
		do
			wake_up_process(after->tasks[--nr]);
		while (unlikely(nr));
		rcu_read_unlock_sched();
		after->nr_tasks = 0;
	} else {
		spin_unlock(&ep->lock);
	}
	if (!after->more)
		return;
	kipc_after_wake_polls(ep, after);
	kipc_after_free_all(after);
}

/* With room for those who wait for it */
static noinline void kipc_unlock_admit(struct kipc_ep *ep, struct kipc_after *after)
	__releases(&ep->lock)
{
	u64 place = 0;
	bool more;

	/* A section that has woken a batch already leaves the admissions to the next */
	more = after->nr_tasks - after->nr_passed + KIPC_BATCH > KIPC_AFTER_MAX ||
	       kipc_admit(ep, &place, after);
	kipc_unlock_and_do(ep, after);
	while (more) {
		cond_resched();
		kipc_lock(ep, after);
		more = kipc_admit(ep, &place, after);
		/* Until the pass had ended nobody was let in */
		if (!more && kipc_polled(&ep->write_wait))
			kipc_after_writable(after, EPOLLOUT | EPOLLWRNORM);
		kipc_unlock_and_do(ep, after);
	}
}

void kipc_unlock(struct kipc_ep *ep, struct kipc_after *after)
	__releases(&ep->lock)
{
	if (unlikely(after->room && kipc_stalled(ep)))
		kipc_unlock_admit(ep, after);
	else
		kipc_unlock_and_do(ep, after);
}

void kipc_after_wake(struct kipc_after *after, struct task_struct *task)
{
	if (WARN_ON_ONCE(after->nr_tasks == KIPC_AFTER_TASKS)) {
		wake_up_process(task);
		return;
	}
	trace_kipc_wake(task->pid);
	after->tasks[after->nr_tasks++] = task;
}

void kipc_after_put(struct kipc_after *after, struct kipc_msg *msg)
{
	if (!refcount_dec_and_test(&msg->ref))
		return;
	kipc_after_more(after);
	hlist_add_head(&msg->free_node, &after->msgs);
}

static noinline void kipc_after_unpin(struct kipc_after *after, struct kipc_msg *msg)
{
	struct kipc_pins *pins = kipc_window_close(&msg->window);

	if (!pins)
		return;
	kipc_after_more(after);
	hlist_add_head(&pins->free_node, &after->pins);
}

void kipc_after_spend(struct kipc_after *after, struct kipc_msg *msg)
{
	msg->spent = true;
	if (unlikely(msg->pinned))
		kipc_after_unpin(after, msg);
	/* Who peeks does it afterwards */
	if (msg->peeks)
		return;
	kipc_body_spend(&msg->body, &after->buffers);
	if (unlikely(after->buffers.first))
		kipc_after_more(after);
}

noinline void kipc_after_files(struct kipc_after *after, struct kipc_msg *msg)
{
	if (!msg->files)
		return;
	kipc_after_more(after);
	hlist_add_head(&msg->files->free_node, &after->sent);
	msg->files = NULL;
}

void kipc_after_finished(struct kipc_after *after, struct kipc_file *file)
{
	if (WARN_ON_ONCE(after->nr_files == KIPC_AFTER_MAX))
		return;
	kipc_after_more(after);
	after->files[after->nr_files++] = kipc_file_get(file);
}
