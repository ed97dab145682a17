/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Every pointer goes through resolve(): it follows at most one far hop, so no
 * loop is possible, and ends in claim(), the only place that checks bounds and
 * pays for the words from the message's budget.
 */

#include "wire/capnp.h"

#include <string.h>

#include "base/cursor.h"

/* A message may be visited this many times over; decoders read each field once or twice. */
#define VISITS_MAX 8u

enum pointer_kind {
	KIND_STRUCT = 0,
	KIND_LIST = 1,
	KIND_FAR = 2,
	KIND_OTHER = 3, /* capability */
};

enum element_size {
	SIZE_VOID = 0,
	SIZE_BIT = 1,
	SIZE_BYTE = 2,
	SIZE_POINTER = 6,
	SIZE_COMPOSITE = 7,
};

static const uint8_t element_bits[] = {0, 1, 8, 16, 32, 64, 64};

/* A pointer after far hops: what it says and the word where its content starts. */
struct target {
	uint64_t word;
	uint32_t segment;
	int64_t start;
};

static void fail(struct capnp_message *m)
{
	m->failed = true;
}

static enum pointer_kind kind_of(uint64_t word)
{
	return (enum pointer_kind)(word & 3);
}

static int32_t offset_of(uint64_t word)
{
	return (int32_t)(uint32_t)word >> 2;
}

static uint32_t struct_data_words(uint64_t word)
{
	return (uint32_t)(word >> 32) & 0xffff;
}

static uint32_t struct_ptrs(uint64_t word)
{
	return (uint32_t)(word >> 48);
}

static uint64_t read_word(const struct capnp_message *m, uint32_t segment, uint32_t at)
{
	return load_le(m->segments[segment].data + (size_t)at * CAPNP_WORD, CAPNP_WORD);
}

/* True if words [@start, @start + @n) exist; @cost words are paid. */
static bool claim(struct capnp_message *m, uint32_t segment, int64_t start, uint64_t n,
		  uint64_t cost)
{
	if (segment >= m->n_segments || start < 0 || cost > m->budget_words ||
	    n > m->segments[segment].n_words ||
	    (uint64_t)start > m->segments[segment].n_words - n) {
		fail(m);
		return false;
	}
	m->budget_words -= cost;
	return true;
}

static bool follow_far(struct capnp_message *m, uint64_t far, struct target *t)
{
	bool is_double = far & 4;
	uint32_t pad = (uint32_t)far >> 3;
	uint32_t segment = (uint32_t)(far >> 32);
	uint64_t word;

	if (!claim(m, segment, pad, is_double ? 2 : 1, 1))
		return false;
	word = read_word(m, segment, pad);
	if (!is_double) {
		*t = (struct target){word, segment, (int64_t)pad + 1 + offset_of(word)};
		if (kind_of(word) == KIND_FAR)
			fail(m);
		return word && kind_of(word) != KIND_FAR;
	}
	/* The first word says where the content is, the second one what it is. */
	*t = (struct target){.word = read_word(m, segment, pad + 1),
			     .segment = (uint32_t)(word >> 32),
			     .start = (uint32_t)word >> 3};
	if (kind_of(word) != KIND_FAR || (word & 4) || kind_of(t->word) == KIND_FAR) {
		fail(m);
		return false;
	}
	return true;
}

/* False: null, or malformed (then noted). */
static bool resolve(struct capnp_message *m, uint32_t segment, uint32_t at, struct target *t)
{
	uint64_t word = read_word(m, segment, at);

	if (!word || m->failed)
		return false;
	if (kind_of(word) == KIND_FAR)
		return follow_far(m, word, t);
	*t = (struct target){word, segment, (int64_t)at + 1 + offset_of(word)};
	return true;
}

/* The pointer field @index, if it exists, is not null and is of @kind. */
static bool find_pointer(const struct capnp_struct *s, uint32_t index, enum pointer_kind kind,
			 struct target *t)
{
	if (!s->msg || index >= s->n_ptrs || !resolve(s->msg, s->segment, s->ptr_word + index, t))
		return false;
	if (kind_of(t->word) != kind || s->depth >= CAPNP_DEPTH_MAX) {
		fail(s->msg);
		return false;
	}
	return true;
}

static struct capnp_struct open_struct(struct capnp_message *m, const struct target *t,
				       uint32_t depth)
{
	uint32_t n_data = struct_data_words(t->word);
	uint32_t n_ptrs = struct_ptrs(t->word);
	uint32_t start = (uint32_t)t->start;

	/* A struct without content may say offset -1, its own pointer. */
	if (!claim(m, t->segment, t->start, n_data + n_ptrs, n_data + n_ptrs + 1))
		return (struct capnp_struct){0};
	return (struct capnp_struct){
		.msg = m,
		.data = m->segments[t->segment].data + (size_t)start * CAPNP_WORD,
		.n_data_bytes = n_data * CAPNP_WORD,
		.n_ptrs = n_ptrs,
		.segment = t->segment,
		.ptr_word = start + n_data,
		.depth = depth,
	};
}

static uint64_t sum_segments(const uint8_t *bytes, uint32_t n_segments)
{
	uint64_t n_words = 0;

	for (uint32_t i = 0; i < n_segments; i++)
		n_words += load_le(bytes + 4 + 4 * (size_t)i, 4);
	return n_words;
}

/* Bytes of the frame header: count, sizes, padding to a word. */
static size_t header_bytes(uint32_t n_segments)
{
	return (4 + 4 * (size_t)n_segments + 7) & ~(size_t)7;
}

int capnp_message_open(struct capnp_message *m, const uint8_t *bytes, size_t n)
{
	struct cursor c = cursor_of(bytes, n);
	uint64_t n_words;
	size_t header;

	*m = (struct capnp_message){.n_segments = cursor_u32(&c)};
	if (c.failed)
		return CAPNP_E_MALFORMED;
	if (m->n_segments >= CAPNP_SEGMENTS_MAX)
		return CAPNP_E_LIMIT;
	header = header_bytes(++m->n_segments);
	if (n < header)
		return CAPNP_E_MALFORMED;
	n_words = sum_segments(bytes, m->n_segments);
	if (n_words > (n - header) / CAPNP_WORD || n_words * CAPNP_WORD != n - header)
		return CAPNP_E_MALFORMED;

	m->budget_words = n_words * VISITS_MAX;
	bytes += header;
	for (uint32_t i = 0; i < m->n_segments; i++) {
		m->segments[i] = (struct capnp_segment){bytes, cursor_u32(&c)};
		bytes += (size_t)m->segments[i].n_words * CAPNP_WORD;
	}
	return CAPNP_OK;
}

struct capnp_struct capnp_message_root(struct capnp_message *m)
{
	struct target t;

	if (!claim(m, 0, 0, 1, 1) || !resolve(m, 0, 0, &t))
		return (struct capnp_struct){0};
	if (kind_of(t.word) != KIND_STRUCT) {
		fail(m);
		return (struct capnp_struct){0};
	}
	return open_struct(m, &t, 1);
}

bool capnp_message_is_ok(const struct capnp_message *m)
{
	return !m->failed;
}

uint64_t capnp_get_uint(const struct capnp_struct *s, uint32_t at, uint32_t n_bytes)
{
	return at + n_bytes <= s->n_data_bytes ? load_le(s->data + at, n_bytes) : 0;
}

bool capnp_get_bool(const struct capnp_struct *s, uint32_t bit)
{
	return capnp_get_uint(s, bit / 8, 1) >> (bit % 8) & 1;
}

struct capnp_struct capnp_get_struct(const struct capnp_struct *s, uint32_t index)
{
	struct target t;

	if (!find_pointer(s, index, KIND_STRUCT, &t))
		return (struct capnp_struct){0};
	return open_struct(s->msg, &t, s->depth + 1);
}

/* Composite: the first word of the content is a tag that describes the elements. */
static struct capnp_list open_composite(struct capnp_message *m, const struct target *t)
{
	uint32_t n_words = (uint32_t)(t->word >> 35);
	uint32_t n, step;
	uint64_t tag;

	if (!claim(m, t->segment, t->start, (uint64_t)n_words + 1, (uint64_t)n_words + 1))
		return (struct capnp_list){0};
	tag = read_word(m, t->segment, (uint32_t)t->start);
	n = (uint32_t)tag >> 2;
	step = struct_data_words(tag) + struct_ptrs(tag);
	/* Elements of size zero cost nothing on the wire, so they pay here. */
	if (kind_of(tag) != KIND_STRUCT || (uint64_t)n * step > n_words ||
	    (!step && n > m->budget_words)) {
		fail(m);
		return (struct capnp_list){0};
	}
	m->budget_words -= step ? 0 : n;
	return (struct capnp_list){
		.msg = m,
		.n = n,
		.step_bytes = step * CAPNP_WORD,
		.n_data_bytes = struct_data_words(tag) * CAPNP_WORD,
		.n_ptrs = struct_ptrs(tag),
		.segment = t->segment,
		.first_word = (uint32_t)t->start + 1,
	};
}

static struct capnp_list open_simple(struct capnp_message *m, const struct target *t,
				     enum element_size size)
{
	uint32_t n = (uint32_t)(t->word >> 35);
	uint64_t n_words = ((uint64_t)n * element_bits[size] + 63) / 64;
	uint32_t step_bytes = element_bits[size] / 8;

	if (!claim(m, t->segment, t->start, n_words, size == SIZE_VOID ? n : n_words))
		return (struct capnp_list){0};
	/* Bits are no structs. */
	if (size == SIZE_BIT) {
		fail(m);
		return (struct capnp_list){0};
	}
	return (struct capnp_list){
		.msg = m,
		.n = n,
		.step_bytes = step_bytes,
		.n_data_bytes = size == SIZE_POINTER ? 0 : step_bytes,
		.n_ptrs = size == SIZE_POINTER,
		.segment = t->segment,
		.first_word = (uint32_t)t->start,
	};
}

struct capnp_list capnp_get_list(const struct capnp_struct *s, uint32_t index)
{
	struct capnp_list l;
	struct target t;
	enum element_size size;

	if (!find_pointer(s, index, KIND_LIST, &t))
		return (struct capnp_list){0};
	size = (enum element_size)(t.word >> 32 & 7);
	l = size == SIZE_COMPOSITE ? open_composite(s->msg, &t) : open_simple(s->msg, &t, size);
	l.depth = s->depth + 1;
	return l;
}

struct capnp_struct capnp_list_get(const struct capnp_list *l, uint32_t i)
{
	size_t at = (size_t)i * l->step_bytes;

	if (!l->msg || i >= l->n)
		return (struct capnp_struct){0};
	return (struct capnp_struct){
		.msg = l->msg,
		.data = l->msg->segments[l->segment].data + (size_t)l->first_word * CAPNP_WORD + at,
		.n_data_bytes = l->n_data_bytes,
		.n_ptrs = l->n_ptrs,
		.segment = l->segment,
		.ptr_word = l->first_word + (uint32_t)((at + l->n_data_bytes) / CAPNP_WORD),
		.depth = l->depth,
	};
}

const uint8_t *capnp_get_data(const struct capnp_struct *s, uint32_t index, size_t *np)
{
	struct target t;
	uint32_t n;

	*np = 0;
	if (!find_pointer(s, index, KIND_LIST, &t))
		return NULL;
	n = (uint32_t)(t.word >> 35);
	if ((t.word >> 32 & 7) != SIZE_BYTE) {
		fail(s->msg);
		return NULL;
	}
	if (!claim(s->msg, t.segment, t.start, ((uint64_t)n + 7) / 8, ((uint64_t)n + 7) / 8))
		return NULL;
	*np = n;
	return s->msg->segments[t.segment].data + (size_t)t.start * CAPNP_WORD;
}

const char *capnp_get_text(const struct capnp_struct *s, uint32_t index)
{
	size_t n;
	const uint8_t *data = capnp_get_data(s, index, &n);

	if (!data)
		return "";
	if (!n || memchr(data, '\0', n) != data + n - 1) {
		fail(s->msg);
		return "";
	}
	return (const char *)data;
}

bool capnp_get_cap(const struct capnp_struct *s, uint32_t index, uint32_t *capp)
{
	struct target t;

	if (!find_pointer(s, index, KIND_OTHER, &t))
		return false;
	if ((uint32_t)t.word != KIND_OTHER) {
		fail(s->msg);
		return false;
	}
	*capp = (uint32_t)(t.word >> 32);
	return true;
}
