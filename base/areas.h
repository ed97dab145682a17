/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * areas - what a daemon's areas contain that they shouldn't, before the kernel is told
 *
 * An area around a file is its folder, because files are replaced by new ones. Where that folder
 * is also the way to a secret, the area becomes that single file.
 */

#include <stddef.h>

#include "base/compiler.h"
#include "base/landlock.h"

struct diag;

/*
 * A warning for each setting whose area is a folder that many share, such as /run or $HOME, and may
 * be changed: the right to it is wider than the daemon's need.
 */
void areas_warn_wide(const struct landlock_area *areas, size_t n, struct diag *diag);

/*
 * Narrows those of @areas that contain the folder @secret, which needn't be there yet (NULL: none),
 * with a warning each. -EINVAL with an error in @diag where that can't be done, or another -errno.
 */
NODISCARD int areas_check(struct landlock_area *areas, size_t n, const char *secret,
			  struct diag *diag);
