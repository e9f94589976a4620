/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef AXONEME_LIB_HOST_POLICY_H
#define AXONEME_LIB_HOST_POLICY_H

#include "abi/marks.h"
#include "lib/admit.h"
#include "lib/endpoint.h"
#include "lib/host_endpoint.h"
#include "lib/ipcache.h"
#include "lib/masquerade.h"

#undef SOURCE_FILE
#define SOURCE_FILE FILE_HOST_POLICY

/* The host firewall at the node's edge: what comes in for the node's own addresses, after services
 * and translations, and what its own stack sends, before them. Functions beside the others, because
 * the deepest chain of calls uses the whole stack.
 */

/* Whose answers services turn is no concern of the node's stack, and it holds the proxy. */
static __always_inline int host_track(struct __sk_buff *skb, struct flow *flow,
				      const enum family family)
{
	int result = admit_track(skb, flow, 0, family);

	return result < 0 ? result : 0;
}

/* Forgets what services made of the packet on its way here: the connection is the node's. */
static __always_inline void host_begin(struct flow *flow)
{
	flow->flags &= ~(FLOW_NODE_PORT | FLOW_DSR | FLOW_ANSWER | FLOW_REPLY | FLOW_HAIRPIN);
	flow->ct_state = CT_STATE_UNKNOWN;
	flow->rev_nat = 0;
}

/* A packet that goes to the stack: 0 if that may have it, or DROP. What the stack only forwards,
 * and what is for many, is not the node's.
 */
static __always_inline int host_receive(struct __sk_buff *skb, struct flow *flow,
					const enum family family)
{
	struct packet *p = &flow->packet;
	const struct endpoint_info *to = endpoint_find(&p->destination, family);
	int result;

	if (!to || !(to->flags & ENDPOINT_HOST) || !host_endpoint_ready())
		return 0;
	flow->ingress_endpoint = host_endpoint;
	flow->destination_identity = IDENTITY_HOST;
	/* The tunnel has told it already. */
	if (!flow->source_identity)
		flow->source_identity = ipcache_identity(ipcache_find(&p->source, family), family);
	host_begin(flow);
	result = packet_parse_l4(skb, p, family);
	if (result < 0)
		return result;
	return host_endpoint_exempts(p, family) ? 0 : host_track(skb, flow, family);
}

SEPARATE int host_receive4(struct __sk_buff *skb, struct flow *flow)
{
	return flow ? host_receive(skb, flow, IPV4) : DROP(DROP_INVALID_PACKET);
}

SEPARATE int host_receive6(struct __sk_buff *skb, struct flow *flow)
{
	return flow ? host_receive(skb, flow, IPV6) : DROP(DROP_INVALID_PACKET);
}

static __always_inline int host_may_receive(struct __sk_buff *skb, struct flow *flow,
					    const enum family family)
{
	if (!host_endpoint)
		return 0;
	return family == IPV4 ? host_receive4(skb, flow) : host_receive6(skb, flow);
}

/* A packet that the stack sends out of the node: 0 if it may, or DROP. Pods' packets to which the
 * stack gave the node's address are not the node's, but their answers come to it, so that they are
 * tracked.
 */
static __always_inline int host_send_out(struct __sk_buff *skb, struct flow *flow,
					 const enum family family)
{
	const __u32 kind = skb->mark & MARK_KIND_MASK;
	struct packet *p = &flow->packet;
	const struct endpoint_info *from = endpoint_find(&p->source, family);
	int result;

	if (!from || !(from->flags & ENDPOINT_HOST) || !host_endpoint_ready())
		return 0;
	if (kind == MARK_FROM_PROXY || masquerade_is_multicast(&p->destination, family) ||
	    (family == IPV4 && p->destination.word[0] == 0xffffffff))
		return 0;
	flow->egress_endpoint = kind == MARK_POD ? 0 : host_endpoint;
	flow->source_identity = IDENTITY_HOST;
	flow->destination_identity =
	    ipcache_identity(ipcache_find(&p->destination, family), family);
	host_begin(flow);
	result = packet_parse_l4(skb, p, family);
	if (result < 0)
		return result;
	return host_endpoint_exempts(p, family) ? 0 : host_track(skb, flow, family);
}

SEPARATE int host_send_out4(struct __sk_buff *skb, struct flow *flow)
{
	return flow ? host_send_out(skb, flow, IPV4) : DROP(DROP_INVALID_PACKET);
}

SEPARATE int host_send_out6(struct __sk_buff *skb, struct flow *flow)
{
	return flow ? host_send_out(skb, flow, IPV6) : DROP(DROP_INVALID_PACKET);
}

static __always_inline int host_may_send(struct __sk_buff *skb, struct flow *flow,
					 const enum family family)
{
	if (!host_endpoint)
		return 0;
	return family == IPV4 ? host_send_out4(skb, flow) : host_send_out6(skb, flow);
}

#endif
