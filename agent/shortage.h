/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* shortage - says in the log that flows are refused because descriptors have run out */

#include <stdint.h>

#define SHORTAGE_QUIET_MS 60000 /* not more often than that */

struct shortage {
	uint64_t said_ms; /* 0: never */
};

/* A flow is refused for @r, negative; anything but a lack of descriptors is ignored. */
void shortage_note(struct shortage *s, int r, uint64_t now_ms);
