/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* rpc_private - what rpc.c (connection, our questions) and rpc_answer.c share */

#include "wire/rpc.h"
#include "wire/rpc_message.h"

/*
 *   FREE       the id may be given out
 *   BOOTSTRAP  asked for the bootstrap capability; Return or deadline ends it
 *   CALL       asked by rpc_call(); Return or deadline ends it
 *   DEAD       timed out, Finish was sent: the id is kept until the late Return, which is dropped
 */
enum question_state {
	QUESTION_FREE,
	QUESTION_BOOTSTRAP,
	QUESTION_CALL,
	QUESTION_DEAD,
};

struct question {
	enum question_state state;
	uint64_t deadline_ms;
	rpc_done done;
	uint64_t tag;
};

/*
 *   FREE      empty slot
 *   PENDING   called; exactly one Return is due
 *   RETURNED  the id is the peer's until its Finish
 */
enum answer_state {
	ANSWER_FREE,
	ANSWER_PENDING,
	ANSWER_RETURNED,
};

struct answer {
	enum answer_state state;
	uint32_t id;	    /* the peer's question id: reused by it */
	uint32_t token;	    /* our name for it: counts up, so it is the age as well */
	bool is_bootstrap;  /* its result is our capability: calls may be pipelined on it */
	bool releases_caps; /* its parameters had capabilities, which the Return gives back */
};

enum import_state {
	IMPORT_NONE,
	IMPORT_ASKED,
	IMPORT_HERE,
	IMPORT_FAILED,
};

struct rpc {
	const struct rpc_events *events;
	void *ctx;
	struct capnp_splitter input;
	bool closed;

	/* Ids count up from 0; freed ones are given out again, last freed first. */
	struct question questions[RPC_QUESTIONS_MAX];
	uint32_t free_ids[RPC_QUESTIONS_MAX];
	uint32_t n_free_ids;
	uint32_t n_ids;

	enum import_state import;
	uint32_t import_id;	     /* HERE */
	uint32_t bootstrap_question; /* ASKED */

	struct answer answers[RPC_ANSWERS_MAX];
	uint32_t last_token;
	uint32_t n_export_refs; /* held by the peer on our one export */
};

void rpc_builder_init(struct capnp_builder *b);
/* Sends what @b holds and deinits it. 0, -EMSGSIZE, -ENOMEM. */
int rpc_send(struct rpc *r, struct capnp_builder *b);
/* The same for messages of a fixed size: a failure ends the connection. */
void rpc_send_small(struct rpc *r, struct capnp_builder *b);
/* Protocol error: Abort, on_end, closed. */
void rpc_break_off(struct rpc *r, const char *reason);
void rpc_send_unimplemented(struct rpc *r, const struct capnp_message *msg);

/* rpc_answer.c: messages about questions of the peer. */
void rpc_handle_bootstrap(struct rpc *r, const struct capnp_struct *body);
void rpc_handle_call(struct rpc *r, const struct capnp_struct *body);
void rpc_handle_finish(struct rpc *r, const struct capnp_struct *body);
void rpc_handle_release(struct rpc *r, const struct capnp_struct *body);
