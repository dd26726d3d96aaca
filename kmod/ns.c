// SPDX-License-Identifier: GPL-2.0-only
/* See ns.h. */
#include <linux/jhash.h>
#include <linux/nsproxy.h>
#include <linux/random.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/user_namespace.h>
#include <net/net_namespace.h>
#include <net/netns/generic.h>

#include "endpoint.h"
#include "limits.h"
#include "ns.h"
#include "proc.h"

#define KIPC_GENERATIONS	2048U
#define KIPC_INDEX_MAX		1048575U	/* 20 bits of an id */

static unsigned int kipc_net_id;

/* What a network namespace keeps of us */
struct kipc_net {
	struct kipc_ns *ns;
};

/**
 * struct kipc_opener - a task that waits for an address to appear
 * @node: in ns->openers; unhashed once announced (ns->mutex)
 * @address: what it waits for
 * @task: who
 */
struct kipc_opener {
	struct hlist_node node;
	const struct kipc_address *address;
	struct task_struct *task;
};

/* Addresses */

static u32 kipc_address_hash(const void *data, u32 len, u32 seed)
{
	const struct kipc_address *address = data;

	return jhash(address->bytes, address->len, seed ^ address->is_key);
}

static u32 kipc_binding_hash(const void *data, u32 len, u32 seed)
{
	const struct kipc_binding *binding = data;

	return kipc_address_hash(&binding->address, 0, seed);
}

static bool kipc_address_equal(const struct kipc_address *a, const struct kipc_address *b)
{
	return a->len == b->len && a->is_key == b->is_key && !memcmp(a->bytes, b->bytes, a->len);
}

static int kipc_binding_cmp(struct rhashtable_compare_arg *arg, const void *obj)
{
	const struct kipc_binding *binding = obj;

	return !kipc_address_equal(&binding->address, arg->key);
}

static const struct rhashtable_params kipc_binding_params = {
	.head_offset = offsetof(struct kipc_binding, node),
	.key_offset = offsetof(struct kipc_binding, address),
	.key_len = sizeof(struct kipc_address),
	.hashfn = kipc_address_hash,
	.obj_hashfn = kipc_binding_hash,
	.obj_cmpfn = kipc_binding_cmp,
	.automatic_shrinking = true,
};

void kipc_address_key(struct kipc_address *address, u64 key)
{
	memset(address, 0, sizeof(*address));
	address->is_key = 1;
	address->len = sizeof(key);
	memcpy(address->bytes, &key, sizeof(key));
}

int kipc_address_name(struct kipc_address *address, u64 name, u32 len)
{
	if (len > KIPC_NAME_MAX)
		return -ENAMETOOLONG;
	memset(address, 0, sizeof(*address));
	address->len = len;
	if (copy_from_user(address->bytes, u64_to_user_ptr(name), len))
		return -EFAULT;
	return memchr(address->bytes, 0, len) ? -EINVAL : 0;
}

bool kipc_address_reserved(const struct kipc_address *address)
{
	u64 key;

	if (!address->is_key)
		return !memcmp(address->bytes, "sys.", 4);
	memcpy(&key, address->bytes, sizeof(key));
	return key & KIPC_KEY_RESERVED;
}

/* Namespaces */

static struct kipc_ns *kipc_ns_new(struct user_namespace *user_ns)
{
	struct kipc_ns *ns = kzalloc(sizeof(*ns), GFP_KERNEL_ACCOUNT);

	if (!ns)
		return NULL;
	ns->queued = alloc_percpu_gfp(struct kipc_queued, GFP_KERNEL_ACCOUNT);
	if (!ns->queued)
		goto fail;
	if (rhashtable_init(&ns->bindings, &kipc_binding_params))
		goto fail;
	refcount_set(&ns->ref, 1);
	mutex_init(&ns->mutex);
	xa_init_flags(&ns->ids, XA_FLAGS_ALLOC1 | XA_FLAGS_ACCOUNT);
	ns->user_ns = get_user_ns(user_ns);
	ns->next = 1;
	ns->sysv = RB_ROOT;
	return ns;

fail:
	free_percpu(ns->queued);
	kfree(ns);
	return NULL;
}

struct kipc_ns *kipc_ns_get(struct kipc_ns *ns)
{
	refcount_inc(&ns->ref);
	return ns;
}

void kipc_ns_put(struct kipc_ns *ns)
{
	if (!refcount_dec_and_test(&ns->ref))
		return;
	WARN_ON_ONCE(ns->count || ns->nr_sysv || !xa_empty(&ns->ids));
	rhashtable_destroy(&ns->bindings);
	xa_destroy(&ns->ids);
	free_percpu(ns->queued);
	put_user_ns(ns->user_ns);
	kfree(ns);
}

struct kipc_ns *kipc_ns_of_net(const struct net *net)
{
	struct kipc_net *kn = net_generic(net, kipc_net_id);

	return kn->ns;
}

struct kipc_ns *kipc_ns_current(void)
{
	return kipc_ns_get(kipc_ns_of_net(current->nsproxy->net_ns));
}

/* Looking up */

static struct kipc_ep *kipc_ep_tryget(struct kipc_ep *ep)
{
	return ep && refcount_inc_not_zero(&ep->ref) ? ep : NULL;
}

struct kipc_ep *kipc_ns_find_id(struct kipc_ns *ns, u32 id)
{
	struct kipc_ep *ep;

	rcu_read_lock();
	ep = xa_load(&ns->ids, kipc_id_index(id));
	ep = ep && ep->id == id ? kipc_ep_tryget(ep) : NULL;
	rcu_read_unlock();
	return ep;
}

struct kipc_ep *kipc_ns_find(struct kipc_ns *ns, const struct kipc_address *address)
{
	struct kipc_binding *binding;
	struct kipc_ep *ep = NULL;

	rcu_read_lock();
	binding = rhashtable_lookup(&ns->bindings, address, kipc_binding_params);
	if (binding)
		ep = kipc_ep_tryget(binding->ep);
	rcu_read_unlock();
	return ep;
}

struct kipc_ep *kipc_ns_first(struct kipc_ns *ns, u32 index)
{
	unsigned long at = index;
	struct kipc_ep *ep;

	rcu_read_lock();
	for (;;) {
		ep = xa_find(&ns->ids, &at, KIPC_INDEX_MAX, XA_PRESENT);
		if (!ep || kipc_ep_tryget(ep))
			break;
		at++;
	}
	rcu_read_unlock();
	return ep;
}

/* Adding up */

int kipc_ns_sum(struct kipc_ns *ns, struct kipc_op_sum *op)
{
	struct rb_node *last;
	s64 msgs = 0, bytes = 0;
	int cpu;

	if (mutex_lock_killable(&ns->mutex))
		return -EINTR;
	last = rb_last(&ns->sysv);
	op->last = last ? rb_entry(last, struct kipc_ep, by_id)->id : 0;
	op->endpoints = ns->nr_sysv;
	mutex_unlock(&ns->mutex);

	for_each_possible_cpu(cpu) {
		const struct kipc_queued *queued = per_cpu_ptr(ns->queued, cpu);

		/* Messages may come and go meanwhile, so that the sums are of no one moment */
		msgs += data_race(READ_ONCE(queued->msgs));
		/* likewise */
		bytes += data_race(READ_ONCE(queued->bytes));
	}
	op->msgs = (u64)max_t(s64, msgs, 0);
	op->bytes = (u64)max_t(s64, bytes, 0);
	return 0;
}

/* Coming and going */

static bool kipc_ns_before(struct rb_node *a, const struct rb_node *b)
{
	return rb_entry(a, struct kipc_ep, by_id)->id < rb_entry(b, struct kipc_ep, by_id)->id;
}

int kipc_ns_reserve(struct kipc_ns *ns, struct kipc_ep *ep)
{
	u32 max = READ_ONCE(kipc_endpoints_max), index;
	int err;

	lockdep_assert_held(&ns->mutex);
	if (ns->dead)
		return -EIDRM;
	if (ns->count >= max)
		return -ENOSPC;
	/*
	 * Half of the indexes are free even when the namespace is full, so that an id is
	 * not found again soon. A lowered limit leaves endpoints above it.
	 */
	max = min(max(max, 2 * ns->count + 1), KIPC_INDEX_MAX);
	if (ns->next > max)
		ns->next = 1;
	err = xa_alloc_cyclic(&ns->ids, &index, NULL, XA_LIMIT(1, max), &ns->next,
			      GFP_KERNEL_ACCOUNT);
	if (err < 0)
		return err == -EBUSY ? -ENOSPC : err;
	if (index <= ns->last)
		ns->generation++;
	ns->last = index;
	ep->id = index << 11 | (ns->generation & (KIPC_GENERATIONS - 1));
	ns->count++;
	return 0;
}

void kipc_ns_publish(struct kipc_ns *ns, struct kipc_ep *ep)
{
	lockdep_assert_held(&ns->mutex);
	/* The slot is reserved: this allocates nothing */
	xa_store(&ns->ids, kipc_id_index(ep->id), ep, GFP_KERNEL_ACCOUNT);
	if (!(ep->flags & KIPC_ENDPOINT_SYSV))
		return;
	rb_add(&ep->by_id, &ns->sysv, kipc_ns_before);
	ns->nr_sysv++;
}

int kipc_ns_bind(struct kipc_ns *ns, struct kipc_ep *ep, const struct kipc_address *address,
		 struct kipc_binding **result)
{
	struct kipc_binding *binding;
	int err;

	lockdep_assert_held(&ns->mutex);
	binding = kzalloc(sizeof(*binding), GFP_KERNEL_ACCOUNT);
	if (!binding)
		return -ENOMEM;
	binding->ep = ep;
	binding->address = *address;
	err = rhashtable_lookup_insert_key(&ns->bindings, address, &binding->node,
					   kipc_binding_params);
	if (err) {
		kfree(binding);
		/* The table cannot grow right now */
		return err == -EBUSY || err == -E2BIG ? -ENOMEM : err;
	}
	*result = binding;
	return 0;
}

void kipc_ns_unbind(struct kipc_ns *ns, struct kipc_binding *binding)
{
	lockdep_assert_held(&ns->mutex);
	if (!binding)
		return;
	rhashtable_remove_fast(&ns->bindings, &binding->node, kipc_binding_params);
	kfree_rcu(binding, rcu);
}

void kipc_ns_withdraw(struct kipc_ns *ns, struct kipc_ep *ep)
{
	lockdep_assert_held(&ns->mutex);
	if (!ep->id || ep->withdrawn)
		return;
	ep->withdrawn = true;
	kipc_ns_unbind(ns, rcu_replace_pointer(ep->key, NULL, lockdep_is_held(&ns->mutex)));
	kipc_ns_unbind(ns, rcu_replace_pointer(ep->name, NULL, lockdep_is_held(&ns->mutex)));
	xa_erase(&ns->ids, kipc_id_index(ep->id));
	ns->count--;
	if (RB_EMPTY_NODE(&ep->by_id))
		return;
	rb_erase(&ep->by_id, &ns->sysv);
	RB_CLEAR_NODE(&ep->by_id);
	ns->nr_sysv--;
}

/* Waiting for somebody to come */

static struct hlist_head *kipc_openers_of(struct kipc_ns *ns, const struct kipc_address *address)
{
	u32 hash = kipc_address_hash(address, 0, (u32)(unsigned long)ns);

	return &ns->openers[hash >> (32 - KIPC_OPENER_BITS)];
}

void kipc_ns_announce(struct kipc_ns *ns, const struct kipc_address *address)
{
	struct kipc_opener *opener;
	struct hlist_node *next;

	lockdep_assert_held(&ns->mutex);
	hlist_for_each_entry_safe(opener, next, kipc_openers_of(ns, address), node) {
		if (!kipc_address_equal(opener->address, address))
			continue;
		hlist_del_init(&opener->node);
		/* It cannot go before it gets the mutex */
		wake_up_process(opener->task);
	}
}

/* The namespace ends: nothing will appear any more */
static void kipc_ns_announce_end(struct kipc_ns *ns)
{
	struct kipc_opener *opener;
	struct hlist_node *next;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(ns->openers); i++) {
		hlist_for_each_entry_safe(opener, next, &ns->openers[i], node) {
			hlist_del_init(&opener->node);
			wake_up_process(opener->task);
		}
	}
}

int kipc_ns_wait(struct kipc_ns *ns, const struct kipc_address *address,
		 struct kipc_deadline *deadline)
{
	struct kipc_opener opener = { .address = address, .task = current };
	int err = 0;

	lockdep_assert_held(&ns->mutex);
	if (deadline->never_sleep)
		return -EAGAIN;
	hlist_add_head(&opener.node, kipc_openers_of(ns, address));
	mutex_unlock(&ns->mutex);
	for (;;) {
		set_current_state(TASK_INTERRUPTIBLE);
		if (hlist_unhashed_lockless(&opener.node))
			break;
		err = kipc_deadline_sleep(deadline);
		if (err)
			break;
	}
	__set_current_state(TASK_RUNNING);
	mutex_lock(&ns->mutex);
	/* Announced after all: that it may be there counts more than why we woke */
	if (hlist_unhashed(&opener.node))
		return 0;
	hlist_del(&opener.node);
	return err == -EINTR ? kipc_deadline_interrupted(deadline) : err;
}

/* Network namespaces */

static int __net_init kipc_net_init(struct net *net)
{
	struct kipc_net *kn = net_generic(net, kipc_net_id);
	int err;

	kn->ns = kipc_ns_new(net->user_ns);
	if (!kn->ns)
		return -ENOMEM;
	err = kipc_proc_init(net);
	if (err)
		kipc_ns_put(kn->ns);
	return err;
}

static void __net_exit kipc_net_exit(struct net *net)
{
	struct kipc_ns *ns = kipc_ns_of_net(net);
	struct kipc_ep *ep;
	u32 index = 0;

	kipc_proc_exit(net);
	mutex_lock(&ns->mutex);
	ns->dead = true;
	mutex_unlock(&ns->mutex);
	while ((ep = kipc_ns_first(ns, index))) {
		index = kipc_id_index(ep->id) + 1;
		kipc_ep_remove(ep, false);
		kipc_ep_put(ep);
		cond_resched();
	}
	mutex_lock(&ns->mutex);
	kipc_ns_announce_end(ns);
	mutex_unlock(&ns->mutex);
	kipc_ns_put(ns);
}

static struct pernet_operations kipc_net_ops = {
	.init = kipc_net_init,
	.exit = kipc_net_exit,
	.id = &kipc_net_id,
	.size = sizeof(struct kipc_net),
};

int kipc_ns_init(void)
{
	return register_pernet_subsys(&kipc_net_ops);
}

void kipc_ns_exit(void)
{
	unregister_pernet_subsys(&kipc_net_ops);
}
