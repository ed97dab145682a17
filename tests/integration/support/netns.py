# SPDX-License-Identifier: Apache-2.0
"""A path of its own: agent and edge in network namespaces with a router between them.

Packets that the router drops vanish without a trace, as on a real dead path; a relay on
loopback can't do that, for its kernel acknowledges what the relay swallows.
"""

import itertools
import os
import subprocess

AGENT_IP, EDGE_IP = "10.116.1.2", "10.116.2.2"
_count = itertools.count()


def _run(*argv):
    subprocess.run(argv, check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def _enter(name):
    """Not `ip -n`, which also remounts /sys and so fails in a plain chroot."""
    return ("nsenter", f"--net=/run/netns/{name}")


def _ip(name, *argv):
    _run(*_enter(name), "ip", *argv)


class Path:
    """Namespaces `agent`, `router` and `edge` in a row; removed when @case ends."""

    def __init__(self, case):
        base = f"adit{os.getpid()}x{next(_count)}"
        self.names = {role: f"{base}{role}" for role in ("agent", "router", "edge")}
        for name in self.names.values():
            _run("ip", "netns", "add", name)
            case.addCleanup(subprocess.run, ("ip", "netns", "del", name), check=False)
            _ip(name, "link", "set", "lo", "up")
        self._join("agent", AGENT_IP, "10.116.1.1")
        self._join("edge", EDGE_IP, "10.116.2.1")
        subprocess.run(self.prefix("router") + ["sh", "-c",
                       "echo 1 >/proc/sys/net/ipv4/ip_forward"], check=True)

    def _join(self, role, address, gateway):
        router, end = self.names["router"], self.names[role]
        _ip(router, "link", "add", role, "type", "veth", "peer", "name", "wan", "netns", end)
        for name, device, ip in ((router, role, gateway), (end, "wan", address)):
            _ip(name, "addr", "add", f"{ip}/24", "dev", device)
            _ip(name, "link", "set", device, "up")
        _ip(end, "route", "add", "default", "via", gateway)

    def prefix(self, role):
        """What to put before a command to run it there."""
        return list(_enter(self.names[role]))

    def lose(self, towards):
        """From now on packets to @towards ("agent" or "edge") are dropped."""
        address = AGENT_IP if towards == "agent" else EDGE_IP
        _ip(self.names["router"], "route", "add", "blackhole", f"{address}/32")

    def heal(self, towards):
        address = AGENT_IP if towards == "agent" else EDGE_IP
        _ip(self.names["router"], "route", "del", "blackhole", f"{address}/32")
