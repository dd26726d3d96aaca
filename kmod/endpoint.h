/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * DOC: endpoints
 *
 * An endpoint is a message queue with an owner, an immutable creator, a mode
 * and a capacity. References: one of its id while it is alive, one of each
 * handle, one of each operation under way, one of each call that outlives its
 * system call.
 *
 * It dies once: whoever sets @dead under the lock must call kipc_ep_bury(),
 * which takes it out of the namespace and ends, in batches, everything that
 * waits there. From @dead on nothing enters: every critical section looks at it
 * first.
 *
 * What its queue does is in queue.h; calls are in call.h.
 */
#ifndef _KIPC_ENDPOINT_H
#define _KIPC_ENDPOINT_H

#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/rbtree.h>
#include <linux/refcount.h>
#include <linux/spinlock.h>
#include <linux/wait.h>
#include <linux/kipc.h>

#include "after.h"
#include "index.h"
#include "message.h"
#include "user.h"

struct file;
struct inode;
struct kipc_binding;
struct kipc_file;
struct kipc_notify;
struct kipc_ns;
struct kipc_op_open;
struct kipc_op_restrict;
struct kipc_op_stat;

/*
 * How a receiver chooses. Those who wait for any type stand with those who wait
 * for types up to U64_MAX: they match the same.
 */
enum kipc_select {
	KIPC_SELECT_EQ,
	KIPC_SELECT_LE,
	KIPC_SELECT_NE,
	KIPC_SELECT_WAITS,	/* indexes of waiting receivers */
	KIPC_SELECT_ANY = KIPC_SELECT_WAITS
};

/*
 * Queues and receivers come in two classes: what only a taker of calls may take. What is held
 * back is no receiver's, see queue.h.
 */
enum kipc_class {
	KIPC_CLASS_ONEWAY,
	KIPC_CLASS_CALL,
	KIPC_CLASSES,
	KIPC_HELD_BACK = KIPC_CLASSES,
	KIPC_QUEUES
};

/* The index in ep->waiting of the receivers of a class that choose so */
#define KIPC_WAITINGS	(KIPC_CLASSES * KIPC_SELECT_WAITS)

static inline unsigned int kipc_waiting(enum kipc_class class, enum kipc_select select)
{
	return class * KIPC_SELECT_WAITS + select;
}

/**
 * struct kipc_queue - messages of one class, admitted or blocked, or those held back
 * @fifo: some that all have one type, or no more than KIPC_MIXED_MAX of any, by place
 * @fifo_last: the last of those
 * @mixed: how many, if they are of several types or were since @fifo was empty; else 0
 * @left: the message that is put there after @left - 1 others goes into @marks
 * @marks: some of @fifo by place, so that at most KIPC_RUN_MAX stand from one, or from the
 *	beginning, to the next
 * @by_type: the others by type, then place
 * @by_place: the others by place
 *
 * A message that may stand at the end of @fifo does; when one more would be too many of several
 * types, those there move to the trees. So a queue of equals, which is what most queues are,
 * needs hardly any tree, however long it is; a short one, and what is received soon after it was
 * sent, needs none; and whoever looks for a place or a type in @fifo goes through a bounded number.
 */
struct kipc_queue {
	struct hlist_head fifo;
	struct kipc_msg *fifo_last;
	unsigned int mixed;
	unsigned int left;
	struct rb_root marks;
	struct kipc_index by_type;
	struct rb_root_cached by_place;
} __aligned(64);	/* for cheap indexing, and of one cache line */

/**
 * struct kipc_share - what one user holds of an endpoint
 * @node: in ep->shares
 * @stalled: in ep->stalled while @blocked is not empty
 * @free_node: on a kipc_after's list at its end
 * @uid: whose
 * @refs: messages, waiters and files that name it
 * @msgs: messages charged
 * @waiters: tasks waiting
 * @handles: handles open
 * @bytes: payload bytes charged
 * @blocked: its blocked messages by place
 *
 * All under ep->lock.
 */
struct kipc_share {
	struct rb_node node;
	struct rb_node stalled;
	struct hlist_node free_node;
	kuid_t uid;
	u32 refs;
	u32 msgs;
	u32 waiters;
	u32 handles;
	u64 bytes;
	struct rb_root_cached blocked;
};

/**
 * struct kipc_stamp - what happened last at an endpoint that outlives processes
 * @time: when, seconds of CLOCK_REALTIME
 * @pid: the process that did it, held, or NULL
 */
struct kipc_stamp {
	time64_t time;
	struct pid *pid;
};

/**
 * struct kipc_times - what the files of a queue of mqueue(7) tell
 * @access: st_atime, seconds of CLOCK_REALTIME
 * @modify: st_mtime, likewise
 * @change: st_ctime, likewise
 */
struct kipc_times {
	time64_t access;
	time64_t modify;
	time64_t change;
};

/**
 * struct kipc_cursor - a count of the messages in a queue
 * @place: up to there they are counted
 * @nocalls: those that are no calls
 * @passed: how many there are now
 * @restarts: how often it had to begin anew
 * @holds: in how many holds of the lock it was made so far
 */
struct kipc_cursor {
	u64 place;
	bool nocalls;
	u64 passed;
	unsigned int restarts;
	u64 holds;
};

/**
 * struct kipc_ep - an endpoint
 * @ref: see above
 * @rcu: for its end
 * @ns: its namespace, held; constant
 * @id: constant
 * @ino: number of its inodes, unlike that of others in all namespaces; constant
 * @flags: KIPC_ENDPOINT_*; constant
 * @ipc_ns: with SYSV, the number of its creator's ipc namespace; constant
 * @msgmax: kernel.msgmax there, when last looked at; U32_MAX without SYSV. Written under @lock,
 *	read without: WRITE_ONCE(), READ_ONCE()
 * @cuid: creator; constant
 * @cgid: creator's group; constant
 * @withdrawn: it is out of the namespace's tables (ns->mutex)
 * @by_id: SYSV: its place in ns->sysv, or empty (ns->mutex)
 * @key: its binding by key, or NULL (ns->mutex for writing, RCU for reading)
 * @name: its binding by name, or NULL (the same)
 * @account: who pays for its existence until it is buried (ns->mutex)
 * @payer: who pays for its capacity until then (written with ns->mutex and @lock)
 * @lock: protects everything below
 * @dead: it has ended
 * @uid: owner
 * @gid: owner's group
 * @mode: permission bits
 * @max_size: largest message, but see kipc_ep_max_size()
 * @max_msgs: capacity in messages
 * @max_bytes: capacity in bytes
 * @promised: what a capacity like this is charged as in any case (written with ns->mutex, too)
 * @charged: what @payer pays: more than @promised while a queue holds more, see kipc_pay_for()
 * @msgs: messages charged
 * @bytes: bytes charged
 * @handed: what messages weigh that were handed to who waited for them and are not charged,
 *	see kipc_discount()
 * @refused: sends refused, ever
 * @calls: calls delivered and unanswered
 * @handles: handles
 * @receivers: handles that may receive
 * @waiters: tasks waiting
 * @arrivals: counter behind places
 * @waits: counter behind places of receivers
 * @next_token: next delivery token
 * @full_from: place of the first blocked message that waits for room which
 *	anybody could use, or where kipc_admit() stands; U64_MAX if none: nobody behind it
 *	may be admitted, but with FIRST_COME
 * @notify: who is told of a first message, or NULL
 * @notifies: how many of those there have been
 * @cursor: of who counts messages in several holds of the lock, or NULL
 * @changed: when it was made or changed, seconds of CLOCK_REALTIME
 * @sent: PERSIST: the last message
 * @received: PERSIST: the last receive
 * @used: the time of the later of those two; 0: none since @times were set
 * @inode: of its files of mqueue(7), see mqueue.h, or NULL (set with ns->mutex, too, and cleared
 *	when nobody finds it any more)
 * @times: what those tell, unless @used tells more; see kipc_ep_settle()
 * @want_room: there was no room for somebody who asked, or after a send, and those in
 *	@write_wait were not woken since
 * @queue: the messages, by class, and those held back
 * @queued: how many, without those
 * @waiting: waiting receivers, by class they take and selector
 * @nr_waiting: how many of those
 * @shares: shares by uid
 * @spare_share: of those, the last one that nobody held any more: it may come back. Others go
 *	then
 * @stalled: shares with blocked messages, by the place of the first
 * @claims: messages claimed, by msg->link
 * @deliveries: delivered calls by token, answered by REPLY
 * @delivered: those that wait for their reply
 * @lingering: those kept only to say ECANCELED, oldest first
 * @nr_lingering: how many of those
 * @files: handles that may receive
 * @read_wait: who polls for messages
 * @write_wait: who polls for room
 * @peek_wait: sleeping RECV with PEEK
 * @cursor_mutex: for one count at a time
 */
struct kipc_ep {
	refcount_t ref;
	struct rcu_head rcu;
	struct kipc_ns *ns;
	u32 id;
	u32 ino;
	u32 flags;
	u32 ipc_ns;
	u32 msgmax;
	kuid_t cuid;
	kgid_t cgid;
	bool withdrawn;
	struct rb_node by_id;
	struct kipc_binding __rcu *key;
	struct kipc_binding __rcu *name;
	struct kipc_account *account;
	struct kipc_account *payer;

	spinlock_t lock ____cacheline_aligned_in_smp;
	bool dead;
	kuid_t uid;
	kgid_t gid;
	u32 mode;
	u32 max_size;
	u32 max_msgs;
	u64 max_bytes;
	u64 promised;
	u64 charged;
	u32 msgs;
	u64 bytes;
	u64 handed;
	u64 refused;
	u32 calls;
	u32 handles;
	u32 receivers;
	u32 waiters;
	u64 arrivals;
	u64 waits;
	u64 next_token;
	u64 full_from;
	struct kipc_notify *notify;
	u64 notifies;
	struct kipc_cursor *cursor;
	bool want_room;
	struct kipc_queue queue[KIPC_QUEUES];
	u32 queued;
	struct kipc_index waiting[KIPC_WAITINGS];
	u32 nr_waiting;
	struct rb_root shares;
	struct kipc_share *spare_share;
	struct rb_root_cached stalled;
	struct hlist_head claims;
	struct rb_root deliveries;
	struct hlist_head delivered;
	struct list_head lingering;
	u32 nr_lingering;
	struct list_head files;
	wait_queue_head_t read_wait;
	wait_queue_head_t write_wait;
	wait_queue_head_t peek_wait;
	time64_t changed;
	struct kipc_stamp sent;
	struct kipc_stamp received;
	time64_t used;
	struct inode *inode;
	struct kipc_times times;
	struct mutex cursor_mutex;	/* outside @lock, held while @cursor is set */
};

/* What is in the queue, or was handed over and may come back, in what a capacity is charged in */
static inline u64 kipc_queue_cost(const struct kipc_ep *ep)
{
	return ep->bytes + (u64)ep->msgs * KIPC_MSG_COST + ep->handed;
}

static inline struct kipc_ep *kipc_ep_get(struct kipc_ep *ep)
{
	refcount_inc(&ep->ref);
	return ep;
}

void kipc_ep_put(struct kipc_ep *ep);

/* Rights, in the bits of a mode's last digit; CONTROL is ownership */
#define KIPC_MAY_SEND		0002U
#define KIPC_MAY_RECV		0004U
#define KIPC_MAY_CONTROL	0010U
#define KIPC_MAY_SEE		0020U	/* any of the others; SYSV, MQUEUE: everybody may */
#define KIPC_MAY_UNLINK		0040U	/* to clear the name */

/*
 * May the calling process do all of @want? The one permission function; under
 * ep->lock. 0, -EACCES (the mode forbids) or -EPERM (not the owner).
 */
int kipc_ep_permission(const struct kipc_ep *ep, unsigned int want);
/* The same, and whether it is alive; takes the lock */
int kipc_ep_check(struct kipc_ep *ep, unsigned int want);
/* The same for listings: lets nobody know, audits nothing */
bool kipc_ep_visible(struct kipc_ep *ep);

/* Copy its name to @name, of KIPC_NAME_MAX + 1 bytes; false: it has none */
bool kipc_ep_name(const struct kipc_ep *ep, char *name);

/* Find or create; returns the descriptor */
long kipc_ep_open(struct kipc_ns *ns, struct kipc_op_open *op, void __user *uop);
/* Make @file a handle on @ep with @rights, if the mode allows them. -EIDRM if @ep died */
int kipc_ep_reopen(struct kipc_ep *ep, struct kipc_file *file, u32 rights);
/* A handle on @from's endpoint with at most its rights; returns the descriptor */
long kipc_ep_restrict(const struct kipc_file *from, const struct kipc_op_restrict *op);
/*
 * What goes into a message for the handle @filp: another one with its rights and badge,
 * which the calling process is charged for; the opener stays. -EOPNOTSUPP: it may not,
 * -EBADF: its endpoint has ended.
 */
struct file *kipc_ep_clone(const struct file *filp);
void kipc_ep_stat(struct kipc_ep *ep, struct kipc_endpoint *info);
int kipc_ep_set(struct kipc_ep *ep, const struct kipc_op_stat *op, bool check);
/* Remove now; with @check as the caller may */
int kipc_ep_remove(struct kipc_ep *ep, bool check);

/* Handles come and go: under ep->lock by file.c. Join: -ENOSPC, -EDQUOT */
int kipc_ep_join(struct kipc_ep *ep, struct kipc_file *file);
/* True: the endpoint has died of it, and the caller must bury it */
bool kipc_ep_leave(struct kipc_ep *ep, struct kipc_file *file, struct kipc_after *after);

/* @pid has just done at @ep, which is PERSIST, what @stamp, one of @ep, is of */
void kipc_ep_stamp(struct kipc_ep *ep, struct kipc_stamp *stamp, struct pid *pid);
/* Under ep->lock: let @ep->times tell of all that has happened so far, before they are changed */
void kipc_ep_settle(struct kipc_ep *ep);
/* Likewise: its state was read, or whom it notifies has changed. To mqueue(7) that is an access */
void kipc_ep_accessed(struct kipc_ep *ep);

/* Mark dead, once: true if this call did it */
bool kipc_ep_kill(struct kipc_ep *ep, struct kipc_after *after);
void kipc_ep_bury(struct kipc_ep *ep);

/*
 * Take ep->lock, whatever is returned, and find the calling process's share, with
 * a reference: put it, or hand it on, before the lock is dropped. NULL and -EIDRM
 * (dead) or -ENOMEM.
 */
int kipc_lock_share(struct kipc_ep *ep, struct kipc_file *file, struct kipc_after *after,
		    struct kipc_share **share) __acquires(&ep->lock);
/*
 * Would who opened the handle @file be let in with what kipc_writable() looks at? Else, under
 * ep->lock as in any case, those in ep->write_wait are woken once there is room.
 */
bool kipc_ep_writable(struct kipc_ep *ep, struct kipc_file *file);

static inline void kipc_share_get(struct kipc_ep *ep, struct kipc_share *share)
{
	lockdep_assert_held(&ep->lock);
	share->refs++;
}

/* What kernel.msgmax lets the calling task send to a SYSV endpoint */
u32 kipc_ep_msgmax(const struct kipc_ep *ep);
/* The calling task, which may, sends something to @ep, which is SYSV: note what it is there */
void kipc_ep_note_msgmax(struct kipc_ep *ep);

/*
 * The largest message that @ep takes from the calling task. What is not larger must be compared
 * with @ep->max_size once more under ep->lock; kernel.msgmax counts at one moment.
 */
static inline u32 kipc_ep_max_size(struct kipc_ep *ep)
{
	u32 size = READ_ONCE(ep->max_size);

	return likely(!(ep->flags & KIPC_ENDPOINT_SYSV)) ? size : min(size, kipc_ep_msgmax(ep));
}

/* @share may be NULL */
void kipc_share_put(struct kipc_ep *ep, struct kipc_share *share, struct kipc_after *after);
void kipc_share_free(struct kipc_share *share);
/* Count a waiter: -ENOSPC, -EDQUOT */
int kipc_share_wait(struct kipc_ep *ep, struct kipc_share *share);
void kipc_share_unwait(struct kipc_ep *ep, struct kipc_share *share);

/* One of so many waiters and handles is kept for the owner */
#define KIPC_OWNER_RESERVE	8

/*
 * One rule for everything that senders of several uids divide among them: beyond
 * the first, one that is not the owner gets at most half of what the others
 * leave free.
 */
static inline bool kipc_share_allows(u64 max, u64 used_by_others, u64 mine)
{
	return max > used_by_others && mine <= (max - used_by_others) / 2;
}

static inline bool kipc_share_owner(const struct kipc_ep *ep, const struct kipc_share *share)
{
	return uid_eq(share->uid, ep->uid);
}

int kipc_endpoint_init(void);
void kipc_endpoint_exit(void);

#endif /* _KIPC_ENDPOINT_H */
