/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/compiler.h"
#include "ctrl/render.h"

static void test_values(void **state)
{
	static const struct {
		const char *json;
		enum render_kind kind;
		const char *text;
	} rows[] = {
		{"\"a b\"", RENDER_TEXT, "a b"},
		{"\"\"", RENDER_TEXT, "-"},
		{"7", RENDER_TEXT, "7"},
		{"null", RENDER_TEXT, "-"},
		{"{}", RENDER_TEXT, "-"},
		{"\"\\u001b[31m\"", RENDER_TEXT, "\\x1b[31m"},
		{"\"a\\nb\"", RENDER_TEXT, "a\\x0ab"},
		{"\"\\u202e\"", RENDER_TEXT, "\\u{202e}"},
		{"-3", RENDER_NUMBER, "-3"},
		{"\"3\"", RENDER_NUMBER, "-"},
		{"0", RENDER_BYTES, "0 B"},
		{"1023", RENDER_BYTES, "1023 B"},
		{"1024", RENDER_BYTES, "1.0 KiB"},
		{"12897485", RENDER_BYTES, "12.3 MiB"},
		{"1048575", RENDER_BYTES, "1.0 MiB"},
		{"9223372036854775807", RENDER_BYTES, "8192.0 PiB"},
		{"true", RENDER_BYTES, "-"},
		{"0", RENDER_AGE, "0s"},
		{"59", RENDER_AGE, "59s"},
		{"185", RENDER_AGE, "3m05s"},
		{"3600", RENDER_AGE, "1h00m"},
		{"93600", RENDER_AGE, "1d2h"},
		{"-5", RENDER_AGE, "0s"},
		{"0", RENDER_USEC, "0 us"},
		{"999", RENDER_USEC, "999 us"},
		{"1200", RENDER_USEC, "1.2 ms"},
		{"2500000", RENDER_USEC, "2.5 s"},
		{"true", RENDER_BOOL, "yes"},
		{"false", RENDER_BOOL, "no"},
		{"1", RENDER_BOOL, "-"},
	};
	char text[64];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		json_t *value = json_loads(rows[i].json, JSON_DECODE_ANY, NULL);

		assert_non_null(value);
		assert_string_equal(render_value(value, rows[i].kind, text, sizeof(text)),
				    rows[i].text);
		json_decref(value);
	}
	assert_string_equal(render_value(NULL, RENDER_AGE, text, sizeof(text)), "-");
}

static char *render(const char *json)
{
	static const struct render_column columns[] = {
		{"#", "index", RENDER_NUMBER},
		{"NAME", "name", RENDER_TEXT},
		{"IN", "in", RENDER_BYTES},
		{"LAST", "last", RENDER_TEXT},
	};
	json_t *rows = json ? json_loads(json, 0, NULL) : NULL;
	char *text = NULL;
	size_t n;
	FILE *out = open_memstream(&text, &n);

	render_table(out, rows, columns, ARRAY_SIZE(columns));
	fclose(out);
	json_decref(rows);
	return text;
}

static void test_table(void **state)
{
	char *text = render("[{\"index\":0,\"name\":\"web\",\"in\":5,\"last\":\"timed out\"},"
			    "{\"index\":10,\"name\":\"caf\\u00e9 \\u4e2d\\u6587\",\"in\":4096},"
			    "{},\"no object\"]");

	(void)state;
	assert_string_equal(text, " #  NAME            IN  LAST\n"
				  " 0  web            5 B  timed out\n"
				  "10  caf\xc3\xa9 \xe4\xb8\xad\xe6\x96\x87  4.0 KiB  -\n"
				  " -  -                -  -\n"
				  " -  -                -  -\n");
	free(text);
}

static void test_no_rows(void **state)
{
	char *empty = render("[]"), *absent = render(NULL), *odd = render("{\"a\":1}");

	(void)state;
	assert_string_equal(empty, "#  NAME  IN  LAST\n");
	assert_string_equal(absent, empty);
	assert_string_equal(odd, empty);
	free(empty);
	free(absent);
	free(odd);
}

/* A row can't start a line of its own or reach the terminal's escape sequences. */
static void test_hostile_cells(void **state)
{
	char *text =
		render("[{\"name\":\"a\\n0  forged\",\"last\":\"\\u001b]0;x\\u0007\\u009b2J\"}]");
	size_t n_lines = 0;

	(void)state;
	for (const char *p = text; *p; p++) {
		n_lines += *p == '\n';
		assert_true(*p == '\n' || (unsigned char)*p >= ' ');
	}
	assert_int_equal(n_lines, 2);
	assert_null(strstr(text, "\xc2\x9b"));
	free(text);
}

static void test_escape_cuts_at_a_character(void **state)
{
	char out[4];

	(void)state;
	assert_string_equal(render_escape("ab\xc3\xa9", out, sizeof(out)), "ab");
	assert_string_equal(render_escape("a\xc3\xa9z", out, sizeof(out)), "a\xc3\xa9");
	assert_string_equal(render_escape("abc\x01", out, sizeof(out)), "abc");
	assert_string_equal(render_escape("\x01", out, sizeof(out)), "");
	assert_string_equal(render_escape("", out, sizeof(out)), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_no_rows),
		cmocka_unit_test(test_hostile_cells),
		cmocka_unit_test(test_escape_cuts_at_a_character),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
