/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Sources that have bytes, then none, then some again: each burst arrives whole and at once,
 * whatever ended it, and a stream that closes meanwhile leaves nothing behind (LeakSanitizer
 * looks).
 */

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include "base/compiler.h"
#include "talker.h"

#define PULL   (80 * 1024)
#define RECORD 16384

/* Says -EAGAIN where talk() would end. */
static ssize_t burst(void *ctx, uint8_t *buf, size_t cap)
{
	struct talker *t = ctx;

	return t->sent == t->to_send ? -EAGAIN : talk(ctx, buf, cap);
}

static void say(struct talker *t, size_t n)
{
	t->to_send += n;
	h2_stream_resume(t->stream);
}

/* @n streams whose openers have nothing to say yet; windows of @window bytes. */
static void open_bursts(struct mem_pair *p, struct talker *a, struct talker *b, unsigned int n,
			uint32_t window)
{
	struct h2_limits limits = mem_limits;

	limits.stream_window_bytes = window;
	limits.conn_window_bytes = 32 * 1024 * 1024;
	limits.max_frame_bytes = H2_FRAME_MAX;
	mem_pair_init_with(p, 0, &mem_limits, &limits);
	mem_pair_pump(p);
	for (unsigned int i = 0; i < n; i++) {
		a[i] = (struct talker){0};
		b[i] = (struct talker){.blocked = true};
		assert_int_equal(h2_stream_open(p->opener.session, &a[i].stream, get_request,
						ARRAY_SIZE(get_request), false, &talker_events,
						&a[i]),
				 0);
		h2_stream_set_quiet_source(a[i].stream, burst, &a[i]);
		mem_pair_pump(p);
		answer(p, &b[i]);
		mem_pair_pump(p);
	}
}

/* The source is asked, and has nothing: not even a frame of no bytes goes out. */
static void a_dry_source_sends_nothing(void **state UNUSED)
{
	static struct mem_pair p;
	struct talker a;
	struct talker b;
	size_t n;

	open_bursts(&p, &a, &b, 1, 1024 * 1024);
	say(&a, 0);
	assert_int_equal(h2_session_pull(p.opener.session, p.out, sizeof(p.out), &n), 0);
	assert_int_equal(n, 0);
	say(&a, RECORD - 9);
	assert_int_equal(h2_session_pull(p.opener.session, p.out, sizeof(p.out), &n), 0);
	assert_int_equal(n, RECORD);
	mem_feed(&p, &p.acceptor, p.out, n);
	say(&a, 1);
	mem_pair_pump(&p);
	assert_int_equal(b.received, RECORD - 9 + 1);
	mem_pair_deinit(&p);
}

static void each_burst_arrives(void **state UNUSED)
{
	/* A byte, frames that are just full, one less, one more, several of each. */
	static const size_t bursts[] = {1,     16374,  16375,  16376, 81910, 81911,
					81912, 163822, 262135, 1,     999999};
	static struct mem_pair p;
	struct talker a;
	struct talker b;

	open_bursts(&p, &a, &b, 1, 4 * 1024 * 1024);
	for (size_t i = 0; i < ARRAY_SIZE(bursts); i++) {
		say(&a, bursts[i]);
		mem_pair_pump(&p);
		assert_int_equal(b.received, a.to_send);
		assert_false(b.eof);
		assert_true(h2_stream_is_waiting(a.stream));
	}
	h2_stream_set_source(a.stream, talk, &a);
	mem_pair_pump(&p);
	assert_true(b.eof);
	mem_pair_deinit(&p);
}

/* The source is dry at the very moment when the window is full. */
static void a_burst_of_a_window_is_followed_by_another(void **state UNUSED)
{
	static struct mem_pair p;
	struct talker a;
	struct talker b;

	open_bursts(&p, &a, &b, 1, 100000);
	b.hold_credit = true;
	for (unsigned int i = 1; i < 5; i++) {
		say(&a, 100000);
		mem_pair_pump(&p);
		assert_int_equal(b.received, i * (size_t)100000);
		say(&a, 0);
		mem_pair_pump(&p);
		h2_stream_credit(b.stream, 100000);
		mem_pair_pump(&p);
	}
	mem_pair_deinit(&p);
}

/* Bytes that are there before the request has gone out. */
static void what_waits_for_the_headers_follows_them(void **state UNUSED)
{
	static struct mem_pair p;
	struct talker a = {0};
	struct talker b = {.blocked = true};

	mem_pair_init(&p, 0);
	mem_pair_pump(&p);
	assert_int_equal(h2_stream_open(p.opener.session, &a.stream, get_request,
					ARRAY_SIZE(get_request), false, &talker_events, &a),
			 0);
	h2_stream_set_quiet_source(a.stream, burst, &a);
	say(&a, 1000);
	say(&a, 1000);
	mem_move(&p, &p.opener, &p.acceptor);
	answer(&p, &b);
	mem_pair_pump(&p);
	/* The acceptor dropped what came with the request, before it had a reader. */
	assert_int_equal(a.sent, 2000);
	b.received = 2000;
	say(&a, 500);
	mem_pair_pump(&p);
	assert_int_equal(b.received, 2500);
	mem_pair_deinit(&p);
}

/* What a keystroke may have to wait for. */
static void streams_that_run_dry_share_one_pull(void **state UNUSED)
{
	static struct mem_pair p;
	static const size_t bursts[3] = {79000, 81900, 5000000};
	size_t received = 0;
	struct talker a[3];
	struct talker b[3];
	size_t n;

	open_bursts(&p, a, b, 3, 16 * 1024 * 1024);
	for (unsigned int i = 0; i < 3; i++)
		say(&a[i], bursts[i]);
	/* Until only one is left. */
	while (received < 400000) {
		assert_int_equal(h2_session_pull(p.opener.session, p.out, sizeof(p.out), &n), 0);
		assert_true(n <= PULL + RECORD);
		mem_feed(&p, &p.acceptor, p.out, n);
		received += n;
	}
	mem_pair_pump(&p);
	for (unsigned int i = 0; i < 3; i++)
		assert_int_equal(b[i].received, bursts[i]);
	mem_pair_deinit(&p);
}

/* Feeds what isn't a PING: nghttp2 takes a thousand unanswered ones for a flood. */
static void feed_all_but_pings(struct mem_pair *p, const uint8_t *bytes, size_t n)
{
	size_t at = 0;

	while (at < n) {
		size_t whole =
			9 + ((size_t)bytes[at] << 16 | (size_t)bytes[at + 1] << 8 | bytes[at + 2]);

		assert_true(at + whole <= n);
		if (bytes[at + 3] != 6)
			mem_feed(p, &p->acceptor, bytes + at, whole);
		at += whole;
	}
}

/* However many control frames wait when the output gets its turn, DATA behind them fits or waits.
 */
static void control_frames_leave_room_for_data(void **state UNUSED)
{
	static uint8_t out[H2_PULL_MIN];
	static struct mem_pair p;
	struct talker a;
	struct talker b;
	size_t n;

	for (unsigned int n_pings = 900; n_pings < 3000; n_pings += 3) {
		open_bursts(&p, &a, &b, 1, 1024 * 1024);
		for (unsigned int i = 0; i < n_pings; i++)
			assert_int_equal(h2_session_ping(p.opener.session, i), 0);
		say(&a, 200000);
		while (b.received < a.to_send) {
			assert_int_equal(h2_session_pull(p.opener.session, out, sizeof(out), &n),
					 0);
			assert_true(n > 0);
			feed_all_but_pings(&p, out, n);
		}
		mem_pair_deinit(&p);
	}
}

static ssize_t no_more(void *ctx UNUSED, uint8_t *buf UNUSED, size_t cap UNUSED)
{
	return 0;
}

static void answer_the_end(void *ctx UNUSED, struct h2_stream *stream)
{
	h2_stream_set_source(stream, no_more, NULL);
}

/* The last events of a stream that is closing resume it. */
static void a_closing_stream_makes_no_item(void **state UNUSED)
{
	static const struct h2_stream_events events = {.on_eof = answer_the_end};
	static uint8_t both[1024];
	static struct mem_pair p;
	struct talker a;
	struct talker b;
	size_t n_end;
	size_t n_reset;

	open_bursts(&p, &a, &b, 1, 1024 * 1024);
	h2_stream_set_events(b.stream, &events, NULL);
	h2_stream_set_source(a.stream, talk, &a);
	assert_int_equal(h2_session_pull(p.opener.session, p.out, sizeof(p.out), &n_end), 0);
	memcpy(both, p.out, n_end);
	h2_stream_reset(a.stream, H2_CODE_CANCEL);
	assert_int_equal(h2_session_pull(p.opener.session, p.out, sizeof(p.out), &n_reset), 0);
	assert_true(n_end > 0 && n_reset > 0 && n_end + n_reset < sizeof(both));
	memcpy(both + n_end, p.out, n_reset);
	mem_feed(&p, &p.acceptor, both, n_end + n_reset);
	mem_pair_pump(&p);
	assert_true(a.closed);
	mem_pair_deinit(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_dry_source_sends_nothing),
		cmocka_unit_test(each_burst_arrives),
		cmocka_unit_test(a_burst_of_a_window_is_followed_by_another),
		cmocka_unit_test(what_waits_for_the_headers_follows_them),
		cmocka_unit_test(streams_that_run_dry_share_one_pull),
		cmocka_unit_test(control_frames_leave_room_for_data),
		cmocka_unit_test(a_closing_stream_makes_no_item),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
