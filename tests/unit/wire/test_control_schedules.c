/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Both halves of the control stream in random schedules: calls at any time, bytes that come in any
 * pieces, answers in any order, late, twice or never, a stream that ends or is damaged, an owner
 * that lets go inside an event, and a clock that passes deadlines. Whatever happens:
 *
 *  - what goes out are whole messages, and nothing goes out after the end;
 *  - each call that was taken has one outcome: its event, the end of all, or that it was let go of;
 *  - the outcome of a registration is what the edge answered;
 *  - of a set at most two calls are under way; its parts come once, in order, and the last one says
 *    so; a set stays readable until its outcome;
 *  - verdicts are complete, and each is that of its entry; a set that was superseded has none;
 *  - after a tick every deadline lies in the future, and when all have passed nothing is open;
 *  - an end is told once, and after it nothing.
 *
 * A damaged stream may end or say something else, but not break the rules about outcomes.
 */

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "wire/control_client.h"
#include "wire/control_server.h"
#include "wire/proto.h"

#include "tests/unit/base/dice.h"

#define N_SCHEDULES 100000
#define N_STEPS	    40
#define QUEUE_MAX   (1024 * 1024)
#define OPEN_MAX    64
#define SETS_MAX    64
#define TIMEOUT_MS  5000
#define LOCATION    "here"
#define CAUSE	    "not now"

enum call_kind {
	CALL_REGISTER,
	CALL_UNREGISTER,
	CALL_ADVERTISE,
};

/* A call that the edge has not answered. */
struct open_call {
	enum call_kind kind;
	uint32_t answer;
	uint64_t generation;
	size_t first, n; /* entries */
};

struct wire {
	uint8_t bytes[QUEUE_MAX];
	size_t n;
};

static struct world {
	struct dice *dice;
	struct control_client *client; /* NULL: let go of */
	struct control_server *server;
	struct wire up, down;
	uint64_t now_ms;
	bool is_damaged;
	bool client_over, server_over; /* an end was told */
	bool in_client;		       /* an event of it may come */
	/* agent */
	bool registering, unregistering;
	bool has_registered;	  /* was called */
	struct route_set sets[2]; /* by generation: one may take the other's place */
	uint64_t out;		  /* generation of the set that has no outcome; 0: none */
	uint64_t generation;
	size_t totals[SETS_MAX];
	/* edge */
	struct open_call open[OPEN_MAX];
	size_t n_open;
	uint64_t seen_generation;
	size_t n_seen; /* entries of it */
	bool seen_last;
	bool was_accepted; /* the registration */
} w;

static const struct uuid instance = {.bytes = {1}};

/* ---- the agent's side ---- */

static void client_send(void *ctx UNUSED, const uint8_t *data, size_t n)
{
	DICE_CHECK(n % 8 == 0 && n > 0 && !w.client_over && w.up.n + n <= QUEUE_MAX);
	memcpy(w.up.bytes + w.up.n, data, n);
	w.up.n += n;
}

static bool entry_is_good(uint64_t generation, size_t i)
{
	return (generation * 7 + i) % 3 != 0;
}

static struct route_set *set_of(uint64_t generation)
{
	return &w.sets[generation % 2];
}

static void end_set(void)
{
	route_set_deinit(set_of(w.out));
	*set_of(w.out) = (struct route_set){0};
	w.out = 0;
}

/* Sometimes an event is the last thing that the owner wants to hear. */
static bool lets_go(void)
{
	if (!dice_percent(w.dice, 2))
		return false;
	w.client = control_client_free(w.client);
	w.registering = w.unregistering = false;
	end_set();
	return true;
}

static struct route_set make_set(void)
{
	size_t n = dice_percent(w.dice, 2) ? dice_below(w.dice, 3 * ROUTES_PER_CALL + 2)
					   : dice_below(w.dice, 4);
	struct route_set set = {.routes = calloc(n + 1, sizeof(*set.routes)), .n_routes = n};

	DICE_CHECK(set.routes);
	for (size_t i = 0; i < n; i++)
		snprintf(set.routes[i].network, ROUTE_NETWORK_MAX, "%u.%u",
			 (unsigned int)(w.generation + 1), (unsigned int)i);
	return set;
}

static void advertise(void)
{
	struct route_set *set = set_of(w.generation + 1);
	bool hash_only = dice_percent(w.dice, 20);
	int r;

	if (!w.client || w.generation + 1 >= SETS_MAX)
		return;
	*set = make_set();
	/* Before any part is with the edge. */
	w.totals[w.generation + 1] = hash_only ? SIZE_MAX : set->n_routes;
	r = control_client_advertise(w.client, &instance, w.generation + 1, set, hash_only,
				     w.now_ms, TIMEOUT_MS);
	/* The one before has its outcome now. */
	DICE_CHECK(!w.out);
	w.generation++;
	if (r == 0)
		w.out = w.generation;
	else
		route_set_deinit(set);
	DICE_CHECK(r < 0 || !w.client_over);
}

static void client_registered(void *ctx UNUSED, const struct registration_details *details,
			      const struct registration_error *error)
{
	DICE_CHECK(w.client && w.in_client && w.registering && !w.client_over);
	DICE_CHECK(!details != !error);
	w.registering = false;
	if (!w.is_damaged && details)
		DICE_CHECK(w.was_accepted && !strcmp(details->location, LOCATION));
	if (!w.is_damaged && error)
		DICE_CHECK(!w.was_accepted && !strcmp(error->cause, CAUSE));
	(void)lets_go();
}

static void client_unregistered(void *ctx UNUSED, bool ok UNUSED)
{
	DICE_CHECK(w.client && w.in_client && w.unregistering && !w.client_over);
	w.unregistering = false;
	(void)lets_go();
}

static void client_advertised(void *ctx UNUSED, uint64_t generation,
			      const struct route_verdict *verdicts, size_t n_verdicts,
			      bool send_all, const char *failed)
{
	DICE_CHECK(w.client && w.out && generation == w.out && !w.client_over);
	DICE_CHECK(!n_verdicts || (verdicts && !send_all && !failed));
	if (verdicts && !w.is_damaged) {
		DICE_CHECK(n_verdicts == set_of(generation)->n_routes);
		for (size_t i = 0; i < n_verdicts; i++)
			DICE_CHECK(verdicts[i].accepted == entry_is_good(generation, i));
	}
	/* Still readable. */
	for (size_t i = 0; i < set_of(generation)->n_routes; i++)
		DICE_CHECK(set_of(generation)->routes[i].network[0]);
	end_set();
	/* Inside control_client_advertise() it is the old set's end. */
	if (w.in_client)
		(void)lets_go();
}

static void client_failed(void *ctx UNUSED, enum control_end why, const char *text)
{
	/* The peer's own words may be none. */
	DICE_CHECK(w.client && !w.client_over &&
		   (*text || why == CONTROL_END_ABORTED || why == CONTROL_END_EXCEPTION));
	DICE_CHECK(why != CONTROL_END_PROTOCOL || w.is_damaged);
	w.client_over = true;
	w.registering = w.unregistering = false;
	end_set();
	(void)lets_go();
}

static const struct control_client_events client_events = {
	.on_send = client_send,
	.on_registered = client_registered,
	.on_unregistered = client_unregistered,
	.on_advertised = client_advertised,
	.on_failed = client_failed,
};

static void call_register(void)
{
	const struct registration_request req = {.account_tag = "tag",
						 .secret = instance.bytes,
						 .n_secret = 16,
						 .features = {FEATURE_ADIT},
						 .n_features = 1,
						 .version = "1",
						 .arch = "a"};
	int r = control_client_register(w.client, &req, w.now_ms, TIMEOUT_MS);

	DICE_CHECK(r == 0 || w.client_over || w.has_registered);
	w.registering |= r == 0;
	w.has_registered = true;
}

static void call_something(void)
{
	if (!w.client)
		return;
	switch (dice_below(w.dice, 8)) {
	case 0:
	case 1:
		call_register();
		break;
	case 2:
		if (!w.unregistering)
			w.unregistering =
				control_client_unregister(w.client, w.now_ms, TIMEOUT_MS) == 0;
		break;
	case 3:
		(void)control_client_push_config(w.client, "{}", w.now_ms, TIMEOUT_MS);
		break;
	case 4:
		control_client_drop_advert(w.client);
		end_set();
		break;
	default:
		advertise();
		break;
	}
}

static void tick(void)
{
	if (!w.client)
		return;
	w.in_client = true;
	control_client_tick(w.client, w.now_ms);
	w.in_client = false;
	DICE_CHECK(!w.client || control_client_deadline_ms(w.client) > w.now_ms);
}

/* ---- the edge's side ---- */

static void server_send(void *ctx UNUSED, const uint8_t *data, size_t n)
{
	DICE_CHECK(n % 8 == 0 && n > 0 && w.down.n + n <= QUEUE_MAX);
	memcpy(w.down.bytes + w.down.n, data, n);
	w.down.n += n;
}

static void hold(enum call_kind kind, uint32_t answer, uint64_t generation, size_t first, size_t n)
{
	DICE_CHECK(!w.server_over && w.n_open < OPEN_MAX);
	w.open[w.n_open++] = (struct open_call){kind, answer, generation, first, n};
}

static void server_register(void *ctx UNUSED, uint32_t answer,
			    const struct registration_request *req)
{
	DICE_CHECK(w.is_damaged || registration_is_adit(req));
	hold(CALL_REGISTER, answer, 0, 0, 0);
}

static void server_unregister(void *ctx UNUSED, uint32_t answer)
{
	hold(CALL_UNREGISTER, answer, 0, 0, 0);
}

static void server_config(void *ctx UNUSED, const uint8_t *json UNUSED, size_t n UNUSED)
{
	DICE_CHECK(!w.server_over);
}

static unsigned int count_open(uint64_t generation)
{
	unsigned int n = 0;

	for (size_t i = 0; i < w.n_open; i++)
		n += w.open[i].kind == CALL_ADVERTISE && w.open[i].generation == generation;
	return n;
}

static void check_part(const struct route_call *call)
{
	char network[ROUTE_NETWORK_MAX];

	if (call->generation != w.seen_generation) {
		DICE_CHECK(call->generation > w.seen_generation);
		w.seen_generation = call->generation;
		w.n_seen = 0;
		w.seen_last = false;
	}
	DICE_CHECK(!w.seen_last && call->part.n_vnets == 0);
	DICE_CHECK(call->part.n_routes <= ROUTES_PER_CALL && count_open(call->generation) <= 1);
	for (size_t i = 0; i < call->part.n_routes; i++) {
		snprintf(network, sizeof(network), "%u.%u", (unsigned int)call->generation,
			 (unsigned int)(w.n_seen + i));
		DICE_CHECK(!strcmp(call->part.routes[i].network, network));
	}
	w.seen_last = call->last;
	if (call->hash_only)
		DICE_CHECK(call->last && call->part.n_routes == 0 &&
			   w.totals[call->generation] == SIZE_MAX);
	else
		DICE_CHECK(call->last ==
			   (w.n_seen + call->part.n_routes == w.totals[call->generation]));
}

static void server_advertise(void *ctx UNUSED, uint32_t answer, const struct route_call *call)
{
	size_t first = w.n_seen;

	if (!w.is_damaged) {
		check_part(call);
		first = w.n_seen;
	}
	w.n_seen += call->part.n_routes;
	hold(CALL_ADVERTISE, answer, call->generation, first, call->part.n_routes);
}

static void server_end(void *ctx UNUSED, bool protocol_error, const char *text UNUSED)
{
	DICE_CHECK(!w.server_over && (w.is_damaged || !protocol_error));
	w.server_over = true;
}

static const struct control_server_events server_events = {
	.on_send = server_send,
	.on_register = server_register,
	.on_unregister = server_unregister,
	.on_local_config = server_config,
	.on_advertise = server_advertise,
	.on_end = server_end,
};

static void answer_advert(const struct open_call *c)
{
	static struct route_verdict verdicts[ROUTES_PER_CALL + 1];
	struct route_reply reply = {.verdicts = verdicts, .n_verdicts = c->n};

	for (size_t i = 0; i < c->n && i < ROUTES_PER_CALL; i++) {
		verdicts[i].accepted = entry_is_good(c->generation, c->first + i);
		strcpy(verdicts[i].reason, verdicts[i].accepted ? "" : "no");
	}
	reply.send_all = dice_percent(w.dice, 10);
	if (reply.send_all || (c->n > 0 && dice_percent(w.dice, 5)))
		reply.n_verdicts = c->n / 2;
	(void)control_server_advertised(w.server, c->answer, &reply);
}

static void answer(const struct open_call *c)
{
	const struct registration_details details = {.location = LOCATION};
	const struct registration_error error = {.cause = CAUSE};

	if (dice_percent(w.dice, 5) && c->kind != CALL_REGISTER) {
		(void)control_server_exception(w.server, c->answer, "no");
		return;
	}
	switch (c->kind) {
	case CALL_REGISTER:
		w.was_accepted = dice_percent(w.dice, 70);
		if (w.was_accepted)
			(void)control_server_registered(w.server, c->answer, &details);
		else
			(void)control_server_refused(w.server, c->answer, &error);
		break;
	case CALL_UNREGISTER:
		(void)control_server_unregistered(w.server, c->answer);
		break;
	case CALL_ADVERTISE:
		answer_advert(c);
		break;
	}
}

static void answer_something(void)
{
	size_t i;

	if (w.n_open == 0)
		return;
	i = dice_below(w.dice, (uint32_t)w.n_open);
	answer(&w.open[i]);
	/* Twice: the second finds no such call. */
	if (dice_percent(w.dice, 5))
		DICE_CHECK(control_server_unregistered(w.server, w.open[i].answer) < 0);
	w.open[i] = w.open[--w.n_open];
}

/* ---- what is between them ---- */

static void damage(uint8_t *bytes, size_t n)
{
	if (w.is_damaged && n > 0 && dice_percent(w.dice, 30))
		bytes[dice_below(w.dice, (uint32_t)n)] ^= (uint8_t)(1u << dice_below(w.dice, 8));
}

/* What feeding queues goes behind the rest. */
static size_t take(struct wire *from, uint8_t *out)
{
	size_t n = dice_percent(w.dice, 50) ? from->n : (size_t)dice_size(w.dice, from->n);

	memcpy(out, from->bytes, n);
	memmove(from->bytes, from->bytes + n, from->n - n);
	from->n -= n;
	damage(out, n);
	return n;
}

static void carry(void)
{
	static uint8_t bytes[QUEUE_MAX];
	size_t n;

	if (dice_percent(w.dice, 50)) {
		n = take(&w.up, bytes);
		if (n > 0 && !w.server_over)
			control_server_feed(w.server, bytes, n);
	} else if (w.client) {
		n = take(&w.down, bytes);
		w.in_client = true;
		if (n > 0 && !w.client_over)
			control_client_feed(w.client, bytes, n);
		w.in_client = false;
	}
}

/* ---- schedules ---- */

static void pass(void)
{
	uint64_t deadline_ms = w.client ? control_client_deadline_ms(w.client) : UINT64_MAX;

	if (dice_percent(w.dice, 20) && deadline_ms != UINT64_MAX && deadline_ms > w.now_ms)
		w.now_ms = deadline_ms;
	else
		w.now_ms += dice_size(w.dice, 1000);
	tick();
}

static void step(void)
{
	uint32_t what = dice_below(w.dice, 100);

	if (what < 20)
		call_something();
	else if (what < 65)
		carry();
	else if (what < 90)
		answer_something();
	else
		pass();
}

/* No answer comes any more. */
static void must_settle(void)
{
	for (unsigned int i = 0; w.client && i < 2 * SETS_MAX; i++) {
		uint64_t deadline_ms = control_client_deadline_ms(w.client);

		if (deadline_ms == UINT64_MAX)
			break;
		DICE_CHECK(deadline_ms <= w.now_ms + (ROUTES_MAX / ROUTES_PER_CALL) * TIMEOUT_MS);
		w.now_ms = deadline_ms;
		tick();
	}
	DICE_CHECK(!w.client || control_client_deadline_ms(w.client) == UINT64_MAX);
	DICE_CHECK(!w.registering && !w.unregistering && !w.out);
}

static void play(struct dice *dice)
{
	memset(&w, 0, offsetof(struct world, up));
	w.up.n = w.down.n = 0;
	memset(&w.now_ms, 0, sizeof(w) - offsetof(struct world, now_ms));
	w.dice = dice;
	w.now_ms = 1 + dice_u32(dice);
	w.is_damaged = dice_percent(dice, 10);
	DICE_CHECK(control_client_new(&w.client, &client_events, NULL) == 0);
	DICE_CHECK(control_server_new(&w.server, &server_events, NULL) == 0);
	if (dice_percent(dice, 90))
		call_register();
	for (unsigned int i = 0; i < N_STEPS; i++)
		step();
	must_settle();
	w.client = control_client_free(w.client);
	end_set();
	control_server_free(w.server);
}

static void each_call_has_one_outcome_in_every_schedule(void **state UNUSED)
{
	dice_play(N_SCHEDULES, play);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_call_has_one_outcome_in_every_schedule),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
