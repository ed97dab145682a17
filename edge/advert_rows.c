/* SPDX-License-Identifier: Apache-2.0 */
/* Sets of connectors as rows, so that a restarted edge knows the routes before agents are back. */
#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "edge/model_private.h"

/* Loaded sets were complete, and nobody is connected yet. */
int advert_put_row(struct edge_model *m, const struct store_value *v)
{
	struct uuid tunnel, connector, instance;
	struct edge_tunnel *t;
	struct advert *a;

	if (uuid_parse(v[0].data, &tunnel) < 0 || uuid_parse(v[1].data, &connector) < 0 ||
	    uuid_parse(v[2].data, &instance) < 0 || v[3].n_data != ROUTE_HASH_BYTES)
		return -EBADMSG;
	t = model_tunnel(m, &tunnel);
	if (!t)
		return -EBADMSG;
	a = advert_add(t, &connector);
	if (!a)
		return -ENOMEM;
	a->instance = instance;
	memcpy(a->hash, v[3].data, sizeof(a->hash));
	a->is_complete = true;
	a->is_loaded = true;
	a->n_saved = 0;
	a->held_until_ms = v[4].number;
	if (a->held_until_ms == 0) {
		/* It was live when the edge ended: held from now on. */
		a->held_until_ms = m->loaded_ms + m->route_hold_ms;
		a->is_changed = true;
	}
	return 0;
}

static char *text_or_null(const struct store_value *v)
{
	return v->n_data > 0 ? xstrdup(v->data) : NULL;
}

int advert_put_entry_row(struct edge_model *m, const struct store_value *v)
{
	struct uuid tunnel, connector;
	struct edge_tunnel *t;
	struct advert_entry *e;
	struct advert *a;

	if (uuid_parse(v[0].data, &tunnel) < 0 || uuid_parse(v[1].data, &connector) < 0)
		return -EBADMSG;
	t = model_tunnel(m, &tunnel);
	a = t ? advert_find(t, &connector) : NULL;
	if (!a || a->set.n >= ROUTES_MAX)
		return -EBADMSG;
	e = advert_set_append(&a->set);
	if (!e)
		return -ENOMEM;
	e->kind = v[3].number == ADVERT_NETWORK ? ADVERT_NETWORK : ADVERT_ROUTE;
	e->is_saved = v[2].number == (int64_t)a->set.n - 1;
	if (a->n_saved <= (size_t)v[2].number)
		a->n_saved = (size_t)v[2].number + 1;
	e->vnet_name = text_or_null(&v[5]);
	e->comment = text_or_null(&v[6]);
	e->reason = text_or_null(&v[7]);
	if (v[4].n_data > 0 && prefix_parse(v[4].data, &e->prefix) != 0)
		return -EBADMSG;
	return 0;
}

/* Texts of the key that both tables start with. */
struct advert_key {
	char tunnel[UUID_TEXT_MAX];
	char connector[UUID_TEXT_MAX];
};

static void format_key(const struct edge_tunnel *t, const struct advert *a, struct advert_key *key)
{
	uuid_format(&t->id, key->tunnel);
	uuid_format(&a->connector, key->connector);
}

static void put_set(struct store_batch *b, const struct advert_key *key, const struct advert *a)
{
	char instance[UUID_TEXT_MAX];
	const struct store_value values[] = {
		store_text(key->tunnel),
		store_text(key->connector),
		store_text(uuid_format(&a->instance, instance)),
		store_blob(a->hash, sizeof(a->hash)),
		store_int(a->is_live ? 0 : a->held_until_ms),
	};

	store_batch_put(b, STORE_ADVERT, values);
}

static void put_entry(struct store_batch *b, const struct advert_key *key, size_t seq,
		      const struct advert_entry *e)
{
	char network[PREFIX_TEXT_MAX] = "";
	const struct store_value values[] = {
		store_text(key->tunnel),
		store_text(key->connector),
		store_int((int64_t)seq),
		store_int(e->kind),
		store_text(e->prefix.ip.family ? prefix_format(&e->prefix, network) : ""),
		store_text(e->vnet_name ? e->vnet_name : ""),
		store_text(e->comment ? e->comment : ""),
		store_text(e->reason ? e->reason : ""),
	};

	store_batch_put(b, STORE_ADVERT_ENTRY, values);
}

static void delete_set(struct store_batch *b, const struct advert_key *key)
{
	const struct store_value values[] = {
		store_text(key->tunnel),
		store_text(key->connector),
	};

	store_batch_delete(b, STORE_ADVERT, values, 2);
}

/* Rows of the former set that this one has no place for. */
static void delete_rest(struct store_batch *b, const struct advert_key *key, const struct advert *a)
{
	for (size_t i = a->set.n; i < a->n_saved; i++) {
		const struct store_value values[] = {
			store_text(key->tunnel),
			store_text(key->connector),
			store_int((int64_t)i),
		};

		store_batch_delete(b, STORE_ADVERT_ENTRY, values, 3);
	}
}

void advert_save(struct edge_model *m, const struct edge_tunnel *t, struct advert *a)
{
	struct store_batch *b = model_batch(m);
	struct advert_key key;

	format_key(t, a, &key);
	if (a->n_saved == SAVED_UNKNOWN)
		delete_set(b, &key);
	else
		delete_rest(b, &key, a);
	put_set(b, &key, a);
	for (size_t i = 0; i < a->set.n; i++) {
		if (!a->set.items[i].is_saved)
			put_entry(b, &key, i, &a->set.items[i]);
		a->set.items[i].is_saved = true;
	}
	a->n_saved = a->set.n;
	model_write_behind(m, b);
}

void advert_save_hold(struct edge_model *m, const struct edge_tunnel *t, const struct advert *a)
{
	struct store_batch *b = model_batch(m);
	struct advert_key key;

	format_key(t, a, &key);
	put_set(b, &key, a);
	model_write_behind(m, b);
}

void advert_save_removal(struct edge_model *m, const struct edge_tunnel *t, const struct advert *a)
{
	struct store_batch *b = model_batch(m);
	struct advert_key key;

	format_key(t, a, &key);
	delete_set(b, &key);
	model_write_behind(m, b);
}
