/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * events - what happened lately, the last EVENTS_MAX of it; pure
 *
 * An event has a sequence number (1, 2, ... since the start of the process), a time, a kind
 * and fields. When the ring is full the oldest gives way: a reader that comes back with the
 * number it saw last learns how many it has missed.
 */

#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/log.h"

struct events;
struct json_t; /* jansson's */

#define EVENTS_MAX	512
#define EVENTS_TEXT_MAX 512 /* bytes of one text; longer ones are cut at a character */

struct events *events_new(size_t cap);
struct events *events_free(struct events *e);
DEFINE_CLEANUP(struct events *, events_free);

/*
 * @kind: one of EVENT_* in ctrl/agent_status.h, borrowed for ever. @fields: as for log_write(),
 * and like there never a secret; texts are copied, bytes that aren't UTF-8 become '?'.
 */
void events_add(struct events *e, int64_t wall_ms, const char *kind,
		const struct log_field *fields);

/* Number of the newest, 0: none yet. */
uint64_t events_last(const struct events *e);

/*
 * The event after number *@afterp, which becomes its own; NULL: there is none. A number that
 * was never given (the process is a new one) counts as 0. When events in between are gone,
 * one of kind EVENT_MISSED tells how many, with the number of the last of them. A new reference.
 */
struct json_t *events_next(const struct events *e, uint64_t *afterp);
