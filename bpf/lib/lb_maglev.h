/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef AXONEME_LIB_LB_MAGLEV_H
#define AXONEME_LIB_LB_MAGLEV_H

#include "abi/lb.h"
#include "config/lb.h"
#include "lib/lb_select.h"
#include "lib/packet.h"

/* Tables by rev_nat. A new table is filled before it takes the place of the old one. */
#define LB_MAGLEV_MAP(name)                                                                        \
	struct {                                                                                   \
		__uint(type, BPF_MAP_TYPE_HASH_OF_MAPS);                                           \
		__uint(max_entries, LIMIT_LB_MAGLEV);                                              \
		__uint(map_flags, BPF_F_NO_PREALLOC);                                              \
		__uint(pinning, LIBBPF_PIN_BY_NAME);                                               \
		__type(key, struct lb_rev_nat_key);                                                \
		__array(                                                                           \
		    values, struct {                                                               \
			    __uint(type, BPF_MAP_TYPE_ARRAY);                                      \
			    __uint(max_entries, (LIMIT_LB_MAGLEV_SLOTS + 1) / 2);                  \
			    __uint(map_flags, BPF_F_INNER_MAP);                                    \
			    __uint(key_size, sizeof(__u32));                                       \
			    __uint(value_size, sizeof(struct lb_maglev_pair));                     \
		    });                                                                            \
	} name SEC(".maps")

LB_MAGLEV_MAP(cilium_lb4_maglev);
LB_MAGLEV_MAP(cilium_lb6_maglev);

/* Bob Jenkins' lookup3 (public domain) over words. */
#define HASH_ROTATE(x, bits) ((x) << (bits) | (x) >> (32 - (bits)))

struct hash_state {
	__u32 a, b, c;
};

static __always_inline void hash_mix(struct hash_state *s)
{
	s->a = (s->a - s->c) ^ HASH_ROTATE(s->c, 4);
	s->c += s->b;
	s->b = (s->b - s->a) ^ HASH_ROTATE(s->a, 6);
	s->a += s->c;
	s->c = (s->c - s->b) ^ HASH_ROTATE(s->b, 8);
	s->b += s->a;
	s->a = (s->a - s->c) ^ HASH_ROTATE(s->c, 16);
	s->c += s->b;
	s->b = (s->b - s->a) ^ HASH_ROTATE(s->a, 19);
	s->a += s->c;
	s->c = (s->c - s->b) ^ HASH_ROTATE(s->b, 4);
	s->b += s->a;
}

static __always_inline __u32 hash_final(struct hash_state *s)
{
	s->c = (s->c ^ s->b) - HASH_ROTATE(s->b, 14);
	s->a = (s->a ^ s->c) - HASH_ROTATE(s->c, 11);
	s->b = (s->b ^ s->a) - HASH_ROTATE(s->a, 25);
	s->c = (s->c ^ s->b) - HASH_ROTATE(s->b, 16);
	s->a = (s->a ^ s->c) - HASH_ROTATE(s->c, 4);
	s->b = (s->b ^ s->a) - HASH_ROTATE(s->a, 14);
	return (s->c ^ s->b) - HASH_ROTATE(s->b, 24);
}

static __always_inline void hash_add(struct hash_state *s, __u32 x, __u32 y, __u32 z)
{
	s->a += x;
	s->b += y;
	s->c += z;
}

static __always_inline void hash_add_addr(struct hash_state *s, const struct addr *addr,
					  const enum family family)
{
	if (family == IPV4) {
		hash_add(s, addr->word[0], 0, 0);
		return;
	}
	hash_add(s, addr->word[0], addr->word[1], addr->word[2]);
	hash_mix(s);
	hash_add(s, addr->word[3], 0, 0);
}

/* Of the connection; with affinity of the client alone, so that all nodes send it to the same
 * backend.
 */
static __always_inline __u32 lb_hash(const struct packet *p, _Bool client_only,
				     const enum family family)
{
	struct hash_state s = {.a = maglev_seed, .b = maglev_seed, .c = maglev_seed};

	hash_add_addr(&s, &p->source, family);
	if (!client_only) {
		hash_mix(&s);
		hash_add_addr(&s, &p->destination, family);
		hash_add(&s, 0, (__u32)p->source_port << 16 | p->destination_port, p->protocol);
	}
	return hash_final(&s);
}

/* Id of the backend in the hash's slot; 0 if there is no table, or one that is not filled. */
static __always_inline __u32 lb_maglev_find(__u16 rev_nat, __u32 hash, const enum family family)
{
	const __u32 slot = ((__u64)hash * maglev_slots) >> 32;
	const __u32 index = slot >> 1;
	const struct lb_maglev_pair *pair;
	void *table = family == IPV4 ? bpf_map_lookup_elem(&cilium_lb4_maglev, &rev_nat)
				     : bpf_map_lookup_elem(&cilium_lb6_maglev, &rev_nat);

	if (!table)
		return 0;
	pair = bpf_map_lookup_elem(table, &index);
	return pair ? pair->slots[slot & 1] : 0;
}

static __always_inline _Bool lb_has_maglev(const struct lb_service *service)
{
	return service_maglev && service->backend >> LB_ALGORITHM_SHIFT == LB_ALGORITHM_MAGLEV;
}

static __always_inline _Bool lb_select_maglev(__u32 hash, const struct lb_service *service,
					      struct lb_choice *to, const enum family family)
{
	__u32 backend = lb_maglev_find(service->rev_nat, hash, family);

	return backend && lb_backend_find(backend, to, family);
}

#endif
