/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Never loaded: a pointer to each shared type keeps its definition in the BTF that AbiGen reads. */
#include "abi/calls.h"
#include "abi/conntrack.h"
#include "abi/drop.h"
#include "abi/endpoint.h"
#include "abi/events.h"
#include "abi/fragments.h"
#include "abi/identity.h"
#include "abi/ipcache.h"
#include "abi/lb.h"
#include "abi/limits.h"
#include "abi/marks.h"
#include "abi/metrics.h"
#include "abi/nat.h"
#include "abi/policy.h"
#include "abi/types.h"

#define KEEP_STRUCT(name) struct name *abi_struct_##name
#define KEEP_ENUM(name)	  enum name *abi_enum_##name

KEEP_ENUM(pod_call);
KEEP_STRUCT(ct4_key);
KEEP_STRUCT(ct6_key);
KEEP_STRUCT(ct_entry);
KEEP_ENUM(ct_scope);
KEEP_ENUM(ct_flags);
KEEP_ENUM(drop_reason);
KEEP_STRUCT(endpoint4_key);
KEEP_STRUCT(endpoint6_key);
KEEP_STRUCT(endpoint_info);
KEEP_ENUM(endpoint_flags);
KEEP_STRUCT(endpoint_settings);
KEEP_STRUCT(event);
KEEP_ENUM(event_type);
KEEP_ENUM(trace_point);
KEEP_ENUM(ct_state);
KEEP_ENUM(trace_aggregation);
KEEP_ENUM(verdict_action);
KEEP_ENUM(event_flags);
KEEP_ENUM(source_file);
KEEP_STRUCT(frag4_key);
KEEP_STRUCT(frag6_key);
KEEP_STRUCT(frag_ports);
KEEP_ENUM(reserved_identity);
KEEP_STRUCT(ipcache4_key);
KEEP_STRUCT(ipcache6_key);
KEEP_STRUCT(ipcache4_prefix);
KEEP_STRUCT(ipcache6_prefix);
KEEP_STRUCT(ipcache_info);
KEEP_ENUM(ipcache_flags);
KEEP_STRUCT(lb4_key);
KEEP_STRUCT(lb6_key);
KEEP_STRUCT(lb_service);
KEEP_STRUCT(lb_backend_key);
KEEP_STRUCT(lb4_backend);
KEEP_STRUCT(lb6_backend);
KEEP_STRUCT(lb_rev_nat_key);
KEEP_STRUCT(lb4_rev_nat);
KEEP_STRUCT(lb6_rev_nat);
KEEP_STRUCT(lb4_reverse_sk_key);
KEEP_STRUCT(lb6_reverse_sk_key);
KEEP_STRUCT(lb4_reverse_sk);
KEEP_STRUCT(lb6_reverse_sk);
KEEP_ENUM(lb_scope);
KEEP_ENUM(lb_flags);
KEEP_ENUM(lb_flags2);
KEEP_ENUM(lb_backend_state);
KEEP_ENUM(abi_limits);
KEEP_ENUM(packet_mark);
KEEP_ENUM(lb_slot0);
KEEP_ENUM(lb_algorithm);
KEEP_STRUCT(lb_affinity_key);
KEEP_STRUCT(lb_affinity);
KEEP_STRUCT(lb_affinity_match);
KEEP_STRUCT(lb4_source_range);
KEEP_STRUCT(lb6_source_range);
KEEP_STRUCT(lb_maglev_pair);
KEEP_STRUCT(lb4_skip_key);
KEEP_STRUCT(lb6_skip_key);
KEEP_STRUCT(nat4_key);
KEEP_STRUCT(nat6_key);
KEEP_ENUM(nat_direction);
KEEP_ENUM(nat_flags);
KEEP_STRUCT(nat4_entry);
KEEP_STRUCT(nat6_entry);
KEEP_STRUCT(masq4_prefix);
KEEP_STRUCT(masq6_prefix);
KEEP_STRUCT(device_info);
KEEP_STRUCT(metric);
KEEP_ENUM(metric_direction);
KEEP_ENUM(metric_index);
KEEP_STRUCT(policy_key);
KEEP_STRUCT(policy_entry);
KEEP_STRUCT(policy_state);
KEEP_ENUM(traffic_direction);
KEEP_ENUM(policy_prefix);
KEEP_ENUM(policy_flags);
KEEP_ENUM(policy_state_flags);
KEEP_ENUM(policy_match);
KEEP_STRUCT(ip6_addr);
KEEP_STRUCT(ip_addr);
KEEP_STRUCT(mac_addr);
