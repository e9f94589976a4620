/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef AXONEME_LIB_EDGE_H
#define AXONEME_LIB_EDGE_H

#include "lib/dsr.h"
#include "lib/events.h"
#include "lib/edge_error.h"
#include "lib/forward.h"
#include "lib/icmp_answer.h"
#include "lib/nat.h"
#include "lib/nat_answer.h"
#include "lib/node_port.h"

#undef SOURCE_FILE
#define SOURCE_FILE FILE_NODE_PORT

/* The node's edge for what comes in: packets to the node's own and to service addresses that are
 * for somebody else.
 */

/* Besides TC verdicts: the packet is for a pod of this node now. */
#define EDGE_DELIVER 100

static __always_inline _Bool edge_is_busy(void)
{
	return node_ports || masquerade4 || masquerade6;
}

/* What another node may be told about a client: blocks of addresses have names on this node only.
 */
static __always_inline __u32 edge_identity(const struct addr *client, const enum family family)
{
	__u32 identity = ipcache_identity(ipcache_find(client, family), family);

	if (identity < IDENTITY_LOCAL_SCOPE_MIN)
		return identity;
	return family == IPV4 ? world_identity4 : world_identity6;
}

/* Apart, as the tunnel's parameters would take much of the programs' frames. */
SEPARATE int edge_tunnel4(struct __sk_buff *skb, const struct flow *flow,
			  const struct ipcache_info *info)
{
	if (!flow || !info)
		return DROP(DROP_INVALID_PACKET);
	return forward_to_tunnel(skb, flow, info, flow->source_identity, IPV4);
}

SEPARATE int edge_tunnel6(struct __sk_buff *skb, const struct flow *flow,
			  const struct ipcache_info *info)
{
	if (!flow || !info)
		return DROP(DROP_INVALID_PACKET);
	return forward_to_tunnel(skb, flow, info, flow->source_identity, IPV6);
}

/* On towards another node or a client, not through the stack: to it, a packet that comes in with
 * one of its own addresses is forged.
 */
static __always_inline int edge_send(struct __sk_buff *skb, struct flow *flow,
				     const enum family family)
{
	const struct ipcache_info *info =
	    tunnel_ifindex ? ipcache_find(&flow->packet.destination, family) : 0;

	if (info && info->flags & IPCACHE_REMOTE && !(info->flags & IPCACHE_SKIP_TUNNEL))
		return family == IPV4 ? edge_tunnel4(skb, flow, info)
				      : edge_tunnel6(skb, flow, info);
	forward_mark(skb, 1);
	return forward_direct(skb, flow, family);
}

/* The packet has other ends now: where to? */
static __always_inline int edge_forward(struct __sk_buff *skb, struct flow *flow,
					const enum family family)
{
	const struct endpoint_info *local = endpoint_find(&flow->packet.destination, family);

	if (!local)
		return edge_send(skb, flow, family);
	return local->flags & ENDPOINT_HOST ? TC_ACT_OK : EDGE_DELIVER;
}

static __always_inline int edge_answer(struct __sk_buff *skb, struct flow *flow,
				       const enum family family)
{
	struct packet *p = &flow->packet;
	struct tuple to;
	int result = family == IPV4 ? nat_answer4(p, &to) : nat_answer6(p, &to);

	if (!result)
		return 0;
	if (p->hop_limit <= 1 && result == 1) {
		flow->flags |= FLOW_ANSWER;
		return DROP(DROP_TTL_EXCEEDED);
	}
	flow->ct_state = CT_STATE_REPLY;
	flow->flags |= FLOW_REPLY;
	result = nat_rewrite(skb, p, &to, family);
	return result < 0 ? result : 1;
}

SEPARATE int edge_answer4(struct __sk_buff *skb, struct flow *flow)
{
	return flow ? edge_answer(skb, flow, IPV4) : DROP(DROP_INVALID_PACKET);
}

SEPARATE int edge_answer6(struct __sk_buff *skb, struct flow *flow)
{
	return flow ? edge_answer(skb, flow, IPV6) : DROP(DROP_INVALID_PACKET);
}

/* What is too large for the tunnel is fragmented outside if it may be. */
static __always_inline int edge_check_mtu(struct __sk_buff *skb, struct flow *flow,
					  const struct node_port *port, const enum family family)
{
	__u32 mtu = port->way == NODE_PORT_TUNNEL ? tunnel_mtu : uplink_mtu;

	if (service_dsr && port->dsr && dsr_is_told(&flow->packet))
		mtu -= dsr_option_len(family);
	if (likely(!forward_exceeds(skb, &flow->packet, mtu)))
		return 0;
	if (port->way == NODE_PORT_TUNNEL && !forward_must_fit(skb, family))
		return 0;
	flow->path_mtu = mtu;
	return DROP(DROP_FRAGMENTATION_NEEDED);
}

/* Translates a packet to a service for a backend on another node. */
static __always_inline int edge_to_node(struct __sk_buff *skb, struct flow *flow,
					struct node_port *port, const enum family family)
{
	struct packet *p = &flow->packet;
	__u32 ifindex = port->way == NODE_PORT_TUNNEL ? tunnel_ifindex : uplink_ifindex;
	int result = edge_check_mtu(skb, flow, port, family);

	if (result < 0)
		return result;
	if (service_dsr && port->dsr)
		return 0;
	if (!ifindex)
		ifindex = forward_device(skb, &port->to.destination, family);
	return family == IPV4 ? node_port_claim4(skb, p, port, ifindex)
			      : node_port_claim6(skb, p, port, ifindex);
}

/* For events: what the client asked for, and whether this is worth one. */
static __always_inline void edge_note_service(struct flow *flow, const struct node_port *port)
{
	flow->original_addr = flow->packet.destination;
	flow->original_port = flow->packet.destination_port;
	flow->flags |= FLOW_HAS_ORIGINAL | (port->choice.known ? 0 : FLOW_REPORT);
	flow->ct_state = port->choice.known ? CT_STATE_ESTABLISHED : CT_STATE_NEW;
}

/* 0 if the packet is for no service, NODE_PORT_* with the packet translated, or DROP. */
static __always_inline int edge_serve(struct __sk_buff *skb, struct flow *flow,
				      const enum family family)
{
	struct packet *p = &flow->packet;
	struct node_port port = {};
	int way = node_port_decide(p, &port, family);
	int result = 0;

	/* Nothing was written yet: whoever sent it can be told. */
	flow->flags |= FLOW_ANSWER;
	if (way <= 0)
		return way;
	edge_note_service(flow, &port);
	if (way == NODE_PORT_POD) {
		flow->flags |= FLOW_NODE_PORT;
		flow->rev_nat = port.rev_nat;
	} else if (way == NODE_PORT_HOST) {
		if (port.flags2 & LB_DELEGATE ||
		    (addr_equal(&port.to.destination, &p->destination, family) &&
		     port.to.destination_port == p->destination_port))
			return NODE_PORT_HOST; /* as it came */
		result = family == IPV4 ? node_port_hide_host4(p, &port)
					: node_port_hide_host6(p, &port);
	} else {
		if (way == NODE_PORT_TUNNEL || flow->flags & FLOW_REPORT)
			flow->source_identity = edge_identity(&p->source, family);
		result = edge_to_node(skb, flow, &port, family);
	}
	if (result < 0)
		return result;
	flow->flags &= ~FLOW_ANSWER;
	result = nat_rewrite(skb, p, &port.to, family);
	if (result >= 0 && service_dsr && port.dsr && dsr_is_told(p))
		result = family == IPV4
			     ? dsr_tell4(skb, p, &flow->original_addr, flow->original_port)
			     : dsr_tell6(skb, p, &flow->original_addr, flow->original_port);
	return result < 0 ? result : way;
}

SEPARATE int edge_serve4(struct __sk_buff *skb, struct flow *flow)
{
	return flow ? edge_serve(skb, flow, IPV4) : DROP(DROP_INVALID_PACKET);
}

SEPARATE int edge_serve6(struct __sk_buff *skb, struct flow *flow)
{
	return flow ? edge_serve(skb, flow, IPV6) : DROP(DROP_INVALID_PACKET);
}

/* A packet that is not for a pod: its IP header was read. TC verdict, EDGE_DELIVER, or DROP. */
static __always_inline int edge_receive(struct __sk_buff *skb, struct flow *flow,
					enum trace_point arrival, const enum family family)
{
	struct packet *p = &flow->packet;
	int result = packet_parse_l4(skb, p, family);

	if (result < 0)
		return TC_ACT_OK; /* the host's, as everything that is nobody else's */
	if (tunnel_is_outer(p))
		return TC_ACT_OK;
	dsr_recognise(skb, flow, family);
	if (service_dsr && flow->flags & FLOW_DSR) /* a backend on the node's own network */
		return dsr_follow(flow, family);
	if (p->flags & PACKET_ICMP_ERROR) {
		result = family == IPV4 ? edge_error4(skb, p) : edge_error6(skb, p);
		if (!result && node_ports)
			result = family == IPV4 ? edge_service_error4(skb, p)
						: edge_service_error6(skb, p);
		return result <= 0 ? result : edge_forward(skb, flow, family);
	}
	if (nat_may_answer(p)) {
		result = family == IPV4 ? edge_answer4(skb, flow) : edge_answer6(skb, flow);
		if (result)
			return result < 0 ? result : edge_forward(skb, flow, family);
	}
	if (!node_ports || !protocol_has_ports(p->protocol))
		return TC_ACT_OK;
	event_trace_arrival(skb, flow, arrival, 0);
	switch (result = family == IPV4 ? edge_serve4(skb, flow) : edge_serve6(skb, flow)) {
	case NODE_PORT_POD:
		return EDGE_DELIVER;
	case NODE_PORT_ROUTE:
	case NODE_PORT_TUNNEL:
		return edge_send(skb, flow, family);
	}
	return result < 0 ? result : TC_ACT_OK;
}

/* The end of an ingress hook at the edge: besides what forward_verdict() does, some senders are
 * told what became of their packet.
 */
static __always_inline int edge_verdict(struct __sk_buff *skb, struct flow *flow, int result,
					enum metric_direction direction)
{
	int verdict = forward_verdict(skb, flow, result, direction);

	if (likely(result >= 0) || !(flow->flags & FLOW_ANSWER) ||
	    flow->packet.flags & PACKET_LATER_FRAGMENT)
		return verdict;
	flow->source_identity = IDENTITY_REMOTE_NODE; /* to other nodes, this is one */
	if (flow->flags & FLOW_IPV6)
		return icmp_answer6(skb, flow, DROP_REASON(result)) == TC_ACT_OK
			   ? edge_send(skb, flow, IPV6)
			   : TC_ACT_SHOT;
	return icmp_answer4(skb, flow, DROP_REASON(result)) == TC_ACT_OK
		   ? edge_send(skb, flow, IPV4)
		   : TC_ACT_SHOT;
}

#endif
