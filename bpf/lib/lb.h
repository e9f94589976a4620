/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef AXONEME_LIB_LB_H
#define AXONEME_LIB_LB_H

#include "lib/conntrack.h"
#include "lib/icmp.h"
#include "lib/lb_select.h"
#include "lib/nat.h"

#undef SOURCE_FILE
#define SOURCE_FILE FILE_LB

static __always_inline void lb_frontend_of(struct lb_address *to, const struct packet *p,
					   const enum family family)
{
	addr_load(&to->addr, &p->destination, family);
	to->port = p->destination_port;
	to->protocol = p->protocol;
}

/* A retransmitted SYN keeps its backend; a SYN after data has flowed opens another connection. */
static __always_inline _Bool lb_keeps_backend(const struct ct_entry *entry, const struct packet *p)
{
	return !(p->protocol == IPPROTO_TCP &&
		 (p->tcp_flags & (TCP_SYN | TCP_ACK)) == TCP_SYN &&
		 entry->flags & CT_SEEN_NON_SYN);
}

/* The backend of this client's connection to the service: the one it had, while that exists. */
static __always_inline int lb_backend_of(const struct packet *p, const struct lb_address *frontend,
					 const struct lb_service *service,
					 struct lb_address *backend, const enum family family)
{
	const __u32 now_s = clock_s();
	const __u32 life_s = p->protocol == IPPROTO_TCP ? ct_service_tcp_timeout_s :
							  ct_service_any_timeout_s;
	struct ct_entry fresh = {
		.lifetime_s = now_s + life_s,
		.flags = ct_packet_flags(p, 0),
		.rev_nat = service->rev_nat,
	};
	union ct_key key = {};
	struct ct_entry *entry;

	ct_key_of(&key, p, CT_SCOPE_SERVICE, family);
	entry = ct_find(&key, now_s, family);
	if (entry && entry->rev_nat == service->rev_nat && lb_keeps_backend(entry, p) &&
	    lb_backend_find(entry->backend, backend, family)) {
		if (entry->lifetime_s != fresh.lifetime_s)
			entry->lifetime_s = fresh.lifetime_s;
		if (fresh.flags & ~entry->flags)
			__sync_fetch_and_or(&entry->flags, fresh.flags);
		return 0;
	}
	fresh.backend = lb_backend_select(frontend, service, family);
	if (!fresh.backend || !lb_backend_find(fresh.backend, backend, family))
		return DROP(DROP_SERVICE_BACKEND_NOT_FOUND);
	return ct_create(&key, &fresh, family);
}

/* Sends a packet for a service address to a backend. Not a service: nothing happens. loopback is the
 * source that a pod sees if it is its own backend.
 */
static __always_inline int lb_translate_request(struct __sk_buff *skb, struct flow *flow,
					const struct addr *loopback, const enum family family)
{
	struct packet *p = &flow->packet;
	struct lb_address frontend = {};
	struct lb_address backend = {};
	struct nat_change change = {};
	const struct lb_service *service;
	int result;

	if (!protocol_has_ports(p->protocol))
		return 0;
	lb_frontend_of(&frontend, p, family);
	service = lb_service_find(&frontend, family);
	if (!service)
		return 0;
	flow->original_addr = frontend.addr;
	flow->original_port = frontend.port;
	flow->flags |= FLOW_HAS_ORIGINAL;
	flow->rev_nat = service->rev_nat;
	result = lb_backend_of(p, &frontend, service, &backend, family);
	if (result < 0)
		return result;
	if (addr_equal(&backend.addr, &p->source, family)) {
		flow->flags |= FLOW_HAIRPIN;
		change.source = 1;
		change.addr = *loopback;
		change.port = p->source_port;
		result = nat_rewrite(skb, p, &change, family);
		if (result < 0)
			return result;
	}
	change.source = 0;
	change.addr = backend.addr;
	change.port = backend.port;
	return nat_rewrite(skb, p, &change, family);
}

SEPARATE int lb_translate_request4(struct __sk_buff *skb, struct flow *flow, const struct addr *loopback)
{
	if (!flow || !loopback)
		return DROP(DROP_INVALID_PACKET);
	return lb_translate_request(skb, flow, loopback, IPV4);
}

SEPARATE int lb_translate_request6(struct __sk_buff *skb, struct flow *flow, const struct addr *loopback)
{
	if (!flow || !loopback)
		return DROP(DROP_INVALID_PACKET);
	return lb_translate_request(skb, flow, loopback, IPV6);
}

static __always_inline int lb_translate(struct __sk_buff *skb, struct flow *flow,
					const struct addr *loopback, const enum family family)
{
	return family == IPV4 ? lb_translate_request4(skb, flow, loopback) :
				lb_translate_request6(skb, flow, loopback);
}

static __always_inline int lb_translate_reply(struct __sk_buff *skb, struct flow *flow,
					      const enum family family)
{
	struct packet *p = &flow->packet;
	struct nat_change change = { .source = 1 };
	struct lb_address service = {};
	struct addr self = p->source;
	int result;

	/* The service is gone: the packet passes as the backend sent it, and the client refuses it. */
	if (!lb_rev_nat_find(flow->rev_nat, &service, family))
		return 0;
	flow->original_addr = service.addr;
	flow->original_port = service.port;
	flow->flags |= FLOW_HAS_ORIGINAL;
	change.addr = service.addr;
	change.port = service.port;
	if (flow->ct_state == CT_STATE_RELATED)
		return family == IPV4 ? icmp_reverse4(skb, p, &change) :
					icmp_reverse6(skb, p, &change);
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
