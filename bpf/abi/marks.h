/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef AXONEME_ABI_MARKS_H
#define AXONEME_ABI_MARKS_H

/* In the mark of a packet, and of a socket for the packets that it sends. Bits as the host stack's
 * rules of other network plugins expect them: the low 16 bits are ours, the kind is in
 * MARK_KIND_MASK.
 */
enum packet_mark {
	MARK_KIND_MASK = 0x0f00,
	MARK_TO_PROXY = 0x0200,	  /* for a socket of the proxy, its port in the upper half */
	MARK_SETTLED = 0x0300,	  /* as MARK_TRACED, and its addresses are those to leave with */
	MARK_FROM_PROXY = 0x0b00, /* sent by the proxy: in a pod's name, or the answer to a pod */
	MARK_HOST = 0x0c00,
	MARK_TRACED = 0x0d00, /* its departure was traced already, or is not to be */
	MARK_POD =
	    0x0f00, /* a pod's, routed by the host stack, which may give it the node's address */
	/* Above it MARK_TO_PROXY has the proxy's port (network order) and MARK_FROM_PROXY the lower
	 * half of the identity in whose name it asks, which no program here needs: they know the
	 * pod by its address.
	 */
	MARK_PAYLOAD_SHIFT = 16,
};

#endif
