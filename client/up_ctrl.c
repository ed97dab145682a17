/* SPDX-License-Identifier: Apache-2.0 */

/* The control socket of `adit up`: what there is, and the end. */

#include <string.h>

#include <jansson.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "client/up_private.h"
#include "ctrl/ctrl_server.h"

static json_t *text_or_null(const char *text)
{
	return text[0] ? json_string(text) : json_null();
}

static json_t *host_json(const struct up *u)
{
	const struct up_host *h = &u->host;
	char l4[IP_TEXT_MAX], p4[IP_TEXT_MAX], l6[IP_TEXT_MAX], p6[IP_TEXT_MAX];

	return json_pack("{s:s, s:s, s:I, s:s, s:s, s:s, s:s}", "device", h->device.name, "form",
			 private_ns_form_name(h->ns.form), "table", (json_int_t)h->numbers.table,
			 "address4", ip_format(&h->addresses.local4, l4), "peer4",
			 ip_format(&h->addresses.peer4, p4), "address6",
			 ip_format(&h->addresses.local6, l6), "peer6",
			 ip_format(&h->addresses.peer6, p6));
}

static void run_status(void *ctx, struct ctrl_request *req, const json_t *args UNUSED)
{
	struct up *u = ctx;
	json_t *result = json_pack(
		"{s:s, s:b, s:o, s:I, s:s}", "state", u->routes.is_up ? "up" : "starting",
		"connected", (int)u->is_connected, "last_error", text_or_null(u->last_error),
		"uptime_s", (json_int_t)((clock_wall_ms() - u->since_ms) / MSEC_PER_SEC), "version",
		ADIT_VERSION);

	json_object_set_new(result, "host", host_json(u));
	json_object_set_new(result, "flows", capture_json(u->capture));
	json_object_set_new(result, "routes", up_routes_json(u));
	json_object_set_new(result, "dns", up_dns_json(u));
	ctrl_reply_ok(req, result);
}

static void run_down(void *ctx, struct ctrl_request *req, const json_t *args UNUSED)
{
	struct up *u = ctx;

	ctrl_reply_ok(req, NULL);
	log_info("told to end");
	up_stop(u, 0);
}

static const struct ctrl_command commands[] = {
	{.name = UP_COMMAND_DOWN, .changes = true, .run = run_down, .help = "end"},
	{.name = UP_COMMAND_STATUS, .run = run_status, .help = "captures, networks, flows"},
};

int up_ctrl_open(struct up *u)
{
	const char *path = u->host.socket_path;
	int r = ctrl_server_new(&u->ctrl, &u->loop.uv, path, commands, ARRAY_SIZE(commands), u);

	if (r == 0)
		return 0;
	log_error("no control socket", log_text("control_socket", path),
		  log_text("reason", r > 0 ? "another one is running" : strerror(-r)));
	return r > 0 ? UP_EXIT_RUNNING : CLIENT_EXIT_INTERNAL;
}
