/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* proxy_answer - what a proxy's client is told of how its request went: a table */

#include <stdint.h>

#include "client/exit_code.h"

/* RFC 1928 section 6 */
enum socks_reply {
	SOCKS_REPLY_OK = 0x00,
	SOCKS_REPLY_FAILURE = 0x01,
	SOCKS_REPLY_NOT_ALLOWED = 0x02,
	SOCKS_REPLY_NETWORK_UNREACHABLE = 0x03,
	SOCKS_REPLY_HOST_UNREACHABLE = 0x04,
	SOCKS_REPLY_REFUSED = 0x05,
	SOCKS_REPLY_TTL_EXPIRED = 0x06,
	SOCKS_REPLY_NO_COMMAND = 0x07,
	SOCKS_REPLY_NO_ADDRESS_TYPE = 0x08,
};

/* For every enum client_exit; one that isn't about a request is a general failure. */
enum socks_reply proxy_answer_socks(enum client_exit why);
/* The status of an HTTP response: 200, 403, 500, 502, 503 or 504. */
unsigned int proxy_answer_http(enum client_exit why);
