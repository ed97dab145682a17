/* SPDX-License-Identifier: Apache-2.0 */
#include "client/net_helper_dns.h"

#include <errno.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/privileges.h"
#include "client/net_request.h"

#define PATIENCE_MS 10000
#define NAME_SIZE   (HOST_NAME_MAX_LEN + 2) /* with "~" */
#define ARGS_MAX    (NET_DOMAINS_MAX + 4)
#define EXIT_EXEC   127

bool net_helper_dns_available(const char *path)
{
	return access(path, X_OK) == 0;
}

/* The helper ignores what a terminal sends; a program that it runs needn't. */
static void reset_signals(void)
{
	sigset_t none;

	for (int number = 1; number < SIGRTMIN; number++)
		signal(number, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static void execute(char *const *argv)
{
	char path[] = "PATH=/usr/sbin:/usr/bin:/sbin:/bin";
	char locale[] = "LC_ALL=C.UTF-8";
	char pager[] = "SYSTEMD_PAGER=";
	char colors[] = "SYSTEMD_COLORS=0";
	char *const environment[] = {path, locale, pager, colors, NULL};

	reset_signals();
	/* systemd-resolved may want to see it in whoever asks and isn't root. */
	(void)privileges_hand_on(PRIVILEGE(CAP_NET_ADMIN));
	execve(argv[0], argv, environment);
	_exit(EXIT_EXEC);
}

/* One that hangs is killed. */
static int wait_for(pid_t pid)
{
	CLEANUP(close_fd) int fd = pidfd_open(pid, 0);
	struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
	bool late = fd >= 0 && poll(&poll_fd, 1, PATIENCE_MS) == 0;
	int status = 0;

	if (late)
		kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	if (late)
		return -ETIMEDOUT;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EREMOTEIO;
}

static int run(char *const *argv)
{
	pid_t pid = fork();

	if (pid < 0)
		return -errno;
	if (pid == 0)
		execute(argv);
	return err_trace(wait_for(pid));
}

/* execve() takes no const; it doesn't write either. */
static char *arg(const char *text)
{
	return (char *)(uintptr_t)text;
}

static int set_server(const char *path, const char *device, const struct ip_addr *server)
{
	char ip[IP_TEXT_MAX];
	char *argv[] = {arg(path), arg("dns"), arg(device), ip, NULL};

	ip_format(server, ip);
	return run(argv);
}

/* "~" makes it a domain to route by, not one to complete short names with. */
static int set_names(const char *path, const char *device, char *const *names, size_t n_names)
{
	char texts[NET_DOMAINS_MAX][NAME_SIZE];
	char *argv[ARGS_MAX] = {arg(path), arg("domain"), arg(device)};
	size_t n = 3;

	for (size_t i = 0; i < n_names && i < NET_DOMAINS_MAX; i++) {
		snprintf(texts[i], sizeof(texts[i]), "~%s", names[i]);
		argv[n++] = texts[i];
	}
	return run(argv);
}

static int refuse_the_rest(const char *path, const char *device)
{
	char *argv[] = {arg(path), arg("default-route"), arg(device), arg("no"), NULL};

	return run(argv);
}

int net_helper_dns_apply(const char *path, const char *device, const struct ip_addr *server,
			 char *const *names, size_t n_names)
{
	int r = set_server(path, device, server);

	if (r == 0)
		r = set_names(path, device, names, n_names);
	if (r == 0)
		r = refuse_the_rest(path, device);
	if (r < 0)
		(void)net_helper_dns_revert(path, device);
	return r;
}

int net_helper_dns_revert(const char *path, const char *device)
{
	char *argv[] = {arg(path), arg("revert"), arg(device), NULL};

	return run(argv);
}
