/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CAP_MIN 256

void buf_init(struct buf *b, size_t max_bytes)
{
	*b = (struct buf){.max = max_bytes};
}

void buf_init_secret(struct buf *b, size_t max_bytes)
{
	*b = (struct buf){.max = max_bytes, .is_secret = true};
}

/* Bytes from @at on, which nobody may read any more. */
static void forget(struct buf *b, size_t at, size_t n)
{
	if (b->is_secret && n)
		explicit_bzero(b->data + at, n);
}

static void drop_block(struct buf *b)
{
	forget(b, 0, b->cap);
	free(b->data);
}

void buf_deinit(struct buf *b)
{
	drop_block(b);
	*b = (struct buf){.max = b->max, .is_secret = b->is_secret};
}

/* Doubling, from CAP_MIN up to the maximum. @need is within it. */
static size_t next_cap(const struct buf *b, size_t need)
{
	size_t cap = b->cap ? b->cap : CAP_MIN;

	while (cap < need && cap <= b->max / 2)
		cap *= 2;
	return cap < need || cap > b->max ? b->max : cap;
}

static void move_to_front(struct buf *b)
{
	memmove(b->data, b->data + b->head, b->len);
	forget(b, b->len, b->head);
	b->head = 0;
}

static int grow(struct buf *b, size_t need)
{
	size_t cap = next_cap(b, need);
	uint8_t *data = malloc(cap);

	if (!data)
		return -ENOMEM;
	if (b->len)
		memcpy(data, b->data + b->head, b->len);
	drop_block(b);
	b->data = data;
	b->cap = cap;
	b->head = 0;
	return 0;
}

/*
 * Makes room behind the unread bytes. Moving them is cheap only if as many were
 * consumed before; otherwise a larger block is taken while the maximum allows one.
 */
static int make_room(struct buf *b, size_t n)
{
	size_t need = b->len + n;

	if (b->data && b->cap - b->head - b->len >= n)
		return 0;
	if (need <= b->cap && (b->head >= b->len || b->cap >= b->max)) {
		move_to_front(b);
		return 0;
	}
	return grow(b, need > b->cap ? need : b->cap + 1);
}

int buf_reserve(struct buf *b, size_t n)
{
	if (n > b->max - b->len)
		return -ENOBUFS;
	return n == 0 ? 0 : make_room(b, n);
}

int buf_append(struct buf *b, const void *data, size_t n)
{
	int r = buf_reserve(b, n);

	if (r < 0 || n == 0)
		return r;
	memcpy(b->data + b->head + b->len, data, n);
	b->len += n;
	return 0;
}

void buf_move(struct buf *to, struct buf *from)
{
	size_t max = to->max;

	assert(to->len == 0 && from->len <= max && to->is_secret == from->is_secret);
	*to = *from;
	to->max = max;
	*from = (struct buf){.max = from->max, .is_secret = from->is_secret};
}

void buf_consume(struct buf *b, size_t n)
{
	forget(b, b->head, n);
	b->head += n;
	b->len -= n;
	if (b->len == 0)
		buf_deinit(b);
}

size_t buf_take(struct buf *b, void *out, size_t cap)
{
	size_t n = b->len < cap ? b->len : cap;

	if (n == 0)
		return 0;
	memcpy(out, buf_peek(b), n);
	buf_consume(b, n);
	return n;
}
