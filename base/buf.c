/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CAP_MIN 256

void buf_init(struct buf *b, size_t max_bytes)
{
	assert(max_bytes <= UINT32_MAX);
	*b = (struct buf){.max = (uint32_t)max_bytes};
}

void buf_init_secret(struct buf *b, size_t max_bytes)
{
	buf_init(b, max_bytes);
	b->is_secret = true;
}

static size_t cap_of(const struct buf *b)
{
	return b->block ? b->block->cap : 0;
}

/* Bytes from @at on, which nobody may read any more. */
static void forget(struct buf *b, size_t at, size_t n)
{
	if (b->is_secret)
		explicit_bzero(b->block->bytes + at, n);
}

static void drop_block(struct buf *b)
{
	if (b->block)
		forget(b, 0, b->block->cap);
	free(b->block);
	b->block = NULL;
}

void buf_deinit(struct buf *b)
{
	drop_block(b);
}

/* Doubling, from CAP_MIN up to the maximum. @need is within it. */
static size_t next_cap(const struct buf *b, size_t need)
{
	size_t cap = b->block ? b->block->cap : CAP_MIN;

	while (cap < need && cap <= b->max / 2)
		cap *= 2;
	return cap < need || cap > b->max ? b->max : cap;
}

static void move_to_front(struct buf *b)
{
	struct buf_block *k = b->block;

	memmove(k->bytes, k->bytes + k->head, k->len);
	forget(b, k->len, k->head);
	k->head = 0;
}

static int grow(struct buf *b, size_t need)
{
	size_t cap = next_cap(b, need);
	size_t len = buf_len(b);
	struct buf_block *k = malloc(sizeof(*k) + cap);

	if (!k)
		return -ENOMEM;
	*k = (struct buf_block){.cap = (uint32_t)cap, .len = (uint32_t)len};
	if (len)
		memcpy(k->bytes, buf_peek(b), len);
	drop_block(b);
	b->block = k;
	return 0;
}

/*
 * Makes room behind the unread bytes. Moving them is cheap only if as many were
 * consumed before; otherwise a larger block is taken while the maximum allows one.
 */
static int make_room(struct buf *b, size_t n)
{
	const struct buf_block *k = b->block;
	size_t need = buf_len(b) + n;
	size_t cap = cap_of(b);

	if (k && cap - k->head - k->len >= n)
		return 0;
	if (k && need <= cap && (k->head >= k->len || cap >= b->max)) {
		move_to_front(b);
		return 0;
	}
	return grow(b, need > cap ? need : cap + 1);
}

int buf_reserve(struct buf *b, size_t n)
{
	if (n > b->max - buf_len(b))
		return -ENOBUFS;
	return n == 0 ? 0 : make_room(b, n);
}

int buf_append(struct buf *b, const void *data, size_t n)
{
	int r = buf_reserve(b, n);

	if (r < 0 || n == 0)
		return r;
	memcpy(b->block->bytes + b->block->head + b->block->len, data, n);
	b->block->len += (uint32_t)n;
	return 0;
}

void buf_move(struct buf *to, struct buf *from)
{
	assert(buf_is_empty(to) && buf_len(from) <= to->max && to->is_secret == from->is_secret);
	drop_block(to);
	to->block = from->block;
	from->block = NULL;
}

void buf_consume(struct buf *b, size_t n)
{
	if (n == 0)
		return;
	forget(b, b->block->head, n);
	b->block->head += (uint32_t)n;
	b->block->len -= (uint32_t)n;
	if (b->block->len == 0)
		drop_block(b);
}

size_t buf_take(struct buf *b, void *out, size_t cap)
{
	size_t n = buf_len(b) < cap ? buf_len(b) : cap;

	if (n == 0)
		return 0;
	memcpy(out, buf_peek(b), n);
	buf_consume(b, n);
	return n;
}
