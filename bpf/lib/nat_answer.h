/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef AXONEME_LIB_NAT_ANSWER_H
#define AXONEME_LIB_NAT_ANSWER_H

#include "lib/conntrack.h"
#include "lib/lb_select.h"
#include "lib/nat_table.h"

/* Answers to what left the node with a translated source: by the tables alone, for programs at any
 * hook.
 */

/* Whether the packet may be one: other packets are spared the lookup. */
static __always_inline _Bool nat_may_answer(const struct packet *p)
{
	return (node_ports || masquerade4 || masquerade6) && nat_is_own_port(p->destination_port);
}

/* The ends that a packet or quoted packet, which the entry is for, is to have. */
static __always_inline void nat_ends_in(union nat_entry *entry, struct tuple *to,
					const enum family family)
{
	struct lb_address service = {};

	addr_load(&to->destination, entry, family);
	to->destination_port = nat_rest(entry, family)->port;
	/* A service that has gone: the client gets what it does not know, and refuses it. */
	if (!nat_rest(entry, family)->rev_nat ||
	    !lb_rev_nat_find(nat_rest(entry, family)->rev_nat, &service, family))
		return;
	addr_load(&to->source, &service.addr, family);
	to->source_port = service.port;
}

/* Answers keep the other direction alive: a stream that only comes in does not lose its way out. */
static __always_inline void nat_follow_answer(const struct packet *p, const struct tuple *to,
					      __u16 rev_nat, __u32 now_s, const enum family family)
{
	if (rev_nat) {
		union ct_key key = {};
		struct ct_entry *entry;

		if (p->protocol == IPPROTO_TCP)
			return;
		ct_key_of_tuple(&key, to, p->protocol, CT_SCOPE_SERVICE, family);
		entry = ct_find(&key, now_s, family);
		if (entry)
			entry->lifetime_s = now_s + ct_service_any_timeout_s;
	} else {
		union nat_entry *entry;
		union nat_key key;

		nat_key_of_answer(&key, to, p->protocol, NAT_OUT, family);
		entry = nat_find(&key, now_s, family);
		if (entry)
			nat_refresh(nat_rest(entry, family), p->protocol, nat_packet_flags(p, 0),
				    now_s);
	}
}

/* The ends that the packet is to have if it is an answer: 1, or 2 to the node itself; else 0. */
static __always_inline int nat_answer(const struct packet *p, struct tuple *to,
				      const enum family family)
{
	const __u32 now_s = clock_s();
	union nat_entry *entry;
	union nat_key key;

	nat_key_of(&key, &p->tuple, p->protocol, NAT_IN, family);
	entry = nat_find(&key, now_s, family);
	if (!entry)
		return 0;
	addr_load(&to->source, &p->source, family);
	to->source_port = p->source_port;
	nat_ends_in(entry, to, family);
	if (nat_refresh(nat_rest(entry, family), p->protocol, nat_packet_flags(p, 1), now_s))
		nat_follow_answer(p, to, nat_rest(entry, family)->rev_nat, now_s, family);
	return nat_rest(entry, family)->flags & NAT_FROM_HOST ? 2 : 1;
}

SEPARATE int nat_answer4(const struct packet *p, struct tuple *to)
{
	return p && to ? nat_answer(p, to, IPV4) : 0;
}

SEPARATE int nat_answer6(const struct packet *p, struct tuple *to)
{
	return p && to ? nat_answer(p, to, IPV6) : 0;
}

#endif
