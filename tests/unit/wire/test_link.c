/* SPDX-License-Identifier: Apache-2.0 */

/* Links as they should be used, and the ways in which they end. */

#include "link_world.h"
#include "wire/proto.h"

#include "wire/h2_private.h"

#define BULK 6000000

/* ---- bytes ---- */

static struct talker talkers[2];

static void answer_and_talk(struct end *e UNUSED, struct h2_stream *stream)
{
	struct talker *t = &talkers[1];

	t->stream = stream;
	assert_int_equal(h2_stream_respond(stream, ok_response, 1, false), 0);
	h2_stream_set_events(stream, &talker_events, t);
	h2_stream_set_source(stream, talk, t);
}

static void open_stream(struct end *e, struct talker *t)
{
	assert_int_equal(h2_stream_open(link_session(e->link), &t->stream, get_request,
					ARRAY_SIZE(get_request), false, &talker_events, t),
			 0);
	h2_stream_set_source(t->stream, talk, t);
}

/* A connected world with a stream; @up and @down are how many bytes each side sends. */
static void start_talking(struct world *w, size_t up, size_t down)
{
	memset(talkers, 0, sizeof(talkers));
	talkers[0].to_send = up;
	talkers[1].to_send = down;
	world_init(w);
	w->b[0].on_open = answer_and_talk;
}

static void megabytes_go_both_ways_at_once(void **state UNUSED)
{
	static struct world w;

	start_talking(&w, BULK, BULK);
	world_connect(&w);
	open_stream(&w.a, &talkers[0]);
	TURN_UNTIL(&w, talkers[0].closed && talkers[1].closed);
	assert_true(talkers[0].eof && talkers[1].eof);
	assert_int_equal(talkers[0].received, BULK);
	assert_int_equal(talkers[1].received, BULK);
	assert_int_equal(talkers[0].code, 0);
	world_deinit(&w);
}

static void an_ended_half_leaves_the_other_open(void **state UNUSED)
{
	static struct world w;

	start_talking(&w, 0, BULK);
	talkers[1].blocked = true;
	world_connect(&w);
	open_stream(&w.a, &talkers[0]);
	TURN_UNTIL(&w, talkers[1].eof);
	turn_on(&w);
	assert_false(talkers[0].closed || talkers[1].closed);
	unblock(&talkers[1], BULK);
	TURN_UNTIL(&w, talkers[0].closed && talkers[1].closed);
	assert_int_equal(talkers[0].received, BULK);
	world_deinit(&w);
}

static void a_slow_reader_gets_it_all(void **state UNUSED)
{
	static struct world w;

	start_talking(&w, BULK / 4, 0);
	world_make_readers_slow(&w);
	world_connect(&w);
	open_stream(&w.a, &talkers[0]);
	/* The socket was full at least once. */
	TURN_UNTIL(&w, (w.a.link->bits & LINK_WANTS_WRITABLE) != 0);
	TURN_UNTIL(&w, talkers[0].closed && talkers[1].closed);
	assert_int_equal(talkers[1].received, BULK / 4);
	assert_false(w.a.link->bits & LINK_WANTS_WRITABLE);
	world_deinit(&w);
}

/* Far more than one turn may read or write: what is left must not wait for an event. */
static void bounded_loops_go_on_by_themselves(void **state UNUSED)
{
	static struct world w;

	start_talking(&w, 3 * BULK, 3 * BULK);
	world_connect(&w);
	open_stream(&w.a, &talkers[0]);
	while (!talkers[0].closed || !talkers[1].closed) {
		world_accept(&w);
		/* Blocks if nothing is armed: a lost wake-up waits for the PING, too long. */
		uv_run(&w.uv, UV_RUN_ONCE);
		assert_true(clock_boot_ms() < w.until_ms);
	}
	assert_int_equal(talkers[1].received, 3 * BULK);
	world_deinit(&w);
}

static void over_the_budget_the_window_is_withheld(void **state UNUSED)
{
	static struct world w;
	const size_t much = 100 * 1024 * 1024;
	size_t stalled_at = 0;

	start_talking(&w, BULK, 0);
	world_connect(&w);
	io_loop_buffered(w.io, much);
	open_stream(&w.a, &talkers[0]);
	while (stalled_at == 0 || talkers[1].received > stalled_at) {
		stalled_at = talkers[1].received;
		turn_on(&w);
	}
	assert_true(stalled_at <= link_limits.conn_window_bytes);
	assert_true(stalled_at > link_limits.conn_window_bytes - 64 * 1024);
	assert_idle(&w);
	/* Not on its own: the relays have drained. */
	io_loop_unbuffered(w.io, much);
	TURN_UNTIL(&w, talkers[0].closed && talkers[1].closed);
	assert_int_equal(talkers[1].received, BULK);
	world_deinit(&w);
}

/* ---- last words ---- */

static struct h2_queue last_words;
static size_t n_last_words;

static void end_last_words(void *ctx, struct h2_stream *stream UNUSED, uint32_t h2_code UNUSED)
{
	h2_queue_deinit(ctx);
}

static const struct h2_stream_events last_words_events = {.on_closed = end_last_words};

static void answer_and_close(struct end *e, struct h2_stream *stream)
{
	uint8_t *text = malloc(n_last_words + 1);

	for (size_t i = 0; i < n_last_words; i++)
		text[i] = pattern(i);
	assert_int_equal(h2_stream_respond(stream, ok_response, 1, false), 0);
	h2_stream_set_events(stream, &last_words_events, &last_words);
	h2_queue_init(&last_words, stream, n_last_words + 1);
	assert_int_equal(h2_queue_write(&last_words, text, n_last_words), 0);
	h2_queue_end(&last_words);
	free(text);
	link_close(e->link, LINK_END_LOCAL);
}

static void last_words_are_heard(size_t n)
{
	static struct world w;

	start_talking(&w, 0, 0);
	talkers[0].blocked = true;
	n_last_words = n;
	w.b[0].on_open = answer_and_close;
	world_connect(&w);
	open_stream(&w.a, &talkers[0]);
	TURN_UNTIL(&w, w.a.closed && w.b[0].closed);
	assert_int_equal(talkers[0].received, n);
	assert_true(talkers[0].eof);
	assert_true(w.a.goaway);
	assert_int_equal(w.a.why, LINK_END_PEER_CLOSED);
	assert_int_equal(w.b[0].why, LINK_END_LOCAL);
	world_deinit(&w);
}

static void queued_answers_are_heard_before_a_close(void **state UNUSED)
{
	static const size_t sizes[] = {0,     1,     1000,  16375,  16376,  16384, 49125,
				       65499, 65500, 65536, 100000, 200000, 500000};

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
		last_words_are_heard(sizes[i]);
}

/* ---- certificates and names ---- */

static void assert_dial_ends(struct tls_context *(*choose)(struct world *), const char *name,
			     enum link_end why, const char *text)
{
	static struct world w;

	world_init(&w);
	dial_as(&w, &w.a, choose(&w), name);
	TURN_UNTIL(&w, w.a.closed);
	assert_int_equal(w.a.why, why);
	assert_non_null(strstr(w.a.text, text));
	assert_false(w.a.secure);
	TURN_UNTIL(&w, w.b[0].closed);
	assert_int_equal(w.b[0].why, LINK_END_TLS);
	world_deinit(&w);
}

static struct tls_context *friendly(struct world *w)
{
	return w->dialler;
}

static struct tls_context *suspicious(struct world *w)
{
	return w->stranger;
}

static void a_foreign_ca_is_refused(void **state UNUSED)
{
	assert_dial_ends(suspicious, "localhost", LINK_END_CERTIFICATE, "certificate");
}

static void a_wrong_name_is_refused(void **state UNUSED)
{
	assert_dial_ends(friendly, "www.example.org", LINK_END_CERTIFICATE, "for other names");
	assert_dial_ends(friendly, "127.0.0.2", LINK_END_CERTIFICATE, "for other addresses");
}

/* True if the ClientHello for @server_name has it in clear. */
static bool sends_name(const char *server_name)
{
	static struct world w;
	uint8_t hello[2000];
	ssize_t n = -1;
	int listener;
	int peer = -1;

	world_init(&w);
	listener = listen_on_loopback(&w.address);
	dial_as(&w, &w.a, w.dialler, server_name);
	while (n < 0) {
		turn(&w);
		if (peer < 0)
			peer = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
		n = recv(peer, hello, sizeof(hello), 0);
	}
	close(peer);
	close(listener);
	world_deinit(&w);
	return memmem(hello, (size_t)n, server_name, strlen(server_name)) != NULL;
}

static void connects_as(const char *server_name)
{
	static struct world w;

	world_init(&w);
	dial_as(&w, &w.a, w.dialler, server_name);
	TURN_UNTIL(&w, w.a.ready && w.b[0].ready);
	assert_null(link_alpn(w.b[0].link));
	world_deinit(&w);
}

static void a_name_is_sent_an_address_is_not(void **state UNUSED)
{
	assert_true(sends_name("localhost"));
	assert_false(sends_name("127.0.0.1"));
	connects_as("localhost");
	connects_as("h2.cftunnel.com");
	connects_as("127.0.0.1");
	connects_as("::1");
}

/* ---- set-up that fails ---- */

static void a_refused_connect_is_told(void **state UNUSED)
{
	static struct world w;
	int fd;

	world_init(&w);
	fd = listen_on_loopback(&w.address);
	close(fd);
	dial(&w);
	TURN_UNTIL(&w, w.a.closed);
	assert_int_equal(w.a.why, LINK_END_CONNECT);
	assert_string_equal(w.a.text, strerror(ECONNREFUSED));
	world_deinit(&w);
}

static void a_listener_without_tls_is_told(void **state UNUSED)
{
	static struct world w;
	int listener;
	int peer;

	world_init(&w);
	listener = listen_on_loopback(&w.address);
	dial(&w);
	turn_on(&w);
	peer = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
	assert_int_equal(write(peer, "SSH-2.0-OpenSSH_9.2\r\n", 21), 21);
	TURN_UNTIL(&w, w.a.closed);
	assert_int_equal(w.a.why, LINK_END_TLS);
	assert_string_not_equal(w.a.text, "");
	close(peer);
	close(listener);
	world_deinit(&w);
}

static void a_dialler_without_tls_is_told(void **state UNUSED)
{
	static struct world w;
	static struct raw r;

	world_init(&w);
	raw_connect(&w, &r);
	raw_send(&r, "GET / HTTP/1.1\r\n\r\n", 18);
	TURN_UNTIL(&w, w.b[0].closed);
	assert_int_equal(w.b[0].why, LINK_END_TLS);
	raw_close(&r);
	world_deinit(&w);
}

static void a_peer_that_leaves_the_handshake_is_told(void **state UNUSED)
{
	static struct world w;
	static struct raw r;

	world_init(&w);
	raw_connect(&w, &r);
	raw_close(&r);
	TURN_UNTIL(&w, w.b[0].closed);
	assert_int_equal(w.b[0].why, LINK_END_PEER_CLOSED);
	raw_connect(&w, &r);
	assert_int_equal(tls_conn_new_dialler(&r.tls, w.dialler, r.fd, "localhost"), 0);
	assert_int_equal(tls_handshake(r.tls), TLS_E_AGAIN);
	raw_flush(&r);
	raw_reset(&r);
	TURN_UNTIL(&w, w.b[1].closed);
	assert_int_equal(w.b[1].why, LINK_END_PEER_CLOSED);
	world_deinit(&w);
}

/* The deadline of the phase is now. */
static void run_out_of_time(struct world *w, struct end *e)
{
	assert_true(e->link->phase_deadline_ms < clock_boot_ms() + 60000);
	e->link->phase_deadline_ms = clock_boot_ms();
	link_schedule(e->link);
	TURN_UNTIL(w, e->closed);
	assert_int_equal(e->why, LINK_END_TIMEOUT);
}

static void each_phase_of_the_set_up_has_its_deadline(void **state UNUSED)
{
	static struct world w;
	static struct raw r;

	world_init(&w);
	raw_connect(&w, &r);
	assert_int_equal(w.b[0].link->state, LINK_STATE_HANDSHAKE);
	run_out_of_time(&w, &w.b[0]);
	assert_string_equal(w.b[0].text, "TLS handshake not finished in time");
	raw_close(&r);

	raw_secure(&w, &r);
	turn_on(&w);
	assert_int_equal(w.b[1].link->state, LINK_STATE_OPEN);
	assert_false(w.b[1].ready);
	run_out_of_time(&w, &w.b[1]);
	assert_string_equal(w.b[1].text, "no HTTP/2 SETTINGS from the peer in time");
	raw_close(&r);

	dial(&w);
	run_out_of_time(&w, &w.a);
	assert_string_equal(w.a.text, "no answer to the TCP connect");
	world_deinit(&w);
}

/* Its own time for TCP; TLS has the usual one then. */
static void the_time_for_tcp_is_the_owners(void **state UNUSED)
{
	static struct world w;
	struct link_dial_options opt = {.server_name = "localhost", .connect_ms = 2500};
	uint64_t begun_ms = clock_boot_ms();

	world_init(&w);
	opt.peer = w.address;
	assert_int_equal(link_dial(&w.a.link, w.io, w.dialler, &opt, &end_events, &w.a), 0);
	assert_true(w.a.link->phase_deadline_ms >= begun_ms + 2500);
	assert_true(w.a.link->phase_deadline_ms <= clock_boot_ms() + 2500);
	TURN_UNTIL(&w, w.a.link->state != LINK_STATE_DIALLING);
	assert_true(w.a.link->phase_deadline_ms >= begun_ms + TLS_HANDSHAKE_MS);
	TURN_UNTIL(&w, w.a.ready);
	world_deinit(&w);
}

static void a_ready_link_has_no_deadline(void **state UNUSED)
{
	static struct world w;

	world_init(&w);
	world_connect(&w);
	assert_true(w.a.link->phase_deadline_ms == UINT64_MAX);
	assert_true(w.b[0].link->phase_deadline_ms == UINT64_MAX);
	world_deinit(&w);
}

static void a_link_over_the_budget_is_refused(void **state UNUSED)
{
	static struct world w;

	world_init(&w);
	w.io->budget.hard_bytes = w.io->budget.soft_bytes + link_limits.conn_window_bytes;
	dial(&w);
	TURN_UNTIL(&w, w.a.closed && w.b[0].closed);
	/* The dialler was first, and had the last of the budget. */
	assert_int_equal(w.a.start_result, 0);
	assert_int_equal(w.a.why, LINK_END_PEER_CLOSED);
	assert_int_equal(w.b[0].start_result, -ENOBUFS);
	assert_int_equal(w.b[0].why, LINK_END_LIMIT);
	world_deinit(&w);
}

static void the_smallest_window_is_better_than_none(void **state UNUSED)
{
	static struct world w;

	start_talking(&w, BULK / 4, BULK / 4);
	w.io->budget.hard_bytes =
		w.io->budget.soft_bytes + link_limits.conn_window_bytes + BUDGET_WINDOW_MIN;
	world_connect(&w);
	assert_int_equal(w.a.link->granted_bytes, link_limits.conn_window_bytes);
	assert_int_equal(w.b[0].link->granted_bytes, BUDGET_WINDOW_MIN);
	open_stream(&w.a, &talkers[0]);
	TURN_UNTIL(&w, talkers[0].closed && talkers[1].closed);
	assert_int_equal(talkers[1].received, BULK / 4);
	world_deinit(&w);
}

static int32_t may_send(const struct end *e)
{
	return nghttp2_session_get_remote_window_size(e->link->session->ng);
}

/* As if so many bytes had come within one round trip, which the PING then takes. */
static void fill_half_of_the_window(struct world *w, struct link *l)
{
	(void)link_window_received(l, l->granted_bytes / 8);
	assert_true(l->bdp.is_asking);
	(void)link_window_received(l, l->granted_bytes * 5 / 8);
	link_window_fed(l);
	TURN_UNTIL(w, !l->bdp.is_asking);
}

static void a_half_filled_window_grows_and_is_paid_for(void **state UNUSED)
{
	const uint32_t before = link_limits.conn_window_bytes;
	static struct world w;
	struct link *l;

	start_talking(&w, BULK, 0);
	world_connect(&w);
	l = w.b[0].link;
	assert_int_equal(may_send(&w.a), before);
	fill_half_of_the_window(&w, l);
	assert_int_equal(l->granted_bytes, before / 4 * 5);
	assert_int_equal(w.io->budget.granted_bytes, before / 4 * 9);
	TURN_UNTIL(&w, may_send(&w.a) == (int32_t)(before / 4 * 5));
	while (l->bdp.n_quiet == 0 && l->granted_bytes < LINK_CONN_WINDOW_MAX)
		fill_half_of_the_window(&w, l);
	assert_true(l->granted_bytes <= LINK_CONN_WINDOW_MAX);
	assert_true(l->stream_window_bytes <= LINK_STREAM_WINDOW_MAX);
	open_stream(&w.a, &talkers[0]);
	TURN_UNTIL(&w, talkers[0].closed && talkers[1].closed);
	assert_int_equal(talkers[1].received, BULK);
	world_deinit(&w);
}

static void a_growth_over_the_budget_is_refused(void **state UNUSED)
{
	static struct world w;
	struct link *l;

	start_talking(&w, 0, 0);
	world_connect(&w);
	l = w.b[0].link;
	w.io->budget.hard_bytes = w.io->budget.soft_bytes + w.io->budget.granted_bytes + 1000;
	fill_half_of_the_window(&w, l);
	assert_int_equal(l->granted_bytes, link_limits.conn_window_bytes);
	assert_int_equal(may_send(&w.a), link_limits.conn_window_bytes);
	/* Another link has left. */
	w.io->budget.hard_bytes += link_limits.conn_window_bytes;
	fill_half_of_the_window(&w, l);
	assert_true(l->granted_bytes > link_limits.conn_window_bytes);
	world_deinit(&w);
}

static void an_idle_pair_sleeps(void **state UNUSED)
{
	static struct world w;

	world_init(&w);
	world_connect(&w);
	turn_on(&w);
	assert_idle(&w);
	world_deinit(&w);
}

/* Long before the first PING would be due. In other phases there is nobody to ask. */
static void a_probe_asks_at_once(void **state UNUSED)
{
	static struct world w;
	struct liveness *l;

	world_init(&w);
	dial(&w);
	link_probe(w.a.link);
	TURN_UNTIL(&w, w.a.ready && w.b[0].ready);
	l = &w.a.link->liveness;
	assert_int_equal(l->ping_sent_ms, 0);
	link_probe(w.a.link);
	assert_int_not_equal(l->ping_sent_ms, 0);
	TURN_UNTIL(&w, l->ping_sent_ms == 0);
	assert_false(w.a.closed);
	world_deinit(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(megabytes_go_both_ways_at_once),
		cmocka_unit_test(an_ended_half_leaves_the_other_open),
		cmocka_unit_test(a_slow_reader_gets_it_all),
		cmocka_unit_test(bounded_loops_go_on_by_themselves),
		cmocka_unit_test(over_the_budget_the_window_is_withheld),
		cmocka_unit_test(queued_answers_are_heard_before_a_close),
		cmocka_unit_test(a_foreign_ca_is_refused),
		cmocka_unit_test(a_wrong_name_is_refused),
		cmocka_unit_test(a_name_is_sent_an_address_is_not),
		cmocka_unit_test(a_refused_connect_is_told),
		cmocka_unit_test(a_listener_without_tls_is_told),
		cmocka_unit_test(a_dialler_without_tls_is_told),
		cmocka_unit_test(a_peer_that_leaves_the_handshake_is_told),
		cmocka_unit_test(each_phase_of_the_set_up_has_its_deadline),
		cmocka_unit_test(the_time_for_tcp_is_the_owners),
		cmocka_unit_test(a_ready_link_has_no_deadline),
		cmocka_unit_test(a_link_over_the_budget_is_refused),
		cmocka_unit_test(the_smallest_window_is_better_than_none),
		cmocka_unit_test(a_half_filled_window_grows_and_is_paid_for),
		cmocka_unit_test(a_growth_over_the_budget_is_refused),
		cmocka_unit_test(an_idle_pair_sleeps),
		cmocka_unit_test(a_probe_asks_at_once),
	};

	return cmocka_run_group_tests(tests, pki_set_up, pki_tear_down);
}
