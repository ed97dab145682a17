/* SPDX-License-Identifier: Apache-2.0 */

#include "wire/liveness.h"

void liveness_init(struct liveness *l, enum liveness_mode mode, uint64_t now_ms)
{
	*l = (struct liveness){
		.mode = mode,
		.last_read_ms = now_ms,
		.moved_ms = now_ms,
		.next_ping_ms = now_ms + LIVENESS_PING_MS,
	};
}

void liveness_on_read(struct liveness *l, uint64_t now_ms)
{
	l->last_read_ms = now_ms;
}

static void sample(struct liveness *l, uint64_t now_ms, uint64_t bytes_acked)
{
	if (bytes_acked == l->bytes_acked)
		return;
	l->bytes_acked = bytes_acked;
	l->moved_ms = now_ms;
}

bool liveness_ping_due(struct liveness *l, uint64_t now_ms, uint64_t bytes_acked)
{
	if (l->mode != LIVENESS_PINGS || now_ms < l->next_ping_ms)
		return false;
	l->next_ping_ms = now_ms + LIVENESS_PING_MS;
	/* One PING at a time: an unanswered one is what makes the link suspect. */
	if (l->ping_sent_ms != 0)
		return false;
	sample(l, now_ms, bytes_acked);
	l->ping_sent_ms = now_ms;
	return true;
}

void liveness_hurry(struct liveness *l, uint64_t now_ms)
{
	if (now_ms < l->next_ping_ms)
		l->next_ping_ms = now_ms;
}

void liveness_on_ping_ack(struct liveness *l, uint64_t rtt_us)
{
	if (l->ping_sent_ms == 0)
		return;
	l->ping_sent_ms = 0;
	l->rtt_us = rtt_us;
}

static enum liveness_verdict check_pings(const struct liveness *l, uint64_t now_ms)
{
	bool unanswered = l->ping_sent_ms != 0 && now_ms - l->ping_sent_ms >= LIVENESS_ANSWER_MS;
	bool silent = now_ms - l->last_read_ms >= LIVENESS_ANSWER_MS;
	bool stuck = now_ms - l->moved_ms >= LIVENESS_ANSWER_MS;

	if (now_ms - l->last_read_ms >= LIVENESS_SILENT_MS)
		return LIVENESS_DEAD;
	if (!unanswered)
		return LIVENESS_OK;
	return silent && stuck ? LIVENESS_DEAD : LIVENESS_SUSPECT;
}

enum liveness_verdict liveness_check(struct liveness *l, uint64_t now_ms, uint64_t bytes_acked)
{
	uint64_t silent_ms = now_ms - l->last_read_ms;

	sample(l, now_ms, bytes_acked);
	if (l->mode == LIVENESS_PINGS)
		return check_pings(l, now_ms);
	if (silent_ms >= LIVENESS_LISTEN_DEAD_MS)
		return LIVENESS_DEAD;
	return silent_ms >= LIVENESS_LISTEN_SUSPECT_MS ? LIVENESS_SUSPECT : LIVENESS_OK;
}

bool liveness_is_stalled(struct liveness *l, uint64_t now_ms, bool waits)
{
	if (!waits)
		l->waits_ms = 0;
	else if (l->waits_ms == 0 || l->waits_ms < l->moved_ms)
		l->waits_ms = now_ms;
	return waits && now_ms - l->waits_ms >= LIVENESS_SILENT_MS;
}

static uint64_t earliest(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* A time that has passed unseen is the answer, too: it must not be lost. */
static uint64_t next_ping_look(const struct liveness *l, uint64_t now_ms)
{
	uint64_t at_ms = earliest(l->next_ping_ms, l->last_read_ms + LIVENESS_SILENT_MS);

	return l->ping_sent_ms ? earliest(at_ms, now_ms + LIVENESS_SAMPLE_MS) : at_ms;
}

uint64_t liveness_deadline_ms(const struct liveness *l, uint64_t now_ms)
{
	uint64_t suspect_ms = l->last_read_ms + LIVENESS_LISTEN_SUSPECT_MS;

	if (l->mode == LIVENESS_PINGS)
		return next_ping_look(l, now_ms);
	return suspect_ms > now_ms ? suspect_ms : l->last_read_ms + LIVENESS_LISTEN_DEAD_MS;
}
