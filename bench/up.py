#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""`adit up` beside `adit connect --listen`: bench/up.py BUILD_FOLDER [--runs N] [--mib N]

One stream's throughput each way and the CPU time of the client's process, over the same edge and
agent, in network namespaces of its own: as root. Pairs of transfers in turn, so that what else the
machine does hits both; medians, and the median of the pairs' ratios. Nothing is asserted.
"""

import argparse
import contextlib
import os
import shutil
import statistics
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../tests/integration"))

from support import adit, sites
from support.process import Process
from support.up import Up
from support.waiting import wait_until

PORT = "5001"
TICK = os.sysconf("SC_CLK_TCK")
WAYS = (("get", "site to user"), ("put", "user to site"))


class Bench:
    """What the tests' support wants of a test case: a folder, programs, things to do at the end."""

    def __init__(self, stack):
        self.stack, self.tmp = stack, tempfile.mkdtemp(prefix="adit-bench-")
        self.addCleanup(shutil.rmtree, self.tmp, ignore_errors=True)

    def addCleanup(self, function, *args, **options):
        self.stack.callback(function, *args, **options)

    def path(self, *parts):
        return os.path.join(self.tmp, *parts)

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as f:
            f.write(text)
        return self.path(name)

    def start(self, name, argv, **options):
        process = Process(argv, self.path(f"{name}.log"), **options)
        self.addCleanup(process.close)
        return process


def cpu_s(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


class Path:
    """One way from the user to the site: where to connect to, and whose CPU time it is."""

    def __init__(self, name, net, program, address, process):
        self.name, self.net, self.program, self.address = name, net, program, address
        self.pid = process.pid
        self.samples = {way: [] for way, _ in WAYS}

    def transfer(self, way, n_bytes):
        began = cpu_s(self.pid)
        done = self.net.run("user", self.program, way, self.address, PORT, str(n_bytes))
        if done.returncode:
            raise RuntimeError(f"{self.name}: {done.stderr}")
        cpu = (cpu_s(self.pid) - began) * 2**30 / n_bytes
        self.samples[way].append((n_bytes / float(done.stdout) / 2**20, cpu))


def make_paths(bench, program):
    net = sites.Sites(bench, "4")
    bench.start("bulk", net.prefix("a") + [program, "serve", sites.HOST4, PORT]).wait_log("ready")
    lab = sites.Lab(bench, net, sites_up=("a",))
    listen = bench.start("listen", net.prefix("user") + [
        adit.binary("adit"), "connect", "--credentials", lab.client, "--listen",
        f"127.0.0.1:{PORT}", sites.HOST4, PORT])
    up = Up(bench, lab).wait_up()
    wait_until(lambda: PORT in net.run("user", "ss", "-Hltn").stdout, "adit connect to listen")
    return (Path("adit connect --listen", net, program, "127.0.0.1", listen),
            Path("adit up", net, program, sites.HOST4, up.process))


def measure(build, runs, n_bytes):
    program = os.path.join(build, "bench", "bench-bulk")
    os.environ["ADIT_BUILD_DIR"] = build
    with contextlib.ExitStack() as stack:
        paths = make_paths(Bench(stack), program)
        for path in paths:
            path.transfer("get", n_bytes // 8)      # warm
        for path in paths:
            path.samples["get"].clear()
        for _ in range(runs):
            for way, _ in WAYS:
                for path in paths:
                    path.transfer(way, n_bytes)
    return paths


def show(name, values, form, aim=""):
    print(f"  {name:44}{form.format(statistics.median(values)):>12}   {aim}".rstrip())


def report(listen, up):
    for way, text in WAYS:
        pairs = list(zip(up.samples[way], listen.samples[way]))
        for path in (listen, up):
            show(f"one stream, {text}: {path.name}", [s[0] for s in path.samples[way]],
                 "{:.0f} MiB/s")
            show("  its CPU", [s[1] for s in path.samples[way]], "{:.2f} s/GiB")
        show("  throughput, up ÷ connect", [u[0] / c[0] for u, c in pairs], "{:.2f}", "≥ 0.6")
        show("  CPU, up ÷ connect", [u[1] / c[1] for u, c in pairs if c[1]], "{:.2f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build_folder")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--mib", type=int, default=512, help="per transfer")
    options = parser.parse_args()
    if os.geteuid() != 0 or not os.access("/dev/net/tun", os.W_OK):
        print("adit up: not measured: needs root and /dev/net/tun")
        return
    paths = measure(os.path.abspath(options.build_folder), options.runs, options.mib * 2**20)
    print(f"adit up, in network namespaces: medians of {options.runs} pairs, {options.mib} MiB "
          "per transfer\n")
    report(*paths)


if __name__ == "__main__":
    main()
