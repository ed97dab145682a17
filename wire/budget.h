/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * budget - how many received bytes the process may buffer
 *
 * Under the soft limit connection credit goes back at once; over it, it is
 * withheld until the relays have drained. So what is buffered never exceeds the
 * hard bound: the soft limit plus the connection windows granted to all links.
 * A window is granted before it is announced; one that would not fit is not:
 * a link then starts with HTTP/2's smallest, is refused if not even that fits,
 * and no window grows into what the links that may still come need at least.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* RFC 9113 6.9.2: no connection window begins below this. */
#define BUDGET_WINDOW_MIN 65535u

struct budget {
	size_t soft_bytes;
	size_t hard_bytes;
	size_t used_bytes;    /* buffered now */
	size_t peak_bytes;    /* the most that ever was */
	size_t in_hand_bytes; /* received in the running feed: may all be buffered at its end */
	size_t granted_bytes; /* sum of connection windows */
	size_t n_links;
	size_t links_max; /* that may be there at one time; 0: nothing is kept for them */
};

/* @hard_bytes 0: soft plus 256 MiB. Below the soft limit: no window is granted. */
void budget_init(struct budget *b, size_t soft_bytes, size_t hard_bytes);

/* All links together are granted at most @window_bytes, and there are at most @links_max. */
void budget_set_windows(struct budget *b, size_t window_bytes, size_t links_max);

/*
 * A link wants to grant its peer @window bytes. Returns what it may: @window, or
 * BUDGET_WINDOW_MIN, or 0 when it can't be. To be given back with budget_close_link().
 */
uint32_t budget_open_link(struct budget *b, uint32_t window);
/* Its window shall grow by @more bytes. False: it doesn't fit. */
bool budget_grow_link(struct budget *b, uint32_t more);
/* @window: all that it was granted; 0: it was refused. */
void budget_close_link(struct budget *b, uint32_t window);

static inline void budget_add(struct budget *b, size_t n)
{
	b->used_bytes += n;
	if (b->used_bytes > b->peak_bytes)
		b->peak_bytes = b->used_bytes;
}

static inline bool budget_is_over(const struct budget *b)
{
	return b->used_bytes > b->soft_bytes;
}

static inline void budget_sub(struct budget *b, size_t n)
{
	b->used_bytes -= n;
}

/* True while @n more bytes would leave it under the soft limit. */
static inline bool budget_has_room(const struct budget *b, size_t n)
{
	return b->used_bytes + n <= b->soft_bytes;
}

/* @n bytes were received. True: their credit may go back at once. */
static inline bool budget_take_in_hand(struct budget *b, size_t n)
{
	b->in_hand_bytes += n;
	return budget_has_room(b, b->in_hand_bytes);
}

/* The feed is over: what was kept of it is counted. */
static inline void budget_empty_hand(struct budget *b)
{
	b->in_hand_bytes = 0;
}
