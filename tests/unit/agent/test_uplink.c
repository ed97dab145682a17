/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/uplink.h"
#include "base/compiler.h"
#include "wire/proto.h"

/* The world of one uplink: what it asked for, and how the world answers. */
struct world {
	struct uplink u;
	uint64_t now_ms;
	uint32_t random; /* what the next back-off draws */
	int dial_result;
	bool other;	  /* of the last dial */
	uint32_t dialled; /* id of the last dial */
	unsigned int n_dials;
	uint32_t registered; /* id of the last register call */
	uint8_t n_previous_attempts;
	uint32_t drained;      /* id of the last one */
	uint32_t unregistered; /* number of unregister calls */
	uint32_t unregister_timeout_ms;
	uint32_t closed; /* id of the last close */
	unsigned int n_closed;
	uint32_t busy; /* bit per id: streams are running */
	unsigned int n_tries_failed;
	unsigned int n_unauthorized;
	unsigned int n_states;
};

static int world_dial(void *ctx, uint32_t id, bool other)
{
	struct world *w = ctx;

	w->n_dials++;
	w->dialled = id;
	w->other = other;
	return w->dial_result;
}

static void world_register(void *ctx, uint32_t id, uint8_t n_previous_attempts)
{
	struct world *w = ctx;

	w->registered = id;
	w->n_previous_attempts = n_previous_attempts;
}

static void world_unregister(void *ctx, uint32_t id, uint32_t timeout_ms)
{
	struct world *w = ctx;

	assert_true(id > 0);
	w->unregistered++;
	w->unregister_timeout_ms = timeout_ms;
}

static void world_drain(void *ctx, uint32_t id)
{
	((struct world *)ctx)->drained = id;
}

static void world_close(void *ctx, uint32_t id, const char *reason)
{
	struct world *w = ctx;

	assert_non_null(reason);
	w->closed = id;
	w->n_closed++;
}

static bool world_is_idle(void *ctx, uint32_t id)
{
	struct world *w = ctx;

	return !(w->busy & (1u << (id % 32)));
}

static uint32_t world_random(void *ctx)
{
	return ((struct world *)ctx)->random;
}

static void world_state(void *ctx, enum uplink_state from, enum uplink_state to)
{
	struct world *w = ctx;

	assert_true(from < UPLINK_STATE_N && to < UPLINK_STATE_N);
	assert_int_equal(w->u.state, to);
	w->n_states++;
}

static void world_try_failed(void *ctx)
{
	((struct world *)ctx)->n_tries_failed++;
}

static void world_unauthorized(void *ctx, const char *cause)
{
	assert_non_null(strstr(cause, "Unauthorized"));
	((struct world *)ctx)->n_unauthorized++;
}

static const struct uplink_ops world_ops = {
	.dial = world_dial,
	.register_link = world_register,
	.unregister_link = world_unregister,
	.drain_link = world_drain,
	.close_link = world_close,
	.link_is_idle = world_is_idle,
	.random = world_random,
	.on_state = world_state,
	.on_try_failed = world_try_failed,
	.on_unauthorized = world_unauthorized,
};

static void begin(struct world *w)
{
	*w = (struct world){.now_ms = 1000000, .random = UINT32_MAX};
	uplink_init(&w->u, &world_ops, w);
}

static void start(struct world *w)
{
	begin(w);
	uplink_start(&w->u, w->now_ms);
}

static void pass(struct world *w, uint64_t ms)
{
	w->now_ms += ms;
	uplink_tick(&w->u, w->now_ms);
}

/* From DIALLING to REGISTERED. */
static void register_current(struct world *w)
{
	uint32_t id = w->u.current;

	uplink_on_secure(&w->u, id, w->now_ms);
	assert_int_equal(w->u.state, UPLINK_STATE_WAIT_CONTROL);
	uplink_on_control(&w->u, id, w->now_ms);
	assert_int_equal(w->u.state, UPLINK_STATE_REGISTERING);
	assert_int_equal(w->registered, id);
	uplink_on_registered(&w->u, id, w->now_ms);
	assert_int_equal(w->u.state, UPLINK_STATE_REGISTERED);
}

static void to_registering(struct world *w)
{
	uplink_on_secure(&w->u, w->u.current, w->now_ms);
	uplink_on_control(&w->u, w->u.current, w->now_ms);
	assert_int_equal(w->u.state, UPLINK_STATE_REGISTERING);
}

static uint64_t delay_of(const struct world *w)
{
	assert_int_equal(w->u.state, UPLINK_STATE_BACKOFF);
	return w->u.deadline_ms - w->now_ms;
}

/* Waits the back-off out: the next try is under way. */
static void retry(struct world *w)
{
	unsigned int n = w->n_dials;

	pass(w, delay_of(w) - 1);
	assert_int_equal(w->n_dials, n);
	pass(w, 1);
	assert_int_equal(w->n_dials, n + 1);
}

static void test_registers(void **state)
{
	struct world w;

	(void)state;
	start(&w);
	assert_int_equal(w.u.state, UPLINK_STATE_DIALLING);
	assert_false(w.other);
	assert_false(uplink_is_registered(&w.u));
	register_current(&w);
	assert_true(uplink_is_registered(&w.u));
	assert_int_equal(uplink_serving_link(&w.u), w.dialled);
	assert_int_equal(w.n_previous_attempts, 0);
	assert_true(uplink_deadline_ms(&w.u) == UINT64_MAX);
	assert_int_equal(w.n_states, 4);
}

/* Full jitter: the ceiling doubles from 0.2 s and stays at 30 s; never below 0.1 s. */
static void test_backoff_bounds(void **state)
{
	static const uint64_t ceilings[] = {200,  400,	 800,	1600,  3200,
					    6400, 12800, 25600, 30000, 30000};
	struct world w;

	(void)state;
	start(&w);
	for (size_t i = 0; i < ARRAY_SIZE(ceilings); i++) {
		uplink_on_closed(&w.u, w.u.current, "refused", w.now_ms);
		assert_int_equal(delay_of(&w), ceilings[i]);
		retry(&w);
		assert_true(w.other);
		assert_int_equal(w.n_tries_failed, i + 1);
	}
	w.random = 0;
	uplink_on_closed(&w.u, w.u.current, "refused", w.now_ms);
	assert_int_equal(delay_of(&w), 100);
}

static void test_no_address(void **state)
{
	struct world w;

	(void)state;
	begin(&w);
	w.dial_result = UPLINK_E_NO_ADDRESS;
	uplink_start(&w.u, w.now_ms);
	assert_int_equal(w.u.state, UPLINK_STATE_WAIT_ADDRESS);
	assert_true(uplink_deadline_ms(&w.u) == UINT64_MAX);
	uplink_on_addresses(&w.u, w.now_ms);
	assert_int_equal(w.u.state, UPLINK_STATE_WAIT_ADDRESS);
	/* Why it waits is shown, and told once. */
	assert_true(uplink_on_no_addresses(&w.u, "no such name"));
	assert_string_equal(w.u.last_error, "no such name");
	assert_false(uplink_on_no_addresses(&w.u, "no such name"));
	assert_true(uplink_on_no_addresses(&w.u, "garbage"));
	w.dial_result = 0;
	uplink_on_addresses(&w.u, w.now_ms);
	assert_int_equal(w.u.state, UPLINK_STATE_DIALLING);
	assert_false(uplink_on_no_addresses(&w.u, "too late"));
	assert_string_equal(w.u.last_error, "garbage");
}

static void test_dial_fails_at_once(void **state)
{
	struct world w;

	(void)state;
	begin(&w);
	w.dial_result = -EMFILE;
	uplink_start(&w.u, w.now_ms);
	assert_int_equal(delay_of(&w), 200);
	assert_string_equal(w.u.last_error, "Too many open files");
	assert_int_equal(w.n_tries_failed, 0);
	retry(&w);
	assert_int_equal(delay_of(&w), 400);
	w.dial_result = 0;
	retry(&w);
	assert_int_equal(w.u.state, UPLINK_STATE_DIALLING);
	assert_true(w.other);
}

static void test_set_up_deadlines(void **state)
{
	struct world w;

	(void)state;
	start(&w);
	pass(&w, TCP_CONNECT_MS + TLS_HANDSHAKE_MS);
	assert_int_equal(w.u.state, UPLINK_STATE_DIALLING);
	pass(&w, 5000);
	assert_int_equal(w.u.state, UPLINK_STATE_BACKOFF);
	assert_int_equal(w.n_closed, 1);
	retry(&w);

	uplink_on_secure(&w.u, w.u.current, w.now_ms);
	pass(&w, CONTROL_STREAM_MS - 1);
	assert_int_equal(w.u.state, UPLINK_STATE_WAIT_CONTROL);
	pass(&w, 1);
	assert_int_equal(w.u.state, UPLINK_STATE_BACKOFF);
	assert_string_equal(w.u.last_error, "the edge opened no control stream");
	retry(&w);

	to_registering(&w);
	assert_int_equal(w.n_previous_attempts, 2);
	pass(&w, RPC_MS + 1000);
	assert_int_equal(w.u.state, UPLINK_STATE_BACKOFF);
	assert_int_equal(w.n_closed, 3);
	assert_int_equal(w.n_tries_failed, 3);
}

struct refusal {
	const char *cause;
	int64_t retry_after_ns;
	uint64_t delay_ms; /* of a first failure with the largest draw */
	bool other;
	unsigned int n_unauthorized;
};

static const struct refusal refusals[] = {
	{"please retry", 0, 200, false, 0},
	{"please retry", 3000000000, 3000, false, 0},
	{"please retry", 1000000, 200, false, 0},
	{"please retry", -5, 200, false, 0},
	{"please retry", 299999000000, 299999, false, 0},
	{"please retry", 301000000000, 300000, false, 0},
	{"please retry", INT64_MAX, 300000, false, 0},
	{"tunnel is gone", 0, 200, false, 0},
	{"EDUPCONN", 0, 200, true, 0},
	{"EDUPCONN not quite", 0, 200, false, 0},
	{"Unauthorized: Invalid tunnel secret", 0, 200, false, 1},
	{"Unauthorized", 2000000000, 2000, false, 1},
};

static void test_refusals(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(refusals); i++) {
		const struct refusal *c = &refusals[i];
		struct world w;

		start(&w);
		to_registering(&w);
		uplink_on_refused(&w.u, w.u.current, c->cause, c->retry_after_ns, w.now_ms);
		assert_int_equal(delay_of(&w), c->delay_ms);
		assert_int_equal(w.closed, w.dialled);
		assert_int_equal(w.n_unauthorized, c->n_unauthorized);
		assert_string_equal(w.u.last_error, c->cause);
		assert_int_equal(w.n_tries_failed, 0);
		retry(&w);
		assert_int_equal(w.other, c->other);
	}
}

/* Refused credentials: the same growth, but up to 5 min; for ever. */
static void test_unauthorized_bounds(void **state)
{
	static const uint64_t ceilings[] = {200,   400,	  800,	  1600,	  3200,	  6400,	 12800,
					    25600, 51200, 102400, 204800, 300000, 300000};
	struct world w;

	(void)state;
	start(&w);
	for (size_t i = 0; i < ARRAY_SIZE(ceilings); i++) {
		to_registering(&w);
		uplink_on_refused(&w.u, w.u.current, "Unauthorized", 0, w.now_ms);
		assert_int_equal(delay_of(&w), ceilings[i]);
		retry(&w);
	}
	assert_int_equal(w.n_unauthorized, ARRAY_SIZE(ceilings));
}

static void test_reset_rule(void **state)
{
	struct world w;

	(void)state;
	start(&w);
	for (unsigned int i = 0; i < 5; i++) {
		uplink_on_closed(&w.u, w.u.current, "refused", w.now_ms);
		retry(&w);
	}
	register_current(&w);
	assert_int_equal(w.n_previous_attempts, 5);
	pass(&w, UPLINK_STABLE_MS - 1);
	uplink_on_closed(&w.u, w.u.current, "lost", w.now_ms);
	assert_int_equal(delay_of(&w), 6400);
	retry(&w);
	register_current(&w);
	pass(&w, UPLINK_STABLE_MS);
	uplink_on_closed(&w.u, w.u.current, "lost", w.now_ms);
	assert_int_equal(delay_of(&w), 200);
	retry(&w);
	assert_false(w.other);
}

static void test_control_end(void **state)
{
	struct world w;

	(void)state;
	start(&w);
	to_registering(&w);
	uplink_on_control_end(&w.u, w.u.current, "rpc exception: no", w.now_ms);
	assert_int_equal(w.closed, w.dialled);
	assert_string_equal(w.u.last_error, "rpc exception: no");
	assert_int_equal(w.n_tries_failed, 1);
	retry(&w);
	register_current(&w);
	w.busy = UINT32_MAX;
	uplink_on_control_end(&w.u, w.u.current, "control stream ended", w.now_ms);
	assert_int_equal(w.closed, w.dialled);
	assert_int_equal(w.u.state, UPLINK_STATE_BACKOFF);
	assert_false(uplink_is_registered(&w.u));
	assert_int_equal(w.n_tries_failed, 1);
}

static void test_stale_events(void **state)
{
	struct world w;
	uint32_t old;

	(void)state;
	start(&w);
	old = w.u.current;
	uplink_on_closed(&w.u, old, "refused", w.now_ms);
	retry(&w);
	uplink_on_secure(&w.u, old, w.now_ms);
	uplink_on_control(&w.u, old, w.now_ms);
	uplink_on_registered(&w.u, old, w.now_ms);
	uplink_on_refused(&w.u, old, "Unauthorized", 0, w.now_ms);
	uplink_on_control_end(&w.u, old, "x", w.now_ms);
	uplink_on_goaway(&w.u, old, w.now_ms);
	uplink_on_closed(&w.u, old, "x", w.now_ms);
	uplink_on_unregistered(&w.u, old, w.now_ms);
	assert_int_equal(w.u.state, UPLINK_STATE_DIALLING);
	assert_int_equal(w.n_dials, 2);
}

/* GOAWAY on the current link: the old one stays registered until the new one is. */
static void test_goaway_replaces(void **state)
{
	struct world w;
	uint32_t old, young;

	(void)state;
	start(&w);
	register_current(&w);
	old = w.u.current;
	w.busy = 1u << old;
	pass(&w, UPLINK_STABLE_MS);
	uplink_on_goaway(&w.u, old, w.now_ms);
	assert_int_equal(w.u.state, UPLINK_STATE_DIALLING);
	young = w.u.current;
	assert_int_not_equal(young, old);
	assert_true(uplink_is_registered(&w.u));
	assert_int_equal(uplink_serving_link(&w.u), old);

	/* A second GOAWAY there starts nothing. */
	uplink_on_goaway(&w.u, old, w.now_ms);
	assert_int_equal(w.n_dials, 2);
	register_current(&w);
	assert_int_equal(uplink_serving_link(&w.u), young);
	uplink_on_goaway(&w.u, old, w.now_ms);
	assert_int_equal(w.u.state, UPLINK_STATE_REGISTERED);
	assert_int_equal(w.n_dials, 2);

	/* It goes when its last stream has ended. */
	pass(&w, 0);
	pass(&w, UPLINK_IDLE_CHECK_MS);
	assert_int_equal(w.n_closed, 0);
	w.busy = 0;
	pass(&w, UPLINK_IDLE_CHECK_MS);
	assert_int_equal(w.closed, old);
	assert_true(uplink_deadline_ms(&w.u) == UINT64_MAX);
	assert_int_equal(w.u.state, UPLINK_STATE_REGISTERED);
}

/* Registered for long enough; the id of its link. */
static uint32_t settle_down(struct world *w)
{
	start(w);
	register_current(w);
	pass(w, UPLINK_STABLE_MS);
	return w->u.current;
}

static void test_move(void **state)
{
	struct world w;
	uint32_t old = settle_down(&w);

	(void)state;
	w.busy = 1u << old;
	assert_true(uplink_move(&w.u, w.now_ms));
	assert_int_equal(w.u.state, UPLINK_STATE_DIALLING);
	assert_int_equal(uplink_serving_link(&w.u), old);
	assert_int_equal(w.drained, 0);
	assert_false(uplink_move(&w.u, w.now_ms));
	register_current(&w);
	/* Its edge is told, and what runs on it goes on. */
	assert_int_equal(w.drained, old);
	assert_int_equal(w.unregistered, 0);
	pass(&w, UPLINK_IDLE_CHECK_MS);
	assert_int_equal(w.n_closed, 0);
	w.busy = 0;
	pass(&w, UPLINK_IDLE_CHECK_MS);
	assert_int_equal(w.closed, old);
	assert_int_equal(w.u.state, UPLINK_STATE_REGISTERED);
	assert_int_not_equal(uplink_serving_link(&w.u), old);
}

static void test_move_only_what_is_stable(void **state)
{
	struct world w;

	(void)state;
	start(&w);
	assert_false(uplink_move(&w.u, w.now_ms));
	register_current(&w);
	pass(&w, UPLINK_STABLE_MS - 1);
	assert_false(uplink_move(&w.u, w.now_ms));
	assert_int_equal(w.n_dials, 1);
	pass(&w, 1);
	assert_true(uplink_move(&w.u, w.now_ms));
}

/* Later or at once: it is as if nothing had been tried. */
static void test_move_that_fails(void **state)
{
	struct world w;
	uint32_t old;

	(void)state;
	for (int at_once = 0; at_once < 2; at_once++) {
		old = settle_down(&w);
		w.dial_result = at_once ? -EMFILE : 0;
		assert_true(uplink_move(&w.u, w.now_ms));
		if (!at_once)
			uplink_on_closed(&w.u, w.u.current, "refused", w.now_ms);
		assert_int_equal(w.u.state, UPLINK_STATE_REGISTERED);
		assert_int_equal(w.u.current, old);
		assert_true(uplink_deadline_ms(&w.u) == UINT64_MAX);
		assert_int_equal(w.n_tries_failed, !at_once);
		/* What happens to it is ours again. */
		uplink_on_closed(&w.u, old, "reset", w.now_ms);
		assert_int_equal(w.u.state, UPLINK_STATE_BACKOFF);
	}
}

/* By an edge that we don't need: nobody hears of it, and it isn't asked again before it wants. */
static void test_move_that_is_refused(void **state)
{
	static const struct {
		const char *cause;
		int64_t after_ns;
		uint64_t wait_ms;
	} cases[] = {
		{"not now", INT64_C(70000000000), 70000},
		{"Unauthorized", 0, UPLINK_BACKOFF_AUTH_MAX_MS},
		{"EDUPCONN", 0, UPLINK_STABLE_MS},
	};
	struct world w;
	uint32_t old;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		old = settle_down(&w);
		assert_true(uplink_move(&w.u, w.now_ms));
		to_registering(&w);
		uplink_on_refused(&w.u, w.u.current, cases[i].cause, cases[i].after_ns, w.now_ms);
		assert_int_equal(w.u.state, UPLINK_STATE_REGISTERED);
		assert_int_equal(w.u.current, old);
		assert_int_equal(w.n_tries_failed, 1);
		assert_int_equal(w.n_unauthorized, 0);
		pass(&w, cases[i].wait_ms - 1);
		assert_false(uplink_move(&w.u, w.now_ms));
		pass(&w, 1);
		assert_true(uplink_move(&w.u, w.now_ms));
	}
}

/* Then it isn't worth going back to: a successor is looked for as after any GOAWAY. */
static void test_goaway_while_moving(void **state)
{
	struct world w;
	uint32_t old = settle_down(&w);

	(void)state;
	assert_true(uplink_move(&w.u, w.now_ms));
	uplink_on_goaway(&w.u, old, w.now_ms);
	uplink_on_closed(&w.u, w.u.current, "refused", w.now_ms);
	assert_int_equal(uplink_serving_link(&w.u), old);
	retry(&w);
	register_current(&w);
	assert_int_equal(w.drained, 0);
}

/* What runs on old links is worth more than a better place. */
static void test_move_takes_no_place(void **state)
{
	struct world w;

	(void)state;
	(void)settle_down(&w);
	w.busy = UINT32_MAX;
	for (unsigned int i = 0; i < UPLINK_LINKS_MAX - 1; i++) {
		assert_true(uplink_move(&w.u, w.now_ms));
		register_current(&w);
		pass(&w, UPLINK_STABLE_MS);
	}
	assert_false(uplink_move(&w.u, w.now_ms));
	assert_int_equal(w.n_closed, 0);
}

/* Nothing to go back to: like any other try. */
static void test_move_loses_both(void **state)
{
	struct world w;
	uint32_t old = settle_down(&w);

	(void)state;
	assert_true(uplink_move(&w.u, w.now_ms));
	uplink_on_closed(&w.u, old, "reset", w.now_ms);
	assert_false(uplink_is_registered(&w.u));
	uplink_on_closed(&w.u, w.u.current, "refused", w.now_ms);
	retry(&w);
	register_current(&w);
	assert_int_equal(w.drained, 0);
}

static void test_goaway_before_stable(void **state)
{
	struct world w;
	uint32_t old;

	(void)state;
	start(&w);
	register_current(&w);
	old = w.u.current;
	uplink_on_goaway(&w.u, old, w.now_ms);
	assert_int_equal(delay_of(&w), 200);
	assert_int_equal(w.n_closed, 0);
	assert_true(uplink_is_registered(&w.u));
	retry(&w);
	register_current(&w);
	uplink_on_goaway(&w.u, w.u.current, w.now_ms);
	assert_int_equal(delay_of(&w), 400);
}

static void test_goaway_during_set_up(void **state)
{
	struct world w;

	(void)state;
	start(&w);
	to_registering(&w);
	uplink_on_goaway(&w.u, w.u.current, w.now_ms);
	assert_int_equal(w.n_closed, 1);
	assert_int_equal(w.n_tries_failed, 1);
	assert_int_equal(w.u.state, UPLINK_STATE_BACKOFF);
}

/* The old link may die, or lose its control stream, before the successor registers. */
static void test_predecessor_ends(void **state)
{
	struct world w;
	uint32_t old;

	(void)state;
	start(&w);
	register_current(&w);
	old = w.u.current;
	pass(&w, UPLINK_STABLE_MS);
	uplink_on_goaway(&w.u, old, w.now_ms);
	uplink_on_closed(&w.u, old, "lost", w.now_ms);
	assert_false(uplink_is_registered(&w.u));
	assert_int_equal(w.u.state, UPLINK_STATE_DIALLING);
	register_current(&w);

	old = w.u.current;
	w.busy = 1u << old;
	pass(&w, UPLINK_STABLE_MS);
	uplink_on_goaway(&w.u, old, w.now_ms);
	uplink_on_control_end(&w.u, old, "control stream ended", w.now_ms);
	assert_false(uplink_is_registered(&w.u));
	pass(&w, 0);
	assert_int_equal(w.n_closed, 0);
	assert_int_equal(w.u.state, UPLINK_STATE_DIALLING);
}

/* An edge that won't replace: EDUPCONN makes us let go of an idle predecessor. */
static void test_duplicate_of_predecessor(void **state)
{
	struct world w;
	uint32_t old;

	(void)state;
	start(&w);
	register_current(&w);
	old = w.u.current;
	pass(&w, UPLINK_STABLE_MS);
	w.busy = 1u << old;
	uplink_on_goaway(&w.u, old, w.now_ms);
	to_registering(&w);
	uplink_on_refused(&w.u, w.u.current, "EDUPCONN", 0, w.now_ms);
	assert_int_equal(w.n_closed, 1);
	assert_true(uplink_is_registered(&w.u));
	w.busy = 0;
	retry(&w);
	to_registering(&w);
	uplink_on_refused(&w.u, w.u.current, "EDUPCONN", 0, w.now_ms);
	assert_int_equal(w.n_closed, 3);
	assert_int_equal(w.closed, old);
	retry(&w);
	register_current(&w);
}

static void test_old_links_are_bounded(void **state)
{
	struct world w;

	(void)state;
	start(&w);
	w.busy = UINT32_MAX;
	for (uint32_t i = 1; i <= UPLINK_LINKS_MAX; i++) {
		register_current(&w);
		pass(&w, UPLINK_STABLE_MS);
		assert_int_equal(w.n_closed, 0);
		uplink_on_goaway(&w.u, w.u.current, w.now_ms);
	}
	assert_int_equal(w.n_closed, 1);
	assert_int_equal(w.closed, 1);
}

static void test_hurry_ends_a_backoff(void **state)
{
	struct world w;

	(void)state;
	start(&w);
	uplink_hurry(&w.u, w.now_ms);
	assert_int_equal(w.n_dials, 1);
	uplink_on_closed(&w.u, w.u.current, "unreachable", w.now_ms);
	assert_int_equal(delay_of(&w), 200);
	uplink_hurry(&w.u, w.now_ms);
	assert_int_equal(w.u.state, UPLINK_STATE_DIALLING);
	assert_int_equal(w.n_dials, 2);
	/* The failures count on. */
	uplink_on_closed(&w.u, w.u.current, "unreachable", w.now_ms);
	assert_int_equal(delay_of(&w), 400);
	uplink_hurry(&w.u, w.now_ms);
	register_current(&w);
	uplink_hurry(&w.u, w.now_ms);
	assert_int_equal(w.n_dials, 3);
	assert_int_equal(w.n_closed, 0);
}

/* Whoever was told to wait waits, however often the network changes. */
static void test_hurry_respects_the_edge(void **state)
{
	static const struct {
		const char *cause;
		int64_t retry_after_ns;
		bool waits;
	} rows[] = {
		{"Unauthorized: no such tunnel", 0, true},
		{"busy", 7000000000, true},
		{"busy", 0, false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct world w;

		start(&w);
		to_registering(&w);
		uplink_on_refused(&w.u, w.u.current, rows[i].cause, rows[i].retry_after_ns,
				  w.now_ms);
		uplink_hurry(&w.u, w.now_ms);
		assert_int_equal(w.n_dials, rows[i].waits ? 1 : 2);
	}
}

static void test_address_gone_replaces_at_once(void **state)
{
	struct world w;
	uint32_t old;

	(void)state;
	start(&w);
	register_current(&w);
	old = w.u.current;
	uplink_on_address_gone(&w.u, old, "gone", w.now_ms);
	assert_int_equal(w.closed, old);
	assert_int_equal(w.u.state, UPLINK_STATE_DIALLING);
	assert_string_equal(w.u.last_error, "gone");
	assert_int_equal(w.n_dials, 2);
	assert_false(w.other);
	/* Also in the middle of a dial; stale news is none. */
	uplink_on_address_gone(&w.u, old, "gone", w.now_ms);
	assert_int_equal(w.n_dials, 2);
	uplink_on_address_gone(&w.u, w.u.current, "gone", w.now_ms);
	assert_int_equal(w.n_dials, 3);
	assert_int_equal(w.n_tries_failed, 0);
	register_current(&w);
}

/* An old link with streams dies alone: its successor goes on. */
static void test_address_gone_of_an_old_link(void **state)
{
	struct world w;
	uint32_t old;

	(void)state;
	start(&w);
	w.busy = UINT32_MAX;
	register_current(&w);
	old = w.u.current;
	pass(&w, UPLINK_STABLE_MS);
	uplink_on_goaway(&w.u, old, w.now_ms);
	register_current(&w);
	uplink_on_address_gone(&w.u, old, "gone", w.now_ms);
	assert_int_equal(w.closed, old);
	assert_int_equal(w.u.state, UPLINK_STATE_REGISTERED);
	assert_int_equal(w.n_dials, 2);
}

static void test_address_gone_while_stopping(void **state)
{
	struct world w;

	(void)state;
	start(&w);
	register_current(&w);
	uplink_stop(&w.u, 30000, w.now_ms);
	uplink_on_address_gone(&w.u, w.u.current, "gone", w.now_ms);
	assert_int_equal(w.u.state, UPLINK_STATE_STOPPED);
	assert_int_equal(w.n_dials, 1);
}

static void test_stop_idle(void **state)
{
	struct world w;

	(void)state;
	begin(&w);
	uplink_stop(&w.u, 30000, w.now_ms);
	assert_int_equal(w.u.state, UPLINK_STATE_STOPPED);
	start(&w);
	uplink_stop(&w.u, 30000, w.now_ms);
	assert_int_equal(w.u.state, UPLINK_STATE_STOPPED);
	assert_int_equal(w.closed, w.dialled);
	start(&w);
	uplink_on_closed(&w.u, w.u.current, "refused", w.now_ms);
	uplink_stop(&w.u, 30000, w.now_ms);
	assert_int_equal(w.u.state, UPLINK_STATE_STOPPED);
	uplink_start(&w.u, w.now_ms);
	pass(&w, 1000000);
	assert_int_equal(w.u.state, UPLINK_STATE_STOPPED);
}

static void test_stop_registered(void **state)
{
	struct world w;

	(void)state;
	start(&w);
	register_current(&w);
	uplink_stop(&w.u, 30000, w.now_ms);
	assert_int_equal(w.u.state, UPLINK_STATE_UNREGISTERING);
	assert_int_equal(w.unregistered, 1);
	assert_int_equal(w.unregister_timeout_ms, RPC_MS);
	assert_false(uplink_is_registered(&w.u));
	uplink_stop(&w.u, 1, w.now_ms);
	assert_int_equal(w.unregistered, 1);
	uplink_on_unregistered(&w.u, w.u.current, w.now_ms);
	assert_int_equal(w.u.state, UPLINK_STATE_STOPPED);
	assert_int_equal(w.closed, w.dialled);
}

static void test_stop_waits_for_streams(void **state)
{
	struct world w;

	(void)state;
	start(&w);
	register_current(&w);
	w.busy = UINT32_MAX;
	uplink_stop(&w.u, 30000, w.now_ms);
	uplink_on_unregistered(&w.u, w.u.current, w.now_ms);
	assert_int_equal(w.u.state, UPLINK_STATE_DRAINING);
	pass(&w, 29999);
	assert_int_equal(w.u.state, UPLINK_STATE_DRAINING);
	w.busy = 0;
	pass(&w, 0);
	assert_int_equal(w.u.state, UPLINK_STATE_DRAINING);
	pass(&w, 1);
	assert_int_equal(w.u.state, UPLINK_STATE_STOPPED);

	start(&w);
	register_current(&w);
	w.busy = UINT32_MAX;
	uplink_stop(&w.u, 2000, w.now_ms);
	assert_int_equal(w.unregister_timeout_ms, 2000);
	pass(&w, 1999);
	assert_int_equal(w.u.state, UPLINK_STATE_UNREGISTERING);
	pass(&w, 1);
	assert_int_equal(w.u.state, UPLINK_STATE_STOPPED);
	assert_int_equal(w.closed, w.dialled);
}

/* The edge may close the connection, or the control stream, instead of answering. */
static void test_stop_edge_is_rude(void **state)
{
	struct world w;

	(void)state;
	start(&w);
	register_current(&w);
	uplink_stop(&w.u, 30000, w.now_ms);
	uplink_on_closed(&w.u, w.u.current, "closed by peer", w.now_ms);
	assert_int_equal(w.u.state, UPLINK_STATE_STOPPED);
	assert_int_equal(w.n_dials, 1);

	start(&w);
	register_current(&w);
	w.busy = UINT32_MAX;
	uplink_stop(&w.u, 30000, w.now_ms);
	uplink_on_control_end(&w.u, w.u.current, "control stream ended", w.now_ms);
	assert_int_equal(w.u.state, UPLINK_STATE_DRAINING);
	uplink_kill(&w.u, w.now_ms);
	assert_int_equal(w.u.state, UPLINK_STATE_STOPPED);
}

/* Old and new link are both unregistered. */
static void test_stop_while_replacing(void **state)
{
	struct world w;

	(void)state;
	start(&w);
	register_current(&w);
	w.busy = UINT32_MAX;
	pass(&w, UPLINK_STABLE_MS);
	uplink_on_goaway(&w.u, w.u.current, w.now_ms);
	uplink_stop(&w.u, 30000, w.now_ms);
	assert_int_equal(w.n_closed, 1);
	assert_int_equal(w.closed, 2);
	assert_int_equal(w.unregistered, 1);
	uplink_on_unregistered(&w.u, 1, w.now_ms);
	assert_int_equal(w.u.state, UPLINK_STATE_DRAINING);
	w.busy = 0;
	pass(&w, UPLINK_IDLE_CHECK_MS);
	assert_int_equal(w.u.state, UPLINK_STATE_STOPPED);
}

static uint32_t step(uint32_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 17;
	*seed ^= *seed << 5;
	return *seed;
}

static void play(struct world *w, uint32_t draw)
{
	uint32_t id = draw & 0x100 ? w->u.current : (draw >> 16) % (w->u.last_id + 1);

	w->dial_result = draw & 0xe00 ? 0 : UPLINK_E_NO_ADDRESS;
	w->busy = draw & 0x1000 ? UINT32_MAX : 0;
	switch (draw % 14) {
	case 0:
	case 1:
		uplink_on_secure(&w->u, id, w->now_ms);
		break;
	case 2:
	case 3:
		uplink_on_control(&w->u, id, w->now_ms);
		break;
	case 4:
	case 5:
		uplink_on_registered(&w->u, id, w->now_ms);
		break;
	case 6:
		uplink_on_refused(&w->u, id, draw & 0x2000 ? "EDUPCONN" : "Unauthorized",
				  (int64_t)draw << 8, w->now_ms);
		break;
	case 7:
		uplink_on_goaway(&w->u, id, w->now_ms);
		break;
	case 8:
		uplink_on_closed(&w->u, id, "lost", w->now_ms);
		break;
	case 9:
		uplink_on_control_end(&w->u, id, "ended", w->now_ms);
		break;
	case 10:
		uplink_on_addresses(&w->u, w->now_ms);
		break;
	case 11:
		uplink_hurry(&w->u, w->now_ms);
		break;
	case 12:
		uplink_on_address_gone(&w->u, id, "gone", w->now_ms);
		break;
	default:
		pass(w, (draw >> 20) * 4);
		break;
	}
}

/* Never two links being set up, never a current one without a state that says so. */
static void check_invariants(const struct world *w)
{
	unsigned int n_setup = 0, n_current = 0;

	for (size_t i = 0; i < UPLINK_LINKS_MAX; i++) {
		n_setup += w->u.links[i].id && w->u.links[i].phase == UPLINK_LINK_SETUP;
		n_current += w->u.links[i].id && w->u.links[i].id == w->u.current;
	}
	assert_true(n_setup <= 1);
	assert_int_equal(n_current, w->u.current != 0);
	if (w->u.state == UPLINK_STATE_BACKOFF || w->u.state == UPLINK_STATE_WAIT_ADDRESS)
		assert_int_equal(w->u.current, 0);
	else
		assert_int_not_equal(w->u.current, 0);
	if (w->u.state != UPLINK_STATE_REGISTERED && w->u.state != UPLINK_STATE_WAIT_ADDRESS)
		assert_true(w->u.deadline_ms < w->now_ms + UPLINK_BACKOFF_AUTH_MAX_MS + 1);
}

static void test_random_schedules(void **state)
{
	uint32_t seed = 20260823;

	(void)state;
	for (unsigned int i = 0; i < 2000; i++) {
		struct world w;

		start(&w);
		for (unsigned int k = 0; k < 60; k++) {
			w.random = step(&seed);
			play(&w, step(&seed));
			check_invariants(&w);
		}
		uplink_stop(&w.u, 30000, w.now_ms);
		w.busy = UINT32_MAX;
		pass(&w, 30000);
		assert_int_equal(w.u.state, UPLINK_STATE_STOPPED);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_registers),
		cmocka_unit_test(test_backoff_bounds),
		cmocka_unit_test(test_no_address),
		cmocka_unit_test(test_dial_fails_at_once),
		cmocka_unit_test(test_set_up_deadlines),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_unauthorized_bounds),
		cmocka_unit_test(test_reset_rule),
		cmocka_unit_test(test_control_end),
		cmocka_unit_test(test_stale_events),
		cmocka_unit_test(test_goaway_replaces),
		cmocka_unit_test(test_move),
		cmocka_unit_test(test_move_only_what_is_stable),
		cmocka_unit_test(test_move_that_fails),
		cmocka_unit_test(test_move_that_is_refused),
		cmocka_unit_test(test_goaway_while_moving),
		cmocka_unit_test(test_move_takes_no_place),
		cmocka_unit_test(test_move_loses_both),
		cmocka_unit_test(test_goaway_before_stable),
		cmocka_unit_test(test_goaway_during_set_up),
		cmocka_unit_test(test_predecessor_ends),
		cmocka_unit_test(test_duplicate_of_predecessor),
		cmocka_unit_test(test_old_links_are_bounded),
		cmocka_unit_test(test_hurry_ends_a_backoff),
		cmocka_unit_test(test_hurry_respects_the_edge),
		cmocka_unit_test(test_address_gone_replaces_at_once),
		cmocka_unit_test(test_address_gone_of_an_old_link),
		cmocka_unit_test(test_address_gone_while_stopping),
		cmocka_unit_test(test_stop_idle),
		cmocka_unit_test(test_stop_registered),
		cmocka_unit_test(test_stop_waits_for_streams),
		cmocka_unit_test(test_stop_edge_is_rude),
		cmocka_unit_test(test_stop_while_replacing),
		cmocka_unit_test(test_random_schedules),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
