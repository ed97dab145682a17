/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * socks - the server's half of a SOCKS5 handshake as a pure machine (RFC 1928, RFC 1929)
 *
 *   greeting -> [user name and password] -> request -> READY
 *
 * A client that offers user name and password gets that method: the name is the virtual
 * network, the password isn't looked at. Else no authentication is needed. Bytes may come in
 * any pieces; bytes behind the request are never taken.
 */

#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "client/proxy_request.h"
#include "wire/socks_proto.h"

#define SOCKS_REPLY_MAX	   22  /* with an IPv6 address */
#define SOCKS_PIECE_MAX	   257 /* a name's and a port's, less its first byte */
#define SOCKS_UDP_HEAD_MAX 22

struct socks;
typedef enum proxy_parse (*socks_phase)(struct socks *s);

struct socks {
	socks_phase phase; /* what to do with the piece once it is whole */
	uint8_t piece[SOCKS_PIECE_MAX];
	size_t n_piece;
	size_t n_wanted;
	uint8_t address_type;
	uint8_t command;
	struct proxy_request request; /* whole when READY */
	uint8_t reply[SOCKS_REPLY_MAX];
	size_t n_reply;
	const char *error; /* static; set when REFUSED */
};

void socks_init(struct socks *s);

/* *@usedp of the @n bytes were taken. Not to be called again after READY or REFUSED. */
enum proxy_parse socks_feed(struct socks *s, const uint8_t *data, size_t n, size_t *usedp);

/* The answer to a request; @bound NULL: 0.0.0.0:0. Returns its size. */
size_t socks_reply_format(enum socks_reply code, const struct endpoint *bound,
			  uint8_t out[SOCKS_REPLY_MAX]);

/* ---- UDP (RFC 1928 section 7) ---- */

struct socks_datagram {
	char host[HOST_NAME_MAX_LEN + 1];
	uint16_t port;
	const uint8_t *payload; /* into the datagram */
	size_t n_payload;
};

/* 0, or -EINVAL: too short, a fragment, an unknown kind of address, port 0, not a name. */
int socks_udp_parse(const uint8_t *data, size_t n, struct socks_datagram *out);
/* The head of a datagram from @from. Returns its size. */
size_t socks_udp_head(const struct endpoint *from, uint8_t out[SOCKS_UDP_HEAD_MAX]);
