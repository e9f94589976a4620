/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef AXONEME_LIB_DSR_OPTION_H
#define AXONEME_LIB_DSR_OPTION_H

#include "abi/types.h"
#include "lib/packet.h"

/* How a packet tells the backend's node the service address. Numbers and layouts are Cilium's. */

/* IPv4 option, number 26 of the class "control" that all fragments carry. Address and port are in
 * host order of the machines that there are.
 */
#define DSR4_TYPE (0x80 | 26)

struct dsr4_option {
	__u8 type;
	__u8 len;
	__u16 port;
	__u32 addr;
};

/* IPv6 destination options header with one option, of a type that who does not know it skips. */
#define DSR6_TYPE 0x1b

struct dsr6_option {
	__u8 next;
	__u8 extension_len; /* in units of eight bytes beyond the first */
	__u8 type;
	__u8 len;
	struct ip6_addr addr;
	__be16 port;
	__u16 padding;
};

_Static_assert(sizeof(struct dsr4_option) == 8 && sizeof(struct dsr6_option) == 24, "as sent");

static __always_inline __u32 dsr_option_len(const enum family family)
{
	return family == IPV4 ? sizeof(struct dsr4_option) : sizeof(struct dsr6_option);
}

/* Whether the backend's node is to be told the service address by this packet. */
static __always_inline _Bool dsr_is_told(const struct packet *p)
{
	if (!(p->flags & PACKET_HAS_L4))
		return 0;
	return p->protocol != IPPROTO_TCP || p->tcp_flags & TCP_SYN;
}

#endif
