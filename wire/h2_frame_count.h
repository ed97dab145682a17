/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * h2_frame_count - how many frames of a byte stream carry nothing for anybody
 *
 * nghttp2 tells of no frame that it ignores: an unknown type, or one for a stream that is closed
 * (RFC 9113 5.1, 5.5). They cost as much as others, so frame heads are read here as well, before
 * nghttp2 sees them. Whether a frame is sound is not looked at.
 */

#include <stddef.h>
#include <stdint.h>

#define H2_FRAME_HEAD 9 /* RFC 9113 4.1 */

struct h2_frame_count {
	uint32_t n_skip; /* bytes up to the next head */
	uint8_t n_head;
	uint8_t head[H2_FRAME_HEAD]; /* the n_head first bytes of one */
};

/* @n_preface: bytes before the first frame (RFC 9113 3.4). */
static inline void h2_frame_count_init(struct h2_frame_count *c, uint32_t n_preface)
{
	*c = (struct h2_frame_count){.n_skip = n_preface};
}

/*
 * The next @n bytes. Returns how many frames began in them that are neither requests, responses nor
 * DATA with bytes.
 */
size_t h2_frame_count_feed(struct h2_frame_count *c, const uint8_t *data, size_t n);
