/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * admin_private - what the families of commands share
 *
 * A command that only reads answers at once. One that changes is a plan: it runs when
 * all earlier changes are in effect, looks its arguments up, adds rows and prepares the
 * answer, which goes out after the commit.
 */

#include <stdbool.h>

#include "base/compiler.h"
#include "edge/admin.h"
#include "edge/model.h"

struct admin_change;

typedef int (*admin_plan)(struct admin_change *c, const struct edge_model *m,
			  struct store_batch *batch, struct edge_failure *failp);

struct admin_change {
	const struct edge_admin *admin;
	struct ctrl_request *req;
	struct json_t *args;   /* own reference */
	struct json_t *result; /* filled by the plan; NULL: an empty object */
	admin_plan plan;
	int64_t now_ms;
};

/* Queues @plan for the request; @ctx is the handler's. */
void admin_run(void *ctx, struct ctrl_request *req, const struct json_t *args, admin_plan plan);

/* Defines the handler `name` of a changing command from its plan. */
#define ADMIN_CHANGE(name)                                                                         \
	static int plan_##name(struct admin_change *c, const struct edge_model *m,                 \
			       struct store_batch *batch, struct edge_failure *failp);             \
	void admin_##name(void *ctx, struct ctrl_request *req, const struct json_t *args)          \
	{                                                                                          \
		admin_run(ctx, req, args, plan_##name);                                            \
	}                                                                                          \
	static int plan_##name(struct admin_change *c, const struct edge_model *m,                 \
			       struct store_batch *batch, struct edge_failure *failp)

/* Answers @req with {@key: @rows}; @rows is stolen. */
void admin_reply_list(struct ctrl_request *req, const char *key, struct json_t *rows);
/* Answers @req with @fail. */
void admin_refuse(struct ctrl_request *req, const struct edge_failure *fail);

/* ---- arguments: 0, or -1 with *@failp filled ---- */

/* NULL when it isn't there (or no text, or empty). */
const char *arg_text(const struct json_t *args, const char *key);
bool arg_flag(const struct json_t *args, const char *key);
/* The text, or NULL with *@failp filled. */
const char *arg_need_text(const struct json_t *args, const char *key, struct edge_failure *failp);
/* A new name, not longer than EDGE_NAME_MAX allows. */
int arg_new_name(const struct json_t *args, const char **namep, struct edge_failure *failp);
/* Printable UTF-8 of at most @max - 1 bytes; "" when not there. */
int arg_comment(const struct json_t *args, const char *key, size_t max, const char **textp,
		struct edge_failure *failp);
int arg_prefix_text(const char *text, struct prefix *prefixp, struct edge_failure *failp);
/* "prefix": not in a forbidden range unless a single address. */
int arg_prefix(const struct json_t *args, struct prefix *prefixp, struct edge_failure *failp);
int arg_tunnel(const struct edge_model *m, const struct json_t *args,
	       const struct edge_tunnel **tunnelp, struct edge_failure *failp);
int arg_client(const struct edge_model *m, const struct json_t *args,
	       const struct edge_client **clientp, struct edge_failure *failp);
/* "virtual_network"; the default one when not there. */
int arg_vnet(const struct edge_model *m, const struct json_t *args, const struct vnet **vnetp,
	     struct edge_failure *failp);

/* "ports" and "protocols"; all when not there. */
int arg_ports(const struct json_t *args, struct ports *portsp, struct transports *transportsp,
	      struct edge_failure *failp);

/* The row of a grant: owner, network, prefix, and up to two values that the caller sets. */
struct admin_grant_key {
	char owner[UUID_TEXT_MAX];
	char vnet[UUID_TEXT_MAX];
	char prefix[PREFIX_TEXT_MAX];
	struct store_value values[5];
};

void admin_grant_key(const struct uuid *owner, const struct uuid *vnet, const struct prefix *prefix,
		     struct admin_grant_key *key);

/* ---- texts for answers ---- */

const char *admin_vnet_name(const struct edge_model *m, const struct uuid *id);
const char *admin_tunnel_name(const struct edge_model *m, const struct uuid *id);
/* A JSON text: the time, or null for 0. */
struct json_t *admin_time(int64_t wall_ms);
struct json_t *admin_prefix(const struct prefix *p);
struct json_t *admin_uuid(const struct uuid *id);
/* "all" for the empty set. */
struct json_t *admin_ports(const struct ports *p);
struct json_t *admin_transports(struct transports t);
/* A random id of @n_bytes (at most 8) as hex. */
void admin_key_id(size_t n_bytes, char out[EDGE_KEY_ID_MAX]);

/* ---- handlers ---- */

#define ADMIN_HANDLER(name)                                                                        \
	void admin_##name(void *ctx, struct ctrl_request *req, const struct json_t *args)

ADMIN_HANDLER(client_add);
ADMIN_HANDLER(client_delete);
ADMIN_HANDLER(client_grant_add);
ADMIN_HANDLER(client_grant_delete);
ADMIN_HANDLER(client_grant_list);
ADMIN_HANDLER(client_list);
ADMIN_HANDLER(client_revoke);
ADMIN_HANDLER(client_token);
ADMIN_HANDLER(connection_close);
ADMIN_HANDLER(connections);
ADMIN_HANDLER(grant_add);
ADMIN_HANDLER(grant_delete);
ADMIN_HANDLER(grant_list);
ADMIN_HANDLER(log_level);
ADMIN_HANDLER(policy_add);
ADMIN_HANDLER(policy_add_catch_all);
ADMIN_HANDLER(policy_delete);
ADMIN_HANDLER(policy_list);
ADMIN_HANDLER(policy_move);
ADMIN_HANDLER(policy_test);
ADMIN_HANDLER(reload);
ADMIN_HANDLER(route_add);
ADMIN_HANDLER(route_delete);
ADMIN_HANDLER(route_get);
ADMIN_HANDLER(route_list);
ADMIN_HANDLER(status);
ADMIN_HANDLER(tunnel_create);
ADMIN_HANDLER(tunnel_delete);
ADMIN_HANDLER(tunnel_info);
ADMIN_HANDLER(tunnel_list);
ADMIN_HANDLER(tunnel_rotate);
ADMIN_HANDLER(tunnel_secret_list);
ADMIN_HANDLER(tunnel_secret_revoke);
ADMIN_HANDLER(tunnel_token);
ADMIN_HANDLER(vnet_add);
ADMIN_HANDLER(vnet_delete);
ADMIN_HANDLER(vnet_list);
ADMIN_HANDLER(vnet_update);
