#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Measures a reload of many routes: bench/reload.py BIN_FOLDER [--routes N] [--runs N]

An agent's config with N routes is replaced by one where a tenth of them are others and one is
more, while a stream plays ping-pong with an echo behind the same agent. Figures: how long the
agent takes to answer `reload`, how long until the edge routes by the new set, and the longest
round trip of the stream meanwhile and for a while after (the edge writes the set to its database
then), beside the longest in as long a time without a reload. Everything runs on this machine over
loopback and shares its cores. Medians; nothing is asserted.
"""

import argparse
import importlib.machinery
import importlib.util
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TARGET = "10.116.0.3"
AFTER_S = 1.0           # how long the stream is watched from the reload on, at least

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

# Says the longest round trip since the last question, in seconds, for each line on stdin.
PING = """
import os, select, subprocess, sys, time
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


def load_bench():
    """The other half of this folder, which has no suffix to import it by."""
    loader = importlib.machinery.SourceFileLoader("bench_run", os.path.join(HERE, "run"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("bench_run", loader))
    sys.dont_write_bytecode = True
    loader.exec_module(module)
    return module


bench = load_bench()


def networks(n, turn):
    """@n prefixes, every tenth of which is another with each turn."""
    for i in range(n):
        second = 128 + turn % 64 if i % 10 == 0 else i // 8192
        yield f"10.{second}.{i // 32 % 256}.{i % 32 * 8}/29"


class Socket:
    """One connection to a control socket."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.file = self.socket.makefile("rwb")

    def ask(self, command):
        self.file.write(json.dumps({"v": 1, "command": command}).encode() + b"\n")
        self.file.flush()
        answer = json.loads(self.file.readline())
        if not answer["ok"]:
            raise RuntimeError(f"{command}: {answer['error']['text']}")
        return answer["result"]


class Stream:
    def __init__(self, path):
        self.process = subprocess.Popen(
            [sys.executable, "-c", PING, os.path.join(path.bin, "adit"), "connect",
             "--credentials", path.file("client.json"), TARGET, "22"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        self.longest_s()

    def longest_s(self):
        """The longest round trip since the last call."""
        self.process.stdin.write("\n")
        return float(self.process.stdout.readline())

    def close(self):
        self.process.stdin.close()
        self.process.wait(bench.DEADLINE_S)


def write_config(path, head, n, turn):
    path.write("config.yml", head + "".join(
        f"  - network: {network}\n    comment: rack {i % 40}\n"
        for i, network in enumerate(networks(n, turn))))


def reload_once(path, head, stream, n, turn):
    """(seconds to the agent's answer, to the edge's new set, longest round trip)."""
    agent, edge = Socket(path.socket), Socket(path.edge_socket)
    write_config(path, head, n, turn)
    stream.longest_s()
    began = time.monotonic()
    agent.ask("reload")
    answered = time.monotonic() - began
    bench.poll(lambda: edge.ask("status")["routes"] == n + 1, "the new set at the edge")
    taken = time.monotonic() - began
    time.sleep(max(0, AFTER_S - taken))
    return answered, taken, stream.longest_s()


def quiet(stream):
    stream.longest_s()
    time.sleep(AFTER_S)
    return stream.longest_s()


def take(path, n, runs):
    with open(path.file("config.yml"), encoding="ascii") as f:
        head = f.read()
    path.admin("grant", "add", "bench", "10.0.0.0/8")
    write_config(path, head, n, 0)
    path.start_agent()
    edge = Socket(path.edge_socket)
    bench.poll(lambda: edge.ask("status")["routes"] == n + 1, "the first set at the edge")
    stream = Stream(path)
    calm, samples = [], []
    for run in range(runs):
        calm.append(quiet(stream))
        samples.append(reload_once(path, head, stream, n + 1 + run, run + 1))
    stream.close()
    path.stop_agent()
    return calm, samples


def measure(bin_folder, folder, n, runs):
    echo = subprocess.Popen([sys.executable, "-c", ECHO], stdout=subprocess.PIPE, text=True)
    running = [echo]
    try:
        path = bench.Path(bin_folder, folder, {TARGET: int(echo.stdout.readline())})
        running.append(path.edge)
        try:
            return take(path, n, runs)
        finally:
            running.append(path.agent)
    finally:
        for process in running:
            if process and process.poll() is None:
                process.terminate()
                process.wait(bench.DEADLINE_S)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bin_folder")
    parser.add_argument("--routes", type=int, default=10000)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    folder = tempfile.mkdtemp(prefix="adit-bench-")
    try:
        calm, samples = measure(os.path.abspath(options.bin_folder), folder, options.routes,
                                options.runs)
    except RuntimeError as e:
        sys.exit(str(e))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    middle = statistics.median
    rows = (("the agent has read its config", middle(s[0] for s in samples), ""),
            ("the edge routes by the new set", middle(s[1] for s in samples), "≤ 50 ms"),
            ("longest round trip of a stream meanwhile", middle(s[2] for s in samples), "≤ 5 ms"),
            ("  in as long a time without a reload", middle(calm), ""))
    print(f"adit reload of {options.routes} routes, median of {options.runs}, on loopback\n")
    for name, seconds, aim in rows:
        print(f"  {name:44}{seconds * 1000:9.1f} ms   {aim}".rstrip())


if __name__ == "__main__":
    main()
