/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A process that was stopped, or a host that slept, finds all its deadlines in the past. What
 * the peer has sent meanwhile is in the socket, and the loop runs timers first: no link may be
 * given up for what its own process was late to read.
 */

#include "link_world.h"

/* As if the clock had jumped by @ms since the last look. */
static void jump(struct link *l, uint64_t ms)
{
	struct liveness *v = &l->liveness;

	/* What was acknowledged until now was seen to be. */
	(void)liveness_check(v, clock_boot_ms(), tcp_socket_bytes_acked(l->fd));
	v->last_read_ms -= ms;
	v->moved_ms -= ms;
	v->next_ping_ms -= ms;
	if (v->ping_sent_ms)
		v->ping_sent_ms -= ms;
	link_schedule(l);
}

static struct link *open_link(struct world *w, struct raw *r, enum liveness_mode mode)
{
	world_init(w);
	raw_open(w, r);
	turn_on(w);
	link_set_liveness(w->b[0].link, mode);
	return w->b[0].link;
}

static void close_link(struct world *w, struct raw *r)
{
	raw_close(r);
	world_deinit(w);
}

static void what_waits_in_the_socket_is_a_sign_of_life(void **state UNUSED)
{
	static struct world w;
	static struct raw r;
	struct link *l = open_link(&w, &r, LIVENESS_LISTENS);

	assert_int_equal(h2_session_ping(r.h2.session, 1), 0);
	assert_true(raw_say(&r) > 0);
	jump(l, 3600000);
	turn_on(&w);
	assert_false(w.b[0].closed);
	assert_true(clock_boot_ms() - l->liveness.last_read_ms < LIVENESS_LISTEN_SUSPECT_MS);
	close_link(&w, &r);
}

/* Longer than the answer may take, shorter than the peer's patience. */
static void an_answer_that_waits_in_the_socket_counts(void **state UNUSED)
{
	static struct world w;
	static struct raw r;
	struct link *l = open_link(&w, &r, LIVENESS_PINGS);

	link_probe(l);
	turn_on(&w);
	assert_true(l->liveness.ping_sent_ms != 0);
	(void)raw_hear(&r);
	assert_true(raw_say(&r) > 0);
	jump(l, 2 * LIVENESS_ANSWER_MS);
	turn_on(&w);
	assert_false(w.b[0].closed);
	assert_int_equal(l->bits & LINK_SUSPECT, 0);
	close_link(&w, &r);
}

static void a_silent_peer_is_dead_after_a_jump(void **state UNUSED)
{
	static const enum liveness_mode modes[] = {LIVENESS_PINGS, LIVENESS_LISTENS};

	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		static struct world w;
		static struct raw r;
		struct link *l = open_link(&w, &r, modes[i]);

		jump(l, 3600000);
		TURN_UNTIL(&w, w.b[0].closed);
		assert_int_equal(w.b[0].why, LINK_END_DEAD);
		close_link(&w, &r);
	}
}

/* Its FIN waits there: that is the reason then. */
static void a_peer_that_left_meanwhile_is_told(void **state UNUSED)
{
	static struct world w;
	static struct raw r;
	struct link *l = open_link(&w, &r, LIVENESS_LISTENS);

	raw_close(&r);
	jump(l, 3600000);
	TURN_UNTIL(&w, w.b[0].closed);
	assert_int_equal(w.b[0].why, LINK_END_PEER_CLOSED);
	world_deinit(&w);
}

/* A record of 16 KiB takes sixteen seconds at 1 KiB/s, and what answers is behind it. */
static void a_part_of_a_record_is_a_sign_of_life(void **state UNUSED)
{
	static const enum liveness_mode modes[] = {LIVENESS_PINGS, LIVENESS_LISTENS};

	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		static struct world w;
		static struct raw r;
		struct link *l = open_link(&w, &r, modes[i]);
		const uint8_t *data;
		size_t n, plain;
		uint64_t before;

		link_probe(l);
		turn_on(&w);
		(void)raw_hear(&r);
		assert_int_equal(h2_session_ping(r.h2.session, 1), 0);
		assert_int_equal(h2_session_pull(r.h2.session, r.bytes, sizeof(r.bytes), &plain),
				 0);
		assert_int_equal(tls_write(r.tls, r.bytes, plain), 0);
		n = tls_output(r.tls, &data);
		before = l->bytes_in;
		for (size_t at = 0; at < n; at++) {
			assert_int_equal(send(r.fd, data + at, 1, 0), 1);
			jump(l, 2 * LIVENESS_ANSWER_MS);
			TURN_UNTIL(&w, w.b[0].closed || !tcp_socket_has_input(l->fd));
			turn_on(&w);
			assert_false(w.b[0].closed);
		}
		assert_int_equal(l->bytes_in, before + plain);
		tls_output_sent(r.tls, n);
		close_link(&w, &r);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_waits_in_the_socket_is_a_sign_of_life),
		cmocka_unit_test(an_answer_that_waits_in_the_socket_counts),
		cmocka_unit_test(a_silent_peer_is_dead_after_a_jump),
		cmocka_unit_test(a_peer_that_left_meanwhile_is_told),
		cmocka_unit_test(a_part_of_a_record_is_a_sign_of_life),
	};

	return cmocka_run_group_tests(tests, pki_set_up, pki_tear_down);
}
