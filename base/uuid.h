/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* uuid - RFC 9562 identifiers as 16 bytes in network order */

#include <stdbool.h>
#include <stdint.h>

#define UUID_TEXT_MAX 37

struct uuid {
	uint8_t bytes[16];
};

/* A random (version 4) UUID from the kernel's generator. */
struct uuid uuid_random(void);

/* 8-4-4-4-12 hex digits, either case. 0 or -EINVAL. */
int uuid_parse(const char *text, struct uuid *uuidp);
/* Lower-case text into @out, which is returned. */
const char *uuid_format(const struct uuid *u, char out[UUID_TEXT_MAX]);
bool uuid_equal(const struct uuid *a, const struct uuid *b);
bool uuid_is_nil(const struct uuid *u);
