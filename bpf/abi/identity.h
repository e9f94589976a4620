/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef AXONEME_ABI_IDENTITY_H
#define AXONEME_ABI_IDENTITY_H

enum reserved_identity {
	IDENTITY_UNKNOWN = 0,
	IDENTITY_HOST = 1,
	IDENTITY_WORLD = 2,
	IDENTITY_UNMANAGED = 3,
	IDENTITY_HEALTH = 4,
	IDENTITY_INIT = 5,
	IDENTITY_REMOTE_NODE = 6,
	IDENTITY_KUBE_APISERVER = 7,
	IDENTITY_INGRESS = 8,
	IDENTITY_WORLD_IPV4 = 9,
	IDENTITY_WORLD_IPV6 = 10,
	/* Classes of identities. They are in policy maps only, never on packets. */
	IDENTITY_AGGREGATE_CLUSTER = 11,
	IDENTITY_AGGREGATE_CLUSTER_MESH = 12,
	IDENTITY_AGGREGATE_WORLD = 13,
	IDENTITY_AGGREGATE_REMOTE_NODE = 14,
	/* Those below have no class but that of everybody. */
	IDENTITY_CLASSED_MIN = 100,
	IDENTITY_ALLOCATED_MIN = 256,
	/* Identities from here up mean something on this node only and never travel. */
	IDENTITY_LOCAL_SCOPE_MIN = 0x01000000,
};

/* The upper bits of an identity: its scope or, in scope 0, the cluster that allocated it. */
enum identity_layout {
	IDENTITY_SCOPE_SHIFT = 24,
	IDENTITY_SCOPE_OUTSIDE = 1, /* address blocks and names */
	IDENTITY_SCOPE_REMOTE_NODE = 2,
};

#endif
