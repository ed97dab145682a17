/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/local_config.h"

#include <stdlib.h>

#include <jansson.h>

#include "agent/settings.h"
#include "base/clock.h"
#include "base/log.h"

/* Stock needs a last rule; ours says that no web server is behind the tunnel. */
#define CATCH_ALL "http_status:503"

static json_t *make_flags(const struct settings *s)
{
	return json_pack("{s:s, s:s}", "protocol", "http2", "loglevel",
			 log_level_name(s->log_level));
}

static json_t *make_warp_routing(const struct warp_routing *w)
{
	return json_pack("{s:I, s:I, s:I}", "connectTimeout",
			 (json_int_t)(w->connect_timeout_ms / MSEC_PER_SEC), "maxActiveFlows",
			 (json_int_t)w->max_active_flows, "tcpKeepAlive",
			 (json_int_t)(w->tcp_keep_alive_ms / MSEC_PER_SEC));
}

char *local_config_format(const struct settings *s)
{
	json_t *config = json_pack("{s:o, s:[{s:s}], s:o}", "__configuration_flags", make_flags(s),
				   "ingress", "service", CATCH_ALL, "warp-routing",
				   make_warp_routing(&s->warp_routing));
	char *text = json_dumps(config, JSON_COMPACT);

	json_decref(config);
	if (!text)
		abort();
	return text;
}
