/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef AXONEME_ABI_POLICY_H
#define AXONEME_ABI_POLICY_H

#include "types.h"

enum traffic_direction {
	DIRECTION_INGRESS = 0,
	DIRECTION_EGRESS = 1,
};

/* Trie per endpoint. The first 40 bits are always fully given; protocol and port may be cut short
 * from the right:
 *
 *   bits   0          32          40         48          64
 *          | identity | direction | protocol | port (be) |
 *
 * prefix_len counts these bits: 40 any protocol, 48 any port, 49..63 a block of ports, 64 one port.
 * ICMP has its type as the port, in network order like a port.
 */
struct policy_key {
	__u32 prefix_len;
	__u32 identity; /* of the other side, or of its class; 0 = who has no class */
	__u8 direction; /* enum traffic_direction, seen from the endpoint */
	__u8 protocol;
	__be16 port; /* destination port of the connection, in both directions */
};

enum policy_prefix {
	POLICY_PREFIX_STATIC = 40,
	POLICY_PREFIX_PROTOCOL = 48,
	POLICY_PREFIX_FULL = 64,
};

enum policy_flags {
	POLICY_DENY = 1 << 0,
	POLICY_AUTH_EXPLICIT = 1 << 1,
	POLICY_NO_PROXY = 1 << 2, /* with POLICY_DENY: the proxy that could decide is not there */
};

struct policy_entry {
	__u32 precedence;  /* larger wins between the identity's entry and the wildcard's */
	__u32 cookie;	   /* reported in verdict events: which rules made this entry */
	__be16 proxy_port; /* of the proxy that what matches has to pass; 0 none */
	__u8 flags;	   /* enum policy_flags */
	__u8 prefix_len;   /* of the key, less POLICY_PREFIX_STATIC: 0..24 */
	__u8 auth_type;
	__u8 reserved[3];
};

enum policy_state_flags {
	POLICY_INGRESS_ENFORCED = 1 << 0,
	POLICY_EGRESS_ENFORCED = 1 << 1,
	POLICY_AUDIT = 1 << 2, /* what would be denied passes and is reported as audited */
	/* The endpoint's map in cilium_policy_shadow holds the policy as it would be with the
	 * rules that are on trial, and is asked about new connections besides. What it has no entry
	 * for would be denied. It never decides.
	 */
	POLICY_INGRESS_SHADOWED = 1 << 3,
	POLICY_EGRESS_SHADOWED = 1 << 4,
	POLICY_CLASSES = 1 << 8, /* the map has entries for classes; in old versions it has not */
	/* The map is too small for the policy and has another one: nobody may say what passes. */
	POLICY_OVERFLOW = 1 << 9,
};

/* cilium_policy_state, by endpoint id. Write it after the endpoint's entries: established
 * connections are judged again when the revision differs from the one they passed under. Revision 0
 * means that no policy was installed yet; new connections of that endpoint are dropped with
 * DROP_EP_NOT_READY.
 */
struct policy_state {
	__u32 revision;
	__u32 flags; /* enum policy_state_flags */
};

enum policy_match {
	POLICY_MATCH_NONE = 0,
	POLICY_MATCH_L3 = 1,
	POLICY_MATCH_L3_L4 = 2,
	POLICY_MATCH_L4 = 3,
	POLICY_MATCH_ALL = 4,
	POLICY_MATCH_L3_PROTOCOL = 5,
	POLICY_MATCH_PROTOCOL = 6,
};

ABI_SIZE(policy_key, 12);
ABI_SIZE(policy_entry, 16);
ABI_SIZE(policy_state, 8);

#endif
