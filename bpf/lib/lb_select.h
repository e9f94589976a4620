/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef AXONEME_LIB_LB_SELECT_H
#define AXONEME_LIB_LB_SELECT_H

#include "abi/lb.h"
#include "config/lb.h"
#include "lib/base.h"
#include "lib/lb_affinity.h"

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

/* Where the client is: it decides which set of backends it gets where a service has two. */
enum lb_side {
	LB_OUTSIDE = 0, /* beyond the devices that lead out of the node */
	LB_INSIDE = 1,	/* a pod, or a socket of the node */
};

static __always_inline __u8 lb_scope(const struct lb_service *service, const enum lb_side side)
{
	return side == LB_INSIDE && service->flags2 & LB_TWO_SCOPES ? LB_SCOPE_INTERNAL
								    : LB_SCOPE_EXTERNAL;
}

static __always_inline const struct lb_service *lb_service_find(const struct lb_address *frontend,
								const enum lb_side side,
								const enum family family)
{
	const struct lb_service *service = lb_slot_find(frontend, 0, LB_SCOPE_EXTERNAL, family);

	if (service && lb_scope(service, side) == LB_SCOPE_INTERNAL)
		return lb_slot_find(frontend, 0, LB_SCOPE_INTERNAL, family);
	return service;
}

/* Whether an address that lb_service_find did not find with this port and protocol is a service's
 * all the same: what is sent there is to be refused.
 */
static __always_inline _Bool lb_refuses(const struct lb_address *to, const enum family family)
{
	const struct lb_address any_port = {.addr = to->addr};

	return service_wildcards && lb_slot_find(&any_port, 0, LB_SCOPE_EXTERNAL, family);
}

static __always_inline _Bool lb_has_affinity(const struct lb_service *service)
{
	return service_affinity && service->flags & LB_AFFINITY;
}

/* Whether packets to the service, which has no backends, go on as if it were none. Where a traffic
 * policy keeps to this node's backends, others may have some, and the packets are not theirs.
 */
static __always_inline _Bool lb_yields(const struct lb_service *service)
{
	const __u8 external = LB_EXTERNAL_IP | LB_NODE_PORT | LB_LOAD_BALANCER;

	if (likely(claim_without_backend))
		return 0;
	return service->flags & external ? !(service->flags & LB_EXTERNAL_LOCAL)
					 : !(service->flags2 & LB_INTERNAL_LOCAL);
}

/* A backend, and what is remembered of the connection to it. */
struct lb_choice {
	struct lb_address address;
	__u32 backend;	 /* its id */
	__be16 nat_port; /* source port of the connection if it leaves the node; 0 none yet */
	__u8 state;	 /* enum lb_backend_state */
	_Bool known;	 /* an earlier packet of the connection went to this backend */
	_Bool due;	 /* the first packet, of this second, or with these TCP flags */
	__u8 padding[3];
};

static __always_inline _Bool lb_backend_find(__u32 id, struct lb_choice *to,
					     const enum family family)
{
	if (family == IPV4) {
		const struct lb4_backend *backend =
		    bpf_map_lookup_elem(&cilium_lb4_backends_v3, &id);

		if (!backend)
			return 0;
		to->address.addr.word[0] = backend->addr;
		to->address.port = backend->port;
		to->address.protocol = backend->protocol;
		to->state = backend->state;
	} else {
		const struct lb6_backend *backend =
		    bpf_map_lookup_elem(&cilium_lb6_backends_v3, &id);

		if (!backend)
			return 0;
		addr_load(&to->address.addr, &backend->addr, IPV6);
		to->address.port = backend->port;
		to->address.protocol = backend->protocol;
		to->state = backend->state;
	}
	to->backend = id;
	return 1;
}

/* One of the backends in use. Once more if slot or backend vanished in between: then the service
 * has changed, and what it is now is complete.
 */
static __always_inline _Bool lb_select_random(const struct lb_address *frontend,
					      const struct lb_service *service,
					      const enum lb_side side, struct lb_choice *to,
					      const enum family family)
{
	for (int attempt = 0; attempt < 2; attempt++) {
		const struct lb_service *slot;
		__u32 index;

		if (!service || !service->count)
			return 0;
		index = ((__u64)bpf_get_prandom_u32() * service->count) >> 32;
		slot = lb_slot_find(frontend, index + 1, lb_scope(service, side), family);
		if (likely(slot && lb_backend_find(slot->backend, to, family)))
			return 1;
		service = lb_service_find(frontend, side, family);
	}
	return 0;
}

/* Backend that the client had within the affinity's time, if it takes new connections. */
static __always_inline _Bool lb_select_affine(const struct lb_affinity_key *client,
					      const struct lb_service *service, __u32 now_s,
					      struct lb_choice *to, const enum family family)
{
	__u32 backend =
	    lb_affinity_find(client, service->backend & LB_AFFINITY_SECONDS, now_s, family);

	return backend && lb_backend_find(backend, to, family) && to->state == LB_BACKEND_ACTIVE;
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
