// SPDX-License-Identifier: GPL-2.0-only
/* See index.h. */
#include "index.h"

#define index_node(p) rb_entry(p, struct kipc_node, rb)

static struct kipc_node *kipc_better(struct kipc_node *a, struct kipc_node *b)
{
	if (!a)
		return b;
	return b && b->place < a->place ? b : a;
}

static struct kipc_node *kipc_subtree_best(struct rb_node *rb)
{
	return rb ? index_node(rb)->best : NULL;
}

static inline bool kipc_node_compute(struct kipc_node *node, bool exit)
{
	struct kipc_node *best = node;

	best = kipc_better(best, kipc_subtree_best(node->rb.rb_left));
	best = kipc_better(best, kipc_subtree_best(node->rb.rb_right));
	if (exit && node->best == best)
		return true;
	node->best = best;
	return false;
}

RB_DECLARE_CALLBACKS(static, kipc_node_augment, struct kipc_node, rb, best, kipc_node_compute);

static bool kipc_node_less(const struct kipc_node *node, u64 key, u64 place)
{
	return node->key < key || (node->key == key && node->place < place);
}

noinline void kipc_index_insert_more(struct kipc_index *index, struct kipc_node *node)
{
	struct rb_node **link = &index->root.rb_node, *parent = NULL;

	while (*link) {
		struct kipc_node *other;

		parent = *link;
		other = index_node(parent);
		if (node->place < other->best->place)
			other->best = node;
		if (kipc_node_less(other, node->key, node->place))
			link = &parent->rb_right;
		else
			link = &parent->rb_left;
	}
	node->best = node;
	rb_link_node(&node->rb, parent, link);
	rb_insert_augmented(&node->rb, &index->root, &kipc_node_augment);
}

noinline void kipc_index_erase_more(struct kipc_index *index, struct kipc_node *node)
{
	rb_erase_augmented(&node->rb, &index->root, &kipc_node_augment);
}

noinline struct kipc_node *kipc_index_seek(const struct kipc_index *index, u64 key, u64 place)
{
	struct rb_node *rb = index->root.rb_node;
	struct kipc_node *found = NULL;

	while (rb) {
		if (kipc_node_less(index_node(rb), key, place)) {
			rb = rb->rb_right;
		} else {
			found = index_node(rb);
			rb = rb->rb_left;
		}
	}
	return found;
}

static bool kipc_subtree_has(const struct rb_node *rb, u64 end)
{
	return rb && index_node(rb)->best->place <= end;
}

/* The first one of a subtree with a place up to @end: there is one */
static struct kipc_node *kipc_subtree_first(struct rb_node *rb, u64 end)
{
	while (kipc_subtree_has(rb->rb_left, end) || index_node(rb)->place > end)
		rb = kipc_subtree_has(rb->rb_left, end) ? rb->rb_left : rb->rb_right;
	return index_node(rb);
}

struct kipc_node *kipc_index_seek_upto(const struct kipc_index *index, u64 key, u64 place,
				       u64 end)
{
	struct kipc_node *node = kipc_index_seek(index, key, place);
	struct rb_node *rb, *parent;

	if (!node || node->place <= end)
		return node;
	rb = &node->rb;
	if (kipc_subtree_has(rb->rb_right, end))
		return kipc_subtree_first(rb->rb_right, end);
	/* Up; behind each node that we come to from the left */
	for (parent = rb_parent(rb); parent; rb = parent, parent = rb_parent(rb)) {
		if (rb == parent->rb_right)
			continue;
		if (index_node(parent)->place <= end)
			return index_node(parent);
		if (kipc_subtree_has(parent->rb_right, end))
			return kipc_subtree_first(parent->rb_right, end);
	}
	return NULL;
}

struct kipc_node *kipc_index_best_of(const struct kipc_index *index, u64 key)
{
	struct kipc_node *node = kipc_index_seek(index, key, 0);

	return node && node->key == key ? node : NULL;
}

static noinline struct kipc_node *kipc_index_search_from(const struct kipc_index *index, u64 key)
{
	struct rb_node *rb = index->root.rb_node;
	struct kipc_node *best = NULL;

	while (rb) {
		if (index_node(rb)->key < key) {
			rb = rb->rb_right;
			continue;
		}
		best = kipc_better(best, index_node(rb));
		best = kipc_better(best, kipc_subtree_best(rb->rb_right));
		rb = rb->rb_left;
	}
	return best;
}

struct kipc_node *kipc_index_best_from(const struct kipc_index *index, u64 key)
{
	struct kipc_node *best = kipc_index_best(index);

	/* The best of all, if it is one of those */
	return !best || best->key >= key ? best : kipc_index_search_from(index, key);
}

noinline struct kipc_node *kipc_index_best_upto(const struct kipc_index *index, u64 key)
{
	struct rb_node *rb = index->root.rb_node;
	struct kipc_node *best = NULL;

	while (rb) {
		if (index_node(rb)->key > key) {
			rb = rb->rb_left;
			continue;
		}
		best = kipc_better(best, index_node(rb));
		best = kipc_better(best, kipc_subtree_best(rb->rb_left));
		rb = rb->rb_right;
	}
	return best;
}

noinline struct kipc_node *kipc_index_best_except(const struct kipc_index *index, u64 key)
{
	struct kipc_node *best = NULL;

	if (key > 0)
		best = kipc_index_best_upto(index, key - 1);
	if (key < U64_MAX)
		best = kipc_better(best, kipc_index_best_from(index, key + 1));
	return best;
}
