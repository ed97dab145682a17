/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* supervisor_private - shared by supervisor.c and supervisor_slot.c, nobody else */

#include <uv.h>

#include "agent/supervisor.h"
#include "base/backoff.h"
#include "base/list.h"
#include "wire/io_loop.h"

/* One connection index: its machine and the links that the machine knows. */
struct slot {
	struct supervisor *supervisor;
	unsigned int index;
	struct uplink uplink;
	struct list links; /* of struct edge_link */
	bool has_edge;
	struct edge_address edge;	   /* last one dialled */
	const struct edge_address *wanted; /* where the next dial goes; NULL: where it likes */
	char told[UPLINK_REASON_MAX];	   /* last reason that was a warning */
	bool refused;			   /* the failure that is being handled is the edge's no */
	uint64_t bytes_in;		   /* of links that are gone */
	uint64_t bytes_out;
};

struct supervisor {
	struct supervisor_options opt;
	const struct supervisor_events *events;
	void *ctx;
	struct edge_pool pool;
	struct backoff discovery_backoff;
	uint64_t discovered_ms; /* when the addresses were last asked for */
	uint64_t discover_ms;	/* when to ask again, UINT64_MAX: not planned */
	uint64_t spread_ms;	/* when to look whether the slots are spread over the addresses */
	char *local_config;	/* JSON, NULL: nothing to tell */
	struct io_task settle;
	uv_timer_t *timer; /* on the heap: it closes after us */
	bool unauthorized; /* to be reported */
	bool stopping;
	bool stopped; /* reported */
	struct slot slots[SUPERVISOR_UPLINKS_MAX];
};

void slot_init(struct slot *slot, struct supervisor *s, unsigned int index);
/* Closes links without events. */
void slot_deinit(struct slot *slot);
/* Runs what is due of the slot's machine and of its links' calls. */
void slot_tick(struct slot *slot, uint64_t now_ms);
uint64_t slot_deadline_ms(const struct slot *slot);
struct edge_link *slot_find_link(const struct slot *slot, uint32_t id);
/*
 * Moves the connection to a better address, if there is one. @spread: the pool, its users being
 * what serves; old links, whose streams only have to end, are none. True: it is on its way.
 */
bool slot_move(struct slot *slot, const struct edge_pool *spread, uint64_t now_ms);
/* Discovery found nothing, @reason says why: what a slot without an address shows from now on. */
void slot_no_addresses(struct slot *slot, const char *reason);

/* From slots: @ep could not be reached. */
void supervisor_address_failed(struct supervisor *s, const struct edge_address *address);
