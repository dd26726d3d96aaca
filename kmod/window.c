// SPDX-License-Identifier: GPL-2.0-only
/* See window.h. */
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/uaccess.h>
#include <linux/uio.h>

#include "pins.h"
#include "window.h"

noinline void kipc_window_open(struct kipc_window *window, struct kipc_pins *pins)
{
	rwlock_init(&window->lock);
	window->busy = false;
	window->pins = pins;
}

noinline struct kipc_pins *kipc_window_close(struct kipc_window *window)
{
	struct kipc_pins *pins;

	if (!kipc_window_is_open(window))
		return NULL;
	write_lock(&window->lock);
	pins = window->pins;
	WRITE_ONCE(window->pins, NULL);
	write_unlock(&window->lock);
	return pins;
}

noinline void kipc_window_end(struct kipc_window *window)
{
	struct kipc_pins *pins = kipc_window_close(window);

	if (pins)
		kipc_pins_free(pins);
}

bool kipc_window_enter(struct kipc_window *window, size_t size)
{
	bool entered;

	if (!kipc_window_is_open(window))
		return false;
	write_lock(&window->lock);
	entered = window->pins && window->pins->size >= size && !window->busy;
	window->busy |= entered;
	write_unlock(&window->lock);
	return entered;
}

void kipc_window_leave(struct kipc_window *window)
{
	write_lock(&window->lock);
	window->busy = false;
	write_unlock(&window->lock);
}

/* Bytes copied in one hold of the lock: who closes waits for no more */
#define KIPC_WINDOW_STEP	(16 * PAGE_SIZE)

/**
 * struct kipc_side - the other side's memory
 * @user: where it is
 * @iter: or what says so; NULL: @user does
 * @write: it is written to the window
 */
struct kipc_side {
	u64 user;
	struct iov_iter *iter;
	bool write;
};

static long kipc_window_step_open(const struct kipc_pins *pins, size_t at,
				  const struct kipc_side *side, size_t len)
{
	size_t copied;

	if (WARN_ON_ONCE(at > pins->size || len > pins->size - at))
		return -EFAULT;
	pagefault_disable();
	if (side->iter)
		copied = kipc_pins_copy_iter(pins, at, side->iter, len);
	else
		copied = kipc_pins_copy(pins, at, side->user, len);
	pagefault_enable();
	return copied;
}

/* One step: bytes copied, -ESTALE */
static long kipc_window_step(struct kipc_window *window, size_t at, const struct kipc_side *side,
			     size_t len)
{
	long copied = -ESTALE;

	read_lock(&window->lock);
	if (window->pins)
		copied = kipc_window_step_open(window->pins, at, side, len);
	read_unlock(&window->lock);
	return copied;
}

/* What a short step has met: false if there is nothing of it */
static bool kipc_window_fault_in(const struct kipc_side *side, size_t len)
{
	if (side->iter)
		return fault_in_iov_iter_writeable(side->iter, len) < len;
	if (side->write)
		return fault_in_readable(u64_to_user_ptr(side->user), len) < len;
	return fault_in_writeable(u64_to_user_ptr(side->user), len) < len;
}

static int kipc_window_copy(struct kipc_window *window, size_t at, struct kipc_side *side,
			    size_t len)
{
	while (len) {
		size_t missing = min_t(size_t, len, KIPC_WINDOW_STEP);
		long copied = kipc_window_step(window, at, side, missing);

		if (copied < 0)
			return copied;
		at += copied;
		side->user += copied;
		len -= copied;
		missing -= copied;
		if (missing && !kipc_window_fault_in(side, missing))
			return -EFAULT;
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}
	return 0;
}

int kipc_window_write(struct kipc_window *window, size_t at, u64 from, size_t len)
{
	struct kipc_side side = { .user = from, .write = true };

	if (!access_ok(u64_to_user_ptr(from), len))
		return -EFAULT;
	return kipc_window_copy(window, at, &side, len);
}

int kipc_window_read(struct kipc_window *window, size_t at, u64 to, size_t len)
{
	struct kipc_side side = { .user = to };

	if (!access_ok(u64_to_user_ptr(to), len))
		return -EFAULT;
	return kipc_window_copy(window, at, &side, len);
}

int kipc_window_read_iter(struct kipc_window *window, struct iov_iter *to, size_t len)
{
	struct kipc_side side = { .iter = to };

	return kipc_window_copy(window, 0, &side, len);
}
