/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"
#include "wire/capnp.h"

#define FIRST_ALLOC 512u

/* What the bytes gathered so far must reach before something is known. */
enum phase {
	PHASE_COUNT, /* the number of segments */
	PHASE_TABLE, /* their sizes */
	PHASE_BODY,
	PHASE_DONE, /* handed out; the next call starts over */
};

void capnp_splitter_init(struct capnp_splitter *sp, size_t max_bytes)
{
	*sp = (struct capnp_splitter){.need = CAPNP_WORD, .max_bytes = max_bytes};
}

static void drop_bytes(struct capnp_splitter *sp)
{
	if (sp->bytes)
		explicit_bzero(sp->bytes, sp->n);
	free(sp->bytes);
	sp->bytes = NULL;
}

void capnp_splitter_deinit(struct capnp_splitter *sp)
{
	drop_bytes(sp);
	capnp_splitter_init(sp, sp->max_bytes);
}

/* Room for @n bytes; a realloc() would leave a copy of secrets behind. */
static int reserve(struct capnp_splitter *sp, size_t n)
{
	size_t cap = sp->cap ? sp->cap : FIRST_ALLOC;
	uint8_t *bytes;

	if (n <= sp->cap)
		return 0;
	while (cap < n)
		cap *= 2;
	bytes = malloc(cap);
	if (!bytes)
		return -ENOMEM;
	if (sp->n)
		memcpy(bytes, sp->bytes, sp->n);
	drop_bytes(sp);
	sp->bytes = bytes;
	sp->cap = cap;
	return 0;
}

static int gather(struct capnp_splitter *sp, const uint8_t **datap, size_t *np)
{
	size_t n = sp->need - sp->n;
	int r;

	if (n > *np)
		n = *np;
	r = reserve(sp, sp->n + n);
	if (r < 0)
		return r;
	memcpy(sp->bytes + sp->n, *datap, n);
	sp->n += n;
	*datap += n;
	*np -= n;
	return 0;
}

static int read_count(struct capnp_splitter *sp)
{
	uint64_t n_segments = load_le(sp->bytes, 4) + 1;

	if (n_segments > CAPNP_SEGMENTS_MAX)
		return CAPNP_E_LIMIT;
	sp->need = (4 + 4 * (size_t)n_segments + 7) & ~(size_t)7;
	sp->phase = PHASE_TABLE;
	return 0;
}

static int read_table(struct capnp_splitter *sp)
{
	size_t n_segments = (size_t)load_le(sp->bytes, 4) + 1;
	uint64_t n_bytes = sp->need;

	for (size_t i = 1; i <= n_segments; i++)
		n_bytes += load_le(sp->bytes + 4 * i, 4) * CAPNP_WORD;
	if (n_bytes > sp->max_bytes)
		return CAPNP_E_LIMIT;
	sp->need = (size_t)n_bytes;
	sp->phase = PHASE_BODY;
	return 0;
}

static int advance(struct capnp_splitter *sp)
{
	switch ((enum phase)sp->phase) {
	case PHASE_COUNT:
		return read_count(sp);
	case PHASE_TABLE:
		return read_table(sp);
	case PHASE_BODY:
	case PHASE_DONE:
		sp->phase = PHASE_DONE;
		return CAPNP_COMPLETE;
	}
	return CAPNP_E_MALFORMED;
}

int capnp_splitter_next(struct capnp_splitter *sp, const uint8_t **datap, size_t *np,
			const uint8_t **msgp, size_t *n_msgp)
{
	int r = 0;

	if (sp->phase == PHASE_DONE)
		capnp_splitter_deinit(sp);
	while (!r) {
		if (sp->n < sp->need) {
			if (!*np)
				return 0;
			r = gather(sp, datap, np);
		} else {
			r = advance(sp);
		}
	}
	if (r == CAPNP_COMPLETE) {
		*msgp = sp->bytes;
		*n_msgp = sp->n;
	}
	return r;
}
