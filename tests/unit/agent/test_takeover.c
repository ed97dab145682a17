/* SPDX-License-Identifier: Apache-2.0 */

/* The new agent's side of being replaced, step by step: each answer, each silence, each death. */

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "agent/agent.h"
#include "agent/takeover.h"
#include "base/compiler.h"

#define NONE 99

struct world {
	struct takeover t;
	uint64_t now_ms;
	const char *missing;
	bool unread;
	int adopt_result, seize_result;
	unsigned int n_asked[TAKEOVER_STEP_CONFIRM + 1];
	unsigned int n_joins, n_adopts, n_seizes, n_charges, n_fails;
	int exit_code;
	char text[256]; /* reason or note; "" for none */
};

static void world_ask(void *ctx, enum takeover_step step)
{
	((struct world *)ctx)->n_asked[step]++;
}

static void world_join(void *ctx)
{
	((struct world *)ctx)->n_joins++;
}

static const char *world_missing(void *ctx)
{
	return ((struct world *)ctx)->missing;
}

static bool world_has_answer(void *ctx)
{
	return ((struct world *)ctx)->unread;
}

static int world_adopt(void *ctx)
{
	struct world *w = ctx;

	w->n_adopts++;
	return w->adopt_result;
}

static int world_seize(void *ctx)
{
	struct world *w = ctx;

	w->n_seizes++;
	return w->seize_result;
}

static void world_in_charge(void *ctx, const char *note)
{
	struct world *w = ctx;

	w->n_charges++;
	snprintf(w->text, sizeof(w->text), "%s", note ? note : "");
}

static void world_fail(void *ctx, int exit_code, const char *reason)
{
	struct world *w = ctx;

	w->n_fails++;
	w->exit_code = exit_code;
	snprintf(w->text, sizeof(w->text), "%s", reason);
}

static const struct takeover_ops ops = {
	.ask = world_ask,
	.join = world_join,
	.missing = world_missing,
	.has_answer = world_has_answer,
	.adopt = world_adopt,
	.seize = world_seize,
	.in_charge = world_in_charge,
	.fail = world_fail,
};

/* A world in which everything went well up to @state. */
static void begin(struct world *w, enum takeover_state state)
{
	*w = (struct world){.now_ms = 1000, .missing = "1 of 4"};
	takeover_init(&w->t, &ops, w);
	takeover_start(&w->t, w->now_ms);
	if (state == TAKEOVER_STATE_CLAIMING)
		return;
	takeover_on_answer(&w->t, w->now_ms);
	if (state == TAKEOVER_STATE_JOINING)
		return;
	w->missing = NULL;
	takeover_settle(&w->t, w->now_ms);
	if (state == TAKEOVER_STATE_TAKING)
		return;
	takeover_on_answer(&w->t, w->now_ms);
	assert_int_equal(w->t.state, TAKEOVER_STATE_CONFIRMING);
}

static void pass(struct world *w, uint64_t ms)
{
	w->now_ms += ms;
	takeover_settle(&w->t, w->now_ms);
}

static void expect_failure(const struct world *w, int exit_code, const char *text)
{
	assert_int_equal(w->t.state, TAKEOVER_STATE_FAILED);
	assert_int_equal(w->n_fails, 1);
	assert_int_equal(w->n_charges, 0);
	assert_int_equal(w->exit_code, exit_code);
	if (!strstr(w->text, text))
		fail_msg("'%s' isn't in '%s'", text, w->text);
	assert_true(takeover_deadline_ms(&w->t) == UINT64_MAX);
	assert_false(takeover_is_under_way(&w->t));
}

static void expect_done(const struct world *w, const char *note)
{
	assert_int_equal(w->t.state, TAKEOVER_STATE_DONE);
	assert_int_equal(w->n_fails, 0);
	assert_int_equal(w->n_charges, 1);
	assert_int_equal(w->n_joins, 1);
	assert_non_null(strstr(w->text, note));
	assert_int_equal(*note == '\0', w->text[0] == '\0');
	assert_true(takeover_deadline_ms(&w->t) == UINT64_MAX);
}

static const enum takeover_state waiting[] = {
	TAKEOVER_STATE_CLAIMING,
	TAKEOVER_STATE_JOINING,
	TAKEOVER_STATE_TAKING,
	TAKEOVER_STATE_CONFIRMING,
};

static void test_all_goes_well(void **state)
{
	struct world w;

	(void)state;
	begin(&w, TAKEOVER_STATE_CLAIMING);
	assert_int_equal(w.n_asked[TAKEOVER_STEP_CLAIM], 1);
	assert_int_equal(w.n_joins, 0);
	takeover_on_answer(&w.t, w.now_ms);
	assert_int_equal(w.n_joins, 1);
	pass(&w, 1);
	assert_int_equal(w.n_asked[TAKEOVER_STEP_TAKE], 0);
	w.missing = NULL;
	pass(&w, 1);
	assert_int_equal(w.n_asked[TAKEOVER_STEP_TAKE], 1);
	assert_int_equal(w.n_adopts, 0);
	pass(&w, 1);
	takeover_on_answer(&w.t, w.now_ms);
	assert_int_equal(w.n_adopts, 1);
	assert_int_equal(w.n_asked[TAKEOVER_STEP_CONFIRM], 1);
	assert_int_equal(w.n_charges, 0);
	takeover_on_answer(&w.t, w.now_ms);
	expect_done(&w, "");
	/* What comes now is too late. */
	takeover_on_end(&w.t, w.now_ms);
	takeover_on_refused(&w.t, "conflict", "late");
	takeover_on_answer(&w.t, w.now_ms);
	assert_false(takeover_on_unauthorized(&w.t));
	takeover_cancel(&w.t);
	pass(&w, 1000000);
	expect_done(&w, "");
	assert_int_equal(w.n_seizes, 0);
}

static void test_nothing_to_take_over(void **state)
{
	struct world w = {0};

	(void)state;
	takeover_init(&w.t, &ops, &w);
	assert_false(takeover_is_under_way(&w.t));
	assert_true(takeover_deadline_ms(&w.t) == UINT64_MAX);
	takeover_cancel(&w.t);
	pass(&w, 1);
	assert_int_equal(w.t.state, TAKEOVER_STATE_IDLE);
}

/* The old agent is stopped, or its loop hangs. */
static void test_silence(void **state)
{
	static const struct {
		enum takeover_state state;
		uint64_t limit_ms;
		int exit_code; /* NONE: it is done all the same */
		const char *text;
	} rows[] = {
		{TAKEOVER_STATE_CLAIMING, TAKEOVER_ANSWER_MS, 75, "does not answer"},
		{TAKEOVER_STATE_JOINING, TAKEOVER_JOIN_MS, 75, "1 of 4"},
		{TAKEOVER_STATE_TAKING, TAKEOVER_ANSWER_MS, 75, "does not answer"},
		{TAKEOVER_STATE_CONFIRMING, TAKEOVER_ANSWER_MS, NONE, "has not answered"},
	};
	struct world w;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		begin(&w, rows[i].state);
		assert_int_equal(takeover_deadline_ms(&w.t), w.now_ms + rows[i].limit_ms);
		pass(&w, rows[i].limit_ms - 1);
		assert_int_equal(w.t.state, rows[i].state);
		pass(&w, 1);
		if (rows[i].exit_code == NONE)
			expect_done(&w, rows[i].text);
		else
			expect_failure(&w, rows[i].exit_code, rows[i].text);
	}
}

/* We were stopped for longer than we wait: what it has said meanwhile counts. */
static void test_what_was_said_is_no_silence(void **state)
{
	static const enum takeover_state asked[] = {TAKEOVER_STATE_CLAIMING, TAKEOVER_STATE_TAKING,
						    TAKEOVER_STATE_CONFIRMING};
	struct world w;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(asked); i++) {
		begin(&w, asked[i]);
		w.unread = true;
		pass(&w, 1000000);
		assert_int_equal(w.t.state, asked[i]);
		takeover_on_refused(&w.t, "unavailable", "too late");
		expect_failure(&w, 75, "too late");
	}
}

/* It says no: whoever started us is told what kind of no it was. */
static void test_refusals(void **state)
{
	static const struct {
		const char *code;
		int exit_code;
		const char *text;
	} rows[] = {
		{"conflict", 73, "because"},	  {"forbidden", 77, "because"},
		{"invalid", 78, "because"},	  {"unavailable", 75, "because"},
		{"busy", 75, "because"},	  {"unknown-command", 75, "version"},
		{"something new", 75, "because"},
	};
	struct world w;

	(void)state;
	for (size_t k = 0; k < ARRAY_SIZE(waiting); k++) {
		for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
			begin(&w, waiting[k]);
			takeover_on_refused(&w.t, rows[i].code, "because");
			expect_failure(&w, rows[i].exit_code, rows[i].text);
		}
	}
}

/* It dies: we are the agent, as after any crash; its lock may outlive it for a moment. */
static void test_death(void **state)
{
	struct world w;

	(void)state;
	for (size_t k = 0; waiting[k] != TAKEOVER_STATE_CONFIRMING; k++) {
		begin(&w, waiting[k]);
		w.seize_result = TAKEOVER_E_HELD;
		takeover_on_end(&w.t, w.now_ms);
		assert_int_equal(w.t.state, TAKEOVER_STATE_SEIZING);
		assert_int_equal(w.n_seizes, 1);
		pass(&w, TAKEOVER_SEIZE_STEP_MS - 1);
		assert_int_equal(w.n_seizes, 1);
		w.seize_result = 0;
		pass(&w, 1);
		assert_int_equal(w.n_seizes, 2);
		expect_done(&w, "ended before");
	}
	begin(&w, TAKEOVER_STATE_CONFIRMING);
	takeover_on_end(&w.t, w.now_ms);
	assert_int_equal(w.n_seizes, 0);
	expect_done(&w, "ended before it answered");
}

static void test_the_name_is_not_free(void **state)
{
	struct world w;

	(void)state;
	begin(&w, TAKEOVER_STATE_JOINING);
	w.seize_result = TAKEOVER_E_HELD;
	takeover_on_end(&w.t, w.now_ms);
	for (uint64_t ms = 0; ms < TAKEOVER_SEIZE_MS; ms += TAKEOVER_SEIZE_STEP_MS) {
		assert_int_equal(w.t.state, TAKEOVER_STATE_SEIZING);
		/* Another end, or an answer, changes nothing. */
		takeover_on_end(&w.t, w.now_ms);
		takeover_on_answer(&w.t, w.now_ms);
		takeover_on_refused(&w.t, "conflict", "late");
		pass(&w, TAKEOVER_SEIZE_STEP_MS);
	}
	expect_failure(&w, 73, "another agent");

	begin(&w, TAKEOVER_STATE_JOINING);
	w.seize_result = -EACCES;
	takeover_on_end(&w.t, w.now_ms);
	expect_failure(&w, 1, strerror(EACCES));
}

static void test_the_name_is_none(void **state)
{
	struct world w;

	(void)state;
	begin(&w, TAKEOVER_STATE_TAKING);
	w.adopt_result = -EINVAL;
	takeover_on_answer(&w.t, w.now_ms);
	assert_int_equal(w.n_asked[TAKEOVER_STEP_CONFIRM], 0);
	expect_failure(&w, 75, strerror(EINVAL));
}

static void test_unauthorized(void **state)
{
	struct world w;

	(void)state;
	begin(&w, TAKEOVER_STATE_JOINING);
	assert_true(takeover_on_unauthorized(&w.t));
	expect_failure(&w, 77, "credentials");
	begin(&w, TAKEOVER_STATE_TAKING);
	assert_true(takeover_on_unauthorized(&w.t));
	expect_failure(&w, 77, "credentials");
	/* The name is ours: it is the agent's own affair, as ever. */
	begin(&w, TAKEOVER_STATE_CONFIRMING);
	assert_false(takeover_on_unauthorized(&w.t));
}

/* SIGTERM to us: quietly, unless the old one may already drain. */
static void test_cancel(void **state)
{
	struct world w;

	(void)state;
	for (size_t k = 0; waiting[k] != TAKEOVER_STATE_CONFIRMING; k++) {
		begin(&w, waiting[k]);
		takeover_cancel(&w.t);
		assert_int_equal(w.t.state, TAKEOVER_STATE_FAILED);
		assert_int_equal(w.n_fails + w.n_charges, 0);
		takeover_on_answer(&w.t, w.now_ms);
		takeover_on_end(&w.t, w.now_ms);
		pass(&w, 1000000);
		assert_int_equal(w.n_adopts + w.n_seizes + w.n_fails + w.n_charges, 0);
	}
	begin(&w, TAKEOVER_STATE_CONFIRMING);
	takeover_cancel(&w.t);
	expect_done(&w, "told to stop");
}

static void test_names(void **state)
{
	(void)state;
	for (unsigned int s = 0; s < TAKEOVER_STATE_N; s++)
		assert_true(strlen(takeover_state_name((enum takeover_state)s)) > 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_goes_well),
		cmocka_unit_test(test_nothing_to_take_over),
		cmocka_unit_test(test_silence),
		cmocka_unit_test(test_what_was_said_is_no_silence),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_death),
		cmocka_unit_test(test_the_name_is_not_free),
		cmocka_unit_test(test_the_name_is_none),
		cmocka_unit_test(test_unauthorized),
		cmocka_unit_test(test_cancel),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
