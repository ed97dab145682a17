/* SPDX-License-Identifier: Apache-2.0 */

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"
#include "wire/rpc.h"
#include "wire/rpc_message.h"

#define QUEUE_MAX (1 << 20)
#define CALLS_MAX 128

/* One end, what it queued for the other, and what happened to it. */
struct end {
	struct rpc *rpc;
	uint8_t *queue;
	size_t n_queue;
	size_t n_messages;

	uint32_t answers[CALLS_MAX];
	uint16_t methods[CALLS_MAX];
	size_t n_calls;
	bool answers_at_once;

	uint64_t tags[CALLS_MAX];
	enum rpc_result_kind kinds[CALLS_MAX];
	uint64_t values[CALLS_MAX];
	char reasons[CALLS_MAX][64];
	size_t n_results;

	bool has_ended;
	enum rpc_end why;
	char text[128];
};

static void fill_number(struct capnp_out payload, const void *value)
{
	capnp_put_uint(capnp_new_struct(payload, 0, 1, 0), 0, 8, *(const uint64_t *)value);
}

static void on_send(void *ctx, const uint8_t *data, size_t n)
{
	struct end *e = ctx;

	assert_true(n <= QUEUE_MAX - e->n_queue);
	memcpy(e->queue + e->n_queue, data, n);
	e->n_queue += n;
	e->n_messages++;
}

static void on_call(void *ctx, uint32_t answer, uint64_t iface, uint16_t method,
		    struct capnp_struct params)
{
	struct end *e = ctx;
	uint64_t doubled = 2 * capnp_get_uint(&params, 0, 8);

	assert_int_equal(iface, 0x1234);
	e->answers[e->n_calls] = answer;
	e->methods[e->n_calls++] = method;
	if (e->answers_at_once)
		assert_int_equal(rpc_return(e->rpc, answer, fill_number, &doubled), 0);
}

static void on_end(void *ctx, enum rpc_end why, const char *text)
{
	struct end *e = ctx;

	assert_false(e->has_ended);
	e->has_ended = true;
	e->why = why;
	snprintf(e->text, sizeof(e->text), "%s", text);
}

static void on_result(void *ctx, uint64_t tag, const struct rpc_result *result)
{
	struct end *e = ctx;

	assert_false(e->has_ended);
	e->tags[e->n_results] = tag;
	e->kinds[e->n_results] = result->kind;
	e->values[e->n_results] = capnp_get_uint(&result->content, 0, 8);
	snprintf(e->reasons[e->n_results++], 64, "%s", result->reason);
}

static const struct rpc_events exporting = {
	.on_send = on_send, .on_call = on_call, .on_end = on_end};
static const struct rpc_events asking_only = {.on_send = on_send, .on_end = on_end};

struct pair {
	struct end a; /* asks */
	struct end b; /* answers */
};

static int set_up(void **state)
{
	struct pair *p = calloc(1, sizeof(*p));

	p->a.queue = malloc(QUEUE_MAX);
	p->b.queue = malloc(QUEUE_MAX);
	p->a.rpc = rpc_new(&asking_only, &p->a);
	p->b.rpc = rpc_new(&exporting, &p->b);
	p->b.answers_at_once = true;
	*state = p;
	return 0;
}

static int tear_down(void **state)
{
	struct pair *p = *state;

	rpc_free(p->a.rpc);
	rpc_free(p->b.rpc);
	free(p->a.queue);
	free(p->b.queue);
	free(p);
	return 0;
}

/* Hands what @from queued to @to. */
static void deliver(struct end *from, struct end *to)
{
	size_t n = from->n_queue;
	uint8_t *copy = malloc(n ? n : 1);

	memcpy(copy, from->queue, n);
	from->n_queue = 0;
	rpc_feed(to->rpc, copy, n);
	free(copy);
}

static void pump(struct pair *p)
{
	while (p->a.n_queue || p->b.n_queue) {
		deliver(&p->a, &p->b);
		deliver(&p->b, &p->a);
	}
}

static int call(struct end *e, uint64_t tag, uint64_t number, uint64_t deadline_ms)
{
	const struct rpc_call c = {
		.iface = 0x1234,
		.method = 1,
		.fill = fill_number,
		.value = &number,
		.done = on_result,
		.tag = tag,
	};

	return rpc_call(e->rpc, &c, deadline_ms);
}

/* The message in @b goes into @to as if its peer had sent it. */
static void inject(struct end *to, struct capnp_builder *b)
{
	const uint8_t *data;
	size_t n;

	assert_int_equal(capnp_builder_finish(b, &data, &n), 0);
	rpc_feed(to->rpc, data, n);
	capnp_builder_deinit(b);
	capnp_builder_init(b, 65536);
}

/* The tag of message @i in @e's queue, and its body in @bodyp. */
static uint64_t queued(const struct end *e, size_t i, struct capnp_message *m,
		       struct capnp_struct *bodyp)
{
	const uint8_t *at = e->queue;
	struct capnp_struct root;

	for (; i; i--)
		at += 8 + load_le(at + 4, 4) * 8;
	assert_true(at < e->queue + e->n_queue);
	assert_int_equal(capnp_message_open(m, at, 8 + load_le(at + 4, 4) * 8), 0);
	root = capnp_message_root(m);
	*bodyp = capnp_get_struct(&root, 0);
	return capnp_get_uint(&root, 0, 2);
}

static void assert_queued(const struct end *e, size_t i, enum rpc_tag tag, uint64_t id)
{
	struct capnp_message m;
	struct capnp_struct body;

	assert_int_equal(queued(e, i, &m, &body), tag);
	assert_int_equal(capnp_get_uint(&body, 0, 4), id);
}

static void assert_broken(const struct end *e, const char *text)
{
	assert_true(e->has_ended);
	assert_int_equal(e->why, RPC_END_PROTOCOL);
	assert_string_equal(e->text, text);
}

/* The golden vectors of docs/protocol.md, which no capture has in this form. */

static size_t unhex(const char *hex, uint8_t *out)
{
	size_t n = 0;

	for (; *hex; hex += 2) {
		while (*hex == ' ')
			hex++;
		out[n++] = (uint8_t)strtoul((char[]){hex[0], hex[1], '\0'}, NULL, 16);
	}
	return n;
}

static void assert_bytes(struct capnp_builder *b, const char *hex)
{
	uint8_t expected[256];
	size_t n_expected = unhex(hex, expected), n;
	const uint8_t *data;

	assert_int_equal(capnp_builder_finish(b, &data, &n), 0);
	assert_int_equal(n, n_expected);
	assert_memory_equal(data, expected, n);
	capnp_builder_deinit(b);
	capnp_builder_init(b, 65536);
}

static void test_golden_vectors(void **state)
{
	struct rpc_target cap = {RPC_TARGET_CAP, 0};
	struct capnp_builder b;
	struct capnp_out payload;

	(void)state;
	capnp_builder_init(&b, 65536);
	rpc_put_bootstrap(&b, 0);
	assert_bytes(&b, "0000000005000000 0000000001000100 0800000000000000 0000000001000100 "
			 "0000000000000000 0000000000000000");
	rpc_put_own_cap(rpc_put_results(&b, 0, false), 0);
	assert_bytes(&b, "000000000b000000 0000000001000100 0300000000000000 0000000002000100 "
			 "0000000001000000 0000000000000000 0000000000000200 0300000000000000 "
			 "0100000017000000 0400000001000100 0100000000000000 0000000000000000");
	rpc_put_finish(&b, 0, false);
	assert_bytes(&b, "0000000004000000 0000000001000100 0400000000000000 0000000001000000 "
			 "0000000001000000");
	payload = rpc_put_results(&b, 1, false);
	capnp_new_struct(payload, 0, 0, 0);
	rpc_put_cap_table(payload);
	assert_bytes(&b, "0000000009000000 0000000001000100 0300000000000000 0000000002000100 "
			 "0100000001000000 0000000000000000 0000000000000200 fcffffff00000000 "
			 "0100000007000000 0000000001000100");
	payload = rpc_put_call(&b, 1, &cap, 0xf71695ec7fe85497, 1);
	capnp_new_struct(payload, 0, 0, 0);
	rpc_put_cap_table(payload);
	assert_bytes(&b, "000000000e000000 0000000001000100 0200000000000000 0000000003000300 "
			 "0100000001000000 9754e87fec9516f7 0000000000000000 0800000001000100 "
			 "0c00000000000200 0000000000000000 0000000000000000 0000000000000000 "
			 "fcffffff00000000 0100000007000000 0000000001000100");
	rpc_put_abort(&b, "rpc: shutdown");
	assert_bytes(&b, "0000000007000000 0000000001000100 0100000000000000 0000000001000100 "
			 "0000000000000000 0100000072000000 7270633a20736875 74646f776e000000");
	capnp_builder_deinit(&b);
}

static void test_pipelined_then_imported(void **state)
{
	struct pair *p = *state;
	struct capnp_message m;
	struct capnp_struct body, target;

	assert_int_equal(call(&p->a, 0, 1, 100), -ENOTCONN);
	assert_int_equal(rpc_bootstrap(p->a.rpc, 100), 0);
	assert_int_equal(rpc_bootstrap(p->a.rpc, 100), -EALREADY);
	assert_int_equal(call(&p->a, 7, 21, 100), 0);
	assert_int_equal(queued(&p->a, 1, &m, &body), RPC_CALL);
	target = capnp_get_struct(&body, 0);
	assert_int_equal(capnp_get_uint(&target, 4, 2), RPC_TARGET_ANSWER);
	pump(p);
	assert_int_equal(p->a.n_results, 1);
	assert_int_equal(p->a.tags[0], 7);
	assert_int_equal(p->a.values[0], 42);

	assert_int_equal(call(&p->a, 8, 4, 100), 0);
	assert_int_equal(queued(&p->a, 0, &m, &body), RPC_CALL);
	target = capnp_get_struct(&body, 0);
	assert_int_equal(capnp_get_uint(&target, 4, 2), RPC_TARGET_CAP);
	pump(p);
	assert_int_equal(p->a.values[1], 8);
	assert_int_equal(rpc_deadline_ms(p->a.rpc), UINT64_MAX);
}

/* Last freed first: 0 and 1 are asked, 0 returns before 1, so 1 comes next and then 0. */
static void test_id_reuse(void **state)
{
	struct pair *p = *state;

	rpc_bootstrap(p->a.rpc, 100);
	call(&p->a, 0, 1, 100);
	pump(p);
	call(&p->a, 1, 1, 100);
	call(&p->a, 2, 1, 100);
	call(&p->a, 3, 1, 100);
	assert_queued(&p->a, 0, RPC_CALL, 1);
	assert_queued(&p->a, 1, RPC_CALL, 0);
	assert_queued(&p->a, 2, RPC_CALL, 2);
	pump(p);
	for (uint64_t i = 0; i < 100; i++) {
		assert_int_equal(call(&p->a, i, i, 100), 0);
		assert_queued(&p->a, 0, RPC_CALL, 2);
		p->a.n_results = 0;
		p->b.n_calls = 0;
		pump(p);
	}
	assert_false(p->a.has_ended || p->b.has_ended);
}

static void test_too_many_questions(void **state)
{
	struct pair *p = *state;

	rpc_bootstrap(p->a.rpc, 100);
	for (size_t i = 1; i < RPC_QUESTIONS_MAX; i++)
		assert_int_equal(call(&p->a, i, i, 100), 0);
	assert_int_equal(call(&p->a, 0, 0, 100), -EBUSY);
	pump(p);
	assert_int_equal(p->a.n_results, RPC_QUESTIONS_MAX - 1);
	assert_int_equal(call(&p->a, 0, 0, 100), 0);
}

/* Finish with releaseResultCaps at once; the id rests until the late Return, which is dropped. */
static void test_timeout(void **state)
{
	struct pair *p = *state;
	struct capnp_message m;
	struct capnp_struct body;

	rpc_bootstrap(p->a.rpc, 100);
	pump(p);
	p->b.answers_at_once = false;
	call(&p->a, 5, 1, 100);
	deliver(&p->a, &p->b);
	assert_int_equal(rpc_deadline_ms(p->a.rpc), 100);
	rpc_tick(p->a.rpc, 99);
	assert_int_equal(p->a.n_results, 0);
	rpc_tick(p->a.rpc, 100);
	assert_int_equal(p->a.n_results, 1);
	assert_int_equal(p->a.kinds[0], RPC_RESULT_TIMEOUT);
	assert_int_equal(queued(&p->a, 0, &m, &body), RPC_FINISH);
	assert_false(capnp_get_bool(&body, 32)); /* true is the default */

	call(&p->a, 6, 1, 200);
	assert_queued(&p->a, 1, RPC_CALL, 1); /* 0 is reserved */
	deliver(&p->a, &p->b);
	/* The answer to the first call was canceled by its Finish: too late now. */
	assert_int_equal(rpc_return(p->b.rpc, p->b.answers[0], NULL, NULL), -ENOENT);
	assert_int_equal(rpc_return(p->b.rpc, p->b.answers[1], NULL, NULL), 0);
	pump(p);
	assert_int_equal(p->a.n_results, 2);
	assert_int_equal(p->a.tags[1], 6);
	call(&p->a, 7, 1, 300);
	call(&p->a, 8, 1, 300);
	assert_queued(&p->a, 0, RPC_CALL, 1);
	assert_queued(&p->a, 1, RPC_CALL, 0);
}

static void test_bootstrap_timeout(void **state)
{
	struct pair *p = *state;

	rpc_bootstrap(p->a.rpc, 100);
	call(&p->a, 1, 1, 100);
	rpc_tick(p->a.rpc, 100);
	assert_int_equal(p->a.kinds[0], RPC_RESULT_TIMEOUT);
	assert_int_equal(call(&p->a, 2, 1, 200), -ENOTCONN);
	pump(p);
	assert_false(p->a.has_ended);
	assert_int_equal(p->a.n_results, 1);
}

static void test_exception(void **state)
{
	struct pair *p = *state;

	p->b.answers_at_once = false;
	rpc_bootstrap(p->a.rpc, 100);
	call(&p->a, 1, 1, 100);
	pump(p);
	assert_int_equal(
		rpc_return_exception(p->b.rpc, p->b.answers[0], RPC_OVERLOADED, "too\nmuch"), 0);
	assert_int_equal(rpc_return(p->b.rpc, p->b.answers[0], NULL, NULL), -ENOENT);
	pump(p);
	assert_int_equal(p->a.kinds[0], RPC_RESULT_EXCEPTION);
	assert_string_equal(p->a.reasons[0], "too?much");
}

/* An agent exports nothing; a call on nothing is answered, not fatal. */
static void test_nothing_exported(void **state)
{
	struct pair *p = *state;

	rpc_bootstrap(p->b.rpc, 100);
	call(&p->b, 1, 1, 100);
	pump(p);
	assert_int_equal(p->b.n_results, 1);
	assert_int_equal(p->b.kinds[0], RPC_RESULT_EXCEPTION);
	assert_int_equal(call(&p->b, 2, 1, 100), -ENOTCONN);
	assert_false(p->a.has_ended || p->b.has_ended);
}

static void put_call(struct capnp_builder *b, uint32_t question, enum rpc_target_tag tag,
		     uint32_t id)
{
	struct rpc_target target = {tag, id};
	struct capnp_out payload = rpc_put_call(b, question, &target, 0x1234, 1);

	capnp_new_struct(payload, 0, 0, 0);
	rpc_put_cap_table(payload);
}

static void test_bad_targets(void **state)
{
	static const struct {
		enum rpc_target_tag tag;
		uint32_t id;
	} rows[] = {
		{RPC_TARGET_CAP, 1},	     {RPC_TARGET_CAP, UINT32_MAX},
		{RPC_TARGET_ANSWER, 99}, /* no such question */
		{RPC_TARGET_ANSWER, 1},	 /* the call itself */
		{(enum rpc_target_tag)2, 0},
	};
	struct pair *p = *state;
	struct capnp_builder b;

	capnp_builder_init(&b, 65536);
	put_call(&b, 0, RPC_TARGET_CAP, 0); /* before any bootstrap */
	inject(&p->b, &b);
	rpc_put_bootstrap(&b, 50);
	inject(&p->b, &b);
	for (uint32_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		put_call(&b, 1 + i, rows[i].tag, rows[i].id);
		inject(&p->b, &b);
	}
	assert_int_equal(p->b.n_calls, 0);
	assert_int_equal(p->b.n_messages, 7);
	assert_false(p->b.has_ended);
	capnp_builder_deinit(&b);
}

/* Finish before Return: one Return "canceled". Finish and Release of nothing: ignored. */
static void test_finish_and_release(void **state)
{
	struct pair *p = *state;
	struct capnp_message m;
	struct capnp_struct body;
	struct capnp_builder b;

	capnp_builder_init(&b, 65536);
	p->b.answers_at_once = false;
	rpc_put_finish(&b, 3, true);
	inject(&p->b, &b);
	rpc_put_release(&b, 0, 1);
	inject(&p->b, &b);
	rpc_put_bootstrap(&b, 0);
	inject(&p->b, &b);
	put_call(&b, 1, RPC_TARGET_ANSWER, 0);
	inject(&p->b, &b);
	p->b.n_queue = 0;
	rpc_put_finish(&b, 1, true);
	inject(&p->b, &b);
	assert_int_equal(queued(&p->b, 0, &m, &body), RPC_RETURN);
	assert_int_equal(capnp_get_uint(&body, 6, 2), RPC_RETURN_CANCELED);

	/* The id is free again, and the old answer can't be mistaken for the new one. */
	put_call(&b, 1, RPC_TARGET_CAP, 0);
	inject(&p->b, &b);
	assert_int_equal(p->b.n_calls, 2);
	assert_int_equal(rpc_return(p->b.rpc, p->b.answers[0], NULL, NULL), -ENOENT);
	assert_int_equal(rpc_return(p->b.rpc, p->b.answers[1], NULL, NULL), 0);

	/* Released twice over, then called: an exception, no harm. */
	rpc_put_release(&b, 0, 1000);
	inject(&p->b, &b);
	put_call(&b, 2, RPC_TARGET_CAP, 0);
	inject(&p->b, &b);
	assert_int_equal(p->b.n_calls, 2);
	assert_false(p->b.has_ended);
	capnp_builder_deinit(&b);
}

/* A peer that never says Finish and always takes a new id goes on for ever. */
static void test_missing_finish(void **state)
{
	struct pair *p = *state;
	struct capnp_builder b;

	capnp_builder_init(&b, 65536);
	rpc_put_bootstrap(&b, 0);
	inject(&p->b, &b);
	for (uint32_t i = 1; i <= 3 * RPC_ANSWERS_MAX; i++) {
		put_call(&b, i, RPC_TARGET_CAP, 0);
		inject(&p->b, &b);
	}
	assert_int_equal(p->b.n_calls, 3 * RPC_ANSWERS_MAX);
	assert_false(p->b.has_ended);
	capnp_builder_deinit(&b);
}

static void test_question_id_reused(void **state)
{
	struct pair *p = *state;
	struct capnp_builder b;

	capnp_builder_init(&b, 65536);
	rpc_put_bootstrap(&b, 0);
	inject(&p->b, &b);
	put_call(&b, 0, RPC_TARGET_CAP, 0);
	inject(&p->b, &b);
	assert_broken(&p->b, "question ID reused");
	assert_int_equal(p->b.n_calls, 0);
	assert_int_equal(p->b.n_messages, 2); /* Return, Abort */
	put_call(&b, 5, RPC_TARGET_CAP, 0);
	inject(&p->b, &b); /* deaf and dumb */
	assert_int_equal(p->b.n_messages, 2);
	capnp_builder_deinit(&b);
}

static void test_too_many_answers(void **state)
{
	struct pair *p = *state;
	struct capnp_builder b;

	p->b.answers_at_once = false;
	capnp_builder_init(&b, 65536);
	rpc_put_bootstrap(&b, 1000);
	inject(&p->b, &b);
	for (uint32_t i = 0; i <= RPC_ANSWERS_MAX; i++) {
		put_call(&b, i, RPC_TARGET_CAP, 0);
		inject(&p->b, &b);
	}
	assert_broken(&p->b, "too many open calls");
	capnp_builder_deinit(&b);
}

static void test_return_without_question(void **state)
{
	struct pair *p = *state;
	struct capnp_builder b;

	capnp_builder_init(&b, 65536);
	rpc_put_canceled(&b, UINT32_MAX, false);
	inject(&p->a, &b);
	assert_broken(&p->a, "Return without a question");
	capnp_builder_deinit(&b);
}

/* Every kind that isn't spoken comes back inside Unimplemented; Unimplemented itself doesn't. */
static void test_unimplemented(void **state)
{
	static const uint16_t kinds[] = {5, 7, 9, 10, 11, 12, 13, 14, 0xffff};
	struct pair *p = *state;
	struct capnp_builder b;

	capnp_builder_init(&b, 65536);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		struct capnp_out message = capnp_new_root(&b, 1, 1);
		struct capnp_out body = capnp_new_struct(message, 0, 1, 1);
		struct capnp_message m;
		struct capnp_struct inner, echo;

		capnp_put_uint(message, 0, 2, kinds[i]);
		capnp_put_uint(body, 0, 4, 4711);
		capnp_put_text(body, 0, "what");
		p->b.n_queue = 0;
		inject(&p->b, &b);
		assert_int_equal(queued(&p->b, 0, &m, &inner), RPC_UNIMPLEMENTED);
		assert_int_equal(capnp_get_uint(&inner, 0, 2), kinds[i]);
		echo = capnp_get_struct(&inner, 0);
		assert_int_equal(capnp_get_uint(&echo, 0, 4), 4711);
		assert_string_equal(capnp_get_text(&echo, 0), "what");
		assert_true(capnp_message_is_ok(&m));
		deliver(&p->b, &p->a);
	}
	assert_int_equal(p->a.n_queue, 0);
	assert_false(p->a.has_ended || p->b.has_ended);
	capnp_builder_deinit(&b);
}

static void test_results_sent_elsewhere(void **state)
{
	struct pair *p = *state;
	struct capnp_builder b;
	struct capnp_out message, ret;

	capnp_builder_init(&b, 65536);
	rpc_bootstrap(p->a.rpc, 100);
	pump(p);
	call(&p->a, 1, 1, 100);
	p->a.n_queue = 0;
	message = capnp_new_root(&b, 1, 1);
	capnp_put_uint(message, 0, 2, RPC_RETURN);
	ret = capnp_new_struct(message, 0, 2, 1);
	capnp_put_uint(ret, 6, 2, 3);
	inject(&p->a, &b);
	assert_int_equal(p->a.kinds[0], RPC_RESULT_EXCEPTION);
	assert_queued(&p->a, 1, RPC_FINISH, 0);
	assert_false(p->a.has_ended);
	capnp_builder_deinit(&b);
}

static void test_abort_and_goodbye(void **state)
{
	struct pair *p = *state;

	rpc_bootstrap(p->a.rpc, 100);
	pump(p);
	rpc_goodbye(p->a.rpc);
	assert_queued(&p->a, 0, RPC_RELEASE, 0);
	pump(p);
	assert_true(p->b.has_ended);
	assert_int_equal(p->b.why, RPC_END_ABORTED);
	assert_string_equal(p->b.text, "rpc: shutdown");
	assert_false(p->a.has_ended);
	assert_int_equal(call(&p->a, 1, 1, 100), -EPIPE);
	assert_int_equal(rpc_return(p->b.rpc, 1, NULL, NULL), -ENOENT);
}

static void test_message_too_large(void **state)
{
	struct pair *p = *state;
	uint8_t frame[8] = {0};

	store_le(frame + 4, 256 * 1024 / 8, 4); /* one frame header over RPC_MESSAGE_MAX */
	rpc_feed(p->b.rpc, frame, sizeof(frame));
	assert_broken(&p->b, "message over the limit");
}

static void test_malformed(void **state)
{
	static const uint8_t root_only[16] = {[4] = 1};
	struct pair *p = *state;

	rpc_feed(p->b.rpc, root_only, sizeof(root_only));
	assert_broken(&p->b, "malformed message");
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_golden_vectors),    TEST(test_pipelined_then_imported),
		TEST(test_id_reuse),	      TEST(test_too_many_questions),
		TEST(test_timeout),	      TEST(test_bootstrap_timeout),
		TEST(test_exception),	      TEST(test_nothing_exported),
		TEST(test_bad_targets),	      TEST(test_finish_and_release),
		TEST(test_missing_finish),    TEST(test_question_id_reused),
		TEST(test_too_many_answers),  TEST(test_return_without_question),
		TEST(test_unimplemented),     TEST(test_results_sent_elsewhere),
		TEST(test_abort_and_goodbye), TEST(test_message_too_large),
		TEST(test_malformed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
