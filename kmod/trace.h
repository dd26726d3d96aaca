/* SPDX-License-Identifier: GPL-2.0-only */
/* Tracepoints: one for each step in the life of a message. */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM kipc

#if !defined(_KIPC_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define _KIPC_TRACE_H

#include <linux/cred.h>
#include <linux/tracepoint.h>
#include <linux/uidgid.h>

#include "endpoint.h"
#include "message.h"

DECLARE_EVENT_CLASS(kipc_msg_class,
	TP_PROTO(const struct kipc_ep *ep, const struct kipc_msg *msg),
	TP_ARGS(ep, msg),
	TP_STRUCT__entry(
		__field(u32, endpoint)
		__field(u32, prio)
		__field(u64, type)
		__field(u64, place)
		__field(u64, size)
		__field(u32, uid)
		__field(bool, call)
		__field(int, error)
	),
	TP_fast_assign(
		__entry->endpoint = ep->id;
		__entry->prio = msg->prio;
		__entry->type = kipc_msg_type(msg);
		__entry->place = kipc_msg_place(msg);
		__entry->size = msg->size;
		__entry->uid = from_kuid(&init_user_ns, msg->creds.uid);
		__entry->call = msg->call;
		__entry->error = msg->error;
	),
	TP_printk("endpoint=%u type=%llu prio=%u place=%llx size=%llu uid=%u call=%d error=%d",
		  __entry->endpoint, __entry->type, __entry->prio, __entry->place,
		  __entry->size, __entry->uid, __entry->call, __entry->error)
);

/* A message was put into the queue, or into the hands of a receiver */
DEFINE_EVENT(kipc_msg_class, kipc_send,
	TP_PROTO(const struct kipc_ep *ep, const struct kipc_msg *msg), TP_ARGS(ep, msg));
/* ... and it wants a reply */
DEFINE_EVENT(kipc_msg_class, kipc_call,
	TP_PROTO(const struct kipc_ep *ep, const struct kipc_msg *msg), TP_ARGS(ep, msg));
/* Its sender has to wait for room */
DEFINE_EVENT(kipc_msg_class, kipc_block,
	TP_PROTO(const struct kipc_ep *ep, const struct kipc_msg *msg), TP_ARGS(ep, msg));
/* A receiver copies it */
DEFINE_EVENT(kipc_msg_class, kipc_claim,
	TP_PROTO(const struct kipc_ep *ep, const struct kipc_msg *msg), TP_ARGS(ep, msg));
/* It is the receiver's */
DEFINE_EVENT(kipc_msg_class, kipc_deliver,
	TP_PROTO(const struct kipc_ep *ep, const struct kipc_msg *msg), TP_ARGS(ep, msg));
/* A call was answered */
DEFINE_EVENT(kipc_msg_class, kipc_reply,
	TP_PROTO(const struct kipc_ep *ep, const struct kipc_msg *msg), TP_ARGS(ep, msg));
/* It ended otherwise */
DEFINE_EVENT(kipc_msg_class, kipc_drop,
	TP_PROTO(const struct kipc_ep *ep, const struct kipc_msg *msg), TP_ARGS(ep, msg));

/* A sleeper is woken */
TRACE_EVENT(kipc_wake,
	TP_PROTO(pid_t pid),
	TP_ARGS(pid),
	TP_STRUCT__entry(__field(pid_t, pid)),
	TP_fast_assign(__entry->pid = pid;),
	TP_printk("pid=%d", __entry->pid)
);

/* An endpoint has ended */
TRACE_EVENT(kipc_remove,
	TP_PROTO(const struct kipc_ep *ep),
	TP_ARGS(ep),
	TP_STRUCT__entry(
		__field(u32, endpoint)
		__field(u32, msgs)
		__field(u32, calls)
		__field(u32, waiters)
	),
	TP_fast_assign(
		__entry->endpoint = ep->id;
		__entry->msgs = ep->msgs;
		__entry->calls = ep->calls;
		__entry->waiters = ep->waiters;
	),
	TP_printk("endpoint=%u msgs=%u calls=%u waiters=%u", __entry->endpoint,
		  __entry->msgs, __entry->calls, __entry->waiters)
);

#endif /* _KIPC_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
