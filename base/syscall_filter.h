/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * syscall_filter - which system calls this process may make from now on; seccomp(2)
 *
 * An allow list: groups of names, each with its reason, and calls that are only allowed with
 * certain arguments. clone3 is always ENOSYS, because a filter can't see its arguments: the C
 * library takes clone then. Everything else is refused as the mode says.
 */

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

#define SYSCALL_RULES_MAX 8

/* As a rule's value: the process that installs the filter, by its id. */
#define SYSCALL_OWN_PID UINT64_MAX

struct syscall_test {
	unsigned int argument; /* 0 is the first */
	uint64_t mask;	       /* 0: no test */
	uint64_t value;
};

/*
 * Allowed where (argument & mask) == value, and the same for @also, which is about another
 * argument; several rows for a call: where one of them holds.
 */
struct syscall_rule {
	const char *name;
	unsigned int argument; /* 0 is the first */
	uint64_t mask;
	uint64_t value;
	struct syscall_test also;
};

struct syscall_group {
	const char *reason; /* why the process needs them */
	const char *names;  /* separated by spaces; NULL: none */
	struct syscall_rule rules[SYSCALL_RULES_MAX];
};

enum syscall_mode {
	SYSCALL_REFUSE, /* the call fails with EPERM, and is told */
	SYSCALL_KILL,	/* the process ends by SIGSYS */
};

/* In a signal handler, but only where a refused call was made: may do what the filter allows. */
typedef void (*syscall_refused_cb)(int number);

/*
 * For all threads, and irrevocably; sets no_new_privs. @on_refused may be NULL. Positive: how many
 * system calls are allowed. -EINVAL: a name that no architecture has; or another -errno: the kernel
 * has no seccomp, or another thread has a filter of its own.
 */
NODISCARD int syscall_filter_install(const struct syscall_group *groups, size_t n,
				     enum syscall_mode mode, syscall_refused_cb on_refused);
