/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef AXONEME_LIB_NODE_PORT_H
#define AXONEME_LIB_NODE_PORT_H

#include "lib/devices.h"
#include "lib/endpoint.h"
#include "lib/ipcache.h"
#include "lib/lb_choose.h"
#include "lib/lb_source_range.h"
#include "lib/nat_claim.h"

#undef SOURCE_FILE
#define SOURCE_FILE FILE_NODE_PORT

/* Services for clients outside: what becomes of a packet to a service address, by what it says and
 * what the tables hold. The packet itself is not touched here, so that programs at any hook decide
 * alike.
 */

enum node_port_way {
	NODE_PORT_NONE = 0, /* no service has this address */
	NODE_PORT_POD = 1,  /* a pod of this node */
	NODE_PORT_HOST = 2, /* this node itself */
	NODE_PORT_ROUTE = 3,
	NODE_PORT_TUNNEL = 4,
};

struct node_port {
	struct tuple to; /* the packet's ends as it goes on */
	struct lb_choice choice;
	__u16 rev_nat;
	__u8 flags2; /* of the service */
	__u8 way;    /* enum node_port_way */
	_Bool dsr;   /* the backend's node answers the client itself */
};

static __always_inline enum node_port_way node_port_way_to(const struct addr *backend,
							   const enum family family)
{
	const struct endpoint_info *local = endpoint_find(backend, family);
	const struct ipcache_info *info;

	if (local)
		return local->flags & ENDPOINT_HOST ? NODE_PORT_HOST : NODE_PORT_POD;
	if (!tunnel_ifindex)
		return NODE_PORT_ROUTE;
	info = ipcache_find(backend, family);
	return info && info->flags & IPCACHE_REMOTE && !(info->flags & IPCACHE_SKIP_TUNNEL)
		   ? NODE_PORT_TUNNEL
		   : NODE_PORT_ROUTE;
}

/* Direct return needs a network that carries the client's address to the backend's node, and a
 * first packet with room for the service's address. A client that is its own backend must not get
 * its own packet, and a connection whose source is translated stays so.
 */
static __always_inline _Bool node_port_is_direct(const struct packet *p,
						 const struct node_port *port,
						 const enum family family)
{
	const _Bool plain = p->l4_offset == L3_OFFSET + (family == IPV4 ? sizeof(struct iphdr)
									: sizeof(struct ipv6hdr));

	if (!service_dsr || !(port->flags2 & LB_DSR) || port->way != NODE_PORT_ROUTE)
		return 0;
	return !port->choice.nat_port && (plain || port->choice.known) &&
	       !addr_equal(&port->choice.address.addr, &p->source, family);
}

/* Service and backend: 1, 0 if the packet is for no service, or DROP. Packets with ports only. */
static __always_inline int node_port_choose(const struct packet *p, struct node_port *port,
					    const enum family family)
{
	struct lb_address frontend = {};
	const struct lb_service *service;
	int result;

	lb_frontend_of(&frontend, p, family);
	service = lb_service_find(&frontend, LB_OUTSIDE, family);
	if (!service)
		return lb_refuses(&frontend, family) ? DROP(DROP_SERVICE_BACKEND_NOT_FOUND) : 0;
	port->flags2 = service->flags2;
	if (port->flags2 & LB_LOOPBACK)
		return 0;
	if (!(service->flags & LB_ROUTABLE))
		return DROP(DROP_IS_A_CLUSTERIP);
	if (!lb_serves_source(service, &p->source, family))
		return DROP(DROP_DENIED_BY_LB_SRC_RANGE_CHECK);
	port->rev_nat = service->rev_nat;
	result = lb_choose(p, &frontend, service, LB_OUTSIDE, &port->choice, family);
	if (result <= 0)
		return result;
	addr_load(&port->to.source, &p->source, family);
	addr_load(&port->to.destination, &port->choice.address.addr, family);
	port->to.source_port = p->source_port;
	port->to.destination_port = port->choice.address.port;
	return 1;
}

SEPARATE int node_port_choose4(const struct packet *p, struct node_port *port)
{
	return p && port ? node_port_choose(p, port, IPV4) : DROP(DROP_INVALID_PACKET);
}

SEPARATE int node_port_choose6(const struct packet *p, struct node_port *port)
{
	return p && port ? node_port_choose(p, port, IPV6) : DROP(DROP_INVALID_PACKET);
}

/* An enum node_port_way, or DROP. Packets with ports only. */
static __always_inline int node_port_decide(const struct packet *p, struct node_port *port,
					    const enum family family)
{
	int result = family == IPV4 ? node_port_choose4(p, port) : node_port_choose6(p, port);

	if (result <= 0)
		return result;
	port->way = node_port_way_to(&port->to.destination, family);
	port->dsr = node_port_is_direct(p, port, family);
	/* A router's duty; the node's own stack is the end of the way. */
	if (port->way != NODE_PORT_HOST && p->hop_limit <= 1)
		return DROP(DROP_TTL_EXCEEDED);
	return port->way;
}

/* Gives a packet that goes to another node a source of ours, with the port that the connection has,
 * and sees to it that answers will be known. ifindex is the device it leaves by.
 */
static __always_inline int node_port_claim(PROGRAM_CONTEXT *context, const struct packet *p,
					   struct node_port *port, __u32 ifindex,
					   const enum family family)
{
	struct tuple *to = &port->to;
	union nat_entry entry = {};
	union nat_key key;
	struct nat_rest *rest = nat_rest(&entry, family);
	__be16 claimed;
	int result;

	if (!device_addr(ifindex, &to->source, family))
		return DROP(DROP_NO_EGRESS_IP);
	if (port->choice.nat_port) {
		to->source_port = port->choice.nat_port;
		if (!port->choice.due)
			return 0;
	}
	nat_key_of_answer(&key, to, p->protocol, NAT_IN, family);
	addr_store(&entry, &p->source, family);
	rest->port = p->source_port;
	rest->rev_nat = port->rev_nat;
	rest->flags = NAT_SERVICE | nat_packet_flags(p, 0);
	result = nat_claim_port(context, &key, &entry, family);
	if (result < 0)
		return result;
	claimed = family == IPV4 ? key.ip4.destination_port : key.ip6.destination_port;
	to->source_port = claimed;
	if (claimed != port->choice.nat_port)
		lb_remember_port(p, claimed, family);
	return 0;
}

SEPARATE int node_port_claim4(PROGRAM_CONTEXT *context, const struct packet *p,
			      struct node_port *port, __u32 ifindex)
{
	if (!p || !port)
		return DROP(DROP_INVALID_PACKET);
	return node_port_claim(context, p, port, ifindex, IPV4);
}

SEPARATE int node_port_claim6(PROGRAM_CONTEXT *context, const struct packet *p,
			      struct node_port *port, __u32 ifindex)
{
	if (!p || !port)
		return DROP(DROP_INVALID_PACKET);
	return node_port_claim(context, p, port, ifindex, IPV6);
}

/* What lets the answers of this node itself, whose stack knows nothing of services, leave with the
 * service's address.
 */
static __always_inline int node_port_hide_host(const struct packet *p, const struct node_port *port,
					       const enum family family)
{
	const __u32 now_s = clock_s();
	union nat_entry entry = {};
	struct nat_rest *rest = nat_rest(&entry, family);
	union nat_entry *known;
	union nat_key key;

	nat_key_of_answer(&key, &port->to, p->protocol, NAT_OUT, family);
	known = nat_find(&key, now_s, family);
	if (known && nat_rest(known, family)->rev_nat == port->rev_nat) {
		nat_refresh(nat_rest(known, family), p->protocol, nat_packet_flags(p, 0), now_s);
		return 0;
	}
	addr_store(&entry, &p->destination, family);
	rest->port = p->destination_port;
	rest->rev_nat = port->rev_nat;
	rest->flags = NAT_SERVICE | nat_packet_flags(p, 0);
	rest->created_s = now_s;
	rest->lifetime_s = now_s + nat_timeout_s(p->protocol, rest->flags);
	return nat_store(&key, &entry, BPF_ANY, family) < 0
		   ? DROP(DROP_NO_MAPPING_FOR_NAT_MASQUERADE)
		   : 0;
}

SEPARATE int node_port_hide_host4(const struct packet *p, const struct node_port *port)
{
	return p && port ? node_port_hide_host(p, port, IPV4) : DROP(DROP_INVALID_PACKET);
}

SEPARATE int node_port_hide_host6(const struct packet *p, const struct node_port *port)
{
	return p && port ? node_port_hide_host(p, port, IPV6) : DROP(DROP_INVALID_PACKET);
}

#endif
