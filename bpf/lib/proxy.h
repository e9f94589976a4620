/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef AXONEME_LIB_PROXY_H
#define AXONEME_LIB_PROXY_H

#include "abi/marks.h"
#include "lib/admit.h"
#include "lib/forward.h"
#include "lib/proxy_socket.h"

#undef SOURCE_FILE
#define SOURCE_FILE FILE_PROXY

/* The way to the node's proxy and back. Policy sends a pod's connection to the proxy, which sees
 * the server's address as its own and asks the server in the pod's name: from the pod's address. So
 * both of its connections are known by the ends that the pod and the server see, and both have
 * CT_PROXY.
 *
 *   pod --from_pod--> proxy's listener          server --from_*--> proxy's socket towards the
 * server proxy --to_pod--> pod, a reply to conntrack proxy --to_pod, to_netdev, from_host--> server
 *
 * Routing rules keep what has MARK_TO_PROXY on the node. Nothing goes to another socket than the
 * proxy's: without one the packet is dropped, and its sender tries again.
 */

static __always_inline _Bool proxy_sent(const struct __sk_buff *skb)
{
	return (skb->mark & MARK_KIND_MASK) == MARK_FROM_PROXY;
}

/* Listeners have the loopback address or none, which a look-up for the former finds both. */
static __always_inline void proxy_tuple_to_listener(struct bpf_sock_tuple *to, __be16 port,
						    const enum family family)
{
	if (family == IPV4) {
		to->ipv4.daddr = bpf_htonl(0x7f000001);
		to->ipv4.dport = port;
		return;
	}
	to->ipv6.daddr[0] = 0;
	to->ipv6.daddr[1] = 0;
	to->ipv6.daddr[2] = 0;
	to->ipv6.daddr[3] = bpf_htonl(1);
	to->ipv6.dport = port;
}

/* Ends the reference. */
static __always_inline int proxy_assign(struct __sk_buff *skb, struct bpf_sock *socket)
{
	long result = bpf_sk_assign(skb, socket, 0);

	bpf_sk_release(socket);
	return result < 0 ? DROP(DROP_SOCKET_ASSIGN_FAILED) : 1;
}

/* The proxy marks what it sends, and so the sockets that it accepts. One of a server of the node
 * has the same ends as a connection with it that is older than the redirect. While a connection
 * begins there is no mark to be seen: its next packet shows whose it is.
 */
static __always_inline _Bool proxy_owns(struct bpf_sock *socket)
{
	struct bpf_sock *full = bpf_sk_fullsock(socket);

	return !full || (full->mark & MARK_KIND_MASK) == MARK_FROM_PROXY;
}

/* The proxy's end of a TCP connection, also while it begins. 0 if there is none. */
static __always_inline int proxy_assign_connected(struct __sk_buff *skb, const struct packet *p,
						  struct bpf_sock_tuple *tuple, __u32 len)
{
	struct bpf_sock *socket = bpf_skc_lookup_tcp(skb, tuple, len, BPF_F_CURRENT_NETNS, 0);
	__u32 state;

	if (!socket)
		return 0;
	state = socket->state;
	/* A server of the node on the port that the pod asks for; or a connection that is over
	 * while a new one begins.
	 */
	if (state == BPF_TCP_LISTEN || (state == BPF_TCP_TIME_WAIT && p->tcp_flags & TCP_SYN) ||
	    !proxy_owns(socket)) {
		bpf_sk_release(socket);
		return 0;
	}
	return proxy_assign(skb, socket);
}

static __always_inline int proxy_assign_listener(struct __sk_buff *skb, const struct packet *p,
						 struct bpf_sock_tuple *tuple, __u32 len)
{
	struct bpf_sock *socket = p->protocol == IPPROTO_TCP
				      ? bpf_skc_lookup_tcp(skb, tuple, len, BPF_F_CURRENT_NETNS, 0)
				      : bpf_sk_lookup_udp(skb, tuple, len, BPF_F_CURRENT_NETNS, 0);

	return socket ? proxy_assign(skb, socket) : 0;
}

/* The socket by which the proxy asks in a pod's name. Its datagrams may come in fragments, and what
 * the stack puts together finds the socket by its ends.
 */
static __always_inline int proxy_assign_bound(struct __sk_buff *skb, const struct packet *p,
					      struct bpf_sock_tuple *tuple, __u32 len,
					      const enum family family)
{
	struct bpf_sock *socket;

	if (p->flags & PACKET_LATER_FRAGMENT)
		return 1;
	socket = bpf_sk_lookup_udp(skb, tuple, len, BPF_F_CURRENT_NETNS, 0);
	if (!socket)
		return 0;
	if (!proxy_is_bound_to(socket, &p->destination, family)) {
		bpf_sk_release(socket);
		return 0;
	}
	if (p->flags & PACKET_FIRST_FRAGMENT) {
		bpf_sk_release(socket);
		return 1;
	}
	return proxy_assign(skb, socket);
}

/* port: of the listener, or ADMIT_TO_SOCKET. */
static __always_inline int proxy_find_socket(struct __sk_buff *skb, const struct packet *p,
					     __u32 port, const enum family family)
{
	struct bpf_sock_tuple tuple;
	__u32 len = proxy_tuple_of(&tuple, &p->tuple, family);
	int result = 0;

	if (p->protocol == IPPROTO_TCP)
		result = proxy_assign_connected(skb, p, &tuple, len);
	else if (port == ADMIT_TO_SOCKET)
		result = proxy_assign_bound(skb, p, &tuple, len, family);
	if (result || port == ADMIT_TO_SOCKET)
		return result;
	proxy_tuple_to_listener(&tuple, port, family);
	return proxy_assign_listener(skb, p, &tuple, len);
}

SEPARATE int proxy_find_socket4(struct __sk_buff *skb, const struct packet *p, __u32 port)
{
	return p ? proxy_find_socket(skb, p, port, IPV4) : DROP(DROP_INVALID_PACKET);
}

SEPARATE int proxy_find_socket6(struct __sk_buff *skb, const struct packet *p, __u32 port)
{
	return p ? proxy_find_socket(skb, p, port, IPV6) : DROP(DROP_INVALID_PACKET);
}

/* Errors about the proxy's packets are for the stack, which knows what they quote. */
static __always_inline int proxy_claim(struct __sk_buff *skb, const struct flow *flow, __u32 port,
				       const enum family family)
{
	const struct packet *p = &flow->packet;
	const __u8 fragment = PACKET_FIRST_FRAGMENT | PACKET_LATER_FRAGMENT;
	int result;

	if (flow->ct_state == CT_STATE_RELATED)
		return 0;
	/* The stack forgets the socket when it puts fragments together, and would look for one with
	 * the server's address.
	 */
	if (port != ADMIT_TO_SOCKET && p->flags & fragment)
		return DROP(DROP_IP_FRAGMENTATION_NOT_SUPPORTED);
	result =
	    family == IPV4 ? proxy_find_socket4(skb, p, port) : proxy_find_socket6(skb, p, port);
	if (result)
		return result < 0 ? result : 0;
	/* An entry that says who began the wrong way round, as one that was pushed out may have
	 * come back, is not to last as long as the pod tries.
	 */
	if (flow->flags & FLOW_REPLY)
		ct_forget(p, family);
	return DROP(DROP_SOCKET_LOOKUP_FAILED);
}

/* Few packets go to the proxy: the detail is not to burden the frames of the programs. */
SEPARATE int proxy_trace(struct __sk_buff *skb, const struct flow *flow, __u32 port)
{
	struct event_detail detail = {
	    .type = EVENT_TRACE,
	    .point = TRACE_TO_PROXY,
	    .policy_proxy_port = port,
	};

	if (!flow)
		return 0;
	detail.reason = flow->ct_state;
	detail.endpoint_id = flow->egress_endpoint;
	return event_send(skb, flow, &detail);
}

/* Hands an admitted packet to the proxy, from an ingress hook. port is what flow_admit() returned.
 */
static __always_inline int proxy_deliver(struct __sk_buff *skb, const struct flow *flow, int port,
					 const enum family family)
{
	int result = proxy_claim(skb, flow, port, family);

	if (result < 0)
		return result;
	port &= 0xffff;
	skb->mark = MARK_TO_PROXY | port << MARK_PAYLOAD_SHIFT;
	forward_count(skb, METRIC_EGRESS);
	if (trace_events && (trace_aggregation < TRACE_CONNECTIONS || flow->flags & FLOW_REPORT))
		proxy_trace(skb, flow, port);
	return TC_ACT_OK;
}

SEPARATE int proxy_deliver4(struct __sk_buff *skb, const struct flow *flow, int port)
{
	return flow ? proxy_deliver(skb, flow, port, IPV4) : DROP(DROP_INVALID_PACKET);
}

SEPARATE int proxy_deliver6(struct __sk_buff *skb, const struct flow *flow, int port)
{
	return flow ? proxy_deliver(skb, flow, port, IPV6) : DROP(DROP_INVALID_PACKET);
}

/* What flow_admit() returned, other than 0. */
static __always_inline int proxy_or_drop(struct __sk_buff *skb, const struct flow *flow, int result,
					 const enum family family)
{
	if (result < 0)
		return result;
	return family == IPV4 ? proxy_deliver4(skb, flow, result)
			      : proxy_deliver6(skb, flow, result);
}

/* The proxy asks a server elsewhere in the name of a pod: the answer has to find its way. */
static __always_inline int proxy_track(struct __sk_buff *skb, struct flow *flow,
				       const enum family family)
{
	const struct endpoint_info *pod = endpoint_find(&flow->packet.source, family);
	const __u32 now_s = clock_s();
	union ct_key key = {};
	struct ct_entry *known;
	_Bool low;

	if (!pod || pod->flags & ENDPOINT_HOST || packet_parse_l4(skb, &flow->packet, family) < 0)
		return 0;
	low = ct_key_of(&key, &flow->packet, CT_SCOPE_FLOW, family);
	known = ct_find(&key, now_s, family);
	if (known && !ct_is_reopened(known, &flow->packet)) {
		/* Without CT_PROXY it is the pod's own, by chance: it comes first. */
		ct_update(known, flow, skb->len, now_s);
		return 0;
	} else {
		struct ct_entry entry = {};

		ct_entry_begin(&entry, flow, low, skb->len, now_s);
		entry.flags |= CT_PROXY;
		entry.source_identity = pod->identity;
		return ct_create(&key, &entry, family);
	}
}

SEPARATE int proxy_track4(struct __sk_buff *skb, struct flow *flow)
{
	return flow ? proxy_track(skb, flow, IPV4) : DROP(DROP_INVALID_PACKET);
}

SEPARATE int proxy_track6(struct __sk_buff *skb, struct flow *flow)
{
	return flow ? proxy_track(skb, flow, IPV6) : DROP(DROP_INVALID_PACKET);
}

/* Before a packet of the node's stack leaves for another node or the world. */
static __always_inline int proxy_follow(struct __sk_buff *skb, struct flow *flow,
					const enum family family)
{
	if (likely(!proxy_sent(skb)))
		return 0;
	return family == IPV4 ? proxy_track4(skb, flow) : proxy_track6(skb, flow);
}

#endif
