# SPDX-License-Identifier: Apache-2.0
"""Group: `adit up` beside `adit connect --listen`, over the same edge and agent, in namespaces.

CPU is that of the client's process, so for `adit up` with all that it does for its device.
"""

import contextlib
import os
import shutil
import sys
import tempfile

from lib.process import Skip, cpu_s

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "../../tests/integration"))

from support import adit, sites
from support.process import Process
from support.up import Up
from support.waiting import wait_until

PORT = 5001


class Case:
    """What the tests' support wants of a test case: a folder, programs, things to do at the end."""

    def __init__(self, stack):
        self.stack, self.tmp = stack, tempfile.mkdtemp(prefix="adit-bench-")
        self.ground = stack.enter_context(contextlib.ExitStack())   # ends last
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


def _ways(case, program):
    """{name: (address to connect to, the client's process)} and where to run programs."""
    net = sites.Sites(case, "4")
    case.start("origin", net.prefix("a") + [program, "serve", sites.HOST4, PORT]).wait_log("ready")
    lab = sites.Lab(case, net, sites_up=("a",))
    listen = case.start("listen", net.prefix("user") + [
        adit.binary("adit"), "connect", "--credentials", lab.client, "--listen",
        f"127.0.0.1:{PORT}", sites.HOST4, str(PORT)])
    device = Up(case, lab).wait_up()
    wait_until(lambda: str(PORT) in net.run("user", "ss", "-Hltn").stdout, "connect to listen")
    return net, {"connect": ("127.0.0.1", listen.pid), "up": (sites.HOST4, device.process.pid)}


def up(stand, keys, options):
    """Keys: (verb, "up" or "connect")."""
    if os.geteuid() != 0 or not os.access("/dev/net/tun", os.W_OK):
        raise Skip("needs root and /dev/net/tun")
    os.environ["ADIT_BUILD_DIR"] = stand.tools.build
    program, n_bytes = stand.tools.program("bench-load"), options.mib * 2**20
    samples = {key: [] for key in keys}
    with contextlib.ExitStack() as stack:
        net, ways = _ways(Case(stack), program)
        for pair in range(-1, options.pairs):       # the first is to warm up
            for key in keys:
                address, pid = ways[key[1]]
                before = cpu_s(pid)
                done = stand.tools.load(key[0], (address, PORT), 1, n_bytes, 0,
                                        prefix=net.prefix("user"))
                if pair >= 0:
                    samples[key].append({
                        "mib_s": done["bytes"] / done["seconds"] / 2**20,
                        "cpu": (cpu_s(pid) - before) * 2**30 / done["bytes"]})
    return samples
