/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * own_namespace - a network namespace for one test program: nothing of the host is seen or changed
 *
 *   static int enter(void) { return own_namespace_enter(lines, ARRAY_SIZE(lines)); }
 *   main: if (enter() < 0) return own_namespace_missing("netns");
 */

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/compiler.h"

#define SKIPPED	       77
#define SHELL_TEXT_MAX 16384

UNUSED static int write_text(const char *path, const char *text)
{
	CLEANUP(close_fd) int fd = open(path, O_WRONLY | O_CLOEXEC);

	return fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) ? 0 : -errno;
}

/* Without root: become root of a user namespace, or `ip` would lose its capabilities. */
UNUSED static int become_root(void)
{
	char map[32];

	snprintf(map, sizeof(map), "0 %u 1", geteuid());
	if (unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
		return -errno;
	return write_text("/proc/self/uid_map", map);
}

UNUSED static int shell(const char *line)
{
	if (system(line) == 0)
		return 0;
	fprintf(stderr, "failed: %s\n", line);
	return -ENOTSUP;
}

/* What @line prints, in a static buffer. */
UNUSED static const char *shell_text(const char *line)
{
	static char text[SHELL_TEXT_MAX];
	FILE *f = popen(line, "r");
	size_t n = f ? fread(text, 1, sizeof(text) - 1, f) : 0;

	text[n] = '\0';
	if (f)
		pclose(f);
	return text;
}

UNUSED static int own_namespace_enter(const char *const *lines, size_t n_lines)
{
	if (unshare(CLONE_NEWNET) < 0) {
		int r = become_root();

		if (r < 0)
			return r;
	}
	for (size_t i = 0; i < n_lines; i++) {
		int r = shell(lines[i]);

		if (r < 0)
			return r;
	}
	return 0;
}

/* Exit status of a program that can't test without @right. */
UNUSED static int own_namespace_missing(const char *right)
{
	const char *required = getenv("ADIT_TEST_REQUIRE");

	fprintf(stderr, "skipped: needs %s\n", right);
	return required && strstr(required, right) ? 1 : SKIPPED;
}

UNUSED static int has_tun(void)
{
	CLEANUP(close_fd) int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	return fd >= 0;
}
