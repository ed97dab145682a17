/* SPDX-License-Identifier: Apache-2.0 */
#include "edge/relief.h"

#include "base/log.h"
#include "edge/edge.h"
#include "edge/flow.h"
#include "wire/io_loop.h"
#include "wire/relay.h"

/* While others fill it again at once there are more. */
#define TOLD_PER_MINUTE 2

static void mark(struct list *node)
{
	struct flow *f = list_entry(node, struct flow, node);

	if (f->dial)
		f->dial->is_marked = true;
	else
		relay_mark(f->relay);
}

/* Nobody takes anything before the answer. */
static size_t stalled(struct list *node, uint64_t elapsed_ms)
{
	const struct flow *f = list_entry(node, struct flow, node);

	if (f->dial)
		return f->dial->is_marked ? buf_len(&f->dial->early) : 0;
	return relay_stalled(f->relay, elapsed_ms);
}

static void cut(struct list *node)
{
	flow_cut(list_entry(node, struct flow, node), STREAM_ERROR_LIMIT,
		 "buffer-budget is used up and it isn't read");
}

static const struct pressure_ops ops = {.mark = mark, .stalled = stalled, .cut = cut};

void relief_tick(struct edge *e, uint64_t now_ms)
{
	unsigned int n_cut =
		pressure_relieve(&e->pressure, &e->io->budget, &e->flows, &ops, now_ms);

	e->n_cut += n_cut;
	if (n_cut == 0 || !quota_take(&e->cuts_told, TOLD_PER_MINUTE, now_ms))
		return;
	log_warn("buffer-budget is used up by streams that nobody reads: the largest are cut",
		 log_int("streams", n_cut));
}
