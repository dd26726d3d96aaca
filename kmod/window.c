// SPDX-License-Identifier: GPL-2.0-only
/* See window.h. */
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/uaccess.h>

#include "pins.h"
#include "window.h"

noinline void kipc_window_open(struct kipc_window *window, u64 base, size_t size)
{
	spin_lock_init(&window->lock);
	window->busy = false;
	window->pins = kipc_pins_new(base, size, true);
}

noinline struct kipc_pins *kipc_window_close(struct kipc_window *window)
{
	struct kipc_pins *pins;

	if (!kipc_window_is_open(window))
		return NULL;
	spin_lock(&window->lock);
	pins = window->pins;
	WRITE_ONCE(window->pins, NULL);
	spin_unlock(&window->lock);
	return pins;
}

bool kipc_window_enter(struct kipc_window *window, size_t size)
{
	bool entered;

	if (!kipc_window_is_open(window))
		return false;
	spin_lock(&window->lock);
	entered = window->pins && window->pins->size >= size && !window->busy;
	window->busy |= entered;
	spin_unlock(&window->lock);
	return entered;
}

void kipc_window_leave(struct kipc_window *window)
{
	spin_lock(&window->lock);
	window->busy = false;
	spin_unlock(&window->lock);
}

/* One step: bytes written, -ESTALE */
static long kipc_window_step(struct kipc_window *window, size_t at, u64 from, size_t len)
{
	long written = -ESTALE;

	spin_lock(&window->lock);
	if (window->pins) {
		pagefault_disable();
		written = kipc_pins_copy_in(window->pins, at, from, len);
		pagefault_enable();
	}
	spin_unlock(&window->lock);
	return written;
}

int kipc_window_write(struct kipc_window *window, size_t at, u64 from, size_t len)
{
	if (!access_ok(u64_to_user_ptr(from), len))
		return -EFAULT;
	while (len) {
		size_t part = min_t(size_t, len, PAGE_SIZE);
		long written = kipc_window_step(window, at, from, part);

		if (written < 0)
			return written;
		at += written;
		from += written;
		len -= written;
		/* The least that is missing: a short step may just have met the end of a page */
		if (!written && fault_in_readable(u64_to_user_ptr(from), 1))
			return -EFAULT;
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}
	return 0;
}
