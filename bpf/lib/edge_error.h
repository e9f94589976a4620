/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef AXONEME_LIB_EDGE_ERROR_H
#define AXONEME_LIB_EDGE_ERROR_H

#include "lib/forward.h"
#include "lib/icmp.h"
#include "lib/nat_answer.h"
#include "lib/node_port.h"

#undef SOURCE_FILE
#define SOURCE_FILE FILE_ICMP

/* ICMP errors about translated packets: each reaches the one who sent what it quotes, and quotes it
 * as it was sent. All return 1 with the error translated, 0 if it is about nothing of ours, or
 * DROP.
 */

/* Device by which a backend elsewhere is reached. */
static __always_inline __u32 edge_device_to(struct __sk_buff *skb, const struct addr *backend,
					    const enum family family)
{
	if (node_port_way_to(backend, family) == NODE_PORT_TUNNEL)
		return tunnel_ifindex;
	return uplink_ifindex ? uplink_ifindex : forward_device(skb, backend, family);
}

/* About what left with a translated source: a masqueraded packet, or a client's to a service. */
static __always_inline int edge_error(struct __sk_buff *skb, struct packet *error,
				      const enum family family)
{
	struct packet quoted = {};
	union nat_entry *entry;
	struct tuple to;

	if (icmp_parse_quoted(skb, error, &quoted, family) < 0)
		return 0;
	{
		union nat_key key;

		nat_key_of_answer(&key, &quoted.tuple, quoted.protocol, NAT_IN, family);
		entry = nat_find(&key, clock_s(), family);
	}
	if (!entry)
		return 0;
	/* Looked at from the answers' side, where the entry is at home. */
	addr_load(&to.source, &quoted.destination, family);
	to.source_port = quoted.destination_port;
	nat_ends_in(entry, &to, family);
	tuple_swap(&to, family);
	/* The backend itself is to the client the service. */
	return icmp_translate(skb, error, &quoted, &to, &to.source,
			      addr_equal(&error->source, &quoted.destination, family), family);
}

SEPARATE int edge_error4(struct __sk_buff *skb, struct packet *error)
{
	return error ? edge_error(skb, error, IPV4) : 0;
}

SEPARATE int edge_error6(struct __sk_buff *skb, struct packet *error)
{
	return error ? edge_error(skb, error, IPV6) : 0;
}

/* About a service's answer to a client: on to the backend, which has to send less, or stop. */
static __always_inline int edge_service_error(struct __sk_buff *skb, struct packet *error,
					      const enum family family)
{
	struct packet quoted = {};
	struct lb_choice choice = {};
	const struct ct_entry *entry;
	struct tuple to;

	if (icmp_parse_quoted(skb, error, &quoted, family) < 0)
		return 0;
	{
		union ct_key key = {};

		ct_key_of(&key, &quoted, CT_SCOPE_SERVICE, family);
		entry = ct_find(&key, clock_s(), family);
	}
	if (!entry || !lb_backend_find(entry->backend, &choice, family))
		return 0;
	choice.nat_port = entry->nat_port;
	to = quoted.tuple;
	addr_load(&to.source, &choice.address.addr, family);
	to.source_port = choice.address.port;
	if (choice.nat_port) {
		if (!device_addr(edge_device_to(skb, &choice.address.addr, family), &to.destination,
				 family))
			return DROP(DROP_NO_EGRESS_IP);
		to.destination_port = choice.nat_port;
	}
	return icmp_translate(skb, error, &quoted, &to, &choice.address.addr, !!choice.nat_port,
			      family);
}

SEPARATE int edge_service_error4(struct __sk_buff *skb, struct packet *error)
{
	return error ? edge_service_error(skb, error, IPV4) : 0;
}

SEPARATE int edge_service_error6(struct __sk_buff *skb, struct packet *error)
{
	return error ? edge_service_error(skb, error, IPV6) : 0;
}

#endif
