/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Ways in which a link could wait for ever with work left. The loop blocks here, so that a wake-up
 * that is lost shows: the next event would be a PING, and the deadline comes first.
 * Others of the kind: bounded_loops_go_on_by_themselves (test_link.c: a pump that stops at its
 * bound, bytes left in the read-ahead), rubbish_on_one_link_harms_no_other (test_link_faults.c)
 * and one_connection_s_error_is_not_anothers (test_tls.c: the error queue that all share),
 * the_largest_write_goes_through (test_tls.c: short writes),
 * a_stream_with_a_small_window_still_gives_credit (test_h2_session.c).
 */

#include "link_world.h"

static struct talker up;
static struct talker down;

static void listen_and_talk(struct end *e UNUSED, struct h2_stream *stream)
{
	down.stream = stream;
	assert_int_equal(h2_stream_respond(stream, ok_response, 1, false), 0);
	h2_stream_set_events(stream, &talker_events, &down);
	h2_stream_set_source(stream, talk, &down);
}

static void open_quiet_stream(struct world *w)
{
	up = (struct talker){.blocked = true};
	down = (struct talker){.blocked = true};
	w->b[0].on_open = listen_and_talk;
	world_connect(w);
	assert_int_equal(h2_stream_open(link_session(w->a.link), &up.stream, get_request,
					ARRAY_SIZE(get_request), false, &talker_events, &up),
			 0);
	h2_stream_set_source(up.stream, talk, &up);
	TURN_UNTIL(w, down.stream);
}

/* Less than a PING's interval for all of it: only the bytes themselves may wake the loop. */
static void block_until(struct world *w, const size_t *received, size_t n)
{
	uint64_t until_ms = clock_boot_ms() + WORLD_DEADLINE_MS;
	unsigned int n_pings = 0;

	while (*received < n) {
		uint64_t ping_us = w->a.link->ping_us;

		assert_true(uv_run(&w->uv, UV_RUN_ONCE) != 0);
		n_pings += w->a.link->ping_us != ping_us;
		assert_true(n_pings < 2 && clock_boot_ms() < until_ms);
	}
}

static void say(struct talker *t, size_t n)
{
	t->to_send = t->sent + n + 1; /* one more than is allowed: its end stays away */
	t->blocked = false;
	h2_stream_resume(t->stream);
}

/* The source that has said all blocks, as an idle socket does. */
static ssize_t talk_and_pause(void *ctx, uint8_t *buf, size_t cap)
{
	struct talker *t = ctx;
	size_t left = t->to_send - 1 - t->sent;

	return left == 0 ? -EAGAIN : talk(t, buf, cap < left ? cap : left);
}

static void the_last_flush_is_not_forgotten(void **state UNUSED)
{
	static const size_t sizes[] = {1,     16375,  16376,  65500,  65536,
				       81875, 262135, 262136, 524270, 600001};
	static struct world w;
	size_t total = 0;

	world_init(&w);
	open_quiet_stream(&w);
	h2_stream_set_source(up.stream, talk_and_pause, &up);
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		total += sizes[i];
		say(&up, sizes[i]);
		block_until(&w, &down.received, total);
	}
	world_deinit(&w);
}

static void credit_withheld_for_nothing_comes_back(void **state UNUSED)
{
	static struct world w;

	world_init(&w);
	/* Less than one read brings: all of it counts as kept until it turns out not to be. */
	w.io->budget.soft_bytes = 1000;
	open_quiet_stream(&w);
	unblock(&up, 12000000);
	block_until(&w, &down.received, 12000000);
	world_deinit(&w);
}

static void both_directions_at_once_wait_for_none(void **state UNUSED)
{
	static struct world w;

	world_init(&w);
	open_quiet_stream(&w);
	unblock(&up, 20000000);
	unblock(&down, 20000000);
	block_until(&w, &down.received, 20000000);
	block_until(&w, &up.received, 20000000);
	world_deinit(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_last_flush_is_not_forgotten),
		cmocka_unit_test(credit_withheld_for_nothing_comes_back),
		cmocka_unit_test(both_directions_at_once_wait_for_none),
	};

	return cmocka_run_group_tests(tests, pki_set_up, pki_tear_down);
}
