/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef AXONEME_LIB_LB_SKIP_H
#define AXONEME_LIB_LB_SKIP_H

#include "abi/lb.h"
#include "lib/base.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, LIMIT_LB_SKIP);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, struct lb4_skip_key);
	__type(value, __u8);
} cilium_skip_lb4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, LIMIT_LB_SKIP);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, struct lb6_skip_key);
	__type(value, __u8);
} cilium_skip_lb6 SEC(".maps");

#endif
