/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef AXONEME_LIB_REPLY_MTU_H
#define AXONEME_LIB_REPLY_MTU_H

#include "lib/forward.h"

#undef SOURCE_FILE
#define SOURCE_FILE FILE_FORWARD

/* A pod's answer to a client of a service leaves past the host stack, because its source will be
 * the service's address. So nobody but the programs can tell the pod that the way to the client
 * carries less than its own device.
 */

/* IPv4 packets up to this size are carried everywhere (RFC 1122, section 3.3.3); those of IPv6 are
 * up to twice that and more. Spares short answers the lookup.
 */
#define REPLY_SHORT 576

/* What the way to the client carries, as a router reckons: by the route's device, what is known of
 * the path, and an MTU that is locked to the route; 0 if there is no route.
 */
static __always_inline __u32 reply_route_mtu(struct __sk_buff *skb, const struct packet *p,
					     const enum family family)
{
	struct bpf_fib_lookup fib = {
	    .family = family == IPV4 ? AF_INET : AF_INET6,
	    .l4_protocol = p->protocol,
	    .ifindex = skb->ifindex,
	    .tot_len = 1, /* asks for the route's own MTU, not for that of its device */
	};
	int result;

	addr_store(family == IPV4 ? &fib.ipv4_dst : fib.ipv6_dst, &p->destination, family);
	result = bpf_fib_lookup(skb, &fib, sizeof(fib), BPF_FIB_LOOKUP_SKIP_NEIGH);
	return result == BPF_FIB_LKUP_RET_SUCCESS ? fib.mtu_result : 0;
}

SEPARATE __u32 reply_route_mtu4(struct __sk_buff *skb, const struct packet *p)
{
	return p ? reply_route_mtu(skb, p, IPV4) : 0;
}

SEPARATE __u32 reply_route_mtu6(struct __sk_buff *skb, const struct packet *p)
{
	return p ? reply_route_mtu(skb, p, IPV6) : 0;
}

/* DROP, with the flow's path_mtu set, if the answer is too large for its way. To be asked before
 * the answer is translated: the pod knows the packet as it sent it.
 */
static __always_inline int reply_check_mtu(struct __sk_buff *skb, struct flow *flow,
					   const enum family family)
{
	const struct packet *p = &flow->packet;
	__u32 mtu;

	if (likely(!flow->egress_endpoint || !forward_exceeds(skb, p, REPLY_SHORT)))
		return 0;
	mtu = family == IPV4 ? reply_route_mtu4(skb, p) : reply_route_mtu6(skb, p);
	if (!mtu || mtu > uplink_mtu)
		mtu = uplink_mtu;
	if (likely(!forward_exceeds(skb, p, mtu)) || !forward_must_fit(skb, family))
		return 0;
	flow->path_mtu = mtu;
	return DROP(DROP_FRAGMENTATION_NEEDED);
}

#endif
