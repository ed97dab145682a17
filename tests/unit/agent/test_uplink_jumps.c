/* SPDX-License-Identifier: Apache-2.0 */

/*
 * One uplink whose clock jumps, as that of a host that has slept: whatever it was waiting for is
 * over, once. The clock is that of the boot, so it never goes back.
 */

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <string.h>

#include "agent/uplink.h"
#include "base/compiler.h"
#include "wire/proto.h"

#define HOUR_MS		 (3600 * 1000)
#define NSEC_PER_SEC	 1000000000
#define NEVER		 UINT64_MAX
#define RETRY_AFTER_SECS 200

struct world {
	struct uplink u;
	uint64_t now_ms;
	unsigned int n_dials;
	unsigned int n_closed;
	unsigned int n_tries_failed;
};

static int on_dial(void *ctx, uint32_t id UNUSED, bool other UNUSED)
{
	((struct world *)ctx)->n_dials++;
	return 0;
}

static void on_register(void *ctx UNUSED, uint32_t id UNUSED, uint8_t n_previous_attempts UNUSED)
{
}

static void on_unregister(void *ctx UNUSED, uint32_t id UNUSED, uint32_t timeout_ms UNUSED)
{
}

static void on_close(void *ctx, uint32_t id UNUSED, const char *reason UNUSED)
{
	((struct world *)ctx)->n_closed++;
}

static bool is_idle(void *ctx UNUSED, uint32_t id UNUSED)
{
	return false;
}

/* The longest wait. */
static uint32_t draw(void *ctx UNUSED)
{
	return UINT32_MAX;
}

static void on_state(void *ctx UNUSED, enum uplink_state from UNUSED, enum uplink_state to UNUSED)
{
}

static void on_try_failed(void *ctx)
{
	((struct world *)ctx)->n_tries_failed++;
}

static void on_unauthorized(void *ctx UNUSED, const char *cause UNUSED)
{
}

static const struct uplink_ops ops = {
	.dial = on_dial,
	.register_link = on_register,
	.unregister_link = on_unregister,
	.close_link = on_close,
	.link_is_idle = is_idle,
	.random = draw,
	.on_state = on_state,
	.on_try_failed = on_try_failed,
	.on_unauthorized = on_unauthorized,
};

static void start(struct world *w)
{
	*w = (struct world){.now_ms = 1000000};
	uplink_init(&w->u, &ops, w);
	uplink_start(&w->u, w->now_ms);
}

static void jump(struct world *w, uint64_t ms)
{
	w->now_ms += ms;
	uplink_tick(&w->u, w->now_ms);
	/* As its owner does, which ticks until nothing is due. */
	for (unsigned int i = 0; uplink_deadline_ms(&w->u) <= w->now_ms; i++) {
		assert_true(i < 3);
		uplink_tick(&w->u, w->now_ms);
	}
}

static void advance_to(struct world *w, enum uplink_state state)
{
	if (state >= UPLINK_STATE_WAIT_CONTROL)
		uplink_on_secure(&w->u, w->u.current, w->now_ms);
	if (state >= UPLINK_STATE_REGISTERING)
		uplink_on_control(&w->u, w->u.current, w->now_ms);
	if (state >= UPLINK_STATE_REGISTERED)
		uplink_on_registered(&w->u, w->u.current, w->now_ms);
	assert_int_equal(w->u.state, state);
}

/* A phase of the set-up that is over is one failure, and the next try waits as after any. */
static void a_set_up_fails_once(void **state UNUSED)
{
	static const enum uplink_state phases[] = {
		UPLINK_STATE_DIALLING,
		UPLINK_STATE_WAIT_CONTROL,
		UPLINK_STATE_REGISTERING,
	};

	for (size_t i = 0; i < ARRAY_SIZE(phases); i++) {
		struct world w;

		start(&w);
		advance_to(&w, phases[i]);
		jump(&w, HOUR_MS);
		assert_int_equal(w.u.state, UPLINK_STATE_BACKOFF);
		assert_int_equal(w.n_dials, 1);
		assert_int_equal(w.n_closed, 1);
		assert_int_equal(w.n_tries_failed, 1);
		assert_int_equal(w.u.deadline_ms - w.now_ms, UPLINK_BACKOFF_MIN_MS);
	}
}

/* One try, however many would have had their time; what failed before still counts. */
static void a_back_off_ends_once(void **state UNUSED)
{
	struct world w;

	start(&w);
	for (uint64_t wait_ms = UPLINK_BACKOFF_MIN_MS; wait_ms <= 6400; wait_ms *= 2) {
		unsigned int n_dials = w.n_dials;

		uplink_on_closed(&w.u, w.u.current, "refused", w.now_ms);
		assert_int_equal(w.u.deadline_ms - w.now_ms, wait_ms);
		jump(&w, HOUR_MS);
		assert_int_equal(w.u.state, UPLINK_STATE_DIALLING);
		assert_int_equal(w.n_dials, n_dials + 1);
	}
}

/* The edge's wish is a span of this clock, too: a sleep counts. */
static void what_the_edge_asked_for_is_over(void **state UNUSED)
{
	static const struct {
		uint64_t jump_ms;
		enum uplink_state state;
	} rows[] = {
		{RETRY_AFTER_SECS * 1000 - 1, UPLINK_STATE_BACKOFF},
		{RETRY_AFTER_SECS * 1000, UPLINK_STATE_DIALLING},
		{HOUR_MS, UPLINK_STATE_DIALLING},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct world w;

		start(&w);
		advance_to(&w, UPLINK_STATE_REGISTERING);
		uplink_on_refused(&w.u, w.u.current, "later",
				  (int64_t)RETRY_AFTER_SECS * NSEC_PER_SEC, w.now_ms);
		jump(&w, rows[i].jump_ms);
		assert_int_equal(w.u.state, rows[i].state);
		/* Nor does a changed network, as after most sleeps, cut it short. */
		assert_false(uplink_hurry(&w.u, w.now_ms));
		assert_int_equal(w.u.state, rows[i].state);
	}
}

/* Whether the edge is still there is for its link to find out. */
static void a_registered_one_stays(void **state UNUSED)
{
	struct world w;

	start(&w);
	advance_to(&w, UPLINK_STATE_REGISTERED);
	jump(&w, HOUR_MS);
	assert_int_equal(w.u.state, UPLINK_STATE_REGISTERED);
	assert_true(uplink_deadline_ms(&w.u) == NEVER);
	uplink_on_closed(&w.u, w.u.current, "no answer to PING and nothing read", w.now_ms);
	assert_int_equal(w.u.deadline_ms - w.now_ms, UPLINK_BACKOFF_MIN_MS);
	assert_int_equal(w.n_tries_failed, 0);
}

static void a_stopping_one_is_stopped(void **state UNUSED)
{
	struct world w;

	start(&w);
	advance_to(&w, UPLINK_STATE_REGISTERED);
	uplink_stop(&w.u, 30000, w.now_ms);
	assert_int_equal(w.u.state, UPLINK_STATE_UNREGISTERING);
	jump(&w, HOUR_MS);
	assert_int_equal(w.u.state, UPLINK_STATE_STOPPED);
	assert_int_equal(w.n_closed, 1);
	assert_int_equal(w.n_dials, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_set_up_fails_once),
		cmocka_unit_test(a_back_off_ends_once),
		cmocka_unit_test(what_the_edge_asked_for_is_over),
		cmocka_unit_test(a_registered_one_stays),
		cmocka_unit_test(a_stopping_one_is_stopped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
