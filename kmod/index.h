/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * DOC: index
 *
 * An ordered set of nodes by (key, place), in which every subtree knows its
 * node with the smallest place. It answers "who is first" for one key, for all
 * keys from or up to a bound, and for all keys but one, each in O(log n).
 *
 * It is used twice: for the messages of an endpoint (key: type, place: priority
 * and arrival) and for its waiting receivers (key: what they compare with,
 * place: arrival).
 *
 * The index owns nothing and has no lock: both are its owner's. A place is
 * unique within an index. No operation allocates.
 */
#ifndef _KIPC_INDEX_H
#define _KIPC_INDEX_H

#include <linux/rbtree_augmented.h>
#include <linux/types.h>

/**
 * struct kipc_node - membership in an index
 * @rb: link in the tree
 * @key: first part of the order
 * @place: second part of the order, unique
 * @best: node with the smallest place in the subtree that starts here
 */
struct kipc_node {
	struct rb_node rb;
	u64 key;
	u64 place;
	struct kipc_node *best;
};

/**
 * struct kipc_index - the set
 * @root: its tree; zeroed memory is an empty index
 */
struct kipc_index {
	struct rb_root root;
};

static inline bool kipc_index_empty(const struct kipc_index *index)
{
	return RB_EMPTY_ROOT(&index->root);
}

/*
 * Most trees have one node at most: one server waits, one call is delivered. Then there
 * is nothing to balance.
 */

/* Put the first node into an empty tree */
static inline void kipc_rb_add_only(struct rb_root *root, struct rb_node *node)
{
	rb_link_node(node, NULL, &root->rb_node);
	rb_set_parent_color(node, NULL, RB_BLACK);
}

/* Is it the only one? Then the tree is empty when it has left. */
static inline bool kipc_rb_is_only(const struct rb_root *root, const struct rb_node *node)
{
	return root->rb_node == node && !node->rb_left && !node->rb_right;
}

void kipc_index_insert_more(struct kipc_index *index, struct kipc_node *node);
void kipc_index_erase_more(struct kipc_index *index, struct kipc_node *node);

static inline void kipc_index_insert(struct kipc_index *index, struct kipc_node *node)
{
	if (kipc_index_empty(index)) {
		node->best = node;
		kipc_rb_add_only(&index->root, &node->rb);
	} else {
		kipc_index_insert_more(index, node);
	}
}

static inline void kipc_index_erase(struct kipc_index *index, struct kipc_node *node)
{
	if (kipc_rb_is_only(&index->root, &node->rb))
		index->root = RB_ROOT;
	else
		kipc_index_erase_more(index, node);
}

/* The node with the smallest place of all, or NULL */
static inline struct kipc_node *kipc_index_best(const struct kipc_index *index)
{
	return kipc_index_empty(index) ? NULL :
	       rb_entry(index->root.rb_node, struct kipc_node, rb)->best;
}

/* The same of this key, >= @key, <= @key, all others */
struct kipc_node *kipc_index_best_of(const struct kipc_index *index, u64 key);
struct kipc_node *kipc_index_best_from(const struct kipc_index *index, u64 key);
struct kipc_node *kipc_index_best_upto(const struct kipc_index *index, u64 key);
struct kipc_node *kipc_index_best_except(const struct kipc_index *index, u64 key);

/* The first node in the order of (key, place) that is >= (@key, @place) */
struct kipc_node *kipc_index_seek(const struct kipc_index *index, u64 key, u64 place);
/* The same among those with a place up to @end */
struct kipc_node *kipc_index_seek_upto(const struct kipc_index *index, u64 key, u64 place,
				       u64 end);

#endif /* _KIPC_INDEX_H */
