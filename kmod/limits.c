// SPDX-License-Identifier: GPL-2.0-only
/* See limits.h. */
#include <linux/init.h>
#include <linux/log2.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/string.h>

#include "limits.h"

#define KIPC_ENDPOINTS_CEILING	((1U << 20) - 1)	/* bits of an id's index */

static int kipc_endpoints_set(const char *val, const struct kernel_param *kp)
{
	return param_set_uint_minmax(val, kp, 1, KIPC_ENDPOINTS_CEILING);
}

static int kipc_msg_set(const char *val, const struct kernel_param *kp)
{
	return param_set_uint_minmax(val, kp, 1, KIPC_MSG_CEILING);
}

static int kipc_count_set(const char *val, const struct kernel_param *kp)
{
	return param_set_uint_minmax(val, kp, 1, INT_MAX);
}

static const struct kernel_param_ops kipc_endpoints_ops = {
	.set = kipc_endpoints_set,
	.get = param_get_uint,
};

static const struct kernel_param_ops kipc_msg_ops = {
	.set = kipc_msg_set,
	.get = param_get_uint,
};

static const struct kernel_param_ops kipc_count_ops = {
	.set = kipc_count_set,
	.get = param_get_uint,
};

unsigned int kipc_endpoints_max = 131072;
module_param_cb(endpoints_max, &kipc_endpoints_ops, &kipc_endpoints_max, 0644);
MODULE_PARM_DESC(endpoints_max, "endpoints in one namespace");

unsigned int kipc_msg_max = 1U << 20;
module_param_cb(msg_max, &kipc_msg_ops, &kipc_msg_max, 0644);
MODULE_PARM_DESC(msg_max, "largest max_size of an endpoint, bytes");

unsigned long kipc_capacity_max = 16UL << 20;
module_param_named(capacity_max, kipc_capacity_max, ulong, 0644);
MODULE_PARM_DESC(capacity_max, "largest capacity of one endpoint, bytes");

unsigned int kipc_user_endpoints_max = 32768;	/* as many as there are queues of svipc(7) */
module_param_cb(user_endpoints_max, &kipc_count_ops, &kipc_user_endpoints_max, 0644);
MODULE_PARM_DESC(user_endpoints_max, "endpoints one user may own");

unsigned long kipc_user_capacity_max;	/* see kipc_limits_init() */
module_param_named(user_capacity_max, kipc_user_capacity_max, ulong, 0644);
MODULE_PARM_DESC(user_capacity_max,
		 "capacity one user may own in all, bytes; default: 1/8 to 1/16 of memory");

unsigned int kipc_user_calls_max = 1024;
module_param_cb(user_calls_max, &kipc_count_ops, &kipc_user_calls_max, 0644);
MODULE_PARM_DESC(user_calls_max, "asynchronous calls one user may have outstanding");

unsigned long kipc_user_reply_room_max = 16UL << 20;
module_param_named(user_reply_room_max, kipc_user_reply_room_max, ulong, 0644);
MODULE_PARM_DESC(user_reply_room_max, "reply room of one user's asynchronous calls, bytes");

unsigned int kipc_user_files_max = 1024;
module_param_cb(user_files_max, &kipc_count_ops, &kipc_user_files_max, 0644);
MODULE_PARM_DESC(user_files_max, "files one user may have in messages and replies on their way");

unsigned int kipc_handles_max = 4096;
module_param_cb(handles_max, &kipc_count_ops, &kipc_handles_max, 0644);
MODULE_PARM_DESC(handles_max, "handles open on one endpoint");

unsigned int kipc_waiters_max = 4096;
module_param_cb(waiters_max, &kipc_count_ops, &kipc_waiters_max, 0644);
MODULE_PARM_DESC(waiters_max, "tasks waiting at one endpoint");

unsigned int kipc_spares_max = 64;
module_param_named(spares_max, kipc_spares_max, uint, 0644);
MODULE_PARM_DESC(spares_max, "messages, calls and replies each that an open file keeps for its next");

unsigned int kipc_pin_min = 65536;
module_param_named(pin_min, kipc_pin_min, uint, 0644);
MODULE_PARM_DESC(pin_min, "bytes from which on payloads stay in the memory of who waits; 0: never");

void __init kipc_limits_init(void)
{
	unsigned long pages = clamp(totalram_pages() / 8, 64UL << (20 - PAGE_SHIFT),
				    1UL << (30 - PAGE_SHIFT));

	if (!kipc_user_capacity_max)
		kipc_user_capacity_max = rounddown_pow_of_two(pages) << PAGE_SHIFT;
}

void kipc_limits_get(struct kipc_limits *limits)
{
	memset(limits, 0, sizeof(*limits));
	limits->abi = KIPC_ABI_VERSION;
	limits->features = KIPC_FEATURE_RESTRICT | KIPC_FEATURE_FILES | KIPC_FEATURE_NOTIFY;
	limits->msg_max = READ_ONCE(kipc_msg_max);
	limits->endpoints_max = READ_ONCE(kipc_endpoints_max);
	limits->user_endpoints_max = READ_ONCE(kipc_user_endpoints_max);
	limits->capacity_max = READ_ONCE(kipc_capacity_max);
	limits->user_capacity_max = READ_ONCE(kipc_user_capacity_max);
	limits->user_reply_room_max = READ_ONCE(kipc_user_reply_room_max);
	limits->user_calls_max = READ_ONCE(kipc_user_calls_max);
	limits->user_files_max = READ_ONCE(kipc_user_files_max);
	limits->handles_max = READ_ONCE(kipc_handles_max);
	limits->waiters_max = READ_ONCE(kipc_waiters_max);
	limits->default_max_size = min(KIPC_DEFAULT_MAX_SIZE, limits->msg_max);
	limits->default_max_msgs = KIPC_DEFAULT_MAX_MSGS;
}
