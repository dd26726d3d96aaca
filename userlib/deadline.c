// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The kernel's deadlines are absolute, so that a system call that is restarted
 * or goes on waiting does not begin anew.
 */
#include "internal.h"

#define NS_PER_SEC	1000000000U
#define NS_PER_MSEC	1000000U

uint64_t libkipc_deadline_from(const struct timespec *now, int timeout_ms)
{
	uint64_t ms, ns, seconds;

	if (timeout_ms < 0)
		return KIPC_FOREVER;
	if (!timeout_ms)
		return 0;

	/* INT_MAX milliseconds are less than 2^52 ns: no overflow here */
	ms = (unsigned int)timeout_ms;
	ns = ms * NS_PER_MSEC + (uint64_t)now->tv_nsec;
	seconds = now->tv_sec > 0 ? (uint64_t)now->tv_sec : 0;
	if (seconds > (KIPC_FOREVER - ns) / NS_PER_SEC)
		return KIPC_FOREVER;
	return seconds * NS_PER_SEC + ns;
}

uint64_t libkipc_deadline_in(int timeout_ms, uint32_t flags)
{
	clockid_t clock = (flags & KIPC_REALTIME) ? CLOCK_REALTIME : CLOCK_MONOTONIC;
	struct timespec now = { 0 };

	/* Asking for one of these clocks cannot fail. */
	clock_gettime(clock, &now);
	return libkipc_deadline_from(&now, timeout_ms);
}
