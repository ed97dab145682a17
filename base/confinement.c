/* SPDX-License-Identifier: Apache-2.0 */
#include "base/confinement.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/areas.h"
#include "base/diag.h"
#include "base/err.h"
#include "base/log.h"
#include "base/privileges.h"

#ifdef ADIT_SANITIZED
static const bool is_sanitized = true;
#else
static const bool is_sanitized = false;
#endif

static const char *asked_for(void)
{
	const char *text = getenv(CONFINEMENT_ENV);

	return text ? text : "";
}

static bool is_asked_for(const char *what)
{
	return strcmp(asked_for(), what) == 0;
}

static int restrict_files(const struct confinement *c, struct confined *done, struct diag *diag)
{
	struct landlock_area areas[CONFINEMENT_AREAS_MAX];
	int r;

	if (c->n_areas > ARRAY_SIZE(areas))
		return -E2BIG;
	for (size_t i = 0; i < c->n_areas; i++)
		areas[i] = c->areas[i];
	r = areas_check(areas, c->n_areas, c->secret, diag);
	if (r < 0)
		return r;
	areas_warn_wide(areas, c->n_areas, diag);
	r = landlock_restrict(areas, c->n_areas);
	done->files = r == 0;
	if (r == LANDLOCK_E_MISSING)
		diag_add(diag, DIAG_WARNING, 0,
			 "no Landlock here (Linux 5.13, switched on, and let through by the unit): "
			 "only "
			 "permissions keep files from us");
	else if (r < 0)
		diag_add(diag, DIAG_ERROR, 0, "files can't be restricted: %s", strerror(-r));
	return r < 0 ? r : 0;
}

/* Made before, because a signal handler can't. */
static char refused_text[96];

static void on_refused(int number)
{
	log_write_in_signal(LOG_LEVEL_ERROR, refused_text,
			    (const struct log_field[]){log_int("number", number), LOG_END});
}

static int filter_syscalls(const struct confinement *c, struct confined *done, struct diag *diag)
{
	enum syscall_mode mode = is_asked_for("kill") ? SYSCALL_KILL : SYSCALL_REFUSE;
	int r;

	if (is_asked_for("off")) {
		diag_add(diag, DIAG_WARNING, 0, CONFINEMENT_ENV "=off: no system call filter");
		return 0;
	}
	snprintf(refused_text, sizeof(refused_text),
		 "a system call was refused that %s has no use for", c->role);
	r = syscall_filter_install(c->groups, c->n_groups, mode, on_refused);
	if (r >= 0)
		done->n_syscalls = r;
	else
		diag_add(
			diag, DIAG_ERROR, 0,
			"no system call filter: %s; a kernel without seccomp takes " CONFINEMENT_ENV
			"=off",
			strerror(-r));
	return r < 0 ? r : 0;
}

int confine(const struct confinement *c, struct confined *done, struct diag *diag)
{
	int r = privileges_drop_all();

	*done = (struct confined){0};
	if (*asked_for() && !is_asked_for("kill") && !is_asked_for("off"))
		diag_add(diag, DIAG_WARNING, 0,
			 CONFINEMENT_ENV " is neither \"kill\" nor \"off\": ignored");
	if (r < 0) {
		diag_add(diag, DIAG_ERROR, 0, "privileges can't be given up: %s", strerror(-r));
		return err_trace(r);
	}
	if (is_sanitized) {
		diag_add(diag, DIAG_WARNING, 0,
			 "built with a sanitizer: no system call filter, no Landlock");
		return 0;
	}
	r = restrict_files(c, done, diag);
	if (r == 0)
		r = filter_syscalls(c, done, diag);
	return err_trace(r);
}

void confined_log(const struct confined *done)
{
	log_info("confined", log_int("system_calls", done->n_syscalls),
		 log_text("landlock", done->files ? "yes" : "no"));
}
