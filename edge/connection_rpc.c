/* SPDX-License-Identifier: Apache-2.0 */

/* What an agent says on its control stream: registration, advertisement, goodbye. */

#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "edge/connection_private.h"
#include "edge/edge.h"
#include "edge/edge_settings.h"
#include "edge/guesses.h"
#include "wire/link.h"
#include "wire/peer_text.h"
#include "wire/proto.h"

/* What a stock agent keeps. */
#define STOCK_CONNECTIONS 4

#define NO_RETRY      (-1)
#define FULL_RETRY_MS 30000

/* ---- registration ---- */

/* A call of registerConnection. */
struct attempt {
	uint32_t answer;
	const struct registration_request *req;
};

static void log_attempt(const struct connection *c, const struct attempt *a, enum log_level level,
			const char *message, const char *reason)
{
	const struct edge_tunnel *tunnel =
		edge_model_tunnel_by_id(c->edge->model, &a->req->tunnel_id);
	char tunnel_id[UUID_TEXT_MAX];
	char connector[UUID_TEXT_MAX];
	char peer[ENDPOINT_TEXT_MAX];

	uuid_format(&a->req->tunnel_id, tunnel_id);
	LOG_AT(level, message, log_text("connection", c->id_text),
	       log_text("tunnel", tunnel ? tunnel->name : tunnel_id),
	       log_text("connector", uuid_format(&a->req->client_id, connector)),
	       log_int("index", a->req->conn_index),
	       log_text("peer", endpoint_format(link_peer(c->link), peer)),
	       log_text("version", a->req->version), reason ? log_text("reason", reason) : LOG_END,
	       LOG_END);
}

/* @retry_after_ms < 0: not worth a retry. Returns false. */
static bool refuse_at(struct connection *c, const struct attempt *a, enum log_level level,
		      const char *cause, int64_t retry_after_ms)
{
	struct registration_error error = {.should_retry = retry_after_ms >= 0};

	if (error.should_retry)
		error.retry_after_ns = retry_after_ms * 1000000;
	snprintf(error.cause, sizeof(error.cause), "%s", cause);
	log_attempt(c, a, level, "registration refused", cause);
	(void)control_server_refused(c->rpc, a->answer, &error);
	connection_close(c, cause);
	return false;
}

static bool refuse(struct connection *c, const struct attempt *a, const char *cause,
		   int64_t retry_after_ms)
{
	return refuse_at(c, a, LOG_LEVEL_WARN, cause, retry_after_ms);
}

/* True when the secret was looked at and is right. */
static bool authenticate(struct connection *c, const struct attempt *a)
{
	const struct registration_request *req = a->req;
	const struct guess_limits *limits = &c->edge->settings->limits.failures;
	const struct ip_addr *ip = &link_peer(c->link)->ip;
	struct guesses *guesses = c->edge->bad_secrets;
	uint64_t now_ms = clock_boot_ms();
	uint64_t wait_ms = guesses_wait_ms(guesses, ip, limits, now_ms);
	const struct edge_tunnel *tunnel;

	if (wait_ms > 0)
		return refuse_at(
			c, a, guesses_tell(guesses, ip, now_ms) ? LOG_LEVEL_WARN : LOG_LEVEL_DEBUG,
			"too many secrets that are not valid from this address", (int64_t)wait_ms);
	if (edge_auth_tunnel(c->edge->model, req->account_tag, &req->tunnel_id, req->secret,
			     req->n_secret, clock_wall_ms(), &tunnel, c->key_id) == 0)
		return true;
	guesses_failed(guesses, ip, limits, now_ms);
	return refuse(c, a, "Unauthorized: tunnel unknown or secret not valid", NO_RETRY);
}

/* The hold that closes this place, or NULL. */
static const struct edge_hold *find_hold(const struct connection *c,
					 const struct registration_request *req)
{
	uint64_t now_ms = clock_boot_ms();
	struct list *pos;

	list_for_each (pos, &c->edge->holds) {
		const struct edge_hold *h = list_entry(pos, struct edge_hold, node);

		if (h->until_ms > now_ms && h->index == req->conn_index &&
		    uuid_equal(&h->tunnel, &req->tunnel_id) &&
		    uuid_equal(&h->connector, &req->client_id))
			return h;
	}
	return NULL;
}

/* True when the newcomer may go on: its place is free, or was taken from the old connection. */
static bool take_place(struct connection *c, const struct attempt *a)
{
	const struct registration_request *req = a->req;
	struct registry_entry *old =
		registry_find(c->edge->registry, &req->tunnel_id, &req->client_id, req->conn_index);

	if (!old)
		return true;
	if (c->edge->settings->duplicates == EDGE_DUPLICATES_REJECT)
		return refuse(c, a, REG_CAUSE_DUPLICATE, NO_RETRY);
	connection_drain(connection_of_entry(old), UINT64_MAX, "replaced");
	return true;
}

static bool may_register(struct connection *c, const struct attempt *a)
{
	const struct registration_request *req = a->req;
	const struct edge_hold *hold;

	if (!authenticate(c, a))
		return false;
	if (c->is_surplus)
		return refuse(c, a, "limit: this edge has max-connections of agents",
			      FULL_RETRY_MS);
	if (c->edge->drain_until_ms != 0)
		return refuse(c, a, "edge is shutting down", 1000);
	hold = find_hold(c, req);
	if (hold)
		return refuse(c, a, "held by the operator",
			      (int64_t)(hold->until_ms - clock_boot_ms()));
	if (edge_connector_up(c->edge->model, &req->tunnel_id, &req->client_id, clock_wall_ms()))
		return refuse(c, a, "too many connectors for this tunnel", FULL_RETRY_MS);
	return take_place(c, a);
}

static void fill_entry(struct connection *c, const struct registration_request *req)
{
	c->entry.tunnel = req->tunnel_id;
	c->entry.connector = req->client_id;
	c->entry.index = req->conn_index;
	c->is_adit = registration_is_adit(req);
	c->n_expected = registration_expected_connections(req, STOCK_CONNECTIONS);
	peer_text_copy(c->version, sizeof(c->version), req->version ? req->version : "");
	c->since_ms = clock_wall_ms();
	registry_add(c->edge->registry, &c->entry);
}

/* It has said what it is, and was told before what we are. */
static void greet_adit_agent(struct connection *c)
{
	struct h2_session *session = link_session(c->link);

	/* It PINGs on its own; two are not needed. */
	link_set_liveness(c->link, LIVENESS_LISTENS);
	if (session &&
	    h2_session_announce_additions(session, (uint32_t)c->edge->boot->max_frame_bytes) < 0)
		link_close(c->link, LINK_END_INTERNAL);
}

static void accept_registration(struct connection *c, const struct attempt *a)
{
	struct registration_details details = {.connection_id = c->id};

	fill_entry(c, a->req);
	snprintf(details.location, sizeof(details.location), "%s", c->edge->boot->location);
	connection_set_state(c, CONNECTION_STATE_REGISTERED, UINT64_MAX);
	/* This may be what closes the connection: an agent that doesn't read. */
	(void)control_server_registered(c->rpc, a->answer, &details);
	if (c->is_adit)
		greet_adit_agent(c);
	log_attempt(c, a, LOG_LEVEL_INFO, "connection registered", NULL);
}

static void rpc_on_register(void *ctx, uint32_t answer, const struct registration_request *req)
{
	const struct attempt a = {.answer = answer, .req = req};
	struct connection *c = ctx;

	if (c->state != CONNECTION_STATE_REGISTERING) {
		(void)control_server_exception(c->rpc, answer, "already registered");
		return;
	}
	if (may_register(c, &a))
		accept_registration(c, &a);
}

static void rpc_on_unregister(void *ctx, uint32_t answer)
{
	struct connection *c = ctx;
	uint64_t until_ms = clock_boot_ms() + c->edge->settings->drain_timeout_ms;

	(void)control_server_unregistered(c->rpc, answer);
	connection_unregister(c, until_ms);
}

static void rpc_on_local_config(void *ctx, const uint8_t *json UNUSED, size_t n)
{
	struct connection *c = ctx;

	log_debug("local configuration received", log_text("connection", c->id_text),
		  log_int("bytes", (int64_t)n));
}

static void rpc_on_advertise(void *ctx, uint32_t answer, const struct route_call *call)
{
	struct connection *c = ctx;
	struct route_reply reply;
	int r;

	if (c->state != CONNECTION_STATE_REGISTERED) {
		(void)control_server_exception(c->rpc, answer, "not registered");
		return;
	}
	r = edge_advertise(c->edge->model, &c->entry.tunnel, &c->entry.connector, c->entry.serial,
			   call, &reply);
	if (r == 0)
		(void)control_server_advertised(c->rpc, answer, &reply);
	else
		(void)control_server_exception(c->rpc, answer,
					       r == EDGE_ADVERT_E_TOO_MANY ? "too many routes"
									   : "connector unknown");
}

static void rpc_on_send(void *ctx, const uint8_t *data, size_t n)
{
	struct connection *c = ctx;

	if (c->control && h2_queue_write(&c->out, data, n) < 0)
		connection_close(c, "agent does not read its control stream");
}

static void rpc_on_end(void *ctx, bool protocol_error, const char *text)
{
	struct connection *c = ctx;

	/* After unregister the goodbye is expected; streams go on. */
	if (protocol_error || c->state != CONNECTION_STATE_DRAINING)
		connection_close(c, text);
}

const struct control_server_events connection_rpc_events = {
	.on_send = rpc_on_send,
	.on_register = rpc_on_register,
	.on_unregister = rpc_on_unregister,
	.on_local_config = rpc_on_local_config,
	.on_advertise = rpc_on_advertise,
	.on_end = rpc_on_end,
};
