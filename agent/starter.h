/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * starter - `adit run --replace --background`: who starts the agent waits until it is in charge
 *
 * The agent runs in a grandchild; a pipe from it to the starter carries one byte: 0 when it is in
 * charge, or its exit code. No byte before the end of the pipe: it died.
 */

struct agent_options;

/*
 * Runs an agent with @opt, whose starter_fd is set here. Returns twice: in the agent with its exit
 * code, as agent_run(); in the starter with 0 once the agent is in charge, else with its exit code.
 */
int starter_run(struct agent_options *opt);

/* The agent's side: sends the byte, closes *@fdp and makes it -1. Does nothing if it is. */
void starter_tell(int *fdp, int exit_code);
