/* SPDX-License-Identifier: Apache-2.0 */

/* Peers that leave at a bad moment or send rubbish, owners that let go in every callback. */

#include "link_world.h"

#define SAID 3000

/* ---- the end of what a peer said ---- */

static struct talker listening;

static void listen_to(struct end *e UNUSED, struct h2_stream *stream)
{
	memset(&listening, 0, sizeof(listening));
	listening.stream = stream;
	listening.blocked = true;
	h2_stream_set_events(stream, &talker_events, &listening);
}

static const struct h2_stream_events no_events = {.on_data = NULL};

/* A raw peer that has a stream open, on which SAID bytes wait to be pulled. */
static void say_something(struct world *w, struct raw *r, struct talker *t)
{
	world_init(w);
	w->b[0].on_open = listen_to;
	raw_open(w, r);
	memset(t, 0, sizeof(*t));
	t->blocked = true;
	assert_int_equal(h2_stream_open(r->h2.session, &t->stream, get_request,
					ARRAY_SIZE(get_request), false, &no_events, NULL),
			 0);
	h2_stream_set_source(t->stream, talk, t);
	(void)raw_say(r);
	TURN_UNTIL(w, w->b[0].n_opened == 1);
	/* No PING of its own: only what the peer does may end the link. */
	link_set_liveness(w->b[0].link, LIVENESS_LISTENS);
	turn_on(w);
	(void)raw_hear(r);
	t->blocked = false;
	t->to_send = SAID;
	h2_stream_resume(t->stream);
}

static void assert_heard_and_ended(struct world *w, enum link_end why)
{
	TURN_UNTIL(w, w->b[0].closed);
	assert_int_equal(listening.received, SAID);
	assert_int_equal(w->b[0].why, why);
}

static void bytes_before_a_tcp_reset_are_heard(void **state UNUSED)
{
	static struct world w;
	static struct raw r;
	struct talker t;

	say_something(&w, &r, &t);
	(void)raw_say(&r);
	raw_reset(&r);
	assert_heard_and_ended(&w, LINK_END_PEER_CLOSED);
	world_deinit(&w);
}

/* The link learns of the reset by a send, before it has read. */
static void bytes_before_a_failed_send_are_heard(void **state UNUSED)
{
	static struct world w;
	static struct raw r;
	struct talker t;

	say_something(&w, &r, &t);
	(void)raw_say(&r);
	raw_reset(&r);
	assert_int_equal(h2_session_ping(link_session(w.b[0].link), 1), 0);
	assert_heard_and_ended(&w, LINK_END_PEER_CLOSED);
	world_deinit(&w);
}

/* close_notify in the same segment, and TCP stays open. */
static void bytes_before_a_tls_close_are_heard(void **state UNUSED)
{
	static struct world w;
	static struct raw r;
	struct talker t;

	say_something(&w, &r, &t);
	(void)raw_say(&r);
	tls_shutdown(r.tls);
	raw_flush(&r);
	assert_heard_and_ended(&w, LINK_END_PEER_CLOSED);
	raw_close(&r);
	world_deinit(&w);
}

static void bytes_before_a_bad_record_are_heard(void **state UNUSED)
{
	static const uint8_t bad[5 + 32] = {0x17, 3, 3, 0, 32, 'b', 'a', 'd'};
	static struct world w;
	static struct raw r;
	struct talker t;

	say_something(&w, &r, &t);
	(void)raw_say(&r);
	raw_send(&r, bad, sizeof(bad));
	assert_heard_and_ended(&w, LINK_END_TLS);
	assert_string_not_equal(w.b[0].text, "");
	raw_close(&r);
	world_deinit(&w);
}

/* ---- rubbish ---- */

static void a_peer_without_http2_is_told(void **state UNUSED)
{
	static struct world w;
	static struct raw r;

	world_init(&w);
	raw_secure(&w, &r);
	raw_write(&r, "SSH-2.0-OpenSSH_9.2p1 Debian\r\n", 30);
	TURN_UNTIL(&w, w.b[0].closed || w.b[0].link->state == LINK_STATE_LINGERING);
	raw_close(&r);
	TURN_UNTIL(&w, w.b[0].closed);
	assert_int_equal(w.b[0].why, LINK_END_PROTOCOL);
	world_deinit(&w);
}

/* DATA on stream 0, after which the peer is silent: the link must not wait for more of it. */
static void a_connection_error_closes_the_link(void **state UNUSED)
{
	static const uint8_t bad[10] = {0, 0, 1};
	static struct world w;
	static struct raw r;

	world_init(&w);
	raw_open(&w, &r);
	raw_write(&r, bad, sizeof(bad));
	TURN_UNTIL(&w, w.b[0].link->state == LINK_STATE_LINGERING);
	(void)raw_hear(&r);
	assert_true(r.h2.got_goaway);
	raw_close(&r);
	TURN_UNTIL(&w, w.b[0].closed);
	assert_int_equal(w.b[0].why, LINK_END_PROTOCOL);
	assert_string_not_equal(w.b[0].text, link_end_name(LINK_END_PROTOCOL));
	world_deinit(&w);
}

static void an_answer_to_another_ping_is_none(void **state UNUSED)
{
	static const uint8_t forged[17] = {0, 0, 8, 6, 1};
	static struct world w;
	static struct raw r;
	struct liveness *l;

	world_init(&w);
	raw_open(&w, &r);
	l = &w.b[0].link->liveness;
	l->next_ping_ms = clock_boot_ms();
	link_schedule(w.b[0].link);
	TURN_UNTIL(&w, l->ping_sent_ms != 0);
	raw_write(&r, forged, sizeof(forged));
	turn_on(&w);
	assert_true(l->ping_sent_ms != 0);
	assert_int_equal(l->rtt_us, 0);
	/* The true one. */
	(void)raw_hear(&r);
	(void)raw_say(&r);
	TURN_UNTIL(&w, l->ping_sent_ms == 0);
	assert_true(l->rtt_us > 0);
	raw_close(&r);
	world_deinit(&w);
}

static void a_listening_link_is_suspect_until_it_hears(void **state UNUSED)
{
	static struct world w;
	static struct raw r;
	struct link *l;

	world_init(&w);
	raw_open(&w, &r);
	l = w.b[0].link;
	link_set_liveness(l, LIVENESS_LISTENS);
	l->liveness.last_read_ms = clock_boot_ms() - LIVENESS_LISTEN_SUSPECT_MS + 1;
	link_schedule(l);
	TURN_UNTIL(&w, (l->bits & LINK_SUSPECT) != 0);
	assert_int_equal(h2_session_ping(r.h2.session, 1), 0);
	(void)raw_say(&r);
	TURN_UNTIL(&w, (l->bits & LINK_SUSPECT) == 0);
	raw_close(&r);
	world_deinit(&w);
}

static struct talker pairs[3][2];

static void talk_back(struct end *e, struct h2_stream *stream)
{
	struct talker *t = pairs[e - e->world->b];

	t[1] = (struct talker){.stream = stream, .to_send = 2000000};
	assert_int_equal(h2_stream_respond(stream, ok_response, 1, false), 0);
	h2_stream_set_events(stream, &talker_events, &t[1]);
	h2_stream_set_source(stream, talk, &t[1]);
}

static bool all_closed(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++)
		if (!pairs[i][0].closed || !pairs[i][1].closed)
			return false;
	return true;
}

/* OpenSSL's error queue is one for all connections of a thread. */
static void rubbish_on_one_link_harms_no_other(void **state UNUSED)
{
	static const uint8_t bad[5 + 32] = {0x17, 3, 3, 0, 32, 'b', 'a', 'd'};
	static struct world w;
	static struct raw r;
	struct end a[3];

	world_init(&w);
	memset(pairs, 0, sizeof(pairs));
	for (unsigned int i = 0; i < 3; i++) {
		a[i] = (struct end){.world = &w, .role = H2_ROLE_OPENER};
		w.b[i].on_open = talk_back;
		dial_as(&w, &a[i], w.dialler, "localhost");
		TURN_UNTIL(&w, a[i].ready);
	}
	raw_open(&w, &r);
	for (unsigned int i = 0; i < 3; i++) {
		pairs[i][0].to_send = 2000000;
		assert_int_equal(h2_stream_open(link_session(a[i].link), &pairs[i][0].stream,
						get_request, ARRAY_SIZE(get_request), false,
						&talker_events, &pairs[i][0]),
				 0);
		h2_stream_set_source(pairs[i][0].stream, talk, &pairs[i][0]);
	}
	TURN_UNTIL(&w, pairs[0][1].received > 0);
	raw_send(&r, bad, sizeof(bad));
	TURN_UNTIL(&w, all_closed());
	for (unsigned int i = 0; i < 3; i++) {
		assert_int_equal(pairs[i][0].received, 2000000);
		assert_int_equal(pairs[i][1].received, 2000000);
		assert_false(a[i].closed || w.b[i].closed);
		link_free(a[i].link);
	}
	assert_true(w.b[3].closed);
	raw_close(&r);
	world_deinit(&w);
}

/* ---- goodbyes ---- */

static void a_goodbye_to_a_peer_that_resets_ends(void **state UNUSED)
{
	static struct world w;
	static struct raw r;

	world_init(&w);
	raw_open(&w, &r);
	link_close(w.b[0].link, LINK_END_LOCAL);
	turn(&w);
	assert_int_equal(w.b[0].link->state, LINK_STATE_LINGERING);
	assert_idle(&w);
	raw_reset(&r);
	for (unsigned int i = 0; i < 10 && !w.b[0].closed; i++)
		turn(&w);
	assert_true(w.b[0].closed);
	assert_int_equal(w.b[0].why, LINK_END_LOCAL);
	world_deinit(&w);
}

/* ---- owners that let go ---- */

static void free_in_callback(bool dialler, enum stage stage)
{
	static struct world w;
	struct end *e;
	struct end *other;
	struct talker t = {.blocked = true};

	world_init(&w);
	e = dialler ? &w.a : &w.b[0];
	other = dialler ? &w.b[0] : &w.a;
	/* Only an acceptor is asked to open. */
	if (dialler && stage == STAGE_OPEN) {
		w.a.role = H2_ROLE_ACCEPTOR;
		w.b[0].role = H2_ROLE_OPENER;
	}
	e->free_at = stage;
	dial(&w);
	TURN_UNTIL(&w, !e->link == (stage <= STAGE_READY) && (!e->link || other->ready));
	if (stage == STAGE_OPEN)
		assert_int_equal(h2_stream_open(link_session(other->link), &t.stream, get_request,
						ARRAY_SIZE(get_request), false, &talker_events, &t),
				 0);
	if (stage >= STAGE_GOAWAY)
		link_close(other->link, LINK_END_LOCAL);
	TURN_UNTIL(&w, !e->link && other->closed);
	assert_true(e->closed == (stage == STAGE_CLOSED));
	world_deinit(&w);
}

static void an_owner_may_let_go_in_every_callback(void **state UNUSED)
{
	for (enum stage stage = STAGE_SECURE; stage <= STAGE_CLOSED; stage++) {
		free_in_callback(true, stage);
		free_in_callback(false, stage);
	}
}

static void free_after_turns(unsigned int n_turns, bool close_first)
{
	static struct world w;

	world_init(&w);
	dial(&w);
	for (unsigned int i = 0; i < n_turns; i++)
		turn(&w);
	if (close_first) {
		link_close(w.a.link, LINK_END_LOCAL);
		turn(&w);
	}
	link_free(w.a.link);
	w.a.link = NULL;
	if (w.n_accepted > 0)
		TURN_UNTIL(&w, w.b[0].closed);
	world_deinit(&w);
}

static void an_owner_may_let_go_at_any_time(void **state UNUSED)
{
	for (unsigned int n = 0; n < 12; n++) {
		free_after_turns(n, false);
		free_after_turns(n, true);
	}
}

static void let_go(void *ctx, struct h2_stream *stream UNUSED, uint32_t h2_code UNUSED)
{
	struct end *e = ctx;

	link_free(e->link);
	e->link = NULL;
}

static void let_go_with_the_stream(struct end *e, struct h2_stream *stream)
{
	static const struct h2_stream_events events = {.on_closed = let_go};

	h2_stream_set_events(stream, &events, e);
}

static void an_owner_may_let_go_with_its_last_stream(void **state UNUSED)
{
	static struct world w;
	static struct raw r;
	struct talker t = {.blocked = true};

	for (unsigned int by_reset = 0; by_reset < 2; by_reset++) {
		say_something(&w, &r, &t);
		w.b[0].on_open = NULL;
		let_go_with_the_stream(&w.b[0], w.b[0].opened);
		if (by_reset)
			raw_reset(&r);
		else
			raw_close(&r);
		TURN_UNTIL(&w, !w.b[0].link);
		turn_on(&w);
		assert_false(w.b[0].closed);
		world_deinit(&w);
	}
}

/* A goodbye that waits for its socket, and an owner that doesn't. */
static void an_owner_may_let_go_of_a_goodbye(void **state UNUSED)
{
	static struct world w;
	struct talker t = {.to_send = 5000000};

	world_init(&w);
	world_make_readers_slow(&w);
	w.b[0].on_open = listen_to;
	world_connect(&w);
	assert_int_equal(h2_stream_open(link_session(w.a.link), &t.stream, get_request,
					ARRAY_SIZE(get_request), false, &talker_events, &t),
			 0);
	h2_stream_set_source(t.stream, talk, &t);
	TURN_UNTIL(&w, (w.a.link->bits & LINK_WANTS_WRITABLE) != 0);
	link_close(w.a.link, LINK_END_LOCAL);
	turn(&w);
	assert_int_equal(w.a.link->state, LINK_STATE_LINGERING);
	link_free(w.a.link);
	w.a.link = NULL;
	turn(&w);
	assert_true(t.closed);
	world_deinit(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_before_a_tcp_reset_are_heard),
		cmocka_unit_test(bytes_before_a_failed_send_are_heard),
		cmocka_unit_test(bytes_before_a_tls_close_are_heard),
		cmocka_unit_test(bytes_before_a_bad_record_are_heard),
		cmocka_unit_test(a_peer_without_http2_is_told),
		cmocka_unit_test(a_connection_error_closes_the_link),
		cmocka_unit_test(an_answer_to_another_ping_is_none),
		cmocka_unit_test(a_listening_link_is_suspect_until_it_hears),
		cmocka_unit_test(rubbish_on_one_link_harms_no_other),
		cmocka_unit_test(a_goodbye_to_a_peer_that_resets_ends),
		cmocka_unit_test(an_owner_may_let_go_in_every_callback),
		cmocka_unit_test(an_owner_may_let_go_at_any_time),
		cmocka_unit_test(an_owner_may_let_go_with_its_last_stream),
		cmocka_unit_test(an_owner_may_let_go_of_a_goodbye),
	};

	return cmocka_run_group_tests(tests, pki_set_up, pki_tear_down);
}
