/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef AXONEME_CONFIG_SOCK_H
#define AXONEME_CONFIG_SOCK_H

#include "config/config.h"

#define ENOMEM	     12
#define EADDRINUSE   98
#define ECONNREFUSED 111
#define EHOSTUNREACH 113

/* Settings of the translation at sockets. */

CONFIG_VAR(__u32, no_backend_errno,
	   "What connect and sendmsg fail with for a service without backends (EHOSTUNREACH)",
	   EHOSTUNREACH);
CONFIG_VAR(__u64, host_netns_cookie, "Cookie of the node's own network namespace; 0 not known", 0);
CONFIG_VAR(_Bool, sockets_of_host_only,
	   "Leave the sockets of pods alone: their packets are translated instead", 0);
CONFIG_VAR(_Bool, protect_node_ports, "Let no socket of the node bind to a node port in use", 1);
CONFIG_VAR(
    _Bool, external_ips_of_node_only,
    "Translate an external IP only if it is an address of this node: else whoever may write a "
    "service could take over any address (CVE-2020-8554)",
    1);

#endif
