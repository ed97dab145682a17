/* SPDX-License-Identifier: Apache-2.0 */

/* What all connections of one role share: versions, suites, groups, trust, certificate. */

#include <errno.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

#include "base/diag.h"
#include "base/err.h"
#include "wire/proto.h"
#include "wire/tls.h"
#include "wire/tls_private.h"

/* Read-ahead of a connection: a batch of 64 KiB flushes fits twice. */
#define READ_AHEAD_BYTES (128 * 1024)

/* Suites of RFC 9113's black list are not offered: a stock agent closes on them. */
#define SUITES_TLS12 "ECDHE+AESGCM:ECDHE+CHACHA20"
#define SUITES_TLS13 "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"

/* Stock agents without ML-KEM offer P-256 alone. */
#define GROUPS "X25519:P-256:P-384"

struct tls_context {
	SSL_CTX *ssl;
};

SSL_CTX *tls_context_ssl(struct tls_context *ctx)
{
	return ctx->ssl;
}

struct tls_context *tls_context_free(struct tls_context *ctx)
{
	if (!ctx)
		return NULL;
	SSL_CTX_free(ctx->ssl);
	free(ctx);
	return NULL;
}

/* The first error is the cause; those after it say which function noticed. */
static const char *reason_of_failure(void)
{
	unsigned long code = ERR_peek_error();
	const char *reason = ERR_reason_error_string(code);

	if (ERR_SYSTEM_ERROR(code))
		return strerror(ERR_GET_REASON(code));
	if (ERR_GET_LIB(code) == ERR_LIB_PEM || ERR_GET_LIB(code) == ERR_LIB_OSSL_DECODER)
		return "it isn't in PEM format";
	return reason ? reason : "unknown error";
}

static int configure(SSL_CTX *ssl)
{
	SSL_CTX_set_options(ssl, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET |
					 SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE |
					 SSL_OP_PRIORITIZE_CHACHA);
	SSL_CTX_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_num_tickets(ssl, 0);
	SSL_CTX_set_read_ahead(ssl, 1);
	SSL_CTX_set_default_read_buffer_len(ssl, READ_AHEAD_BYTES);
	if (!SSL_CTX_set_min_proto_version(ssl, TLS1_2_VERSION) ||
	    !SSL_CTX_set_cipher_list(ssl, SUITES_TLS12) ||
	    !SSL_CTX_set_ciphersuites(ssl, SUITES_TLS13) || !SSL_CTX_set1_groups_list(ssl, GROUPS))
		return -ENOTSUP;
	return 0;
}

static int new_context(struct tls_context **ctxp, const SSL_METHOD *method, struct diag *diag)
{
	CLEANUP(tls_context_free) struct tls_context *ctx = xnew(struct tls_context);
	int r;

	ERR_clear_error();
	ctx->ssl = SSL_CTX_new(method);
	r = ctx->ssl ? configure(ctx->ssl) : -ENOMEM;
	if (r < 0) {
		diag_add(diag, DIAG_ERROR, 0, "TLS: can't be set up: %s", reason_of_failure());
		return err_trace(r);
	}
	*ctxp = steal_ptr(ctx);
	return 0;
}

static int offer_h2(SSL_CTX *ssl)
{
	static const unsigned char protocols[] = {2, 'h', '2'};

	/* This one returns 0 for success. */
	return SSL_CTX_set_alpn_protos(ssl, protocols, sizeof(protocols)) == 0 ? 0 : -ENOMEM;
}

static int new_dialler(struct tls_context **ctxp, bool alpn_h2, struct diag *diag)
{
	int r = new_context(ctxp, TLS_client_method(), diag);

	if (r < 0)
		return r;
	SSL_CTX_set_verify((*ctxp)->ssl, SSL_VERIFY_PEER, NULL);
	return alpn_h2 ? offer_h2((*ctxp)->ssl) : 0;
}

int tls_context_new_dialler(struct tls_context **ctxp, const char *ca_file, bool alpn_h2,
			    struct diag *diag)
{
	CLEANUP(tls_context_free) struct tls_context *ctx = NULL;
	int r = new_dialler(&ctx, alpn_h2, diag);
	int ok;

	if (r < 0)
		return r;
	ERR_clear_error();
	ok = ca_file ? SSL_CTX_load_verify_file(ctx->ssl, ca_file)
		     : SSL_CTX_set_default_verify_paths(ctx->ssl);
	if (!ok) {
		diag_add(diag, DIAG_ERROR, 0, "%s: can't read CA certificates: %s",
			 ca_file ? ca_file : "system roots", reason_of_failure());
		return -EINVAL;
	}
	*ctxp = steal_ptr(ctx);
	return 0;
}

/* Returns the number of certificates added, or -EINVAL. */
static int add_roots(SSL_CTX *ssl, BIO *pem)
{
	X509_STORE *store = SSL_CTX_get_cert_store(ssl);
	int n = 0;
	X509 *cert;

	while ((cert = PEM_read_bio_X509(pem, NULL, NULL, NULL)) != NULL) {
		int ok = X509_STORE_add_cert(store, cert);

		X509_free(cert);
		if (!ok)
			return -EINVAL;
		n++;
	}
	ERR_clear_error();
	return n > 0 ? n : -EINVAL;
}

int tls_context_new_dialler_pem(struct tls_context **ctxp, const char *ca_pem, bool alpn_h2,
				struct diag *diag)
{
	CLEANUP(tls_context_free) struct tls_context *ctx = NULL;
	int r = new_dialler(&ctx, alpn_h2, diag);
	BIO *pem;

	if (r < 0)
		return r;
	pem = BIO_new_mem_buf(ca_pem, -1);
	r = pem ? add_roots(ctx->ssl, pem) : -ENOMEM;
	BIO_free(pem);
	if (r < 0) {
		diag_add(diag, DIAG_ERROR, 0, "ca: no valid PEM certificate");
		return r;
	}
	*ctxp = steal_ptr(ctx);
	return 0;
}

/* RFC 7301 3.2: an offer without a protocol of ours is answered with an alert. */
static int select_alpn(SSL *ssl UNUSED, const unsigned char **out, unsigned char *n_out,
		       const unsigned char *in, unsigned int n_in, void *arg UNUSED)
{
	unsigned int i = 0;

	while (i < n_in) {
		if (in[i] == strlen(ALPN_H2) && i + 1 + in[i] <= n_in &&
		    memcmp(in + i + 1, ALPN_H2, in[i]) == 0) {
			*out = in + i + 1;
			*n_out = in[i];
			return SSL_TLSEXT_ERR_OK;
		}
		i += 1u + in[i];
	}
	return SSL_TLSEXT_ERR_ALERT_FATAL;
}

static int load_certificate(SSL_CTX *ssl, const char *cert_file, const char *key_file,
			    struct diag *diag)
{
	ERR_clear_error();
	if (SSL_CTX_use_certificate_chain_file(ssl, cert_file) != 1) {
		diag_add(diag, DIAG_ERROR, 0, "%s: can't read the certificate: %s", cert_file,
			 reason_of_failure());
		return -EINVAL;
	}
	if (SSL_CTX_use_PrivateKey_file(ssl, key_file, SSL_FILETYPE_PEM) == 1)
		return 0;
	if (ERR_GET_REASON(ERR_peek_error()) == X509_R_KEY_VALUES_MISMATCH)
		diag_add(diag, DIAG_ERROR, 0, "%s: the key doesn't belong to %s", key_file,
			 cert_file);
	else
		diag_add(diag, DIAG_ERROR, 0, "%s: can't read the key: %s", key_file,
			 reason_of_failure());
	return -EINVAL;
}

int tls_context_new_listener(struct tls_context **ctxp, const char *cert_file, const char *key_file,
			     struct diag *diag)
{
	CLEANUP(tls_context_free) struct tls_context *ctx = NULL;
	int r = new_context(&ctx, TLS_server_method(), diag);

	if (r < 0)
		return r;
	r = load_certificate(ctx->ssl, cert_file, key_file, diag);
	if (r < 0)
		return r;
	SSL_CTX_set_alpn_select_cb(ctx->ssl, select_alpn, NULL);
	*ctxp = steal_ptr(ctx);
	return 0;
}
