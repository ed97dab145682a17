/* SPDX-License-Identifier: Apache-2.0 */

/* What only the running edge knows, for the administrator's commands. */

#include <errno.h>
#include <string.h>

#include <jansson.h>

#include "base/clock.h"
#include "base/err.h"
#include "edge/connection.h"
#include "edge/edge_private.h"
#include "edge/ingress.h"
#include "edge/listener.h"
#include "edge/registry.h"
#include "wire/io_loop.h"
#include "wire/link.h"

/* A suspect connection is counted when bytes came from it in this time. */
#define SUSPECT_READ_MS 5000

/* What limits bound, beside connections. */
static json_t *load_json(const struct edge *e)
{
	const struct edge_limits *l = &e->settings->limits;
	const struct budget *b = &e->io->budget;

	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "streams",
			 (json_int_t)e->n_flows, "streams_max", (json_int_t)l->max_streams, "dials",
			 (json_int_t)e->n_dials, "dials_max", (json_int_t)l->max_dials,
			 "handshakes", (json_int_t)listener_n_handshakes(e->listener),
			 "handshakes_max", (json_int_t)l->max_handshakes, "connections_max",
			 (json_int_t)l->max_connections, "clients_max", (json_int_t)l->max_clients,
			 "window_budget_bytes", (json_int_t)(b->hard_bytes - b->soft_bytes),
			 "refused", (json_int_t)e->n_limited, "cut", (json_int_t)e->n_cut);
}

static struct json_t *op_status(void *ctx)
{
	const struct edge *e = ctx;
	const struct budget *b = &e->io->budget;
	int64_t left_ms = e->certificate.not_after_ms - clock_wall_ms();
	json_t *status = json_pack(
		"{s:s, s:I, s:I, s:o, s:i, s:i, s:i, s:i, s:i, s:b, s:I, s:I, s:I, s:I}", "version",
		ADIT_VERSION, "certificate_days_left", (json_int_t)(left_ms / (24 * 3600 * 1000)),
		"uptime_s", (json_int_t)((clock_boot_ms() - e->started_ms) / 1000), "listeners",
		listener_json(e->listener), "tunnels", (int)edge_model_n_tunnels(e->model),
		"clients", (int)edge_model_n_clients(e->model), "agent_connections",
		(int)e->n_connections, "client_connections", (int)e->n_clients, "routes",
		(int)route_table_size(edge_model_routes(e->model)), "draining",
		(int)(e->drain_until_ms != 0), "buffered_bytes", (json_int_t)b->used_bytes,
		"buffered_peak_bytes", (json_int_t)b->peak_bytes, "buffer_budget_bytes",
		(json_int_t)b->soft_bytes, "windows_bytes", (json_int_t)b->granted_bytes);

	(void)json_object_update_new(status, load_json(e));
	return status;
}

static bool is_listed(const struct connection *c, const struct uuid *tunnel)
{
	bool is_known =
		c->state == CONNECTION_STATE_REGISTERED || c->state == CONNECTION_STATE_DRAINING;

	return is_known && (!tunnel || uuid_equal(&c->entry.tunnel, tunnel));
}

static struct json_t *op_connections(void *ctx, const struct uuid *tunnel)
{
	const struct edge *e = ctx;
	json_t *array = json_array();
	struct list *pos;

	list_for_each (pos, &e->connections) {
		const struct connection *c = list_entry(pos, struct connection, node);

		if (is_listed(c, tunnel))
			json_array_append_new(array, connection_json(c));
	}
	if (tunnel)
		return array;
	list_for_each (pos, &e->clients)
		json_array_append_new(array, ingress_json(list_entry(pos, struct ingress, node)));
	return array;
}

/* The element of @array whose "id" is @id, or NULL. */
static json_t *find_by_id(json_t *array, const char *id)
{
	size_t i;
	json_t *item;

	json_array_foreach(array, i, item)
	{
		if (strcmp(json_string_value(json_object_get(item, "id")), id) == 0)
			return item;
	}
	return NULL;
}

static json_t *describe_connector(const struct connection *c, const char *id)
{
	return json_pack("{s:s, s:s, s:s, s:i, s:i, s:I}", "id", id, "kind",
			 c->is_adit ? "adit" : "stock", "version", c->version, "connections", 0,
			 "expected", (int)c->n_expected, "since", (json_int_t)(c->since_ms / 1000));
}

static void count_connection(void *ctx, struct registry_entry *entry)
{
	const struct connection *c = connection_of_entry(entry);
	json_t *connectors = ctx;
	char id[UUID_TEXT_MAX];
	json_t *item;
	json_t *count;

	if (!is_listed(c, NULL))
		return;
	uuid_format(&entry->connector, id);
	item = find_by_id(connectors, id);
	if (!item) {
		item = describe_connector(c, id);
		json_array_append_new(connectors, item);
	}
	count = json_object_get(item, "connections");
	json_integer_set(count, json_integer_value(count) + 1);
}

static struct json_t *op_connectors(void *ctx, const struct uuid *tunnel)
{
	const struct edge *e = ctx;
	json_t *connectors = json_array();

	registry_each(e->registry, tunnel, count_connection, connectors);
	return connectors;
}

struct candidates {
	const struct registry_query *query;
	const struct connection *chosen; /* may be NULL */
	json_t *rows;
};

static void append_candidate(void *ctx, struct registry_entry *entry)
{
	const struct connection *c = connection_of_entry(entry);
	const struct candidates *all = ctx;
	char connector[UUID_TEXT_MAX];
	size_t i = 0;

	while (i < all->query->n_connectors &&
	       !uuid_equal(&all->query->connectors[i], &entry->connector))
		i++;
	if (i == all->query->n_connectors || !is_listed(c, NULL))
		return;
	json_array_append_new(
		all->rows,
		json_pack("{s:s, s:s, s:i, s:s, s:s, s:b, s:i, s:b}", "id", c->id_text, "connector",
			  uuid_format(&entry->connector, connector), "index", (int)entry->index,
			  "kind", c->is_adit ? "adit" : "stock", "state",
			  connection_state_name(c->state), "suspect", (int)entry->suspect,
			  "streams", (int)entry->n_streams, "chosen", (int)(c == all->chosen)));
}

static struct json_t *op_candidates(void *ctx, const struct uuid *tunnel,
				    const struct uuid *connectors, size_t n_connectors,
				    const char **reasonp)
{
	struct edge *e = ctx;
	const struct registry_query query = {
		.tunnel = tunnel,
		.connectors = connectors,
		.n_connectors = n_connectors,
	};
	struct candidates all = {
		.query = &query,
		.chosen = connection_pick(e, &query),
		.rows = json_array(),
	};

	*reasonp = registry_pick_reason(e->registry, &query);
	registry_each(e->registry, tunnel, append_candidate, &all);
	return all.rows;
}

/* A suspect connection counts while bytes come in. */
static void count_healthy(void *ctx, struct registry_entry *entry)
{
	const struct connection *c = connection_of_entry(entry);
	struct edge_tunnel_health *health = ctx;
	struct link_stats stats;

	if (c->state != CONNECTION_STATE_REGISTERED)
		return;
	if (entry->suspect) {
		link_get_stats(c->link, &stats);
		if (clock_boot_ms() - stats.last_read_ms >= SUSPECT_READ_MS)
			return;
	}
	health->n_connections++;
}

static void op_tunnel_health(void *ctx, const struct uuid *tunnel, bool ever_seen,
			     struct edge_tunnel_health *healthp)
{
	const struct edge *e = ctx;
	json_t *connectors = op_connectors(ctx, tunnel);
	json_t *item;
	size_t i;

	*healthp = (struct edge_tunnel_health){.n_connectors =
						       (unsigned int)json_array_size(connectors)};
	json_array_foreach(connectors, i, item) healthp->n_expected +=
		(unsigned int)json_integer_value(json_object_get(item, "expected"));
	json_decref(connectors);
	registry_each(e->registry, tunnel, count_healthy, healthp);
	healthp->state = health_of(healthp->n_expected, healthp->n_connections, ever_seen);
}

static void hold_place(struct edge *e, const struct connection *c, uint32_t hold_ms)
{
	struct edge_hold *h;

	if (hold_ms == 0)
		return;
	h = xnew(struct edge_hold);
	h->tunnel = c->entry.tunnel;
	h->connector = c->entry.connector;
	h->index = c->entry.index;
	h->until_ms = clock_boot_ms() + hold_ms;
	list_append(&e->holds, &h->node);
}

static int op_connection_close(void *ctx, const char *id, uint32_t hold_ms)
{
	struct edge *e = ctx;
	struct list *pos;

	list_for_each (pos, &e->connections) {
		struct connection *c = list_entry(pos, struct connection, node);

		if (strcmp(c->id_text, id) != 0 || !is_listed(c, NULL))
			continue;
		hold_place(e, c, hold_ms);
		connection_close(c, "closed by the operator");
		return 0;
	}
	list_for_each (pos, &e->clients) {
		struct ingress *in = list_entry(pos, struct ingress, node);

		if (strcmp(in->id_text, id) != 0)
			continue;
		ingress_close(in, "closed by the operator");
		return 0;
	}
	return -ENOENT;
}

static int op_reload(void *ctx, struct json_t **resultp, char *why)
{
	return edge_reload(ctx, resultp, why);
}

const struct edge_runtime_ops edge_ops = {
	.status = op_status,
	.connections = op_connections,
	.connectors = op_connectors,
	.candidates = op_candidates,
	.tunnel_health = op_tunnel_health,
	.connection_close = op_connection_close,
	.reload = op_reload,
};
