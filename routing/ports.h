/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* ports - a small set of TCP/UDP port ranges: "22", "80,443", "8000-8100"; empty means all */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PORTS_RANGES_MAX 16
#define PORTS_TEXT_MAX	 200

struct port_range {
	uint16_t first;
	uint16_t last;
};

struct ports {
	struct port_range ranges[PORTS_RANGES_MAX];
	size_t n;
};

/*
 * Comma-separated ports and ranges (spaces after a comma are fine); "" or "*"
 * is all. Ranges come out sorted and merged. 0 or -EINVAL (-E2BIG: too many ranges).
 */
int ports_parse(const char *text, struct ports *portsp);
/* Adds one port or range, e.g. "22" or "8000-8100". The same results. */
int ports_add(struct ports *p, const char *text);
/* The text that ports_parse() reads, "*" for all. */
const char *ports_format(const struct ports *p, char out[PORTS_TEXT_MAX]);
/* An empty set contains every port. */
bool ports_contain(const struct ports *p, uint16_t port);
