/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef AXONEME_LIB_NEIGHBOUR_H
#define AXONEME_LIB_NEIGHBOUR_H

#include "lib/packet.h"

#undef SOURCE_FILE
#define SOURCE_FILE FILE_ICMP

/* ICMPv6 types that stay on the link. */
enum neighbour_message {
	MLD_QUERY = 130,
	MLD_REPORT = 131,
	MLD_DONE = 132,
	ND_ROUTER_SOLICITATION = 133,
	ND_ROUTER_ADVERTISEMENT = 134,
	ND_NEIGHBOUR_SOLICITATION = 135,
	ND_NEIGHBOUR_ADVERTISEMENT = 136,
	ND_REDIRECT = 137,
	MLD2_REPORT = 143,
};

/* Discovery and multicast membership, to an address of the link. To any other address such a
 * message is a packet like others: subject to policy, and forwarded with fewer than 255 hops worth
 * nothing.
 */
static __always_inline _Bool neighbour_is_discovery(const struct packet *p)
{
	__be32 to = p->destination.word[0];

	if (p->protocol != IPPROTO_ICMPV6 || !(p->flags & PACKET_HAS_L4))
		return 0;
	if ((to & bpf_htonl(0xff000000)) != bpf_htonl(0xff000000) &&
	    (to & bpf_htonl(0xffc00000)) != bpf_htonl(0xfe800000))
		return 0;
	return (p->icmp_type >= MLD_QUERY && p->icmp_type <= ND_REDIRECT) ||
	       p->icmp_type == MLD2_REPORT;
}

/* fe80::/10, or the unspecified address that duplicate address detection sends from. */
static __always_inline _Bool neighbour_is_link_local_source(const struct packet *p)
{
	const __u32 *source = p->source.word;

	return (source[0] & bpf_htonl(0xffc00000)) == bpf_htonl(0xfe800000) ||
	       !(source[0] | source[1] | source[2] | source[3]);
}

/* What pods say about the link goes to the host stack, whose own neighbour entries for pods are
 * permanent. A pod is no router and no querier.
 */
static __always_inline int neighbour_check(const struct packet *p)
{
	switch (p->icmp_type) {
	case ND_ROUTER_ADVERTISEMENT:
	case ND_REDIRECT:
	case MLD_QUERY:
		return DROP(DROP_FORBIDDEN_ICMPV6_MESSAGE);
	case ND_ROUTER_SOLICITATION:
	case ND_NEIGHBOUR_SOLICITATION:
	case ND_NEIGHBOUR_ADVERTISEMENT:
		return p->hop_limit == 255 ? 0 : DROP(DROP_INVALID_PACKET);
	}
	return 0;
}

#endif
