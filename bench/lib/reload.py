# SPDX-License-Identifier: Apache-2.0
"""Group: a reload of many routes.

An agent's config with N_ROUTES routes is replaced by one where a tenth of them are others and one
is more, while a stream plays ping-pong with an echo behind the same agent. The longest round trip
meanwhile, and for a while after (the edge writes the set to its database then), is held beside the
longest in as long a time without a reload.
"""

import subprocess
import sys
import time

from lib.process import poll
from lib.stand import NETWORK, Agent, Control, Edge

N_ROUTES = 10000
TARGET = "10.116.9.9"
AFTER_S = 1.0           # how long the stream is watched from the reload on, at least

# Echoes through `adit connect`, one byte every millisecond; says the longest round trip since the last
# question, in seconds, for each line on stdin.
PING = """
import os, select, socket, subprocess, sys, time
client = subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
out, back, longest = client.stdin.fileno(), client.stdout.fileno(), 0.0
while True:
    began = time.monotonic()
    os.write(out, b"x")
    if not os.read(back, 1):
        sys.exit("the stream ended")
    longest = max(longest, time.monotonic() - began)
    if select.select([0], [], [], 0.001)[0]:
        if not sys.stdin.buffer.raw.read(1):
            break
        print(longest, flush=True)
        longest = 0.0
client.stdin.close()
client.wait()
"""

ECHO = """
import socket
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
while True:
    c, _ = listener.accept()
    c.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    while data := c.recv(65536):
        c.sendall(data)
    c.close()
"""


def networks(turn):
    """N_ROUTES + @turn prefixes, every tenth of which is another with each turn."""
    for i in range(N_ROUTES + turn):
        second = 128 + turn % 64 if i % 10 == 0 else i // 8192
        yield f"10.{second}.{i // 32 % 256}.{i % 32 * 8}/29"


class Stream:
    def __init__(self, tools, edge):
        self.child = tools.child((sys.executable, "-c", PING, tools.adit, "connect",
                                  "--credentials", edge.client, TARGET, "22"), "reload-ping",
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        self.longest_ms()

    def longest_ms(self):
        """The longest round trip since the last call."""
        self.child.popen.stdin.write("\n")
        return float(self.child.popen.stdout.readline()) * 1e3

    def close(self):
        self.child.popen.stdin.close()
        self.child.popen.wait(60)
        self.child.stop()


class Scene:
    """An edge and an agent of its own: so many routes would be in the others' way."""

    def __init__(self, tools):
        self.tools, self.edge = tools, Edge(tools, "reload-edge")
        self.edge.admin("client", "grant", "delete", "bench", NETWORK)
        self.edge.admin("client", "grant", "add", "bench", "10.0.0.0/8")
        self.echo = tools.child((sys.executable, "-c", ECHO), "reload-echo",
                                stdout=subprocess.PIPE, text=True)
        port = int(self.echo.popen.stdout.readline())
        self.agent = Agent(tools, self.edge, "reload", {TARGET: f"127.0.0.1:{port}"})
        self.edge.admin("grant", "add", "reload", "10.0.0.0/8")
        self.write(0)
        self.agent.start().wait()
        self.agent_control = Control(self.agent.socket_path)
        self.wait_routes(0)
        self.stream = Stream(tools, self.edge)

    def write(self, turn):
        self.tools.write("agent-reload.yml", self.agent.head + "".join(
            f"  - network: {network}\n    comment: rack {i % 40}\n"
            for i, network in enumerate(networks(turn))))

    def wait_routes(self, turn):
        poll(lambda: self.edge.control.ask("status")["routes"] == N_ROUTES + turn + 1,
             "the new set at the edge")

    def quiet(self):
        self.stream.longest_ms()
        time.sleep(AFTER_S)
        return {"stall_ms": self.stream.longest_ms()}

    def reload(self, turn):
        self.write(turn)
        self.stream.longest_ms()
        began = time.monotonic()
        self.agent_control.ask("reload")
        answered = time.monotonic() - began
        self.wait_routes(turn)
        taken = time.monotonic() - began
        time.sleep(max(0, AFTER_S - taken))
        return {"answered_ms": answered * 1e3, "taken_ms": taken * 1e3,
                "stall_ms": self.stream.longest_ms()}

    def close(self):
        self.stream.close()
        self.agent_control.close()
        self.agent.stop()
        self.edge.close()
        self.echo.stop()


def reload(stand, keys, options):
    """Keys: ("reload",) or ("quiet",)."""
    scene = Scene(stand.tools)
    samples = {("reload",): [], ("quiet",): []}
    try:
        for turn in range(1, options.pairs + 1):
            samples[("quiet",)].append(scene.quiet())
            samples[("reload",)].append(scene.reload(turn))
    finally:
        scene.close()
    return {key: samples[key] for key in keys}

