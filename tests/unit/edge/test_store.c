/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store: order, reopening, what is refused at opening (damaged, foreign, newer, in use), and
 * commits that fail, with SQLite and with a backend that fails on demand.
 */

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <signal.h>
#include <unistd.h>

#include "base/compiler.h"
#include "base/diag.h"
#include "base/file.h"
#include "edge/store.h"

struct fixture {
	char dir[64];
	char db[96];
	char other[96]; /* SQLite's -wal and -shm */
	uv_loop_t uv;
	struct diag diag;
	unsigned int n_calls;
	int last_status;
	char last_error[STORE_ERROR_MAX];
	char seen[256]; /* values that came from a load, or batches in their order */
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	snprintf(f->dir, sizeof(f->dir), "/tmp/adit-store-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->db, sizeof(f->db), "%s/edge.db", f->dir);
	assert_int_equal(uv_loop_init(&f->uv), 0);
	diag_init(&f->diag, NULL);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	static const char *const suffixes[] = {"", "-wal", "-shm"};
	struct fixture *f = *state;

	uv_run(&f->uv, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&f->uv), 0);
	for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
		snprintf(f->other, sizeof(f->other), "%s/edge.db%s", f->dir, suffixes[i]);
		unlink(f->other);
	}
	rmdir(f->dir);
	diag_deinit(&f->diag);
	free(f);
	return 0;
}

static int open_only(struct fixture *f, struct store **storep)
{
	const struct store_backend *backend;
	void *db;
	int r = store_sqlite_open(f->db, &backend, &db, &f->diag);

	return r == 0 ? store_new(storep, &f->uv, backend, db) : r;
}

static int open_db(struct fixture *f, struct store **storep)
{
	int r = open_only(f, storep);

	return r == 0 ? store_start(*storep) : r;
}

static void note_commit(void *ctx, const struct store_batch *batch, int status, const char *error)
{
	struct fixture *f = ctx;
	size_t used = strlen(f->seen);

	f->n_calls++;
	f->last_status = status;
	snprintf(f->last_error, sizeof(f->last_error), "%s", error);
	if (store_batch_size(batch) > 0)
		snprintf(f->seen + used, sizeof(f->seen) - used, "%s ",
			 (const char *)store_batch_at(batch, 0)->values[0].data);
}

static void put_meta(struct fixture *f, struct store *s, const char *key, const char *value)
{
	struct store_batch *b = store_batch_new();
	const struct store_value row[] = {store_text(key), store_text(value)};

	store_batch_put(b, STORE_META, row);
	store_commit(s, b, note_commit, f);
}

static int note_row(void *ctx, enum store_table_id table, const struct store_value *values)
{
	struct fixture *f = ctx;
	size_t used = strlen(f->seen);

	if (table == STORE_META)
		snprintf(f->seen + used, sizeof(f->seen) - used, "%s=%s ",
			 (const char *)values[0].data, (const char *)values[1].data);
	return 0;
}

static void load(struct fixture *f, struct store *s)
{
	char error[STORE_ERROR_MAX];

	f->seen[0] = '\0';
	assert_int_equal(store_load(s, note_row, f, error), 0);
}

static void commits_come_in_order_and_last(void **state)
{
	struct fixture *f = *state;
	struct store *s = NULL;
	struct stat st;

	assert_int_equal(open_db(f, &s), 0);
	put_meta(f, s, "a", "1");
	put_meta(f, s, "b", "2");
	put_meta(f, s, "a", "3");
	assert_int_equal(f->n_calls, 0);
	/* The loop lives as long as something is not answered. */
	uv_run(&f->uv, UV_RUN_DEFAULT);
	assert_int_equal(f->n_calls, 3);
	assert_string_equal(f->seen, "a b a ");
	assert_int_equal(stat(f->db, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	store_free(s);
	assert_int_equal(open_db(f, &s), 0);
	load(f, s);
	assert_string_equal(f->seen, "a=3 b=2 ");
	store_free(s);
}

static void free_commits_what_is_queued(void **state)
{
	struct fixture *f = *state;
	struct store *s = NULL;

	assert_int_equal(open_db(f, &s), 0);
	put_meta(f, s, "a", "1");
	store_free(s);
	assert_int_equal(f->n_calls, 1);
	assert_int_equal(f->last_status, 0);
	assert_int_equal(open_db(f, &s), 0);
	load(f, s);
	assert_string_equal(f->seen, "a=1 ");
	store_free(s);
}

/* A set-up that fails before the worker's turn leaves nothing for the loop to wait for. */
static void without_a_worker_it_is_done_in_place(void **state)
{
	struct fixture *f = *state;
	struct store *s = NULL;

	assert_int_equal(open_only(f, &s), 0);
	put_meta(f, s, "a", "1");
	store_finish(s);
	assert_int_equal(f->n_calls, 1);
	assert_int_equal(f->last_status, 0);
	assert_int_equal(uv_run(&f->uv, UV_RUN_DEFAULT), 0);
	store_free(s);
}

static void a_batch_is_whole_or_nothing(void **state)
{
	struct fixture *f = *state;
	struct store *s = NULL;
	struct store_batch *b = store_batch_new();
	const struct store_value good[] = {store_text("a"), store_text("1")};
	const struct store_value orphan[] = {store_text("no-such-tunnel"), store_text("lab")};

	assert_int_equal(open_db(f, &s), 0);
	store_batch_put(b, STORE_META, good);
	store_batch_put(b, STORE_TUNNEL_NETWORK, orphan);
	store_commit(s, b, note_commit, f);
	uv_run(&f->uv, UV_RUN_DEFAULT);
	assert_int_equal(f->last_status, -EINVAL);
	assert_non_null(strstr(f->last_error, "FOREIGN KEY"));
	load(f, s);
	assert_string_equal(f->seen, "");
	put_meta(f, s, "b", "2");
	uv_run(&f->uv, UV_RUN_DEFAULT);
	assert_int_equal(f->last_status, 0);
	store_free(s);
}

/* What opening says about a file of @n bytes; the code is returned. */
static int open_bytes(struct fixture *f, const void *bytes, size_t n)
{
	struct store *s = NULL;

	assert_int_equal(file_replace(f->db, 0600, bytes, n), 0);
	return open_db(f, &s);
}

static void damaged_files_are_refused(void **state)
{
	struct fixture *f = *state;
	struct store *s = NULL;
	char *bytes;
	size_t n;

	assert_int_equal(open_bytes(f, "this is no database, whatever its name says", 43),
			 -EBADMSG);
	assert_non_null(strstr(f->diag.items[0].text, "edge.db"));
	unlink(f->db);
	assert_int_equal(open_db(f, &s), 0);
	store_free(s);
	assert_int_equal(file_read(f->db, 1 << 20, &bytes, &n), 0);
	/* Half a file, and one whose pages are overwritten. */
	assert_true(open_bytes(f, bytes, n / 2 + 100) < 0);
	memset(bytes + 4096, 0x5a, n - 4096);
	assert_true(open_bytes(f, bytes, n) < 0);
	free(bytes);
}

static void run_sql(const struct fixture *f, const char *sql)
{
	char command[512];

	snprintf(command, sizeof(command),
		 "python3 -c \"import sqlite3; c = sqlite3.connect('%s'); c.executescript('%s')\"",
		 f->db, sql);
	assert_int_equal(system(command), 0);
}

static void newer_and_foreign_databases_are_refused(void **state)
{
	struct fixture *f = *state;
	struct store *s = NULL;

	assert_int_equal(open_db(f, &s), 0);
	store_free(s);
	run_sql(f, "PRAGMA user_version = 99");
	assert_int_equal(open_db(f, &s), -EPROTONOSUPPORT);
	assert_non_null(strstr(f->diag.items[0].text, "newer adit-edge"));
	unlink(f->db);
	run_sql(f, "CREATE TABLE cats (name TEXT)");
	assert_int_equal(open_db(f, &s), -EBADMSG);
	assert_non_null(strstr(f->diag.items[1].text, "not a database of adit-edge"));
}

static void one_edge_at_a_time(void **state)
{
	struct fixture *f = *state;
	struct store *first = NULL;
	struct store *second = NULL;

	assert_int_equal(open_db(f, &first), 0);
	assert_int_equal(open_db(f, &second), -EBUSY);
	assert_non_null(strstr(f->diag.items[0].text, "another adit-edge"));
	store_free(first);
	assert_int_equal(open_db(f, &second), 0);
	store_free(second);
}

static void unreachable_files_are_named(void **state)
{
	struct fixture *f = *state;
	struct store *s = NULL;

	snprintf(f->db, sizeof(f->db), "%s/none/edge.db", f->dir);
	assert_int_equal(open_db(f, &s), -ENOENT);
	assert_non_null(strstr(f->diag.items[0].text, "none/edge.db"));
	snprintf(f->db, sizeof(f->db), "%s/link", f->dir);
	assert_int_equal(symlink("/dev/null", f->db), 0);
	assert_int_equal(open_db(f, &s), -ELOOP);
	unlink(f->db);
}

/* The kernel's file size limit plays the full disk. */
static void a_full_disk_fails_the_commit_only(void **state)
{
	struct fixture *f = *state;
	struct store *s = NULL;
	struct rlimit old, small;
	char *big = malloc(1 << 20);

	assert_int_equal(open_db(f, &s), 0);
	put_meta(f, s, "a", "1");
	uv_run(&f->uv, UV_RUN_DEFAULT);
	memset(big, 'x', (1 << 20) - 1);
	big[(1 << 20) - 1] = '\0';
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	small = (struct rlimit){.rlim_cur = 400 * 1024, .rlim_max = old.rlim_max};
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	put_meta(f, s, "b", big);
	uv_run(&f->uv, UV_RUN_DEFAULT);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_true(f->last_status < 0);
	assert_true(strlen(f->last_error) > 0);
	put_meta(f, s, "c", "3");
	uv_run(&f->uv, UV_RUN_DEFAULT);
	assert_int_equal(f->last_status, 0);
	load(f, s);
	assert_string_equal(f->seen, "a=1 c=3 ");
	store_free(s);
	free(big);
}

/* ---- another backend ---- */

static int fail_commit(void *db, const struct store_batch *batch, char error[STORE_ERROR_MAX])
{
	(void)db;
	(void)batch;
	snprintf(error, STORE_ERROR_MAX, "the cable was cut");
	return -EPIPE;
}

static int load_nothing(void *db, store_row_cb cb, void *ctx, char error[STORE_ERROR_MAX])
{
	(void)db;
	(void)cb;
	(void)ctx;
	(void)error;
	return 0;
}

static void note_close(void *db)
{
	*(bool *)db = true;
}

/* A callback that queues again while the store is being freed is told so. */
static void commit_again(void *ctx, const struct store_batch *batch, int status, const char *error)
{
	void **pair = ctx;
	struct fixture *f = pair[0];

	(void)batch;
	assert_int_equal(status, -EPIPE);
	assert_string_equal(error, "the cable was cut");
	put_meta(f, pair[1], "late", "1");
}

static void backends_fail_and_end(void **state)
{
	static const struct store_backend broken = {load_nothing, fail_commit, note_close};
	struct fixture *f = *state;
	struct store *s = NULL;
	bool is_closed = false;
	void *pair[2];

	assert_int_equal(store_new(&s, &f->uv, &broken, &is_closed), 0);
	assert_int_equal(store_start(s), 0);
	pair[0] = f;
	pair[1] = s;
	store_commit(s, store_batch_new(), commit_again, pair);
	store_free(s);
	assert_true(is_closed);
	assert_int_equal(f->n_calls, 1);
	assert_int_equal(f->last_status, -ESHUTDOWN);
}

static void tables_are_described_whole(void **state)
{
	(void)state;
	for (size_t i = 0; i < STORE_TABLE_N; i++) {
		const struct store_table *t = &store_tables[i];

		assert_non_null(t->name);
		assert_in_range(t->n_columns, 1, STORE_COLUMNS_MAX);
		assert_in_range(t->n_key, 1, t->n_columns);
		for (unsigned int k = 0; k < t->n_columns; k++)
			assert_non_null(t->columns[k].name);
	}
}

#define STORE_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORE_TEST(commits_come_in_order_and_last),
		STORE_TEST(free_commits_what_is_queued),
		STORE_TEST(without_a_worker_it_is_done_in_place),
		STORE_TEST(a_batch_is_whole_or_nothing),
		STORE_TEST(damaged_files_are_refused),
		STORE_TEST(newer_and_foreign_databases_are_refused),
		STORE_TEST(one_edge_at_a_time),
		STORE_TEST(unreachable_files_are_named),
		STORE_TEST(a_full_disk_fails_the_commit_only),
		STORE_TEST(backends_fail_and_end),
		cmocka_unit_test(tables_are_described_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
