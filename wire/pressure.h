/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * pressure - the buffer budget is used up, and some of what it holds doesn't move
 *
 * Over its soft limit the process withholds credit, and what moves drains its queues. So a budget
 * that stays over it is held by readers that don't read, though they may be alive: a client that
 * gives no window, a server that is stopped. Everybody else waits for them.
 *
 * Each look at the budget adds the time since the last one to a sum, or takes it off, as the budget
 * is over its limit or not: a trickle that gets it under the limit for a moment gains a moment.
 * When the sum has reached PRESSURE_MS those go whose queues would not be gone after PRESSURE_MS
 * more at the pace that they had meanwhile, the largest first. Who keeps up loses nothing, be the
 * budget over its limit for ever; under the limit a stream may stall for as long as it likes.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct budget;
struct list;

#define PRESSURE_MS	  20000
#define PRESSURE_AGAIN_MS 2000	/* instead, for a while after that: others may fill it at once */
#define PRESSURE_CALM_MS  60000 /* this while */
#define PRESSURE_LOOK_MS  10000 /* a look counts for no more: the process may have been stopped */
#define PRESSURE_CUT_MAX  1024	/* streams cut at a look: nobody else is served meanwhile */

/* A zeroed one is ready. */
struct pressure {
	uint64_t looked_ms; /* the last time; 0: never */
	uint64_t over_ms;   /* the sum */
	uint64_t marked_ms; /* when the pace of all was last begun to be measured; 0: it isn't */
	uint64_t due_ms;    /* the last time that something had to go; 0: never */
};

/* Of the elements of a list. */
struct pressure_ops {
	/* From here on the bytes that are taken from it are measured. */
	void (*mark)(struct list *node);
	/*
	 * Bytes in its queues that pressure_is_stalled(), @elapsed_ms after mark(); 0 if it was
	 * never marked, or was cut.
	 */
	size_t (*stalled)(struct list *node, uint64_t elapsed_ms);
	void (*cut)(struct list *node); /* may free it, and no other */
};

/* A queue of @held bytes, from which @taken went in the last @elapsed_ms (not 0). */
static inline bool pressure_is_stalled(size_t held, uint64_t taken, uint64_t elapsed_ms)
{
	return held > taken * PRESSURE_MS / elapsed_ms;
}

/*
 * To be called every second to every PRESSURE_LOOK_MS. Of @holders those that have to go are cut,
 * until half of the budget will be free, so that those that are left don't fill it again at once,
 * or PRESSURE_CUT_MAX are. The larger ones go, to a power of two. Returns how many were cut.
 * @now_ms: a clock that isn't 0 and never goes back.
 */
unsigned int pressure_relieve(struct pressure *p, const struct budget *b, struct list *holders,
			      const struct pressure_ops *ops, uint64_t now_ms);
