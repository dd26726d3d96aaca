// SPDX-License-Identifier: GPL-2.0-only
/* See sigio.h. */
#include <linux/fs.h>
#include <linux/mutex.h>
#include <linux/poll.h>
#include <linux/signal.h>
#include <linux/slab.h>
#include <linux/wait.h>

#include "endpoint.h"
#include "file.h"
#include "queue.h"
#include "sigio.h"

/**
 * struct kipc_hook - stands in a wait queue for the events that concern the file
 * @entry: there
 * @head: the wait queue, NULL: in none
 * @events: what it is about
 * @sigio: whose it is
 */
struct kipc_hook {
	wait_queue_entry_t entry;
	wait_queue_head_t *head;
	__poll_t events;
	struct kipc_sigio *sigio;
};

/**
 * struct kipc_sigio - a file's O_ASYNC
 * @file: which
 * @fasync: whom to tell: the file's owner, as the kernel keeps it
 * @messages: in ep->read_wait
 * @room: in ep->write_wait
 * @calls: in file->call_wait
 */
struct kipc_sigio {
	struct kipc_file *file;
	struct fasync_struct *fasync;
	struct kipc_hook messages;
	struct kipc_hook room;
	struct kipc_hook calls;
};

static int kipc_sigio_band(__poll_t events)
{
	if (events & (EPOLLHUP | EPOLLRDHUP))
		return POLL_HUP;
	if (events & EPOLLPRI)
		return POLL_PRI;
	return events & EPOLLIN ? POLL_IN : POLL_OUT;
}

static int kipc_sigio_wake(wait_queue_entry_t *entry, unsigned int mode, int sync, void *key)
{
	struct kipc_hook *hook = container_of(entry, struct kipc_hook, entry);
	__poll_t events = key_to_poll(key);

	/* At the end everything comes at once; only one hook is for that */
	if (events & EPOLLHUP)
		events = EPOLLHUP;
	events &= hook->events;
	/* That a file was shut down is told to all who poll for messages */
	if (events == EPOLLRDHUP && hook == &hook->sigio->messages &&
	    !data_race(READ_ONCE(hook->sigio->file->shutdown)))	/* set before, if at all */
		return 0;
	if (events)
		kill_fasync(&hook->sigio->fasync, SIGIO, kipc_sigio_band(events));
	return 0;
}

static void kipc_hook_add(struct kipc_sigio *sigio, struct kipc_hook *hook,
			  wait_queue_head_t *head, __poll_t events)
{
	hook->sigio = sigio;
	hook->head = head;
	hook->events = events;
	init_waitqueue_func_entry(&hook->entry, kipc_sigio_wake);
	add_wait_queue(head, &hook->entry);
}

static void kipc_hook_del(struct kipc_hook *hook)
{
	if (hook->head)
		remove_wait_queue(hook->head, &hook->entry);
}

/* As kipc_handle_poll(): who has no right hears of the end only, and nobody hears it twice */
static void kipc_sigio_hook(struct kipc_sigio *sigio)
{
	struct kipc_file *file = sigio->file;
	struct kipc_ep *ep = file->ep;
	__poll_t end = EPOLLHUP | EPOLLRDHUP;

	kipc_hook_add(sigio, &sigio->calls, &file->call_wait, EPOLLPRI);
	if (!ep)
		return;
	if (file->rights & KIPC_RIGHT_RECV) {
		kipc_hook_add(sigio, &sigio->messages, &ep->read_wait, EPOLLIN | end);
		end = 0;
	}
	if (file->rights & KIPC_RIGHT_SEND)
		kipc_hook_add(sigio, &sigio->room, &ep->write_wait, EPOLLOUT | end);
	else if (end)
		kipc_hook_add(sigio, &sigio->room, &ep->write_wait, end);
	/* Room that is not there is asked for from now on */
	spin_lock(&ep->lock);
	if (!ep->dead && file->rights & KIPC_RIGHT_SEND)
		kipc_ep_writable(ep, file);
	spin_unlock(&ep->lock);
}

static void kipc_sigio_unhook(struct kipc_sigio *sigio)
{
	kipc_hook_del(&sigio->messages);
	kipc_hook_del(&sigio->room);
	kipc_hook_del(&sigio->calls);
}

int kipc_sigio_on(struct kipc_file *file, int fd)
{
	struct kipc_sigio *sigio;
	int ret = -ENOMEM;

	mutex_lock(&file->sigio_mutex);
	sigio = file->sigio;
	if (!sigio) {
		sigio = kzalloc(sizeof(*sigio), GFP_KERNEL_ACCOUNT);
		if (!sigio)
			goto unlock;
		sigio->file = file;
	}
	ret = fasync_helper(fd, file->filp, 1, &sigio->fasync);
	if (file->sigio)
		goto unlock;
	if (ret < 0) {
		kfree(sigio);
	} else {
		file->sigio = sigio;
		kipc_sigio_hook(sigio);
	}
unlock:
	mutex_unlock(&file->sigio_mutex);
	return ret;
}

int kipc_sigio_off(struct kipc_file *file)
{
	struct kipc_sigio *sigio;
	int ret = 0;

	mutex_lock(&file->sigio_mutex);
	sigio = file->sigio;
	if (sigio) {
		kipc_sigio_unhook(sigio);
		ret = fasync_helper(-1, file->filp, 0, &sigio->fasync);
		file->sigio = NULL;
		kfree(sigio);
	}
	mutex_unlock(&file->sigio_mutex);
	return ret;
}
