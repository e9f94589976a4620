/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Programs and maps of every kind that the loader has to cope with. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define CONFIG __attribute__((section(".rodata.config")))

CONFIG const volatile __u32 verdict = 0;
CONFIG const volatile __u32 counter_step = 1;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, __u64);
	__uint(max_entries, 4);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} sample_counters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__type(key, __u32);
	__type(value, __u32);
	__uint(max_entries, 2);
} sample_percpu SEC(".maps");

struct inner_hash {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, __u32);
	__type(value, __u64);
	__uint(max_entries, 16);
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__type(key, __u32);
	__uint(max_entries, 8);
	__array(values, struct inner_hash);
} sample_outer SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} sample_ring SEC(".maps");

static __always_inline void count(__u32 index)
{
	__u64 *counter = bpf_map_lookup_elem(&sample_counters, &index);

	if (counter)
		__sync_fetch_and_add(counter, counter_step);
}

SEC("tc")
int decide(struct __sk_buff *skb)
{
	__u32 zero = 0;
	__u32 *seen = bpf_map_lookup_elem(&sample_percpu, &zero);

	if (seen)
		*seen += 1;
	count(0);
	skb->mark = 7;
	return verdict;
}

SEC("tc")
int decide_otherwise(struct __sk_buff *skb __attribute__((unused)))
{
	count(1);
	return verdict;
}

/* The mark says what to do: 0 submits the packet's length, anything else gives the record up. */
SEC("tc")
int emit(struct __sk_buff *skb)
{
	__u32 *record = bpf_ringbuf_reserve(&sample_ring, 12, 0);

	if (!record) {
		count(3);
		return 0;
	}
	record[0] = skb->len;
	record[1] = 0xabcd;
	record[2] = skb->priority;
	if (skb->mark)
		bpf_ringbuf_discard(record, 0);
	else
		bpf_ringbuf_submit(record, 0);
	return 0;
}

SEC("tc")
int look_inside(struct __sk_buff *skb)
{
	__u32 slot = 3, key = skb->mark;
	__u64 *value;
	void *inner = bpf_map_lookup_elem(&sample_outer, &slot);

	if (!inner)
		return -1;
	value = bpf_map_lookup_elem(inner, &key);
	return value ? (int)*value : -2;
}

SEC("xdp")
int pass(struct xdp_md *context __attribute__((unused)))
{
	count(2);
	return XDP_PASS;
}

SEC("cgroup/connect4")
int refuse(struct bpf_sock_addr *context __attribute__((unused)))
{
	return 0;
}

SEC("cgroup/connect4")
int permit(struct bpf_sock_addr *context __attribute__((unused)))
{
	return 1;
}

SEC("sk_lookup")
int hide_listeners(struct bpf_sk_lookup *context __attribute__((unused)))
{
	return SK_DROP;
}

char _license[] SEC("license") = "Dual BSD/GPL";
