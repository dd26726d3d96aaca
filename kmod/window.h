/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * DOC: the memory of who waits, open to the other side
 *
 * While a sender waits until its payload was received, and while a caller waits for a
 * large reply, its memory may be pinned (pins.h) and open to the other side: receivers
 * and peekers read the payload there, and who answers writes the reply there.
 *
 * It is open only as long as its owner waits. Who waits closes it at the end of its wait,
 * whatever that ends with, before it returns to user space: from then on nobody reads
 * what it keeps there next, and nobody writes there. That must not take long, whatever
 * the others do: a copy goes in steps of a few pages, each under @lock and without
 * faults on the other side's memory either; what is not there is faulted in between two
 * steps. Who closes waits for the steps under way at most. Who finds it closed in the
 * middle has no use for what it has copied: its message was withdrawn, or received.
 *
 * A payload is read by several at a time. A reply is written by one; another one, and who
 * finds the window closed, makes its reply in kernel memory. A reply that stands in the
 * window counts only if that is still open at the commit: a wait that ends without a
 * reply closes it under ep->lock.
 */
#ifndef _KIPC_WINDOW_H
#define _KIPC_WINDOW_H

#include <linux/spinlock.h>
#include <linux/types.h>

struct iov_iter;
struct kipc_pins;

/**
 * struct kipc_window - a buffer
 * @pins: it; NULL: closed (@lock)
 * @lock: held for reading by who copies a step; inside ep->lock
 * @busy: somebody writes a reply (@lock)
 *
 * Of a window that was never open only @pins means anything.
 */
struct kipc_window {
	struct kipc_pins *pins;
	rwlock_t lock;			/* protects the buffer; inside ep->lock */
	bool busy;
};

static inline bool kipc_window_is_open(const struct kipc_window *window)
{
	return READ_ONCE(window->pins);
}

/* The owner's side: before anybody can see it. Without @pins it remains closed. */
void kipc_window_open(struct kipc_window *window, struct kipc_pins *pins);
/* Nobody copies there any more. What is returned is to be freed; NULL: it was closed. */
struct kipc_pins *kipc_window_close(struct kipc_window *window);
/* Close it, if it is open, and let go of the memory. May sleep. */
void kipc_window_end(struct kipc_window *window);

/* The replier's side: be the one; false: it is closed, or another one is there */
bool kipc_window_enter(struct kipc_window *window, size_t size);
void kipc_window_leave(struct kipc_window *window);

/*
 * Copy @len bytes of the calling process there, or from there to the calling process,
 * beginning with the @at-th: -EFAULT, -EINTR (killed), -ESTALE (closed)
 */
int kipc_window_write(struct kipc_window *window, size_t at, u64 from, size_t len);
int kipc_window_read(struct kipc_window *window, size_t at, u64 to, size_t len);
/* The first @len bytes, to where @to says */
int kipc_window_read_iter(struct kipc_window *window, struct iov_iter *to, size_t len);

#endif /* _KIPC_WINDOW_H */
