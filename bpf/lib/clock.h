/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef AXONEME_LIB_CLOCK_H
#define AXONEME_LIB_CLOCK_H

#include "config/clock.h"
#include "lib/base.h"

/* Seconds of CLOCK_MONOTONIC, at most one late, whatever they are counted by: maps keep their
 * meaning when the clock source changes. The coarse clock costs a few nanoseconds where the exact
 * one reads the time-stamp counter; the multiplication by 2^30 / 10^9 in 32-bit fixed point avoids
 * a division, as the reciprocal does for jiffies, which gain a second in 2^32 of them.
 */
static __always_inline __u32 clock_s(void)
{
	if (clock_jiffies)
		return clock_base_s +
		       (__u32)(((bpf_jiffies64() - jiffies_base) * jiffies_reciprocal) >> 32);
	return (__u32)(((bpf_ktime_get_coarse_ns() >> 30) * 4611686018ULL) >> 32);
}

#endif
