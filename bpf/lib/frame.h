/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef AXONEME_LIB_FRAME_H
#define AXONEME_LIB_FRAME_H

#include "lib/hop.h"
#include "lib/nat.h"
#include "lib/packet.h"

/* Frames before the stack has seen them, read and written in place. Only the plain ones, which are
 * nearly all: TCP and UDP without VLAN tag, IP options, extension headers and fragments, untouched
 * in everything that is not read here.
 */

/* Behind the IP header: for the longest option that is put there. The verifier wants a bound. */
#define FRAME_MAX_ROOM 24

/* As packet_start() and packet_end(). */
static __always_inline void *frame_start(const struct xdp_md *xdp)
{
	void *start;

	asm volatile("%0 = *(u32 *)(%1 + %2)"
		     : "=r"(start)
		     : "r"(xdp), "i"(__builtin_offsetof(struct xdp_md, data)));
	return start;
}

static __always_inline void *frame_end(const struct xdp_md *xdp)
{
	void *end;

	asm volatile("%0 = *(u32 *)(%1 + %2)"
		     : "=r"(end)
		     : "r"(xdp), "i"(__builtin_offsetof(struct xdp_md, data_end)));
	return end;
}

static __always_inline __u32 frame_len(const struct xdp_md *xdp)
{
	return frame_end(xdp) - frame_start(xdp);
}

/* Where the L4 header of a plain frame is. */
static __always_inline __u32 frame_l4_offset(const enum family family)
{
	return L3_OFFSET + (family == IPV4 ? sizeof(struct iphdr) : sizeof(struct ipv6hdr));
}

static __always_inline _Bool frame_parse_ip(const void *start, const void *end, struct packet *p,
					    const enum family family)
{
	__u32 len;

	if (family == IPV4) {
		const struct iphdr *ip = start + L3_OFFSET;

		len = bpf_ntohs(ip->tot_len);
		if (*(const __u8 *)ip != 0x45 || ip->frag_off & bpf_htons(0x3fff) ||
		    len < sizeof(*ip) + sizeof(struct udphdr))
			return 0;
		addr_load(&p->source, &ip->saddr, IPV4);
		addr_load(&p->destination, &ip->daddr, IPV4);
		p->protocol = ip->protocol;
		p->hop_limit = ip->ttl;
	} else {
		const struct ipv6hdr *ip = start + L3_OFFSET;

		len = bpf_ntohs(ip->payload_len) + sizeof(*ip);
		if (ip->version != 6 || len < sizeof(*ip) + sizeof(struct udphdr))
			return 0;
		addr_load(&p->source, &ip->saddr, IPV6);
		addr_load(&p->destination, &ip->daddr, IPV6);
		p->protocol = ip->nexthdr;
		p->hop_limit = ip->hop_limit;
	}
	p->l4_offset = frame_l4_offset(family);
	/* Behind a short packet is what the link fills frames up with. */
	return len + L3_OFFSET <= (__u64)(end - start);
}

/* False for everything but a plain frame that a router may forward. */
static __always_inline _Bool frame_parse(const struct xdp_md *xdp, struct packet *p,
					 const enum family family)
{
	const void *start = frame_start(xdp);
	const void *end = frame_end(xdp);
	const __u32 l4 = frame_l4_offset(family);
	const struct tcphdr *tcp = start + l4;

	if (start + l4 + sizeof(struct udphdr) > end || !frame_parse_ip(start, end, p, family) ||
	    p->hop_limit <= 1)
		return 0;
	p->source_port = tcp->source;
	p->destination_port = tcp->dest;
	p->flags = PACKET_HAS_L4;
	if (p->protocol == IPPROTO_UDP)
		return 1;
	if (p->protocol != IPPROTO_TCP || (void *)(tcp + 1) > end)
		return 0;
	p->tcp_flags = ((const __u8 *)tcp)[13];
	return 1;
}

/* A checksum after the sum of what it covers has changed by diff. */
static __always_inline __sum16 frame_checksum(__sum16 checksum, __u64 diff)
{
	__u64 sum = (__u16)~checksum + diff;

	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

/* Other ends, and one hop less. */
static __always_inline void frame_write_ip(void *start, const struct tuple *to, __wsum diff,
					   const enum family family)
{
	if (family == IPV4) {
		struct iphdr *ip = start + L3_OFFSET;

		ip->ttl--;
		ip->check = frame_checksum(ip->check, (__u64)diff + (__u16)~bpf_htons(0x0100));
		ip->saddr = to->source.word[0];
		ip->daddr = to->destination.word[0];
	} else {
		struct ipv6hdr *ip = start + L3_OFFSET;

		ip->hop_limit--;
		addr_store(&ip->saddr, &to->source, IPV6);
		addr_store(&ip->daddr, &to->destination, IPV6);
	}
}

static __always_inline _Bool frame_write_l4(void *l4, void *end, const struct packet *p,
					    const struct tuple *to, __wsum diff)
{
	const __u64 change = (__u64)diff + (word)~nat_ports(&p->tuple) + nat_ports(to);

	if (p->protocol == IPPROTO_TCP) {
		struct tcphdr *tcp = l4;

		if ((void *)(tcp + 1) > end)
			return 0;
		tcp->source = to->source_port;
		tcp->dest = to->destination_port;
		tcp->check = frame_checksum(tcp->check, change);
	} else {
		struct udphdr *udp = l4;

		if ((void *)(udp + 1) > end)
			return 0;
		udp->source = to->source_port;
		udp->dest = to->destination_port;
		/* 0 says that there is none. */
		if (udp->check) {
			udp->check = frame_checksum(udp->check, change);
			if (!udp->check)
				udp->check = 0xffff;
		}
	}
	return 1;
}

static __always_inline _Bool frame_write(const struct xdp_md *xdp, const struct packet *p,
					 const struct tuple *to, const struct hop *hop,
					 const __u32 room, const enum family family)
{
	const __wsum diff = nat_diff(&p->tuple, to, family);
	void *start = frame_start(xdp);
	void *end = frame_end(xdp);
	word *ethernet = start;

	/* Nothing is written to a frame of which not all can be. */
	if (start + frame_l4_offset(family) > end ||
	    !frame_write_l4(start + frame_l4_offset(family) + room, end, p, to, diff))
		return 0;
	frame_write_ip(start, to, diff, family);
	ethernet[0] = hop->ethernet[0];
	ethernet[1] = hop->ethernet[1];
	ethernet[2] = hop->ethernet[2];
	return 1;
}

/* Apart, as its addresses take up registers and stack. */
SEPARATE int frame_write6(struct xdp_md *xdp, const struct packet *p, const struct tuple *to,
			  const struct hop *hop, __u32 room)
{
	return p && to && hop && room <= FRAME_MAX_ROOM ? frame_write(xdp, p, to, hop, room, IPV6)
							: 0;
}

/* Gives the parsed frame these ends, and the Ethernet addresses of the next hop. room is how much
 * was made behind the IP header since it was parsed.
 */
static __always_inline _Bool frame_rewrite(struct xdp_md *xdp, const struct packet *p,
					   const struct tuple *to, const struct hop *hop,
					   __u32 room, const enum family family)
{
	return family == IPV4 ? frame_write(xdp, p, to, hop, room, IPV4)
			      : frame_write6(xdp, p, to, hop, room);
}

#endif
