/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef AXONEME_LIB_HOP_H
#define AXONEME_LIB_HOP_H

#include "config/node.h"
#include "config/xdp.h"
#include "lib/devices.h"
#include "lib/endpoint.h"
#include "lib/packet.h"

/* The way to the next hop, from the routing table. A lookup there takes as long as everything else
 * that is done with a frame, so each CPU remembers what it has found for a while: changes of routes
 * and neighbours count after that. It ends with a multiple of 128 jiffies, which are between an
 * eighth of a second and 1.3 seconds, because to read them costs nothing.
 */

#define HOP_LIFE_SHIFT 7

#define HOP_SLOTS 4096

#define HOP_AF_INET  2
#define HOP_AF_INET6 10

struct hop {
	struct addr source;
	struct addr destination;
	__u32 period;	  /* in which it was found */
	__u32 ifindex;	  /* 0: the stack has to see to it */
	word ethernet[3]; /* the next frame's addresses, as they lie in it */
	__u16 mtu;
	__u16 family; /* enum family */
};

/* Slots are not exclusive: who finds another's entry overwrites it. Sizes instead of types keep the
 * layout this program's own.
 */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, HOP_SLOTS);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(struct hop));
} hops SEC(".maps");

static __always_inline __u32 hop_period(void)
{
	return bpf_jiffies64() >> HOP_LIFE_SHIFT;
}

static __always_inline __u32 hop_slot(const struct tuple *ends, const enum family family)
{
	const __u32 *from = ends->source.word;
	const __u32 *to = ends->destination.word;
	__u32 mix = to[0] * 0x9e3779b1 + from[0];

	if (family == IPV6)
		mix += (to[1] ^ from[3]) * 0x85ebca6b + (to[2] ^ from[2]) * 0xc2b2ae35 +
		       (to[3] ^ from[1]) * 0x27d4eb2f;
	return (mix * 0x9e3779b1) >> 20; /* twelve bits: HOP_SLOTS */
}

/* Fills in everything behind the addresses. Only uplinks count, and nothing that this node has. */
static __always_inline void hop_ask(struct xdp_md *xdp, struct hop *hop, const enum family family)
{
	struct bpf_fib_lookup fib = {
	    .family = family == IPV4 ? HOP_AF_INET : HOP_AF_INET6,
	    .ifindex = xdp->ingress_ifindex,
	    .tot_len = 1, /* has the lookup tell the MTU */
	};

	hop->ifindex = 0;
	if (endpoint_find(&hop->destination, family))
		return;
	addr_store(family == IPV4 ? &fib.ipv4_src : fib.ipv6_src, &hop->source, family);
	addr_store(family == IPV4 ? &fib.ipv4_dst : fib.ipv6_dst, &hop->destination, family);
	if (bpf_fib_lookup(xdp, &fib, sizeof(fib), 0) != BPF_FIB_LKUP_RET_SUCCESS)
		return;
	if ((uplink_ifindex && fib.ifindex != uplink_ifindex) || fib.ifindex == tunnel_ifindex)
		return;
	if (fib.ifindex != xdp->ingress_ifindex &&
	    !bpf_map_lookup_elem(&cilium_devices, &fib.ifindex))
		return;
	__builtin_memcpy((__u8 *)hop->ethernet, fib.dmac, ETH_ALEN);
	__builtin_memcpy((__u8 *)hop->ethernet + ETH_ALEN, fib.smac, ETH_ALEN);
	hop->mtu = fib.mtu_result;
	hop->ifindex = fib.ifindex;
}

/* Once a period: apart, for the sake of the stack. */
SEPARATE int hop_ask4(struct xdp_md *xdp, struct hop *hop)
{
	if (hop)
		hop_ask(xdp, hop, IPV4);
	return 0;
}

SEPARATE int hop_ask6(struct xdp_md *xdp, struct hop *hop)
{
	if (hop)
		hop_ask(xdp, hop, IPV6);
	return 0;
}

/* The next hop of a frame with these ends and that length. Null if the stack has to see to it: it
 * waits for neighbours, and tells senders what is too large. Entries of this CPU do not change
 * while the program runs.
 */
static __always_inline const struct hop *hop_find(struct xdp_md *xdp, const struct tuple *ends,
						  __u32 len, const enum family family)
{
	const __u32 slot = hop_slot(ends, family);
	const __u32 period = hop_period();
	struct hop *hop = bpf_map_lookup_elem(&hops, &slot);

	if (!hop)
		return 0;
	if (hop->period != period || hop->family != family ||
	    !addr_equal(&hop->destination, &ends->destination, family) ||
	    !addr_equal(&hop->source, &ends->source, family)) {
		addr_store(&hop->source, &ends->source, family);
		addr_store(&hop->destination, &ends->destination, family);
		hop->period = period;
		hop->family = family;
		if (family == IPV4)
			hop_ask4(xdp, hop);
		else
			hop_ask6(xdp, hop);
	}
	/* Not every driver takes frames that came in by another device. */
	if (hop->ifindex != xdp->ingress_ifindex && !(xdp_redirects && hop->ifindex))
		return 0;
	return len <= (__u32)hop->mtu + ETH_HLEN ? hop : 0;
}

#endif
