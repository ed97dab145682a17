/* SPDX-License-Identifier: Apache-2.0 */
#include "routing/ports.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/addr.h"

#define RANGE_TEXT_MAX 12 /* 65535-65535 and NUL */

static int parse_range(char *text, struct port_range *rangep)
{
	char *dash = strchr(text, '-');
	int r;

	if (dash)
		*dash = '\0';
	r = port_parse(text, &rangep->first);
	if (r < 0)
		return r;
	rangep->last = rangep->first;
	if (dash && port_parse(dash + 1, &rangep->last) < 0)
		return -EINVAL;
	return rangep->first <= rangep->last ? 0 : -EINVAL;
}

/* Keeps the ranges sorted and apart, so that equal sets are equal structs. */
static int add_range(struct ports *p, struct port_range range)
{
	size_t at = 0, until;

	while (at < p->n && p->ranges[at].last + 1 < range.first)
		at++;
	for (until = at; until < p->n && p->ranges[until].first <= range.last + 1; until++) {
		if (p->ranges[until].first < range.first)
			range.first = p->ranges[until].first;
		if (p->ranges[until].last > range.last)
			range.last = p->ranges[until].last;
	}
	if (until == at && p->n == PORTS_RANGES_MAX)
		return -E2BIG;
	memmove(&p->ranges[at + 1], &p->ranges[until], (p->n - until) * sizeof(range));
	p->ranges[at] = range;
	p->n = p->n - (until - at) + 1;
	return 0;
}

int ports_add(struct ports *p, const char *text)
{
	char copy[RANGE_TEXT_MAX];
	struct port_range range;
	int r;

	if ((size_t)snprintf(copy, sizeof(copy), "%s", text) >= sizeof(copy))
		return -EINVAL;
	r = parse_range(copy, &range);
	return r < 0 ? r : add_range(p, range);
}

int ports_parse(const char *text, struct ports *portsp)
{
	struct ports p = {0};
	const char *end;
	int r = 0;

	if (!*text || strcmp(text, "*") == 0) {
		*portsp = p;
		return 0;
	}
	for (; r == 0; text = end + 1) {
		char part[RANGE_TEXT_MAX];

		text += strspn(text, " ");
		end = text + strcspn(text, ",");
		if ((size_t)(end - text) >= sizeof(part))
			return -EINVAL;
		snprintf(part, sizeof(part), "%.*s", (int)(end - text), text);
		r = ports_add(&p, part);
		if (!*end)
			break;
	}
	if (r == 0)
		*portsp = p;
	return r;
}

const char *ports_format(const struct ports *p, char out[PORTS_TEXT_MAX])
{
	size_t used = 0;

	snprintf(out, PORTS_TEXT_MAX, "*");
	for (size_t i = 0; i < p->n && used < PORTS_TEXT_MAX; i++) {
		const struct port_range *r = &p->ranges[i];
		const char *comma = i ? "," : "";
		char *at = out + used;
		size_t left = PORTS_TEXT_MAX - used;
		int n;

		if (r->first == r->last)
			n = snprintf(at, left, "%s%u", comma, r->first);
		else
			n = snprintf(at, left, "%s%u-%u", comma, r->first, r->last);
		used += (size_t)n;
	}
	return out;
}

bool ports_contain(const struct ports *p, uint16_t port)
{
	for (size_t i = 0; i < p->n; i++) {
		if (port >= p->ranges[i].first && port <= p->ranges[i].last)
			return true;
	}
	return p->n == 0;
}
