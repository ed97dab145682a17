/* SPDX-License-Identifier: Apache-2.0 */

/* adit up, adit down */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "client/exit_code.h"
#include "client/up.h"
#include "cmd/cmd_client.h"
#include "cmd/cmd_target.h"
#include "cmd/commands.h"
#include "cmd/options.h"
#include "ctrl/ctrl_client.h"
#include "ctrl/render.h"
#include "tun/tun_numbers.h"

#define CALL_TIMEOUT_MS 30000
#define INSTANCE_MAX	(TUN_INSTANCES_MAX - 1)
#define END_MS		15000 /* for the clean-up of one that was told to end */

static const char up_usage[] = "adit up [OPTIONS]";
static const char up_summary[] =
	"Makes networks behind the edge reachable for every program of this machine, until it\n"
	"is told to stop (Ctrl-C, SIGTERM, adit down): plain 'ssh 10.116.0.3' works. Needs root\n"
	"at the start and gives it up. Without --include the networks are those that the edge\n"
	"offers, live. 'adit exec' needs no rights, 'adit proxy' no device.";

static const char down_usage[] = "adit down [OPTIONS]";
static const char down_summary[] =
	"Ends 'adit up'. Where none runs, removes what a killed one left in the routing.";

struct up_arguments {
	struct up_overrides o;
	struct option_list edges, networks, includes, excludes;
	const char *config;
	bool status, json;
};

static int parse_up(struct up_arguments *a, int argc, char **argv)
{
	const struct option_row rows[] = {
		{.name = "config",
		 .argument = "FILE",
		 .kind = OPTION_TEXT,
		 .target = &a->config,
		 .help = "settings (none by default; docs/config.md)"},
		CLIENT_OPTION_CREDENTIALS(&a->o.credentials_file),
		CLIENT_OPTION_EDGE(&a->edges),
		{.name = "virtual-network",
		 .argument = "NAME",
		 .kind = OPTION_LIST,
		 .target = &a->networks,
		 .help = "only this one (may be repeated); default: all that you may reach"},
		{.name = "include",
		 .argument = "NETWORK",
		 .kind = OPTION_LIST,
		 .target = &a->includes,
		 .help = "take only this through the tunnel (may be repeated)"},
		{.name = "exclude",
		 .argument = "NETWORK",
		 .kind = OPTION_LIST,
		 .target = &a->excludes,
		 .help = "take everything but this (may be repeated); 'default': private ranges"},
		{.name = "instance",
		 .argument = "N",
		 .kind = OPTION_TEXT,
		 .target = &a->o.instance,
		 .help = "number of this instance, 0 to 63"},
		CLIENT_OPTION_EDGE_RESOLVER(&a->o.resolver),
		{.name = "runtime-directory",
		 .argument = "DIR",
		 .kind = OPTION_TEXT,
		 .target = &a->o.runtime_dir,
		 .help = "for lock and control socket (" UP_RUNTIME_DIRECTORY ")"},
		{.name = "user",
		 .argument = "NAME",
		 .kind = OPTION_TEXT,
		 .target = &a->o.user,
		 .help = "whom to become; default: who called sudo"},
		{.name = "loglevel",
		 .argument = "LEVEL",
		 .kind = OPTION_TEXT,
		 .target = &a->o.log_level,
		 .help = "debug, info, warn or error"},
		{.name = "status",
		 .kind = OPTION_FLAG,
		 .target = &a->status,
		 .help = "show what the running one does"},
		{.name = "json",
		 .kind = OPTION_FLAG,
		 .target = &a->json,
		 .help = "with --status: print JSON"},
	};
	const struct option_spec spec = {
		.usage = up_usage,
		.summary = up_summary,
		OPTION_ROWS(rows),
	};

	return options_parse(&spec, &argc, argv);
}

static void fill_lists(struct up_arguments *a)
{
	a->o.edges = a->edges.items;
	a->o.n_edges = a->edges.n;
	a->o.networks = a->networks.items;
	a->o.n_networks = a->networks.n;
	a->o.includes = a->includes.items;
	a->o.n_includes = a->includes.n;
	a->o.excludes = a->excludes.items;
	a->o.n_excludes = a->excludes.n;
}

/* ---- status ---- */

static void print_rows(const char *title, const json_t *rows, const struct render_column *columns,
		       size_t n_columns)
{
	if (json_array_size(rows) == 0)
		return;
	printf("\n%s\n", title);
	render_table(stdout, rows, columns, n_columns);
}

/* One row per route of each network. */
static json_t *route_rows(const json_t *networks)
{
	json_t *rows = json_array();
	const json_t *network, *route;
	size_t i, k;

	json_array_foreach(networks, i, network)
	{
		json_array_foreach(json_object_get(network, "routes"), k, route)
		{
			json_t *row = json_object();

			json_object_set_new(row, "network", json_string(json_string_value(route)));
			json_object_set(row, "virtual_network", json_object_get(network, "name"));
			json_array_append_new(rows, row);
		}
	}
	return rows;
}

/* Servers as one text. */
static json_t *domain_rows(const json_t *domains)
{
	json_t *rows = json_array();
	const json_t *domain, *server;
	char text[512];
	size_t i, k;

	json_array_foreach(domains, i, domain)
	{
		json_t *row = json_object();
		size_t n = 0;

		text[0] = '\0';
		json_array_foreach(json_object_get(domain, "servers"), k, server)
		{
			if (n < sizeof(text))
				n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s",
						      k > 0 ? ", " : "", json_string_value(server));
		}
		json_object_set(row, "domain", json_object_get(domain, "domain"));
		json_object_set_new(row, "servers", json_string(text));
		json_object_set(row, "virtual_network", json_object_get(domain, "virtual_network"));
		json_array_append_new(rows, row);
	}
	return rows;
}

static void print_dns(const json_t *dns)
{
	static const struct render_column columns[] = {
		{"DOMAIN", "domain", RENDER_TEXT},
		{"SERVERS", "servers", RENDER_TEXT},
		{"VIRTUAL NETWORK", "virtual_network", RENDER_TEXT},
	};
	const char *wired_by = json_string_value(json_object_get(dns, "wired_by"));
	json_t *rows;

	if (!json_is_object(dns))
		return;
	rows = domain_rows(json_object_get(dns, "domains"));
	printf("\nname server %s (told to the system by: %s): %lld queries, %lld failures\n",
	       json_string_value(json_object_get(dns, "server")), wired_by,
	       json_integer_value(json_object_get(dns, "queries")),
	       json_integer_value(json_object_get(dns, "failures")));
	print_rows("names asked through the tunnel:", rows, columns, ARRAY_SIZE(columns));
	json_decref(rows);
}

static void print_status(const json_t *status)
{
	static const struct render_column route_columns[] = {
		{"NETWORK", "network", RENDER_TEXT},
		{"VIRTUAL NETWORK", "virtual_network", RENDER_TEXT},
	};
	static const struct render_column local_columns[] = {
		{"NETWORK", "network", RENDER_TEXT},
		{"INTERFACE", "interface", RENDER_TEXT},
	};
	const json_t *host = json_object_get(status, "host");
	const json_t *flows = json_object_get(status, "flows");
	const json_t *routes = json_object_get(status, "routes");
	const json_t *error = json_object_get(status, "last_error");
	json_t *rows = route_rows(json_object_get(routes, "virtual_networks"));
	char age[64], safe[1024];

	printf("%s  device %s (%s)  up %s\n", json_string_value(json_object_get(status, "state")),
	       json_string_value(json_object_get(host, "device")),
	       json_string_value(json_object_get(host, "form")),
	       render_value(json_object_get(status, "uptime_s"), RENDER_AGE, age, sizeof(age)));
	printf("edge %s%s%s\n",
	       json_is_true(json_object_get(status, "connected")) ? "connected" : "not connected",
	       json_is_string(error) ? ": " : "",
	       json_is_string(error) ? render_escape(json_string_value(error), safe, sizeof(safe))
				     : "");
	printf("flows: %lld TCP, %lld UDP, %lld ping; %zu routes captured\n",
	       json_integer_value(json_object_get(flows, "tcp")),
	       json_integer_value(json_object_get(flows, "udp")),
	       json_integer_value(json_object_get(flows, "echo")),
	       json_array_size(json_object_get(routes, "captured")));
	print_rows("offered by the edge:", rows, route_columns, ARRAY_SIZE(route_columns));
	print_rows("local networks that win over the tunnel:",
		   json_object_get(routes, "local_networks"), local_columns,
		   ARRAY_SIZE(local_columns));
	print_dns(json_object_get(status, "dns"));
	json_decref(rows);
}

/* ---- asking the running one ---- */

/* From flags alone: the running one may have been started by another config. */
static int find_socket(const char *runtime_dir, const char *instance, unsigned int *instancep,
		       char path[UP_SOCKET_PATH_MAX])
{
	char *end = NULL;
	unsigned long n = instance ? strtoul(instance, &end, 10) : 0;

	if (n > INSTANCE_MAX || (end && (*end || end == instance))) {
		fprintf(stderr, "adit: --instance: must be a number from 0 to %d\n", INSTANCE_MAX);
		return COMMAND_EXIT_USAGE;
	}
	*instancep = (unsigned int)n;
	if (up_socket_path(runtime_dir ? runtime_dir : UP_RUNTIME_DIRECTORY, *instancep, path) == 0)
		return OPTIONS_GO_ON;
	fprintf(stderr, "adit: --runtime-directory: too long\n");
	return COMMAND_EXIT_USAGE;
}

static int show_status(const struct up_arguments *a)
{
	char path[UP_SOCKET_PATH_MAX];
	struct ctrl_error error;
	unsigned int instance;
	json_t *status = NULL;
	int code = find_socket(a->o.runtime_dir, a->o.instance, &instance, path);
	int r;

	if (code != OPTIONS_GO_ON)
		return code;
	r = ctrl_call(path, UP_COMMAND_STATUS, NULL, CALL_TIMEOUT_MS, &status, &error);
	if (r == CTRL_CLIENT_E_UNREACHABLE) {
		printf("down\n");
		return EXIT_FAILURE;
	}
	if (r != 0) {
		agent_target_complain("up", &error);
		return EXIT_FAILURE;
	}
	if (a->json)
		print_json(status);
	else
		print_status(status);
	json_decref(status);
	return EXIT_SUCCESS;
}

int cmd_up(int argc, char **argv)
{
	struct up_arguments a = {0};
	int code = parse_up(&a, argc, argv);
	struct up_options opt;

	if (code != OPTIONS_GO_ON)
		return code;
	if (a.status)
		return show_status(&a);
	fill_lists(&a);
	opt = (struct up_options){.config_path = a.config, .overrides = a.o};
	return up_run(&opt);
}

/* ---- down ---- */

/* @was_told: one was running and is on its way out, with all that it made. */
static int clean(const char *runtime_dir, unsigned int instance, bool was_told)
{
	char text[UP_TEXT_MAX];
	int r = up_clean(runtime_dir ? runtime_dir : UP_RUNTIME_DIRECTORY, instance,
			 was_told ? END_MS : 0, text);

	if (r != 0) {
		fprintf(stderr, "adit down: %s\n", text);
		return EXIT_FAILURE;
	}
	if (text[0] || !was_told)
		printf("%s\n", text[0] ? text : "nothing to do");
	return EXIT_SUCCESS;
}

int cmd_down(int argc, char **argv)
{
	const char *runtime_dir = NULL, *instance_text = NULL;
	const struct option_row rows[] = {
		{.name = "instance",
		 .argument = "N",
		 .kind = OPTION_TEXT,
		 .target = &instance_text,
		 .help = "number of the instance, 0 to 63"},
		{.name = "runtime-directory",
		 .argument = "DIR",
		 .kind = OPTION_TEXT,
		 .target = &runtime_dir,
		 .help = "as given to adit up (" UP_RUNTIME_DIRECTORY ")"},
	};
	const struct option_spec spec = {
		.usage = down_usage,
		.summary = down_summary,
		OPTION_ROWS(rows),
	};
	char path[UP_SOCKET_PATH_MAX];
	struct ctrl_error error;
	unsigned int instance;
	json_t *result = NULL;
	int code = options_parse(&spec, &argc, argv);
	int r;

	if (code == OPTIONS_GO_ON)
		code = find_socket(runtime_dir, instance_text, &instance, path);
	if (code != OPTIONS_GO_ON)
		return code;
	r = ctrl_call(path, UP_COMMAND_DOWN, NULL, CALL_TIMEOUT_MS, &result, &error);
	json_decref(result);
	if (r != 0 && r != CTRL_CLIENT_E_UNREACHABLE) {
		agent_target_complain("down", &error);
		return EXIT_FAILURE;
	}
	/* Who became the user of `adit up` may end it, but not look at the lock. */
	if (r == 0 && geteuid() != 0)
		return EXIT_SUCCESS;
	return clean(runtime_dir, instance, r == 0);
}
