/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef AXONEME_ABI_METRICS_H
#define AXONEME_ABI_METRICS_H

#include "types.h"

enum metric_direction {
	METRIC_UNKNOWN = 0,
	METRIC_INGRESS = 1,
	METRIC_EGRESS = 2,
	METRIC_SERVICE = 3,
};

enum metric_index {
	METRIC_DIRECTION_SHIFT = 8, /* index of cilium_metrics: direction << 8 | reason */
};

struct metric {
	__u64 packets;
	__u64 bytes;
};

ABI_SIZE(metric, 16);

#endif
