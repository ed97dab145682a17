# SPDX-License-Identifier: Apache-2.0
"""Where it all happens: two edges, two agents and the users, each a network namespace of our own.

        users ─┐         ┌─ edge1      left and right are routers: whatever anybody says to an edge
        a ─ right ═══ left             passes both, and is dropped, refused or slowed there
        b ─────┘         └─ edge2

The edges begin as copies of one state, so that each knows the same tunnel and the same user; from then
on each is by itself, and agents advertise their routes to both. The agents are
replicas of that tunnel. Each has an sshd that answers on every address of HOSTS, with the same key: each
session asks for an address of its own, by which the edges' logs tell what became of it.
"""

import contextlib
import itertools
import os
import shutil
import sqlite3
import subprocess

from support import adit, netns
from support.adit import route, routes
from support.sshd import Sshd
from support.waiting import wait_until

HOSTS = "10.118.0.0/16"
USERS_IP = "10.117.1.2"
EDGES = {"edge1": "10.117.2.2", "edge2": "10.117.3.2"}
AGENTS = {"a": "10.117.4.2", "b": "10.117.5.2"}
LEFT, RIGHT = "10.117.9.1", "10.117.9.2"
# A second way between the routers, for packets with that mark: (device, mark, addresses, limits).
WAYS = {
    "slow": ("slow", 1, ("10.117.8.1", "10.117.8.2"), "delay=150"),
    "unordered": ("unordered", 2, ("10.117.8.5", "10.117.8.6"), "delay=10,reorder=0.2,extra=15"),
}
# bash reads it for whom sshd starts, unless it is no first shell; it may do whatever it likes.
NO_BASHRC = "SetEnv SHLVL=2\n"
SETTLED_S = 120
_count = itertools.count()


def _make_another(database):
    """An edge's name for itself, by which agents tell one from the other, comes from this."""
    with contextlib.closing(sqlite3.connect(database)) as db, db:
        db.execute("UPDATE meta SET value = ? WHERE key = 'account_tag'", (os.urandom(16).hex(),))


class World:
    """@case: what support.case.Case offers. All is up and Healthy when it has been made."""

    def __init__(self, case, seed):
        self.case = case
        base = f"adit{os.getpid()}c{next(_count)}"
        self.names = {role: f"{base}{role}" for role in
                      ("left", "right", "users", *EDGES, *AGENTS)}
        for name in self.names.values():
            netns.add(case, name)
        self._cable()
        self.ways = [self._second_way(seed, *way) for way in WAYS.values()]
        self._start_edges()
        self._start_agents()
        self.sshd = Sshd(case, "sshd-a", self.prefix("a"), ("0.0.0.0",), 22, NO_BASHRC)
        case.start("sshd-b", self.prefix("b") + self.sshd.process.argv[len(self.prefix("a")):])

    def prefix(self, role):
        """What to put before a command to run it there."""
        return netns.enter(self.names[role])

    def ip(self, role, *argv):
        netns.ip(self.names[role], *argv)

    def nft(self, role, rules):
        subprocess.run(self.prefix(role) + ["nft", "-f", "-"], input=rules, check=True,
                       encoding="utf-8", stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def proxy_command(self, first_edge):
        """`adit connect` that tries @first_edge first."""
        order = sorted(EDGES, key=lambda name: name != first_edge)
        argv = [adit.binary("adit"), "connect", "--credentials", self.client]
        for name in order:
            argv += ["--edge", self.edges[name].address]
        return " ".join([*argv, "%h", "%p"])

    def is_settled(self):
        """All agents have all their connections, and their routes at both edges."""
        return all(agent.process.running() and agent.state() == "Healthy" and
                   all(r["state"] == "accepted" for r in agent.routes())
                   for agent in self.agents.values())

    def wait_settled(self):
        wait_until(self.is_settled, "all agents to be Healthy", SETTLED_S,
                   lambda: "\n".join(a.process.log_tail(10) for a in self.agents.values()))

    # ---- making it ----

    def _join(self, router, role, network):
        self.ip(router, "link", "add", f"to-{role}", "type", "veth", "peer", "name", "wan",
                "netns", self.names[role])
        for where, device, last in ((router, f"to-{role}", 1), (role, "wan", 2)):
            self.ip(where, "addr", "add", f"{network}.{last}/24", "dev", device)
            self.ip(where, "link", "set", device, "up")
        self.ip(role, "route", "add", "default", "via", f"{network}.1")

    def _cable(self):
        for router, ends in (("left", EDGES), ("right", {"users": USERS_IP, **AGENTS})):
            for role, address in ends.items():
                self._join(router, role, address.rpartition(".")[0])
            self._sysctl(router, "net/ipv4/ip_forward", 1)
        self.ip("left", "link", "add", "across", "type", "veth", "peer", "name", "across", "netns",
                self.names["right"])
        for router, own, other, behind in (("left", LEFT, RIGHT, (USERS_IP, *AGENTS.values())),
                                           ("right", RIGHT, LEFT, EDGES.values())):
            self.ip(router, "addr", "add", f"{own}/30", "dev", "across")
            self.ip(router, "link", "set", "across", "up")
            for address in behind:
                self.ip(router, "route", "add", f"{address}/32", "via", other)
        for agent in AGENTS:
            self.ip(agent, "route", "add", "local", HOSTS, "dev", "lo")

    def _sysctl(self, role, name, value):
        subprocess.run(self.prefix(role) + ["sh", "-c", f"echo {value} >/proc/sys/{name}"],
                       check=True)

    def _second_way(self, seed, device, mark, addresses, limits):
        program = os.path.join(os.path.dirname(os.path.dirname(adit.binary("adit"))), "bench",
                               "delay")
        process = self.case.start(device, [
            program, "--seed", seed, "--device", device, "--both", limits,
            netns.path(self.names["left"]), addresses[0],
            netns.path(self.names["right"]), addresses[1]])
        process.wait_log("ready")
        for router in ("left", "right"):
            self.ip(router, "rule", "add", "fwmark", str(mark), "lookup", str(100 + mark))
            self.ip(router, "route", "add", "default", "dev", device, "table", str(100 + mark))
        return process

    def _start_edges(self):
        addresses = list(EDGES.values())
        self.edges = {name: adit.Edge(self.case, name, host=address, prefix=self.prefix(name),
                                      also=[a for a in addresses if a != address])
                      for name, address in EDGES.items()}
        # One authority and certificate for all of them: the first's.
        first, *others = self.edges.values()
        first.start()
        self.tunnel = first.create_tunnel(prefixes=(HOSTS,))
        self.client = first.create_client(prefixes=(HOSTS,))
        first.process.terminate()
        for edge in others:
            shutil.rmtree(edge.folder)
            shutil.copytree(first.folder, edge.folder,
                            ignore=shutil.ignore_patterns("*.sock", "*.lock"))
            _make_another(os.path.join(edge.folder, "edge.db"))
        for edge in self.edges.values():
            edge.start()

    def _start_agents(self):
        addresses = [edge.address for edge in self.edges.values()]
        self.agents = {name: adit.Agent(self.case, addresses, self.edges["edge1"].ca_file,
                                        self.tunnel, routes(route(HOSTS)), name=f"agent-{name}",
                                        prefix=self.prefix(name)).start()
                       for name in AGENTS}
        self.wait_settled()

    def daemons(self):
        """{name: Process} of what must not grow."""
        return {"edge1": self.edges["edge1"].process, "edge2": self.edges["edge2"].process,
                "agent a": self.agents["a"].process, "agent b": self.agents["b"].process}
