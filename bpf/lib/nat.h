/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef AXONEME_LIB_NAT_H
#define AXONEME_LIB_NAT_H

#include "lib/flow.h"
#include "lib/sctp_checksum.h"

#undef SOURCE_FILE
#define SOURCE_FILE FILE_NAT

/* Gives packets other ends. One pass for both ends, as each checksum is touched once then. */

static __always_inline int nat_checksum_offset(__u8 protocol)
{
	switch (protocol) {
	case IPPROTO_TCP:
		return __builtin_offsetof(struct tcphdr, check);
	case IPPROTO_UDP:
		return __builtin_offsetof(struct udphdr, check);
	case IPPROTO_ICMP:
		return __builtin_offsetof(struct icmphdr, checksum);
	case IPPROTO_ICMPV6:
		return __builtin_offsetof(struct icmp6hdr, icmp6_cksum);
	}
	return -1;
}

/* Whether the L4 checksum covers the addresses. */
static __always_inline _Bool nat_has_pseudo_header(__u8 protocol)
{
	return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || protocol == IPPROTO_ICMPV6;
}

static __always_inline __u64 nat_addr_diff(__u64 sum, const struct addr *from,
					   const struct addr *to, const enum family family)
{
	sum += (__u64)~from->word[0] + to->word[0];
	if (family == IPV6) {
		sum += (__u64)~from->word[1] + to->word[1];
		sum += (__u64)~from->word[2] + to->word[2];
		sum += (__u64)~from->word[3] + to->word[3];
	}
	return sum;
}

/* What the change of both addresses adds to a sum in one's complement, as bpf_csum_diff() tells it.
 */
static __always_inline __wsum nat_diff(const struct tuple *from, const struct tuple *to,
				       const enum family family)
{
	__u64 sum = nat_addr_diff(0, &from->source, &to->source, family);

	sum = nat_addr_diff(sum, &from->destination, &to->destination, family);
	sum = (__u32)sum + (sum >> 32);
	return (__u32)sum + (__u32)(sum >> 32);
}

/* Writes both addresses of the IP header at offset. */
static __always_inline int nat_store_addrs(struct __sk_buff *skb, int offset,
					   const struct tuple *to, const enum family family)
{
	if (family == IPV4) {
		const __be32 pair[2] = {to->source.word[0], to->destination.word[0]};

		return bpf_skb_store_bytes(skb, offset + __builtin_offsetof(struct iphdr, saddr),
					   pair, sizeof(pair), 0);
	}
	return bpf_skb_store_bytes(skb, offset + __builtin_offsetof(struct ipv6hdr, saddr),
				   &to->source, 2 * sizeof(struct addr), 0);
}

static __always_inline int nat_write_addrs(struct __sk_buff *skb, const struct packet *p,
					   const struct tuple *to, const enum family family)
{
	const int checksum = nat_checksum_offset(p->protocol);
	const __u64 flags =
	    BPF_F_PSEUDO_HDR | (p->protocol == IPPROTO_UDP ? BPF_F_MARK_MANGLED_0 : 0);
	const __wsum diff = nat_diff(&p->tuple, to, family);

	if (nat_has_pseudo_header(p->protocol) && (p->flags & PACKET_HAS_L4) &&
	    bpf_l4_csum_replace(skb, p->l4_offset + checksum, 0, diff, flags) < 0)
		return DROP(DROP_ERROR_WHILE_CORRECTING_L4_CHECKSUM);
	/* An IPv4 header's own checksum makes up for its addresses in the sum that a device
	 * delivered. In an IPv6 packet the L4 checksum would, but the helper thinks of IPv4 and
	 * takes the latter off.
	 */
	if (family == IPV6)
		bpf_csum_update(skb, diff);
	else if (bpf_l3_csum_replace(skb, L3_OFFSET + __builtin_offsetof(struct iphdr, check), 0,
				     diff, 0) < 0)
		return DROP(DROP_ERROR_WHILE_CORRECTING_L3_CHECKSUM);
	if (nat_store_addrs(skb, L3_OFFSET, to, family) < 0)
		return DROP(DROP_ERROR_WRITING_TO_PACKET);
	return 0;
}

static __always_inline word nat_ports(const struct tuple *tuple)
{
	return *(const word *)&tuple->source_port;
}

/* A sender that leaves the CRC to its device writes 0. The chance that 0 is the right one is one in
 * four thousand million, and costs that packet.
 */
static __always_inline int nat_write_sctp(struct __sk_buff *skb, const struct packet *p,
					  word change, const enum family family)
{
	const int at = p->l4_offset + 8;
	__u32 crc;

	if (bpf_skb_load_bytes(skb, at, &crc, sizeof(crc)) < 0)
		return DROP(DROP_CT_TRUNCATED_OR_INVALID_HEADER);
	if (!crc)
		return 0;
	/* Of part of a packet nobody knows the length of the rest. */
	if (p->flags & PACKET_FIRST_FRAGMENT)
		return DROP(DROP_UNSUPPORTED_PROTOCOL_FOR_NAT_MASQUERADE);
	crc ^= sctp_checksum_diff(change, packet_l4_len(skb, p, family));
	if (bpf_skb_store_bytes(skb, at, &crc, sizeof(crc), 0) < 0)
		return DROP(DROP_ERROR_WRITING_TO_PACKET);
	return 0;
}

static __always_inline int nat_write_ports(struct __sk_buff *skb, const struct packet *p,
					   const struct tuple *to, const enum family family)
{
	const word from = nat_ports(&p->tuple);
	const word ports = nat_ports(to);
	const __u64 flags = sizeof(ports) | (p->protocol == IPPROTO_UDP ? BPF_F_MARK_MANGLED_0 : 0);

	if (p->protocol == IPPROTO_SCTP) {
		int result = nat_write_sctp(skb, p, from ^ ports, family);

		if (result < 0)
			return result;
	} else if (bpf_l4_csum_replace(skb, p->l4_offset + nat_checksum_offset(p->protocol), from,
				       ports, flags) < 0) {
		return DROP(DROP_ERROR_WHILE_CORRECTING_L4_CHECKSUM);
	}
	if (bpf_skb_store_bytes(skb, p->l4_offset, &ports, sizeof(ports), 0) < 0)
		return DROP(DROP_ERROR_WRITING_TO_PACKET);
	return 0;
}

/* The identifier of an echo; one of the two ports is 0. */
static __always_inline int nat_write_echo_id(struct __sk_buff *skb, const struct packet *p,
					     const struct tuple *to)
{
	const __be16 from = p->source_port | p->destination_port;
	const __be16 id = to->source_port | to->destination_port;

	if (bpf_l4_csum_replace(skb, p->l4_offset + nat_checksum_offset(p->protocol), from, id,
				sizeof(id)) < 0)
		return DROP(DROP_ERROR_WHILE_CORRECTING_L4_CHECKSUM);
	if (bpf_skb_store_bytes(skb, p->l4_offset + __builtin_offsetof(struct icmphdr, id), &id,
				sizeof(id), 0) < 0)
		return DROP(DROP_ERROR_WRITING_TO_PACKET);
	return 0;
}

static __always_inline int nat_apply(struct __sk_buff *skb, struct packet *p,
				     const struct tuple *to, const enum family family)
{
	int result = nat_write_addrs(skb, p, to, family);

	if (result < 0)
		return result;
	if (nat_ports(&p->tuple) != nat_ports(to) && (p->flags & PACKET_HAS_L4)) {
		result = protocol_has_ports(p->protocol) ? nat_write_ports(skb, p, to, family)
							 : nat_write_echo_id(skb, p, to);
		if (result < 0)
			return result;
	}
	addr_load(&p->source, &to->source, family);
	addr_load(&p->destination, &to->destination, family);
	p->source_port = to->source_port;
	p->destination_port = to->destination_port;
	return 0;
}

/* Not inlined: translation per packet is for the traffic that sockets could not translate. */
SEPARATE int nat_apply4(struct __sk_buff *skb, struct packet *p, const struct tuple *to)
{
	if (!(p && to))
		return DROP(DROP_INVALID_PACKET);
	return nat_apply(skb, p, to, IPV4);
}

SEPARATE int nat_apply6(struct __sk_buff *skb, struct packet *p, const struct tuple *to)
{
	if (!(p && to))
		return DROP(DROP_INVALID_PACKET);
	return nat_apply(skb, p, to, IPV6);
}

/* Gives the packet these ends. The ports must be those it has where its protocol knows none. */
static __always_inline int nat_rewrite(struct __sk_buff *skb, struct packet *p,
				       const struct tuple *to, const enum family family)
{
	return family == IPV4 ? nat_apply4(skb, p, to) : nat_apply6(skb, p, to);
}

#endif
