/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The reader collects a header octet by octet, decides by type and length what to do with the
 * value, and only then takes memory: for what has arrived, never for what was announced. A value
 * that is there whole is handed out where it lies.
 */

#include "wire/capsule.h"

#include <errno.h>

#define CONTEXT_ID_MAX	 8
#define DATAGRAM_CAPSULE (DATAGRAM_MAX + CONTEXT_ID_MAX)
#define ICMP_ERROR_MAX	 64

/* ---- integers ---- */

size_t varint_put(uint8_t out[8], uint64_t v)
{
	unsigned int log2 = v < 1u << 6 ? 0 : v < 1u << 14 ? 1 : v < 1u << 30 ? 2 : 3;
	size_t n = (size_t)1 << log2;

	for (size_t i = 0; i < n; i++)
		out[i] = (uint8_t)(v >> (8 * (n - 1 - i)));
	out[0] |= (uint8_t)(log2 << 6);
	return n;
}

static size_t varint_length(uint8_t first)
{
	return (size_t)1 << (first >> 6);
}

size_t varint_get(const uint8_t *data, size_t n, uint64_t *vp)
{
	size_t length;
	uint64_t v;

	if (n == 0)
		return 0;
	length = varint_length(data[0]);
	if (length > n)
		return 0;
	v = data[0] & 0x3f;
	for (size_t i = 1; i < length; i++)
		v = v << 8 | data[i];
	*vp = v;
	return length;
}

/* ---- values ---- */

static enum capsule_outcome take_datagram(struct capsule_reader *r, const uint8_t *data, size_t n)
{
	uint64_t context;
	size_t n_context = varint_get(data, n, &context);

	if (n_context == 0)
		return CAPSULE_E_MALFORMED;
	if (context != 0) {
		r->n_skipped++;
		return CAPSULE_OK;
	}
	if (n - n_context > DATAGRAM_MAX)
		return CAPSULE_E_TOO_LARGE;
	r->events->on_datagram(r->ctx, data + n_context, n - n_context);
	return CAPSULE_OK;
}

static enum capsule_outcome take_icmp_error(struct capsule_reader *r, const uint8_t *data, size_t n)
{
	if (n < 2)
		return CAPSULE_E_MALFORMED;
	r->events->on_icmp_error(r->ctx, data[0], data[1]);
	return CAPSULE_OK;
}

static const struct capsule_kind {
	uint64_t type;
	size_t max;
	enum capsule_outcome (*take)(struct capsule_reader *r, const uint8_t *data, size_t n);
} kinds[] = {
	{CAPSULE_DATAGRAM, DATAGRAM_CAPSULE, take_datagram},
	{CAPSULE_ICMP_ERROR, ICMP_ERROR_MAX, take_icmp_error},
};

static const struct capsule_kind *kind_of(uint64_t type)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (kinds[i].type == type)
			return &kinds[i];
	}
	return NULL;
}

/* ---- the reader ---- */

void capsule_reader_init(struct capsule_reader *r, const struct capsule_events *events, void *ctx)
{
	*r = (struct capsule_reader){.events = events, .ctx = ctx};
	buf_init(&r->value, DATAGRAM_CAPSULE);
}

void capsule_reader_deinit(struct capsule_reader *r)
{
	buf_deinit(&r->value);
}

static void await_header(struct capsule_reader *r)
{
	r->state = CAPSULE_STATE_HEADER;
	r->n_header = 0;
}

static int take_value(struct capsule_reader *r, const uint8_t *data, size_t n)
{
	await_header(r);
	return (int)kind_of(r->type)->take(r, data, n);
}

/* The header is complete: where does the value go? */
static int start_value(struct capsule_reader *r)
{
	const struct capsule_kind *kind = kind_of(r->type);

	if (!kind) {
		r->n_skipped++;
		r->state = CAPSULE_STATE_SKIP;
	} else if (r->left > kind->max) {
		return CAPSULE_E_TOO_LARGE;
	} else if (r->left == 0) {
		return take_value(r, NULL, 0);
	} else {
		r->state = CAPSULE_STATE_VALUE;
	}
	if (r->left == 0)
		await_header(r);
	return 0;
}

static int read_header(struct capsule_reader *r, uint8_t octet)
{
	size_t n_type;

	r->header[r->n_header++] = octet;
	n_type = varint_get(r->header, r->n_header, &r->type);
	if (n_type == 0 || varint_get(r->header + n_type, r->n_header - n_type, &r->left) == 0)
		return 0;
	return start_value(r);
}

static int read_value(struct capsule_reader *r, const uint8_t *data, size_t n)
{
	int e;

	r->left -= n;
	if (r->left == 0 && buf_is_empty(&r->value))
		return take_value(r, data, n);
	e = buf_append(&r->value, data, n);
	if (e < 0 || r->left > 0)
		return e;
	e = take_value(r, buf_peek(&r->value), buf_len(&r->value));
	buf_consume(&r->value, buf_len(&r->value));
	return e;
}

static void skip(struct capsule_reader *r, size_t n)
{
	r->left -= n;
	if (r->left == 0)
		await_header(r);
}

/* Some of @data, at least one octet; *@np is how many. */
static int read_some(struct capsule_reader *r, const uint8_t *data, size_t n, size_t *np)
{
	*np = 1;
	if (r->state == CAPSULE_STATE_HEADER)
		return read_header(r, data[0]);
	*np = r->left < n ? (size_t)r->left : n;
	if (r->state == CAPSULE_STATE_VALUE)
		return read_value(r, data, *np);
	skip(r, *np);
	return 0;
}

int capsule_reader_feed(struct capsule_reader *r, const uint8_t *data, size_t n)
{
	while (n > 0 && r->failure == 0) {
		size_t n_read;
		int e = read_some(r, data, n, &n_read);

		if (e != 0) {
			r->failure = e;
			r->state = CAPSULE_STATE_FAILED;
			buf_deinit(&r->value);
		}
		data += n_read;
		n -= n_read;
	}
	return r->failure;
}

size_t capsule_reader_buffered(const struct capsule_reader *r)
{
	return buf_len(&r->value);
}

bool capsule_reader_is_between(const struct capsule_reader *r)
{
	return r->state == CAPSULE_STATE_HEADER && r->n_header == 0;
}

/* ---- the writer ---- */

static size_t put_header(uint8_t *out, uint64_t type, size_t n_value)
{
	size_t n = varint_put(out, type);

	return n + varint_put(out + n, n_value);
}

size_t capsule_put_datagram(uint8_t out[CAPSULE_PUT_MAX], size_t n)
{
	size_t n_header = put_header(out, CAPSULE_DATAGRAM, n + 1);

	out[n_header] = 0; /* the context id */
	return n_header + 1;
}

size_t capsule_put_icmp_error(uint8_t out[CAPSULE_PUT_MAX], uint8_t type, uint8_t code)
{
	size_t n = put_header(out, CAPSULE_ICMP_ERROR, 2);

	out[n++] = type;
	out[n++] = code;
	return n;
}
