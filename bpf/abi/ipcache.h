/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef AXONEME_ABI_IPCACHE_H
#define AXONEME_ABI_IPCACHE_H

#include "types.h"

/* Whole addresses (/32, /128) are in hash maps, which are asked first; shorter prefixes are in
 * tries, asked after a miss.
 */
struct ipcache4_key {
	__be32 addr;
};

struct ipcache6_key {
	struct ip6_addr addr;
};

struct ipcache4_prefix {
	__u32 prefix_len;
	__be32 addr;
};

struct ipcache6_prefix {
	__u32 prefix_len;
	struct ip6_addr addr;
};

enum ipcache_flags {
	IPCACHE_REMOTE = 1 << 0,      /* behind node_addr: direct route or tunnel to that node */
	IPCACHE_NODE_IPV6 = 1 << 1,   /* node_addr is IPv6 */
	IPCACHE_SKIP_TUNNEL = 1 << 2, /* never encapsulated */
};

struct ipcache_info {
	__u32 identity;
	__u32 flags;		  /* enum ipcache_flags */
	struct ip_addr node_addr; /* node behind which the address is; the tunnel's far end */
};

ABI_SIZE(ipcache4_key, 4);
ABI_SIZE(ipcache6_key, 16);
ABI_SIZE(ipcache4_prefix, 8);
ABI_SIZE(ipcache6_prefix, 20);
ABI_SIZE(ipcache_info, 24);

#endif
