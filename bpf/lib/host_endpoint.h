/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef AXONEME_LIB_HOST_ENDPOINT_H
#define AXONEME_LIB_HOST_ENDPOINT_H

#include "lib/policy.h"

/* The node itself as an endpoint, for the programs of pods and of the node's devices. */

/* Without a first policy the node is open: the agent needs the network to get one. */
static __always_inline _Bool host_endpoint_ready(void)
{
	return host_endpoint && policy_revision_of(host_endpoint);
}

/* What keeps the link alive: neighbours, group membership and errors of IPv6 (RFC 4890, 4.4.1), and
 * leases of addresses.
 */
static __always_inline _Bool host_endpoint_exempts(const struct packet *p, const enum family family)
{
	const __be16 server = family == IPV4 ? bpf_htons(67) : bpf_htons(547);
	const __be16 client = family == IPV4 ? bpf_htons(68) : bpf_htons(546);

	if (family == IPV6 && p->protocol == IPPROTO_ICMPV6) {
		if (!(p->flags & PACKET_HAS_L4))
			return 0;
		return p->icmp_type < 128 || (p->icmp_type >= 130 && p->icmp_type <= 137) ||
		       (p->icmp_type >= 141 && p->icmp_type <= 143) || p->icmp_type == 148 ||
		       p->icmp_type == 149;
	}
	return p->protocol == IPPROTO_UDP &&
	       ((p->source_port == server && p->destination_port == client) ||
		(p->source_port == client && p->destination_port == server));
}

/* Whose policy applies at the node's end of a packet between it and a pod; 0 nobody's. */
static __always_inline __u16 host_endpoint_of(const struct packet *p, const enum family family)
{
	return host_endpoint_ready() && !host_endpoint_exempts(p, family) ? host_endpoint : 0;
}

#endif
