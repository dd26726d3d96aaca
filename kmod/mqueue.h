/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * DOC: files of mqueue(7)
 *
 * A handle opened with MQUEUE is to those who have its descriptor a regular file, as
 * mqueue(7) has them: fstat(2), fchmod(2), fchown(2), its link in /proc and opening it again
 * through that are those of a file with the queue's name. Each has an inode of its own, which
 * holds the endpoint. What it tells, owner, mode and times, is the endpoint's, and so is what
 * decides who may do what. Its number is the endpoint's.
 *
 * The inodes are in a file system without names, mounted where nobody sees it. Each such
 * handle pins the mount until its release, and an endpoint that one has made until its end, so
 * that its files stay on one device; what else refers to an inode (a descriptor with
 * O_PATH, a file that is being closed) holds the mount as any path does. With the last of them
 * the super block goes, and with that its reference to the module.
 */
#ifndef _KIPC_MQUEUE_H
#define _KIPC_MQUEUE_H

struct file;
struct kipc_ep;
struct kipc_file;

/*
 * A struct file for @file with O_* @flags, on no endpoint yet; its link says @name once the queue
 * has none any more. Pins; or ERR_PTR()
 */
struct file *kipc_mqueue_file(struct kipc_file *file, const char *name, unsigned int flags);
/* Now it is on @ep; nobody else knows it yet */
void kipc_mqueue_attach(struct file *filp, struct kipc_ep *ep);
int kipc_mqueue_pin(void);
/* For who knows that somebody does: cannot fail */
void kipc_mqueue_pin_again(void);
void kipc_mqueue_unpin(void);

#endif /* _KIPC_MQUEUE_H */
