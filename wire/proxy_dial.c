/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Each phase takes bytes until its piece is whole, then says what comes next:
 *
 *   HTTP    status line -> headers -> OPEN            (an interim answer: from the start)
 *   SOCKS5  method -> [password's verdict] -> reply -> address -> OPEN
 *
 * There is one output at a time, since each is the answer to the last; a proxy that speaks
 * before it has heard us all is as wrong as one that speaks garbage.
 */

#include "wire/proxy_dial.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "base/err.h"
#include "wire/peer_text.h"
#include "wire/socks_proto.h"
#include "wire/tls_crypto.h"

#define STATUS_LINE_MAX 256 /* more of a reason isn't kept */
#define REASON_MAX	40
#define PIECE_MAX	257 /* a name and a port */
#define OUTPUT_MAX	2048

typedef enum proxy_dial_outcome (*take_fn)(struct proxy_dial *p, const uint8_t *data, size_t n,
					   size_t *usedp);
typedef enum proxy_dial_outcome (*piece_fn)(struct proxy_dial *p);

struct proxy_dial {
	take_fn take;
	char host[HOST_NAME_MAX_LEN + 1];
	uint16_t port;
	char user[PROXY_CREDENTIAL_MAX + 1]; /* "": no credentials */
	char password[PROXY_CREDENTIAL_MAX + 1];
	uint8_t output[OUTPUT_MAX];
	size_t n_output;
	size_t n_sent;
	/* HTTP */
	char line[STATUS_LINE_MAX + 1];
	size_t n_line; /* also what wasn't kept of it */
	size_t n_head;
	unsigned int status; /* 0: its line is not there yet */
	char reason[REASON_MAX];
	/* SOCKS5 */
	piece_fn on_piece;
	uint8_t piece[PIECE_MAX];
	size_t n_piece;
	size_t n_wanted;
	char error[PROXY_DIAL_ERROR_MAX];
};

const char *proxy_kind_name(enum proxy_kind kind)
{
	return kind == PROXY_KIND_HTTP ? "http" : "socks5";
}

__attribute__((format(printf, 2, 3))) static enum proxy_dial_outcome fail(struct proxy_dial *p,
									  const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(p->error, sizeof(p->error), format, args);
	va_end(args);
	return PROXY_DIAL_FAILED;
}

static enum proxy_dial_outcome refuse_credentials(struct proxy_dial *p)
{
	return p->user[0] ? fail(p, "the proxy refuses the user or password: mend the file of "
				    "edge-proxy-credentials-file")
			  : fail(p, "the proxy wants credentials: set edge-proxy-credentials-file");
}

static void put(struct proxy_dial *p, const void *data, size_t n)
{
	if (n > sizeof(p->output) - p->n_output)
		abort();
	memcpy(p->output + p->n_output, data, n);
	p->n_output += n;
}

static void put_byte(struct proxy_dial *p, uint8_t byte)
{
	put(p, &byte, 1);
}

/* ---- HTTP: the request ---- */

static void put_text(struct proxy_dial *p, const char *text)
{
	put(p, text, strlen(text));
}

static void put_target(struct proxy_dial *p)
{
	char text[HOST_NAME_MAX_LEN + 16];

	snprintf(text, sizeof(text), strchr(p->host, ':') ? "[%s]:%u" : "%s:%u", p->host,
		 (unsigned int)p->port);
	put_text(p, text);
}

static void put_basic(struct proxy_dial *p)
{
	char plain[2 * PROXY_CREDENTIAL_MAX + 2], text[4 * sizeof(plain)];
	int n = snprintf(plain, sizeof(plain), "%s:%s", p->user, p->password);

	base64_encode(plain, (size_t)n, text);
	put_text(p, "Proxy-Authorization: Basic ");
	put_text(p, text);
	put_text(p, "\r\n");
	explicit_bzero(plain, sizeof(plain));
	explicit_bzero(text, sizeof(text));
}

static void put_connect(struct proxy_dial *p)
{
	put_text(p, "CONNECT ");
	put_target(p);
	put_text(p, " HTTP/1.1\r\nHost: ");
	put_target(p);
	put_text(p, "\r\n");
	if (p->user[0])
		put_basic(p);
	put_text(p, "\r\n");
}

/* ---- HTTP: the answer ---- */

/* What a status means to who set the proxy up. */
static const struct {
	unsigned int status;
	const char *meaning;
} statuses[] = {
	{400, "it does not like the request: is it an HTTP proxy?"},
	{403, "its rules forbid this target: allow the edge's host and port there"},
	{404, "is it a proxy at all?"},
	{405, "it does not serve CONNECT: allow it there"},
	{500, "it could not reach the edge"},
	{501, "it does not serve CONNECT"},
	{502, "it could not reach the edge"},
	{503, "it could not reach the edge"},
	{504, "the edge did not answer it"},
};

static enum proxy_dial_outcome judge_status(struct proxy_dial *p)
{
	const char *meaning = "it opened no tunnel";

	if (p->status / 100 == 2)
		return PROXY_DIAL_OPEN;
	/* Tinyproxy says 401 to a wrong password. */
	if (p->status == 407 || p->status == 401)
		return refuse_credentials(p);
	for (size_t i = 0; i < ARRAY_SIZE(statuses); i++) {
		if (statuses[i].status == p->status)
			meaning = statuses[i].meaning;
	}
	return fail(p, "the proxy answered %u%s%s: %s", p->status, *p->reason ? " " : "", p->reason,
		    meaning);
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* RFC 9112 4: "HTTP/1.x" SP 3DIGIT [SP reason]; some leave the last blank out. */
static enum proxy_dial_outcome on_status_line(struct proxy_dial *p)
{
	static const char version[] = "HTTP/1.";
	const char *at = p->line + strlen(version);
	const char *code = at + 2;

	if (strncmp(p->line, version, strlen(version)) != 0 || !is_digit(at[0]) || at[1] != ' ' ||
	    !is_digit(code[0]) || !is_digit(code[1]) || !is_digit(code[2]) ||
	    (code[3] && code[3] != ' ') || code[0] < '1' || code[0] > '5')
		return fail(p, "its answer is not HTTP's: is it an HTTP proxy?");
	p->status = (unsigned int)((code[0] - '0') * 100 + (code[1] - '0') * 10 + code[2] - '0');
	if (code[3])
		peer_text_copy(p->reason, sizeof(p->reason), code + 4);
	return PROXY_DIAL_MORE;
}

/* The end of a head. RFC 9110 15.2: any number of interim ones may come before the answer. */
static enum proxy_dial_outcome on_head(struct proxy_dial *p)
{
	if (p->status == 101)
		return fail(p, "the proxy changed to another protocol");
	if (p->status / 100 != 1)
		return judge_status(p);
	p->status = 0;
	p->reason[0] = '\0';
	return PROXY_DIAL_MORE;
}

static enum proxy_dial_outcome on_line(struct proxy_dial *p)
{
	size_t n = p->n_line < STATUS_LINE_MAX ? p->n_line : STATUS_LINE_MAX;

	if (n > 0 && n == p->n_line && p->line[n - 1] == '\r')
		p->line[--n] = '\0';
	p->line[n] = '\0';
	p->n_line = 0;
	if (!p->status)
		return on_status_line(p);
	return n ? PROXY_DIAL_MORE : on_head(p);
}

static enum proxy_dial_outcome take_byte(struct proxy_dial *p, uint8_t c)
{
	if (++p->n_head > PROXY_HEAD_MAX)
		return fail(p, "the head of the proxy's answer is larger than %d bytes",
			    PROXY_HEAD_MAX);
	if (c == '\n')
		return on_line(p);
	if ((c < ' ' && c != '\t' && c != '\r') || c == 0x7f ||
	    (p->n_line > 0 && p->n_line <= STATUS_LINE_MAX && p->line[p->n_line - 1] == '\r'))
		return fail(p, "its answer is not HTTP's: is it an HTTP proxy?");
	if (p->n_line < STATUS_LINE_MAX)
		p->line[p->n_line] = (char)c;
	p->n_line++;
	return PROXY_DIAL_MORE;
}

static enum proxy_dial_outcome take_http(struct proxy_dial *p, const uint8_t *data, size_t n,
					 size_t *usedp)
{
	enum proxy_dial_outcome outcome = PROXY_DIAL_MORE;
	size_t used = 0;

	while (outcome == PROXY_DIAL_MORE && used < n)
		outcome = take_byte(p, data[used++]);
	*usedp = used;
	return outcome;
}

/* ---- SOCKS5 ---- */

static const char *const socks_replies[] = {
	[SOCKS_REPLY_FAILURE] = "it could not reach the edge (general failure)",
	[SOCKS_REPLY_NOT_ALLOWED] = "its rules forbid this target: allow the edge there",
	[SOCKS_REPLY_NETWORK_UNREACHABLE] = "network unreachable",
	[SOCKS_REPLY_HOST_UNREACHABLE] = "host unreachable",
	[SOCKS_REPLY_REFUSED] = "connection refused by the edge's host",
	[SOCKS_REPLY_TTL_EXPIRED] = "the edge did not answer it (TTL expired)",
	[SOCKS_REPLY_NO_COMMAND] = "it does not serve CONNECT",
	[SOCKS_REPLY_NO_ADDRESS_TYPE] = "it does not serve this kind of address",
};

static enum proxy_dial_outcome want(struct proxy_dial *p, size_t n, piece_fn on_piece)
{
	p->on_piece = on_piece;
	p->n_piece = 0;
	p->n_wanted = n;
	return PROXY_DIAL_MORE;
}

static enum proxy_dial_outcome fail_garbage(struct proxy_dial *p)
{
	return fail(p, "its answer is not SOCKS5's: is it a SOCKS5 proxy?");
}

static enum proxy_dial_outcome on_bound(struct proxy_dial *p UNUSED)
{
	return PROXY_DIAL_OPEN;
}

static enum proxy_dial_outcome on_bound_name(struct proxy_dial *p)
{
	return want(p, (size_t)p->piece[0] + 2, on_bound);
}

static enum proxy_dial_outcome on_reply(struct proxy_dial *p)
{
	uint8_t code = p->piece[1], kind = p->piece[3];

	if (p->piece[0] != SOCKS_VERSION)
		return fail_garbage(p);
	if (code >= ARRAY_SIZE(socks_replies))
		return fail(p, "the proxy answered with SOCKS5 code %u, which is none", code);
	if (code != SOCKS_REPLY_OK)
		return fail(p, "the proxy answered with SOCKS5 code %u: %s", code,
			    socks_replies[code]);
	if (kind == SOCKS_ADDRESS_NAME)
		return want(p, 1, on_bound_name);
	if (!socks_address_size(kind))
		return fail_garbage(p);
	return want(p, socks_address_size(kind) + 2, on_bound);
}

static void put_request_target(struct proxy_dial *p)
{
	struct endpoint ep = {.port = p->port};
	uint8_t bytes[SOCKS_ENDPOINT_MAX];
	size_t n = strlen(p->host);

	if (ip_parse(p->host, &ep.ip) == 0) {
		put(p, bytes, socks_put_endpoint(&ep, bytes));
		return;
	}
	put_byte(p, SOCKS_ADDRESS_NAME);
	put_byte(p, (uint8_t)n);
	put(p, p->host, n);
	put_byte(p, (uint8_t)(p->port >> 8));
	put_byte(p, (uint8_t)p->port);
}

static enum proxy_dial_outcome request(struct proxy_dial *p)
{
	put(p, (const uint8_t[]){SOCKS_VERSION, SOCKS_COMMAND_CONNECT, 0}, 3);
	put_request_target(p);
	return want(p, 4, on_reply);
}

/* RFC 1929 2: 0 is success, all else is not. */
static enum proxy_dial_outcome on_verdict(struct proxy_dial *p)
{
	if (p->piece[0] != SOCKS_PASSWORD_VERSION)
		return fail_garbage(p);
	return p->piece[1] == 0 ? request(p) : refuse_credentials(p);
}

static enum proxy_dial_outcome send_password(struct proxy_dial *p)
{
	size_t n_user = strlen(p->user), n_password = strlen(p->password);

	put_byte(p, SOCKS_PASSWORD_VERSION);
	put_byte(p, (uint8_t)n_user);
	put(p, p->user, n_user);
	put_byte(p, (uint8_t)n_password);
	put(p, p->password, n_password);
	return want(p, 2, on_verdict);
}

static enum proxy_dial_outcome on_method(struct proxy_dial *p)
{
	if (p->piece[0] != SOCKS_VERSION)
		return fail_garbage(p);
	switch (p->piece[1]) {
	case SOCKS_METHOD_NONE:
		return request(p);
	case SOCKS_METHOD_PASSWORD:
		return p->user[0] ? send_password(p) : fail_garbage(p);
	case SOCKS_METHOD_NOT_ANY:
		return refuse_credentials(p);
	default:
		return fail(p, "the proxy chose SOCKS5 method %u, which was not offered",
			    p->piece[1]);
	}
}

static void put_greeting(struct proxy_dial *p)
{
	put_byte(p, SOCKS_VERSION);
	put_byte(p, p->user[0] ? 2 : 1);
	put_byte(p, SOCKS_METHOD_NONE);
	if (p->user[0])
		put_byte(p, SOCKS_METHOD_PASSWORD);
}

static enum proxy_dial_outcome take_socks(struct proxy_dial *p, const uint8_t *data, size_t n,
					  size_t *usedp)
{
	size_t left = p->n_wanted - p->n_piece;

	*usedp = n < left ? n : left;
	memcpy(p->piece + p->n_piece, data, *usedp);
	p->n_piece += *usedp;
	return p->n_piece == p->n_wanted ? p->on_piece(p) : PROXY_DIAL_MORE;
}

/* ---- calls ---- */

struct proxy_dial *proxy_dial_new(const struct proxy_dial_options *opt)
{
	struct proxy_dial *p = xnew(struct proxy_dial);

	snprintf(p->host, sizeof(p->host), "%s", opt->host);
	p->port = opt->port;
	if (opt->user) {
		snprintf(p->user, sizeof(p->user), "%s", opt->user);
		snprintf(p->password, sizeof(p->password), "%s", opt->password);
	}
	if (opt->kind == PROXY_KIND_HTTP) {
		p->take = take_http;
		put_connect(p);
	} else {
		p->take = take_socks;
		put_greeting(p);
		(void)want(p, 2, on_method);
	}
	return p;
}

struct proxy_dial *proxy_dial_free(struct proxy_dial *p)
{
	if (p)
		explicit_bzero(p, sizeof(*p));
	free(p);
	return NULL;
}

size_t proxy_dial_output(const struct proxy_dial *p, const uint8_t **datap)
{
	*datap = p->output + p->n_sent;
	return p->n_output - p->n_sent;
}

void proxy_dial_sent(struct proxy_dial *p, size_t n)
{
	p->n_sent += n;
	if (p->n_sent < p->n_output)
		return;
	explicit_bzero(p->output, p->n_output);
	p->n_output = 0;
	p->n_sent = 0;
}

enum proxy_dial_outcome proxy_dial_feed(struct proxy_dial *p, const uint8_t *data, size_t n)
{
	while (n > 0) {
		enum proxy_dial_outcome outcome;
		size_t used;

		if (p->n_output > 0)
			return fail(p, "the proxy answered before it was asked");
		outcome = p->take(p, data, n, &used);
		data += used;
		n -= used;
		if (outcome == PROXY_DIAL_OPEN && n > 0)
			return fail(p, "the proxy sent more than its answer");
		if (outcome != PROXY_DIAL_MORE)
			return outcome;
	}
	return PROXY_DIAL_MORE;
}

const char *proxy_dial_error(const struct proxy_dial *p)
{
	return p->error;
}
