/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef AXONEME_LIB_METRICS_H
#define AXONEME_LIB_METRICS_H

#include "abi/metrics.h"
#include "lib/base.h"

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, LIMIT_METRICS);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, struct metric);
} cilium_metrics SEC(".maps");

static __always_inline void metric_count(__u8 reason, enum metric_direction direction, __u32 bytes)
{
	__u32 index = (__u32)direction << METRIC_DIRECTION_SHIFT | reason;
	struct metric *metric = bpf_map_lookup_elem(&cilium_metrics, &index);

	if (metric) {
		metric->packets++;
		metric->bytes += bytes;
	}
}

#endif
