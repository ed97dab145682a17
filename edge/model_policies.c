/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Network policies in memory. A change that moves one renumbers others, so rows of a batch come
 * in any order and with positions that are taken for a moment; they are sorted when all are in.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "edge/model_private.h"

static size_t find(const struct edge_model *m, const struct uuid *id)
{
	size_t i = 0;

	while (i < m->n_policies && !uuid_equal(&m->policies[i].id, id))
		i++;
	return i;
}

/* "" is nil: all networks. */
static bool get_vnet(const struct store_value *v, struct uuid *vnetp)
{
	return v->n_data == 0 || row_get_uuid(v, vnetp);
}

static bool get_prefix(const struct store_value *v, struct prefix *prefixp)
{
	return v->n_data == 0 || row_get_prefix(v, prefixp);
}

static bool read_policy(const struct store_value *v, struct policy *p)
{
	p->position = (uint32_t)v[1].number;
	p->created_ms = v[10].number;
	return row_get_uuid(&v[0], &p->id) && row_get_text(&v[2], p->name, sizeof(p->name)) &&
	       policy_action_parse(v[3].data, &p->action) == 0 &&
	       row_get_text(&v[4], p->client, sizeof(p->client)) &&
	       row_get_text(&v[5], p->email, sizeof(p->email)) && get_vnet(&v[6], &p->vnet) &&
	       get_prefix(&v[7], &p->prefix) && ports_parse(v[8].data, &p->ports) == 0 &&
	       transports_parse(v[9].data, &p->transports) == 0;
}

int policy_put_row(struct edge_model *m, const struct store_value *v)
{
	struct policy p = {0};
	struct policy *policies;
	size_t i;

	if (!read_policy(v, &p))
		return -EBADMSG;
	i = find(m, &p.id);
	if (i == m->n_policies) {
		if (m->n_policies >= EDGE_POLICIES_MAX)
			return -EBADMSG;
		policies = array_grow(m->policies, m->n_policies, sizeof(*policies));
		if (!policies)
			return -ENOMEM;
		m->policies = policies;
		m->n_policies++;
	}
	m->policies[i] = p;
	m->has_new_policies = true;
	return 0;
}

void policy_drop_rows(struct edge_model *m, const struct store_value *v, unsigned int n)
{
	struct uuid id;
	size_t i;

	if (n < 1 || !row_get_uuid(&v[0], &id))
		return;
	i = find(m, &id);
	if (i == m->n_policies)
		return;
	array_cut(m->policies, m->n_policies--, i, sizeof(*m->policies));
	m->has_new_policies = true;
}

static int compare_positions(const void *a, const void *b)
{
	const struct policy *left = a;
	const struct policy *right = b;

	return (left->position > right->position) - (left->position < right->position);
}

void policies_settle(struct edge_model *m)
{
	if (!m->has_new_policies)
		return;
	m->has_new_policies = false;
	if (m->n_policies > 0)
		qsort(m->policies, m->n_policies, sizeof(*m->policies), compare_positions);
	if (m->events && m->events->on_policies_changed)
		m->events->on_policies_changed(m->ctx);
}

size_t edge_model_n_policies(const struct edge_model *m)
{
	return m->n_policies;
}

const struct policy *edge_model_policy_at(const struct edge_model *m, size_t i)
{
	return &m->policies[i];
}

const struct policy *edge_model_policy_find(const struct edge_model *m, const char *text)
{
	struct uuid id;
	size_t i;

	for (i = 0; i < m->n_policies; i++)
		if (strcmp(m->policies[i].name, text) == 0)
			return &m->policies[i];
	i = uuid_parse(text, &id) == 0 ? find(m, &id) : m->n_policies;
	return i < m->n_policies ? &m->policies[i] : NULL;
}
