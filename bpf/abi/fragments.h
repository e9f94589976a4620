/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef AXONEME_ABI_FRAGMENTS_H
#define AXONEME_ABI_FRAGMENTS_H

#include "types.h"

/* Only the first fragment has ports; the later ones find them here. */
struct frag4_key {
	__be32 source;
	__be32 destination;
	__be16 id;
	__u8 protocol;
	__u8 reserved;
};

struct frag6_key {
	struct ip6_addr source;
	struct ip6_addr destination;
	__be32 id;
	__u8 protocol;
	__u8 reserved[3];
};

struct frag_ports {
	__be16 source;
	__be16 destination;
};

ABI_SIZE(frag4_key, 12);
ABI_SIZE(frag6_key, 40);
ABI_SIZE(frag_ports, 4);

#endif
