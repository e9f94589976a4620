/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef AXONEME_CONFIG_XDP_H
#define AXONEME_CONFIG_XDP_H

#include "config/config.h"

CONFIG_VAR(_Bool, xdp_redirects,
	   "Whether all uplinks take frames that came in by another one before the stack does", 0);

#endif
