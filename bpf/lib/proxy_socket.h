/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef AXONEME_LIB_PROXY_SOCKET_H
#define AXONEME_LIB_PROXY_SOCKET_H

#include "lib/flow.h"

#undef SOURCE_FILE
#define SOURCE_FILE FILE_PROXY

/* Sockets of the node's namespace that the proxy has in the name of pods. */

static __always_inline __u32 proxy_tuple_of(struct bpf_sock_tuple *to, const struct tuple *p,
					    const enum family family)
{
	if (family == IPV4) {
		to->ipv4.saddr = p->source.word[0];
		to->ipv4.daddr = p->destination.word[0];
		to->ipv4.sport = p->source_port;
		to->ipv4.dport = p->destination_port;
		return sizeof(to->ipv4);
	}
	addr_store(to->ipv6.saddr, &p->source, IPV6);
	addr_store(to->ipv6.daddr, &p->destination, IPV6);
	to->ipv6.sport = p->source_port;
	to->ipv6.dport = p->destination_port;
	return sizeof(to->ipv6);
}

/* The look-up also finds sockets that are bound to a port only, which are not the proxy's. */
static __always_inline _Bool proxy_is_bound_to(const struct bpf_sock *socket,
					       const struct addr *addr, const enum family family)
{
	if (family == IPV4)
		return socket->src_ip4 == addr->word[0];
	return socket->src_ip6[0] == addr->word[0] && socket->src_ip6[1] == addr->word[1] &&
	       socket->src_ip6[2] == addr->word[2] && socket->src_ip6[3] == addr->word[3];
}

/* Whether the packet answers what the proxy asked in the name of the pod that it is addressed to.
 */
static __always_inline int proxy_expects(struct __sk_buff *skb, const struct packet *p,
					 const enum family family)
{
	struct bpf_sock_tuple tuple;
	__u32 len = proxy_tuple_of(&tuple, &p->tuple, family);
	struct bpf_sock *socket;
	int result;

	if (!(p->flags & PACKET_HAS_L4))
		return 0;
	if (p->protocol == IPPROTO_TCP) {
		socket = bpf_skc_lookup_tcp(skb, &tuple, len, BPF_F_CURRENT_NETNS, 0);
		if (!socket)
			return 0;
		result = socket->state != BPF_TCP_LISTEN;
	} else {
		socket = bpf_sk_lookup_udp(skb, &tuple, len, BPF_F_CURRENT_NETNS, 0);
		if (!socket)
			return 0;
		result = proxy_is_bound_to(socket, &p->destination, family);
	}
	bpf_sk_release(socket);
	return result;
}

SEPARATE int proxy_expects4(struct __sk_buff *skb, const struct packet *p)
{
	return p ? proxy_expects(skb, p, IPV4) : 0;
}

SEPARATE int proxy_expects6(struct __sk_buff *skb, const struct packet *p)
{
	return p ? proxy_expects(skb, p, IPV6) : 0;
}

#endif
