/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef AXONEME_ABI_CONNTRACK_H
#define AXONEME_ABI_CONNTRACK_H

#include "types.h"

/* A connection has one entry, whichever side sends. The key is the tuple sorted by (address, port),
 * each compared as the number that its network-order bytes give when loaded on this machine, most
 * significant word first for IPv6. "low" is the smaller end. CT_LOW_INITIATES in the entry says
 * which end sent the first packet.
 *
 *   TCP, UDP, SCTP   ports
 *   ICMP echo        identifier at the requesting end, 0 at the other
 *   other            0 and 0
 */
struct ct4_key {
	__be32 low_addr;
	__be32 high_addr;
	__be16 low_port;
	__be16 high_port;
	__u8 protocol;
	__u8 scope; /* enum ct_scope */
	__u16 reserved;
};

struct ct6_key {
	struct ip6_addr low_addr;
	struct ip6_addr high_addr;
	__be16 low_port;
	__be16 high_port;
	__u8 protocol;
	__u8 scope; /* enum ct_scope */
	__u16 reserved;
};

enum ct_scope {
	CT_SCOPE_FLOW = 0,    /* packets between the two ends as they are on the wire to the pod */
	CT_SCOPE_SERVICE = 1, /* client to service address: remembers the backend */
};

enum ct_flags {
	CT_LOW_INITIATES = 1 << 0,   /* the first packet came from the low end */
	CT_SEEN_NON_SYN = 1 << 1,    /* TCP: something other than the first SYN was seen */
	CT_REPLIED = 1 << 2,	     /* the other end answered */
	CT_FORWARD_CLOSING = 1 << 3, /* TCP: FIN from the initiator */
	CT_REPLY_CLOSING = 1 << 4,   /* TCP: FIN from the other end */
	CT_RESET = 1 << 5,	     /* TCP: RST from either end */
	CT_HAIRPIN = 1 << 6,	     /* a pod that reached itself through a service */
	CT_PROXY = 1 << 7,	     /* its packets pass the proxy of this node */
	CT_NODE_PORT = 1 << 8,	     /* came from outside through a service of this node */
	CT_DSR = 1 << 9, /* came through another node: NAT_OUT has the service's address */
};

/* Service scope uses lifetime, flags, rev_nat, backend and nat_port only. */
struct ct_entry {
	__u32 lifetime_s;	/* dead after this second of CLOCK_MONOTONIC */
	__u32 flags;		/* enum ct_flags; a whole word, because CPUs set bits atomically */
	__u32 source_identity;	/* of the initiator */
	__u32 egress_revision;	/* policy revision under which the initiator's side allowed it */
	__u32 ingress_revision; /* likewise of the other end; both 0 where that end is not local */
	__u32 forward_report_s; /* when a trace event was sent last, for each direction */
	__u32 reply_report_s;
	__u8 forward_tcp_flags; /* TCP flags that trace events have shown, for each direction */
	__u8 reply_tcp_flags;
	__u16 rev_nat; /* service that the initiator addressed, key of reverse NAT; 0 none */
	/* Here ends the half cache line that an established packet needs. */
	__u32 backend;	   /* service scope: chosen backend */
	__be16 proxy_port; /* where policy sends the connection; 0: CT_PROXY is the proxy's own */
	__be16 nat_port;   /* service scope: source port towards a backend elsewhere; 0 none */
	__u64 forward_packets; /* counted when conntrack_accounting is on */
	__u64 forward_bytes;
	__u64 reply_packets;
	__u64 reply_bytes;
};

ABI_SIZE(ct4_key, 16);
ABI_SIZE(ct6_key, 40);
ABI_SIZE(ct_entry, 72);
ABI_OFFSET(ct_entry, backend, 32);

#endif
