/* SPDX-License-Identifier: Apache-2.0 */
#include "base/syscall_filter.h"

#include <errno.h>
#include <seccomp.h>
#include <signal.h>
#include <string.h>
#include <ucontext.h>

#include "base/cleanup.h"
#include "base/err.h"

#define NAME_MAX_BYTES 32

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

/* Calls that this architecture doesn't have are left out by libseccomp. */
static int allow_name(scmp_filter_ctx ctx, const char *name, size_t n)
{
	char text[NAME_MAX_BYTES];
	int number, r;

	if (n >= sizeof(text))
		return -EINVAL;
	memcpy(text, name, n);
	text[n] = '\0';
	number = seccomp_syscall_resolve_name(text);
	if (number == __NR_SCMP_ERROR)
		return -EINVAL;
	r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, number, 0);
	return r < 0 ? r : number >= 0;
}

static int allow_names(scmp_filter_ctx ctx, const char *names)
{
	int n_allowed = 0;

	while (names && *names) {
		size_t n = strcspn(names, " ");
		int r = allow_name(ctx, names, n);

		if (r < 0)
			return r;
		n_allowed += r;
		names += n + strspn(names + n, " ");
	}
	return n_allowed;
}

static int allow_rule(scmp_filter_ctx ctx, const struct syscall_rule *rule)
{
	int number = seccomp_syscall_resolve_name(rule->name);

	if (number == __NR_SCMP_ERROR)
		return -EINVAL;
	return seccomp_rule_add(
		ctx, SCMP_ACT_ALLOW, number, 1,
		SCMP_CMP(rule->argument, SCMP_CMP_MASKED_EQ, rule->mask, rule->value));
}

/* Rows of one call stand together and count once. */
static int allow_rules(scmp_filter_ctx ctx, const struct syscall_rule *rules)
{
	int n_allowed = 0;

	for (size_t i = 0; i < SYSCALL_RULES_MAX && rules[i].name; i++) {
		int r = allow_rule(ctx, &rules[i]);

		if (r < 0)
			return r;
		n_allowed += i == 0 || strcmp(rules[i].name, rules[i - 1].name) != 0;
	}
	return n_allowed;
}

static int allow_groups(scmp_filter_ctx ctx, const struct syscall_group *groups, size_t n)
{
	int n_allowed = 0;

	for (size_t i = 0; i < n; i++) {
		int names = allow_names(ctx, groups[i].names);
		int rules = names < 0 ? names : allow_rules(ctx, groups[i].rules);

		if (rules < 0)
			return rules;
		n_allowed += names + rules;
	}
	return n_allowed;
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
	int n_allowed, r;

	if (!ctx)
		return -ENOMEM;
	r = set_attributes(ctx);
	if (r == 0)
		r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
	n_allowed = r < 0 ? r : allow_groups(ctx, groups, n);
	if (n_allowed < 0)
		return err_trace(n_allowed);
	r = mode == SYSCALL_REFUSE ? catch_sigsys(on_refused) : 0;
	if (r == 0)
		r = seccomp_load(ctx);
	return r < 0 ? err_trace(r) : n_allowed;
}
