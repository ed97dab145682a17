/* SPDX-License-Identifier: Apache-2.0 */
#include "client/proxy_handshake.h"

#include <string.h>

#include "client/proxy_answer.h"

#define SOCKS4_VERSION 4 /* refused by name, not as broken HTTP */

void proxy_handshake_init(struct proxy_handshake *h)
{
	h->protocol = PROXY_PROTOCOL_NONE;
	h->n_reply = 0;
}

static void choose(struct proxy_handshake *h, uint8_t first)
{
	if (first == SOCKS_VERSION || first == SOCKS4_VERSION) {
		h->protocol = PROXY_PROTOCOL_SOCKS;
		socks_init(&h->socks);
	} else {
		h->protocol = PROXY_PROTOCOL_HTTP;
		http_connect_init(&h->http);
	}
}

static enum proxy_parse feed_socks(struct proxy_handshake *h, const uint8_t *data, size_t n,
				   size_t *usedp)
{
	enum proxy_parse outcome = socks_feed(&h->socks, data, n, usedp);

	memcpy(h->reply, h->socks.reply, h->socks.n_reply);
	h->n_reply = h->socks.n_reply;
	return outcome;
}

static enum proxy_parse feed_http(struct proxy_handshake *h, const uint8_t *data, size_t n,
				  size_t *usedp)
{
	enum proxy_parse outcome = http_connect_feed(&h->http, data, n, usedp);

	if (outcome == PROXY_PARSE_REFUSED)
		h->n_reply = http_response_format(h->http.status, h->http.error, (char *)h->reply);
	return outcome;
}

enum proxy_parse proxy_handshake_feed(struct proxy_handshake *h, const uint8_t *data, size_t n,
				      size_t *usedp)
{
	*usedp = 0;
	if (n == 0)
		return PROXY_PARSE_MORE;
	if (h->protocol == PROXY_PROTOCOL_NONE)
		choose(h, data[0]);
	return h->protocol == PROXY_PROTOCOL_SOCKS ? feed_socks(h, data, n, usedp)
						   : feed_http(h, data, n, usedp);
}

const struct proxy_request *proxy_handshake_request(const struct proxy_handshake *h)
{
	return h->protocol == PROXY_PROTOCOL_SOCKS ? &h->socks.request : &h->http.request;
}

const char *proxy_handshake_error(const struct proxy_handshake *h)
{
	return h->protocol == PROXY_PROTOCOL_SOCKS ? h->socks.error : h->http.error;
}

void proxy_handshake_answer(struct proxy_handshake *h, enum client_exit why, const char *text,
			    const struct endpoint *bound)
{
	if (h->protocol == PROXY_PROTOCOL_SOCKS)
		h->n_reply = socks_reply_format(proxy_answer_socks(why), bound, h->reply);
	else
		h->n_reply = http_response_format(proxy_answer_http(why), text, (char *)h->reply);
}
