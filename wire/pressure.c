/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/pressure.h"

#include "base/list.h"
#include "wire/budget.h"

static uint64_t patience_ms(const struct pressure *p, uint64_t now_ms)
{
	bool is_calm = p->due_ms == 0 || now_ms - p->due_ms >= PRESSURE_CALM_MS;

	return is_calm ? PRESSURE_MS : PRESSURE_AGAIN_MS;
}

size_t pressure_excess(struct pressure *p, const struct budget *b, uint64_t now_ms)
{
	if (!budget_is_over(b)) {
		p->since_ms = 0;
		return 0;
	}
	if (p->since_ms == 0 || p->n_reliefs != b->n_reliefs) {
		p->since_ms = now_ms;
		p->n_reliefs = b->n_reliefs;
	}
	if (now_ms - p->since_ms < patience_ms(p, now_ms))
		return 0;
	p->due_ms = now_ms;
	return b->used_bytes - b->soft_bytes / 2;
}

static struct list *find_largest(struct list *holders, const struct pressure_ops *ops, size_t *np)
{
	struct list *largest = NULL;
	struct list *pos;

	*np = 0;
	list_for_each (pos, holders) {
		size_t n = ops->buffered(pos);

		if (n <= *np)
			continue;
		*np = n;
		largest = pos;
	}
	return largest;
}

unsigned int pressure_cut(struct list *holders, const struct pressure_ops *ops, size_t n_bytes)
{
	unsigned int n_cut = 0;
	struct list *largest;
	size_t n;

	while (n_bytes > 0 && n_cut < PRESSURE_CUT_MAX &&
	       (largest = find_largest(holders, ops, &n)) != NULL) {
		ops->cut(largest);
		n_bytes -= n < n_bytes ? n : n_bytes;
		n_cut++;
	}
	return n_cut;
}
