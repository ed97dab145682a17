/* SPDX-License-Identifier: Apache-2.0 */

/* adit run */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdbool.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/agent.h"
#include "cmd/commands.h"
#include "cmd/options.h"

static const char usage[] = "adit run [OPTIONS]";
static const char summary[] =
	"Runs the agent: keeps its connections to the edge, carries streams to\n"
	"local servers, until it is told to stop (SIGTERM).";

struct run_options {
	const char *config;
	struct option_list edges;
	const char *credentials_file;
	const char *log_level;
	const char *control_socket;
	const char *state_directory;
	bool replace;
	bool background;
};

static int parse(struct run_options *o, int argc, char **argv)
{
	const struct option_row rows[] = {
		{.name = "background",
		 .kind = OPTION_FLAG,
		 .target = &o->background,
		 .help = "with --replace: return once the new agent is in charge"},
		{.name = "config",
		 .argument = "FILE",
		 .kind = OPTION_TEXT,
		 .target = &o->config,
		 .help = "configuration (" CONFIG_PATH ")"},
		{.name = "edge",
		 .argument = "HOST:PORT",
		 .kind = OPTION_LIST,
		 .target = &o->edges,
		 .help = "edge to connect to; may be repeated"},
		{.name = "credentials-file",
		 .argument = "FILE",
		 .kind = OPTION_TEXT,
		 .target = &o->credentials_file,
		 .help = "the tunnel's credentials"},
		{.name = "loglevel",
		 .argument = "LEVEL",
		 .kind = OPTION_TEXT,
		 .target = &o->log_level,
		 .help = "debug, info, warn or error"},
		{.name = "replace",
		 .kind = OPTION_FLAG,
		 .target = &o->replace,
		 .help = "take the place of the agent that runs, without a gap"},
		{.name = "socket",
		 .argument = "PATH",
		 .kind = OPTION_TEXT,
		 .target = &o->control_socket,
		 .help = "control socket, where commands reach the agent"},
		{.name = "state-directory",
		 .argument = "DIR",
		 .kind = OPTION_TEXT,
		 .target = &o->state_directory,
		 .help = "where it keeps its state"},
	};
	const struct option_spec spec = {
		.usage = usage,
		.summary = summary,
		OPTION_ROWS(rows),
	};

	int r = options_parse(&spec, &argc, argv);

	if (r == OPTIONS_GO_ON && o->background && !o->replace)
		return options_refuse(&spec, "--background goes with --replace");
	return r;
}

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

static int run_in_background(struct agent_options *opt)
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

int cmd_run(int argc, char **argv)
{
	struct run_options o = {.config = CONFIG_PATH};
	int code = parse(&o, argc, argv);
	struct agent_options agent;

	if (code != OPTIONS_GO_ON)
		return code;
	agent = (struct agent_options){
		.config_path = o.config,
		.overrides =
			{
				.edges = o.edges.items,
				.n_edges = o.edges.n,
				.log_level = o.log_level,
				.credentials_file = o.credentials_file,
				.control_socket = o.control_socket,
				.state_dir = o.state_directory,
			},
		.replace = o.replace,
		.starter_fd = -1,
	};
	return o.background ? run_in_background(&agent) : agent_run(&agent);
}
