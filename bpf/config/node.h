/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef AXONEME_CONFIG_NODE_H
#define AXONEME_CONFIG_NODE_H

#include "abi/events.h"
#include "abi/identity.h"
#include "config/config.h"

/* Settings that are the same for every packet program of a node. */

CONFIG_VAR(__u32, uplink_ifindex,
	   "Device of direct routes to other nodes; 0 asks the routing table for each packet", 0);
CONFIG_VAR(__u32, uplink_mtu, "Largest IP packet that direct routes carry", 1500);
CONFIG_VAR(__u32, tunnel_ifindex, "Tunnel device; 0 routes to other nodes directly", 0);
CONFIG_VAR(__u32, tunnel_mtu, "Largest IP packet that fits into the tunnel", 1450);
CONFIG_VAR(__be16, tunnel_port,
	   "UDP port of the tunnel, network order (8472); pods may not send to it on nodes",
	   0x1821);
CONFIG_VAR(_Bool, stack_routes_world,
	   "Leave traffic that goes out of the cluster to the host stack, which may masquerade it",
	   1);

CONFIG_VAR(
    __u16, host_endpoint,
    "Endpoint id of the node itself, whose policy is asked about its own traffic; 0: no host "
    "firewall",
    0);

CONFIG_VAR(_Bool, policy_deny_icmp,
	   "Tell a pod by an ICMP error that its own egress policy dropped a packet", 0);

CONFIG_VAR(__u32, world_identity4, "Identity of IPv4 addresses that are not known", IDENTITY_WORLD);
CONFIG_VAR(__u32, world_identity6, "Identity of IPv6 addresses that are not known", IDENTITY_WORLD);

CONFIG_VAR(__u32, cluster_id, "Upper part of the identities that this cluster allocates", 0);
CONFIG_VAR(__u8, cluster_identity_bits, "Bits of the lower part", 16);

CONFIG_VAR(__u32, ct_tcp_timeout_s, "Life of an established TCP connection without packets", 8000);
CONFIG_VAR(__u32, ct_tcp_syn_timeout_s, "Life of a TCP connection of which only a SYN was seen",
	   60);
CONFIG_VAR(__u32, ct_tcp_fin_timeout_s, "Life of a TCP connection after both FINs, or a RST", 10);
CONFIG_VAR(__u32, ct_any_timeout_s, "Life of a connection that is not TCP", 60);
CONFIG_VAR(__u32, ct_service_tcp_timeout_s,
	   "How long the backend of a TCP connection is remembered without packets", 8000);
CONFIG_VAR(__u32, ct_service_any_timeout_s, "Likewise for other protocols", 60);
CONFIG_VAR(_Bool, conntrack_accounting, "Count packets and bytes of each connection", 0);

CONFIG_VAR(_Bool, drop_events, "Send an event for each dropped packet", 1);
CONFIG_VAR(_Bool, trace_events, "Send trace events", 1);
CONFIG_VAR(_Bool, policy_verdict_events, "Send an event for each policy verdict", 1);
CONFIG_VAR(__u8, trace_aggregation, "Which packets get a trace event", TRACE_CONNECTIONS);
CONFIG_VAR(__u8, trace_tcp_flags, "TCP flags whose first appearance is traced", 0xff);
CONFIG_VAR(__u32, trace_interval_s, "Time between trace events of one direction of a connection",
	   5);
CONFIG_VAR(__u32, event_wakeup_bytes,
	   "Wake the reader when so much is unread; 0 leaves it to the kernel (at once when idle)",
	   0);

#endif
