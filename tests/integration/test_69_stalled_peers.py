# SPDX-License-Identifier: Apache-2.0
"""Who stops reading while requests and data pour in (cloudflared issue 1205): memory stays under the
hard bound, the connection is found dead, all that it held is free, and nobody else noticed."""

import threading

from peers import agent as stock
from peers import edge as scripted
from peers.client import Client, load_token
from support import adit, origin
from support.case import Case, main
from support.h2frames import DATA, END_HEADERS, HEADERS, RST, code_of, fields, frame
from support.memory import is_sanitized, rss
from support.require import need
from support.stack import HOST, Stack, echo_line, serve
from support.tlsca import Authority
from support.waiting import wait_until

MIB = 1 << 20
BUFFER, WINDOWS = 2 * MIB, 16 * MIB
FOUNTAIN, SINK, SILENT = "10.116.0.4", "10.116.0.5", "10.116.0.9"
# What a stream may cost besides the bytes that it buffers: nghttp2's, ours, and queued headers.
PER_STREAM = 4096
# Of heap, TLS and libraries that the process hadn't used when it was idle.
SLACK = 12 * MIB


class StallCase(Case):
    """@process: whose memory is bounded. Its idle memory is taken by begin()."""

    def begin(self, process):
        self.process, self.idle, self.most = process, rss(process), 0

    def assert_bounded(self, load, n_streams):
        """Buffered bytes by its own count, and all of it by the kernel's."""
        budget = load["buffer_budget_bytes"] + load["windows_bytes"]
        self.assertLessEqual(load["windows_bytes"], WINDOWS)
        self.assertLessEqual(load["buffered_bytes"], budget)
        self.most = max(self.most, rss(self.process) - self.idle)
        if not is_sanitized():
            self.assertLess(self.most, BUFFER + WINDOWS + n_streams * PER_STREAM + SLACK)


class AgentTest(StallCase):
    """A scripted edge; its second connection goes deaf and goes on talking."""

    N_ROUNDS, PER_ROUND = 8, 1500   # requests: fewer than the 16,384 that may be open
    FLOWS_MAX = 300

    def setUp(self):
        need("openssl")
        super().setUp()
        authority = Authority(self.path("ca"))
        self.release = threading.Event()
        self.addCleanup(self.release.set)
        self.edge = scripted.Edge(authority)
        self.addCleanup(self.edge.close)
        self.agent = adit.Agent(
            self, self.edge.address, authority.ca_file, adit.write_credentials(self),
            adit.routes(*(adit.route(f"{host}/32", via=f"127.0.0.1:{port}") for host, port in (
                (HOST, serve(self, origin.echo).port), (FOUNTAIN, serve(self, origin.fountain).port),
                (SINK, serve(self, origin.stall(self.release)).port),
                (SILENT, origin.silent_port(self))))),
            settings="edge-server-name: h2.cftunnel.com\nha-connections: 2\n"
                     "warp-routing: {connectTimeout: 10m}\n"
                     f"buffer-budget: {BUFFER}\nwindow-budget: {WINDOWS}\n"
                     f"max-active-flows: {self.FLOWS_MAX}\n").start()
        self.edge.wait_registered(2)
        self.good, self.bad = (self.edge.registered()[i] for i in (0, 1))
        self.held = self.good.open_tcp(f"{HOST}:22")
        self.assertEqual(self.good.wait_answer(self.held)[":status"], "200")
        self.begin(self.agent.process)

    def load(self):
        return self.agent.status()[1]["load"]

    def echo(self, text):
        self.held.data.clear()
        self.good.send(self.held, text)
        self.good.wait(lambda: self.held.data == text, "the echo")

    def pour(self, first, n):
        """@n requests from stream @first on, for every kind of target and for what isn't served,
        and resets of some that wait for an answer."""
        hosts = [f"{FOUNTAIN}:1", f"{SINK}:1", f"{SILENT}:1", f"{HOST}:22", "192.0.2.1:1", "x:y"]
        out = bytearray()
        for k in range(n):
            number = first + 2 * k
            pairs = [(":method", "GET"), (":scheme", "https"), (":path", "/"),
                     (":authority", hosts[k % len(hosts)]), ("padding", "p" * 100)]
            if k % 7:   # without it: a kind that isn't served
                pairs.append(("cf-cloudflared-proxy-src", "100.96.0.1"))
            out += frame(HEADERS, END_HEADERS, number, fields(*pairs))
            if k % 10 == 9:
                out += frame(RST, 0, number, code_of("CANCEL"))
        self.bad.send_raw(bytes(out))
        self.wait_sent()

    def wait_sent(self):
        self.bad.wait(lambda: not self.bad._out or self.bad.closed, "the agent to take it")
        self.assertFalse(self.bad.closed, self.bad.error)

    def pour_data(self, streams):
        """All of the connection's window, as it doesn't hear of more; to half-open targets, so that
        the agent has to keep it."""
        for at in range(0, 60):
            self.bad.send_raw(frame(DATA, 0, streams[at % len(streams)], bytes(16384)))
        self.wait_sent()

    def test_edge_that_stops_reading(self):
        streams = [self.bad.open_tcp(f"{SILENT}:1") for _ in range(8)]
        for stream in [self.bad.open_tcp(f"{FOUNTAIN}:1") for _ in range(8)]:
            stream.auto_credit = False
            self.assertEqual(self.bad.wait_answer(stream)[":status"], "200")
        self.bad.deafen()
        self.pour_data([s.id for s in streams])
        wait_until(lambda: self.load()["buffered_bytes"] == 60 * 16384, "the data to be kept")
        first, n = 100_001, 0
        for _ in range(self.N_ROUNDS):
            self.pour(first, self.PER_ROUND)
            first, n = first + 2 * self.PER_ROUND, n + self.PER_ROUND
            load = self.load()
            self.assertLessEqual(load["streams"], self.FLOWS_MAX)
            self.assert_bounded(load, n)
            self.echo(b"meanwhile")
        # Refused by name, also on the connection that is well: the bound is the process's.
        load = self.load()
        self.assertGreater(load["refused"], 0)
        self.assertGreater(load["streams"], self.FLOWS_MAX - 50)
        late = self.good.open_tcp(f"{HOST}:22")
        if self.good.wait_answer(late)[":status"] != "200":
            self.assertEqual(late.headers.get("adit-error"), "limit")
        wait_until(lambda: self.edge.registered().get(1) is not self.bad, "another connection",
                   show=self.agent.process.log_tail)
        self.assertIn("no answer to PING and nothing read", self.agent.process.log())
        self.good.reset(late)
        wait_until(lambda: self.load()["streams"] == 1, "the flows to be free")
        self.assert_bounded(self.load(), n)
        wait_until(lambda: self.load()["buffered_bytes"] == 0, "the buffers to be free")
        self.agent.wait_state("Healthy")
        self.echo(b"after")
        again = self.edge.registered()[1]
        stream = again.open_tcp(f"{HOST}:22")
        self.assertEqual(again.wait_answer(stream)[":status"], "200")


    def test_targets_that_stop_reading(self):
        """The edge is alive, servers are stopped: who holds the buffers has to go, nobody else."""
        streams = [self.bad.open_tcp(f"{SINK}:1") for _ in range(12)]
        for stream in streams:
            self.assertEqual(self.bad.wait_answer(stream)[":status"], "200")
            self.thread(self.fill, stream)
        wait_until(lambda: self.load()["buffered_bytes"] > BUFFER, "the budget to be used up",
                   show=lambda: str(self.load()))
        wait_until(lambda: self.load()["cut"] > 0, "relief", show=lambda: str(self.load()))
        self.agent.process.wait_log("buffer-budget is used up")
        self.assert_bounded(self.load(), len(streams))
        self.bad.wait(lambda: any(s.closed for s in streams), "the end of some")
        self.assertFalse(all(s.closed for s in streams))
        self.assertFalse(self.bad.closed)
        self.echo(b"after")
        self.agent.wait_state("Healthy")

    def fill(self, stream):
        try:
            self.bad.send(stream, bytes(8 * MIB), deadline_s=15)
        except AssertionError:
            pass    # no more credit


class DeafAgent(stock.Agent):
    """Accepts every stream, gives no credit."""

    def _tcp(self, stream):
        stream.auto_credit = False
        self.respond(stream, stock.ACK)


class EdgeTest(StallCase):
    SETTINGS = (f"buffer-budget: {BUFFER}\nwindow-budget: {WINDOWS}\n"
                "limits: {max-connections: 20, max-clients: 20}\n")

    def load(self):
        return self.stack.edge.json("status")

    def start_stack(self):
        """HOST is an echo behind a real agent, through which a real client holds a stream."""
        self.stack = Stack(self, serve(self, origin.echo).port, edge_settings=self.SETTINGS,
                           start=False)

    def start_agent(self):
        self.stack.agent.start().wait_state("Healthy")
        self.stack.agent.wait_accepted()
        self.held = self.stack.popen()
        echo_line(self.held, "before")
        self.begin(self.stack.edge.process)

    def start_fountain(self):
        """As start_agent(), with FOUNTAIN."""
        self.stack.agent.configure(adit.routes(
            *self.stack.routes,
            adit.route(f"{FOUNTAIN}/32", via=f"127.0.0.1:{serve(self, origin.fountain).port}")))
        self.start_agent()

    def connect(self, **options):
        edge = self.stack.edge
        client = Client(("127.0.0.1", edge.port), edge.ca_file, load_token(self.stack.client),
                        **options)
        self.addCleanup(client.close)
        client.start().wait(lambda: client.peer_settings, "the edge's SETTINGS")
        return client

    def assert_all_free(self, n_clients):
        wait_until(lambda: self.load()["streams"] == 1, "the streams to end",
                   show=lambda: str(self.load()))
        wait_until(lambda: self.load()["buffered_bytes"] == 0, "the buffers to be free")
        self.assertEqual((self.load()["client_connections"], self.load()["dials"]),
                         (n_clients, 0))
        echo_line(self.held, "after")
        echo_line(self.stack.popen(), "new")
        self.assertEqual(self.stack.agent.state(), "Healthy")

    def test_agent_that_stops_reading(self):
        self.start_stack()
        self.start_agent()
        edge = self.stack.edge
        credentials = edge.create_tunnel("deaf", ())
        edge.admin("route", "add", "10.117.0.0/16", "deaf")
        edge.admin("client", "grant", "add", "alice", "10.117.0.0/16")
        deaf = DeafAgent(("127.0.0.1", edge.port), edge.ca_file,
                         stock.load_registration(credentials))
        self.addCleanup(deaf.close)
        self.assertIsNotNone(deaf.start().wait_registered())
        clients = [self.connect() for _ in range(4)]
        streams = [(c, c.connect("10.117.0.1:22")) for c in clients for _ in range(25)]
        for client, stream in streams:
            self.assertEqual(client.answer(stream), ("200", None))
        deaf.deafen()
        for client, stream in streams:
            self.thread(self.push, client, stream)
        wait_until(lambda: self.load()["buffered_bytes"] > BUFFER, "the budget to be used up")
        # Requests pour in: none of them is answered any more.
        for _ in range(4):
            streams += [(c, c.connect("10.117.0.1:22")) for c in clients for _ in range(150)]
            clients[0].ping()
            self.assert_bounded(self.load(), len(streams))
            echo_line(self.held, "meanwhile")
        wait_until(lambda: len(edge.agents()) == 4, "the dead connection to be gone",
                   show=edge.process.log_tail)
        for client, stream in streams:
            client.wait(lambda s=stream: s.closed, "the end of the stream")
        self.assert_bounded(self.load(), len(streams))
        self.assert_all_free(1 + len(clients))

    @staticmethod
    def push(client, stream):
        """Until the stream ends or there is no credit for long."""
        try:
            client.send(stream, bytes(512 * 1024), deadline_s=30)
        except AssertionError:
            pass

    def test_client_that_stops_reading(self):
        self.start_stack()
        self.start_fountain()
        client = self.connect()
        for _ in range(40):
            stream = client.connect(f"{FOUNTAIN}:1")
            stream.auto_credit = False
            self.assertEqual(client.answer(stream), ("200", None))
        client.deafen()
        n = 40
        for _ in range(4):
            for _ in range(100):
                client.connect(f"{FOUNTAIN}:1")
            n += 100
            self.assert_bounded(self.load(), n)

        def is_gone():
            self.assert_bounded(self.load(), n)
            return self.load()["client_connections"] == 1
        wait_until(is_gone, "the dead client to be gone", show=self.stack.edge.process.log_tail)
        self.assertGreater(self.load()["buffered_peak_bytes"], BUFFER)
        self.assert_all_free(1)

    def test_client_that_gives_no_window(self):
        """It is alive and answers PINGs: what it holds of the budget is cut all the same."""
        self.start_stack()
        self.start_fountain()
        client = self.connect(window=1)
        streams = [client.connect(f"{FOUNTAIN}:1") for _ in range(40)]
        for stream in streams:
            stream.auto_credit = False
        wait_until(lambda: self.load()["buffered_bytes"] > BUFFER, "the budget to be used up")
        wait_until(lambda: self.load()["cut"] > 0, "relief", show=lambda: str(self.load()))
        self.assert_bounded(self.load(), len(streams))
        client.wait(lambda: any(s.closed for s in streams), "the end of some")
        self.stack.edge.process.wait_log("buffer-budget is used up and it isn't read")
        self.assertFalse(client.closed)
        # Those that are left fill it again, and have less time then.
        echo_line(self.held, "after")
        self.assertEqual(len(self.stack.edge.agents()), 4)
        client.close()
        self.assert_all_free(1)


if __name__ == "__main__":
    main()
