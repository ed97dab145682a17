/* SPDX-License-Identifier: Apache-2.0 */

/*
 * One uplink in random schedules: any event, about any link that is, was or never will be, at
 * any time, also late and twice. The network below keeps its own books. Whatever happens:
 *
 *  - ids are new, links are closed once, and both sides agree on which there are;
 *  - one link at most is being set up, and one registration at most is in flight;
 *  - a state has the links that its description says (check_state());
 *  - what happens to another link leaves the current one and the state alone;
 *  - an old link is looked at again soon, for ever, until it is closed;
 *  - a back-off lies within its bounds, grows with the failures since the last stable
 *    registration, and neither hurry nor an event shortens one that the edge set;
 *  - after a tick every deadline lies in the future, and no state waits for nothing;
 *  - only a link that is registered still is unregistered, once, and only when stopping;
 *  - an uplink that stops dials and registers no more, is stopped when its grace is over, and
 *    stays so;
 *  - when the network behaves again, it registers.
 */

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "agent/uplink.h"
#include "base/compiler.h"
#include "wire/proto.h"
#include "wire/registration.h"

#include "tests/unit/base/dice.h"

#define N_SCHEDULES 100000
#define N_STEPS	    50
#define IDS_MAX	    1024

enum link_facts {
	IS_OPEN = 1,
	REGISTER_SENT = 2,
	IS_REGISTERED = 4,
	UNREGISTER_SENT = 8,
	IS_BUSY = 16,
	IS_OVER = 32, /* not registered any more: its control stream ended, or it has a successor */
};

struct world {
	struct uplink u;
	struct dice *dice;
	uint64_t now_ms;
	uint8_t links[IDS_MAX]; /* enum link_facts */
	uint32_t last_id;
	uint32_t n_failures; /* since the last registration that was stable */
	uint64_t registered_ms;
	uint64_t ticked_ms;
	uint64_t not_before_ms; /* what the edge asked for */
	uint64_t stop_ms;	/* when the grace is over; 0: not stopping */
	uint32_t policy_max_ms;
	bool dial_behaves;
	bool has_addresses;
};

/* ---- what the machine orders ---- */

static int world_dial(void *ctx, uint32_t id, bool other UNUSED)
{
	struct world *w = ctx;

	DICE_CHECK(id == w->last_id + 1 && id < IDS_MAX);
	DICE_CHECK(!w->stop_ms && w->now_ms >= w->not_before_ms);
	w->last_id = id;
	if (!w->has_addresses)
		return UPLINK_E_NO_ADDRESS;
	if (!w->dial_behaves && dice_percent(w->dice, 20))
		return -ENETUNREACH;
	w->links[id] = IS_OPEN | (dice_percent(w->dice, 30) ? IS_BUSY : 0);
	return 0;
}

static void world_register(void *ctx, uint32_t id, uint8_t n_previous_attempts)
{
	struct world *w = ctx;

	DICE_CHECK(!w->stop_ms && w->links[id] & IS_OPEN && !(w->links[id] & REGISTER_SENT));
	DICE_CHECK(n_previous_attempts == (w->n_failures < 255 ? w->n_failures : 255));
	w->links[id] |= REGISTER_SENT;
}

static void world_unregister(void *ctx, uint32_t id, uint32_t timeout_ms)
{
	struct world *w = ctx;

	DICE_CHECK(w->stop_ms &&
		   (w->links[id] & ~IS_BUSY) == (IS_OPEN | REGISTER_SENT | IS_REGISTERED));
	DICE_CHECK(w->now_ms + timeout_ms <= w->stop_ms && timeout_ms <= RPC_MS);
	w->links[id] |= UNREGISTER_SENT;
}

/* A link that has a successor: what was registered before it. */
static void world_drain(void *ctx, uint32_t id)
{
	struct world *w = ctx;

	DICE_CHECK(!w->stop_ms && id < w->u.current);
	DICE_CHECK((w->links[id] & ~IS_BUSY) ==
		   (IS_OPEN | REGISTER_SENT | IS_REGISTERED | IS_OVER));
}

static void world_close(void *ctx, uint32_t id, const char *reason)
{
	struct world *w = ctx;

	DICE_CHECK(w->links[id] & IS_OPEN && *reason);
	w->links[id] = 0;
}

static bool world_is_idle(void *ctx, uint32_t id)
{
	struct world *w = ctx;

	DICE_CHECK(w->links[id] & IS_OPEN);
	return !(w->links[id] & IS_BUSY);
}

static uint32_t world_random(void *ctx)
{
	return dice_u32(((struct world *)ctx)->dice);
}

/* One more failure, after which the wait is at most min * 2^failures. */
static void check_backoff(struct world *w, uint64_t wait_ms)
{
	uint64_t most_ms = (uint64_t)UPLINK_BACKOFF_MIN_MS
			   << (w->n_failures < 20 ? w->n_failures : 20);

	if (most_ms > w->policy_max_ms)
		most_ms = w->policy_max_ms;
	if (w->not_before_ms > w->now_ms && w->not_before_ms - w->now_ms > most_ms)
		most_ms = w->not_before_ms - w->now_ms;
	DICE_CHECK(wait_ms >= UPLINK_BACKOFF_MIN_MS / 2 && wait_ms <= most_ms);
	DICE_CHECK(w->now_ms + wait_ms >= w->not_before_ms);
	w->n_failures++;
}

static void world_state(void *ctx, enum uplink_state from, enum uplink_state to)
{
	struct world *w = ctx;
	bool was_stable =
		from == UPLINK_STATE_REGISTERED && w->now_ms - w->registered_ms >= UPLINK_STABLE_MS;

	DICE_CHECK(from != UPLINK_STATE_STOPPED && w->u.state == to && w->u.since_ms == w->now_ms);
	if (to == UPLINK_STATE_REGISTERED) {
		w->registered_ms = w->now_ms;
		for (uint32_t id = 1; id < w->u.current; id++)
			w->links[id] |= w->links[id] & IS_OPEN ? IS_OVER : 0;
	}
	/* A lost address is no reason to wait: the machine passes through, and dials. */
	if (to == UPLINK_STATE_BACKOFF && w->u.deadline_ms == w->now_ms)
		return;
	if (was_stable)
		w->n_failures = 0;
	if (to == UPLINK_STATE_BACKOFF)
		check_backoff(w, w->u.deadline_ms - w->now_ms);
}

static void world_try_failed(void *ctx)
{
	struct world *w = ctx;

	DICE_CHECK(w->u.state >= UPLINK_STATE_DIALLING && w->u.state < UPLINK_STATE_REGISTERED);
	DICE_CHECK(!w->stop_ms);
}

static void world_unauthorized(void *ctx, const char *cause)
{
	struct world *w = ctx;

	DICE_CHECK(w->u.state == UPLINK_STATE_BACKOFF && strstr(cause, "Unauthorized"));
}

static const struct uplink_ops world_ops = {
	.dial = world_dial,
	.register_link = world_register,
	.drain_link = world_drain,
	.unregister_link = world_unregister,
	.close_link = world_close,
	.link_is_idle = world_is_idle,
	.random = world_random,
	.on_state = world_state,
	.on_try_failed = world_try_failed,
	.on_unauthorized = world_unauthorized,
};

/* ---- the invariants ---- */

/* What each state says about its links; bits of enum uplink_link_phase. */
#define PHASE(p) (1u << UPLINK_LINK_##p)
#define OLD	 (PHASE(SERVING) | PHASE(RETIRED))

static const struct {
	unsigned int current; /* phases of the current link; 0: there is none */
	unsigned int others;
	bool waits; /* has a deadline */
} states[UPLINK_STATE_N] = {
	[UPLINK_STATE_WAIT_ADDRESS] = {0, OLD, false},
	[UPLINK_STATE_DIALLING] = {PHASE(SETUP), OLD, true},
	[UPLINK_STATE_WAIT_CONTROL] = {PHASE(SETUP), OLD, true},
	[UPLINK_STATE_REGISTERING] = {PHASE(SETUP), OLD, true},
	[UPLINK_STATE_REGISTERED] = {PHASE(SERVING), PHASE(RETIRED), false},
	[UPLINK_STATE_BACKOFF] = {0, OLD, true},
	[UPLINK_STATE_UNREGISTERING] = {PHASE(LEAVING) | PHASE(RETIRED),
					PHASE(LEAVING) | PHASE(RETIRED), true},
	[UPLINK_STATE_DRAINING] = {PHASE(RETIRED), PHASE(RETIRED), true},
};

static unsigned int count_links(const struct world *w, unsigned int phases)
{
	unsigned int n = 0;

	for (size_t i = 0; i < UPLINK_LINKS_MAX; i++)
		n += w->u.links[i].id && phases & 1u << w->u.links[i].phase;
	return n;
}

static void check_links(const struct world *w)
{
	unsigned int n_open = 0, n_registering = 0;
	bool has_current = false;

	for (uint32_t id = 1; id <= w->last_id; id++) {
		n_open += w->links[id] & IS_OPEN;
		n_registering += (w->links[id] & (REGISTER_SENT | IS_REGISTERED)) == REGISTER_SENT;
	}
	DICE_CHECK(n_registering <= 1 && n_open == count_links(w, ~0u));
	for (size_t i = 0; i < UPLINK_LINKS_MAX; i++) {
		const struct uplink_link *l = &w->u.links[i];
		bool is_current = l->id && l->id == w->u.current;

		if (!l->id)
			continue;
		DICE_CHECK(w->links[l->id] & IS_OPEN);
		DICE_CHECK(!!(w->links[l->id] & IS_REGISTERED) == (l->phase != UPLINK_LINK_SETUP));
		DICE_CHECK((is_current ? states[w->u.state].current : states[w->u.state].others) &
			   1u << l->phase);
		has_current |= is_current;
	}
	DICE_CHECK(has_current == (w->u.current != 0));
}

static void check_state(const struct world *w)
{
	const struct uplink *u = &w->u;
	uint32_t serving = uplink_serving_link(u);

	check_links(w);
	if (u->state <= UPLINK_STATE_BACKOFF)
		DICE_CHECK((u->current != 0) == (states[u->state].current != 0));
	DICE_CHECK((u->deadline_ms != UINT64_MAX) == states[u->state].waits);
	DICE_CHECK(uplink_is_registered(u) == (count_links(w, PHASE(SERVING)) > 0));
	DICE_CHECK((serving != 0) == uplink_is_registered(u));
	if (u->state == UPLINK_STATE_REGISTERED)
		DICE_CHECK(serving == u->current && count_links(w, PHASE(SERVING)) == 1);
	if (u->state == UPLINK_STATE_UNREGISTERING)
		DICE_CHECK(count_links(w, PHASE(LEAVING)) > 0);
	if (u->state == UPLINK_STATE_DRAINING)
		DICE_CHECK(count_links(w, PHASE(RETIRED)) > 0);
	if (w->stop_ms)
		DICE_CHECK(u->state >= UPLINK_STATE_UNREGISTERING);
	if (count_links(w, PHASE(RETIRED)) > 0)
		DICE_CHECK(u->check_ms <= w->now_ms + UPLINK_IDLE_CHECK_MS);
	if (w->ticked_ms == w->now_ms)
		DICE_CHECK(uplink_deadline_ms(u) >= w->now_ms);
}

/* ---- the network ---- */

static void tick(struct world *w)
{
	uplink_tick(&w->u, w->now_ms);
	w->ticked_ms = w->now_ms;
	DICE_CHECK(uplink_deadline_ms(&w->u) > w->now_ms);
	if (w->stop_ms && w->now_ms >= w->stop_ms)
		DICE_CHECK(w->u.state == UPLINK_STATE_STOPPED);
}

/* Never back: a deadline may have passed unnoticed. */
static void pass_until(struct world *w, uint64_t at_ms)
{
	if (at_ms > w->now_ms && at_ms != UINT64_MAX)
		w->now_ms = at_ms;
}

/* A little, to the very deadline, or past it; not every passing is noticed at once. */
static void pass(struct world *w)
{
	if (dice_percent(w->dice, 40))
		pass_until(w, uplink_deadline_ms(&w->u));
	else
		w->now_ms += dice_size(w->dice, 400000);
	if (dice_percent(w->dice, 80))
		tick(w);
}

static void answer(struct world *w, uint32_t id)
{
	static const char *const causes[] = {"EDUPCONN", "Unauthorized: no such tunnel", "busy"};
	bool in_flight = id && id == w->u.current && w->u.state == UPLINK_STATE_REGISTERING;
	const char *cause = causes[dice_below(w->dice, ARRAY_SIZE(causes))];
	int64_t after_ns = dice_percent(w->dice, 50) ? (int64_t)dice_u32(w->dice) * 1000 : -1;
	uint64_t after_ms = after_ns > 0 ? (uint64_t)after_ns / 1000000 : 0;

	if (dice_percent(w->dice, 60)) {
		if (in_flight)
			w->links[id] |= IS_REGISTERED;
		uplink_on_registered(&w->u, id, w->now_ms);
		return;
	}
	/* What the edge of a move wants is that move's business. */
	if (in_flight && !(w->u.is_moving && uplink_is_registered(&w->u))) {
		w->not_before_ms = w->now_ms + (after_ms < UPLINK_RETRY_AFTER_MAX_MS
							? after_ms
							: UPLINK_RETRY_AFTER_MAX_MS);
		if (strstr(cause, "Unauthorized"))
			w->policy_max_ms = UPLINK_BACKOFF_AUTH_MAX_MS;
	}
	uplink_on_refused(&w->u, id, cause, after_ns, w->now_ms);
	w->policy_max_ms = UPLINK_BACKOFF_MAX_MS;
}

/* TCP went: the link is no more for the network, before the machine hears of it. */
static void lose(struct world *w, uint32_t id)
{
	w->links[id] = 0;
	uplink_on_closed(&w->u, id, "lost", w->now_ms);
}

static void stop(struct world *w)
{
	uint32_t grace_ms = (uint32_t)dice_size(w->dice, 60000);

	if (w->stop_ms || !dice_percent(w->dice, 15))
		return;
	w->stop_ms = w->now_ms + grace_ms;
	uplink_stop(&w->u, grace_ms, w->now_ms);
}

static void hurry(struct world *w)
{
	uint32_t before = w->last_id;
	bool waited = w->u.state == UPLINK_STATE_BACKOFF;
	bool did = uplink_hurry(&w->u, w->now_ms);

	DICE_CHECK(!did || waited);
	DICE_CHECK(did == (w->last_id > before));
}

static void move(struct world *w)
{
	uint32_t before = w->last_id;
	bool serves = uplink_is_registered(&w->u);
	bool did = uplink_move(&w->u, w->now_ms);

	DICE_CHECK(did == (w->last_id > before));
	DICE_CHECK(uplink_is_registered(&w->u) == serves);
	/* Registered for long enough, also where the dial failed at once. */
	if (did)
		w->n_failures = 0;
}

/* Mostly the current link or an old one; sometimes one that is gone, or isn't there yet. */
static uint32_t some_link(struct world *w)
{
	uint32_t id = w->u.links[dice_below(w->dice, UPLINK_LINKS_MAX)].id;

	if (dice_percent(w->dice, 60) && w->u.current)
		return w->u.current;
	return id ? id : 1 + dice_below(w->dice, w->last_id + 2);
}

/* Everything that it asks for is answered well; whatever it waits for comes. */
static void behave(struct world *w)
{
	uint32_t id = w->u.current;

	w->has_addresses = true;
	uplink_on_addresses(&w->u, w->now_ms);
	uplink_on_secure(&w->u, id, w->now_ms);
	uplink_on_control(&w->u, id, w->now_ms);
	if (w->u.state == UPLINK_STATE_REGISTERING)
		w->links[id] |= IS_REGISTERED;
	uplink_on_registered(&w->u, id, w->now_ms);
}

/* Registers again and again for a while, or fails as often: only then the larger bounds matter. */
static void persist(struct world *w)
{
	bool well = dice_percent(w->dice, 50);

	for (unsigned int i = 0; i < 12 && !w->stop_ms; i++) {
		if (well) {
			behave(w);
			w->links[w->u.current] |= w->u.current ? IS_BUSY : 0;
			w->now_ms += UPLINK_STABLE_MS;
			move(w);
			uplink_on_goaway(&w->u, w->u.current ? w->u.current : 1, w->now_ms);
		} else if (w->u.state == UPLINK_STATE_BACKOFF) {
			pass_until(w, w->u.deadline_ms);
		} else if (w->u.current) {
			lose(w, w->u.current);
		}
		tick(w);
		check_state(w);
	}
}

static void control_ends(struct world *w, uint32_t id)
{
	w->links[id] |= w->links[id] & IS_OPEN ? IS_OVER : 0;
	uplink_on_control_end(&w->u, id, "control stream ended", w->now_ms);
}

static void happen_to(struct world *w, uint32_t id)
{
	switch (dice_below(w->dice, 14)) {
	case 0:
	case 1:
	case 2:
		uplink_on_secure(&w->u, id, w->now_ms);
		break;
	case 3:
	case 4:
	case 5:
		uplink_on_control(&w->u, id, w->now_ms);
		break;
	case 6:
	case 7:
	case 8:
		answer(w, id);
		break;
	case 9:
		uplink_on_goaway(&w->u, id, w->now_ms);
		break;
	case 10:
		control_ends(w, id);
		break;
	case 11:
		uplink_on_address_gone(&w->u, id, "address lost", w->now_ms);
		break;
	case 12:
		lose(w, id);
		break;
	default:
		uplink_on_unregistered(&w->u, id, w->now_ms);
		break;
	}
}

static void happen(struct world *w)
{
	uint32_t id = some_link(w);
	uint32_t current = w->u.current;
	enum uplink_state state = w->u.state;

	happen_to(w, id);
	if (id != current && !w->stop_ms)
		DICE_CHECK(w->u.current == current && w->u.state == state);
}

static void step(struct world *w)
{
	uint32_t id = some_link(w);

	switch (dice_below(w->dice, 20)) {
	case 0:
		if (dice_percent(w->dice, 50))
			hurry(w);
		else
			move(w);
		break;
	case 1:
		w->has_addresses |= dice_percent(w->dice, 70);
		if (w->has_addresses)
			uplink_on_addresses(&w->u, w->now_ms);
		break;
	case 2:
		w->links[id] ^= w->links[id] & IS_OPEN ? IS_BUSY : 0;
		break;
	case 3:
		stop(w);
		break;
	case 4:
		if (dice_percent(w->dice, 10))
			persist(w);
		break;
	case 5:
	case 6:
	case 7:
		pass(w);
		break;
	default:
		happen(w);
		break;
	}
	check_state(w);
}

/* ---- the end ---- */

static void must_register(struct world *w)
{
	w->dial_behaves = true;
	for (unsigned int i = 0; i < 4 && w->u.state != UPLINK_STATE_REGISTERED; i++) {
		if (w->u.state == UPLINK_STATE_BACKOFF)
			pass_until(w, w->u.deadline_ms);
		tick(w);
		behave(w);
		check_state(w);
	}
	DICE_CHECK(w->u.state == UPLINK_STATE_REGISTERED);
}

/* By the answers, or at the latest by the grace period. */
static void must_stop(struct world *w)
{
	if (!w->stop_ms) {
		w->stop_ms = w->now_ms + 30000;
		uplink_stop(&w->u, 30000, w->now_ms);
		check_state(w);
	}
	for (size_t i = 0; i < UPLINK_LINKS_MAX && dice_percent(w->dice, 80); i++)
		uplink_on_unregistered(&w->u, w->u.links[i].id, w->now_ms);
	check_state(w);
	pass_until(w, w->stop_ms);
	tick(w);
	check_state(w);
	DICE_CHECK(count_links(w, ~0u) == 0 && uplink_deadline_ms(&w->u) == UINT64_MAX);
}

static void stays_stopped(struct world *w)
{
	for (unsigned int i = 0; i < 5; i++)
		step(w);
	uplink_start(&w->u, w->now_ms);
	DICE_CHECK(w->u.state == UPLINK_STATE_STOPPED);
}

static void play(struct dice *dice)
{
	struct world w = {
		.dice = dice,
		.now_ms = 1 + dice_u32(dice),
		.policy_max_ms = UPLINK_BACKOFF_MAX_MS,
		.has_addresses = dice_percent(dice, 80),
	};

	uplink_init(&w.u, &world_ops, &w);
	uplink_start(&w.u, w.now_ms);
	check_state(&w);
	for (unsigned int i = 0; i < N_STEPS; i++)
		step(&w);
	if (!w.stop_ms)
		must_register(&w);
	must_stop(&w);
	stays_stopped(&w);
}

static void an_uplink_keeps_its_word_in_every_schedule(void **state UNUSED)
{
	dice_play(N_SCHEDULES, play);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_uplink_keeps_its_word_in_every_schedule),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
