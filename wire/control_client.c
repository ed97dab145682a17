/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Each call of the agent is one RPC question with a callback. A set of routes is
 * many: at most ADVERT_WINDOW of them are in flight, so that what waits to be sent
 * stays small; the answer to one sends the next. The questions of a set that was
 * superseded carry its serial in their tag and are dropped when they come back.
 */

#include "wire/control_client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "wire/proto.h"
#include "wire/registration_codec.h"
#include "wire/route_codec.h"
#include "wire/rpc.h"

#define ADVERT_WINDOW	2
#define FAILED_TEXT_MAX 256

/* A set on its way. */
struct advert {
	const struct route_set *set; /* NULL: none */
	struct route_call head;	     /* what all calls share; its part is unused */
	uint32_t serial;
	uint32_t n_open;
	size_t n_entries;
	size_t n_sent; /* entries, in the order vnets, routes */
	struct route_verdict *verdicts;
	uint64_t deadline_ms; /* of the call sent last */
	uint32_t timeout_ms;
	bool is_sent; /* the last call too */
	bool has_verdicts;
	bool send_all;
	char failed[FAILED_TEXT_MAX];
};

struct control_client {
	const struct control_client_events *events;
	void *ctx;
	struct rpc *rpc;
	struct advert advert;
	bool is_busy;	/* in feed or tick */
	bool is_doomed; /* freed by one of its own events: goes at their end */
};

static void on_send(void *ctx, const uint8_t *data, size_t n)
{
	struct control_client *c = ctx;

	c->events->on_send(c->ctx, data, n);
}

static void on_end(void *ctx, enum rpc_end why, const char *text)
{
	struct control_client *c = ctx;

	control_client_drop_advert(c);
	c->events->on_failed(
		c->ctx, why == RPC_END_ABORTED ? CONTROL_END_ABORTED : CONTROL_END_PROTOCOL, text);
}

/* The agent exports nothing. */
static const struct rpc_events rpc_events = {
	.on_send = on_send,
	.on_end = on_end,
};

int control_client_new(struct control_client **cp, const struct control_client_events *events,
		       void *ctx)
{
	struct control_client *c = xnew(struct control_client);

	c->events = events;
	c->ctx = ctx;
	c->rpc = rpc_new(&rpc_events, c);
	*cp = c;
	return 0;
}

struct control_client *control_client_free(struct control_client *c)
{
	if (!c)
		return NULL;
	if (c->is_busy) {
		rpc_close(c->rpc);
		c->is_doomed = true;
		return NULL;
	}
	rpc_free(c->rpc);
	free(c->advert.verdicts);
	free(c);
	return NULL;
}

static void leave(struct control_client *c)
{
	c->is_busy = false;
	if (c->is_doomed)
		control_client_free(c);
}

static void fail(struct control_client *c, enum control_end why, const char *text)
{
	rpc_close(c->rpc);
	control_client_drop_advert(c);
	c->events->on_failed(c->ctx, why, text);
}

/* Registration */

static void report_registration(struct control_client *c, const struct capnp_struct *results)
{
	struct registration_details details;
	struct registration_error error;
	enum registration_answer answer = registration_get_answer(results, &details, &error);

	/* rpc.c reports a malformed message. */
	if (results->msg && !capnp_message_is_ok(results->msg))
		return;
	switch (answer) {
	case REGISTRATION_ACCEPTED:
		c->events->on_registered(c->ctx, &details, NULL);
		break;
	case REGISTRATION_REFUSED:
		c->events->on_registered(c->ctx, NULL, &error);
		break;
	case REGISTRATION_MALFORMED:
		fail(c, CONTROL_END_EXCEPTION,
		     "the edge's answer to registerConnection is unusable");
		break;
	}
}

static void registration_done(void *ctx, uint64_t tag UNUSED, const struct rpc_result *result)
{
	struct control_client *c = ctx;

	switch (result->kind) {
	case RPC_RESULT_OK:
		report_registration(c, &result->content);
		break;
	case RPC_RESULT_EXCEPTION:
		fail(c, CONTROL_END_EXCEPTION, result->reason);
		break;
	case RPC_RESULT_TIMEOUT:
		fail(c, CONTROL_END_TIMEOUT, "the edge did not answer registerConnection in time");
		break;
	}
}

int control_client_register(struct control_client *c, const struct registration_request *req,
			    uint64_t now_ms, uint32_t timeout_ms)
{
	const struct rpc_call call = {
		.iface = IFACE_REGISTRATION,
		.method = METHOD_REGISTER,
		.fill = registration_put_request,
		.value = req,
		.done = registration_done,
	};
	int r = rpc_bootstrap(c->rpc, now_ms + timeout_ms);

	return r < 0 ? r : rpc_call(c->rpc, &call, now_ms + timeout_ms);
}

static void drop_result(void *ctx UNUSED, uint64_t tag UNUSED,
			const struct rpc_result *result UNUSED)
{
}

int control_client_push_config(struct control_client *c, const char *json, uint64_t now_ms,
			       uint32_t timeout_ms)
{
	const struct rpc_call call = {
		.iface = IFACE_REGISTRATION,
		.method = METHOD_LOCAL_CONFIG,
		.fill = registration_put_local_config,
		.value = json,
		.done = drop_result,
	};

	return rpc_call(c->rpc, &call, now_ms + timeout_ms);
}

static void unregistration_done(void *ctx, uint64_t tag UNUSED, const struct rpc_result *result)
{
	struct control_client *c = ctx;

	c->events->on_unregistered(c->ctx, result->kind == RPC_RESULT_OK);
}

static void put_nothing(struct capnp_out payload, const void *value UNUSED)
{
	capnp_new_struct(payload, 0, 0, 0);
}

int control_client_unregister(struct control_client *c, uint64_t now_ms, uint32_t timeout_ms)
{
	const struct rpc_call call = {
		.iface = IFACE_REGISTRATION,
		.method = METHOD_UNREGISTER,
		.fill = put_nothing,
		.done = unregistration_done,
	};

	return rpc_call(c->rpc, &call, now_ms + timeout_ms);
}

/* Routes */

static size_t min_size(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Entries @first to @first + @n of the set, vnets before routes. */
static struct route_set slice(const struct route_set *set, size_t first, size_t n)
{
	size_t n_vnets = first < set->n_vnets ? min_size(n, set->n_vnets - first) : 0;
	size_t first_route = first > set->n_vnets ? first - set->n_vnets : 0;

	return (struct route_set){
		.vnets = n_vnets ? set->vnets + first : NULL,
		.n_vnets = n_vnets,
		.routes = n > n_vnets ? set->routes + first_route : NULL,
		.n_routes = n - n_vnets,
	};
}

static void advert_done(void *ctx, uint64_t tag, const struct rpc_result *result);

static int send_part(struct control_client *c)
{
	struct advert *a = &c->advert;
	struct route_call part = a->head;
	size_t n = a->head.hash_only ? 0 : min_size(a->n_entries - a->n_sent, ROUTES_PER_CALL);
	const struct rpc_call call = {
		.iface = IFACE_ROUTES,
		.method = METHOD_ADVERTISE,
		.fill = route_put_call,
		.value = &part,
		.done = advert_done,
		.tag = (uint64_t)a->serial << 32 | a->n_sent,
	};
	int r;

	part.part = slice(a->set, a->n_sent, n);
	part.last = part.hash_only || a->n_sent + n == a->n_entries;
	r = rpc_call(c->rpc, &call, a->deadline_ms + a->timeout_ms);
	if (r < 0)
		return r;
	a->deadline_ms += a->timeout_ms;
	a->n_sent += n;
	a->is_sent = part.last;
	a->n_open++;
	return 0;
}

static void note_failure(struct advert *a, const char *text)
{
	if (!a->failed[0])
		snprintf(a->failed, sizeof(a->failed), "%s", text[0] ? text : "no reason given");
}

/* The advert is out of the way before the event, which may start the next one. */
static void report_advert(struct control_client *c)
{
	struct advert done = c->advert;
	bool has_verdicts =
		!done.failed[0] && !done.send_all && (done.has_verdicts || !done.head.hash_only);

	c->advert = (struct advert){.serial = done.serial};
	c->events->on_advertised(c->ctx, done.head.generation, has_verdicts ? done.verdicts : NULL,
				 has_verdicts ? done.n_entries : 0, done.send_all,
				 done.failed[0] ? done.failed : NULL);
	free(done.verdicts);
}

static void advance_advert(struct control_client *c)
{
	struct advert *a = &c->advert;
	bool goes_on = !a->failed[0] && !a->send_all && !a->is_sent;
	int r = 0;

	while (goes_on && !r && a->n_open < ADVERT_WINDOW && !a->is_sent)
		r = send_part(c);
	if (r < 0 && !a->n_open)
		note_failure(a, strerror(-r));
	if (!a->n_open)
		report_advert(c);
}

static void read_reply(struct advert *a, size_t first, const struct capnp_struct *results)
{
	size_t n = min_size(a->n_entries - first, ROUTES_PER_CALL);
	bool send_all = false;
	const char *wrong;

	/* A confirmed hash may come with the verdicts as they are now, or with none. */
	if (a->head.hash_only)
		n = route_count_verdicts(results) > 0 ? a->n_entries : 0;
	wrong = route_get_reply(results, a->verdicts + first, n, &send_all);
	a->has_verdicts = n > 0;
	if (wrong)
		note_failure(a, wrong);
	a->send_all = a->send_all || send_all;
}

static void advert_done(void *ctx, uint64_t tag, const struct rpc_result *result)
{
	struct control_client *c = ctx;
	struct advert *a = &c->advert;

	if (!a->set || a->serial != tag >> 32)
		return;
	a->n_open--;
	if (result->kind == RPC_RESULT_OK)
		read_reply(a, (uint32_t)tag, &result->content);
	else
		note_failure(a, result->reason);
	/* rpc.c reports a malformed message. */
	if (!result->content.msg || capnp_message_is_ok(result->content.msg))
		advance_advert(c);
}

static void supersede(struct control_client *c)
{
	if (!c->advert.set)
		return;
	c->advert.send_all = false;
	note_failure(&c->advert, "superseded by a newer set");
	report_advert(c);
}

/* Answers that are still to come carry a serial that is none any more. */
void control_client_drop_advert(struct control_client *c)
{
	free(c->advert.verdicts);
	c->advert = (struct advert){.serial = c->advert.serial};
}

int control_client_advertise(struct control_client *c, const struct uuid *instance_id,
			     uint64_t generation, const struct route_set *set, bool hash_only,
			     uint64_t now_ms, uint32_t timeout_ms)
{
	struct advert *a = &c->advert;
	size_t n = set->n_vnets + set->n_routes;
	int r;

	if (n > ROUTES_MAX)
		return -E2BIG;
	supersede(c);
	*a = (struct advert){
		.set = set,
		.head = {.instance_id = *instance_id,
			 .generation = generation,
			 .hash_only = hash_only},
		.serial = a->serial + 1,
		.n_entries = n,
		.deadline_ms = now_ms,
		.timeout_ms = timeout_ms,
		.verdicts = calloc(n + 1, sizeof(*a->verdicts)),
	};
	route_set_hash(set, a->head.hash);
	r = a->verdicts ? send_part(c) : -ENOMEM;
	if (r < 0) {
		free(a->verdicts);
		*a = (struct advert){.serial = a->serial};
		return r;
	}
	advance_advert(c);
	return 0;
}

void control_client_goodbye(struct control_client *c)
{
	rpc_goodbye(c->rpc);
}

void control_client_feed(struct control_client *c, const uint8_t *data, size_t n)
{
	c->is_busy = true;
	rpc_feed(c->rpc, data, n);
	leave(c);
}

void control_client_tick(struct control_client *c, uint64_t now_ms)
{
	c->is_busy = true;
	rpc_tick(c->rpc, now_ms);
	leave(c);
}

uint64_t control_client_deadline_ms(const struct control_client *c)
{
	return rpc_deadline_ms(c->rpc);
}
