/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef AXONEME_LIB_DELIVER_H
#define AXONEME_LIB_DELIVER_H

#include "lib/admit.h"
#include "lib/dsr.h"
#include "lib/forward.h"
#include "lib/proxy.h"

/* A packet from outside this node for one of its pods, read to the end and the source's identity
 * known: the rest of its way.
 */
static __always_inline int deliver(struct __sk_buff *skb, struct flow *flow,
				   const struct endpoint_info *to, enum trace_point arrival,
				   const enum family family)
{
	int result;

	flow->destination_identity = to->identity;
	flow->ingress_endpoint = to->id;
	event_trace_arrival(skb, flow, arrival, to->id);
	result = flow_admit(skb, flow, family);
	if (unlikely(result))
		return proxy_or_drop(skb, flow, result, family);
	result = dsr_follow(flow, family);
	if (result < 0)
		return result;
	return forward_to_endpoint(skb, flow, to, family);
}

#endif
