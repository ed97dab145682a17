/* SPDX-License-Identifier: Apache-2.0 */

#include "wire/io_loop.h"

#include <errno.h>
#include <malloc.h>

#include "base/clock.h"
#include "base/err.h"

/* Queues of less leave little behind. */
#define WORTH_GIVING_BACK ((size_t)256 * 1024)

/* Tasks per turn: enough for every link and relay, and a bound for tasks that post themselves. */
#define TASKS_PER_TURN 65536

static void run_tasks(struct io_loop *loop)
{
	struct list *node;

	for (unsigned int n = 0; n < TASKS_PER_TURN; n++) {
		node = list_pop(&loop->tasks);
		if (!node)
			return;
		list_entry(node, struct io_task, node)->run(list_entry(node, struct io_task, node));
	}
}

static void move_tasks(struct list *to, struct list *from)
{
	struct list *node;

	while ((node = list_pop(from)) != NULL)
		list_append(to, node);
}

static void io_loop_prepare_cb(uv_prepare_t *prepare)
{
	struct io_loop *loop = prepare->data;

	run_tasks(loop);
	move_tasks(&loop->tasks, &loop->later);
	/* Tasks left over must not wait for an event, and without any the loop may end. */
	if (!list_is_empty(&loop->tasks))
		uv_async_send(&loop->wakeup);
	else
		uv_unref((uv_handle_t *)prepare);
}

static void io_loop_wakeup_cb(uv_async_t *wakeup UNUSED)
{
}

static void free_closed(uv_handle_t *handle)
{
	struct io_loop *loop = handle->data;

	if (--loop->n_handles > 0)
		return;
	free(loop->rx);
	free(loop->tx);
	free(loop);
}

int io_loop_new(struct io_loop **loopp, uv_loop_t *uv, size_t soft_budget_bytes)
{
	struct io_loop *loop = xnew(struct io_loop);

	loop->uv = uv;
	list_init(&loop->tasks);
	list_init(&loop->later);
	list_init(&loop->awaiting_relief);
	budget_init(&loop->budget, soft_budget_bytes, 0);
	loop->rx = malloc(IO_LOOP_RX_BYTES);
	loop->tx = malloc(IO_LOOP_TX_BYTES);
	if (!loop->rx || !loop->tx || uv_async_init(uv, &loop->wakeup, io_loop_wakeup_cb) < 0) {
		free(loop->rx);
		free(loop->tx);
		free(loop);
		return err_trace(-ENOMEM);
	}
	uv_prepare_init(uv, &loop->prepare);
	uv_prepare_start(&loop->prepare, io_loop_prepare_cb);
	loop->n_handles = 2;
	loop->prepare.data = loop;
	loop->wakeup.data = loop;
	uv_unref((uv_handle_t *)&loop->prepare);
	uv_unref((uv_handle_t *)&loop->wakeup);
	*loopp = loop;
	return 0;
}

void io_loop_free(struct io_loop *loop)
{
	if (!loop)
		return;
	move_tasks(&loop->tasks, &loop->later);
	run_tasks(loop);
	uv_close((uv_handle_t *)&loop->prepare, free_closed);
	uv_close((uv_handle_t *)&loop->wakeup, free_closed);
}

void io_loop_buffered(struct io_loop *loop, size_t n)
{
	budget_add(&loop->budget, n);
	if (loop->budget.used_bytes > loop->lately_peak_bytes)
		loop->lately_peak_bytes = loop->budget.used_bytes;
}

void io_loop_give_back(struct io_loop *loop)
{
	if (loop->budget.used_bytes > 0 || loop->lately_peak_bytes < WORTH_GIVING_BACK)
		return;
	loop->lately_peak_bytes = 0;
#ifdef __GLIBC__
	malloc_trim(0);
#endif
}

void io_loop_unbuffered(struct io_loop *loop, size_t n)
{
	budget_sub(&loop->budget, n);
	if (budget_is_over(&loop->budget) || list_is_empty(&loop->awaiting_relief))
		return;
	move_tasks(&loop->tasks, &loop->awaiting_relief);
	uv_ref((uv_handle_t *)&loop->prepare);
}

uint64_t io_loop_now_ms(const struct io_loop *loop UNUSED)
{
	return clock_boot_ms();
}
