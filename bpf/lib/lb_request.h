/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef AXONEME_LIB_LB_REQUEST_H
#define AXONEME_LIB_LB_REQUEST_H

#include "config/pod.h"
#include "lib/lb.h"
#include "lib/lb_choose.h"

#undef SOURCE_FILE
#define SOURCE_FILE FILE_LB

/* 1 and a backend if the packet is for a service address, 0 if it is not. Apart from the rewriting,
 * because the frames of both would not fit on the stack together.
 */
static __always_inline int lb_resolve(struct flow *flow, struct lb_address *backend,
				      const enum family family)
{
	const struct packet *p = &flow->packet;
	struct lb_address frontend = {};
	struct lb_choice choice = {};
	const struct lb_service *service;
	int result;

	lb_frontend_of(&frontend, p, family);
	service = lb_service_find(&frontend, LB_INSIDE, family);
	if (!service)
		return 0;
	flow->original_addr = frontend.addr;
	flow->original_port = frontend.port;
	result = lb_choose(p, &frontend, service, LB_INSIDE, &choice, family);
	if (!result)
		return 0;
	flow->flags |= FLOW_HAS_ORIGINAL;
	flow->rev_nat = service->rev_nat;
	*backend = choice.address;
	return result;
}

SEPARATE int lb_resolve4(struct flow *flow, struct lb_address *backend)
{
	return flow && backend ? lb_resolve(flow, backend, IPV4) : DROP(DROP_INVALID_PACKET);
}

SEPARATE int lb_resolve6(struct flow *flow, struct lb_address *backend)
{
	return flow && backend ? lb_resolve(flow, backend, IPV6) : DROP(DROP_INVALID_PACKET);
}

/* Sends the packet to the backend. A pod that is its own backend sees the loopback address as
 * source, so that its answer comes back to be translated.
 */
static __always_inline int lb_redirect(struct __sk_buff *skb, struct flow *flow,
				       const struct lb_address *backend, const enum family family)
{
	struct packet *p = &flow->packet;
	struct tuple to = p->tuple;

	if (addr_equal(&backend->addr, &p->source, family)) {
		flow->flags |= FLOW_HAIRPIN;
		addr_load_config(&to.source,
				 family == IPV4 ? (const volatile void *)&service_loopback4
						: (const volatile void *)&service_loopback6,
				 family);
	}
	addr_load(&to.destination, &backend->addr, family);
	to.destination_port = backend->port;
	return nat_rewrite(skb, p, &to, family);
}

SEPARATE int lb_redirect4(struct __sk_buff *skb, struct flow *flow,
			  const struct lb_address *backend)
{
	if (!flow || !backend)
		return DROP(DROP_INVALID_PACKET);
	return lb_redirect(skb, flow, backend, IPV4);
}

SEPARATE int lb_redirect6(struct __sk_buff *skb, struct flow *flow,
			  const struct lb_address *backend)
{
	if (!flow || !backend)
		return DROP(DROP_INVALID_PACKET);
	return lb_redirect(skb, flow, backend, IPV6);
}

static __always_inline int lb_translate(struct __sk_buff *skb, struct flow *flow,
					const enum family family)
{
	struct lb_address backend = {};
	int result;

	if (!protocol_has_ports(flow->packet.protocol))
		return 0;
	result = family == IPV4 ? lb_resolve4(flow, &backend) : lb_resolve6(flow, &backend);
	if (result <= 0)
		return result;
	return family == IPV4 ? lb_redirect4(skb, flow, &backend)
			      : lb_redirect6(skb, flow, &backend);
}

#endif
