/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef AXONEME_LIB_SOCK_MEMORY_H
#define AXONEME_LIB_SOCK_MEMORY_H

#include "abi/lb.h"
#include "lib/base.h"
#include "lib/lb_select.h"

/* What is remembered of a socket: the service address behind each backend that it was given, and,
 * for datagrams that name their peer each time, the backend of each service.
 */

#define SOCK_MAP(name, entries, key_type, value_type)                                              \
	struct {                                                                                   \
		__uint(type, BPF_MAP_TYPE_LRU_HASH);                                               \
		__uint(max_entries, entries);                                                      \
		__uint(pinning, LIBBPF_PIN_BY_NAME);                                               \
		__type(key, struct key_type);                                                      \
		__type(value, struct value_type);                                                  \
	} name SEC(".maps")

SOCK_MAP(cilium_lb4_reverse_sk, LIMIT_LB_REVERSE_SK, lb4_reverse_sk_key, lb4_reverse_sk);
SOCK_MAP(cilium_lb6_reverse_sk, LIMIT_LB_REVERSE_SK, lb6_reverse_sk_key, lb6_reverse_sk);
SOCK_MAP(cilium_lb_datagram_peers, LIMIT_LB_DATAGRAM_PEERS, lb_datagram_key, lb_datagram_peer);

/* An entry that says so already is not written again: datagrams come here one by one. */
static __always_inline int sock_remember(__u64 cookie, const struct lb_address *backend,
					 const struct lb_address *peer, __u16 rev_nat,
					 const enum family family)
{
	if (family == IPV4) {
		struct lb4_reverse_sk_key key = {
		    .cookie = cookie,
		    .addr = backend->addr.word[0],
		    .port = backend->port,
		};
		struct lb4_reverse_sk value = {
		    .addr = peer->addr.word[0],
		    .port = peer->port,
		    .rev_nat = rev_nat,
		};
		const struct lb4_reverse_sk *known =
		    bpf_map_lookup_elem(&cilium_lb4_reverse_sk, &key);

		if (known && known->addr == value.addr && known->port == value.port &&
		    known->rev_nat == rev_nat)
			return 0;
		return bpf_map_update_elem(&cilium_lb4_reverse_sk, &key, &value, BPF_ANY);
	} else {
		struct lb6_reverse_sk_key key = {.cookie = cookie, .port = backend->port};
		struct lb6_reverse_sk value = {.port = peer->port, .rev_nat = rev_nat};
		const struct lb6_reverse_sk *known;

		addr_store(&key.addr, &backend->addr, IPV6);
		addr_store(&value.addr, &peer->addr, IPV6);
		known = bpf_map_lookup_elem(&cilium_lb6_reverse_sk, &key);
		if (known && known->port == value.port && known->rev_nat == rev_nat &&
		    addr_equal((const struct addr *)&known->addr, &peer->addr, IPV6))
			return 0;
		return bpf_map_update_elem(&cilium_lb6_reverse_sk, &key, &value, BPF_ANY);
	}
}

/* What the socket asked for when it was given this backend, and the service it was then. */
static __always_inline _Bool sock_recall(__u64 cookie, const struct lb_address *backend,
					 struct lb_address *peer, __u16 *rev_nat,
					 const enum family family)
{
	if (family == IPV4) {
		struct lb4_reverse_sk_key key = {
		    .cookie = cookie,
		    .addr = backend->addr.word[0],
		    .port = backend->port,
		};
		const struct lb4_reverse_sk *value =
		    bpf_map_lookup_elem(&cilium_lb4_reverse_sk, &key);

		if (!value)
			return 0;
		peer->addr.word[0] = value->addr;
		peer->port = value->port;
		*rev_nat = value->rev_nat;
	} else {
		struct lb6_reverse_sk_key key = {.cookie = cookie, .port = backend->port};
		const struct lb6_reverse_sk *value;

		addr_store(&key.addr, &backend->addr, IPV6);
		value = bpf_map_lookup_elem(&cilium_lb6_reverse_sk, &key);
		if (!value)
			return 0;
		addr_load(&peer->addr, &value->addr, IPV6);
		peer->port = value->port;
		*rev_nat = value->rev_nat;
	}
	peer->protocol = backend->protocol;
	return 1;
}

/* The backend that the socket's datagrams to the service went to, while it exists and the socket
 * goes on: QUIC and other protocols have connections of many datagrams, like packets of which
 * conntrack remembers the backend for as long.
 */
static __always_inline _Bool sock_select_known(__u64 cookie, __u16 rev_nat, __u32 timeout_s,
					       __u32 now_s, struct lb_choice *to,
					       const enum family family)
{
	struct lb_datagram_key key = {.cookie = cookie, .rev_nat = rev_nat};
	struct lb_datagram_peer *peer = bpf_map_lookup_elem(&cilium_lb_datagram_peers, &key);

	if (!peer || (int)(now_s - peer->last_used_s) > (int)timeout_s ||
	    !lb_backend_find(peer->backend, to, family) || to->state == LB_BACKEND_QUARANTINED)
		return 0;
	if (peer->last_used_s != now_s)
		peer->last_used_s = now_s;
	return 1;
}

/* If this fails, the next datagram may go to another backend. */
static __always_inline void sock_store_known(__u64 cookie, __u16 rev_nat, __u32 backend,
					     __u32 now_s)
{
	struct lb_datagram_key key = {.cookie = cookie, .rev_nat = rev_nat};
	struct lb_datagram_peer peer = {.backend = backend, .last_used_s = now_s};

	bpf_map_update_elem(&cilium_lb_datagram_peers, &key, &peer, BPF_ANY);
}

#endif
