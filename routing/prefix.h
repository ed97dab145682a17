/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * prefix - CIDR prefixes as values
 *
 * A prefix never has host bits set: parsing refuses them and names the prefix
 * that was meant.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"

#define PREFIX_TEXT_MAX 50

struct prefix {
	struct ip_addr ip;
	uint8_t bits;
};

/* Initialisers: the first two bytes of an address, the rest is 0. */
#define PREFIX_V4(a, b, n)                                                                         \
	{                                                                                          \
		.ip = {.family = AF_INET, .bytes = {a, b}}, .bits = n                              \
	}
#define PREFIX_V6(a, b, n)                                                                         \
	{                                                                                          \
		.ip = {.family = AF_INET6, .bytes = {a, b}}, .bits = n                             \
	}

enum prefix_outcome {
	PREFIX_E_SYNTAX = 1,	/* not ADDRESS/BITS (a bare address is a single address) */
	PREFIX_E_HOST_BITS = 2, /* *@prefixp is filled with the prefix that was meant */
};

/* IPv4-mapped input becomes IPv4. Returns 0 or an outcome. */
int prefix_parse(const char *text, struct prefix *prefixp);
const char *prefix_format(const struct prefix *p, char out[PREFIX_TEXT_MAX]);
/* The prefix of @bits, at most ip_bits(), that holds @ip. */
struct prefix prefix_around(const struct ip_addr *ip, uint8_t bits);
struct prefix prefix_of_ip(const struct ip_addr *ip);
bool prefix_contains_ip(const struct prefix *p, const struct ip_addr *ip);
/* True if every address of @inner is in @outer (equal counts). */
bool prefix_contains(const struct prefix *outer, const struct prefix *inner);
bool prefix_equal(const struct prefix *a, const struct prefix *b);
/* By family, address, then length (shorter first). */
int prefix_compare(const struct prefix *a, const struct prefix *b);
/* True for /32 and /128. */
bool prefix_is_single(const struct prefix *p);
/* The lower or the upper half of @p, which is no single address. */
struct prefix prefix_half(const struct prefix *p, bool upper);
/* True if @lower and @upper are the halves of one prefix, which *@wholep then is. */
bool prefix_join(const struct prefix *lower, const struct prefix *upper, struct prefix *wholep);
