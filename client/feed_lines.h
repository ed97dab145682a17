/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * feed_lines - the routes feed's JSON lines to a set of routes; pure
 *
 * Bytes come in any pieces. A set is shown when its `commit` has come; what is pending until
 * then is bounded, and so is the set. Lines of unknown `op` and unknown keys are skipped, so that
 * an edge may say more one day.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/compiler.h"
#include "client/routes_feed.h"

struct feed_lines;

#define FEED_LINE_MAX  4096		     /* bytes, with the line feed */
#define FEED_BATCH_MAX (2 * FEED_ROUTES_MAX) /* lines between two commits that change the set */

enum feed_lines_outcome {
	FEED_LINES_E_BAD = 1,	  /* feed_lines_error() says what; nothing more can be read */
	FEED_LINES_E_STOPPED = 2, /* on_set said so */
};

/*
 * The whole set, sorted, no pair twice; borrowed for the call. False: stop here (@f may be
 * freed after feed_lines_push() has returned).
 */
typedef bool (*feed_lines_cb)(void *ctx, const struct feed_route *routes, size_t n);

struct feed_lines *feed_lines_new(feed_lines_cb on_set, void *ctx);
struct feed_lines *feed_lines_free(struct feed_lines *f);
DEFINE_CLEANUP(struct feed_lines *, feed_lines_free);

/* 0, an outcome, or -ENOMEM. */
NODISCARD int feed_lines_push(struct feed_lines *f, const uint8_t *data, size_t n);
/* One line, for people; "" when nothing was wrong. */
const char *feed_lines_error(const struct feed_lines *f);
