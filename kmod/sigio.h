/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * DOC: signals to who set O_ASYNC
 *
 * While a file has O_ASYNC it stands among those who poll it, in the same wait queues and
 * for the same events: what would be an edge for epoll is a signal. So nobody else has to
 * know of it, and without it nothing is spent on it.
 *
 * The signal goes out under the lock of a wait queue, which is inside the file's sigio_mutex
 * and outside the kernel's locks for signals. That mutex is the file's own: memory is
 * allocated under it, which can take long for who has none left, and who closes another
 * file must not wait for that.
 */
#ifndef _KIPC_SIGIO_H
#define _KIPC_SIGIO_H

struct kipc_file;

/* O_ASYNC is set, through descriptor @fd, or cleared: as file_operations.fasync */
int kipc_sigio_on(struct kipc_file *file, int fd);
int kipc_sigio_off(struct kipc_file *file);

#endif /* _KIPC_SIGIO_H */
