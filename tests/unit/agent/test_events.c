/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "agent/events.h"
#include "base/compiler.h"
#include "ctrl/agent_status.h"

#define CAP 4

static void add(struct events *e, int n)
{
	const struct log_field fields[] = {log_int("n", n), LOG_END};

	events_add(e, 1000 + n, "tick", fields);
}

static int64_t number(const json_t *event, const char *key)
{
	return json_integer_value(json_object_get(event, key));
}

static void expect(const struct events *e, uint64_t *afterp, int n)
{
	json_t *event = events_next(e, afterp);

	assert_non_null(event);
	assert_int_equal(number(event, EVENT_SEQ), n);
	assert_int_equal(number(event, EVENT_TIME_MS), 1000 + n);
	assert_string_equal(json_string_value(json_object_get(event, EVENT_KIND)), "tick");
	assert_int_equal(number(json_object_get(event, EVENT_FIELDS), "n"), n);
	assert_int_equal(*afterp, n);
	json_decref(event);
}

static void expect_missed(const struct events *e, uint64_t *afterp, uint64_t last, int count)
{
	json_t *event = events_next(e, afterp);

	assert_non_null(event);
	assert_string_equal(json_string_value(json_object_get(event, EVENT_KIND)), EVENT_MISSED);
	assert_int_equal(number(event, EVENT_SEQ), last);
	assert_int_equal(number(json_object_get(event, EVENT_FIELDS), EVENT_MISSED_COUNT), count);
	assert_int_equal(*afterp, last);
	json_decref(event);
}

static void test_in_order(void **state)
{
	CLEANUP(events_free) struct events *e = events_new(CAP);
	uint64_t after = 0;

	(void)state;
	assert_null(events_next(e, &after));
	assert_int_equal(events_last(e), 0);
	for (int n = 1; n <= CAP; n++)
		add(e, n);
	assert_int_equal(events_last(e), CAP);
	for (int n = 1; n <= CAP; n++)
		expect(e, &after, n);
	assert_null(events_next(e, &after));
	add(e, CAP + 1);
	expect(e, &after, CAP + 1);
	assert_null(events_next(e, &after));
}

static void test_since(void **state)
{
	CLEANUP(events_free) struct events *e = events_new(CAP);
	uint64_t after = 2;

	(void)state;
	for (int n = 1; n <= CAP; n++)
		add(e, n);
	expect(e, &after, 3);
	expect(e, &after, 4);
	assert_null(events_next(e, &after));
}

/* The ring went round while the reader was away. */
static void test_missed(void **state)
{
	CLEANUP(events_free) struct events *e = events_new(CAP);
	uint64_t after = 1;

	(void)state;
	for (int n = 1; n <= 9; n++)
		add(e, n);
	expect_missed(e, &after, 5, 4);
	for (int n = 6; n <= 9; n++)
		expect(e, &after, n);
	assert_null(events_next(e, &after));
	after = 5;
	expect(e, &after, 6);
	after = 4;
	expect_missed(e, &after, 5, 1);
}

/* A reader of the process before: it gets all of this one. */
static void test_number_of_the_future(void **state)
{
	CLEANUP(events_free) struct events *e = events_new(CAP);
	uint64_t after = 4711;

	(void)state;
	assert_null(events_next(e, &after));
	assert_int_equal(after, 0);
	add(e, 1);
	after = 4711;
	expect(e, &after, 1);
}

static void test_texts(void **state)
{
	static const struct {
		const char *in;
		const char *out;
	} rows[] = {
		{"", ""},
		{"plain", "plain"},
		{"gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f"},
		{"a\xff\xfe z", "a?? z"},
		{"cut \xe2\x82", "cut ??"},
	};
	CLEANUP(events_free) struct events *e = events_new(CAP);
	uint64_t after = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct log_field fields[] = {log_text("why", rows[i].in), LOG_END};
		json_t *event;

		events_add(e, 1, "tick", fields);
		event = events_next(e, &after);
		assert_string_equal(json_string_value(json_object_get(
					    json_object_get(event, EVENT_FIELDS), "why")),
				    rows[i].out);
		json_decref(event);
	}
}

static void test_long_text_is_cut_at_a_character(void **state)
{
	CLEANUP(events_free) struct events *e = events_new(CAP);
	char text[4096];
	const struct log_field fields[] = {log_text("why", text), LOG_END};
	uint64_t after = 0;
	const char *kept;
	json_t *event;

	(void)state;
	for (size_t i = 0; i + 3 < sizeof(text); i += 3)
		memcpy(text + i, "\xe2\x82\xac", 4);
	events_add(e, 1, "tick", fields);
	event = events_next(e, &after);
	kept = json_string_value(json_object_get(json_object_get(event, EVENT_FIELDS), "why"));
	assert_non_null(kept);
	assert_true(strlen(kept) < EVENTS_TEXT_MAX && strlen(kept) > EVENTS_TEXT_MAX - 8);
	assert_int_equal(strlen(kept) % 3, 0);
	assert_null(strchr(kept, '?'));
	json_decref(event);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_in_order),
		cmocka_unit_test(test_since),
		cmocka_unit_test(test_missed),
		cmocka_unit_test(test_number_of_the_future),
		cmocka_unit_test(test_texts),
		cmocka_unit_test(test_long_text_is_cut_at_a_character),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
