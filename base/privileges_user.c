/* SPDX-License-Identifier: Apache-2.0 */

/* Apart from privileges.c: the static agent has no users' names. */

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/err.h"
#include "base/privileges.h"

static bool id_from_environment(const char *name, unsigned int *idp)
{
	const char *text = getenv(name);
	unsigned long id;
	char *end;

	if (!text || *text < '0' || *text > '9')
		return false;
	errno = 0;
	id = strtoul(text, &end, 10);
	/* The largest one means "unchanged" to the kernel. */
	if (errno || *end || id == 0 || id >= UINT32_MAX)
		return false;
	*idp = (unsigned int)id;
	return true;
}

bool privileges_invoking_user(struct privileges_user *userp)
{
	struct privileges_user user;

	if (geteuid() != 0 || !id_from_environment("SUDO_UID", &user.uid) ||
	    !id_from_environment("SUDO_GID", &user.gid))
		return false;
	*userp = user;
	return true;
}

static int take_groups(const struct privileges_user *user)
{
	const struct passwd *entry = getpwuid(user->uid);

	if (entry && initgroups(entry->pw_name, user->gid) == 0)
		return 0;
	return setgroups(1, &user->gid) < 0 ? -errno : 0;
}

static int become(const struct privileges_user *user)
{
	int r = take_groups(user);

	if (r < 0)
		return r;
	if (setresgid(user->gid, user->gid, user->gid) < 0 ||
	    setresuid(user->uid, user->uid, user->uid) < 0)
		return -errno;
	return 0;
}

int privileges_drop_to(const struct privileges_user *user)
{
	int r;

	/* Before the change of uid, which takes CAP_SETPCAP. */
	privileges_bound(0);
	r = become(user);
	if (r == 0)
		r = privileges_drop_all();
	return err_trace(r);
}
