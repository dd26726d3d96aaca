/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * DOC: namespaces
 *
 * All endpoints that one network namespace can see. Made with the network
 * namespace, or for existing ones when the module is loaded; its endpoints end
 * with it. The memory stays until the last device file and endpoint let go, so
 * an open device file does not keep a network namespace alive.
 *
 * @mutex serialises all changes to the tables. Look-ups use RCU. A binding
 * (an endpoint's key or name) is immutable: changing one means replacing it.
 *
 * An id is (index << 11) | generation: the index cycles through 1 to
 * endpoints_max, the generation advances each time it wraps.
 */
#ifndef _KIPC_NS_H
#define _KIPC_NS_H

#include <linux/mutex.h>
#include <linux/percpu.h>
#include <linux/rbtree.h>
#include <linux/refcount.h>
#include <linux/rhashtable.h>
#include <linux/xarray.h>
#include <linux/kipc.h>

#include "deadline.h"

struct kipc_ep;
struct net;
struct user_namespace;

#define KIPC_OPENER_BITS	6

/**
 * struct kipc_address - a key or a name, as something to look up
 * @len: bytes of @bytes that count; 0: none
 * @is_key: @bytes are a __u64
 * @bytes: the name or key; zero behind @len
 */
struct kipc_address {
	u16 len;
	u16 is_key;
	u8 bytes[KIPC_NAME_MAX + 1];
};

/**
 * struct kipc_binding - an address in a namespace's table
 * @node: link
 * @ep: whose it is; not counted: a binding goes before its endpoint
 * @rcu: for its end
 * @address: constant
 */
struct kipc_binding {
	struct rhash_head node;
	struct kipc_ep *ep;
	struct rcu_head rcu;
	struct kipc_address address;
};

/**
 * struct kipc_queued - what one CPU has done to the queues of SYSV endpoints
 * @msgs: messages that it has charged, less those that it has released
 * @bytes: their bytes, likewise
 *
 * Only the sums over all CPUs mean something.
 */
struct kipc_queued {
	s64 msgs;
	s64 bytes;
};

/**
 * struct kipc_ns - a namespace
 * @ref: holders
 * @mutex: serialises changes
 * @user_ns: owner of the network namespace
 * @dead: the network namespace ended (@mutex)
 * @count: endpoints (@mutex)
 * @next: where the next index is looked for (@mutex)
 * @last: index given out last (@mutex)
 * @generation: current generation (@mutex)
 * @ids: endpoints by index; written under @mutex
 * @bindings: endpoints by key and name; written under @mutex
 * @openers: tasks waiting for an address to appear, by hash (@mutex)
 * @sysv: its SYSV endpoints that can be found, by id (@mutex)
 * @nr_sysv: how many of those (@mutex)
 * @queued: what is in the queues of SYSV endpoints, by CPU; no lock: this_cpu_add()
 */
struct kipc_ns {
	refcount_t ref;
	struct mutex mutex;		/* protects changes; outside ep->lock */
	struct user_namespace *user_ns;
	bool dead;
	u32 count;
	u32 next;
	u32 last;
	u32 generation;
	struct xarray ids;
	struct rhashtable bindings;
	struct hlist_head openers[1 << KIPC_OPENER_BITS];
	struct rb_root sysv;
	u32 nr_sysv;
	struct kipc_queued __percpu *queued;
};

/* The caller's namespace, with a reference */
struct kipc_ns *kipc_ns_current(void);
struct kipc_ns *kipc_ns_of_net(const struct net *net);
struct kipc_ns *kipc_ns_get(struct kipc_ns *ns);
void kipc_ns_put(struct kipc_ns *ns);

void kipc_address_key(struct kipc_address *address, u64 key);
int kipc_address_name(struct kipc_address *address, u64 name, u32 len);
/* A key with bit 63 or a name beginning with "sys." */
bool kipc_address_reserved(const struct kipc_address *address);

/* The endpoint with a reference, dead ones included, or NULL */
struct kipc_ep *kipc_ns_find_id(struct kipc_ns *ns, u32 id);
struct kipc_ep *kipc_ns_find(struct kipc_ns *ns, const struct kipc_address *address);
/* The first endpoint with an index of at least @index, with a reference, or NULL */
struct kipc_ep *kipc_ns_first(struct kipc_ns *ns, u32 index);

/* Fill in all that KIPC_IOC_SUM tells: 0, -EINTR */
int kipc_ns_sum(struct kipc_ns *ns, struct kipc_op_sum *op);

static inline u32 kipc_id_index(u32 id)
{
	return id >> 11;
}

/* So much more (or less) is queued in a SYSV endpoint of @ns now */
static inline void kipc_ns_count(struct kipc_ns *ns, int msgs, s64 bytes)
{
	this_cpu_add(ns->queued->msgs, msgs);
	this_cpu_add(ns->queued->bytes, bytes);
}

/*
 * Prepare, then publish. kipc_ns_reserve() gives @ep an id that nothing finds
 * yet (-ENOSPC, -ENOMEM, -EIDRM); kipc_ns_bind() makes a binding and publishes it
 * (-EEXIST, -ENOMEM); kipc_ns_publish() makes the id found and cannot fail.
 * kipc_ns_withdraw() undoes all of it, whatever was done, and may be repeated.
 * All under @mutex.
 */
int kipc_ns_reserve(struct kipc_ns *ns, struct kipc_ep *ep);
int kipc_ns_bind(struct kipc_ns *ns, struct kipc_ep *ep, const struct kipc_address *address,
		 struct kipc_binding **binding);
void kipc_ns_unbind(struct kipc_ns *ns, struct kipc_binding *binding);
void kipc_ns_publish(struct kipc_ns *ns, struct kipc_ep *ep);
void kipc_ns_withdraw(struct kipc_ns *ns, struct kipc_ep *ep);
/* Tell those who wait for @address that it may be there now */
void kipc_ns_announce(struct kipc_ns *ns, const struct kipc_address *address);

/*
 * Called and returning with @mutex held: let go of it until something may have
 * appeared at @address. -EAGAIN, -ETIMEDOUT, -EINTR, -ERESTARTSYS, -EIDRM.
 */
int kipc_ns_wait(struct kipc_ns *ns, const struct kipc_address *address,
		 struct kipc_deadline *deadline);

int kipc_ns_init(void);
void kipc_ns_exit(void);

#endif /* _KIPC_NS_H */
