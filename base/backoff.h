/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * backoff - how long to wait before the next try; pure
 *
 * Full jitter: attempt n waits a uniform random time up to
 * min(max, min * 2^n), and never less than min / 2 so that a loop with bad
 * luck can't become tight. The caller resets it, for adit's uplinks only after
 * ten registered seconds.
 */

#include <stdint.h>

struct backoff_policy {
	uint32_t min_ms;
	uint32_t max_ms;
};

struct backoff {
	uint32_t attempts; /* tries since the last reset */
};

/* Counts one attempt and returns its delay. @random: uniform 32 bits. */
uint32_t backoff_next_ms(struct backoff *b, const struct backoff_policy *policy, uint32_t random);

static inline void backoff_reset(struct backoff *b)
{
	b->attempts = 0;
}
