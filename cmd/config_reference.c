/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Prints docs/config.md. A program of its own because it needs the tables of both daemons,
 * and neither should carry the other's.
 */

#include <stdio.h>
#include <stdlib.h>

#include "agent/settings.h"
#include "client/up_settings.h"
#include "edge/edge_settings.h"

static const char intro[] =
	"# Configuration\n\n"
	"<!-- Written by `make docs` from the tables that read the files. Don't edit. -->\n\n"
	"The files are YAML without anchors, aliases and tags, at most 1 MiB. A flag beats an\n"
	"environment variable, which beats the file, which beats the default. `adit config check`\n"
	"and `adit-edge config check` name all problems of a file as `file:line: key: reason`;\n"
	"`config show` prints what is in force. They know `config.yml` and `edge.yml`; `adit up` "
	"checks\n"
	"`client.yml` when it starts. A daemon does not start with a file that has\n"
	"problems (exit status 78), and at reload keeps what it has and says why.\n\n"
	"Durations are written `30s`, `1m30s` or `500ms`; sizes in bytes, `KiB`, `MiB` or "
	"`GiB`.\n\n";

int main(void)
{
	fputs(intro, stdout);
	settings_write_reference(stdout);
	fputc('\n', stdout);
	up_settings_write_reference(stdout);
	fputc('\n', stdout);
	edge_settings_write_reference(stdout);
	return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
