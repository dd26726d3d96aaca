// SPDX-License-Identifier: GPL-2.0-only
/* See pins.h. */
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/sched/signal.h>
#include <linux/sched/user.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "pins.h"

static bool kipc_pins_charge(struct user_struct *user, unsigned long nr)
{
	unsigned long limit = rlimit(RLIMIT_MEMLOCK) >> PAGE_SHIFT;
	long locked = atomic_long_read(&user->locked_vm);

	do {
		if (locked + nr > limit && !capable(CAP_IPC_LOCK))
			return false;
	} while (!atomic_long_try_cmpxchg(&user->locked_vm, &locked, locked + nr));
	return true;
}

static bool kipc_pins_try(struct kipc_pins *pins, unsigned long start, unsigned int flags)
{
	int pinned;

	flags |= FOLL_LONGTERM | (pins->write ? FOLL_WRITE : 0);
	pinned = pin_user_pages_fast(start, pins->nr, flags, pins->pages);
	if (pinned == pins->nr)
		return true;
	if (pinned > 0)
		unpin_user_pages(pins->pages, pinned);
	return false;
}

static bool kipc_pins_fault_in(const struct kipc_pins *pins, u64 base)
{
	void __user *start = u64_to_user_ptr(base);

	if (pins->write)
		return !fault_in_safe_writeable(start, pins->size);
	return !fault_in_readable(start, pins->size);
}

/*
 * What is not there is faulted in before: a fault of the pinning itself can neither wait
 * for userfaultfd nor be tried again, at least in Linux 6.1 (__gup_longterm_locked()).
 * What it then still has to do is to take pages apart that are shared since a fork.
 */
static bool kipc_pins_pin(struct kipc_pins *pins, u64 base)
{
	unsigned long start = base & PAGE_MASK;

	return kipc_pins_try(pins, start, FOLL_NOFAULT) ||
		(kipc_pins_fault_in(pins, base) && kipc_pins_try(pins, start, 0));
}

noinline struct kipc_pins *kipc_pins_new(u64 base, size_t size, bool write)
{
	unsigned long nr = DIV_ROUND_UP(offset_in_page(base) + size, PAGE_SIZE);
	struct kipc_pins *pins;

	if (!access_ok(u64_to_user_ptr(base), size))
		return NULL;
	pins = kvmalloc(struct_size(pins, pages, nr), GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (!pins)
		return NULL;
	pins->write = write;
	pins->size = size;
	pins->offset = offset_in_page(base);
	pins->nr = nr;
	pins->user = current_user();
	if (!kipc_pins_charge(pins->user, nr))
		goto free;
	if (!kipc_pins_pin(pins, base))
		goto uncharge;
	get_uid(pins->user);
	return pins;

uncharge:
	atomic_long_sub(nr, &pins->user->locked_vm);
free:
	kvfree(pins);
	return NULL;
}

noinline void kipc_pins_free(struct kipc_pins *pins)
{
	unpin_user_pages_dirty_lock(pins->pages, pins->nr, pins->write);
	atomic_long_sub(pins->nr, &pins->user->locked_vm);
	free_uid(pins->user);
	kvfree(pins);
}

/* Of the bytes from @at to before @end, how many can be addressed together, as in huge pages */
static size_t kipc_pins_span(const struct kipc_pins *pins, size_t at, size_t end)
{
	size_t i = at >> PAGE_SHIFT, last = (end - 1) >> PAGE_SHIFT;

	if (!IS_ENABLED(CONFIG_HIGHMEM))
		while (i < last &&
		       page_to_pfn(pins->pages[i + 1]) == page_to_pfn(pins->pages[i]) + 1)
			i++;
	return min(end, (i + 1) << PAGE_SHIFT) - at;
}

static int kipc_pins_copy_part(struct page *page, unsigned int offset, u64 to, size_t len)
{
	char *from = kmap_local_page(page);
	/* Unchecked as all payloads are, see message.c: it is a part of these pages */
	unsigned long left = _copy_to_user(u64_to_user_ptr(to), from + offset, len);

	kunmap_local(from);
	return left ? -EFAULT : 0;
}

int kipc_pins_copy_out(const struct kipc_pins *pins, size_t at, u64 to, size_t len)
{
	if (WARN_ON_ONCE(at > pins->size || len > pins->size - at))
		return -EFAULT;
	at += pins->offset;
	while (len) {
		size_t part = kipc_pins_span(pins, at, at + len);
		struct page *page = pins->pages[at >> PAGE_SHIFT];

		if (kipc_pins_copy_part(page, offset_in_page(at), to, part))
			return -EFAULT;
		at += part;
		to += part;
		len -= part;
	}
	return 0;
}

size_t kipc_pins_copy_in(const struct kipc_pins *pins, size_t at, u64 from, size_t len)
{
	unsigned long left;
	size_t offset;
	char *to;

	if (WARN_ON_ONCE(at > pins->size || len > pins->size - at))
		return 0;
	at += pins->offset;
	offset = offset_in_page(at);
	len = min_t(size_t, len, PAGE_SIZE - offset);
	to = kmap_local_page(pins->pages[at >> PAGE_SHIFT]);
	left = _copy_from_user(to + offset, u64_to_user_ptr(from), len);
	kunmap_local(to);
	return len - left;
}
