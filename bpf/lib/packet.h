/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef AXONEME_LIB_PACKET_H
#define AXONEME_LIB_PACKET_H

#include <linux/icmpv6.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/pkt_cls.h>
#include <linux/tcp.h>
#include <linux/udp.h>

#include "config/node.h"
#include "lib/base.h"
#include "lib/fragments.h"

#undef SOURCE_FILE
#define SOURCE_FILE FILE_PACKET

/* Of <linux/icmp.h>, which drags in the headers of libc. */
struct icmphdr {
	__u8 type;
	__u8 code;
	__sum16 checksum;
	__be16 id;
	__be16 sequence;
};

enum icmp4_type {
	ICMP_ECHOREPLY = 0,
	ICMP_DEST_UNREACH = 3,
	ICMP_SOURCE_QUENCH = 4,
	ICMP_REDIRECT = 5,
	ICMP_ECHO = 8,
	ICMP_TIME_EXCEEDED = 11,
	ICMP_PARAMETERPROB = 12,
	ICMP_TIMESTAMP = 13,
	ICMP_TIMESTAMPREPLY = 14,
};

#define L3_OFFSET ((int)sizeof(struct ethhdr))

enum packet_flags {
	PACKET_LATER_FRAGMENT = 1 << 0, /* no L4 header; the ports are those of the first one */
	PACKET_FIRST_FRAGMENT = 1 << 1,
	PACKET_ICMP_ERROR = 1 << 2, /* carries the head of the packet that caused it */
	PACKET_HAS_L4 = 1 << 3,	    /* the L4 header was read: ports can be rewritten */
	PACKET_PARSED = 1 << 4,	    /* read to the end: protocol and ports are known */
};

/* Both ends of a packet. Ports of ICMP echo are those of the conntrack key (abi/conntrack.h). */
struct tuple {
	struct addr source;
	struct addr destination;
	__be16 source_port;
	__be16 destination_port;
};

static __always_inline void tuple_swap(struct tuple *t, const enum family family)
{
	struct addr source = t->source;
	__be16 port = t->source_port;

	addr_load(&t->source, &t->destination, family);
	addr_load(&t->destination, &source, family);
	t->source_port = t->destination_port;
	t->destination_port = port;
}

/* What the programs know about the packet at hand. */
struct packet {
	union {
		struct tuple tuple;
		struct {
			struct addr source;
			struct addr destination;
			__be16 source_port;
			__be16 destination_port;
		};
	};
	__u16 l4_offset;
	__u8 l4_header_len;
	__u8 protocol;
	__u8 tcp_flags;
	__u8 icmp_type;
	__u8 hop_limit;
	__u8 flags; /* enum packet_flags */
};

#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_ACK 0x10

/* Points at len bytes at offset, having them made linear if they are not. Invalidates earlier
 * packet pointers.
 */
static __always_inline void *packet_bytes(struct __sk_buff *skb, __u32 offset, const __u32 len)
{
	void *start = packet_start(skb);
	void *end = packet_end(skb);

	if (likely(start + offset + len <= end))
		return start + offset;
	if (bpf_skb_pull_data(skb, offset + len) < 0)
		return 0;
	start = packet_start(skb);
	end = packet_end(skb);
	return start + offset + len <= end ? start + offset : 0;
}

/* Between nodes, with another packet inside: most of what nodes exchange where there is a tunnel,
 * and nothing that services or translations could concern.
 */
static __always_inline _Bool tunnel_is_outer(const struct packet *p)
{
	return tunnel_ifindex && p->protocol == IPPROTO_UDP && p->destination_port == tunnel_port;
}

/* From the L4 header on, without the padding of short frames. */
static __always_inline __u32 packet_l4_len(struct __sk_buff *skb, const struct packet *p,
					   const enum family family)
{
	const int len = family == IPV4 ? __builtin_offsetof(struct iphdr, tot_len)
				       : __builtin_offsetof(struct ipv6hdr, payload_len);
	const __u32 uncounted = L3_OFFSET + (family == IPV4 ? 0 : sizeof(struct ipv6hdr));
	__be16 counted = 0;

	bpf_skb_load_bytes(skb, L3_OFFSET + len, &counted, sizeof(counted));
	return bpf_ntohs(counted) + uncounted - p->l4_offset;
}

static __always_inline _Bool protocol_has_ports(__u8 protocol)
{
	return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || protocol == IPPROTO_SCTP;
}

static __always_inline int packet_parse_icmp4(struct packet *p, const struct icmphdr *icmp)
{
	p->icmp_type = icmp->type;
	switch (icmp->type) {
	case ICMP_ECHO:
	case ICMP_TIMESTAMP:
		p->source_port = icmp->id;
		break;
	case ICMP_ECHOREPLY:
	case ICMP_TIMESTAMPREPLY:
		p->destination_port = icmp->id;
		break;
	case ICMP_DEST_UNREACH:
	case ICMP_TIME_EXCEEDED:
	case ICMP_PARAMETERPROB:
	case ICMP_SOURCE_QUENCH:
		p->flags |= PACKET_ICMP_ERROR;
		break;
	case ICMP_REDIRECT: /* would change routes, which no endpoint may ask for */
		return DROP(DROP_UNKNOWN_ICMPV4_TYPE);
	}
	return 0;
}

static __always_inline int packet_parse_icmp6(struct packet *p, const struct icmp6hdr *icmp)
{
	p->icmp_type = icmp->icmp6_type;
	if (icmp->icmp6_type == ICMPV6_ECHO_REQUEST)
		p->source_port = icmp->icmp6_identifier;
	else if (icmp->icmp6_type == ICMPV6_ECHO_REPLY)
		p->destination_port = icmp->icmp6_identifier;
	else if (icmp->icmp6_type < ICMPV6_ECHO_REQUEST)
		p->flags |= PACKET_ICMP_ERROR;
	return 0;
}

static __always_inline int packet_parse_tcp(struct __sk_buff *skb, struct packet *p)
{
	const struct tcphdr *tcp = packet_bytes(skb, p->l4_offset, sizeof(*tcp));

	if (!tcp || tcp->doff < 5)
		return DROP(DROP_CT_TRUNCATED_OR_INVALID_HEADER);
	p->source_port = tcp->source;
	p->destination_port = tcp->dest;
	p->tcp_flags = ((const __u8 *)tcp)[13];
	p->l4_header_len = tcp->doff * 4;
	return 0;
}

static __always_inline int packet_parse_transport(struct __sk_buff *skb, struct packet *p)
{
	if (p->protocol == IPPROTO_TCP)
		return packet_parse_tcp(skb, p);
	if (p->protocol == IPPROTO_ICMP || p->protocol == IPPROTO_ICMPV6) {
		void *icmp = packet_bytes(skb, p->l4_offset, sizeof(struct icmphdr));

		if (!icmp)
			return DROP(DROP_CT_TRUNCATED_OR_INVALID_HEADER);
		return p->protocol == IPPROTO_ICMP ? packet_parse_icmp4(p, icmp)
						   : packet_parse_icmp6(p, icmp);
	}
	if (p->protocol == IPPROTO_UDP || p->protocol == IPPROTO_SCTP) {
		const struct udphdr *ports = packet_bytes(skb, p->l4_offset, sizeof(*ports));

		if (!ports)
			return DROP(DROP_CT_TRUNCATED_OR_INVALID_HEADER);
		p->source_port = ports->source;
		p->destination_port = ports->dest;
		p->l4_header_len = sizeof(*ports);
	}
	return 0; /* other protocols are known by addresses and number alone */
}

static __always_inline int packet_parse_ip4(struct __sk_buff *skb, struct packet *p)
{
	const struct iphdr *ip = packet_bytes(skb, L3_OFFSET, sizeof(*ip));
	__u32 len;

	if (!ip || ip->version != 4 || ip->ihl < 5)
		return DROP(DROP_INVALID_PACKET);
	/* Length 0 is that of an aggregate of more than 64 KiB. */
	len = bpf_ntohs(ip->tot_len);
	if (len && (len < ip->ihl * 4u || len + L3_OFFSET > skb->len))
		return DROP(DROP_INVALID_PACKET);
	p->source.word[0] = ip->saddr;
	p->destination.word[0] = ip->daddr;
	p->protocol = ip->protocol;
	p->hop_limit = ip->ttl;
	p->l4_offset = L3_OFFSET + ip->ihl * 4;
	if (unlikely(ip->frag_off & bpf_htons(0x3fff)))
		p->flags |= ip->frag_off & bpf_htons(0x1fff) ? PACKET_LATER_FRAGMENT
							     : PACKET_FIRST_FRAGMENT;
	return 0;
}

static __always_inline _Bool ip6_is_extension(__u8 header)
{
	return header == IPPROTO_HOPOPTS || header == IPPROTO_ROUTING ||
	       header == IPPROTO_FRAGMENT || header == IPPROTO_DSTOPTS || header == IPPROTO_AH;
}

/* Walks the extension headers: p->protocol and p->l4_offset move to what lies behind them. Returns
 * the offset of the fragment header, 0 without one, or DROP.
 */
SEPARATE int ip6_skip_extensions(struct __sk_buff *skb, struct packet *p)
{
	__u32 offset;
	__u8 header;
	int fragment = 0;

	if (!p)
		return DROP(DROP_INVALID_PACKET);
	offset = p->l4_offset;
	header = p->protocol;
#pragma unroll
	for (int i = 0; i < LIMIT_IP6_EXTENSIONS; i++) {
		__u8 head[4]; /* next header, length; for fragments also the offset */

		if (!ip6_is_extension(header))
			break;
		if (bpf_skb_load_bytes(skb, offset, head, sizeof(head)) < 0)
			return DROP(DROP_INVALID_PACKET);
		if (header == IPPROTO_FRAGMENT) {
			fragment = offset;
			offset += 8;
			if (head[2] | (head[3] & 0xf8)) {
				header = head[0];
				p->flags |= PACKET_LATER_FRAGMENT;
				break;
			}
			if (head[3] & 1)
				p->flags |= PACKET_FIRST_FRAGMENT;
		} else if (header == IPPROTO_AH) {
			offset += (head[1] + 2) * 4;
		} else {
			offset += (head[1] + 1) * 8;
		}
		header = head[0];
	}
	if (!(p->flags & PACKET_LATER_FRAGMENT) && ip6_is_extension(header))
		return DROP(DROP_INVALID_IPV6_EXTENSION_HEADER);
	p->protocol = header;
	p->l4_offset = offset;
	return fragment;
}

static __always_inline int packet_parse_ip6(struct __sk_buff *skb, struct packet *p)
{
	const struct ipv6hdr *ip = packet_bytes(skb, L3_OFFSET, sizeof(*ip));
	__u32 len;

	if (!ip || ip->version != 6)
		return DROP(DROP_INVALID_PACKET);
	len = bpf_ntohs(ip->payload_len);
	if (len && len + L3_OFFSET + sizeof(*ip) > skb->len)
		return DROP(DROP_INVALID_PACKET);
	addr_load(&p->source, &ip->saddr, IPV6);
	addr_load(&p->destination, &ip->daddr, IPV6);
	p->protocol = ip->nexthdr;
	p->hop_limit = ip->hop_limit;
	p->l4_offset = L3_OFFSET + sizeof(*ip);
	return 0;
}

/* Reads the IP header only: enough to see whether a packet is for one of our endpoints. */
static __always_inline int packet_parse_ip(struct __sk_buff *skb, struct packet *p,
					   const enum family family)
{
	return family == IPV4 ? packet_parse_ip4(skb, p) : packet_parse_ip6(skb, p);
}

static __always_inline int packet_parse_rest(struct __sk_buff *skb, struct packet *p,
					     const enum family family)
{
	int fragment = 0;
	int result;

	if (family == IPV6 && ip6_is_extension(p->protocol)) {
		fragment = ip6_skip_extensions(skb, p);
		if (fragment < 0)
			return fragment;
	}
	/* Each family has one ICMP; the other's number is an unknown protocol to the stack as well.
	 */
	if (p->protocol == (family == IPV4 ? IPPROTO_ICMPV6 : IPPROTO_ICMP))
		return DROP(DROP_CT_UNKNOWN_L4_PROTOCOL);
	if (unlikely(p->flags & PACKET_LATER_FRAGMENT)) {
		struct frag_ports ports = {};

		if (fragment_find(skb, fragment, p->protocol, &ports, family) < 0)
			return DROP(DROP_FIRST_LOGICAL_DATAGRAM_FRAGMENT_NOT_FOUND);
		p->source_port = ports.source;
		p->destination_port = ports.destination;
		p->flags |= PACKET_PARSED;
		return 0;
	}
	/* No header chain is longer; the verifier wants a bound. */
	if (p->l4_offset > 0x2000)
		return DROP(DROP_INVALID_PACKET);
	result = packet_parse_transport(skb, p);
	if (result < 0)
		return result;
	p->flags |= PACKET_HAS_L4 | PACKET_PARSED;
	if (unlikely(p->flags & PACKET_FIRST_FRAGMENT)) {
		struct frag_ports ports = {p->source_port, p->destination_port};

		fragment_store(skb, fragment, p->protocol, &ports, family);
	}
	return 0;
}

SEPARATE int packet_parse_rest4(struct __sk_buff *skb, struct packet *p)
{
	return p ? packet_parse_rest(skb, p, IPV4) : DROP(DROP_INVALID_PACKET);
}

SEPARATE int packet_parse_rest6(struct __sk_buff *skb, struct packet *p)
{
	return p ? packet_parse_rest(skb, p, IPV6) : DROP(DROP_INVALID_PACKET);
}

/* TCP and UDP right behind the plain IP header, which nearly all packets are: without a call. */
static __always_inline _Bool packet_parse_plain(struct __sk_buff *skb, struct packet *p,
						const enum family family)
{
	const __u32 offset =
	    L3_OFFSET + (family == IPV4 ? sizeof(struct iphdr) : sizeof(struct ipv6hdr));
	const void *end = packet_end(skb);
	const struct tcphdr *tcp = packet_start(skb) + offset;
	const __u8 fragment = PACKET_FIRST_FRAGMENT | PACKET_LATER_FRAGMENT;

	if (p->l4_offset != offset || p->flags & fragment)
		return 0;
	if (p->protocol == IPPROTO_TCP) {
		if ((void *)(tcp + 1) > end || tcp->doff < 5)
			return 0;
		p->tcp_flags = ((const __u8 *)tcp)[13];
		p->l4_header_len = tcp->doff * 4;
	} else {
		if (p->protocol != IPPROTO_UDP || (void *)tcp + sizeof(struct udphdr) > end)
			return 0;
		p->l4_header_len = sizeof(struct udphdr);
	}
	p->source_port = tcp->source;
	p->destination_port = tcp->dest;
	p->flags |= PACKET_HAS_L4 | PACKET_PARSED;
	return 1;
}

/* Continues behind the IP header: extension headers, fragments, ports. Once: where it was done, it
 * stays as it is.
 */
static __always_inline int packet_parse_l4(struct __sk_buff *skb, struct packet *p,
					   const enum family family)
{
	if (p->flags & PACKET_PARSED || likely(packet_parse_plain(skb, p, family)))
		return 0;
	return family == IPV4 ? packet_parse_rest4(skb, p) : packet_parse_rest6(skb, p);
}

#endif
