/* SPDX-License-Identifier: Apache-2.0 */
#include <limits.h>
#include <stdio.h>

#include "base/log.h"
#include "client/exec.h"
#include "client/exit_code.h"
#include "client/resolv_conf.h"
#include "cmd/cmd_client.h"
#include "cmd/commands.h"
#include "cmd/options.h"
#include "routing/forbidden.h"

#define SUMMARY                                                                                    \
	"Runs a command for which addresses mean those of one virtual network, while other\n"      \
	"programs go on as they were; needs no root where the machine allows that:\n"              \
	"\n"                                                                                       \
	"  adit exec --virtual-network staging -- ssh 10.0.0.5\n"                                  \
	"\n"                                                                                       \
	"Everything but loopback goes through the tunnel. The exit status is the command's,\n"     \
	"128+N if signal N ended it, 127 if there is no such command, 126 if it can't be\n"        \
	"executed; and if it was never started, that of adit connect, after one line that\n"       \
	"begins with 'adit exec:'. The command finds the network's name in\n"                      \
	"$ADIT_VIRTUAL_NETWORK."

struct arguments {
	const char *credentials;
	const char *network;
	const char *resolver;
	const char *log_level;
	struct option_list edges;
	struct option_list name_servers;
};

static int parse_name_servers(const struct option_spec *spec, const struct option_list *list,
			      struct ip_addr servers[RESOLV_CONF_SERVERS_MAX])
{
	if (list->n > RESOLV_CONF_SERVERS_MAX)
		return options_refuse(spec, "at most %d --name-server", RESOLV_CONF_SERVERS_MAX);
	for (size_t i = 0; i < list->n; i++) {
		if (ip_parse(list->items[i], &servers[i]) < 0)
			return options_refuse(spec, "--name-server %s: must be an address",
					      list->items[i]);
		if (ip_is_loopback(&servers[i]))
			return options_refuse(spec,
					      "--name-server %s: the command has a loopback of its "
					      "own, where nobody answers",
					      list->items[i]);
	}
	return OPTIONS_GO_ON;
}

/* A terminal in use is no place for lines about the link, unless they are asked for. */
static int set_up_log(const struct option_spec *spec, const char *name)
{
	enum log_level level = LOG_LEVEL_ERROR;

	if (name && log_level_parse(name, &level) < 0)
		return options_refuse(spec, "--loglevel %s: debug, info, warn or error", name);
	log_setup(level, LOG_FORMAT_TEXT);
	return OPTIONS_GO_ON;
}

static void complain(const char *text)
{
	client_complain("adit exec", text);
}

static int run(const struct arguments *a, const struct client_credentials *credentials,
	       const struct client_edge *edges, const struct ip_addr *servers, char *const *argv)
{
	const struct connect_options connect = {
		.credentials = credentials,
		.edges = edges,
		.n_edges = a->edges.n,
		.network = a->network,
		.resolver = a->resolver,
	};
	const struct exec_options opt = {
		.connect = &connect,
		.argv = argv,
		.name_servers = servers,
		.n_name_servers = a->name_servers.n,
	};
	int status = exec_run(&opt, complain);

	log_flush();
	return status;
}

int cmd_exec(int argc, char **argv)
{
	CLEANUP(client_credentials_free) struct client_credentials *credentials = NULL;
	struct arguments a = {0};
	const struct option_row rows[] = {
		CLIENT_OPTION_CREDENTIALS(&a.credentials),
		CLIENT_OPTION_EDGE(&a.edges),
		{.name = "loglevel",
		 .argument = "LEVEL",
		 .kind = OPTION_TEXT,
		 .target = &a.log_level,
		 .help = "debug, info, warn or error (error)"},
		{.name = "name-server",
		 .argument = "IP",
		 .kind = OPTION_LIST,
		 .target = &a.name_servers,
		 .help = "for the command, reached through the tunnel (up to three)"},
		CLIENT_OPTION_EDGE_RESOLVER(&a.resolver),
		{.name = "virtual-network",
		 .argument = "NAME",
		 .kind = OPTION_TEXT,
		 .target = &a.network,
		 .help = "where the command's addresses are; default: the edge's default"},
	};
	const struct option_spec spec = {
		.usage = "adit exec [OPTIONS] [--] COMMAND [ARGUMENT...]",
		.summary = SUMMARY,
		.n_arguments_min = 1,
		.n_arguments_max = INT_MAX,
		.stop_at_argument = true,
		OPTION_ROWS(rows),
	};
	struct client_edge edges[CLIENT_EDGES_MAX];
	struct ip_addr servers[RESOLV_CONF_SERVERS_MAX];
	int r = options_parse(&spec, &argc, argv);

	if (r == OPTIONS_GO_ON)
		r = client_edges_parse(&spec, &a.edges, edges);
	if (r == OPTIONS_GO_ON)
		r = parse_name_servers(&spec, &a.name_servers, servers);
	if (r == OPTIONS_GO_ON)
		r = client_network_check(&spec, a.network);
	if (r == OPTIONS_GO_ON)
		r = set_up_log(&spec, a.log_level);
	if (r == OPTIONS_GO_ON)
		r = client_credentials_get("adit exec", a.credentials, &credentials);
	if (r != OPTIONS_GO_ON)
		return r;
	/* What options stood before it has moved: its end is here. */
	argv[argc] = NULL;
	return run(&a, credentials, edges, servers, argv + 1);
}
