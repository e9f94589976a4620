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
#include "lib/frame_dsr.h"
#include "lib/hop.h"
#include "lib/metrics.h"
#include "lib/nat_answer.h"
#include "lib/node_port.h"

/* What is known of the device that a frame came in by, remembered as next hops are, and as long. */
struct wire_device {
	struct device_info info;
	__u32 ifindex;
	__u32 period;
};

#define WIRE_DEVICES 16

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, WIRE_DEVICES);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(struct wire_device));
} wire_devices SEC(".maps");

static __always_inline const struct device_info *wire_device_find(__u32 ifindex)
{
	const __u32 slot = ifindex % WIRE_DEVICES;
	const __u32 period = hop_period();
	struct wire_device *known = bpf_map_lookup_elem(&wire_devices, &slot);
	const struct device_info *device;

	if (!known)
		return 0;
	if (unlikely(known->period != period || known->ifindex != ifindex)) {
		device = bpf_map_lookup_elem(&cilium_devices, &ifindex);
		if (!device)
			return 0;
		known->info = *device;
		known->ifindex = ifindex;
		known->period = period;
	}
	return &known->info;
}

/* A bridge may flood frames that are for somebody else. */
static __always_inline _Bool wire_is_for_us(const struct ethhdr *ethernet,
					    const struct device_info *device)
{
	const word *to = (const word *)ethernet;
	const word *own = (const word *)&device->mac;

	return to[0] == own[0] && !((to[1] ^ own[1]) & bpf_htonl(0xffff0000));
}

static __always_inline int wire_send(struct xdp_md *xdp, const struct hop *hop)
{
	metric_count(REASON_FORWARDED, METRIC_EGRESS, frame_len(xdp));
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
	hop = hop_find(xdp, &to, frame_len(xdp), family);
	if (!hop || !frame_rewrite(xdp, p, &to, hop, 0, family))
		return XDP_PASS;
	return wire_send(xdp, hop);
}

/* To a backend whose node answers the client itself. All clients' frames to it go the same way. */
static __always_inline int wire_serve_directly(struct xdp_md *xdp, const struct packet *p,
					       struct node_port *port, const enum family family)
{
	const struct addr anybody = {};
	const __u32 room = dsr_is_told(p) ? dsr_option_len(family) : 0;
	const struct hop *hop;

	addr_load(&port->to.source, &anybody, family);
	hop = hop_find(xdp, &port->to, frame_len(xdp) + room, family);
	addr_load(&port->to.source, &p->source, family);
	if (!hop)
		return XDP_PASS;
	if (!room)
		return frame_rewrite(xdp, p, &port->to, hop, 0, family) ? wire_send(xdp, hop)
									: XDP_PASS;
	if (!frame_make_room(xdp, family))
		return XDP_PASS;
	/* All that is written was there before: this does not fail, and to pass it is too late. */
	if (!frame_rewrite(xdp, p, &port->to, hop, room, family) ||
	    !frame_write_option(xdp, &p->destination, p->destination_port, family))
		return XDP_ABORTED;
	return wire_send(xdp, hop);
}

/* To a backend that answers by this node. The hop is found before the port is claimed, because only
 * then it is certain that what is decided will be done here.
 */
static __always_inline int wire_serve_translated(struct xdp_md *xdp, const struct packet *p,
						 struct node_port *port,
						 const struct device_info *device,
						 const enum family family)
{
	const struct hop *hop;

	device_load(device, &port->to.source, family);
	hop = hop_find(xdp, &port->to, frame_len(xdp), family);
	if (!hop)
		return XDP_PASS;
	if (port->choice.nat_port && !port->choice.due && hop->ifindex == xdp->ingress_ifindex)
		port->to.source_port = port->choice.nat_port;
	else if ((family == IPV4 ? node_port_claim4(xdp, p, port, hop->ifindex)
				 : node_port_claim6(xdp, p, port, hop->ifindex)) < 0)
		return XDP_PASS;
	return frame_rewrite(xdp, p, &port->to, hop, 0, family) ? wire_send(xdp, hop) : XDP_PASS;
}

/* A packet to a service. There is no next hop to backends of this node, so that they need not be
 * looked for.
 */
static __always_inline int wire_serve(struct xdp_md *xdp, const struct packet *p,
				      const struct device_info *device, const enum family family)
{
	struct node_port port = {};
	int result = family == IPV4 ? node_port_choose4(p, &port) : node_port_choose6(p, &port);

	if (result <= 0)
		return XDP_PASS;
	port.way = NODE_PORT_ROUTE;
	return node_port_is_direct(p, &port, family)
		   ? wire_serve_directly(xdp, p, &port, family)
		   : wire_serve_translated(xdp, p, &port, device, family);
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

/* Apart, as the frames of both families would not fit on the stack together. */
SEPARATE int wire_receive4(struct xdp_md *xdp, const struct device_info *device)
{
	return device ? wire_receive(xdp, device, IPV4) : XDP_PASS;
}

SEPARATE int wire_receive6(struct xdp_md *xdp, const struct device_info *device)
{
	return device ? wire_receive(xdp, device, IPV6) : XDP_PASS;
}

SEC("xdp")
int from_wire(struct xdp_md *xdp)
{
	const struct ethhdr *ethernet = frame_start(xdp);
	const struct device_info *device = wire_device_find(xdp->ingress_ifindex);

	if (!device || (void *)(ethernet + 1) > frame_end(xdp) || !wire_is_for_us(ethernet, device))
		return XDP_PASS;
	if (ethernet->h_proto == bpf_htons(ETH_P_IP))
		return wire_receive4(xdp, device);
	if (ethernet->h_proto == bpf_htons(ETH_P_IPV6))
		return wire_receive6(xdp, device);
	return XDP_PASS;
}

char _license[] SEC("license") = "Dual BSD/GPL";
