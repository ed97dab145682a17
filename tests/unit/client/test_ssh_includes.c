/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/compiler.h"
#include "client/ssh_includes.h"

#define PATH_SIZE 512

/* ---- lines ---- */

static void note(void *ctx, const char *pattern)
{
	char *text = ctx;

	strcat(text, pattern);
	strcat(text, ";");
}

static void assert_parsed(const char *line, const char *want)
{
	char text[4 * SSH_INCLUDE_PATTERN_MAX] = "";

	ssh_include_parse(line, strlen(line), note, text);
	assert_string_equal(text, want);
}

static void test_patterns_of_a_line(void **state UNUSED)
{
	assert_parsed("Include /etc/ssh/ssh_config.d/*.conf", "/etc/ssh/ssh_config.d/*.conf;");
	assert_parsed("\t include a\t\"b c\"  'd'e\r", "a;b c;de;");
	assert_parsed("INCLUDE=a", "a;");
	assert_parsed("Include = a b # c", "a;b;");
	assert_parsed("Include \"never closed", "never closed;");
}

static void test_lines_of_another_kind(void **state UNUSED)
{
	assert_parsed("", "");
	assert_parsed("Include", "");
	assert_parsed("Include ", "");
	assert_parsed("Include \"\"", "");
	assert_parsed("Includes a", "");
	assert_parsed("# Include a", "");
	assert_parsed("Host include a", "");
}

static void test_a_pattern_that_is_too_long(void **state UNUSED)
{
	char line[SSH_INCLUDE_PATTERN_MAX + 64];
	int n = snprintf(line, sizeof(line), "Include %0*d next", SSH_INCLUDE_PATTERN_MAX, 0);

	assert_true(n > 0 && (size_t)n < sizeof(line));
	assert_parsed(line, "next;");
}

/* ---- files ---- */

struct folder {
	char path[64];
	char *paths[128];
	size_t n;
};

static const char *add_path(struct folder *f, const char *name)
{
	char *path = NULL;

	assert_true(asprintf(&path, "%s/%s", f->path, name) > 0);
	f->paths[f->n++] = path;
	return path;
}

static const char *put(struct folder *f, const char *name, const char *text)
{
	const char *path = add_path(f, name);
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
	return path;
}

static struct folder make_folder(void)
{
	struct folder f = {.path = "/tmp/adit-test-XXXXXX"};
	char *real;

	assert_non_null(mkdtemp(f.path));
	real = realpath(f.path, NULL);
	assert_non_null(real);
	assert_string_equal(real, f.path);
	free(real);
	return f;
}

static void remove_folder(const struct folder *f)
{
	for (size_t i = 0; i < f->n; i++) {
		unlink(f->paths[i]);
		free(f->paths[i]);
	}
	assert_int_equal(rmdir(f->path), 0);
}

static void test_includes_of_includes(void **state UNUSED)
{
	struct folder f = make_folder();
	struct ssh_includes found;
	char text[4 * PATH_SIZE];
	const char *outer, *inner, *root;

	snprintf(text, sizeof(text), "Host x\n  Include %s/inner %s/*.conf\n", f.path, f.path);
	outer = put(&f, "outer.conf", text);
	snprintf(text, sizeof(text), "Port 7\nInclude %s/outer.conf", f.path);
	inner = put(&f, "inner", text);
	snprintf(text, sizeof(text), "Include %s/missing\n\nInclude %s/*.conf\n", f.path, f.path);
	root = put(&f, "main", text);
	ssh_includes_find(root, &found);
	/* Once each, although they include each other; the main file isn't one of them. */
	assert_int_equal(found.n, 2);
	assert_string_equal(found.items[0].path, outer);
	assert_string_equal(found.items[1].path, inner);
	assert_non_null(strstr(found.items[1].text, "Port 7\n"));
	assert_false(found.is_cut);
	ssh_includes_deinit(&found);
	remove_folder(&f);
}

static void test_what_cant_be_taken(void **state UNUSED)
{
	struct folder f = make_folder();
	struct ssh_includes found;
	char text[2 * PATH_SIZE];
	const char *root, *large;

	large = put(&f, "large.conf", "");
	assert_int_equal(truncate(large, SSH_INCLUDE_BYTES_MAX + 1), 0);
	/* A folder isn't a file, and a link leads to its target. */
	assert_int_equal(symlink("large.conf", add_path(&f, "link.conf")), 0);
	snprintf(text, sizeof(text), "Include %s/*.conf %s\n", f.path, f.path);
	root = put(&f, "main", text);
	ssh_includes_find(root, &found);
	assert_int_equal(found.n, 2);
	assert_string_equal(found.items[0].path, large);
	assert_null(found.items[0].text);
	assert_int_equal(found.items[0].error, -EFBIG);
	assert_int_equal(found.items[1].error, -EINVAL);
	ssh_includes_deinit(&found);
	ssh_includes_find("/nonexistent", &found);
	assert_int_equal(found.n, 0);
	remove_folder(&f);
}

static void test_a_crowd(void **state UNUSED)
{
	struct folder f = make_folder();
	struct ssh_includes found;
	char name[PATH_SIZE];
	const char *root;

	for (int i = 0; i <= SSH_INCLUDES_MAX; i++) {
		snprintf(name, sizeof(name), "%02d.conf", i);
		put(&f, name, "");
	}
	snprintf(name, sizeof(name), "Include %s/*.conf", f.path);
	root = put(&f, "main", name);
	ssh_includes_find(root, &found);
	assert_int_equal(found.n, SSH_INCLUDES_MAX);
	assert_true(found.is_cut);
	ssh_includes_deinit(&found);
	remove_folder(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_patterns_of_a_line),
		cmocka_unit_test(test_lines_of_another_kind),
		cmocka_unit_test(test_a_pattern_that_is_too_long),
		cmocka_unit_test(test_includes_of_includes),
		cmocka_unit_test(test_what_cant_be_taken),
		cmocka_unit_test(test_a_crowd),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
