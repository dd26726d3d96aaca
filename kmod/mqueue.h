/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * DOC: files of mqueue(7)
 *
 * A handle opened with MQUEUE is to those who have its descriptor a regular file, as
 * mqueue(7) has them: fstat(2), fchmod(2), fchown(2), futimens(2), locks and leases, its link in
 * /proc and opening it again through that are those of a file with the queue's name. An endpoint
 * on which there was such a handle has an inode, which it holds until it is buried, and which
 * holds it. Owner, rights and times are the endpoint's, and so is what decides who may do what.
 * Whatever opens the inode is such a handle; its dentry, one for each that KIPC_IOC_OPEN has
 * made, has the name that the queue had then. Others may open that dentry even before who made
 * it does: a listener of fanotify(7) is given a handle of its own by that.
 *
 * The inodes are in a file system without names, mounted where nobody sees it. Each endpoint with
 * an inode pins the mount, so that all its files are on one device, and so does KIPC_IOC_OPEN
 * while it lasts; what else refers to an inode (a file, a descriptor with O_PATH) holds the mount
 * as any path does. With the last of them the super block goes, and with that its reference to
 * the module.
 */
#ifndef _KIPC_MQUEUE_H
#define _KIPC_MQUEUE_H

struct file;
struct kipc_ep;
struct kipc_file;

int kipc_mqueue_pin(void);
void kipc_mqueue_unpin(void);
/*
 * By who has a pin, under ns->mutex, for an endpoint in its tables or not yet: let @ep have an
 * inode, which @file is to open. -ENOMEM
 */
int kipc_mqueue_begin(struct kipc_ep *ep, struct kipc_file *file);
/* It has ended, or has never lived: it has none any more */
void kipc_mqueue_end(struct kipc_ep *ep);
/* Under ep->lock: owner or mode, or what else is told as st_ctime, have changed at ep->changed */
void kipc_mqueue_changed(struct kipc_ep *ep);
/*
 * By who has had a pin since kipc_mqueue_begin(): a struct file with O_* @flags for @file, a
 * handle on its endpoint; its link says @name once the queue has none any more. Or ERR_PTR(), see
 * kipc_handle_new()
 */
struct file *kipc_mqueue_file(struct kipc_file *file, const char *name, unsigned int flags);
/* Whose struct file @filp, which is being opened, is to be; NULL: nobody's who is there yet */
struct kipc_file *kipc_mqueue_opens(const struct file *filp);

#endif /* _KIPC_MQUEUE_H */
