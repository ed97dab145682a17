/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * bdp - how large a receive window must be. Pure: bytes and times in, a window out
 *
 * A PING goes out with the first bytes of a burst; what arrives until its answer is what the path
 * holds: bandwidth times delay. A window that is filled by half in one round trip may be what
 * holds the sender back, and is worth doubling, as long as that brought more bytes per second
 * than ever before: a path that is full only queues more.
 * Half of the window, since an eighth of it is always on its way back as credit.
 */

#include <stdbool.h>
#include <stdint.h>

/* After so many answers without growth one PING per BDP_REST_US is enough. */
#define BDP_QUIET_MAX 3
#define BDP_REST_US   UINT64_C(1000000)
/* Nothing received for so long: a new burst, of which nothing is known. */
#define BDP_IDLE_US UINT64_C(1000000)

struct bdp {
	uint32_t window;      /* bytes; now granted */
	uint32_t window_max;  /* growth ends here */
	uint64_t burst_bytes; /* received since the last PING was sent */
	uint64_t best_bytes_per_s;
	uint64_t bytes_per_s; /* as the last answer showed */
	uint64_t received_us; /* last time */
	uint64_t sent_us;     /* of the last PING */
	unsigned int n_quiet; /* answers in a row that brought no growth */
	bool is_asking;	      /* that PING is not answered */
};

void bdp_init(struct bdp *b, uint32_t window, uint32_t window_max);

/* @n bytes of DATA arrived. True: send a PING now, and tell its answer (no other). */
bool bdp_on_received(struct bdp *b, uint64_t n, uint64_t now_us);

/* Its answer. Returns the window that is worth having, or 0 if the present one will do. */
uint32_t bdp_on_answer(struct bdp *b, uint64_t now_us);

/* That window was granted. Whoever can't grant it doesn't call: it will be asked for again. */
void bdp_set_window(struct bdp *b, uint32_t window);
