/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef AXONEME_LIB_FLOW_H
#define AXONEME_LIB_FLOW_H

#include "lib/packet.h"

enum flow_flags {
	FLOW_REPLY = 1 << 0,	    /* sent by the end that did not open the connection */
	FLOW_REPORT = 1 << 1,	    /* aggregation lets this packet have a trace event */
	FLOW_HAIRPIN = 1 << 2,	    /* a pod that reaches itself through a service */
	FLOW_HAS_ORIGINAL = 1 << 3, /* original_* are set */
	FLOW_IPV6 = 1 << 4,
	FLOW_NODE_PORT = 1 << 5, /* came from outside through a service of this node */
	FLOW_DSR = 1 << 6,	 /* came through another node, which the answer does not pass */
	FLOW_ANSWER = 1 << 7,	 /* if it is dropped, its sender is told why */
};

/* A packet on its way through one program: what was read from it, and what was found out. */
struct flow {
	struct packet packet;
	struct addr
	    original_addr; /* service address: destination before, or source after translation */
	__be16 original_port;
	__u16 rev_nat; /* service that the initiator addressed */
	__u32 source_identity;
	__u32 destination_identity;
	__u16 egress_endpoint;	/* whose egress policy applies; 0 none */
	__u16 ingress_endpoint; /* whose ingress policy applies; 0 none */
	__u8 ct_state;		/* enum ct_state */
	__u8 flags;		/* enum flow_flags */
	__u16 path_mtu;		/* what the way carries, of a packet that is too large for it */
};

#endif
