/* SPDX-License-Identifier: Apache-2.0 */
#include "ctrl/state_file.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/cleanup.h"
#include "base/file.h"

#define STATE_FILE_VERSION 1

DEFINE_CLEANUP(json_t *, json_decref);

static int explain(char why[STATE_FILE_WHY_MAX], int r, const char *fmt, ...) PRINTF(3, 4);

static int explain(char why[STATE_FILE_WHY_MAX], int r, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, STATE_FILE_WHY_MAX, fmt, ap);
	va_end(ap);
	return r;
}

static int make_path(const char *directory, char out[PATH_MAX])
{
	int n = snprintf(out, PATH_MAX, "%s/%s", directory, STATE_FILE_NAME);

	return n < PATH_MAX ? 0 : -ENAMETOOLONG;
}

/* An absent or empty tunnel id means "not known yet". */
static int decode_tunnel(const json_t *tunnel, struct state_file *state)
{
	const char *id = json_string_value(json_object_get(tunnel, "id"));
	const char *name = json_string_value(json_object_get(tunnel, "name"));

	if (id && uuid_parse(id, &state->tunnel_id) < 0)
		return -EINVAL;
	snprintf(state->tunnel_name, sizeof(state->tunnel_name), "%s", name ? name : "");
	return 0;
}

/* Returns the member that is wrong, or NULL. */
static const char *decode(const json_t *root, struct state_file *state)
{
	const json_t *ever = json_object_get(root, "ever_registered");
	const char *instance = json_string_value(json_object_get(root, "instance_id"));
	const char *health = json_string_value(json_object_get(root, "state"));

	if (json_integer_value(json_object_get(root, "version")) != STATE_FILE_VERSION)
		return "version";
	if (decode_tunnel(json_object_get(root, "tunnel"), state) < 0)
		return "tunnel.id";
	if (!json_is_boolean(ever))
		return "ever_registered";
	if (!instance || uuid_parse(instance, &state->instance_id) < 0 ||
	    uuid_is_nil(&state->instance_id))
		return "instance_id";
	if (!health || health_parse(health, &state->state) < 0)
		return "state";
	state->ever_registered = json_is_true(ever);
	state->pid = json_integer_value(json_object_get(root, "pid"));
	state->updated = json_integer_value(json_object_get(root, "updated"));
	return NULL;
}

static int parse(const char *path, const char *text, size_t n, struct state_file *statep,
		 char why[STATE_FILE_WHY_MAX])
{
	struct state_file state = {0};
	const char *bad;
	json_error_t error;
	CLEANUP(json_decref)
	json_t *root = json_loadb(text, n, JSON_REJECT_DUPLICATES, &error);

	if (!root)
		return explain(why, STATE_FILE_E_CORRUPT, "%s:%d: not JSON: %s", path, error.line,
			       error.text);
	bad = decode(root, &state);
	if (bad)
		return explain(why, STATE_FILE_E_CORRUPT,
			       "%s: '%s' is missing or wrong; stop the agent, remove the file and "
			       "start the agent again",
			       path, bad);
	*statep = state;
	return 0;
}

int state_file_load(const char *directory, struct state_file *statep, char why[STATE_FILE_WHY_MAX])
{
	CLEANUP(free) char *text = NULL;
	char path[PATH_MAX];
	size_t n;
	int r = make_path(directory, path);

	if (r == 0)
		r = file_read_regular(path, STATE_FILE_MAX, &text, &n);
	if (r == -ENOENT)
		return explain(why, STATE_FILE_E_ABSENT, "%s does not exist", path);
	if (r == -EFBIG)
		return explain(why, STATE_FILE_E_CORRUPT, "%s is longer than %d bytes", path,
			       STATE_FILE_MAX);
	if (r == -EINVAL)
		return explain(why, r, "%s is not a regular file", path);
	if (r < 0)
		return explain(why, r, "%s/%s: %s", directory, STATE_FILE_NAME, strerror(-r));
	return parse(path, text, n, statep, why);
}

int state_file_load_or_new(const char *directory, struct state_file *statep,
			   char why[STATE_FILE_WHY_MAX])
{
	int r = state_file_load(directory, statep, why);

	if (r != STATE_FILE_E_ABSENT)
		return r;
	*statep = (struct state_file){.instance_id = uuid_random(), .state = HEALTH_INACTIVE};
	return 0;
}

static json_t *encode_tunnel(const struct state_file *state)
{
	json_t *tunnel = json_object();
	char id[UUID_TEXT_MAX];

	if (!uuid_is_nil(&state->tunnel_id))
		json_object_set_new(tunnel, "id", json_string(uuid_format(&state->tunnel_id, id)));
	if (state->tunnel_name[0])
		json_object_set_new(tunnel, "name", json_string(state->tunnel_name));
	return tunnel;
}

int state_file_save(const char *directory, const struct state_file *state)
{
	char instance[UUID_TEXT_MAX];
	CLEANUP(free) char *text = NULL;
	CLEANUP(json_decref) json_t *root = NULL;
	char path[PATH_MAX];
	int r = make_path(directory, path);

	if (r < 0)
		return r;
	root = json_pack("{s:i, s:o, s:b, s:s, s:s, s:I, s:I}", "version", STATE_FILE_VERSION,
			 "tunnel", encode_tunnel(state), "ever_registered", state->ever_registered,
			 "instance_id", uuid_format(&state->instance_id, instance), "state",
			 health_name(state->state), "pid", (json_int_t)state->pid, "updated",
			 (json_int_t)state->updated);
	text = root ? json_dumps(root, JSON_INDENT(2)) : NULL;
	if (!text)
		return -ENOMEM;
	return file_replace(path, 0644, text, strlen(text));
}
