/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef AXONEME_LIB_DEVICES_H
#define AXONEME_LIB_DEVICES_H

#include "abi/nat.h"
#include "lib/base.h"

/* By index: the uplinks with the addresses that translated packets leave with, and the tunnel
 * device with those at which answers come back through the tunnel (cilium_host's).
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, LIMIT_DEVICES);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, struct device_info);
} cilium_devices SEC(".maps");

static __always_inline void device_load(const struct device_info *device, struct addr *to,
					const enum family family)
{
	addr_load(to, family == IPV4 ? (const void *)&device->ip4 : (const void *)&device->ip6,
		  family);
}

/* The address that packets leaving by the device are given. False if it has none. */
static __always_inline _Bool device_addr(__u32 ifindex, struct addr *to, const enum family family)
{
	const struct device_info *device = bpf_map_lookup_elem(&cilium_devices, &ifindex);

	if (!device)
		return 0;
	device_load(device, to, family);
	if (family == IPV4)
		return to->word[0] != 0;
	return to->word[0] | to->word[1] | to->word[2] | to->word[3];
}

#endif
