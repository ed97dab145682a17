/* SPDX-License-Identifier: Apache-2.0 */
#include "client/resolv_conf.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"

#define SERVER "nameserver "

static const char *const kept[] = {"search", "domain", "options"};

static char *put(char *at, const char *text, size_t n)
{
	memcpy(at, text, n);
	return at + n;
}

static char *put_server(char *at, const struct ip_addr *ip)
{
	char text[IP_TEXT_MAX];

	at = put(at, SERVER, strlen(SERVER));
	ip_format(ip, text);
	at = put(at, text, strlen(text));
	*at = '\n';
	return at + 1;
}

/* Keywords begin a line: the C library looks at nothing else. */
static bool is_kept(const char *line, size_t n)
{
	for (size_t i = 0; i < ARRAY_SIZE(kept); i++) {
		size_t k = strlen(kept[i]);

		if (n > k && strncmp(line, kept[i], k) == 0 && (line[k] == ' ' || line[k] == '\t'))
			return true;
	}
	return false;
}

static char *put_kept(char *at, const char *old, size_t n)
{
	const char *end = old + n;

	while (old < end) {
		const char *stop = memchr(old, '\n', (size_t)(end - old));
		size_t n_line = (size_t)((stop ? stop : end) - old);

		if (is_kept(old, n_line)) {
			at = put(at, old, n_line);
			*at++ = '\n';
		}
		old += n_line + 1;
	}
	return at;
}

char *resolv_conf_make(const struct ip_addr *servers, size_t n_servers, const char *old, size_t n)
{
	/* A last line without an end gets one, and the NUL. */
	size_t room = n_servers * (sizeof(SERVER) + IP_TEXT_MAX) + n + 2;
	char *text = malloc(room);
	char *at = text;

	if (!text)
		return NULL;
	for (size_t i = 0; i < n_servers && i < RESOLV_CONF_SERVERS_MAX; i++)
		at = put_server(at, &servers[i]);
	*put_kept(at, old, n) = '\0';
	return text;
}
