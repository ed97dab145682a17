/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/starter.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/agent.h"
#include "base/cleanup.h"
#include "base/log.h"

static int fail(const char *what)
{
	fprintf(stderr, "adit run: %s: %s\n", what, strerror(errno));
	return AGENT_EXIT_FAILED;
}

/* A pipe or a socket must not get the number of a closed one: it would be read, or written to. */
static int open_standard_fds(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
		if (fd < 0)
			return fail("/dev/null");
		if (fd <= STDERR_FILENO)
			fcntl(fd, F_SETFD, 0);
	} while (fd <= STDERR_FILENO);
	close(fd);
	return 0;
}

/*
 * The agent's parent is gone before it begins: then it is a child of systemd, which watches its
 * main processes best if they are. A session of its own keeps it from ending with a terminal.
 */
static int run_grandchild(struct agent_options *opt, int fd)
{
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	if (null < 0 || dup2(null, STDIN_FILENO) < 0)
		return fail("/dev/null");
	if (null != STDIN_FILENO)
		close(null);
	opt->starter_fd = fd;
	return agent_run(opt);
}

static int run_child(struct agent_options *opt, int fd)
{
	pid_t pid;

	setsid();
	pid = fork();
	if (pid < 0)
		return fail("no process");
	return pid == 0 ? run_grandchild(opt, fd) : AGENT_EXIT_OK;
}

/* 0 once the agent is in charge, else its exit code. */
static int wait_for_agent(int fd)
{
	unsigned char byte;
	ssize_t n;

	do
		n = read(fd, &byte, 1);
	while (n < 0 && errno == EINTR);
	close(fd);
	if (n == 1)
		return byte;
	fprintf(stderr, "adit run: the new agent ended before it was in charge\n");
	return AGENT_EXIT_FAILED;
}

int starter_run(struct agent_options *opt)
{
	int fds[2];
	pid_t pid;

	if (open_standard_fds() != 0)
		return AGENT_EXIT_FAILED;
	if (pipe2(fds, O_CLOEXEC) < 0)
		return fail("no pipe");
	pid = fork();
	if (pid == 0) {
		close(fds[0]);
		return run_child(opt, fds[1]);
	}
	close(fds[1]);
	if (pid < 0) {
		close(fds[0]);
		return fail("no process");
	}
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return wait_for_agent(fds[0]);
}

void starter_tell(int *fdp, int exit_code)
{
	unsigned char byte = (unsigned char)exit_code;

	if (*fdp < 0)
		return;
	if (write(*fdp, &byte, 1) < 0)
		log_debug("nobody waits for us any more");
	*fdp = close_fd(*fdp);
}
