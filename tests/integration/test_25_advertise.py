# SPDX-License-Identifier: Apache-2.0
"""Advertisement: what our agent tells a scripted adit edge, and what our edge makes of it."""

from peers import edge as scripted
from peers import rpc
from support import origin
from support.adit import Agent, Edge, route, routes, write_credentials
from support.case import Case, main
from support.require import need
from support.stack import HOST, Stack, serve
from support.tlsca import Authority
from support.waiting import wait_until

VNETS = "virtual-networks:\n  - name: lab\n    comment: the lab\n"


class AgentTest(Case):
    def setUp(self):
        need("openssl")
        super().setUp()
        self.authority = Authority(self.path("ca"))
        self.edge = scripted.Edge(self.authority, [scripted.success], announce_adit=True)
        self.addCleanup(self.edge.close)

    def start_agent(self, routes_text):
        self.agent = Agent(self, self.edge.address, self.authority.ca_file,
                           write_credentials(self), VNETS + routes_text,
                           settings="edge-server-name: h2.cftunnel.com\n").start()
        self.edge.wait_registered(4)

    def sets(self):
        return list(self.edge.advertised)

    def states(self):
        return {r["network"]: (r["state"], r.get("reason", "")) for r in self.agent.routes()}

    def test_whole_set_with_verdicts(self):
        def refuse_one(conn, call):
            conn.reply(rpc.verdicts(call.id, ["", "", "inside a route of tunnel other"]))
        self.edge.on_advertise = refuse_one
        self.start_agent(routes(route("10.116.0.0/24"),
                                route("10.117.0.0/24", virtual_network="lab")))
        wait_until(lambda: "pending" not in str(self.states()), "the verdicts")
        self.assertEqual(self.states(), {
            "10.116.0.0/24": ("accepted", ""),
            "10.117.0.0/24": ("refused", "inside a route of tunnel other")})
        (_, ad), = self.sets()
        self.assertEqual(ad.networks, [("lab", "the lab")])
        self.assertEqual({(r[0], r[1]) for r in ad.routes},
                         {("10.116.0.0/24", ""), ("10.117.0.0/24", "lab")})
        self.assertEqual((len(ad.instance), len(ad.hash), ad.last), (16, 32, True))
        self.assertFalse(ad.hash_only)

    def test_large_set_goes_in_calls_of_256(self):
        networks = [f"10.{100 + i // 256}.{i % 256}.0/24" for i in range(700)]
        self.start_agent(routes(*(route(n) for n in networks)))
        wait_until(lambda: any(ad.last for _, ad in self.sets()), "the last call")
        calls = [ad for _, ad in self.sets()]
        self.assertTrue(all(len(c.networks) + len(c.routes) <= 256 for c in calls))
        self.assertEqual([c.last for c in calls], [False] * (len(calls) - 1) + [True])
        self.assertEqual(len({c.generation for c in calls}), 1)
        self.assertEqual({r[0] for c in calls for r in c.routes}, set(networks))
        self.agent.wait_accepted()

    def test_hash_alone_after_a_lost_connection(self):
        self.start_agent(routes(route("10.116.0.0/24")))
        self.agent.wait_accepted()
        (index, first), = self.sets()
        self.edge.registered()[index].close()
        wait_until(lambda: len(self.sets()) == 2, "the set again")
        again = self.sets()[1][1]
        self.assertTrue(again.hash_only)
        self.assertEqual((again.hash, again.instance, again.routes),
                         (first.hash, first.instance, []))

        def forgot(conn, call):
            self.edge.on_advertise = scripted.accept_all
            conn.reply(rpc.verdicts(call.id, [], send_all=True))
        self.edge.on_advertise = forgot
        self.edge.registered()[self.sets()[1][0]].close()
        wait_until(lambda: len(self.sets()) == 4, "the whole set")
        self.assertEqual([ad.hash_only for _, ad in self.sets()], [False, True, True, False])
        self.agent.wait_accepted()

    def test_reload_sends_the_new_set(self):
        self.start_agent(routes(route("10.116.0.0/24")))
        self.agent.wait_accepted()
        self.agent.configure(routes(route("10.118.0.0/24")),
                             "edge-server-name: h2.cftunnel.com\n")
        self.assertEqual(self.agent.reload().returncode, 0)
        wait_until(lambda: len(self.sets()) == 2, "the new set")
        old, new = (ad for _, ad in self.sets())
        self.assertEqual([r[0] for r in new.routes], ["10.118.0.0/24"])
        self.assertEqual(new.networks, [])
        self.assertGreater(new.generation, old.generation)
        self.assertNotEqual(new.hash, old.hash)
        self.agent.wait_accepted()


class EdgeTest(Case):
    """Our edge with our agents: grants, owners, restarts."""

    def refused(self, agent):
        return {r["network"]: r.get("reason", "") for r in agent.routes()
                if r["state"] == "refused"}

    def agent(self, edge, credentials, name, *entries):
        agent = Agent(self, edge.address, edge.ca_file, credentials, routes(*entries), name=name)
        agent.start().wait_state("Healthy")
        wait_until(lambda: all(r["state"] in ("accepted", "refused") for r in agent.routes()),
                   "the verdicts", show=lambda: str(agent.routes()))
        return agent

    def test_grants_and_owners(self):
        edge = Edge(self).start()
        first = self.agent(edge, edge.create_tunnel("t1"), "a1",
                           route("10.116.0.0/24"), route("10.99.0.0/24"))
        self.assertEqual(set(self.refused(first)), {"10.99.0.0/24"})
        self.assertIn("grant", self.refused(first)["10.99.0.0/24"])
        second = self.agent(edge, edge.create_tunnel("t2"), "a2",
                            route("10.116.0.3/32"), route("10.116.7.0/24"))
        self.assertEqual(set(self.refused(second)), {"10.116.0.3/32"})
        self.assertIn("t1", self.refused(second)["10.116.0.3/32"], "the owner's name")

    def test_restart_is_exact(self):
        """A restarted agent's first set replaces the old process's; routes held meanwhile."""
        server = serve(self, origin.echo)
        stack = Stack(self, server.port)
        self.assertEqual(stack.agent.terminate(), 0)
        via = f"127.0.0.1:{server.port}"
        stack.agent.configure(routes(route("10.116.0.8/32", via=via)))
        done = stack.connect(b"x")
        self.assertIn(b"connector", done.stderr, "held, not gone")
        stack.agent.start().wait_state("Healthy")
        stack.agent.wait_accepted()
        done = stack.connect(b"x", "10.116.0.8")
        self.assertEqual(done.stdout, b"x", done.stderr)
        done = stack.connect(b"x", HOST)
        self.assertIn(b"route", done.stderr)

    def test_routes_show_how_this_host_gets_there(self):
        server = serve(self, origin.echo)
        stack = Stack(self, server.port)
        shown, = stack.agent.routes()
        self.assertEqual((shown["network"], shown["via"], shown["interface"], shown["source"]),
                         (f"{HOST}/32", f"127.0.0.1:{server.port}", "lo", "127.0.0.1"))


if __name__ == "__main__":
    main()
