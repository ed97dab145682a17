/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Receive windows of a link: granted by the budget, grown by the path.
 *
 * A window is asked of the budget before the peer hears of it, and given back when the link
 * ends: what peers may send is always paid for. Windows never shrink while a link lives.
 * The PINGs that measure are not those of liveness, whose rules know one at a time.
 */

#include "base/clock.h"
#include "wire/link_private.h"

/* What one stalled reader may hold of the soft budget through growth. */
#define STREAM_BUDGET_SHARE 4

/* Marks the opaque value of a measuring PING; the clock doesn't get there. */
#define MEASURE_BIT (UINT64_C(1) << 63)

static uint32_t stream_window_max(const struct link *l, uint32_t start)
{
	size_t share = l->loop->budget.soft_bytes / STREAM_BUDGET_SHARE;
	uint32_t max = share < LINK_STREAM_WINDOW_MAX ? (uint32_t)share : LINK_STREAM_WINDOW_MAX;

	return max > start ? max : start;
}

bool link_window_open(struct link *l, struct h2_limits *limits)
{
	uint32_t granted = budget_open_link(&l->loop->budget, limits->conn_window_bytes);

	if (granted == 0)
		return false;
	limits->conn_window_bytes = granted;
	l->granted_bytes = granted;
	l->stream_window_bytes = limits->stream_window_bytes;
	l->stream_window_max = stream_window_max(l, limits->stream_window_bytes);
	bdp_init(&l->bdp, granted, LINK_CONN_WINDOW_MAX);
	return true;
}

void link_window_close(struct link *l)
{
	budget_close_link(&l->loop->budget, l->granted_bytes);
	l->granted_bytes = 0;
}

bool link_window_received(struct link *l, size_t n)
{
	uint64_t now_us = clock_monotonic_us();

	if (bdp_on_received(&l->bdp, n, now_us)) {
		l->measure_us = now_us;
		(void)h2_session_ping(l->session, now_us | MEASURE_BIT);
	}
	if (budget_take_in_hand(&l->loop->budget, n))
		return true;
	io_loop_await_relief(l->loop, &l->relief);
	return false;
}

/* The hand was counted as if all of it were kept: it may have gone out, and nobody else tells. */
void link_window_fed(struct link *l)
{
	budget_empty_hand(&l->loop->budget);
	if (!list_is_linked(&l->relief.node) || budget_is_over(&l->loop->budget))
		return;
	io_task_cancel(&l->relief);
	h2_session_release_credit(l->session);
}

void link_window_relieve(struct link *l)
{
	if (!l->session)
		return;
	/* Others were relieved first, and may have filled it again. */
	if (budget_is_over(&l->loop->budget))
		io_loop_await_relief(l->loop, &l->relief);
	else
		h2_session_release_credit(l->session);
}

static void grow(struct link *l, uint32_t window)
{
	uint32_t stream = window < l->stream_window_max ? window : l->stream_window_max;

	if (!budget_grow_link(&l->loop->budget, window - l->granted_bytes))
		return;
	l->granted_bytes = window;
	bdp_set_window(&l->bdp, window);
	if (stream > l->stream_window_bytes)
		l->stream_window_bytes = stream;
	h2_session_grow_windows(l->session, l->stream_window_bytes, window);
}

bool link_window_pong(struct link *l, uint64_t opaque)
{
	uint32_t window;

	if (opaque != (l->measure_us | MEASURE_BIT))
		return false;
	window = bdp_on_answer(&l->bdp, clock_monotonic_us());
	if (window > l->granted_bytes)
		grow(l, window);
	return true;
}
