/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * store - the edge's records on disk
 *
 * Rows of a few tables, read whole at start and changed in batches. The loop never
 * waits: batches are committed one after the other, in order, by one worker thread, each
 * whole or not at all; the callback runs on the loop after the commit. What a database
 * has to provide is struct store_backend; SQLite (store_sqlite.c) is one.
 *
 * Threading: everything but the backend's functions is for the loop thread.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "base/cleanup.h"
#include "base/compiler.h"

struct diag;
struct store;
struct store_batch;

enum store_table_id {
	STORE_META,	      /* key; value */
	STORE_VNET,	      /* id; name, comment, is_default */
	STORE_TUNNEL,	      /* id; name, account_tag, created_ms */
	STORE_TUNNEL_SEEN,    /* tunnel; seen_ms */
	STORE_TUNNEL_SECRET,  /* tunnel, id; sha256, created_ms, expires_ms */
	STORE_TUNNEL_GRANT,   /* tunnel, vnet, prefix; override */
	STORE_TUNNEL_NETWORK, /* tunnel, name */
	STORE_CLIENT,	      /* id; name, email, created_ms, revoked_ms */
	STORE_CLIENT_TOKEN,   /* client, id; sha256, created_ms */
	STORE_CLIENT_GRANT,   /* client, vnet, prefix; ports, protocols */
	STORE_ROUTE,	      /* vnet, prefix; tunnel, comment, created_ms */
	STORE_ADVERT,	      /* tunnel, connector; instance, hash, held_until_ms */
	STORE_ADVERT_ENTRY,   /* tunnel, connector, seq; kind, network, vnet, comment, reason */
	STORE_POLICY, /* id; position, name, action, client, email, vnet, prefix, ports, protocols,
			 created_ms */
	STORE_TABLE_N,
};

#define STORE_COLUMNS_MAX 12

enum store_type {
	STORE_INT,
	STORE_TEXT,
	STORE_BLOB,
};

struct store_column {
	const char *name;
	enum store_type type;
};

/* A table's shape. Its first @n_key columns name a row. */
struct store_table {
	const char *name;
	struct store_column columns[STORE_COLUMNS_MAX];
	unsigned int n_columns;
	unsigned int n_key;
};

extern const struct store_table store_tables[STORE_TABLE_N];

/* Texts are NUL-terminated (@n_data without it); blobs are not. */
struct store_value {
	int64_t number;
	const void *data;
	size_t n_data;
};

static inline struct store_value store_int(int64_t number)
{
	return (struct store_value){.number = number};
}

struct store_value store_text(const char *text);

static inline struct store_value store_blob(const void *data, size_t n)
{
	return (struct store_value){.data = data, .n_data = n};
}

/* One row to write (by its key), or all rows whose first @n_values columns match to delete. */
struct store_change {
	enum store_table_id table;
	unsigned int n_values; /* put: all columns */
	bool is_delete;
	struct store_value values[STORE_COLUMNS_MAX];
};

/* ---- batches ---- */

struct store_batch *store_batch_new(void);
struct store_batch *store_batch_free(struct store_batch *b);
DEFINE_CLEANUP(struct store_batch *, store_batch_free);

/* Values are copied. Changes are applied in the order they were added. */
void store_batch_put(struct store_batch *b, enum store_table_id table,
		     const struct store_value *values);
/* @n_values: 1 up to the table's key columns. Rows that refer to a deleted one go, too. */
void store_batch_delete(struct store_batch *b, enum store_table_id table,
			const struct store_value *values, unsigned int n_values);
size_t store_batch_size(const struct store_batch *b);
const struct store_change *store_batch_at(const struct store_batch *b, size_t i);

/* ---- backends ---- */

#define STORE_ERROR_MAX 256

/* @values: all columns, valid for the call. Negative ends the load. */
typedef int (*store_row_cb)(void *ctx, enum store_table_id table, const struct store_value *values);

/*
 * A database connection. @load runs before the worker starts, @commit on the worker, or without
 * one in store_free().
 * Failures are -errno (-ENOSPC: disk full, -EIO: damaged, ...) with a text for people in @error.
 */
struct store_backend {
	int (*load)(void *db, store_row_cb cb, void *ctx, char error[STORE_ERROR_MAX]);
	int (*commit)(void *db, const struct store_batch *batch, char error[STORE_ERROR_MAX]);
	void (*close)(void *db);
};

/*
 * Opens (creates, mode 0600) the SQLite database @path and brings its schema up to date.
 * 0; -errno with the reason in @diag: damaged, made by a newer version, not ours, in use.
 */
NODISCARD int store_sqlite_open(const char *path, const struct store_backend **backendp, void **dbp,
				struct diag *diag);

/* ---- the store ---- */

/*
 * Takes @db over, also on failure. The uv loop stays alive while a batch isn't answered, no
 * longer. Batches wait for store_start(). 0 or -errno.
 */
NODISCARD int store_new(struct store **storep, uv_loop_t *uv, const struct store_backend *backend,
			void *db);

/*
 * Begins the worker; again: nothing. A thread has the capabilities and the Landlock domain of the
 * one that makes it: so after these were narrowed. 0 or -errno.
 */
NODISCARD int store_start(struct store *s);

/* Commits and answers what waits for a worker that never began, here and now. NULL is fine. */
void store_finish(struct store *s);

/*
 * Commits what is queued, runs the callbacks, closes the database. May block for as long
 * as the disk takes. Handles close on the loop. NULL is fine.
 */
void store_free(struct store *s);
DEFINE_CLEANUP(struct store *, store_free);

/* All rows, parents before the rows that refer to them. Only before the first commit. */
NODISCARD int store_load(struct store *s, store_row_cb cb, void *ctx, char error[STORE_ERROR_MAX]);

/* @status: 0, or -errno with @error: nothing of @batch was written. It is freed afterwards. */
typedef void (*store_commit_cb)(void *ctx, const struct store_batch *batch, int status,
				const char *error);

/*
 * Queues @batch (taken over). @cb runs on the loop, never before the return; while the store is
 * being freed it runs with -ESHUTDOWN, at once. @cb may be NULL.
 */
void store_commit(struct store *s, struct store_batch *batch, store_commit_cb cb, void *ctx);
