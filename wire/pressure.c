/* SPDX-License-Identifier: Apache-2.0 */

/*
 * There may be as many holders as streams, and each may hold little: each is looked at three times,
 * however many have to go. The first finds down to which size they must, in powers of two; then
 * go those above it, then those of it until that is enough.
 */

#include "wire/pressure.h"

#include "base/list.h"
#include "wire/budget.h"

#define N_CLASSES (sizeof(size_t) * 8)

/* Of what holds @n bytes, which aren't 0: 2^class and more, less than twice as many. */
static unsigned int class_of(size_t n)
{
	return (unsigned int)(N_CLASSES - 1) - (unsigned int)__builtin_clzl(n);
}

/* Those of this class and above hold @n_bytes, or are as many as may go, or are all. */
static unsigned int lowest_class(struct list *holders, const struct pressure_ops *ops,
				 uint64_t elapsed_ms, size_t n_bytes)
{
	struct {
		size_t n_bytes;
		size_t n;
	} sums[N_CLASSES] = {0}, all = {0};
	unsigned int lowest = N_CLASSES;
	struct list *pos;

	list_for_each (pos, holders) {
		size_t n = ops->stalled(pos, elapsed_ms);

		if (n == 0)
			continue;
		sums[class_of(n)].n_bytes += n;
		sums[class_of(n)].n++;
	}
	while (lowest > 0 && all.n_bytes < n_bytes && all.n < PRESSURE_CUT_MAX) {
		lowest--;
		all.n_bytes += sums[lowest].n_bytes;
		all.n += sums[lowest].n;
	}
	return lowest;
}

struct cutting {
	struct list *holders;
	const struct pressure_ops *ops;
	uint64_t elapsed_ms;
	size_t n_bytes; /* still to go */
	unsigned int n_cut;
};

/* Of the classes from @lowest to @highest. */
static void cut_classes(struct cutting *c, unsigned int lowest, unsigned int highest)
{
	struct list *pos, *tmp;

	list_for_each_safe (pos, tmp, c->holders) {
		size_t n = c->ops->stalled(pos, c->elapsed_ms);

		if (c->n_bytes == 0 || c->n_cut == PRESSURE_CUT_MAX)
			return;
		if (n == 0 || class_of(n) < lowest || class_of(n) > highest)
			continue;
		c->ops->cut(pos);
		c->n_bytes -= n < c->n_bytes ? n : c->n_bytes;
		c->n_cut++;
	}
}

static unsigned int cut_stalled(struct list *holders, const struct pressure_ops *ops,
				uint64_t elapsed_ms, size_t n_bytes)
{
	struct cutting c = {
		.holders = holders, .ops = ops, .elapsed_ms = elapsed_ms, .n_bytes = n_bytes};
	unsigned int lowest = lowest_class(holders, ops, elapsed_ms, n_bytes);

	cut_classes(&c, lowest + 1, N_CLASSES - 1);
	cut_classes(&c, lowest, lowest);
	return c.n_cut;
}

static void mark_all(struct pressure *p, struct list *holders, const struct pressure_ops *ops,
		     uint64_t now_ms)
{
	struct list *pos;

	list_for_each (pos, holders)
		ops->mark(pos);
	p->marked_ms = now_ms;
}

static uint64_t patience_ms(const struct pressure *p, uint64_t now_ms)
{
	bool is_calm = p->due_ms == 0 || now_ms - p->due_ms >= PRESSURE_CALM_MS;

	return is_calm ? PRESSURE_MS : PRESSURE_AGAIN_MS;
}

/* The sum goes on from here. */
static void look(struct pressure *p, bool is_over, uint64_t now_ms)
{
	uint64_t passed_ms = p->looked_ms == 0 ? 0 : now_ms - p->looked_ms;

	if (passed_ms > PRESSURE_LOOK_MS)
		passed_ms = PRESSURE_LOOK_MS;
	p->looked_ms = now_ms;
	if (is_over)
		p->over_ms += passed_ms;
	else
		p->over_ms -= passed_ms < p->over_ms ? passed_ms : p->over_ms;
	if (p->over_ms > PRESSURE_MS)
		p->over_ms = PRESSURE_MS;
}

unsigned int pressure_relieve(struct pressure *p, const struct budget *b, struct list *holders,
			      const struct pressure_ops *ops, uint64_t now_ms)
{
	uint64_t patience = patience_ms(p, now_ms);
	bool is_over = budget_is_over(b);
	unsigned int n_cut;

	look(p, is_over, now_ms);
	if (!is_over) {
		if (p->over_ms == 0)
			p->marked_ms = 0;
		return 0;
	}
	if (p->marked_ms == 0)
		mark_all(p, holders, ops, now_ms);
	if (p->over_ms < patience || now_ms - p->marked_ms < patience)
		return 0;
	n_cut = cut_stalled(holders, ops, now_ms - p->marked_ms, b->used_bytes - b->soft_bytes / 2);
	if (n_cut > 0) {
		p->due_ms = now_ms;
		p->over_ms = 0;
	}
	mark_all(p, holders, ops, now_ms);
	return n_cut;
}
