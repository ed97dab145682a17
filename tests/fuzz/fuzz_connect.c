/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The headers of a client's CONNECT and of the edge's stream to an agent, one value a line:
 * authority, virtual network, token, stream kind, proxy source. An edge with one client, one
 * granted route and a live connector decides, and an agent that serves the same route. Whatever
 * the text, yes means that the destination is in that route.
 */

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "agent/destination.h"
#include "agent/dispatch.h"
#include "agent/settings.h"
#include "base/compiler.h"
#include "base/diag.h"
#include "base/log.h"
#include "edge/decide.h"
#include "edge/model.h"
#include "wire/tls_crypto.h"

#define VNET	  "11111111-1111-4111-8111-111111111111"
#define TUNNEL	  "22222222-2222-4222-8222-222222222222"
#define CLIENT	  "33333333-3333-4333-8333-333333333333"
#define CONNECTOR "44444444-4444-4444-8444-444444444444"
#define TOKEN_ID  "0123456789abcdef"
#define SECRET	  "open-sesame"
#define NETWORK	  "10.116.0.0/24"
#define PORT	  22

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* ---- an edge without a disk ---- */

static int load_rows(void *db UNUSED, store_row_cb put, void *ctx, char *error UNUSED)
{
	uint8_t digest[SHA256_BYTES];
	const struct store_value text[] = {store_text(VNET), store_text(TUNNEL),
					   store_text(CLIENT)};
	const struct store_value none = store_text(""), zero = store_int(0);
	const struct store_value network = store_text(NETWORK);

	sha256(SECRET, strlen(SECRET), digest);
	return put(ctx, STORE_META,
		   (struct store_value[]){store_text("account_tag"), store_text("tag")}) ||
	       put(ctx, STORE_VNET,
		   (struct store_value[]){text[0], store_text("default"), none, store_int(1)}) ||
	       put(ctx, STORE_TUNNEL,
		   (struct store_value[]){text[1], store_text("lab"), store_text("tag"), zero}) ||
	       put(ctx, STORE_CLIENT,
		   (struct store_value[]){text[2], store_text("ann"), none, zero, zero}) ||
	       put(ctx, STORE_CLIENT_TOKEN,
		   (struct store_value[]){text[2], store_text(TOKEN_ID),
					  store_blob(digest, sizeof(digest)), zero}) ||
	       put(ctx, STORE_CLIENT_GRANT,
		   (struct store_value[]){text[2], text[0], network, store_text("22"), none}) ||
	       put(ctx, STORE_ROUTE, (struct store_value[]){text[0], network, text[1], none, zero});
}

static int commit_nothing(void *db UNUSED, const struct store_batch *batch UNUSED,
			  char *error UNUSED)
{
	return 0;
}

static void close_nothing(void *db UNUSED)
{
}

static struct edge_model *make_edge(void)
{
	static const struct store_backend backend = {load_rows, commit_nothing, close_nothing};
	static uv_loop_t uv;
	char error[STORE_ERROR_MAX];
	struct edge_model *m;
	struct uuid tunnel, connector;
	struct store *store;

	if (uv_loop_init(&uv) || store_new(&store, &uv, &backend, NULL) || store_start(store) ||
	    edge_model_new(&m, store, EDGE_ROUTE_HOLD_MS, NULL, NULL, 0, error) ||
	    uuid_parse(TUNNEL, &tunnel) || uuid_parse(CONNECTOR, &connector) ||
	    edge_connector_up(m, &tunnel, &connector, 0))
		abort();
	return m;
}

static struct settings *make_agent(void)
{
	static struct settings s;
	static struct route_setting route;

	if (prefix_parse(NETWORK, &route.network) || ports_parse("22", &route.ports))
		abort();
	s.routes = &route;
	s.n_routes = 1;
	return &s;
}

/* ---- one request ---- */

static void require_in_route(const struct endpoint *destination)
{
	struct prefix network;

	if (prefix_parse(NETWORK, &network) || !prefix_contains_ip(&network, &destination->ip) ||
	    destination->port != PORT)
		abort();
}

static void ask_edge(const struct edge_model *m, const char *authority, const char *network,
		     const char *token)
{
	const struct edge_client *client;
	char token_id[EDGE_KEY_ID_MAX];
	struct endpoint destination;
	struct decision decision;

	if (edge_auth_client(m, token, &client, token_id) == 0 &&
	    strcmp(token, "adit_" TOKEN_ID "." SECRET) != 0)
		abort();
	/* The decision is tried whatever the token was. */
	client = edge_model_client_at(m, 0);
	if (endpoint_parse(authority, &destination) < 0)
		return;
	if (decide(m, client, network, &destination, TRANSPORT_TCP, &decision) == STREAM_ERROR_NONE)
		require_in_route(&decision.destination);
}

static void ask_agent(const struct settings *s, const char *authority)
{
	struct endpoint requested, target;

	if (destination_decide(s, authority, &requested, &target) == STREAM_ERROR_NONE)
		require_in_route(&target);
}

static char *next_line(char **restp)
{
	static char empty[1];
	char *line = strsep(restp, "\n");

	return line ? line : empty;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static struct edge_model *edge;
	static struct settings *agent;
	char *text = malloc(n + 1);
	char *rest = text, *authority, *network, *token, *kind, *source;

	if (!edge) {
		log_set_level(LOG_LEVEL_ERROR);
		edge = make_edge();
		agent = make_agent();
	}
	if (!text)
		abort();
	if (n)
		memcpy(text, data, n);
	text[n] = '\0';
	authority = next_line(&rest);
	network = next_line(&rest);
	token = next_line(&rest);
	kind = next_line(&rest);
	source = next_line(&rest);
	ask_edge(edge, authority, network, token);
	ask_agent(agent, authority);
	if (stream_kind_of(kind, source) >= STREAM_KIND_N)
		abort();
	free(text);
	return 0;
}
