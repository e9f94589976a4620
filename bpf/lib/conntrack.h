/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef AXONEME_LIB_CONNTRACK_H
#define AXONEME_LIB_CONNTRACK_H

#include "abi/conntrack.h"
#include "config/node.h"
#include "lib/clock.h"
#include "lib/flow.h"

#undef SOURCE_FILE
#define SOURCE_FILE FILE_CONNTRACK

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, LIMIT_CT4_ENTRIES);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, struct ct4_key);
	__type(value, struct ct_entry);
} cilium_ct4_global SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, LIMIT_CT6_ENTRIES);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, struct ct6_key);
	__type(value, struct ct_entry);
} cilium_ct6_global SEC(".maps");

union ct_key {
	struct ct4_key ip4;
	struct ct6_key ip6;
};

/* Any strict order will do as long as both directions agree on it. */
static __always_inline _Bool ct_source_is_low(const struct tuple *p, const enum family family)
{
	if (family == IPV4)
		return ((__u64)p->source.word[0] << 16 | p->source_port) <
		       ((__u64)p->destination.word[0] << 16 | p->destination_port);
	if (p->source.word[0] != p->destination.word[0])
		return p->source.word[0] < p->destination.word[0];
	if (p->source.word[1] != p->destination.word[1])
		return p->source.word[1] < p->destination.word[1];
	if (p->source.word[2] != p->destination.word[2])
		return p->source.word[2] < p->destination.word[2];
	if (p->source.word[3] != p->destination.word[3])
		return p->source.word[3] < p->destination.word[3];
	return p->source_port < p->destination_port;
}

/* Fills the zeroed key. True if the source is the low end. */
static __always_inline _Bool ct_key_of_tuple(union ct_key *key, const struct tuple *p,
					     __u8 protocol, const enum ct_scope scope,
					     const enum family family)
{
	const _Bool low = ct_source_is_low(p, family);
	const struct addr *low_addr = low ? &p->source : &p->destination;
	const struct addr *high_addr = low ? &p->destination : &p->source;
	__be16 low_port = low ? p->source_port : p->destination_port;
	__be16 high_port = low ? p->destination_port : p->source_port;

	if (family == IPV4) {
		key->ip4.low_addr = low_addr->word[0];
		key->ip4.high_addr = high_addr->word[0];
		key->ip4.low_port = low_port;
		key->ip4.high_port = high_port;
		key->ip4.protocol = protocol;
		key->ip4.scope = scope;
	} else {
		addr_store(&key->ip6.low_addr, low_addr, IPV6);
		addr_store(&key->ip6.high_addr, high_addr, IPV6);
		key->ip6.low_port = low_port;
		key->ip6.high_port = high_port;
		key->ip6.protocol = protocol;
		key->ip6.scope = scope;
	}
	return low;
}

static __always_inline _Bool ct_key_of(union ct_key *key, const struct packet *p,
				       const enum ct_scope scope, const enum family family)
{
	return ct_key_of_tuple(key, &p->tuple, p->protocol, scope, family);
}

/* An entry whose time is over is as good as none: collection may come much later. */
static __always_inline struct ct_entry *ct_find(const union ct_key *key, __u32 now_s,
						const enum family family)
{
	struct ct_entry *entry = family == IPV4
				     ? bpf_map_lookup_elem(&cilium_ct4_global, &key->ip4)
				     : bpf_map_lookup_elem(&cilium_ct6_global, &key->ip6);

	return entry && entry->lifetime_s >= now_s ? entry : 0;
}

static __always_inline int ct_create(const union ct_key *key, const struct ct_entry *entry,
				     const enum family family)
{
	long result = family == IPV4
			  ? bpf_map_update_elem(&cilium_ct4_global, &key->ip4, entry, BPF_ANY)
			  : bpf_map_update_elem(&cilium_ct6_global, &key->ip6, entry, BPF_ANY);

	return result < 0 ? DROP(DROP_CT_MAP_INSERTION_FAILED) : 0;
}

/* Ends the connection of a packet, for whose next one policy is asked as for a first one. */
static __always_inline void ct_forget(const struct packet *p, const enum family family)
{
	union ct_key key = {};

	ct_key_of(&key, p, CT_SCOPE_FLOW, family);
	if (family == IPV4)
		bpf_map_delete_elem(&cilium_ct4_global, &key.ip4);
	else
		bpf_map_delete_elem(&cilium_ct6_global, &key.ip6);
}

static __always_inline _Bool ct_is_closed(__u32 flags)
{
	const __u32 both = CT_FORWARD_CLOSING | CT_REPLY_CLOSING;

	return flags & CT_RESET || (flags & both) == both;
}

/* A SYN on a finished connection is a new one, with the same ports by chance or by habit, and
 * perhaps from the other end: policy has to see it.
 */
static __always_inline _Bool ct_is_reopened(const struct ct_entry *entry, const struct packet *p)
{
	return p->protocol == IPPROTO_TCP && (p->tcp_flags & (TCP_SYN | TCP_ACK)) == TCP_SYN &&
	       ct_is_closed(entry->flags);
}

static __always_inline __u32 ct_timeout_s(__u8 protocol, __u32 flags)
{
	if (protocol != IPPROTO_TCP)
		return ct_any_timeout_s;
	if (ct_is_closed(flags))
		return ct_tcp_fin_timeout_s;
	return flags & CT_SEEN_NON_SYN ? ct_tcp_timeout_s : ct_tcp_syn_timeout_s;
}

static __always_inline __u32 ct_packet_flags(const struct packet *p, _Bool reply)
{
	__u32 flags = reply ? CT_REPLIED : 0;

	if (p->protocol != IPPROTO_TCP || !(p->flags & PACKET_HAS_L4))
		return flags;
	if (!(p->tcp_flags & TCP_SYN))
		flags |= CT_SEEN_NON_SYN;
	if (p->tcp_flags & TCP_FIN)
		flags |= reply ? CT_REPLY_CLOSING : CT_FORWARD_CLOSING;
	if (p->tcp_flags & TCP_RST)
		flags |= CT_RESET;
	return flags;
}

/* Whether aggregation lets this packet be traced. Two CPUs may both say yes: one event too many. */
static __always_inline _Bool ct_report(struct ct_entry *entry, const struct packet *p, _Bool reply,
				       __u32 now_s)
{
	__u8 *seen = reply ? &entry->reply_tcp_flags : &entry->forward_tcp_flags;
	__u32 *last_s = reply ? &entry->reply_report_s : &entry->forward_report_s;
	__u8 unseen = p->tcp_flags & trace_tcp_flags & ~*seen;

	if (!unseen && now_s - *last_s < trace_interval_s)
		return 0;
	if (unseen)
		*seen |= unseen;
	if (*last_s != now_s)
		*last_s = now_s;
	return 1;
}

/* Takes the packet into the entry's account. The entry's cache line is written only when something
 * changed: at most once a second for a connection that just transfers.
 */
static __always_inline void ct_update(struct ct_entry *entry, struct flow *flow, __u32 len,
				      __u32 now_s)
{
	const struct packet *p = &flow->packet;
	const _Bool reply = flow->flags & FLOW_REPLY;
	const __u32 add = ct_packet_flags(p, reply);
	const __u32 flags = entry->flags | add;
	const __u32 lifetime_s = now_s + ct_timeout_s(p->protocol, flags);

	if (unlikely(flags != entry->flags))
		__sync_fetch_and_or(&entry->flags, add);
	if (entry->lifetime_s != lifetime_s)
		entry->lifetime_s = lifetime_s;
	if (trace_events && trace_aggregation >= TRACE_CONNECTIONS &&
	    ct_report(entry, p, reply, now_s))
		flow->flags |= FLOW_REPORT;
	if (conntrack_accounting) {
		__sync_fetch_and_add(reply ? &entry->reply_packets : &entry->forward_packets, 1);
		__sync_fetch_and_add(reply ? &entry->reply_bytes : &entry->forward_bytes, len);
	}
}

static __always_inline void ct_entry_begin(struct ct_entry *entry, const struct flow *flow,
					   _Bool low, __u32 len, __u32 now_s)
{
	const struct packet *p = &flow->packet;

	entry->flags = ct_packet_flags(p, 0) | (low ? CT_LOW_INITIATES : 0);
	if (flow->flags & FLOW_HAIRPIN)
		entry->flags |= CT_HAIRPIN;
	if (flow->flags & FLOW_NODE_PORT)
		entry->flags |= CT_NODE_PORT;
	if (flow->flags & FLOW_DSR)
		entry->flags |= CT_DSR;
	entry->lifetime_s = now_s + ct_timeout_s(p->protocol, entry->flags);
	entry->rev_nat = flow->rev_nat;
	entry->source_identity = flow->source_identity;
	entry->forward_report_s = now_s;
	entry->reply_report_s = 0;
	entry->forward_tcp_flags = p->tcp_flags;
	if (conntrack_accounting) {
		entry->forward_packets = 1;
		entry->forward_bytes = len;
	}
}

#endif
