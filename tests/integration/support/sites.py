# SPDX-License-Identifier: Apache-2.0
"""A user, an edge and two sites, each a network namespace of the test's own.

        user ── edge ── a          a and b have the same networks: SITE4 and SITE6, with the same
                     └─ b          addresses on them, and servers that say which site they are

Nothing is forwarded between them: what the user reaches, it reaches through the tunnel.
"""

import itertools
import os
import subprocess
import sys

from support import adit, netns
from support.adit import route, routes
from support.sshd import Sshd
from support.waiting import wait_until

SITE4, HOST4 = "10.0.0.0/24", "10.0.0.5"
SITE6, HOST6 = "fd00:5::/64", "fd00:5::5"
QUIET4, QUIET6 = "10.0.0.6", "fd00:5::6"        # an address where nothing listens
EDGE4, EDGE6 = "203.0.113.1", "2001:db8:e::1"
_LINKS = {"user": 0, "a": 1, "b": 2}
_count = itertools.count()


def url(address):
    return f"http://[{address}]/" if ":" in address else f"http://{address}/"


class Sites:
    """@families: "46", "4" or "6". @mtu: of all links."""

    def __init__(self, case, families="46", mtu=1500):
        self.case, self.families = case, families
        base = f"adit{os.getpid()}s{next(_count)}"
        self.names = {role: f"{base}{role}" for role in ("user", "edge", "a", "b")}
        for role, name in self.names.items():
            netns.add(case, name)
            self.sysctl(role, "net/ipv6/conf/all/accept_dad", 0)
        for role, number in _LINKS.items():
            self._join(role, number, mtu)
        wait_until(lambda: all(self._is_settled(role) for role in _LINKS), "all links to be up")
        self._address("edge", EDGE4, EDGE6)
        for site in ("a", "b"):
            self._address(site, HOST4, HOST6)
            self._address(site, QUIET4, QUIET6)
            self.sysctl(site, "net/ipv4/ping_group_range", "0 2147483647")
        self.edge_ip = EDGE4 if "4" in families else EDGE6

    def prefix(self, role):
        """What to put before a command to run it there."""
        return netns.enter(self.names[role])

    def ip(self, role, *argv):
        netns.ip(self.names[role], *argv)

    def ip_json(self, role, *argv):
        return subprocess.run(self.prefix(role) + ["ip", "-j", *argv], check=True,
                              stdout=subprocess.PIPE, encoding="utf-8").stdout

    def sysctl(self, role, name, value):
        subprocess.run(self.prefix(role) + ["sh", "-c", f"echo {value} >/proc/sys/{name}"],
                       check=True)

    def run(self, role, *argv, **options):
        """A command there, to its end."""
        return adit.run(self.prefix(role) + list(argv), **options)

    def _join(self, role, number, mtu):
        end = self.names[role]
        self.ip("edge", "link", "add", f"to-{role}", "mtu", str(mtu), "type",
             "veth", "peer", "name", "wan", "mtu", str(mtu), "netns", end)
        for where, device, last in (("edge", f"to-{role}", 1), (role, "wan", 2)):
            if "4" in self.families:
                self.ip(where, "addr", "add", f"198.51.{100 + number}.{last}/24", "dev", device)
            if "6" in self.families:
                self.ip(where, "addr", "add", f"2001:db8:{number}::{last}/64", "dev", device,
                        "nodad")
            # No link-local address that comes and settles by itself: states are compared.
            self.ip(where, "link", "set", device, "addrgenmode", "none")
            self.ip(where, "link", "set", device, "up")
        if "4" in self.families:
            self.ip(role, "route", "add", EDGE4, "via", f"198.51.{100 + number}.1")
        if "6" in self.families:
            self.ip(role, "-6", "route", "add", EDGE6, "via", f"2001:db8:{number}::1")

    def _is_settled(self, role):
        """The kernel adds the multicast route when it has seen the carrier."""
        routes = self.ip_json(role, "-6", "route", "show", "table", "local", "dev", "wan")
        return "ff00::/8" in routes or "6" not in self.families

    def _address(self, role, ip4, ip6):
        if "4" in self.families:
            self.ip(role, "addr", "add", f"{ip4}/32", "dev", "lo")
        if "6" in self.families:
            self.ip(role, "-6", "addr", "add", f"{ip6}/128", "dev", "lo", "nodad")

    def addresses(self):
        return [a for a, family in ((HOST4, "4"), (HOST6, "6")) if family in self.families]

    def serve(self, site, *more):
        """site_server.py there, also on @more addresses; it says @site."""
        program = os.path.join(os.path.dirname(os.path.abspath(__file__)), "site_server.py")
        server = self.case.start(f"server-{site}", self.prefix(site) + [
            sys.executable, program, site, *self.addresses(), *more])
        server.wait_log("ready")
        return server

    def sshd(self, site):
        return Sshd(self.case, f"sshd-{site}", self.prefix(site), self.addresses(), 22)

    def networks(self):
        return [n for n, family in ((SITE4, "4"), (SITE6, "6")) if family in self.families]


class Lab:
    """Edge, an agent per site, and a user's credentials, all Healthy. Site a is in the edge's
    default network, site b in the virtual network "staging"."""

    def __init__(self, case, sites, edge_settings="", networks=None, sites_up=("a", "b"),
                 agent_settings=""):
        self.case, self.sites, self.agent_settings = case, sites, agent_settings
        self.edge = adit.Edge(case, host=sites.edge_ip, prefix=sites.prefix("edge"),
                              settings=edge_settings).start()
        self.edge.admin("vnet", "add", "staging")
        self.client = case.path("ann.json")
        self.edge.admin("client", "add", "ann", "--output", self.client, "--edge",
                        self.edge.address)
        self.agents = {}
        for site in sites_up:
            self._add_site(site, networks or sites.networks())

    def _add_site(self, site, networks):
        vnet = "staging" if site == "b" else None
        extra = ("--virtual-network", vnet) if vnet else ()
        path = self.case.path(f"{site}.json")
        self.edge.admin("tunnel", "create", site, "--credentials-file", path)
        if vnet:
            self.edge.admin("grant", "add", site, "--network-name", vnet)
        for network in networks:
            self.edge.admin("grant", "add", site, network, *extra)
            self.edge.admin("client", "grant", "add", "ann", network, *extra)
        agent = adit.Agent(self.case, self.edge.address, self.edge.ca_file, path,
                           self.routes(site, networks), name=f"agent-{site}",
                           settings=self.agent_settings, prefix=self.sites.prefix(site))
        agent.start().wait_state("Healthy")
        agent.wait_accepted()
        self.agents[site] = agent

    @staticmethod
    def routes(site, networks):
        vnet = "staging" if site == "b" else None
        return routes(*(route(n, virtual_network=vnet) for n in networks))
