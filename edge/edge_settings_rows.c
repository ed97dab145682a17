/* SPDX-License-Identifier: Apache-2.0 */
#include "edge/edge_settings_rows.h"

#include <string.h>

#include "edge/edge_settings.h"
#include "edge/paths.h"
#include "wire/h2_session.h"

#define AT(member) .offset = offsetof(struct edge_settings, member)

static const struct schema_name duplicates[] = {
	{"replace", EDGE_DUPLICATES_REPLACE},
	{"reject", EDGE_DUPLICATES_REJECT},
	{NULL, 0},
};

static int check_access_log(const char *text, char *why)
{
	if (text[0] == '/' || strcmp(text, EDGE_ACCESS_LOG_OFF) == 0)
		return 0;
	return schema_refuse(why, "write the whole path, from / on, or off");
}

static const struct schema_row limit_rows[] = {
	{
		.key = "max-connections",
		.type = SCHEMA_U32,
		.offset = offsetof(struct edge_limits, max_connections),
		.min = 1,
		.max = 1000000,
		.fallback = "4096",
		.doc = "Connections of agents at one time.",
	},
	{
		.key = "max-clients",
		.type = SCHEMA_U32,
		.offset = offsetof(struct edge_limits, max_clients),
		.min = 1,
		.max = 1000000,
		.fallback = "4096",
		.doc = "Connections of clients at one time.",
	},
	{
		.key = "streams-per-connection",
		.type = SCHEMA_U32,
		.offset = offsetof(struct edge_limits, streams_per_connection),
		.min = 1,
		.max = 1000000,
		.fallback = "1000",
		.doc = "Streams that one connection of a client may have open.",
	},
	{
		.key = "max-streams",
		.type = SCHEMA_U32,
		.offset = offsetof(struct edge_limits, max_streams),
		.min = 1,
		.max = 10000000,
		.fallback = "65536",
		.doc = "Streams of all clients at one time; more are refused.",
	},
	{
		.key = "max-dials",
		.type = SCHEMA_U32,
		.offset = offsetof(struct edge_limits, max_dials),
		.min = 1,
		.max = 1000000,
		.fallback = "8192",
		.doc = "Of these, streams that wait for an agent's first answer; more are refused.",
	},
	{
		.key = "max-handshakes",
		.type = SCHEMA_U32,
		.offset = offsetof(struct edge_limits, max_handshakes),
		.min = 1,
		.max = 1000000,
		.fallback = "1024",
		.doc = "New connections whose TLS handshake isn't over; for one more the oldest is "
		       "dropped.",
	},
	{
		.key = "handshakes-per-second",
		.type = SCHEMA_U32,
		.offset = offsetof(struct edge_limits, handshakes_per_second),
		.min = 1,
		.max = 1000000,
		.fallback = "200",
		.doc = "New connections that are served; more have to wait.",
	},
	{
		.key = "failures-burst",
		.type = SCHEMA_U32,
		.offset = offsetof(struct edge_limits, failures.burst),
		.min = 1,
		.max = 1000000,
		.fallback = "20",
		.doc = "Tokens of clients that aren't valid, and as many secrets of tunnels, that "
		       "one address (IPv6: one /64) may show at once. After that nothing it shows "
		       "is looked at for a while.",
	},
	{
		.key = "failures-per-minute",
		.type = SCHEMA_U32,
		.offset = offsetof(struct edge_limits, failures.per_minute),
		.min = 1,
		.max = 1000000,
		.fallback = "10",
		.doc = "How many of these are forgiven per minute. Raise both where many agents or "
		       "users share an address.",
	},
};

static const struct schema limit_schema = {
	.rows = limit_rows,
	.n_rows = ARRAY_SIZE(limit_rows),
};

static const struct schema_row rows[] = {
	{
		.key = "listen",
		.type = SCHEMA_VALUES,
		AT(listen),
		.count_offset = offsetof(struct edge_settings, n_listen),
		.item_size = sizeof(struct endpoint),
		.max = EDGE_LISTEN_MAX,
		.fallback = "[::]:7844",
		.codec = &schema_endpoint,
		.doc = "Where agents and clients connect to. `[::]` takes IPv4 too, `0.0.0.0` "
		       "only IPv4.",
	},
	{
		.key = "certificate",
		.type = SCHEMA_PATH,
		.flags = SCHEMA_RELOADABLE,
		AT(certificate_file),
		.max = 4095,
		.absent = "`" EDGE_CERT_NAME "` in the state directory",
		.doc = "PEM file: the edge's certificate and those between it and the "
		       "authority. What the file holds is read again within a minute of a "
		       "change, too.",
	},
	{
		.key = "key",
		.type = SCHEMA_PATH,
		.flags = SCHEMA_RELOADABLE,
		AT(key_file),
		.max = 4095,
		.absent = "`" EDGE_KEY_NAME "` in the state directory",
		.doc = "PEM file: the private key of `certificate`.",
	},
	{
		.key = "ca",
		.type = SCHEMA_PATH,
		.flags = SCHEMA_RELOADABLE,
		AT(ca_file),
		.max = 4095,
		.absent = "`" EDGE_CA_CERT_NAME "` in the state directory",
		.doc = "PEM file: the authority that agents and clients are told to trust.",
	},
	{
		.key = "location",
		.type = SCHEMA_TEXT,
		AT(location),
		.max = EDGE_LOCATION_MAX - 1,
		.fallback = "adit",
		.doc = "Name of this edge that agents show.",
	},
	{
		.key = "duplicates",
		.type = SCHEMA_ENUM,
		.flags = SCHEMA_RELOADABLE,
		AT(duplicates),
		.fallback = "replace",
		.names = duplicates,
		.doc = "When an agent connects with the index of a live connection of its own: "
		       "the new one takes over, or is refused (for tests of agents).",
	},
	{
		.key = "drain-timeout",
		.type = SCHEMA_DURATION,
		.flags = SCHEMA_RELOADABLE,
		AT(drain_timeout_ms),
		.max = 600000,
		.fallback = "30s",
		.doc = "How long the streams of an agent that has unregistered, or of an edge "
		       "that stops, go on.",
	},
	{
		.key = "route-hold",
		.type = SCHEMA_DURATION,
		.flags = SCHEMA_RELOADABLE,
		AT(route_hold_ms),
		.max = 2592000000,
		.fallback = "24h",
		.doc = "How long the routes of an agent that is gone are kept for it.",
	},
	{
		.key = "limits",
		.type = SCHEMA_MAP,
		.flags = SCHEMA_RELOADABLE,
		AT(limits),
		.nested = &limit_schema,
		.absent = "see below",
		.doc = "Caps against overload.",
	},
	{
		.key = "buffer-budget",
		.type = SCHEMA_SIZE,
		AT(buffer_budget_bytes),
		.min = 1u << 20,
		.max = 64ULL << 30,
		.fallback = "128MiB",
		.doc = "Received bytes that may wait to be passed on before their senders are "
		       "slowed down.",
	},
	{
		.key = "window-budget",
		.type = SCHEMA_SIZE,
		.flags = SCHEMA_RELOADABLE,
		AT(window_budget_bytes),
		.min = 1u << 20,
		.max = 256ULL << 30,
		.fallback = "1GiB",
		.doc = "What all connections together may send before they wait: 64 KiB at least "
		       "for each that `limits` allows. With `buffer-budget` it is all that is ever "
		       "buffered.",
	},
	{
		.key = "max-frame-size",
		.type = SCHEMA_SIZE,
		AT(max_frame_bytes),
		.min = H2_FRAME_MIN,
		.max = H2_FRAME_MAX,
		.fallback = "256KiB",
		.doc = "Largest HTTP/2 frame that an agent may send. Less costs CPU; a stream that "
		       "sends alone then holds up the next one for less.",
	},
	{
		.key = "access-log",
		.type = SCHEMA_STRING,
		.flags = SCHEMA_RELOADABLE,
		AT(access_log),
		.max = 4095,
		.fallback = EDGE_ACCESS_LOG_OFF,
		.check = check_access_log,
		.doc = "File that gets one JSON line for every decision about a client's request "
		       "(see access.md); opened anew by a reload, for logrotate. `off`: none.",
	},
	{
		.key = "loglevel",
		.type = SCHEMA_ENUM,
		.flags = SCHEMA_RELOADABLE,
		AT(log_level),
		.fallback = "info",
		.names = schema_log_levels,
		.doc = "What is logged.",
	},
	{
		.key = "log-format",
		.type = SCHEMA_ENUM,
		AT(log_format),
		.fallback = "text",
		.names = schema_log_formats,
		.doc = "Log lines as text or as JSON.",
	},
	{
		.key = "control-socket",
		.type = SCHEMA_PATH,
		AT(control_socket),
		.max = 107,
		.fallback = EDGE_CONTROL_SOCKET,
		.env = EDGE_CONTROL_ENV,
		.doc = "Socket that the other `adit-edge` commands ask.",
	},
	{
		.key = "state-directory",
		.type = SCHEMA_PATH,
		AT(state_dir),
		.max = 4000,
		.fallback = EDGE_STATE_DIR,
		.doc = "Folder of the database, and of the certificates that `adit-edge init` "
		       "makes.",
	},
};

const struct schema edge_settings_schema = {.rows = rows, .n_rows = ARRAY_SIZE(rows)};
