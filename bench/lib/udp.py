# SPDX-License-Identifier: Apache-2.0
"""Group: datagrams through the tunnel, by udp_load.c.

`send`: one flow sends as fast as its stream takes datagrams, and the target counts. `echo`: a number
of unanswered datagrams at a time, each answered by the target. `flows`: how long until each of so
many new flows of one client had an answer.
"""

import subprocess

from lib.process import cpu_s, run
from lib.stand import Agent

SINK, ECHO = "10.116.8.5", "10.116.8.6"
SIZE, SECONDS, WINDOW, N_FLOWS = 1400, 3, 64, 1000


class Target:
    def __init__(self, tools, mode):
        self.child = tools.child((tools.program("udp_load"), mode), f"udp-{mode}",
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.port = int(self.child.popen.stdout.readline())

    def stop(self):
        """How many datagrams it received."""
        if not self.child.running():
            return 0
        self.child.popen.stdin.close()
        count = int(self.child.popen.stdout.readline())
        self.child.popen.wait(60)
        self.child.stop()
        return count


def _load(stand, agent, mode, address, *arguments):
    """(sent, answered, seconds, the agent's CPU microseconds for each)."""
    before = cpu_s(agent.process.pid)
    sent, answered, elapsed = run((stand.tools.program("udp_load"), mode, stand.edge.client,
                                   f"{address}:9000", *arguments)).split()
    return (int(sent), int(answered), float(elapsed),
            (cpu_s(agent.process.pid) - before) * 1e6 / max(int(sent), 1))


def udp(stand, keys, _options):
    """Keys: ("send",), ("echo",), ("flows",)."""
    sink, echo = Target(stand.tools, "sink"), Target(stand.tools, "echo")
    agent = Agent(stand.tools, stand.edge, "udp", {SINK: f"127.0.0.1:{sink.port}",
                                                   ECHO: f"127.0.0.1:{echo.port}"})
    agent.start().wait().wait_routes()
    try:
        sent, _, elapsed, cpu = _load(stand, agent, "send", SINK, SIZE, SECONDS, 0)
        arrived = sink.stop()
        samples = {("send",): [_sample(sent, arrived, elapsed, cpu)]}
        samples[("echo",)] = [_sample(*_load(stand, agent, "send", ECHO, SIZE,
                                             SECONDS, WINDOW))]
        samples[("flows",)] = [_sample(*_load(stand, agent, "flows", ECHO, SIZE, N_FLOWS))]
    finally:
        sink.stop()
        echo.stop()
        agent.stop()
    return {key: samples[key] for key in keys}


def _sample(sent, arrived, elapsed, cpu_us):
    return {"per_s": arrived / elapsed, "loss": 100 * (sent - arrived) / max(sent, 1),
            "seconds": elapsed, "cpu_us": cpu_us}
