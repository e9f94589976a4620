/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef AXONEME_LIB_ICMP_ANSWER_H
#define AXONEME_LIB_ICMP_ANSWER_H

#include "config/lb.h"
#include "config/node.h"
#include "lib/icmp.h"

#undef SOURCE_FILE
#define SOURCE_FILE FILE_ICMP

/* Messages that tell a sender why its packet ended here, for packets that the host stack cannot
 * answer, because it knows nothing of where they would have gone.
 */

/* Of the packet: a multiple of four bytes that holds the longest IP header and what every error has
 * to quote behind it.
 */
#define ICMP_QUOTE_LEN 96

enum icmp_code {
	ICMP4_PORT_UNREACHABLE = 3,
	ICMP4_FRAGMENTATION_NEEDED = 4,
	ICMP4_ADMINISTRATIVELY_PROHIBITED = 13,
	ICMP6_ADMINISTRATIVELY_PROHIBITED = 1,
	ICMP6_PORT_UNREACHABLE = 4,
};

/* The first eight bytes, with the MTU in the place that the family has for it. */
struct icmp_notice {
	__u8 type;
	__u8 code;
	__sum16 checksum;
	__be32 detail;
};

/* 0 if drops for this reason are not answered. */
static __always_inline int icmp_notice_of(struct icmp_notice *notice, const struct flow *flow,
					  __u8 reason, const enum family family)
{
	switch (reason) {
	case DROP_SERVICE_BACKEND_NOT_FOUND:
		notice->type = family == IPV4 ? ICMP_DEST_UNREACH : ICMPV6_DEST_UNREACH;
		notice->code = family == IPV4 ? ICMP4_PORT_UNREACHABLE : ICMP6_PORT_UNREACHABLE;
		return reject_without_backend;
	case DROP_FRAGMENTATION_NEEDED:
		notice->type = family == IPV4 ? ICMP_DEST_UNREACH : ICMPV6_PKT_TOOBIG;
		notice->code = family == IPV4 ? ICMP4_FRAGMENTATION_NEEDED : 0;
		notice->detail = bpf_htonl(flow->path_mtu);
		return 1;
	case DROP_TTL_EXCEEDED:
		notice->type = family == IPV4 ? ICMP_TIME_EXCEEDED : ICMPV6_TIME_EXCEED;
		notice->code = 0;
		return 1;
	case DROP_POLICY_DENIED:
	case DROP_POLICY_DENY:
		notice->type = family == IPV4 ? ICMP_DEST_UNREACH : ICMPV6_DEST_UNREACH;
		notice->code = family == IPV4 ? ICMP4_ADMINISTRATIVELY_PROHIBITED
					      : ICMP6_ADMINISTRATIVELY_PROHIBITED;
		/* Who is not let in learns nothing, not even that there is something. */
		return policy_deny_icmp && flow->egress_endpoint;
	}
	return 0;
}

static __always_inline __sum16 icmp_fold(__u32 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

/* The hop limit counts the hop that sends it. */
static __always_inline int icmp_store4(struct __sk_buff *skb, const struct packet *p,
				       struct icmp_notice *notice, __u32 quoted, __u32 sum)
{
	struct iphdr ip = {
	    .version = 4,
	    .ihl = 5,
	    .tot_len = bpf_htons(sizeof(ip) + sizeof(*notice) + quoted),
	    .ttl = 65,
	    .protocol = IPPROTO_ICMP,
	    .saddr = p->destination.word[0],
	    .daddr = p->source.word[0],
	};

	ip.check = icmp_fold(bpf_csum_diff(0, 0, (__be32 *)&ip, sizeof(ip), 0));
	notice->checksum = icmp_fold(bpf_csum_diff(0, 0, (__be32 *)notice, sizeof(*notice), sum));
	if (bpf_skb_store_bytes(skb, L3_OFFSET, &ip, sizeof(ip), 0) < 0)
		return DROP(DROP_ERROR_WRITING_TO_PACKET);
	return bpf_skb_store_bytes(skb, L3_OFFSET + sizeof(ip), notice, sizeof(*notice), 0);
}

static __always_inline int icmp_store6(struct __sk_buff *skb, const struct packet *p,
				       struct icmp_notice *notice, __u32 quoted, __u32 sum)
{
	struct ipv6hdr ip = {
	    .version = 6,
	    .payload_len = bpf_htons(sizeof(*notice) + quoted),
	    .nexthdr = IPPROTO_ICMPV6,
	    .hop_limit = 65,
	};

	addr_store(&ip.saddr, &p->destination, IPV6);
	addr_store(&ip.daddr, &p->source, IPV6);
	sum = bpf_csum_diff(0, 0, (__be32 *)&ip.saddr, 2 * sizeof(ip.saddr), sum);
	sum = bpf_csum_diff(0, 0, (__be32 *)notice, sizeof(*notice), sum);
	/* The rest of the pseudo-header: two numbers of 16 bits, in whichever half of a word. */
	sum = (sum & 0xffff) + (sum >> 16) + ip.payload_len + bpf_htons(IPPROTO_ICMPV6);
	notice->checksum = icmp_fold(sum);
	if (bpf_skb_store_bytes(skb, L3_OFFSET, &ip, sizeof(ip), 0) < 0)
		return DROP(DROP_ERROR_WRITING_TO_PACKET);
	return bpf_skb_store_bytes(skb, L3_OFFSET + sizeof(ip), notice, sizeof(*notice), 0);
}

/* Turns the packet into a message to its sender, from the address that it was sent to. */
static __always_inline int icmp_answer(struct __sk_buff *skb, struct flow *flow, __u8 reason,
				       const enum family family)
{
	const int ip_len = family == IPV4 ? sizeof(struct iphdr) : sizeof(struct ipv6hdr);
	struct packet *p = &flow->packet;
	__u8 quote[ICMP_QUOTE_LEN] = {};
	struct icmp_notice notice = {};
	struct addr sender;
	__u32 quoted = skb->len - L3_OFFSET;
	__u32 sum;

	if (!icmp_notice_of(&notice, flow, reason, family))
		return TC_ACT_SHOT;
	if (quoted > ICMP_QUOTE_LEN)
		quoted = ICMP_QUOTE_LEN;
	if (bpf_skb_change_tail(skb, L3_OFFSET + quoted, 0) < 0)
		return TC_ACT_SHOT;
	asm volatile("" : "+r"(quoted));
	if (quoted - 1 >= ICMP_QUOTE_LEN || bpf_skb_load_bytes(skb, L3_OFFSET, quote, quoted) < 0)
		return TC_ACT_SHOT;
	if (bpf_skb_adjust_room(skb, ip_len + sizeof(notice), BPF_ADJ_ROOM_MAC, 0) < 0)
		return TC_ACT_SHOT;
	sum = bpf_csum_diff(0, 0, (__be32 *)quote, sizeof(quote), 0);
	if ((family == IPV4 ? icmp_store4(skb, p, &notice, quoted, sum)
			    : icmp_store6(skb, p, &notice, quoted, sum)) < 0)
		return TC_ACT_SHOT;
	addr_load(&sender, &p->source, family);
	addr_load(&p->source, &p->destination, family);
	addr_load(&p->destination, &sender, family);
	p->protocol = family == IPV4 ? IPPROTO_ICMP : IPPROTO_ICMPV6;
	p->l4_offset = L3_OFFSET + ip_len;
	p->hop_limit = 65;
	return TC_ACT_OK;
}

/* TC_ACT_OK: the packet is the answer now, and is to go where it came from. */
SEPARATE int icmp_answer4(struct __sk_buff *skb, struct flow *flow, __u8 reason)
{
	return flow ? icmp_answer(skb, flow, reason, IPV4) : TC_ACT_SHOT;
}

SEPARATE int icmp_answer6(struct __sk_buff *skb, struct flow *flow, __u8 reason)
{
	return flow ? icmp_answer(skb, flow, reason, IPV6) : TC_ACT_SHOT;
}

#endif
