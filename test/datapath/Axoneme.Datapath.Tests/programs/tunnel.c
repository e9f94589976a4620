/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Stands for the tunnel device: gives a packet the key that it would have come with, and hands it
 * to the program at the device.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} tunnel_next SEC(".maps");

/* The identity is in the mark, which the program at the device does not look at. */
SEC("tc")
int arrive(struct __sk_buff *skb)
{
	struct bpf_tunnel_key key = {.tunnel_id = skb->mark, .tunnel_ttl = 64};

	key.remote_ipv4 = 0xac1e000c;
	skb->mark = 0;
	if (bpf_skb_set_tunnel_key(skb, &key, sizeof(key), 0) < 0)
		return -1;
	bpf_tail_call(skb, &tunnel_next, 0);
	return -1;
}

char _license[] SEC("license") = "Dual BSD/GPL";
