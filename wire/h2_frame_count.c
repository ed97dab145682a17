/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/h2_frame_count.h"

#include <nghttp2/nghttp2.h>
#include <stdbool.h>
#include <string.h>

/* The bounds of these are the windows and the numbers of streams and of their headers. */
static bool carries(uint8_t type, uint32_t length)
{
	switch (type) {
	case NGHTTP2_DATA:
		return length > 0;
	case NGHTTP2_HEADERS:
	case NGHTTP2_PUSH_PROMISE:
	case NGHTTP2_CONTINUATION:
		return true;
	default:
		return false;
	}
}

/* Takes of a head what there is; returns how many bytes. */
static size_t take_head(struct h2_frame_count *c, const uint8_t *data, size_t n)
{
	size_t missing = H2_FRAME_HEAD - c->n_head;

	if (n > missing)
		n = missing;
	memcpy(c->head + c->n_head, data, n);
	c->n_head += (uint8_t)n;
	return n;
}

static uint32_t length_of(const struct h2_frame_count *c)
{
	return (uint32_t)c->head[0] << 16 | (uint32_t)c->head[1] << 8 | c->head[2];
}

size_t h2_frame_count_feed(struct h2_frame_count *c, const uint8_t *data, size_t n)
{
	size_t n_idle = 0;
	size_t at = 0;

	while (at < n) {
		if (c->n_skip > 0) {
			size_t skip = c->n_skip < n - at ? c->n_skip : n - at;

			at += skip;
			c->n_skip -= (uint32_t)skip;
			continue;
		}
		at += take_head(c, data + at, n - at);
		if (c->n_head < H2_FRAME_HEAD)
			break;
		c->n_head = 0;
		c->n_skip = length_of(c);
		n_idle += !carries(c->head[3], c->n_skip);
	}
	return n_idle;
}
