/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * buf - byte queue with a hard maximum
 *
 * Bytes go in at the end and out at the front. Nothing is allocated while it
 * is empty: memory comes with the first byte and goes with the last, so that
 * an idle stream costs its struct only.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf {
	uint8_t *data;
	size_t head; /* first unread byte */
	size_t len;  /* unread bytes */
	size_t cap;
	size_t max; /* limit of len, in bytes */
	bool is_secret;
};

/* An empty queue that will hold up to @max_bytes; allocates nothing. */
void buf_init(struct buf *b, size_t max_bytes);
/* The same for secrets: memory is wiped when bytes leave it. */
void buf_init_secret(struct buf *b, size_t max_bytes);
void buf_deinit(struct buf *b);

/* Makes sure that @n more bytes can be appended: 0, -ENOBUFS over the maximum, -ENOMEM. */
int buf_reserve(struct buf *b, size_t n);

/* Copies all @n bytes, or none: -ENOBUFS over the maximum, -ENOMEM. */
int buf_append(struct buf *b, const void *data, size_t n);

/* Valid until the next call that changes @b. */
static inline const uint8_t *buf_peek(const struct buf *b)
{
	return b->data + b->head;
}

static inline size_t buf_len(const struct buf *b)
{
	return b->len;
}

static inline bool buf_is_empty(const struct buf *b)
{
	return b->len == 0;
}

/* All of @from becomes @to's, which must be empty and keeps its maximum; @from is empty after. */
void buf_move(struct buf *to, struct buf *from);

/* Drops @n bytes at the front; @n must not exceed buf_len(). */
void buf_consume(struct buf *b, size_t n);

/* Moves up to @cap bytes to @out and returns how many. */
size_t buf_take(struct buf *b, void *out, size_t cap);
