/* SPDX-License-Identifier: Apache-2.0 */

/* How large DATA frames are: for the peer, for TLS records, and for the other streams. */

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "mem_pair.h"
#include "talker.h"

#define FRAME_HEADER 9
#define RECORD	     16384
#define SHARED	     (80 * 1024)

/* The DATA frames of all pulls since the last look. */
struct frames {
	size_t n;
	size_t largest;	    /* with its header */
	size_t n_unaligned; /* whose end is not that of a TLS record */
	size_t longest_pull;
};

static void count_frames(struct frames *f, const uint8_t *bytes, size_t n)
{
	size_t at = 0;

	while (at < n) {
		size_t whole = FRAME_HEADER + ((size_t)bytes[at] << 16 |
					       (size_t)bytes[at + 1] << 8 | bytes[at + 2]);

		if (bytes[at + 3] == 0) {
			f->n++;
			f->largest = whole > f->largest ? whole : f->largest;
			f->n_unaligned += whole % RECORD != 0;
		}
		at += whole;
	}
	assert_int_equal(at, n);
	f->longest_pull = n > f->longest_pull ? n : f->longest_pull;
}

/* Pumps till silence and looks at what the opener says. */
static void pump_and_count(struct mem_pair *p, struct frames *f)
{
	size_t n;

	*f = (struct frames){0};
	do {
		assert_int_equal(h2_session_pull(p->opener.session, p->out, sizeof(p->out), &n), 0);
		count_frames(f, p->out, n);
		mem_feed(p, &p->acceptor, p->out, n);
		assert_int_equal(p->acceptor.feed_result, 0);
		n += mem_move(p, &p->acceptor, &p->opener);
	} while (n > 0);
}

/* A pair with @n open streams; the acceptor takes frames of @max bytes, and windows are wide. */
static void open_streams(struct mem_pair *p, struct talker *a, struct talker *b, unsigned int n,
			 uint32_t max)
{
	struct h2_limits limits = mem_limits;

	limits.stream_window_bytes = 16 * 1024 * 1024;
	limits.conn_window_bytes = 32 * 1024 * 1024;
	limits.max_frame_bytes = max;
	mem_pair_init_with(p, 0, &mem_limits, &limits);
	mem_pair_pump(p);
	for (unsigned int i = 0; i < n; i++) {
		a[i] = (struct talker){.blocked = true};
		b[i] = (struct talker){.blocked = true};
		assert_int_equal(open_talker(p, &a[i], get_request, ARRAY_SIZE(get_request)), 0);
		mem_pair_pump(p);
		answer(p, &b[i]);
	}
	mem_pair_pump(p);
}

static void a_lone_stream_fills_the_frames_that_the_peer_takes(void **state UNUSED)
{
	static const uint32_t takes[] = {16384, 16392, 65536, H2_FRAME_MAX, (1 << 24) - 1};
	static const size_t whole[] = {16384, 16384, 65536, H2_FRAME_MAX, H2_FRAME_MAX};
	static struct mem_pair p;
	struct frames f;
	struct talker a;
	struct talker b;

	for (size_t i = 0; i < ARRAY_SIZE(takes); i++) {
		open_streams(&p, &a, &b, 1, takes[i]);
		unblock(&a, 8000000);
		pump_and_count(&p, &f);
		assert_int_equal(b.received, 8000000);
		assert_int_equal(f.largest, whole[i]);
		/* The last one, and that of the end. */
		assert_true(f.n_unaligned <= 2);
		mem_pair_deinit(&p);
	}
}

static void streams_in_turn_keep_to_one_pull_each(void **state UNUSED)
{
	static struct mem_pair p;
	struct frames f;
	struct talker a[3];
	struct talker b[3];

	open_streams(&p, a, b, 3, H2_FRAME_MAX);
	for (unsigned int i = 0; i < 3; i++)
		unblock(&a[i], 4000000);
	pump_and_count(&p, &f);
	for (unsigned int i = 0; i < 3; i++)
		assert_int_equal(b[i].received, 4000000);
	/* Until only one was left, which its last few frames may show. */
	assert_true(f.n >= 3 * (4000000 / SHARED - 16));
	mem_pair_deinit(&p);
}

/* What a keystroke waits for behind a bulk stream: one pull, then it shares. */
static void a_second_stream_gets_its_turn_at_once(void **state UNUSED)
{
	static struct mem_pair p;
	struct frames f = {0};
	struct talker a[2];
	struct talker b[2];
	size_t n;

	open_streams(&p, a, b, 2, H2_FRAME_MAX);
	unblock(&a[0], 12000000);
	while (f.largest < H2_FRAME_MAX) {
		assert_int_equal(h2_session_pull(p.opener.session, p.out, sizeof(p.out), &n), 0);
		count_frames(&f, p.out, n);
		mem_feed(&p, &p.acceptor, p.out, n);
	}
	unblock(&a[1], 1000000);
	for (unsigned int i = 0; i < 2; i++) {
		assert_int_equal(h2_session_pull(p.opener.session, p.out, sizeof(p.out), &n), 0);
		mem_feed(&p, &p.acceptor, p.out, n);
	}
	assert_true(b[1].received > 0);
	f = (struct frames){0};
	for (unsigned int i = 0; i < 10; i++) {
		assert_int_equal(h2_session_pull(p.opener.session, p.out, sizeof(p.out), &n), 0);
		count_frames(&f, p.out, n);
		mem_feed(&p, &p.acceptor, p.out, n);
	}
	assert_int_equal(f.largest, SHARED);
	assert_int_equal(f.longest_pull, SHARED);
	pump_and_count(&p, &f);
	assert_int_equal(b[0].received, 12000000);
	assert_int_equal(b[1].received, 1000000);
	mem_pair_deinit(&p);
}

static void larger_frames_can_be_announced_later(void **state UNUSED)
{
	static struct mem_pair p;
	struct frames f;
	struct talker a;
	struct talker b;

	open_streams(&p, &a, &b, 1, H2_FRAME_MIN);
	a.blocked = false;
	a.to_send = 20000000;
	h2_stream_resume(a.stream);
	for (unsigned int i = 0; i < 20; i++)
		(void)mem_move(&p, &p.opener, &p.acceptor);
	assert_int_equal(h2_session_announce_additions(p.acceptor.session, H2_FRAME_MAX), 0);
	assert_int_equal(h2_session_announce_additions(p.acceptor.session, H2_FRAME_MAX), 0);
	pump_and_count(&p, &f);
	assert_int_equal(f.largest, H2_FRAME_MAX);
	assert_int_equal(b.received, 20000000);
	mem_pair_deinit(&p);
}

/* Whoever pulls into less than H2_PULL_MAX gets smaller frames, not fewer bytes. */
static void a_small_buffer_gets_what_fits(void **state UNUSED)
{
	static uint8_t out[H2_PULL_MIN];
	static struct mem_pair p;
	struct talker a;
	struct talker b;
	size_t n;

	open_streams(&p, &a, &b, 1, H2_FRAME_MAX);
	unblock(&a, 3000000);
	while (b.received < 3000000) {
		assert_int_equal(h2_session_pull(p.opener.session, out, sizeof(out), &n), 0);
		assert_true(n > 0);
		mem_feed(&p, &p.acceptor, out, n);
	}
	mem_pair_deinit(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_lone_stream_fills_the_frames_that_the_peer_takes),
		cmocka_unit_test(streams_in_turn_keep_to_one_pull_each),
		cmocka_unit_test(a_second_stream_gets_its_turn_at_once),
		cmocka_unit_test(larger_frames_can_be_announced_later),
		cmocka_unit_test(a_small_buffer_gets_what_fits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
