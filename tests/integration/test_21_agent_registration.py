# SPDX-License-Identifier: Apache-2.0
"""Our agent with a scripted stock edge, in captured bytes: registration with every outcome."""

import re

from peers import edge as scripted
from support.adit import Agent, route, routes, write_credentials
from support.case import Case, main
from support.require import need
from support.tlsca import Authority
from support.waiting import wait_until

EDGE_MOVE_S = 30    # of edge_discovery.h

ROUTES = routes(route("10.116.0.3/32", via="127.0.0.1:9"))


class AgentRegistrationTest(Case):
    def setUp(self):
        need("openssl")
        super().setUp()
        self.authority = Authority(self.path("ca"))

    def edge(self, *outcomes, **options):
        edge = scripted.Edge(self.authority, outcomes or (scripted.success,), **options)
        self.addCleanup(edge.close)
        return edge

    def agent(self, edge, settings="", **options):
        options.setdefault("ca_file", self.authority.ca_file)
        return Agent(self, edge.address, credentials=write_credentials(self), routes=ROUTES,
                     settings="edge-server-name: h2.cftunnel.com\n" + settings, **options).start()

    def test_four_connections(self):
        edge = self.edge()
        agent = self.agent(edge)
        agent.wait_state("Healthy")
        connections = edge.wait_registered(4)
        self.assertEqual(sorted(connections), [0, 1, 2, 3])
        sent = [c.registration for c in connections.values()]
        self.assertEqual({r.account for r in sent}, {"f" * 32})
        self.assertEqual({r.secret for r in sent}, {bytes(range(32))})
        self.assertEqual(len({r.client_id for r in sent}), 1)
        self.assertIn("adit/1;connections=4", sent[0].features)
        self.assertIn("allow_remote_config", sent[0].features)
        self.assertEqual(sent[0].local_ip, bytes(10) + b"\xff\xff\x7f\0\0\1")
        self.assertEqual(set(edge.server_names), {"h2.cftunnel.com"})
        self.assertEqual(agent.status()[0], 0)

    def test_stock_edge_gets_no_additions(self):
        edge = self.edge()
        agent = self.agent(edge)
        agent.wait_state("Healthy")
        connections = edge.wait_registered(4)
        wait_until(lambda: connections[0].local_config, "connection 0's local configuration")
        self.assertIsNone(connections[1].local_config)
        for conn in connections.values():
            self.assertNotIn(8, conn.peer_settings, "ENABLE_CONNECT_PROTOCOL towards stock")
            self.assertEqual({c.interface for c in conn.calls}, {scripted.rpc.REGISTRATION})
        self.assertEqual([r["state"] for r in agent.routes()], ["operator"])

    def test_remotely_managed_edge_gets_no_local_config(self):
        edge = self.edge(scripted.remotely_managed)
        self.agent(edge).wait_state("Healthy")
        self.assertEqual([c.local_config for c in edge.wait_registered(4).values()], [None] * 4)

    def test_replies_byte_by_byte(self):
        edge = self.edge()
        edge.rpc_piece = 1
        self.agent(edge).wait_state("Healthy")

    def test_every_failure_is_retried(self):
        """Each outcome twice at most, then success: four connections come up all the same."""
        for name, outcome in (
                ("duplicate", scripted.duplicate), ("permanent", scripted.permanent),
                ("retry now", scripted.refuse("please retry", True, 1)),
                ("exception", scripted.exception), ("abort", scripted.abort),
                ("garbage", scripted.garbage), ("hang up", scripted.hang_up),
                ("answer, then hang up", scripted.then_hang_up(scripted.permanent))):
            with self.subTest(name):
                edge = self.edge(outcome, outcome, scripted.success)
                agent = self.agent(edge, name=f"agent-{name.replace(' ', '-')}")
                agent.wait_state("Healthy", 120)
                failed = [c for c in edge.connections if c.outcome is not scripted.success]
                # The agent closes TCP itself; a stock edge might never do it.
                wait_until(lambda: all(c.closed for c in failed), "the failed ones to be closed")
                edge.close()
                self.assertEqual(agent.terminate(), 0)

    def test_retry_after_is_honoured(self):
        edge = self.edge(scripted.retry_later, scripted.success)
        agent = self.agent(edge, settings="ha-connections: 1\n")
        agent.wait_state("Healthy")
        asked = scripted.rpc.golden("reg-retry", 0, "edge2agent")[1]
        asked = scripted.rpc.Message(asked).results.struct(0).struct(0).get("q", 0) // 1_000_000
        waited, = re.findall(r" retry_ms=(\d+)", agent.process.log())
        self.assertGreaterEqual(int(waited), asked)
        self.assertGreater(asked, 0)

    def test_spread_over_addresses(self):
        """Two edges: two connections each; one dies: four to the other."""
        edges = self.edge(), self.edge()
        agent = Agent(self, [e.address for e in edges], self.authority.ca_file,
                      write_credentials(self), ROUTES,
                      settings="edge-server-name: h2.cftunnel.com\n").start()
        agent.wait_state("Healthy")
        self.assertEqual([len(e.registered()) for e in edges], [2, 2])
        edges[0].close()
        edges[1].wait_registered(4)
        agent.wait_state("Healthy")
        # It comes back, and so do they: one now, which is enough here.
        back = self.edge(port=edges[0].port)
        wait_until(lambda: len(back.registered()) == 1, "a connection to move", 5 * EDGE_MOVE_S)
        self.assertEqual(agent.state(), "Healthy")
        edges[1].wait_registered(3)

    def test_no_answer_is_a_failure(self):
        edge = self.edge(scripted.silence, scripted.success)
        agent = self.agent(edge, settings="ha-connections: 1\n")
        agent.wait_state("Healthy")
        self.assertGreaterEqual(len(edge.connections), 2)

    def test_no_control_stream_is_a_failure(self):
        edge = self.edge()
        edge.open_control = False
        agent = self.agent(edge, settings="ha-connections: 1\n")
        wait_until(lambda: edge.connections, "the first connection")
        first = edge.connections[0]
        edge.open_control = True
        agent.wait_state("Healthy", 90)
        wait_until(lambda: first.closed, "the silent connection to be closed")

    def test_unauthorized(self):
        edge = self.edge(scripted.unauthorized)
        agent = self.agent(edge)
        wait_until(lambda: agent.state() == "Inactive" and
                   any("Unauthorized" in c.get("last_error", "") for c in agent.connections()),
                   "the refusal in the status", show=lambda: str(agent.status()))
        self.assertEqual(agent.status()[0], 3)
        self.assertTrue(agent.process.running())
        agent = self.agent(edge, "exit-on-auth-failure: true\n", name="quits")
        self.assertEqual(agent.process.wait(), 77)

    def test_wrong_certificate(self):
        edge = self.edge()
        other = Authority(self.path("other-ca"))
        agent = self.agent(edge, ca_file=other.ca_file)
        wait_until(lambda: any("certificate" in c.get("last_error", "")
                               for c in agent.connections()), "the reason in the status",
                   show=lambda: str(agent.status()))
        self.assertEqual(edge.registered(), {})

    def test_lost_connection_is_replaced(self):
        edge = self.edge()
        agent = self.agent(edge)
        agent.wait_state("Healthy")
        first = edge.wait_registered(4)
        first[2].close()
        wait_until(lambda: edge.registered().get(2) not in (None, first[2]), "index 2 again")
        first[1].reset(first[1].control)
        wait_until(lambda: edge.registered().get(1) not in (None, first[1]), "index 1 again")
        wait_until(lambda: first[1].closed, "the agent to close TCP when the control stream ends")
        agent.wait_state("Healthy")

    def test_goaway_registers_the_replacement_first(self):
        edge = self.edge()
        agent = self.agent(edge)
        agent.wait_state("Healthy")
        first = edge.wait_registered(4)
        first[3].send_goaway()
        wait_until(lambda: edge.registered().get(3) not in (None, first[3]), "index 3 again")
        count = len(edge.connections)
        first[3].send_goaway()      # on one that is replaced already: starts nothing
        wait_until(lambda: first[3].closed, "the old one to be closed")
        agent.wait_state("Healthy")
        self.assertEqual(len(edge.connections), count)


if __name__ == "__main__":
    main()
