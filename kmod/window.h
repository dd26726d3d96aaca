/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * DOC: the buffer of a caller that waits
 *
 * While a caller waits for a large reply its buffer may be pinned and open to who
 * answers, who then writes there instead of into the kernel: the same as kipc_pins for
 * requests, the other way round.
 *
 * Nobody faults on, or waits for, the memory of another: a step of at most a page is
 * written under @lock without faults on the writer's side either; what is not there is
 * faulted in between two steps. So the caller, who closes the window at the end of its
 * wait whatever that ends with, waits for one such step at most, and nobody writes
 * into its memory from then on.
 *
 * One writes at a time. Another one, and who finds the window closed, makes its reply
 * in kernel memory. A reply that stands in the window counts only if that is still
 * open at the commit: a wait that ends without a reply closes it under ep->lock.
 */
#ifndef _KIPC_WINDOW_H
#define _KIPC_WINDOW_H

#include <linux/spinlock.h>
#include <linux/types.h>

struct kipc_pins;

/**
 * struct kipc_window - a buffer
 * @pins: it; NULL: closed, and @lock and @busy mean nothing (@lock)
 * @lock: see above; inside ep->lock
 * @busy: somebody writes (@lock)
 */
struct kipc_window {
	struct kipc_pins *pins;
	spinlock_t lock;		/* protects the buffer; inside ep->lock */
	bool busy;
};

static inline bool kipc_window_is_open(const struct kipc_window *window)
{
	return READ_ONCE(window->pins);
}

/* The caller's side: before anybody can see it. It remains closed if it cannot be opened. */
void kipc_window_open(struct kipc_window *window, u64 base, size_t size);
/* Nobody writes there any more. What is returned is to be freed; NULL: it was closed. */
struct kipc_pins *kipc_window_close(struct kipc_window *window);

/* The writer's side: be the one; false: it is closed, or another one is there */
bool kipc_window_enter(struct kipc_window *window, size_t size);
void kipc_window_leave(struct kipc_window *window);
/* Write @len bytes of the calling process at @at; -EFAULT, -EINTR (killed), -ESTALE (closed) */
int kipc_window_write(struct kipc_window *window, size_t at, u64 from, size_t len);

#endif /* _KIPC_WINDOW_H */
