/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * advertise - which edge was told our routes, on which link, and what it said; pure
 *
 * Declarative: an edge is sent the whole set once, on the lowest registered
 * connection that leads to it (its carrier), again after a change, and again when
 * that connection is lost: then first by hash only, and whole if the edge asks.
 * Calls that fail are repeated with back-off. An edge without the extension is
 * sent nothing: routes are its operator's business.
 *
 * Use: after every change call advertise_next() with the registered links until
 * it returns false; hand answers to advertise_on_answer().
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "wire/route_msg.h"

struct advertise;

#define ADVERTISE_EDGES_MAX    8  /* remembered; the longest unused gives way */
#define ADVERTISE_EDGE_MAX     64 /* name of an edge with NUL */
#define ADVERTISE_RETRY_MIN_MS 1000
#define ADVERTISE_RETRY_MAX_MS 60000

enum advertise_state {
	ADVERTISE_STATE_PENDING,  /* not answered yet */
	ADVERTISE_STATE_ACCEPTED, /* by every edge that answered */
	ADVERTISE_STATE_REFUSED,  /* by one edge at least; the reason says why */
	ADVERTISE_STATE_OPERATOR, /* stock edges only */
	ADVERTISE_STATE_N,
};

/* A registered link. */
struct advertise_link {
	uint64_t link;	  /* any name of it that is never used again; not 0 */
	const char *edge; /* which edge it leads to */
	bool is_adit;
};

/* Send @set (or its hash) on @link now. */
struct advertise_call {
	uint64_t link;
	uint64_t generation;
	const struct route_set *set; /* valid until the answer, or until @link isn't listed */
	bool hash_only;
};

struct advertise *advertise_new(void);
struct advertise *advertise_free(struct advertise *a);
DEFINE_CLEANUP(struct advertise *, advertise_free);

/* Takes over the contents of @set, which becomes empty. In force when no call is out. */
void advertise_set_routes(struct advertise *a, struct route_set *set);

/*
 * @links: all registered links by ascending connection index; calls on links that are
 * missing count as lost. True: make *@callp, which counts as out from here on.
 */
bool advertise_next(struct advertise *a, const struct advertise_link *links, size_t n_links,
		    uint64_t now_ms, struct advertise_call *callp);

/* As control_client's on_advertised. @random: uniform 32 bits, for the back-off. */
void advertise_on_answer(struct advertise *a, uint64_t link, uint64_t generation,
			 const struct route_verdict *verdicts, size_t n_verdicts, bool send_all,
			 const char *failed, uint32_t random, uint64_t now_ms);

/* When to call advertise_next() although nothing changed, or UINT64_MAX. */
uint64_t advertise_deadline_ms(const struct advertise *a);

/* All edges that we are connected to have answered to the last set. False while there is none. */
bool advertise_is_settled(const struct advertise *a);

/* The set that is advertised now. */
const struct route_set *advertise_routes(const struct advertise *a);
uint64_t advertise_generation(const struct advertise *a);

/* Of entry @i of the set, virtual networks first, then routes. *@reasonp: "" or why. */
enum advertise_state advertise_entry_state(const struct advertise *a, size_t i,
					   const char **reasonp);
/* ROUTE_STATE_* of ctrl/agent_status.h. */
const char *advertise_state_name(enum advertise_state s);
