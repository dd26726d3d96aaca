/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * DOC: payloads in their sender's own pages
 *
 * A sender that waits until its message has been received need not have its payload
 * copied into the kernel: it pins its own pages, in its own context, which alone may
 * fault there, and the receiver copies from them. From @kipc_pin_min bytes on, in one
 * segment, and only for what is delivered at most once: an IDEMPOTENT or ASYNC call
 * must be able to do without its sender's memory.
 *
 * Whatever is in the way (no memory, RLIMIT_MEMLOCK, pages that cannot be pinned)
 * is no error: the payload is copied, as without pins.
 *
 * The pages are charged to the sender's user as locked memory, since nobody knows how
 * long it waits. What the sender's other threads write there meanwhile, a receiver may
 * see; nothing in the kernel depends on what is in it. They are let go when the message
 * is delivered, or its sender has left and nobody copies from them any more. Who copies
 * while the sender leaves sees that afterwards, under ep->lock, and discards it.
 */
#ifndef _KIPC_PINS_H
#define _KIPC_PINS_H

#include <linux/types.h>

struct page;
struct user_struct;

/**
 * struct kipc_pins - pinned memory of a user; constant
 * @free_node: on a kipc_after's list at its end
 * @user: who is charged for it, held
 * @size: bytes
 * @offset: of the first byte in the first page
 * @nr: pages
 * @pages: those
 */
struct kipc_pins {
	struct hlist_node free_node;
	struct user_struct *user;
	size_t size;
	unsigned int offset;
	unsigned int nr;
	struct page *pages[];
};

/* Pin the caller's memory, @size bytes at @base, to read from it. NULL: copy instead. */
struct kipc_pins *kipc_pins_new(u64 base, size_t size);
/* May sleep */
void kipc_pins_free(struct kipc_pins *pins);

/* Copy @len bytes, beginning with the @at-th, to the caller's memory: -EFAULT */
int kipc_pins_copy_out(const struct kipc_pins *pins, size_t at, u64 to, size_t len);

#endif /* _KIPC_PINS_H */
