/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef AXONEME_LIB_EVENTS_H
#define AXONEME_LIB_EVENTS_H

#include "abi/events.h"
#include "abi/policy.h"
#include "config/node.h"
#include "lib/flow.h"
#include "lib/metrics.h"

struct event_ring {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, LIMIT_EVENT_RING_BYTES);
};

/* One ring per CPU: a shared one makes its producers wait for each other. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, LIMIT_CPUS);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__array(values, struct event_ring);
} cilium_events SEC(".maps");

/* Events that found their ring full, per CPU. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, __u64);
} cilium_events_lost SEC(".maps");

/* What an event says beyond the flow itself. */
struct event_detail {
	__u32 ifindex;
	__u32 policy_cookie;
	__u16 endpoint_id;
	__be16 policy_port;
	__u16 source_line;
	__u8 source_file;
	__u8 type;
	__u8 reason;
	__u8 point;
	__u8 policy_protocol;
	__u8 policy_direction;
	__u8 policy_match;
	__u8 policy_action;
	__be16 policy_proxy_port;
};

static __always_inline void event_fill_flow(struct event *event, const struct flow *flow)
{
	event->source_identity = flow->source_identity;
	event->destination_identity = flow->destination_identity;
	event->ct_state = flow->ct_state;
	event->flags = 0;
	if (flow->flags & FLOW_IPV6)
		event->flags |= EVENT_IPV6;
	if (flow->flags & FLOW_REPLY)
		event->flags |= EVENT_REPLY;
	if (flow->ct_state != CT_STATE_UNKNOWN)
		event->flags |= EVENT_REPLY_KNOWN;
	event->original_port = 0;
	__builtin_memset(&event->original_addr, 0, sizeof(event->original_addr));
	if (flow->flags & FLOW_HAS_ORIGINAL) {
		event->flags |= EVENT_HAS_ORIGINAL;
		event->original_port = flow->original_port;
		addr_store(&event->original_addr, &flow->original_addr, IPV4);
		if (flow->flags & FLOW_IPV6)
			addr_store(&event->original_addr, &flow->original_addr, IPV6);
	}
}

static __always_inline void event_fill_detail(struct event *event, const struct event_detail *d)
{
	event->ifindex = d->ifindex;
	event->endpoint_id = d->endpoint_id;
	event->type = d->type;
	event->reason = d->reason;
	event->point = d->point;
	event->source_file = d->source_file;
	event->source_line = d->source_line;
	event->policy_cookie = d->policy_cookie;
	event->policy_proxy_port = d->policy_proxy_port;
	event->policy_port = d->policy_port;
	event->policy_protocol = d->policy_protocol;
	event->policy_direction = d->policy_direction;
	event->policy_match = d->policy_match;
	event->policy_action = d->policy_action;
	event->interval_packets = 0;
}

static __always_inline __u64 event_wakeup_flags(void *ring)
{
	if (!event_wakeup_bytes)
		return 0;
	return bpf_ringbuf_query(ring, BPF_RB_AVAIL_DATA) >= event_wakeup_bytes
		   ? BPF_RB_FORCE_WAKEUP
		   : BPF_RB_NO_WAKEUP;
}

static __always_inline int event_write(struct __sk_buff *skb, const struct flow *flow,
				       const struct event_detail *detail)
{
	__u32 cpu = bpf_get_smp_processor_id();
	void *ring = bpf_map_lookup_elem(&cilium_events, &cpu);
	struct event *event;
	__u32 captured = skb->len;
	__u32 zero = 0;

	if (!ring || !flow || !detail) /* without a ring nobody listens */
		return 0;
	event = bpf_ringbuf_reserve(ring, sizeof(*event), 0);
	if (!event) {
		__u64 *lost = bpf_map_lookup_elem(&cilium_events_lost, &zero);

		if (lost)
			(*lost)++;
		return 0;
	}
	event->timestamp_ns = bpf_ktime_get_ns();
	event->cpu = cpu;
	event->packet_len = skb->len;
	event_fill_flow(event, flow);
	event_fill_detail(event, detail);
	if (captured > LIMIT_EVENT_PACKET_BYTES)
		captured = LIMIT_EVENT_PACKET_BYTES;
	/* The load refuses a length that may be 0 for all the verifier knows. */
	asm volatile("" : "+r"(captured));
	if (captured - 1 >= LIMIT_EVENT_PACKET_BYTES ||
	    bpf_skb_load_bytes(skb, 0, event->packet, captured) < 0)
		captured = 0;
	event->captured_len = captured;
	bpf_ringbuf_submit(event, event_wakeup_flags(ring));
	return 0;
}

SEPARATE int event_send(struct __sk_buff *skb, const struct flow *flow,
			const struct event_detail *detail)
{
	return event_write(skb, flow, detail);
}

/* Few packets are traced: the detail is not to burden the frames of the programs. */
SEPARATE int event_send_trace(struct __sk_buff *skb, const struct flow *flow, __u32 point,
			      __u32 endpoint_id, __u32 ifindex)
{
	struct event_detail detail = {
	    .type = EVENT_TRACE,
	    .point = point,
	    .endpoint_id = endpoint_id,
	    .ifindex = ifindex,
	};

	if (!flow)
		return 0;
	detail.reason = flow->ct_state;
	return event_write(skb, flow, &detail);
}

/* Where a packet leaves for. Call once for each packet that goes on. */
static __always_inline void event_trace(struct __sk_buff *skb, const struct flow *flow,
					enum trace_point point, __u16 endpoint_id, __u32 ifindex)
{
	if (!trace_events)
		return;
	if (trace_aggregation >= TRACE_CONNECTIONS && !(flow->flags & FLOW_REPORT))
		return;
	event_send_trace(skb, flow, point, endpoint_id, ifindex);
}

/* Where a packet comes in. */
static __always_inline void event_trace_arrival(struct __sk_buff *skb, const struct flow *flow,
						enum trace_point point, __u16 endpoint_id)
{
	if (trace_aggregation == TRACE_EVERY_PACKET)
		event_trace(skb, flow, point, endpoint_id, skb->ifindex);
}

/* The one place where a drop becomes a metric and an event. */
SEPARATE int packet_drop(struct __sk_buff *skb, const struct flow *flow, int result,
			 __u32 direction)
{
	struct event_detail detail = {
	    .type = EVENT_DROP,
	    .reason = DROP_REASON(result),
	    .source_file = DROP_FILE(result),
	    .source_line = DROP_LINE(result),
	    .ifindex = skb->ifindex,
	};

	if (!flow)
		return TC_ACT_SHOT;
	detail.endpoint_id =
	    direction == METRIC_EGRESS ? flow->egress_endpoint : flow->ingress_endpoint;
	metric_count(DROP_REASON(result), direction, skb->len);
	if (drop_events)
		event_send(skb, flow, &detail);
	return TC_ACT_SHOT;
}

#endif
