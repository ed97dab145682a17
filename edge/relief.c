/* SPDX-License-Identifier: Apache-2.0 */
#include "edge/relief.h"

#include "base/log.h"
#include "edge/edge.h"
#include "edge/flow.h"
#include "wire/io_loop.h"
#include "wire/relay.h"

static size_t buffered(struct list *node)
{
	const struct flow *f = list_entry(node, struct flow, node);

	return f->dial ? buf_len(&f->dial->early) : relay_buffered(f->relay);
}

static void cut(struct list *node)
{
	flow_cut(list_entry(node, struct flow, node), STREAM_ERROR_LIMIT,
		 "buffer-budget is used up and it isn't read");
}

static const struct pressure_ops ops = {.buffered = buffered, .cut = cut};

void relief_tick(struct edge *e, uint64_t now_ms)
{
	size_t excess = pressure_excess(&e->pressure, &e->io->budget, now_ms);
	unsigned int n_cut = pressure_cut(&e->flows, &ops, excess);

	if (n_cut == 0)
		return;
	e->n_cut += n_cut;
	log_warn("buffer-budget is used up by streams that nobody reads: the largest are cut",
		 log_int("streams", n_cut));
}
