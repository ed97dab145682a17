/* SPDX-License-Identifier: Apache-2.0 */

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <errno.h>

#include "wire/h2_queue.h"

#include "mem_pair.h"
#include "talker.h"

static void bytes_go_both_ways_and_end_once(void **state UNUSED)
{
	static struct mem_pair p;
	struct talker a;
	struct talker b;

	for (unsigned int seed = 0; seed < 20; seed++) {
		open_pair(&p, seed, &a, &b);
		assert_string_equal(p.acceptor.authority, "10.0.0.1:22");
		assert_string_equal(a.status, "200");
		unblock(&a, 3000000);
		unblock(&b, 1500000);
		mem_pair_pump(&p);
		assert_int_equal(b.received, 3000000);
		assert_int_equal(a.received, 1500000);
		assert_true(a.eof && b.eof && a.closed && b.closed);
		assert_int_equal(a.code, 0);
		assert_int_equal(b.code, 0);
		assert_true(h2_session_is_idle(p.opener.session));
		assert_true(h2_session_is_idle(p.acceptor.session));
		mem_pair_deinit(&p);
	}
}

static void half_close_leaves_the_other_half_open(void **state UNUSED)
{
	static struct mem_pair p;
	struct talker a;
	struct talker b;

	open_pair(&p, 0, &a, &b);
	unblock(&a, 0);
	mem_pair_pump(&p);
	assert_true(b.eof);
	assert_false(a.closed);
	assert_false(b.closed);
	unblock(&b, 700000);
	mem_pair_pump(&p);
	assert_int_equal(a.received, 700000);
	assert_true(a.closed && b.closed);
	mem_pair_deinit(&p);
}

static void a_reader_that_takes_nothing_stops_its_own_stream_only(void **state UNUSED)
{
	static struct mem_pair p;
	struct talker a;
	struct talker b;
	struct talker c = {.blocked = true};
	struct talker d = {.blocked = true};

	open_pair(&p, 0, &a, &b);
	b.hold_credit = true;
	unblock(&a, 5000000);
	mem_pair_pump(&p);
	assert_int_equal(b.received, mem_limits.stream_window_bytes);

	assert_int_equal(open_talker(&p, &c, get_request, ARRAY_SIZE(get_request)), 0);
	mem_pair_pump(&p);
	answer(&p, &d);
	unblock(&c, 4000000);
	mem_pair_pump(&p);
	assert_int_equal(d.received, 4000000);

	b.hold_credit = false;
	h2_stream_credit(b.stream, b.uncredited);
	mem_pair_pump(&p);
	assert_int_equal(b.received, 5000000);
	mem_pair_deinit(&p);
}

static void withheld_connection_credit_stops_bulk_but_not_rpc(void **state UNUSED)
{
	static struct mem_pair p;
	struct h2_limits wide = mem_limits;
	struct talker a = {.blocked = true};
	struct talker b = {.blocked = true};
	struct talker c = {0};
	struct talker d = {.blocked = true};
	struct h2_queue q;
	char message[1000] = {0};

	wide.stream_window_bytes = 16 * 1024 * 1024;
	mem_pair_init_with(&p, 0, &wide, &wide);
	mem_pair_pump(&p);
	p.acceptor.withhold = true;
	assert_int_equal(open_talker(&p, &a, get_request, ARRAY_SIZE(get_request)), 0);
	mem_pair_pump(&p);
	answer(&p, &b);
	unblock(&a, 5000000);
	mem_pair_pump(&p);
	assert_true(b.received < wide.conn_window_bytes);
	assert_true(b.received > wide.conn_window_bytes - 64 * 1024);

	/* The last of the window is for urgent streams. */
	assert_int_equal(h2_stream_open(p.opener.session, &c.stream, get_request,
					ARRAY_SIZE(get_request), false, &talker_events, &c),
			 0);
	h2_queue_init(&q, c.stream, 4096);
	mem_pair_pump(&p);
	answer(&p, &d);
	for (size_t i = 0; i < sizeof(message); i++)
		message[i] = (char)pattern(i);
	assert_int_equal(h2_queue_write(&q, message, sizeof(message)), 0);
	mem_pair_pump(&p);
	assert_int_equal(d.received, sizeof(message));

	p.acceptor.withhold = false;
	h2_session_release_credit(p.acceptor.session);
	mem_pair_pump(&p);
	assert_int_equal(b.received, 5000000);
	h2_queue_deinit(&q);
	mem_pair_deinit(&p);
}

static void bytes_in_flight_can_be_capped(void **state UNUSED)
{
	static struct mem_pair p;
	struct talker a;
	struct talker b;

	open_pair(&p, 0, &a, &b);
	b.hold_credit = true;
	h2_stream_limit_in_flight(a.stream, 50000);
	unblock(&a, 1000000);
	mem_pair_pump(&p);
	assert_int_equal(b.received, 50000);
	b.hold_credit = false;
	h2_stream_credit(b.stream, b.uncredited);
	mem_pair_pump(&p);
	assert_true(b.received >= 1000000);
	mem_pair_deinit(&p);
}

/* The reader takes @n of what it holds; returns how many more came for that. */
static size_t take(struct mem_pair *p, struct talker *t, size_t n)
{
	size_t before = t->received;

	t->uncredited -= n;
	h2_stream_credit(t->stream, n);
	mem_pair_pump(p);
	return t->received - before;
}

static void a_grown_window_reaches_the_streams_that_are_read(void **state UNUSED)
{
	const uint32_t w = mem_limits.stream_window_bytes;
	static struct mem_pair p;
	struct talker a;
	struct talker b;

	open_pair(&p, 0, &a, &b);
	b.hold_credit = true;
	unblock(&a, 20000000);
	mem_pair_pump(&p);
	h2_session_grow_windows(p.acceptor.session, 8 * w, 16 * w);
	mem_pair_pump(&p);
	/* Nobody has read it, or too little: it stays. */
	assert_int_equal(b.received, w);
	assert_int_equal(take(&p, &b, w / 2), w / 2);
	/* Twice as much each time that all was taken, up to what was said. */
	for (uint32_t window = w; window < 8 * w; window *= 2)
		assert_int_equal(take(&p, &b, window), 2 * window);
	assert_int_equal(take(&p, &b, 8 * w), 8 * w);
	/* A share of the new window is what is worth an update now. */
	assert_int_equal(take(&p, &b, w / 2), 0);
	assert_int_equal(take(&p, &b, w / 2), w);
	/* Smaller is not heard of. */
	h2_session_grow_windows(p.acceptor.session, w, w);
	b.hold_credit = false;
	(void)take(&p, &b, b.uncredited);
	assert_int_equal(b.received, 20000000);
	assert_true(b.eof);
	mem_pair_deinit(&p);
}

/* An eighth of the session's new window may be more than all that the stream's peer may send. */
static void a_stream_with_a_small_window_still_gives_credit(void **state UNUSED)
{
	static struct mem_pair p;
	struct talker a;
	struct talker b;

	open_pair(&p, 0, &a, &b);
	h2_session_grow_windows(p.acceptor.session, 64 * mem_limits.stream_window_bytes, 0);
	unblock(&a, 3000000);
	mem_pair_pump(&p);
	assert_int_equal(b.received, 3000000);
	mem_pair_deinit(&p);
}

static void a_connection_window_grows_while_its_credit_is_withheld(void **state UNUSED)
{
	static struct mem_pair p;
	struct h2_limits wide = mem_limits;
	struct talker a = {.blocked = true};
	struct talker b = {.blocked = true};
	size_t stalled_at;

	wide.stream_window_bytes = 16 * 1024 * 1024;
	mem_pair_init_with(&p, 0, &wide, &wide);
	mem_pair_pump(&p);
	p.acceptor.withhold = true;
	assert_int_equal(open_talker(&p, &a, get_request, ARRAY_SIZE(get_request)), 0);
	mem_pair_pump(&p);
	answer(&p, &b);
	unblock(&a, 12000000);
	mem_pair_pump(&p);
	stalled_at = b.received;
	h2_session_grow_windows(p.acceptor.session, 0, wide.conn_window_bytes * 2);
	mem_pair_pump(&p);
	assert_int_equal(b.received, stalled_at + wide.conn_window_bytes);
	p.acceptor.withhold = false;
	h2_session_release_credit(p.acceptor.session);
	mem_pair_pump(&p);
	assert_int_equal(b.received, 12000000);
	mem_pair_deinit(&p);
}

static void a_refusal_ends_an_open_request_cleanly(void **state UNUSED)
{
	static const struct h2_header refusal[] = {{.name = ":status", .value = "502"}};
	static struct mem_pair p;
	struct talker a = {.blocked = true};

	mem_pair_init(&p, 0);
	mem_pair_pump(&p);
	assert_int_equal(open_talker(&p, &a, connect_request, ARRAY_SIZE(connect_request)), 0);
	mem_pair_pump(&p);
	assert_int_equal(h2_stream_respond(p.acceptor.opened, refusal, 1, true), 0);
	mem_pair_pump(&p);
	assert_string_equal(a.status, "502");
	assert_true(a.eof && a.closed);
	assert_int_equal(a.code, 0);
	mem_pair_deinit(&p);
}

static void a_reset_reaches_the_other_side_with_its_code(void **state UNUSED)
{
	static struct mem_pair p;
	struct talker a;
	struct talker b;

	open_pair(&p, 0, &a, &b);
	h2_stream_reset(b.stream, H2_CODE_CONNECT_ERROR);
	h2_stream_reset(b.stream, H2_CODE_CANCEL);
	mem_pair_pump(&p);
	assert_true(a.closed && b.closed);
	assert_int_equal(a.code, H2_CODE_CONNECT_ERROR);
	mem_pair_deinit(&p);
}

static void freeing_a_session_closes_its_streams(void **state UNUSED)
{
	static struct mem_pair p;
	struct talker a;
	struct talker b;

	open_pair(&p, 0, &a, &b);
	mem_pair_deinit(&p);
	assert_true(a.closed && b.closed);
	assert_int_equal(a.code, H2_CODE_CANCEL);
}

static void draining_refuses_new_streams_and_keeps_the_old(void **state UNUSED)
{
	static struct mem_pair p;
	struct talker a;
	struct talker b;
	struct talker late = {0};

	open_pair(&p, 0, &a, &b);
	assert_true(h2_session_can_open(p.opener.session));
	h2_session_drain(p.acceptor.session);
	mem_pair_pump(&p);
	assert_true(p.opener.got_goaway);
	assert_int_equal(open_talker(&p, &late, get_request, 4), H2_E_DRAINING);
	unblock(&a, 100000);
	unblock(&b, 100000);
	mem_pair_pump(&p);
	assert_int_equal(a.received, 100000);
	assert_int_equal(b.received, 100000);
	assert_true(a.closed && b.closed);
	mem_pair_deinit(&p);
}

static void the_peers_stream_limit_is_an_outcome(void **state UNUSED)
{
	static struct mem_pair p;
	struct h2_limits few = mem_limits;
	struct talker t[3] = {{.blocked = true}, {.blocked = true}, {.blocked = true}};

	few.max_streams = 2;
	mem_pair_init_with(&p, 0, &mem_limits, &few);
	mem_pair_pump(&p);
	assert_int_equal(open_talker(&p, &t[0], get_request, 4), 0);
	assert_int_equal(open_talker(&p, &t[1], get_request, 4), 0);
	assert_int_equal(open_talker(&p, &t[2], get_request, 4), H2_E_LIMIT);
	mem_pair_deinit(&p);
}

static void an_endless_header_list_costs_its_stream(void **state UNUSED)
{
	static struct mem_pair p;
	static char big[20000];
	struct talker a = {.blocked = true};
	struct talker b = {.blocked = true};
	struct h2_header hdrs[5];

	memset(big, 'x', sizeof(big) - 1);
	memcpy(hdrs, get_request, sizeof(get_request));
	hdrs[4] = (struct h2_header){.name = "x-big", .value = big};
	mem_pair_init(&p, 0);
	mem_pair_pump(&p);
	assert_int_equal(open_talker(&p, &a, hdrs, 5), 0);
	mem_pair_pump(&p);
	assert_true(a.closed);
	assert_int_equal(p.acceptor.n_opened, 0);
	assert_int_equal(open_talker(&p, &b, get_request, 4), 0);
	mem_pair_pump(&p);
	assert_int_equal(p.acceptor.n_opened, 1);
	mem_pair_deinit(&p);
}

static void garbage_is_the_peers_fault(void **state UNUSED)
{
	static const uint8_t garbage[] = "SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n";
	static struct mem_pair p;

	mem_pair_init(&p, 0);
	assert_int_equal(h2_session_feed(p.acceptor.session, garbage, sizeof(garbage) - 1),
			 H2_E_PEER);
	assert_string_equal(h2_session_error_text(p.acceptor.session),
			    "the peer doesn't speak HTTP/2");
	mem_pair_deinit(&p);
}

static void ping(struct mem_pair *p, uint64_t opaque)
{
	assert_int_equal(h2_session_ping(p->opener.session, opaque), 0);
	mem_pair_pump(p);
}

static void pings_are_answered_until_they_flood(void **state UNUSED)
{
	static struct mem_pair p;
	uint64_t i;

	mem_pair_init(&p, 0);
	mem_pair_pump(&p);
	ping(&p, 77);
	assert_int_equal(p.opener.ping, 77);
	for (i = 0; i < 200000 && p.acceptor.feed_result == 0; i++)
		ping(&p, i);
	assert_int_equal(p.acceptor.feed_result, H2_E_PEER);
	assert_true(i > 60000);
	assert_string_equal(h2_session_error_text(p.acceptor.session),
			    "peer floods with frames without payload");
	mem_pair_deinit(&p);
}

/* Opens streams that @by resets at once, until the other end has enough. Returns how many. */
static unsigned int reset_streams(struct mem_pair *p, enum h2_role by)
{
	const struct mem_end *victim = by == H2_ROLE_OPENER ? &p->acceptor : &p->opener;
	unsigned int n;

	for (n = 0; n < 1000 && victim->feed_result == 0; n++) {
		struct talker t = {.blocked = true};

		if (open_talker(p, &t, get_request, 4) != 0)
			break;
		mem_pair_pump(p);
		h2_stream_reset(by == H2_ROLE_OPENER ? t.stream : p->acceptor.opened,
				H2_CODE_CANCEL);
		mem_pair_pump(p);
	}
	return n;
}

static void resets_are_counted_at_both_ends(void **state UNUSED)
{
	static struct mem_pair p;
	struct h2_limits strict = mem_limits;

	strict.resets_burst = 50;
	strict.resets_per_s = 10;
	mem_pair_init_with(&p, 0, &strict, &mem_limits);
	mem_pair_pump(&p);
	assert_int_equal(reset_streams(&p, H2_ROLE_ACCEPTOR), 51);
	mem_pair_deinit(&p);
	mem_pair_init_with(&p, 0, &mem_limits, &strict);
	mem_pair_pump(&p);
	assert_int_equal(reset_streams(&p, H2_ROLE_OPENER), 51);
	assert_string_equal(h2_session_error_text(p.acceptor.session),
			    "peer floods with stream resets");
	mem_pair_deinit(&p);
}

static void a_trusted_peer_may_reset_more(void **state UNUSED)
{
	static struct mem_pair p;
	struct h2_limits strict = mem_limits;

	strict.resets_burst = 50;
	strict.resets_per_s = 10;
	mem_pair_init_with(&p, 0, &mem_limits, &strict);
	mem_pair_pump(&p);
	h2_session_set_now(p.acceptor.session, 1000);
	h2_session_allow_resets(p.acceptor.session, 200, 10);
	assert_int_equal(reset_streams(&p, H2_ROLE_OPENER), 201);
	mem_pair_deinit(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_go_both_ways_and_end_once),
		cmocka_unit_test(half_close_leaves_the_other_half_open),
		cmocka_unit_test(a_reader_that_takes_nothing_stops_its_own_stream_only),
		cmocka_unit_test(withheld_connection_credit_stops_bulk_but_not_rpc),
		cmocka_unit_test(bytes_in_flight_can_be_capped),
		cmocka_unit_test(a_grown_window_reaches_the_streams_that_are_read),
		cmocka_unit_test(a_stream_with_a_small_window_still_gives_credit),
		cmocka_unit_test(a_connection_window_grows_while_its_credit_is_withheld),
		cmocka_unit_test(a_refusal_ends_an_open_request_cleanly),
		cmocka_unit_test(a_reset_reaches_the_other_side_with_its_code),
		cmocka_unit_test(freeing_a_session_closes_its_streams),
		cmocka_unit_test(draining_refuses_new_streams_and_keeps_the_old),
		cmocka_unit_test(the_peers_stream_limit_is_an_outcome),
		cmocka_unit_test(an_endless_header_list_costs_its_stream),
		cmocka_unit_test(garbage_is_the_peers_fault),
		cmocka_unit_test(pings_are_answered_until_they_flood),
		cmocka_unit_test(resets_are_counted_at_both_ends),
		cmocka_unit_test(a_trusted_peer_may_reset_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
