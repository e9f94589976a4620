/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef AXONEME_LIB_LB_H
#define AXONEME_LIB_LB_H

#include "lib/conntrack.h"
#include "lib/icmp.h"
#include "lib/lb_select.h"
#include "lib/nat.h"

#undef SOURCE_FILE
#define SOURCE_FILE FILE_LB

static __always_inline int lb_translate_reply(struct __sk_buff *skb, struct flow *flow,
					      const enum family family)
{
	struct packet *p = &flow->packet;
	struct nat_change change = {.source = 1};
	struct lb_address service = {};
	struct addr self = p->source;
	int result;

	/* The service is gone: the packet passes as the backend sent it, and the client refuses it.
	 */
	if (!lb_rev_nat_find(flow->rev_nat, &service, family))
		return 0;
	flow->original_addr = service.addr;
	flow->original_port = service.port;
	flow->flags |= FLOW_HAS_ORIGINAL;
	change.addr = service.addr;
	change.port = service.port;
	if (flow->ct_state == CT_STATE_RELATED)
		return family == IPV4 ? icmp_reverse4(skb, p, &change)
				      : icmp_reverse6(skb, p, &change);
	result = nat_rewrite(skb, p, &change, family);
	if (result < 0 || !(flow->flags & FLOW_HAIRPIN))
		return result;
	change.source = 0;
	change.addr = self;
	change.port = p->destination_port;
	return nat_rewrite(skb, p, &change, family);
}

SEPARATE int lb_translate_reply4(struct __sk_buff *skb, struct flow *flow)
{
	return flow ? lb_translate_reply(skb, flow, IPV4) : DROP(DROP_INVALID_PACKET);
}

SEPARATE int lb_translate_reply6(struct __sk_buff *skb, struct flow *flow)
{
	return flow ? lb_translate_reply(skb, flow, IPV6) : DROP(DROP_INVALID_PACKET);
}

/* Gives a reply the source address that the client asked for. */
static __always_inline int lb_reverse(struct __sk_buff *skb, struct flow *flow,
				      const enum family family)
{
	if (likely(!flow->rev_nat || !(flow->flags & FLOW_REPLY)))
		return 0;
	return family == IPV4 ? lb_translate_reply4(skb, flow) : lb_translate_reply6(skb, flow);
}

#endif
