/* SPDX-License-Identifier: Apache-2.0 */
#include "tun/settle.h"

void settle_note(struct settle *s, uint64_t now_ms)
{
	if (!s->pending)
		s->first_ms = now_ms;
	s->pending = true;
	s->last_ms = now_ms;
}

uint64_t settle_deadline_ms(const struct settle *s)
{
	uint64_t quiet_ms = s->last_ms + SETTLE_QUIET_MS;
	uint64_t cap_ms = s->first_ms + SETTLE_CAP_MS;

	if (!s->pending)
		return UINT64_MAX;
	return quiet_ms < cap_ms ? quiet_ms : cap_ms;
}

bool settle_take(struct settle *s, uint64_t now_ms)
{
	if (now_ms < settle_deadline_ms(s))
		return false;
	s->pending = false;
	return true;
}
