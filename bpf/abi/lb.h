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

/* A key with port and protocol 0 says that the address is a service's: what is not served on it is
 * refused and not looked for elsewhere. Such an entry has slot 0 only, and no reverse NAT.
 */
struct lb_service {
	__u32 backend; /* slots 1..: backend id; slot 0: LB_AFFINITY_SECONDS and the algorithm */
	__u16 count;   /* slot 0: backends in use */
	__u16 rev_nat; /* slot 0: key of the reverse NAT map */
	__u8 flags;    /* enum lb_flags */
	__u8 flags2;   /* enum lb_flags2 */
	__u16 quarantined_count;
};

/* Halves of lb_service.backend in slot 0. */
enum lb_slot0 {
	LB_AFFINITY_SECONDS = 0x00ffffff, /* session affinity, where LB_AFFINITY is set */
	LB_ALGORITHM_SHIFT = 24,	  /* enum lb_algorithm above it */
};

enum lb_algorithm {
	LB_ALGORITHM_RANDOM = 0,
	LB_ALGORITHM_MAGLEV = 1, /* table by rev_nat in the Maglev map */
};

enum lb_flags {
	LB_EXTERNAL_IP = 1 << 0,
	LB_NODE_PORT = 1 << 1,
	LB_EXTERNAL_LOCAL = 1 << 2,
	LB_HOST_PORT = 1 << 3,
	LB_AFFINITY = 1 << 4,
	LB_LOAD_BALANCER = 1 << 5,
	LB_ROUTABLE = 1 << 6,	   /* also for traffic from outside; else it is a cluster address */
	LB_SOURCE_RANGES = 1 << 7, /* traffic from outside is asked for its source */
};

enum lb_flags2 {
	LB_LOCAL_REDIRECT = 1 << 0,
	LB_SOURCE_RANGES_DENY = 1 << 1, /* the ranges name who may not */
	LB_L7 = 1 << 2,
	LB_LOOPBACK = 1 << 3, /* host port on the loopback address: the node's own sockets only */
	LB_INTERNAL_LOCAL = 1 << 4,
	LB_TWO_SCOPES = 1 << 5,
	LB_DELEGATE =
	    1 << 6,	 /* where the node is the backend itself, it gets packets as they came */
	LB_DSR = 1 << 7, /* the node of the backend answers the client itself */
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

/* Socket that names its peer with each datagram, and service -> the backend it has there. */
struct lb_datagram_key {
	__u64 cookie;
	__u16 rev_nat;
	__u16 reserved[3];
};

struct lb_datagram_peer {
	__u32 backend;
	__u32 last_used_s; /* CLOCK_MONOTONIC */
};

/* Session affinity: the backend that a client had. */
struct lb_affinity_key {
	struct ip_addr
	    client; /* address, or the network-namespace cookie in the first eight bytes */
	__u16 rev_nat;
	__u8 is_cookie;
	__u8 reserved;
};

struct lb_affinity {
	__u32 last_used_s; /* CLOCK_MONOTONIC */
	__u32 backend;
};

/* Present for each backend of a service with affinity: a remembered one may have left. */
struct lb_affinity_match {
	__u32 backend;
	__u16 rev_nat;
	__u16 reserved;
};

/* Source ranges of a service. The prefix length counts the 32 bits before the address too. */
struct lb4_source_range {
	__u32 prefix_len;
	__u16 rev_nat;
	__u16 reserved;
	__be32 addr;
};

struct lb6_source_range {
	__u32 prefix_len;
	__u16 rev_nat;
	__u16 reserved;
	struct ip6_addr addr;
};

/* Two slots of a Maglev table: slot s is slots[s & 1] of element s >> 1. Array elements are a
 * multiple of eight bytes anyway. Tables have an odd number of slots; in the one that is left over
 * user space keeps a signature of what it made the table from.
 */
struct lb_maglev_pair {
	__u32 slots[2]; /* backend ids */
};

/* Sockets of this network namespace reach the frontend itself (skipRedirectFromBackend). */
struct lb4_skip_key {
	__u64 netns_cookie;
	__be32 addr;
	__be16 port;
	__u8 protocol;
	__u8 reserved;
};

struct lb6_skip_key {
	__u64 netns_cookie;
	struct ip6_addr addr;
	__be16 port;
	__u8 protocol;
	__u8 reserved[5];
};

ABI_SIZE(lb_datagram_key, 16);
ABI_SIZE(lb_datagram_peer, 8);
ABI_SIZE(lb_affinity_key, 20);
ABI_SIZE(lb_affinity, 8);
ABI_SIZE(lb_affinity_match, 8);
ABI_SIZE(lb4_source_range, 12);
ABI_SIZE(lb6_source_range, 24);
ABI_SIZE(lb_maglev_pair, 8);
ABI_SIZE(lb4_skip_key, 16);
ABI_SIZE(lb6_skip_key, 32);
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
