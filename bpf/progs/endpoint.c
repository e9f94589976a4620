/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The programs that each pod's device has of its own: endpoint_egress at its ingress hook, where
 * the pod's packets come out, endpoint_ingress at its egress hook. They only say whose device it is
 * and go on to the programs of pod.c, which are loaded once for all pods.
 */
#include "abi/calls.h"
#include "config/endpoint.h"
#include "config/node.h"
#include "lib/events.h"

#undef SOURCE_FILE
#define SOURCE_FILE FILE_ENDPOINT

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, POD_CALL_SLOTS);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, __u32);
} cilium_calls_pod SEC(".maps");

/* A slot is only empty when somebody emptied it. */
static __always_inline int endpoint_missed(struct __sk_buff *skb, enum metric_direction direction)
{
	struct flow flow = {
	    .egress_endpoint = direction == METRIC_EGRESS ? endpoint_id : 0,
	    .ingress_endpoint = direction == METRIC_INGRESS ? endpoint_id : 0,
	    .flags = skb->protocol == bpf_htons(ETH_P_IPV6) ? FLOW_IPV6 : 0,
	};

	return packet_drop(skb, &flow, DROP(DROP_MISSED_TAIL_CALL), direction);
}

SEC("tc")
int endpoint_egress(struct __sk_buff *skb)
{
	skb->cb[POD_CALL_ENDPOINT_ID] = endpoint_id;
	bpf_tail_call_static(skb, &cilium_calls_pod, POD_CALL_FROM_POD);
	return endpoint_missed(skb, METRIC_EGRESS);
}

SEC("tc")
int endpoint_ingress(struct __sk_buff *skb)
{
	skb->cb[POD_CALL_ENDPOINT_ID] = endpoint_id;
	bpf_tail_call_static(skb, &cilium_calls_pod, POD_CALL_TO_POD);
	return endpoint_missed(skb, METRIC_INGRESS);
}

char _license[] SEC("license") = "Dual BSD/GPL";
