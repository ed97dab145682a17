/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/settings_rows.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/settings.h"
#include "routing/forbidden.h"
#include "routing/prefix_codec.h"

#define NAME_CHARS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"

/* ---- prefix ---- */

static int parse_prefix(const char *text, void *field, char *why)
{
	struct prefix p = {0};
	int r = prefix_codec_parse(text, &p, why);
	const char *range = r < 0 ? NULL : forbidden_prefix(&p);

	if (range && !prefix_is_single(&p))
		return schema_refuse(why,
				     "%s is never served as a whole (%s): name single addresses",
				     text, range);
	if (r == 0)
		*(struct prefix *)field = p;
	return r;
}

const struct schema_codec settings_prefix = {"prefix or address", parse_prefix,
					     prefix_codec_format};

/* ---- ports ---- */

static int parse_ports(const char *text, void *field, char *why)
{
	int r = ports_parse(text, field);

	if (r == -E2BIG)
		return schema_refuse(why, "more than %d port ranges", PORTS_RANGES_MAX);
	return r < 0 ? schema_refuse(why,
				     "must be ports from 1 to 65535 or ranges, like 22,8000-8100")
		     : 0;
}

static void format_ports(const void *field, char *out)
{
	const struct ports *p = field;

	out[0] = '\0';
	if (p->n)
		ports_format(p, out);
}

const struct schema_codec settings_ports = {"ports", parse_ports, format_ports};

/* ---- via ---- */

static int split_via(const char *text, struct via_setting *via)
{
	struct endpoint ep;

	if (ip_parse(text, &via->ip) == 0)
		return 0;
	if (text[0] == ':')
		return port_parse(text + 1, &via->port);
	if (endpoint_parse(text, &ep) < 0)
		return -EINVAL;
	*via = (struct via_setting){.ip = ep.ip, .port = ep.port};
	return 0;
}

static int parse_via(const char *text, void *field, char *why)
{
	struct via_setting via = {0};
	const char *range;

	if (split_via(text, &via) < 0)
		return schema_refuse(
			why, "must be an address, an address and a port, or a port, like 10.0.0.1, "
			     "127.0.0.1:22 or :2222");
	via.ip = ip_canonical(&via.ip);
	range = via.ip.family ? forbidden_range(&via.ip) : NULL;
	if (range && !ip_is_loopback(&via.ip) && strcmp(range, "link-local") != 0)
		return schema_refuse(why, "%s can't be a target (%s)", text, range);
	*(struct via_setting *)field = via;
	return 0;
}

static void format_via(const void *field, char *out)
{
	const struct via_setting *via = field;
	struct endpoint ep = {.ip = via->ip, .port = via->port};

	out[0] = '\0';
	if (via->ip.family && via->port)
		endpoint_format(&ep, out);
	else if (via->ip.family)
		ip_format(&via->ip, out);
	else if (via->port)
		snprintf(out, SCHEMA_WHY_MAX, ":%u", (unsigned int)via->port);
}

const struct schema_codec settings_via = {"address, address:port or :port", parse_via, format_via};

/* ---- texts ---- */

static bool is_name(const char *text)
{
	return *text && strspn(text, NAME_CHARS) == strlen(text) &&
	       strlen(text) <= HOST_NAME_MAX_LEN;
}

int settings_check_edge(const char *text, char *why)
{
	char host[HOST_NAME_MAX_LEN + 1], with_port[HOST_NAME_MAX_LEN + 16];
	uint16_t port;

	if (strcmp(text, "cloudflare") == 0 || host_port_parse(text, host, &port) == 0)
		return 0;
	if (strncmp(text, "srv:", 4) == 0)
		return is_name(text + 4)
			       ? 0
			       : schema_refuse(why, "srv: needs a name, like srv:example.com");
	snprintf(with_port, sizeof(with_port), strchr(text, ':') ? "[%s]:7844" : "%s:7844", text);
	if (host_port_parse(with_port, host, &port) == 0)
		return schema_refuse(why, "needs a port: %s", with_port);
	return schema_refuse(why, "must be HOST:PORT, cloudflare or srv:NAME");
}

int settings_check_host(const char *text, char *why)
{
	char with_port[HOST_NAME_MAX_LEN + 16], host[HOST_NAME_MAX_LEN + 1];
	struct ip_addr ip;
	uint16_t port;

	snprintf(with_port, sizeof(with_port), "%s:1", text);
	if (ip_parse(text, &ip) == 0 || host_port_parse(with_port, host, &port) == 0)
		return 0;
	return schema_refuse(why, "must be a host name or an address, without a port");
}

int settings_check_resolver(const char *text, char *why)
{
	char part[ENDPOINT_TEXT_MAX];

	for (; text; text = strchr(text, ',') ? strchr(text, ',') + 1 : NULL) {
		struct ip_addr ip;
		struct endpoint ep;

		text += strspn(text, " ");
		snprintf(part, sizeof(part), "%.*s", (int)strcspn(text, ","), text);
		if (ip_parse(part, &ip) < 0 && endpoint_parse(part, &ep) < 0)
			return schema_refuse(
				why, "must be addresses with or without a port, like 10.0.0.53 or "
				     "[::1]:5353");
	}
	return 0;
}

int settings_check_vnet(const char *text, char *why)
{
	return is_name(text)
		       ? 0
		       : schema_refuse(why, "must be of letters, digits, \".\", \"_\" and \"-\"");
}
