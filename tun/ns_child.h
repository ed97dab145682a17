/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * ns_child - a child in namespaces of its own that hands descriptors back
 *
 * The child leaves for a new user, network and, if asked for, mount namespace, where it has all
 * capabilities while outside it has none more than before. There it runs @set_up, whose
 * descriptors and bytes come back to the parent. Then it ends, or with @proceed waits for the
 * parent's ns_child_go(). Fork rules hold: call it while the process has one thread.
 *
 * In the user namespace the user and group of the caller are mapped to themselves and nothing else
 * is: files of others appear as nobody's in there.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/diag.h"

#define NS_CHILD_FDS_MAX    8
#define NS_CHILD_BYTES_MAX  256
#define NS_CHILD_REASON_MAX 256

/* What a child hands back. Descriptors of the parent's copy are owned by the parent. */
struct ns_child_result {
	size_t n_fds;
	int fds[NS_CHILD_FDS_MAX];
	size_t n_bytes;
	uint8_t bytes[NS_CHILD_BYTES_MAX];
};

struct ns_child_plan {
	bool mounts; /* a mount namespace, too, which the child has to make private */
	/*
	 * Where CAP_SYS_ADMIN is there, no user namespace: ids and capabilities stay as they are,
	 * also for what the child executes.
	 */
	bool own_rights;
	/*
	 * Runs in the child, inside. Fills @result, and may fill @d for the user. 0 or -errno.
	 * Descriptors that it doesn't hand over vanish with the child.
	 */
	int (*set_up)(void *ctx, struct ns_child_result *result, struct diag *d);
	/*
	 * Runs in the child after "go"; its return is the exit status. NULL: it ends at once. The
	 * child, and what it executes, is killed when the thread that started it ends.
	 */
	int (*proceed)(void *ctx);
	void *ctx;
};

struct ns_child {
	pid_t pid;   /* 0: none (any more) */
	int channel; /* owned; -1: none. Its end makes a waiting child end, too */
	bool went;
};

#define NS_CHILD_NONE                                                                              \
	{                                                                                          \
		.channel = -1                                                                      \
	}

/*
 * Returns when the child has finished @set_up. On success *@resultp is filled; *@childp is filled
 * if there is @proceed, otherwise the child is gone already and @childp may be NULL. On failure
 * nothing is left: -errno, and in @d what the machine would have to allow.
 */
int ns_child_start(const struct ns_child_plan *plan, struct ns_child *childp,
		   struct ns_child_result *resultp, struct diag *d);

/* Lets it proceed. The caller waits for child->pid. 0 or -errno. */
int ns_child_go(struct ns_child *child);

/* A child that still waits ends and is reaped; after ns_child_go() this only closes the channel. */
void ns_child_close(struct ns_child *child);

void ns_child_result_close(struct ns_child_result *result);
