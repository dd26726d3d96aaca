// SPDX-License-Identifier: GPL-2.0-only
/* See queue.h. */
#include <linux/cred.h>
#include <linux/poll.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>

#include "call.h"
#include "file.h"
#include "notify.h"
#include "ns.h"
#include "queue.h"
#include "trace.h"

#define by_place_msg(p) rb_entry_safe(p, struct kipc_msg, by_place)
#define blocked_msg(p) rb_entry_safe(p, struct kipc_msg, blocked)
#define stalled_share(p) rb_entry_safe(p, struct kipc_share, stalled)

/*
 * A place orders by priority, higher first, then by arrival. 49 bits of arrivals
 * last 17 years at a million messages a second. Never 0.
 */
#define KIPC_ARRIVAL_BITS	49
#define KIPC_ARRIVAL_MASK	((1ULL << KIPC_ARRIVAL_BITS) - 1)

static u64 kipc_place(u32 prio, u64 arrival)
{
	return (u64)(KIPC_PRIO_MAX - prio) << KIPC_ARRIVAL_BITS | arrival;
}

/* Are blocked messages held back? At a rendezvous they wait for receivers, not for room. */
static bool kipc_holds_back(const struct kipc_ep *ep)
{
	return (ep->flags & (KIPC_ENDPOINT_FIRST_COME | KIPC_ENDPOINT_RENDEZVOUS)) ==
	       KIPC_ENDPOINT_FIRST_COME;
}

/*
 * The turn of a task that waits: by arrival; on a handle with MQUEUE, where mqueue(7) does so, by
 * its scheduling priority first. That is -1 to 139, lower first.
 */
static u64 kipc_turn(const struct kipc_file *file, u64 arrival)
{
	u64 rank = 0;

	if (file->as_mqueue)
		/* Others may be changing it: either will do */
		rank = data_race(READ_ONCE(current->prio)) + 2;
	return rank << KIPC_ARRIVAL_BITS | arrival;
}

/* The place of one that must wait for room, if it does not get it at once */
static u64 kipc_place_for_room(const struct kipc_ep *ep, const struct kipc_file *file, u32 prio,
			       u64 arrival)
{
	if (unlikely(kipc_holds_back(ep)))
		return kipc_turn(file, arrival);
	return kipc_place(prio, arrival);
}

static struct kipc_queue *kipc_queue_of(struct kipc_ep *ep, const struct kipc_msg *msg)
{
	return &ep->queue[msg->call ? KIPC_CLASS_CALL : KIPC_CLASS_ONEWAY];
}

/* The one that is first by place; either may be NULL */
static struct kipc_msg *kipc_first(struct kipc_msg *a, struct kipc_msg *b)
{
	if (!a || !b)
		return a ?: b;
	return kipc_msg_place(a) < kipc_msg_place(b) ? a : b;
}

/* The same by type, then place */
static struct kipc_msg *kipc_lowest(struct kipc_msg *a, struct kipc_msg *b)
{
	if (a && b && kipc_msg_type(a) != kipc_msg_type(b))
		return kipc_msg_type(a) < kipc_msg_type(b) ? a : b;
	return kipc_first(a, b);
}

static struct kipc_msg *node_msg(struct kipc_node *node)
{
	return node ? container_of(node, struct kipc_msg, node) : NULL;
}

/* Trees by place: of a queue, of a share's blocked messages, of stalled shares */

static bool kipc_by_place_less(struct rb_node *a, const struct rb_node *b)
{
	return kipc_msg_place(rb_entry(a, struct kipc_msg, by_place)) <
	       kipc_msg_place(rb_entry(b, struct kipc_msg, by_place));
}

static bool kipc_blocked_less(struct rb_node *a, const struct rb_node *b)
{
	return kipc_msg_place(rb_entry(a, struct kipc_msg, blocked)) <
	       kipc_msg_place(rb_entry(b, struct kipc_msg, blocked));
}

/* A stalled share has a blocked message. */
static u64 kipc_stalled_place(const struct kipc_share *share)
{
	return kipc_msg_place(rb_entry(rb_first_cached(&share->blocked), struct kipc_msg, blocked));
}

static bool kipc_stalled_less(struct rb_node *a, const struct rb_node *b)
{
	return kipc_stalled_place(rb_entry(a, struct kipc_share, stalled)) <
	       kipc_stalled_place(rb_entry(b, struct kipc_share, stalled));
}

/* The first in the queue's fifo */
static struct kipc_msg *kipc_fifo_first(const struct kipc_queue *queue)
{
	return hlist_entry_safe(queue->fifo.first, struct kipc_msg, link);
}

static struct kipc_msg *kipc_fifo_next(const struct kipc_msg *msg)
{
	return hlist_entry_safe(msg->link.next, struct kipc_msg, link);
}

static bool kipc_fifo_marked(const struct kipc_msg *msg)
{
	return !RB_EMPTY_NODE(&msg->by_place);
}

/* The last one in a tree by place that is not behind @place */
static struct kipc_msg *kipc_last_upto(const struct rb_root *tree, u64 place)
{
	struct rb_node *rb = tree->rb_node;
	struct kipc_msg *found = NULL;

	while (rb) {
		if (kipc_msg_place(by_place_msg(rb)) > place) {
			rb = rb->rb_left;
		} else {
			found = by_place_msg(rb);
			rb = rb->rb_right;
		}
	}
	return found;
}

/* The first one in the fifo behind @place */
static noinline struct kipc_msg *kipc_fifo_behind(const struct kipc_queue *queue, u64 place)
{
	struct kipc_msg *msg = kipc_last_upto(&queue->marks, place) ?: kipc_fifo_first(queue);

	while (msg && kipc_msg_place(msg) <= place)
		msg = kipc_fifo_next(msg);
	return msg;
}

/* @msg has been put at the end, and begins a run */
static noinline void kipc_fifo_mark(struct kipc_queue *queue, struct kipc_msg *msg)
{
	rb_add(&msg->by_place, &queue->marks, kipc_by_place_less);
	queue->left = KIPC_RUN_MAX;
}

/* A marked one goes: the next one begins the rest of its run, but at the beginning of the fifo */
static noinline void kipc_fifo_unmark(struct kipc_queue *queue, struct kipc_msg *msg)
{
	struct kipc_msg *next = kipc_fifo_next(msg);

	if (msg != kipc_fifo_first(queue) && next && !kipc_fifo_marked(next)) {
		rb_replace_node(&msg->by_place, &next->by_place, &queue->marks);
	} else {
		rb_erase(&msg->by_place, &queue->marks);
		if (!next)	/* the run before, which may be a long one, is the last now */
			queue->left = 1;
	}
}

static __always_inline void kipc_fifo_del(struct kipc_queue *queue, struct kipc_msg *msg)
{
	struct hlist_node **link = msg->link.pprev;

	if (unlikely(kipc_fifo_marked(msg)))
		kipc_fifo_unmark(queue, msg);
	if (msg == queue->fifo_last)
		queue->fifo_last = link == &queue->fifo.first ? NULL :
				   container_of(link, struct kipc_msg, link.next);
	if (unlikely(queue->mixed))
		queue->mixed--;
	hlist_del_init(&msg->link);
}

static noinline void kipc_tree_add(struct kipc_queue *queue, struct kipc_msg *msg)
{
	kipc_index_insert(&queue->by_type, &msg->node);
	rb_add_cached(&msg->by_place, &queue->by_place, kipc_by_place_less);
}

static noinline void kipc_tree_del(struct kipc_queue *queue, struct kipc_msg *msg)
{
	kipc_index_erase(&queue->by_type, &msg->node);
	rb_erase_cached(&msg->by_place, &queue->by_place);
}

/* How many there are in the fifo, but at most KIPC_MIXED_MAX */
static unsigned int kipc_fifo_count(const struct kipc_queue *queue)
{
	struct kipc_msg *msg = kipc_fifo_first(queue);
	unsigned int count = 0;

	for (; msg && count < KIPC_MIXED_MAX; msg = kipc_fifo_next(msg))
		count++;
	return count;
}

/*
 * One of another type than the last one in the fifo, or than others there, is to stand at its end.
 * False: all of them have one type, and are too many.
 */
static noinline bool kipc_fifo_mix(struct kipc_queue *queue)
{
	unsigned int count = queue->mixed ?: kipc_fifo_count(queue);
	struct kipc_msg *msg;

	if (count < KIPC_MIXED_MAX) {
		queue->mixed = count + 1;
		return true;
	}
	if (!queue->mixed)
		return false;
	while ((msg = kipc_fifo_first(queue))) {
		kipc_fifo_del(queue, msg);
		kipc_tree_add(queue, msg);
	}
	return true;
}

/* Put a message that is not in the queue there, if it may stand there */
static __always_inline bool kipc_fifo_add(struct kipc_queue *queue, struct kipc_msg *msg)
{
	struct kipc_msg *last = queue->fifo_last;

	if (last) {
		if (kipc_msg_place(msg) < kipc_msg_place(last))
			return false;
		if (unlikely(kipc_msg_type(msg) != kipc_msg_type(last) || queue->mixed)) {
			if (!kipc_fifo_mix(queue))
				return false;
			last = queue->fifo_last;
		}
	}
	if (last) {
		hlist_add_behind(&msg->link, &last->link);
	} else {
		hlist_add_head(&msg->link, &queue->fifo);
		queue->left = KIPC_RUN_MAX;
	}
	RB_CLEAR_NODE(&msg->by_place);
	queue->fifo_last = msg;
	if (unlikely(!--queue->left))
		kipc_fifo_mark(queue, msg);
	return true;
}

static noinline struct kipc_msg *kipc_tree_behind(const struct kipc_queue *queue, u64 place)
{
	const struct rb_root_cached *tree = &queue->by_place;
	struct kipc_msg *before = place ? kipc_last_upto(&tree->rb_root, place) : NULL;

	return by_place_msg(before ? rb_next(&before->by_place) : rb_first_cached(tree));
}

static struct kipc_msg *kipc_behind(struct kipc_queue *queue, u64 place)
{
	struct kipc_msg *msg = kipc_fifo_first(queue);

	if (msg && kipc_msg_place(msg) <= place)
		msg = kipc_fifo_behind(queue, place);
	if (likely(kipc_index_empty(&queue->by_type)))
		return msg;
	return kipc_first(msg, kipc_tree_behind(queue, place));
}

struct kipc_msg *kipc_queue_next(struct kipc_ep *ep, bool nocalls, u64 place)
{
	struct kipc_msg *msg = kipc_behind(&ep->queue[KIPC_CLASS_ONEWAY], place);

	if (!nocalls)
		msg = kipc_first(msg, kipc_behind(&ep->queue[KIPC_CLASS_CALL], place));
	return msg;
}

/* The first behind @place that is blocked, or may be */
static struct kipc_msg *kipc_blocked_next(struct kipc_ep *ep, u64 place)
{
	return kipc_holds_back(ep) ? kipc_behind(&ep->queue[KIPC_HELD_BACK], place) :
				     kipc_queue_next(ep, false, place);
}

/* Who waits through a device file is asked again for its rights */

static int kipc_permission_of(struct kipc_ep *ep, const struct cred *cred, unsigned int want)
{
	const struct cred *old;
	int err;

	if (!cred)
		return 0;
	old = override_creds(cred);
	err = kipc_ep_permission(ep, want);
	revert_creds(old);
	return err;
}

/* What was admitted is sent; until then the sender must have the right to send it */
static bool kipc_sender_allowed(struct kipc_ep *ep, const struct kipc_msg *msg)
{
	return msg->charged || !kipc_permission_of(ep, msg->cred, KIPC_MAY_SEND);
}

/* Selecting */

static bool kipc_suits(const struct kipc_receiver *receiver, u64 type)
{
	switch (receiver->select) {
	case KIPC_SELECT_EQ:
		return type == receiver->type;
	case KIPC_SELECT_LE:
		return type <= receiver->type;
	case KIPC_SELECT_NE:
		return type != receiver->type;
	default:
		return true;
	}
}

/* Which of two that suit it a receiver takes first; either may be NULL */
static struct kipc_msg *kipc_preferred(const struct kipc_receiver *receiver, struct kipc_msg *a,
				       struct kipc_msg *b)
{
	return receiver->select == KIPC_SELECT_LE ? kipc_lowest(a, b) : kipc_first(a, b);
}

static noinline struct kipc_msg *kipc_select_tree(struct kipc_queue *queue,
						  const struct kipc_receiver *receiver)
{
	struct kipc_node *node = NULL;

	switch (receiver->select) {
	case KIPC_SELECT_ANY:
		return kipc_tree_behind(queue, 0);
	case KIPC_SELECT_EQ:
		node = kipc_index_best_of(&queue->by_type, receiver->type);
		break;
	case KIPC_SELECT_LE:
		node = kipc_index_seek(&queue->by_type, 0, 0);
		if (node && node->key > receiver->type)
			node = NULL;
		break;
	case KIPC_SELECT_NE:
		node = kipc_index_best_except(&queue->by_type, receiver->type);
		break;
	}
	return node_msg(node);
}

/* The same in a fifo of several types */
static noinline struct kipc_msg *kipc_select_fifo(struct kipc_queue *queue,
						  const struct kipc_receiver *receiver)
{
	struct kipc_msg *msg, *best = NULL;

	for (msg = kipc_fifo_first(queue); msg; msg = kipc_fifo_next(msg)) {
		if (!kipc_suits(receiver, kipc_msg_type(msg)))
			continue;
		if (receiver->select != KIPC_SELECT_LE)
			return msg;
		best = kipc_lowest(best, msg);
	}
	return best;
}

static struct kipc_msg *kipc_select_in(struct kipc_queue *queue,
				       const struct kipc_receiver *receiver)
{
	struct kipc_msg *msg = kipc_fifo_first(queue);

	if (msg && unlikely(queue->mixed))
		msg = kipc_select_fifo(queue, receiver);
	else if (msg && !kipc_suits(receiver, kipc_msg_type(msg)))
		msg = NULL;
	if (likely(kipc_index_empty(&queue->by_type)))
		return msg;
	return kipc_preferred(receiver, msg, kipc_select_tree(queue, receiver));
}

struct kipc_msg *kipc_select(struct kipc_ep *ep, const struct kipc_receiver *receiver)
{
	struct kipc_msg *msg, *call;

	lockdep_assert_held(&ep->lock);
	if (!ep->queued)
		return NULL;
	msg = kipc_select_in(&ep->queue[KIPC_CLASS_ONEWAY], receiver);
	if (receiver->nocalls)
		return msg;
	call = kipc_select_in(&ep->queue[KIPC_CLASS_CALL], receiver);
	return kipc_preferred(receiver, msg, call);
}

struct kipc_msg *kipc_select_allowed(struct kipc_ep *ep, const struct kipc_receiver *receiver,
				     bool *again, struct kipc_after *after)
{
	struct kipc_msg *msg;
	unsigned int i;

	*again = false;
	for (i = 0; i < KIPC_BATCH; i++) {
		msg = kipc_select(ep, receiver);
		if (!msg || kipc_sender_allowed(ep, msg))
			return msg;
		kipc_giveup(ep, msg, -EACCES, after);
	}
	*again = true;
	return NULL;
}

/* The first in the fifo by (type, place) behind (@type, @place) */
static struct kipc_msg *kipc_seek_fifo(struct kipc_queue *queue, u64 type, u64 place)
{
	struct kipc_msg *msg = kipc_fifo_first(queue), *best = NULL;

	if (!msg)
		return NULL;
	if (!queue->mixed && kipc_msg_type(msg) == type)
		return kipc_fifo_behind(queue, place);
	if (!queue->mixed)
		return kipc_msg_type(msg) > type ? msg : NULL;
	for (; msg; msg = kipc_fifo_next(msg))
		if (kipc_msg_type(msg) > type ||
		    (kipc_msg_type(msg) == type && kipc_msg_place(msg) > place))
			best = kipc_lowest(best, msg);
	return best;
}

/* The same in the queue, of a type up to @last_type */
static struct kipc_msg *kipc_seek_in(struct kipc_queue *queue, u64 type, u64 place, u64 last_type)
{
	struct kipc_msg *msg = node_msg(kipc_index_seek(&queue->by_type, type, place + 1));

	msg = kipc_lowest(msg, kipc_seek_fifo(queue, type, place));
	return msg && kipc_msg_type(msg) <= last_type ? msg : NULL;
}

struct kipc_msg *kipc_select_after(struct kipc_ep *ep, const struct kipc_receiver *receiver,
				   u64 type, u64 *place, bool *more)
{
	u64 from = receiver->select == KIPC_SELECT_LE ? type : receiver->type;
	struct kipc_msg *msg, *call = NULL;
	unsigned int i;

	lockdep_assert_held(&ep->lock);
	*more = false;
	if (*place == U64_MAX)
		return NULL;
	switch (receiver->select) {
	case KIPC_SELECT_ANY:
		return kipc_queue_next(ep, receiver->nocalls, *place);
	case KIPC_SELECT_EQ:
	case KIPC_SELECT_LE:
		msg = kipc_seek_in(&ep->queue[KIPC_CLASS_ONEWAY], from, *place, receiver->type);
		if (!receiver->nocalls)
			call = kipc_seek_in(&ep->queue[KIPC_CLASS_CALL], from, *place,
					    receiver->type);
		return kipc_lowest(msg, call);
	case KIPC_SELECT_NE:
		for (i = 0; i < KIPC_BATCH; i++) {
			msg = kipc_queue_next(ep, receiver->nocalls, *place);
			if (!msg || kipc_msg_type(msg) != receiver->type)
				return msg;
			*place = kipc_msg_place(msg);
		}
		*more = true;
		break;
	}
	return NULL;
}

struct kipc_msg *kipc_select_index(struct kipc_ep *ep, struct kipc_cursor *cursor, u64 index,
				   bool *more)
{
	struct kipc_msg *msg;
	unsigned int i;

	lockdep_assert_held(&ep->lock);
	*more = false;
	/* Others who take in front and put behind could keep it going for ever */
	if (index >= ep->queued || cursor->holds++ > KIPC_BATCH * (index / KIPC_BATCH + 2))
		return NULL;
	if (cursor->passed > index) {	/* some came in before it meanwhile */
		if (++cursor->restarts == KIPC_BATCH)
			return NULL;
		cursor->place = 0;
		cursor->passed = 0;
	}
	for (i = 0; i < KIPC_BATCH; i++) {
		msg = kipc_queue_next(ep, cursor->nocalls, cursor->place);
		if (!msg || cursor->passed == index)
			return msg;
		cursor->place = kipc_msg_place(msg);
		cursor->passed++;
	}
	*more = true;
	return NULL;
}

static struct kipc_node *kipc_earlier(struct kipc_node *a, struct kipc_node *b)
{
	if (!a || !b)
		return a ?: b;
	return a->place < b->place ? a : b;
}

static noinline struct kipc_node *kipc_match_typed(const struct kipc_index *waiting, u64 type,
						   struct kipc_node *node)
{
	if (!kipc_index_empty(&waiting[KIPC_SELECT_EQ]))
		node = kipc_earlier(node, kipc_index_best_of(&waiting[KIPC_SELECT_EQ], type));
	if (!kipc_index_empty(&waiting[KIPC_SELECT_NE]))
		node = kipc_earlier(node, kipc_index_best_except(&waiting[KIPC_SELECT_NE], type));
	return node;
}

/* The one that waits longest among those of a class that wait for @type */
static struct kipc_node *kipc_match_in(const struct kipc_index *waiting, u64 type)
{
	struct kipc_node *node = kipc_index_best_from(&waiting[KIPC_SELECT_LE], type);

	if (likely(kipc_index_empty(&waiting[KIPC_SELECT_EQ]) &&
		   kipc_index_empty(&waiting[KIPC_SELECT_NE])))
		return node;
	return kipc_match_typed(waiting, type, node);
}

/* The receiver that waits longest among those that @msg suits, or NULL */
static struct kipc_receiver *kipc_match(struct kipc_ep *ep, const struct kipc_msg *msg)
{
	u64 type = kipc_msg_type(msg);
	struct kipc_node *node;

	if (!ep->nr_waiting)
		return NULL;
	node = kipc_match_in(&ep->waiting[kipc_waiting(KIPC_CLASS_CALL, 0)], type);
	/* Who takes calls takes messages, too */
	if (!msg->call)
		node = kipc_earlier(node, kipc_match_in(&ep->waiting[kipc_waiting(KIPC_CLASS_ONEWAY,
										  0)], type));
	return node ? container_of(node, struct kipc_receiver, node) : NULL;
}

/* Capacity */

/*
 * With SYSV: the payer pays for messages beyond those that were promised when they come. If that
 * would leave too little for what he chooses himself, the queue is full; there will be room when
 * something is taken out of it, since an empty one has been promised more than any message costs.
 */
static noinline bool kipc_pay_for(struct kipc_ep *ep, u64 cost)
{
	u64 more = cost - ep->charged + KIPC_CHARGE_STEP;

	if (ep->dead)
		return false;
	if (!kipc_account_try(ep->payer, KIPC_CHARGE_CAPACITY, more)) {
		more -= KIPC_CHARGE_STEP;
		if (!kipc_account_try(ep->payer, KIPC_CHARGE_CAPACITY, more))
			return false;
	}
	ep->charged += more;
	return true;
}

/* The queue has become shorter: what was paid beyond the promise goes back, but for a rest */
static noinline void kipc_pay_back(struct kipc_ep *ep)
{
	u64 queued = kipc_queue_cost(ep), cost = max(ep->promised, queued);
	u64 spare = ep->charged > cost ? ep->charged - cost : 0;
	u64 rest = queued ? KIPC_CHARGE_STEP : 0;

	if (spare <= 2 * rest)
		return;
	kipc_account_uncharge(ep->payer, KIPC_CHARGE_CAPACITY, spare - rest);
	ep->charged -= spare - rest;
}

/* Is there room? With SYSV it is paid for then, whether a message comes or not */
static bool kipc_fits(struct kipc_ep *ep, u64 size)
{
	if (ep->msgs >= ep->max_msgs || ep->bytes > ep->max_bytes ||
	    size > ep->max_bytes - ep->bytes)
		return false;
	return likely(!(ep->flags & KIPC_ENDPOINT_SYSV)) ||
	       kipc_queue_cost(ep) + size + KIPC_MSG_COST <= ep->charged ||
	       kipc_pay_for(ep, kipc_queue_cost(ep) + size + KIPC_MSG_COST);
}

static bool kipc_share_fits(const struct kipc_ep *ep, const struct kipc_share *share, u64 size)
{
	if (!share->msgs || kipc_share_owner(ep, share) ||
	    ep->flags & KIPC_ENDPOINT_FIRST_COME)
		return true;
	return kipc_share_allows(ep->max_msgs, ep->msgs - share->msgs, share->msgs + 1) &&
	       kipc_share_allows(ep->max_bytes, ep->bytes - share->bytes, share->bytes + size);
}

/* Would a message be admitted? Nobody gets past who waits already, but with FIRST_COME */
static bool kipc_admissible(struct kipc_ep *ep, const struct kipc_share *share, u64 place,
			    u64 size)
{
	const struct kipc_msg *ahead = blocked_msg(rb_first_cached(&share->blocked));

	if (!kipc_fits(ep, size) || !kipc_share_fits(ep, share, size))
		return false;
	/* At a rendezvous those who wait, wait for receivers: they take nobody's room */
	if (ep->flags & (KIPC_ENDPOINT_RENDEZVOUS | KIPC_ENDPOINT_FIRST_COME))
		return true;
	return place <= ep->full_from && (!ahead || place < kipc_msg_place(ahead));
}

bool kipc_writable(struct kipc_ep *ep, const struct kipc_share *share)
{
	u64 place = kipc_place(0, ep->arrivals);
	/* FIRST_COME: max_bytes may be less, and for more than that there is never room */
	u64 size = min3((u64)ep->max_size, (u64)READ_ONCE(ep->msgmax), ep->max_bytes);

	lockdep_assert_held(&ep->lock);
	if ((!(ep->flags & KIPC_ENDPOINT_RENDEZVOUS) || ep->nr_waiting) &&
	    kipc_admissible(ep, share, place, size))
		return true;
	ep->want_room = true;
	return false;
}

/* What @msg counts among those that are handed over: as in what the capacity is charged as */
static u64 kipc_weight(const struct kipc_msg *msg)
{
	return msg->size + KIPC_MSG_COST;
}

/* A message that was handed over is not on its way any more */
static noinline void kipc_arrived(struct kipc_ep *ep, struct kipc_msg *msg)
{
	msg->handed = false;
	ep->handed -= kipc_weight(msg);
	if (ep->charged > ep->promised)
		kipc_pay_back(ep);
}

static inline void kipc_charge(struct kipc_ep *ep, struct kipc_msg *msg)
{
	ep->msgs++;
	ep->bytes += msg->size;
	msg->share->msgs++;
	msg->share->bytes += msg->size;
	msg->charged = true;
	if (ep->flags & KIPC_ENDPOINT_SYSV)
		kipc_ns_count(ep->ns, 1, msg->size);
}

/* Somebody may be able to send now who was not before */
static void kipc_tell_writable(struct kipc_ep *ep, struct kipc_after *after)
{
	if (!ep->want_room || !kipc_polled(&ep->write_wait))
		return;
	ep->want_room = false;
	kipc_after_writable(after, EPOLLOUT | EPOLLWRNORM);
}

static void kipc_made_room(struct kipc_ep *ep, struct kipc_after *after)
{
	after->room = true;
	kipc_tell_writable(ep, after);
}

static inline void kipc_release(struct kipc_ep *ep, struct kipc_msg *msg)
{
	ep->msgs--;
	ep->bytes -= msg->size;
	msg->share->msgs--;
	msg->share->bytes -= msg->size;
	msg->charged = false;
	if (ep->flags & KIPC_ENDPOINT_SYSV)
		kipc_ns_count(ep->ns, -1, -(s64)msg->size);
	if (unlikely(ep->charged > ep->promised))
		kipc_pay_back(ep);
}

static inline void kipc_uncharge(struct kipc_ep *ep, struct kipc_msg *msg,
				 struct kipc_after *after)
{
	if (msg->charged) {
		kipc_release(ep, msg);
		kipc_made_room(ep, after);
	} else if (unlikely(msg->handed)) {
		kipc_arrived(ep, msg);
		/* It was paid for: that may be what others wait for */
		if (ep->flags & KIPC_ENDPOINT_SYSV)
			kipc_made_room(ep, after);
	}
}

/* Its sender counts as a waiter no more */
static void kipc_unwait(struct kipc_ep *ep, struct kipc_msg *msg)
{
	if (!msg->waiting)
		return;
	msg->waiting = false;
	kipc_share_unwait(ep, msg->share);
}

void kipc_settle(struct kipc_ep *ep, struct kipc_msg *msg, struct kipc_after *after)
{
	lockdep_assert_held(&ep->lock);
	kipc_unwait(ep, msg);
	kipc_uncharge(ep, msg, after);
	kipc_share_put(ep, msg->share, after);
	msg->share = NULL;
	if (unlikely(msg->nfds))
		kipc_after_files(after, msg);
}

/* In and out of the queue */

static noinline void kipc_block(struct kipc_ep *ep, struct kipc_msg *msg)
{
	struct kipc_share *share = msg->share;
	bool first;

	if (!RB_EMPTY_ROOT(&share->blocked.rb_root))
		rb_erase_cached(&share->stalled, &ep->stalled);
	first = rb_add_cached(&msg->blocked, &share->blocked, kipc_blocked_less);
	rb_add_cached(&share->stalled, &ep->stalled, kipc_stalled_less);
	/* As kipc_admit() finds it: behind one of its share it waits for that one, not for room */
	if (first && !(ep->flags & (KIPC_ENDPOINT_RENDEZVOUS | KIPC_ENDPOINT_FIRST_COME)) &&
	    msg->size <= ep->max_bytes && !kipc_fits(ep, msg->size) &&
	    kipc_share_fits(ep, share, msg->size))
		ep->full_from = min(ep->full_from, kipc_msg_place(msg));
	trace_kipc_block(ep, msg);
}

static noinline void kipc_unblock(struct kipc_ep *ep, struct kipc_msg *msg)
{
	struct kipc_share *share = msg->share;

	rb_erase_cached(&share->stalled, &ep->stalled);
	rb_erase_cached(&msg->blocked, &share->blocked);
	if (!RB_EMPTY_ROOT(&share->blocked.rb_root))
		rb_add_cached(&share->stalled, &ep->stalled, kipc_stalled_less);
	else if (!kipc_stalled(ep))
		ep->full_from = U64_MAX;
}

/* @msg has come into the queue, or goes: @by is 1 or -1 */
static noinline void kipc_cursor_count(struct kipc_cursor *cursor, const struct kipc_msg *msg,
				       int by)
{
	if (kipc_msg_place(msg) <= cursor->place && !(cursor->nocalls && msg->call))
		cursor->passed += by;
}

static __always_inline void kipc_queue_add(struct kipc_queue *queue, struct kipc_msg *msg)
{
	if (!kipc_fifo_add(queue, msg))
		kipc_tree_add(queue, msg);
}

static void kipc_queue_del(struct kipc_queue *queue, struct kipc_msg *msg)
{
	if (likely(!hlist_unhashed(&msg->link)))
		kipc_fifo_del(queue, msg);
	else
		kipc_tree_del(queue, msg);
}

static void kipc_hold_back(struct kipc_ep *ep, struct kipc_msg *msg)
{
	kipc_queue_add(&ep->queue[KIPC_HELD_BACK], msg);
	msg->state = KIPC_MSG_BLOCKED;
	kipc_block(ep, msg);
}

static void kipc_enqueue(struct kipc_ep *ep, struct kipc_msg *msg, struct kipc_after *after)
{
	ep->queued++;
	if (unlikely(ep->cursor))
		kipc_cursor_count(ep->cursor, msg, 1);
	kipc_queue_add(kipc_queue_of(ep, msg), msg);
	msg->state = msg->charged ? KIPC_MSG_QUEUED : KIPC_MSG_BLOCKED;
	if (!msg->charged)
		kipc_block(ep, msg);
	if (kipc_polled(&ep->read_wait))
		kipc_after_readable(after, EPOLLIN | EPOLLRDNORM);
	if (kipc_polled(&ep->peek_wait))
		kipc_after_peekers(after);
	/* One that comes back is told, too: behind it no other will be the first */
	if (unlikely(ep->notify) && ep->queued == 1)
		kipc_notify_give(ep, msg);
}

static void kipc_dequeue(struct kipc_ep *ep, struct kipc_msg *msg, struct kipc_after *after)
{
	bool blocked = msg->state == KIPC_MSG_BLOCKED;

	if (unlikely(blocked && kipc_holds_back(ep))) {
		kipc_queue_del(&ep->queue[KIPC_HELD_BACK], msg);
	} else {
		ep->queued--;
		if (unlikely(ep->cursor))
			kipc_cursor_count(ep->cursor, msg, -1);
		kipc_queue_del(kipc_queue_of(ep, msg), msg);
	}
	if (blocked) {
		kipc_unblock(ep, msg);
		if (!kipc_holds_back(ep))
			kipc_made_room(ep, after);	/* others may have stood behind it */
	}
}

/* A delivery token is made with the claim, so that it can be copied out before the commit */
static void kipc_begin_claim(struct kipc_ep *ep, struct kipc_msg *msg)
{
	msg->state = KIPC_MSG_CLAIMED;
	hlist_add_head(&msg->link, &ep->claims);
	if (msg->call) {
		if (!ep->next_token)
			ep->next_token++;
		to_call(msg)->token = ep->next_token++;
	}
	trace_kipc_claim(ep, msg);
}

void kipc_claim(struct kipc_ep *ep, struct kipc_msg *msg, struct kipc_after *after)
{
	lockdep_assert_held(&ep->lock);
	kipc_dequeue(ep, msg, after);
	kipc_begin_claim(ep, msg);
}

struct kipc_msg *kipc_claim_next(struct kipc_ep *ep, const struct kipc_receiver *receiver,
				 u64 room, struct kipc_after *after)
{
	struct kipc_msg *msg = kipc_select(ep, receiver);

	if (!msg || msg->size > room || !kipc_sender_allowed(ep, msg))
		return NULL;
	kipc_claim(ep, msg, after);
	return msg;
}

/*
 * At a FIRST_COME endpoint what somebody waits for is in the queue at no time, and takes
 * nobody's room; but all that is on its way so may not be more than the queue has room for.
 */
static noinline void kipc_discount(struct kipc_ep *ep, struct kipc_msg *msg,
				   const struct kipc_receiver *receiver)
{
	if (msg->call ||
	    ep->handed + kipc_weight(msg) > ep->max_bytes + (u64)ep->max_msgs * KIPC_MSG_COST)
		return;
	msg->handed = true;
	ep->handed += kipc_weight(msg);
	kipc_release(ep, msg);
	if (ep->flags & KIPC_ENDPOINT_PERSIST)
		kipc_ep_stamp(ep, &ep->received, ep->flags & KIPC_ENDPOINT_SYSV ?
			      task_pid(receiver->task) : task_tgid(receiver->task));
}

/* It has come back: it is in the queue after all, beyond the capacity if need be */
static noinline void kipc_recharge(struct kipc_ep *ep, struct kipc_msg *msg)
{
	kipc_charge(ep, msg);
	kipc_arrived(ep, msg);
}

static void kipc_hand_over(struct kipc_ep *ep, struct kipc_msg *msg,
			   struct kipc_receiver *receiver, struct kipc_after *after)
{
	kipc_begin_claim(ep, msg);
	if (unlikely(kipc_holds_back(ep)))
		kipc_discount(ep, msg, receiver);
	kipc_receiver_remove(ep, receiver, after);
	kipc_after_wake(after, receiver->task);
	/* The last access to the receiver, see kipc_take(); pairs with its acquire */
	smp_store_release(&receiver->msg, msg);
}

static noinline void kipc_receiver_fail(struct kipc_ep *ep, struct kipc_receiver *receiver,
					int error, struct kipc_after *after)
{
	kipc_receiver_remove(ep, receiver, after);
	kipc_after_wake(after, receiver->task);
	/* As in kipc_hand_over() */
	smp_store_release(&receiver->error, error);
}

static bool kipc_receiver_too_small(const struct kipc_receiver *receiver,
				    const struct kipc_msg *msg)
{
	return msg->size > receiver->fits || msg->nfds > receiver->fits_files;
}

/*
 * Tell @receiver and those that wait behind it of the room that @msg needs, up to one that has
 * it, or NULL. A batch in one hold of the lock: the next one then finds out itself, and brings
 * the message back.
 */
static noinline struct kipc_receiver *kipc_pass_by(struct kipc_ep *ep, const struct kipc_msg *msg,
						   struct kipc_receiver *receiver,
						   struct kipc_after *after)
{
	do {
		if (after->nr_passed == KIPC_BATCH)
			break;
		after->nr_passed++;
		receiver->needed = msg->size;
		receiver->needed_files = msg->nfds;
		kipc_receiver_fail(ep, receiver, -EMSGSIZE, after);
		receiver = kipc_match(ep, msg);
	} while (receiver && kipc_receiver_too_small(receiver, msg));
	return receiver;
}

/* The receiver that waits longest among those that @msg suits and that have room for it, or NULL */
static inline struct kipc_receiver *kipc_meet(struct kipc_ep *ep, const struct kipc_msg *msg,
					      struct kipc_after *after)
{
	struct kipc_receiver *receiver = kipc_match(ep, msg);

	if (receiver && unlikely(kipc_receiver_too_small(receiver, msg)))
		receiver = kipc_pass_by(ep, msg, receiver, after);
	return receiver;
}

/* Into the queue, unless somebody waits for just this */
static void kipc_offer(struct kipc_ep *ep, struct kipc_msg *msg, struct kipc_after *after)
{
	struct kipc_receiver *receiver = kipc_meet(ep, msg, after);

	if (receiver)
		kipc_hand_over(ep, msg, receiver, after);
	else
		kipc_enqueue(ep, msg, after);
}

/* It has been sent: it was admitted, or received before that */
static void kipc_sent(struct kipc_ep *ep, const struct kipc_msg *msg)
{
	if (ep->flags & KIPC_ENDPOINT_PERSIST)
		kipc_ep_stamp(ep, &ep->sent, msg->creds.pid);
}

int kipc_post(struct kipc_ep *ep, struct kipc_msg *msg, const struct kipc_file *file,
	      struct kipc_share *share, bool nowait, struct kipc_after *after)
{
	u64 place = kipc_place_for_room(ep, file, msg->prio, ep->arrivals);
	bool fits, wait;
	int err;

	lockdep_assert_held(&ep->lock);
	fits = kipc_admissible(ep, share, place, msg->size);
	if (ep->flags & KIPC_ENDPOINT_RENDEZVOUS)
		fits = fits && kipc_meet(ep, msg, after);
	ep->want_room |= !fits;	/* told, or made to wait */
	wait = !nowait && (!fits || msg->call || msg->sync);
	err = !fits && nowait ? -EAGAIN : 0;
	if (!err && wait)
		err = kipc_share_wait(ep, share);
	if (err) {
		ep->refused++;
		return err;
	}

	/* Nothing fails any more */
	msg->node.place = fits ? kipc_place(msg->prio, ep->arrivals) : place;
	ep->arrivals++;
	msg->share = share;
	if (wait) {
		msg->waiting = true;
		msg->waiter = current;
		refcount_set(&msg->ref, 2);	/* nobody has seen it yet */
	}
	if (fits) {
		kipc_charge(ep, msg);
		kipc_sent(ep, msg);
	}
	trace_kipc_send(ep, msg);
	if (msg->call)
		trace_kipc_call(ep, msg);
	if (unlikely(!fits && kipc_holds_back(ep)))
		kipc_hold_back(ep, msg);
	else
		kipc_offer(ep, msg, after);
	/* Who polls shall hear of new room if this has taken the last */
	if (kipc_polled(&ep->write_wait))
		kipc_writable(ep, share);
	return 0;
}

void kipc_requeue(struct kipc_ep *ep, struct kipc_msg *msg, struct kipc_after *after)
{
	lockdep_assert_held(&ep->lock);
	/* It was admitted once: it may exceed the capacity rather than lose its place */
	kipc_charge(ep, msg);
	kipc_offer(ep, msg, after);
}

/* There is room for a message that was held back: only now it comes into the queue */
static void kipc_let_in(struct kipc_ep *ep, struct kipc_msg *msg, struct kipc_after *after)
{
	struct kipc_notify *notify = ep->notify;

	kipc_queue_del(&ep->queue[KIPC_HELD_BACK], msg);
	msg->node.place = kipc_place(msg->prio, ep->arrivals++);
	/*
	 * As with queues of mq_overview(7) there is no notice of what waited for room; but while
	 * the message before was claimed, somebody may have seen an empty queue.
	 */
	if (notify && !kipc_notify_saw_empty(ep)) {
		ep->notify = NULL;
		kipc_offer(ep, msg, after);
		ep->notify = notify;
	} else {
		kipc_offer(ep, msg, after);
	}
}

static struct kipc_share *kipc_stalled_from(struct kipc_ep *ep, u64 place)
{
	struct rb_node *rb = ep->stalled.rb_root.rb_node;
	struct kipc_share *found = NULL;

	while (rb) {
		if (kipc_stalled_place(stalled_share(rb)) < place) {
			rb = rb->rb_right;
		} else {
			found = stalled_share(rb);
			rb = rb->rb_left;
		}
	}
	return found;
}

/* The first blocked message from @place on that waits for nobody of its own share */
static struct kipc_msg *kipc_admit_next(struct kipc_ep *ep, u64 place)
{
	struct kipc_share *share;

	if (kipc_holds_back(ep))
		return kipc_behind(&ep->queue[KIPC_HELD_BACK], place ? place - 1 : 0);
	share = kipc_stalled_from(ep, place);
	return share ? blocked_msg(rb_first_cached(&share->blocked)) : NULL;
}

/*
 * One pass goes through the shares in the order of their first blocked message.
 * One that has its share is passed over, as is one for which there will be no room
 * before SET makes some; one that waits for room which anybody could
 * use ends the pass, and full_from remembers it. With FIRST_COME the pass goes through
 * all blocked messages, and one that does not fit holds up nobody behind it.
 * Between two batches full_from is where the pass stands, so that nobody gets past it:
 * who comes then waits, or is told EAGAIN, as if the queue were full (but with FIRST_COME).
 *
 * It takes half a batch: a sender is woken and, for a message that was held back, a receiver.
 */
noinline bool kipc_admit(struct kipc_ep *ep, u64 *place, struct kipc_after *after)
{
	unsigned int i;

	lockdep_assert_held(&ep->lock);
	if (ep->dead || ep->flags & KIPC_ENDPOINT_RENDEZVOUS)
		return false;
	if (*place && ep->full_from < *place)
		return false;	/* somebody else has found the end */
	ep->full_from = U64_MAX;
	for (i = 0; i < KIPC_BATCH / 2; i++) {
		struct kipc_msg *msg = kipc_admit_next(ep, *place);

		if (!msg)
			return false;
		*place = kipc_msg_place(msg) + 1;
		if (msg->size > ep->max_bytes || !kipc_share_fits(ep, msg->share, msg->size))
			continue;
		if (!kipc_fits(ep, msg->size)) {
			if (kipc_holds_back(ep) && kipc_fits(ep, 0))
				continue;	/* a smaller one may */
			ep->full_from = kipc_msg_place(msg);
			return false;
		}
		if (!kipc_sender_allowed(ep, msg)) {
			kipc_giveup(ep, msg, -EACCES, after);
			continue;
		}
		kipc_unblock(ep, msg);
		kipc_charge(ep, msg);
		kipc_sent(ep, msg);
		msg->state = KIPC_MSG_QUEUED;
		if (!msg->call && !msg->sync)
			kipc_done(ep, msg, 0, after);
		if (kipc_holds_back(ep))
			kipc_let_in(ep, msg, after);
	}
	ep->full_from = *place;
	return true;
}

bool kipc_recheck_senders(struct kipc_ep *ep, u64 *place, u64 end, struct kipc_after *after)
{
	unsigned int i;

	lockdep_assert_held(&ep->lock);
	for (i = 0; i < KIPC_BATCH; i++) {
		struct kipc_msg *msg = kipc_blocked_next(ep, *place);

		if (!msg)
			return false;
		*place = kipc_msg_place(msg);
		if ((*place & KIPC_ARRIVAL_MASK) >= end)
			*place |= KIPC_ARRIVAL_MASK;	/* on to the next priority */
		else if (!kipc_sender_allowed(ep, msg))
			kipc_giveup(ep, msg, -EACCES, after);
	}
	return true;
}

/* Outcomes */

void kipc_done(struct kipc_ep *ep, struct kipc_msg *msg, int error, struct kipc_after *after)
{
	struct task_struct *waiter = msg->waiter;

	lockdep_assert_held(&ep->lock);
	if (msg->done)
		return;
	msg->error = error;
	msg->waiter = NULL;
	kipc_unwait(ep, msg);
	if (msg->call)
		kipc_call_finished(to_call(msg), after);
	if (waiter)
		kipc_after_wake(after, waiter);
	/* KIPC_DONE_BARRIER, see message.h */
	smp_store_release(&msg->done, true);
}

/* The receiving side is finished with a message that is not in the queue */
static void kipc_drop(struct kipc_ep *ep, struct kipc_msg *msg, struct kipc_after *after)
{
	trace_kipc_drop(ep, msg);
	kipc_settle(ep, msg, after);
	kipc_after_put(after, msg);
}

noinline void kipc_giveup(struct kipc_ep *ep, struct kipc_msg *msg, int error,
			  struct kipc_after *after)
{
	lockdep_assert_held(&ep->lock);
	switch (msg->state) {
	case KIPC_MSG_BLOCKED:
	case KIPC_MSG_QUEUED:
		kipc_dequeue(ep, msg, after);
		msg->state = KIPC_MSG_CANCELLED;
		kipc_done(ep, msg, error, after);
		kipc_drop(ep, msg, after);
		break;
	case KIPC_MSG_CLAIMED:
		if (msg->abort)
			break;
		msg->abort = true;
		hlist_del_init(&msg->link);
		kipc_done(ep, msg, error, after);
		break;
	case KIPC_MSG_DELIVERED:
		if (!msg->call)
			break;
		msg->state = KIPC_MSG_CANCELLED;
		kipc_done(ep, msg, error, after);
		kipc_settle(ep, msg, after);
		kipc_call_linger(ep, to_call(msg), after);
		break;
	}
}

/* The claim of a message whose sender has left, or whose endpoint has ended */
static bool kipc_claim_void(struct kipc_ep *ep, struct kipc_msg *msg, struct kipc_after *after)
{
	if (ep->dead)
		kipc_giveup(ep, msg, -EIDRM, after);
	if (!msg->abort)
		return false;
	msg->state = KIPC_MSG_CANCELLED;
	kipc_drop(ep, msg, after);
	return true;
}

noinline void kipc_unclaim(struct kipc_ep *ep, struct kipc_msg *msg, struct kipc_after *after)
{
	lockdep_assert_held(&ep->lock);
	if (unlikely(msg->handed))
		kipc_recharge(ep, msg);
	if (!kipc_sender_allowed(ep, msg))
		kipc_giveup(ep, msg, -EACCES, after);
	if (kipc_claim_void(ep, msg, after))
		return;
	hlist_del_init(&msg->link);
	/* It may be admitted by now, or be handed to another one who waits */
	if (!msg->charged || kipc_holds_back(ep))
		kipc_made_room(ep, after);
	kipc_offer(ep, msg, after);
}

bool kipc_commit(struct kipc_ep *ep, struct kipc_msg *msg, struct kipc_file *file,
		 struct kipc_after *after)
{
	lockdep_assert_held(&ep->lock);
	if (kipc_claim_void(ep, msg, after))
		return false;
	hlist_del_init(&msg->link);
	msg->deliveries++;
	msg->state = KIPC_MSG_DELIVERED;
	file->server = task_tgid(current);
	if (ep->flags & KIPC_ENDPOINT_PERSIST && !msg->handed) {
		if (!msg->charged)
			kipc_sent(ep, msg);
		kipc_ep_stamp(ep, &ep->received, task_tgid(current));
	}
	trace_kipc_deliver(ep, msg);
	if (msg->call) {
		kipc_uncharge(ep, msg, after);
		if (!to_call(msg)->idempotent) {
			kipc_after_spend(after, msg);
			if (unlikely(msg->nfds))
				kipc_after_files(after, msg);
		}
		kipc_call_deliver(ep, to_call(msg), file);
	} else {
		kipc_done(ep, msg, 0, after);
		kipc_settle(ep, msg, after);
	}
	return true;
}

/* Waiting receivers */

static struct kipc_index *kipc_receiver_index(struct kipc_ep *ep,
					      const struct kipc_receiver *receiver)
{
	enum kipc_class class = receiver->nocalls ? KIPC_CLASS_ONEWAY : KIPC_CLASS_CALL;
	enum kipc_select select = receiver->select;

	return &ep->waiting[kipc_waiting(class, select == KIPC_SELECT_ANY ? KIPC_SELECT_LE :
						select)];
}

int kipc_receiver_wait(struct kipc_ep *ep, struct kipc_receiver *receiver, struct kipc_file *file,
		       struct kipc_share *share, struct kipc_after *after)
{
	int err;

	lockdep_assert_held(&ep->lock);
	err = kipc_share_wait(ep, share);
	if (err)
		return err;
	receiver->msg = NULL;
	receiver->error = 0;
	receiver->share = share;
	receiver->file = file->ep ? file : NULL;
	receiver->task = current;
	receiver->waiting = true;
	receiver->node.key = receiver->type;
	receiver->node.place = ++ep->waits;
	if (receiver->select == KIPC_SELECT_ANY) {
		receiver->node.key = U64_MAX;
		receiver->node.place = kipc_turn(file, ep->waits);
	}
	receiver->index = kipc_receiver_index(ep, receiver);
	kipc_index_insert(receiver->index, &receiver->node);
	if (receiver->file)
		receiver->file->nr_receivers++;
	ep->nr_waiting++;
	if (ep->flags & KIPC_ENDPOINT_RENDEZVOUS)
		kipc_tell_writable(ep, after);
	return 0;
}

void kipc_receiver_remove(struct kipc_ep *ep, struct kipc_receiver *receiver,
			  struct kipc_after *after)
{
	lockdep_assert_held(&ep->lock);
	kipc_index_erase(receiver->index, &receiver->node);
	if (receiver->file)
		receiver->file->nr_receivers--;
	ep->nr_waiting--;
	receiver->waiting = false;
	kipc_share_unwait(ep, receiver->share);
	kipc_share_put(ep, receiver->share, after);
}

/*
 * The first receiver from @walk on, which moves past it; NULL at the end. Those that
 * began to wait since do not make the walk longer.
 */
static struct kipc_receiver *kipc_receiver_next(struct kipc_ep *ep, struct kipc_walk *walk)
{
	lockdep_assert_held(&ep->lock);
	while (walk->index < KIPC_WAITINGS) {
		struct kipc_index *index = &ep->waiting[walk->index];
		u64 rank = walk->place & ~KIPC_ARRIVAL_MASK;
		struct kipc_node *node = kipc_index_seek_upto(index, walk->key, walk->place,
							      rank | walk->end);

		if (node) {
			walk->key = node->key;
			walk->place = node->place + 1;
			return container_of(node, struct kipc_receiver, node);
		}
		/* Who has a lower rank than 0 waits without a selector, see kipc_turn() */
		node = kipc_index_seek(index, U64_MAX, (rank | KIPC_ARRIVAL_MASK) + 1);
		walk->index += !node;
		walk->key = node ? U64_MAX : 0;
		walk->place = node ? node->place & ~KIPC_ARRIVAL_MASK : 0;
	}
	return NULL;
}

bool kipc_recheck_receivers(struct kipc_ep *ep, struct kipc_walk *walk, struct kipc_after *after)
{
	unsigned int i;

	lockdep_assert_held(&ep->lock);
	kipc_after_peekers(after);
	for (i = 0; i < KIPC_BATCH; i++) {
		struct kipc_receiver *receiver = kipc_receiver_next(ep, walk);
		int err;

		if (!receiver)
			return false;
		err = kipc_permission_of(ep, receiver->cred, KIPC_MAY_RECV);
		if (!err && receiver->room < ep->max_size) {
			receiver->needed = ep->max_size;
			receiver->needed_files = 0;
			err = -EMSGSIZE;
		}
		if (err)
			kipc_receiver_fail(ep, receiver, err, after);
	}
	return true;
}

bool kipc_shutdown_receivers(struct kipc_ep *ep, struct kipc_file *file, struct kipc_walk *walk,
			     struct kipc_after *after)
{
	unsigned int i;

	lockdep_assert_held(&ep->lock);
	for (i = 0; i < KIPC_BATCH && file->nr_receivers; i++) {
		struct kipc_receiver *receiver = kipc_receiver_next(ep, walk);

		if (!receiver)
			return false;
		if (receiver->file == file)
			kipc_receiver_fail(ep, receiver, -ESHUTDOWN, after);
	}
	return file->nr_receivers;
}

/* The end */

static struct kipc_msg *kipc_drain_next(struct kipc_ep *ep)
{
	struct kipc_msg *msg = kipc_queue_next(ep, false, 0);
	struct kipc_call *call;

	if (!msg)
		msg = kipc_behind(&ep->queue[KIPC_HELD_BACK], 0);
	if (!msg)
		msg = hlist_entry_safe(ep->claims.first, struct kipc_msg, link);
	if (!msg) {
		call = hlist_entry_safe(ep->delivered.first, struct kipc_call, delivered);
		msg = call ? &call->msg : NULL;
	}
	return msg;
}

bool kipc_drain(struct kipc_ep *ep, struct kipc_after *after)
{
	unsigned int i;

	lockdep_assert_held(&ep->lock);
	for (i = 0; i < KIPC_BATCH; i++) {
		struct kipc_walk walk = { .end = U64_MAX };
		struct kipc_receiver *receiver = kipc_receiver_next(ep, &walk);
		struct kipc_msg *msg;

		if (receiver) {
			kipc_receiver_fail(ep, receiver, -EIDRM, after);
			continue;
		}
		msg = kipc_drain_next(ep);
		if (!msg)
			return false;
		kipc_giveup(ep, msg, -EIDRM, after);
	}
	return true;
}

/* Waiting senders */

int kipc_wait_done(struct kipc_msg *msg, struct kipc_deadline *deadline)
{
	int err;

	for (;;) {
		set_current_state(TASK_INTERRUPTIBLE);
		err = 0;
		/* KIPC_DONE_BARRIER, see message.h */
		if (smp_load_acquire(&msg->done))
			break;
		err = kipc_deadline_sleep(deadline);
		if (err)
			break;
	}
	kipc_deadline_end(deadline);
	return err;
}
