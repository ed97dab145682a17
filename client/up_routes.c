/* SPDX-License-Identifier: Apache-2.0 */

/*
 * From what the edge shows to routes in the kernel: feed, networks, split tunnel, difference,
 * helper. Every batch of the feed is a new map and a new capture, and only the difference is
 * asked of the helper. What is new is added at once; what goes is deleted a moment after the
 * connections through it were ended. A request that fails is told and counted, and the next
 * batch doesn't repeat it.
 *
 * The edge's own addresses are kept outside by "throw" routes, each added before the first dial
 * to it and kept for good: an old one does no harm. Without one its address is never dialled.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/err.h"
#include "base/log.h"
#include "base/notify.h"
#include "client/up_private.h"
#include "routing/split_tunnel.h"
#include "wire/h2_session.h"

/* Of the feed, when the edge ended it although the link is up. */
#define FEED_RETRY_MS 10000

/*
 * A route goes once or twice that much later than what goes through it: the resets that end its
 * connections, the edge's and ours, must still find their way to the applications.
 */
#define LEAVE_MS   250
#define DOOMED_MAX 1024

#define THROWS_MAX 1024
#define LINES_MAX  20 /* of one kind in the log; `adit up --status` has them all */

static struct up *up_of(void *ctx)
{
	return ctx;
}

/* An edge that goes on and on changing its routes shall not fill the log. */
static bool is_worth_a_line(size_t *n_told)
{
	return (*n_told)++ < LINES_MAX;
}

/* ---- the helper's answers ---- */

static void settle_captures(struct up *u);

static void on_route_done(void *ctx, int result, const char *text)
{
	struct up *u = up_of(ctx);

	u->routes.n_pending--;
	if (result < 0 && is_worth_a_line(&u->routes.n_failed))
		log_warn("a route was not changed", log_text("reason", strerror(-result)),
			 log_text("detail", text));
	if (u->routes.n_pending == 0)
		settle_captures(u);
}

static void on_rule_done(void *ctx, int result, const char *text)
{
	struct up *u = up_of(ctx);

	if (result == 0)
		return;
	log_error("a routing rule was refused", log_text("reason", strerror(-result)),
		  log_text("detail", text));
	up_stop(u, CLIENT_EXIT_INTERNAL);
}

static void ask(struct up *u, bool add, const struct prefix *p)
{
	struct net_helper *h = u->host.helper;
	int r;

	u->routes.n_pending++;
	r = add ? net_helper_route_add(h, NETLINK_ROUTE_DEVICE, p, on_route_done, u)
		: net_helper_route_delete(h, NETLINK_ROUTE_DEVICE, p, on_route_done, u);
	if (r < 0)
		on_route_done(u, r, "");
}

/* ---- captures ---- */

static void report_route(void *ctx, const struct prefix *p, enum split_tunnel_reason reason)
{
	struct up *u = up_of(ctx);
	char text[PREFIX_TEXT_MAX];

	if (is_worth_a_line(&u->routes.n_not_taken))
		log_warn("a route of the edge is not taken as it is",
			 log_text("network", prefix_format(p, text)),
			 log_text("reason", split_tunnel_reason_text(reason)));
}

static size_t index_of(const struct prefix_set *set, const struct prefix *p)
{
	size_t i = 0;

	while (i < set->n && !prefix_equal(&set->items[i], p))
		i++;
	return i;
}

/* Of two routes to the very same address only one can be there: the one that keeps it outside. */
static void leave_out(struct prefix_set *set, const struct prefix_set *thrown)
{
	size_t n = 0;

	for (size_t i = 0; i < set->n; i++) {
		const struct prefix *p = &set->items[i];

		if (!prefix_is_single(p) || index_of(thrown, p) == thrown->n)
			set->items[n++] = *p;
	}
	set->n = n;
}

static int compute(struct up *u, struct prefix_set *capturep)
{
	const struct up_settings *s = u->settings;
	const struct split_tunnel_input in = {
		.mode = s->mode == UP_MODE_INCLUDE ? SPLIT_TUNNEL_INCLUDE : SPLIT_TUNNEL_EXCLUDE,
		.routes = network_map_routes(u->routes.map),
		.include = &u->routes.includes,
		.exclude = s->n_excludes > 0 ? &u->routes.excludes : NULL,
		.report = report_route,
		.ctx = u,
	};
	int r = split_tunnel_compute(&in, capturep);

	if (r == 0)
		leave_out(capturep, &u->routes.thrown);
	return r > 0 ? -E2BIG : r;
}

/* Its route is still there: it stays, and needn't be asked for. */
static bool reprieve(struct up *u, const struct prefix *p)
{
	struct prefix_set *const sets[] = {&u->routes.due, &u->routes.doomed};

	for (size_t k = 0; k < ARRAY_SIZE(sets); k++) {
		size_t i = index_of(sets[k], p);

		if (i == sets[k]->n)
			continue;
		sets[k]->items[i] = sets[k]->items[--sets[k]->n];
		return true;
	}
	return false;
}

/* An own guard, so that the answers of one batch don't settle it before all was asked. */
static void ask_all(struct up *u, bool add, const struct prefix_set *set)
{
	u->routes.n_pending++;
	for (size_t i = 0; i < set->n; i++) {
		if (!add || !reprieve(u, &set->items[i]))
			ask(u, add, &set->items[i]);
	}
	if (--u->routes.n_pending == 0)
		settle_captures(u);
}

/* Never put off by those that come: a network that flaps must not keep the others' routes. */
static void delete_doomed(uv_timer_t *timer)
{
	struct up *u = up_of(timer->data);

	ask_all(u, false, &u->routes.due);
	prefix_set_deinit(&u->routes.due);
	u->routes.due = u->routes.doomed;
	u->routes.doomed = (struct prefix_set){0};
	if (u->routes.due.n > 0)
		uv_timer_start(timer, delete_doomed, LEAVE_MS, 0);
}

/* Those that can't be noted are deleted now. */
static void doom(struct up *u, const struct prefix_set *set)
{
	for (size_t i = 0; i < set->n; i++) {
		if (prefix_set_add(&u->routes.doomed, &set->items[i], DOOMED_MAX) != 0)
			ask(u, false, &set->items[i]);
	}
	if (u->routes.doomed.n > 0 && !uv_is_active((uv_handle_t *)&u->routes.deleter))
		uv_timer_start(&u->routes.deleter, delete_doomed, LEAVE_MS, 0);
}

static void recapture(struct up *u)
{
	CLEANUP(prefix_set_deinit) struct prefix_set now = {0};
	CLEANUP(prefix_set_deinit) struct prefix_set add = {0};
	CLEANUP(prefix_set_deinit) struct prefix_set delete = {0};
	int r = compute(u, &now);

	if (r == 0)
		r = split_tunnel_diff(&u->routes.captured, &now, &add, &delete);
	if (r < 0) {
		log_error("routes stay as they were", log_text("reason", strerror(-r)));
		return;
	}
	prefix_set_deinit(&u->routes.captured);
	u->routes.captured = now;
	u->routes.is_computed = true;
	now = (struct prefix_set){0};
	capture_leave(u->capture, &u->routes.captured);
	doom(u, &delete);
	ask_all(u, true, &add);
}

static void tell_overlaps(struct up *u)
{
	json_t *list = up_local_networks_json(u);
	json_t *row;
	size_t i;

	json_array_foreach(list, i, row)
	{
		if (i < LINES_MAX)
			log_info("a local network wins over the tunnel",
				 log_text("network",
					  json_string_value(json_object_get(row, "network"))),
				 log_text("interface",
					  json_string_value(json_object_get(row, "interface"))));
	}
	json_decref(list);
}

/* Every request of a batch was answered. */
static void settle_captures(struct up *u)
{
	char status[128];

	if (u->routes.is_up || !u->routes.is_computed || u->is_stopping)
		return;
	u->routes.is_up = true;
	log_info("up", log_text("device", u->host.device.name),
		 log_int("networks", (int64_t)network_map_size(u->routes.map)),
		 log_int("routes", (int64_t)u->routes.captured.n));
	tell_overlaps(u);
	up_dns_wire(u);
	snprintf(status, sizeof(status), "STATUS=%zu routes through %s", u->routes.captured.n,
		 u->host.device.name);
	(void)notify_send(status);
	up_tell_ready(u);
}

/* ---- what the edge shows ---- */

static void on_overlap(void *ctx, const struct prefix *p, const char *name, const char *other)
{
	struct up *u = up_of(ctx);
	char text[PREFIX_TEXT_MAX];

	u->routes.n_overlaps++;
	if (is_worth_a_line(&u->routes.n_overlaps_told))
		log_error("two virtual networks overlap: one device can't serve both; choose by "
			  "--virtual-network, or use 'adit exec' for one of them",
			  log_text("network", prefix_format(p, text)),
			  log_text("virtual_network", name), log_text("overlaps_with", other));
}

static void tell_missing(struct up *u)
{
	for (size_t i = 0; i < u->settings->n_networks; i++) {
		const char *name = u->settings->networks[i];
		size_t k = 0;

		while (k < network_map_size(u->routes.map) &&
		       strcmp(network_map_name(u->routes.map, k), name) != 0)
			k++;
		if (k == network_map_size(u->routes.map) && is_worth_a_line(&u->routes.n_missing))
			log_warn("the edge shows no route of this network",
				 log_text("virtual_network", name));
	}
}

static void on_routes(void *ctx, const struct feed_route *routes, size_t n)
{
	struct up *u = up_of(ctx);
	struct network_map *map = NULL;

	u->routes.n_overlaps = 0;
	if (network_map_new(&map, routes, n, u->settings->networks, u->settings->n_networks,
			    on_overlap, u) < 0) {
		log_error("routes stay as they were: no memory");
		return;
	}
	network_map_free(u->routes.map);
	u->routes.map = map;
	/* At the start the user can choose; later, what runs goes on. */
	if (u->routes.n_overlaps > 0 && !u->routes.is_up) {
		up_stop(u, CLIENT_EXIT_USAGE);
		return;
	}
	tell_missing(u);
	recapture(u);
}

static void on_feed_end(void *ctx, enum client_exit why, const char *text)
{
	struct up *u = up_of(ctx);

	u->routes.feed = NULL;
	if (routes_feed_is_passing(why) || u->is_stopping)
		return;
	log_error("the edge doesn't show its routes", log_text("reason", text));
	if (u->routes.is_computed)
		return;
	/* A list of the user's own does without; else asking again would change nothing. */
	if (u->settings->n_includes > 0 || u->settings->mode == UP_MODE_EXCLUDE)
		recapture(u);
	else
		up_stop(u, (int)why);
}

static const struct routes_feed_events feed_events = {
	.on_routes = on_routes,
	.on_end = on_feed_end,
};

static void open_feed(struct up *u, struct h2_session *session)
{
	const struct routes_feed_options opt = {.token = u->credentials->token};
	int r;

	routes_feed_close(steal_ptr(u->routes.feed));
	r = routes_feed_open(&u->routes.feed, session, &opt, &feed_events, u);
	if (r != 0)
		log_debug("no routes feed", log_int("result", r));
}

/* A feed that ended by itself is asked for again, as long as the link is up. */
static void on_retry(uv_timer_t *timer)
{
	struct up *u = up_of(timer->data);
	struct h2_session *session = keeper_session(u->keeper);

	if (session && !u->routes.feed)
		open_feed(u, session);
}

void up_routes_on_session(struct up *u, struct h2_session *session)
{
	open_feed(u, session);
}

int up_routes_network_of(void *ctx, const struct ip_addr *ip, const char **networkp)
{
	const struct up *u = up_of(ctx);
	const char *name = network_map_find(u->routes.map, ip);

	/* The edge knows best what it doesn't route; one network alone is meant anyway. */
	if (!name && u->settings->n_networks == 1)
		name = u->settings->networks[0];
	*networkp = name;
	return 0;
}

/* ---- the edge's own addresses ---- */

static void on_throw_done(void *ctx, int result, const char *text)
{
	struct up *u = up_of(ctx);

	if (result < 0 && result != -EEXIST) {
		log_error("the edge's address can't be kept outside of the tunnel",
			  log_text("reason", strerror(-result)), log_text("detail", text));
		u->routes.throw_status = result;
		/* Which one it was isn't told: all are asked for again, those that are there are
		 * no failure. */
		prefix_set_deinit(&u->routes.thrown);
	}
	if (--u->routes.n_throws_pending == 0)
		keeper_go_on(u->keeper, u->routes.throw_status);
}

/* The throw route needs the place of a route that captures @p alone. */
static void release(struct up *u, const struct prefix *p)
{
	struct prefix_set *captured = &u->routes.captured;
	bool is_there = reprieve(u, p) || index_of(captured, p) < captured->n;

	leave_out(captured, &u->routes.thrown);
	if (is_there)
		ask(u, false, p);
}

static int throw_one(struct up *u, const struct ip_addr *ip)
{
	struct prefix p = prefix_of_ip(ip);
	int r;

	if (index_of(&u->routes.thrown, &p) < u->routes.thrown.n)
		return 0;
	if (prefix_set_add(&u->routes.thrown, &p, THROWS_MAX) != 0)
		return -ENOBUFS;
	release(u, &p);
	r = net_helper_route_add(u->host.helper, NETLINK_ROUTE_THROW, &p, on_throw_done, u);
	if (r < 0) {
		u->routes.thrown.n--;
		return r;
	}
	u->routes.n_throws_pending++;
	return 0;
}

int up_routes_before_dial(void *ctx, const struct ip_addr *ips, size_t n)
{
	struct up *u = up_of(ctx);
	int r = 0;

	u->routes.throw_status = 0;
	for (size_t i = 0; r == 0 && i < n; i++)
		r = throw_one(u, &ips[i]);
	if (r < 0)
		return r;
	return u->routes.n_throws_pending > 0 ? TUNNEL_WAIT : 0;
}

/* ---- life ---- */

void up_routes_init(struct up *u)
{
	uv_timer_init(&u->loop.uv, &u->routes.deleter);
	u->routes.deleter.data = u;
	uv_timer_init(&u->loop.uv, &u->routes.retry);
	u->routes.retry.data = u;
	uv_timer_start(&u->routes.retry, on_retry, FEED_RETRY_MS, FEED_RETRY_MS);
}

static int add_rules(struct up *u, uint8_t family)
{
	struct net_helper *h = u->host.helper;
	int r = net_helper_rule_add(h, NETLINK_RULE_CAPTURE, family, on_rule_done, u);

	if (r == 0 && u->settings->local_networks_win)
		r = net_helper_rule_add(h, NETLINK_RULE_LOCAL_FIRST, family, on_rule_done, u);
	return r;
}

int up_routes_start(struct up *u)
{
	const struct prefix own[] = {
		prefix_of_ip(&u->host.addresses.peer4),
		prefix_of_ip(&u->host.addresses.peer6),
	};
	int r = add_rules(u, AF_INET);

	if (r == 0)
		r = add_rules(u, AF_INET6);
	/* Of these no batch takes notice: P is no part of any capture. */
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(own); i++)
		ask(u, true, &own[i]);
	return r;
}

void up_routes_stop(struct up *u)
{
	routes_feed_close(steal_ptr(u->routes.feed));
	uv_close((uv_handle_t *)&u->routes.retry, NULL);
	uv_close((uv_handle_t *)&u->routes.deleter, NULL);
}

void up_routes_deinit(struct up *u)
{
	struct up_routes *r = &u->routes;

	network_map_free(r->map);
	prefix_set_deinit(&r->includes);
	prefix_set_deinit(&r->excludes);
	prefix_set_deinit(&r->captured);
	prefix_set_deinit(&r->doomed);
	prefix_set_deinit(&r->due);
	prefix_set_deinit(&r->thrown);
}
