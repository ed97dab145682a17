/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * http_connect - the server's half of HTTP's CONNECT as a pure machine (RFC 9110 9.3.6)
 *
 * Takes the head of one HTTP/1.x request, line by line, and nothing behind it. The user name
 * of Basic credentials is the virtual network; the password isn't looked at. What is no
 * CONNECT is refused after its head, so that a browser or curl shows the reason.
 */

#include <stddef.h>
#include <stdint.h>

#include "client/proxy_request.h"

#define HTTP_LINE_MAX	  4096
#define HTTP_HEAD_MAX	  (16 * 1024)
#define HTTP_RESPONSE_MAX 1024

struct http_connect {
	char line[HTTP_LINE_MAX + 1];
	size_t n_line;
	size_t n_head; /* bytes taken so far */
	bool has_request_line;
	bool has_credentials;
	struct proxy_request request; /* whole when READY */
	unsigned int status;	      /* of the refusal; 0: none so far */
	const char *error;	      /* static; with a status */
};

void http_connect_init(struct http_connect *h);

/* *@usedp of the @n bytes were taken. Not to be called again after READY or REFUSED. */
enum proxy_parse http_connect_feed(struct http_connect *h, const uint8_t *data, size_t n,
				   size_t *usedp);

/*
 * The response of @status; unless it is 200 with @text (one line, cut if need be) as its body
 * and "Connection: close". Returns its size.
 */
size_t http_response_format(unsigned int status, const char *text, char out[HTTP_RESPONSE_MAX]);
