/* SPDX-License-Identifier: Apache-2.0 */
#include "edge/relief.h"

#include "base/log.h"
#include "edge/edge.h"
#include "edge/flow.h"
#include "wire/io_loop.h"
#include "wire/relay.h"

static size_t buffered(const struct flow *f)
{
	return f->dial ? buf_len(&f->dial->early) : relay_buffered(f->relay);
}

/* The flow that holds most, and how much. NULL: none holds anything. */
static struct flow *find_largest(const struct edge *e, size_t *np)
{
	struct flow *largest = NULL;
	struct list *pos;

	*np = 0;
	list_for_each (pos, &e->flows) {
		struct flow *f = list_entry(pos, struct flow, node);
		size_t n = buffered(f);

		if (n <= *np)
			continue;
		*np = n;
		largest = f;
	}
	return largest;
}

void relief_tick(struct edge *e, uint64_t now_ms)
{
	size_t excess = pressure_excess(&e->pressure, &e->io->budget, now_ms);
	unsigned int n_cut = 0;
	struct flow *f;
	size_t n;

	while (excess > 0 && n_cut < PRESSURE_CUT_MAX && (f = find_largest(e, &n)) != NULL) {
		flow_cut(f, STREAM_ERROR_LIMIT, "buffer-budget is used up and it isn't read");
		excess -= n < excess ? n : excess;
		n_cut++;
	}
	if (n_cut == 0)
		return;
	e->n_cut += n_cut;
	log_warn("buffer-budget is used up by streams that nobody reads: the largest are cut",
		 log_int("streams", n_cut));
}
