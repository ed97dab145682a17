/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * cursor - bounds-checked little-endian reader with a sticky error
 *
 * Reads past the end return 0 and set `failed`; check once at the end.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cursor {
	const uint8_t *pos;
	const uint8_t *end;
	bool failed;
};

static inline struct cursor cursor_of(const void *data, size_t n)
{
	return (struct cursor){.pos = data, .end = (const uint8_t *)data + n};
}

static inline size_t cursor_left(const struct cursor *c)
{
	return (size_t)(c->end - c->pos);
}

/* The next @n bytes, or NULL (and failed). */
static inline const uint8_t *cursor_bytes(struct cursor *c, size_t n)
{
	const uint8_t *p = c->pos;

	if (c->failed || cursor_left(c) < n) {
		c->failed = true;
		return NULL;
	}
	c->pos += n;
	return p;
}

static inline uint64_t load_le(const uint8_t *p, unsigned int n_bytes)
{
	uint64_t v = 0;

	for (unsigned int i = 0; i < n_bytes; i++)
		v |= (uint64_t)p[i] << (8 * i);
	return v;
}

static inline void store_le(uint8_t *p, uint64_t v, unsigned int n_bytes)
{
	for (unsigned int i = 0; i < n_bytes; i++)
		p[i] = (uint8_t)(v >> (8 * i));
}

static inline uint32_t cursor_u32(struct cursor *c)
{
	const uint8_t *p = cursor_bytes(c, 4);

	return p ? (uint32_t)load_le(p, 4) : 0;
}
