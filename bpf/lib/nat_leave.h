/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef AXONEME_LIB_NAT_LEAVE_H
#define AXONEME_LIB_NAT_LEAVE_H

#include "lib/nat.h"
#include "lib/nat_claim.h"

#undef SOURCE_FILE
#define SOURCE_FILE FILE_NAT

/* Translations of what leaves the node, by the entries that there are. */

/* The answers' entry keeps up with a masqueraded connection, or comes back with the same port if it
 * was pushed out. A connection whose port somebody else has by now is beyond help.
 */
static __always_inline void nat_follow_leave(const struct packet *p, union nat_entry *out,
					     __u32 now_s, const enum family family)
{
	struct nat_rest *rest = nat_rest(out, family);
	union nat_entry entry = {};
	struct nat_rest *in = nat_rest(&entry, family);
	union nat_entry *known;
	union nat_key key;

	nat_key_of_answer(&key, &p->tuple, p->protocol, NAT_IN, family);
	if (family == IPV4) {
		key.ip4.destination = out->ip4.addr;
		key.ip4.destination_port = rest->port;
	} else {
		key.ip6.destination = out->ip6.addr;
		key.ip6.destination_port = rest->port;
	}
	addr_store(&entry, &p->source, family);
	in->port = p->source_port;
	in->flags = (rest->flags & NAT_FROM_HOST) | nat_packet_flags(p, 0);
	known = nat_lookup(&key, family);
	if (known && nat_is_same(known, &entry, family)) {
		nat_refresh(nat_rest(known, family), p->protocol, in->flags, now_s);
		return;
	}
	if (known && nat_rest(known, family)->lifetime_s >= now_s)
		return;
	in->created_s = now_s;
	in->lifetime_s = now_s + nat_timeout_s(p->protocol, in->flags);
	nat_store(&key, &entry, BPF_ANY, family);
}

/* 1 and the packet's new ends if there is an entry for it. */
static __always_inline int nat_leave(const struct packet *p, struct tuple *to,
				     const enum family family)
{
	const __u32 now_s = clock_s();
	union nat_entry *entry;
	struct nat_rest *rest;
	union nat_key key;

	nat_key_of(&key, &p->tuple, p->protocol, NAT_OUT, family);
	entry = nat_find(&key, now_s, family);
	if (!entry)
		return 0;
	rest = nat_rest(entry, family);
	addr_load(&to->source, entry, family);
	addr_load(&to->destination, &p->destination, family);
	to->destination_port = p->destination_port;
	to->source_port = rest->port;
	if (nat_refresh(rest, p->protocol, nat_packet_flags(p, 1), now_s) &&
	    !(rest->flags & (NAT_SERVICE | NAT_DSR)))
		nat_follow_leave(p, entry, now_s, family);
	return 1;
}

SEPARATE int nat_leave4(const struct packet *p, struct tuple *to)
{
	return p && to ? nat_leave(p, to, IPV4) : 0;
}

SEPARATE int nat_leave6(const struct packet *p, struct tuple *to)
{
	return p && to ? nat_leave(p, to, IPV6) : 0;
}

#endif
