/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef AXONEME_LIB_EDGE_LEAVE_H
#define AXONEME_LIB_EDGE_LEAVE_H

#include "lib/endpoint.h"
#include "lib/icmp.h"
#include "lib/masquerade.h"
#include "lib/nat_leave.h"

#undef SOURCE_FILE
#define SOURCE_FILE FILE_MASQUERADE

/* The node's edge for what goes out. */

/* An error that the node or a pod sends about what it received under a translated address: it comes
 * from that address, and quotes it. 1 if so, 0 if there is no translation.
 */
static __always_inline int edge_leave_error(struct __sk_buff *skb, struct packet *error,
					    const enum family family)
{
	struct packet quoted = {};
	union nat_entry *entry;
	struct tuple to;

	if (icmp_parse_quoted(skb, error, &quoted, family) < 0)
		return 0;
	{
		union nat_key key;

		nat_key_of_answer(&key, &quoted.tuple, quoted.protocol, NAT_OUT, family);
		entry = nat_find(&key, clock_s(), family);
	}
	if (!entry)
		return 0;
	to = quoted.tuple;
	addr_load(&to.destination, entry, family);
	to.destination_port = nat_rest(entry, family)->port;
	return icmp_translate(skb, error, &quoted, &to, &error->destination,
			      addr_equal(&error->source, &quoted.destination, family), family);
}

SEPARATE int edge_leave_error4(struct __sk_buff *skb, struct packet *error)
{
	return error ? edge_leave_error(skb, error, IPV4) : 0;
}

SEPARATE int edge_leave_error6(struct __sk_buff *skb, struct packet *error)
{
	return error ? edge_leave_error(skb, error, IPV6) : 0;
}

static __always_inline int edge_leave_packet(struct __sk_buff *skb, struct packet *p,
					     const enum family family)
{
	struct tuple to;
	int result;

	if (!(family == IPV4 ? nat_leave4(p, &to) : nat_leave6(p, &to)))
		return 0;
	result = nat_rewrite(skb, p, &to, family);
	return result < 0 ? result : 1;
}

SEPARATE int edge_leave_packet4(struct __sk_buff *skb, struct packet *p)
{
	return p ? edge_leave_packet(skb, p, IPV4) : 0;
}

SEPARATE int edge_leave_packet6(struct __sk_buff *skb, struct packet *p)
{
	return p ? edge_leave_packet(skb, p, IPV6) : 0;
}

/* By entries that exist: 1 if there is one. */
static __always_inline int edge_leave_known(struct __sk_buff *skb, struct packet *p,
					    const enum family family)
{
	if (p->flags & PACKET_ICMP_ERROR)
		return family == IPV4 ? edge_leave_error4(skb, p) : edge_leave_error6(skb, p);
	return family == IPV4 ? edge_leave_packet4(skb, p) : edge_leave_packet6(skb, p);
}

/* A packet that the node's own stack routes to a pod: perhaps the answer of a backend on the node's
 * own network, to a client that is one.
 */
static __always_inline int edge_leave_answer(struct __sk_buff *skb, struct packet *p,
					     const enum family family)
{
	const struct endpoint_info *from = endpoint_find(&p->source, family);

	if (!from || !(from->flags & ENDPOINT_HOST) || packet_parse_l4(skb, p, family) < 0)
		return 0;
	return edge_leave_known(skb, p, family);
}

/* A pod's packet without an entry: it gets the address of the device, or passes as it is. */
static __always_inline int edge_leave_pod(struct __sk_buff *skb, struct packet *p,
					  const enum family family)
{
	struct tuple to;
	int result;

	if (p->flags & PACKET_ICMP_ERROR || !masquerade_applies(&p->destination, family))
		return TC_ACT_OK;
	if (!masquerade_can(p, family))
		return DROP(DROP_UNSUPPORTED_PROTOCOL_FOR_NAT_MASQUERADE);
	if (!device_addr(skb->ifindex, &to.source, family))
		return DROP(DROP_NO_EGRESS_IP);
	result =
	    family == IPV4 ? masquerade_begin4(skb, p, &to, 0) : masquerade_begin6(skb, p, &to, 0);
	return result < 0 ? result : nat_rewrite(skb, p, &to, family);
}

/* The node's own packet without an entry: another port, if a translated connection has this one. */
static __always_inline int edge_leave_host(struct __sk_buff *skb, struct packet *p,
					   const enum family family)
{
	struct tuple to;
	int result;

	if (!masquerade_collides(p, family))
		return TC_ACT_OK;
	addr_load(&to.source, &p->source, family);
	result = family == IPV4 ? masquerade_begin4(skb, p, &to, NAT_FROM_HOST)
				: masquerade_begin6(skb, p, &to, NAT_FROM_HOST);
	return result < 0 ? result : nat_rewrite(skb, p, &to, family);
}

/* A packet of one of this node's addresses or pods, its IP header read, before it goes out. */
static __always_inline int edge_leave(struct __sk_buff *skb, struct flow *flow,
				      const enum family family)
{
	struct packet *p = &flow->packet;
	const struct endpoint_info *from = endpoint_find(&p->source, family);
	_Bool host;
	int result;

	if (!from)
		return TC_ACT_OK;
	host = from->flags & ENDPOINT_HOST;
	if (!host)
		flow->egress_endpoint = from->id;
	result = packet_parse_l4(skb, p, family);
	if (result < 0)
		return host || !masquerade_applies(&p->destination, family) ? TC_ACT_OK : result;
	if (host && tunnel_is_outer(p))
		return TC_ACT_OK;
	result = edge_leave_known(skb, p, family);
	if (result)
		return result < 0 ? result : TC_ACT_OK;
	return host ? edge_leave_host(skb, p, family) : edge_leave_pod(skb, p, family);
}

#endif
