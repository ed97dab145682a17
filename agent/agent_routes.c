/* SPDX-License-Identifier: Apache-2.0 */

/* Our routes on their way to the edges: settings to sets, calls out, answers to the log. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/agent_private.h"
#include "base/compiler.h"
#include "base/err.h"
#include "base/log.h"
#include "ctrl/agent_status.h"
#include "wire/io_loop.h"
#include "wire/tls_crypto.h"

/* More refused entries are in `adit routes`. */
#define REFUSALS_LOGGED_MAX 20

#define FIRST_WAIT_MS 200

/* ---- the set ---- */

static void copy_text(char *out, size_t n_out, const char *text)
{
	size_t n = strlen(text);

	if (n >= n_out)
		n = n_out - 1;
	memcpy(out, text, n);
	out[n] = '\0';
}

static void fill_route(struct route_entry *out, const struct route_setting *route)
{
	char network[PREFIX_TEXT_MAX];

	copy_text(out->network, sizeof(out->network), prefix_format(&route->network, network));
	copy_text(out->virtual_network, sizeof(out->virtual_network), route->virtual_network);
	copy_text(out->comment, sizeof(out->comment), route->comment);
}

int agent_routes_build(const struct settings *s, struct route_set *setp)
{
	struct route_set set = {
		.vnets = calloc(s->n_vnets + 1, sizeof(*set.vnets)),
		.routes = calloc(s->n_routes + 1, sizeof(*set.routes)),
	};

	if (!set.vnets || !set.routes) {
		route_set_deinit(&set);
		return err_trace(-ENOMEM);
	}
	set.n_vnets = s->n_vnets;
	set.n_routes = s->n_routes;
	for (size_t i = 0; i < s->n_vnets; i++) {
		copy_text(set.vnets[i].name, sizeof(set.vnets[i].name), s->vnets[i].name);
		copy_text(set.vnets[i].comment, sizeof(set.vnets[i].comment), s->vnets[i].comment);
	}
	for (size_t i = 0; i < s->n_routes; i++)
		fill_route(&set.routes[i], &s->routes[i]);
	route_set_keep_hash(&set);
	*setp = set;
	return 0;
}

int agent_routes_load(struct agent *a)
{
	struct route_set set;
	int r = agent_routes_build(a->live, &set);

	if (r == 0)
		advertise_set_routes(a->routes.advertise, &set);
	return r;
}

void agent_routes_withdraw(struct agent *a)
{
	struct settings nothing = {0};
	struct route_set set;

	if (agent_routes_build(&nothing, &set) == 0)
		advertise_set_routes(a->routes.advertise, &set);
}

/* ---- calls ---- */

/* One edge may be reached by several addresses: its own name for itself is the better one. */
static void name_edge(const struct edge_link *el, char out[ADVERTISE_EDGE_MAX])
{
	const char *id = strstr(edge_link_features(el), "id=");
	char address[EDGE_ADDRESS_TEXT_MAX];

	if (id && (id == edge_link_features(el) || id[-1] == ';')) {
		copy_text(out, ADVERTISE_EDGE_MAX, id);
		out[strcspn(out, ";")] = '\0';
	} else {
		copy_text(out, ADVERTISE_EDGE_MAX,
			  edge_address_format(edge_link_address(el), address));
	}
}

static void send_call(struct agent *a, const struct advertise_call *call, uint64_t now_ms)
{
	struct edge_link *el = supervisor_find_link(a->supervisor, call->link);
	int r = el ? edge_link_advertise(el, &a->service.file.instance_id, call->generation,
					 call->set, call->hash_only, now_ms)
		   : -ENOTCONN;

	if (r < 0)
		agent_routes_answered(a, call->link, call->generation, NULL, 0, false,
				      strerror(-r));
}

static void tell_stock(struct agent *a, const struct advertise_link *links, size_t n)
{
	size_t n_entries = a->live->n_routes;

	for (size_t i = 0; i < n && n_entries && !a->routes.told_stock; i++) {
		if (links[i].is_adit)
			continue;
		a->routes.told_stock = true;
		log_info("this edge takes no routes from agents: its operator adds them there",
			 log_text("edge", links[i].edge), log_int("routes", (int64_t)n_entries));
	}
}

/*
 * At the start all connections come up within milliseconds of each other: the first set
 * waits a moment for the lowest of them, so that it does not land on a chance one.
 * Returns 0, or when to look again.
 */
static uint64_t wait_for_the_lowest(struct agent *a, size_t n, uint64_t now_ms)
{
	struct agent_routes *r = &a->routes;

	if (r->begun)
		return 0;
	if (n == 0)
		return UINT64_MAX;
	if (r->first_ms == 0)
		r->first_ms = now_ms;
	r->begun =
		n == supervisor_n_uplinks(a->supervisor) || now_ms - r->first_ms >= FIRST_WAIT_MS;
	return r->begun ? 0 : r->first_ms + FIRST_WAIT_MS;
}

uint64_t agent_routes_settle(struct agent *a, uint64_t now_ms)
{
	struct supervisor_link serving[SUPERVISOR_UPLINKS_MAX];
	struct advertise_link links[SUPERVISOR_UPLINKS_MAX];
	char names[SUPERVISOR_UPLINKS_MAX][ADVERTISE_EDGE_MAX];
	size_t n = supervisor_links(a->supervisor, serving, ARRAY_SIZE(serving));
	uint64_t wait_ms = wait_for_the_lowest(a, n, now_ms);
	struct advertise_call call;

	if (wait_ms)
		return wait_ms;
	for (size_t i = 0; i < n; i++) {
		name_edge(serving[i].el, names[i]);
		links[i] = (struct advertise_link){
			.link = serving[i].link,
			.edge = names[i],
			.is_adit = edge_link_is_adit(serving[i].el),
		};
	}
	tell_stock(a, links, n);
	while (advertise_next(a->routes.advertise, links, n, now_ms, &call))
		send_call(a, &call, now_ms);
	return advertise_deadline_ms(a->routes.advertise);
}

/* ---- answers ---- */

static const char *entry_name(const struct route_set *set, size_t i)
{
	return i < set->n_vnets ? set->vnets[i].name : set->routes[i - set->n_vnets].network;
}

static void tell_verdicts(struct agent *a, const struct route_set *set,
			  const struct route_verdict *verdicts, size_t n)
{
	size_t n_refused = 0;

	for (size_t i = 0; i < n; i++) {
		if (verdicts[i].accepted)
			continue;
		if (n_refused++ >= REFUSALS_LOGGED_MAX)
			continue;
		log_warn(i < set->n_vnets ? "the edge refuses a virtual network"
					  : "the edge refuses a route",
			 log_text("network", entry_name(set, i)),
			 log_text("reason", verdicts[i].reason));
		agent_event(a, EVENT_ROUTE, log_text(ROUTE_NETWORK, entry_name(set, i)),
			    log_text(ROUTE_REASON, verdicts[i].reason));
	}
	log_info("routes advertised", log_int("accepted", (int64_t)(n - n_refused)),
		 log_int("refused", (int64_t)n_refused));
	agent_event(a, EVENT_ROUTES, log_int(ROUTE_STATE_ACCEPTED, (int64_t)(n - n_refused)),
		    log_int(ROUTE_STATE_REFUSED, (int64_t)n_refused));
}

static void tell_failure(struct agent *a, int64_t index, const char *reason)
{
	log_warn("routes not advertised", log_int("conn_index", index), log_text("reason", reason));
	agent_event(a, EVENT_ROUTES_FAIL, log_int(CONNECTION_INDEX, index),
		    log_text(ROUTE_REASON, reason));
}

void agent_routes_answered(struct agent *a, uint64_t link, uint64_t generation,
			   const struct route_verdict *verdicts, size_t n_verdicts, bool send_all,
			   const char *failed)
{
	const struct route_set *set = advertise_routes(a->routes.advertise);

	if (failed)
		tell_failure(a, (int64_t)(link >> 32), failed);
	else if (!send_all && verdicts && n_verdicts == set->n_vnets + set->n_routes)
		tell_verdicts(a, set, verdicts, n_verdicts);
	advertise_on_answer(a->routes.advertise, link, generation, verdicts, n_verdicts, send_all,
			    failed, random_u32(), io_loop_now_ms(a->loop));
}
