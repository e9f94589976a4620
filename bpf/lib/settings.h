/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef AXONEME_LIB_SETTINGS_H
#define AXONEME_LIB_SETTINGS_H

#include "abi/calls.h"
#include "abi/endpoint.h"
#include "lib/base.h"

/* By endpoint id: an array, whose lookup the kernel compiles into the program. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, LIMIT_ENDPOINTS);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, struct endpoint_settings);
} cilium_endpoint_settings SEC(".maps");

/* Of the endpoint whose program called; null if user space knows no such endpoint. */
static __always_inline const struct endpoint_settings *settings_find(__u32 endpoint_id)
{
	const struct endpoint_settings *settings =
	    bpf_map_lookup_elem(&cilium_endpoint_settings, &endpoint_id);

	return settings && settings->identity ? settings : 0;
}

#endif
