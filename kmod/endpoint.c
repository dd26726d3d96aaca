// SPDX-License-Identifier: GPL-2.0-only
/* See endpoint.h. */
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/ipc_namespace.h>
#include <linux/module.h>
#include <linux/msg.h>
#include <linux/nsproxy.h>
#include <linux/poll.h>
#include <linux/random.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/user_namespace.h>

#include "endpoint.h"
#include "file.h"
#include "mqueue.h"
#include "notify.h"
#include "ns.h"
#include "queue.h"
#include "trace.h"

static struct kmem_cache *kipc_ep_cache;
static struct kmem_cache *kipc_share_cache;

/* Permission */

/* Whose rules hold for who may do what: kipc's, or those of what the queue stands in for */
#define KIPC_BORROWED_RULES (KIPC_ENDPOINT_SYSV | KIPC_ENDPOINT_MQUEUE)

static noinline bool kipc_ep_group(const struct kipc_ep *ep)
{
	if (ep->flags & KIPC_ENDPOINT_MQUEUE)
		return in_group_p(ep->gid);
	if (ep->flags & KIPC_ENDPOINT_SYSV)
		return in_group_p(ep->gid) || in_group_p(ep->cgid);
	return in_egroup_p(ep->gid) || in_egroup_p(ep->cgid);
}

static __always_inline unsigned int kipc_ep_granted(const struct kipc_ep *ep)
{
	bool mqueue = ep->flags & KIPC_ENDPOINT_MQUEUE;	/* who has made a file is nobody special */
	kuid_t uid = mqueue ? current_fsuid() : current_euid();
	unsigned int granted;

	if (uid_eq(uid, ep->uid) || (!mqueue && uid_eq(uid, ep->cuid)))
		granted = (ep->mode >> 6 & 7) | KIPC_MAY_CONTROL | KIPC_MAY_UNLINK;
	else if (kipc_ep_group(ep))
		granted = ep->mode >> 3 & 7;
	else
		granted = ep->mode & 7;
	granted &= KIPC_MAY_SEND | KIPC_MAY_RECV | KIPC_MAY_CONTROL | KIPC_MAY_UNLINK;
	return granted || ep->flags & KIPC_BORROWED_RULES ? granted | KIPC_MAY_SEE : 0;
}

/* Who owns the directory of mqueue(7), whose sticky bit rules who may unlink */
static bool kipc_mqueue_root(const struct kipc_ep *ep)
{
	kuid_t root = make_kuid(ep->ns->user_ns, 0);

	return uid_valid(root) && uid_eq(root, current_fsuid());
}

/* As capable_wrt_inode_uidgid(): over files of those who have ids where the capability is from */
static bool kipc_mqueue_capable(const struct kipc_ep *ep, int cap)
{
	struct user_namespace *ns = current_user_ns();

	return kuid_has_mapping(ns, ep->uid) && kgid_has_mapping(ns, ep->gid) &&
	       ns_capable(ns, cap);
}

/* May who is not the owner do all of @want that is the owner's? */
static bool kipc_ep_may_control(const struct kipc_ep *ep, unsigned int want)
{
	struct user_namespace *ns = ep->ns->user_ns;

	if (ep->flags & KIPC_ENDPOINT_SYSV)
		return ns_capable(ns, CAP_SYS_ADMIN);
	if (ep->flags & KIPC_ENDPOINT_MQUEUE)
		return (want == KIPC_MAY_UNLINK && kipc_mqueue_root(ep)) ||
		       kipc_mqueue_capable(ep, CAP_FOWNER);
	return ns_capable(ns, CAP_IPC_OWNER);
}

/* May who may not do all of @want by mode do it nevertheless? */
static bool kipc_ep_may_use(const struct kipc_ep *ep, unsigned int want)
{
	struct user_namespace *ns = ep->ns->user_ns;

	if (!(ep->flags & KIPC_ENDPOINT_MQUEUE))
		return ns_capable(ns, CAP_IPC_OWNER);
	return (!(want & KIPC_MAY_SEND) && kipc_mqueue_capable(ep, CAP_DAC_READ_SEARCH)) ||
	       kipc_mqueue_capable(ep, CAP_DAC_OVERRIDE);
}

static noinline int kipc_ep_override(const struct kipc_ep *ep, unsigned int want,
				     unsigned int missing)
{
	const unsigned int owners = KIPC_MAY_CONTROL | KIPC_MAY_UNLINK;

	if (missing & owners && !kipc_ep_may_control(ep, want))
		return -EPERM;
	if (missing & ~owners && !kipc_ep_may_use(ep, want))
		return -EACCES;
	return 0;
}

noinline int kipc_ep_permission(const struct kipc_ep *ep, unsigned int want)
{
	unsigned int missing;

	lockdep_assert_held(&ep->lock);
	missing = want & ~kipc_ep_granted(ep);
	return likely(!missing) ? 0 : kipc_ep_override(ep, want, missing);
}

noinline int kipc_ep_check(struct kipc_ep *ep, unsigned int want)
{
	int err;

	spin_lock(&ep->lock);
	err = ep->dead ? -EIDRM : kipc_ep_permission(ep, want);
	spin_unlock(&ep->lock);
	return err;
}

bool kipc_ep_visible(struct kipc_ep *ep)
{
	bool visible;

	spin_lock(&ep->lock);
	visible = !ep->dead && (kipc_ep_granted(ep) ||
				ns_capable_noaudit(ep->ns->user_ns, CAP_IPC_OWNER));
	spin_unlock(&ep->lock);
	return visible;
}

/* Shares */

/*
 * Whose share the calling process uses: in a user namespace its uids are one user,
 * the owner of the outermost one inside the endpoint's, or ids could be had for
 * nothing. But for the endpoint's owner, and what root has set up.
 */
static kuid_t kipc_share_uid(const struct kipc_ep *ep)
{
	struct user_namespace *ns = current_user_ns();
	kuid_t uid = current_euid();

	if (uid_eq(uid, ep->uid))
		return uid;
	for (; ns != ep->ns->user_ns && ns->parent; ns = ns->parent)
		if (!uid_eq(ns->owner, GLOBAL_ROOT_UID))
			uid = ns->owner;
	return uid;
}

static struct kipc_share *kipc_share_find(struct kipc_ep *ep, kuid_t uid, struct kipc_share *fresh)
{
	struct rb_node **link = &ep->shares.rb_node, *parent = NULL;

	while (*link) {
		struct kipc_share *share = rb_entry(*link, struct kipc_share, node);

		if (uid_eq(share->uid, uid))
			return share;
		parent = *link;
		link = uid_lt(share->uid, uid) ? &parent->rb_right : &parent->rb_left;
	}
	if (fresh) {
		rb_link_node(&fresh->node, parent, link);
		rb_insert_color(&fresh->node, &ep->shares);
	}
	return fresh;
}

static struct kipc_share *kipc_share_of(struct kipc_ep *ep, struct kipc_file *file,
					struct kipc_share *fresh)
{
	kuid_t uid = kipc_share_uid(ep);

	if (file->share && uid_eq(file->share->uid, uid))
		return file->share;
	if (fresh)
		fresh->uid = uid;
	return kipc_share_find(ep, uid, fresh);
}

/* The calling process has no share yet. Drops the lock and takes it again. */
static noinline struct kipc_share *kipc_share_add(struct kipc_ep *ep, struct kipc_file *file,
						  struct kipc_after *after)
{
	struct kipc_share *fresh, *found;

	kipc_unlock(ep, after);
	fresh = kmem_cache_zalloc(kipc_share_cache, GFP_KERNEL);
	kipc_lock(ep, after);
	found = ep->dead ? NULL : kipc_share_of(ep, file, fresh);
	if (fresh && found != fresh)
		kipc_after_free(after, &fresh->free_node);
	return found;
}

int kipc_lock_share(struct kipc_ep *ep, struct kipc_file *file, struct kipc_after *after,
		    struct kipc_share **share)
	__acquires(&ep->lock)
{
	struct kipc_share *found;

	kipc_lock(ep, after);
	found = ep->dead ? NULL : kipc_share_of(ep, file, NULL);
	if (unlikely(!found && !ep->dead))
		found = kipc_share_add(ep, file, after);
	*share = found;
	if (unlikely(!found))
		return ep->dead ? -EIDRM : -ENOMEM;
	kipc_share_get(ep, found);
	return 0;
}

static noinline void kipc_share_drop(struct kipc_ep *ep, struct kipc_share *share,
				     struct kipc_after *after)
{
	WARN_ON_ONCE(share->msgs || share->bytes || share->waiters || share->handles);
	rb_erase(&share->node, &ep->shares);
	kipc_after_free(after, &share->free_node);
}

/* Nobody holds @share any more: keep it instead of the one that was kept, if that is not in use */
static noinline void kipc_share_keep(struct kipc_ep *ep, struct kipc_share *share,
				     struct kipc_after *after)
{
	struct kipc_share *before = ep->spare_share;

	ep->spare_share = share;
	if (before && !before->refs)
		kipc_share_drop(ep, before, after);
}

void kipc_share_put(struct kipc_ep *ep, struct kipc_share *share, struct kipc_after *after)
{
	lockdep_assert_held(&ep->lock);
	if (share && !--share->refs && share != ep->spare_share)
		kipc_share_keep(ep, share, after);
}

bool kipc_ep_writable(struct kipc_ep *ep, struct kipc_file *file)
{
	static const struct kipc_share none;
	const struct kipc_share *share = file->share;
	const struct cred *caller;

	if (unlikely(file->passed_on)) {
		caller = override_creds(file->filp->f_cred);
		share = kipc_share_of(ep, file, NULL) ?: &none;
		revert_creds(caller);
	}
	return kipc_writable(ep, share);
}

static int kipc_share_count(const struct kipc_ep *ep, const struct kipc_share *share, u32 max,
			    u32 all, u32 mine)
{
	if (all >= max)
		return -ENOSPC;
	if (kipc_share_owner(ep, share))
		return 0;
	/* However many others come, there is some left for the owner */
	if (!mine)
		return all < max - max / KIPC_OWNER_RESERVE ? 0 : -ENOSPC;
	return kipc_share_allows(max, all - mine, mine + 1) ? 0 : -EDQUOT;
}

int kipc_share_wait(struct kipc_ep *ep, struct kipc_share *share)
{
	int err;

	lockdep_assert_held(&ep->lock);
	err = kipc_share_count(ep, share, READ_ONCE(kipc_waiters_max), ep->waiters,
			       share->waiters);
	if (err)
		return err;
	ep->waiters++;
	share->waiters++;
	return 0;
}

void kipc_share_unwait(struct kipc_ep *ep, struct kipc_share *share)
{
	lockdep_assert_held(&ep->lock);
	ep->waiters--;
	share->waiters--;
}

void kipc_ep_stamp(struct kipc_ep *ep, struct kipc_stamp *stamp, struct pid *pid)
{
	stamp->time = ktime_get_real_seconds();
	ep->used = stamp->time;
	if (stamp->pid != pid) {
		put_pid(stamp->pid);
		stamp->pid = get_pid(pid);
	}
}

void kipc_ep_settle(struct kipc_ep *ep)
{
	lockdep_assert_held(&ep->lock);
	if (ep->used)
		ep->times = (struct kipc_times){ ep->used, ep->used, ep->used };
	ep->used = 0;
}

void kipc_ep_accessed(struct kipc_ep *ep)
{
	kipc_ep_settle(ep);
	ep->times.access = ktime_get_real_seconds();
	ep->times.change = ep->times.access;
}

/* Life */

static void kipc_ep_free_rcu(struct rcu_head *rcu)
{
	kmem_cache_free(kipc_ep_cache, container_of(rcu, struct kipc_ep, rcu));
}

/* At its end, not with the last handle: that may be anybody's. Under ns->mutex. */
static void kipc_ep_uncharge(struct kipc_ep *ep)
{
	struct kipc_account *payer = ep->payer;

	if (!ep->account)
		return;
	spin_lock(&ep->lock);
	kipc_account_uncharge(payer, KIPC_CHARGE_CAPACITY, ep->charged);
	ep->promised = 0;
	ep->charged = 0;
	ep->payer = NULL;
	spin_unlock(&ep->lock);
	kipc_account_uncharge(ep->account, KIPC_CHARGE_ENDPOINTS, 1);
	kipc_account_put(payer);
	kipc_account_put(ep->account);
	ep->account = NULL;
}

void kipc_ep_put(struct kipc_ep *ep)
{
	if (!refcount_dec_and_test(&ep->ref))
		return;
	if (ep->spare_share) {
		rb_erase(&ep->spare_share->node, &ep->shares);
		kipc_share_free(ep->spare_share);
	}
	WARN_ON_ONCE(ep->msgs || ep->bytes || ep->handed || ep->queued || ep->calls ||
		     ep->waiters || ep->handles || ep->nr_waiting ||
		     !RB_EMPTY_ROOT(&ep->shares) || !RB_EMPTY_ROOT(&ep->deliveries) ||
		     ep->notify || ep->cursor);
	put_pid(ep->sent.pid);
	put_pid(ep->received.pid);
	kipc_ep_uncharge(ep);
	kipc_ns_put(ep->ns);
	call_rcu(&ep->rcu, kipc_ep_free_rcu);
}

static u64 kipc_attr_cost(const struct kipc_attr *attr, u32 msgs)
{
	return attr->max_bytes + (u64)msgs * KIPC_MSG_COST;
}

/*
 * What is charged when a capacity is chosen. A queue of svipc(7) takes messages without bytes, too,
 * as many as it takes bytes: of few queues is that ever asked, so that it is charged only then.
 */
static u64 kipc_attr_promised(const struct kipc_attr *attr, u32 flags)
{
	return kipc_attr_cost(attr, flags & KIPC_ENDPOINT_SYSV ?
			      min(attr->max_msgs, KIPC_SYSV_MSGS) : attr->max_msgs);
}

/*
 * Defaults of an endpoint with KIPC_ENDPOINT_* @flags filled in, checked against the
 * limits: -EINVAL, -EMSGSIZE
 */
static int kipc_attr_check(struct kipc_attr *attr, u32 flags)
{
	u32 msg_max = READ_ONCE(kipc_msg_max);

	if (memchr_inv(attr->reserved, 0, sizeof(attr->reserved)))
		return -EINVAL;
	if (!attr->max_size)
		attr->max_size = min(KIPC_DEFAULT_MAX_SIZE, msg_max);
	if (!attr->max_msgs)
		attr->max_msgs = KIPC_DEFAULT_MAX_MSGS;
	if (!attr->max_bytes && flags & KIPC_ENDPOINT_SYSV)
		attr->max_msgs = 0;	/* no message has room, not even one without bytes */
	else if (!attr->max_bytes)
		attr->max_bytes = (u64)attr->max_size * KIPC_DEFAULT_MSGS_BYTES;
	if (attr->max_bytes < attr->max_size && !(flags & KIPC_ENDPOINT_FIRST_COME))
		return -EINVAL;
	if (attr->max_size > msg_max || attr->max_bytes > KIPC_CAPACITY_CEILING)
		return -EMSGSIZE;
	if (kipc_attr_cost(attr, attr->max_msgs) > READ_ONCE(kipc_capacity_max) &&
	    !capable(CAP_SYS_RESOURCE))
		return -EMSGSIZE;
	return 0;
}

static struct kipc_ep *kipc_ep_alloc(struct kipc_ns *ns)
{
	struct kipc_ep *ep = kmem_cache_zalloc(kipc_ep_cache, GFP_KERNEL);

	if (!ep)
		return NULL;
	refcount_set(&ep->ref, 1);
	ep->ns = kipc_ns_get(ns);
	ep->ino = get_next_ino();
	RB_CLEAR_NODE(&ep->by_id);
	spin_lock_init(&ep->lock);
	mutex_init(&ep->cursor_mutex);
	ep->changed = ktime_get_real_seconds();
	ep->times = (struct kipc_times){ ep->changed, ep->changed, ep->changed };
	ep->uid = current_euid();
	ep->gid = current_egid();
	ep->cuid = ep->uid;
	ep->cgid = ep->gid;
	ep->arrivals = 1;
	/* Tokens of different endpoints shall not look alike */
	ep->next_token = get_random_u64();
	ep->full_from = U64_MAX;
	ep->stalled = RB_ROOT_CACHED;
	INIT_LIST_HEAD(&ep->lingering);
	INIT_LIST_HEAD(&ep->files);
	init_waitqueue_head(&ep->read_wait);
	init_waitqueue_head(&ep->write_wait);
	init_waitqueue_head(&ep->peek_wait);
	return ep;
}

static int kipc_ep_charge(struct kipc_ep *ep, const struct kipc_attr *attr)
{
	struct kipc_account *account = kipc_account_current();
	u64 promised = kipc_attr_promised(attr, ep->flags);
	int err;

	if (IS_ERR(account))
		return PTR_ERR(account);
	err = kipc_account_charge(account, KIPC_CHARGE_ENDPOINTS, 1);
	if (err)
		goto put;
	err = kipc_account_charge(account, KIPC_CHARGE_CAPACITY, promised);
	if (err)
		goto uncharge;
	ep->account = account;
	ep->payer = kipc_account_get(account);
	ep->promised = promised;
	ep->charged = promised;
	return 0;

uncharge:
	kipc_account_uncharge(account, KIPC_CHARGE_ENDPOINTS, 1);
put:
	kipc_account_put(account);
	return err;
}

static u32 kipc_ep_flags(const struct kipc_op_open *op)
{
	u32 flags = 0;

	if (op->flags & KIPC_OPEN_PERSIST)
		flags |= KIPC_ENDPOINT_PERSIST;
	if (op->flags & KIPC_OPEN_KEEP_BY_ANY)
		flags |= KIPC_ENDPOINT_KEEP_BY_ANY;
	if (op->flags & KIPC_OPEN_RENDEZVOUS)
		flags |= KIPC_ENDPOINT_RENDEZVOUS;
	if (op->flags & KIPC_OPEN_ONEWAY)
		flags |= KIPC_ENDPOINT_ONEWAY;
	if (op->flags & KIPC_OPEN_FILES)
		flags |= KIPC_ENDPOINT_FILES;
	if (op->flags & KIPC_OPEN_FIRST_COME)
		flags |= KIPC_ENDPOINT_FIRST_COME;
	if (op->flags & KIPC_OPEN_SYSV)
		flags |= KIPC_ENDPOINT_SYSV;
	if (op->flags & KIPC_OPEN_MQUEUE)
		flags |= KIPC_ENDPOINT_MQUEUE;
	return flags;
}

/*
 * A queue of svipc(7) has the limit of its ipc namespace. An endpoint cannot hold that; it knows
 * its number, and what the limit was when somebody there last sent something. For who is in
 * another namespace, whose limit he may be free to choose, it is no more than that. Only when the
 * creator's has ended can another one have its number; that of the initial one is never free.
 */
u32 kipc_ep_msgmax(const struct kipc_ep *ep)
{
	const struct ipc_namespace *ns = current->nsproxy->ipc_ns;
	u32 seen = READ_ONCE(ep->msgmax), msgmax;

	if (!IS_ENABLED(CONFIG_SYSVIPC))
		return seen;
	msgmax = READ_ONCE(ns->msg_ctlmax);
	return ns->ns.inum == ep->ipc_ns ? msgmax : min(msgmax, seen);
}

void kipc_ep_note_msgmax(struct kipc_ep *ep)
{
	const struct ipc_namespace *ns = current->nsproxy->ipc_ns;

	if (IS_ENABLED(CONFIG_SYSVIPC) && ns->ns.inum == ep->ipc_ns &&
	    READ_ONCE(ns->msg_ctlmax) != ep->msgmax)
		WRITE_ONCE(ep->msgmax, READ_ONCE(ns->msg_ctlmax));
}

static void kipc_ep_init_msgmax(struct kipc_ep *ep)
{
	if (!(ep->flags & KIPC_ENDPOINT_SYSV)) {
		ep->msgmax = U32_MAX;
		return;
	}
	ep->msgmax = MSGMAX;
	if (IS_ENABLED(CONFIG_SYSVIPC)) {
		ep->ipc_ns = current->nsproxy->ipc_ns->ns.inum;
		kipc_ep_note_msgmax(ep);
	}
}

/* A new endpoint, charged, known to nobody; or ERR_PTR() */
static struct kipc_ep *kipc_ep_new(struct kipc_ns *ns, const struct kipc_op_open *op)
{
	u32 flags = kipc_ep_flags(op);
	struct kipc_attr attr = op->attr;
	struct kipc_ep *ep;
	int err = kipc_attr_check(&attr, flags);

	if (err)
		return ERR_PTR(err);
	ep = kipc_ep_alloc(ns);
	if (!ep)
		return ERR_PTR(-ENOMEM);
	ep->flags = flags;
	if (flags & KIPC_ENDPOINT_MQUEUE) {	/* as with any file */
		ep->uid = current_fsuid();
		ep->gid = current_fsgid();
		ep->cuid = ep->uid;
		ep->cgid = ep->gid;
	}
	ep->mode = op->mode;
	ep->max_size = attr.max_size;
	ep->max_msgs = attr.max_msgs;
	ep->max_bytes = attr.max_bytes;
	kipc_ep_init_msgmax(ep);
	err = kipc_ep_charge(ep, &attr);
	if (err) {
		kipc_ep_put(ep);
		return ERR_PTR(err);
	}
	return ep;
}

bool kipc_ep_kill(struct kipc_ep *ep, struct kipc_after *after)
{
	lockdep_assert_held(&ep->lock);
	if (ep->dead)
		return false;
	ep->dead = true;
	kipc_notify_end(ep);
	trace_kipc_remove(ep);
	kipc_after_readable(after, EPOLLHUP | EPOLLIN | EPOLLRDNORM | EPOLLRDHUP);
	kipc_after_writable(after, EPOLLHUP | EPOLLOUT | EPOLLWRNORM);
	kipc_after_peekers(after);
	return true;
}

void kipc_ep_bury(struct kipc_ep *ep)
{
	struct kipc_after after __uninitialized;
	bool more;

	mutex_lock(&ep->ns->mutex);
	kipc_ns_withdraw(ep->ns, ep);
	kipc_ep_uncharge(ep);
	mutex_unlock(&ep->ns->mutex);
	do {
		kipc_lock(ep, &after);
		more = kipc_drain(ep, &after);
		kipc_unlock(ep, &after);
		cond_resched();
	} while (more);
	kipc_mqueue_end(ep);
	/* Not by the last reference: handles do not keep the module by it */
	if (ep->flags & KIPC_ENDPOINT_PERSIST)
		module_put(THIS_MODULE);
	kipc_ep_put(ep);	/* the reference of being alive */
}

int kipc_ep_remove(struct kipc_ep *ep, bool check)
{
	struct kipc_after after __uninitialized;
	int err = 0;

	kipc_lock(ep, &after);
	if (ep->dead)
		err = -EIDRM;
	else if (check)
		err = kipc_ep_permission(ep, KIPC_MAY_CONTROL);
	if (!err)
		kipc_ep_kill(ep, &after);
	kipc_unlock(ep, &after);
	if (!err)
		kipc_ep_bury(ep);
	return err;
}

/* Handles */

int kipc_ep_join(struct kipc_ep *ep, struct kipc_file *file)
{
	int err;

	lockdep_assert_held(&ep->lock);
	err = kipc_share_count(ep, file->share, READ_ONCE(kipc_handles_max), ep->handles,
			       file->share->handles);
	if (err)
		return err;
	ep->handles++;
	file->share->handles++;
	if (file->rights & KIPC_RIGHT_RECV) {
		ep->receivers++;
		list_add_tail(&file->ep_link, &ep->files);
	}
	return 0;
}

/*
 * Does anything keep it? Key and name change under ns->mutex, and before who changes them
 * asks this: with the lock either it sees the handles or who closes the last one sees
 * the change.
 */
static bool kipc_ep_kept(const struct kipc_ep *ep)
{
	lockdep_assert_held(&ep->lock);
	if (ep->receivers)
		return true;
	switch (ep->flags & (KIPC_ENDPOINT_PERSIST | KIPC_ENDPOINT_KEEP_BY_ANY)) {
	case KIPC_ENDPOINT_PERSIST:
		return true;
	case KIPC_ENDPOINT_KEEP_BY_ANY:
		return ep->handles;
	case KIPC_ENDPOINT_PERSIST | KIPC_ENDPOINT_KEEP_BY_ANY:
		return ep->handles || rcu_access_pointer(ep->key) ||
		       rcu_access_pointer(ep->name);
	default:
		return false;
	}
}

bool kipc_ep_leave(struct kipc_ep *ep, struct kipc_file *file, struct kipc_after *after)
{
	lockdep_assert_held(&ep->lock);
	ep->handles--;
	file->share->handles--;
	kipc_share_put(ep, file->share, after);
	file->share = NULL;
	if (file->rights & KIPC_RIGHT_RECV) {
		list_del_init(&file->ep_link);
		if (!--ep->receivers)
			kipc_after_writable(after, EPOLLRDHUP);
	}
	return !kipc_ep_kept(ep) && kipc_ep_kill(ep, after);
}

/* Opening */

#define KIPC_OPEN_FLAGS (KIPC_OPEN_CREATE | KIPC_OPEN_EXCL | KIPC_OPEN_PERSIST |		\
			 KIPC_OPEN_KEEP_BY_ANY | KIPC_OPEN_RENDEZVOUS | KIPC_OPEN_ONEWAY |	\
			 KIPC_OPEN_FILES | KIPC_OPEN_NONBLOCK | KIPC_OPEN_ANY_OWNER |		\
			 KIPC_OPEN_EXPECT_UID | KIPC_OPEN_WAIT | KIPC_OPEN_REALTIME |		\
			 KIPC_OPEN_NORESTART | KIPC_OPEN_ID_ONLY | KIPC_OPEN_FIRST_COME |	\
			 KIPC_OPEN_MQUEUE | KIPC_OPEN_SYSV)

#define KIPC_RIGHTS (KIPC_RIGHT_SEND | KIPC_RIGHT_RECV | KIPC_RIGHT_CONTROL)

static int kipc_open_check(const struct kipc_op_open *op)
{
	u32 keep = KIPC_OPEN_PERSIST | KIPC_OPEN_KEEP_BY_ANY;

	if (op->flags & ~KIPC_OPEN_FLAGS || op->rights & ~KIPC_RIGHTS ||
	    !(op->rights || op->flags & KIPC_OPEN_ID_ONLY) || op->mode & ~0777U ||
	    memchr_inv(op->reserved, 0, sizeof(op->reserved)) ||
	    memchr_inv(op->attr.reserved, 0, sizeof(op->attr.reserved)))
		return -EINVAL;
	/* Whoever sent them could keep them there for ever */
	if (op->flags & KIPC_OPEN_FILES && op->flags & KIPC_OPEN_PERSIST)
		return -EINVAL;
	if (op->flags & KIPC_OPEN_EXCL && !(op->flags & KIPC_OPEN_CREATE))
		return -EINVAL;
	/* Who creates does not wait */
	if (op->flags & KIPC_OPEN_WAIT && op->flags & KIPC_OPEN_CREATE)
		return -EINVAL;
	if (op->flags & KIPC_OPEN_ANY_OWNER && op->flags & KIPC_OPEN_EXPECT_UID)
		return -EINVAL;
	if (!!op->key + !!op->name_len + !!op->id > 1 || (op->name && !op->name_len))
		return -EINVAL;
	if (op->flags & KIPC_OPEN_MQUEUE && op->flags & (KIPC_OPEN_ID_ONLY | KIPC_OPEN_SYSV))
		return -EINVAL;
	if (op->flags & KIPC_OPEN_SYSV && ~op->flags & (KIPC_OPEN_FIRST_COME | KIPC_OPEN_ONEWAY))
		return -EINVAL;
	if (op->id && op->flags & (KIPC_OPEN_CREATE | KIPC_OPEN_WAIT))
		return -EINVAL;
	if (!op->key && !op->name_len && !op->id && !(op->flags & KIPC_OPEN_CREATE))
		return -EINVAL;
	if (op->flags & KIPC_OPEN_CREATE && !(op->flags & keep) &&
	    !(op->rights & KIPC_RIGHT_RECV))
		return -EINVAL;
	/* What is made must outlive the call */
	if (op->flags & KIPC_OPEN_CREATE && op->flags & KIPC_OPEN_ID_ONLY &&
	    (!(op->flags & KIPC_OPEN_PERSIST) ||
	     (op->flags & KIPC_OPEN_KEEP_BY_ANY && !op->key && !op->name_len)))
		return -EINVAL;
	return 0;
}

/* Somebody may have taken the key or name while its server was away */
static int kipc_open_impostor(const struct kipc_ep *ep, const struct kipc_op_open *op)
{
	kuid_t root = make_kuid(ep->ns->user_ns, 0), expect;

	if (op->flags & KIPC_OPEN_ANY_OWNER)
		return 0;
	if (op->flags & KIPC_OPEN_EXPECT_UID) {
		expect = make_kuid(current_user_ns(), op->expect_uid);
		return uid_valid(expect) && uid_eq(ep->cuid, expect) ? 0 : -EPERM;
	}
	if (uid_eq(ep->cuid, current_euid()) || uid_eq(ep->cuid, GLOBAL_ROOT_UID) ||
	    (uid_valid(root) && uid_eq(ep->cuid, root)))
		return 0;
	return -EPERM;
}

static unsigned int kipc_rights_want(u32 rights)
{
	return (rights & KIPC_RIGHT_SEND ? KIPC_MAY_SEND : 0) |
	       (rights & KIPC_RIGHT_RECV ? KIPC_MAY_RECV : 0) |
	       (rights & KIPC_RIGHT_CONTROL ? KIPC_MAY_CONTROL : 0);
}

/* Is it there, and may the caller have the rights that @op asks for? No handle comes of it. */
static int kipc_open_look(struct kipc_ep *ep, const struct kipc_op_open *op)
{
	struct kipc_after after __uninitialized;
	int err;

	kipc_lock(ep, &after);
	err = ep->dead ? -EIDRM : kipc_open_impostor(ep, op);
	if (!err)
		err = kipc_ep_permission(ep, kipc_rights_want(op->rights));
	kipc_unlock(ep, &after);
	return err;
}

/*
 * Make @file a handle on @ep with @rights, which @op asks for; NULL: they are there.
 * @file takes its own reference. -EIDRM if @ep died.
 */
static int kipc_open_join(struct kipc_ep *ep, struct kipc_file *file, u32 rights,
			  const struct kipc_op_open *op)
{
	struct kipc_share *share;
	struct kipc_after after __uninitialized;
	int err;

	err = kipc_lock_share(ep, file, &after, &share);
	if (!err && op)
		err = kipc_open_impostor(ep, op) ?:
		      kipc_ep_permission(ep, kipc_rights_want(rights));
	if (!err) {
		file->share = share;
		file->rights = rights;
		err = kipc_ep_join(ep, file);
	}
	if (err) {
		file->share = NULL;
		file->rights = 0;
		kipc_share_put(ep, share, &after);
	} else {
		file->ep = kipc_ep_get(ep);
		file->server = task_tgid(current);
	}
	kipc_unlock(ep, &after);
	return err;
}

/* Under ns->mutex: a new endpoint under @address (may be none) that @file is a handle on */
static int kipc_open_create(struct kipc_ns *ns, const struct kipc_op_open *op,
			    const struct kipc_address *address, struct kipc_file *file)
{
	struct kipc_binding *binding = NULL;
	struct kipc_ep *ep;
	int err;

	if (kipc_address_reserved(address) && !ns_capable(ns->user_ns, CAP_IPC_OWNER))
		return -EPERM;
	ep = kipc_ep_new(ns, op);
	if (IS_ERR(ep))
		return PTR_ERR(ep);
	err = kipc_ns_reserve(ns, ep);
	if (!err && file->as_mqueue)
		err = kipc_mqueue_begin(ep, file);
	if (!err)
		err = kipc_open_join(ep, file, op->rights, NULL);
	if (!err && address->len)
		err = kipc_ns_bind(ns, ep, address, &binding);
	if (err)
		goto fail;

	/* Nothing fails any more */
	if (op->flags & KIPC_OPEN_PERSIST)
		__module_get(THIS_MODULE);
	if (address->is_key)
		rcu_assign_pointer(ep->key, binding);
	else
		rcu_assign_pointer(ep->name, binding);
	kipc_ns_publish(ns, ep);
	if (address->len)
		kipc_ns_announce(ns, address);
	return 0;

fail:
	kipc_ns_withdraw(ns, ep);
	if (file->share) {
		struct kipc_after after __uninitialized;

		kipc_lock(ep, &after);
		ep->dead = true;	/* never lived: nothing to bury */
		kipc_ep_leave(ep, file, &after);
		kipc_unlock(ep, &after);
		file->ep = NULL;
		kipc_ep_put(ep);
	}
	kipc_mqueue_end(ep);
	kipc_ep_put(ep);
	return err;
}

/* Under ns->mutex: make @file a handle on @ep as @op asks; with ID_ONLY see whether it could be */
static int kipc_open_found(struct kipc_ep *ep, const struct kipc_op_open *op,
			   struct kipc_file *file)
{
	int err;

	/* Of one that dies right now it may be told that it exists */
	if (op->flags & KIPC_OPEN_EXCL && !data_race(READ_ONCE(ep->dead)))
		return -EEXIST;
	if (op->flags & KIPC_OPEN_ID_ONLY)
		return kipc_open_look(ep, op);
	if (file->as_mqueue) {
		err = kipc_open_look(ep, op) ?: kipc_mqueue_begin(ep, file);
		if (err)
			return err;
	}
	return kipc_open_join(ep, file, op->rights, op);
}

/* Under ns->mutex: one try to find or create */
static int kipc_open_once(struct kipc_ns *ns, struct kipc_op_open *op,
			  const struct kipc_address *address, struct kipc_file *file)
{
	struct kipc_ep *ep = NULL;
	int err;

	if (ns->dead)
		return -EIDRM;
	if (op->id)
		ep = kipc_ns_find_id(ns, op->id);
	else if (address->len)
		ep = kipc_ns_find(ns, address);
	if (ep) {
		err = kipc_open_found(ep, op, file);
		if (err == -EIDRM) {	/* died; whoever killed it was not here yet */
			kipc_ns_withdraw(ns, ep);
			kipc_ep_uncharge(ep);
		}
		if (!err)
			op->id = ep->id;
		kipc_ep_put(ep);
		if (err != -EIDRM)
			return err;
	}
	if (op->id)
		return -EIDRM;
	if (!(op->flags & KIPC_OPEN_CREATE))
		return -ENOENT;
	err = kipc_open_create(ns, op, address, file);
	if (!err) {
		op->created = 1;
		op->id = file->ep->id;
	}
	return err;
}

static int kipc_open_file(struct kipc_ns *ns, struct kipc_op_open *op,
			  const struct kipc_address *address, struct kipc_file *file)
{
	struct kipc_deadline deadline;
	int err;

	kipc_deadline_init(&deadline, op->deadline, op->flags & KIPC_OPEN_REALTIME,
			   op->flags & KIPC_OPEN_NONBLOCK, op->flags & KIPC_OPEN_NORESTART);
	if (mutex_lock_killable(&ns->mutex))
		return -EINTR;
	for (;;) {
		err = kipc_open_once(ns, op, address, file);
		if (err != -ENOENT || !(op->flags & KIPC_OPEN_WAIT))
			break;
		err = kipc_ns_wait(ns, address, &deadline);
		if (err)
			break;
	}
	mutex_unlock(&ns->mutex);
	kipc_deadline_end(&deadline);
	return err;
}

/* The operation that has made @ep fails: it goes, unless others have found it and use it by now */
static void kipc_open_unmake(struct kipc_ep *ep)
{
	struct kipc_after after __uninitialized;
	bool died;

	kipc_lock(ep, &after);
	died = ep->handles == 1 && ep->arrivals == 1 && !ep->waiters && kipc_ep_kill(ep, &after);
	kipc_unlock(ep, &after);
	if (died)
		kipc_ep_bury(ep);
}

/* The struct file of a handle, or NULL if only the id is wanted; or ERR_PTR() */
static struct file *kipc_open_filp(struct kipc_ns *ns, struct kipc_op_open *op,
				   const struct kipc_address *address, void __user *uop)
{
	struct kipc_file *file = kipc_file_new(kipc_ns_get(ns));
	struct file *filp = NULL;
	int err;

	if (IS_ERR(file))
		return ERR_CAST(file);
	file->as_mqueue = op->flags & KIPC_OPEN_MQUEUE;
	err = kipc_open_file(ns, op, address, file);
	if (!err && !(op->flags & KIPC_OPEN_ID_ONLY)) {
		filp = kipc_handle_new(file, op->name_len ? (const char *)address->bytes : "",
				       op->flags & KIPC_OPEN_NONBLOCK ? O_NONBLOCK : 0);
		err = PTR_ERR_OR_ZERO(filp);
	}
	if (!err && copy_to_user(uop, op, sizeof(*op)))
		err = -EFAULT;
	if (!err && filp)
		return filp;
	if (err && op->created)
		kipc_open_unmake(file->ep);
	if (IS_ERR_OR_NULL(filp))
		kipc_file_end(file);
	else
		fput(filp);
	return ERR_PTR(err);
}

long kipc_ep_open(struct kipc_ns *ns, struct kipc_op_open *op, void __user *uop)
{
	bool id_only = op->flags & KIPC_OPEN_ID_ONLY, mqueue = op->flags & KIPC_OPEN_MQUEUE;
	struct kipc_address address = {};
	struct file *filp;
	int fd = 0, err;

	err = kipc_open_check(op);
	if (err)
		return err;
	if (op->key)
		kipc_address_key(&address, op->key);
	else if (op->name_len)
		err = kipc_address_name(&address, op->name, op->name_len);
	if (err)
		return err;
	op->created = 0;
	if (!id_only)
		fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0)
		return fd;
	/* What is left of it when it fails goes before that does */
	filp = mqueue ? ERR_PTR(kipc_mqueue_pin()) : NULL;
	if (!filp) {
		filp = kipc_open_filp(ns, op, &address, uop);
		if (mqueue)
			kipc_mqueue_unpin();
	}
	err = PTR_ERR_OR_ZERO(filp);
	if (err == -ERESTARTSYS && op->flags & KIPC_OPEN_NORESTART)
		err = -EINTR;
	if (!err && filp)
		fd_install(fd, filp);
	else if (!id_only)
		put_unused_fd(fd);
	return err ?: fd;
}

int kipc_ep_reopen(struct kipc_ep *ep, struct kipc_file *file, u32 rights)
{
	static const struct kipc_op_open op = { .flags = KIPC_OPEN_ANY_OWNER };

	return kipc_open_join(ep, file, rights, &op);
}

/* Restricting, and handles in messages */

/* Another handle on @from's endpoint, opened by the caller; or ERR_PTR() */
static struct file *kipc_handle_like(const struct kipc_file *from, u32 rights, u64 badge)
{
	struct kipc_file *file = kipc_file_new(kipc_ns_get(from->ns));
	struct file *filp;
	int err;

	if (IS_ERR(file))
		return ERR_CAST(file);
	file->badge = badge;
	err = kipc_open_join(from->ep, file, rights, NULL);
	filp = err ? ERR_PTR(err) : kipc_handle_new(file, "", 0);
	if (IS_ERR(filp))
		kipc_file_end(file);
	return filp;
}

static int kipc_restrict_check(const struct kipc_file *from, const struct kipc_op_restrict *op)
{
	if (op->flags | op->reserved[0] | op->reserved[1] || op->rights & ~KIPC_RIGHTS ||
	    !op->rights)
		return -EINVAL;
	if (op->rights & ~from->rights)
		return -EBADF;
	/* Who was handed a badge cannot hide behind another */
	if (op->badge && from->badge && op->badge != from->badge)
		return -EPERM;
	return 0;
}

long kipc_ep_restrict(const struct kipc_file *from, const struct kipc_op_restrict *op)
{
	struct file *filp;
	int fd, err;

	err = kipc_restrict_check(from, op);
	if (err)
		return err;
	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0)
		return fd;
	filp = kipc_handle_like(from, op->rights, op->badge ?: from->badge);
	if (IS_ERR(filp)) {
		put_unused_fd(fd);
		return PTR_ERR(filp);
	}
	fd_install(fd, filp);
	return fd;
}

struct file *kipc_ep_clone(const struct file *filp)
{
	const struct kipc_file *from = filp->private_data;
	struct kipc_file *file;
	struct file *clone;

	if (from->rights != KIPC_RIGHT_SEND || from->ep->flags & KIPC_ENDPOINT_KEEP_BY_ANY)
		return ERR_PTR(-EOPNOTSUPP);
	clone = kipc_handle_like(from, from->rights, from->badge);
	/* EIDRM would be of where it is sent to */
	if (IS_ERR(clone))
		return clone == ERR_PTR(-EIDRM) ? ERR_PTR(-EBADF) : clone;
	/* Who passes it on is counted for it, but does not lend its name to who writes there */
	put_cred(clone->f_cred);
	clone->f_cred = get_cred(filp->f_cred);
	file = clone->private_data;
	file->passed_on = true;
	return clone;
}

/* Inspecting and changing */

bool kipc_ep_name(const struct kipc_ep *ep, char *name)
{
	const struct kipc_binding *binding;

	rcu_read_lock();
	binding = rcu_dereference(ep->name);
	if (binding)
		memcpy(name, binding->address.bytes, sizeof(binding->address.bytes));
	rcu_read_unlock();
	return binding;
}

static void kipc_stat_address(struct kipc_ep *ep, struct kipc_endpoint *info)
{
	const struct kipc_binding *binding;

	rcu_read_lock();
	binding = rcu_dereference(ep->key);
	if (binding)
		memcpy(&info->key, binding->address.bytes, sizeof(info->key));
	rcu_read_unlock();
	kipc_ep_name(ep, info->name);
}

void kipc_ep_stat(struct kipc_ep *ep, struct kipc_endpoint *info)
{
	struct user_namespace *ns = current_user_ns();

	memset(info, 0, sizeof(*info));
	kipc_stat_address(ep, info);
	info->id = ep->id;
	info->flags = ep->flags;
	info->cuid = from_kuid(ns, ep->cuid);
	info->cgid = from_kgid(ns, ep->cgid);
	spin_lock(&ep->lock);
	info->uid = from_kuid(ns, ep->uid);
	info->gid = from_kgid(ns, ep->gid);
	info->mode = ep->mode;
	info->receivers = ep->receivers;
	info->attr.max_size = ep->max_size;
	info->attr.max_msgs = ep->max_msgs;
	info->attr.max_bytes = ep->max_bytes;
	info->msgs = ep->msgs;
	info->bytes = ep->bytes;
	info->calls = ep->calls;
	info->refused = ep->refused;
	info->handles = ep->handles;
	info->waiters = ep->waiters;
	info->changed = ep->changed;
	info->sent = ep->sent.time;
	info->received = ep->received.time;
	info->sender = pid_vnr(ep->sent.pid);
	info->receiver = pid_vnr(ep->received.pid);
	spin_unlock(&ep->lock);
}

/*
 * Those who wait and may not go on are told. Not under ns->mutex: with a long queue
 * it takes its time. Each step looks at the permissions as they are then.
 */
static void kipc_recheck(struct kipc_ep *ep)
{
	/* By the rules of svipc(7) a sender is told when there is room for it: kipc_admit() */
	bool more = !(ep->flags & KIPC_ENDPOINT_SYSV);
	struct kipc_after after __uninitialized;
	struct kipc_walk walk = {};
	u64 place = 0, end;

	kipc_lock(ep, &after);
	end = ep->arrivals;
	walk.end = ep->waits;
	kipc_unlock(ep, &after);
	while (more) {
		kipc_lock(ep, &after);
		more = kipc_recheck_senders(ep, &place, end, &after);
		kipc_unlock(ep, &after);
		cond_resched();
	}
	do {
		kipc_lock(ep, &after);
		more = kipc_recheck_receivers(ep, &walk, &after);
		kipc_unlock(ep, &after);
		cond_resched();
	} while (more);
}

/**
 * struct kipc_change - a SET on its way
 * @what: KIPC_SET_*
 * @mode: new mode
 * @uid: new owner
 * @gid: new group
 * @attr: new capacity
 * @account: who pays for it
 * @charged: what @account was charged more than it paid already
 * @key: new key
 * @name: new name
 * @key_binding: @key once it is published
 * @name_binding: @name once it is published
 */
struct kipc_change {
	u32 what;
	u32 mode;
	kuid_t uid;
	kgid_t gid;
	struct kipc_attr attr;
	struct kipc_account *account;
	u64 charged;
	struct kipc_address key;
	struct kipc_address name;
	struct kipc_binding *key_binding;
	struct kipc_binding *name_binding;
};

#define KIPC_SET_ALL (KIPC_SET_MODE | KIPC_SET_UID | KIPC_SET_GID | KIPC_SET_CAPACITY |	\
		      KIPC_SET_KEY | KIPC_SET_NAME)

/* What changes a file of mqueue(7) */
#define KIPC_SET_FILE (KIPC_SET_MODE | KIPC_SET_UID | KIPC_SET_GID |			\
		       (KIPC_UNLINK_CHANGES ? KIPC_SET_NAME : 0))

/* What can be known without the endpoint */
static int kipc_set_parse(struct kipc_change *change, const struct kipc_op_stat *op)
{
	const struct kipc_endpoint *info = &op->info;
	size_t len;

	change->what = op->what;
	if (!change->what || change->what & ~KIPC_SET_ALL)
		return -EINVAL;
	change->mode = info->mode;
	if (change->what & KIPC_SET_MODE && change->mode & ~0777U)
		return -EINVAL;
	change->uid = make_kuid(current_user_ns(), info->uid);
	if (change->what & KIPC_SET_UID && !uid_valid(change->uid))
		return -EINVAL;
	change->gid = make_kgid(current_user_ns(), info->gid);
	if (change->what & KIPC_SET_GID && !gid_valid(change->gid))
		return -EINVAL;
	change->attr = info->attr;
	if (change->what & KIPC_SET_KEY && info->key)
		kipc_address_key(&change->key, info->key);
	if (change->what & KIPC_SET_NAME) {
		len = strnlen(info->name, sizeof(info->name));
		if (len > KIPC_NAME_MAX)
			return -ENAMETOOLONG;
		memcpy(change->name.bytes, info->name, len);
		change->name.len = len;
	}
	return 0;
}

/* May a file be given away like this? See chown(2) */
static bool kipc_set_chown(const struct kipc_ep *ep, const struct kipc_change *change)
{
	bool owner = uid_eq(ep->uid, current_fsuid());

	if ((owner || !(change->what & (KIPC_SET_UID | KIPC_SET_GID))) &&
	    (!(change->what & KIPC_SET_UID) || uid_eq(change->uid, ep->uid)) &&
	    (!(change->what & KIPC_SET_GID) || gid_eq(change->gid, ep->gid) ||
	     in_group_p(change->gid)))
		return true;
	return kipc_mqueue_capable(ep, CAP_CHOWN);
}

/* Under ep->lock: may the caller, who has (not @check) a handle with CONTROL? */
static int kipc_set_owner(const struct kipc_ep *ep, const struct kipc_change *change,
			  bool unlink, bool check)
{
	u32 what = change->what;

	if (ep->flags & KIPC_ENDPOINT_MQUEUE) {
		/* Whatever the handle: what looks like somebody's file is his */
		if (!kipc_set_chown(ep, change))
			return -EPERM;
		what &= ~(KIPC_SET_UID | KIPC_SET_GID);
	}
	if (!check || !what)
		return 0;
	return kipc_ep_permission(ep, unlink ? KIPC_MAY_UNLINK : KIPC_MAY_CONTROL);
}

static int kipc_set_permission(struct kipc_ep *ep, const struct kipc_change *change, bool check)
{
	bool reserved = kipc_address_reserved(&change->key) ||
			kipc_address_reserved(&change->name);
	bool named = change->key.len || change->name.len;
	bool unlink = change->what == KIPC_SET_NAME && !named;
	bool strange;
	int err;

	spin_lock(&ep->lock);
	err = ep->dead ? -EIDRM : kipc_set_owner(ep, change, unlink, check);
	/* Clients trust a name by its endpoint's creator, who alone may therefore give one */
	strange = named && !uid_eq(ep->cuid, current_euid());
	spin_unlock(&ep->lock);
	if (!err && (reserved || strange) && !ns_capable(ep->ns->user_ns, CAP_IPC_OWNER))
		err = -EPERM;
	return err;
}

static bool kipc_set_same(struct kipc_ep *ep, struct kipc_binding __rcu *slot,
			  const struct kipc_address *address)
{
	const struct kipc_binding *binding;

	binding = rcu_dereference_protected(slot, lockdep_is_held(&ep->ns->mutex));
	return binding && !memcmp(&binding->address, address, sizeof(*address));
}

/*
 * What a new capacity is charged as; and what is in the queue, which stays there, as far as
 * it is paid for
 */
static u64 kipc_set_cost(const struct kipc_ep *ep, const struct kipc_change *change)
{
	return max(kipc_attr_promised(&change->attr, ep->flags),
		   min(kipc_queue_cost(ep), ep->charged));
}

/* Who pays already is charged the difference; another payer all of it */
static int kipc_set_charge(struct kipc_ep *ep, struct kipc_change *change)
{
	struct kipc_account *account = kipc_account_current_cached(ep->payer);
	u64 cost, paid;
	int err;

	if (IS_ERR(account))
		return PTR_ERR(account);
	spin_lock(&ep->lock);
	cost = kipc_set_cost(ep, change);
	paid = account == ep->payer ? min(cost, ep->charged) : 0;
	spin_unlock(&ep->lock);
	/* To take less is allowed beyond the limit, too */
	err = cost > paid ? kipc_account_charge(account, KIPC_CHARGE_CAPACITY, cost - paid) : 0;
	if (err) {
		kipc_account_put(account);
		return err;
	}
	change->account = account;
	change->charged = cost - paid;
	return 0;
}

/* Everything that may fail */
static int kipc_set_prepare(struct kipc_ep *ep, struct kipc_change *change)
{
	int err;

	if (change->what & KIPC_SET_CAPACITY) {
		err = kipc_attr_check(&change->attr, ep->flags);
		if (err)
			return err;
		err = kipc_set_charge(ep, change);
		if (err)
			return err;
	}
	/* What it is called already needs no change */
	if (kipc_set_same(ep, ep->key, &change->key))
		change->what &= ~KIPC_SET_KEY;
	if (kipc_set_same(ep, ep->name, &change->name))
		change->what &= ~KIPC_SET_NAME;
	/* Of two who clear it one is told that there was none any more */
	if ((change->what & KIPC_SET_KEY && !change->key.len && !rcu_access_pointer(ep->key)) ||
	    (change->what & KIPC_SET_NAME && !change->name.len && !rcu_access_pointer(ep->name)))
		return -ENOENT;
	if (change->what & KIPC_SET_KEY && change->key.len) {
		err = kipc_ns_bind(ep->ns, ep, &change->key, &change->key_binding);
		if (err)
			return err;
	}
	if (change->what & KIPC_SET_NAME && change->name.len) {
		err = kipc_ns_bind(ep->ns, ep, &change->name, &change->name_binding);
		if (err)
			return err;
	}
	return 0;
}

static void kipc_set_undo(struct kipc_ep *ep, struct kipc_change *change)
{
	kipc_ns_unbind(ep->ns, change->key_binding);
	if (change->account) {
		kipc_account_uncharge(change->account, KIPC_CHARGE_CAPACITY, change->charged);
		kipc_account_put(change->account);
	}
}

static void kipc_set_binding(struct kipc_ep *ep, struct kipc_binding __rcu **slot,
			     struct kipc_binding *binding)
{
	struct kipc_binding *old;

	old = rcu_replace_pointer(*slot, binding, lockdep_is_held(&ep->ns->mutex));
	kipc_ns_unbind(ep->ns, old);
	if (binding)
		kipc_ns_announce(ep->ns, &binding->address);
}

/* The change's account pays from now on. What came into the queue meanwhile it cannot refuse. */
static void kipc_set_payer(struct kipc_ep *ep, struct kipc_change *change)
{
	u64 cost = kipc_set_cost(ep, change), paid = change->charged;

	lockdep_assert_held(&ep->lock);
	if (change->account == ep->payer)
		paid += ep->charged;
	else
		kipc_account_uncharge(ep->payer, KIPC_CHARGE_CAPACITY, ep->charged);
	if (paid > cost)
		kipc_account_uncharge(change->account, KIPC_CHARGE_CAPACITY, paid - cost);
	else
		kipc_account_force(change->account, KIPC_CHARGE_CAPACITY, cost - paid);
	swap(ep->payer, change->account);
	ep->promised = kipc_attr_promised(&change->attr, ep->flags);
	ep->charged = cost;
}

/* True: it has died of it, and the caller must bury it */
static bool kipc_set_commit(struct kipc_ep *ep, struct kipc_change *change)
{
	struct kipc_after after __uninitialized;
	bool died;

	if (change->what & KIPC_SET_KEY)
		kipc_set_binding(ep, &ep->key, change->key_binding);
	if (change->what & KIPC_SET_NAME)
		kipc_set_binding(ep, &ep->name, change->name_binding);
	kipc_lock(ep, &after);
	if (change->what & KIPC_SET_MODE)
		ep->mode = change->mode;
	if (change->what & KIPC_SET_UID)
		ep->uid = change->uid;
	if (change->what & KIPC_SET_GID)
		ep->gid = change->gid;
	if (change->what & KIPC_SET_CAPACITY) {
		WRITE_ONCE(ep->max_size, change->attr.max_size);
		ep->max_msgs = change->attr.max_msgs;
		ep->max_bytes = change->attr.max_bytes;
		kipc_set_payer(ep, change);
	}
	ep->changed = ktime_get_real_seconds();
	if (change->what & KIPC_SET_FILE)
		kipc_mqueue_changed(ep);
	/* A new owner is bound by no share; a new capacity may have room */
	after.room = true;
	if (kipc_polled(&ep->write_wait))
		kipc_after_writable(&after, EPOLLOUT | EPOLLWRNORM);
	died = !kipc_ep_kept(ep) && kipc_ep_kill(ep, &after);
	kipc_unlock(ep, &after);
	kipc_account_put(change->account);	/* who paid before */
	return died;
}

int kipc_ep_set(struct kipc_ep *ep, const struct kipc_op_stat *op, bool check)
{
	struct kipc_change *change = kzalloc(sizeof(*change), GFP_KERNEL_ACCOUNT);
	bool died = false;
	int err;

	if (!change)
		return -ENOMEM;
	err = kipc_set_parse(change, op);
	if (err)
		goto free;
	err = -EINTR;
	if (mutex_lock_killable(&ep->ns->mutex))
		goto free;
	err = kipc_set_permission(ep, change, check);
	if (!err) {
		err = kipc_set_prepare(ep, change);
		if (err)
			kipc_set_undo(ep, change);
		else
			died = kipc_set_commit(ep, change);
	}
	mutex_unlock(&ep->ns->mutex);
	if (died)
		kipc_ep_bury(ep);
	else if (!err && change->what & ~(KIPC_SET_KEY | KIPC_SET_NAME))
		kipc_recheck(ep);
free:
	kfree(change);
	return err;
}

void kipc_share_free(struct kipc_share *share)
{
	kmem_cache_free(kipc_share_cache, share);
}

int kipc_endpoint_init(void)
{
	kipc_ep_cache = KMEM_CACHE(kipc_ep, SLAB_ACCOUNT | SLAB_HWCACHE_ALIGN);
	if (!kipc_ep_cache)
		return -ENOMEM;
	kipc_share_cache = KMEM_CACHE(kipc_share, SLAB_ACCOUNT);
	if (!kipc_share_cache) {
		kmem_cache_destroy(kipc_ep_cache);
		return -ENOMEM;
	}
	return 0;
}

void kipc_endpoint_exit(void)
{
	rcu_barrier();
	kmem_cache_destroy(kipc_share_cache);
	kmem_cache_destroy(kipc_ep_cache);
}
