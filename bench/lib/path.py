# SPDX-License-Identifier: Apache-2.0
"""Groups on a long path: the agent in one namespace, edge and user in another, delay.c between them."""

from lib.space import Space
from lib.stand import Agent, Edge, User
from lib.stand import ORIGIN_PORT, ADIT

SITE_IP, EDGE_IP = "10.117.0.1", "10.117.0.2"
MTU, RTT_MS, RATE_MBIT, QUEUE = 9000, 100, 1000, 16 << 20
WINDOW = 64 << 20       # tcp_wmem and tcp_rmem
SECONDS = 6.0
BINS_PER_S = 10


class Far:
    """Both ends and all processes on them, with @loss on the path each way."""

    def __init__(self, tools, loss):
        self.tools, self.parts = tools, []
        self.site, self.hub = Space(tools.folder), Space(tools.folder)
        for space in (self.site, self.hub):
            space.sysctl("net.ipv4.tcp_wmem", f"4096 65536 {WINDOW}")
            space.sysctl("net.ipv4.tcp_rmem", f"4096 131072 {WINDOW}")
        name = f"far{loss}"
        limits = f"delay={RTT_MS / 2},rate={RATE_MBIT},queue={QUEUE},loss={loss}"
        self.child((tools.program("delay"), "--seed", 1, "--mtu", MTU, "--both", limits,
                    self.site.path, SITE_IP, self.hub.path, EDGE_IP), f"{name}-delay", "ready")
        self.site.run("ip", "address", "add", f"{ADIT}/32", "dev", "lo")
        self.child((*self.site.prefix(), tools.program("bench-load"), "serve", "0.0.0.0",
                    ORIGIN_PORT), f"{name}-origin", "ready")
        self.edge = Edge(tools, name, EDGE_IP, self.hub.prefix())
        self.agent = Agent(tools, self.edge, name, {ADIT: f"{ADIT}:{ORIGIN_PORT}"},
                           self.site.prefix()).start().wait().wait_routes()
        self.user = User(tools, self.edge, ADIT, ORIGIN_PORT, self.hub.prefix(), f"{name}-user")
        self.parts += [self.edge, self.agent, self.user.process, self.site.holder, self.hub.holder]

    def child(self, argv, name, ready):
        self.parts.append(self.tools.child(argv, name, ready=ready))

    def transfer(self, verb, streams):
        return self.tools.load(verb, self.user.entry(), streams, 1 << 40, SECONDS,
                               prefix=self.hub.prefix())

    def close(self):
        for part in self.parts[::-1]:
            part.stop() if hasattr(part, "stop") else part.close()


def mbit(bins, first_s, last_s):
    """Mean rate from one second to another."""
    part = bins[round(first_s * BINS_PER_S):round(last_s * BINS_PER_S)]
    return sum(part) * 8 / 1e6 / (len(part) / BINS_PER_S) if part else 0


def path(stand, keys, options):
    """Keys: (verb, loss, streams). "fifth" is the rate in the fifth second, "mean" that of all from
    the second on; "bins" are for the charts. Rates are what the receiver counted."""
    samples = {}
    for loss in sorted({key[1] for key in keys}):
        far = Far(stand.tools, loss)
        try:
            for key in (k for k in keys if k[1] == loss):
                samples[key] = []
                for _ in range(options.path_runs):
                    done = far.transfer(key[0], key[2])
                    bins = done["bins"][:round(SECONDS * BINS_PER_S)]
                    samples[key].append({"fifth": mbit(bins, 4, 5), "mean": mbit(bins, 1, SECONDS),
                                         "bins": bins})
        finally:
            far.close()
    return samples
