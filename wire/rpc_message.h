/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * rpc_message - the structs of rpc.capnp that rpc.c writes, and their numbers
 *
 * Layouts and order as stock writes them (docs/protocol.md, golden vectors).
 */

#include <stdbool.h>
#include <stdint.h>

#include "wire/capnp_build.h"

struct capnp_message;

enum rpc_tag {
	RPC_UNIMPLEMENTED = 0,
	RPC_ABORT = 1,
	RPC_CALL = 2,
	RPC_RETURN = 3,
	RPC_FINISH = 4,
	RPC_RESOLVE = 5,
	RPC_RELEASE = 6,
	RPC_BOOTSTRAP = 8,
	RPC_TAG_N = 14,
};

enum rpc_return_tag {
	RPC_RETURN_RESULTS = 0,
	RPC_RETURN_EXCEPTION = 1,
	RPC_RETURN_CANCELED = 2,
};

enum rpc_target_tag {
	RPC_TARGET_CAP = 0,
	RPC_TARGET_ANSWER = 1,
};

enum rpc_cap_tag {
	RPC_CAP_SENDER_HOSTED = 1,
	RPC_CAP_SENDER_PROMISE = 2,
};

/* Who is called: an import, or the future result of a question. */
struct rpc_target {
	enum rpc_target_tag tag;
	uint32_t id;
};

void rpc_put_bootstrap(struct capnp_builder *b, uint32_t question);
/* Returns the payload: content is its pointer 0, then comes rpc_put_cap_table(). */
struct capnp_out rpc_put_call(struct capnp_builder *b, uint32_t question,
			      const struct rpc_target *target, uint64_t iface, uint16_t method);
struct capnp_out rpc_put_results(struct capnp_builder *b, uint32_t answer, bool release_caps);
/* No capabilities. */
void rpc_put_cap_table(struct capnp_out payload);
/* One capability of ours, and the content is it. */
void rpc_put_own_cap(struct capnp_out payload, uint32_t export_id);
void rpc_put_exception(struct capnp_builder *b, uint32_t answer, bool release_caps, uint16_t type,
		       const char *reason);
void rpc_put_canceled(struct capnp_builder *b, uint32_t answer, bool release_caps);
void rpc_put_finish(struct capnp_builder *b, uint32_t question, bool release_caps);
void rpc_put_release(struct capnp_builder *b, uint32_t id, uint32_t count);
void rpc_put_abort(struct capnp_builder *b, const char *reason);
/* Echoes @msg; without its content where that can't be moved as it is. */
void rpc_put_unimplemented(struct capnp_builder *b, const struct capnp_message *msg);
