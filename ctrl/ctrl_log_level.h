/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* ctrl_log_level - the command `log-level`, which both daemons have */

#include <stdbool.h>

#include "base/log.h"

struct ctrl_request;
struct json_t; /* jansson's */

#define CTRL_LOG_LEVEL	      "log-level"
#define CTRL_LOG_LEVEL_LEVEL  "level"  /* argument (left out: nothing changes) and result */
#define CTRL_LOG_LEVEL_BEFORE "before" /* result, only when it was set */

/*
 * Answers @req. Showing is anybody's, setting is of those who may change things. True: the
 * level was set, from *@beforep to *@nowp.
 */
bool ctrl_log_level_run(struct ctrl_request *req, const struct json_t *args,
			enum log_level *beforep, enum log_level *nowp);

/* What was answered, for people, on stdout. */
void ctrl_log_level_print(const struct json_t *result);
