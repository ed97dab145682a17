/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * proxy_handshake - SOCKS5 or HTTP CONNECT, told apart by the first byte; pure
 *
 * A SOCKS version number is no character that a request line can start with.
 */

#include "client/exit_code.h"
#include "client/http_connect.h"
#include "client/proxy_request.h"
#include "client/socks.h"

#define PROXY_REPLY_MAX HTTP_RESPONSE_MAX

enum proxy_protocol {
	PROXY_PROTOCOL_NONE, /* nothing has come yet */
	PROXY_PROTOCOL_SOCKS,
	PROXY_PROTOCOL_HTTP,
};

struct proxy_handshake {
	enum proxy_protocol protocol;
	union {
		struct socks socks;
		struct http_connect http;
	};
	/* After ANSWER and REFUSED: what has to be sent; may be nothing. */
	uint8_t reply[PROXY_REPLY_MAX];
	size_t n_reply;
};

void proxy_handshake_init(struct proxy_handshake *h);
/* *@usedp of the @n bytes were taken. Not to be called again after READY or REFUSED. */
enum proxy_parse proxy_handshake_feed(struct proxy_handshake *h, const uint8_t *data, size_t n,
				      size_t *usedp);
/* After READY. */
const struct proxy_request *proxy_handshake_request(const struct proxy_handshake *h);
/* After REFUSED: one line for a log. */
const char *proxy_handshake_error(const struct proxy_handshake *h);

/*
 * The answer to the request, in the protocol it came in, into `reply`. @text: one line of why
 * not; SOCKS has no place for it. @bound: for UDP, else NULL.
 */
void proxy_handshake_answer(struct proxy_handshake *h, enum client_exit why, const char *text,
			    const struct endpoint *bound);
