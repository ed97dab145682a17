/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/handover.h"

#include <assert.h>

#include "base/log.h"

#define BIT(state) (1u << HANDOVER_STATE_##state)

/* Each state's successors. */
static const unsigned int successors[HANDOVER_STATE_N] = {
	[HANDOVER_STATE_FREE] = BIT(CLAIMED),
	[HANDOVER_STATE_CLAIMED] = BIT(HANDED) | BIT(FREE),
	[HANDOVER_STATE_HANDED] = BIT(GIVEN) | BIT(FREE),
	[HANDOVER_STATE_GIVEN] = 0,
};

static const char *const state_names[HANDOVER_STATE_N] = {
	[HANDOVER_STATE_FREE] = "free",
	[HANDOVER_STATE_CLAIMED] = "claimed",
	[HANDOVER_STATE_HANDED] = "handed",
	[HANDOVER_STATE_GIVEN] = "given",
};

/* The only writer of h->state. */
static void set_state(struct handover *h, enum handover_state to)
{
	assert(successors[h->state] & (1u << to));
	log_debug("handover state", log_text("from", state_names[h->state]),
		  log_text("to", state_names[to]), log_int("claim", (int64_t)h->last_claim));
	h->state = to;
	if (to == HANDOVER_STATE_FREE)
		h->claim = 0;
}

int handover_claim(struct handover *h, int64_t pid, uint64_t now_ms, uint64_t *claimp)
{
	if (h->state != HANDOVER_STATE_FREE)
		return HANDOVER_E_TAKEN;
	h->claim = ++h->last_claim;
	set_state(h, HANDOVER_STATE_CLAIMED);
	h->since_ms = now_ms;
	h->pid = pid;
	*claimp = h->claim;
	return 0;
}

static int go_on(struct handover *h, uint64_t claim, enum handover_state from,
		 enum handover_state to)
{
	if (!claim || claim != h->claim || h->state != from)
		return HANDOVER_E_ORDER;
	set_state(h, to);
	return 0;
}

int handover_take(struct handover *h, uint64_t claim)
{
	return go_on(h, claim, HANDOVER_STATE_CLAIMED, HANDOVER_STATE_HANDED);
}

int handover_confirm(struct handover *h, uint64_t claim)
{
	return go_on(h, claim, HANDOVER_STATE_HANDED, HANDOVER_STATE_GIVEN);
}

bool handover_gone(struct handover *h, uint64_t claim)
{
	bool had_name = h->state == HANDOVER_STATE_HANDED;

	if (!claim || claim != h->claim || h->state == HANDOVER_STATE_GIVEN)
		return false;
	set_state(h, HANDOVER_STATE_FREE);
	return had_name;
}

static bool is_claimed(const struct handover *h)
{
	return h->state == HANDOVER_STATE_CLAIMED || h->state == HANDOVER_STATE_HANDED;
}

uint64_t handover_deadline_ms(const struct handover *h)
{
	return is_claimed(h) ? h->since_ms + HANDOVER_CLAIM_MS : UINT64_MAX;
}

bool handover_expire(struct handover *h, uint64_t now_ms, bool *had_namep)
{
	if (now_ms < handover_deadline_ms(h))
		return false;
	*had_namep = handover_gone(h, h->claim);
	return true;
}

int64_t handover_pid(const struct handover *h)
{
	return is_claimed(h) ? h->pid : 0;
}
