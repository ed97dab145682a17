/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The old agent's side of being replaced, and both sides together in random schedules: messages
 * wait, processes are killed, stopped and told to stop at any step. Whatever happens, whoever
 * lives is served by an agent in the end, and by no two that both think they stay.
 */

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include "agent/agent.h"
#include "agent/handover.h"
#include "agent/takeover.h"
#include "base/compiler.h"
#include "tests/unit/base/dice.h"

#define N_SCHEDULES 100000
#define STEPS_MAX   60

/* ---- the old side alone ---- */

static void test_in_order(void **state)
{
	struct handover h = {0};
	uint64_t claim = 0;

	(void)state;
	assert_int_equal(handover_pid(&h), 0);
	assert_int_equal(handover_claim(&h, 7, 1000, &claim), 0);
	assert_int_not_equal(claim, 0);
	assert_int_equal(handover_pid(&h), 7);
	assert_int_equal(handover_take(&h, claim), 0);
	assert_int_equal(handover_pid(&h), 7);
	assert_int_equal(handover_confirm(&h, claim), 0);
	assert_int_equal(h.state, HANDOVER_STATE_GIVEN);
	assert_int_equal(handover_pid(&h), 0);
	/* For good. */
	assert_false(handover_gone(&h, claim));
	assert_int_equal(h.state, HANDOVER_STATE_GIVEN);
	assert_int_equal(handover_claim(&h, 8, 9999999, &claim), HANDOVER_E_TAKEN);
}

static void test_out_of_order(void **state)
{
	struct handover h = {0};
	uint64_t claim;

	(void)state;
	assert_int_equal(handover_take(&h, 0), HANDOVER_E_ORDER);
	assert_int_equal(handover_confirm(&h, 0), HANDOVER_E_ORDER);
	assert_int_equal(handover_take(&h, 1), HANDOVER_E_ORDER);
	assert_int_equal(handover_claim(&h, 7, 1000, &claim), 0);
	assert_int_equal(handover_confirm(&h, claim), HANDOVER_E_ORDER);
	assert_int_equal(handover_take(&h, claim + 1), HANDOVER_E_ORDER);
	assert_int_equal(handover_take(&h, claim), 0);
	assert_int_equal(handover_take(&h, claim), HANDOVER_E_ORDER);
	assert_int_equal(handover_confirm(&h, 0), HANDOVER_E_ORDER);
	assert_int_equal(h.state, HANDOVER_STATE_HANDED);
}

static void test_gone(void **state)
{
	struct handover h = {0};
	uint64_t first, second;

	(void)state;
	assert_int_equal(handover_claim(&h, 7, 1000, &first), 0);
	assert_false(handover_gone(&h, first));
	assert_int_equal(h.state, HANDOVER_STATE_FREE);
	assert_int_equal(handover_claim(&h, 8, 1000, &second), 0);
	assert_int_not_equal(first, second);
	/* The first one's end comes late. */
	assert_false(handover_gone(&h, first));
	assert_int_equal(handover_pid(&h), 8);
	assert_int_equal(handover_take(&h, second), 0);
	assert_true(handover_gone(&h, second));
	assert_int_equal(h.state, HANDOVER_STATE_FREE);
	assert_int_equal(handover_confirm(&h, second), HANDOVER_E_ORDER);
}

/* A process that hangs blocks nobody for ever, whatever it has got. */
static void expect_end_of_claim(bool handed)
{
	struct handover h = {0};
	uint64_t first, second;
	bool had_name = !handed;

	assert_true(handover_deadline_ms(&h) == UINT64_MAX);
	assert_false(handover_expire(&h, UINT64_MAX - 1, &had_name));
	assert_int_equal(handover_claim(&h, 7, 1000, &first), 0);
	if (handed)
		assert_int_equal(handover_take(&h, first), 0);
	assert_int_equal(handover_deadline_ms(&h), 1000 + HANDOVER_CLAIM_MS);
	assert_false(handover_expire(&h, 1000 + HANDOVER_CLAIM_MS - 1, &had_name));
	assert_int_equal(handover_claim(&h, 8, 1000 + HANDOVER_CLAIM_MS - 1, &second),
			 HANDOVER_E_TAKEN);
	assert_true(handover_expire(&h, 1000 + HANDOVER_CLAIM_MS, &had_name));
	assert_int_equal(had_name, handed);
	assert_int_equal(h.state, HANDOVER_STATE_FREE);
	assert_int_equal(handover_pid(&h), 0);
	assert_true(handover_deadline_ms(&h) == UINT64_MAX);
	/* It wakes up. */
	assert_int_equal(handover_take(&h, first), HANDOVER_E_ORDER);
	assert_int_equal(handover_confirm(&h, first), HANDOVER_E_ORDER);
	assert_int_equal(handover_claim(&h, 8, 1000 + HANDOVER_CLAIM_MS, &second), 0);
	assert_int_equal(handover_confirm(&h, first), HANDOVER_E_ORDER);
	assert_false(handover_gone(&h, first));
	assert_int_equal(handover_pid(&h), 8);
	assert_int_equal(handover_take(&h, second), 0);
	assert_int_equal(handover_confirm(&h, second), 0);
	assert_true(handover_deadline_ms(&h) == UINT64_MAX);
	assert_false(handover_expire(&h, UINT64_MAX - 1, &had_name));
}

static void test_old_claim_ends(void **state)
{
	(void)state;
	expect_end_of_claim(false);
	expect_end_of_claim(true);
	/* What a new agent waits for is well below it. */
	assert_true(TAKEOVER_JOIN_MS + 2 * TAKEOVER_ANSWER_MS < HANDOVER_CLAIM_MS);
}

/* ---- both sides ---- */

enum answer {
	ANSWER_YES,
	ANSWER_NO,
	ANSWER_END,
};

static struct sim {
	struct dice *dice;
	uint64_t now_ms;
	struct handover h;
	struct takeover t;
	bool old_lives, old_runs, new_lives, new_runs, is_ready;
	bool has_name; /* the new one */
	bool old_knows_end;
	uint64_t claim;
	enum takeover_step questions[4];
	unsigned int n_questions, n_heard;
	enum answer answers[8];
	unsigned int n_answers, n_taken;
	unsigned int n_joins;
} sim;

static void sim_ask(void *ctx UNUSED, enum takeover_step step)
{
	DICE_CHECK(sim.n_questions < ARRAY_SIZE(sim.questions));
	sim.questions[sim.n_questions++] = step;
}

static void sim_join(void *ctx UNUSED)
{
	sim.n_joins++;
}

static const char *sim_missing(void *ctx UNUSED)
{
	return sim.is_ready ? NULL : "connections";
}

static int sim_adopt(void *ctx UNUSED)
{
	sim.has_name = true;
	return 0;
}

static bool sim_has_answer(void *ctx UNUSED)
{
	return sim.n_taken < sim.n_answers;
}

static int sim_seize(void *ctx UNUSED)
{
	if (sim.old_lives || dice_percent(sim.dice, 30))
		return TAKEOVER_E_HELD;
	sim.has_name = true;
	return 0;
}

static void sim_in_charge(void *ctx UNUSED, const char *note UNUSED)
{
	DICE_CHECK(sim.has_name);
}

/* It leaves: its end of the connection closes behind what it has asked. */
static void sim_fail(void *ctx UNUSED, int exit_code, const char *reason)
{
	DICE_CHECK(exit_code != 0 && *reason);
	sim.has_name = false;
	sim.new_lives = false;
}

static const struct takeover_ops sim_ops = {
	.ask = sim_ask,
	.join = sim_join,
	.missing = sim_missing,
	.has_answer = sim_has_answer,
	.adopt = sim_adopt,
	.seize = sim_seize,
	.in_charge = sim_in_charge,
	.fail = sim_fail,
};

static bool new_listens(void)
{
	return sim.new_lives && takeover_is_under_way(&sim.t);
}

static int run_question(enum takeover_step step)
{
	switch (step) {
	case TAKEOVER_STEP_CLAIM:
		return handover_claim(&sim.h, 7, sim.now_ms, &sim.claim);
	case TAKEOVER_STEP_TAKE:
		return handover_take(&sim.h, sim.claim);
	case TAKEOVER_STEP_CONFIRM:
	default:
		return handover_confirm(&sim.h, sim.claim);
	}
}

/* The old one reads: a question, or the end behind the last of them. */
static void old_reads(void)
{
	if (!sim.old_lives || !sim.old_runs)
		return;
	if (sim.n_heard < sim.n_questions) {
		int r = run_question(sim.questions[sim.n_heard++]);

		sim.answers[sim.n_answers++] = r == 0 ? ANSWER_YES : ANSWER_NO;
	} else if (!new_listens() && !sim.old_knows_end) {
		sim.old_knows_end = true;
		handover_gone(&sim.h, sim.claim);
	}
}

/* A claim that is too old: it is told so, if it has said nothing that is still to be read. */
static void old_expires(void)
{
	bool had_name;

	if (!sim.old_lives || !sim.old_runs || sim.n_heard < sim.n_questions || sim.old_knows_end)
		return;
	if (handover_expire(&sim.h, sim.now_ms, &had_name))
		sim.answers[sim.n_answers++] = ANSWER_NO;
}

static void new_reads(void)
{
	if (!new_listens() || !sim.new_runs || sim.n_taken == sim.n_answers)
		return;
	switch (sim.answers[sim.n_taken++]) {
	case ANSWER_YES:
		takeover_on_answer(&sim.t, sim.now_ms);
		break;
	case ANSWER_NO:
		takeover_on_refused(&sim.t, "conflict", "no");
		break;
	case ANSWER_END:
		takeover_on_end(&sim.t, sim.now_ms);
		break;
	}
}

static void kill_old(void)
{
	if (!sim.old_lives)
		return;
	sim.old_lives = false;
	sim.answers[sim.n_answers++] = ANSWER_END;
}

/* Somebody serves whenever a process is there that hasn't given up; and who gave up had a heir. */
static void check(void)
{
	bool old_serves = sim.old_lives && sim.h.state != HANDOVER_STATE_GIVEN;
	bool new_serves = sim.new_lives && sim.has_name;

	if (sim.h.state == HANDOVER_STATE_GIVEN && sim.new_lives)
		DICE_CHECK(new_serves);
	if (sim.old_lives && !sim.new_lives && sim.t.state != TAKEOVER_STATE_DONE &&
	    sim.t.state != TAKEOVER_STATE_CONFIRMING)
		DICE_CHECK(old_serves);
	if (sim.new_lives && sim.t.state == TAKEOVER_STATE_DONE)
		DICE_CHECK(new_serves && sim.n_joins == 1);
}

static void step(void)
{
	uint32_t what = dice_below(sim.dice, 100);

	if (what < 30)
		old_reads();
	else if (what < 60)
		new_reads();
	else if (what < 70)
		sim.is_ready = true;
	else if (what < 72)
		kill_old();
	else if (what < 74)
		sim.new_lives = false;
	else if (what < 78)
		sim.old_runs = !sim.old_runs;
	else if (what < 82)
		sim.new_runs = !sim.new_runs;
	else if (what < 84)
		sim.now_ms += HANDOVER_CLAIM_MS;
	else
		sim.now_ms += dice_size(sim.dice, TAKEOVER_JOIN_MS);
	old_expires();
	if (sim.new_lives && sim.new_runs)
		takeover_settle(&sim.t, sim.now_ms);
	check();
}

/* Everybody reads what there is, and time passes. */
static void come_to_rest(void)
{
	sim.old_runs = sim.new_runs = true;
	for (unsigned int i = 0; i < STEPS_MAX; i++) {
		old_reads();
		new_reads();
		sim.now_ms += TAKEOVER_JOIN_MS / 4;
		old_expires();
		if (sim.new_lives)
			takeover_settle(&sim.t, sim.now_ms);
		check();
	}
	DICE_CHECK(!sim.new_lives || sim.t.state == TAKEOVER_STATE_DONE);
	if (sim.old_lives && sim.new_lives)
		DICE_CHECK(sim.h.state == HANDOVER_STATE_GIVEN);
	if (sim.old_lives && sim.h.state != HANDOVER_STATE_GIVEN)
		DICE_CHECK(sim.h.state == HANDOVER_STATE_FREE);
}

static void play(struct dice *dice)
{
	unsigned int n_steps;

	memset(&sim, 0, sizeof(sim));
	sim.dice = dice;
	sim.now_ms = 1 + dice_u32(dice);
	sim.old_lives = sim.old_runs = sim.new_lives = sim.new_runs = true;
	n_steps = dice_below(dice, STEPS_MAX);
	takeover_init(&sim.t, &sim_ops, &sim);
	takeover_start(&sim.t, sim.now_ms);
	for (unsigned int i = 0; i < n_steps; i++)
		step();
	come_to_rest();
}

static void test_somebody_is_in_charge_in_every_schedule(void **state)
{
	(void)state;
	dice_play(N_SCHEDULES, play);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_in_order),
		cmocka_unit_test(test_out_of_order),
		cmocka_unit_test(test_gone),
		cmocka_unit_test(test_old_claim_ends),
		cmocka_unit_test(test_somebody_is_in_charge_in_every_schedule),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
