/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* model_world - a model over a database of the test's own, changed row by row; behind cmocka.h */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/compiler.h"
#include "edge/model.h"

#define NOW_MS 1000000ll

struct fixture {
	char dir[64];
	char db[96];
	uv_loop_t uv;
	struct store *store;
	struct edge_model *m;
	const struct edge_model_events *events; /* NULL: none; their context is the fixture */
	int64_t now_ms;
	/* For the events to count. */
	unsigned int n_secret_gone;
	unsigned int n_tunnel_gone;
	unsigned int n_token_gone;
	unsigned int n_access_changed;
	unsigned int n_policies_changed;
	/* Changes: */
	unsigned int n_done;
	bool may_fail;			   /* else one that is refused fails the test */
	char failure[STORE_ERROR_MAX * 2]; /* of the last one, "" when it succeeded */
};

/* ---- life ---- */

static inline void start(struct fixture *f)
{
	const struct store_backend *backend;
	char error[STORE_ERROR_MAX];
	void *db;

	assert_int_equal(uv_loop_init(&f->uv), 0);
	assert_int_equal(store_sqlite_open(f->db, &backend, &db, NULL), 0);
	assert_int_equal(store_new(&f->store, &f->uv, backend, db), 0);
	assert_int_equal(store_start(f->store), 0);
	assert_int_equal(
		edge_model_new(&f->m, f->store, EDGE_ROUTE_HOLD_MS, f->events, f, f->now_ms, error),
		0);
}

static inline void stop(struct fixture *f)
{
	store_free(f->store);
	edge_model_free(f->m);
	uv_run(&f->uv, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&f->uv), 0);
}

static inline void restart(struct fixture *f)
{
	stop(f);
	start(f);
}

static inline struct fixture *fixture_new(const struct edge_model_events *events)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	snprintf(f->dir, sizeof(f->dir), "/tmp/adit-model-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->db, sizeof(f->db), "%s/edge.db", f->dir);
	f->events = events;
	f->now_ms = NOW_MS;
	start(f);
	return f;
}

static inline int tear_down(void **state)
{
	struct fixture *f = *state;

	stop(f);
	unlink(f->db);
	rmdir(f->dir);
	free(f);
	return 0;
}

/* ---- changes: a plan that copies a prepared batch ---- */

static inline int copy_plan(void *ctx, const struct edge_model *m, struct store_batch *batch,
			    struct edge_failure *failp)
{
	const struct store_change *c = ctx;

	(void)m;
	(void)failp;
	if (c->is_delete)
		store_batch_delete(batch, c->table, c->values, c->n_values);
	else
		store_batch_put(batch, c->table, c->values);
	return 0;
}

/* The context of a change is its plan's. */
static struct fixture *waiting;

static inline void note_done(void *ctx, const struct edge_model *m, const struct edge_failure *fail)
{
	(void)ctx;
	(void)m;
	assert_true(waiting->may_fail || !fail);
	waiting->n_done++;
	snprintf(waiting->failure, sizeof(waiting->failure), "%s", fail ? fail->text : "");
}

static inline void change(struct fixture *f, struct store_change *c)
{
	unsigned int before = f->n_done;

	waiting = f;
	edge_model_change(f->m, copy_plan, note_done, c);
	while (f->n_done == before)
		uv_run(&f->uv, UV_RUN_ONCE);
}

#define PUT(f, table_, ...)                                                                        \
	change(f, &(struct store_change){.table = (table_), .values = {__VA_ARGS__}})
#define DELETE(f, table_, n, ...)                                                                  \
	change(f, &(struct store_change){.table = (table_),                                        \
					 .values = {__VA_ARGS__},                                  \
					 .n_values = (n),                                          \
					 .is_delete = true})

static inline struct uuid id_of(uint8_t n)
{
	return (struct uuid){.bytes = {n}};
}

static inline const char *id_text(uint8_t n)
{
	static char text[8][UUID_TEXT_MAX];
	static unsigned int next;
	struct uuid id = id_of(n);

	return uuid_format(&id, text[next++ % 8]);
}

/* "": the default network's. */
static inline const char *vnet_id(const struct fixture *f, const char *name)
{
	static char text[UUID_TEXT_MAX];

	return uuid_format(&vnet_table_resolve(edge_model_vnets(f->m), name)->id, text);
}

static inline void add_tunnel(struct fixture *f, uint8_t n, const char *name)
{
	PUT(f, STORE_TUNNEL, store_text(id_text(n)), store_text(name),
	    store_text(edge_model_account_tag(f->m)), store_int(NOW_MS));
}

static inline void grant_in(struct fixture *f, uint8_t tunnel, const char *vnet, const char *prefix,
			    bool override)
{
	PUT(f, STORE_TUNNEL_GRANT, store_text(id_text(tunnel)), store_text(vnet_id(f, vnet)),
	    store_text(prefix), store_int(override));
}

static inline void grant(struct fixture *f, uint8_t tunnel, const char *prefix, bool override)
{
	grant_in(f, tunnel, "", prefix, override);
}

static inline void ungrant(struct fixture *f, uint8_t tunnel, const char *prefix)
{
	DELETE(f, STORE_TUNNEL_GRANT, 3, store_text(id_text(tunnel)), store_text(vnet_id(f, "")),
	       store_text(prefix));
}
