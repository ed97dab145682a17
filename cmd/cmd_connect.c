/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "base/diag.h"
#include "base/log.h"
#include "client/client_credentials.h"
#include "client/connect.h"
#include "client/exit_code.h"
#include "client/forward.h"
#include "cmd/commands.h"
#include "cmd/options.h"
#include "routing/forbidden.h"

#define SUMMARY                                                                                    \
	"Connects stdin and stdout to HOST:PORT through the tunnel, e.g. in ~/.ssh/config:\n"      \
	"\n"                                                                                       \
	"  Host *.corp\n"                                                                          \
	"      ProxyCommand adit connect %h %p\n"                                                  \
	"\n"                                                                                       \
	"With --listen each connection to a local address is carried so. A name is looked\n"       \
	"up by this machine. Exit status:\n"

#define SUMMARY_MAX 4096
#define USAGE	    "adit connect [OPTIONS] HOST PORT"

struct arguments {
	const char *credentials;
	const char *network;
	const char *listen;
	const char *resolver;
	struct option_list edges;
	bool allow_remote;
};

static int parse_edges(const struct option_spec *spec, const struct option_list *list,
		       struct client_edge edges[CLIENT_EDGES_MAX])
{
	if (list->n > CLIENT_EDGES_MAX)
		return options_refuse(spec, "at most %d --edge", CLIENT_EDGES_MAX);
	for (size_t i = 0; i < list->n; i++) {
		if (client_edge_parse(list->items[i], &edges[i]) < 0)
			return options_refuse(spec, "--edge %s: must be HOST:PORT", list->items[i]);
	}
	return OPTIONS_GO_ON;
}

static int parse_target(const struct option_spec *spec, int argc, char **argv,
			struct connect_options *opt)
{
	if (argc < 3)
		return options_refuse(spec, "PORT is missing: write it apart from the host, as in "
					    "'10.116.0.3 22'");
	if (port_parse(argv[2], &opt->port) < 0)
		return options_refuse(spec, "%s: not a port (1 to 65535)", argv[2]);
	if (strlen(argv[1]) > HOST_NAME_MAX_LEN || !argv[1][0])
		return options_refuse(spec, "HOST: not a host name");
	opt->host = argv[1];
	return OPTIONS_GO_ON;
}

/* It becomes a header's value. */
static int parse_network(const struct option_spec *spec, const char *name)
{
	for (const char *p = name; p && *p; p++) {
		if (*p <= ' ' || *p > '~')
			return options_refuse(spec, "--virtual-network: not a network's name");
	}
	return OPTIONS_GO_ON;
}

static int parse_listen(const struct option_spec *spec, const struct arguments *a,
			struct endpoint *at)
{
	if (!a->listen)
		return OPTIONS_GO_ON;
	if (endpoint_parse(a->listen, at) < 0)
		return options_refuse(
			spec, "--listen %s: must be ADDRESS:PORT, as in 127.0.0.1:2222", a->listen);
	if (!a->allow_remote && !ip_is_loopback(&at->ip))
		return options_refuse(spec,
				      "--listen %s: others could use your access; give "
				      "--allow-remote if that is meant",
				      a->listen);
	return OPTIONS_GO_ON;
}

static void complain(const char *text)
{
	if (text[0])
		fprintf(stderr, "adit connect: %s\n", text);
}

static int load_credentials(const char *path, struct client_credentials **credp)
{
	struct diag diag;
	int r;

	diag_init(&diag, NULL);
	r = client_credentials_load(path, credp, &diag);
	if (r < 0)
		complain(diag.n_items ? diag.items[0].text : strerror(-r));
	for (size_t i = 1; r < 0 && i < diag.n_items; i++)
		complain(diag.items[i].text);
	diag_deinit(&diag);
	return r < 0 ? CLIENT_EXIT_CREDENTIALS : OPTIONS_GO_ON;
}

static int run(const struct connect_options *opt, const struct endpoint *at)
{
	char text[CONNECT_TEXT_MAX] = "";
	int status;

	/* One line about the end is what ssh's user wants to see. */
	log_setup(at->ip.family ? LOG_LEVEL_INFO : LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
	status = at->ip.family ? forward_run(opt, at, text) : connect_run(opt, complain);
	log_flush();
	complain(text);
	return status;
}

static int parse_all(const struct option_spec *spec, int argc, char **argv,
		     const struct arguments *a, struct client_edge *edges,
		     struct connect_options *opt, struct endpoint *at)
{
	int r = parse_edges(spec, &a->edges, edges);

	if (r == OPTIONS_GO_ON)
		r = parse_target(spec, argc, argv, opt);
	if (r == OPTIONS_GO_ON)
		r = parse_listen(spec, a, at);
	if (r == OPTIONS_GO_ON)
		r = parse_network(spec, a->network);
	opt->edges = edges;
	opt->n_edges = a->edges.n;
	opt->network = a->network;
	opt->resolver = a->resolver;
	return r;
}

int cmd_connect(int argc, char **argv)
{
	CLEANUP(client_credentials_free) struct client_credentials *credentials = NULL;
	struct arguments a = {0};
	const struct option_row rows[] = {
		{.name = "allow-remote",
		 .kind = OPTION_FLAG,
		 .target = &a.allow_remote,
		 .help = "--listen may use an address that others can reach"},
		{.name = "credentials",
		 .argument = "FILE",
		 .kind = OPTION_TEXT,
		 .target = &a.credentials,
		 .help = "default: $ADIT_CLIENT_CREDENTIALS, else ~/.config/adit/client.json"},
		{.name = "edge",
		 .argument = "HOST:PORT",
		 .kind = OPTION_LIST,
		 .target = &a.edges,
		 .help = "instead of the credentials' edges (may be repeated)"},
		{.name = "listen",
		 .argument = "ADDRESS:PORT",
		 .kind = OPTION_TEXT,
		 .target = &a.listen,
		 .help = "carry connections to this local address"},
		{.name = "resolver",
		 .argument = "IP[:PORT],...",
		 .kind = OPTION_TEXT,
		 .target = &a.resolver,
		 .help = "name servers instead of the system's"},
		{.name = "virtual-network",
		 .argument = "NAME",
		 .kind = OPTION_TEXT,
		 .target = &a.network,
		 .help = "the virtual network of HOST"},
	};
	char summary[SUMMARY_MAX] = SUMMARY;
	const struct option_spec spec = {
		.usage = USAGE,
		.summary = summary,
		.n_arguments_min = 1,
		.n_arguments_max = 2,
		OPTION_ROWS(rows),
	};
	struct client_edge edges[CLIENT_EDGES_MAX];
	struct connect_options opt = {0};
	struct endpoint at = {0};
	int r;

	client_exit_list(summary + strlen(summary), sizeof(summary) - strlen(summary));
	r = options_parse(&spec, &argc, argv);
	if (r == OPTIONS_GO_ON)
		r = parse_all(&spec, argc, argv, &a, edges, &opt, &at);
	if (r == OPTIONS_GO_ON)
		r = load_credentials(a.credentials, &credentials);
	if (r != OPTIONS_GO_ON)
		return r;
	opt.credentials = credentials;
	return run(&opt, &at);
}
