/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The program of the tunnel device: from_overlay at its ingress hook. What leaves by the tunnel was
 * decided before it got here, so there is no counterpart at the egress hook.
 */
#include "config/node.h"
#include "lib/admit.h"
#include "lib/deliver.h"
#include "lib/edge.h"
#include "lib/endpoint.h"
#include "lib/forward.h"
#include "lib/host_policy.h"
#include "lib/ipcache.h"

#undef SOURCE_FILE
#define SOURCE_FILE FILE_OVERLAY

/* The number may be any that our own table has for nodes: rules can tell them apart. */
static __always_inline _Bool identity_is_remote_node(__u32 identity)
{
	return identity == IDENTITY_REMOTE_NODE || identity == IDENTITY_KUBE_APISERVER ||
	       identity >> IDENTITY_SCOPE_SHIFT == IDENTITY_SCOPE_REMOTE_NODE;
}

/* The identity that the other node gave. Itself it calls "host" or a remote node; which of them it
 * is to us says our table. Where it knows none, our table has the word. So has it about a pod that
 * it does not know yet: our policy maps may not have heard of what the other node means.
 */
static __always_inline int overlay_identity(struct __sk_buff *skb, struct flow *flow,
					    const enum family family)
{
	struct bpf_tunnel_key key = {};
	_Bool is_node;
	__u32 known;

	/* The outer family differs from the inner one at will; the flag only selects a member. */
	if (bpf_skb_get_tunnel_key(skb, &key, sizeof(key), 0) < 0 &&
	    bpf_skb_get_tunnel_key(skb, &key, sizeof(key), BPF_F_TUNINFO_IPV6) < 0)
		return DROP(DROP_ERROR_RETRIEVING_TUNNEL_KEY);
	flow->source_identity = key.tunnel_id;
	is_node =
	    flow->source_identity == IDENTITY_HOST || flow->source_identity == IDENTITY_REMOTE_NODE;
	known = ipcache_identity(ipcache_find(&flow->packet.source, family), family);
	if (!is_node && flow->source_identity != IDENTITY_UNKNOWN && known != IDENTITY_UNMANAGED)
		return 0;
	if (is_node && !identity_is_remote_node(known))
		known = IDENTITY_REMOTE_NODE;
	flow->source_identity = known;
	return 0;
}

SEPARATE int overlay_identity4(struct __sk_buff *skb, struct flow *flow)
{
	return flow ? overlay_identity(skb, flow, IPV4) : DROP(DROP_INVALID_PACKET);
}

SEPARATE int overlay_identity6(struct __sk_buff *skb, struct flow *flow)
{
	return flow ? overlay_identity(skb, flow, IPV6) : DROP(DROP_INVALID_PACKET);
}

static __always_inline int overlay_receive(struct __sk_buff *skb, struct flow *flow,
					   const enum family family)
{
	const struct endpoint_info *to;
	int result = packet_parse_ip(skb, &flow->packet, family);

	if (result < 0)
		return result;
	result = family == IPV4 ? overlay_identity4(skb, flow) : overlay_identity6(skb, flow);
	if (result < 0)
		return result;
	/* The inner frame still has the addresses of the sending pod's device pair. */
	bpf_skb_change_type(skb, 0 /* PACKET_HOST */);
	to = endpoint_find(&flow->packet.destination, family);
	if (!to || to->flags & ENDPOINT_HOST) {
		if (edge_is_busy())
			result = edge_receive(skb, flow, TRACE_FROM_OVERLAY, family);
		else
			result = TC_ACT_OK;
		if (result == TC_ACT_OK)
			result = host_may_receive(skb, flow, family);
		if (result == TC_ACT_OK)
			return forward_to_stack(skb, flow, TRACE_TO_STACK);
		if (result != EDGE_DELIVER)
			return result;
		to = endpoint_find(&flow->packet.destination, family);
		if (!to)
			return DROP(DROP_STALE_OR_UNROUTABLE_IP);
	} else {
		result = packet_parse_l4(skb, &flow->packet, family);
		if (result < 0)
			return result;
	}
	return deliver(skb, flow, to, TRACE_FROM_OVERLAY, family);
}

SEC("tc")
int from_overlay(struct __sk_buff *skb)
{
	struct flow flow = {};
	int result;

	switch (skb->protocol) {
	case bpf_htons(ETH_P_IP):
		result = overlay_receive(skb, &flow, IPV4);
		break;
	case bpf_htons(ETH_P_IPV6):
		flow.flags = FLOW_IPV6;
		result = overlay_receive(skb, &flow, IPV6);
		break;
	default:
		result = DROP(DROP_UNSUPPORTED_L2_PROTOCOL);
	}
	return edge_verdict(skb, &flow, result, METRIC_INGRESS);
}

char _license[] SEC("license") = "Dual BSD/GPL";
