/* SPDX-License-Identifier: Apache-2.0 */
/*
 * May a tunnel advertise this? Grants are asked first; then one prefix has one owner, and
 * prefixes of several tunnels overlap only where a grant of the newcomer says so: the very
 * prefix lets it stand around others' routes, `override` also inside them. Who was there first
 * needs no such grant, so of two that overlap one has it.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "edge/model_private.h"
#include "edge/names.h"
#include "routing/forbidden.h"

static void refuse(struct advert_entry *e, const char *fmt, ...) PRINTF(2, 3);

static void refuse(struct advert_entry *e, const char *fmt, ...)
{
	char text[ROUTE_REASON_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	free(e->reason);
	e->reason = xstrdup(text);
	e->is_saved = false;
}

void advert_read_network(struct advert_entry *e, const char *text)
{
	char meant[PREFIX_TEXT_MAX];

	switch (prefix_parse(text, &e->prefix)) {
	case 0:
		return;
	case PREFIX_E_HOST_BITS:
		refuse(e, "has host bits set: %s is meant", prefix_format(&e->prefix, meant));
		break;
	default:
		refuse(e, "not ADDRESS/BITS, as in 10.0.0.0/8");
	}
	e->prefix = (struct prefix){0};
}

/* ---- grants ---- */

/* What the grants of a tunnel say about one prefix. */
struct permission {
	bool is_granted;
	bool is_exact; /* this very prefix is granted */
	bool is_override;
};

static struct permission permission_of(const struct edge_tunnel *t, const struct uuid *vnet,
				       const struct prefix *prefix)
{
	struct permission p = {0};

	for (size_t i = 0; i < t->n_grants; i++) {
		const struct tunnel_grant *g = &t->grants[i];

		if (!uuid_equal(&g->vnet, vnet) || !prefix_contains(&g->prefix, prefix))
			continue;
		p.is_granted = true;
		p.is_override |= g->override;
		p.is_exact |= prefix_equal(&g->prefix, prefix);
	}
	return p;
}

static bool has_grant_in(const struct edge_tunnel *t, const struct uuid *vnet)
{
	for (size_t i = 0; i < t->n_grants; i++)
		if (uuid_equal(&t->grants[i].vnet, vnet))
			return true;
	return false;
}

/* ---- networks ---- */

static void save_network(struct edge_model *m, const struct vnet *v)
{
	struct store_batch *batch = model_batch(m);
	char id[UUID_TEXT_MAX];
	const struct store_value values[] = {
		store_text(uuid_format(&v->id, id)),
		store_text(v->name),
		store_text(v->comment),
		store_int(v->is_default),
	};

	store_batch_put(batch, STORE_VNET, values);
	model_write_behind(m, batch);
}

static void create_network(struct edge_model *m, const struct edge_tunnel *t,
			   struct advert_entry *e)
{
	const char *problem = edge_name_problem(e->vnet_name);
	struct vnet v = {.id = uuid_random()};
	int r;

	if (problem) {
		refuse(e, "bad name: %s", problem);
		return;
	}
	snprintf(v.name, sizeof(v.name), "%s", e->vnet_name);
	snprintf(v.comment, sizeof(v.comment), "%s", e->comment ? e->comment : "");
	r = vnet_table_put(&m->vnets, &v);
	if (r < 0) {
		refuse(e, "the edge has no room for another virtual network");
		return;
	}
	log_info("virtual network created by its tunnel", log_text("virtual_network", v.name),
		 log_text("tunnel", t->name));
	save_network(m, &v);
	e->vnet = v.id;
}

void advert_check_network(struct edge_model *m, const struct edge_tunnel *t, struct advert_entry *e)
{
	const struct vnet *v = vnet_table_resolve(&m->vnets, e->vnet_name);

	if (v && (v->is_default || edge_tunnel_has_network(t, v->name) || has_grant_in(t, &v->id)))
		e->vnet = v->id;
	else if (!v && e->vnet_name && edge_tunnel_has_network(t, e->vnet_name))
		create_network(m, t, e);
	else
		refuse(e, "not granted: adit-edge grant add %s --network-name %.63s", t->name,
		       v	      ? v->name
		       : e->vnet_name ? e->vnet_name
				      : "default");
}

/* ---- routes ---- */

#define VNET_OPTION_MAX (VNET_NAME_MAX + 20)

/* " --virtual-network NAME" where a command needs it. */
static const char *vnet_option(const struct edge_model *m, const struct uuid *vnet,
			       char out[VNET_OPTION_MAX])
{
	const struct vnet *v = vnet_table_by_id(&m->vnets, vnet);

	out[0] = '\0';
	if (v && !v->is_default)
		snprintf(out, VNET_OPTION_MAX, " --virtual-network %s", v->name);
	return out;
}

void advert_check_permission(struct edge_model *m, const struct edge_tunnel *t,
			     struct advert_entry *e)
{
	const struct vnet *v = vnet_table_resolve(&m->vnets, e->vnet_name);
	const char *range = prefix_is_single(&e->prefix) ? NULL : forbidden_prefix(&e->prefix);
	char network[PREFIX_TEXT_MAX];
	char option[VNET_OPTION_MAX];

	if (!v) {
		refuse(e, "no virtual network %.63s: adit-edge vnet add %.63s", e->vnet_name,
		       e->vnet_name);
		return;
	}
	e->vnet = v->id;
	if (range)
		refuse(e, "%s: only single addresses of that range can be advertised", range);
	else if (!permission_of(t, &v->id, &e->prefix).is_granted)
		refuse(e, "not granted: adit-edge grant add %s %s%s", t->name,
		       prefix_format(&e->prefix, network), vnet_option(m, &v->id, option));
}

static const char *tunnel_name(const struct edge_model *m, const struct uuid *id)
{
	const struct edge_tunnel *t = model_tunnel(m, id);

	return t ? t->name : "?";
}

static void refuse_owned(struct edge_model *m, struct advert_entry *e, const struct route *other)
{
	refuse(e, "owned by tunnel %s", tunnel_name(m, &other->tunnel));
}

static void refuse_overlap(struct edge_model *m, const struct edge_tunnel *t,
			   struct advert_entry *e, bool is_inside, const struct route *other)
{
	char mine[PREFIX_TEXT_MAX];
	char theirs[PREFIX_TEXT_MAX];
	char option[VNET_OPTION_MAX];

	refuse(e, "%s tunnel %s's %s: adit-edge grant add %s %s%s%s",
	       is_inside ? "inside" : "around", tunnel_name(m, &other->tunnel),
	       prefix_format(&other->prefix, theirs), t->name, prefix_format(&e->prefix, mine),
	       vnet_option(m, &e->vnet, option), is_inside ? " --override" : "");
}

/* Do the grants of @t let its @prefix stand inside, or else around, another tunnel's route? */
static bool may_overlap(const struct edge_tunnel *t, const struct uuid *vnet,
			const struct prefix *prefix, bool is_inside)
{
	const struct permission p = permission_of(t, vnet, prefix);

	return p.is_override || (p.is_exact && !is_inside);
}

/* @tunnel has the route already: it goes on as it is. False: it hasn't. */
static bool goes_on(const struct edge_model *m, const struct edge_tunnel *t, struct advert_entry *e)
{
	const struct route *same = route_table_find(m->routes, &e->vnet, &e->prefix);

	if (!same || !uuid_equal(&same->tunnel, &t->id))
		return false;
	for (size_t i = 0; i < t->n_adverts; i++) {
		const struct advert_entry *old =
			advert_find_route(t->adverts[i], &e->vnet, &e->prefix);

		e->overlaps_by_grant |= old && old->overlaps_by_grant;
	}
	return true;
}

static void check_route(struct edge_model *m, const struct edge_tunnel *t, struct advert_entry *e)
{
	const struct route *other = NULL;
	enum route_conflict conflict;
	bool is_inside;

	advert_check_permission(m, t, e);
	if (e->reason || goes_on(m, t, e))
		return;
	conflict = route_table_conflict(m->routes, &e->vnet, &e->prefix, &t->id, &other);
	is_inside = conflict == ROUTE_CONFLICT_INSIDE;
	if (conflict == ROUTE_CONFLICT_NONE)
		return;
	if (conflict == ROUTE_CONFLICT_OWNED)
		refuse_owned(m, e, other);
	else if (may_overlap(t, &e->vnet, &e->prefix, is_inside))
		e->overlaps_by_grant = true;
	else
		refuse_overlap(m, t, e, is_inside, other);
}

void advert_check_owner(struct edge_model *m, const struct edge_tunnel *t, struct advert_entry *e)
{
	const struct route *r = route_table_find(m->routes, &e->vnet, &e->prefix);

	if (r && !uuid_equal(&r->tunnel, &t->id))
		refuse_owned(m, e, r);
}

/* NULL: it overlaps with nobody's. */
static const struct route *find_overlap(const struct edge_model *m, const struct edge_tunnel *t,
					const struct advert_entry *e, bool *is_insidep)
{
	const struct route *other = NULL;
	enum route_conflict conflict =
		route_table_conflict(m->routes, &e->vnet, &e->prefix, &t->id, &other);

	*is_insidep = conflict == ROUTE_CONFLICT_INSIDE;
	return *is_insidep || conflict == ROUTE_CONFLICT_AROUND ? other : NULL;
}

/* Who came second needs the grant; the operator's routes need none. */
static bool may_stay_beside(const struct edge_model *m, const struct advert_entry *e,
			    const struct route *other, bool is_inside)
{
	const struct edge_tunnel *owner = model_tunnel(m, &other->tunnel);

	return !e->overlaps_by_grant &&
	       (other->by_operator ||
		(owner && may_overlap(owner, &e->vnet, &other->prefix, !is_inside)));
}

void advert_check_overlap(struct edge_model *m, const struct edge_tunnel *t, struct advert_entry *e)
{
	bool is_inside;
	const struct route *other = find_overlap(m, t, e, &is_inside);

	if (other && !may_overlap(t, &e->vnet, &e->prefix, is_inside) &&
	    !may_stay_beside(m, e, other, is_inside))
		refuse_overlap(m, t, e, is_inside, other);
}

void advert_guess_overlap(struct edge_model *m, const struct edge_tunnel *t, struct advert_entry *e)
{
	bool is_inside;

	e->overlaps_by_grant = find_overlap(m, t, e, &is_inside) &&
			       may_overlap(t, &e->vnet, &e->prefix, is_inside);
}

void advert_check_entry(struct edge_model *m, const struct edge_tunnel *t, struct advert_entry *e)
{
	free(e->reason);
	e->reason = NULL;
	e->overlaps_by_grant = false;
	e->is_saved = false;
	if (e->kind == ADVERT_NETWORK)
		advert_check_network(m, t, e);
	else
		check_route(m, t, e);
}
