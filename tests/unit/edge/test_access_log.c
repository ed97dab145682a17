/* SPDX-License-Identifier: Apache-2.0 */
/* Lines of the access log, what it refuses to write to, and a disk that is full for a while. */

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>

#include "base/diag.h"
#include "base/file.h"
#include "edge/access_log.h"

struct fixture {
	char dir[64];
	char path[96];
	struct diag diag;
	struct access_log *log;
};

static const struct access_line line = {
	.time_ms = 1000,
	.is_end = true,
	.client = "alice",
	.target = "10.0.0.1:22",
	.protocol = "tcp",
	.network = "default",
	.tunnel = "site",
	.layer = "grant",
	.rule = "10.0.0.0/8",
	.up_bytes = 5,
	.down_bytes = UINT64_C(5000000000),
	.duration_ms = 7,
	.result = "ok",
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	snprintf(f->dir, sizeof(f->dir), "/tmp/adit-access-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->path, sizeof(f->path), "%s/log", f->dir);
	diag_init(&f->diag, NULL);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	access_log_close(f->log);
	unlink(f->path);
	rmdir(f->dir);
	diag_deinit(&f->diag);
	free(f);
	return 0;
}

static char *content(const struct fixture *f)
{
	char *text;
	size_t n;

	assert_int_equal(file_read(f->path, 1 << 20, &text, &n), 0);
	return text;
}

static void lines_are_json(void **state)
{
	struct access_line odd = line;
	struct fixture *f = *state;
	struct stat st;
	char *text, *second;
	json_t *value;

	assert_int_equal(access_log_open(&f->log, f->path, &f->diag), 0);
	assert_int_equal(stat(f->path, &st), 0);
	assert_int_equal(st.st_mode & 0137, 0);
	access_log_write(f->log, &line);
	odd.is_end = false;
	odd.target = "a\"b\\\n\x01\xff\xc3\xa4";
	odd.tunnel = NULL;
	access_log_write(f->log, &odd);
	access_log_write(NULL, &odd);
	text = content(f);
	second = strchr(text, '\n');
	assert_non_null(second);
	*second++ = '\0';
	assert_string_equal(
		text, "{\"time\":\"1970-01-01T00:00:01.000Z\",\"event\":\"ended\",\"client\":"
		      "\"alice\",\"target\":\"10.0.0.1:22\",\"protocol\":\"tcp\","
		      "\"virtual_network\":\"default\",\"tunnel\":\"site\",\"layer\":\"grant\","
		      "\"rule\":\"10.0.0.0/8\",\"policy\":null,\"bytes_up\":5,"
		      "\"bytes_down\":5000000000,\"duration_ms\":7,\"result\":\"ok\"}");
	value = json_loads(second, 0, NULL);
	assert_non_null(value);
	assert_string_equal(json_string_value(json_object_get(value, "event")), "refused");
	assert_string_equal(json_string_value(json_object_get(value, "target")),
			    "a\"b\\\n\x01?\?\?");
	assert_true(json_is_null(json_object_get(value, "tunnel")));
	assert_ptr_equal(strchr(second, '\n') + 1, second + strlen(second));
	json_decref(value);
	free(text);
}

static void it_is_appended(void **state)
{
	struct fixture *f = *state;
	char *text;

	for (int i = 0; i < 2; i++) {
		assert_int_equal(access_log_open(&f->log, f->path, &f->diag), 0);
		access_log_write(f->log, &line);
		f->log = access_log_close(f->log);
	}
	text = content(f);
	assert_non_null(strchr(strchr(text, '\n') + 1, '\n'));
	free(text);
}

static void refused(struct fixture *f, const char *path, const char *reason)
{
	size_t before = f->diag.n_items;

	assert_true(access_log_open(&f->log, path, &f->diag) < 0);
	assert_int_equal(f->diag.n_items, before + 1);
	if (!strstr(f->diag.items[before].text, reason) ||
	    !strstr(f->diag.items[before].text, path))
		fail_msg("%s", f->diag.items[before].text);
}

static void only_regular_files(void **state)
{
	struct fixture *f = *state;
	char path[128];

	assert_int_equal(symlink("/dev/null", f->path), 0);
	refused(f, f->path, "symbolic link");
	unlink(f->path);
	assert_int_equal(mkfifo(f->path, 0600), 0);
	refused(f, f->path, "no regular file");
	refused(f, f->dir, "no regular file");
	refused(f, "/dev/null", "no regular file");
	snprintf(path, sizeof(path), "%s/none/log", f->dir);
	refused(f, path, "folder is missing");
}

/* RLIMIT_FSIZE is the disk. */
static void limit_file(rlim_t bytes)
{
	struct rlimit limit;

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	limit.rlim_cur = bytes;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void a_full_disk_loses_lines_only(void **state)
{
	struct fixture *f = *state;
	size_t n_lines = 0;
	char *text;

	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(access_log_open(&f->log, f->path, &f->diag), 0);
	access_log_write(f->log, &line);
	limit_file(300);
	for (int i = 0; i < 3; i++)
		access_log_write(f->log, &line);
	assert_int_equal(access_log_n_lost(f->log), 3);
	limit_file(RLIM_INFINITY);
	access_log_write(f->log, &line);
	assert_int_equal(access_log_n_lost(f->log), 3);
	/* Each line is whole, but the one that was cut. */
	text = content(f);
	for (char *p = strtok(text, "\n"); p; p = strtok(NULL, "\n")) {
		json_t *value = json_loads(p, 0, NULL);

		assert_true((value != NULL) == (n_lines != 1));
		json_decref(value);
		n_lines++;
	}
	assert_int_equal(n_lines, 3);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(lines_are_json, set_up, tear_down),
		cmocka_unit_test_setup_teardown(it_is_appended, set_up, tear_down),
		cmocka_unit_test_setup_teardown(only_regular_files, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_full_disk_loses_lines_only, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
