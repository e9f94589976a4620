/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef AXONEME_LIB_LB_SOURCE_RANGE_H
#define AXONEME_LIB_LB_SOURCE_RANGE_H

#include "abi/lb.h"
#include "lib/base.h"

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, LIMIT_LB_SOURCE_RANGES);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, struct lb4_source_range);
	__type(value, __u8);
} cilium_lb4_source_range SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, LIMIT_LB_SOURCE_RANGES);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, struct lb6_source_range);
	__type(value, __u8);
} cilium_lb6_source_range SEC(".maps");

/* Whether the service serves this client. */
static __always_inline _Bool lb_serves_source(const struct lb_service *service,
					      const struct addr *client, const enum family family)
{
	const _Bool named_may = !(service->flags2 & LB_SOURCE_RANGES_DENY);
	_Bool named;

	if (!(service->flags & LB_SOURCE_RANGES))
		return 1;
	if (family == IPV4) {
		struct lb4_source_range key = {
		    .prefix_len = 64,
		    .rev_nat = service->rev_nat,
		    .addr = client->word[0],
		};

		named = bpf_map_lookup_elem(&cilium_lb4_source_range, &key) != 0;
	} else {
		struct lb6_source_range key = {.prefix_len = 160, .rev_nat = service->rev_nat};

		addr_store(&key.addr, client, IPV6);
		named = bpf_map_lookup_elem(&cilium_lb6_source_range, &key) != 0;
	}
	return named == named_may;
}

#endif
