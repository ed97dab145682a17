/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/heap_peak.h"

static void test_small_peaks_are_left_alone(void **state)
{
	struct heap_peak p = {0};

	(void)state;
	heap_peak_rise(&p, HEAP_PEAK_MIN - 1);
	assert_int_equal(heap_peak_fall(&p, 0), 0);
}

static void test_once_per_peak(void **state)
{
	struct heap_peak p = {0};
	int n_times = 0;

	(void)state;
	for (size_t n = 1; n <= 10000; n++)
		heap_peak_rise(&p, n);
	for (size_t n = 10000; n-- > 0;)
		n_times += heap_peak_fall(&p, n);
	/* At 1250, which is a peak of its own, and at 156. */
	assert_int_equal(n_times, 2);
	for (size_t n = 1; n <= 8 * HEAP_PEAK_MIN; n++)
		heap_peak_rise(&p, n);
	assert_int_equal(heap_peak_fall(&p, HEAP_PEAK_MIN + 1), 0);
	assert_int_equal(heap_peak_fall(&p, HEAP_PEAK_MIN), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_small_peaks_are_left_alone),
		cmocka_unit_test(test_once_per_peak),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
