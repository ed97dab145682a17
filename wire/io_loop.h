/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * io_loop - what links, relays and sockets of one uv loop share
 *
 * Tasks run once, right before the loop waits for events (and again until none
 * is left, bounded per turn): links flush their output there, so that
 * everything one turn produced goes out together, and objects are freed there,
 * so that no callback frees the object it runs on.
 */

#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "base/cleanup.h"
#include "base/list.h"
#include "wire/budget.h"

#define IO_LOOP_RX_BYTES (128 * 1024)
#define IO_LOOP_TX_BYTES (304 * 1024) /* H2_PULL_MAX, TLS_WRITE_MAX */

struct io_task {
	struct list node;
	void (*run)(struct io_task *task);
};

struct io_loop {
	uv_loop_t *uv;
	uv_prepare_t prepare;
	uv_async_t wakeup; /* a turn ended with tasks left */
	unsigned int n_handles;
	struct list tasks;
	struct list later;	     /* tasks of the next turn */
	struct list awaiting_relief; /* tasks to run when the budget is under its limit again */
	struct budget budget;	     /* bytes buffered by all relays of the loop */
	size_t lately_peak_bytes;    /* of it, since memory was given back */
	uint8_t *rx;		     /* IO_LOOP_RX_BYTES; used within one read callback only */
	uint8_t *tx;		     /* IO_LOOP_TX_BYTES; used within one flush only */
};

/* @uv is borrowed. @soft_budget_bytes: see budget.h. 0 or -errno. */
int io_loop_new(struct io_loop **loopp, uv_loop_t *uv, size_t soft_budget_bytes);
/* Runs what is left, then closes its handle: run the uv loop once more before uv_loop_close(). */
void io_loop_free(struct io_loop *loop);
DEFINE_CLEANUP(struct io_loop *, io_loop_free);

static inline void io_task_init(struct io_task *task, void (*run)(struct io_task *))
{
	list_init(&task->node);
	task->run = run;
}

/*
 * Idempotent until it has run; a task may post itself or others again. The loop goes on until it
 * has run, also without any other active handle.
 */
static inline void io_task_post(struct io_loop *loop, struct io_task *task)
{
	if (list_is_linked(&task->node))
		return;
	list_append(&loop->tasks, &task->node);
	uv_ref((uv_handle_t *)&loop->prepare);
}

/*
 * The same for the next turn, whatever comes in between: for a loop that stops at its bound, so
 * that the other descriptors have their turn first.
 */
static inline void io_task_post_later(struct io_loop *loop, struct io_task *task)
{
	if (list_is_linked(&task->node))
		return;
	list_append(&loop->later, &task->node);
	uv_ref((uv_handle_t *)&loop->prepare);
}

static inline void io_task_cancel(struct io_task *task)
{
	list_remove(&task->node);
}

/* @n more bytes are buffered. */
void io_loop_buffered(struct io_loop *loop, size_t n);
/* @n of them are gone. */
void io_loop_unbuffered(struct io_loop *loop, size_t n);
/*
 * To be called now and then: what large queues have left in the heap goes back to the system once
 * they are empty. libc keeps it otherwise, up to twice the largest block that there ever was.
 */
void io_loop_give_back(struct io_loop *loop);
/* Posts @task when the budget is under its soft limit again. Idempotent. */
static inline void io_loop_await_relief(struct io_loop *loop, struct io_task *task)
{
	if (!list_is_linked(&task->node))
		list_append(&loop->awaiting_relief, &task->node);
}

/* Now on the loop's clock: boot time in ms (clock_boot_ms()). */
uint64_t io_loop_now_ms(const struct io_loop *loop);
