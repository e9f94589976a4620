/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef AXONEME_LIB_MASQUERADE_H
#define AXONEME_LIB_MASQUERADE_H

#include "lib/devices.h"
#include "lib/nat_table.h"

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

#endif
