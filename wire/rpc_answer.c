/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Questions of the peer. Every call gets exactly one Return: by the owner, or
 * "canceled" when its Finish came first. A peer that forgets to Finish costs
 * nothing: when the table is full, the oldest answer that was returned goes.
 *
 * We export one thing, our bootstrap capability, as export 0.
 */

#include <errno.h>

#include "wire/rpc_private.h"

#define BOOTSTRAP_EXPORT 0u

static struct answer *find_by_id(struct rpc *r, uint32_t id)
{
	for (size_t i = 0; i < RPC_ANSWERS_MAX; i++) {
		if (r->answers[i].state != ANSWER_FREE && r->answers[i].id == id)
			return &r->answers[i];
	}
	return NULL;
}

static struct answer *find_pending(struct rpc *r, uint32_t token)
{
	for (size_t i = 0; i < RPC_ANSWERS_MAX; i++) {
		if (r->answers[i].state == ANSWER_PENDING && r->answers[i].token == token)
			return &r->answers[i];
	}
	return NULL;
}

static uint32_t age_of(const struct rpc *r, const struct answer *a)
{
	return r->last_token - a->token;
}

/* A free slot, else the oldest returned one, else NULL. */
static struct answer *find_slot(struct rpc *r)
{
	struct answer *oldest = NULL;

	for (size_t i = 0; i < RPC_ANSWERS_MAX; i++) {
		struct answer *a = &r->answers[i];

		if (a->state == ANSWER_FREE)
			return a;
		if (a->state == ANSWER_RETURNED && (!oldest || age_of(r, a) > age_of(r, oldest)))
			oldest = a;
	}
	return oldest;
}

/* NULL: the connection was broken off. */
static struct answer *new_answer(struct rpc *r, uint32_t id)
{
	struct answer *a = NULL;

	if (find_by_id(r, id)) {
		rpc_break_off(r, "question ID reused");
		return NULL;
	}
	a = find_slot(r);
	if (!a) {
		rpc_break_off(r, "too many open calls");
		return NULL;
	}
	*a = (struct answer){.state = ANSWER_PENDING, .id = id, .token = ++r->last_token};
	return a;
}

static void send_exception(struct rpc *r, struct answer *a, enum rpc_exception_type type,
			   const char *reason)
{
	struct capnp_builder b;

	a->state = ANSWER_RETURNED;
	rpc_builder_init(&b);
	rpc_put_exception(&b, a->id, a->releases_caps, (uint16_t)type, reason);
	rpc_send_small(r, &b);
}

void rpc_handle_bootstrap(struct rpc *r, const struct capnp_struct *body)
{
	struct answer *a = new_answer(r, (uint32_t)capnp_get_uint(body, 0, 4));
	struct capnp_builder b;

	if (!a)
		return;
	if (!r->events->on_call) {
		send_exception(r, a, RPC_FAILED, "rpc: no bootstrap interface");
		return;
	}
	a->state = ANSWER_RETURNED;
	a->is_bootstrap = true;
	r->n_export_refs++;
	rpc_builder_init(&b);
	rpc_put_own_cap(rpc_put_results(&b, a->id, false), BOOTSTRAP_EXPORT);
	rpc_send_small(r, &b);
}

/* Only operations that stay where they are lead to a capability: a result struct has none. */
static bool is_empty_transform(const struct capnp_list *ops)
{
	for (uint32_t i = 0; i < ops->n; i++) {
		struct capnp_struct op = capnp_list_get(ops, i);

		if (capnp_get_uint(&op, 0, 2) != 0)
			return false;
	}
	return true;
}

/* NULL if the call is for our capability, else what is wrong with it. */
static const char *check_target(struct rpc *r, const struct capnp_struct *call)
{
	struct capnp_struct target = capnp_get_struct(call, 0);
	struct capnp_struct promised = capnp_get_struct(&target, 0);
	struct capnp_list ops = capnp_get_list(&promised, 0);
	const struct answer *a;

	switch (capnp_get_uint(&target, 4, 2)) {
	case RPC_TARGET_CAP:
		if (r->n_export_refs && capnp_get_uint(&target, 0, 4) == BOOTSTRAP_EXPORT)
			return NULL;
		return "rpc: no such export";
	case RPC_TARGET_ANSWER:
		a = find_by_id(r, (uint32_t)capnp_get_uint(&promised, 0, 4));
		if (a && a->is_bootstrap && is_empty_transform(&ops))
			return NULL;
		return "rpc: no capability in that answer";
	default:
		return "rpc: unknown kind of target";
	}
}

void rpc_handle_call(struct rpc *r, const struct capnp_struct *body)
{
	struct capnp_struct payload = capnp_get_struct(body, 1);
	struct capnp_struct params = capnp_get_struct(&payload, 0);
	const char *wrong = check_target(r, body);
	struct answer *a;

	/* sendResultsTo must be the caller. */
	if (capnp_get_uint(body, 6, 2) != 0) {
		rpc_send_unimplemented(r, body->msg);
		return;
	}
	a = new_answer(r, (uint32_t)capnp_get_uint(body, 0, 4));
	if (!a)
		return;
	a->releases_caps = capnp_get_list(&payload, 1).n > 0;
	if (!capnp_message_is_ok(body->msg))
		return;
	if (wrong)
		send_exception(r, a, RPC_FAILED, wrong);
	else
		r->events->on_call(r->ctx, a->token, capnp_get_uint(body, 8, 8),
				   (uint16_t)capnp_get_uint(body, 4, 2), params);
}

static void drop_export_refs(struct rpc *r, uint32_t n)
{
	r->n_export_refs -= n < r->n_export_refs ? n : r->n_export_refs;
}

void rpc_handle_finish(struct rpc *r, const struct capnp_struct *body)
{
	struct answer *a = find_by_id(r, (uint32_t)capnp_get_uint(body, 0, 4));
	bool releases = !capnp_get_bool(body, 32); /* the default is true */
	struct capnp_builder b;

	if (!a)
		return;
	if (a->is_bootstrap && releases)
		drop_export_refs(r, 1);
	if (a->state == ANSWER_PENDING) {
		rpc_builder_init(&b);
		rpc_put_canceled(&b, a->id, a->releases_caps);
		rpc_send_small(r, &b);
	}
	a->state = ANSWER_FREE;
}

void rpc_handle_release(struct rpc *r, const struct capnp_struct *body)
{
	if (capnp_get_uint(body, 0, 4) == BOOTSTRAP_EXPORT)
		drop_export_refs(r, (uint32_t)capnp_get_uint(body, 4, 4));
}

int rpc_return(struct rpc *r, uint32_t token, rpc_fill fill, const void *value)
{
	struct answer *a = r->closed ? NULL : find_pending(r, token);
	struct capnp_builder b;
	struct capnp_out payload;
	int e;

	if (!a)
		return -ENOENT;
	rpc_builder_init(&b);
	payload = rpc_put_results(&b, a->id, a->releases_caps);
	if (fill)
		fill(payload, value);
	else
		capnp_new_struct(payload, 0, 0, 0);
	rpc_put_cap_table(payload);
	/* Before on_send, so that nothing it does answers a second time. */
	a->state = ANSWER_RETURNED;
	e = rpc_send(r, &b);
	if (e < 0)
		a->state = ANSWER_PENDING;
	return e;
}

int rpc_return_exception(struct rpc *r, uint32_t token, enum rpc_exception_type type,
			 const char *reason)
{
	struct answer *a = r->closed ? NULL : find_pending(r, token);

	if (!a)
		return -ENOENT;
	send_exception(r, a, type, reason);
	return 0;
}
