/* SPDX-License-Identifier: Apache-2.0 */

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "wire/io_loop.h"

struct counter {
	struct io_task task;
	struct io_loop *io;
	unsigned int n_runs;
	unsigned int n_wanted;
	void (*post)(struct io_loop *io, struct io_task *task);
};

static void count(struct io_task *task)
{
	struct counter *c = container_of(task, struct counter, task);

	if (++c->n_runs < c->n_wanted)
		c->post(c->io, &c->task);
}

struct world {
	uv_loop_t uv;
	struct io_loop *io;
	uv_timer_t anchor; /* a loop without active handles does not turn */
};

static void stop(uv_timer_t *timer)
{
	uv_stop(timer->loop);
}

static void world_init(struct world *w)
{
	assert_int_equal(uv_loop_init(&w->uv), 0);
	assert_int_equal(io_loop_new(&w->io, &w->uv, 1000), 0);
	uv_timer_init(&w->uv, &w->anchor);
	uv_timer_start(&w->anchor, stop, 60000, 0);
}

static void world_deinit(struct world *w)
{
	io_loop_free(w->io);
	uv_close((uv_handle_t *)&w->anchor, NULL);
	uv_run(&w->uv, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&w->uv), 0);
}

static void counter_init(struct counter *c, struct world *w, unsigned int n_wanted,
			 void (*post)(struct io_loop *, struct io_task *))
{
	*c = (struct counter){.io = w->io, .n_wanted = n_wanted, .post = post};
	io_task_init(&c->task, count);
}

static void a_task_runs_once_however_often_it_was_posted(void **state UNUSED)
{
	struct world w;
	struct counter c;

	world_init(&w);
	counter_init(&c, &w, 1, io_task_post);
	io_task_post(w.io, &c.task);
	io_task_post(w.io, &c.task);
	uv_run(&w.uv, UV_RUN_NOWAIT);
	uv_run(&w.uv, UV_RUN_NOWAIT);
	assert_int_equal(c.n_runs, 1);
	io_task_post(w.io, &c.task);
	io_task_cancel(&c.task);
	uv_run(&w.uv, UV_RUN_NOWAIT);
	assert_int_equal(c.n_runs, 1);
	world_deinit(&w);
}

static void what_a_task_posts_runs_in_the_same_turn(void **state UNUSED)
{
	struct world w;
	struct counter c;

	world_init(&w);
	counter_init(&c, &w, 5, io_task_post);
	io_task_post(w.io, &c.task);
	uv_run(&w.uv, UV_RUN_NOWAIT);
	assert_int_equal(c.n_runs, 5);
	world_deinit(&w);
}

static void a_task_for_later_runs_once_per_turn_and_wakes_the_loop(void **state UNUSED)
{
	struct world w;
	struct counter c;

	world_init(&w);
	counter_init(&c, &w, 4, io_task_post_later);
	io_task_post(w.io, &c.task);
	/* Would sleep for a minute if nothing woke it. */
	for (unsigned int turn = 0; turn < 3; turn++) {
		assert_int_equal(c.n_runs, turn);
		uv_run(&w.uv, UV_RUN_ONCE);
	}
	assert_int_equal(c.n_runs, 3);
	world_deinit(&w);
}

static void tasks_keep_the_loop_alive_until_they_have_run(void **state UNUSED)
{
	struct world w;
	struct counter c;

	world_init(&w);
	uv_timer_stop(&w.anchor);
	counter_init(&c, &w, 3, io_task_post_later);
	io_task_post_later(w.io, &c.task);
	/* Would return at once, or never. */
	assert_int_equal(uv_run(&w.uv, UV_RUN_DEFAULT), 0);
	assert_int_equal(c.n_runs, 3);
	world_deinit(&w);
}

static void relief_comes_when_the_budget_is_under_its_limit(void **state UNUSED)
{
	struct world w;
	struct counter c;

	world_init(&w);
	counter_init(&c, &w, 1, io_task_post);
	io_loop_buffered(w.io, 3000);
	io_loop_await_relief(w.io, &c.task);
	io_loop_unbuffered(w.io, 1500);
	uv_run(&w.uv, UV_RUN_NOWAIT);
	assert_int_equal(c.n_runs, 0);
	io_loop_unbuffered(w.io, 500);
	uv_run(&w.uv, UV_RUN_NOWAIT);
	assert_int_equal(c.n_runs, 1);
	io_loop_unbuffered(w.io, 1000);
	world_deinit(&w);
}

static void memory_goes_back_when_large_queues_are_empty(void **state UNUSED)
{
	static struct world w;
	const size_t much = 1024 * 1024;

	world_init(&w);
	io_loop_buffered(w.io, much);
	io_loop_give_back(w.io);
	assert_int_equal(w.io->lately_peak_bytes, much);
	io_loop_unbuffered(w.io, much);
	io_loop_give_back(w.io);
	assert_int_equal(w.io->lately_peak_bytes, 0);
	/* Little is not worth the walk through the heap. */
	io_loop_buffered(w.io, 1000);
	io_loop_unbuffered(w.io, 1000);
	io_loop_give_back(w.io);
	assert_int_equal(w.io->lately_peak_bytes, 1000);
	world_deinit(&w);
}

static void windows_that_do_not_fit_are_refused(void **state UNUSED)
{
	struct budget b;

	budget_init(&b, 1000, 1000 + 300000);
	assert_int_equal(budget_open_link(&b, 200000), 200000);
	assert_false(budget_grow_link(&b, 100001));
	/* Not what it wants, but what HTTP/2 begins with. */
	assert_int_equal(budget_open_link(&b, 200000), BUDGET_WINDOW_MIN);
	assert_int_equal(budget_open_link(&b, 1), 0);
	assert_true(budget_grow_link(&b, 100000 - BUDGET_WINDOW_MIN));
	assert_false(budget_grow_link(&b, 1));
	budget_close_link(&b, 200000);
	budget_close_link(&b, 0);
	assert_int_equal(b.n_links, 1);
	assert_int_equal(budget_open_link(&b, UINT32_MAX), BUDGET_WINDOW_MIN);
	/* A hard limit below the soft one leaves no room for windows. */
	budget_init(&b, 1000, 500);
	assert_int_equal(budget_open_link(&b, 1), 0);
}

static void links_that_may_still_come_keep_their_windows(void **state UNUSED)
{
	const uint32_t min = BUDGET_WINDOW_MIN;
	struct budget b;

	budget_init(&b, 1000, 0);
	budget_set_windows(&b, (size_t)4 * min + 10, 4);
	assert_int_equal(budget_open_link(&b, min + 11), min);
	assert_int_equal(budget_open_link(&b, min + 10), min + 10);
	assert_false(budget_grow_link(&b, 1));
	assert_int_equal(budget_open_link(&b, min + 1), min);
	assert_int_equal(budget_open_link(&b, min + 1), min);
	assert_int_equal(budget_open_link(&b, min), 0);
	/* One that left may come again: its place is not for growth. */
	budget_close_link(&b, min);
	assert_false(budget_grow_link(&b, 1));
	assert_int_equal(budget_open_link(&b, min), min);
	/* Fewer are allowed by a reload: what was granted stays. */
	budget_set_windows(&b, 1, 1);
	assert_false(budget_grow_link(&b, 1));
	assert_int_equal(budget_open_link(&b, min), 0);
}

static void what_is_in_hand_counts_before_it_is_kept(void **state UNUSED)
{
	struct budget b;

	budget_init(&b, 1000, 0);
	assert_true(budget_take_in_hand(&b, 600));
	assert_true(budget_take_in_hand(&b, 400));
	assert_false(budget_take_in_hand(&b, 1));
	budget_empty_hand(&b);
	budget_add(&b, 999);
	assert_true(budget_take_in_hand(&b, 1));
	budget_empty_hand(&b);
	assert_false(budget_take_in_hand(&b, 2));
	budget_sub(&b, 900);
	assert_int_equal(b.peak_bytes, 999);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_task_runs_once_however_often_it_was_posted),
		cmocka_unit_test(what_a_task_posts_runs_in_the_same_turn),
		cmocka_unit_test(a_task_for_later_runs_once_per_turn_and_wakes_the_loop),
		cmocka_unit_test(tasks_keep_the_loop_alive_until_they_have_run),
		cmocka_unit_test(relief_comes_when_the_budget_is_under_its_limit),
		cmocka_unit_test(memory_goes_back_when_large_queues_are_empty),
		cmocka_unit_test(windows_that_do_not_fit_are_refused),
		cmocka_unit_test(links_that_may_still_come_keep_their_windows),
		cmocka_unit_test(what_is_in_hand_counts_before_it_is_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
