/* SPDX-License-Identifier: Apache-2.0 */
/* Commands about users of the edge: a client has a name, tokens, and grants (admin_client_grant.c).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/file.h"
#include "edge/admin_private.h"
#include "wire/tls_crypto.h"

#define TOKEN_ID_BYTES 8
#define TOKEN_MAX      96 /* "adit_", id, ".", 64 hex digits, NUL */
#define CA_FILE_MAX    65536

static void put_client(struct store_batch *batch, const struct edge_client *c)
{
	char id[UUID_TEXT_MAX];
	const struct store_value values[] = {
		store_text(uuid_format(&c->id, id)),
		store_text(c->name),
		store_text(c->email),
		store_int(c->created_ms),
		store_int(c->revoked_ms),
	};

	store_batch_put(batch, STORE_CLIENT, values);
}

static void put_token(struct store_batch *batch, const struct uuid *client,
		      const struct edge_key *key)
{
	char id[UUID_TEXT_MAX];
	const struct store_value values[] = {
		store_text(uuid_format(client, id)),
		store_text(key->id),
		store_blob(key->sha256, sizeof(key->sha256)),
		store_int(key->created_ms),
	};

	store_batch_put(batch, STORE_CLIENT_TOKEN, values);
}

/* 0 with the CA's text (caller frees), so that a credentials file is complete. */
static int read_ca(const struct edge_admin *a, char **pemp, struct edge_failure *failp)
{
	size_t n;
	int r = file_read(a->ca_file, CA_FILE_MAX, pemp, &n);

	if (r < 0)
		return edge_fail(failp, "unavailable", "%s: %s: run adit-edge init", a->ca_file,
				 strerror(-r));
	return 0;
}

/* Adds a new token of @client to @batch and sets the answer that tells it. */
static int mint_token(struct admin_change *c, struct store_batch *batch,
		      const struct edge_client *client, struct edge_failure *failp)
{
	CLEANUP(free) char *ca = NULL;
	struct edge_key key = {.created_ms = c->now_ms};
	uint8_t seed[EDGE_SECRET_BYTES];
	char secret[SHA256_HEX_MAX];
	char token[TOKEN_MAX];

	if (read_ca(c->admin, &ca, failp) < 0)
		return -1;
	random_bytes(seed, sizeof(seed));
	sha256_hex(seed, sizeof(seed), secret);
	sha256(secret, strlen(secret), key.sha256);
	admin_key_id(TOKEN_ID_BYTES, key.id);
	snprintf(token, sizeof(token), "adit_%s.%s", key.id, secret);
	put_token(batch, &client->id, &key);
	c->result = json_pack("{s:s, s:s, s:o, s:s, s:s, s:s}", "name", client->name, "email",
			      client->email, "id", admin_uuid(&client->id), "token_id", key.id,
			      "token", token, "ca", ca);
	explicit_bzero(seed, sizeof(seed));
	explicit_bzero(secret, sizeof(secret));
	explicit_bzero(token, sizeof(token));
	return 0;
}

ADMIN_CHANGE(client_add)
{
	struct edge_client client = {.id = uuid_random(), .created_ms = c->now_ms};
	const char *name, *email;

	if (arg_new_name(c->args, &name, failp) < 0 ||
	    arg_comment(c->args, "email", EDGE_EMAIL_MAX, &email, failp) < 0)
		return -1;
	if (edge_model_client_find(m, name))
		return edge_fail(failp, "conflict",
				 "there is a client %s already: adit-edge client token %s mints "
				 "one more token",
				 name, name);
	if (edge_model_n_clients(m) >= EDGE_CLIENTS_MAX)
		return edge_fail(failp, "conflict", "there are %d clients, the most there can be",
				 EDGE_CLIENTS_MAX);
	snprintf(client.name, sizeof(client.name), "%s", name);
	snprintf(client.email, sizeof(client.email), "%s", email);
	put_client(batch, &client);
	return mint_token(c, batch, &client, failp);
}

/* A revoked client is one again after that; its grants are still there. */
ADMIN_CHANGE(client_token)
{
	const struct edge_client *client;
	struct edge_client valid;

	if (arg_client(m, c->args, &client, failp) < 0)
		return -1;
	if (client->n_tokens >= EDGE_TOKENS_MAX)
		return edge_fail(failp, "conflict",
				 "client %s has %d tokens, the most there can be: adit-edge client "
				 "revoke %s --token ID",
				 client->name, EDGE_TOKENS_MAX, client->name);
	valid = *client;
	valid.revoked_ms = 0;
	if (client->revoked_ms != 0)
		put_client(batch, &valid);
	return mint_token(c, batch, client, failp);
}

static bool has_token(const struct edge_client *c, const char *id)
{
	for (size_t i = 0; i < c->n_tokens; i++)
		if (strcmp(c->tokens[i].id, id) == 0)
			return true;
	return false;
}

ADMIN_CHANGE(client_revoke)
{
	const char *token = arg_text(c->args, "token_id");
	const struct edge_client *client;
	struct edge_client revoked;
	char id[UUID_TEXT_MAX];
	struct store_value key[2];

	if (arg_client(m, c->args, &client, failp) < 0)
		return -1;
	if (token && !has_token(client, token))
		return edge_fail(failp, "not-found", "client %s has no token %.40s", client->name,
				 token);
	key[0] = store_text(uuid_format(&client->id, id));
	key[1] = store_text(token ? token : "");
	store_batch_delete(batch, STORE_CLIENT_TOKEN, key, token ? 2 : 1);
	c->result = json_pack("{s:s}", "name", client->name);
	if (token)
		return 0;
	revoked = *client;
	revoked.revoked_ms = c->now_ms;
	put_client(batch, &revoked);
	return 0;
}

ADMIN_CHANGE(client_delete)
{
	const struct edge_client *client;
	char id[UUID_TEXT_MAX];

	if (arg_client(m, c->args, &client, failp) < 0)
		return -1;
	store_batch_delete(batch, STORE_CLIENT,
			   (const struct store_value[]){store_text(uuid_format(&client->id, id))},
			   1);
	c->result = json_pack("{s:s}", "name", client->name);
	return 0;
}

static json_t *pack_client(const struct edge_client *c)
{
	json_t *tokens = json_array();

	for (size_t i = 0; i < c->n_tokens; i++)
		json_array_append_new(tokens,
				      json_pack("{s:s, s:o}", "id", c->tokens[i].id, "created",
						admin_time(c->tokens[i].created_ms)));
	return json_pack("{s:s, s:s, s:o, s:s, s:i, s:i, s:o, s:o, s:o}", "name", c->name, "email",
			 c->email, "id", admin_uuid(&c->id), "state",
			 c->revoked_ms ? "revoked" : "valid", "tokens", (int)c->n_tokens, "grants",
			 (int)c->n_grants, "created", admin_time(c->created_ms), "revoked",
			 admin_time(c->revoked_ms), "token_list", tokens);
}

void admin_client_list(void *ctx, struct ctrl_request *req, const struct json_t *args)
{
	const struct edge_admin *a = ctx;
	json_t *rows = json_array();

	(void)args;
	for (size_t i = 0; i < edge_model_n_clients(a->model); i++)
		json_array_append_new(rows, pack_client(edge_model_client_at(a->model, i)));
	admin_reply_list(req, "clients", rows);
}
