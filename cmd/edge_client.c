/* SPDX-License-Identifier: Apache-2.0 */
/* `adit-edge client ...`: users, their credentials files, what they may reach */
#include <stdio.h>
#include <stdlib.h>

#include <jansson.h>

#include "base/addr.h"
#include "base/cleanup.h"
#include "cmd/commands.h"
#include "cmd/edge_ask.h"
#include "cmd/edge_secret_file.h"
#include "ctrl/render.h"

#define FILE_VERSION 1

DEFINE_CLEANUP(json_t *, json_decref);

/* ---- what writes a credentials file ---- */

#define FILE_OPTIONS                                                                               \
	{"output", "FILE", EDGE_OPTION_TEXT, NULL,                                                 \
	 "the user's credentials file, to be made (required)"},                                    \
		{"edge", "HOST:PORT", EDGE_OPTION_LIST, NULL,                                      \
		 "where the user finds the edge; may be repeated (required)"},                     \
	{                                                                                          \
		"server-name", "NAME", EDGE_OPTION_TEXT, NULL,                                     \
			"name in the edge's certificate, if it isn't HOST"                         \
	}

static int check_file_options(const struct edge_request *request, const struct option_spec *spec)
{
	const struct option_list *edges = edge_request_list(request, "edge");
	char host[HOST_NAME_MAX_LEN + 1];
	uint16_t port;

	if (!edge_request_text(request, "output"))
		return options_refuse(spec, "--output is missing");
	if (edges->n == 0)
		return options_refuse(spec, "--edge is missing");
	for (size_t i = 0; i < edges->n; i++)
		if (host_port_parse(edges->items[i], host, &port) < 0)
			return options_refuse(spec, "--edge %s: write HOST:PORT", edges->items[i]);
	return OPTIONS_GO_ON;
}

/* What `adit connect` and its like read. */
static json_t *make_file(const struct edge_request *request, const json_t *result)
{
	const struct option_list *edges = edge_request_list(request, "edge");
	const char *server_name = edge_request_text(request, "server-name");
	json_t *list = json_array();
	json_t *file;

	for (size_t i = 0; i < edges->n; i++)
		json_array_append_new(list, json_string(edges->items[i]));
	file = json_pack("{s:i, s:O, s:O, s:o, s:O, s:O}", "version", FILE_VERSION, "name",
			 json_object_get(result, "name"), "email", json_object_get(result, "email"),
			 "edges", list, "ca", json_object_get(result, "ca"), "token",
			 json_object_get(result, "token"));
	if (server_name)
		json_object_set_new(file, "server_name", json_string(server_name));
	return file;
}

static int keep_token(const struct edge_request *request, struct edge_secret_file *file,
		      const json_t *result)
{
	CLEANUP(json_decref) json_t *content = make_file(request, result);
	const char *name = json_string_value(json_object_get(result, "name"));
	const char *id = json_string_value(json_object_get(result, "token_id"));

	if (edge_secret_file_write(file, content) != 0) {
		fprintf(stderr,
			"adit-edge: token %s of client %s is lost; `adit-edge client token` mints "
			"another one\n",
			id, name);
		return EXIT_FAILURE;
	}
	printf("client %s  token %s in %s\n", name, id, file->path);
	return EXIT_SUCCESS;
}

static int send_and_keep(const struct edge_request *request)
{
	CLEANUP(json_decref) json_t *result = NULL;
	struct edge_secret_file file;
	int r = edge_secret_file_open(&file, edge_request_text(request, "output"));

	if (r != 0)
		return r;
	r = edge_request_send(request, &result);
	if (r == 0)
		return keep_token(request, &file, result);
	edge_secret_file_abandon(&file);
	return r;
}

static int mint(const struct edge_question *question, int argc, char **argv)
{
	const struct option_spec spec = {.usage = question->usage};
	struct edge_request request;
	int r = edge_request_parse(question, argc, argv, &request);

	if (r == OPTIONS_GO_ON)
		r = check_file_options(&request, &spec);
	if (r == OPTIONS_GO_ON)
		r = send_and_keep(&request);
	edge_request_deinit(&request);
	return r;
}

static int client_add(int argc, char **argv)
{
	static const struct edge_option options[] = {
		FILE_OPTIONS,
		{"email", "ADDRESS", EDGE_OPTION_TEXT, "email", "of the user"},
	};
	static const struct edge_question question = {
		.command = "client.add",
		.usage = "adit-edge client add [OPTIONS] NAME",
		.summary =
			"Adds a user and writes the credentials file; the token in it is told only "
			"now.\nThe user reaches nothing before `adit-edge client grant add`.",
		.arguments = {"name"},
		.n_required = 1,
		EDGE_OPTIONS(options),
	};

	return mint(&question, argc, argv);
}

static int client_token(int argc, char **argv)
{
	static const struct edge_option options[] = {FILE_OPTIONS};
	static const struct edge_question question = {
		.command = "client.token",
		.usage = "adit-edge client token [OPTIONS] CLIENT",
		.summary = "Mints one more token for a user, also for one who was revoked.",
		.arguments = {"client"},
		.n_required = 1,
		EDGE_OPTIONS(options),
	};

	return mint(&question, argc, argv);
}

/* ---- the others ---- */

static void print_clients(const json_t *result)
{
	static const struct render_column columns[] = {
		{"NAME", "name", RENDER_TEXT},	     {"E-MAIL", "email", RENDER_TEXT},
		{"STATE", "state", RENDER_TEXT},     {"TOKENS", "tokens", RENDER_NUMBER},
		{"GRANTS", "grants", RENDER_NUMBER}, {"CREATED", "created", RENDER_TEXT},
	};

	render_table(stdout, json_object_get(result, "clients"), columns, ARRAY_SIZE(columns));
}

static void print_grants(const json_t *result)
{
	static const struct render_column columns[] = {
		{"CLIENT", "client", RENDER_TEXT},
		{"PREFIX", "prefix", RENDER_TEXT},
		{"VIRTUAL NETWORK", "virtual_network", RENDER_TEXT},
		{"PORTS", "ports", RENDER_TEXT},
		{"PROTOCOLS", "protocols", RENDER_TEXT},
	};

	render_table(stdout, json_object_get(result, "grants"), columns, ARRAY_SIZE(columns));
}

static const struct edge_option revoke_options[] = {
	{"token", "ID", EDGE_OPTION_TEXT, "token_id", "only that token"},
};

#define VNET_OPTION                                                                                \
	{                                                                                          \
		"virtual-network", "NAME", EDGE_OPTION_TEXT, "virtual_network",                    \
			"in that network, not in the default one"                                  \
	}

static const struct edge_option grant_add_options[] = {
	VNET_OPTION,
	{"ports", "LIST", EDGE_OPTION_TEXT, "ports", "only these: 22,80 or 8000-8100 (all)"},
	{"protocols", "LIST", EDGE_OPTION_TEXT, "protocols",
	 "only these of tcp,udp,icmp (all; with --ports icmp only if it is named)"},
};

static const struct edge_option grant_delete_options[] = {VNET_OPTION};

EDGE_COMMAND(client_list, .command = "client.list", .usage = "adit-edge client list [OPTIONS]",
	     .summary = "Shows all users.", .print = print_clients)

EDGE_COMMAND(client_revoke, .command = "client.revoke",
	     .usage = "adit-edge client revoke [OPTIONS] CLIENT",
	     .summary = "Makes the tokens of a user invalid and cuts what they opened.",
	     .arguments = {"client"}, .n_required = 1, EDGE_OPTIONS(revoke_options),
	     .done = "revoked")

EDGE_COMMAND(client_delete, .command = "client.delete",
	     .usage = "adit-edge client delete [OPTIONS] CLIENT",
	     .summary = "Forgets a user: tokens, grants and name.", .arguments = {"client"},
	     .n_required = 1, .done = "deleted")

EDGE_COMMAND(grant_add, .command = "client.grant.add",
	     .usage = "adit-edge client grant add [OPTIONS] CLIENT PREFIX",
	     .summary = "Lets a user reach a network; replaces an earlier grant of it.",
	     .arguments = {"client", "prefix"}, .n_required = 2, EDGE_OPTIONS(grant_add_options),
	     .done = "granted")

EDGE_COMMAND(grant_delete, .command = "client.grant.delete",
	     .usage = "adit-edge client grant delete [OPTIONS] CLIENT PREFIX",
	     .summary = "Takes a grant back and cuts the streams that rest on it.",
	     .arguments = {"client", "prefix"}, .n_required = 2, EDGE_OPTIONS(grant_delete_options),
	     .done = "deleted")

EDGE_COMMAND(grant_list, .command = "client.grant.list",
	     .usage = "adit-edge client grant list [OPTIONS] [CLIENT]",
	     .summary = "Shows what users may reach.", .arguments = {"client"},
	     .print = print_grants)

static int client_grant(int argc, char **argv)
{
	static const struct command rows[] = {
		{"add", grant_add, "let a user reach a network"},
		{"delete", grant_delete, "take a grant back"},
		{"list", grant_list, "what users may reach"},
	};
	static const struct command_set set = {
		.program = "adit-edge client grant",
		.summary = "Grants of users: without one, every destination is refused.",
		COMMAND_ROWS(rows),
	};

	return commands_run(&set, argc, argv);
}

int edge_client(int argc, char **argv)
{
	static const struct command rows[] = {
		{"add", client_add, "a user and a credentials file"},
		{"delete", client_delete, "forget a user"},
		{"grant", client_grant, "what users may reach"},
		{"list", client_list, "all users"},
		{"revoke", client_revoke, "make tokens invalid"},
		{"token", client_token, "one more credentials file"},
	};
	static const struct command_set set = {
		.program = "adit-edge client",
		.summary = "Users of the edge.",
		COMMAND_ROWS(rows),
	};

	return commands_run(&set, argc, argv);
}
