/* SPDX-License-Identifier: Apache-2.0 */
#include "edge/limits.h"

#include <stddef.h>

#include "base/clock.h"
#include "base/log.h"
#include "edge/edge.h"

#define TOLD_PER_MINUTE 6

static const struct {
	const char *key;
	size_t max_offset; /* in struct edge_limits */
	const char *message;
} infos[EDGE_LIMIT_N] = {
	[EDGE_LIMIT_CONNECTIONS] = {"max-connections",
				    offsetof(struct edge_limits, max_connections),
				    "too many connections: agent refused"},
	[EDGE_LIMIT_CLIENTS] = {"max-clients", offsetof(struct edge_limits, max_clients),
				"too many clients: client refused"},
	[EDGE_LIMIT_STREAMS] = {"max-streams", offsetof(struct edge_limits, max_streams),
				"too many streams: stream refused"},
	[EDGE_LIMIT_DIALS] = {"max-dials", offsetof(struct edge_limits, max_dials),
			      "too many streams without an answer: stream refused"},
	[EDGE_LIMIT_HANDSHAKES] = {"max-handshakes", offsetof(struct edge_limits, max_handshakes),
				   "too many handshakes: the oldest is dropped"},
};

static uint32_t max_of(const struct edge *e, enum edge_limit limit)
{
	const char *limits = (const char *)&e->settings->limits;

	return *(const uint32_t *)(const void *)(limits + infos[limit].max_offset);
}

enum edge_limit limits_of_stream(const struct edge *e)
{
	if (e->n_flows >= max_of(e, EDGE_LIMIT_STREAMS))
		return EDGE_LIMIT_STREAMS;
	if (e->n_dials >= max_of(e, EDGE_LIMIT_DIALS))
		return EDGE_LIMIT_DIALS;
	return EDGE_LIMIT_N;
}

void limits_note(struct edge *e, enum edge_limit limit)
{
	e->n_limited++;
	if (quota_take(&e->limits_told[limit], TOLD_PER_MINUTE, clock_boot_ms()))
		log_warn(infos[limit].message, log_text("limit", infos[limit].key),
			 log_int("value", max_of(e, limit)));
}
