/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* own_netns - a network namespace of the test's own; nothing of the host's is seen or changed */

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/compiler.h"

#define SKIPPED 77

static int own_netns_map_root(void)
{
	char map[64];
	int n = snprintf(map, sizeof(map), "0 %u 1\n", geteuid());
	int fd, r;

	if (unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
		return -errno;
	fd = open("/proc/self/uid_map", O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	r = write(fd, map, (size_t)n) == n ? 0 : -errno;
	close(fd);
	return r;
}

/* 0, or -errno where neither root nor a user namespace is to be had. */
static int own_netns_enter(void)
{
	return unshare(CLONE_NEWNET) == 0 ? 0 : own_netns_map_root();
}

static inline void own_netns_run(const char *command)
{
	if (system(command) == 0)
		return;
	fprintf(stderr, "failed: %s\n", command);
	abort();
}

/* main()'s way out when there is no namespace: skipped, unless it was demanded. */
static inline int own_netns_missing(int r)
{
	const char *required = getenv("ADIT_TEST_REQUIRE");

	fprintf(stderr, "skipped: no network namespace (%s)\n", strerror(-r));
	return required && strstr(required, "netns") ? 1 : SKIPPED;
}
