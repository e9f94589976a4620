/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef AXONEME_LIB_MASQUERADE_H
#define AXONEME_LIB_MASQUERADE_H

#include "abi/identity.h"
#include "lib/devices.h"
#include "lib/ipcache.h"
#include "lib/nat_claim.h"

#undef SOURCE_FILE
#define SOURCE_FILE FILE_MASQUERADE

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, LIMIT_MASQ_PREFIXES);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, struct masq4_prefix);
	__type(value, __u8);
} cilium_ipmasq_v4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, LIMIT_MASQ_PREFIXES);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, struct masq6_prefix);
	__type(value, __u8);
} cilium_ipmasq_v6 SEC(".maps");

/* Pods' addresses mean nothing beyond the cluster: what they send there gets the node's. */

static __always_inline _Bool masquerade_is_native(const struct addr *to, const enum family family)
{
	struct addr prefix;
	struct addr mask;

	if (family == IPV4)
		return native_mask4 && (to->word[0] & native_mask4) == native_cidr4;
	addr_load_config(&prefix, &native_cidr6, IPV6);
	addr_load_config(&mask, &native_mask6, IPV6);
	return (mask.word[0] | mask.word[1] | mask.word[2] | mask.word[3]) &&
	       (to->word[0] & mask.word[0]) == prefix.word[0] &&
	       (to->word[1] & mask.word[1]) == prefix.word[1] &&
	       (to->word[2] & mask.word[2]) == prefix.word[2] &&
	       (to->word[3] & mask.word[3]) == prefix.word[3];
}

static __always_inline _Bool masquerade_is_exempt(const struct addr *to, const enum family family)
{
	if (!masquerade_exceptions)
		return 0;
	if (family == IPV4) {
		struct masq4_prefix key = {32, to->word[0]};

		return bpf_map_lookup_elem(&cilium_ipmasq_v4, &key) != 0;
	} else {
		struct masq6_prefix key = {.prefix_len = 128};

		addr_store(&key.addr, to, IPV6);
		return bpf_map_lookup_elem(&cilium_ipmasq_v6, &key) != 0;
	}
}

/* Addresses that know pods' addresses. Beside a tunnel, nodes are not among them: what pods send to
 * a node goes outside the tunnel, where the network may refuse pods' addresses.
 */
static __always_inline _Bool masquerade_is_cluster(const struct addr *to, const enum family family)
{
	const struct ipcache_info *info = ipcache_find(to, family);

	if (!info)
		return 0;
	if (info->flags & IPCACHE_REMOTE)
		return 1;
	switch (info->identity) {
	case IDENTITY_HOST:
	case IDENTITY_REMOTE_NODE:
		return !tunnel_ifindex;
	case IDENTITY_KUBE_APISERVER: /* on a node it has the node's identity: this one is outside
				       */
	case IDENTITY_UNKNOWN:
	case IDENTITY_WORLD:
	case IDENTITY_WORLD_IPV4:
	case IDENTITY_WORLD_IPV6:
		return 0;
	}
	return info->identity < IDENTITY_LOCAL_SCOPE_MIN;
}

static __always_inline _Bool masquerade_is_multicast(const struct addr *to,
						     const enum family family)
{
	const __u32 first = bpf_ntohl(to->word[0]);

	return family == IPV4 ? first >> 28 == 0xe : first >> 24 == 0xff;
}

/* Whether a pod's packet to this address gets the node's. */
static __always_inline _Bool masquerade_applies(const struct addr *to, const enum family family)
{
	if (!(family == IPV4 ? masquerade4 : masquerade6))
		return 0;
	return !masquerade_is_native(to, family) && !masquerade_is_multicast(to, family) &&
	       !masquerade_is_cluster(to, family) && !masquerade_is_exempt(to, family);
}

/* Only the asking end of an echo has a port that could be translated. */
static __always_inline _Bool masquerade_can(const struct packet *p, const enum family family)
{
	if (protocol_has_ports(p->protocol))
		return 1;
	return family == IPV4
		   ? p->protocol == IPPROTO_ICMP && p->icmp_type == ICMP_ECHO
		   : p->protocol == IPPROTO_ICMPV6 && p->icmp_type == ICMPV6_ECHO_REQUEST;
}

/* The other half of what nat_claim_port() does: what the packets to come are looked up by. */
static __always_inline int masquerade_store(const struct packet *p, const struct tuple *to,
					    __u32 flags, const enum family family)
{
	union nat_entry entry = {};
	struct nat_rest *rest = nat_rest(&entry, family);
	union nat_key key;

	nat_key_of(&key, &p->tuple, p->protocol, NAT_OUT, family);
	addr_store(&entry, &to->source, family);
	rest->port = to->source_port;
	rest->flags = flags | nat_packet_flags(p, 1);
	rest->created_s = clock_s();
	rest->lifetime_s = rest->created_s + nat_timeout_s(p->protocol, rest->flags);
	return nat_store(&key, &entry, BPF_ANY, family) < 0
		   ? DROP(DROP_NO_MAPPING_FOR_NAT_MASQUERADE)
		   : 0;
}

SEPARATE int masquerade_store4(const struct packet *p, const struct tuple *to, __u32 flags)
{
	return p && to ? masquerade_store(p, to, flags, IPV4) : DROP(DROP_INVALID_PACKET);
}

SEPARATE int masquerade_store6(const struct packet *p, const struct tuple *to, __u32 flags)
{
	return p && to ? masquerade_store(p, to, flags, IPV6) : DROP(DROP_INVALID_PACKET);
}

/* A port for a connection that begins, at the source address of to, and entries for both of its
 * directions. flags: NAT_FROM_HOST, or 0 for a pod's.
 */
static __always_inline int masquerade_begin(struct __sk_buff *skb, const struct packet *p,
					    struct tuple *to, __u32 flags, const enum family family)
{
	union nat_entry entry = {};
	struct nat_rest *rest = nat_rest(&entry, family);
	union nat_key key;
	int result;

	addr_load(&to->destination, &p->destination, family);
	to->source_port = p->source_port;
	to->destination_port = p->destination_port;
	nat_key_of_answer(&key, to, p->protocol, NAT_IN, family);
	addr_store(&entry, &p->source, family);
	rest->port = p->source_port;
	rest->flags = flags | nat_packet_flags(p, 0);
	result = nat_claim_port(skb, &key, &entry, family);
	if (result < 0)
		return result;
	to->source_port = family == IPV4 ? key.ip4.destination_port : key.ip6.destination_port;
	return family == IPV4 ? masquerade_store4(p, to, flags) : masquerade_store6(p, to, flags);
}

SEPARATE int masquerade_begin4(struct __sk_buff *skb, const struct packet *p, struct tuple *to,
			       __u32 flags)
{
	return p && to ? masquerade_begin(skb, p, to, flags, IPV4) : DROP(DROP_INVALID_PACKET);
}

SEPARATE int masquerade_begin6(struct __sk_buff *skb, const struct packet *p, struct tuple *to,
			       __u32 flags)
{
	return p && to ? masquerade_begin(skb, p, to, flags, IPV6) : DROP(DROP_INVALID_PACKET);
}

/* Whether a connection that the node itself begins has the ends of one that was translated. */
static __always_inline _Bool masquerade_collides(const struct packet *p, const enum family family)
{
	union nat_key key;

	if (!nat_is_own_port(p->source_port) || !masquerade_can(p, family))
		return 0;
	if (p->protocol == IPPROTO_TCP && (p->tcp_flags & (TCP_SYN | TCP_ACK)) != TCP_SYN)
		return 0;
	nat_key_of_answer(&key, &p->tuple, p->protocol, NAT_IN, family);
	return nat_find(&key, clock_s(), family) != 0;
}

#endif
