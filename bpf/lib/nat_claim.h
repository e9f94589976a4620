/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef AXONEME_LIB_NAT_CLAIM_H
#define AXONEME_LIB_NAT_CLAIM_H

#include "lib/lb_select.h"
#include "lib/nat_table.h"

#undef SOURCE_FILE
#define SOURCE_FILE FILE_NAT

/* The type of a program's context, for functions that packet programs of all kinds share. An XDP
 * program defines it before its includes.
 */
#ifndef PROGRAM_CONTEXT
#define PROGRAM_CONTEXT struct __sk_buff
#endif

/* A source port for a connection that leaves the node under another address. It is claimed by the
 * entry that translates the answers: whoever creates that has the port, towards this one peer.
 */

static __always_inline void nat_count_tries(__u32 tries, const enum family family)
{
	__u32 *count = family == IPV4 ? bpf_map_lookup_elem(&cilium_snat_v4_alloc_retries, &tries)
				      : bpf_map_lookup_elem(&cilium_snat_v6_alloc_retries, &tries);

	if (count)
		(*count)++;
}

static __always_inline __be16 nat_random_port(void)
{
	const __u32 ports = (__u32)nat_port_max - nat_port_min + 1;

	return bpf_htons(nat_port_min + (((__u64)bpf_get_prandom_u32() * ports) >> 32));
}

/* Whether answers would meet a socket of the node. A key begins with addresses and ports in the
 * order that the lookup takes them in.
 */
static __always_inline _Bool nat_meets_socket(PROGRAM_CONTEXT *context, union nat_key *key,
					      __u8 protocol, const enum family family)
{
	const __u32 size = family == IPV4 ? sizeof(((struct bpf_sock_tuple *)0)->ipv4)
					  : sizeof(((struct bpf_sock_tuple *)0)->ipv6);
	struct bpf_sock *socket = 0;

	if (protocol == IPPROTO_TCP)
		socket = bpf_skc_lookup_tcp(context, (void *)key, size, BPF_F_CURRENT_NETNS, 0);
	else if (protocol == IPPROTO_UDP)
		socket = bpf_sk_lookup_udp(context, (void *)key, size, BPF_F_CURRENT_NETNS, 0);
	if (!socket)
		return 0;
	bpf_sk_release(socket);
	return 1;
}

/* Whether the port is one of a service on the node's own address: packets to it are looked up here
 * first.
 */
static __always_inline _Bool nat_meets_service(const union nat_key *key, const enum family family)
{
	struct lb_address frontend = {};

	if (!node_ports)
		return 0;
	if (family == IPV4) {
		frontend.addr.word[0] = key->ip4.destination;
		frontend.port = key->ip4.destination_port;
		frontend.protocol = key->ip4.protocol;
	} else {
		addr_load(&frontend.addr, &key->ip6.destination, IPV6);
		frontend.port = key->ip6.destination_port;
		frontend.protocol = key->ip6.protocol;
	}
	return lb_slot_find(&frontend, 0, LB_SCOPE_EXTERNAL, family) != 0;
}

static __always_inline _Bool nat_is_same(union nat_entry *a, union nat_entry *b,
					 const enum family family)
{
	struct addr one;
	struct addr other;

	addr_load(&one, a, family);
	addr_load(&other, b, family);
	return addr_equal(&one, &other, family) &&
	       nat_rest(a, family)->port == nat_rest(b, family)->port &&
	       nat_rest(a, family)->rev_nat == nat_rest(b, family)->rev_nat;
}

/* True if the port in the key is ours already, whatever sockets have come up since. */
static __always_inline _Bool nat_keep(const union nat_key *key, union nat_entry *entry, __u32 now_s,
				      const enum family family)
{
	union nat_entry *known = nat_find(key, now_s, family);

	if (!known || !nat_is_same(known, entry, family))
		return 0;
	nat_refresh(nat_rest(known, family), family == IPV4 ? key->ip4.protocol : key->ip6.protocol,
		    nat_rest(entry, family)->flags, now_s);
	return 1;
}

/* Claims the port in the key, if it is free. */
static __always_inline _Bool nat_try(const union nat_key *key, const union nat_entry *entry,
				     __u32 lifetime_s, __u32 now_s, const enum family family)
{
	union nat_entry *known = nat_lookup(key, family);
	__u32 *theirs_s;
	__u32 seen_s;

	if (!known)
		return nat_store(key, entry, BPF_NOEXIST, family) == 0;
	theirs_s = &nat_rest(known, family)->lifetime_s;
	seen_s = *theirs_s;
	if (seen_s >= now_s)
		return 0;
	/* Its time is over, and collection has not come round yet. One of those who find it so may
	 * have the port.
	 */
	if (__sync_val_compare_and_swap(theirs_s, seen_s, lifetime_s) != seen_s)
		return 0;
	return nat_store(key, entry, BPF_ANY, family) == 0;
}

/* The key is that of the answers, with the port to try first; the one that was claimed is put
 * there. The entry is what to store; lifetime and creation are filled in.
 */
static __always_inline int nat_claim(PROGRAM_CONTEXT *context, union nat_key *key,
				     union nat_entry *entry, const enum family family)
{
	const __u32 now_s = clock_s();
	struct nat_rest *rest = nat_rest(entry, family);
	__be16 *port = family == IPV4 ? &key->ip4.destination_port : &key->ip6.destination_port;
	const __u8 protocol = family == IPV4 ? key->ip4.protocol : key->ip6.protocol;

	if (nat_keep(key, entry, now_s, family))
		return 0;
	rest->created_s = now_s;
	rest->lifetime_s = now_s + nat_timeout_s(protocol, rest->flags);
	if (!nat_is_own_port(*port))
		*port = nat_random_port();
	for (int i = 0; i < LIMIT_NAT_TRIES; i++) {
		if (!nat_meets_socket(context, key, protocol, family) &&
		    !nat_meets_service(key, family) &&
		    nat_try(key, entry, rest->lifetime_s, now_s, family)) {
			nat_count_tries(i, family);
			return 0;
		}
		*port = nat_random_port();
	}
	nat_count_tries(LIMIT_NAT_TRIES, family);
	return DROP(DROP_NO_MAPPING_FOR_NAT_MASQUERADE);
}

SEPARATE int nat_claim4(PROGRAM_CONTEXT *context, struct nat4_key *key, struct nat4_entry *entry)
{
	if (!key || !entry)
		return DROP(DROP_INVALID_PACKET);
	return nat_claim(context, (union nat_key *)key, (union nat_entry *)entry, IPV4);
}

SEPARATE int nat_claim6(PROGRAM_CONTEXT *context, struct nat6_key *key, struct nat6_entry *entry)
{
	if (!key || !entry)
		return DROP(DROP_INVALID_PACKET);
	return nat_claim(context, (union nat_key *)key, (union nat_entry *)entry, IPV6);
}

static __always_inline int nat_claim_port(PROGRAM_CONTEXT *context, union nat_key *key,
					  union nat_entry *entry, const enum family family)
{
	return family == IPV4 ? nat_claim4(context, &key->ip4, &entry->ip4)
			      : nat_claim6(context, &key->ip6, &entry->ip6);
}

#endif
