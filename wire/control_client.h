/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * control_client - the agent's half of the control stream, without I/O
 *
 * Bytes of the stream go in with control_client_feed(), bytes to send come out
 * by on_send (whole messages). The calls of docs/protocol.md: register, local
 * configuration, advertise, unregister. Time is passed in.
 *
 * Events may call everything here but feed and tick. control_client_free() in an
 * event is fine: no event follows, and the memory goes when feed or tick returns.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "wire/registration.h"
#include "wire/route_msg.h"

struct control_client;

enum control_end {
	CONTROL_END_ABORTED,   /* the peer sent Abort */
	CONTROL_END_PROTOCOL,  /* bytes that are no RPC */
	CONTROL_END_TIMEOUT,   /* a call was not answered in time */
	CONTROL_END_EXCEPTION, /* a call raised an RPC exception */
};

/* All members must be set. */
struct control_client_events {
	void (*on_send)(void *ctx, const uint8_t *data, size_t n);
	/* Exactly one of @details and @error is not NULL. */
	void (*on_registered)(void *ctx, const struct registration_details *details,
			      const struct registration_error *error);
	/* @ok false: refused or timed out; the caller goes on with its shutdown either way. */
	void (*on_unregistered)(void *ctx, bool ok);
	/* The edge answered the last call of a set: verdicts for all vnets, then all routes, in
	 * the order of the set (NULL when a hash was confirmed without them); or @send_all;
	 * or @failed, for people: exception, no answer in time, superseded by a newer set. */
	void (*on_advertised)(void *ctx, uint64_t generation, const struct route_verdict *verdicts,
			      size_t n_verdicts, bool send_all, const char *failed);
	/* Fatal: close the connection. @text for people. */
	void (*on_failed)(void *ctx, enum control_end why, const char *text);
};

NODISCARD int control_client_new(struct control_client **cp,
				 const struct control_client_events *events, void *ctx);
struct control_client *control_client_free(struct control_client *c);

/*
 * Bootstrap and registerConnection, pipelined; once. @req is borrowed for the call. This and
 * the calls below: 0; -EPIPE after the end; -ENOTCONN without bootstrap; -EBUSY: too many
 * open calls; -EMSGSIZE; -ENOMEM; -EALREADY. No event runs but on_send.
 */
int control_client_register(struct control_client *c, const struct registration_request *req,
			    uint64_t now_ms, uint32_t timeout_ms);
/* @json: the local configuration (stock shape). The answer is awaited and dropped. */
int control_client_push_config(struct control_client *c, const char *json, uint64_t now_ms,
			       uint32_t timeout_ms);
/*
 * @set is borrowed until on_advertised, on_failed or control_client_drop_advert(); @hash_only sends
 * its hash alone. At most two calls are in flight, and each may take @timeout_ms after the one
 * before. A set that is still on its way is reported as superseded first. -E2BIG: over ROUTES_MAX.
 */
int control_client_advertise(struct control_client *c, const struct uuid *instance_id,
			     uint64_t generation, const struct route_set *set, bool hash_only,
			     uint64_t now_ms, uint32_t timeout_ms);
/* The set that is on its way is let go of: no more of it is sent, and no on_advertised follows. */
void control_client_drop_advert(struct control_client *c);
int control_client_unregister(struct control_client *c, uint64_t now_ms, uint32_t timeout_ms);
/* Release and Abort, as stock says goodbye: end the stream after it. */
void control_client_goodbye(struct control_client *c);

/* Bytes in any pieces. Failures are reported by on_failed. */
void control_client_feed(struct control_client *c, const uint8_t *data, size_t n);
/* Runs expired deadlines. */
void control_client_tick(struct control_client *c, uint64_t now_ms);
/* The next deadline, or UINT64_MAX. */
uint64_t control_client_deadline_ms(const struct control_client *c);
