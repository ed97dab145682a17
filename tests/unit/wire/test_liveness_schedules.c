/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Liveness in random schedules: a loop that looks when it is told to, mostly a little late, at a
 * network that answers, delays, loses PINGs, moves the send queue or not, and may go for good.
 * Facts are kept beside the machine, with the times at which they happened. Whatever happens:
 *
 *  - dead: nothing was read for 5 s, a PING is unanswered as long and the send queue stood still
 *    as long as it was looked at; or nothing was read for 30 s. Never else;
 *  - suspect, and not dead: a PING is unanswered for 5 s;
 *  - every 5 s, or when hurried, a PING is sent, unless one is out;
 *  - the next look lies in the future;
 *  - a peer that is gone is dead 10 s later, plus what the looks were late;
 *  - who listens goes by the silence alone, to the millisecond.
 */

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "base/compiler.h"
#include "wire/liveness.h"

#include "tests/unit/base/dice.h"

#define N_SCHEDULES 100000
#define N_LOOKS	    60
#define LATE_MAX_MS 50

struct world {
	struct liveness l;
	struct dice *dice;
	uint64_t now_ms;
	uint64_t read_ms;  /* last byte */
	uint64_t asked_ms; /* the PING that is out; 0: none */
	uint64_t turn_ms;  /* of the last PING, or of one that was left out */
	uint64_t acked;
	uint64_t moved_ms; /* the queue was seen to have moved */
	uint64_t gone_ms;  /* nothing comes or moves from then on; UINT64_MAX: it stays */
	bool has_moved;	   /* since the last look */
	bool hurried;
	unsigned int moods; /* percentages: of answers, reads, moves per look */
};

static bool is_gone(const struct world *w)
{
	return w->now_ms >= w->gone_ms;
}

/* Between two looks something may happen, at any time in between. */
static void happen(struct world *w, uint64_t until_ms)
{
	uint64_t at_ms = w->now_ms + dice_below(w->dice, (uint32_t)(until_ms - w->now_ms) + 1);

	w->now_ms = at_ms;
	if (!is_gone(w) && dice_percent(w->dice, w->moods >> 8 & 127)) {
		liveness_on_read(&w->l, at_ms);
		w->read_ms = at_ms;
	}
	if (!is_gone(w) && w->asked_ms && dice_percent(w->dice, w->moods & 127)) {
		uint64_t rtt_us = (at_ms - w->asked_ms) * 1000 + 1;

		liveness_on_read(&w->l, at_ms);
		liveness_on_ping_ack(&w->l, rtt_us);
		DICE_CHECK(w->l.rtt_us == rtt_us);
		w->read_ms = at_ms;
		w->asked_ms = 0;
	} else if (!w->asked_ms) {
		uint64_t before_us = w->l.rtt_us;

		liveness_on_ping_ack(&w->l, 77);
		DICE_CHECK(w->l.rtt_us == before_us);
	}
	if (!is_gone(w) && dice_percent(w->dice, w->moods >> 16 & 127)) {
		w->acked += 1 + dice_below(w->dice, 100000);
		w->has_moved = true;
	}
	if (dice_percent(w->dice, 3)) {
		liveness_hurry(&w->l, at_ms);
		w->hurried = true;
	}
	w->now_ms = until_ms;
}

static void see_queue(struct world *w)
{
	if (w->has_moved)
		w->moved_ms = w->now_ms;
	w->has_moved = false;
}

static enum liveness_verdict expected(const struct world *w)
{
	uint64_t silent_ms = w->now_ms - w->read_ms;
	bool unanswered = w->asked_ms && w->now_ms - w->asked_ms >= 5000;

	if (w->l.mode == LIVENESS_LISTENS)
		return silent_ms >= 15000   ? LIVENESS_DEAD
		       : silent_ms >= 10000 ? LIVENESS_SUSPECT
					    : LIVENESS_OK;
	if (silent_ms >= 30000 ||
	    (unanswered && silent_ms >= 5000 && w->now_ms - w->moved_ms >= 5000))
		return LIVENESS_DEAD;
	return unanswered ? LIVENESS_SUSPECT : LIVENESS_OK;
}

/* Every 5 s, or when hurried, unless one is out. */
static void send_ping(struct world *w)
{
	bool due = w->l.mode == LIVENESS_PINGS &&
		   (w->hurried || w->now_ms >= w->turn_ms + LIVENESS_PING_MS);

	DICE_CHECK(liveness_ping_due(&w->l, w->now_ms, w->acked) == (due && !w->asked_ms));
	if (!due)
		return;
	w->hurried = false;
	w->turn_ms = w->now_ms;
	if (!w->asked_ms)
		w->asked_ms = w->now_ms;
}

/* As wire/link.c does. False: it is dead. */
static bool look(struct world *w)
{
	enum liveness_verdict v;

	see_queue(w);
	v = liveness_check(&w->l, w->now_ms, w->acked);
	DICE_CHECK(v == expected(w));
	DICE_CHECK(v != LIVENESS_DEAD || w->now_ms - w->read_ms >= 5000);
	if (v == LIVENESS_DEAD)
		return false;
	send_ping(w);
	DICE_CHECK(liveness_deadline_ms(&w->l, w->now_ms) > w->now_ms);
	return true;
}

static void must_be_dead_in_time(const struct world *w)
{
	uint64_t within_ms = w->l.mode == LIVENESS_LISTENS ? 15000 : 10000 + LIVENESS_SAMPLE_MS;
	uint64_t from_ms = w->gone_ms;

	if (from_ms != UINT64_MAX)
		DICE_CHECK(w->now_ms <= from_ms + within_ms + 12 * LATE_MAX_MS);
}

static void play(struct dice *dice)
{
	uint64_t start_ms = 1 + dice_u32(dice);
	struct world w = {
		.dice = dice,
		.now_ms = start_ms,
		.read_ms = start_ms,
		.moved_ms = start_ms,
		.turn_ms = start_ms,
		.gone_ms = UINT64_MAX,
	};
	bool lives = true;

	for (unsigned int i = 0; i < 3; i++)
		w.moods = w.moods << 8 | (dice_percent(dice, 50) ? dice_below(dice, 100) : i * 40);
	if (dice_percent(dice, 50))
		w.gone_ms = start_ms + dice_below(dice, 60000);
	liveness_init(&w.l, dice_percent(dice, 70) ? LIVENESS_PINGS : LIVENESS_LISTENS, start_ms);
	for (unsigned int i = 0; lives && i < N_LOOKS; i++) {
		uint64_t at_ms = liveness_deadline_ms(&w.l, w.now_ms);

		at_ms = at_ms > w.now_ms ? at_ms : w.now_ms;
		happen(&w, at_ms + dice_below(dice, LATE_MAX_MS));
		lives = look(&w);
		must_be_dead_in_time(&w);
	}
}

static void a_verdict_is_what_the_facts_say_in_every_schedule(void **state UNUSED)
{
	dice_play(N_SCHEDULES, play);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_verdict_is_what_the_facts_say_in_every_schedule),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
