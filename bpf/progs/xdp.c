/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Load balancing before the stack: packets from outside to services whose backend is on another
 * node, and the answers of such backends, leave again without a socket buffer. What they become is
 * decided by the functions that the programs behind the stack's receive path use. Whatever is not
 * plain forwarding in established ways passes to those as it came: they know how to answer, to wait
 * for a neighbour, and to report.
 */
#define PROGRAM_CONTEXT struct xdp_md

#include "config/xdp.h"
#include "lib/devices.h"
#include "lib/frame.h"
#include "lib/hop.h"
#include "lib/metrics.h"
#include "lib/nat_answer.h"
#include "lib/node_port.h"

/* A bridge may flood frames that are for somebody else. */
static __always_inline _Bool wire_is_for_us(const struct ethhdr *ethernet,
					    const struct device_info *device)
{
	const word *to = (const word *)ethernet;
	const word *own = (const word *)&device->mac;

	return to[0] == own[0] && !((to[1] ^ own[1]) & bpf_htonl(0xffff0000));
}

static __always_inline int wire_send(struct xdp_md *xdp, const struct packet *p,
				     const struct tuple *to, const struct hop *hop,
				     const enum family family)
{
	if (!frame_rewrite(xdp, p, to, hop, family))
		return XDP_PASS;
	metric_count(REASON_FORWARDED, METRIC_EGRESS, frame_end(xdp) - frame_start(xdp));
	return hop->ifindex == xdp->ingress_ifindex ? XDP_TX : bpf_redirect(hop->ifindex, 0);
}

/* An answer to what left the node with a translated source. */
static __always_inline int wire_answer(struct xdp_md *xdp, const struct packet *p,
				       const enum family family)
{
	const struct hop *hop;
	struct tuple to;

	if (!(family == IPV4 ? nat_answer4(p, &to) : nat_answer6(p, &to)))
		return XDP_PASS;
	hop = hop_find(xdp, &to, family);
	return hop ? wire_send(xdp, p, &to, hop, family) : XDP_PASS;
}

/* A packet to a service. There is no next hop to backends of this node, so that they need not be
 * looked for. The hop is found before the port is claimed, because only then it is certain that
 * what is decided will be done here.
 */
static __always_inline int wire_serve(struct xdp_md *xdp, const struct packet *p,
				      const struct device_info *device, const enum family family)
{
	struct node_port port = {};
	const struct hop *hop;
	int result = family == IPV4 ? node_port_choose4(p, &port) : node_port_choose6(p, &port);

	if (result <= 0)
		return XDP_PASS;
	port.way = NODE_PORT_ROUTE;
	if (node_port_is_direct(p, &port, family))
		return XDP_PASS;
	device_load(device, &port.to.source, family);
	hop = hop_find(xdp, &port.to, family);
	if (!hop)
		return XDP_PASS;
	if (port.choice.nat_port && !port.choice.due && hop->ifindex == xdp->ingress_ifindex)
		port.to.source_port = port.choice.nat_port;
	else if ((family == IPV4 ? node_port_claim4(xdp, p, &port, hop->ifindex)
				 : node_port_claim6(xdp, p, &port, hop->ifindex)) < 0)
		return XDP_PASS;
	return wire_send(xdp, p, &port.to, hop, family);
}

static __always_inline int wire_receive(struct xdp_md *xdp, const struct device_info *device,
					const enum family family)
{
	struct packet p = {};

	if (!frame_parse(xdp, &p, family))
		return XDP_PASS;
	if (nat_may_answer(&p)) {
		int result = wire_answer(xdp, &p, family);

		if (result != XDP_PASS)
			return result;
	}
	return node_ports ? wire_serve(xdp, &p, device, family) : XDP_PASS;
}

SEC("xdp")
int from_wire(struct xdp_md *xdp)
{
	const struct ethhdr *ethernet = frame_start(xdp);
	const __u32 ifindex = xdp->ingress_ifindex;
	const struct device_info *device = bpf_map_lookup_elem(&cilium_devices, &ifindex);

	if (!device || (void *)(ethernet + 1) > frame_end(xdp) || !wire_is_for_us(ethernet, device))
		return XDP_PASS;
	if (ethernet->h_proto == bpf_htons(ETH_P_IP))
		return wire_receive(xdp, device, IPV4);
	if (ethernet->h_proto == bpf_htons(ETH_P_IPV6))
		return wire_receive(xdp, device, IPV6);
	return XDP_PASS;
}

char _license[] SEC("license") = "Dual BSD/GPL";
