/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * remote_config - configuration pushed by the edge (update-configuration)
 *
 * Changes warp-routing within local bounds and nothing else. Version starts at
 * -1; an old version is answered like success. Pure.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/settings.h"

struct remote_config {
	int32_t version;		/* last applied; -1 at start */
	struct warp_routing local;	/* what the file says: the bounds */
	struct warp_routing effective;
	bool enabled;			/* remote-config: on */
};

void remote_config_init(struct remote_config *rc, const struct warp_routing *local, bool enabled);
/* After reload: new bounds; the remote values are applied again within them. */
void remote_config_rebase(struct remote_config *rc, const struct warp_routing *local, bool enabled);

enum remote_config_outcome {
	REMOTE_CONFIG_APPLIED,
	REMOTE_CONFIG_OLD,	/* version not newer: nothing changed, answered with success */
	REMOTE_CONFIG_INVALID,	/* answered with err not null */
	REMOTE_CONFIG_UNREADABLE, /* outer JSON broken, empty, too large or too deep: 502 */
};

#define REMOTE_CONFIG_ANSWER_MAX 512
#define REMOTE_CONFIG_DEPTH_MAX	 16

/*
 * Applies @body. @answer receives the JSON of protocol section "update-configuration"
 * (not for UNREADABLE); @unserved a comma-separated list of keys that adit does not serve.
 */
enum remote_config_outcome remote_config_apply(struct remote_config *rc, const void *body, size_t n,
					       char answer[REMOTE_CONFIG_ANSWER_MAX],
					       char *unserved, size_t n_unserved);
