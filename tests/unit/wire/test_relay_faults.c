/* SPDX-License-Identifier: Apache-2.0 */

/* Relays whose ends fail at a bad moment: nothing truncated may look complete. */

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "wire/io_loop.h"
#include "wire/relay.h"

#include "mem_pair.h"
#include "talker.h"

struct outcome {
	bool done;
	struct relay_result result;
};

static void on_done(void *ctx, const struct relay_result *result)
{
	struct outcome *o = ctx;

	assert_false(o->done);
	o->done = true;
	o->result = *result;
}

static void stop(uv_timer_t *timer)
{
	uv_stop(timer->loop);
}

/* A loop that turns, and a pair with one stream between talkers; a test puts a relay on it. */
struct rig {
	uv_loop_t uv;
	uv_timer_t anchor;
	struct io_loop *io;
	struct mem_pair pair;
	struct talker opener;
	struct talker acceptor;
	struct relay *relay;
	struct outcome end;
};

static void rig_init(struct rig *g)
{
	memset(g, 0, sizeof(*g));
	assert_int_equal(uv_loop_init(&g->uv), 0);
	uv_timer_init(&g->uv, &g->anchor);
	uv_timer_start(&g->anchor, stop, 60000, 0);
	assert_int_equal(io_loop_new(&g->io, &g->uv, 64 * 1024 * 1024), 0);
	open_pair(&g->pair, 0, &g->opener, &g->acceptor);
}

static void turn(struct rig *g)
{
	uv_run(&g->uv, UV_RUN_NOWAIT);
}

static void rig_deinit(struct rig *g)
{
	mem_pair_deinit(&g->pair);
	turn(g);
	turn(g);
	assert_true(g->end.done);
	assert_int_equal(g->io->budget.used_bytes, 0);
	uv_close((uv_handle_t *)&g->anchor, NULL);
	io_loop_free(g->io);
	uv_run(&g->uv, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&g->uv), 0);
}

/* The opener's side becomes a relay with these descriptors. */
static void put_relay(struct rig *g, int in_fd, int out_fd)
{
	assert_int_equal(relay_new_fd(&g->relay, g->io, in_fd, out_fd, g->opener.stream,
				      RELAY_HALF_CLOSE, on_done, &g->end),
			 0);
}

/* A full disk, noticed by the very task that ends the relay. */
static void preload(struct rig *g, const void *text, size_t n, bool ended)
{
	struct buf early;

	buf_init(&early, n);
	assert_int_equal(buf_append(&early, text, n), 0);
	io_loop_buffered(g->io, n);
	relay_preload_b(g->relay, &early, ended);
}

static void an_end_that_fails_is_an_end(void **state UNUSED)
{
	static struct rig g;
	char text[100] = {0};

	rig_init(&g);
	put_relay(&g, open("/dev/null", O_RDONLY), open("/dev/full", O_WRONLY));
	preload(&g, text, sizeof(text), true);
	unblock(&g.acceptor, 0);
	mem_pair_pump(&g.pair);
	turn(&g);
	assert_true(g.end.done);
	assert_int_equal(g.end.result.end, RELAY_END_A_RESET);
	assert_int_equal(g.end.result.error, -ENOSPC);
	rig_deinit(&g);
}

/* The stream ended well, but what it brought could not be written. */
static void bytes_that_were_not_written_are_no_clean_end(void **state UNUSED)
{
	static struct rig g;
	char text[100] = {0};
	int fds[2];

	rig_init(&g);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	put_relay(&g, fds[0], fds[0]);
	preload(&g, text, sizeof(text), false);
	mem_pair_pump(&g.pair);
	h2_stream_reset_after_end(g.acceptor.stream);
	unblock(&g.acceptor, 0);
	mem_pair_pump(&g.pair);
	close(fds[1]);
	for (unsigned int i = 0; i < 10 && !g.end.done; i++)
		turn(&g);
	assert_true(g.end.done);
	assert_int_equal(g.end.result.end, RELAY_END_A_RESET);
	assert_int_equal(g.end.result.error, -EPIPE);
	rig_deinit(&g);
}

static void count_polls(uv_poll_t *poll, int status UNUSED, int events UNUSED)
{
	unsigned int *n = poll->data;

	++*n;
	uv_poll_stop(poll);
}

/* The number of a closed descriptor belongs to somebody else. */
static void a_closed_output_is_forgotten(void **state UNUSED)
{
	static struct rig g;
	unsigned int n_polls = 0;
	uv_poll_t other;
	int out[2];
	int in[2];
	int new[2];
	int out_fd;

	rig_init(&g);
	assert_int_equal(pipe2(in, O_NONBLOCK), 0);
	assert_int_equal(pipe2(out, O_NONBLOCK), 0);
	out_fd = out[1];
	put_relay(&g, in[0], out[1]);
	unblock(&g.acceptor, 0);
	mem_pair_pump(&g.pair);
	turn(&g);
	assert_int_equal(fcntl(out_fd, F_GETFD), -1);

	/* A new pipe gets the number, and is watched by the same loop. */
	assert_int_equal(pipe2(new, O_NONBLOCK), 0);
	if (new[0] != out_fd) {
		assert_int_equal(dup2(new[0], out_fd), out_fd);
		close(new[0]);
	}
	assert_int_equal(uv_poll_init(&g.uv, &other, out_fd), 0);
	other.data = &n_polls;
	uv_poll_start(&other, UV_READABLE, count_polls);
	turn(&g);
	close(in[1]);
	for (unsigned int i = 0; i < 10 && !g.end.done; i++) {
		turn(&g);
		mem_pair_pump(&g.pair);
	}
	assert_true(g.end.done);
	turn(&g);
	assert_int_equal(write(new[1], "x", 1), 1);
	turn(&g);
	assert_int_equal(n_polls, 1);
	uv_close((uv_handle_t *)&other, NULL);
	turn(&g);
	close(out_fd);
	close(new[1]);
	close(out[0]);
	rig_deinit(&g);
}

/* client ... memory ... relay of streams ... memory ... agent */
struct bridge {
	struct rig rig; /* edge opens, agent accepts */
	struct mem_pair client;
	struct talker user;
};

static void bridge_init(struct bridge *b, enum relay_mode mode)
{
	struct h2_limits narrow = mem_limits;
	struct talker edge = {.blocked = true};

	rig_init(&b->rig);
	narrow.stream_window_bytes = 1000;
	mem_pair_init_with(&b->client, 0, &narrow, &narrow);
	mem_pair_pump(&b->client);
	memset(&b->user, 0, sizeof(b->user));
	b->user.blocked = true;
	assert_int_equal(
		open_talker(&b->client, &b->user, connect_request, ARRAY_SIZE(connect_request)), 0);
	mem_pair_pump(&b->client);
	answer(&b->client, &edge);
	assert_int_equal(relay_new_streams(&b->rig.relay, b->rig.io, b->client.acceptor.opened,
					   b->rig.opener.stream, mode, on_done, &b->rig.end),
			 0);
	mem_pair_pump(&b->client);
	mem_pair_pump(&b->rig.pair);
}

static void bridge_turn(struct bridge *b)
{
	turn(&b->rig);
	mem_pair_pump(&b->client);
	mem_pair_pump(&b->rig.pair);
}

static void bridge_deinit(struct bridge *b)
{
	for (unsigned int i = 0; i < 10; i++)
		bridge_turn(b);
	mem_pair_deinit(&b->client);
	rig_deinit(&b->rig);
}

/*
 * The agent resets while bytes wait for the client's window, and the window opens before the
 * relay's task has run.
 */
static void a_reset_is_never_told_as_an_end(enum relay_mode mode)
{
	static struct bridge b;

	bridge_init(&b, mode);
	b.user.hold_credit = true;
	unblock(&b.rig.acceptor, 3000);
	b.rig.acceptor.blocked = false;
	mem_pair_pump(&b.rig.pair);
	bridge_turn(&b);
	assert_int_equal(b.user.received, 1000);
	h2_stream_reset(b.rig.acceptor.stream, H2_CODE_INTERNAL_ERROR);
	mem_pair_pump(&b.rig.pair);
	b.user.hold_credit = false;
	h2_stream_credit(b.user.stream, b.user.uncredited);
	mem_pair_pump(&b.client);
	assert_false(b.user.eof);
	for (unsigned int i = 0; i < 10; i++)
		bridge_turn(&b);
	assert_true(b.user.closed);
	assert_false(b.user.eof);
	assert_int_not_equal(b.user.code, 0);
	bridge_deinit(&b);
}

static void a_reset_is_never_told_as_an_end_in_any_mode(void **state UNUSED)
{
	a_reset_is_never_told_as_an_end(RELAY_HALF_CLOSE);
	a_reset_is_never_told_as_an_end(RELAY_STOCK_OPENER);
}

static void bytes_cross_two_sessions_and_end_once(void **state UNUSED)
{
	static struct bridge b;

	bridge_init(&b, RELAY_HALF_CLOSE);
	unblock(&b.user, 300000);
	unblock(&b.rig.acceptor, 200000);
	for (unsigned int i = 0; i < 10000 && !b.rig.end.done; i++)
		bridge_turn(&b);
	assert_int_equal(b.user.received, 200000);
	assert_int_equal(b.rig.acceptor.received, 300000);
	assert_true(b.user.closed && b.rig.acceptor.closed);
	assert_int_equal(b.rig.end.result.end, RELAY_END_CLEAN);
	bridge_deinit(&b);
}

/* The agent is told the end only when nobody waits for its answer. */
static void a_stock_agent_keeps_its_half_until_the_client_leaves(void **state UNUSED)
{
	static struct bridge b;

	bridge_init(&b, RELAY_STOCK_OPENER);
	unblock(&b.user, 5000);
	for (unsigned int i = 0; i < 100; i++)
		bridge_turn(&b);
	assert_int_equal(b.rig.acceptor.received, 5000);
	assert_false(b.rig.acceptor.eof);
	unblock(&b.rig.acceptor, 7000);
	h2_stream_reset_after_end(b.rig.acceptor.stream);
	for (unsigned int i = 0; i < 100; i++)
		bridge_turn(&b);
	assert_int_equal(b.user.received, 7000);
	assert_true(b.user.closed && b.rig.acceptor.closed);
	assert_int_equal(b.rig.end.result.end, RELAY_END_CLEAN);
	bridge_deinit(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_end_that_fails_is_an_end),
		cmocka_unit_test(bytes_that_were_not_written_are_no_clean_end),
		cmocka_unit_test(a_closed_output_is_forgotten),
		cmocka_unit_test(a_reset_is_never_told_as_an_end_in_any_mode),
		cmocka_unit_test(bytes_cross_two_sessions_and_end_once),
		cmocka_unit_test(a_stock_agent_keeps_its_half_until_the_client_leaves),
	};

	/* As the programs do. */
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
