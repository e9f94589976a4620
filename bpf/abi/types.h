/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef AXONEME_ABI_TYPES_H
#define AXONEME_ABI_TYPES_H

#include <linux/types.h>

/* Bytes in network order. Aligned to words so that programs compare and copy words; not to eight
 * bytes, because an LPM trie wants the address right behind the 32-bit prefix length.
 */
struct ip6_addr {
	__u8 bytes[16];
} __attribute__((aligned(4)));

/* An IPv4 or IPv6 address where the layout is shared; IPv4 is in the first four bytes, the rest
 * is zero.
 */
struct ip_addr {
	__u8 bytes[16];
} __attribute__((aligned(4)));

struct mac_addr {
	__u8 bytes[6];
};

/* Every layout that user space reads is asserted with the number of bytes it was designed for. */
#define ABI_SIZE(type, size) _Static_assert(sizeof(struct type) == (size), "layout of " #type)
#define ABI_OFFSET(type, member, offset)                                                           \
	_Static_assert(__builtin_offsetof(struct type, member) == (offset),                        \
		       "layout of " #type "." #member)

ABI_SIZE(ip6_addr, 16);
ABI_SIZE(ip_addr, 16);
ABI_SIZE(mac_addr, 6);

#endif
