/* SPDX-License-Identifier: Apache-2.0 */
/* Who is found, who is counted, and who takes the next stream. */

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>

#include "base/compiler.h"
#include "edge/registry.h"

#define ENTRIES_MAX 8

struct fixture {
	struct registry *r;
	struct registry_entry e[ENTRIES_MAX];
	size_t n;
};

/* Tunnels 1 and 1025 share a bucket: their first four bytes are congruent modulo its count. */
static struct uuid uuid_of(uint32_t number)
{
	struct uuid u = {0};

	for (size_t i = 0; i < 4; i++)
		u.bytes[i] = (uint8_t)(number >> (8 * i));
	return u;
}

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->r = registry_new();
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < f->n; i++)
		registry_remove(&f->e[i]);
	registry_free(f->r);
	free(f);
	return 0;
}

static struct registry_entry *add(struct fixture *f, uint32_t tunnel, uint32_t connector,
				  uint8_t index, uint32_t n_streams)
{
	struct registry_entry *e = &f->e[f->n++];

	assert_true(f->n <= ENTRIES_MAX);
	*e = (struct registry_entry){
		.tunnel = uuid_of(tunnel),
		.connector = uuid_of(connector),
		.index = index,
		.accepts = true,
		.n_streams = n_streams,
	};
	list_init(&e->node);
	registry_add(f->r, e);
	return e;
}

/* For tunnel 1; @connectors as numbers, ended by 0. */
static struct registry_entry *pick(struct fixture *f, const uint32_t *connectors,
				   const uint64_t *tried, size_t n_tried)
{
	struct uuid tunnel = uuid_of(1);
	struct uuid ids[ENTRIES_MAX];
	struct registry_query q = {
		.tunnel = &tunnel, .connectors = ids, .tried = tried, .n_tried = n_tried};

	for (; connectors[q.n_connectors]; q.n_connectors++)
		ids[q.n_connectors] = uuid_of(connectors[q.n_connectors]);
	return registry_pick(f->r, &q);
}

static struct registry_entry *pick_any(struct fixture *f)
{
	static const uint32_t all[] = {7, 8, 9, 0};

	return pick(f, all, NULL, 0);
}

static void test_datagrams_go_to_who_takes_them(void **state)
{
	struct fixture *f = *state;
	struct registry_entry *few = add(f, 1, 7, 0, 0);
	struct registry_entry *many = add(f, 1, 7, 1, 50);
	struct uuid tunnel = uuid_of(1), connector = uuid_of(7);
	struct registry_query q = {
		.tunnel = &tunnel, .connectors = &connector, .n_connectors = 1, .datagrams = true};

	assert_null(registry_pick(f->r, &q));
	many->takes_datagrams = true;
	assert_ptr_equal(registry_pick(f->r, &q), many);
	q.datagrams = false;
	assert_ptr_equal(registry_pick(f->r, &q), few);
}

/* ---- finding and counting ---- */

static void test_find(void **state)
{
	struct fixture *f = *state;
	struct registry_entry *e = add(f, 1, 7, 2, 0);
	struct uuid tunnel = uuid_of(1), other_tunnel = uuid_of(1025);
	struct uuid connector = uuid_of(7), other_connector = uuid_of(8);

	assert_ptr_equal(registry_find(f->r, &tunnel, &connector, 2), e);
	assert_null(registry_find(f->r, &tunnel, &connector, 3));
	assert_null(registry_find(f->r, &tunnel, &other_connector, 2));
	assert_null(registry_find(f->r, &other_tunnel, &connector, 2));
	/* A draining one keeps no place. */
	e->accepts = false;
	assert_null(registry_find(f->r, &tunnel, &connector, 2));
}

static void test_count(void **state)
{
	struct fixture *f = *state;
	struct uuid tunnel = uuid_of(1), connector = uuid_of(7), other = uuid_of(8);
	struct registry_entry *draining;

	assert_int_equal(registry_count(f->r, &tunnel, &connector), 0);
	add(f, 1, 7, 0, 0);
	draining = add(f, 1, 7, 1, 0);
	draining->accepts = false;
	add(f, 1, 8, 0, 0);
	add(f, 1025, 7, 0, 0);
	assert_int_equal(registry_count(f->r, &tunnel, &connector), 2);
	assert_int_equal(registry_count(f->r, &tunnel, &other), 1);
	registry_remove(draining);
	registry_remove(draining);
	assert_int_equal(registry_count(f->r, &tunnel, &connector), 1);
}

static void note(void *ctx, struct registry_entry *e)
{
	unsigned int *seen = ctx;

	*seen |= 1u << e->index;
}

static void test_each(void **state)
{
	struct fixture *f = *state;
	struct uuid tunnel = uuid_of(1);
	unsigned int seen = 0;

	add(f, 1, 7, 0, 0);
	add(f, 1025, 7, 1, 0);
	add(f, 1, 8, 2, 0);
	add(f, 1, 9, 3, 0)->accepts = false;
	registry_each(f->r, &tunnel, note, &seen);
	assert_int_equal(seen, 1u << 0 | 1u << 2 | 1u << 3);
}

static void test_serials_are_never_used_twice(void **state)
{
	struct fixture *f = *state;
	struct registry_entry *e = add(f, 1, 7, 0, 0);
	uint64_t first = e->serial;

	registry_remove(e);
	registry_add(f->r, e);
	assert_true(e->serial > first);
	assert_true(first > 0);
}

/* ---- picking ---- */

static void test_pick_fewest_streams(void **state)
{
	struct fixture *f = *state;
	struct registry_entry *few;

	assert_null(pick_any(f));
	add(f, 1, 7, 0, 3);
	few = add(f, 1, 8, 0, 1);
	add(f, 1, 8, 1, 2);
	/* An emptier one of another tunnel. */
	add(f, 1025, 7, 0, 0);
	assert_ptr_equal(pick_any(f), few);
	few->n_streams = 9;
	assert_ptr_equal(pick_any(f), &f->e[2]);
}

static void test_pick_equal_takes_the_first(void **state)
{
	struct fixture *f = *state;
	struct registry_entry *first = add(f, 1, 7, 0, 1);

	add(f, 1, 7, 1, 1);
	assert_ptr_equal(pick_any(f), first);
}

static void test_pick_only_given_connectors(void **state)
{
	struct fixture *f = *state;
	struct registry_entry *seven = add(f, 1, 7, 0, 5);
	struct registry_entry *nine = add(f, 1, 9, 0, 6);

	add(f, 1, 8, 0, 0);
	assert_ptr_equal(pick(f, (const uint32_t[]){7, 9, 0}, NULL, 0), seven);
	assert_ptr_equal(pick(f, (const uint32_t[]){9, 0}, NULL, 0), nine);
	assert_null(pick(f, (const uint32_t[]){5, 0}, NULL, 0));
	assert_null(pick(f, (const uint32_t[]){0}, NULL, 0));
}

static void test_pick_no_draining_one(void **state)
{
	struct fixture *f = *state;
	struct registry_entry *draining = add(f, 1, 7, 0, 0);
	struct registry_entry *busy = add(f, 1, 7, 1, 100);

	draining->accepts = false;
	assert_ptr_equal(pick_any(f), busy);
	/* Not even when what is left is suspect. */
	busy->suspect = true;
	assert_ptr_equal(pick_any(f), busy);
	busy->accepts = false;
	assert_null(pick_any(f));
}

static void test_pick_avoids_suspects(void **state)
{
	struct fixture *f = *state;
	struct registry_entry *suspect = add(f, 1, 7, 0, 0);
	struct registry_entry *busy;

	suspect->suspect = true;
	suspect->last_read_ms = 1000;
	busy = add(f, 1, 7, 1, 100);
	assert_ptr_equal(pick_any(f), busy);
	/* Whatever their order. */
	add(f, 1, 8, 0, 0)->suspect = true;
	assert_ptr_equal(pick_any(f), busy);
}

static void test_pick_all_suspect_takes_the_one_read_from_last(void **state)
{
	static const uint64_t read_ms[] = {500, 900, 700};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(read_ms); i++) {
		/* Streams don't count here: the fullest was read from last. */
		struct registry_entry *e = add(f, 1, 7, (uint8_t)i, (uint32_t)(i == 1 ? 50 : i));

		e->suspect = true;
		e->last_read_ms = read_ms[i];
	}
	assert_ptr_equal(pick_any(f), &f->e[1]);
	f->e[2].last_read_ms = 901;
	assert_ptr_equal(pick_any(f), &f->e[2]);
	f->e[0].suspect = false;
	assert_ptr_equal(pick_any(f), &f->e[0]);
}

static void test_pick_leaves_out_what_was_tried(void **state)
{
	static const uint32_t all[] = {7, 8, 0};
	struct fixture *f = *state;
	uint64_t tried[3];

	add(f, 1, 7, 0, 0);
	add(f, 1, 7, 1, 1);
	add(f, 1, 8, 0, 2);
	for (size_t i = 0; i < ARRAY_SIZE(tried); i++) {
		struct registry_entry *e = pick(f, all, tried, i);

		assert_ptr_equal(e, &f->e[i]);
		tried[i] = e->serial;
	}
	assert_null(pick(f, all, tried, ARRAY_SIZE(tried)));
	assert_ptr_equal(pick(f, all, tried + 1, 2), &f->e[0]);
}

/* The reason belongs to the pick, whatever it is. */
static void test_pick_says_why(void **state)
{
	struct fixture *f = *state;
	struct uuid tunnel = uuid_of(1), connector = uuid_of(7);
	const struct registry_query q = {
		.tunnel = &tunnel, .connectors = &connector, .n_connectors = 1};
	struct registry_entry *busy, *idle;

	assert_string_equal(registry_pick_reason(f->r, &q), "no connection takes streams");
	add(f, 1, 8, 0, 0);
	busy = add(f, 1, 7, 0, 3);
	assert_string_equal(registry_pick_reason(f->r, &q),
			    "the only connection that takes streams");
	idle = add(f, 1, 7, 1, 1);
	assert_string_equal(registry_pick_reason(f->r, &q),
			    "fewest streams among those not suspect");
	idle->n_streams = 3;
	assert_string_equal(registry_pick_reason(f->r, &q),
			    "fewest streams among those not suspect, the oldest of several");
	idle->suspect = true;
	assert_string_equal(registry_pick_reason(f->r, &q), "the only one that isn't suspect");
	busy->suspect = true;
	assert_string_equal(registry_pick_reason(f->r, &q),
			    "all are suspect: the one that was read from last");
	busy->accepts = false;
	idle->accepts = false;
	assert_string_equal(registry_pick_reason(f->r, &q), "no connection takes streams");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_datagrams_go_to_who_takes_them, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_find, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_count, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_each, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_serials_are_never_used_twice, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_pick_fewest_streams, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_pick_equal_takes_the_first, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_pick_only_given_connectors, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_pick_no_draining_one, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_pick_avoids_suspects, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_pick_all_suspect_takes_the_one_read_from_last,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_pick_leaves_out_what_was_tried, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_pick_says_why, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
