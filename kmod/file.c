// SPDX-License-Identifier: GPL-2.0-only
/* See file.h. */
#include <linux/anon_inodes.h>
#include <linux/fdtable.h>
#include <linux/module.h>
#include <linux/poll.h>
#include <linux/random.h>
#include <linux/sched/signal.h>
#include <linux/seq_file.h>
#include <linux/slab.h>

#include "call.h"
#include "endpoint.h"
#include "file.h"
#include "ioctl.h"
#include "mqueue.h"
#include "notify.h"
#include "ns.h"
#include "pool.h"
#include "queue.h"
#include "rw.h"
#include "sigio.h"
#include "user.h"

static struct kmem_cache *kipc_file_cache;

struct kipc_file *kipc_file_new(struct kipc_ns *ns)
{
	struct kipc_file *file = kmem_cache_zalloc(kipc_file_cache, GFP_KERNEL);
	struct kipc_account *account;

	if (!file)
		goto put_ns;
	file->pool = kipc_pool_new();
	if (!file->pool)
		goto free;
	account = kipc_account_current();
	if (IS_ERR(account))
		goto put_pool;
	refcount_set(&file->ref, 1);
	file->ns = ns;
	file->account = account;
	mutex_init(&file->sigio_mutex);
	INIT_LIST_HEAD(&file->ep_link);
	spin_lock_init(&file->lock);
	INIT_LIST_HEAD(&file->finished);
	/* Tokens of different files shall not look alike */
	file->next_token = get_random_u64();
	init_waitqueue_head(&file->call_wait);
	init_waitqueue_head(&file->next_wait);
	return file;

put_pool:
	kipc_pool_put(file->pool);
free:
	kmem_cache_free(kipc_file_cache, file);
put_ns:
	kipc_ns_put(ns);
	return ERR_PTR(-ENOMEM);
}

void kipc_file_put(struct kipc_file *file)
{
	if (!refcount_dec_and_test(&file->ref))
		return;
	WARN_ON_ONCE(file->nr_calls || file->nr_taken || file->share || file->nr_receivers ||
		     file->sigio || !list_empty(&file->finished));
	if (file->ep)
		kipc_ep_put(file->ep);
	kipc_pool_put(file->pool);
	kipc_account_put(file->account);
	kipc_ns_put(file->ns);
	kmem_cache_free(kipc_file_cache, file);
}

/* No operation is under way, none will come */
void kipc_file_end(struct kipc_file *file)
{
	struct kipc_ep *ep = file->ep;
	struct kipc_after after __uninitialized;
	bool died;

	kipc_calls_cancel(file);
	if (ep) {
		kipc_calls_break(file);
		kipc_lock(ep, &after);
		died = kipc_ep_leave(ep, file, &after);
		kipc_unlock(ep, &after);
		if (died)
			kipc_ep_bury(ep);
	}
	if (file->inode)
		iput(file->inode);
	/* Not with the last reference: calls that linger at their server hold the file */
	kipc_pool_close(file->pool);
	kipc_file_put(file);
}

static int kipc_file_release(struct inode *inode, struct file *filp)
{
	kipc_file_end(filp->private_data);
	return 0;
}

static int kipc_same_file(const void *wanted, struct file *filp, unsigned int fd)
{
	return filp == wanted;
}

/*
 * A descriptor was closed, by the exit of its process or otherwise. When that was
 * the last one by which the process could answer what it took here, that breaks,
 * though others may hold the file: no later moment would show us its exit.
 */
static int kipc_handle_flush(struct file *filp, fl_owner_t files)
{
	struct kipc_file *file = filp->private_data;
	u32 taken;

	spin_lock(&file->ep->lock);
	file->closes++;
	taken = file->nr_taken;
	if (unlikely(file->ep->notify))
		kipc_notify_leave(file->ep);
	spin_unlock(&file->ep->lock);
	/* Without a table of files it was no process that closed it */
	if (!files || !taken)
		return 0;
	/* At exit and exec it is the last reference to a table that current left already */
	if (files != current->files || !iterate_fd(current->files, 0, kipc_same_file, filp))
		kipc_calls_let_go(file, files);
	return 0;
}

noinline bool kipc_file_check_open(struct kipc_file *file)
{
	struct kipc_ep *ep = file->ep;
	u64 closes;

	spin_lock(&ep->lock);
	closes = file->closes;
	spin_unlock(&ep->lock);
	if (!iterate_fd(current->files, 0, kipc_same_file, file->filp)) {
		kipc_calls_let_go(file, current->files);
		return false;
	}
	spin_lock(&ep->lock);
	file->open_files = current->files;
	file->open_closes = closes;
	spin_unlock(&ep->lock);
	return true;
}

static __poll_t kipc_poll_calls(struct kipc_file *file, struct file *filp, poll_table *wait)
{
	__poll_t mask;

	poll_wait(filp, &file->call_wait, wait);
	spin_lock(&file->lock);
	mask = list_empty(&file->finished) ? 0 : EPOLLPRI;
	spin_unlock(&file->lock);
	return mask;
}

static __poll_t kipc_device_poll(struct file *filp, poll_table *wait)
{
	return kipc_poll_calls(filp->private_data, filp, wait);
}

static __poll_t kipc_handle_poll(struct file *filp, poll_table *wait)
{
	struct kipc_file *file = filp->private_data;
	__poll_t mask = kipc_poll_calls(file, filp, wait);
	struct kipc_ep *ep = file->ep;
	u32 rights = file->rights;

	/* mqueue(7) tells of both, however it was opened, and of nobody who has gone */
	if (unlikely(file->as_mqueue))
		rights |= KIPC_RIGHT_RECV | KIPC_RIGHT_SEND;
	/* Those whom an event does not concern would only make it take longer */
	if (rights & KIPC_RIGHT_RECV)
		poll_wait(filp, &ep->read_wait, wait);
	if (rights & KIPC_RIGHT_SEND || !(rights & KIPC_RIGHT_RECV))
		poll_wait(filp, &ep->write_wait, wait);
	spin_lock(&ep->lock);
	if (ep->dead) {
		mask |= EPOLLHUP;
	} else {
		if (rights & KIPC_RIGHT_RECV && !file->shutdown) {
			if (kipc_queue_next(ep, false, 0))
				mask |= EPOLLIN | EPOLLRDNORM;
			else if (unlikely(ep->notify))
				kipc_notify_empty(ep);
		}
		if (rights & KIPC_RIGHT_SEND && kipc_ep_writable(ep, file))
			mask |= EPOLLOUT | EPOLLWRNORM;
		if (!file->as_mqueue && (!ep->receivers || file->shutdown))
			mask |= EPOLLRDHUP;
	}
	spin_unlock(&ep->lock);
	return mask;
}

static ssize_t kipc_handle_read_iter(struct kiocb *iocb, struct iov_iter *to)
{
	struct kipc_file *file = iocb->ki_filp->private_data;

	if (file->as_mqueue)
		return kipc_read_state(file, &iocb->ki_pos, to);
	return kipc_read(file, to, iocb->ki_flags & IOCB_NOWAIT);
}

static ssize_t kipc_handle_write_iter(struct kiocb *iocb, struct iov_iter *from)
{
	return kipc_write(iocb->ki_filp->private_data, from, iocb->ki_flags & IOCB_NOWAIT);
}

static int kipc_file_fasync(int fd, struct file *filp, int on)
{
	struct kipc_file *file = filp->private_data;

	if (file->as_mqueue)	/* mqueue(7) has no signals */
		return 0;
	return on ? kipc_sigio_on(file, fd) : kipc_sigio_off(file);
}

static void kipc_handle_show_fdinfo(struct seq_file *seq, struct file *filp)
{
	struct kipc_file *file = filp->private_data;
	u32 taken, calls;
	bool shutdown;

	spin_lock(&file->ep->lock);
	taken = file->nr_taken;
	shutdown = file->shutdown;
	spin_unlock(&file->ep->lock);
	spin_lock(&file->lock);
	calls = file->nr_calls;
	spin_unlock(&file->lock);
	seq_printf(seq, "kipc-endpoint:\t%u\n", file->ep->id);
	seq_printf(seq, "kipc-rights:\t%#x\n", file->rights);
	seq_printf(seq, "kipc-badge:\t%llu\n", file->badge);
	seq_printf(seq, "kipc-shutdown:\t%d\n", shutdown);
	seq_printf(seq, "kipc-taken:\t%u\n", taken);
	seq_printf(seq, "kipc-calls:\t%u\n", calls);
}

static int kipc_device_open(struct inode *inode, struct file *filp)
{
	struct kipc_file *file = kipc_file_new(kipc_ns_current());

	if (IS_ERR(file))
		return PTR_ERR(file);
	file->filp = filp;
	filp->private_data = file;
	return stream_open(inode, filp);
}

/* What read() and write() will find; 3, as in open(2), is neither */
static unsigned int kipc_handle_access(u32 rights)
{
	switch (rights & (KIPC_RIGHT_SEND | KIPC_RIGHT_RECV)) {
	case KIPC_RIGHT_SEND:
		return O_WRONLY;
	case KIPC_RIGHT_RECV:
		return O_RDONLY;
	case KIPC_RIGHT_SEND | KIPC_RIGHT_RECV:
		return O_RDWR;
	default:
		return O_ACCMODE;
	}
}

/* They belong to each other from now on; the handle may be known already, by its endpoint */
static void kipc_file_set_filp(struct kipc_file *file, struct file *filp)
{
	filp->private_data = file;
	filp->f_mode |= FMODE_NOWAIT;
	WRITE_ONCE(file->filp, filp);
}

struct file *kipc_handle_new(struct kipc_file *file, const char *name, unsigned int flags)
{
	struct file *filp;

	flags |= kipc_handle_access(file->rights);
	if (file->as_mqueue)
		return kipc_mqueue_file(file, name, flags);
	filp = anon_inode_getfile("[kipc]", &kipc_handle_fops, file, flags);
	if (IS_ERR(filp))
		return filp;
	stream_open(file_inode(filp), filp);
	kipc_file_set_filp(file, filp);
	return filp;
}

/* Of a file of mqueue(7), as which it is opened, or by its link in /proc */
static int kipc_handle_open(struct inode *inode, struct file *filp)
{
	u32 rights = (filp->f_mode & FMODE_READ ? KIPC_RIGHT_RECV : 0) |
		     (filp->f_mode & FMODE_WRITE ? KIPC_RIGHT_SEND : 0);
	struct kipc_file *file = kipc_mqueue_opens(filp);
	struct kipc_ep *ep = inode->i_private;
	int err;

	if (!file) {
		file = kipc_file_new(kipc_ns_get(ep->ns));
		if (IS_ERR(file))
			return PTR_ERR(file);
		file->as_mqueue = true;
		err = kipc_ep_reopen(ep, file, rights);
		if (err) {
			kipc_file_end(file);
			return err;
		}
	}
	kipc_file_set_filp(file, filp);
	return 0;
}

/* Deadlock */

/* The file of the only RECV handle, if it is open once and concerns the caller; not held */
static struct file *kipc_sole_server(struct kipc_ep *ep, const struct kipc_file *caller)
{
	struct kipc_file *server;
	struct file *filp = NULL;

	spin_lock(&ep->lock);
	if (!ep->dead && !ep->nr_waiting && ep->receivers == 1) {
		server = list_first_entry(&ep->files, struct kipc_file, ep_link);
		filp = READ_ONCE(server->filp);
		if (filp && (file_count(filp) != 1 ||
			     (server != caller && server->server != task_tgid(current))))
			filp = NULL;
	}
	spin_unlock(&ep->lock);
	return filp;
}

bool kipc_file_deadlock(struct kipc_file *file, struct kipc_ep *ep)
{
	struct file *filp;

	/* The usual cases cost no lock; kipc_sole_server() looks again with it */
	if (data_race(READ_ONCE(ep->nr_waiting)) || data_race(READ_ONCE(ep->receivers)) != 1 ||
	    !thread_group_empty(current) || atomic_read(&current->files->count) != 1)
		return false;
	filp = kipc_sole_server(ep, file);
	if (!filp)
		return false;
	return filp == file->filp || iterate_fd(current->files, 0, kipc_same_file, filp);
}

long kipc_file_shutdown(struct kipc_file *file)
{
	struct kipc_after after __uninitialized;
	struct kipc_ep *ep = file->ep;
	struct kipc_walk walk = {};
	bool more;

	do {
		kipc_lock(ep, &after);
		/* Who begins to wait after this sees that it is shut down */
		if (!walk.end)
			walk.end = ep->waits;
		file->shutdown = true;
		kipc_after_peekers(&after);
		kipc_after_readable(&after, EPOLLRDHUP);
		more = kipc_shutdown_receivers(ep, file, &walk, &after);
		kipc_unlock(ep, &after);
		cond_resched();
	} while (more);
	return 0;
}

const struct file_operations kipc_handle_fops = {
	.owner = THIS_MODULE,
	.open = kipc_handle_open,
	.flush = kipc_handle_flush,
	.release = kipc_file_release,
	.llseek = default_llseek,
	.read_iter = kipc_handle_read_iter,
	.write_iter = kipc_handle_write_iter,
	.poll = kipc_handle_poll,
	.fasync = kipc_file_fasync,
	.unlocked_ioctl = kipc_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.show_fdinfo = kipc_handle_show_fdinfo,
};

const struct file_operations kipc_device_fops = {
	.owner = THIS_MODULE,
	.open = kipc_device_open,
	.release = kipc_file_release,
	.poll = kipc_device_poll,
	.fasync = kipc_file_fasync,
	.unlocked_ioctl = kipc_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};

int kipc_file_init(void)
{
	kipc_file_cache = KMEM_CACHE(kipc_file, SLAB_ACCOUNT | SLAB_HWCACHE_ALIGN);
	return kipc_file_cache ? 0 : -ENOMEM;
}

void kipc_file_exit(void)
{
	kmem_cache_destroy(kipc_file_cache);
}
