/* SPDX-License-Identifier: Apache-2.0 */

/* The agent's control commands; names of members are in ctrl/agent_status.h. */

#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "agent/agent_private.h"
#include "agent/echo_origin.h"
#include "base/clock.h"
#include "base/compiler.h"
#include "base/diag.h"
#include "base/file.h"
#include "base/log.h"
#include "ctrl/agent_status.h"
#include "ctrl/ctrl_log_level.h"
#include "ctrl/ctrl_server.h"
#include "wire/io_loop.h"
#include "wire/proto.h"

static void set_text(json_t *object, const char *key, const char *text)
{
	if (text && *text)
		json_object_set_new(object, key, json_string(text));
}

static void set_number(json_t *object, const char *key, uint64_t number)
{
	json_object_set_new(object, key, json_integer((json_int_t)number));
}

/* ---- status and connections ---- */

static json_t *describe_connection(const struct agent *a, unsigned int index, uint64_t now_ms)
{
	struct supervisor_connection c;
	json_t *row = json_object();
	char edge[EDGE_ADDRESS_TEXT_MAX];

	supervisor_get_connection(a->supervisor, index, &c);
	set_number(row, CONNECTION_INDEX, index);
	if (c.has_edge)
		set_text(row, CONNECTION_EDGE, edge_address_format(c.edge, edge));
	set_text(row, CONNECTION_LOCATION, c.location);
	set_text(row, CONNECTION_STATE, uplink_state_name(c.state));
	set_number(row, CONNECTION_SINCE_S, c.since_ms ? (now_ms - c.since_ms) / MSEC_PER_SEC : 0);
	if (c.stats.rtt_us)
		set_number(row, CONNECTION_RTT_US, c.stats.rtt_us);
	set_number(row, CONNECTION_STREAMS, c.stats.n_streams);
	set_number(row, CONNECTION_BYTES_IN, c.stats.bytes_in);
	set_number(row, CONNECTION_BYTES_OUT, c.stats.bytes_out);
	json_object_set_new(row, CONNECTION_SUSPECT, json_boolean(c.stats.suspect));
	set_text(row, CONNECTION_LAST_ERROR, c.last_error);
	return row;
}

static json_t *list_connections(const struct agent *a)
{
	uint64_t now_ms = io_loop_now_ms(a->loop);
	json_t *list = json_array();

	for (unsigned int i = 0; i < supervisor_n_uplinks(a->supervisor); i++)
		json_array_append_new(list, describe_connection(a, i, now_ms));
	return list;
}

static json_t *list_edge_features(const struct agent *a)
{
	struct supervisor_link links[SUPERVISOR_UPLINKS_MAX];
	size_t n = supervisor_links(a->supervisor, links, ARRAY_SIZE(links));
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++) {
		const char *text = edge_link_features(links[i].el);

		if (!edge_link_is_adit(links[i].el))
			continue;
		json_array_append_new(list, json_string(FEATURE_ADIT));
		for (size_t k = 0; *text; text += k + (text[k] == ';')) {
			k = strcspn(text, ";");
			if (k)
				json_array_append_new(list, json_stringn(text, k));
		}
		break;
	}
	return list;
}

static json_t *describe_tunnel(const struct agent *a)
{
	json_t *tunnel = json_object();
	char id[UUID_TEXT_MAX];

	set_text(tunnel, STATUS_TUNNEL_ID, uuid_format(&a->credentials.tunnel_id, id));
	set_text(tunnel, STATUS_TUNNEL_NAME, a->service.file.tunnel_name);
	return tunnel;
}

static const char *describe_ping(void)
{
	static const char *const names[] = {
		[ECHO_MEANS_NONE] = PING_UNAVAILABLE,
		[ECHO_MEANS_PING] = PING_SOCKET,
	};

	return names[echo_origin_means()];
}

static json_t *describe_load(const struct agent *a)
{
	const struct budget *b = &a->loop->budget;
	json_t *load = json_object();

	set_number(load, LOAD_STREAMS,
		   origins_count(a->origins) + datagram_origins_count(a->datagrams));
	set_number(load, LOAD_STREAMS_MAX, a->remote.effective.max_active_flows);
	set_number(load, LOAD_DIALS, origins_n_dials(a->origins));
	set_number(load, LOAD_DIALS_MAX, a->live->max_dials);
	set_number(load, LOAD_BUFFERED, b->used_bytes);
	set_number(load, LOAD_BUFFERED_PEAK, b->peak_bytes);
	set_number(load, LOAD_BUFFER_BUDGET, b->soft_bytes);
	set_number(load, LOAD_WINDOWS, b->granted_bytes);
	set_number(load, LOAD_WINDOWS_MAX, b->hard_bytes - b->soft_bytes);
	set_number(load, LOAD_CUT, a->service.n_cut);
	set_number(load, LOAD_REFUSED, dispatch_n_limited(a->dispatch));
	return load;
}

static void run_status(void *ctx, struct ctrl_request *req, const json_t *args UNUSED)
{
	const struct agent *a = ctx;
	const struct agent_service *sv = &a->service;
	json_t *status = json_object();
	char id[UUID_TEXT_MAX];

	json_object_set_new(status, STATUS_TUNNEL, describe_tunnel(a));
	set_text(status, STATUS_STATE, health_name(sv->health));
	set_number(status, STATUS_EXPECTED, supervisor_n_uplinks(a->supervisor));
	set_number(status, STATUS_REGISTERED, supervisor_n_registered(a->supervisor));
	set_number(status, STATUS_SINCE, (uint64_t)sv->since_s);
	set_text(status, STATUS_CONNECTOR_ID, uuid_format(&a->connector_id, id));
	set_text(status, STATUS_VERSION, ADIT_VERSION);
	set_number(status, STATUS_PID, (uint64_t)getpid());
	set_number(status, STATUS_UPTIME_S,
		   (io_loop_now_ms(a->loop) - sv->started_ms) / MSEC_PER_SEC);
	json_object_set_new(status, STATUS_EDGE_FEATURES, list_edge_features(a));
	if (handover_pid(&a->handover.machine))
		set_number(status, STATUS_REPLACEMENT,
			   (uint64_t)handover_pid(&a->handover.machine));
	json_object_set_new(status, STATUS_DRAINING, json_boolean(a->phase != AGENT_PHASE_RUNNING));
	set_text(status, STATUS_PING, describe_ping());
	json_object_set_new(status, STATUS_LOAD, describe_load(a));
	json_object_set_new(status, STATUS_CONNECTIONS, list_connections(a));
	ctrl_reply_ok(req, status);
}

static void run_connections(void *ctx, struct ctrl_request *req, const json_t *args UNUSED)
{
	ctrl_reply_ok(req, json_pack("{s:o}", STATUS_CONNECTIONS, list_connections(ctx)));
}

/* ---- routes ---- */

static void add_path(json_t *row, const struct route_setting *route)
{
	struct agent_path found;
	char source[IP_TEXT_MAX];

	if (!agent_network_look_up(route, &found))
		return;
	json_object_set_new(row, ROUTE_REACHABLE, json_boolean(found.reachable));
	if (!found.reachable)
		return;
	set_text(row, ROUTE_INTERFACE, found.path.interface);
	if (found.path.source.family)
		set_text(row, ROUTE_SOURCE, ip_format(&found.path.source, source));
}

static void add_via(json_t *row, const struct route_setting *route)
{
	struct endpoint ep = {.ip = route->via.ip, .port = route->via.port};
	char text[ENDPOINT_TEXT_MAX];

	if (!route->has_via)
		return;
	if (!ep.ip.family)
		json_object_set_new(row, ROUTE_VIA, json_sprintf(":%u", ep.port));
	else
		set_text(row, ROUTE_VIA,
			 ep.port ? endpoint_format(&ep, text) : ip_format(&ep.ip, text));
}

static json_t *describe_route(const struct agent *a, size_t i)
{
	const struct route_setting *route = &a->live->routes[i];
	char network[PREFIX_TEXT_MAX], ports[PORTS_TEXT_MAX];
	enum advertise_state state = ADVERTISE_STATE_PENDING;
	const char *reason = "";
	json_t *row = json_object();
	const struct route_set *set = advertise_routes(a->routes.advertise);

	/* After a reload the set that is in force lags behind while a call is out. */
	if (set->n_routes == a->live->n_routes)
		state = advertise_entry_state(a->routes.advertise, set->n_vnets + i, &reason);
	set_text(row, ROUTE_NETWORK, prefix_format(&route->network, network));
	set_text(row, ROUTE_VIRTUAL_NETWORK, route->virtual_network);
	set_text(row, ROUTE_COMMENT, route->comment);
	add_via(row, route);
	if (route->ports.n)
		set_text(row, ROUTE_PORTS, ports_format(&route->ports, ports));
	set_text(row, ROUTE_STATE, advertise_state_name(state));
	set_text(row, ROUTE_REASON, reason);
	if (i < ROUTES_LOOKED_UP_MAX)
		add_path(row, route);
	return row;
}

static const char *routes_note(const struct agent *a)
{
	const char *reason;

	if (supervisor_n_registered(a->supervisor) == 0)
		return "not connected to an edge";
	if (a->live->n_routes &&
	    advertise_entry_state(a->routes.advertise, 0, &reason) == ADVERTISE_STATE_OPERATOR)
		return "this edge takes no routes from agents: its operator adds them there";
	return NULL;
}

static void run_routes(void *ctx, struct ctrl_request *req, const json_t *args UNUSED)
{
	const struct agent *a = ctx;
	json_t *result = json_object();
	json_t *list = json_array();

	for (size_t i = 0; i < a->live->n_routes; i++)
		json_array_append_new(list, describe_route(a, i));
	json_object_set_new(result, ROUTES_ROUTES, list);
	set_text(result, ROUTES_NOTE, routes_note(a));
	ctrl_reply_ok(req, result);
}

/* ---- reload ---- */

static void run_reload(void *ctx, struct ctrl_request *req, const json_t *args UNUSED)
{
	struct agent *a = ctx;

	if (a->phase == AGENT_PHASE_RUNNING)
		agent_reload(a, req);
	else
		ctrl_reply_error(req, "unavailable", "the agent is shutting down");
}

/* ---- log level ---- */

static void run_log_level(void *ctx, struct ctrl_request *req, const json_t *args)
{
	int64_t uid = ctrl_request_uid(req);
	enum log_level before, now;

	if (!ctrl_log_level_run(req, args, &before, &now))
		return;
	agent_event(ctx, EVENT_LOG_LEVEL, log_text(CTRL_LOG_LEVEL_LEVEL, log_level_name(now)),
		    log_text(CTRL_LOG_LEVEL_BEFORE, log_level_name(before)), log_int("uid", uid));
}

static const struct ctrl_command commands[] = {
	{.name = AGENT_COMMAND_CONNECTIONS, .run = run_connections, .help = "connections"},
	{.name = AGENT_COMMAND_EVENTS, .run = agent_run_events, .help = "what happened lately"},
	{.name = CTRL_LOG_LEVEL, .run = run_log_level, .help = "shown, or set"},
	{.name = AGENT_COMMAND_RELOAD, .changes = true, .run = run_reload, .help = "reload"},
	{.name = AGENT_COMMAND_REPLACE,
	 .changes = true,
	 .run = agent_run_replace,
	 .help = "a new agent claims our place"},
	{.name = AGENT_COMMAND_REPLACE_CONFIRM,
	 .changes = true,
	 .run = agent_run_replace_confirm,
	 .help = "it is in charge: drain"},
	{.name = AGENT_COMMAND_REPLACE_TAKE,
	 .changes = true,
	 .run = agent_run_replace_take,
	 .help = "it gets the control socket"},
	{.name = AGENT_COMMAND_ROUTES, .run = run_routes, .help = "routes and their states"},
	{.name = AGENT_COMMAND_STATUS, .run = run_status, .help = "state of the tunnel"},
};

/* ---- the socket ---- */

/* In a container nobody has made /run/adit yet. */
static void make_parent(const char *path)
{
	char folder[4096];
	const char *slash = strrchr(path, '/');
	size_t n = slash ? (size_t)(slash - path) : 0;

	if (!n || n >= sizeof(folder))
		return;
	memcpy(folder, path, n);
	folder[n] = '\0';
	dir_make(folder, 0755);
}

int agent_ctrl_listen(struct agent *a)
{
	return ctrl_server_new(&a->ctrl, &a->uv, a->boot->control_socket, commands,
			       ARRAY_SIZE(commands), a);
}

int agent_ctrl_adopt(struct agent *a, struct ctrl_socket *name)
{
	return ctrl_server_adopt(&a->ctrl, &a->uv, name, commands, ARRAY_SIZE(commands), a);
}

int agent_ctrl_open(struct agent *a)
{
	const char *path = a->boot->control_socket;
	int r = a->opt->replace ? agent_takeover_find(a) : 0;

	if (r != AGENT_EXIT_OK || a->takeover.talk)
		return r;
	make_parent(path);
	r = agent_ctrl_listen(a);
	if (r == CTRL_E_RUNNING) {
		log_error("another agent is running", log_text("control_socket", path));
		return AGENT_EXIT_RUNNING;
	}
	if (r < 0) {
		log_error("no control socket", log_text("control_socket", path),
			  log_text("reason", strerror(-r)));
		return AGENT_EXIT_CONFIG;
	}
	a->in_charge = true;
	return AGENT_EXIT_OK;
}
