/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * datagram_path - where a datagram stream goes, as ":protocol" and ":path" say it; pure
 *
 *   connect-udp  /.well-known/masque/udp/{address}/{port}/	RFC 9298 2, 3.4
 *   adit-echo    /.well-known/adit/echo/{address}/		adit's own
 *
 * The address is a literal; the colons of an IPv6 one are percent-encoded, as RFC 9298 2 demands,
 * and nothing else is. Names, zones, other encodings and queries are no destination here.
 */

#include "base/addr.h"

enum datagram_kind {
	DATAGRAM_UDP,
	DATAGRAM_ECHO, /* ICMP echo; has no port: 0 */
	DATAGRAM_KIND_N,
};

/* Prefix, 39 characters of which 7 become three, port and NUL. */
#define DATAGRAM_PATH_MAX 96

/* ":authority" of a datagram stream where the proxy has no name. */
#define DATAGRAM_AUTHORITY "adit"

/* In each datagram of an echo stream, before the payload: the sequence number, network order. So
 * the octets are those of an ICMP echo packet from its sequence number on. */
#define ECHO_SEQUENCE_LEN 2

/* The value of ":protocol". */
const char *datagram_protocol(enum datagram_kind kind);
/* From ":protocol"; NULL is no kind. 0 or -EINVAL. */
int datagram_kind_parse(const char *protocol, enum datagram_kind *kindp);

/* Writes ":path" for @target into @out and returns it. */
const char *datagram_path_format(enum datagram_kind kind, const struct endpoint *target,
				 char out[DATAGRAM_PATH_MAX]);
/* From ":path", which may be NULL; *@targetp is canonical. 0 or -EINVAL. */
int datagram_path_parse(enum datagram_kind kind, const char *path, struct endpoint *targetp);
