/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef AXONEME_LIB_ENDPOINT_H
#define AXONEME_LIB_ENDPOINT_H

#include "abi/endpoint.h"
#include "lib/base.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, LIMIT_ENDPOINTS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, struct endpoint4_key);
	__type(value, struct endpoint_info);
} cilium_lxc SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, LIMIT_ENDPOINTS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, struct endpoint6_key);
	__type(value, struct endpoint_info);
} cilium_lxc6 SEC(".maps");

static __always_inline const struct endpoint_info *endpoint_find(const struct addr *addr,
								 const enum family family)
{
	return family == IPV4 ? bpf_map_lookup_elem(&cilium_lxc, addr)
			      : bpf_map_lookup_elem(&cilium_lxc6, addr);
}

#endif
