/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * DOC: limits
 *
 * The module's parameters: the bounds on what users can make the kernel hold.
 * All are visible and changeable in /sys/module/kipc/parameters. A lowered
 * limit refuses what is new and takes nothing away. Read each once per
 * operation, with READ_ONCE().
 */
#ifndef _KIPC_LIMITS_H
#define _KIPC_LIMITS_H

#include <linux/types.h>
#include <linux/kipc.h>

extern unsigned int kipc_endpoints_max;
extern unsigned int kipc_msg_max;
extern unsigned long kipc_capacity_max;
extern unsigned int kipc_user_endpoints_max;
extern unsigned long kipc_user_capacity_max;
extern unsigned int kipc_user_calls_max;
extern unsigned long kipc_user_reply_room_max;
extern unsigned int kipc_user_files_max;
extern unsigned int kipc_handles_max;
extern unsigned int kipc_waiters_max;
extern unsigned int kipc_spares_max;
extern unsigned int kipc_pin_min;

#define KIPC_DEFAULT_MAX_SIZE	8192U
#define KIPC_DEFAULT_MAX_MSGS	256U
#define KIPC_DEFAULT_MSGS_BYTES	32U	/* max_bytes / max_size */

/* What one queued message costs on top of its payload, for capacity */
#define KIPC_MSG_COST		256U

/* Messages that a SYSV endpoint is promised; others are paid for while they are there */
#define KIPC_SYSV_MSGS		16U

/* What is paid for in advance then, so that not each message is accounted for, bytes */
#define KIPC_CHARGE_STEP	(4U << 10)

/*
 * What no parameter can exceed, so that no sum of charges can wrap: bytes of a
 * message, bytes of an endpoint's capacity
 */
#define KIPC_MSG_CEILING	(256U << 20)
#define KIPC_CAPACITY_CEILING	(1024ULL << 30)

/* Most steps of work done in one hold of a lock */
#define KIPC_BATCH		16U

/* Messages to look through for a place in the fifo of a queue */
#define KIPC_RUN_MAX		64U
/* ... and for a type, if they are of several */
#define KIPC_MIXED_MAX		16U

/* Deliveries kept only to say ECANCELED to their server, per endpoint */
#define KIPC_LINGER_MAX		1024U

/* How often an IDEMPOTENT call may be delivered again */
#define KIPC_REDELIVER_MAX	3U

/* Is a payload of @size bytes to stay in the memory of who waits? */
static inline bool kipc_pin_wanted(u64 size)
{
	unsigned int least = READ_ONCE(kipc_pin_min);

	return size >= least && least;
}

/* Chooses limits that go by the machine's memory */
void kipc_limits_init(void);
void kipc_limits_get(struct kipc_limits *limits);

#endif /* _KIPC_LIMITS_H */
