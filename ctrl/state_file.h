/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * state_file - what an agent leaves behind in <state directory>/state.json
 *
 *   {"version":1,"tunnel":{"id":"…","name":"…"},"ever_registered":true,
 *    "instance_id":"…","state":"Healthy","pid":4711,"updated":1795366957}
 *
 * Mode 0644 and without secrets: `adit status` of any user reads it when no agent
 * answers. Replaced by rename, so a reader sees a whole file. `instance_id` names this
 * state directory to the edge for good: it tells a restart from a second process.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/health.h"
#include "base/uuid.h"

#define STATE_FILE_NAME	    "state.json"
#define STATE_FILE_MAX	    65536
#define STATE_FILE_NAME_MAX 256 /* bytes of a tunnel's name, with NUL; longer ones are cut */

struct state_file {
	struct uuid tunnel_id;		       /* nil: not known yet */
	char tunnel_name[STATE_FILE_NAME_MAX]; /* may be empty */
	struct uuid instance_id;	       /* never nil after a load */
	enum health state;
	int64_t pid;
	int64_t updated; /* seconds since 1970 UTC */
	bool ever_registered;
};

enum state_file_outcome {
	STATE_FILE_E_ABSENT = 1,  /* there is none: never started with this directory */
	STATE_FILE_E_CORRUPT = 2, /* not what we write; @why says what is wrong */
};

#define STATE_FILE_WHY_MAX 512

/* Reads <@directory>/state.json. 0, an outcome, or -errno; on both of these @why names the file. */
NODISCARD int state_file_load(const char *directory, struct state_file *statep,
			      char why[STATE_FILE_WHY_MAX]);

/*
 * As state_file_load() for the agent's start: an absent file gives an empty state with a
 * new instance id, Inactive, nothing written. 0, STATE_FILE_E_CORRUPT or -errno.
 */
NODISCARD int state_file_load_or_new(const char *directory, struct state_file *statep,
				     char why[STATE_FILE_WHY_MAX]);

/* Replaces the file; the directory must exist. 0 or -errno. */
NODISCARD int state_file_save(const char *directory, const struct state_file *state);
