/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef AXONEME_CONFIG_LB_H
#define AXONEME_CONFIG_LB_H

#include "abi/limits.h"
#include "config/config.h"

/* Settings of load balancing that packet and socket programs share. */

CONFIG_VAR(_Bool, service_affinity, "Whether session affinity is looked at", 1);
CONFIG_VAR(_Bool, service_maglev, "Whether any service may choose backends by Maglev tables", 0);
CONFIG_VAR(__u32, maglev_slots, "Slots of each Maglev table, a prime", LIMIT_LB_MAGLEV_SLOTS);
CONFIG_VAR(__u32, maglev_seed, "Of the hash over the connection; the same on all nodes", 0);
CONFIG_VAR(__u16, node_port_min, "First of the range of node ports (30000)", 30000);
CONFIG_VAR(__u16, node_port_max, "Last of it (32767)", 32767);
CONFIG_VAR(_Bool, reject_without_backend,
	   "Answer a packet to a service without backends with an ICMP error, else drop it", 1);
CONFIG_VAR(
    _Bool, claim_without_backend,
    "Refuse a packet to a service without backends, else leave it to whoever has the address", 1);
CONFIG_VAR(_Bool, service_wildcards,
	   "Refuse what is sent to a port of a service address that is not served", 1);

#endif
