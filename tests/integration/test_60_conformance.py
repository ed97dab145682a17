# SPDX-License-Identifier: Apache-2.0
"""RFC 9113 from the side of who opens streams: the edge's ingress and the agent answer."""

import socket
import threading

from peers import edge as scripted
from peers.client import load_token
from peers.h2raw import RawConnection, go_raw, outcome, settle
from support.adit import Agent, route, routes, write_credentials
from support.case import main
from support.conformance import ECHO, SILENT, Conformance
from support.h2cases import ACCEPTORS, BEGINNINGS, CONTROL, SETTINGS_VALUES, WINDOWS
from support.h2frames import (END_HEADERS, HEADERS, MAX_STREAMS, PREFACE, RST, SETTINGS, code_of,
                              fields, frame)
from support.origin import echo, stall
from support.require import need
from support.stack import Stack, serve
from support.tlsca import Authority, client_context
from support.waiting import wait_until

N_STREAMS = 5   # of a connection of a client
PLAIN = [(":method", "GET"), (":scheme", "https"), (":path", "/"), (":authority", "x")]


class IngressTest(Conformance):
    plain = PLAIN

    def setUp(self):
        super().setUp()
        self.never = threading.Event()
        self.addCleanup(self.never.set)
        self.stack = Stack(self, serve(self, echo).port, start=False, edge_settings=(
            f"limits:\n  streams-per-connection: {N_STREAMS}\n"))
        silent = serve(self, stall(self.never))
        self.stack.routes.append(route(f"{SILENT}/32", via=f"127.0.0.1:{silent.port}"))
        self.stack.agent.configure(routes(*self.stack.routes))
        self.stack.agent.start().wait_state("Healthy")
        self.stack.agent.wait_accepted()
        self.edge = self.stack.edge
        self.token = load_token(self.stack.client)
        self.other = self.stack.scripted_client()

    def fields_for(self, host):
        return [(":method", "CONNECT"), (":authority", f"{host}:22"),
                ("proxy-authorization", f"Bearer {self.token}")]

    def dial(self, hello):
        sock = socket.create_connection(("127.0.0.1", self.edge.port), 60)
        tls = client_context(self.edge.ca_file, ["h2"]).wrap_socket(
            sock, server_hostname="127.0.0.1", do_handshake_on_connect=False)
        conn = RawConnection(tls, hello).start()
        self.addCleanup(conn.close)
        return conn

    def take(self):
        conn = self.dial(PREFACE + frame(SETTINGS))
        conn.next = 1
        return settle(conn)

    def release(self, p, _case):
        p.conn.close()

    def assert_others_served(self):
        stream = self.other.connect(f"{ECHO}:22")
        self.assertEqual(self.other.answer(stream), ("200", None))
        self.other.send(stream, b"alive", end=True)
        self.other.wait(lambda: stream.closed, "the echo")
        self.assertEqual(bytes(stream.data), b"alive")

    def test_beginnings(self):
        for case in BEGINNINGS:
            with self.subTest(case.name, rule=case.rule):
                conn = settle(self.dial(case.send(None)))
                self.assertIn(outcome(conn, 1), case.want)
                self.assert_others_served()

    def test_streams_over_the_limit(self):
        """5.1.2; one that ended makes room."""
        conn = self.take()
        self.assertEqual(conn.h2.settings[MAX_STREAMS], N_STREAMS)
        wanted = fields(*self.fields_for(SILENT))
        numbers = range(1, 2 * N_STREAMS, 2)
        conn.send_raw(b"".join(frame(HEADERS, END_HEADERS, n, wanted) for n in numbers))
        conn.wait(lambda: all(conn.h2.statuses.get(n) == "200" for n in numbers), "all answers")
        conn.send_raw(frame(RST, 0, 1, code_of("CANCEL")) +
                      frame(HEADERS, END_HEADERS, 101, wanted))
        conn.wait(lambda: conn.h2.statuses.get(101) == "200", "the answer in the place of another")
        settle(conn, frame(HEADERS, END_HEADERS, 103, wanted))
        # A stream error, which may be made one of the connection (5.4.1).
        self.assertIn(outcome(conn, 103),
                      ("RST REFUSED_STREAM", "RST PROTOCOL_ERROR", "GOAWAY PROTOCOL_ERROR"))
        self.assert_others_served()

    def test_cases(self):
        self.run_cases(ACCEPTORS)
        self.check_answers()
        self.check_stream_window()
        self.other.close()
        wait_until(lambda: all(c["kind"] != "client" for c in self.edge.connections()),
                   "the clients to be gone", show=lambda: str(self.edge.connections()))
        self.assert_nothing_left(self.edge.connections)
        self.assert_no_bytes_left(self.edge)
        self.assert_nothing_left(self.stack.agent.connections)


class AgentTest(Conformance):
    """A scripted edge on the connections of one agent; the first of them stays sane."""

    plain = PLAIN

    def setUp(self):
        need("openssl")
        super().setUp()
        self.never = threading.Event()
        self.addCleanup(self.never.set)
        authority = Authority(self.path("ca"))
        self.edge = scripted.Edge(authority, [scripted.success], announce_adit=True)
        self.addCleanup(self.edge.close)
        entries = [route(f"{host}/32", via=f"127.0.0.1:{serve(self, behaviour).port}")
                   for host, behaviour in ((ECHO, echo), (SILENT, stall(self.never)))]
        self.agent = Agent(self, self.edge.address, authority.ca_file, write_credentials(self),
                           routes(*entries), settings="edge-server-name: h2.cftunnel.com\n"
                                                      "ha-connections: 16\n").start()
        self.good = self.edge.wait_registered(16)[0]
        self.spare, self.taken = None, set()

    def fields_for(self, host):
        return [(":method", "GET"), (":scheme", "https"), (":path", "/"),
                (":authority", f"{host}:22"), ("cf-cloudflared-proxy-src", "100.96.0.1")]

    def fresh(self):
        """A registered connection that nobody has used. One that a case ended comes again after
        the agent's back-off: with fifteen that is seldom waited for."""
        return next((c for i, c in self.edge.registered().items()
                     if i > 0 and c not in self.taken), None)

    def take(self):
        if self.spare and not self.spare.closed:
            return self.spare
        conn = wait_until(self.fresh, "a fresh connection of the agent",
                          show=self.agent.process.log_tail)
        self.taken.add(conn)
        go_raw(conn).next = 1001    # far from the control stream
        return settle(conn)

    def release(self, p, case):
        """One that is as it was serves the next case, too."""
        self.spare = p.conn
        if case in SETTINGS_VALUES + WINDOWS + CONTROL:
            p.conn.close()

    def assert_others_served(self):
        stream = self.good.open_tcp(f"{ECHO}:22")
        self.assertEqual(self.good.wait_answer(stream).get(":status"), "200")
        self.good.send(stream, b"alive", end=True)
        self.good.wait_end(stream)
        self.assertEqual(bytes(stream.data), b"alive")

    def test_beginnings(self):
        """All connections but one are closed; those that the agent dials instead begin badly."""
        cases, begun = list(BEGINNINGS), []

        def connect(edge, tls, answer):
            if len(begun) == len(cases):
                return scripted.Connection(edge, tls, answer)
            begun.append(RawConnection(tls, cases[len(begun)].send(None)))
            return begun[-1]

        self.edge.connection = connect
        for conn in list(self.edge.connections):
            if conn is not self.good:
                conn.close()
        wait_until(lambda: len(begun) == len(cases), "a connection for each case",
                   show=self.agent.process.log_tail)
        for case, conn in zip(cases, begun):
            with self.subTest(case.name, rule=case.rule):
                self.assertIn(outcome(settle(conn), 1), case.want)
                self.assert_others_served()
        self.edge.wait_registered(16)

    def test_cases(self):
        self.run_cases(ACCEPTORS)
        self.check_answers()
        self.check_stream_window()
        for conn in self.taken:
            conn.close()
        # The control stream of each connection is not counted.
        self.assert_nothing_left(self.agent.connections)


if __name__ == "__main__":
    main()
