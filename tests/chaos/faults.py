# SPDX-License-Identifier: Apache-2.0
"""What can go wrong, as a table, and a seeded schedule of it.

Each fault has a target: an agent, an edge, one of an agent's connections, the users' way to an edge, or one
user's connection. A fault of the network is a table of its own in a router's nftables, so that ending it
is to delete that. A *heavy* fault takes away an agent, an edge or all ways to one; there is one of
these at a time, and the next waits until all has been well for HEAVY_APART_S.
"""

import dataclasses
import heapq
import random
import re
import subprocess
import time

from chaos.world import AGENTS, EDGES, USERS_IP, WAYS

HEAVY_APART_S = 5
LOOK_EVERY_S = 0.5

# Of what a fault may do to the sessions it touches.
ENDS, SPARES = "ends", "spares"


@dataclasses.dataclass(frozen=True)
class Kind:
    name: str
    target: str         # "agent", "edge", "connection", "way" (users to an edge), "user"
    action: str         # "kill", or of ACTIONS
    towards: str = "both"       # "edge": only what is sent to the edge, "other": only its answers
    effect: str = ENDS
    last_s: tuple = (20, 25)    # longer than any limit of detection

    @property
    def heavy(self):
        return self.target in ("agent", "edge", "way") and self.effect == ENDS


KINDS = (
    Kind("agent killed", "agent", "kill", last_s=(1, 4)),
    Kind("edge killed", "edge", "kill", last_s=(1, 4)),
    Kind("connection reset", "connection", "reset", last_s=(6, 8)),
    Kind("connection cut", "connection", "drop"),
    Kind("connection black-holed to the edge", "connection", "drop", "edge"),
    Kind("connection black-holed to the agent", "connection", "drop", "other"),
    Kind("agent's link cut", "agent", "drop"),
    Kind("agent's link black-holed to the edge", "agent", "drop", "edge"),
    Kind("agent's link black-holed to the agent", "agent", "drop", "other"),
    Kind("user's connection reset", "user", "reset", last_s=(6, 8)),
    Kind("user's connection cut", "user", "drop"),
    Kind("users' way to an edge cut", "way", "drop"),
    Kind("link gone for a moment", "agent", "drop", effect=SPARES, last_s=(1, 2)),
    Kind("150 ms later", "agent", "slow", effect=SPARES, last_s=(8, 12)),
    Kind("out of order", "agent", "unordered", effect=SPARES, last_s=(8, 12)),
    Kind("5 % lost", "agent", "lose", effect=SPARES, last_s=(8, 12)),
    Kind("5 % lost on the users' way", "way", "lose", effect=SPARES, last_s=(8, 12)),
)

# What is done to a packet: in the forward hook, or (a mark) before it is routed.
ACTIONS = {
    "drop": "drop",
    "reset": "meta l4proto tcp reject with tcp reset",
    "lose": "numgen random mod 100 < 5 drop",
    **{name: f"meta mark set {way[1]}" for name, way in WAYS.items()},
}


@dataclasses.dataclass
class Fault:
    """One that happened. What it touches: connections from @ip (and @port) to @edge, None being any;
    for target "user" the session @session."""

    kind: Kind
    began: float
    ip: str = None
    port: int = None
    edge: str = None
    session: object = None
    ended: float = 0.0
    text: str = ""


class Faults:
    """Draws, begins and ends faults; all of it on the caller's thread."""

    def __init__(self, world, workload, seed, say):
        self.world, self.workload = world, workload
        self.random = random.Random(seed)
        self.deck, self.say = [], say
        self.done, self.recoveries = [], []
        self.running = []           # heap of (end, number, fault)
        self.n = 0
        self.unsettled_since, self.look_at, self.heavy_from = None, 0, 0

    # ---- the schedule ----

    def run(self, seconds, pause_s=(0.5, 3.0), at_once=3):
        end = time.time() + seconds
        following = time.time()
        while time.time() < end:
            self._end_due()
            self._note_recovery()
            if time.time() >= following and len(self.running) < at_once and self._begin_one():
                following = time.time() + self.random.uniform(*pause_s)
            time.sleep(0.05)
        while self.running:
            self._end_due()
            time.sleep(0.05)

    def _draw(self):
        """Each kind comes once before one comes again, but light ones don't wait for heavy ones."""
        for _ in range(2):
            for i, kind in enumerate(self.deck):
                if not kind.heavy or self._may_be_heavy():
                    return self.deck.pop(i)
            self.deck += self.random.sample(KINDS, len(KINDS))
        return None

    def _may_be_heavy(self):
        return self.unsettled_since is None and time.time() >= self.heavy_from and \
            not any(f.kind.heavy for _, _, f in self.running)

    def _begin_one(self):
        kind = self._draw()
        fault = self._aim(kind) if kind else None
        if not fault:
            return False
        self.n += 1
        self._apply(fault)
        self.done.append(fault)
        lasts_s = self.random.uniform(*kind.last_s)
        heapq.heappush(self.running, (fault.began + lasts_s, self.n, fault))
        self.say(f"{kind.name}: {fault.text}, for {lasts_s:.1f} s")
        return True

    def _end_due(self):
        while self.running and self.running[0][0] <= time.time():
            _, number, fault = heapq.heappop(self.running)
            self._heal(fault, number)
            fault.ended = time.time()
            if fault.kind.heavy:
                self.unsettled_since = fault.ended

    def _note_recovery(self):
        now = time.time()
        if not self.unsettled_since or now < self.look_at:
            return
        self.look_at = now + LOOK_EVERY_S
        if self.world.is_settled():
            self.recoveries.append(now - self.unsettled_since)
            self.unsettled_since, self.heavy_from = None, now + HEAVY_APART_S

    # ---- targets ----

    def _aim(self, kind):
        fault = getattr(self, f"_aim_{kind.target}")(kind)
        if fault:
            fault.began = time.time()
        return fault

    def _aim_agent(self, kind):
        name = self.random.choice(sorted(AGENTS))
        return Fault(kind, 0, ip=AGENTS[name], text=f"agent {name}")

    def _aim_edge(self, kind):
        name = self.random.choice(sorted(EDGES))
        return Fault(kind, 0, edge=name, text=name)

    def _aim_way(self, kind):
        name = self.random.choice(sorted(EDGES))
        return Fault(kind, 0, ip=USERS_IP, edge=name, text=name)

    def _aim_connection(self, kind):
        name = self.random.choice(sorted(EDGES))
        edge = self.world.edges[name]
        if not edge.process.running():
            return None
        found = sorted(edge.agents(), key=lambda c: c["streams"])
        if not found:
            return None
        # One that carries something, as far as there is one.
        chosen = self.random.choice(found[len(found) // 2:])
        ip, _, port = chosen["peer"].rpartition(":")
        return Fault(kind, 0, ip=ip, port=int(port), edge=name,
                     text=f"{ip}:{port} to {name}, {chosen['streams']} streams")

    def _aim_user(self, kind):
        """By the sockets of `adit connect`, which is a descendant of a session's process."""
        sockets = subprocess.run(self.world.prefix("users") + ["ss", "-tnpH", "state", "established"],
                                 stdout=subprocess.PIPE, encoding="utf-8", check=True).stdout
        rows = re.findall(r":(\d+)\s+([\d.]+):\d+\s+users:.*?\"adit\",pid=(\d+)", sockets)
        self.random.shuffle(rows)
        for port, edge_ip, pid in rows:
            session = self.workload.session_of(int(pid))
            if session:
                name, = (n for n, ip in EDGES.items() if ip == edge_ip)
                return Fault(kind, 0, ip=USERS_IP, port=int(port), edge=name, session=session,
                             text=f"session {session.number} ({session.kind}), port {port} to {name}")
        return None

    # ---- doing it ----

    def _daemon(self, fault):
        if fault.kind.target == "edge":
            return self.world.edges[fault.edge]
        return next(a for n, a in self.world.agents.items() if AGENTS[n] == fault.ip)

    def _apply(self, fault):
        if fault.kind.action == "kill":
            self._daemon(fault).process.kill()
            return
        for router, side in (("right", "edge"), ("left", "other")):
            if fault.kind.towards in ("both", side):
                self.world.nft(router, self._rules(fault, side))

    def _heal(self, fault, number):
        if fault.kind.action == "kill":
            self._daemon(fault).start()
            return
        for router, side in (("right", "edge"), ("left", "other")):
            if fault.kind.towards in ("both", side):
                self.world.nft(router, f"delete table ip chaos{number}\n")

    def _rules(self, fault, side):
        """@side "edge": packets to the edge, seen by the router that is next to their senders."""
        here, there, port = (("saddr", "daddr", "sport") if side == "edge" else
                             ("daddr", "saddr", "dport"))
        match = f"ip {here} {fault.ip}"
        if fault.edge:
            match += f" ip {there} {EDGES[fault.edge]}"
        if fault.port:
            match += f" tcp {port} {fault.port}"
        hook = ("prerouting priority -150" if fault.kind.action in WAYS else "forward priority 0")
        return (f"table ip chaos{self.n} {{\n chain c {{\n  type filter hook {hook};\n"
                f"  {match} {ACTIONS[fault.kind.action]}\n }}\n}}\n")
