# SPDX-License-Identifier: Apache-2.0
"""Many flows at once through one `adit up`, and what is left of them."""

import json
import os
import resource
import signal
import socket
import subprocess
import sys

from support import sites
from support.case import Case, main
from support.require import need
from support.up import Up
from support.waiting import wait_until

PROGRAM = os.path.join(os.path.dirname(os.path.abspath(sites.__file__)), "load.py")
PORT = "4100"
UDP_FLOWS, TCP_CONNECTIONS, SYNS = 10000, 1000, 10000

KEEP_ALIVE_S = 30   # of capture_tcp.c: what a lost RST costs

# Far above what it takes (25 MiB), also with a sanitizer's quarantine; not above a buffer per flow.
UP_RSS_KIB = 512 * 1024


class LoadTest(Case):
    def setUp(self):
        need("root", "netns", "tun")
        super().setUp()
        if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < UDP_FLOWS + 1000:
            self.skipTest("needs RLIMIT_NOFILE of 11000")
        self.net = sites.Sites(self)
        self.net.serve("a")
        self.start("echo", self.net.prefix("a") + self.load("serve", sites.HOST4)).wait_log(
            "ready")
        self.lab = sites.Lab(self, self.net, "limits:\n  streams-per-connection: 20000\n",
                             sites_up=("a",),
                             agent_settings="warp-routing:\n  connectTimeout: 3s\n")
        self.up = Up(self, self.lab).wait_up()

    @staticmethod
    def load(mode, address, *argv):
        return [sys.executable, PROGRAM, mode, address, PORT, *argv]

    def begin(self, mode, address, n):
        """A program of many sockets; what it says when it has done all."""
        process = self.start(mode, self.net.prefix("user") + self.load(mode, address, str(n)),
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        line = process.stdout.readline()
        self.assertTrue(line, process.log_tail())
        return process, json.loads(line)

    def flows(self):
        return self.up.status()["flows"]

    def refused_for_room(self):
        """Held ones are limited, and all of them together: whichever is reached first."""
        dropped = self.flows()["dropped"]
        return dropped.get("too many connections wait for an answer", 0) + \
            dropped.get("too many flows", 0)

    def descriptors(self):
        """With one control connection, this one: what the last one left was closed before the
        second answer."""
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(os.path.join(self.up.runtime, "0", "up.sock"))
            with s.makefile("rwb") as control:
                for _ in range(2):
                    control.write(b'{"v":1,"command":"status"}\n')
                    control.flush()
                    control.readline()
                return len(os.listdir(f"/proc/{self.up.pid()}/fd"))

    def rss_kib(self):
        with open(f"/proc/{self.up.pid()}/status", encoding="ascii") as f:
            return next(int(line.split()[1]) for line in f if line.startswith("VmRSS:"))

    def assert_works(self):
        done = self.net.run("user", "curl", "-s", "-m", "100", f"http://{sites.HOST4}/")
        self.assertEqual(done.stdout, "a\n", f"{done}\n{self.flows()}")

    def wait_given_back(self, before):
        wait_until(lambda: self.flows()["tcp"] == 0, "the connections to end",
                   show=lambda: str(self.flows()))
        wait_until(lambda: self.descriptors() == before, "the descriptors to be closed",
                   show=lambda: f"{self.descriptors()}, {before} before")

    def test_udp(self):
        before = self.descriptors()
        _, result = self.begin("udp", sites.HOST4, UDP_FLOWS)
        self.assertEqual(result["answered"], UDP_FLOWS, f"{result} {self.flows()}")
        self.assertEqual(self.flows()["udp"], UDP_FLOWS)
        self.assertLess(self.rss_kib(), UP_RSS_KIB)
        self.assertEqual(self.descriptors(), before)
        self.assert_works()

    def test_tcp(self):
        before = self.descriptors()
        client, result = self.begin("tcp", sites.HOST4, TCP_CONNECTIONS)
        self.assertEqual(result, {"echoed": TCP_CONNECTIONS, "failures": {}})
        self.assertEqual(self.flows()["tcp"], TCP_CONNECTIONS)
        self.assertEqual(self.descriptors(), before + TCP_CONNECTIONS)
        self.assertLess(self.rss_kib(), UP_RSS_KIB)
        self.assert_works()
        client.stdin.close()
        self.wait_given_back(before)

    def test_resets(self):
        """What programs reset must not look like an attack: the others' sessions would go, too."""
        kept, result = self.begin("tcp", sites.HOST4, 1)
        self.assertEqual(result["echoed"], 1)
        client, result = self.begin("rst", sites.HOST4, TCP_CONNECTIONS)
        self.assertEqual(result["echoed"], TCP_CONNECTIONS)
        client.stdin.close()
        wait_until(lambda: self.flows()["tcp"] == 1, "all but the kept one to end",
                   KEEP_ALIVE_S * 5, show=lambda: str(self.flows()))
        self.assert_works()
        self.assertEqual(self.flows()["tcp"], 1)
        self.assertNotIn("floods", self.up.process.log())
        kept.stdin.close()

    def test_lost_resets(self):
        """A RST that the device's queue dropped is never sent again."""
        client, result = self.begin("rst", sites.HOST4, TCP_CONNECTIONS)
        self.assertEqual(result["echoed"], TCP_CONNECTIONS)
        os.kill(self.up.pid(), signal.SIGSTOP)
        try:
            client.stdin.close()
            self.assertEqual(client.wait(), 0)
        finally:
            os.kill(self.up.pid(), signal.SIGCONT)
        wait_until(lambda: self.flows()["tcp"] == 0, "all to end", KEEP_ALIVE_S * 5,
                   show=lambda: str(self.flows()))
        self.assert_works()

    def test_held(self):
        """A scanner's connections take no more than their share, and others go on."""
        self.net.ip("a", "route", "add", "10.0.0.66", "via", "198.51.101.1")
        before = self.descriptors()
        kept, result = self.begin("tcp", sites.HOST4, 1)
        self.assertEqual(result["echoed"], 1)
        scanner, result = self.begin("syn", "10.0.0.66", SYNS)
        self.assertEqual(result, {"begun": SYNS, "failures": {}})
        wait_until(self.refused_for_room, "a limit", show=lambda: str(self.flows()))
        flows = self.flows()
        self.assertLessEqual(flows["held"], 4096)
        self.assertLessEqual(flows["tcp"], 4096)
        self.assertLess(self.rss_kib(), UP_RSS_KIB)
        self.assert_works()
        _, result = self.begin("udp", sites.HOST4, 1)
        self.assertEqual(result["answered"], 1)
        scanner.kill()
        kept.stdin.close()
        self.wait_given_back(before)


if __name__ == "__main__":
    main()
