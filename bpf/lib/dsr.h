/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef AXONEME_LIB_DSR_H
#define AXONEME_LIB_DSR_H

#include "lib/dsr_option.h"
#include "lib/edge_leave.h"
#include "lib/reply_mtu.h"

#undef SOURCE_FILE
#define SOURCE_FILE FILE_DSR

/* Direct server return: the node that a client's packet comes to sends it on to the backend's node
 * with the client for source, and that node answers the client itself. It learns the service
 * address from the packet: a TCP connection's first one, and every one of other protocols, which
 * say nothing of where a connection begins.
 */

static __always_inline _Bool dsr_has_options(const struct packet *p, const enum family family)
{
	return p->l4_offset !=
	       L3_OFFSET + (family == IPV4 ? sizeof(struct iphdr) : sizeof(struct ipv6hdr));
}

static __always_inline int dsr_store4(struct __sk_buff *skb, const struct addr *service,
				      __be16 port)
{
	struct dsr4_option option = {
	    .type = DSR4_TYPE,
	    .len = sizeof(option),
	    .port = bpf_ntohs(port),
	    .addr = bpf_ntohl(service->word[0]),
	};
	__be32 before;
	__be32 after;
	struct iphdr *ip = (void *)&after; /* its first word */
	__wsum diff;

	if (bpf_skb_load_bytes(skb, L3_OFFSET, &before, sizeof(before)) < 0)
		return DROP(DROP_INVALID_PACKET);
	after = before;
	((__u8 *)ip)[0] += sizeof(option) / 4;
	((__be16 *)ip)[1] = bpf_htons(bpf_ntohs(((__be16 *)ip)[1]) + sizeof(option));
	if (bpf_skb_adjust_room(skb, sizeof(option), BPF_ADJ_ROOM_NET, 0) < 0)
		return DROP(DROP_ERROR_WRITING_TO_PACKET);
	diff = bpf_csum_diff(&before, sizeof(before), &after, sizeof(after), 0);
	diff = bpf_csum_diff(0, 0, (__be32 *)&option, sizeof(option), diff);
	if (bpf_skb_store_bytes(skb, L3_OFFSET, &after, sizeof(after), 0) < 0 ||
	    bpf_skb_store_bytes(skb, L3_OFFSET + sizeof(struct iphdr), &option, sizeof(option), 0) <
		0)
		return DROP(DROP_ERROR_WRITING_TO_PACKET);
	if (bpf_l3_csum_replace(skb, L3_OFFSET + __builtin_offsetof(struct iphdr, check), 0, diff,
				0) < 0)
		return DROP(DROP_ERROR_WHILE_CORRECTING_L3_CHECKSUM);
	return 0;
}

static __always_inline int dsr_store6(struct __sk_buff *skb, const struct addr *service,
				      __be16 port)
{
	struct dsr6_option option = {
	    .extension_len = sizeof(option) / 8 - 1,
	    .type = DSR6_TYPE,
	    .len = sizeof(option) - 4,
	    .port = port,
	};
	struct {
		__be16 len;
		__u8 next;
		__u8 hop_limit;
	} head;

	if (bpf_skb_load_bytes(skb, L3_OFFSET + __builtin_offsetof(struct ipv6hdr, payload_len),
			       &head, sizeof(head)) < 0)
		return DROP(DROP_INVALID_PACKET);
	option.next = head.next;
	addr_store(&option.addr, service, IPV6);
	head.next = IPPROTO_DSTOPTS;
	head.len = bpf_htons(bpf_ntohs(head.len) + sizeof(option));
	if (bpf_skb_adjust_room(skb, sizeof(option), BPF_ADJ_ROOM_NET, 0) < 0)
		return DROP(DROP_ERROR_WRITING_TO_PACKET);
	if (bpf_skb_store_bytes(skb, L3_OFFSET + __builtin_offsetof(struct ipv6hdr, payload_len),
				&head, sizeof(head), 0) < 0 ||
	    bpf_skb_store_bytes(skb, L3_OFFSET + sizeof(struct ipv6hdr), &option, sizeof(option),
				0) < 0)
		return DROP(DROP_ERROR_WRITING_TO_PACKET);
	return 0;
}

/* Puts the service address into a packet without options. */
static __always_inline int dsr_tell(struct __sk_buff *skb, struct packet *p,
				    const struct addr *service, __be16 port,
				    const enum family family)
{
	int result =
	    family == IPV4 ? dsr_store4(skb, service, port) : dsr_store6(skb, service, port);

	p->l4_offset += dsr_option_len(family);
	return result;
}

SEPARATE int dsr_tell4(struct __sk_buff *skb, struct packet *p, const struct addr *service,
		       __be16 port)
{
	return p && service ? dsr_tell(skb, p, service, port, IPV4) : DROP(DROP_INVALID_PACKET);
}

SEPARATE int dsr_tell6(struct __sk_buff *skb, struct packet *p, const struct addr *service,
		       __be16 port)
{
	return p && service ? dsr_tell(skb, p, service, port, IPV6) : DROP(DROP_INVALID_PACKET);
}

/* Reads the service address that another node put in, into the flow. */
static __always_inline int dsr_learn(struct __sk_buff *skb, struct flow *flow,
				     const enum family family)
{
	if (family == IPV4) {
		struct dsr4_option option;

		if (bpf_skb_load_bytes(skb, L3_OFFSET + sizeof(struct iphdr), &option,
				       sizeof(option)) < 0 ||
		    option.type != DSR4_TYPE || option.len != sizeof(option))
			return 0;
		flow->original_addr.word[0] = bpf_htonl(option.addr);
		flow->original_port = bpf_htons(option.port);
	} else {
		struct dsr6_option option;
		__u8 next;

		if (bpf_skb_load_bytes(skb, L3_OFFSET + __builtin_offsetof(struct ipv6hdr, nexthdr),
				       &next, sizeof(next)) < 0 ||
		    next != IPPROTO_DSTOPTS ||
		    bpf_skb_load_bytes(skb, L3_OFFSET + sizeof(struct ipv6hdr), &option,
				       sizeof(option)) < 0 ||
		    option.extension_len != sizeof(option) / 8 - 1 || option.type != DSR6_TYPE ||
		    option.len != sizeof(option) - 4)
			return 0;
		addr_load(&flow->original_addr, &option.addr, IPV6);
		flow->original_port = option.port;
	}
	flow->flags |= FLOW_DSR | FLOW_HAS_ORIGINAL;
	return 0;
}

SEPARATE int dsr_learn4(struct __sk_buff *skb, struct flow *flow)
{
	return flow ? dsr_learn(skb, flow, IPV4) : 0;
}

SEPARATE int dsr_learn6(struct __sk_buff *skb, struct flow *flow)
{
	return flow ? dsr_learn(skb, flow, IPV6) : 0;
}

/* For packets that other nodes may have sent. */
static __always_inline void dsr_recognise(struct __sk_buff *skb, struct flow *flow,
					  const enum family family)
{
	if (!service_dsr || !dsr_has_options(&flow->packet, family))
		return;
	if (family == IPV4)
		dsr_learn4(skb, flow);
	else
		dsr_learn6(skb, flow);
}

/* What the answers of the connection are to leave with. */
static __always_inline int dsr_remember(const struct flow *flow, const enum family family)
{
	const struct packet *p = &flow->packet;
	const __u32 now_s = clock_s();
	union nat_entry entry = {};
	struct nat_rest *rest = nat_rest(&entry, family);
	union nat_entry *known;
	union nat_key key;

	nat_key_of_answer(&key, &p->tuple, p->protocol, NAT_OUT, family);
	addr_store(&entry, &flow->original_addr, family);
	rest->port = flow->original_port;
	rest->flags = NAT_DSR | NAT_SERVICE | nat_packet_flags(p, 0);
	known = nat_find(&key, now_s, family);
	if (known && nat_is_same(known, &entry, family)) {
		nat_refresh(nat_rest(known, family), p->protocol, rest->flags, now_s);
		return 0;
	}
	rest->created_s = now_s;
	rest->lifetime_s = now_s + nat_timeout_s(p->protocol, rest->flags);
	return nat_store(&key, &entry, BPF_ANY, family) < 0
		   ? DROP(DROP_NO_MAPPING_FOR_NAT_MASQUERADE)
		   : 0;
}

SEPARATE int dsr_remember4(const struct flow *flow)
{
	return flow ? dsr_remember(flow, IPV4) : DROP(DROP_INVALID_PACKET);
}

SEPARATE int dsr_remember6(const struct flow *flow)
{
	return flow ? dsr_remember(flow, IPV6) : DROP(DROP_INVALID_PACKET);
}

static __always_inline int dsr_was_told(const struct packet *p, const enum family family)
{
	union nat_entry *entry;
	union nat_key key;

	nat_key_of_answer(&key, &p->tuple, p->protocol, NAT_OUT, family);
	entry = nat_find(&key, clock_s(), family);
	return entry && nat_rest(entry, family)->flags & NAT_DSR;
}

SEPARATE int dsr_was_told4(const struct packet *p)
{
	return p ? dsr_was_told(p, IPV4) : 0;
}

SEPARATE int dsr_was_told6(const struct packet *p)
{
	return p ? dsr_was_told(p, IPV6) : 0;
}

/* A connection without an entry in conntrack is usually new. One whose entry was pushed out is
 * known by its translation, which later packets do not carry along.
 */
static __always_inline void dsr_recall(struct flow *flow, const enum family family)
{
	if (!service_dsr || !flow->ingress_endpoint || flow->flags & FLOW_DSR)
		return;
	if (family == IPV4 ? dsr_was_told4(&flow->packet) : dsr_was_told6(&flow->packet))
		flow->flags |= FLOW_DSR;
}

/* After the packet was admitted: what policy refuses leaves no trace. */
static __always_inline int dsr_follow(const struct flow *flow, const enum family family)
{
	const __u8 told = FLOW_DSR | FLOW_HAS_ORIGINAL;

	if (likely(!service_dsr || (flow->flags & (told | FLOW_REPLY)) != told))
		return 0;
	return family == IPV4 ? dsr_remember4(flow) : dsr_remember6(flow);
}

/* A pod's answer to a client whose packets came through another node. Without the service's address
 * nobody would know what to do with it.
 */
static __always_inline int dsr_reverse(struct __sk_buff *skb, struct flow *flow,
				       const enum family family)
{
	int result;

	if (likely(!service_dsr || !(flow->flags & FLOW_DSR) || !(flow->flags & FLOW_REPLY)))
		return 0;
	result = reply_check_mtu(skb, flow, family);
	if (result < 0)
		return result;
	result = edge_leave_known(skb, &flow->packet, family);
	if (result < 0)
		return result;
	return result ? 0 : DROP(DROP_NO_MAPPING_FOR_NAT_MASQUERADE);
}

#endif
