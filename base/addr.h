/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * addr - IP addresses and endpoints as values
 *
 * Parsing is strict: literals only, no names, no zones, no octal, no spaces.
 * Nothing here resolves or dials.
 */

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

/* family is AF_INET (first four bytes used), AF_INET6, or 0 for "none". */
struct ip_addr {
	uint8_t family;
	uint8_t bytes[16];
};

struct endpoint {
	struct ip_addr ip;
	uint16_t port;
};

#define IP_TEXT_MAX	  46 /* INET6_ADDRSTRLEN */
#define ENDPOINT_TEXT_MAX 56 /* [ip]:65535 and NUL */

/* Returns 0, or -EINVAL for anything but a bare IPv4 or IPv6 literal. */
int ip_parse(const char *text, struct ip_addr *ipp);

/* Writes the canonical text (RFC 5952) into @out and returns it; "none" for family 0. */
const char *ip_format(const struct ip_addr *ip, char out[IP_TEXT_MAX]);

/* IPv4-mapped IPv6 (::ffff:a.b.c.d) becomes IPv4; all else is returned unchanged. */
struct ip_addr ip_canonical(const struct ip_addr *ip);

/* The 16-byte form: IPv4 as IPv4-mapped. */
void ip_to_mapped(const struct ip_addr *ip, uint8_t out[16]);

/* Number of bits of the family: 32 or 128 (0 for none). */
unsigned int ip_bits(const struct ip_addr *ip);

bool ip_equal(const struct ip_addr *a, const struct ip_addr *b);

/* Orders by family (IPv4 first), then by bytes: <0, 0, >0. */
int ip_compare(const struct ip_addr *a, const struct ip_addr *b);

/* "1.2.3.4:22" or "[::1]:22". Port 1..65535, no leading zeros. 0 or -EINVAL. */
int endpoint_parse(const char *text, struct endpoint *epp);
const char *endpoint_format(const struct endpoint *ep, char out[ENDPOINT_TEXT_MAX]);
bool endpoint_equal(const struct endpoint *a, const struct endpoint *b);

/* Fills @ss and returns its used length. */
socklen_t endpoint_to_sockaddr(const struct endpoint *ep, struct sockaddr_storage *ss);
/* Returns 0, or -EAFNOSUPPORT. */
int endpoint_from_sockaddr(const struct sockaddr *sa, struct endpoint *epp);

/* Decimal 1..65535 without sign, space or leading zero. 0 or -EINVAL. */
int port_parse(const char *text, uint16_t *portp);

#define HOST_NAME_MAX_LEN 253

/*
 * "name:port", "1.2.3.4:port" or "[v6]:port" split in two; the host is checked
 * for its characters (RFC 1123) and copied without brackets. 0 or -EINVAL.
 */
int host_port_parse(const char *text, char host[HOST_NAME_MAX_LEN + 1], uint16_t *portp);
