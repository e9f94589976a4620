/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef AXONEME_ABI_CALLS_H
#define AXONEME_ABI_CALLS_H

/* How an endpoint's own small programs reach those that all pods share. Both may come from
 * different agents while one replaces the other, so neither a slot nor a word ever changes its
 * meaning.
 */
enum pod_call {
	POD_CALL_FROM_POD = 0, /* slots of cilium_calls_pod */
	POD_CALL_TO_POD = 1,
	POD_CALL_SLOTS = 2,
};

enum pod_call_argument {
	POD_CALL_ENDPOINT_ID = 0, /* word of skb->cb */
};

#endif
