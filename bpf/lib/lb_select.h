/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef AXONEME_LIB_LB_SELECT_H
#define AXONEME_LIB_LB_SELECT_H

#include "abi/lb.h"
#include "lib/base.h"
#include "lib/lb_affinity.h"
#include "lib/lb_maglev.h"

/* Service maps, and the choice of a backend: shared by the packet and the socket programs. */

#define LB_MAP(name, key_type, value_type, entries)                                                \
	struct {                                                                                   \
		__uint(type, BPF_MAP_TYPE_HASH);                                                   \
		__uint(max_entries, entries);                                                      \
		__uint(map_flags, BPF_F_NO_PREALLOC);                                              \
		__uint(pinning, LIBBPF_PIN_BY_NAME);                                               \
		__type(key, struct key_type);                                                      \
		__type(value, struct value_type);                                                  \
	} name SEC(".maps")

LB_MAP(cilium_lb4_services_v2, lb4_key, lb_service, LIMIT_LB_SERVICES);
LB_MAP(cilium_lb6_services_v2, lb6_key, lb_service, LIMIT_LB_SERVICES);
LB_MAP(cilium_lb4_backends_v3, lb_backend_key, lb4_backend, LIMIT_LB_BACKENDS);
LB_MAP(cilium_lb6_backends_v3, lb_backend_key, lb6_backend, LIMIT_LB_BACKENDS);
LB_MAP(cilium_lb4_reverse_nat, lb_rev_nat_key, lb4_rev_nat, LIMIT_LB_REVERSE_NAT);
LB_MAP(cilium_lb6_reverse_nat, lb_rev_nat_key, lb6_rev_nat, LIMIT_LB_REVERSE_NAT);

struct lb_address {
	struct addr addr;
	__be16 port;
	__u8 protocol;
	__u8 padding;
};

static __always_inline const struct lb_service *
lb_slot_find(const struct lb_address *frontend, __u16 slot, __u8 scope, const enum family family)
{
	if (family == IPV4) {
		struct lb4_key key = {
		    .addr = frontend->addr.word[0],
		    .port = frontend->port,
		    .slot = slot,
		    .protocol = frontend->protocol,
		    .scope = scope,
		};

		return bpf_map_lookup_elem(&cilium_lb4_services_v2, &key);
	} else {
		struct lb6_key key = {
		    .port = frontend->port,
		    .slot = slot,
		    .protocol = frontend->protocol,
		    .scope = scope,
		};

		addr_store(&key.addr, &frontend->addr, IPV6);
		return bpf_map_lookup_elem(&cilium_lb6_services_v2, &key);
	}
}

static __always_inline __u8 lb_scope_of(const struct lb_service *service)
{
	return service->flags2 & LB_TWO_SCOPES ? LB_SCOPE_INTERNAL : LB_SCOPE_EXTERNAL;
}

/* Our clients are inside the cluster: where a service has two sets of backends, they get the set
 * for the inside.
 */
static __always_inline const struct lb_service *lb_service_find(const struct lb_address *frontend,
								const enum family family)
{
	const struct lb_service *service = lb_slot_find(frontend, 0, LB_SCOPE_EXTERNAL, family);

	if (service && lb_scope_of(service) == LB_SCOPE_INTERNAL)
		return lb_slot_find(frontend, 0, LB_SCOPE_INTERNAL, family);
	return service;
}

/* Id of a backend chosen at random, 0 if there is none. */
static __always_inline __u32 lb_backend_select(const struct lb_address *frontend,
					       const struct lb_service *service,
					       const enum family family)
{
	const struct lb_service *slot;

	if (!service->count)
		return 0;
	slot = lb_slot_find(frontend, bpf_get_prandom_u32() % service->count + 1,
			    lb_scope_of(service), family);
	return slot ? slot->backend : 0;
}

static __always_inline _Bool lb_backend_find(__u32 id, struct lb_address *to,
					     const enum family family)
{
	if (family == IPV4) {
		const struct lb4_backend *backend =
		    bpf_map_lookup_elem(&cilium_lb4_backends_v3, &id);

		if (!backend)
			return 0;
		to->addr.word[0] = backend->addr;
		to->port = backend->port;
	} else {
		const struct lb6_backend *backend =
		    bpf_map_lookup_elem(&cilium_lb6_backends_v3, &id);

		if (!backend)
			return 0;
		addr_load(&to->addr, &backend->addr, IPV6);
		to->port = backend->port;
	}
	return 1;
}

static __always_inline _Bool lb_rev_nat_find(__u16 index, struct lb_address *to,
					     const enum family family)
{
	if (family == IPV4) {
		const struct lb4_rev_nat *nat =
		    bpf_map_lookup_elem(&cilium_lb4_reverse_nat, &index);

		if (!nat)
			return 0;
		to->addr.word[0] = nat->addr;
		to->port = nat->port;
	} else {
		const struct lb6_rev_nat *nat =
		    bpf_map_lookup_elem(&cilium_lb6_reverse_nat, &index);

		if (!nat)
			return 0;
		addr_load(&to->addr, &nat->addr, IPV6);
		to->port = nat->port;
	}
	return 1;
}

#endif
