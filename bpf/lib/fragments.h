/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef AXONEME_LIB_FRAGMENTS_H
#define AXONEME_LIB_FRAGMENTS_H

#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/ipv6.h>

#include "abi/fragments.h"
#include "lib/base.h"
#include "lib/metrics.h"

/* Ports of datagrams of which the first fragment was seen. LRU: a datagram whose fragments come so
 * late that it was pushed out is lost, as if a fragment were.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, LIMIT_FRAGMENTS);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, struct frag4_key);
	__type(value, struct frag_ports);
} cilium_ipv4_frag_datagrams SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, LIMIT_FRAGMENTS);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, struct frag6_key);
	__type(value, struct frag_ports);
} cilium_ipv6_frag_datagrams SEC(".maps");

union frag_key {
	struct frag4_key ip4;
	struct frag6_key ip6;
};

/* Fragments are rare, so the key is read from the packet once more instead of being carried along.
 * fragment is the offset of the IPv6 fragment header.
 */
static __always_inline int frag_key_read(struct __sk_buff *skb, int fragment, __u8 protocol,
					 union frag_key *key, const enum family family)
{
	const __u32 l3 = sizeof(struct ethhdr);

	if (family == IPV4) {
		key->ip4.protocol = protocol;
		if (bpf_skb_load_bytes(skb, l3 + __builtin_offsetof(struct iphdr, saddr),
				       &key->ip4.source, 8) < 0)
			return -1;
		return bpf_skb_load_bytes(skb, l3 + __builtin_offsetof(struct iphdr, id),
					  &key->ip4.id, sizeof(key->ip4.id));
	}
	key->ip6.protocol = protocol;
	if (bpf_skb_load_bytes(skb, l3 + __builtin_offsetof(struct ipv6hdr, saddr),
			       &key->ip6.source, 32) < 0)
		return -1;
	return bpf_skb_load_bytes(skb, fragment + 4, &key->ip6.id, sizeof(key->ip6.id));
}

static __always_inline int fragment_find(struct __sk_buff *skb, int fragment, __u8 protocol,
					 struct frag_ports *ports, const enum family family)
{
	union frag_key key = {};
	struct frag_ports *known;

	if (frag_key_read(skb, fragment, protocol, &key, family) < 0)
		return -1;
	known = family == IPV4 ? bpf_map_lookup_elem(&cilium_ipv4_frag_datagrams, &key.ip4)
			       : bpf_map_lookup_elem(&cilium_ipv6_frag_datagrams, &key.ip6);
	if (!known)
		return -1;
	*ports = *known;
	return 0;
}

/* The first fragment passes even if this fails: the later ones are dropped then, each counted. */
static __always_inline void fragment_store(struct __sk_buff *skb, int fragment, __u8 protocol,
					   const struct frag_ports *ports, const enum family family)
{
	union frag_key key = {};
	long result = -1;

	if (frag_key_read(skb, fragment, protocol, &key, family) == 0)
		result = family == IPV4 ? bpf_map_update_elem(&cilium_ipv4_frag_datagrams, &key.ip4,
							      ports, BPF_ANY)
					: bpf_map_update_elem(&cilium_ipv6_frag_datagrams, &key.ip6,
							      ports, BPF_ANY);
	metric_count(result < 0 ? REASON_FRAGMENT_NOT_STORED : REASON_FRAGMENT, METRIC_UNKNOWN,
		     skb->len);
}

#endif
