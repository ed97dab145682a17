/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "base/compiler.h"
#include "base/diag.h"
#include "base/schema.h"
#include "base/yaml_source.h"

struct entry {
	char name[9];
	struct ip_addr ip;
	unsigned int line;
};

struct group {
	uint32_t wait_ms;
	bool on;
};

struct thing {
	bool flag;
	uint32_t number;
	uint32_t wait_ms;
	uint64_t size;
	char *string;
	char *joined;
	unsigned int colour;
	char **strings;
	size_t n_strings;
	struct endpoint *listen;
	size_t n_listen;
	struct group group;
	struct entry *entries;
	size_t n_entries;
};

static int check_no_x(const char *text, char *why)
{
	if (!strchr(text, 'x'))
		return 0;
	snprintf(why, SCHEMA_WHY_MAX, "must not hold an x");
	return -1;
}

static const struct schema_name colours[] = {{"red", 0}, {"green", 1}, {"verde", 1}, {NULL, 0}};

static const struct schema_row entry_rows[] = {
	{.key = "name",
	 .type = SCHEMA_TEXT,
	 .flags = SCHEMA_REQUIRED,
	 .offset = offsetof(struct entry, name),
	 .max = 8,
	 .doc = "Name."},
	{.key = "ip",
	 .type = SCHEMA_VALUE,
	 .offset = offsetof(struct entry, ip),
	 .codec = &schema_ip,
	 .doc = "Address."},
};
static const struct schema entry_schema = {entry_rows, ARRAY_SIZE(entry_rows),
					   offsetof(struct entry, line)};

static const struct schema_row group_rows[] = {
	{.key = "wait",
	 .type = SCHEMA_DURATION,
	 .offset = offsetof(struct group, wait_ms),
	 .fallback = "5s",
	 .doc = "Wait."},
	{.key = "on", .type = SCHEMA_BOOL, .offset = offsetof(struct group, on), .doc = "On."},
};
static const struct schema group_schema = {group_rows, ARRAY_SIZE(group_rows), 0};

static const struct schema_row rows[] = {
	{.key = "flag",
	 .type = SCHEMA_BOOL,
	 .offset = offsetof(struct thing, flag),
	 .fallback = "on",
	 .doc = "Flag."},
	{.key = "number",
	 .type = SCHEMA_U32,
	 .flags = SCHEMA_RELOADABLE,
	 .offset = offsetof(struct thing, number),
	 .min = 1,
	 .max = 16,
	 .fallback = "4",
	 .env = "ADIT_TEST_NUMBER",
	 .doc = "Number."},
	{.key = "wait",
	 .type = SCHEMA_DURATION,
	 .offset = offsetof(struct thing, wait_ms),
	 .max = 180000,
	 .fallback = "30s",
	 .doc = "Wait."},
	{.key = "size",
	 .type = SCHEMA_SIZE,
	 .offset = offsetof(struct thing, size),
	 .min = 1024,
	 .fallback = "64KiB",
	 .doc = "Size."},
	{.key = "string",
	 .type = SCHEMA_STRING,
	 .offset = offsetof(struct thing, string),
	 .max = 10,
	 .check = check_no_x,
	 .doc = "String."},
	{.key = "string-too",
	 .type = SCHEMA_STRING,
	 .flags = SCHEMA_ALIAS,
	 .offset = offsetof(struct thing, string),
	 .doc = "Alias."},
	{.key = "joined",
	 .type = SCHEMA_STRING,
	 .flags = SCHEMA_JOIN,
	 .offset = offsetof(struct thing, joined),
	 .doc = "Joined."},
	{.key = "colour",
	 .type = SCHEMA_ENUM,
	 .offset = offsetof(struct thing, colour),
	 .names = colours,
	 .doc = "Colour."},
	{.key = "strings",
	 .type = SCHEMA_STRINGS,
	 .offset = offsetof(struct thing, strings),
	 .count_offset = offsetof(struct thing, n_strings),
	 .max = 3,
	 .check = check_no_x,
	 .env = "ADIT_TEST_STRINGS",
	 .doc = "Strings."},
	{.key = "listen",
	 .type = SCHEMA_VALUES,
	 .offset = offsetof(struct thing, listen),
	 .count_offset = offsetof(struct thing, n_listen),
	 .item_size = sizeof(struct endpoint),
	 .max = 4,
	 .codec = &schema_endpoint,
	 .fallback = "[::]:7844",
	 .doc = "Listen."},
	{.key = "group",
	 .type = SCHEMA_MAP,
	 .flags = SCHEMA_RELOADABLE,
	 .offset = offsetof(struct thing, group),
	 .nested = &group_schema,
	 .doc = "Group."},
	{.key = "entries",
	 .type = SCHEMA_LIST,
	 .offset = offsetof(struct thing, entries),
	 .count_offset = offsetof(struct thing, n_entries),
	 .item_size = sizeof(struct entry),
	 .max = 3,
	 .nested = &entry_schema,
	 .doc = "Entries."},
	{.key = "ingress", .type = SCHEMA_FOREIGN, .doc = "not served"},
};
static const struct schema schema = {rows, ARRAY_SIZE(rows), 0};

static void load(struct thing *t, const char *text, struct diag *d, char out[4096])
{
	memset(t, 0, sizeof(*t));
	diag_init(d, "f");
	schema_set_fallbacks(&schema, t);
	schema_load_text(&schema, t, text, strlen(text), d);
	diag_sort(d);
	diag_format(d, out, 4096);
}

static void drop(struct thing *t, struct diag *d)
{
	schema_deinit(&schema, t);
	diag_deinit(d);
}

static void test_fallbacks(void **state)
{
	struct thing t;
	struct diag d;
	char out[4096];

	(void)state;
	load(&t, "# nothing\n", &d, out);
	assert_string_equal(out, "");
	assert_true(t.flag);
	assert_int_equal(t.number, 4);
	assert_int_equal(t.wait_ms, 30000);
	assert_int_equal(t.size, 65536);
	assert_null(t.string);
	assert_int_equal(t.n_listen, 1);
	assert_int_equal(t.listen[0].port, 7844);
	assert_int_equal(t.group.wait_ms, 5000);
	drop(&t, &d);
}

static void test_values(void **state)
{
	struct thing t;
	struct diag d;
	char out[4096];

	(void)state;
	load(&t,
	     "flag: Off\nnumber: 16\nwait: 1m\nsize: 2 MiB\nstring: 'a: b'\njoined: [a, b]\n"
	     "colour: verde\nstrings: one\nlisten: ['127.0.0.1:1', '[::1]:2']\n"
	     "group: {wait: 0s, on: yes}\n"
	     "entries:\n  - name: n1\n    ip: ::1\n  - {name: n2}\n",
	     &d, out);
	assert_string_equal(out, "");
	assert_false(t.flag);
	assert_int_equal(t.number, 16);
	assert_int_equal(t.wait_ms, 60000);
	assert_int_equal(t.size, 2 << 20);
	assert_string_equal(t.string, "a: b");
	assert_string_equal(t.joined, "a,b");
	assert_int_equal(t.colour, 1);
	assert_int_equal(t.n_strings, 1);
	assert_string_equal(t.strings[0], "one");
	assert_int_equal(t.n_listen, 2);
	assert_int_equal(t.listen[1].port, 2);
	assert_int_equal(t.group.wait_ms, 0);
	assert_true(t.group.on);
	assert_int_equal(t.n_entries, 2);
	assert_string_equal(t.entries[0].name, "n1");
	assert_int_equal(t.entries[0].ip.family, AF_INET6);
	assert_int_equal(t.entries[0].line, 12);
	assert_int_equal(t.entries[1].line, 14);
	drop(&t, &d);
}

static const struct {
	const char *yaml;
	const char *text;
} bad[] = {
	{"flag: maybe", "f:1: flag: must be on or off\n"},
	{"\nnumber: four", "f:2: number: must be a whole number\n"},
	{"number: 17", "f:1: number: must be from 1 to 16\n"},
	{"number: 0", "f:1: number: must be from 1 to 16\n"},
	{"number: 4KiB", "f:1: number: must be a whole number\n"},
	{"number: [4]", "f:1: number: must be a single value, not a list\n"},
	{"number: {a: 4}", "f:1: number: must be a single value, not a group of keys\n"},
	{"number:", "f:1: number: has no value: give one or remove the line\n"},
	{"wait: 30", "f:1: wait: must be a duration with its unit, like 30s, 1m30s or 500ms\n"},
	{"wait: 4m", "f:1: wait: must be from 0s to 3m\n"},
	{"size: 10", "f:1: size: must be at least 1KiB\n"},
	{"size: 1 MB", "f:1: size: must be a size in bytes, KiB, MiB or GiB, like 64MiB\n"},
	{"string: ''", "f:1: string: is empty: give a value or remove the line\n"},
	{"string: 12345678901", "f:1: string: longer than 10 characters\n"},
	{"string: \"a\\x1b\"", "f:1: string: holds a control character or broken UTF-8\n"},
	{"string: ox", "f:1: string: must not hold an x\n"},
	{"string: \"a\\0b\"", "f:1: a zero byte in a text\n"},
	{"colour: blue", "f:1: colour: must be red, green or verde\n"},
	{"strings: [a, b, c, d]", "f:1: strings: 4 entries, at most 3 are possible\n"},
	{"strings:\n - a\n - x", "f:3: strings: must not hold an x\n"},
	{"strings:\n - [a]", "f:2: strings: must be a single value, not a list\n"},
	{"strings: {a: b}", "f:1: strings: must be a list, not a group of keys\n"},
	{"listen: localhost:1",
	 "f:1: listen: must be an address and a port, like 127.0.0.1:7844 or [::]:7844\n"},
	{"group: 5", "f:1: group: must be a group of keys, not a single value\n"},
	{"group:\n  wiat: 5s", "f:2: group.wiat: unknown key; did you mean \"wait\"?\n"},
	{"entries: 5", "f:1: entries: must be a list, not a single value\n"},
	{"entries: [5]", "f:1: entries: must be a group of keys, not a single value\n"},
	{"entries:\n  - ip: ::1", "f:2: entries[0].name: missing\n"},
	{"entries:\n  - name: a\n  - name: b\n    ip: here",
	 "f:4: entries[1].ip: must be an IPv4 or IPv6 address\n"},
	{"entries: [{name: a}, {name: a}, {name: a}, {name: a}]",
	 "f:1: entries: 4 entries, at most 3 are possible\n"},
	{"numbr: 4", "f:1: numbr: unknown key; did you mean \"number\"?\n"},
	{"NUMBER: 4", "f:1: NUMBER: unknown key; did you mean \"number\"?\n"},
	{"stringToo: 4", "f:1: stringToo: unknown key; did you mean \"string-too\"?\n"},
	{"completely-else: 4", "f:1: completely-else: unknown key\n"},
	{"number: 4\nnumber: 5", "f:2: number: given twice in the same place\n"},
	{"string: &a x\njoined: *a", "f:1: anchors (&name) are not served: write the value out\n"
				     "f:1: string: must not hold an x\n"
				     "f:2: aliases (*name) are not served: write the value out\n"
				     "f:2: joined: has no value: give one or remove the line\n"},
	{"string: !!str y", "f:1: tags (!name) are not served: remove the tag\n"},
	{"number: 4\n---\nnumber: 5", "f:2: a second document: only one is read\n"},
	{"- a", "f:1: must be a list of \"key: value\" lines\n"},
	{"just text", "f:1: must be a list of \"key: value\" lines\n"},
	{"[a]: b", "f:1: a key must be a plain text\n"},
	{"ingress: [[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]", "f:1: nested too deeply\n"},
	{"flag: x\nnumber: x\nother: x",
	 "f:1: flag: must be on or off\nf:2: number: must be a whole number\n"
	 "f:3: other: unknown key\n"},
};

static void test_bad_input_is_named(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct thing t;
		struct diag d;
		char out[4096];

		load(&t, bad[i].yaml, &d, out);
		if (strcmp(out, bad[i].text) != 0)
			fail_msg("\"%s\":\n%snot\n%s", bad[i].yaml, out, bad[i].text);
		assert_true(d.n_errors > 0);
		drop(&t, &d);
	}
}

static void test_syntax_errors_have_a_line(void **state)
{
	static const char *const texts[] = {"a: b\n\tc: d\n", "a: 'b\n", "a: [b\n", "a\nb: c\n",
					    "x: \xff\xfe\n"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct thing t;
		struct diag d;
		char out[4096];

		load(&t, texts[i], &d, out);
		assert_int_equal(d.n_items, 1);
		assert_non_null(strstr(out, "not valid YAML: "));
		assert_true(d.items[0].line > 0);
		drop(&t, &d);
	}
}

static void test_foreign_keys_warn_once(void **state)
{
	struct thing t;
	struct diag d;
	char out[4096];

	(void)state;
	load(&t, "ingress:\n  - hostname: a\n    odd: {deep: [1, 2]}\n", &d, out);
	assert_string_equal(out, "f:1: warning: ingress: ignored: not served\n");
	assert_int_equal(d.n_errors, 0);
	drop(&t, &d);
}

static void test_too_many_keys(void **state)
{
	char text[YAML_KEYS_MAX * 8 + 64] = "ingress: {";
	struct thing t;
	struct diag d;
	char out[4096];

	(void)state;
	for (int i = 0; i <= YAML_KEYS_MAX; i++)
		sprintf(text + strlen(text), "k%d: ,", i);
	strcat(text, "}");
	load(&t, text, &d, out);
	assert_string_equal(out, "f:1: too many keys in one place\n");
	drop(&t, &d);
}

static void test_later_sources_win(void **state)
{
	struct thing t;
	struct diag d;
	char out[4096];

	(void)state;
	setenv("ADIT_TEST_NUMBER", "7", 1);
	setenv("ADIT_TEST_STRINGS", "a, b", 1);
	load(&t, "number: 6\nstrings: [z]\nstring-too: second\nstring: first\n", &d, out);
	schema_load_env(&schema, &t, &d);
	assert_int_equal(t.number, 7);
	assert_int_equal(t.n_strings, 2);
	assert_string_equal(t.strings[1], "b");
	assert_string_equal(t.string, "second");
	schema_set(&schema, &t, "number", "8", "--number", &d);
	schema_set(&schema, &t, "number", NULL, "--number", &d);
	assert_int_equal(t.number, 8);
	assert_int_equal(d.n_items, 0);
	schema_set(&schema, &t, "number", "80", "--number", &d);
	setenv("ADIT_TEST_NUMBER", "x", 1);
	schema_load_env(&schema, &t, &d);
	diag_format(&d, out, sizeof(out));
	assert_string_equal(out, "f: --number: must be from 1 to 16\n"
				 "f: environment variable ADIT_TEST_NUMBER: "
				 "must be a whole number\n");
	unsetenv("ADIT_TEST_NUMBER");
	unsetenv("ADIT_TEST_STRINGS");
	drop(&t, &d);
}

static char *show(const struct thing *t)
{
	char *text = NULL;
	size_t n;
	FILE *out = open_memstream(&text, &n);

	schema_show(&schema, t, out);
	fclose(out);
	return text;
}

static void test_shown_text_loads_to_the_same(void **state)
{
	struct thing t, again;
	struct diag d, d2;
	char out[4096], *first, *second;

	(void)state;
	load(&t,
	     "string: 'a\" \\b'\nstrings: ['a, b', 'c\" \\']\nentries:\n"
	     "- {name: 'null', ip: 10.0.0.1}\n- {name: 'a: b'}\n",
	     &d, out);
	assert_string_equal(out, "");
	first = show(&t);
	load(&again, first, &d2, out);
	assert_string_equal(out, "");
	second = show(&again);
	assert_string_equal(first, second);
	assert_non_null(strstr(first, "string: \"a\\\" \\\\b\"\n"));
	assert_non_null(strstr(first, "# joined: not set\n"));
	assert_non_null(strstr(first, "entries:\n  - name: \"null\"\n    ip: 10.0.0.1\n"));
	assert_null(strstr(first, "string-too"));
	free(first);
	free(second);
	drop(&t, &d);
	drop(&again, &d2);
}

static void test_diff_names_what_needs_a_restart(void **state)
{
	struct thing a, b;
	struct diag d, d2;
	char out[4096], small[10];
	size_t at = 0;

	(void)state;
	load(&a, "number: 1\ngroup: {on: yes}\n", &d, out);
	load(&b, "number: 2\nstrings: [a]\nflag: no\n", &d2, out);
	assert_int_equal(schema_diff_restart(&schema, &a, &a, out, sizeof(out)), 0);
	assert_string_equal(out, "");
	assert_int_equal(schema_diff_restart(&schema, &a, &b, out, sizeof(out)), 2);
	assert_string_equal(out, "flag, strings");
	assert_int_equal(schema_diff_restart(&schema, &a, &b, small, sizeof(small)), 2);
	assert_string_equal(schema_next_difference(&schema, &a, &b, false, &at), "flag");
	assert_string_equal(schema_next_difference(&schema, &a, &b, false, &at), "strings");
	assert_null(schema_next_difference(&schema, &a, &b, false, &at));
	at = 0;
	assert_string_equal(schema_next_difference(&schema, &a, &b, true, &at), "number");
	assert_string_equal(schema_next_difference(&schema, &a, &b, true, &at), "group");
	assert_null(schema_next_difference(&schema, &a, &b, true, &at));
	drop(&a, &d);
	drop(&b, &d2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fallbacks),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_bad_input_is_named),
		cmocka_unit_test(test_syntax_errors_have_a_line),
		cmocka_unit_test(test_foreign_keys_warn_once),
		cmocka_unit_test(test_too_many_keys),
		cmocka_unit_test(test_later_sources_win),
		cmocka_unit_test(test_shown_text_loads_to_the_same),
		cmocka_unit_test(test_diff_names_what_needs_a_restart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
