# SPDX-License-Identifier: Apache-2.0
"""Going away: our agent under SIGTERM with a scripted stock edge; our edge with a scripted
stock agent that unregisters."""

import signal

from peers import agent as stock
from peers import edge as scripted
from peers.client import Client, load_token
from support import origin
from support.adit import Agent, Edge, route, routes, write_credentials
from support.case import Case, main
from support.require import need
from support.tlsca import Authority
from support.waiting import wait_until


class AgentShutdownTest(Case):
    def setUp(self):
        need("openssl")
        super().setUp()
        authority = Authority(self.path("ca"))
        self.edge = scripted.Edge(authority, [scripted.success])
        self.edge.on_unregister = scripted.answer_unregister
        self.addCleanup(self.edge.close)
        self.server = origin.Origin(origin.echo)
        self.addCleanup(self.server.close)
        self.ca_file = authority.ca_file

    def start_agent(self, grace="120s", n=4):
        self.agent = Agent(
            self, self.edge.address, self.ca_file, write_credentials(self),
            routes(route("10.116.0.3/32", via=f"127.0.0.1:{self.server.port}")),
            settings=f"edge-server-name: h2.cftunnel.com\nha-connections: {n}\n"
                     f"grace-period: {grace}\n").start()
        return self.edge.wait_registered(n)

    def open_echo(self, conn):
        stream = conn.open_tcp("10.116.0.3:22")
        self.assertEqual(conn.wait_answer(stream)[":status"], "200")
        self.echo(conn, stream, b"before")
        return stream

    def echo(self, conn, stream, data):
        before = stream.n_received
        conn.send(stream, data)
        conn.wait(lambda: stream.n_received == before + len(data), "the echo")

    def test_idle_agent_unregisters_all_and_exits(self):
        connections = self.start_agent().values()
        self.edge.on_unregister = scripted.answer_unregister_and_close
        self.assertEqual(self.agent.terminate(), 0)
        self.assertTrue(all(c.unregistered for c in connections))
        self.assertEqual({c.aborted for c in connections} - {None, "rpc: shutdown"}, set())

    def test_edge_that_never_closes(self):
        """An idle agent doesn't need the edge's help to go."""
        connections = self.start_agent(grace="2s").values()
        self.assertEqual(self.agent.terminate(), 0)
        self.assertTrue(all(c.unregistered for c in connections))

    def test_stream_goes_on_and_new_ones_are_refused(self):
        conn = self.start_agent()[2]
        stream = self.open_echo(conn)
        self.agent.process.signal(signal.SIGTERM)
        conn.wait(lambda: conn.unregistered, "unregisterConnection")
        self.echo(conn, stream, b"during")
        refused = conn.open_tcp("10.116.0.3:22")
        answer = conn.wait_answer(refused)
        self.assertEqual((answer[":status"], answer["adit-error"]), ("503", "draining"))
        self.assertTrue(self.agent.process.running())
        conn.end(stream)
        self.assertEqual(self.agent.process.wait(), 0)

    def test_grace_period_ends_streams(self):
        conn = self.start_agent(grace="1s")[0]
        stream = self.open_echo(conn)
        self.assertEqual(self.agent.terminate(), 0)
        conn.wait(lambda: stream.closed or conn.closed, "the end of the stream")

    def test_second_signal_ends_at_once(self):
        conn = self.start_agent()[0]
        self.open_echo(conn)
        self.agent.process.signal(signal.SIGTERM)
        conn.wait(lambda: conn.unregistered, "unregisterConnection")
        self.assertTrue(self.agent.process.running())
        self.agent.process.signal(signal.SIGINT)
        self.agent.process.wait(30)

    def test_unanswered_unregister_does_not_hang(self):
        self.edge.on_unregister = scripted.silence
        self.start_agent(grace="2s")
        self.assertEqual(self.agent.terminate(), 0)

    def test_signal_before_any_registration(self):
        self.edge.outcomes = [scripted.silence]
        agent = Agent(self, self.edge.address, self.ca_file, write_credentials(self),
                      settings="edge-server-name: h2.cftunnel.com\n").start()
        wait_until(lambda: any(c.registration for c in self.edge.connections), "a registration")
        self.assertEqual(agent.terminate(), 0)


class EdgeShutdownTest(Case):
    """E4: the edge's duty when a stock agent unregisters."""

    def setUp(self):
        super().setUp()
        self.server = origin.Origin(origin.echo)
        self.addCleanup(self.server.close)

    def bring_up(self, settings=""):
        self.edge = Edge(self, settings=settings).start()
        credentials = self.edge.create_tunnel()
        self.edge.admin("route", "add", "10.116.0.0/16", "t1")
        self.token = load_token(self.edge.create_client())
        self.agent = stock.Agent(
            ("127.0.0.1", self.edge.port), self.edge.ca_file, stock.load_registration(credentials),
            resolve=lambda target: ("127.0.0.1", self.server.port))
        self.addCleanup(self.agent.close)
        self.agent.start()
        self.assertIsNotNone(self.agent.wait_registered())
        self.client = Client(("127.0.0.1", self.edge.port), self.edge.ca_file, self.token)
        self.addCleanup(self.client.close)
        self.client.start()

    def open_echo(self):
        stream = self.client.connect("10.116.0.3:22")
        self.assertEqual(self.client.answer(stream), ("200", None))
        self.echo(stream, b"before")
        return stream

    def echo(self, stream, data):
        before = stream.n_received
        self.client.send(stream, data)
        self.client.wait(lambda: stream.n_received == before + len(data), "the echo")

    def unregister(self):
        n = len(self.agent.returns)
        self.agent.unregister()
        self.agent.wait(lambda: len(self.agent.returns) > n or self.agent.closed, "the Return")
        self.assertEqual(len(self.agent.returns), n + 1)

    def test_tcp_is_closed_when_the_last_stream_ended(self):
        self.bring_up()
        stream = self.open_echo()
        self.unregister()
        self.agent.goodbye()
        self.echo(stream, b"after unregister")
        refused = self.client.connect("10.116.0.3:22")
        self.assertEqual(self.client.answer(refused), ("503", "connector-down"))
        self.assertFalse(self.agent.closed)
        self.client.reset(stream)
        self.agent.wait(lambda: self.agent.peer_closed, "the edge to close TCP")

    def test_idle_connection_is_closed_at_once(self):
        self.bring_up("drain-timeout: 10m\n")
        self.unregister()
        self.agent.wait(lambda: self.agent.peer_closed, "the edge to close TCP")

    def test_drain_timeout(self):
        self.bring_up("drain-timeout: 1s\n")
        stream = self.open_echo()
        self.unregister()
        self.agent.wait(lambda: self.agent.peer_closed, "the edge to close TCP")
        self.client.wait(lambda: stream.closed, "the client's stream to end")

    def test_no_half_close_towards_stock(self):
        """The client's end is held back until the agent has ended: no answer is lost."""
        answer = origin.pattern(300000)

        def answers_late(sock):
            sock.recv(5)
            sock.sendall(answer)
        self.server.behaviour = answers_late
        self.bring_up()
        stream = self.client.connect("10.116.0.3:22")
        self.assertEqual(self.client.answer(stream), ("200", None))
        self.client.send(stream, b"query", end=True)
        self.client.wait(lambda: stream.ended, "the end of the answer")
        self.assertEqual(bytes(stream.data), answer)

    def test_edge_shutdown(self):
        self.bring_up()
        self.edge.process.signal(signal.SIGTERM)
        self.agent.wait(lambda: self.agent.peer_closed or self.agent.goaway is not None,
                        "the edge to go")
        self.assertEqual(self.edge.process.wait(), 0)


if __name__ == "__main__":
    main()
