/* SPDX-License-Identifier: Apache-2.0 */
#include "client/privileges.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/err.h"

#define CAPS_MAX 64

/* Both halves of version 3: the low and the high 32 capabilities. */
struct caps {
	struct __user_cap_data_struct half[_LINUX_CAPABILITY_U32S_3];
};

static struct __user_cap_header_struct this_thread(void)
{
	return (struct __user_cap_header_struct){.version = _LINUX_CAPABILITY_VERSION_3};
}

static int get_caps(struct caps *c)
{
	struct __user_cap_header_struct header = this_thread();

	return syscall(SYS_capget, &header, c->half) < 0 ? -errno : 0;
}

static int set_caps(uint64_t caps)
{
	struct __user_cap_header_struct header = this_thread();
	struct caps c = {0};

	for (unsigned int i = 0; i < _LINUX_CAPABILITY_U32S_3; i++) {
		c.half[i].effective = (uint32_t)(caps >> 32 * i);
		c.half[i].permitted = c.half[i].effective;
	}
	return syscall(SYS_capset, &header, c.half) < 0 ? -errno : 0;
}

static uint64_t effective(const struct caps *c)
{
	return (uint64_t)c->half[1].effective << 32 | c->half[0].effective;
}

bool privileges_have(uint64_t caps)
{
	struct caps c;

	return get_caps(&c) == 0 && (effective(&c) & caps) == caps;
}

/* The bounding set only matters to what is executed, and no_new_privs rules that out already. */
static void narrow_bounding_set(uint64_t caps)
{
	for (int cap = 0; cap < CAPS_MAX; cap++)
		if (!(caps & PRIVILEGE(cap)))
			prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
}

int privileges_keep(uint64_t caps)
{
	int r;

	narrow_bounding_set(caps);
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	r = set_caps(caps);
	if (r == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		r = -errno;
	return err_trace(r);
}

int privileges_hand_on(uint64_t caps)
{
	struct __user_cap_header_struct header = this_thread();
	struct caps c;
	int r = get_caps(&c);

	if (r < 0)
		return r;
	for (unsigned int i = 0; i < _LINUX_CAPABILITY_U32S_3; i++)
		c.half[i].inheritable |= (uint32_t)(caps >> 32 * i);
	if (syscall(SYS_capset, &header, c.half) < 0)
		return -errno;
	for (int cap = 0; cap < CAPS_MAX; cap++)
		if ((caps & PRIVILEGE(cap)) &&
		    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0) < 0)
			return -errno;
	return 0;
}

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

/* True if nothing is left in any set that this thread has. */
static bool has_nothing(void)
{
	struct caps c;

	if (get_caps(&c) < 0)
		return false;
	for (unsigned int i = 0; i < _LINUX_CAPABILITY_U32S_3; i++)
		if (c.half[i].effective | c.half[i].permitted | c.half[i].inheritable)
			return false;
	return true;
}

int privileges_drop_all(const struct privileges_user *user)
{
	int r = 0;

	/* Before the change of uid, which takes CAP_SETPCAP. */
	narrow_bounding_set(0);
	if (user)
		r = become(user);
	if (r == 0)
		r = privileges_keep(0);
	if (r == 0 && !has_nothing())
		r = -EPERM;
	return err_trace(r);
}
