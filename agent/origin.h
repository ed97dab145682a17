/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * origin - TCP streams of the edge, joined with local targets
 *
 *   DIALLING -> RELAYING -> gone
 *
 * DIALLING  connect() is under way; what the stream sends meanwhile is kept, at most
 *           one stream window. Ends by the connection (the stream is answered 200
 *           only now), by its failure or time-out (refused), or by the stream's end.
 * RELAYING  wire/relay.h carries the bytes.
 *
 * All flows of the process are here, whichever connection their stream is on.
 */

#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/cleanup.h"
#include "wire/relay.h"

struct h2_stream;
struct io_loop;
struct origins;
struct pressure;

struct origin_request {
	struct h2_stream *stream;
	struct endpoint requested; /* as the edge said, canonical; for logs */
	struct endpoint target;	   /* where to connect */
	enum relay_mode mode;
	uint32_t connect_timeout_ms;
	uint32_t keep_alive_ms;	 /* 0: off */
	uint32_t max_flows;	 /* of the process; 0: no limit */
	unsigned int conn_index; /* for logs */
};

/* @on_ended is called whenever a flow has ended, with @ctx. */
struct origins *origins_new(struct io_loop *loop, void (*on_ended)(void *ctx), void *ctx);
/* No flow may be left: origins_abort_all(), then turn the loop until origins_count() is 0. */
struct origins *origins_free(struct origins *o);
DEFINE_CLEANUP(struct origins *, origins_free);

/* Takes over the stream: it is answered, now or later, and closed. */
void origins_open(struct origins *o, const struct origin_request *req);

/* Resets every flow. */
void origins_abort_all(struct origins *o);

/* To be called as pressure_relieve(), of which @p is the state. Returns how many flows were cut. */
unsigned int origins_relieve(struct origins *o, struct pressure *p);

/* To be called now and then: gives memory back after many flows have ended. */
void origins_tidy(struct origins *o);

/* Flows that are dialling or relaying. */
size_t origins_count(const struct origins *o);
/* Those that are dialling. */
size_t origins_n_dials(const struct origins *o);
