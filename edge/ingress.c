/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Each request shows its token anew: a link belongs to nobody, so a revoked token needs no list
 * of links. What a stranger may cost is bounded by the limits of the link and by the time it has
 * to show a valid token. Who is not known hears 407 and nothing about what exists; who was wrong
 * too often hears 503, even with a valid token, unless its link has shown one before.
 */

#include "edge/ingress.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <jansson.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "edge/decide.h"
#include "edge/edge.h"
#include "edge/flow.h"
#include "edge/guesses.h"
#include "edge/ingress_routes.h"
#include "wire/datagram_path.h"
#include "wire/h2_session.h"
#include "wire/h2_stream.h"
#include "wire/link.h"
#include "wire/proto.h"

/* Who hasn't shown a token holds a descriptor: not for long, and not to guess. */
#define STRANGER_MS 30000
#define REFUSED_MAX 16

#define BEARER "Bearer "

/* RFC 9110 11.1: the scheme's name is case-insensitive. */
static const char *bearer_token(const struct h2_headers *hdrs)
{
	const char *value = h2_headers_get(hdrs, "proxy-authorization");

	if (!value || strncasecmp(value, BEARER, strlen(BEARER)) != 0)
		return NULL;
	return value + strlen(BEARER);
}

static void note_refused(struct ingress *in, bool is_worth_a_line, const char *why)
{
	enum log_level level = is_worth_a_line ? LOG_LEVEL_WARN : LOG_LEVEL_DEBUG;
	char peer[ENDPOINT_TEXT_MAX];

	LOG_AT(level, "client not authenticated",
	       log_text("peer", endpoint_format(link_peer(in->link), peer)),
	       log_text("reason", why), LOG_END);
	if (++in->n_refused == REFUSED_MAX)
		ingress_close(in, "too many requests without a valid token");
}

static bool is_trusted(const struct ingress *in)
{
	return in->deadline_ms == UINT64_MAX;
}

static void trust(struct ingress *in)
{
	if (is_trusted(in))
		return;
	in->deadline_ms = UINT64_MAX;
	h2_session_allow_resets(link_session(in->link), H2_KNOWN_RESETS_BURST,
				H2_KNOWN_RESETS_PER_S);
}

/* Its address was wrong too often. A link that is known doesn't suffer from its neighbours. */
static bool is_shut_out(struct ingress *in)
{
	const struct guess_limits *limits = &in->edge->settings->limits.failures;
	const struct ip_addr *ip = &link_peer(in->link)->ip;
	uint64_t now_ms = clock_boot_ms();

	if (is_trusted(in) || guesses_wait_ms(in->edge->bad_tokens, ip, limits, now_ms) == 0)
		return false;
	note_refused(in, guesses_tell(in->edge->bad_tokens, ip, now_ms),
		     "too many tokens that are not valid from its address");
	return true;
}

/* The first refusal of a link is worth a line; the link ends before there are many. */
static enum stream_error refuse_token(struct ingress *in, const char *token)
{
	const struct ip_addr *ip = &link_peer(in->link)->ip;

	/* Who shows none guesses nothing. */
	if (token)
		guesses_failed(in->edge->bad_tokens, ip, &in->edge->settings->limits.failures,
			       clock_boot_ms());
	note_refused(in, in->n_refused == 0, token ? "token not valid" : "no bearer token");
	return STREAM_ERROR_UNAUTHENTICATED;
}

static enum stream_error authenticate(struct ingress *in, const struct h2_headers *hdrs,
				      const struct edge_client **clientp)
{
	const char *token = bearer_token(hdrs);
	const struct edge_client *client;

	if (token && is_shut_out(in))
		return STREAM_ERROR_LIMIT;
	if (!token || edge_auth_client(in->edge->model, token, &client, in->token_id) != 0)
		return refuse_token(in, token);
	in->client = client->id;
	snprintf(in->client_name, sizeof(in->client_name), "%s", client->name);
	trust(in);
	*clientp = client;
	return STREAM_ERROR_NONE;
}

/* What is asked for: TCP by ":authority", datagrams by ":protocol" and ":path" (RFC 8441). */
static enum stream_error read_target(const struct h2_headers *hdrs, enum transport *transportp,
				     struct endpoint *destinationp)
{
	static const enum transport transports[DATAGRAM_KIND_N] = {
		[DATAGRAM_UDP] = TRANSPORT_UDP,
		[DATAGRAM_ECHO] = TRANSPORT_ICMP,
	};
	const char *authority = h2_headers_get(hdrs, ":authority");
	const char *protocol = h2_headers_get(hdrs, ":protocol");
	enum datagram_kind kind;
	int r = -EINVAL;

	if (protocol) {
		if (datagram_kind_parse(protocol, &kind) < 0)
			return STREAM_ERROR_UNSUPPORTED;
		*transportp = transports[kind];
		r = datagram_path_parse(kind, h2_headers_get(hdrs, ":path"), destinationp);
	} else {
		*transportp = TRANSPORT_TCP;
		if (authority)
			r = endpoint_parse(authority, destinationp);
	}
	return r < 0 ? STREAM_ERROR_BAD_DESTINATION : STREAM_ERROR_NONE;
}

static enum stream_error find_room(struct edge *e)
{
	enum edge_limit limit = limits_of_stream(e);

	if (limit == EDGE_LIMIT_N)
		return STREAM_ERROR_NONE;
	limits_note(e, limit);
	return STREAM_ERROR_LIMIT;
}

/* 0 (allowed) or the error to answer with. *@decisionp says what was asked for, and by what it
 * fell. */
static enum stream_error judge(struct ingress *in, const struct edge_client *client,
			       const struct h2_headers *hdrs, struct decision *decisionp)
{
	enum stream_error error = read_target(hdrs, &decisionp->transport, &decisionp->destination);
	const struct endpoint destination = decisionp->destination;

	if (in->edge->drain_until_ms != 0)
		return STREAM_ERROR_DRAINING;
	if (error != STREAM_ERROR_NONE)
		return error;
	error = decide(in->edge->model, client, h2_headers_get(hdrs, HDR_VIRTUAL_NETWORK),
		       &destination, decisionp->transport, decisionp);
	return error == STREAM_ERROR_NONE ? find_room(in->edge) : error;
}

/* What was decided about, or else what the client said. */
static const char *target_text(const struct decision *d, const struct h2_headers *hdrs,
			       char out[ENDPOINT_TEXT_MAX])
{
	if (d->destination.ip.family)
		return decision_destination(d, out);
	return h2_headers_get(hdrs, h2_headers_get(hdrs, ":protocol") ? ":path" : ":authority");
}

static void refuse(struct ingress *in, struct h2_stream *stream, const struct h2_headers *hdrs,
		   const struct decision *decision, enum stream_error error)
{
	const char *result = stream_error_info(error)->name;
	char rule[DECISION_RULE_MAX], buf[ENDPOINT_TEXT_MAX];
	const char *target = target_text(decision, hdrs, buf);

	decision_rule(decision, rule);
	log_info("stream refused", log_text("client", in->client_name),
		 log_text("protocol", transport_name(decision->transport)),
		 log_text("destination", target), log_text("result", result),
		 log_text("layer", decision_layer_name(decision->layer)),
		 log_text("rule", *rule ? rule : NULL));
	edge_note_access(in->edge, &(const struct edge_access){
					   .client = in->client_name,
					   .decision = decision,
					   .target = target,
					   .network = h2_headers_get(hdrs, HDR_VIRTUAL_NETWORK),
					   .result = result,
				   });
	flow_refuse_request(stream, error);
}

static void link_on_open(void *ctx, struct link *link UNUSED, struct h2_stream *stream,
			 const struct h2_headers *hdrs)
{
	struct ingress *in = ctx;
	const char *method = h2_headers_get(hdrs, ":method");
	bool wants_routes = ingress_routes_are_asked(hdrs);
	struct decision decision = {0};
	const struct edge_client *client;
	enum stream_error error;

	if (in->is_surplus) {
		flow_refuse_request(stream, STREAM_ERROR_LIMIT);
		return;
	}
	if (!wants_routes && (!method || strcmp(method, "CONNECT") != 0)) {
		flow_refuse_method(stream, "CONNECT");
		return;
	}
	error = authenticate(in, hdrs, &client);
	if (error != STREAM_ERROR_NONE) {
		flow_refuse_request(stream, error);
		return;
	}
	if (wants_routes) {
		ingress_routes_open(in, stream, client, hdrs);
		return;
	}
	error = judge(in, client, hdrs, &decision);
	if (error == STREAM_ERROR_NONE)
		flow_new(in->edge, stream, client, in->token_id, &decision);
	else
		refuse(in, stream, hdrs, &decision, error);
}

static void link_on_closed(void *ctx, struct link *link, enum link_end why UNUSED)
{
	struct ingress *in = ctx;
	char peer[ENDPOINT_TEXT_MAX];

	log_debug("client link closed", log_text("client", in->client_name),
		  log_text("peer", endpoint_format(link_peer(link), peer)),
		  log_text("reason", link_error_text(link)));
	list_remove(&in->node);
	if (in->is_surplus)
		in->edge->n_surplus--;
	else
		in->edge->n_clients--;
	ingress_routes_close(in->routes);
	link_free(link);
	free(in);
}

static const struct link_events link_events = {
	.on_open = link_on_open,
	.on_closed = link_on_closed,
};

void ingress_new(struct edge *e, struct link *link, bool is_surplus)
{
	struct h2_limits limits = edge_client_limits;
	struct ingress *in = xnew(struct ingress);

	in->edge = e;
	in->link = link;
	in->id = uuid_random();
	uuid_format(&in->id, in->id_text);
	in->since_ms = clock_wall_ms();
	in->is_surplus = is_surplus;
	in->deadline_ms = clock_boot_ms() + (is_surplus ? EDGE_SURPLUS_MS : STRANGER_MS);
	list_append(&e->clients, &in->node);
	if (is_surplus)
		e->n_surplus++;
	else
		e->n_clients++;
	limits.max_streams = e->settings->limits.streams_per_connection;
	link_set_owner(link, &link_events, in);
	(void)link_start(link, H2_ROLE_ACCEPTOR, &limits, LIVENESS_PINGS);
}

static void end(struct ingress *in, const char *why, enum link_end end)
{
	char peer[ENDPOINT_TEXT_MAX];

	in->deadline_ms = UINT64_MAX;
	log_info("client link cut", log_text("client", *in->client_name ? in->client_name : NULL),
		 log_text("peer", endpoint_format(link_peer(in->link), peer)),
		 log_text("reason", why));
	link_close(in->link, end);
}

void ingress_close(struct ingress *in, const char *why)
{
	end(in, why, LINK_END_LOCAL);
}

bool ingress_evict_stranger(struct edge *e)
{
	struct list *pos;

	list_for_each (pos, &e->clients) {
		struct ingress *in = list_entry(pos, struct ingress, node);

		/* A surplus one has no place to give. */
		if (is_trusted(in) || in->is_surplus)
			continue;
		/* As after a time-out: without a goodbye that would keep the place. */
		end(in, "no valid token yet, and its place is needed", LINK_END_TIMEOUT);
		return true;
	}
	return false;
}

void ingress_drain(struct ingress *in)
{
	struct h2_session *session = link_session(in->link);

	if (session)
		h2_session_drain(session);
}

void ingress_tick(struct ingress *in, uint64_t now_ms)
{
	if (now_ms >= in->deadline_ms)
		ingress_close(in,
			      in->is_surplus ? "max-clients is reached" : "no valid token in time");
}

struct json_t *ingress_json(const struct ingress *in)
{
	char peer[ENDPOINT_TEXT_MAX];
	struct link_stats stats;

	link_get_stats(in->link, &stats);
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:b, s:i, s:I, s:I, s:I, s:I}", "id",
			 in->id_text, "kind", "client", "state",
			 in->is_surplus ? "turned away" : "open", "client", in->client_name, "peer",
			 endpoint_format(link_peer(in->link), peer), "suspect", (int)stats.suspect,
			 "streams", (int)stats.n_streams, "since_s",
			 (json_int_t)((clock_wall_ms() - in->since_ms) / 1000), "rtt_us",
			 (json_int_t)stats.rtt_us, "bytes_in", (json_int_t)stats.bytes_in,
			 "bytes_out", (json_int_t)stats.bytes_out);
}
