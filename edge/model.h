/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * model - what the edge knows: tunnels, clients, networks, policies, routes, and who advertises
 * what
 *
 * All tables are in memory; the store holds the same rows. An administrator's change is
 * checked against memory, committed, and only then applied to memory, one change after the
 * other. What connectors advertise is applied at once and written behind: agents can
 * always send it again, so a full disk must not stop them.
 *
 * Times are wall clock milliseconds and are passed in, because expiry and route-hold
 * outlive the process. Loop thread only. Pointers to tunnels, clients and their members
 * are valid until control returns to the loop; so are policies.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/cleanup.h"
#include "base/compiler.h"
#include "base/uuid.h"
#include "edge/names.h"
#include "edge/policy.h"
#include "edge/store.h"
#include "routing/ports.h"
#include "routing/prefix.h"
#include "routing/route_table.h"
#include "routing/vnet.h"
#include "wire/route_msg.h"

#define EDGE_ACCOUNT_TAG_MAX 33 /* 32 hex digits and NUL */
#define EDGE_KEY_ID_MAX	     17 /* 16 hex digits and NUL */
#define EDGE_SECRET_BYTES    32
#define EDGE_SECRETS_MAX     8	  /* per tunnel */
#define EDGE_TOKENS_MAX	     8	  /* per client */
#define EDGE_GRANTS_MAX	     1024 /* per tunnel or client */
#define EDGE_CONNECTORS_MAX  32	  /* live processes per tunnel */
#define EDGE_HELD_MAX	     32	  /* sets of gone processes per tunnel */
#define EDGE_TUNNELS_MAX     65536
#define EDGE_CLIENTS_MAX     65536
#define EDGE_POLICIES_MAX    1024
#define EDGE_ROUTE_HOLD_MS   (24LL * 3600 * 1000)

/* ---- records; read-only outside edge/model*, edge/advert* ---- */

/* A secret of a tunnel or a token of a client: only its digest is kept. */
struct edge_key {
	char id[EDGE_KEY_ID_MAX]; /* lower-case hex; for lists, logs and revoking */
	uint8_t sha256[32];
	int64_t created_ms;
	int64_t expires_ms; /* 0: never */
};

/* What a tunnel may advertise. */
struct tunnel_grant {
	struct uuid vnet;
	struct prefix prefix;
	bool override; /* also inside and around other tunnels' routes */
};

struct edge_tunnel {
	struct uuid id;
	char name[EDGE_NAME_MAX];
	char account_tag[EDGE_ACCOUNT_TAG_MAX];
	int64_t created_ms;
	int64_t seen_ms; /* a connector last registered; 0: never */
	struct edge_key keys[EDGE_SECRETS_MAX];
	size_t n_keys;
	struct tunnel_grant *grants;
	size_t n_grants;
	bool has_other_grants;		 /* since its routes were settled */
	char (*networks)[VNET_NAME_MAX]; /* virtual networks it may create and use */
	size_t n_networks;
	struct advert **adverts; /* sets of its connectors, live and held */
	size_t n_adverts;
};

/* What a client may reach. */
struct client_grant {
	struct uuid vnet;
	struct prefix prefix;
	struct ports ports; /* as rule_covers_port() has it */
	struct transports transports;
};

struct edge_client {
	struct uuid id;
	char name[EDGE_NAME_MAX];
	char email[EDGE_EMAIL_MAX]; /* "" when not known */
	int64_t created_ms;
	int64_t revoked_ms; /* 0: not revoked */
	struct edge_key tokens[EDGE_TOKENS_MAX];
	size_t n_tokens;
	struct client_grant *grants;
	size_t n_grants;
};

/* A route that the operator set by hand. */
struct operator_route {
	struct uuid vnet;
	struct prefix prefix;
	struct uuid tunnel;
	char comment[ROUTE_COMMENT_MAX];
	int64_t created_ms;
};

/* ---- life ---- */

struct edge_model;

/*
 * What the runtime must act on. Each runs on the loop, after the change is in effect, and may
 * call back into the model to read, not to change. Members may be NULL.
 */
struct edge_model_events {
	/* Revoked or expired: cut the connections that it registered. */
	void (*on_secret_gone)(void *ctx, const struct uuid *tunnel, const char *secret_id);
	/* Deleted: cut all its connections. Its record is gone already. */
	void (*on_tunnel_gone)(void *ctx, const struct uuid *tunnel);
	/* Revoked, or its client was: cut the connections (and streams) that it opened. */
	void (*on_token_gone)(void *ctx, const struct uuid *client, const char *token_id);
	/* Grants of a client changed: decide() again for its open streams. */
	void (*on_access_changed)(void *ctx, const struct uuid *client);
	/* Network policies changed in any way: decide() again for all open streams. */
	void (*on_policies_changed)(void *ctx);
	/*
	 * Routes, networks, or who serves a route changed in any way: what clients see of them may
	 * be different.
	 */
	void (*on_routes_changed)(void *ctx);
	/* A network has another name: who knows it by the old one must learn the new one. */
	void (*on_network_renamed)(void *ctx);
};

/*
 * Loads everything from @store (borrowed; freed by the caller *before* the model, so that
 * running changes end first). A new database gets an account tag and the network "default".
 * @route_hold_ms: how long a gone connector's routes are kept. @events (borrowed) may be NULL.
 * 0 or -errno with @error filled.
 */
NODISCARD int edge_model_new(struct edge_model **modelp, struct store *store, int64_t route_hold_ms,
			     const struct edge_model_events *events, void *ctx, int64_t now_ms,
			     char error[STORE_ERROR_MAX]);
struct edge_model *edge_model_free(struct edge_model *m);
DEFINE_CLEANUP(struct edge_model *, edge_model_free);

/* For connectors that go from now on. */
void edge_model_set_route_hold(struct edge_model *m, int64_t route_hold_ms);
/* Expires secrets and held sets. Call about once a second. */
void edge_model_tick(struct edge_model *m, int64_t now_ms);

/* ---- reading ---- */

const char *edge_model_account_tag(const struct edge_model *m);
size_t edge_model_n_tunnels(const struct edge_model *m);
const struct edge_tunnel *edge_model_tunnel_at(const struct edge_model *m, size_t i);
const struct edge_tunnel *edge_model_tunnel_by_id(const struct edge_model *m,
						  const struct uuid *id);
/* @text: name or id. NULL: not there. */
const struct edge_tunnel *edge_model_tunnel_find(const struct edge_model *m, const char *text);
size_t edge_model_n_clients(const struct edge_model *m);
const struct edge_client *edge_model_client_at(const struct edge_model *m, size_t i);
const struct edge_client *edge_model_client_by_id(const struct edge_model *m,
						  const struct uuid *id);
const struct edge_client *edge_model_client_find(const struct edge_model *m, const char *text);
/* Network policies, in the order in which they are asked. */
size_t edge_model_n_policies(const struct edge_model *m);
const struct policy *edge_model_policy_at(const struct edge_model *m, size_t i);
/* @text: name or id. NULL: not there. */
const struct policy *edge_model_policy_find(const struct edge_model *m, const char *text);
const struct vnet_table *edge_model_vnets(const struct edge_model *m);
/* All routes in force: advertised ones that were accepted, live or held, and the operator's. */
const struct route_table *edge_model_routes(const struct edge_model *m);
/*
 * The route that a stream to @ip (canonical) takes, or NULL: the longest match, except that
 * ranges of routing/forbidden.h are reached by routes of single addresses only.
 */
const struct route *edge_model_route_to(const struct edge_model *m, const struct uuid *vnet,
					const struct ip_addr *ip);
/* By network, then prefix_compare(). */
size_t edge_model_n_operator_routes(const struct edge_model *m);
const struct operator_route *edge_model_operator_route_at(const struct edge_model *m, size_t i);
/* NULL: not set by hand. */
const struct operator_route *edge_model_operator_route_find(const struct edge_model *m,
							    const struct uuid *vnet,
							    const struct prefix *prefix);

/* May it create and use the virtual network of that name? */
bool edge_tunnel_has_network(const struct edge_tunnel *t, const char *name);

/* ---- authentication ---- */

enum edge_auth_outcome {
	EDGE_AUTH_E_REFUSED = 1, /* unknown, wrong, revoked or expired: never say which */
};

/*
 * Is @secret one of the tunnel's? Compared with all of its secrets in constant time. On 0
 * *@tunnelp is set and @key_id says which secret it was (for on_secret_gone).
 */
NODISCARD int edge_auth_tunnel(const struct edge_model *m, const char *account_tag,
			       const struct uuid *tunnel_id, const uint8_t *secret, size_t n_secret,
			       int64_t now_ms, const struct edge_tunnel **tunnelp,
			       char key_id[EDGE_KEY_ID_MAX]);

/*
 * @token: "adit_<id>.<secret>", without "Bearer ". On 0 *@clientp is set and @token_id filled
 * (for on_token_gone).
 */
NODISCARD int edge_auth_client(const struct edge_model *m, const char *token,
			       const struct edge_client **clientp, char token_id[EDGE_KEY_ID_MAX]);

/* ---- connectors and what they advertise (advert.c) ---- */

enum edge_connector_outcome {
	EDGE_CONNECTOR_E_LIMIT = 1, /* EDGE_CONNECTORS_MAX: refuse the registration, retryable */
};

/*
 * The first connection of a process (@connector: its client id) has registered; a set that it
 * left behind is live again. Idempotent. 0 or the outcome.
 */
NODISCARD int edge_connector_up(struct edge_model *m, const struct uuid *tunnel,
				const struct uuid *connector, int64_t now_ms);
/* Its last connection is gone: its routes are held. Idempotent. */
void edge_connector_down(struct edge_model *m, const struct uuid *tunnel,
			 const struct uuid *connector, int64_t now_ms);

enum edge_advert_outcome {
	EDGE_ADVERT_E_TOO_MANY = 1, /* over ROUTES_MAX entries; what was collected is dropped */
	EDGE_ADVERT_E_UNKNOWN = 2,  /* that connector isn't up */
};

/*
 * One call of RouteAdvertiser. Parts are collected until the last; then the set replaces the
 * connector's former one, and, if it is this process's first, the held sets of @call's instance.
 * @carrier: which connection it came over; a set that was begun over another starts over.
 * *@replyp has the verdicts of this call's entries (networks, then routes); of the whole set for
 * a known hash if it has at most ROUTES_PER_CALL entries, else none. Valid until the next call. 0
 * or an outcome (answer with an exception).
 */
NODISCARD int edge_advertise(struct edge_model *m, const struct uuid *tunnel,
			     const struct uuid *connector, uint64_t carrier,
			     const struct route_call *call, struct route_reply *replyp);

/* One entry of a connector's set, for lists. Texts are borrowed. */
struct advert_view {
	struct uuid connector;
	bool is_live;
	int64_t held_until_ms; /* when not live */
	const char *network;
	const char *virtual_network; /* "": default */
	const char *comment;
	const char *reason; /* "": accepted */
};
typedef void (*advert_view_cb)(void *ctx, const struct advert_view *view);
void edge_advert_each(const struct edge_model *m, const struct uuid *tunnel, advert_view_cb cb,
		      void *ctx);

/*
 * The live processes that serve @route: those that advertise it, or all of its tunnel for an
 * operator's route. Writes client ids to @connectors, returns how many.
 */
size_t edge_route_connectors(const struct edge_model *m, const struct route *route,
			     struct uuid connectors[EDGE_CONNECTORS_MAX]);

/* How a route stands: who serves it now, and who would if they weren't gone. */
struct route_standing {
	struct uuid connectors[EDGE_CONNECTORS_MAX]; /* as of edge_route_connectors() */
	size_t n_connectors;
	size_t n_held;	       /* gone processes that advertised it and are waited for */
	int64_t held_until_ms; /* of the last of these; 0: none */
	const char *comment;   /* the operator's, else one that was advertised; borrowed, or "" */
};
void edge_route_standing(const struct edge_model *m, const struct route *route,
			 struct route_standing *standingp);
/* Processes that advertise @route. @held_until_ms: 0 for one that lives. */
typedef void (*advertiser_cb)(void *ctx, const struct uuid *connector, int64_t held_until_ms);
void edge_route_each_advertiser(const struct edge_model *m, const struct route *route,
				advertiser_cb cb, void *ctx);

/* ---- changing, for admin_*.c ---- */

/* Why a change was refused; @code is one of ctrl_reply_error()'s words. */
struct edge_failure {
	const char *code;
	char text[STORE_ERROR_MAX * 2];
};

/*
 * Checks a change against memory and adds its rows to @batch; runs when all earlier changes
 * are applied, maybe at once. 0, or -1 with *@failp filled by edge_fail().
 */
typedef int (*edge_plan)(void *ctx, const struct edge_model *m, struct store_batch *batch,
			 struct edge_failure *failp);
/* Runs exactly once. @fail: NULL when the change is committed and in effect. */
typedef void (*edge_done)(void *ctx, const struct edge_model *m, const struct edge_failure *fail);

void edge_model_change(struct edge_model *m, edge_plan plan, edge_done done, void *ctx);

/* Fills *@failp; returns -1. */
int edge_fail(struct edge_failure *failp, const char *code, const char *fmt, ...) PRINTF(3, 4);
