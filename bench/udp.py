#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""UDP datagrams per second and loss through the tunnel: bench/udp.py BIN_FOLDER [--seconds N]

Client, edge, agent and target run on this machine over loopback and share its cores. `up`: one flow
sends as fast as its stream takes datagrams and the target counts. `echo`: a number of unanswered
datagrams at a time, each answered by the target. `flows`: how long until each of so many new flows of
one client had an answer. Nothing is asserted.
"""

import argparse
import importlib.machinery
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
SINK, ECHO = "10.116.0.5", "10.116.0.6"


def load_bench():
    """bench/run as a module: it has the edge, the agent and their files."""
    loader = importlib.machinery.SourceFileLoader("bench_run", os.path.join(HERE, "run"))
    spec = importlib.util.spec_from_loader("bench_run", loader)
    module = importlib.util.module_from_spec(spec)
    sys.dont_write_bytecode = True
    loader.exec_module(module)
    return module


class Target:
    def __init__(self, program, mode):
        self.process = subprocess.Popen([program, mode], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline())

    def stop(self):
        """How many datagrams it received."""
        self.process.stdin.close()
        count = int(self.process.stdout.readline())
        self.process.stdout.close()
        self.process.wait()
        return count


def send(program, path, mode, address, *arguments):
    done = subprocess.run([program, mode, path.file("client.json"), f"{address}:9000",
                           *map(str, arguments)], text=True, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if done.returncode:
        raise RuntimeError(f"udp_load: {done.stdout}{done.stderr}")
    sent, received, elapsed = done.stdout.split()
    return int(sent), int(received), float(elapsed)


def start(bench, path):
    """The agent, with its routes accepted."""
    path.start_agent()

    def accepted():
        listed = json.loads(path.run("adit", "routes", "--json", "--socket", path.socket))
        return all(route["state"] == "accepted" for route in listed["routes"])

    bench.poll(accepted, "the routes")


def measure(program, bench, bin_folder, folder, options):
    """(name, sent, arrived, seconds, the agent's CPU seconds) per direction."""
    sink, echo = Target(program, "sink"), Target(program, "echo")
    path = None
    try:
        path = bench.Path(bin_folder, folder, {SINK: sink.port, ECHO: echo.port},
                          f"limits:\n  streams-per-connection: {options.flows + 1}\n")
        start(bench, path)
        cpu = path.agent_cpu_s()
        sent, _, elapsed = send(program, path, "send", SINK, options.size, options.seconds, 0)
        yield "up", sent, sink.stop(), elapsed, path.agent_cpu_s() - cpu
        cpu = path.agent_cpu_s()
        sent, back, elapsed = send(program, path, "send", ECHO, options.size, options.seconds,
                                   options.window)
        yield "echo", sent, back, elapsed, path.agent_cpu_s() - cpu
        cpu = path.agent_cpu_s()
        sent, back, elapsed = send(program, path, "flows", ECHO, options.size, options.flows)
        yield "flows", sent, back, elapsed, path.agent_cpu_s() - cpu
    finally:
        for process in (path.agent, path.edge) if path else ():
            if process and process.poll() is None:
                process.terminate()
                process.wait(bench.DEADLINE_S)
        for target in (sink, echo):
            if target.process.poll() is None:
                target.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bin_folder")
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--size", type=int, default=1400)
    parser.add_argument("--window", type=int, default=64, help="unanswered datagrams of `echo`")
    parser.add_argument("--flows", type=int, default=1000)
    options = parser.parse_args()
    bin_folder = os.path.abspath(options.bin_folder)
    program = os.path.join(os.path.dirname(bin_folder), "bench", "udp_load")
    folder = tempfile.mkdtemp(prefix="adit-bench-")
    try:
        for name, sent, arrived, elapsed, cpu in measure(program, load_bench(), bin_folder, folder,
                                                         options):
            if name == "flows":
                print(f"  udp flows: {arrived} answered after {elapsed:.2f} s, "
                      f"the agent's CPU {1e6 * cpu / max(sent, 1):.0f} us each")
                continue
            loss = 100 * (sent - arrived) / sent if sent else 0
            print(f"  udp {name}, {options.size} octets: {arrived / elapsed:8.0f} datagrams/s, "
                  f"loss {loss:.3f} %, the agent's CPU {1e6 * cpu / max(sent, 1):.2f} us each")
    except RuntimeError as e:
        sys.exit(str(e))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
