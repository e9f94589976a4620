/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef AXONEME_CONFIG_ENDPOINT_H
#define AXONEME_CONFIG_ENDPOINT_H

#include "abi/types.h"
#include "config/config.h"

/* Settings of the one endpoint that a copy of pod.o serves. */

CONFIG_VAR(__u16, endpoint_id,
	   "Endpoint id",
	   0);
CONFIG_VAR(__u32, endpoint_identity,
	   "Security identity of the endpoint",
	   0);
CONFIG_VAR(__be32, endpoint_ip4,
	   "IPv4 address, the only one it may send from; 0 none",
	   0);
CONFIG_VAR(struct ip6_addr, endpoint_ip6,
	   "IPv6 address, likewise; :: none",
	   {});
CONFIG_VAR(_Bool, verify_source_address,
	   "Drop what comes from another source address",
	   1);
CONFIG_VAR(_Bool, per_packet_lb,
	   "Translate service addresses for each packet, where the socket layer does not",
	   0);
CONFIG_VAR(__be32, service_loopback4,
	   "Source that a pod sees when it reaches itself through a service (169.254.42.1)",
	   0x012afea9);
CONFIG_VAR(struct ip6_addr, service_loopback6,
	   "Likewise for IPv6",
	   { .bytes = { 0xfe, 0x80, [15] = 1 } });

#endif
