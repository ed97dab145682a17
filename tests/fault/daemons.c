/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fault/daemons.h"

#include <poll.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/compiler.h"
#include "base/confinement.h"
#include "tests/fault/fault.h"

static _Thread_local struct daemon *self;

/* ---- time ---- */

static _Atomic uint64_t ahead_ms;

void time_jump(uint64_t ms)
{
	ahead_ms += ms;
}

/* In the place of libc's, for libraries too: libuv's timers go by it. */
int clock_gettime(clockid_t clock, struct timespec *ts)
{
	long r = syscall(SYS_clock_gettime, clock, ts);

	if (r < 0 || clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE ||
	    clock == CLOCK_PROCESS_CPUTIME_ID || clock == CLOCK_THREAD_CPUTIME_ID)
		return (int)r;
	ts->tv_sec += (time_t)(ahead_ms / 1000);
	ts->tv_nsec += (long)(ahead_ms % 1000) * 1000000;
	if (ts->tv_nsec >= 1000000000) {
		ts->tv_nsec -= 1000000000;
		ts->tv_sec++;
	}
	return 0;
}

/* The disk isn't under test. */
int fsync(int fd UNUSED)
{
	return 0;
}

int fdatasync(int fd UNUSED)
{
	return 0;
}

/* ---- turns ---- */

/* In the daemon's thread. */
static void pass_baton(void)
{
	sem_post(&self->back);
	while (sem_wait(&self->go) < 0)
		;
}

static void tell_signal(struct daemon *d)
{
	int number = d->signal;

	d->signal = 0;
	for (unsigned int i = 0; number && i < d->n_signals; i++)
		if (d->signals[i].number == number)
			d->signals[i].cb(d->signals[i].handle, number);
}

int __real_uv_run(uv_loop_t *loop, uv_run_mode mode);
int __wrap_uv_run(uv_loop_t *loop, uv_run_mode mode);
int __wrap_uv_run(uv_loop_t *loop, uv_run_mode mode)
{
	int alive;

	if (!self || mode != UV_RUN_DEFAULT)
		return __real_uv_run(loop, mode);
	self->loop = loop;
	self->was_stopped = false;
	while ((alive = __real_uv_run(loop, UV_RUN_NOWAIT)) != 0 && !self->was_stopped) {
		pass_baton();
		tell_signal(self);
	}
	self->loop = NULL;
	return alive;
}

void __real_uv_stop(uv_loop_t *loop);
void __wrap_uv_stop(uv_loop_t *loop);
void __wrap_uv_stop(uv_loop_t *loop)
{
	if (self)
		self->was_stopped = true;
	__real_uv_stop(loop);
}

int __real_uv_signal_start(uv_signal_t *handle, uv_signal_cb cb, int number);
int __wrap_uv_signal_start(uv_signal_t *handle, uv_signal_cb cb, int number);
int __wrap_uv_signal_start(uv_signal_t *handle, uv_signal_cb cb, int number)
{
	if (self->n_signals < DAEMON_SIGNALS_MAX)
		self->signals[self->n_signals++] = (struct daemon_signal){handle, cb, number};
	/* The process's own signals stay the test's. */
	return 0;
}

/* A process that ends without looking back; the test must hear of it. */
void __wrap__exit(int code);
void __wrap__exit(int code)
{
	fprintf(stderr, "%s ended by _exit(%d)\n", self->name, code);
	abort();
}

/* What a process may do to itself once. */
int __wrap_confine(const struct confinement *c, struct confined *done, struct diag *diag);
int __wrap_confine(const struct confinement *c UNUSED, struct confined *done,
		   struct diag *diag UNUSED)
{
	*done = (struct confined){0};
	return 0;
}

int __wrap_prctl(int option, ...);
int __wrap_prctl(int option UNUSED, ...)
{
	return 0;
}

static void *daemon_thread(void *arg)
{
	self = arg;
	fault_set_thread(&self->counts);
	while (sem_wait(&self->go) < 0)
		;
	self->exit_code = self->run();
	fault_set_thread(&fault_never);
	self->has_ended = true;
	self->n_signals = 0;
	sem_post(&self->back);
	return NULL;
}

void daemon_start(struct daemon *d)
{
	d->has_ended = false;
	d->signal = 0;
	sem_init(&d->go, 0, 0);
	sem_init(&d->back, 0, 0);
	if (pthread_create(&d->thread, NULL, daemon_thread, d) != 0)
		abort();
	d->is_up = true;
}

bool daemon_turn(struct daemon *d)
{
	if (!d->is_up)
		return true;
	sem_post(&d->go);
	while (sem_wait(&d->back) < 0)
		;
	if (!d->has_ended)
		return false;
	pthread_join(d->thread, NULL);
	sem_destroy(&d->go);
	sem_destroy(&d->back);
	d->is_up = false;
	return true;
}

void *daemon_owner(const struct daemon *d)
{
	return d->n_signals ? d->signals[0].handle->data : NULL;
}

/* ---- quiet ---- */

bool loop_is_quiet(uv_loop_t *loop, uint64_t *wait_msp)
{
	struct pollfd backend = {.fd = uv_backend_fd(loop), .events = POLLIN};
	int timeout_ms;

	/* Of a loop without handles uv says that it has something to do. */
	if (!uv_loop_alive(loop))
		return true;
	uv_update_time(loop);
	timeout_ms = uv_backend_timeout(loop);
	if (timeout_ms == 0 || poll(&backend, 1, 0) != 0)
		return false;
	if (timeout_ms > 0 && (uint64_t)timeout_ms < *wait_msp)
		*wait_msp = (uint64_t)timeout_ms;
	return true;
}

/* ---- workers ---- */

static _Atomic unsigned int n_work_out;

unsigned int work_out(void)
{
	return n_work_out;
}

void work_begin(void)
{
	n_work_out++;
}

void work_end(void)
{
	n_work_out--;
}

/* At most one is out: reloads follow each other. */
static uv_after_work_cb after_work;

static void work_done(uv_work_t *req, int status)
{
	work_end();
	after_work(req, status);
}

int __real_uv_queue_work(uv_loop_t *loop, uv_work_t *req, uv_work_cb cb, uv_after_work_cb after);
int __wrap_uv_queue_work(uv_loop_t *loop, uv_work_t *req, uv_work_cb cb, uv_after_work_cb after);
int __wrap_uv_queue_work(uv_loop_t *loop, uv_work_t *req, uv_work_cb cb, uv_after_work_cb after)
{
	work_begin();
	after_work = after;
	return __real_uv_queue_work(loop, req, cb, work_done);
}

/* The store's: it is told of a job by a condition, and tells of its end by its async handle. */
static _Thread_local bool is_worker;
static _Atomic unsigned int n_jobs_out;

void __real_uv_cond_signal(uv_cond_t *cond);
void __wrap_uv_cond_signal(uv_cond_t *cond);
void __wrap_uv_cond_signal(uv_cond_t *cond)
{
	n_jobs_out++;
	work_begin();
	__real_uv_cond_signal(cond);
}

int __real_uv_async_send(uv_async_t *async);
int __wrap_uv_async_send(uv_async_t *async);
int __wrap_uv_async_send(uv_async_t *async)
{
	int r = __real_uv_async_send(async);

	if (is_worker) {
		n_jobs_out--;
		work_end();
	}
	return r;
}

/* To end it, it is told as well, and has no more to tell. */
int __real_uv_thread_join(uv_thread_t *thread);
int __wrap_uv_thread_join(uv_thread_t *thread);
int __wrap_uv_thread_join(uv_thread_t *thread)
{
	int r = __real_uv_thread_join(thread);

	for (; n_jobs_out > 0; n_jobs_out--)
		work_end();
	return r;
}

struct start {
	uv_thread_cb entry;
	void *arg;
	struct daemon *of;
};

static void start_thread(void *arg)
{
	struct start start = *(struct start *)arg;

	free(arg);
	self = start.of;
	is_worker = true;
	fault_set_thread(&start.of->counts);
	start.entry(start.arg);
}

int __real_uv_thread_create(uv_thread_t *thread, uv_thread_cb entry, void *arg);
int __wrap_uv_thread_create(uv_thread_t *thread, uv_thread_cb entry, void *arg);
int __wrap_uv_thread_create(uv_thread_t *thread, uv_thread_cb entry, void *arg)
{
	struct start *start = calloc(1, sizeof(*start));
	int r;

	if (!start)
		return UV_EAGAIN;
	*start = (struct start){entry, arg, self};
	r = __real_uv_thread_create(thread, start_thread, start);
	if (r < 0)
		free(start);
	return r;
}
