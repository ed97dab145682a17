/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * limits - which bound of edge.yml is reached, said once and within bounds
 *
 * Whoever comes beyond a bound is refused with adit-error: limit; what runs goes on.
 */

#include <stdint.h>

struct edge;

/*
 * Links that are let in beyond max-clients or max-connections, only to be told so: a request is
 * answered 503, a registration refused. Beyond these, TLS is closed without a word.
 */
#define EDGE_SURPLUS_MAX 64
#define EDGE_SURPLUS_MS	 5000 /* such a client's time to ask for something */

enum edge_limit {
	EDGE_LIMIT_CONNECTIONS,
	EDGE_LIMIT_CLIENTS,
	EDGE_LIMIT_STREAMS,
	EDGE_LIMIT_DIALS,
	EDGE_LIMIT_HANDSHAKES,
	EDGE_LIMIT_N, /* none */
};

/* What one more stream would exceed, or EDGE_LIMIT_N. */
enum edge_limit limits_of_stream(const struct edge *e);

/* Somebody was refused at @limit: counts it, and logs so many of each a minute. */
void limits_note(struct edge *e, enum edge_limit limit);
