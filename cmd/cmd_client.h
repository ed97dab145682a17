/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* cmd_client - options that the commands of a client have in common */

#include <stdbool.h>

#include "base/addr.h"
#include "client/client_credentials.h"
#include "cmd/options.h"

/* Rows of an option table; @to: a const char *, a bool or a struct option_list. */
#define CLIENT_OPTION_CREDENTIALS(to)                                                              \
	{                                                                                          \
		.name = "credentials", .argument = "FILE", .kind = OPTION_TEXT, .target = (to),    \
		.help = "default: $ADIT_CLIENT_CREDENTIALS, else ~/.config/adit/client.json"       \
	}
#define CLIENT_OPTION_EDGE(to)                                                                     \
	{                                                                                          \
		.name = "edge", .argument = "HOST:PORT", .kind = OPTION_LIST, .target = (to),      \
		.help = "instead of the credentials' edges (may be repeated)"                      \
	}
#define CLIENT_OPTION_ALLOW_REMOTE(to)                                                             \
	{                                                                                          \
		.name = "allow-remote", .kind = OPTION_FLAG, .target = (to),                       \
		.help = "--listen may use an address that others can reach"                        \
	}
/* Of commands that look up no name but the edge's. */
#define CLIENT_OPTION_EDGE_RESOLVER(to)                                                            \
	{                                                                                          \
		.name = "resolver", .argument = "IP[:PORT],...", .kind = OPTION_TEXT,              \
		.target = (to), .help = "name servers for the edge's name"                         \
	}
/* Of those that look up their targets' as well. */
#define CLIENT_OPTION_RESOLVER(to)                                                                 \
	{                                                                                          \
		.name = "resolver", .argument = "IP[:PORT],...", .kind = OPTION_TEXT,              \
		.target = (to), .help = "name servers instead of the system's"                     \
	}

/* Each returns OPTIONS_GO_ON, or the exit code after a message on stderr. */

/* --edge HOST:PORT; @list->n of @edges are filled. */
int client_edges_parse(const struct option_spec *spec, const struct option_list *list,
		       struct client_edge edges[CLIENT_EDGES_MAX]);
/* --virtual-network NAME: it becomes a header's value. @name may be NULL. */
int client_network_check(const struct option_spec *spec, const char *name);
/* --listen ADDRESS:PORT: loopback, unless @allow_remote. */
int client_listen_parse(const struct option_spec *spec, const char *text, bool allow_remote,
			struct endpoint *at);
/* --credentials FILE, NULL: the default file. @program as typed: "adit connect". */
int client_credentials_get(const char *program, const char *path,
			   struct client_credentials **credp);

/* "PROGRAM: TEXT" on stderr, unless @text is empty. */
void client_complain(const char *program, const char *text);
