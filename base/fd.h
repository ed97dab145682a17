/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* fd - descriptors of the process; close_fd() is in base/cleanup.h */

/*
 * Raises the soft limit of open descriptors to the hard one: each flow takes some, and the usual
 * 1024 is for select(). 0 or -errno.
 */
int fd_limit_raise(void);
/*
 * Reads the limit that the functions below go by, for whoever has changed it otherwise;
 * fd_limit_raise() and the first use do so by themselves. 0 or -errno.
 */
int fd_limit_read(void);

enum fd_outcome {
	FD_E_SPARE = 1, /* only spare ones are left */
};

/*
 * Descriptors for flows leave the last numbers below the limit alone: FD_SPARE of them, a quarter
 * of a limit that is small. New descriptors get the lowest free number, so that what isn't a flow
 * (connections to the edge, name lookups, control clients, files) finds some when flows have used
 * up the rest.
 */
#define FD_SPARE 128

/* @fd, new and for a flow; or -EMFILE, and it is closed, if it is one of the spare. <0 stays. */
int fd_leave_spare(int fd);
/* 0: the next one isn't of the spare; FD_E_SPARE; or -errno as open() would say. @any is open. */
int fd_check_spare(int any);
