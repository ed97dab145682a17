/* SPDX-License-Identifier: Apache-2.0 */

/* Where HTTP/2 stacks leak window or memory: resets in flight, padding, dropped requests. */

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "mem_pair.h"
#include "talker.h"

#define FRAME_HEADER 9
#define FLAG_PADDED  0x08

/* A whole window of new bytes must still pass in the direction of the acceptor. */
static void assert_bulk_passes(struct mem_pair *p)
{
	struct talker a = {.blocked = true};
	struct talker b = {.blocked = true};

	assert_int_equal(open_talker(p, &a, get_request, ARRAY_SIZE(get_request)), 0);
	mem_pair_pump(p);
	answer(p, &b);
	unblock(&a, 3000000);
	mem_pair_pump(p);
	assert_int_equal(b.received, 3000000);
	unblock(&b, 0);
	mem_pair_pump(p);
	assert_true(a.closed && b.closed);
}

/* The acceptor resets a stream whose bytes are on their way. */
static void reset_under_way(struct mem_pair *p)
{
	static uint8_t under_way[MEM_OUT_BYTES];
	struct talker a = {.blocked = true};
	struct talker b = {.blocked = true};
	size_t n;

	assert_int_equal(open_talker(p, &a, get_request, ARRAY_SIZE(get_request)), 0);
	mem_pair_pump(p);
	answer(p, &b);
	mem_pair_pump(p);
	unblock(&a, 5000000);
	assert_int_equal(h2_session_pull(p->opener.session, under_way, sizeof(under_way), &n), 0);
	assert_true(n > 32 * 1024);
	h2_stream_reset(b.stream, H2_CODE_CANCEL);
	(void)mem_move(p, &p->acceptor, &p->opener);
	assert_true(a.closed && b.closed);
	mem_feed(p, &p->acceptor, under_way, n);
	assert_int_equal(p->acceptor.feed_result, 0);
	mem_pair_pump(p);
}

static void bytes_of_a_reset_stream_cost_no_window(void **state UNUSED)
{
	static struct mem_pair p;

	mem_pair_init(&p, 0);
	mem_pair_pump(&p);
	for (unsigned int i = 0; i < 40; i++) {
		reset_under_way(&p);
		/* Ordinary traffic in between, so that window updates of ours go out too. */
		assert_bulk_passes(&p);
	}
	mem_pair_deinit(&p);
}

/* DATA of 3 bytes in 8: the length of the padding, the pattern, 4 bytes of padding. */
static size_t padded_frames(uint8_t *out, unsigned int n_frames, size_t offset)
{
	static const uint8_t frame[FRAME_HEADER + 8] = {0, 0, 8, 0, FLAG_PADDED, 0, 0, 0, 1, 4};

	for (unsigned int i = 0; i < n_frames; i++) {
		memcpy(out, frame, sizeof(frame));
		for (size_t j = 0; j < 3; j++)
			out[FRAME_HEADER + 1 + j] = pattern(offset++);
		out += sizeof(frame);
	}
	return n_frames * sizeof(frame);
}

static void padding_costs_no_window(void **state UNUSED)
{
	static uint8_t frames[512 * (FRAME_HEADER + 8)];
	static struct mem_pair p;
	struct talker a;
	struct talker b;

	open_pair(&p, 0, &a, &b);
	/* 4 MiB: an eighth of it is more than the stream's window. */
	for (unsigned int i = 0; i < 1024; i++) {
		size_t n = padded_frames(frames, 512, b.received);

		mem_feed(&p, &p.acceptor, frames, n);
		assert_int_equal(p.acceptor.feed_result, 0);
		(void)mem_move(&p, &p.acceptor, &p.opener);
		assert_false(p.opener.got_goaway || a.closed || b.closed);
	}
	assert_int_equal(b.received, 1024 * 512 * 3);
	mem_pair_deinit(&p);
}

static void a_request_may_be_reset_before_it_was_sent(void **state UNUSED)
{
	static struct mem_pair p;
	struct talker a = {.blocked = true};

	mem_pair_init(&p, 0);
	mem_pair_pump(&p);
	assert_int_equal(open_talker(&p, &a, get_request, ARRAY_SIZE(get_request)), 0);
	h2_stream_reset(a.stream, H2_CODE_CANCEL);
	mem_pair_pump(&p);
	assert_true(a.closed);
	assert_int_equal(p.acceptor.n_opened, 0);
	assert_int_equal(h2_session_n_streams(p.opener.session), 0);
	assert_bulk_passes(&p);
	mem_pair_deinit(&p);
}

static void a_goaway_drops_requests_that_were_not_sent(void **state UNUSED)
{
	static struct mem_pair p;
	struct talker a = {.blocked = true};

	mem_pair_init(&p, 0);
	mem_pair_pump(&p);
	assert_int_equal(open_talker(&p, &a, get_request, ARRAY_SIZE(get_request)), 0);
	h2_session_drain(p.acceptor.session);
	(void)mem_move(&p, &p.acceptor, &p.opener);
	assert_true(p.opener.got_goaway);
	mem_pair_pump(&p);
	assert_true(a.closed);
	assert_int_equal(a.code, H2_CODE_REFUSED_STREAM);
	assert_int_equal(h2_session_n_streams(p.opener.session), 0);
	mem_pair_deinit(&p);
}

static void a_raised_cap_lets_a_waiting_stream_go_on(void **state UNUSED)
{
	static struct mem_pair p;
	struct talker a;
	struct talker b;

	open_pair(&p, 0, &a, &b);
	b.hold_credit = true;
	h2_stream_limit_in_flight(a.stream, 1000);
	unblock(&a, 100000);
	mem_pair_pump(&p);
	assert_int_equal(b.received, 1000);
	h2_stream_limit_in_flight(a.stream, 0);
	mem_pair_pump(&p);
	assert_int_equal(b.received, 100000);
	mem_pair_deinit(&p);
}

/* What follows a connection error is ignored: the owner must learn that the session is over. */
static void a_broken_session_says_so(struct mem_pair *p)
{
	/* DATA on stream 0 */
	static const uint8_t bad[FRAME_HEADER + 1] = {0, 0, 1};
	static const uint8_t ping[FRAME_HEADER + 8] = {0, 0, 8, 6};

	mem_feed(p, &p->acceptor, bad, sizeof(bad));
	(void)mem_move(p, &p->acceptor, &p->opener);
	assert_true(p->opener.got_goaway);
	assert_int_equal(h2_session_feed(p->acceptor.session, ping, sizeof(ping)), H2_E_PEER);
}

static void a_protocol_error_ends_the_session(void **state UNUSED)
{
	static struct mem_pair p;
	struct talker a;
	struct talker b;

	open_pair(&p, 0, &a, &b);
	a_broken_session_says_so(&p);
	mem_pair_deinit(&p);
}

static void a_protocol_error_ends_a_draining_session(void **state UNUSED)
{
	static struct mem_pair p;
	struct talker a;
	struct talker b;

	open_pair(&p, 0, &a, &b);
	h2_session_drain(p.acceptor.session);
	h2_session_drain(p.opener.session);
	mem_pair_pump(&p);
	a_broken_session_says_so(&p);
	mem_pair_deinit(&p);
}

static void endless_header_lists_are_a_flood(void **state UNUSED)
{
	static struct mem_pair p;
	static struct talker t[1000];
	static char big[20000];
	struct h2_limits strict = mem_limits;
	struct h2_header hdrs[5];
	unsigned int n;

	memset(big, 'x', sizeof(big) - 1);
	memcpy(hdrs, get_request, sizeof(get_request));
	hdrs[4] = (struct h2_header){.name = "x-big", .value = big};
	strict.resets_burst = 50;
	mem_pair_init_with(&p, 0, &mem_limits, &strict);
	mem_pair_pump(&p);
	for (n = 0; n < ARRAY_SIZE(t) && p.acceptor.feed_result == 0; n++) {
		t[n].blocked = true;
		assert_int_equal(open_talker(&p, &t[n], hdrs, 5), 0);
		mem_pair_pump(&p);
	}
	assert_int_equal(p.acceptor.feed_result, H2_E_PEER);
	assert_true(n <= 52);
	mem_pair_deinit(&p);
}

/* on_closed of a session that is freed opens a new stream: it must be told no. */
static void reopen(void *ctx, struct h2_stream *stream UNUSED, uint32_t h2_code UNUSED)
{
	static const struct h2_stream_events no_events = {.on_closed = NULL};
	struct mem_end *end = ctx;
	struct h2_stream *st;

	end->n_opened++;
	assert_int_equal(h2_stream_open(end->session, &st, get_request, ARRAY_SIZE(get_request),
					false, &no_events, NULL),
			 H2_E_DRAINING);
}

static void a_dying_session_opens_nothing(void **state UNUSED)
{
	static const struct h2_stream_events events = {.on_closed = reopen};
	static struct mem_pair p;
	struct h2_stream *st;

	mem_pair_init(&p, 0);
	mem_pair_pump(&p);
	assert_int_equal(h2_stream_open(p.opener.session, &st, get_request, ARRAY_SIZE(get_request),
					false, &events, &p.opener),
			 0);
	mem_pair_pump(&p);
	mem_pair_deinit(&p);
	assert_int_equal(p.opener.n_opened, 1);
}

/*
 * DATA on stream 1 until the connection window of @to, whose credit is withheld, is used up; then
 * one byte (RFC 9113 6.9.1).
 */
static void overrun(struct mem_pair *p, struct mem_end *to)
{
	static const uint8_t whole[FRAME_HEADER + 16384] = {0, 0x40, 0, 0, 0, 0, 0, 0, 1};
	static const uint8_t one[FRAME_HEADER + 1] = {0, 0, 1, 0, 0, 0, 0, 0, 1};
	const uint8_t *goaway = p->out;
	size_t n;

	for (size_t sent = 0; sent < mem_limits.conn_window_bytes; sent += 16384) {
		mem_feed(p, to, whole, sizeof(whole));
		assert_int_equal(to->feed_result, 0);
	}
	assert_int_equal(h2_session_pull(to->session, p->out, sizeof(p->out), &n), 0);
	assert_false(h2_session_is_broken(to->session));
	mem_feed(p, to, one, sizeof(one));
	assert_int_equal(h2_session_pull(to->session, p->out, sizeof(p->out), &n), 0);
	assert_true(h2_session_is_broken(to->session));
	assert_true(n >= FRAME_HEADER + 8);
	assert_int_equal(goaway[3], 7);
	assert_int_equal(goaway[FRAME_HEADER + 7], 3); /* FLOW_CONTROL_ERROR */
}

static void more_than_the_connection_window_ends_the_session(void **state UNUSED)
{
	static struct mem_pair p;
	struct h2_limits wide = mem_limits;
	struct talker a = {.blocked = true};
	struct talker b = {.blocked = true};

	/* Else the stream's window would be the first. */
	wide.stream_window_bytes = 16 * 1024 * 1024;
	for (int role = H2_ROLE_OPENER; role <= H2_ROLE_ACCEPTOR; role++) {
		mem_pair_init_with(&p, 0, &wide, &wide);
		mem_pair_pump(&p);
		p.opener.withhold = true;
		p.acceptor.withhold = true;
		assert_int_equal(open_talker(&p, &a, get_request, ARRAY_SIZE(get_request)), 0);
		mem_pair_pump(&p);
		answer(&p, &b);
		mem_pair_pump(&p);
		/* They know what bytes to expect. */
		h2_stream_set_events(a.stream, NULL, NULL);
		h2_stream_set_events(b.stream, NULL, NULL);
		overrun(&p, role == H2_ROLE_OPENER ? &p.opener : &p.acceptor);
		mem_pair_deinit(&p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_of_a_reset_stream_cost_no_window),
		cmocka_unit_test(padding_costs_no_window),
		cmocka_unit_test(a_request_may_be_reset_before_it_was_sent),
		cmocka_unit_test(a_goaway_drops_requests_that_were_not_sent),
		cmocka_unit_test(a_raised_cap_lets_a_waiting_stream_go_on),
		cmocka_unit_test(a_protocol_error_ends_the_session),
		cmocka_unit_test(a_protocol_error_ends_a_draining_session),
		cmocka_unit_test(endless_header_lists_are_a_flood),
		cmocka_unit_test(a_dying_session_opens_nothing),
		cmocka_unit_test(more_than_the_connection_window_ends_the_session),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
