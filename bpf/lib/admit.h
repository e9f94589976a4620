/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef AXONEME_LIB_ADMIT_H
#define AXONEME_LIB_ADMIT_H

#include "abi/marks.h"
#include "lib/conntrack.h"
#include "lib/dsr.h"
#include "lib/icmp.h"
#include "lib/lb.h"
#include "lib/policy.h"
#include "lib/proxy_socket.h"

#undef SOURCE_FILE
#define SOURCE_FILE FILE_CONNTRACK

/* Beyond all ports: what goes to the socket of the proxy that has the packet's own ends. */
#define ADMIT_TO_SOCKET 0x10000
/* Likewise, of what the node's stack meant for a pod. */
#define ADMIT_TO_NODE 0x20000

/* What the policy says now of the way of a connection: to the proxy, which may listen on another
 * port than before, or 0 for straight on.
 */
static __always_inline void admit_redirect(struct ct_entry *entry, __be16 port)
{
	if (likely(entry->proxy_port == port))
		return;
	entry->proxy_port = port;
	if (port)
		__sync_fetch_and_or(&entry->flags, CT_PROXY);
	else
		__sync_fetch_and_and(&entry->flags, ~CT_PROXY);
}

/* The sender's own policy says no: it may be told so. */
static __always_inline int admit_refuse(struct flow *flow, int result)
{
	flow->flags |= FLOW_ANSWER;
	return result;
}

/* A server is asked about what the proxy sends to it. The node itself is not, as that passes no
 * program: it is asked about what the pod sends.
 */
static __always_inline _Bool admit_is_last_chance(const struct flow *flow)
{
	return host_endpoint && flow->ingress_endpoint == host_endpoint;
}

/* Judges an established connection again if the endpoint's policy moved since it last passed. The
 * revision is read before the policy, so that a change in between is seen by the next packet. A
 * connection that is cut keeps its entry: without it, the other end's packets would look like a new
 * connection in the other direction. flags: the entry's, as they are afterwards.
 */
static __always_inline int admit_revised(struct __sk_buff *skb, const struct flow *flow,
					 struct ct_entry *entry, __u32 *flags,
					 const __u32 direction)
{
	const _Bool egress = direction == DIRECTION_EGRESS;
	__u32 *passed = egress ? &entry->egress_revision : &entry->ingress_revision;
	__u16 endpoint = egress ? flow->egress_endpoint : flow->ingress_endpoint;
	__u32 revision;
	int result;

	if (!endpoint)
		return 0;
	revision = policy_revision_of(endpoint);
	if (likely(revision == *passed))
		return 0;
	if (!egress && entry->proxy_port && flow->egress_endpoint && !admit_is_last_chance(flow))
		return 0;
	result = policy_check(skb, flow, direction);
	if (result < 0)
		return result;
	if (egress) {
		admit_redirect(entry, result);
		*flags = entry->flags;
	}
	*passed = revision;
	return 0;
}

/* What a connection's entry says of its way, besides the hairpin's. */
static __always_inline void admit_way(struct flow *flow, __u32 entry_flags)
{
	if (entry_flags & CT_NODE_PORT)
		flow->flags |= FLOW_NODE_PORT;
	if (entry_flags & CT_DSR)
		flow->flags |= FLOW_DSR;
}

/* Whether this program found the packet to be for a service: so its sender opened the connection.
 */
static __always_inline _Bool admit_asks_service(const struct flow *flow)
{
	return flow->rev_nat || flow->flags & (FLOW_NODE_PORT | FLOW_DSR);
}

/* A client's packets through a service and those straight to the backend look alike behind the
 * translation. The last one to come says where the answers are expected from.
 */
static __always_inline void admit_readdress(struct ct_entry *entry, const struct flow *flow)
{
	const __u32 way = (flow->flags & FLOW_NODE_PORT ? CT_NODE_PORT : 0) |
			  (flow->flags & FLOW_DSR ? CT_DSR : 0);
	const __u32 former = (CT_NODE_PORT | CT_DSR) & ~way;

	if (entry->rev_nat != flow->rev_nat)
		entry->rev_nat = flow->rev_nat;
	if (way & ~entry->flags)
		__sync_fetch_and_or(&entry->flags, way);
	/* A node that begins or ends to balance itself: its answers go the new way only. */
	if (former & entry->flags)
		__sync_fetch_and_and(&entry->flags, ~former);
}

/* Where a packet of a connection with CT_PROXY goes: to the proxy unless the proxy sent it. */
static __always_inline int admit_proxied(const struct flow *flow, const struct ct_entry *entry,
					 _Bool forward)
{
	if (!forward)
		return ADMIT_TO_SOCKET;
	return flow->egress_endpoint ? entry->proxy_port : 0;
}

static __always_inline int admit_established(struct __sk_buff *skb, struct flow *flow,
					     struct ct_entry *entry, _Bool forward, __u32 now_s)
{
	__u32 flags = entry->flags;
	int result;

	flow->ct_state = forward ? CT_STATE_ESTABLISHED : CT_STATE_REPLY;
	if (unlikely(admit_asks_service(flow)))
		admit_readdress(entry, flow);
	flow->rev_nat = entry->rev_nat;
	if (!forward)
		flow->flags |= FLOW_REPLY;
	if (unlikely(entry->flags & (CT_NODE_PORT | CT_DSR)))
		admit_way(flow, entry->flags);
	if (flags & CT_HAIRPIN) {
		flow->flags |= FLOW_HAIRPIN;
	} else if (forward) {
		result = admit_revised(skb, flow, entry, &flags, DIRECTION_EGRESS);
		if (result < 0)
			return admit_refuse(flow, result);
		result = admit_revised(skb, flow, entry, &flags, DIRECTION_INGRESS);
		if (result < 0)
			return result;
	}
	ct_update(entry, flow, skb->len, now_s);
	return likely(!(flags & CT_PROXY)) ? 0 : admit_proxied(flow, entry, forward);
}

/* Asks the policy of one end about a new connection: DROP, 0, or the port of the proxy. The
 * revision is read before the policy.
 */
static __always_inline int admit_judge(struct __sk_buff *skb, const struct flow *flow,
				       __u32 *passed, const enum traffic_direction direction)
{
	const _Bool egress = direction == DIRECTION_EGRESS;
	const struct policy_state *state =
	    policy_state_of(egress ? flow->egress_endpoint : flow->ingress_endpoint);
	int result;

	*passed = state ? state->revision : 0;
	result = policy_is_open(state, direction) ? 0 : policy_check(skb, flow, direction);
	policy_shadow(skb, flow, state, result, direction);
	return result;
}

/* A server on the node's own network that the proxy asks is told the pod's address and sends its
 * answer there. No program saw the question, so there is no connection.
 */
static __always_inline _Bool admit_is_for_proxy(struct __sk_buff *skb, const struct flow *flow,
						const enum family family)
{
	const struct packet *p = &flow->packet;

	if (likely(flow->source_identity != IDENTITY_HOST) || !flow->ingress_endpoint ||
	    (skb->mark & MARK_KIND_MASK) == MARK_FROM_PROXY ||
	    (p->protocol != IPPROTO_TCP && p->protocol != IPPROTO_UDP))
		return 0;
	return family == IPV4 ? proxy_expects4(skb, p) : proxy_expects6(skb, p);
}

static __always_inline int admit_new(struct __sk_buff *skb, struct flow *flow,
				     const union ct_key *key, _Bool low, __u32 now_s,
				     const enum family family)
{
	struct ct_entry entry = {};
	int result;

	if (admit_is_for_proxy(skb, flow, family))
		return ADMIT_TO_NODE;
	flow->ct_state = CT_STATE_NEW;
	flow->flags |= FLOW_REPORT;
	if (!(flow->flags & FLOW_HAIRPIN)) {
		if (flow->egress_endpoint) {
			result = admit_judge(skb, flow, &entry.egress_revision, DIRECTION_EGRESS);
			if (result < 0)
				return admit_refuse(flow, result);
			entry.proxy_port = result;
		}
		if (flow->ingress_endpoint && (!entry.proxy_port || admit_is_last_chance(flow))) {
			result = admit_judge(skb, flow, &entry.ingress_revision, DIRECTION_INGRESS);
			if (result < 0)
				return result;
		}
	}
	ct_entry_begin(&entry, flow, low, skb->len, now_s);
	if (entry.proxy_port || (skb->mark & MARK_KIND_MASK) == MARK_FROM_PROXY)
		entry.flags |= CT_PROXY;
	result = ct_create(key, &entry, family);
	return result < 0 ? result : entry.proxy_port;
}

SEPARATE int admit_new4(struct __sk_buff *skb, struct flow *flow, const struct ct4_key *key,
			_Bool low, __u32 now_s)
{
	if (!flow || !key)
		return DROP(DROP_INVALID_PACKET);
	return admit_new(skb, flow, (const union ct_key *)key, low, now_s, IPV4);
}

SEPARATE int admit_new6(struct __sk_buff *skb, struct flow *flow, const struct ct6_key *key,
			_Bool low, __u32 now_s)
{
	if (!flow || !key)
		return DROP(DROP_INVALID_PACKET);
	return admit_new(skb, flow, (const union ct_key *)key, low, now_s, IPV6);
}

/* Whether the entry is of another connection than the packet's: a finished one, or one that the
 * answer to a service's client seemed to begin when the entry of its request had been pushed out.
 */
static __always_inline _Bool admit_is_other(const struct ct_entry *entry, const struct flow *flow,
					    _Bool forward)
{
	return ct_is_reopened(entry, &flow->packet) ||
	       unlikely(admit_asks_service(flow) && !forward);
}

/* One lookup finds the packet's connection in either direction; policy is asked for new ones.
 * services: a new one may be a service's. As flow_admit(), before answers are turned.
 */
static __always_inline int admit_track(struct __sk_buff *skb, struct flow *flow,
				       const _Bool services, const enum family family)
{
	const __u32 now_s = clock_s();
	union ct_key key = {};
	_Bool low = ct_key_of(&key, &flow->packet, CT_SCOPE_FLOW, family);
	struct ct_entry *entry = ct_find(&key, now_s, family);
	_Bool forward = entry && !!(entry->flags & CT_LOW_INITIATES) == low;
	int result;

	if (likely(entry) && !admit_is_other(entry, flow, forward)) {
		result = admit_established(skb, flow, entry, forward, now_s);
	} else if (flow->packet.flags & PACKET_ICMP_ERROR &&
		   (result = icmp_is_related(skb, flow, now_s, family))) {
		result = result == ICMP_RELATED_PROXY ? ADMIT_TO_SOCKET : 0;
	} else {
		if (services)
			dsr_recall(flow, family);
		result = family == IPV4 ? admit_new4(skb, flow, &key.ip4, low, now_s)
					: admit_new6(skb, flow, &key.ip6, low, now_s);
	}
	return result;
}

/* delivered: the packet comes from the node's stack, where the proxy is as well. */
static __always_inline int admit_packet(struct __sk_buff *skb, struct flow *flow,
					const _Bool delivered, const enum family family)
{
	int result = admit_track(skb, flow, 1, family);

	if (unlikely(result) && (result < 0 || !delivered || result == ADMIT_TO_NODE))
		return result;
	result = lb_reverse(skb, flow, family);
	return result < 0 ? result : dsr_reverse(skb, flow, family);
}

/* Decides whether a packet may go on: one lookup finds its connection in either direction; policy
 * is asked for new ones only. Replies of service connections leave with the service's address.
 * Positive if the packet has to go to the proxy: to its listener on that port (network order), or
 * ADMIT_TO_SOCKET.
 */
static __always_inline int flow_admit(struct __sk_buff *skb, struct flow *flow,
				      const enum family family)
{
	return admit_packet(skb, flow, 0, family);
}

/* Likewise, for what the node's stack sends to a pod: what the proxy has seen. 0, DROP, or
 * ADMIT_TO_NODE.
 */
static __always_inline int flow_admit_delivered(struct __sk_buff *skb, struct flow *flow,
						const enum family family)
{
	return admit_packet(skb, flow, 1, family);
}

#endif
