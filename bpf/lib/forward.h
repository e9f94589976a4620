/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef AXONEME_LIB_FORWARD_H
#define AXONEME_LIB_FORWARD_H

#include "abi/endpoint.h"
#include "abi/identity.h"
#include "abi/ipcache.h"
#include "abi/marks.h"
#include "config/nat.h"
#include "lib/events.h"

#undef SOURCE_FILE
#define SOURCE_FILE FILE_FORWARD

#define AF_INET	 2
#define AF_INET6 10

/* One router hop. to gives the new pair of Ethernet addresses, or is null where the kernel fills
 * them in.
 */
static __always_inline int forward_hop(struct __sk_buff *skb, const struct packet *p,
				       const struct endpoint_info *to, const enum family family)
{
	void *data = packet_start(skb);
	void *end = packet_end(skb);

	if (p->hop_limit <= 1)
		return DROP(DROP_TTL_EXCEEDED);
	if (data + L3_OFFSET + sizeof(struct iphdr) > end)
		return DROP(DROP_INVALID_PACKET);
	if (to) {
		/* mac and node_mac lie in the order of an Ethernet header. */
		const word *from = (const void *)&to->mac;
		word *ethernet = data;

		ethernet[0] = from[0];
		ethernet[1] = from[1];
		ethernet[2] = from[2];
	}
	if (family == IPV4) {
		struct iphdr *ip = data + L3_OFFSET;
		__u32 check = ip->check + bpf_htons(0x0100);

		ip->check = check + (check >= 0xffff);
		ip->ttl = p->hop_limit - 1;
	} else {
		struct ipv6hdr *ip = data + L3_OFFSET;

		ip->hop_limit = p->hop_limit - 1;
		/* No header checksum makes up for it in the sum that a device may have delivered.
		 */
		bpf_csum_update(skb, (__u16)~bpf_htons(1));
	}
	return 0;
}

static __always_inline void forward_count(struct __sk_buff *skb, enum metric_direction direction)
{
	metric_count(REASON_FORWARDED, direction, skb->len);
}

/* A packet, or what an aggregate is cut into. */
static __always_inline _Bool forward_exceeds(struct __sk_buff *skb, const struct packet *p,
					     __u32 mtu)
{
	if (skb->gso_size)
		return p->l4_offset - L3_OFFSET + p->l4_header_len + skb->gso_size > mtu;
	return skb->len - L3_OFFSET > mtu;
}

/* Whether a packet that may be fragmented on its way says that it may not be. */
static __always_inline _Bool forward_must_fit(struct __sk_buff *skb, const enum family family)
{
	__be16 fragment = 0;

	if (family == IPV6)
		return 1;
	bpf_skb_load_bytes(skb, L3_OFFSET + __builtin_offsetof(struct iphdr, frag_off), &fragment,
			   sizeof(fragment));
	return fragment & bpf_htons(0x4000);
}

/* The host stack takes the packet as it came. It decrements the hop limit itself. */
static __always_inline int forward_to_stack(struct __sk_buff *skb, const struct flow *flow,
					    enum trace_point point)
{
	forward_count(skb, METRIC_EGRESS);
	event_trace(skb, flow, point, flow->egress_endpoint, 0);
	/* The host firewall has to tell it from the node's own, whatever source it leaves with. */
	if (host_endpoint && point == TRACE_TO_STACK &&
	    (skb->mark & MARK_KIND_MASK) != MARK_SETTLED)
		skb->mark = (skb->mark & ~MARK_KIND_MASK) | MARK_POD;
	return TC_ACT_OK;
}

/* Into the pod, from the ingress hook of another device: straight to the other end of its pair. */
static __always_inline int forward_to_endpoint(struct __sk_buff *skb, const struct flow *flow,
					       const struct endpoint_info *to,
					       const enum family family)
{
	int result = forward_hop(skb, &flow->packet, to, family);

	if (result < 0)
		return result;
	forward_count(skb, METRIC_INGRESS);
	event_trace(skb, flow, TRACE_TO_ENDPOINT, to->id, to->ifindex);
	return bpf_redirect_peer(to->ifindex, 0);
}

static __always_inline int forward_set_tunnel(struct __sk_buff *skb,
					      const struct ipcache_info *info, __u32 identity)
{
	struct bpf_tunnel_key key = {.tunnel_id = identity, .tunnel_ttl = 64};
	const __be32 *node = (const void *)&info->node_addr;
	_Bool ip6 = info->flags & IPCACHE_NODE_IPV6;

	if (ip6) {
		key.remote_ipv6[0] = node[0];
		key.remote_ipv6[1] = node[1];
		key.remote_ipv6[2] = node[2];
		key.remote_ipv6[3] = node[3];
	} else {
		key.remote_ipv4 = bpf_ntohl(node[0]);
	}
	/* The inner packet has checksums of its own. */
	if (bpf_skb_set_tunnel_key(skb, &key, sizeof(key),
				   ip6 ? BPF_F_TUNINFO_IPV6 : BPF_F_ZERO_CSUM_TX) < 0)
		return DROP(DROP_ERROR_WRITING_TO_PACKET);
	return 0;
}

static __always_inline int forward_to_tunnel(struct __sk_buff *skb, const struct flow *flow,
					     const struct ipcache_info *info, __u32 identity,
					     const enum family family)
{
	int result = forward_hop(skb, &flow->packet, 0, family);

	if (result < 0)
		return result;
	result = forward_set_tunnel(skb, info, identity);
	if (result < 0)
		return result;
	forward_count(skb, METRIC_EGRESS);
	event_trace(skb, flow, TRACE_TO_OVERLAY, flow->egress_endpoint, tunnel_ifindex);
	return bpf_redirect(tunnel_ifindex, 0);
}

/* Several devices lead out: the routing table knows which. */
static __always_inline int forward_by_route(struct __sk_buff *skb, const struct flow *flow,
					    const enum family family)
{
	const struct packet *p = &flow->packet;
	struct bpf_fib_lookup fib = {
	    .family = family == IPV4 ? AF_INET : AF_INET6,
	    .l4_protocol = p->protocol,
	    .ifindex = skb->ifindex,
	};
	struct bpf_redir_neigh next = {};
	int result;

	addr_store(family == IPV4 ? &fib.ipv4_src : fib.ipv6_src, &p->source, family);
	addr_store(family == IPV4 ? &fib.ipv4_dst : fib.ipv6_dst, &p->destination, family);
	if (!skb->gso_size)
		fib.tot_len = skb->len - L3_OFFSET;
	result = bpf_fib_lookup(skb, &fib, sizeof(fib), 0);
	if (result == BPF_FIB_LKUP_RET_BLACKHOLE || result == BPF_FIB_LKUP_RET_UNREACHABLE ||
	    result == BPF_FIB_LKUP_RET_PROHIBIT)
		return DROP(DROP_FIB_LOOKUP_FAILED);
	/* Too large, not to be forwarded, or by a way that only the stack can go: let it answer. */
	if (result != BPF_FIB_LKUP_RET_SUCCESS && result != BPF_FIB_LKUP_RET_NO_NEIGH)
		return forward_to_stack(skb, flow, TRACE_TO_STACK);
	result = forward_hop(skb, p, 0, family);
	if (result < 0)
		return result;
	/* The lookup has put the next hop where the destination was. */
	next.nh_family = fib.family;
	__builtin_memcpy(&next.ipv6_nh, &fib.ipv6_dst, sizeof(next.ipv6_nh));
	forward_count(skb, METRIC_EGRESS);
	event_trace(skb, flow, TRACE_TO_NETWORK, flow->egress_endpoint, fib.ifindex);
	return bpf_redirect_neigh(fib.ifindex, &next, sizeof(next), 0);
}

/* Device that the routing table reaches the address by, 0 if by none. */
static __always_inline __u32 forward_device_of(struct __sk_buff *skb, const struct addr *to,
					       const enum family family)
{
	struct bpf_fib_lookup fib = {
	    .family = family == IPV4 ? AF_INET : AF_INET6,
	    .ifindex = skb->ifindex,
	};
	int result;

	addr_store(family == IPV4 ? &fib.ipv4_dst : fib.ipv6_dst, to, family);
	result = bpf_fib_lookup(skb, &fib, sizeof(fib), BPF_FIB_LOOKUP_SKIP_NEIGH);
	return result == BPF_FIB_LKUP_RET_SUCCESS ? fib.ifindex : 0;
}

SEPARATE __u32 forward_device4(struct __sk_buff *skb, const struct addr *to)
{
	return to ? forward_device_of(skb, to, IPV4) : 0;
}

SEPARATE __u32 forward_device6(struct __sk_buff *skb, const struct addr *to)
{
	return to ? forward_device_of(skb, to, IPV6) : 0;
}

static __always_inline __u32 forward_device(struct __sk_buff *skb, const struct addr *to,
					    const enum family family)
{
	return family == IPV4 ? forward_device4(skb, to) : forward_device6(skb, to);
}

/* Apart, as the parameters of the lookup are larger than the frame of many a program. */
SEPARATE int forward_by_route4(struct __sk_buff *skb, const struct flow *flow)
{
	return flow ? forward_by_route(skb, flow, IPV4) : DROP(DROP_INVALID_PACKET);
}

SEPARATE int forward_by_route6(struct __sk_buff *skb, const struct flow *flow)
{
	return flow ? forward_by_route(skb, flow, IPV6) : DROP(DROP_INVALID_PACKET);
}

/* settled: nothing is left to do for the program at the device, by whatever way it gets there. */
static __always_inline void forward_mark(struct __sk_buff *skb, _Bool settled)
{
	if (settled && (node_ports || masquerade4 || masquerade6))
		skb->mark = (skb->mark & ~MARK_KIND_MASK) | MARK_SETTLED;
}

static __always_inline int forward_direct(struct __sk_buff *skb, const struct flow *flow,
					  const enum family family)
{
	int result;

	if (trace_aggregation < TRACE_CONNECTIONS && (skb->mark & MARK_KIND_MASK) != MARK_SETTLED)
		skb->mark = (skb->mark & ~MARK_KIND_MASK) | MARK_TRACED;
	if (!uplink_ifindex)
		return family == IPV4 ? forward_by_route4(skb, flow) : forward_by_route6(skb, flow);
	result = forward_hop(skb, &flow->packet, 0, family);
	if (result < 0)
		return result;
	forward_count(skb, METRIC_EGRESS);
	event_trace(skb, flow, TRACE_TO_NETWORK, flow->egress_endpoint, uplink_ifindex);
	return bpf_redirect_neigh(uplink_ifindex, 0, 0, 0);
}

/* Out of this node, from an ingress hook. What is too large goes to the stack, whose routes have
 * the same MTU and which tells the sender.
 */
static __always_inline int forward_to_remote(struct __sk_buff *skb, const struct flow *flow,
					     const struct ipcache_info *info,
					     const enum family family)
{
	const _Bool remote = info && info->flags & IPCACHE_REMOTE;

	/* What answers somebody outside, or stays in the cluster, keeps its address. */
	forward_mark(skb, remote || flow->flags & FLOW_REPLY);
	if (remote && tunnel_ifindex && !(info->flags & IPCACHE_SKIP_TUNNEL)) {
		if (unlikely(forward_exceeds(skb, &flow->packet, tunnel_mtu)))
			return forward_to_stack(skb, flow, TRACE_TO_STACK);
		return forward_to_tunnel(skb, flow, info, flow->source_identity, family);
	}
	/* With a service's address for source, which the stack takes for forged. */
	if (flow->flags & (FLOW_NODE_PORT | FLOW_DSR) && flow->flags & FLOW_REPLY)
		return forward_direct(skb, flow, family);
	if (!remote && stack_routes_world)
		return forward_to_stack(skb, flow, TRACE_TO_STACK);
	if (unlikely(forward_exceeds(skb, &flow->packet, uplink_mtu)))
		return forward_to_stack(skb, flow, TRACE_TO_STACK);
	return forward_direct(skb, flow, family);
}

/* The end of an ingress hook. A router answers a packet whose hops are used up; ours is the host
 * stack, which cannot but discard the packet and send the message.
 */
static __always_inline int forward_verdict(struct __sk_buff *skb, const struct flow *flow,
					   int result, enum metric_direction direction)
{
	if (likely(result >= 0))
		return result;
	packet_drop(skb, flow, result, direction);
	return DROP_REASON(result) == DROP_TTL_EXCEEDED ? TC_ACT_OK : TC_ACT_SHOT;
}

#endif
