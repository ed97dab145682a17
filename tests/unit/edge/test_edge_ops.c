/* SPDX-License-Identifier: Apache-2.0 */
/* What the running edge tells its administrator, without a network. */

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "base/clock.h"
#include "edge/connection.h"
#include "edge/edge.h"
#include "wire/io_loop.h"

#define CONNECTIONS_MAX 8
#define DAY_MS		(24ll * 3600 * 1000)

struct fixture {
	struct edge_settings settings;
	char dir[64];
	char db[96];
	uv_loop_t uv;
	struct edge e;
	struct connection *c[CONNECTIONS_MAX];
	size_t n;
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	const struct store_backend *backend;
	char error[STORE_ERROR_MAX];
	void *db;

	snprintf(f->dir, sizeof(f->dir), "/tmp/adit-ops-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->db, sizeof(f->db), "%s/edge.db", f->dir);
	assert_int_equal(uv_loop_init(&f->uv), 0);
	f->e.uv = &f->uv;
	f->settings.limits = (struct edge_limits){.max_connections = 11,
						  .max_clients = 12,
						  .max_streams = 13,
						  .max_dials = 14,
						  .max_handshakes = 15};
	f->e.settings = &f->settings;
	list_init(&f->e.connections);
	list_init(&f->e.clients);
	list_init(&f->e.holds);
	f->e.registry = registry_new();
	assert_int_equal(io_loop_new(&f->e.io, &f->uv, 1 << 20), 0);
	assert_int_equal(store_sqlite_open(f->db, &backend, &db, NULL), 0);
	assert_int_equal(store_new(&f->e.store, &f->uv, backend, db), 0);
	assert_int_equal(store_start(f->e.store), 0);
	assert_int_equal(edge_model_new(&f->e.model, f->e.store, EDGE_ROUTE_HOLD_MS, NULL, NULL,
					clock_wall_ms(), error),
			 0);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < f->n; i++) {
		registry_remove(&f->c[i]->entry);
		free(f->c[i]);
	}
	store_free(f->e.store);
	io_loop_free(f->e.io);
	uv_run(&f->uv, UV_RUN_DEFAULT);
	edge_model_free(f->e.model);
	registry_free(f->e.registry);
	assert_int_equal(uv_loop_close(&f->uv), 0);
	unlink(f->db);
	rmdir(f->dir);
	free(f);
	return 0;
}

static struct uuid id_of(uint8_t n)
{
	return (struct uuid){.bytes = {n}};
}

/* A connection without a link: nothing that is asked here may need one. */
static struct connection *add(struct fixture *f, uint8_t tunnel, uint8_t connector, uint8_t index)
{
	struct connection *c = calloc(1, sizeof(*c));

	assert_true(f->n < CONNECTIONS_MAX);
	f->c[f->n++] = c;
	c->edge = &f->e;
	c->state = CONNECTION_STATE_REGISTERED;
	c->is_adit = connector % 2;
	c->n_expected = 4;
	c->since_ms = 5000;
	snprintf(c->version, sizeof(c->version), "2026.%d", connector);
	c->entry = (struct registry_entry){.tunnel = id_of(tunnel),
					   .connector = id_of(connector),
					   .index = index,
					   .accepts = true};
	list_init(&c->entry.node);
	registry_add(f->e.registry, &c->entry);
	return c;
}

static json_int_t number(const json_t *object, const char *key)
{
	assert_true(json_is_integer(json_object_get(object, key)));
	return json_integer_value(json_object_get(object, key));
}

static const char *text(const json_t *object, const char *key)
{
	const char *value = json_string_value(json_object_get(object, key));

	assert_non_null(value);
	return value;
}

static void test_status(void **state)
{
	struct fixture *f = *state;
	json_t *status;

	f->e.n_connections = 3;
	f->e.n_clients = 2;
	f->e.n_flows = 4;
	f->e.n_dials = 1;
	f->e.n_limited = 6;
	f->e.certificate.not_after_ms = clock_wall_ms() + 9 * DAY_MS + DAY_MS / 2;
	f->e.started_ms = clock_boot_ms();
	status = edge_ops.status(&f->e);
	assert_non_null(status);
	assert_string_equal(text(status, "version"), ADIT_VERSION);
	assert_int_equal(number(status, "agent_connections"), 3);
	assert_int_equal(number(status, "client_connections"), 2);
	assert_int_equal(number(status, "certificate_days_left"), 9);
	assert_int_equal(number(status, "buffered_bytes"), 0);
	assert_int_equal(number(status, "buffered_peak_bytes"), 0);
	assert_int_equal(number(status, "windows_bytes"), 0);
	assert_int_equal(number(status, "buffer_budget_bytes"), 1 << 20);
	assert_int_equal(number(status, "streams"), 4);
	assert_int_equal(number(status, "streams_max"), 13);
	assert_int_equal(number(status, "dials"), 1);
	assert_int_equal(number(status, "dials_max"), 14);
	assert_int_equal(number(status, "handshakes"), 0);
	assert_int_equal(number(status, "handshakes_max"), 15);
	assert_int_equal(number(status, "connections_max"), 11);
	assert_int_equal(number(status, "clients_max"), 12);
	assert_int_equal(number(status, "refused"), 6);
	assert_int_equal(number(status, "cut"), 0);
	assert_true(json_is_false(json_object_get(status, "draining")));
	assert_int_equal(json_array_size(json_object_get(status, "listeners")), 0);
	json_decref(status);
	f->e.drain_until_ms = 1;
	status = edge_ops.status(&f->e);
	assert_true(json_is_true(json_object_get(status, "draining")));
	json_decref(status);
}

static void test_nothing_to_list_or_close(void **state)
{
	struct fixture *f = *state;
	struct uuid tunnel = id_of(1);
	json_t *list = edge_ops.connections(&f->e, NULL);

	assert_int_equal(json_array_size(list), 0);
	json_decref(list);
	list = edge_ops.connectors(&f->e, &tunnel);
	assert_int_equal(json_array_size(list), 0);
	json_decref(list);
	assert_int_equal(edge_ops.connection_close(&f->e, "x", 0), -ENOENT);
	assert_true(list_is_empty(&f->e.holds));
}

static void test_connectors_are_counted(void **state)
{
	struct fixture *f = *state;
	struct uuid tunnel = id_of(1);
	char id[UUID_TEXT_MAX];
	json_t *list, *item;

	add(f, 1, 7, 0);
	add(f, 1, 7, 1);
	add(f, 1, 8, 0)->state = CONNECTION_STATE_DRAINING;
	add(f, 1, 9, 0)->state = CONNECTION_STATE_CLOSED;
	add(f, 2, 7, 0);
	list = edge_ops.connectors(&f->e, &tunnel);
	assert_int_equal(json_array_size(list), 2);
	item = json_array_get(list, 0);
	tunnel = id_of(7);
	assert_string_equal(text(item, "id"), uuid_format(&tunnel, id));
	assert_string_equal(text(item, "kind"), "adit");
	assert_string_equal(text(item, "version"), "2026.7");
	assert_int_equal(number(item, "connections"), 2);
	assert_int_equal(number(item, "expected"), 4);
	assert_int_equal(number(item, "since"), 5);
	item = json_array_get(list, 1);
	assert_string_equal(text(item, "kind"), "stock");
	assert_int_equal(number(item, "connections"), 1);
	json_decref(list);
}

static struct edge_tunnel_health health_of_tunnel(struct fixture *f, bool ever_seen)
{
	struct edge_tunnel_health health;
	struct uuid tunnel = id_of(1);

	edge_ops.tunnel_health(&f->e, &tunnel, ever_seen, &health);
	return health;
}

static void test_health(void **state)
{
	struct fixture *f = *state;
	struct edge_tunnel_health h = health_of_tunnel(f, false);

	assert_int_equal(h.state, HEALTH_INACTIVE);
	assert_int_equal(health_of_tunnel(f, true).state, HEALTH_DOWN);
	for (uint8_t i = 0; i < 3; i++)
		add(f, 1, 7, i);
	h = health_of_tunnel(f, true);
	assert_int_equal(h.state, HEALTH_DEGRADED);
	assert_int_equal(h.n_connections, 3);
	assert_int_equal(h.n_expected, 4);
	assert_int_equal(h.n_connectors, 1);
	add(f, 1, 7, 3);
	assert_int_equal(health_of_tunnel(f, true).state, HEALTH_HEALTHY);
	/* A replica counts with what it means to keep. */
	add(f, 1, 8, 0)->n_expected = 1;
	h = health_of_tunnel(f, true);
	assert_int_equal(h.state, HEALTH_HEALTHY);
	assert_int_equal(h.n_expected, 5);
	f->c[0]->state = CONNECTION_STATE_DRAINING;
	h = health_of_tunnel(f, true);
	assert_int_equal(h.state, HEALTH_DEGRADED);
	assert_int_equal(h.n_connections, 4);
	/* Other tunnels have nothing to do with it. */
	add(f, 2, 9, 0);
	assert_int_equal(health_of_tunnel(f, true).n_connectors, 2);
}

/* Of the processes that serve a route, all connections; one of them is next. */
static void test_candidates(void **state)
{
	struct fixture *f = *state;
	struct uuid tunnel = id_of(1);
	const struct uuid serving[] = {id_of(7), id_of(9)};
	const char *why;
	json_t *list, *item;

	list = edge_ops.candidates(&f->e, &tunnel, serving, 2, &why);
	assert_int_equal(json_array_size(list), 0);
	assert_string_equal(why, "no connection takes streams");
	json_decref(list);
	add(f, 1, 7, 0)->entry.n_streams = 2;
	add(f, 1, 8, 0);
	add(f, 2, 7, 0);
	add(f, 1, 9, 3)->entry.n_streams = 1;
	add(f, 1, 9, 1)->state = CONNECTION_STATE_DRAINING;
	f->c[4]->entry.accepts = false;
	list = edge_ops.candidates(&f->e, &tunnel, serving, 2, &why);
	assert_int_equal(json_array_size(list), 3);
	assert_string_equal(why, "fewest streams among those not suspect");
	item = json_array_get(list, 1);
	assert_int_equal(number(item, "index"), 3);
	assert_int_equal(number(item, "streams"), 1);
	assert_string_equal(text(item, "state"), "registered");
	assert_true(json_is_true(json_object_get(item, "chosen")));
	assert_false(json_is_true(json_object_get(json_array_get(list, 0), "chosen")));
	item = json_array_get(list, 2);
	assert_string_equal(text(item, "state"), "draining");
	assert_false(json_is_true(json_object_get(item, "chosen")));
	json_decref(list);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_status, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_nothing_to_list_or_close, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_connectors_are_counted, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_health, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_candidates, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
