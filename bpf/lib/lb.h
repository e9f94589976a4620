/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef AXONEME_LIB_LB_H
#define AXONEME_LIB_LB_H

#include "lib/conntrack.h"
#include "lib/icmp.h"
#include "lib/lb_select.h"
#include "lib/nat.h"
#include "lib/reply_mtu.h"

#undef SOURCE_FILE
#define SOURCE_FILE FILE_LB

/* Notes for events what the reply is about to come from. */
static __always_inline void lb_note_service(struct flow *flow, const struct addr *service,
					    __be16 port)
{
	flow->original_addr = *service;
	flow->original_port = port;
	flow->flags |= FLOW_HAS_ORIGINAL;
}

static __always_inline int lb_translate_reply(struct __sk_buff *skb, struct flow *flow,
					      const enum family family)
{
	struct packet *p = &flow->packet;
	struct lb_address service = {};
	struct tuple to = p->tuple;

	/* The service is gone: the packet passes as the backend sent it, and the client refuses it.
	 */
	if (!lb_rev_nat_find(flow->rev_nat, &service, family))
		return 0;
	lb_note_service(flow, &service.addr, service.port);
	if (flow->flags & FLOW_HAIRPIN)
		addr_load(&to.destination, &p->source, family);
	addr_load(&to.source, &service.addr, family);
	to.source_port = service.port;
	return nat_rewrite(skb, p, &to, family);
}

SEPARATE int lb_translate_reply4(struct __sk_buff *skb, struct flow *flow)
{
	return flow ? lb_translate_reply(skb, flow, IPV4) : DROP(DROP_INVALID_PACKET);
}

SEPARATE int lb_translate_reply6(struct __sk_buff *skb, struct flow *flow)
{
	return flow ? lb_translate_reply(skb, flow, IPV6) : DROP(DROP_INVALID_PACKET);
}

/* An error about a packet whose destination was translated from a service address: the client knows
 * the service only. Where the backend itself sent the error, it too comes from the service.
 */
static __always_inline int lb_translate_error(struct __sk_buff *skb, struct flow *flow,
					      const enum family family)
{
	struct packet *error = &flow->packet;
	struct packet quoted = {};
	struct lb_address service = {};
	struct tuple to;
	int result;

	if (icmp_parse_quoted(skb, error, &quoted, family) < 0)
		return DROP(DROP_INVALID_PACKET);
	if (!lb_rev_nat_find(flow->rev_nat, &service, family))
		return 0;
	lb_note_service(flow, &service.addr, service.port);
	to = quoted.tuple;
	addr_load(&to.destination, &service.addr, family);
	to.destination_port = service.port;
	result = icmp_rewrite_quoted(skb, error, &quoted, &to, family);
	if (result < 0 || !addr_equal(&error->source, &quoted.destination, family))
		return result;
	to = error->tuple;
	addr_load(&to.source, &service.addr, family);
	return nat_rewrite(skb, error, &to, family);
}

SEPARATE int lb_translate_error4(struct __sk_buff *skb, struct flow *flow)
{
	return flow ? lb_translate_error(skb, flow, IPV4) : DROP(DROP_INVALID_PACKET);
}

SEPARATE int lb_translate_error6(struct __sk_buff *skb, struct flow *flow)
{
	return flow ? lb_translate_error(skb, flow, IPV6) : DROP(DROP_INVALID_PACKET);
}

/* Gives a reply the source address that the client asked for. */
static __always_inline int lb_reverse(struct __sk_buff *skb, struct flow *flow,
				      const enum family family)
{
	if (likely(!flow->rev_nat || !(flow->flags & FLOW_REPLY)))
		return 0;
	if (unlikely(flow->ct_state == CT_STATE_RELATED))
		return family == IPV4 ? lb_translate_error4(skb, flow)
				      : lb_translate_error6(skb, flow);
	if (flow->flags & FLOW_NODE_PORT) {
		int result = reply_check_mtu(skb, flow, family);

		if (result < 0)
			return result;
	}
	return family == IPV4 ? lb_translate_reply4(skb, flow) : lb_translate_reply6(skb, flow);
}

#endif
