/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef AXONEME_LIB_CLOCK_H
#define AXONEME_LIB_CLOCK_H

#include "config/clock.h"
#include "lib/base.h"

/* The second that the coarse clock showed last (lower half), and the jiffy in which it was asked
 * (upper half). One word, so that CPUs that write it at the same time leave one of two pairs that
 * belong together.
 */
static __u64 clock_shown;

/* The coarse clock moves with the jiffies, which programs read without a call: within a jiffy one
 * call serves all packets of all CPUs. The multiplication by 2^30 / 10^9 in 32-bit fixed point
 * avoids a division.
 */
static __always_inline __u32 clock_coarse_s(void)
{
	volatile __u64 *shown = &clock_shown;
	const __u32 jiffy = bpf_jiffies64();
	const __u64 last = *shown;
	__u32 now_s;

	if (likely(last >> 32 == jiffy))
		return last;
	now_s = ((bpf_ktime_get_coarse_ns() >> 30) * 4611686018ULL) >> 32;
	*shown = (__u64)jiffy << 32 | now_s;
	return now_s;
}

/* Seconds of CLOCK_MONOTONIC, at most one late, whatever they are counted by: maps keep their
 * meaning when the clock source changes. The reciprocal for jiffies gains a second in 2^32 of them.
 */
static __always_inline __u32 clock_s(void)
{
	if (clock_jiffies)
		return clock_base_s +
		       (__u32)(((bpf_jiffies64() - jiffies_base) * jiffies_reciprocal) >> 32);
	return clock_coarse_s();
}

#endif
