/* SPDX-License-Identifier: Apache-2.0 */
#include "client/client_credentials.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/diag.h"
#include "base/err.h"
#include "base/secret.h"

#define VERSION	      1
#define TOKEN_PREFIX  "adit_"
#define PATH_VARIABLE "ADIT_CLIENT_CREDENTIALS"
#define HOME_PATH     ".config/adit/client.json"

/* ---- keys ---- */

/* Takes @value; 0, or -EINVAL with the reason, which never quotes it, in *@whyp. */
typedef int (*take_fn)(struct client_credentials *c, const json_t *value, const char **whyp);

static int take_line(char *out, size_t n_out, const json_t *value, const char **whyp)
{
	const char *text = json_string_value(value);

	*whyp = "must be a text without control characters, not too long";
	if (!text || json_string_length(value) >= n_out)
		return -EINVAL;
	for (const char *p = text; *p; p++) {
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			return -EINVAL;
	}
	memcpy(out, text, strlen(text) + 1);
	return 0;
}

static int take_version(struct client_credentials *c UNUSED, const json_t *value, const char **whyp)
{
	*whyp = "this adit reads version 1 only: update it";
	return json_is_integer(value) && json_integer_value(value) == VERSION ? 0 : -EINVAL;
}

static int take_name(struct client_credentials *c, const json_t *value, const char **whyp)
{
	return take_line(c->name, sizeof(c->name), value, whyp);
}

static int take_email(struct client_credentials *c, const json_t *value, const char **whyp)
{
	return take_line(c->email, sizeof(c->email), value, whyp);
}

static int take_server_name(struct client_credentials *c, const json_t *value, const char **whyp)
{
	char with_port[HOST_NAME_MAX_LEN + 8];
	struct client_edge edge;
	struct ip_addr ip;
	int r = take_line(c->server_name, sizeof(c->server_name), value, whyp);

	if (r < 0)
		return r;
	*whyp = "must be a host name or an IP address";
	snprintf(with_port, sizeof(with_port), "%s:1", c->server_name);
	return ip_parse(c->server_name, &ip) == 0 ? 0 : client_edge_parse(with_port, &edge);
}

static int take_edges(struct client_credentials *c, const json_t *value, const char **whyp)
{
	size_t n = json_array_size(value);

	*whyp = "must be a list of 1 to 16 \"host:port\"";
	if (n == 0 || n > CLIENT_EDGES_MAX)
		return -EINVAL;
	for (size_t i = 0; i < n; i++) {
		const char *text = json_string_value(json_array_get(value, i));

		if (!text || client_edge_parse(text, &c->edges[i]) < 0)
			return -EINVAL;
	}
	c->n_edges = n;
	return 0;
}

static int take_ca(struct client_credentials *c, const json_t *value, const char **whyp)
{
	const char *text = json_string_value(value);

	*whyp = "must be certificates in PEM";
	if (!text || !strstr(text, "-----BEGIN CERTIFICATE-----"))
		return -EINVAL;
	c->ca_pem = xstrdup(text);
	return 0;
}

/* It becomes a header's value. */
static int take_token(struct client_credentials *c, const json_t *value, const char **whyp)
{
	const char *text = json_string_value(value);
	size_t n = json_string_length(value);

	*whyp = "not a client's token (" TOKEN_PREFIX "ID.SECRET): is it copied whole?";
	if (!text || n >= sizeof(c->token) ||
	    strncmp(text, TOKEN_PREFIX, strlen(TOKEN_PREFIX)) != 0)
		return -EINVAL;
	for (const char *p = text; *p; p++) {
		if (*p <= ' ' || *p > '~')
			return -EINVAL;
	}
	memcpy(c->token, text, n + 1);
	return 0;
}

static const struct key_row {
	const char *key;
	take_fn take;
	bool is_required;
} rows[] = {
	{"version", take_version, true},
	{"name", take_name, true},
	{"email", take_email, false},
	{"edges", take_edges, true},
	{"ca", take_ca, true},
	{"token", take_token, true},
	{"server_name", take_server_name, false},
};

/* ---- the file ---- */

/* jansson's copy of the token must not outlive this. */
static void free_json(json_t *root)
{
	json_t *token = json_object_get(root, "token");

	if (json_is_string(token))
		explicit_bzero((void *)(uintptr_t)json_string_value(token),
			       json_string_length(token));
	json_decref(root);
}
DEFINE_CLEANUP(json_t *, free_json);

static int take_row(struct client_credentials *c, const json_t *root, const struct key_row *row,
		    struct diag *diag)
{
	const json_t *value = json_object_get(root, row->key);
	const char *why = "missing";

	if (!value || json_is_null(value)) {
		if (!row->is_required)
			return 0;
	} else if (row->take(c, value, &why) == 0) {
		return 0;
	}
	diag_add(diag, DIAG_ERROR, 0, "%s: %s", row->key, why);
	return -EINVAL;
}

int client_credentials_parse(const char *text, size_t n, struct client_credentials **credp,
			     struct diag *diag)
{
	CLEANUP(client_credentials_free)
	struct client_credentials *c = xnew(struct client_credentials);
	json_error_t error;
	int r = 0;

	CLEANUP(free_json) json_t *root = json_loadb(text, n, JSON_REJECT_DUPLICATES, &error);
	if (!json_is_object(root)) {
		diag_add(diag, DIAG_ERROR, 0, "not a JSON object (line %d)", root ? 1 : error.line);
		return -EINVAL;
	}
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (take_row(c, root, &rows[i], diag) < 0)
			r = -EINVAL;
	}
	if (r == 0)
		*credp = steal_ptr(c);
	return r;
}

static int parse_and_blame(const char *path, const struct secret *secret,
			   struct client_credentials **credp, struct diag *diag)
{
	struct diag found;
	int r;

	diag_init(&found, NULL);
	r = client_credentials_parse((const char *)secret->bytes, secret->n, credp, &found);
	for (size_t i = 0; i < found.n_items; i++)
		diag_add(diag, DIAG_ERROR, 0, "%s: %s", path, found.items[i].text);
	diag_deinit(&found);
	return r;
}

int client_credentials_path(char out[CLIENT_PATH_MAX])
{
	const char *set = getenv(PATH_VARIABLE);
	const char *home = getenv("HOME");
	int n;

	if (set && *set)
		n = snprintf(out, CLIENT_PATH_MAX, "%s", set);
	else if (home && *home)
		n = snprintf(out, CLIENT_PATH_MAX, "%s/" HOME_PATH, home);
	else
		return -ENOENT;
	return n > 0 && n < CLIENT_PATH_MAX ? 0 : -ENAMETOOLONG;
}

int client_credentials_load(const char *path, struct client_credentials **credp, struct diag *diag)
{
	char default_path[CLIENT_PATH_MAX];
	struct secret secret = {0};
	int r;

	if (!path) {
		r = client_credentials_path(default_path);
		if (r < 0) {
			diag_add(diag, DIAG_ERROR, 0,
				 "no credentials: give --credentials FILE or set " PATH_VARIABLE);
			return r;
		}
		path = default_path;
	}
	r = secret_read_file(path, &secret, diag);
	if (r == -ENOENT)
		diag_add(diag, DIAG_ERROR, 0,
			 "ask for the file that `adit-edge client add` wrote, or give "
			 "--credentials FILE");
	if (r < 0)
		return r;
	r = parse_and_blame(path, &secret, credp, diag);
	secret_wipe(&secret);
	return r;
}

void client_credentials_free(struct client_credentials *c)
{
	if (!c)
		return;
	free(c->ca_pem);
	explicit_bzero(c, sizeof(*c));
	free(c);
}

int client_edge_parse(const char *text, struct client_edge *edgep)
{
	return host_port_parse(text, edgep->host, &edgep->port);
}
