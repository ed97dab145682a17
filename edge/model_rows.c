/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows to memory and out of it: at load and after each commit. A row replaces the one with its
 * key. Dropping something tells the runtime, so that what rested on it is cut.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "base/err.h"
#include "edge/model_private.h"

void *array_grow(void *items, size_t n, size_t item_size)
{
	/* Capacity is the next power of two, so only a full one has to move. */
	if (n & (n - 1))
		return items;
	return reallocarray(items, n ? 2 * n : 1, item_size);
}

void array_cut(void *items, size_t n, size_t i, size_t item_size)
{
	char *gap = (char *)items + i * item_size;

	memmove(gap, gap + item_size, (n - i - 1) * item_size);
}

/* ---- reading values ---- */

bool row_get_uuid(const struct store_value *v, struct uuid *idp)
{
	return uuid_parse(v->data, idp) == 0;
}

bool row_get_prefix(const struct store_value *v, struct prefix *prefixp)
{
	return prefix_parse(v->data, prefixp) == 0;
}

bool row_get_text(const struct store_value *v, char *out, size_t n_out)
{
	if (v->n_data >= n_out)
		return false;
	memcpy(out, v->data, v->n_data);
	out[v->n_data] = '\0';
	return true;
}

static bool get_sha256(const struct store_value *v, struct edge_key *key)
{
	if (v->n_data != sizeof(key->sha256))
		return false;
	memcpy(key->sha256, v->data, sizeof(key->sha256));
	return true;
}

/* ---- networks ---- */

static int put_vnet(struct edge_model *m, const struct store_value *v)
{
	struct vnet vnet = {.is_default = v[3].number != 0};
	const struct vnet *old;

	if (!row_get_uuid(&v[0], &vnet.id) || !row_get_text(&v[1], vnet.name, sizeof(vnet.name)) ||
	    !row_get_text(&v[2], vnet.comment, sizeof(vnet.comment)))
		return -EBADMSG;
	old = vnet_table_by_id(&m->vnets, &vnet.id);
	m->has_new_names |= old && strcmp(old->name, vnet.name) != 0;
	m->is_stale = true;
	return vnet_table_put(&m->vnets, &vnet);
}

static void drop_vnet(struct edge_model *m, const struct store_value *v, unsigned int n)
{
	struct uuid id;

	(void)n;
	if (row_get_uuid(&v[0], &id) && vnet_table_remove(&m->vnets, &id) == 0)
		m->is_stale = true;
}

/* ---- tunnels ---- */

struct edge_tunnel *model_tunnel(const struct edge_model *m, const struct uuid *id)
{
	for (size_t i = 0; i < m->n_tunnels; i++)
		if (uuid_equal(&m->tunnels[i]->id, id))
			return m->tunnels[i];
	return NULL;
}

static struct edge_tunnel *tunnel_of(const struct edge_model *m, const struct store_value *v)
{
	struct uuid id;

	return row_get_uuid(v, &id) ? model_tunnel(m, &id) : NULL;
}

static struct edge_tunnel *add_tunnel(struct edge_model *m, const struct uuid *id)
{
	struct edge_tunnel **tunnels =
		array_grow(m->tunnels, m->n_tunnels, sizeof(struct edge_tunnel *));
	struct edge_tunnel *t;

	if (!tunnels)
		return NULL;
	m->tunnels = tunnels;
	t = xnew(struct edge_tunnel);
	t->id = *id;
	tunnels[m->n_tunnels++] = t;
	return t;
}

static int put_tunnel(struct edge_model *m, const struct store_value *v)
{
	struct edge_tunnel *t;
	struct uuid id;

	if (!row_get_uuid(&v[0], &id))
		return -EBADMSG;
	t = model_tunnel(m, &id);
	if (!t)
		t = add_tunnel(m, &id);
	if (!t)
		return -ENOMEM;
	t->created_ms = v[3].number;
	if (!row_get_text(&v[1], t->name, sizeof(t->name)) ||
	    !row_get_text(&v[2], t->account_tag, sizeof(t->account_tag)))
		return -EBADMSG;
	return 0;
}

static int put_tunnel_seen(struct edge_model *m, const struct store_value *v)
{
	struct edge_tunnel *t = tunnel_of(m, &v[0]);

	if (!t)
		return -EBADMSG;
	t->seen_ms = v[1].number;
	return 0;
}

static void free_tunnel(struct edge_tunnel *t)
{
	for (size_t i = 0; i < t->n_adverts; i++)
		advert_free(t->adverts[i]);
	free(t->adverts);
	free(t->grants);
	free(t->networks);
	free(t);
}

static void drop_tunnel(struct edge_model *m, const struct store_value *v, unsigned int n)
{
	struct edge_tunnel *t = tunnel_of(m, &v[0]);
	struct uuid id;
	size_t i = 0;

	(void)n;
	if (!t)
		return;
	id = t->id;
	while (m->tunnels[i] != t)
		i++;
	array_cut(m->tunnels, m->n_tunnels--, i, sizeof(struct edge_tunnel *));
	model_operator_routes_drop_tunnel(m, &id);
	free_tunnel(t);
	m->is_stale = true;
	if (m->events && m->events->on_tunnel_gone)
		m->events->on_tunnel_gone(m->ctx, &id);
}

/* ---- keys: secrets of tunnels, tokens of clients ---- */

static int put_key(struct edge_key *keys, size_t *np, size_t max, const struct edge_key *key)
{
	size_t i = 0;

	while (i < *np && strcmp(keys[i].id, key->id) != 0)
		i++;
	if (i == max)
		return -EBADMSG;
	keys[i] = *key;
	if (i == *np)
		(*np)++;
	return 0;
}

/* Takes key @i out of @keys into *@keyp if @id (NULL: any) is its. */
static bool take_key(struct edge_key *keys, size_t *np, size_t i, const char *id,
		     struct edge_key *keyp)
{
	if (id && strcmp(keys[i].id, id) != 0)
		return false;
	*keyp = keys[i];
	array_cut(keys, *np, i, sizeof(*keys));
	(*np)--;
	return true;
}

static int put_secret(struct edge_model *m, const struct store_value *v)
{
	struct edge_tunnel *t = tunnel_of(m, &v[0]);
	struct edge_key key = {.created_ms = v[3].number, .expires_ms = v[4].number};

	if (!t || !row_get_text(&v[1], key.id, sizeof(key.id)) || !get_sha256(&v[2], &key))
		return -EBADMSG;
	return put_key(t->keys, &t->n_keys, EDGE_SECRETS_MAX, &key);
}

static void drop_secret(struct edge_model *m, const struct store_value *v, unsigned int n)
{
	struct edge_tunnel *t = tunnel_of(m, &v[0]);
	const char *id = n > 1 ? v[1].data : NULL;
	struct edge_key key;

	for (size_t i = t ? t->n_keys : 0; i-- > 0;)
		if (take_key(t->keys, &t->n_keys, i, id, &key) && m->events &&
		    m->events->on_secret_gone)
			m->events->on_secret_gone(m->ctx, &t->id, key.id);
}

/* ---- grants of tunnels ---- */

static int put_tunnel_grant(struct edge_model *m, const struct store_value *v)
{
	struct edge_tunnel *t = tunnel_of(m, &v[0]);
	struct tunnel_grant g = {.override = v[3].number != 0};
	struct tunnel_grant *grants;
	size_t i = 0;

	if (!t || !row_get_uuid(&v[1], &g.vnet) || !row_get_prefix(&v[2], &g.prefix))
		return -EBADMSG;
	while (i < t->n_grants && !(uuid_equal(&t->grants[i].vnet, &g.vnet) &&
				    prefix_equal(&t->grants[i].prefix, &g.prefix)))
		i++;
	if (i == t->n_grants) {
		grants = array_grow(t->grants, t->n_grants, sizeof(*grants));
		if (!grants)
			return -ENOMEM;
		t->grants = grants;
		t->n_grants++;
	}
	t->grants[i] = g;
	t->has_other_grants = true;
	m->is_stale = true;
	return 0;
}

static void drop_tunnel_grant(struct edge_model *m, const struct store_value *v, unsigned int n)
{
	struct edge_tunnel *t = tunnel_of(m, &v[0]);
	struct prefix prefix;
	struct uuid vnet;

	if (!t || n < 3 || !row_get_uuid(&v[1], &vnet) || !row_get_prefix(&v[2], &prefix))
		return;
	for (size_t i = t->n_grants; i-- > 0;)
		if (uuid_equal(&t->grants[i].vnet, &vnet) &&
		    prefix_equal(&t->grants[i].prefix, &prefix))
			array_cut(t->grants, t->n_grants--, i, sizeof(*t->grants));
	t->has_other_grants = true;
	m->is_stale = true;
}

static int put_tunnel_network(struct edge_model *m, const struct store_value *v)
{
	struct edge_tunnel *t = tunnel_of(m, &v[0]);
	char name[VNET_NAME_MAX];
	char(*networks)[VNET_NAME_MAX];

	if (!t || !row_get_text(&v[1], name, sizeof(name)))
		return -EBADMSG;
	for (size_t i = 0; i < t->n_networks; i++)
		if (strcmp(t->networks[i], name) == 0)
			return 0;
	networks = array_grow(t->networks, t->n_networks, sizeof(*networks));
	if (!networks)
		return -ENOMEM;
	t->networks = networks;
	memcpy(networks[t->n_networks++], name, sizeof(name));
	m->is_stale = true;
	return 0;
}

static void drop_tunnel_network(struct edge_model *m, const struct store_value *v, unsigned int n)
{
	struct edge_tunnel *t = tunnel_of(m, &v[0]);

	for (size_t i = t && n > 1 ? t->n_networks : 0; i-- > 0;)
		if (strcmp(t->networks[i], v[1].data) == 0)
			array_cut(t->networks, t->n_networks--, i, sizeof(*t->networks));
	m->is_stale = true;
}

/* ---- clients ---- */

static struct edge_client *client_of(const struct edge_model *m, const struct store_value *v)
{
	struct uuid id;

	if (!row_get_uuid(v, &id))
		return NULL;
	for (size_t i = 0; i < m->n_clients; i++)
		if (uuid_equal(&m->clients[i]->id, &id))
			return m->clients[i];
	return NULL;
}

static struct edge_client *add_client(struct edge_model *m, const struct uuid *id)
{
	struct edge_client **clients =
		array_grow(m->clients, m->n_clients, sizeof(struct edge_client *));
	struct edge_client *c;

	if (!clients)
		return NULL;
	m->clients = clients;
	c = xnew(struct edge_client);
	c->id = *id;
	clients[m->n_clients++] = c;
	return c;
}

static int put_client(struct edge_model *m, const struct store_value *v)
{
	struct edge_client *c = client_of(m, &v[0]);
	struct uuid id;

	if (!row_get_uuid(&v[0], &id))
		return -EBADMSG;
	if (!c)
		c = add_client(m, &id);
	if (!c)
		return -ENOMEM;
	c->created_ms = v[3].number;
	c->revoked_ms = v[4].number;
	if (!row_get_text(&v[1], c->name, sizeof(c->name)) ||
	    !row_get_text(&v[2], c->email, sizeof(c->email)))
		return -EBADMSG;
	return 0;
}

static void drop_tokens(struct edge_model *m, struct edge_client *c, const char *id)
{
	struct edge_key key;

	for (size_t i = c->n_tokens; i-- > 0;)
		if (take_key(c->tokens, &c->n_tokens, i, id, &key) && m->events &&
		    m->events->on_token_gone)
			m->events->on_token_gone(m->ctx, &c->id, key.id);
}

static void free_client(struct edge_client *c)
{
	free(c->grants);
	free(c);
}

static void drop_client(struct edge_model *m, const struct store_value *v, unsigned int n)
{
	struct edge_client *c = client_of(m, &v[0]);
	size_t i = 0;

	(void)n;
	if (!c)
		return;
	drop_tokens(m, c, NULL);
	while (m->clients[i] != c)
		i++;
	array_cut(m->clients, m->n_clients--, i, sizeof(struct edge_client *));
	free_client(c);
}

static int put_token(struct edge_model *m, const struct store_value *v)
{
	struct edge_client *c = client_of(m, &v[0]);
	struct edge_key key = {.created_ms = v[3].number};

	if (!c || !row_get_text(&v[1], key.id, sizeof(key.id)) || !get_sha256(&v[2], &key))
		return -EBADMSG;
	return put_key(c->tokens, &c->n_tokens, EDGE_TOKENS_MAX, &key);
}

static void drop_token(struct edge_model *m, const struct store_value *v, unsigned int n)
{
	struct edge_client *c = client_of(m, &v[0]);

	if (c)
		drop_tokens(m, c, n > 1 ? v[1].data : NULL);
}

static size_t find_client_grant(const struct edge_client *c, const struct client_grant *g)
{
	size_t i = 0;

	while (i < c->n_grants && !(uuid_equal(&c->grants[i].vnet, &g->vnet) &&
				    prefix_equal(&c->grants[i].prefix, &g->prefix)))
		i++;
	return i;
}

static void tell_access_changed(struct edge_model *m, const struct edge_client *c)
{
	if (m->events && m->events->on_access_changed)
		m->events->on_access_changed(m->ctx, &c->id);
}

static int put_client_grant(struct edge_model *m, const struct store_value *v)
{
	struct edge_client *c = client_of(m, &v[0]);
	struct client_grant g = {0};
	struct client_grant *grants;
	size_t i;

	if (!c || !row_get_uuid(&v[1], &g.vnet) || !row_get_prefix(&v[2], &g.prefix) ||
	    ports_parse(v[3].data, &g.ports) < 0 || transports_parse(v[4].data, &g.transports) < 0)
		return -EBADMSG;
	i = find_client_grant(c, &g);
	if (i == c->n_grants) {
		grants = array_grow(c->grants, c->n_grants, sizeof(*grants));
		if (!grants)
			return -ENOMEM;
		c->grants = grants;
		c->n_grants++;
	}
	c->grants[i] = g;
	tell_access_changed(m, c);
	return 0;
}

static void drop_client_grant(struct edge_model *m, const struct store_value *v, unsigned int n)
{
	struct edge_client *c = client_of(m, &v[0]);
	struct client_grant g = {0};
	size_t i;

	if (!c)
		return;
	if (n < 3) {
		c->n_grants = 0;
		free(c->grants);
		c->grants = NULL;
	} else if (row_get_uuid(&v[1], &g.vnet) && row_get_prefix(&v[2], &g.prefix)) {
		i = find_client_grant(c, &g);
		if (i < c->n_grants)
			array_cut(c->grants, c->n_grants--, i, sizeof(*c->grants));
	}
	tell_access_changed(m, c);
}

/* ---- operator's routes ---- */

static int put_route(struct edge_model *m, const struct store_value *v)
{
	struct operator_route r = {.created_ms = v[4].number};
	struct operator_route *place;

	if (!row_get_uuid(&v[0], &r.vnet) || !row_get_prefix(&v[1], &r.prefix) ||
	    !row_get_uuid(&v[2], &r.tunnel) || !row_get_text(&v[3], r.comment, sizeof(r.comment)))
		return -EBADMSG;
	place = model_operator_route_take(m, &r.vnet, &r.prefix);
	if (!place)
		return -ENOMEM;
	*place = r;
	m->is_stale = true;
	return 0;
}

static void drop_route(struct edge_model *m, const struct store_value *v, unsigned int n)
{
	struct prefix prefix;
	struct uuid vnet;

	if (n > 1 && row_get_uuid(&v[0], &vnet) && row_get_prefix(&v[1], &prefix) &&
	    model_operator_route_drop(m, &vnet, &prefix))
		m->is_stale = true;
}

/* ---- the table ---- */

/* Connectors' sets are only loaded: while the edge runs memory is ahead of their rows. */
static const struct {
	int (*put)(struct edge_model *m, const struct store_value *v);
	void (*drop)(struct edge_model *m, const struct store_value *v, unsigned int n);
} rows[STORE_TABLE_N] = {
	[STORE_VNET] = {put_vnet, drop_vnet},
	[STORE_TUNNEL] = {put_tunnel, drop_tunnel},
	[STORE_TUNNEL_SEEN] = {put_tunnel_seen, NULL},
	[STORE_TUNNEL_SECRET] = {put_secret, drop_secret},
	[STORE_TUNNEL_GRANT] = {put_tunnel_grant, drop_tunnel_grant},
	[STORE_TUNNEL_NETWORK] = {put_tunnel_network, drop_tunnel_network},
	[STORE_CLIENT] = {put_client, drop_client},
	[STORE_CLIENT_TOKEN] = {put_token, drop_token},
	[STORE_CLIENT_GRANT] = {put_client_grant, drop_client_grant},
	[STORE_ROUTE] = {put_route, drop_route},
	[STORE_POLICY] = {policy_put_row, policy_drop_rows},
	[STORE_ADVERT] = {advert_put_row, NULL},
	[STORE_ADVERT_ENTRY] = {advert_put_entry_row, NULL},
};

int model_put_row(struct edge_model *m, enum store_table_id table, const struct store_value *values)
{
	return rows[table].put ? rows[table].put(m, values) : 0;
}

void model_drop_rows(struct edge_model *m, const struct store_change *change)
{
	if (rows[change->table].drop)
		rows[change->table].drop(m, change->values, change->n_values);
}

void model_drop_all(struct edge_model *m)
{
	for (size_t i = 0; i < m->n_tunnels; i++)
		free_tunnel(m->tunnels[i]);
	for (size_t i = 0; i < m->n_clients; i++)
		free_client(m->clients[i]);
	free(m->tunnels);
	free(m->clients);
	free(m->policies);
	model_operator_routes_deinit(m);
	vnet_table_deinit(&m->vnets);
}
