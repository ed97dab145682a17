/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * buf - byte queue with a hard maximum
 *
 * Bytes go in at the end and out at the front. Nothing is allocated while it
 * is empty: memory comes with the first byte and goes with the last, so that
 * an idle stream costs its struct only.
 */

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf_block {
	uint32_t head; /* first unread byte */
	uint32_t len;  /* unread bytes */
	uint32_t cap;
	uint8_t bytes[];
};

struct buf {
	struct buf_block *block; /* NULL: empty */
	uint32_t max;		 /* limit of len, in bytes */
	bool is_secret;
};

static_assert(sizeof(struct buf) <= 16, "every idle stream has two of them");

/* An empty queue that will hold up to @max_bytes, at most UINT32_MAX; allocates nothing. */
void buf_init(struct buf *b, size_t max_bytes);
/* The same for secrets: memory is wiped when bytes leave it. */
void buf_init_secret(struct buf *b, size_t max_bytes);
void buf_deinit(struct buf *b);

/* Makes sure that @n more bytes can be appended: 0, -ENOBUFS over the maximum, -ENOMEM. */
int buf_reserve(struct buf *b, size_t n);

/* Copies all @n bytes, or none: -ENOBUFS over the maximum, -ENOMEM. */
int buf_append(struct buf *b, const void *data, size_t n);

/* Valid until the next call that changes @b; NULL if there is no byte. */
static inline const uint8_t *buf_peek(const struct buf *b)
{
	return b->block ? b->block->bytes + b->block->head : NULL;
}

static inline size_t buf_len(const struct buf *b)
{
	return b->block ? b->block->len : 0;
}

static inline bool buf_is_empty(const struct buf *b)
{
	return buf_len(b) == 0;
}

/* All of @from becomes @to's, which must be empty and keeps its maximum; @from is empty after. */
void buf_move(struct buf *to, struct buf *from);

/* Drops @n bytes at the front; @n must not exceed buf_len(). */
void buf_consume(struct buf *b, size_t n);

/* Moves up to @cap bytes to @out and returns how many. */
size_t buf_take(struct buf *b, void *out, size_t cap);
