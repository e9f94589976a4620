/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef AXONEME_LIB_NAT_TABLE_H
#define AXONEME_LIB_NAT_TABLE_H

#include "abi/nat.h"
#include "config/nat.h"
#include "lib/base.h"

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

#endif
