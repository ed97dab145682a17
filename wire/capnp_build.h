/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * capnp_build - writes one Cap'n Proto message of a single segment, framed
 *
 * Objects are laid out in the order in which they are made, as stock does. A
 * failure (over the limit, no memory) sticks; the put and new functions do
 * nothing from then on and capnp_builder_finish() reports it.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

struct capnp_builder {
	uint8_t *bytes; /* frame header and segment */
	size_t n;
	size_t cap;
	size_t max_bytes;
	int error;
};

/* A struct being written. A copy is as good as the original. */
struct capnp_out {
	struct capnp_builder *b;
	uint32_t word; /* of the segment */
	uint16_t n_data;
	uint16_t n_ptrs;
};

struct capnp_out_list {
	struct capnp_builder *b;
	uint32_t first_word;
	uint32_t n;
	uint16_t n_data;
	uint16_t n_ptrs;
};

void capnp_builder_init(struct capnp_builder *b, size_t max_bytes);
/* Wipes: messages carry secrets. */
void capnp_builder_deinit(struct capnp_builder *b);
/* 0 with the framed message, borrowed; -EMSGSIZE over the limit, -ENOMEM. */
NODISCARD int capnp_builder_finish(struct capnp_builder *b, const uint8_t **datap, size_t *np);

/* Sizes in words and pointers. The root comes first. */
struct capnp_out capnp_new_root(struct capnp_builder *b, uint16_t n_data, uint16_t n_ptrs);
struct capnp_out capnp_new_struct(struct capnp_out parent, uint16_t index, uint16_t n_data,
				  uint16_t n_ptrs);
struct capnp_out_list capnp_new_list(struct capnp_out parent, uint16_t index, size_t n,
				     uint16_t n_data, uint16_t n_ptrs);
/* @i below the list's length. */
struct capnp_out capnp_out_list_at(struct capnp_out_list l, uint32_t i);

/* @at and @n_bytes in bytes, @bit in bits of the data section. */
void capnp_put_uint(struct capnp_out s, uint16_t at, uint16_t n_bytes, uint64_t value);
void capnp_put_bool(struct capnp_out s, uint16_t bit, bool value);
/* NULL and empty become a null pointer. */
void capnp_put_text(struct capnp_out s, uint16_t index, const char *text);
void capnp_put_data(struct capnp_out s, uint16_t index, const void *data, size_t n);
void capnp_put_text_list(struct capnp_out s, uint16_t index, const char *const *texts, size_t n);
/* A capability: an index into the payload's table. */
void capnp_put_cap(struct capnp_out s, uint16_t index, uint32_t cap);

/*
 * Appends @n_words words of another segment verbatim and lets pointer @index say
 * @pointer, moved: @pointer is a struct pointer at word @at of those words.
 */
void capnp_put_segment(struct capnp_out s, uint16_t index, const uint8_t *words, size_t n_words,
		       uint64_t pointer, uint32_t at);
