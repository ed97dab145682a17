/* SPDX-License-Identifier: Apache-2.0 */
/* Commands about tunnels and their secrets. */
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "base/clock.h"
#include "edge/admin_private.h"
#include "wire/tls_crypto.h"

#define SECRET_ID_BYTES	 4
#define SECRET_TEXT_MAX	 48 /* base64 of EDGE_SECRET_BYTES with NUL */
#define TOKEN_JSON_MAX	 256
#define TOKEN_TEXT_MAX	 352 /* base64 of that */
#define GRACE_DEFAULT_MS (3600LL * 1000)
#define GRACE_MAX_MS	 (30LL * 24 * 3600 * 1000)

static void put_tunnel(struct store_batch *batch, const struct edge_tunnel *t)
{
	char id[UUID_TEXT_MAX];
	const struct store_value values[] = {
		store_text(uuid_format(&t->id, id)),
		store_text(t->name),
		store_text(t->account_tag),
		store_int(t->created_ms),
	};

	store_batch_put(batch, STORE_TUNNEL, values);
}

static void put_secret(struct store_batch *batch, const struct uuid *tunnel,
		       const struct edge_key *key)
{
	char id[UUID_TEXT_MAX];
	const struct store_value values[] = {
		store_text(uuid_format(tunnel, id)),
		store_text(key->id),
		store_blob(key->sha256, sizeof(key->sha256)),
		store_int(key->created_ms),
		store_int(key->expires_ms),
	};

	store_batch_put(batch, STORE_TUNNEL_SECRET, values);
}

static void delete_secret(struct store_batch *batch, const struct uuid *tunnel, const char *key_id)
{
	char id[UUID_TEXT_MAX];
	const struct store_value values[] = {
		store_text(uuid_format(tunnel, id)),
		store_text(key_id),
	};

	store_batch_delete(batch, STORE_TUNNEL_SECRET, values, 2);
}

/* The answer in cloudflared's two formats: the credentials file and the token. */
static json_t *pack_credentials(const struct edge_tunnel *t, const char *key_id, const char *secret)
{
	char json[TOKEN_JSON_MAX];
	char token[TOKEN_TEXT_MAX];
	char id[UUID_TEXT_MAX];
	json_t *result;
	int n;

	uuid_format(&t->id, id);
	n = snprintf(json, sizeof(json), "{\"a\":\"%s\",\"s\":\"%s\",\"t\":\"%s\"}", t->account_tag,
		     secret, id);
	base64_encode(json, (size_t)n, token);
	result = json_pack("{s:s, s:s, s:s, s:s, s:{s:s, s:s, s:s, s:s}}", "tunnel", t->name, "id",
			   id, "secret_id", key_id, "token", token, "credentials", "AccountTag",
			   t->account_tag, "TunnelSecret", secret, "TunnelID", id, "Endpoint", "");
	explicit_bzero(json, sizeof(json));
	explicit_bzero(token, sizeof(token));
	return result;
}

/* Adds a new secret of @t to @batch. Returns the answer that tells it. */
static json_t *mint_secret(struct store_batch *batch, const struct edge_tunnel *t, int64_t now_ms)
{
	struct edge_key key = {.created_ms = now_ms};
	uint8_t secret[EDGE_SECRET_BYTES];
	char text[SECRET_TEXT_MAX];
	json_t *result;

	random_bytes(secret, sizeof(secret));
	sha256(secret, sizeof(secret), key.sha256);
	admin_key_id(SECRET_ID_BYTES, key.id);
	base64_encode(secret, sizeof(secret), text);
	put_secret(batch, &t->id, &key);
	result = pack_credentials(t, key.id, text);
	explicit_bzero(secret, sizeof(secret));
	explicit_bzero(text, sizeof(text));
	return result;
}

ADMIN_CHANGE(tunnel_create)
{
	struct edge_tunnel t = {.id = uuid_random(), .created_ms = c->now_ms};
	const char *name;

	if (arg_new_name(c->args, &name, failp) < 0)
		return -1;
	if (edge_model_tunnel_find(m, name))
		return edge_fail(failp, "conflict", "there is a tunnel %s already", name);
	if (edge_model_n_tunnels(m) >= EDGE_TUNNELS_MAX)
		return edge_fail(failp, "conflict", "there are %d tunnels, the most there can be",
				 EDGE_TUNNELS_MAX);
	snprintf(t.name, sizeof(t.name), "%s", name);
	snprintf(t.account_tag, sizeof(t.account_tag), "%s", edge_model_account_tag(m));
	put_tunnel(batch, &t);
	c->result = mint_secret(batch, &t, c->now_ms);
	return 0;
}

ADMIN_CHANGE(tunnel_delete)
{
	const struct edge_tunnel *t;
	char id[UUID_TEXT_MAX];

	if (arg_tunnel(m, c->args, &t, failp) < 0)
		return -1;
	store_batch_delete(batch, STORE_TUNNEL,
			   (const struct store_value[]){store_text(uuid_format(&t->id, id))}, 1);
	c->result = json_pack("{s:s}", "tunnel", t->name);
	return 0;
}

static int check_room(const struct edge_tunnel *t, struct edge_failure *failp)
{
	if (t->n_keys < EDGE_SECRETS_MAX)
		return 0;
	return edge_fail(failp, "conflict",
			 "tunnel %s has %d secrets, the most there can be: adit-edge tunnel secret "
			 "revoke %s ID",
			 t->name, EDGE_SECRETS_MAX, t->name);
}

ADMIN_CHANGE(tunnel_token)
{
	const struct edge_tunnel *t;

	if (arg_tunnel(m, c->args, &t, failp) < 0 || check_room(t, failp) < 0)
		return -1;
	c->result = mint_secret(batch, t, c->now_ms);
	return 0;
}

static int get_grace(const struct json_t *args, int64_t *gracep, struct edge_failure *failp)
{
	const json_t *value = json_object_get(args, "grace_ms");
	int64_t grace = value ? json_integer_value(value) : GRACE_DEFAULT_MS;

	if ((value && !json_is_integer(value)) || grace < 0 || grace > GRACE_MAX_MS)
		return edge_fail(failp, "invalid", "grace must be between 0 and 30 days");
	*gracep = grace;
	return 0;
}

/* Ends @key at @end_ms, if it does not end before. */
static void end_secret(struct store_batch *batch, const struct edge_tunnel *t,
		       const struct edge_key *key, int64_t end_ms)
{
	struct edge_key ending = *key;

	if (key->expires_ms != 0 && key->expires_ms < end_ms)
		return;
	ending.expires_ms = end_ms;
	put_secret(batch, &t->id, &ending);
}

ADMIN_CHANGE(tunnel_rotate)
{
	const struct edge_tunnel *t;
	int64_t grace_ms;

	if (arg_tunnel(m, c->args, &t, failp) < 0 || get_grace(c->args, &grace_ms, failp) < 0)
		return -1;
	if (grace_ms > 0 && check_room(t, failp) < 0)
		return -1;
	for (size_t i = 0; i < t->n_keys; i++)
		if (grace_ms == 0)
			delete_secret(batch, &t->id, t->keys[i].id);
		else
			end_secret(batch, t, &t->keys[i], c->now_ms + grace_ms);
	c->result = mint_secret(batch, t, c->now_ms);
	return 0;
}

ADMIN_CHANGE(tunnel_secret_revoke)
{
	const char *id = arg_need_text(c->args, "secret", failp);
	const struct edge_tunnel *t;

	if (!id || arg_tunnel(m, c->args, &t, failp) < 0)
		return -1;
	for (size_t i = 0; i < t->n_keys; i++) {
		if (strcmp(t->keys[i].id, id) != 0)
			continue;
		delete_secret(batch, &t->id, id);
		c->result = json_pack("{s:s, s:s, s:i}", "tunnel", t->name, "secret_id", id, "left",
				      (int)t->n_keys - 1);
		return 0;
	}
	return edge_fail(failp, "not-found",
			 "tunnel %s has no secret %.40s: see adit-edge tunnel secret list %s",
			 t->name, id, t->name);
}

/* ---- reading ---- */

static json_t *list_secrets(const struct edge_tunnel *t)
{
	json_t *rows = json_array();

	for (size_t i = 0; i < t->n_keys; i++)
		json_array_append_new(rows,
				      json_pack("{s:s, s:o, s:o}", "id", t->keys[i].id, "created",
						admin_time(t->keys[i].created_ms), "expires",
						admin_time(t->keys[i].expires_ms)));
	return rows;
}

void admin_tunnel_secret_list(void *ctx, struct ctrl_request *req, const struct json_t *args)
{
	const struct edge_admin *a = ctx;
	const struct edge_tunnel *t;
	struct edge_failure fail;

	if (arg_tunnel(a->model, args, &t, &fail) < 0)
		admin_refuse(req, &fail);
	else
		admin_reply_list(req, "secrets", list_secrets(t));
}

static void count_view(void *ctx, const struct advert_view *view)
{
	*(json_int_t *)ctx += !*view->reason;
}

static json_t *pack_tunnel(const struct edge_admin *a, const struct edge_tunnel *t)
{
	struct edge_tunnel_health h = {0};
	json_int_t n_routes = 0;

	a->ops->tunnel_health(a->runtime, &t->id, t->seen_ms != 0, &h);
	edge_advert_each(a->model, &t->id, count_view, &n_routes);
	return json_pack("{s:s, s:o, s:s, s:i, s:i, s:i, s:I, s:i, s:o, s:o}", "name", t->name,
			 "id", admin_uuid(&t->id), "state", health_name(h.state), "connections",
			 (int)h.n_connections, "expected", (int)h.n_expected, "connectors",
			 (int)h.n_connectors, "routes", n_routes, "secrets", (int)t->n_keys,
			 "created", admin_time(t->created_ms), "seen", admin_time(t->seen_ms));
}

void admin_tunnel_list(void *ctx, struct ctrl_request *req, const struct json_t *args)
{
	const struct edge_admin *a = ctx;
	json_t *rows = json_array();

	(void)args;
	for (size_t i = 0; i < edge_model_n_tunnels(a->model); i++)
		json_array_append_new(rows, pack_tunnel(a, edge_model_tunnel_at(a->model, i)));
	admin_reply_list(req, "tunnels", rows);
}

static void append_view(void *ctx, const struct advert_view *view)
{
	json_t *row =
		json_pack("{s:o, s:s, s:s, s:s, s:s, s:s, s:o}", "connector",
			  admin_uuid(&view->connector), "network", view->network, "virtual_network",
			  view->virtual_network, "comment", view->comment, "state",
			  *view->reason	  ? "refused"
			  : view->is_live ? "live"
					  : "held",
			  "reason", view->reason, "held_until",
			  admin_time(view->is_live ? 0 : view->held_until_ms));

	json_array_append_new(ctx, row);
}

void admin_tunnel_info(void *ctx, struct ctrl_request *req, const struct json_t *args)
{
	const struct edge_admin *a = ctx;
	const struct edge_tunnel *t;
	struct edge_failure fail;
	json_t *info, *routes;

	if (arg_tunnel(a->model, args, &t, &fail) < 0) {
		admin_refuse(req, &fail);
		return;
	}
	routes = json_array();
	edge_advert_each(a->model, &t->id, append_view, routes);
	info = pack_tunnel(a, t);
	json_object_set_new(info, "account_tag", json_string(t->account_tag));
	json_object_set_new(info, "secret_list", list_secrets(t));
	json_object_set_new(info, "connector_list", a->ops->connectors(a->runtime, &t->id));
	json_object_set_new(info, "advertised", routes);
	ctrl_reply_ok(req, info);
}
