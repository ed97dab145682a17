/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The embedded database. Statements are made from store_tables; the schema is written out below,
 * one script per version, each run once in a transaction that also moves user_version on.
 * An flock on the file keeps a second edge out (memory must be the only truth beside it);
 * other programs may read while the edge runs.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <sqlite3.h>

#include "base/cleanup.h"
#include "base/compiler.h"
#include "base/diag.h"
#include "base/err.h"
#include "edge/store.h"

#define APPLICATION_ID	0x61646974 /* "adit" */
#define BUSY_TIMEOUT_MS 5000
#define SQL_MAX		1024
#define KEY_COLUMNS_MAX 3

static const char *const migrations[] = {
	/* 1 */
	"CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;"
	"CREATE TABLE vnet (id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE,"
	" comment TEXT NOT NULL, is_default INTEGER NOT NULL) STRICT;"
	"CREATE TABLE tunnel (id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE,"
	" account_tag TEXT NOT NULL, created_ms INTEGER NOT NULL) STRICT;"
	"CREATE TABLE tunnel_seen (tunnel TEXT PRIMARY KEY REFERENCES tunnel ON DELETE CASCADE,"
	" seen_ms INTEGER NOT NULL) STRICT;"
	"CREATE TABLE tunnel_secret (tunnel TEXT NOT NULL REFERENCES tunnel ON DELETE CASCADE,"
	" id TEXT NOT NULL, sha256 BLOB NOT NULL, created_ms INTEGER NOT NULL,"
	" expires_ms INTEGER NOT NULL, PRIMARY KEY (tunnel, id)) STRICT;"
	"CREATE TABLE tunnel_grant (tunnel TEXT NOT NULL REFERENCES tunnel ON DELETE CASCADE,"
	" vnet TEXT NOT NULL REFERENCES vnet, prefix TEXT NOT NULL, override INTEGER NOT NULL,"
	" PRIMARY KEY (tunnel, vnet, prefix)) STRICT;"
	"CREATE TABLE tunnel_network (tunnel TEXT NOT NULL REFERENCES tunnel ON DELETE CASCADE,"
	" name TEXT NOT NULL, PRIMARY KEY (tunnel, name)) STRICT;"
	"CREATE TABLE client (id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE,"
	" email TEXT NOT NULL, created_ms INTEGER NOT NULL, revoked_ms INTEGER NOT NULL) STRICT;"
	"CREATE TABLE client_token (client TEXT NOT NULL REFERENCES client ON DELETE CASCADE,"
	" id TEXT NOT NULL UNIQUE, sha256 BLOB NOT NULL, created_ms INTEGER NOT NULL,"
	" PRIMARY KEY (client, id)) STRICT;"
	"CREATE TABLE client_grant (client TEXT NOT NULL REFERENCES client ON DELETE CASCADE,"
	" vnet TEXT NOT NULL REFERENCES vnet, prefix TEXT NOT NULL, ports TEXT NOT NULL,"
	" PRIMARY KEY (client, vnet, prefix)) STRICT;"
	"CREATE TABLE route (vnet TEXT NOT NULL REFERENCES vnet, prefix TEXT NOT NULL,"
	" tunnel TEXT NOT NULL REFERENCES tunnel ON DELETE CASCADE, comment TEXT NOT NULL,"
	" created_ms INTEGER NOT NULL, PRIMARY KEY (vnet, prefix)) STRICT;"
	"CREATE TABLE advert (tunnel TEXT NOT NULL REFERENCES tunnel ON DELETE CASCADE,"
	" connector TEXT NOT NULL, instance TEXT NOT NULL, hash BLOB NOT NULL,"
	" held_until_ms INTEGER NOT NULL, PRIMARY KEY (tunnel, connector)) STRICT;"
	"CREATE TABLE advert_entry (tunnel TEXT NOT NULL, connector TEXT NOT NULL,"
	" seq INTEGER NOT NULL, kind INTEGER NOT NULL, network TEXT NOT NULL,"
	" vnet TEXT NOT NULL, comment TEXT NOT NULL, reason TEXT NOT NULL,"
	" PRIMARY KEY (tunnel, connector, seq),"
	" FOREIGN KEY (tunnel, connector) REFERENCES advert ON DELETE CASCADE) STRICT;",
	/* 2: network policies; grants of clients name protocols */
	"ALTER TABLE client_grant ADD COLUMN protocols TEXT NOT NULL DEFAULT '*';"
	"CREATE TABLE policy (id TEXT PRIMARY KEY, position INTEGER NOT NULL,"
	" name TEXT NOT NULL UNIQUE, action TEXT NOT NULL, client TEXT NOT NULL,"
	" email TEXT NOT NULL, vnet TEXT NOT NULL, prefix TEXT NOT NULL, ports TEXT NOT NULL,"
	" protocols TEXT NOT NULL, created_ms INTEGER NOT NULL) STRICT;",
};

#define SCHEMA_VERSION ((int)ARRAY_SIZE(migrations))

struct sqlite_store {
	sqlite3 *sql;
	int lock_fd; /* closed last: closing any descriptor of the file drops SQLite's locks */
	sqlite3_stmt *puts[STORE_TABLE_N];
	sqlite3_stmt *deletes[STORE_TABLE_N][KEY_COLUMNS_MAX];
};

static int errno_of(int code)
{
	switch (code & 0xff) {
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return -EBUSY;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return -EBADMSG;
	case SQLITE_READONLY:
		return -EROFS;
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_CANTOPEN:
	case SQLITE_PERM:
		return -EACCES;
	case SQLITE_CONSTRAINT:
		return -EINVAL;
	default:
		return -EIO;
	}
}

/* The last failure of @s as -errno, with its text. Extended results name the system call's. */
static int fail(struct sqlite_store *s, char error[STORE_ERROR_MAX])
{
	int code = sqlite3_extended_errcode(s->sql);
	int system = sqlite3_system_errno(s->sql);

	if ((code & 0xff) == SQLITE_IOERR && system > 0)
		snprintf(error, STORE_ERROR_MAX, "%s: %s", sqlite3_errmsg(s->sql),
			 strerror(system));
	else
		snprintf(error, STORE_ERROR_MAX, "%s", sqlite3_errmsg(s->sql));
	return err_trace(errno_of(code));
}

static int run(struct sqlite_store *s, const char *sql, char error[STORE_ERROR_MAX])
{
	return sqlite3_exec(s->sql, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : fail(s, error);
}

/* ---- statements from tables ---- */

static void append_columns(FILE *out, const struct store_table *t, unsigned int from,
			   unsigned int to, const char *format, const char *separator)
{
	for (unsigned int i = from; i < to; i++) {
		const char *name = t->columns[i].name;

		if (i > from)
			fputs(separator, out);
		for (const char *p = format; *p; p++)
			if (*p == '$')
				fputs(name, out);
			else
				fputc(*p, out);
	}
}

static void write_put(FILE *out, const struct store_table *t, unsigned int n_key)
{
	fprintf(out, "INSERT INTO %s (", t->name);
	append_columns(out, t, 0, t->n_columns, "$", ", ");
	fputs(") VALUES (", out);
	append_columns(out, t, 0, t->n_columns, "?", ", ");
	fputs(") ON CONFLICT (", out);
	append_columns(out, t, 0, n_key, "$", ", ");
	fputs(n_key < t->n_columns ? ") DO UPDATE SET " : ") DO NOTHING", out);
	append_columns(out, t, n_key, t->n_columns, "$ = excluded.$", ", ");
}

static void write_delete(FILE *out, const struct store_table *t, unsigned int n_key)
{
	fprintf(out, "DELETE FROM %s WHERE ", t->name);
	append_columns(out, t, 0, n_key, "$ = ?", " AND ");
}

static void write_select(FILE *out, const struct store_table *t, unsigned int n_key)
{
	fputs("SELECT ", out);
	append_columns(out, t, 0, t->n_columns, "$", ", ");
	fprintf(out, " FROM %s ORDER BY ", t->name);
	append_columns(out, t, 0, n_key, "$", ", ");
}

typedef void (*sql_writer)(FILE *out, const struct store_table *t, unsigned int n_key);

static int prepare(struct sqlite_store *s, sql_writer write, const struct store_table *t,
		   unsigned int n_key, sqlite3_stmt **stmtp, char error[STORE_ERROR_MAX])
{
	char sql[SQL_MAX];
	FILE *out = fmemopen(sql, sizeof(sql), "w");

	if (!out)
		return err_trace(-ENOMEM);
	write(out, t, n_key);
	fclose(out);
	if (sqlite3_prepare_v2(s->sql, sql, -1, stmtp, NULL) != SQLITE_OK)
		return fail(s, error);
	return 0;
}

/* ---- commit ---- */

static int bind_value(sqlite3_stmt *stmt, int place, enum store_type type,
		      const struct store_value *v)
{
	switch (type) {
	case STORE_INT:
		return sqlite3_bind_int64(stmt, place, v->number);
	case STORE_TEXT:
		return sqlite3_bind_text64(stmt, place, v->data, v->n_data, SQLITE_STATIC,
					   SQLITE_UTF8);
	case STORE_BLOB:
		return sqlite3_bind_blob64(stmt, place, v->data, v->n_data, SQLITE_STATIC);
	}
	return SQLITE_MISUSE;
}

static int statement_for(struct sqlite_store *s, const struct store_change *c, sqlite3_stmt **stmtp,
			 char error[STORE_ERROR_MAX])
{
	const struct store_table *t = &store_tables[c->table];
	sqlite3_stmt **slot =
		c->is_delete ? &s->deletes[c->table][c->n_values - 1] : &s->puts[c->table];
	int r = 0;

	if (!*slot && c->is_delete)
		r = prepare(s, write_delete, t, c->n_values, slot, error);
	else if (!*slot)
		r = prepare(s, write_put, t, t->n_key, slot, error);
	*stmtp = *slot;
	return r;
}

static int apply(struct sqlite_store *s, const struct store_change *c, char error[STORE_ERROR_MAX])
{
	sqlite3_stmt *stmt;
	int code = SQLITE_OK;
	int r = statement_for(s, c, &stmt, error);

	if (r < 0)
		return r;
	for (unsigned int i = 0; i < c->n_values && code == SQLITE_OK; i++)
		code = bind_value(stmt, (int)i + 1, store_tables[c->table].columns[i].type,
				  &c->values[i]);
	if (code == SQLITE_OK)
		code = sqlite3_step(stmt);
	if (code != SQLITE_DONE)
		r = fail(s, error);
	sqlite3_reset(stmt);
	sqlite3_clear_bindings(stmt);
	return r;
}

static int sqlite_commit(void *db, const struct store_batch *batch, char error[STORE_ERROR_MAX])
{
	struct sqlite_store *s = db;
	int r = run(s, "BEGIN IMMEDIATE", error);

	if (r < 0)
		return r;
	for (size_t i = 0; i < store_batch_size(batch) && r == 0; i++)
		r = apply(s, store_batch_at(batch, i), error);
	if (r == 0)
		r = run(s, "COMMIT", error);
	/* Some failures have rolled back already (disk full): then there is nothing to do. */
	if (r < 0 && !sqlite3_get_autocommit(s->sql))
		sqlite3_exec(s->sql, "ROLLBACK", NULL, NULL, NULL);
	return r;
}

/* ---- load ---- */

static void read_row(sqlite3_stmt *stmt, const struct store_table *t, struct store_value *values)
{
	for (unsigned int i = 0; i < t->n_columns; i++) {
		struct store_value *v = &values[i];
		int column = (int)i;

		switch (t->columns[i].type) {
		case STORE_INT:
			*v = store_int(sqlite3_column_int64(stmt, column));
			break;
		case STORE_TEXT:
			v->data = sqlite3_column_text(stmt, column);
			v->n_data = (size_t)sqlite3_column_bytes(stmt, column);
			break;
		case STORE_BLOB:
			v->data = sqlite3_column_blob(stmt, column);
			v->n_data = (size_t)sqlite3_column_bytes(stmt, column);
			break;
		}
		if (t->columns[i].type == STORE_TEXT && !v->data)
			*v = store_text("");
	}
}

static int load_table(struct sqlite_store *s, enum store_table_id table, store_row_cb cb, void *ctx,
		      char error[STORE_ERROR_MAX])
{
	const struct store_table *t = &store_tables[table];
	struct store_value values[STORE_COLUMNS_MAX] = {0};
	sqlite3_stmt *stmt = NULL;
	int code = SQLITE_DONE;
	int r = prepare(s, write_select, t, t->n_key, &stmt, error);

	while (r == 0 && (code = sqlite3_step(stmt)) == SQLITE_ROW) {
		read_row(stmt, t, values);
		r = cb(ctx, table, values);
	}
	if (r == 0 && code != SQLITE_DONE)
		r = fail(s, error);
	sqlite3_finalize(stmt);
	return r;
}

static int sqlite_load(void *db, store_row_cb cb, void *ctx, char error[STORE_ERROR_MAX])
{
	int r = 0;

	for (int t = 0; t < STORE_TABLE_N && r == 0; t++)
		r = load_table(db, (enum store_table_id)t, cb, ctx, error);
	return r;
}

/* ---- open and close ---- */

static void sqlite_close(void *db)
{
	struct sqlite_store *s = db;

	for (size_t t = 0; t < STORE_TABLE_N; t++) {
		sqlite3_finalize(s->puts[t]);
		for (size_t k = 0; k < KEY_COLUMNS_MAX; k++)
			sqlite3_finalize(s->deletes[t][k]);
	}
	sqlite3_close(s->sql);
	close_fd(s->lock_fd);
	free(s);
}

/* Makes the file with its mode before SQLite does, and keeps a second edge out. */
static int lock_file(struct sqlite_store *s, const char *path, char error[STORE_ERROR_MAX])
{
	s->lock_fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (s->lock_fd < 0 || fchmod(s->lock_fd, 0600) < 0) {
		int r = -errno;

		snprintf(error, STORE_ERROR_MAX, "%s", strerror(-r));
		return err_trace(r);
	}
	if (flock(s->lock_fd, LOCK_EX | LOCK_NB) < 0) {
		snprintf(error, STORE_ERROR_MAX, "another adit-edge is using it");
		return err_trace(-EBUSY);
	}
	return 0;
}

static int number_of(struct sqlite_store *s, const char *sql, int *numberp,
		     char error[STORE_ERROR_MAX])
{
	sqlite3_stmt *stmt = NULL;
	int r = 0;

	if (sqlite3_prepare_v2(s->sql, sql, -1, &stmt, NULL) != SQLITE_OK ||
	    sqlite3_step(stmt) != SQLITE_ROW)
		r = fail(s, error);
	else
		*numberp = sqlite3_column_int(stmt, 0);
	sqlite3_finalize(stmt);
	return r;
}

/* Is it ours, whole, and not from the future? *@versionp: of its schema, 0 for a new one. */
static int check_identity(struct sqlite_store *s, int *versionp, char error[STORE_ERROR_MAX])
{
	int application = 0;
	int n_tables = 0;
	int r = number_of(s, "PRAGMA application_id", &application, error);

	if (r == 0)
		r = number_of(s, "PRAGMA user_version", versionp, error);
	if (r == 0)
		r = number_of(s, "SELECT count(*) FROM sqlite_schema", &n_tables, error);
	if (r < 0)
		return r;
	if (application != APPLICATION_ID && n_tables > 0) {
		snprintf(error, STORE_ERROR_MAX, "not a database of adit-edge");
		return err_trace(-EBADMSG);
	}
	if (*versionp > SCHEMA_VERSION) {
		snprintf(error, STORE_ERROR_MAX,
			 "made by a newer adit-edge (schema %d, this one knows up to %d): "
			 "install that version, or restore a backup",
			 *versionp, SCHEMA_VERSION);
		return err_trace(-EPROTONOSUPPORT);
	}
	return 0;
}

static int check_whole(struct sqlite_store *s, char error[STORE_ERROR_MAX])
{
	sqlite3_stmt *stmt = NULL;
	int r = 0;

	if (sqlite3_prepare_v2(s->sql, "PRAGMA quick_check(1)", -1, &stmt, NULL) != SQLITE_OK ||
	    sqlite3_step(stmt) != SQLITE_ROW) {
		r = fail(s, error);
	} else if (strcmp((const char *)sqlite3_column_text(stmt, 0), "ok") != 0) {
		snprintf(error, STORE_ERROR_MAX, "damaged: %.200s",
			 (const char *)sqlite3_column_text(stmt, 0));
		r = err_trace(-EBADMSG);
	}
	sqlite3_finalize(stmt);
	return r;
}

static int migrate(struct sqlite_store *s, int version, char error[STORE_ERROR_MAX])
{
	char stamp[128];
	int r = 0;

	for (int v = version; v < SCHEMA_VERSION && r == 0; v++) {
		snprintf(stamp, sizeof(stamp),
			 "PRAGMA application_id = %d; PRAGMA user_version = %d; COMMIT",
			 APPLICATION_ID, v + 1);
		r = run(s, "BEGIN IMMEDIATE", error);
		if (r == 0)
			r = run(s, migrations[v], error);
		if (r == 0)
			r = run(s, stamp, error);
	}
	return r;
}

static int set_up(struct sqlite_store *s, const char *path, char error[STORE_ERROR_MAX])
{
	int version = 0;
	int r = lock_file(s, path, error);

	if (r < 0)
		return r;
	if (sqlite3_open_v2(path, &s->sql, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK)
		return fail(s, error);
	sqlite3_busy_timeout(s->sql, BUSY_TIMEOUT_MS);
	r = check_identity(s, &version, error);
	if (r == 0)
		r = check_whole(s, error);
	/*
	 * FULL: an answered change survives a power cut. MEMORY: a confined edge can't make
	 * temporary files.
	 */
	if (r == 0)
		r = run(s,
			"PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
			"PRAGMA temp_store = MEMORY;"
			"PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF",
			error);
	if (r == 0)
		r = migrate(s, version, error);
	return r;
}

int store_sqlite_open(const char *path, const struct store_backend **backendp, void **dbp,
		      struct diag *diag)
{
	static const struct store_backend backend = {
		.load = sqlite_load,
		.commit = sqlite_commit,
		.close = sqlite_close,
	};
	struct sqlite_store *s = xnew(struct sqlite_store);
	char error[STORE_ERROR_MAX] = "";
	int r;

	s->lock_fd = -1;
	r = set_up(s, path, error);
	if (r < 0) {
		diag_add(diag, DIAG_ERROR, 0, "database %s: %s", path, error);
		sqlite_close(s);
		return r;
	}
	*backendp = &backend;
	*dbp = s;
	return 0;
}
