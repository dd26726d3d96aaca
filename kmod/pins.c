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
#include <linux/uio.h>

#include "message.h"
#include "pins.h"

static bool kipc_pins_charge(struct user_struct *user, unsigned long nr)
{
	unsigned long limit = rlimit(RLIMIT_MEMLOCK) >> PAGE_SHIFT;
	long locked = atomic_long_read(&user->locked_vm);

	do {
		/* Without it the payload is copied, which is no offence to be noted in a log */
		if (locked + nr > limit && !ns_capable_noaudit(&init_user_ns, CAP_IPC_LOCK))
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

/*
 * A file system must hear of each write to its pages beforehand, by a fault, and may have
 * written them back since. Newer kernels refuse to pin such pages for writing; 6.1 does not.
 */
static bool kipc_pins_may_write(const struct kipc_pins *pins)
{
	unsigned int i;

	for (i = 0; i < pins->nr; i++) {
		struct folio *folio = page_folio(pins->pages[i]);

		/* A process's own memory, or shared memory, which no file system sees */
		if (!folio_test_anon(folio) && !folio_test_swapbacked(folio))
			return false;
	}
	return true;
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
	pins->cred = current_cred();
	if (!kipc_pins_charge(pins->cred->user, nr))
		goto free;
	if (!kipc_pins_pin(pins, base))
		goto uncharge;
	if (write && !kipc_pins_may_write(pins))
		goto unpin;
	kipc_cred_get(pins->cred);
	return pins;

unpin:
	unpin_user_pages(pins->pages, nr);
uncharge:
	atomic_long_sub(nr, &pins->cred->user->locked_vm);
free:
	kvfree(pins);
	return NULL;
}

noinline void kipc_pins_free(struct kipc_pins *pins)
{
	unpin_user_pages_dirty_lock(pins->pages, pins->nr, pins->write);
	atomic_long_sub(pins->nr, &pins->cred->user->locked_vm);
	put_cred(pins->cred);
	kvfree(pins);
}

/*
 * Of the bytes from @at to before @end, how many can be addressed together, as in huge
 * pages. Each page that was written to is flushed on its own.
 */
static size_t kipc_pins_span(const struct kipc_pins *pins, size_t at, size_t end)
{
	size_t i = at >> PAGE_SHIFT, last = (end - 1) >> PAGE_SHIFT;

	if (!IS_ENABLED(CONFIG_HIGHMEM) && !pins->write)
		while (i < last &&
		       page_to_pfn(pins->pages[i + 1]) == page_to_pfn(pins->pages[i]) + 1)
			i++;
	return min(end, (i + 1) << PAGE_SHIFT) - at;
}

/*
 * Within one span: how many bytes are left. Unchecked as all payloads are, see message.c:
 * it is a part of these pages.
 */
static unsigned long kipc_pins_copy_part(const struct kipc_pins *pins, size_t at, u64 user,
					 size_t len)
{
	struct page *page = pins->pages[at >> PAGE_SHIFT];
	char *memory = kmap_local_page(page);
	unsigned long left;

	if (pins->write)
		left = _copy_from_user(memory + offset_in_page(at), u64_to_user_ptr(user), len);
	else
		left = _copy_to_user(u64_to_user_ptr(user), memory + offset_in_page(at), len);
	kunmap_local(memory);
	if (pins->write)
		flush_dcache_page(page);
	return left;
}

size_t kipc_pins_copy(const struct kipc_pins *pins, size_t at, u64 user, size_t len)
{
	size_t done = 0;

	at += pins->offset;
	while (done < len) {
		size_t part = kipc_pins_span(pins, at, at + len - done);
		unsigned long left = kipc_pins_copy_part(pins, at, user + done, part);

		done += part - left;
		if (left)
			break;
		at += part;
	}
	return done;
}

size_t kipc_pins_copy_iter(const struct kipc_pins *pins, size_t at, struct iov_iter *to,
			   size_t len)
{
	size_t done = 0;

	at += pins->offset;
	while (done < len) {
		size_t part = min_t(size_t, len - done, PAGE_SIZE - offset_in_page(at));
		size_t copied = copy_page_to_iter(pins->pages[at >> PAGE_SHIFT],
						  offset_in_page(at), part, to);

		done += copied;
		if (copied < part)
			break;
		at += part;
	}
	return done;
}

void kipc_pins_read(const struct kipc_pins *pins, void *to, size_t len)
{
	size_t at = pins->offset;

	if (WARN_ON_ONCE(len > pins->size))
		return;
	while (len) {
		size_t part = min_t(size_t, len, PAGE_SIZE - offset_in_page(at));

		memcpy_from_page(to, pins->pages[at >> PAGE_SHIFT], offset_in_page(at), part);
		at += part;
		to += part;
		len -= part;
	}
}
