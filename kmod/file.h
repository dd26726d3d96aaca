/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * DOC: files
 *
 * The state of one open file of kipc: a device file (a namespace) or a handle
 * (an endpoint with rights that were checked when it was made). Held by the
 * struct file and by each call that outlives its system call. The struct file's
 * end (kipc_file_release) cancels those calls and breaks what was taken through
 * it, so that what remains is only memory.
 *
 * Calls that outlive their system call are in @calls under their caller token;
 * those started by ASYNC that finished are also in @finished. Both under @lock,
 * which is taken inside an endpoint's lock.
 *
 * The poll heads that a handle offers are the endpoint's, which the handle
 * holds, and @call_wait. Sleepers never share them.
 */
#ifndef _KIPC_FILE_H
#define _KIPC_FILE_H

#include <linux/fs.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/rbtree.h>
#include <linux/refcount.h>
#include <linux/sched.h>
#include <linux/spinlock.h>
#include <linux/wait.h>

struct kipc_account;
struct kipc_call;
struct kipc_ep;
struct kipc_ns;
struct kipc_pool;
struct kipc_share;
struct kipc_sigio;

/**
 * struct kipc_file - an open file
 * @ref: see above
 * @ns: namespace, held; constant
 * @ep: a handle's endpoint, held; NULL for a device file; constant
 * @rights: a handle's KIPC_RIGHT_*; constant
 * @badge: a handle's badge; constant
 * @as_mqueue: it is as a file of mqueue(7); constant
 * @inode: what is to be opened as that, held; NULL: nothing, or that has been done
 * @passed_on: it came by a message: f_cred is who opened the first one; constant
 * @share: a handle's share, that of who made this one; constant
 * @account: the opener's account; constant
 * @pool: spare memory for what is sent through it; constant
 * @filp: the struct file, for comparing and counting while the handle is in
 *	ep->files; NULL until there is one, then constant
 * @sigio_mutex: held by who sets and clears O_ASYNC
 * @sigio: its O_ASYNC, or NULL (@sigio_mutex)
 * @server: process that received last through it, for comparing only (ep->lock)
 * @shutdown: receives give ESHUTDOWN (ep->lock)
 * @large_replies: the last reply of whoever looked was large: what to expect of the next
 * @ep_link: in ep->files (ep->lock)
 * @nr_taken: calls delivered through it (ep->lock)
 * @closes: descriptors of it that were closed (ep->lock)
 * @open_closes: @closes when the process with table @open_files was last seen to
 *	have a descriptor: it has one while they are equal (ep->lock)
 * @open_files: see above, for comparing only (ep->lock)
 * @nr_receivers: receives waiting on a handle (ep->lock)
 * @lock: protects the rest
 * @calls: calls by caller token
 * @nr_calls: how many
 * @nr_async: how many of those were started by ASYNC
 * @next_token: next caller token
 * @finished: ASYNC calls to collect, oldest first
 * @call_wait: who polls for those
 * @next_wait: who sleeps for those
 */
struct kipc_file {
	refcount_t ref;
	struct kipc_ns *ns;
	struct kipc_ep *ep;
	u32 rights;
	u64 badge;
	bool as_mqueue;
	struct inode *inode;
	bool passed_on;
	struct kipc_share *share;
	struct kipc_account *account;
	struct kipc_pool *pool;
	struct file *filp;
	struct mutex sigio_mutex;	/* protects the next one */
	struct kipc_sigio *sigio;
	const struct pid *server;
	bool shutdown;
	bool large_replies;
	struct list_head ep_link;
	u32 nr_taken;
	u64 closes;
	u64 open_closes;
	const void *open_files;
	u32 nr_receivers;

	spinlock_t lock;		/* protects what follows; inside ep->lock */
	struct rb_root calls;
	u32 nr_calls;
	u32 nr_async;
	u64 next_token;
	struct list_head finished;
	wait_queue_head_t call_wait;
	wait_queue_head_t next_wait;
};

/* A new one without a struct file; takes over the reference to @ns; or ERR_PTR() */
struct kipc_file *kipc_file_new(struct kipc_ns *ns);
void kipc_file_put(struct kipc_file *file);
/* What the end of its struct file does, for one that has got none */
void kipc_file_end(struct kipc_file *file);
/*
 * A struct file with O_* @flags for a handle that is on its endpoint, which has, or had, the name
 * @name; or ERR_PTR(), and @file is the caller's to end. May wait for who has a lease of a file of
 * mqueue(7): -EWOULDBLOCK with O_NONBLOCK, -ERESTARTSYS.
 */
struct file *kipc_handle_new(struct kipc_file *file, const char *name, unsigned int flags);

static inline struct kipc_file *kipc_file_get(struct kipc_file *file)
{
	refcount_inc(&file->ref);
	return file;
}

/*
 * Would the calling thread wait for itself, because nobody else can receive from
 * @ep? True only if that is certain: there is one RECV handle, open once, and the
 * caller is a process of one thread that has it. Not under a lock.
 */
bool kipc_file_deadlock(struct kipc_file *file, struct kipc_ep *ep);

/*
 * A process that takes a call must have a descriptor of the file it takes it
 * through, so that its exit closes one and breaks the call. It may have closed
 * the last one since its system call began. Under ep->lock, with the call in the
 * deliveries: is it known to have one? A close from now on finds the call.
 */
static inline bool kipc_file_known_open(const struct kipc_file *file)
{
	return file->open_files == current->files && file->open_closes == file->closes;
}

/* If it was not known, after the lock: look, and break what it took if it has none (false) */
bool kipc_file_check_open(struct kipc_file *file);

long kipc_file_shutdown(struct kipc_file *file);

extern const struct file_operations kipc_handle_fops;
extern const struct file_operations kipc_device_fops;

int kipc_file_init(void);
void kipc_file_exit(void);

#endif /* _KIPC_FILE_H */
