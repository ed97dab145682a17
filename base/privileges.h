/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* privileges - giving capabilities up, for good */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define PRIVILEGE(cap) (UINT64_C(1) << (cap)) /* CAP_* of linux/capability.h */

struct privileges_user {
	uid_t uid;
	gid_t gid;
};

/* Who called sudo, by SUDO_UID and SUDO_GID. False unless this is root and both are there and not
 * 0. */
bool privileges_invoking_user(struct privileges_user *userp);

/* True if all of @caps are in the effective set. */
bool privileges_have(uint64_t caps);

/*
 * Keeps @caps permitted and effective, nothing inheritable or ambient, in the bounding set @caps
 * and no others (where CAP_SETPCAP allows), and no_new_privs. 0 or -errno.
 */
int privileges_keep(uint64_t caps);

/*
 * In a child, before it executes a program: that one has @caps as well, also where it isn't root.
 * They must be permitted. 0 or -errno.
 */
int privileges_hand_on(uint64_t caps);

/* The bounding set becomes @caps, as far as CAP_SETPCAP allows. */
void privileges_bound(uint64_t caps);

/*
 * No capability in any set, no_new_privs. For the calling thread: use it before there are others.
 * Verified before it returns 0; -errno.
 */
int privileges_drop_all(void);

/* The same, and @user's uid, gid and groups. */
int privileges_drop_to(const struct privileges_user *user);
