# SPDX-License-Identifier: Apache-2.0
"""Is the peer still there? PINGs that are not answered, from either side."""

import threading

from peers import agent as stock
from peers import edge as scripted
from support import origin
from support.adit import Agent, Edge, route, routes, write_credentials
from support.case import Case, main
from support.require import need
from support.stack import HOST, serve
from support.tlsca import Authority
from support.waiting import wait_until


class AgentTest(Case):
    """Our agent with a scripted edge that doesn't answer PING on one connection of two."""

    def setUp(self):
        need("openssl")
        super().setUp()
        authority = Authority(self.path("ca"))
        self.edge = scripted.Edge(authority, [scripted.success])
        self.addCleanup(self.edge.close)
        server = serve(self, origin.echo)
        self.agent = Agent(self, self.edge.address, authority.ca_file, write_credentials(self),
                           routes(route(f"{HOST}/32", via=f"127.0.0.1:{server.port}")),
                           settings="edge-server-name: h2.cftunnel.com\n"
                                    "ha-connections: 2\n").start()
        self.deaf = self.edge.wait_registered(2)[1]
        self.deaf.h2.answer_pings = False

    def suspect(self, index):
        return self.agent.connections()[index].get("suspect")

    def test_frozen_edge_is_replaced(self):
        """A live TCP, acknowledging all: no PING answered and nothing read."""
        self.deaf.freeze()
        wait_until(lambda: self.edge.registered().get(1) is not self.deaf and
                   self.edge.registered().get(1), "another connection in its place")
        self.assertEqual(self.agent.state(), "Healthy")
        self.assertEqual(len(self.edge.connections), 3)

    def test_link_that_is_read_from_is_never_dead(self):
        """Suspect, but bytes come: it stays, and so do its streams."""
        stream = self.deaf.open_tcp(f"{HOST}:22")
        self.deaf.wait_answer(stream)
        over = threading.Event()

        def drip():
            while not over.wait(0.5):
                self.deaf.send(stream, b"x")
        self.thread(drip)
        self.addCleanup(over.set)
        wait_until(lambda: self.suspect(1), "suspicion")
        before = stream.n_received
        self.deaf.wait(lambda: stream.n_received > before, "the echo")
        self.deaf.h2.answer_pings = True
        self.deaf.send_raw(self.deaf.h2.take_answers())
        wait_until(lambda: not self.suspect(1), "suspicion to end")
        over.set()
        self.assertEqual(len(self.edge.connections), 2)
        self.assertFalse(self.suspect(0))


class EdgeTest(Case):
    """Our edge with scripted stock agents: it PINGs them, and drops those that are gone."""

    def test_frozen_stock_agent_is_dropped(self):
        edge = Edge(self).start()
        credentials = edge.create_tunnel()
        agents = []
        for index in range(2):
            agents.append(stock.Agent(("127.0.0.1", edge.port), edge.ca_file,
                                      stock.load_registration(credentials, index)).start())
            self.addCleanup(agents[-1].close)
            self.assertIsNotNone(agents[-1].wait_registered())
        self.assertEqual(len(edge.agents()), 2)
        agents[1].freeze()
        wait_until(lambda: [c["index"] for c in edge.agents()] == [0], "the frozen one to go")
        self.assertFalse(agents[0].closed)
        self.assertGreater(agents[0].n_pings, 0)


if __name__ == "__main__":
    main()
