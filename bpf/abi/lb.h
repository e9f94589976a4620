/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef AXONEME_ABI_LB_H
#define AXONEME_ABI_LB_H

#include "types.h"

/* Slot 0 of a service describes it; slots 1..count name its backends. Write order: backends, slots,
 * slot 0; the reverse on removal.
 */
struct lb4_key {
	__be32 addr;
	__be16 port;
	__u16 slot;
	__u8 protocol;
	__u8 scope; /* enum lb_scope */
	__u16 reserved;
};

struct lb6_key {
	struct ip6_addr addr;
	__be16 port;
	__u16 slot;
	__u8 protocol;
	__u8 scope; /* enum lb_scope */
	__u16 reserved;
};

enum lb_scope {
	LB_SCOPE_EXTERNAL = 0,
	LB_SCOPE_INTERNAL = 1, /* asked second, and only where LB_TWO_SCOPES is set */
};

struct lb_service {
	__u32 backend; /* slots 1..: backend id; slot 0: affinity timeout in seconds */
	__u16 count;   /* slot 0: backends in use */
	__u16 rev_nat; /* slot 0: key of the reverse NAT map */
	__u8 flags;    /* enum lb_flags */
	__u8 flags2;   /* enum lb_flags2 */
	__u16 quarantined_count;
};

enum lb_flags {
	LB_EXTERNAL_IP = 1 << 0,
	LB_NODE_PORT = 1 << 1,
	LB_EXTERNAL_LOCAL = 1 << 2,
	LB_HOST_PORT = 1 << 3,
	LB_AFFINITY = 1 << 4,
	LB_LOAD_BALANCER = 1 << 5,
	LB_ROUTABLE = 1 << 6,
	LB_SOURCE_RANGES = 1 << 7,
};

enum lb_flags2 {
	LB_LOCAL_REDIRECT = 1 << 0,
	LB_L7 = 1 << 2,
	LB_LOOPBACK = 1 << 3,
	LB_INTERNAL_LOCAL = 1 << 4,
	LB_TWO_SCOPES = 1 << 5,
	LB_QUARANTINED = 1 << 6,
};

enum lb_backend_state {
	LB_BACKEND_ACTIVE = 0,
	LB_BACKEND_TERMINATING = 1,
	LB_BACKEND_QUARANTINED = 2,
	LB_BACKEND_MAINTENANCE = 3,
};

struct lb_backend_key {
	__u32 id;
};

struct lb4_backend {
	__be32 addr;
	__be16 port;
	__u8 protocol;
	__u8 state; /* enum lb_backend_state */
	__u16 cluster_id;
	__u8 zone;
	__u8 reserved;
};

struct lb6_backend {
	struct ip6_addr addr;
	__be16 port;
	__u8 protocol;
	__u8 state; /* enum lb_backend_state */
	__u16 cluster_id;
	__u8 zone;
	__u8 reserved;
};

struct lb_rev_nat_key {
	__u16 index; /* host order, 1.. */
};

/* The address that the client used. */
struct lb4_rev_nat {
	__be32 addr;
	__be16 port;
	__u16 reserved;
};

struct lb6_rev_nat {
	struct ip6_addr addr;
	__be16 port;
	__u16 reserved;
};

/* What a socket was translated to -> what its owner asked for. */
struct lb4_reverse_sk_key {
	__u64 cookie;
	__be32 addr;
	__be16 port;
	__u16 reserved;
};

struct lb6_reverse_sk_key {
	__u64 cookie;
	struct ip6_addr addr;
	__be16 port;
	__u16 reserved[3];
};

struct lb4_reverse_sk {
	__be32 addr;
	__be16 port;
	__u16 rev_nat;
};

struct lb6_reverse_sk {
	struct ip6_addr addr;
	__be16 port;
	__u16 rev_nat;
};

ABI_SIZE(lb4_key, 12);
ABI_SIZE(lb6_key, 24);
ABI_SIZE(lb_service, 12);
ABI_SIZE(lb_backend_key, 4);
ABI_SIZE(lb4_backend, 12);
ABI_SIZE(lb6_backend, 24);
ABI_SIZE(lb_rev_nat_key, 2);
ABI_SIZE(lb4_rev_nat, 8);
ABI_SIZE(lb6_rev_nat, 20);
ABI_SIZE(lb4_reverse_sk_key, 16);
ABI_SIZE(lb6_reverse_sk_key, 32);
ABI_SIZE(lb4_reverse_sk, 8);
ABI_SIZE(lb6_reverse_sk, 20);

#endif
