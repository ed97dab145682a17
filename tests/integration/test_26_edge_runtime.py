# SPDX-License-Identifier: Apache-2.0
"""The running edge when its peers die, stall or leave: nobody's stream pays for another's."""

import base64
import json
import signal
import socket

from peers import agent as stock
from peers import rpc
from peers.client import Client, load_token
from support import origin
from support.adit import Edge
from support.case import Case, main
from support.stack import HOST, serve
from support.waiting import wait_until

MIB = 1 << 20


class Silent(stock.Agent):
    """Takes streams and says nothing: what it would answer is the test's to say."""

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.taken = []

    def _tcp(self, stream):
        self.taken.append(stream)


class Draining(Silent):
    """An adit agent on its way out."""

    def _tcp(self, stream):
        super()._tcp(stream)
        self.respond(stream, [(":status", "503"), ("adit-error", "draining")], end=True)


class EdgeCase(Case):
    def setUp(self):
        super().setUp()
        self.server = serve(self, origin.echo)

    def serve_edge(self, settings=""):
        self.edge = Edge(self, settings=settings).start()
        self.tunnel = self.edge.create_tunnel()
        self.edge.admin("route", "add", "10.116.0.0/16", "t1")
        self.credentials = self.edge.create_client()
        self.token = load_token(self.credentials)

    def agent(self, index=0, client_id=None, kind=stock.Agent):
        agent = kind(("127.0.0.1", self.edge.port), self.edge.ca_file,
                     stock.load_registration(self.tunnel, index, client_id),
                     resolve=lambda target: ("127.0.0.1", self.server.port))
        self.addCleanup(agent.close)
        self.assertIsNotNone(agent.start().wait_registered(), agent.refused)
        return agent

    def attempt(self, change=None, index=0, client_id=None, **options):
        registration = stock.load_registration(self.tunnel, index, client_id)
        if change:
            change(registration)
        agent = stock.Agent(("127.0.0.1", self.edge.port), self.edge.ca_file, registration,
                            **options)
        self.addCleanup(agent.close)
        return agent.start()

    def client(self, **options):
        client = Client(("127.0.0.1", self.edge.port), self.edge.ca_file, self.token, **options)
        self.addCleanup(client.close)
        client.start().wait(lambda: client.peer_settings, "the edge's SETTINGS")
        return client

    def open_echo(self, client):
        stream = client.connect(f"{HOST}:22")
        self.assertEqual(client.answer(stream), ("200", None))
        self.echo(client, stream)
        return stream

    def echo(self, client, stream, data=b"hello"):
        before = stream.n_received
        client.send(stream, data)
        client.wait(lambda: stream.n_received == before + len(data), "the echo")

    def status(self):
        return self.edge.json("status")

    def vanish(self, peer):
        """TCP ends without a word."""
        peer.sock.shutdown(socket.SHUT_RDWR)


class EndTest(EdgeCase):
    def test_idle_edge_ends(self):
        self.serve_edge()
        self.assertEqual(self.edge.process.terminate(), 0)
        self.assertIn("edge stopped", self.edge.process.log())

    def test_streams_have_the_drain_timeout(self):
        self.serve_edge("drain-timeout: 1s\n")
        agent, client = self.agent(), self.client()
        stream = self.open_echo(client)
        self.edge.process.signal(signal.SIGTERM)
        client.wait(lambda: client.goaway is not None, "GOAWAY to the client")
        agent.wait(lambda: agent.goaway is not None, "GOAWAY to the agent")
        self.echo(client, stream)
        refused = client.connect(f"{HOST}:22")
        self.assertEqual(client.answer(refused)[0], "503")
        client.wait(lambda: stream.closed, "the stream to be cut")
        self.assertEqual(self.edge.process.wait(), 0)

    def test_ends_with_its_last_stream(self):
        self.serve_edge("drain-timeout: 10m\n")
        self.agent()
        client = self.client()
        stream = self.open_echo(client)
        self.edge.process.signal(signal.SIGTERM)
        client.wait(lambda: client.goaway is not None, "GOAWAY to the client")
        self.echo(client, stream)
        client.reset(stream)
        self.assertEqual(self.edge.process.wait(), 0)

    def test_second_signal_ends_at_once(self):
        self.serve_edge("drain-timeout: 10m\n")
        self.agent()
        client = self.client()
        self.open_echo(client)
        self.edge.process.signal(signal.SIGTERM)
        client.wait(lambda: client.goaway is not None, "GOAWAY to the client")
        self.edge.process.signal(signal.SIGTERM)
        self.assertEqual(self.edge.process.wait(), 0)


class AgentsTest(EdgeCase):
    def setUp(self):
        super().setUp()
        self.serve_edge()

    def test_agent_vanishes_under_streams(self):
        agent, client = self.agent(), self.client()
        streams = [self.open_echo(client) for _ in range(8)]
        self.vanish(agent)
        client.wait(lambda: all(s.closed for s in streams), "the streams to be cut")
        self.agent()
        self.open_echo(client)
        wait_until(lambda: self.status()["agent_connections"] == 1, "the old one to be forgotten")

    def test_client_vanishes_under_streams(self):
        agent, client = self.agent(), self.client()
        for _ in range(8):
            self.open_echo(client)
        waiting = client.connect(f"{HOST}:22")
        client.answer(waiting)
        self.vanish(client)
        agent.wait(lambda: all(f.over for f in agent.flows), "the agent's streams to end")
        self.open_echo(self.client())

    def test_connection_lost_while_dialling(self):
        """The client hears of the second connection, not of the first."""
        client_id = stock.new_client_id()
        dead = [self.agent(i, client_id, Silent) for i in range(4)]
        client = self.client()
        stream = client.connect(f"{HOST}:22")
        taker = wait_until(lambda: next((a for a in dead if a.taken), None), "the dial")
        alive = self.agent()
        client.send(stream, b"early")
        for agent in [taker] + [a for a in dead if a is not taker]:
            self.vanish(agent)
        self.assertEqual(client.answer(stream), ("200", None))
        client.wait(lambda: bytes(stream.data) == b"early", "the early bytes back")
        self.assertEqual(len(alive.flows), 1)

    def test_lost_and_nobody_else(self):
        silent, client = self.agent(kind=Silent), self.client()
        stream = client.connect(f"{HOST}:22")
        wait_until(lambda: silent.taken, "the dial")
        self.vanish(silent)
        self.assertEqual(client.answer(stream), ("503", "connector-down"))

    def test_draining_agent_is_left_for_another(self):
        """All of its connections, although they have the fewest streams."""
        busy = self.agent()
        client = self.client()
        for _ in range(2):
            self.open_echo(client)
        client_id = stock.new_client_id()
        leaving = [self.agent(i, client_id, Draining) for i in range(4)]
        self.open_echo(client)
        self.assertEqual(len(busy.flows), 3)
        self.assertEqual(sum(len(a.taken) for a in leaving), 1)

    def test_all_agents_drain(self):
        client_id = stock.new_client_id()
        for i in range(2):
            self.agent(i, client_id, Draining)
        client = self.client()
        stream = client.connect(f"{HOST}:22")
        self.assertEqual(client.answer(stream), ("503", "draining"))

    def test_refused_stream_is_tried_elsewhere(self):
        silent, client = self.agent(kind=Silent), self.client()
        stream = client.connect(f"{HOST}:22")
        wait_until(lambda: silent.taken, "the dial")
        other = self.agent()
        silent.reset(silent.taken[0], 7)
        self.assertEqual(client.answer(stream), ("200", None))
        self.echo(client, stream)
        self.assertEqual(len(other.flows), 1)

    def test_agent_cannot_speak_for_the_edge(self):
        """What only the edge may say isn't passed on: a 407 would make a client drop its token."""
        agent, client = self.agent(kind=Silent), self.client()
        for said, heard in (("unauthenticated", ("502", "internal")),
                            ("not-granted", ("502", "internal")),
                            ("refused", ("502", "refused")), ("timeout", ("504", "timeout")),
                            ("forbidden", ("403", "forbidden"))):
            with self.subTest(said):
                agent.taken.clear()
                stream = client.connect(f"{HOST}:22")
                wait_until(lambda: agent.taken, "the dial")
                agent.respond(agent.taken[0], [(":status", "502"), ("adit-error", said)],
                              end=True)
                self.assertEqual(client.answer(stream), heard)

    def test_agent_goes_away(self):
        """GOAWAY: no new streams, the open ones go on, closed when the last has ended."""
        leaving, client = self.agent(), self.client()
        stream = self.open_echo(client)
        leaving.send_goaway()
        wait_until(lambda: any(c["state"] == "draining" for c in self.edge.connections()),
                   "the edge to see it")
        other = self.agent()
        self.open_echo(client)
        self.assertEqual((len(leaving.flows), len(other.flows)), (1, 1))
        self.echo(client, stream)
        client.reset(stream)
        leaving.wait(lambda: leaving.peer_closed, "the edge to close TCP")

    def test_handshake_checks_are_nothing(self):
        """Stock agents shake hands and leave; that must not look like trouble."""
        before = self.edge.process.log()
        for _ in range(3):
            agent = stock.Agent(("127.0.0.1", self.edge.port), self.edge.ca_file,
                                stock.load_registration(self.tunnel))
            agent.sock.do_handshake()
            agent.sock.close()
        self.agent()
        new = self.edge.process.log()[len(before):]
        self.assertNotIn(" WRN ", new)
        self.assertNotIn(" ERR ", new)


class RegistrationTest(EdgeCase):
    def setUp(self):
        super().setUp()
        self.serve_edge()

    def test_odd_version_hides_nobody(self):
        """Cut in the middle of a character it would be no text, and no JSON."""
        def change(registration):
            registration.version = "v" + "\u00e9" * 60
        self.attempt(change, captured=False).wait_registered()
        listed = self.edge.connections()
        self.assertEqual(len(listed), 1)
        self.assertTrue(listed[0]["version"].startswith("v\u00e9"))
        info = self.edge.json("tunnel", "info", "t1")
        self.assertEqual((info["connectors"], info["connections"]), (1, 1), info)

    def test_hold(self):
        """A held place is refused with the time that is left; others are free."""
        client_id = stock.new_client_id()
        held = self.agent(1, client_id)
        listed = wait_until(self.edge.connections, "the connection")
        self.edge.admin("connection", "close", listed[0]["id"], "--hold", "1h")
        held.wait(lambda: held.peer_closed, "the edge to close TCP")
        again = self.attempt(index=1, client_id=client_id)
        self.assertIsNone(again.wait_registered())
        cause, should_retry, retry_after_ns = again.refused
        self.assertIn("held", cause)
        self.assertTrue(should_retry)
        self.assertGreater(retry_after_ns, 3000 * 10**9)
        again.wait(lambda: again.peer_closed, "the edge to close TCP")
        self.agent(2, client_id)
        self.agent(1, stock.new_client_id())

    def test_hold_ends(self):
        client_id = stock.new_client_id()
        self.agent(1, client_id)
        listed = wait_until(self.edge.connections, "the connection")
        self.edge.admin("connection", "close", listed[0]["id"], "--hold", "1ms")
        wait_until(lambda: self.attempt(index=1, client_id=client_id).wait_registered(),
                   "the place to be free")

    def test_too_many_connectors(self):
        """The 33rd process is told to come back; one that leaves makes room."""
        agents = [self.agent() for _ in range(32)]
        late = self.attempt()
        self.assertIsNone(late.wait_registered())
        self.assertIn("too many connectors", late.refused[0])
        self.assertTrue(late.refused[1])
        agents[0].unregister()
        agents[0].wait(lambda: agents[0].peer_closed, "the edge to close TCP")
        wait_until(lambda: self.attempt().wait_registered(), "a place for another")

    def test_agent_that_does_not_read(self):
        """Its answers don't pile up: the connection is closed, others live."""
        good = self.agent()
        rude = self.attempt(auto=False)
        rude.wait(lambda: rude.control, "the control stream")
        # Each call is answered; python-h2 gives the credit, so take it away first.
        rude.control.auto_credit = False
        rude.tell(rpc.bootstrap(0) + rpc.finish(0, True))

        def flood():
            while not rude.closed:
                rude.send(rude.control, (rpc.bootstrap(0) + rpc.finish(0, True)) * 100)
        self.thread(flood)
        rude.wait(lambda: rude.peer_closed or rude.closed, "the edge to close")
        self.edge.process.wait_log("agent does not read its control stream")
        self.assertFalse(good.closed)
        self.assertTrue(self.edge.answers())


class DrainTest(EdgeCase):
    def test_replaced_connection_unregisters(self):
        """drain-timeout counts from then; until then it has all the time."""
        self.serve_edge("drain-timeout: 1s\n")
        client_id = stock.new_client_id()
        old, client = self.agent(1, client_id), self.client()
        stream = self.open_echo(client)
        self.agent(1, client_id)
        old.wait(lambda: old.goaway is not None, "GOAWAY")
        self.echo(client, stream)
        old.unregister()
        old.wait(lambda: old.peer_closed, "the edge to close TCP")
        client.wait(lambda: stream.closed, "the stream to be cut")


class BoundsTest(EdgeCase):
    def test_early_bytes_are_counted(self):
        """What clients send before the answer stays within the edge's buffer budget."""
        self.serve_edge("buffer-budget: 1MiB\n")
        silent, client = self.agent(kind=Silent), self.client()
        streams = [client.connect(f"{HOST}:22") for _ in range(8)]
        wait_until(lambda: len(silent.taken) == 8, "the dials")
        for stream in streams:
            self.thread(self.push, client, stream)
        wait_until(lambda: self.status()["buffered_bytes"] > MIB, "the budget to be used up")
        # The connection's window is 1 MiB too, and isn't opened again over the budget.
        self.assertLess(self.status()["buffered_bytes"], 4 * MIB)
        for stream in streams:
            client.reset(stream)
        wait_until(lambda: self.status()["buffered_bytes"] == 0, "the bytes to be dropped")

    @staticmethod
    def push(client, stream):
        try:
            client.send(stream, bytes(MIB), deadline_s=10)
        except AssertionError:
            pass

    def test_strangers_are_sent_away(self):
        """One bad request must not buy a place for ever."""
        self.serve_edge()
        stranger = self.client()
        for _ in range(64):
            if stranger.peer_closed:
                break
            stream = stranger.connect(f"{HOST}:22", token="adit_x.y")
            stranger.wait(lambda s=stream: s.closed or stranger.peer_closed, "407")
        stranger.wait(lambda: stranger.peer_closed, "the edge to close")
        self.agent()
        self.open_echo(self.client())

    def test_strangers_make_room(self):
        """Who has shown nothing doesn't keep out who can; who has, stays."""
        self.serve_edge("limits:\n  max-clients: 3\n  max-connections: 2\n")
        self.agent()
        client = self.client()
        stream = self.open_echo(client)
        clients = [self.client() for _ in range(6)]
        silent = [self.attempt(auto=False) for _ in range(4)]
        for agent in silent[:-1]:
            agent.wait(lambda a=agent: a.closed, "strangers to be sent away")
        for other in clients[:-2]:
            other.wait(lambda o=other: o.closed, "strangers to be sent away")
        agent = self.agent()
        second = self.client()
        self.open_echo(second)
        self.open_echo(self.client())
        # Now each place is earned.
        late = Client(("127.0.0.1", self.edge.port), self.edge.ca_file, self.token)
        self.addCleanup(late.close)
        late.start().wait(lambda: late.peer_closed or late.closed, "the edge to close")
        late = self.attempt(auto=False)
        late.wait(lambda: late.peer_closed or late.closed, "the edge to close")
        self.echo(client, stream)
        self.assertFalse(agent.closed or second.closed)

    def test_revoked_client_loses_its_link(self):
        self.serve_edge()
        self.agent()
        client = self.client()
        stream = self.open_echo(client)
        self.edge.admin("client", "revoke", "alice")
        client.wait(lambda: stream.closed, "the stream to be cut")
        client.wait(lambda: client.peer_closed, "the link to be closed")

    def test_handshakes_wait_for_their_turn(self):
        self.serve_edge("limits:\n  handshakes-per-second: 4\n")
        self.agent()
        clients = [self.client() for _ in range(12)]
        for client in clients:
            self.open_echo(client)


class LogTest(EdgeCase):
    def test_no_secret_in_any_line(self):
        self.serve_edge("loglevel: debug\ndrain-timeout: 0s\n")
        self.agent()
        client = self.client()
        self.open_echo(client)
        wrong = self.token[:-1] + ("A" if self.token[-1] != "A" else "B")
        client.answer(client.connect(f"{HOST}:22", token=wrong))
        bad = stock.load_registration(self.tunnel)
        secret, bad.secret = bad.secret, bytes(32)
        stranger = stock.Agent(("127.0.0.1", self.edge.port), self.edge.ca_file, bad)
        self.addCleanup(stranger.close)
        stranger.start().wait_registered()
        minted = self.edge.admin("tunnel", "token", "t1").split()[-1]
        self.assertEqual(self.edge.process.terminate(), 0)
        log = self.edge.process.log()
        for text in (self.token, wrong, self.token.split(".")[-1], minted,
                     base64.b64encode(secret).decode(), secret.hex(), "proxy-authorization",
                     "Bearer"):
            self.assertNotIn(text, log)

    def test_lines_have_their_keys(self):
        self.serve_edge("log-format: json\n")
        agent, client = self.agent(), self.client()
        stream = self.open_echo(client)
        client.reset(stream)
        self.edge.process.wait_log('"message":"stream ended"')
        agent.unregister()
        self.edge.process.wait_log('"message":"connection closed"')
        lines = [json.loads(line) for line in self.edge.process.log().splitlines()]
        seen = {line["message"]: line for line in lines}
        self.assertLessEqual(
            {"connection", "tunnel", "connector", "index", "peer", "version"},
            seen["connection registered"].keys())
        self.assertLessEqual(
            {"connection", "tunnel", "connector", "index", "peer", "reason", "bytes_up",
             "bytes_down", "duration_ms"}, seen["connection closed"].keys())
        ended = seen["stream ended"]
        self.assertLessEqual(
            {"client", "destination", "tunnel", "connection", "result", "bytes_up",
             "bytes_down", "duration_ms"}, ended.keys())
        self.assertEqual((ended["bytes_up"], ended["bytes_down"]), (5, 5))
        self.assertEqual((ended["client"], ended["destination"]), ("alice", f"{HOST}:22"))
        # A client that goes is everyday life. (Before the start, confinement may have warned.)
        started = [line["message"] for line in lines].index("edge started")
        self.assertEqual({line["level"] for line in lines[started:]}, {"info"})


if __name__ == "__main__":
    main()
