/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * guesses - how often an address has shown a secret that isn't valid; pure
 *
 * An address is an IPv4 address or an IPv6 /64, which one host can use all of. Each may be wrong
 * so often at once and so often per minute; beyond that it has to wait, and what it shows isn't
 * looked at, so that a right guess can't be told from a wrong one.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct guesses;
struct ip_addr;

/* Both at least 1. */
struct guess_limits {
	uint32_t burst;	     /* failures at once */
	uint32_t per_minute; /* that are forgiven */
};

/* Remembers up to @n_max addresses (at least 1); the one that failed longest ago goes first. */
struct guesses *guesses_new(size_t n_max);
/* NULL is fine. Returns NULL. */
struct guesses *guesses_free(struct guesses *g);

/* How long @ip has to wait, rounded up, at most what one failure costs; 0: what it shows may be
 * looked at. */
uint64_t guesses_wait_ms(struct guesses *g, const struct ip_addr *ip,
			 const struct guess_limits *limits, uint64_t now_ms);
void guesses_failed(struct guesses *g, const struct ip_addr *ip, const struct guess_limits *limits,
		    uint64_t now_ms);
/* True once per minute for an address that is remembered: its waiting is worth a line. */
bool guesses_tell(struct guesses *g, const struct ip_addr *ip, uint64_t now_ms);
/* Addresses that are remembered. */
size_t guesses_count(const struct guesses *g);
