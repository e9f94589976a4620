/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef AXONEME_ABI_NAT_H
#define AXONEME_ABI_NAT_H

#include "types.h"

/* Translation at the edge of the node: what one end of a packet becomes. Keyed by the packet as it
 * is before.
 *
 *   NAT_OUT   the source becomes addr and port: masqueraded traffic of pods, traffic of the node
 *             that would collide with it, and replies of backends that a service address hides
 *   NAT_IN    the destination becomes addr and port, and the source the address of service rev_nat
 *             where that is not 0: replies to what left with a translated source
 *
 * ICMP echo has its identifier as the port of the requesting end, as in conntrack.
 */
struct nat4_key {
	__be32 source;
	__be32 destination;
	__be16 source_port;
	__be16 destination_port;
	__u8 protocol;
	__u8 direction; /* enum nat_direction */
	__u16 reserved;
};

struct nat6_key {
	struct ip6_addr source;
	struct ip6_addr destination;
	__be16 source_port;
	__be16 destination_port;
	__u8 protocol;
	__u8 direction; /* enum nat_direction */
	__u16 reserved;
};

enum nat_direction {
	NAT_OUT = 0,
	NAT_IN = 1,
};

enum nat_flags {
	NAT_SEEN_NON_SYN = 1 << 0, /* TCP: something other than the first SYN was seen */
	NAT_CLOSING = 1 << 1,	   /* TCP: FIN in this direction */
	NAT_RESET = 1 << 2,	   /* TCP: RST in either */
	NAT_FROM_HOST = 1 << 3,	   /* the connection is this node's own */
	NAT_SERVICE = 1 << 4,	   /* it goes through a service, else it is masqueraded */
	NAT_DSR = 1 << 5,
	NAT_PEER_CLOSING = 1 << 6, /* TCP: FIN in the other direction */
};

struct nat4_entry {
	__be32 addr;
	__be16 port;
	__u16 rev_nat;
	__u32 lifetime_s; /* dead after this second of CLOCK_MONOTONIC */
	__u32 created_s;
	__u32 flags; /* enum nat_flags */
};

struct nat6_entry {
	struct ip6_addr addr;
	__be16 port;
	__u16 rev_nat;
	__u32 lifetime_s;
	__u32 created_s;
	__u32 flags;
};

/* Destinations that are not masqueraded (ip-masq-agent). */
struct masq4_prefix {
	__u32 prefix_len;
	__be32 addr;
};

struct masq6_prefix {
	__u32 prefix_len;
	struct ip6_addr addr;
};

/* A device that leads out of the node, by its index: the addresses that translated packets leave
 * with, zero where there is none.
 */
struct device_info {
	__be32 ip4;
	struct ip6_addr ip6;
	struct mac_addr mac;
	__u16 reserved;
};

ABI_SIZE(nat4_key, 16);
ABI_SIZE(nat6_key, 40);
ABI_SIZE(nat4_entry, 20);
ABI_SIZE(nat6_entry, 32);
ABI_SIZE(masq4_prefix, 8);
ABI_SIZE(masq6_prefix, 20);
ABI_SIZE(device_info, 28);

#endif
