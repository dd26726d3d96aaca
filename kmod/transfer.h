/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * DOC: SEND and RECV
 *
 * The two halves of moving a message, as system calls. A receive is prepared
 * (everything read from the caller and checked) before REPLY_RECV makes its
 * reply, and then run.
 */
#ifndef _KIPC_TRANSFER_H
#define _KIPC_TRANSFER_H

#include <linux/kipc.h>

#include "deadline.h"
#include "message.h"
#include "queue.h"

struct kipc_ep;
struct kipc_file;

/**
 * struct kipc_recv - a receive under way
 * @op: what the caller asked for
 * @segs: room for the payload
 * @deadline: until when it may wait
 * @receiver: how it selects
 * @result: to be told; its reply half may be filled already
 * @told: it has been, so that an error has to take it back
 */
struct kipc_recv {
	const struct kipc_op_recv *op;
	struct kipc_segs segs;
	struct kipc_deadline deadline;
	struct kipc_receiver receiver;
	struct kipc_result result;
	bool told;
};

int kipc_recv_prepare(struct kipc_recv *recv, struct kipc_file *file,
		      const struct kipc_op_recv *op);
/* Bytes stored, or the error */
long kipc_recv_run(struct kipc_recv *recv, struct kipc_file *file, struct kipc_ep *ep);
/* Tell what is known of a receive that has failed with @err, which is returned */
long kipc_recv_failed(struct kipc_recv *recv, long err);
void kipc_recv_end(struct kipc_recv *recv);

long kipc_send(struct kipc_file *file, struct kipc_ep *ep, const struct kipc_op_send *op);

#endif /* _KIPC_TRANSFER_H */
