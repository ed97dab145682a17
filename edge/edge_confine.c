/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What the edge may still do once it listens: accept, carry bytes, read its config and its
 * certificate again, write its database and the access log. It opens no socket but to systemd: the
 * edge dials nothing.
 */

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/compiler.h"
#include "base/confinement.h"
#include "base/diag.h"
#include "base/err.h"
#include "base/log.h"
#include "base/syscall_groups.h"
#include "edge/edge_private.h"
#include "edge/paths.h"

/* clang-format off */
static const struct syscall_group groups[] = {
	SYSCALLS_MEMORY,
	SYSCALLS_THREADS,
	SYSCALLS_SIGNALS,
	SYSCALLS_CLOCK,
	SYSCALLS_LOOP,
	SYSCALLS_STREAMS,
	SYSCALLS_DESCRIPTORS,
	{
		.reason = "agents, clients and commands that connect",
		.names = "accept4 getpeername getsockname getsockopt setsockopt",
	},
	{
		.reason = "telling systemd",
		.rules = {{"socket", 0, SYSCALL_EXACTLY, AF_UNIX, SYSCALL_DATAGRAMS}},
	},
	{
		.reason = "edge.yml, certificate, key and CA, read again",
		.names = "access fstat lseek newfstatat openat",
	},
	{
		.reason = "the database, its log and their locks",
		.names = "fchmod fdatasync fsync ftruncate pread64 pwrite64 unlink",
	},
};
/* clang-format on */

static void log_outcome(const struct diag *diag, const struct confined *done)
{
	for (size_t i = 0; i < diag->n_items; i++)
		if (diag->items[i].kind == DIAG_WARNING)
			log_warn("confinement", log_text("reason", diag->items[i].text));
	confined_log(done);
}

/* Warnings may come before it. */
static void pass_error(const struct diag *found, struct diag *diag)
{
	for (size_t i = 0; i < found->n_items; i++) {
		if (found->items[i].kind != DIAG_ERROR)
			continue;
		diag_add(diag, DIAG_ERROR, 0, "%s", found->items[i].text);
		return;
	}
	diag_add(diag, DIAG_ERROR, 0, "the process can't be confined");
}

/* As `adit-edge init` names it: a slash at the end isn't part of the state directory's name. */
static int name_ca_dir(const char *state_dir, char out[PATH_MAX])
{
	size_t n = strlen(state_dir);

	while (n > 1 && state_dir[n - 1] == '/')
		n--;
	return snprintf(out, PATH_MAX, "%.*s" EDGE_CA_DIR_SUFFIX, (int)n, state_dir) < PATH_MAX
		       ? 0
		       : -ENAMETOOLONG;
}

int edge_confine(struct edge *e, struct diag *diag)
{
	const struct edge_settings *s = e->boot;
	char ca_dir[PATH_MAX];
	const struct landlock_area areas[] = {
		{e->source->config_path, LANDLOCK_READ, true, "--config"},
		{s->certificate_file, LANDLOCK_READ, true, "certificate"},
		{s->key_file, LANDLOCK_READ, true, "key"},
		{s->ca_file, LANDLOCK_READ, true, "ca"},
		{e->access_log ? s->access_log : NULL, LANDLOCK_CHANGE, true, "access-log"},
		/* SQLite's random numbers. */
		{"/dev/urandom", LANDLOCK_READ, false, NULL},
		{s->state_dir, LANDLOCK_CHANGE, false, "state-directory"},
		{s->control_socket, LANDLOCK_CHANGE, true, "control-socket"},
	};
	const struct confinement c = {
		.areas = areas,
		.n_areas = ARRAY_SIZE(areas),
		.secret = ca_dir,
		.groups = groups,
		.n_groups = ARRAY_SIZE(groups),
		.role = "the edge",
	};
	struct confined done;
	struct diag found;
	int r = name_ca_dir(s->state_dir, ca_dir);

	if (r < 0)
		return err_trace(r);
	diag_init(&found, NULL);
	r = confine(&c, &done, &found);
	if (r == 0)
		log_outcome(&found, &done);
	else
		pass_error(&found, diag);
	diag_deinit(&found);
	return r;
}
