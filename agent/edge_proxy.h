/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * edge_proxy - the proxy that connections to the edge go through: `edge-proxy`
 *
 * User and password come from a file of their own, checked as every secret's (base/secret.h),
 * never from the URL: a config is shown and copied.
 */

#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/compiler.h"
#include "wire/proxy_dial.h"

struct diag;
struct settings;

struct edge_proxy {
	enum proxy_kind kind;
	char host[HOST_NAME_MAX_LEN + 1]; /* "": no proxy */
	uint16_t port;
	char user[PROXY_CREDENTIAL_MAX + 1]; /* "": no credentials */
	char password[PROXY_CREDENTIAL_MAX + 1];
};

/* "http://HOST:PORT" or "socks5://HOST:PORT", without credentials. 0 or -EINVAL. */
int edge_proxy_parse(const char *url, struct edge_proxy *out);
/* As schema_row's `check`. The reason never quotes @url: a password may stand in it. */
int edge_proxy_check(const char *url, char *why);
/* The same for the file with the credentials: who writes them in its place is told so. */
int edge_proxy_check_file(const char *path, char *why);
/* One line "user:password". 0, or -EINVAL with the reason, which never quotes it, in *@whyp. */
int edge_proxy_parse_credentials(const char *text, size_t n, struct edge_proxy *out,
				 const char **whyp);
/* What @settings say, with the credentials. 0; -EINVAL or -errno with the reason in @diag. */
NODISCARD int edge_proxy_load(struct edge_proxy *out, const struct settings *settings,
			      struct diag *diag);
void edge_proxy_wipe(struct edge_proxy *proxy);
