# SPDX-License-Identifier: Apache-2.0
"""What `adit up` makes on its host, and that it is gone afterwards, however it ended.

Played by tests/support/tun_host.c in a network namespace; no tunnel is needed for that."""

import json
import os
import signal
import subprocess

from support import netns
from support.case import Case, main
from support.require import need
from support.waiting import wait_until

PROGRAM = os.path.join(os.environ.get("ADIT_BUILD_DIR", "build/dev"), "tests", "tun_host")
EXIT_TAKEN = 73

# Not ours, though they look like it.
FOREIGN = (
    "rule add priority 5210 lookup 44301",
    "rule add priority 5300 lookup main suppress_prefixlength 0 protocol 173",
    "-6 rule add priority 5211 lookup 44301 protocol 4",
    "route add unreachable 198.51.100.0/24 table 44301 proto 4",
)
SHOWN = ("-j route show table all", "-j -6 route show table all", "-j rule", "-j -6 rule",
         "-j addr", "-j link")


class TunHostTest(Case):
    def setUp(self):
        super().setUp()
        need("root", "netns", "tun")
        self.netns = netns.add(self, f"adit{os.getpid()}{self._testMethodName[5:12]}")
        self.ip("link add wan type veth peer name far")
        self.ip("addr add 10.1.1.2/24 dev wan")
        # What is compared later must not change by itself: no addresses that are being tried out.
        for name in ("far", "wan"):
            self.ip(f"link set {name} addrgenmode none")
            self.ip(f"link set {name} up")
        wait_until(self.links_are_up, "both ends")
        self.ip("route add default via 10.1.1.1")
        for line in FOREIGN:
            self.ip(line)
        self.n = 0

    def inside(self, *argv):
        return [*netns.enter(self.netns), *argv]

    def ip(self, line):
        return subprocess.run(self.inside("ip", *line.split()), check=True,
                              stdout=subprocess.PIPE, text=True).stdout

    def links_are_up(self):
        states = {e["ifname"]: e["operstate"] for e in json.loads(self.ip("-j link"))}
        return states["wan"] == states["far"] == "UP"

    def everything(self):
        """All that could be left behind, without what a clock changes."""
        shown = {}
        for line in SHOWN:
            entries = json.loads(self.ip(line) or "[]")
            for entry in entries:
                for key in ("expires", "stats64", "stats"):
                    entry.pop(key, None)
            shown[line] = entries
        return shown

    def own(self):
        """Rules and routes that bear adit's marks, of instance 0."""
        rules = [r for family in ("", "-6 ") for r in json.loads(self.ip(f"-j {family}rule"))
                 if r.get("protocol") == "173" and r["priority"] in (5209, 5210)]
        routes = [r for family in ("", "-6 ")
                  for r in json.loads(self.ip(f"-j {family}route show table all") or "[]")
                  if str(r.get("table")) == "44301" and r.get("protocol") == "173"]
        return rules, routes

    def launch(self, instance=0, *child):
        self.n += 1
        return self.start(f"host{self.n}", self.inside(
            PROGRAM, self.path("run"), str(instance), *child),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def up(self, instance=0, *child):
        process = self.launch(instance, *child)
        line = process.stdout.readline()
        if not line:
            raise AssertionError(process.log())
        process.facts = json.loads(line)
        self.addCleanup(self.kill_quietly, process.facts["helper"])
        return process

    @staticmethod
    def kill_quietly(pid):
        """Only if it still is the helper."""
        try:
            with open(f"/proc/{pid}/comm", encoding="ascii") as f:
                if f.read().strip() == "adit-net":
                    os.kill(pid, signal.SIGKILL)
        except OSError:
            pass

    @staticmethod
    def gone(pid):
        try:
            with open(f"/proc/{pid}/stat", encoding="ascii") as f:
                return f.read().rsplit(")", 1)[1].split()[0] == "Z"
        except OSError:
            return True

    @staticmethod
    def has_open(pid, name):
        folder = f"/proc/{pid}/fd"
        try:
            return any(os.readlink(os.path.join(folder, fd)).endswith(name)
                       for fd in os.listdir(folder))
        except OSError:
            return False

    def down(self, process):
        process.stdin.close()
        self.assertEqual(process.wait(), 0, process.log())

    def device_to(self, address):
        return json.loads(self.ip(f"-j route get {address}"))[0]["dev"]

    def test_leaves_nothing(self):
        before = self.everything()
        process = self.up()
        self.assertEqual(process.facts["form"], "two devices")
        rules, routes = self.own()
        self.assertEqual((len(rules), len(routes)), (4, 2))
        self.assertEqual(self.device_to("10.20.0.1"), "adit0")
        self.assertEqual(self.device_to("10.7.7.7"), "wan")
        self.assertEqual(self.device_to("10.1.1.9"), "wan")
        # Neither the second device nor a listener is to be seen.
        self.assertEqual({link["ifname"] for link in json.loads(self.ip("-j link"))},
                         {"lo", "wan", "far", "adit0"})
        for name in ("tcp", "tcp6"):
            table = subprocess.run(self.inside("cat", f"/proc/net/{name}"), check=True,
                                   stdout=subprocess.PIPE, text=True).stdout
            self.assertEqual(len(table.splitlines()), 1, table)
        self.down(process)
        self.assertEqual(self.everything(), before)

    def test_capabilities(self):
        process = self.up()
        with open(f"/proc/{process.facts['pid']}/status", encoding="ascii") as f:
            status = dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)
        for key in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
            self.assertEqual(int(status[key], 16), 0, key)
        self.assertEqual(status["NoNewPrivs"], "1")
        with open(f"/proc/{process.facts['helper']}/status", encoding="ascii") as f:
            status = dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)
        for key in ("CapPrm", "CapEff", "CapBnd"):
            self.assertEqual(int(status[key], 16), 1 << 12, key)
        links = [os.readlink(f"/proc/{process.facts['helper']}/fd/{fd}")
                 for fd in os.listdir(f"/proc/{process.facts['helper']}/fd")]
        self.assertFalse([name for name in links if "tun" in name], links)
        self.down(process)

    def test_main_killed(self):
        before = self.everything()
        process = self.up()
        process.kill()
        wait_until(lambda: self.gone(process.facts["helper"]), "the helper's end")
        self.assertEqual(self.everything(), before)

    def test_next_start_waits_for_the_helper(self):
        process = self.up()
        helper = process.facts["helper"]
        os.kill(helper, signal.SIGSTOP)
        process.kill()
        second = self.launch()
        wait_until(lambda: self.has_open(second.pid, "44301.lock"), "the second at the lock")
        self.assertFalse(self.gone(helper))
        os.kill(helper, signal.SIGCONT)
        facts = json.loads(second.stdout.readline())
        self.assertTrue(self.gone(helper))
        self.assertEqual((facts["cleaned_rules"], facts["cleaned_routes"]), (0, 0))
        self.assertEqual(tuple(map(len, self.own())), (4, 2))
        self.down(second)

    def test_both_killed(self):
        before = self.everything()
        process = self.up()
        os.kill(process.facts["helper"], signal.SIGSTOP)
        process.kill()
        os.kill(process.facts["helper"], signal.SIGKILL)
        wait_until(lambda: self.gone(process.facts["helper"]), "the helper's end")
        # Device and its route went; what has no device stays: the trap.
        rules, routes = self.own()
        self.assertEqual(len(rules), 4)
        self.assertEqual([r["type"] for r in routes], ["throw"])
        second = self.up()
        self.assertEqual(second.facts["cleaned_rules"], 4)
        self.assertEqual(second.facts["cleaned_routes"], 1)
        self.assertEqual(tuple(map(len, self.own())), (4, 2))
        self.down(second)
        self.assertEqual(self.everything(), before)

    def test_two_of_one_table(self):
        first = self.up()
        second = self.launch()
        self.assertEqual(second.wait(), EXIT_TAKEN)
        self.assertIn(f"in use by another instance, process {first.facts['pid']}", second.log())
        self.assertEqual(tuple(map(len, self.own())), (4, 2))
        self.assertEqual(self.device_to("10.20.0.1"), "adit0")
        self.down(first)

    def test_two_instances(self):
        before = self.everything()
        first, other = self.up(0), self.up(1)
        self.assertEqual((first.facts["device"], other.facts["device"]), ("adit0", "adit1"))
        self.down(other)
        # The one's end leaves the other's alone.
        self.assertEqual(tuple(map(len, self.own())), (4, 2))
        self.assertEqual(self.device_to("10.20.0.1"), "adit0")
        self.down(first)
        self.assertEqual(self.everything(), before)

    def test_child_holds_nothing(self):
        process = self.up(0, "sleep", "600")
        child = process.facts["child"]
        self.addCleanup(os.kill, child, signal.SIGKILL)
        process.kill()
        wait_until(lambda: self.gone(process.facts["helper"]), "the helper's end")
        self.assertFalse(self.gone(child))
        self.assertNotIn("adit0", self.ip("link"))
        # The lock isn't held either.
        self.down(self.up())


if __name__ == "__main__":
    main()
