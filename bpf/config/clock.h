/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef AXONEME_CONFIG_CLOCK_H
#define AXONEME_CONFIG_CLOCK_H

#include <linux/types.h>

#include "config/config.h"

CONFIG_VAR(_Bool, clock_jiffies, "Count time in jiffies, else by the coarse clock", 0);
CONFIG_VAR(__u64, jiffies_base, "Jiffies at the second clock_base_s", 0);
CONFIG_VAR(__u32, clock_base_s, "Second of CLOCK_MONOTONIC at which the programs were loaded", 0);
CONFIG_VAR(__u32, jiffies_reciprocal, "2^32 by the jiffies in a second, rounded up", 42949673);

#endif
