/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Real descriptors and a real loop; the HTTP/2 connection in the middle is memory, pumped by
 * a task. The far ends are socket pairs that the tests drive without blocking.
 */

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "wire/h2_queue.h"
#include "wire/io_loop.h"
#include "wire/relay.h"

#include "mem_pair.h"

#define DEADLINE_MS 20000

struct outcome {
	bool done;
	struct relay_result result;
};

/* client fd <-> relay <-> stream ... memory ... stream <-> relay <-> origin fd */
struct world {
	uv_loop_t uv;
	struct io_loop *io;
	struct mem_pair pair;
	uv_prepare_t pump;
	int client; /* the test's ends */
	int origin;
	struct relay *client_relay;
	struct relay *origin_relay;
	struct outcome client_end;
	struct outcome origin_end;
};

static void on_done(void *ctx, const struct relay_result *result)
{
	struct outcome *o = ctx;

	assert_false(o->done);
	o->done = true;
	o->result = *result;
}

static void pump_cb(uv_prepare_t *prepare)
{
	struct world *w = prepare->data;

	mem_pair_pump(&w->pair);
}

static void ignore_response(void *ctx UNUSED, struct h2_stream *stream UNUSED,
			    const struct h2_headers *hdrs UNUSED)
{
}

static const struct h2_stream_events opener_events = {.on_response = ignore_response};

static void make_pair(int fds[2])
{
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds),
			 0);
}

static struct h2_stream *open_stream(struct world *w)
{
	static const struct h2_header request[] = {
		{.name = ":method", .value = "CONNECT"},
		{.name = ":authority", .value = "10.0.0.1:22"},
	};
	static const struct h2_header ok[] = {{.name = ":status", .value = "200"}};
	struct h2_stream *stream;

	mem_pair_pump(&w->pair);
	assert_int_equal(h2_stream_open(w->pair.opener.session, &stream, request, 2, false,
					&opener_events, NULL),
			 0);
	mem_pair_pump(&w->pair);
	assert_int_equal(h2_stream_respond(w->pair.acceptor.opened, ok, 1, false), 0);
	return stream;
}

static void world_init(struct world *w, const struct h2_limits *limits, enum relay_mode origin_mode)
{
	struct h2_stream *stream;
	int client[2];
	int origin[2];

	memset(w, 0, sizeof(*w));
	assert_int_equal(uv_loop_init(&w->uv), 0);
	assert_int_equal(io_loop_new(&w->io, &w->uv, 64 * 1024 * 1024), 0);
	mem_pair_init_with(&w->pair, 0, limits, limits);
	stream = open_stream(w);
	make_pair(client);
	make_pair(origin);
	w->client = client[0];
	w->origin = origin[0];
	assert_int_equal(relay_new_fd(&w->client_relay, w->io, client[1], client[1], stream,
				      RELAY_HALF_CLOSE, on_done, &w->client_end),
			 0);
	assert_int_equal(relay_new_fd(&w->origin_relay, w->io, origin[1], origin[1],
				      w->pair.acceptor.opened, origin_mode, on_done,
				      &w->origin_end),
			 0);
	/* After io_loop's own prepare handle in each turn, whatever the order: it pumps till
	 * silence. */
	uv_prepare_init(&w->uv, &w->pump);
	w->pump.data = w;
	uv_prepare_start(&w->pump, pump_cb);
}

/* One turn of the loop, which must not sleep: only the test may have something to do next. */
static void turn(struct world *w)
{
	uv_run(&w->uv, UV_RUN_NOWAIT);
}

/* Nothing is ready: the loop would sleep, not spin. */
static void assert_idle(struct world *w)
{
	struct pollfd backend = {.fd = uv_backend_fd(&w->uv), .events = POLLIN};

	assert_int_equal(poll(&backend, 1, 0), 0);
}

static void world_deinit(struct world *w)
{
	if (w->client >= 0)
		close(w->client);
	if (w->origin >= 0)
		close(w->origin);
	mem_pair_deinit(&w->pair);
	uv_close((uv_handle_t *)&w->pump, NULL);
	io_loop_free(w->io);
	uv_run(&w->uv, UV_RUN_DEFAULT);
	assert_true(w->client_end.done);
	assert_true(w->origin_end.done);
	assert_int_equal(uv_loop_close(&w->uv), 0);
}

static uint8_t pattern(size_t i)
{
	return (uint8_t)(i * 31 + i / 251);
}

/* Writes on from *@sentp up to @total; returns true when all is written. */
static bool write_pattern(int fd, size_t *sentp, size_t total)
{
	uint8_t bytes[65536];

	while (*sentp < total) {
		size_t n = total - *sentp < sizeof(bytes) ? total - *sentp : sizeof(bytes);
		ssize_t done;

		for (size_t i = 0; i < n; i++)
			bytes[i] = pattern(*sentp + i);
		done = send(fd, bytes, n, MSG_NOSIGNAL);
		if (done < 0)
			return false;
		*sentp += (size_t)done;
	}
	return true;
}

/* Reads and checks; returns true at the end of input. */
static bool read_pattern(int fd, size_t *receivedp)
{
	uint8_t bytes[65536];
	ssize_t n;

	while ((n = read(fd, bytes, sizeof(bytes))) > 0) {
		for (ssize_t i = 0; i < n; i++)
			assert_int_equal(bytes[i], pattern(*receivedp + (size_t)i));
		*receivedp += (size_t)n;
	}
	return n == 0;
}

static uint64_t deadline(void)
{
	return clock_boot_ms() + DEADLINE_MS;
}

/* All of @total up, EOF, and only then the answer of the same size: needs true half-close. */
static void answer_after_eof(struct world *w, size_t total)
{
	uint64_t until = deadline();
	size_t up = 0;
	size_t got_up = 0;
	size_t down = 0;
	size_t got_down = 0;
	bool eof_up = false;
	bool eof_down = false;
	bool ended = false;

	while (!eof_down && clock_boot_ms() < until) {
		if (!ended && write_pattern(w->client, &up, total)) {
			shutdown(w->client, SHUT_WR);
			ended = true;
		}
		eof_up = eof_up || read_pattern(w->origin, &got_up);
		if (eof_up && write_pattern(w->origin, &down, total))
			w->origin = close_fd(w->origin);
		eof_down = read_pattern(w->client, &got_down);
		turn(w);
	}
	assert_true(eof_down);
	assert_int_equal(got_up, total);
	assert_int_equal(got_down, total);
}

static void the_answer_may_come_after_eof(void **state UNUSED)
{
	static struct world w;

	world_init(&w, &mem_limits, RELAY_HALF_CLOSE);
	answer_after_eof(&w, 5000000);
	while (!w.client_end.done || !w.origin_end.done)
		turn(&w);
	assert_int_equal(w.client_end.result.end, RELAY_END_CLEAN);
	assert_int_equal(w.origin_end.result.end, RELAY_END_CLEAN);
	assert_int_equal(w.client_end.result.a_to_b_bytes, 5000000);
	assert_int_equal(w.client_end.result.b_to_a_bytes, 5000000);
	assert_int_equal(w.io->budget.used_bytes, 0);
	world_deinit(&w);
}

static void one_byte_windows_only_slow_it_down(void **state UNUSED)
{
	static struct world w;
	struct h2_limits tiny = mem_limits;

	tiny.stream_window_bytes = 1;
	world_init(&w, &tiny, RELAY_HALF_CLOSE);
	answer_after_eof(&w, 16384);
	world_deinit(&w);
}

static void a_stock_edge_ends_both_directions_at_once(void **state UNUSED)
{
	static struct world w;
	uint64_t until = deadline();
	size_t sent = 0;
	size_t received = 0;

	world_init(&w, &mem_limits, RELAY_STOCK_ACCEPTOR);
	assert_true(write_pattern(w.client, &sent, 10000));
	shutdown(w.client, SHUT_WR);
	while (!read_pattern(w.origin, &received) && clock_boot_ms() < until)
		turn(&w);
	/* The origin did not close, yet both relays are over: that is stock's rule. */
	while ((!w.client_end.done || !w.origin_end.done) && clock_boot_ms() < until)
		turn(&w);
	assert_int_equal(received, 10000);
	assert_true(w.client_end.done && w.origin_end.done);
	world_deinit(&w);
}

static void a_stock_agent_ends_the_stream_when_the_origin_does(void **state UNUSED)
{
	static struct world w;
	uint64_t until = deadline();
	size_t sent = 0;
	size_t received = 0;

	world_init(&w, &mem_limits, RELAY_STOCK_ACCEPTOR);
	assert_true(write_pattern(w.origin, &sent, 10000));
	w.origin = close_fd(w.origin);
	while (!w.origin_end.done && clock_boot_ms() < until)
		turn(&w);
	while (!read_pattern(w.client, &received) && clock_boot_ms() < until)
		turn(&w);
	assert_int_equal(received, 10000);
	assert_int_equal(w.origin_end.result.end, RELAY_END_CLEAN);
	world_deinit(&w);
}

static void a_lost_session_ends_both_relays(void **state UNUSED)
{
	static struct world w;
	uint64_t until = deadline();
	char byte;

	world_init(&w, &mem_limits, RELAY_HALF_CLOSE);
	turn(&w);
	w.pair.acceptor.session = h2_session_free(w.pair.acceptor.session);
	w.pair.opener.session = h2_session_free(w.pair.opener.session);
	while ((!w.client_end.done || !w.origin_end.done) && clock_boot_ms() < until)
		turn(&w);
	assert_int_equal(w.client_end.result.end, RELAY_END_B_RESET);
	assert_int_equal(w.origin_end.result.end, RELAY_END_B_RESET);
	assert_int_equal(read(w.client, &byte, 1), 0);
	assert_int_equal(read(w.origin, &byte, 1), 0);
	world_deinit(&w);
}

static void aborting_one_relay_resets_the_other(void **state UNUSED)
{
	static struct world w;
	uint64_t until = deadline();

	world_init(&w, &mem_limits, RELAY_HALF_CLOSE);
	relay_abort(w.origin_relay);
	while ((!w.client_end.done || !w.origin_end.done) && clock_boot_ms() < until)
		turn(&w);
	assert_int_equal(w.origin_end.result.end, RELAY_END_ABORTED);
	assert_int_equal(w.client_end.result.end, RELAY_END_B_RESET);
	world_deinit(&w);
}

static void a_reader_that_stops_is_waited_for(void **state UNUSED)
{
	static struct world w;
	uint64_t until = deadline();
	size_t sent = 0;
	size_t received = 0;

	world_init(&w, &mem_limits, RELAY_HALF_CLOSE);
	/* Nobody reads at the origin: buffers fill up to the window and no further. */
	for (unsigned int i = 0; i < 200; i++) {
		(void)write_pattern(w.client, &sent, 10000000);
		turn(&w);
	}
	assert_true(sent < 10000000);
	assert_true(w.io->budget.used_bytes <= mem_limits.stream_window_bytes);
	assert_idle(&w);
	while (received < 10000000 && clock_boot_ms() < until) {
		(void)write_pattern(w.client, &sent, 10000000);
		(void)read_pattern(w.origin, &received);
		turn(&w);
	}
	assert_int_equal(received, 10000000);
	world_deinit(&w);
}

static void what_came_before_the_relay_is_delivered_first(void **state UNUSED)
{
	static struct world w;
	uint64_t until = deadline();
	uint8_t early[5000];
	struct buf queue;
	size_t sent = sizeof(early);
	size_t received = 0;

	for (size_t i = 0; i < sizeof(early); i++)
		early[i] = pattern(i);
	world_init(&w, &mem_limits, RELAY_HALF_CLOSE);
	buf_init(&queue, sizeof(early));
	assert_int_equal(buf_append(&queue, early, sizeof(early)), 0);
	io_loop_buffered(w.io, sizeof(early));
	relay_preload_b(w.origin_relay, &queue, false);
	assert_true(buf_is_empty(&queue));
	assert_true(write_pattern(w.client, &sent, 20000));
	while (received < 20000 && clock_boot_ms() < until) {
		(void)read_pattern(w.origin, &received);
		turn(&w);
	}
	assert_int_equal(received, 20000);
	world_deinit(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_answer_may_come_after_eof),
		cmocka_unit_test(one_byte_windows_only_slow_it_down),
		cmocka_unit_test(a_stock_edge_ends_both_directions_at_once),
		cmocka_unit_test(a_stock_agent_ends_the_stream_when_the_origin_does),
		cmocka_unit_test(a_lost_session_ends_both_relays),
		cmocka_unit_test(aborting_one_relay_resets_the_other),
		cmocka_unit_test(a_reader_that_stops_is_waited_for),
		cmocka_unit_test(what_came_before_the_relay_is_delivered_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
