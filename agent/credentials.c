/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nothing from inside a secret file is ever quoted in a message: neither text
 * nor what jansson says, since that shows the place it stumbled over.
 */
#include "agent/credentials.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <jansson.h>

#include "agent/settings.h"
#include "base/cleanup.h"
#include "base/diag.h"
#include "base/notify.h"
#include "base/secret.h"
#include "wire/tls_crypto.h"

#define SECRET_BYTES_MIN 16
#define JSON_FILE_NAME	 "credentials.json"
#define TOKEN_FILE_NAME	 "token"
#define SOURCE_TEXT_MAX	 4400

/* A field's name in the JSON file and in a token. */
struct field {
	const char *in_file;
	const char *in_token;
	/* 0 or -EINVAL with the reason in @diag, naming the field @name. */
	int (*set)(struct credentials *c, const char *text, const char *name, struct diag *diag);
	bool is_required;
};

/* ---- fields ---- */

static int set_account(struct credentials *c, const char *text, const char *name, struct diag *diag)
{
	size_t n = strlen(text);

	for (const char *p = text; *p; p++) {
		if (*p <= ' ' || *p > '~')
			n = SIZE_MAX;
	}
	if (n < sizeof(c->account_tag)) {
		memcpy(c->account_tag, text, n + 1);
		return 0;
	}
	diag_add(diag, DIAG_ERROR, 0, "%s: must be of at most %zu printable characters", name,
		 sizeof(c->account_tag) - 1);
	return -EINVAL;
}

static int set_tunnel(struct credentials *c, const char *text, const char *name, struct diag *diag)
{
	if (uuid_parse(text, &c->tunnel_id) == 0 && !uuid_is_nil(&c->tunnel_id))
		return 0;
	diag_add(diag, DIAG_ERROR, 0, "%s: not a tunnel id (8-4-4-4-12 hex digits)", name);
	return -EINVAL;
}

/* It becomes the first label of a DNS name. */
static int set_endpoint(struct credentials *c, const char *text, const char *name,
			struct diag *diag)
{
	static const char chars[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-";

	if (strlen(text) < sizeof(c->endpoint) && text[strspn(text, chars)] == '\0') {
		memcpy(c->endpoint, text, strlen(text) + 1);
		return 0;
	}
	diag_add(diag, DIAG_ERROR, 0, "%s: not a region (letters, digits and \"-\")", name);
	return -EINVAL;
}

static int set_secret(struct credentials *c, const char *text, const char *name, struct diag *diag)
{
	uint8_t decoded[(CREDENTIALS_SECRET_MAX / 3 + 2) * 3];
	long n = strlen(text) / 4 * 3 <= sizeof(decoded)
			 ? base64_decode(text, decoded, sizeof(decoded))
			 : CREDENTIALS_SECRET_MAX + 1;
	int r = -EINVAL;

	if (n < 0) {
		diag_add(diag, DIAG_ERROR, 0, "%s: not valid base64", name);
	} else if (n < SECRET_BYTES_MIN || n > CREDENTIALS_SECRET_MAX) {
		diag_add(diag, DIAG_ERROR, 0, "%s: must be of %d to %d bytes", name,
			 SECRET_BYTES_MIN, CREDENTIALS_SECRET_MAX);
	} else {
		memcpy(c->secret, decoded, (size_t)n);
		c->n_secret = (size_t)n;
		r = 0;
	}
	explicit_bzero(decoded, sizeof(decoded));
	return r;
}

static const struct field fields[] = {
	{"AccountTag", "a", set_account, false},
	{"TunnelSecret", "s", set_secret, true},
	{"TunnelID", "t", set_tunnel, false}, /* old files have none: then `tunnel` says it */
	{"Endpoint", "e", set_endpoint, false},
};

/* ---- JSON ---- */

/* jansson's own buffer of the text it has just read can't be reached; its values can. */
static void free_json(json_t *root)
{
	const char *key;
	json_t *value;

	json_object_foreach(root, key, value)
	{
		if (json_is_string(value))
			explicit_bzero((void *)(uintptr_t)json_string_value(value),
				       json_string_length(value));
	}
	json_decref(root);
}

DEFINE_CLEANUP(json_t *, free_json);

static const char *name_of(const struct field *field, bool is_token)
{
	return is_token ? field->in_token : field->in_file;
}

/* Go's decoder takes keys in any case; of two spellings nobody knows which one counts. */
static int find_value(const json_t *root, const char *name, const json_t **valuep,
		      struct diag *diag)
{
	json_t *object = (json_t *)(uintptr_t)root, *value;
	const char *key;

	*valuep = NULL;
	json_object_foreach(object, key, value)
	{
		if (strcasecmp(key, name) != 0)
			continue;
		if (*valuep) {
			diag_add(diag, DIAG_ERROR, 0, "%s: given twice", name);
			return -EINVAL;
		}
		*valuep = value;
	}
	return 0;
}

static int read_field(const json_t *root, const struct field *field, bool is_token,
		      struct credentials *c, struct diag *diag)
{
	const char *name = name_of(field, is_token), *text;
	const json_t *value;
	int r = find_value(root, name, &value, diag);

	if (r < 0)
		return r;
	if (!value || json_is_null(value)) {
		if (!field->is_required)
			return 0;
		diag_add(diag, DIAG_ERROR, 0, "%s: missing", name);
		return -EINVAL;
	}
	text = json_string_value(value);
	if (!text) {
		diag_add(diag, DIAG_ERROR, 0, "%s: must be a text", name);
		return -EINVAL;
	}
	return field->set(c, text, name, diag);
}

static int parse_object(const char *text, size_t n, bool is_token, struct credentials *credp,
			struct diag *diag)
{
	struct credentials c = {0};
	json_error_t error;
	int r = 0;

	CLEANUP(free_json)
	json_t *root = json_loadb(text, n, JSON_REJECT_DUPLICATES, &error);
	if (!json_is_object(root)) {
		if (is_token)
			diag_add(diag, DIAG_ERROR, 0, "not a token");
		else
			diag_add(diag, DIAG_ERROR, 0, "not a JSON object (line %d)",
				 root ? 1 : error.line);
		return -EINVAL;
	}
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		if (read_field(root, &fields[i], is_token, &c, diag) < 0)
			r = -EINVAL;
	}
	if (!r)
		*credp = c;
	credentials_wipe(&c);
	return r;
}

int credentials_parse_json(const char *text, size_t n, struct credentials *credp, struct diag *diag)
{
	return parse_object(text, n, false, credp, diag);
}

/* ---- token ---- */

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void trim(const char **textp, size_t *np)
{
	while (*np && is_space(**textp)) {
		(*textp)++;
		(*np)--;
	}
	while (*np && is_space((*textp)[*np - 1]))
		(*np)--;
}

int credentials_parse_token(const char *text, size_t n, struct credentials *credp,
			    struct diag *diag)
{
	struct secret base64 = {0}, json = {0};
	long n_json = -EINVAL;
	int r = -EINVAL;

	trim(&text, &n);
	/* As large a copy as the text itself is room enough to decode into. */
	if (secret_set(&base64, text, n) == 0 && secret_set(&json, text, n) == 0 && n &&
	    !memchr(text, '\0', n))
		n_json = base64_decode((const char *)base64.bytes, json.bytes, json.n);
	if (n_json < 0)
		diag_add(diag, DIAG_ERROR, 0, "not a token (base64): is it copied whole?");
	else
		r = parse_object((const char *)json.bytes, (size_t)n_json, true, credp, diag);
	if (!r && uuid_is_nil(&credp->tunnel_id)) {
		diag_add(diag, DIAG_ERROR, 0, "t: missing");
		credentials_wipe(credp);
		r = -EINVAL;
	}
	secret_wipe(&base64);
	secret_wipe(&json);
	return r;
}

/* ---- sources ---- */

enum source_format {
	SOURCE_TOKEN,
	SOURCE_JSON,
	SOURCE_ANY, /* JSON starts with a brace */
};

static int parse_source(const struct secret *secret, enum source_format format,
			struct credentials *credp, struct diag *diag)
{
	const char *text = (const char *)secret->bytes;
	size_t n = secret->n;

	trim(&text, &n);
	if (format == SOURCE_JSON || (format == SOURCE_ANY && n && *text == '{'))
		return credentials_parse_json(text, n, credp, diag);
	return credentials_parse_token(text, n, credp, diag);
}

/* What the parsers find is told together with where it was. */
static int parse_and_blame(struct secret *secret, enum source_format format, const char *source,
			   struct credentials *credp, struct diag *diag)
{
	struct diag found;
	int r;

	diag_init(&found, NULL);
	r = parse_source(secret, format, credp, &found);
	secret_wipe(secret);
	for (size_t i = 0; i < found.n_items; i++)
		diag_add(diag, DIAG_ERROR, 0, "%s: %s", source, found.items[i].text);
	diag_deinit(&found);
	return r;
}

static int load_file(const char *path, enum source_format format, struct credentials *credp,
		     struct diag *diag)
{
	struct secret secret = {0};
	int r = secret_read_file(path, &secret, diag);

	return r < 0 ? r : parse_and_blame(&secret, format, path, credp, diag);
}

/* -ENOENT: not there, the next source's turn. */
static int load_systemd(const char *name, enum source_format format, struct credentials *credp,
			struct diag *diag)
{
	char path[SOURCE_TEXT_MAX];

	if (!credential_path(name, path, sizeof(path)))
		return -ENOENT;
	return load_file(path, format, credp, diag);
}

static int load_env(struct credentials *credp, struct diag *diag)
{
	struct secret secret = {0};
	int r = secret_from_env("TUNNEL_TOKEN", &secret);

	if (r < 0 || !secret.n) {
		secret_wipe(&secret);
		return -ENOENT;
	}
	return parse_and_blame(&secret, SOURCE_TOKEN, "TUNNEL_TOKEN", credp, diag);
}

/* "~/" is cloudflared's; a shell would have replaced it. */
static int load_configured(const char *file, struct credentials *credp, struct diag *diag)
{
	const char *home = getenv("HOME");
	char path[SOURCE_TEXT_MAX];

	if (!file) {
		diag_add(diag, DIAG_ERROR, 0,
			 "no credentials: add the line \"credentials-file: FILE\" "
			 "(cloudflared's JSON, or a token), or give LoadCredential=token:FILE to "
			 "the service, or TUNNEL_TOKEN");
		return -EINVAL;
	}
	if (strncmp(file, "~/", 2) == 0 && home &&
	    (size_t)snprintf(path, sizeof(path), "%s%s", home, file + 1) < sizeof(path))
		file = path;
	return load_file(file, SOURCE_ANY, credp, diag);
}

static int load_first(const struct settings *s, struct credentials *credp, struct diag *diag)
{
	int r = load_env(credp, diag);

	if (r == -ENOENT)
		r = load_systemd(TOKEN_FILE_NAME, SOURCE_TOKEN, credp, diag);
	if (r == -ENOENT)
		r = load_systemd(JSON_FILE_NAME, SOURCE_JSON, credp, diag);
	if (r == -ENOENT)
		r = load_configured(s->credentials_file, credp, diag);
	return r;
}

/* `tunnel:` may be a name, which only the edge knows; an id must fit. */
static int check_tunnel(const struct settings *s, struct credentials *c, struct diag *diag)
{
	char text[UUID_TEXT_MAX];
	struct uuid id;

	if (s->tunnel && uuid_parse(s->tunnel, &id) == 0) {
		if (uuid_is_nil(&c->tunnel_id))
			c->tunnel_id = id;
		if (uuid_equal(&c->tunnel_id, &id))
			return 0;
		diag_add(diag, DIAG_ERROR, 0,
			 "tunnel: %s, but the credentials are those of tunnel %s: remove the line "
			 "or use the other credentials",
			 s->tunnel, uuid_format(&c->tunnel_id, text));
		return -EINVAL;
	}
	if (!uuid_is_nil(&c->tunnel_id))
		return 0;
	diag_add(diag, DIAG_ERROR, 0,
		 "tunnel: the credentials have no TunnelID: add the line \"tunnel: ID\"");
	return -EINVAL;
}

int credentials_load(struct credentials *credp, const struct settings *settings, struct diag *diag)
{
	struct credentials c = {0};
	int r = load_first(settings, &c, diag);

	if (!r)
		r = check_tunnel(settings, &c, diag);
	if (!r)
		*credp = c;
	credentials_wipe(&c);
	return r;
}

void credentials_wipe(struct credentials *c)
{
	explicit_bzero(c, sizeof(*c));
}
