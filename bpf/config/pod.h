/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef AXONEME_CONFIG_POD_H
#define AXONEME_CONFIG_POD_H

#include "abi/types.h"
#include "config/config.h"

/* Settings that are the same for every pod of a node. */

CONFIG_VAR(_Bool, verify_source_address, "Drop what comes from another source address", 1);
CONFIG_VAR(_Bool, per_packet_lb,
	   "Translate service addresses for each packet, where the socket layer does not", 0);
CONFIG_VAR(__be32, service_loopback4,
	   "Source that a pod sees when it reaches itself through a service (169.254.42.1)",
	   0x012afea9);
CONFIG_VAR(struct ip6_addr, service_loopback6, "Likewise for IPv6",
	   {.bytes = {0xfe, 0x80, [15] = 1}});

CONFIG_VAR(__u32, router_ifindex,
	   "Device (cilium_net) by which packets come back into the node's stack; 0 none", 0);
CONFIG_VAR(struct mac_addr, router_mac, "Its address", {});

#endif
