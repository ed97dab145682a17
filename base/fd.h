/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* fd - descriptors of the process; close_fd() is in base/cleanup.h */

/*
 * Raises the soft limit of open descriptors to the hard one: each flow takes some, and the usual
 * 1024 is for select(). 0 or -errno.
 */
int fd_limit_raise(void);
