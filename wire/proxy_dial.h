/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * proxy_dial - the client's half of asking a proxy for a tunnel, as a pure machine
 *
 * HTTP CONNECT (RFC 9110 9.3.6, Basic credentials RFC 7617) or SOCKS5 (RFC 1928, RFC 1929).
 * No I/O: the owner sends proxy_dial_output() and feeds what the proxy answers, in any pieces.
 * An answer of HTTP is bounded by PROXY_HEAD_MAX, one of SOCKS by its format.
 */

#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"

#define PROXY_HEAD_MAX	     8192 /* of all heads of an HTTP answer, interim ones too */
#define PROXY_CREDENTIAL_MAX 255  /* user, password: one byte of length in RFC 1929 */
#define PROXY_DIAL_ERROR_MAX 192
#define PROXY_URL_TEXT_MAX   (HOST_NAME_MAX_LEN + 24)

enum proxy_kind {
	PROXY_KIND_HTTP,
	PROXY_KIND_SOCKS5,
};

enum proxy_dial_outcome {
	PROXY_DIAL_MORE, /* send what there is to send, feed the answer */
	PROXY_DIAL_OPEN, /* from the next byte on it is the target's */
	PROXY_DIAL_FAILED,
};

struct proxy_dial;

struct proxy_dial_options {
	enum proxy_kind kind;
	const char *host; /* name or literal without brackets, at most HOST_NAME_MAX_LEN */
	uint16_t port;
	/* Both NULL: none. Else 1 to PROXY_CREDENTIAL_MAX bytes each; no colon in the user. */
	const char *user;
	const char *password;
};

/* All is copied. The first output waits. Never NULL. */
struct proxy_dial *proxy_dial_new(const struct proxy_dial_options *opt);
/* Wipes what there is of credentials. NULL is fine; returns NULL. */
struct proxy_dial *proxy_dial_free(struct proxy_dial *p);

/* What is to be sent; valid until the next call. Returns its size. */
size_t proxy_dial_output(const struct proxy_dial *p, const uint8_t **datap);
/* @n bytes of it went out. */
void proxy_dial_sent(struct proxy_dial *p, size_t n);

/*
 * Not to be called again once it says other than MORE. A byte behind the answer is a failure: the
 * target doesn't speak before us.
 */
enum proxy_dial_outcome proxy_dial_feed(struct proxy_dial *p, const uint8_t *data, size_t n);

/* What went wrong, for people, without control characters; "" if nothing. */
const char *proxy_dial_error(const struct proxy_dial *p);

/* "http" or "socks5" */
const char *proxy_kind_name(enum proxy_kind kind);
