/* SPDX-License-Identifier: Apache-2.0 */

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "base/compiler.h"
#include "wire/liveness.h"

#define T0 1000000u

static struct liveness pinged(void)
{
	struct liveness l;

	liveness_init(&l, LIVENESS_PINGS, T0);
	assert_false(liveness_ping_due(&l, T0 + 4999, 0));
	assert_true(liveness_ping_due(&l, T0 + 5000, 0));
	return l;
}

static void an_answered_ping_keeps_a_silent_link_alive(void **state UNUSED)
{
	struct liveness l = pinged();

	liveness_on_read(&l, T0 + 5010);
	liveness_on_ping_ack(&l, 10000);
	assert_int_equal(l.rtt_us, 10000);
	assert_int_equal(liveness_check(&l, T0 + 9999, 0), LIVENESS_OK);
	assert_false(liveness_ping_due(&l, T0 + 9999, 0));
	assert_true(liveness_ping_due(&l, T0 + 10000, 0));
}

static void a_black_hole_is_dead_ten_seconds_after_the_last_byte(void **state UNUSED)
{
	struct liveness l = pinged();

	assert_int_equal(liveness_check(&l, T0 + 9999, 0), LIVENESS_OK);
	assert_int_equal(liveness_check(&l, T0 + 10000, 0), LIVENESS_DEAD);
}

static void a_moving_send_queue_makes_it_suspect_only(void **state UNUSED)
{
	struct liveness l = pinged();

	for (unsigned int s = 1; s <= 24; s++) {
		enum liveness_verdict v = liveness_check(&l, T0 + 5000 + s * 1000, s * 4096);

		assert_int_equal(v, s < 5 ? LIVENESS_OK : LIVENESS_SUSPECT);
	}
	/* Thirty silent seconds end it, whatever the queue does. */
	assert_int_equal(liveness_check(&l, T0 + 29999, 30 * 4096), LIVENESS_SUSPECT);
	assert_int_equal(liveness_check(&l, T0 + 30000, 31 * 4096), LIVENESS_DEAD);
}

static void a_queue_that_stops_moving_is_dead_five_seconds_later(void **state UNUSED)
{
	struct liveness l = pinged();

	assert_int_equal(liveness_check(&l, T0 + 8000, 999), LIVENESS_OK);
	assert_int_equal(liveness_check(&l, T0 + 12999, 999), LIVENESS_SUSPECT);
	assert_int_equal(liveness_check(&l, T0 + 13000, 999), LIVENESS_DEAD);
}

static void while_bytes_are_read_it_is_never_dead(void **state UNUSED)
{
	struct liveness l = pinged();

	for (uint64_t t = T0 + 5000; t < T0 + 120000; t += 1000) {
		liveness_on_read(&l, t);
		assert_int_not_equal(liveness_check(&l, t, 0), LIVENESS_DEAD);
	}
	assert_int_equal(liveness_check(&l, T0 + 120000, 0), LIVENESS_SUSPECT);
	liveness_on_ping_ack(&l, 1);
	assert_int_equal(liveness_check(&l, T0 + 120000, 0), LIVENESS_OK);
}

static void one_ping_at_a_time_and_only_its_answer_counts(void **state UNUSED)
{
	struct liveness l = pinged();

	assert_false(liveness_ping_due(&l, T0 + 20000, 0));
	liveness_on_ping_ack(&l, 5);
	assert_int_equal(l.rtt_us, 5);
	/* Nothing was asked: no answer. */
	liveness_on_ping_ack(&l, 7);
	assert_int_equal(l.rtt_us, 5);
}

static void the_listening_side_waits_ten_and_fifteen_seconds(void **state UNUSED)
{
	struct liveness l;

	liveness_init(&l, LIVENESS_LISTENS, T0);
	assert_false(liveness_ping_due(&l, T0 + 60000, 0));
	assert_int_equal(liveness_check(&l, T0 + 9999, 0), LIVENESS_OK);
	assert_int_equal(liveness_check(&l, T0 + 10000, 0), LIVENESS_SUSPECT);
	assert_int_equal(liveness_check(&l, T0 + 14999, 0), LIVENESS_SUSPECT);
	assert_int_equal(liveness_check(&l, T0 + 15000, 0), LIVENESS_DEAD);
	liveness_on_read(&l, T0 + 15000);
	assert_int_equal(liveness_check(&l, T0 + 15000, 0), LIVENESS_OK);
}

static void the_next_look_is_never_late(void **state UNUSED)
{
	struct liveness l;

	liveness_init(&l, LIVENESS_PINGS, T0);
	assert_int_equal(liveness_deadline_ms(&l, T0), T0 + 5000);
	/* Asked late, by a busy loop: the PING that is due is not forgotten. */
	assert_int_equal(liveness_deadline_ms(&l, T0 + 5001), T0 + 5000);
	assert_true(liveness_ping_due(&l, T0 + 5000, 0));
	assert_int_equal(liveness_deadline_ms(&l, T0 + 5000), T0 + 6000);
	liveness_on_ping_ack(&l, 1);
	assert_int_equal(liveness_deadline_ms(&l, T0 + 5000), T0 + 10000);
	liveness_init(&l, LIVENESS_LISTENS, T0);
	assert_int_equal(liveness_deadline_ms(&l, T0), T0 + 10000);
	assert_int_equal(liveness_deadline_ms(&l, T0 + 10000), T0 + 15000);
}

/* A change of the network brings the question forward, and no time-out with it. */
static void a_hurried_ping_shortens_nothing(void **state UNUSED)
{
	struct liveness l;

	liveness_init(&l, LIVENESS_PINGS, T0);
	liveness_hurry(&l, T0 + 1000);
	assert_int_equal(liveness_deadline_ms(&l, T0 + 1000), T0 + 1000);
	assert_true(liveness_ping_due(&l, T0 + 1000, 7));
	assert_false(liveness_ping_due(&l, T0 + 1000, 7));
	liveness_hurry(&l, T0 + 1001);
	assert_false(liveness_ping_due(&l, T0 + 1001, 7));
	assert_int_equal(liveness_check(&l, T0 + 5999, 7), LIVENESS_OK);
	liveness_on_read(&l, T0 + 5000);
	assert_int_equal(liveness_check(&l, T0 + 9999, 7), LIVENESS_SUSPECT);
	assert_int_equal(liveness_check(&l, T0 + 10000, 7), LIVENESS_DEAD);
}

static void who_listens_is_not_hurried(void **state UNUSED)
{
	struct liveness l;

	liveness_init(&l, LIVENESS_LISTENS, T0);
	liveness_hurry(&l, T0 + 1000);
	assert_false(liveness_ping_due(&l, T0 + 1000, 0));
	assert_int_equal(liveness_deadline_ms(&l, T0 + 1000), T0 + 10000);
}

/* The clock is that of the boot: it goes on while the host sleeps, and never back. */
#define HOUR_MS (3600 * 1000)

/* As after a sleep shorter than the peer's patience: it is asked first. */
static void after_a_short_jump_the_peer_is_asked(void **state UNUSED)
{
	struct liveness l;
	uint64_t t = T0 + LIVENESS_SILENT_MS - 1;

	liveness_init(&l, LIVENESS_PINGS, T0);
	assert_int_equal(liveness_check(&l, t, 0), LIVENESS_OK);
	assert_true(liveness_deadline_ms(&l, t) <= t);
	assert_true(liveness_ping_due(&l, t, 0));
	assert_false(liveness_ping_due(&l, t, 0));
	liveness_on_read(&l, t + 10);
	liveness_on_ping_ack(&l, 10000);
	assert_int_equal(liveness_check(&l, t + 4999, 0), LIVENESS_OK);
}

static void after_a_short_jump_silence_is_death(void **state UNUSED)
{
	struct liveness l;
	uint64_t t = T0 + LIVENESS_SILENT_MS - LIVENESS_ANSWER_MS - 1;

	liveness_init(&l, LIVENESS_PINGS, T0);
	assert_true(liveness_ping_due(&l, t, 0));
	assert_int_equal(liveness_check(&l, t + LIVENESS_ANSWER_MS - 1, 0), LIVENESS_OK);
	assert_int_equal(liveness_check(&l, t + LIVENESS_ANSWER_MS, 0), LIVENESS_DEAD);
}

static void after_a_long_jump_it_is_dead(void **state UNUSED)
{
	static const enum liveness_mode modes[] = {LIVENESS_PINGS, LIVENESS_LISTENS};

	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		struct liveness l;

		liveness_init(&l, modes[i], T0);
		assert_true(liveness_deadline_ms(&l, T0 + HOUR_MS) <= T0 + HOUR_MS);
		assert_int_equal(liveness_check(&l, T0 + HOUR_MS, 0), LIVENESS_DEAD);
	}
}

/* What was in the socket is read first (test_link_late.c), and counts from now on. */
static void what_is_read_after_a_jump_is_news(void **state UNUSED)
{
	struct liveness l = pinged();

	liveness_on_read(&l, T0 + HOUR_MS);
	assert_int_equal(liveness_check(&l, T0 + HOUR_MS, 0), LIVENESS_SUSPECT);
	liveness_on_ping_ack(&l, 1);
	assert_int_equal(liveness_check(&l, T0 + HOUR_MS, 0), LIVENESS_OK);
	liveness_init(&l, LIVENESS_LISTENS, T0);
	liveness_on_read(&l, T0 + HOUR_MS);
	assert_int_equal(liveness_check(&l, T0 + HOUR_MS + 9999, 0), LIVENESS_OK);
}

/* The peer is heard all the time. */
static void output_that_waits(void **state UNUSED)
{
	uint64_t acked = 1000;
	struct liveness l;
	uint64_t t = T0;

	liveness_init(&l, LIVENESS_LISTENS, t);
	/* Nothing waits: idle for as long as it likes. */
	for (unsigned int i = 0; i < 100; i++, t += 1000) {
		liveness_on_read(&l, t);
		assert_int_equal(liveness_check(&l, t, acked), LIVENESS_OK);
		assert_false(liveness_is_stalled(&l, t, false));
	}
	/* It waits, and a byte goes every 29 s. */
	for (unsigned int i = 0; i < 290; i++, t += 1000) {
		liveness_on_read(&l, t);
		acked += i % 29 == 0;
		(void)liveness_check(&l, t, acked);
		assert_false(liveness_is_stalled(&l, t, true));
	}
	/* None goes. The last look that saw one go was 29 s ago. */
	for (unsigned int i = 0; i < 2; i++, t += 1000) {
		liveness_on_read(&l, t);
		assert_int_equal(liveness_check(&l, t, acked), LIVENESS_OK);
		if (liveness_is_stalled(&l, t, true))
			break;
	}
	assert_true(t - l.moved_ms >= LIVENESS_SILENT_MS);
	assert_true(liveness_is_stalled(&l, t, true));
	assert_false(liveness_is_stalled(&l, t, false));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_answered_ping_keeps_a_silent_link_alive),
		cmocka_unit_test(a_black_hole_is_dead_ten_seconds_after_the_last_byte),
		cmocka_unit_test(a_moving_send_queue_makes_it_suspect_only),
		cmocka_unit_test(a_queue_that_stops_moving_is_dead_five_seconds_later),
		cmocka_unit_test(while_bytes_are_read_it_is_never_dead),
		cmocka_unit_test(one_ping_at_a_time_and_only_its_answer_counts),
		cmocka_unit_test(the_listening_side_waits_ten_and_fifteen_seconds),
		cmocka_unit_test(the_next_look_is_never_late),
		cmocka_unit_test(a_hurried_ping_shortens_nothing),
		cmocka_unit_test(who_listens_is_not_hurried),
		cmocka_unit_test(after_a_short_jump_the_peer_is_asked),
		cmocka_unit_test(after_a_short_jump_silence_is_death),
		cmocka_unit_test(after_a_long_jump_it_is_dead),
		cmocka_unit_test(what_is_read_after_a_jump_is_news),
		cmocka_unit_test(output_that_waits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
