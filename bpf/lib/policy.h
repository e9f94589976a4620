/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef AXONEME_LIB_POLICY_H
#define AXONEME_LIB_POLICY_H

#include "abi/identity.h"
#include "abi/policy.h"
#include "config/node.h"
#include "lib/events.h"

#undef SOURCE_FILE
#define SOURCE_FILE FILE_POLICY

struct policy_map {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, LIMIT_POLICY_ENTRIES);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	/* Sizes, as clang leaves the types behind an inner map's pointers undefined in BTF. */
	__uint(key_size, sizeof(struct policy_key));
	__uint(value_size, sizeof(struct policy_entry));
};

/* By endpoint id, so that the program of a sender can ask for its receiver's policy. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, LIMIT_ENDPOINTS);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__array(values, struct policy_map);
} cilium_policy_maps SEC(".maps");

/* Likewise, with the rules that are on trial: of endpoints that have such rules. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, LIMIT_ENDPOINTS);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__array(values, struct policy_map);
} cilium_policy_shadow SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, LIMIT_ENDPOINTS);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, struct policy_state);
} cilium_policy_state SEC(".maps");

static __always_inline const struct policy_state *policy_state_of(__u16 endpoint_id)
{
	__u32 index = endpoint_id;

	return bpf_map_lookup_elem(&cilium_policy_state, &index);
}

static __always_inline __u32 policy_revision_of(__u16 endpoint_id)
{
	const struct policy_state *state = policy_state_of(endpoint_id);

	return state ? state->revision : 0;
}

/* Whether an endpoint in a state lets everything pass in a direction: there is nothing to ask. */
static __always_inline _Bool policy_is_open(const struct policy_state *state,
					    const enum traffic_direction direction)
{
	const __u32 closed =
	    POLICY_OVERFLOW |
	    (direction == DIRECTION_EGRESS ? POLICY_EGRESS_ENFORCED : POLICY_INGRESS_ENFORCED);

	return state && state->revision && !(state->flags & closed);
}

/* ICMP is judged by type, which takes the place of the port. */
static __always_inline __be16 policy_port_of(const struct packet *p)
{
	if (p->protocol == IPPROTO_ICMP || p->protocol == IPPROTO_ICMPV6)
		return bpf_htons(p->icmp_type);
	return p->destination_port;
}

static __always_inline enum policy_match policy_match_of(const struct policy_entry *entry,
							 _Bool wildcard)
{
	if (entry->prefix_len == 0)
		return wildcard ? POLICY_MATCH_ALL : POLICY_MATCH_L3;
	if (entry->prefix_len <= POLICY_PREFIX_PROTOCOL - POLICY_PREFIX_STATIC)
		return wildcard ? POLICY_MATCH_PROTOCOL : POLICY_MATCH_L3_PROTOCOL;
	return wildcard ? POLICY_MATCH_L4 : POLICY_MATCH_L3_L4;
}

/* Whether the class's entry, the wildcard, decides although the identity has one: by precedence,
 * then deny, then the longer port and protocol match; the identity wins a tie.
 */
static __always_inline _Bool policy_wildcard_wins(const struct policy_entry *exact,
						  const struct policy_entry *wildcard)
{
	if (wildcard->precedence != exact->precedence)
		return wildcard->precedence > exact->precedence;
	if ((wildcard->flags ^ exact->flags) & POLICY_DENY)
		return wildcard->flags & POLICY_DENY;
	return wildcard->prefix_len > exact->prefix_len;
}

static __always_inline int policy_entry_verdict(const struct policy_entry *entry)
{
	if (!entry)
		return DROP(DROP_POLICY_DENIED);
	if (entry->flags & POLICY_DENY)
		return entry->flags & POLICY_NO_PROXY ? DROP(DROP_SOCKET_LOOKUP_FAILED)
						      : DROP(DROP_POLICY_DENY);
	/* It cannot be had: what needs it must not pass unchecked. */
	if (entry->auth_type)
		return DROP(DROP_AUTH_REQUIRED);
	return entry->proxy_port;
}

/* The class under which a policy map has an entry for many identities at once: what is not known
 * outside the classes is anyone, IDENTITY_UNKNOWN.
 */
static __always_inline __u32 policy_class_of(__u32 identity)
{
	__u32 scope = identity >> IDENTITY_SCOPE_SHIFT;

	if (identity < IDENTITY_CLASSED_MIN)
		return IDENTITY_UNKNOWN;
	if (scope == IDENTITY_SCOPE_OUTSIDE)
		return IDENTITY_AGGREGATE_WORLD;
	if (scope == IDENTITY_SCOPE_REMOTE_NODE)
		return IDENTITY_AGGREGATE_REMOTE_NODE;
	/* Fixed numbers of pods mean those of the own cluster, whatever number it has. */
	return identity < IDENTITY_ALLOCATED_MIN || identity >> cluster_identity_bits == cluster_id
		   ? IDENTITY_AGGREGATE_CLUSTER
		   : IDENTITY_AGGREGATE_CLUSTER_MESH;
}

/* The proxy knows no other protocols, no connections towards pods, and none of the node itself. */
static __always_inline _Bool policy_may_redirect(__u8 protocol, __u32 endpoint, _Bool egress)
{
	return egress && endpoint != host_endpoint &&
	       (protocol == IPPROTO_TCP || protocol == IPPROTO_UDP);
}

/* Port of the proxy (network order), 0 to let it pass, or DROP. Fills in policy_match and
 * policy_cookie of the detail, whose policy_direction, policy_protocol and policy_port say what to
 * look for.
 */
static __always_inline int policy_lookup(void *map, __u32 identity, struct event_detail *detail)
{
	struct policy_key key = {
	    .prefix_len = POLICY_PREFIX_FULL,
	    .identity = identity,
	    .direction = detail->policy_direction,
	    .protocol = detail->policy_protocol,
	    .port = detail->policy_port,
	};
	const struct policy_entry *entry = bpf_map_lookup_elem(map, &key);
	const struct policy_entry *wildcard;
	_Bool is_wildcard = 0;

	key.identity = policy_class_of(identity);
	wildcard = bpf_map_lookup_elem(map, &key);
	if (wildcard && (!entry || policy_wildcard_wins(entry, wildcard))) {
		entry = wildcard;
		is_wildcard = 1;
	}
	/* Where tiers pass, an entry without rules says that none of them decides. */
	if (entry && (entry->flags & (POLICY_DENY | POLICY_NO_PROXY)) == POLICY_DENY &&
	    !entry->cookie)
		entry = 0;
	if (entry) {
		detail->policy_match = policy_match_of(entry, is_wildcard);
		detail->policy_cookie = entry->cookie;
	}
	return policy_entry_verdict(entry);
}

/* Whom the policy of one end of a flow is about, and what it is to be asked. */
static __always_inline __u32 policy_question(struct __sk_buff *skb, const struct flow *flow,
					     struct event_detail *detail, const _Bool egress)
{
	detail->type = EVENT_POLICY_VERDICT;
	detail->ifindex = skb->ifindex;
	detail->endpoint_id = egress ? flow->egress_endpoint : flow->ingress_endpoint;
	detail->policy_direction = egress ? DIRECTION_EGRESS : DIRECTION_INGRESS;
	detail->policy_protocol = flow->packet.protocol;
	detail->policy_port = policy_port_of(&flow->packet);
	return egress ? flow->destination_identity : flow->source_identity;
}

static __always_inline int policy_decide(struct __sk_buff *skb, const struct flow *flow,
					 const enum traffic_direction direction)
{
	const _Bool egress = direction == DIRECTION_EGRESS;
	__u32 id = egress ? flow->egress_endpoint : flow->ingress_endpoint;
	const struct policy_state *state = policy_state_of(id);
	struct event_detail detail = {};
	__u32 identity = policy_question(skb, flow, &detail, egress);
	void *map;
	int result;

	if (policy_is_open(state, direction))
		return 0;
	if (!state || !state->revision)
		return DROP(DROP_EP_NOT_READY);
	if (state->flags & POLICY_OVERFLOW)
		return DROP(DROP_NO_CONFIGURATION_AVAILABLE_TO_PERFORM_POLICY_DECISION);
	map = bpf_map_lookup_elem(&cilium_policy_maps, &id);
	if (!map)
		return DROP(DROP_EP_NOT_READY);
	result = policy_lookup(map, identity, &detail);
	if (result > 0) {
		detail.policy_action = VERDICT_REDIRECTED;
		detail.policy_proxy_port = result;
		if (!policy_may_redirect(detail.policy_protocol, id, egress))
			result = DROP(DROP_PROXY_REDIRECTION_NOT_SUPPORTED_FOR_PROTOCOL);
	}
	if (result < 0) {
		detail.reason = DROP_REASON(result);
		detail.policy_action = VERDICT_DENIED;
		if (state->flags & POLICY_AUDIT) {
			detail.policy_action = VERDICT_AUDITED;
			result = 0;
		}
	}
	if (policy_verdict_events &&
	    (flow->ct_state == CT_STATE_NEW || detail.policy_action == VERDICT_DENIED))
		event_send(skb, flow, &detail);
	return result;
}

/* Port of the proxy (network order), 0 to let it pass, or DROP. */
SEPARATE int policy_check_egress(struct __sk_buff *skb, const struct flow *flow)
{
	return flow ? policy_decide(skb, flow, DIRECTION_EGRESS) : DROP(DROP_POLICY_DENIED);
}

SEPARATE int policy_check_ingress(struct __sk_buff *skb, const struct flow *flow)
{
	return flow ? policy_decide(skb, flow, DIRECTION_INGRESS) : DROP(DROP_POLICY_DENIED);
}

/* That the proxy is not there is no verdict of the rules. */
static __always_inline _Bool policy_is_denied(int result)
{
	return result < 0 && DROP_REASON(result) != DROP_SOCKET_LOOKUP_FAILED;
}

/* Asks the rules on trial about a new connection and reports where they differ from those in force.
 */
static __always_inline int policy_try(struct __sk_buff *skb, const struct flow *flow, int enforced,
				      const _Bool egress)
{
	__u32 id = egress ? flow->egress_endpoint : flow->ingress_endpoint;
	void *map = bpf_map_lookup_elem(&cilium_policy_shadow, &id);
	struct event_detail detail = {};
	__u32 identity = policy_question(skb, flow, &detail, egress);
	int result;

	if (!map)
		return 0;
	result = policy_lookup(map, identity, &detail);
	if (policy_is_denied(result) == policy_is_denied(enforced))
		return 0;
	detail.policy_action = VERDICT_WOULD_ALLOW;
	if (policy_is_denied(result)) {
		detail.policy_action = VERDICT_WOULD_DENY;
		detail.reason = DROP_REASON(result);
	} else if (result > 0) {
		detail.policy_proxy_port = result;
	}
	return event_send(skb, flow, &detail);
}

SEPARATE int policy_try_egress(struct __sk_buff *skb, const struct flow *flow, int enforced)
{
	return flow ? policy_try(skb, flow, enforced, 1) : 0;
}

SEPARATE int policy_try_ingress(struct __sk_buff *skb, const struct flow *flow, int enforced)
{
	return flow ? policy_try(skb, flow, enforced, 0) : 0;
}

/* Likewise for an endpoint in a state. Beside policy_check(), as the stack has no room below it. */
static __always_inline void policy_shadow(struct __sk_buff *skb, const struct flow *flow,
					  const struct policy_state *state, int enforced,
					  const enum traffic_direction direction)
{
	const _Bool egress = direction == DIRECTION_EGRESS;

	if (likely(!state ||
		   !(state->flags & (egress ? POLICY_EGRESS_SHADOWED : POLICY_INGRESS_SHADOWED))))
		return;
	if (egress)
		policy_try_egress(skb, flow, enforced);
	else
		policy_try_ingress(skb, flow, enforced);
}

/* Asks one endpoint about the flow. Verdict events are for new connections, and for established
 * ones that are cut.
 */
static __always_inline int policy_check(struct __sk_buff *skb, const struct flow *flow,
					const enum traffic_direction direction)
{
	return direction == DIRECTION_EGRESS ? policy_check_egress(skb, flow)
					     : policy_check_ingress(skb, flow);
}

#endif
