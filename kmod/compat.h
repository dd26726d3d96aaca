/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * DOC: the only place that knows kernel versions
 *
 * The rest of the module is written for the newest kernel supported; what an
 * older one, down to 6.1, has not got or calls otherwise is made up for here
 * and nowhere else.
 */
#ifndef _KIPC_COMPAT_H
#define _KIPC_COMPAT_H

#include <linux/atomic.h>
#include <linux/eventfd.h>
#include <linux/fs.h>
#include <linux/hrtimer.h>
#include <linux/magic.h>
#include <linux/version.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 1, 0)
#error "kipc needs Linux 6.1 or newer"
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 13, 0)
static inline void hrtimer_setup(struct hrtimer *timer,
				 enum hrtimer_restart (*function)(struct hrtimer *),
				 clockid_t clock, enum hrtimer_mode mode)
{
	hrtimer_init(timer, clock, mode);
	timer->function = function;
}

static inline void hrtimer_setup_sleeper_on_stack(struct hrtimer_sleeper *sleeper,
						  clockid_t clock, enum hrtimer_mode mode)
{
	hrtimer_init_sleeper_on_stack(sleeper, clock, mode);
}
#endif

/* From 6.8 on it counts one */
static inline void kipc_eventfd_signal(struct eventfd_ctx *ctx)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 8, 0)
	eventfd_signal(ctx, 1);
#else
	eventfd_signal(ctx);
#endif
}

/* From 6.3 on what maps ids of a mount is no user namespace */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 3, 0)
#define mnt_idmap user_namespace
#endif

/* From 6.9 on the descriptors of processes have a file system of their own */
#ifndef PID_FS_MAGIC
#define PID_FS_MAGIC 0x50494446
#endif

/* For mqueue(7): on newer kernels a file that loses its name has changed (7.2; not yet 6.12) */
#define KIPC_UNLINK_CHANGES (LINUX_VERSION_CODE >= KERNEL_VERSION(6, 19, 0))

/* From 6.16 on these look like regular files, and are marked */
#ifndef IS_ANON_FILE
static inline bool kipc_is_anon(const struct inode *inode)
{
	unsigned long magic = inode->i_sb->s_magic;

	return magic == ANON_INODE_FS_MAGIC || magic == SECRETMEM_MAGIC;
}

#define IS_ANON_FILE(inode) kipc_is_anon(inode)
#endif

/* Drop a reference to @filp that is not the last; false: it is, and we still have it */
static inline bool kipc_file_put_others(struct file *filp)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 13, 0)
	return atomic_long_fetch_add_unless(&filp->f_count, -1, 1) != 1;
#else
	/* From there on it counts the others only */
	return atomic_long_fetch_add_unless(&filp->f_ref.refcnt, -1, FILE_REF_ONEREF) !=
	       FILE_REF_ONEREF;
#endif
}

#ifndef __uninitialized
#define __uninitialized
#endif

#endif /* _KIPC_COMPAT_H */
