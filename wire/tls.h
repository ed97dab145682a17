/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * tls - TLS 1.2 and 1.3 for links; the only home of SSL
 *
 * A connection reads its socket itself (with read-ahead) and appends what it
 * has to send to a bounded buffer that the link writes out, so that all of a
 * write goes out with one send(). No renegotiation, no tickets, no compression;
 * certificate checks can't be switched off.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/addr.h"
#include "base/cleanup.h"
#include "base/compiler.h"

struct diag;
struct tls_context;
struct tls_conn;

/* Largest plaintext for one tls_write(): its ciphertext fits the output buffer. */
#define TLS_WRITE_MAX (304 * 1024)

enum tls_outcome {
	TLS_E_AGAIN = 1,  /* the socket has nothing (or the handshake needs the peer) */
	TLS_E_EOF = 2,	  /* close_notify, or the peer closed TCP */
	TLS_E_FAILED = 3, /* alert, bad record, certificate: see tls_conn_error_text() */
};

/*
 * For a dialler: @ca_file replaces the system roots when not NULL.
 * @alpn_h2: offer ALPN "h2" (clients of the edge do, agents don't).
 */
NODISCARD int tls_context_new_dialler(struct tls_context **ctxp, const char *ca_file, bool alpn_h2,
				      struct diag *diag);
/* The same with the roots as PEM text; @ca_pem must not be NULL. */
NODISCARD int tls_context_new_dialler_pem(struct tls_context **ctxp, const char *ca_pem,
					  bool alpn_h2, struct diag *diag);
/* For a listener: chain and key as PEM files; ALPN "h2" or none. */
NODISCARD int tls_context_new_listener(struct tls_context **ctxp, const char *cert_file,
				       const char *key_file, struct diag *diag);
struct tls_context *tls_context_free(struct tls_context *ctx);
DEFINE_CLEANUP(struct tls_context *, tls_context_free);

/*
 * A dialler's connection on @fd (borrowed). @server_name is sent as SNI and
 * verified; if it is an IP literal it is verified against the IP SAN and no
 * SNI is sent.
 */
NODISCARD int tls_conn_new_dialler(struct tls_conn **connp, struct tls_context *ctx, int fd,
				   const char *server_name);
NODISCARD int tls_conn_new_listener(struct tls_conn **connp, struct tls_context *ctx, int fd);
struct tls_conn *tls_conn_free(struct tls_conn *c);

/* Goes on with the handshake. 0 when done; TLS_E_*. There may be output either way. */
int tls_handshake(struct tls_conn *c);

/*
 * *@np bytes of plaintext, at most @cap, and what came after them: 0 when @out is full, else
 * TLS_E_*. The bytes count with every outcome: the peer's last ones come together with its end.
 */
int tls_read(struct tls_conn *c, uint8_t *out, size_t cap, size_t *np);

/* Whether the last tls_read() took bytes from the socket, be it a part of a record. */
bool tls_took_input(const struct tls_conn *c);

/*
 * Encrypts all of @data (at most TLS_WRITE_MAX) into the output buffer, which must be
 * empty (tls_output() returned 0). 0, TLS_E_FAILED or -errno.
 */
int tls_write(struct tls_conn *c, const uint8_t *data, size_t n);

/* Appends close_notify; no write after it. */
void tls_shutdown(struct tls_conn *c);

/* Ciphertext to send: *@datap valid until the next call on @c. Returns its size. */
size_t tls_output(struct tls_conn *c, const uint8_t **datap);
/* The first @n bytes of it were sent. */
void tls_output_sent(struct tls_conn *c, size_t n);

/* True if decrypted or undecrypted bytes wait inside: the socket won't signal them. */
bool tls_has_input(const struct tls_conn *c);
/* "h2", or NULL when none was negotiated. */
const char *tls_alpn(const struct tls_conn *c);
/* What failed, for people: "certificate has expired", ... Never NULL. */
const char *tls_conn_error_text(const struct tls_conn *c);
/* True if it was the certificate check that failed. */
bool tls_conn_is_cert_error(const struct tls_conn *c);
