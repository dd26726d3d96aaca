// SPDX-License-Identifier: GPL-2.0-only
/* See deadline.h. */
#include <linux/nsproxy.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/time_namespace.h>
#include <linux/kipc.h>

#include "compat.h"
#include "deadline.h"

static s64 kipc_time_offset(void)
{
#ifdef CONFIG_TIME_NS
	return timespec64_to_ns(&current->nsproxy->time_ns->offsets.monotonic);
#else
	return 0;
#endif
}

/* User time to host time, without wrapping */
static ktime_t kipc_time_from_user(u64 at)
{
	s64 time = min_t(u64, at, KTIME_MAX), host;

	if (check_sub_overflow(time, kipc_time_offset(), &host))
		return KTIME_MAX;
	return max_t(s64, host, 0);
}

u64 kipc_time_to_user(ktime_t time)
{
	return ktime_to_ns(time) + kipc_time_offset();
}

void kipc_deadline_init(struct kipc_deadline *deadline, u64 at, bool realtime, bool nonblock,
			bool norestart)
{
	deadline->clock = realtime ? CLOCK_REALTIME : CLOCK_MONOTONIC;
	deadline->never_sleep = nonblock || !at;
	deadline->finite = at != KIPC_FOREVER;
	deadline->armed = false;
	deadline->norestart = norestart;
	if (!deadline->finite)
		return;
	if (realtime)
		deadline->at = min_t(u64, at, KTIME_MAX);
	else
		deadline->at = kipc_time_from_user(at);
}

static bool kipc_deadline_passed(const struct kipc_deadline *deadline)
{
	ktime_t now;

	if (!deadline->finite)
		return false;
	now = deadline->clock == CLOCK_REALTIME ? ktime_get_real() : ktime_get();
	return ktime_compare(now, deadline->at) >= 0;
}

int kipc_deadline_sleep(struct kipc_deadline *deadline)
{
	/* Or a steady stream of signals would restart for ever what has timed out */
	if (signal_pending(current))
		return kipc_deadline_passed(deadline) ? -ETIMEDOUT : -EINTR;
	if (!deadline->finite) {
		schedule();
		return 0;
	}
	if (!deadline->armed) {
		deadline->armed = true;
		hrtimer_setup_sleeper_on_stack(&deadline->timer, deadline->clock,
					       HRTIMER_MODE_ABS);
		hrtimer_set_expires_range_ns(&deadline->timer.timer, deadline->at,
					     current->timer_slack_ns);
		hrtimer_sleeper_start_expires(&deadline->timer, HRTIMER_MODE_ABS);
	}
	/* The timer clears its task before it wakes us */
	if (!data_race(READ_ONCE(deadline->timer.task)))
		return -ETIMEDOUT;
	schedule();
	return 0;
}

int kipc_deadline_check(const struct kipc_deadline *deadline)
{
	if (deadline->never_sleep)
		return -EAGAIN;
	if (kipc_deadline_passed(deadline))
		return -ETIMEDOUT;
	return signal_pending(current) ? kipc_deadline_interrupted(deadline) : 0;
}

void kipc_deadline_end(struct kipc_deadline *deadline)
{
	__set_current_state(TASK_RUNNING);
	if (!deadline->armed)
		return;
	hrtimer_cancel(&deadline->timer.timer);
	destroy_hrtimer_on_stack(&deadline->timer.timer);
	deadline->armed = false;
}
