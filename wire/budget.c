/* SPDX-License-Identifier: Apache-2.0 */

#include "wire/budget.h"

/* Windows on top of the soft limit when the configuration names no hard one. */
#define DEFAULT_WINDOWS_BYTES ((size_t)256 * 1024 * 1024)

void budget_init(struct budget *b, size_t soft_bytes, size_t hard_bytes)
{
	*b = (struct budget){.soft_bytes = soft_bytes, .hard_bytes = hard_bytes};
	if (hard_bytes == 0)
		b->hard_bytes = soft_bytes + DEFAULT_WINDOWS_BYTES;
	else if (hard_bytes < soft_bytes)
		b->hard_bytes = soft_bytes;
}

void budget_set_windows(struct budget *b, size_t window_bytes, size_t links_max)
{
	b->hard_bytes = b->soft_bytes + window_bytes;
	b->links_max = links_max;
}

/* Takes @n bytes for a window if @n_to_come more links could still have the smallest one. */
static bool grant(struct budget *b, size_t n, size_t n_to_come)
{
	size_t all = b->hard_bytes - b->soft_bytes;
	size_t taken = b->granted_bytes + n_to_come * BUDGET_WINDOW_MIN;

	if (taken > all || n > all - taken)
		return false;
	b->granted_bytes += n;
	return true;
}

/* Links that may still come when there are @n_links. */
static size_t to_come(const struct budget *b, size_t n_links)
{
	return b->links_max > n_links ? b->links_max - n_links : 0;
}

uint32_t budget_open_link(struct budget *b, uint32_t window)
{
	if (window < BUDGET_WINDOW_MIN)
		window = BUDGET_WINDOW_MIN;
	if (!grant(b, window, to_come(b, b->n_links + 1))) {
		window = BUDGET_WINDOW_MIN;
		if (!grant(b, window, 0))
			return 0;
	}
	b->n_links++;
	return window;
}

bool budget_grow_link(struct budget *b, uint32_t more)
{
	return grant(b, more, to_come(b, b->n_links));
}

void budget_close_link(struct budget *b, uint32_t window)
{
	b->granted_bytes -= window;
	if (window > 0)
		b->n_links--;
}
