/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef AXONEME_LIB_BASE_H
#define AXONEME_LIB_BASE_H

#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "abi/drop.h"
#include "abi/events.h"
#include "abi/limits.h"
#include "abi/types.h"

#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

/* Address families, always compile-time constants: one body of code serves both, and what the other
 * family needs vanishes.
 */
enum family {
	IPV4 = 4,
	IPV6 = 6,
};

/* A negative result that says why a packet ends, and which line decided. The entry function of a
 * program hands it to packet_drop(); nobody else counts or reports drops. Every file defines
 * SOURCE_FILE after its includes.
 */
#define DROP(reason)	    (-(int)((__u32)(reason) | SOURCE_FILE << 8 | __LINE__ << 16))
#define DROP_REASON(result) ((__u8)(-(result)))
#define DROP_FILE(result)   ((__u8)(-(result) >> 8))
#define DROP_LINE(result)   ((__u16)(-(result) >> 16))

typedef __u32 __attribute__((may_alias)) word;

/* Working copy of an address: IPv4 in the first word, the others untouched. */
struct addr {
	__u32 word[4];
};

static __always_inline void addr_load(struct addr *to, const void *from, const enum family family)
{
	const word *w = from;

	to->word[0] = w[0];
	if (family == IPV6) {
		to->word[1] = w[1];
		to->word[2] = w[2];
		to->word[3] = w[3];
	}
}

/* Also from a load-time constant. */
static __always_inline void addr_load_config(struct addr *to, const volatile void *from,
					     const enum family family)
{
	const volatile word *w = from;

	to->word[0] = w[0];
	if (family == IPV6) {
		to->word[1] = w[1];
		to->word[2] = w[2];
		to->word[3] = w[3];
	}
}

static __always_inline void addr_store(void *to, const struct addr *from, const enum family family)
{
	word *w = to;

	w[0] = from->word[0];
	if (family == IPV6) {
		w[1] = from->word[1];
		w[2] = from->word[2];
		w[3] = from->word[3];
	}
}

static __always_inline _Bool addr_equal(const struct addr *a, const struct addr *b,
					const enum family family)
{
	if (family == IPV4)
		return a->word[0] == b->word[0];
	return a->word[0] == b->word[0] && a->word[1] == b->word[1] && a->word[2] == b->word[2] &&
	       a->word[3] == b->word[3];
}

static __always_inline __u32 addr_size(const enum family family)
{
	return family == IPV4 ? 4 : 16;
}

/* Bounds of the linear part. Plain C would let the compiler pass the 32-bit members through 32-bit
 * moves, after which the verifier no longer knows them for packet pointers.
 */
static __always_inline void *packet_start(const struct __sk_buff *skb)
{
	void *start;

	asm volatile("%0 = *(u32 *)(%1 + %2)"
		     : "=r"(start)
		     : "r"(skb), "i"(__builtin_offsetof(struct __sk_buff, data)));
	return start;
}

static __always_inline void *packet_end(const struct __sk_buff *skb)
{
	void *end;

	asm volatile("%0 = *(u32 *)(%1 + %2)"
		     : "=r"(end)
		     : "r"(skb), "i"(__builtin_offsetof(struct __sk_buff, data_end)));
	return end;
}

/* A function of its own to the verifier: checked once, for any arguments, instead of at each call
 * in each state of the caller. Keeps loading fast; a call costs about a nanosecond. Pointer
 * arguments may be null to the verifier, so that each function starts by testing them.
 */
#define SEPARATE __attribute__((noinline))

#endif
