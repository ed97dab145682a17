/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* socks_proto - SOCKS5's numbers and addresses (RFC 1928, RFC 1929), for both halves of it */

#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"

#define SOCKS_VERSION	       5
#define SOCKS_PASSWORD_VERSION 1
#define SOCKS_METHOD_NONE      0x00
#define SOCKS_METHOD_PASSWORD  0x02
#define SOCKS_METHOD_NOT_ANY   0xff
#define SOCKS_COMMAND_CONNECT  1
#define SOCKS_COMMAND_UDP      3
#define SOCKS_ADDRESS_IPV4     1
#define SOCKS_ADDRESS_NAME     3
#define SOCKS_ADDRESS_IPV6     4

#define SOCKS_ENDPOINT_MAX 19 /* kind, address and port */

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

/* Of an address of fixed size; 0: a name, or unknown. */
size_t socks_address_size(uint8_t type);
/* Kind, address and port; at most SOCKS_ENDPOINT_MAX. Returns the size. */
size_t socks_put_endpoint(const struct endpoint *ep, uint8_t *out);
