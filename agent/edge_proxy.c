/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/edge_proxy.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/settings.h"
#include "base/diag.h"
#include "base/schema.h"
#include "base/secret.h"

#define SCHEME_END "://"

/* ---- the URL ---- */

/* Behind "http://" or "socks5://"; NULL: it is neither. */
static const char *skip_scheme(const char *url, enum proxy_kind *kindp)
{
	for (int kind = PROXY_KIND_HTTP; kind <= PROXY_KIND_SOCKS5; kind++) {
		const char *name = proxy_kind_name((enum proxy_kind)kind);
		size_t n = strlen(name);

		*kindp = (enum proxy_kind)kind;
		if (strncmp(url, name, n) == 0 && strncmp(url + n, SCHEME_END, 3) == 0)
			return url + n + strlen(SCHEME_END);
	}
	return NULL;
}

int edge_proxy_parse(const char *url, struct edge_proxy *out)
{
	struct edge_proxy proxy = {.host = ""};
	const char *at = skip_scheme(url, &proxy.kind);

	if (!at || host_port_parse(at, proxy.host, &proxy.port) < 0)
		return -EINVAL;
	*out = proxy;
	return 0;
}

int edge_proxy_check(const char *url, char *why)
{
	struct edge_proxy proxy;

	if (strchr(url, '@'))
		return schema_refuse(why, "no user and password stand in this file: put the line "
					  "user:password into a file and name it with "
					  "edge-proxy-credentials-file");
	if (edge_proxy_parse(url, &proxy) < 0)
		return schema_refuse(why, "must be http://HOST:PORT or socks5://HOST:PORT");
	return 0;
}

int edge_proxy_check_file(const char *path, char *why)
{
	if (path[0] != '/' && path[0] != '.' && strchr(path, ':'))
		return schema_refuse(why, "must be the path of a file: user:password stand in it, "
					  "not here");
	return 0;
}

/* ---- credentials ---- */

static size_t strip_line_end(const char *text, size_t n)
{
	if (n > 0 && text[n - 1] == '\n')
		n--;
	if (n > 0 && text[n - 1] == '\r')
		n--;
	return n;
}

static bool is_clean(const char *text, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
			return false;
	}
	return true;
}

int edge_proxy_parse_credentials(const char *text, size_t n, struct edge_proxy *out,
				 const char **whyp)
{
	const char *colon;
	size_t n_user, n_password;

	n = strip_line_end(text, n);
	colon = n > 0 ? memchr(text, ':', n) : NULL;
	*whyp = "must be one line, user:password";
	if (!colon || !is_clean(text, n))
		return -EINVAL;
	n_user = (size_t)(colon - text);
	n_password = n - n_user - 1;
	*whyp = "user and password must be of 1 to 255 bytes each";
	if (n_user == 0 || n_user > PROXY_CREDENTIAL_MAX || n_password == 0 ||
	    n_password > PROXY_CREDENTIAL_MAX)
		return -EINVAL;
	memcpy(out->user, text, n_user);
	out->user[n_user] = '\0';
	memcpy(out->password, colon + 1, n_password);
	out->password[n_password] = '\0';
	return 0;
}

static int load_credentials(struct edge_proxy *proxy, const char *path, struct diag *diag)
{
	struct secret secret = {0};
	const char *why;
	int r = secret_read_file(path, &secret, diag);

	if (r < 0)
		return r;
	r = edge_proxy_parse_credentials((const char *)secret.bytes, secret.n, proxy, &why);
	secret_wipe(&secret);
	if (r < 0)
		diag_add(diag, DIAG_ERROR, 0, "%s: %s", path, why);
	return r;
}

int edge_proxy_load(struct edge_proxy *out, const struct settings *settings, struct diag *diag)
{
	memset(out, 0, sizeof(*out));
	if (!settings->edge_proxy)
		return 0;
	if (edge_proxy_parse(settings->edge_proxy, out) < 0)
		return -EINVAL; /* not after edge_proxy_check() */
	if (!settings->edge_proxy_credentials_file)
		return 0;
	return load_credentials(out, settings->edge_proxy_credentials_file, diag);
}

void edge_proxy_wipe(struct edge_proxy *proxy)
{
	explicit_bzero(proxy, sizeof(*proxy));
}
