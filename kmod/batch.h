/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * DOC: several messages at a time
 *
 * SEND_BATCH and RECV_BATCH go in rounds of up to KIPC_BATCH messages, each round
 * with one hold of the lock for what is otherwise one for each message. What a
 * round has done stays done: an error in a later one only ends the batch, and is
 * told if nothing was done at all.
 *
 * A round of RECV_BATCH claims messages, copies all of them, and commits as many
 * as could be copied; the rest goes back into its place. A message whose sender left
 * meanwhile ends the commits of its round, since the payloads behind it have
 * their places in the caller's buffer already; those go back too.
 */
#ifndef _KIPC_BATCH_H
#define _KIPC_BATCH_H

#include <linux/kipc.h>

struct kipc_ep;
struct kipc_file;

/* Messages sent, or received; or the error, if there are none */
long kipc_send_batch(struct kipc_file *file, struct kipc_ep *ep,
		     const struct kipc_op_send_batch *op);
long kipc_recv_batch(struct kipc_file *file, struct kipc_ep *ep,
		     const struct kipc_op_recv_batch *op);

#endif /* _KIPC_BATCH_H */
