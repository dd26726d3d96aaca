/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * DOC: /proc/net/kipc
 *
 * One line for each endpoint of the namespace that the reader may see, in the
 * order of their ids. Columns: see kipc(4).
 */
#ifndef _KIPC_PROC_H
#define _KIPC_PROC_H

struct net;

int kipc_proc_init(struct net *net);
void kipc_proc_exit(struct net *net);

#endif /* _KIPC_PROC_H */
