# SPDX-License-Identifier: Apache-2.0
"""Network namespaces, and a path of its own: agent and edge with a router between them.

Packets that the router drops vanish without a trace, as on a real dead path; a relay on
loopback can't do that, for its kernel acknowledges what the relay swallows.
"""

import itertools
import os
import subprocess

AGENT_IP, EDGE_IP = "10.116.1.2", "10.116.2.2"
AGENT_IP6, EDGE_IP6 = "fd00:116:1::2", "fd00:116:2::2"
_count = itertools.count()


def run(*argv):
    subprocess.run(argv, check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def path(name):
    return f"/run/netns/{name}"


def enter(name):
    """What to put before a command to run it there. Not `ip -n`, which also remounts /sys and so
    fails in a plain chroot."""
    return ["nsenter", f"--net={path(name)}"]


def ip(name, *argv):
    run(*enter(name), "ip", *argv)


def add(case, name):
    """A namespace that goes when @case's processes have ended: an agent whose path vanishes first
    waits for answers that never come."""
    run("ip", "netns", "add", name)
    case.ground.callback(subprocess.run, ("ip", "netns", "del", name), check=False)
    ip(name, "link", "set", "lo", "up")
    return name


class Path:
    """Namespaces `agent`, `router` and `edge` in a row; removed when @case ends."""

    def __init__(self, case):
        base = f"adit{os.getpid()}x{next(_count)}"
        self.names = {role: f"{base}{role}" for role in ("agent", "router", "edge")}
        for name in self.names.values():
            add(case, name)
        self._join("agent", AGENT_IP, "10.116.1.1")
        self._join("edge", EDGE_IP, "10.116.2.1")
        subprocess.run(self.prefix("router") + ["sh", "-c",
                       "echo 1 >/proc/sys/net/ipv4/ip_forward"], check=True)

    def _join(self, role, address, gateway):
        router, end = self.names["router"], self.names[role]
        ip(router, "link", "add", role, "type", "veth", "peer", "name", "wan", "netns", end)
        for name, device, own in ((router, role, gateway), (end, "wan", address)):
            ip(name, "addr", "add", f"{own}/24", "dev", device)
            ip(name, "link", "set", device, "up")
        ip(end, "route", "add", "default", "via", gateway)

    def add_ipv6(self):
        subprocess.run(self.prefix("router") + ["sh", "-c",
                       "echo 1 >/proc/sys/net/ipv6/conf/all/forwarding"], check=True)
        for role, address in (("agent", AGENT_IP6), ("edge", EDGE_IP6)):
            end, gateway = self.names[role], address[:-1] + "1"
            for name, device, own in ((self.names["router"], role, gateway), (end, "wan", address)):
                ip(name, "addr", "add", f"{own}/64", "dev", device, "nodad")
            ip(end, "route", "add", "default", "via", gateway)

    def prefix(self, role):
        """What to put before a command to run it there."""
        return enter(self.names[role])

    def lose(self, towards):
        """From now on packets to @towards ("agent" or "edge", or an address) are dropped."""
        self._black_hole("add", towards)

    def heal(self, towards):
        self._black_hole("del", towards)

    def _black_hole(self, verb, towards):
        address = {"agent": AGENT_IP, "edge": EDGE_IP}.get(towards, towards)
        ip(self.names["router"], "route", verb, "blackhole",
           f"{address}/{128 if ':' in address else 32}")
