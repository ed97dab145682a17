/* SPDX-License-Identifier: Apache-2.0 */
/* `adit-edge tunnel ...` */
#include <stdio.h>
#include <stdlib.h>

#include <jansson.h>

#include "base/cleanup.h"
#include "cmd/commands.h"
#include "cmd/edge_ask.h"
#include "cmd/edge_secret_file.h"
#include "ctrl/render.h"

#define CELL_MAX 512

DEFINE_CLEANUP(json_t *, json_decref);

static const char credentials_option[] = "credentials-file";

/* ---- what mints a secret ---- */

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

static void print_token(const json_t *result)
{
	printf("tunnel %s  %s  secret %s\n%s\n", text_of(result, "tunnel"), text_of(result, "id"),
	       text_of(result, "secret_id"), text_of(result, "token"));
}

/* The secret goes to the file, the rest is said. */
static int keep_secret(struct edge_secret_file *file, const json_t *result)
{
	if (edge_secret_file_write(file, json_object_get(result, "credentials")) != 0) {
		fprintf(stderr,
			"adit-edge: secret %s of tunnel %s is lost; `adit-edge tunnel token` mints "
			"another one\n",
			text_of(result, "secret_id"), text_of(result, "tunnel"));
		return EXIT_FAILURE;
	}
	printf("tunnel %s  %s  secret %s in %s\n", text_of(result, "tunnel"), text_of(result, "id"),
	       text_of(result, "secret_id"), file->path);
	return EXIT_SUCCESS;
}

static int send_and_keep(const struct edge_request *request, const char *path)
{
	CLEANUP(json_decref) json_t *result = NULL;
	struct edge_secret_file file = {.fd = -1};
	int r = path ? edge_secret_file_open(&file, path) : 0;

	if (r == 0)
		r = edge_request_send(request, &result);
	if (r != 0)
		edge_secret_file_abandon(&file);
	else if (path)
		r = keep_secret(&file, result);
	else
		edge_request_show(request, result);
	return r;
}

static int mint(const struct edge_question *question, int argc, char **argv)
{
	struct edge_request request;
	int r = edge_request_parse(question, argc, argv, &request);

	if (r == OPTIONS_GO_ON)
		r = send_and_keep(&request, edge_request_text(&request, credentials_option));
	edge_request_deinit(&request);
	return r;
}

#define CREDENTIALS_OPTION                                                                         \
	{                                                                                          \
		credentials_option, "FILE", EDGE_OPTION_TEXT, NULL,                                \
			"write cloudflared's credentials JSON there, instead of the token here"    \
	}

static int tunnel_create(int argc, char **argv)
{
	static const struct edge_option options[] = {CREDENTIALS_OPTION};
	static const struct edge_question question = {
		.command = "tunnel.create",
		.usage = "adit-edge tunnel create [OPTIONS] NAME",
		.summary = "Makes a tunnel and its first secret, which is shown only now.",
		.arguments = {"name"},
		.n_required = 1,
		EDGE_OPTIONS(options),
		.print = print_token,
	};

	return mint(&question, argc, argv);
}

static int tunnel_token(int argc, char **argv)
{
	static const struct edge_option options[] = {CREDENTIALS_OPTION};
	static const struct edge_question question = {
		.command = "tunnel.token",
		.usage = "adit-edge tunnel token [OPTIONS] TUNNEL",
		.summary = "Mints one more secret; the others stay valid.",
		.arguments = {"tunnel"},
		.n_required = 1,
		EDGE_OPTIONS(options),
		.print = print_token,
	};

	return mint(&question, argc, argv);
}

static int tunnel_rotate(int argc, char **argv)
{
	static const struct edge_option options[] = {
		CREDENTIALS_OPTION,
		{"grace", "DURATION", EDGE_OPTION_DURATION, "grace_ms",
		 "how long the other secrets stay valid (1h); 0 cuts what they opened"},
	};
	static const struct edge_question question = {
		.command = "tunnel.rotate",
		.usage = "adit-edge tunnel rotate [OPTIONS] TUNNEL",
		.summary = "Mints a new secret and ends all others after a while.",
		.arguments = {"tunnel"},
		.n_required = 1,
		EDGE_OPTIONS(options),
		.print = print_token,
	};

	return mint(&question, argc, argv);
}

/* ---- the others ---- */

static const struct render_column secret_columns[] = {
	{"SECRET", "id", RENDER_TEXT},
	{"CREATED", "created", RENDER_TEXT},
	{"EXPIRES", "expires", RENDER_TEXT},
};

static void print_tunnels(const json_t *result)
{
	static const struct render_column columns[] = {
		{"NAME", "name", RENDER_TEXT},
		{"ID", "id", RENDER_TEXT},
		{"STATE", "state", RENDER_TEXT},
		{"CONNECTIONS", "connections", RENDER_NUMBER},
		{"EXPECTED", "expected", RENDER_NUMBER},
		{"CONNECTORS", "connectors", RENDER_NUMBER},
		{"ROUTES", "routes", RENDER_NUMBER},
		{"SECRETS", "secrets", RENDER_NUMBER},
		{"CREATED", "created", RENDER_TEXT},
	};

	render_table(stdout, json_object_get(result, "tunnels"), columns, ARRAY_SIZE(columns));
}

static void print_secrets(const json_t *result)
{
	render_table(stdout, json_object_get(result, "secrets"), secret_columns,
		     ARRAY_SIZE(secret_columns));
}

static void print_section(const json_t *result, const char *key,
			  const struct render_column *columns, size_t n_columns)
{
	const json_t *rows = json_object_get(result, key);

	if (json_array_size(rows) == 0)
		return;
	putchar('\n');
	render_table(stdout, rows, columns, n_columns);
}

static void print_info(const json_t *result)
{
	static const struct render_column connectors[] = {
		{"CONNECTOR", "id", RENDER_TEXT},
		{"KIND", "kind", RENDER_TEXT},
		{"VERSION", "version", RENDER_TEXT},
		{"CONNECTIONS", "connections", RENDER_NUMBER},
	};
	static const struct render_column routes[] = {
		{"NETWORK", "network", RENDER_TEXT},
		{"VIRTUAL NETWORK", "virtual_network", RENDER_TEXT},
		{"STATE", "state", RENDER_TEXT},
		{"HELD UNTIL", "held_until", RENDER_TEXT},
		{"CONNECTOR", "connector", RENDER_TEXT},
		{"COMMENT", "comment", RENDER_TEXT},
		{"REASON", "reason", RENDER_TEXT},
	};

	printf("%s  %s  %s  %d of %d connections  created %s\n", text_of(result, "name"),
	       text_of(result, "id"), text_of(result, "state"),
	       (int)json_integer_value(json_object_get(result, "connections")),
	       (int)json_integer_value(json_object_get(result, "expected")),
	       text_of(result, "created"));
	print_section(result, "secret_list", secret_columns, ARRAY_SIZE(secret_columns));
	print_section(result, "connector_list", connectors, ARRAY_SIZE(connectors));
	print_section(result, "advertised", routes, ARRAY_SIZE(routes));
}

EDGE_COMMAND(tunnel_list, .command = "tunnel.list", .usage = "adit-edge tunnel list [OPTIONS]",
	     .summary = "Shows all tunnels and their health.", .print = print_tunnels)

EDGE_COMMAND(tunnel_info, .command = "tunnel.info",
	     .usage = "adit-edge tunnel info [OPTIONS] TUNNEL",
	     .summary = "Shows one tunnel: secrets, connectors, and what they advertise.",
	     .arguments = {"tunnel"}, .n_required = 1, .print = print_info)

EDGE_COMMAND(tunnel_delete, .command = "tunnel.delete",
	     .usage = "adit-edge tunnel delete [OPTIONS] TUNNEL",
	     .summary = "Removes a tunnel, its secrets, grants and routes, and cuts its agents.",
	     .arguments = {"tunnel"}, .n_required = 1, .done = "deleted")

EDGE_COMMAND(secret_list, .command = "tunnel.secret.list",
	     .usage = "adit-edge tunnel secret list [OPTIONS] TUNNEL",
	     .summary = "Shows a tunnel's secrets by their ids.", .arguments = {"tunnel"},
	     .n_required = 1, .print = print_secrets)

EDGE_COMMAND(secret_revoke, .command = "tunnel.secret.revoke",
	     .usage = "adit-edge tunnel secret revoke [OPTIONS] TUNNEL SECRET",
	     .summary = "Makes a secret invalid and cuts the connections that it opened.",
	     .arguments = {"tunnel", "secret"}, .n_required = 2, .done = "revoked")

static int tunnel_secret(int argc, char **argv)
{
	static const struct command rows[] = {
		{"list", secret_list, "a tunnel's secrets"},
		{"revoke", secret_revoke, "make a secret invalid"},
	};
	static const struct command_set set = {
		.program = "adit-edge tunnel secret",
		.summary = "Secrets of a tunnel; `tunnel token` and `tunnel rotate` mint them.",
		COMMAND_ROWS(rows),
	};

	return commands_run(&set, argc, argv);
}

int edge_tunnel(int argc, char **argv)
{
	static const struct command rows[] = {
		{"create", tunnel_create, "a tunnel and its first secret"},
		{"delete", tunnel_delete, "remove a tunnel and all it has"},
		{"info", tunnel_info, "all about one tunnel"},
		{"list", tunnel_list, "tunnels and their health"},
		{"rotate", tunnel_rotate, "a new secret; the others end"},
		{"secret", tunnel_secret, "list or revoke secrets"},
		{"token", tunnel_token, "mint one more secret"},
	};
	static const struct command_set set = {
		.program = "adit-edge tunnel",
		.summary = "Tunnels: what agents connect as.",
		COMMAND_ROWS(rows),
	};

	return commands_run(&set, argc, argv);
}
