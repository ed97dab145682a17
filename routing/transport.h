/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* transport - TCP, UDP or ICMP echo, as a destination's third part, and small sets of them */

#include <stdbool.h>
#include <stdint.h>

enum transport {
	TRANSPORT_TCP,
	TRANSPORT_UDP,
	TRANSPORT_ICMP, /* echo; has no ports: an endpoint's port is 0 */
	TRANSPORT_N,
};

#define TRANSPORTS_TEXT_MAX 16 /* "tcp,udp,icmp" and NUL */

/* A set; the empty value means all, so that a rule without it speaks of every transport. */
struct transports {
	uint8_t bits;
};

/* "tcp", "udp", "icmp". @t must be below TRANSPORT_N. */
const char *transport_name(enum transport t);
/* Comma-separated names (spaces after a comma are fine); "" or "*" is all. 0 or -EINVAL. */
int transports_parse(const char *text, struct transports *setp);
/* The text that transports_parse() reads, "*" for all. */
const char *transports_format(struct transports set, char out[TRANSPORTS_TEXT_MAX]);
/* An empty set contains every transport. */
bool transports_contain(struct transports set, enum transport t);
/* True only if @t was listed by name. */
bool transports_name(struct transports set, enum transport t);
