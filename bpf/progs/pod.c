/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The programs of all pods' devices, loaded once and called by those of endpoint.c, which say whose
 * device it is: from_pod sees what the pod sends, to_pod what the host stack sends to the pod.
 * Packets from other pods and nodes do not pass to_pod: the program that received them delivered
 * them.
 */
#include "config/node.h"
#include "config/pod.h"
#include "lib/admit.h"
#include "lib/endpoint.h"
#include "lib/forward.h"
#include "lib/host_endpoint.h"
#include "lib/icmp_answer.h"
#include "lib/ipcache.h"
#include "lib/lb_request.h"
#include "lib/neighbour.h"
#include "lib/policy.h"
#include "lib/proxy.h"
#include "lib/settings.h"

#undef SOURCE_FILE
#define SOURCE_FILE FILE_POD

static __always_inline _Bool pod_owns(const struct endpoint_settings *pod, const struct addr *addr,
				      const enum family family)
{
	struct addr own;

	addr_load(&own, family == IPV4 ? (const void *)&pod->ip4 : (const void *)&pod->ip6, family);
	return addr_equal(addr, &own, family);
}

/* Whether service addresses are translated here. SCTP sockets pass none of the hooks at which
 * others are translated.
 */
static __always_inline _Bool pod_balances(const struct packet *p)
{
	return per_packet_lb || p->protocol == IPPROTO_SCTP;
}

/* Whether a packet answers one that a pod sent to itself through a service. */
static __always_inline _Bool pod_is_hairpin(const struct packet *p, const enum family family)
{
	struct addr loopback;

	addr_load_config(&loopback,
			 family == IPV4 ? (const volatile void *)&service_loopback4
					: (const volatile void *)&service_loopback6,
			 family);
	return pod_balances(p) && addr_equal(&p->destination, &loopback, family);
}

/* An answer to the loopback address goes back to the pod it came from. */
static __always_inline const struct endpoint_info *pod_receiver(const struct packet *p,
								const enum family family)
{
	return endpoint_find(pod_is_hairpin(p, family) ? &p->source : &p->destination, family);
}

/* A pod that sends tunnel packets to nodes could claim any identity. */
static __always_inline _Bool pod_forges_tunnel(const struct flow *flow)
{
	return flow->packet.protocol == IPPROTO_UDP &&
	       flow->packet.destination_port == tunnel_port &&
	       (flow->destination_identity == IDENTITY_HOST ||
		flow->destination_identity == IDENTITY_REMOTE_NODE ||
		flow->destination_identity == IDENTITY_KUBE_APISERVER);
}

/* Reads the packet and refuses what no pod may send. 1: nothing but the link is concerned, and the
 * host stack takes it.
 */
static __always_inline int pod_parse(struct __sk_buff *skb, struct packet *p,
				     const struct endpoint_settings *pod, const enum family family)
{
	_Bool own;
	int result = packet_parse_ip(skb, p, family);

	if (result < 0)
		return result;
	own = !verify_source_address || pod_owns(pod, &p->source, family);
	if (unlikely(!own) && (family == IPV4 || !neighbour_is_link_local_source(p)))
		return DROP(DROP_INVALID_SOURCE_IP);
	result = packet_parse_l4(skb, p, family);
	if (result < 0)
		return result;
	if (family == IPV6 && neighbour_is_discovery(p)) {
		result = neighbour_check(p);
		return result < 0 ? result : 1;
	}
	return own ? 0 : DROP(DROP_INVALID_SOURCE_IP);
}

static __always_inline int pod_send(struct __sk_buff *skb, struct flow *flow,
				    const struct endpoint_settings *pod, const enum family family)
{
	struct packet *p = &flow->packet;
	const struct ipcache_info *info = 0;
	const struct endpoint_info *to;
	int result = pod_parse(skb, p, pod, family);

	if (result)
		return result < 0 ? result : TC_ACT_OK;
	event_trace_arrival(skb, flow, TRACE_FROM_ENDPOINT, flow->egress_endpoint);
	if (pod_balances(p)) {
		result = lb_translate(skb, flow, family);
		if (result < 0)
			return result;
	}
	to = pod_receiver(p, family);
	if (to) {
		flow->destination_identity = to->identity;
		flow->ingress_endpoint =
		    to->flags & ENDPOINT_HOST ? host_endpoint_of(p, family) : to->id;
	} else {
		info = ipcache_find(&p->destination, family);
		flow->destination_identity = ipcache_identity(info, family);
	}
	if (unlikely(pod_forges_tunnel(flow)))
		return DROP(DROP_ENCAPSULATION_TRAFFIC_IS_PROHIBITED);
	result = flow_admit(skb, flow, family);
	if (unlikely(result))
		return proxy_or_drop(skb, flow, result, family);
	if (!to)
		return forward_to_remote(skb, flow, info, family);
	if (to->flags & ENDPOINT_HOST)
		return forward_to_stack(skb, flow, TRACE_TO_HOST);
	return forward_to_endpoint(skb, flow, to, family);
}

static __always_inline int pod_send_frame(struct __sk_buff *skb, struct flow *flow)
{
	const struct endpoint_settings *pod = settings_find(flow->egress_endpoint);

	if (!pod)
		return DROP(DROP_EP_NOT_READY);
	flow->source_identity = pod->identity;
	switch (skb->protocol) {
	case bpf_htons(ETH_P_IP):
		return pod_send(skb, flow, pod, IPV4);
	case bpf_htons(ETH_P_IPV6):
		flow->flags = FLOW_IPV6;
		return pod_send(skb, flow, pod, IPV6);
	case bpf_htons(ETH_P_ARP):
		return TC_ACT_OK;
	}
	return DROP(DROP_UNSUPPORTED_L2_PROTOCOL);
}

/* Whether an ICMP error about the packet may be sent (RFC 1122, 3.2.2; RFC 4443, 2.4): not about an
 * error, and to one sender about one receiver. What a service's address was replaced in would not
 * be recognised.
 */
static __always_inline _Bool pod_may_be_told(const struct flow *flow)
{
	const struct packet *p = &flow->packet;
	const __u32 first = bpf_ntohl(p->destination.word[0]) >> 24;

	if (flow->flags & FLOW_HAS_ORIGINAL)
		return 0;
	if (flow->flags & FLOW_IPV6)
		return first != 0xff &&
		       (p->protocol != IPPROTO_ICMPV6 || p->icmp_type == ICMPV6_ECHO_REQUEST);
	return first < 224 && (p->protocol != IPPROTO_ICMP || p->icmp_type == ICMP_ECHO);
}

/* Whether the pod is to hear of the drop from here: where the stack could not tell it. */
static __always_inline _Bool pod_is_told(const struct flow *flow, __u8 reason)
{
	if (reason == DROP_POLICY_DENIED || reason == DROP_POLICY_DENY)
		return policy_deny_icmp && flow->flags & FLOW_ANSWER && pod_may_be_told(flow);
	if (reason == DROP_FRAGMENTATION_NEEDED)
		return 1;
	return reason == DROP_SERVICE_BACKEND_NOT_FOUND && pod_balances(&flow->packet);
}

/* Tells the pod why its packet ended: straight into it, as the message is no packet of a connection
 * that policy could know.
 */
static __always_inline int pod_tell(struct __sk_buff *skb, struct flow *flow, __u8 reason)
{
	struct mac_addr macs[2];
	int verdict;

	if (flow->packet.flags & PACKET_LATER_FRAGMENT)
		return TC_ACT_SHOT;
	verdict = flow->flags & FLOW_IPV6 ? icmp_answer6(skb, flow, reason)
					  : icmp_answer4(skb, flow, reason);
	if (verdict != TC_ACT_OK || bpf_skb_load_bytes(skb, 0, macs, sizeof(macs)) < 0 ||
	    bpf_skb_store_bytes(skb, 0, &macs[1], sizeof(macs[1]), 0) < 0 ||
	    bpf_skb_store_bytes(skb, sizeof(macs[1]), &macs[0], sizeof(macs[0]), 0) < 0)
		return TC_ACT_SHOT;
	return bpf_redirect_peer(skb->ifindex, 0);
}

SEC("tc")
int from_pod(struct __sk_buff *skb)
{
	struct flow flow = {.egress_endpoint = skb->cb[POD_CALL_ENDPOINT_ID]};
	int result = pod_send_frame(skb, &flow);
	int verdict = forward_verdict(skb, &flow, result, METRIC_EGRESS);

	if (likely(result >= 0) || !pod_is_told(&flow, DROP_REASON(result)))
		return verdict;
	return pod_tell(skb, &flow, DROP_REASON(result));
}

/* Back into the node's stack, to the proxy: the routing rules keep it there. */
static __always_inline int pod_return(struct __sk_buff *skb)
{
	struct mac_addr mac;

	for (int i = 0; i < (int)sizeof(mac.bytes); i++)
		mac.bytes[i] = router_mac.bytes[i];
	if (!router_ifindex || bpf_skb_store_bytes(skb, 0, &mac, sizeof(mac), 0) < 0)
		return DROP(DROP_NO_DEVICE);
	skb->mark = MARK_TO_PROXY;
	return bpf_redirect(router_ifindex, BPF_F_INGRESS);
}

static __always_inline int pod_receive(struct __sk_buff *skb, struct flow *flow,
				       const enum family family)
{
	const __u32 kind = skb->mark & MARK_KIND_MASK;
	struct packet *p = &flow->packet;
	int result;

	result = packet_parse_ip(skb, p, family);
	if (result < 0)
		return result;
	result = packet_parse_l4(skb, p, family);
	if (result < 0)
		return result;
	if (family == IPV6 && neighbour_is_discovery(p))
		return TC_ACT_OK;
	flow->source_identity = kind == MARK_HOST
				    ? IDENTITY_HOST
				    : ipcache_identity(ipcache_find(&p->source, family), family);
	if (flow->source_identity == IDENTITY_HOST && kind != MARK_FROM_PROXY)
		flow->egress_endpoint = host_endpoint_of(p, family);
	event_trace_arrival(skb, flow,
			    kind == MARK_FROM_PROXY ? TRACE_FROM_PROXY : TRACE_FROM_STACK,
			    flow->ingress_endpoint);
	result = flow_admit_delivered(skb, flow, family);
	if (unlikely(result))
		return result < 0 ? result : pod_return(skb);
	forward_count(skb, METRIC_INGRESS);
	event_trace(skb, flow, TRACE_TO_ENDPOINT, flow->ingress_endpoint, skb->ifindex);
	return TC_ACT_OK;
}

static __always_inline int pod_receive_frame(struct __sk_buff *skb, struct flow *flow)
{
	const struct endpoint_settings *pod = settings_find(flow->ingress_endpoint);

	if (!pod)
		return DROP(DROP_EP_NOT_READY);
	flow->destination_identity = pod->identity;
	switch (skb->protocol) {
	case bpf_htons(ETH_P_IP):
		return pod_receive(skb, flow, IPV4);
	case bpf_htons(ETH_P_IPV6):
		flow->flags = FLOW_IPV6;
		return pod_receive(skb, flow, IPV6);
	case bpf_htons(ETH_P_ARP):
		return TC_ACT_OK;
	}
	return DROP(DROP_UNSUPPORTED_L2_PROTOCOL);
}

SEC("tc")
int to_pod(struct __sk_buff *skb)
{
	struct flow flow = {.ingress_endpoint = skb->cb[POD_CALL_ENDPOINT_ID]};
	int result = pod_receive_frame(skb, &flow);

	return result < 0 ? packet_drop(skb, &flow, result, METRIC_INGRESS) : result;
}

char _license[] SEC("license") = "Dual BSD/GPL";
