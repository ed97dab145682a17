/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What the edge may still do once it listens: accept, carry bytes, read its config and its
 * certificate again, write its database and the access log. It opens no socket but to systemd: the
 * edge dials nothing.
 */

#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/compiler.h"
#include "base/confinement.h"
#include "base/diag.h"
#include "base/log.h"
#include "base/syscall_groups.h"
#include "edge/edge_private.h"

/* clang-format off */
static const struct syscall_group groups[] = {
	SYSCALLS_MEMORY,
	SYSCALLS_THREADS,
	SYSCALLS_SIGNALS,
	SYSCALLS_CLOCK,
	SYSCALLS_LOOP,
	SYSCALLS_STREAMS,
	{
		.reason = "agents, clients and commands that connect",
		.names = "accept4 getpeername getsockname getsockopt setsockopt",
	},
	{
		.reason = "telling systemd",
		.rules = {{"socket", 0, SYSCALL_EXACTLY, AF_UNIX}},
	},
	{
		.reason = "edge.yml, certificate, key and CA, read again",
		.names = "access fcntl fstat lseek newfstatat openat",
	},
	{
		.reason = "the database, its log and their locks",
		.names = "fchmod fdatasync fsync ftruncate pread64 pwrite64 unlink",
	},
};
/* clang-format on */

static void on_refused(int number)
{
	log_error("a system call was refused that the edge has no use for",
		  log_int("number", number));
}

static void log_outcome(const struct diag *diag, const struct confined *done)
{
	for (size_t i = 0; i < diag->n_items; i++)
		if (diag->items[i].kind == DIAG_WARNING)
			log_warn("confinement", log_text("reason", diag->items[i].text));
	log_info("confined", log_int("system_calls", done->n_syscalls),
		 log_text("landlock", done->files ? "yes" : "no"));
}

int edge_confine(struct edge *e, struct diag *diag)
{
	const struct edge_settings *s = e->boot;
	const struct landlock_area areas[] = {
		{e->source->config_path, LANDLOCK_READ, true},
		{s->certificate_file, LANDLOCK_READ, true},
		{s->key_file, LANDLOCK_READ, true},
		{s->ca_file, LANDLOCK_READ, true},
		{e->access_log ? s->access_log : NULL, LANDLOCK_CHANGE, true},
		/* SQLite's random numbers. */
		{"/dev/urandom", LANDLOCK_READ, false},
		{s->state_dir, LANDLOCK_CHANGE, false},
		{s->control_socket, LANDLOCK_CHANGE, true},
	};
	const struct confinement c = {
		.areas = areas,
		.n_areas = ARRAY_SIZE(areas),
		.groups = groups,
		.n_groups = ARRAY_SIZE(groups),
		.on_refused = on_refused,
	};
	struct confined done;
	struct diag found;
	int r;

	diag_init(&found, NULL);
	r = confine(&c, &done, &found);
	if (r == 0)
		log_outcome(&found, &done);
	else
		diag_add(diag, DIAG_ERROR, 0, "%s", found.items[0].text);
	diag_deinit(&found);
	return r;
}
