/* SPDX-License-Identifier: Apache-2.0 */

/* Datagrams over two sessions joined in memory: order, cuts, stalls, drops, ends, and being freed
 * from inside each event. */

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "wire/datagram_stream.h"
#include "wire/io_loop.h"

#include "mem_pair.h"

#define SOFT_BUDGET ((size_t)1024 * 1024)

struct end {
	struct datagram_stream *ds;
	uint64_t n_in;
	uint64_t bytes_in;
	uint64_t sum; /* of first octets, which number the datagrams */
	unsigned int n_icmp;
	uint8_t icmp_type, icmp_code;
	unsigned int n_ends;
	enum datagram_end why;
	unsigned int free_at; /* from inside the n-th event */
	unsigned int n_events;
};

struct world {
	uv_loop_t uv;
	struct io_loop *io;
	struct mem_pair pair;
	struct h2_stream *stream; /* the opener's */
	struct end a;		  /* opener */
	struct end b;		  /* acceptor */
};

static void maybe_free(struct end *e)
{
	if (++e->n_events == e->free_at)
		e->ds = datagram_stream_free(e->ds);
}

static void on_datagram(void *ctx, const uint8_t *data, size_t n)
{
	struct end *e = ctx;

	assert_non_null(e->ds);
	e->n_in++;
	e->bytes_in += n;
	if (n > 0)
		e->sum += data[0] + (uint64_t)data[n - 1];
	maybe_free(e);
}

static void on_icmp_error(void *ctx, uint8_t type, uint8_t code)
{
	struct end *e = ctx;

	assert_non_null(e->ds);
	e->n_icmp++;
	e->icmp_type = type;
	e->icmp_code = code;
	maybe_free(e);
}

static void on_end(void *ctx, enum datagram_end why)
{
	struct end *e = ctx;

	assert_non_null(e->ds);
	e->n_ends++;
	e->why = why;
	maybe_free(e);
}

static const struct datagram_stream_events events = {
	.on_datagram = on_datagram,
	.on_icmp_error = on_icmp_error,
	.on_end = on_end,
};

static const struct h2_stream_events no_events = {.on_closed = NULL};

static void world_init(struct world *w, unsigned int seed, const struct h2_limits *limits)
{
	static const struct h2_header request[] = {
		{.name = ":method", .value = "CONNECT"},
		{.name = ":protocol", .value = "connect-udp"},
		{.name = ":scheme", .value = "https"},
		{.name = ":authority", .value = "adit"},
		{.name = ":path", .value = "/.well-known/masque/udp/10.0.0.1/53/"},
	};
	static const struct h2_header ok[] = {{.name = ":status", .value = "200"}};

	memset(w, 0, sizeof(*w));
	assert_int_equal(uv_loop_init(&w->uv), 0);
	assert_int_equal(io_loop_new(&w->io, &w->uv, SOFT_BUDGET), 0);
	mem_pair_init_with(&w->pair, seed, limits, limits);
	assert_int_equal(h2_session_announce_additions(w->pair.acceptor.session, H2_FRAME_MIN), 0);
	mem_pair_pump(&w->pair);
	assert_true(h2_session_peer_allows_connect_protocol(w->pair.opener.session));
	assert_int_equal(h2_stream_open(w->pair.opener.session, &w->stream, request,
					ARRAY_SIZE(request), false, &no_events, NULL),
			 0);
	mem_pair_pump(&w->pair);
	assert_int_equal(h2_stream_respond(w->pair.acceptor.opened, ok, 1, false), 0);
	mem_pair_pump(&w->pair);
	w->a.ds = datagram_stream_new(w->io, w->stream, &events, &w->a);
	w->b.ds = datagram_stream_new(w->io, w->pair.acceptor.opened, &events, &w->b);
}

static void world_deinit(struct world *w)
{
	w->a.ds = datagram_stream_free(w->a.ds);
	w->b.ds = datagram_stream_free(w->b.ds);
	mem_pair_deinit(&w->pair);
	assert_int_equal(w->io->budget.used_bytes, 0);
	io_loop_free(w->io);
	uv_run(&w->uv, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&w->uv), 0);
}

static const uint8_t *payload(uint8_t number)
{
	static uint8_t bytes[DATAGRAM_MAX + 1];

	memset(bytes, number, sizeof(bytes));
	return bytes;
}

static void both_ways_in_any_cut(void **state UNUSED)
{
	static const size_t sizes[] = {0, 1, 62, 63, 1400, 16000, DATAGRAM_MAX};
	static struct world w;

	for (unsigned int seed = 0; seed < 20; seed++) {
		uint64_t bytes = 0, sum = 0;

		world_init(&w, seed, &mem_limits);
		for (uint8_t i = 0; i < ARRAY_SIZE(sizes); i++) {
			assert_int_equal(datagram_stream_send(w.a.ds, payload(i), sizes[i]), 0);
			assert_int_equal(datagram_stream_send(w.b.ds, payload(i), sizes[i]), 0);
			bytes += sizes[i];
			sum += sizes[i] ? 2ull * i : 0;
			if (i % 3 == seed % 3)
				mem_pair_pump(&w.pair);
		}
		assert_int_equal(datagram_stream_send_icmp_error(w.b.ds, 3, 13), 0);
		mem_pair_pump(&w.pair);
		assert_int_equal(w.a.n_in, ARRAY_SIZE(sizes));
		assert_int_equal(w.b.n_in, ARRAY_SIZE(sizes));
		assert_int_equal(w.a.bytes_in, bytes);
		assert_int_equal(w.b.bytes_in, bytes);
		assert_int_equal(w.a.sum, sum);
		assert_int_equal(w.a.n_icmp, 1);
		assert_int_equal(w.a.icmp_type, 3);
		assert_int_equal(w.a.icmp_code, 13);
		assert_int_equal(w.io->budget.used_bytes, 0);
		world_deinit(&w);
	}
}

static void too_large_is_not_sent(void **state UNUSED)
{
	static struct world w;

	world_init(&w, 0, &mem_limits);
	assert_int_equal(datagram_stream_send(w.a.ds, payload(1), DATAGRAM_MAX + 1), -EMSGSIZE);
	mem_pair_pump(&w.pair);
	assert_int_equal(w.b.n_in, 0);
	world_deinit(&w);
}

/* Credit comes back with what is handed out: a window smaller than a datagram is no end. */
static void windows_smaller_than_a_datagram(void **state UNUSED)
{
	struct h2_limits small = mem_limits;
	static struct world w;

	small.stream_window_bytes = 2000;
	for (unsigned int seed = 0; seed < 5; seed++) {
		world_init(&w, seed, &small);
		for (uint8_t i = 0; i < 3; i++)
			assert_int_equal(datagram_stream_send(w.a.ds, payload(i), 60000), 0);
		mem_pair_pump(&w.pair);
		assert_int_equal(w.b.n_in, 3);
		world_deinit(&w);
	}
}

/* While the peer takes nothing the queue fills to its bound; the newest are dropped and counted,
 * and what was queued arrives whole. */
static void full_queue_drops_the_newest(void **state UNUSED)
{
	struct datagram_stream_stats stats;
	static struct world w;
	unsigned int n_sent = 0;
	uint64_t sum = 0;
	int r;

	world_init(&w, 3, &mem_limits);
	while ((r = datagram_stream_send(w.a.ds, payload((uint8_t)n_sent), 1400)) == 0) {
		sum += 2ull * (uint8_t)n_sent;
		n_sent++;
	}
	assert_int_equal(r, -ENOBUFS);
	assert_int_equal(datagram_stream_send(w.a.ds, payload(9), 1400), -ENOBUFS);
	assert_true((uint64_t)n_sent * 1404 <= DATAGRAM_QUEUE_BYTES);
	assert_true((n_sent + 1ull) * 1404 > DATAGRAM_QUEUE_BYTES);
	assert_int_equal(w.io->budget.used_bytes, n_sent * 1404ull);
	datagram_stream_get_stats(w.a.ds, &stats);
	assert_int_equal(stats.n_out, n_sent);
	assert_int_equal(stats.n_dropped, 2);
	mem_pair_pump(&w.pair);
	assert_int_equal(w.b.n_in, n_sent);
	assert_int_equal(w.b.sum, sum);
	assert_int_equal(datagram_stream_send(w.a.ds, payload(9), 1400), 0);
	world_deinit(&w);
}

static void over_budget_drops(void **state UNUSED)
{
	static struct world w;

	world_init(&w, 0, &mem_limits);
	io_loop_buffered(w.io, SOFT_BUDGET + 1);
	assert_int_equal(datagram_stream_send(w.a.ds, payload(1), 10), -ENOBUFS);
	io_loop_unbuffered(w.io, SOFT_BUDGET + 1);
	assert_int_equal(datagram_stream_send(w.a.ds, payload(1), 10), 0);
	world_deinit(&w);
}

static void end_is_one_for_both(void **state UNUSED)
{
	static struct world w;

	world_init(&w, 0, &mem_limits);
	w.a.ds = datagram_stream_free(w.a.ds);
	mem_pair_pump(&w.pair);
	assert_int_equal(w.b.n_ends, 1);
	assert_int_equal(w.b.why, DATAGRAM_END_PEER);
	assert_int_equal(datagram_stream_send(w.b.ds, payload(1), 1), -ENOTCONN);
	assert_int_equal(h2_session_n_streams(w.pair.opener.session), 0);
	assert_int_equal(h2_session_n_streams(w.pair.acceptor.session), 0);
	world_deinit(&w);
}

static void reset_and_lost_link_are_ends(void **state UNUSED)
{
	static struct world w;

	world_init(&w, 0, &mem_limits);
	assert_int_equal(datagram_stream_send(w.b.ds, payload(1), 1000), 0);
	h2_stream_reset(w.stream, H2_CODE_CANCEL);
	mem_pair_pump(&w.pair);
	assert_int_equal(w.a.n_ends, 1);
	assert_int_equal(w.b.n_ends, 1);
	assert_int_equal(w.b.why, DATAGRAM_END_RESET);
	world_deinit(&w);

	world_init(&w, 0, &mem_limits);
	assert_int_equal(datagram_stream_send(w.a.ds, payload(1), 1000), 0);
	w.pair.opener.session = h2_session_free(w.pair.opener.session);
	assert_int_equal(w.a.n_ends, 1);
	assert_int_equal(w.a.why, DATAGRAM_END_RESET);
	world_deinit(&w);
}

/* ---- a peer that sends bytes of its own ---- */

struct text {
	const uint8_t *bytes;
	size_t n;
	bool end;
};

static ssize_t read_text(void *ctx, uint8_t *buf, size_t cap)
{
	struct text *t = ctx;
	size_t n = t->n < cap ? t->n : cap;

	if (n == 0)
		return t->end ? 0 : -EAGAIN;
	memcpy(buf, t->bytes, n);
	t->bytes += n;
	t->n -= n;
	return (ssize_t)n;
}

static void say(struct world *w, struct text *t)
{
	w->a.ds = datagram_stream_free(w->a.ds);
	h2_stream_set_source(w->stream, read_text, t);
	mem_pair_pump(&w->pair);
}

static void garbage_resets_the_stream_only(void **state UNUSED)
{
	static const struct text texts[] = {
		{(const uint8_t *)"\0\3\0ab\0\0", 7, false},		/* no context */
		{(const uint8_t *)"\0\3\0ab\0\x80\x01\0\1", 10, false}, /* too large */
		{(const uint8_t *)"\0\3\0ab\0\3\0a", 9, true},		/* ends within one */
	};
	static struct world w;

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct text t = texts[i];

		world_init(&w, (unsigned int)i, &mem_limits);
		say(&w, &t);
		assert_int_equal(w.b.n_in, 1);
		assert_int_equal(w.b.n_ends, 1);
		assert_int_equal(w.b.why, DATAGRAM_END_BAD);
		assert_int_equal(w.pair.acceptor.feed_result, H2_OK);
		assert_int_equal(w.pair.opener.feed_result, H2_OK);
		assert_int_equal(h2_session_n_streams(w.pair.acceptor.session), 0);
		world_deinit(&w);
	}
}

/* Of two datagrams, an ICMP error and an end, any event may be the last thing it does. */
static void freed_from_any_event(void **state UNUSED)
{
	static struct world w;

	for (unsigned int at = 1; at <= 4; at++) {
		for (unsigned int seed = 0; seed < 10; seed++) {
			world_init(&w, seed, &mem_limits);
			w.b.free_at = at;
			assert_int_equal(datagram_stream_send(w.a.ds, payload(1), 100), 0);
			assert_int_equal(datagram_stream_send_icmp_error(w.a.ds, 1, 4), 0);
			assert_int_equal(datagram_stream_send(w.a.ds, payload(2), 30000), 0);
			mem_pair_pump(&w.pair);
			w.a.ds = datagram_stream_free(w.a.ds);
			mem_pair_pump(&w.pair);
			assert_null(w.b.ds);
			assert_int_equal(w.b.n_events, at);
			assert_int_equal(h2_session_n_streams(w.pair.acceptor.session), 0);
			world_deinit(&w);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_ways_in_any_cut),
		cmocka_unit_test(too_large_is_not_sent),
		cmocka_unit_test(windows_smaller_than_a_datagram),
		cmocka_unit_test(full_queue_drops_the_newest),
		cmocka_unit_test(over_budget_drops),
		cmocka_unit_test(end_is_one_for_both),
		cmocka_unit_test(reset_and_lost_link_are_ends),
		cmocka_unit_test(garbage_resets_the_stream_only),
		cmocka_unit_test(freed_from_any_event),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
