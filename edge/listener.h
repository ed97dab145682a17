/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * listener - accepts TCP, finishes TLS, and hands each link to whom it belongs
 *
 * Agents and clients share the port and are told apart by ALPN: clients offer "h2", agents
 * nothing. A handshake that ends without more is no error: stock agents check the edge so.
 */

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

struct diag;
struct edge;
struct json_t; /* jansson's */
struct listener;

/* Binds all of settings.listen. 0, or -errno with the address and the reason in @diag. */
NODISCARD int listener_new(struct listener **lp, struct edge *e, struct diag *diag);
/* Once a second: goes on accepting after a pause (descriptors, handshakes). NULL is fine. */
void listener_tick(struct listener *l);
/* No new links; handshakes under way are dropped. NULL is fine. */
void listener_free(struct listener *l);
/* TLS handshakes under way. NULL: 0. */
size_t listener_n_handshakes(const struct listener *l);
/* Array of "ip:port" as bound (a configured port 0 is resolved). */
struct json_t *listener_json(const struct listener *l);
