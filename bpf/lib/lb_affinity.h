/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef AXONEME_LIB_LB_AFFINITY_H
#define AXONEME_LIB_LB_AFFINITY_H

#include "abi/lb.h"
#include "lib/base.h"

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, LIMIT_LB_AFFINITY);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, struct lb_affinity_key);
	__type(value, struct lb_affinity);
} cilium_lb4_affinity SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, LIMIT_LB_AFFINITY);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, struct lb_affinity_key);
	__type(value, struct lb_affinity);
} cilium_lb6_affinity SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, LIMIT_LB_AFFINITY);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, struct lb_affinity_match);
	__type(value, __u8);
} cilium_lb_affinity_match SEC(".maps");

static __always_inline void lb_affinity_of_address(struct lb_affinity_key *key,
						   const struct addr *client, __u16 rev_nat,
						   const enum family family)
{
	addr_store(&key->client, client, family);
	key->rev_nat = rev_nat;
}

/* Sockets have no address yet when they choose; those of one namespace share theirs anyway. */
static __always_inline void lb_affinity_of_netns(struct lb_affinity_key *key, __u64 cookie,
						 __u16 rev_nat)
{
	word *halves = (word *)&key->client;

	halves[0] = (__u32)cookie;
	halves[1] = cookie >> 32;
	key->rev_nat = rev_nat;
	key->is_cookie = 1;
}

static __always_inline struct lb_affinity *lb_affinity_entry(const struct lb_affinity_key *key,
							     const enum family family)
{
	return family == IPV4 ? bpf_map_lookup_elem(&cilium_lb4_affinity, key)
			      : bpf_map_lookup_elem(&cilium_lb6_affinity, key);
}

/* Id of the backend that the client had, 0 if that is too long ago or the backend has left. */
static __always_inline __u32 lb_affinity_find(const struct lb_affinity_key *key, __u32 timeout_s,
					      __u32 now_s, const enum family family)
{
	const struct lb_affinity *affinity = lb_affinity_entry(key, family);
	struct lb_affinity_match match = {.rev_nat = key->rev_nat};

	/* Signed: another CPU may have used it in a second that has not begun here. */
	if (!affinity || (int)(now_s - affinity->last_used_s) >= (int)timeout_s)
		return 0;
	match.backend = affinity->backend;
	return bpf_map_lookup_elem(&cilium_lb_affinity_match, &match) ? match.backend : 0;
}

static __always_inline void lb_affinity_store(const struct lb_affinity_key *key, __u32 backend,
					      __u32 now_s, const enum family family)
{
	struct lb_affinity affinity = {.last_used_s = now_s, .backend = backend};

	/* If this fails, the client may get another backend next time, and nothing worse. */
	if (family == IPV4)
		bpf_map_update_elem(&cilium_lb4_affinity, key, &affinity, BPF_ANY);
	else
		bpf_map_update_elem(&cilium_lb6_affinity, key, &affinity, BPF_ANY);
}

/* Prolongs the affinity to a backend in use, but not to one that the client left meanwhile. */
static __always_inline void lb_affinity_refresh(const struct lb_affinity_key *key, __u32 backend,
						__u32 now_s, const enum family family)
{
	struct lb_affinity *affinity = lb_affinity_entry(key, family);

	if (affinity && affinity->backend == backend && affinity->last_used_s != now_s)
		affinity->last_used_s = now_s;
}

#endif
