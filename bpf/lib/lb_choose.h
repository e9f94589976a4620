/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef AXONEME_LIB_LB_CHOOSE_H
#define AXONEME_LIB_LB_CHOOSE_H

#include "lib/clock.h"
#include "lib/conntrack.h"
#include "lib/lb_maglev.h"
#include "lib/lb_select.h"

#undef SOURCE_FILE
#define SOURCE_FILE FILE_LB

/* Which backend the packets of one connection go to: decided for the first one, and remembered in
 * conntrack under the addresses that the client uses.
 */

static __always_inline void lb_frontend_of(struct lb_address *to, const struct packet *p,
					   const enum family family)
{
	addr_load(&to->addr, &p->destination, family);
	to->port = p->destination_port;
	to->protocol = p->protocol;
}

static __always_inline _Bool lb_is_syn(const struct packet *p)
{
	return p->protocol == IPPROTO_TCP && (p->tcp_flags & (TCP_SYN | TCP_ACK)) == TCP_SYN;
}

/* A retransmitted SYN keeps its backend while that takes new connections; a SYN after data has
 * flowed opens another connection. An established one stays where it is until the backend is gone,
 * or known not to answer.
 */
static __always_inline _Bool lb_keeps_backend(const struct ct_entry *entry, __u8 state,
					      const struct packet *p)
{
	if (lb_is_syn(p))
		return !(entry->flags & CT_SEEN_NON_SYN) && state == LB_BACKEND_ACTIVE;
	return state != LB_BACKEND_QUARANTINED;
}

/* How long the choice outlives the packet. Only the client's packets come along here. */
static __always_inline __u32 lb_life_s(__u8 protocol, __u32 flags)
{
	if (protocol != IPPROTO_TCP)
		return ct_service_any_timeout_s;
	if (flags & CT_RESET)
		return ct_tcp_fin_timeout_s;
	if (!(flags & CT_SEEN_NON_SYN) || flags & CT_FORWARD_CLOSING)
		return ct_tcp_syn_timeout_s;
	return ct_service_tcp_timeout_s;
}

/* For the first packet of a connection. */
static __always_inline _Bool lb_select(const struct packet *p, const struct lb_address *frontend,
				       const struct lb_service *service, const enum lb_side side,
				       struct lb_choice *to, const enum family family)
{
	const _Bool affine = lb_has_affinity(service);
	const __u32 now_s = affine ? clock_s() : 0;
	struct lb_affinity_key client = {};

	if (affine) {
		lb_affinity_of_address(&client, &p->source, service->rev_nat, family);
		if (lb_select_affine(&client, service, now_s, to, family)) {
			lb_affinity_refresh(&client, to->backend, now_s, family);
			return 1;
		}
	}
	if (!(lb_has_maglev(service) &&
	      lb_select_maglev(lb_hash(p, affine, family), service, to, family)) &&
	    !lb_select_random(frontend, service, side, to, family))
		return 0;
	if (affine)
		lb_affinity_store(&client, to->backend, now_s, family);
	return 1;
}

/* Notes a packet of a connection whose backend is known. Entry and affinity are written when the
 * second or the flags have changed, no more often. True if they have.
 */
static __always_inline _Bool lb_refresh(struct ct_entry *entry, const struct packet *p,
					const struct lb_service *service, __u32 now_s,
					const enum family family)
{
	const __u32 add = ct_packet_flags(p, 0);
	const __u32 flags = entry->flags | add;
	const __u32 lifetime_s = now_s + lb_life_s(p->protocol, flags);

	const _Bool changed = flags != entry->flags;

	if (changed)
		__sync_fetch_and_or(&entry->flags, add);
	if (entry->lifetime_s == lifetime_s)
		return changed;
	entry->lifetime_s = lifetime_s;
	if (lb_has_affinity(service)) {
		struct lb_affinity_key client = {};

		lb_affinity_of_address(&client, &p->source, service->rev_nat, family);
		lb_affinity_refresh(&client, entry->backend, now_s, family);
	}
	return 1;
}

/* 1 if an earlier packet decided. This and the next two steps are functions beside each other, not
 * within, because a packet's own frames leave little of the stack.
 */
static __always_inline int lb_recall(const struct packet *p, const struct lb_service *service,
				     struct lb_choice *to, const enum family family)
{
	const __u32 now_s = clock_s();
	union ct_key key = {};
	struct ct_entry *entry;

	to->nat_port = 0;
	to->known = 0;
	to->due = 1;
	ct_key_of(&key, p, CT_SCOPE_SERVICE, family);
	entry = ct_find(&key, now_s, family);
	if (!entry || entry->rev_nat != service->rev_nat ||
	    !lb_backend_find(entry->backend, to, family) || !lb_keeps_backend(entry, to->state, p))
		return 0;
	to->due = lb_refresh(entry, p, service, now_s, family);
	to->nat_port = entry->nat_port;
	to->known = 1;
	return 1;
}

static __always_inline int lb_remember(const struct packet *p, const struct lb_service *service,
				       const struct lb_choice *choice, const enum family family)
{
	struct ct_entry entry = {
	    .flags = ct_packet_flags(p, 0),
	    .rev_nat = service->rev_nat,
	    .backend = choice->backend,
	};
	union ct_key key = {};

	entry.lifetime_s = clock_s() + lb_life_s(p->protocol, entry.flags);
	ct_key_of(&key, p, CT_SCOPE_SERVICE, family);
	return ct_create(&key, &entry, family);
}

#define LB_CHOICE_STEPS(version)                                                                   \
	SEPARATE int lb_recall##version(const struct packet *p, const struct lb_service *service,  \
					struct lb_choice *to)                                      \
	{                                                                                          \
		return p && service && to ? lb_recall(p, service, to, IPV##version) : 0;           \
	}                                                                                          \
	SEPARATE int lb_select##version(const struct packet *p, const struct lb_address *frontend, \
					const struct lb_service *service, enum lb_side side,       \
					struct lb_choice *to)                                      \
	{                                                                                          \
		return p && frontend && service && to                                              \
			   ? lb_select(p, frontend, service, side, to, IPV##version)               \
			   : 0;                                                                    \
	}                                                                                          \
	SEPARATE int lb_remember##version(const struct packet *p,                                  \
					  const struct lb_service *service,                        \
					  const struct lb_choice *choice)                          \
	{                                                                                          \
		if (!p || !service || !choice)                                                     \
			return DROP(DROP_INVALID_PACKET);                                          \
		return lb_remember(p, service, choice, IPV##version);                              \
	}

LB_CHOICE_STEPS(4)
LB_CHOICE_STEPS(6)

/* The backend of this client's connection to the service: the one it had, while that exists, else
 * by the service's algorithm. p is the packet as the client sent it, frontend the key under which
 * service was found. 1 with a backend, 0 if the service leaves the packet alone, or DROP.
 */
static __always_inline int lb_choose(const struct packet *p, const struct lb_address *frontend,
				     const struct lb_service *service, const enum lb_side side,
				     struct lb_choice *to, const enum family family)
{
	int result;

	if (family == IPV4 ? lb_recall4(p, service, to) : lb_recall6(p, service, to))
		return 1;
	if (!(family == IPV4 ? lb_select4(p, frontend, service, side, to)
			     : lb_select6(p, frontend, service, side, to)))
		return lb_yields(service) ? 0 : DROP(DROP_SERVICE_BACKEND_NOT_FOUND);
	result = family == IPV4 ? lb_remember4(p, service, to) : lb_remember6(p, service, to);
	return result < 0 ? result : 1;
}

static __always_inline int lb_remember_nat(const struct packet *p, __be16 nat_port,
					   const enum family family)
{
	union ct_key key = {};
	struct ct_entry *entry;

	ct_key_of(&key, p, CT_SCOPE_SERVICE, family);
	entry = ct_find(&key, clock_s(), family);
	if (entry)
		entry->nat_port = nat_port;
	return 0;
}

SEPARATE int lb_remember_nat4(const struct packet *p, __be16 nat_port)
{
	return p ? lb_remember_nat(p, nat_port, IPV4) : 0;
}

SEPARATE int lb_remember_nat6(const struct packet *p, __be16 nat_port)
{
	return p ? lb_remember_nat(p, nat_port, IPV6) : 0;
}

/* Remembers the source port that the connection leaves the node with, for choices to come. p is the
 * packet as the client sent it.
 */
static __always_inline void lb_remember_port(const struct packet *p, __be16 nat_port,
					     const enum family family)
{
	if (family == IPV4)
		lb_remember_nat4(p, nat_port);
	else
		lb_remember_nat6(p, nat_port);
}

#endif
