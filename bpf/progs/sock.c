/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Service addresses are translated where a socket names its peer, for the sockets of pods and of
 * the node itself: no packet to a service address is ever sent, and no packet needs translation.
 *
 *   connect, sendmsg           service -> backend, remembered by socket
 *   recvmsg, getpeername       backend -> service
 */
#include <linux/in.h>

#include "config/config.h"
#include "lib/base.h"
#include "lib/lb_select.h"
#include "lib/lb_skip.h"

#define SOCK_PROCEED 1
#define SOCK_REJECT  0
#define EHOSTUNREACH 113
#define ENOMEM	     12

CONFIG_VAR(__u32, no_backend_errno,
	   "What connect and sendmsg fail with for a service without backends (EHOSTUNREACH)",
	   EHOSTUNREACH);

#define REVERSE_SK_MAP(name, key_type, value_type)                                                 \
	struct {                                                                                   \
		__uint(type, BPF_MAP_TYPE_LRU_HASH);                                               \
		__uint(max_entries, LIMIT_LB_REVERSE_SK);                                          \
		__uint(pinning, LIBBPF_PIN_BY_NAME);                                               \
		__type(key, struct key_type);                                                      \
		__type(value, struct value_type);                                                  \
	} name SEC(".maps")

REVERSE_SK_MAP(cilium_lb4_reverse_sk, lb4_reverse_sk_key, lb4_reverse_sk);
REVERSE_SK_MAP(cilium_lb6_reverse_sk, lb6_reverse_sk_key, lb6_reverse_sk);

static __always_inline int sock_remember(struct bpf_sock_addr *ctx,
					 const struct lb_address *backend,
					 const struct lb_address *frontend, __u16 rev_nat,
					 const enum family family)
{
	if (family == IPV4) {
		struct lb4_reverse_sk_key key = {
		    .cookie = bpf_get_socket_cookie(ctx),
		    .addr = backend->addr.word[0],
		    .port = backend->port,
		};
		struct lb4_reverse_sk value = {
		    .addr = frontend->addr.word[0],
		    .port = frontend->port,
		    .rev_nat = rev_nat,
		};

		return bpf_map_update_elem(&cilium_lb4_reverse_sk, &key, &value, BPF_ANY);
	} else {
		struct lb6_reverse_sk_key key = {
		    .cookie = bpf_get_socket_cookie(ctx),
		    .port = backend->port,
		};
		struct lb6_reverse_sk value = {
		    .port = frontend->port,
		    .rev_nat = rev_nat,
		};

		addr_store(&key.addr, &backend->addr, IPV6);
		addr_store(&value.addr, &frontend->addr, IPV6);
		return bpf_map_update_elem(&cilium_lb6_reverse_sk, &key, &value, BPF_ANY);
	}
}

/* What the socket asked for when it got this peer. True if it asked for a service that still is the
 * one it was: an address that was given to another service since must not come back.
 */
static __always_inline _Bool sock_recall(struct bpf_sock_addr *ctx, struct lb_address *peer,
					 const enum family family)
{
	const struct lb_service *service;
	struct lb_address frontend = {.protocol = peer->protocol};
	__u16 rev_nat;

	if (family == IPV4) {
		struct lb4_reverse_sk_key key = {
		    .cookie = bpf_get_socket_cookie(ctx),
		    .addr = peer->addr.word[0],
		    .port = peer->port,
		};
		const struct lb4_reverse_sk *value =
		    bpf_map_lookup_elem(&cilium_lb4_reverse_sk, &key);

		if (!value)
			return 0;
		frontend.addr.word[0] = value->addr;
		frontend.port = value->port;
		rev_nat = value->rev_nat;
	} else {
		struct lb6_reverse_sk_key key = {
		    .cookie = bpf_get_socket_cookie(ctx),
		    .port = peer->port,
		};
		const struct lb6_reverse_sk *value;

		addr_store(&key.addr, &peer->addr, IPV6);
		value = bpf_map_lookup_elem(&cilium_lb6_reverse_sk, &key);
		if (!value)
			return 0;
		addr_load(&frontend.addr, &value->addr, IPV6);
		frontend.port = value->port;
		rev_nat = value->rev_nat;
	}
	service = lb_service_find(&frontend, LB_INSIDE, family);
	if (!service || service->rev_nat != rev_nat)
		return 0;
	*peer = frontend;
	return 1;
}

/* SOCK_PROCEED with changed = 1: peer is the backend now. Otherwise errno is set for a rejection.
 */
static __always_inline int sock_translate(struct bpf_sock_addr *ctx, struct lb_address *peer,
					  _Bool *changed, const enum family family)
{
	const struct lb_service *service;
	struct lb_choice choice = {};

	if (!peer->port || (peer->protocol != IPPROTO_TCP && peer->protocol != IPPROTO_UDP))
		return SOCK_PROCEED;
	service = lb_service_find(peer, LB_INSIDE, family);
	if (!service)
		return SOCK_PROCEED;
	if (!lb_select_random(peer, service, LB_INSIDE, &choice, family)) {
		bpf_set_retval(-(int)no_backend_errno);
		return SOCK_REJECT;
	}
	/* Without the memory of it, an answer would seem to come from a stranger. */
	if (sock_remember(ctx, &choice.address, peer, service->rev_nat, family) < 0) {
		bpf_set_retval(-ENOMEM);
		return SOCK_REJECT;
	}
	*peer = choice.address;
	*changed = 1;
	return SOCK_PROCEED;
}

static __always_inline void sock_load4(const struct bpf_sock_addr *ctx, struct lb_address *peer)
{
	peer->addr.word[0] = ctx->user_ip4;
	peer->port = ctx->user_port;
	peer->protocol = ctx->protocol;
}

static __always_inline void sock_load6(const struct bpf_sock_addr *ctx, struct lb_address *peer)
{
	peer->addr.word[0] = ctx->user_ip6[0];
	peer->addr.word[1] = ctx->user_ip6[1];
	peer->addr.word[2] = ctx->user_ip6[2];
	peer->addr.word[3] = ctx->user_ip6[3];
	peer->port = ctx->user_port;
	peer->protocol = ctx->protocol;
}

static __always_inline void sock_store6(struct bpf_sock_addr *ctx, const struct lb_address *peer)
{
	ctx->user_ip6[0] = peer->addr.word[0];
	ctx->user_ip6[1] = peer->addr.word[1];
	ctx->user_ip6[2] = peer->addr.word[2];
	ctx->user_ip6[3] = peer->addr.word[3];
	ctx->user_port = peer->port;
}

/* ::ffff:a.b.c.d: an IPv6 socket that speaks IPv4. */
static __always_inline _Bool sock_is_mapped(const struct lb_address *peer)
{
	return !peer->addr.word[0] && !peer->addr.word[1] &&
	       peer->addr.word[2] == bpf_htonl(0x0000ffff);
}

static __always_inline int sock_forward4(struct bpf_sock_addr *ctx)
{
	struct lb_address peer = {};
	_Bool changed = 0;
	int verdict;

	sock_load4(ctx, &peer);
	verdict = sock_translate(ctx, &peer, &changed, IPV4);
	if (changed) {
		ctx->user_ip4 = peer.addr.word[0];
		ctx->user_port = peer.port;
	}
	return verdict;
}

static __always_inline int sock_reverse4(struct bpf_sock_addr *ctx)
{
	struct lb_address peer = {};

	sock_load4(ctx, &peer);
	if (sock_recall(ctx, &peer, IPV4)) {
		ctx->user_ip4 = peer.addr.word[0];
		ctx->user_port = peer.port;
	}
	return SOCK_PROCEED;
}

static __always_inline int sock_forward6(struct bpf_sock_addr *ctx)
{
	struct lb_address peer = {};
	_Bool changed = 0;
	int verdict;

	sock_load6(ctx, &peer);
	if (sock_is_mapped(&peer)) {
		peer.addr.word[0] = peer.addr.word[3];
		verdict = sock_translate(ctx, &peer, &changed, IPV4);
		if (changed) {
			ctx->user_ip6[3] = peer.addr.word[0];
			ctx->user_port = peer.port;
		}
		return verdict;
	}
	verdict = sock_translate(ctx, &peer, &changed, IPV6);
	if (changed)
		sock_store6(ctx, &peer);
	return verdict;
}

static __always_inline int sock_reverse6(struct bpf_sock_addr *ctx)
{
	struct lb_address peer = {};

	sock_load6(ctx, &peer);
	if (sock_is_mapped(&peer)) {
		peer.addr.word[0] = peer.addr.word[3];
		if (sock_recall(ctx, &peer, IPV4)) {
			ctx->user_ip6[3] = peer.addr.word[0];
			ctx->user_port = peer.port;
		}
	} else if (sock_recall(ctx, &peer, IPV6)) {
		sock_store6(ctx, &peer);
	}
	return SOCK_PROCEED;
}

SEC("cgroup/connect4")
int sock_connect4(struct bpf_sock_addr *ctx)
{
	return sock_forward4(ctx);
}

SEC("cgroup/connect6")
int sock_connect6(struct bpf_sock_addr *ctx)
{
	return sock_forward6(ctx);
}

SEC("cgroup/sendmsg4")
int sock_sendmsg4(struct bpf_sock_addr *ctx)
{
	return sock_forward4(ctx);
}

SEC("cgroup/sendmsg6")
int sock_sendmsg6(struct bpf_sock_addr *ctx)
{
	return sock_forward6(ctx);
}

SEC("cgroup/recvmsg4")
int sock_recvmsg4(struct bpf_sock_addr *ctx)
{
	return sock_reverse4(ctx);
}

SEC("cgroup/recvmsg6")
int sock_recvmsg6(struct bpf_sock_addr *ctx)
{
	return sock_reverse6(ctx);
}

SEC("cgroup/getpeername4")
int sock_getpeername4(struct bpf_sock_addr *ctx)
{
	return sock_reverse4(ctx);
}

SEC("cgroup/getpeername6")
int sock_getpeername6(struct bpf_sock_addr *ctx)
{
	return sock_reverse6(ctx);
}

char _license[] SEC("license") = "Dual BSD/GPL";
