/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names are cloudflared's where the meaning is the same. An alias stands behind
 * the row whose value it sets: it wins when both are given, as cloudflared's
 * more special flag does.
 */
#include "agent/settings_rows.h"

#include "agent/edge_proxy.h"
#include "agent/settings.h"
#include "ctrl/agent_status.h"
#include "wire/h2_session.h"
#include "wire/proto.h"

#define AT(member)    .offset = offsetof(struct settings, member)
#define COUNT(member) .count_offset = offsetof(struct settings, member)
#define FOREIGN(name, why)                                                                         \
	{                                                                                          \
		.key = name, .type = SCHEMA_FOREIGN, .doc = why                                    \
	}

static const struct schema_name outputs[] = {
	{"default", LOG_FORMAT_TEXT},
	{"json", LOG_FORMAT_JSON},
	{NULL, 0},
};

static const struct schema_name ip_versions[] = {
	{"auto", 0},
	{"4", 4},
	{"6", 6},
	{NULL, 0},
};

/* ---- warp-routing ---- */

static const struct schema_row warp_routing_rows[] = {
	{
		.key = "connectTimeout",
		.type = SCHEMA_DURATION,
		.offset = offsetof(struct warp_routing, connect_timeout_ms),
		.min = 1,
		.max = 600000,
		.fallback = "5s",
		.doc = "How long a connection to a local server may take.",
	},
	{
		.key = "tcpKeepAlive",
		.type = SCHEMA_DURATION,
		.offset = offsetof(struct warp_routing, tcp_keep_alive_ms),
		.fallback = "30s",
		.doc = "Time between keep-alive probes to local servers; `0s` turns them off.",
	},
	{
		.key = "maxActiveFlows",
		.type = SCHEMA_U32,
		.offset = offsetof(struct warp_routing, max_active_flows),
		.fallback = "32768",
		.doc = "Streams at one time; more are refused. `0`: no limit but that of the "
		       "process's descriptors.",
	},
	FOREIGN("enabled", "private networks are served as soon as there are routes"),
};

static const struct schema warp_routing_schema = {
	.rows = warp_routing_rows,
	.n_rows = ARRAY_SIZE(warp_routing_rows),
};

/* ---- lists ---- */

static const struct schema_row vnet_rows[] = {
	{
		.key = "name",
		.type = SCHEMA_TEXT,
		.flags = SCHEMA_REQUIRED,
		.offset = offsetof(struct vnet_setting, name),
		.max = ROUTE_VNET_MAX - 1,
		.check = settings_check_vnet,
		.doc = "Name of the network, unique in the organisation.",
	},
	{
		.key = "comment",
		.type = SCHEMA_TEXT,
		.offset = offsetof(struct vnet_setting, comment),
		.max = ROUTE_COMMENT_MAX - 1,
		.doc = "For people.",
	},
};

static const struct schema vnet_schema = {
	.rows = vnet_rows,
	.n_rows = ARRAY_SIZE(vnet_rows),
	.line_offset = offsetof(struct vnet_setting, line),
};

static const struct schema_row route_rows[] = {
	{
		.key = "network",
		.type = SCHEMA_VALUE,
		.flags = SCHEMA_REQUIRED,
		.offset = offsetof(struct route_setting, network),
		.codec = &settings_prefix,
		.doc = "What is reachable here. Loopback, link-local, multicast and reserved "
		       "ranges are only served by single addresses that are named.",
	},
	{
		.key = "virtual-network",
		.type = SCHEMA_TEXT,
		.offset = offsetof(struct route_setting, virtual_network),
		.absent = "the edge's default network",
		.max = ROUTE_VNET_MAX - 1,
		.check = settings_check_vnet,
		.doc = "Name of the virtual network that the route belongs to.",
	},
	{
		.key = "comment",
		.type = SCHEMA_TEXT,
		.offset = offsetof(struct route_setting, comment),
		.max = ROUTE_COMMENT_MAX - 1,
		.doc = "For people.",
	},
	{
		.key = "via",
		.type = SCHEMA_VALUE,
		.offset = offsetof(struct route_setting, via),
		.absent = "the address and port that were asked for",
		.codec = &settings_via,
		.doc = "Where the traffic really goes; for single addresses only. An address of "
		       "this host itself (loopback) needs a port, here or in `ports`.",
	},
	{
		.key = "ports",
		.type = SCHEMA_VALUE,
		.flags = SCHEMA_JOIN,
		.offset = offsetof(struct route_setting, ports),
		.absent = "all",
		.codec = &settings_ports,
		.doc = "Ports that are served, e.g. `22` or `[22, 8000-8100]`.",
	},
};

static const struct schema route_schema = {
	.rows = route_rows,
	.n_rows = ARRAY_SIZE(route_rows),
	.line_offset = offsetof(struct route_setting, line),
};

static const struct schema_row allow_rows[] = {
	{
		.key = "network",
		.type = SCHEMA_VALUE,
		.flags = SCHEMA_REQUIRED,
		.offset = offsetof(struct allow_setting, network),
		.codec = &settings_prefix,
		.doc = "As in `routes`.",
	},
	{
		.key = "ports",
		.type = SCHEMA_VALUE,
		.flags = SCHEMA_JOIN,
		.offset = offsetof(struct allow_setting, ports),
		.absent = "all",
		.codec = &settings_ports,
		.doc = "As in `routes`.",
	},
};

static const struct schema allow_schema = {
	.rows = allow_rows,
	.n_rows = ARRAY_SIZE(allow_rows),
	.line_offset = offsetof(struct allow_setting, line),
};

/* ---- config.yml ---- */

static const struct schema_row rows[] = {
	{
		.key = "tunnel",
		.type = SCHEMA_STRING,
		AT(tunnel),
		.max = 255,
		.absent = "as the credentials say",
		.doc = "Id or name of the tunnel. An id must be that of the credentials.",
	},
	{
		.key = "credentials-file",
		.type = SCHEMA_PATH,
		AT(credentials_file),
		.max = 4095,
		.absent = "`$CREDENTIALS_DIRECTORY` or `TUNNEL_TOKEN`",
		.env = "TUNNEL_CRED_FILE",
		.doc = "The tunnel's secret: cloudflared's JSON or a token. A regular file of "
		       "ours or root's, closed to group and others.",
	},
	{
		.key = "cred-file",
		.type = SCHEMA_PATH,
		.flags = SCHEMA_ALIAS,
		AT(credentials_file),
		.max = 4095,
		.doc = "The same as `credentials-file`.",
	},
	{
		.key = "token-file",
		.type = SCHEMA_PATH,
		.flags = SCHEMA_ALIAS,
		AT(credentials_file),
		.max = 4095,
		.env = "TUNNEL_TOKEN_FILE",
		.doc = "The same as `credentials-file`, and wins over it.",
	},
	{
		.key = "edge",
		.type = SCHEMA_STRINGS,
		AT(edges),
		COUNT(n_edges),
		.max = 64,
		.absent = "required",
		.env = "TUNNEL_EDGE",
		.check = settings_check_edge,
		.doc = "Where the edge is: `HOST:PORT` (each name may have several addresses), "
		       "`srv:NAME` (an SRV record) or `cloudflare` (their edge, by SRV).",
	},
	{
		.key = "edge-server-name",
		.type = SCHEMA_STRING,
		AT(edge_server_name),
		.max = HOST_NAME_MAX_LEN,
		.absent = "the entry's host; `h2.cftunnel.com` with `cloudflare`",
		.check = settings_check_host,
		.doc = "The name that the edge's certificate must have, also sent as SNI. "
		       "Checks of the certificate can't be turned off.",
	},
	{
		.key = "cacert",
		.type = SCHEMA_PATH,
		AT(edge_ca_file),
		.max = 4095,
		.absent = "the system's roots",
		.env = "TUNNEL_CACERT",
		.doc = "PEM file with the certificate authority of the edge.",
	},
	{
		.key = "edge-bind-address",
		.type = SCHEMA_VALUE,
		AT(edge_bind_address),
		.absent = "any",
		.env = "TUNNEL_EDGE_BIND_ADDRESS",
		.codec = &schema_ip,
		.doc = "Local address that connections to the edge, or to `edge-proxy`, start "
		       "from.",
	},
	{
		.key = "edge-ip-version",
		.type = SCHEMA_STRING,
		AT(edge_ip_version),
		.fallback = "auto",
		.env = "TUNNEL_EDGE_IP_VERSION",
		.names = ip_versions,
		.doc = "Which addresses of the edge are used; with `edge-proxy`, which of the "
		       "proxy.",
	},
	{
		.key = "edge-proxy",
		.type = SCHEMA_STRING,
		AT(edge_proxy),
		.max = PROXY_URL_TEXT_MAX,
		.absent = "none",
		.check = edge_proxy_check,
		.doc = "Proxy that connections to the edge go through: `http://HOST:PORT` "
		       "(CONNECT) "
		       "or `socks5://HOST:PORT`. It is handed the names of `edge` as they are.",
	},
	{
		.key = "edge-proxy-credentials-file",
		.type = SCHEMA_PATH,
		AT(edge_proxy_credentials_file),
		.max = 4095,
		.check = edge_proxy_check_file,
		.absent = "the proxy wants none",
		.doc = "File with one line `user:password` for the proxy. A regular file of ours "
		       "or "
		       "root's, closed to group and others.",
	},
	{
		.key = "resolver",
		.type = SCHEMA_STRING,
		.flags = SCHEMA_JOIN,
		AT(resolver),
		.max = 512,
		.absent = "the system's",
		.check = settings_check_resolver,
		.doc = "DNS servers for names of the edge, `IP` or `IP:PORT`, a list or "
		       "comma-separated.",
	},
	{
		.key = "ha-connections",
		.type = SCHEMA_U32,
		AT(ha_connections),
		.min = 1,
		.max = 16,
		.fallback = "4",
		.doc = "Connections to the edge that are kept up.",
	},
	{
		.key = "grace-period",
		.type = SCHEMA_DURATION,
		.flags = SCHEMA_RELOADABLE,
		AT(grace_period_ms),
		.max = 180000,
		.fallback = "30s",
		.env = "TUNNEL_GRACE_PERIOD",
		.doc = "How long running streams go on after SIGTERM.",
	},
	{
		.key = "exit-on-auth-failure",
		.type = SCHEMA_BOOL,
		.flags = SCHEMA_RELOADABLE,
		AT(exit_on_auth_failure),
		.fallback = "off",
		.doc = "End with exit status 77 when the edge refuses the credentials, instead "
		       "of trying again every five minutes.",
	},
	{
		.key = "remote-config",
		.type = SCHEMA_BOOL,
		.flags = SCHEMA_RELOADABLE,
		AT(remote_config),
		.fallback = "on",
		.doc = "Let the edge change `warp-routing`, within the values given here and "
		       "nothing else.",
	},
	{
		.key = "warp-routing",
		.type = SCHEMA_MAP,
		.flags = SCHEMA_RELOADABLE,
		AT(warp_routing),
		.nested = &warp_routing_schema,
		.absent = "see below",
		.doc = "Limits of the streams to local servers.",
	},
	{
		.key = "max-active-flows",
		.type = SCHEMA_U32,
		.flags = SCHEMA_ALIAS | SCHEMA_RELOADABLE,
		AT(warp_routing.max_active_flows),
		.env = "TUNNEL_MAX_ACTIVE_FLOWS",
		.doc = "The same as `warp-routing: maxActiveFlows`, and wins over it.",
	},
	{
		.key = "max-udp-flows",
		.type = SCHEMA_U32,
		.flags = SCHEMA_RELOADABLE,
		AT(max_udp_flows),
		.min = 1,
		.max = 1000000,
		.fallback = "16384",
		.doc = "UDP and ICMP echo flows at one time; more are refused. They count for "
		       "`max-active-flows`, too. Each has a descriptor of its own.",
	},
	{
		.key = "max-dials",
		.type = SCHEMA_U32,
		.flags = SCHEMA_RELOADABLE,
		AT(max_dials),
		.min = 1,
		.max = 1000000,
		.fallback = "4096",
		.doc = "Connections to local servers that are being made at one time; more are "
		       "refused. Those to addresses that don't answer take `connectTimeout`.",
	},
	{
		.key = "virtual-networks",
		.type = SCHEMA_LIST,
		.flags = SCHEMA_RELOADABLE,
		AT(vnets),
		COUNT(n_vnets),
		.item_size = sizeof(struct vnet_setting),
		.max = ROUTES_MAX,
		.nested = &vnet_schema,
		.doc = "Virtual networks that this agent asks the edge to have.",
	},
	{
		.key = "routes",
		.type = SCHEMA_LIST,
		.flags = SCHEMA_RELOADABLE,
		AT(routes),
		COUNT(n_routes),
		.item_size = sizeof(struct route_setting),
		.max = ROUTES_MAX,
		.nested = &route_schema,
		.doc = "Networks that this agent advertises to the edge and serves.",
	},
	{
		.key = "allow",
		.type = SCHEMA_LIST,
		.flags = SCHEMA_RELOADABLE,
		AT(allows),
		COUNT(n_allows),
		.item_size = sizeof(struct allow_setting),
		.max = ROUTES_MAX,
		.nested = &allow_schema,
		.doc = "Networks that are served although this agent doesn't advertise them: "
		       "routes that the operator of the edge made.",
	},
	{
		.key = "loglevel",
		.type = SCHEMA_ENUM,
		.flags = SCHEMA_RELOADABLE,
		AT(log_level),
		.fallback = "info",
		.env = "TUNNEL_LOGLEVEL",
		.names = schema_log_levels,
		.doc = "What is logged; `fatal` is cloudflared's and means `error`.",
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
		.key = "output",
		.type = SCHEMA_ENUM,
		.flags = SCHEMA_ALIAS,
		AT(log_format),
		.env = "TUNNEL_LOG_OUTPUT",
		.names = outputs,
		.doc = "cloudflared's name for `log-format`, and wins over it.",
	},
	{
		.key = "control-socket",
		.type = SCHEMA_PATH,
		AT(control_socket),
		.max = 107,
		.fallback = AGENT_CONTROL_SOCKET,
		.env = AGENT_CONTROL_ENV,
		.doc = "Socket that `adit status` and the other commands ask.",
	},
	{
		.key = "state-directory",
		.type = SCHEMA_PATH,
		AT(state_dir),
		.max = 4000,
		.fallback = AGENT_STATE_DIRECTORY,
		.doc = "Folder of the state file; holds no secret.",
	},
	{
		.key = "buffer-budget",
		.type = SCHEMA_SIZE,
		AT(buffer_budget_bytes),
		.min = 1u << 20,
		.max = 64ULL << 30,
		.fallback = "64MiB",
		.doc = "Received bytes that may wait for local servers before the edge is "
		       "slowed down.",
	},
	{
		.key = "window-budget",
		.type = SCHEMA_SIZE,
		AT(window_budget_bytes),
		.min = 4u << 20,
		.max = 64ULL << 30,
		.fallback = "256MiB",
		.doc = "What all connections together let the edge send before it waits. With "
		       "`buffer-budget` it is all that is ever buffered.",
	},
	{
		.key = "max-frame-size",
		.type = SCHEMA_SIZE,
		AT(max_frame_bytes),
		.min = H2_FRAME_MIN,
		.max = H2_FRAME_MAX,
		.fallback = "256KiB",
		.doc = "Largest HTTP/2 frame that the edge may send. Less costs CPU; a stream that "
		       "sends alone then holds up the next one for less.",
	},

	/* ingress and its proxy */
	FOREIGN("ingress", "HTTP ingress is not served; private networks go into routes"),
	FOREIGN("originRequest", "it belongs to HTTP ingress, which is not served"),
	FOREIGN("url", "it belongs to HTTP ingress, which is not served"),
	FOREIGN("unix-socket", "it belongs to HTTP ingress, which is not served"),
	FOREIGN("hello-world", "it belongs to HTTP ingress, which is not served"),
	FOREIGN("bastion", "it belongs to HTTP ingress, which is not served"),
	FOREIGN("hostname", "it belongs to HTTP ingress, which is not served"),
	FOREIGN("lb-pool", "it belongs to HTTP ingress, which is not served"),
	FOREIGN("socks5", "it belongs to HTTP ingress, which is not served"),
	FOREIGN("http-host-header", "it belongs to HTTP ingress, which is not served"),
	FOREIGN("origin-server-name", "it belongs to HTTP ingress, which is not served"),
	FOREIGN("origin-ca-pool", "it belongs to HTTP ingress, which is not served"),
	FOREIGN("no-tls-verify", "it belongs to HTTP ingress, which is not served"),
	FOREIGN("no-chunked-encoding", "it belongs to HTTP ingress, which is not served"),
	FOREIGN("http2-origin", "it belongs to HTTP ingress, which is not served"),
	FOREIGN("proxy-address", "it belongs to HTTP ingress, which is not served"),
	FOREIGN("proxy-port", "it belongs to HTTP ingress, which is not served"),
	FOREIGN("proxy-connect-timeout", "it belongs to HTTP ingress, which is not served"),
	FOREIGN("proxy-connection-timeout", "it belongs to HTTP ingress, which is not served"),
	FOREIGN("proxy-expect-continue-timeout", "it belongs to HTTP ingress, which is not served"),
	FOREIGN("proxy-tls-timeout", "it belongs to HTTP ingress, which is not served"),
	FOREIGN("proxy-tcp-keepalive", "it belongs to HTTP ingress, which is not served"),
	FOREIGN("proxy-no-happy-eyeballs", "it belongs to HTTP ingress, which is not served"),
	FOREIGN("proxy-keepalive-connections", "it belongs to HTTP ingress, which is not served"),
	FOREIGN("proxy-keepalive-timeout", "it belongs to HTTP ingress, which is not served"),
	FOREIGN("tag", "it marks HTTP requests to origins, which are not served"),

	/* credentials and the REST interface */
	FOREIGN("token", "no secret stands in this file: put the token into a file and name it "
			 "with credentials-file"),
	FOREIGN("credentials-contents", "no secret stands in this file: name its file with "
					"credentials-file"),
	FOREIGN("origincert", "adit doesn't use Cloudflare's management interface"),
	FOREIGN("api-url", "adit doesn't use Cloudflare's management interface"),
	FOREIGN("api-key", "adit doesn't use Cloudflare's management interface"),
	FOREIGN("api-email", "adit doesn't use Cloudflare's management interface"),
	FOREIGN("api-ca-key", "adit doesn't use Cloudflare's management interface"),
	FOREIGN("max-fetch-size", "adit doesn't use Cloudflare's management interface"),
	FOREIGN("management-hostname", "adit status asks the control socket instead"),
	FOREIGN("management-diagnostics", "adit status asks the control socket instead"),
	FOREIGN("service-op-ip", "adit status asks the control socket instead"),
	FOREIGN("label", "adit status asks the control socket instead"),

	/* the connection to the edge */
	FOREIGN("protocol", "adit always speaks HTTP/2"),
	FOREIGN("post-quantum", "adit offers what its TLS library offers"),
	FOREIGN("region", "the credentials say the region"),
	FOREIGN("features", "the list that is announced is fixed"),
	FOREIGN("retries", "adit tries again for ever, at most 30 s apart"),
	FOREIGN("max-edge-addr-retries", "adit tries again for ever, at most 30 s apart"),
	FOREIGN("rpc-timeout", "it is fixed: 5 s"),
	FOREIGN("dial-edge-timeout", "it is fixed: 15 s"),
	FOREIGN("write-stream-timeout", "flow control waits for slow local servers"),
	FOREIGN("heartbeat-interval", "it is fixed: 5 s"),
	FOREIGN("heartbeat-count", "it has no meaning for HTTP/2"),
	FOREIGN("compression-quality", "nothing is compressed"),
	FOREIGN("use-reconnect-token", "cloudflared ignores it too"),
	FOREIGN("no-prechecks", "adit makes no pre-checks"),
	FOREIGN("quic-disable-pmtu-discovery", "adit always speaks HTTP/2"),
	FOREIGN("quic-connection-level-flow-control-limit", "adit always speaks HTTP/2"),
	FOREIGN("quic-stream-level-flow-control-limit", "adit always speaks HTTP/2"),
	FOREIGN("icmpv4-src", "the host picks the address that pings go out from"),
	FOREIGN("icmpv6-src", "the host picks the address that pings go out from"),
	FOREIGN("dns-resolver-addrs", "clients resolve names themselves; resolver is for names "
				      "of the edge"),

	/* the process */
	FOREIGN("metrics", "adit status asks the control socket instead"),
	FOREIGN("metrics-update-freq", "adit status asks the control socket instead"),
	FOREIGN("pidfile", "the service manager knows the process"),
	FOREIGN("logfile", "the log goes to standard error; the service manager keeps it"),
	FOREIGN("log-directory", "the log goes to standard error; the service manager keeps it"),
	FOREIGN("transport-loglevel", "loglevel counts for everything"),
	FOREIGN("proto-loglevel", "loglevel counts for everything"),
	FOREIGN("trace-output", "no traces are written"),
	FOREIGN("no-autoupdate", "adit never updates itself"),
	FOREIGN("autoupdate-freq", "adit never updates itself"),
	FOREIGN("is-autoupdated", "adit never updates itself"),
	FOREIGN("stdin-control", "the control socket is for that"),
	FOREIGN("name", "tunnels are made at the edge"),
	FOREIGN("id", "the client id is made at each start"),
	FOREIGN("ui", "there is no terminal interface"),
	FOREIGN("quick-service", "there are no quick tunnels"),
};

const struct schema settings_schema = {.rows = rows, .n_rows = ARRAY_SIZE(rows)};
