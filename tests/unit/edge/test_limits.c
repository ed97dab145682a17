/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/log.h"
#include "edge/edge.h"
#include "edge/limits.h"

static struct edge_settings settings = {
	.limits = {.max_streams = 5, .max_dials = 2, .max_handshakes = 3},
};

/* At the bound, one below it, and freed again. */
static void test_streams_and_dials(void **state)
{
	static const struct {
		size_t n_flows, n_dials;
		enum edge_limit limit;
	} cases[] = {
		{0, 0, EDGE_LIMIT_N},	    {4, 1, EDGE_LIMIT_N},	{4, 2, EDGE_LIMIT_DIALS},
		{5, 0, EDGE_LIMIT_STREAMS}, {5, 2, EDGE_LIMIT_STREAMS}, {4, 0, EDGE_LIMIT_N},
	};
	struct edge e = {.settings = &settings};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		e.n_flows = cases[i].n_flows;
		e.n_dials = cases[i].n_dials;
		assert_int_equal(limits_of_stream(&e), cases[i].limit);
	}
}

/* A reload counts for what comes after it. */
static void test_lowered_and_raised(void **state)
{
	struct edge_settings other = settings;
	struct edge e = {.settings = &other, .n_flows = 4};

	(void)state;
	other.limits.max_streams = 3;
	assert_int_equal(limits_of_stream(&e), EDGE_LIMIT_STREAMS);
	other.limits.max_streams = 5;
	assert_int_equal(limits_of_stream(&e), EDGE_LIMIT_N);
}

static void test_refusals_are_counted(void **state)
{
	struct edge e = {.settings = &settings};

	(void)state;
	log_set_level(LOG_LEVEL_ERROR);
	for (int limit = 0; limit < EDGE_LIMIT_N; limit++)
		for (unsigned int i = 0; i < 100; i++)
			limits_note(&e, (enum edge_limit)limit);
	assert_int_equal(e.n_limited, 100 * EDGE_LIMIT_N);
	/* Far fewer are told. */
	for (int limit = 0; limit < EDGE_LIMIT_N; limit++)
		assert_in_range(e.limits_told[limit].n, 1, 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_streams_and_dials),
		cmocka_unit_test(test_lowered_and_raised),
		cmocka_unit_test(test_refusals_are_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
