/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * DOC: payloads in the memory of who waits
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
 * The pages are charged to their user as locked memory, since nobody knows how long it
 * waits. What the sender's other threads write there meanwhile, a receiver may
 * see; nothing in the kernel depends on what is in it. The buffer of a caller that waits
 * for its reply may be pinned likewise.
 *
 * They are let go when the message is delivered, or the wait has ended; how those that
 * copy just then are kept away stands in window.h.
 */
#ifndef _KIPC_PINS_H
#define _KIPC_PINS_H

#include <linux/types.h>

struct cred;
struct iov_iter;
struct page;

/**
 * struct kipc_pins - pinned memory of a user; constant
 * @free_node: on a kipc_after's list at its end
 * @cred: of the user who is charged for it, held; not the user alone, whom older kernels
 *	of 6.1 let no module put (free_uid())
 * @write: to be written
 * @size: bytes
 * @offset: of the first byte in the first page
 * @nr: pages
 * @pages: those
 */
struct kipc_pins {
	struct hlist_node free_node;
	const struct cred *cred;
	bool write;
	size_t size;
	unsigned int offset;
	unsigned int nr;
	struct page *pages[];
};

/* Pin the caller's memory, @size bytes at @base, to read it or to write. NULL: impossible. */
struct kipc_pins *kipc_pins_new(u64 base, size_t size, bool write);
/* May sleep */
void kipc_pins_free(struct kipc_pins *pins);

/*
 * Copy @len bytes, beginning with the @at-th, to the calling process's memory, or from
 * there if they are to be written: how many, up to what cannot be. There must be so many.
 */
size_t kipc_pins_copy(const struct kipc_pins *pins, size_t at, u64 user, size_t len);
/* Copy @len bytes, beginning with the @at-th, to where @to says: likewise */
size_t kipc_pins_copy_iter(const struct kipc_pins *pins, size_t at, struct iov_iter *to,
			   size_t len);
/* Copy the first @len bytes */
void kipc_pins_read(const struct kipc_pins *pins, void *to, size_t len);

#endif /* _KIPC_PINS_H */
