/* SPDX-License-Identifier: Apache-2.0 */

/* A path of given bandwidth and delay, in virtual time, and the window that comes of it. */

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "base/compiler.h"
#include "wire/bdp.h"

#define MIB	  (1024u * 1024)
#define WINDOW	  (1u * MIB)
#define MAX	  (32u * MIB)
#define MS	  UINT64_C(1000)
#define START_US  (UINT64_C(3600) * 1000000)
#define N_ROUNDS  40
#define CHUNK_MAX 16384

/* Sends as fast as window and bandwidth allow for @n_rounds round trips; returns the PINGs. */
static unsigned int stream(struct bdp *b, uint64_t *now_us, uint64_t rtt_us, uint64_t bytes_per_s,
			   unsigned int n_rounds)
{
	unsigned int n_pings = 0;
	uint64_t answer_us = UINT64_MAX;

	for (unsigned int i = 0; i < n_rounds; i++) {
		uint64_t held = bytes_per_s * rtt_us / 1000000;
		uint64_t n = held < b->window ? held : b->window;
		uint64_t n_chunks = n / CHUNK_MAX + 1;

		/* The round's bytes come evenly; an answer comes one round trip after its PING. */
		for (uint64_t c = 0; c < n_chunks; c++) {
			uint64_t at_us = *now_us + rtt_us * c / n_chunks;
			uint32_t wanted = 0;

			if (at_us >= answer_us) {
				answer_us = UINT64_MAX;
				wanted = bdp_on_answer(b, at_us);
			}
			if (wanted > 0)
				bdp_set_window(b, wanted);
			if (!bdp_on_received(b, n / n_chunks, at_us))
				continue;
			n_pings++;
			answer_us = at_us + rtt_us;
		}
		*now_us += rtt_us;
	}
	if (answer_us != UINT64_MAX)
		(void)bdp_on_answer(b, answer_us);
	return n_pings;
}

static void a_long_fat_path_gets_the_window_that_it_needs(void **state UNUSED)
{
	uint64_t now_us = START_US;
	struct bdp b;

	bdp_init(&b, WINDOW, MAX);
	/* 1 Gbit/s and 100 ms: 12.5 MB are on their way. */
	(void)stream(&b, &now_us, 100 * MS, 125000000, N_ROUNDS);
	assert_true(b.window >= 2 * 12000000u && b.window <= MAX);
}

static void growth_ends_at_the_maximum_and_so_do_the_pings(void **state UNUSED)
{
	uint64_t now_us = START_US;
	struct bdp b;

	bdp_init(&b, WINDOW, MAX);
	(void)stream(&b, &now_us, 200 * MS, 1250000000, N_ROUNDS);
	assert_int_equal(b.window, MAX);
	assert_int_equal(stream(&b, &now_us, 200 * MS, 1250000000, N_ROUNDS), 0);
}

static void a_path_that_the_window_covers_changes_nothing(void **state UNUSED)
{
	uint64_t now_us = START_US;
	unsigned int n_pings;
	struct bdp b;

	bdp_init(&b, WINDOW, MAX);
	/* 100 Mbit/s and 10 ms hold 125,000 bytes. */
	n_pings = stream(&b, &now_us, 10 * MS, 12500000, 100);
	assert_int_equal(b.window, WINDOW);
	/* Three at once, then one per second. */
	assert_true(n_pings >= BDP_QUIET_MAX && n_pings <= BDP_QUIET_MAX + 2);
}

/* A queue on the path makes round trips longer, not the path faster. */
static void a_queue_is_no_reason_to_grow(void **state UNUSED)
{
	uint64_t now_us = START_US;
	uint64_t rtt_us = 50 * MS;
	uint32_t settled;
	struct bdp b;

	bdp_init(&b, WINDOW, MAX);
	(void)stream(&b, &now_us, rtt_us, 12500000, N_ROUNDS);
	settled = b.window;
	assert_true(settled <= 4 * MIB);
	for (unsigned int i = 0; i < 10; i++) {
		rtt_us = (uint64_t)b.window * 1000000 / 12500000;
		(void)stream(&b, &now_us, rtt_us, 12400000, 2);
	}
	assert_int_equal(b.window, settled);
}

static void a_window_that_is_not_granted_is_asked_for_again(void **state UNUSED)
{
	uint64_t now_us = START_US;
	struct bdp b;

	bdp_init(&b, WINDOW, MAX);
	assert_true(bdp_on_received(&b, WINDOW / 4, now_us));
	assert_false(bdp_on_received(&b, WINDOW, now_us + 50 * MS));
	assert_int_equal(bdp_on_answer(&b, now_us + 100 * MS), 2 * WINDOW);
	assert_int_equal(b.window, WINDOW);
	now_us += 100 * MS;
	assert_true(bdp_on_received(&b, WINDOW / 4, now_us));
	assert_false(bdp_on_received(&b, WINDOW, now_us + 10 * MS));
	assert_int_equal(bdp_on_answer(&b, now_us + 100 * MS), 2 * WINDOW);
}

static void typing_is_not_measured(void **state UNUSED)
{
	struct bdp b;

	bdp_init(&b, WINDOW, MAX);
	for (uint64_t i = 0; i < 1000; i++)
		assert_false(bdp_on_received(&b, 1000, START_US + i * 1500 * MS));
}

static void after_a_pause_it_is_measured_anew(void **state UNUSED)
{
	uint64_t now_us = START_US;
	struct bdp b;

	bdp_init(&b, WINDOW, MAX);
	/* Fast at first, then nothing faster is seen: no growth. */
	assert_false(bdp_on_received(&b, 1, now_us));
	b.best_bytes_per_s = UINT64_MAX;
	(void)stream(&b, &now_us, 100 * MS, 125000000, N_ROUNDS);
	assert_int_equal(b.window, WINDOW);
	now_us += BDP_IDLE_US;
	(void)stream(&b, &now_us, 100 * MS, 125000000, N_ROUNDS);
	assert_true(b.window > 16 * MIB);
}

static void an_answer_to_no_question_is_none(void **state UNUSED)
{
	struct bdp b;

	bdp_init(&b, WINDOW, MAX);
	assert_false(bdp_on_received(&b, 1000, START_US));
	assert_int_equal(bdp_on_answer(&b, START_US), 0);
	assert_int_equal(b.n_quiet, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_long_fat_path_gets_the_window_that_it_needs),
		cmocka_unit_test(growth_ends_at_the_maximum_and_so_do_the_pings),
		cmocka_unit_test(a_path_that_the_window_covers_changes_nothing),
		cmocka_unit_test(a_queue_is_no_reason_to_grow),
		cmocka_unit_test(a_window_that_is_not_granted_is_asked_for_again),
		cmocka_unit_test(typing_is_not_measured),
		cmocka_unit_test(after_a_pause_it_is_measured_anew),
		cmocka_unit_test(an_answer_to_no_question_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
