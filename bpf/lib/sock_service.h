/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef AXONEME_LIB_SOCK_SERVICE_H
#define AXONEME_LIB_SOCK_SERVICE_H

#include "abi/identity.h"
#include "config/sock.h"
#include "lib/ipcache.h"
#include "lib/lb_select.h"
#include "lib/lb_skip.h"

/* Which service a socket means by the address of its peer. */

static __always_inline _Bool sock_is_unspecified(const struct addr *addr, const enum family family)
{
	if (family == IPV4)
		return !addr->word[0];
	return !(addr->word[0] | addr->word[1] | addr->word[2] | addr->word[3]);
}

/* The kernel takes the unspecified address of a peer for the loopback address. */
static __always_inline _Bool sock_is_loopback(const struct addr *addr, const enum family family)
{
	if (sock_is_unspecified(addr, family))
		return 1;
	if (family == IPV4)
		return (addr->word[0] & bpf_htonl(0xff000000)) == bpf_htonl(0x7f000000);
	return !(addr->word[0] | addr->word[1] | addr->word[2]) && addr->word[3] == bpf_htonl(1);
}

static __always_inline _Bool sock_is_node_port(__be16 port)
{
	const __u16 number = bpf_ntohs(port);

	return number >= node_port_min && number <= node_port_max;
}

static __always_inline __u32 sock_identity(const struct addr *addr, const enum family family)
{
	return ipcache_identity(ipcache_find(addr, family), family);
}

/* A node port is open on every address of every node, a host port on those of its own node. Both
 * have one entry with the unspecified address for all that have none of their own, such as those of
 * other nodes: no detour over that node is needed. *frontend becomes that entry's key.
 */
static __always_inline const struct lb_service *
sock_node_service_find(const struct lb_address *peer, _Bool of_host, struct lb_address *frontend,
		       const enum family family)
{
	const _Bool loopback = sock_is_loopback(&peer->addr, family);
	const struct lb_address any = {.port = peer->port, .protocol = peer->protocol};
	const struct lb_service *service;
	__u32 identity;

	/* A pod's loopback address is its own. */
	if (loopback && !of_host)
		return 0;
	service = lb_service_find(&any, LB_INSIDE, family);
	if (!service)
		return 0;
	identity = loopback ? IDENTITY_HOST : sock_identity(&peer->addr, family);
	*frontend = any;
	if (service->flags & LB_NODE_PORT && sock_is_node_port(peer->port))
		return identity == IDENTITY_HOST || identity == IDENTITY_REMOTE_NODE ||
			       identity == IDENTITY_KUBE_APISERVER
			   ? service
			   : 0;
	if (!(service->flags & LB_HOST_PORT) || identity != IDENTITY_HOST)
		return 0;
	return service->flags2 & LB_LOOPBACK && !loopback ? 0 : service;
}

static __always_inline _Bool sock_is_diverted(const struct lb_address *peer,
					      const struct lb_service *service,
					      const enum family family)
{
	return external_ips_of_node_only && service->flags & LB_EXTERNAL_IP &&
	       sock_identity(&peer->addr, family) != IDENTITY_HOST;
}

/* The service behind the address, and the key of its entries; null if there is none for this
 * socket.
 */
static __always_inline const struct lb_service *sock_service_find(const struct lb_address *peer,
								  _Bool of_host,
								  struct lb_address *frontend,
								  const enum family family)
{
	const struct lb_service *service = 0;

	if (!sock_is_unspecified(&peer->addr, family))
		service = lb_service_find(peer, LB_INSIDE, family);
	if (!service)
		return sock_node_service_find(peer, of_host, frontend, family);
	*frontend = *peer;
	return sock_is_diverted(peer, service, family) ? 0 : service;
}

/* Whether to refuse what has no service for this socket. What is only left to others, such as an
 * external IP that is none of the node's, has a service, and goes its way.
 */
static __always_inline _Bool sock_refuses(const struct lb_address *peer, const enum family family)
{
	return lb_refuses(peer, family) && !lb_service_find(peer, LB_INSIDE, family);
}

/* A backend of a local redirect may ask to see the address itself. */
static __always_inline _Bool sock_skips(const struct lb_address *peer,
					const struct lb_service *service, __u64 netns_cookie,
					const enum family family)
{
	if (!(service->flags2 & LB_LOCAL_REDIRECT))
		return 0;
	if (family == IPV4) {
		struct lb4_skip_key key = {
		    .netns_cookie = netns_cookie,
		    .addr = peer->addr.word[0],
		    .port = peer->port,
		    .protocol = peer->protocol,
		};

		return bpf_map_lookup_elem(&cilium_skip_lb4, &key);
	} else {
		struct lb6_skip_key key = {
		    .netns_cookie = netns_cookie,
		    .port = peer->port,
		    .protocol = peer->protocol,
		};

		addr_store(&key.addr, &peer->addr, IPV6);
		return bpf_map_lookup_elem(&cilium_skip_lb6, &key);
	}
}

#endif
