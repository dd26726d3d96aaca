/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * DOC: read() and write()
 *
 * For programs that know nothing of kipc but a descriptor. write() sends one message, of
 * type 0 and priority 0, as SEND does. read() takes one, as RECV with ANYSIZE does, where
 * there are no calls: a call that nobody knows to answer would be lost. A message is never
 * split or joined; its files are dropped, as there is nowhere to put them. An endpoint
 * that has ended, and a handle that was shut down, reads as 0.
 *
 * Handles with MQUEUE are different: read() tells of the queue, as with a file of mqueue(7).
 *
 * Both act for who opened the handle, as with any file, not for who calls: a program with
 * more rights than who started it does not know whom its output goes to, and must not be
 * made to speak there in its own name. So the message shows the opener's ids, and it, or
 * the wait, counts as the opener's. But the copies from and to memory are the caller's.
 */
#ifndef _KIPC_RW_H
#define _KIPC_RW_H

#include <linux/types.h>

struct iov_iter;
struct kipc_file;

/* What lseek(2) takes for the size of a file of mqueue(7) */
#define KIPC_STATE_SIZE	80

/* Bytes, or the error: then @to and @from are where they were */
ssize_t kipc_read(struct kipc_file *file, struct iov_iter *to, bool nowait);
ssize_t kipc_read_state(struct kipc_file *file, loff_t *pos, struct iov_iter *to);
ssize_t kipc_write(struct kipc_file *file, struct iov_iter *from, bool nowait);

#endif /* _KIPC_RW_H */
