/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef AXONEME_ABI_ENDPOINT_H
#define AXONEME_ABI_ENDPOINT_H

#include "types.h"

/* cilium_lxc (IPv4) and cilium_lxc6: addresses that live on this node. */
struct endpoint4_key {
	__be32 addr;
};

struct endpoint6_key {
	struct ip6_addr addr;
};

enum endpoint_flags {
	ENDPOINT_HOST = 1 << 0, /* an address of the node itself: delivered by the host stack */
};

struct endpoint_info {
	__u32 ifindex; /* host side of the pair */
	__u32 identity;
	__u16 id;
	__u16 flags;		  /* enum endpoint_flags */
	struct mac_addr mac;	  /* of the pod */
	struct mac_addr node_mac; /* of the host side: what the pod takes for its gateway */
};

/* cilium_endpoint_settings, by endpoint id: what the programs of a pod's device know about the pod.
 */
struct endpoint_settings {
	__u32 identity;	     /* 0: no such endpoint */
	__be32 ip4;	     /* the only one it may send from; 0 none */
	struct ip6_addr ip6; /* likewise; :: none */
};

ABI_SIZE(endpoint4_key, 4);
ABI_SIZE(endpoint6_key, 16);
ABI_SIZE(endpoint_info, 24);
ABI_SIZE(endpoint_settings, 24);

#endif
