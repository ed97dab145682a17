/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Messages are cut from the stream, opened, and dispatched by their tag. Here
 * are the connection and our own questions; rpc_answer.c has the peer's.
 *
 * Invariants: after `closed` nothing is sent and no event runs. A question id is
 * in use (state not FREE) or on the free list, never both. Finish is sent before
 * its id is freed, so that a call that reuses it always comes after.
 */

#include "wire/rpc.h"

#include <errno.h>
#include <stdlib.h>

#include "base/err.h"
#include "wire/peer_text.h"
#include "wire/proto.h"
#include "wire/rpc_private.h"

#define REASON_MAX 256

typedef void (*rpc_handler)(struct rpc *r, const struct capnp_struct *body);

struct rpc *rpc_new(const struct rpc_events *events, void *ctx)
{
	struct rpc *r = xnew(struct rpc);

	r->events = events;
	r->ctx = ctx;
	capnp_splitter_init(&r->input, RPC_MESSAGE_MAX);
	return r;
}

struct rpc *rpc_free(struct rpc *r)
{
	if (!r)
		return NULL;
	capnp_splitter_deinit(&r->input);
	free(r);
	return NULL;
}

void rpc_close(struct rpc *r)
{
	r->closed = true;
}

void rpc_builder_init(struct capnp_builder *b)
{
	capnp_builder_init(b, RPC_MESSAGE_MAX);
}

int rpc_send(struct rpc *r, struct capnp_builder *b)
{
	const uint8_t *data;
	size_t n;
	int e = capnp_builder_finish(b, &data, &n);

	if (!e && !r->closed)
		r->events->on_send(r->ctx, data, n);
	capnp_builder_deinit(b);
	return e;
}

static void end(struct rpc *r, enum rpc_end why, const char *text)
{
	if (r->closed)
		return;
	r->closed = true;
	r->events->on_end(r->ctx, why, text);
}

void rpc_send_small(struct rpc *r, struct capnp_builder *b)
{
	if (rpc_send(r, b) < 0)
		end(r, RPC_END_PROTOCOL, "out of memory");
}

static void send_abort(struct rpc *r, const char *reason)
{
	struct capnp_builder b;

	rpc_builder_init(&b);
	rpc_put_abort(&b, reason);
	rpc_send_small(r, &b);
}

static void send_finish(struct rpc *r, uint32_t question, bool release_caps)
{
	struct capnp_builder b;

	rpc_builder_init(&b);
	rpc_put_finish(&b, question, release_caps);
	rpc_send_small(r, &b);
}

void rpc_send_unimplemented(struct rpc *r, const struct capnp_message *msg)
{
	struct capnp_builder b;

	rpc_builder_init(&b);
	rpc_put_unimplemented(&b, msg);
	rpc_send_small(r, &b);
}

void rpc_break_off(struct rpc *r, const char *reason)
{
	send_abort(r, reason);
	end(r, RPC_END_PROTOCOL, reason);
}

/* Questions */

static int take_question(struct rpc *r, enum question_state state, uint64_t deadline_ms,
			 uint32_t *idp)
{
	if (r->closed)
		return -EPIPE;
	if (!r->n_free_ids && r->n_ids == RPC_QUESTIONS_MAX)
		return -EBUSY;
	*idp = r->n_free_ids ? r->free_ids[--r->n_free_ids] : r->n_ids++;
	r->questions[*idp] = (struct question){.state = state, .deadline_ms = deadline_ms};
	return 0;
}

static void free_question(struct rpc *r, uint32_t id)
{
	r->questions[id].state = QUESTION_FREE;
	r->free_ids[r->n_free_ids++] = id;
}

int rpc_bootstrap(struct rpc *r, uint64_t deadline_ms)
{
	struct capnp_builder b;
	uint32_t id;
	int e;

	if (r->import != IMPORT_NONE)
		return -EALREADY;
	e = take_question(r, QUESTION_BOOTSTRAP, deadline_ms, &id);
	if (e < 0)
		return e;
	r->import = IMPORT_ASKED;
	r->bootstrap_question = id;
	rpc_builder_init(&b);
	rpc_put_bootstrap(&b, id);
	return rpc_send(r, &b);
}

static int find_target(const struct rpc *r, struct rpc_target *t)
{
	switch (r->import) {
	case IMPORT_ASKED:
		*t = (struct rpc_target){RPC_TARGET_ANSWER, r->bootstrap_question};
		return 0;
	case IMPORT_HERE:
		*t = (struct rpc_target){RPC_TARGET_CAP, r->import_id};
		return 0;
	case IMPORT_NONE:
	case IMPORT_FAILED:
		break;
	}
	return -ENOTCONN;
}

int rpc_call(struct rpc *r, const struct rpc_call *call, uint64_t deadline_ms)
{
	struct rpc_target target;
	struct capnp_builder b;
	struct capnp_out payload;
	uint32_t id;
	int e = find_target(r, &target);

	if (!e)
		e = take_question(r, QUESTION_CALL, deadline_ms, &id);
	if (e < 0)
		return e;
	r->questions[id].done = call->done;
	r->questions[id].tag = call->tag;
	rpc_builder_init(&b);
	payload = rpc_put_call(&b, id, &target, call->iface, call->method);
	if (call->fill)
		call->fill(payload, call->value);
	rpc_put_cap_table(payload);
	e = rpc_send(r, &b);
	if (e < 0)
		free_question(r, id);
	return e;
}

/* The capability that the bootstrap's Return names, if it is one. */
static bool read_import(const struct capnp_struct *payload, uint32_t *idp)
{
	struct capnp_list table = capnp_get_list(payload, 1);
	struct capnp_struct cap;
	uint64_t tag;
	uint32_t index;

	if (!capnp_get_cap(payload, 0, &index))
		return false;
	cap = capnp_list_get(&table, index);
	tag = capnp_get_uint(&cap, 0, 2);
	*idp = (uint32_t)capnp_get_uint(&cap, 4, 4);
	return tag == RPC_CAP_SENDER_HOSTED || tag == RPC_CAP_SENDER_PROMISE;
}

/* A call that was pipelined gets an exception of its own, so a failure needs no report here. */
static void finish_bootstrap(struct rpc *r, uint32_t id, const struct capnp_struct *payload)
{
	bool is_here = read_import(payload, &r->import_id);

	r->import = is_here ? IMPORT_HERE : IMPORT_FAILED;
	send_finish(r, id, !is_here);
	free_question(r, id);
}

static void read_exception(const struct capnp_struct *ret, struct rpc_result *result)
{
	struct capnp_struct exception = capnp_get_struct(ret, 0);

	result->kind = RPC_RESULT_EXCEPTION;
	result->exception = (enum rpc_exception_type)capnp_get_uint(&exception, 4, 2);
	result->reason = capnp_get_text(&exception, 0);
}

/* True if the results brought capabilities; nobody wants them. */
static bool read_result(struct rpc *r, const struct capnp_struct *ret, struct rpc_result *result)
{
	struct capnp_struct payload = {0};

	*result = (struct rpc_result){.kind = RPC_RESULT_EXCEPTION, .reason = "canceled"};
	switch (capnp_get_uint(ret, 6, 2)) {
	case RPC_RETURN_RESULTS:
		payload = capnp_get_struct(ret, 0);
		*result =
			(struct rpc_result){.content = capnp_get_struct(&payload, 0), .reason = ""};
		break;
	case RPC_RETURN_EXCEPTION:
		read_exception(ret, result);
		break;
	case RPC_RETURN_CANCELED:
		break;
	default:
		rpc_send_unimplemented(r, ret->msg);
		result->reason = "unknown kind of Return";
		break;
	}
	return capnp_get_list(&payload, 1).n > 0;
}

static void finish_call(struct rpc *r, uint32_t id, const struct capnp_struct *ret)
{
	struct question q = r->questions[id];
	struct rpc_result result;
	char reason[REASON_MAX];
	bool has_caps = read_result(r, ret, &result);

	if (!capnp_message_is_ok(ret->msg))
		return;
	send_finish(r, id, has_caps);
	free_question(r, id);
	result.reason = peer_text_copy(reason, sizeof(reason), result.reason);
	if (!r->closed)
		q.done(r->ctx, q.tag, &result);
}

static void handle_return(struct rpc *r, const struct capnp_struct *ret)
{
	uint32_t id = (uint32_t)capnp_get_uint(ret, 0, 4);
	struct capnp_struct payload = {0};

	switch (id < r->n_ids ? r->questions[id].state : QUESTION_FREE) {
	case QUESTION_BOOTSTRAP:
		if (capnp_get_uint(ret, 6, 2) == RPC_RETURN_RESULTS)
			payload = capnp_get_struct(ret, 0);
		finish_bootstrap(r, id, &payload);
		break;
	case QUESTION_CALL:
		finish_call(r, id, ret);
		break;
	case QUESTION_DEAD:
		free_question(r, id);
		break;
	case QUESTION_FREE:
		rpc_break_off(r, "Return without a question");
		break;
	}
}

/* The id stays taken: the peer may still be using it. */
static void expire(struct rpc *r, uint32_t id)
{
	struct rpc_result result = {.kind = RPC_RESULT_TIMEOUT, .reason = "no answer in time"};
	struct question *q = &r->questions[id];
	bool was_call = q->state == QUESTION_CALL;

	q->state = QUESTION_DEAD;
	send_finish(r, id, true);
	if (!was_call)
		r->import = IMPORT_FAILED;
	else if (!r->closed)
		q->done(r->ctx, q->tag, &result);
}

static bool is_waiting(const struct question *q)
{
	return q->state == QUESTION_BOOTSTRAP || q->state == QUESTION_CALL;
}

void rpc_tick(struct rpc *r, uint64_t now_ms)
{
	for (uint32_t id = 0; id < r->n_ids && !r->closed; id++) {
		if (is_waiting(&r->questions[id]) && r->questions[id].deadline_ms <= now_ms)
			expire(r, id);
	}
}

uint64_t rpc_deadline_ms(const struct rpc *r)
{
	uint64_t deadline_ms = UINT64_MAX;

	for (uint32_t id = 0; id < r->n_ids && !r->closed; id++) {
		if (is_waiting(&r->questions[id]) && r->questions[id].deadline_ms < deadline_ms)
			deadline_ms = r->questions[id].deadline_ms;
	}
	return deadline_ms;
}

/* Input */

static void handle_abort(struct rpc *r, const struct capnp_struct *body)
{
	char reason[REASON_MAX];

	end(r, RPC_END_ABORTED, peer_text_copy(reason, sizeof(reason), capnp_get_text(body, 0)));
}

/*
 * No handler: Unimplemented goes back, except for Unimplemented itself, which is
 * ignored: our deadlines take care of a call that the peer can't answer.
 */
static const rpc_handler handlers[RPC_TAG_N] = {
	[RPC_ABORT] = handle_abort,	    [RPC_CALL] = rpc_handle_call,
	[RPC_RETURN] = handle_return,	    [RPC_FINISH] = rpc_handle_finish,
	[RPC_RELEASE] = rpc_handle_release, [RPC_BOOTSTRAP] = rpc_handle_bootstrap,
};

static bool has_handler(uint64_t tag)
{
	return tag < RPC_TAG_N && handlers[tag];
}

static void dispatch(struct rpc *r, struct capnp_message *msg)
{
	struct capnp_struct root = capnp_message_root(msg);
	uint64_t tag = capnp_get_uint(&root, 0, 2);
	struct capnp_struct body;

	body = capnp_get_struct(&root, 0);
	if (capnp_struct_is_null(&root) || (has_handler(tag) && capnp_struct_is_null(&body)))
		msg->failed = true;
	if (!capnp_message_is_ok(msg))
		return;
	if (has_handler(tag))
		handlers[tag](r, &body);
	else if (tag != RPC_UNIMPLEMENTED)
		rpc_send_unimplemented(r, msg);
}

static void read_message(struct rpc *r, const uint8_t *bytes, size_t n)
{
	struct capnp_message msg;

	if (capnp_message_open(&msg, bytes, n)) {
		rpc_break_off(r, "malformed message");
		return;
	}
	dispatch(r, &msg);
	if (!capnp_message_is_ok(&msg))
		rpc_break_off(r, "malformed message");
}

void rpc_feed(struct rpc *r, const uint8_t *data, size_t n)
{
	const uint8_t *msg = NULL;
	size_t n_msg = 0;
	int e = CAPNP_COMPLETE;

	while (!r->closed && e == CAPNP_COMPLETE) {
		e = capnp_splitter_next(&r->input, &data, &n, &msg, &n_msg);
		if (e == CAPNP_COMPLETE)
			read_message(r, msg, n_msg);
	}
	if (e == CAPNP_E_LIMIT)
		rpc_break_off(r, "message over the limit");
	else if (e < 0)
		rpc_break_off(r, "out of memory");
}

void rpc_goodbye(struct rpc *r)
{
	struct capnp_builder b;

	if (r->closed)
		return;
	if (r->import == IMPORT_HERE) {
		rpc_builder_init(&b);
		rpc_put_release(&b, r->import_id, 1);
		rpc_send_small(r, &b);
	}
	send_abort(r, "rpc: shutdown");
	rpc_close(r);
}
