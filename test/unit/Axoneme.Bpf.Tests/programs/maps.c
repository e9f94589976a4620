/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct session {
	__u32 id;
	__be16 port;
	__u16 zero;
};

struct inner {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(key_size, 8);
	__uint(value_size, 4);
	__uint(max_entries, 9);
	__uint(map_flags, BPF_F_NO_PREALLOC);
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_PERCPU_HASH);
	__type(key, struct session);
	__type(value, __u64);
	__uint(max_entries, 77);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} session_bytes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__type(key, __u32);
	__uint(max_entries, 5);
	__array(values, struct inner);
} tries SEC(".maps");

__attribute__((section(".rodata.config"), btf_decl_tag("doc:Seconds < a day"))) const volatile __u32 life_s = 60;
__attribute__((section(".rodata.config"))) const volatile __be16 service_port = 0x5000;
__attribute__((section(".rodata.config"))) const volatile struct session first = { .id = 4 };

SEC("tc/ingress")
int inspect(struct __sk_buff *skb)
{
	struct session key = first;
	__u64 *bytes;

	key.port = service_port;
	bytes = bpf_map_lookup_elem(&session_bytes, &key);
	if (bytes)
		*bytes += skb->len;
	return bpf_map_lookup_elem(&tries, &key.id) ? (int)life_s : 0;
}

char _license[] SEC("license") = "Dual BSD/GPL";
