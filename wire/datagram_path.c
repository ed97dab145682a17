/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/datagram_path.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/compiler.h"

static const struct {
	const char *protocol;
	const char *prefix;
	bool has_port;
} kinds[DATAGRAM_KIND_N] = {
	[DATAGRAM_UDP] = {"connect-udp", "/.well-known/masque/udp/", true},
	[DATAGRAM_ECHO] = {"adit-echo", "/.well-known/adit/echo/", false},
};

const char *datagram_protocol(enum datagram_kind kind)
{
	return kinds[kind].protocol;
}

int datagram_kind_parse(const char *protocol, enum datagram_kind *kindp)
{
	for (size_t i = 0; protocol && i < DATAGRAM_KIND_N; i++) {
		if (strcmp(kinds[i].protocol, protocol) == 0) {
			*kindp = (enum datagram_kind)i;
			return 0;
		}
	}
	return -EINVAL;
}

const char *datagram_path_format(enum datagram_kind kind, const struct endpoint *target,
				 char out[DATAGRAM_PATH_MAX])
{
	char ip[IP_TEXT_MAX];
	size_t n = (size_t)snprintf(out, DATAGRAM_PATH_MAX, "%s", kinds[kind].prefix);

	for (const char *c = ip_format(&target->ip, ip); *c; c++)
		n += (size_t)snprintf(out + n, DATAGRAM_PATH_MAX - n, *c == ':' ? "%%3A" : "%c",
				      *c);
	if (kinds[kind].has_port)
		snprintf(out + n, DATAGRAM_PATH_MAX - n, "/%u/", target->port);
	else
		snprintf(out + n, DATAGRAM_PATH_MAX - n, "/");
	return out;
}

/* The part up to the next slash, which must be there; *@pathp is behind it. */
static int take_segment(const char **pathp, char *out, size_t n_out)
{
	size_t n = strcspn(*pathp, "/");

	if ((*pathp)[n] != '/' || n >= n_out)
		return -EINVAL;
	memcpy(out, *pathp, n);
	out[n] = '\0';
	*pathp += n + 1;
	return 0;
}

/* %3A becomes a colon, in place; a bare colon or any other encoding is an error. */
static int decode_colons(char *text)
{
	char *to = text;

	for (const char *from = text; *from; from++) {
		if (*from == ':')
			return -EINVAL;
		if (*from == '%') {
			if (from[1] != '3' || (from[2] != 'A' && from[2] != 'a'))
				return -EINVAL;
			from += 2;
			*to++ = ':';
		} else {
			*to++ = *from;
		}
	}
	*to = '\0';
	return 0;
}

int datagram_path_parse(enum datagram_kind kind, const char *path, struct endpoint *targetp)
{
	size_t n_prefix = strlen(kinds[kind].prefix);
	struct endpoint target = {.port = 0};
	char segment[DATAGRAM_PATH_MAX];

	if (!path || strncmp(path, kinds[kind].prefix, n_prefix) != 0)
		return -EINVAL;
	path += n_prefix;
	if (take_segment(&path, segment, sizeof(segment)) < 0 || decode_colons(segment) < 0 ||
	    ip_parse(segment, &target.ip) < 0)
		return -EINVAL;
	if (kinds[kind].has_port && (take_segment(&path, segment, sizeof(segment)) < 0 ||
				     port_parse(segment, &target.port) < 0))
		return -EINVAL;
	if (*path)
		return -EINVAL;
	target.ip = ip_canonical(&target.ip);
	*targetp = target;
	return 0;
}
