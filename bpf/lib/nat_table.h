/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef AXONEME_LIB_NAT_TABLE_H
#define AXONEME_LIB_NAT_TABLE_H

#include "abi/nat.h"
#include "config/nat.h"
#include "config/node.h"
#include "lib/base.h"
#include "lib/clock.h"
#include "lib/packet.h"

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, LIMIT_NAT_ENTRIES);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, struct nat4_key);
	__type(value, struct nat4_entry);
} cilium_snat_v4_external SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, LIMIT_NAT_ENTRIES);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, struct nat6_key);
	__type(value, struct nat6_entry);
} cilium_snat_v6_external SEC(".maps");

/* How many connections needed that many more ports to try; the last counts those that got none. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, LIMIT_NAT_TRIES + 1);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, __u32);
} cilium_snat_v4_alloc_retries SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, LIMIT_NAT_TRIES + 1);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, __u32);
} cilium_snat_v6_alloc_retries SEC(".maps");

union nat_key {
	struct nat4_key ip4;
	struct nat6_key ip6;
};

/* A translation as the programs use it, whichever family: the address, and the rest of the entry.
 * Entries of both families have the same layout behind the address.
 */
struct nat_rest {
	__be16 port;
	__u16 rev_nat;
	__u32 lifetime_s;
	__u32 created_s;
	__u32 flags; /* enum nat_flags */
};

union nat_entry {
	struct nat4_entry ip4;
	struct nat6_entry ip6;
};

_Static_assert(sizeof(struct nat4_entry) == 4 + sizeof(struct nat_rest) &&
		   __builtin_offsetof(struct nat4_entry, port) == 4 &&
		   sizeof(struct nat6_entry) == 16 + sizeof(struct nat_rest) &&
		   __builtin_offsetof(struct nat6_entry, port) == 16,
	       "layout behind the address");

static __always_inline struct nat_rest *nat_rest(union nat_entry *entry, const enum family family)
{
	return (struct nat_rest *)((__u8 *)entry + addr_size(family));
}

static __always_inline void nat_key_of(union nat_key *key, const struct tuple *tuple, __u8 protocol,
				       enum nat_direction direction, const enum family family)
{
	if (family == IPV4) {
		key->ip4.source = tuple->source.word[0];
		key->ip4.destination = tuple->destination.word[0];
		key->ip4.source_port = tuple->source_port;
		key->ip4.destination_port = tuple->destination_port;
		key->ip4.protocol = protocol;
		key->ip4.direction = direction;
		key->ip4.reserved = 0;
	} else {
		addr_store(&key->ip6.source, &tuple->source, IPV6);
		addr_store(&key->ip6.destination, &tuple->destination, IPV6);
		key->ip6.source_port = tuple->source_port;
		key->ip6.destination_port = tuple->destination_port;
		key->ip6.protocol = protocol;
		key->ip6.direction = direction;
		key->ip6.reserved = 0;
	}
}

/* Of what answers a packet with these ends. */
static __always_inline void nat_key_of_answer(union nat_key *key, const struct tuple *tuple,
					      __u8 protocol, enum nat_direction direction,
					      const enum family family)
{
	if (family == IPV4) {
		key->ip4.source = tuple->destination.word[0];
		key->ip4.destination = tuple->source.word[0];
		key->ip4.source_port = tuple->destination_port;
		key->ip4.destination_port = tuple->source_port;
		key->ip4.protocol = protocol;
		key->ip4.direction = direction;
		key->ip4.reserved = 0;
	} else {
		addr_store(&key->ip6.source, &tuple->destination, IPV6);
		addr_store(&key->ip6.destination, &tuple->source, IPV6);
		key->ip6.source_port = tuple->destination_port;
		key->ip6.destination_port = tuple->source_port;
		key->ip6.protocol = protocol;
		key->ip6.direction = direction;
		key->ip6.reserved = 0;
	}
}

/* Whether or not its time is over. */
static __always_inline union nat_entry *nat_lookup(const union nat_key *key,
						   const enum family family)
{
	return family == IPV4 ? bpf_map_lookup_elem(&cilium_snat_v4_external, &key->ip4)
			      : bpf_map_lookup_elem(&cilium_snat_v6_external, &key->ip6);
}

static __always_inline union nat_entry *nat_find(const union nat_key *key, __u32 now_s,
						 const enum family family)
{
	union nat_entry *entry = nat_lookup(key, family);

	return entry && nat_rest(entry, family)->lifetime_s >= now_s ? entry : 0;
}

static __always_inline long nat_store(const union nat_key *key, const union nat_entry *entry,
				      __u64 flags, const enum family family)
{
	return family == IPV4
		   ? bpf_map_update_elem(&cilium_snat_v4_external, &key->ip4, &entry->ip4, flags)
		   : bpf_map_update_elem(&cilium_snat_v6_external, &key->ip6, &entry->ip6, flags);
}

/* What a packet says of its connection, to the entry of its own direction or of the other one. */
static __always_inline __u32 nat_packet_flags(const struct packet *p, const _Bool own)
{
	__u32 flags = 0;

	if (p->protocol != IPPROTO_TCP || !(p->flags & PACKET_HAS_L4))
		return 0;
	if (!(p->tcp_flags & TCP_SYN))
		flags |= NAT_SEEN_NON_SYN;
	if (p->tcp_flags & TCP_FIN)
		flags |= own ? NAT_CLOSING : NAT_PEER_CLOSING;
	if (p->tcp_flags & TCP_RST)
		flags |= NAT_RESET;
	return flags;
}

/* As conntrack's. */
static __always_inline __u32 nat_timeout_s(__u8 protocol, __u32 flags)
{
	const __u32 both = NAT_CLOSING | NAT_PEER_CLOSING;

	if (protocol != IPPROTO_TCP)
		return ct_any_timeout_s;
	if (flags & NAT_RESET || (flags & both) == both)
		return ct_tcp_fin_timeout_s;
	return flags & NAT_SEEN_NON_SYN ? ct_tcp_timeout_s : ct_tcp_syn_timeout_s;
}

/* Takes a packet into the account of an entry, which is written when the second or the flags have
 * changed, no more often. True if they have: then the entry of the other direction is to follow.
 */
static __always_inline _Bool nat_refresh(struct nat_rest *rest, __u8 protocol, __u32 add,
					 __u32 now_s)
{
	const __u32 flags = rest->flags | add;
	const __u32 lifetime_s = now_s + nat_timeout_s(protocol, flags);
	_Bool changed = 0;

	if (flags != rest->flags) {
		__sync_fetch_and_or(&rest->flags, add);
		changed = 1;
	}
	if (lifetime_s != rest->lifetime_s) {
		rest->lifetime_s = lifetime_s;
		changed = 1;
	}
	return changed;
}

/* Whether a packet may answer one that left with a translated source. */
static __always_inline _Bool nat_is_own_port(__be16 port)
{
	return bpf_ntohs(port) >= nat_port_min && bpf_ntohs(port) <= nat_port_max;
}

#endif
