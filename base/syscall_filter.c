/* SPDX-License-Identifier: Apache-2.0 */
#include "base/syscall_filter.h"

#include <errno.h>
#include <seccomp.h>
#include <signal.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"

#define NAME_MAX_BYTES 32
#define NUMBERS_MAX    1024 /* more than any architecture has */

/* siginfo.h's SYS_SECCOMP is an enumerator that older headers hide. */
#define REFUSED_BY_SECCOMP 1

static syscall_refused_cb tell_refused;

DEFINE_CLEANUP(scmp_filter_ctx, seccomp_release);

/* ---- refusing ---- */

/* What the interrupted call returns. */
static void set_result(ucontext_t *uc, int result)
{
#if defined(__x86_64__)
	uc->uc_mcontext.gregs[REG_RAX] = result;
#elif defined(__aarch64__)
	uc->uc_mcontext.regs[0] = (unsigned long long)result;
#else
	(void)uc;
	(void)result;
#endif
}

static void sigsys_cb(int signo UNUSED, siginfo_t *info, void *context)
{
	int saved = errno;

	/* Anybody may send a SIGSYS. */
	if (info->si_code != REFUSED_BY_SECCOMP)
		return;
	set_result(context, -EPERM);
	if (tell_refused)
		tell_refused(info->si_syscall);
	errno = saved;
}

static int catch_sigsys(syscall_refused_cb on_refused)
{
	struct sigaction action = {.sa_sigaction = sigsys_cb, .sa_flags = SA_SIGINFO};

	tell_refused = on_refused;
	return sigaction(SIGSYS, &action, NULL) < 0 ? -errno : 0;
}

static uint32_t action_of(enum syscall_mode mode)
{
	if (mode == SYSCALL_KILL)
		return SCMP_ACT_KILL_PROCESS;
#if defined(__x86_64__) || defined(__aarch64__)
	return SCMP_ACT_TRAP;
#else
	/* set_result() doesn't know where the result goes: the kernel puts it there, silently. */
	return SCMP_ACT_ERRNO(EPERM);
#endif
}

/* ---- allowing ---- */

struct filter {
	scmp_filter_ctx ctx;
	uint8_t seen[NUMBERS_MAX];
	int n_allowed;
};

/* Calls that this architecture doesn't have are left out by libseccomp. */
static void count(struct filter *f, int number)
{
	if (number < 0 || number >= NUMBERS_MAX || f->seen[number])
		return;
	f->seen[number] = 1;
	f->n_allowed++;
}

/* What the C library calls where the kernel's port is too young for the old name. */
static const char *const successors[][2] = {
	{"access", "faccessat"}, {"chmod", "fchmodat"}, {"epoll_wait", "epoll_pwait"},
	{"mkdir", "mkdirat"},	 {"poll", "ppoll"},	{"rename", "renameat"},
	{"unlink", "unlinkat"},
};

static int resolve(const char *name)
{
	int number = seccomp_syscall_resolve_name(name);

	for (size_t i = 0; number < 0 && i < ARRAY_SIZE(successors); i++)
		if (strcmp(successors[i][0], name) == 0)
			return seccomp_syscall_resolve_name(successors[i][1]);
	return number;
}

static int allow_name(struct filter *f, const char *name, size_t n)
{
	char text[NAME_MAX_BYTES];
	int number;

	if (n >= sizeof(text))
		return -EINVAL;
	memcpy(text, name, n);
	text[n] = '\0';
	number = resolve(text);
	if (number == __NR_SCMP_ERROR)
		return -EINVAL;
	count(f, number);
	return seccomp_rule_add(f->ctx, SCMP_ACT_ALLOW, number, 0);
}

static int allow_names(struct filter *f, const char *names)
{
	int r = 0;

	while (r == 0 && names && *names) {
		size_t n = strcspn(names, " ");

		r = allow_name(f, names, n);
		names += n + strspn(names + n, " ");
	}
	return r;
}

static struct scmp_arg_cmp compare(unsigned int argument, uint64_t mask, uint64_t value)
{
	uint64_t expected = value == SYSCALL_OWN_PID ? (uint64_t)getpid() : value;

	return SCMP_CMP(argument, SCMP_CMP_MASKED_EQ, mask, expected);
}

static int allow_rule(struct filter *f, const struct syscall_rule *rule)
{
	const struct syscall_test *also = &rule->also;
	int number = seccomp_syscall_resolve_name(rule->name);
	struct scmp_arg_cmp tests[] = {
		compare(rule->argument, rule->mask, rule->value),
		compare(also->argument, also->mask, also->value),
	};

	if (number == __NR_SCMP_ERROR)
		return -EINVAL;
	count(f, number);
	return seccomp_rule_add_array(f->ctx, SCMP_ACT_ALLOW, number, also->mask ? 2 : 1, tests);
}

static int allow_group(struct filter *f, const struct syscall_group *group)
{
	int r = allow_names(f, group->names);

	for (size_t i = 0; r == 0 && i < SYSCALL_RULES_MAX && group->rules[i].name; i++)
		r = allow_rule(f, &group->rules[i]);
	return r;
}

/* A call by the numbers of another architecture (int 0x80) is no mistake of ours. */
static int set_attributes(scmp_filter_ctx ctx)
{
	int r = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_TSYNC, 1);

	if (r == 0)
		r = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	if (r == 0)
		r = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	return r;
}

int syscall_filter_install(const struct syscall_group *groups, size_t n, enum syscall_mode mode,
			   syscall_refused_cb on_refused)
{
	CLEANUP(seccomp_release) scmp_filter_ctx ctx = seccomp_init(action_of(mode));
	struct filter f = {.ctx = ctx};
	int r;

	if (!ctx)
		return -ENOMEM;
	r = set_attributes(ctx);
	if (r == 0)
		r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
	for (size_t i = 0; r == 0 && i < n; i++)
		r = allow_group(&f, &groups[i]);
	if (r == 0 && mode == SYSCALL_REFUSE)
		r = catch_sigsys(on_refused);
	if (r == 0)
		r = seccomp_load(ctx);
	return r < 0 ? err_trace(r) : f.n_allowed;
}
