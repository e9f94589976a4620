/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef AXONEME_LIB_SCTP_CHECKSUM_H
#define AXONEME_LIB_SCTP_CHECKSUM_H

#include "lib/base.h"

/* SCTP has no sum that could be adjusted, but a CRC of the whole packet (CRC-32C, RFC 9260 appendix
 * A). A CRC is linear: what a change of the ports does to it is the CRC of that change followed by
 * as many zero bytes as the packet goes on for. The zeros need not be walked over, since n of them
 * multiply by x^(8n) modulo the polynomial.
 */

/* The polynomial without its highest term. All numbers here are reflected: bit 31 is x^0. */
#define SCTP_CRC_POLYNOMIAL 0x82f63b78

/* Without branches, which would double what the verifier looks at with each bit. */
static __always_inline __u32 crc_times_x(__u32 a)
{
	return a >> 1 ^ (SCTP_CRC_POLYNOMIAL & -(a & 1));
}

/* The product of two polynomials modulo the third. */
static __always_inline __u32 crc_multiply(__u32 a, __u32 b)
{
	__u32 product = 0;

	for (int i = 0; i < 32; i++) {
		product ^= b & -(a >> 31);
		a <<= 1;
		b = crc_times_x(b);
	}
	return product;
}

/* What has to be added to the checksum (as it is in the packet) when the word of the two ports
 * changes by change, in a packet of len bytes from the ports on, which no link carries more than
 * 64 KiB of.
 */
SEPARATE __u32 sctp_checksum_diff(__u32 change, __u32 len)
{
	__u32 zeros = len - sizeof(change);
	__u32 power = 1u << 23; /* x^8: one byte */
	__u32 crc = change;

	for (int i = 0; i < 32; i++)
		crc = crc_times_x(crc);
	for (int i = 0; i < 16; i++) {
		__u32 next = crc_multiply(power, crc);

		crc = zeros & 1 ? next : crc;
		zeros >>= 1;
		power = crc_multiply(power, power);
	}
	return crc;
}

#endif
