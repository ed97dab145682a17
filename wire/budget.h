/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * budget - how many received bytes the process may buffer
 *
 * Under the soft limit connection credit goes back at once; over it, it is
 * withheld until the relays have drained. The hard bound is the soft limit plus
 * the connection windows granted to all links: a link whose window would not
 * fit is refused.
 */

#include <stdbool.h>
#include <stddef.h>

struct budget {
	size_t soft_bytes;
	size_t hard_bytes;
	size_t used_bytes;    /* buffered now */
	size_t granted_bytes; /* sum of connection windows */
};

/* @hard_bytes 0: soft plus 256 MiB. Below the soft limit: no window is granted. */
void budget_init(struct budget *b, size_t soft_bytes, size_t hard_bytes);

/* A link wants to grant its peer @window bytes. False: it doesn't fit. */
bool budget_grant(struct budget *b, size_t window);
void budget_revoke(struct budget *b, size_t window);

static inline void budget_add(struct budget *b, size_t n)
{
	b->used_bytes += n;
}

static inline void budget_sub(struct budget *b, size_t n)
{
	b->used_bytes -= n;
}

static inline bool budget_is_over(const struct budget *b)
{
	return b->used_bytes > b->soft_bytes;
}
