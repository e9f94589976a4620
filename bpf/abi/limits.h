/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef AXONEME_ABI_LIMITS_H
#define AXONEME_ABI_LIMITS_H

/* Sizes in the object files are defaults: user space may set another one before a map is created,
 * unless a program depends on it (marked "fixed").
 */
enum abi_limits {
	LIMIT_ENDPOINTS = 65536, /* fixed: endpoint ids are 16 bits and index arrays */
	LIMIT_CT4_ENTRIES = 524288,
	LIMIT_CT6_ENTRIES = 262144,
	LIMIT_IPCACHE_EXACT = 512000,
	LIMIT_IPCACHE_PREFIXES = 65536,
	LIMIT_POLICY_ENTRIES = 16384, /* per endpoint */
	LIMIT_LB_SERVICES = 65536,
	LIMIT_LB_BACKENDS = 65536,
	LIMIT_LB_REVERSE_NAT = 65536,
	LIMIT_LB_REVERSE_SK = 262144,
	LIMIT_LB_DATAGRAM_PEERS = 65536,
	LIMIT_LB_AFFINITY = 65536,
	LIMIT_LB_SOURCE_RANGES = 65536,
	LIMIT_LB_MAGLEV = 65536,
	LIMIT_LB_MAGLEV_SLOTS = 16381, /* of one table */
	LIMIT_LB_SKIP = 8192,
	LIMIT_NAT_ENTRIES = 524288,
	LIMIT_NAT_TRIES = 32, /* fixed: ports tried for a new connection */
	LIMIT_MASQ_PREFIXES = 16384,
	LIMIT_DEVICES = 1024,
	LIMIT_FRAGMENTS = 8192,
	LIMIT_CPUS = 256, /* entries of cilium_events; user space sets the possible CPUs */
	LIMIT_EVENT_RING_BYTES = 1048576, /* per CPU */
	LIMIT_EVENT_PACKET_BYTES = 128,	  /* fixed: room in struct event */
	LIMIT_METRICS = 1024,		  /* fixed: 256 reasons, 4 directions */
	LIMIT_IP6_EXTENSIONS = 6,	  /* fixed: extension headers a packet may carry */
};

#endif
