/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef AXONEME_LIB_FRAME_DSR_H
#define AXONEME_LIB_FRAME_DSR_H

#include "lib/dsr_option.h"
#include "lib/frame.h"

_Static_assert(sizeof(struct dsr6_option) <= FRAME_MAX_ROOM, "room for the option");

/* The service address in frames that go to a backend whose node answers the client itself. */

typedef __u16 __attribute__((may_alias)) half;

/* The headers move to the front, into the room that drivers leave there: behind them is place for
 * the option then.
 */
static __always_inline _Bool frame_make_room(struct xdp_md *xdp, const enum family family)
{
	const __u32 room = dsr_option_len(family);
	const __u32 len = frame_l4_offset(family);
	__u8 *start;

	if (bpf_xdp_adjust_head(xdp, -(int)room) < 0)
		return 0;
	start = frame_start(xdp);
	if ((void *)start + room + len > frame_end(xdp)) {
		bpf_xdp_adjust_head(xdp, room);
		return 0;
	}
	for (__u32 i = 0; i < len; i += sizeof(half)) {
		*(half *)(start + i) = *(const half *)(start + room + i);
		/* One after the other: read in advance, they would take up the stack. */
		asm volatile("" ::: "memory");
	}
	return 1;
}

static __always_inline void frame_write_option4(void *start, const struct addr *service,
						__be16 port)
{
	struct iphdr *ip = start + L3_OFFSET;
	struct dsr4_option *option = (void *)(ip + 1);
	word *head = (word *)ip;
	const word before = *head;

	*(__u8 *)ip += sizeof(*option) / 4;
	ip->tot_len = bpf_htons(bpf_ntohs(ip->tot_len) + sizeof(*option));
	option->type = DSR4_TYPE;
	option->len = sizeof(*option);
	option->port = bpf_ntohs(port);
	option->addr = bpf_ntohl(service->word[0]);
	ip->check =
	    frame_checksum(ip->check, (__u64)(word)~before + *head + ((const word *)option)[0] +
					  ((const word *)option)[1]);
}

static __always_inline void frame_write_option6(void *start, const struct addr *service,
						__be16 port)
{
	struct ipv6hdr *ip = start + L3_OFFSET;
	struct dsr6_option *option = (void *)(ip + 1);

	option->next = ip->nexthdr;
	option->extension_len = sizeof(*option) / 8 - 1;
	option->type = DSR6_TYPE;
	option->len = sizeof(*option) - 4;
	addr_store(&option->addr, service, IPV6);
	option->port = port;
	option->padding = 0;
	ip->nexthdr = IPPROTO_DSTOPTS;
	ip->payload_len = bpf_htons(bpf_ntohs(ip->payload_len) + sizeof(*option));
}

/* Behind the IP header of a frame in which there is room. */
static __always_inline _Bool frame_write_option(struct xdp_md *xdp, const struct addr *service,
						__be16 port, const enum family family)
{
	void *start = frame_start(xdp);

	if (start + frame_l4_offset(family) + dsr_option_len(family) > frame_end(xdp))
		return 0;
	if (family == IPV4)
		frame_write_option4(start, service, port);
	else
		frame_write_option6(start, service, port);
	return 1;
}

#endif
