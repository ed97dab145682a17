/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * settle - many changes, one look: when has it become quiet? Pure; time goes in
 *
 *   QUIET    nothing to look at
 *   PENDING  something changed; due SETTLE_QUIET_MS after the last change, but at the
 *            latest SETTLE_CAP_MS after the first, so that endless change is looked at too
 */

#include <stdbool.h>
#include <stdint.h>

#define SETTLE_QUIET_MS 200
#define SETTLE_CAP_MS	1000

/* {0} is QUIET. */
struct settle {
	bool pending;
	uint64_t first_ms;
	uint64_t last_ms;
};

void settle_note(struct settle *s, uint64_t now_ms);
/* When settle_take() becomes true; UINT64_MAX: not before a change. */
uint64_t settle_deadline_ms(const struct settle *s);
/* True when it is time to look: QUIET again. */
bool settle_take(struct settle *s, uint64_t now_ms);
