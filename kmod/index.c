// SPDX-License-Identifier: GPL-2.0-only
/* See index.h. */
#include <linux/rbtree_augmented.h>

#include "index.h"

#define to_node(p) rb_entry(p, struct kipc_node, rb)

static struct kipc_node *kipc_better(struct kipc_node *a, struct kipc_node *b)
{
	if (!a)
		return b;
	return b && b->place < a->place ? b : a;
}

static struct kipc_node *kipc_subtree_best(struct rb_node *rb)
{
	return rb ? to_node(rb)->best : NULL;
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

void kipc_index_insert(struct kipc_index *index, struct kipc_node *node)
{
	struct rb_node **link = &index->root.rb_root.rb_node, *parent = NULL;
	bool leftmost = true;

	while (*link) {
		struct kipc_node *other;

		parent = *link;
		other = to_node(parent);
		if (node->place < other->best->place)
			other->best = node;
		if (kipc_node_less(other, node->key, node->place)) {
			link = &parent->rb_right;
			leftmost = false;
		} else {
			link = &parent->rb_left;
		}
	}
	node->best = node;
	rb_link_node(&node->rb, parent, link);
	rb_insert_augmented_cached(&node->rb, &index->root, leftmost, &kipc_node_augment);
}

void kipc_index_erase(struct kipc_index *index, struct kipc_node *node)
{
	rb_erase_augmented_cached(&node->rb, &index->root, &kipc_node_augment);
}

struct kipc_node *kipc_index_seek(const struct kipc_index *index, u64 key, u64 place)
{
	struct rb_node *rb = index->root.rb_root.rb_node;
	struct kipc_node *found = NULL;

	while (rb) {
		if (kipc_node_less(to_node(rb), key, place)) {
			rb = rb->rb_right;
		} else {
			found = to_node(rb);
			rb = rb->rb_left;
		}
	}
	return found;
}

struct kipc_node *kipc_index_best_of(const struct kipc_index *index, u64 key)
{
	struct kipc_node *node = kipc_index_seek(index, key, 0);

	return node && node->key == key ? node : NULL;
}

struct kipc_node *kipc_index_best_from(const struct kipc_index *index, u64 key)
{
	struct rb_node *rb = index->root.rb_root.rb_node;
	struct kipc_node *best = NULL;

	while (rb) {
		if (to_node(rb)->key < key) {
			rb = rb->rb_right;
			continue;
		}
		best = kipc_better(best, to_node(rb));
		best = kipc_better(best, kipc_subtree_best(rb->rb_right));
		rb = rb->rb_left;
	}
	return best;
}

struct kipc_node *kipc_index_best_upto(const struct kipc_index *index, u64 key)
{
	struct rb_node *rb = index->root.rb_root.rb_node;
	struct kipc_node *best = NULL;

	while (rb) {
		if (to_node(rb)->key > key) {
			rb = rb->rb_left;
			continue;
		}
		best = kipc_better(best, to_node(rb));
		best = kipc_better(best, kipc_subtree_best(rb->rb_left));
		rb = rb->rb_right;
	}
	return best;
}

struct kipc_node *kipc_index_best_except(const struct kipc_index *index, u64 key)
{
	struct kipc_node *best = NULL;

	if (key > 0)
		best = kipc_index_best_upto(index, key - 1);
	if (key < U64_MAX)
		best = kipc_better(best, kipc_index_best_from(index, key + 1));
	return best;
}
