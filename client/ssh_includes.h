/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * ssh_includes - the files that ssh's system-wide configuration includes, with their contents
 *
 * ssh refuses an included file that belongs neither to its user nor to root, and in a user
 * namespace root's files are nobody's. So `adit exec` shows copies; this finds what to copy.
 * Followed as ssh does (ssh_config(5), Include): patterns, relative ones from /etc/ssh, files that
 * are included by included ones. ssh doesn't check the first file itself.
 */

#include <stdbool.h>
#include <stddef.h>

#define SSH_CONFIG_FILE		"/etc/ssh/ssh_config"
#define SSH_INCLUDES_MAX	64
#define SSH_INCLUDE_BYTES_MAX	((size_t)256 * 1024)
#define SSH_INCLUDE_PATTERN_MAX 1024

struct ssh_include {
	char *path; /* of the file itself: absolute, no links */
	char *text; /* NULL if it couldn't be read */
	size_t n_text;
	int error; /* then: -errno; -EFBIG: it is larger than SSH_INCLUDE_BYTES_MAX */
};

struct ssh_includes {
	struct ssh_include items[SSH_INCLUDES_MAX];
	size_t n;
	bool is_cut; /* there are more than SSH_INCLUDES_MAX */
};

/*
 * What @main_file includes; nothing if there is no such file. Each file is listed once. @includes
 * is filled anew.
 */
void ssh_includes_find(const char *main_file, struct ssh_includes *includes);
void ssh_includes_deinit(struct ssh_includes *includes);

/*
 * For tests: calls @fn for each pattern of @line, which needn't be NUL-terminated, if it is an
 * Include. Quotes are removed; patterns of SSH_INCLUDE_PATTERN_MAX bytes or more are left out.
 */
void ssh_include_parse(const char *line, size_t n, void (*fn)(void *ctx, const char *pattern),
		       void *ctx);
