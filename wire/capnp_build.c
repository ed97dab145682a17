/* SPDX-License-Identifier: Apache-2.0 */

/*
 * One segment, which moves when it grows: an object is named by its word, never by a pointer.
 * The old place is wiped, because a message may hold a tunnel's secret.
 */

#include "wire/capnp_build.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"
#include "wire/capnp.h"

#define FRAME_BYTES    8u
#define FIRST_ALLOC    512u
#define LIST_BYTES     2u
#define LIST_POINTERS  6u
#define LIST_COMPOSITE 7u
/* 29 bits of a list pointer */
#define LIST_MAX ((1u << 29) - 1)

void capnp_builder_init(struct capnp_builder *b, size_t max_bytes)
{
	*b = (struct capnp_builder){.n = FRAME_BYTES, .max_bytes = max_bytes};
}

static void drop_bytes(struct capnp_builder *b)
{
	if (b->bytes)
		explicit_bzero(b->bytes, b->cap);
	free(b->bytes);
	b->bytes = NULL;
}

void capnp_builder_deinit(struct capnp_builder *b)
{
	drop_bytes(b);
	capnp_builder_init(b, b->max_bytes);
}

static int grow(struct capnp_builder *b, size_t n)
{
	size_t cap = b->cap ? b->cap : FIRST_ALLOC;
	uint8_t *bytes;

	while (cap < n)
		cap *= 2;
	bytes = calloc(1, cap);
	if (!bytes)
		return -ENOMEM;
	if (b->bytes)
		memcpy(bytes, b->bytes, b->n);
	drop_bytes(b);
	b->bytes = bytes;
	b->cap = cap;
	return 0;
}

/* The first of @n_words zeroed words at the end; 0 on failure (word 0 is the root pointer). */
static uint32_t take_words(struct capnp_builder *b, size_t n_words)
{
	size_t at = b->n;

	if (b->error)
		return 0;
	if (n_words > (b->max_bytes - at) / CAPNP_WORD)
		b->error = -EMSGSIZE;
	else if (!b->bytes || at + n_words * CAPNP_WORD > b->cap)
		b->error = grow(b, at + n_words * CAPNP_WORD);
	if (b->error)
		return 0;
	b->n += n_words * CAPNP_WORD;
	return (uint32_t)((at - FRAME_BYTES) / CAPNP_WORD);
}

static uint8_t *word_ptr(struct capnp_builder *b, uint32_t word)
{
	return b->bytes + FRAME_BYTES + (size_t)word * CAPNP_WORD;
}

static void put_word(struct capnp_builder *b, uint32_t word, uint64_t value)
{
	if (!b->error)
		store_le(word_ptr(b, word), value, CAPNP_WORD);
}

static uint32_t ptr_word(struct capnp_out s, uint16_t index)
{
	return s.word + s.n_data + index;
}

/* The low half of a pointer at word @from to content at word @to. */
static uint64_t pointer_to(uint32_t from, uint32_t to, unsigned int kind)
{
	return (uint32_t)((to - from - 1) << 2 | kind);
}

static uint64_t struct_size(uint16_t n_data, uint16_t n_ptrs)
{
	return (uint64_t)n_data << 32 | (uint64_t)n_ptrs << 48;
}

static struct capnp_out new_struct_at(struct capnp_builder *b, uint32_t from, uint16_t n_data,
				      uint16_t n_ptrs)
{
	uint32_t to = take_words(b, (size_t)n_data + n_ptrs);

	/* Without content there is nothing to point at: the pointer says offset -1. */
	if (!n_data && !n_ptrs)
		to = from;
	put_word(b, from, pointer_to(from, to, 0) | struct_size(n_data, n_ptrs));
	return (struct capnp_out){b, to, n_data, n_ptrs};
}

static void put_list_pointer(struct capnp_builder *b, uint32_t from, uint32_t to, unsigned int size,
			     size_t count)
{
	put_word(b, from, pointer_to(from, to, 1) | (uint64_t)size << 32 | (uint64_t)count << 35);
}

static void put_bytes_at(struct capnp_builder *b, uint32_t from, const void *data, size_t n,
			 size_t n_nul)
{
	uint32_t to;

	if (n + n_nul > LIST_MAX) {
		b->error = b->error ? b->error : -EMSGSIZE;
		return;
	}
	to = take_words(b, (n + n_nul + 7) / 8);
	if (b->error)
		return;
	memcpy(word_ptr(b, to), data, n);
	put_list_pointer(b, from, to, LIST_BYTES, n + n_nul);
}

struct capnp_out capnp_new_root(struct capnp_builder *b, uint16_t n_data, uint16_t n_ptrs)
{
	return new_struct_at(b, take_words(b, 1), n_data, n_ptrs);
}

struct capnp_out capnp_new_struct(struct capnp_out parent, uint16_t index, uint16_t n_data,
				  uint16_t n_ptrs)
{
	return new_struct_at(parent.b, ptr_word(parent, index), n_data, n_ptrs);
}

struct capnp_out_list capnp_new_list(struct capnp_out parent, uint16_t index, size_t n,
				     uint16_t n_data, uint16_t n_ptrs)
{
	struct capnp_builder *b = parent.b;
	size_t step = (size_t)n_data + n_ptrs;
	uint32_t to;

	if (n > LIST_MAX || n * step > LIST_MAX) {
		b->error = b->error ? b->error : -EMSGSIZE;
		n = 0;
	}
	to = take_words(b, 1 + n * step);
	put_list_pointer(b, ptr_word(parent, index), to, LIST_COMPOSITE, n * step);
	put_word(b, to, (uint64_t)n << 2 | struct_size(n_data, n_ptrs));
	return (struct capnp_out_list){b, to + 1, (uint32_t)n, n_data, n_ptrs};
}

struct capnp_out capnp_out_list_at(struct capnp_out_list l, uint32_t i)
{
	uint32_t step = (uint32_t)l.n_data + l.n_ptrs;

	return (struct capnp_out){l.b, l.first_word + i * step, l.n_data, l.n_ptrs};
}

void capnp_put_uint(struct capnp_out s, uint16_t at, uint16_t n_bytes, uint64_t value)
{
	if (!s.b->error)
		store_le(word_ptr(s.b, s.word) + at, value, n_bytes);
}

void capnp_put_bool(struct capnp_out s, uint16_t bit, bool value)
{
	if (!s.b->error && value)
		word_ptr(s.b, s.word)[bit / 8] |= (uint8_t)(1u << (bit % 8));
}

void capnp_put_text(struct capnp_out s, uint16_t index, const char *text)
{
	if (text && *text)
		put_bytes_at(s.b, ptr_word(s, index), text, strlen(text), 1);
}

void capnp_put_data(struct capnp_out s, uint16_t index, const void *data, size_t n)
{
	if (n)
		put_bytes_at(s.b, ptr_word(s, index), data, n, 0);
}

void capnp_put_text_list(struct capnp_out s, uint16_t index, const char *const *texts, size_t n)
{
	uint32_t to = n <= LIST_MAX ? take_words(s.b, n) : 0;

	if (!n || s.b->error)
		return;
	put_list_pointer(s.b, ptr_word(s, index), to, LIST_POINTERS, n);
	for (uint32_t i = 0; i < n; i++) {
		if (texts[i][0])
			put_bytes_at(s.b, to + i, texts[i], strlen(texts[i]), 1);
	}
}

void capnp_put_cap(struct capnp_out s, uint16_t index, uint32_t cap)
{
	put_word(s.b, ptr_word(s, index), 3 | (uint64_t)cap << 32);
}

void capnp_put_segment(struct capnp_out s, uint16_t index, const uint8_t *words, size_t n_words,
		       uint64_t pointer, uint32_t at)
{
	uint32_t from = ptr_word(s, index);
	uint32_t to = take_words(s.b, n_words);
	uint32_t offset;

	if (s.b->error)
		return;
	memcpy(word_ptr(s.b, to), words, n_words * CAPNP_WORD);
	offset = ((uint32_t)pointer >> 2) + to + at - from;
	put_word(s.b, from, (pointer & ~0xffffffffull) | (uint32_t)(offset << 2));
}

int capnp_builder_finish(struct capnp_builder *b, const uint8_t **datap, size_t *np)
{
	if (b->error)
		return b->error;
	store_le(b->bytes, 0, 4);
	store_le(b->bytes + 4, (b->n - FRAME_BYTES) / CAPNP_WORD, 4);
	*datap = b->bytes;
	*np = b->n;
	return 0;
}
