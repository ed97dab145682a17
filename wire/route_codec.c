/* SPDX-License-Identifier: Apache-2.0 */

#include "wire/route_codec.h"

#include <stdlib.h>
#include <string.h>

#include "wire/peer_text.h"
#include "wire/proto.h"

/* Fields of the parameters, as `capnp compile -ocapnp wire/adit.capnp` prints them. */
enum {
	CALL_GENERATION_AT = 0,
	CALL_HASH_ONLY_BIT = 64,
	CALL_LAST_BIT = 65,
	CALL_INSTANCE = 0,
	CALL_HASH = 1,
	CALL_VNETS = 2,
	CALL_ROUTES = 3,
};

void route_put_call(struct capnp_out payload, const void *call)
{
	const struct route_call *c = call;
	struct capnp_out params = capnp_new_struct(payload, 0, 2, 4);
	struct capnp_out_list vnets, routes;

	capnp_put_uint(params, CALL_GENERATION_AT, 8, c->generation);
	capnp_put_bool(params, CALL_HASH_ONLY_BIT, c->hash_only);
	capnp_put_bool(params, CALL_LAST_BIT, c->last);
	capnp_put_data(params, CALL_INSTANCE, c->instance_id.bytes, sizeof(c->instance_id.bytes));
	capnp_put_data(params, CALL_HASH, c->hash, sizeof(c->hash));
	vnets = capnp_new_list(params, CALL_VNETS, c->part.n_vnets, 0, 2);
	for (uint32_t i = 0; i < vnets.n; i++) {
		struct capnp_out out = capnp_out_list_at(vnets, i);

		capnp_put_text(out, 0, c->part.vnets[i].name);
		capnp_put_text(out, 1, c->part.vnets[i].comment);
	}
	routes = capnp_new_list(params, CALL_ROUTES, c->part.n_routes, 0, 3);
	for (uint32_t i = 0; i < routes.n; i++) {
		struct capnp_out out = capnp_out_list_at(routes, i);

		capnp_put_text(out, 0, c->part.routes[i].network);
		capnp_put_text(out, 1, c->part.routes[i].virtual_network);
		capnp_put_text(out, 2, c->part.routes[i].comment);
	}
}

/* Names are compared and printed: they must be what they seem. */
static bool get_name(const struct capnp_struct *s, uint32_t index, char *out, size_t cap)
{
	const char *text = capnp_get_text(s, index);

	if (strlen(text) >= cap || !peer_text_is_safe(text))
		return false;
	strcpy(out, text);
	return true;
}

static void get_comment(const struct capnp_struct *s, uint32_t index, char *out, size_t cap)
{
	peer_text_copy(out, cap, capnp_get_text(s, index));
}

static const char *get_vnets(const struct capnp_list *list, struct route_set *part)
{
	for (uint32_t i = 0; i < list->n; i++) {
		struct capnp_struct s = capnp_list_get(list, i);
		struct vnet_entry *e = &part->vnets[i];

		if (!get_name(&s, 0, e->name, sizeof(e->name)))
			return "name of a virtual network: not text, or too long";
		get_comment(&s, 1, e->comment, sizeof(e->comment));
	}
	return NULL;
}

static const char *get_routes(const struct capnp_list *list, struct route_set *part)
{
	for (uint32_t i = 0; i < list->n; i++) {
		struct capnp_struct s = capnp_list_get(list, i);
		struct route_entry *e = &part->routes[i];

		if (!get_name(&s, 0, e->network, sizeof(e->network)))
			return "network of a route: not text, or too long";
		if (!get_name(&s, 1, e->virtual_network, sizeof(e->virtual_network)))
			return "virtual network of a route: not text, or too long";
		get_comment(&s, 2, e->comment, sizeof(e->comment));
	}
	return NULL;
}

static bool get_bytes(const struct capnp_struct *s, uint32_t index, uint8_t *out, size_t n)
{
	size_t n_data;
	const uint8_t *data = capnp_get_data(s, index, &n_data);

	if (n_data != n)
		return false;
	memcpy(out, data, n);
	return true;
}

static const char *get_part(const struct capnp_list *vnets, const struct capnp_list *routes,
			    struct route_set *part)
{
	const char *wrong;

	if (vnets->n > ROUTES_PER_CALL || routes->n > ROUTES_PER_CALL - vnets->n)
		return "too many entries in one call";
	part->vnets = calloc(vnets->n + 1, sizeof(*part->vnets));
	part->routes = calloc(routes->n + 1, sizeof(*part->routes));
	if (!part->vnets || !part->routes)
		return "out of memory";
	part->n_vnets = vnets->n;
	part->n_routes = routes->n;
	wrong = get_vnets(vnets, part);
	return wrong ? wrong : get_routes(routes, part);
}

const char *route_get_call(const struct capnp_struct *params, struct route_call *callp)
{
	struct capnp_list vnets = capnp_get_list(params, CALL_VNETS);
	struct capnp_list routes = capnp_get_list(params, CALL_ROUTES);

	*callp = (struct route_call){
		.generation = capnp_get_uint(params, CALL_GENERATION_AT, 8),
		.hash_only = capnp_get_bool(params, CALL_HASH_ONLY_BIT),
		.last = capnp_get_bool(params, CALL_LAST_BIT),
	};
	if (!get_bytes(params, CALL_INSTANCE, callp->instance_id.bytes,
		       sizeof(callp->instance_id.bytes)))
		return "instanceId is not 16 bytes";
	if (!get_bytes(params, CALL_HASH, callp->hash, sizeof(callp->hash)))
		return "hash is not 32 bytes";
	return get_part(&vnets, &routes, &callp->part);
}

void route_put_reply(struct capnp_out payload, const void *reply)
{
	const struct route_reply *r = reply;
	struct capnp_out results = capnp_new_struct(payload, 0, 1, 1);
	struct capnp_out_list verdicts;

	capnp_put_bool(results, 0, r->send_all);
	verdicts = capnp_new_list(results, 0, r->n_verdicts, 1, 1);
	for (uint32_t i = 0; i < verdicts.n; i++) {
		struct capnp_out out = capnp_out_list_at(verdicts, i);

		capnp_put_bool(out, 0, r->verdicts[i].accepted);
		capnp_put_text(out, 0, r->verdicts[i].reason);
	}
}

size_t route_count_verdicts(const struct capnp_struct *results)
{
	return capnp_get_list(results, 0).n;
}

const char *route_get_reply(const struct capnp_struct *results, struct route_verdict *verdicts,
			    size_t n, bool *send_allp)
{
	struct capnp_list list = capnp_get_list(results, 0);

	*send_allp = capnp_get_bool(results, 0);
	if (*send_allp)
		return NULL;
	if (list.n != n)
		return "the edge answered another number of entries";
	for (uint32_t i = 0; i < n; i++) {
		struct capnp_struct s = capnp_list_get(&list, i);

		verdicts[i].accepted = capnp_get_bool(&s, 0);
		peer_text_copy(verdicts[i].reason, sizeof(verdicts[i].reason),
			       capnp_get_text(&s, 0));
	}
	return NULL;
}
