/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef AXONEME_ABI_EVENTS_H
#define AXONEME_ABI_EVENTS_H

#include "limits.h"
#include "types.h"

enum event_type {
	EVENT_DROP = 1,
	EVENT_TRACE = 4,
	EVENT_POLICY_VERDICT = 5,
};

/* Numbers of flow.TraceObservationPoint, but for the two whose 0 the datapath cannot use. */
enum trace_point {
	TRACE_POINT_UNKNOWN = 0,
	TRACE_TO_PROXY = 1,
	TRACE_TO_HOST = 2,
	TRACE_TO_STACK = 3,
	TRACE_TO_OVERLAY = 4,
	TRACE_FROM_ENDPOINT = 5,
	TRACE_FROM_PROXY = 6,
	TRACE_FROM_HOST = 7,
	TRACE_FROM_STACK = 8,
	TRACE_FROM_OVERLAY = 9,
	TRACE_FROM_NETWORK = 10,
	TRACE_TO_NETWORK = 11,
	TRACE_TO_ENDPOINT = 101,
};

/* Numbers of flow.TraceReason. */
enum ct_state {
	CT_STATE_UNKNOWN = 0,
	CT_STATE_NEW = 1,
	CT_STATE_ESTABLISHED = 2,
	CT_STATE_REPLY = 3,
	CT_STATE_RELATED = 4,
};

enum trace_aggregation {
	TRACE_EVERY_PACKET = 0,	  /* also where a packet comes in */
	TRACE_EVERY_DELIVERY = 1, /* each packet where it leaves */
	TRACE_CONNECTIONS = 3,	  /* first packets, new TCP flags, and once an interval */
};

enum verdict_action {
	VERDICT_ALLOWED = 0,
	VERDICT_DENIED = 1,
	VERDICT_REDIRECTED = 2,
	VERDICT_AUDITED = 3,
	/* What the shadow policy says where it differs from the one in force. */
	VERDICT_WOULD_DENY = 4,
	VERDICT_WOULD_ALLOW = 5,
};

enum event_flags {
	EVENT_REPLY = 1 << 0, /* from the end that did not open the connection */
	EVENT_REPLY_KNOWN = 1 << 1,
	EVENT_IPV6 = 1 << 2,
	EVENT_HAS_ORIGINAL = 1 << 3, /* original_* hold the service address before translation */
	EVENT_L3_DEVICE = 1 << 4,    /* the captured bytes start with the IP header */
};

/* One layout for all types, in the ring buffer of the CPU that saw the packet. Members that do not
 * apply are zero.
 */
struct event {
	__u64 timestamp_ns; /* CLOCK_MONOTONIC */
	__u32 source_identity;
	__u32 destination_identity;
	__u32 ifindex; /* device of the program, or the one the packet leaves by */
	__u16 cpu;
	__u16 endpoint_id; /* whose policy or delivery this is about; 0 = host */
	__u8 type;	   /* enum event_type */
	__u8 reason;	   /* EVENT_DROP and denied verdicts: enum drop_reason */
	__u8 point;	   /* enum trace_point */
	__u8 flags;	   /* enum event_flags */
	__u8 ct_state;	   /* enum ct_state */
	__u8 source_file;  /* EVENT_DROP: enum source_file and line that decided */
	__u16 source_line;
	__u32 packet_len;   /* as on the wire, with the Ethernet header */
	__u16 captured_len; /* of packet[] */
	__be16 original_port;
	struct ip_addr
	    original_addr; /* destination before translation; for replies the source after */
	__u32 policy_cookie;
	__be16 policy_proxy_port; /* VERDICT_REDIRECTED: where to */
	__be16 policy_port;	  /* as asked of the policy map */
	__u8 policy_protocol;
	__u8 policy_direction;	/* enum traffic_direction */
	__u8 policy_match;	/* enum policy_match */
	__u8 policy_action;	/* enum verdict_action */
	__u32 interval_packets; /* reserved, 0 */
	__u8 packet[LIMIT_EVENT_PACKET_BYTES];
};

/* Which file an event's source_line is of. */
enum source_file {
	FILE_UNKNOWN = 0,
	FILE_POD = 1,
	FILE_HOST = 2,
	FILE_OVERLAY = 3,
	FILE_ENDPOINT = 4,
	FILE_XDP = 5,
	FILE_PACKET = 16,
	FILE_CONNTRACK = 17,
	FILE_POLICY = 18,
	FILE_LB = 19,
	FILE_NAT = 20,
	FILE_FORWARD = 21,
	FILE_ICMP = 22,
	FILE_NODE_PORT = 23,
	FILE_MASQUERADE = 24,
	FILE_DSR = 25,
	FILE_HOST_POLICY = 30,
	FILE_PROXY = 26,
};

ABI_SIZE(event, 200);
ABI_OFFSET(event, packet, 72);

#endif
