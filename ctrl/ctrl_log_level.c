/* SPDX-License-Identifier: Apache-2.0 */
#include "ctrl/ctrl_log_level.h"

#include <stdio.h>

#include <jansson.h>

#include "ctrl/ctrl_server.h"
#include "ctrl/render.h"

#define CELL_MAX 64

static enum log_level level_in_force(void)
{
	enum log_level level = LOG_LEVEL_DEBUG;

	while (level < LOG_LEVEL_ERROR && !log_is_enabled(level))
		level++;
	return level;
}

static void reply_level(struct ctrl_request *req)
{
	ctrl_reply_ok(req,
		      json_pack("{s:s}", CTRL_LOG_LEVEL_LEVEL, log_level_name(level_in_force())));
}

bool ctrl_log_level_run(struct ctrl_request *req, const json_t *args, enum log_level *beforep,
			enum log_level *nowp)
{
	const json_t *level = json_object_get(args, CTRL_LOG_LEVEL_LEVEL);
	const char *name = json_string_value(level);

	if (!level) {
		reply_level(req);
		return false;
	}
	if (!ctrl_request_may_change(req)) {
		ctrl_reply_error(req, "forbidden",
				 "setting the level needs the daemon's own user or root");
		return false;
	}
	if (!name || log_level_parse(name, nowp) < 0) {
		ctrl_reply_error(req, "invalid", "the levels are debug, info, warn and error");
		return false;
	}
	*beforep = level_in_force();
	/* Said while the lower of the two is in force. */
	if (*nowp < *beforep)
		log_set_level(*nowp);
	log_info("log level set until the next reload", log_text("level", log_level_name(*nowp)),
		 log_int("uid", ctrl_request_uid(req)));
	log_set_level(*nowp);
	ctrl_reply_ok(req, json_pack("{s:s, s:s}", CTRL_LOG_LEVEL_LEVEL, log_level_name(*nowp),
				     CTRL_LOG_LEVEL_BEFORE, log_level_name(*beforep)));
	return true;
}

void ctrl_log_level_print(const json_t *result)
{
	const json_t *before = json_object_get(result, CTRL_LOG_LEVEL_BEFORE);
	char level[CELL_MAX], old[CELL_MAX];

	render_value(json_object_get(result, CTRL_LOG_LEVEL_LEVEL), RENDER_TEXT, level,
		     sizeof(level));
	if (before)
		printf("%s until the next reload; it was %s\n", level,
		       render_value(before, RENDER_TEXT, old, sizeof(old)));
	else
		puts(level);
}
