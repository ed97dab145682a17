/* SPDX-License-Identifier: Apache-2.0 */
#include "base/backoff.h"

/* min * 2^n, held at max; a policy with max below min waits min at most. */
static uint32_t ceiling_ms(const struct backoff_policy *policy, uint32_t n)
{
	uint64_t grown = (uint64_t)policy->min_ms << (n < 31 ? n : 31);

	if (policy->max_ms <= policy->min_ms)
		return policy->min_ms;
	return grown < policy->max_ms ? (uint32_t)grown : policy->max_ms;
}

uint32_t backoff_next_ms(struct backoff *b, const struct backoff_policy *policy, uint32_t random)
{
	uint32_t low = policy->min_ms / 2;
	uint64_t span = (uint64_t)ceiling_ms(policy, b->attempts) - low + 1;

	if (b->attempts < UINT32_MAX)
		b->attempts++;
	/* The high half of a product is uniform over the span without a division. */
	return low + (uint32_t)((span * random) >> 32);
}
