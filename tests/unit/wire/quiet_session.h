/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * quiet_session - for tests of what runs on streams: two sessions joined in memory, whose own
 * events don't matter. mem_pair.h is for tests of sessions.
 *
 * To be included after cmocka.h.
 */

#include <stdlib.h>

#include "base/compiler.h"
#include "wire/h2_session.h"

static inline void quiet_event(void *ctx UNUSED)
{
}

static inline void quiet_goaway(void *ctx UNUSED, uint32_t h2_code UNUSED)
{
}

static inline void quiet_ping_ack(void *ctx UNUSED, uint64_t opaque UNUSED)
{
}

static inline bool quiet_received(void *ctx UNUSED, size_t n UNUSED)
{
	return true;
}

/* h2_session_events, but on_open and on_output. */
#define QUIET_EVENTS                                                                               \
	.on_settings = quiet_event, .on_goaway = quiet_goaway, .on_ping_ack = quiet_ping_ack,      \
	.on_received = quiet_received

static const struct h2_limits quiet_limits UNUSED = {
	.max_streams = 100,
	.stream_window_bytes = 1 << 20,
	.conn_window_bytes = 1 << 20,
	.header_list_bytes = 65536,
	.max_frame_bytes = 16384,
	.resets_burst = 100,
	.resets_per_s = 100,
};

/* All that @from has to say. The copy is of the heap, so that ASan sees who keeps a slice of it.
 * Either may be NULL: it is gone. Returns the number of bytes. */
static inline size_t quiet_carry(struct h2_session *from, struct h2_session *to)
{
	uint8_t *buf = malloc(H2_PULL_MIN);
	size_t sum = 0;
	size_t n = 0;

	while (from && to) {
		assert_int_equal(h2_session_pull(from, buf, H2_PULL_MIN, &n), 0);
		if (n == 0)
			break;
		assert_int_equal(h2_session_feed(to, buf, n), 0);
		sum += n;
	}
	free(buf);
	return sum;
}
