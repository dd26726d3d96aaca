/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What went through each endpoint since the last look. */
#ifndef FLOW_H
#define FLOW_H

#include <stdint.h>
#include <sys/types.h>

struct flow;
struct flows;
struct trace_event;

struct flows *flows_new(void);
/* For trace_read(): the context is struct flows */
void flows_take(void *context, const struct trace_event *event);
/* Begins a new look. What is on its way stays known */
void flows_clear(struct flows *flows);
/* NULL: nothing happened there */
const struct flow *flow_find(const struct flows *flows, uint32_t id);
uint64_t flow_sent(const struct flow *flow);
/* Microseconds until a message was received, or a call answered; -1: none was */
int64_t flow_wait(const struct flow *flow, unsigned int percent);
int64_t flow_call(const struct flow *flow, unsigned int percent);
/* How many the user sent who sent most; 0: nobody sent anything */
uint64_t flow_worst(const struct flow *flow, uid_t *uid);

#endif /* FLOW_H */
