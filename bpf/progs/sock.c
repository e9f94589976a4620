/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Service addresses are translated where a socket names its peer, for the sockets of pods and of
 * the node itself: no packet to a service address is ever sent, and no packet needs translation.
 *
 *   connect, sendmsg           service -> backend, remembered by socket
 *   recvmsg, getpeername       backend -> service
 *   post_bind                  keeps the node's sockets off the ports that services have
 *
 * SCTP sockets pass none of these hooks; their packets are translated instead.
 */
#include <linux/in.h>

#include "config/sock.h"
#include "lib/base.h"
#include "lib/clock.h"
#include "lib/lb_select.h"
#include "lib/sock_memory.h"
#include "lib/sock_service.h"

#define SOCK_PROCEED 1
#define SOCK_REJECT  0

enum sock_call {
	SOCK_CONNECT, /* once for all that the socket sends */
	SOCK_SENDMSG, /* for one datagram */
};

static __always_inline int sock_reject(__u32 error)
{
	bpf_set_retval(-(int)error);
	return SOCK_REJECT;
}

static __always_inline _Bool sock_has_service(const struct lb_address *peer)
{
	return peer->port && (peer->protocol == IPPROTO_TCP || peer->protocol == IPPROTO_UDP);
}

/* For a connection, or the first datagram. Maglev needs the client's address, which is not chosen
 * yet, and serves to make nodes agree, of which one alone is concerned here.
 */
static __always_inline _Bool sock_select_new(const struct lb_address *frontend,
					     const struct lb_service *service, __u64 netns_cookie,
					     struct lb_choice *to, const enum family family)
{
	struct lb_affinity_key client = {};
	__u32 now_s;

	if (!lb_has_affinity(service))
		return lb_select_random(frontend, service, LB_INSIDE, to, family);
	now_s = clock_s();
	lb_affinity_of_netns(&client, netns_cookie, service->rev_nat);
	if (lb_select_affine(&client, service, now_s, to, family)) {
		lb_affinity_refresh(&client, to->backend, now_s, family);
		return 1;
	}
	if (!lb_select_random(frontend, service, LB_INSIDE, to, family))
		return 0;
	lb_affinity_store(&client, to->backend, now_s, family);
	return 1;
}

static __always_inline _Bool sock_select(const struct lb_address *frontend,
					 const struct lb_service *service, __u64 netns_cookie,
					 __u64 cookie, const enum sock_call call,
					 struct lb_choice *to, const enum family family)
{
	__u32 now_s;

	if (call == SOCK_CONNECT)
		return sock_select_new(frontend, service, netns_cookie, to, family);
	now_s = clock_s();
	if (sock_select_known(cookie, service->rev_nat, ct_service_any_timeout_s, now_s, to,
			      family))
		return 1;
	if (!sock_select_new(frontend, service, netns_cookie, to, family))
		return 0;
	sock_store_known(cookie, service->rev_nat, to->backend, now_s);
	return 1;
}

/* SOCK_PROCEED with changed = 1: peer is the backend now. Otherwise errno is set for a rejection.
 */
static __always_inline int sock_translate(struct bpf_sock_addr *ctx, struct lb_address *peer,
					  _Bool *changed, const enum sock_call call,
					  const enum family family)
{
	const __u64 netns_cookie = bpf_get_netns_cookie(ctx);
	const _Bool of_host = netns_cookie == host_netns_cookie;
	const struct lb_service *service;
	struct lb_address frontend = {};
	struct lb_choice choice = {};
	__u64 cookie;

	if (!sock_has_service(peer) || (sockets_of_host_only && !of_host))
		return SOCK_PROCEED;
	service = sock_service_find(peer, of_host, &frontend, family);
	if (!service)
		return sock_refuses(peer, family) ? sock_reject(ECONNREFUSED) : SOCK_PROCEED;
	if (sock_skips(peer, service, netns_cookie, family))
		return SOCK_PROCEED;
	cookie = bpf_get_socket_cookie(ctx);
	if (!sock_select(&frontend, service, netns_cookie, cookie, call, &choice, family))
		return lb_yields(service) ? SOCK_PROCEED : sock_reject(no_backend_errno);
	/* Without the memory of it, an answer would seem to come from a stranger. */
	if (sock_remember(cookie, &choice.address, peer, service->rev_nat, family) < 0)
		return sock_reject(ENOMEM);
	*peer = choice.address;
	*changed = 1;
	return SOCK_PROCEED;
}

/* True if the socket asked for a service when it was given this peer, and that still is the one it
 * was: an address that belongs to another service since must not come back.
 */
static __always_inline _Bool sock_restore(struct bpf_sock_addr *ctx, struct lb_address *peer,
					  const enum family family)
{
	const _Bool of_host = bpf_get_netns_cookie(ctx) == host_netns_cookie;
	const struct lb_service *service;
	struct lb_address asked = {};
	struct lb_address frontend = {};
	__u16 rev_nat;

	if (!sock_recall(bpf_get_socket_cookie(ctx), peer, &asked, &rev_nat, family))
		return 0;
	service = sock_service_find(&asked, of_host, &frontend, family);
	if (!service || service->rev_nat != rev_nat)
		return 0;
	*peer = asked;
	return 1;
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

static __always_inline int sock_forward4(struct bpf_sock_addr *ctx, const enum sock_call call)
{
	struct lb_address peer = {};
	_Bool changed = 0;
	int verdict;

	sock_load4(ctx, &peer);
	verdict = sock_translate(ctx, &peer, &changed, call, IPV4);
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
	if (sock_restore(ctx, &peer, IPV4)) {
		ctx->user_ip4 = peer.addr.word[0];
		ctx->user_port = peer.port;
	}
	return SOCK_PROCEED;
}

static __always_inline int sock_forward6(struct bpf_sock_addr *ctx, const enum sock_call call)
{
	struct lb_address peer = {};
	_Bool changed = 0;
	int verdict;

	sock_load6(ctx, &peer);
	if (sock_is_mapped(&peer)) {
		peer.addr.word[0] = peer.addr.word[3];
		verdict = sock_translate(ctx, &peer, &changed, call, IPV4);
		if (changed) {
			ctx->user_ip6[3] = peer.addr.word[0];
			ctx->user_port = peer.port;
		}
		return verdict;
	}
	verdict = sock_translate(ctx, &peer, &changed, call, IPV6);
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
		if (sock_restore(ctx, &peer, IPV4)) {
			ctx->user_ip6[3] = peer.addr.word[0];
			ctx->user_port = peer.port;
		}
	} else if (sock_restore(ctx, &peer, IPV6)) {
		sock_store6(ctx, &peer);
	}
	return SOCK_PROCEED;
}

SEC("cgroup/connect4")
int sock_connect4(struct bpf_sock_addr *ctx)
{
	return sock_forward4(ctx, SOCK_CONNECT);
}

SEC("cgroup/connect6")
int sock_connect6(struct bpf_sock_addr *ctx)
{
	return sock_forward6(ctx, SOCK_CONNECT);
}

SEC("cgroup/sendmsg4")
int sock_sendmsg4(struct bpf_sock_addr *ctx)
{
	return sock_forward4(ctx, SOCK_SENDMSG);
}

SEC("cgroup/sendmsg6")
int sock_sendmsg6(struct bpf_sock_addr *ctx)
{
	return sock_forward6(ctx, SOCK_SENDMSG);
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

/* Whether a service has the port on all addresses of the node. */
static __always_inline _Bool sock_port_is_taken(struct bpf_sock *ctx, const enum family family)
{
	const struct lb_address any = {
	    .port = bpf_htons(ctx->src_port),
	    .protocol = ctx->protocol,
	};
	const struct lb_service *service;

	if (!sock_has_service(&any) || !sock_is_node_port(any.port))
		return 0;
	service = lb_service_find(&any, LB_INSIDE, family);
	return service && service->flags & LB_NODE_PORT;
}

static __always_inline _Bool sock_is_guarded(struct bpf_sock *ctx)
{
	return protect_node_ports && bpf_get_netns_cookie(ctx) == host_netns_cookie;
}

SEC("cgroup/post_bind4")
int sock_post_bind4(struct bpf_sock *ctx)
{
	if (sock_is_guarded(ctx) && sock_port_is_taken(ctx, IPV4))
		return sock_reject(EADDRINUSE);
	return SOCK_PROCEED;
}

/* An IPv6 socket on the unspecified address, or on a mapped one, takes IPv4 traffic as well. */
SEC("cgroup/post_bind6")
int sock_post_bind6(struct bpf_sock *ctx)
{
	const _Bool takes_ip4 =
	    !ctx->src_ip6[0] && !ctx->src_ip6[1] &&
	    (ctx->src_ip6[2] == bpf_htonl(0x0000ffff) || !(ctx->src_ip6[2] | ctx->src_ip6[3]));

	if (!sock_is_guarded(ctx))
		return SOCK_PROCEED;
	if (sock_port_is_taken(ctx, IPV6) || (takes_ip4 && sock_port_is_taken(ctx, IPV4)))
		return sock_reject(EADDRINUSE);
	return SOCK_PROCEED;
}

char _license[] SEC("license") = "Dual BSD/GPL";
