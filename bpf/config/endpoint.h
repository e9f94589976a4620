/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef AXONEME_CONFIG_ENDPOINT_H
#define AXONEME_CONFIG_ENDPOINT_H

#include "abi/types.h"
#include "config/config.h"

CONFIG_VAR(
    __u16, endpoint_id,
    "The endpoint that this copy of endpoint.o serves; the rest is in cilium_endpoint_settings", 0);

#endif
