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

bool budget_grant(struct budget *b, size_t window)
{
	if (window > b->hard_bytes - b->soft_bytes ||
	    b->granted_bytes > b->hard_bytes - b->soft_bytes - window)
		return false;
	b->granted_bytes += window;
	return true;
}

void budget_revoke(struct budget *b, size_t window)
{
	b->granted_bytes -= window;
}
