/* SPDX-License-Identifier: Apache-2.0 */
/* Who may show a secret, and who has to wait: on a clock of the test's own. */

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>

#include "base/addr.h"
#include "base/compiler.h"
#include "edge/guesses.h"

#define N_MAX  8
#define BURST  3
#define MINUTE 60000
#define COST   (MINUTE / 6)

static const struct guess_limits limits = {.burst = BURST, .per_minute = 6};

static struct ip_addr ip(const char *text)
{
	struct ip_addr a;

	assert_int_equal(ip_parse(text, &a), 0);
	return a;
}

static uint64_t wait_of(struct guesses *g, const char *text, uint64_t now_ms)
{
	const struct ip_addr a = ip(text);

	return guesses_wait_ms(g, &a, &limits, now_ms);
}

static void fail_at(struct guesses *g, const char *text, uint64_t now_ms, unsigned int n)
{
	const struct ip_addr a = ip(text);

	for (unsigned int i = 0; i < n; i++)
		guesses_failed(g, &a, &limits, now_ms);
}

static int set_up(void **state)
{
	*state = guesses_new(N_MAX);
	return 0;
}

static int tear_down(void **state)
{
	*state = guesses_free(*state);
	return 0;
}

static void a_burst_is_forgiven_one_by_one(void **state)
{
	struct guesses *g = *state;

	assert_int_equal(wait_of(g, "192.0.2.1", 5000), 0);
	for (unsigned int i = 0; i < BURST; i++) {
		assert_int_equal(wait_of(g, "192.0.2.1", 5000), 0);
		fail_at(g, "192.0.2.1", 5000, 1);
	}
	assert_int_equal(wait_of(g, "192.0.2.1", 5000), COST);
	assert_int_equal(wait_of(g, "192.0.2.1", 5000 + COST - 1), 1);
	assert_int_equal(wait_of(g, "192.0.2.1", 5000 + COST), 0);
	fail_at(g, "192.0.2.1", 5000 + COST, 1);
	assert_int_equal(wait_of(g, "192.0.2.1", 5000 + COST), COST);
	/* Long after, the whole burst is there again, and no more. */
	fail_at(g, "192.0.2.1", 10 * MINUTE, BURST - 1);
	assert_int_equal(wait_of(g, "192.0.2.1", 10 * MINUTE), 0);
	fail_at(g, "192.0.2.1", 10 * MINUTE, 1);
	assert_int_equal(wait_of(g, "192.0.2.1", 10 * MINUTE), COST);
}

static void a_rate_per_minute_holds(void **state)
{
	struct guesses *g = *state;
	unsigned int n_looked_at = 0;

	for (uint64_t now_ms = 1; now_ms < 10 * MINUTE; now_ms += 7) {
		if (wait_of(g, "192.0.2.1", now_ms) > 0)
			continue;
		fail_at(g, "192.0.2.1", now_ms, 1);
		n_looked_at++;
	}
	assert_in_range(n_looked_at, 10 * 6, BURST + 10 * 6);
}

static void nobody_waits_longer_than_for_one(void **state)
{
	fail_at(*state, "192.0.2.1", 5000, 100000);
	assert_int_equal(wait_of(*state, "192.0.2.1", 5000), COST);
}

static void addresses_are_kept_apart(void **state)
{
	struct guesses *g = *state;

	fail_at(g, "192.0.2.1", 5000, BURST);
	fail_at(g, "2001:db8:1:2::1", 5000, BURST);
	assert_true(wait_of(g, "::ffff:192.0.2.1", 5000) > 0);
	assert_int_equal(wait_of(g, "192.0.2.2", 5000), 0);
	assert_int_equal(wait_of(g, "192.0.3.1", 5000), 0);
	assert_true(wait_of(g, "2001:db8:1:2:ffff:ffff:ffff:ffff", 5000) > 0);
	assert_int_equal(wait_of(g, "2001:db8:1:3::1", 5000), 0);
	assert_int_equal(guesses_count(g), 2);
}

static void the_oldest_is_forgotten(void **state)
{
	struct guesses *g = *state;
	char text[IP_TEXT_MAX];

	for (unsigned int i = 0; i < N_MAX; i++) {
		snprintf(text, sizeof(text), "192.0.2.%u", i);
		fail_at(g, text, 5000 + i, BURST);
	}
	/* The first one fails again, so the second is the oldest. */
	fail_at(g, "192.0.2.0", 6000, 1);
	fail_at(g, "198.51.100.1", 6000, BURST);
	assert_int_equal(guesses_count(g), N_MAX);
	assert_true(wait_of(g, "192.0.2.0", 6000) > 0);
	assert_int_equal(wait_of(g, "192.0.2.1", 6000), 0);
	assert_true(wait_of(g, "192.0.2.2", 6000) > 0);
	assert_true(wait_of(g, "198.51.100.1", 6000) > 0);
}

static void many_addresses_take_no_more_room(void **state)
{
	struct guesses *g = *state;
	char text[IP_TEXT_MAX];

	for (unsigned int i = 0; i < 50000; i++) {
		snprintf(text, sizeof(text), "2001:db8:%x:%x::1", i >> 8, i & 0xff);
		fail_at(g, text, 5000 + i, 1);
		assert_true(guesses_count(g) <= N_MAX);
	}
	assert_int_equal(wait_of(g, "2001:db8:0:0::1", 60000), 0);
}

static void it_is_told_once_a_minute(void **state)
{
	struct guesses *g = *state;
	const struct ip_addr a = ip("192.0.2.1");
	const struct ip_addr b = ip("192.0.2.2");

	assert_false(guesses_tell(g, &a, 5000));
	fail_at(g, "192.0.2.1", 5000, 1);
	fail_at(g, "192.0.2.2", 5000, 1);
	assert_true(guesses_tell(g, &a, 5000));
	assert_false(guesses_tell(g, &a, 5000));
	assert_true(guesses_tell(g, &b, 5000));
	assert_false(guesses_tell(g, &a, 5000 + MINUTE - 1));
	fail_at(g, "192.0.2.1", 5000 + MINUTE, 1);
	assert_true(guesses_tell(g, &a, 5000 + MINUTE));
}

static void extreme_limits_do_not_overflow(void **state)
{
	const struct guess_limits wide = {.burst = 1000000, .per_minute = 1};
	const struct guess_limits fast = {.burst = 1, .per_minute = 1000000};
	const struct ip_addr a = ip("192.0.2.1");
	struct guesses *g = *state;

	for (unsigned int i = 0; i < 1000; i++) {
		assert_int_equal(guesses_wait_ms(g, &a, &wide, 5000), 0);
		guesses_failed(g, &a, &wide, 5000);
	}
	/* A reload with less: what is in the bucket has to go first. */
	assert_true(guesses_wait_ms(g, &a, &fast, 5000) > 0);
	guesses_failed(g, &a, &fast, 5000);
	assert_int_equal(guesses_wait_ms(g, &a, &fast, 5001), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_burst_is_forgiven_one_by_one, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_rate_per_minute_holds, set_up, tear_down),
		cmocka_unit_test_setup_teardown(nobody_waits_longer_than_for_one, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(addresses_are_kept_apart, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_oldest_is_forgotten, set_up, tear_down),
		cmocka_unit_test_setup_teardown(many_addresses_take_no_more_room, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(it_is_told_once_a_minute, set_up, tear_down),
		cmocka_unit_test_setup_teardown(extreme_limits_do_not_overflow, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
