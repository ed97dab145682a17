/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who is it? Secrets are compared as digests, with every key of the owner and in constant
 * time; which owner is meant (tunnel id, token id) is public and looked up plainly.
 */
#include <string.h>

#include "edge/model.h"
#include "wire/tls_crypto.h"

#define TOKEN_PREFIX "adit_"

/* The valid key that @digest belongs to, or NULL. Looks at all @n keys in any case. */
static const struct edge_key *match_key(const struct edge_key *keys, size_t n,
					const uint8_t digest[SHA256_BYTES], int64_t now_ms)
{
	const struct edge_key *found = NULL;

	for (size_t i = 0; i < n; i++) {
		bool is_same = bytes_equal_ct(keys[i].sha256, digest, SHA256_BYTES);
		bool is_valid = keys[i].expires_ms == 0 || keys[i].expires_ms > now_ms;

		if (is_same && is_valid)
			found = &keys[i];
	}
	return found;
}

int edge_auth_tunnel(const struct edge_model *m, const char *account_tag,
		     const struct uuid *tunnel_id, const uint8_t *secret, size_t n_secret,
		     int64_t now_ms, const struct edge_tunnel **tunnelp,
		     char key_id[EDGE_KEY_ID_MAX])
{
	const struct edge_tunnel *t = edge_model_tunnel_by_id(m, tunnel_id);
	const struct edge_key *key;
	uint8_t digest[SHA256_BYTES];

	if (!t || strcmp(t->account_tag, account_tag) != 0)
		return EDGE_AUTH_E_REFUSED;
	sha256(secret, n_secret, digest);
	key = match_key(t->keys, t->n_keys, digest, now_ms);
	if (!key)
		return EDGE_AUTH_E_REFUSED;
	memcpy(key_id, key->id, EDGE_KEY_ID_MAX);
	*tunnelp = t;
	return 0;
}

static const struct edge_key *find_token(const struct edge_client *c, const char *id, size_t n_id)
{
	for (size_t i = 0; i < c->n_tokens; i++)
		if (strlen(c->tokens[i].id) == n_id && memcmp(c->tokens[i].id, id, n_id) == 0)
			return &c->tokens[i];
	return NULL;
}

/* The token whose id is @id and its client, or NULL. */
static const struct edge_key *find_owner(const struct edge_model *m, const char *id, size_t n_id,
					 const struct edge_client **clientp)
{
	for (size_t i = 0; i < edge_model_n_clients(m); i++) {
		const struct edge_client *c = edge_model_client_at(m, i);
		const struct edge_key *key = find_token(c, id, n_id);

		if (key) {
			*clientp = c;
			return key;
		}
	}
	return NULL;
}

int edge_auth_client(const struct edge_model *m, const char *token,
		     const struct edge_client **clientp, char token_id[EDGE_KEY_ID_MAX])
{
	const struct edge_client *c = NULL;
	const struct edge_key *key;
	uint8_t digest[SHA256_BYTES];
	const char *id, *dot;

	if (strncmp(token, TOKEN_PREFIX, strlen(TOKEN_PREFIX)) != 0)
		return EDGE_AUTH_E_REFUSED;
	id = token + strlen(TOKEN_PREFIX);
	dot = strchr(id, '.');
	key = dot ? find_owner(m, id, (size_t)(dot - id), &c) : NULL;
	if (!key)
		return EDGE_AUTH_E_REFUSED;
	sha256(dot + 1, strlen(dot + 1), digest);
	if (c->revoked_ms != 0 || !match_key(key, 1, digest, 0))
		return EDGE_AUTH_E_REFUSED;
	memcpy(token_id, key->id, EDGE_KEY_ID_MAX);
	*clientp = c;
	return 0;
}
