/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef AXONEME_CONFIG_NAT_H
#define AXONEME_CONFIG_NAT_H

#include "abi/types.h"
#include "config/config.h"

/* Settings of the node's edge: services for the outside, and masquerading. */

CONFIG_VAR(_Bool, node_ports, "Serve services to traffic from outside", 0);
CONFIG_VAR(_Bool, service_dsr, "Whether any service is forwarded with direct server return", 0);
CONFIG_VAR(__u16, nat_port_min, "First source port of translated connections", 32768);
CONFIG_VAR(__u16, nat_port_max, "Last source port of translated connections", 65535);

CONFIG_VAR(_Bool, masquerade4,
	   "Give IPv4 packets of pods that leave the cluster the node's address", 0);
CONFIG_VAR(_Bool, masquerade6, "Likewise for IPv6", 0);
CONFIG_VAR(__be32, native_cidr4, "Destinations in here are not masqueraded", 0);
CONFIG_VAR(__be32, native_mask4, "Mask of native_cidr4; 0 together with it: none", 0);
CONFIG_VAR(struct ip6_addr, native_cidr6, "Likewise for IPv6", {});
CONFIG_VAR(struct ip6_addr, native_mask6, "Mask of native_cidr6", {});
CONFIG_VAR(_Bool, masquerade_exceptions, "Whether the maps of ip-masq-agent are asked", 0);

#endif
