/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * capnp - reader for unpacked Cap'n Proto messages, and their stream framing
 *
 * Encoding: https://capnproto.org/encoding.html. Getters never fail: what is
 * absent, of another kind or out of bounds reads as null, zero or "". What is
 * malformed is remembered in the message; the caller asks once at the end with
 * capnp_message_is_ok(). All views point into the message's bytes.
 *
 * Limits: segments, nesting depth, and words that may be visited in total, so
 * that overlapping pointers can't make a small message expensive. No recursion.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

#define CAPNP_WORD	   8u
#define CAPNP_SEGMENTS_MAX 64u
#define CAPNP_DEPTH_MAX	   32u

enum capnp_outcome {
	CAPNP_OK = 0,
	CAPNP_E_MALFORMED = 1,
	CAPNP_E_LIMIT = 2, /* segments or size over the limit */
	CAPNP_COMPLETE = 3 /* capnp_splitter_next(): here is a message */
};

struct capnp_segment {
	const uint8_t *data;
	uint32_t n_words;
};

struct capnp_message {
	struct capnp_segment segments[CAPNP_SEGMENTS_MAX];
	uint32_t n_segments;
	bool failed;
	uint64_t budget_words; /* that may still be visited */
};

/* A struct; @msg NULL: the null struct, whose fields all read as zero. */
struct capnp_struct {
	struct capnp_message *msg;
	const uint8_t *data;
	uint32_t n_data_bytes;
	uint32_t n_ptrs;
	uint32_t segment;
	uint32_t ptr_word; /* where the pointers start in the segment */
	uint32_t depth;
};

/* A list as a list of structs; other elements are structs with one field. */
struct capnp_list {
	struct capnp_message *msg;
	uint32_t n;
	uint32_t step_bytes;
	uint32_t n_data_bytes; /* per element */
	uint32_t n_ptrs;       /* per element */
	uint32_t segment;
	uint32_t first_word;
	uint32_t depth;
};

/*
 * Opens one framed message: exactly @n bytes, borrowed while anything of it is
 * used. 0, CAPNP_E_MALFORMED or CAPNP_E_LIMIT.
 */
NODISCARD int capnp_message_open(struct capnp_message *m, const uint8_t *bytes, size_t n);
/* The root struct, or the null struct. */
struct capnp_struct capnp_message_root(struct capnp_message *m);
/* False once anything that was read proved malformed or over a limit. */
bool capnp_message_is_ok(const struct capnp_message *m);

static inline bool capnp_struct_is_null(const struct capnp_struct *s)
{
	return !s->msg;
}

/* Primitive fields: @at and @n_bytes in bytes, @bit in bits of the data section. */
uint64_t capnp_get_uint(const struct capnp_struct *s, uint32_t at, uint32_t n_bytes);
bool capnp_get_bool(const struct capnp_struct *s, uint32_t bit);

/* Pointer fields by index. */
struct capnp_struct capnp_get_struct(const struct capnp_struct *s, uint32_t index);
struct capnp_list capnp_get_list(const struct capnp_struct *s, uint32_t index);
/* Never NULL. Text without its NUL, or with a NUL inside, is malformed. */
const char *capnp_get_text(const struct capnp_struct *s, uint32_t index);
/* NULL with *@np = 0 when absent. */
const uint8_t *capnp_get_data(const struct capnp_struct *s, uint32_t index, size_t *np);
/* True if it is a capability; its place in the payload's table in *@capp. */
bool capnp_get_cap(const struct capnp_struct *s, uint32_t index, uint32_t *capp);

/* Element @i as a struct (for text and data: its pointer 0); null beyond the end. */
struct capnp_struct capnp_list_get(const struct capnp_list *l, uint32_t i);

/*
 * Cuts a byte stream into messages. Memory grows with the bytes that arrived,
 * never with what a header promises, and is wiped: messages carry secrets.
 */
struct capnp_splitter {
	uint8_t *bytes;
	size_t n; /* bytes gathered */
	size_t cap;
	size_t need; /* bytes until the next decision */
	uint32_t phase;
	size_t max_bytes;
};

void capnp_splitter_init(struct capnp_splitter *sp, size_t max_bytes);
void capnp_splitter_deinit(struct capnp_splitter *sp);

/*
 * Takes bytes from *@datap (moved on, as is *@np). CAPNP_COMPLETE: *@msgp has a
 * whole message of *@n_msgp bytes, valid until the next call; call again for
 * the rest. 0: all was taken. CAPNP_E_LIMIT or -ENOMEM: the stream is lost.
 */
NODISCARD int capnp_splitter_next(struct capnp_splitter *sp, const uint8_t **datap, size_t *np,
				  const uint8_t **msgp, size_t *n_msgp);
