/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the sources of libkipc-posixmq.so share.
 *
 * A queue of mq_overview(7) is an endpoint of its name, the slash included, that is
 * PERSIST, KEEP_BY_ANY, ONEWAY, FIRST_COME and MQUEUE: it lives as long as it has its name or
 * somebody has it open. An mqd_t is a handle, with the right to receive, to send or both, so that
 * poll(2), fork(2), exec(3) and close(2) do with it what they do with the kernel's own.
 * A descriptor on which there is no operation of kipc (ENOTTY) is none of ours: the C library
 * judges it. So a queue of the kernel's that came from elsewhere works too.
 *
 * mq_close() is not here: that of the C library is close(2).
 */
#ifndef KIPC_POSIXMQ_H
#define KIPC_POSIXMQ_H

#include "dropin.h"

#include <mqueue.h>

/*
 * The functions have names of their own here, and are exported by these: what is a name in C may be
 * redirected by <mqueue.h>, to what another size of time_t or _FORTIFY_SOURCE needs.
 */

/* The function of the C library behind the exported one of this name, of our one's type */
#define POSIXMQ_NEXT(type, name) ((type *)(uintptr_t)dropin_next(name, NULL))

/* Flags that an endpoint is made with and those it then has: what tells a queue of ours */
#define POSIXMQ_OPEN_FLAGS (KIPC_OPEN_PERSIST | KIPC_OPEN_KEEP_BY_ANY | KIPC_OPEN_ONEWAY | \
			    KIPC_OPEN_FIRST_COME)
#define POSIXMQ_FLAGS (KIPC_ENDPOINT_PERSIST | KIPC_ENDPOINT_KEEP_BY_ANY | \
		       KIPC_ENDPOINT_ONEWAY | KIPC_ENDPOINT_FIRST_COME | KIPC_ENDPOINT_MQUEUE)

/* Of each handle: what read(2) and poll(2) do with an mqd_t */
#define POSIXMQ_HANDLE_FLAGS KIPC_OPEN_MQUEUE

/**
 * posixmq_make() - what a new queue will be
 * @op: its mode and attr are set
 * @mode: as mq_open(3) got it
 * @wanted: attributes, or NULL: those of /proc/sys/fs/mqueue
 *
 * Judges as the kernel's own queues do, by the same limits: those of /proc/sys/fs/mqueue, from
 * which CAP_SYS_RESOURCE exempts, and RLIMIT_MSGQUEUE. What somebody else makes at
 * the same moment may escape it.
 *
 * Return: 0 or a negative errno: EINVAL, ENOSPC, EMFILE.
 */
int posixmq_make(struct kipc_op_open *op, mode_t mode, const struct mq_attr *wanted);

/* Of an operation on a descriptor: its result, with the errors that the kernel's own queues give */
int posixmq_error(int ret);

#endif /* KIPC_POSIXMQ_H */
