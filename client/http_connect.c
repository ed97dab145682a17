/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A broken head is refused at once; a sound one that asks for something else is read to its end
 * first. So `status` is remembered, and the first reason is the one that is told.
 */

#include "client/http_connect.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/compiler.h"
#include "wire/tls_crypto.h"

#define CREDENTIALS_MAX 1024
#define TEXT_MAX	512

static void note(struct http_connect *h, unsigned int status, const char *error)
{
	if (h->status)
		return;
	h->status = status;
	h->error = error;
}

static enum proxy_parse refuse(struct http_connect *h, unsigned int status, const char *error)
{
	note(h, status, error);
	return PROXY_PARSE_REFUSED;
}

/* RFC 9110 5.6.2 */
static size_t token_length(const char *s)
{
	return strspn(s, "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"
			 "ABCDEFGHIJKLMNOPQRSTUVWXYZ");
}

/* ---- the request line ---- */

static void check_target(struct http_connect *h, const char *target)
{
	if (host_port_parse(target, h->request.host, &h->request.port) < 0)
		note(h, 400, "the target must be HOST:PORT");
}

static bool is_http_1(const char *version)
{
	return strncmp(version, "HTTP/1.", 7) == 0 && version[7] >= '0' && version[7] <= '9' &&
	       !version[8];
}

static enum proxy_parse on_request_line(struct http_connect *h)
{
	char *method = h->line;
	size_t n = token_length(method);
	char *target = method + n + 1;
	char *version;

	if (h->n_line == 0)
		return PROXY_PARSE_MORE; /* RFC 9112 2.2: empty lines before it are skipped */
	if (n == 0 || method[n] != ' ')
		return refuse(h, 400, "not an HTTP request");
	version = strchr(target, ' ');
	if (!version || strncmp(version + 1, "HTTP/", 5) != 0)
		return refuse(h, 400, "not an HTTP request");
	method[n] = '\0';
	*version++ = '\0';
	h->has_request_line = true;
	if (!is_http_1(version))
		return refuse(h, 505, "only HTTP/1.1 and HTTP/1.0 are served");
	if (strcmp(method, "CONNECT") == 0)
		check_target(h, target);
	else
		note(h, 405,
		     "this is a proxy for CONNECT only: ask it for a tunnel "
		     "(curl: --proxytunnel)");
	return PROXY_PARSE_MORE;
}

/* ---- headers ---- */

/* "user:password" in base64. */
static void take_basic(struct http_connect *h, const char *text)
{
	uint8_t plain[CREDENTIALS_MAX];
	long n = strlen(text) / 4 * 3 <= sizeof(plain) ? base64_decode(text, plain, sizeof(plain))
						       : -1;
	const uint8_t *colon = n > 0 ? memchr(plain, ':', (size_t)n) : NULL;
	size_t n_user = colon ? (size_t)(colon - plain) : 0;

	if (!colon)
		note(h, 400, "Proxy-Authorization: not Basic credentials (RFC 7617)");
	else if (!proxy_network_is_valid((const char *)plain, n_user))
		note(h, 400, "the user name is not a virtual network's name");
	else
		memcpy(h->request.network, plain, n_user);
	explicit_bzero(plain, sizeof(plain));
}

static void take_credentials(struct http_connect *h, char *value)
{
	static const char scheme[] = "Basic ";

	if (h->has_credentials)
		note(h, 400, "Proxy-Authorization twice");
	else if (strncasecmp(value, scheme, strlen(scheme)) != 0)
		note(h, 407,
		     "only Basic credentials are served; the user name is the virtual "
		     "network");
	else
		take_basic(h, value + strlen(scheme) + strspn(value + strlen(scheme), " "));
	h->has_credentials = true;
}

static enum proxy_parse on_header(struct http_connect *h)
{
	static const char name[] = "Proxy-Authorization";
	size_t n = token_length(h->line);
	char *value = h->line + n + 1;

	if (h->n_line == 0)
		return h->status ? PROXY_PARSE_REFUSED : PROXY_PARSE_READY;
	if (n == 0 || h->line[n] != ':')
		return refuse(h, 400, "a header is broken");
	value += strspn(value, " \t");
	while (h->n_line > 0 && strchr(" \t", h->line[h->n_line - 1]))
		h->line[--h->n_line] = '\0';
	if (n == strlen(name) && strncasecmp(h->line, name, n) == 0)
		take_credentials(h, value);
	return PROXY_PARSE_MORE;
}

/* ---- lines ---- */

static enum proxy_parse on_line(struct http_connect *h)
{
	enum proxy_parse outcome;

	if (h->n_line > 0 && h->line[h->n_line - 1] == '\r')
		h->n_line--;
	h->line[h->n_line] = '\0';
	if (strchr(h->line, '\r'))
		return refuse(h, 400, "a line is broken");
	outcome = h->has_request_line ? on_header(h) : on_request_line(h);
	/* There may have been credentials in it. */
	explicit_bzero(h->line, sizeof(h->line));
	h->n_line = 0;
	return outcome;
}

static enum proxy_parse take_byte(struct http_connect *h, uint8_t c)
{
	if (c == '\n')
		return on_line(h);
	if ((c < ' ' && c != '\t' && c != '\r') || c == 0x7f)
		return refuse(h, 400, "not an HTTP request");
	if (h->n_line == HTTP_LINE_MAX)
		return refuse(h, 431, "a line of the request is too long");
	h->line[h->n_line++] = (char)c;
	return PROXY_PARSE_MORE;
}

void http_connect_init(struct http_connect *h)
{
	memset(h, 0, sizeof(*h));
}

enum proxy_parse http_connect_feed(struct http_connect *h, const uint8_t *data, size_t n,
				   size_t *usedp)
{
	enum proxy_parse outcome = PROXY_PARSE_MORE;
	size_t used = 0;

	while (outcome == PROXY_PARSE_MORE && used < n) {
		if (h->n_head++ == HTTP_HEAD_MAX)
			outcome = refuse(h, 431, "the request's head is too large");
		else
			outcome = take_byte(h, data[used++]);
	}
	*usedp = used;
	return outcome;
}

/* ---- responses ---- */

/* @header: what the status must come with. */
static const struct {
	unsigned int status;
	const char *reason;
	const char *header;
} rows[] = {
	{200, "Connection established", ""},
	{400, "Bad Request", ""},
	{403, "Forbidden", ""},
	{405, "Method Not Allowed", "Allow: CONNECT\r\n"},
	{407, "Proxy Authentication Required",
	 "Proxy-Authenticate: Basic realm=\"virtual network\"\r\n"},
	{431, "Request Header Fields Too Large", ""},
	{500, "Internal Server Error", ""},
	{502, "Bad Gateway", ""},
	{503, "Service Unavailable", ""},
	{504, "Gateway Timeout", ""},
	{505, "HTTP Version Not Supported", ""},
};

size_t http_response_format(unsigned int status, const char *text, char out[HTTP_RESPONSE_MAX])
{
	size_t row = 0;
	int n_text = (int)strnlen(text, TEXT_MAX);

	while (row < ARRAY_SIZE(rows) - 1 && rows[row].status != status)
		row++;
	if (status == 200)
		return (size_t)snprintf(out, HTTP_RESPONSE_MAX, "HTTP/1.1 200 %s\r\n\r\n",
					rows[row].reason);
	return (size_t)snprintf(out, HTTP_RESPONSE_MAX,
				"HTTP/1.1 %u %s\r\n%sContent-Type: text/plain; charset=utf-8\r\n"
				"Content-Length: %d\r\nConnection: close\r\n\r\n%.*s\n",
				status, rows[row].reason, rows[row].header, n_text + 1, n_text,
				text);
}
