/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/advertise.h"

#include <stdlib.h>
#include <string.h>

#include "base/backoff.h"
#include "base/err.h"
#include "ctrl/agent_status.h"

static const struct backoff_policy retry_policy = {
	.min_ms = ADVERTISE_RETRY_MIN_MS,
	.max_ms = ADVERTISE_RETRY_MAX_MS,
};

/* What is known of one edge. */
struct edge {
	char name[ADVERTISE_EDGE_MAX];
	uint64_t carrier;	   /* link that the set was or is sent on; 0: none */
	uint64_t acked_generation; /* answered completely; 0: nothing */
	uint64_t sent_generation;  /* of the call that is out; 0: none is out */
	uint64_t retry_ms;	   /* not before, after a failure; 0: at once */
	uint64_t used;		   /* larger: more recently */
	struct backoff backoff;
	struct route_verdict *verdicts; /* one per entry, NULL before the first answer */
	bool sent_hash_only;
};

struct advertise {
	struct route_set set;
	struct route_set next; /* replaces it when no call is out */
	bool has_next;
	bool sees_stock; /* a stock edge was among the links last time */
	uint64_t generation;
	uint64_t uses;
	struct edge edges[ADVERTISE_EDGES_MAX];
	size_t n_edges;
};

static const char *const state_names[ADVERTISE_STATE_N] = {
	[ADVERTISE_STATE_PENDING] = ROUTE_STATE_PENDING,
	[ADVERTISE_STATE_ACCEPTED] = ROUTE_STATE_ACCEPTED,
	[ADVERTISE_STATE_REFUSED] = ROUTE_STATE_REFUSED,
	[ADVERTISE_STATE_OPERATOR] = ROUTE_STATE_OPERATOR,
};

const char *advertise_state_name(enum advertise_state s)
{
	return state_names[s];
}

struct advertise *advertise_new(void)
{
	struct advertise *a = xnew(struct advertise);

	a->generation = 1;
	return a;
}

struct advertise *advertise_free(struct advertise *a)
{
	if (!a)
		return NULL;
	for (size_t i = 0; i < a->n_edges; i++)
		free(a->edges[i].verdicts);
	route_set_deinit(&a->set);
	route_set_deinit(&a->next);
	free(a);
	return NULL;
}

static size_t n_entries(const struct advertise *a)
{
	return a->set.n_vnets + a->set.n_routes;
}

/* ---- the set ---- */

static bool has_call_out(const struct advertise *a)
{
	for (size_t i = 0; i < a->n_edges; i++)
		if (a->edges[i].sent_generation)
			return true;
	return false;
}

/* Calls borrow the set, so it is replaced only between them. */
static void swap_set(struct advertise *a)
{
	if (!a->has_next || has_call_out(a))
		return;
	route_set_deinit(&a->set);
	a->set = a->next;
	a->next = (struct route_set){0};
	a->has_next = false;
	a->generation++;
	for (size_t i = 0; i < a->n_edges; i++) {
		free(a->edges[i].verdicts);
		a->edges[i].verdicts = NULL;
		a->edges[i].retry_ms = 0;
		backoff_reset(&a->edges[i].backoff);
	}
}

void advertise_set_routes(struct advertise *a, struct route_set *set)
{
	route_set_deinit(&a->next);
	a->next = *set;
	*set = (struct route_set){0};
	a->has_next = true;
	swap_set(a);
}

/* ---- the edges ---- */

static struct edge *find_edge(struct advertise *a, const char *name)
{
	for (size_t i = 0; i < a->n_edges; i++)
		if (!strcmp(a->edges[i].name, name))
			return &a->edges[i];
	return NULL;
}

static struct edge *stalest_edge(struct advertise *a)
{
	struct edge *stalest = NULL;

	for (size_t i = 0; i < a->n_edges; i++) {
		struct edge *e = &a->edges[i];

		if (!e->carrier && (!stalest || e->used < stalest->used))
			stalest = e;
	}
	return stalest;
}

/* NULL if the table is full of edges in use: then @name goes without routes. */
static struct edge *take_edge(struct advertise *a, const char *name)
{
	struct edge *e = find_edge(a, name);

	if (!e) {
		e = a->n_edges < ADVERTISE_EDGES_MAX ? &a->edges[a->n_edges++] : stalest_edge(a);
		if (!e)
			return NULL;
		free(e->verdicts);
		*e = (struct edge){0};
		strncpy(e->name, name, sizeof(e->name) - 1);
	}
	e->used = ++a->uses;
	return e;
}

static bool is_listed(const struct advertise_link *links, size_t n_links, uint64_t link)
{
	for (size_t i = 0; i < n_links; i++)
		if (links[i].link == link)
			return true;
	return false;
}

static void drop_lost_carriers(struct advertise *a, const struct advertise_link *links,
			       size_t n_links)
{
	for (size_t i = 0; i < a->n_edges; i++) {
		struct edge *e = &a->edges[i];

		if (!e->carrier || is_listed(links, n_links, e->carrier))
			continue;
		e->carrier = 0;
		e->sent_generation = 0;
		e->retry_ms = 0;
	}
}

static bool is_due(const struct advertise *a, const struct edge *e, const struct advertise_link *l,
		   uint64_t now_ms)
{
	if (e->sent_generation || now_ms < e->retry_ms)
		return false;
	if (!e->carrier)
		return true;
	return e->carrier == l->link && e->acked_generation != a->generation;
}

bool advertise_next(struct advertise *a, const struct advertise_link *links, size_t n_links,
		    uint64_t now_ms, struct advertise_call *callp)
{
	drop_lost_carriers(a, links, n_links);
	swap_set(a);
	a->sees_stock = false;
	for (size_t i = 0; i < n_links; i++) {
		struct edge *e = links[i].is_adit ? take_edge(a, links[i].edge) : NULL;

		a->sees_stock |= !links[i].is_adit;
		if (!e || !is_due(a, e, &links[i], now_ms))
			continue;
		e->carrier = links[i].link;
		e->sent_generation = a->generation;
		e->sent_hash_only = e->acked_generation == a->generation;
		*callp = (struct advertise_call){.link = e->carrier,
						 .generation = a->generation,
						 .set = &a->set,
						 .hash_only = e->sent_hash_only};
		return true;
	}
	return false;
}

/* ---- answers ---- */

static struct edge *edge_waiting_on(struct advertise *a, uint64_t link, uint64_t generation)
{
	for (size_t i = 0; i < a->n_edges; i++) {
		struct edge *e = &a->edges[i];

		if (e->carrier == link && e->sent_generation == generation)
			return e;
	}
	return NULL;
}

/* False: no memory; those from before are gone. */
static bool keep_verdicts(struct edge *e, const struct route_verdict *verdicts, size_t n)
{
	free(e->verdicts);
	e->verdicts = n ? calloc(n, sizeof(*verdicts)) : NULL;
	if (e->verdicts)
		memcpy(e->verdicts, verdicts, n * sizeof(*verdicts));
	return e->verdicts || n == 0;
}

static void retry_later(struct edge *e, uint32_t random, uint64_t now_ms)
{
	e->acked_generation = 0;
	e->retry_ms = now_ms + backoff_next_ms(&e->backoff, &retry_policy, random);
}

void advertise_on_answer(struct advertise *a, uint64_t link, uint64_t generation,
			 const struct route_verdict *verdicts, size_t n_verdicts, bool send_all,
			 const char *failed, uint32_t random, uint64_t now_ms)
{
	struct edge *e = edge_waiting_on(a, link, generation);
	bool by_hash;

	if (!e || !generation)
		return;
	by_hash = e->sent_hash_only;
	e->sent_generation = 0;
	if (!failed && send_all && by_hash) {
		e->acked_generation = 0;
	} else if (failed || send_all ||
		   (n_verdicts != n_entries(a) && !(by_hash && !n_verdicts)) ||
		   ((!by_hash || n_verdicts) && !keep_verdicts(e, verdicts, n_verdicts))) {
		retry_later(e, random, now_ms);
	} else {
		e->acked_generation = generation;
		e->retry_ms = 0;
		backoff_reset(&e->backoff);
	}
	swap_set(a);
}

uint64_t advertise_deadline_ms(const struct advertise *a)
{
	uint64_t first = UINT64_MAX;

	for (size_t i = 0; i < a->n_edges; i++) {
		const struct edge *e = &a->edges[i];

		if (e->carrier && !e->sent_generation && e->acked_generation != a->generation &&
		    e->retry_ms < first)
			first = e->retry_ms;
	}
	return first;
}

/* ---- views ---- */

const struct route_set *advertise_routes(const struct advertise *a)
{
	return &a->set;
}

uint64_t advertise_generation(const struct advertise *a)
{
	return a->generation;
}

static bool has_carrier(const struct advertise *a)
{
	for (size_t i = 0; i < a->n_edges; i++)
		if (a->edges[i].carrier)
			return true;
	return false;
}

bool advertise_is_settled(const struct advertise *a)
{
	for (size_t i = 0; i < a->n_edges; i++) {
		const struct edge *e = &a->edges[i];

		if (e->carrier && (e->sent_generation || e->acked_generation != a->generation))
			return false;
	}
	return !a->has_next && (has_carrier(a) || a->sees_stock);
}

enum advertise_state advertise_entry_state(const struct advertise *a, size_t i,
					   const char **reasonp)
{
	enum advertise_state state = ADVERTISE_STATE_PENDING;
	bool connected = has_carrier(a);

	*reasonp = "";
	if (!connected && a->sees_stock)
		return ADVERTISE_STATE_OPERATOR;
	for (size_t k = 0; k < a->n_edges; k++) {
		const struct edge *e = &a->edges[k];

		/* What an edge said that we left counts only while there is no other. */
		if (!e->verdicts || (connected && !e->carrier))
			continue;
		if (!e->verdicts[i].accepted) {
			*reasonp = e->verdicts[i].reason;
			return ADVERTISE_STATE_REFUSED;
		}
		state = ADVERTISE_STATE_ACCEPTED;
	}
	return state;
}
