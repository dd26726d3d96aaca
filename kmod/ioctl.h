/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * DOC: the ioctls
 *
 * One entry for both kinds of file. It reads the caller's struct once, checks its
 * size, finds the endpoint and asks for the right; what the operation does is
 * elsewhere.
 */
#ifndef _KIPC_IOCTL_H
#define _KIPC_IOCTL_H

struct file;

long kipc_ioctl(struct file *filp, unsigned int cmd, unsigned long arg);

#endif /* _KIPC_IOCTL_H */
