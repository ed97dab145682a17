# SPDX-License-Identifier: Apache-2.0
"""Replicas and replacements: which connection a stream goes to, and what outlives what."""

import socket
import subprocess
import threading

from peers import agent as stock
from peers import edge as scripted
from support import origin
from support.adit import Agent, route, routes, write_credentials
from support.case import Case, main
from support.require import need
from support.sshd import Sshd
from support.stack import HOST, Stack, echo_line, serve
from support.tlsca import Authority
from support.waiting import wait_until


class StockConnectorsTest(Case):
    """Our edge with scripted stock agents and a route of the operator's."""

    def setUp(self):
        super().setUp()
        self.server = serve(self, origin.echo)
        self.stack = Stack(self, self.server.port, start=False)
        self.edge = self.stack.edge
        self.edge.admin("route", "add", "10.116.0.0/16", "t1")

    def agent(self, index=0, client_id=None):
        agent = stock.Agent(
            ("127.0.0.1", self.edge.port), self.edge.ca_file,
            stock.load_registration(self.stack.tunnel, index, client_id),
            resolve=lambda target: ("127.0.0.1", self.server.port))
        self.addCleanup(agent.close)
        self.assertIsNotNone(agent.start().wait_registered(), agent.refused)
        return agent

    def open_echo(self, client):
        stream = client.connect(f"{HOST}:22")
        self.assertEqual(client.answer(stream), ("200", None))
        self.echo(client, stream)
        return stream

    def echo(self, client, stream):
        before = stream.n_received
        client.send(stream, b"hello")
        client.wait(lambda: stream.n_received == before + 5, "the echo")

    def test_fewest_streams_first(self):
        agents = [self.agent(0), self.agent(1), self.agent(0)]
        client = self.stack.scripted_client()
        for _ in range(9):
            self.open_echo(client)
        self.assertEqual([len(a.flows) for a in agents], [3, 3, 3])
        # Two of one agent's end at their origin: the next two go there.
        for flow in agents[1].flows[:2]:
            flow.sock.shutdown(socket.SHUT_RDWR)
        wait_until(lambda: sorted(c["streams"] for c in self.edge.agents()) == [1, 3, 3],
                   "the edge to see two ends", deadline_s=10, show=lambda: str([c["streams"] for c in self.edge.agents()]))
        for _ in range(2):
            self.open_echo(client)
        self.assertEqual([sum(not f.over for f in a.flows) for a in agents], [3, 3, 3])

    def test_replaced_connection_keeps_its_streams(self):
        client_id = stock.new_client_id()
        old = self.agent(2, client_id)
        client = self.stack.scripted_client()
        stream = self.open_echo(client)
        new = self.agent(2, client_id)
        old.wait(lambda: old.goaway is not None, "GOAWAY")
        later = self.open_echo(client)
        self.assertEqual((len(old.flows), len(new.flows)), (1, 1))
        self.echo(client, stream)
        self.assertFalse(old.closed)
        client.reset(stream)
        old.wait(lambda: old.peer_closed, "the edge to close the idle old one")
        self.echo(client, later)

    def test_black_holed_agent_comes_back_from_another_port(self):
        """The old connection looks alive to the edge: nothing closed it."""
        client_id = stock.new_client_id()
        silent = [self.agent(i, client_id) for i in range(4)]
        for agent in silent:
            agent.freeze()
        back = [self.agent(i, client_id) for i in range(4)]
        self.assertFalse(any(a.refused for a in back))
        client = self.stack.scripted_client()
        for _ in range(4):
            self.open_echo(client)
        self.assertEqual([len(a.flows) for a in back], [1, 1, 1, 1])

    def test_stalled_stream_is_bounded_towards_stock(self):
        """One origin that doesn't read must not eat the window that all streams share."""
        agent = self.agent()
        client = self.stack.scripted_client()
        gate = threading.Event()
        self.addCleanup(gate.set)
        quiet = serve(self, origin.stall(gate), receive_buffer=4096)
        agent.resolve = lambda target: ("127.0.0.1", quiet.port)
        stalled = client.connect(f"{HOST}:22")
        self.assertEqual(client.answer(stalled), ("200", None))
        self.thread(client.send, stalled, bytes(8 << 20))
        flow = agent.flows[0]
        wait_until(lambda: flow.stream.held > 65536, "the stalled stream to fill up")
        agent.resolve = lambda target: ("127.0.0.1", self.server.port)
        other = client.connect(f"{HOST}:23")
        self.assertEqual(client.answer(other), ("200", None))
        data = origin.pattern(2 << 20)
        sender = self.thread(client.send, other, data)
        client.wait(lambda: other.n_received == len(data), "the echo past the stalled stream")
        sender.join(10)
        self.assertLess(flow.stream.held, 1 << 20)


class AgentsTest(Case):
    """Our edge with our agents."""

    def test_two_agents_of_one_tunnel(self):
        server = serve(self, origin.echo)
        stack = Stack(self, server.port)
        second = Agent(self, stack.edge.address, stack.edge.ca_file, stack.tunnel,
                       routes(*stack.routes), name="second").start()
        second.wait_state("Healthy")
        second.wait_accepted()
        streams = [stack.popen() for _ in range(8)]
        for process in streams:
            echo_line(process, "hello")
        self.assertEqual(stack.agent.process.kill(), -9)
        wait_until(lambda: sum(p.running() for p in streams) == 4, "half of the streams to break")
        for process in streams:
            if process.running():
                echo_line(process, "still")
        for _ in range(4):
            echo_line(stack.popen(), "new")

    def test_streams_are_spread_over_connections(self):
        server = serve(self, origin.echo)
        stack = Stack(self, server.port)
        idle = {c["index"]: c["streams"] for c in stack.agent.connections()}
        for process in [stack.popen() for _ in range(8)]:
            echo_line(process, "hello")
        busy = {c["index"]: c["streams"] for c in stack.agent.connections()}
        self.assertEqual({i: busy[i] - idle[i] for i in busy}, {0: 2, 1: 2, 2: 2, 3: 2})


class GoawayTest(Case):
    """A scripted edge sends GOAWAY under an open ssh."""

    def bridge(self, listener, conn):
        """The next connection to @listener becomes a TCP stream on @conn."""
        sock, _ = listener.accept()
        stream = conn.open_tcp(f"{HOST}:22")
        conn.wait_answer(stream)
        stream.on_data = sock.sendall
        stream.on_end = lambda: sock.shutdown(socket.SHUT_WR)
        while data := sock.recv(65536):
            conn.send(stream, data)

    def test_ssh_lives(self):
        need("openssl", "sshd")
        sshd, authority = Sshd(self), Authority(self.path("ca"))
        edge = scripted.Edge(authority, [scripted.success])
        self.addCleanup(edge.close)
        agent = Agent(self, edge.address, authority.ca_file, write_credentials(self),
                      routes(route(f"{HOST}/32", via=f"127.0.0.1:{sshd.port}")),
                      settings="edge-server-name: h2.cftunnel.com\n").start()
        first = edge.wait_registered(4)[1]
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)
        self.thread(self.bridge, listener, first)
        ssh = subprocess.Popen(
            ["ssh", *sshd.ssh_options(), "-p", str(listener.getsockname()[1]),
             f"{sshd.user}@127.0.0.1", "echo in; cat"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.addCleanup(ssh.wait)
        self.addCleanup(ssh.kill)
        self.assertEqual(ssh.stdout.readline(), b"in\n")
        first.send_goaway()
        wait_until(lambda: edge.registered().get(1) not in (None, first), "the replacement")
        agent.wait_state("Healthy")
        out, _ = ssh.communicate(origin.pattern(1_000_000), timeout=120)
        self.assertEqual((origin.sha256(out), ssh.returncode),
                         (origin.sha256(origin.pattern(1_000_000)), 0))
        wait_until(lambda: first.closed, "the old connection to be closed after its last stream")


if __name__ == "__main__":
    main()
