/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory follows the store: a change becomes rows, and after their commit the same function
 * that loads rows at start brings them into memory. So there is one way in, and a restart
 * gives the same tables. One change is between plan and commit at a time; others wait, so that
 * each plan sees all that was decided before it.
 */
#include "edge/model.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "edge/model_private.h"
#include "wire/tls_crypto.h"

#define META_ACCOUNT_TAG "account_tag"
#define FIRST_VNET_NAME	 "default"

struct model_change {
	struct list node;
	edge_plan plan;
	edge_done done;
	void *ctx;
};

/* ---- writing ---- */

static void add_first_rows(const struct edge_model *m, struct store_batch *b)
{
	const struct vnet *v = vnet_table_default(&m->vnets);
	char id[UUID_TEXT_MAX];
	const struct store_value meta[] = {
		store_text(META_ACCOUNT_TAG),
		store_text(m->account_tag),
	};
	const struct store_value vnet[] = {
		store_text(uuid_format(&v->id, id)),
		store_text(v->name),
		store_text(v->comment),
		store_int(1),
	};

	store_batch_put(b, STORE_META, meta);
	store_batch_put(b, STORE_VNET, vnet);
}

struct store_batch *model_batch(const struct edge_model *m)
{
	struct store_batch *b = store_batch_new();

	if (!m->has_first_rows)
		add_first_rows(m, b);
	return b;
}

static void behind_written_cb(void *ctx, const struct store_batch *batch, int status,
			      const char *error)
{
	struct edge_model *m = ctx;

	(void)batch;
	if (status == 0)
		m->has_first_rows = true;
	else if (status != -ESHUTDOWN)
		log_warn("advertised routes not saved, a restart will not know them",
			 log_text("reason", error));
	if (status != 0)
		adverts_mark_unsaved(m);
}

void model_write_behind(struct edge_model *m, struct store_batch *batch)
{
	store_commit(m->store, batch, behind_written_cb, m);
}

/* ---- changes ---- */

int edge_fail(struct edge_failure *failp, const char *code, const char *fmt, ...)
{
	va_list ap;

	failp->code = code;
	va_start(ap, fmt);
	vsnprintf(failp->text, sizeof(failp->text), fmt, ap);
	va_end(ap);
	return -1;
}

void model_tell_routes(struct edge_model *m)
{
	if (m->events && m->events->on_routes_changed)
		m->events->on_routes_changed(m->ctx);
}

void model_settle_routes(struct edge_model *m)
{
	m->is_stale = false;
	adverts_settle(m);
	model_tell_routes(m);
}

static void apply_change(struct edge_model *m, const struct store_change *c)
{
	int r = 0;

	if (c->is_delete)
		model_drop_rows(m, c);
	else
		r = model_put_row(m, c->table, c->values);
	if (r < 0) {
		/* Memory would lie about what is stored; the next start reads it again. */
		log_error("out of memory while applying a change");
		abort();
	}
}

static void tell_new_names(struct edge_model *m)
{
	if (m->has_new_names && m->events && m->events->on_network_renamed)
		m->events->on_network_renamed(m->ctx);
	m->has_new_names = false;
}

static void apply_batch(struct edge_model *m, const struct store_batch *batch)
{
	for (size_t i = 0; i < store_batch_size(batch); i++)
		apply_change(m, store_batch_at(batch, i));
	m->has_first_rows = true;
	policies_settle(m);
	if (m->is_stale)
		model_settle_routes(m);
	tell_new_names(m);
}

static void finish(struct edge_model *m, struct model_change *c, const struct edge_failure *fail)
{
	c->done(c->ctx, m, fail);
	free(c);
}

static void run_changes(struct edge_model *m);

static void change_committed_cb(void *ctx, const struct store_batch *batch, int status,
				const char *error)
{
	struct edge_model *m = ctx;
	struct model_change *c = steal_ptr(m->committing);
	struct edge_failure fail;

	if (status < 0) {
		edge_fail(&fail, "unavailable", "nothing was changed, the database refused: %s",
			  error);
		finish(m, c, &fail);
	} else {
		apply_batch(m, batch);
		finish(m, c, NULL);
	}
	run_changes(m);
}

static void start_change(struct edge_model *m, struct model_change *c)
{
	CLEANUP(store_batch_free) struct store_batch *batch = model_batch(m);
	struct edge_failure fail;

	if (c->plan(c->ctx, m, batch, &fail) < 0) {
		finish(m, c, &fail);
		return;
	}
	m->committing = c;
	store_commit(m->store, steal_ptr(batch), change_committed_cb, m);
}

static void run_changes(struct edge_model *m)
{
	struct list *node;

	while (!m->committing && (node = list_pop(&m->changes)))
		start_change(m, list_entry(node, struct model_change, node));
}

void edge_model_change(struct edge_model *m, edge_plan plan, edge_done done, void *ctx)
{
	struct model_change *c = xnew(struct model_change);

	c->plan = plan;
	c->done = done;
	c->ctx = ctx;
	list_append(&m->changes, &c->node);
	run_changes(m);
}

/* ---- life ---- */

struct load {
	struct edge_model *m;
	char *error;
};

static int load_row_cb(void *ctx, enum store_table_id table, const struct store_value *values)
{
	struct load *load = ctx;
	int r;

	if (table == STORE_META) {
		if (strcmp(values[0].data, META_ACCOUNT_TAG) == 0)
			snprintf(load->m->account_tag, sizeof(load->m->account_tag), "%s",
				 (const char *)values[1].data);
		return 0;
	}
	r = model_put_row(load->m, table, values);
	if (r < 0)
		snprintf(load->error, STORE_ERROR_MAX, "table %s: a row can't be read (key %s)",
			 store_tables[table].name, (const char *)values[0].data);
	return r;
}

static void make_account_tag(char out[EDGE_ACCOUNT_TAG_MAX])
{
	char hex[SHA256_HEX_MAX];
	uint8_t seed[16];

	random_bytes(seed, sizeof(seed));
	sha256_hex(seed, sizeof(seed), hex);
	snprintf(out, EDGE_ACCOUNT_TAG_MAX, "%.*s", EDGE_ACCOUNT_TAG_MAX - 1, hex);
}

/* What has failed to be saved here goes with the next batch. */
static void first_rows_written_cb(void *ctx, const struct store_batch *batch, int status,
				  const char *error)
{
	struct edge_model *m = ctx;

	(void)batch;
	m->has_first_rows = status == 0;
	if (status < 0 && status != -ESHUTDOWN)
		log_error("the database can't be written", log_text("reason", error));
}

static int make_first_records(struct edge_model *m)
{
	struct vnet v = {.id = uuid_random(), .name = FIRST_VNET_NAME, .is_default = true};
	bool is_new = !m->account_tag[0] || m->vnets.n == 0;
	int r = 0;

	if (!m->account_tag[0])
		make_account_tag(m->account_tag);
	if (m->vnets.n == 0)
		r = vnet_table_put(&m->vnets, &v);
	if (is_new && r == 0)
		store_commit(m->store, model_batch(m), first_rows_written_cb, m);
	m->has_first_rows = true;
	return r;
}

int edge_model_new(struct edge_model **modelp, struct store *store, int64_t route_hold_ms,
		   const struct edge_model_events *events, void *ctx, int64_t now_ms,
		   char error[STORE_ERROR_MAX])
{
	CLEANUP(edge_model_free) struct edge_model *m = xnew(struct edge_model);
	struct load load = {.m = m, .error = error};
	int r;

	m->store = store;
	m->route_hold_ms = route_hold_ms;
	m->loaded_ms = now_ms;
	list_init(&m->changes);
	r = store_load(store, load_row_cb, &load, error);
	if (r == 0)
		r = make_first_records(m);
	if (r < 0)
		return err_trace(r);
	policies_settle(m);
	adverts_settle(m);
	m->events = events;
	m->ctx = ctx;
	edge_model_tick(m, now_ms);
	*modelp = steal_ptr(m);
	return 0;
}

struct edge_model *edge_model_free(struct edge_model *m)
{
	if (m) {
		model_drop_all(m);
		route_table_free(m->routes);
		free(m->verdicts);
		free(m);
	}
	return NULL;
}

/* ---- time ---- */

void edge_model_set_route_hold(struct edge_model *m, int64_t route_hold_ms)
{
	m->route_hold_ms = route_hold_ms;
}

static void expire_key(struct edge_model *m, struct edge_tunnel *t, const struct edge_key *key)
{
	struct store_batch *batch = model_batch(m);
	struct store_change drop = {
		.table = STORE_TUNNEL_SECRET,
		.n_values = 2,
		.is_delete = true,
	};
	char id[UUID_TEXT_MAX];

	log_info("tunnel secret expired", log_text("tunnel", t->name), log_text("secret", key->id));
	drop.values[0] = store_text(uuid_format(&t->id, id));
	drop.values[1] = store_text(key->id);
	store_batch_delete(batch, STORE_TUNNEL_SECRET, drop.values, 2);
	model_write_behind(m, batch);
	model_drop_rows(m, &drop);
}

static void expire_keys(struct edge_model *m, struct edge_tunnel *t, int64_t now_ms)
{
	for (size_t i = t->n_keys; i-- > 0;) {
		struct edge_key key = t->keys[i];

		if (key.expires_ms > 0 && key.expires_ms <= now_ms)
			expire_key(m, t, &key);
	}
}

void edge_model_tick(struct edge_model *m, int64_t now_ms)
{
	for (size_t i = 0; i < m->n_tunnels; i++)
		expire_keys(m, m->tunnels[i], now_ms);
	adverts_expire(m, now_ms);
}

/* ---- reading ---- */

const char *edge_model_account_tag(const struct edge_model *m)
{
	return m->account_tag;
}

size_t edge_model_n_tunnels(const struct edge_model *m)
{
	return m->n_tunnels;
}

const struct edge_tunnel *edge_model_tunnel_at(const struct edge_model *m, size_t i)
{
	return m->tunnels[i];
}

const struct edge_tunnel *edge_model_tunnel_by_id(const struct edge_model *m, const struct uuid *id)
{
	return model_tunnel(m, id);
}

const struct edge_tunnel *edge_model_tunnel_find(const struct edge_model *m, const char *text)
{
	struct uuid id;

	for (size_t i = 0; i < m->n_tunnels; i++)
		if (strcmp(m->tunnels[i]->name, text) == 0)
			return m->tunnels[i];
	return uuid_parse(text, &id) == 0 ? model_tunnel(m, &id) : NULL;
}

size_t edge_model_n_clients(const struct edge_model *m)
{
	return m->n_clients;
}

const struct edge_client *edge_model_client_at(const struct edge_model *m, size_t i)
{
	return m->clients[i];
}

const struct edge_client *edge_model_client_by_id(const struct edge_model *m, const struct uuid *id)
{
	for (size_t i = 0; i < m->n_clients; i++)
		if (uuid_equal(&m->clients[i]->id, id))
			return m->clients[i];
	return NULL;
}

const struct edge_client *edge_model_client_find(const struct edge_model *m, const char *text)
{
	struct uuid id;

	for (size_t i = 0; i < m->n_clients; i++)
		if (strcmp(m->clients[i]->name, text) == 0)
			return m->clients[i];
	return uuid_parse(text, &id) == 0 ? edge_model_client_by_id(m, &id) : NULL;
}

const struct vnet_table *edge_model_vnets(const struct edge_model *m)
{
	return &m->vnets;
}
