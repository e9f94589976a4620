/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef AXONEME_LIB_IPCACHE_H
#define AXONEME_LIB_IPCACHE_H

#include "abi/ipcache.h"
#include "config/node.h"
#include "lib/base.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, LIMIT_IPCACHE_EXACT);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, struct ipcache4_key);
	__type(value, struct ipcache_info);
} cilium_ipcache_exact SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, LIMIT_IPCACHE_EXACT);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, struct ipcache6_key);
	__type(value, struct ipcache_info);
} cilium_ipcache6_exact SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, LIMIT_IPCACHE_PREFIXES);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, struct ipcache4_prefix);
	__type(value, struct ipcache_info);
} cilium_ipcache_v2 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, LIMIT_IPCACHE_PREFIXES);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, struct ipcache6_prefix);
	__type(value, struct ipcache_info);
} cilium_ipcache6_v2 SEC(".maps");

/* A hash lookup costs the same whatever is in the map, a trie walk does not; nearly all addresses
 * that packets carry are pods and nodes, which the hash holds.
 */
static __always_inline const struct ipcache_info *ipcache_find(const struct addr *addr,
							       const enum family family)
{
	const struct ipcache_info *info;

	if (family == IPV4) {
		struct ipcache4_prefix prefix = {32, addr->word[0]};

		info = bpf_map_lookup_elem(&cilium_ipcache_exact, addr);
		return info ? info : bpf_map_lookup_elem(&cilium_ipcache_v2, &prefix);
	} else {
		struct ipcache6_prefix prefix = {.prefix_len = 128};

		info = bpf_map_lookup_elem(&cilium_ipcache6_exact, addr);
		if (info)
			return info;
		addr_store(&prefix.addr, addr, IPV6);
		return bpf_map_lookup_elem(&cilium_ipcache6_v2, &prefix);
	}
}

static __always_inline __u32 ipcache_identity(const struct ipcache_info *info,
					      const enum family family)
{
	if (info && info->identity)
		return info->identity;
	return family == IPV4 ? world_identity4 : world_identity6;
}

#endif
