/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Shapes that the generator has to understand. */
#include <linux/types.h>

enum shape_flags { SHAPE_ROUND = 1, SHAPE_FLAT = 2 };
enum signed_kind { KIND_NEGATIVE = -1, KIND_7 = 7 };

struct point {
	__be16 x;
	__be32 y __attribute__((packed));
};

struct shape {
	union {
		struct point at;
		__u8 raw[6];
	};
	__u16 pad;
	struct {
		__u8 low;
		__u8 high[3];
	} range;
	__s64 shape;
	struct point corners[2];
	_Bool visible;
	__u8 rest[3];
	enum signed_kind kind;
	__u32 last;
};

struct shape *keep_shape;
enum shape_flags *keep_flags;
