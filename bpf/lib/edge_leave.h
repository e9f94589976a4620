/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef AXONEME_LIB_EDGE_LEAVE_H
#define AXONEME_LIB_EDGE_LEAVE_H

#include "lib/endpoint.h"
#include "lib/nat_leave.h"

#undef SOURCE_FILE
#define SOURCE_FILE FILE_MASQUERADE

/* The node's edge for what goes out. */

/* A packet of one of this node's addresses or pods, its IP header read, before it goes out. */
static __always_inline int edge_leave(struct __sk_buff *skb, struct flow *flow,
				      const enum family family)
{
	struct packet *p = &flow->packet;
	const struct endpoint_info *from = endpoint_find(&p->source, family);
	struct tuple to;

	if (!from)
		return TC_ACT_OK;
	if (packet_parse_l4(skb, p, family) < 0)
		return TC_ACT_OK;
	if (!(family == IPV4 ? nat_leave4(p, &to) : nat_leave6(p, &to)))
		return TC_ACT_OK;
	return nat_rewrite(skb, p, &to, family);
}

#endif
