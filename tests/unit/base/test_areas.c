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

#include "base/areas.h"
#include "base/compiler.h"
#include "base/diag.h"

static char dir[] = "/tmp/adit-areas-XXXXXX";

/* state-ca isn't there; own/to leads to top.yml; away is another name of the folder itself. */
static int make_tree(void **state)
{
	static const char *const folders[] = {"state", "own", "state-cattle"};

	(void)state;
	assert_non_null(mkdtemp(dir));
	assert_int_equal(chdir(dir), 0);
	for (size_t i = 0; i < ARRAY_SIZE(folders); i++)
		assert_int_equal(mkdir(folders[i], 0700), 0);
	assert_int_equal(symlink(".", "away"), 0);
	assert_int_equal(mkdir("top.yml", 0700), 0);
	return symlink("../top.yml", "own/to");
}

static int remove_tree(void **state)
{
	char command[64];

	(void)state;
	snprintf(command, sizeof(command), "rm -r %s", dir);
	return chdir("/") < 0 || system(command);
}

static const struct {
	const char *path;
	bool is_around;
	const char *secret;
	bool is_narrowed;
} cases[] = {
	{"top.yml", true, "state-ca", true},
	{"away/top.yml", true, "state-ca", true},
	{"top.yml", true, "away/state-ca", true},
	{"own/to", true, "state-ca", true},
	{"/nothing", true, "state-ca", true},
	{"state/none", true, "state", true},
	{"own/file", true, "state-ca", false},
	{"state/edge.sock", true, "state-ca", false},
	{"state-cattle/file", true, "state-ca", false},
	{"state", false, "state-ca", false},
	{"nowhere/file", true, "state-ca", false},
	{"top.yml", true, "nowhere/state-ca", false},
	{"top.yml", true, NULL, false},
	{NULL, true, "state-ca", false},
};

static void test_narrowing(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct landlock_area area = {cases[i].path, LANDLOCK_READ, cases[i].is_around,
					     "config"};
		struct diag diag;

		diag_init(&diag, NULL);
		assert_int_equal(areas_check(&area, 1, cases[i].secret, &diag), 0);
		assert_int_equal(area.is_around, cases[i].is_around && !cases[i].is_narrowed);
		assert_int_equal(diag.n_items, cases[i].is_narrowed);
		assert_int_equal(diag.n_errors, 0);
		diag_deinit(&diag);
	}
}

/* A folder can't be narrowed to a file. */
static void test_refusing(void **state)
{
	struct landlock_area area = {".", LANDLOCK_CHANGE, false, "state-directory"};
	struct diag diag;

	(void)state;
	diag_init(&diag, NULL);
	assert_int_equal(areas_check(&area, 1, "state-ca", &diag), -EINVAL);
	assert_int_equal(diag.n_errors, 1);
	assert_non_null(strstr(diag.items[0].text, "state-directory: . contains /"));
	diag_deinit(&diag);
}

static const struct {
	struct landlock_area area;
	bool is_wide;
} wide[] = {
	{{"/run/adit.sock", LANDLOCK_CHANGE, true, "control-socket"}, true},
	{{"/adit.sock", LANDLOCK_CHANGE, true, "control-socket"}, true},
	{{"/var/lib/../lib", LANDLOCK_CHANGE, false, "state-directory"}, true},
	{{"own/adit.sock", LANDLOCK_CHANGE, true, "control-socket"}, true}, /* $HOME */
	{{"state/adit.sock", LANDLOCK_CHANGE, true, "control-socket"}, false},
	{{"/etc/edge.yml", LANDLOCK_READ, true, "--config"}, false},
	{{"/tmp/fixed", LANDLOCK_CHANGE, true, NULL}, false},
	{{NULL, LANDLOCK_CHANGE, true, "access-log"}, false},
};

static void test_wide(void **state)
{
	(void)state;
	setenv("HOME", "own", 1);
	for (size_t i = 0; i < ARRAY_SIZE(wide); i++) {
		struct diag diag;

		diag_init(&diag, NULL);
		areas_warn_wide(&wide[i].area, 1, &diag);
		assert_int_equal(diag.n_items, wide[i].is_wide);
		assert_int_equal(diag.n_errors, 0);
		diag_deinit(&diag);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_narrowing),
		cmocka_unit_test(test_refusing),
		cmocka_unit_test(test_wide),
	};

	return cmocka_run_group_tests(tests, make_tree, remove_tree);
}
