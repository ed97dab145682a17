/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * edge_link - one connection to an edge: the link, its control stream, its RPC
 *
 * Glue without decisions: it reports what happened by its events and does what the
 * uplink (agent/uplink.h) orders. Events never run inside a call of its owner's, with
 * one exception: edge_link_close() and everything after it is silent.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/edge_discovery.h"
#include "agent/edge_proxy.h"
#include "base/compiler.h"
#include "base/list.h"
#include "wire/link.h"
#include "wire/registration.h"
#include "wire/route_msg.h"

struct edge_link;
struct h2_headers;
struct h2_stream;
struct io_loop;
struct tls_context;

#define EDGE_FEATURES_MAX 128 /* text behind "adit-edge: 1;" */

/* All members must be set. */
struct edge_link_events {
	void (*on_secure)(void *ctx, struct edge_link *el);
	/* A request; the receiver answers it or gives it to edge_link_take_control(). */
	void (*on_stream)(void *ctx, struct edge_link *el, struct h2_stream *stream,
			  const struct h2_headers *hdrs);
	/* The control stream is there: register. */
	void (*on_control)(void *ctx, struct edge_link *el);
	/* As in struct control_client_events. */
	void (*on_registered)(void *ctx, struct edge_link *el,
			      const struct registration_details *details,
			      const struct registration_error *error);
	void (*on_unregistered)(void *ctx, struct edge_link *el);
	void (*on_advertised)(void *ctx, struct edge_link *el, uint64_t generation,
			      const struct route_verdict *verdicts, size_t n_verdicts,
			      bool send_all, const char *failed);
	/* The control stream ended, or the RPC on it failed; once, not after unregistering. */
	void (*on_control_end)(void *ctx, struct edge_link *el, const char *reason);
	void (*on_goaway)(void *ctx, struct edge_link *el);
	/* The last event; @el is off its list and frees itself afterwards. */
	void (*on_closed)(void *ctx, struct edge_link *el, enum link_end why, const char *reason);
};

/* What all links of the process share; borrowed. */
struct edge_link_options {
	struct io_loop *loop;
	struct tls_context *tls;
	struct ip_addr bind;		/* family 0: any */
	const struct edge_proxy *proxy; /* of addresses that have one; NULL: they have none */
	uint32_t connect_ms;		/* for TCP to stand; 0: TCP_CONNECT_MS */
	uint32_t max_frame_bytes;	/* that the edge may send once it is known to be adit's */
};

/* Dials @address (copied). 0 or -errno. */
NODISCARD int edge_link_dial(struct edge_link **elp, const struct edge_link_options *opt,
			     const struct edge_address *address, uint32_t id,
			     const struct edge_link_events *events, void *ctx);
/* No more events; flushes what it can, closes TCP, frees itself. */
void edge_link_close(struct edge_link *el);

/* From on_stream. False: there is a control stream already. */
bool edge_link_take_control(struct edge_link *el, struct h2_stream *stream,
			    const struct h2_headers *hdrs);

/* RPC on the control stream; a failure is reported as on_control_end later. */
void edge_link_register(struct edge_link *el, struct registration_request *req, uint64_t now_ms);
void edge_link_unregister(struct edge_link *el, uint32_t timeout_ms, uint64_t now_ms);
/* @set must live until on_advertised, edge_link_drop_advert() or the close. 0 or -errno. */
int edge_link_advertise(struct edge_link *el, const struct uuid *instance_id, uint64_t generation,
			const struct route_set *set, bool hash_only, uint64_t now_ms);

/* No on_advertised follows: what the edge still answers is about a set that may be gone. */
void edge_link_drop_advert(struct edge_link *el);

/* Tells the edge what we are configured to do; stock shape. The answer does not matter. */
void edge_link_push_config(struct edge_link *el, const char *json, uint64_t now_ms);

/* The network changed: is the edge still there? */
void edge_link_probe(struct edge_link *el);

/* RPC deadlines: when to call tick, UINT64_MAX for never. */
uint64_t edge_link_deadline_ms(const struct edge_link *el);
void edge_link_tick(struct edge_link *el, uint64_t now_ms);

uint32_t edge_link_id(const struct edge_link *el);
/* GOAWAY, as the acceptor says it: the edge opens no more streams, and those that run go on. */
void edge_link_drain(struct edge_link *el);
const struct edge_address *edge_link_address(const struct edge_link *el);
/* Our end; family 0 while there is none. */
const struct ip_addr *edge_link_local_ip(const struct edge_link *el);
/* True if no stream is open but the control stream. */
bool edge_link_is_idle(const struct edge_link *el);
/* True if the edge announced itself as adit's on the control stream. */
bool edge_link_is_adit(const struct edge_link *el);
/* What it announced beside its version; "" if nothing. */
const char *edge_link_features(const struct edge_link *el);
/* As the edge said at registration; "" before. */
const char *edge_link_location(const struct edge_link *el);
/* The control stream is not among the streams. */
void edge_link_get_stats(const struct edge_link *el, struct link_stats *out);

/* For the owner's list of links. */
struct list *edge_link_node(struct edge_link *el);
struct edge_link *edge_link_of_node(struct list *node);
