/* SPDX-License-Identifier: Apache-2.0 */
#include "client/up_settings_rows.h"

#include <string.h>

#include "client/net_helper_dns.h"
#include "client/up_settings.h"
#include "routing/prefix_codec.h"
#include "tun/tun_numbers.h"

#define AT(member)    .offset = offsetof(struct up_settings, member)
#define COUNT(member) .count_offset = offsetof(struct up_settings, member)

#define NAME_CHARS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"

static const struct schema_name modes[] = {
	{"include", UP_MODE_INCLUDE},
	{"exclude", UP_MODE_EXCLUDE},
	{NULL, 0},
};

/* ---- codecs and checks ---- */

/* A name server: an address with or without a port. */
static int parse_server(const char *text, void *field, char *why)
{
	struct endpoint ep = {.port = 53};

	if (ip_parse(text, &ep.ip) < 0 && endpoint_parse(text, &ep) < 0)
		return schema_refuse(why, "must be an address with or without a port, like "
					  "10.0.0.53 or [2001:db8::53]:5353");
	ep.ip = ip_canonical(&ep.ip);
	*(struct endpoint *)field = ep;
	return 0;
}

static void format_server(const void *field, char *out)
{
	const struct endpoint *ep = field;

	out[0] = '\0';
	if (ep->ip.family)
		endpoint_format(ep, out);
}

static const struct schema_codec dns_server = {"address or address:port", parse_server,
					       format_server};

static int check_name(const char *text, char *why)
{
	if (*text && strspn(text, NAME_CHARS) == strlen(text) && strlen(text) < UP_NAME_MAX)
		return 0;
	return schema_refuse(why, "must be of letters, digits, \".\", \"_\" and \"-\"");
}

static int check_edge(const char *text, char *why)
{
	char host[HOST_NAME_MAX_LEN + 1];
	uint16_t port;

	if (host_port_parse(text, host, &port) == 0)
		return 0;
	return schema_refuse(why, "must be HOST:PORT");
}

static int check_absolute(const char *text, char *why)
{
	return *text == '/' ? 0 : schema_refuse(why, "must be an absolute path");
}

/* Labels of 1 to 63 letters, digits, "-" and "_", as the helper takes them. */
static int check_domain(const char *text, char *why)
{
	for (const char *label = text; label; label = strchr(label, '.')) {
		size_t n;

		label += label != text;
		n = strcspn(label, ".");
		if (n == 0 || n > 63 || strspn(label, NAME_CHARS) < n || label[0] == '-' ||
		    label[n - 1] == '-')
			return schema_refuse(why, "must be a domain, like corp.example, without "
						  "a dot at its end");
	}
	return 0;
}

/* ---- dns ---- */

static const struct schema_row dns_rows[] = {
	{
		.key = "domain",
		.type = SCHEMA_TEXT,
		.flags = SCHEMA_REQUIRED,
		.offset = offsetof(struct up_dns_forward, domain),
		.max = HOST_NAME_MAX_LEN,
		.check = check_domain,
		.doc = "This name and all names below it.",
	},
	{
		.key = "servers",
		.type = SCHEMA_VALUES,
		.flags = SCHEMA_REQUIRED,
		.offset = offsetof(struct up_dns_forward, servers),
		.count_offset = offsetof(struct up_dns_forward, n_servers),
		.item_size = sizeof(struct endpoint),
		.max = UP_DNS_SERVERS_MAX,
		.codec = &dns_server,
		.doc = "Name servers behind the tunnel, asked in this order; port 53 if none is "
		       "given.",
	},
	{
		.key = "virtual-network",
		.type = SCHEMA_TEXT,
		.offset = offsetof(struct up_dns_forward, virtual_network),
		.absent = "the one that routes the server's address",
		.max = UP_NAME_MAX - 1,
		.check = check_name,
		.doc = "Virtual network of the servers.",
	},
};

static const struct schema dns_schema = {
	.rows = dns_rows,
	.n_rows = ARRAY_SIZE(dns_rows),
	.line_offset = offsetof(struct up_dns_forward, line),
};

/* ---- client.yml ---- */

static const struct schema_row rows[] = {
	{
		.key = "credentials-file",
		.type = SCHEMA_PATH,
		AT(credentials_file),
		.max = 4095,
		.absent = "`$ADIT_CLIENT_CREDENTIALS`, else `~/.config/adit/client.json`",
		.doc = "The user's file that `adit-edge client add` wrote.",
	},
	{
		.key = "edge",
		.type = SCHEMA_STRINGS,
		AT(edges),
		COUNT(n_edges),
		.max = 16,
		.absent = "the credentials'",
		.check = check_edge,
		.doc = "`HOST:PORT` of the edge, or a list that is tried in order.",
	},
	{
		.key = "resolver",
		.type = SCHEMA_STRING,
		.flags = SCHEMA_JOIN,
		AT(resolver),
		.max = 512,
		.absent = "the system's",
		.doc = "Name servers for the edge's name, `IP` or `IP:PORT`, a list or "
		       "comma-separated.",
	},
	{
		.key = "virtual-networks",
		.type = SCHEMA_STRINGS,
		AT(networks),
		COUNT(n_networks),
		.max = UP_NETWORKS_MAX,
		.absent = "all that the user may reach",
		.check = check_name,
		.doc = "Virtual networks to connect to. Their routes must not overlap; `adit exec` "
		       "is for those that do.",
	},
	{
		.key = "mode",
		.type = SCHEMA_ENUM,
		AT(mode),
		.fallback = "include",
		.names = modes,
		.doc = "`include`: only the networks of `include` (or, without that list, those "
		       "that the edge offers) go through the tunnel. `exclude`: all traffic does, "
		       "but that to the networks of `exclude`.",
	},
	{
		.key = "include",
		.type = SCHEMA_VALUES,
		AT(includes),
		COUNT(n_includes),
		.item_size = sizeof(struct prefix),
		.max = UP_PREFIXES_MAX,
		.absent = "what the edge offers, live",
		.codec = &prefix_codec,
		.doc = "Networks that go through the tunnel; wins over `exclude`.",
	},
	{
		.key = "exclude",
		.type = SCHEMA_VALUES,
		AT(excludes),
		COUNT(n_excludes),
		.item_size = sizeof(struct prefix),
		.max = UP_PREFIXES_MAX,
		.absent = "private, shared, link-local, multicast and reserved ranges "
			  "([up.md](up.md) lists them)",
		.codec = &prefix_codec,
		.doc = "With `mode: exclude`: networks that stay outside.",
	},
	{
		.key = "local-networks-win",
		.type = SCHEMA_BOOL,
		AT(local_networks_win),
		.fallback = "on",
		.doc = "A route of this machine that is more specific than its default route, such "
		       "as the one of the network it is in, wins over the tunnel.",
	},
	{
		.key = "dns",
		.type = SCHEMA_LIST,
		AT(dns),
		COUNT(n_dns),
		.item_size = sizeof(struct up_dns_forward),
		.max = UP_DNS_FORWARDS_MAX,
		.nested = &dns_schema,
		.absent = "names are looked up as without the tunnel",
		.doc = "Private domains whose names are asked at name servers behind the tunnel.",
	},
	{
		.key = "resolvectl",
		.type = SCHEMA_PATH,
		AT(resolvectl),
		.max = 4095,
		.fallback = NET_HELPER_RESOLVECTL,
		.check = check_absolute,
		.doc = "The program that tells systemd-resolved of the `dns` domains; root's, and "
		       "nobody else's to write. If it isn't there, `adit up` logs what to add.",
	},
	{
		.key = "instance",
		.type = SCHEMA_U32,
		AT(instance),
		.max = TUN_INSTANCES_MAX - 1,
		.fallback = "0",
		.doc = "Several run side by side, each with its own number: instance N has the "
		       "routing table 44301 + N and the addresses 100.96.N.1 and 100.96.N.2.",
	},
	{
		.key = "addresses",
		.type = SCHEMA_VALUES,
		AT(addresses),
		COUNT(n_addresses),
		.item_size = sizeof(struct prefix),
		.max = 2,
		.absent = "100.96.N.0/24 and a random fd00::/8 one",
		.codec = &prefix_codec,
		.doc = "A network of each family whose addresses 1 and 2 are the device's and its "
		       "other end's, where the stub name server is; in IPv4 out of 100.96.0.0/12.",
	},
	{
		.key = "user",
		.type = SCHEMA_STRING,
		AT(user),
		.max = 64,
		.absent = "with sudo who called it, else unchanged",
		.doc = "Whom the main process becomes once the device is there.",
	},
	{
		.key = "max-tcp-flows",
		.type = SCHEMA_U32,
		AT(max_tcp_flows),
		.min = 1,
		.max = 32768,
		.fallback = "4096",
		.doc = "TCP connections at one time; more wait until others end.",
	},
	{
		.key = "max-udp-flows",
		.type = SCHEMA_U32,
		AT(max_udp_flows),
		.min = 1,
		.max = 32768,
		.fallback = "16384",
		.doc = "UDP flows at one time; for more the oldest ones end.",
	},
	{
		.key = "loglevel",
		.type = SCHEMA_ENUM,
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
		.key = "runtime-directory",
		.type = SCHEMA_PATH,
		AT(runtime_dir),
		.max = 80,
		.fallback = UP_RUNTIME_DIRECTORY,
		.doc = "For the control socket, and the lock that keeps a number to one instance.",
	},
};

const struct schema up_settings_schema = {
	.rows = rows,
	.n_rows = ARRAY_SIZE(rows),
};
