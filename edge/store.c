/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One worker thread commits jobs in the order in which they were queued. `pending` and
 * `finished` are shared under the mutex; everything else of the store belongs to the loop, the
 * database to the worker while it runs.
 */
#include "edge/store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/list.h"
#include "edge/store_batch.h"

struct store_job {
	struct list node;
	struct store_batch *batch;
	store_commit_cb cb;
	void *ctx;
	int status;
	char error[STORE_ERROR_MAX];
};

struct store {
	const struct store_backend *backend;
	void *db;
	uv_async_t async; /* worker -> loop: `finished` has jobs */
	uv_thread_t worker;
	uv_mutex_t mutex;
	uv_cond_t wake;
	struct list pending;
	struct list finished;
	size_t n_unfinished; /* loop only: queued and not called back; the loop lives as long */
	bool is_stopping;    /* under the mutex: the worker ends when nothing is pending */
	bool has_worker;     /* loop only */
	bool is_closed;	     /* loop only: nothing is queued any more */
};

struct store_value store_text(const char *text)
{
	return (struct store_value){.data = text, .n_data = strlen(text)};
}

/* ---- worker ---- */

static void commit_job(struct store *s, struct store_job *job)
{
	if (store_batch_is_incomplete(job->batch)) {
		job->status = -ENOMEM;
		memcpy(job->error, "out of memory", sizeof("out of memory"));
		return;
	}
	job->status = s->backend->commit(s->db, job->batch, job->error);
}

/* The next job, or NULL when the store stops and none is left. Waits. */
static struct store_job *next_job(struct store *s)
{
	struct list *node;

	uv_mutex_lock(&s->mutex);
	while (list_is_empty(&s->pending) && !s->is_stopping)
		uv_cond_wait(&s->wake, &s->mutex);
	node = list_pop(&s->pending);
	uv_mutex_unlock(&s->mutex);
	return node ? list_entry(node, struct store_job, node) : NULL;
}

static void work(void *arg)
{
	struct store *s = arg;
	struct store_job *job;

	while ((job = next_job(s))) {
		commit_job(s, job);
		uv_mutex_lock(&s->mutex);
		list_append(&s->finished, &job->node);
		uv_mutex_unlock(&s->mutex);
		uv_async_send(&s->async);
	}
}

/* ---- loop ---- */

static void finish_job(struct store_job *job)
{
	if (job->cb)
		job->cb(job->ctx, job->batch, job->status, job->error);
	store_batch_free(job->batch);
	free(job);
}

static void finish_jobs(struct store *s)
{
	struct list *node;

	do {
		uv_mutex_lock(&s->mutex);
		node = list_pop(&s->finished);
		uv_mutex_unlock(&s->mutex);
		if (node) {
			s->n_unfinished--;
			finish_job(list_entry(node, struct store_job, node));
		}
	} while (node);
	if (s->n_unfinished == 0)
		uv_unref((uv_handle_t *)&s->async);
}

static void store_async_cb(uv_async_t *async)
{
	finish_jobs(async->data);
}

static void store_closed_cb(uv_handle_t *handle)
{
	free(handle->data);
}

static int init_shared(struct store *s)
{
	int r = uv_mutex_init(&s->mutex);

	if (r < 0)
		return r;
	r = uv_cond_init(&s->wake);
	if (r < 0)
		uv_mutex_destroy(&s->mutex);
	return r;
}

static void deinit_shared(struct store *s)
{
	uv_cond_destroy(&s->wake);
	uv_mutex_destroy(&s->mutex);
}

/* On failure nothing is left. */
static int make(struct store *s, uv_loop_t *uv)
{
	int r = init_shared(s);

	if (r < 0) {
		free(s);
		return r;
	}
	r = uv_async_init(uv, &s->async, store_async_cb);
	if (r < 0) {
		deinit_shared(s);
		free(s);
		return r;
	}
	s->async.data = s;
	uv_unref((uv_handle_t *)&s->async);
	return 0;
}

int store_new(struct store **storep, uv_loop_t *uv, const struct store_backend *backend, void *db)
{
	struct store *s = xnew(struct store);
	int r;

	s->backend = backend;
	s->db = db;
	list_init(&s->pending);
	list_init(&s->finished);
	r = make(s, uv);
	if (r < 0) {
		backend->close(db);
		return err_trace(r);
	}
	*storep = s;
	return 0;
}

int store_start(struct store *s)
{
	int r;

	if (s->has_worker)
		return 0;
	r = uv_thread_create(&s->worker, work, s);
	s->has_worker = r == 0;
	return err_trace(r);
}

void store_finish(struct store *s)
{
	if (!s || s->has_worker)
		return;
	s->is_stopping = true;
	while (s->n_unfinished > 0) {
		work(s);
		finish_jobs(s);
	}
}

void store_free(struct store *s)
{
	if (!s)
		return;
	uv_mutex_lock(&s->mutex);
	s->is_stopping = true;
	uv_cond_signal(&s->wake);
	uv_mutex_unlock(&s->mutex);
	if (s->has_worker)
		uv_thread_join(&s->worker);
	else
		work(s);
	s->is_closed = true;
	finish_jobs(s);
	s->backend->close(s->db);
	deinit_shared(s);
	uv_close((uv_handle_t *)&s->async, store_closed_cb);
}

int store_load(struct store *s, store_row_cb cb, void *ctx, char error[STORE_ERROR_MAX])
{
	return s->backend->load(s->db, cb, ctx, error);
}

void store_commit(struct store *s, struct store_batch *batch, store_commit_cb cb, void *ctx)
{
	struct store_job *job = xnew(struct store_job);

	job->batch = batch;
	job->cb = cb;
	job->ctx = ctx;
	if (s->is_closed) {
		job->status = -ESHUTDOWN;
		memcpy(job->error, "the edge is stopping", sizeof("the edge is stopping"));
		finish_job(job);
		return;
	}
	s->n_unfinished++;
	uv_ref((uv_handle_t *)&s->async);
	uv_mutex_lock(&s->mutex);
	list_append(&s->pending, &job->node);
	uv_cond_signal(&s->wake);
	uv_mutex_unlock(&s->mutex);
}
