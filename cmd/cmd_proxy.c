/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "base/log.h"
#include "client/exit_code.h"
#include "client/proxy.h"
#include "cmd/cmd_client.h"
#include "cmd/commands.h"
#include "cmd/options.h"

#define SUMMARY                                                                                    \
	"A proxy for your programs: SOCKS5 and HTTP CONNECT on one local port, for instance\n"     \
	"\n"                                                                                       \
	"  curl --proxy socks5h://127.0.0.1:1080 http://10.116.0.3/\n"                             \
	"  curl --proxy http://127.0.0.1:1080 https://10.116.0.3/\n"                               \
	"  ssh -o 'ProxyCommand nc -X 5 -x 127.0.0.1:1080 %h %p' 10.116.0.3\n"                     \
	"\n"                                                                                       \
	"The user name that a program gives picks the virtual network, any password will do.\n"    \
	"Names are looked up by this machine. It runs until a signal comes."

#define DEFAULT_LISTEN "127.0.0.1:1080"

struct arguments {
	const char *credentials;
	const char *network;
	const char *resolver;
	struct option_list edges;
	struct option_list listen;
	bool allow_remote;
};

static int parse_listen(const struct option_spec *spec, struct arguments *a,
			struct endpoint at[PROXY_LISTENERS_MAX])
{
	if (a->listen.n == 0)
		a->listen.items[a->listen.n++] = DEFAULT_LISTEN;
	if (a->listen.n > PROXY_LISTENERS_MAX)
		return options_refuse(spec, "at most %d --listen", PROXY_LISTENERS_MAX);
	for (size_t i = 0; i < a->listen.n; i++) {
		int r = client_listen_parse(spec, a->listen.items[i], a->allow_remote, &at[i]);

		if (r != OPTIONS_GO_ON)
			return r;
	}
	return OPTIONS_GO_ON;
}

static int run(const struct connect_options *opt, const struct endpoint *at, size_t n)
{
	char text[CONNECT_TEXT_MAX];
	int status;

	log_setup(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
	status = proxy_run(opt, at, n, text);
	log_flush();
	client_complain("adit proxy", text);
	return status;
}

int cmd_proxy(int argc, char **argv)
{
	CLEANUP(client_credentials_free) struct client_credentials *credentials = NULL;
	struct arguments a = {0};
	const struct option_row rows[] = {
		CLIENT_OPTION_ALLOW_REMOTE(&a.allow_remote),
		CLIENT_OPTION_CREDENTIALS(&a.credentials),
		CLIENT_OPTION_EDGE(&a.edges),
		{.name = "listen",
		 .argument = "ADDRESS:PORT",
		 .kind = OPTION_LIST,
		 .target = &a.listen,
		 .help = "default: " DEFAULT_LISTEN " (may be repeated)"},
		CLIENT_OPTION_RESOLVER(&a.resolver),
		{.name = "virtual-network",
		 .argument = "NAME",
		 .kind = OPTION_TEXT,
		 .target = &a.network,
		 .help = "for programs that give no user name"},
	};
	const struct option_spec spec = {
		.usage = "adit proxy [OPTIONS]",
		.summary = SUMMARY,
		OPTION_ROWS(rows),
	};
	struct client_edge edges[CLIENT_EDGES_MAX];
	struct endpoint at[PROXY_LISTENERS_MAX];
	struct connect_options opt;
	int r = options_parse(&spec, &argc, argv);

	if (r == OPTIONS_GO_ON)
		r = client_edges_parse(&spec, &a.edges, edges);
	if (r == OPTIONS_GO_ON)
		r = parse_listen(&spec, &a, at);
	if (r == OPTIONS_GO_ON)
		r = client_network_check(&spec, a.network);
	if (r == OPTIONS_GO_ON)
		r = client_credentials_get("adit proxy", a.credentials, &credentials);
	if (r != OPTIONS_GO_ON)
		return r;
	opt = (struct connect_options){
		.credentials = credentials,
		.edges = edges,
		.n_edges = a.edges.n,
		.network = a.network,
		.resolver = a.resolver,
	};
	return run(&opt, at, a.listen.n);
}
