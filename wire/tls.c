/* SPDX-License-Identifier: Apache-2.0 */

/*
 * One SSL object between a socket and two buffers.
 *
 * Both ways go through a BIO of ours. Reading: OpenSSL asks for 128 KiB ahead, which saves the
 * system call per record; what follows a short read is left to the next poll, which saves the one
 * that would only say EAGAIN. Writing: records are appended to one output buffer, which the link
 * sends with one system call.
 * The error queue is per thread and shared by all connections: it is cleared
 * before every call, or one connection's alert would fail another.
 */

#include "wire/tls.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "base/diag.h"
#include "base/err.h"
#include "wire/proto.h"
#include "wire/tls_private.h"

/* Plaintext of one write, the records' overhead, and a handshake flight in front of it. */
#define OUT_BYTES (TLS_WRITE_MAX + 16 * 1024)

/* A handshake flight, or an alert. */
#define OUT_MIN 4096

/* Header, nonce, tag and type of a record; the first is counted for the part that is not full. */
#define RECORD_BYTES	16384
#define RECORD_OVERHEAD 64

struct tls_conn {
	SSL *ssl;
	int fd;		 /* borrowed */
	bool is_drained; /* the last read of this call was short */
	bool took_input; /* this or the last tls_read() has read something */
	struct {
		uint8_t *bytes; /* allocated while there is something to send */
		size_t cap;
		size_t head;
		size_t len;
	} out;
	bool cert_error;
	char error_text[160];
};

/* ---- the BIO ---- */

/* Room for @n more bytes: as much as is asked for, so that a keystroke doesn't cost 300 KiB. */
static bool reserve(struct tls_conn *c, size_t n)
{
	size_t need = c->out.head + c->out.len + n;
	uint8_t *bytes;

	if (need <= c->out.cap)
		return true;
	if (need > OUT_BYTES)
		return false;
	need = need < OUT_MIN ? OUT_MIN : need;
	bytes = realloc(c->out.bytes, need);
	if (!bytes)
		return false;
	c->out.bytes = bytes;
	c->out.cap = need;
	return true;
}

static int bio_append(BIO *bio, const char *data, int n)
{
	struct tls_conn *c = BIO_get_data(bio);
	size_t need = (size_t)n;

	BIO_clear_retry_flags(bio);
	if (!reserve(c, need))
		return -1;
	memcpy(c->out.bytes + c->out.head + c->out.len, data, need);
	c->out.len += need;
	return n;
}

static int bio_receive(BIO *bio, char *data, int n)
{
	struct tls_conn *c = BIO_get_data(bio);
	ssize_t got;

	BIO_clear_retry_flags(bio);
	if (c->is_drained) {
		BIO_set_retry_read(bio);
		return -1;
	}
	do {
		got = recv(c->fd, data, (size_t)n, 0);
	} while (got < 0 && errno == EINTR);
	c->is_drained = got > 0 && got < n;
	c->took_input |= got > 0;
	if (got < 0 && errno == EAGAIN)
		BIO_set_retry_read(bio);
	return (int)got;
}

static long bio_control(BIO *bio UNUSED, int command, long n UNUSED, void *arg UNUSED)
{
	return command == BIO_CTRL_FLUSH;
}

/* Made once and kept for the life of the process: OpenSSL wants method types registered. */
static BIO_METHOD *link_method(void)
{
	static BIO_METHOD *method;

	if (method)
		return method;
	method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "link");
	if (method) {
		BIO_meth_set_read(method, bio_receive);
		BIO_meth_set_write(method, bio_append);
		BIO_meth_set_ctrl(method, bio_control);
	}
	return method;
}

/* ---- connections ---- */

static int attach_bio(struct tls_conn *c)
{
	BIO_METHOD *method = link_method();
	BIO *bio = method ? BIO_new(method) : NULL;

	if (!bio)
		return -ENOMEM;
	BIO_set_data(bio, c);
	BIO_set_init(bio, 1);
	SSL_set_bio(c->ssl, bio, bio);
	return 0;
}

static int new_conn(struct tls_conn **connp, struct tls_context *ctx, int fd)
{
	struct tls_conn *c = xnew(struct tls_conn);
	int r;

	c->fd = fd;
	ERR_clear_error();
	c->ssl = SSL_new(tls_context_ssl(ctx));
	r = c->ssl ? attach_bio(c) : -ENOMEM;
	if (r < 0) {
		tls_conn_free(c);
		return err_trace(r);
	}
	*connp = c;
	return 0;
}

static int expect_name(SSL *ssl, const char *name)
{
	struct ip_addr ip;

	if (ip_parse(name, &ip) == 0)
		return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name) == 1;
	SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	return SSL_set_tlsext_host_name(ssl, name) == 1 && SSL_set1_host(ssl, name) == 1;
}

int tls_conn_new_dialler(struct tls_conn **connp, struct tls_context *ctx, int fd,
			 const char *server_name)
{
	struct tls_conn *c;
	int r = new_conn(&c, ctx, fd);

	if (r < 0)
		return r;
	SSL_set_connect_state(c->ssl);
	if (!expect_name(c->ssl, server_name)) {
		tls_conn_free(c);
		return err_trace(-EINVAL);
	}
	*connp = c;
	return 0;
}

int tls_conn_new_listener(struct tls_conn **connp, struct tls_context *ctx, int fd)
{
	int r = new_conn(connp, ctx, fd);

	if (r == 0)
		SSL_set_accept_state((*connp)->ssl);
	return r;
}

struct tls_conn *tls_conn_free(struct tls_conn *c)
{
	if (!c)
		return NULL;
	SSL_free(c->ssl);
	free(c->out.bytes);
	free(c);
	return NULL;
}

#define UNTRUSTED_TEXT "its certificate comes from an authority that isn't trusted here"

static void keep_text(struct tls_conn *c, const char *text)
{
	if (c->error_text[0] == '\0')
		snprintf(c->error_text, sizeof(c->error_text), "%s", text);
}

/* What OpenSSL calls otherwise than whoever has to mend it. */
static const struct {
	long code;
	const char *text;
} verify_texts[] = {
	{X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN, UNTRUSTED_TEXT},
	{X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT, UNTRUSTED_TEXT},
	{X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, UNTRUSTED_TEXT},
	{X509_V_ERR_CERT_SIGNATURE_FAILURE, UNTRUSTED_TEXT},
	{X509_V_ERR_CERT_HAS_EXPIRED, "its certificate has expired, or our clock is wrong"},
	{X509_V_ERR_CERT_NOT_YET_VALID, "its certificate isn't valid yet, or our clock is wrong"},
	{X509_V_ERR_HOSTNAME_MISMATCH, "its certificate is for other names than the one dialled"},
	{X509_V_ERR_IP_ADDRESS_MISMATCH,
	 "its certificate is for other addresses than the one dialled"},
};

static const char *verify_text(long code)
{
	for (size_t i = 0; i < ARRAY_SIZE(verify_texts); i++)
		if (verify_texts[i].code == code)
			return verify_texts[i].text;
	return X509_verify_cert_error_string(code);
}

static int fail(struct tls_conn *c)
{
	long verified = SSL_get_verify_result(c->ssl);
	unsigned long code = ERR_peek_last_error();
	const char *reason = ERR_reason_error_string(code);

	if (verified != X509_V_OK && !SSL_is_server(c->ssl)) {
		c->cert_error = true;
		keep_text(c, verify_text(verified));
	} else if (ERR_GET_REASON(code) == SSL_R_WRONG_VERSION_NUMBER) {
		keep_text(c, "what answers there doesn't speak TLS");
	} else {
		keep_text(c, reason ? reason : "TLS failed");
	}
	return TLS_E_FAILED;
}

/* Must follow the SSL call at once: errno is part of its answer. */
static int translate(struct tls_conn *c, int ssl_result)
{
	int saved = errno;

	switch (SSL_get_error(c->ssl, ssl_result)) {
	case SSL_ERROR_NONE:
		return 0;
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE:
		return TLS_E_AGAIN;
	case SSL_ERROR_ZERO_RETURN:
		return TLS_E_EOF;
	case SSL_ERROR_SYSCALL:
		keep_text(c, saved ? strerror(saved) : "closed by the peer");
		return TLS_E_EOF;
	default:
		if (ERR_GET_REASON(ERR_peek_last_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING) {
			keep_text(c, "closed by the peer");
			return TLS_E_EOF;
		}
		return fail(c);
	}
}

int tls_handshake(struct tls_conn *c)
{
	ERR_clear_error();
	errno = 0;
	c->is_drained = false;
	return translate(c, SSL_do_handshake(c->ssl));
}

int tls_read(struct tls_conn *c, uint8_t *out, size_t cap, size_t *np)
{
	size_t got;
	int r;

	*np = 0;
	c->is_drained = false;
	c->took_input = false;
	/* A call returns one record at the most: several fill the buffer. */
	while (*np < cap) {
		ERR_clear_error();
		errno = 0;
		r = SSL_read_ex(c->ssl, out + *np, cap - *np, &got);
		if (r != 1)
			return translate(c, r);
		*np += got;
	}
	return 0;
}

bool tls_took_input(const struct tls_conn *c)
{
	return c->took_input;
}

int tls_write(struct tls_conn *c, const uint8_t *data, size_t n)
{
	size_t done;
	int r;

	assert(n <= TLS_WRITE_MAX && c->out.len == 0);
	if (!reserve(c, n + (n / RECORD_BYTES + 1) * RECORD_OVERHEAD))
		return err_trace(-ENOMEM);
	ERR_clear_error();
	errno = 0;
	r = SSL_write_ex(c->ssl, data, n, &done);
	if (r == 1 && done == n)
		return 0;
	r = translate(c, r);
	return r == TLS_E_AGAIN || r == 0 ? err_trace(-ENOBUFS) : TLS_E_FAILED;
}

void tls_shutdown(struct tls_conn *c)
{
	ERR_clear_error();
	if (SSL_is_init_finished(c->ssl))
		SSL_shutdown(c->ssl);
}

size_t tls_output(struct tls_conn *c, const uint8_t **datap)
{
	*datap = c->out.bytes + c->out.head;
	return c->out.len;
}

void tls_output_sent(struct tls_conn *c, size_t n)
{
	assert(n <= c->out.len);
	c->out.head += n;
	c->out.len -= n;
	if (c->out.len > 0)
		return;
	free(c->out.bytes);
	c->out.bytes = NULL;
	c->out.cap = 0;
	c->out.head = 0;
}

bool tls_has_input(const struct tls_conn *c)
{
	return SSL_has_pending(c->ssl) == 1;
}

const char *tls_alpn(const struct tls_conn *c)
{
	const unsigned char *name;
	unsigned int n;

	SSL_get0_alpn_selected(c->ssl, &name, &n);
	return n == strlen(ALPN_H2) && memcmp(name, ALPN_H2, n) == 0 ? ALPN_H2 : NULL;
}

const char *tls_conn_error_text(const struct tls_conn *c)
{
	return c->error_text;
}

bool tls_conn_is_cert_error(const struct tls_conn *c)
{
	return c->cert_error;
}
