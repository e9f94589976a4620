/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef AXONEME_LIB_NAT_H
#define AXONEME_LIB_NAT_H

#include "lib/flow.h"

#undef SOURCE_FILE
#define SOURCE_FILE FILE_NAT

/* One end of a packet, rewritten. */
struct nat_change {
	struct addr addr;
	__be16 port;
	_Bool source; /* the source end, else the destination */
	__u8 padding;
};

static __always_inline int nat_checksum_offset(__u8 protocol)
{
	switch (protocol) {
	case IPPROTO_TCP:
		return __builtin_offsetof(struct tcphdr, check);
	case IPPROTO_UDP:
		return __builtin_offsetof(struct udphdr, check);
	case IPPROTO_ICMPV6:
		return __builtin_offsetof(struct icmp6hdr, icmp6_cksum);
	}
	return -1; /* SCTP has a CRC that covers no addresses */
}

static __always_inline int nat_offset_of_addr(_Bool source, const enum family family)
{
	if (family == IPV4)
		return L3_OFFSET + (source ? __builtin_offsetof(struct iphdr, saddr)
					   : __builtin_offsetof(struct iphdr, daddr));
	return L3_OFFSET + (source ? __builtin_offsetof(struct ipv6hdr, saddr)
				   : __builtin_offsetof(struct ipv6hdr, daddr));
}

/* The address, and every checksum that covers it. */
static __always_inline int nat_write_addr(struct __sk_buff *skb, const struct packet *p,
					  const struct addr *from, const struct nat_change *change,
					  const enum family family)
{
	const int size = addr_size(family);
	int checksum = nat_checksum_offset(p->protocol);
	__u64 flags = BPF_F_PSEUDO_HDR | (p->protocol == IPPROTO_UDP ? BPF_F_MARK_MANGLED_0 : 0);
	__wsum diff = bpf_csum_diff((__be32 *)from, size, (__be32 *)&change->addr, size, 0);

	if (checksum >= 0 && (p->flags & PACKET_HAS_L4)) {
		if (bpf_l4_csum_replace(skb, p->l4_offset + checksum, 0, diff, flags) < 0)
			return DROP(DROP_ERROR_WHILE_CORRECTING_L4_CHECKSUM);
		/* In an IPv6 packet address and checksum change by opposite amounts, and the sum
		 * that a device delivered stays; the helper thinks of IPv4 and takes the latter
		 * off.
		 */
		if (family == IPV6)
			bpf_csum_update(skb, diff);
	}
	if (family == IPV4 &&
	    bpf_l3_csum_replace(skb, L3_OFFSET + __builtin_offsetof(struct iphdr, check), 0, diff,
				0) < 0)
		return DROP(DROP_ERROR_WHILE_CORRECTING_L3_CHECKSUM);
	if (bpf_skb_store_bytes(skb, nat_offset_of_addr(change->source, family), &change->addr,
				size, 0) < 0)
		return DROP(DROP_ERROR_WRITING_TO_PACKET);
	return 0;
}

static __always_inline int nat_write_port(struct __sk_buff *skb, const struct packet *p,
					  __be16 from, const struct nat_change *change)
{
	int checksum = nat_checksum_offset(p->protocol);
	int offset = p->l4_offset + (change->source ? 0 : 2);
	__u64 flags = p->protocol == IPPROTO_UDP ? BPF_F_MARK_MANGLED_0 : 0;

	if (checksum < 0)
		return DROP(DROP_UNKNOWN_L4_PROTOCOL);
	if (bpf_l4_csum_replace(skb, p->l4_offset + checksum, from, change->port,
				flags | sizeof(from)) < 0)
		return DROP(DROP_ERROR_WHILE_CORRECTING_L4_CHECKSUM);
	if (bpf_skb_store_bytes(skb, offset, &change->port, sizeof(change->port), 0) < 0)
		return DROP(DROP_ERROR_WRITING_TO_PACKET);
	return 0;
}

static __always_inline int nat_apply(struct __sk_buff *skb, struct packet *p,
				     const struct nat_change *change, const enum family family)
{
	struct addr *addr = change->source ? &p->source : &p->destination;
	__be16 *port = change->source ? &p->source_port : &p->destination_port;
	int result = nat_write_addr(skb, p, addr, change, family);

	if (result < 0)
		return result;
	if (*port != change->port && protocol_has_ports(p->protocol) &&
	    (p->flags & PACKET_HAS_L4)) {
		result = nat_write_port(skb, p, *port, change);
		if (result < 0)
			return result;
	}
	if (protocol_has_ports(p->protocol))
		*port = change->port;
	addr->word[0] = change->addr.word[0];
	if (family == IPV6) {
		addr->word[1] = change->addr.word[1];
		addr->word[2] = change->addr.word[2];
		addr->word[3] = change->addr.word[3];
	}
	return 0;
}

/* Not inlined: translation per packet is for the traffic that sockets could not translate. */
SEPARATE int nat_apply4(struct __sk_buff *skb, struct packet *p, const struct nat_change *change)
{
	if (!(p && change))
		return DROP(DROP_INVALID_PACKET);
	return nat_apply(skb, p, change, IPV4);
}

SEPARATE int nat_apply6(struct __sk_buff *skb, struct packet *p, const struct nat_change *change)
{
	if (!(p && change))
		return DROP(DROP_INVALID_PACKET);
	return nat_apply(skb, p, change, IPV6);
}

static __always_inline int nat_rewrite(struct __sk_buff *skb, struct packet *p,
				       const struct nat_change *change, const enum family family)
{
	return family == IPV4 ? nat_apply4(skb, p, change) : nat_apply6(skb, p, change);
}

#endif
