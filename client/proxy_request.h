/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* proxy_request - what a client asks a proxy for, whichever protocol it speaks */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"

#define PROXY_NETWORK_MAX 255 /* a SOCKS user name's length is one byte */

/* What the parsers of both protocols say. */
enum proxy_parse {
	PROXY_PARSE_MORE = 1, /* all was taken; more is needed */
	PROXY_PARSE_ANSWER,   /* SOCKS: `reply` has to be sent, then the rest fed */
	PROXY_PARSE_READY,    /* the request is whole; what follows it was not taken */
	PROXY_PARSE_REFUSED,  /* `reply` has to be sent (if any), then the end; `error` says why */
};

enum proxy_command {
	PROXY_COMMAND_CONNECT,
	PROXY_COMMAND_UDP,
};

struct proxy_request {
	enum proxy_command command;
	char host[HOST_NAME_MAX_LEN + 1];    /* name or literal, without brackets */
	uint16_t port;			     /* 0 only with PROXY_COMMAND_UDP */
	char network[PROXY_NETWORK_MAX + 1]; /* the user name: a virtual network; "": none */
};

/* True when @n bytes are a name that resolve_host() can be asked, or a literal address. */
bool proxy_host_is_valid(const char *host, size_t n);
/* True when @n bytes can be sent as a virtual network: visible ASCII; nothing is fine too. */
bool proxy_network_is_valid(const char *name, size_t n);
