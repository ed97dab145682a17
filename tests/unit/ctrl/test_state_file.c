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
#include <sys/stat.h>
#include <unistd.h>

#include "base/compiler.h"
#include "ctrl/state_file.h"

static char folder[64], path[96];

static int make_folder(void **state)
{
	(void)state;
	snprintf(folder, sizeof(folder), "/tmp/adit-state-XXXXXX");
	if (!mkdtemp(folder))
		return -1;
	snprintf(path, sizeof(path), "%s/" STATE_FILE_NAME, folder);
	return 0;
}

static int remove_folder(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(folder);
}

static void write_state(const char *text, size_t n)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_int_equal(fwrite(text, 1, n, file), n);
	fclose(file);
}

static void test_round_trip(void **state)
{
	struct state_file in = {.tunnel_id = uuid_random(),
				.tunnel_name = "caf\xc3\xa9 \"web\"",
				.instance_id = uuid_random(),
				.state = HEALTH_DEGRADED,
				.pid = 4711,
				.updated = 1795366957,
				.ever_registered = true};
	char why[STATE_FILE_WHY_MAX];
	struct state_file out;
	struct stat st;

	(void)state;
	assert_int_equal(state_file_save(folder, &in), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0644);
	assert_int_equal(state_file_load(folder, &out, why), 0);
	assert_true(uuid_equal(&out.tunnel_id, &in.tunnel_id));
	assert_true(uuid_equal(&out.instance_id, &in.instance_id));
	assert_string_equal(out.tunnel_name, in.tunnel_name);
	assert_int_equal(out.state, HEALTH_DEGRADED);
	assert_int_equal(out.pid, 4711);
	assert_int_equal(out.updated, 1795366957);
	assert_true(out.ever_registered);
}

static void test_absent(void **state)
{
	struct state_file first, second;
	char why[STATE_FILE_WHY_MAX];

	(void)state;
	assert_int_equal(state_file_load(folder, &first, why), STATE_FILE_E_ABSENT);
	assert_non_null(strstr(why, path));
	assert_int_equal(state_file_load("/nonexistent/dir", &first, why), STATE_FILE_E_ABSENT);
	assert_int_equal(state_file_load_or_new(folder, &first, why), 0);
	assert_false(uuid_is_nil(&first.instance_id));
	assert_true(uuid_is_nil(&first.tunnel_id));
	assert_false(first.ever_registered);
	assert_int_equal(first.state, HEALTH_INACTIVE);
	/* From the first save on, the id stays. */
	assert_int_equal(state_file_save(folder, &first), 0);
	assert_int_equal(state_file_load_or_new(folder, &second, why), 0);
	assert_true(uuid_equal(&first.instance_id, &second.instance_id));
}

#define IDS "\"instance_id\":\"6f1c0a4e-1d2b-4c3d-8e9f-001122334455\""

static void test_corrupt(void **state)
{
	static const struct {
		const char *text, *word;
	} rows[] = {
		{"", "JSON"},
		{"{", "JSON"},
		{"\xff", "JSON"},
		{"[]", "version"},
		{"{}", "version"},
		{"{\"version\":2}", "version"},
		{"{\"version\":\"1\"}", "version"},
		{"{\"version\":1," IDS ",\"state\":\"Down\"}", "ever_registered"},
		{"{\"version\":1," IDS ",\"state\":\"Down\",\"ever_registered\":1}",
		 "ever_registered"},
		{"{\"version\":1,\"state\":\"Down\",\"ever_registered\":true}", "instance_id"},
		{"{\"version\":1,\"state\":\"Down\",\"ever_registered\":true,\"instance_id\":"
		 "\"x\"}",
		 "instance_id"},
		{"{\"version\":1,\"state\":\"Down\",\"ever_registered\":true,"
		 "\"instance_id\":\"00000000-0000-0000-0000-000000000000\"}",
		 "instance_id"},
		{"{\"version\":1," IDS ",\"state\":\"Fine\",\"ever_registered\":true}", "state"},
		{"{\"version\":1," IDS ",\"ever_registered\":true}", "state"},
		{"{\"version\":1," IDS ",\"state\":\"Down\",\"ever_registered\":true,"
		 "\"tunnel\":{\"id\":\"x\"}}",
		 "tunnel.id"},
	};
	char why[STATE_FILE_WHY_MAX];
	struct state_file out;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		write_state(rows[i].text, strlen(rows[i].text));
		assert_int_equal(state_file_load(folder, &out, why), STATE_FILE_E_CORRUPT);
		if (!strstr(why, rows[i].word) || !strstr(why, path))
			fail_msg("row %zu: '%s'", i, why);
		/* An agent doesn't start over either: its instance id would be lost silently. */
		assert_int_equal(state_file_load_or_new(folder, &out, why), STATE_FILE_E_CORRUPT);
	}
}

static void test_too_long(void **state)
{
	char *text = malloc(STATE_FILE_MAX + 1);
	char why[STATE_FILE_WHY_MAX];
	struct state_file out;

	(void)state;
	memset(text, ' ', STATE_FILE_MAX + 1);
	write_state(text, STATE_FILE_MAX + 1);
	assert_int_equal(state_file_load(folder, &out, why), STATE_FILE_E_CORRUPT);
	assert_non_null(strstr(why, "longer"));
	free(text);
}

static void test_not_readable(void **state)
{
	char why[STATE_FILE_WHY_MAX];
	struct state_file out = {.instance_id = uuid_random()};

	(void)state;
	assert_int_equal(mkdir(path, 0755), 0);
	assert_true(state_file_load(folder, &out, why) < 0);
	assert_non_null(strstr(why, path));
	assert_int_equal(rmdir(path), 0);
	assert_true(state_file_save("/nonexistent/dir", &out) < 0);
}

/* A FIFO would keep `adit status` waiting for ever. */
static void test_fifo(void **state)
{
	char why[STATE_FILE_WHY_MAX];
	struct state_file out;

	(void)state;
	assert_int_equal(mkfifo(path, 0644), 0);
	assert_true(state_file_load(folder, &out, why) < 0);
	assert_non_null(strstr(why, "not a regular file"));
}

#define FOLDER_TEST(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)

int main(void)
{
	const struct CMUnitTest tests[] = {
		FOLDER_TEST(test_round_trip),	FOLDER_TEST(test_absent),
		FOLDER_TEST(test_corrupt),	FOLDER_TEST(test_too_long),
		FOLDER_TEST(test_not_readable), FOLDER_TEST(test_fifo),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
