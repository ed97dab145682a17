/* SPDX-License-Identifier: Apache-2.0 */

/*
 * `adit status` always ends in a document with a state, which is then shown: the agent's
 * answer, or what the state file says about an agent that doesn't run, or Unknown with the
 * reason. The exit code is the state's.
 */

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/health.h"
#include "base/uuid.h"
#include "cmd/cmd_connections.h"
#include "cmd/cmd_target.h"
#include "cmd/commands.h"
#include "cmd/options.h"
#include "ctrl/agent_status.h"
#include "ctrl/render.h"
#include "ctrl/state_file.h"

#define CELL_MAX	  512
#define EXIT_CODE_UNKNOWN 3

DEFINE_CLEANUP(json_t *, json_decref);

static const char *text_of(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

static json_t *make_document(const char *state, const char *note)
{
	char safe[CELL_MAX];

	/* Escaped, because a path in it need not be UTF-8 and JSON text must be. */
	return json_pack("{s:s, s:b, s:s}", STATUS_STATE, state, STATUS_RUNNING, 0, STATUS_NOTE,
			 render_escape(note, safe, sizeof(safe)));
}

static void add_tunnel(json_t *status, const struct state_file *state)
{
	json_t *tunnel = json_object();
	char id[UUID_TEXT_MAX];

	if (!uuid_is_nil(&state->tunnel_id))
		json_object_set_new(tunnel, STATUS_TUNNEL_ID,
				    json_string(uuid_format(&state->tunnel_id, id)));
	if (state->tunnel_name[0])
		json_object_set_new(tunnel, STATUS_TUNNEL_NAME, json_string(state->tunnel_name));
	json_object_set_new(status, STATUS_TUNNEL, tunnel);
}

/* No agent answers: Down if it was ever connected, Inactive if it never was. */
static json_t *status_from_file(const char *directory)
{
	char why[STATE_FILE_WHY_MAX], note[STATE_FILE_WHY_MAX + 64];
	struct state_file state;
	json_t *status;
	int r = state_file_load(directory, &state, why);

	if (r == STATE_FILE_E_ABSENT) {
		snprintf(note, sizeof(note), "agent is not running (%s)", why);
		return make_document(health_name(HEALTH_INACTIVE), note);
	}
	if (r != 0)
		return make_document(STATUS_STATE_UNKNOWN, why);
	status = make_document(health_name(health_of(0, 0, state.ever_registered)),
			       state.ever_registered ? "agent is not running"
						     : "agent is not running; it never connected");
	add_tunnel(status, &state);
	return status;
}

static json_t *obtain_status(const struct agent_target *target)
{
	struct ctrl_error error;
	json_t *status;
	int r = agent_target_call(target, AGENT_COMMAND_STATUS, NULL, &status, &error);

	if (r == 0)
		json_object_set_new(status, STATUS_RUNNING, json_true());
	else if (r == CTRL_CLIENT_E_UNREACHABLE)
		status = status_from_file(target->state_directory);
	else
		status = make_document(STATUS_STATE_UNKNOWN, error.text);
	return status;
}

/* "name (id)", or what is known of it, safe for a terminal. */
static const char *describe_tunnel(const json_t *tunnel, char out[CELL_MAX])
{
	const char *name = text_of(tunnel, STATUS_TUNNEL_NAME);
	const char *id = text_of(tunnel, STATUS_TUNNEL_ID);
	char text[CELL_MAX];

	if (name && id && strcmp(name, id) != 0)
		snprintf(text, sizeof(text), "%.300s (%.100s)", name, id);
	else
		snprintf(text, sizeof(text), "%.400s", name ? name : id ? id : "");
	return render_escape(text, out, CELL_MAX);
}

/* The line that monitoring shows. */
static void print_summary(const json_t *status)
{
	const char *state = text_of(status, STATUS_STATE);
	const char *note = text_of(status, STATUS_NOTE);
	char cell[CELL_MAX];

	if (strcmp(state, STATUS_STATE_UNKNOWN) == 0) {
		printf("%s: %s\n", state, render_escape(note ? note : "-", cell, sizeof(cell)));
		return;
	}
	printf("%s", state);
	if (describe_tunnel(json_object_get(status, STATUS_TUNNEL), cell)[0])
		printf("  tunnel %s", cell);
	if (json_is_true(json_object_get(status, STATUS_RUNNING)))
		printf("  %d of %d connections",
		       (int)json_integer_value(json_object_get(status, STATUS_REGISTERED)),
		       (int)json_integer_value(json_object_get(status, STATUS_EXPECTED)));
	if (json_is_true(json_object_get(status, STATUS_DRAINING)))
		printf("  draining");
	if (json_is_integer(json_object_get(status, STATUS_REPLACEMENT)))
		printf("  to be replaced by process %lld",
		       (long long)json_integer_value(json_object_get(status, STATUS_REPLACEMENT)));
	if (note)
		printf("  %s", render_escape(note, cell, sizeof(cell)));
	putchar('\n');
}

/* Users only see that a ping fails: here it says why. */
static void print_ping(const json_t *status)
{
	const char *ping = text_of(status, STATUS_PING);

	if (ping && strcmp(ping, PING_UNAVAILABLE) == 0)
		puts("note: ping through the tunnel is refused: the host lets this process send no "
		     "ICMP echo (sysctl net.ipv4.ping_group_range)");
}

static void print_refused(const json_t *status)
{
	json_int_t n = json_integer_value(
		json_object_get(json_object_get(status, STATUS_LOAD), LOAD_REFUSED));

	if (n > 0)
		printf("note: %" JSON_INTEGER_FORMAT " streams were refused at a limit: the log "
		       "names it, \"load\" of --json has all\n",
		       n);
}

static void print_process(const json_t *status)
{
	static const struct render_column columns[] = {
		{"connector", STATUS_CONNECTOR_ID, RENDER_TEXT},
		{"adit", STATUS_VERSION, RENDER_TEXT},
		{"pid", STATUS_PID, RENDER_NUMBER},
		{"up", STATUS_UPTIME_S, RENDER_AGE},
	};
	char cell[CELL_MAX];
	const char *gap = "";

	for (size_t i = 0; i < ARRAY_SIZE(columns); i++) {
		const json_t *value = json_object_get(status, columns[i].key);

		if (!value)
			continue;
		printf("%s%s %s", gap, columns[i].title,
		       render_value(value, columns[i].kind, cell, sizeof(cell)));
		gap = "  ";
	}
	if (*gap)
		putchar('\n');
}

static void print_status(const json_t *status)
{
	print_summary(status);
	if (!json_is_true(json_object_get(status, STATUS_RUNNING)))
		return;
	print_process(status);
	print_ping(status);
	print_refused(status);
	putchar('\n');
	print_connections(json_object_get(status, STATUS_CONNECTIONS));
}

/* An answer without a state that we know is no answer. */
static int exit_code_of(const json_t *status)
{
	const char *state = text_of(status, STATUS_STATE);
	enum health health;

	if (!state || health_parse(state, &health) < 0)
		return EXIT_CODE_UNKNOWN;
	return health_exit_code(health);
}

static bool has_state(const json_t *status)
{
	const char *state = text_of(status, STATUS_STATE);
	enum health health;

	return state &&
	       (strcmp(state, STATUS_STATE_UNKNOWN) == 0 || health_parse(state, &health) == 0);
}

static json_t *obtain_valid_status(const struct agent_target *target)
{
	json_t *status = obtain_status(target);

	if (has_state(status))
		return status;
	json_decref(status);
	return make_document(STATUS_STATE_UNKNOWN, "the agent's answer has no valid state");
}

static void show(const json_t *status, bool json)
{
	if (json)
		print_json(status);
	else
		print_status(status);
}

/* ---- watching ---- */

/* What changes by itself: no news to whoever reads a log of it. */
static json_t *without_counters(const json_t *status)
{
	static const char *const counters[] = {CONNECTION_SINCE_S, CONNECTION_RTT_US,
					       CONNECTION_STREAMS, CONNECTION_BYTES_IN,
					       CONNECTION_BYTES_OUT};
	json_t *copy = json_deep_copy(status);
	json_t *row;
	size_t k;

	json_object_del(copy, STATUS_UPTIME_S);
	json_object_del(copy, STATUS_LOAD);
	json_array_foreach(json_object_get(copy, STATUS_CONNECTIONS), k, row)
	{
		for (size_t i = 0; i < ARRAY_SIZE(counters); i++)
			json_object_del(row, counters[i]);
	}
	return copy;
}

static void repaint(const json_t *status)
{
	char now[CLOCK_TEXT_MAX];

	/* Home, and clear what is below: less flicker than a cleared screen. */
	printf("\033[H\033[J%s\n\n", clock_format_wall(clock_wall_ms(), now));
	print_status(status);
}

static void append(const json_t *status, bool json)
{
	char now[CLOCK_TEXT_MAX];

	if (!json) {
		printf("%s ", clock_format_wall(clock_wall_ms(), now));
		print_status(status);
		putchar('\n');
		return;
	}
	json_dumpf(status, stdout, JSON_COMPACT | JSON_ENSURE_ASCII);
	putchar('\n');
}

static volatile sig_atomic_t last_code = EXIT_CODE_UNKNOWN;

/* At once, even while the agent keeps us waiting; what was shown was flushed. */
static void leave(int number UNUSED)
{
	_exit(last_code);
}

/* Until a signal, or until nobody reads. The exit status is that of the last state. */
static int watch(const struct agent_target *target)
{
	const struct sigaction action = {.sa_handler = leave};
	bool paints = isatty(STDOUT_FILENO) && !target->json;
	CLEANUP(json_decref) json_t *shown = NULL;

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	do {
		json_t *status = obtain_valid_status(target);
		json_t *essence = without_counters(status);

		if (paints)
			repaint(status);
		else if (!shown || !json_equal(essence, shown))
			append(status, target->json);
		json_decref(shown);
		shown = essence;
		last_code = exit_code_of(status);
		json_decref(status);
	} while (fflush(stdout) == 0 && sleep(1) == 0);
	return last_code;
}

int cmd_status(int argc, char **argv)
{
	CLEANUP(json_decref) json_t *status = NULL;
	bool watched = false;
	const struct option_row rows[] = {
		{.name = "watch",
		 .kind = OPTION_FLAG,
		 .target = &watched,
		 .help = "go on: repaint the terminal, or print each change; ends by SIGINT"},
	};
	const struct agent_target_extra extra = {OPTION_ROWS(rows)};
	struct agent_target target;
	int r = agent_target_parse(
		"adit status [OPTIONS]",
		"Shows the tunnel's state and its connections. Exit status: 0 Healthy, "
		"1 Degraded,\n2 Down, 3 Inactive or unknown.",
		&extra, &argc, argv, &target);

	if (r != OPTIONS_GO_ON)
		return r;
	if (watched)
		return watch(&target);
	status = obtain_valid_status(&target);
	show(status, target.json);
	return exit_code_of(status);
}
