/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "base/log.h"
#include "client/client_credentials.h"
#include "client/connect.h"
#include "client/exit_code.h"
#include "client/forward.h"
#include "cmd/cmd_client.h"
#include "cmd/commands.h"
#include "cmd/options.h"

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

static int parse_listen(const struct option_spec *spec, const struct arguments *a,
			struct endpoint *at)
{
	if (!a->listen)
		return OPTIONS_GO_ON;
	return client_listen_parse(spec, a->listen, a->allow_remote, at);
}

static void complain(const char *text)
{
	client_complain("adit connect", text);
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
	int r = client_edges_parse(spec, &a->edges, edges);

	if (r == OPTIONS_GO_ON)
		r = parse_target(spec, argc, argv, opt);
	if (r == OPTIONS_GO_ON)
		r = parse_listen(spec, a, at);
	if (r == OPTIONS_GO_ON)
		r = client_network_check(spec, a->network);
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
		CLIENT_OPTION_ALLOW_REMOTE(&a.allow_remote),
		CLIENT_OPTION_CREDENTIALS(&a.credentials),
		CLIENT_OPTION_EDGE(&a.edges),
		{.name = "listen",
		 .argument = "ADDRESS:PORT",
		 .kind = OPTION_TEXT,
		 .target = &a.listen,
		 .help = "carry connections to this local address"},
		CLIENT_OPTION_RESOLVER(&a.resolver),
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
		r = client_credentials_get("adit connect", a.credentials, &credentials);
	if (r != OPTIONS_GO_ON)
		return r;
	opt.credentials = credentials;
	return run(&opt, &at);
}
