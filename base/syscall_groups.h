/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * syscall_groups - rows that the tables of several roles have (struct syscall_group)
 *
 * What a C library, libuv and OpenSSL need in any process with a loop. A role lists those that it
 * uses, and its own; none of them opens anything. Rarely seen, but never to be missed: clocks where
 * the vDSO gives up, restart_syscall after SIGSTOP, tgkill for abort().
 */

#include <fcntl.h>
#include <sched.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "base/syscall_filter.h"

#define SYSCALL_EXACTLY UINT64_MAX
/* An int, of which the kernel doesn't look at the upper half of the register. */
#define SYSCALL_INT UINT32_MAX

/* clone(2) of a thread, which makes neither a process nor a namespace. */
#define SYSCALL_CLONE_MASK                                                                         \
	(CLONE_THREAD | CLONE_VM | CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC |   \
	 CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET)

/*
 * The second comparison of socket(): of AF_UNIX only what systemd is told by. A stream could ask a
 * user's service manager or a container engine to start a program.
 */
#define SYSCALL_DATAGRAMS                                                                          \
	{                                                                                          \
		1, 0xf, SOCK_DGRAM                                                                 \
	}

/* No second comparison. */
#define SYSCALL_ALWAYS                                                                             \
	{                                                                                          \
		0, 0, 0                                                                            \
	}

/* clang-format off */

#define SYSCALLS_MEMORY {                                                                          \
	.reason = "memory, never executable; its locks",                                           \
	.names = "brk futex madvise mremap munmap",                                                \
	.rules = {                                                                                 \
		{"mmap", 2, PROT_EXEC, 0, SYSCALL_ALWAYS},                                         \
		{"mprotect", 2, PROT_EXEC, 0, SYSCALL_ALWAYS},                                     \
	},                                                                                         \
}

#define SYSCALLS_THREADS {                                                                         \
	.reason = "a worker thread",                                                               \
	.names = "rseq sched_getaffinity sched_yield set_robust_list",                             \
	.rules = {                                                                                 \
		{"clone", 0, SYSCALL_CLONE_MASK, CLONE_THREAD | CLONE_VM, SYSCALL_ALWAYS},         \
		/* Of ourselves. */                                                                \
		{"prlimit64", 0, SYSCALL_INT, 0, SYSCALL_ALWAYS},                                  \
	},                                                                                         \
}

#define SYSCALLS_SIGNALS {                                                                         \
	.reason = "signals, SIGSTOP and the end",                                                  \
	.names = "exit exit_group getpid gettid restart_syscall rt_sigaction rt_sigprocmask "      \
		 "rt_sigreturn",                                                                   \
	.rules = {{"tgkill", 0, SYSCALL_INT, SYSCALL_OWN_PID, SYSCALL_ALWAYS}},                    \
}

#define SYSCALLS_CLOCK {                                                                           \
	.reason = "clocks, where the vDSO doesn't answer; random numbers",                         \
	.names = "clock_gettime clock_nanosleep getrandom gettimeofday time",                      \
}

#define SYSCALLS_LOOP {                                                                            \
	.reason = "the event loop",                                                                \
	.names = "close epoll_ctl epoll_pwait epoll_wait poll",                                    \
	.rules = {{"ioctl", 1, SYSCALL_EXACTLY, FIONBIO, SYSCALL_ALWAYS}},                         \
}

#define SYSCALLS_STREAMS {                                                                         \
	.reason = "bytes of sockets, pipes and files",                                             \
	.names = "read recvfrom shutdown write writev",                                            \
	/* With MSG_FASTOPEN it is a connect(). */                                                 \
	.rules = {{"sendto", 3, MSG_FASTOPEN, 0, SYSCALL_ALWAYS}},                                 \
}

/* Not those by which a process sends signals to another: F_SETOWN, F_SETSIG, O_ASYNC. */
#define SYSCALLS_DESCRIPTORS {                                                                     \
	.reason = "flags and locks of descriptors",                                                \
	.rules = {                                                                                 \
		{"fcntl", 1, SYSCALL_INT, F_DUPFD_CLOEXEC, SYSCALL_ALWAYS},                        \
		{"fcntl", 1, SYSCALL_INT, F_GETFD, SYSCALL_ALWAYS},                                \
		{"fcntl", 1, SYSCALL_INT, F_SETFD, SYSCALL_ALWAYS},                                \
		{"fcntl", 1, SYSCALL_INT, F_GETFL, SYSCALL_ALWAYS},                                \
		{"fcntl", 1, SYSCALL_INT, F_SETFL, {2, O_ASYNC, 0}},                               \
		{"fcntl", 1, SYSCALL_INT, F_GETLK, SYSCALL_ALWAYS},                                \
		{"fcntl", 1, SYSCALL_INT, F_SETLK, SYSCALL_ALWAYS},                                \
	},                                                                                         \
}

/* clang-format on */
