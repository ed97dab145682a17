/* SPDX-License-Identifier: Apache-2.0 */
/* Commands that the running edge answers. */
#include <errno.h>

#include <jansson.h>

#include "ctrl/ctrl_log_level.h"
#include "edge/admin_private.h"

#define HOLD_MAX_MS (3600 * 1000)

void admin_status(void *ctx, struct ctrl_request *req, const struct json_t *args)
{
	const struct edge_admin *a = ctx;
	json_t *status = a->ops->status(a->runtime);

	(void)args;
	json_object_set_new(status, "tunnels",
			    json_integer((json_int_t)edge_model_n_tunnels(a->model)));
	json_object_set_new(status, "clients",
			    json_integer((json_int_t)edge_model_n_clients(a->model)));
	json_object_set_new(
		status, "routes",
		json_integer((json_int_t)route_table_size(edge_model_routes(a->model))));
	json_object_set_new(status, "virtual_networks",
			    json_integer((json_int_t)edge_model_vnets(a->model)->n));
	ctrl_reply_ok(req, status);
}

void admin_connections(void *ctx, struct ctrl_request *req, const struct json_t *args)
{
	const struct edge_admin *a = ctx;
	const struct edge_tunnel *t = NULL;
	struct edge_failure fail;

	if (arg_text(args, "tunnel") && arg_tunnel(a->model, args, &t, &fail) < 0)
		admin_refuse(req, &fail);
	else
		admin_reply_list(req, "connections",
				 a->ops->connections(a->runtime, t ? &t->id : NULL));
}

void admin_connection_close(void *ctx, struct ctrl_request *req, const struct json_t *args)
{
	const struct edge_admin *a = ctx;
	json_int_t hold_ms = json_integer_value(json_object_get(args, "hold_ms"));
	struct edge_failure fail;
	const char *id = arg_need_text(args, "id", &fail);

	if (!id)
		admin_refuse(req, &fail);
	else if (hold_ms < 0 || hold_ms > HOLD_MAX_MS)
		ctrl_reply_error(req, "invalid", "hold must be between 0 and 1 hour");
	else if (a->ops->connection_close(a->runtime, id, (uint32_t)hold_ms) == -ENOENT)
		ctrl_reply_error(req, "not-found", "no connection %.80s: see adit-edge connections",
				 id);
	else
		ctrl_reply_ok(req, NULL);
}

void admin_log_level(void *ctx, struct ctrl_request *req, const struct json_t *args)
{
	enum log_level before, now;

	(void)ctx;
	(void)ctrl_log_level_run(req, args, &before, &now);
}

void admin_reload(void *ctx, struct ctrl_request *req, const struct json_t *args)
{
	const struct edge_admin *a = ctx;
	char why[EDGE_RELOAD_WHY_MAX];
	json_t *result;
	int r = a->ops->reload(a->runtime, &result, why);

	(void)args;
	if (r == 0)
		ctrl_reply_ok(req, result);
	else
		ctrl_reply_error(req, r == -ESHUTDOWN ? "unavailable" : "invalid", "%s", why);
}
