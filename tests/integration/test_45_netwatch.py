# SPDX-License-Identifier: Apache-2.0
"""The host's network changes under a running agent, in namespaces of the test's own."""

import json
import re
import subprocess

from support.adit import Agent, Edge, route, routes
from support.case import Case, main
from support.netns import AGENT_IP, EDGE_IP, Path
from support.require import need
from support.waiting import wait_until

GATEWAY = "10.116.1.1"
GONE = "this host lost the connection's local address"
BEHIND = "10.116.77.0/24"       # reached by the default route


class NetworkTest(Case):
    def setUp(self):
        need("netns")
        super().setUp()
        self.net = Path(self)
        self.edge = Edge(self, host=EDGE_IP, prefix=self.net.prefix("edge")).start()
        self.agent = Agent(self, self.edge.address, self.edge.ca_file, self.edge.create_tunnel(),
                           routes(route(BEHIND)), prefix=self.net.prefix("agent")).start()
        self.agent.wait_state("Healthy")
        self.agent.wait_accepted()

    def ip(self, *argv):
        subprocess.run(self.net.prefix("agent") + ["ip", *argv], check=True)

    def take_address(self):
        self.ip("addr", "del", f"{AGENT_IP}/24", "dev", "wan")

    def give_address(self):
        self.ip("addr", "add", f"{AGENT_IP}/24", "dev", "wan")
        self.ip("route", "add", "default", "via", GATEWAY)

    def events(self, kind, **fields):
        """Fields of the events of @kind that have these @fields."""
        done = self.agent.command("events", "--json")
        found = [json.loads(line) for line in done.stdout.splitlines()]
        return [e["fields"] for e in found if e["kind"] == kind and
                all(e["fields"].get(k) == v for k, v in fields.items())]

    def wait_events(self, what, n, kind, **fields):
        return wait_until(lambda: len(self.events(kind, **fields)) >= n and
                          self.events(kind, **fields), what,
                          show=lambda: self.agent.command("events").stdout)

    def back_offs_ms(self):
        """{connection: how long it waits since its last try}"""
        tries = re.findall(r"connection failed conn_index=(\d) .*retry_ms=(\d+)",
                           self.agent.process.log())
        return {index: int(retry_ms) for index, retry_ms in tries}

    def agents(self):
        return sorted(c["id"] for c in self.edge.agents())

    def test_address_comes_back(self):
        """Gone: all connections are replaced. Back: nobody waits for its back-off to end."""
        self.take_address()
        lost = self.wait_events("all four to be lost", 4, "connection", reason=GONE)
        self.assertEqual({f["index"] for f in lost}, {0, 1, 2, 3})
        self.wait_events("the network's change", 1, "network", replaced=4)
        self.agent.wait_state("Down")
        for index in range(4):
            self.wait_events("tries to fail", 2, "connection", index=index, state="backoff",
                             reason="Network is unreachable")
        # One that can't end by chance before the change has settled, which takes 1 s at the most.
        self.agent.command("log-level", "debug")
        wait_until(lambda: max(self.back_offs_ms().values(), default=0) >= 5000, "a long back-off")
        before = len(self.events("network"))
        self.give_address()
        self.agent.wait_state("Healthy")
        hurried = [f["hurried"] for f in self.events("network")[before:] if f["hurried"]]
        self.assertTrue(hurried, self.agent.command("events").stdout)
        self.assertEqual(len(self.events("registered")), 8)

    def test_other_address(self):
        """A host that moved: the old address is gone, another is there at once."""
        before = self.agents()
        self.ip("addr", "add", "10.116.1.9/24", "dev", "wan")
        self.take_address()
        # The second of two in a network goes with the first, unless the kernel promotes it.
        self.ip("addr", "replace", "10.116.1.9/24", "dev", "wan")
        self.ip("route", "replace", "default", "via", GATEWAY)
        self.wait_events("all four to be lost", 4, "connection", reason=GONE)
        self.wait_events("all to be registered again", 8, "registered")
        self.agent.wait_state("Healthy")
        self.assertFalse(set(before) & set(self.agents()))

    def test_what_works_stays(self):
        """Other addresses, devices and routes come and go, even the path blinks: nothing is cut.
        What the routes lead to is looked at again."""
        before = self.agents()
        self.ip("addr", "add", "192.0.2.1/32", "dev", "lo")
        self.ip("link", "add", "other", "type", "veth", "peer", "name", "rehto")
        self.ip("link", "set", "wan", "down")
        lost = self.wait_events("the route to lead nowhere", 1, "route-path", network=BEHIND)
        self.assertEqual(lost[0]["reachable"], 0)
        row = self.agent.routes()[0]
        self.assertIs(row["reachable"], False)
        self.assertNotIn("interface", row)
        self.ip("link", "set", "wan", "up")
        self.ip("route", "add", "default", "via", GATEWAY)
        self.ip("addr", "del", "192.0.2.1/32", "dev", "lo")
        self.ip("link", "del", "other")
        found = self.wait_events("the route to lead somewhere", 1, "route-path", reachable=1)
        self.assertEqual((found[0]["interface"], found[0]["source"]), ("wan", AGENT_IP))
        self.assertEqual(self.agent.routes()[0]["interface"], "wan")
        self.assertEqual(self.events("connection"), [])
        self.assertEqual(self.agent.state(), "Healthy")
        self.assertEqual(self.agents(), before)

    def test_the_router_of_a_network_looks_into_it(self):
        """Its own address there is the first one, and that leads to itself."""
        self.ip("addr", "add", "10.116.77.1/24", "dev", "wan")
        wait_until(lambda: self.agent.routes()[0]["source"] == "10.116.77.1",
                   "the new way to be seen", show=lambda: str(self.agent.routes()))
        self.assertEqual(self.agent.routes()[0]["interface"], "wan")

    def test_flood(self):
        """A routing daemon that reads a full table: looked at, and survived."""
        batch = self.write("batch", "".join(
            f"route {verb} blackhole 10.117.{i >> 8}.{i & 255}/32\n"
            for verb in ("add", "del") for i in range(10000)))
        before = self.agents()
        self.ip("-batch", batch)
        self.ip("route", "add", "unreachable", BEHIND)
        self.wait_events("the route to lead nowhere", 1, "route-path", reachable=0)
        self.assertEqual(self.agents(), before)
        self.assertEqual(self.events("connection"), [])


if __name__ == "__main__":
    main()
