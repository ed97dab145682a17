/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * pressure - the buffer budget is used up, and nothing moves
 *
 * Over its soft limit the process withholds credit, and what moves drains its queues. So a budget
 * that stays over it is held by readers that don't read, though they may be alive: a client that
 * gives no window, a server that is stopped. Everybody else waits for them. After PRESSURE_MS
 * whoever holds most has to go. Under the limit a stream may stall for as long as it likes.
 */

#include <stddef.h>
#include <stdint.h>

struct budget;
struct list;

#define PRESSURE_MS	  20000
#define PRESSURE_AGAIN_MS 2000	/* instead, for a while after that: others may fill it at once */
#define PRESSURE_CALM_MS  60000 /* this while */
#define PRESSURE_CUT_MAX  256	/* streams cut at a time: the holders are looked for each time */

/* A zeroed one is ready. */
struct pressure {
	uint64_t since_ms; /* 0: not over when last asked */
	uint64_t due_ms;   /* the last time that something had to go; 0: never */
	uint32_t n_reliefs;
};

/*
 * To be called every few seconds: how many bytes have to go now for half of the budget to be free,
 * so that those that are left don't fill it again at once; 0 while the budget was under its
 * limit at any moment of the last PRESSURE_MS (or _AGAIN_MS). @now_ms: a clock that isn't 0 and
 * never goes back.
 */
size_t pressure_excess(struct pressure *p, const struct budget *b, uint64_t now_ms);

/* Of the elements of a list. */
struct pressure_ops {
	size_t (*buffered)(struct list *node); /* bytes; 0 once it was cut */
	void (*cut)(struct list *node);	       /* may free it, and no other */
};

/*
 * Cuts those of @holders that hold most until @n_bytes or PRESSURE_CUT_MAX of them are gone, or
 * nobody holds anything. Returns how many.
 */
unsigned int pressure_cut(struct list *holders, const struct pressure_ops *ops, size_t n_bytes);
