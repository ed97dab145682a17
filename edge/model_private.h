/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * model_private - what the files of the model share: model.c (life, changes),
 * model_rows.c and model_policies.c (rows to memory), model_routes.c (operator's routes), advert.c
 * (sets of connectors), advert_check.c (their verdicts), advert_settle.c (the table that follows),
 * advert_rows.c (their rows)
 */

#include "base/list.h"
#include "edge/model.h"
#include "wire/proto.h"

enum advert_kind {
	ADVERT_NETWORK,
	ADVERT_ROUTE,
};

/* One entry of a set; texts are owned. */
struct advert_entry {
	struct prefix prefix; /* family 0: the text could not be read; the reason says it */
	enum advert_kind kind;
	struct uuid vnet;	/* valid when accepted */
	bool overlaps_by_grant; /* came second to what it overlaps, and a grant let it */
	bool is_saved;		/* the store has it, at this place of the set */
	char *vnet_name;	/* NULL: the default network */
	char *comment;		/* NULL: none */
	char *reason;		/* NULL: accepted */
};

struct advert_set {
	struct advert_entry *items;
	size_t n;
	size_t cap;
};

/*
 * A connector process of a tunnel. Live while it has a connection; gone ones stay as long as
 * their set is held. `set` counts once `is_complete`; `collecting` is what has come of the next.
 */
#define SAVED_UNKNOWN SIZE_MAX

struct advert {
	struct uuid connector;
	struct uuid instance;
	uint8_t hash[ROUTE_HASH_BYTES];
	bool is_live;
	bool is_complete;
	bool is_loaded;	       /* from the store, and not settled yet */
	bool is_changed;       /* something differs from what is saved */
	bool is_indexed;       /* `accepted` is of the set and its verdicts as they are */
	size_t n_saved;	       /* entries that the store has, or SAVED_UNKNOWN */
	int64_t held_until_ms; /* when not live */
	uint64_t generation;   /* of `collecting` */
	uint64_t carrier;      /* the connection that it comes over */
	uint64_t checked_with; /* version of the table when its first part was checked */
	struct advert_set set;
	struct advert_set collecting;
	uint32_t *accepted; /* indexes of accepted routes, sorted by network and prefix */
	size_t n_accepted;
};

struct edge_model {
	struct store *store;
	const struct edge_model_events *events;
	void *ctx;
	int64_t route_hold_ms;
	int64_t loaded_ms;
	char account_tag[EDGE_ACCOUNT_TAG_MAX];
	struct vnet_table vnets;
	struct edge_tunnel **tunnels;
	size_t n_tunnels;
	struct edge_client **clients;
	size_t n_clients;
	struct policy *policies; /* sorted by position, but within a batch */
	size_t n_policies;
	struct operator_route **operator_routes; /* sorted by network and prefix */
	size_t n_operator_routes;
	struct route_table *routes;
	struct list changes; /* waiting for the one that is being committed */
	struct model_change *committing;
	bool has_first_rows;		/* account tag and default network are in the store */
	bool is_stale;			/* routes have to be settled again */
	bool has_new_policies;		/* to be sorted, and told */
	bool has_new_names;		/* a network has another name, to be told */
	struct route_verdict *verdicts; /* of the last reply */
};

/* ---- model.c ---- */

/* A batch that starts with what a new database lacks. */
struct store_batch *model_batch(const struct edge_model *m);
/* Commits @batch (taken over) without waiting for it; a failure is logged. */
void model_write_behind(struct edge_model *m, struct store_batch *batch);
/* After any change of grants, networks, tunnels, routes or sets. */
void model_settle_routes(struct edge_model *m);
/* Who serves a route, or a route, changed. */
void model_tell_routes(struct edge_model *m);

/* ---- model_rows.c ---- */

/* Brings a row, or the removal of rows, into memory. 0, -EBADMSG (not ours) or -ENOMEM. */
int model_put_row(struct edge_model *m, enum store_table_id table,
		  const struct store_value *values);
void model_drop_rows(struct edge_model *m, const struct store_change *change);
void model_drop_all(struct edge_model *m);
struct edge_tunnel *model_tunnel(const struct edge_model *m, const struct uuid *id);
/* Room for one more behind @n items: the array, maybe moved, or NULL. */
void *array_grow(void *items, size_t n, size_t item_size);
/* Closes the gap of item @i; the new count is n - 1. */
void array_cut(void *items, size_t n, size_t i, size_t item_size);

/* What a row's values say; false: not ours. */
bool row_get_uuid(const struct store_value *v, struct uuid *idp);
bool row_get_prefix(const struct store_value *v, struct prefix *prefixp);
bool row_get_text(const struct store_value *v, char *out, size_t n_out);

/* ---- model_policies.c ---- */

int policy_put_row(struct edge_model *m, const struct store_value *v);
void policy_drop_rows(struct edge_model *m, const struct store_value *v, unsigned int n);
/* After a batch, and after the load: sorts; tells if the model runs. */
void policies_settle(struct edge_model *m);

/* ---- model_routes.c ---- */

/* The operator's route of that place, made if it isn't there, or NULL (no memory). */
struct operator_route *model_operator_route_take(struct edge_model *m, const struct uuid *vnet,
						 const struct prefix *prefix);
/* False: there is none. */
bool model_operator_route_drop(struct edge_model *m, const struct uuid *vnet,
			       const struct prefix *prefix);
void model_operator_routes_drop_tunnel(struct edge_model *m, const struct uuid *tunnel);
void model_operator_routes_deinit(struct edge_model *m);

/* ---- advert.c ---- */

struct advert *advert_find(const struct edge_tunnel *t, const struct uuid *connector);
struct advert *advert_add(struct edge_tunnel *t, const struct uuid *connector);
void advert_free(struct advert *a);
/* The store refused something: nothing counts as saved any more. */
void adverts_mark_unsaved(struct edge_model *m);
/* Drops held sets whose time is over; saves that. */
void adverts_expire(struct edge_model *m, int64_t now_ms);
/* Room for one more entry, zeroed, or NULL. */
struct advert_entry *advert_set_append(struct advert_set *set);
void advert_set_clear(struct advert_set *set);

/* ---- advert_check.c ---- */

/* Sets the prefix, or the reason why @text is none. */
void advert_read_network(struct advert_entry *e, const char *text);
/* Gives @e its verdict from scratch. May create a virtual network that is granted by name. */
void advert_check_entry(struct edge_model *m, const struct edge_tunnel *t, struct advert_entry *e);
/* The parts of a verdict, for what is in force; without a reason they leave @e as it is. */
void advert_check_network(struct edge_model *m, const struct edge_tunnel *t,
			  struct advert_entry *e);
/* Network and grant only. Sets e->vnet. */
void advert_check_permission(struct edge_model *m, const struct edge_tunnel *t,
			     struct advert_entry *e);
/* Another tunnel has the very prefix. */
void advert_check_owner(struct edge_model *m, const struct edge_tunnel *t, struct advert_entry *e);
/* It overlaps with another tunnel's route, and the grant that allowed that is gone. */
void advert_check_overlap(struct edge_model *m, const struct edge_tunnel *t,
			  struct advert_entry *e);
/* After a load nobody knows who came first: whoever has the grant is taken for the second. */
void advert_guess_overlap(struct edge_model *m, const struct edge_tunnel *t,
			  struct advert_entry *e);

/* ---- advert_settle.c ---- */

/* Verdicts of all sets and the route table anew; what is in force and still allowed stays. */
void adverts_settle(struct edge_model *m);
/* The entry of @a for exactly this route, in force, or NULL. */
const struct advert_entry *advert_find_route(const struct advert *a, const struct uuid *vnet,
					     const struct prefix *prefix);

/* ---- advert_rows.c ---- */

int advert_put_row(struct edge_model *m, const struct store_value *values);
int advert_put_entry_row(struct edge_model *m, const struct store_value *values);
/* Saves @a whole, its hold time only, or that it is gone. */
void advert_save(struct edge_model *m, const struct edge_tunnel *t, struct advert *a);
void advert_save_hold(struct edge_model *m, const struct edge_tunnel *t, const struct advert *a);
void advert_save_removal(struct edge_model *m, const struct edge_tunnel *t, const struct advert *a);
