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

#include <linux/rbtree.h>
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
	struct rb_root_cached root;
};

static inline bool kipc_index_empty(const struct kipc_index *index)
{
	return RB_EMPTY_ROOT(&index->root.rb_root);
}

void kipc_index_insert(struct kipc_index *index, struct kipc_node *node);
void kipc_index_erase(struct kipc_index *index, struct kipc_node *node);

/* The node with the smallest place, or NULL: of this key, >= @key, <= @key, all others */
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
