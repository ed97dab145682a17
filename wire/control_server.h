/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * control_server - the edge's half of the control stream, without I/O
 *
 * Every call is answered exactly once, at once or later, by its answer id.
 * Accepts both call targets (pipelined and imported), reused ids, Finish and
 * Release in any order or missing.
 *
 * Events may call everything here but feed. control_server_free() in an event is
 * fine: no event follows, and the memory goes when feed returns. What on_send
 * can't queue (a peer that sends and never reads) is the owner's reason to close.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "wire/registration.h"
#include "wire/route_msg.h"

struct control_server;

/*
 * All members must be set. @answer names one call for its reply, now or later; no later call
 * has the same. Arguments are borrowed.
 */
struct control_server_events {
	void (*on_send)(void *ctx, const uint8_t *data, size_t n);
	void (*on_register)(void *ctx, uint32_t answer, const struct registration_request *req);
	void (*on_unregister)(void *ctx, uint32_t answer);
	/* Answered with success by control_server itself, after the event. */
	void (*on_local_config)(void *ctx, const uint8_t *json, size_t n);
	void (*on_advertise)(void *ctx, uint32_t answer, const struct route_call *call);
	/* The agent said Abort (a clean goodbye: @text "rpc: shutdown"), or broke the protocol
	 * (@protocol_error; an Abort was sent). */
	void (*on_end)(void *ctx, bool protocol_error, const char *text);
};

NODISCARD int control_server_new(struct control_server **sp,
				 const struct control_server_events *events, void *ctx);
struct control_server *control_server_free(struct control_server *s);

void control_server_feed(struct control_server *s, const uint8_t *data, size_t n);

/* Replies; 0; -ENOENT: that answer is not open (finished by the agent: dropped); -EMSGSIZE. */
int control_server_registered(struct control_server *s, uint32_t answer,
			      const struct registration_details *details);
int control_server_refused(struct control_server *s, uint32_t answer,
			   const struct registration_error *error);
int control_server_unregistered(struct control_server *s, uint32_t answer);
int control_server_advertised(struct control_server *s, uint32_t answer,
			      const struct route_reply *reply);
/* An RPC exception of type failed. */
int control_server_exception(struct control_server *s, uint32_t answer, const char *reason);
