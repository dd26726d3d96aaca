// SPDX-License-Identifier: GPL-2.0-only
/* See proc.h. */
#include <linux/cred.h>
#include <linux/proc_fs.h>
#include <linux/seq_file.h>
#include <linux/seq_file_net.h>
#include <linux/slab.h>
#include <linux/string_helpers.h>
#include <net/net_namespace.h>

#include "endpoint.h"
#include "ns.h"
#include "proc.h"

/* The first endpoint from index *@pos on that the reader may see */
/* It shows what its opener may see, whoever reads it */
static void *kipc_seq_find(struct seq_file *seq, loff_t *pos)
{
	const struct cred *reader = override_creds(seq->file->f_cred);
	struct kipc_ns *ns = kipc_ns_of_net(seq_file_net(seq));
	struct kipc_ep *ep = NULL;

	while (*pos <= U32_MAX && (ep = kipc_ns_first(ns, *pos))) {
		*pos = kipc_id_index(ep->id);
		if (kipc_ep_visible(ep))
			break;
		kipc_ep_put(ep);
		ep = NULL;
		++*pos;
		cond_resched();
	}
	revert_creds(reader);
	return ep;
}

static void *kipc_seq_start(struct seq_file *seq, loff_t *pos)
{
	return *pos ? kipc_seq_find(seq, pos) : SEQ_START_TOKEN;
}

static void *kipc_seq_next(struct seq_file *seq, void *v, loff_t *pos)
{
	if (v != SEQ_START_TOKEN)
		kipc_ep_put(v);
	++*pos;
	return kipc_seq_find(seq, pos);
}

static void kipc_seq_stop(struct seq_file *seq, void *v)
{
	if (v && v != SEQ_START_TOKEN)
		kipc_ep_put(v);
}

static int kipc_seq_show(struct seq_file *seq, void *v)
{
	const struct cred *reader;
	struct kipc_endpoint *info;

	if (v == SEQ_START_TOKEN) {
		seq_puts(seq, "id key mode uid gid cuid cgid flags receivers handles waiters ");
		seq_puts(seq, "msgs bytes calls max_size max_msgs max_bytes refused name\n");
		return 0;
	}
	info = kmalloc(sizeof(*info), GFP_KERNEL);
	if (!info)
		return -ENOMEM;
	reader = override_creds(seq->file->f_cred);
	kipc_ep_stat(v, info);
	revert_creds(reader);
	seq_printf(seq, "%u %#llx %#o %u %u %u %u %#x %u %u %u %llu %llu %llu %u %u %llu %llu ",
		   info->id, info->key, info->mode, info->uid, info->gid, info->cuid,
		   info->cgid, info->flags, info->receivers, info->handles, info->waiters,
		   info->msgs, info->bytes, info->calls, info->attr.max_size,
		   info->attr.max_msgs, info->attr.max_bytes, info->refused);
	/* A name is any bytes: nothing in it shall look like another line or column */
	seq_escape_mem(seq, info->name, strlen(info->name),
		       ESCAPE_OCTAL | ESCAPE_NAP | ESCAPE_APPEND, " \\");
	seq_putc(seq, '\n');
	kfree(info);
	return 0;
}

static const struct seq_operations kipc_seq_ops = {
	.start = kipc_seq_start,
	.next = kipc_seq_next,
	.stop = kipc_seq_stop,
	.show = kipc_seq_show,
};

int kipc_proc_init(struct net *net)
{
	if (!proc_create_net("kipc", 0444, net->proc_net, &kipc_seq_ops,
			     sizeof(struct seq_net_private)))
		return -ENOMEM;
	return 0;
}

void kipc_proc_exit(struct net *net)
{
	remove_proc_entry("kipc", net->proc_net);
}
