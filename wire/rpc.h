/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * rpc - one end of a Cap'n Proto RPC connection (level 1 subset), without I/O
 *
 * Symmetric: an end may ask (bootstrap, calls on the peer's bootstrap
 * capability) and answer (if it has on_call). Spoken: Bootstrap, Call, Return,
 * Finish, Release, Abort, Unimplemented; every other kind is answered with
 * Unimplemented. Spec: capnp/rpc.capnp, docs/protocol.md.
 *
 * A question ends with exactly one run of its callback: Return, timeout, or none
 * once the connection ended (on_end). Events and callbacks may call everything
 * here but rpc_feed(), rpc_tick() and rpc_free(); rpc_close() stops all events.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/compiler.h"
#include "wire/capnp.h"
#include "wire/capnp_build.h"

#define RPC_QUESTIONS_MAX 32 /* open at once, ours */
#define RPC_ANSWERS_MAX	  32 /* open at once, the peer's */

/* Exception.Type */
enum rpc_exception_type {
	RPC_FAILED = 0,
	RPC_OVERLOADED = 1,
	RPC_DISCONNECTED = 2,
	RPC_NOT_IMPLEMENTED = 3,
};

enum rpc_end {
	RPC_END_ABORTED,  /* the peer said Abort */
	RPC_END_PROTOCOL, /* the peer broke the protocol; an Abort was sent */
};

enum rpc_result_kind {
	RPC_RESULT_OK,
	RPC_RESULT_EXCEPTION,
	RPC_RESULT_TIMEOUT,
};

/* Borrowed for the callback. */
struct rpc_result {
	enum rpc_result_kind kind;
	struct capnp_struct content;	   /* OK */
	enum rpc_exception_type exception; /* EXCEPTION (canceled by the peer too) */
	const char *reason;		   /* for people; "" when OK */
};

struct rpc;

/* Builds a payload's content, pointer 0 of @payload, from @value. */
typedef void (*rpc_fill)(struct capnp_out payload, const void *value);
typedef void (*rpc_done)(void *ctx, uint64_t tag, const struct rpc_result *result);

struct rpc_events {
	/* One whole message; copy it. */
	void (*on_send)(void *ctx, const uint8_t *data, size_t n);
	/* A call on our bootstrap capability: answer it once, now or later, by @token, which
	 * never names another call. NULL: this end exports nothing. @params is borrowed. */
	void (*on_call)(void *ctx, uint32_t token, uint64_t iface, uint16_t method,
			struct capnp_struct params);
	/* Last event. @text for people. */
	void (*on_end)(void *ctx, enum rpc_end why, const char *text);
};

struct rpc_call {
	uint64_t iface;
	uint16_t method;
	rpc_fill fill; /* NULL: no content */
	const void *value;
	rpc_done done; /* with the ctx of rpc_new() */
	uint64_t tag;  /* for done */
};

/* @events is borrowed (static const). */
struct rpc *rpc_new(const struct rpc_events *events, void *ctx);
/* NULL is fine. Returns NULL. */
struct rpc *rpc_free(struct rpc *r);
DEFINE_CLEANUP(struct rpc *, rpc_free);

/* Asks for the peer's bootstrap capability; once, before the first call. 0 or -errno. */
int rpc_bootstrap(struct rpc *r, uint64_t deadline_ms);

/*
 * Calls the bootstrap capability, by pipelining while that isn't here yet. 0;
 * -EPIPE: the connection ended; -ENOTCONN: no bootstrap, or it failed; -EBUSY: too
 * many open questions; -EMSGSIZE: over RPC_MESSAGE_MAX; -ENOMEM.
 */
int rpc_call(struct rpc *r, const struct rpc_call *call, uint64_t deadline_ms);

/* Answers the call that on_call named @token. 0; -ENOENT: not open (any more); -EMSGSIZE, -ENOMEM:
 * still open. */
int rpc_return(struct rpc *r, uint32_t token, rpc_fill fill, const void *value);
int rpc_return_exception(struct rpc *r, uint32_t token, enum rpc_exception_type type,
			 const char *reason);

/* Release of the bootstrap capability, and Abort "rpc: shutdown", as stock; then closed. */
void rpc_goodbye(struct rpc *r);
/* No event from here on; input is ignored. */
void rpc_close(struct rpc *r);

void rpc_feed(struct rpc *r, const uint8_t *data, size_t n);
/* Ends the questions whose deadline is @now_ms or earlier. */
void rpc_tick(struct rpc *r, uint64_t now_ms);
/* The next deadline, or UINT64_MAX. */
uint64_t rpc_deadline_ms(const struct rpc *r);
