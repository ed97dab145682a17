/* SPDX-License-Identifier: Apache-2.0 */
#include "base/privileges.h"

#include <errno.h>
#include <linux/capability.h>
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
void privileges_bound(uint64_t caps)
{
	for (int cap = 0; cap < CAPS_MAX; cap++)
		if (!(caps & PRIVILEGE(cap)))
			prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
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

int privileges_keep(uint64_t caps)
{
	int r;

	privileges_bound(caps);
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	/* Who has nothing may run under a filter of systemd's that leaves capset() out. */
	r = caps == 0 && has_nothing() ? 0 : set_caps(caps);
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

int privileges_drop_all(void)
{
	int r = privileges_keep(0);

	if (r == 0 && !has_nothing())
		r = -EPERM;
	return err_trace(r);
}
