/* SPDX-License-Identifier: Apache-2.0 */

#include "wire/rpc_message.h"

#include "base/cursor.h"
#include "wire/capnp.h"

/* Room for an echo: root pointer, Message and the pointer in it. */
#define ECHO_WORDS 3u

static struct capnp_out put_message(struct capnp_builder *b, enum rpc_tag tag, uint16_t n_data,
				    uint16_t n_ptrs)
{
	struct capnp_out message = capnp_new_root(b, 1, 1);

	capnp_put_uint(message, 0, 2, tag);
	return capnp_new_struct(message, 0, n_data, n_ptrs);
}

void rpc_put_bootstrap(struct capnp_builder *b, uint32_t question)
{
	capnp_put_uint(put_message(b, RPC_BOOTSTRAP, 1, 1), 0, 4, question);
}

static void put_target(struct capnp_out call, const struct rpc_target *t)
{
	struct capnp_out target = capnp_new_struct(call, 0, 1, 1);
	struct capnp_out answer;

	if (t->tag == RPC_TARGET_CAP) {
		capnp_put_uint(target, 0, 4, t->id);
		return;
	}
	capnp_put_uint(target, 4, 2, RPC_TARGET_ANSWER);
	answer = capnp_new_struct(target, 0, 1, 1);
	capnp_put_uint(answer, 0, 4, t->id);
	/* Stock writes the empty list of operations, with its tag. */
	capnp_new_list(answer, 0, 0, 1, 0);
}

struct capnp_out rpc_put_call(struct capnp_builder *b, uint32_t question,
			      const struct rpc_target *target, uint64_t iface, uint16_t method)
{
	struct capnp_out call = put_message(b, RPC_CALL, 3, 3);

	capnp_put_uint(call, 0, 4, question);
	capnp_put_uint(call, 4, 2, method);
	capnp_put_uint(call, 8, 8, iface);
	put_target(call, target);
	return capnp_new_struct(call, 1, 0, 2);
}

static struct capnp_out put_return(struct capnp_builder *b, uint32_t answer, bool release_caps,
				   enum rpc_return_tag tag)
{
	struct capnp_out ret = put_message(b, RPC_RETURN, 2, 1);

	capnp_put_uint(ret, 0, 4, answer);
	capnp_put_bool(ret, 32, !release_caps); /* the default is true */
	capnp_put_uint(ret, 6, 2, tag);
	return ret;
}

struct capnp_out rpc_put_results(struct capnp_builder *b, uint32_t answer, bool release_caps)
{
	struct capnp_out ret = put_return(b, answer, release_caps, RPC_RETURN_RESULTS);

	return capnp_new_struct(ret, 0, 0, 2);
}

void rpc_put_cap_table(struct capnp_out payload)
{
	capnp_new_list(payload, 1, 0, 1, 1);
}

void rpc_put_own_cap(struct capnp_out payload, uint32_t export_id)
{
	struct capnp_out cap;

	capnp_put_cap(payload, 0, 0);
	cap = capnp_out_list_at(capnp_new_list(payload, 1, 1, 1, 1), 0);
	capnp_put_uint(cap, 0, 2, RPC_CAP_SENDER_HOSTED);
	capnp_put_uint(cap, 4, 4, export_id);
}

void rpc_put_exception(struct capnp_builder *b, uint32_t answer, bool release_caps, uint16_t type,
		       const char *reason)
{
	struct capnp_out ret = put_return(b, answer, release_caps, RPC_RETURN_EXCEPTION);
	struct capnp_out exception = capnp_new_struct(ret, 0, 1, 1);

	capnp_put_uint(exception, 4, 2, type);
	capnp_put_text(exception, 0, reason);
}

void rpc_put_canceled(struct capnp_builder *b, uint32_t answer, bool release_caps)
{
	put_return(b, answer, release_caps, RPC_RETURN_CANCELED);
}

void rpc_put_finish(struct capnp_builder *b, uint32_t question, bool release_caps)
{
	struct capnp_out finish = put_message(b, RPC_FINISH, 1, 0);

	capnp_put_uint(finish, 0, 4, question);
	capnp_put_bool(finish, 32, !release_caps); /* the default is true */
}

void rpc_put_release(struct capnp_builder *b, uint32_t id, uint32_t count)
{
	struct capnp_out release = put_message(b, RPC_RELEASE, 1, 0);

	capnp_put_uint(release, 0, 4, id);
	capnp_put_uint(release, 4, 4, count);
}

void rpc_put_abort(struct capnp_builder *b, const char *reason)
{
	capnp_put_text(put_message(b, RPC_ABORT, 1, 1), 0, reason);
}

/*
 * Offsets are relative: the words of a single segment can stand anywhere, so the
 * echo needs no walk through a peer's data. Far pointers are absolute: a message
 * of several segments, or whose root is far, is echoed without content.
 */
void rpc_put_unimplemented(struct capnp_builder *b, const struct capnp_message *msg)
{
	const struct capnp_segment *segment = &msg->segments[0];
	struct capnp_out message = capnp_new_root(b, 1, 1);
	uint64_t root = segment->n_words ? load_le(segment->data, CAPNP_WORD) : 0;

	capnp_put_uint(message, 0, 2, RPC_UNIMPLEMENTED);
	if (msg->n_segments == 1 && root && !(root & 3) &&
	    (segment->n_words + ECHO_WORDS + 1) * (size_t)CAPNP_WORD <= b->max_bytes)
		capnp_put_segment(message, 0, segment->data, segment->n_words, root, 0);
}
