/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "mem_pair.h"
#include "talker.h"

#include "wire/h2_private.h"

/* The clock stands still: nothing comes back with time. */
#define NEARLY_ALL (H2_NUISANCE_BURST - 100)

/* WINDOW_UPDATEs of 1. Returns how many @to took. */
static unsigned int feed_updates(struct mem_pair *p, struct mem_end *to, unsigned int n)
{
	static const uint8_t update[] = {0, 0, 4, 8, 0, 0, 0, 0, 0, 0, 0, 0, 1};
	unsigned int i;

	for (i = 0; i < n; i++) {
		mem_feed(p, to, update, sizeof(update));
		if (to->feed_result != 0)
			break;
	}
	return i;
}

static void updates_without_data_are_bounded(void **state UNUSED)
{
	static struct mem_pair p;
	unsigned int n;

	mem_pair_init(&p, 0);
	mem_pair_pump(&p);
	n = feed_updates(&p, &p.opener, 2 * H2_NUISANCE_BURST);
	assert_in_range(n, NEARLY_ALL, H2_NUISANCE_BURST);
	assert_string_equal(h2_session_error_text(p.opener.session),
			    "peer floods with frames without payload");
	mem_pair_deinit(&p);
}

/* Who is sent much may give credit often, and no more than that. */
static void updates_in_proportion_to_data(void **state UNUSED)
{
	static struct mem_pair p;
	struct talker t = {.to_send = 10000 * H2_NUISANCE_SENT_BYTES};
	unsigned int n;

	mem_pair_init(&p, 0);
	mem_pair_pump(&p);
	assert_int_equal(feed_updates(&p, &p.opener, NEARLY_ALL), NEARLY_ALL);
	assert_int_equal(open_talker(&p, &t, get_request, 4), 0);
	mem_pair_pump(&p);
	assert_int_equal(t.sent, t.to_send);
	assert_int_equal(feed_updates(&p, &p.opener, 5000), 5000);
	n = feed_updates(&p, &p.opener, 2 * H2_NUISANCE_BURST);
	assert_true(n < 10000);
	mem_pair_deinit(&p);
}

/* Each stream has one end, and it may come alone. */
static void empty_ends_are_no_nuisance(void **state UNUSED)
{
	static const uint8_t late_end[] = {0, 0, 0, 0, 1, 0, 0, 0, 1};
	static struct mem_pair p;
	unsigned int n;

	mem_pair_init(&p, 0);
	mem_pair_pump(&p);
	assert_int_equal(feed_updates(&p, &p.acceptor, NEARLY_ALL), NEARLY_ALL);
	for (unsigned int i = 0; i < 1000; i++) {
		struct talker t = {.to_send = 0};

		assert_int_equal(open_talker(&p, &t, get_request, 4), 0);
		mem_pair_pump(&p);
		assert_int_equal(h2_stream_respond(p.acceptor.opened, ok_response, 1, true), 0);
		mem_pair_pump(&p);
		assert_int_equal(p.acceptor.feed_result, 0);
		assert_true(t.closed);
	}
	/* Those of streams that are gone are ignored, and counted. */
	for (n = 0; n < 1000 && p.acceptor.feed_result == 0; n++)
		mem_feed(&p, &p.acceptor, late_end, sizeof(late_end));
	assert_true(n <= 101);
	mem_pair_deinit(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(updates_without_data_are_bounded),
		cmocka_unit_test(updates_in_proportion_to_data),
		cmocka_unit_test(empty_ends_are_no_nuisance),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
