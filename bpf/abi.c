/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A pointer to every type that user space shares keeps the full definition in BTF, from which the C# side is generated. */
#include <linux/types.h>

#define ABI_JOIN_(a, b)	a##b
#define ABI_JOIN(a, b)	ABI_JOIN_(a, b)
#define ABI_TYPE(type)	const type *ABI_JOIN(abi_type_, __COUNTER__)

ABI_TYPE(__u32);
