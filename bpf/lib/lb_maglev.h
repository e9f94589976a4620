/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef AXONEME_LIB_LB_MAGLEV_H
#define AXONEME_LIB_LB_MAGLEV_H

#include "abi/lb.h"
#include "config/lb.h"
#include "lib/base.h"

/* Tables by rev_nat. A new table is filled before it takes the place of the old one. */
#define LB_MAGLEV_MAP(name)                                                                        \
	struct {                                                                                   \
		__uint(type, BPF_MAP_TYPE_HASH_OF_MAPS);                                           \
		__uint(max_entries, LIMIT_LB_MAGLEV);                                              \
		__uint(map_flags, BPF_F_NO_PREALLOC);                                              \
		__uint(pinning, LIBBPF_PIN_BY_NAME);                                               \
		__type(key, struct lb_rev_nat_key);                                                \
		__array(                                                                           \
		    values, struct {                                                               \
			    __uint(type, BPF_MAP_TYPE_ARRAY);                                      \
			    __uint(max_entries, (LIMIT_LB_MAGLEV_SLOTS + 1) / 2);                  \
			    __uint(map_flags, BPF_F_INNER_MAP);                                    \
			    __uint(key_size, sizeof(__u32));                                       \
			    __uint(value_size, sizeof(struct lb_maglev_pair));                     \
		    });                                                                            \
	} name SEC(".maps")

LB_MAGLEV_MAP(cilium_lb4_maglev);
LB_MAGLEV_MAP(cilium_lb6_maglev);

#endif
