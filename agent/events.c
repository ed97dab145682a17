/* SPDX-License-Identifier: Apache-2.0 */

/* Invariant: event n is at rows[n % cap], for the numbers last - n_rows + 1 to last. */

#include "agent/events.h"

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/err.h"
#include "base/utf8.h"
#include "ctrl/agent_status.h"

struct events {
	json_t **rows;
	int64_t *times_ms;
	size_t cap;
	size_t n_rows;
	uint64_t last;
};

struct events *events_new(size_t cap)
{
	struct events *e = xnew(struct events);

	e->rows = xzalloc(cap * sizeof(*e->rows));
	e->times_ms = xzalloc(cap * sizeof(*e->times_ms));
	e->cap = cap;
	return e;
}

struct events *events_free(struct events *e)
{
	if (!e)
		return NULL;
	for (size_t i = 0; i < e->cap; i++)
		json_decref(e->rows[i]);
	free(e->rows);
	free(e->times_ms);
	free(e);
	return NULL;
}

/* A peer chose part of it: bounded, and made UTF-8, or JSON would refuse it. */
static json_t *make_text(const char *text)
{
	char out[EVENTS_TEXT_MAX];
	size_t left = strnlen(text, sizeof(out) + 4), n_out = 0;
	uint32_t rune;

	while (left) {
		size_t n = utf8_next(text, left, &rune);

		if (n_out + n >= sizeof(out))
			break;
		memcpy(out + n_out, rune == UTF8_INVALID ? "?" : text,
		       rune == UTF8_INVALID ? 1 : n);
		n_out += rune == UTF8_INVALID ? 1 : n;
		text += n;
		left -= n;
	}
	return json_stringn(out, n_out);
}

static json_t *make_event(uint64_t seq, int64_t wall_ms, const char *kind,
			  const struct log_field *fields)
{
	json_t *members = json_object();

	for (; fields->key; fields++)
		json_object_set_new(members, fields->key,
				    fields->text ? make_text(fields->text)
						 : json_integer((json_int_t)fields->number));
	return json_pack("{s:I, s:I, s:s, s:o}", EVENT_SEQ, (json_int_t)seq, EVENT_TIME_MS,
			 (json_int_t)wall_ms, EVENT_KIND, kind, EVENT_FIELDS, members);
}

void events_add(struct events *e, int64_t wall_ms, const char *kind, const struct log_field *fields)
{
	size_t at = (size_t)(++e->last % e->cap);

	json_decref(e->rows[at]);
	e->rows[at] = make_event(e->last, wall_ms, kind, fields);
	e->times_ms[at] = wall_ms;
	if (e->n_rows < e->cap)
		e->n_rows++;
}

uint64_t events_last(const struct events *e)
{
	return e->last;
}

/* As if it had happened just before the first that is left. */
static json_t *make_missed(const struct events *e, uint64_t first, uint64_t n)
{
	const struct log_field fields[] = {log_int(EVENT_MISSED_COUNT, (int64_t)n), LOG_END};

	return make_event(first - 1, e->times_ms[first % e->cap], EVENT_MISSED, fields);
}

json_t *events_next(const struct events *e, uint64_t *afterp)
{
	uint64_t after = *afterp > e->last ? 0 : *afterp;
	uint64_t first = e->last - e->n_rows + 1;

	if (after == e->last) {
		*afterp = after;
		return NULL;
	}
	if (after + 1 < first) {
		*afterp = first - 1;
		return make_missed(e, first, first - 1 - after);
	}
	*afterp = after + 1;
	return json_incref(e->rows[(after + 1) % e->cap]);
}
