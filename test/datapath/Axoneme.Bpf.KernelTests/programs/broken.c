/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the verifier must refuse: a packet read without a bounds check. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("tc")
int read_blindly(struct __sk_buff *skb)
{
	return *(volatile __u8 *)(long)skb->data;
}

char _license[] SEC("license") = "Dual BSD/GPL";
