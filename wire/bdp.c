/* SPDX-License-Identifier: Apache-2.0 */

#include "wire/bdp.h"

#define USEC_PER_SEC UINT64_C(1000000)

/* A burst is worth a PING when it is this part of the window: typing never is. */
#define BURST_SHARE 8

void bdp_init(struct bdp *b, uint32_t window, uint32_t window_max)
{
	*b = (struct bdp){.window = window, .window_max = window_max};
}

static void forget_burst(struct bdp *b)
{
	b->burst_bytes = 0;
	b->best_bytes_per_s = 0;
	b->n_quiet = 0;
}

static bool is_due(const struct bdp *b, uint64_t now_us)
{
	if (b->is_asking || b->window >= b->window_max)
		return false;
	if (b->n_quiet >= BDP_QUIET_MAX && now_us - b->sent_us < BDP_REST_US)
		return false;
	return b->burst_bytes >= b->window / BURST_SHARE;
}

bool bdp_on_received(struct bdp *b, uint64_t n, uint64_t now_us)
{
	if (!b->is_asking && now_us - b->received_us >= BDP_IDLE_US)
		forget_burst(b);
	b->received_us = now_us;
	b->burst_bytes += n;
	if (!is_due(b, now_us))
		return false;
	b->is_asking = true;
	b->sent_us = now_us;
	b->burst_bytes = 0;
	return true;
}

static uint32_t twice(uint64_t sample, uint32_t max)
{
	return sample > max / 2 ? max : (uint32_t)(sample * 2);
}

uint32_t bdp_on_answer(struct bdp *b, uint64_t now_us)
{
	uint64_t sample = b->burst_bytes;
	uint64_t elapsed_us = now_us > b->sent_us ? now_us - b->sent_us : 1;
	uint32_t wanted = twice(sample, b->window_max);

	if (!b->is_asking)
		return 0;
	b->is_asking = false;
	b->bytes_per_s = sample * USEC_PER_SEC / elapsed_us;
	if (b->n_quiet < BDP_QUIET_MAX)
		b->n_quiet++;
	if (b->bytes_per_s <= b->best_bytes_per_s)
		return 0;
	if (sample >= b->window / 2 && wanted > b->window)
		return wanted;
	b->best_bytes_per_s = b->bytes_per_s;
	return 0;
}

void bdp_set_window(struct bdp *b, uint32_t window)
{
	b->window = window;
	b->best_bytes_per_s = b->bytes_per_s;
	b->n_quiet = 0;
}
