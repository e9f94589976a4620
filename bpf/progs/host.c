/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The programs of the node's own devices: from_netdev and to_netdev at the ingress and egress hooks
 * of uplinks, from_host at the egress hook of cilium_host, where the routes to pods lead.
 */
#include "config/node.h"
#include "lib/admit.h"
#include "lib/deliver.h"
#include "lib/edge.h"
#include "lib/edge_leave.h"
#include "lib/endpoint.h"
#include "lib/forward.h"
#include "lib/host_policy.h"
#include "lib/ipcache.h"
#include "lib/masquerade.h"
#include "lib/proxy.h"

#undef SOURCE_FILE
#define SOURCE_FILE FILE_HOST

static __always_inline int netdev_receive(struct __sk_buff *skb, struct flow *flow,
					  const enum family family)
{
	struct packet *p = &flow->packet;
	const struct endpoint_info *to;
	int result = packet_parse_ip(skb, p, family);

	/* What is not for our pods is the host's: also its malformed packets. */
	if (result < 0)
		return TC_ACT_OK;
	to = endpoint_find(&p->destination, family);
	if (!to || to->flags & ENDPOINT_HOST) {
		result = TC_ACT_OK;
		if (edge_is_busy())
			result = edge_receive(skb, flow, TRACE_FROM_NETWORK, family);
		if (result == TC_ACT_OK)
			return host_may_receive(skb, flow, family);
		if (result != EDGE_DELIVER)
			return result;
		to = endpoint_find(&p->destination, family);
		if (!to)
			return DROP(DROP_STALE_OR_UNROUTABLE_IP);
	} else {
		result = packet_parse_l4(skb, p, family);
		if (result < 0)
			return result;
		dsr_recognise(skb, flow, family);
	}
	flow->source_identity = ipcache_identity(ipcache_find(&p->source, family), family);
	return deliver(skb, flow, to, TRACE_FROM_NETWORK, family);
}

SEC("tc")
int from_netdev(struct __sk_buff *skb)
{
	struct flow flow = {};
	int result = TC_ACT_OK;

	if (skb->protocol == bpf_htons(ETH_P_IP)) {
		result = netdev_receive(skb, &flow, IPV4);
	} else if (skb->protocol == bpf_htons(ETH_P_IPV6)) {
		flow.flags = FLOW_IPV6;
		result = netdev_receive(skb, &flow, IPV6);
	}
	return edge_verdict(skb, &flow, result, METRIC_INGRESS);
}

/* Packets of pods were counted and traced by the program that sent them. */
static __always_inline void netdev_observe(struct __sk_buff *skb, struct flow *flow,
					   const enum family family)
{
	const struct packet *p = &flow->packet;

	flow->source_identity = ipcache_identity(ipcache_find(&p->source, family), family);
	flow->destination_identity =
	    ipcache_identity(ipcache_find(&p->destination, family), family);
	event_trace(skb, flow, TRACE_TO_NETWORK, 0, skb->ifindex);
}

static __always_inline int netdev_send(struct __sk_buff *skb, struct flow *flow,
				       const enum family family)
{
	int result;

	if (packet_parse_ip(skb, &flow->packet, family) < 0)
		return TC_ACT_OK;
	result = proxy_follow(skb, flow, family);
	if (result < 0)
		return result;
	result = host_may_send(skb, flow, family);
	if (result < 0)
		return result;
	if (trace_aggregation < TRACE_CONNECTIONS && (skb->mark & MARK_KIND_MASK) != MARK_TRACED)
		netdev_observe(skb, flow, family);
	return edge_is_busy() ? edge_leave(skb, flow, family) : TC_ACT_OK;
}

SEC("tc")
int to_netdev(struct __sk_buff *skb)
{
	struct flow flow = {};
	int result = TC_ACT_OK;

	if (trace_aggregation >= TRACE_CONNECTIONS && !edge_is_busy() && !host_endpoint &&
	    !proxy_sent(skb))
		return TC_ACT_OK;
	if ((skb->mark & MARK_KIND_MASK) == MARK_SETTLED)
		return TC_ACT_OK;
	if (skb->protocol == bpf_htons(ETH_P_IP)) {
		result = netdev_send(skb, &flow, IPV4);
	} else if (skb->protocol == bpf_htons(ETH_P_IPV6)) {
		flow.flags = FLOW_IPV6;
		result = netdev_send(skb, &flow, IPV6);
	}
	return result < 0 ? packet_drop(skb, &flow, result, METRIC_EGRESS) : result;
}

/* To a pod of this node: through the egress hook of its device, whose program asks the policy. Peer
 * redirects work from ingress hooks only.
 */
static __always_inline int host_to_endpoint(struct __sk_buff *skb, const struct flow *flow,
					    const struct endpoint_info *to,
					    const enum family family)
{
	int result = forward_hop(skb, &flow->packet, to, family);

	return result < 0 ? result : (int)bpf_redirect(to->ifindex, 0);
}

static __always_inline int host_send(struct __sk_buff *skb, struct flow *flow,
				     const enum family family)
{
	struct packet *p = &flow->packet;
	const struct endpoint_info *to;
	const struct ipcache_info *info;
	int result = packet_parse_ip(skb, p, family);

	if (result < 0)
		return result;
	to = endpoint_find(&p->destination, family);
	if (to && to->flags & ENDPOINT_HOST)
		to = 0;
	/* The program of a local pod's device asks both policies at once. */
	if (!to) {
		result = host_may_send(skb, flow, family);
		if (result < 0)
			return result;
	}
	if (node_ports) {
		result = edge_leave_answer(skb, p, family);
		if (result < 0)
			return result;
	}
	if (to)
		return host_to_endpoint(skb, flow, to, family);
	info = ipcache_find(&p->destination, family);
	if (!info || !(info->flags & IPCACHE_REMOTE) || !tunnel_ifindex ||
	    info->flags & IPCACHE_SKIP_TUNNEL)
		return TC_ACT_OK;
	result = proxy_follow(skb, flow, family);
	if (result < 0)
		return result;
	flow->destination_identity = info->identity;
	flow->source_identity = ipcache_identity(ipcache_find(&p->source, family), family);
	/* Another node's "host" is that node itself. */
	return forward_to_tunnel(skb, flow, info,
				 flow->source_identity == IDENTITY_HOST ? IDENTITY_REMOTE_NODE
									: flow->source_identity,
				 family);
}

SEC("tc")
int from_host(struct __sk_buff *skb)
{
	struct flow flow = {};
	int result = TC_ACT_OK;

	if (skb->protocol == bpf_htons(ETH_P_IP)) {
		result = host_send(skb, &flow, IPV4);
	} else if (skb->protocol == bpf_htons(ETH_P_IPV6)) {
		flow.flags = FLOW_IPV6;
		result = host_send(skb, &flow, IPV6);
	}
	return result < 0 ? packet_drop(skb, &flow, result, METRIC_EGRESS) : result;
}

char _license[] SEC("license") = "Dual BSD/GPL";
