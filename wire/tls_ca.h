/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * tls_ca - the edge's own certification authority, in two files
 *
 * ECDSA P-256. The CA lives ten years, may sign servers only (no further CA) and only for
 * the names it was made for (critical name constraints, RFC 5280 4.2.1.10), so that its key
 * is worth little to a thief. A server certificate lives one year.
 */

#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/compiler.h"

struct diag;

#define TLS_CA_DAYS   3650
#define TLS_CERT_DAYS 365
#define TLS_NAMES_MAX 64

/* Subject alternative names. Every certificate also has those of tls_names_add_builtin(). */
struct tls_names {
	char dns[TLS_NAMES_MAX][HOST_NAME_MAX_LEN + 1]; /* "*.example.org" is fine */
	size_t n_dns;
	struct ip_addr ips[TLS_NAMES_MAX];
	size_t n_ips;
};

/* Adds what stock agents and local trials need: see tls_ca.c. */
void tls_names_add_builtin(struct tls_names *names);
/* 0, -EEXIST (nothing to do), -EINVAL (not a host name or address) or -ENOSPC. */
int tls_names_add(struct tls_names *names, const char *text);

/* Makes a CA for @names (and the built-in ones). Refuses to overwrite: -EEXIST. */
NODISCARD int tls_ca_create(const char *cert_file, const char *key_file,
			    const struct tls_names *names, int64_t now_ms, struct diag *diag);

/*
 * Issues a server certificate and a new key, both replaced by rename (key first, 0600). @names
 * must be permitted by the CA, else -EPERM with the name in @diag.
 */
NODISCARD int tls_ca_issue(const char *ca_cert_file, const char *ca_key_file, const char *cert_file,
			   const char *key_file, const struct tls_names *names, int64_t now_ms,
			   struct diag *diag);

/* The names in a certificate, and when it ends (may be NULL). 0 or -errno. */
NODISCARD int tls_cert_read(const char *cert_file, struct tls_names *namesp, int64_t *not_after_msp,
			    struct diag *diag);
