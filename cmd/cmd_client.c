/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/cmd_client.h"

#include <stdio.h>
#include <string.h>

#include "base/diag.h"
#include "client/exit_code.h"
#include "routing/forbidden.h"
#include "routing/vnet.h"

int client_edges_parse(const struct option_spec *spec, const struct option_list *list,
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

int client_network_check(const struct option_spec *spec, const char *name)
{
	if (name && !vnet_name_is_visible(name, strlen(name)))
		return options_refuse(spec, "--virtual-network: not a network's name");
	return OPTIONS_GO_ON;
}

int client_listen_parse(const struct option_spec *spec, const char *text, bool allow_remote,
			struct endpoint *at)
{
	if (endpoint_parse(text, at) < 0)
		return options_refuse(
			spec, "--listen %s: must be ADDRESS:PORT, as in 127.0.0.1:2222", text);
	if (!allow_remote && !ip_is_loopback(&at->ip))
		return options_refuse(spec,
				      "--listen %s: others could use your access; give "
				      "--allow-remote if that is meant",
				      text);
	return OPTIONS_GO_ON;
}

void client_complain(const char *program, const char *text)
{
	if (text[0])
		fprintf(stderr, "%s: %s\n", program, text);
}

int client_credentials_get(const char *program, const char *path, struct client_credentials **credp)
{
	struct diag diag;
	int r;

	diag_init(&diag, NULL);
	r = client_credentials_load(path, credp, &diag);
	if (r < 0)
		client_complain(program, diag.n_items ? diag.items[0].text : strerror(-r));
	for (size_t i = 1; r < 0 && i < diag.n_items; i++)
		client_complain(program, diag.items[i].text);
	diag_deinit(&diag);
	return r < 0 ? CLIENT_EXIT_CREDENTIALS : OPTIONS_GO_ON;
}
