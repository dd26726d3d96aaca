/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * DOC: deadlines
 *
 * A deadline says until when one system call may sleep. It is absolute and was
 * read once from the caller, in the clock of the caller's time namespace. It
 * lives on the sleeper's stack; its timer starts with the first sleep and goes
 * on through spurious wake-ups.
 */
#ifndef _KIPC_DEADLINE_H
#define _KIPC_DEADLINE_H

#include <linux/hrtimer.h>
#include <linux/ktime.h>

/**
 * struct kipc_deadline - until when to wait
 * @at: host time on @clock
 * @clock: CLOCK_MONOTONIC or CLOCK_REALTIME
 * @never_sleep: every sleep fails with -EAGAIN
 * @finite: @at counts
 * @armed: @timer runs
 * @norestart: a signal is -EINTR, else -ERESTARTSYS
 * @timer: wakes the sleeper
 */
struct kipc_deadline {
	ktime_t at;
	clockid_t clock;
	bool never_sleep;
	bool finite;
	bool armed;
	bool norestart;
	struct hrtimer_sleeper timer;
};

void kipc_deadline_init(struct kipc_deadline *deadline, u64 at, bool realtime, bool nonblock,
			bool norestart);

/*
 * Sleep until somebody wakes the task. Call with the task state set and the
 * condition found false after that. Returns 0 when awake (look again),
 * -ETIMEDOUT, or -EINTR for a signal.
 */
int kipc_deadline_sleep(struct kipc_deadline *deadline);

/* For who does not sleep: 0 to go on, -EAGAIN, -ETIMEDOUT, or what a signal makes of it */
int kipc_deadline_check(const struct kipc_deadline *deadline);

/* Back to running, timer stopped. Must follow the last sleep. */
void kipc_deadline_end(struct kipc_deadline *deadline);

/* What a system call returns that was interrupted and may be done again */
static inline int kipc_deadline_interrupted(const struct kipc_deadline *deadline)
{
	/* Without a handler (the process was stopped, say) it goes on all the same */
	return deadline->norestart ? -ERESTARTNOHAND : -ERESTARTSYS;
}

/* Host monotonic time as the calling process sees it */
u64 kipc_time_to_user(ktime_t time);

#endif /* _KIPC_DEADLINE_H */
