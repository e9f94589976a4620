/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef AXONEME_LIB_ICMP_H
#define AXONEME_LIB_ICMP_H

#include "lib/conntrack.h"
#include "lib/nat.h"

#undef SOURCE_FILE
#define SOURCE_FILE FILE_ICMP

#define ICMP_HEADER_LEN ((int)sizeof(struct icmphdr))

/* Reads the head of the packet that an ICMP error quotes: IP header without IPv6 extensions, and
 * the eight bytes behind it that every error carries. -1 if there is none.
 */
static __always_inline int icmp_parse_quoted(struct __sk_buff *skb, const struct packet *error,
					     struct packet *quoted, const enum family family)
{
	int offset = error->l4_offset + ICMP_HEADER_LEN;
	struct icmphdr l4; /* also read as ports */

	if (family == IPV4) {
		struct iphdr ip;

		if (bpf_skb_load_bytes(skb, offset, &ip, sizeof(ip)) < 0 || ip.version != 4 ||
		    ip.ihl < 5 || ip.frag_off & bpf_htons(0x1fff))
			return -1;
		quoted->source.word[0] = ip.saddr;
		quoted->destination.word[0] = ip.daddr;
		quoted->protocol = ip.protocol;
		offset += ip.ihl * 4;
	} else {
		struct ipv6hdr ip;

		if (bpf_skb_load_bytes(skb, offset, &ip, sizeof(ip)) < 0 || ip.version != 6)
			return -1;
		addr_load(&quoted->source, &ip.saddr, IPV6);
		addr_load(&quoted->destination, &ip.daddr, IPV6);
		quoted->protocol = ip.nexthdr;
		offset += sizeof(ip);
	}
	if (bpf_skb_load_bytes(skb, offset, &l4, sizeof(l4)) < 0)
		return -1;
	if (protocol_has_ports(quoted->protocol)) {
		const struct udphdr *ports = (const void *)&l4;

		quoted->source_port = ports->source;
		quoted->destination_port = ports->dest;
	} else if (quoted->protocol == IPPROTO_ICMP) {
		packet_parse_icmp4(quoted, &l4);
	} else if (quoted->protocol == IPPROTO_ICMPV6) {
		packet_parse_icmp6(quoted, (const void *)&l4);
	}
	quoted->l4_offset = offset;
	return 0;
}

/* What icmp_is_related() says of a connection through the proxy. */
#define ICMP_RELATED_PROXY 2

/* Positive if the error belongs to a connection that is tracked, and goes to the sender of what it
 * quotes; the flow then says which way it goes.
 */
static __always_inline int icmp_relate(struct __sk_buff *skb, struct flow *flow, __u32 now_s,
				       const enum family family)
{
	struct packet quoted = {};
	union ct_key key = {};
	const struct ct_entry *entry;
	_Bool low;

	if (icmp_parse_quoted(skb, &flow->packet, &quoted, family) < 0)
		return 0;
	/* To anybody else it is a packet that brings its own permission along. */
	if (!addr_equal(&flow->packet.destination, &quoted.source, family))
		return 0;
	low = ct_key_of(&key, &quoted, CT_SCOPE_FLOW, family);
	entry = ct_find(&key, now_s, family);
	if (!entry)
		return 0;
	flow->ct_state = CT_STATE_RELATED;
	flow->flags |= FLOW_REPORT;
	/* The error goes back to the sender of what it quotes. */
	if (!!(entry->flags & CT_LOW_INITIATES) == low) {
		flow->flags |= FLOW_REPLY;
		flow->rev_nat = entry->rev_nat;
		if (entry->flags & CT_HAIRPIN)
			flow->flags |= FLOW_HAIRPIN;
		if (entry->flags & CT_NODE_PORT)
			flow->flags |= FLOW_NODE_PORT;
		if (entry->flags & CT_DSR)
			flow->flags |= FLOW_DSR;
	}
	return entry->flags & CT_PROXY ? ICMP_RELATED_PROXY : 1;
}

SEPARATE int icmp_relate4(struct __sk_buff *skb, struct flow *flow, __u32 now_s)
{
	return flow ? icmp_relate(skb, flow, now_s, IPV4) : DROP(DROP_INVALID_PACKET);
}

SEPARATE int icmp_relate6(struct __sk_buff *skb, struct flow *flow, __u32 now_s)
{
	return flow ? icmp_relate(skb, flow, now_s, IPV6) : DROP(DROP_INVALID_PACKET);
}

static __always_inline int icmp_is_related(struct __sk_buff *skb, struct flow *flow, __u32 now_s,
					   const enum family family)
{
	return family == IPV4 ? icmp_relate4(skb, flow, now_s) : icmp_relate6(skb, flow, now_s);
}

/* Ports, or the identifier of an echo, of the quoted packet. */
static __always_inline int icmp_write_quoted_ports(struct __sk_buff *skb, int checksum,
						   const struct packet *quoted,
						   const struct tuple *to)
{
	const _Bool echo = !protocol_has_ports(quoted->protocol);
	word from = nat_ports(&quoted->tuple);
	word ports = nat_ports(to);
	int offset = quoted->l4_offset;

	if (from == ports)
		return 0;
	if (echo) { /* one of the halves is 0 */
		from = (from | from >> 16) & 0xffff;
		ports = (ports | ports >> 16) & 0xffff;
		offset += __builtin_offsetof(struct icmphdr, id);
	}
	if (bpf_l4_csum_replace(skb, checksum, from, ports, sizeof(ports)) < 0)
		return DROP(DROP_ERROR_WHILE_CORRECTING_L4_CHECKSUM);
	if (bpf_skb_store_bytes(skb, offset, &ports, echo ? sizeof(__be16) : sizeof(ports), 0) < 0)
		return DROP(DROP_ERROR_WRITING_TO_PACKET);
	return 0;
}

/* Gives the packet that an error quotes other ends. The quoted IPv4 header's own checksum changes
 * along with its addresses, which leaves the message's sum as it was; the quoted L4 checksum stays,
 * as no receiver looks at it.
 */
static __always_inline int icmp_apply(struct __sk_buff *skb, const struct packet *error,
				      const struct packet *quoted, const struct tuple *to,
				      const enum family family)
{
	const int checksum = error->l4_offset + __builtin_offsetof(struct icmphdr, checksum);
	const int ip = error->l4_offset + ICMP_HEADER_LEN;
	const __wsum diff = nat_diff(&quoted->tuple, to, family);

	if (family == IPV4 &&
	    bpf_l3_csum_replace(skb, ip + __builtin_offsetof(struct iphdr, check), 0, diff, 0) < 0)
		return DROP(DROP_ERROR_WHILE_CORRECTING_L3_CHECKSUM);
	if (family == IPV6 && bpf_l4_csum_replace(skb, checksum, 0, diff, 0) < 0)
		return DROP(DROP_ERROR_WHILE_CORRECTING_L4_CHECKSUM);
	if (nat_store_addrs(skb, ip, to, family) < 0)
		return DROP(DROP_ERROR_WRITING_TO_PACKET);
	return icmp_write_quoted_ports(skb, checksum, quoted, to);
}

SEPARATE int icmp_apply4(struct __sk_buff *skb, const struct packet *error,
			 const struct packet *quoted, const struct tuple *to)
{
	if (!error || !quoted || !to)
		return DROP(DROP_INVALID_PACKET);
	return icmp_apply(skb, error, quoted, to, IPV4);
}

SEPARATE int icmp_apply6(struct __sk_buff *skb, const struct packet *error,
			 const struct packet *quoted, const struct tuple *to)
{
	if (!error || !quoted || !to)
		return DROP(DROP_INVALID_PACKET);
	return icmp_apply(skb, error, quoted, to, IPV6);
}

static __always_inline int icmp_rewrite_quoted(struct __sk_buff *skb, const struct packet *error,
					       const struct packet *quoted, const struct tuple *to,
					       const enum family family)
{
	return family == IPV4 ? icmp_apply4(skb, error, quoted, to)
			      : icmp_apply6(skb, error, quoted, to);
}

/* Translates an error about a translated packet: what it quotes gets the ends in to, and the error
 * itself goes to receiver, from the destination that it quotes now if from_quoted is set. 1, or
 * DROP. quoted and to are used up; receiver may be in to.
 */
static __always_inline int icmp_translate(struct __sk_buff *skb, struct packet *error,
					  struct packet *quoted, struct tuple *to,
					  const struct addr *receiver, _Bool from_quoted,
					  const enum family family)
{
	int result = icmp_rewrite_quoted(skb, error, quoted, to, family);

	if (result < 0)
		return result;
	addr_load(&quoted->source, from_quoted ? &to->destination : &error->source, family);
	addr_load(&to->destination, receiver, family);
	addr_load(&to->source, &quoted->source, family);
	to->source_port = error->source_port;
	to->destination_port = error->destination_port;
	result = nat_rewrite(skb, error, to, family);
	return result < 0 ? result : 1;
}

#endif
