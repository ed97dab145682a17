/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * quota - so many a minute: for log lines that a peer can cause at will
 *
 * A zeroed one is ready. No allocation, no clock of its own.
 */

#include <stdbool.h>
#include <stdint.h>

#define QUOTA_WINDOW_MS 60000

struct quota {
	uint64_t since_ms; /* of the running minute */
	uint32_t n;	   /* taken in it */
};

/* One is asked for at @now_ms (any clock that never goes back); false: @max were taken. */
static inline bool quota_take(struct quota *q, uint32_t max, uint64_t now_ms)
{
	if (now_ms - q->since_ms >= QUOTA_WINDOW_MS)
		*q = (struct quota){.since_ms = now_ms};
	if (q->n >= max)
		return false;
	q->n++;
	return true;
}
