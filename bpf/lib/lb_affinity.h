/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef AXONEME_LIB_LB_AFFINITY_H
#define AXONEME_LIB_LB_AFFINITY_H

#include "abi/lb.h"
#include "lib/base.h"

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, LIMIT_LB_AFFINITY);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, struct lb_affinity_key);
	__type(value, struct lb_affinity);
} cilium_lb4_affinity SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, LIMIT_LB_AFFINITY);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, struct lb_affinity_key);
	__type(value, struct lb_affinity);
} cilium_lb6_affinity SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, LIMIT_LB_AFFINITY);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, struct lb_affinity_match);
	__type(value, __u8);
} cilium_lb_affinity_match SEC(".maps");

#endif
